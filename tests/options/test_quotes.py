"""From quotes to volatilities: which quotes count, who tells whose volatility, and what is left unsaid."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.options.black import price
from workbench.options.implied import IvStatus, implied_vol
from workbench.options.quotes import IvSource, QuoteLimits, imply_quotes, quote_status, twins

NAN = np.nan
OK, MISSING, BAD_QUOTE, NO_BID, EXPIRED = IvStatus.OK, IvStatus.MISSING, IvStatus.BAD_QUOTE, IvStatus.NO_BID, IvStatus.EXPIRED


@pytest.mark.parametrize(
    ("bid", "ask", "age", "expected"),
    [
        (1.00, 1.10, 0, OK), (1.10, 1.10, 0, OK), (1.20, 1.10, 0, BAD_QUOTE), (0.0, 0.05, 0, NO_BID), (0.0, 0.0, 0, MISSING),
        (NAN, 1.1, 0, MISSING), (1.0, NAN, 0, MISSING), (1.0, 1.1, 61, BAD_QUOTE), (1.0, 1.1, NAN, BAD_QUOTE), (0.05, 5.0, 0, BAD_QUOTE),
        (-1.0, 1.0, 0, BAD_QUOTE), (1.0, np.inf, 0, BAD_QUOTE),
    ],
)  # fmt: skip
def test_each_quote_is_judged_as_a_quote(bid, ask, age, expected):
    assert quote_status(bid, ask, age, QuoteLimits()).item() == expected


def chain():
    """Spot 100, both rights at five strikes, vol 20 % + a smile; half a year, 3 %, no dividends."""
    strike = np.repeat([80.0, 90.0, 100.0, 110.0, 120.0], 2)
    right = np.tile(["C", "P"], 5)
    vol = 0.2 + 0.002 * np.abs(strike - 100)
    mid = price(100, strike, 0.5, 0.03, vol, right)
    return strike, right, vol, mid


def implied(mid, strike, right, *, bid=None, ask=None, age=0.0, spot=100.0, years=0.5, series=1):
    bid, ask = mid - 0.02 if bid is None else bid, mid + 0.02 if ask is None else ask
    return imply_quotes(bid, ask, spot, strike, years, 0.03, right, series=np.broadcast_to(series, strike.shape), age_s=age)


def test_the_option_in_the_money_takes_the_volatility_of_its_twin_and_says_so():
    strike, right, vol, mid = chain()
    shifted = mid + np.where((strike < 100) & (right == "C"), 0.005, 0.0)  # a hair on the deep call's mid would be 1.3 points of volatility
    got = implied(shifted, strike, right)
    assert (got.status == OK).all()
    np.testing.assert_allclose(got.vol, vol, rtol=1e-9)
    told = [IvSource(s).name for s in got.source]
    assert told == ["PUT_PARITY", "OWN", "PUT_PARITY", "OWN", "PUT_PARITY", "OWN", "OWN", "CALL_PARITY", "OWN", "CALL_PARITY"]
    np.testing.assert_allclose(got.greeks.vega_usd_per_vol[::2], got.greeks.vega_usd_per_vol[1::2], rtol=1e-10)
    assert abs(implied_vol(shifted[0], 100, 80, 0.5, 0.03, "C").vol - vol[0]) > 1e-4


def test_a_call_at_its_intrinsic_value_still_has_the_volatility_of_its_put():
    strike, right, vol, mid = chain()
    low = mid.copy()
    low[0] = 100 - 80 * np.exp(-0.015) - 0.05
    got = implied(low, strike, right)
    assert got.status[0] == OK
    assert got.vol[0] == pytest.approx(vol[0])


def test_without_a_twin_the_own_price_tells():
    strike, right, vol, mid = chain()
    got = implied(mid[::2], strike[::2], right[::2])
    assert (got.source == IvSource.OWN).all()
    np.testing.assert_allclose(got.vol, vol[::2], rtol=1e-6)


def test_no_bid_means_no_mid_and_the_ask_speaks_for_itself_alone():
    strike, right, _, mid = chain()
    bid = np.where(strike == 120, 0.0, mid - 0.02)
    got = implied(mid, strike, right, bid=bid)
    call = (strike == 120) & (right == "C")
    assert (got.status[call] == NO_BID).all()
    assert np.isnan(got.vol[call]).all()
    assert np.isnan(got.mid_usd[call]).all()
    assert np.isnan(got.greeks.delta[call]).all()
    expected = implied_vol(mid[call] + 0.02, 100, 120, 0.5, 0.03, "C").vol
    np.testing.assert_allclose(got.ask_vol[call], expected)
    assert np.isnan(got.ask_vol[strike != 120]).all()


def test_a_bad_quote_stays_bad_even_beside_a_good_twin():
    strike, right, _, mid = chain()
    bid = np.where((strike == 80) & (right == "C"), mid + 1, mid - 0.02)
    got = implied(mid, strike, right, bid=bid)
    assert got.status.tolist() == [BAD_QUOTE] + [OK] * 9
    assert np.isnan(got.vol[0])
    assert got.source[0] == IvSource.NONE


def test_expired_contracts_and_impossible_spots_have_their_status():
    strike, right, _, mid = chain()
    assert (implied(mid, strike, right, years=0.0).status == EXPIRED).all()
    assert (implied(mid, strike, right, spot=0.0).status == IvStatus.BAD_INPUT).all()
    assert (implied(mid, strike, right, spot=np.nan).status == MISSING).all()


def test_morning_and_afternoon_contracts_of_one_strike_are_no_twins():
    strike, right, _, mid = chain()
    got = implied(mid, strike, right, series=np.where(right == "C", 1, 2))
    assert (got.source == IvSource.OWN).all()


def test_contracts_given_twice_have_no_twin():
    assert twins([1, 1, 1, 1], [100, 100, 90, 90], ["C", "P", "C", "P"]).tolist() == [1, 0, 3, 2]
    assert twins([1, 1, 1], [100, 100, 100], ["C", "C", "P"]).tolist() == [-1, -1, -1]
    assert twins([], [], np.array([], "U1")).tolist() == []
