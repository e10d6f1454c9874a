"""Which of two closed bars of the same minute stands: by rule, not by arrival.

1. A bar whose minute the feed did not wholly see (`is_complete` 0) gives way to one that did.
2. A bar of the same kind sent again replaces the earlier one (providers re-send bars for late prints and corrections).
3. Of two kinds the one with more volume stands: prints are added to a minute, so it is the later state of the same minute.
4. At the same volume the better witness stands (`WITNESSES`): live before history, as it saw the minute itself; a provider's
   history before a file, which was such a history at an earlier time; the simulated market last.

3 and 4 order all bars of a minute the same way whichever is asked first, so the order of arrival decides nothing. That takes a
strict order of all kinds. It is the one order there is: a rolled bar is named after the least trusted kind among its parts.

The forming bar is never merged: it belongs to the live feed alone. Floor 2.
"""

from __future__ import annotations

import numpy as np

from workbench.types import BarSource

WITNESSES = (BarSource.UNKNOWN, BarSource.SIMULATED, BarSource.FILE, BarSource.REST, BarSource.TRADES, BarSource.PROVIDER)  # ever better
TRUST = np.zeros(256, np.uint8)  # BarSource -> place in that order; a code that is none is trusted as little as an unknown one
TRUST[list(WITNESSES)] = np.arange(len(WITNESSES))
_DIGITS = 4  # of a volume; below that it is the noise of float sums

MIN_COMMON, REBASED_FRAC, SPREAD_FRAC = 3, 0.02, 0.01


def replaces(new: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return, row by row, whether `new` takes the place of `held`. BAR_DTYPE arrays of the same minutes, shape (n,); bool (n,)."""
    new_complete, held_complete = new["is_complete"].astype(bool), held["is_complete"].astype(bool)
    new_rank, held_rank = TRUST[new["source"]], TRUST[held["source"]]
    new_volume, held_volume = np.round(new["volume"], _DIGITS), np.round(held["volume"], _DIGITS)
    as_good = np.where(new_volume == held_volume, new_rank >= held_rank, new_volume > held_volume) | (new["source"] == held["source"])
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


def rebase_factor(told: np.ndarray, held: np.ndarray) -> float:
    """Return by what the prices of `told` differ from those of `held` at the same minutes, as one factor; 1.0 when they agree.

    BAR_DTYPE, sorted by ts_open. A split moves every price by the same factor (0.1, 1.5, 20 …); corrections and other feeds move
    a few by little. So: at least three common minutes, a median ratio more than 2 % off, and no minute further than 1 % from it.
    """
    _, a, b = np.intersect1d(told["ts_open"], held["ts_open"], return_indices=True)
    if len(a) < MIN_COMMON:
        return 1.0
    ratio = told["close"][a] / held["close"][b]
    factor = float(np.median(ratio))
    is_one_factor = bool((np.abs(ratio / factor - 1) < SPREAD_FRAC).all())
    return factor if is_one_factor and abs(factor - 1) > REBASED_FRAC else 1.0
