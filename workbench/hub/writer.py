"""The one writer of market state: what each thing handed in does to the bars of all symbols.

Clean → minutes → closed bars by clock → merge → series → forming bars. Store, then publish: whoever records is told first, and
when anybody hears of a bar, it can be read.

Floor 2. Called by the hub alone, under its lock, on its thread (`follow`, `leave` and `book`: on the thread of a reader).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_MS, NS_PER_S, WallClock
from workbench.hub.backfill import Backfiller, Job, Outcome
from workbench.hub.bars import MinuteBuilder, Reject
from workbench.hub.book import SymbolBook
from workbench.hub.clean import Quarantine, Quarantined, TradeCleaner, clean_bars, clean_quotes
from workbench.hub.event_tape import EventTape
from workbench.hub.gaps import GapBook
from workbench.hub.health import LatencyBook
from workbench.hub.inbox import Inbox
from workbench.hub.minutes import MinuteArchive, MinuteStore
from workbench.hub.newest import NewestRows
from workbench.hub.plan import FIRST_SESSIONS, LONG_GAP_NS, HistoryPlan
from workbench.hub.saving import MinuteSaver
from workbench.hub.series import Numbering, Series
from workbench.options.chain import Chain
from workbench.sessions import Anchor, SessionCalendar
from workbench.sources.base import FeedGap, FeedState, FeedStatus, Source
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, SymbolTable

log = logging.getLogger(__name__)

SUBSCRIBE_NS = 5 * NS_PER_S  # a subscription has taken effect by then


class Writer:
    """Books, ledgers and counters of one source. Parameters are the hub's (`hub.py`); `lock` is the hub's lock."""

    def __init__(
        self,
        source: Source,
        calendar: SessionCalendar,
        inbox: Inbox,
        lock: Any,
        *,
        store: MinuteStore | None,
        capacity: int,
        grace_ns: int,
        anchor: Anchor,
        verify_ns: int,
        retry_s: float,
    ) -> None:
        self.symbols = SymbolTable()
        self.numbering = Numbering(WallClock().now_ns() // NS_PER_MS)
        self.quarantine = Quarantine(self._tell_quarantined)
        self.tape = EventTape()
        self.on_accepted: Callable[[str, Any], None] | None = None
        self.archive = MinuteArchive(source, store, lambda symbol, factor: inbox.put_history("rebased", (symbol, factor)))
        self.saver = MinuteSaver(self.archive, lock, lambda symbol, start: self.books[symbol].minutes.rows_from(start), self._count_error)
        self.backfiller = Backfiller(self.archive.read, self._hand_in, source.clock.now_ns, retry_s=retry_s)
        self.gaps = GapBook()
        self.plan = HistoryPlan(self.backfiller, calendar, source.clock, self.gaps, self.numbering, grace_ns=grace_ns, verify_ns=verify_ns)
        self.books: dict[str, SymbolBook] = {}  # symbol -> its series
        self.watched: dict[str, None] = {}  # symbols in order of watching
        self.refused: dict[str, str] = {}  # symbol -> why its history is refused for good
        self.last_trades, self.last_quotes = NewestRows(TRADE_DTYPE), NewestRows(QUOTE_DTYPE)
        self.latency = LatencyBook()
        self.status = FeedStatus(FeedState.IDLE, "not started", source.clock.now_ns())
        self.last_event_ns: int | None = None
        self.n_events = self.n_errors = 0
        self.applied_ns = source.clock.now_ns()  # market time up to which events are applied (a replay's clock may be ahead)
        self.dirty: set[str] = set()  # symbols whose forming bars are not published yet
        self._source, self._clock, self._calendar, self._inbox = source, source.clock, calendar, inbox
        self._capacity, self._grace_ns, self._anchor = capacity, grace_ns, anchor
        self._cleaner = TradeCleaner(self.symbols, self.quarantine)
        self._builder = MinuteBuilder(calendar.sessions, grace_ns=grace_ns)
        self.passing: set[str] = set()  # symbols delivered but not followed: a newest quote and print, no bars
        self._left: dict[str, int] = {}  # symbol -> when it was last unwatched
        self._corrected: dict[tuple[str, int], int] = {}  # (symbol, minute) of a print that was taken back -> when that was told
        self._last_due_minute = 0
        self._accept_lock = threading.Lock()  # one call at a time, whichever thread it comes from

    def apply(self, kind: str, payload: Any) -> None:
        """Apply one item of the inbox. Raises whatever a batch that can't be applied makes it raise."""
        getattr(self, f"_apply_{kind}")(payload)

    def note_error(self, doing: str, error: Exception) -> None:
        """Count an exception and log it: one bad batch or bar must not end the feed."""
        self._count_error()
        log.error("hub: %s failed", doing, exc_info=error)

    def _count_error(self) -> None:
        self.n_errors += 1

    # -- events --------------------------------------------------------------------------------------------------------------

    def _apply_trades(self, rows: np.ndarray) -> None:
        self._note_events(rows)
        good = self._cleaner.clean(rows, self._clock.now_ns())
        if not len(good):
            return
        changes = self._builder.add(good)
        accepted = np.delete(good, changes.rejected) if len(changes.rejected) else good
        self._accept("trades", accepted)
        self.tape.add_trades(accepted)
        self.last_trades.put(good, len(self.symbols))
        for i, code in zip(changes.rejected, changes.reasons, strict=True):
            self._put_aside(good[i], Reject(code))
        if len(changes.rows):
            self._close(changes.symbol_ids, changes.rows)
        self.dirty.update(self.symbols.name(int(sid)) for sid in np.unique(good["symbol_id"]))

    def _put_aside(self, row: np.void, why: Reject) -> None:
        symbol = self.symbols.name(int(row["symbol_id"]))
        self.quarantine.put(why.reason, symbol, int(row["ts_recv"]), repr(row))
        if why is Reject.TOO_LATE:  # its minute is no longer open for prints: history has to tell it
            minute = int(row["ts_event"]) // NS_PER_MIN * NS_PER_MIN
            held_from = self.book(symbol).minutes.first_ns
            if held_from is not None and minute >= held_from:  # a minute that nobody holds needs no repair
                self._miss(symbol, minute, minute + NS_PER_MIN, "a print came too late for its minute")
                self.plan.want(symbol, minute, minute + NS_PER_MIN)

    def _apply_quotes(self, rows: np.ndarray) -> None:
        self._note_events(rows)
        good = clean_quotes(rows, self.symbols, self.quarantine)
        self._accept("quotes", good)
        self.tape.add_quotes(good)
        self.last_quotes.put(good, len(self.symbols))

    def _apply_bars(self, payload: tuple[str, np.ndarray]) -> None:
        symbol, rows = payload
        self.n_events += len(rows)
        self.last_event_ns = self._clock.now_ns()
        good = self.clean_bars(symbol, rows)
        self._accept("bars", (symbol, good))
        self._add_closed(symbol, good)

    def clean_bars(self, symbol: str, rows: np.ndarray) -> np.ndarray:
        """Return the minutes that may be stored; the others are quarantined."""
        return clean_bars(rows, symbol, self._calendar.sessions, self._clock.now_ns(), self.quarantine)

    def _note_events(self, rows: np.ndarray) -> None:
        if not len(rows):
            return
        self.n_events += len(rows)
        now_ns = self.last_event_ns = self._clock.now_ns()
        self.latency.note(int(rows["ts_event"][-1]), int(rows["ts_recv"][-1]), now_ns)

    def _accept(self, kind: str, rows: Any) -> None:
        """Tell whoever records, before anybody else can hear of it. What fails there is counted and logged, and ends nothing."""
        try:
            with self._accept_lock:
                if self.on_accepted is not None:
                    self.on_accepted(kind, rows)
        except Exception as error:  # noqa: BLE001
            self.note_error("recording", error)

    def tell_chain(self, chain: Chain) -> None:
        """Tell whoever records of an option chain's snapshot; on the thread of the chain's feed."""
        self._accept("chain", chain)

    def _tell_quarantined(self, one: Quarantined) -> None:
        self._accept("quarantined", (one.reason, one.symbol, one.ts_recv, one.raw))

    def _miss(self, symbol: str, start_ns: int, end_ns: int, reason: str) -> None:
        """Note a span whose prints were not all seen."""
        self.gaps.away(symbol, start_ns, end_ns, reason)
        self._accept("gap", (symbol, start_ns, end_ns, reason))

    # -- what is said of the feed --------------------------------------------------------------------------------------------

    def _apply_status(self, status: FeedStatus) -> None:
        self.status = status

    def _apply_time(self, now_ns: int) -> None:
        self.advance(now_ns)

    def _apply_gap(self, gap: FeedGap) -> None:
        """Distrust the minutes that the gap touches and read them again once they can be had."""
        start = gap.start_ns // NS_PER_MIN * NS_PER_MIN
        end = -(-gap.end_ns // NS_PER_MIN) * NS_PER_MIN
        for symbol in gap.symbols or tuple(self.watched):
            self._miss(symbol, start, end, gap.reason)
            if self.book(symbol).distrust(start, end, self.applied_ns):
                self.dirty.add(symbol)
            self.plan.want_again(symbol, start, end)

    def _apply_correction(self, payload: tuple[str, int, str]) -> None:
        """Distrust the minute of a print that was taken back: single prints are not kept, so only history can tell it anew."""
        symbol, ts_event_ns, reason = payload
        book = self.books.get(symbol)
        if book is None:
            return
        minute = ts_event_ns // NS_PER_MIN * NS_PER_MIN
        self.gaps.away(symbol, minute, minute + NS_PER_MIN, reason)
        self._accept("correction", payload)
        self.archive.doubt(symbol, minute, minute + NS_PER_MIN)
        self._corrected[symbol, minute] = self._clock.now_ns()
        if book.distrust(minute, minute + NS_PER_MIN, self.applied_ns, any_source=True):
            self.dirty.add(symbol)
        self.plan.want_anew(symbol, minute, book.minutes.first_ns or 0)

    def _apply_reset(self, reason: str) -> None:
        log.info("hub: reset (%s)", reason)
        self.numbering.epoch += 1
        self.tape.reset()
        self.applied_ns = self._clock.now_ns()
        self._builder.reset()
        self._cleaner.reset()
        self.gaps.clear()
        self.dirty.clear()
        self.last_trades.clear()
        self.last_quotes.clear()
        self._inbox.forget_drops()
        self.last_event_ns = None
        self._last_due_minute = 0
        self._left.clear()
        self._corrected.clear()
        for symbol, book in self.books.items():
            book.reset()
            if symbol in self.watched:
                self.plan.ensure(book, max(FIRST_SESSIONS, book.depth))

    # -- history ---------------------------------------------------------------------------------------------------------------

    def _hand_in(self, outcome: Outcome) -> None:
        """Clean what a read brought and put it before the hub in pieces that are quickly applied; on the reader's thread."""
        if outcome.history is not None:
            for rows in self.plan.pieces(self.clean_bars(outcome.job.symbol, outcome.history.rows)):
                self._inbox.put_history("past", (outcome.job, rows))
        self._inbox.put_history("history", outcome)

    def _apply_past(self, payload: tuple[Job, np.ndarray]) -> None:
        job, rows = payload
        if job.epoch == self.numbering.epoch:
            self._accept("history", (job.symbol, rows))
            self._add_closed(job.symbol, rows)

    def _apply_history(self, outcome: Outcome) -> None:
        """Note how a read ended whose minutes are all applied."""
        job = outcome.job
        if outcome.is_hopeless:
            self.refused[job.symbol] = str(outcome.error)
        if job.epoch != self.numbering.epoch:
            return
        if outcome.history is not None and outcome.history.is_complete:
            self.gaps.repair(job.symbol, job.start_ns, job.end_ns)
            self._settle_corrections(job, outcome.history.rows)
        elif outcome.is_final:
            why = str(outcome.error) if outcome.error is not None else "history could not be proved complete"
            self.gaps.open(job.symbol, job.start_ns, job.end_ns, why, failure=why, is_hopeless=outcome.is_hopeless)

    def _settle_corrections(self, job: Job, rows: np.ndarray) -> None:
        """Take minutes back that history does not hold any more; a read that was asked for before the news proves nothing of them."""
        for (symbol, minute), told_ns in list(self._corrected.items()):
            if symbol != job.symbol or not job.start_ns <= minute < job.end_ns:
                continue
            book = self.book(symbol)
            if job.after_ns < told_ns:
                self.gaps.open(symbol, minute, minute + NS_PER_MIN, "a print was taken back; history is read again")
                book.distrust(minute, minute + NS_PER_MIN, self.applied_ns, any_source=True)
                continue
            del self._corrected[symbol, minute]
            if not (rows["ts_open"] == minute).any() and book.remove(minute, self.applied_ns):
                self.dirty.add(symbol)

    def _apply_rebased(self, payload: tuple[str, float]) -> None:
        """Forget a symbol's bars, which stand in prices from before a split, and read them again; readers are told."""
        symbol, factor = payload
        why = f"past prices were re-based by {factor:.6g} (a split?); bars are read again"
        self.quarantine.put("bars in prices from before a split", symbol, self._clock.now_ns(), why)
        book = self.book(symbol)
        book.reset()
        self.plan.ensure(book, FIRST_SESSIONS)

    # -- closing and publishing ------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Let market time reach `now_ns`: close the minutes whose grace is over."""
        self.applied_ns = now_ns
        symbol_ids, rows = self._builder.advance(now_ns)
        if len(rows):
            self._close(symbol_ids, rows)
            self.latency.note_bars(rows["ts_close"], self._clock.now_ns() - self._grace_ns)
        dropped_since = self._inbox.dropped_since()
        if dropped_since is not None:
            self._apply_gap(FeedGap(dropped_since, now_ns, "events were dropped: the queue was full"))
        minute = (now_ns - self._grace_ns) // NS_PER_MIN
        if minute != self._last_due_minute:  # once a minute all are published: rolled bars become final though no print came since
            self._last_due_minute = minute
            self.dirty.update(self.watched)

    def publish(self) -> None:
        """Publish the forming bars of every symbol that has changed since."""
        dirty, self.dirty = self.dirty, set()
        for symbol in dirty:
            book = self.books.get(symbol)
            if book is not None:
                sid = self.symbols.get(symbol)
                try:
                    open_minutes = self._builder.open_bars(sid) if sid is not None else np.zeros(0, BAR_DTYPE)
                    book.publish(open_minutes, self.applied_ns)
                except Exception as error:  # noqa: BLE001  the other symbols are published
                    self.note_error(f"publishing {symbol}", error)

    def microbar(self, symbol: str) -> np.ndarray:
        """Return the newest 50 ms bar of a symbol, BAR_DTYPE shape (1,), or (0,)."""
        sid = self.symbols.get(symbol)
        return self._builder.micro(sid) if sid is not None else np.zeros(0, BAR_DTYPE)

    def _close(self, symbol_ids: np.ndarray, rows: np.ndarray) -> None:
        """Merge minutes built from trades; those that the feed did not wholly see are marked."""
        for sid in np.unique(symbol_ids):
            symbol = self.symbols.name(int(sid))
            mine = np.sort(rows[symbol_ids == sid], order="ts_open")
            self.gaps.mark(symbol, mine)
            self._add_closed(symbol, mine)

    def _add_closed(self, symbol: str, rows: np.ndarray) -> None:
        if len(rows) and symbol not in self.passing and self.book(symbol).add_minutes(rows, self.applied_ns):
            self.dirty.add(symbol)
            self.saver.note(symbol, rows)

    # -- symbols ---------------------------------------------------------------------------------------------------------------

    def book(self, symbol: str) -> SymbolBook:
        """Return the series of a symbol."""
        book = self.books.get(symbol)
        if book is None:
            book = self.books[symbol] = SymbolBook(
                symbol, self._calendar, self.numbering, capacity=self._capacity, grace_ns=self._grace_ns, anchor=self._anchor
            )
        return book

    def follow(self, symbol: str) -> None:
        """Ask for what went before the first print to come, and distrust minutes of which prints may be missing."""
        self.symbols.intern(symbol)
        self.refused.pop(symbol, None)
        self.watched[symbol] = None
        now_ns = self._clock.now_ns()
        minute, sure = (t // NS_PER_MIN * NS_PER_MIN for t in (now_ns, now_ns + SUBSCRIBE_NS))
        left_ns = self._left.pop(symbol, None)
        if left_ns is not None or not self._source.info.is_replay:
            start = minute if left_ns is None else left_ns // NS_PER_MIN * NS_PER_MIN
            first = start if minute - start < LONG_GAP_NS else self.plan.week_start(start)
            self._miss(symbol, start, sure + NS_PER_MIN, "the symbol was not watched before")
            self.plan.want(symbol, first, sure + NS_PER_MIN)
        self.plan.ensure(self.book(symbol), FIRST_SESSIONS)

    def leave(self, symbol: str) -> None:
        """Note since when a symbol is not followed any more."""
        del self.watched[symbol]
        now_ns = self._left[symbol] = self._clock.now_ns()
        minute = now_ns // NS_PER_MIN * NS_PER_MIN
        self.gaps.miss(symbol, minute, minute + NS_PER_MIN + SUBSCRIBE_NS)

    def minutes_from(self, start_ns: int) -> Iterator[np.ndarray]:
        """Return the closed minutes of each symbol watched from a moment on."""
        return (book.minutes.rows_from(start_ns) for symbol in tuple(self.watched) if (book := self.books.get(symbol)) is not None)

    def ready(self, symbol: str, label: str) -> Series | None:
        """Return a series that was asked for before, without any lock: whoever asks at every frame waits for nobody."""
        book = self.books.get(symbol) if symbol in self.watched else None
        return book.ready.get(label) if book is not None else None
