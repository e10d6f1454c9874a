"""The first market mode by its worked example: eight contracts, S 6000, and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.options.black import greeks
from workbench.options.mode_legacy import legacy_mode

SPOT, YEARS = 6000.0, 1 / 252
CALLS = [(5950, 2000, 0.135), (6000, 6000, 0.120), (6050, 12000, 0.110), (6100, 8000, 0.108)]
PUTS = [(5850, 9000, 0.165), (5900, 14000, 0.150), (5950, 10000, 0.135), (6000, 5000, 0.120)]


def test_the_worked_example():
    net = {}
    for sign, contracts in ((1, CALLS), (-1, PUTS)):
        for strike, open_interest, vol in contracts:
            gamma = float(greeks(SPOT, strike, YEARS, 0, vol, "C").gamma_per_usd)
            net[strike] = net.get(strike, 0.0) + sign * gamma * open_interest * 100
    assert sum(net.values()) == pytest.approx(796.37017, rel=1e-8)
    got = legacy_mode(list(net), list(net.values()), SPOT)
    assert got.base_bias == pytest.approx(-7.338172, abs=5e-7)
    assert got.base_lfi == pytest.approx(66.550323, abs=5e-7)
    assert (got.flip_usd, got.proximity) == (5975.0, 1.0)
    assert got.bias == pytest.approx(-57.34, abs=0.005)
    assert got.lfi == pytest.approx(36.55, abs=0.005)
    assert got.mode == pytest.approx(54.40, abs=0.005)
    assert (got.label, got.gamma_regime) == ("transition", "near_flip")


def test_without_gamma_nothing_is_scored():
    for strikes, net, spot in (([], [], 6000.0), ([6000.0], [0.0], 6000.0), ([6000.0], [np.nan], 6000.0), ([6000.0], [5.0], np.nan)):
        got = legacy_mode(strikes, net, spot)
        assert [getattr(got, name) for name in got.__slots__] == [None] * 9


@pytest.mark.parametrize(("net", "by_flip"), [(20_000.0, 85), (500.0, 70), (-500.0, 30), (-20_000.0, 15)])
def test_where_gamma_never_changes_its_sign_its_size_tells(net, by_flip):
    """One strike at the spot: flow imbalance 50·(1 ± 1)/2 + 0.3·70 + 0.2·80, concentration 100 or 0."""
    got = legacy_mode([6000.0], [net], SPOT)
    is_long = net > 0
    lfi = (50 if is_long else 0) + 21 + 16
    assert got.flip_usd is None
    assert got.lfi == pytest.approx(lfi)
    by_gamma = 100 / (1 + np.exp(-0.03 * net / 360))
    assert got.mode == pytest.approx(0.40 * by_flip + 0.25 * by_gamma + 0.25 * lfi + 0.10 * (100 if is_long else 0))
    assert got.bias == 0


@pytest.mark.parametrize(
    ("spot", "proximity", "bias_off", "lfi_off"),
    [
        (6030.0, 1.0, 50.0, 30.0),
        (5980.0, 1.0, 50.0, 30.0),
        (6060.0, 0.5099, 25.495, 15.297),
        (6100.0, 0.0, 0.0, 0.0),
        (5895.0, 0.0, 0.0, 0.0),
    ],
)
def test_nearness_to_the_flip_counts_against_it_from_either_side(spot, proximity, bias_off, lfi_off):
    """-1 at 5950, +1 at 6050: the flip is 6000; 60 off 6060 is 0.990 %, so (1.5 - 0.990) / 1."""
    got = legacy_mode([5950.0, 6050.0], [-1.0, 1.0], spot)
    assert got.flip_usd == 6000
    assert got.proximity == pytest.approx(proximity, abs=1e-4)
    assert got.base_bias - got.bias == pytest.approx(bias_off, abs=0.01)
    assert got.base_lfi - got.lfi == pytest.approx(lfi_off, abs=0.01)


def test_beside_a_flip_the_deduction_is_never_more_than_its_most():
    """Flips at 5990, 0.17 % below, and at 6003, the nearest: 1 for nearness and 0.2 for the one below, held at 1."""
    got = legacy_mode([5985.0, 5995.0, 6011.0], [1.0, -1.0, 3.0], SPOT)
    assert got.flip_usd == 6003
    assert got.base_bias - got.bias == pytest.approx(50)


def test_scores_stay_within_their_bounds():
    rng = np.random.default_rng(2)
    for _ in range(200):
        n = int(rng.integers(1, 40))
        got = legacy_mode(rng.choice(np.arange(5000, 7000, 5.0), n, replace=False), rng.normal(0, 10 ** rng.uniform(0, 7), n), SPOT)
        assert -100 <= got.bias <= 100
        assert 0 <= got.lfi <= 100
        assert 0 <= got.mode <= 100
