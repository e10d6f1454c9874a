"""Bad days with Alpaca, each told by its seed: see `bad_days.py`. SOAK=1 runs more; a failing seed is the test's own name."""

from __future__ import annotations

import msgpack
import pytest

from tests.scorecard import count
from tests.servers.alpaca import KEY, SECRET, AlpacaServer, at
from tests.sources.bad_days import MS, OPTION, REST_TIMES, STOCK, STREAM_TIMES, BadDay, Print, assert_it_notices_a_source_that_tells_no_gaps
from workbench.sources.alpaca.source import AlpacaSource

LETTERS = {14: "F", 37: "I", 10: "4", 32: "Z", 16: "Q"}  # 41 restricts nothing and has no letter on this tape


class AlpacaDay(BadDay):
    """A bad day told by Alpaca. Options have no minute bars on the wire: theirs come from prints and from history only."""

    channel_choices = (("trades", "quotes", "bars"), ("trades", "bars"), ("trades",), ("trades", "quotes"))
    rest_faults = ("429:0.01", "429", "500", "502", "504", "truncated", "garbage", "early_end", "hang:0.12")
    garbage = (
        b"not msgpack",
        msgpack.packb([{"T": "t", "S": "SPY", "p": "x"}]),
        msgpack.packb([{"T": "t", "S": "SPY"}, 7, None]),
        msgpack.packb([{"T": "t", "S": "SPY", "p": 1.0}])[:-3],
    )

    def make_server(self, page_size: int) -> AlpacaServer:
        server = AlpacaServer(self._rest_bars, page_size=page_size)
        server.now_ns = self.clock.now_ns
        return server

    def _rest_bars(self, symbol: str, start_ns: int, end_ns: int) -> list[dict]:
        name = STOCK if symbol == STOCK else OPTION
        return [bar | {"t": bar["t"] * MS} for bar in self.bars_of(name, start_ns // MS, end_ns // MS)]

    def make_source(self, server: AlpacaServer) -> AlpacaSource:
        return AlpacaSource(
            KEY, SECRET, stock_feed="sip", option_feed="opra", stream_base=server.stream_base, rest_base=server.rest_base,
            clock=self.clock, channels=self.channels, stream_times=STREAM_TIMES, rest_times=REST_TIMES, poll_s=0.0,
        )  # fmt: skip

    def print_event(self, one: Print) -> dict:
        event = {"T": "t", "S": one.symbol.removeprefix("O:"), "p": one.price, "s": one.size, "t": at(one.ts_ms * MS + one.sequence % MS)}
        if one.symbol == OPTION:
            return event | {"x": "C", "c": "I"}
        letters = [LETTERS[condition] for condition in one.conditions if condition in LETTERS]
        return event | {"x": "V", "i": one.sequence, "c": [" ", *letters], "z": "B"}

    def minute_event(self, symbol: str, bar: dict, *, is_again: bool) -> dict | None:
        if symbol == OPTION:
            return None
        kind = {"T": "u" if is_again else "b", "S": symbol, "t": at(bar["t"] * MS)}
        return kind | {name: bar[name] for name in ("o", "h", "l", "c", "v", "vw", "n")}

    def n_topics(self, market: str) -> int:
        ticks = sum(channel != "bars" for channel in self.channels)
        return ticks if market == "options" else ticks + 1 + 2 * ("bars" in self.channels)


@pytest.mark.slow
@pytest.mark.soak("feed-alpaca")
@pytest.mark.parametrize("seed", range(count("feed-alpaca")))
def test_bars_are_true_after_a_bad_day(seed):
    AlpacaDay(seed).run()


def test_the_schedules_would_notice_a_source_that_tells_no_gaps(monkeypatch):
    assert_it_notices_a_source_that_tells_no_gaps(monkeypatch, AlpacaDay)
