"""The forward from calls and puts: hand arithmetic, which pairs count, and the spot or yield that agree with it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.options.forward import Carry, Forward, ForwardStatus, agreeing_carry, carried_forward, parity_forward


def pairs(strike, forward, growth, *, half_spread=0.05):
    """Quotes whose call less put is (forward - strike) / growth, 3 USD of time value in each."""
    strike = np.asarray(strike, float)
    gap = (forward - strike) / growth
    call, put = 3 + np.maximum(gap, 0), 3 + np.maximum(-gap, 0)
    return strike, call - half_spread, call + half_spread, put - half_spread, put + half_spread


def test_the_forward_is_what_call_less_put_grows_to():
    """K = 600, call 7.10 - 7.20, put 5.00 - 5.10, growth 1.01: 600 + 1.01 · 2.10 = 602.121, open by 1.01 · 0.10."""
    one = [np.array([x]) for x in (600.0, 7.10, 7.20, 5.00, 5.10)]
    got = parity_forward(*one, 1.01, 0.2)
    assert got.forward_usd == pytest.approx(602.121)
    assert got.half_width_usd == pytest.approx(0.101)
    assert (got.status, got.n_pairs) == (ForwardStatus.PARITY, 1)


def test_one_wrong_pair_among_five_does_not_move_it():
    sides = list(pairs([590, 595, 600, 605, 610, 700], 601.0, 1.0))
    for k in (1, 2):  # the call at 600, quoted 2 USD too high
        sides[k] = sides[k] + np.where(sides[0] == 600, 2.0, 0.0)
    got = parity_forward(*sides, 1.0, 0.1)
    assert got.forward_usd == pytest.approx(601.0)
    assert got.n_pairs == 5


@pytest.mark.parametrize("spoiled", ["no bid", "crossed", "missing", "far from the money", "too wide"])
def test_pairs_that_tell_nothing_give_no_forward(spoiled):
    strike, call_bid, call_ask, put_bid, put_ask = pairs([600.0], 601.0, 1.0)
    if spoiled == "no bid":
        put_bid = np.array([0.0])
    if spoiled == "crossed":
        call_bid, call_ask = call_ask, call_bid
    if spoiled == "missing":
        call_ask = np.array([np.nan])
    if spoiled == "far from the money":
        strike, call_bid, call_ask, put_bid, put_ask = pairs([500.0], 601.0, 1.0)
    if spoiled == "too wide":
        call_bid, call_ask = call_bid - 2.5, call_ask + 4
    got = parity_forward(strike, call_bid, call_ask, put_bid, put_ask, 1.0, 0.01)
    assert math.isnan(got.forward_usd)
    assert got.status is ForwardStatus.MISSING


def test_without_pairs_the_forward_is_carried_from_spot_unless_that_is_old_or_missing():
    told = Carry(600.0, 0.05, 0.01)
    assert carried_forward(told, 0.5, is_stale=False).forward_usd == pytest.approx(600 * math.exp(0.02))
    assert carried_forward(told, 0.5, is_stale=True).status is ForwardStatus.STALE_SPOT
    assert carried_forward(Carry(math.nan, 0.05, 0.01), 0.5, is_stale=True).status is ForwardStatus.MISSING


@pytest.mark.parametrize("days", [1, 29, 31, 400])
def test_the_carry_always_leads_to_the_forward_by_spot_when_near_and_by_yield_later(days):
    years, told = days / 365, Carry(600.0, 0.05, 0.012)
    forward = Forward(600 * math.exp(0.03 * years) - 0.5, ForwardStatus.PARITY)
    got = agreeing_carry(forward, told, years, years, is_stale=False)
    assert got.spot_usd * math.exp((got.rate - got.dividend_yield) * years) == pytest.approx(forward.forward_usd, rel=1e-14)
    assert (got.spot_usd == 600.0) == (days > 30)
    assert (got.dividend_yield == 0.012) == (days <= 30)


def test_an_old_spot_is_replaced_at_any_expiry():
    got = agreeing_carry(Forward(650.0, ForwardStatus.PARITY), Carry(600.0, 0.05, 0.012), 1.0, 1.0, is_stale=True)
    assert got.spot_usd == pytest.approx(650 * math.exp(-0.038))
    assert got.dividend_yield == 0.012


def test_without_a_forward_there_is_no_spot_to_price_by():
    got = agreeing_carry(Forward(math.nan, ForwardStatus.STALE_SPOT), Carry(600.0, 0.05, 0.0), 1.0, 1.0, is_stale=True)
    assert math.isnan(got.spot_usd)
