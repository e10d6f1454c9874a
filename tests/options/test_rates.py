"""The rate curve: constant, between points, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.errors import RecordError
from workbench.options.rates import RateCurve


def test_a_constant_rate_is_the_same_at_all_times():
    curve = RateCurve.constant(0.05)
    assert curve.rate([0, 0.5, 30]).tolist() == [0.05, 0.05, 0.05]
    assert curve.discount(2.0) == pytest.approx(0.9048374180359595)  # e^-0.1


def test_between_points_the_rate_is_on_a_straight_line_and_level_outside():
    curve = RateCurve.points([(0.25, 0.05), (1.25, 0.04), (5.25, 0.02)])
    assert curve.rate([0, 0.25, 0.75, 1.25, 3.25, 10]) == pytest.approx([0.05, 0.05, 0.045, 0.04, 0.03, 0.02])
    assert np.isnan(curve.rate(math.nan))


@pytest.mark.parametrize(
    ("years", "rates", "said"),
    [
        ((), (), "received 0 times and 0 rates"),
        ((0.0, 1.0), (0.05,), "received 2 times and 1 rates"),
        ((1.0, 0.5), (0.05, 0.04), r"years: received 0\.5 after 1\.0; allowed: each later"),
        ((-1.0,), (0.05,), r"years: received -1\.0; allowed: finite years from 0"),
        ((0.0,), (5.25,), r"rates: received 5\.25; allowed: -1\.0 to 1\.0, as 0\.05 for 5 %"),
        ((0.0,), (math.nan,), "rates: received nan"),
    ],
)
def test_a_curve_that_cannot_be_meant_is_refused(years, rates, said):
    with pytest.raises(RecordError, match=said):
        RateCurve(years, rates)
