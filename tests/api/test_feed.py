"""What a subscription is told when a bar is taken back: a log of changes can't say that, so it has to be a reset."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.stubs import MIN, SEC, TEN, bar, go, live, prints
from workbench.api.encode import Position
from workbench.api.feed import Feed, Wanted
from workbench.types import BarSource


def market_of_three_minutes():
    """Return a hub that has told three minutes of one print each to a feed, and an hour later hears that the second was cancelled."""
    hub, source, clock = live(TEN - 5 * MIN)
    hub.series("SPY", "1m")
    go(hub, clock, TEN)
    for k in range(3):
        clock.ns = TEN + k * MIN + 10 * SEC
        hub.on_trades(prints([(TEN + k * MIN + SEC, 100.0 + k, 100)], first_sequence=k + 1))
    go(hub, clock, TEN + 90 * MIN)
    feed = Feed(hub, Wanted((("SPY", "1m"),), 50))
    truth = [bar(TEN + k * MIN, 100.0 + k, volume=100.0, source=BarSource.REST) for k in (0, 2)]
    source.history_rows["SPY"] = np.concatenate(truth)
    return hub, feed


def told(body: bytes) -> list[tuple[str, dict]]:
    """Return the events of a body: name, data."""
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in body.decode().strip().split("\n\n") if block]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


def opens(events, name):
    return [row["ts_open"] for kind, data in events if kind == name for part in data["series"] for row in part["bars"]]


def test_a_cancelled_minute_leaves_the_charts_of_all_who_listen():
    hub, feed = market_of_three_minutes()
    hub.on_correction("SPY", TEN + MIN + SEC, "cancelled")
    hub.pump()
    events = told(feed.collect(with_state=True))
    assert [name for name, _ in events if name in ("reset", "bootstrap")] == ["reset", "bootstrap"]
    assert opens(events, "bootstrap") == [TEN, TEN + 2 * MIN]
    assert feed.collect(with_state=False) == b""


def test_a_reader_that_was_away_while_a_minute_was_cancelled_is_given_a_snapshot():
    hub, feed = market_of_three_minutes()
    before = feed.position
    hub.on_correction("SPY", TEN + MIN + SEC, "cancelled")
    hub.pump()
    hub.on_bars("SPY", bar(TEN + 80 * MIN, 104.0, source=BarSource.PROVIDER))
    hub.pump()
    events = told(feed.catch_up(before, Position(hub.epoch, hub.seq)))
    assert events[0][0] == "reset"
    assert opens(events, "bootstrap") == [TEN, TEN + 2 * MIN, TEN + 80 * MIN]


def test_a_turn_that_fails_loses_no_bar(monkeypatch):
    hub, feed = market_of_three_minutes()
    hub.on_bars("SPY", bar(TEN + 80 * MIN, 104.0, source=BarSource.PROVIDER))
    hub.on_trades(prints([(TEN + 90 * MIN, 105.0, 100)], first_sequence=9))
    hub.pump()
    with monkeypatch.context() as broken:
        broken.setattr(hub, "last_trade", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            feed.collect(with_state=True)
    assert opens(told(feed.collect(with_state=True)), "bar") == [TEN + 80 * MIN]
