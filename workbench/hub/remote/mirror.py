"""A series of another process, kept the same here: same bars, same sequence numbers, same epoch, same forming bar.

The first content, and any after a break that can't be told change by change, is a snapshot; from then on the hub's changes are
taken in order. A change carries its number, so one that comes twice (once in the snapshot, once on the stream) is taken once.
Readers hold the same cursors as on the hub itself. Floor 2. Written by the link's thread alone.
"""

from __future__ import annotations

import bisect
import threading

import numpy as np

from workbench.errors import SymbolError
from workbench.hub.series import Numbering, Series, newest_by_time
from workbench.types import Timeframe


class MirroredSeries(Series):
    """One symbol and timeframe of a hub elsewhere.

    `upto`: every change of the series with a number up to this one is here; None before the first snapshot, or when what was
    missed can't be told any more. What is held stays readable meanwhile.
    """

    def __init__(self, symbol: str, timeframe: Timeframe, capacity: int) -> None:
        super().__init__(symbol, timeframe, capacity, Numbering())
        self.upto: int | None = None
        self.refusal: SymbolError | None = None  # the hub's last word on it, when it will not have it
        self.is_settled = threading.Event()  # read, or refused: whoever asked for it need wait no longer

    def load(self, rows: np.ndarray, forming: np.ndarray, *, epoch: int, seq: int, upto: int) -> None:
        """Take a snapshot: closed bars by time, the bars still open, the number of the newest change, the hub's newest number."""
        with self._lock:
            is_same = (self._numbering.epoch, self.seq) == (epoch, seq)
            self._bars.clear()
            self._bars.extend(rows)
            self._log.clear()
            self.seq = self._reset_seq = seq
            self._numbering.epoch, self._numbering.seq = epoch, upto
            self._n_changes += not is_same
            self._forming = forming if len(forming) else None
            self._forming_version += 1
        self.upto = upto
        self.is_settled.set()

    def take(self, rows: np.ndarray) -> int:
        """Take closed bars in order of change; those that are here already are left out. Returns how many were new."""
        with self._lock:
            rows = rows[rows["seq"] > self.seq]
            if not len(rows):
                return 0
            self.seq = int(rows["seq"][-1])
            self._numbering.seq = max(self._numbering.seq, self.seq)
            self._n_changes += len(rows)
            self._place(newest_by_time(rows))
            self._log.extend(rows)
        return len(rows)

    def told_up_to(self, epoch: int, seq: int) -> None:
        """Note that every change up to this number was told."""
        if self.upto is not None and epoch == self.epoch:
            self.upto = self._numbering.seq = max(self.upto, seq)

    def forget(self) -> None:
        """Have everything read anew; what is held stays readable until then, and nobody waits for it."""
        self.upto = None

    def renew(self) -> None:
        """Have everything read as if for the first time."""
        self.upto = self.refusal = None
        self.is_settled.clear()

    def refuse(self, why: SymbolError) -> None:
        """Note that the hub will not have it."""
        self.refusal = why
        self.is_settled.set()

    def _place(self, rows: np.ndarray) -> None:
        """Put bars (by time, unique) where they belong; of one stamp the new one stands."""
        held = self._bars.view()
        first = bisect.bisect_left(held["ts_open"], rows["ts_open"][0])  # a search of the whole column would copy it
        if first == len(held):
            self._bars.extend(rows)
            return
        kept, tail = held[:first].copy(), newest_by_time(np.concatenate([held[first:], rows]))
        self._bars.clear()
        self._bars.extend(np.concatenate([kept, tail]))
