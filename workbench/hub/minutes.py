"""Past 1-minute bars of any symbol: from the store where its days are complete, else from the source, and then stored.

Floor 2. Blocking; called from the hub's backfill workers and from readers that page back.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Protocol

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.errors import HistoryError
from workbench.hub.merge import rebase_factor
from workbench.sessions import ny_ns, to_ny
from workbench.sources.base import History, Source

log = logging.getLogger(__name__)

BASIS_MINUTES = 30
LATE_NS = 20 * NS_PER_MIN  # providers change a minute for about a quarter of an hour after its end


class MinuteStore(Protocol):
    """What the archive needs of a store of closed minutes (`history/store.py` is one)."""

    def read(self, symbol: str, start_ns: int, end_ns: int) -> np.ndarray:
        """Return stored minutes, BAR_DTYPE, sorted."""

    def write(self, symbol: str, rows: np.ndarray, *, complete: tuple[int, int] | None = None) -> None:
        """Merge minutes; `complete` names a span that is proved to hold every bar there is."""

    def missing(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Return the spans not proved complete, oldest first."""

    def last(self, symbol: str, before_ns: int, limit: int) -> np.ndarray:
        """Return the newest `limit` minutes before a moment."""

    def forget(self, symbol: str, start_ns: int, end_ns: int) -> None:
        """Take out the minutes of a span; it is not proved complete any more."""

    def retire(self, symbol: str) -> object:
        """Put all minutes of a symbol aside."""


class MinuteArchive:
    """History of one source, remembered in a store when there is one."""

    def __init__(self, source: Source, store: MinuteStore | None, on_rebased: Callable[[str, float], None] | None = None) -> None:
        """`on_rebased` is told a symbol and the factor by which its provider's past prices were changed (10:1 split: 0.1)."""
        self._source = source
        self._on_rebased = on_rebased
        self._store = store
        self._basis_of: dict[str, date] = {}  # symbol -> New York date on which its stored prices were last compared
        self._doubted: deque[tuple[str, int, int]] = deque()  # spans that the store may tell wrongly

    def read(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return closed minutes of [start_ns, end_ns), never newer than the source's clock. Raises what the source raises.

        Minutes that late prints may still change are always read from the source, and never called complete in the store.
        """
        if self._store is None:
            return self._cut(self._source.history(symbol, start_ns, end_ns))
        while self._doubted:
            self._store.forget(*self._doubted.popleft())
        self._compare_basis(symbol)
        settled_ns = min(end_ns, (self._source.clock.now_ns() - LATE_NS) // NS_PER_MIN * NS_PER_MIN)
        answers = [self._ask(symbol, start, end, is_settled=True) for start, end in self._missing(symbol, start_ns, settled_ns)]
        if max(start_ns, settled_ns) < end_ns:
            answers.append(self._ask(symbol, max(start_ns, settled_ns), end_ns, is_settled=False))
        rows = self._store.read(symbol, start_ns, end_ns)
        notes = "; ".join(answer.note for answer in answers if answer.note)
        return self._cut(History(rows, all(answer.is_complete for answer in answers), notes))

    def doubt(self, symbol: str, start_ns: int, end_ns: int) -> None:
        """Have a span read from the source again, whatever the store says of it. Returns at once: the next read does it."""
        if self._store is not None:
            self._doubted.append((symbol, start_ns, end_ns))

    def _compare_basis(self, symbol: str) -> None:
        """Compare, once a day, the last minutes stored before today with what the source says of them now.

        Providers re-base all past prices at a split. Stored minutes would then stand at ten times the new price: they are set
        aside, and everything is read again.
        """
        today = to_ny(self._source.clock.now_ns()).date()
        if self._store is None or self._basis_of.get(symbol) == today:
            return
        stored = self._store.last(symbol, ny_ns(today, 0), BASIS_MINUTES)
        told = self._source.history(symbol, int(stored["ts_open"][0]), int(stored["ts_close"][-1])).rows if len(stored) else stored
        self._basis_of[symbol] = today
        factor = rebase_factor(told, stored)
        if factor != 1.0:
            log.warning("%s: the provider's past prices are %.6g times those stored (a split?)", symbol, factor)
            self._store.retire(symbol)
            if self._on_rebased is not None:
                self._on_rebased(symbol, factor)

    def _missing(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        return self._store.missing(symbol, start_ns, end_ns) if self._store is not None and start_ns < end_ns else []

    def _ask(self, symbol: str, start_ns: int, end_ns: int, *, is_settled: bool) -> History:
        """Read a span from the source into the store."""
        answer = self._cut(self._source.history(symbol, start_ns, end_ns))
        if self._store is not None and (len(answer.rows) or answer.is_complete):
            self._store.write(symbol, answer.rows, complete=(start_ns, end_ns) if answer.is_complete and is_settled else None)
        return answer

    @property
    def has_store(self) -> bool:
        """True when closed minutes are kept between runs."""
        return self._store is not None

    def keep(self, symbol: str, rows: np.ndarray) -> None:
        """Store closed minutes that the hub built; those not wholly seen are left for history to tell."""
        rows = rows[rows["is_complete"] == 1]
        if self._store is not None and len(rows):
            self._store.write(symbol, rows)

    def _cut(self, history: History) -> History:
        rows = history.rows
        if len(rows) > 1 and not (np.diff(rows["ts_open"]) > 0).all():
            raise HistoryError("history: received bars out of order or repeated; allowed: ascending ts_open without repeats")
        now_ns = self._source.clock.now_ns()
        return replace(history, rows=rows[rows["ts_close"] <= now_ns])
