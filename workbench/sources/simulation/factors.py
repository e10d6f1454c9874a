"""The log-price paths that symbols are mixed from: one market factor, one per sector, one of each symbol's own.

Two levels. The *skeleton* gives every session of the calendar its overnight gap and its close (volatility that clusters, a
slow pull back to the level, so that two decades stay plausible). The *nodes* fill one session minute by minute: a bridge from
where the morning starts to the skeleton's close, with the variance of a trading day (busy open, quiet noon, thin outside),
volatility that wanders, drift that persists for some minutes, and rare jumps. Every session can be drawn alone.

Floor 2: numpy only. All results depend on (seed, name, session date) and on nothing else.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.sources.simulation.universe import symbol_key

REFERENCE_DATE = 20756  # 2026-10-30: where the price levels of the table hold [days since 1970]
REVERSION = 1 / 400  # pull per session towards the level
OVERNIGHT_FRAC = 0.30  # of a session's variance happens while the market sleeps
MOMENTUM_MIN = 25  # how long drift persists [minutes]
VOL_MEMORY_MIN = 90
JUMP_PER_MIN = 0.0008
JUMP_SD = 6.0

# What a generator is for; part of its seed, so that a new use never shifts the numbers of an old one.
SKELETON, NODES, PRINTS, STREAM, BAD, GAPS, HALTS, CONTRACT, FLOW = range(9)


def generator(seed: int, name: str, *key: int) -> np.random.Generator:
    """Return the generator of one purpose: (seed, name, key …) decides every number it will ever give."""
    return np.random.default_rng([seed, symbol_key(name), *key])


class Kept:
    """The newest `capacity` results of a function of hashable keys; safe across threads (two may compute the same thing once each)."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held: OrderedDict[Hashable, Any] = OrderedDict()  # key -> result, least recently used first
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the result kept under `key`, made now when it is not held."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = make()
        with self._lock:
            self._held[key] = made
            while len(self._held) > self.capacity:
                self._held.popitem(last=False)
        return made


@dataclass(frozen=True, slots=True)
class Skeleton:
    """One factor's sessions, all float64 shape (sessions,), log units."""

    start: np.ndarray  # at the first pre-market minute, after the overnight gap
    close: np.ndarray  # at the regular close
    vol: np.ndarray  # sd of that session's intraday move


def skeleton(seed: int, name: str, dates: np.ndarray, daily_vol: float, *, gap_chance: float = 0.0) -> Skeleton:
    """Return gaps and closes of the sessions on `dates`; log level 0 is the close of the last one up to REFERENCE_DATE.

    The draws of session i don't depend on how many sessions follow it.
    """
    n_sessions = len(dates)
    draws = generator(seed, name, SKELETON).standard_normal((n_sessions, 4))
    log_vol = _ar1(0.25 * draws[:, 0], 0.9)
    vol = daily_vol * np.exp(log_vol - 0.16)
    news = np.where(np.abs(draws[:, 3]) > _two_sided(gap_chance), 4.0, 1.0)
    gap = vol * math.sqrt(OVERNIGHT_FRAC) * news * draws[:, 1]
    intraday_vol = vol * math.sqrt(1 - OVERNIGHT_FRAC)
    close = _ar1(gap + intraday_vol * draws[:, 2], 1 - REVERSION)
    before = np.concatenate([[0.0], close[:-1]])
    zero = close[max(0, int(np.searchsorted(dates, REFERENCE_DATE, side="right")) - 1)]
    return Skeleton(before + gap - zero, close - zero, intraday_vol)


def _two_sided(chance: float) -> float:
    """Return z with P(|normal| > z) about `chance` (tail bound solved by bisection; chance 0 gives infinity)."""
    if chance <= 0:
        return math.inf
    low, high = 0.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) > chance else (low, middle)
    return high


def _ar1(shocks: np.ndarray, keep: float) -> np.ndarray:
    out = np.empty(len(shocks))
    level = 0.0
    for i, shock in enumerate(shocks.tolist()):
        level = keep * level + shock
        out[i] = level
    return out


@dataclass(frozen=True, slots=True)
class Shape:
    """The minutes of one session: how much happens in each. Arrays of shape (minutes,)."""

    minutes: int  # from pre-market open to after-hours end
    open_at: int  # first regular minute
    close_at: int  # first minute after the regular session
    variance: np.ndarray  # share of the day's variance; sums to 1 up to the regular close
    activity: np.ndarray  # prints relative to the regular session's mean minute
    spread: np.ndarray  # spread relative to the regular session's

    @property
    def is_regular(self) -> np.ndarray:
        """True for the minutes of the regular session."""
        minute = np.arange(self.minutes)
        return (minute >= self.open_at) & (minute < self.close_at)


def shape_of(session: Any) -> Shape:
    """Return the shape of a session given as one row of the calendar (half days are shorter)."""
    pre_open = int(session["pre_open"])
    minutes, open_at, close_at = ((int(session[name]) - pre_open) // NS_PER_MIN for name in ("post_close", "open", "close"))
    regular = np.arange(close_at - open_at)
    before_close = len(regular) - 1 - regular
    u_shape = (
        0.62
        + 2.6 * np.exp(-regular / 14)
        + 0.55 * np.exp(-regular / 70)
        + 0.9 * np.exp(-before_close / 20)
        + 2.0 * np.exp(-before_close / 3)
    )
    u_shape /= u_shape.mean()
    to_open = np.arange(open_at)[::-1]
    after = np.arange(minutes - close_at)
    activity = np.concatenate(
        [0.015 + 0.16 * np.exp(-to_open / 45), u_shape, 0.012 + 0.25 * np.exp(-after / 4) + 0.05 * np.exp(-after / 40)]
    )
    burst = 0.8 + 3.2 * np.exp(-regular / 18) + 0.5 * np.exp(-before_close / 12)
    variance = np.concatenate([0.25 * burst.mean() * (0.25 + np.exp(-to_open / 70)), burst, 0.2 * np.exp(-after / 25) + 0.06])
    variance /= variance[:close_at].sum()
    spread = np.concatenate([np.full(open_at, 4.0), 1.0 + 1.5 * np.exp(-regular / 6), np.full(minutes - close_at, 4.0)])
    return Shape(minutes, open_at, close_at, variance, activity, spread)


@dataclass(frozen=True, slots=True)
class Nodes:
    """One factor's session at minute marks: log level, shape (minutes + 1,), and how excited each minute is, shape (minutes,)."""

    level: np.ndarray
    excitement: np.ndarray  # volatility multiplier, around 1


def nodes(seed: int, name: str, date: int, shape: Shape, bones: tuple[float, float, float]) -> Nodes:
    """Return the bridge over one session. `bones` = (start, close, intraday vol) from the skeleton."""
    start, close, vol = bones
    rng = generator(seed, name, NODES, date)
    noise = rng.standard_normal((3, shape.minutes))
    excitement = np.exp(0.35 * _smooth(noise[0], VOL_MEMORY_MIN) - 0.06)
    jumps = JUMP_SD * rng.standard_normal(shape.minutes) * (rng.random(shape.minutes) < JUMP_PER_MIN)
    drive = 0.98 * noise[1] + 0.07 * _smooth(noise[2], MOMENTUM_MIN) + jumps
    steps = vol * np.sqrt(shape.variance) * excitement * drive
    level = np.concatenate([[0.0], np.cumsum(steps)])
    used = np.concatenate([[0.0], np.cumsum(shape.variance)]) / shape.variance[: shape.close_at].sum()
    level += (close - start - level[shape.close_at]) * np.minimum(used, 1.0)
    return Nodes(start + level, excitement)


def _smooth(noise: np.ndarray, memory: int) -> np.ndarray:
    """Return exponentially weighted past noise, scaled to unit variance away from the start."""
    weights = np.exp(-np.arange(3 * memory) / memory)
    return np.convolve(noise, weights / math.sqrt(float(weights @ weights)))[: len(noise)]
