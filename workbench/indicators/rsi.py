"""Relative strength index. Floor 1."""

from __future__ import annotations

import math

import numpy as np

from workbench.indicators.base import Streaming, as_columns, checked_period, where_known
from workbench.indicators.ema import Smoother, smoothed

FLAT = 50.0  # neither gain nor loss in memory: Wilder leaves it undefined, TA-Lib says 0, TradingView 100; half way misleads nobody


def rsi(close: np.ndarray, period: int = 14) -> np.ndarray:
    """Return Wilder's relative strength index [0-100], as of each row; NaN before row `period`.

    100 * gain / (gain + loss), both Wilder averages (k = 1 / period, started with the simple mean) of the rises and falls from
    close to close. 50 where nothing moved.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems, 1978, section VI; TA-Lib RSI.
    Example: rsi([1, 2, 1, 3], 3) -> last row 75.0    # rises 1 and 2, falls 1: 100 * 3 / 4
    """
    n = checked_period("period", period)
    return where_known(as_columns(close=close), lambda x: _rsi(x, n))


def _rsi(close: np.ndarray, period: int) -> np.ndarray:
    out = np.full(len(close), np.nan)
    change = np.diff(close)
    gain = smoothed(np.maximum(change, 0.0), period, 1 / period)
    loss = smoothed(np.maximum(-change, 0.0), period, 1 / period)
    moved = gain + loss
    is_flat = moved == 0
    out[1:] = np.where(is_flat, FLAT, 100 * gain / np.where(is_flat, 1.0, moved))
    return out


class Rsi(Streaming):
    """Streaming twin of `rsi`."""

    def __init__(self, period: int = 14) -> None:
        self.period = checked_period("period", period)
        self.value = math.nan
        self._close = math.nan
        self._gain = Smoother(self.period, 1 / self.period)
        self._loss = Smoother(self.period, 1 / self.period)

    def update(self, close: float) -> float:
        """Take the next close; return the row that `rsi` would have."""
        if not math.isfinite(close):
            return math.nan
        if math.isfinite(self._close):
            change = float(close) - self._close
            self.value = _index(self._gain.update(max(change, 0.0)), self._loss.update(max(-change, 0.0)))
        self._close = float(close)
        return self.value

    def peek(self, close: float) -> float:
        """Return what `update(close)` would, without taking it."""
        if not (math.isfinite(close) and math.isfinite(self._close)):
            return math.nan
        change = float(close) - self._close
        return _index(self._gain.peek(max(change, 0.0)), self._loss.peek(max(-change, 0.0)))


def _index(gain: float, loss: float) -> float:
    moved = gain + loss
    return FLAT if moved == 0 else 100 * gain / moved
