"""A fixed-size history of records whose newest `capacity` rows are always one contiguous slice.

The buffer is four times the capacity; rows slide through it and are moved to the front only when the end is reached, so an
append costs one store and a view costs one slice. Floor 2: numpy only.
"""

from __future__ import annotations

import numpy as np

SLACK = 4


class Ring:
    """The newest `capacity` rows of one dtype, oldest first.

    A view handed out is valid until the ring is written to again (`version` changes): compaction moves rows under it. Who
    keeps rows copies them. Not thread-safe: the owner locks.
    """

    __slots__ = ("_buffer", "_bytes", "_dtype", "_end", "_start", "capacity", "version")

    def __init__(self, capacity: int, dtype: np.dtype) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: received {capacity}; allowed: 1 or more")
        self.capacity = capacity
        self.version = 0
        self._dtype = np.dtype(dtype)
        self._buffer = np.zeros(SLACK * capacity, self._dtype)
        self._bytes = self._buffer.view(np.dtype(f"V{self._dtype.itemsize}"))  # the same rows without fields: stored 6 times faster
        self._start = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def append(self, row: np.ndarray) -> None:
        """Add one row (a numpy void, a 0-d or (1,) array of the ring's dtype); the oldest falls out when full."""
        if row.dtype is not self._dtype and row.dtype != self._dtype:
            raise TypeError(f"row: received {row.dtype}; allowed: {self._dtype}")
        end = self._end
        if end == SLACK * self.capacity:
            end = self._compact(self.capacity - 1)
        try:
            self._bytes[end] = row
        except TypeError:  # a 0-d array
            self._buffer[end] = row
        self._end = end = end + 1
        if end - self._start > self.capacity:
            self._start = end - self.capacity
        self.version += 1

    def extend(self, rows: np.ndarray) -> None:
        """Add many rows in order; only the newest `capacity` survive."""
        rows = rows[-self.capacity :]
        end = self._end
        if end + len(rows) > len(self._buffer):
            end = self._compact(self.capacity - len(rows))
        self._buffer[end : end + len(rows)] = rows
        self._end = end + len(rows)
        self._start = max(self._start, self._end - self.capacity)
        self.version += 1

    def view(self) -> np.ndarray:
        """Return the rows, oldest first, without copying. Valid until the next write."""
        return self._buffer[self._start : self._end]

    def clear(self) -> None:
        """Forget all rows."""
        self._start = self._end = 0
        self.version += 1

    def _compact(self, keep: int) -> int:
        """Move the newest `keep` rows (or fewer) to the front and return the new end."""
        kept = self._buffer[max(self._start, self._end - keep) : self._end].copy() if keep > 0 else self._buffer[:0]
        self._buffer[: len(kept)] = kept
        self._start, self._end = 0, len(kept)
        return self._end
