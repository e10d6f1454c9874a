"""One-minute history through the vendor's REST client, read until it is proved complete.

The client hides what matters (a truncated page reads as the end of the data, 429 is retried within half a second, polygon's
time-outs are not applied), so its raw answers are taken and judged here: counts must agree, `next_url` is followed here, and
when the pages end early the provider is asked again for the rest until it says itself that nothing follows. Floor 2.

Facts: massive.com REST documentation; behaviour of polygon-api-client 1.16.3 and massive 2.9.1, read and run.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_MS, NS_PER_S, Clock, monotonic_ns
from workbench.errors import AuthError, HistoryError, SymbolError
from workbench.sources.base import History
from workbench.sources.polygon.vendor import ApiKey, Vendor
from workbench.types import BAR_DTYPE, BarSource, check_symbol

log = logging.getLogger(__name__)

PAGE_LIMIT = 50_000  # the largest that is allowed; counts minutes read, not rows returned
MAX_PAGES = 1_000
POOL_SIZE = 4


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


class Aggregate(msgspec.Struct, gc=False):
    """One bar of an answer; `t` = start in ms."""

    t: int
    o: float
    h: float
    l: float  # noqa: E741  the wire's own name
    c: float
    v: float = 0.0
    vw: float = math.nan
    n: float = math.nan


class Page(msgspec.Struct):
    """One answer. No `results` at all means no bars."""

    status: str = ""
    results: list[Aggregate] | None = None
    resultsCount: int | None = None  # noqa: N815  the wire's own name
    queryCount: int | None = None  # noqa: N815
    next_url: str | None = None


_LETTERS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "vwap": "vw", "n_trades": "n"}
_PAGE = msgspec.json.Decoder(Page)


class Problem(msgspec.Struct):
    """The body of a refusal; the sentence stands in `error` or in `message`."""

    status: str = ""
    error: str = ""
    message: str = ""


class MinuteHistory:
    """Reads closed one-minute bars. Safe to use from several threads; they share the pauses that the provider asks for.

    Parameters
    ----------
    vendor, key, base          The client's classes, the key, the address ('https://…').
    clock                      Only bars that are closed by it are returned.
    is_trading                 (start_ns, end_ns) -> whether anything may have traded in between; spares a question at night.
    requests_per_minute        The plan's limit (5 on the free plan); None: none.
    """

    def __init__(
        self,
        vendor: Vendor,
        key: ApiKey,
        base: str,
        *,
        clock: Clock,
        times: RestTimes | None = None,
        is_trading: Callable[[int, int], bool] = lambda _start, _end: True,
        requests_per_minute: int | None = None,
        adjusted: bool = True,
    ) -> None:
        self._times = times or RestTimes()
        self._clock = clock
        self._key = key
        self._is_trading = is_trading
        self._adjusted = adjusted
        self._bad_response = vendor.BadResponse
        self._pace = Pace(requests_per_minute)
        self._client = vendor.RESTClient(api_key=key.reveal(), base=base.rstrip("/"), pagination=False, retries=0)
        self._pool = _ObservedPool(self._client.client, self._times.timeout_s)
        self._client.client = self._pool

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
        found: dict[int, Aggregate] = {}  # ts_open -> bar
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
        return History(rows, is_complete=True, note=f"proved by counts and {questions} questions")

    def _read_pages(self, symbol: str, start: int, end: int, found: dict[int, Aggregate]) -> None:
        """Read one question's answer with all its pages into `found`."""

        def first_page() -> Any:
            return self._client.get_aggs(
                symbol,
                1,
                "minute",
                start // NS_PER_MS,
                end // NS_PER_MS - 1,
                adjusted=self._adjusted,
                sort="asc",
                limit=PAGE_LIMIT,
                raw=True,
            )

        ask: Callable[[], Any] = first_page
        for _ in range(MAX_PAGES):
            page = self._ask(ask, symbol)
            for bar in page.results or ():
                ts_open = bar.t * NS_PER_MS
                if start <= ts_open < end:  # the provider snaps the span to whole units
                    found[ts_open] = bar
            if not page.next_url:
                return
            ask = partial(self._client._get, path=_path_of(page.next_url), raw=True)  # the client's own way to page
        raise HistoryError(f"history of {symbol}: more than {MAX_PAGES} pages for one question; the provider's paging runs in a circle")

    def _ask(self, ask: Callable[[], Any], symbol: str) -> Page:
        """Return one page that can be believed, trying again with growing pauses."""
        trouble = ""
        for attempt in range(self._times.tries):
            self._pace.wait_turn()
            try:
                page = _PAGE.decode(ask().data)
                trouble = _contradiction(page)
                if not trouble:
                    return page
            except self._bad_response as error:
                trouble = self._judge(error, symbol, attempt)
                continue
            except msgspec.DecodeError as error:
                trouble = f"the answer is cut short or is no JSON ({error})"
            except OSError as error:  # urllib3's and the sockets' own
                trouble = f"{type(error).__name__}: {error}"
            except Exception as error:
                if not type(error).__module__.startswith("urllib3"):
                    raise
                trouble = f"{type(error).__name__}: {error}"
            log.debug("history of %s, try %d: %s", symbol, attempt + 1, self._key.hide_in(trouble))
            self._pace.hold(self._pause(attempt))
        raise HistoryError(
            self._key.hide_in(f"history of {symbol}: no believable answer in {self._times.tries} tries; the last: {trouble}")
        )

    def _judge(self, error: Exception, symbol: str, attempt: int) -> str:
        """Raise for refusals that no waiting mends; else wait as asked and return what was wrong."""
        status, headers = self._pool.last()
        said = self._key.hide_in(_said(str(error)))
        if status == 401:
            raise AuthError(f"the provider refused the API key ({said}); check it in your account's dashboard, then restart") from None
        if status == 403:
            raise AuthError(
                f"your plan does not include the history of {symbol} ({said}); choose another span or upgrade the plan"
            ) from None
        if status == 404:
            raise SymbolError(f"symbol: received {symbol!r}; the provider has no such symbol ({said})") from None
        if status == 429:
            asked = headers.get("Retry-After", "")
            is_number = asked.replace(".", "", 1).isdigit()
            pause = float(asked) if is_number else min(self._times.longest_pause_s, self._times.minute_pause_s * 2**attempt)
            self._pace.hold(pause)
            return f"too many requests ({said})"
        if status is None or status >= 500 or status in (408, 413, 499):
            self._pace.hold(self._pause(attempt))
            return f"the provider fails with {status} ({said[:200]})"
        raise HistoryError(f"history of {symbol}: the provider refused the question with {status} ({said[:200]})") from None

    def _pause(self, attempt: int) -> float:
        return min(self._times.longest_pause_s, self._times.first_pause_s * 2.0**attempt)

    def _rows(self, found: dict[int, Aggregate], now_ns: int) -> np.ndarray:
        """Return bars as rows by time; the newest ones, which late prints still change, are marked as not complete."""
        rows = np.zeros(len(found), BAR_DTYPE)
        stamps = sorted(found)
        bars = [found[stamp] for stamp in stamps]
        rows["ts_open"] = stamps
        rows["ts_close"] = rows["ts_open"] + NS_PER_MIN
        for name, letter in (
            ("open", "o"),
            ("high", "h"),
            ("low", "l"),
            ("close", "c"),
            ("volume", "v"),
            ("vwap", "vw"),
            ("n_trades", "n"),
        ):
            rows[name] = [getattr(bar, letter) for bar in bars]
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


class _ObservedPool:
    """The client's connection pool, with time-outs that apply, no hidden retries, and the last answer kept for who asked.

    The client throws away status and headers of a refusal (`BadResponse` has only the text), and polygon's ignores its time-outs.
    """

    def __init__(self, pool: Any, timeout_s: float) -> None:
        self._pool = pool
        pool.connection_pool_kw["maxsize"] = POOL_SIZE  # polygon's client keeps one, and urllib3 complains at the second thread
        self._timeout_s = timeout_s
        self._mine = threading.local()

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send one request, once."""
        self._mine.last = None
        response = self._pool.request(method, url, **options | {"timeout": self._timeout_s, "retries": False})
        self._mine.last = response
        return response

    def last(self) -> tuple[int | None, Any]:
        """Return (status, headers) of this thread's last answer."""
        response = getattr(self._mine, "last", None)
        return (None, {}) if response is None else (response.status, response.headers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


def _contradiction(page: Page) -> str:
    """Return why a page can't be believed, or ''."""
    if page.status not in ("OK", "DELAYED"):
        return f"status {page.status!r}"
    bars = page.results or []
    if page.resultsCount is not None and page.resultsCount != len(bars):
        return f"{len(bars)} bars where resultsCount says {page.resultsCount}"
    if any(later.t <= earlier.t for earlier, later in pairwise(bars)):
        return "bars are not in order of time"
    return ""


def _path_of(next_url: str) -> str:
    """Return path and query of a link to the next page: host and key stay our own."""
    parts = urlsplit(next_url)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name.lower() != "apikey"])
    return f"{parts.path}?{query}" if query else parts.path


def _said(body: str) -> str:
    """Return the sentence in a refusal's body."""
    try:
        problem = msgspec.json.decode(body.encode(), type=Problem)
    except msgspec.DecodeError:
        return body[:200]
    return problem.error or problem.message or problem.status
