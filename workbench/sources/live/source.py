"""A live provider as a source: one connection per market, rows handed on, states of all connections as one, history by REST.

A refused live feed is not the end: where REST is allowed, closed minutes are read from there every so often, and the status says
so. What differs between providers (addresses, clients, messages) stands in their own subclasses. Floor 2.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import SplitResult, urlsplit

import numpy as np

from workbench.clock import NS_PER_MIN, Clock
from workbench.errors import AuthError, ConfigError, SourceError, SymbolError, choices
from workbench.sessions import SessionCalendar
from workbench.sources.base import FeedGap, FeedState, FeedStatus, History, Sink, SourceInfo
from workbench.sources.live.chains import ChainRest
from workbench.sources.live.history import MinuteHistory
from workbench.sources.live.link import Listener
from workbench.sources.live.rows import Columns, UnknownEvent, newest_of_each
from workbench.sources.live.stream import Stream
from workbench.types import SymbolTable, check_symbol

if TYPE_CHECKING:
    from workbench.options.chain import Chain

log = logging.getLogger(__name__)

MARKETS = ("stocks", "options")


class Reader(Protocol):
    """Turns frames into rows; one per connection."""

    def read(self, frame: str | bytes, ts_recv: int) -> Columns:
        """Return one frame as rows, stamped `ts_recv`, plus what is no row and what could not be read."""


@dataclass(slots=True)
class _Leg:
    """One market's connection and where it stands."""

    stream: Stream
    reader: Reader
    state: FeedState = FeedState.IDLE
    reason: str = ""
    problem: SourceError | None = None
    polled: dict[str, int] = field(default_factory=dict)  # symbol -> time up to which minutes were read by REST
    is_polled: bool = False  # what its connection does not deliver is read by REST
    poll_failure: str = ""  # why reading them by REST has ended; '' while it goes on


class LiveSource(ABC):
    """A provider of live stocks and options.

    Parameters
    ----------
    info                    What it is.
    history, chains         Its past minutes, its option chains.
    most_contracts          How many option contracts its live feed delivers at once.
    clock, calendar         The market's clock, and when it trades.
    poll_s                  How often minutes are read by REST while the plan refuses the live feed [s]; 0: never.
    seed                    Of the chance in its pauses.
    """

    def __init__(
        self,
        info: SourceInfo,
        history: MinuteHistory,
        chains: ChainRest,
        *,
        most_contracts: int,
        clock: Clock,
        calendar: SessionCalendar,
        poll_s: float,
        seed: int,
    ) -> None:
        self.clock = clock
        self.most_contracts = most_contracts
        self._chains = chains
        self._info, self._history, self._calendar, self._poll_s = info, history, calendar, poll_s
        self._rng = np.random.default_rng(seed)
        self._sink: Sink | None = None
        self._legs: dict[str, _Leg] = {}  # market -> its connection, once a symbol of it is wanted
        self._wanted: dict[str, None] = {}
        self._lock = threading.RLock()
        self._said: tuple[FeedState, str] | None = None
        self._stopped = threading.Event()
        self._poller: threading.Thread | None = None

    # -- what a provider says --------------------------------------------------------------------------------------------------

    @abstractmethod
    def _make_stream(self, market: str, listener: Listener) -> Stream:
        """Return a market's connection, not started."""

    @abstractmethod
    def _make_reader(self, market: str, symbols: SymbolTable) -> Reader:
        """Return what reads its frames."""

    def _hide(self, text: str) -> str:
        """Return text without keys."""
        return text

    def _take_other(self, market: str, event: Any, ts_recv: int) -> Any:  # noqa: ARG002
        """Take an event that is no row; return it when it is for the stream (a status), else None."""
        return event

    # -- Source ----------------------------------------------------------------------------------------------------------------

    @property
    def info(self) -> SourceInfo:
        """What this source is and can do; never the key."""
        return self._info

    @property
    def problem(self) -> SourceError | None:
        """Why the live feed is refused, while it is (AuthError, ConnectionLimitError)."""
        return next((leg.problem for leg in self._legs.values() if leg.problem is not None), None)

    @property
    def states(self) -> dict[str, FeedState]:
        """Market -> state of its connection, for the markets that something is subscribed in."""
        with self._lock:
            return {market: leg.state for market, leg in self._legs.items()}

    def start(self, sink: Sink) -> None:
        """Connect, in threads of its own, as soon as a symbol is wanted."""
        with self._lock:
            if self._sink is not None:
                return
            self._sink = sink
            self._stopped.clear()
            self._history.open()
            wanted = tuple(self._wanted)
        self.subscribe(wanted)

    def open_history(self) -> None:
        """Let history be read again after `stop`, without connecting."""
        self._history.open()

    def stop(self) -> None:
        """Close the connections and end the threads; history that waits gives up."""
        self._stopped.set()
        self._history.close()
        with self._lock:
            legs, self._legs, self._sink, self._said = list(self._legs.values()), {}, None, None
        for leg in legs:
            leg.stream.stop()
        if self._poller is not None:
            self._poller.join(5.0)
            self._poller = None

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Deliver these too. SymbolError for text that is no symbol, and for indices, which are a market of their own."""
        wanted = [_check_streamed(symbol) for symbol in symbols]
        with self._lock:
            self._wanted.update(dict.fromkeys(wanted))
            if self._sink is None:
                return
            for market in MARKETS:
                mine = [symbol for symbol in wanted if _market_of(symbol) == market]
                if mine:
                    self._leg(market).stream.subscribe(mine)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop delivering these."""
        gone = list(symbols)
        with self._lock:
            for symbol in gone:
                self._wanted.pop(symbol, None)
            for leg in self._legs.values():
                leg.stream.unsubscribe(gone)

    def history(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return the closed 1-minute bars with start_ns <= ts_open < end_ns. Blocks; see `MinuteHistory.read` for the errors."""
        return self._history.read(symbol, start_ns, end_ns)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates that are not over, ascending. Blocks; errors as of `history`."""
        return self._chains.expiries(underlying)

    def chain(self, underlying: str, expiry: date) -> Chain:
        """Return every contract of an expiry date as of now. Blocks; errors as of `history`."""
        return self._chains.chain(underlying, expiry)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._info.name} {self._info.detail}: {', '.join(self._wanted) or 'nothing subscribed'}>"

    # -- connections (Listener) ----------------------------------------------------------------------------------------------

    def on_frame(self, market: str, frame: str | bytes) -> tuple[int, int, list[Any]]:
        """Decode one frame and hand its rows on; return (events, newest event time, statuses)."""
        sink, leg = self._sink, self._legs.get(market)
        if sink is None or leg is None:
            return 0, 0, []
        ts_recv = self.clock.now_ns()
        columns = leg.reader.read(frame, ts_recv)
        newest, n_events = 0, len(columns.trades) + len(columns.quotes)
        if len(columns.trades):
            newest = int(columns.trades["ts_event"].max())
            sink.on_trades(columns.trades)
        if len(columns.quotes):
            newest = max(newest, int(columns.quotes["ts_event"].max()))
            sink.on_quotes(columns.quotes)
        for symbol, rows in columns.bars:
            n_events += len(rows)
            newest = max(newest, int(rows["ts_close"].max()))
            sink.on_bars(symbol, newest_of_each(rows))
        for broken in columns.broken:
            sink.on_reject(broken.reason, broken.symbol, self._hide(broken.raw.decode("utf-8", "replace")).encode(), ts_recv)
        statuses = []
        for event in columns.others:
            if isinstance(event, UnknownEvent):
                sink.on_reject(f"unknown kind of event {event.kind!r}", "", event.raw, ts_recv)
            elif (status := self._take_other(market, event, ts_recv)) is not None:
                statuses.append(status)
        return n_events, newest, statuses

    def on_state(self, market: str, state: FeedState, reason: str, problem: SourceError | None) -> None:
        """Take a connection's state; tell the sink the state of all together."""
        with self._lock:
            leg = self._legs.get(market)
            if leg is None:
                return
            is_refused = state is FeedState.REFUSED and isinstance(problem, AuthError) and "API key" not in str(problem)
            leg.state, leg.reason, leg.problem, leg.is_polled = state, reason, problem, False
            if (is_refused or leg.stream.undelivered) and self._start_polling():
                leg.is_polled = True
            self._tell()

    def on_away(self, market: str, start_ns: int, end_ns: int, reason: str, symbols: tuple[str, ...]) -> None:
        """Take a span in which a connection may have missed events."""
        with self._lock:
            sink, leg = self._sink, self._legs.get(market)
            if sink is None or leg is None:
                return
            concerned = symbols or leg.stream.symbols
        sink.on_gap(FeedGap(start_ns, end_ns, reason, concerned))

    def _leg(self, market: str) -> _Leg:
        """Return a market's connection, making it at the first call."""
        if market not in self._legs:
            assert self._sink is not None
            reader = self._make_reader(market, self._sink.symbols)
            stream = self._make_stream(market, _Ear(self, market))
            self._legs[market] = _Leg(stream, reader)
            stream.start()
        return self._legs[market]

    def _tell(self) -> None:
        state, reason = _together([leg for leg in self._legs.values() if leg.state is not FeedState.IDLE], self._poll_s)
        if self._sink is not None and self._said != (state, reason):
            self._said = (state, reason)
            self._sink.on_status(FeedStatus(state, reason, self.clock.now_ns()))

    # -- minutes by REST while the live feed is refused --------------------------------------------------------------------------

    def _start_polling(self) -> bool:
        if self._poll_s <= 0:
            return False
        if self._poller is None:
            self._poller = threading.Thread(target=self._poll, name=f"{self._info.name}-poll", daemon=True)
            self._poller.start()
        return True

    def _poll(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                legs = [leg for leg in self._legs.values() if not leg.poll_failure]
            for leg in legs:
                try:
                    for symbol in leg.stream.symbols if leg.state is FeedState.REFUSED else leg.stream.undelivered:
                        self._poll_one(leg, symbol)
                except AuthError as error:
                    log.error("%s: history is refused too: %s", self._info.name, error)  # noqa: TRY400  the sentence is enough
                    self._end_polling(leg, str(error))
                except Exception as error:
                    log.exception("%s: reading minutes by REST", self._info.name)
                    self._end_polling(leg, f"an error of the program ({type(error).__name__}, see the log)")
            self._stopped.wait(self._poll_s)

    def _end_polling(self, leg: _Leg, why: str) -> None:
        """Read a leg's minutes no more, and say so where it was said that they are read."""
        with self._lock:
            leg.poll_failure = why
            self._tell()

    def _poll_one(self, leg: _Leg, symbol: str) -> None:
        """Read one symbol's newest minutes; AuthError when that will never work."""
        now_ns, sink = self.clock.now_ns(), self._sink
        if self._stopped.is_set():
            return
        start = leg.polled.get(symbol, now_ns - 2 * NS_PER_MIN)
        try:
            rows = self._history.read(symbol, start - 15 * NS_PER_MIN, now_ns).rows
        except AuthError:
            raise
        except (SourceError, SymbolError) as error:  # the other symbols are read all the same
            log.warning("%s: reading minutes of %s: %s", self._info.name, symbol, error)
            return
        if len(rows) and sink is not None:
            leg.polled[symbol] = int(rows["ts_open"][-1])
            sink.on_bars(symbol, rows)


def trading_test(calendar: SessionCalendar) -> Any:
    """Return a function (start_ns, end_ns) -> whether the market may have traded in between; outside the calendar's span: yes."""
    first, last = calendar.span

    def may_have_traded(start_ns: int, end_ns: int) -> bool:
        return start_ns < first or end_ns > last or len(calendar.between(start_ns, end_ns)) > 0

    return may_have_traded


class _Ear:
    """A stream's listener that knows which market speaks."""

    def __init__(self, source: LiveSource, market: str) -> None:
        self._source = source
        self._market = market
        self._n_failures = 0

    def on_frame(self, frame: str | bytes) -> tuple[int, int, list[Any]]:
        """Pass a frame on; whatever goes wrong with one frame never ends the connection."""
        try:
            return self._source.on_frame(self._market, frame)
        except Exception:
            self._n_failures += 1
            if self._n_failures <= 3:
                log.exception("%s: a frame could not be handled (%d so far)", self._market, self._n_failures)
            return 0, 0, []

    def on_state(self, market: str, state: FeedState, reason: str, problem: SourceError | None) -> None:
        """Pass a state on."""
        self._source.on_state(market, state, reason, problem)

    def on_away(self, market: str, start_ns: int, end_ns: int, reason: str, symbols: tuple[str, ...]) -> None:
        """Pass a span on."""
        self._source.on_away(market, start_ns, end_ns, reason, symbols)


_WORST_FIRST = (FeedState.STALE, FeedState.RECONNECTING, FeedState.CONNECTING, FeedState.LIVE)


def _together(legs: list[_Leg], poll_s: float) -> tuple[FeedState, str]:
    """Return the state of all connections as one: refused only when all are; else the worst, with every sentence."""
    alive = [leg for leg in legs if leg.state is not FeedState.REFUSED]
    reasons = "; ".join(dict.fromkeys(_reason(leg, poll_s) for leg in legs if leg.reason))
    if not alive:
        return FeedState.REFUSED, reasons
    return next(state for state in _WORST_FIRST if any(leg.state is state for leg in alive)), reasons


def _reason(leg: _Leg, poll_s: float) -> str:
    """Return why a connection is as it is, and what comes in its place."""
    if not leg.is_polled:
        return leg.reason
    is_refused = leg.state is FeedState.REFUSED
    if leg.poll_failure:
        what = "No minute bars come" if is_refused else "their minutes are not read"
        told = f"{what} by REST either: {leg.poll_failure}"
    else:
        what = "Until then minute bars are read" if is_refused else "their minutes are read"
        told = f"{what} by REST every {poll_s:g} s"
    return f"{leg.reason}{'.' if is_refused else ';'} {told}"


def _check_streamed(symbol: str) -> str:
    if check_symbol(symbol).startswith("I:"):
        raise SymbolError(f"symbol: received {symbol!r}, an index; allowed: stocks (SPY) and options (O:SPY261218C00700000)")
    return symbol


def _market_of(symbol: str) -> str:
    return "options" if symbol.startswith("O:") else "stocks"


def checked_channels(channels: tuple[str, ...], allowed: Collection[str]) -> tuple[str, ...]:
    """Return the channels; ConfigError names the first that there is not, or that there are none."""
    unknown = [channel for channel in channels if channel not in allowed]
    if unknown or not channels:
        raise ConfigError(f"channels: received {choices(unknown[0] if unknown else '', allowed)}")
    return tuple(channels)


def checked_address(option: str, base: str) -> SplitResult:
    """Return the parts of a live address (scheme ws or wss, host); ConfigError names the option and shows no credentials."""
    parts = urlsplit(base)
    if parts.scheme not in ("ws", "wss") or not parts.netloc or "@" in parts.netloc:
        raise ConfigError(f"{option}: received {base.rpartition('@')[2]!r}; allowed: wss://host or ws://host:port")
    return parts
