"""Volume profiles against a worked example, scipy's peaks, hand counts, and what has to hold for any bars."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from tests.scorecard import count
from workbench.errors import RecordError
from workbench.options.profile import VolumeMethod, VolumeProfile, composite
from workbench.options.profile_rows import Hours, developing, eligible, profile_of_bars, profile_of_trades, time_at_price, within
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import BAR_DTYPE, TRADE_DTYPE

MIN = 60_000_000_000


@pytest.fixture(autouse=True)
def _counted(cases):
    cases.n = count("volume-profile")


def profile(volumes, *, first=400, step=0.25):
    volumes = np.array(volumes, float)
    return VolumeProfile(step, first, volumes, np.full(len(volumes), np.nan), VolumeMethod.TRADES)


def bars(*rows, start=0):
    """Bars of a minute from (low, high, close, volume)."""
    out = np.zeros(len(rows), BAR_DTYPE)
    for i, (low, high, close, volume) in enumerate(rows):
        out[i]["ts_open"], out[i]["ts_close"] = start + i * MIN, start + (i + 1) * MIN
        out[i]["low"], out[i]["high"], out[i]["open"], out[i]["close"], out[i]["volume"] = low, high, low, close, volume
    return out


def prints(*rows):
    """Prints from (price, size, conditions)."""
    out = np.zeros(len(rows), TRADE_DTYPE)
    for row, (price, size, conditions) in zip(out, rows, strict=True):
        row["price"], row["size"], row["n_conditions"] = price, size, len(conditions)
        row["conditions"][: len(conditions)] = conditions
    return out


# -- the worked example ------------------------------------------------------------------------------------------------------------

ROWS = [150, 420, 980, 610, 1300, 1800, 1150, 480, 530, 900, 300, 80]  # 100.00 to 102.75 by 0.25


def test_point_of_control_and_value_area_by_the_two_row_rule():
    got = profile(ROWS)
    assert (got.total, got.poc) == (8700, 101.25)
    area = got.value_area()
    assert (area.low, area.high, area.volume, area.had_tie) == (100.75, 102.25, 6770, False)


def test_the_one_row_rule_gives_other_edges_and_says_which_rule_it_is():
    area = profile(ROWS).value_area(rows_at_a_time=1)
    assert (area.low, area.high, area.volume, area.rows_at_a_time) == (100.50, 101.75, 6320, 1)


def test_of_equal_sides_the_upper_is_taken_and_it_is_said():
    area = profile([0, 5, 5, 10, 5, 5, 1]).value_area()
    assert (area.low, area.high, area.volume, area.had_tie) == (100.25, 101.25, 30, True)  # 21.7 wanted: 10 + 10 above, then below
    assert profile([5, 5, 10, 5, 5]).value_area(0.6).had_tie


def test_one_row_left_on_a_side_is_taken_and_an_edge_is_no_end():
    assert profile([1, 10, 4]).value_area(0.9).low == 100.25
    for volumes, high in (([10, 1, 1, 1, 1], 101.0), ([7], 100.0)):
        area = profile(volumes).value_area(0.99)
        assert (area.low, area.high) == (100.0, high)


def test_of_equal_points_of_control_the_one_nearest_to_the_middle_stands_then_the_lower():
    assert profile([9, 1, 1, 9, 1, 1, 1]).poc == 100.75
    assert profile([1, 9, 1, 9, 1]).poc == 100.25
    assert profile([9, 1, 1, 1, 9, 1]).poc == 101.0


def test_nothing_traded_has_no_point_of_control():
    empty = profile_of_bars(bars(), step=0.25)
    assert empty.poc is None
    assert empty.value_area() is None
    assert empty.nodes() == ((), ())
    assert len(developing(bars(), step=0.25)) == 0
    unknown = profile_of_bars(bars((100, 101, 100.5, math.nan), (100, 101, 100.5, 0)), step=0.25)
    assert (unknown.poc, unknown.n_left_out) == (None, 1)


# -- nodes -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_nodes_are_scipys_peaks_of_the_smoothed_rows(seed):
    rng = np.random.default_rng(seed)
    at = np.arange(120)
    volumes = sum(
        h * np.exp(-0.5 * ((at - c) / w) ** 2)
        for h, c, w in zip(rng.uniform(500, 1000, 5), rng.uniform(5, 115, 5), rng.uniform(2, 9, 5), strict=True)
    )
    volumes = np.round(volumes + rng.uniform(0, 60, 120))
    got = profile(volumes, first=0, step=1.0)
    padded = gaussian_filter1d(np.pad(volumes, 6), 1.5, mode="constant", truncate=4.0)
    top = padded.max()
    peaks, told = find_peaks(padded, prominence=0.1 * top, height=0.6 * top)
    highs, lows = got.nodes()
    assert [node.price for node in highs] == (peaks - 6).tolist()
    np.testing.assert_allclose([node.prominence for node in highs], told["prominences"])
    expected = []
    for left, right in zip(peaks[:-1], peaks[1:], strict=True):
        row = left + int(np.argmin(padded[left:right]))
        if padded[row] <= 0.4 * min(padded[left], padded[right]):
            expected.append(row - 6)
    assert [node.price for node in lows] == expected
    assert all(node.volume == volumes[int(node.price)] for node in highs + lows)


def test_two_hills_with_an_empty_valley_are_two_nodes_and_one_between():
    hills = [0, 10, 60, 100, 60, 10, 0, 0, 0, 10, 50, 90, 50, 10]
    highs, lows = profile([1, *hills, 1], first=100, step=1.0).nodes()
    assert [node.price for node in highs] == [104.0, 112.0]
    assert [node.price for node in lows] == [108.0]


# -- from bars ---------------------------------------------------------------------------------------------------------------------


def test_a_bar_is_spread_evenly_over_its_rows_or_put_where_it_closed():
    one = bars((100.0, 100.75, 100.5, 400))
    even = profile_of_bars(one, step=0.25)
    assert even.prices.tolist() == [100.0, 100.25, 100.5, 100.75]
    assert even.volumes.tolist() == [100] * 4
    close = profile_of_bars(one, step=0.25, method=VolumeMethod.CLOSE_ONLY)
    assert (close.prices.tolist(), close.volumes.tolist()) == ([100.5], [400])
    tri = profile_of_bars(bars((100.0, 101.0, 100.5, 900)), step=0.25, method=VolumeMethod.TRI)
    np.testing.assert_allclose(tri.volumes, [100, 200, 300, 200, 100])
    assert even.method is VolumeMethod.UNIFORM
    assert np.isnan(even.auction_volumes).all()


def test_a_price_on_the_edge_of_a_row_belongs_to_the_row_above_whatever_the_float_says():
    for cents in range(10_000, 10_200):
        one = profile_of_bars(bars((cents / 100, cents / 100, cents / 100, 1)), step=0.01)
        assert one.first_row == cents
        assert one.prices.tolist() == [cents / 100]


def test_a_row_is_never_lower_than_a_tick():
    assert profile_of_bars(bars((1, 2, 1, 1)), step=0.001).step == 0.01


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"step": 0.0, "tick": 0.0}, "USD above 0"), ({"step": math.nan}, "USD above 0"),
        ({"step": 0.1, "method": VolumeMethod.TRADES}, "allowed: uniform, close_only, tri"),
    ],
)  # fmt: skip
def test_what_makes_no_rows_is_refused(wrong, words):
    with pytest.raises(RecordError) as error:
        profile_of_bars(bars((1, 2, 1, 1)), **wrong)
    assert words in str(error.value)


# -- from prints -------------------------------------------------------------------------------------------------------------------


def test_prints_count_where_they_were_made_and_auctions_are_told_apart():
    got = profile_of_trades(
        prints(
            (100.00, 500, (17,)),  # opening print
            (100.01, 100, ()), (100.01, 200, (14, 41)),  # regular, and a sweep
            (100.02, 70, (2,)), (100.02, 70, (10,)), (100.02, 70, (32,)), (100.02, 70, (12, 37)),  # average, derivative, late, odd lot
            (100.02, 900, (16,)), (100.02, 900, (15,)),  # official prices repeat an auction
            (100.02, 5, (37,)),  # odd lot
            (100.03, 800, (8,)),  # closing print
            (100.02, 70, (999,)), (100.02, 70, (2, 14)),
        ),
        step=0.01,
    )  # fmt: skip
    assert got.prices.tolist() == [100.00, 100.01, 100.02, 100.03]
    assert got.volumes.tolist() == [500, 300, 0, 800]
    assert got.auction_volumes.tolist() == [500, 0, 0, 800]
    assert (got.n_left_out, got.method) == (9, VolumeMethod.TRADES)


def test_odd_lots_count_on_request_and_form_t_outside_regular_hours():
    rows = prints((100.0, 5, (37,)), (100.0, 5, (14, 37)), (100.0, 5, (2, 37)), (100.0, 5, (12,)))
    assert eligible(rows)[0].tolist() == [False, False, False, False]
    assert eligible(rows, has_odd_lots=True)[0].tolist() == [True, True, False, False]
    assert eligible(rows, is_regular=False)[0].tolist() == [False, False, False, True]
    assert eligible(rows, is_regular=np.array([True, True, True, False]))[0].tolist() == [False, False, False, True]


# -- sessions ----------------------------------------------------------------------------------------------------------------------


def test_regular_and_extended_hours_are_two_profiles_and_a_half_day_ends_early():
    calendar = SessionCalendar.xnys()
    day = date(2024, 11, 29)  # the day after Thanksgiving
    session = calendar.session(day)
    ts = np.array([ny_ns(day, *at) for at in ((3, 59), (4, 0), (9, 29), (9, 30), (12, 59), (13, 0), (16, 59), (17, 0))])
    assert within(ts, session, Hours.RTH).tolist() == [False, False, False, True, True, False, False, False]
    assert within(ts, session, Hours.ETH).tolist() == [False, True, True, True, True, True, True, False]


def test_sessions_add_up_on_one_grid():
    one, other = profile([1, 2, 3], first=400), profile([10, 20], first=405)
    both = composite([one, other])
    assert both.volumes.tolist() == [1, 2, 3, 0, 0, 10, 20]
    assert (both.n_sessions, both.first_row, both.poc) == (2, 400, 101.5)
    with pytest.raises(RecordError, match="composite: received step"):
        composite([one, profile([1], step=0.5)])
    with pytest.raises(RecordError, match="no profile"):
        composite([])


def test_half_hours_have_letters_and_the_first_hour_is_the_initial_balance():
    open_ns = 1_000 * MIN
    rows = [(100, 102, 101, 5)] * 30 + [(101, 103, 102, 5)] * 30 + [(103, 104, 103, math.nan)] * 30
    got = time_at_price(bars(*rows, start=open_ns), open_ns=open_ns, step=1.0)
    assert got.counts.prices.tolist() == [100, 101, 102, 103, 104]
    assert got.counts.volumes.tolist() == [1, 2, 2, 2, 1]
    assert got.letters == ("A", "AB", "AB", "BC", "C")
    assert (got.balance_low, got.balance_high) == (100, 103)
    assert got.counts.poc == 102.0  # of three equal rows the middle


# -- laws --------------------------------------------------------------------------------------------------------------------------

some_bars = st.lists(
    st.tuples(st.integers(9_000, 11_000), st.integers(0, 60), st.floats(0, 1), st.integers(0, 100_000)), min_size=1, max_size=30
).map(lambda rows: bars(*[(low / 100, (low + span) / 100, (low + int(span * at)) / 100, volume) for low, span, at, volume in rows]))


def law(test):
    return pytest.mark.soak("volume-profile")(settings(max_examples=count("volume-profile"), deadline=None, derandomize=True)(test))


@law
@given(
    rows=some_bars,
    step=st.sampled_from([0.01, 0.05, 0.25, 1.0]),
    method=st.sampled_from([VolumeMethod.UNIFORM, VolumeMethod.CLOSE_ONLY, VolumeMethod.TRI]),
)
def test_law_the_rows_add_up_to_the_bars(rows, step, method):
    got = profile_of_bars(rows, step=step, method=method)
    assert got.total == pytest.approx(rows["volume"].sum(), rel=1e-12)
    assert (got.volumes >= 0).all()
    if len(got.volumes):
        assert got.prices[0] >= rows["low"].min() - step
        assert got.prices[-1] <= rows["high"].max()


@law
@given(rows=some_bars, step=st.sampled_from([0.05, 0.25]), frac=st.floats(0.1, 1.0), at_a_time=st.sampled_from([1, 2]))
def test_law_the_value_area_holds_its_share_around_the_point_of_control(rows, step, frac, at_a_time):
    got = profile_of_bars(rows, step=step)
    area = got.value_area(frac, rows_at_a_time=at_a_time)
    if area is None:
        return
    assert area.low <= got.poc <= area.high
    inside = got.volumes[(got.prices >= area.low) & (got.prices <= area.high)].sum()
    assert inside == pytest.approx(area.volume)
    assert inside >= frac * got.total * (1 - 1e-9)


@law
@given(rows=some_bars, cut=st.integers(1, 29))
def test_law_what_comes_later_changes_nothing_that_was_said(rows, cut):
    whole = developing(rows, step=0.25)
    part = developing(rows[:cut], step=0.25)
    for name in part.dtype.names:
        np.testing.assert_array_equal(whole[name][:cut], part[name])
    last = profile_of_bars(rows, step=0.25)
    if last.poc is not None:
        area = last.value_area()
        assert (whole[-1]["poc"], whole[-1]["vah"], whole[-1]["val"]) == (last.poc, area.high, area.low)


@law
@given(rows=some_bars, cut=st.integers(0, 29))
def test_law_a_composite_of_parts_is_the_whole(rows, cut):
    whole, parts = profile_of_bars(rows, step=0.05), [profile_of_bars(part, step=0.05) for part in (rows[:cut], rows[cut:])]
    got = composite(parts)
    assert got.first_row == whole.first_row
    np.testing.assert_allclose(got.volumes, whole.volumes, atol=1e-9 * max(whole.total, 1))
