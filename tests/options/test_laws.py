"""Laws that option prices obey whatever the inputs, on generated contracts. Random contracts against mpmath: test_worst.py.

The full count (10,000 examples of each law):

    SOAK=1 .venv/bin/python .ci/test.py tests/options/test_laws.py -m soak -s
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scorecard import count
from workbench.options import american, black
from workbench.options.american import Precision
from workbench.options.implied import IvStatus, fast_greeks, implied_greeks

pytestmark = pytest.mark.soak("pricing")
BOTH = pytest.mark.parametrize("greeks", [black.greeks, fast_greeks], ids=["readable", "fast"])

contracts = st.builds(
    SimpleNamespace,
    spot=st.floats(1, 10_000),
    moneyness=st.floats(-0.7, 0.7),  # ln(K / S)
    years=st.floats(1e-5, 5),
    rate=st.floats(-0.02, 0.15),
    q=st.floats(0, 0.12),
    vol=st.floats(0.02, 2.0),
)


def law(test):
    """Run a law of one contract on as many examples as the scorecard asks for."""
    return settings(
        max_examples=count("pricing"), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
    )(test)


@pytest.fixture(autouse=True)
def _counted(cases):
    cases.n = count("pricing")


def of(greeks, c, right, **changed):
    c = SimpleNamespace(**{**vars(c), **changed})
    return greeks(c.spot, strike_of(c), c.years, c.rate, c.vol, right, dividend_yield=c.q)


def strike_of(c):
    return getattr(c, "strike", None) or c.spot * math.exp(c.moneyness)


@BOTH
@law
@given(c=contracts)
def test_law_call_less_put_is_the_forward(greeks, c):
    call, put, strike = of(greeks, c, "C"), of(greeks, c, "P"), strike_of(c)
    parity = c.spot * math.exp(-c.q * c.years) - strike * math.exp(-c.rate * c.years)
    assert float(call.price_usd - put.price_usd) == pytest.approx(parity, abs=1e-10 * c.spot)
    assert float(call.delta - put.delta) == pytest.approx(math.exp(-c.q * c.years), abs=1e-12)
    assert float(call.gamma_per_usd) == pytest.approx(float(put.gamma_per_usd), rel=1e-12)
    assert float(call.vega_usd_per_vol) == pytest.approx(float(put.vega_usd_per_vol), rel=1e-12)


@BOTH
@law
@given(c=contracts, step=st.floats(0.001, 0.05))
def test_law_prices_are_monotone_and_convex_in_the_strike(greeks, c, step):
    middle = strike_of(c)
    low, mid, high = ([float(of(greeks, c, r, strike=middle * f).price_usd) for r in "CP"] for f in (1 - step, 1, 1 + step))
    hair = 1e-12 * c.spot
    for i, falls in ((0, True), (1, False)):
        assert low[i] - 2 * mid[i] + high[i] >= -hair
        first, last = (low[i], high[i]) if falls else (high[i], low[i])
        assert first >= last - hair


@BOTH
@law
@given(c=contracts, factor=st.floats(0.01, 100), right=st.sampled_from("CP"))
def test_law_prices_scale_with_the_currency(greeks, c, factor, right):
    one, many = of(greeks, c, right), of(greeks, c, right, spot=c.spot * factor)
    assert float(many.price_usd) == pytest.approx(factor * float(one.price_usd), rel=1e-10, abs=1e-12 * factor * c.spot)


@BOTH
@law
@given(c=contracts, right=st.sampled_from("CP"))
def test_law_greeks_are_the_slopes_of_the_price(greeks, c, right):
    """Central differences at two widths, so that the difference's own error shows and is allowed for."""
    c.years, c.vol = max(c.years, 0.02), max(c.vol, 0.05)
    at, strike = of(greeks, c, right), strike_of(c)

    def slope(name, field, width):
        def difference(h):
            up, down = (float(getattr(of(greeks, c, right, strike=strike, **{name: getattr(c, name) + s * h}), field)) for s in (1, -1))
            return (up - down) / (2 * h)

        wide, narrow = difference(width), difference(width / 2)
        return (4 * narrow - wide) / 3, abs(narrow - wide)

    price = "price_usd"
    for exact, name, field, width, level, flip in (
        (at.delta, "spot", price, 1e-4 * c.spot, 1.0, 1), (at.gamma_per_usd, "spot", "delta", 1e-4 * c.spot, 1 / c.spot, 1),
        (at.vega_usd_per_vol, "vol", price, 1e-4, c.spot, 1), (at.rho_usd_per_rate, "rate", price, 1e-4, c.spot, 1),
        (at.dividend_rho_usd_per_rate, "q", price, 1e-4, c.spot, 1), (at.theta_usd_per_year, "years", price, 1e-4 * c.years, c.spot, -1),
        (at.vanna_per_vol, "vol", "delta", 1e-4, 1.0, 1), (at.vomma_usd_per_vol2, "vol", "vega_usd_per_vol", 1e-4, c.spot, 1),
        (at.charm_per_year, "years", "delta", 1e-4 * c.years, 1.0, -1),
    ):  # fmt: skip
        got, spread = slope(name, field, width)
        rounding = 1e-14 * level * (c.spot if field == "delta" and name == "spot" else 1) / (width / (c.spot if name == "spot" else 1))
        assert flip * got == pytest.approx(float(exact), rel=1e-5, abs=1e-7 * level + spread + rounding), f"{field} by {name}"


@law
@given(c=contracts, right=st.sampled_from("CP"))
def test_law_the_volatility_comes_back_as_far_as_the_price_can_tell_it(c, right):
    at, strike = of(fast_greeks, c, right), strike_of(c)
    got = implied_greeks(at.price_usd, c.spot, strike, c.years, c.rate, right, dividend_yield=c.q)
    price, vega = float(at.price_usd), float(at.vega_usd_per_vol)
    told = 4 * np.spacing(max(price, c.spot, strike)) / vega if vega > 1e-290 else math.inf  # one digit of what is subtracted
    forward = c.spot * math.exp((c.rate - c.q) * c.years)
    is_out = strike >= forward if right == "C" else strike <= forward
    if is_out and price >= 1e-12 * strike:
        assert int(got.status) == IvStatus.OK
        assert abs(float(got.vol) - c.vol) <= 1e-12 + 2 * np.spacing(price) / vega
    elif int(got.status) == IvStatus.OK:
        if told < 1e-4:
            assert abs(float(got.vol) - c.vol) <= 2 * told + 1e-12
    else:
        assert int(got.status) in (IvStatus.ZERO_TIME_VALUE, IvStatus.BELOW_INTRINSIC, IvStatus.ABOVE_MAX)
        assert told > 1e-9
        assert np.isnan(float(got.vol))


@pytest.mark.parametrize("precision", [Precision.KERNEL, Precision.ACCURATE])
@law
@given(c=contracts, right=st.sampled_from("CP"))
def test_law_the_right_to_exercise_early_costs_nothing_less(precision, c, right):
    c.rate, c.years = max(c.rate, 0.0), max(c.years, 0.01)
    strike = strike_of(c)
    got = american.price(c.spot, strike, c.years, c.rate, c.vol, right, dividend_yield=c.q, precision=precision)
    european = float(of(black.greeks, c, right).price_usd)
    if int(got.status) == american.AmericanStatus.FAILED:
        pytest.fail(f"no price for {c}")
    assert float(got.price_usd) >= european - 2e-5 * max(c.spot, strike)
    assert float(got.price_usd) >= (c.spot - strike if right == "C" else strike - c.spot)
    if right == "C":
        plain = american.price(c.spot, strike, c.years, c.rate, c.vol, "C", precision=precision)
        assert float(plain.price_usd) == pytest.approx(float(of(black.greeks, c, "C", q=0.0).price_usd), rel=1e-12)
