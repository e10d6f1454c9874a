"""When each root's options end, against facts typed in from the exchanges' specifications."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from workbench.errors import CalendarError
from workbench.options.clocks import TimeClock, years_to_expiry
from workbench.options.expiry import Delivery, Exercise, Settlement, monthly_expiry, session_of, style, terms
from workbench.sessions import SessionCalendar, ny_ns, to_ns
from workbench.types import OptionContract

CALENDAR = SessionCalendar.xnys()


def ends(root, day, **more):
    return terms(OptionContract(root, day, "C", Decimal(100), **more), CALENDAR)


@pytest.mark.parametrize(
    ("root", "day", "expiry", "last_trade", "decide_until"),
    [
        ("SPX", date(2025, 7, 18), (18, 9, 30), (17, 16, 15), None),
        ("SPXW", date(2025, 7, 18), (18, 16, 0), (18, 16, 0), None),
        ("XSP", date(2025, 7, 18), (18, 16, 0), (18, 16, 0), None),
        ("NDX", date(2025, 7, 18), (18, 9, 30), (17, 16, 15), None),
        ("NDXP", date(2025, 7, 18), (18, 16, 0), (18, 16, 0), None),
        ("RUTW", date(2025, 7, 18), (18, 16, 0), (18, 16, 0), None),
        ("RUT", date(2025, 7, 18), (18, 9, 30), (17, 16, 15), None),
        ("VIX", date(2025, 7, 16), (16, 9, 30), (15, 16, 15), None),
        ("SPY", date(2025, 7, 18), (18, 16, 0), (18, 16, 15), (18, 17, 30)),
        ("QQQ", date(2025, 7, 18), (18, 16, 0), (18, 16, 15), (18, 17, 30)),
        ("IWM", date(2025, 7, 18), (18, 16, 0), (18, 16, 15), (18, 17, 30)),
        ("DIA", date(2025, 7, 18), (18, 16, 0), (18, 16, 15), (18, 17, 30)),
        ("AAPL", date(2025, 7, 18), (18, 16, 0), (18, 16, 0), (18, 17, 30)),
        ("SPXW", date(2025, 7, 3), (3, 13, 0), (3, 13, 0), None),
        ("SPY", date(2025, 7, 3), (3, 13, 0), (3, 13, 15), (3, 14, 30)),
    ],
)
def test_each_root_ends_at_its_own_instant(root, day, expiry, last_trade, decide_until):
    got = ends(root, day)

    def at(moment):
        return ny_ns(date(day.year, day.month, moment[0]), *moment[1:])

    assert (got.expiry_ns, got.last_trade_ns) == (at(expiry), at(last_trade))
    assert got.exercise_until_ns == (at(decide_until) if decide_until else None)


def test_morning_and_afternoon_contracts_of_one_date_are_not_mixed():
    morning, afternoon = ends("SPX", date(2025, 7, 18)), ends("SPXW", date(2025, 7, 18))
    assert afternoon.expiry_ns - morning.expiry_ns == 390 * 60 * 10**9
    now = ny_ns(date(2025, 7, 18), 10)
    left = years_to_expiry(now, [morning.expiry_ns, afternoon.expiry_ns], TimeClock.CAL365, calendar=CALENDAR)
    assert left.tolist() == [0, 360 / 525_600]


@pytest.mark.parametrize(
    ("day", "utc_hour"), [(date(2026, 3, 6), 21), (date(2026, 3, 9), 20), (date(2026, 10, 30), 20), (date(2026, 11, 2), 21)]
)
def test_the_close_follows_daylight_saving(day, utc_hour):
    assert ends("SPXW", day).expiry_ns == to_ns(datetime(day.year, day.month, day.day, utc_hour, tzinfo=UTC))


def test_a_morning_settlement_after_a_half_day_or_a_holiday_trades_until_that_sessions_end():
    assert ends("SPX", date(2025, 11, 28)).last_trade_ns == ny_ns(date(2025, 11, 26), 16, 15)  # Thanksgiving lies between
    assert ends("SPX", date(2025, 12, 26)).last_trade_ns == ny_ns(date(2025, 12, 24), 13, 15)


@pytest.mark.parametrize(
    ("year", "month", "expected"),
    [(2025, 7, date(2025, 7, 18)), (2025, 4, date(2025, 4, 17)), (2026, 6, date(2026, 6, 18)), (2025, 8, date(2025, 8, 15))],
)
def test_a_third_friday_that_is_a_holiday_means_thursday(year, month, expected):
    assert monthly_expiry(year, month, CALENDAR) == expected  # 2025-04-18 was Good Friday, 2026-06-19 is Juneteenth


def test_the_saturdays_of_old_expiries_mean_friday():
    assert ends("SPX", date(2013, 3, 16)).expiry_ns == ny_ns(date(2013, 3, 15), 9, 30)
    assert session_of(date(2013, 3, 16), CALENDAR) == date(2013, 3, 15)


def test_exercise_and_delivery_go_by_root():
    for root in ("SPX", "SPXW", "XSP", "NDX", "NDXP", "RUT", "VIX"):
        assert (style(root).exercise, style(root).delivery) == (Exercise.EUROPEAN, Delivery.CASH)
    for root in ("SPY", "QQQ", "IWM", "AAPL", "BRKB"):
        assert (style(root).exercise, style(root).delivery) == (Exercise.AMERICAN, Delivery.SHARES)
    assert style("SPX").settlement is Settlement.AM
    assert style("SPXW").settlement is Settlement.PM


def test_adjusted_contracts_are_marked():
    assert ends("AAPL1", date(2025, 7, 18)).is_adjusted
    assert ends("AAPL", date(2025, 7, 18), multiplier=150).is_adjusted
    assert not ends("AAPL", date(2025, 7, 18)).is_adjusted


def test_a_date_that_no_calendar_knows_is_refused():
    with pytest.raises(CalendarError, match="expiry: received 2035"):
        ends("SPY", date(2035, 1, 19))
