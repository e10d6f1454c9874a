"""The fitted smile against smiles that are known, refits by numpy, and derivatives of its own prices taken numerically."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate

from workbench.options import black
from workbench.options.smile import durrleman, fit_smile

FORWARD, YEARS, DISCOUNT = 6000.0, 2 / 365, 0.9995
TRUE = np.array([1.0, -0.10, 0.12, -0.004, 0.002])  # of w / w(0), in deviations
AT_MONEY = 0.14 * math.sqrt(YEARS)
STRIKES = np.arange(5760.0, 6245.0, 5.0)


BENT = np.array([1.0, 0.0, -1.3, 0.0, 0.5])  # concave at the money: a density below 0 there


def true_variance(strike, shape=TRUE):
    return AT_MONEY**2 * np.polynomial.polynomial.polyval(np.log(strike / FORWARD) / AT_MONEY, shape)


def quotes(strikes=STRIKES, *, spread=0.2, shift=None, shape=TRUE):
    """strike, right, bid, ask of both rights, from the true smile; `shift`: strike -> USD off."""
    strike, right = np.tile(strikes, 2), np.repeat(["C", "P"], len(strikes))
    price = DISCOUNT * black.price(FORWARD, strike, YEARS, 0.0, np.sqrt(true_variance(strike, shape) / YEARS), right)
    price = price + np.array([(shift or {}).get(k, 0.0) for k in strike])
    half = np.minimum(spread / 2, 0.2 * price)
    return strike, right, price - half, price + half


def fitted(*columns, **more):
    return fit_smile(*columns, **({"forward": FORWARD, "years": YEARS, "discount": DISCOUNT} | more))


def test_a_smile_that_is_known_is_found():
    smile = fitted(*quotes(spread=0.002))
    np.testing.assert_allclose(smile.total_variance(smile.strike), true_variance(smile.strike), rtol=2e-6)
    at = np.array([5900.0, 5998.0, 6001.5, 6100.0])
    expected = DISCOUNT * black.price(FORWARD, at, YEARS, 0.0, np.sqrt(true_variance(at) / YEARS), ["C", "P", "C", "P"])
    np.testing.assert_allclose(smile.price(at, ["C", "P", "C", "P"]), expected, atol=1e-4)
    np.testing.assert_allclose(smile.vol(at), np.sqrt(true_variance(at) / YEARS), rtol=2e-6)
    assert smile.is_arbitrage_free
    assert smile.chi2_per_freedom < 0.1


def test_beyond_its_strikes_a_smile_tells_nothing():
    smile = fitted(*quotes())
    beyond = [smile.low - 1, smile.high + 1]
    assert np.isnan(smile.total_variance(beyond)).all()
    assert np.isnan(smile.price(beyond, "C")).all()
    assert np.isnan(smile.p_above(beyond)).all()


def test_leaving_strikes_out_is_the_fit_without_them():
    rng = np.random.default_rng(3)
    smile = fitted(*quotes(shift={k: rng.normal(0, 0.1) for k in STRIKES}))
    out = np.zeros((40, len(smile.strike)), np.bool_)
    for row in out:
        row[rng.choice(len(row), 3, replace=False)] = True
    coefficients, covariance = smile.without(out)
    x = np.log(smile.strike / FORWARD) / smile.scale
    for row, c, cov in zip(out, coefficients, covariance, strict=True):
        keep = ~row
        refit, scatter = np.polyfit(x[keep], smile.variance[keep], 4, w=1 / smile.error[keep], cov="unscaled")
        residual = (smile.variance[keep] - np.polyval(refit, x[keep])) / smile.error[keep]
        grown = max((residual**2).sum() / (keep.sum() - 5), 1.0)
        np.testing.assert_allclose(c, refit[::-1], rtol=1e-8, atol=1e-9 * np.abs(refit).max())
        np.testing.assert_allclose(cov, grown * scatter[::-1, ::-1], rtol=1e-6, atol=1e-9 * np.abs(scatter).max())


def test_with_too_few_strikes_left_nothing_is_told():
    smile = fitted(*quotes(STRIKES[40:52]))
    out = np.zeros((1, len(smile.strike)), np.bool_)
    out[0, :4] = True
    coefficients, covariance = smile.without(out)
    assert np.isnan(coefficients).all()
    assert np.isnan(covariance).all()


def test_chances_are_the_slope_of_call_prices():
    smile = fitted(*quotes())
    at, h = np.linspace(smile.low + 5, smile.high - 5, 60), 0.01
    slope = -(smile.price(at + h, "C") - smile.price(at - h, "C")) / (2 * h) / DISCOUNT
    np.testing.assert_allclose(smile.p_above(at), slope, atol=2e-7)


def test_the_density_is_what_durrleman_says_it_is():
    """g > 0 exactly where the second difference of call prices is, on a smile that is bent too sharply."""
    smile = fitted(*quotes())
    spoilt = replace(smile, coefficients=smile.scale**2 * BENT)
    at, h = np.linspace(smile.low + 5, smile.high - 5, 200), 0.05
    calls = [spoilt.price(at + step, "C") for step in (-h, 0, h)]
    density = (calls[0] - 2 * calls[1] + calls[2]) / h**2
    g = durrleman(np.log(at / FORWARD) / smile.scale, spoilt.coefficients, smile.scale)
    clear = np.abs(density) > 1e-6
    assert (density[clear] < 0).any()
    np.testing.assert_array_equal(g[clear] > 0, density[clear] > 0)


def test_a_smile_that_allows_arbitrage_says_so():
    good = fitted(*quotes())
    assert good.is_arbitrage_free
    assert not fitted(*quotes(shape=BENT)).is_arbitrage_free


def test_chances_add_up_to_one():
    """The density integrated by scipy is the difference of chances."""
    smile = fitted(*quotes())

    def density(k, h=0.5):
        low, mid, high = (float(smile.price(k + step, "C")) for step in (-h, 0, h))
        return (low - 2 * mid + high) / h**2 / DISCOUNT

    total = integrate.quad(density, 5900, 6080, epsabs=1e-8)[0]
    assert float(smile.p_above(5900) - smile.p_above(6080)) == pytest.approx(total, abs=1e-5)


def test_errors_grow_with_the_misfit_and_never_shrink():
    calm, rough = fitted(*quotes()), fitted(*quotes(shift={k: 0.4 * (-1) ** i for i, k in enumerate(STRIKES)}))
    none = np.zeros((1, len(calm.strike)), np.bool_)
    assert calm.chi2_per_freedom < 1 < rough.chi2_per_freedom
    x = np.log(calm.strike / FORWARD) / calm.scale
    unscaled = np.polyfit(x, calm.variance, 4, w=1 / calm.error, cov="unscaled")[1][::-1, ::-1]
    np.testing.assert_allclose(calm.without(none)[1][0], unscaled, rtol=1e-6, atol=1e-9 * np.abs(unscaled).max())


def test_bad_quotes_are_left_out_of_the_fit():
    strike, right, bid, ask = quotes()
    clean = fitted(strike, right, bid, ask)
    spoilt_bid, spoilt_ask, age = bid.copy(), ask.copy(), np.zeros(len(bid))
    out_of_money = np.flatnonzero((right == "C") & (strike > FORWARD))[5:12]
    spoilt_bid[out_of_money[0]] = 0.0
    spoilt_bid[out_of_money[1]], spoilt_ask[out_of_money[1]] = 30.0, 29.0
    spoilt_ask[out_of_money[2]] = np.nan
    age[out_of_money[3]] = 100.0
    spoilt_bid[out_of_money[4]], spoilt_ask[out_of_money[4]] = 1.0, 90.0
    got = fitted(strike, right, spoilt_bid, spoilt_ask, age_s=age)
    assert set(clean.strike) - set(got.strike) == set(strike[out_of_money[:5]])
    np.testing.assert_allclose(got.coefficients, clean.coefficients, rtol=1e-3, atol=1e-3 * clean.scale**2)


@pytest.mark.parametrize("more", [{"years": 0.0}, {"forward": math.nan}, {"discount": math.nan}, {"forward": -1.0}])
def test_without_time_forward_or_discount_there_is_no_smile(more):
    assert fitted(*quotes(), **more) is None


def test_few_strikes_are_no_smile():
    assert fitted(*quotes(STRIKES[45:54])) is None
    assert fitted(*quotes(STRIKES[:0])) is None
    assert fitted(*quotes(STRIKES[:1])) is None
