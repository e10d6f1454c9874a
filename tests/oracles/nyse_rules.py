"""Trading minutes of the New York Stock Exchange, 2010-2027, from its Rule 7.2 and its notices, typed by hand and without a library.

Holidays that fall on a Sunday are kept on Monday, on a Saturday on Friday (New Year's Day not: the last day of an accounting
period stays open). Early closes at 13:00: 3 July and 24 December when they are Monday to Thursday, the day after Thanksgiving.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

NEW_YORK = ZoneInfo("America/New_York")
MIN = 60_000_000_000
MONDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 3, 4, 5, 6
SPECIAL_CLOSURES = {date(2012, 10, 29), date(2012, 10, 30), date(2018, 12, 5), date(2025, 1, 9)}  # hurricane Sandy; Bush; Carter
EASTER = {
    2010: (4, 4), 2011: (4, 24), 2012: (4, 8), 2013: (3, 31), 2014: (4, 20), 2015: (4, 5), 2016: (3, 27), 2017: (4, 16), 2018: (4, 1),
    2019: (4, 21), 2020: (4, 12), 2021: (4, 4), 2022: (4, 17), 2023: (4, 9), 2024: (3, 31), 2025: (4, 20), 2026: (4, 5), 2027: (3, 28),
}  # fmt: skip


def nth(year: int, month: int, weekday: int, n: int) -> date:
    """Return the n-th weekday of a month; n = -1 the last one."""
    if n > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def kept(day: date) -> date:
    """Return the day on which a fixed holiday is kept."""
    return day + timedelta(days={SATURDAY: -1, SUNDAY: 1}.get(day.weekday(), 0))


def holidays(year: int) -> set[date]:
    """Return the days of a year on which the exchange is closed, weekends left out."""
    new_year = date(year, 1, 1)
    days = {
        new_year + timedelta(days=new_year.weekday() == SUNDAY),
        nth(year, 1, MONDAY, 3),
        nth(year, 2, MONDAY, 3),
        date(year, *EASTER[year]) - timedelta(days=2),
        nth(year, 5, MONDAY, -1),
        kept(date(year, 7, 4)),
        nth(year, 9, MONDAY, 1),
        nth(year, 11, THURSDAY, 4),
        kept(date(year, 12, 25)),
    }
    if year >= 2022:  # Juneteenth: first kept by the exchange in 2022
        days.add(kept(date(year, 6, 19)))
    return days | {day for day in SPECIAL_CLOSURES if day.year == year}


def early_closes(year: int) -> set[date]:
    """Return the days that end at 13:00."""
    eves = {day for day in (date(year, 7, 3), date(year, 12, 24)) if day.weekday() <= THURSDAY}
    return eves | {nth(year, 11, THURSDAY, 4) + timedelta(days=1)}


def ns(day: date, clock: time) -> int:
    """Return New York wall time as ns UTC."""
    return int(datetime.combine(day, clock, NEW_YORK).timestamp()) * 1_000_000_000


def minutes(year: int, *, extended: bool = False) -> np.ndarray:
    """Return the opens of every trading minute of a year [ns UTC], regular hours or 04:00 to 20:00 (17:00 after an early close)."""
    closed, early = holidays(year), early_closes(year)
    parts = []
    day = date(year, 1, 1)
    while day.year == year:
        if day.weekday() < SATURDAY and day not in closed:
            is_early = day in early
            first, last = (time(4), time(17 if is_early else 20)) if extended else (time(9, 30), time(13 if is_early else 16))
            parts.append(np.arange(ns(day, first), ns(day, last), MIN))
        day += timedelta(days=1)
    return np.concatenate(parts)
