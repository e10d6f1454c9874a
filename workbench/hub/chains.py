"""Option chains as live data: who reads which, and one feed for each underlying and expiry that somebody looks at.

    Source.chain() every few seconds ──▶ base ──┐
    newest quotes and prints of a window ───────┴──▶ ChainReader.snapshot() ──▶ screens

`chain_feed.py` is the feed of a hub in this process, `remote/chains.py` that of one elsewhere; readers see no difference. A feed ends
when its last reader leaves, or is dropped. Nothing here raises into a screen: what is wrong stands in the chain's notes.

Floor 2. A thread for each feed; readers from any thread.
"""

from __future__ import annotations

import logging
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Self

from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import SourceError
from workbench.options.chain import Chain

log = logging.getLogger(__name__)

MAX_FEEDS = 40
LOOK_S = 0.25
EXPIRIES_LIFE_S = 60.0


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """How a chain is doing. `reason` is one sentence for the trader, '' when all is well; `n_live` contracts are subscribed."""

    is_loaded: bool
    reason: str
    n_live: int


class ChainReader:
    """One reader of one chain. `close` it, or drop it, when done; also a context manager."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def snapshot(self) -> Chain:
        """Return the chain as it stands; without rows, and a note, before it is loaded.

        The same object while nothing has changed, for a second of the market at most: quotes grow old, and contracts expire.
        """
        return self._feed.snapshot()

    @property
    def changes(self) -> int:
        """A count that grows with every change of what `snapshot` returns."""
        return self._feed.changes

    @property
    def status(self) -> ChainStatus:
        """How the chain is doing."""
        return self._feed.status

    @property
    def is_over(self) -> bool:
        """True when the chain is kept up no longer: it was closed, or its hub was stopped."""
        return self._feed.is_over

    def wait(self, timeout_s: float) -> bool:
        """Wait until the chain is loaded, or its first load has failed; False on time-out."""
        return self._feed.settled.wait(timeout_s)

    def close(self) -> None:
        """Stop reading; the last reader to go ends the feed."""
        self._feed.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class Feed(ABC):
    """One expiry's chain, kept up while it has readers: `_turn` is called again and again on the feed's own thread."""

    def __init__(self, underlying: str, expiry: date) -> None:
        self.underlying, self.expiry = underlying, expiry
        self.settled = threading.Event()  # the first load has ended, well or not
        self.is_over = False
        self._trouble = ""
        self._readers: weakref.WeakSet[ChainReader] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def snapshot(self) -> Chain:
        """Return the chain as it stands."""

    @property
    @abstractmethod
    def changes(self) -> int:
        """A count that grows with every change."""

    @property
    @abstractmethod
    def status(self) -> ChainStatus:
        """How the chain is doing."""

    @abstractmethod
    def _turn(self) -> None:
        """Do what is due."""

    @abstractmethod
    def _let_go(self) -> None:
        """Give back what was taken for this chain; called more than once."""

    def join(self) -> ChainReader | None:
        """Return a new reader, starting the feed at the first; None when it is over."""
        with self._lock:
            if self.is_over:
                return None
            reader = ChainReader(self)
            self._readers.add(reader)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"chain-{self.underlying}-{self.expiry}", daemon=True)
                self._thread.start()
            return reader

    def leave(self, reader: ChainReader) -> None:
        """Forget a reader; without any the feed ends."""
        with self._lock:
            self._readers.discard(reader)
            is_last = not len(self._readers)
            self.is_over |= is_last
        if is_last:
            self.end()

    def end(self, why: str = "") -> None:
        """Give back what was taken, and let the thread end when what it waits for has come."""
        self.is_over, self._trouble = True, why or self._trouble
        self._ending.set()
        self._let_go()

    def _run(self) -> None:
        try:
            while not self.is_over:
                self._turn()
                self._ending.wait(LOOK_S)
                with self._lock:
                    self.is_over |= not len(self._readers)
        except Exception:  # whatever a source does wrong, the note stands on screen and the log has the trace
            log.exception("chain of %s %s ended", self.underlying, self.expiry)
            self._trouble = "the chain's feed ended by an error of the program (see the log); open the chain again"
        finally:
            self.settled.set()
            self.end()


class Chains:
    """The feeds of one hub, and the expiries there are.

    `make` returns a feed that is not started; `ask` the expiry dates, blocking; either raises where there are no chains. `epoch`: of the
    market, at whose change expiries are asked for again.
    """

    def __init__(self, make: Callable[[str, date], Feed], ask: Callable[[str], tuple[date, ...]], epoch: Callable[[], int]) -> None:
        self._make, self._ask, self._epoch = make, ask, epoch
        self._feeds: dict[tuple[str, date], Feed] = {}
        self._expiries: dict[str, tuple[int, int, tuple[date, ...]]] = {}  # underlying -> (epoch, stopwatch, dates)
        self._lock = threading.Lock()

    def open(self, underlying: str, expiry: date) -> ChainReader:
        """Return a reader; SourceError where the source has no chains, or too many are read."""
        with self._lock:
            self._feeds = {key: feed for key, feed in self._feeds.items() if not feed.is_over}
            held = self._feeds.get((underlying, expiry))
            reader = None if held is None else held.join()
            if reader is None:
                if len(self._feeds) >= MAX_FEEDS:
                    raise SourceError(f"chain: received one request more; allowed: {MAX_FEEDS} expiries at once; close one")
                feed = self._feeds[underlying, expiry] = self._make(underlying, expiry)
                reader = feed.join()
            assert reader is not None
            return reader

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates listed, ascending; asks the source at most once a minute. Blocks; raises what the source raises."""
        now, present = monotonic_ns(), self._epoch()
        epoch, told_at, dates = self._expiries.get(underlying, (present - 1, 0, ()))
        if epoch != present or now - told_at > EXPIRIES_LIFE_S * NS_PER_S:
            dates = self._ask(underlying)
            self._expiries[underlying] = present, now, dates
        return dates

    def stop(self) -> None:
        """End all feeds; their last chains stay readable."""
        with self._lock:
            feeds, self._feeds = list(self._feeds.values()), {}
        for feed in feeds:
            feed.end("the hub was stopped")
