"""Polygon's one-minute history through the vendor's REST client; `live/history.py` says when it is complete.

The client's raw answers are taken and judged here: counts must agree, `next_url` is followed here.

Facts: massive.com REST documentation; behaviour of polygon-api-client 1.16.3 and massive 2.9.1, read and run. Floor 2.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from workbench.clock import NS_PER_MS
from workbench.sources.live.api_key import ApiKey
from workbench.sources.live.history import Doubt, Minute, MinuteHistory, Refusal
from workbench.sources.polygon.vendor import Vendor

PAGE_LIMIT = 50_000  # the largest that is allowed; counts minutes read, not rows returned
POOL_SIZE = 4


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


_PAGE = msgspec.json.Decoder(Page)


class Problem(msgspec.Struct):
    """The body of a refusal; the sentence stands in `error` or in `message`."""

    status: str = ""
    error: str = ""
    message: str = ""


class PolygonHistory(MinuteHistory):
    """Polygon's minutes.

    Parameters
    ----------
    vendor, key, base          The client's classes, the key, the address ('https://…').
    adjusted                   Whether past prices are adjusted for splits.
    more                       What `MinuteHistory` takes.
    """

    def __init__(self, vendor: Vendor, key: ApiKey, base: str, *, adjusted: bool = True, **more: Any) -> None:
        super().__init__(**more)
        self._key = key
        self._adjusted = adjusted
        self._bad_response = vendor.BadResponse
        self._client = vendor.RESTClient(api_key=key.reveal(), base=base.rstrip("/"), pagination=False, retries=0)
        self._pool = _ObservedPool(self._client.client, self._times.timeout_s)
        self._client.client = self._pool

    def _hide(self, text: str) -> str:
        return self._key.hide_in(text)

    def _page(self, symbol: str, start_ns: int, end_ns: int, token: str | None) -> tuple[list[Minute], str | None]:
        page: Page = self.fetch(lambda _client: self._answer(symbol, start_ns, end_ns, token), _PAGE)
        trouble = _contradiction(page)
        if trouble:
            raise Doubt(trouble)
        bars = [Minute(bar.t * NS_PER_MS, bar.o, bar.h, bar.l, bar.c, bar.v, bar.vw, bar.n) for bar in page.results or ()]
        return bars, path_of(page.next_url) if page.next_url else None

    def fetch(self, send: Callable[[Any], Any], decoder: msgspec.json.Decoder[Any]) -> Any:
        """Return the decoded answer to what `send` asks the client for, once; Refusal or Doubt."""
        try:
            return decoder.decode(send(self._client).data)
        except self._bad_response as error:
            status, headers = self._pool.last()
            raise Refusal(status, headers, _said(str(error))) from None
        except msgspec.DecodeError as error:
            raise Doubt(f"the answer is cut short or is no JSON ({error})") from None
        except Exception as error:
            if not isinstance(error, OSError) and not type(error).__module__.startswith("urllib3"):
                raise
            raise Doubt(f"{type(error).__name__}: {error}") from None

    def _answer(self, symbol: str, start_ns: int, end_ns: int, path: str | None) -> Any:
        if path is not None:
            return self._client._get(path=path, raw=True)  # the client's own way to page
        span = (start_ns // NS_PER_MS, end_ns // NS_PER_MS - 1)
        return self._client.get_aggs(symbol, 1, "minute", *span, adjusted=self._adjusted, sort="asc", limit=PAGE_LIMIT, raw=True)


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


def path_of(next_url: str) -> str:
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
