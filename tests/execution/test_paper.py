"""The paper broker against the rules of its page: every quote, print and expected fill is typed in and worked out by hand."""

from __future__ import annotations

import dataclasses
import math
import random
from datetime import date

import pytest

from tests.execution.contract import BrokerContract
from tests.execution.paper_world import CALL, DAY, HIGHER, LOWER, PLAIN, PUT, TEN, D, World
from workbench.clock import NS_PER_MS, NS_PER_S
from workbench.errors import OrderError, RecordError
from workbench.execution.base import Refused
from workbench.execution.paper_rules import PaperRules
from workbench.orders import Leg
from workbench.sessions import ny_ns
from workbench.types import Quote

SPREAD = (Leg(CALL, "buy"), Leg(HIGHER, "sell"))


class TestPaper(BrokerContract):
    @pytest.fixture
    def stage(self):
        return PaperStage()


class PaperStage(World):
    call, higher = CALL, HIGHER

    @property
    def now_ns(self):
        return self.clock.ns

    def quote(self, symbol, bid, ask, size=10):
        super().quote(symbol, bid, ask, size, size)

    def settle(self):
        self.go(1000)

    def news(self):
        self.reports = []
        return self.drain()


@pytest.fixture
def world():
    return World()


# -- market orders ---------------------------------------------------------------------------------------------------------------


def test_a_market_order_buys_at_the_ask_and_sells_at_the_bid(world):
    world.quote(CALL, "1.90", "2.00")
    world.order(CALL)
    assert world.fills() == [(1, D("2.00"))]
    world.order(CALL, "sell", effect="close")
    assert world.fills() == [(1, D("1.90"))]
    assert world.books.cash_usd == D("99990.00")  # 100 shares × 0.10 of spread


def test_no_more_than_the_displayed_size_fills_at_a_time(world):
    world.quote(CALL, "1.90", "2.00", ask_size=4)
    world.order(CALL, qty=10)
    assert world.fills() == [(4, D("2.00"))]
    world.go()
    assert world.fills() == [(4, D("2.00"))]  # the rest waits for the next quote
    world.quote(CALL, "1.95", "2.05", ask_size=3)
    world.quote(CALL, "1.95", "2.10", ask_size=9)
    assert world.fills() == [(4, D("2.00")), (3, D("2.05")), (3, D("2.10"))]


def test_two_orders_of_an_account_share_what_is_displayed(world):
    world.quote(CALL, "1.90", "2.00", ask_size=4)
    first, second = world.order(CALL, qty=3), world.order(CALL, qty=3)
    assert (world.fills(first), world.fills(second)) == ([(3, D("2.00"))], [(1, D("2.00"))])


def test_only_the_rules_share_of_the_displayed_size_is_taken():
    world = World(dataclasses.replace(PLAIN, display_share=D("0.5")))
    world.quote(CALL, "1.90", "2.00", ask_size=7)
    world.order(CALL, qty=10)
    assert world.fills() == [(3, D("2.00"))]  # half of 7, whole contracts


def test_parts_of_a_share_fill(world):
    world.quote("SPY", "649.99", "650.01", 100, 100)
    world.order("SPY", qty="0.5")
    assert world.fills() == [(D("0.5"), D("650.01"))]
    assert world.books.cash_usd == D("99674.995")


def test_a_part_of_a_share_fills_when_just_that_much_is_there():
    world = World(dataclasses.replace(PLAIN, display_share=D("0.5")))
    world.quote("SPY", "649.99", "650.01", 1, 1)
    world.order("SPY", qty="0.5")
    assert world.fills() == [(D("0.5"), D("650.01"))]
    world.quote("SPY", "649.99", "650.01", 1, 1)
    world.order("SPY", qty="0.6")
    assert world.fills() == []


@pytest.mark.parametrize(("bid", "ask"), [(None, "2.00"), ("1.90", None)], ids=["no bid", "no ask"])
def test_a_quote_with_one_side_fills_nothing(world, bid, ask):
    world.quote(CALL, "1.90", "2.00")
    world.send(CALL)
    world.quote(CALL, bid, ask)
    world.go()
    assert world.fills() == []
    world.quote(CALL, "1.90", "2.10")
    assert world.fills() == [(1, D("2.10"))]


def test_a_crossed_quote_fills_nothing(world):
    with pytest.raises(RecordError):
        Quote(CALL, TEN, 2.10, 2.00)
    world.quote(CALL, "1.90", "2.00")
    world.send(CALL)
    crossed = Quote(CALL, TEN, 1.90, 2.00, 10, 10)
    object.__setattr__(crossed, "bid", 2.10)  # as one that got past every guard
    world.broker.on_quote(crossed)
    world.go()
    assert world.fills() == []


def test_a_stale_quote_fills_nothing(world):
    world.quote(CALL, "1.90", "2.00")
    world.go(4901)
    world.send(CALL)
    world.go(100)  # 5,001 ms after the quote
    assert world.fills() == []
    world.quote(CALL, "1.90", "2.05")
    assert world.fills() == [(1, D("2.05"))]


def test_a_quote_as_old_as_allowed_fills(world):
    world.quote(CALL, "1.90", "2.00")
    world.go(4900)
    world.order(CALL)
    assert world.fills() == [(1, D("2.00"))]


@pytest.mark.parametrize("size", [math.nan, math.inf, -5, 0], ids=str)
def test_a_size_that_is_none_fills_nothing(world, size):
    world.quote(CALL, "1.90", "2.00", ask_size=size)
    world.order(CALL)
    assert world.fills() == []


def test_stamps_of_the_future_and_of_long_ago_are_not_heard(world):
    world.quote(CALL, "1.90", "2.00")
    for ts_ns in (1, TEN + NS_PER_S + 1, 2**62):
        world.quote(CALL, "1.00", "1.10", ts_ns=ts_ns)
        world.trade(CALL, "1.00", 1, ts_ns=ts_ns)
    world.order(CALL)
    assert world.fills() == [(1, D("2.00"))]
    world.order(CALL, limit="1.95")
    assert world.fills() == []


def test_a_quote_that_comes_late_does_not_take_the_place_of_a_newer_one(world):
    world.quote(CALL, "1.90", "2.00")
    world.quote(CALL, "1.00", "1.10", ts_ns=TEN - NS_PER_S)
    world.order(CALL)
    assert world.fills() == [(1, D("2.00"))]


# -- latency ---------------------------------------------------------------------------------------------------------------------


def test_an_order_fills_at_the_quote_of_the_moment_at_which_it_arrives(world):
    world.quote(CALL, "1.90", "2.00")
    world.send(CALL)
    world.go(99)
    assert world.fills() == []
    world.quote(CALL, "1.95", "2.05")
    world.go(1)
    assert world.fills() == [(1, D("2.05"))]


def test_what_comes_after_the_arrival_does_not_reach_back(world):
    world.quote(CALL, "1.90", "2.00")
    world.send(CALL)
    world.clock.ns += NS_PER_S
    world.quote(CALL, "1.00", "1.10")  # the first that the broker hears after the arrival: the order was filled before it
    assert world.fills() == [(1, D("2.00"))]
    assert world.broker.find(world.name).fills[0].ts_event == TEN + 100 * NS_PER_MS


def test_latencies_lie_between_the_bounds_and_differ():
    world = World(dataclasses.replace(PaperRules(), stale_after_ms=60_000))
    world.quote(CALL, "1.90", "2.00", ask_size=500)
    latencies = []
    for _ in range(60):
        begin = world.clock.ns
        world.send(CALL)
        world.go(200)
        (fill,) = world.broker.find(world.name).fills
        latencies.append((fill.ts_event - begin) / NS_PER_MS)
    assert min(latencies) >= 50
    assert max(latencies) <= 200
    assert min(latencies) < 80
    assert max(latencies) > 170


def test_a_cancellation_takes_its_time_and_may_lose_the_race(world):
    world.quote(CALL, "1.90", "2.00", bid_size=0)
    name = world.order(CALL, qty=2, limit="1.95")
    assert world.broker.cancel(name) is None
    world.go(99)
    world.trade(CALL, "1.94", 1)
    world.go(1)
    world.trade(CALL, "1.94", 1)
    assert world.fills(name) == [(1, D("1.95"))]
    assert world.end(name) == ("cancelled", "as asked")


def test_asking_twice_does_not_make_a_cancellation_later(world):
    world.quote(CALL, "1.90", "2.00")
    name = world.order(CALL, limit="1.90")
    world.broker.cancel(name)
    world.go(60)
    assert world.broker.cancel(name) is None
    world.go(40)
    assert world.end(name)[0] == "cancelled"


# -- limit orders ----------------------------------------------------------------------------------------------------------------


def test_a_marketable_limit_fills_at_the_touch_and_not_beyond_its_price(world):
    world.quote(CALL, "1.90", "2.00", ask_size=4)
    world.order(CALL, qty=10, limit="2.05")
    world.quote(CALL, "1.95", "2.05", ask_size=2)
    world.quote(CALL, "1.95", "2.06", ask_size=9)
    assert world.fills() == [(4, D("2.00")), (2, D("2.05"))]


def test_a_resting_limit_waits_behind_what_was_displayed_before_it(world):
    world.quote(CALL, "1.90", "2.00", bid_size=7)
    world.order(CALL, qty=3, limit="1.90")  # 7 ahead
    world.trade(CALL, "1.90", 5)  # 2 ahead
    assert world.fills() == []
    world.trade(CALL, "1.90", 4)  # 2 for them, 2 for us
    world.trade(CALL, "1.90", 9)
    assert world.fills() == [(2, D("1.90")), (1, D("1.90"))]


def test_only_the_rules_share_of_the_queue_is_before_us():
    world = World(dataclasses.replace(PLAIN, queue_share=D("0.5")))
    world.quote(CALL, "1.90", "2.00", bid_size=8)
    world.order(CALL, limit="1.90")
    world.trade(CALL, "1.90", 4)
    assert world.fills() == []
    world.trade(CALL, "1.90", 1)
    assert world.fills() == [(1, D("1.90"))]


def test_a_bigger_quote_later_does_not_go_before_those_who_wait(world):
    world.quote(CALL, "1.90", "2.00", bid_size=2)
    world.order(CALL, limit="1.90")
    world.quote(CALL, "1.90", "2.00", bid_size=50)
    world.trade(CALL, "1.90", 3)
    assert world.fills() == [(1, D("1.90"))]


def test_a_limit_better_than_the_market_is_first_in_its_queue(world):
    world.quote(CALL, "1.90", "2.00", bid_size=7)
    world.order(CALL, limit="1.95")
    world.trade(CALL, "1.95", 1)
    assert world.fills() == [(1, D("1.95"))]


def test_a_limit_behind_the_market_joins_the_queue_that_stands_there_when_its_price_becomes_the_best(world):
    world.quote(CALL, "1.90", "2.00", bid_size=7)
    world.order(CALL, limit="1.85")
    world.trade(CALL, "1.85", 50)  # a print elsewhere: how many were ahead is not known
    assert world.fills() == []
    world.quote(CALL, "1.85", "1.95", bid_size=4)
    world.trade(CALL, "1.85", 4)
    assert world.fills() == []
    world.trade(CALL, "1.85", 1)
    assert world.fills() == [(1, D("1.85"))]


def test_a_print_beyond_its_price_fills_a_limit_whatever_stood_before_it(world):
    world.quote(CALL, "1.90", "2.00", bid_size=700)
    world.order(CALL, qty=5, limit="1.90")
    world.trade(CALL, "1.89", 3)
    assert world.fills() == [(3, D("1.90"))]  # at its own price, and no more than was printed


def test_a_sell_limit_is_the_mirror_of_a_buy(world):
    world.quote(CALL, "1.90", "1.90")
    world.order(CALL, qty=3)
    world.quote(CALL, "1.90", "2.00", ask_size=2)
    world.order(CALL, "sell", qty=3, limit="2.00", effect="close")
    world.trade(CALL, "2.00", 2)
    world.trade(CALL, "2.00", 1)
    world.trade(CALL, "2.01", 1)
    world.quote(CALL, "2.05", "2.10", bid_size=9)  # somebody pays more: he meets our offer first, at our price
    assert world.fills() == [(1, D("2.00")), (1, D("2.00")), (1, D("2.00"))]


def test_one_print_fills_two_resting_orders_once(world):
    world.quote(CALL, "1.90", "2.00")
    first, second = world.order(CALL, qty=2, limit="1.90"), world.order(CALL, qty=2, limit="1.90")
    world.trade(CALL, "1.85", 3)
    assert (world.fills(first), world.fills(second)) == ([(2, D("1.90"))], [(1, D("1.90"))])


def test_our_share_of_the_volume_at_our_price_adds_up():
    world = World(dataclasses.replace(PLAIN, volume_share=D("0.25")))
    world.quote(CALL, "1.90", "2.00", bid_size=0)
    world.order(CALL, qty=5, limit="1.90")
    for size in (3, 1, 9):  # earned: 0.75, 1.00, then 2.25
        world.trade(CALL, "1.90", size)
    assert world.fills() == [(1, D("1.90")), (2, D("1.90"))]


def test_a_print_at_our_price_passes_us_by_as_often_as_the_rules_say():
    world = World(dataclasses.replace(PLAIN, no_fill_chance=D("0.25")), capital="10000000")
    world.quote(CALL, "1.90", "2.00", bid_size=0)
    world.order(CALL, qty=2000, limit="1.90")
    for _ in range(2000):
        world.trade(CALL, "1.90", 1)
    filled = sum(qty for qty, _ in world.fills())
    assert abs(filled - 1500) < 4 * math.sqrt(2000 * 0.25 * 0.75)  # four standard deviations


@pytest.mark.parametrize("conditions", [(2,), (37,), (9999,)], ids=["average price", "odd lot", "unknown"])
def test_prints_that_prove_nothing_do_not_fill(world, conditions):
    world.quote("SPY", "649.00", "650.00", 0, 100)
    world.order("SPY", limit="649.50")
    world.trade("SPY", "649.00", 100, conditions)
    assert world.fills() == []
    world.trade("SPY", "649.00", 100)
    assert world.fills() == [(1, D("649.50"))]


def test_a_print_from_before_the_arrival_does_not_fill(world):
    world.quote(CALL, "1.90", "2.00", bid_size=0)
    world.order(CALL, limit="1.90")
    world.trade(CALL, "1.80", 9, ts_ns=TEN + 50 * NS_PER_MS)
    assert world.fills() == []


# -- stops -----------------------------------------------------------------------------------------------------------------------


def test_a_stop_of_shares_is_reached_by_a_print_and_fills_at_the_market(world):
    world.quote("SPY", "650.00", "650.02", 100, 100)
    world.order("SPY", qty=10)
    world.order("SPY", "sell", qty=10, stop="649.50", effect="close")
    world.quote("SPY", "649.40", "649.42", 100, 100)  # quotes reach no stop of shares
    world.trade("SPY", "649.51", 100)
    assert world.fills() == []
    world.trade("SPY", "649.50", 100)
    assert world.fills() == [(10, D("649.40"))]


def test_a_stop_of_options_is_reached_by_the_price_at_which_it_would_fill(world):
    world.quote(CALL, "2.00", "2.00")
    world.order(CALL)
    world.order(CALL, "sell", stop="1.50", effect="close")
    world.trade(CALL, "1.00", 5)  # prints reach no stop of options
    world.quote(CALL, None, "1.40")  # nor does a market with one side
    world.quote(CALL, "1.51", "1.60")
    assert world.fills() == []
    world.quote(CALL, "1.50", "1.60")
    assert world.fills() == [(1, D("1.50"))]


def test_a_buy_stop_is_reached_from_below(world):
    world.quote(CALL, "1.90", "2.00")
    world.order(CALL, stop="2.20")
    world.quote(CALL, "2.10", "2.19")
    assert world.fills() == []
    world.quote(CALL, "2.20", "2.30")
    assert world.fills() == [(1, D("2.30"))]


def test_a_stop_limit_becomes_a_limit_order(world):
    world.quote("SPY", "650.00", "650.02", 100, 100)
    world.order("SPY", qty=10)
    world.order("SPY", "sell", qty=10, stop="649.50", limit="649.45", effect="close")
    world.quote("SPY", "649.40", "649.44", 100, 100)
    world.trade("SPY", "649.45", 100)
    assert world.fills() == []
    world.trade("SPY", "649.46", 4)
    assert world.fills() == [(4, D("649.45"))]


# -- time in force ---------------------------------------------------------------------------------------------------------------


def test_a_day_order_ends_at_the_bell_and_a_gtc_order_does_not(world):
    world.quote(CALL, "1.90", "2.00")
    day, gtc = world.order(CALL, limit="1.50"), world.order(CALL, limit="1.50", tif="gtc")
    world.at(ny_ns(DAY, 16) - 1)
    assert len(world.broker.working()) == 2
    world.at(ny_ns(DAY, 16))
    assert world.end(day) == ("expired", "the day is over")
    assert world.end(gtc) == (None, "")
    world.at(ny_ns(date(2026, 11, 20), 10))
    world.quote(CALL, "1.30", "1.40")
    assert world.fills(gtc) == [(1, D("1.50"))]


def test_a_half_day_ends_at_one():
    world = World(start_ns=ny_ns(date(2026, 11, 27), 12))
    world.quote(CALL, "1.90", "2.00")
    name = world.order(CALL, limit="1.50")
    world.at(ny_ns(date(2026, 11, 27), 13))
    assert world.end(name)[0] == "expired"


def test_an_ioc_order_takes_what_is_there_and_is_cancelled(world):
    world.quote(CALL, "1.90", "2.00", ask_size=4)
    world.order(CALL, qty=10, limit="2.00", tif="ioc")
    assert world.fills() == [(4, D("2.00"))]
    assert world.end() == ("cancelled", "the rest could not be filled at once")


def test_a_fok_order_takes_all_or_nothing(world):
    world.quote(CALL, "1.90", "2.00", ask_size=4)
    world.order(CALL, qty=5, limit="2.00", tif="fok")
    assert (world.fills(), world.end()) == ([], ("cancelled", "not all of it could be filled at once"))
    world.order(CALL, qty=4, limit="2.00", tif="fok")
    assert (world.fills(), world.end()) == ([(4, D("2.00"))], (None, ""))


# -- hours and contracts ---------------------------------------------------------------------------------------------------------


def refused(world, *args, **kwargs):
    answer = world.send(*args, **kwargs)
    assert isinstance(answer, Refused), answer
    assert world.broker.find(world.name) is None
    return answer.reason


def test_outside_regular_hours_options_and_market_orders_are_refused():
    world = World(start_ns=ny_ns(DAY, 8))
    world.quote(CALL, "1.90", "2.00")
    world.quote("SPY", "649.99", "650.01", 100, 100)
    opens = "regular hours begin Thursday 2026-11-19 at 09:30 New York"
    assert refused(world, CALL, limit="2.00") == f"options trade in regular hours only: the market is shut; {opens}"
    assert opens in refused(world, "SPY")
    assert opens in refused(world, "SPY", limit="650.00", tif="ioc")


def test_a_limit_order_for_shares_waits_for_the_bell():
    world = World(start_ns=ny_ns(DAY, 8))
    world.quote("SPY", "649.99", "650.01", 100, 100)
    name = world.order("SPY", limit="651.00")
    world.trade("SPY", "640.00", 100)
    world.at(ny_ns(DAY, 9, 30))
    assert world.fills(name) == []
    world.quote("SPY", "649.99", "650.01", 100, 100)
    assert world.fills(name) == [(1, D("650.01"))]


def test_a_market_order_that_arrives_after_the_bell_is_turned_away(world):
    world.at(ny_ns(DAY, 16) - 50 * NS_PER_MS)
    world.quote(CALL, "1.90", "2.00")
    world.send(CALL, tif="gtc")
    world.go()
    assert world.fills() == []
    assert world.end()[0] == "rejected"
    assert "regular hours begin Friday 2026-11-20" in world.end()[1]


def test_an_expired_contract_is_refused(world):
    gone = "O:SPY261118C00650000"
    world.quote(gone, "1.90", "2.00")
    reason = refused(world, gone, limit="2.00")
    assert reason == f"{gone} can't be traded any more: its last trade was possible until 2026-11-18 16:15 New York"


def test_an_index_option_that_settles_in_the_morning_can_not_be_traded_that_day():
    world = World(start_ns=ny_ns(date(2026, 11, 20), 10))
    assert "can't be traded any more" in refused(world, "O:SPX261120C06500000", limit="2.00")
    assert refused(world, "O:SPXW261120C06500000", limit="2000.00").startswith("buying power")


def test_an_adjusted_contract_is_refused(world):
    assert "an adjusted contract" in refused(world, "O:SPY1261218C00650000", limit="2.00")


def test_a_stop_can_not_be_immediate(world):
    assert "it can't be ioc" in refused(world, CALL, stop="2.00", tif="ioc")


def test_a_market_order_without_a_live_quote_is_refused(world):
    assert refused(world, CALL) == f"no live two-sided quote of {CALL} tells what a market order would cost"


# -- several legs ----------------------------------------------------------------------------------------------------------------


def test_legs_fill_together_at_the_natural_net_as_far_as_all_sizes_allow(world):
    world.quote(CALL, "5.00", "5.10", ask_size=9)
    world.quote(HIGHER, "3.00", "3.10", bid_size=2)
    world.order(legs=SPREAD, qty=5)
    assert world.fills() == [(2, D("5.10")), (2, D("3.00"))]
    assert world.books.cash_usd == 100_000 - 2 * 210
    world.quote(HIGHER, "3.00", "3.10", bid_size=9)  # 7 of the other are left
    assert world.fills()[2:] == [(3, D("5.10")), (3, D("3.00"))]


def test_legs_wait_until_every_quote_is_live(world):
    world.quote(CALL, "5.00", "5.10")
    world.quote(HIGHER, "3.00", None)
    world.order(legs=SPREAD, limit="2.10")
    assert world.fills() == []
    world.quote(HIGHER, "3.00", "3.10")
    assert world.fills() == [(1, D("5.10")), (1, D("3.00"))]


def test_a_net_limit_is_not_passed_and_prints_do_not_fill_legs(world):
    world.quote(CALL, "5.00", "5.10")
    world.quote(HIGHER, "3.00", "3.10")
    world.order(legs=SPREAD, limit="2.09")
    world.trade(CALL, "4.00", 9)
    world.trade(HIGHER, "9.00", 9)
    assert world.fills() == []
    world.quote(HIGHER, "3.01", "3.10")
    assert world.fills() == [(1, D("5.10")), (1, D("3.01"))]


def test_a_credit_is_a_net_limit_below_zero(world):
    legs = (Leg(PUT, "sell"), Leg(LOWER, "buy"))
    world.quote(PUT, "4.00", "4.10")
    world.quote(LOWER, "2.90", "3.00")
    world.order(legs=legs, limit="-1.01")
    assert world.fills() == []
    world.quote(PUT, "4.01", "4.10")
    assert world.fills() == [(1, D("4.01")), (1, D("3.00"))]
    assert world.books.cash_usd == 100_101


def test_a_ratio_is_kept(world):
    world.quote(CALL, "5.00", "5.10", ask_size=3)
    world.quote(HIGHER, "3.00", "3.10", ask_size=5)
    world.order(legs=(Leg(CALL, "buy"), Leg(HIGHER, "buy", 2)), qty=9)
    assert world.fills() == [(2, D("5.10")), (4, D("3.10"))]


def test_shares_and_a_call_are_bought_and_written_as_one(world):
    world.quote("SPY", "650.00", "650.10", 500, 500)
    world.quote(CALL, "5.00", "5.10")
    world.order(legs=(Leg("SPY", "buy", 100), Leg(CALL, "sell")), limit="645.10")
    assert world.fills() == [(100, D("650.10")), (1, D("5.00"))]
    assert world.books.cash_usd == 100_000 - 64_510


# -- replacing -------------------------------------------------------------------------------------------------------------------


def test_what_fills_on_the_way_makes_a_replacement_fail_rather_than_fill_twice(world):
    world.quote(CALL, "1.90", "2.00", bid_size=0)
    old = world.order(CALL, qty=3, limit="1.90")
    world.send(CALL, qty=3, limit="1.95", replaces=old)
    world.go(50)
    world.trade(CALL, "1.89", 1)
    world.go(50)
    how, reason = world.end()
    assert how == "rejected"
    assert "2 of it are open, not 3" in reason
    assert world.end(old) == (None, "")


def test_an_order_filled_on_the_way_is_not_replaced(world):
    world.quote(CALL, "1.90", "2.00", bid_size=0)
    old = world.order(CALL, limit="1.90")
    world.send(CALL, limit="1.95", replaces=old)
    world.trade(CALL, "1.89", 1)
    world.go()
    assert world.end() == ("rejected", "the order to be replaced is filled")


def test_only_an_order_that_works_for_the_same_legs_is_replaced(world):
    world.quote(CALL, "1.90", "2.00")
    world.quote(HIGHER, "1.90", "2.00")
    old = world.order(CALL, limit="1.90")
    assert "with the same legs only" in refused(world, HIGHER, limit="1.90", replaces=old)
    assert "is here to be replaced" in refused(world, CALL, limit="1.90", replaces="wb-unknown")
    world.broker.cancel(old)
    world.go()
    assert refused(world, CALL, limit="1.90", replaces=old) == "the order to be replaced is cancelled"


# -- several accounts, the same day again ------------------------------------------------------------------------------------------


def test_accounts_with_different_rules_trade_on_one_stream_without_touching_each_other():
    slow_rules = dataclasses.replace(PLAIN, latency_min_ms=900, latency_max_ms=900)
    world = World(accounts={"fast": (PLAIN, "100000"), "slow": (slow_rules, "500")})
    fast, slow = world.brokers
    world.quote(CALL, "1.90", "2.00", ask_size=2)
    for world.broker in (fast, slow):
        world.send(CALL, qty=2)
    world.go(100)
    world.quote(CALL, "1.90", "2.10", ask_size=2)
    world.go(800)
    assert (fast.books.cash_usd, slow.books.cash_usd) == (99_600, 80)
    assert fast.positions() == slow.positions() == {CALL: 2}


def scripted_day(seed):
    """A day of random quotes, prints and orders; everything that the broker told."""
    rng, world = random.Random(11), World(PaperRules(), seed=seed)
    for n in range(400):
        bid = 200 + rng.randrange(-20, 20)
        world.clock.ns += rng.randrange(1, 400) * NS_PER_MS
        world.quote(CALL, bid / 100, (bid + rng.randrange(0, 12)) / 100, rng.randrange(0, 30), rng.randrange(0, 30))
        world.trade(CALL, (bid + rng.randrange(-2, 12)) / 100, rng.randrange(1, 9))
        if n % 5 == 0:
            world.send(CALL, qty=rng.randrange(1, 9), limit=D(bid + rng.randrange(-3, 6)) / 100, key=f"n{n}")
        if n % 15 == 7:
            world.broker.cancel(world.name)
    world.at(ny_ns(DAY, 16))
    return world.drain()


def test_the_same_day_again_gives_the_same_reports():
    first = scripted_day(seed=3)
    assert first == scripted_day(seed=3)
    assert len({fill.fill_id for report in first for fill in report.fills}) > 20
    assert first != scripted_day(seed=4)


def test_an_order_for_another_account_is_refused(world):
    intent = dataclasses.replace(world.intent(CALL, limit="2.00"), account="other")
    assert world.broker.submit(intent) == Refused("this is account paper, the order is for other")


def test_a_capital_below_zero_is_no_capital():
    with pytest.raises(OrderError, match="capital_usd: received -1"):
        World(capital="-1")
