"""One known print is followed from the provider's bytes to the row that a chart draws, station by station.

Numbers are worked out on paper. The notebook `00_path_of_a_tick` shows the same in pictures.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.stubs import MIN, SEC, TEN, go, live
from workbench.hub.health import Mode
from workbench.sources.polygon.scan import FrameReader
from workbench.types import BarSource, trade_from_row
from workbench.views.window import BarWindow

FIRST = {"ev": "T", "sym": "SPY", "p": 600.00, "s": 200, "c": [0], "x": 4, "z": 1, "i": "1", "q": 1}
KNOWN = {"ev": "T", "sym": "SPY", "p": 600.25, "s": 100, "c": [14], "x": 4, "z": 1, "i": "2", "q": 2}
ODD_LOT = {"ev": "T", "sym": "SPY", "p": 601.00, "s": 5, "c": [37], "x": 4, "z": 1, "i": "3", "q": 3}
UNKNOWN_RULE = {"ev": "T", "sym": "SPY", "p": 602.00, "s": 100, "c": [499], "x": 4, "z": 1, "i": "4", "q": 4}
LATE = {"ev": "T", "sym": "SPY", "p": 599.50, "s": 300, "c": [0], "x": 4, "z": 1, "i": "5", "q": 5}


def frame(*events, at_s):
    """Return a websocket frame whose prints happened `at_s` seconds after 10:00 New York."""
    stamp_ms = (TEN + at_s * SEC) // 1_000_000
    return json.dumps([{**event, "t": stamp_ms} for event in events]).encode()


@pytest.fixture
def road():
    """A live hub at 10:00 that watches SPY, and what decodes the provider's frames for it."""
    hub, source, clock = live()
    hub.watch("SPY")
    hub.pump()
    return hub, source, clock, FrameReader(hub.symbols)


def deliver(road, raw, *, at_s):
    """Hand a frame over as the source does, received 40 ms after the whole second `at_s`."""
    hub, source, clock, reader = road
    recv = TEN + at_s * SEC + 40_000_000
    clock.ns = recv
    columns = reader.read(raw, recv)
    source.sink.on_trades(columns.trades)
    go(hub, clock, recv)
    return columns


def test_one_print_is_followed_from_the_wire_to_the_chart(road):
    hub, _, clock, _ = road
    chart = hub.cursor("SPY", "5m")
    minute = hub.cursor("SPY", "1m")
    chart.read()
    minute.read()
    go(hub, clock, TEN + 59 * SEC)
    deliver(road, frame(FIRST, at_s=61), at_s=61)

    # 1. decoded: both stamps, exact price, the provider's condition
    columns = deliver(road, frame(KNOWN, ODD_LOT, UNKNOWN_RULE, at_s=65), at_s=65)
    trade = trade_from_row(columns.trades[0], hub.symbols)
    assert (trade.symbol, trade.price, trade.size, trade.conditions) == ("SPY", 600.25, 100.0, (14,))
    assert trade.ts_event == TEN + 65 * SEC
    assert trade.ts_recv - trade.ts_event == 40_000_000

    # 2. cleaned: the print with a rule nobody knows is put aside and counted, not dropped in silence
    assert sum(hub.quarantine.counts("SPY").values()) == 1
    assert "condition" in next(iter(hub.quarantine.counts("SPY")))
    assert hub.last_trade("SPY").price in (600.25, 601.00)

    # 3. in its minute: it moves the price; the odd lot adds volume only
    forming = hub.series("SPY", "1m").forming[-1]
    assert [forming[name] for name in ("open", "high", "low", "close", "volume")] == [600.00, 600.25, 600.00, 600.25, 305.0]
    assert forming["is_partial"] == 1

    # 4. not closed before its end and the grace for late prints
    go(hub, clock, TEN + 2 * MIN + 1 * SEC)
    assert len(hub.series("SPY", "1m")) == 0

    # 5. closed by the clock, without another print: stored, then published
    go(hub, clock, TEN + 2 * MIN + 3 * SEC)
    (closed,) = hub.series("SPY", "1m").rows()
    assert (closed["ts_open"], closed["ts_close"]) == (TEN + MIN, TEN + 2 * MIN)
    assert (closed["close"], closed["volume"], closed["is_partial"], closed["revision"]) == (600.25, 305.0, 0, 0)
    assert closed["source"] == BarSource.TRADES
    told = minute.read()
    assert told.rows.tobytes() == closed.tobytes()
    assert not told.is_gap

    # 6. a later print makes a revision that every reader hears of, under a new number
    deliver(road, frame(LATE, at_s=70), at_s=130)
    (revised,) = hub.series("SPY", "1m").rows()
    assert [revised[name] for name in ("open", "high", "low", "close", "volume")] == [600.00, 600.25, 599.50, 599.50, 605.0]
    assert revised["revision"] == 1
    assert revised["seq"] > closed["seq"]
    assert minute.read().rows.tobytes() == revised.tobytes()

    # 7. the five-minute bar is made of the minutes, forming until its own end
    (five,) = hub.series("SPY", "5m").forming
    assert (five["ts_open"], five["close"], five["volume"]) == (TEN, 599.50, 605.0)

    # 8. what the chart's cursor brings is what the browser is given
    window = BarWindow()
    update = chart.read()
    window.reset(update.rows, update.forming)
    assert window.forming[["ts_open", "close", "volume"]].tolist() == [(TEN, 599.50, 605.0)]

    # 9. the same bars as a table, and how far to trust them
    table = hub.bars("SPY", "1m", forming=False)
    assert table["close"].tolist() == [599.50]
    assert str(table.index[0]) == "2026-11-18 10:01:00-05:00"
    health = hub.health("SPY")
    assert health.mode in (Mode.LIVE, Mode.BACKFILLING, Mode.DEGRADED)
    assert health.latency_p50_ms == pytest.approx(40.0)
    assert health.n_quarantined == 1


def test_every_print_that_comes_in_is_accounted_for(road):
    hub, _, clock, _ = road
    go(hub, clock, TEN + 59 * SEC)
    deliver(road, frame(FIRST, KNOWN, ODD_LOT, UNKNOWN_RULE, at_s=61), at_s=61)
    deliver(road, frame(KNOWN, at_s=62), at_s=62)  # told twice
    go(hub, clock, TEN + 3 * MIN)
    health = hub.health()
    assert health.n_events == 5
    in_bars = np.nansum(hub.series("SPY", "1m").rows()["n_trades"])
    assert in_bars + health.n_quarantined + health.dropped == health.n_events
