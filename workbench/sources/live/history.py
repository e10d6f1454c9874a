"""One-minute history of a live provider, read until it is proved complete.

Vendors' REST clients hide what matters (a truncated page reads as the end of the data, refusals are retried blindly or not at
all, time-outs are not applied), so single pages are asked for here and judged, pauses are kept for all threads together, and when
the pages end early the provider is asked again for the rest until it says itself that nothing follows. How one page is asked for
stands in each provider's subclass. Floor 2.
"""

from __future__ import annotations

import logging
import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_S, Clock, monotonic_ns
from workbench.errors import AuthError, HistoryError, SourceError, SymbolError
from workbench.sources.base import History
from workbench.types import BAR_DTYPE, BarSource, check_symbol

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_PAGES = 1_000


@dataclass(frozen=True, slots=True)
class RestTimes:
    """How long to wait for what [s].

    `minute_pause_s`: first pause after 429 without Retry-After (limits are per minute); `settle_s`: for how long after its end
    a bar still changes (late prints), so that it is not called complete.
    """

    timeout_s: float = 10.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0
    minute_pause_s: float = 15.0
    settle_s: float = 120.0
    tries: int = 7


class Minute(NamedTuple):
    """One bar of an answer."""

    ts_open: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    vwap: float = math.nan
    n_trades: float = math.nan


class Refusal(Exception):
    """An answer other than success: status (None when there was none), headers, and the sentence in it."""

    def __init__(self, status: int | None, headers: Mapping[str, str], said: str) -> None:
        super().__init__(said)
        self.status, self.headers, self.said = status, headers, said


class Doubt(Exception):
    """An answer that can't be believed, or that did not come; its text says why. Worth asking again."""


class MinuteHistory(ABC):
    """Reads closed one-minute bars. Safe to use from several threads; they share the pauses that the provider asks for.

    Parameters
    ----------
    clock                      Only bars that are closed by it are returned.
    is_trading                 (start_ns, end_ns) -> whether anything may have traded in between; spares a question at night.
    requests_per_minute        The plan's limit; None: none.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        times: RestTimes | None = None,
        is_trading: Callable[[int, int], bool] = lambda _start, _end: True,
        requests_per_minute: int | None = None,
    ) -> None:
        self._times = times or RestTimes()
        self._clock = clock
        self._is_trading = is_trading
        self._pace = Pace(requests_per_minute)

    @abstractmethod
    def _page(self, symbol: str, start_ns: int, end_ns: int, token: Any) -> tuple[list[Minute], Any]:
        """Ask once for a page of start_ns <= ts_open < end_ns; return (its bars, token of the next page or None).

        `token` None asks for the first. Raises Refusal or Doubt. Bars a little outside the span are allowed.
        """

    @abstractmethod
    def _hide(self, text: str) -> str:
        """Return text without keys."""

    def _meaning(self, refusal: Refusal, symbol: str) -> SourceError | SymbolError | None:  # noqa: ARG002
        """Return the error for a refusal that only this provider gives and no waiting mends; None: what the status says."""
        return None

    def _asked_pause_s(self, headers: Mapping[str, str]) -> float | None:
        """Return the pause that a refusal for too many requests asks for [s], None when it does not say."""
        asked = headers.get("Retry-After", "")
        return float(asked) if asked.replace(".", "", 1).isdigit() else None

    def open(self) -> None:
        """Allow reads again after `close`."""
        self._pace.open()

    def close(self) -> None:
        """Make reads that wait give up."""
        self._pace.close()

    def read(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return the bars with start_ns <= ts_open < end_ns that are closed, oldest first.

        Raises HistoryError when the provider fails or can't be believed, SymbolError for a symbol it does not know, AuthError
        for a refused key or a plan without this data.
        """
        check_symbol(symbol)
        now_ns = self._clock.now_ns()
        start = -(-start_ns // NS_PER_MIN) * NS_PER_MIN
        end = min(end_ns, now_ns // NS_PER_MIN * NS_PER_MIN)
        if start >= end:
            return History.empty("nothing is closed in this span yet")
        found: dict[int, Minute] = {}  # ts_open -> bar
        position, questions = start, 0
        while True:
            questions += 1
            n_before = len(found)
            self._read_pages(symbol, position, end, found)
            following = max(found, default=start - NS_PER_MIN) + NS_PER_MIN
            if len(found) == n_before and questions > 1:
                break  # asked about the rest alone, the provider says there is none
            position = max(position, following)
            if position >= end or not self._is_trading(position, end):
                break
        rows = self._rows(found, now_ns)
        return History(rows, is_complete=True, note=f"proved: {questions} questions, and the provider has nothing more")

    def _read_pages(self, symbol: str, start: int, end: int, found: dict[int, Minute]) -> None:
        """Read one question's answer with all its pages into `found`."""
        token: Any = None
        for _ in range(MAX_PAGES):
            bars, token = self._ask(symbol, start, end, token)
            found.update({bar.ts_open: bar for bar in bars if start <= bar.ts_open < end})  # providers snap spans to whole units
            if token is None:
                return
        raise HistoryError(f"history of {symbol}: more than {MAX_PAGES} pages for one question; the provider's paging runs in a circle")

    def _ask(self, symbol: str, start: int, end: int, token: Any) -> tuple[list[Minute], Any]:
        return self.ask("history", symbol, lambda: self._page(symbol, start, end, token))

    def ask(self, what: str, symbol: str, once: Callable[[], T]) -> T:
        """Return an answer that can be believed, trying again with growing pauses; errors as of `read`.

        `once` asks once and raises Refusal or Doubt; `what` ('history', 'chain') is for the errors' sentences.
        """
        trouble = ""
        for attempt in range(self._times.tries):
            self._pace.wait_turn()
            try:
                return once()
            except Refusal as refusal:
                trouble = self._judge(refusal, what, symbol, attempt)
            except Doubt as doubt:
                trouble = str(doubt)
                self._pace.hold(self._pause(attempt))
            log.debug("%s of %s, try %d: %s", what, symbol, attempt + 1, self._hide(trouble))
        raise HistoryError(self._hide(f"{what} of {symbol}: no believable answer in {self._times.tries} tries; the last: {trouble}"))

    def _judge(self, refusal: Refusal, what: str, symbol: str, attempt: int) -> str:
        """Raise for refusals that no waiting mends; else wait as asked and return what was wrong."""
        status, said = refusal.status, self._hide(refusal.said[:200])
        meant = self._meaning(refusal, symbol)
        if meant is not None:
            raise meant from None
        if status == 401:
            self._refuse_key(said)
        if status == 403:
            raise AuthError(
                f"your plan does not include the {what} of {symbol} ({said}); choose another span or upgrade the plan"
            ) from None
        if status == 404:
            raise SymbolError(f"symbol: received {symbol!r}; the provider has no such symbol ({said})") from None
        if status == 429:
            asked_s = self._asked_pause_s(refusal.headers)
            usual_s = min(self._times.longest_pause_s, self._times.minute_pause_s * 2**attempt)
            self._pace.hold(usual_s if asked_s is None else asked_s)
            return f"too many requests ({said})"
        if status is None or status >= 500 or status in (408, 413, 499):
            self._pace.hold(self._pause(attempt))
            return f"the provider fails with {status} ({said})"
        raise HistoryError(f"{what} of {symbol}: the provider refused the question with {status} ({said})") from None

    @staticmethod
    def _refuse_key(said: str) -> NoReturn:
        raise AuthError(f"the provider refused the API key ({said}); check it in your account's dashboard, then restart") from None

    def _pause(self, attempt: int) -> float:
        return min(self._times.longest_pause_s, self._times.first_pause_s * 2.0**attempt)

    def _rows(self, found: dict[int, Minute], now_ns: int) -> np.ndarray:
        """Return bars as rows by time; the newest ones, which late prints still change, are marked as not complete."""
        rows = np.zeros(len(found), BAR_DTYPE)
        bars = [found[stamp] for stamp in sorted(found)]
        for name in Minute._fields:
            rows[name] = [getattr(bar, name) for bar in bars]
        rows["ts_close"] = rows["ts_open"] + NS_PER_MIN
        rows["vw_std"] = np.nan
        rows["source"] = BarSource.REST
        rows["is_complete"] = rows["ts_close"] <= now_ns - int(self._times.settle_s * NS_PER_S)
        return rows[rows["ts_close"] <= now_ns]


class Pace:
    """When the next request may be sent, for all threads together."""

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._sent: deque[int] = deque()  # stopwatch times of the last minute's requests
        self._not_before = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def wait_turn(self) -> None:
        """Wait until a request may be sent; HistoryError when closed meanwhile."""
        while True:
            with self._lock:
                now = monotonic_ns()
                wait_ns = self._not_before - now
                if self._per_minute is not None:
                    while self._sent and self._sent[0] <= now - 60 * NS_PER_S:
                        self._sent.popleft()
                    if len(self._sent) >= self._per_minute:
                        wait_ns = max(wait_ns, self._sent[0] + 60 * NS_PER_S - now)
                if wait_ns <= 0 and not self._closed.is_set():
                    self._sent.append(now)
                    return
            if self._closed.wait(max(wait_ns, 0) / NS_PER_S):
                raise HistoryError("history: the source was stopped")

    def hold(self, seconds: float) -> None:
        """Send nothing for this long."""
        with self._lock:
            self._not_before = max(self._not_before, monotonic_ns() + int(seconds * NS_PER_S))

    def open(self) -> None:
        """Let requests wait and go again."""
        self._closed.clear()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed.set()
