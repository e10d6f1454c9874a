"""One order at the paper broker: what is filled, where it stands in the queue, and whether it works.

Floor 5.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal

from workbench.execution.base import Report
from workbench.execution.order import End
from workbench.orders import Fill, Leg, OrderIntent, multiplier


@dataclass(slots=True)
class PaperOrder:
    """Mutable, and the broker's alone."""

    intent: OrderIntent
    arrives_ns: int  # when it takes effect at the exchange
    cost_usd: Decimal  # at most, for the whole order: kept from buying power while it works
    chance: random.Random  # of touches, by seed and id
    is_triggered: bool = False  # its stop price was reached
    is_resting: bool = False  # it was seen not to be marketable: from then on it fills at its own price
    ahead: Decimal | None = None  # displayed before it at its price; None: its price has not been the best yet
    earned: Decimal = Decimal(0)  # its share of the volume at its price, not filled yet
    cancel_ns: int | None = None  # when a cancellation takes effect
    replaced_open_qty: Decimal | None = None  # open of the order whose place it takes, when it was sent
    fills: list[Fill] = field(default_factory=list)
    end: End | None = None
    reason: str = ""
    replaced_by: str = ""

    @property
    def client_order_id(self) -> str:
        """The sender's id of it."""
        return self.intent.client_order_id

    @property
    def broker_order_id(self) -> str:
        """The paper broker's id of it."""
        return f"paper-{self.client_order_id}"

    @property
    def first(self) -> Leg:
        """Its only leg, or the first of several."""
        return self.intent.legs[0]

    @property
    def is_single(self) -> bool:
        """Whether it has one leg."""
        return len(self.intent.legs) == 1

    @property
    def open_qty(self) -> Decimal:
        """Units that may still be filled."""
        filled = sum((fill.qty for fill in self.fills if fill.symbol == self.first.symbol), Decimal(0))
        return self.intent.qty - filled / self.first.ratio

    @property
    def is_over(self) -> bool:
        """Whether it works no more."""
        return self.end is not None or self.open_qty == 0

    @property
    def waits_for_stop(self) -> bool:
        """Whether its stop price has not been reached yet."""
        return self.intent.stop_price is not None and not self.is_triggered

    @property
    def net_limit(self) -> Decimal | None:
        """The most that one unit may cost [USD a share]; below 0: the least it must bring. None: at any price."""
        limit = self.intent.limit_price
        return limit if limit is None or not self.is_single else self.first.sign * limit

    def net(self, prices: tuple[Decimal, ...]) -> Decimal:
        """Return what one unit costs at one price for each leg [USD a share]."""
        legs = self.intent.legs
        if self.is_single:
            return self.first.sign * prices[0]
        pairs = zip(legs, prices, strict=True)
        return sum((leg.sign * leg.ratio * price * multiplier(leg.symbol) for leg, price in pairs), Decimal(0)) / 100

    def report(self, fills: tuple[Fill, ...] | None = None) -> Report:
        """Return what is to be told of it: all its fills, or those given."""
        told = tuple(self.fills) if fills is None else fills
        return Report(self.client_order_id, self.broker_order_id, told, self.end, self.reason, self.replaced_by)
