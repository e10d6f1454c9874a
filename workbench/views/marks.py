"""What of our own stands on a price ladder: working orders, average price, take-profit, stop, break-even. No Panel here. Floor 8.

Whoever has orders and positions gives them as `Mark`s; a ladder draws what it is given and invents none.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import param

from workbench.errors import RecordError, choices
from workbench.types import check_symbol
from workbench.views.models import normal_symbol

KINDS = ("order", "average", "take_profit", "stop", "break_even")
SIDES = ("buy", "sell", "")


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing at one price.

    kind : one of KINDS. price : [USD] > 0. qty : shares or contracts, None where there is none (break-even). side : what the order
    does, '' for none. id : the order's own, '' for none. note : shown when pointed at.
    """

    kind: str
    price: float
    qty: float | None = None
    side: str = ""
    id: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (("kind", self.kind, KINDS), ("side", self.side, SIDES)):
            if value not in allowed:
                raise RecordError(f"Mark.{name}: received {choices(value, allowed)}")
        for name, number in (("price", self.price), ("qty", self.qty)):
            if number is not None and not (number > 0 and math.isfinite(number)):
                raise RecordError(f"Mark.{name}: received {number!r}; allowed: a finite number > 0")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the page."""
        return asdict(self)


class LadderModel(param.Parameterized):
    """What a ladder shows."""

    symbol = param.String("SPY", doc="Stock or option contract shown.")
    marks = param.List(default=[], item_type=Mark, doc="Own orders and prices of the symbol; empty until there are orders.")

    def show(self, symbol: str) -> None:
        """Change the symbol, and take the marks of the other one away; SymbolError when it makes no sense."""
        wanted = check_symbol(normal_symbol(symbol))
        if wanted != self.symbol:
            self.param.update(symbol=wanted, marks=[])
