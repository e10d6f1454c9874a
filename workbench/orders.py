"""The nouns of trading: what somebody wants done (`OrderIntent`) and what was done (`Fill`).

Money and quantities of our own are exact: `Decimal`, never a float, from the ticket to the journal. An intent is complete and legal when
it exists: whole contracts, prices on the symbol's increment, legs that fit together. The id under which a broker knows its order is
derived from the intent, so that sending again what may have been sent is the same order.

Floor 0: standard library, numpy through `types.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from workbench.errors import OrderError, choices
from workbench.tick_size import PARTS, Bands, tick_bands
from workbench.types import OptionContract, check_symbol

Side = Literal["buy", "sell"]
Effect = Literal["open", "close"]
OrderType = Literal["market", "limit", "stop", "stop_limit"]
TimeInForce = Literal["day", "gtc", "ioc", "fok"]

SIDES, EFFECTS = ("buy", "sell"), ("open", "close")
ORDER_TYPES = ("market", "limit", "stop", "stop_limit")
TIMES_IN_FORCE = ("day", "gtc", "ioc", "fok")
MAX_LEGS = 4
MAX_QTY = Decimal(10_000_000)  # units; more is a typing error
NET_TICK = Decimal("0.01")  # increment of the net price of several legs
SHARE_STEP = Decimal("0.000000001")  # finest part of a share that a broker books
MAX_KEY = 200  # characters
ID_DIGITS = 32  # of the derived id: 128 bits


@dataclass(frozen=True, slots=True)
class Leg:
    """One symbol of an order. `ratio` times the order's quantity is bought or sold, to open a position or to close one."""

    symbol: str
    side: Side
    ratio: int = 1
    effect: Effect = "open"

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        _one_of("Leg.side", self.side, SIDES)
        _one_of("Leg.effect", self.effect, EFFECTS)
        if type(self.ratio) is not int or not 1 <= self.ratio <= 100:
            raise OrderError(f"Leg.ratio: received {self.ratio!r}; allowed: a whole number from 1 to 100")

    @property
    def sign(self) -> int:
        """+1 for buying, -1 for selling."""
        return 1 if self.side == "buy" else -1

    @property
    def is_option(self) -> bool:
        """Whether the symbol is an option contract."""
        return self.symbol.startswith("O:")


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """What somebody or something wants done, once.

    `account` names the paper or broker account, `key` the wish: the same key on the same account is the same wish, however often it
    is uttered (a ticket's id; strategy, session and number of a signal). `qty` in units: contracts, shares, or whole structures.
    Prices are dollars a share, with several legs the net of one unit: above 0 is paid, below 0 received.
    """

    account: str
    key: str
    legs: tuple[Leg, ...]
    qty: Decimal
    order_type: OrderType
    ts_ns: int  # when it was decided, int64 ns UTC
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = "day"
    origin: str = "ticket"  # who decided: ticket, or a strategy's name
    reason: str = ""
    replaces: str = ""  # client_order_id of the working order whose place it takes

    def __post_init__(self) -> None:
        for name in ("account", "key"):
            text = getattr(self, name)
            if not isinstance(text, str) or not 0 < len(text) <= MAX_KEY or text != text.strip():
                raise OrderError(f"OrderIntent.{name}: received {text!r}; allowed: 1 to {MAX_KEY} characters without blanks around them")
        _one_of("OrderIntent.order_type", self.order_type, ORDER_TYPES)
        _one_of("OrderIntent.time_in_force", self.time_in_force, TIMES_IN_FORCE)
        if type(self.ts_ns) is not int or self.ts_ns <= 0:
            raise OrderError(f"OrderIntent.ts_ns: received {self.ts_ns!r}; allowed: int64 ns UTC above 0")
        self._check_legs()
        self._check_qty()
        self._check_prices()

    @property
    def client_order_id(self) -> str:
        """The id that the broker is given: derived from account and key alone, 35 characters."""
        return "wb-" + hashlib.sha256(f"{self.account}\n{self.key}".encode()).hexdigest()[:ID_DIGITS]

    @property
    def is_opening(self) -> bool:
        """Whether any leg opens a position: what a kill switch stops."""
        return any(leg.effect == "open" for leg in self.legs)

    def leg_qty(self, symbol: str) -> Decimal:
        """Return how much of a leg's symbol the whole order trades."""
        for leg in self.legs:
            if leg.symbol == symbol:
                return self.qty * leg.ratio
        raise OrderError(f"symbol: received {symbol!r}; allowed: a leg of this order, {', '.join(leg.symbol for leg in self.legs)}")

    def _check_legs(self) -> None:
        if not 1 <= len(self.legs) <= MAX_LEGS:
            raise OrderError(f"OrderIntent.legs: received {len(self.legs)}; allowed: 1 to {MAX_LEGS}")
        symbols = [leg.symbol for leg in self.legs]
        if len(set(symbols)) < len(symbols):
            raise OrderError(f"OrderIntent.legs: received {', '.join(symbols)}; allowed: each symbol once")
        if len(self.legs) == 1 and self.legs[0].ratio != 1:
            raise OrderError(f"OrderIntent.legs: received ratio {self.legs[0].ratio} for the only leg; allowed: 1, with qty as the number")
        if len(self.legs) > 1 and not any(leg.is_option for leg in self.legs):
            raise OrderError(f"OrderIntent.legs: received {', '.join(symbols)}; allowed: several legs only with an option among them")

    def _check_qty(self) -> None:
        is_whole_only = any(leg.is_option for leg in self.legs)
        step, unit = (Decimal(1), "whole contracts") if is_whole_only else (SHARE_STEP, f"shares in steps of {SHARE_STEP:f}")
        qty = exact("OrderIntent.qty", self.qty)
        if not 0 < qty <= MAX_QTY or qty % step:
            raise OrderError(f"OrderIntent.qty: received {qty}; allowed: {unit}, above 0 and at most {MAX_QTY}")

    def _check_prices(self) -> None:
        wanted = {"limit_price": "limit" in self.order_type, "stop_price": "stop" in self.order_type}
        for name, is_wanted in wanted.items():
            price = getattr(self, name)
            if (price is not None) != is_wanted:
                rule = "a price" if is_wanted else "None"
                raise OrderError(f"OrderIntent.{name}: received {price!r} for a {self.order_type} order; allowed: {rule}")
            if price is not None:
                self._check_price(name, exact(f"OrderIntent.{name}", price))
        if len(self.legs) > 1 and self.stop_price is not None:
            raise OrderError(f"OrderIntent.order_type: received {self.order_type} with {len(self.legs)} legs; allowed: market or limit")

    def _check_price(self, name: str, price: Decimal) -> None:
        if len(self.legs) > 1:
            if price % NET_TICK:
                raise OrderError(f"OrderIntent.{name}: received {price}; allowed: a net price in steps of {NET_TICK}")
            return
        symbol = self.legs[0].symbol
        tick = tick_at(tick_bands(symbol), price)
        if price <= 0 or price % tick:
            below, above = on_tick(price, symbol, "down"), on_tick(price, symbol, "up")
            near = f" (next to it: {below} and {above})" if price > 0 else ""
            raise OrderError(f"OrderIntent.{name}: received {price}; allowed for {symbol}: a price above 0 in steps of {tick}{near}")


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution, as the broker reports it. `fill_id` is the broker's: the same id is the same fill, however often it comes."""

    fill_id: str
    client_order_id: str  # "" for a trade made elsewhere
    symbol: str
    side: Side
    qty: Decimal  # shares or contracts
    price: Decimal  # USD a share
    ts_event: int
    ts_recv: int = 0
    fees_usd: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        _one_of("Fill.side", self.side, SIDES)
        if not self.fill_id:
            raise OrderError("Fill.fill_id: received nothing; allowed: the broker's id of this execution")
        if not exact("Fill.qty", self.qty) > 0:
            raise OrderError(f"Fill.qty: received {self.qty}; allowed: above 0")
        if not exact("Fill.price", self.price) >= 0:
            raise OrderError(f"Fill.price: received {self.price}; allowed: 0 or more")
        exact("Fill.fees_usd", self.fees_usd)

    @property
    def cash_usd(self) -> Decimal:
        """What the account received (paid, when negative), fees taken off; a contract counts its multiplier."""
        gross = self.qty * self.price * multiplier(self.symbol)
        return (-gross if self.side == "buy" else gross) - self.fees_usd


def exact(name: str, value: object) -> Decimal:
    """Return a finite Decimal unchanged; OrderError for anything else: a float has already lost its cents."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise OrderError(f"{name}: received {value!r} ({type(value).__name__}); allowed: a finite Decimal, as Decimal('2.10')")
    return value


def multiplier(symbol: str) -> int:
    """Return shares a unit: 100 for a standard contract, 1 for a share. Adjusted contracts are no standard ones: OrderError."""
    if not symbol.startswith("O:"):
        return 1
    contract = OptionContract.parse(symbol)
    if contract.root[-1:].isdigit():
        raise OrderError(
            f"symbol: received {symbol}, an adjusted contract; allowed: standard ones, what else it delivers is not known here"
        )
    return contract.multiplier


def tick_at(bands: Bands, price: Decimal) -> Decimal:
    """Return the increment [USD] that holds at a price."""
    parts = max(price * PARTS, Decimal(0))
    holds = [band for band in bands if band.from_parts <= parts]
    return Decimal(max(holds, key=lambda band: band.from_parts).tick_parts) / PARTS


def on_tick(price: Decimal, symbol: str, towards: Literal["down", "up"]) -> Decimal:
    """Return the nearest legal price of one symbol at or below ("down"), at or above ("up") a price > 0; never below one increment.

    Example: on_tick(Decimal("3.03"), "O:AAPL261218C00200000", "down") -> Decimal("3.00")
    """
    tick = tick_at(tick_bands(symbol), price)
    steps = price // tick
    if towards == "up" and price % tick:
        steps += 1
    return max(steps * tick, tick).quantize(min(tick, NET_TICK))


def _one_of(name: str, received: object, allowed: tuple[str, ...]) -> None:
    if received not in allowed:
        raise OrderError(f"{name}: received {choices(received, allowed)}")
