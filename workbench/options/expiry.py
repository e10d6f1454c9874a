"""When an option ends, how it settles, and until when it trades: by root, on New York's wall clock of that day.

SPX and SPXW may expire on one date and differ by 6.5 hours and a night: contracts are told apart by root, never by date alone.
A date on which the exchange is shut (a third Friday that is a holiday, the Saturdays of expiries before 2015) means the session
before it. Daylight saving is the zone's own; no offset is written down anywhere.

In: an OptionContract and the trading calendar. Out: Terms. Roots that are not in the table are taken for single names and funds:
American, shares.

Floor 1: types and sessions of floor 0.

Source: Cboe index option specifications (SPX, SPXW, XSP, NDX, NDXP, RUT, RUTW, VIX, DJX, OEX, XEO), NYSE Arca and Cboe hours of
funds; Cboe rule 6.20 on exercise notices (an hour and a half after the close).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

from workbench.errors import CalendarError
from workbench.sessions import SessionCalendar
from workbench.types import NS_PER_S, OptionContract

LATE_NS = 15 * 60 * NS_PER_S  # index options and some funds' options trade so much longer than the shares
NOTICE_NS = 90 * 60 * NS_PER_S  # holders of American options may decide so long after the close
FARTHEST_SHUT_DAYS = 4  # from a date without session back to the one that counts


class Exercise(Enum):
    """When the holder may exercise."""

    EUROPEAN = "european"
    AMERICAN = "american"


class Settlement(Enum):
    """Which prices decide: the opening ones of the expiry date (AM) or the closing ones (PM)."""

    AM = "am"
    PM = "pm"


class Delivery(Enum):
    """What changes hands."""

    CASH = "cash"
    SHARES = "shares"


@dataclass(frozen=True, slots=True)
class Style:
    """What a root fixes. `ends_late`: on its last day it trades a quarter of an hour longer than the shares."""

    exercise: Exercise
    settlement: Settlement
    delivery: Delivery
    ends_late: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """How one contract ends.

    `expiry_ns`: the instant whose price decides; time value ends there. `last_trade_ns`: after it nobody can get out. Between
    the two, or after both, the position is exposed: overnight (AM), or until `exercise_until_ns` (American). All [ns UTC].
    """

    style: Style
    session: date  # the trading date that decides
    expiry_ns: int
    last_trade_ns: int
    exercise_until_ns: int | None  # None: exercised by itself
    is_adjusted: bool  # a corporate action changed what is delivered: shown, not priced


_AM_INDEX = Style(Exercise.EUROPEAN, Settlement.AM, Delivery.CASH)
_PM_INDEX = Style(Exercise.EUROPEAN, Settlement.PM, Delivery.CASH)
_FUND = Style(Exercise.AMERICAN, Settlement.PM, Delivery.SHARES, ends_late=True)
_SINGLE = Style(Exercise.AMERICAN, Settlement.PM, Delivery.SHARES)

# root -> how its contracts end
STYLES = {
    **dict.fromkeys(("SPX", "NDX", "RUT", "DJX", "VIX", "VIXW"), _AM_INDEX),
    **dict.fromkeys(("SPXW", "XSP", "NDXP", "RUTW", "XEO"), _PM_INDEX),
    "OEX": Style(Exercise.AMERICAN, Settlement.PM, Delivery.CASH),
    **dict.fromkeys(("SPY", "QQQ", "IWM", "DIA"), _FUND),
}


def style(root: str) -> Style:
    """Return how contracts of a root end; an adjusted root (it ends with a digit) as the root it comes from."""
    return STYLES.get(root.rstrip("0123456789"), _SINGLE)


def terms(contract: OptionContract, calendar: SessionCalendar) -> Terms:
    """Return how one contract ends; CalendarError when its date is far from any session of the calendar."""
    how = style(contract.root)
    session = session_of(contract.expiry, calendar)
    row = calendar.session(session)
    opens, closes = int(row["open"]), int(row["close"])
    if how.settlement is Settlement.AM:
        day_before = calendar.session(session_of(session - timedelta(days=1), calendar))
        last_trade = int(day_before["close"]) + LATE_NS
    else:
        last_trade = closes + (LATE_NS if how.ends_late else 0)
    return Terms(
        style=how,
        session=session,
        expiry_ns=opens if how.settlement is Settlement.AM else closes,
        last_trade_ns=last_trade,
        exercise_until_ns=closes + NOTICE_NS if how.exercise is Exercise.AMERICAN else None,
        is_adjusted=is_adjusted(contract),
    )


def is_adjusted(contract: OptionContract) -> bool:
    """Return whether a corporate action changed what is delivered: another multiplier, or a root that ends with a digit."""
    return contract.root[-1].isdigit() or contract.multiplier != 100


def session_of(day: date, calendar: SessionCalendar) -> date:
    """Return the trading date that an expiry date means: itself, or the last session before it."""
    for back in range(FARTHEST_SHUT_DAYS + 1):
        if calendar.is_session(day - timedelta(days=back)):
            return day - timedelta(days=back)
    raise CalendarError(
        f"expiry: received {day:%Y-%m-%d %A}; allowed: dates within {FARTHEST_SHUT_DAYS} days after a session of the calendar"
    )


def monthly_expiry(year: int, month: int, calendar: SessionCalendar) -> date:
    """Return the monthly expiry: the third Friday, or the session before it when that is a holiday."""
    first = date(year, month, 1)
    return session_of(first + timedelta(days=(4 - first.weekday()) % 7 + 14), calendar)
