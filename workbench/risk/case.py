"""One order before the gate: what it would do, worked out once for all rules. What can't be worked out is `Missing`. Floor 4."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cached_property

from workbench.orders import Leg, OrderIntent
from workbench.risk.book import Book, Underlying, at_risk_usd, per_unit, split, value_of
from workbench.risk.instrument import quote_of, terms_of
from workbench.risk.known import ZERO, Missing, instant, positive
from workbench.risk.limits import LimitSet
from workbench.risk.view import Session, View
from workbench.risk.worst import Holding, Worst, worst_of


class Case:
    """An intent, what may be seen, the limits (None: no set is in force) and the moment."""

    def __init__(self, intent: OrderIntent, view: View, limits: LimitSet | None, now_ns: int) -> None:
        self.intent, self.view, self.limits = intent, view, limits
        self._now_ns = now_ns
        self._quotes: dict[str, tuple[Decimal, Decimal]] = {}  # symbol -> bid, ask, once asked for
        self._worst: dict[tuple[Holding, ...], Worst] = {}  # legs -> their worst, once asked for
        self._at_risk: dict[str, Decimal] = {}  # underlying -> what it can lose with this order, once asked for

    @cached_property
    def now_ns(self) -> int:
        """The moment of the decision."""
        return instant("the time", self._now_ns)

    @cached_property
    def book(self) -> Book:
        """The book."""
        if self.view.book is None:
            raise Missing("what is held and working is not known")
        return self.view.book

    @cached_property
    def session(self) -> Session:
        """Today's regular hours."""
        if self.view.session is None:
            raise Missing("the trading session is not known")
        return self.view.session

    @cached_property
    def equity_usd(self) -> Decimal:
        """The account's equity, above 0."""
        return positive("the account's equity", self.view.account.equity_usd)

    # -- what it opens and closes -----------------------------------------------------------------------------------------------

    def signed(self, leg: Leg) -> Decimal:
        """Return what a leg adds to its symbol's position."""
        return leg.sign * leg.ratio * self.intent.qty

    @cached_property
    def holdings(self) -> tuple[Holding, ...]:
        """All legs as what they add."""
        return tuple((leg.symbol, self.signed(leg)) for leg in self.intent.legs)

    def is_within(self, leg: Leg) -> bool:
        """Whether a leg closes no more than is held, with all that works to close it already."""
        if leg.effect == "open":
            return False
        held, added = self.book.held.get(leg.symbol, ZERO), self.signed(leg)
        spared = {*self.view.alternatives, self.intent.replaces}
        orders = [order for order in self.book.working if order.client_order_id not in spared]
        before = sum((qty for order in orders for symbol, qty in order.legs if symbol == leg.symbol and qty * added > 0), ZERO)
        return held * added < 0 and abs(before + added) <= abs(held)

    @cached_property
    def is_closing(self) -> bool:
        """Whether it only closes what is held and leaves each underlying no worse. Not known is no: it is then judged as opening."""
        try:
            if not all(self.is_within(leg) for leg in self.intent.legs):
                return False
            return all(self._is_no_worse(name, legs) for name, legs in split(self.holdings).items())
        except Missing:
            return False

    def _is_no_worse(self, name: str, legs: tuple[Holding, ...]) -> bool:
        held = self.book.underlyings[name].positions
        return worst_of((*held, *legs)).is_no_worse_than(worst_of(held))

    @cached_property
    def opening_legs(self) -> tuple[Leg, ...]:
        """The legs that open, or close more than is held; all of them when the order closes, and leaves the rest worse."""
        legs = tuple(leg for leg in self.intent.legs if not self.is_within(leg))
        return legs or self.intent.legs

    @cached_property
    def underlyings(self) -> frozenset[str]:
        """What the legs are written on."""
        return frozenset(terms_of(leg.symbol).underlying for leg in self.intent.legs)

    # -- what it costs ------------------------------------------------------------------------------------------------------------

    def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Return bid and ask of a leg's symbol."""
        if symbol not in self._quotes:
            self._quotes[symbol] = quote_of(symbol, self.view.instruments.get(symbol))
        return self._quotes[symbol]

    def natural(self, leg: Leg) -> Decimal:
        """Return the price at which a leg trades at once [USD a share]: the offer for a purchase, the bid for a sale."""
        bid, ask = self.quote(leg.symbol)
        return ask if leg.side == "buy" else bid

    def mid(self, leg: Leg) -> Decimal:
        """Return the middle of a leg's quote."""
        bid, ask = self.quote(leg.symbol)
        return (bid + ask) / 2

    @cached_property
    def unit(self) -> int:
        """Shares in one unit of the order's price: 100 with an option among the legs."""
        return max(terms_of(leg.symbol).multiplier for leg in self.intent.legs)

    def _net(self, price: Callable[[Leg], Decimal]) -> Decimal:
        parts = (self.signed(leg) * terms_of(leg.symbol).multiplier * price(leg) for leg in self.intent.legs)
        return sum(parts, ZERO) / self.unit / self.intent.qty

    @cached_property
    def mid_net(self) -> Decimal:
        """The middle of the whole, a share: above 0 paid, below received."""
        return self._net(self.mid)

    @cached_property
    def natural_net(self) -> Decimal:
        """What is paid a share when all legs trade at once."""
        return self._net(self.natural)

    def paid(self, price: Decimal) -> Decimal:
        """Return a price of the order as what is paid a share: of one leg that sells it is received."""
        is_net = len(self.intent.legs) > 1 or self.intent.legs[0].side == "buy"
        return price if is_net else -price

    @cached_property
    def entry(self) -> Decimal:
        """The most that is paid a share: the limit, or what the market asks, or the stop where that is worse."""
        intent = self.intent
        if intent.limit_price is not None:
            return self.paid(intent.limit_price)
        if intent.stop_price is not None:
            return max(self.paid(intent.stop_price), self.natural_net)
        return self.natural_net

    @cached_property
    def cost_usd(self) -> Decimal:
        """The most that the opening legs cost, below 0 when they bring something."""
        if self.opening_legs == self.intent.legs:
            return self.entry * self.unit * self.intent.qty
        return sum((self.signed(leg) * terms_of(leg.symbol).multiplier * self.natural(leg) for leg in self.opening_legs), ZERO)

    @cached_property
    def gross_usd(self) -> Decimal:
        """The value of the opening legs, each counted whole, whichever way it goes."""
        if len(self.intent.legs) == 1:
            return abs(self.cost_usd)
        sizes = (abs(self.signed(leg)) * terms_of(leg.symbol).multiplier * self.natural(leg) for leg in self.opening_legs)
        return sum(sizes, ZERO)

    # -- what it can lose --------------------------------------------------------------------------------------------------------

    def worst(self, legs: tuple[Holding, ...]) -> Worst:
        """Return the worst of legs by themselves."""
        if legs not in self._worst:
            self._worst[legs] = worst_of(legs)
        return self._worst[legs]

    @cached_property
    def loss_usd(self) -> Decimal:
        """The most that the opening legs can lose, 0 or more. Missing where there is no most.

        By themselves; where that has no bottom, with what is held: a call against shares costs what it takes from them.
        """
        least = ZERO
        for name, legs in split((leg.symbol, self.signed(leg)) for leg in self.opening_legs).items():
            alone = self.worst(legs)
            least += alone.value_usd if alone.has_bottom else self._least_with_held(name, legs)
        return max(self.cost_usd - least, ZERO)

    def _least_with_held(self, name: str, legs: tuple[Holding, ...]) -> Decimal:
        one = self.book.underlyings.get(name, Underlying())
        bare = [leg for order in one.orders if not worst_of(order).has_bottom for leg in order]
        closing = [leg for leg in self.holdings if leg not in legs]  # an order fills whole: what it closes is free again
        base = [*one.positions, *bare, *split(closing).get(name, ())]
        before, after = worst_of(base), worst_of([*base, *legs])
        if not after.has_bottom:
            raise Missing(f"the loss has no bottom: nothing covers {after.uncovered_shares} shares of {name}")
        return after.value_usd - before.value_usd

    def at_risk_usd(self, name: str) -> Decimal:
        """Return what an underlying can lose with this order filled and everything that works; Missing where there is no most."""
        if name not in self._at_risk:
            self._at_risk[name] = self._at_risk_usd(name)
        return self._at_risk[name]

    def _at_risk_usd(self, name: str) -> Decimal:
        one, legs = self.book.underlyings.get(name, Underlying()), split(self.holdings)[name]
        alone = self.worst(legs)
        if alone.has_bottom:
            return self.book.risk_of(name) + max(value_of(legs, self.view.instruments) - alone.value_usd, ZERO)
        usd = at_risk_usd(Underlying(one.positions, (*one.orders, legs)), self.view.instruments)
        if usd is None:
            raise Missing(f"the loss on {name} has no bottom")
        return usd

    def book_with(self, name: str) -> Decimal:
        """Return the largest size that a sum of the book can have with this order: a greek, or the dollar delta."""
        part = per_unit(name, self.view.instruments)
        return self.book.spans[name].worst_with(sum((part(holding) for holding in self.holdings), ZERO))
