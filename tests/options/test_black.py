"""The readable formulas, against published tables, mpmath and laws that prices obey whatever the model's inputs."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from workbench.errors import RecordError
from workbench.options.black import checked, greeks, normal_cdf, price
from workbench.options.implied import fast_greeks

BOTH = pytest.mark.parametrize("by", [greeks, fast_greeks], ids=["readable", "fast"])

# right, spot, strike, rate, dividend yield, years, vol, price, tolerance. Rows 2-14: QuantLib test-suite (Haug), 1 + 15-16: Hull, Haug;
# 17: vollib's doctest
TABLE_A = [
    ("C", 60, 65, 0.08, 0, 0.25, 0.30, 2.133368, 1e-6),
    ("P", 100, 95, 0.10, 0.05, 0.50, 0.20, 2.464787647, 1e-9),
    ("P", 19, 19, 0.10, 0.10, 0.75, 0.28, 1.7011, 1e-4),
    ("C", 1.56, 1.60, 0.06, 0.08, 0.50, 0.12, 0.029099, 1e-6),
    ("P", 75, 70, 0.10, 0.05, 0.50, 0.35, 4.086954, 1e-6),
    ("C", 90, 100, 0.10, 0.10, 0.10, 0.15, 0.0205, 1e-4),
    ("C", 100, 100, 0.10, 0.10, 0.10, 0.15, 1.8734, 1e-4),
    ("C", 110, 100, 0.10, 0.10, 0.10, 0.15, 9.9413, 1e-4),
    ("C", 100, 100, 0.10, 0.10, 0.50, 0.25, 6.6997, 1e-4),
    ("C", 110, 100, 0.10, 0.10, 0.50, 0.35, 15.3086, 1e-4),
    ("P", 90, 100, 0.10, 0.10, 0.50, 0.15, 10.3192, 1e-4),
    ("P", 110, 100, 0.10, 0.10, 0.10, 0.15, 0.0408, 1e-4),
    ("P", 110, 100, 0.10, 0.10, 0.50, 0.35, 5.7963, 1e-4),
    ("C", 42, 40, 0.04, 0.08, 0.75, 0.35, 5.0975, 1e-4),
    ("C", 42, 40, 0.10, 0, 0.50, 0.20, 4.759422, 1e-6),
    ("P", 42, 40, 0.10, 0, 0.50, 0.20, 0.808599, 1e-6),
    ("C", 100, 100, 0.01, 0, 0.50, 0.20, 5.87602423383, 1e-10),
]


@BOTH
@pytest.mark.parametrize(("right", "spot", "strike", "rate", "q", "years", "vol", "expected", "tolerance"), TABLE_A)
def test_prices_are_the_published_ones(by, right, spot, strike, rate, q, years, vol, expected, tolerance):
    got = by(spot, strike, years, rate, vol, right, dividend_yield=q)
    assert float(got.price_usd) == pytest.approx(expected, abs=tolerance)
    assert float(price(spot, strike, years, rate, vol, right, dividend_yield=q)) == pytest.approx(expected, abs=tolerance)


def test_d1_and_d2_are_the_published_ones():
    got = checked(100, 95, 0.5, 0.10, 0.20, "C", 0.05)  # Haug p. 4
    assert [float(got.d1), float(got.d2)] == pytest.approx([0.6102, 0.4688], abs=1e-4)


# right, (spot, strike, rate, dividend yield, years, vol), greek -> value. B1-B6: QuantLib test-suite (Haug); B7-B8: Hull ch. 17
TABLE_B = [
    ("C", (105, 100, 0.10, 0.10, 0.5, 0.36), {"delta": (0.5946, 1e-4)}),
    ("P", (105, 100, 0.10, 0.10, 0.5, 0.36), {"delta": (-0.3566, 1e-4), "elasticity": (-4.8775, 1e-4)}),
    ("C", (55, 60, 0.10, 0, 0.75, 0.30), {"gamma_per_usd": (0.0278, 1e-4), "vega_usd_per_vol": (18.9358, 1e-4)}),
    ("P", (55, 60, 0.10, 0, 0.75, 0.30), {"gamma_per_usd": (0.0278, 1e-4), "vega_usd_per_vol": (18.9358, 1e-4)}),
    ("P", (430, 405, 0.07, 0.05, 1 / 12, 0.20), {"theta_usd_per_year": (-31.1924, 1e-4), "theta_usd_per_day": (-0.0855, 1e-4)}),
    ("C", (72, 75, 0.09, 0, 1, 0.19), {"rho_usd_per_rate": (38.7325, 1e-4)}),
    ("P", (500, 490, 0.08, 0.05, 0.25, 0.15), {"dividend_rho_usd_per_rate": (42.2254, 1e-4)}),
    (
        "C",
        (49, 50, 0.05, 0, 0.3846, 0.20),
        {
            "price_usd": (2.400461, 1e-6), "delta": (0.521601634, 1e-9), "gamma_per_usd": (0.0655453773, 1e-10),
            "theta_usd_per_year": (-4.305389965, 1e-8), "theta_usd_per_day": (-0.0117955889, 1e-10), "vega_usd_per_vol": (12.10524275, 1e-8),
            "vega_usd_per_point": (0.1210524275, 1e-10), "rho_usd_per_rate": (8.906574, 1e-6), "rho_usd_per_pct": (0.0890657, 1e-7),
            "vanna_per_vol": (0.1391432, 1e-7), "charm_per_year": (-0.1967649, 1e-7),
        },
    ),
    (
        "P",
        (49, 50, 0.05, 0, 0.3846, 0.20),
        {"price_usd": (2.448146934, 1e-9), "delta": (-0.478398366, 1e-9), "theta_usd_per_year": (-1.8530056722, 1e-9), "rho_usd_per_rate": (-9.957165878, 1e-8)},
    ),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize(("right", "inputs", "expected"), TABLE_B)
def test_greeks_are_the_published_ones(by, right, inputs, expected):
    spot, strike, rate, q, years, vol = inputs
    got = by(spot, strike, years, rate, vol, right, dividend_yield=q)
    for name, (value, tolerance) in expected.items():
        assert float(getattr(got, name)) == pytest.approx(value, abs=tolerance), name


CAL365, TRD252 = 525_600, 98_280
# strike, minutes, minutes per year, price, delta, gamma, theta per day, vega per point; spot 6000, r 5 %, q 1.3 %, v 12 %; mpmath
TABLE_D = [
    (6000, 390, CAL365, 7.906781206, 0.5039977958, 0.02033981016, -14.74950949, 0.6519884352),
    (6000, 390, TRD252, 18.53585008, 0.5092294846, 0.008793029495, -6.551439447, 1.507376485),
    (6020, 120, CAL365, 0.1439559415, 0.0336432487, 0.006875499456, -4.902989212, 0.06781314532),
    (6020, 120, TRD252, 3.121808976, 0.2174693368, 0.01169078767, -8.433902101, 0.6166569322),
    (6000, 30, CAL365, 2.176416352, 0.5011097828, 0.07334028892, -52.38613819, 0.1808390686),
    (6020, 30, TRD252, 0.3056064363, 0.05695944182, 0.00909073523, -6.49026928, 0.1198778272),
    (6000, 1, CAL365, 0.3964115754, 0.5002026735, 0.4017030978, -285.5684058, 0.03301669297),
]


@BOTH
@pytest.mark.parametrize(("strike", "minutes", "year", "value", "delta", "gamma", "theta", "vega"), TABLE_D)
def test_options_of_the_day_are_right_to_the_minute(by, strike, minutes, year, value, delta, gamma, theta, vega):
    got = by(6000, strike, minutes / year, 0.05, 0.12, "C", dividend_yield=0.013)
    mine = (got.price_usd, got.delta, got.gamma_per_usd, got.theta_usd_per_day, got.vega_usd_per_point)
    assert [float(x) for x in mine] == pytest.approx([value, delta, gamma, theta, vega], rel=1e-8)


@BOTH
def test_the_last_minute_far_out_of_the_money_is_worth_nothing_and_has_no_nan(by):
    got = by(6000, 6020, 1 / CAL365, 0.05, 0.12, "C", dividend_yield=0.013)
    assert [float(x) for x in (got.price_usd, got.delta, got.gamma_per_usd, got.theta_usd_per_year)] == pytest.approx(
        [0, 0, 0, 0], abs=1e-80
    )


@pytest.mark.parametrize("years", [0.0, -1e-9, -3.0])
def test_an_expired_option_is_its_intrinsic_value_and_moves_with_the_spot_or_not(years):
    got = greeks([90, 100, 110, 90, 100, 110], 100, years, 0.05, 0.2, ["C", "C", "C", "P", "P", "P"], dividend_yield=0.01)
    assert got.price_usd.tolist() == [0, 0, 10, 10, 0, 0]
    assert got.delta.tolist() == [0, 0.5, 1, -1, -0.5, 0]
    assert got.is_at_strike.tolist() == [False, True, False] * 2
    for name in (
        "gamma_per_usd",
        "vega_usd_per_vol",
        "theta_usd_per_year",
        "vanna_per_vol",
        "vomma_usd_per_vol2",
        "charm_per_year",
        "rho_usd_per_rate",
    ):
        assert (getattr(got, name) == 0).all(), name


@pytest.mark.parametrize("vol", [0.0, 1e-30])
def test_without_volatility_the_price_is_the_discounted_intrinsic_value_of_the_forward(vol):
    got = greeks([90, 110], 100, 0.5, 0.05, vol, "C", dividend_yield=0.01)
    assert got.price_usd.tolist() == pytest.approx([0, 110 * math.exp(-0.005) - 100 * math.exp(-0.025)], rel=1e-14)
    assert got.delta.tolist() == pytest.approx([0, math.exp(-0.005)])
    assert got.gamma_per_usd.tolist() == [0, 0]
    near = greeks([90, 110], 100, 0.5, 0.05, 1e-3, "C", dividend_yield=0.01)
    assert got.theta_usd_per_year == pytest.approx(near.theta_usd_per_year, abs=1e-12)
    assert got.rho_usd_per_rate == pytest.approx(near.rho_usd_per_rate, abs=1e-12)
    assert got.charm_per_year == pytest.approx(near.charm_per_year, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("spot", (0.0, 100, 1, 0, 0.2, "C")),
        ("strike", (100, -1.0, 1, 0, 0.2, "C")),
        ("vol", (100, 100, 1, 0, -0.2, "C")),
        ("years", (100, 100, math.inf, 0, 0.2, "C")),
        ("right", (100, 100, 1, 0, 0.2, "call")),
        ("right", (100, 100, 1, 0, 0.2, ["C", "X"])),
    ],
)
def test_an_impossible_input_is_named(name, inputs):
    with pytest.raises(RecordError, match=f"^{name}: received"):
        price(*inputs)
    with pytest.raises(ValueError, match="allowed"):
        greeks(*inputs)


def test_what_is_missing_stays_missing_and_spoils_nothing_else():
    got = greeks([100, np.nan, 100, 100], [100, 100, np.nan, 100], [1, 1, 1, 0.0], 0.02, [np.nan, 0.2, 0.2, 0.2], "P")
    assert np.isnan(got.price_usd).tolist() == [True, True, True, False]
    assert np.isnan(got.delta).tolist() == [True, True, True, False]


def test_inputs_of_any_shape_meet_as_numpy_lets_them():
    whole = price(np.array([[90.0], [110.0]]), np.array([95.0, 100.0, 105.0]), 0.5, 0.03, 0.2, np.array(["C", "P", "C"]))
    assert whole.shape == (2, 3)
    assert whole[1, 1] == price(110, 100, 0.5, 0.03, 0.2, "P")
    with pytest.raises(ValueError, match="broadcast"):
        price([1, 2, 3], [1, 2], 0.5, 0.03, 0.2, "C")


def test_the_normal_distribution_keeps_its_digits_in_both_tails():
    for x in (-37.5, -20, -8.3, -1, -1e-9, 0, 0.3, 2, 8, 40):
        assert float(normal_cdf(x)) == pytest.approx(float(mpmath.ncdf(x)), rel=2e-13)


@pytest.mark.parametrize("clock_minutes", [(CAL365, 0.235847), (TRD252, 0.101985)])
def test_a_volatility_used_with_its_own_clock_gives_the_same_delta_by_every_clock(clock_minutes):
    minutes, vol = clock_minutes
    got = greeks(600, 603, 360 / minutes, 0, vol, "C")
    assert float(got.price_usd) == pytest.approx(0.44, abs=5e-6)
    assert float(got.delta) == pytest.approx(0.210423, abs=2e-6)
    assert float(got.gamma_per_usd) == pytest.approx(0.0779120, abs=1e-6)
