"""One expiry's chain of a hub in this process: the source's snapshots, and over them what the stream tells around the money.

The snapshot tells all contracts, and what no stream tells (open interest, volume). Between two of them the contracts around the
money are subscribed, and their newest quotes and prints stand over the snapshot's where they are newer. The window moves only when
spot leaves its middle half, and never asks for more contracts than the source can deliver. What is subscribed for a chain alone is
passed through: it has a newest quote and print, but no bars (`following.py`).

A source that fails leaves the last chain standing, with a note that says since when and why. Floor 2.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Protocol

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_S, Clock, monotonic_ns
from workbench.errors import SourceError, SymbolError, WorkbenchError
from workbench.hub.chains import ChainStatus, Feed
from workbench.hub.following import Following
from workbench.hub.newest import NewestRows
from workbench.options.chain import Chain, contract_rows, make_chain
from workbench.sessions import SessionCalendar, to_ny
from workbench.sources.base import ChainSource, Source
from workbench.types import Quote, SymbolTable, Trade

log = logging.getLogger(__name__)

WINDOW_STRIKES = 20  # on either side of the money, calls and puts
LIVE_EVERY_S, MOVED_EVERY_S = 5.0, 1.0  # between two snapshots: of a provider, of a market that runs by its own clock
LONGEST_PAUSE_S = 60.0  # after failures
SPOT_LAG_NS = 60 * NS_PER_S  # a quote that much older than the snapshot's spot does not stand over it


class Market(Protocol):
    """What a chain reads of its hub."""

    source: Source
    symbols: SymbolTable
    calendar: SessionCalendar
    clock: Clock

    @property
    def epoch(self) -> int:
        """Which life of the market it is."""

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote."""

    def last_trade(self, symbol: str) -> Trade | None:
        """Return the newest print."""


def chain_source(source: Source) -> ChainSource:
    """Return a source as one that tells chains; SourceError when it does not."""
    if not source.info.has_chains or not isinstance(source, ChainSource):
        raise SourceError(f"chain: source {source.info.name!r} tells no option chains; allowed: the simulated market, polygon, alpaca")
    return source


class ChainFeed(Feed):
    """A chain of this process's hub.

    `newest`: newest quotes and prints by symbol id. `told` hears of one snapshot a minute, for the recorder. `every_s`: between two [s].
    """

    def __init__(
        self,
        market: Market,
        following: Following,
        newest: tuple[NewestRows, NewestRows],
        of: tuple[str, date],
        *,
        told: Callable[[Chain], None],
        every_s: float,
    ) -> None:
        super().__init__(*of)
        self._tell, self._told_minute = told, 0
        self._market, self._following, self._newest, self._every_s = market, following, newest, every_s
        self._source = chain_source(market.source)
        self._base: Chain | None = None
        self._base_ids = np.zeros(0, np.int64)  # symbol id of each row of the base, -1 for one that was never heard of
        self._epoch = 0
        self._n_loaded = 0  # grows with every base and numbering
        self._limited = ""
        self._shown = self._blank("waiting for the first snapshot")
        self._key: tuple[object, ...] = ()
        self._changes = 0
        self._centre = np.nan  # strike that the window is centred on; NaN: not all of it is held
        self._held: frozenset[str] = frozenset()  # what is passed through
        self._holding = threading.Lock()  # of what is passed through
        self._due_ns, self._n_failed = 0, 0

    @property
    def status(self) -> ChainStatus:
        """How the chain is doing."""
        return ChainStatus(self._base is not None, self._trouble or self._limited, sum(symbol.startswith("O:") for symbol in self._held))

    @property
    def changes(self) -> int:
        """A count that grows with every change."""
        self.snapshot()
        return self._changes

    def snapshot(self) -> Chain:
        """Return the chain as it stands."""
        with self._lock:
            quotes, trades = self._newest
            second = self._market.clock.now_ns() // NS_PER_S
            key = (self._n_loaded, self._market.epoch, self._trouble, self._limited, quotes.n_put, trades.n_put, second)
            if key != self._key:
                chain = self._over(quotes, trades)
                if self._differs(chain):
                    self._shown = chain
                    self._changes += 1
                self._key = key
            return self._shown

    # -- one chain of two --------------------------------------------------------------------------------------------------------

    def _over(self, quotes: NewestRows, trades: NewestRows) -> Chain:
        """Return the base with what is newer laid over it."""
        base = self._base
        if base is None or self._epoch != self._market.epoch:
            return self._blank(self._trouble or "waiting for the first snapshot")
        rows = base.rows.copy()
        quote, trade = quotes.rows(self._base_ids), trades.rows(self._base_ids)
        is_new = quote["ts_event"] > rows["ts_ns"]
        for name in ("bid", "ask"):
            rows[name][is_new] = np.nan_to_num(quote[name][is_new], nan=0.0)  # a stream's side without a price is nobody's
            rows[f"{name}_size"][is_new] = quote[f"{name}_size"][is_new]
        rows["ts_ns"][is_new] = quote["ts_event"][is_new]
        is_printed = trade["ts_event"] > base.asof_ns
        rows["last"][is_printed] = trade["price"][is_printed]
        spot, spot_ts_ns = self._spot(base)
        notes = [note for note in (self._trouble, self._limited) if note]
        return replace(base, rows=rows, spot=spot, spot_ts_ns=spot_ts_ns, asof_ns=self._market.clock.now_ns(), notes=(*base.notes, *notes))

    def _spot(self, base: Chain) -> tuple[float, int]:
        """Return the middle of the underlying's quote, else its newest print, unless the snapshot told a newer spot."""
        quote, trade = self._market.quote(self.underlying), self._market.last_trade(self.underlying)
        found = (base.spot, base.spot_ts_ns) if np.isfinite(base.spot) else (np.nan, 0)
        if trade is not None and trade.ts_event > found[1] + SPOT_LAG_NS:
            found = (trade.price, trade.ts_event)
        if quote is not None and np.isfinite(quote.mid) and quote.ts_event > found[1] - SPOT_LAG_NS:
            found = (quote.mid, quote.ts_event)
        return found

    def _differs(self, chain: Chain) -> bool:
        old = self._shown
        if chain.asof_ns - old.asof_ns >= NS_PER_S:
            return True  # quotes grow old and contracts expire while nobody says anything
        is_same = chain.notes == old.notes and chain.spot == old.spot and len(chain) == len(old)
        return not is_same or chain.rows.tobytes() != old.rows.tobytes()

    def _blank(self, note: str) -> Chain:
        chain = make_chain(
            self.underlying,
            contract_rows((), self._market.calendar),
            spot=np.nan,
            spot_ts_ns=0,
            asof_ns=self._market.clock.now_ns(),
            source=self._market.source.info.name,
        )
        return replace(chain, notes=(note,))

    # -- the feed's thread ---------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        if monotonic_ns() >= self._due_ns or self._epoch != self._market.epoch:
            self._load()
        self._move_window()

    def _let_go(self) -> None:
        self._hold(frozenset())

    def _load(self) -> None:
        """Take a snapshot; a failure is noted, and tried again after a growing pause."""
        epoch = self._market.epoch
        try:
            chain = self._source.chain(self.underlying, self.expiry)
            self._take(chain, epoch)
            self._record(chain)
        except Exception as error:
            if not isinstance(error, WorkbenchError):
                log.exception("chain of %s %s", self.underlying, self.expiry)
            if epoch != self._epoch:
                self._forget()
            self._fail(error)
        self._epoch = epoch
        pause_s = min(self._every_s * 2**self._n_failed, LONGEST_PAUSE_S)
        self._due_ns = monotonic_ns() + int(pause_s * NS_PER_S)
        self.settled.set()

    def _take(self, chain: Chain, epoch: int) -> None:
        with self._lock:
            self._base, self._epoch, self._trouble, self._n_failed = chain, epoch, "", 0
            self._number()

    def _forget(self) -> None:
        """Let go of a snapshot of another life of the market: after a step back it would tell what is not known yet."""
        with self._lock:
            self._base = None
            self._n_loaded += 1

    def _record(self, chain: Chain) -> None:
        minute = chain.asof_ns // NS_PER_MIN
        if minute != self._told_minute:
            self._told_minute = minute
            self._tell(chain)

    def _fail(self, error: Exception) -> None:
        self._n_failed += 1
        said = str(error) if isinstance(error, WorkbenchError) else f"an error of the program ({type(error).__name__}, see the log)"
        since = "" if self._base is None else f"; shown is the snapshot of {to_ny(self._base.asof_ns):%H:%M:%S} New York"
        with self._lock:
            self._trouble = f"the chain could not be read: {said}{since}"

    def _number(self) -> None:
        """Find the symbol id of each row; those that are subscribed here get one, so that their first quote finds it."""
        if self._base is not None:
            symbols, held = self._market.symbols, self._held
            names = [f"O:{symbol}" for symbol in self._base.rows["symbol"].tolist()]
            known = (symbols.intern(name) if name in held else symbols.get(name) for name in names)
            self._base_ids = np.array([-1 if k is None else k for k in known], np.int64)
            self._n_loaded += 1

    # -- the window around the money ---------------------------------------------------------------------------------------------

    def _move_window(self) -> None:
        """Subscribe the underlying, and the contracts around the money when spot has left the middle half of those subscribed."""
        base = self._base
        if base is None:
            return
        spot, _ = self._spot(base)
        strikes = np.unique(base.rows["strike"])
        stock = () if self.underlying.startswith("I:") else (self.underlying,)  # of an index the snapshot tells the value
        if not np.isfinite(spot) or not len(strikes):
            self._hold(frozenset(stock))
            return
        n_held = sum(symbol.startswith("O:") for symbol in self._held)
        free = self._source.most_contracts - self._following.n_contracts + n_held
        n_strikes = max(0, min(WINDOW_STRIKES, (free - 2) // 4))  # either side of the middle one, two rights
        at = int(np.argmin(np.abs(strikes - spot)))
        is_whole = n_held and np.isfinite(self._centre)
        if is_whole and abs(at - int(np.argmin(np.abs(strikes - self._centre)))) <= n_strikes // 2:
            return
        near = strikes[max(0, at - n_strikes) : at + n_strikes + 1] if n_strikes else strikes[:0]
        wanted = [f"O:{symbol}" for symbol in base.rows["symbol"][np.isin(base.rows["strike"], near)].tolist()][: max(free, 0)]
        is_cut = n_strikes < WINDOW_STRIKES and len(wanted) < len(base)
        self._limited = _few(len(wanted), self._source.most_contracts) if is_cut else ""
        is_held = self._hold(frozenset((*stock, *wanted)))
        self._centre = float(strikes[at]) if is_held else np.nan  # what was refused is asked for again
        with self._lock:
            self._number()

    def _hold(self, wanted: frozenset[str]) -> bool:
        """Have exactly these passed through; none once the feed is over. False when the source refused the new ones."""
        with self._holding:
            held, wanted = self._held, frozenset() if self.is_over else wanted
            if gone := held - wanted:
                self._following.end_pass(gone)
                self._held = held & wanted
            try:
                if fresh := wanted - held:
                    self._following.pass_through(fresh)
                    self._held = wanted
            except (SourceError, SymbolError) as error:
                self._limited = f"live quotes of the chain could not be subscribed: {error}"
                return False
        return True


def _few(n_live: int, most: int) -> str:
    if not most:
        return "no contract is live: this source tells snapshots of the chain only"
    return f"{n_live} contracts around the money are live, the others as of the last snapshot: the feed delivers {most} contracts at once"
