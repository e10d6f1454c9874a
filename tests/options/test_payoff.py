"""Payoff at expiry and prices of structures. Oracles: arithmetic by hand, and sums of decimals written out here."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import RecordError
from workbench.options import templates
from workbench.options.payoff import LegQuote, payoff, prices
from workbench.options.structures import Leg, Structure
from workbench.types import OptionContract

DAY, LATER = date(2026, 1, 16), date(2026, 2, 20)
INF = math.inf


@pytest.mark.parametrize(
    ("structure", "cost", "break_evens", "best", "worst"),
    [
        (templates.single("SPY", DAY, "C", 100), 250, (102.5,), INF, -250),
        (templates.single("SPY", DAY, "P", 100), 250, (97.5,), 9750, -250),
        (templates.single("SPY", DAY, "C", 100, side="sell"), -250, (102.5,), 250, -INF),
        (templates.single("SPY", DAY, "P", 100, side="sell"), -250, (97.5,), 250, -9750),
        (templates.vertical("SPY", DAY, "C", 100, 105), 200, (102,), 300, -200),
        (templates.vertical("SPY", DAY, "P", 100, 95), 200, (98,), 300, -200),
        (templates.butterfly("SPXW", DAY, "C", 6000, 20), 160, (5981.6, 6018.4), 1840, -160),
        (templates.butterfly("SPXW", DAY, "P", 6000, 20), 160, (5981.6, 6018.4), 1840, -160),
        (templates.iron_condor("SPY", DAY, 90, 95, 105, 110), -150, (93.5, 106.5), 150, -350),
        (templates.straddle("SPY", DAY, 100), 600, (94, 106), INF, -600),
        (templates.strangle("SPY", DAY, 95, 105), 200, (93, 107), INF, -200),
        (templates.covered_call("SPY", DAY, 603), 59_958, (599.58,), 342, -59_958),
        (Structure("SPY", (Leg(None, "buy", 10),)), 1000, (100,), INF, -1000),
        (Structure("SPY", (Leg(None, "sell", 10),)), -1000, (100,), 1000, -INF),
    ],
    ids=lambda x: x.name if isinstance(x, Structure) else "",
)
def test_break_evens_best_and_worst_are_those_worked_out_by_hand(structure, cost, break_evens, best, worst):
    got = payoff(structure, cost)
    assert got.break_evens_usd == pytest.approx(break_evens, rel=1e-15)
    assert got.best_usd == best
    assert got.worst_usd == worst
    assert (got.max_profit_usd, got.max_loss_usd) == (best, -worst)
    for b in break_evens:
        assert float(got.at(b)) == pytest.approx(0, abs=1e-9)


def test_a_butterfly_is_the_formula_of_its_tent():
    """max(0, w - |S - K|) - debit, times 100."""
    spot = np.linspace(5900, 6100, 401)
    got = payoff(templates.butterfly("SPXW", DAY, "C", 6000, 20), 160).at(spot)
    np.testing.assert_allclose(got, 100 * (np.maximum(0, 20 - np.abs(spot - 6000)) - 1.60), atol=1e-9)


def test_a_covered_call_makes_the_capped_share_less_its_price():
    """min(S_T, K) - S + c, and not the premium alone."""
    spot = np.linspace(0, 900, 181)
    got = payoff(templates.covered_call("SPY", DAY, 603), 100 * (600 - 0.42)).at(spot)
    np.testing.assert_allclose(got, 100 * (np.minimum(spot, 603) - 600 + 0.42), atol=1e-9)


def test_premiums_in_cents_meet_exactly():
    """0.1 + 0.2 for a spread of 0.3: it breaks even from the higher strike upwards, and nowhere by rounding."""
    got = payoff(templates.vertical("SPY", DAY, "C", 100, "100.3"), 100 * 0.3)
    assert got.break_evens_usd == (100.3,)
    assert got.best_usd == 0
    assert got.winning() == []


def test_a_stretch_without_profit_or_loss_shows_both_its_ends():
    got = payoff(templates.strangle("SPY", DAY, 95, 105), 0)
    assert got.break_evens_usd == (95, 105)
    assert got.winning() == [(0, 95), (105, INF)]
    assert got.max_loss_usd == 0


def test_where_it_wins():
    assert payoff(templates.butterfly("SPXW", DAY, "C", 6000, 20), 160).winning() == [(5981.6, 6018.4)]
    assert payoff(templates.straddle("SPY", DAY, 100), 600).winning() == [(0, 94), (106, INF)]
    assert payoff(templates.single("SPY", DAY, "C", 100, side="sell"), -250).winning() == [(0, 102.5)]
    assert payoff(templates.straddle("SPY", DAY, 100), -1).winning() == [(0, INF)]


def test_without_a_cost_nothing_is_invented():
    for cost in (None, math.nan):
        got = payoff(templates.vertical("SPY", DAY, "C", 100, 105), cost)
        assert np.isnan(got.at([90, 102, 120])).all()
        assert math.isnan(got.best_usd)
        assert math.isnan(got.max_loss_usd)
        assert got.break_evens_usd == ()
        assert got.winning() == []


def test_a_spot_below_zero_is_none():
    assert math.isnan(float(payoff(templates.single("SPY", DAY, "P", 100), 250).at(-1)))


def test_several_expiries_need_a_model():
    with pytest.raises(RecordError, match=r"several expiries; allowed: one; next: .*risk_graph"):
        payoff(templates.calendar("SPY", DAY, LATER, "C", 100), 100)
    both = templates.single("SPX", DAY, "C", 6000).with_leg(templates.single("SPXW", DAY, "C", 6000, side="sell").legs[0])
    with pytest.raises(RecordError, match="several expiries"):
        payoff(both, 0)


decimals = st.integers(1, 400).map(lambda n: Decimal(n) / 2)
option_legs = st.builds(
    Leg,
    st.builds(OptionContract, st.just("SPY"), st.just(DAY), st.sampled_from("CP"), decimals),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 20),
)
share_legs = st.builds(Leg, st.none(), st.sampled_from(["buy", "sell"]), st.integers(1, 2000))
all_legs = st.lists(option_legs | share_legs, min_size=1, max_size=6, unique_by=lambda leg: leg.contract and leg.contract.occ)
costs = st.integers(-2_000_000, 2_000_000).map(lambda n: n / 100)


def by_hand(legs, spot):
    """The value of all legs at a spot, in decimals."""
    total = Decimal(0)
    for leg in legs:
        sign = 1 if leg.side == "buy" else -1
        if leg.contract is None:
            total += sign * leg.qty * spot
        else:
            above = spot - leg.contract.strike
            total += sign * leg.qty * 100 * max(above if leg.contract.right == "C" else -above, Decimal(0))
    return total


@settings(deadline=None, max_examples=300)
@given(legs=all_legs, cost=costs, spots=st.lists(st.integers(0, 100_000).map(lambda n: Decimal(n) / 100), min_size=1, max_size=20))
def test_the_line_is_the_sum_of_its_legs(legs, cost, spots):
    got = payoff(Structure("SPY", tuple(legs)), cost)
    expected = [float(by_hand(legs, s) - Decimal(str(cost))) for s in spots]
    np.testing.assert_allclose(got.at([float(s) for s in spots]), expected, rtol=1e-12, atol=1e-6)
    assert got.worst_usd <= min(expected)
    assert got.best_usd >= max(expected)
    for spot, profit in zip(spots, expected, strict=True):
        wins = any(low < float(spot) < high for low, high in got.winning())
        assert wins == (profit > 0) or spot == 0  # ranges are open


@settings(deadline=None, max_examples=200)
@given(legs=all_legs, cost=costs)
def test_what_one_side_wins_the_other_loses(legs, cost):
    one = Structure("SPY", tuple(legs))
    mine, theirs = payoff(one, cost), payoff(one.reversed(), -cost)
    np.testing.assert_array_equal(mine.profit_usd, -theirs.profit_usd)
    assert mine.best_usd == -theirs.worst_usd
    assert mine.break_evens_usd == theirs.break_evens_usd


# -- prices -------------------------------------------------------------------------------------------------------------------------

FLY = templates.butterfly("SPXW", DAY, "C", 6000, 20)


def test_mid_natural_and_theoretical_are_three_prices():
    quotes = [LegQuote(20.0, 20.4, 20.3), LegQuote(10.0, 10.2, 10.15), LegQuote(2.0, 2.2, 2.05)]
    got = prices(FLY, quotes)
    assert got.mid_usd == pytest.approx(100 * (20.2 - 2 * 10.1 + 2.1))
    assert got.natural_usd == pytest.approx(100 * (20.4 - 2 * 10.0 + 2.2))
    assert got.exit_usd == pytest.approx(100 * (20.0 - 2 * 10.2 + 2.0))
    assert got.theo_usd == pytest.approx(100 * (20.3 - 2 * 10.15 + 2.05))
    assert got.exit_usd < got.mid_usd < got.natural_usd
    assert not got.notes


def test_a_missing_leg_leaves_the_price_missing_and_says_which():
    got = prices(FLY, [LegQuote(20.0, 20.4), LegQuote(), LegQuote(2.0, 2.2)])
    assert math.isnan(got.mid_usd)
    assert math.isnan(got.natural_usd)
    assert math.isnan(got.theo_usd)
    assert got.notes == ("SPXW 16 Jan 26 6000 C: no quote",)
    only_theo = prices(FLY, [LegQuote(theo_usd=x) for x in (20.3, 10.15, 2.05)])
    assert only_theo.theo_usd == pytest.approx(205.0)
    assert math.isnan(only_theo.mid_usd), "the model never stands in for the market"


def test_a_leg_without_bid_can_be_bought_but_has_no_mid():
    got = prices(FLY, [LegQuote(20.0, 20.4), LegQuote(10.0, 10.2), LegQuote(0.0, 0.05)])
    assert math.isnan(got.mid_usd)
    assert got.natural_usd == pytest.approx(45.0)
    assert math.isnan(got.exit_usd), "nobody bids for the wing"
    assert got.notes == ("SPXW 16 Jan 26 6020 C: no bid",)


def test_a_crossed_leg_has_no_price_of_any_kind():
    got = prices(FLY, [LegQuote(20.6, 20.4), LegQuote(10.0, 10.2), LegQuote(2.0, 2.2)])
    assert math.isnan(got.mid_usd)
    assert math.isnan(got.natural_usd)
    assert got.notes == ("SPXW 16 Jan 26 5980 C: bad quote 20.6 / 20.4",)


@pytest.mark.parametrize("wing", [1.0, 45.0])
def test_a_butterfly_for_less_than_nothing_or_more_than_its_width_is_a_bad_quote(wing):
    """4.1: arbitrage, not an opportunity."""
    got = prices(FLY, [LegQuote(wing, wing + 0.2), LegQuote(10.0, 10.2), LegQuote(2.0, 2.2)])
    assert got.is_bad
    assert got.notes[0].endswith("a bad quote")
    assert math.isfinite(got.mid_usd), "shown, with what is wrong about it"


def test_a_box_costs_its_discounted_width_and_is_no_bad_quote():
    box = Structure("SPX", (*templates.vertical("SPXW", DAY, "C", 5900, 6000).legs, *templates.vertical("SPXW", DAY, "P", 6000, 5900).legs))
    quotes = [LegQuote(x - 0.1, x + 0.1) for x in (130.0, 60.0, 70.0, 41.0)]
    assert prices(box, quotes).is_bad, "99 for what brings 100"
    assert not prices(box, quotes, discount=0.985).is_bad


def test_credits_stay_within_their_width():
    condor = templates.iron_condor("SPY", DAY, 90, 95, 105, 110)
    fair = [LegQuote(x - 0.05, x + 0.05) for x in (0.5, 1.2, 1.3, 0.6)]
    assert prices(condor, fair).mid_usd == pytest.approx(-140)
    assert not prices(condor, fair).is_bad
    assert prices(condor, [LegQuote(x - 0.05, x + 0.05) for x in (0.5, 9.2, 1.3, 0.6)]).is_bad


def test_one_quote_a_leg_is_asked_for():
    with pytest.raises(RecordError, match="quotes: received 2; allowed: 3"):
        prices(FLY, [LegQuote(), LegQuote()])
