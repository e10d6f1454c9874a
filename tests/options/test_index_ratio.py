"""The ratio that carries a fund's profile over to its index: measured within seconds, shown, refused when it can't be right."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.options.index_ratio import RatioStatus, carried_over, index_ratio
from workbench.options.profile import VolumeMethod, VolumeProfile

S = 1_000_000_000
NOW = 1_700_000_000 * S
SECONDS = NOW - np.arange(400)[::-1] * S


def measured(index=6010.0, fund=600.0, *, index_ts=SECONDS, fund_ts=SECONDS, **options):
    return index_ratio(index_ts, np.full(len(index_ts), index), fund_ts, np.full(len(fund_ts), fund), now_ns=NOW, **options)


def test_the_ratio_is_the_median_of_the_last_five_minutes():
    index = np.full(400, 6010.0)
    index[-149:] = 6020.0  # less than half of the window
    index[:100] = 9999.0  # before the window
    got = index_ratio(SECONDS, index, SECONDS, np.full(400, 600.0), now_ns=NOW)
    assert (got.measured, got.n_seconds, got.age_s, got.status) == (6010 / 600, 300, 0, RatioStatus.OK)
    assert got.text == "ratio 10.0167, median of 300 s, 0 s old"


def test_only_quotes_of_the_same_second_are_compared_the_last_of_each():
    index_ts = np.array([NOW - 10 * S, NOW - 10 * S + 5, NOW - 3 * S])
    got = index_ratio(index_ts, [5000.0, 6010.0, 1.0], [NOW - 10 * S + 7, NOW - 4 * S], [600.0, 1.0], now_ns=NOW)
    assert (got.measured, got.n_seconds, got.age_s) == (6010 / 600, 1, 10)


def test_what_is_newer_than_now_is_not_read():
    later = measured(index=9000.0, index_ts=SECONDS + 400 * S, fund_ts=SECONDS + 400 * S)
    assert later.status is RatioStatus.NO_PAIRS
    assert later.ratio is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"index": 6181.0}, RatioStatus.OFF), ({"index": 5819.0}, RatioStatus.OFF), ({"index": 6179.0}, RatioStatus.OK),
        ({"index_ts": SECONDS - 61 * S}, RatioStatus.STALE), ({"index_ts": SECONDS - 60 * S}, RatioStatus.OK),
        ({"index_ts": SECONDS[:0]}, RatioStatus.NO_PAIRS), ({"fund": np.nan}, RatioStatus.NO_PAIRS), ({"fund": 0.0}, RatioStatus.NO_PAIRS),
    ],
)  # fmt: skip
def test_a_ratio_that_cannot_be_right_is_shown_and_not_used(change, status):
    got = measured(**change)
    assert got.status is status
    assert (got.ratio is None) == (status is not RatioStatus.OK)
    assert (status.value in got.text) if status is not RatioStatus.OK else got.text.startswith("ratio ")


def test_a_profile_of_the_fund_lies_at_the_prices_of_the_index():
    fund = VolumeProfile(0.01, 60_000, np.array([5.0, 9.0, 4.0]), np.zeros(3), VolumeMethod.TRADES)
    moved = carried_over(fund, measured())
    assert moved.poc == pytest.approx(600.01 * 6010 / 600)
    assert np.diff(moved.prices) == pytest.approx([0.01 * 6010 / 600] * 2)
    assert (moved.total, moved.ratio) == (18, 6010 / 600)
    assert carried_over(fund, measured(index=9000.0)) is None
