"""Volume at price: point of control, value area, nodes of high and low volume. `profile_rows.py` makes profiles of bars and prints.

A row holds prices from its own up to the next, [p, p + step); every profile of one step lies on one grid, so that sessions add up.
A price that is reported is always the lower edge of its row. The value area follows the two-row rule of the Chicago Board of
Trade; the one-row rule of many charts gives other edges and is used only when asked for.

In: volumes by row. Out: rows and prices [USD]. Floor 1: numpy.

Source: the two-row rule as Linn Software describes it; the definition of nodes is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

import numpy as np

from workbench.errors import RecordError
from workbench.options.black import Floats

VALUE_FRAC = 0.70
PRICE_DIGITS = 9  # 10005 × 0.01 is 100.05000000000001
EQUAL_FRAC = 1e-12  # of all volume: sums that differ by less are equal, whatever order they were added in
SMOOTH_ROWS = 1.5  # sigma of the Gaussian under which nodes are looked for
SMOOTH_REACH = 4.0  # sigmas on either side
PROMINENCE_FRAC = 0.10  # of the highest row: how far a node stands out of its surroundings
HIGH_FRAC = 0.60  # of the highest row: the least of a high-volume node
LOW_FRAC = 0.40  # of the lower neighbour: the most of a low-volume node


class VolumeMethod(Enum):
    """Where the volume of a row comes from. All but TRADES are guesses about where inside its range a bar was traded."""

    TRADES = "trades"  # exact
    UNIFORM = "uniform"  # a bar's volume spread evenly over the rows from its low to its high
    CLOSE_ONLY = "close_only"  # all of it in the row of the close
    TRI = "tri"  # most in the row of (high + low + close) / 3, falling evenly to both ends
    TPO = "tpo"  # not volume: in how many half hours a row was touched


@dataclass(frozen=True, slots=True)
class ValueArea:
    """The rows around the point of control that hold the share asked for."""

    low: float  # VAL [USD]
    high: float  # VAH [USD], the row reached
    volume: float
    had_tie: bool  # two sides were equal: the upper was taken
    rows_at_a_time: int


@dataclass(frozen=True, slots=True)
class Node:
    """A row of high or low volume. `volume` as traded; `prominence` after smoothing: above the higher valley, below the lower hill."""

    price: float
    volume: float
    prominence: float


@dataclass(frozen=True, slots=True)
class VolumeProfile:
    """Volume by row; made by `profile_rows`. Row i holds [first_row + i, first_row + i + 1) × step × ratio [USD]."""

    step: float
    first_row: int
    volumes: Floats  # (n,), first and last above 0; empty when nothing was traded
    auction_volumes: Floats  # (n,) part of `volumes` printed in opening and closing auctions; NaN where it is not told
    method: VolumeMethod
    n_sessions: int = 1
    n_left_out: int = 0  # bars or prints without a volume or a price, or not eligible
    ratio: float = 1.0  # 1, or what prices were multiplied with (`index_ratio.py`)

    @property
    def prices(self) -> Floats:
        """Lower edge of each row [USD]."""
        rows = self.first_row + np.arange(len(self.volumes), dtype=np.float64)
        return np.round(rows * self.step * self.ratio, PRICE_DIGITS)

    @property
    def total(self) -> float:
        """All volume."""
        return float(self.volumes.sum())

    @property
    def poc_row(self) -> int | None:
        """Index of the point of control, the row with most volume; of equals the nearest to the middle, then the lower."""
        if not len(self.volumes):
            return None
        best = np.flatnonzero(self.volumes >= self.volumes.max() - EQUAL_FRAC * self.total)
        return int(best[np.argmin(np.abs(best - 0.5 * (len(self.volumes) - 1)))])

    @property
    def poc(self) -> float | None:
        """Price of the point of control [USD]; None when nothing was traded."""
        row = self.poc_row
        return None if row is None else float(self.prices[row])

    def value_area(self, frac: float = VALUE_FRAC, *, rows_at_a_time: int = 2) -> ValueArea | None:
        """Return the value area; None when nothing was traded.

        From the point of control, again and again the next rows above are compared with the next rows below and the larger sum is
        added, until `frac` of all volume is inside. Where fewer rows are left on a side, those are taken.

        Parameters
        ----------
        frac : float                        0-1.
        rows_at_a_time : 2 or 1             2 is the rule of the Board of Trade.
        """
        if not 0 < frac <= 1 or rows_at_a_time not in (1, 2):
            raise RecordError(f"value_area: received frac {frac!r}, rows_at_a_time {rows_at_a_time!r}; allowed: 0 to 1, and 1 or 2")
        poc = self.poc_row
        if poc is None:
            return None
        low, high, inside, had_tie = _widened(self.volumes, poc, frac, rows_at_a_time)
        return ValueArea(float(self.prices[low]), float(self.prices[high]), inside, had_tie, rows_at_a_time)

    def nodes(self) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """Return (high-volume nodes, low-volume nodes), each by price.

        High: a hill of the smoothed rows that stands out by 10 % of the highest and has 60 % of it. Low: the lowest row between two
        such hills when it has at most 40 % of the smaller.
        """
        if not len(self.volumes):
            return (), ()
        smooth, pad = _smoothed(self.volumes)
        top = smooth.max()
        hills = [(row, rise) for row, rise in _hills(smooth) if rise >= PROMINENCE_FRAC * top and smooth[row] >= HIGH_FRAC * top]
        highs = [self._node(row - pad, rise) for row, rise in hills]
        lows = []
        for (left, _), (right, _) in pairwise(hills):
            row = left + int(np.argmin(smooth[left : right + 1]))
            smaller = min(smooth[left], smooth[right])
            if smooth[row] <= LOW_FRAC * smaller:
                lows.append(self._node(row - pad, float(smaller - smooth[row])))
        return tuple(highs), tuple(lows)

    def scaled(self, ratio: float) -> VolumeProfile:
        """Return the profile with all prices multiplied: by a split's factor, or onto an index (`index_ratio.py`)."""
        if not 0 < ratio < math.inf:
            raise RecordError(f"ratio: received {ratio!r}; allowed: a number above 0")
        return replace(self, ratio=self.ratio * ratio)

    def _node(self, row: int, prominence: float) -> Node:
        row = min(max(row, 0), len(self.volumes) - 1)
        return Node(float(self.prices[row]), float(self.volumes[row]), prominence)


def composite(profiles: Sequence[VolumeProfile]) -> VolumeProfile:
    """Return the sum of several sessions' profiles, row by row; RecordError unless all lie on one grid and are of one method."""
    if not profiles:
        raise RecordError("composite: received no profile; allowed: one or more of the same step")
    first = profiles[0]
    for other in profiles:
        if (other.step, other.ratio, other.method) != (first.step, first.ratio, first.method):
            theirs, ours = ((p.step, p.ratio, p.method.value) for p in (other, first))
            raise RecordError(f"composite: received step, ratio and method {theirs}; allowed: those of the first profile, {ours}")
    told = [p for p in profiles if len(p.volumes)]
    low = min((p.first_row for p in told), default=0)
    n = max((p.first_row + len(p.volumes) for p in told), default=0) - low
    volumes, auction = np.zeros(n), np.zeros(n)
    for p in told:
        rows = slice(p.first_row - low, p.first_row - low + len(p.volumes))
        volumes[rows] += p.volumes
        auction[rows] += p.auction_volumes
    return replace(
        first,
        first_row=low,
        volumes=volumes,
        auction_volumes=auction,
        n_sessions=sum(p.n_sessions for p in profiles),
        n_left_out=sum(p.n_left_out for p in profiles),
    )


def _widened(volumes: Floats, poc: int, frac: float, rows: int) -> tuple[int, int, float, bool]:
    """Return (lowest row, highest row, volume inside, whether two sides were ever equal)."""
    low = high = poc
    hair = EQUAL_FRAC * float(volumes.sum())
    inside, goal, had_tie = float(volumes[poc]), frac * float(volumes.sum()) - hair, False
    while inside < goal and (low > 0 or high < len(volumes) - 1):
        above, below = volumes[high + 1 : high + 1 + rows], volumes[max(low - rows, 0) : low]
        up, down = float(above.sum()), float(below.sum())
        had_tie |= bool(len(above) and len(below) and abs(up - down) <= hair)
        if len(above) and (up >= down - hair or not len(below)):
            high, inside = high + len(above), inside + up
        else:
            low, inside = low - len(below), inside + down
    return low, high, inside, had_tie


def _smoothed(volumes: Floats) -> tuple[Floats, int]:
    """Return the rows under a Gaussian with as many empty rows around as it reaches, and that number."""
    reach = int(SMOOTH_REACH * SMOOTH_ROWS + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTH_ROWS) ** 2)
    return np.convolve(np.pad(volumes, reach), weights / weights.sum(), mode="same"), reach


def _hills(values: Floats) -> list[tuple[int, float]]:
    """Return (row, prominence) of every local maximum, the middle of it where it is flat."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1])
    ends = np.concatenate([starts[1:], [len(values)]])
    heights = values[starts]
    found = []
    for i in np.flatnonzero((heights[1:-1] > heights[:-2]) & (heights[1:-1] > heights[2:])) + 1:
        left, right = np.flatnonzero(heights[:i] > heights[i]), np.flatnonzero(heights[i + 1 :] > heights[i])
        valley_left = heights[(left[-1] if len(left) else 0) : i].min()
        valley_right = heights[i + 1 : (i + 2 + right[0] if len(right) else None)].min()
        found.append((int((starts[i] + ends[i] - 1) // 2), float(heights[i] - max(valley_left, valley_right))))
    return found
