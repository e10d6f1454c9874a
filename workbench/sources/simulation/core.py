"""The simulated stream without pace: told how far to go, it gives what arrives until then. No thread, no clock, no randomness left.

The same market, start and subscriptions give the same bytes, in whatever steps the way is made. Floor 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.sources.base import FeedGap, FeedState, FeedStatus
from workbench.sources.simulation.day import LATEST_NS, DayPrints
from workbench.sources.simulation.market import Market
from workbench.sources.simulation.option_tape import OptionTape
from workbench.sources.simulation.options import OptionMarket
from workbench.sources.simulation.tape import BLOCK_NS, block_rows
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE, SymbolTable

GAP_REASON = "simulated outage"


@dataclass(frozen=True, slots=True)
class Batch:
    """What arrives up to `ts_ns` (and after the batch before): rows in order of arrival; `notices` come after the rows."""

    ts_ns: int
    trades: np.ndarray
    quotes: np.ndarray
    notices: tuple[FeedStatus | FeedGap, ...] = ()


class SimulatedCore:
    """A stream of one market from `start_ns` on.

    A symbol is told from the start of the minute in which it was subscribed, so that history (closed minutes) and stream
    join without a hole.
    """

    def __init__(self, market: Market, symbols: SymbolTable, start_ns: int, options: OptionMarket | None = None) -> None:
        """`options`: of the same market, with what it has drawn already."""
        self.market = market
        self._options = options or OptionMarket(market)
        self._option_tape = OptionTape(self._options, symbols)
        self.now_ns = int(start_ns)
        self._symbols = symbols
        self._streams: dict[str, _SymbolStream] = {}  # symbol -> its blocks
        self._has_backlog = False

    @property
    def subscribed(self) -> tuple[str, ...]:
        """Symbols that are delivered."""
        return (*self._streams, *self._option_tape.subscribed)

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Deliver these too; SymbolError (and none added) when one is unknown."""
        wanted = dict.fromkeys(symbols)
        contracts = [self._options.contract(symbol) for symbol in wanted if symbol.startswith("O:")]
        names = [symbol for symbol in wanted if symbol not in self._streams and not symbol.startswith("O:")]
        for symbol in names:
            self.market.facts(symbol)
        self._has_backlog |= bool(names or contracts)
        self._option_tape.subscribe(contracts, self.now_ns)
        for symbol in names:
            self._streams[symbol] = _SymbolStream(self.market, symbol, self._symbols.intern(symbol), self.now_ns // NS_PER_MIN * NS_PER_MIN)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop delivering these."""
        gone = list(symbols)
        for symbol in gone:
            self._streams.pop(symbol, None)
        self._option_tape.unsubscribe([self._options.contract(symbol) for symbol in gone if symbol.startswith("O:")])

    def until(self, ts_ns: int) -> Iterator[Batch]:
        """Go to `ts_ns` and yield what arrives on the way, in steps of at most five minutes, cut where the feed goes or comes back.

        What a new subscription has to catch up on (its minute so far) comes first, also when `ts_ns` is the present.
        """
        if self._has_backlog:
            self._has_backlog = False
            yield self._arrived(self.now_ns, self._next_gap())
        while self.now_ns < ts_ns:
            gap = self._next_gap()
            step = min(int(ts_ns), self.now_ns + BLOCK_NS)
            edges = [edge for edge in (gap or ()) if self.now_ns < edge <= step]
            yield self._arrived(edges[0] if edges else step, gap)

    def _arrived(self, end_ns: int, gap: tuple[int, int] | None) -> Batch:
        is_away = gap is not None and gap[0] <= self.now_ns < gap[1]
        taken = [stream.take(end_ns) for stream in self._streams.values()] + [self._option_tape.take(end_ns)]
        is_edge = gap is not None and self.now_ns < end_ns and end_ns in gap
        self.now_ns = end_ns
        trades, quotes = ([nothing] if is_away else [nothing, *rows] for nothing, rows in zip(_NOTHING, _by_kind(taken), strict=True))
        return Batch(end_ns, _by_arrival(trades), _by_arrival(quotes), _notices(gap, end_ns) if is_edge and gap is not None else ())

    def next_event_ns(self, limit_ns: int) -> int:
        """Return when the next print or quote arrives, or `limit_ns` when nothing does before."""
        return min([self._option_tape.next_ns(limit_ns), *(stream.next_ns(limit_ns) for stream in self._streams.values())])

    def _next_gap(self) -> tuple[int, int] | None:
        index = int(np.searchsorted(self.market.calendar.sessions["post_close"], self.now_ns, side="right"))
        if index >= len(self.market.calendar.sessions):
            return None
        return next((gap for gap in self.market.gaps(index) if self.now_ns < gap[1]), None)


_NOTHING = (np.zeros(0, TRADE_DTYPE), np.zeros(0, QUOTE_DTYPE))


def _notices(gap: tuple[int, int], now_ns: int) -> tuple[FeedStatus | FeedGap, ...]:
    if now_ns == gap[0]:
        return (FeedStatus(FeedState.RECONNECTING, f"{GAP_REASON}; the market goes on", now_ns),)
    back = FeedStatus(FeedState.LIVE, f"back after {(gap[1] - gap[0]) / 1e9:.0f} s of {GAP_REASON}", now_ns)
    return (FeedGap(gap[0] - LATEST_NS, gap[1], GAP_REASON), back)  # late prints of the seconds before are lost too


def _by_kind(taken: list[tuple[np.ndarray, np.ndarray]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [trades for trades, _ in taken], [quotes for _, quotes in taken]


def _by_arrival(parts: list[np.ndarray]) -> np.ndarray:
    rows = np.concatenate(parts)
    return rows if len(parts) <= 2 else rows[np.argsort(rows["ts_recv"], kind="stable")]


class _SymbolStream:
    """One symbol's rows, block after block and session after session, released by arrival."""

    def __init__(self, market: Market, symbol: str, symbol_id: int, from_ns: int) -> None:
        self._market, self._of, self._from_ns = market, (symbol, symbol_id), from_ns
        self._prints: DayPrints | None = None  # of the present session
        sessions = market.calendar.sessions
        self._index = int(np.searchsorted(sessions["post_close"], from_ns, side="right"))
        self._block = max(0, from_ns - int(sessions["pre_open"][self._index])) // BLOCK_NS if self._index < len(sessions) else 0
        self._trades = _Pending(_NOTHING[0])
        self._quotes = _Pending(_NOTHING[1])

    def take(self, ts_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows with ts_recv <= ts_ns that were not taken yet."""
        while self._next_block_ns() <= ts_ns:
            self._load()
        return self._trades.take(ts_ns), self._quotes.take(ts_ns)

    def next_ns(self, limit_ns: int) -> int:
        """Return the next arrival, at most `limit_ns`."""
        while min(self._trades.first_ns, self._quotes.first_ns) > self._next_block_ns() and self._next_block_ns() < limit_ns:
            self._load()
        return min(self._trades.first_ns, self._quotes.first_ns, limit_ns)

    def _next_block_ns(self) -> int:
        sessions = self._market.calendar.sessions
        return int(sessions["pre_open"][self._index]) + self._block * BLOCK_NS if self._index < len(sessions) else _NEVER

    def _load(self) -> None:
        if self._prints is None:
            self._prints = self._market.prints(self._of[0], self._index)
        trades, quotes = block_rows(self._market, self._prints, self._of, self._index, self._block)
        if self._next_block_ns() < self._from_ns:
            trades, quotes = (rows[rows["ts_event"] >= self._from_ns] for rows in (trades, quotes))
        self._trades.add(trades)
        self._quotes.add(quotes)
        self._block += 1
        if self._next_block_ns() >= int(self._market.calendar.sessions["post_close"][self._index]):
            self._index, self._block, self._prints = self._index + 1, 0, None


_NEVER = np.iinfo(np.int64).max


class _Pending:
    """Rows that were drawn but have not arrived yet, by arrival."""

    def __init__(self, nothing: np.ndarray) -> None:
        self._rows = nothing
        self._recv = np.zeros(0, np.int64)  # the rows' ts_recv, contiguous

    @property
    def first_ns(self) -> int:
        return int(self._recv[0]) if len(self._recv) else int(_NEVER)

    def add(self, rows: np.ndarray) -> None:
        joined = np.concatenate([self._rows, rows])
        self._rows = joined[np.argsort(joined["ts_recv"], kind="stable")]
        self._recv = np.ascontiguousarray(self._rows["ts_recv"])

    def take(self, ts_ns: int) -> np.ndarray:
        count = int(np.searchsorted(self._recv, ts_ns, side="right"))
        taken, self._rows, self._recv = self._rows[:count], self._rows[count:], self._recv[count:]
        return taken
