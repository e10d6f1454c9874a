"""Which of two closed bars of the same minute stands: by rule, not by arrival.

1. A bar whose minute the feed did not wholly see (`is_complete` 0) gives way to one that did.
2. Between equals the better witness stands: the provider's own streamed bar, then the bar built here from trades, then
   history and files. A bar of the same kind sent again replaces the earlier one (providers re-send bars for late prints).
3. A worse witness wins only by having seen more prints (by volume when prints are not counted): prints are added to a minute,
   so the one that saw more is the later state of the same minute.

The forming bar is never merged: it belongs to the live feed alone. Floor 2.
"""

from __future__ import annotations

import numpy as np

from workbench.types import BarSource

_RANK = np.zeros(256, np.int8)  # BarSource -> how good a witness
_RANK[[BarSource.PROVIDER, BarSource.TRADES]] = 3, 2
_RANK[[BarSource.REST, BarSource.FILE, BarSource.SIMULATED]] = 1
_MORE = 1 + 1e-9  # volumes are sums of floats


def replaces(new: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return, row by row, whether `new` takes the place of `held`. BAR_DTYPE arrays of the same minutes, shape (n,); bool (n,)."""
    new_complete, held_complete = new["is_complete"].astype(bool), held["is_complete"].astype(bool)
    new_rank, held_rank = _RANK[new["source"]], _RANK[held["source"]]
    counted = ~(np.isnan(new["n_trades"]) | np.isnan(held["n_trades"]))
    saw_more = np.where(counted, new["n_trades"] > held["n_trades"], new["volume"] > held["volume"] * _MORE)
    as_good = (new_rank >= held_rank) | saw_more
    chosen: np.ndarray = np.where(new_complete == held_complete, as_good, new_complete)
    return chosen


def winners(new: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return the rows of `new` that may be stored next to `held`: all whose minute is not held, and those that replace one.

    Both BAR_DTYPE, sorted by ts_open without repeats.
    """
    if not len(held) or not len(new):
        return new
    at = np.searchsorted(held["ts_open"], new["ts_open"])
    at_safe = np.minimum(at, len(held) - 1)
    is_held = held["ts_open"][at_safe] == new["ts_open"]
    stands = ~is_held
    stands[is_held] = replaces(new[is_held], held[at_safe[is_held]])
    won: np.ndarray = new[stands]
    return won
