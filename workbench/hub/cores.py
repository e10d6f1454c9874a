"""Work in pieces on all cores that the process may use.

Floor 2. For kernels that give up the interpreter's lock.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _others() -> ThreadPoolExecutor:
    """Return threads for all cores but one; kept, because to start and to end one takes as long as a piece of work."""
    return ThreadPoolExecutor(max(cores() - 1, 1), thread_name_prefix="core")


def share(run: Callable[..., None], pieces: Iterable[tuple[Any, ...]]) -> None:
    """Call `run(*piece)` for all pieces, on this thread and the others: each takes the next one that nobody has begun.

    A thread that got no core meanwhile is not waited for: on a busy machine this takes no longer than one thread alone.
    """
    left = iter(list(pieces))

    def work() -> None:
        for piece in left:
            run(*piece)

    helping = [_others().submit(work) for _ in range(cores() - 1)]
    work()
    for helper in helping:
        if not helper.cancel():
            helper.result()
