"""The one bounded queue before the hub: batches wait here, in the order they came, for the hub's thread.

A replay waits for room; the market can't, so what a live source delivers into a full queue is lost, counted, and the moment of
the first loss kept until history can be asked. History waits in a line of its own, behind what happens now, and its readers wait
when that line is long: two years of minutes neither hold up a print nor fill the memory.

Floor 2. Any thread puts; one takes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple


class Item(NamedTuple):
    """One thing handed in: what it is, its content, how many rows of market data, and the market's clock at that moment."""

    kind: str
    payload: Any
    n_rows: int
    ts_ns: int


MAX_HISTORY = 16  # items of history that wait at most while a thread takes them


class Inbox:
    """Items in order, bounded by their rows.

    `is_open`: a thread takes items out, so that whoever may wait can wait for room. `n_dropped`: rows that were lost.
    """

    def __init__(self, now_ns: Callable[[], int], *, max_rows: int, can_wait: bool) -> None:
        self.is_open = False
        self.n_rows = self.n_dropped = 0
        self._now_ns, self._max_rows, self._can_wait = now_ns, max_rows, can_wait
        self._items: deque[Item] = deque()
        self._history: deque[Item] = deque()
        self._is_busy = False
        self._dropped_since: int | None = None  # market time of the earliest print or minute lost
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items) + len(self._history)

    def put(self, kind: str, payload: Any, n_rows: int = 0) -> None:
        """Add an item; rows of a live market that find no room are dropped."""
        with self._changed:
            while (is_full := self._is_full(n_rows)) and self._can_wait and self.is_open:
                self._changed.wait(0.05)
            if is_full:
                self._drop(kind, payload, n_rows)
                return
            self._items.append(Item(kind, payload, n_rows, self._now_ns()))
            self.n_rows += n_rows
            self._changed.notify_all()

    def put_history(self, kind: str, payload: Any) -> None:
        """Add an item of history; waits for room while somebody takes items out."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._history) < MAX_HISTORY or not self.is_open)
            self._history.append(Item(kind, payload, 0, self._now_ns()))
            self._changed.notify_all()

    def take(self, *, history: bool = False) -> Item | None:
        """Return the oldest item (of history), or None; until `rest` is called the hub counts as busy with it."""
        with self._changed:
            items = self._history if history else self._items
            if not items:
                return None
            item = items.popleft()
            self.n_rows -= item.n_rows
            self._is_busy = True
            return item

    def rest(self) -> None:
        """Say that what was taken is applied."""
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()

    def open(self) -> None:
        """Say that a thread takes items out from now on."""
        self.is_open = True

    def close(self) -> None:
        """Say that nobody takes items out any more, and wake who waits."""
        with self._changed:
            self.is_open = False
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Wait for an item, for the end, or for `timeout_s`."""
        with self._changed:
            if not len(self) and self.is_open:
                self._changed.wait(timeout_s)

    @property
    def is_idle(self) -> bool:
        """True when everything handed in is applied."""
        with self._changed:
            return not len(self) and not self._is_busy

    def wait_change(self, timeout_s: float) -> None:
        """Wait until something is handed in or applied, or for `timeout_s`."""
        with self._changed:
            self._changed.wait(timeout_s)

    def applied_ns(self, now_ns: int) -> int:
        """Return up to which moment everything is applied: when the oldest waiting item was handed in, or now."""
        with self._changed:
            return min(now_ns, self._items[0].ts_ns) if self._items else now_ns

    def dropped_since(self) -> int | None:
        """Return, once, since when rows were lost, as soon as there is room again; else None."""
        with self._changed:
            if self._dropped_since is None or self.n_rows >= self._max_rows // 2:
                return None
            since, self._dropped_since = self._dropped_since, None
            return since

    def forget_drops(self) -> None:
        """Forget since when rows were lost (the market is told anew)."""
        with self._changed:
            self._dropped_since = None

    def _is_full(self, n_rows: int) -> bool:
        return n_rows > 0 and self.n_rows + n_rows > self._max_rows and bool(self._items)

    def _drop(self, kind: str, payload: Any, n_rows: int) -> None:
        self.n_dropped += n_rows
        if kind != "quotes":
            first_ns = int(payload["ts_event"].min()) if kind == "trades" else int(payload[1]["ts_open"].min())
            self._dropped_since = first_ns if self._dropped_since is None else min(self._dropped_since, first_ns)
