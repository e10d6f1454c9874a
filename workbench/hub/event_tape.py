"""The newest accepted prints and quotes of all symbols, for readers that want every event (a stream of ticks, a time and sales).

Each event has a running number; a reader holds a cursor, pulls what is new since its last read and is told how many it was too
slow for. Nothing is kept, and no memory taken, while nobody holds a cursor.

Floor 2. Written by the hub's thread alone; read from any thread; rows handed out are copies.
"""

from __future__ import annotations

import threading
import weakref
from typing import NamedTuple

import numpy as np

from workbench.hub.ring import Ring
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE

TAPE_CAPACITY = 1 << 15  # events of a kind: a third of a second of a whole exchange day's worst moment, minutes of twenty symbols


class Events(NamedTuple):
    """What a tape cursor learns: prints (TRADE_DTYPE) and quotes (QUOTE_DTYPE) in order of arrival, and how many were overrun."""

    trades: np.ndarray
    quotes: np.ndarray
    lost_trades: int
    lost_quotes: int


class EventTape:
    """Accepted events of one hub; `n_trades` and `n_quotes` are the running numbers of the newest."""

    def __init__(self, capacity: int = TAPE_CAPACITY) -> None:
        self.capacity = capacity
        self.n_trades = self.n_quotes = 0
        self._trades: Ring | None = None
        self._quotes: Ring | None = None
        self._cursors: weakref.WeakSet[TapeCursor] = weakref.WeakSet()
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """True while somebody holds a cursor; otherwise events are only counted."""
        return self._trades is not None

    def cursor(self) -> TapeCursor:
        """Return a reader of what comes from now on; `close` it, or drop it, when done."""
        with self._lock:
            if self._trades is None:
                self._trades, self._quotes = Ring(self.capacity, TRADE_DTYPE), Ring(self.capacity, QUOTE_DTYPE)
            cursor = TapeCursor(self, self.n_trades, self.n_quotes)
            self._cursors.add(cursor)
        return cursor

    # -- written by the hub ------------------------------------------------------------------------------------------------

    def add_trades(self, rows: np.ndarray) -> None:
        """Add accepted prints, TRADE_DTYPE."""
        with self._lock:
            self.n_trades += len(rows)
            if self._trades is not None and self._is_read():
                self._trades.extend(rows)

    def add_quotes(self, rows: np.ndarray) -> None:
        """Add accepted quotes, QUOTE_DTYPE."""
        with self._lock:
            self.n_quotes += len(rows)
            if self._quotes is not None and self._is_read():
                self._quotes.extend(rows)

    def reset(self) -> None:
        """Forget the events of a market that is told anew; what was not read of it counts as lost."""
        with self._lock:
            for ring in (self._trades, self._quotes):
                if ring is not None:
                    ring.clear()

    def _is_read(self) -> bool:
        """Return whether anybody holds a cursor; gives the memory back when nobody does any more."""
        if not len(self._cursors):
            self._trades = self._quotes = None
        return self._trades is not None

    # -- read by cursors ---------------------------------------------------------------------------------------------------

    def _since(self, n_trades: int, n_quotes: int) -> tuple[Events, int, int]:
        with self._lock:
            trades, lost_trades = _newer(self._trades, self.n_trades - n_trades, TRADE_DTYPE)
            quotes, lost_quotes = _newer(self._quotes, self.n_quotes - n_quotes, QUOTE_DTYPE)
            return Events(trades, quotes, lost_trades, lost_quotes), self.n_trades, self.n_quotes

    def _close(self, cursor: TapeCursor) -> None:
        with self._lock:
            self._cursors.discard(cursor)
            self._is_read()


class TapeCursor:
    """One reader's place on the tape. Not shared between readers."""

    def __init__(self, tape: EventTape, n_trades: int, n_quotes: int) -> None:
        self._tape = tape
        self._n_trades, self._n_quotes = n_trades, n_quotes

    @property
    def has_news(self) -> bool:
        """True when a read would tell something."""
        return (self._tape.n_trades, self._tape.n_quotes) != (self._n_trades, self._n_quotes)

    def read(self) -> Events:
        """Return the events since the last read (the first: since the cursor was opened)."""
        events, self._n_trades, self._n_quotes = self._tape._since(self._n_trades, self._n_quotes)
        return events

    def close(self) -> None:
        """Stop reading; the last reader to go gives the memory back. Later reads tell of nothing but losses."""
        self._tape._close(self)


def _newer(ring: Ring | None, n: int, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Return the newest `n` events as far as they are held, and how many are not."""
    if ring is None:
        return np.zeros(0, dtype), n
    held = ring.view()
    rows = held[max(0, len(held) - n) :].copy()
    return rows, n - len(rows)
