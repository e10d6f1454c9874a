"""Failed log-ins: five lock a name or an address for 15 minutes, and twice as long each time after.

In: keys ("user:ann", "address:192.0.2.7") and a stopwatch. Out: how long a key has still to wait. Memory is bounded: the key that
has been quiet longest is forgotten first.

Floor 1.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from workbench.clock import NS_PER_S, monotonic_ns

FAILURES = 5
FIRST_LOCK_S = 15 * 60
LONGEST_LOCK_S = 24 * 3600
FORGET_S = 24 * 3600  # failures older than this no longer count
KEYS = 10_000


@dataclass(slots=True)
class _Record:
    failures: int = 0
    trying: int = 0  # tries whose outcome is not known yet
    locks: int = 0
    until_ns: int = 0
    last_ns: int = 0


class Lockout:
    """Counts failures by key and says who has to wait."""

    def __init__(self, stopwatch: Callable[[], int] = monotonic_ns) -> None:
        self._stopwatch = stopwatch
        self._records: OrderedDict[str, _Record] = OrderedDict()  # key -> its failures, quietest first
        self._lock = threading.Lock()

    def wait_s(self, *keys: str) -> int:
        """Return the longest time any of the keys has to wait [s], 0 when none is locked."""
        now = self._stopwatch()
        with self._lock:
            left = [record.until_ns - now for key in keys if (record := self._records.get(key)) is not None]
        return max(0, *(-(-ns // NS_PER_S) for ns in left)) if left else 0

    def begin(self, *keys: str) -> int:
        """Reserve one try for each key; return 0, or how long to wait first [s].

        Tries under way count as failures, so that many at once are not more than the five that are allowed.
        """
        wait_s = self.wait_s(*keys)
        if wait_s:
            return wait_s
        with self._lock:
            records = [self._records.setdefault(key, _Record()) for key in keys]
            if any(record.failures + record.trying >= FAILURES for record in records):
                return 1
            for record in records:
                record.trying += 1
            while len(self._records) > KEYS:
                self._records.popitem(last=False)
        return 0

    def fail(self, *keys: str) -> None:
        """End a try that failed; the fifth failure locks its keys."""
        now = self._stopwatch()
        with self._lock:
            for key in keys:
                record = self._records.pop(key, None) or _Record()
                record.trying = max(0, record.trying - 1)
                if now - record.last_ns > FORGET_S * NS_PER_S:
                    record.failures = record.locks = 0
                record.failures += 1
                record.last_ns = now
                if record.failures >= FAILURES:
                    length_s = min(FIRST_LOCK_S << min(record.locks, 10), LONGEST_LOCK_S)
                    record.until_ns, record.failures, record.locks = now + length_s * NS_PER_S, 0, record.locks + 1
                self._records[key] = record

    def succeed(self, *keys: str) -> None:
        """End a try that was right: forget the failures of its keys."""
        with self._lock:
            for key in keys:
                record = self._records.get(key)
                if record is not None:
                    record.trying, record.failures, record.locks = max(0, record.trying - 1), 0, 0
