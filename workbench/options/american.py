"""Prices and volatilities of options that may be exercised early, and what early exercise is worth, in USD.

In: as `black.price`, and dividends in USD where they are known by date. Out: AmericanPrices, one status a contract. Which roots are
American, and which deliver shares, is told by `expiry.style`.

Models: none is needed where early exercise is worth nothing for certain (a call without dividends at a rate of 0 or more, a put at
a rate of 0 or less with a yield of 0 or more): Black-Scholes-Merton is exact there. Otherwise the Andersen-Lake-Offengenden
integral equation with a continuous yield, by our own kernel for chains and grids (`Precision.KERNEL`) or by QuantLib (QdFp);
finite differences where dividends are dated. For screens, `is_screen` takes
Black-Scholes-Merton in the last two days before expiry when no dividend lies between: the premium is tiny there.

Floor 1: numpy; numba by the kernel; QuantLib (extra `options`) is imported when it is asked.

Source: Andersen, Lake, Offengenden, High-performance American option pricing (2016). Measured against QuantLib's high precision
on the table of the tests, spots of 36 to 110: `Precision.ACCURATE` within 2e-5 USD, `KERNEL` within 2e-4, `FAST` within 1e-3; on 1,000
random contracts with a spot of 100, up to three years: `KERNEL` within 1e-4, `FAST` within 4e-3.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import ConfigError
from workbench.options import black
from workbench.options.black import Floats, sign
from workbench.options.implied import TICK_USD, Implied, IvStatus, implied_vol

GRID_DAYS = 10_000  # the engine's own calendar: all of an option's life, cut so finely
FD_STEPS = 800
SCREEN_DAYS = 2
NO_VALUE_FRAC = 1e-7  # of the strike: what waiting has to be worth at least to be told from nothing
VOL_RANGE = (1e-4, 5.0)
PREMIUM_THAT_COUNTS_FRAC = 0.01  # below it, of the price, Black-Scholes-Merton implies the volatility


class Precision(Enum):
    """How hard the integral equation is worked on: QuantLib's schemes, or our kernel, which takes whole arrays at once."""

    KERNEL = "kernel"
    FAST = "fastScheme"
    ACCURATE = "accurateScheme"
    REFERENCE = "highPrecisionScheme"


class AmericanStatus(IntEnum):
    """What stands behind a price."""

    OK = 0
    EXERCISE_NOW = 1  # worth no more than exercising: whoever holds it should
    EUROPEAN = 2  # early exercise is worth nothing, or is left out for a screen
    EXPIRED = 3
    MISSING = 4
    BAD_INPUT = 5
    FAILED = 6  # the engine gave up


@dataclass(frozen=True, slots=True)
class Dividend:
    """A dividend in USD, so many years from now by the clock of the option's own `years`."""

    years: float
    amount_usd: float


@dataclass(frozen=True, slots=True)
class AmericanPrices:
    """Arrays of one shape; prices are NaN for MISSING, BAD_INPUT and FAILED."""

    price_usd: Floats
    premium_usd: Floats  # what early exercise adds to the price of the European twin, under the same dividends
    status: NDArray[np.int8]  # AmericanStatus


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
    dividends: Sequence[Dividend] = (),
    precision: Precision = Precision.ACCURATE,
    is_screen: bool = False,
) -> AmericanPrices:
    """Return price, exercise premium and status of each American option.

    Parameters
    ----------
    spot, strike, years, rate, vol, right, dividend_yield   As `black.price`; bad numbers get a status here.
    dividends : sequence of Dividend        Of the one underlying that all contracts share; those after expiry are left out.
    precision : Precision                   Without dated dividends. What the kernel does not reach (next to no volatility beside
                                            r - q, negative yields and rates) it leaves to QuantLib.
    is_screen : bool                        Leave the premium out where it is tiny (see above).

    Raises
    ------
    ConfigError                             If QuantLib is asked and not installed.
    ValueError                              For shapes that don't meet, and a right that is neither.
    """
    columns = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (spot, strike, years, rate, vol, dividend_yield)), sign(right))
    shape = columns[0].shape
    prices, premiums, status = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, np.int8)
    is_left = np.ones(shape, np.bool_)
    if precision is Precision.KERNEL:
        precision = Precision.ACCURATE  # for what is left
        if not dividends:
            is_left = _by_kernel(columns, prices, premiums, status, is_screen=is_screen)
    for i in map(tuple, np.argwhere(is_left)):
        inputs = [float(column[i]) for column in columns]
        prices[i], premiums[i], status[i] = _one(inputs, dividends, precision, is_screen=is_screen)
    return AmericanPrices(prices, premiums, status)


def _by_kernel(
    columns: Sequence[Floats], prices: Floats, premiums: Floats, status: NDArray[np.int8], *, is_screen: bool
) -> NDArray[np.bool_]:
    """Write what the kernel prices; return which contracts are left: those it does not reach, and those that need no engine."""
    spot, strike, years, rate, vol, dividend_yield, cp = columns
    with np.errstate(invalid="ignore"):
        is_good = np.isfinite(np.stack(columns)).all(axis=0) & (spot > 0) & (strike > 0) & (vol >= 0) & (vol <= black.MAX_VOL)
        earns = np.where(cp > 0, dividend_yield > 0, rate > 0)  # below the boundary, more than it costs
        here = is_good & (years > 0) & (vol > 0) & earns & ~(is_screen & (years * black.DAYS_PER_YEAR <= SCREEN_DAYS))
    is_over = is_good & (years <= 0)
    prices[is_over], premiums[is_over] = np.maximum(cp * (spot - strike), 0.0)[is_over], 0.0
    status[is_over] = AmericanStatus.EXPIRED
    if not here.any():
        return np.array(~is_over)
    from workbench.options import kernel_american  # numba costs 0.4 s

    inputs = [np.ascontiguousarray(column[here]) for column in columns]
    n = len(inputs[0])
    out, added, told = np.empty(n), np.empty(n), np.empty(n, np.int8)
    run: Any = kernel_american.prices
    run(*inputs, out, added, told)
    prices[here], premiums[here] = out, added
    status[here] = np.where(told == kernel_american.EXERCISE_NOW, AmericanStatus.EXERCISE_NOW, AmericanStatus.OK)
    is_left = np.array(~(here | is_over))
    is_left[here] = told == kernel_american.NOT_HERE
    return is_left


def implied(
    price_usd: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    right: str,
    *,
    dividend_yield: float = 0.0,
    dividends: Sequence[Dividend] = (),
    precision: Precision = Precision.ACCURATE,
    tick_usd: float = TICK_USD,
) -> Implied:
    """Return the volatility of one American price and its status; Black-Scholes-Merton's where exercise adds less than 1 %.

    The engine is inverted by Brent's method between 0.01 % and 500 %.
    """
    cp = float(sign(right))
    precision = Precision.ACCURATE if precision is Precision.KERNEL else precision
    plain = implied_vol(price_usd, spot, strike, years, rate, right, dividend_yield=dividend_yield, tick_usd=tick_usd)
    within = _within(dividends, years)
    if IvStatus(int(plain.status)) in _SETTLED or (not within and is_european(cp, rate, dividend_yield)):
        return plain
    above = price_usd - max(cp * (spot - strike), 0.0)
    if above <= 0:
        return _no_vol(IvStatus.ZERO_TIME_VALUE if above >= -tick_usd else IvStatus.BELOW_INTRINSIC)
    try:
        at = _engine(cp, spot, strike, years, rate, dividend_yield, within, precision)
        if plain.status == IvStatus.OK and not within and at(float(plain.vol)) - price_usd <= PREMIUM_THAT_COUNTS_FRAC * price_usd:
            return plain
        if at(VOL_RANGE[0]) >= price_usd:
            return _no_vol(IvStatus.ZERO_TIME_VALUE)
        if at(VOL_RANGE[1]) <= price_usd:
            return _no_vol(IvStatus.ABOVE_MAX)
        found = _quantlib().Brent().solve(lambda vol: at(vol) - price_usd, 1e-10, 0.3, *VOL_RANGE)
    except RuntimeError:  # QuantLib's own
        return _no_vol(IvStatus.BAD_INPUT)
    return Implied(np.array(found), np.array(IvStatus.OK, np.int8))


_SETTLED = frozenset({IvStatus.EXPIRED, IvStatus.MISSING, IvStatus.BAD_INPUT})


def _no_vol(status: IvStatus) -> Implied:
    return Implied(np.array(np.nan), np.array(status, np.int8))


def is_european(cp: float, rate: float, dividend_yield: float) -> bool:
    """Return whether early exercise is worth nothing for certain, without dated dividends. cp: +1 call, -1 put."""
    return (dividend_yield <= 0 <= rate) if cp > 0 else (rate <= 0 <= dividend_yield)


def is_call_at_risk(bid_usd: float, spot: float, strike: float, dividend_usd: float) -> bool:
    """Return whether the holder of a call gains by exercising before the ex-date: the dividend is more than the time value left.

    Whoever is short such a call should expect to be assigned. `bid_usd`: what the holder would get by selling instead.
    """
    return spot > strike and dividend_usd > bid_usd - (spot - strike)


def _one(
    inputs: Sequence[float], dividends: Sequence[Dividend], precision: Precision, *, is_screen: bool
) -> tuple[float, float, AmericanStatus]:
    """Return price, premium and status of one contract: spot, strike, years, rate, vol, dividend yield, +1 or -1."""
    spot, strike, years, rate, vol, dividend_yield, cp = inputs
    if any(math.isnan(x) for x in inputs):
        return math.nan, math.nan, AmericanStatus.MISSING
    if any(math.isinf(x) for x in inputs) or spot <= 0 or strike <= 0 or vol < 0 or vol > black.MAX_VOL:
        return math.nan, math.nan, AmericanStatus.BAD_INPUT
    intrinsic = max(cp * (spot - strike), 0.0)
    if years <= 0:
        return intrinsic, 0.0, AmericanStatus.EXPIRED
    right = "C" if cp > 0 else "P"
    within = _within(dividends, years)
    european = float(black.price(spot, strike, years, rate, vol, right, dividend_yield=dividend_yield))
    is_brief = is_screen and years * black.DAYS_PER_YEAR <= SCREEN_DAYS
    if not within and (is_brief or is_european(cp, rate, dividend_yield)):
        return max(european, intrinsic), 0.0, AmericanStatus.EUROPEAN  # rounding may leave the European price a digit below
    try:
        value = max(_engine(cp, spot, strike, years, rate, dividend_yield, within, precision)(vol), intrinsic)
        if within:
            european = _engine(cp, spot, strike, years, rate, dividend_yield, within, precision, is_american=False)(vol)
    except RuntimeError:  # QuantLib's own
        return math.nan, math.nan, AmericanStatus.FAILED
    state = AmericanStatus.EXERCISE_NOW if intrinsic > 0 and value - intrinsic <= NO_VALUE_FRAC * strike else AmericanStatus.OK
    return value, max(value - european, 0.0), state


def _within(dividends: Sequence[Dividend], years: float) -> tuple[Dividend, ...]:
    return tuple(d for d in dividends if 0 <= d.years <= years and d.amount_usd > 0)


def _engine(
    cp: float,
    spot: float,
    strike: float,
    years: float,
    rate: float,
    dividend_yield: float,
    dividends: tuple[Dividend, ...],
    precision: Precision,
    *,
    is_american: bool = True,
) -> Callable[[float], float]:
    """Return price as a function of volatility.

    QuantLib measures time in days. Only r·T, q·T and v²·T matter, so every option lives GRID_DAYS of the engine's calendar and
    its rates are scaled: exact to the minute. The calendar begins so late that QuantLib's own clock is never asked.
    """
    ql = _quantlib()
    start = ql.Date(1, 1, 2150)
    stretch = years / (GRID_DAYS / 365)
    vol_quote = ql.SimpleQuote(0.2)
    count = ql.Actual365Fixed()

    def curve(level: float) -> Any:
        return ql.YieldTermStructureHandle(ql.FlatForward(start, level * stretch, count))

    surface = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(start, ql.NullCalendar(), ql.QuoteHandle(vol_quote), count))
    process = ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(spot)), curve(dividend_yield), curve(rate), surface)
    kind = ql.Option.Call if cp > 0 else ql.Option.Put
    end = start + GRID_DAYS
    exercise = ql.AmericanExercise(start, end) if is_american else ql.EuropeanExercise(end)
    option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, strike), exercise)
    if dividends:
        days = [start + max(round(d.years / years * GRID_DAYS), 1) for d in dividends]
        schedule = ql.DividendVector(days, [d.amount_usd for d in dividends])
        option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, schedule, FD_STEPS, FD_STEPS))
    else:
        option.setPricingEngine(ql.QdFpAmericanEngine(process, getattr(ql.QdFpAmericanEngine, precision.value)()))

    def at(vol: float) -> float:
        vol_quote.setValue(vol * math.sqrt(stretch))
        return float(option.NPV())

    return at


@functools.cache
def _quantlib() -> Any:
    try:
        import QuantLib
    except ImportError:
        raise ConfigError("American exercise: QuantLib is not installed; next: pip install 'workbench[options]'") from None
    return QuantLib
