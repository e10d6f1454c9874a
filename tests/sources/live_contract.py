"""What every live provider must do over its real client, whatever its wire looks like.

A new one adds a class with the fixtures `facts` and `wire`, beside `make` (builds sources that are stopped in the end), `server` (a
loopback provider), `clock` (a MarketClock) and `sink` of its module, and inherits all.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from tests.sources.contract import RecordingSink, SourceContract, wait_for
from workbench.clock import NS_PER_MIN, NS_PER_S, WallClock, monotonic_ns, sleep_s
from workbench.errors import AuthError, HistoryError
from workbench.hub.hub import Hub
from workbench.sessions import ny_ns
from workbench.sources.base import FeedState
from workbench.sources.live.history import RestTimes
from workbench.sources.live.link import StreamTimes

TEN_THIRTY = ny_ns(date(2026, 11, 19), 10, 30)
SPAN = (TEN_THIRTY - 60 * NS_PER_MIN, TEN_THIRTY)
OPTION = "O:SPY261218C00700000"
FAST = StreamTimes(
    connect_s=1.0, settle_s=0.08, stable_s=0.3, first_pause_s=0.02, longest_pause_s=0.2, limit_pause_s=0.3, close_s=0.5, look_s=0.01,
    mute_regular_s=30.0, mute_extended_s=30.0, mute_minutes_s=30.0, mute_options_s=30.0,
)  # fmt: skip
FAST_REST = RestTimes(timeout_s=0.3, first_pause_s=0.005, longest_pause_s=0.05, minute_pause_s=0.02, tries=5)
REST_FAULTS = (
    ("429:0.02",), ("429", "429"), ("500", "503", "502", "504"), ("truncated",), ("garbage",), ("early_end",), ("", "early_end", "early_end"),
    ("hang:0.6",), ("truncated", "429", "500", "", "early_end", "", "garbage"),
)  # fmt: skip
CANARIES = ("canary-0123456789-abcdef", "canary-9876543210-fedcba")


class MarketClock(WallClock):
    """A wall clock of another day: runs with real time from a given moment, and can be pushed on."""

    def __init__(self, start_ns: int) -> None:
        self._offset = start_ns - monotonic_ns()

    def now_ns(self) -> int:
        return monotonic_ns() + self._offset

    def push(self, ns: int) -> None:
        self._offset += ns


def go_live(source, sink, server, *symbols: str, market: str = "stocks") -> None:
    """Start, subscribe (SPY without symbols) and wait until the server has heard it."""
    start(source, sink, *symbols)
    assert wait_for(lambda: server.live(market)), (sink.statuses, server.actions)


def start(source, sink, *symbols: str) -> None:
    source.start(sink)
    source.subscribe(symbols or ("SPY",))


def refusals(sink: RecordingSink) -> list[str]:
    """Return what was said at each change to REFUSED."""
    return [one.reason for one in sink.statuses if one.state is FeedState.REFUSED]


@dataclass(frozen=True)
class Wire:
    """How one provider writes, and how its source is called."""

    trade: Callable[..., dict]  # (clock, symbol, price, size) -> a print of now
    odd_lot: Callable[..., dict]  # (clock, price) -> a print that sets no price
    minute_twice: list[dict]  # one minute, then the same with close 600.7 and volume 1100
    malformed: Callable[[dict], Any]  # a print -> a frame with it twice around an element that can't be read
    garbage: str | bytes  # a frame that is none
    topics: Callable[[str], set[str]]  # what one symbol is subscribed by
    keys: tuple[str, ...]  # options that are keys
    wrong_key_said: str  # what it says to a wrong one
    accept: Callable[..., Any]  # keys -> what the server's plan accepts
    key_answers: tuple[list[dict], ...]  # odd answers to a key
    no_such_key: Callable[[str], list[dict]]  # text -> the answer that a key is wrong, with it
    echo: Callable[[str], Any]  # text -> a frame with it that can't be read
    address: str  # option that is the live address
    trades_only: tuple[str, ...]  # channels
    desk: Callable[[str], dict]  # a wrong key -> settings of a desk
    rest_faults: tuple[tuple[str, ...], ...] = ()  # more than REST_FAULTS


class LiveContract(SourceContract):
    """Inherit and give the fixtures `facts` and `wire`."""

    @pytest.fixture
    def wire(self) -> Wire:
        raise NotImplementedError

    # -- the ordinary day ---------------------------------------------------------------------------------------------------

    def test_with_nothing_wanted_the_connection_is_given_back_and_taken_again_later(self, make, server, sink, clock, wire):
        source = make()
        go_live(source, sink, server)
        source.unsubscribe(["SPY"])
        assert wait_for(lambda: not server.connections)
        source.subscribe(["QQQ"])
        assert wait_for(lambda: server.topics() == wire.topics("QQQ"))
        server.send([wire.trade(clock, "QQQ")])
        assert wait_for(lambda: sink.n_trades)

    def test_symbols_can_be_added_and_taken_away_while_connected(self, make, server, sink, wire):
        source = make()
        go_live(source, sink, server, "SPY", "QQQ")
        source.subscribe(["AAPL"])
        source.unsubscribe(["SPY"])
        assert wait_for(lambda: server.topics() == wire.topics("QQQ") | wire.topics("AAPL"))
        assert server.n_connected == 1

    def test_a_minute_sent_again_is_handed_on_as_the_later_one(self, make, server, sink, wire):
        go_live(make(), sink, server)
        server.send(wire.minute_twice)
        assert wait_for(lambda: sink.bars)
        assert [(row["close"], row["volume"]) for _, rows in sink.bars for row in rows] == [(600.7, 1100)]

    def test_a_malformed_frame_costs_its_broken_element_only_and_the_connection_goes_on(self, make, server, sink, clock, wire):
        go_live(make(), sink, server)
        server.send(wire.malformed(wire.trade(clock)))
        server.send(wire.garbage)
        server.send([wire.trade(clock)])
        assert wait_for(lambda: sink.n_trades == 3 and len(sink.rejects) == 2)
        assert server.n_connected == 1

    def test_prints_become_the_hubs_bars_and_those_told_twice_count_once(self, make, server, clock, wire):
        server.bars_of = lambda *_span: []
        source = make(channels=wire.trades_only)
        hub = Hub(source, grace_s=0.0, verify_every_s=0.0)
        hub.start()
        source.start(hub)
        try:
            hub.watch("SPY")
            assert wait_for(server.live)
            clock.push(60 * NS_PER_S - clock.now_ns() % NS_PER_MIN + NS_PER_S)  # into the next minute, which is seen from its start on
            minute_start = clock.now_ns() // NS_PER_MIN * NS_PER_MIN
            told = [wire.trade(clock, price=600.0), wire.trade(clock, price=601.0, size=50), wire.odd_lot(clock, 599.5)]
            server.send([*told, told[0]])
            server.send(told)
            assert wait_for(lambda: hub.health().n_events >= 7)
            clock.push(NS_PER_MIN)
            found = lambda: [row for row in hub.series("SPY", "1m").rows() if row["ts_open"] == minute_start]
            assert wait_for(found)
            [bar] = found()
            assert (bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"]) == (600.0, 601.0, 600.0, 601.0, 250.0)
            assert hub.health().quarantined["duplicate print"] == 4
        finally:
            source.stop()
            hub.stop()

    # -- losing the connection ----------------------------------------------------------------------------------------------

    def test_after_any_kind_of_disconnect_everything_is_subscribed_again_and_one_gap_is_told(self, make, server, sink, clock, wire):
        go_live(make(), sink, server, "SPY", "QQQ")
        for n, code in enumerate((None, 1000, 1001, 1011), 2):
            before, sink.gaps, sink.statuses = sink.n_trades, [], []
            last_ns = clock.now_ns()
            server.send([wire.trade(clock)])
            assert wait_for(lambda before=before: sink.n_trades > before), code
            server.drop(code=code)
            assert wait_for(lambda n=n: server.n_connected == n and server.topics() == wire.topics("SPY") | wire.topics("QQQ")), code
            clock.push(5 * NS_PER_S)
            first_ns = clock.now_ns()
            server.send([wire.trade(clock)])
            assert wait_for(lambda before=before: sink.gaps and sink.n_trades == before + 2), code
            [gap] = sink.gaps
            assert last_ns - 3 * NS_PER_S <= gap.start_ns <= last_ns + NS_PER_S, code
            assert gap.end_ns >= first_ns, code
            assert set(gap.symbols) == {"SPY", "QQQ"}, code
            assert wait_for(lambda: sink.states()[-1] is FeedState.LIVE), code
            assert FeedState.RECONNECTING in sink.states(), code

    def test_an_open_but_mute_connection_is_noticed_in_market_hours_and_replaced(self, make, server, sink, clock, wire):
        go_live(make(stream_times=replace(FAST, mute_regular_s=0.3)), sink, server)
        server.send([wire.trade(clock)])
        assert wait_for(lambda: sink.n_trades)
        server.mute()
        assert wait_for(lambda: server.n_connected >= 2 and server.live() and not server.live()[0].is_mute)
        assert "silent" in next(status for status in sink.statuses if status.state is FeedState.STALE).reason
        server.send([wire.trade(clock)])
        assert wait_for(lambda: sink.gaps and sink.n_trades >= 2)

    def test_a_connection_that_comes_back_to_a_quiet_market_still_tells_its_gap(self, make, server, sink, clock, wire):
        go_live(make(), sink, server)
        server.send([wire.trade(clock)])
        assert wait_for(lambda: sink.n_trades == 1)
        server.drop()
        assert wait_for(lambda: sink.gaps)
        assert wait_for(lambda: sink.states()[-1] is FeedState.LIVE)

    def test_more_drops_than_the_client_allows_for_do_not_end_the_feed(self, make, server, sink, clock, wire):
        go_live(make(stream_times=replace(FAST, longest_pause_s=0.05)), sink, server)
        for n in range(8):
            assert wait_for(lambda n=n: server.n_connected == n + 1 and server.live())
            server.drop()
        assert wait_for(lambda: server.n_connected == 9 and server.live())  # not the ninth's forerunner, which may still be closing
        server.send([wire.trade(clock)])
        assert wait_for(lambda: sink.n_trades)

    def test_a_dead_host_is_said_and_tried_again(self, make, server, sink, clock, wire):
        server.refuse(503)
        start(make(stream_times=replace(FAST, connect_s=0.15)), sink)
        assert wait_for(lambda: any("no answer" in status.reason or "503" in status.reason for status in sink.statuses))
        server.refuse(0)
        assert wait_for(server.live)
        server.send([wire.trade(clock)])
        assert wait_for(lambda: sink.n_trades)

    def test_without_a_network_the_reason_stays_on_screen_while_it_tries_again(self, make, sink, wire):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nobody = f"ws://127.0.0.1:{probe.getsockname()[1]}"
        start(make(stream_times=replace(FAST, connect_s=0.15), **{wire.address: nobody}), sink)
        assert wait_for(lambda: sum(status.reason.endswith("connecting again") for status in sink.statuses) >= 2)
        after = [status.reason for status in sink.statuses if status.state is FeedState.RECONNECTING]
        assert all("no answer" in reason or "refused" in reason.lower() or "127.0.0.1" in reason for reason in after), after
        assert not any(reason.endswith(": connecting to " + nobody[5:]) for reason in after[1:])

    # -- being refused ------------------------------------------------------------------------------------------------------

    def test_a_bad_key_is_one_sentence_with_the_next_step_and_no_second_attempt(self, make, server, sink, caplog, wire):
        source = make(**{wire.keys[-1]: "wrong-key"})
        start(source, sink)
        assert wait_for(lambda: refusals(sink))
        sleep_s(0.3)
        [sentence] = refusals(sink)
        assert "API key was refused" in sentence
        assert wire.wrong_key_said in sentence
        assert "dashboard" in sentence
        assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
        assert server.n_connected == 1
        assert isinstance(source.problem, AuthError)
        with pytest.raises(AuthError, match="refused the API key"):
            source.history("SPY", *SPAN)

    def test_an_odd_answer_to_the_key_is_not_taken_for_success(self, make, server, wire):
        for answer in wire.key_answers:
            server.plan.auth_answer = answer
            source, sink = make(), RecordingSink()
            start(source, sink)
            assert wait_for(lambda sink=sink: {FeedState.REFUSED, FeedState.RECONNECTING} & set(sink.states())), answer
            assert FeedState.LIVE not in sink.states(), answer
            source.stop()

    def test_no_key_is_in_any_text_log_or_error(self, make, server, sink, clock, caplog, wire):
        canaries = CANARIES[: len(wire.keys)]
        caplog.set_level(logging.DEBUG)
        server.plan.keys = {wire.accept(*canaries)}
        source = make(**dict(zip(wire.keys, canaries, strict=True)))
        go_live(source, sink, server)
        server.send([wire.trade(clock)])
        server.send(wire.echo(" ".join(canaries)))
        source.history("SPY", *SPAN)
        server.drop()
        assert wait_for(lambda: server.n_connected == 2 and sink.rejects)
        server.plan.auth_answer = wire.no_such_key(" ".join(canaries))
        server.drop()
        assert wait_for(lambda: refusals(sink))
        server.plan.keys = set()
        server.rest_faults.append("garbage")
        with pytest.raises(AuthError) as caught:
            source.history("SPY", *SPAN)
        shown = [repr(source), str(source), repr(source.info), str(caught.value), repr(source.problem)]
        shown += [f"{value!r} {value}" for name, value in vars(source).items() if "key" in name]
        shown += [record.getMessage() + str(record.exc_info) for record in caplog.records]
        shown += [one.reason for one in sink.statuses] + [repr(one) for one in sink.rejects] + [gap.reason for gap in sink.gaps]
        assert any("api" in text.lower() for text in shown)
        assert not [text for text in shown for canary in canaries if canary in text]

    def test_a_refused_key_reaches_the_health_of_a_desk_made_from_settings(self, server, tmp_path, caplog, wire):
        from workbench.assembly import assemble
        from workbench.hub.health import Mode

        settings = wire.desk("wrong-key-for-this-desk")
        engine = assemble(**settings, symbols=("SPY",), data_dir=tmp_path)
        engine.start()
        try:
            assert wait_for(lambda: engine.hub.health().mode is Mode.REFUSED, 10.0), engine.hub.health()
            health = engine.hub.health()
            assert "API key was refused" in health.reason
            assert "dashboard" in health.reason
            assert health.source == settings["source"]
            assert "wrong-key" not in f"{health} {engine.source!r} {caplog.text}"
        finally:
            engine.stop()

    # -- history --------------------------------------------------------------------------------------------------------------

    def test_history_is_whole_whatever_happens_on_the_way(self, make, server, wire):
        server.page_size = 25
        for faults in (*REST_FAULTS, *wire.rest_faults):
            server.rest_faults.clear()
            server.rest_faults.extend(faults)
            history = make().history("SPY", *SPAN)
            assert history.is_complete, faults
            assert history.rows["ts_open"].tolist() == list(range(*SPAN, NS_PER_MIN)), faults

    @pytest.mark.parametrize(("fault", "least_s"), [("429:0.25", 0.25), ("504", 0.0)])
    def test_a_pause_asked_for_is_kept_and_no_request_is_repeated_by_the_client_itself(self, make, server, fault, least_s):
        server.rest_faults.append(fault)
        began = monotonic_ns()
        make().history("SPY", *SPAN)
        assert least_s <= (monotonic_ns() - began) / NS_PER_S < 2  # a client's own pause is 3 s
        assert len(server.requests) == 2

    def test_history_that_can_not_be_had_says_what_the_last_answer_was(self, make, server):
        server.rest_faults.extend(["500"] * 50)
        with pytest.raises(HistoryError, match=r"no believable answer in 5 tries; the last: the provider fails with 500"):
            make().history("SPY", *SPAN)

    def test_stopping_ends_a_history_read_that_waits(self, make, server):
        server.rest_faults.extend(["429:30"])
        source, caught = make(), []

        def read() -> None:
            try:
                source.history("SPY", *SPAN)
            except HistoryError as problem:
                caught.append(problem)

        thread = threading.Thread(target=read)
        thread.start()
        assert wait_for(lambda: server.requests)
        sleep_s(0.05)
        source.stop()
        thread.join(3)
        assert caught
