"""Rank and percentile of implied volatility against counts by hand; no past, no number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.errors import RecordError
from workbench.options.iv_rank import iv_percentile, iv_rank


def test_rank_is_the_place_between_the_lowest_and_the_highest():
    history = np.full(251, 0.2)
    history[[10, 200]] = 0.1, 0.5
    assert iv_rank(history, 0.2) == pytest.approx(0.25)
    assert iv_rank(history, 0.6) == 1.0
    assert iv_rank(history, 0.05) == 0.0


def test_percentile_counts_the_days_below():
    history = np.linspace(0.1, 0.35, 251)
    assert iv_percentile(history, 0.35) == pytest.approx(250 / 252)
    assert iv_percentile(history, 0.1) == 0.0
    assert iv_percentile(history, 1.0) == pytest.approx(251 / 252)


def test_days_older_than_the_window_do_not_count():
    history = np.concatenate([[5.0], np.linspace(0.1, 0.3, 251)])
    assert iv_rank(history, 0.2) == pytest.approx(0.5)


def test_without_a_year_there_is_no_rank_and_no_middle_in_its_place():
    for history in ([], np.full(250, 0.2), np.full(251, np.nan)):
        assert iv_rank(history, 0.2) is None
        assert iv_percentile(history, 0.2) is None
    assert iv_rank(np.linspace(0.1, 0.2, 300), math.nan) is None
    assert iv_rank(np.full(300, 0.2), 0.2) is None  # it never moved


def test_a_window_of_one_day_is_refused():
    with pytest.raises(RecordError, match="days: received 1; allowed"):
        iv_rank([0.2], 0.2, days=1)
