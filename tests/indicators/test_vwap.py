"""The anchored average price: equal to the sums over the prints, reset where the anchor says, honest where it had to guess."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import CalendarError, RecordError
from workbench.indicators import Vwap, anchor_starts, vwap
from workbench.indicators.vwap import INSIDE, OUTSIDE, START
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import BAR_DTYPE

MIN = 60_000_000_000
DAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    return SessionCalendar.xnys()


def make_bars(ts: np.ndarray, price: list, volume: list, spread: list | None = None) -> np.ndarray:
    rows = np.zeros(len(price), BAR_DTYPE)
    rows["ts_open"], rows["ts_close"] = ts, np.asarray(ts) + MIN
    for name in ("open", "high", "low", "close", "vwap"):
        rows[name] = price
    rows["volume"] = volume
    rows["vw_std"] = 0.0 if spread is None else spread
    return rows


def random_prints(rng: np.random.Generator, minutes: int):
    """Prints of several minutes: minute, price, size."""
    minute = np.sort(rng.integers(0, minutes, 40 * minutes))
    price = np.round(700 + np.cumsum(rng.normal(0, 0.02, len(minute))), 2)
    return minute, price, rng.integers(1, 900, len(minute)).astype(float)


def bars_of(minute: np.ndarray, price: np.ndarray, size: np.ndarray, start: int) -> np.ndarray:
    """Minute bars by definition, one minute at a time."""
    rows = []
    for m in np.unique(minute):
        p, v = price[minute == m], size[minute == m]
        mean = np.average(p, weights=v)
        rows.append((start + m * MIN, p.max(), p.min(), p[-1], v.sum(), mean, math.sqrt(np.average((p - mean) ** 2, weights=v))))
    out = np.zeros(len(rows), BAR_DTYPE)
    for k, name in enumerate(("ts_open", "high", "low", "close", "volume", "vwap", "vw_std")):
        out[name] = [row[k] for row in rows]
    return out


def test_on_paper():
    place = np.array([START, INSIDE], np.uint8)
    found = vwap(make_bars([0, MIN], [10.0, 13.0], [200, 100]), place)
    np.testing.assert_allclose(found.vwap, [10, 11])
    np.testing.assert_allclose(found.upper1, [10, 11 + math.sqrt(2)])  # (200 * 1 + 100 * 4) / 300
    np.testing.assert_allclose(found.lower2, [10, 11 - 2 * math.sqrt(2)])
    assert not found.is_estimated.any()


def test_lines_equal_the_sums_over_the_prints_themselves():
    minute, price, size = random_prints(np.random.default_rng(3), 60)
    bars = bars_of(minute, price, size, ny_ns(DAY, 9, 30))
    place = np.full(len(bars), INSIDE, np.uint8)
    place[0] = START
    found = vwap(bars, place)
    for i, m in enumerate(np.unique(minute)):
        p, v = price[minute <= m], size[minute <= m]
        mean = np.average(p, weights=v)
        sd = math.sqrt(np.average((p - mean) ** 2, weights=v))
        assert found.vwap[i] == pytest.approx(mean, rel=1e-12)
        assert found.upper1[i] == pytest.approx(mean + sd, rel=1e-10)
        assert found.lower2[i] == pytest.approx(mean - 2 * sd, rel=1e-10)


volumes = st.one_of(st.floats(1, 1e6), st.sampled_from([0.0, np.nan]))
values = st.one_of(st.floats(1, 1000), st.just(np.nan))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1000), values, values, volumes, st.sampled_from([OUTSIDE, INSIDE, START])), max_size=30))
def test_streaming_gives_the_rows_of_the_batch_bit_for_bit(drawn: list):
    bars = np.zeros(len(drawn), BAR_DTYPE)
    for name, k in (("high", 0), ("low", 0), ("close", 0), ("vwap", 1), ("vw_std", 2), ("volume", 3)):
        bars[name] = [d[k] for d in drawn]
    place = np.array([d[4] for d in drawn], np.uint8)
    batch, twin = vwap(bars, place), Vwap()
    for i in range(len(bars)):
        peeked = twin.peek(bars[i], place[i])
        row = twin.update(bars[i], place[i])
        assert np.array_equal(np.array(row), np.array([line[i] for line in batch]), equal_nan=True), i
        assert np.array_equal(np.array(peeked), np.array(row), equal_nan=True)


def test_cutting_off_the_future_never_changes_the_past(calendar: SessionCalendar):
    ts = np.arange(ny_ns(DAY, 9), ny_ns(DAY, 11), MIN)
    bars = make_bars(ts, list(np.linspace(50, 60, len(ts))), [100.0] * len(ts), [0.1] * len(ts))
    whole = vwap(bars, anchor_starts(ts, calendar))
    for cut in (0, 10, 31, 100):
        part = vwap(bars[:cut], anchor_starts(ts[:cut], calendar))
        assert np.array_equal(part.upper2, whole.upper2[:cut], equal_nan=True)


def test_a_bar_without_volume_changes_nothing():
    bars = make_bars([0, MIN, 2 * MIN], [10.0, 99.0, 12.0], [100, 0, 100])
    found = vwap(bars, np.array([START, INSIDE, INSIDE], np.uint8))
    np.testing.assert_allclose(found.vwap, [10, 10, 11])


def test_bars_without_vwap_count_at_hlc3_and_are_flagged_from_there_on():
    bars = make_bars([0, MIN, 2 * MIN, 3 * MIN], [10.0, np.nan, 12.0, 20.0], [100, 100, 100, 100])
    bars["high"][1], bars["low"][1], bars["close"][1] = 12, 9, 12
    found = vwap(bars, np.array([START, INSIDE, INSIDE, START], np.uint8))
    np.testing.assert_allclose(found.vwap, [10, 10.5, 11, 20])
    assert found.is_estimated.tolist() == [False, True, True, False]


def test_an_unknown_spread_inside_the_bar_is_flagged_too():
    bars = make_bars([0], [10.0], [100], [np.nan])
    found = vwap(bars, np.array([START], np.uint8))
    assert (found.vwap[0], found.upper1[0], bool(found.is_estimated[0])) == (10.0, 10.0, True)


# -- anchors ----------------------------------------------------------------------------------------------------------------


def test_the_regular_session_anchors_at_half_past_nine_and_ends_at_the_close(calendar: SessionCalendar):
    ts = np.array(
        [ny_ns(DAY, 4), ny_ns(DAY, 9, 29), ny_ns(DAY, 9, 30), ny_ns(DAY, 15, 59), ny_ns(DAY, 16), ny_ns(date(2026, 11, 23), 9, 31)]
    )
    assert anchor_starts(ts, calendar).tolist() == [OUTSIDE, OUTSIDE, START, INSIDE, OUTSIDE, START]


def test_the_whole_day_anchors_at_four_and_not_at_utc_midnight(calendar: SessionCalendar):
    ts = np.array([ny_ns(DAY, 4), ny_ns(DAY, 18, 59), ny_ns(DAY, 19), ny_ns(DAY, 19, 59), ny_ns(DAY, 20)])  # 19:00 is midnight UTC
    assert anchor_starts(ts, calendar, "session").tolist() == [START, INSIDE, INSIDE, INSIDE, OUTSIDE]


def test_a_half_day_ends_at_one(calendar: SessionCalendar):
    day = date(2025, 11, 28)
    ts = np.array([ny_ns(day, 9, 30), ny_ns(day, 12, 59), ny_ns(day, 13)])
    assert anchor_starts(ts, calendar).tolist() == [START, INSIDE, OUTSIDE]


def test_a_week_anchors_at_its_first_session_also_after_a_holiday_monday(calendar: SessionCalendar):
    days = [date(2026, 9, 4), date(2026, 9, 8), date(2026, 9, 9), date(2026, 9, 14)]  # Friday, Labor Day skipped, Wednesday, Monday
    ts = np.array([ny_ns(day, 10) for day in days])
    assert anchor_starts(ts, calendar, "week").tolist() == [START, START, INSIDE, START]


def test_a_time_anchors_at_the_first_bar_from_it_on(calendar: SessionCalendar):
    ts = np.arange(5) * MIN
    assert anchor_starts(ts, calendar, 2 * MIN).tolist() == [OUTSIDE, OUTSIDE, START, INSIDE, INSIDE]


def test_unknown_anchors_and_odd_shapes_are_refused(calendar: SessionCalendar):
    with pytest.raises(CalendarError, match=r"anchor: received 'weak' \(did you mean 'week'\?\); allowed: rth, session, week"):
        anchor_starts(np.zeros(1, np.int64), calendar, "weak")
    with pytest.raises(RecordError, match="allowed: BAR_DTYPE and as many places"):
        vwap(np.zeros(2, BAR_DTYPE), np.zeros(3, np.uint8))
