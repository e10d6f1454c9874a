"""Bollinger bands. Floor 1."""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from workbench.errors import ConfigError
from workbench.indicators.base import Streaming, Window, as_columns, checked_period, each_window, where_known

T = TypeVar("T", float, np.ndarray)


class Bands(NamedTuple, Generic[T]):
    """A middle line and the bands around it."""

    middle: T
    upper: T
    lower: T


def bollinger(values: np.ndarray, period: int = 20, width: float = 2.0) -> Bands[np.ndarray]:
    """Return the simple moving average and bands `width` standard deviations above and below, as of each row.

    The deviation is that of the window as a whole (divided by period, not period - 1), as Bollinger and TA-Lib do. It is taken
    around the window's own mean, so a flat series at any level has bands of exactly no width.

    Parameters
    ----------
    values : float64 array, shape (n,)
    period : int                            2 or more.
    width : float                           Standard deviations, > 0.

    Source: J. Bollinger, Bollinger on Bollinger Bands, 2001, ch. 7; TA-Lib BBANDS.
    Example: bollinger([1, 3], 2, 2.0) -> last row: middle 2, upper 4, lower 0    # deviation 1
    """
    n, k = checked_period("period", period, 2), _checked_width(width)
    found = where_known(as_columns(values=values), lambda x: _bands(x, n, k))
    return Bands(found[0], found[1], found[2])


def _bands(values: np.ndarray, period: int, width: float) -> np.ndarray:
    out = np.full((3, len(values)), np.nan)
    for rows, windows in each_window(values, period):
        middle = np.add.reduce(windows, axis=1) / period
        away = windows - middle[:, None]
        spread = width * np.sqrt(np.add.reduce(away * away, axis=1) / period)
        out[:, rows] = middle, middle + spread, middle - spread
    return out


class Bollinger(Streaming):
    """Streaming twin of `bollinger`."""

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.period = checked_period("period", period, 2)
        self.width = _checked_width(width)
        self.value: Bands[float] = Bands(math.nan, math.nan, math.nan)
        self._window = Window(self.period)

    def update(self, value: float) -> Bands[float]:
        """Take the next value; return the row that `bollinger` would have."""
        if not math.isfinite(value):
            return Bands(math.nan, math.nan, math.nan)
        window = self._window.push(float(value))
        if window is not None:
            middle = float(np.add.reduce(window)) / self.period
            away = window - middle
            spread = self.width * math.sqrt(float(np.add.reduce(away * away)) / self.period)
            self.value = Bands(middle, middle + spread, middle - spread)
        return self.value

    def peek(self, value: float) -> Bands[float]:
        """Return what `update(value)` would, without taking it."""
        return self.clone().update(value)


def _checked_width(width: float) -> float:
    if not (math.isfinite(width) and width > 0):
        raise ConfigError(f"width: received {width!r}; allowed: a number of standard deviations above 0")
    return float(width)
