"""Warnings about getting in and out of a contract: what its spread, sizes, volume and open interest say.

In: rows of CHAIN_DTYPE. Out: one LiquidityWarning a contract, which may hold several. A number that is not known warns of nothing
but of not being known.

Floor 1: numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray


class LiquidityWarning(IntFlag):
    """What a trader should know before a limit order."""

    NONE = 0
    NO_BID = 1  # can't be sold
    NO_ASK = 2  # can't be bought
    WIDE_SPREAD = 4
    THIN_SIZE = 8
    LOW_OPEN_INTEREST = 16
    NO_VOLUME = 32
    UNKNOWN = 64  # open interest or volume was not told

    @property
    def texts(self) -> tuple[str, ...]:
        """For people, one sentence for each warning."""
        return tuple(_TEXT[flag] for flag in _TEXT if flag in self)


_TEXT = {
    LiquidityWarning.NO_BID: "nobody bids",
    LiquidityWarning.NO_ASK: "nobody offers",
    LiquidityWarning.WIDE_SPREAD: "wide spread",
    LiquidityWarning.THIN_SIZE: "thin size",
    LiquidityWarning.LOW_OPEN_INTEREST: "low open interest",
    LiquidityWarning.NO_VOLUME: "no volume today",
    LiquidityWarning.UNKNOWN: "open interest or volume unknown",
}


@dataclass(frozen=True, slots=True)
class LiquidityLimits:
    """From where on a contract is warned of. Defaults are ours."""

    max_spread_pct: float = 10.0  # of the mid
    tight_spread_usd: float = 0.05  # so narrow is never wide: a nickel on a dime is 50 %
    min_size: float = 5.0  # contracts, on the smaller side
    min_open_interest: float = 100.0


def liquidity_warnings(rows: np.ndarray, limits: LiquidityLimits | None = None) -> NDArray[np.uint8]:
    """Return the LiquidityWarning of each row of CHAIN_DTYPE, uint8. NaN is unknown; a bid or ask of 0 is nobody."""
    bid, ask, volume, open_interest = (rows[name] for name in ("bid", "ask", "volume", "open_interest"))
    bounds = limits or LiquidityLimits()
    is_two_sided = (bid > 0) & (ask > 0) & np.isfinite(bid) & np.isfinite(ask)
    spread = np.where(is_two_sided, ask, np.nan) - np.where(is_two_sided, bid, np.nan)
    mid = bid + 0.5 * spread
    warns = {
        LiquidityWarning.NO_BID: bid == 0,
        LiquidityWarning.NO_ASK: ask == 0,
        LiquidityWarning.WIDE_SPREAD: is_two_sided
        & (spread > bounds.tight_spread_usd + 1e-9)
        & (100 * spread > bounds.max_spread_pct * mid),
        LiquidityWarning.THIN_SIZE: is_two_sided & (np.minimum(rows["bid_size"], rows["ask_size"]) < bounds.min_size),
        LiquidityWarning.LOW_OPEN_INTEREST: open_interest < bounds.min_open_interest,
        LiquidityWarning.NO_VOLUME: volume == 0,
        LiquidityWarning.UNKNOWN: np.isnan(open_interest) | np.isnan(volume),
    }
    out = np.zeros(bid.shape, np.uint8)
    for flag, is_so in warns.items():
        out |= np.where(is_so, np.uint8(flag), np.uint8(0))
    return out
