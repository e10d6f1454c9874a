"""Polygon and Massive through their real clients, against a loopback server that has the real one's manners."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from tests.servers.polygon import KEY, LIMIT_TEXT, PolygonServer, status
from tests.sources.contract import Facts, RecordingSink, wait_for
from tests.sources.live_contract import FAST, FAST_REST, OPTION, SPAN, TEN_THIRTY, LiveContract, MarketClock, Wire, go_live, refusals, start
from workbench.clock import NS_PER_MIN, NS_PER_S, WallClock, monotonic_ns, sleep_s
from workbench.errors import AuthError, ConfigError, ConnectionLimitError, SymbolError
from workbench.sources.base import FeedState
from workbench.sources.polygon.source import DELAY_NS, PolygonSource
from workbench.types import BarSource


def bars_between(_symbol: str, start_ms: int, end_ms: int) -> list[dict]:
    """A provider with a bar in every minute, whose values tell the minute."""
    first = -(-start_ms // 60_000) * 60_000
    return [
        {"t": t, "o": 100.0, "h": 101.5, "l": 99.5, "c": 100.5, "v": t // 60_000 % 1000 + 1, "vw": 100.2, "n": 7}
        for t in range(first, end_ms + 1, 60_000)
    ]


@pytest.fixture(params=["polygon", "massive"])
def package(request):
    return request.param


# what stands behind either client is looked at through one
ONE_CLIENT = pytest.mark.parametrize("package", ["polygon"], indirect=True)


@pytest.fixture
def server():
    with PolygonServer(bars_between) as running:
        yield running


@pytest.fixture
def clock():
    return MarketClock(TEN_THIRTY)


@pytest.fixture
def make(server, clock, package):
    """Make sources for the server; each is stopped in the end."""
    made = []

    def build(**options) -> PolygonSource:
        defaults = {"package": package, "feed": "realtime", "websocket_base": server.websocket_base, "rest_base": server.rest_base}
        defaults |= {"clock": clock, "stream_times": FAST, "rest_times": FAST_REST, "poll_s": 0.0}
        made.append(PolygonSource(options.pop("api_key", KEY), **defaults | options))
        return made[-1]

    yield build
    for source in made:
        source.stop()


@pytest.fixture
def sink():
    return RecordingSink()


def trade(clock: MarketClock, symbol: str = "SPY", price: float = 600.0, size: int = 100, **more) -> dict:
    return {"ev": "T", "sym": symbol, "x": 4, "i": "1", "z": 1, "p": price, "s": size, "t": clock.now_ns() // 1_000_000, "q": 1} | more


def quote(clock: MarketClock, symbol: str = "SPY") -> dict:
    return {
        "ev": "Q",
        "sym": symbol,
        "bx": 4,
        "bp": 600.0,
        "bs": 100,
        "ax": 7,
        "ap": 600.01,
        "as": 200,
        "t": clock.now_ns() // 1_000_000,
        "q": 2,
    }


def minute(start_ns: int, symbol: str = "SPY", close: float = 600.5, volume: int = 1000) -> dict:
    start = start_ns // 1_000_000
    bar = {"ev": "AM", "sym": symbol, "v": volume, "av": 10**6, "op": 598.0, "vw": 600.2, "o": 600.0, "c": close, "h": 601.0, "l": 599.0}
    return bar | {"a": 599.5, "z": 50, "s": start, "e": start + 60_000}


class TestContract(LiveContract):
    @pytest.fixture
    def facts(self, make, server, clock):
        def make_market() -> None:
            server.send([trade(clock), trade(clock, "QQQ"), quote(clock), quote(clock, "QQQ"), minute(TEN_THIRTY - NS_PER_MIN)])

        return Facts(make(), "SPY", "QQQ", make_market, (TEN_THIRTY - 30 * NS_PER_MIN, TEN_THIRTY), (KEY,))

    @pytest.fixture
    def wire(self, server, package):
        numbers = iter(range(1, 10**9))

        def numbered(clock: MarketClock, symbol: str = "SPY", price: float = 600.0, size: int = 100, **more) -> dict:
            return trade(clock, symbol, price, size, q=next(numbers), **more)

        def desk(key: str) -> dict:
            return {"source": package, f"{package}_api_key": key, "websocket_base": server.websocket_base, "rest_base": server.rest_base}

        return Wire(
            trade=numbered,
            odd_lot=lambda clock, price: numbered(clock, price=price, c=[37]),
            minute_twice=[minute(TEN_THIRTY, close=600.5), minute(TEN_THIRTY, close=600.7, volume=1100)],
            malformed=lambda one: '[{0},{{"ev":"T","sym":"SPY","p":,"s":1}},{0}]'.format(json.dumps(one)),
            garbage="this is no JSON at all",
            topics=lambda symbol: {f"{channel}.{symbol}" for channel in ("T", "Q", "AM")},
            keys=("api_key",),
            wrong_key_said="authentication failed",
            accept=lambda key: key,
            key_answers=tuple([status(answer, LIMIT_TEXT)] for answer in ("max_connections", "auth_timeout", "force_disconnect")),
            no_such_key=lambda text: [status("auth_failed", f"authentication failed for {text}")],
            echo=lambda text: f'[{{"ev":"T","sym":"SPY","p":"{text}"}}]',
            address="websocket_base",
            trades_only=("T",),
            desk=desk,
            rest_faults=(("short",), ("", "short", "early_end")),
        )


# -- the ordinary day -------------------------------------------------------------------------------------------------------


def test_trades_quotes_and_minutes_arrive_for_stocks_and_options_over_one_connection_each(make, server, sink, clock):
    source = make()
    go_live(source, sink, server, "SPY", OPTION)
    go_live(source, sink, server, OPTION, market="options")
    server.send([trade(clock), quote(clock), minute(TEN_THIRTY - NS_PER_MIN)])
    server.send([trade(clock, OPTION, 3.2, 5), quote(clock, OPTION)], "options")
    assert wait_for(lambda: sink.seen() == {"SPY", OPTION} and sink.bars)
    assert sorted(connection.market for connection in server.connections) == ["options", "stocks"]
    [(symbol, rows)] = sink.bars
    assert (symbol, rows["source"][0], rows["close"][0]) == ("SPY", BarSource.PROVIDER, 600.5)
    assert wait_for(lambda: sink.states()[-1] is FeedState.LIVE)


def test_the_whole_list_is_subscribed_at_once_and_never_with_a_star(make, server, sink):
    go_live(make(), sink, server, "SPY", "QQQ", "AAPL")
    asked = [message["params"].split(",") for _, message in server.actions if message["action"] == "subscribe"]
    assert len(asked) == 1
    assert set(asked[0]) == {f"{channel}.{symbol}" for channel in ("T", "Q", "AM") for symbol in ("SPY", "QQQ", "AAPL")}


@ONE_CLIENT
def test_an_index_is_refused_since_it_would_need_a_connection_of_its_own(make):
    with pytest.raises(SymbolError, match="an index; allowed: stocks"):
        make().subscribe(["I:SPX"])


@ONE_CLIENT
def test_thinly_traded_symbols_are_given_more_silence(make, server, sink, clock):
    source = make(stream_times=replace(FAST, mute_regular_s=0.08))
    go_live(source, sink, server)
    for _ in range(24):  # one print every 0.06 s is this list's usual day
        server.send([trade(clock)])
        sleep_s(0.06)
    before = server.n_connected
    sleep_s(0.2)
    assert server.n_connected == before


@ONE_CLIENT
def test_the_span_from_asking_for_a_symbol_to_having_it_is_told_as_away(make, server, sink, clock):
    source = make()
    go_live(source, sink, server)
    asked = clock.now_ns()
    clock.push(-5 * NS_PER_S)
    source.subscribe(["QQQ"])
    clock.push(5 * NS_PER_S)
    assert wait_for(lambda: sink.gaps, 4.0)
    [gap] = sink.gaps
    assert gap.symbols == ("QQQ",)
    assert gap.start_ns < asked < gap.end_ns


def test_more_option_quotes_than_the_provider_allows_are_cut_and_said(make, server, sink, caplog):
    contracts = [f"O:SPY261218C{strike:05d}000" for strike in range(1, 1003)]
    go_live(make(channels=("T", "Q")), sink, server, *contracts, market="options")
    wait_for(lambda: len(server.topics("options")) >= 2002)  # a list this long is asked for in several messages
    topics = server.topics("options")
    assert sum(topic.startswith("Q.") for topic in topics) == 1000
    assert sum(topic.startswith("T.") for topic in topics) == 1002
    assert "quotes of 1002 contracts wanted, 1000 allowed" in caplog.text


@ONE_CLIENT
def test_an_unknown_kind_of_event_is_counted_and_harms_nothing(make, server, sink, clock):
    go_live(make(), sink, server)
    server.send('[{"ev":"NEW","sym":"SPY"},{"ev":"T","sym":"SPY","p":600.1,"s":1,"t":1795102200000}]')
    assert wait_for(lambda: sink.n_trades == 1)
    assert "NEW" in sink.rejects[0][0]


@ONE_CLIENT
def test_the_delayed_feed_lives_fifteen_minutes_ago(make, clock):
    source = make(feed="delayed")
    assert source.info.delay_ns == DELAY_NS == 15 * NS_PER_MIN
    assert abs(clock.now_ns() - source.clock.now_ns() - DELAY_NS) < NS_PER_S
    assert isinstance(source.clock, WallClock)
    rows = source.history("SPY", TEN_THIRTY - 20 * NS_PER_MIN, TEN_THIRTY).rows
    assert rows["ts_close"].max() <= TEN_THIRTY - DELAY_NS


# -- losing the connection --------------------------------------------------------------------------------------------------


@ONE_CLIENT
def test_pauses_between_attempts_grow_until_data_has_flowed_for_a_while(make, server, sink, clock, caplog):
    caplog.set_level(logging.WARNING, "workbench")
    source = make(stream_times=replace(FAST, stable_s=0.15))
    go_live(source, sink, server)
    for n in range(4):  # gets through the door each time, and that alone resets nothing
        assert wait_for(lambda n=n: server.n_connected == n + 1 and server.live())
        server.drop()
    assert wait_for(lambda: server.n_connected == 5 and server.live())
    attempts = [record.getMessage().rpartition("attempt ")[2] for record in caplog.records if "attempt" in record.getMessage()]
    assert attempts == ["1", "2", "3", "4"]
    end = monotonic_ns() + NS_PER_S // 3
    while monotonic_ns() < end:
        server.send([trade(clock)])
        sleep_s(0.02)
    server.drop()
    assert wait_for(lambda: "attempt 1" in caplog.records[-1].getMessage())


@ONE_CLIENT
def test_silence_while_the_market_is_closed_is_no_fault(make, server, sink, clock):
    clock.push(12 * 60 * NS_PER_MIN)  # half past ten at night
    source = make(stream_times=replace(FAST, mute_regular_s=0.1, mute_extended_s=0.1))
    go_live(source, sink, server)
    sleep_s(0.4)
    assert server.n_connected == 1
    assert FeedState.STALE not in sink.states()


# -- being refused: one sentence each, on screen and in the log ------------------------------------------------------------


def errors_logged(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("how", ["no websocket", "no realtime", "no channel"])
def test_a_plan_without_the_live_feed_is_one_sentence_and_minutes_come_by_rest(make, server, sink, caplog, how):
    server.plan = replace(
        server.plan,
        has_websocket=how != "no websocket",
        has_realtime=how != "no realtime",
        channels=set() if how == "no channel" else {"T", "Q", "AM"},
    )
    source = make(poll_s=0.05)
    start(source, sink)
    assert wait_for(lambda: refusals(sink))
    assert wait_for(lambda: sink.bars)
    sleep_s(0.2)
    [sentence] = refusals(sink)
    assert "plan does not include" in sentence
    assert "REST" in sentence
    assert len(errors_logged(caplog)) == 1
    assert all(np.all(rows["source"] == BarSource.REST) for _, rows in sink.bars)
    assert server.n_connected == 1


@ONE_CLIENT
@pytest.mark.parametrize("how", ["refused too", "broken"])
def test_minutes_that_rest_does_not_give_either_are_not_said_to_be_read(make, server, sink, monkeypatch, how):
    server.plan = replace(server.plan, has_websocket=False, has_history=how != "refused too")
    source = make(poll_s=0.05)
    if how == "broken":
        monkeypatch.setattr(source._history, "read", lambda *_: 1 / 0)
    start(source, sink)
    assert wait_for(lambda: sink.statuses and "either" in sink.statuses[-1].reason)
    reason = sink.statuses[-1].reason
    assert "plan does not include" in reason
    assert "No minute bars come by REST either: " in reason
    assert ("You are not entitled" if how == "refused too" else "ZeroDivisionError, see the log") in reason
    assert "every" not in reason
    assert sink.states()[-1] is FeedState.REFUSED


def test_a_plan_with_minute_bars_only_goes_on_with_those_and_says_so(make, server, sink, clock):
    server.plan.channels = {"AM"}
    go_live(make(), sink, server)
    server.send([minute(TEN_THIRTY - NS_PER_MIN)])
    assert wait_for(lambda: sink.bars)
    assert wait_for(lambda: "does not include trades, quotes" in sink.statuses[-1].reason)
    assert sink.states()[-1] is FeedState.LIVE
    server.drop()
    assert wait_for(lambda: server.n_connected == 2 and server.live())
    assert [message["params"] for _, message in server.actions if message["action"] == "subscribe"][-1] == "AM.SPY"


@pytest.mark.parametrize("throws_out", ["new", "old"])
def test_a_second_connection_is_one_sentence_and_a_long_pause_until_the_other_is_gone(make, server, sink, clock, caplog, throws_out):
    server.plan.most_connections = 1
    server.plan.throws_out = throws_out
    rival = make(stream_times=replace(FAST, limit_pause_s=60.0))
    source = make(stream_times=replace(FAST, limit_pause_s=60.0))
    theirs = RecordingSink()
    go_live(rival, theirs, server)
    start(source, sink)
    loser, told = (source, sink) if throws_out == "new" else (rival, theirs)
    assert wait_for(lambda: refusals(told))
    sleep_s(0.3)
    [sentence] = refusals(told)
    assert "another program uses the one connection" in sentence
    assert "every 60 s" in sentence
    assert len([text for text in errors_logged(caplog) if "another program" in text]) == 1
    assert isinstance(loser.problem, ConnectionLimitError)
    assert server.n_connected == 2  # no storm


@ONE_CLIENT
def test_the_connection_limit_is_not_said_again_at_each_attempt_and_ends_when_data_flows(make, server, sink, clock):
    server.plan.most_connections = 0
    source = make(stream_times=replace(FAST, limit_pause_s=0.1, stable_s=0.05))
    start(source, sink)
    assert wait_for(lambda: server.n_connected >= 4)
    assert len(refusals(sink)) == 1
    server.plan.most_connections = 1
    assert wait_for(lambda: (server.send([trade(clock)]), sleep_s(0.01), sink.states()[-1] is FeedState.LIVE)[-1])
    assert source.problem is None


def test_a_closing_code_1008_without_a_word_is_the_limit_too(make, server, sink):
    go_live(make(), sink, server)
    server.drop(code=1008)
    assert wait_for(lambda: refusals(sink))


@ONE_CLIENT
def test_stocks_go_on_when_only_options_are_refused(make, server, sink, clock):
    source = make()
    go_live(source, sink, server, "SPY")
    server.plan.channels = set()
    source.subscribe([OPTION])
    assert wait_for(lambda: source.problem is not None)
    server.send([trade(clock)])
    assert wait_for(lambda: sink.n_trades and sink.states()[-1] is FeedState.LIVE)
    assert "options: your plan does not include" in sink.statuses[-1].reason


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"package": "polygn"}, "did you mean 'polygon'"),
        ({"feed": "live"}, "allowed: delayed, realtime"),
        ({"channels": ("X",)}, "channels: received 'X'"),
        ({"websocket_base": "http://x"}, "websocket_base"),
        ({"api_key": ""}, "api_key: received nothing"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(make, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make(**options)


# -- history ----------------------------------------------------------------------------------------------------------------


def expected_opens(start_ns: int, end_ns: int) -> list[int]:
    return list(range(start_ns, end_ns, NS_PER_MIN))


def test_history_follows_pages_and_keeps_to_its_own_host_and_key(make, server):
    server.page_size = 7
    rows = make().history("SPY", *SPAN).rows
    assert rows["ts_open"].tolist() == expected_opens(*SPAN)
    assert set(rows["source"]) == {BarSource.REST}
    assert all("apikey" not in {name.lower() for name in request.query} for request in server.requests)
    assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.requests)


@ONE_CLIENT
def test_history_says_which_newest_bars_may_still_change(make):
    rows = make().history("SPY", *SPAN).rows
    assert rows["is_complete"][:57].all()
    assert not rows["is_complete"][-1]


def test_a_plan_without_history_and_an_unknown_symbol_are_told_apart(make, server):
    source = make()
    server.symbols = {"SPY"}
    with pytest.raises(SymbolError, match="NOPE"):
        source.history("NOPE", *SPAN)
    server.plan.has_history = False
    with pytest.raises(AuthError, match="plan does not include the history of SPY"):
        source.history("SPY", *SPAN)


def test_an_answer_without_results_is_no_bars_and_is_asked_for_twice_while_the_market_trades(make, server):
    server.bars_of = lambda *_span: []
    history = make().history("SPY", *SPAN)
    assert (len(history.rows), history.is_complete) == (0, True)
    assert len(server.requests) == 2


@ONE_CLIENT
def test_bars_outside_the_span_asked_for_are_left_out(make, server):
    start, end = SPAN[0] + 30 * NS_PER_S, SPAN[1] - 30 * NS_PER_S
    rows = make().history("SPY", start, end).rows
    assert rows["ts_open"][0] == SPAN[0] + NS_PER_MIN
    assert rows["ts_open"][-1] == SPAN[1] - NS_PER_MIN


def test_option_history_is_read_by_its_full_symbol(make, server):
    assert len(make().history(OPTION, *SPAN).rows) == 60
    assert server.requests[0].path.split("/")[4] == OPTION
