"""All series of one symbol: 1-minute bars are the truth, every other timeframe is rolled up from them here.

The hub's thread feeds closed minutes (merged by rule) and open ones; the book keeps the rolled series in step. A rolled bar is
final when its end plus the grace for late prints has passed, whether or not its last minute had a print; until then it is the
series' forming bar. A corrected minute re-rolls the bars that hold it, as new revisions.

Floor 2. Written under the hub's lock.
"""

from __future__ import annotations

import numpy as np

from workbench.hub.merge import winners
from workbench.hub.rollup import rollup
from workbench.hub.series import Series
from workbench.sessions import Anchor, SessionCalendar, week_number
from workbench.types import BAR_DTYPE, Timeframe

MINUTE = Timeframe.parse("1m")
MIN_MINUTES = 5000  # one extended week is 4,800 minutes: enough to re-roll the present week


class SymbolBook:
    """Series of one symbol by timeframe."""

    def __init__(self, symbol: str, calendar: SessionCalendar, *, capacity: int, grace_ns: int, anchor: Anchor) -> None:
        self.symbol = symbol
        self.minutes = Series(symbol, MINUTE, max(capacity, MIN_MINUTES))
        self.history_from: int | None = None  # history was asked for from this moment on
        self._rolled: dict[str, Series] = {}  # timeframe label -> series
        self._final_to: dict[str, int] = {}  # timeframe label -> ts_close of its newest final bar
        self._calendar = calendar
        self._capacity = capacity
        self._grace_ns = grace_ns
        self._anchor: Anchor = anchor
        self._open = np.zeros(0, BAR_DTYPE)

    def series(self, frame: Timeframe, now_ns: int) -> Series:
        """Return the series of a timeframe, rolling it up from the minutes held when it is new."""
        if frame.label == MINUTE.label:
            return self.minutes
        found = self._rolled.get(frame.label)
        if found is None:
            found = self._rolled[frame.label] = Series(self.symbol, frame, self._capacity)
            self._final_to[frame.label] = 0
            self._roll_from(found, self.minutes.rows(), now_ns)
        return found

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Labels of the series that exist."""
        return (MINUTE.label, *self._rolled)

    def add_minutes(self, rows: np.ndarray, now_ns: int) -> int:
        """Merge closed minutes (BAR_DTYPE, sorted by ts_open) and re-roll what they touch; returns how many changed."""
        if not len(rows):
            return 0
        won = winners(rows, self.minutes.rows_from(int(rows["ts_open"][0])))
        if not len(won):
            return 0
        first, last = self.minutes.first_ns, self.minutes.last_ns
        is_full = len(self.minutes) == self.minutes.capacity
        keepable = won[won["ts_open"] > first] if is_full and first is not None else won
        n = self.minutes.upsert(keepable)
        if last is None or won["ts_open"][0] <= last:  # else `publish` finalises and forms from where each series stands
            for series in self._rolled.values():
                self._reroll(series, won, now_ns)
        return n + len(won) - len(keepable)

    def publish(self, open_minutes: np.ndarray, now_ns: int) -> None:
        """Finalise rolled bars that are due and publish the forming bar of every series.

        `open_minutes`: BAR_DTYPE shape (k,), the minutes still open, oldest first.
        """
        last = self.minutes.last_ns
        if last is not None and len(open_minutes):
            open_minutes = open_minutes[open_minutes["ts_open"] > last]  # the provider's own bar may have closed it already
        self._open = open_minutes
        self.minutes.set_forming(open_minutes if len(open_minutes) else None)
        for label, series in self._rolled.items():
            self._roll_from(series, self.minutes.rows_from(self._final_to[label]), now_ns)

    def reset(self) -> None:
        """Forget all bars; readers are told."""
        for series in (self.minutes, *self._rolled.values()):
            series.reset()
        self._final_to = dict.fromkeys(self._final_to, 0)
        self._open = np.zeros(0, BAR_DTYPE)
        self.history_from = None

    def _roll_from(self, series: Series, minutes: np.ndarray, now_ns: int) -> None:
        """Roll `minutes` (closed, from a bar's beginning on) plus the open ones; store the final bars, publish the rest."""
        if len(self._open):
            minutes = np.concatenate([minutes, self._open])
        if not len(minutes):
            series.set_forming(None)
            return
        rolled = rollup(minutes, series.timeframe, self._calendar.sessions, anchor=self._anchor)
        is_final = rolled["ts_close"] + self._grace_ns <= now_ns
        final, forming = rolled[is_final], rolled[~is_final]
        if len(final):
            final["is_partial"] = 0
            series.upsert(final)
            label = series.timeframe.label
            self._final_to[label] = max(self._final_to[label], int(final["ts_close"][-1]))
        forming["is_partial"] = 1
        series.set_forming(forming if len(forming) else None)

    def _reroll(self, series: Series, changed: np.ndarray, now_ns: int) -> None:
        """Re-roll the sessions (weeks for 1w) that the changed minutes lie in."""
        start, end = self._bounds(series.timeframe, int(changed["ts_open"][0]), int(changed["ts_open"][-1]))
        held = self.minutes.rows_from(start)
        older = changed[changed["ts_open"] < held["ts_open"][0]] if len(held) else changed
        rows = np.concatenate([older, held])
        rows = rows[rows["ts_open"] < end]
        first = self.minutes.first_ns
        if not len(older) and len(self.minutes) == self.minutes.capacity and first is not None and first > start:
            return  # the beginning of that bar is no longer held: what stands was rolled from all of it
        if end > self._final_to[series.timeframe.label]:
            self._roll_from(series, rows, now_ns)
            return
        rolled = rollup(rows, series.timeframe, self._calendar.sessions, anchor=self._anchor)
        held_bars = series.rows()
        if len(held_bars) == series.capacity:
            rolled = rolled[rolled["ts_open"] > held_bars["ts_open"][0]]
        series.upsert(rolled)

    def _bounds(self, frame: Timeframe, first_ns: int, last_ns: int) -> tuple[int, int]:
        """Return the span of whole sessions, or of whole weeks for 1w, around two moments [ns UTC]."""
        sessions = self._calendar.sessions
        i, j = self._calendar.latest(first_ns), self._calendar.latest(last_ns)
        if frame.label == "1w":
            week = week_number(sessions["date"])
            i = int(np.searchsorted(week, week[i], side="left"))
            j = int(np.searchsorted(week, week[j], side="right")) - 1
        return int(sessions["pre_open"][i]), int(sessions["post_close"][j])
