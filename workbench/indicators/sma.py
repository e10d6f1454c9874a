"""Simple moving average. Floor 1."""

from __future__ import annotations

import math

import numpy as np

from workbench.indicators.base import Streaming, Window, as_columns, checked_period, each_window, where_known


def sma(values: np.ndarray, period: int) -> np.ndarray:
    """Return the mean of the last `period` values, as of each row; NaN before row period - 1.

    Every window is summed anew: no running sum, so no error that grows along a long series.

    Example: sma([1, 2, 3, 4], 3) -> nan nan 2.0 3.0
    """
    n = checked_period("period", period)
    return where_known(as_columns(values=values), lambda x: _means(x, n))


def _means(values: np.ndarray, period: int) -> np.ndarray:
    out = np.full(len(values), np.nan)
    for rows, windows in each_window(values, period):
        out[rows] = np.add.reduce(windows, axis=1) / period
    return out


class Sma(Streaming):
    """Streaming twin of `sma`."""

    def __init__(self, period: int) -> None:
        self.period = checked_period("period", period)
        self.value = math.nan
        self._window = Window(self.period)

    def update(self, value: float) -> float:
        """Take the next value; return the row that `sma` would have."""
        if not math.isfinite(value):
            return math.nan
        window = self._window.push(float(value))
        if window is not None:
            self.value = float(np.add.reduce(window)) / self.period
        return self.value

    def peek(self, value: float) -> float:
        """Return what `update(value)` would, without taking it."""
        return self.clone().update(value)
