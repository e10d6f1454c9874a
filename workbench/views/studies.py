"""Indicators as a chart draws them: which lines, in which pane, and their values for closed and forming bars.

A study is named by text such as 'vwap', 'ema:20' or 'macd:12:26:9'. Values of closed bars come from the batch form; the bar
that is still open is peeked at with the streaming form, so a tick costs the same whatever the history. Floor 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from workbench.sessions import SessionCalendar


@dataclass(frozen=True, slots=True)
class Line:
    """One drawn line: its column, its name in the legend, its colour token, and whether it is drawn as a histogram."""

    column: str
    label: str
    colour: str
    width: float = 1.5
    alpha: float = 1.0
    is_histogram: bool = False


class Study(Protocol):
    """What a chart asks of an indicator."""

    name: str  # as the person wrote it, e.g. 'ema:20'
    label: str  # as the legend says it, e.g. 'EMA 20'
    is_overlay: bool  # drawn over the candles, else in a pane of its own
    lines: tuple[Line, ...]
    guides: tuple[float, ...]  # faint horizontal lines of an own pane

    def load(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns for all closed bars, and remember where the next bar goes on."""

    def peek(self, forming: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns for the bars still open, without remembering them."""


class SessionVwap:
    """Volume-weighted average price since the regular open, with bands one and two standard deviations away.

    Exact from any intraday bars: sums of volume, volume·vwap and volume·(vw_std² + vwap²) add up over bars. Where a bar has no
    vwap of its own, its typical price (high + low + close)/3 stands in. NaN outside regular hours and on daily bars.
    """

    name = "vwap"
    label = "VWAP"
    is_overlay = True
    guides: tuple[float, ...] = ()
    lines = (
        Line("vwap", "VWAP", "vwap", 1.5),
        Line("vwap_u1", "+1σ", "band", 1.0, 0.75),
        Line("vwap_l1", "−1σ", "band", 1.0, 0.75),
        Line("vwap_u2", "+2σ", "band", 1.0, 0.45),
        Line("vwap_l2", "−2σ", "band", 1.0, 0.45),
    )

    def __init__(self, calendar: SessionCalendar) -> None:
        self._calendar = calendar
        self._session = -1
        self._sums = np.zeros(3)  # volume, volume·price, volume·price² of the session that the last bar belongs to

    def load(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return vwap and bands of closed bars."""
        session, parts = self._parts(rows)
        totals = _running(parts, session)
        regular = session >= 0
        self._session = int(session[-1]) if len(rows) else -1
        self._sums = totals[-1].copy() if len(rows) and regular[-1] else np.zeros(3)
        return _bands(totals, regular)

    def peek(self, forming: np.ndarray) -> dict[str, np.ndarray]:
        """Return vwap and bands of the bars still open."""
        session, parts = self._parts(forming)
        totals = _running(parts, session)
        totals[session == self._session] += self._sums
        return _bands(totals, session >= 0)

    def _parts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (session row or -1 outside regular hours, [volume, volume·price, volume·price²]) of each bar."""
        sessions = self._calendar.sessions
        at = np.clip(np.searchsorted(sessions["open"], rows["ts_open"], side="right") - 1, 0, len(sessions) - 1)
        is_inside = (rows["ts_open"] >= sessions["open"][at]) & (rows["ts_close"] <= sessions["close"][at])
        typical = (rows["high"] + rows["low"] + rows["close"]) / 3
        price = np.where(np.isnan(rows["vwap"]), typical, rows["vwap"])
        spread = np.nan_to_num(rows["vw_std"])
        volume = np.where(is_inside, rows["volume"], 0.0)
        return np.where(is_inside, at, -1), np.column_stack([volume, volume * price, volume * (price**2 + spread**2)])


def _running(parts: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Return cumulative sums that start anew with each session, shape (n, 3)."""
    totals = np.cumsum(parts, axis=0)
    if not len(parts):
        return totals
    starts = np.flatnonzero(np.r_[True, session[1:] != session[:-1]])
    before = np.where((starts > 0)[:, None], totals[starts - 1], 0.0)
    return totals - np.repeat(before, np.diff(np.r_[starts, len(parts)]), axis=0)


def _bands(totals: np.ndarray, regular: np.ndarray) -> dict[str, np.ndarray]:
    volume = np.where(regular & (totals[:, 0] > 0), totals[:, 0], np.nan)
    mean = totals[:, 1] / volume
    std = np.sqrt(np.maximum(totals[:, 2] / volume - mean**2, 0.0))
    return {"vwap": mean, "vwap_u1": mean + std, "vwap_l1": mean - std, "vwap_u2": mean + 2 * std, "vwap_l2": mean - 2 * std}
