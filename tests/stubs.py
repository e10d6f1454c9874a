"""Builders of market nouns with defaults that a test overrides, and a source that does what a script says.

`ScriptedSource` is a real `Source`: it hands rows to the hub's sink and answers history from what it was given. Prints of one
minute, bars of one minute and whole tapes come from here, so that a test shows only what it is about.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import date

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_S, ReplayClock, WallClock
from workbench.hub.hub import Hub
from workbench.sessions import SessionCalendar, ny_ns
from workbench.sources.base import FeedState, FeedStatus, History, Sink, SourceInfo
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, BarSource

DAY = date(2026, 11, 18)  # a Wednesday
OPEN = ny_ns(DAY, 9, 30)
TEN = ny_ns(DAY, 10)
MIN = NS_PER_MIN
SEC = NS_PER_S


def prints(rows: Iterable[tuple], *, symbol_id: int = 0, first_sequence: int = 1, latency_ns: int = 1_000_000) -> np.ndarray:
    """Return TRADE_DTYPE rows from (ts_event, price, size[, condition, …]) tuples, numbered in the order given."""
    rows = list(rows)
    out = np.zeros(len(rows), TRADE_DTYPE)
    for i, (ts, price, size, *conditions) in enumerate(rows):
        out[i]["ts_event"], out[i]["price"], out[i]["size"] = ts, price, size
        out[i]["n_conditions"] = len(conditions)
        out[i]["conditions"][: len(conditions)] = conditions
    out["ts_recv"] = out["ts_event"] + latency_ns
    out["sequence"] = np.arange(first_sequence, first_sequence + len(out))
    out["symbol_id"] = symbol_id
    return out


def quotes(rows: Iterable[tuple[int, float, float]], *, symbol_id: int = 0) -> np.ndarray:
    """Return QUOTE_DTYPE rows from (ts_event, bid, ask) tuples."""
    out = np.zeros(0, QUOTE_DTYPE) if not (rows := list(rows)) else np.zeros(len(rows), QUOTE_DTYPE)
    for i, (ts, bid, ask) in enumerate(rows):
        out[i]["ts_event"], out[i]["bid"], out[i]["ask"] = ts, bid, ask
    out["ts_recv"], out["symbol_id"] = out["ts_event"] + 1_000_000, symbol_id
    return out


def bar(ts_open: int = TEN, close: float = 100.0, **over: float) -> np.ndarray:
    """Return one closed, complete 1-minute bar built from trades, BAR_DTYPE shape (1,); fields by name override."""
    out = np.zeros(1, BAR_DTYPE)
    out["ts_open"], out["ts_close"] = ts_open, ts_open + MIN
    for name in ("open", "high", "low", "close", "vwap"):
        out[name] = close
    out["volume"], out["n_trades"], out["is_complete"], out["source"] = 100.0, 2.0, 1, BarSource.TRADES
    for name, value in over.items():
        out[name] = value
    return out


def bars(opens: Iterable[int], *, seed: int = 1, price: float = 100.0, source: BarSource = BarSource.REST) -> np.ndarray:
    """Return a bar for each open: a seeded random walk in cents with round-lot volumes."""
    opens = np.asarray(list(opens), np.int64)
    rng = np.random.default_rng(seed)
    n = len(opens)
    out = np.zeros(n, BAR_DTYPE)
    if not n:
        return out
    close = np.round(price + np.cumsum(rng.integers(-5, 6, n)) / 100, 2)
    start = np.r_[price, close[:-1]]
    out["ts_open"], out["ts_close"], out["open"], out["close"] = opens, opens + MIN, start, close
    out["high"] = np.maximum(start, close) + rng.integers(0, 4, n) / 100
    out["low"] = np.minimum(start, close) - rng.integers(0, 4, n) / 100
    out["volume"] = rng.integers(1, 50, n) * 100.0
    out["vwap"], out["vw_std"] = (start + close) / 2, rng.integers(0, 5, n) / 100
    out["n_trades"], out["source"], out["is_complete"] = rng.integers(1, 40, n), source, 1
    return out


def minutes_of(session: np.void, *, extended: bool = True) -> range:
    """Return the opens of every minute of a session."""
    first, last = ("pre_open", "post_close") if extended else ("open", "close")
    return range(int(session[first]), int(session[last]), MIN)


def tape(seed: int = 5, *, start: int = TEN, minutes: int = 12, per_minute: int = 8, symbol_id: int = 0, late: float = 0.0) -> np.ndarray:
    """Return a seeded tape, TRADE_DTYPE, in order of arrival: odd lots, sweeps and some prints that arrive up to a minute late."""
    rng = np.random.default_rng(seed)
    n = minutes * per_minute
    out = np.zeros(n, TRADE_DTYPE)
    out["ts_event"] = start + np.sort(rng.choice(minutes * 60_000, n, replace=False)) * 1_000_000
    out["price"] = np.round(100 + np.cumsum(rng.integers(-3, 4, n)) / 100, 2)
    out["size"] = rng.choice([1, 7, 100, 200, 500], n)
    out["n_conditions"] = 1
    out["conditions"][:, 0] = np.where(out["size"] < 100, 37, rng.choice([0, 14, 41], n))
    out["sequence"], out["symbol_id"] = np.arange(1, n + 1), symbol_id
    delay = np.where(rng.random(n) < late, rng.integers(2_000, 60_000, n), 1) * 1_000_000
    out["ts_recv"] = out["ts_event"] + delay
    return out[np.argsort(out["ts_recv"], kind="stable")]


class ManualClock(WallClock):
    """A wall clock that a test sets: the hub takes it for a live market's."""

    def __init__(self, now_ns: int = TEN) -> None:
        self.ns = now_ns

    def now_ns(self) -> int:
        return self.ns


class ScriptedSource:
    """A source whose events and history are what the test says. `history_rows[symbol]` answers, `fail` raises before it does."""

    def __init__(self, *, clock: ManualClock | ReplayClock | None = None, info: SourceInfo | None = None) -> None:
        self.clock = clock or ReplayClock(TEN)
        self.info = info or SourceInfo("scripted", "a test", is_replay=isinstance(self.clock, ReplayClock))
        self.sink: Sink | None = None
        self.subscribed: list[str] = []
        self.unsubscribed: list[str] = []
        self.history_rows: dict[str, np.ndarray] = {}
        self.is_complete = True
        self.fail: list[Exception] = []  # raised one by one by the next reads
        self.asked: list[tuple[str, int, int]] = []  # history reads
        self.on_history: Callable[[str, int, int], None] | None = None

    def start(self, sink: Sink) -> None:
        self.sink = sink
        sink.on_status(FeedStatus(FeedState.LIVE, "connected", self.clock.now_ns()))

    def stop(self) -> None:
        self.sink = None

    def open_history(self) -> None:
        """History can always be read here."""

    def subscribe(self, symbols: Iterable[str]) -> None:
        self.subscribed += symbols

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        self.unsubscribed += symbols

    def history(self, symbol: str, start_ns: int, end_ns: int) -> History:
        self.asked.append((symbol, start_ns, end_ns))
        if self.on_history is not None:
            self.on_history(symbol, start_ns, end_ns)
        if self.fail:
            raise self.fail.pop(0)
        rows = self.history_rows.get(symbol, np.zeros(0, BAR_DTYPE))
        inside = (rows["ts_open"] >= start_ns) & (rows["ts_open"] < end_ns) & (rows["ts_close"] <= self.clock.now_ns())
        return History(rows[inside], self.is_complete)


def live(now_ns: int = TEN, **over: object) -> tuple[Hub, ScriptedSource, ManualClock]:
    """Return a hub on a live-like source whose clock the test sets; drive it with `go`."""
    clock = ManualClock(now_ns)
    source = ScriptedSource(clock=clock)
    hub = Hub(source, calendar=SessionCalendar.xnys(), **{"verify_every_s": 0.0, "retry_s": 0.0, **over})  # type: ignore[arg-type]
    source.start(hub)
    return hub, source, clock


def replayed(now_ns: int = TEN, **over: object) -> tuple[Hub, ScriptedSource]:
    """Return a hub on a replay; drive it with `play`."""
    source = ScriptedSource(clock=ReplayClock(now_ns))
    hub = Hub(source, calendar=SessionCalendar.xnys(), **{"retry_s": 0.0, **over})  # type: ignore[arg-type]
    source.start(hub)
    return hub, source


def go(hub: Hub, clock: ManualClock, now_ns: int) -> None:
    """Let the live market reach a moment."""
    clock.ns = now_ns
    hub.pump()


def play(hub: Hub, rows: np.ndarray, *, until: int | None = None, chunks: Iterable[int] = ()) -> None:
    """Hand prints over in order of arrival, cut at `chunks`, moving the replay's clock along, then to `until`."""
    edges = [0, *sorted(set(chunks) & set(range(1, len(rows)))), len(rows)]
    for a, b in itertools.pairwise(edges):
        part = rows[a:b]
        if len(part):
            now = int(part["ts_recv"][-1])
            hub.source.clock.advance_to(now)  # type: ignore[attr-defined]
            hub.on_trades(part.copy())
            hub.on_time(hub.clock.now_ns())
            hub.pump()
    if until is not None:
        hub.source.clock.advance_to(until)  # type: ignore[attr-defined]
        hub.on_time(until)
        hub.pump()


def values(rows: np.ndarray) -> np.ndarray:
    """Return what a bar says, without how the hub came to it: sequence and revision zeroed."""
    out = rows.copy()
    out["seq"] = out["revision"] = 0
    return out
