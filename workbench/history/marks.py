"""Where instants stand in the trading calendar, for whole arrays at once.

Floor 1: `sessions.py` and numpy. All times int64 ns UTC.
"""

from __future__ import annotations

import functools

import numpy as np

from workbench.sessions import UTC, SessionCalendar, to_ny

NS_PER_DAY = 86_400_000_000_000
_EVENING = 20 * 3_600_000_000_000  # from 04:00 to midnight New York


class Marks:
    """The sessions that a set of instants belongs to.

    `session`: row of the calendar whose New York date an instant has (from 04:00 to midnight), -1 for none. `segment`: 0 closed,
    1 pre-market, 2 regular, 3 after-hours.
    """

    __slots__ = ("calendar", "segment", "session")

    def __init__(self, ts: np.ndarray, calendar: SessionCalendar | None = None) -> None:
        self.calendar = calendar or SessionCalendar.xnys()
        rows = self.calendar.sessions
        at = np.searchsorted(rows["pre_open"], ts, side="right") - 1
        day = rows[np.maximum(at, 0)]
        self.session = np.where((at >= 0) & (ts < day["pre_open"] + _EVENING), at, -1)
        self.segment = np.select([ts < day["open"], ts < day["close"], ts < day["post_close"]], [1, 2, 3], 0)
        self.segment[self.session < 0] = 0


def next_edges(marks: Marks) -> np.ndarray:
    """Return the end of the segment that each instant is in; far in the future where the market is closed."""
    rows = marks.calendar.sessions[np.maximum(marks.session, 0)]
    ends = np.select(
        [marks.segment == 1, marks.segment == 2, marks.segment == 3],
        [rows["open"], rows["close"], rows["post_close"]],
        np.iinfo(np.int64).max,
    )
    return np.asarray(ends, np.int64)


def segment_starts(marks: Marks) -> np.ndarray:
    """Return the start of the segment that each instant is in; 0 where the market is closed."""
    rows = marks.calendar.sessions[np.maximum(marks.session, 0)]
    return np.asarray(
        np.select([marks.segment == 1, marks.segment == 2, marks.segment == 3], [rows["pre_open"], rows["open"], rows["close"]], 0),
        np.int64,
    )


def bucket_starts(ts: np.ndarray, length_ns: int, marks: Marks) -> np.ndarray:
    """Return the start of the bar of `length_ns` that each instant falls into, anchored at its segment's start."""
    starts = segment_starts(marks)
    return starts + (ts - starts) // length_ns * length_ns


def session_dates(ts: np.ndarray) -> np.ndarray:
    """Return the date that a daily bar's stamp means, days since 1970.

    Midnight UTC means the UTC date, everything else the New York date of the instant (00:00 UTC is the evening before in New York).
    """
    if len(ts) and np.all(ts % NS_PER_DAY == 0):
        return ts // NS_PER_DAY
    return (ts + _ny_offsets(ts)) // NS_PER_DAY


def _ny_offsets(ts: np.ndarray) -> np.ndarray:
    """Return New York's offset from UTC at each instant [ns], by the hour."""
    hours, back = np.unique(ts // 3_600_000_000_000, return_inverse=True)
    return np.array([_offset_of_hour(int(h)) for h in hours], np.int64)[back]


@functools.lru_cache(maxsize=65_536)
def _offset_of_hour(hour: int) -> int:
    moment = to_ny(hour * 3_600_000_000_000)
    offset = moment.utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) * 1_000_000_000


def iso_ny(ts_ns: int) -> str:
    """Return an instant as New York text with offset, to the second when it has no fraction: '2026-01-22T09:30:00-05:00'."""
    moment = to_ny(ts_ns)
    return moment.isoformat(timespec="seconds" if ts_ns % 1_000_000_000 == 0 else "milliseconds")


def iso_day(days: int) -> str:
    """Return days since 1970 as 'YYYY-MM-DD'."""
    return str(np.datetime64(int(days), "D"))


__all__ = ["UTC", "Marks", "bucket_starts", "iso_day", "iso_ny", "next_edges", "segment_starts", "session_dates"]
