"""The simulated market: one path seen two ways, the same for everyone with its seed, and faults that can be told apart."""

from __future__ import annotations

import itertools
import threading
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.clock import NS_PER_MIN, NS_PER_S, ReplayClock
from workbench.conditions import TRADE_CONDITIONS, rule_mask
from workbench.errors import CalendarError, ConfigError, SymbolError
from workbench.hub.bars import build_bars
from workbench.sessions import Segment, SessionCalendar, ny_ns
from workbench.sources.base import FeedGap, FeedState, FeedStatus, Source
from workbench.sources.simulated import SimulatedSource
from workbench.sources.simulation.core import SimulatedCore
from workbench.sources.simulation.day import minute_bars
from workbench.sources.simulation.market import NO_FAULTS, Faults, Market
from workbench.sources.simulation.pace import default_start_ns
from workbench.sources.simulation.tape import is_bad, true_trades
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, BarSource, SymbolTable

DAY, HALF_DAY, SPRING_SHIFT = date(2026, 11, 20), date(2025, 11, 28), date(2026, 3, 9)
TEN = ny_ns(DAY, 10)


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    return SessionCalendar.xnys()


@pytest.fixture(scope="module")
def market(calendar: SessionCalendar) -> Market:
    return Market(seed=11, calendar=calendar, faults=NO_FAULTS)


@pytest.fixture(scope="module")
def faulty(calendar: SessionCalendar) -> Market:
    return Market(seed=11, calendar=calendar, faults=Faults(bad_prints=40, crossed_quotes=40, late_frac=0.05, gaps=6, halts=1))


def row_of(calendar: SessionCalendar, day: date) -> int:
    return int(np.searchsorted(calendar.sessions["date"], (day - date(1970, 1, 1)).days))


def play(market: Market, names: list[str], start_ns: int, stops: list[int]):
    table = SymbolTable()
    core = SimulatedCore(market, table, start_ns)
    core.subscribe(names)
    batches = [batch for stop in stops for batch in core.until(stop)]
    trades = np.concatenate([np.zeros(0, TRADE_DTYPE), *(b.trades for b in batches)])
    quotes = np.concatenate([np.zeros(0, QUOTE_DTYPE), *(b.quotes for b in batches)])
    return trades, quotes, [notice for b in batches for notice in b.notices]


def readable_bars(trades: np.ndarray, session: np.void) -> dict[int, tuple]:
    """A slow twin: one print at a time, rules by `rule_mask`, sums exact in cents and shares."""
    bars: dict[int, dict] = {}
    order = np.lexsort((trades["sequence"], trades["ts_event"]))
    for t in trades[order]:
        minute = int(t["ts_event"]) // NS_PER_MIN * NS_PER_MIN
        in_rth = bool(session["open"] <= minute < session["close"])
        mask = rule_mask([int(c) for c in t["conditions"][: t["n_conditions"]]], in_regular_session=in_rth)
        b = bars.setdefault(minute, {"hl": [], "oc": [], "v": 0, "pv": 0, "n": 0})
        cents, size = round(float(t["price"]) * 100), int(t["size"])
        if mask & 1:
            b["hl"].append(cents)
        if mask & 2:
            b["oc"].append(cents)
        if mask & 4:
            b["v"], b["pv"], b["n"] = b["v"] + size, b["pv"] + size * cents, b["n"] + 1
    out = {}
    for minute, b in bars.items():
        if b["hl"]:
            ends = b["oc"] or b["hl"]
            vwap = b["pv"] / b["v"] / 100 if b["v"] else float("nan")
            out[minute] = (ends[0], max(b["hl"]), min(b["hl"]), ends[-1], b["v"], b["n"], vwap)
    return out


# -- history and stream are one path ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [DAY, HALF_DAY, SPRING_SHIFT])
def test_history_equals_a_readable_twin_fed_with_the_streamed_prints(market: Market, calendar: SessionCalendar, day: date):
    session = calendar.session(day)
    start, end = int(session["pre_open"]), int(session["post_close"])
    trades, _, notices = play(market, ["IWM"], start, [end + 5 * NS_PER_S])
    twin = readable_bars(trades, session)
    rows = market.history("IWM", start, end)
    assert not notices
    assert rows["ts_open"].tolist() == sorted(twin)
    for row in rows:
        o, h, low, c, v, n, vwap = twin[int(row["ts_open"])]
        assert [round(float(row[k]) * 100) for k in ("open", "high", "low", "close")] == [o, h, low, c]
        assert (row["volume"], row["n_trades"]) == (v, n)
        assert row["vwap"] == pytest.approx(vwap, rel=1e-14, nan_ok=True)


def test_a_session_looked_at_again_is_the_same_to_the_last_bit(calendar: SessionCalendar):
    """What is kept of a session is less than half of its bars; another market, which keeps nothing of it yet, says the same."""
    first, second = (Market(seed=11, calendar=calendar) for _ in range(2))
    for symbol, index in (("SPY", 1500), ("TSLA", 1501), ("XLF", 1502)):
        session = calendar.sessions[index]
        drawn = minute_bars(second.prints(symbol, index), int(session["pre_open"]), second.shape(index).minutes)
        assert drawn.tobytes() == first.session_bars(symbol, index).tobytes() == first.session_bars(symbol, index).tobytes()


def test_two_years_of_every_symbol_are_drawn_once(calendar: SessionCalendar, monkeypatch):
    market = Market(seed=11, calendar=calendar)
    drawn: list[tuple[str, int]] = []
    monkeypatch.setattr(market, "_draw", lambda symbol, index: drawn.append((symbol, index)))
    monkeypatch.setattr("workbench.sources.simulation.market.minute_bars", lambda *_: np.zeros(0, BAR_DTYPE))
    last = calendar.latest(TEN)
    for _ in range(2):
        for symbol in market.symbols:
            market.history(symbol, int(calendar.sessions["pre_open"][last - 504]), TEN)
    assert len(drawn) == len(set(drawn)) == 505 * len(market.symbols)


@pytest.mark.parametrize("symbol", ["SPY", "NVDA", "TSLA", "XLF"])
def test_history_equals_what_the_hubs_kernels_build_from_the_stream(market: Market, calendar: SessionCalendar, symbol: str):
    session = calendar.session(DAY)
    start, end = int(session["pre_open"]), int(session["post_close"])
    trades, _, _ = play(market, [symbol], start, [end + 5 * NS_PER_S])
    built = build_bars(
        trades["ts_event"], trades["price"], trades["size"], sequence=trades["sequence"], conditions=trades["conditions"], sessions=calendar
    )
    rows = market.history(symbol, start, end)
    for name in ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "n_trades"):
        assert np.array_equal(rows[name], built[name]), name
    np.testing.assert_allclose(rows["vwap"], built["vwap"], rtol=1e-13)
    np.testing.assert_allclose(rows["vw_std"], built["vw_std"], rtol=1e-6, atol=1e-7)


def test_bad_ticks_and_late_prints_leave_history_as_it_was(faulty: Market, calendar: SessionCalendar):
    without = Market(seed=11, calendar=calendar, faults=Faults(bad_prints=0, crossed_quotes=0, late_frac=0, gaps=0, halts=1))
    session = calendar.session(DAY)
    span = int(session["open"]), int(session["close"])
    assert np.array_equal(faulty.history("AMD", *span), without.history("AMD", *span))
    truth = true_trades(faulty, "AMD", 0, *span)
    same = true_trades(without, "AMD", 0, *span)
    for name in ("ts_event", "price", "size", "sequence"):
        assert np.array_equal(truth[name], same[name])


def test_truth_is_the_stream_without_bad_ticks(calendar: SessionCalendar):
    market = Market(seed=3, calendar=calendar, faults=Faults(bad_prints=40, gaps=0))
    trades, _, _ = play(market, ["TSLA"], TEN, [TEN + 60 * NS_PER_MIN + 5 * NS_PER_S])
    trades = trades[trades["ts_event"] < TEN + 60 * NS_PER_MIN]
    truth = true_trades(market, "TSLA", 0, TEN, TEN + 60 * NS_PER_MIN)
    clean = trades[~is_bad(trades)]
    assert is_bad(trades).sum() > 0
    assert np.array_equal(clean[np.lexsort((clean["sequence"], clean["ts_event"]))], truth)


# -- determinism ------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(calendar: SessionCalendar):
    streams = [play(Market(seed=seed, calendar=calendar), ["SPY", "AAPL"], TEN, [TEN + 20 * NS_PER_MIN]) for seed in (5, 5, 6)]
    assert streams[0][0].tobytes() == streams[1][0].tobytes()
    assert streams[0][1].tobytes() == streams[1][1].tobytes()
    assert streams[0][0].tobytes() != streams[2][0].tobytes()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=30))
def test_the_stream_is_the_same_in_whatever_steps_it_is_taken(steps: list[int]):
    market = Market(seed=11, faults=Faults(bad_prints=40, late_frac=0.05, gaps=40, halts=0))
    end = TEN + sum(steps) * NS_PER_S
    whole = play(market, ["SPY", "XLF"], TEN, [end])
    stops = [TEN + int(s) * NS_PER_S for s in np.cumsum(steps)]
    pieces = play(market, ["SPY", "XLF"], TEN, stops)
    assert whole[0].tobytes() == pieces[0].tobytes()
    assert whole[1].tobytes() == pieces[1].tobytes()
    assert whole[2] == pieces[2]


def test_any_minute_can_be_drawn_alone(calendar: SessionCalendar):
    begin = TEN + 17 * NS_PER_MIN
    day = Market(seed=4, calendar=calendar).history("META", ny_ns(DAY, 4), ny_ns(DAY, 20))
    alone = Market(seed=4, calendar=calendar).history("META", begin, begin + NS_PER_MIN)
    assert len(alone) == 1
    assert alone.tobytes() == day[day["ts_open"] == begin].tobytes()


def test_other_symbols_do_not_change_a_symbols_path(calendar: SessionCalendar):
    few, many = Market(["SPY"], seed=4, calendar=calendar), Market(["ZZZZ", "TSLA", "SPY"], seed=4, calendar=calendar)
    assert few.history("SPY", TEN, TEN + 30 * NS_PER_MIN).tobytes() == many.history("SPY", TEN, TEN + 30 * NS_PER_MIN).tobytes()


def test_a_symbol_outside_the_table_gets_a_market_of_its_own(calendar: SessionCalendar):
    rows = Market(["ZZZZ"], seed=4, calendar=calendar).history("ZZZZ", ny_ns(DAY, 9, 30), ny_ns(DAY, 16))
    assert len(rows) == 390


# -- what the market looks like ---------------------------------------------------------------------------------------------


def test_bars_are_well_formed_and_say_that_they_are_simulated(market: Market):
    rows = market.history("SPY", ny_ns(DAY, 4), ny_ns(DAY, 20))
    assert rows.dtype == BAR_DTYPE
    assert np.all(np.diff(rows["ts_open"]) > 0)
    assert np.all(rows["low"] <= np.minimum(rows["open"], rows["close"]))
    assert np.all(np.maximum(rows["open"], rows["close"]) <= rows["high"])
    assert np.all(rows["source"] == BarSource.SIMULATED)
    assert np.all(rows["is_complete"] == 1)
    assert not rows["is_partial"].any()
    assert np.all((rows["n_trades"] > 0) & (rows["volume"] > 0) & (rows["vw_std"] >= 0))


@pytest.mark.parametrize(("day", "minutes"), [(DAY, 390), (HALF_DAY, 210), (SPRING_SHIFT, 390)])
def test_a_session_has_the_minutes_the_exchange_was_open(market: Market, calendar: SessionCalendar, day: date, minutes: int):
    session = calendar.session(day)
    assert len(market.history("QQQ", int(session["open"]), int(session["close"]))) == minutes
    whole = market.history("QQQ", int(session["pre_open"]), int(session["post_close"]))
    assert whole["ts_open"][0] >= session["pre_open"]
    assert whole["ts_close"][-1] <= session["post_close"]


def test_volume_is_high_at_both_ends_of_the_day_and_thin_outside(market: Market):
    def volume(*span: int) -> float:
        rows = [
            market.history("SPY", ny_ns(day, *span[:2]), ny_ns(day, *span[2:])) for day in (DAY, date(2026, 11, 19), date(2026, 11, 18))
        ]
        return sum(float(r["volume"].sum()) for r in rows) / ((span[2] - span[0]) * 60 + span[3] - span[1])

    noon = volume(12, 0, 13, 30)
    assert volume(9, 30, 9, 45) > 1.5 * noon
    assert volume(15, 45, 16, 0) > 1.5 * noon
    assert volume(4, 0, 8, 0) < 0.1 * noon
    assert volume(17, 0, 20, 0) < 0.1 * noon


def test_symbols_move_together_and_related_ones_more(market: Market, calendar: SessionCalendar):
    last = row_of(calendar, DAY)
    names = ("SPY", "QQQ", "NVDA", "AMD", "GLD")
    closes = {s: [market.session_bars(s, i)["close"][-1] for i in range(last - 30, last)] for s in names}
    moves = {s: np.diff(np.log(c)) for s, c in closes.items()}

    def correlation(a: str, b: str) -> float:
        return float(np.corrcoef(moves[a], moves[b])[0, 1])

    assert correlation("SPY", "QQQ") > 0.8
    assert 0.2 < correlation("SPY", "AMD") < 0.95
    assert correlation("NVDA", "AMD") > correlation("AMD", "GLD")


def test_sessions_do_not_open_where_the_last_one_closed(market: Market, calendar: SessionCalendar):
    last = row_of(calendar, DAY)
    rows = [market.history("TSLA", int(s["open"]), int(s["close"])) for s in calendar.sessions[last - 20 : last]]
    gaps = [abs(b["open"][0] / a["close"][-1] - 1) for a, b in itertools.pairwise(rows)]
    assert 0.001 < np.median(gaps) < 0.05


def test_prints_carry_the_conditions_of_their_time_of_day(market: Market, calendar: SessionCalendar):
    session = calendar.session(DAY)
    trades = true_trades(market, "SPY", 0, int(session["pre_open"]), int(session["post_close"]))
    in_rth = (trades["ts_event"] >= session["open"]) & (trades["ts_event"] < session["close"])
    ids = [set(t["conditions"][: t["n_conditions"]].tolist()) for t in trades]
    assert all(i <= set(TRADE_CONDITIONS) for i in ids)
    has = {c: np.array([c in i for i in ids]) for c in (2, 8, 10, 12, 14, 15, 25, 37, 41)}
    assert all(found.any() for found in has.values())
    assert np.array_equal(has[12] | has[15], ~in_rth)
    opening, closing = trades[has[25]], trades[has[8]]
    assert (len(opening), len(closing)) == (1, 1)
    assert 0 <= opening["ts_event"][0] - session["open"] < NS_PER_S
    assert 0 < session["close"] - closing["ts_event"][0] < NS_PER_S
    assert np.all(trades["size"][has[37]] < 40)
    assert np.all(trades["size"][~has[37]] % 40 == 0)  # round lot of a stock between $250 and $1,000


def test_quotes_are_never_crossed_and_hold_the_prints_between_them(market: Market):
    trades, quotes, _ = play(market, ["AAPL"], TEN, [TEN + 30 * NS_PER_MIN])
    assert len(quotes) > len(trades)
    assert np.all(quotes["bid"] < quotes["ask"])
    assert np.all((quotes["bid_size"] > 0) & (quotes["ask_size"] > 0))
    quotes = quotes[np.argsort(quotes["ts_event"], kind="stable")]
    at = np.searchsorted(quotes["ts_event"], trades["ts_event"]) - 1
    ok = (at >= 0) & (trades["n_conditions"] == 0)
    inside = (quotes["bid"][at[ok]] - 0.05 <= trades["price"][ok]) & (trades["price"][ok] <= quotes["ask"][at[ok]] + 0.05)
    assert inside.mean() > 0.97


def test_rows_arrive_in_order_and_never_before_they_happened(market: Market):
    trades, quotes, _ = play(market, ["SPY", "NVDA", "META"], TEN, [TEN + 10 * NS_PER_MIN])
    for rows in (trades, quotes):
        assert np.all(np.diff(rows["ts_recv"]) >= 0)
        assert np.all(rows["ts_recv"] > rows["ts_event"])
    assert set(np.unique(trades["symbol_id"])) == {0, 1, 2}


# -- faults -----------------------------------------------------------------------------------------------------------------


def test_bad_prints_are_far_off_or_have_no_price(faulty: Market):
    trades, _, _ = play(faulty, ["SPY"], ny_ns(DAY, 9, 30), [ny_ns(DAY, 16)])
    bad = trades[is_bad(trades)]
    truth = true_trades(faulty, "SPY", 0, ny_ns(DAY, 9, 30), ny_ns(DAY, 16))
    near = truth["price"][np.searchsorted(truth["ts_event"], bad["ts_event"], side="right") - 1]
    usable = bad["price"] > 0
    assert len(bad) > 10
    assert (~usable).any()
    assert np.all(np.abs(bad["price"][usable] / near[usable] - 1) > 0.07)


def test_late_prints_come_up_to_three_seconds_late(faulty: Market):
    trades, _, _ = play(faulty, ["SPY"], TEN, [TEN + 20 * NS_PER_MIN])
    delay = (trades["ts_recv"] - trades["ts_event"]) / NS_PER_S
    assert 0.02 < (delay > 0.25).mean() < 0.1
    assert delay.max() <= 3.000001


def test_crossed_quotes_can_be_forced(faulty: Market):
    _, quotes, _ = play(faulty, ["SPY"], ny_ns(DAY, 9, 30), [ny_ns(DAY, 16)])
    assert 5 < (quotes["bid"] > quotes["ask"]).sum() < 100


def test_a_gap_delivers_nothing_and_names_a_span_that_history_fills(faulty: Market, calendar: SessionCalendar):
    session = calendar.session(DAY)
    start, end = int(session["open"]), int(session["close"])
    trades, quotes, notices = play(faulty, ["SPY"], start, [end + 5 * NS_PER_S])
    gaps = [n for n in notices if isinstance(n, FeedGap)]
    states = [n.state for n in notices if isinstance(n, FeedStatus)]
    assert gaps
    assert states == [FeedState.RECONNECTING, FeedState.LIVE] * len(gaps)
    for gap in gaps:
        for rows in (trades, quotes):
            assert not ((rows["ts_recv"] > gap.start_ns + 3 * NS_PER_S) & (rows["ts_recv"] <= gap.end_ns)).any()
    truth = true_trades(faulty, "SPY", 0, start, end)
    missing = truth[~np.isin(truth["sequence"], trades["sequence"])]
    assert len(missing)
    assert np.all(np.any([(missing["ts_event"] >= g.start_ns) & (missing["ts_event"] < g.end_ns) for g in gaps], axis=0))


def test_a_halt_has_no_prints_and_ends_with_a_reopening_print(faulty: Market, calendar: SessionCalendar):
    index = row_of(calendar, DAY)
    first, end = faulty.halt("NVDA", index)  # forced on: halts=1
    pre_open = int(calendar.sessions["pre_open"][index])
    truth = true_trades(faulty, "NVDA", 0, pre_open, ny_ns(DAY, 20))
    minute = (truth["ts_event"] - pre_open) // NS_PER_MIN
    assert not ((minute >= first) & (minute < end)).any()
    assert truth[minute >= end][0]["conditions"][0] == 28


def test_fault_rates_outside_their_range_are_refused():
    with pytest.raises(ConfigError, match=r"Faults.late_frac: received 2; allowed: 0 to 1"):
        Faults(late_frac=2)


# -- the source -------------------------------------------------------------------------------------------------------------


class Recorder:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.symbols = SymbolTable()
        self.trades: list[np.ndarray] = []
        self.quotes: list[np.ndarray] = []
        self.times: list[int] = []
        self.said: list[object] = []
        self.news = threading.Condition()

    def on_trades(self, rows: np.ndarray) -> None:
        self.trades.append(rows)

    def on_quotes(self, rows: np.ndarray) -> None:
        self.quotes.append(rows)

    def on_bars(self, symbol, rows) -> None:
        raise AssertionError("the simulated market sends no bars")

    on_reject = on_bars

    def on_status(self, status: FeedStatus) -> None:
        self.said.append(status)

    def on_gap(self, gap: FeedGap) -> None:
        self.said.append(gap)

    def on_reset(self, reason: str) -> None:
        self.said.append(reason)
        self.trades.clear()
        self.quotes.clear()

    def on_time(self, now_ns: int) -> None:
        with self.news:
            self.times.append(now_ns)
            self.news.notify_all()

    def wait_until(self, ts_ns: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: self.times and self.times[-1] >= ts_ns, timeout=30)


@pytest.fixture
def running(calendar: SessionCalendar):
    sources: list[SimulatedSource] = []

    def start(*symbols: str, **options) -> tuple[SimulatedSource, Recorder]:
        options = {"start_ns": TEN, "calendar": calendar, "faults": NO_FAULTS, **options}
        source, sink = SimulatedSource(**options), Recorder()
        source.subscribe(symbols)
        source.start(sink)
        sources.append(source)
        return source, sink

    yield start
    for source in sources:
        source.stop()


def test_it_is_a_source(calendar: SessionCalendar):
    source = SimulatedSource(calendar=calendar, start_ns=TEN)
    assert isinstance(source, Source)
    assert source.info.name == "simulated"
    assert "SIMULATED" in source.info.detail
    assert not source.info.is_replay
    assert SimulatedSource(calendar=calendar, start_ns=TEN, speed=60).info.is_replay
    source.stop()  # harmless when not started


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (ny_ns(date(2026, 11, 21), 15), ny_ns(DAY, 10, 15)),  # a Saturday
        (ny_ns(DAY, 10, 15), ny_ns(DAY, 10, 15)),
        (ny_ns(DAY, 9), ny_ns(date(2026, 11, 19), 10, 15)),  # too early today
        (ny_ns(date(2026, 11, 26), 12), ny_ns(date(2026, 11, 25), 10, 15)),  # Thanksgiving
        (ny_ns(date(2026, 3, 8), 12), ny_ns(date(2026, 3, 6), 10, 15)),  # the Sunday of the clock change
    ],
)
def test_by_default_the_market_stands_in_the_last_sessions_morning(calendar: SessionCalendar, now: int, expected: int):
    assert default_start_ns(calendar, now) == expected
    assert SimulatedSource(calendar=calendar, today=ReplayClock(now)).clock.now_ns() == expected
    assert calendar.segment(expected) is Segment.RTH


def test_streamed_rows_are_those_of_the_core_and_the_clock_is_never_behind(running, calendar: SessionCalendar):
    source, sink = running("SPY", "QQQ", speed=1000.0, seed=11)
    sink.wait_until(TEN + 5 * NS_PER_MIN)
    source.stop()
    end = sink.times[-1]
    expected = play(Market(seed=11, calendar=calendar, faults=NO_FAULTS), ["SPY", "QQQ"], TEN, [end])
    assert np.concatenate(sink.trades).tobytes() == expected[0].tobytes()
    assert np.concatenate(sink.quotes).tobytes() == expected[1].tobytes()
    assert sink.times == sorted(sink.times)
    assert source.clock.now_ns() == end


def test_history_ends_at_the_present_minute_and_joins_the_stream(running):
    start = TEN + 30 * NS_PER_S  # in the middle of a minute
    source, sink = running("AAPL", speed=1000.0, start_ns=start, seed=11)
    before = source.history("AAPL", ny_ns(DAY, 9, 30), ny_ns(DAY, 16))
    sink.wait_until(TEN + 3 * NS_PER_MIN)
    assert before.is_complete
    assert before.rows["ts_close"][-1] >= TEN
    trades = np.concatenate(sink.trades)
    assert trades["ts_event"].min() >= TEN
    first = trades[trades["ts_event"] < TEN + NS_PER_MIN]
    assert len(first) == len(true_trades(source.market, "AAPL", 0, TEN, TEN + NS_PER_MIN))


def test_history_of_the_future_is_empty(calendar: SessionCalendar):
    source = SimulatedSource(calendar=calendar, start_ns=TEN)
    assert len(source.history("SPY", TEN, TEN + 60 * NS_PER_MIN).rows) == 0
    assert source.history("XLF", TEN - 60 * NS_PER_MIN, 2**62).rows["ts_close"][-1] == TEN
    two_years_ago = int(calendar.sessions["pre_open"][row_of(calendar, DAY) - 500])
    assert len(source.history("XLF", 0, two_years_ago).rows)


def test_unknown_symbols_are_refused_with_the_nearest_name(running):
    source, _ = running("SPY")
    with pytest.raises(SymbolError, match="did you mean 'AAPL'"):
        source.subscribe(["QQQ", "AAPPL"])
    with pytest.raises(SymbolError, match="allowed: SPY"):
        source.history("NOPE", 0, TEN)


def test_a_second_subscription_starts_with_the_present_minute_and_unsubscribing_ends_it(running):
    source, sink = running("SPY", speed=1000.0)
    sink.wait_until(TEN + 2 * NS_PER_MIN)
    source.subscribe(["QQQ"])
    now = source.clock.now_ns()
    sink.wait_until(now + 3 * NS_PER_MIN)
    source.unsubscribe(["QQQ"])
    stopped = source.clock.now_ns()
    sink.wait_until(stopped + 3 * NS_PER_MIN)
    trades = np.concatenate(sink.trades)
    qqq = trades[trades["symbol_id"] == sink.symbols.get("QQQ")]
    assert now - NS_PER_MIN < qqq["ts_event"].min() < now + 2 * NS_PER_MIN
    assert qqq["ts_recv"].max() <= stopped + NS_PER_S
    assert trades["ts_recv"].max() > stopped


def test_pause_stands_still_and_play_goes_on_without_a_leap(running):
    source, sink = running("SPY", speed=60.0)
    sink.wait_until(TEN + NS_PER_S)
    source.pause()
    stood = source.clock.now_ns()
    assert source.is_paused
    threading.Event().wait(0.3)
    assert source.clock.now_ns() == stood
    source.play()
    sink.wait_until(stood + NS_PER_S)
    assert sink.times[-1] < stood + 12 * NS_PER_S
    assert [s.state for s in sink.said] == [FeedState.LIVE, FeedState.PAUSED, FeedState.LIVE]


def test_seeking_either_way_tells_the_sink_to_forget_and_equals_having_played(running, calendar: SessionCalendar):
    source, sink = running("SPY", speed=1000.0, seed=11)
    source.pause()
    for target in (ny_ns(DAY, 14, 7), ny_ns(date(2026, 11, 18), 9, 31)):
        source.seek(target)
        assert source.clock.now_ns() == target
        assert any(isinstance(said, str) for said in sink.said)
        source.step("bar")
        end = sink.times[-1]
        assert end == target + NS_PER_MIN
        expected = play(Market(seed=11, calendar=calendar, faults=NO_FAULTS), ["SPY"], target, [end])
        assert np.concatenate(sink.trades).tobytes() == expected[0].tobytes()


def test_steps_go_to_the_minutes_end_or_to_the_next_arrival(running):
    source, sink = running("SPY", start_ns=TEN + 7 * NS_PER_S)
    source.pause()
    now = source.clock.now_ns()
    source.step("event")
    assert now < source.clock.now_ns() <= TEN + NS_PER_MIN
    assert sum(map(len, sink.trades)) + sum(map(len, sink.quotes)) >= 1
    source.step("bar")
    assert source.clock.now_ns() == TEN + NS_PER_MIN
    assert source.is_paused
    with pytest.raises(ConfigError, match="step: received 'day'; allowed: bar, event"):
        source.step("day")


def test_after_the_close_the_market_hurries_to_the_next_open_without_losing_a_print(running, calendar: SessionCalendar):
    monday = date(2026, 11, 23)
    source, sink = running("SPY", speed=1000.0, start_ns=ny_ns(DAY, 16, 5), seed=11)
    sink.wait_until(ny_ns(monday, 9, 20))
    source.stop()
    trades = np.concatenate(sink.trades)
    expected = play(Market(seed=11, calendar=calendar, faults=NO_FAULTS), ["SPY"], ny_ns(DAY, 16, 5), [sink.times[-1]])[0]
    assert np.array_equal(trades["sequence"], expected["sequence"])


@pytest.mark.parametrize("speed", [0.1, 1.0])
def test_a_market_sent_into_a_weekend_wakes_up_before_the_next_open(running, speed: float):
    source, sink = running("SPY", speed=speed)
    source.seek(ny_ns(date(2026, 11, 21), 12))
    sink.wait_until(ny_ns(date(2026, 11, 23), 9, 15))
    source.pause()
    assert sink.times[-1] < ny_ns(date(2026, 11, 23), 9, 16)


def test_pausing_on_the_way_to_the_next_open_does_not_leave_the_market_asleep(running):
    source, sink = running(
        "SPY",
        start_ns=ny_ns(
            DAY,
            16,
            9,
        )
        + 59 * NS_PER_S,
    )
    sink.wait_until(ny_ns(DAY, 17))
    source.pause()
    source.play()
    sink.wait_until(ny_ns(date(2026, 11, 23), 9, 15))


def test_a_market_that_stays_waits_through_the_evening(running):
    source, sink = running("SPY", speed=1000.0, start_ns=ny_ns(DAY, 16, 9), after_close="stay")
    sink.wait_until(ny_ns(DAY, 16, 15))
    assert sink.times[-1] < ny_ns(DAY, 17, 30)
    source.stop()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": 0}, r"speed: received 0; allowed: 0.1 to 1000"),
        ({"speed": 1001}, r"speed: received 1001"),
        ({"seed": -1}, r"seed: received -1; allowed: 0 or more"),
        ({"after_close": "nxt"}, r"after_close: received 'nxt' \(did you mean 'next'\?\)"),
    ],
)
def test_wrong_settings_are_refused_by_name(calendar: SessionCalendar, options: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        SimulatedSource(calendar=calendar, start_ns=TEN, **options)


def test_moments_outside_the_span_cannot_be_sought(calendar: SessionCalendar):
    source = SimulatedSource(calendar=calendar, start_ns=TEN)
    with pytest.raises(CalendarError, match=r"seek: received 1999-12-31T19:00:00-05:00; allowed: 2026-"):
        source.seek(946_684_800 * NS_PER_S)


def test_stopping_ends_the_thread(running):
    source, _ = running("SPY")
    names = [t.name for t in threading.enumerate()]
    assert "simulated-source" in names
    source.stop()
    assert "simulated-source" not in [t.name for t in threading.enumerate() if t.is_alive()]
