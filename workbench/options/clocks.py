"""Time to expiry in years, by one of three clocks. Whoever asks names the clock: there is no default.

A volatility belongs to the clock that it was implied with: price, delta and gamma depend on v·√T alone, so another clock for the
same volatility gives another price (2.3 times for an option of the day). Volatilities of a vendor belong to the vendor's clock.

In: instants as int64 ns UTC, the trading calendar. Out: float64 years, 0 at and after expiry.

Floor 1: numpy and the sessions of floor 0.
"""

from __future__ import annotations

from datetime import date
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import CalendarError, RecordError, choices
from workbench.sessions import SessionCalendar, to_ny
from workbench.types import NS_PER_S

NS_PER_MIN = 60 * NS_PER_S
MINUTES_PER_CALENDAR_YEAR = 525_600  # 365 days
RTH_MINUTES_PER_YEAR = 98_280  # 252 days of 390 minutes
CLOSED_WEIGHT = 0.25  # ours: how much an hour outside regular hours moves, against one inside


class TimeClock(Enum):
    """What counts as time.

    CAL365: every minute, over 525,600 a year. TRD252: minutes of regular hours, early closes counted, over 98,280 a year; for
    decay inside a day. HYBRID: minutes of regular hours in full, all others by `closed_weight`; for positions held overnight.
    """

    CAL365 = "cal365"
    TRD252 = "trd252"
    HYBRID = "hybrid"

    @classmethod
    def parse(cls, text: str) -> TimeClock:
        """Return the clock of that name; RecordError lists the names."""
        try:
            return cls(text.lower())
        except ValueError:
            raise RecordError(f"clock: received {choices(text, [clock.value for clock in cls])}") from None


def minutes_per_year(clock: TimeClock, closed_weight: float = CLOSED_WEIGHT) -> float:
    """Return how many of its minutes a clock counts in a year; `Greeks.theta_usd_per_minute` asks for it."""
    if clock is TimeClock.CAL365:
        return float(MINUTES_PER_CALENDAR_YEAR)
    weight = 0.0 if clock is TimeClock.TRD252 else _checked_weight(closed_weight)
    return RTH_MINUTES_PER_YEAR + weight * (MINUTES_PER_CALENDAR_YEAR - RTH_MINUTES_PER_YEAR)


def years_to_expiry(
    now_ns: ArrayLike, expiry_ns: ArrayLike, clock: TimeClock, *, calendar: SessionCalendar, closed_weight: float = CLOSED_WEIGHT
) -> NDArray[np.float64]:
    """Return the time from now to each expiry in years of `clock`, 0 at and after expiry.

    Parameters
    ----------
    now_ns, expiry_ns : int64               [ns UTC], broadcast; expiries come from `expiry.terms`.
    clock : TimeClock
    calendar : SessionCalendar              Tells regular hours, holidays and early closes; not asked by CAL365.
    closed_weight : float                   0-1, for HYBRID alone.

    Raises
    ------
    CalendarError                           If an instant lies outside the calendar's span and the clock needs it.
    RecordError                             If `closed_weight` is not in 0-1.

    Example: 390 minutes before the close of a whole day, TRD252 -> 390 / 98,280 = 0.003968
    """
    now, expiry = np.broadcast_arrays(np.asarray(now_ns, np.int64), np.asarray(expiry_ns, np.int64))
    weight = _checked_weight(closed_weight)
    left_ns = np.maximum(expiry - now, 0)
    if clock is TimeClock.CAL365:
        return left_ns / float(MINUTES_PER_CALENDAR_YEAR * NS_PER_MIN)
    open_ns = np.maximum(regular_ns(expiry, calendar) - regular_ns(now, calendar), 0)
    counted = open_ns if clock is TimeClock.TRD252 else open_ns + weight * (left_ns - open_ns)
    return counted / (minutes_per_year(clock, weight) * NS_PER_MIN)


def regular_ns(ts_ns: ArrayLike, calendar: SessionCalendar) -> NDArray[np.int64]:
    """Return how much time of regular hours the calendar has had until each instant [ns], int64."""
    ts = np.asarray(ts_ns, np.int64)
    first, last = calendar.span
    if np.any((ts < first) | (ts >= last)):
        bad = np.atleast_1d(ts)[np.atleast_1d((ts < first) | (ts >= last))][0]
        raise CalendarError(
            f"time: received {to_ny(int(bad)).isoformat()}; allowed: {to_ny(first).isoformat()} to {to_ny(last).isoformat()}"
        )
    opens, closes = calendar.sessions["open"], calendar.sessions["close"]
    before = np.concatenate([[0], np.cumsum(closes - opens)])
    row = np.searchsorted(opens, ts, side="right") - 1
    inside = np.clip(ts - opens[row], 0, (closes - opens)[row])
    return np.where(row < 0, 0, before[row] + inside).astype(np.int64)


def days_to_expiry(now_ns: int, expiry: date) -> int:
    """Return DTE: calendar days from New York's date now to the expiry date; negative once it is past."""
    return (expiry - to_ny(now_ns).date()).days


def is_zero_dte(now_ns: int, expiry: date, expiry_ns: int) -> bool:
    """Return whether the option expires today and has not yet."""
    return days_to_expiry(now_ns, expiry) == 0 and now_ns < expiry_ns


def _checked_weight(closed_weight: float) -> float:
    if not 0 <= closed_weight <= 1:
        raise RecordError(f"closed_weight: received {closed_weight!r}; allowed: 0 to 1, how much a closed minute counts")
    return closed_weight
