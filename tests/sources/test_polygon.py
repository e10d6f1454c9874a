"""Polygon and Massive through their real clients, against a loopback server that has the real one's manners."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from tests.servers.polygon import KEY, LIMIT_TEXT, PolygonServer, status
from tests.sources.contract import Facts, RecordingSink, SourceContract, wait_for
from workbench.clock import NS_PER_MIN, NS_PER_S, WallClock, monotonic_ns, sleep_s
from workbench.errors import AuthError, ConfigError, ConnectionLimitError, HistoryError, SymbolError
from workbench.sessions import ny_ns
from workbench.sources.base import FeedState
from workbench.sources.live.history import RestTimes
from workbench.sources.live.link import StreamTimes
from workbench.sources.polygon.source import DELAY_NS, PolygonSource
from workbench.types import BarSource

TEN_THIRTY = ny_ns(date(2026, 11, 19), 10, 30)
OPTION = "O:SPY261218C00700000"
FAST = StreamTimes(
    connect_s=1.0, settle_s=0.08, stable_s=0.3, first_pause_s=0.02, longest_pause_s=0.2, limit_pause_s=0.3, close_s=0.5, look_s=0.01,
    mute_regular_s=30.0, mute_extended_s=30.0, mute_minutes_s=30.0, mute_options_s=30.0,
)  # fmt: skip
FAST_REST = RestTimes(timeout_s=0.3, first_pause_s=0.005, longest_pause_s=0.05, minute_pause_s=0.02, tries=5)


class MarketClock(WallClock):
    """A wall clock of another day: runs with real time from a given moment, and can be pushed on."""

    def __init__(self, start_ns: int) -> None:
        self._offset = start_ns - monotonic_ns()

    def now_ns(self) -> int:
        return monotonic_ns() + self._offset

    def push(self, ns: int) -> None:
        self._offset += ns


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


def go_live(source, sink, server, *symbols: str, market: str = "stocks"):
    source.start(sink)
    source.subscribe(symbols or ("SPY",))
    assert wait_for(lambda: server.live(market)), (sink.statuses, server.actions)


class TestContract(SourceContract):
    @pytest.fixture
    def facts(self, make, server, clock):
        def make_market() -> None:
            server.send([trade(clock), trade(clock, "QQQ"), quote(clock), quote(clock, "QQQ"), minute(TEN_THIRTY - NS_PER_MIN)])

        return Facts(make(), "SPY", "QQQ", make_market, (TEN_THIRTY - 30 * NS_PER_MIN, TEN_THIRTY), (KEY,))


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


def test_symbols_can_be_added_and_taken_away_while_connected(make, server, sink, clock):
    source = make()
    go_live(source, sink, server, "SPY")
    source.subscribe(["QQQ"])
    source.unsubscribe(["SPY"])
    assert wait_for(lambda: server.topics() == {"T.QQQ", "Q.QQQ", "AM.QQQ"}, 4.0)
    assert server.n_connected == 1


def test_an_index_is_refused_since_it_would_need_a_connection_of_its_own(make):
    with pytest.raises(SymbolError, match="an index; allowed: stocks"):
        make().subscribe(["I:SPX"])


def test_thinly_traded_symbols_are_given_more_silence(make, server, sink, clock):
    source = make(stream_times=replace(FAST, mute_regular_s=0.2))
    go_live(source, sink, server)
    for _ in range(3):  # one print every 0.15 s is this list's usual day
        for _again in range(8):
            server.send([trade(clock)])
            sleep_s(0.15)
    before = server.n_connected
    sleep_s(0.5)
    assert server.n_connected == before


def test_with_nothing_wanted_the_connection_is_given_back_and_taken_again_later(make, server, sink, clock):
    source = make()
    go_live(source, sink, server)
    source.unsubscribe(["SPY"])
    assert wait_for(lambda: not server.connections)
    source.subscribe(["QQQ"])
    assert wait_for(lambda: server.topics() == {"T.QQQ", "Q.QQQ", "AM.QQQ"})
    server.send([trade(clock, "QQQ")])
    assert wait_for(lambda: sink.n_trades)


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


def test_a_bar_sent_again_is_handed_on_as_the_later_one(make, server, sink):
    go_live(make(), sink, server)
    server.send([minute(TEN_THIRTY, close=600.5), minute(TEN_THIRTY, close=600.7, volume=1100)])
    assert wait_for(lambda: sink.bars)
    assert [(row["close"], row["volume"]) for _, rows in sink.bars for row in rows] == [(600.7, 1100)]


def test_one_malformed_frame_costs_its_broken_element_only_and_the_connection_goes_on(make, server, sink, clock):
    go_live(make(), sink, server)
    good = '{"ev":"T","sym":"SPY","p":600.1,"s":1,"t":1795102200000}'
    server.send(f'[{good},{{"ev":"T","sym":"SPY","p":,"s":1}},{good}]')
    server.send("this is no JSON at all")
    server.send(f"[{good}]")
    assert wait_for(lambda: sink.n_trades == 3)
    assert wait_for(lambda: len(sink.rejects) == 2)
    assert server.n_connected == 1


def test_an_unknown_kind_of_event_is_counted_and_harms_nothing(make, server, sink, clock):
    go_live(make(), sink, server)
    server.send('[{"ev":"NEW","sym":"SPY"},{"ev":"T","sym":"SPY","p":600.1,"s":1,"t":1795102200000}]')
    assert wait_for(lambda: sink.n_trades == 1)
    assert "NEW" in sink.rejects[0][0]


def test_the_delayed_feed_lives_fifteen_minutes_ago(make, clock):
    source = make(feed="delayed")
    assert source.info.delay_ns == DELAY_NS == 15 * NS_PER_MIN
    assert abs(clock.now_ns() - source.clock.now_ns() - DELAY_NS) < NS_PER_S
    assert isinstance(source.clock, WallClock)
    rows = source.history("SPY", TEN_THIRTY - 20 * NS_PER_MIN, TEN_THIRTY).rows
    assert rows["ts_close"].max() <= TEN_THIRTY - DELAY_NS


# -- losing the connection --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, 1000, 1001, 1011])
def test_after_any_kind_of_disconnect_everything_is_subscribed_again_and_one_gap_is_told(make, server, sink, clock, code):
    source = make()
    go_live(source, sink, server, "SPY", "QQQ")
    last = trade(clock)
    server.send([last])
    assert wait_for(lambda: sink.n_trades == 1 and FeedState.LIVE in sink.states())
    server.drop(code=code)
    assert wait_for(lambda: server.n_connected == 2 and len(server.topics()) == 6)
    clock.push(5 * NS_PER_S)
    first = trade(clock)
    server.send([first])
    assert wait_for(lambda: sink.gaps and sink.n_trades == 2)
    [gap] = sink.gaps
    assert last["t"] * 1_000_000 - 3 * NS_PER_S <= gap.start_ns <= last["t"] * 1_000_000 + NS_PER_S
    assert gap.end_ns >= first["t"] * 1_000_000
    assert set(gap.symbols) == {"SPY", "QQQ"}
    assert sink.states()[-1] is FeedState.LIVE
    assert FeedState.RECONNECTING in sink.states()


def test_a_connection_that_comes_back_to_a_quiet_market_still_tells_its_gap(make, server, sink, clock):
    go_live(make(), sink, server)
    server.send([trade(clock)])
    assert wait_for(lambda: sink.n_trades == 1)
    server.drop()
    assert wait_for(lambda: sink.gaps)
    assert wait_for(lambda: sink.states()[-1] is FeedState.LIVE)


def test_more_drops_than_the_client_allows_for_do_not_end_the_feed(make, server, sink, clock):
    go_live(make(), sink, server)
    for n in range(8):
        assert wait_for(lambda n=n: server.n_connected == n + 1 and server.live())
        server.drop()
    assert wait_for(lambda: server.n_connected == 9 and server.live())  # not the ninth's forerunner, which may still be closing
    server.send([trade(clock)])
    assert wait_for(lambda: sink.n_trades)


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


def test_a_dead_host_is_said_and_tried_again(make, server, sink, clock):
    server.refuse(503)
    source = make(stream_times=replace(FAST, connect_s=0.15))
    source.start(sink)
    source.subscribe(["SPY"])
    assert wait_for(lambda: any("no answer" in status.reason for status in sink.statuses))
    server.refuse(0)
    assert wait_for(server.live)
    server.send([trade(clock)])
    assert wait_for(lambda: sink.n_trades)


def test_an_open_but_mute_connection_is_noticed_in_market_hours_and_replaced(make, server, sink, clock):
    source = make(stream_times=replace(FAST, mute_regular_s=0.3))
    go_live(source, sink, server)
    server.send([trade(clock)])
    assert wait_for(lambda: sink.n_trades)
    assert wait_for(lambda: server.n_connected == 2 and server.live())
    stale = next(status for status in sink.statuses if status.state is FeedState.STALE)
    assert "silent" in stale.reason
    server.send([trade(clock)])
    assert wait_for(lambda: sink.gaps and sink.n_trades == 2)


def test_silence_while_the_market_is_closed_is_no_fault(make, server, sink, clock):
    clock.push(12 * 60 * NS_PER_MIN)  # half past ten at night
    source = make(stream_times=replace(FAST, mute_regular_s=0.1, mute_extended_s=0.1))
    go_live(source, sink, server)
    sleep_s(0.4)
    assert server.n_connected == 1
    assert FeedState.STALE not in sink.states()


# -- being refused: one sentence each, on screen and in the log ------------------------------------------------------------


def refusals(sink: RecordingSink) -> list[str]:
    return [one.reason for one in sink.statuses if one.state is FeedState.REFUSED]


def errors_logged(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_bad_key_is_one_sentence_with_the_next_step_and_no_second_attempt(make, server, sink, caplog):
    source = make(api_key="wrong-key")
    source.start(sink)
    source.subscribe(["SPY"])
    assert wait_for(lambda: refusals(sink))
    sleep_s(0.3)
    [sentence] = refusals(sink)
    assert "API key was refused" in sentence
    assert "dashboard" in sentence
    assert len(errors_logged(caplog)) == 1
    assert server.n_connected == 1
    assert isinstance(source.problem, AuthError)
    with pytest.raises(AuthError, match="refused the API key"):
        source.history("SPY", TEN_THIRTY - 5 * NS_PER_MIN, TEN_THIRTY)


@pytest.mark.parametrize("how", ["no websocket", "no realtime", "no channel"])
def test_a_plan_without_the_live_feed_is_one_sentence_and_minutes_come_by_rest(make, server, sink, caplog, how):
    server.plan = replace(
        server.plan,
        has_websocket=how != "no websocket",
        has_realtime=how != "no realtime",
        channels=set() if how == "no channel" else {"T", "Q", "AM"},
    )
    source = make(poll_s=0.05)
    source.start(sink)
    source.subscribe(["SPY"])
    assert wait_for(lambda: refusals(sink))
    assert wait_for(lambda: sink.bars)
    sleep_s(0.2)
    [sentence] = refusals(sink)
    assert "plan does not include" in sentence
    assert "REST" in sentence
    assert len(errors_logged(caplog)) == 1
    assert all(np.all(rows["source"] == BarSource.REST) for _, rows in sink.bars)
    assert server.n_connected == 1


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
    source.start(sink)
    source.subscribe(["SPY"])
    loser, told = (source, sink) if throws_out == "new" else (rival, theirs)
    assert wait_for(lambda: refusals(told))
    sleep_s(0.3)
    [sentence] = refusals(told)
    assert "another program uses the one connection" in sentence
    assert "every 60 s" in sentence
    assert len([text for text in errors_logged(caplog) if "another program" in text]) == 1
    assert isinstance(loser.problem, ConnectionLimitError)
    assert server.n_connected == 2  # no storm


def test_the_connection_limit_is_not_said_again_at_each_attempt_and_ends_when_data_flows(make, server, sink, clock):
    server.plan.most_connections = 0
    source = make(stream_times=replace(FAST, limit_pause_s=0.1, stable_s=0.05))
    source.start(sink)
    source.subscribe(["SPY"])
    assert wait_for(lambda: server.n_connected >= 4)
    assert len(refusals(sink)) == 1
    server.plan.most_connections = 1
    assert wait_for(lambda: (server.send([trade(clock)]), sleep_s(0.01), sink.states()[-1] is FeedState.LIVE)[-1])
    assert source.problem is None


def test_a_closing_code_1008_without_a_word_is_the_limit_too(make, server, sink):
    go_live(make(), sink, server)
    server.drop(code=1008)
    assert wait_for(lambda: refusals(sink))


@pytest.mark.parametrize("answer", ["max_connections", "auth_timeout", "force_disconnect"])
def test_an_odd_answer_to_the_key_is_not_taken_for_success(make, server, sink, answer):
    server.plan.auth_answer = [status(answer, LIMIT_TEXT)]
    source = make()
    source.start(sink)
    source.subscribe(["SPY"])
    assert wait_for(lambda: FeedState.REFUSED in sink.states() or FeedState.RECONNECTING in sink.states())
    assert FeedState.LIVE not in sink.states()


def test_without_a_network_the_reason_stays_on_screen_while_it_tries_again(make, sink):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"ws://127.0.0.1:{probe.getsockname()[1]}"
    source = make(websocket_base=nobody)
    source.start(sink)
    source.subscribe(["SPY"])
    assert wait_for(lambda: sum(status.reason.endswith("connecting again") for status in sink.statuses) >= 2)
    after = [status.reason for status in sink.statuses if status.state is FeedState.RECONNECTING]
    assert all("no answer" in reason or "refused" in reason.lower() or "127.0.0.1" in reason for reason in after), after
    assert not any(reason.endswith(": connecting to " + nobody[5:]) for reason in after[1:])


def test_stocks_go_on_when_only_options_are_refused(make, server, sink, clock):
    source = make()
    go_live(source, sink, server, "SPY")
    server.plan.channels = set()
    source.subscribe([OPTION])
    assert wait_for(lambda: source.problem is not None)
    server.send([trade(clock)])
    assert wait_for(lambda: sink.n_trades and sink.states()[-1] is FeedState.LIVE)
    assert "options: your plan does not include" in sink.statuses[-1].reason


def test_the_key_is_in_no_text_log_or_error(make, server, sink, clock, caplog):
    canary = "canary-0123456789-abcdef"
    caplog.set_level(logging.DEBUG)
    server.plan.keys = {canary}
    source = make(api_key=canary)
    go_live(source, sink, server)
    server.send([trade(clock)])
    server.send(f'[{{"ev":"T","sym":"SPY","p":"{canary}"}}]')
    source.history("SPY", TEN_THIRTY - 5 * NS_PER_MIN, TEN_THIRTY)
    server.drop()
    assert wait_for(lambda: server.n_connected == 2 and sink.rejects)
    server.plan.auth_answer = [status("auth_failed", f"authentication failed for {canary}")]
    server.drop()
    assert wait_for(lambda: refusals(sink))
    server.plan.keys = set()
    server.rest_faults.append("garbage")
    with pytest.raises(AuthError) as caught:
        source.history("SPY", TEN_THIRTY - 5 * NS_PER_MIN, TEN_THIRTY)
    shown = [repr(source), str(source), repr(source.info), str(caught.value), repr(source.problem), repr(source._key), f"{source._key}"]
    shown += [record.getMessage() + str(record.exc_info) for record in caplog.records]
    shown += [one.reason for one in sink.statuses] + [repr(one) for one in sink.rejects] + [gap.reason for gap in sink.gaps]
    assert any("api" in text.lower() for text in shown)
    assert not [text for text in shown if canary in text]


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

SPAN = (TEN_THIRTY - 60 * NS_PER_MIN, TEN_THIRTY)


def expected_opens(start_ns: int, end_ns: int) -> list[int]:
    return list(range(start_ns, end_ns, NS_PER_MIN))


def test_history_follows_pages_and_keeps_to_its_own_host_and_key(make, server):
    server.page_size = 7
    rows = make().history("SPY", *SPAN).rows
    assert rows["ts_open"].tolist() == expected_opens(*SPAN)
    assert set(rows["source"]) == {BarSource.REST}
    assert all("apikey" not in {name.lower() for name in request.query} for request in server.requests)
    assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.requests)


def test_history_says_which_newest_bars_may_still_change(make):
    rows = make().history("SPY", *SPAN).rows
    assert rows["is_complete"][:57].all()
    assert not rows["is_complete"][-1]


@pytest.mark.parametrize(
    "faults",
    [
        ["429:0.02"],
        ["429", "429"],
        ["500", "503", "502"],
        ["truncated"],
        ["garbage"],
        ["short"],
        ["early_end"],
        ["", "early_end", "early_end"],
        ["hang:0.6"],
        ["truncated", "429", "500", "", "short", "early_end", "", "garbage"],
    ],
)
def test_history_is_whole_whatever_happens_on_the_way(make, server, faults):
    server.page_size = 25
    server.rest_faults.extend(faults)
    history = make().history("SPY", *SPAN)
    assert history.is_complete
    assert history.rows["ts_open"].tolist() == expected_opens(*SPAN)


def test_retry_after_is_respected(make, server):
    server.rest_faults.append("429:0.25")
    start = monotonic_ns()
    make().history("SPY", *SPAN)
    assert monotonic_ns() - start >= NS_PER_S // 4


def test_history_that_can_not_be_had_says_what_the_last_answer_was(make, server):
    server.rest_faults.extend(["500"] * 50)
    with pytest.raises(HistoryError, match=r"no believable answer in 5 tries; the last: the provider fails with 500"):
        make().history("SPY", *SPAN)


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


def test_bars_outside_the_span_asked_for_are_left_out(make, server):
    start, end = SPAN[0] + 30 * NS_PER_S, SPAN[1] - 30 * NS_PER_S
    rows = make().history("SPY", start, end).rows
    assert rows["ts_open"][0] == SPAN[0] + NS_PER_MIN
    assert rows["ts_open"][-1] == SPAN[1] - NS_PER_MIN


def test_option_history_is_read_by_its_full_symbol(make, server):
    assert len(make().history(OPTION, *SPAN).rows) == 60
    assert server.requests[0].path.split("/")[4] == OPTION


def test_stopping_ends_a_history_read_that_waits(make, server):
    import threading

    server.rest_faults.extend(["429:30"])
    source, caught = make(), []

    def read() -> None:
        try:
            source.history("SPY", *SPAN)
        except HistoryError as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert wait_for(lambda: server.requests)
    sleep_s(0.05)
    source.stop()
    thread.join(3)
    assert caught


# -- through the whole house ------------------------------------------------------------------------------------------------


def test_a_refused_key_reaches_the_health_strip_of_a_desk_made_from_settings(server, package, tmp_path, caplog):
    from workbench.assembly import assemble
    from workbench.hub.health import Mode

    engine = assemble(
        source=package,
        polygon_api_key="wrong-key-for-this-desk",
        massive_api_key="wrong-key-for-this-desk",
        websocket_base=server.websocket_base,
        rest_base=server.rest_base,
        symbols=("SPY",),
        data_dir=tmp_path,
    )
    engine.start()
    try:
        assert wait_for(lambda: engine.hub.health().mode is Mode.REFUSED, 10.0), engine.hub.health()
        health = engine.hub.health()
        assert "API key was refused" in health.reason
        assert "dashboard" in health.reason
        assert "wrong-key" not in f"{health} {engine.source!r} {caplog.text}"
    finally:
        engine.stop()


def test_trades_of_a_real_client_become_the_hubs_bars(make, server, clock):
    from workbench.hub.hub import Hub

    server.bars_of = lambda *_span: []
    source = make(channels=("T",))
    hub = Hub(source, grace_s=0.0, verify_every_s=0.0)
    hub.start()
    source.start(hub)
    try:
        hub.watch("SPY")
        assert wait_for(server.live)
        clock.push(60 * NS_PER_S - clock.now_ns() % NS_PER_MIN + NS_PER_S)  # into the next minute, which is seen from its start on
        minute_start = clock.now_ns() // NS_PER_MIN * NS_PER_MIN
        server.send([trade(clock, price=600.0, q=1), trade(clock, price=601.0, q=2, size=50), trade(clock, price=599.5, q=3, c=[37])])
        assert wait_for(lambda: hub.health().n_events >= 3)
        clock.push(NS_PER_MIN)
        found = lambda: [row for row in hub.series("SPY", "1m").rows() if row["ts_open"] == minute_start]
        assert wait_for(found)
        [bar] = found()
        assert (bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"]) == (600.0, 601.0, 600.0, 601.0, 250.0)
    finally:
        source.stop()
        hub.stop()
