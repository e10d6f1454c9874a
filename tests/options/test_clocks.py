"""Time to expiry by each clock, against minutes counted by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from workbench.errors import CalendarError, RecordError
from workbench.options.clocks import TimeClock, days_to_expiry, is_zero_dte, minutes_per_year, regular_ns, years_to_expiry
from workbench.sessions import SessionCalendar, ny_ns, to_ns

CALENDAR = SessionCalendar.xnys()
HYBRID_YEAR = 98_280 + 0.25 * 427_320
CAL365, TRD252, HYBRID = TimeClock.CAL365, TimeClock.TRD252, TimeClock.HYBRID


def years(now, expiry, clock, **more):
    return float(years_to_expiry(now, expiry, clock, calendar=CALENDAR, **more))


@pytest.mark.parametrize(
    ("now", "expiry", "calendar_minutes", "open_minutes"),
    [
        pytest.param((date(2025, 7, 15), 9, 30), (date(2025, 7, 15), 16), 390, 390, id="a whole summer day"),
        pytest.param((date(2025, 1, 15), 9, 30), (date(2025, 1, 15), 16), 390, 390, id="a whole winter day"),
        pytest.param((date(2025, 7, 15), 15, 59), (date(2025, 7, 15), 16), 1, 1, id="the last minute"),
        pytest.param((date(2025, 7, 15), 4, 0), (date(2025, 7, 15), 16), 720, 390, id="before the open"),
        pytest.param((date(2025, 11, 28), 9, 30), (date(2025, 11, 28), 13), 210, 210, id="a half day"),
        pytest.param(
            (date(2025, 11, 26), 15, 0), (date(2025, 12, 1), 16), 7260, 60 + 210 + 390, id="over Thanksgiving, a half day, a weekend"
        ),
        pytest.param((date(2025, 7, 17), 16, 15), (date(2025, 7, 18), 9, 30), 1035, 0, id="overnight into a morning settlement"),
        pytest.param((date(2026, 3, 6), 16, 0), (date(2026, 3, 9), 16), 3 * 1440 - 60, 390, id="the weekend that loses an hour"),
        pytest.param((date(2026, 10, 30), 16, 0), (date(2026, 11, 2), 16), 3 * 1440 + 60, 390, id="the weekend that gains an hour"),
    ],
)
def test_each_clock_counts_its_own_minutes(now, expiry, calendar_minutes, open_minutes):
    now, expiry = ny_ns(*now), ny_ns(*expiry)
    assert years(now, expiry, CAL365) == pytest.approx(calendar_minutes / 525_600, rel=1e-14)
    assert years(now, expiry, TRD252) == pytest.approx(open_minutes / 98_280, rel=1e-14)
    mixed = open_minutes + 0.25 * (calendar_minutes - open_minutes)
    assert years(now, expiry, HYBRID) == pytest.approx(mixed / HYBRID_YEAR, rel=1e-14)


def test_a_summer_afternoon_is_not_an_hour_too_long():
    three_in_new_york = to_ns(datetime(2025, 7, 15, 19, 0, tzinfo=UTC))
    assert years(three_in_new_york, ny_ns(date(2025, 7, 15), 16), CAL365) * 525_600 == pytest.approx(60)


def test_the_weight_of_closed_hours_spans_both_other_clocks():
    now, expiry = ny_ns(date(2025, 7, 11), 12), ny_ns(date(2025, 7, 15), 16)
    assert years(now, expiry, HYBRID, closed_weight=1.0) == pytest.approx(years(now, expiry, CAL365), rel=1e-14)
    assert years(now, expiry, HYBRID, closed_weight=0.0) == pytest.approx(years(now, expiry, TRD252), rel=1e-14)
    assert minutes_per_year(HYBRID) == HYBRID_YEAR
    assert (minutes_per_year(CAL365), minutes_per_year(TRD252)) == (525_600, 98_280)


@pytest.mark.parametrize("clock", list(TimeClock))
def test_an_expired_option_has_no_time_left(clock):
    expiry = ny_ns(date(2025, 7, 15), 16)
    assert years(expiry, expiry, clock) == 0
    assert years(expiry + 60 * 10**9, expiry, clock) == 0


def test_time_flows_forward_and_in_regular_hours_only():
    step = np.arange(ny_ns(date(2025, 11, 24), 0), ny_ns(date(2025, 12, 2), 0), 7 * 60 * 10**9)
    for clock in TimeClock:
        left = years_to_expiry(step, ny_ns(date(2025, 12, 5), 16), clock, calendar=CALENDAR)
        assert (np.diff(left) <= 0).all()
    night = regular_ns([ny_ns(date(2025, 11, 25), 16), ny_ns(date(2025, 11, 26), 9, 30)], CALENDAR)
    assert night[0] == night[1]


def test_days_are_new_yorks_dates():
    late = to_ns(datetime(2025, 7, 16, 1, 0, tzinfo=UTC))  # 21:00 on the 15th in New York
    assert days_to_expiry(late, date(2025, 7, 16)) == 1
    assert days_to_expiry(late, date(2025, 7, 14)) == -1


def test_an_option_of_the_day_is_one_until_it_expires():
    day, expiry = date(2025, 7, 15), ny_ns(date(2025, 7, 15), 16)
    assert is_zero_dte(expiry - 1, day, expiry)
    assert not is_zero_dte(expiry, day, expiry)
    assert not is_zero_dte(ny_ns(date(2025, 7, 14), 12), day, expiry)


def test_wrong_requests_say_what_is_allowed():
    with pytest.raises(RecordError, match="cal365"):
        TimeClock.parse("cal360")
    assert TimeClock.parse("TRD252") is TRD252
    with pytest.raises(RecordError, match="closed_weight"):
        years(0, 1, HYBRID, closed_weight=1.5)
    with pytest.raises(CalendarError, match="allowed"):
        years(ny_ns(date(1990, 1, 2), 10), ny_ns(date(2025, 1, 2), 10), TRD252)
