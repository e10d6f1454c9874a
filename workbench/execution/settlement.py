"""How an option position ends when its contract does: exercised, assigned, settled in cash, or worthless; with exact cash.

In: a contract's `Ending`, the position, and the price that decides. Out: a `Settlement`, which is booked like a fill.

Floor 5: what a root's contracts end like is known on floor 1 (`options/expiry.py`) and is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from workbench.orders import multiplier
from workbench.types import OptionContract

How = Literal["exercised", "assigned", "cash_settled", "expired"]
EXERCISED_FROM_USD = Decimal("0.01")  # in the money by so much is exercised without anybody's asking (OCC rule 805)


@dataclass(frozen=True, slots=True)
class Ending:
    """How one contract ends. `underlying`: the symbol whose price decides and, unless `is_cash`, changes hands."""

    expiry_ns: int  # the instant whose price decides
    last_trade_ns: int  # from then on nobody can trade it
    underlying: str
    is_cash: bool = False
    is_price_published: bool = False  # the price is one that is published (morning settlement), not the underlying's last print


EndingOf = Callable[[OptionContract], Ending]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the end of one position did to the account. The same id is the same settlement, however often it comes."""

    settlement_id: str
    account: str
    symbol: str
    how: How
    qty: Decimal  # contracts that were held, signed
    price: Decimal  # of the underlying, USD a share
    ts_event: int
    cash_usd: Decimal
    underlying: str
    shares: Decimal = Decimal(0)  # that came in, signed

    @property
    def changes(self) -> dict[str, Decimal]:
        """Symbol -> signed change of position."""
        return {self.symbol: -self.qty} | ({self.underlying: self.shares} if self.shares else {})


def settle(account: str, symbol: str, qty: Decimal, price: Decimal, ending: Ending) -> Settlement:
    """Return how a position of `qty` contracts (signed) ends at the underlying's price [USD a share]."""
    contract = OptionContract.parse(symbol)
    units = qty * multiplier(symbol)  # shares that the position speaks for, signed
    sign = 1 if contract.right == "C" else -1
    worth = sign * (price - contract.strike)
    how: How = "exercised" if qty > 0 else "assigned"
    cash, shares = Decimal(0), Decimal(0)
    if worth < EXERCISED_FROM_USD:
        how = "expired"
    elif ending.is_cash:
        how, cash = "cash_settled", units * worth
    else:
        shares, cash = sign * units, -sign * units * contract.strike
    name = f"{account}:{symbol}:{ending.expiry_ns}"
    return Settlement(name, account, symbol, how, qty, price, ending.expiry_ns, cash, ending.underlying, shares)
