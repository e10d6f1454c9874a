"""How long a file's bars are, and whether their stamps mean the start or the end of the bar.

The length is the largest standard one that divides the steps between rows of one symbol within one day. The stamp is what was
given, else what the column's name says, else what the session says: a file with rows at 16:00 and none at 09:30 is
end-stamped; where both exist, the opening minute's volume decides (it is several times that of the minute before it).

Floor 1: numpy only. All times int64 ns UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.history.marks import Marks, session_dates
from workbench.types import NS_PER_S

SECOND, MINUTE, DAY = NS_PER_S, 60 * NS_PER_S, 86_400 * NS_PER_S
LENGTHS = (
    *(k * SECOND for k in (1, 2, 5, 10, 15, 30)),
    *(k * MINUTE for k in (1, 2, 3, 5, 10, 15, 30, 60, 120, 240)),
)
_WEEK = 7 * DAY
_DIVIDED = 0.99  # share of the steps that the length has to divide; the rest is counted as off the grid
_OPENING_JUMP = 2.5  # the first regular minute trades at least this many times the minute before


@dataclass(frozen=True, slots=True)
class BarTiming:
    """Length and stamp of a file's bars, and the bar starts in the order of the rows given."""

    length_ns: int
    stamp: str
    starts: np.ndarray
    assumptions: list[str]


def label_of(length_ns: int) -> str:
    """Return '1s', '5m', '4h', '1d', '1w' for a bar length."""
    for unit, letter in ((_WEEK, "w"), (DAY, "d"), (60 * MINUTE, "h"), (MINUTE, "m")):
        if length_ns and length_ns % unit == 0:
            return f"{length_ns // unit}{letter}"
    return f"{length_ns / SECOND:g}s"


def time_bars(
    ts: np.ndarray,
    symbol_ids: np.ndarray,
    volume: np.ndarray | None,
    *,
    given_length: int | None = None,
    given_stamp: str | None = None,
    name_stamp: str | None = None,
    column: str = "ts",
) -> BarTiming:
    """Return how the bars stamped `ts` are to be read; shape (n,) each, in any order."""
    length = given_length or bar_length(ts, symbol_ids)
    said = [f"timeframe: {label_of(length)}, {'as given' if given_length else 'from the steps between rows'}"]
    if length >= DAY:
        return BarTiming(length, given_stamp or "start", _daily_starts(ts), [*said, "stamp: daily bars, taken as dates of sessions"])
    if given_stamp:
        stamp, why = given_stamp, "as given"
    elif name_stamp:
        stamp, why = name_stamp, f"because column {column!r} says so"
    else:
        stamp, why = bar_stamp(ts, volume, length)
    starts = ts - length if stamp == "end" else ts
    said.append(f"stamp: {stamp} of the bar, {why}" + (f"; shifted by {label_of(length)} to bar starts" if stamp == "end" else ""))
    return BarTiming(length, stamp, starts, said)


def bar_length(ts: np.ndarray, symbol_ids: np.ndarray) -> int:
    """Return the bars' length [ns]: a standard one up to 4 h, one day or one week; one minute where a single row can't tell."""
    order = np.lexsort((ts, symbol_ids))
    steps = np.diff(ts[order])[np.diff(symbol_ids[order]) == 0]
    steps = steps[steps > 0]
    if not len(steps):
        return MINUTE
    inside = steps[steps < 12 * 60 * MINUTE]
    if len(inside) * 20 < len(steps):  # hardly any two rows on one day
        return _WEEK if np.median(steps) > 4 * DAY else DAY
    fits = [length for length in LENGTHS if np.mean(inside % length == 0) >= _DIVIDED]
    return max(fits, default=MINUTE)


def bar_stamp(ts: np.ndarray, volume: np.ndarray | None, length: int) -> tuple[str, str]:
    """Return ('start' or 'end', the reason) from the rows at 09:30 and 16:00 and the volume around 09:30."""
    marks = Marks(ts)
    day = marks.calendar.sessions[np.maximum(marks.session, 0)]
    on = marks.session >= 0
    at_open, at_close = on & (ts == day["open"]), on & (ts == day["close"])
    n_open, n_close = int(at_open.sum()), int(at_close.sum())
    if n_close > 5 * n_open:
        return "end", f"because {n_close:,} rows stand at the session's close and {n_open:,} at its open"
    before = on & (ts == day["open"] - length)
    if n_open and volume is not None and length >= MINUTE and before.sum() * 2 > n_open:
        after = on & (ts == day["open"] + length)
        first, second, third = (float(np.nanmedian(volume[m])) if np.any(m & ~np.isnan(volume)) else 0.0 for m in (before, at_open, after))
        if third > _OPENING_JUMP * second and third * max(first, 1.0) > second * second:  # the larger jump comes one row late
            return "end", "because volume jumps in the row after the one stamped 09:30, where the session opens"
    if n_open:
        return "start", f"because {n_open:,} rows stand at the session's open"
    return "start", "the default: nothing in the file tells"


def _daily_starts(ts: np.ndarray) -> np.ndarray:
    """Return the regular open of each row's session; midnight UTC of the date where the exchange did not trade."""
    days = session_dates(ts)
    marks = Marks(ts[:0])
    rows = marks.calendar.sessions
    at = np.clip(np.searchsorted(rows["date"], days), 0, len(rows) - 1)
    return np.where(rows["date"][at] == days, rows["open"][at], days * DAY)
