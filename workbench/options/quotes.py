"""Quotes of a chain into implied volatilities: which quotes may be used, which side of a pair tells, and the greeks that follow.

The option out of the money has all its price in time value; its twin in the money at the same strike and expiry has the same
volatility by put-call parity, but its price hides it under the intrinsic value. So the twin takes the other's, and says so.

In: columns of quotes, one row a contract. Out: ChainVols. Never an exception for market data, never a number that was invented.

Floor 1: numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.options.black import Floats, Greeks, sign
from workbench.options.implied import TICK_USD, IvStatus, fast_greeks, implied_vol


class IvSource(IntEnum):
    """Whose price told the volatility."""

    NONE = 0
    OWN = 1
    PUT_PARITY = 2  # a call, told by its put
    CALL_PARITY = 3  # a put, told by its call


@dataclass(frozen=True, slots=True)
class QuoteLimits:
    """Which quotes are taken at their word. Defaults are ours."""

    max_age_s: float = 60.0
    max_spread_frac: float = 1.0  # of the mid; wings quoted 0.05 - 0.10 have 0.67


@dataclass(frozen=True, slots=True)
class ChainVols:
    """One row a contract. `vol`, `mid_usd` and greeks are NaN where `status` is not OK; `ask_vol` stands alone where nobody bids."""

    vol: Floats
    status: NDArray[np.int8]  # IvStatus
    source: NDArray[np.int8]  # IvSource
    mid_usd: Floats  # of the contract's own quote; NaN without a bid or when the quote is bad
    ask_vol: Floats
    greeks: Greeks


def quote_status(bid_usd: ArrayLike, ask_usd: ArrayLike, age_s: ArrayLike, limits: QuoteLimits) -> NDArray[np.int8]:
    """Return the IvStatus of each quote as a quote: OK, MISSING, BAD_QUOTE or NO_BID. An age that is NaN is unknown, thus too old."""
    bid: Floats
    ask: Floats
    age: Floats
    bid, ask, age = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (bid_usd, ask_usd, age_s)))
    is_bad = (bid > ask) | (bid < 0) | np.isinf(bid) | np.isinf(ask) | ~(age <= limits.max_age_s)
    with np.errstate(invalid="ignore"):  # infinite prices are bad already
        is_wide = (ask - bid) > limits.max_spread_frac * 0.5 * (bid + ask)
    is_missing = np.isnan(bid) | np.isnan(ask) | (ask == 0)
    picks = [is_missing, is_bad, bid == 0, is_wide]
    names = [IvStatus.MISSING, IvStatus.BAD_QUOTE, IvStatus.NO_BID, IvStatus.BAD_QUOTE]
    return np.select(picks, [np.int8(name) for name in names], np.int8(IvStatus.OK)).astype(np.int8)


def twins(series: ArrayLike, strike: ArrayLike, right: ArrayLike) -> NDArray[np.int64]:
    """Return for each contract the row of its twin, the other right at the same strike, or -1.

    `series` is a number for root, expiry and multiplier together: SPX and SPXW of one date are two. Of contracts given twice
    none has a twin.
    """
    cp = sign(right)
    keys = np.stack([np.asarray(series, np.float64), np.asarray(strike, np.float64)], axis=1)
    pair = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    n = int(pair.max(initial=-1)) + 1
    rows = np.full((n, 2), -1, np.int64)
    side = (cp < 0).astype(np.int64)
    rows[pair, side] = np.arange(len(pair))
    counts: NDArray[np.int64] = np.bincount(2 * pair + side, minlength=2 * n).reshape(n, 2)
    rows[counts != 1] = -1
    has_both = rows.min(axis=1, initial=0) >= 0
    return np.where(has_both[pair], rows[pair, 1 - side], -1)


def imply_quotes(
    bid_usd: ArrayLike,
    ask_usd: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    right: ArrayLike,
    *,
    series: ArrayLike,
    age_s: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    limits: QuoteLimits | None = None,
    tick_usd: float = TICK_USD,
) -> ChainVols:
    """Return volatility, its source and status, and the greeks of every contract of a chain.

    Parameters
    ----------
    bid_usd, ask_usd : float64, shape (n,)  NaN where a side is missing. A bid of 0 is no bid, and half an ask no mid.
    spot, years, rate, dividend_yield       As `implied.implied_vol`; one for all or shape (n,).
    strike, right                           Shape (n,).
    series : int, shape (n,)                Root, expiry and multiplier as one number; tells which contracts are twins.
    age_s : float64                         Age of each quote [s]; NaN is unknown, and too old.
    limits : QuoteLimits
    tick_usd : float                        As `implied.implied_vol`.

    Raises
    ------
    ValueError                              For shapes that don't meet and a right that is neither.
    """
    numbers = (bid_usd, ask_usd, spot, strike, years, rate, dividend_yield, age_s)
    bid, ask, s, k, t, r, q, age = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in numbers))
    text = np.broadcast_to(np.asarray(right), bid.shape)
    quoted = quote_status(bid, ask, age, limits or QuoteLimits())
    is_fair = quoted == IvStatus.OK
    mid = 0.5 * (np.where(is_fair, bid, np.nan) + np.where(is_fair, ask, np.nan))
    own = implied_vol(mid, s, k, t, r, text, dividend_yield=q, tick_usd=tick_usd)
    status = np.where(is_fair | (t <= 0), own.status, quoted)
    status = np.where(t <= 0, np.int8(IvStatus.EXPIRED), status).astype(np.int8)
    is_asked = status == IvStatus.NO_BID
    ask_only = implied_vol(np.where(is_asked, ask, np.nan), s, k, t, r, text, dividend_yield=q, tick_usd=tick_usd)
    with np.errstate(all="ignore"):  # impossible inputs have their status already
        moneyness = np.log(s / k) + (r - q) * t
    vol, status, source = _by_parity(own.vol, status, sign(text), moneyness, twins(series, k, text))
    is_ok = status == IvStatus.OK
    # what has no volatility may have no spot either: NaN asks for nothing
    s, k, t, r, q = (np.where(is_ok, x, np.nan) for x in (s, k, t, r, q))
    greeks = fast_greeks(s, k, t, r, vol, text, dividend_yield=q)
    return ChainVols(vol, status, source, mid, ask_only.vol, greeks)


def _by_parity(
    vol: Floats, status: NDArray[np.int8], cp: Floats, moneyness: Floats, twin: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.int8], NDArray[np.int8]]:
    """Give each contract in the money the volatility of its twin, where the twin has one; a bad quote of its own stays bad."""
    told = status == IvStatus.OK
    may = told | (status == IvStatus.ZERO_TIME_VALUE) | (status == IvStatus.BELOW_INTRINSIC)
    takes = (cp * moneyness > 0) & (twin >= 0) & may & told[twin]
    vol = np.where(takes, vol[twin], vol)
    status = np.where(takes, np.int8(IvStatus.OK), status)
    source = np.where(told, np.int8(IvSource.OWN), np.int8(IvSource.NONE))
    parity = np.where(cp > 0, np.int8(IvSource.PUT_PARITY), np.int8(IvSource.CALL_PARITY))
    return vol, status, np.where(takes, parity, source)
