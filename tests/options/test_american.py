"""American prices against published ones and QuantLib's high precision, and what exercise adds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813

from workbench.options import american, black
from workbench.options.american import AmericanStatus, Dividend, Precision
from workbench.options.implied import IvStatus

# right, spot, strike, rate, dividend yield, years, vol, QdFp at high precision. Cases: Haug (BAW, BjS), Ju 1999, via QuantLib's test-suite
TABLE_C = [
    ("P", 100, 100, 0, 0, 0.5, 0.15, 4.229439),
    ("C", 42, 40, 0.04, 0.08, 0.75, 0.35, 5.309058),
    ("P", 36, 40, 0.06, 0, 1, 0.20, 4.486674),
    ("P", 90, 100, 0.10, 0.10, 0.10, 0.15, 10.000572),
    ("P", 90, 100, 0.10, 0.10, 0.50, 0.25, 12.430071),
    ("C", 110, 100, 0.10, 0.10, 0.50, 0.35, 15.539093),
    ("P", 40, 45, 0.0488, 0, 0.0833, 0.20, 5.000000),
    ("P", 40, 45, 0.0488, 0, 0.3333, 0.20, 5.088348),
    ("P", 40, 45, 0.0488, 0, 0.5833, 0.20, 5.267011),
    ("P", 40, 40, 0.0488, 0, 0.5833, 0.40, 4.352817),
    ("C", 100, 100, 0.03, 0.07, 3, 0.20, 9.066032),
    ("C", 100, 100, 0.03, 0.07, 3, 0.40, 20.793330),
]


# approximation, its published value, QuantLib's tolerance for it; row by row of TABLE_C
PUBLISHED = [
    ("BaroneAdesiWhaley", 4.2294, 3e-3), ("BjerksundStensland", 5.2704, 5e-5), ("BjerksundStensland", 4.4531, 5e-5),
    ("BaroneAdesiWhaley", 10.0000, 3e-3), ("BaroneAdesiWhaley", 12.4419, 3e-3), ("BaroneAdesiWhaley", 15.5689, 3e-3),
    ("Ju", 5.000, 1e-3), ("Ju", 5.084, 1e-3), ("Ju", 5.260, 1e-3), ("Ju", 4.342, 1e-3), ("Ju", 9.065, 1e-3), ("Ju", 20.760, 1e-3),
]  # fmt: skip


@pytest.mark.parametrize(("row", "published"), list(zip(TABLE_C, PUBLISHED, strict=True)))
def test_the_cases_are_the_published_ones_and_their_approximations_no_truth(row, published):
    """QuantLib's engine of each publication gives the published value for our row; the difference to our price is that engine's error."""
    right, spot, strike, rate, q, years, vol, expected = row
    engine, value, tolerance = published
    start, count = ql.Date(1, 1, 2150), ql.Actual360()

    def curve(level):
        return ql.YieldTermStructureHandle(ql.FlatForward(start, level, count))

    surface = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(start, ql.NullCalendar(), vol, count))
    process = ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(spot)), curve(q), curve(rate), surface)
    end = start + round(360 * years)
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(ql.Option.Call if right == "C" else ql.Option.Put, strike), ql.AmericanExercise(start, end)
    )
    named = {"BaroneAdesiWhaley": ql.BaroneAdesiWhaleyApproximationEngine, "BjerksundStensland": ql.BjerksundStenslandApproximationEngine,
             "Ju": ql.JuQuadraticApproximationEngine}  # fmt: skip
    option.setPricingEngine(named[engine](process))
    assert option.NPV() == pytest.approx(value, abs=tolerance)
    assert expected == pytest.approx(value, abs=0.05)


WITHIN = {Precision.FAST: 1e-3, Precision.KERNEL: 2e-4}


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize(("right", "spot", "strike", "rate", "q", "years", "vol", "expected"), TABLE_C)
def test_prices_are_those_of_high_precision(right, spot, strike, rate, q, years, vol, expected, precision):
    got = american.price(spot, strike, years, rate, vol, right, dividend_yield=q, precision=precision)
    assert float(got.price_usd) == pytest.approx(expected, abs=2e-3)  # the table's time was rounded to days
    finest = american.price(spot, strike, years, rate, vol, right, dividend_yield=q, precision=Precision.REFERENCE)
    assert float(got.price_usd) == pytest.approx(float(finest.price_usd), abs=WITHIN.get(precision, 2e-5))
    european = float(black.price(spot, strike, years, rate, vol, right, dividend_yield=q))
    assert float(got.premium_usd) == pytest.approx(expected - european, abs=2e-3)


def test_a_put_so_deep_that_waiting_costs_says_so():
    got = american.price(40, 45, 0.0833, 0.0488, 0.20, "P")
    assert float(got.price_usd) == pytest.approx(5.0, abs=1e-6)
    assert int(got.status) == AmericanStatus.EXERCISE_NOW


def test_where_exercise_is_worth_nothing_the_european_price_stands():
    got = american.price(100, [90, 100, 110], 0.5, 0.04, 0.25, "C")
    np.testing.assert_array_equal(got.price_usd, black.price(100, [90, 100, 110], 0.5, 0.04, 0.25, "C"))
    assert (got.status == AmericanStatus.EUROPEAN).all()
    assert (got.premium_usd == 0).all()


def test_at_a_rate_of_0_a_put_is_not_shown_a_digit_below_what_exercise_pays():
    strike = math.exp(0.02734375)
    assert float(american.price(1.0, strike, 0.02734375, 0.0, 0.02, "P").price_usd) >= strike - 1.0


def test_never_less_than_the_european_price_or_than_exercise():
    rng = np.random.default_rng(8)
    n = 150
    spot, strike, years = 100.0, rng.uniform(60, 150, n), rng.uniform(0.01, 3, n)
    rate, q, vol = rng.uniform(0, 0.1, n), rng.uniform(0, 0.1, n), rng.uniform(0.05, 0.8, n)
    for right, cp in (("C", 1), ("P", -1)):
        got = american.price(spot, strike, years, rate, vol, right, dividend_yield=q)
        assert (got.price_usd >= black.price(spot, strike, years, rate, vol, right, dividend_yield=q) - 2e-4).all()
        assert (got.price_usd >= np.maximum(cp * (spot - strike), 0)).all()


def test_a_binomial_tree_of_our_own_agrees():
    """Cox, Ross, Rubinstein with 2,000 steps, written out here."""
    spot, strike, years, rate, q, vol, n = 100.0, 105.0, 0.75, 0.05, 0.02, 0.3, 2000
    dt = years / n
    up = math.exp(vol * math.sqrt(dt))
    p = (math.exp((rate - q) * dt) - 1 / up) / (up - 1 / up)
    level = spot * up ** np.arange(-n, n + 1, 2.0)
    value = np.maximum(strike - level, 0)
    for _ in range(n):
        level = level[:-1] * up
        value = np.maximum(strike - level, math.exp(-rate * dt) * (p * value[1:] + (1 - p) * value[:-1]))
    assert float(american.price(spot, strike, years, rate, vol, "P", dividend_yield=q).price_usd) == pytest.approx(value[0], abs=5e-3)


def test_a_dividend_in_dollars_makes_calls_worth_exercising_and_puts_dearer():
    paid = [Dividend(0.25, 3.0), Dividend(2.0, 9.0)]  # the second comes after expiry
    call = american.price(100, 90, 0.5, 0.04, 0.2, "C", dividends=paid)
    assert int(call.status) == AmericanStatus.OK
    assert float(call.premium_usd) > 0.1
    escrowed = float(black.price(100 - 3 * math.exp(-0.01), 90, 0.5, 0.04, 0.2, "C"))  # the European, dividend taken off the spot
    assert float(call.price_usd - call.premium_usd) == pytest.approx(escrowed, abs=0.1)
    put = american.price(100, 90, 0.5, 0.04, 0.2, "P", dividends=paid)
    assert float(put.price_usd) > float(american.price(100, 90, 0.5, 0.04, 0.2, "P").price_usd) + 0.2


def test_a_screen_leaves_the_premium_out_in_the_last_two_days_only():
    brief, longer = 1.5 / 365, 10 / 365
    assert int(american.price(100, 101, brief, 0.05, 0.3, "P", is_screen=True).status) == AmericanStatus.EUROPEAN
    assert int(american.price(100, 101, brief, 0.05, 0.3, "P").status) == AmericanStatus.OK
    assert int(american.price(100, 101, longer, 0.05, 0.3, "P", is_screen=True).status) == AmericanStatus.OK
    assert (
        int(american.price(100, 90, brief, 0.05, 0.3, "C", is_screen=True, dividends=[Dividend(brief / 2, 1.0)]).status)
        != AmericanStatus.EUROPEAN
    )


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ((100, 100, 0.0, 0.05, 0.2), AmericanStatus.EXPIRED), ((100, 100, -1.0, 0.05, 0.2), AmericanStatus.EXPIRED),
        ((math.nan, 100, 1.0, 0.05, 0.2), AmericanStatus.MISSING), ((0.0, 100, 1.0, 0.05, 0.2), AmericanStatus.BAD_INPUT),
        ((100, -1, 1.0, 0.05, 0.2), AmericanStatus.BAD_INPUT), ((100, 100, 1.0, math.inf, 0.2), AmericanStatus.BAD_INPUT),
        ((100, 100, 1.0, 0.05, -0.2), AmericanStatus.BAD_INPUT),
    ],
)  # fmt: skip
def test_bad_numbers_have_a_status(inputs, status):
    got = american.price(*inputs, "P")
    assert int(got.status) == status
    assert np.isnan(float(got.price_usd)) == (status is not AmericanStatus.EXPIRED)


def test_a_tiny_volatility_has_a_price_or_a_status():
    got = american.price(100, [80.0, 100.0, 120.0], 0.5, 0.05, [[0.0], [1e-6], [0.01]], "P", dividend_yield=0.02)
    told = got.status != AmericanStatus.FAILED
    assert np.isfinite(got.price_usd[told]).all()
    assert np.isnan(got.price_usd[~told]).all()


@pytest.mark.parametrize(
    ("right", "spot", "strike", "rate", "q", "years", "vol", "_"), [row for row in TABLE_C if row[2:4] != (45, 0.0488) or row[5] > 0.1]
)
def test_the_volatility_comes_back(right, spot, strike, rate, q, years, vol, _):
    price = float(american.price(spot, strike, years, rate, vol, right, dividend_yield=q).price_usd)
    got = american.implied(price, spot, strike, years, rate, right, dividend_yield=q)
    assert int(got.status) == IvStatus.OK
    again = float(american.price(spot, strike, years, rate, float(got.vol), right, dividend_yield=q).price_usd)
    assert again == pytest.approx(price, rel=0.0101)
    if again == pytest.approx(price, abs=1e-7):  # the engine was inverted
        assert float(got.vol) == pytest.approx(vol, abs=2e-4)


@pytest.mark.parametrize(
    ("price", "status"),
    [
        (4.0, IvStatus.ZERO_TIME_VALUE),
        (3.995, IvStatus.ZERO_TIME_VALUE),
        (3.9, IvStatus.BELOW_INTRINSIC),
        (40.0, IvStatus.ABOVE_MAX),
        (math.nan, IvStatus.MISSING),
    ],
)
def test_american_edges_have_their_status(price, status):
    got = american.implied(price, 36, 40, 1.0, 0.06, "P")
    assert int(got.status) == status
    assert np.isnan(float(got.vol))


def test_a_short_call_before_a_large_dividend_is_at_risk():
    assert american.is_call_at_risk(10.2, 110, 100, 0.5)
    assert not american.is_call_at_risk(10.8, 110, 100, 0.5)
    assert not american.is_call_at_risk(0.2, 99, 100, 0.5)


# -- the kernel ---------------------------------------------------------------------------------------------------------------------


def random_contracts(n, seed=5):
    """Spot 100, strikes 60-150, up to three years, rates and yields up to 10 %, volatilities of 5-80 %."""
    rng = np.random.default_rng(seed)
    strike, years = rng.uniform(60, 150, n), rng.uniform(0.02, 3, n)
    rate, q, vol = rng.uniform(0.005, 0.1, n), rng.uniform(0, 0.1, n), rng.uniform(0.05, 0.8, n)
    return strike, years, rate, vol, rng.choice(["C", "P"], n), q


def by_kernel(strike, years, rate, vol, right, q, spot=100.0):
    return american.price(spot, strike, years, rate, vol, right, dividend_yield=q, precision=Precision.KERNEL)


def test_the_kernel_is_as_exact_as_it_says():
    strike, years, rate, vol, right, q = random_contracts(400, seed=31)
    exact = american.price(100.0, strike, years, rate, vol, right, dividend_yield=q, precision=Precision.ACCURATE)
    got = by_kernel(strike, years, rate, vol, right, q)
    np.testing.assert_allclose(got.price_usd, exact.price_usd, atol=2e-4)
    np.testing.assert_allclose(got.premium_usd, exact.premium_usd, atol=2e-4)
    differs = got.status != exact.status
    assert (np.abs(exact.price_usd - np.where(right == "C", 100 - strike, strike - 100))[differs] < 1e-3).all(), (
        "at the boundary either will do"
    )


def test_the_kernel_agrees_with_a_tree_of_5000_steps():
    """Leisen-Reimer would be closer in fewer steps; Cox, Ross and Rubinstein's is the one that anybody can check."""
    n = 5000
    for strike, years, rate, q, vol, cp in (
        (105, 0.75, 0.05, 0.02, 0.3, -1),
        (95, 1.5, 0.02, 0.06, 0.25, 1),
        (100, 0.2, 0.04, 0.0, 0.15, -1),
    ):
        dt = years / n
        up = math.exp(vol * math.sqrt(dt))
        p = (math.exp((rate - q) * dt) - 1 / up) / (up - 1 / up)
        level = 100 * up ** np.arange(-n, n + 1, 2.0)
        value = np.maximum(cp * (level - strike), 0)
        for _ in range(n):
            level = level[:-1] * up
            value = np.maximum(cp * (level - strike), math.exp(-rate * dt) * (p * value[1:] + (1 - p) * value[:-1]))
        got = by_kernel(strike, years, rate, vol, "C" if cp > 0 else "P", q)
        assert float(got.price_usd) == pytest.approx(value[0], abs=1.5e-3)


@pytest.mark.parametrize(
    ("years", "rate", "q", "vol"),
    [(1e-5, 0.05, 0.01, 0.3), (0.003, 1e-5, 0.0, 1.2), (5.0, 0.15, 0.0, 0.2), (0.05, 7e-5, 0.0, 0.68), (1.0, 0.001, 0.14, 0.5), (2.0, 0.1, 0.1, 2.0),
     (2.4, 0.005, 0.0, 0.006), (1.0, 0.08, 0.0, 0.03)],
)  # fmt: skip
def test_the_kernel_holds_at_the_edges_or_leaves_them_to_quantlib(years, rate, q, vol):
    strike = 100 * np.exp(np.linspace(-3, 3, 9) * max(vol * math.sqrt(years), 0.002))
    got = by_kernel(strike, years, rate, vol, "P", q)
    exact = american.price(100.0, strike, years, rate, vol, "P", dividend_yield=q, precision=Precision.ACCURATE)
    np.testing.assert_allclose(got.price_usd / np.maximum(strike, 100), exact.price_usd / np.maximum(strike, 100), atol=4e-6)
    call = american.price(strike, 100.0, years, q, vol, "C", dividend_yield=rate, precision=Precision.KERNEL)  # the put's mirror image
    np.testing.assert_allclose(call.price_usd, got.price_usd, rtol=1e-12, atol=1e-12)


def test_the_kernel_gives_a_grid_its_shape_and_each_contract_its_own_status():
    spot = np.array([[80.0], [100.0], [120.0]])
    got = american.price(spot, [90.0, 100.0, np.nan, 100.0], [0.5, 0.5, 0.5, 0.0], 0.05, 0.2, "P", precision=Precision.KERNEL)
    assert got.price_usd.shape == (3, 4)
    assert got.status.tolist()[1] == [AmericanStatus.OK, AmericanStatus.OK, AmericanStatus.MISSING, AmericanStatus.EXPIRED]
    assert got.status[0, 1] == AmericanStatus.EXERCISE_NOW
    assert (got.price_usd[:, 3] == [20.0, 0.0, 0.0]).all()


def test_the_kernel_needs_no_engine_where_quantlib_is_not_asked(monkeypatch):
    def missing():
        raise AssertionError("QuantLib was asked")

    monkeypatch.setattr(american, "_quantlib", missing)
    assert float(by_kernel(100.0, 0.5, 0.05, 0.2, "P", 0.0).price_usd) > 4
    assert int(by_kernel(100.0, 0.5, 0.05, 0.2, "C", 0.0).status) == AmericanStatus.EUROPEAN


def test_negative_rates_with_two_boundaries_are_no_kernels_matter():
    got = american.price(100.0, 100.0, 1.0, -0.01, 0.2, "P", dividend_yield=-0.03, precision=Precision.KERNEL)
    assert int(got.status) == AmericanStatus.FAILED
    assert math.isnan(float(got.price_usd))


def test_a_graph_on_its_last_day_asks_no_engine_for_what_has_expired(monkeypatch):
    monkeypatch.setattr(american, "_one", lambda *_, **__: pytest.fail("one by one"))
    got = american.price(np.linspace(80, 120, 50), 100.0, [[0.0], [0.01]], 0.05, 0.2, "P", precision=Precision.KERNEL)
    assert (got.status[0] == AmericanStatus.EXPIRED).all()
    np.testing.assert_array_equal(got.price_usd[0], np.maximum(100 - np.linspace(80, 120, 50), 0))
    assert (got.premium_usd[0] == 0).all()
