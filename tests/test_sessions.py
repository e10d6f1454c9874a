"""Sessions and expected bars, against facts typed in by a person (NYSE notices) and against hand arithmetic."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from tests.oracles import nyse_rules
from workbench.errors import CalendarError
from workbench.sessions import ALL_SEGMENTS, Segment, SessionCalendar, ny_ns, to_ns, to_ny
from workbench.types import TIMEFRAMES

CALENDAR = SessionCalendar.xnys()
DAY = date(2025, 11, 25)  # a whole Tuesday
HALF = date(2025, 11, 28)  # the day after Thanksgiving


def span(first: date, last: date) -> tuple[int, int]:
    return ny_ns(first, 0), ny_ns(last, 23, 59)


@pytest.mark.parametrize(("year", "sessions"), [(2024, 252), (2025, 250), (2026, 251)])
def test_years_have_the_exchanges_number_of_sessions(year, sessions):
    assert CALENDAR.expected_bars("1d", *span(date(year, 1, 1), date(year, 12, 31))) == sessions


@pytest.mark.parametrize(
    "day",
    [
        date(2024, 7, 3),
        date(2024, 11, 29),
        date(2024, 12, 24),
        date(2025, 7, 3),
        HALF,
        date(2025, 12, 24),
        date(2026, 11, 27),
        date(2026, 12, 24),
    ],
)
def test_half_days_close_at_one_and_after_hours_at_five(day):
    row = CALENDAR.session(day)
    assert [to_ny(int(row[name])).strftime("%H:%M") for name in ("pre_open", "open", "close", "post_close")] == [
        "04:00",
        "09:30",
        "13:00",
        "17:00",
    ]
    assert CALENDAR.expected_bars("1m", *span(day, day)) == 210


@pytest.mark.parametrize(
    "day", [date(2025, 1, 9), date(2018, 12, 5), date(2026, 7, 3), date(2012, 10, 29), date(2022, 6, 20), date(2025, 11, 23)]
)
def test_days_of_mourning_holidays_and_weekends_have_no_session(day):
    assert not CALENDAR.is_session(day)
    with pytest.raises(CalendarError, match=day.isoformat()):
        CALENDAR.session(day)


def test_the_day_before_independence_day_2026_is_a_whole_day():
    assert CALENDAR.expected_bars("1m", *span(date(2026, 7, 2), date(2026, 7, 2))) == 390


@pytest.mark.parametrize(
    ("day", "hour_utc"), [(date(2026, 3, 6), 14), (date(2026, 3, 9), 13), (date(2026, 10, 30), 13), (date(2026, 11, 2), 14)]
)
def test_the_open_moves_in_utc_when_clocks_change(day, hour_utc):
    assert int(CALENDAR.session(day)["open"]) == to_ns(datetime(day.year, day.month, day.day, hour_utc, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("label", "regular", "extended"),
    [("1m", 390, 960), ("2m", 195, 480), ("3m", 130, 320), ("5m", 78, 192), ("10m", 39, 96), ("15m", 26, 64),
     ("30m", 13, 32), ("1h", 7, 17), ("2h", 4, 9), ("4h", 2, 5), ("1d", 1, 1), ("1w", 0, 0)],
)  # fmt: skip
def test_a_whole_day_has_this_many_bars(label, regular, extended):
    counts = [CALENDAR.expected_bars(label, *span(DAY, DAY), segments=s) for s in ((Segment.RTH,), ALL_SEGMENTS)]
    assert counts == [regular, extended]  # the week's bar opens on its Monday, not on this Tuesday


@pytest.mark.parametrize(("label", "bars"), [("1m", 210), ("1h", 4), ("4h", 1), ("30m", 7), ("1d", 1)])
def test_a_half_day_has_fewer(label, bars):
    assert CALENDAR.expected_bars(label, *span(HALF, HALF)) == bars


def test_bars_never_straddle_a_segment_and_tile_the_day():
    for label in TIMEFRAMES:
        if label in ("1d", "1w"):
            continue
        opens, closes = CALENDAR.bar_times(label, *span(DAY, DAY), segments=ALL_SEGMENTS)
        assert (opens[1:] == closes[:-1]).all()
        assert [CALENDAR.segment(int(a)) for a in opens] == [CALENDAR.segment(int(b) - 1) for b in closes]


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        ("session_rth", ["04:00-08:00", "08:00-09:30", "09:30-13:30", "13:30-16:00", "16:00-20:00"]),
        ("session_eth", ["04:00-08:00", "08:00-12:00", "12:00-16:00", "16:00-20:00"]),
        ("natural", ["04:00-08:00", "08:00-09:30", "09:30-12:00", "12:00-16:00", "16:00-20:00"]),
    ],
)
def test_four_hour_bars_begin_at_their_anchor(anchor, expected):
    times = CALENDAR.bar_times("4h", *span(DAY, DAY), segments=ALL_SEGMENTS, anchor=anchor)
    assert [f"{to_ny(a):%H:%M}-{to_ny(b):%H:%M}" for a, b in zip(*times, strict=True)] == expected


def test_a_week_with_a_holiday_opens_monday_and_closes_friday_at_one():
    (opens, closes) = CALENDAR.bar_times("1w", *span(date(2025, 11, 24), date(2025, 11, 30)))
    assert [to_ny(int(t)).strftime("%a %H:%M") for t in (opens[0], closes[0])] == ["Mon 09:30", "Fri 13:00"]


@pytest.mark.parametrize(
    ("clock", "segment"),
    [((3, 59), Segment.CLOSED), ((4, 0), Segment.PRE), ((9, 29), Segment.PRE), ((9, 30), Segment.RTH), ((15, 59), Segment.RTH),
     ((16, 0), Segment.AH), ((19, 59), Segment.AH), ((20, 0), Segment.CLOSED)],
)  # fmt: skip
def test_segments_change_at_their_minute(clock, segment):
    assert CALENDAR.segment(ny_ns(DAY, *clock)) is segment


def test_minutes_to_close_are_told_in_regular_hours_only():
    assert CALENDAR.minutes_to_close(ny_ns(DAY, 15, 30)) == 30
    assert CALENDAR.minutes_to_close(ny_ns(HALF, 12, 30)) == 30
    assert CALENDAR.minutes_to_close(ny_ns(DAY, 16, 0)) is None


def test_a_time_before_the_calendar_and_a_naive_time_are_refused():
    with pytest.raises(CalendarError, match="allowed: from 2000"):
        CALENDAR.latest(0)
    with pytest.raises(CalendarError, match="without a zone"):
        to_ns(datetime(2025, 1, 2, 9, 30))


@pytest.mark.soak("calendar")
@pytest.mark.parametrize("year", range(2010, 2028))
def test_every_minute_agrees_with_the_exchanges_rules(year):
    days = span(date(year, 1, 1), date(year, 12, 31))
    assert np.array_equal(CALENDAR.bar_times("1m", *days)[0], nyse_rules.minutes(year))
    whole_days, _ = CALENDAR.bar_times("1m", *days, segments=ALL_SEGMENTS)
    assert np.array_equal(whole_days, nyse_rules.minutes(year, extended=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pandas.errors.Pandas4Warning")  # inside exchange_calendars
def test_every_minute_agrees_with_the_exchange_calendar():
    import exchange_calendars

    oracle = exchange_calendars.get_calendar("XNYS", start="2010-01-01", end="2027-12-31")
    ours, _ = CALENDAR.bar_times("1m", *span(date(2010, 1, 1), date(2027, 12, 31)))
    assert np.array_equal(ours, oracle.minutes_nanos)
