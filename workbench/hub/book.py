"""All series of one symbol: 1-minute bars are the truth, every other timeframe is rolled up from them here.

The hub's thread feeds closed minutes (merged by rule) and open ones; the book keeps the rolled series in step. A rolled bar is
final when its last minute is closed, or when its end plus the grace for late prints has passed; until then it is the series'
forming bar. A corrected minute re-rolls the bars that hold it, as new revisions.

Minutes in order go through a `Roller` (one kernel call for all timeframes); anything else is rolled up again from the minutes
held, and the roller is loaded anew before the next publication. Both give the same bars. Floor 2. Written under the hub's lock.
"""

from __future__ import annotations

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.hub.merge import winners
from workbench.hub.rollup import Roller, rollup_all
from workbench.hub.series import Numbering, Series
from workbench.sessions import Anchor, SessionCalendar, week_number
from workbench.types import BAR_DTYPE, BarSource, Timeframe

MINUTE = Timeframe.parse("1m")
WEEK = "1w"
MIN_MINUTES = 5000  # one extended week is 4,800 minutes: enough to re-roll the present week
_NO_BARS = np.zeros(0, BAR_DTYPE)


class SymbolBook:
    """Series of one symbol by timeframe."""

    def __init__(
        self, symbol: str, calendar: SessionCalendar, numbering: Numbering | None = None, *, capacity: int, grace_ns: int, anchor: Anchor
    ) -> None:
        self.symbol = symbol
        self.minutes = Series(symbol, MINUTE, max(capacity, MIN_MINUTES), numbering)
        self._numbering = numbering
        self.history_from: int | None = None  # history was asked for from this moment on
        self.depth = 0  # sessions of history asked for; a reset asks for as many again
        self.ready: dict[str, Series] = {}  # timeframe label -> series whose history was asked for
        self._rolled: dict[str, Series] = {}  # timeframe label -> series
        self._calendar = calendar
        self._capacity = capacity
        self._grace_ns = grace_ns
        self._anchor: Anchor = anchor
        self._week = week_number(calendar.sessions["date"])
        self._open = _NO_BARS
        self._roller = Roller(calendar, anchor=anchor)
        self._is_roller_behind = False
        self._advanced_to = 0  # the roller has finished what ended by then

    def series(self, frame: Timeframe, now_ns: int) -> Series:
        """Return the series of a timeframe, rolling it up from the minutes held when it is new."""
        if frame.label == MINUTE.label:
            return self.minutes
        found = self._rolled.get(frame.label)
        if found is None:
            found = Series(self.symbol, frame, self._capacity, self._numbering)
            rows = self.minutes.rows()
            if len(rows):
                self._store(found, self._whole(self._roll(rows, (frame.label,))[frame.label]), now_ns)
            self._load_roller()
            found.set_forming(self._forming()[frame.label])
            self._rolled[frame.label] = found
            self._ask_again_for_older()
        return found

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Labels of the series that exist."""
        return (MINUTE.label, *self._rolled)

    @property
    def held_from(self) -> int | None:
        """The moment from which every minute asked for can be held: older ones have fallen out, or were not read."""
        first = self.minutes.first_ns
        return first if first is None or self._is_full or self.history_from is None else self.history_from

    def add_minutes(self, rows: np.ndarray, now_ns: int) -> int:
        """Merge closed minutes (BAR_DTYPE, sorted by ts_open) and re-roll what they touch; returns how many changed."""
        if not len(rows):
            return 0
        won = winners(rows, self.minutes.rows_from(int(rows["ts_open"][0]), int(rows["ts_open"][-1]) + 1))
        if not len(won):
            return 0
        first, last = self.minutes.first_ns, self.minutes.last_ns
        is_next = won["ts_close"][0] > self._advanced_to and (last is None or won["ts_open"][0] > last)
        if is_next and self._is_roller_behind:
            self._load_roller()
        keepable = won[won["ts_open"] > first] if self._is_full and first is not None else won
        n = self.minutes.upsert(keepable)
        if is_next:
            self._finish(*self._roller.add(won))
        else:
            self._reroll(won, now_ns)
        return n + len(won) - len(keepable)

    def distrust(self, start_ns: int, end_ns: int, now_ns: int, *, any_source: bool = False) -> int:
        """Mark the minutes of a span that were built from prints (or all of them) as not wholly seen; returns how many."""
        rows = self.minutes.rows_from(start_ns)
        rows = rows[(rows["ts_open"] < end_ns) & (rows["is_complete"] == 1) & (any_source | (rows["source"] == BarSource.TRADES))]
        if len(rows):
            rows["is_complete"] = 0
            self.minutes.upsert(rows)
            self._reroll(rows, now_ns)
        return len(rows)

    def remove(self, ts_open: int, now_ns: int) -> bool:
        """Take a closed minute back, none of whose prints stands; longer bars are rolled up without it. False when it is not held."""
        if not self.minutes.remove(np.array([ts_open])):
            return False
        self._is_roller_behind = True
        held_from = self.minutes.first_ns if self._is_full else None
        for (start, end), labels in self._spans(ts_open, ts_open).items():
            rolled = self._roll(self.minutes.rows_from(start, end), labels)
            for label in labels:
                series = self._rolled[label]
                stale = np.setdiff1d(series.rows_from(max(start, held_from or start), end)["ts_open"], rolled[label]["ts_open"])
                series.remove(stale)
                self._store(series, self._whole(rolled[label]), now_ns)
        return True

    def publish(self, open_minutes: np.ndarray, now_ns: int) -> None:
        """Finalise rolled bars that are due and publish the forming bar of every series.

        `open_minutes`: BAR_DTYPE shape (k,), the minutes still open, oldest first.
        """
        self._open = open_minutes
        if self._is_roller_behind:
            self._load_roller()
        due_ns = (now_ns - self._grace_ns) // NS_PER_MIN * NS_PER_MIN  # a rolled bar ends with a minute: within one none falls due
        if due_ns > self._advanced_to:
            self._advanced_to = due_ns
            self._finish(*self._roller.advance(due_ns))
        self.minutes.set_forming(self._still_open())
        if self._rolled:
            forming = self._forming()
            for label, series in self._rolled.items():
                series.set_forming(forming[label])

    def reset(self) -> None:
        """Forget all bars; readers are told."""
        for series in (self.minutes, *self._rolled.values()):
            series.reset()
        self._open = _NO_BARS
        self._roller.reset()
        self._is_roller_behind = False
        self._advanced_to = 0
        self.history_from = None

    # -- rolling up ----------------------------------------------------------------------------------------------------------

    @property
    def _is_full(self) -> bool:
        return len(self.minutes) == self.minutes.capacity

    def _still_open(self) -> np.ndarray:
        """Return the open minutes that are newer than every closed one (the provider's own bar may have closed one already)."""
        last = self.minutes.last_ns
        return self._open if last is None or not len(self._open) else self._open[self._open["ts_open"] > last]

    def _forming(self) -> dict[str, np.ndarray]:
        return self._roller.partials(self._still_open())

    def _roll(self, rows: np.ndarray, labels: tuple[str, ...]) -> dict[str, np.ndarray]:
        return rollup_all(rows, self._calendar, timeframes=labels, anchor=self._anchor)

    def _whole(self, rolled: np.ndarray) -> np.ndarray:
        """Leave out bars whose first minutes have fallen out of the series."""
        first = self.minutes.first_ns
        return rolled[rolled["ts_open"] >= first] if self._is_full and first is not None else rolled

    def _store(self, series: Series, rolled: np.ndarray, now_ns: int) -> None:
        """Store the bars that are final; where the series is full, only those newer than its oldest."""
        last = self.minutes.rows(1)
        final_by = max(now_ns - self._grace_ns, int(last["ts_close"][0]) if len(last) else 0)
        final = rolled[rolled["ts_close"] <= final_by]
        final["is_partial"] = 0
        oldest = series.first_ns
        if len(series) == series.capacity and oldest is not None:
            final = final[final["ts_open"] > oldest]
        series.upsert(final)

    def _finish(self, frames: np.ndarray, rows: np.ndarray) -> None:
        """Store bars that the roller finished."""
        for k in np.unique(frames) if len(frames) else ():
            series = self._rolled.get(self._roller.timeframes[k])
            if series is not None:
                final = rows[frames == k]
                final["is_partial"] = 0
                series.upsert(final)

    def _load_roller(self) -> None:
        """Feed the roller the newest week of minutes from its beginning."""
        last = self.minutes.last_ns
        self._is_roller_behind = False
        self._roller.reset()
        if last is not None:
            start, _ = self._bounds(last, last, by_week=True)
            self._roller.load(self.minutes.rows_from(start))  # what it finishes is stored already
        if self._advanced_to:
            self._roller.advance(self._advanced_to)

    def _reroll(self, changed: np.ndarray, now_ns: int) -> None:
        """Re-roll the sessions (weeks for 1w) that the changed minutes lie in; the roller knows the newest week only."""
        last = self.minutes.last_ns
        if last is not None and changed["ts_open"][-1] >= self._bounds(last, last, by_week=True)[0]:
            self._is_roller_behind = True
        for (start, end), labels in self._spans(int(changed["ts_open"][0]), int(changed["ts_open"][-1])).items():
            held = self.minutes.rows_from(start, end)
            older = changed[: int(np.searchsorted(changed["ts_open"], held["ts_open"][0]))] if len(held) else changed
            rolled = self._roll(np.concatenate([older, held]) if len(older) and len(held) else held if len(held) else older, labels)
            for label in labels:
                self._store(self._rolled[label], rolled[label] if len(older) else self._whole(rolled[label]), now_ns)

    def _spans(self, first_ns: int, last_ns: int) -> dict[tuple[int, int], tuple[str, ...]]:
        """Return which spans have to be rolled again for which timeframes when minutes between two moments have changed."""
        spans: dict[tuple[int, int], tuple[str, ...]] = {}
        for by_week in (False, True):
            labels = tuple(label for label in self._rolled if (label == WEEK) == by_week)
            if labels:
                span = self._bounds(first_ns, last_ns, by_week=by_week)
                spans[span] = spans.get(span, ()) + labels
        return spans

    def _bounds(self, first_ns: int, last_ns: int, *, by_week: bool) -> tuple[int, int]:
        """Return the span of whole sessions, or of whole weeks, around two moments [ns UTC]."""
        sessions = self._calendar.sessions
        i, j = self._calendar.latest(first_ns), self._calendar.latest(last_ns)
        if by_week:
            week = self._week
            i = int(np.searchsorted(week, week[i], side="left"))
            j = int(np.searchsorted(week, week[j], side="right")) - 1
        return int(sessions["pre_open"][i]), int(sessions["post_close"][j])

    def _ask_again_for_older(self) -> None:
        """Let history be read again from the week on whose minutes have fallen out: a new series has not seen them."""
        first = self.minutes.first_ns
        if not self._is_full or first is None or self.history_from is None or self.history_from >= first:
            return
        sessions = self._calendar.sessions
        week = self._week
        after = int(np.searchsorted(week, week[self._calendar.latest(first)], side="right"))
        self.history_from = min(int(sessions["pre_open"][min(after, len(sessions) - 1)]), int(self.minutes.last_ns or first))
