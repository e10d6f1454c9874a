"""Bad days with Polygon and Massive, each told by its seed: see `bad_days.py`. SOAK=1 runs more; a failing seed is the test's own name."""

from __future__ import annotations

import pytest

from tests.scorecard import count
from tests.servers.polygon import KEY, PolygonServer
from tests.sources.bad_days import REST_TIMES, STOCK, STREAM_TIMES, BadDay, Print, assert_it_notices_a_source_that_tells_no_gaps
from workbench.sources.polygon.source import PolygonSource


class PolygonDay(BadDay):
    """A bad day told by Polygon, or by its successor."""

    channel_choices = (("T", "Q", "AM"), ("T", "AM"), ("T",), ("T", "Q"), ("AM",))
    rest_faults = ("429:0.01", "429", "500", "502", "503", "truncated", "garbage", "short", "early_end", "hang:0.12")
    garbage = ("not json", '[{"ev":"T","sym":"SPY","p":"x"}]', "[{", '[{"ev":"T"},7,null]')

    def __init__(self, seed: int, package: str = "polygon") -> None:
        self.package = package
        super().__init__(seed)

    def make_server(self, page_size: int) -> PolygonServer:
        return PolygonServer(self.bars_of, page_size=page_size)

    def make_source(self, server: PolygonServer) -> PolygonSource:
        return PolygonSource(
            KEY, package=self.package, feed="realtime", websocket_base=server.websocket_base, rest_base=server.rest_base, clock=self.clock,
            channels=self.channels, stream_times=STREAM_TIMES, rest_times=REST_TIMES,
        )  # fmt: skip

    def print_event(self, one: Print) -> dict:
        event = {"ev": "T", "sym": one.symbol, "x": 4, "p": one.price, "s": one.size, "t": one.ts_ms, "q": one.sequence}
        if one.symbol == STOCK:
            event |= {"i": str(one.sequence), "z": 1}
        return event | ({"c": list(one.conditions)} if one.conditions else {})

    def minute_event(self, symbol: str, bar: dict, *, is_again: bool) -> dict:
        event = {"ev": "AM", "sym": symbol, "s": bar["t"], "e": bar["t"] + 60_000, "av": 10**6, "op": 598.0, "a": 599.0, "z": 50}
        return event | {name: bar[name] for name in ("o", "h", "l", "c", "v", "vw")}

    def n_topics(self, market: str) -> int:
        return len(self.channels)


@pytest.mark.slow
@pytest.mark.soak("feed-polygon")
@pytest.mark.parametrize("seed", range(count("feed-polygon")))
def test_bars_are_true_after_a_bad_day(seed):
    PolygonDay(seed).run()


def test_the_schedules_would_notice_a_source_that_tells_no_gaps(monkeypatch):
    assert_it_notices_a_source_that_tells_no_gaps(monkeypatch, PolygonDay)


@pytest.mark.slow
@pytest.mark.soak("feed-massive")
@pytest.mark.parametrize("seed", range(1000, 1000 + count("feed-massive")))
def test_bars_are_true_after_a_bad_day_with_the_successor_client(seed):
    PolygonDay(seed, "massive").run()
