"""Writes closed minutes to the store now and then, on a thread of its own: what is lost with a power cut is read again anyhow.

Floor 2. Which minutes are not stored yet is noted by the hub's thread, under its lock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.errors import StoreError
from workbench.hub.minutes import MinuteArchive
from workbench.types import BarSource

log = logging.getLogger(__name__)

SAVE_EVERY_S = 30.0


class MinuteSaver:
    """Knows since when each symbol's minutes are not stored, and stores them.

    `read(symbol, start_ns)` returns its closed minutes from a moment on; `note_failure` counts a write that failed.
    """

    def __init__(self, archive: MinuteArchive, lock: Any, read: Callable[[str, int], np.ndarray], note_failure: Callable[[], None]) -> None:
        self._archive, self._lock, self._read, self._note_failure = archive, lock, read, note_failure
        self._unstored: dict[str, int] = {}  # symbol -> ts_open of its first minute that is not stored yet
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread, when there is a store."""
        if self._archive.has_store:
            self._stopped = threading.Event()
            threading.Thread(target=self._run, args=(self._stopped,), name="hub-store", daemon=True).start()

    def stop(self) -> None:
        """End the thread and write what is left."""
        self._stopped.set()
        self.save()

    def note(self, symbol: str, rows: np.ndarray) -> None:
        """Note minutes that have changed (BAR_DTYPE, oldest first); those that came from history are stored already."""
        if self._archive.has_store and rows["source"][-1] in (BarSource.TRADES, BarSource.PROVIDER):
            self._note_from(symbol, int(rows["ts_open"][0]))

    def save(self) -> None:
        """Write the minutes that are not stored yet. What can't be written is tried again at the next turn: memory holds it."""
        with self._lock:
            spans, self._unstored = self._unstored, {}
            parts = {symbol: self._read(symbol, start_ns) for symbol, start_ns in spans.items()}
        for symbol, rows in parts.items():
            try:
                self._archive.keep(symbol, rows)
            except (StoreError, OSError) as error:
                self._note_failure()
                log.error("bars of %s are not stored: %s", symbol, error)  # noqa: TRY400  the sentence is enough, no traceback
                with self._lock:
                    self._note_from(symbol, spans[symbol])

    def _note_from(self, symbol: str, start_ns: int) -> None:
        self._unstored[symbol] = min(start_ns, self._unstored.get(symbol, start_ns))

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(SAVE_EVERY_S):
            self.save()
