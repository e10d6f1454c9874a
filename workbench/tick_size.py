"""Price increments: on which prices a symbol may be quoted and ordered.

In: a symbol, and what its quotes show. Out: bands, each a price from which on an increment holds. Floor 0: standard library and numpy.

Assumptions, since no feed tells increments. Stocks: a cent, below one dollar a hundredth of a cent (Regulation NMS, rule 612, in force
until the half-cent increments come). Options: a nickel from three dollars on and a cent below (the penny program, to which nearly all
volume belongs); cents throughout for SPY, QQQ and IWM (Cboe rule 5.4); a dime and a nickel for the large cash indices. Where a quote
stands between two steps, the finer increment that it shows is taken: quotes prove more than a list that changes twice a year.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError
from workbench.types import OptionContract

PARTS = 10_000  # of a dollar: every price and increment is a whole number of them
CENTS_THROUGHOUT = frozenset(("SPY", "QQQ", "IWM", "XSP"))
DIMES = frozenset(("SPX", "SPXW", "NDX", "NDXP", "RUT", "RUTW"))
FINER_PARTS = (1000, 500, 100, 50, 1)  # increments that occur [1/10,000 USD]
FINEST_OPTION, FINEST_STOCK = 100, 50


@dataclass(frozen=True, slots=True)
class TickBand:
    """From a price on, up to the next band, one increment. Both in ten-thousandths of a dollar."""

    from_parts: int
    tick_parts: int


Bands = tuple[TickBand, ...]  # by price, the first from 0


def tick_bands(symbol: str) -> Bands:
    """Return the increments of a symbol, from price 0 on.

    Example: `tick_bands("O:AAPL261218C00200000")` is a cent from 0, a nickel from 3 dollars.
    """
    if not symbol.startswith("O:"):
        return (TickBand(0, 1), TickBand(PARTS, 100))
    try:
        root = OptionContract.parse(symbol).root
    except WorkbenchError:
        return (TickBand(0, 100),)
    if root in CENTS_THROUGHOUT:
        return (TickBand(0, 100),)
    low, high = (500, 1000) if root in DIMES else (100, 500)
    return (TickBand(0, low), TickBand(3 * PARTS, high))


def fitted(bands: Bands, price_usd: float, *, is_option: bool) -> Bands:
    """Return the bands, with a finer increment where a quoted price shows that there is one; the same object when it fits.

    No increment becomes finer than a cent (options) or half a cent (stocks from a dollar): a price between is no legal quote.
    """
    parts = round(price_usd * PARTS)
    at = max(i for i, band in enumerate(bands) if band.from_parts <= max(parts, 0))
    tick, finest = bands[at].tick_parts, FINEST_OPTION if is_option else FINEST_STOCK
    if parts % tick == 0 or tick <= finest:
        return bands
    fit = next((t for t in FINER_PARTS if finest <= t < tick and parts % t == 0), tick)
    return bands if fit == tick else (*bands[:at], TickBand(bands[at].from_parts, fit), *bands[at + 1 :])


def row_parts(bands: Bands, prices_usd: np.ndarray) -> np.ndarray:
    """Return for each price the step it stands on, or the next below it [1/10,000 USD], int64."""
    parts = np.rint(np.asarray(prices_usd, np.float64) * PARTS).astype(np.int64)
    starts = np.array([band.from_parts for band in bands])
    ticks = np.array([band.tick_parts for band in bands])
    at = np.maximum(np.searchsorted(starts, parts, side="right") - 1, 0)
    return parts - (parts - starts[at]) % ticks[at]
