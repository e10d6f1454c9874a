"""How symbols and prices are written for people. Floor 8, no screen."""

from __future__ import annotations

from workbench.errors import WorkbenchError
from workbench.types import OptionContract


def decimals_of(price: float) -> int:
    """Return how many decimals a price of this size is shown with: cents, and hundredths of a cent below a dollar."""
    return 4 if 0 < price < 1 else 2


def label_of(symbol: str) -> str:
    """Return a symbol as people say it: 'SPY 20 Dec 24 720 P' for an option, else the symbol itself."""
    if not symbol.startswith("O:"):
        return symbol
    try:
        return OptionContract.parse(symbol).label
    except WorkbenchError:
        return symbol


def short_label(symbol: str) -> str:
    """Return a symbol for a narrow column: 'SPY 720P 12/20' for an option."""
    if label_of(symbol) == symbol:
        return symbol
    option = OptionContract.parse(symbol)
    return f"{option.root} {option.strike:f}{option.right} {option.expiry.month}/{option.expiry.day}"
