"""The bars behind one chart, and the slice of them that a browser holds.

In: BAR_DTYPE rows from a cursor or from older history. Out: columns for the browser. Every bar keeps its place on the index
axis (`x`) while the chart stays on one series: older bars get negative places, newer ones follow. Zoomed far out, bars are
thinned in groups of `k`: first open, highest high, lowest low, last close, summed volume; no extreme is ever lost.

Floor 8, numpy only: everything here is tested without a screen.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from workbench.hub.series import newest_by_time
from workbench.sessions import SessionCalendar
from workbench.types import BAR_DTYPE, NS_PER_S

EMPTY = np.zeros(0, BAR_DTYPE)
MAX_BARS = 60_000  # held for one chart; older ones are dropped again


class Change(Enum):
    """What a merge did to the window."""

    NOTHING = 0
    APPENDED = 1  # only newer bars at the end
    REVISED = 2  # values of bars at their old places
    REBUILT = 3  # bars moved to other places


class BarWindow:
    """Closed bars of one series by time, the bars still open, and where they stand on the index axis."""

    def __init__(self) -> None:
        self.rows = EMPTY
        self.forming = EMPTY
        self.base = 0  # place of rows[0]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def end(self) -> int:
        """Place after the newest closed bar: the first forming bar stands here."""
        return self.base + len(self.rows)

    def reset(self, rows: np.ndarray, forming: np.ndarray | None = None) -> None:
        """Start over with these closed bars (by time, unique)."""
        self.rows, self.base = rows, 0
        self.set_forming(forming)

    def set_forming(self, forming: np.ndarray | None) -> None:
        """Take the bars still open, BAR_DTYPE shape (k,); those already closed here are ignored."""
        forming = EMPTY if forming is None else forming
        if len(self.rows) and len(forming):
            forming = forming[forming["ts_open"] > self.rows["ts_open"][-1]]
        self.forming = forming

    def prepend(self, rows: np.ndarray) -> int:
        """Take bars read from history: only stamps that are not held, and none newer than what is held. Returns how many were taken."""
        held = self.rows
        if len(held):
            rows = rows[(rows["ts_open"] < held["ts_open"][-1]) & ~np.isin(rows["ts_open"], held["ts_open"])]
        rows = rows[max(0, len(rows) - max(0, MAX_BARS - len(held))) :]
        if len(rows):
            self._insert(rows)
        return len(rows)

    def merge(self, rows: np.ndarray) -> Change:
        """Merge new and revised closed bars (in any order; of one stamp the last given counts)."""
        if not len(rows):
            return Change.NOTHING
        fresh = newest_by_time(rows)
        held = self.rows
        if not len(held):
            self.rows = fresh
            return Change.REBUILT
        if fresh["ts_open"][0] > held["ts_open"][-1]:
            self.rows = np.concatenate([held, fresh])
            return Change.APPENDED
        at = np.searchsorted(held["ts_open"], fresh["ts_open"])
        known = (at < len(held)) & (held["ts_open"][np.minimum(at, len(held) - 1)] == fresh["ts_open"])
        if known.all():
            self.rows = held.copy()
            self.rows[at] = fresh
            return Change.REVISED
        self.rows = np.delete(held, at[known])
        self._insert(fresh, held["ts_open"][-1])
        self.base += int(known.sum())  # those were replaced, not added
        return Change.REBUILT

    def _insert(self, fresh: np.ndarray, last_ns: int | None = None) -> None:
        """Put bars where they belong. The newest bars keep their places: what was missing pushes the older ones to the left."""
        last_ns = self.rows["ts_open"][-1] if last_ns is None and len(self.rows) else last_ns
        if last_ns is not None:
            self.base -= int((fresh["ts_open"] <= last_ns).sum())
        merged = np.concatenate([self.rows, fresh])
        self.rows = merged[np.argsort(merged["ts_open"], kind="stable")]

    def place(self, ts_open: int) -> int:
        """Return the place of the bar that contains (or follows) a moment."""
        return self.base + int(np.searchsorted(self.rows["ts_open"], ts_open, side="right")) - 1

    def span(self, start: float, stop: float) -> tuple[int, int]:
        """Return [first, last) row numbers of the places start..stop, clipped to what is held."""
        n = len(self.rows)
        first = min(max(int(np.floor(start)) - self.base, 0), n)
        last = min(max(int(np.ceil(stop)) + 1 - self.base, first), n)
        return first, last


def columns(rows: np.ndarray, first_place: int, calendar: SessionCalendar) -> dict[str, np.ndarray]:
    """Return what the browser needs of bars that stand at first_place, first_place + 1, ….

    x place · k bars it stands for · ts, te start and end [s UTC] · ny start on New York's wall clock [s] · o h l c v ·
    seg part of the day (0 closed, 1 pre, 2 regular, 3 after) · day number of the session.
    """
    ts = rows["ts_open"]
    sessions = calendar.sessions
    at = np.clip(np.searchsorted(sessions["pre_open"], ts, side="right") - 1, 0, len(sessions) - 1)
    row = sessions[at]
    offset_s = row["date"] * 86_400 + 4 * 3600 - row["pre_open"] // NS_PER_S  # pre-market begins 04:00 on the wall clock
    seg = np.where(ts < row["open"], 1, np.where(ts < row["close"], 2, np.where(ts < row["post_close"], 3, 0)))
    return {
        "x": first_place + np.arange(len(rows), dtype=np.float64),
        "k": np.ones(len(rows)),
        "ts": ts / NS_PER_S,
        "te": rows["ts_close"] / NS_PER_S,
        "ny": ts // NS_PER_S + offset_s.astype(np.float64),
        **{short: rows[name].copy() for short, name in zip("ohlcv", ("open", "high", "low", "close", "volume"), strict=True)},
        "seg": seg.astype(np.float64),
        "day": row["date"].astype(np.float64),
    }


def is_regular(rows: np.ndarray, calendar: SessionCalendar) -> np.ndarray:
    """Return which bars touch regular hours, bool shape (n,)."""
    sessions = calendar.sessions
    row = sessions[np.clip(np.searchsorted(sessions["pre_open"], rows["ts_open"], side="right") - 1, 0, len(sessions) - 1)]
    return (rows["ts_close"] > row["open"]) & (rows["ts_open"] < row["close"])


def thin(data: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """Return columns with groups of `k` places drawn as one bar; groups begin at multiples of k, so panning never regroups.

    Extremes survive: h is the highest, l the lowest of the group. Other columns (studies) keep the group's last value.
    """
    if k <= 1 or not len(data["x"]):
        return data
    group = np.floor(data["x"] / k)
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    ends = np.r_[starts[1:], len(group)] - 1
    counts = (ends - starts + 1).astype(np.float64)
    out = {name: values[ends] for name, values in data.items()}
    for name in ("ts", "ny", "o", "seg", "day"):
        out[name] = data[name][starts]
    out["x"] = (data["x"][starts] + data["x"][ends]) / 2
    out["k"] = counts
    out["h"] = np.maximum.reduceat(data["h"], starts)
    out["l"] = np.minimum.reduceat(data["l"], starts)
    out["v"] = np.add.reduceat(data["v"], starts)
    return out
