"""Prices that no market made: prints far from everything around them that come and go at once.

A level that moves and stays (earnings, news) is no spike. The yardstick is the data's own: the median size of its steps on that day
(or, for prints, in the surrounding window), so one rule serves a sleepy ETF and a wild small cap.

Floor 1: numpy only.
"""

from __future__ import annotations

import numpy as np

BAR_STEPS = 12.0  # a bar spike is this many typical ranges away
PRINT_STEPS = 15.0  # a print is this many typical deviations away from the median of its neighbours
MIN_FRACTION = 0.005  # and at least this part of the price, so that quiet minutes don't make spikes of ticks
WINDOW = 21  # prints looked at around each


def bar_spikes(rows: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return which bars hold a spike: BAR_DTYPE in time order, `days` the session of each; bool shape (n,).

    Either a high or low far beyond the bar's own body and both neighbours' closes and opens, or a close that jumps away and comes
    straight back. Bars without a price are no spikes.
    """
    n = len(rows)
    if n < 5:
        return np.zeros(n, bool)
    price = rows["close"]
    scale = np.maximum(_typical_range(rows, days), MIN_FRACTION / BAR_STEPS * price)
    before = np.r_[rows["open"][0], rows["close"][:-1]]
    after = np.r_[rows["open"][1:], rows["close"][-1]]
    before = np.where(np.r_[False, days[1:] == days[:-1]], before, rows["open"])
    after = np.where(np.r_[days[1:] == days[:-1], False], after, rows["close"])
    top = np.maximum.reduce([rows["open"], rows["close"], before, after])
    bottom = np.minimum.reduce([rows["open"], rows["close"], before, after])
    with np.errstate(invalid="ignore"):
        wick = (rows["high"] - top > BAR_STEPS * scale) | (bottom - rows["low"] > BAR_STEPS * scale)
        return np.asarray(wick | _there_and_back(rows, days, BAR_STEPS * scale))


def _typical_range(rows: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return the median high-low range of each bar's day; the whole file's where a day has none."""
    ranges = rows["high"] - rows["low"]
    overall = float(np.nanmedian(ranges)) if np.isfinite(ranges).any() else 0.0
    out = np.full(len(rows), overall)
    for day in np.unique(days):
        mine = days == day
        if np.isfinite(ranges[mine]).any():
            out[mine] = np.nanmedian(ranges[mine])
    return out


def _there_and_back(rows: np.ndarray, days: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Return which closes lie beyond both neighbours' closes by more than `limit` on the same side."""
    close = rows["close"]
    out = np.zeros(len(rows), bool)
    same = (days[1:-1] == days[:-2]) & (days[1:-1] == days[2:])
    away_before, away_after = close[1:-1] - close[:-2], close[1:-1] - close[2:]
    out[1:-1] = same & (away_before * away_after > 0) & (np.minimum(np.abs(away_before), np.abs(away_after)) > limit[1:-1])
    return out


def print_spikes(price: np.ndarray) -> np.ndarray:
    """Return which prints lie far from the median of the `WINDOW` prints around them; prices of one symbol in time order."""
    n = len(price)
    if n < WINDOW:
        return np.zeros(n, bool)
    half = WINDOW // 2
    around = np.lib.stride_tricks.sliding_window_view(np.pad(price, half, mode="edge"), WINDOW)
    out = np.zeros(n, bool)
    for start in range(0, n, 100_000):  # a million prints' windows at once would take a gigabyte
        part = around[start : start + 100_000]
        middle = np.median(part, axis=1)
        away = np.abs(price[start : start + 100_000] - middle)
        far = away > MIN_FRACTION * middle
        if far.any():
            deviation = np.median(np.abs(part[far] - middle[far, None]), axis=1)
            far[far] = away[far] > PRINT_STEPS * np.maximum(deviation, MIN_FRACTION / PRINT_STEPS * middle[far])
        out[start : start + 100_000] = far
    return out
