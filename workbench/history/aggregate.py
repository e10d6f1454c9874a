"""Bars of any recorded length from shorter ones, and quotes of many venues as one best quote.

For files only, where speed does not matter and the length may be odd (1-second bars to minutes). The roll-ups of the live road are in
`hub/rollup.py`.

Floor 1: numpy only. All times int64 ns UTC.
"""

from __future__ import annotations

import numpy as np

from workbench.history.marks import Marks, bucket_starts, next_edges
from workbench.types import BAR_DTYPE, NS_PER_S

VENUE_LIFE_NS = NS_PER_S


def regroup(rows: np.ndarray, length_ns: int) -> np.ndarray:
    """Return bars of `length_ns` from shorter bars of one symbol in time order; see `regroup_many`."""
    return regroup_many(rows, np.zeros(len(rows), np.int32), length_ns)[0]


def regroup_many(rows: np.ndarray, ids: np.ndarray, length_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bars of `length_ns` from shorter bars, and the symbol id of each; anchored at the segments' starts.

    `rows` BAR_DTYPE, by symbol id and then by time; `ids` int32 beside them.

    open first, high max, low min, close last, volume and n_trades summed, vwap weighted by volume (NaN when a part is unknown).
    """
    if not len(rows):
        return rows.copy(), ids.copy()
    marks = Marks(rows["ts_open"])
    starts = bucket_starts(rows["ts_open"], length_ns, marks)
    first = np.flatnonzero(np.r_[True, (starts[1:] != starts[:-1]) | (ids[1:] != ids[:-1])])
    last = np.r_[first[1:], len(rows)] - 1
    out = np.zeros(len(first), BAR_DTYPE)
    out["ts_open"] = starts[first]
    out["ts_close"] = np.minimum(starts[first] + length_ns, next_edges(marks)[first])
    out["open"], out["close"] = rows["open"][first], rows["close"][last]
    out["high"], out["low"] = np.maximum.reduceat(rows["high"], first), np.minimum.reduceat(rows["low"], first)
    for name in ("volume", "n_trades"):
        out[name] = np.add.reduceat(rows[name], first)
    value = np.add.reduceat(np.where(rows["volume"] > 0, rows["vwap"] * rows["volume"], 0.0), first)
    with np.errstate(invalid="ignore", divide="ignore"):
        out["vwap"] = np.where(out["volume"] > 0, value / out["volume"], np.nan)
    out["vw_std"] = np.nan
    out["source"], out["is_complete"] = rows["source"][first], np.minimum.reduceat(rows["is_complete"], first)
    return out, ids[first]


def best_of_venues(quotes: np.ndarray) -> np.ndarray:
    """Return the best bid and ask over all venues after each quote, for per-venue quotes of one symbol in time order.

    Recordings of venues tell new quotes, rarely withdrawn ones: a venue silent for `VENUE_LIFE_NS` no longer counts, else old quotes
    cross the market for hours. Where nobody spoke that recently on a side, its last best stands. Sizes are summed over the venues at
    the best price. QUOTE_DTYPE in and out; O(rows times venues).
    """
    out = quotes.copy()
    venues = np.unique(quotes["exchange"])
    rows = np.arange(len(quotes))
    for side, size, best in (("bid", "bid_size", np.fmax), ("ask", "ask_size", np.fmin)):
        prices = np.full((len(venues), len(quotes)), np.nan)
        sizes = np.zeros((len(venues), len(quotes)))
        for k, venue in enumerate(venues):
            told = np.flatnonzero((quotes["exchange"] == venue) & ~np.isnan(quotes[side]))
            at = np.searchsorted(told, rows, side="right") - 1
            known = at >= 0
            known[known] = (quotes["ts_event"][known] - quotes["ts_event"][told[at[known]]]) <= VENUE_LIFE_NS
            prices[k, known] = quotes[side][told[at[known]]]
            sizes[k, known] = quotes[size][told[at[known]]]
        top = best.reduce(prices, axis=0)
        depth = np.where(prices == top, sizes, 0.0).sum(axis=0)
        newest = np.maximum.accumulate(np.where(np.isnan(top), -1, rows))
        out[side] = np.where(newest >= 0, top[newest], np.nan)
        out[size] = np.where(newest >= 0, depth[newest], 0.0)
    out["exchange"] = 0
    return out
