"""The books of one paper account: cash, positions, fees. Cash is the capital plus what fills and settlements brought, to the last digit.

Floor 5.
"""

from __future__ import annotations

from decimal import Decimal

from workbench.errors import OrderError
from workbench.execution.settlement import Settlement
from workbench.orders import Fill, exact


class PaperBooks:
    """Mutable, and the broker's alone."""

    def __init__(self, capital_usd: Decimal) -> None:
        """`capital_usd`: what the account begins with, 0 or more."""
        if exact("capital_usd", capital_usd) < 0:
            raise OrderError(f"capital_usd: received {capital_usd}; allowed: 0 or more")
        self.capital_usd = capital_usd
        self.cash_usd = capital_usd
        self.fees_usd = Decimal(0)
        self.positions: dict[str, Decimal] = {}  # symbol -> signed quantity, without zeros

    def fill(self, fill: Fill) -> None:
        """Book one execution."""
        self.cash_usd += fill.cash_usd
        self.fees_usd += fill.fees_usd
        self._move(fill.symbol, fill.qty if fill.side == "buy" else -fill.qty)

    def settle(self, settlement: Settlement) -> None:
        """Book the end of an option position."""
        self.cash_usd += settlement.cash_usd
        for symbol, change in settlement.changes.items():
            self._move(symbol, change)

    def _move(self, symbol: str, change: Decimal) -> None:
        qty = self.positions.get(symbol, Decimal(0)) + change
        if qty:
            self.positions[symbol] = qty
        else:
            self.positions.pop(symbol, None)
