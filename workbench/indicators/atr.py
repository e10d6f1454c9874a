"""Average true range. Floor 1."""

from __future__ import annotations

import math

import numpy as np

from workbench.indicators.base import Streaming, as_columns, checked_period, is_known, where_known
from workbench.indicators.ema import Smoother, smoothed


def true_range(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Return max(high, previous close) - min(low, previous close) [USD], as of each row; NaN in the first, which has no previous close.

    Source: J. W. Wilder, 1978, section III; TA-Lib TRANGE.
    Example: high [10, 12], low [9, 11], close [9.5, 11.5] -> nan 2.5    # 12 - 9.5
    """
    return where_known(as_columns(high=high, low=low, close=close), _true_range)


def _true_range(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    out = np.full(len(close), np.nan)
    out[1:] = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    return out


def atr(high: np.ndarray, low: np.ndarray, close: np.ndarray, period: int = 14) -> np.ndarray:
    """Return Wilder's average true range [USD], as of each row; NaN before row `period`.

    Wilder average (k = 1 / period) of the true ranges, started with the simple mean of the first `period` of them. The first bar has
    no true range (TA-Lib's convention; Wilder by hand took its high - low).

    Parameters
    ----------
    high, low, close : float64 arrays, shape (n,)   [USD]. A row with any of them missing is no observation.
    period : int                                    1 or more.

    Raises RecordError if lengths differ.

    Source: J. W. Wilder, 1978, section III; TA-Lib ATR.
    """
    n = checked_period("period", period)
    return where_known(as_columns(high=high, low=low, close=close), lambda h, lo, c: _atr(h, lo, c, n))


def _atr(high: np.ndarray, low: np.ndarray, close: np.ndarray, period: int) -> np.ndarray:
    out = np.full(len(close), np.nan)
    out[1:] = smoothed(_true_range(high, low, close)[1:], period, 1 / period)
    return out


class Atr(Streaming):
    """Streaming twin of `atr`."""

    def __init__(self, period: int = 14) -> None:
        self.period = checked_period("period", period)
        self.value = math.nan
        self._close = math.nan
        self._average = Smoother(self.period, 1 / self.period)

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; return the row that `atr` would have."""
        if not is_known(high, low, close):
            return math.nan
        if math.isfinite(self._close):
            self.value = self._average.update(self._range(high, low))
        self._close = float(close)
        return self.value

    def peek(self, high: float, low: float, close: float) -> float:
        """Return what `update(high, low, close)` would, without taking it."""
        if not (is_known(high, low, close) and math.isfinite(self._close)):
            return math.nan
        return self._average.peek(self._range(high, low))

    def _range(self, high: float, low: float) -> float:
        return max(float(high), self._close) - min(float(low), self._close)
