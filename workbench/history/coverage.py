"""Which bars a recording should hold, which are there, and where the holes are.

Counted on the days that the recording has rows for: a day counts when any row, regular session or not, falls on its New York date.
Bars are expected in the regular session only; outside it minutes without a trade are normal.

Floor 1: numpy only. All times int64 ns UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.history.marks import Marks, iso_day, iso_ny
from workbench.history.timing import DAY


@dataclass
class Coverage:
    """Counts over all symbols. `sessions`: rows of the calendar that have data; `partial`: one dict per day that lacks bars."""

    sessions: np.ndarray
    expected: int = 0
    present: int = 0
    complete: int = 0
    missing_ranges: list[dict[str, Any]] = field(default_factory=list)
    partial: list[dict[str, Any]] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Bars expected and not there."""
        return self.expected - self.present


def cover(opens: np.ndarray, ids: np.ndarray, names: list[str], length_ns: int, marks: Marks) -> Coverage:
    """Return the coverage of bars that open at `opens` for symbols `ids`, with `marks` of the opens; in any order."""
    found = Coverage(np.unique(marks.session[marks.session >= 0]))
    order = np.lexsort((opens, ids))
    opens, ids, sessions = opens[order], ids[order], marks.session[order]
    bounds = np.searchsorted(ids, np.arange(len(names) + 1))
    for symbol_id, name in enumerate(names):
        mine = slice(bounds[symbol_id], bounds[symbol_id + 1])
        days = np.unique(sessions[mine][sessions[mine] >= 0])
        if not len(days):
            continue
        if length_ns >= DAY:
            days = np.arange(days[0], days[-1] + 1)
            step = max(1, length_ns // DAY)
            if step > 1:  # weekly bars open with their week's first session, which only the days present tell
                continue
        _cover_symbol(found, opens[mine], days, length_ns, marks, name if len(names) > 1 else None)
    return found


def _cover_symbol(found: Coverage, opens: np.ndarray, days: np.ndarray, length_ns: int, marks: Marks, symbol: str | None) -> None:
    rows = marks.calendar.sessions
    for day in days:
        row = rows[day]
        wanted = np.arange(row["open"], row["close"], length_ns, dtype=np.int64)
        at = np.searchsorted(opens, wanted)
        there = (at < len(opens)) & (opens[np.minimum(at, len(opens) - 1)] == wanted)
        n = int(there.sum())
        found.expected += len(wanted)
        found.present += n
        if n == len(wanted):
            found.complete += 1
            continue
        tag = {"symbol": symbol} if symbol else {}
        found.partial.append(tag | _partial(row, wanted, there))
        first = np.flatnonzero(~there & np.r_[True, there[:-1]])
        last = np.flatnonzero(~there & np.r_[there[1:], True])
        for a, b in zip(first, last, strict=True):
            end = min(int(wanted[b]) + length_ns, int(row["close"]))
            found.missing_ranges.append(tag | {"start": iso_ny(int(wanted[a])), "end": iso_ny(end), "bars": int(b - a + 1)})


def _partial(row: np.void, wanted: np.ndarray, there: np.ndarray) -> dict[str, Any]:
    """Return one day that lacks bars: how many it has, and whether it starts late, ends early or has holes inside."""
    have = np.flatnonzero(there)
    out: dict[str, Any] = {"date": iso_day(int(row["date"])), "present": len(have), "expected": len(wanted)}
    if not len(have):
        return out | {"how": ["no bar of the regular session"]}
    out |= {"first": iso_ny(int(wanted[have[0]])), "last": iso_ny(int(wanted[have[-1]]))}
    inside = int((~there[have[0] : have[-1] + 1]).sum())
    how = [
        word
        for word, is_so in (("starts late", have[0] > 0), ("ends early", have[-1] < len(wanted) - 1), ("holes inside", inside > 0))
        if is_so
    ]
    return out | {"how": how, "missing_inside": inside}


def absent_sessions(sessions: np.ndarray, marks: Marks) -> list[str]:
    """Return the trading days between the first and the last day present that have no row at all."""
    if not len(sessions):
        return []
    absent = np.setdiff1d(np.arange(sessions[0], sessions[-1] + 1), sessions)
    return [iso_day(int(d)) for d in marks.calendar.sessions["date"][absent]]
