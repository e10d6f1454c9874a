"""Implied volatility: there and back, every edge with its status, and other people's solvers beside ours."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from vollib.black_scholes_merton.greeks import analytical
from vollib.black_scholes_merton.implied_volatility import implied_volatility

from workbench.errors import RecordError
from workbench.options import black
from workbench.options.implied import IvStatus, fast_greeks, implied_greeks, implied_vol

RATE, YIELD = 0.05, 0.013
HOUR = 1 / (365 * 24)


def chain(seed, n):
    """A random SPX-like chain: spot 6000, half an hour to three years, wings to a third of the spot, a smile."""
    rng = np.random.default_rng(seed)
    years = rng.choice([HOUR / 2, 2 * HOUR, 6.5 * HOUR, 1 / 365, 7 / 365, 0.1, 0.25, 1.0, 3.0], n)
    strike = np.round(6000 * np.exp(rng.normal(0, 1, n) * np.minimum(0.4, 1.5 * np.sqrt(years))) / 5) * 5
    vol = 0.08 + 0.2 * rng.random(n) + 0.3 * np.abs(np.log(strike / 6000))
    return strike, years, vol, rng.choice(["C", "P"], n)


def test_out_of_the_money_the_volatility_comes_back_to_the_last_digits():
    strike, years, vol, right = chain(1, 20_000)
    forward = 6000 * np.exp((RATE - YIELD) * years)
    out = np.where(right == "C", strike >= forward, strike <= forward)
    price = fast_greeks(6000, strike, years, RATE, vol, right, dividend_yield=YIELD).price_usd
    got = implied_vol(price, 6000, strike, years, RATE, right, dividend_yield=YIELD)
    attainable = out & (price >= 1e-12 * strike)
    assert attainable.sum() > 5000
    assert (got.status[attainable] == IvStatus.OK).all()
    assert np.abs(got.vol - vol)[attainable].max() <= 1e-12
    assert np.abs(got.vol / vol - 1)[out & (price > 1e-290)].max() <= 1e-12


def test_in_the_money_the_error_is_what_one_digit_of_the_price_explains():
    strike, years, vol, right = chain(2, 5_000)
    all_ = fast_greeks(6000, strike, years, RATE, vol, right, dividend_yield=YIELD)
    got = implied_vol(all_.price_usd, 6000, strike, years, RATE, right, dividend_yield=YIELD)
    told = got.status == IvStatus.OK
    slack = 8 * np.spacing(np.maximum(6000, strike)) / np.maximum(all_.vega_usd_per_vol, 1e-12)
    assert (np.abs(got.vol - vol)[told & (slack < 1e-3)] <= slack[told & (slack < 1e-3)] + 1e-13).all()


EDGES = [
    pytest.param(5.0, 110, 100, 1.0, "C", IvStatus.BELOW_INTRINSIC, id="far below intrinsic value"),
    pytest.param(9.98, 110, 100, 1.0, "C", IvStatus.BELOW_INTRINSIC, id="two ticks below"),
    pytest.param(9.995, 110, 100, 1.0, "C", IvStatus.ZERO_TIME_VALUE, id="half a tick below"),
    pytest.param(10.0, 110, 100, 1.0, "C", IvStatus.ZERO_TIME_VALUE, id="intrinsic value itself"),
    pytest.param(0.0, 90, 100, 1.0, "C", IvStatus.ZERO_TIME_VALUE, id="nothing"),
    pytest.param(110.0, 110, 100, 1.0, "C", IvStatus.ABOVE_MAX, id="a call for the share's price"),
    pytest.param(200.0, 110, 100, 1.0, "C", IvStatus.ABOVE_MAX, id="a call for more"),
    pytest.param(100.0, 110, 100, 1.0, "P", IvStatus.ABOVE_MAX, id="a put for the strike"),
    pytest.param(12.0, 110, 100, 0.0, "C", IvStatus.EXPIRED, id="at expiry"),
    pytest.param(12.0, 110, 100, -0.1, "C", IvStatus.EXPIRED, id="after expiry"),
    pytest.param(math.nan, 110, 100, 1.0, "C", IvStatus.MISSING, id="no price"),
    pytest.param(12.0, math.nan, 100, 1.0, "C", IvStatus.MISSING, id="no spot"),
    pytest.param(12.0, 0.0, 100, 1.0, "C", IvStatus.BAD_INPUT, id="spot 0"),
    pytest.param(12.0, 110, -5, 1.0, "C", IvStatus.BAD_INPUT, id="strike below 0"),
    pytest.param(-1.0, 110, 100, 1.0, "C", IvStatus.BAD_INPUT, id="price below 0"),
    pytest.param(math.inf, 110, 100, 1.0, "C", IvStatus.BAD_INPUT, id="infinite price"),
    pytest.param(12.0, 110, 100, math.inf, "C", IvStatus.BAD_INPUT, id="infinite time"),
    pytest.param(12.0, 110, 100, 1.0, "C", IvStatus.OK, id="an ordinary price"),
    pytest.param(1e-300, 90, 100, 1.0, "C", IvStatus.OK, id="the smallest price there is"),
    pytest.param(5e-324, 90, 100, 1.0, "C", IvStatus.ZERO_TIME_VALUE, id="a price too small for arithmetic"),
    pytest.param(109.999999, 110, 100, 1.0, "C", IvStatus.OK, id="just below the bound"),
    pytest.param(4.0, 100, 100, 1e-15, "C", IvStatus.OK, id="a panic in the last microsecond"),
]


@pytest.mark.parametrize(("price", "spot", "strike", "years", "right", "status"), EDGES)
def test_every_edge_has_its_status_and_a_volatility_only_where_it_is_ok(price, spot, strike, years, right, status):
    got = implied_vol(price, spot, strike, years, 0.0, right)
    assert IvStatus(int(got.status)) is status
    assert bool(np.isfinite(got.vol)) == (status is IvStatus.OK)
    whole = implied_greeks(price, spot, strike, years, 0.0, right)
    assert int(whole.status) == int(got.status)
    assert bool(np.isfinite(whole.greeks.delta)) == (status is IvStatus.OK)
    assert status.text or status is IvStatus.OK


def test_a_status_per_contract_never_an_exception_whatever_comes():
    odd = np.array([-np.inf, -1.0, -0.0, 0.0, 5e-324, 1e-300, 1e-9, 0.5, 1.0, 100.0, 1e9, 1e300, np.inf, np.nan])
    price, spot, strike, years, rate = (grid.ravel() for grid in np.meshgrid(odd, odd, odd, odd, [-0.5, 0.0, 0.05, 50.0, np.inf, np.nan]))
    for right in "CP":
        got = implied_greeks(price, spot, strike, years, rate, right)
        is_ok = got.status == IvStatus.OK
        assert (np.isfinite(got.vol) == is_ok).all()
        assert (got.vol[is_ok] > 0).all()
        assert not np.isnan(got.greeks.price_usd[is_ok]).any()
        assert not np.isnan(got.greeks.delta[is_ok]).any()


def test_a_right_that_is_neither_is_a_mistake_of_the_program():
    with pytest.raises(RecordError, match="right"):
        implied_vol(1, 1, 1, 1, 0, "c")


@pytest.mark.parametrize(("minutes_a_year", "vol", "total"), [(525_600, 0.235847, 0.00617239), (98_280, 0.101985, 0.00617239)])
def test_the_clock_decides_the_volatility_and_nothing_else(minutes_a_year, vol, total):
    years = 360 / minutes_a_year
    got = implied_greeks(0.44, 600, 603, years, 0, "C")
    assert float(got.vol) == pytest.approx(vol, abs=1e-6)
    assert float(got.vol) * math.sqrt(years) == pytest.approx(total, abs=1e-8)
    assert float(got.greeks.delta) == pytest.approx(0.210423, abs=1e-6)
    assert float(got.greeks.gamma_per_usd) == pytest.approx(0.0779120, abs=1e-7)


NAMES = ("price_usd", "delta", "gamma_per_usd", "vega_usd_per_vol", "theta_usd_per_year", "rho_usd_per_rate", "dividend_rho_usd_per_rate",
         "vanna_per_vol", "vomma_usd_per_vol2", "charm_per_year", "p_itm")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_fast_kernel_and_the_readable_twin_agree(name):
    strike, years, vol, right = chain(3, 10_000)
    years[:50], vol[50:100] = 0.0, 0.0
    years[100:150] = -1.0
    strike[:10] = 6000
    fast = fast_greeks(6000, strike, years, RATE, vol, right, dividend_yield=YIELD)
    slow = black.greeks(6000, strike, years, RATE, vol, right, dividend_yield=YIELD)
    ours, twins = getattr(fast, name), getattr(slow, name)
    scale = {"price_usd": 6000, "theta_usd_per_year": 6000, "rho_usd_per_rate": 6000, "dividend_rho_usd_per_rate": 6000}.get(name, 1e-3)
    np.testing.assert_allclose(ours, twins, rtol=1e-11, atol=1e-14 * scale)
    np.testing.assert_array_equal(fast.is_at_strike, slow.is_at_strike)


def test_one_pass_gives_the_same_as_two():
    strike, years, vol, right = chain(4, 3_000)
    price = fast_greeks(6000, strike, years, RATE, vol, right, dividend_yield=YIELD).price_usd
    whole = implied_greeks(price, 6000, strike, years, RATE, right, dividend_yield=YIELD)
    alone = implied_vol(price, 6000, strike, years, RATE, right, dividend_yield=YIELD)
    np.testing.assert_array_equal(whole.vol, alone.vol)
    is_ok = whole.status == IvStatus.OK
    again = fast_greeks(6000, strike[is_ok], years[is_ok], RATE, whole.vol[is_ok], right[is_ok], dividend_yield=YIELD)
    for name in NAMES[1:]:
        np.testing.assert_allclose(getattr(whole.greeks, name)[is_ok], getattr(again, name), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("vol", [3.0, 6.0, 20.0, 1e3, 1e9])
def test_close_to_the_upper_bound_kernel_and_twin_still_agree(vol):
    strike = np.array([1.0, 50, 100, 200, 10_000])
    for right in "CP":
        fast = fast_greeks(100, strike, 5.0, 0.03, vol, right, dividend_yield=0.01)
        slow = black.greeks(100, strike, 5.0, 0.03, vol, right, dividend_yield=0.01)
        for name in NAMES:
            np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-10, atol=1e-12, err_msg=name)


def test_missing_inputs_are_missing_outputs_and_shapes_are_kept():
    got = fast_greeks([[100.0, np.nan]], [[90.0], [110.0]], 0.5, 0.02, 0.2, "P")
    assert got.delta.shape == (2, 2)
    assert np.isnan(got.delta).tolist() == [[False, True], [False, True]]
    assert implied_vol([], 100, 100, 1, 0, "C").vol.shape == (0,)


# -- other people's answers ----------------------------------------------------------------------------------------------------


def few(seed, n):
    strike, years, vol, right = chain(seed, n)
    forward = 6000 * np.exp((RATE - YIELD) * years)
    right = np.where(strike >= forward, "C", "P")
    got = fast_greeks(6000, strike, years, RATE, vol, right, dividend_yield=YIELD)
    keep = got.price_usd > 1e-4
    return strike[keep], years[keep], vol[keep], right[keep], got.price_usd[keep], keep, got


def test_vollib_finds_the_same_volatilities_and_greeks():
    strike, years, vol, right, price, keep, got = few(5, 600)
    own = implied_vol(price, 6000, strike, years, RATE, right, dividend_yield=YIELD)
    for i in range(len(strike)):
        flag, inputs = right[i].lower(), (6000.0, strike[i], years[i], RATE)
        assert implied_volatility(price[i], *inputs, YIELD, flag) == pytest.approx(float(own.vol[i]), rel=1e-9)
        for name, theirs in (("delta", analytical.delta), ("gamma_per_usd", analytical.gamma), ("vega_usd_per_point", analytical.vega),
                             ("theta_usd_per_day", analytical.theta), ("rho_usd_per_pct", analytical.rho)):  # fmt: skip
            assert theirs(flag, *inputs, vol[i], YIELD) == pytest.approx(float(getattr(got, name)[keep][i]), rel=1e-9, abs=1e-11), name


def test_quantlib_finds_the_same_volatilities_and_greeks():
    strike, years, vol, right, price, keep, got = few(6, 600)
    own = implied_vol(price, 6000, strike, years, RATE, right, dividend_yield=YIELD)
    for i in range(len(strike)):
        kind = ql.Option.Call if right[i] == "C" else ql.Option.Put
        forward, discount = 6000 * math.exp((RATE - YIELD) * years[i]), math.exp(-RATE * years[i])
        deviation = vol[i] * math.sqrt(years[i])
        theirs = ql.BlackCalculator(ql.PlainVanillaPayoff(kind, strike[i]), forward, deviation, discount)
        mine = {name: float(getattr(got, name)[keep][i]) for name in NAMES}
        assert theirs.value() == pytest.approx(mine["price_usd"], rel=1e-10, abs=1e-9)
        assert theirs.delta(6000) == pytest.approx(mine["delta"], rel=1e-10, abs=1e-12)
        assert theirs.gamma(6000) == pytest.approx(mine["gamma_per_usd"], rel=1e-10, abs=1e-14)
        assert theirs.vega(years[i]) == pytest.approx(mine["vega_usd_per_vol"], rel=1e-10, abs=1e-11)
        assert theirs.theta(6000, years[i]) == pytest.approx(mine["theta_usd_per_year"], rel=1e-9, abs=1e-7)
        assert theirs.rho(years[i]) == pytest.approx(mine["rho_usd_per_rate"], rel=1e-9, abs=1e-9)
        assert theirs.dividendRho(years[i]) == pytest.approx(mine["dividend_rho_usd_per_rate"], rel=1e-9, abs=1e-9)
        if price[i] > 0.01:
            found = ql.blackFormulaImpliedStdDev(kind, strike[i], forward, price[i], discount, 0.0, deviation, 1e-14, 1000)
            assert found == pytest.approx(float(own.vol[i]) * math.sqrt(years[i]), rel=1e-7)


def test_a_single_contract_is_priced_without_a_warning_in_a_fresh_process():
    code = "from workbench.options.implied import fast_greeks; print(fast_greeks(6000.0, [6000.0], 0.01, 0.0, 0.2, 'C').delta)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:4]) == (0, "[0.5"), done.stderr
