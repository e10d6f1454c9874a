"""What a structure costs and what it is worth when its options end: exact, leg by leg, without any model.

In: a Structure, quotes of its legs. Out: Prices (mid, natural and theoretical kept apart; one that is missing stays missing), and
Payoff: profit and loss at expiry as a line with corners at the strikes, its break-evens, best and worst outcome.

Amounts are of the whole structure in USD, quantity and multiplier included, without fees. The spot ends between 0 and anything.
Corners and break-evens are found with fractions, so that a premium of 0.1 + 0.2 is 0.3.

Floor 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import RecordError
from workbench.options.black import Floats
from workbench.options.structures import Leg, Structure


@dataclass(frozen=True, slots=True)
class LegQuote:
    """What is told of one leg, per share [USD]; NaN where it is not. `theo_usd`: by a model, whose name the caller knows."""

    bid_usd: float = math.nan
    ask_usd: float = math.nan
    theo_usd: float = math.nan

    @property
    def problem(self) -> str:
        """Why no price can be made of bid and ask; '' where it can. A bid of 0 is no bid."""
        if math.isnan(self.bid_usd) or math.isnan(self.ask_usd):
            return "no quote"
        if self.bid_usd > self.ask_usd or self.bid_usd < 0 or math.isinf(self.ask_usd):
            return f"bad quote {self.bid_usd:g} / {self.ask_usd:g}"
        return "" if self.bid_usd > 0 else "no bid"

    def taken_usd(self, *, is_buy: bool) -> float:
        """Return what a market order pays or gets: the ask or the bid; NaN where nobody stands there."""
        if self.problem not in ("", "no bid"):
            return math.nan
        price = self.ask_usd if is_buy else self.bid_usd
        return price if price > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Prices:
    """What entering costs, three ways, and what leaving at once would bring [USD]; above 0 is paid, below 0 received.

    NaN is missing: none ever stands in for another. `notes` name the legs at fault. `is_bad`: the mid can't be, because the
    outcome is never so good or never so bad; a stale or wrong quote is among the legs, not an opportunity.
    """

    mid_usd: float
    natural_usd: float  # buy at the ask, sell at the bid
    theo_usd: float
    exit_usd: float  # what selling again at once brings: legs bought at the bid, legs sold at the ask
    notes: tuple[str, ...] = ()
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Payoff:
    """Profit and loss at expiry [USD]: straight between `corners_usd`, of which the first is 0, and beyond the last.

    `profit_usd` at the corners; `slope`: USD per USD of spot beyond the last. Everything is NaN where the cost is.
    """

    corners_usd: Floats
    profit_usd: Floats
    slope: float
    break_evens_usd: tuple[float, ...]  # where profit is 0; of a stretch where it is, both ends
    best_usd: float  # inf: no limit
    worst_usd: float  # -inf: no limit

    @property
    def max_profit_usd(self) -> float:
        """The most that can be made; inf without limit."""
        return self.best_usd

    @property
    def max_loss_usd(self) -> float:
        """The most that can be lost, as an amount above 0; inf without limit; below 0 where even the worst outcome earns."""
        return -self.worst_usd

    def at(self, spot_usd: ArrayLike) -> Floats:
        """Return profit at each spot at expiry, of its shape; NaN below 0."""
        spot = np.asarray(spot_usd, np.float64)
        inside = np.interp(spot, self.corners_usd, self.profit_usd)
        beyond = self.profit_usd[-1] + self.slope * (spot - self.corners_usd[-1])
        return np.where(spot > self.corners_usd[-1], beyond, np.where(spot >= 0, inside, np.nan))

    def winning(self) -> list[tuple[float, float]]:
        """Return the ranges of spot that end with a profit, in order; the last may end at inf."""
        edges = [0.0, *(b for b in self.break_evens_usd if b > 0), math.inf]
        return [(low, high) for low, high in pairwise(edges) if float(self.at(_between(low, high))) > 0]


def prices(structure: Structure, quotes: Sequence[LegQuote], *, discount: float = 1.0) -> Prices:
    """Return mid, natural, theoretical and exit price of a structure.

    Parameters
    ----------
    quotes : sequence of LegQuote           One a leg, in its order.
    discount : float                        e^(-rT) to expiry, for the bounds that the mid is held against.

    Raises
    ------
    RecordError                             If there are more or fewer quotes than legs.
    """
    if len(quotes) != len(structure.legs):
        raise RecordError(f"quotes: received {len(quotes)}; allowed: {len(structure.legs)}, one a leg")
    pairs = list(zip(structure.legs, quotes, strict=True))
    mid = _sum(leg.units * (0.5 * (quote.bid_usd + quote.ask_usd) if not quote.problem else math.nan) for leg, quote in pairs)
    natural = _sum(leg.units * quote.taken_usd(is_buy=leg.units > 0) for leg, quote in pairs)
    leaving = _sum(leg.units * quote.taken_usd(is_buy=leg.units < 0) for leg, quote in pairs)
    theo = _sum(leg.units * quote.theo_usd for leg, quote in pairs)
    notes = [f"{_label(structure, leg)}: {quote.problem}" for leg, quote in pairs if quote.problem]
    impossible = _impossible(structure, mid, discount)
    return Prices(mid, natural, theo, leaving, (*notes, *([impossible] if impossible else [])), bool(impossible))


def payoff(structure: Structure, cost_usd: float | None) -> Payoff:
    """Return profit and loss at expiry for what entering cost (0: the bare value at expiry; None or NaN: missing).

    Raises
    ------
    RecordError                             If its options end at different times: the later ones still have a value then, which
                                            takes a model (`risk_graph.py`).

    Example: the call 100 bought for 2.50 -> break-even 102.5, worst -250, best inf
    """
    if not structure.has_one_expiry:
        raise RecordError("payoff: received options of several expiries; allowed: one; next: value the later ones with risk_graph")
    strikes = sorted({Fraction(leg.contract.strike) for leg in structure.legs if leg.contract})
    corners = [Fraction(0), *strikes]
    slope = sum(leg.units for leg in structure.legs if leg.contract is None or leg.contract.right == "C")
    floats = np.array([float(c) for c in corners])
    if cost_usd is None or not math.isfinite(cost_usd):
        return Payoff(floats, np.full(len(corners), np.nan), float(slope), (), math.nan, math.nan)
    profit = [sum((leg.units * _intrinsic(leg, c) for leg in structure.legs), Fraction(0)) - exact(cost_usd) for c in corners]
    return Payoff(
        corners_usd=floats,
        profit_usd=np.array([float(p) for p in profit]),
        slope=float(slope),
        break_evens_usd=tuple(float(z) for z in _zeros(corners, profit, slope)),
        best_usd=math.inf if slope > 0 else float(max(profit)),
        worst_usd=-math.inf if slope < 0 else float(min(profit)),
    )


def exact(x: float) -> Fraction:
    """Return the number that a float was written as: 1/10 for 0.1."""
    return Fraction(str(float(x)))


def _zeros(corners: list[Fraction], profit: list[Fraction], slope: int) -> list[Fraction]:
    """Return where the line is 0: crossings, corners at 0, both ends of a stretch at 0."""
    found = {c for c, p in zip(corners, profit, strict=True) if p == 0}
    for i in range(len(corners) - 1):
        if profit[i] * profit[i + 1] < 0:
            found.add(corners[i] + (corners[i + 1] - corners[i]) * profit[i] / (profit[i] - profit[i + 1]))
    if slope * profit[-1] < 0:
        found.add(corners[-1] - profit[-1] / slope)
    return sorted(found)


def _intrinsic(leg: Leg, spot: Fraction) -> Fraction:
    if leg.contract is None:
        return spot
    strike = Fraction(leg.contract.strike)
    return max(spot - strike if leg.contract.right == "C" else strike - spot, Fraction(0))


def _impossible(structure: Structure, mid_usd: float, discount: float) -> str:
    """Return why a mid can't be: below the least or above the most that the structure brings, now or discounted."""
    if math.isnan(mid_usd) or not structure.has_one_expiry:
        return ""
    bare = payoff(structure, 0.0)
    least, most = min(bare.worst_usd, bare.worst_usd * discount), max(bare.best_usd, bare.best_usd * discount)
    if least - 1e-9 <= mid_usd <= most + 1e-9:
        return ""
    return f"mid {structure.per_share(mid_usd):.4g} outside {structure.per_share(least):g} to {structure.per_share(most):g}: a bad quote"


def _between(low: float, high: float) -> float:
    return 0.5 * (low + high) if math.isfinite(high) else low + 1.0


def _sum(parts: Iterable[float]) -> float:
    values = list(parts)
    return math.fsum(values) if not any(math.isnan(v) for v in values) else math.nan


def _label(structure: Structure, leg: Leg) -> str:
    return structure.underlying if leg.contract is None else leg.contract.label
