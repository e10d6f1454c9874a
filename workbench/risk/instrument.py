"""What is known of one symbol at a moment, and what it is by its terms. Floor 4."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from workbench.errors import WorkbenchError
from workbench.options.structures import underlying_of
from workbench.orders import multiplier
from workbench.risk.known import ZERO, Missing, number
from workbench.types import OptionContract

_OF_A_SHARE = {"delta": Decimal(1), "gamma_per_usd": ZERO, "vega_usd_per_point": ZERO, "theta_usd_per_day": ZERO}
GREEKS = tuple(_OF_A_SHARE)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Quote [USD a share], greeks of one share's worth, volume of the day and open interest; None: not known."""

    bid: Decimal | None = None
    ask: Decimal | None = None
    ts_ns: int | None = None  # of the quote
    delta: Decimal | None = None  # shares
    gamma_per_usd: Decimal | None = None
    vega_usd_per_point: Decimal | None = None  # a point of volatility, 0.01
    theta_usd_per_day: Decimal | None = None  # a calendar day, negative for what is bought
    volume: Decimal | None = None
    open_interest: Decimal | None = None
    underlying_usd: Decimal | None = None  # price of what an option is written on


@dataclass(frozen=True, slots=True)
class Terms:
    """A symbol's own terms. Shares have no strike and no expiry."""

    underlying: str
    multiplier: int
    expiry: date | None = None
    strike: Decimal = ZERO
    is_call: bool = False

    def intrinsic_usd(self, spot_usd: Decimal) -> Decimal:
        """Return what one option contract is worth at its end."""
        gain = spot_usd - self.strike if self.is_call else self.strike - spot_usd
        return max(gain, ZERO) * self.multiplier


@lru_cache(maxsize=65_536)
def terms_of(symbol: str) -> Terms:
    """Return the terms of a symbol; Missing for adjusted contracts, of which it is not known what they deliver."""
    if not symbol.startswith("O:"):
        return Terms(symbol, 1)
    try:
        contract, shares = OptionContract.parse(symbol), multiplier(symbol)
    except WorkbenchError:
        raise Missing(f"what {symbol} delivers is not known") from None
    return Terms(underlying_of(contract.root), shares, contract.expiry, contract.strike, contract.right == "C")


def quote_of(symbol: str, known: Instrument | None) -> tuple[Decimal, Decimal]:
    """Return bid and ask; Missing for no quote, no offer, or a bid above the offer."""
    if known is None:
        raise Missing(f"the quote of {symbol} is not known")
    bid, ask = number(f"the bid of {symbol}", known.bid, least=ZERO), number(f"the offer of {symbol}", known.ask)
    if ask <= 0 or bid > ask:
        raise Missing(f"the quote of {symbol} is {bid} bid, {ask} offered, which is no market")
    return bid, ask


def mid_of(symbol: str, known: Instrument | None) -> Decimal:
    """Return the middle of the quote [USD a share]."""
    bid, ask = quote_of(symbol, known)
    return (bid + ask) / 2


def greek_of(name: str, symbol: str, known: Instrument | None) -> Decimal:
    """Return one greek of one contract or share (multiplier counted); of shares it is known."""
    terms = terms_of(symbol)
    if terms.expiry is None:
        return _OF_A_SHARE[name]
    return number(f"{name} of {symbol}", None if known is None else getattr(known, name)) * terms.multiplier


def dollar_delta_of(symbol: str, known: Instrument | None) -> Decimal:
    """Return delta times the underlying's price, of one contract or share [USD]."""
    if terms_of(symbol).expiry is None:
        return mid_of(symbol, known)
    spot = number(f"the price under {symbol}", None if known is None else known.underlying_usd, least=ZERO)
    return greek_of("delta", symbol, known) * spot
