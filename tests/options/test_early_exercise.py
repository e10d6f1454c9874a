"""What early exercise adds, nearly: against QuantLib's own form of the approximation, and against its high precision at the money."""

from __future__ import annotations

import math

import numpy as np
import pytest
import QuantLib

from workbench.options import american
from workbench.options.early_exercise import exercise_premium


def of_quantlib(strike, days, rate, dividend_yield, vol, right):
    """American less European price by Barone-Adesi and Whaley, spot 100."""
    today, count = QuantLib.Date(1, 1, 2150), QuantLib.Actual365Fixed()
    curves = [QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, level, count)) for level in (dividend_yield, rate)]
    surface = QuantLib.BlackVolTermStructureHandle(QuantLib.BlackConstantVol(today, QuantLib.NullCalendar(), vol, count))
    process = QuantLib.BlackScholesMertonProcess(QuantLib.QuoteHandle(QuantLib.SimpleQuote(100.0)), *curves, surface)
    payoff = QuantLib.PlainVanillaPayoff(QuantLib.Option.Call if right == "C" else QuantLib.Option.Put, strike)
    early = QuantLib.VanillaOption(payoff, QuantLib.AmericanExercise(today, today + days))
    early.setPricingEngine(QuantLib.BaroneAdesiWhaleyApproximationEngine(process))
    late = QuantLib.VanillaOption(payoff, QuantLib.EuropeanExercise(today + days))
    late.setPricingEngine(QuantLib.AnalyticEuropeanEngine(process))
    return early.NPV() - late.NPV()


def test_premiums_are_those_of_quantlibs_approximation():
    rng = np.random.default_rng(7)
    for _ in range(100):
        strike, days = float(rng.uniform(70, 130)), int(rng.integers(7, 1100))
        rate, dividend_yield, vol = float(rng.uniform(0.001, 0.08)), float(rng.uniform(0.001, 0.08)), float(rng.uniform(0.08, 0.6))
        right = str(rng.choice(["C", "P"]))
        ours = float(exercise_premium(100.0, strike, days / 365, rate, vol, right, dividend_yield=dividend_yield))
        assert ours == pytest.approx(of_quantlib(strike, days, rate, dividend_yield, vol, right), abs=1e-4)


@pytest.mark.parametrize(("years", "tolerance_usd"), [(30 / 365, 0.01), (0.5, 0.025), (1.0, 0.05), (2.0, 0.16)])
def test_what_is_taken_out_of_a_forward_is_right_to_the_error_that_is_stated(years, tolerance_usd):
    for dividend_yield in (0.0, 0.02, 0.04):
        for vol in (0.12, 0.35, 0.6):
            strike = 100 * math.exp((0.05 - dividend_yield) * years)
            terms = (100.0, strike, years, 0.05, vol)
            ours, right = (
                [float(of(side)) for side in "PC"]
                for of in (
                    lambda side, terms=terms, q=dividend_yield: exercise_premium(*terms, side, dividend_yield=q),
                    lambda side, terms=terms, q=dividend_yield: american.price(*terms, side, dividend_yield=q).premium_usd,
                )
            )
            assert ours[0] - ours[1] == pytest.approx(right[0] - right[1], abs=tolerance_usd)


def test_it_is_worth_nothing_where_nobody_would_exercise_and_unknown_where_an_input_is():
    assert exercise_premium(100, 90, 1, 0.05, 0.2, "C").item() == 0
    assert exercise_premium(100, 110, 1, 0.0, 0.2, "P", dividend_yield=0.02).item() == 0
    assert exercise_premium(100, 110, 0, 0.05, 0.2, "P").item() == 0
    assert math.isnan(exercise_premium(100, 110, 1, 0.05, math.nan, "P").item())


def test_deep_in_the_money_it_is_what_waiting_would_lose():
    """A put at 40 of a spot of 1: exercised now for 39, worth 40·e^(-0.05) - 1 if it had to wait."""
    assert exercise_premium(1.0, 40.0, 1.0, 0.05, 0.2, "P").item() == pytest.approx(40 - 40 * math.exp(-0.05))
