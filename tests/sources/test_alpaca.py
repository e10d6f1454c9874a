"""Alpaca through its real client, against a loopback server that has the real one's manners."""

from __future__ import annotations

import logging
from dataclasses import replace

import msgpack
import numpy as np
import pytest

from tests.servers.alpaca import KEY, SECRET, AlpacaServer, at, error
from tests.sources.contract import Facts, RecordingSink, wait_for
from tests.sources.live_contract import FAST, FAST_REST, OPTION, SPAN, TEN_THIRTY, LiveContract, MarketClock, Wire, go_live, refusals, start
from workbench.clock import NS_PER_MIN, NS_PER_S, sleep_s
from workbench.errors import AuthError, ConfigError, ConnectionLimitError, HistoryError, SymbolError
from workbench.hub.hub import Hub
from workbench.sources.alpaca.source import AlpacaSource
from workbench.sources.base import FeedState
from workbench.types import BarSource

STOCK_TOPICS = ("trades", "quotes", "bars", "updatedBars", "statuses")


def bars_between(_symbol: str, start_ns: int, end_ns: int) -> list[dict]:
    """A provider with a bar in every minute, whose values tell the minute."""
    first = -(-start_ns // NS_PER_MIN) * NS_PER_MIN
    return [
        {"t": t, "o": 100.0, "h": 101.5, "l": 99.5, "c": 100.5, "v": t // NS_PER_MIN % 1000 + 1, "vw": 100.2, "n": 7}
        for t in range(first, end_ns + 1, NS_PER_MIN)
    ]


@pytest.fixture
def clock():
    return MarketClock(TEN_THIRTY)


@pytest.fixture
def server(clock):
    with AlpacaServer(bars_between) as running:
        running.now_ns = clock.now_ns
        yield running


@pytest.fixture
def make(server, clock):
    """Make sources for the server; each is stopped in the end."""
    made = []

    def build(**options) -> AlpacaSource:
        defaults = {"stream_base": server.stream_base, "rest_base": server.rest_base, "clock": clock}
        defaults |= {"stream_times": FAST, "rest_times": FAST_REST, "poll_s": 0.0}
        keys = options.pop("api_key", KEY), options.pop("secret_key", SECRET)
        made.append(AlpacaSource(*keys, **defaults | options))
        return made[-1]

    yield build
    for source in made:
        source.stop()


@pytest.fixture
def sink():
    return RecordingSink()


_ids = iter(range(1, 10**9))


def trade(clock: MarketClock, symbol: str = "SPY", price: float = 600.0, size: int = 100, **more) -> dict:
    return {"T": "t", "S": symbol, "i": next(_ids), "x": "V", "p": price, "s": size, "c": ["@"], "t": at(clock.now_ns()), "z": "B"} | more


def option_trade(clock: MarketClock) -> dict:
    return {"T": "t", "S": OPTION[2:], "x": "C", "p": 3.2, "s": 5, "t": at(clock.now_ns()), "c": "I"}


def quote(clock: MarketClock, symbol: str = "SPY") -> dict:
    sides = {"bx": "V", "bp": 600.0, "bs": 100, "ax": "V", "ap": 600.01, "as": 200}
    return {"T": "q", "S": symbol, **sides, "t": at(clock.now_ns()), "c": ["R"], "z": "B"}


def minute(start_ns: int, kind: str = "b", close: float = 600.5, volume: int = 1000) -> dict:
    bar = {"o": 600.0, "h": 601.0, "l": 599.0, "c": close, "v": volume, "n": 9, "vw": 600.2}
    return {"T": kind, "S": "SPY", **bar, "t": at(start_ns)}


class TestContract(LiveContract):
    @pytest.fixture
    def facts(self, make, server, clock):
        def make_market() -> None:
            server.send([trade(clock), trade(clock, "QQQ"), quote(clock), quote(clock, "QQQ"), minute(TEN_THIRTY - NS_PER_MIN)])

        return Facts(make(), "SPY", "QQQ", make_market, (TEN_THIRTY - 30 * NS_PER_MIN, TEN_THIRTY), (KEY, SECRET))

    @pytest.fixture
    def wire(self, server):
        def desk(key: str) -> dict:
            bases = {"alpaca_stream_base": server.stream_base, "alpaca_rest_base": server.rest_base}
            return {"source": "alpaca", "alpaca_api_key": key, "alpaca_secret_key": f"{key}-secret", **bases}

        return Wire(
            trade=trade,
            odd_lot=lambda clock, price: trade(clock, price=price, c=["@", "I"]),
            minute_twice=[minute(TEN_THIRTY, close=600.5), minute(TEN_THIRTY, "u", close=600.7, volume=1100)],
            malformed=lambda one: msgpack.packb([one, {"T": "t", "S": "SPY", "p": "x"}, one]),
            garbage=b"this is no msgpack",
            topics=lambda symbol: {f"{channel}.{symbol}" for channel in STOCK_TOPICS},
            keys=("api_key", "secret_key"),
            wrong_key_said="auth failed, code 402",
            accept=lambda key, secret: (key, secret),
            key_answers=([{"T": "success", "msg": "hello again"}],),
            no_such_key=lambda text: [{"T": "error", "code": 402, "msg": f"auth failed for {text}"}],
            echo=lambda text: msgpack.packb([{"T": "t", "S": "SPY", "p": text}]),
            address="stream_base",
            trades_only=("trades",),
            desk=desk,
        )


# -- the ordinary day -------------------------------------------------------------------------------------------------------


def test_stocks_and_options_arrive_over_one_connection_each_as_msgpack(make, server, sink, clock):
    source = make()
    go_live(source, sink, server, "SPY", OPTION)
    assert wait_for(lambda: server.live("options"))
    server.send([trade(clock), quote(clock), minute(TEN_THIRTY - NS_PER_MIN)])
    server.send([option_trade(clock)], "options")
    assert wait_for(lambda: sink.seen() == {"SPY", OPTION} and sink.bars)
    assert sorted(connection.path for connection in server.connections) == ["/v1beta1/indicative", "/v2/iex"]
    assert all(connection.is_msgpack for connection in server.connections)
    assert server.topics("options") == {f"trades.{OPTION[2:]}", f"quotes.{OPTION[2:]}"}
    assert server.topics() == {f"{channel}.SPY" for channel in STOCK_TOPICS}


def test_the_whole_list_is_asked_for_at_once(make, server, sink):
    go_live(make(), sink, server, "SPY", "QQQ")
    assert [action["trades"] for _, action in server.actions if action["action"] == "subscribe"] == [["SPY", "QQQ"]]


def test_iex_is_called_so_wherever_the_feed_is_named(make, server, sink, clock):
    source = make()
    assert "IEX only" in source.info.detail
    go_live(source, sink, server)
    server.send([trade(clock)])
    assert wait_for(lambda: sink.states()[-1:] == [FeedState.LIVE])
    assert "IEX only" in sink.statuses[-1].reason
    assert "SIP" in make(stock_feed="sip").info.detail


def test_a_print_that_is_taken_back_is_told_by_its_own_time(make, server, sink, clock):
    go_live(make(), sink, server)
    wrong = trade(clock)
    happened = clock.now_ns()
    server.send([wrong])
    assert wait_for(lambda: sink.n_trades)
    clock.push(3 * NS_PER_MIN)
    server.send([{"T": "x", "S": "SPY", "i": wrong["i"], "x": "V", "p": 600.0, "s": 100, "a": "C", "t": at(clock.now_ns()), "z": "B"}])
    assert wait_for(lambda: sink.corrections)
    [(symbol, ts_event, reason)] = sink.corrections
    assert (symbol, reason) == ("SPY", "a print was cancelled")
    assert abs(ts_event - happened) < NS_PER_S


def test_a_halt_is_named_until_it_ends(make, server, sink, clock):
    go_live(make(), sink, server)
    server.send([trade(clock)])
    server.send([{"T": "s", "S": "SPY", "sc": "H", "sm": "Trading Halt", "rc": "T12", "rm": "", "t": at(clock.now_ns()), "z": "B"}])
    assert wait_for(lambda: "halted: SPY" in sink.statuses[-1].reason)
    server.send([{"T": "s", "S": "SPY", "sc": "T", "sm": "Trading Resumption", "rc": "", "rm": "", "t": at(clock.now_ns()), "z": "B"}])
    assert wait_for(lambda: "halted" not in sink.statuses[-1].reason)


# -- losing the connection --------------------------------------------------------------------------------------------------


def test_answers_to_questions_are_no_data_a_connection_that_only_answers_is_mute(make, server, sink, clock):
    source = make(stream_times=replace(FAST, mute_regular_s=0.3))
    go_live(source, sink, server)
    for n in range(12):
        source.subscribe([f"A{n}"])
        sleep_s(0.05)
    assert wait_for(lambda: FeedState.STALE in sink.states())


def test_attempts_at_a_dead_server_grow_apart(make, server, sink, clock, caplog):
    caplog.set_level(logging.WARNING, "workbench")
    server.refuse(503)
    source = make(stream_times=replace(FAST, first_pause_s=0.02, longest_pause_s=5.0))
    start(source, sink)
    attempts = lambda: [record.getMessage() for record in caplog.records if "attempt" in record.getMessage()]
    assert wait_for(lambda: len(attempts()) >= 5)
    pauses = [float(text.rpartition(" in ")[2].partition(" s")[0]) for text in attempts()[:5]]
    assert all(0.5 * 0.02 * 2**n - 0.051 <= pause <= 0.02 * 2**n + 0.051 for n, pause in enumerate(pauses)), pauses
    server.refuse(0)
    assert wait_for(server.live)


# -- being refused: one sentence each, on screen and in the log ------------------------------------------------------------


def test_a_plan_without_sip_is_refused_and_never_served_iex_in_its_place(make, server, sink):
    server.plan.feeds = {"iex", "indicative"}
    server.plan.has_recent = False
    source = make(stock_feed="sip", poll_s=0.05)
    start(source, sink)
    assert wait_for(lambda: refusals(sink))
    sleep_s(0.3)
    assert "your plan does not include this live feed (insufficient subscription, code 409)" in sink.statuses[-1].reason
    assert "alpaca_stock_feed='iex'" in sink.statuses[-1].reason
    assert {connection.path for connection in server.connections} <= {"/v2/sip"}
    assert {request.query["feed"] for request in server.requests} == {"sip"}
    assert not sink.n_trades


@pytest.mark.parametrize("where", ["greeting", "auth", "handshake"])
def test_a_second_connection_is_one_sentence_and_a_long_pause_until_the_other_is_gone(make, server, sink, clock, where):
    server.plan.most_connections = 0
    server.plan.refuses_at = where
    if where == "handshake":
        server.refuse(429)
    source = make(stream_times=replace(FAST, limit_pause_s=0.3, stable_s=0.05))
    start(source, sink)
    assert wait_for(lambda: refusals(sink))
    [sentence] = refusals(sink)
    assert "another program uses the one connection" in sentence
    assert isinstance(source.problem, ConnectionLimitError)
    before = server.n_connected
    sleep_s(0.2)
    assert server.n_connected == before  # no storm
    server.plan.most_connections = 1
    server.refuse(0)
    assert wait_for(lambda: (server.send([trade(clock)]), sleep_s(0.01), sink.states()[-1] is FeedState.LIVE)[-1])
    assert len(refusals(sink)) == 1
    assert source.problem is None


@pytest.mark.parametrize("code", [404, 407, 500])
def test_errors_that_end_a_connection_are_told_and_it_is_made_anew(make, server, sink, clock, code):
    go_live(make(), sink, server)
    server.send([trade(clock)])
    assert wait_for(lambda: sink.n_trades)
    server.say(error(code))
    assert wait_for(lambda: server.n_connected == 2 and server.live())
    assert wait_for(lambda: sink.gaps)
    assert any(f"code {code}" in status.reason for status in sink.statuses)


def test_more_symbols_than_the_plan_allows_are_named_and_their_minutes_read_by_rest(make, server, sink, clock):
    server.plan.most_symbols = 2
    source = make(poll_s=0.05)
    go_live(source, sink, server, "SPY", "QQQ", "IWM", "AAPL")
    assert wait_for(lambda: len(server.topics()) == 10)
    server.send([trade(clock)])
    assert wait_for(lambda: "not delivered live (symbol limit exceeded, code 405): IWM, AAPL" in sink.statuses[-1].reason), sink.statuses
    assert sink.states()[-1] is FeedState.LIVE
    assert wait_for(lambda: {symbol for symbol, _ in sink.bars} == {"IWM", "AAPL"})
    assert all(np.all(rows["source"] == BarSource.REST) for _, rows in sink.bars)
    source.unsubscribe(["IWM", "AAPL"])
    assert wait_for(lambda: "not delivered" not in sink.statuses[-1].reason)


def test_a_symbol_that_does_not_exist_does_not_end_the_reading_of_the_others(make, server, sink, clock):
    server.plan.most_symbols = 1
    source = make(poll_s=0.05)
    go_live(source, sink, server, "SPY", "BRK-B", "IWM")  # Alpaca writes BRK.B
    server.send([trade(clock)])
    assert wait_for(lambda: "not delivered live" in sink.statuses[-1].reason), sink.statuses
    assert wait_for(lambda: {symbol for symbol, _ in sink.bars} == {"IWM"})


def test_what_the_servers_list_leaves_out_after_a_reconnect_is_named(make, server, sink, clock):
    go_live(make(), sink, server, "SPY", "QQQ")
    server.send([trade(clock)])
    assert wait_for(lambda: sink.states()[-1] is FeedState.LIVE)
    assert "not delivered" not in sink.statuses[-1].reason
    server.plan.unlisted = {"trades.QQQ"}
    server.drop()
    assert wait_for(lambda: "not delivered live (not in the server's list): QQQ" in sink.statuses[-1].reason)


def test_a_plan_that_delivers_nothing_is_refused(make, server, sink):
    server.plan.most_symbols = 0
    start(make(), sink)
    assert wait_for(lambda: refusals(sink))
    assert "symbol limit exceeded" in refusals(sink)[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"stock_feed": "spi"}, "did you mean 'sip'"),
        ({"option_feed": "live"}, "allowed: indicative, opra"),
        ({"channels": ("T",)}, "channels: received 'T'"),
        ({"stream_base": "http://x"}, "stream_base"),
        ({"secret_key": ""}, "api_key: received nothing"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(make, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make(**options)


# -- history ----------------------------------------------------------------------------------------------------------------


def test_history_follows_pages_raw_and_of_the_same_feed(make, server):
    server.page_size = 7
    history = make().history("SPY", *SPAN)
    assert history.is_complete
    assert history.rows["ts_open"].tolist() == list(range(*SPAN, NS_PER_MIN))
    assert {(request.query["feed"], request.query["adjustment"], request.path) for request in server.requests} == {
        ("iex", "raw", "/v2/stocks/bars")
    }
    assert all(request.headers["apca-api-key-id"] == KEY and "key" not in str(request.query).lower() for request in server.requests)


def test_option_history_has_its_own_address(make, server):
    assert len(make().history(OPTION, *SPAN).rows) == 60
    assert (server.requests[0].path, server.requests[0].query["symbols"]) == ("/v1beta1/options/bars", OPTION[2:])


def test_the_moment_at_which_requests_are_allowed_again_is_waited_for(make, server, clock):
    source = make(rest_times=replace(FAST_REST, minute_pause_s=30.0, longest_pause_s=30.0))
    server.rest_faults.append(f"429@{clock.now_ns() // NS_PER_S}")
    assert source.history("SPY", *SPAN).is_complete  # the moment has passed: no pause of 30 s


def test_a_hung_request_is_given_up(make, server):
    server.rest_faults.extend(["hang:5"] * 5)
    with pytest.raises(HistoryError, match="no believable answer in 5 tries; the last: .*[Tt]ime"):
        make(rest_times=replace(FAST_REST, timeout_s=0.05)).history("SPY", *SPAN)


def test_the_last_quarter_of_an_hour_a_plan_lacks_is_said_and_what_went_before_is_read(make, server):
    server.plan.has_recent = False
    source = make(stock_feed="sip")
    with pytest.raises(AuthError, match=r"does not include the last 15 minutes .*SIP data.*alpaca_stock_feed='iex'"):
        source.history("SPY", TEN_THIRTY - 10 * NS_PER_MIN, TEN_THIRTY)
    history = source.history("SPY", *SPAN)
    assert not history.is_complete
    assert "last 15 minutes" in history.note
    assert history.rows["ts_open"].tolist() == list(range(SPAN[0], TEN_THIRTY - 16 * NS_PER_MIN, NS_PER_MIN))
    assert make(stock_feed="iex").history("SPY", *SPAN).is_complete


def test_a_symbol_the_provider_refuses_is_named(make):
    with pytest.raises(SymbolError, match=r"BRK-B.*no such symbol"):
        make().history("BRK-B", *SPAN)


# -- through the whole house ------------------------------------------------------------------------------------------------


def test_a_cancelled_print_leaves_the_minute_that_history_tells(make, server, clock):
    truth = {"v": 100}
    server.bars_of = lambda symbol, a, b: [bar | truth for bar in bars_between(symbol, a, b) if bar["t"] >= TEN_THIRTY]
    source = make(channels=("trades",))
    hub = Hub(source, grace_s=0.0, verify_every_s=0.0, retry_s=0.02)
    hub.start()
    source.start(hub)
    try:
        hub.watch("SPY")
        assert wait_for(server.live)
        clock.push(60 * NS_PER_S - clock.now_ns() % NS_PER_MIN + NS_PER_S)
        minute_start = clock.now_ns() // NS_PER_MIN * NS_PER_MIN
        wrong = trade(clock, price=600.0, size=900)
        server.send([trade(clock, price=600.0, size=100), wrong])
        assert wait_for(lambda: hub.health().n_events >= 2)
        clock.push(NS_PER_MIN)
        volume = lambda: [float(row["volume"]) for row in hub.series("SPY", "1m").rows() if row["ts_open"] == minute_start]
        assert wait_for(lambda: volume() == [1000.0])
        clock.push(3 * NS_PER_MIN)
        server.send([{"T": "x", "S": "SPY", "i": wrong["i"], "x": "V", "p": 600.0, "s": 900, "a": "C", "t": at(clock.now_ns()), "z": "B"}])
        assert wait_for(lambda: volume() == [100.0]), volume()
    finally:
        source.stop()
        hub.stop()


def test_a_fault_of_ours_ends_a_connection_and_not_the_feed(make, server, sink, clock, monkeypatch):
    from workbench.sources.alpaca.stream import AlpacaStream

    go_live(make(), sink, server)
    server.send([trade(clock)])
    assert wait_for(lambda: sink.n_trades)
    with monkeypatch.context() as patched:
        patched.setattr(AlpacaStream, "_explain", lambda *_: 1 / 0)
        server.drop()
        assert wait_for(lambda: any("internal error" in status.reason for status in sink.statuses))
    assert wait_for(server.live)
    assert wait_for(lambda: sink.gaps)
