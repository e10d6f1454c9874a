"""What is held or planned together: option contracts and shares of one underlying, each bought or sold, as a noun.

In: legs, one by one, from a template (`templates.py`) or from a position. Out: Structure, which refuses to exist when its legs don't
belong together, and its plain form for JSON. What it is worth is told by `payoff.py` and `risk_graph.py`.

Prices are per share, as quoted; money is the total, times quantity and multiplier. What is paid is above 0, what is received below.

Floor 1: types and errors of floor 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal

from workbench.errors import RecordError, SymbolError, choices
from workbench.options.expiry import Delivery, Exercise, style
from workbench.types import OptionContract, check_symbol

Side = Literal["buy", "sell"]
SIDES = ("buy", "sell")
VERSION = 1  # of the plain form
MAX_LEGS = 16
SHARES_PER_CONTRACT = 100

# root of an index option -> the index, where the two differ
INDEX_OF = {"SPXW": "SPX", "NDXP": "NDX", "RUTW": "RUT", "VIXW": "VIX", "XEO": "OEX"}


def underlying_of(root: str) -> str:
    """Return the symbol of what contracts of a root are written on: SPX for SPXW, otherwise the root itself."""
    return INDEX_OF.get(root, root)


def opposite(side: Side) -> Side:
    """Return 'sell' for 'buy' and 'buy' for 'sell'."""
    return "sell" if side == "buy" else "buy"


@dataclass(frozen=True, slots=True)
class Leg:
    """One contract, or the shares (`contract` None), bought or sold. `price_usd`: per share, what was paid or received; None: unknown."""

    contract: OptionContract | None
    side: Side
    qty: int
    price_usd: float | None = None

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise RecordError(f"Leg.side: received {choices(self.side, SIDES)}")
        if isinstance(self.qty, bool) or not isinstance(self.qty, int) or self.qty <= 0:
            raise RecordError(f"Leg.qty: received {self.qty!r}; allowed: whole numbers above 0; next: say 'sell' for what is short")
        price = self.price_usd
        if price is not None and not (math.isfinite(price) and price >= 0):
            raise RecordError(f"Leg.price_usd: received {price!r}; allowed: USD of 0 or more, or None where it is unknown")
        if self.contract is not None and is_adjusted(self.contract):
            raise RecordError(
                f"Leg.contract: received {self.contract.occ}, adjusted by a corporate action; allowed: contracts on 100 shares; "
                "next: read the clearing house's memo for what it delivers"
            )

    @property
    def units(self) -> int:
        """Shares that one dollar of price is multiplied with, below 0 for what was sold."""
        multiplier = 1 if self.contract is None else self.contract.multiplier
        return (1 if self.side == "buy" else -1) * self.qty * multiplier

    @property
    def is_american(self) -> bool:
        """Whether the holder may exercise before expiry."""
        return self.contract is not None and style(self.contract.root).exercise is Exercise.AMERICAN


def is_adjusted(contract: OptionContract) -> bool:
    """Return whether a corporate action changed what the contract delivers: shown, never priced."""
    return contract.root[-1].isdigit() or contract.multiplier != SHARES_PER_CONTRACT


@dataclass(frozen=True, slots=True)
class Structure:
    """Legs on one underlying. The same contract stands in it once."""

    underlying: str
    legs: tuple[Leg, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.legs) <= MAX_LEGS:
            raise RecordError(f"Structure.legs: received {len(self.legs)}; allowed: 1 to {MAX_LEGS}")
        seen: set[str] = set()
        for leg in self.legs:
            label = self.underlying if leg.contract is None else leg.contract.occ
            if label in seen:
                raise RecordError(f"Structure.legs: received {label} twice; allowed: once; next: join the quantities into one leg")
            seen.add(label)
            self._check_belongs(leg)

    def _check_belongs(self, leg: Leg) -> None:
        if leg.contract is None:
            if style(self.underlying).delivery is Delivery.CASH:
                raise RecordError(f"Structure.legs: received shares of {self.underlying}, an index; allowed: its options")
        elif underlying_of(leg.contract.root) != self.underlying:
            raise RecordError(
                f"Structure.legs: received {leg.contract.occ} in a structure on {self.underlying}; allowed: contracts on one underlying"
            )

    @property
    def options(self) -> tuple[Leg, ...]:
        """The legs that are options."""
        return tuple(leg for leg in self.legs if leg.contract is not None)

    @property
    def has_one_expiry(self) -> bool:
        """Whether all options end at one instant. SPX and SPXW of one date don't: morning and afternoon."""
        return len({(leg.contract.expiry, style(leg.contract.root).settlement) for leg in self.legs if leg.contract}) <= 1

    @property
    def lots(self) -> int:
        """How often the smallest form of this structure is held: 3 for three butterflies of 1, 2, 1."""
        return reduce(math.gcd, (abs(leg.units) for leg in self.legs)) // (SHARES_PER_CONTRACT if self.options else 1) or 1

    @property
    def cost_usd(self) -> float | None:
        """What its legs cost by their own prices, all together; below 0 is a credit; None when one is unknown."""
        parts = [leg.price_usd * leg.units for leg in self.legs if leg.price_usd is not None]
        return math.fsum(parts) if len(parts) == len(self.legs) else None

    def per_share(self, money_usd: float) -> float:
        """Return money of the whole structure as a price of one lot, as a spread is quoted."""
        return money_usd / (self.lots * (SHARES_PER_CONTRACT if self.options else 1))

    def with_leg(self, leg: Leg) -> Structure:
        """Return the structure with one leg more."""
        return replace(self, legs=(*self.legs, leg))

    def without_leg(self, index: int) -> Structure:
        """Return the structure with one leg less; RecordError for an index that there is none of."""
        if not 0 <= index < len(self.legs):
            raise RecordError(f"leg: received {index}; allowed: 0 to {len(self.legs) - 1}")
        return replace(self, legs=self.legs[:index] + self.legs[index + 1 :])

    def reversed(self) -> Structure:
        """Return what closes it: every leg on the other side."""
        return replace(self, legs=tuple(replace(leg, side=opposite(leg.side)) for leg in self.legs))

    def priced(self, prices_usd: Iterable[float | None]) -> Structure:
        """Return the structure with these prices, one a leg; None where it is unknown."""
        return replace(self, legs=tuple(replace(leg, price_usd=p) for leg, p in zip(self.legs, prices_usd, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form, for JSON."""
        return {
            "version": VERSION,
            "name": self.name,
            "underlying": self.underlying,
            "legs": [_leg_to_dict(self, leg) for leg in self.legs],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Structure:
        """Return the structure of a plain form; RecordError says which part of it can't be read."""
        if not isinstance(plain, Mapping) or plain.get("version") != VERSION:
            received = plain.get("version") if isinstance(plain, Mapping) else plain
            raise RecordError(f"structure.version: received {received!r}; allowed: {VERSION}; next: update the workbench")
        _refuse_others("structure", plain, {"version", "name", "underlying", "legs"})
        underlying, legs, name = plain.get("underlying"), plain.get("legs"), plain.get("name", "")
        if not (isinstance(underlying, str) and isinstance(legs, list) and isinstance(name, str)):
            raise RecordError(f"structure: received {dict(plain)!r}; allowed: underlying and name as text, legs as a list")
        return cls(underlying, tuple(_leg_from_dict(underlying, leg) for leg in legs), name)


def from_position(underlying: str, held: Mapping[str, tuple[int, float | None]], name: str = "position") -> Structure:
    """Return what is held as a structure.

    Parameters
    ----------
    underlying : str                        Its symbol; shares are held under it.
    held : mapping                          Symbol -> (signed quantity, average price [USD] or None); nothing held (0) is left out.

    Raises
    ------
    SymbolError, RecordError                For symbols that are neither, and contracts that don't belong or were adjusted.
    """
    legs = []
    for symbol, (position, price) in held.items():
        if position != 0:
            contract = None if symbol == underlying else OptionContract.parse(symbol)
            legs.append(Leg(contract, "buy" if position > 0 else "sell", abs(position), price))
    return Structure(check_symbol(underlying), tuple(legs), name)


def _leg_to_dict(structure: Structure, leg: Leg) -> dict[str, Any]:
    symbol = structure.underlying if leg.contract is None else leg.contract.symbol
    return {"symbol": symbol, "side": leg.side, "qty": leg.qty, "price_usd": leg.price_usd}


def _leg_from_dict(underlying: str, plain: Any) -> Leg:
    if not isinstance(plain, Mapping) or not isinstance(plain.get("symbol"), str):
        raise RecordError(f"structure.legs: received {plain!r}; allowed: objects with symbol, side, qty, price_usd")
    _refuse_others("structure.legs", plain, {"symbol", "side", "qty", "price_usd"})
    price = plain.get("price_usd")
    if price is not None and (isinstance(price, bool) or not isinstance(price, int | float)):
        raise RecordError(f"structure.legs.price_usd: received {price!r}; allowed: a number of USD or null")
    try:
        contract = None if plain["symbol"] == underlying else OptionContract.parse(plain["symbol"])
    except SymbolError as error:
        raise RecordError(f"structure.legs: {error}") from None
    return Leg(contract, plain.get("side"), plain.get("qty"), price)  # type: ignore[arg-type]  # Leg says what is wrong


def _refuse_others(where: str, plain: Mapping[str, Any], known: set[str]) -> None:
    for key in plain:
        if key not in known:
            raise RecordError(f"{where}: received {choices(key, sorted(known))}")
