"""Trading sessions of the US equity market: when it opens and closes, and which bars a span has to hold.

A session is a label (a date); its opens and closes are instants, int64 ns UTC. Regular hours, holidays and early closes come
from `exchange_calendars` (XNYS); pre-market begins 04:00 and after-hours ends 20:00 New York, 17:00 after an early close.
Bars are anchored at the start of their segment (pre-market, regular, after-hours) and never straddle two.

Floor 0: numpy and the standard library; `exchange_calendars` is imported when the calendar is first asked for.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import IntEnum
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from workbench.errors import CalendarError, choices
from workbench.types import NS_PER_S, TIMEFRAMES, Timeframe

NY_TZ = ZoneInfo("America/New_York")
UTC = ZoneInfo("UTC")
FIRST_DAY, LAST_DAY = date(2000, 1, 3), date(2029, 12, 31)  # fixed, so that results don't depend on the day they are made
Anchor = Literal["session_rth", "session_eth", "natural"]
ANCHORS: tuple[Anchor, ...] = ("session_rth", "session_eth", "natural")

# date: days since 1970-01-01; the rest int64 ns UTC.
SESSION_DTYPE = np.dtype([("date", "i8"), ("pre_open", "i8"), ("open", "i8"), ("close", "i8"), ("post_close", "i8")])


class Segment(IntEnum):
    """Part of the trading day."""

    CLOSED = 0
    PRE = 1
    RTH = 2
    AH = 3


ALL_SEGMENTS = (Segment.PRE, Segment.RTH, Segment.AH)


def to_ns(moment: datetime) -> int:
    """Return an aware datetime as ns UTC, exactly; CalendarError when it has no zone."""
    if moment.tzinfo is None:
        raise CalendarError(f"time: received {moment.isoformat()} without a zone; allowed: times with an offset or zone")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000


def to_ny(ts_ns: int) -> datetime:
    """Return ns UTC as New York wall time (cut to µs)."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(ts_ns) // 1000)).astimezone(NY_TZ)


def ny_ns(day: date, hour: int, minute: int = 0) -> int:
    """Return New York wall time of a date as ns UTC (the zone's own offset of that day, never a fixed one)."""
    return to_ns(datetime(day.year, day.month, day.day, hour, minute, tzinfo=NY_TZ))


class SessionCalendar:
    """Sessions in time order, with the look-ups that bars, charts and audits need."""

    def __init__(self, sessions: np.ndarray) -> None:
        """`sessions`: SESSION_DTYPE shape (n,), ascending; normally from `xnys()`."""
        self.sessions = sessions
        self._dates = {int(d): i for i, d in enumerate(sessions["date"])}  # days since 1970 -> row

    @classmethod
    @functools.cache
    def xnys(cls) -> SessionCalendar:
        """Return the New York Stock Exchange calendar, 2000-2029. Closures announced later come with new calendar versions."""
        return cls(_load_xnys())

    @property
    def span(self) -> tuple[int, int]:
        """First pre-market open and last after-hours close known [ns UTC]."""
        return int(self.sessions["pre_open"][0]), int(self.sessions["post_close"][-1])

    def at(self, ts_ns: int) -> int:
        """Return the row of the session that `ts_ns` falls into (04:00-20:00), or -1."""
        i = int(np.searchsorted(self.sessions["pre_open"], ts_ns, side="right")) - 1
        return i if i >= 0 and ts_ns < self.sessions["post_close"][i] else -1

    def latest(self, ts_ns: int) -> int:
        """Return the row of the newest session whose pre-market has begun at `ts_ns`; CalendarError before the calendar's span."""
        i = int(np.searchsorted(self.sessions["pre_open"], ts_ns, side="right")) - 1
        if i < 0:
            raise CalendarError(f"time: received {to_ny(ts_ns).isoformat()}; allowed: from {to_ny(self.span[0]).isoformat()}")
        return i

    def segment(self, ts_ns: int) -> Segment:
        """Return the part of the day that an instant belongs to."""
        i = self.at(ts_ns)
        if i < 0:
            return Segment.CLOSED
        row = self.sessions[i]
        if ts_ns < row["open"]:
            return Segment.PRE
        return Segment.RTH if ts_ns < row["close"] else Segment.AH

    def session(self, day: date) -> np.void:
        """Return one session's row; CalendarError names why there is none."""
        i = self._dates.get((day - date(1970, 1, 1)).days)
        if i is None:
            allowed = "trading days of the New York Stock Exchange in the calendar's span"
            raise CalendarError(f"session: received {day:%Y-%m-%d %A}; allowed: {allowed}")
        row: np.void = self.sessions[i]
        return row

    def is_session(self, day: date) -> bool:
        """True when the exchange trades on that date."""
        return (day - date(1970, 1, 1)).days in self._dates

    def between(self, start_ns: int, end_ns: int) -> np.ndarray:
        """Return the sessions that overlap [start_ns, end_ns), SESSION_DTYPE shape (n,)."""
        first = int(np.searchsorted(self.sessions["post_close"], start_ns, side="right"))
        last = int(np.searchsorted(self.sessions["pre_open"], end_ns, side="left"))
        return self.sessions[first:last]

    def bar_times(
        self,
        timeframe: str | Timeframe,
        start_ns: int,
        end_ns: int,
        *,
        segments: Iterable[Segment] = (Segment.RTH,),
        anchor: Anchor = "session_rth",
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (ts_open, ts_close) of every bar that a full market would have with start_ns <= ts_open < end_ns.

        int64 arrays [ns UTC]. Daily and weekly bars open with their first regular session and close with their last, whatever
        `segments` says. `anchor` is where 4-hour bars begin (see `hub/rollup.py`); other lengths are the same under each.
        """
        frame = Timeframe.parse(timeframe)
        if anchor not in ANCHORS:
            raise CalendarError(f"anchor: received {choices(anchor, ANCHORS)}")
        week_ns = 7 * TIMEFRAMES["1d"].length_ns
        sessions = self.between(start_ns - week_ns, end_ns + week_ns) if not frame.is_intraday else self.between(start_ns, end_ns)
        if not frame.is_intraday:
            opens, closes = _daily_or_weekly(sessions, frame)
        else:
            opens, closes = _intraday(sessions, frame, tuple(segments), anchor)
        keep = (opens >= start_ns) & (opens < end_ns)
        return opens[keep], closes[keep]

    def expected_bars(
        self,
        timeframe: str | Timeframe,
        start_ns: int,
        end_ns: int,
        *,
        segments: Iterable[Segment] = (Segment.RTH,),
        anchor: Anchor = "session_rth",
    ) -> int:
        """Return how many bars `bar_times` gives: 390 one-minute bars for a full regular session, 210 for a half day."""
        return len(self.bar_times(timeframe, start_ns, end_ns, segments=segments, anchor=anchor)[0])

    def minutes_to_close(self, ts_ns: int) -> float | None:
        """Return minutes until the regular close, or None outside regular hours."""
        if self.segment(ts_ns) is not Segment.RTH:
            return None
        return float(self.sessions["close"][self.at(ts_ns)] - ts_ns) / (60 * NS_PER_S)


def bucket_bounds(frame_ns: int, start_ns: int, end_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return open and close of the buckets of `frame_ns` that begin at `start_ns`; the last one is cut at `end_ns`."""
    opens = np.arange(start_ns, end_ns, frame_ns, dtype=np.int64)
    return opens, np.minimum(opens + frame_ns, end_ns)


def _intraday(sessions: np.ndarray, frame: Timeframe, segments: tuple[Segment, ...], anchor: Anchor) -> tuple[np.ndarray, np.ndarray]:
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for row in sessions:
        for start, end in anchored_spans(row, frame, anchor, segments):
            parts.append(bucket_bounds(frame.length_ns, start, end))
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def anchored_spans(row: np.void, frame: Timeframe, anchor: Anchor, segments: Iterable[Segment] = ALL_SEGMENTS) -> list[tuple[int, int]]:
    """Return the spans of one session that are each cut into bars from their own start [ns UTC].

    Normally one span a segment. A 4-hour frame anchored 'session_eth' is one span 04:00-20:00; 'natural' is split at 12:00
    and 16:00 New York clock hours inside the segments (04-08 08-09:30 | 09:30-12 12-16 | 16-20).
    """
    pre, open_, close, post = (int(row[name]) for name in ("pre_open", "open", "close", "post_close"))
    spans = {Segment.PRE: (pre, open_), Segment.RTH: (open_, close), Segment.AH: (close, post)}
    wanted = [s for s in ALL_SEGMENTS if s in set(segments)]
    if frame.label != "4h" or anchor == "session_rth":
        return [spans[s] for s in wanted]
    if anchor == "session_eth":
        start = pre + (spans[wanted[0]][0] - pre) // frame.length_ns * frame.length_ns
        return [(start, spans[wanted[-1]][1])]
    cuts = [pre + k * frame.length_ns for k in range(1, 5)]
    out: list[tuple[int, int]] = []
    for segment in wanted:
        start, end = spans[segment]
        edges = [start, *[c for c in cuts if start < c < end], end]
        out += list(itertools.pairwise(edges))
    return out


def _daily_or_weekly(sessions: np.ndarray, frame: Timeframe) -> tuple[np.ndarray, np.ndarray]:
    if frame.label == "1d":
        return sessions["open"].copy(), sessions["close"].copy()
    week = week_number(sessions["date"])
    first = np.flatnonzero(np.r_[True, week[1:] != week[:-1]]) if len(week) else np.zeros(0, np.int64)
    last = np.r_[first[1:] - 1, len(week) - 1] if len(week) else first
    return sessions["open"][first], sessions["close"][last]


def week_number(days: np.ndarray) -> np.ndarray:
    """Return a number that is the same for all dates of one Monday-to-Sunday week (days since 1970 in, a Thursday)."""
    return (np.asarray(days) + 3) // 7


def _load_xnys() -> np.ndarray:
    import exchange_calendars  # heavy (pandas): only when a calendar is really needed

    schedule = exchange_calendars.get_calendar("XNYS", start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat()).schedule
    out = np.zeros(len(schedule), SESSION_DTYPE)
    out["date"] = schedule.index.to_numpy().astype("datetime64[D]").astype(np.int64)
    for name in ("open", "close"):
        out[name] = schedule[name].dt.tz_convert(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    days = [date(1970, 1, 1) + timedelta(days=int(d)) for d in out["date"]]
    is_early = out["close"] < np.array([ny_ns(day, 16) for day in days])
    out["pre_open"] = [ny_ns(day, 4) for day in days]
    out["post_close"] = [ny_ns(day, 17 if early else 20) for day, early in zip(days, is_early, strict=True)]
    return out
