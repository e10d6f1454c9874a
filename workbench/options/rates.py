"""The interest rate by time to expiry: one number, or points with straight lines between them.

In: continuous zero rates per year, by calendar years. Out: rate and discount at any time. No curve is fetched or guessed: what a
rate is worth on screen is what was put in here.

Floor 1: numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import RecordError

MAX_RATE = 1.0  # 100 % a year: beyond it somebody wrote percent


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Zero rates, continuously compounded: 0.05 = 5 % a year. Before the first and after the last point the rate stays level.

    `years` ascending calendar years to each point, `rates` the zero rate there; one point is a constant rate.
    """

    years: tuple[float, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.years or len(self.years) != len(self.rates):
            received = f"{len(self.years)} times and {len(self.rates)} rates"
            raise RecordError(f"RateCurve: received {received}; allowed: as many of one as of the other, at least 1")
        for at in self.years:
            if not (math.isfinite(at) and at >= 0):
                raise RecordError(f"RateCurve.years: received {at!r}; allowed: finite years from 0")
        for before, after in zip(self.years, self.years[1:], strict=False):
            if after <= before:
                raise RecordError(f"RateCurve.years: received {after!r} after {before!r}; allowed: each later than the one before")
        for rate in self.rates:
            if not (math.isfinite(rate) and abs(rate) <= MAX_RATE):
                raise RecordError(f"RateCurve.rates: received {rate!r}; allowed: {-MAX_RATE} to {MAX_RATE}, as 0.05 for 5 % a year")

    @classmethod
    def constant(cls, rate: float) -> RateCurve:
        """Return the curve that has the same rate at all times."""
        return cls((0.0,), (float(rate),))

    @classmethod
    def points(cls, points: Iterable[tuple[float, float]]) -> RateCurve:
        """Return the curve through (calendar years, zero rate), in order of time."""
        pairs = list(points)
        return cls(tuple(float(at) for at, _ in pairs), tuple(float(rate) for _, rate in pairs))

    def rate(self, years: ArrayLike) -> NDArray[np.float64]:
        """Return the zero rate at each time, linear between the points. NaN gives NaN."""
        return np.asarray(np.interp(np.asarray(years, np.float64), self.years, self.rates), np.float64)

    def discount(self, years: ArrayLike) -> NDArray[np.float64]:
        """Return what 1 USD at each time is worth now: e^(-rate·years)."""
        return np.asarray(np.exp(-self.rate(years) * np.asarray(years, np.float64)), np.float64)
