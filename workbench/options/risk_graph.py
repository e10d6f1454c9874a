"""What a structure is worth at any spot, at any moment before its first expiry, at any change of volatility; its greeks and chances.

In: a Structure and a Scene (spot, and for each leg time, volatility, rate, yield). Out: arrays over whole grids, USD of the whole
structure. Each leg keeps its own time and its own volatility, so calendars come out right; a change of volatility is in points for
all legs alike, and the smile keeps to its strikes. American legs are priced with early exercise wherever it can be worth anything.

Time passes in years of the clock that measured `Scene.years`: `clocks.years_to_expiry(now, then)`. A leg without volatility makes
the value NaN: missing, never guessed.

Floor 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import RecordError
from workbench.options import american
from workbench.options.american import AmericanPrices, Precision
from workbench.options.black import DAYS_PER_YEAR, Floats, Greeks, normal_cdf
from workbench.options.clocks import TimeClock, years_to_expiry
from workbench.options.expiry import terms
from workbench.options.implied import fast_greeks
from workbench.options.payoff import payoff
from workbench.options.structures import Leg, Structure
from workbench.sessions import SessionCalendar

LEAST_SPOT_FRAC = 1e-4  # of the spot: as good as nothing
SPREAD_SD = 4.0  # a graph shows so many deviations either side
SEARCH_SD = 10.0  # break-evens by a model are looked for so far out
SEARCH_POINTS = 2001
HALVINGS = 50
SAME_INSTANT_YEARS = 1e-12
BUMP_SPOT, BUMP_VOL, BUMP_TIME, BUMP_RATE = 1e-3, 1e-3, 1e-2, 1e-4  # of what early exercise adds; relative but for vol and rate


@dataclass(frozen=True, slots=True)
class Scene:
    """The market that a structure is valued in: one number a leg, NaN for shares and where it is missing."""

    spot_usd: float
    years: Floats  # to each leg's own expiry, by one clock
    vol: Floats  # implied with that clock
    rate: Floats
    dividend_yield: Floats

    @property
    def first_years(self) -> float:
        """Time to the first expiry; inf without options."""
        return float(np.min(self.years[np.isfinite(self.years)], initial=np.inf))


@dataclass(frozen=True, slots=True)
class StructureGreeks:
    """Value and greeks of the whole structure, quantity and multiplier included, arrays of one shape."""

    value_usd: Floats
    delta_shares: Floats  # worth as many shares
    gamma_shares_per_usd: Floats
    vega_usd_per_point: Floats  # all volatilities up by one point
    theta_usd_per_day: Floats  # calendar day, 1/365 year of the clock
    rho_usd_per_pct: Floats

    def delta_usd_per_pct(self, spot_usd: ArrayLike) -> Floats:
        """Return what a move of 1 % brings by delta alone."""
        return self.delta_shares * np.asarray(spot_usd, np.float64) * 0.01


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may come of it at the first expiry [USD]. `is_exact`: the line at expiry; else by model, and rounded by its grid.

    `p_profit`: risk-neutral, by one volatility for all spots, `p_vol`; NaN where cost or volatility is missing.
    """

    break_evens_usd: tuple[float, ...]
    best_usd: float
    worst_usd: float
    p_profit: float
    p_vol: float
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A structure in its scene with what it costs; NaN where that is missing."""

    structure: Structure
    scene: Scene
    cost_usd: float


def make_scene(
    structure: Structure,
    *,
    spot_usd: float,
    vols: Sequence[float | None],
    now_ns: int,
    clock: TimeClock,
    calendar: SessionCalendar,
    rate: float | Sequence[float] = 0.0,
    dividend_yield: float | Sequence[float] = 0.0,
) -> Scene:
    """Return the scene of a structure now.

    Parameters
    ----------
    vols : sequence                         One a leg, by `clock`; None or NaN is missing; not asked for shares.
    rate, dividend_yield                    Continuous, per year of `clock`; one for all or one a leg.

    Raises
    ------
    RecordError                             If there are more or fewer volatilities than legs.
    CalendarError                           If an expiry lies outside the calendar.
    """
    n = len(structure.legs)
    if len(vols) != n:
        raise RecordError(f"vols: received {len(vols)}; allowed: {n}, one a leg")
    ends = [terms(leg.contract, calendar).expiry_ns if leg.contract else None for leg in structure.legs]
    years = [math.nan if end is None else float(years_to_expiry(now_ns, end, clock, calendar=calendar)) for end in ends]
    known = [math.nan if vol is None else float(vol) for vol in vols]
    return Scene(
        float(spot_usd),
        np.array(years),
        np.array(known),
        np.broadcast_to(np.asarray(rate, np.float64), n).copy(),
        np.broadcast_to(np.asarray(dividend_yield, np.float64), n).copy(),
    )


def value(structure: Structure, scene: Scene, spot_usd: ArrayLike, *, years_passed: ArrayLike = 0.0, vol_shift: ArrayLike = 0.0) -> Floats:
    """Return the structure's value [USD] at each spot, moment and change of volatility, broadcast.

    Parameters
    ----------
    spot_usd : float64                      Above 0.
    years_passed : float64                  From the scene's moment, 0 or more; with several expiries at most to the first.
    vol_shift : float64                     Added to each volatility (0.01 is a point); none falls below 0.

    Raises
    ------
    RecordError                             If time passes beyond the first of several expiries, or spot is not above 0.
    """
    spot, passed, shift = _grid(structure, scene, spot_usd, years_passed, vol_shift)
    total = np.zeros(spot.shape)
    for i, leg in enumerate(structure.legs):
        total += leg.units * (spot if leg.contract is None else _price(leg, _inputs(leg, scene, i, spot, passed, shift)))
    return total


def profit(plan: Plan, spot_usd: ArrayLike, *, years_passed: ArrayLike = 0.0, vol_shift: ArrayLike = 0.0) -> Floats:
    """Return value less cost [USD]; parameters and errors as `value`."""
    return value(plan.structure, plan.scene, spot_usd, years_passed=years_passed, vol_shift=vol_shift) - plan.cost_usd


def overlay(plans: Sequence[Plan], spot_usd: ArrayLike, *, years_passed: ArrayLike = 0.0, vol_shift: ArrayLike = 0.0) -> Floats:
    """Return the profit of several plans on one grid, shape (n, …); parameters as `value`.

    A plan whose first expiry comes before the moment asked for is held at that expiry where it has one expiry, NaN where several.
    """
    shape = np.broadcast_shapes(*(np.shape(x) for x in (spot_usd, years_passed, vol_shift)))
    out = np.full((len(plans), *shape), np.nan)
    for row, plan in zip(out, plans, strict=True):
        is_late = np.asarray(years_passed, np.float64) > plan.scene.first_years + SAME_INSTANT_YEARS
        if plan.structure.has_one_expiry or not is_late.any():
            row[...] = profit(plan, spot_usd, years_passed=years_passed, vol_shift=vol_shift)
        else:
            held = profit(plan, spot_usd, years_passed=np.minimum(years_passed, plan.scene.first_years), vol_shift=vol_shift)
            row[...] = np.where(is_late, np.nan, held)
    return out


def greeks(
    structure: Structure,
    scene: Scene,
    spot_usd: ArrayLike | None = None,
    *,
    years_passed: ArrayLike = 0.0,
    vol_shift: ArrayLike = 0.0,
) -> StructureGreeks:
    """Return value and greeks at each spot (the scene's without one), moment and change of volatility; errors as `value`."""
    at = scene.spot_usd if spot_usd is None else spot_usd
    spot, passed, shift = _grid(structure, scene, at, years_passed, vol_shift)
    sums = np.zeros((6, *spot.shape))
    for i, leg in enumerate(structure.legs):
        if leg.contract is None:
            sums[0] += leg.units * spot
            sums[1] += leg.units
        else:
            sums += leg.units * _leg_greeks(leg, _inputs(leg, scene, i, spot, passed, shift))
    return StructureGreeks(*sums)


def outlook(plan: Plan, *, p_vol: float | None = None) -> Outlook:
    """Return break-evens, best and worst outcome and chance of profit at the first expiry.

    `p_vol`: the volatility of the chance; None: `typical_vol` of the structure.
    """
    vol = typical_vol(plan.structure, plan.scene) if p_vol is None else p_vol
    if plan.structure.has_one_expiry:
        line = payoff(plan.structure, plan.cost_usd)
        chance = _chance(plan, line.winning(), vol)
        return Outlook(line.break_evens_usd, line.best_usd, line.worst_usd, chance, vol, True)
    spots = _search_spots(plan, vol)
    outcome = profit(plan, spots, years_passed=plan.scene.first_years)
    if np.isnan(outcome).any():
        return Outlook((), math.nan, math.nan, math.nan, vol, False)
    zeros = _crossings(plan, spots, outcome)
    edges = [0.0, *zeros, math.inf]
    signs = [float(outcome[0]), *(float(profit(plan, z * (1 + 1e-9), years_passed=plan.scene.first_years)) for z in zeros)]
    winning = [(low, high) for low, high, sign in zip(edges[:-1], edges[1:], signs, strict=True) if sign > 0]
    slope = sum(leg.units for leg in plan.structure.legs if leg.contract is None or leg.contract.right == "C")
    best, worst = float(outcome.max()), float(outcome.min())
    chance = _chance(plan, winning, vol)
    return Outlook(zeros, math.inf if slope > 0 else best, -math.inf if slope < 0 else worst, chance, vol, False)


def typical_vol(structure: Structure, scene: Scene) -> float:
    """Return one volatility for all legs: their mean, weighted by what a point of each is worth; NaN where one is missing."""
    vegas, vols = [], []
    for i, leg in enumerate(structure.legs):
        if leg.contract is not None:
            spot = np.array(scene.spot_usd)
            inputs = _inputs(leg, scene, i, spot, np.zeros(()), np.zeros(()))
            vegas.append(abs(leg.units) * float(_black(inputs).vega_usd_per_vol))
            vols.append(float(scene.vol[i]))
    if not vols:
        return math.nan
    total = math.fsum(vegas)
    return math.fsum(w * v for w, v in zip(vegas, vols, strict=True)) / total if total > 0 else math.fsum(vols) / len(vols)


def p_between(low: float, high: float, *, spot: float, years: float, rate: float, vol: float, dividend_yield: float = 0.0) -> float:
    """Return the risk-neutral chance to end between two spots at one volatility: N(d2(low)) - N(d2(high)).

    Example: S 600, low 599.58, high inf, 360 minutes, vol 0.2358 -> 0.544
    """
    moves = vol * math.sqrt(max(years, 0.0))

    def above(level: float) -> float:
        if level <= 0 or math.isinf(level):
            return 0.0 if level > 0 else 1.0
        ahead = math.log(spot / level) + (rate - dividend_yield) * years
        return float(normal_cdf((ahead - 0.5 * moves * moves) / moves)) if moves > 0 else float(ahead > 0)

    return above(low) - above(high) if math.isfinite(moves) else math.nan


def graph_spots(plans: Sequence[Plan], *, n: int = 401) -> Floats:
    """Return spots for a graph of all plans: so wide that all strikes and four deviations are seen, with every strike among them."""
    low, high, strikes = math.inf, 0.0, [float(leg.contract.strike) for p in plans for leg in p.structure.legs if leg.contract]
    for plan in plans:
        moves = np.nan_to_num(plan.scene.vol * np.sqrt(plan.scene.years)).max(initial=0.02)
        low = min(low, plan.scene.spot_usd * math.exp(-SPREAD_SD * moves))
        high = max(high, plan.scene.spot_usd * math.exp(SPREAD_SD * moves))
    low, high = min([low, *(k * 0.98 for k in strikes)]), max([high, *(k * 1.02 for k in strikes)])
    return np.unique(np.concatenate([np.linspace(low, high, n), strikes]))


# -- one leg --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What one option is priced with: arrays of one shape, numbers."""

    spot: Floats
    strike: float
    years: Floats
    rate: float
    vol: Floats
    right: str
    dividend_yield: float


def _inputs(leg: Leg, scene: Scene, i: int, spot: Floats, passed: Floats, shift: Floats) -> _Inputs:
    assert leg.contract is not None  # callers ask for options only
    years, vol = np.maximum(scene.years[i] - passed, 0.0), np.maximum(scene.vol[i] + shift, 0.0)
    strike, right = float(leg.contract.strike), leg.contract.right
    return _Inputs(spot, strike, years, float(scene.rate[i]), vol, right, float(scene.dividend_yield[i]))


def _grid(structure: Structure, scene: Scene, spot: ArrayLike, passed: ArrayLike, shift: ArrayLike) -> tuple[Floats, Floats, Floats]:
    s, t, v = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (spot, passed, shift)))
    if not structure.has_one_expiry and (t > scene.first_years + SAME_INSTANT_YEARS).any():
        raise RecordError(
            f"years_passed: received {float(t.max()):.6g}; allowed: 0 to {scene.first_years:.6g}, the first of several expiries"
        )
    return s, t, v


def _is_european(leg: Leg, x: _Inputs) -> bool:
    return not leg.is_american or american.is_european(1.0 if x.right == "C" else -1.0, x.rate, x.dividend_yield)


def _price(leg: Leg, x: _Inputs) -> Floats:
    return _black(x).price_usd if _is_european(leg, x) else _american(x).price_usd


def _black(x: _Inputs) -> Greeks:
    return fast_greeks(x.spot, x.strike, x.years, x.rate, x.vol, x.right, dividend_yield=x.dividend_yield)


def _american(x: _Inputs) -> AmericanPrices:
    return american.price(x.spot, x.strike, x.years, x.rate, x.vol, x.right, dividend_yield=x.dividend_yield, precision=Precision.KERNEL)


def _leg_greeks(leg: Leg, x: _Inputs) -> Floats:
    """Return (6, …): value, delta, gamma, vega per point, theta per day, rho per % of one unit bought."""
    g = _black(x)
    out = np.stack([g.price_usd, g.delta, g.gamma_per_usd, g.vega_usd_per_point, g.theta_usd_per_year / DAYS_PER_YEAR, g.rho_usd_per_pct])
    return out if _is_european(leg, x) else out + _early(x)


def _early(x: _Inputs) -> Floats:
    """Return what early exercise adds to value and greeks, by central differences of its worth alone: that is small and smooth."""

    def worth(**changed: Any) -> Floats:
        return _american(replace(x, **changed)).premium_usd

    step = BUMP_SPOT * x.spot
    here, up, down = worth(), worth(spot=x.spot + step), worth(spot=x.spot - step)
    low, high = np.maximum(x.vol - BUMP_VOL, 0.0), x.vol + BUMP_VOL
    short, long = x.years * (1 - BUMP_TIME), x.years * (1 + BUMP_TIME)
    gone = np.where(x.years > 0, long - short, np.inf)
    least = 0.0 if 0 <= x.rate < BUMP_RATE else x.rate - BUMP_RATE  # below 0 with a lower yield a put has two boundaries: no price
    return np.stack(
        [
            here,
            (up - down) / (2 * step),
            (up - 2 * here + down) / step**2,
            0.01 * (worth(vol=high) - worth(vol=low)) / (high - low),
            -(worth(years=long) - worth(years=short)) / gone / DAYS_PER_YEAR,
            0.01 * (worth(rate=x.rate + BUMP_RATE) - worth(rate=least)) / (x.rate + BUMP_RATE - least),
        ]
    )


# -- outcomes by model ----------------------------------------------------------------------------------------------------------------


def _chance(plan: Plan, winning: Sequence[tuple[float, float]], vol: float) -> float:
    scene = plan.scene
    if math.isnan(plan.cost_usd) or math.isnan(vol) or not math.isfinite(scene.first_years):
        return math.nan
    first = int(np.nanargmin(scene.years))
    rate, dividend_yield = float(scene.rate[first]), float(scene.dividend_yield[first])
    to = {"spot": scene.spot_usd, "years": scene.first_years, "rate": rate, "vol": vol, "dividend_yield": dividend_yield}
    return math.fsum(p_between(low, high, **to) for low, high in winning)


def _search_spots(plan: Plan, vol: float) -> Floats:
    """Return spots, evenly apart in their logarithms, with every strike among them."""
    longest = float(np.nanmax(plan.scene.years))
    moves = max(SEARCH_SD * (vol if math.isfinite(vol) else 0.2) * math.sqrt(longest), 0.5)
    strikes = [float(leg.contract.strike) for leg in plan.structure.legs if leg.contract]
    around = np.geomspace(plan.scene.spot_usd * math.exp(-moves), plan.scene.spot_usd * math.exp(moves), SEARCH_POINTS)
    return np.unique(np.concatenate([around, strikes, [plan.scene.spot_usd * LEAST_SPOT_FRAC]]))


def _crossings(plan: Plan, spots: Floats, outcome: Floats) -> tuple[float, ...]:
    """Return where the profit at the first expiry changes its sign, by halving every interval at whose ends it differs."""
    at = np.flatnonzero(outcome[:-1] * outcome[1:] < 0)
    low, high, sign = spots[at], spots[at + 1], np.sign(outcome[at])
    for _ in range(HALVINGS if len(at) else 0):
        middle = 0.5 * (low + high)
        is_left = np.sign(profit(plan, middle, years_passed=plan.scene.first_years)) == sign
        low, high = np.where(is_left, middle, low), np.where(is_left, high, middle)
    return tuple(sorted({*(0.5 * (low + high)).tolist(), *spots[outcome == 0].tolist()}))
