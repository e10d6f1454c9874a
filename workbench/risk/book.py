"""The book as the gate counts it: what is held, what works or may work at the broker, and what both add up to at worst.

In: positions, working orders, what is known of their symbols. Out: `Book`, made once each time one of them changes, so that a decision
costs the same however large the book is. An order whose fate is unknown, and one decided but not yet sent, is a working order. Floor 4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from workbench.errors import OrderError
from workbench.orders import exact
from workbench.risk.instrument import GREEKS, Instrument, dollar_delta_of, greek_of, mid_of, terms_of
from workbench.risk.known import ZERO, Missing
from workbench.risk.worst import Holding, worst_of

DOLLAR_DELTA = "dollar_delta"


@dataclass(frozen=True, slots=True)
class Position:
    """What is held of one symbol: `qty` below 0 is sold short. `name`: of the structure it belongs to, "" when it stands alone."""

    symbol: str
    qty: Decimal
    name: str = ""

    def __post_init__(self) -> None:
        exact("Position.qty", self.qty)


@dataclass(frozen=True, slots=True)
class Working:
    """An order that may still fill: `legs` with what is open of each, below 0 for sales. `is_unknown`: no answer says it arrived."""

    client_order_id: str
    legs: tuple[Holding, ...]
    is_opening: bool = True
    is_unknown: bool = False
    name: str = ""
    uncounted_usd: Decimal = ZERO  # what it takes from buying power, as long as the broker's own figure does not count it

    def __post_init__(self) -> None:
        for symbol, qty in self.legs:
            exact(f"Working.legs, {symbol}", qty)
        if exact("Working.uncounted_usd", self.uncounted_usd) < 0:
            raise OrderError(f"Working.uncounted_usd: received {self.uncounted_usd}; allowed: 0 or more")


@dataclass(frozen=True, slots=True)
class Span:
    """Where a sum may stand, whichever of the working orders fill; or why it is not known."""

    low: Decimal = ZERO
    high: Decimal = ZERO
    missing: str = ""

    def worst_with(self, more: Decimal) -> Decimal:
        """Return the largest size that the sum can have with one more order filled; Missing where it is not known."""
        if self.missing:
            raise Missing(self.missing)
        return max(abs(self.low + more), abs(self.high + more))


@dataclass(frozen=True, slots=True)
class Underlying:
    """All on one underlying."""

    positions: tuple[Holding, ...] = ()
    orders: tuple[tuple[Holding, ...], ...] = ()  # opening orders, each whole: its legs are worth what they are together


@dataclass(frozen=True, slots=True)
class AtRisk:
    """What an underlying can still lose [USD]; None: no bottom. `missing`: why it is not known."""

    usd: Decimal | None = ZERO
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """Positions and working orders, added up."""

    held: Mapping[str, Decimal] = field(default_factory=dict)  # symbol -> units
    working: tuple[Working, ...] = ()
    opening_symbols: frozenset[str] = frozenset()  # of working orders that open
    unknown_symbols: frozenset[str] = frozenset()  # of orders whose fate is not known
    uncounted_usd: Decimal = ZERO  # what orders on their way take from buying power, uncounted by the broker as yet
    names: frozenset[str] = frozenset()  # positions held or being opened: structures by name, the rest by symbol
    underlyings: Mapping[str, Underlying] = field(default_factory=dict)
    at_risk: Mapping[str, AtRisk] = field(default_factory=dict)  # underlying -> what it can lose
    spans: Mapping[str, Span] = field(default_factory=lambda: {name: Span() for name in (*GREEKS, DOLLAR_DELTA)})

    def risk_of(self, underlying: str) -> Decimal:
        """Return what an underlying can lose, 0 for one on which there is nothing; Missing where it is not known or has no bottom."""
        risk = self.at_risk.get(underlying, AtRisk())
        if risk.usd is None:
            raise Missing(risk.missing or f"the loss on {underlying} has no bottom")
        return risk.usd


def book_of(positions: Iterable[Position], working: Iterable[Working], instruments: Mapping[str, Instrument]) -> Book:
    """Return the book. What is not known of a symbol is not known of the sums it is part of, and denied when a rule asks."""
    held_positions = [position for position in positions if position.qty]
    orders = tuple(working)
    held: dict[str, Decimal] = defaultdict(Decimal)
    for position in held_positions:
        held[position.symbol] += position.qty
    names = {position.name or position.symbol for position in held_positions}
    for order in orders:
        if order.is_opening:
            names |= {order.name} if order.name else {symbol for symbol, _ in order.legs}
    underlyings = _by_underlying(held, orders)
    return Book(
        held=dict(held),
        working=orders,
        opening_symbols=_symbols(order for order in orders if order.is_opening),
        unknown_symbols=_symbols(order for order in orders if order.is_unknown),
        uncounted_usd=sum((order.uncounted_usd for order in orders), ZERO),
        names=frozenset(names),
        underlyings=underlyings,
        at_risk={name: _told(one, instruments) for name, one in underlyings.items()},
        spans=_spans(held, orders, instruments),
    )


def at_risk_usd(one: Underlying, instruments: Mapping[str, Instrument]) -> Decimal | None:
    """Return what holdings and opening orders of one underlying can lose from here, at their worst price; None: there is no bottom.

    An order that is bounded by itself adds its own worst. One that is not (a call against shares) is taken with what is held.
    """
    together, apart = list(one.positions), ZERO
    for legs in one.orders:
        alone = worst_of(legs)
        if alone.has_bottom:
            apart += max(value_of(legs, instruments) - alone.value_usd, ZERO)
        else:
            together += legs
    worst = worst_of(together)
    return apart + max(value_of(together, instruments) - worst.value_usd, ZERO) if worst.has_bottom else None


def value_of(holdings: Iterable[Holding], instruments: Mapping[str, Instrument]) -> Decimal:
    """Return what holdings are worth at the middle of their quotes, below 0 for what is owed [USD]."""
    return sum((qty * terms_of(symbol).multiplier * mid_of(symbol, instruments.get(symbol)) for symbol, qty in holdings), ZERO)


def _symbols(orders: Iterable[Working]) -> frozenset[str]:
    return frozenset(symbol for order in orders for symbol, _ in order.legs)


def _told(one: Underlying, instruments: Mapping[str, Instrument]) -> AtRisk:
    try:
        return AtRisk(at_risk_usd(one, instruments))
    except Missing as what:
        return AtRisk(None, str(what))


def _by_underlying(held: Mapping[str, Decimal], orders: tuple[Working, ...]) -> dict[str, Underlying]:
    positions: dict[str, list[Holding]] = defaultdict(list)
    opening: dict[str, list[tuple[Holding, ...]]] = defaultdict(list)
    for symbol, qty in held.items():
        positions[underlying_name(symbol)].append((symbol, qty))
    for order in orders:
        if order.is_opening:
            for name, legs in split(order.legs).items():
                opening[name].append(legs)
    return {name: Underlying(tuple(positions[name]), tuple(opening[name])) for name in sorted({*positions, *opening})}


def split(legs: Iterable[Holding]) -> dict[str, tuple[Holding, ...]]:
    """Return underlying -> its legs."""
    found: dict[str, tuple[Holding, ...]] = {}
    for symbol, qty in legs:
        name = underlying_name(symbol)
        found[name] = (*found.get(name, ()), (symbol, qty))
    return found


def underlying_name(symbol: str) -> str:
    """Return the underlying; a symbol whose terms are not known stands for itself."""
    try:
        return terms_of(symbol).underlying
    except Missing:
        return symbol


def per_unit(name: str, instruments: Mapping[str, Instrument]) -> Callable[[Holding], Decimal]:
    """Return the function that gives one sum's part of a holding: a greek, or the dollar delta."""

    def part(holding: Holding) -> Decimal:
        symbol, qty = holding
        known = instruments.get(symbol)
        return qty * (dollar_delta_of(symbol, known) if name == DOLLAR_DELTA else greek_of(name, symbol, known))

    return part


def _spans(held: Mapping[str, Decimal], orders: tuple[Working, ...], instruments: Mapping[str, Instrument]) -> dict[str, Span]:
    return {name: _span(per_unit(name, instruments), held, orders) for name in (*GREEKS, DOLLAR_DELTA)}


def _span(part: Callable[[Holding], Decimal], held: Mapping[str, Decimal], orders: tuple[Working, ...]) -> Span:
    """Return where the sum may stand: every leg of every order may fill or not."""
    try:
        low = high = sum((part(holding) for holding in held.items()), ZERO)
        for order in orders:
            for leg in order.legs:
                moved = part(leg)
                low, high = low + min(moved, ZERO), high + max(moved, ZERO)
    except Missing as what:
        return Span(missing=str(what))
    return Span(low, high)
