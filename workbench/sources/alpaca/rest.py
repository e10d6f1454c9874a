"""Alpaca's one-minute history through alpaca-py; `live/history.py` says when it is complete.

The client waits without end (it sends no time-out) and repeats 429 and 504 by itself with `time.sleep`. So its sessions get a
time-out, its retries are off, and it is asked for one page at a time: pages, pauses and proof are kept here. Prices are raw.

Facts: docs.alpaca.markets; alpaca-py 0.44.0, read and run. Floor 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from workbench.clock import NS_PER_MIN, NS_PER_S
from workbench.errors import AuthError, SourceError, SymbolError
from workbench.sources.alpaca.vendor import Vendor
from workbench.sources.base import History
from workbench.sources.live.api_key import ApiKey
from workbench.sources.live.history import Doubt, Minute, MinuteHistory, Refusal

T = TypeVar("T")
PAGE_LIMIT = 10_000  # the largest that is allowed
RECENT_NS = 16 * NS_PER_MIN  # plans without real-time data end 15 minutes ago; one more, so that no clock spoils it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RestBar(msgspec.Struct, gc=False):
    """One bar of an answer, by its start."""

    t: datetime
    o: float
    h: float
    l: float  # noqa: E741  the wire's own name
    c: float
    v: float = 0.0
    n: float = math.nan
    vw: float = math.nan


class Page(msgspec.Struct):
    """One answer: bars by symbol, and the token of the next page."""

    bars: dict[str, list[RestBar]] | None
    next_page_token: str | None


class Problem(msgspec.Struct):
    """The body of a refusal."""

    message: str = ""


class RecentDataError(AuthError):
    """The plan ends a quarter of an hour before now."""


class AlpacaHistory(MinuteHistory):
    """Alpaca's minutes.

    Parameters
    ----------
    vendor, keys, base         The client's classes, key and secret, the address ('https://…').
    feed                       'iex' or 'sip', of stocks.
    more                       What `MinuteHistory` takes.
    """

    def __init__(self, vendor: Vendor, keys: tuple[ApiKey, ApiKey], base: str, *, feed: str, **more: Any) -> None:
        super().__init__(**more)
        self._vendor, self._keys, self._feed = vendor, keys, feed
        key, secret = (one.reveal() for one in keys)
        self._stocks = vendor.StockHistoricalDataClient(key, secret, raw_data=True, url_override=base.rstrip("/"))
        self._options = vendor.OptionHistoricalDataClient(key, secret, raw_data=True, url_override=base.rstrip("/"))
        for client in (self._stocks, self._options):
            client._retry = 0  # the constructor takes no zero
            client._session.request = partial(client._session.request, timeout=self._times.timeout_s)

    def read(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return closed bars, as `MinuteHistory.read` does; where the plan ends a quarter of an hour ago, up to there, not complete."""
        try:
            return super().read(symbol, start_ns, end_ns)
        except RecentDataError as refused:
            until = (self._clock.now_ns() - RECENT_NS) // NS_PER_MIN * NS_PER_MIN
            if start_ns >= until:
                raise
            return History(super().read(symbol, start_ns, min(end_ns, until)).rows, is_complete=False, note=str(refused))

    def _hide(self, text: str) -> str:
        for key in self._keys:
            text = key.hide_in(text)
        return text

    def _page(self, symbol: str, start_ns: int, end_ns: int, token: str | None) -> tuple[list[Minute], str | None]:
        name = symbol.removeprefix("O:")
        page = self.fetch(lambda: self._answer(symbol, name, start_ns, end_ns, token), Page)
        bars = (page.bars or {}).get(name, [])
        if any(later.t <= earlier.t for earlier, later in pairwise(bars)):
            raise Doubt("bars are not in order of time")
        return [Minute(_ns_of(bar.t), bar.o, bar.h, bar.l, bar.c, bar.v, bar.vw, bar.n) for bar in bars], page.next_page_token or None

    def fetch(self, send: Callable[[], Any], kind: type[T]) -> T:
        """Return the answer to what `send` asks, once; Refusal or Doubt."""
        try:
            return msgspec.convert(send(), kind)
        except self._vendor.APIError as error:
            raise _refusal(error) from None
        except msgspec.ValidationError as error:
            raise Doubt(f"the answer is not what was asked for ({error})") from None
        except (OSError, ValueError) as error:  # requests' own, the socket's, and a body that is no JSON
            raise Doubt(f"{type(error).__name__}: {error}") from None

    def ask_options(self, request: Any, path: str, **more: Any) -> Any:
        """Send one request of the vendor's classes to the option service, once, and return the raw answer."""
        fields = {name: value for name, value in request.to_request_fields().items() if name != "underlying_symbol"}
        return self._options.get(path, fields | {name: value for name, value in more.items() if value is not None})

    def _answer(self, symbol: str, name: str, start_ns: int, end_ns: int, token: str | None) -> Any:
        """Send one request, once."""
        requests = self._vendor.requests
        span: dict[str, Any] = {"symbol_or_symbols": name, "timeframe": self._vendor.TimeFrame.Minute, "limit": PAGE_LIMIT, "sort": "asc"}
        span |= {"start": _moment(start_ns), "end": _moment(end_ns - 1_000)}  # the provider counts the end in
        if symbol.startswith("O:"):
            client, path, request = self._options, "/options/bars", requests.OptionBarsRequest(**span)
        else:
            client, path = self._stocks, "/stocks/bars"
            request = requests.StockBarsRequest(**span, adjustment="raw", feed=self._feed)
        return client.get(path, request.to_request_fields() | ({"page_token": token} if token else {}))

    def _meaning(self, refusal: Refusal, symbol: str) -> SourceError | SymbolError | None:
        said = self._hide(refusal.said[:200])
        if refusal.status == 403 and "subscription" in said.lower():
            return RecentDataError(
                f"your plan does not include the last 15 minutes of the history of {symbol} ({said}); "
                "choose an earlier span, alpaca_stock_feed='iex', or upgrade the plan"
            )
        if refusal.status == 403:
            return AuthError(f"the provider refused the API key ({said}); check key and secret in your account's dashboard, then restart")
        if refusal.status in (400, 422) and "symbol" in said.lower():
            return SymbolError(f"symbol: received {symbol!r}; the provider has no such symbol ({said})")
        return None

    def _asked_pause_s(self, headers: Mapping[str, str]) -> float | None:
        """Return the pause asked for: Retry-After, or until the moment [Unix s] at which the allowance is renewed."""
        asked_s = super()._asked_pause_s(headers)
        reset = headers.get("X-RateLimit-Reset", "")
        if asked_s is not None or not reset.isdigit():
            return asked_s
        return min(self._times.longest_pause_s, max(0.0, int(reset) - self._clock.now_ns() / NS_PER_S))


def _refusal(error: Any) -> Refusal:
    """Return alpaca-py's error as what the server said; its own `message` fails on bodies that are no JSON."""
    body = str(error)
    try:
        said = msgspec.json.decode(body.encode(), type=Problem).message or body
    except msgspec.DecodeError:
        said = body
    return Refusal(error.status_code, error.response.headers if error.response is not None else {}, said[:200])


def _moment(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1_000)


def _ns_of(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1_000
