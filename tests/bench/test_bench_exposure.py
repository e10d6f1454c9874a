"""Gamma exposure of a whole chain with its flip. A regression here is a gamma map that stands still while the market moves through it.

20,000 SPX-like contracts, half an hour to three years. One call of `exposure` (gamma, vanna and charm of every contract, sums by
strike and expiry, net gamma over a grid of 201 spots, every root refined) against what one pricing of the same chain takes.
"""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from workbench.clock import monotonic_ns
from workbench.options.black import greeks
from workbench.options.exposure import Convention, exposure
from workbench.options.gamma_profile import Stickiness
from workbench.options.implied import fast_greeks

N = 20_000
SPOT, RATE, YIELD = 6000.0, 0.045, 0.013
ROUNDS = 5
pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def chain():
    rng = np.random.default_rng(11)
    days = rng.choice([0.02, 0.1, 0.27, 1, 2, 3, 7, 14, 30, 60, 90, 180, 365, 730, 1095], N)
    years = days / 365
    vol = 0.08 + 0.12 * rng.random(N)
    strike = np.round(SPOT * np.exp(rng.uniform(-4, 4, N) * vol * np.sqrt(years)) / 5) * 5
    series = np.unique(days, return_inverse=True)[1]
    return {
        "strike": strike, "right": np.where(strike > SPOT * np.exp(0.3 * vol * np.sqrt(years)), "C", "P"), "years": years, "vol": vol,
        "open_interest": np.floor(rng.pareto(1.2, N) * 100), "series": series,
    }  # fmt: skip


def ours(c, **convention):
    return exposure(SPOT, **c, rate=RATE, dividend_yield=YIELD, convention=Convention(**convention))


def pricing(c):
    return fast_greeks(SPOT, c["strike"], c["years"], RATE, c["vol"], c["right"], dividend_yield=YIELD)


def seconds(run):
    begin = monotonic_ns()
    answer = run()
    return (monotonic_ns() - begin) * 1e-9, answer


@pytest.mark.parametrize("stickiness", list(Stickiness))
def test_exposure_with_its_flip_beside_pricing_the_chain(chain, floor, stickiness):
    got = ours(chain, stickiness=stickiness)
    gamma = greeks(SPOT, chain["strike"], chain["years"], RATE, chain["vol"], chain["right"], dividend_yield=YIELD).gamma_per_usd
    side = np.where(chain["right"] == "C", 1, -1)
    assert got.net_gex == pytest.approx(float((side * gamma * chain["open_interest"]).sum() * 100 * SPOT**2 * 0.01), rel=1e-9)
    assert len(got.profile.spots) == 201
    assert got.flip is not None
    assert abs(got.profile.curve(got.flip)) < 1e-6 * np.abs(got.profile.net).max()
    pricing(chain)
    ratios, best = [], float("inf")
    for _ in range(ROUNDS):
        passed = min(seconds(lambda: pricing(chain))[0] for _ in range(5))
        took = seconds(lambda: ours(chain, stickiness=stickiness))[0]
        ratios.append(took / passed)
        best = min(best, took)
    print(f"exposure of 20,000 contracts, 201 spots, sticky {stickiness.value}: {best * 1e3:.1f} ms")
    floor(f"GEX with re-priced flip, sticky {stickiness.value}, in pricing passes of the chain", statistics.median(ratios), most=250)
