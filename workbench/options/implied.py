"""Implied volatility and greeks of many contracts at once; every contract gets a status, none an exception.

In: prices or quotes, with spot, strike, years, rate, `right`. Out: arrays of one shape; a volatility is NaN exactly where its
status is not OK. The work is done by `kernel.py`; the twin to read is `black.py`.

Floor 1: numpy; the compiled kernel is loaded when something is asked.

Source: P. Jäckel, Let's Be Rational; see `kernel_black.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.options.black import Floats, Greeks, checked, sign

TICK_USD = 0.01


class IvStatus(IntEnum):
    """Whether a contract has an implied volatility, and why not."""

    OK = 0
    ZERO_TIME_VALUE = 1  # the price is its intrinsic value, or 0: any small volatility would do
    BELOW_INTRINSIC = 2  # more than a tick below what exercise is worth: a wrong price, spot or rate
    ABOVE_MAX = 3  # a call for the share's price or more, a put for the discounted strike or more
    EXPIRED = 4
    MISSING = 5  # a number is not there
    BAD_INPUT = 6  # spot or strike not above 0, price negative, a number infinite
    BAD_QUOTE = 7  # crossed, too old, or too wide
    NO_BID = 8  # no mid; what the ask implies stands in a field of its own

    @property
    def text(self) -> str:
        """For people."""
        return _TEXT[self]


_TEXT = {
    IvStatus.OK: "",
    IvStatus.ZERO_TIME_VALUE: "no time value",
    IvStatus.BELOW_INTRINSIC: "below intrinsic value",
    IvStatus.ABOVE_MAX: "above the highest possible price",
    IvStatus.EXPIRED: "expired",
    IvStatus.MISSING: "no price",
    IvStatus.BAD_INPUT: "impossible input",
    IvStatus.BAD_QUOTE: "quote crossed, old or too wide",
    IvStatus.NO_BID: "no bid",
}


@dataclass(frozen=True, slots=True)
class Implied:
    """Volatility of each contract (1 = 100 % per √year of the clock that measured `years`) and its status (IvStatus, int8)."""

    vol: Floats
    status: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class ImpliedGreeks:
    """Volatility, status and greeks of each contract; NaN where the status is not OK."""

    vol: Floats
    status: NDArray[np.int8]
    greeks: Greeks


def implied_vol(
    price_usd: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    right: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
    tick_usd: float = TICK_USD,
) -> Implied:
    """Return the volatility at which Black-Scholes-Merton gives each price.

    A price in the money is implied by what it has above the discounted intrinsic value, which is its twin's price by parity. Such
    a price has lost digits of that value already; where the twin is quoted, `quotes.imply_quotes` takes the twin's own.

    Parameters
    ----------
    price_usd, spot, strike : float64       [USD].
    years : float64                         To expiry, by one clock of `clocks.py`.
    rate, dividend_yield : float64          Continuous, per year.
    right : 'C' or 'P'                      One for all or an array.
    tick_usd : float                        So far below intrinsic value a price still counts as equal to it.

    Returns
    -------
    Implied                                 vol right to about 1e-15 relative in the price's own digits; status for each.

    Raises
    ------
    ValueError                              For shapes that don't meet, and a right that is neither: never for market data.

    Example: implied_vol(4.759422, 42, 40, 0.5, 0.10, "C").vol -> 0.2
    """
    shape, columns = _columns(price_usd, spot, strike, years, rate, dividend_yield, sign(right))
    vol, status = np.empty(columns[0].size), np.empty(columns[0].size, np.int8)
    from workbench.options import kernel  # numba costs 0.4 s

    run: Any = kernel.implied_vols
    run(*columns, float(tick_usd), vol, status)
    return Implied(vol.reshape(shape), status.reshape(shape))


def implied_greeks(
    price_usd: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    right: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
    tick_usd: float = TICK_USD,
) -> ImpliedGreeks:
    """Return volatility and all greeks of each price in one pass; parameters, statuses and errors as `implied_vol`."""
    shape, columns = _columns(price_usd, spot, strike, years, rate, dividend_yield, sign(right))
    vol, status = np.empty(columns[0].size), np.empty(columns[0].size, np.int8)
    from workbench.options import kernel

    out = np.empty((kernel.N_FIELDS, vol.size))
    run: Any = kernel.implied_greeks
    run(*columns, float(tick_usd), vol, status, out)
    return ImpliedGreeks(vol.reshape(shape), status.reshape(shape), _named(out, shape, np.zeros(shape, np.bool_)))


def fast_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
) -> Greeks:
    """Return what `black.greeks` returns, from the compiled kernel: for whole chains, and for prices far below a cent."""
    terms = checked(spot, strike, years, rate, vol, right, dividend_yield)
    parts = (terms.spot, terms.strike, terms.years, terms.rate, terms.vol, terms.dividend_yield, terms.cp)
    shape, columns = _columns(*parts)
    from workbench.options import kernel

    out = np.empty((kernel.N_FIELDS, columns[0].size))
    run: Any = kernel.greeks
    run(*columns, out)
    return _named(out, shape, terms.is_still & (terms.d1 == 0))


def _columns(*parts: ArrayLike) -> tuple[tuple[int, ...], list[Floats]]:
    """Return the common shape and every part as a flat column of it, a copy: numpy warns of views that stand for many numbers."""
    arrays = np.broadcast_arrays(*[np.asarray(part, np.float64) for part in parts])
    return arrays[0].shape, [array.flatten() for array in arrays]


def _named(out: Floats, shape: tuple[int, ...], is_at_strike: NDArray[np.bool_]) -> Greeks:
    names = [field.name for field in fields(Greeks) if field.name != "is_at_strike"]
    return Greeks(**{name: row.reshape(shape) for name, row in zip(names, out, strict=True)}, is_at_strike=is_at_strike)
