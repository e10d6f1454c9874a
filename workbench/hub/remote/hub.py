"""A hub in another process, read like one in this: `source = hub://host:port`.

Everything that views, notebooks and strategies read of a `Hub` is here under the same names, kept up by one connection that is
made again by itself (`link.py`). Series are mirrored row by row with the hub's own numbers, so two processes show the same. While
the hub does not answer, what is held stays readable and the health says so. Floor 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from workbench.clock import NS_PER_S, monotonic_ns, sleep_s
from workbench.errors import HistoryError, SourceError, SymbolError, choices
from workbench.hub.board import BoardRow, Boards
from workbench.hub.book import MIN_MINUTES, MINUTE
from workbench.hub.chains import ChainReader, Chains
from workbench.hub.health import Health, Mode
from workbench.hub.reading import MarketReader
from workbench.hub.remote import wire
from workbench.hub.remote.chains import RemoteFeed
from workbench.hub.remote.link import Link, LinkState
from workbench.hub.remote.mirror import MirroredSeries
from workbench.hub.remote.service import HISTORY_S, Address, Questions
from workbench.hub.remote.source import RemoteSource
from workbench.hub.remote.state import MirroredClock, MirrorState
from workbench.hub.series import Series
from workbench.sessions import SessionCalendar
from workbench.sources.base import SourceInfo
from workbench.types import Quote, SymbolTable, Timeframe, Trade, check_symbol

START_WAIT_S = 5.0  # how long `start` waits for the first word of the hub
FIRST_WAIT_S = 2.0  # how long a reader waits for the first bars of a series, while the hub answers
STALE_AFTER_S = 15.0  # silence after which a lost hub's data counts as old, not only as doubtful
IDLE_LOOK_S = 0.02


class RemoteHub(MarketReader):
    """The read side of the hub at an address; see `Hub`.

    Parameters
    ----------
    address : str              hub://host[:port], or hubs:// through TLS. ConfigError for any other text.
    symbols : iterable of str  Followed from the start; none: those that the hub follows.
    token : str, optional      Sent as a header, where the hub's door asks for one.
    capacity : int             Closed bars held per symbol and timeframe: as many as the hub holds, or fewer.
    seed : int                 Of the jitter between attempts to connect; should differ from process to process.
    """

    def __init__(self, address: str, *, symbols: Iterable[str] = (), token: str | None = None, capacity: int = 5000, seed: int = 0) -> None:
        self.address = Address(address, token)
        self.calendar = SessionCalendar.xnys()
        self.symbols = SymbolTable()
        self._state = MirrorState(capacity, max(capacity, MIN_MINUTES))
        self._ask = Questions(self.address)
        self._link = Link(self.address, self._state, on_attached=self._attached, seed=seed)
        self._boards = Boards(self.calendar)
        self._chains = Chains(self._chain_feed, self._ask_expiries, lambda: self.epoch)
        self._watched: dict[str, None] = {}  # symbols in order of watching
        self.asked_for: set[str] = set()  # as `Hub.asked_for`
        self.source = RemoteSource(self._state, self._ask)
        for symbol in symbols:
            self._follow(check_symbol(symbol))
        self._is_chosen = bool(self._watched)  # else what the hub follows when it is first heard is followed here

    # -- what readers go by --------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Which life of the hub sequence numbers belong to; 0 before it was first heard."""
        return self._state.epoch

    @property
    def seq(self) -> int:
        """The newest sequence number that was told here."""
        return self._state.seq

    @property
    def changes(self) -> int:
        """A count that grows with every change told here: unchanged means that no series has news."""
        return self._state.changes

    @property
    def clock(self) -> MirroredClock:
        """The hub's market clock."""
        return self._state.clock

    @property
    def source_info(self) -> SourceInfo:
        """What the hub's source is and can do."""
        return self._state.info

    @property
    def gaps(self) -> tuple[Any, ...]:
        """Spans not yet proved complete (`gaps.OpenGap`), as of a second ago."""
        return self._state.gaps

    # -- running -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, and wait a moment for the hub's first word; without it, go on trying. Harmless when running."""
        self._link.start()
        self._link.settled.wait(START_WAIT_S)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Let go of the hub, which goes on; bars stay readable."""
        self._chains.stop()
        self._link.stop(timeout_s)
        self._ask.close()

    def wait_idle(self, timeout_s: float = 10.0, *, history: bool = False) -> bool:
        """Wait until all that was handed to the hub so far can be read here (and, with `history`, no read is pending there)."""
        deadline = monotonic_ns() + int(timeout_s * NS_PER_S)
        n_opened: int | None = None  # once the hub was idle: what is told on a stream that was opened later is all there was
        while monotonic_ns() < deadline:
            if n_opened is None and self._is_idle_there(history=history):
                n_opened = self._link.n_opened
                self._link.wake()
            if n_opened is not None and self._link.is_up and self._link.n_caught_up > n_opened:
                return True
            sleep_s(IDLE_LOOK_S)
        return False

    def _is_idle_there(self, *, history: bool) -> bool:
        try:
            quality = self._ask.get("/api/quality", wire.Quality)
        except SourceError:
            return False
        return quality.is_idle and not (history and wire.health_of(quality.feed).backfilling)

    def _attached(self) -> None:
        """Follow what the hub follows, unless that was chosen here, and once: later everybody goes its own way. On the link's thread."""
        if not self._is_chosen:
            own, self._watched = self._watched, dict.fromkeys(self._state.watched_there)
            for symbol in (*self._watched, *own):
                self._follow(symbol)
            self._is_chosen = True

    # -- reading (any thread) --------------------------------------------------------------------------------------------------

    def watch(self, symbol: str) -> None:
        """Have a symbol followed and its minutes mirrored; harmless when watched. SymbolError when the hub says there is none."""
        check_symbol(symbol)
        known = self.source_info.symbols
        if known and symbol not in known and not (self.source_info.has_chains and symbol.startswith("O:")):
            raise SymbolError(f"symbol: received {choices(symbol, known)} (all that source {self.source_info.name!r} has)")
        self._wait(self._follow(symbol))

    def unwatch(self, symbol: str) -> None:
        """Stop following a symbol here; its bars stay readable, and the hub goes on for others. Harmless when not watched."""
        if self._watched.pop(symbol, "") is None:
            self._state.drop(symbol)
            self._link.wake()

    def watched(self) -> tuple[str, ...]:
        """Return the symbols followed here, in the order they were added; none while it is the hub's to say and it was not heard yet."""
        return tuple(self._watched) if self._is_chosen else ()

    def series(self, symbol: str, timeframe: str | Timeframe) -> Series:
        """Return the mirrored series of a symbol (watching it) and timeframe, with what the hub holds of it, if it answers."""
        frame = Timeframe.parse(timeframe)
        series = self._state.get(symbol, frame.label)
        if series is None:
            self.watch(symbol)
            series = self._want(symbol, frame)
        self._wait(series)
        return series

    def _follow(self, symbol: str) -> MirroredSeries:
        self.symbols.intern(symbol)
        self._watched[symbol] = None
        return self._want(symbol, MINUTE)

    def _want(self, symbol: str, frame: Timeframe) -> MirroredSeries:
        series = self._state.get(symbol, frame.label)
        if series is None:
            series = self._state.want(symbol, frame)
            self._link.wake()
        return series

    def _wait(self, series: MirroredSeries) -> None:
        """Wait once for the first bars, while the hub answers; raise what it refuses."""
        if not series.is_settled.is_set() and self._link.is_up and not series.is_settled.wait(FIRST_WAIT_S):
            series.is_settled.set()
        if series.refusal is not None:
            self._watched.pop(series.symbol, None)
            raise series.refusal

    def older(self, symbol: str, timeframe: str | Timeframe, before_ns: int, limit: int = 500) -> np.ndarray:
        """Return up to `limit` closed bars with ts_open < before_ns, oldest first, BAR_DTYPE. Asks the hub, which may ask the provider."""
        frame = Timeframe.parse(timeframe)
        held = self.series(symbol, frame).rows()
        inside = held[held["ts_open"] < before_ns]
        if len(inside) >= limit:
            return inside[-limit:]
        try:
            asked = {"symbol": symbol, "timeframe": frame.label, "before": before_ns, "limit": limit}
            page = self._ask.get("/api/history", wire.Page, asked, wait_s=HISTORY_S)
        except SymbolError:
            raise
        except SourceError as error:
            raise HistoryError(str(error)) from None
        return wire.rows_of(page.bars)

    def chain(self, underlying: str, expiry: date) -> ChainReader:
        """Return a reader of one expiry's chain, kept up while somebody reads it; SourceError where the hub's source tells no chains."""
        if self._link.is_up and not self.source_info.has_chains:
            raise SourceError(f"chain: source {self.source_info.name!r} of the hub tells no option chains; allowed: a source that does")
        return self._chains.open(check_symbol(underlying), expiry)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates that are listed, ascending. Asks the hub; SourceError, SymbolError as it says."""
        return self._chains.expiries(check_symbol(underlying))

    def _chain_feed(self, underlying: str, expiry: date) -> RemoteFeed:
        return RemoteFeed(self._ask, self.clock, underlying, expiry)

    def _ask_expiries(self, underlying: str) -> tuple[date, ...]:
        return tuple(self._ask.get("/api/expiries", wire.Expiries, {"underlying": underlying}, wait_s=HISTORY_S).expiries)

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote, or None before the first."""
        return self._state.quotes.get(symbol)

    def last_trade(self, symbol: str) -> Trade | None:
        """Return the newest print by stamp, of any condition, or None before the first."""
        return self._state.trades.get(symbol)

    def microbar(self, symbol: str) -> np.ndarray | None:
        """Return the newest 50 ms bar of a symbol, BAR_DTYPE shape (1,), or None."""
        row = self._state.microbars.get(symbol)
        return None if row is None else row.copy()

    def board(self, symbol: str) -> BoardRow:
        """Return the watchlist line of a symbol."""
        minutes = self._state.get(symbol, MINUTE.label)
        if minutes is None:
            return BoardRow(symbol)
        held_from = minutes.first_ns if len(minutes) == minutes.capacity else None  # else whole sessions are held
        return self._boards.line(minutes, held_from, self.clock.now_ns())

    def health(self, symbol: str | None = None) -> Health:
        """Return how far the feed, or one symbol of it, can be trusted at this moment, from here: a hub that is away proves nothing."""
        link, now_ns = self._link.status(), self.clock.now_ns()
        told, silent_s = self._state.health(symbol, now_ns, self.calendar.segment(now_ns))
        if link.state is LinkState.UP:
            return told
        away_s = silent_s if link.silent_s is None else link.silent_s
        mode = {LinkState.REFUSED: Mode.REFUSED, LinkState.CONNECTING: Mode.STARTING, LinkState.STOPPED: Mode.STALE}.get(
            link.state, Mode.STALE if away_s > STALE_AFTER_S else Mode.DEGRADED
        )
        return replace(told, mode=mode, reason=link.reason, backfilling=0)  # of what it reads there, nothing is known
