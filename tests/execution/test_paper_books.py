"""Whatever happens on a paper account, its books are the sum of what it told, and what it told fits together.

SOAK=1 .venv/bin/python .ci/test.py tests/execution/test_paper_books.py -m soak -s
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.execution.contract import order_of
from tests.execution.paper_world import CALENDAR, D, World, ending_of
from tests.scorecard import count
from workbench.clock import NS_PER_MS, NS_PER_S
from workbench.execution.base import Accepted
from workbench.execution.order import Checked
from workbench.execution.paper import PaperBroker
from workbench.execution.paper_power import need_of
from workbench.execution.paper_rules import PaperRules
from workbench.execution.sender import Sender
from workbench.execution.words import body_of, kind_of, orders_of, subject_of
from workbench.orders import Leg, OrderIntent
from workbench.sessions import ny_ns
from workbench.types import Quote

FRIDAY = date(2026, 11, 20)
CONTRACTS = ("O:SPY261120C00650000", "O:SPY261120C00655000", "O:SPY261120P00650000", "O:SPY261218P00645000")
SYMBOLS = ("SPY", *CONTRACTS)

cents = st.integers(1, 1200)
sizes = st.integers(0, 12)
symbols = st.sampled_from(SYMBOLS)
sides = st.sampled_from(["buy", "sell"])
effects = st.sampled_from(["open", "close"])
STEPS = st.one_of(
    st.tuples(st.just("quote"), symbols, cents, st.integers(0, 60), sizes, sizes),
    st.tuples(st.just("quote"), symbols, cents, st.integers(0, 60), sizes, sizes),
    st.tuples(st.just("trade"), symbols, cents, st.integers(1, 12)),
    st.tuples(st.just("go"), st.sampled_from([1, 60, 150, 150, 400, 4_000, 3_600_000])),
    st.tuples(st.just("send"), symbols, sides, effects, st.integers(1, 8), st.none() | cents, st.none() | cents, st.integers(0, 3)),
    st.tuples(st.just("send"), symbols, sides, effects, st.integers(1, 8), st.none() | cents, st.none(), st.integers(0, 3)),
    st.tuples(st.just("legs"), st.permutations(SYMBOLS), st.lists(sides, min_size=2, max_size=4), st.integers(1, 4), st.none() | cents),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("replace"), st.integers(0, 20), st.integers(1, 8), cents),
)


class Day:
    """One account, everything it accepted, and everything it told."""

    def __init__(self, seed):
        rules = PaperRules(volume_share=D(1), stale_after_ms=600_000)
        self.world = World(rules, capital="150000", start_ns=ny_ns(FRIDAY, 14), seed=seed)
        self.accepted = []
        for symbol in SYMBOLS:  # a market that is there from the beginning
            self.do_quote(symbol, 400, 10, 9, 9)

    def price(self, symbol, n_cents):
        """A few dollars for options; shares around the strikes."""
        tick = 5 if n_cents > 300 else 1
        return f"{(n_cents + 64_500) / 100:.2f}" if symbol == "SPY" else f"{n_cents // tick * tick / 100:.2f}"

    def do(self, step):
        getattr(self, f"do_{step[0]}")(*step[1:])
        self.world.drain()

    def do_quote(self, symbol, bid, spread, bid_size, ask_size):
        one_hundred = 100 if symbol == "SPY" else 1
        bid, ask = self.price(symbol, bid), self.price(symbol, bid + spread)
        self.world.quote(symbol, bid, ask, bid_size * one_hundred, ask_size * one_hundred)

    def do_trade(self, symbol, n_cents, size):
        self.world.trade(symbol, self.price(symbol, n_cents), size)

    def do_go(self, ms):
        self.world.go(ms)

    def submit(self, **wish):
        intent = self.world.intent(**wish)
        if isinstance(self.world.broker.submit(intent), Accepted):
            self.accepted.append(intent)

    def do_send(self, symbol, side, effect, qty, limit, stop, tif):
        tif = ("day", "gtc", "ioc", "fok")[tif]
        prices = {"limit": limit and self.price(symbol, limit), "stop": stop and self.price(symbol, stop)}
        self.submit(symbol=symbol, side=side, effect=effect, qty=qty * (25 if symbol == "SPY" else 1), tif=tif, **prices)

    def do_legs(self, order, leg_sides, qty, limit):
        legs = tuple(Leg(symbol, side, 100 if symbol == "SPY" else 1) for symbol, side in zip(order, leg_sides, strict=False))
        self.submit(legs=legs, qty=qty, limit=None if limit is None else D(limit - 600) / 100)

    def do_cancel(self, n):
        if self.accepted:
            self.world.broker.cancel(self.accepted[n % len(self.accepted)].client_order_id)

    def do_replace(self, n, qty, limit):
        if self.accepted:
            old = self.accepted[n % len(self.accepted)]
            price = D(limit - 600) / 100 if len(old.legs) > 1 else self.price(old.legs[0].symbol, limit)
            self.submit(legs=old.legs, qty=qty, limit=price, replaces=old.client_order_id)

    # -- what has to hold --------------------------------------------------------------------------------------------------------

    def check_books(self):
        fills = [fill for report in self.world.reports for fill in report.fills]
        assert len({fill.fill_id for fill in fills}) == len(fills)
        ends, books = self.world.settlements, self.world.books
        brought = sum((fill.cash_usd for fill in fills), D(0)) + sum((end.cash_usd for end in ends), D(0))
        assert brought == books.cash_usd - books.capital_usd
        assert books.fees_usd == sum((fill.fees_usd for fill in fills), D(0))
        held = Counter()
        for fill in fills:
            held[fill.symbol] += fill.qty if fill.side == "buy" else -fill.qty
        for end in ends:
            held.update(end.changes)
        assert {symbol: qty for symbol, qty in held.items() if qty} == self.world.broker.positions()

    def check_cover(self):
        if self.world.clock.ns < ny_ns(FRIDAY, 16):  # an assignment may leave what nobody would have sold
            assert need_of(self.world.broker.positions(), lambda contract: contract.root).bare == {}

    def check_orders(self):
        working = {report.client_order_id for report in self.world.broker.working()}
        for intent in self.accepted:
            told, found = order_of(intent, self.world.reports), self.world.broker.find(intent.client_order_id)
            asked = order_of(intent, [found])
            assert told.anomalies == asked.anomalies == ()
            assert told.fills == asked.fills
            assert told.is_over == asked.is_over == (intent.client_order_id not in working)

    def restarted(self):
        """The account made again from its journal."""
        world = self.world
        orders = [order_of(intent, [world.broker.find(intent.client_order_id)]) for intent in self.accepted]
        return PaperBroker(
            "paper", world.books.capital_usd, world.broker.rules, 7, CALENDAR, world.clock,
            ending_of=ending_of, orders=orders, settlements=world.settlements,
        )  # fmt: skip


@pytest.mark.soak("paper-books")
@settings(max_examples=count("paper-books"), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=10, max_size=60), seed=st.integers(0, 9))
def test_books_are_the_sum_of_what_was_told_after_every_event(cases, steps, seed):
    cases.n += 1
    day = Day(seed)
    for step in steps:
        day.do(step)
        day.check_books()
        day.check_cover()
    day.check_orders()
    again = day.restarted()
    assert (again.books.cash_usd, again.books.fees_usd) == (day.world.books.cash_usd, day.world.books.fees_usd)
    assert again.positions() == day.world.broker.positions()
    assert {report.client_order_id for report in again.working()} == {report.client_order_id for report in day.world.broker.working()}
    day.do(("go", 24 * 3600 * 1000))  # past the expiry
    day.check_books()


def test_the_histories_reach_what_they_are_meant_to_test():
    """Fills of one leg and of several, every end, and every way in which a contract ends, come up in the random days."""
    seen = Counter()

    @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(steps=st.lists(STEPS, min_size=40, max_size=60))
    def look(steps):
        day = Day(1)
        for step in steps:
            day.do(step)
        day.do(("trade", "SPY", 700, 5))
        day.do(("go", 24 * 3600 * 1000))
        seen.update(end.how for end in day.world.settlements)
        seen.update(report.end for report in day.world.reports if report.end)
        seen.update("several legs" if len(report.fills) > 1 else "one leg" for report in day.world.reports if report.fills)

    look()
    assert {"cancelled", "replaced", "rejected", "expired", "exercised", "assigned", "one leg", "several legs"} <= set(seen)


def test_an_account_made_again_goes_on_where_it_was():
    day = Day(1)
    day.do(("quote", CONTRACTS[0], 200, 10, 9, 3))
    day.do(("send", CONTRACTS[0], "buy", "open", 5, 210, None, 1))
    day.do(("go", 200))
    again = day.restarted()
    (report,) = again.working()
    assert sum(fill.qty for fill in report.fills) == 3
    day.world.brokers = [again]
    day.world.go(0)
    day.do_quote(CONTRACTS[0], 200, 10, 9, 9)
    assert again.positions() == {CONTRACTS[0]: 5}
    assert [fill.qty for report in again.drain() for fill in report.fills] == [2]  # what was told before is not told again
    assert len({fill.fill_id for fill in again.find(report.client_order_id).fills}) == 2


def test_an_order_that_took_another_s_place_keeps_it_over_a_restart():
    day = Day(1)
    day.do(("send", CONTRACTS[3], "buy", "open", 1, 100, None, 1))
    day.do(("go", 200))
    day.do_replace(0, 1, 210)
    for _ in range(2):  # before it arrived, and after
        again = day.restarted()
        day.world.clock.ns += NS_PER_S
        again.tick()
        assert [report.client_order_id for report in again.working()] == [day.accepted[1].client_order_id]
        day.do(("go", 0))
        day.world.clock.ns += NS_PER_S


def test_an_order_whose_day_is_over_does_not_wake_up_on_another():
    day = Day(1)
    day.do(("send", CONTRACTS[3], "buy", "open", 1, 100, None, 0))
    day.do(("go", 200))
    day.world.clock.ns = ny_ns(date(2026, 11, 23), 10)
    again = day.restarted()
    again.tick()
    assert again.find(day.accepted[0].client_order_id).end == "expired"


def test_a_cancellation_asked_for_before_the_restart_happens_after_it():
    day = Day(1)
    day.do(("send", CONTRACTS[3], "buy", "open", 1, 100, None, 1))
    day.do(("go", 200))
    (intent,) = day.accepted
    order = order_of(intent, [day.world.broker.find(intent.client_order_id)])
    world = day.world
    asked = type(order)(**{name: getattr(order, name) for name in order.__slots__} | {"cancel_asked": True})
    again = PaperBroker("paper", D(1000), world.broker.rules, 7, CALENDAR, world.clock, ending_of=ending_of, orders=[asked])
    world.clock.ns += NS_PER_S
    again.tick()
    assert again.find(intent.client_order_id).end == "cancelled"


class Desk:
    """A sender and a paper broker on one journal in memory; both can be lost and made again from it."""

    def __init__(self):
        self.events, self.clock = [], World(start_ns=ny_ns(FRIDAY, 14)).clock
        self.start()

    def write(self, name, said):
        self.events += [(kind_of(one), subject_of(name), body_of(one)) for one in said]

    def start(self):
        orders = list(orders_of(self.events).values())
        self.broker = PaperBroker("paper", D(150_000), PaperRules(), 7, CALENDAR, self.clock, ending_of=ending_of, orders=orders)
        self.sender = Sender(self.broker, self.write, self.clock, orders)

    def hear(self):
        for report in self.broker.drain():
            self.sender.on_report(report)
        self.sender.look()


def test_sender_and_paper_account_agree_on_random_days_with_restarts_in_between():
    for seed in range(10):
        rng, desk = random.Random(seed), Desk()
        for n in range(150):
            desk.clock.ns += rng.randrange(1, 500) * NS_PER_MS
            bid = 400 + rng.randrange(-6, 6) * 5
            desk.broker.on_quote(Quote(CONTRACTS[3], desk.clock.ns, bid / 100, (bid + 5) / 100, rng.randrange(6), rng.randrange(6)))
            if n % 4 == 0:
                limit, leg = D(bid + rng.randrange(-2, 3) * 5) / 100, Leg(CONTRACTS[3], "buy")
                intent = OrderIntent("paper", f"k{n}", (leg,), D(rng.randrange(1, 6)), "limit", desk.clock.ns, limit)
                name = desk.sender.submit(intent, Checked(desk.clock.ns, is_allowed=True)).client_order_id
            if n % 7 == 0:
                desk.sender.cancel(name)
            desk.hear()
            if rng.random() < 0.05:
                desk.start()
        desk.clock.ns = ny_ns(FRIDAY, 16)
        desk.broker.tick()
        desk.hear()
        orders = desk.sender.orders
        assert len(orders) == 38
        assert all(order.is_over and not order.anomalies for order in orders.values()), f"seed {seed}"
        held = sum(order.filled_qty(CONTRACTS[3]) for order in orders.values())
        assert held > 0
        assert desk.broker.positions() == {CONTRACTS[3]: held}, f"seed {seed}"
        assert desk.broker.books.cash_usd == 150_000 + sum(order.cash_usd for order in orders.values()), f"seed {seed}"
        assert orders_of(desk.events) == orders, f"seed {seed}"
