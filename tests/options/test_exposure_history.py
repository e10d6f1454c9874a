"""Exposure through a session: every moment where it belongs, nothing filled in, nothing of another kind beside it."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import RecordError
from workbench.options.exposure import Convention, GexUnit, exposure
from workbench.options.exposure_history import LINES, ExposureHistory


def moment(spot, strikes, **convention):
    n = len(strikes)
    return exposure(spot, strikes, ["C", "P"] * (n // 2) + ["C"] * (n % 2), 0.01, 0.2, 100.0, convention=Convention(**convention))


def test_moments_of_different_strikes_stand_on_one_grid_and_gaps_stay_gaps():
    history = ExposureHistory()
    first, second = moment(100.0, [95.0, 100, 105]), moment(101.0, [100.0, 102.5, 105, 110])
    history.add(10, first)
    history.add(20, second)
    got = history.heat_map()
    assert got.ts_ns.tolist() == [10, 20]
    assert got.strikes.tolist() == [95, 100, 102.5, 105, 110]
    np.testing.assert_array_equal(got.net[0], [*first.strikes["net_gex"][:2], np.nan, first.strikes["net_gex"][2], np.nan])
    np.testing.assert_array_equal(got.net[1], [np.nan, *second.strikes["net_gex"]])
    assert got.lines["spot"].tolist() == [100, 101]
    assert got.lines["net_gex"].tolist() == [first.net_gex, second.net_gex]
    assert history.heat_map(100, 105).strikes.tolist() == [100, 102.5, 105]
    np.testing.assert_array_equal(history.heat_map(100, 105).net, got.net[:, 1:4])


def test_a_level_that_is_not_there_is_a_gap_in_its_line():
    history = ExposureHistory()
    history.add(10, exposure(100.0, [100.0], ["C"], 0.01, 0.2, 100.0))
    lines = history.heat_map().lines
    assert np.isnan(lines["flip"][0])
    assert np.isnan(lines["put_wall"][0])
    assert lines["call_wall"][0] == 100
    assert tuple(lines) == LINES


def test_the_same_moment_told_again_replaces_itself_and_an_older_one_is_refused():
    history = ExposureHistory()
    history.add(10, moment(100.0, [95.0, 100]))
    history.add(10, moment(101.0, [95.0, 100]))
    assert len(history) == 1
    assert history.heat_map().lines["spot"].tolist() == [101]
    with pytest.raises(RecordError, match="moments come in order"):
        history.add(9, moment(100.0, [95.0, 100]))


def test_numbers_of_two_conventions_never_stand_together():
    history = ExposureHistory()
    history.add(10, moment(100.0, [95.0, 100]))
    with pytest.raises(RecordError, match="convention: received"):
        history.add(20, moment(100.0, [95.0, 100], unit=GexUnit.SHARES))
    history.clear()
    history.add(20, moment(100.0, [95.0, 100], unit=GexUnit.SHARES))
    assert len(history) == 1


def test_a_full_history_drops_its_oldest_moment_and_counts_it():
    history = ExposureHistory(capacity=3)
    for ts in range(5):
        history.add(ts, moment(100.0 + ts, [95.0, 100]))
    assert history.heat_map().ts_ns.tolist() == [2, 3, 4]
    assert history.n_dropped == 2
    with pytest.raises(RecordError, match="capacity"):
        ExposureHistory(0)


def test_an_empty_history_is_an_empty_map():
    got = ExposureHistory().heat_map()
    assert (got.net.shape, len(got.strikes), got.convention) == ((0, 0), 0, None)
