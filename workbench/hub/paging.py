"""Bars older than those held, a page at a time, rolled up from whole weeks of history. Floor 2. May block on the provider."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.clock import Clock
from workbench.hub.plan import DEEPEST_SESSIONS, sessions_wanted
from workbench.hub.rollup import rollup
from workbench.hub.series import Series
from workbench.sessions import Anchor, SessionCalendar, week_number


def page_back(
    series: Series,
    before_ns: int,
    limit: int,
    *,
    read: Callable[[int, int], np.ndarray],
    calendar: SessionCalendar,
    clock: Clock,
    anchor: Anchor,
) -> np.ndarray:
    """Return up to `limit` closed bars with ts_open < before_ns, oldest first, BAR_DTYPE.

    `read(start_ns, end_ns)` returns the symbol's clean minutes of a span. A symbol that seldom trades has few bars a session, so
    each look goes twice as far back as the one before.
    """
    frame = series.timeframe
    held = series.rows()
    inside = held[held["ts_open"] < before_ns]
    if len(inside) >= limit or calendar.span[0] >= before_ns:
        return inside[-limit:]
    week = week_number(calendar.sessions["date"])
    end = int(inside["ts_open"][0]) if len(inside) else before_ns
    parts, sessions = [inside], sessions_wanted(frame, limit - len(inside))
    while sum(map(len, parts)) < limit and end > calendar.span[0] and sessions <= 2 * DEEPEST_SESSIONS:
        begin, until = _whole_weeks(calendar, week, end, sessions)
        now_ns = clock.now_ns()
        rows = read(begin, end if frame.label == "1m" else min(until, now_ns))
        rolled = rows if frame.label == "1m" else rollup(rows, frame, calendar.sessions, anchor=anchor)
        parts.insert(0, rolled[(rolled["ts_open"] < end) & (rolled["ts_close"] <= clock.now_ns())])
        end, sessions = min(begin, end), 2 * sessions
    return np.concatenate(parts)[-limit:]


def _whole_weeks(calendar: SessionCalendar, week: np.ndarray, before_ns: int, sessions: int) -> tuple[int, int]:
    """Return where the week begins that lies `sessions` before a moment, and where the moment's own week ends."""
    table = calendar.sessions
    last = calendar.latest(before_ns - 1)
    first = int(np.searchsorted(week, week[calendar.latest(int(table["pre_open"][max(0, last - sessions)]))]))
    week_end = int(np.searchsorted(week, week[last], side="right")) - 1
    return int(table["pre_open"][first]), int(table["post_close"][week_end])
