"""Past 1-minute bars of any symbol: from the store where its days are complete, else from the source, and then stored.

Floor 2. Blocking; called from the hub's backfill workers and from readers that page back.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from workbench.errors import HistoryError
from workbench.sources.base import History, Source


class MinuteStore(Protocol):
    """What the archive needs of a store of closed minutes (`history/store.py` is one)."""

    def read(self, symbol: str, start_ns: int, end_ns: int) -> np.ndarray:
        """Return stored minutes, BAR_DTYPE, sorted."""

    def write(self, symbol: str, rows: np.ndarray, *, complete: tuple[int, int] | None = None) -> None:
        """Merge minutes; `complete` names a span that is proved to hold every bar there is."""

    def missing(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Return the spans not proved complete, oldest first."""


class MinuteArchive:
    """History of one source, remembered in a store when there is one."""

    def __init__(self, source: Source, store: MinuteStore | None) -> None:
        self._source = source
        self._store = store

    def read(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return closed minutes of [start_ns, end_ns), never newer than the source's clock. Raises what the source raises."""
        if self._store is None:
            return self._cut(self._source.history(symbol, start_ns, end_ns))
        notes, is_complete = [], True
        for start, end in self._store.missing(symbol, start_ns, end_ns):
            answer = self._source.history(symbol, start, end)
            is_complete &= answer.is_complete
            notes.append(answer.note)
            self._store.write(symbol, answer.rows, complete=(start, end) if answer.is_complete else None)
        rows = self._store.read(symbol, start_ns, end_ns)
        return self._cut(History(rows, is_complete, "; ".join(n for n in notes if n)))

    def refresh(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return the source's present answer for a span though the store has it (late prints change recent bars)."""
        answer = self._cut(self._source.history(symbol, start_ns, end_ns))
        if self._store is not None and len(answer.rows):
            self._store.write(symbol, answer.rows)
        return answer

    @property
    def has_store(self) -> bool:
        """True when closed minutes are kept between runs."""
        return self._store is not None

    def keep(self, symbol: str, rows: np.ndarray) -> None:
        """Store closed minutes that the hub built."""
        if self._store is not None and len(rows):
            self._store.write(symbol, rows)

    def _cut(self, history: History) -> History:
        rows = history.rows
        if len(rows) > 1 and not (np.diff(rows["ts_open"]) > 0).all():
            raise HistoryError("history: received bars out of order or repeated; allowed: ascending ts_open without repeats")
        now_ns = self._source.clock.now_ns()
        return History(rows[rows["ts_close"] <= now_ns], history.is_complete, history.note)
