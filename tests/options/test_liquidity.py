"""Warnings of liquidity: each by its own number, none where a number is only unknown."""

from __future__ import annotations

import numpy as np
import pytest

from tests.options.chains import rows_of
from workbench.options.liquidity import LiquidityLimits, LiquidityWarning, liquidity_warnings

W = LiquidityWarning


def warned(**told):
    rows = rows_of(strikes=(600,), rights="C")
    rows["bid"], rows["ask"], rows["bid_size"], rows["ask_size"], rows["volume"], rows["open_interest"] = 1.00, 1.05, 20, 20, 5, 100
    for name, value in told.items():
        rows[name] = value
    return W(int(liquidity_warnings(rows)[0]))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, W.NONE), ({"bid": 0.0}, W.NO_BID), ({"bid": 0.0, "ask": 0.0}, W.NO_BID | W.NO_ASK),
        ({"ask": 1.12}, W.WIDE_SPREAD), ({"ask": 1.10}, W.NONE), ({"bid": 0.05, "ask": 0.10}, W.NONE),  # a nickel wide, 67 %
        ({"ask_size": 4.0}, W.THIN_SIZE), ({"ask_size": np.nan}, W.NONE), ({"open_interest": 99.0}, W.LOW_OPEN_INTEREST),
        ({"volume": 0.0}, W.NO_VOLUME), ({"volume": np.nan}, W.UNKNOWN), ({"open_interest": np.nan}, W.UNKNOWN),
    ],
)  # fmt: skip
def test_each_warning_has_its_own_cause(told, expected):
    assert warned(**told) == expected


def test_warnings_are_sentences():
    assert (W.NO_BID | W.LOW_OPEN_INTEREST).texts == ("nobody bids", "low open interest")
    assert W.NONE.texts == ()


def test_limits_are_given():
    rows = rows_of(strikes=(600,), mid=lambda k, r: 1.0)
    assert not (liquidity_warnings(rows) & W.WIDE_SPREAD).any()
    assert (liquidity_warnings(rows, LiquidityLimits(max_spread_pct=1, tight_spread_usd=0)) & W.WIDE_SPREAD).all()
