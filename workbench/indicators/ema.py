"""Exponential moving average. Floor 1."""

from __future__ import annotations

import math

import numpy as np

from workbench.indicators.base import Streaming, as_columns, checked_period, where_known


def ema(values: np.ndarray, period: int) -> np.ndarray:
    """Return the exponential moving average with k = 2 / (period + 1), as of each row.

    y = y + k (x - y), started with the simple mean of the first `period` values at row period - 1 (TA-Lib's default; TradingView
    does the same). The start fades: after 3 * period rows it weighs less than 0.3 %.

    Parameters
    ----------
    values : float64 array, shape (n,)
    period : int                            1 or more.

    Returns
    -------
    float64 array, shape (n,)               NaN before row period - 1.

    Source: TA-Lib, ta_EMA.c (documentation of the unstable period and the SMA start).
    Example: ema([1, 2, 3, 4], 3) -> nan nan 2.0 3.0    # (1+2+3)/3, then 2 + 0.5 * (4 - 2)
    """
    n = checked_period("period", period)
    return where_known(as_columns(values=values), lambda x: smoothed(x, n, 2 / (n + 1)))


def smoothed(values: np.ndarray, period: int, k: float) -> np.ndarray:
    """Return y = y + k (x - y) started with the mean of the first `period` values; NaN before row period - 1. No NaN in."""
    out = np.full(len(values), np.nan)
    if len(values) < period:
        return out
    start = 0.0
    for x in values[:period].tolist():  # added in order, as the twin does
        start += x
    y = start / period
    path = [y]
    for x in values[period:].tolist():
        y += k * (x - y)
        path.append(y)
    out[period - 1 :] = path
    return out


class Smoother(Streaming):
    """Streaming twin of `smoothed`; values must be finite."""

    def __init__(self, period: int, k: float) -> None:
        self.period = period
        self.value = math.nan
        self._k = k
        self._sum = 0.0
        self._count = 0

    def update(self, value: float) -> float:
        """Take the next value; return the average, NaN until `period` values came."""
        if self._count >= self.period:
            self.value += self._k * (value - self.value)
            return self.value
        self._count += 1
        self._sum += value
        if self._count == self.period:
            self.value = self._sum / self.period
        return self.value

    def peek(self, value: float) -> float:
        """Return what `update(value)` would, without taking it."""
        if self._count >= self.period:
            return self.value + self._k * (value - self.value)
        return (self._sum + value) / self.period if self._count == self.period - 1 else math.nan


class Ema(Streaming):
    """Streaming twin of `ema`. `value` is the newest average."""

    def __init__(self, period: int) -> None:
        self.period = checked_period("period", period)
        self._average = Smoother(self.period, 2 / (self.period + 1))

    @property
    def value(self) -> float:
        """The average after the last known value; NaN until the window has filled."""
        return self._average.value

    def update(self, value: float) -> float:
        """Take the next value; return the row that `ema` would have."""
        return self._average.update(float(value)) if math.isfinite(value) else math.nan

    def peek(self, value: float) -> float:
        """Return what `update(value)` would, without taking it."""
        return self._average.peek(float(value)) if math.isfinite(value) else math.nan
