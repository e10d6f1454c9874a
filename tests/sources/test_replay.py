"""A recorded market told again: the same every time, never ahead of its clock, from any moment, at any speed."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest

from tests.sources.contract import Facts, SourceContract
from workbench.clock import sleep_s
from workbench.errors import CalendarError, ConfigError, FileError, SymbolError
from workbench.history.recording import load
from workbench.history.store import BarStore
from workbench.hub.bars import build_bars
from workbench.hub.hub import Hub
from workbench.sessions import SessionCalendar
from workbench.sources.base import FeedState, PlaybackControl, Source
from workbench.sources.replay import SETTLE_NS, ReplaySource
from workbench.sources.tape import midpoint_minutes, read_tape
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, SymbolTable

S = 1_000_000_000
MINUTE = 60 * S
START = pd.Timestamp("2024-07-01 09:30", tz="America/New_York").value


class Notebook:
    """A sink that writes down every call, and what it knows: events since the last reset."""

    def __init__(self):
        self.symbols = SymbolTable(["first"])  # so that ids differ from the tape's own
        self.calls, self.states, self.source = [], [], None
        self.known = {"trades": [], "quotes": [], "bars": []}
        self.ahead = 0  # events stamped later than the clock
        self.ended = threading.Event()

    def _note(self, kind, rows, ts, name=""):
        self.calls.append((kind, name, rows.tobytes()))
        self.known[kind].append((name, rows))
        self.ahead += int((rows[ts] > self.source.clock.now_ns()).sum())

    def on_trades(self, rows):
        self._note("trades", rows, "ts_event")

    def on_quotes(self, rows):
        self._note("quotes", rows, "ts_event")

    def on_bars(self, symbol, rows):
        self._note("bars", rows, "ts_close", symbol)

    def on_time(self, now_ns):
        self.calls.append(("time", "", now_ns))

    def on_reset(self, reason):
        self.calls.append(("reset", reason, b""))
        self.known = {kind: [] for kind in self.known}

    def on_status(self, status):
        self.states.append(status)
        if status.state is FeedState.ENDED:
            self.ended.set()

    def all(self, kind):
        rows = [rows for _, rows in self.known[kind]]
        return np.concatenate(rows) if rows else np.zeros(0, {"trades": TRADE_DTYPE, "quotes": QUOTE_DTYPE, "bars": BAR_DTYPE}[kind])

    def state(self):
        return {kind: self.all(kind).tobytes() for kind in self.known} | {"bars_of": [(n, r["ts_open"].tolist()) for n, r in self.known["bars"]] and sorted(
            (n, int(t)) for n, r in self.known["bars"] for t in r["ts_open"])}  # fmt: skip


@pytest.fixture
def prints(tmp_path):
    """Ten minutes of 2,000 prints of two symbols."""
    chance = np.random.default_rng(3)
    frame = pd.DataFrame({"ts": np.sort(START + chance.integers(0, 10 * MINUTE, 2000)), "symbol": chance.choice(["SPY", "QQQ"], 2000)})
    frame["price"], frame["size"] = (100 + np.cumsum(chance.normal(0, 0.01, 2000))).round(2), chance.integers(1, 500, 2000)
    frame["sequence"] = np.arange(2000)
    frame.to_csv(tmp_path / "trades.csv", index=False)
    return tmp_path / "trades.csv"


@pytest.fixture
def quotes(tmp_path):
    chance = np.random.default_rng(4)
    frame = pd.DataFrame({"ts": np.sort(START + chance.integers(0, 10 * MINUTE, 1000)), "symbol": "SPY"})
    frame["bid"] = (100 + chance.normal(0, 0.01, 1000)).round(2)
    frame["ask"], frame["bid_size"], frame["ask_size"] = frame["bid"] + 0.02, 100, 200
    frame.to_csv(tmp_path / "quotes.csv", index=False)
    return tmp_path / "quotes.csv"


@pytest.fixture
def bars(tmp_path):
    """Two sessions of minutes of SPY, 2024-07-01 and 02."""
    ts = np.concatenate([START + day * 1440 * MINUTE + np.arange(390) * MINUTE for day in (0, 1)])
    frame = pd.DataFrame({"ts": ts, "symbol": "SPY", "open": 100 + np.arange(780) / 100})
    frame["close"] = frame["open"] + 0.01
    frame["high"], frame["low"], frame["volume"] = frame["close"] + 0.02, frame["open"] - 0.02, 1000
    frame.to_parquet(tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


@pytest.fixture
def play():
    """Return a function that starts a replay into a new notebook; all are stopped at the end."""
    running = []

    def begin(paths, *, paused=True, subscribe=None, **options):
        source, sink = ReplaySource(paths, **options), Notebook()
        sink.source = source
        source.subscribe(source.info.symbols if subscribe is None else subscribe)
        if paused:
            source.pause()
        source.start(sink)
        running.append(source)
        return source, sink

    yield begin
    for source in running:
        source.stop()


def to_the_end(play, paths, **options):
    source, sink = play(paths, paused=False, speed=1000, **options)
    assert sink.ended.wait(60)
    source.stop()
    return sink


# -- telling -------------------------------------------------------------------------------------------------------------------


def test_source_is_what_a_source_is(prints):
    source = ReplaySource(prints)
    assert isinstance(source, Source)
    assert all(hasattr(source, name) for name in dir(PlaybackControl) if not name.startswith("_"))
    assert (source.info.name, source.info.is_replay, source.info.has_quotes) == ("replay", True, False)
    assert sorted(source.info.symbols) == ["QQQ", "SPY"]


def test_everything_recorded_is_told_once_in_order(play, prints, quotes, bars):
    sink = to_the_end(play, [prints, quotes])
    want = load(prints).rows
    got = sink.all("trades")
    assert got["ts_event"].tolist() == want["ts_event"].tolist()
    assert got["price"].tolist() == want["price"].tolist()
    assert [sink.symbols.name(i) for i in got["symbol_id"][:50]] == pd.read_csv(prints)["symbol"][:50].tolist()
    assert len(sink.all("quotes")) == 1000
    times = [now for kind, _, now in sink.calls if kind == "time"]
    assert times == sorted(times)
    assert sink.ahead == 0
    sink = to_the_end(play, bars, start_ns=START + 370 * MINUTE, end_ns=START + 1470 * MINUTE)
    assert len(sink.all("bars")) == 390 + 30
    assert sink.ahead == 0


def test_each_batch_is_followed_by_the_moment_that_it_reached(play, prints):
    sink = to_the_end(play, prints)
    newest = 0
    for kind, _, content in sink.calls:
        if kind == "trades":
            newest = int(np.frombuffer(content, TRADE_DTYPE)["ts_event"].max())
        elif kind == "time":
            assert content >= newest


def test_two_replays_make_the_same_calls(play, prints, quotes):
    first, second = (to_the_end(play, [prints, quotes]).calls for _ in range(2))
    assert first == second


def test_speed_changes_the_batches_and_nothing_else(play, prints):
    slow, sink = play(prints, speed=10)
    slow.seek(slow.span[1])
    assert sink.state() == to_the_end(play, prints).state()


def test_only_subscribed_symbols_are_told(play, prints):
    source, sink = play(prints, subscribe=["QQQ"])
    source.seek(START + 5 * MINUTE + 30 * S)
    assert {sink.symbols.name(i) for i in sink.all("trades")["symbol_id"]} == {"QQQ"}
    n = len(sink.all("trades"))
    source.subscribe(["SPY"])  # from the start of the present minute
    late = sink.all("trades")[n:]
    assert {sink.symbols.name(i) for i in late["symbol_id"]} == {"SPY"}
    assert late["ts_event"].min() >= START + 5 * MINUTE
    source.unsubscribe(["QQQ"])
    n = len(sink.all("trades"))
    source.seek(source.span[1])
    rest = sink.all("trades")[n:]
    assert {sink.symbols.name(i) for i in rest["symbol_id"]} == {"SPY"}
    spy = sink.all("trades")[sink.all("trades")["symbol_id"] == sink.symbols.get("SPY")]
    assert len(np.unique(spy["sequence"])) == len(spy)
    with pytest.raises(SymbolError, match="'SPYY'.*did you mean 'SPY'"):
        source.subscribe(["SPYY"])


# -- playback ------------------------------------------------------------------------------------------------------------------


def test_seeking_back_and_forth_gives_the_same_state(play, prints, quotes, bars):
    for paths, minutes in (([prints, quotes], (1.5, 9.1, 4.0, 6.25)), ([bars], (20.0, 1000 + 440.0, 1440 + 200.5, 1440 + 3.0))):
        fresh = {}
        for minute in minutes:
            source, sink = play(paths, start_ns=START + int(0.01 * MINUTE))
            source.seek(START + int(minute * MINUTE))
            fresh[minute] = sink.state()
        source, sink = play(paths, start_ns=START + int(0.01 * MINUTE))
        for minute in (*minutes, *minutes[::-1], minutes[0], minutes[2]):
            source.seek(START + int(minute * MINUTE))
            told = sink.state()
            if paths == [bars]:  # a day's telling begins with the day; the days before are history
                source_rows = source.history("SPY", 0, 2**62).rows["ts_open"].tolist()
                assert source_rows == [t for t in load(bars).rows["ts_open"].tolist() if t + MINUTE <= START + minute * MINUTE]
                assert {t for _, t in told["bars_of"]} <= set(source_rows)
            else:
                assert told == fresh[minute], minute
            assert source.clock.now_ns() == START + int(minute * MINUTE)
        assert sink.ahead == 0


def test_seeking_back_resets_first_and_forwards_does_not(play, prints):
    source, sink = play(prints)
    source.seek(START + 5 * MINUTE)
    assert not [call for call in sink.calls if call[0] == "reset"]
    n = len(sink.calls)
    source.seek(START + 2 * MINUTE)
    assert sink.calls[n][0] == "reset"
    assert sink.all("trades")["ts_event"].max() <= START + 2 * MINUTE
    assert sink.calls[-1] == ("time", "", START + 2 * MINUTE)


def test_seeking_outside_the_recording_is_refused(play, prints):
    source, _ = play(prints)
    with pytest.raises(CalendarError, match="seek: received 2024-07-01T08"):
        source.seek(START - 60 * MINUTE)
    with pytest.raises(CalendarError, match="start_ns"):
        ReplaySource(prints, start_ns=0)


def test_stepping_by_event_tells_one_at_a_time(play, prints, quotes):
    source, sink = play([prints, quotes])
    n = len(sink.all("trades")) + len(sink.all("quotes"))
    for k in range(1, 30):
        source.step("event")
        assert len(sink.all("trades")) + len(sink.all("quotes")) == n + k
    stamps = np.sort(np.concatenate([sink.all("trades")["ts_event"], sink.all("quotes")["ts_event"]]))
    both = np.sort(np.concatenate([load(prints).rows["ts_event"], load(quotes).rows["ts_event"]]))
    assert stamps.tolist() == both[: len(stamps)].tolist()
    assert source.clock.now_ns() == both[len(stamps) - 1]
    assert source.is_paused


def test_stepping_by_event_through_prints_of_one_stamp_loses_none(play, tmp_path):
    pd.DataFrame({"ts": [START] * 3 + [START + S], "symbol": ["A", "B", "A", "B"], "price": [1.0, 2, 3, 4], "size": 1}).to_csv(
        tmp_path / "t.csv", index=False
    )
    source, sink = play(tmp_path / "t.csv", subscribe=["A"], start_ns=START)
    assert sink.all("trades")["price"].tolist() == [1, 3]
    source.seek(START + 1)
    source.seek(START)
    source.subscribe(["B"])
    source.step("event")
    assert sorted(sink.all("trades")["price"].tolist()) == [1, 2, 3, 4]


def test_stepping_by_bar_goes_to_the_ends_of_minutes(play, prints):
    source, _ = play(prints)
    source.seek(START + 90 * S)
    ends = []
    for _ in range(3):
        source.step("bar")
        ends.append(source.clock.now_ns() - START)
    assert ends == [2 * MINUTE, 3 * MINUTE, 4 * MINUTE]
    with pytest.raises(ConfigError, match=r"'tick'.*bar, event"):
        source.step("tick")


def test_stepping_by_bar_over_a_night_goes_to_the_next_bar(play, bars):
    source, sink = play(bars, start_ns=START + 390 * MINUTE)
    source.step("bar")
    assert source.clock.now_ns() == START + 1441 * MINUTE
    assert len(sink.all("bars")) == 391


def test_pause_stands_still_and_play_goes_on(play, prints):
    source, sink = play(prints, paused=False, speed=100)
    for _ in range(200):
        if len(sink.calls) > 5:
            break
        sleep_s(0.01)
    source.pause()
    n, now = len(sink.calls), source.clock.now_ns()
    sleep_s(0.2)
    assert (len(sink.calls), source.clock.now_ns(), source.is_paused) == (n, now, True)
    assert sink.states[-1].state is FeedState.PAUSED
    source.set_speed(1000)
    source.play()
    assert sink.ended.wait(60)
    assert len(sink.all("trades")) == 2000


@pytest.mark.parametrize("speed", [0, 0.05, 1001, -1, float("nan")])
def test_speed_outside_its_range_is_refused(prints, speed):
    with pytest.raises(ConfigError, match=r"speed.*0.1 to 1000"):
        ReplaySource(prints, speed=speed)
    with pytest.raises(ConfigError):
        ReplaySource(prints).set_speed(speed)


def test_end_is_told_and_play_at_the_end_stays_there(play, prints):
    source, sink = play(prints)
    source.seek(source.span[1])
    assert (sink.states[-1].state, source.is_paused) == (FeedState.ENDED, True)
    assert source.span[1] == START + 10 * MINUTE + SETTLE_NS
    source.play()
    assert source.is_paused
    source.step("event")
    source.step("bar")
    source.seek(START + MINUTE)
    source.play()
    assert not source.is_paused


def test_nights_are_skipped(play, bars):
    _source, sink = play(bars, paused=False, speed=1000, start_ns=START + 380 * MINUTE, end_ns=START + 1445 * MINUTE)
    assert sink.ended.wait(60)  # 17.5 hours of night would take a minute at this speed
    assert len(sink.all("bars")) == 395
    times = [now for kind, _, now in sink.calls if kind == "time"]
    assert len(times) < 200


def test_replay_waits_for_a_slow_sink(play, prints):
    source, sink = ReplaySource(prints, speed=1000), Notebook()
    sink.source, gate, calls = source, threading.Event(), []

    def slow(now_ns):
        calls.append(now_ns)
        gate.wait(30)

    sink.on_time = slow
    source.subscribe(["SPY"])
    source.start_thread = threading.Thread(target=source.start, args=(sink,))
    source.start_thread.start()
    sleep_s(0.3)
    assert len(calls) == 1  # time does not run on while the sink is busy
    gate.set()
    assert sink.ended.wait(60)
    source.start_thread.join()
    source.stop()
    assert len(sink.all("trades")) == (pd.read_csv(prints)["symbol"] == "SPY").sum()


def test_commands_get_through_while_the_replay_can_not_keep_up(play, prints):
    source, sink = ReplaySource(prints, speed=1000), Notebook()
    sink.source = source
    sink.on_time = lambda now_ns: (sink.calls.append(("time", "", now_ns)), sleep_s(0.06))
    source.subscribe(["SPY"])
    source.start(sink)
    for _ in range(5):
        source.seek(START + MINUTE)
        source.pause()
        n = len(sink.calls)
        source.play()
    source.stop()
    assert n < 40  # not the whole recording between two commands


def test_stopping_is_quick_and_harmless(play, prints):
    source, sink = play(prints, paused=False, speed=0.1)
    source.stop()
    source.stop()
    n = len(sink.calls)
    sleep_s(0.1)
    assert len(sink.calls) == n
    ReplaySource(prints).stop()
    assert not [t for t in threading.enumerate() if t.name == "replay-source"]


# -- history -------------------------------------------------------------------------------------------------------------------


def test_history_is_never_newer_than_the_clock(play, bars):
    source, _ = play(bars)
    assert source.clock.now_ns() == START + 1440 * MINUTE  # a recording of bars alone starts with its last session
    got = source.history("SPY", 0, 2**62)
    assert (len(got.rows), got.is_complete) == (390, True)
    source.seek(START + 1440 * MINUTE + 90 * S)
    assert len(source.history("SPY", 0, 2**62).rows) == 391
    assert source.history("SPY", START + MINUTE, START + 3 * MINUTE).rows["ts_open"].tolist() == [START + MINUTE, START + 2 * MINUTE]
    with pytest.raises(SymbolError):
        source.history("IWM", 0, 1)


def test_history_of_prints_is_built_and_never_newer_than_the_clock(prints):
    def by_hand(trades):
        minutes = np.unique(trades["ts_event"] // MINUTE)
        rows = np.zeros(len(minutes), BAR_DTYPE)
        rows["ts_open"], rows["ts_close"] = minutes * MINUTE, minutes * MINUTE + MINUTE
        return rows

    source = ReplaySource(prints, start_ns=START + 5 * MINUTE + 1, minutes=by_hand)
    assert source.history("SPY", 0, 2**62).rows["ts_open"].tolist() == [START + k * MINUTE for k in range(5)]
    assert len(ReplaySource(prints).history("SPY", 0, 2**62).rows) == 0


def test_history_before_the_recording_comes_from_the_store(bars, tmp_path):
    store = BarStore(tmp_path / "store")
    old = load(bars).rows
    old["ts_open"] -= 1440 * MINUTE * 7
    old["ts_close"] -= 1440 * MINUTE * 7
    store.write("SPY", old)
    source = ReplaySource(bars, store=store)
    rows = source.history("SPY", 0, 2**62).rows
    assert len(rows) == 780 + 390
    assert (np.diff(rows["ts_open"]) > 0).all()


def test_a_folder_of_the_store_can_be_replayed(bars, tmp_path, play):
    store = BarStore(tmp_path / "store")
    store.write("SPY", load(bars).rows)
    for folder in (tmp_path / "store", tmp_path / "store/bars/1m"):
        source, sink = play(folder, start_ns=START)
        source.seek(source.span[1])
        assert len(sink.all("bars")) == 780


# -- tapes ---------------------------------------------------------------------------------------------------------------------


def test_a_recording_that_is_not_there_is_told_by_its_whole_path(tmp_path):
    gone = tmp_path / "date=2026-11-20"
    with pytest.raises(FileError, match=r"date=2026-11-20', which does not exist"):
        ReplaySource(gone)


def test_folder_of_files_is_one_tape_and_strangers_are_left_out(prints, quotes, bars, tmp_path):
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    tape = read_tape(tmp_path)
    assert (len(tape.trades), len(tape.quotes), len(tape.bars)) == (2000, 1000, 780)
    assert any(note.startswith("left out: notes.csv") for note in tape.notes)
    assert list(read_tape([prints, quotes, bars], symbols=["QQQ"]).symbols) == ["QQQ"]
    with pytest.raises(FileError, match="no usable event of IWM"):
        read_tape(prints, symbols=["IWM"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="holds no usable event"):
        read_tape(tmp_path / "empty")


def test_minutes_win_over_minutes_made_of_seconds_and_over_longer_bars(tmp_path):
    ts = START + np.arange(120) * S
    pd.DataFrame({"ts": ts, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}).to_csv(tmp_path / "SPY_1s.csv", index=False)
    tape = read_tape(tmp_path)
    assert tape.bars["volume"].tolist() == [60, 60]
    pd.DataFrame({"ts": ts[::60], "open": 2, "high": 2, "low": 2, "close": 2, "volume": 61}).to_csv(tmp_path / "SPY_1m.csv", index=False)
    five = START + np.arange(3) * 5 * MINUTE
    pd.DataFrame({"ts": five, "open": 2, "high": 2, "low": 2, "close": 2, "volume": 300}).to_csv(tmp_path / "SPY_5m.csv", index=False)
    tape = read_tape(tmp_path)
    assert tape.bars["volume"].tolist() == [61, 61]
    assert any("several lengths" in note for note in tape.notes)
    long = read_tape(tmp_path / "SPY_5m.csv")
    assert long.bars["ts_close"].tolist() == (five + 5 * MINUTE).tolist()
    assert long.bars["ts_open"].tolist() == (five + 4 * MINUTE).tolist()  # known when it has closed, carried by its last minute
    assert any("last minute of each" in note for note in long.notes)


def test_quotes_alone_are_drawn_by_their_midpoint(quotes):
    tape = read_tape(quotes)
    frame = pd.read_csv(quotes)
    middle = ((frame["bid"] + frame["ask"]) / 2).groupby(frame["ts"] // MINUTE).agg(["first", "max", "min", "last"])
    assert np.allclose(tape.bars["open"], middle["first"])
    assert np.allclose(tape.bars["high"], middle["max"])
    assert np.allclose(tape.bars["close"], middle["last"])
    assert tape.bars["volume"].sum() == 0
    assert any("midpoint" in note for note in tape.notes)


def test_closing_quotes_by_the_minute_belong_to_the_minute_that_they_close():
    rows = np.zeros(2, QUOTE_DTYPE)
    rows["ts_event"], rows["bid"], rows["ask"] = [START + MINUTE, START + 2 * MINUTE], [1, 2], [3, 4]
    got, _ids = midpoint_minutes(rows)
    assert (got["ts_open"].tolist(), got["close"].tolist()) == ([START, START + MINUTE], [2, 3])


@pytest.mark.parametrize(
    "name",
    [
        "bars_1min_2019_02", "bars_1min_ib_2025_11", "bars_spy_1min_2011", "bars_qqq_ib_2024_2025", "bars_qqq_5min_2020_2025", "ticks_2013_lean/IBM_trades_20131007.csv.gz",
        "ticks_2013_lean/IBM_quotes_20131007.csv.gz", "ticks_2013_lean/SPY_second_trade_bars_20131007.csv.gz", "ticks_2013_lean/SPY_minute_quote_bars_20131008.csv.gz",
        "taq_2018_highfrequency", "options_minute_lean/GOOG_option_trade_20151224.csv.gz", "options_minute_lean/GOOG_underlying_minute_trade_20151224.csv.gz",
    ],
)  # fmt: skip
def test_real_recordings_play_to_their_end(realdata, play, name):
    source, sink = play(realdata / name)
    source.seek(source.span[1])
    tape = source.tape
    assert len(sink.all("trades")) == len(tape.trades)
    assert len(sink.all("quotes")) == len(tape.quotes)
    assert sink.ahead == 0
    bars = sum(len(source.history(symbol, 0, 2**62).rows) for symbol in source.info.symbols)
    assert bars == len(tape.bars)
    assert bars or len(tape.trades)


# -- what every source does ------------------------------------------------------------------------------------------------------


def minutes_of(trades):
    return build_bars(trades["ts_event"], trades["price"], trades["size"], sequence=trades["sequence"], sessions=SessionCalendar.xnys())


class TestReplayIsASource(SourceContract):
    @pytest.fixture
    def facts(self, prints):
        source = ReplaySource(prints, speed=0.1, start_ns=START + 3 * MINUTE, minutes=minutes_of)
        yield Facts(source, "SPY", "QQQ", make_market=lambda: source.step("event"), past=(START, START + 3 * MINUTE))
        source.stop()


# -- on the road -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub_of():
    """Return a function that gives a hub fed by a paused replay; all are stopped at the end."""
    running = []

    def begin(paths, **options):
        source = ReplaySource(paths, minutes=minutes_of, **options)
        hub = Hub(source)
        hub.start()
        for symbol in source.info.symbols:
            hub.watch(symbol)
        source.pause()
        source.start(hub)
        running.append((source, hub))
        return source, hub

    yield begin
    for source, hub in running:
        source.stop()
        hub.stop()


def closed(hub, symbol, timeframe="1m"):
    assert hub.wait_idle(30, history=True)
    rows = hub.series(symbol, timeframe).rows()
    return {name: rows[name].tolist() for name in ("ts_open", "open", "high", "low", "close", "volume", "n_trades")}


def test_hub_fed_by_a_replay_holds_the_bars_of_the_file(hub_of, prints):
    source, hub = hub_of(prints)
    source.seek(source.span[1])
    for symbol in ("SPY", "QQQ"):
        want = minutes_of(load(prints).of(symbol))
        assert closed(hub, symbol) == {name: want[name].tolist() for name in closed(hub, symbol)}


def test_hub_is_the_same_after_seeking_back_and_forth(hub_of, prints):
    source, hub = hub_of(prints)
    state = {}
    for minute in (2.5, 6.0, 9.25, 6.0, 2.5, 9.25, 2.5):
        source.seek(START + int(minute * MINUTE))
        told = [closed(hub, "SPY"), closed(hub, "SPY", "5m")]
        assert max(told[0]["ts_open"]) + MINUTE <= START + minute * MINUTE
        assert told == state.setdefault(minute, told), minute
    assert hub.health().quarantined == {}


def test_hub_is_the_same_at_any_speed(hub_of, prints):
    source, hub = hub_of(prints, speed=1000)
    source.play()
    for _ in range(3000):
        if source.is_paused:
            break
        sleep_s(0.01)
    other, second = hub_of(prints)
    other.seek(other.span[1])
    assert closed(hub, "QQQ") == closed(second, "QQQ")


def test_recording_of_bars_alone_fills_the_hub(hub_of, bars):
    source, hub = hub_of(bars)
    assert len(closed(hub, "SPY")["ts_open"]) == 390  # the first session is history
    source.seek(source.span[1])
    assert closed(hub, "SPY")["ts_open"] == load(bars).rows["ts_open"].tolist()


def test_recording_of_longer_bars_gives_these_bars_and_longer_ones(hub_of, bars, tmp_path):
    minutes = pd.read_parquet(bars)
    bucket = START + (minutes["ts"] - START) // (5 * MINUTE) * (5 * MINUTE)
    five = minutes.groupby(bucket).agg(
        open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"), volume=("volume", "sum")
    )
    five.assign(symbol="SPY").rename_axis("ts").reset_index().to_csv(tmp_path / "five.csv", index=False)
    source, hub = hub_of(tmp_path / "five.csv")
    source.seek(source.span[1])
    got = closed(hub, "SPY", "5m")
    assert got["ts_open"] == five.index.tolist()
    assert all(got[name] == five[name].tolist() for name in ("open", "high", "low", "close", "volume"))
    assert len(closed(hub, "SPY", "15m")["ts_open"]) == 52
    assert hub.health().quarantined == {}


def test_longer_bars_are_told_with_their_length_unless_prints_are_recorded_too(prints, tmp_path):
    folder = tmp_path / "bars"
    folder.mkdir()
    five = START + np.arange(30) * 5 * MINUTE
    frame = pd.DataFrame({"ts": five, "open": 2, "high": 2, "low": 2, "close": 2, "volume": 300})
    frame.assign(symbol="QQQ").to_csv(folder / "QQQ_5m.csv", index=False)
    frame.assign(symbol="ZZZ").to_csv(folder / "ZZZ_5m.csv", index=False)
    assert ReplaySource(folder).info.bar_lengths_ns == {"QQQ": 5 * MINUTE, "ZZZ": 5 * MINUTE}
    assert ReplaySource(folder, symbols=["ZZZ"]).info.bar_lengths_ns == {"ZZZ": 5 * MINUTE}
    assert ReplaySource([folder, prints]).info.bar_lengths_ns == {"ZZZ": 5 * MINUTE}
