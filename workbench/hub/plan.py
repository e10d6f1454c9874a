"""Which spans of history the hub wants, and when: deep enough for a chart, again where the feed was away, now and then to verify.

Floor 2. Called under the hub's lock; the reads themselves run in `backfill.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_S, Clock
from workbench.hub.backfill import Backfiller
from workbench.hub.book import SymbolBook
from workbench.hub.gaps import GapBook
from workbench.hub.series import Numbering
from workbench.sessions import SessionCalendar, week_number
from workbench.types import Timeframe

FIRST_SESSIONS = 5  # sessions of minutes read when a symbol is first watched
DEEPEST_SESSIONS = 520
CHART_BARS = 700  # bars a chart wants at once: the visible window and a margin
CHUNK_WEEKS = 4
OVERDUE_NS = 30 * NS_PER_S  # history of a closed minute can be had by then
LATE_MARGIN_NS = 15 * NS_PER_MIN  # providers change bars for this long after the minute
LONG_GAP_NS = 24 * 60 * NS_PER_MIN  # after a longer one, whole weeks are read again


class HistoryPlan:
    """Asks for history. `verify_ns`: how often recent minutes are compared with the source's history; 0 never."""

    def __init__(
        self,
        backfiller: Backfiller,
        calendar: SessionCalendar,
        clock: Clock,
        gaps: GapBook,
        numbering: Numbering,
        *,
        grace_ns: int,
        verify_ns: int,
    ) -> None:
        self._backfiller, self._calendar, self._clock, self._gaps, self._numbering = backfiller, calendar, clock, gaps, numbering
        self._grace_ns, self._verify_ns = grace_ns, verify_ns
        self._last_verify_ns = 0

    def want(self, symbol: str, start_ns: int, end_ns: int) -> None:
        """Ask for a span; when its last minute is still open, only after it can be had."""
        self._backfiller.want(symbol, start_ns, end_ns, epoch=self._numbering.epoch, after_ns=end_ns + self._grace_ns)

    def want_again(self, symbol: str, start_ns: int, end_ns: int) -> None:
        """Ask for a span in which the feed was away, with a margin for late changes; after a long one, for its whole weeks."""
        is_long = end_ns - start_ns >= LONG_GAP_NS
        self.want(symbol, self.week_start(start_ns) if is_long else start_ns - LATE_MARGIN_NS, end_ns)

    def want_anew(self, symbol: str, minute_ns: int, held_from_ns: int) -> None:
        """Ask for a minute as it is told from now on; with its whole week when only longer bars still hold it."""
        start, end = (minute_ns, minute_ns + NS_PER_MIN) if minute_ns >= held_from_ns else self._week(minute_ns)
        now_ns = self._clock.now_ns()
        end = min(end, max(now_ns // NS_PER_MIN, minute_ns // NS_PER_MIN + 1) * NS_PER_MIN)
        self._backfiller.want(symbol, start, end, epoch=self._numbering.epoch, after_ns=max(end + self._grace_ns, now_ns))

    def ensure(self, book: SymbolBook, sessions: int) -> None:
        """Ask for whole weeks of minutes back to `sessions` before now, newest chunk first, unless that was done."""
        book.depth = max(book.depth, sessions)
        now_ns = self._clock.now_ns()
        table = self._calendar.sessions
        index = self._calendar.latest(now_ns)
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
            self._backfiller.want(book.symbol, chunk_start, end, epoch=self._numbering.epoch)
            end = chunk_start

    def week_start(self, ts_ns: int) -> int:
        """Return where the week of a moment begins: what is older than the minutes held is rolled up from whole weeks only."""
        return self._week(ts_ns)[0]

    def _week(self, ts_ns: int) -> tuple[int, int]:
        table = self._calendar.sessions
        week = week_number(table["date"])
        first, last = np.searchsorted(week, week[self._calendar.latest(ts_ns)] + np.array([0, 1]))
        return int(table["pre_open"][first]), int(table["post_close"][last - 1])

    def pieces(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield minutes (BAR_DTYPE, oldest first) in pieces that are quickly applied: whole weeks, newest first."""
        table = self._calendar.sessions
        day = np.maximum(np.searchsorted(table["pre_open"], rows["ts_open"], side="right") - 1, 0)
        starts = np.flatnonzero(np.diff(week_number(table["date"])[day], prepend=-1))
        for start, end in zip(starts[::-1], [len(rows), *starts[:0:-1]], strict=False):
            yield rows[start:end]

    def verify(self, watched: Iterable[str]) -> None:
        """Compare recent minutes with the source's history now and then: a healthy stream still loses single frames."""
        now_ns = self._clock.now_ns()
        if not self._verify_ns or now_ns - self._last_verify_ns < self._verify_ns:
            return
        if self._last_verify_ns:
            end = (now_ns - self._grace_ns) // NS_PER_MIN * NS_PER_MIN
            for gap in self._gaps.all():  # reads that were given up: the provider may be back
                if not gap.is_hopeless and gap.end_ns < now_ns - OVERDUE_NS and not self._backfiller.pending(gap.symbol):
                    self.want(gap.symbol, gap.start_ns, gap.end_ns)
            for symbol in watched:
                self.want(symbol, end - self._verify_ns - LATE_MARGIN_NS, end)
        self._last_verify_ns = now_ns


def sessions_wanted(frame: Timeframe, bars: int = CHART_BARS) -> int:
    """Return how many sessions of minutes hold about `bars` bars of a timeframe."""
    if frame.label == "1w":
        return min(DEEPEST_SESSIONS, 5 * bars)
    if frame.label == "1d":
        return min(DEEPEST_SESSIONS, bars)
    per_session = max(1, 960 * NS_PER_MIN // frame.length_ns)
    return max(FIRST_SESSIONS, min(DEEPEST_SESSIONS, -(-bars // per_session)))
