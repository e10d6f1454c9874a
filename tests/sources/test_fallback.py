"""Two sources of one truth as one source: who is listened to when, and bars that stay true however often that changes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from tests.sources.contract import Facts, RecordingSink, SourceContract, wait_for
from tests.stubs import MIN, SEC, TEN, ManualClock, prints, tape
from workbench.errors import AuthError, ConfigError, HistoryError, SymbolError
from workbench.hub.bars import build_bars
from workbench.hub.health import Mode
from workbench.hub.hub import Hub
from workbench.sessions import SessionCalendar
from workbench.sources.base import FeedGap, FeedState, FeedStatus, History, Sink, SourceInfo
from workbench.sources.fallback import FallbackSource, FallbackTimes
from workbench.sources.replay import ReplaySource
from workbench.types import BAR_DTYPE, BarSource, check_symbol

TIMES = FallbackTimes(patience_s=10.0, back_after_s=60.0, look_s=3600.0)  # the tests look themselves
MINUTES = 20


class Feed:
    """A live source that a test speaks through: `say` tells rows to its sink, its state is what the test says."""

    def __init__(self, name: str, clock: ManualClock, truth: np.ndarray | None = None, delay_ns: int = 0) -> None:
        self.clock = clock
        self.info = SourceInfo(name, f"{name} of the test", delay_ns=delay_ns)
        self.truth = truth  # minutes that its history tells, BAR_DTYPE
        self.problem: Exception | None = None  # what its history raises
        self.wanted: set[str] = set()
        self.unknown: set[str] = set()
        self.sink: Sink | None = None
        self.state = FeedState.IDLE
        self.tells_gaps_from_s: float | None = None  # how far before a trouble its gap begins; None: it tells none
        self.away_since_ns = 0

    def start(self, sink: Sink) -> None:
        self.sink = sink
        self.turn(FeedState.CONNECTING)

    def stop(self) -> None:
        self.sink = None

    def subscribe(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            if check_symbol(symbol) in self.unknown:
                raise SymbolError(f"symbol: received {symbol!r}; no such symbol")
            self.wanted.add(symbol)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        self.wanted -= set(symbols)

    def history(self, _symbol: str, start_ns: int, end_ns: int) -> History:
        if self.problem is not None:
            raise self.problem
        rows = np.zeros(0, BAR_DTYPE) if self.truth is None else self.truth
        return History(
            rows[(rows["ts_open"] >= start_ns) & (rows["ts_open"] < end_ns) & (rows["ts_close"] <= self.clock.ns)], is_complete=True
        )

    def turn(self, state: FeedState, reason: str = "") -> None:
        assert self.sink is not None
        if state is not FeedState.LIVE and self.state is FeedState.LIVE:
            self.away_since_ns = self.clock.ns
        is_back, self.state = state is FeedState.LIVE and bool(self.away_since_ns), state
        if is_back and self.tells_gaps_from_s is not None:
            self.sink.on_gap(FeedGap(self.away_since_ns - round(self.tells_gaps_from_s * SEC), self.clock.ns, f"{self.info.name} was away"))
        if is_back:
            self.away_since_ns = 0
        self.sink.on_status(FeedStatus(state, reason or f"{self.info.name}: {state.value}", self.clock.ns))

    def say(self, rows: np.ndarray) -> None:
        if self.sink is not None and len(rows):
            self.sink.symbols.intern("SPY")
            self.sink.on_trades(rows.copy())


class Pair:
    """A fallback of two feeds and everything around it."""

    def __init__(self, **over: object) -> None:
        self.clock = ManualClock(TEN)
        self.first, self.second = Feed("one", self.clock), Feed("two", self.clock)
        self.source = FallbackSource(self.first, self.second, times=TIMES, **over)
        self.sink = RecordingSink()
        self.source.start(self.sink)

    def both_live(self) -> None:
        for feed in (self.first, self.second):
            feed.turn(FeedState.LIVE)
        self.pass_time(1.0)

    def pass_time(self, seconds: float, *, first_tells: bool = True, second_tells: bool = True) -> None:
        """Let time go by in steps of half a second; who tells, prints each time."""
        for _ in range(round(seconds * 2)):
            self.clock.ns += SEC // 2
            row = prints([(self.clock.ns, 100.0, 1)])
            for feed, tells in ((self.first, first_tells), (self.second, second_tells)):
                if tells:
                    feed.say(row)
            self.source.look()

    @property
    def last(self) -> FeedStatus:
        return self.sink.statuses[-1]


@pytest.fixture
def pair():
    made = Pair()
    yield made
    made.source.stop()


class TestContract(SourceContract):
    @pytest.fixture
    def facts(self):
        clock = ManualClock(TEN)
        truth = np.zeros(30, BAR_DTYPE)
        truth["ts_open"] = TEN - np.arange(30, 0, -1) * MIN
        truth["ts_close"] = truth["ts_open"] + MIN
        feeds = [Feed(name, clock, truth) for name in ("one", "two")]
        n = [0]

        def make_market() -> None:
            n[0] += 1
            clock.ns += SEC
            for feed in feeds:
                if feed.sink is not None:
                    feed.turn(FeedState.LIVE)
                    for k, symbol in enumerate(sorted(feed.wanted)):
                        rows = prints([(clock.ns + k, 100.0, 1)], symbol_id=feed.sink.symbols.intern(symbol), first_sequence=n[0])
                        feed.sink.on_trades(rows)

        return Facts(FallbackSource(*feeds, times=TIMES), "SPY", "QQQ", make_market, (TEN - 30 * MIN, TEN))


# -- who is listened to ------------------------------------------------------------------------------------------------------


def test_while_the_first_is_well_only_the_first_is_passed_on(pair):
    pair.both_live()
    before = pair.sink.n_trades
    pair.pass_time(5.0)
    assert pair.sink.n_trades == before + 10
    assert pair.source.info.name == "one"
    assert "fallback two" in pair.source.info.detail
    assert pair.last.state is FeedState.LIVE


@pytest.mark.parametrize("state", [FeedState.STALE, FeedState.REFUSED, FeedState.RECONNECTING])
def test_the_second_takes_over_after_the_stated_time_and_says_so_everywhere(pair, state):
    pair.both_live()
    pair.first.turn(state, "the first's own sentence")
    pair.pass_time(9.0, first_tells=False)
    assert not pair.source.is_on_second
    assert pair.last.state is state
    pair.pass_time(2.0, first_tells=False)
    assert pair.source.is_on_second
    assert pair.source.info.name == "fallback"
    assert pair.source.info.detail.startswith("two for one")
    assert pair.last.state is FeedState.FALLBACK
    word = {FeedState.STALE: "stale", FeedState.REFUSED: "refused", FeedState.RECONNECTING: "away"}[state]
    assert f"on fallback two since 10:00: one is {word} (the first's own sentence)" in pair.last.reason
    n = pair.sink.n_trades
    pair.pass_time(1.0, first_tells=False)
    assert pair.sink.n_trades == n + 2


def test_a_short_trouble_changes_nothing(pair):
    pair.both_live()
    for _ in range(20):
        pair.first.turn(FeedState.RECONNECTING)
        pair.pass_time(4.0, first_tells=False)
        pair.first.turn(FeedState.LIVE)
        pair.pass_time(2.0)
    assert not pair.sink.gaps
    assert not pair.source.is_on_second


def test_a_first_that_keeps_connecting_and_never_tells_anything_is_in_trouble(pair):
    pair.both_live()
    for _ in range(4):  # connected each time, mute each time
        pair.first.turn(FeedState.STALE)
        pair.pass_time(1.0, first_tells=False)
        pair.first.turn(FeedState.LIVE)
        pair.pass_time(4.0, first_tells=False)
    assert pair.source.is_on_second


def test_a_second_that_is_not_well_does_not_take_over(pair):
    pair.first.turn(FeedState.LIVE)
    pair.second.turn(FeedState.REFUSED, "no key for two")
    pair.pass_time(1.0, second_tells=False)
    assert "no fallback: no key for two" in pair.last.reason
    pair.first.turn(FeedState.REFUSED, "no key for one")
    pair.pass_time(60.0, first_tells=False, second_tells=False)
    assert not pair.source.is_on_second
    assert pair.last.state is FeedState.REFUSED


def test_the_first_is_listened_to_again_after_the_stated_time_without_a_break(pair):
    pair.both_live()
    pair.first.turn(FeedState.STALE)
    pair.pass_time(11.0, first_tells=False)
    pair.first.turn(FeedState.LIVE)
    pair.pass_time(55.0)
    assert pair.source.is_on_second
    pair.first.turn(FeedState.RECONNECTING)  # a break: the time begins anew
    pair.first.turn(FeedState.LIVE)
    pair.pass_time(55.0)
    assert pair.source.is_on_second
    pair.pass_time(10.0)
    assert not pair.source.is_on_second
    assert pair.last.state is FeedState.LIVE
    assert pair.source.info.name == "one"


def test_when_the_second_fails_too_the_first_is_taken_back_as_soon_as_it_tells(pair):
    pair.both_live()
    pair.first.turn(FeedState.STALE)
    pair.pass_time(11.0, first_tells=False)
    pair.second.turn(FeedState.STALE)
    pair.pass_time(15.0, first_tells=False, second_tells=False)
    assert pair.source.is_on_second
    assert pair.last.state is FeedState.STALE
    pair.first.turn(FeedState.LIVE)
    pair.pass_time(1.0, second_tells=False)
    assert not pair.source.is_on_second


def test_a_first_that_flaps_changes_hands_at_most_once_in_the_sum_of_both_times(pair):
    pair.both_live()
    rng, seconds = random.Random(3), 0.0
    while seconds < 1800:
        is_up = rng.random() < 0.5
        pair.first.turn(FeedState.LIVE if is_up else FeedState.RECONNECTING)
        length = rng.choice([1.0, 3.0, 12.0, 65.0])
        pair.pass_time(length, first_tells=is_up)
        seconds += length
    assert 4 <= len(pair.sink.gaps) <= 2 * seconds / (TIMES.patience_s + TIMES.back_after_s) + 1


def test_around_each_change_one_gap_tells_what_may_be_missing(pair):
    pair.both_live()
    pair.pass_time(30.0)
    last_heard = pair.clock.ns
    pair.first.turn(FeedState.STALE)
    pair.pass_time(12.0, first_tells=False)
    [taken] = pair.sink.gaps
    assert last_heard - 3 * SEC <= taken.start_ns <= last_heard
    assert last_heard + 10 * SEC <= taken.end_ns <= pair.clock.ns
    pair.first.turn(FeedState.LIVE)
    pair.pass_time(62.0)
    _, back = pair.sink.gaps
    assert back.start_ns == taken.start_ns  # what the second told is told again by the first
    assert back.end_ns > taken.end_ns
    assert back.reason == "one is back; two stood in meanwhile"


def test_the_gap_begins_where_a_lagging_feeds_newest_print_was(pair):
    pair.both_live()
    behind = pair.clock.ns + 30 * SEC - 8 * SEC
    pair.pass_time(30.0, first_tells=False)
    pair.first.say(prints([(behind, 100.0, 1)]))
    pair.first.turn(FeedState.STALE)
    pair.pass_time(11.0, first_tells=False)
    assert pair.sink.gaps[-1].start_ns <= behind


def test_prints_are_never_passed_on_twice_nor_by_whoever_is_not_listened_to(pair):
    pair.both_live()
    rng = random.Random(8)
    for _ in range(40):
        pair.first.turn(rng.choice([FeedState.LIVE, FeedState.LIVE, FeedState.STALE]))
        pair.pass_time(rng.choice([3.0, 11.0, 62.0]))
    stamps = np.concatenate([rows["ts_event"] for rows in pair.sink.trades])
    assert len(np.unique(stamps)) == len(stamps)


def test_one_print_with_a_stamp_from_the_future_does_not_silence_the_other_source(pair):
    pair.both_live()
    pair.first.say(prints([(pair.clock.ns + 3600 * SEC, 100.0, 1)]))  # the hub puts it aside; no time of the market is to be read off it
    pair.first.turn(FeedState.STALE)
    pair.pass_time(12.0, first_tells=False)
    n_before = len(pair.sink.trades)
    pair.pass_time(30.0, first_tells=False)
    assert len(pair.sink.trades) == n_before + 60


def test_what_is_left_out_because_a_clock_is_ahead_lies_in_the_gap(pair):
    pair.both_live()
    pair.first.turn(FeedState.STALE)
    ahead_ns = pair.clock.ns + 12 * SEC
    pair.first.say(prints([(ahead_ns, 100.0, 1)]))
    pair.pass_time(11.0, first_tells=False)
    [taken] = pair.sink.gaps
    told = [ts for rows in pair.sink.trades for ts in rows["ts_event"].tolist()]
    assert taken.end_ns > ahead_ns
    assert told.count(ahead_ns) == 1


def test_the_seconds_minutes_are_passed_on_from_the_one_on_that_the_first_did_not_wholly_tell(pair):
    pair.both_live()
    pair.pass_time(90.0)  # 10:01:31
    pair.first.turn(FeedState.STALE)
    pair.pass_time(12.0, first_tells=False)
    minutes = np.zeros(2, BAR_DTYPE)
    minutes["ts_open"] = TEN + np.arange(2) * MIN
    minutes["ts_close"] = minutes["ts_open"] + MIN
    pair.second.sink.on_bars("SPY", minutes)
    pair.first.sink.on_bars("SPY", minutes)
    assert [rows["ts_open"].tolist() for _, rows in pair.sink.bars] == [[TEN + MIN]]


# -- history, symbols, settings -------------------------------------------------------------------------------------------------


def test_history_is_the_firsts_and_else_the_seconds_which_is_never_called_complete(pair):
    truth = np.zeros(1, BAR_DTYPE)
    truth["ts_open"], truth["ts_close"], truth["volume"] = TEN - MIN, TEN, 5
    pair.first.truth, pair.second.truth = truth, truth.copy()
    pair.second.truth["volume"] = 1
    told = pair.source.history("SPY", TEN - MIN, TEN)
    assert (told.rows["volume"].tolist(), told.is_complete) == ([5], True)
    for problem in (AuthError("no plan"), HistoryError("no answer")):
        pair.first.problem = problem
        told = pair.source.history("SPY", TEN - MIN, TEN)
        assert (told.rows["volume"].tolist(), told.is_complete) == ([1], False)
        assert str(problem) in told.note
    pair.second.problem = HistoryError("nor here")
    with pytest.raises(HistoryError, match="no answer"):
        pair.source.history("SPY", TEN - MIN, TEN)
    pair.first.problem = SymbolError("no such symbol")
    with pytest.raises(SymbolError):
        pair.source.history("SPY", TEN - MIN, TEN)


def test_while_the_firsts_history_fails_the_seconds_thin_minutes_take_the_place_of_none_that_are_whole(pair):
    truth = true_minutes(tape(3, minutes=4, per_minute=20))
    thin = truth.copy()
    thin["volume"] *= 0.03  # one exchange's share
    pair.first.truth, pair.second.truth = truth[:2], thin
    hub = Hub(pair.source, verify_every_s=0.0, retry_s=0.0)
    pair.source.stop()
    pair.source.start(hub)
    series = hub.series("SPY", "1m")
    pair.clock.ns = TEN + 10 * MIN
    hub._writer.plan.want("SPY", TEN, TEN + 4 * MIN)
    hub.pump()
    assert series.rows()["volume"].tolist() == truth["volume"][:2].tolist()
    pair.first.problem = HistoryError("status 500")
    hub._writer.plan.want("SPY", TEN, TEN + 4 * MIN)
    hub.pump()
    rows = series.rows()
    assert rows["volume"].tolist() == [*truth["volume"][:2].tolist(), *thin["volume"][2:].tolist()]
    assert rows["is_complete"].tolist() == [1, 1, 0, 0]
    pair.first.problem, pair.first.truth = None, truth
    hub._writer.plan.want("SPY", TEN, TEN + 4 * MIN)
    hub.pump()
    rows = series.rows()
    assert (rows["volume"].tolist(), rows["is_complete"].tolist()) == (truth["volume"].tolist(), [1, 1, 1, 1])


def test_a_symbol_only_the_second_does_not_know_is_followed_all_the_same(pair, caplog):
    pair.second.unknown = {"QQQ"}
    pair.source.subscribe(["SPY", "QQQ"])
    assert pair.first.wanted == {"SPY", "QQQ"}
    assert pair.second.wanted == {"SPY"}
    assert "no such symbol" in caplog.text
    pair.first.unknown = {"IWM"}
    with pytest.raises(SymbolError, match="IWM"):
        pair.source.subscribe(["IWM"])


def test_two_feeds_of_different_delay_and_a_replay_are_refused(tmp_path):
    clock = ManualClock(TEN)
    with pytest.raises(ConfigError, match=r"'two', 0 minutes late, for 'one', 15 minutes late; allowed: two feeds of the same delay"):
        FallbackSource(Feed("one", clock, delay_ns=15 * MIN), Feed("two", clock))
    path = tmp_path / "trades.csv"
    path.write_text(f"ts,symbol,price,size\n{TEN},SPY,600,1\n")
    with pytest.raises(ConfigError, match="whose time is not the market's"):
        FallbackSource(ReplaySource(path), Feed("two", clock))


def test_its_own_thread_looks_without_being_told():
    made = Pair()
    made.source.stop()
    made.source = FallbackSource(made.first, made.second, times=FallbackTimes(0.0, 0.0, 0.01))
    made.source.start(made.sink)
    try:
        made.second.turn(FeedState.LIVE)
        made.clock.ns += SEC
        made.second.say(prints([(made.clock.ns, 100.0, 1)]))
        assert wait_for(lambda: made.source.is_on_second)
    finally:
        made.source.stop()


# -- through a hub: the truth, however often it changes hands ------------------------------------------------------------------


def true_minutes(trades: np.ndarray) -> np.ndarray:
    columns = (trades[name] for name in ("ts_event", "price", "size"))
    rows = build_bars(*columns, sequence=trades["sequence"], conditions=trades["conditions"], sessions=SessionCalendar.xnys())
    rows["source"], rows["is_complete"] = BarSource.REST, 1
    return rows


@pytest.mark.parametrize("seed", [*range(9), 39])
def test_final_bars_are_the_truth_and_no_volume_is_ever_doubled(seed):
    rng = random.Random(seed)
    is_compared = seed % 2 == 0  # else there are no late prints, and only the gaps told can bring what is missing
    trades = tape(seed, minutes=MINUTES, per_minute=20, late=0.03 if is_compared else 0.0)
    truth = true_minutes(trades)
    by_minute = dict(zip(truth["ts_open"].tolist(), truth["volume"].tolist(), strict=True))
    clock = ManualClock(TEN)
    first, second = Feed("one", clock, truth), Feed("two", clock, truth)
    source = FallbackSource(first, second, times=FallbackTimes(patience_s=5.0, back_after_s=20.0, look_s=3600.0))
    hub = Hub(source, verify_every_s=300.0 if is_compared else 0.0, retry_s=0.0)
    source.start(hub)
    hub.watch("SPY")
    others = trades.copy()
    others["sequence"] += 10**9  # another provider numbers the same prints in its own way
    outbox = {feed: sorted(rows, key=lambda row: (int(row["ts_recv"]), rng.random())) for feed, rows in ((first, trades), (second, others))}
    lag = {first: rng.choice([0, 8 * SEC]), second: rng.choice([0, 3 * SEC])}  # who is told later tells old prints after a change
    changes = 0
    for feed in (first, second):
        feed.tells_gaps_from_s = 10.0
        feed.turn(FeedState.LIVE)
    while clock.ns < TEN + (MINUTES + 1) * MIN:
        clock.ns += rng.randint(200, 2500) * 1_000_000
        for feed, name in ((first, "first"), (second, "second")):
            due = [row for row in outbox[feed] if int(row["ts_recv"]) + lag[feed] <= clock.ns]
            outbox[feed] = outbox[feed][len(due) :]
            if due and feed.state is FeedState.LIVE:
                feed.say(np.array(due, trades.dtype))
            if rng.random() < (0.03 if name == "first" else 0.005):
                feed.turn(rng.choice([FeedState.LIVE, FeedState.STALE, FeedState.RECONNECTING]))
            elif feed.state is not FeedState.LIVE and rng.random() < 0.05:
                feed.turn(FeedState.LIVE)
        was = source.is_on_second
        source.look()
        changes += was != source.is_on_second
        hub.pump()
        update = hub.series("SPY", "1m").snapshot()
        rows = update.rows if update.forming is None else np.concatenate([update.rows, update.forming])
        for row in rows:
            assert row["volume"] <= by_minute.get(int(row["ts_open"]), 0.0) + 1e-9, "volume counted twice"
    for feed in (first, second):
        feed.turn(FeedState.LIVE)
        feed.say(prints([(clock.ns, 100.0, 0)], first_sequence=10**6))
    for _ in range(3):  # late prints are over: what is missing is found by comparing with history
        clock.ns += 301 * SEC
        hub.pump()
    have = hub.series("SPY", "1m").rows()
    have = have[have["ts_open"] < TEN + MINUTES * MIN]
    for name in ("ts_open", "open", "high", "low", "close", "volume"):
        assert have[name].tolist() == truth[name].tolist(), (name, changes)
    source.stop()


def test_health_says_degraded_and_on_fallback():
    clock = ManualClock(TEN)
    first, second = Feed("one", clock), Feed("two", clock)
    source = FallbackSource(first, second, times=TIMES)
    hub = Hub(source, verify_every_s=0.0, retry_s=0.0)
    source.start(hub)
    hub.watch("SPY")
    for feed in (first, second):
        feed.turn(FeedState.LIVE)
    first.turn(FeedState.STALE)
    for _ in range(24):
        clock.ns += SEC // 2
        second.say(prints([(clock.ns, 100.0, 1)], first_sequence=clock.ns))
        source.look()
    hub.pump()
    health = hub.health()
    assert (health.mode, health.source) == (Mode.DEGRADED, "fallback")
    assert "on fallback two since 10:00: one is stale" in health.reason
    source.stop()


def test_gaps_of_whoever_is_not_listened_to_are_not_told(pair):
    pair.both_live()
    gap = FeedGap(TEN, TEN + SEC, "away")
    pair.second.sink.on_gap(gap)
    assert not pair.sink.gaps
    pair.first.sink.on_gap(gap)
    assert pair.sink.gaps == [gap]


# -- with real clients on both sides ----------------------------------------------------------------------------------------------


def test_when_polygon_goes_mute_alpaca_feeds_the_desk_and_the_status_says_fallback(tmp_path, monkeypatch):
    from tests.servers.alpaca import KEY, SECRET, AlpacaServer, at
    from tests.servers.polygon import KEY as POLYGON_KEY
    from tests.servers.polygon import PolygonServer
    from tests.sources.live_contract import FAST, MarketClock
    from workbench.assembly import assemble

    clock = MarketClock(TEN)
    monkeypatch.setattr("workbench.sources.polygon.source.WallClock", lambda: clock)
    monkeypatch.setattr("workbench.sources.alpaca.source.WallClock", lambda: clock)
    for provider in ("polygon", "alpaca"):
        monkeypatch.setattr(f"workbench.sources.{provider}.source.StreamTimes", lambda: replace(FAST, mute_regular_s=0.5))
    monkeypatch.setattr("workbench.sources.fallback.FallbackTimes", lambda: FallbackTimes(0.5, 0.5, 0.02))

    def tell_polygon() -> None:
        polygon.send([{"ev": "T", "sym": "SPY", "x": 4, "p": 600.0, "s": 1, "t": clock.now_ns() // 1_000_000, "q": clock.now_ns()}])

    def tell_alpaca() -> None:
        moment = clock.now_ns()
        alpaca.send([{"T": "t", "S": "SPY", "i": moment, "x": "V", "p": 600.0, "s": 1, "c": ["@"], "t": at(moment), "z": "B"}])

    with PolygonServer() as polygon, AlpacaServer() as alpaca:
        engine = assemble(
            source="polygon", polygon_api_key=POLYGON_KEY, feed="realtime", websocket_base=polygon.websocket_base, rest_base=polygon.rest_base,
            fallback="alpaca", alpaca_api_key=KEY, alpaca_secret_key=SECRET, alpaca_stream_base=alpaca.stream_base,
            alpaca_rest_base=alpaca.rest_base, symbols=("SPY",), data_dir=tmp_path,
        )  # fmt: skip
        with engine:
            health = engine.hub.health
            assert wait_for(
                lambda: (tell_polygon(), tell_alpaca(), health().source == "polygon" and engine.hub.last_trade("SPY"))[-1], 10.0
            )
            polygon.mute()
            polygon.refuse(503)
            assert wait_for(lambda: (tell_alpaca(), health().source == "fallback")[-1], 10.0), health()
            assert wait_for(lambda: (tell_alpaca(), "on fallback alpaca since 10:0" in health().reason)[-1]), health()
            assert health().mode is Mode.DEGRADED
            assert "IEX only" in health().reason
            polygon.refuse(0)
            assert wait_for(lambda: (tell_polygon(), tell_alpaca(), health().source == "polygon")[-1], 10.0), health()
