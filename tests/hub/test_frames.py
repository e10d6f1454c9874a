"""Bars as a table."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from tests.stubs import MIN, OPEN, SEC, TEN, bar, bars, play, prints, replayed
from workbench.hub.frames import COLUMNS, to_frame
from workbench.sessions import ny_ns
from workbench.types import BarSource


def test_a_table_is_indexed_by_new_york_time_and_says_where_each_bar_is_from():
    table = to_frame(bar(TEN, 100.0, source=BarSource.REST, revision=2), symbol="SPY", timeframe="1m")
    assert table.index[0] == pd.Timestamp("2026-11-18 10:00", tz="America/New_York")
    assert tuple(table.columns) == COLUMNS
    assert (table["source"].iloc[0], table["revision"].iloc[0], table["is_partial"].iloc[0]) == ("rest", 2, False)
    assert table.attrs == {"symbol": "SPY", "timeframe": "1m"}


def test_an_empty_table_has_its_columns_and_zone():
    table = to_frame(bars([]))
    assert tuple(table.columns) == COLUMNS
    assert str(table.index.tz) == "America/New_York"


def test_a_clock_change_shows_in_the_index():
    before, after = ny_ns(date(2026, 3, 6), 9, 30), ny_ns(date(2026, 3, 9), 9, 30)
    assert to_frame(bars([before, after])).index.strftime("%H:%M %z").tolist() == ["09:30 -0500", "09:30 -0400"]


def test_hub_bars_can_be_cut_by_time_and_number_and_hold_the_forming_bar_last():
    hub, source = replayed()
    source.history_rows["SPY"] = bars(range(OPEN, TEN, MIN))
    hub.watch("SPY")
    play(hub, prints([(TEN + SEC, 100.0, 100)]))
    table = hub.bars("SPY", "1m")
    assert (len(table), table["is_partial"].sum(), bool(table["is_partial"].iloc[-1])) == (31, 1, True)
    assert len(hub.bars("SPY", "1m", forming=False)) == 30
    assert len(hub.bars("SPY", "1m", 5)) == 5
    assert len(hub.bars("SPY", "1m", start="2026-11-18 09:40", end="2026-11-18 09:49")) == 10
    assert len(hub.bars("SPY", "1m", start=pd.Timestamp("2026-11-18 14:40", tz="UTC"), end="2026-11-18 09:49")) == 10
    assert hub.bars("SPY", "1m").index.is_unique


def test_an_unknown_timeframe_is_named_with_what_is_allowed():
    hub, _ = replayed()
    with pytest.raises(ValueError, match="'5min' \\(did you mean '5m'"):
        hub.bars("SPY", "5min")
