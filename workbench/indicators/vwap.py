"""Volume-weighted average price from an anchor on, with bands of volume-weighted standard deviation. Floor 1."""

from __future__ import annotations

import math
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np

from workbench.errors import CalendarError, RecordError, choices
from workbench.indicators.base import Streaming, is_known
from workbench.sessions import SessionCalendar, week_number
from workbench.types import BAR_DTYPE

T = TypeVar("T", float, np.ndarray)
VwapAnchor = Literal["rth", "session", "week"]
ANCHORS: tuple[VwapAnchor, ...] = ("rth", "session", "week")
OUTSIDE, INSIDE, START = 0, 1, 2  # what a bar is to an anchor


class VwapBands(NamedTuple, Generic[T]):
    """The average, its bands at one and two standard deviations, and whether any bar since the anchor had to be guessed."""

    vwap: T
    upper1: T
    lower1: T
    upper2: T
    lower2: T
    is_estimated: Any  # bool, or bool array


def anchor_starts(ts_open: np.ndarray, calendar: SessionCalendar, anchor: VwapAnchor | int = "rth") -> np.ndarray:
    """Return for each bar whether it is OUTSIDE the anchored span (0), INSIDE (1) or the first bar of it (START, 2); uint8 shape (n,).

    Parameters
    ----------
    ts_open : int64 array, shape (n,)   Bar starts [ns UTC], ascending.
    calendar : SessionCalendar
    anchor : 'rth' each regular session from 09:30 to its close; 'session' each day from 04:00 to 20:00; 'week' the regular sessions
        of each week; a number of ns UTC: that moment, with no end. Never UTC midnight.
    """
    ts = np.asarray(ts_open, np.int64)
    if isinstance(anchor, (int, np.integer)):
        return _with_starts(ts >= anchor, np.zeros(len(ts), np.int64))
    if anchor not in ANCHORS:
        raise CalendarError(f"anchor: received {choices(anchor, ANCHORS)}, or a time in ns UTC")
    sessions = calendar.sessions
    day = np.searchsorted(sessions["pre_open"], ts, side="right") - 1
    row = sessions[np.maximum(day, 0)]
    first, end = ("pre_open", "post_close") if anchor == "session" else ("open", "close")
    inside = (day >= 0) & (ts >= row[first]) & (ts < row[end])
    return _with_starts(inside, week_number(row["date"]) if anchor == "week" else day)


def _with_starts(inside: np.ndarray, group: np.ndarray) -> np.ndarray:
    place = inside.astype(np.uint8)
    at = np.flatnonzero(inside)
    if len(at):
        group = group[at]
        place[at[np.r_[True, group[1:] != group[:-1]]]] = START
    return place


def vwap(bars: np.ndarray, place: np.ndarray) -> VwapBands[np.ndarray]:
    """Return the anchored average price and its bands [USD], as of each bar; NaN outside the anchored spans and before any volume.

    vwap = Σ v p / Σ v with p the bar's own vwap; the variance adds the spread inside each bar (vw_std²) to that between bars, so with
    bars from trades both equal the sums over the trades themselves. A bar without vwap counts at (high + low + close) / 3, one without
    vw_std as if all its volume stood at one price; from there to the end of the span `is_estimated` is True.

    Parameters
    ----------
    bars : BAR_DTYPE array, shape (n,)   In time order. A bar with no (or unknown) volume changes nothing.
    place : uint8 array, shape (n,)      From `anchor_starts`.

    Raises RecordError if lengths or dtype differ.
    """
    if bars.dtype != BAR_DTYPE or np.shape(place) != bars.shape:
        raise RecordError(f"bars, place: received {bars.dtype} {bars.shape} and {np.shape(place)}; allowed: BAR_DTYPE and as many places")
    out = np.full((5, len(bars)), np.nan)
    guessed = np.zeros(len(bars), bool)
    price, variance, volume, is_guess = _inputs(bars)
    starts = np.flatnonzero(np.asarray(place) == START)
    stops = np.append(starts[1:], len(bars))[: len(starts)]
    for start, stop in zip(starts, stops, strict=True):
        rows = start + np.flatnonzero(place[start:stop] != OUTSIDE)
        out[:, rows] = _span(price[rows], variance[rows], volume[rows])
        guessed[rows] = np.logical_or.accumulate(is_guess[rows])
    return VwapBands(out[0], out[1], out[2], out[3], out[4], guessed)


def _inputs(bars: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    hlc3 = (bars["high"] + bars["low"] + bars["close"]) / 3
    has_price, has_spread = np.isfinite(bars["vwap"]), np.isfinite(bars["vw_std"])
    price = np.where(has_price, bars["vwap"], hlc3)
    variance = np.where(has_spread & has_price, bars["vw_std"] * bars["vw_std"], 0.0)
    counts = np.isfinite(price) & np.isfinite(bars["volume"]) & (bars["volume"] > 0)
    return np.where(counts, price, np.nan), variance, np.where(counts, bars["volume"], 0.0), counts & ~(has_price & has_spread)


def _span(price: np.ndarray, variance: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """Return the five lines of one span. Sums are of distances from its first price, so that no digits are lost at high prices."""
    out = np.full((5, len(price)), np.nan)
    known = np.flatnonzero(volume > 0)
    if not len(known):
        return out
    base = price[known[0]]
    away = np.where(volume > 0, price - base, 0.0)
    total = np.cumsum(volume)
    first, second = np.cumsum(volume * away), np.cumsum(volume * (variance + away * away))
    some = slice(known[0], None)
    mean = first[some] / total[some]
    spread = np.sqrt(np.maximum(second[some] / total[some] - mean * mean, 0.0))
    line = base + mean
    out[:, some] = line, line + spread, line - spread, line + 2 * spread, line - 2 * spread
    return out


class Vwap(Streaming):
    """Streaming twin of `vwap`: `update` with each closed bar, `peek` with the forming one, both with the bar's place."""

    def __init__(self) -> None:
        self.value: VwapBands[float] = _NOTHING
        self._is_inside = False
        self._forget()

    def _forget(self) -> None:
        self._base = math.nan
        self._total = self._first = self._second = 0.0
        self._is_estimated = False

    def update(self, bar: Any, place: int) -> VwapBands[float]:
        """Take the next bar (one BAR_DTYPE row); return the row that `vwap` would have."""
        if place == START:
            self._is_inside = True
            self._forget()
        if place == OUTSIDE or not self._is_inside:
            self.value = _NOTHING
        else:
            self._take(bar)
            self.value = self._lines()
        return self.value

    def peek(self, bar: Any, place: int) -> VwapBands[float]:
        """Return what `update(bar, place)` would, without taking it."""
        return self.clone().update(bar, place)

    def _take(self, bar: Any) -> None:
        volume, price, spread = float(bar["volume"]), float(bar["vwap"]), float(bar["vw_std"])
        is_guess = not is_known(price, spread)
        if not math.isfinite(price):
            price, spread = (float(bar["high"]) + float(bar["low"]) + float(bar["close"])) / 3, 0.0
        if not (is_known(volume, price) and volume > 0):
            return
        if math.isnan(self._base):
            self._base = price
        away = price - self._base
        variance = spread * spread if math.isfinite(spread) else 0.0
        self._total += volume
        self._first += volume * away
        self._second += volume * (variance + away * away)
        self._is_estimated |= is_guess

    def _lines(self) -> VwapBands[float]:
        if not self._total:
            return _NOTHING
        mean = self._first / self._total
        spread = math.sqrt(max(self._second / self._total - mean * mean, 0.0))
        line = self._base + mean
        return VwapBands(line, line + spread, line - spread, line + 2 * spread, line - 2 * spread, self._is_estimated)


_NOTHING: VwapBands[float] = VwapBands(math.nan, math.nan, math.nan, math.nan, math.nan, False)
