"""What all indicators share: checked parameters, rows that are no observation, windows, copies. Floor 1."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Self

import numpy as np

from workbench.errors import ConfigError, RecordError

MAX_PERIOD = 100_000
CHUNK = 8192  # windows reduced at once, so that a long series with a long window doesn't fill the memory


class Streaming:
    """Base of the streaming twins: `clone` copies the parts that change."""

    def clone(self) -> Self:
        """Return an independent copy in the same state."""
        twin = copy.copy(self)
        for name, part in vars(self).items():
            if isinstance(part, (Streaming, Window)):
                setattr(twin, name, part.clone())
        return twin


class Window:
    """The newest `period` values as one contiguous slice, oldest first."""

    __slots__ = ("_at", "_twice", "count", "period")

    def __init__(self, period: int) -> None:
        self.period = period
        self.count = 0  # values taken, at most `period`
        self._at = 0
        self._twice = np.zeros(2 * period)  # every value stands twice, `period` apart

    def push(self, value: float) -> np.ndarray | None:
        """Take a value; return the window (valid until the next push), or None while it is not full."""
        at, period = self._at, self.period
        self._twice[at] = self._twice[at + period] = value
        self._at = at = (at + 1) % period
        if self.count < period:
            self.count += 1
            if self.count < period:
                return None
        return self._twice[at : at + period]

    def clone(self) -> Window:
        """Return an independent copy."""
        twin = Window(self.period)
        twin.count, twin._at = self.count, self._at
        twin._twice[:] = self._twice
        return twin


def checked_period(name: str, period: int, low: int = 1) -> int:
    """Return `period`; ConfigError unless it is a whole number from `low` to 100,000."""
    is_whole = isinstance(period, (int, np.integer)) and not isinstance(period, bool)
    if not is_whole or not low <= period <= MAX_PERIOD:
        raise ConfigError(f"{name}: received {period!r}; allowed: a whole number from {low} to {MAX_PERIOD:,}")
    return int(period)


def as_columns(**columns: object) -> list[np.ndarray]:
    """Return the arrays as float64 of one shape (n,); RecordError names the one that differs."""
    arrays = {name: np.asarray(column, np.float64) for name, column in columns.items()}
    length = len(next(iter(arrays.values())).ravel())
    for name, array in arrays.items():
        if array.shape != (length,):
            raise RecordError(f"{name}: received shape {array.shape}; allowed: one dimension, {length} values")
    return list(arrays.values())


def where_known(columns: list[np.ndarray], compute: Callable[..., np.ndarray]) -> np.ndarray:
    """Return `compute` of the rows that are finite in every column, put back in their places; NaN in the others.

    `compute` takes the shortened columns and returns shape (m,) or (k, m).
    """
    known = np.isfinite(columns[0])
    for column in columns[1:]:
        known &= np.isfinite(column)
    if known.all():
        return compute(*columns)
    found = compute(*(column[known] for column in columns))
    out = np.full((*found.shape[:-1], len(known)), np.nan)
    out[..., known] = found
    return out


def each_window(values: np.ndarray, period: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, windows): windows shape (rows, period) ending at each row, from the first full one on."""
    if len(values) < period:
        return
    windows = np.lib.stride_tricks.sliding_window_view(values, period)
    for start in range(0, len(windows), CHUNK):
        part = windows[start : start + CHUNK]
        yield slice(start + period - 1, start + period - 1 + len(part)), part


def is_known(*values: float) -> bool:
    """Return True when every value is finite."""
    return all(math.isfinite(value) for value in values)
