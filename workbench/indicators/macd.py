"""Moving average convergence/divergence. Floor 1."""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from workbench.errors import ConfigError
from workbench.indicators.base import Streaming, as_columns, checked_period, where_known
from workbench.indicators.ema import Smoother, smoothed

T = TypeVar("T", float, np.ndarray)


class MacdLines(NamedTuple, Generic[T]):
    """The difference of two averages, its own average, and what lies between."""

    line: T
    signal: T
    histogram: T


def macd(values: np.ndarray, fast: int = 12, slow: int = 26, signal: int = 9) -> MacdLines[np.ndarray]:
    """Return line = EMA(fast) - EMA(slow), signal = EMA of the line, histogram = line - signal, as of each row.

    Each EMA is exactly that of `ema`, so the line is the distance of the two averages on the chart. (TA-Lib's MACD starts the fast
    average later, with the slow one; the two agree to 1e-6 of the price after some hundred rows.) The line begins at row slow - 1,
    signal and histogram at row slow + signal - 2.

    Raises ConfigError unless fast < slow.

    Source: G. Appel, Technical Analysis: Power Tools for Active Investors, 2005, ch. 8.
    """
    periods = _checked(fast, slow, signal)
    found = where_known(as_columns(values=values), lambda x: _lines(x, *periods))
    return MacdLines(found[0], found[1], found[2])


def _lines(values: np.ndarray, fast: int, slow: int, signal: int) -> np.ndarray:
    line = smoothed(values, fast, 2 / (fast + 1)) - smoothed(values, slow, 2 / (slow + 1))
    average = np.full(len(values), np.nan)
    average[slow - 1 :] = smoothed(line[slow - 1 :], signal, 2 / (signal + 1))
    return np.stack([line, average, line - average])


class Macd(Streaming):
    """Streaming twin of `macd`."""

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self.periods = _checked(fast, slow, signal)
        self.value: MacdLines[float] = _NOTHING
        self._fast, self._slow, self._signal = (Smoother(n, 2 / (n + 1)) for n in self.periods)

    def update(self, value: float) -> MacdLines[float]:
        """Take the next value; return the row that `macd` would have."""
        if not math.isfinite(value):
            return _NOTHING
        line = self._fast.update(float(value)) - self._slow.update(float(value))
        if math.isfinite(line):
            average = self._signal.update(line)
            self.value = MacdLines(line, average, line - average)
        return self.value

    def peek(self, value: float) -> MacdLines[float]:
        """Return what `update(value)` would, without taking it."""
        if not math.isfinite(value):
            return _NOTHING
        line = self._fast.peek(float(value)) - self._slow.peek(float(value))
        average = self._signal.peek(line) if math.isfinite(line) else math.nan
        return MacdLines(line, average, line - average)


_NOTHING: MacdLines[float] = MacdLines(math.nan, math.nan, math.nan)


def _checked(fast: int, slow: int, signal: int) -> tuple[int, int, int]:
    periods = checked_period("fast", fast), checked_period("slow", slow), checked_period("signal", signal)
    if periods[0] >= periods[1]:
        raise ConfigError(f"fast: received {fast}; allowed: less than slow ({slow})")
    return periods
