"""The hub: the one writer of market state, and what everybody else reads.

A source hands in prints, quotes, bars and news of itself; they wait in one bounded queue (`inbox.py`). The hub's thread takes
them in order and applies them (`writer.py`); history is asked for by plan (`plan.py`) and merged by rule. Readers (charts,
notebooks, strategies, the recorder) hold cursors on the series and never slow the writer.

Floor 2. One lock guards the books; it is held while one batch is applied, never while waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np

from workbench.clock import NS_PER_S, WallClock, monotonic_ns
from workbench.hub.board import BoardRow, Boards
from workbench.hub.chain_feed import LIVE_EVERY_S, MOVED_EVERY_S, ChainFeed, chain_source
from workbench.hub.chains import ChainReader, Chains
from workbench.hub.crosscheck import CrossCheck
from workbench.hub.following import Following
from workbench.hub.health import FeedNotes, Health, LatencyBook, Rhythm, decide, history_trouble
from workbench.hub.inbox import Inbox, Item
from workbench.hub.minutes import MinuteStore
from workbench.hub.paging import page_back
from workbench.hub.plan import OVERDUE_NS, sessions_wanted
from workbench.hub.reading import MarketReader
from workbench.hub.series import Series
from workbench.hub.warm import warm
from workbench.hub.writer import Writer
from workbench.sessions import Anchor, SessionCalendar
from workbench.sources.base import FeedGap, FeedStatus, Source, SourceInfo
from workbench.types import Quote, Timeframe, Trade, check_symbol, quote_from_row, trade_from_row

MAX_QUEUED_ROWS = 2_000_000  # about 160 MB of prints; a live source that is further behind than that loses data, and is told so
PUBLISH_EVERY_NS = 10_000_000  # forming bars are published at most this often
PUBLISH_SHARE = 3  # publishing takes at most a quarter of the hub's time
WAIT_S = 0.02
PUBLISH_WAIT_S = 0.005  # while a change waits to be published
BREATH_S = 0.001  # after a piece of history: a lock that is taken again at once is never free for those who wait


class Hub(MarketReader):
    """Market state of one source.

    Parameters
    ----------
    source : Source                 Where events and history come from; its clock is the hub's.
    calendar : SessionCalendar      Default: New York Stock Exchange.
    store : MinuteStore, optional   Where closed minutes are kept between runs.
    capacity : int                  Closed bars held per symbol and timeframe.
    grace_s : float                 How long after its end a minute waits for late prints [s].
    anchor : str                    Where 4-hour bars begin: session_rth, session_eth or natural.
    stale_after_s : float           Silence in regular hours that counts as a dead feed [s].
    verify_every_s : float          How often recent minutes are compared with the source's history [s]; 0 never.
    retry_s : float                 First pause after a failed history read [s].

    `tape` holds the newest accepted prints and quotes. `on_accepted`, when set, is told (kind, rows) before rows are published:
    'trades' TRADE_DTYPE, 'quotes' QUOTE_DTYPE, 'bars' (symbol, BAR_DTYPE) the provider's minutes, 'history' the same read from
    history, 'quarantined' (reason, symbol, ts_recv, raw), 'gap' (symbol, start_ns, end_ns, reason) a span not wholly seen,
    'correction' (symbol, ts_event_ns, reason), 'chain' an option chain's snapshot (of each that is read one a minute). One call at a
    time, on the hub's thread; 'quarantined', 'gap' and 'chain' also on the thread of a source, a reader or a chain. It may not call
    the hub; what it raises is counted as an error and logged. A print that was put aside as far from the market and then proved right
    comes as 'quarantined' first and among 'trades' later.

    `listeners` are called on the hub's thread when it has given numbers, once for all it gave at a time: whoever would else have to
    look again and again. They may neither wait nor raise.
    """

    def __init__(
        self,
        source: Source,
        *,
        calendar: SessionCalendar | None = None,
        store: MinuteStore | None = None,
        capacity: int = 5000,
        grace_s: float = 2.0,
        anchor: Anchor = "session_rth",
        stale_after_s: float = 15.0,
        verify_every_s: float = 300.0,
        retry_s: float = 1.0,
        max_queued_rows: int = MAX_QUEUED_ROWS,
    ) -> None:
        self.source = source
        self.clock = source.clock
        self.calendar = calendar or SessionCalendar.xnys()
        self._anchor: Anchor = anchor
        self._stale_after_s = stale_after_s
        self._drives_time = isinstance(source.clock, WallClock)
        self._lock = threading.RLock()
        self._inbox = Inbox(self.clock.now_ns, max_rows=max_queued_rows, can_wait=not self._drives_time)
        self._writer = writer = Writer(
            source,
            self.calendar,
            self._inbox,
            self._lock,
            store=store,
            capacity=capacity,
            grace_ns=int(grace_s * NS_PER_S),
            anchor=anchor,
            verify_ns=int(verify_every_s * NS_PER_S),
            retry_s=retry_s,
        )
        self.symbols, self.quarantine, self.tape = writer.symbols, writer.quarantine, writer.tape
        self.cross_check: CrossCheck | None = None  # compares what is shown with a second provider; runs while the hub does
        self._rhythm = Rhythm(self.calendar)
        self._boards = Boards(self.calendar)
        self._following = Following(source, writer, self._lock)
        self.asked_for: set[str] = set()  # symbols that programs outside read: no screen lets go of them
        self._chain_every_s = LIVE_EVERY_S if self._drives_time else MOVED_EVERY_S
        self._chains = Chains(self._chain_feed, lambda underlying: chain_source(source).expiries(underlying), lambda: self.epoch)
        self.listeners: set[Callable[[], None]] = set()
        self._told = (0, 0)  # epoch and number that they were last called for
        self._last_publish_ns = 0
        self._stopped_ns: int | None = None  # when the hub last stopped; what happened since has to be read from history
        self._thread: threading.Thread | None = None

    # -- what readers go by --------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Which life of the hub sequence numbers belong to: the machine's time of its start [ms UTC], and one more for each reset."""
        return self._writer.numbering.epoch

    @property
    def seq(self) -> int:
        """The newest sequence number given. Read it before the series: then they hold every change up to it."""
        return self._writer.numbering.seq

    @property
    def changes(self) -> int:
        """A count that grows with every change of a bar, closed or forming: unchanged means that no series has news."""
        return self._writer.numbering.changes

    @property
    def latency(self) -> LatencyBook:
        """How late events and bars are."""
        return self._writer.latency

    @property
    def on_accepted(self) -> Callable[[str, Any], None] | None:
        """Who is told of what is accepted (see the class)."""
        return self._writer.on_accepted

    @on_accepted.setter
    def on_accepted(self, told: Callable[[str, Any], None] | None) -> None:
        self._writer.on_accepted = told

    @property
    def applied_ns(self) -> int:
        """Market time up to which events are applied [ns UTC]; a replay's clock may be ahead of it."""
        return self._writer.applied_ns

    @property
    def is_idle(self) -> bool:
        """True when everything handed in so far is applied."""
        return self._inbox.is_idle

    # -- running -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the hub's thread and the backfill workers; harmless when running."""
        if self._thread is not None:
            return
        self._inbox.open()
        stopped_ns, self._stopped_ns = self._stopped_ns, None
        if stopped_ns is not None and self._drives_time:
            self.on_gap(FeedGap(stopped_ns, self.clock.now_ns(), "the hub was stopped"))
        self._writer.backfiller.start()
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()
        self._writer.saver.start()
        if self.cross_check is not None:
            self.cross_check.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Apply what is queued now, then stop; bars stay readable. A source that still delivers is not waited for."""
        if self.cross_check is not None:
            self.cross_check.stop()
        self._chains.stop()
        self._writer.backfiller.stop(timeout_s)
        self._inbox.close()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None
            self._stopped_ns = self.clock.now_ns()
        self._writer.saver.stop()

    @property
    def is_alive(self) -> bool:
        """True while the hub's thread runs: what comes is applied."""
        return self._thread is not None and self._thread.is_alive()

    def pump(self) -> None:
        """Apply everything queued, and history that is due, on the calling thread (for use without `start`)."""
        while self._drain() or self._take_history() or self._writer.backfiller.run_due():
            pass
        self._last_publish_ns = 0  # who pumps looks next: forming bars are published now, not at the next turn
        self._tick()

    def wait_idle(self, timeout_s: float = 10.0, *, history: bool = False) -> bool:
        """Wait until everything handed in so far is applied (and, with `history`, until no read is pending); False on time-out."""
        deadline = monotonic_ns() + int(timeout_s * NS_PER_S)
        while monotonic_ns() < deadline:
            if self.is_idle and not (history and self._writer.backfiller.due()):
                return True
            self._inbox.wait_change(0.01)
        return False

    def save(self) -> None:
        """Write the minutes that are not stored yet (done now and then by itself, and by `stop`)."""
        self._writer.saver.save()

    def _run(self) -> None:
        kernels = warm()
        while kernels.is_alive() and self._inbox.is_open:
            kernels.join(WAIT_S)
        is_last = False
        while not is_last:
            self._inbox.wait(PUBLISH_WAIT_S if self._writer.dirty else WAIT_S)
            is_last = not self._inbox.is_open
            self._drain(limit=0 if is_last else 256)
            while self._take_history() and is_last:
                pass
            if is_last:
                self._last_publish_ns = 0
            self._tick()

    def _drain(self, limit: int = 0) -> bool:
        """Apply what the source handed in, at most `limit` items (0: all that are there now); True when anything was there."""
        n = 0
        for _ in range(limit or len(self._inbox)):
            item = self._inbox.take()
            if item is None:
                break
            self._apply(item)
            n += 1
        self._inbox.rest()
        return n > 0

    def _take_history(self) -> bool:
        """Apply one piece of history; True when there was one. Between pieces prints come in and readers have the lock."""
        item = self._inbox.take(history=True)
        if item is None:
            return False
        self._apply(item)
        self._inbox.rest()
        if self._inbox.is_open:
            self._inbox.wait_change(BREATH_S)
        return True

    def _apply(self, item: Item) -> None:
        try:
            with self._lock:
                self._writer.apply(item.kind, item.payload)
        except Exception as error:  # noqa: BLE001  whatever a batch holds, it is counted and the feed goes on
            self._writer.note_error(f"applying {item.kind}", error)

    def _tick(self) -> None:
        """Close what is due by the wall clock and publish forming bars.

        Market time stands at the moment the oldest waiting item was handed in: what waits may belong to a minute that has ended.
        """
        writer = self._writer
        with self._lock:
            try:
                if self._drives_time:
                    writer.advance(self._inbox.applied_ns(self.clock.now_ns()))
                    writer.plan.verify(writer.watched)
            except Exception as error:  # noqa: BLE001
                writer.note_error("closing minutes", error)
            now = monotonic_ns()
            if writer.dirty and now - self._last_publish_ns >= PUBLISH_EVERY_NS:
                writer.publish()
                cost_ns = monotonic_ns() - now
                self._last_publish_ns = now + PUBLISH_SHARE * cost_ns  # with many symbols less often: prints come first
        self._call_listeners()

    def _call_listeners(self) -> None:
        given = (self.epoch, self.seq)
        if given != self._told:
            self._told = given
            for listener in tuple(self.listeners):
                listener()

    # -- what a source hands in (any thread; only enqueues) -----------------------------------------------------------------

    def on_trades(self, rows: np.ndarray) -> None:
        """Take prints, TRADE_DTYPE."""
        self._inbox.put("trades", rows, len(rows))

    def on_quotes(self, rows: np.ndarray) -> None:
        """Take quotes, QUOTE_DTYPE."""
        self._inbox.put("quotes", rows, len(rows))

    def on_bars(self, symbol: str, rows: np.ndarray) -> None:
        """Take the provider's own closed minutes."""
        self._inbox.put("bars", (symbol, rows), len(rows))

    def on_reject(self, reason: str, symbol: str, raw: bytes, ts_recv: int) -> None:
        """Quarantine an element that could not be decoded."""
        self.quarantine.put(reason, symbol, ts_recv, raw.decode("utf-8", "replace"))

    def on_status(self, status: FeedStatus) -> None:
        """Take a change of the feed's state."""
        self._inbox.put("status", status)

    def on_gap(self, gap: FeedGap) -> None:
        """Take a span in which the feed was away."""
        self._inbox.put("gap", gap)

    def on_time(self, now_ns: int) -> None:
        """Take the moment that a replayed or simulated market has reached."""
        self._inbox.put("time", now_ns)

    def on_correction(self, symbol: str, ts_event_ns: int, reason: str) -> None:
        """Take news that a print of that moment was cancelled or corrected: its minute is distrusted and read again."""
        self._inbox.put("correction", (symbol, ts_event_ns, reason))

    def on_reset(self, reason: str) -> None:
        """Forget all market state; the source tells it anew."""
        self._inbox.put("reset", reason)

    # -- reading (any thread) --------------------------------------------------------------------------------------------------

    @property
    def source_info(self) -> SourceInfo:
        """What the source is and can do."""
        return self.source.info

    def watch(self, symbol: str) -> None:
        """Subscribe to a symbol and read its recent sessions; harmless when watched. SymbolError when there is no such symbol."""
        self._following.watch(symbol)

    def unwatch(self, symbol: str) -> None:
        """Stop following a symbol; its bars stay readable. Harmless when not watched."""
        self._following.unwatch(symbol)

    def try_out(self, symbol: str) -> None:
        """Watch a symbol that may not exist; `watch` by anybody keeps it, `end_trial` lets go of it otherwise."""
        self._following.try_out(symbol)

    def end_trial(self, symbol: str) -> bool:
        """Stop following a symbol that was only tried out; True when it is not followed any more: nobody else began to."""
        return self._following.end_trial(symbol)

    def is_heard_of(self, symbol: str) -> bool:
        """Return whether anything was told of a symbol: a closed minute, a print or a quote."""
        with self._lock:
            book = self._writer.books.get(symbol)
        return (book is not None and len(book.minutes) > 0) or self.last_trade(symbol) is not None or self.quote(symbol) is not None

    def refused(self, symbol: str) -> str:
        """Return why the source refuses a symbol's history for good, '' when it does not."""
        return self._writer.refused.get(symbol, "")

    def watched(self) -> tuple[str, ...]:
        """Return the symbols followed, in the order they were added."""
        return tuple(self._writer.watched)

    def series(self, symbol: str, timeframe: str | Timeframe) -> Series:
        """Return the live series of a symbol (watching it) and timeframe, and have its history read deep enough to chart."""
        frame = Timeframe.parse(timeframe)
        ready = self._writer.ready(symbol, frame.label)
        if ready is not None and not self._following.is_tried(symbol):
            return ready
        self.watch(symbol)
        with self._lock:
            book = self._writer.book(symbol)
            series = book.series(frame, self._writer.applied_ns)
            self._writer.plan.ensure(book, sessions_wanted(frame))
            book.ready[frame.label] = series
        return series

    def older(self, symbol: str, timeframe: str | Timeframe, before_ns: int, limit: int = 500) -> np.ndarray:
        """Return up to `limit` closed bars with ts_open < before_ns, oldest first, BAR_DTYPE. May block on the provider."""

        def read(start_ns: int, end_ns: int) -> np.ndarray:
            return self._writer.clean_bars(symbol, self._writer.archive.read(symbol, start_ns, end_ns).rows)

        series = self.series(symbol, timeframe)
        return page_back(series, before_ns, limit, read=read, calendar=self.calendar, clock=self.clock, anchor=self._anchor)

    def chain(self, underlying: str, expiry: date) -> ChainReader:
        """Return a reader of one expiry's chain, kept up while somebody reads it; SourceError where the source tells no chains."""
        return self._chains.open(check_symbol(underlying), expiry)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates that are listed, ascending. May block on the provider; SourceError, SymbolError as it says."""
        return self._chains.expiries(check_symbol(underlying))

    def _chain_feed(self, underlying: str, expiry: date) -> ChainFeed:
        newest = self._writer.last_quotes, self._writer.last_trades
        told = self._writer.tell_chain
        return ChainFeed(self, self._following, newest, (underlying, expiry), told=told, every_s=self._chain_every_s)

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote, or None before the first."""
        row = self._writer.last_quotes.get(self.symbols.get(symbol))
        return None if row is None else quote_from_row(row, self.symbols)

    def last_trade(self, symbol: str) -> Trade | None:
        """Return the newest print by stamp, of any condition, or None before the first."""
        row = self._writer.last_trades.get(self.symbols.get(symbol))
        return None if row is None else trade_from_row(row, self.symbols)

    def microbar(self, symbol: str) -> np.ndarray | None:
        """Return the newest 50 ms bar of a symbol, BAR_DTYPE shape (1,), or None."""
        with self._lock:
            row = self._writer.microbar(symbol)
        return row if len(row) else None

    def board(self, symbol: str) -> BoardRow:
        """Return the watchlist line of a symbol."""
        book = self._writer.books.get(symbol)
        if book is None:
            return BoardRow(symbol)
        return self._boards.line(book.minutes, book.held_from, self.clock.now_ns())

    def health(self, symbol: str | None = None) -> Health:
        """Return how far the feed, or one symbol of it, can be trusted at this moment."""
        writer, now_ns = self._writer, self.clock.now_ns()
        segment = self.calendar.segment(now_ns)
        last_ns = event_ns = writer.last_event_ns
        if symbol is not None:
            trade = self.last_trade(symbol)
            last_ns = None if trade is None else trade.ts_event
        reading = writer.backfiller.due(symbol) if self._stopped_ns is None else 0  # who waits for it would wait for ever
        overdue = writer.gaps.overdue(now_ns - OVERDUE_NS, symbol)
        bell_ns = int(self.calendar.sessions["open"][self.calendar.latest(now_ns)])
        quiet_since = max(event_ns or 0, writer.status.ts_ns, bell_ns) if writer.watched else None
        info, stale_s = self.source.info, self._stale_after_s
        is_unread = bool(writer.backfiller.due()) or writer.gaps.failed() is not None
        usual_s = self._rhythm.pause_s(now_ns, None if is_unread else writer.minutes_from)
        notes = FeedNotes(writer.status, info, segment, now_ns, quiet_since, stale_s, reading, overdue, writer.n_errors, usual_s)
        mode, reason = decide(notes)
        p50, p95 = writer.latency.percentiles()
        agreement_frac, agreement = (None, "") if self.cross_check is None else self.cross_check.told(symbol)
        return Health(
            mode=mode,
            reason=reason,
            source=self.source.info.name,
            symbol=symbol,
            ts_ns=now_ns,
            segment=segment,
            age_s=None if last_ns is None else max(0.0, (now_ns - last_ns) / NS_PER_S),
            latency_p50_ms=p50,
            latency_p95_ms=p95,
            n_events=writer.n_events,
            gaps=overdue,
            gaps_repaired=writer.gaps.n_repaired,
            backfilling=reading,
            dropped=self._inbox.n_dropped,
            errors=writer.n_errors,
            queued=self._inbox.n_rows,
            quarantined=self.quarantine.counts(symbol),
            history_trouble=history_trouble(writer.backfiller.failure(symbol), writer.gaps.failed(symbol)),
            agreement_frac=agreement_frac,
            agreement=agreement,
        )

    @property
    def gaps(self) -> tuple[Any, ...]:
        """Spans not yet proved complete (`gaps.OpenGap`)."""
        return self._writer.gaps.all()
