"""The end of an option position: worked out by hand, at the instant of the exchange's rules, with cash to the cent."""

from __future__ import annotations

from datetime import date

import pytest

from tests.execution.paper_world import D, World, ending_of
from workbench.errors import OrderError
from workbench.execution.settlement import Ending, settle
from workbench.orders import Leg
from workbench.sessions import ny_ns
from workbench.types import OptionContract

FRIDAY = date(2026, 11, 20)
BELL = ny_ns(FRIDAY, 16)
CALL, PUT = "O:SPY261120C00650000", "O:SPY261120P00650000"
LOW_PUT = "O:SPY261120P00645000"
INDEX, MORNING = "O:SPXW261120C06500000", "O:SPX261120C06500000"
SHARES, CASH = Ending(BELL, BELL, "SPY"), Ending(BELL, BELL, "I:SPX", is_cash=True)


@pytest.mark.parametrize(
    ("symbol", "qty", "price", "ending", "how", "cash", "shares"),
    [
        (CALL, 2, "655.25", SHARES, "exercised", -130_000, 200),
        (CALL, -2, "655.25", SHARES, "assigned", 130_000, -200),
        (PUT, 1, "640.00", SHARES, "exercised", 65_000, -100),
        (PUT, -1, "640.00", SHARES, "assigned", -65_000, 100),
        (CALL, 1, "650.01", SHARES, "exercised", -65_000, 100),  # a cent in the money is enough
        (CALL, 1, "650.009", SHARES, "expired", 0, 0),
        (CALL, -1, "650.00", SHARES, "expired", 0, 0),
        (PUT, 1, "649.99", SHARES, "exercised", 65_000, -100),
        (INDEX, 3, "6512.34", CASH, "cash_settled", "3702.00", 0),  # 3 × 100 × 12.34
        (INDEX, -3, "6512.34", CASH, "cash_settled", "-3702.00", 0),
        (INDEX, 3, "6500.00", CASH, "expired", 0, 0),
    ],
)
def test_how_a_position_ends(symbol, qty, price, ending, how, cash, shares):
    end = settle("paper", symbol, D(qty), D(price), ending)
    assert (end.how, end.cash_usd, end.shares, end.ts_event) == (how, D(cash), shares, BELL)
    assert end.changes == {symbol: -qty} | ({"SPY": shares} if shares else {})


@pytest.fixture
def world():
    return World(capital="200000", start_ns=ny_ns(FRIDAY, 15))


def test_at_the_bell_and_not_before_a_call_becomes_shares(world):
    world.quote(CALL, "5.00", "5.10")
    world.order(CALL)
    world.trade("SPY", "655.00", 100)
    world.at(BELL - 1)
    assert world.broker.positions() == {CALL: 1}
    world.at(BELL)
    assert world.broker.positions() == {"SPY": 100}
    assert world.books.cash_usd == 200_000 - 510 - 65_000
    world.drain()
    (end,) = world.settlements
    assert (end.how, end.price, end.ts_event, end.settlement_id) == ("exercised", 655, BELL, f"paper:{CALL}:{BELL}")
    world.go()
    assert world.drain() == world.reports
    assert len(world.settlements) == 1


def test_the_price_that_decides_is_the_last_regular_print_before_the_bell(world):
    world.quote(PUT, "1.00", "1.10")
    world.order(PUT)
    world.trade("SPY", "649.00", 100)
    world.trade("SPY", "600.00", 100, conditions=(2,))  # an average price
    world.clock.ns = BELL + 1
    world.trade("SPY", "700.00", 100)  # after it
    world.drain()
    (end,) = world.settlements
    assert (end.how, end.price, end.shares) == ("exercised", 649, -100)


def test_both_halves_of_a_spread_end_at_the_same_instant(world):
    world.quote(PUT, "4.00", "4.10")
    world.quote(LOW_PUT, "2.00", "2.10")
    world.order(legs=(Leg(PUT, "sell"), Leg(LOW_PUT, "buy")))
    world.trade("SPY", "640.00", 100)
    world.at(BELL)
    world.drain()
    assert sorted(end.how for end in world.settlements) == ["assigned", "exercised"]
    assert world.broker.positions() == {}
    assert world.books.cash_usd == 200_000 + 190 - 500  # the whole width is lost


def test_shares_that_an_assignment_left_short_stop_no_other_order(world):
    far = "O:SPY261218C00650000"
    for symbol in (CALL, far):
        world.quote(symbol, "5.00", "5.10")
    world.order(legs=(Leg(CALL, "sell"), Leg(far, "buy")))
    world.trade("SPY", "655.00", 100)
    world.at(BELL)
    assert world.broker.positions() == {"SPY": -100, far: 1}
    world.at(ny_ns(date(2026, 11, 23), 10))
    world.quote("SPY", "655.00", "655.10", 500, 500)
    world.quote(far, "9.00", "9.10")
    world.order(far)
    assert world.fills() == [(1, D("9.10"))]
    assert "shares are not sold short" in world.send("SPY", "sell").reason
    world.order("SPY", qty=100, effect="close")
    assert world.broker.positions() == {far: 2}


def test_a_price_that_is_not_known_is_not_guessed(world):
    world.quote(CALL, "5.00", "5.10")
    world.order(CALL)
    world.at(BELL)
    assert world.broker.waiting_for_price == {CALL: "SPY"}
    assert world.broker.positions() == {CALL: 1}
    world.broker.on_published_price(CALL, D("655.00"))
    assert world.broker.positions() == {"SPY": 100}
    with pytest.raises(OrderError, match="a contract that waits for its price"):
        world.broker.on_published_price(CALL, D("655.00"))


def test_a_print_of_the_day_before_does_not_decide():
    world = World(start_ns=ny_ns(date(2026, 11, 19), 15))
    world.quote(CALL, "5.00", "5.10")
    world.order(CALL)
    world.trade("SPY", "655.00", 100)
    world.at(BELL)
    assert world.broker.waiting_for_price == {CALL: "SPY"}


def test_an_index_option_that_settles_in_the_morning_waits_for_the_published_price():
    world = World(start_ns=ny_ns(date(2026, 11, 19), 15))
    world.quote(MORNING, "50.00", "50.00")
    world.order(MORNING)
    world.trade("I:SPX", "6600.00", 1)
    opens = ny_ns(FRIDAY, 9, 30)
    world.at(opens - 1)
    assert world.broker.waiting_for_price == {}
    world.at(opens)
    assert world.broker.waiting_for_price == {MORNING: "I:SPX"}
    world.broker.on_published_price(MORNING, D("6561.20"))
    assert world.books.cash_usd == 100_000 - 5_000 + 6_120


def test_an_order_for_a_contract_that_expires_ends_with_it(world):
    world.quote(CALL, "5.00", "5.10")
    name = world.order(CALL, limit="4.00", tif="gtc")
    world.at(BELL)
    assert world.end(name) == ("expired", f"{CALL} has expired")


def test_the_same_contract_held_on_two_accounts_ends_on_each():
    rules = World().broker.rules
    world = World(accounts={"a": (rules, "100000"), "b": (rules, "100000")}, start_ns=ny_ns(FRIDAY, 15))
    world.quote(CALL, "5.00", "5.10")
    first, second = world.brokers
    for world.broker in (first, second):
        world.order(CALL)
    world.quote(CALL, "5.00", "5.10")
    world.trade("SPY", "655.00", 100)
    world.at(BELL)
    ends = [one for broker in (first, second) for one in broker.drain() if hasattr(one, "settlement_id")]
    assert [end.settlement_id for end in ends] == [f"a:{CALL}:{BELL}", f"b:{CALL}:{BELL}"]


def test_how_contracts_end_is_what_the_options_floor_says():
    assert ending_of(OptionContract.parse(MORNING)).is_price_published
    assert not ending_of(OptionContract.parse(INDEX)).is_price_published
    assert ending_of(OptionContract.parse(CALL)) == Ending(BELL, BELL + 15 * 60 * 10**9, "SPY")
