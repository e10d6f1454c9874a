"""How much one address or caller may ask: a bucket of tokens that refills, and a number of requests open at once.

Floor 1. Memory is bounded: the key that has been quiet longest is forgotten first.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workbench.clock import NS_PER_S, monotonic_ns

KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too much. Rates are requests per second, sizes bytes."""

    rate_per_s: float
    burst: int
    open_at_once: int
    body_bytes: int = 64 * 1024
    url_bytes: int = 4096
    header_bytes: int = 16 * 1024
    header_count: int = 100


FROM_HERE = Limits(rate_per_s=2_000, burst=10_000, open_at_once=1_000)  # a runaway loop on this machine, nothing less
FROM_ELSEWHERE = Limits(rate_per_s=50, burst=300, open_at_once=64)


class Rates:
    """One token bucket for each key."""

    def __init__(self, stopwatch: Callable[[], int] = monotonic_ns) -> None:
        self._stopwatch = stopwatch
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()  # key -> (tokens left, when they were counted)
        self._lock = threading.Lock()

    def take(self, key: str, limits: Limits) -> int:
        """Take one token; return 0, or after how many whole seconds there is one again."""
        now = self._stopwatch()
        with self._lock:
            left, then = self._buckets.pop(key, (float(limits.burst), now))
            left = min(float(limits.burst), left + (now - then) / NS_PER_S * limits.rate_per_s)
            is_enough = left >= 1.0
            self._buckets[key] = (left - 1.0 if is_enough else left, now)
            if len(self._buckets) > KEYS:
                self._buckets.popitem(last=False)
        return 0 if is_enough else max(1, math.ceil((1.0 - left) / limits.rate_per_s))


class Crowd:
    """How many requests each address has open, streams included."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def entering(self, address: str, limits: Limits) -> Iterator[bool]:
        """Count one request while it lasts; yields whether there was room for it."""
        with self._lock:
            has_room = self._open[address] < limits.open_at_once
            self._open[address] += 1
        try:
            yield has_room
        finally:
            with self._lock:
                self._open[address] -= 1
                if not self._open[address]:
                    del self._open[address]


def network(address: str) -> str:
    """Return what counts as one address: IPv4 itself, the /64 of IPv6 (one household holds 2^64), other text as it is."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(number, ipaddress.IPv6Address):
        if number.ipv4_mapped is not None:
            return str(number.ipv4_mapped)
        return str(ipaddress.ip_network((number, 64), strict=False).network_address)
    return str(number)
