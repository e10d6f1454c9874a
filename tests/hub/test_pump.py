"""A hub pumped by hand, without its thread: what was handed in can be read right after."""

from __future__ import annotations

from datetime import date

from workbench.hub.hub import Hub
from workbench.sessions import ny_ns
from workbench.sources.simulated import SimulatedSource
from workbench.types import Trade, trade_to_row

START_NS = ny_ns(date(2026, 11, 18), 10, 30)


def test_each_pump_publishes_the_forming_bar_however_soon_it_follows_the_last():
    hub = Hub(SimulatedSource(["SPY"], start_ns=START_NS))
    cursor = hub.cursor("SPY", "5m")
    hub.pump()
    cursor.read()
    for i, price in enumerate((500.0, 500.25, 499.75)):
        ts = START_NS + i * 1_000_000
        hub.on_trades(trade_to_row(Trade("SPY", ts, price, 100.0, ts_recv=ts, sequence=i + 1), hub.symbols))
        hub.on_time(ts)
        hub.pump()
        assert cursor.read().forming["close"][-1] == price


def test_listeners_are_called_once_for_all_numbers_given_together_and_not_for_a_forming_bar():
    hub = Hub(SimulatedSource(["SPY"], start_ns=START_NS))
    hub.series("SPY", "1m")
    hub.pump()
    heard = []
    hub.listeners.add(lambda: heard.append(hub.seq))
    ts = START_NS + 1_000_000
    hub.on_trades(trade_to_row(Trade("SPY", ts, 500.0, 100.0, ts_recv=ts, sequence=1), hub.symbols))
    hub.on_time(ts)
    hub.pump()
    assert heard == []
    before = hub.seq
    hub.on_time(START_NS + 3 * 60_000_000_000)
    hub.on_reset("a new market")
    hub.pump()
    assert hub.seq > before + 1
    assert heard == [hub.seq]
