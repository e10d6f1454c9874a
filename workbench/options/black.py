"""Prices and greeks of European options by Black, Scholes and Merton: the readable twin, formula by formula.

In: numbers or arrays that numpy can broadcast, `right` 'C' or 'P'. Out: float64 arrays of the common shape; names carry the units.
`kernel.py` gives the same numbers faster; the tests hold the two against each other and against other libraries.

Limits, none of which raises or gives NaN: at or after expiry the price is the intrinsic value and every greek but delta is 0;
without volatility the forward is certain, so the price is its discounted intrinsic value. There delta is all or nothing, one
half where the forward stands exactly at the strike: `is_at_strike` marks those. A missing number (NaN) gives NaN.

Floor 1: numpy; numba for the error function, which numpy lacks.

Source: Hull, Options, Futures, and Other Derivatives, ch. 15 and 19; Haug, The Complete Guide to Option Pricing Formulas, ch. 2.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import RecordError, choices

Floats = NDArray[np.float64]

STILL = 1e-20  # v·√T below this is no volatility at all: any spot is then certain to the last bit
MAX_VOL = 1e12  # nobody means it, but a price near its bound seconds before expiry implies millions; arithmetic stays finite
DAYS_PER_YEAR = 365
TRADING_DAYS_PER_YEAR = 252


@dataclass(frozen=True, slots=True)
class Greeks:
    """Price and greeks of one unit of the underlying (not yet times quantity and multiplier), arrays of one shape.

    The fields are per year and per 1.00 of volatility or rate, as the formulas give them; the properties are what a screen
    shows. Time passes forward: theta and charm are what the next stretch of time adds.
    """

    price_usd: Floats
    delta: Floats  # USD per USD of spot
    gamma_per_usd: Floats  # change of delta per USD of spot
    vega_usd_per_vol: Floats  # per 1.00 of volatility, 100 points
    theta_usd_per_year: Floats
    rho_usd_per_rate: Floats  # per 1.00 of rate, 100 %
    dividend_rho_usd_per_rate: Floats  # per 1.00 of dividend yield
    vanna_per_vol: Floats  # change of delta per 1.00 of volatility
    vomma_usd_per_vol2: Floats  # change of vega per 1.00 of volatility
    charm_per_year: Floats  # change of delta per year
    elasticity: Floats  # % of price per % of spot; NaN where the price is 0
    p_itm: Floats  # risk-neutral chance to end in the money, 0-1
    is_at_strike: NDArray[np.bool_]  # nothing is left to move and spot stands exactly at the strike

    @property
    def theta_usd_per_day(self) -> Floats:
        """Per calendar day."""
        return self.theta_usd_per_year / DAYS_PER_YEAR

    @property
    def theta_usd_per_trading_day(self) -> Floats:
        """Per trading day."""
        return self.theta_usd_per_year / TRADING_DAYS_PER_YEAR

    def theta_usd_per_minute(self, minutes_per_year: float) -> Floats:
        """Per minute of the clock that measured the time, see `clocks.minutes_per_year`."""
        return self.theta_usd_per_year / minutes_per_year

    @property
    def charm_per_day(self) -> Floats:
        """Change of delta per calendar day."""
        return self.charm_per_year / DAYS_PER_YEAR

    @property
    def vega_usd_per_point(self) -> Floats:
        """Per volatility point, e.g. from 20 % to 21 %."""
        return self.vega_usd_per_vol * 0.01

    @property
    def vanna_per_point(self) -> Floats:
        """Change of delta per volatility point."""
        return self.vanna_per_vol * 0.01

    @property
    def rho_usd_per_pct(self) -> Floats:
        """Per 1 % of rate."""
        return self.rho_usd_per_rate * 0.01

    @property
    def dividend_rho_usd_per_pct(self) -> Floats:
        """Per 1 % of dividend yield."""
        return self.dividend_rho_usd_per_rate * 0.01

    def gamma_per_pct(self, spot: ArrayLike) -> Floats:
        """Change of delta for a move of 1 % of `spot` [USD]."""
        return self.gamma_per_usd * np.asarray(spot, float) * 0.01


@dataclass(frozen=True, slots=True)
class Terms:
    """The checked inputs, broadcast, and what every formula shares."""

    spot: Floats
    strike: Floats
    years: Floats  # never below 0
    rate: Floats
    vol: Floats
    cp: Floats  # +1 call, -1 put
    dividend_yield: Floats
    grown: Floats  # e^(-qT), units of the underlying that grow to one
    discount: Floats  # e^(-rT)
    is_still: NDArray[np.bool_]  # nothing is left to move
    moves: Floats  # v·√T; 1 where nothing is left to move, so that no formula divides by 0
    d1: Floats
    d2: Floats


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
) -> Floats:
    """Return the price [USD] of each option: cp·[S e^(-qT) N(cp·d1) - K e^(-rT) N(cp·d2)].

    Parameters
    ----------
    spot, strike : float64                  [USD], > 0.
    years : float64                         To expiry, by the clock that the volatility belongs to (`clocks.py`); <= 0 is expired.
    rate, dividend_yield : float64          Continuous, per year, 0.05 = 5 %.
    vol : float64                           Per √year, 0.2 = 20 %; 0 or more.
    right : 'C' or 'P'                      One for all or an array.

    Returns
    -------
    float64 array of the common shape       [USD]; NaN where an input is NaN.

    Raises
    ------
    RecordError (a ValueError)              If spot or strike is not above 0, vol is negative, or a number is infinite.

    Example: price(42, 40, 0.5, 0.10, 0.20, "C") -> 4.759422
    """
    return _price(checked(spot, strike, years, rate, vol, right, dividend_yield))


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
) -> Greeks:
    """Return price and all greeks of each option; parameters and errors as `price`.

    Example: greeks(55, 60, 0.75, 0.10, 0.30, "C").vega_usd_per_point -> 0.189358
    """
    t = checked(spot, strike, years, rate, vol, right, dividend_yield)
    value = _price(t)
    root = np.where(t.is_still, 1.0, np.sqrt(t.years))
    years_, vol_ = np.where(t.is_still, 1.0, t.years), np.where(t.is_still, 1.0, t.vol)
    held, owed = t.spot * t.grown * t.cp * _cdf(t, t.d1), t.strike * t.discount * t.cp * _cdf(t, t.d2)
    density = np.where(t.is_still, 0.0 * t.d1, np.exp(-0.5 * t.d1 * t.d1) / math.sqrt(2 * math.pi))
    vega = t.spot * t.grown * density * root
    # without volatility the carry of a certain forward stays; after expiry nothing does
    carry = np.where(t.years > 0, t.dividend_yield * held - t.rate * owed, 0.0 * value)
    drift = 2 * (t.rate - t.dividend_yield) * years_ - t.d2 * t.moves
    decay = np.where(t.years > 0, t.dividend_yield * t.cp * t.grown * _cdf(t, t.d1), 0.0 * value)
    delta = t.cp * t.grown * _cdf(t, t.d1)
    return Greeks(
        price_usd=value,
        delta=delta,
        gamma_per_usd=t.grown * density / (t.spot * t.moves),
        vega_usd_per_vol=vega,
        theta_usd_per_year=carry - t.spot * t.grown * density * vol_ / (2 * root),
        rho_usd_per_rate=owed * t.years,
        dividend_rho_usd_per_rate=-held * t.years,
        vanna_per_vol=-t.grown * density * t.d2 / vol_,
        vomma_usd_per_vol2=vega * t.d1 * t.d2 / vol_,
        charm_per_year=decay - t.grown * density * drift / (2 * years_ * t.moves),
        elasticity=delta * t.spot / np.where(value > 0, value, np.nan),
        p_itm=_cdf(t, t.d2),
        is_at_strike=t.is_still & (t.d1 == 0),
    )


def checked(
    spot: ArrayLike, strike: ArrayLike, years: ArrayLike, rate: ArrayLike, vol: ArrayLike, right: ArrayLike, dividend_yield: ArrayLike
) -> Terms:
    """Return the inputs as broadcast arrays with d1 and d2; RecordError names the parameter that is out of range."""
    numbers = [np.asarray(x, np.float64) for x in (spot, strike, years, rate, vol, dividend_yield)]
    s, k, t, r, v, q, cp = np.broadcast_arrays(*numbers, sign(right))
    require("spot", s, ~(s <= 0), "USD above 0")
    require("strike", k, ~(k <= 0), "USD above 0")
    require("vol", v, ~((v < 0) | (v > MAX_VOL)), f"0 to {MAX_VOL:g} (1 = 100 %)")
    for name, x in (("spot", s), ("strike", k), ("years", t), ("rate", r), ("dividend_yield", q)):
        require(name, x, ~np.isinf(x), "finite numbers")
    t = np.where(t < 0, 0.0, t)
    moves = v * np.sqrt(t)
    is_still = moves < STILL
    moves = np.where(is_still, 1.0, moves)
    forward = log_ratio(s, k) + (r - q) * t
    # a certain forward: d1 = d2 = ±∞, 0 exactly at the strike
    d1, d2 = (np.where(is_still, certain(forward), forward / moves + half * moves) for half in (0.5, -0.5))
    return Terms(s, k, t, r, v, cp, q, np.exp(-q * t), np.exp(-r * t), is_still, moves, d1, d2)


def log_ratio(spot: Floats, strike: Floats) -> Floats:
    """Return ln(spot / strike); near the money their difference is exact and their ratio is not."""
    far = (spot - strike) / strike
    is_near = np.abs(far) < 0.5
    return np.where(is_near, np.log1p(np.where(is_near, far, 0.0)), np.log(spot / strike))


def certain(forward: Floats) -> Floats:
    """Return the d1 of a forward that can't move any more: ±40 (N is then 0 or 1 exactly), 0 at the strike, NaN where it is missing."""
    return 40.0 * np.sign(forward)


def sign(right: ArrayLike) -> Floats:
    """Return +1 for 'C', -1 for 'P'; RecordError for anything else."""
    text = np.asarray(right)
    if text.dtype.kind == "S":
        text = text.astype("U")
    is_call = text == "C"
    odd = ~(is_call | (text == "P"))
    if np.any(odd):
        raise RecordError(f"right: received {choices(np.atleast_1d(text)[np.atleast_1d(odd)][0], ('C', 'P'))}")
    return np.where(is_call, 1.0, -1.0)


def require(name: str, values: NDArray[Any], is_good: NDArray[np.bool_], allowed: str) -> None:
    """Raise RecordError that names the first value which is not good."""
    if not np.all(is_good):
        raise RecordError(f"{name}: received {float(np.atleast_1d(values)[~np.atleast_1d(is_good)].ravel()[0])!r}; allowed: {allowed}")


def _price(t: Terms) -> Floats:
    formula = t.cp * (t.spot * t.grown * _cdf(t, t.d1) - t.strike * t.discount * _cdf(t, t.d2))
    intrinsic = t.cp * (t.spot * t.grown - t.strike * t.discount)
    # rounding may leave a hair below 0 in the far wings
    return np.maximum(np.where(t.is_still, intrinsic, formula), 0.0)


def _cdf(t: Terms, d: Floats) -> Floats:
    return normal_cdf(t.cp * d)


def normal_cdf(x: ArrayLike) -> Floats:
    """Return N(x) of the standard normal distribution, right to its last digits in both tails."""
    return _erfc()(-np.asarray(x, np.float64) / math.sqrt(2)) * 0.5


@functools.cache
def _erfc() -> Callable[[Floats], Floats]:
    """Return the C library's erfc as a function of arrays, compiled when it is first asked for."""
    import numba  # 0.4 s: only when something is priced

    @numba.vectorize(["float64(float64)"], cache=True)  # type: ignore[no-untyped-call]
    def erfc(x: float) -> float:
        return math.erfc(x)

    return erfc
