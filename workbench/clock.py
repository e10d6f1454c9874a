"""The one place that reads the time.

Everything else is given a `Clock`. Live uses `WallClock`; replay and accelerated simulation use `ReplayClock`, which
stands where the source last put it, so nothing on any screen can be newer than the replayed moment.

Floor 0: standard library only. Times are int64 nanoseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol, runtime_checkable

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_MIN = 60 * NS_PER_S


@runtime_checkable
class Clock(Protocol):
    """What the rest of the package may ask about time."""

    def now_ns(self) -> int:
        """Return the market's present moment [ns UTC]."""
        ...


class WallClock:
    """The machine's clock; the present moment of a live market."""

    def now_ns(self) -> int:
        """Return the machine's time [ns UTC]."""
        return time.time_ns()


class ReplayClock:
    """A clock that stands still until it is moved; seeking moves it backwards too."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = int(start_ns)
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        """Return the replayed moment [ns UTC]."""
        return self._now_ns

    def advance_to(self, ts_ns: int) -> None:
        """Move forward to `ts_ns`; an earlier moment is ignored (time never runs backwards by itself)."""
        with self._lock:
            self._now_ns = max(self._now_ns, int(ts_ns))

    def seek(self, ts_ns: int) -> None:
        """Put the clock at `ts_ns`, in either direction."""
        with self._lock:
            self._now_ns = int(ts_ns)


def monotonic_ns() -> int:
    """Return a stopwatch reading [ns]; only differences mean anything. For latency and time-outs, never for market time."""
    return time.monotonic_ns()


def sleep_s(seconds: float) -> None:
    """Pause the calling thread for real seconds."""
    time.sleep(seconds)
