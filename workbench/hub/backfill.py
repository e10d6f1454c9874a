"""History reads in the background: one at a time per symbol, retried, never asked for twice.

The hub says which span of which symbol it wants; spans that overlap one still waiting are joined, a span already under way
is not asked for again. A read that failed, or that could not prove itself complete, is tried again with growing pauses; one
that can't succeed (bad key, unknown symbol) is given up at once. Results go back to the hub, which merges them by rule.

Floor 2. Threads of its own; calls nothing but the two functions it was given.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import AuthError, SymbolError
from workbench.sources.base import History

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 8
MAX_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """One span to read: start_ns <= ts_open < end_ns of `symbol`. `epoch` is the hub's when it was asked for."""

    symbol: str
    start_ns: int
    end_ns: int
    epoch: int
    after_ns: int = 0  # market time before which the span can't be had: its last minute is still open
    due_ns: int = 0  # stopwatch time before which it is not tried again
    attempt: int = 1
    failure: str = ""  # why it failed when it was last tried


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a read ended. Exactly one of `history` and `error` is set.

    `is_final` when it will not be tried again by itself, `is_hopeless` when asking again is of no use.
    """

    job: Job
    history: History | None
    error: Exception | None
    is_final: bool
    is_hopeless: bool = False


class Backfiller:
    """Runs history reads on a few worker threads."""

    def __init__(
        self,
        fetch: Callable[[str, int, int], History],
        deliver: Callable[[Outcome], None],
        now_ns: Callable[[], int],
        *,
        workers: int = 2,
        retry_s: float = 1.0,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self._fetch = fetch
        self._deliver = deliver
        self._now_ns = now_ns
        self._retry_s = retry_s
        self._max_attempts = max_attempts
        self._n_workers = workers
        self._waiting: list[Job] = []
        self._running: dict[str, Job] = {}  # symbol -> job under way
        self._delivering: list[Job] = []  # read, about to be handed to the hub
        self._wake = threading.Condition()
        self._is_stopped = True
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the workers."""
        with self._wake:
            if not self._is_stopped:
                return
            self._is_stopped = False
        self._threads = [threading.Thread(target=self._work, name=f"backfill-{i}", daemon=True) for i in range(self._n_workers)]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop after the reads under way; what waits is read after the next start."""
        with self._wake:
            self._is_stopped = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout_s)

    def want(self, symbol: str, start_ns: int, end_ns: int, *, epoch: int, after_ns: int = 0) -> None:
        """Ask for a span, to be read once market time has passed `after_ns`.

        Joined with a waiting span that it overlaps; ignored when one under way covers it.
        """
        if end_ns <= start_ns:
            return
        job = Job(symbol, start_ns, end_ns, epoch, after_ns)
        with self._wake:
            self._add(job)
            self._wake.notify()

    def due(self, symbol: str | None = None) -> int:
        """Return how many reads could run now or are running: what `pending` counts, less those whose minutes are still open."""
        with self._wake:
            market_now = self._now_ns()
            jobs = [*(job for job in self._waiting if job.after_ns <= market_now), *self._running.values(), *self._delivering]
        return sum(symbol in (None, job.symbol) for job in jobs)

    def failure(self, symbol: str | None = None) -> str:
        """Return why a read that will be tried again failed last, '' when none did."""
        with self._wake:
            jobs = [*self._waiting, *self._running.values(), *self._delivering]
        return next((job.failure for job in jobs if job.failure and symbol in (None, job.symbol)), "")

    def pending(self, symbol: str | None = None) -> int:
        """Return how many reads wait or are under way, of one symbol or of all."""
        with self._wake:
            jobs = [*self._waiting, *self._running.values(), *self._delivering]
        return len(jobs) if symbol is None else sum(job.symbol == symbol for job in jobs)

    def run_due(self) -> int:
        """Run every read that is due on the calling thread (for use without workers); returns how many ran."""
        n = 0
        while (job := self._take()) is not None:
            self._run(job)
            n += 1
        return n

    def _add(self, job: Job) -> None:
        running = self._running.get(job.symbol)
        is_covered = running and running.epoch == job.epoch and running.start_ns <= job.start_ns and job.end_ns <= running.end_ns
        market_now = self._now_ns()
        if is_covered and running and job.after_ns <= running.after_ns:
            return  # else its last minutes may have been open still when the present read began
        for i, other in enumerate(self._waiting):
            overlaps = other.start_ns < job.end_ns and job.start_ns < other.end_ns
            # a span that can be had now never waits for one whose minute is open: a flapping feed would put it off for ever
            is_as_soon = other.after_ns == job.after_ns or max(other.after_ns, job.after_ns) <= market_now
            if other.symbol == job.symbol and other.epoch == job.epoch and overlaps and is_as_soon and other.attempt == job.attempt == 1:
                self._waiting[i] = replace(
                    other,
                    start_ns=min(other.start_ns, job.start_ns),
                    end_ns=max(other.end_ns, job.end_ns),
                    after_ns=max(other.after_ns, job.after_ns),
                )
                return
        self._waiting.append(job)

    def _take(self) -> Job | None:
        """Return the next due job whose symbol is free, newest span first, and mark it as under way."""
        with self._wake:
            now, market_now = monotonic_ns(), self._now_ns()
            ready = [j for j in self._waiting if j.due_ns <= now and j.after_ns <= market_now and j.symbol not in self._running]
            if not ready:
                return None
            job = max(ready, key=lambda j: j.end_ns)
            self._waiting.remove(job)
            self._running[job.symbol] = job
            return job

    def _work(self) -> None:
        while not self._is_stopped:
            job = self._take()
            if job is not None:
                self._run(job)
                continue
            with self._wake:
                if not self._is_stopped:
                    self._wake.wait(self._pause_s())

    def _pause_s(self) -> float:
        if not self._waiting:
            return 1.0
        wait_ns = min(job.due_ns for job in self._waiting) - monotonic_ns()
        return min(0.05, max(0.005, wait_ns / NS_PER_S))

    def _run(self, job: Job) -> None:
        history: History | None = None
        error: Exception | None = None
        try:
            history = self._fetch(job.symbol, job.start_ns, job.end_ns)
        except Exception as caught:  # noqa: BLE001  a provider may raise anything; the outcome carries it to the health record
            error = caught
            log.warning("history of %s failed (attempt %d): %s", job.symbol, job.attempt, caught)
        is_hopeless = isinstance(error, AuthError | SymbolError)
        is_good = history is not None and history.is_complete
        is_final = is_good or is_hopeless or job.attempt >= self._max_attempts
        with self._wake:
            self._running.pop(job.symbol, None)
            self._delivering.append(job)
            if not is_final:
                pause_s = min(MAX_PAUSE_S, self._retry_s * 2 ** (job.attempt - 1))
                why = "" if error is None else str(error) or type(error).__name__
                due_ns = monotonic_ns() + int(pause_s * NS_PER_S)
                self._waiting.append(replace(job, attempt=job.attempt + 1, due_ns=due_ns, failure=why))
            self._wake.notify_all()
        try:
            self._deliver(Outcome(job, history, error, is_final, is_hopeless=is_hopeless))
        finally:
            with self._wake:
                self._delivering.remove(job)
