"""Pure maths on arrays: one idea per file, each with a batch function and a streaming twin that gives the same numbers.

Conventions, the same in every file:

- *Warm-up*: NaN until the window has filled; the first value stands where TA-Lib puts it. Exponential averages (EMA, Wilder's)
  start from the simple mean of their first `period` values.
- *Absence*: a value that is NaN or infinite is no observation: the answer there is NaN and the state stays as it was.
- *Causality*: row i depends on rows 0 … i only.
- *Streaming*: `update(value)` takes the next value and answers what the batch function has in that row, bit for bit;
  `peek(value)` answers without taking (for the bar still forming); `clone()` is an independent copy.

Floor 1: numpy only.
"""

from workbench.indicators.atr import Atr, atr, true_range
from workbench.indicators.bollinger import Bands, Bollinger, bollinger
from workbench.indicators.ema import Ema, ema
from workbench.indicators.macd import Macd, MacdLines, macd
from workbench.indicators.rsi import Rsi, rsi
from workbench.indicators.sma import Sma, sma
from workbench.indicators.vwap import Vwap, VwapBands, anchor_starts, vwap

__all__ = [
    "Atr",
    "Bands",
    "Bollinger",
    "Ema",
    "Macd",
    "MacdLines",
    "Rsi",
    "Sma",
    "Vwap",
    "VwapBands",
    "anchor_starts",
    "atr",
    "bollinger",
    "ema",
    "macd",
    "rsi",
    "sma",
    "true_range",
    "vwap",
]
