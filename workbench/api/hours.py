"""When a hub runs by itself: around the exchange's sessions, half days and holidays right, from the calendar alone.

In: which hours, the calendar, a clock. Out: the window that is open or comes next, and waiting for its edges. The wall clock is read
again and again, so that a machine that slept or was set to another time neither misses an edge nor waits for a wrong one.

Floor 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from workbench.clock import NS_PER_MIN, NS_PER_S, Clock
from workbench.errors import CalendarError, ConfigError, choices
from workbench.sessions import SessionCalendar

Hours = Literal["always", "extended", "regular"]
EDGES = {"extended": ("pre_open", "post_close"), "regular": ("open", "close")}
LEAD_NS = 10 * NS_PER_MIN  # before: connect and read history
LAG_NS = 20 * NS_PER_MIN  # after: providers change bars for about 15 minutes
LOOK_S = 20.0


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of running [ns UTC]."""

    start_ns: int
    end_ns: int


def check_hours(hours: str) -> Hours:
    """Return the word; ConfigError names the allowed ones."""
    if hours not in get_args(Hours):
        raise ConfigError(f"hours: received {choices(hours, get_args(Hours))}")
    return hours  # type: ignore[return-value]


def window(hours: Hours, now_ns: int, calendar: SessionCalendar) -> Window | None:
    """Return the window that is open at a moment, else the next one; None for `always`. CalendarError past the calendar's end."""
    if hours == "always":
        return None
    opens, closes = (calendar.sessions[name] for name in EDGES[hours])
    later = (closes + LAG_NS > now_ns).nonzero()[0]
    if not len(later):
        raise CalendarError("hours: the calendar knows no later session; allowed: pip install --upgrade exchange-calendars")
    return Window(int(opens[later[0]]) - LEAD_NS, int(closes[later[0]]) + LAG_NS)


def wait_until(ts_ns: int | None, clock: Clock, pause: Callable[[float], bool]) -> bool:
    """Wait for a moment [ns UTC] (None: for ever); returns False when ended before. `pause` sleeps seconds, True means: end."""
    while ts_ns is None or clock.now_ns() < ts_ns:
        left_s = LOOK_S if ts_ns is None else (ts_ns - clock.now_ns()) / NS_PER_S
        if pause(min(LOOK_S, max(left_s, 0.0))):
            return False
    return True
