"""Exposure through a session: what each moment's chain said, by strike, for a heat map of time and strike.

In: Exposure, one after the other, all under one convention. Out: HeatMap. It keeps numbers and computes none; the oldest moment
is dropped when it is full, and that is counted. Floor 1: numpy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import RecordError
from workbench.options.black import Floats
from workbench.options.exposure import Convention, Exposure

CAPACITY = 1560  # one every 15 s of a regular session
LINES = ("spot", "flip", "call_wall", "put_wall", "magnet", "net_gex", "vex", "cex")


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Net exposure by moment and strike; NaN where a strike was not listed or not known at that moment.

    `lines`: name of LINES -> what stood out at each moment; NaN where there was none.
    """

    ts_ns: NDArray[np.int64]  # (t,)
    strikes: Floats  # (k,)
    net: Floats  # (t, k)
    lines: dict[str, Floats]  # each (t,)
    convention: Convention | None


class ExposureHistory:
    """Moments in order of time, at most `capacity`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise RecordError(f"capacity: received {capacity!r}; allowed: 1 or more moments")
        self._moments: deque[tuple[int, Floats, Floats, tuple[float, ...]]] = deque(maxlen=capacity)
        self._convention: Convention | None = None
        self.n_dropped = 0

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, ts_ns: int, exposure: Exposure) -> None:
        """Keep one moment; the same moment told again replaces itself.

        Raises
        ------
        RecordError                         If it is older than the newest, or of another convention: such numbers can't stand together.
        """
        if self._moments and exposure.convention != self._convention:
            raise RecordError(f"convention: received {exposure.convention}; allowed: that of the moments before it, {self._convention}")
        if self._moments and ts_ns < self._moments[-1][0]:
            raise RecordError(f"ts_ns: received {ts_ns}; allowed: {self._moments[-1][0]} or later, moments come in order")
        if self._moments and ts_ns == self._moments[-1][0]:
            self._moments.pop()
        self.n_dropped += len(self._moments) == self._moments.maxlen
        self._convention = exposure.convention
        self._moments.append((ts_ns, exposure.strikes["strike"].copy(), exposure.strikes["net_gex"].copy(), _lines(exposure)))

    def clear(self) -> None:
        """Forget everything: a new session, or another convention."""
        self._moments.clear()
        self._convention, self.n_dropped = None, 0

    def heat_map(self, low: float = 0.0, high: float = np.inf) -> HeatMap:
        """Return what was kept of the strikes from `low` to `high` [USD]."""
        told = [strikes for _, strikes, _, _ in self._moments]
        strikes = np.unique(np.concatenate(told)) if told else np.zeros(0)
        strikes = strikes[(strikes >= low) & (strikes <= high)]
        net = np.full((len(self._moments), len(strikes)), np.nan)
        for row, (_, its_strikes, its_net, _) in zip(net, self._moments, strict=True):
            inside = (its_strikes >= low) & (its_strikes <= high)
            row[np.searchsorted(strikes, its_strikes[inside])] = its_net[inside]
        columns = np.array([lines for _, _, _, lines in self._moments], np.float64).reshape(len(self._moments), len(LINES))
        ts = np.array([ts_ns for ts_ns, _, _, _ in self._moments], np.int64)
        return HeatMap(ts, strikes, net, {name: columns[:, i] for i, name in enumerate(LINES)}, self._convention)


def _lines(e: Exposure) -> tuple[float, ...]:
    levels = e.levels
    values = (e.spot, e.flip, levels.call_wall, levels.put_wall, levels.magnet, e.net_gex, e.vex, e.cex)
    return tuple(np.nan if value is None else float(value) for value in values)
