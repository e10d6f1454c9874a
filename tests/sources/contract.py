"""What every source must do, whatever stands behind it. A new source adds a class with one fixture, `facts`, and inherits all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from workbench.clock import NS_PER_MIN, monotonic_ns, sleep_s
from workbench.errors import SymbolError
from workbench.sources.base import FeedGap, FeedState, FeedStatus, Source
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, SymbolTable


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Wait until something is true; False when it does not become true."""
    end = monotonic_ns() + int(seconds * 1e9)
    while not condition():
        if monotonic_ns() > end:
            return False
        sleep_s(0.002)
    return True


class RecordingSink:
    """A sink that only remembers."""

    def __init__(self) -> None:
        self.symbols = SymbolTable()
        self.trades: list[np.ndarray] = []
        self.quotes: list[np.ndarray] = []
        self.bars: list[tuple[str, np.ndarray]] = []
        self.rejects: list[tuple[str, str, bytes]] = []
        self.statuses: list[FeedStatus] = []
        self.gaps: list[FeedGap] = []
        self.corrections: list[tuple[str, int, str]] = []
        self.times: list[int] = []
        self.n_resets = 0

    def on_trades(self, rows: np.ndarray) -> None:
        self.trades.append(rows)

    def on_quotes(self, rows: np.ndarray) -> None:
        self.quotes.append(rows)

    def on_bars(self, symbol: str, rows: np.ndarray) -> None:
        self.bars.append((symbol, rows))

    def on_reject(self, reason: str, symbol: str, raw: bytes, ts_recv: int) -> None:
        self.rejects.append((reason, symbol, raw))

    def on_status(self, status: FeedStatus) -> None:
        self.statuses.append(status)

    def on_gap(self, gap: FeedGap) -> None:
        self.gaps.append(gap)

    def on_time(self, now_ns: int) -> None:
        self.times.append(now_ns)

    def on_correction(self, symbol: str, ts_event_ns: int, reason: str) -> None:
        self.corrections.append((symbol, ts_event_ns, reason))

    def on_reset(self, reason: str) -> None:
        self.n_resets += 1

    @property
    def n_trades(self) -> int:
        return sum(map(len, self.trades))

    def states(self) -> list[FeedState]:
        return [status.state for status in self.statuses]

    def seen(self) -> set[str]:
        """Symbols that anything was delivered for."""
        ids = {int(one) for rows in [*self.trades, *self.quotes] for one in rows["symbol_id"]}
        return {self.symbols.name(one) for one in ids} | {symbol for symbol, _ in self.bars}


@dataclass
class Facts:
    """What the suite has to know of one source."""

    source: Source
    symbol: str
    other_symbol: str
    make_market: Callable[[], None]  # let something happen in both symbols, as far as they are subscribed
    past: tuple[int, int]  # a span with bars of `symbol` in it
    secrets: tuple[str, ...] = field(default_factory=tuple)


class SourceContract:
    """Inherit and give a `facts` fixture."""

    @pytest.fixture
    def facts(self) -> Facts:
        raise NotImplementedError

    @pytest.fixture
    def running(self, facts):
        sink = RecordingSink()
        facts.source.start(sink)
        facts.source.subscribe([facts.symbol, facts.other_symbol])
        assert wait_for(lambda: FeedState.LIVE in sink.states() or facts.make_market() or sink.n_trades), sink.statuses
        yield facts, sink
        facts.source.stop()

    def deliver(self, facts, sink):
        before = sink.n_trades
        assert wait_for(lambda: facts.make_market() or sink.n_trades > before)

    def test_it_is_a_source(self, facts):
        assert isinstance(facts.source, Source)
        assert facts.source.info.name
        assert facts.source.clock.now_ns() > 0

    def test_rows_come_in_the_layouts_of_types_with_symbols_of_the_sinks_table(self, running):
        facts, sink = running
        self.deliver(facts, sink)
        assert all(rows.dtype == TRADE_DTYPE and len(rows) for rows in sink.trades)
        assert all(rows.dtype == QUOTE_DTYPE and len(rows) for rows in sink.quotes)
        assert all(rows.dtype == BAR_DTYPE for _, rows in sink.bars)
        assert sink.seen() <= {facts.symbol, facts.other_symbol}
        stamps = np.concatenate([rows["ts_event"] for rows in sink.trades])
        assert np.all((stamps > 10**18) & (stamps < 3 * 10**18))

    def test_every_change_of_state_says_why_in_a_sentence(self, running):
        _facts, sink = running
        assert sink.statuses
        assert all(len(status.reason) > 3 and status.ts_ns > 0 for status in sink.statuses)

    def test_stopping_twice_is_harmless_and_leaves_no_thread(self, facts):
        before = set(threading.enumerate())
        sink = RecordingSink()
        facts.source.start(sink)
        facts.source.subscribe([facts.symbol])
        wait_for(lambda: sink.statuses, 1.0)
        for _ in range(2):
            facts.source.stop()
        assert wait_for(lambda: not [thread for thread in set(threading.enumerate()) - before if "warm" not in thread.name])

    def test_it_can_be_started_again(self, running):
        facts, sink = running
        self.deliver(facts, sink)
        facts.source.stop()
        again = RecordingSink()
        facts.source.start(again)
        assert wait_for(lambda: facts.make_market() or again.n_trades)

    def test_nothing_comes_after_stop(self, running):
        facts, sink = running
        self.deliver(facts, sink)
        facts.source.stop()
        n = sink.n_trades
        facts.make_market()
        sleep_s(0.05)
        assert sink.n_trades == n

    def test_a_symbol_no_longer_wanted_stops(self, running):
        facts, sink = running
        self.deliver(facts, sink)
        facts.source.unsubscribe([facts.other_symbol])
        quiet = lambda: sink.seen() <= {facts.symbol}
        assert wait_for(lambda: (sink.trades.clear(), sink.quotes.clear(), sink.bars.clear(), self.deliver(facts, sink), quiet())[-1])

    def test_text_that_is_no_symbol_is_refused_by_name(self, running):
        facts, _sink = running
        with pytest.raises(SymbolError, match="not a symbol!"):
            facts.source.subscribe(["not a symbol!"])

    def test_history_holds_closed_minutes_of_the_span_in_order(self, facts):
        start, end = facts.past
        history = facts.source.history(facts.symbol, start, end)
        rows = history.rows
        assert rows.dtype == BAR_DTYPE
        assert len(rows) > 0
        assert np.all(np.diff(rows["ts_open"]) > 0)
        assert rows["ts_open"][0] >= start
        assert rows["ts_open"][-1] < end
        assert np.all(rows["ts_close"] - rows["ts_open"] == NS_PER_MIN)
        assert np.all(rows["ts_close"] <= facts.source.clock.now_ns())
        assert np.all((rows["low"] <= rows["open"]) & (rows["close"] <= rows["high"]) & (rows["is_partial"] == 0))

    def test_history_never_tells_the_future(self, facts):
        now = facts.source.clock.now_ns()
        rows = facts.source.history(facts.symbol, now - 3 * NS_PER_MIN, now + 60 * NS_PER_MIN).rows
        assert np.all(rows["ts_close"] <= facts.source.clock.now_ns())

    def test_an_empty_span_is_an_empty_history(self, facts):
        start = facts.past[0]
        history = facts.source.history(facts.symbol, start, start)
        assert (len(history.rows), history.is_complete) == (0, True)

    def test_no_text_form_shows_a_secret(self, facts):
        shown = f"{facts.source!r} {facts.source!s} {facts.source.info!r}"
        assert not any(secret in shown for secret in facts.secrets)
