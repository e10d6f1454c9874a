"""Compiled: one pass over a chain, contract by contract: implied volatility, then price and all greeks from the same pieces.

Discount factors are kept while expiry, rate and yield stay the same, as they do along a chain; d1, d2, the density and both
distribution values are computed once. `black.py` is the readable twin of every formula; `implied.py` the door.

Columns come as contiguous float64 arrays of one length; `out` is float64 (N_FIELDS, n), rows in the order of `black.Greeks`.

Floor 1: numba. Import it lazily.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from workbench.options.kernel_black import gap, height, total_vol
from workbench.options.kernel_normal import cdf, density

# statuses; `implied.IvStatus` names them
OK, ZERO_TIME_VALUE, BELOW_INTRINSIC, ABOVE_MAX, EXPIRED, MISSING, BAD_INPUT = 0, 1, 2, 3, 4, 5, 6
N_FIELDS = 12
ROUNDING = 4 * 2.220446049250313e-16
STILL, MAX_VOL = 1e-20, 1e12  # as in black.py


@njit(cache=True, nogil=True, error_model="numpy")
def log_ratio(spot, strike):
    """Return ln(spot / strike); near the money their difference is exact and their ratio is not."""
    far = (spot - strike) / strike
    return math.log1p(far) if abs(far) < 0.5 else math.log(spot / strike)


@njit(cache=True, nogil=True, error_model="numpy")
def imply(price, spot, strike, years, drift, grown, discount, cp, tick):
    """Return (status, s): the total volatility v·√T of one price, NaN unless the status is OK.

    The price is first brought to the side out of the money: what is above the discounted intrinsic value is, by put-call
    parity, the price of the twin.
    """
    if abs(years) == np.inf or abs(price) == np.inf or abs(spot) == np.inf or abs(strike) == np.inf:
        return BAD_INPUT, np.nan
    if not (price == price and spot == spot and strike == strike and years == years and drift == drift and discount == discount):
        return MISSING, np.nan
    held, owed = spot * grown, strike * discount
    if not (spot > 0 and strike > 0 and price >= 0 and 0 < held < np.inf and 0 < owed < np.inf):
        return BAD_INPUT, np.nan
    if years <= 0:
        return EXPIRED, np.nan
    if price >= (held if cp > 0 else owed):
        return ABOVE_MAX, np.nan
    intrinsic = max(cp * (held - owed), 0.0)
    value = price - intrinsic
    if value < -tick:
        return BELOW_INTRINSIC, np.nan
    # in the money, a value below the rounding of its own subtraction is none
    if value <= (ROUNDING * max(held, owed) if intrinsic > 0 else 0.0):
        return ZERO_TIME_VALUE, np.nan
    x = -abs(log_ratio(spot, strike) + drift)
    beta = value / math.sqrt(held * owed)
    if beta >= math.exp(0.5 * x):
        return ABOVE_MAX, np.nan
    if beta <= 0.0:
        return ZERO_TIME_VALUE, np.nan
    s = total_vol(x, beta)
    if s < STILL * math.sqrt(years):
        return ZERO_TIME_VALUE, np.nan
    return (OK, s) if 0 < s <= MAX_VOL * math.sqrt(years) else (BAD_INPUT, np.nan)


@njit(cache=True, nogil=True, error_model="numpy")
def fill(out, i, price, spot, strike, years, rate, dividend_yield, drift, grown, discount, cp, s):
    """Write price and greeks of one contract with total volatility s > 0; price NaN: compute it."""
    held, owed, root = spot * grown, strike * discount, math.sqrt(years)
    x = log_ratio(spot, strike) + drift
    d1 = x / s + 0.5 * s
    d2 = d1 - s
    n1 = density(d1)
    if price != price:
        z, t = abs(x) / s, 0.5 * s
        price = max(cp * (held - owed), 0.0) + math.sqrt(held * owed) * height(z, t) * gap(z, t) if z - t > -6.0 else np.nan
    p1, p2 = cdf(cp * d1, n1), cdf(cp * d2, density(d2))
    if price != price:  # close to its upper bound
        price = cp * (held * p1 - owed * p2)
    vol = s / root
    vega = held * n1 * root
    delta = cp * grown * p1
    out[0, i] = price
    out[1, i] = delta
    out[2, i] = grown * n1 / (spot * s)
    out[3, i] = vega
    out[4, i] = cp * (dividend_yield * held * p1 - rate * owed * p2) - held * n1 * vol / (2.0 * root)
    out[5, i] = cp * owed * years * p2
    out[6, i] = -cp * held * years * p1
    out[7, i] = -grown * n1 * d2 / vol
    out[8, i] = vega * d1 * d2 / vol
    out[9, i] = dividend_yield * delta - grown * n1 * (2.0 * (rate - dividend_yield) * years - d2 * s) / (2.0 * years * s)
    out[10, i] = delta * spot / price if price > 0 else np.nan
    out[11, i] = p2


@njit(cache=True, nogil=True, error_model="numpy")
def fill_still(out, i, spot, strike, years, rate, dividend_yield, drift, grown, discount, cp):
    """Write price and greeks of one contract that has nothing left to move: expired, or without volatility."""
    held, owed = spot * grown, strike * discount
    x = log_ratio(spot, strike) + drift
    share = 0.5 if x == 0 else (1.0 if cp * x > 0 else 0.0)
    is_live = 1.0 if years > 0 else 0.0
    out[:, i] = 0.0
    price = max(cp * (held - owed), 0.0)
    out[0, i] = price
    out[1, i] = cp * grown * share
    out[4, i] = is_live * cp * share * (dividend_yield * held - rate * owed)
    out[5, i] = cp * owed * years * share
    out[6, i] = -cp * held * years * share
    out[9, i] = is_live * dividend_yield * cp * grown * share
    out[10, i] = cp * grown * share * spot / price if price > 0 else np.nan
    out[11, i] = share


@njit(cache=True, nogil=True, error_model="numpy")
def implied_vols(price, spot, strike, years, rate, dividend_yield, cp, tick, vol, status):
    """Write volatility and status of every contract."""
    seen_t, seen_r, seen_q = np.nan, np.nan, np.nan
    drift = grown = discount = np.nan
    for i in range(price.size):
        t, r, q = years[i], rate[i], dividend_yield[i]
        if t != seen_t or r != seen_r or q != seen_q:
            seen_t, seen_r, seen_q = t, r, q
            drift, grown, discount = (r - q) * t, math.exp(-q * t), math.exp(-r * t)
        code, s = imply(price[i], spot[i], strike[i], t, drift, grown, discount, cp[i], tick)
        status[i] = code
        vol[i] = s / math.sqrt(t) if code == OK else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def implied_greeks(price, spot, strike, years, rate, dividend_yield, cp, tick, vol, status, out):
    """Write volatility, status, price and greeks of every contract; NaN where the status is not OK."""
    seen_t, seen_r, seen_q = np.nan, np.nan, np.nan
    drift = grown = discount = np.nan
    for i in range(price.size):
        t, r, q = years[i], rate[i], dividend_yield[i]
        if t != seen_t or r != seen_r or q != seen_q:
            seen_t, seen_r, seen_q = t, r, q
            drift, grown, discount = (r - q) * t, math.exp(-q * t), math.exp(-r * t)
        code, s = imply(price[i], spot[i], strike[i], t, drift, grown, discount, cp[i], tick)
        status[i] = code
        if code == OK:
            vol[i] = s / math.sqrt(t)
            fill(out, i, price[i], spot[i], strike[i], t, r, q, drift, grown, discount, cp[i], s)
        else:
            vol[i] = np.nan
            out[:, i] = np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def greeks(spot, strike, years, rate, vol, dividend_yield, cp, out):
    """Write price and greeks of every contract from its volatility; inputs as `black.checked` lets them through."""
    seen_t, seen_r, seen_q = np.nan, np.nan, np.nan
    drift = grown = discount = np.nan
    for i in range(spot.size):
        t, r, q = max(years[i], 0.0), rate[i], dividend_yield[i]
        if t != seen_t or r != seen_r or q != seen_q:
            seen_t, seen_r, seen_q = t, r, q
            drift, grown, discount = (r - q) * t, math.exp(-q * t), math.exp(-r * t)
        s = vol[i] * math.sqrt(t)
        if not (spot[i] == spot[i] and strike[i] == strike[i] and s == s and drift == drift and discount == discount):
            out[:, i] = np.nan
        elif s < STILL:
            fill_still(out, i, spot[i], strike[i], t, r, q, drift, grown, discount, cp[i])
        else:
            fill(out, i, np.nan, spot[i], strike[i], t, r, q, drift, grown, discount, cp[i], s)
