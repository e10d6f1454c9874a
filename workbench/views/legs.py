"""Two contracts picked from a chain as one trade: straddle, strangle, vertical, with their price by the middle and as quoted.

In: the contracts a person clicked, in order. Out: legs, and what they cost: all at the middle of their quotes (`mid`), and bought at the
ask and sold at the bid (`natural`). Floor 8, no screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.errors import RecordError, choices
from workbench.types import OptionContract

KINDS = ("straddle", "strangle", "vertical")


@dataclass(frozen=True, slots=True)
class PickedLeg:
    """One contract of a trade: `qty` above 0 is bought, below 0 sold."""

    symbol: str
    qty: int


def legs_of(kind: str, symbols: Sequence[str]) -> tuple[PickedLeg, ...]:
    """Return the legs that contracts make, all there are yet; RecordError says why they make none.

    A straddle needs one click: the other right at the strike comes with it. A vertical buys the first and sells the second.
    """
    if kind not in KINDS:
        raise RecordError(f"kind: received {choices(kind, KINDS)}")
    contracts = [OptionContract.parse(symbol) for symbol in symbols]
    if kind == "straddle" and contracts:
        one = contracts[0]
        return tuple(PickedLeg(OptionContract(one.root, one.expiry, right, one.strike).symbol, 1) for right in ("C", "P"))
    if len(contracts) == 2:
        _check_pair(kind, *contracts)
    signs = (1, 1) if kind == "strangle" else (1, -1)
    return tuple(PickedLeg(contract.symbol, sign) for contract, sign in zip(contracts, signs, strict=False))


def _check_pair(kind: str, one: OptionContract, other: OptionContract) -> None:
    if (one.root, one.expiry) != (other.root, other.expiry):
        raise RecordError(f"{kind}: received {one.label} and {other.label}; allowed: one root and one expiry")
    if kind == "vertical" and one.right != other.right:
        raise RecordError(f"vertical: received {one.label} and {other.label}; allowed: two calls, or two puts")
    if kind == "strangle" and one.right == other.right:
        raise RecordError(f"strangle: received {one.label} and {other.label}; allowed: a call and a put")
    if one.strike == other.strike:
        raise RecordError(f"{kind}: received {one.label} and {other.label}; allowed: two strikes")


@dataclass(frozen=True, slots=True)
class LegsPrice:
    """What legs cost [USD a share], above 0 paid, below 0 received; NaN where a leg has no such price."""

    mid_usd: float
    natural_usd: float


def price_of(legs: Sequence[PickedLeg], quotes: Mapping[str, tuple[float, float]]) -> LegsPrice:
    """Return the price of legs. `quotes`: symbol -> (bid, ask); 0 or NaN is nobody, and crossed quotes have no middle."""
    mid = natural = 0.0
    for leg in legs:
        bid, ask = quotes.get(leg.symbol, (math.nan, math.nan))
        is_two_sided = 0 < bid <= ask < math.inf
        mid += leg.qty * (0.5 * (bid + ask) if is_two_sided else math.nan)
        side = ask if leg.qty > 0 else bid
        natural += leg.qty * (side if 0 < side < math.inf else math.nan)
    return LegsPrice(mid, natural) if legs else LegsPrice(math.nan, math.nan)
