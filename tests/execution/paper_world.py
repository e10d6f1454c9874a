"""A market for paper accounts, typed in by the test: one clock, quotes and prints at given moments, any number of accounts."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

from tests.stubs import ManualClock
from workbench.clock import NS_PER_MS
from workbench.execution.base import Report
from workbench.execution.paper import PaperBroker
from workbench.execution.paper_rules import PaperRules
from workbench.execution.settlement import Ending, Settlement
from workbench.options.expiry import Delivery, terms
from workbench.options.expiry import Settlement as Moment
from workbench.orders import Leg, OrderIntent
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import Quote, Trade

D = Decimal
CALENDAR = SessionCalendar.xnys()
DAY = date(2026, 11, 19)  # a Thursday
TEN = ny_ns(DAY, 10)
CALL, HIGHER = "O:SPY261218C00650000", "O:SPY261218C00655000"
PUT, LOWER = "O:SPY261218P00650000", "O:SPY261218P00645000"
PLAIN = PaperRules(latency_min_ms=100, latency_max_ms=100, no_fill_chance=D(0), volume_share=D(1), fees=())


def ending_of(contract):
    """How a contract ends, by the table of floor 1."""
    end = terms(contract, CALENDAR)
    underlying = {"SPX": "I:SPX", "SPXW": "I:SPX"}.get(contract.root, contract.root)
    is_cash = end.style.delivery is Delivery.CASH
    return Ending(end.expiry_ns, end.last_trade_ns, underlying, is_cash, is_price_published=end.style.settlement is Moment.AM)


class World:
    """Accounts that share one stream. The first is `broker`."""

    def __init__(self, rules=PLAIN, capital="100000", start_ns=TEN, seed=7, accounts=None):
        """`accounts`: name -> (rules, capital); by default one, called paper."""
        self.clock = ManualClock(start_ns)
        each = accounts or {"paper": (rules, capital)}
        self.brokers = [
            PaperBroker(name, D(money), own, seed, CALENDAR, self.clock, ending_of=ending_of) for name, (own, money) in each.items()
        ]
        self.broker, self.n_keys = self.brokers[0], 0
        self.reports: list[Report] = []
        self.settlements: list[Settlement] = []

    @property
    def books(self):
        return self.broker.books

    def go(self, ms=100):
        """Let time pass."""
        self.at(self.clock.ns + ms * NS_PER_MS)

    def at(self, ts_ns):
        self.clock.ns = ts_ns
        for broker in self.brokers:
            broker.tick()

    def quote(self, symbol, bid, ask, bid_size=10, ask_size=10, ts_ns=None):
        number = [math.nan if price is None else float(price) for price in (bid, ask)]
        quote = Quote(symbol, ts_ns or self.clock.ns, *number, float(bid_size), float(ask_size))
        for broker in self.brokers:
            broker.on_quote(quote)

    def trade(self, symbol, price, size, conditions=(), ts_ns=None):
        trade = Trade(symbol, ts_ns or self.clock.ns, float(price), float(size), conditions=conditions)
        for broker in self.brokers:
            broker.on_trade(trade)

    def intent(self, symbol=CALL, side="buy", qty=1, limit=None, stop=None, effect="open", legs=None, tif="day", key=None, replaces=""):
        self.n_keys += 1
        legs = legs or (Leg(symbol, side, effect=effect),)
        kind = {(False, False): "market", (True, False): "limit", (False, True): "stop", (True, True): "stop_limit"}
        prices = [None if price is None else D(price) for price in (limit, stop)]
        order_type = kind[limit is not None, stop is not None]
        key = key or f"k{self.n_keys}"
        return OrderIntent(self.broker.account, key, legs, D(qty), order_type, self.clock.ns, *prices, tif, replaces=replaces)

    def send(self, *args, **kwargs):
        """Send an order; its answer."""
        intent = self.intent(*args, **kwargs)
        self.name = intent.client_order_id
        return self.broker.submit(intent)

    def order(self, *args, **kwargs):
        """Send an order and let it arrive; its id."""
        answer = self.send(*args, **kwargs)
        assert not hasattr(answer, "reason"), answer
        name = self.name
        self.go()
        return name

    def fills(self, name=None):
        """(qty, price) of each fill of an order, the newest one sent by default."""
        return [(fill.qty, fill.price) for fill in self.broker.find(name or self.name).fills]

    def end(self, name=None):
        found = self.broker.find(name or self.name)
        return found.end, found.reason

    def drain(self):
        for one in self.broker.drain():
            (self.reports if isinstance(one, Report) else self.settlements).append(one)
        return self.reports
