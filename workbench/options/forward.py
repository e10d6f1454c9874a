"""The forward price that a chain's own quotes tell: a call less its put is the discounted forward less the strike.

In: the quotes of one root and expiry; spot, rate, dividend yield. Out: Forward, and the Carry that agrees with it. It contains
what nobody has to guess: dividends until expiry, the cost of borrowing, and the true spot when the one at hand is old. American
pairs have early exercise in it, mostly the put's: `priced.py` takes it out by `early_exercise.py`.

Floor 1: numpy.

Assumptions: a difference between the forward and what spot, rate and dividend yield tell is taken for a dividend paid, or a spot
behind its options, when expiry is near (`NEAR_YEARS`): it moves the spot that prices. Later on it is taken for a dividend yield.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from workbench.options.black import Floats

N_PAIRS = 5  # pairs at the money that are asked; their median answers
MAX_GAP_FRAC = 0.1  # of the strike, between call and put: farther apart is not at the money
MAX_WIDTH_FRAC = 0.005  # of the forward: pairs so wide do not tell it …
MAX_WIDTH_FRAC_PER_YEAR = 0.02  # … or wider for later expiries, where dividends that nobody gave us would err by as much
NEAR_YEARS = 30 / 365
MAX_YIELD_SHIFT = 0.25  # a forward that needs so much more dividend yield tells of something else


class ForwardStatus(IntEnum):
    """Where a forward comes from."""

    PARITY = 0
    CARRY = 1
    STALE_SPOT = 2
    MISSING = 3
    EXPIRED = 4

    @property
    def text(self) -> str:
        """For people."""
        return _TEXT[self]


_TEXT = {
    ForwardStatus.PARITY: "from calls and puts at the money",
    ForwardStatus.CARRY: "from spot, rate and dividend yield: no call and put at the money are quoted well enough",
    ForwardStatus.STALE_SPOT: "none: spot is older than the chain, and no call and put at the money are quoted well enough",
    ForwardStatus.MISSING: "none: no spot, and no call and put at the money are quoted well enough",
    ForwardStatus.EXPIRED: "none: expired",
}


@dataclass(frozen=True, slots=True)
class Forward:
    """`forward_usd` is NaN without one. By parity only: `half_width_usd`, how far bid and ask leave it open, and the pair nearest to the
    money, its strike and mids.
    """

    forward_usd: float
    status: ForwardStatus
    half_width_usd: float = math.nan
    n_pairs: int = 0
    pair_strike_usd: float = math.nan
    pair_call_usd: float = math.nan
    pair_put_usd: float = math.nan


@dataclass(frozen=True, slots=True)
class Carry:
    """What leads to a forward: spot [USD], rate and dividend yield (continuous, per year of the clock that measured `years`)."""

    spot_usd: float
    rate: float
    dividend_yield: float


def parity_forward(
    strike: Floats, call_bid: Floats, call_ask: Floats, put_bid: Floats, put_ask: Floats, growth: float, years: float
) -> Forward:
    """Return the forward from pairs of one root and expiry: the median of strike + growth·(call - put) over the pairs at the money.

    Parameters
    ----------
    strike, call_bid, … : float64, shape (n,)   [USD]; a pair with a side that is NaN, 0 or crossed tells nothing.
    growth : float                              What 1 USD now is worth at expiry, e^(rT).
    years : float                               To expiry.

    The pairs at the money are those whose call and put cost nearly the same, the tightest ones; no spot is needed to find them.
    """
    usable = (call_bid > 0) & (put_bid > 0) & (call_ask >= call_bid) & (put_ask >= put_bid)
    with np.errstate(invalid="ignore"):
        gap = 0.5 * (call_bid + call_ask) - 0.5 * (put_bid + put_ask)
    usable &= np.abs(gap) <= MAX_GAP_FRAC * strike
    rows = np.flatnonzero(usable)
    if not len(rows):
        return Forward(math.nan, ForwardStatus.MISSING)
    near = rows[np.argsort(np.abs(gap[rows]), kind="stable")[:N_PAIRS]]
    forward = float(np.median(strike[near] + growth * gap[near]))
    half_width = 0.5 * growth * float(((call_ask - call_bid)[near] + (put_ask - put_bid)[near]).min())
    if not forward > 0 or half_width > max(MAX_WIDTH_FRAC, MAX_WIDTH_FRAC_PER_YEAR * years) * forward:
        return Forward(math.nan, ForwardStatus.MISSING)
    nearest = near[0]
    mids = (0.5 * float(call_bid[nearest] + call_ask[nearest]), 0.5 * float(put_bid[nearest] + put_ask[nearest]))
    return Forward(forward, ForwardStatus.PARITY, half_width, len(near), float(strike[nearest]), *mids)


def carried_forward(carry: Carry, years: float, *, is_stale: bool) -> Forward:
    """Return the forward of a spot: spot·e^((r-q)T); without a spot, or with an old one, none."""
    if not (math.isfinite(carry.spot_usd) and carry.spot_usd > 0):
        return Forward(math.nan, ForwardStatus.MISSING)
    if is_stale:
        return Forward(math.nan, ForwardStatus.STALE_SPOT)
    return Forward(carry.spot_usd * math.exp((carry.rate - carry.dividend_yield) * years), ForwardStatus.CARRY)


def agreeing_carry(forward: Forward, told: Carry, years: float, calendar_years: float, *, is_stale: bool) -> Carry:
    """Return spot, rate and dividend yield that lead to this forward: `told` where it does, changed where the quotes say so.

    Without a forward the spot is NaN: nothing is priced by it.
    """
    if forward.status is not ForwardStatus.PARITY:
        return told if forward.status in (ForwardStatus.CARRY, ForwardStatus.EXPIRED) else Carry(math.nan, told.rate, told.dividend_yield)
    if calendar_years > NEAR_YEARS and not is_stale and told.spot_usd > 0:
        implied_yield = told.rate - math.log(forward.forward_usd / told.spot_usd) / years
        if abs(implied_yield - told.dividend_yield) <= MAX_YIELD_SHIFT:
            return Carry(told.spot_usd, told.rate, implied_yield)
    return Carry(forward.forward_usd * math.exp((told.dividend_yield - told.rate) * years), told.rate, told.dividend_yield)
