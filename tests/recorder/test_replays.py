"""A recorded day, told again, gives the same bars: every value field of every closed bar, byte for byte.

`seq` and `revision` differ by nature (they count how the hub came to a bar: how often it was corrected, by what turns). Weekly bars are
compared where the recording holds the week.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.sources.bad_days import OPENS, OPTION, STOCK
from tests.sources.test_polygon_faults import PolygonDay
from tests.stubs import MIN
from workbench.clock import sleep_s
from workbench.history.ledger import read_missing
from workbench.history.recorded import days_in
from workbench.hub.hub import Hub
from workbench.recorder.recorder import Recorder
from workbench.sessions import SessionCalendar
from workbench.sources.replay import ReplaySource
from workbench.sources.simulated import SimulatedSource
from workbench.sources.simulation.market import Faults
from workbench.types import TIMEFRAMES

DAY = date(2026, 11, 27)  # the short Friday after Thanksgiving
SYMBOLS = ("SPY", "KO")
LABELS = tuple(label for label in TIMEFRAMES if label != "1w")
FIELDS = ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "vwap", "vw_std", "n_trades", "source", "is_partial")
FIELDS += ("is_complete",)


def closed_bars(hub: Hub, start_ns: int, end_ns: int) -> dict[tuple[str, str], dict[str, bytes]]:
    """Return the values of every closed bar inside a span, by symbol and timeframe, as bytes."""
    out = {}
    for symbol in hub.watched():
        for label in LABELS:
            rows = hub.series(symbol, label).rows()
            rows = rows[(rows["ts_open"] >= start_ns) & (rows["ts_close"] <= end_ns)]
            out[symbol, label] = {name: rows[name].tobytes() for name in FIELDS}
    return out


def settled(hub: Hub) -> None:
    assert hub.wait_idle(60, history=True)
    sleep_s(0.1)  # the hub's next turn publishes
    assert hub.wait_idle(60, history=True)


def record(folder: Path, start_ns: int, end_ns: int, *, faults: Faults) -> Hub:
    """Record a simulated market minute by minute at full speed; return its hub, stopped."""
    source = SimulatedSource(SYMBOLS, seed=11, speed=1000.0, start_ns=start_ns, faults=faults)
    hub = Hub(source)
    recorder = Recorder(hub, folder, segment_bytes=1 << 20)
    hub.start()
    for symbol in SYMBOLS:
        for label in LABELS:
            hub.series(symbol, label)
    recorder.start()
    source.start(hub)
    source.pause()
    while hub.clock.now_ns() < end_ns:
        source.step("bar")
    settled(hub)
    source.stop()
    hub.stop()
    recorder.stop()
    assert recorder.status().trouble == ""
    return hub


def replay(folder: Path) -> Hub:
    """Play a recording at full speed to its end; return the hub, stopped."""
    source = ReplaySource(folder)
    hub = Hub(source)
    hub.start()
    for symbol in source.info.symbols:
        for label in LABELS:
            hub.series(symbol, label)
    source.pause()
    source.start(hub)
    source.seek(source.span[1])
    settled(hub)
    source.stop()
    hub.stop()
    return hub


@pytest.mark.slow
def test_a_recorded_day_with_faults_replays_to_the_same_bars(tmp_path):
    session = SessionCalendar.xnys().session(DAY)
    start, end = int(session["pre_open"]), int(session["post_close"])
    faults = Faults(bad_prints=40, crossed_quotes=30, late_frac=0.02, gaps=4, halts=1)
    first = record(tmp_path, start, end + 3 * MIN, faults=faults)
    again = replay(tmp_path)
    expected, got = closed_bars(first, start, end), closed_bars(again, start, end)
    assert len(np.frombuffer(expected["SPY", "1m"]["ts_open"], np.int64)) > 400
    assert {key for key in expected if expected[key] != got[key]} == set()
    assert read_missing(days_in(tmp_path)[0])  # the feed was away now and then
    assert {why for _, _, why in read_missing(days_in(tmp_path)[0])} == {"simulated outage"}


class RecordedDay(PolygonDay):
    """A bad day at Polygon's loopback server, recorded: losses, repeats, late prints, breaks, minutes sent again, history read back."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed)
        self.folder = folder

    def _live_through(self) -> None:
        self.recorder = Recorder(self.hub, self.folder, segment_bytes=1 << 12, sync_s=0.01)
        self.recorder.start()
        for symbol in (STOCK, OPTION):
            for label in LABELS:
                self.hub.series(symbol, label)
        super()._live_through()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_bad_day_at_polygon_replays_to_the_same_bars(tmp_path, seed):
    day = RecordedDay(seed, tmp_path)
    day.run()
    day.recorder.stop()
    assert (day.recorder.status().trouble, sum(day.recorder.status().lost.values())) == ("", 0)
    end = OPENS + 10 * 60 * MIN  # the end of the day
    expected, got = closed_bars(day.hub, OPENS, end), closed_bars(replay(tmp_path), OPENS, end)
    assert {key for key in expected if expected[key] != got[key]} == set(), day.log
    assert len(np.frombuffer(expected[STOCK, "1m"]["ts_open"], np.int64)) == day.minutes
