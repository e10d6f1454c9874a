"""The least that holdings of one underlying can be worth at the end, at whatever price: exact, and never too high.

Short options are taken expiry by expiry. A long option covers shorts that end no later than itself, at what it is worth if exercised
then; one that ends before them covers nothing. Long shares cover short calls, each share once. Short shares are covered by nothing,
since they outlive every option. The sum of what each expiry can cost at its own worst price is a bound for all of them together.

Assumption: a long option is worth its intrinsic value at least. A European put deep in the money can be worth less by the interest on
its strike until its own end. Floor 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from workbench.risk.instrument import Terms, terms_of
from workbench.risk.known import ZERO

Holding = tuple[str, Decimal]  # symbol, units: below 0 sold
_Part = tuple[Terms, Decimal]


@dataclass(frozen=True, slots=True)
class Worst:
    """Least value at the end, and how many shares nothing covers as the price rises: more than 0, and there is no least."""

    value_usd: Decimal
    uncovered_shares: Decimal

    @property
    def has_bottom(self) -> bool:
        """Whether the loss is bounded."""
        return self.uncovered_shares == 0

    def is_no_worse_than(self, other: Worst) -> bool:
        """Whether neither the least value nor what is uncovered is worse."""
        return self.value_usd >= other.value_usd and self.uncovered_shares <= other.uncovered_shares


def worst_of(holdings: Iterable[Holding]) -> Worst:
    """Return the worst of holdings of one underlying. Missing where terms are not known."""
    parts = [(terms_of(symbol), qty) for symbol, qty in _netted(holdings).items()]
    ends = sorted({terms.expiry for terms, qty in parts if terms.expiry is not None and qty < 0})
    groups: dict[date, list[_Part]] = {end: [] for end in ends}
    for part in parts:
        end = _end_of(part, ends)
        if end is not None:
            groups[end].append(part)
    shares = sum((qty for terms, qty in parts if terms.expiry is None), ZERO)
    value, uncovered = ZERO, max(-shares, ZERO)
    for group in groups.values():
        lacking = max(-_slope(group), ZERO)
        lent = min(lacking, max(shares, ZERO))
        shares -= lent
        value += _least(group, lent)
        uncovered += lacking - lent
    return Worst(value, uncovered)


def _netted(holdings: Iterable[Holding]) -> dict[str, Decimal]:
    """Return symbol -> what is left of it, without those of which nothing is."""
    found: dict[str, Decimal] = {}
    for symbol, qty in holdings:
        found[symbol] = found.get(symbol, ZERO) + qty
    return {symbol: qty for symbol, qty in found.items() if qty}


def _end_of(part: _Part, ends: list[date]) -> date | None:
    """Return the expiry that an option counts for: a short's own, the latest that a long one still covers. None: it counts for none."""
    expiry = part[0].expiry
    return None if expiry is None else max((end for end in ends if end <= expiry), default=None)


def _slope(group: list[_Part]) -> Decimal:
    """Return what a group gains for each dollar that the price rises above all strikes."""
    return sum((qty * terms.multiplier for terms, qty in group if terms.is_call), ZERO)


def _least(group: list[_Part], shares: Decimal) -> Decimal:
    """Return the least value over all prices up to the highest strike: between strikes it is a straight line."""
    spots = {ZERO, *(terms.strike for terms, _ in group)}
    return min(sum((qty * terms.intrinsic_usd(spot) for terms, qty in group), shares * spot) for spot in spots)
