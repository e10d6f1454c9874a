"""Gamma exposure at other spots, and the spots at which it changes its sign: the zero-gamma flip, by pricing again.

Every contract is priced again at each spot with its own time and volatility. Which volatility moves where is a choice
(`Stickiness`): a strike keeps its own, or the smile moves along with the spot. The flip of strikes that merely change sign along
the chain is another quantity (`exposure.Levels.strike_flip`).

In: columns of contracts, one row each. Out: GammaProfile. Floor 1: numpy; the compiled sum is loaded when something is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.options.black import Floats

REACH_FRAC = 0.10  # flips are looked for so far on both sides of the spot
STEP_FRAC = 0.001
NOISE_FRAC = 0.01  # of the largest |G|: a part of one sign that stays below it is noise of the tails
ROOT_TOL_FRAC = 1e-12
ROOT_STEPS = 60


class Stickiness(Enum):
    """What a volatility belongs to when the spot moves. STRIKE: its strike. MONEYNESS: its distance from the spot, ln(K / S)."""

    STRIKE = "strike"
    MONEYNESS = "moneyness"


@dataclass(frozen=True, slots=True)
class Weighted:
    """Contracts that can be priced, one row each; `weight` is sign × contracts × shares a contract."""

    strike: Floats
    years: Floats  # > 0
    vol: Floats  # > 0
    rate: Floats
    dividend_yield: Floats
    weight: Floats
    series: NDArray[np.int64]  # root and expiry as one number: contracts with one smile


@dataclass(frozen=True, slots=True)
class GammaProfile:
    """Net gamma exposure over a grid of spots, in the unit asked for, and where it is 0."""

    spots: Floats  # (n,) [USD], ascending, the present spot in the middle
    net: Floats  # (n,); NaN when there is no contract that can be priced
    spot: float
    flips: tuple[float, ...]  # every root, ascending [USD]
    reason: str  # why there is no flip; empty when there is one
    curve: Callable[[float], float] = field(repr=False, compare=False)

    @property
    def flip(self) -> float | None:
        """The root nearest to the spot, None when there is none."""
        return min(self.flips, key=lambda root: (abs(root - self.spot), root)) if self.flips else None

    @property
    def regime(self) -> int:
        """+1: dealers are long gamma at the spot (their hedging dampens moves), -1: short (it amplifies them), 0: neither."""
        return int(np.sign(self.curve(self.spot)))


def gamma_profile(
    spot: float,
    contracts: Weighted,
    *,
    power: int,
    scale: float,
    stickiness: Stickiness = Stickiness.STRIKE,
    reach_frac: float = REACH_FRAC,
    step_frac: float = STEP_FRAC,
) -> GammaProfile:
    """Return net gamma × spot^power × scale over a grid around the spot, with its roots.

    Parameters
    ----------
    spot : float                            [USD], > 0.
    contracts : Weighted
    power, scale                            Of the unit: (2, 0.01) per 1 %, (1, 1) per point, (0, 1) in shares.
    stickiness : Stickiness
    reach_frac, step_frac : float           Of the grid, as shares of the spot: 0.1 and 0.001 make 201 spots.
    """
    net = net_of(spot, contracts, power=power, scale=scale, stickiness=stickiness)
    steps = round(reach_frac / step_frac)
    spots: Floats = spot * (1 + step_frac * np.arange(-steps, steps + 1, dtype=np.float64))
    values = net(spots) if len(contracts.strike) else np.full(len(spots), np.nan)

    def curve(level: float) -> float:
        return float(net(np.array([level]))[0])

    flips = roots(spots, values, curve)
    return GammaProfile(spots, values, spot, flips, "" if flips else _why_none(spots, values), curve)


def net_of(
    spot: float, contracts: Weighted, *, power: int, scale: float, stickiness: Stickiness = Stickiness.STRIKE
) -> Callable[[Floats], Floats]:
    """Return the function that gives net gamma × spot^power × scale at any spots (array in, array out)."""
    from workbench.options import kernel_exposure  # numba costs 0.4 s

    run: Any = kernel_exposure.net_gammas
    c = contracts
    root = np.sqrt(c.years)
    grown = c.weight * np.exp(-c.dividend_yield * c.years) / math.sqrt(2 * math.pi)
    carried = np.log(c.strike) - (c.rate - c.dividend_yield) * c.years

    def at(spots: Floats, vol: Floats) -> Floats:
        s = vol * root
        out = np.empty(len(spots))
        run(np.log(spots), carried - 0.5 * s * s, 1 / s, grown / s, out)
        return scale * out * spots ** (power - 1)

    if stickiness is Stickiness.STRIKE:
        return lambda spots: at(np.asarray(spots, float), c.vol)
    moved = _moving_smile(spot, c)
    return lambda spots: np.concatenate([at(np.array([level]), moved(level)) for level in np.asarray(spots, float)])


def roots(spots: Floats, values: Floats, curve: Callable[[float], float], noise_frac: float = NOISE_FRAC) -> tuple[float, ...]:
    """Return where the curve crosses 0 on the grid, each crossing refined; ignores those that lead into noise.

    Parts of one sign whose largest |value| is below `noise_frac` of all are noise: what counts is the change from one of the other
    parts to the next. How flat the curve is where it crosses does not matter.
    """
    loud = noise_frac * np.abs(values).max(initial=0.0)
    told = np.flatnonzero(values)
    parts = np.split(told, np.flatnonzero(np.diff(np.sign(values[told]))) + 1) if len(told) else []
    heard = [i for i, part in enumerate(parts) if np.abs(values[part]).max() >= loud]
    found = []
    for before, after in pairwise(heard):
        if (after - before) % 2 == 0:  # of the same sign: in between it dips into the noise
            continue
        for i in range(before, after):
            last, first = int(parts[i][-1]), int(parts[i + 1][0])
            if first == last + 1:
                found.append(_ridders(curve, float(spots[last]), float(spots[first])))
            elif first == last + 2:
                found.append(float(spots[last + 1]))  # exactly 0 there
    return tuple(found)


def _ridders(curve: Callable[[float], float], low: float, high: float) -> float:
    """Return the root between two ends of opposite sign, by Ridders' method: it never leaves them."""
    f_low, f_high = curve(low), curve(high)
    answer = low
    for _ in range(ROOT_STEPS):
        middle = 0.5 * (low + high)
        f_middle = curve(middle)
        turn = math.sqrt(f_middle * f_middle - f_low * f_high)
        if f_middle == 0 or turn == 0:
            return middle
        new = middle + (middle - low) * math.copysign(1.0, f_low - f_high) * f_middle / turn
        f_new = curve(new)
        if f_new == 0 or abs(new - answer) <= ROOT_TOL_FRAC * abs(new):
            return new
        answer = new
        if f_middle * f_new < 0:
            low, f_low, high, f_high = middle, f_middle, new, f_new
        elif f_low * f_new < 0:
            high, f_high = new, f_new
        else:
            low, f_low = new, f_new
        if abs(high - low) <= ROOT_TOL_FRAC * abs(new):
            return new
    return answer


def _why_none(spots: Floats, values: Floats) -> str:
    """Return why there is no root, for people."""
    if not np.any(np.nan_to_num(values)):
        return "no gamma: no contract that can be priced is open"
    low, high = f"{spots[0]:,.2f}", f"{spots[-1]:,.2f}"
    if np.all(values >= 0) or np.all(values <= 0):
        return f"net gamma is {'long' if values.max() > 0 else 'short'} everywhere between {low} and {high}"
    return f"between {low} and {high} net gamma changes its sign only into parts that stay below {NOISE_FRAC:.0%} of its largest value"


def _moving_smile(spot: float, c: Weighted) -> Callable[[float], Floats]:
    """Return the function that gives every contract's volatility at another spot when the smile moves along with it.

    A contract changes by what its series' smile, linear between strikes and flat beyond them, changes between its old distance
    from the spot and its new one; so at the present spot each keeps its own.
    """
    order = np.lexsort((c.strike, c.series))
    log_strike = np.log(c.strike[order])
    smiles = []
    for rows in np.split(np.arange(len(order)), np.flatnonzero(np.diff(c.series[order])) + 1) if len(order) else ():
        x, at = np.unique(log_strike[rows], return_inverse=True)
        smile = np.bincount(at, c.vol[order[rows]]) / np.bincount(at)
        own = c.vol[order[rows]]
        fixed = own - np.interp(log_strike[rows], x, smile)
        smiles.append((order[rows], log_strike[rows], x, smile, fixed, np.minimum(own, smile.min()), np.maximum(own, smile.max())))

    def moved(level: float) -> Floats:
        vol, step = np.empty_like(c.vol), math.log(level / spot)
        for rows, now, x, smile, fixed, least, most in smiles:
            vol[rows] = np.clip(fixed + np.interp(now - step, x, smile), least, most)
        return vol

    return moved
