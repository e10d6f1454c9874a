"""Who was in a hurry: prints told apart by whether a buyer or a seller took the price, and the volume of each at every price.

The rule: a print at or above the ask was a buyer's, at or below the bid a seller's, between the two nobody can say (unknown), as
where no quote is known, only one side of it, or both sides are equal. The quote is the newest one stamped before the print: one of the
same instant may already be the print's effect. No tick test: it would turn ignorance into a guess.

In: TRADE_DTYPE and QUOTE_DTYPE rows of one symbol, in order of arrival. Out: volume by price [shares or contracts]. Floor 2: numpy,
sale conditions. Prints count where they may set a last sale, odd lots included; others (average price, out of sequence, late) were made
at other prices than the market's of that moment and are counted apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from workbench.options.profile_rows import eligible
from workbench.tick_size import Bands, row_parts
from workbench.types import QUOTE_DTYPE

KEPT_QUOTES = 1024  # of the symbol: a print that comes late still meets the quote of its moment
RULE = "at or above the ask: buyer; at or below the bid: seller; between, or without a two-sided quote: unknown"


class Side(IntEnum):
    """Who took the price."""

    UNKNOWN = 0
    BUYER = 1
    SELLER = 2


@dataclass(frozen=True, slots=True)
class LastPrint:
    """The newest print that counts."""

    price: float
    size: float
    side: Side
    ts_event: int


def sides_of(prices: np.ndarray, bids: np.ndarray, asks: np.ndarray) -> np.ndarray:
    """Return the `Side` of each print against the quote that stood before it (NaN: none), int8 shape (n,)."""
    is_quoted = bids < asks
    taken = np.where(prices >= asks, Side.BUYER, np.where(prices <= bids, Side.SELLER, Side.UNKNOWN))
    return np.where(is_quoted, taken, Side.UNKNOWN).astype(np.int8)


class SplitVolume:
    """Volume at each price of one symbol by side, from now on. `at[parts]` is [buyer, seller, unknown], `parts` as of `tick_size.py`."""

    def __init__(self) -> None:
        self.at: dict[int, list[float]] = {}  # price row [1/10,000 USD] -> volume by side
        self.totals = [0.0, 0.0, 0.0]
        self.last: LastPrint | None = None
        self.n_left_out = 0  # prints whose conditions say that they were not made at the market's price
        self._quotes = np.zeros(0, QUOTE_DTYPE)  # the newest, by stamp
        self._changed: set[int] = set()

    def add(self, trades: np.ndarray, quotes: np.ndarray, bands: Bands, *, is_regular: np.ndarray | bool = True) -> None:
        """Take prints, and the quotes that came with them; `is_regular`: which prints fall into regular hours."""
        self._keep(quotes)
        if not len(trades):
            return
        fits, _ = eligible(trades, is_regular=is_regular, has_odd_lots=True)
        fits &= (trades["price"] > 0) & np.isfinite(trades["price"]) & (trades["size"] > 0)
        self.n_left_out += int((~fits).sum())
        rows = trades[fits]
        if not len(rows):
            return
        bids, asks = self._standing(rows["ts_event"])
        sides = sides_of(rows["price"], bids, asks)
        column = (sides.astype(np.int64) + 2) % 3  # buyer 0, seller 1, unknown 2
        for parts, k, size in zip(row_parts(bands, rows["price"]).tolist(), column.tolist(), rows["size"].tolist(), strict=True):
            self.at.setdefault(parts, [0.0, 0.0, 0.0])[k] += size
            self.totals[k] += size
            self._changed.add(parts)
        newest = len(rows) - 1 - int(np.argmax(rows["ts_event"][::-1]))
        if self.last is None or rows["ts_event"][newest] >= self.last.ts_event:
            row = rows[newest]
            self.last = LastPrint(float(row["price"]), float(row["size"]), Side(int(sides[newest])), int(row["ts_event"]))

    def changed(self) -> list[list[float]]:
        """Return [parts, buyer, seller, unknown] of every price whose volume changed since the last call."""
        changed, self._changed = self._changed, set()
        return [[parts, *self.at[parts]] for parts in sorted(changed)]

    def all(self) -> list[list[float]]:
        """Return [parts, buyer, seller, unknown] of every price, and take all as told."""
        self._changed.clear()
        return [[parts, *volumes] for parts, volumes in sorted(self.at.items())]

    def _keep(self, quotes: np.ndarray) -> None:
        if not len(quotes):
            return
        held = np.concatenate([self._quotes, quotes])[-KEPT_QUOTES - len(quotes) :]
        if (np.diff(held["ts_event"]) < 0).any():
            held = held[np.argsort(held["ts_event"], kind="stable")]
        self._quotes = held

    def _standing(self, ts_event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return bid and ask of the newest quote stamped before each instant, NaN where none is held; lets go of the oldest quotes."""
        quotes, self._quotes = self._quotes, self._quotes[-KEPT_QUOTES:]
        at = np.searchsorted(quotes["ts_event"], ts_event, side="left") - 1
        if not len(quotes):
            return np.full(len(at), math.nan), np.full(len(at), math.nan)
        return np.where(at >= 0, quotes["bid"][at], math.nan), np.where(at >= 0, quotes["ask"][at], math.nan)
