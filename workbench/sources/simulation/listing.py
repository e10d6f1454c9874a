"""Which option contracts the simulated market lists: expiries and strikes.

Every symbol has an option that ends on each of the next ten sessions (so one of the day every day), on the Fridays of eight weeks, on
twelve months' third Fridays and two Januaries'. Strikes are centred on the close of the session before: a dollar apart for the
big funds, by price level for the rest, wider apart in the wings. Floor 2.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from workbench.errors import CalendarError
from workbench.options.expiry import monthly_expiry
from workbench.sessions import SessionCalendar, week_number

N_DAILY, N_WEEKLY, N_MONTHLY, N_JANUARIES = 10, 8, 12, 2
DENSE = frozenset(("SPY", "QQQ", "IWM", "DIA"))  # a dollar between strikes, a cent between prices
NEAR_FRAC, FAR_FRAC = (0.08, 0.12), (0.25, 0.60)  # least and most distance of the dense strikes and of the wings
NEAR_SD, FAR_SD = 4.0, 8.0
WING_STEPS = 5  # a wing's strikes are so many times further apart


def day_of(calendar: SessionCalendar, index: int) -> date:
    """Return the date of the calendar's session `index`."""
    return date(1970, 1, 1) + timedelta(days=int(calendar.sessions["date"][index]))


def index_of(calendar: SessionCalendar, day: date) -> int:
    """Return the row of a date's session; CalendarError when there is none."""
    return int(np.searchsorted(calendar.sessions["date"], int(calendar.session(day)["date"])))


def expiries(calendar: SessionCalendar, index: int) -> tuple[date, ...]:
    """Return the expiry dates that are listed in session `index`, that session's own first, ascending."""
    dates = calendar.sessions["date"]
    daily = range(index, min(index + N_DAILY, len(dates)))
    ahead = np.arange(index, min(index + 5 * N_WEEKLY, len(dates) - 1))
    weekly = ahead[week_number(dates[ahead]) != week_number(dates[ahead + 1])]
    days = {day_of(calendar, int(k)) for k in (*daily, *weekly)}
    today = day_of(calendar, index)
    months = [(today.year + (today.month - 1 + n) // 12, (today.month - 1 + n) % 12 + 1) for n in range(N_MONTHLY + 1)]
    for year, month in (*months, *((today.year + n, 1) for n in range(2, N_JANUARIES + 2))):
        try:
            days.add(monthly_expiry(year, month, calendar))
        except CalendarError:
            continue  # the calendar ends before
    return tuple(sorted(day for day in days if day >= today))


def spacing(symbol: str, price: float) -> float:
    """Return the distance between strikes near the money [USD]."""
    if symbol in DENSE:
        return 1.0
    return 0.5 if price < 50 else 1.0 if price < 100 else 2.5 if price < 300 else 5.0


def strikes(symbol: str, centre: float, sd_frac: float) -> np.ndarray:
    """Return the strikes around a price [USD], ascending; `sd_frac`: sd of the move until expiry, as a fraction of it."""
    step = spacing(symbol, centre)
    near, far = (float(np.clip(n * sd_frac, *bounds)) * centre for n, bounds in ((NEAR_SD, NEAR_FRAC), (FAR_SD, FAR_FRAC)))
    dense = step * np.arange(np.ceil((centre - near) / step), np.floor((centre + near) / step) + 1)
    wide = WING_STEPS * step
    wings = wide * np.arange(max(1, np.ceil((centre - far) / wide)), np.floor((centre + far) / wide) + 1)
    both: np.ndarray = np.union1d(dense, wings)
    return both[both > 0]


def open_interest(strike: np.ndarray, centre: float, sd_frac: float, step: float, luck: np.ndarray, scale: float) -> np.ndarray:
    """Return contracts held open overnight: most near the money and at round strikes; `luck` is exponential, of mean 1."""
    away = np.log(strike / centre) / max(2 * sd_frac, 0.02)
    steps = np.rint(strike / step)
    is_round = [steps % n == 0 for n in (100, 50, 10, 5)]
    liked = np.select(is_round, [9.0, 6.0, 3.5, 2.0], 1.0)
    return np.floor(scale * liked * np.exp(-0.5 * away * away) * (0.3 + 0.7 * luck))
