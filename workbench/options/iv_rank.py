"""Where today's implied volatility stands among those of the past year: rank and percentile, None without enough of a past.

In: one volatility a day, the oldest first, all by one clock and of one maturity. Out: fractions 0-1. Fewer days than asked for are no
history: nothing is put in its place, least of all the middle.

Floor 1: numpy.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import RecordError
from workbench.options.black import Floats

DAYS = 252


def iv_rank(history: ArrayLike, now: float, *, days: int = DAYS) -> float | None:
    """Return (now - lowest) / (highest - lowest) of the last `days` days, today among them; None where they were all the same.

    Parameters
    ----------
    history : float64, shape (n,)           Volatility of each day before today; a day that is not known (NaN) does not count.
    now : float                             Today's.
    days : int                              2 or more; the window, today included.

    Example: iv_rank([0.10, 0.30], 0.25, days=3) -> 0.75
    """
    window = _window(history, now, days)
    if window is None:
        return None
    low, high = float(window.min()), float(window.max())
    return (now - low) / (high - low) if high > low else None


def iv_percentile(history: ArrayLike, now: float, *, days: int = DAYS) -> float | None:
    """Return the share of the last `days` days, today among them, whose volatility was below today's. Parameters as `iv_rank`.

    Example: iv_percentile([0.10, 0.30, 0.20], 0.25, days=4) -> 0.5
    """
    window = _window(history, now, days)
    return None if window is None else float(np.mean(window < now))


def _window(history: ArrayLike, now: float, days: int) -> Floats | None:
    """Return the last `days` known volatilities with today's as the last, None when there are not so many."""
    if days < 2:
        raise RecordError(f"days: received {days!r}; allowed: 2 or more")
    past = np.asarray(history, np.float64).ravel()
    past = past[np.isfinite(past)][-(days - 1) :]
    if len(past) < days - 1 or not math.isfinite(now):
        return None
    return np.append(past, now)
