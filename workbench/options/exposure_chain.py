"""Exposure of a priced chain: all expiries, and each expiry of each root by itself.

Volatilities, times and forwards are those by which the chain was priced (`priced.py`), so exposure and chain view never disagree.
An expiry whose forward was told by its own quotes keeps that forward. Greeks are European also for American contracts.

In: PricedChain, Convention. Out: ChainExposure. Floor 1: numpy and the files beside this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workbench.errors import RecordError
from workbench.options.black import Floats
from workbench.options.exposure import Convention, Exposure, exposure
from workbench.options.priced import MAX_SPOT_AGE_S, PricedChain, PricedExpiry
from workbench.types import NS_PER_S


@dataclass(frozen=True)
class ChainExposure:
    """Exposure of a chain in sum; `of` gives one expiry. `total.by_series["series"]` is the index into `priced.expiries`."""

    priced: PricedChain
    total: Exposure
    yields: Floats  # (n,) dividend yields that keep each forward where the chain has it

    @property
    def expiries(self) -> tuple[PricedExpiry, ...]:
        """Every expiry of every root, in order of time."""
        return self.priced.expiries

    def of(self, index: int) -> Exposure:
        """Return the exposure of one expiry of one root, `expiries[index]`."""
        if not 0 <= index < len(self.expiries):
            raise RecordError(f"index: received {index}; allowed: 0 to {len(self.expiries) - 1}, as in expiries")
        return _exposure(self.priced, self.total.spot, self.yields, self.priced.series == index, self.total.convention)


def chain_exposure(priced: PricedChain, convention: Convention | None = None, *, max_spot_age_s: float = MAX_SPOT_AGE_S) -> ChainExposure:
    """Return the exposure of a priced chain.

    The spot is the chain's own; where it is missing or older than `max_spot_age_s`, what the nearest expiry's quotes imply, and a
    note says so.

    Raises
    ------
    RecordError                             If no spot is known at all: nothing can be said about moves of it.
    """
    chain = priced.chain
    is_told = chain.spot > 0 and chain.spot_ts_ns > 0 and (chain.asof_ns - chain.spot_ts_ns) / NS_PER_S <= max_spot_age_s
    spot = float(chain.spot) if is_told else _implied_spot(priced)
    if not spot > 0:
        raise RecordError("spot: missing or too old, and not told by the quotes; next: give the spot of the chain's moment")
    with np.errstate(all="ignore"):
        kept = priced.dividend_yield - np.log(priced.spot_usd / spot) / priced.years
    yields = np.where(priced.spot_usd == spot, priced.dividend_yield, kept)
    total = _exposure(priced, spot, yields, np.ones(len(priced), np.bool_), convention or Convention())
    if not is_told:
        total = replace(total, notes=(f"spot {spot:,.2f} is what the quotes imply: the chain's own is missing or too old", *total.notes))
    return ChainExposure(priced, total, yields)


def _implied_spot(priced: PricedChain) -> float:
    """Return the spot of the first expiry whose quotes tell one, NaN without."""
    return next((e.carry.spot_usd for e in priced.expiries if e.n_priced and math.isfinite(e.carry.spot_usd)), math.nan)


def _exposure(priced: PricedChain, spot: float, yields: Floats, keep: NDArray[np.bool_], convention: Convention) -> Exposure:
    rows = priced.rows[keep]
    ok = np.isfinite(priced.vol[keep])
    return exposure(
        spot,
        rows["strike"],
        rows["right"],
        priced.years[keep],
        priced.vol[keep],
        rows["open_interest"],
        volume=rows["volume"],
        rate=np.where(ok, priced.rate[keep], 0.0),
        dividend_yield=np.where(ok, yields[keep], 0.0),
        series=priced.series[keep],
        is_standard=rows["is_standard"],
        convention=convention,
    )
