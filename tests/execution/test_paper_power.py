"""Buying power of a paper account: what is refused, with which numbers, and that nobody is kept from getting out."""

from __future__ import annotations

import dataclasses

import pytest

from tests.execution.paper_world import CALL, HIGHER, LOWER, PLAIN, PUT, D, World
from workbench.execution.base import Accepted, Refused
from workbench.execution.paper_power import need_of
from workbench.execution.paper_rules import FEES
from workbench.orders import Leg

FAR = "O:SPY270115C00650000"


def need(**positions):
    """Need of positions named by the letters of this file."""
    names = {"call": CALL, "higher": HIGHER, "put": PUT, "lower": LOWER, "far": FAR, "spy": "SPY"}
    found = need_of({names[name]: D(qty) for name, qty in positions.items()}, lambda contract: contract.root)
    return found.usd, found.bare


@pytest.mark.parametrize(
    ("positions", "usd", "bare"),
    [
        ({"call": 5, "put": 5, "spy": 100}, 0, {}),
        ({"put": -2}, 130_000, {}),  # 2 × 100 × 650
        ({"put": -2, "lower": 2}, 1_000, {}),  # 2 × 100 × (650 - 645)
        ({"put": -2, "lower": 1}, 65_500, {}),
        ({"put": 2, "lower": -2}, 0, {}),  # the long put is the better one
        ({"call": -1}, 0, {CALL: 1}),
        ({"call": -2, "spy": 199}, 0, {CALL: 1}),
        ({"call": -2, "spy": 200}, 0, {}),
        ({"call": -1, "higher": -1, "spy": 100}, 0, {HIGHER: 1}),  # the same shares cover once
        ({"call": -1, "higher": 1}, 500, {}),
        ({"call": 1, "higher": -1}, 0, {}),
        ({"call": -1, "far": 1}, 0, {}),  # a calendar spread
        ({"far": -1, "call": 1}, 0, {FAR: 1}),  # the long one ends first
        ({"call": -1, "higher": 1, "put": -1, "lower": 1}, 1_000, {}),  # an iron condor: both widths
        ({"spy": -100}, 0, {"SPY": 100}),
    ],
)
def test_what_positions_need(positions, usd, bare):
    assert need(**positions) == (usd, bare)


def reason(answer):
    assert isinstance(answer, Refused), answer
    return answer.reason


def quoted(capital, rules=PLAIN):
    world = World(rules, capital=capital)
    for symbol, bid, ask in ((CALL, "5.00", "5.10"), (HIGHER, "3.00", "3.10"), (PUT, "5.00", "5.10"), (LOWER, "3.00", "3.10")):
        world.quote(symbol, bid, ask, 100, 100)
    world.quote("SPY", "649.99", "650.01", 5000, 5000)
    return world


def test_a_buy_needs_its_price_in_cash_to_the_cent():
    assert isinstance(quoted("510.00").send(CALL, limit="5.10"), Accepted)
    assert reason(quoted("509.99").send(CALL, limit="5.10")) == (
        "buying power: 510.00 USD needed (510.00 USD to pay, 0.00 USD to secure), 509.99 USD free "
        "(cash 509.99 USD, 0.00 USD secures positions and orders, 0.00 USD kept for working orders)"
    )


def test_fees_are_part_of_the_price():
    rules = dataclasses.replace(PLAIN, fees=FEES)  # 0.65 + 0.015 + 0.025 + 0.0003, up to the cent: 0.70
    assert isinstance(quoted("510.70", rules).send(CALL, limit="5.10"), Accepted)
    assert "510.70 USD needed" in reason(quoted("510.69", rules).send(CALL, limit="5.10"))


def test_a_market_buy_needs_a_cushion_above_the_ask():
    assert isinstance(quoted("535.50").send(CALL), Accepted)  # 510 × 1.05
    assert "535.50 USD needed" in reason(quoted("535.49").send(CALL))


def test_a_stop_buy_needs_a_cushion_above_its_stop():
    assert isinstance(quoted("630.00").send(CALL, stop="6.00"), Accepted)  # 600 × 1.05
    assert "630.00 USD needed" in reason(quoted("629.99").send(CALL, stop="6.00"))


def test_working_orders_keep_their_money_until_they_are_over():
    world = quoted("1000")
    first = world.order(CALL, limit="4.90")
    answer = world.send(HIGHER, qty=2, limit="3.00")
    assert "600.00 USD needed" in reason(answer)
    assert "510.00 USD free (cash 1,000.00 USD, 0.00 USD secures positions and orders, 490.00 USD kept for working orders)" in reason(
        answer
    )
    world.broker.cancel(first)
    world.go()
    assert isinstance(world.send(HIGHER, qty=2, limit="3.00"), Accepted)


def test_what_is_filled_of_an_order_is_not_kept_again():
    world = quoted("3000")
    world.quote(CALL, "1.90", "2.00", 10, 4)
    world.order(CALL, qty=10, limit="2.00")  # 4 are filled for 800
    assert "1,000.00 USD free (cash 2,200.00 USD, 0.00 USD secures positions and orders, 1,200.00 USD kept" in reason(
        world.send(HIGHER, qty=9, limit="3.00")
    )


def test_price_and_security_are_needed_together():
    legs = (Leg(CALL, "buy"), Leg(LOWER, "sell"))
    assert isinstance(quoted("64710").send(legs=legs, limit="2.10"), Accepted)
    assert "64,710.00 USD needed (210.00 USD to pay, 64,500.00 USD to secure)" in reason(quoted("64709").send(legs=legs, limit="2.10"))


def test_a_replacement_needs_the_difference_only():
    world = quoted("500")
    first = world.order(CALL, limit="4.90")
    assert isinstance(world.send(CALL, limit="5.00", replaces=first), Accepted)


def test_a_short_put_is_secured_by_its_strike():
    assert isinstance(quoted("65000").send(PUT, "sell", limit="5.00"), Accepted)
    assert "65,000.00 USD needed (0.00 USD to pay, 65,000.00 USD to secure), 64,999.00 USD free" in reason(
        quoted("64999").send(PUT, "sell", limit="5.00")
    )


def test_a_credit_spread_is_secured_by_its_width_before_its_credit():
    legs = (Leg(PUT, "sell"), Leg(LOWER, "buy"))
    assert isinstance(quoted("500").send(legs=legs, limit="-1.90"), Accepted)
    assert "500.00 USD to secure" in reason(quoted("499").send(legs=legs, limit="-1.90"))


def test_a_debit_spread_needs_its_debit():
    legs = (Leg(CALL, "buy"), Leg(HIGHER, "sell"))
    assert isinstance(quoted("210").send(legs=legs, limit="2.10"), Accepted)
    assert "210.00 USD needed" in reason(quoted("209").send(legs=legs, limit="2.10"))


def test_a_short_call_needs_shares_that_nothing_else_needs():
    world = quoted("200000")
    assert reason(world.send(CALL, "sell", limit="5.00")) == (
        f"{CALL}: a short call needs 100 shares of SPY or a long call that covers it: 1 would have neither, 0 shares held"
    )
    world.order("SPY", qty=100)
    name = world.order(CALL, "sell", limit="5.20")
    assert "1 would have neither, 100 shares held" in reason(world.send(HIGHER, "sell", limit="3.20"))
    assert "a short call needs" in reason(world.send("SPY", "sell", qty=1, effect="close"))  # the shares are the cover
    world.broker.cancel(name)
    world.go()
    assert isinstance(world.send("SPY", "sell", qty=1, effect="close"), Accepted)


def test_shares_are_not_sold_short():
    world = quoted("100000")
    assert reason(world.send("SPY", "sell", qty=5)) == (
        "SPY: shares are not sold short on a paper account: with this order 5 more would be sold than the 0 held"
    )


def test_more_than_is_held_and_free_can_not_be_closed():
    world = quoted("100000")
    world.order(CALL, qty=2)
    assert (
        reason(world.send(CALL, "sell", qty=3, limit="9.00", effect="close"))
        == f"{CALL}: 3 to close, 2 held long, 0 of them in working orders"
    )
    world.order(CALL, "sell", limit="9.00", effect="close")
    assert (
        reason(world.send(CALL, "sell", qty=2, limit="9.00", effect="close"))
        == f"{CALL}: 2 to close, 2 held long, 1 of them in working orders"
    )
    assert "1 to close, 0 held short" in reason(world.send(CALL, "buy", limit="1.00", effect="close"))


def test_the_long_half_of_a_spread_is_not_sold_from_under_the_short_one():
    world = quoted("1000")
    world.order(legs=(Leg(CALL, "buy"), Leg(HIGHER, "sell")))
    assert "a short call needs" in reason(world.send(CALL, "sell", effect="close"))
    assert isinstance(world.send(legs=(Leg(CALL, "sell", effect="close"), Leg(HIGHER, "buy", effect="close"))), Accepted)


def test_nobody_is_kept_from_getting_out_whatever_the_cash_says():
    world = quoted("65000")
    world.order(PUT, "sell")
    world.order(CALL, qty=1, limit="4.90")  # 490 of the 500 that came in
    world.quote(PUT, "60.00", "60.10", 10, 10)
    world.order(PUT, "buy", effect="close")
    assert world.fills() == [(1, D("60.10"))]
    assert PUT not in world.broker.positions()


def test_the_long_put_of_a_spread_is_not_sold_when_the_short_one_could_not_be_secured():
    world = quoted("700")
    world.order(legs=(Leg(PUT, "sell"), Leg(LOWER, "buy")))
    assert "64,500.00 USD to secure" in reason(world.send(LOWER, "sell", effect="close"))  # 65,000 instead of 500
    rich = quoted("66000")
    rich.order(legs=(Leg(PUT, "sell"), Leg(LOWER, "buy")))
    assert isinstance(rich.send(LOWER, "sell", effect="close"), Accepted)


def test_what_another_order_may_buy_covers_nothing_yet():
    world = quoted("200000")
    world.order(legs=(Leg("SPY", "buy", 100), Leg(CALL, "sell")), limit="600.00")  # works
    assert "a short call needs" in reason(world.send(HIGHER, "sell", limit="9.00"))
    assert "shares are not sold short" in reason(world.send(legs=(Leg("SPY", "sell", 100), Leg(HIGHER, "buy")), limit="-646.00"))


def test_a_call_that_may_be_bought_back_still_needs_its_shares():
    world = quoted("200000")
    world.order("SPY", qty=100)
    world.order(CALL, "sell")
    world.order(CALL, "buy", limit="1.00", effect="close")
    assert "a short call needs" in reason(world.send("SPY", "sell", qty=100, effect="close"))


def test_a_put_that_may_be_bought_back_still_needs_its_cash():
    world = quoted("65700")
    world.order(PUT, "sell")
    world.order(PUT, "buy", limit="1.00", effect="close")
    assert "to secure" in reason(world.send(LOWER, "sell", limit="3.00"))


def test_a_spread_that_works_leaves_shares_free_and_keeps_its_width():
    world = quoted("70000")
    world.order("SPY", qty=100)
    world.order(legs=(Leg(CALL, "sell"), Leg(HIGHER, "buy")), limit="-4.90")
    assert isinstance(world.send("SPY", "sell", qty=100, limit="700.00", effect="close"), Accepted)
    assert ", 500.00 USD secures positions and orders" in reason(world.send(PUT, "sell", limit="5.00"))


def test_a_structure_may_be_paid_from_the_cash_that_it_frees():
    world = quoted("65000")
    third = "O:SPY261218P00640000"
    world.quote(third, "1.00", "1.10", 100, 100)
    world.order(PUT, "sell")  # 500 come in
    world.order(CALL, limit="4.90")  # 10 are left
    assert "200.00 USD needed" in reason(world.send(CALL, limit="2.00"))
    legs = (Leg(LOWER, "buy", 2), Leg(third, "sell"))
    assert isinstance(world.send(legs=legs, limit="5.20"), Accepted)  # one of the two covers the put but for 500


def test_a_covered_call_is_bought_back_whatever_the_cash_says():
    world = quoted("65100")
    world.quote("SPY", "649.99", "650.00", 5000, 5000)
    world.order("SPY", qty=100, limit="650.00")
    world.order(CALL, "sell")
    world.quote(CALL, "9.00", "9.10", 10, 10)
    assert "910.00 USD needed" in reason(world.send(CALL, limit="9.10"))
    assert isinstance(world.send(CALL, limit="9.10", effect="close"), Accepted)


def test_a_long_put_that_may_be_sold_asks_for_no_security():
    world = quoted("1000")
    world.order(PUT)
    world.order(PUT, "sell", limit="9.00", effect="close")
    assert isinstance(world.send(HIGHER, limit="3.00"), Accepted)


def test_shares_that_a_structure_may_sell_are_not_sold_again():
    world = quoted("200000")
    world.order("SPY", qty=100)
    world.order(legs=(Leg("SPY", "sell", 100), Leg(CALL, "buy")), limit="-646.00")
    assert "shares are not sold short" in reason(world.send("SPY", "sell", qty=1))
