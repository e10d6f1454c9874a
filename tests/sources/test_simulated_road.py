"""The simulated market through the hub: bars built from a stream with every fault equal the market's own history."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from workbench.clock import NS_PER_MIN
from workbench.hub.hub import Hub
from workbench.sessions import SessionCalendar, ny_ns
from workbench.sources.simulated import SimulatedSource
from workbench.sources.simulation.market import Faults
from workbench.types import BarSource

TEN = ny_ns(date(2026, 11, 20), 10)
NAMES = ("SPY", "AMD", "XLF")
MINUTES = 90


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_a_stream_with_every_fault_ends_in_the_true_bars(seed: int):
    faults = Faults(bad_prints=60, crossed_quotes=60, late_frac=0.03, gaps=8, halts=0.5)
    source = SimulatedSource(NAMES, seed=seed, start_ns=TEN, faults=faults, calendar=SessionCalendar.xnys())
    hub = Hub(source)
    source.pause()
    source.start(hub)
    for name in NAMES:
        hub.watch(name)
    for _ in range(MINUTES):
        source.step("bar")
        hub.pump()
    source.stop()
    hub.pump()
    for name in NAMES:
        rows = hub.series(name, "1m").rows()
        rows = rows[(rows["ts_open"] >= TEN) & (rows["ts_close"] < TEN + (MINUTES - 1) * NS_PER_MIN)]
        truth = source.market.history(name, TEN, int(rows["ts_open"][-1]) + 1)
        assert (rows["source"] == BarSource.TRADES).mean() > 0.5, "most minutes come from the stream"
        for column in ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "n_trades"):
            assert np.array_equal(rows[column], truth[column]), (name, column)
    counts = hub.health().quarantined
    assert counts["crossed quote"] > 0
    assert counts["price far from the market"] > 0


def test_after_seeking_back_and_forth_the_hub_holds_what_having_played_there_would_give():
    source = SimulatedSource(NAMES, seed=7, start_ns=TEN, speed=60, calendar=SessionCalendar.xnys())
    hub = Hub(source)
    source.pause()
    source.start(hub)
    for name in NAMES:
        hub.watch(name)
    for days, minutes in ((-3, 0), (0, 180), (-1, 45), (3, 5)):
        source.seek(TEN + days * 24 * 60 * NS_PER_MIN + minutes * NS_PER_MIN)
        for _ in range(4):
            source.step("bar")
            hub.pump()
        now = source.clock.now_ns()
        for name in NAMES:
            rows = hub.series(name, "1m").rows()
            rows = rows[rows["ts_close"] < now]  # the minute that has just ended waits out its grace
            truth = source.market.history(name, int(rows["ts_open"][0]), now - NS_PER_MIN)
            for column in ("ts_open", "open", "high", "low", "close", "volume"):
                assert np.array_equal(rows[column], truth[column]), (days, name, column)
    source.stop()
