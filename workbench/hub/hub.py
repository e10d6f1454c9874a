"""The hub: the one writer of market state, and what everybody else reads.

A source hands in prints, quotes, bars and news of itself; they wait in one bounded queue. The hub's thread takes them in
order: clean → minutes → closed bars by clock → merge → series → forming bars. Readers (charts, notebooks, strategies, the
recorder) hold cursors on the series and never slow the writer. Store, then publish: when anyone hears of a bar, it can be read.

Floor 2. One lock guards the books; it is held while one batch is applied, never while waiting.
"""

from __future__ import annotations

import html
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_MS, NS_PER_S, WallClock, monotonic_ns
from workbench.errors import StoreError, SymbolError, choices
from workbench.hub.backfill import Backfiller, Outcome
from workbench.hub.bars import MinuteBuilder, Reject
from workbench.hub.board import BoardRow, board_row, session_vwap
from workbench.hub.book import SymbolBook
from workbench.hub.clean import Quarantine, TradeCleaner, clean_bars, clean_quotes
from workbench.hub.event_tape import EventTape
from workbench.hub.frames import to_frame
from workbench.hub.gaps import GapBook
from workbench.hub.health import FeedNotes, Health, LatencyBook, Rhythm, decide, history_trouble
from workbench.hub.minutes import MinuteArchive, MinuteStore
from workbench.hub.rollup import rollup
from workbench.hub.series import Cursor, Numbering, Series
from workbench.sessions import Anchor, SessionCalendar, week_number
from workbench.sources.base import FeedGap, FeedState, FeedStatus, Source
from workbench.types import (
    BAR_DTYPE,
    QUOTE_DTYPE,
    TRADE_DTYPE,
    BarSource,
    Quote,
    SymbolTable,
    Timeframe,
    Trade,
    check_symbol,
    quote_from_row,
    trade_from_row,
)

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MAX_QUEUED_ROWS = 2_000_000  # about 160 MB of prints; a live source that is further behind than that loses data, and is told so
PUBLISH_EVERY_NS = 10_000_000  # forming bars are published at most this often
PUBLISH_SHARE = 3  # publishing takes at most a quarter of the hub's time
WAIT_S = 0.02
PUBLISH_WAIT_S = 0.005  # while a change waits to be published
FIRST_SESSIONS = 5  # sessions of minutes read when a symbol is first watched
DEEPEST_SESSIONS = 520
CHART_BARS = 700  # bars a chart wants at once: the visible window and a margin
CHUNK_WEEKS = 4
SUBSCRIBE_NS = 5 * NS_PER_S  # a subscription has taken effect by then
OVERDUE_NS = 30 * NS_PER_S  # history of a closed minute can be had by then
SAVE_EVERY_S = 30.0
LATE_MARGIN_NS = 15 * NS_PER_MIN  # providers change bars for this long after the minute
LONG_GAP_NS = 24 * 60 * NS_PER_MIN  # after a longer one, whole weeks are read again


class Hub:
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
    'trades' TRADE_DTYPE, 'quotes' QUOTE_DTYPE, 'bars' (symbol, BAR_DTYPE) the provider's minutes, 'quarantined' (reason, symbol,
    ts_recv, raw). One call at a time, on the hub's thread; 'quarantined' also on the thread of a source or reader. It may not call
    the hub; what it raises is counted as an error and logged. A print that was put aside as far from the market and then proved
    right comes as 'quarantined' first and among 'trades' later.
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
        self.symbols = SymbolTable()
        self.quarantine = Quarantine(lambda one: self._accept("quarantined", (one.reason, one.symbol, one.ts_recv, one.raw)))
        self.tape = EventTape()
        self.on_accepted: Callable[[str, Any], None] | None = None
        self.archive = MinuteArchive(source, store, lambda symbol, factor: self._put("rebased", (symbol, factor), 0))
        self._numbering = Numbering(WallClock().now_ns() // NS_PER_MS)
        self._capacity, self._anchor = capacity, anchor
        self._grace_ns = int(grace_s * NS_PER_S)
        self._stale_after_s, self._verify_ns = stale_after_s, int(verify_every_s * NS_PER_S)
        self._drives_time = isinstance(source.clock, WallClock)
        self._cleaner = TradeCleaner(self.symbols, self.quarantine)
        self._builder = MinuteBuilder(self.calendar.sessions, grace_ns=self._grace_ns)
        self._backfiller = Backfiller(self._fetch, lambda outcome: self._put("history", outcome, 0), self.clock.now_ns, retry_s=retry_s)
        self._books: dict[str, SymbolBook] = {}  # symbol -> its series
        self._watched: dict[str, None] = {}  # symbols in order of watching
        self._dirty: set[str] = set()  # symbols whose forming bars are not published yet
        self._last_trades = np.zeros(0, TRADE_DTYPE)  # symbol id -> newest print
        self._last_quotes = np.zeros(0, QUOTE_DTYPE)  # symbol id -> newest quote
        self._gaps = GapBook()
        self._latency = LatencyBook()
        self._rhythm = Rhythm(self.calendar)
        self._status = FeedStatus(FeedState.IDLE, "not started", self.clock.now_ns())
        self._last_event_ns: int | None = None
        self._n_events = self._n_dropped = self._n_errors = 0
        self._dropped_since: int | None = None
        self._last_publish_ns = self._last_verify_ns = 0
        self._stopped_ns: int | None = None  # when the hub last stopped; what happened since has to be read from history
        self._left: dict[str, int] = {}  # symbol -> when it was last unwatched
        self._boards: dict[str, tuple[tuple[int, ...], BoardRow]] = {}  # symbol -> (state it was made of, line)
        self._last_due_minute = 0
        self._applied_ns = self.clock.now_ns()  # market time up to which events are applied (a replay's clock may be ahead)
        self._unstored: dict[str, int] = {}  # symbol -> ts_open of its first minute that is not stored yet
        self._queue: deque[tuple[str, Any, int, int]] = deque()  # (kind, payload, rows, clock when handed in)
        self._queued_rows = 0
        self._max_queued_rows = max_queued_rows
        self._is_busy = False
        self._changed = threading.Condition()
        self._lock = threading.RLock()
        self._accept_lock = threading.Lock()  # one call at a time, whichever thread it comes from
        self._watch_lock = threading.Lock()  # orders subscribing; never taken by the hub's thread
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    # -- what readers go by --------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Which life of the hub sequence numbers belong to: the machine's time of its start [ms UTC], and one more for each reset."""
        return self._numbering.epoch

    @property
    def seq(self) -> int:
        """The newest sequence number given. Read it before the series: then they hold every change up to it."""
        return self._numbering.seq

    @property
    def changes(self) -> int:
        """A count that grows with every change of a bar, closed or forming: unchanged means that no series has news."""
        return self._numbering.changes

    # -- running -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the hub's thread and the backfill workers; harmless when running."""
        if self._thread is not None:
            return
        self._is_stopping = False
        stopped_ns, self._stopped_ns = self._stopped_ns, None
        if stopped_ns is not None and self._drives_time:
            self.on_gap(FeedGap(stopped_ns, self.clock.now_ns(), "the hub was stopped"))
        self._backfiller.start()
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()
        if self.archive.has_store:
            self._storing = threading.Thread(target=self._store_now_and_then, name="hub-store", daemon=True)
            self._storing.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Apply what is queued now, then stop; bars stay readable. A source that still delivers is not waited for."""
        self._backfiller.stop(timeout_s)
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None
            self._stopped_ns = self.clock.now_ns()
        self.save()

    def pump(self) -> None:
        """Apply everything queued, and history that is due, on the calling thread (for use without `start`)."""
        while self._drain() or self._backfiller.run_due():
            pass
        self._last_publish_ns = 0  # who pumps looks next: forming bars are published now, not at the next turn
        self._tick()

    def wait_idle(self, timeout_s: float = 10.0, *, history: bool = False) -> bool:
        """Wait until everything handed in so far is applied (and, with `history`, until no read is pending); False on time-out."""
        deadline = monotonic_ns() + int(timeout_s * NS_PER_S)
        while monotonic_ns() < deadline:
            with self._changed:
                if not self._queue and not self._is_busy and not (history and self._backfiller.due()):
                    return True
                self._changed.wait(0.01)
        return False

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._queue and not self._is_stopping:
                    self._changed.wait(PUBLISH_WAIT_S if self._dirty else WAIT_S)
                is_last = self._is_stopping
            self._drain(limit=0 if is_last else 256)
            if is_last:
                self._last_publish_ns = 0
            self._tick()
            if is_last:
                return

    def _store_now_and_then(self) -> None:
        while not self._is_stopping:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopping, SAVE_EVERY_S)
            self.save()

    def _drain(self, limit: int = 0) -> bool:
        """Apply queued items, at most `limit` (0: all that are there now); True when more wait."""
        n = limit or len(self._queue)
        while n and self._queue:
            with self._changed:
                kind, payload, rows, _ = self._queue.popleft()
                self._queued_rows -= rows
                self._is_busy = True
            try:
                with self._lock:
                    getattr(self, f"_apply_{kind}")(payload)
            except Exception as error:  # noqa: BLE001  whatever a batch holds, it is counted and the feed goes on
                self._note_error(f"applying {kind}", error)
            n -= 1
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()
        return bool(self._queue)

    def _tick(self) -> None:
        """Close what is due by the wall clock and publish forming bars.

        Market time stands at the moment the oldest waiting item was handed in: what waits may belong to a minute that has ended.
        """
        with self._lock:
            try:
                if self._drives_time:
                    now_ns = self.clock.now_ns()
                    with self._changed:
                        self._applied_ns = min(now_ns, self._queue[0][3]) if self._queue else now_ns
                    self._advance(self._applied_ns)
                    self._verify()
            except Exception as error:  # noqa: BLE001
                self._note_error("closing minutes", error)
            now = monotonic_ns()
            if self._dirty and now - self._last_publish_ns >= PUBLISH_EVERY_NS:
                self._publish()
                cost_ns = monotonic_ns() - now
                self._last_publish_ns = now + PUBLISH_SHARE * cost_ns  # with many symbols less often: prints come first

    def _note_error(self, doing: str, error: Exception) -> None:
        """Count an exception and log it: one bad batch or bar must not end the feed."""
        self._n_errors += 1
        log.error("hub: %s failed", doing, exc_info=error)

    # -- what a source hands in (any thread; only enqueues) -----------------------------------------------------------------

    def on_trades(self, rows: np.ndarray) -> None:
        """Take prints, TRADE_DTYPE."""
        self._put("trades", rows, len(rows))

    def on_quotes(self, rows: np.ndarray) -> None:
        """Take quotes, QUOTE_DTYPE."""
        self._put("quotes", rows, len(rows))

    def on_bars(self, symbol: str, rows: np.ndarray) -> None:
        """Take the provider's own closed minutes."""
        self._put("bars", (symbol, rows), len(rows))

    def on_reject(self, reason: str, symbol: str, raw: bytes, ts_recv: int) -> None:
        """Quarantine an element that could not be decoded."""
        self.quarantine.put(reason, symbol, ts_recv, raw.decode("utf-8", "replace"))

    def on_status(self, status: FeedStatus) -> None:
        """Take a change of the feed's state."""
        self._put("status", status, 0)

    def on_gap(self, gap: FeedGap) -> None:
        """Take a span in which the feed was away."""
        self._put("gap", gap, 0)

    def on_time(self, now_ns: int) -> None:
        """Take the moment that a replayed or simulated market has reached."""
        self._put("time", now_ns, 0)

    def on_correction(self, symbol: str, ts_event_ns: int, reason: str) -> None:
        """Take news that a print of that moment was cancelled or corrected: its minute is distrusted and read again."""
        self._put("correction", (symbol, ts_event_ns, reason), 0)

    def on_reset(self, reason: str) -> None:
        """Forget all market state; the source tells it anew."""
        self._put("reset", reason, 0)

    def _put(self, kind: str, payload: Any, rows: int) -> None:
        with self._changed:
            is_full = self._queued_rows + rows > self._max_queued_rows and bool(self._queue) and rows > 0
            while is_full and not self._drives_time and self._thread is not None and not self._is_stopping:
                self._changed.wait(0.05)  # a replay can wait; the market can't
                is_full = self._queued_rows + rows > self._max_queued_rows and bool(self._queue)
            if is_full:
                self._n_dropped += rows
                if kind != "quotes":
                    first_ns = _first_ns(kind, payload)
                    self._dropped_since = first_ns if self._dropped_since is None else min(self._dropped_since, first_ns)
                return
            self._queue.append((kind, payload, rows, self.clock.now_ns()))
            self._queued_rows += rows
            self._changed.notify_all()

    # -- applying, on the hub's thread ---------------------------------------------------------------------------------------

    def _apply_trades(self, rows: np.ndarray) -> None:
        self._note_events(rows)
        good = self._cleaner.clean(rows, self.clock.now_ns())
        if not len(good):
            return
        changes = self._builder.add(good)
        accepted = np.delete(good, changes.rejected) if len(changes.rejected) else good
        self._accept("trades", accepted)
        self.tape.add_trades(accepted)
        self._last_trades = _keep_newest(self._last_trades, good, len(self.symbols))
        for i, code in zip(changes.rejected, changes.reasons, strict=True):
            self._put_aside(good[i], Reject(code))
        if len(changes.rows):
            self._close(changes.symbol_ids, changes.rows)
        self._dirty.update(self.symbols.name(int(sid)) for sid in np.unique(good["symbol_id"]))

    def _put_aside(self, row: np.void, why: Reject) -> None:
        symbol = self.symbols.name(int(row["symbol_id"]))
        self.quarantine.put(why.reason, symbol, int(row["ts_recv"]), repr(row))
        if why is Reject.TOO_LATE:  # its minute is no longer open for prints: history has to tell it
            minute = int(row["ts_event"]) // NS_PER_MIN * NS_PER_MIN
            held_from = self._book(symbol).minutes.first_ns
            if held_from is not None and minute >= held_from:  # a minute that nobody holds needs no repair
                self._gaps.away(symbol, minute, minute + NS_PER_MIN, "a print came too late for its minute")
                self._want(symbol, minute, minute + NS_PER_MIN)

    def _apply_quotes(self, rows: np.ndarray) -> None:
        self._note_events(rows)
        good = clean_quotes(rows, self.symbols, self.quarantine)
        self._accept("quotes", good)
        self.tape.add_quotes(good)
        self._last_quotes = _keep_newest(self._last_quotes, good, len(self.symbols))

    def _apply_bars(self, payload: tuple[str, np.ndarray]) -> None:
        symbol, rows = payload
        self._n_events += len(rows)
        self._last_event_ns = self.clock.now_ns()
        good = self._clean_bars(symbol, rows)
        self._accept("bars", (symbol, good))
        self._add_closed(symbol, good)

    def _accept(self, kind: str, rows: Any) -> None:
        """Tell whoever records, before anybody else can hear of it. What fails there is counted and logged, and ends nothing."""
        try:
            with self._accept_lock:
                if self.on_accepted is not None:
                    self.on_accepted(kind, rows)
        except Exception as error:  # noqa: BLE001
            self._note_error("recording", error)

    def _clean_bars(self, symbol: str, rows: np.ndarray) -> np.ndarray:
        return clean_bars(rows, symbol, self.calendar.sessions, self.clock.now_ns(), self.quarantine)

    def _apply_status(self, status: FeedStatus) -> None:
        self._status = status

    def _apply_time(self, now_ns: int) -> None:
        self._applied_ns = now_ns
        self._advance(now_ns)

    def _apply_gap(self, gap: FeedGap) -> None:
        """Distrust the minutes that the gap touches and read them again once they can be had."""
        start = gap.start_ns // NS_PER_MIN * NS_PER_MIN
        end = -(-gap.end_ns // NS_PER_MIN) * NS_PER_MIN
        first = start - LATE_MARGIN_NS if end - start < LONG_GAP_NS else self._week_start(start)
        for symbol in gap.symbols or tuple(self._watched):
            self._gaps.away(symbol, start, end, gap.reason)
            if self._book(symbol).distrust(start, end, self._market_ns()):
                self._dirty.add(symbol)
            self._want(symbol, first, end)

    def _apply_correction(self, payload: tuple[str, int, str]) -> None:
        """Distrust the minute of a print that was taken back: single prints are not kept, so only history can tell it anew."""
        symbol, ts_event_ns, reason = payload
        book = self._books.get(symbol)
        if book is None:
            return
        minute = ts_event_ns // NS_PER_MIN * NS_PER_MIN
        self._gaps.away(symbol, minute, minute + NS_PER_MIN, reason)
        if book.distrust(minute, minute + NS_PER_MIN, self._market_ns(), any_source=True):
            self._dirty.add(symbol)
        self._want(symbol, minute, minute + NS_PER_MIN)

    def _week_start(self, ts_ns: int) -> int:
        """Return where the week of a moment begins: what is older than the minutes held is rolled up from whole weeks only."""
        table = self.calendar.sessions
        week = week_number(table["date"])
        return int(table["pre_open"][np.searchsorted(week, week[self.calendar.latest(ts_ns)])])

    def _apply_reset(self, reason: str) -> None:
        log.info("hub: reset (%s)", reason)
        self._numbering.epoch += 1
        self.tape.reset()
        self._applied_ns = self.clock.now_ns()
        self._builder.reset()
        self._cleaner.reset()
        self._gaps.clear()
        self._dirty.clear()
        self._last_trades[:] = np.zeros((), TRADE_DTYPE)
        self._last_quotes[:] = np.zeros((), QUOTE_DTYPE)
        self._last_event_ns = self._dropped_since = None
        self._last_due_minute = 0
        self._left.clear()
        for symbol, book in self._books.items():
            book.reset()
            if symbol in self._watched:
                self._ensure_history(book, max(FIRST_SESSIONS, book.depth))

    def _apply_history(self, outcome: Outcome) -> None:
        job = outcome.job
        if job.epoch != self.epoch:
            return
        if outcome.history is not None:
            self._add_closed(job.symbol, self._clean_bars(job.symbol, outcome.history.rows))
            if outcome.history.is_complete:
                self._gaps.repair(job.symbol, job.start_ns, job.end_ns)
                return
        if outcome.is_final:
            why = str(outcome.error) if outcome.error is not None else "history could not be proved complete"
            self._gaps.open(job.symbol, job.start_ns, job.end_ns, why, failure=why, is_hopeless=outcome.is_hopeless)

    def _apply_rebased(self, payload: tuple[str, float]) -> None:
        """Forget a symbol's bars, which stand in prices from before a split, and read them again; readers are told."""
        symbol, factor = payload
        why = f"past prices were re-based by {factor:.6g} (a split?); bars are read again"
        self.quarantine.put("bars in prices from before a split", symbol, self.clock.now_ns(), why)
        book = self._book(symbol)
        book.reset()
        self._ensure_history(book, FIRST_SESSIONS)

    def _note_events(self, rows: np.ndarray) -> None:
        if not len(rows):
            return
        self._n_events += len(rows)
        self._latency.note(int(rows["ts_event"][-1]), int(rows["ts_recv"][-1]))
        self._last_event_ns = self.clock.now_ns()

    def _advance(self, now_ns: int) -> None:
        """Close the minutes whose grace is over at `now_ns`."""
        symbol_ids, rows = self._builder.advance(now_ns)
        if len(rows):
            self._close(symbol_ids, rows)
        if self._dropped_since is not None and self._queued_rows < self._max_queued_rows // 2:
            start, self._dropped_since = self._dropped_since, None
            self._apply_gap(FeedGap(start, now_ns, "events were dropped: the queue was full"))
        self._publish_due(now_ns)

    def _market_ns(self) -> int:
        """Market time as far as events are applied."""
        return self._applied_ns

    def _publish_due(self, now_ns: int) -> None:
        """Once a minute, publish every watched symbol: rolled bars become final though no print came since."""
        minute = (now_ns - self._grace_ns) // NS_PER_MIN
        if minute != self._last_due_minute:
            self._last_due_minute = minute
            self._dirty.update(self._watched)

    def _close(self, symbol_ids: np.ndarray, rows: np.ndarray) -> None:
        """Merge minutes built from trades; those that the feed did not wholly see are marked."""
        for sid in np.unique(symbol_ids):
            symbol = self.symbols.name(int(sid))
            mine = np.sort(rows[symbol_ids == sid], order="ts_open")
            self._gaps.mark(symbol, mine)
            self._add_closed(symbol, mine)

    def _add_closed(self, symbol: str, rows: np.ndarray) -> None:
        if not len(rows):
            return
        book = self._book(symbol)
        if book.add_minutes(rows, self._market_ns()):
            self._dirty.add(symbol)
            if self.archive.has_store and rows["source"][-1] in (BarSource.TRADES, BarSource.PROVIDER):
                first = int(rows["ts_open"][0])
                self._unstored[symbol] = min(first, self._unstored.get(symbol, first))

    def save(self) -> None:
        """Write the minutes that are not stored yet (called now and then by the storing thread, and by `stop`)."""
        with self._lock:
            spans, self._unstored = self._unstored, {}
            parts = {symbol: self._books[symbol].minutes.rows_from(start) for symbol, start in spans.items()}
        for symbol, rows in parts.items():
            try:
                self.archive.keep(symbol, rows)
            except (StoreError, OSError) as error:
                self._n_errors += 1
                log.error("bars of %s are not stored: %s", symbol, error)  # noqa: TRY400  the sentence is enough, no traceback
                with self._lock:  # nothing is lost while memory holds it: tried again at the next turn
                    self._unstored[symbol] = min(spans[symbol], self._unstored.get(symbol, spans[symbol]))

    def _publish(self) -> None:
        now_ns = self._market_ns()
        dirty, self._dirty = self._dirty, set()
        for symbol in dirty:
            book = self._books.get(symbol)
            if book is not None:
                sid = self.symbols.get(symbol)
                try:
                    open_minutes = self._builder.open_bars(sid) if sid is not None else np.zeros(0, BAR_DTYPE)
                    book.publish(open_minutes, now_ns)
                except Exception as error:  # noqa: BLE001  the other symbols are published
                    self._note_error(f"publishing {symbol}", error)

    def _verify(self) -> None:
        """Compare recent minutes with the source's history now and then: a healthy stream still loses single frames."""
        now_ns = self.clock.now_ns()
        if not self._verify_ns or now_ns - self._last_verify_ns < self._verify_ns:
            return
        if self._last_verify_ns:
            end = (now_ns - self._grace_ns) // NS_PER_MIN * NS_PER_MIN
            for gap in self._gaps.all():  # reads that were given up: the provider may be back
                if not gap.is_hopeless and gap.end_ns < now_ns - OVERDUE_NS and not self._backfiller.pending(gap.symbol):
                    self._want(gap.symbol, gap.start_ns, gap.end_ns)
            for symbol in self._watched:
                self._want(symbol, end - self._verify_ns - LATE_MARGIN_NS, end)
        self._last_verify_ns = now_ns

    # -- history -------------------------------------------------------------------------------------------------------------

    def _fetch(self, symbol: str, start_ns: int, end_ns: int) -> Any:
        return self.archive.read(symbol, start_ns, end_ns)

    def _want(self, symbol: str, start_ns: int, end_ns: int) -> None:
        """Ask for a span; when its last minute is still open, only after it can be had."""
        self._backfiller.want(symbol, start_ns, end_ns, epoch=self.epoch, after_ns=end_ns + self._grace_ns)

    def _ensure_history(self, book: SymbolBook, sessions: int) -> None:
        """Ask for whole weeks of minutes back to `sessions` before now, newest chunk first, unless that was done."""
        book.depth = max(book.depth, sessions)
        now_ns = self.clock.now_ns()
        table = self.calendar.sessions
        index = self.calendar.latest(now_ns)
        week = week_number(table["date"])
        first = int(np.searchsorted(week, week[max(0, index - sessions)]))
        start = int(table["pre_open"][first])
        end = book.history_from if book.history_from is not None else now_ns // NS_PER_MIN * NS_PER_MIN
        if start >= end:
            return
        book.history_from = start
        edges = np.unique(table["pre_open"][np.searchsorted(week, week[first : index + 1])])[::-1]  # week starts, newest first
        edges = edges[edges < end]
        for k in range(0, len(edges), CHUNK_WEEKS):
            chunk_start = int(edges[min(k + CHUNK_WEEKS, len(edges)) - 1])
            self._backfiller.want(book.symbol, chunk_start, end, epoch=self.epoch)
            end = chunk_start

    def _book(self, symbol: str) -> SymbolBook:
        book = self._books.get(symbol)
        if book is None:
            book = SymbolBook(symbol, self.calendar, self._numbering, capacity=self._capacity, grace_ns=self._grace_ns, anchor=self._anchor)
            self._books[symbol] = book
        return book

    # -- reading (any thread) --------------------------------------------------------------------------------------------------

    @property
    def source_info(self) -> Any:
        """What the source is and can do (`SourceInfo`)."""
        return self.source.info

    def watch(self, symbol: str) -> None:
        """Subscribe to a symbol and read its recent sessions; harmless when watched. SymbolError when there is no such symbol."""
        check_symbol(symbol)
        known = self.source.info.symbols
        if known and symbol not in known:
            raise SymbolError(f"symbol: received {choices(symbol, known)} (all that source {self.source.info.name!r} has)")
        if symbol in self._watched:
            return
        with self._watch_lock:
            if symbol in self._watched:
                return
            self.source.subscribe([symbol])  # without the hub's lock: a source may hold its own while it waits for room in the queue
            with self._lock:
                self.symbols.intern(symbol)
                self._watched[symbol] = None
                self._begin_history(self._book(symbol))

    def _begin_history(self, book: SymbolBook) -> None:
        """Ask for what went before the first print to come, and distrust minutes of which prints may be missing."""
        now_ns = self.clock.now_ns()
        minute, sure = (t // NS_PER_MIN * NS_PER_MIN for t in (now_ns, now_ns + SUBSCRIBE_NS))
        left_ns = self._left.pop(book.symbol, None)
        if left_ns is not None or not self.source.info.is_replay:
            start = minute if left_ns is None else left_ns // NS_PER_MIN * NS_PER_MIN
            first = start if minute - start < LONG_GAP_NS else self._week_start(start)
            self._gaps.away(book.symbol, start, sure + NS_PER_MIN, "the symbol was not watched before")
            self._want(book.symbol, first, sure + NS_PER_MIN)
        self._ensure_history(book, FIRST_SESSIONS)

    def unwatch(self, symbol: str) -> None:
        """Stop following a symbol; its bars stay readable. Harmless when not watched."""
        with self._watch_lock:
            with self._lock:
                if symbol not in self._watched:
                    return
                del self._watched[symbol]
                now_ns = self._left[symbol] = self.clock.now_ns()
                minute = now_ns // NS_PER_MIN * NS_PER_MIN
                self._gaps.miss(symbol, minute, minute + NS_PER_MIN + SUBSCRIBE_NS)
            self.source.unsubscribe([symbol])

    def watched(self) -> tuple[str, ...]:
        """Return the symbols followed, in the order they were added."""
        return tuple(self._watched)

    def series(self, symbol: str, timeframe: str | Timeframe) -> Series:
        """Return the live series of a symbol (watching it) and timeframe, and have its history read deep enough to chart."""
        frame = Timeframe.parse(timeframe)
        book = self._books.get(symbol) if symbol in self._watched else None
        ready = book.ready.get(frame.label) if book is not None else None
        if ready is not None:  # asked for before: no lock, whoever asks at every frame waits for nobody
            return ready
        self.watch(symbol)
        with self._lock:
            book = self._book(symbol)
            series = book.series(frame, self._market_ns())
            self._ensure_history(book, _sessions_wanted(frame))
            book.ready[frame.label] = series
        return series

    def cursor(self, symbol: str, timeframe: str | Timeframe, n: int | None = None) -> Cursor:
        """Return a new reader of a series; its first read is a snapshot of the newest `n` bars."""
        return self.series(symbol, timeframe).cursor(n)

    def older(self, symbol: str, timeframe: str | Timeframe, before_ns: int, limit: int = 500) -> np.ndarray:
        """Return up to `limit` closed bars with ts_open < before_ns, oldest first, BAR_DTYPE. May block on the provider."""
        frame = Timeframe.parse(timeframe)
        series = self.series(symbol, frame)
        held = series.rows()
        inside = held[held["ts_open"] < before_ns]
        if len(inside) >= limit or self.calendar.span[0] >= before_ns:
            return inside[-limit:]
        end = int(inside["ts_open"][0]) if len(inside) else before_ns
        parts, sessions = [inside], _sessions_wanted(frame, limit - len(inside))
        while sum(map(len, parts)) < limit and end > self.calendar.span[0] and sessions <= 2 * DEEPEST_SESSIONS:
            part, begin = self._read_back(symbol, frame, end, sessions)
            parts.insert(0, part)
            end, sessions = min(begin, end), 2 * sessions  # a symbol that seldom trades has fewer bars a session: look further back
        return np.concatenate(parts)[-limit:]

    def _read_back(self, symbol: str, frame: Timeframe, before_ns: int, sessions: int) -> tuple[np.ndarray, int]:
        """Return the closed bars that open in the weeks before a moment, rolled up from whole weeks, and where those weeks begin."""
        table = self.calendar.sessions
        week = week_number(table["date"])
        last = self.calendar.latest(before_ns - 1)
        begin = self._week_start(int(table["pre_open"][max(0, last - sessions)]))
        week_end = int(table["post_close"][int(np.searchsorted(week, week[last], side="right")) - 1])
        until = before_ns if frame.label == "1m" else min(week_end, self.clock.now_ns())
        rows = self._clean_bars(symbol, self.archive.read(symbol, begin, until).rows)
        rolled = rows if frame.label == "1m" else rollup(rows, frame, table, anchor=self._anchor)
        return rolled[(rolled["ts_open"] < before_ns) & (rolled["ts_close"] <= self.clock.now_ns())], begin

    def bars(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        n: int | None = None,
        *,
        start: Any = None,
        end: Any = None,
        forming: bool = True,
    ) -> pd.DataFrame:
        """Return bars as a DataFrame indexed by New York time of their open, the forming bar last (`is_partial`).

        `n`: the newest n. `start`, `end`: anything pandas reads as a time; naive times are New York.
        """
        import pandas as pd

        frame = Timeframe.parse(timeframe)
        update = self.series(symbol, frame).snapshot()
        rows = update.rows
        if forming and update.forming is not None:
            rows = np.concatenate([rows, update.forming])
        for bound, is_start in ((start, True), (end, False)):
            if bound is not None:
                moment = pd.Timestamp(bound)
                moment = moment.tz_localize("America/New_York") if moment.tz is None else moment
                ts_ns = moment.as_unit("ns").value
                rows = rows[rows["ts_open"] >= ts_ns] if is_start else rows[rows["ts_open"] <= ts_ns]
        return to_frame(rows if n is None else rows[max(0, len(rows) - n) :], symbol=symbol, timeframe=frame.label)

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote, or None before the first."""
        row = self._newest(self._last_quotes, symbol)
        return None if row is None else quote_from_row(row, self.symbols)

    def last_trade(self, symbol: str) -> Trade | None:
        """Return the newest print by stamp, of any condition, or None before the first."""
        row = self._newest(self._last_trades, symbol)
        return None if row is None else trade_from_row(row, self.symbols)

    def board(self, symbol: str) -> BoardRow:
        """Return the watchlist line of a symbol."""
        book = self._books.get(symbol)
        if book is None:
            return BoardRow(symbol)
        now_ns, minutes = self.clock.now_ns(), book.minutes
        state = (minutes.epoch, minutes.seq, minutes.forming_version, now_ns // NS_PER_MIN)
        known = self._boards.get(symbol)
        if known is None or known[0] != state:
            known = self._boards[symbol] = (state, board_row(book, self.calendar, now_ns))
        return known[1]

    def vwap(self, symbol: str, n: int | None = None) -> np.ndarray:
        """Return the average price of the present regular session, from 09:30 on, with bands of 1 and 2 standard deviations.

        VWAP_DTYPE, one row for each of the newest `n` (default all) minutes of the session, the forming one last.
        """
        update = self.series(symbol, "1m").snapshot()
        rows = update.rows if update.forming is None else np.concatenate([update.rows, update.forming])
        return session_vwap(rows, self.calendar, n)

    def health(self, symbol: str | None = None) -> Health:
        """Return how far the feed, or one symbol of it, can be trusted at this moment."""
        now_ns = self.clock.now_ns()
        segment = self.calendar.segment(now_ns)
        last_ns = event_ns = self._last_event_ns
        if symbol is not None:
            row = self._newest(self._last_trades, symbol)
            last_ns = None if row is None else int(row["ts_event"])
        reading = self._backfiller.due(symbol)
        overdue = self._gaps.overdue(now_ns - OVERDUE_NS, symbol)
        bell_ns = int(self.calendar.sessions["open"][self.calendar.latest(now_ns)])
        quiet_since = max(event_ns or 0, self._status.ts_ns, bell_ns) if self._watched else None
        info, stale_s = self.source.info, self._stale_after_s
        is_unread = bool(self._backfiller.due()) or self._gaps.failed() is not None
        usual_s = self._rhythm.pause_s(now_ns, None if is_unread else self._minutes_from)
        notes = FeedNotes(self._status, info, segment, now_ns, quiet_since, stale_s, reading, overdue, self._n_errors, usual_s)
        mode, reason = decide(notes)
        p50, p95 = self._latency.percentiles()
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
            n_events=self._n_events,
            gaps=overdue,
            gaps_repaired=self._gaps.n_repaired,
            backfilling=reading,
            dropped=self._n_dropped,
            errors=self._n_errors,
            queued=self._queued_rows,
            quarantined=self.quarantine.counts(symbol),
            history_trouble=history_trouble(self._backfiller.failure(symbol), self._gaps.failed(symbol)),
        )

    def _minutes_from(self, start_ns: int) -> Iterator[np.ndarray]:
        return (book.minutes.rows_from(start_ns) for symbol in self.watched() if (book := self._books.get(symbol)) is not None)

    @property
    def gaps(self) -> tuple[Any, ...]:
        """Spans not yet proved complete (`gaps.OpenGap`)."""
        return self._gaps.all()

    def microbar(self, symbol: str) -> np.ndarray | None:
        """Return the newest 50 ms bar of a symbol, BAR_DTYPE shape (1,), or None."""
        sid = self.symbols.get(symbol)
        with self._lock:
            row = self._builder.micro(sid) if sid is not None else np.zeros(0, BAR_DTYPE)
        return row if len(row) else None

    def _newest(self, table: np.ndarray, symbol: str) -> Any:
        sid = self.symbols.get(symbol)
        if sid is None or sid >= len(table) or not table["ts_event"][sid]:
            return None
        return table[sid].copy()

    def __repr__(self) -> str:
        return f"<Hub {self.source.info.name} {self.health().mode.value}: {', '.join(self._watched) or 'nothing watched'}>"

    def _repr_html_(self) -> str:
        health = self.health()
        title = html.escape(f"Hub: {self.source.info.name} ({self.source.info.detail}), {health.mode.value} {health.reason}")
        lines = (self.board(symbol) for symbol in self._watched)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line.cells())}</tr>" for line in lines)
        return f"<table><caption>{title}</caption><tr><th>symbol</th><th>last</th><th>change</th><th>volume</th></tr>{body}</table>"


def _first_ns(kind: str, payload: Any) -> int:
    """Return the market time of the earliest event in a batch of prints or bars."""
    return int(payload["ts_event"].min()) if kind == "trades" else int(payload[1]["ts_open"].min())


def _sessions_wanted(frame: Timeframe, bars: int = CHART_BARS) -> int:
    """Return how many sessions of minutes hold about `bars` bars of a timeframe."""
    if frame.label == "1w":
        return min(DEEPEST_SESSIONS, 5 * bars)
    if frame.label == "1d":
        return min(DEEPEST_SESSIONS, bars)
    per_session = max(1, 960 * NS_PER_MIN // frame.length_ns)
    return max(FIRST_SESSIONS, min(DEEPEST_SESSIONS, -(-bars // per_session)))


def _keep_newest(table: np.ndarray, rows: np.ndarray, n_symbols: int) -> np.ndarray:
    """Return `table` (one row per symbol id) with the newest of `rows` by stamp put in; a late print does not move it back."""
    if len(table) < n_symbols:
        grown = np.zeros(max(n_symbols, 2 * len(table), 16), rows.dtype)
        grown[: len(table)] = table
        table = grown
    fresh = rows[rows["ts_event"] >= table["ts_event"][rows["symbol_id"]]]
    if len(fresh) > 1:
        fresh = fresh[np.argsort(fresh["ts_event"], kind="stable")]
    table[fresh["symbol_id"]] = fresh
    return table
