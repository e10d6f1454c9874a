"""Alpaca's option chains: snapshots of one expiry in pages of 1,000. No open interest, no spot and no multiplier is told with them.

Expiry dates are those of all calls: the market-data service has no list of contracts. On the indicative feed quotes are modified and
trades a quarter of an hour late, as the source's own detail says. Facts: docs.alpaca.markets (option chain). Floor 2.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from workbench.errors import SymbolError
from workbench.sources.alpaca.rest import AlpacaHistory, ns_of
from workbench.sources.alpaca.vendor import Vendor
from workbench.sources.live.chains import ChainRest, Told
from workbench.types import OptionContract

PAGE_LIMIT = 1_000  # the largest that is allowed
_NAN = math.nan
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LatestQuote(msgspec.Struct, rename={"ask_size": "as"}):
    """Top of book."""

    t: datetime
    ap: float | None = None
    ask_size: float | None = None
    bp: float | None = None
    bs: float | None = None


class LatestTrade(msgspec.Struct):
    """Newest print."""

    t: datetime
    p: float | None = None


class DailyBar(msgspec.Struct):
    """The newest day on which it was traded."""

    t: datetime
    v: float | None = None


class Greeks(msgspec.Struct):
    """As the provider calculates them."""

    delta: float | None = None
    gamma: float | None = None


class Snapshot(msgspec.Struct):
    """One contract."""

    latestQuote: LatestQuote | None = None  # noqa: N815  the wire's own name
    latestTrade: LatestTrade | None = None  # noqa: N815
    dailyBar: DailyBar | None = None  # noqa: N815
    greeks: Greeks | None = None
    impliedVolatility: float | None = None  # noqa: N815


class Page(msgspec.Struct):
    """One answer: snapshots by contract, and the token of the next page."""

    snapshots: dict[str, Snapshot] | None
    next_page_token: str | None = None


class AlpacaChains(ChainRest):
    """Alpaca's chains, through the client of its history. `feed`: 'indicative' or 'opra'."""

    def __init__(self, history: AlpacaHistory, vendor: Vendor, *, feed: str, **more: Any) -> None:
        super().__init__(history, **more)
        self._rest, self._vendor, self._feed = history, vendor, feed

    def _expiry_page(self, underlying: str, token: str | None) -> tuple[list[date], str | None]:
        page = self._page(underlying, token, type="call")
        days = set()
        for symbol in page.snapshots or ():
            try:
                days.add(OptionContract.parse(symbol).expiry)
            except SymbolError:
                continue  # the chain itself names it
        return list(days), page.next_page_token or None

    def _chain_page(self, underlying: str, expiry: date, token: str | None) -> tuple[list[Told], str | None]:
        page = self._page(underlying, token, expiration_date=expiry)
        return [self._told(symbol, one) for symbol, one in (page.snapshots or {}).items()], page.next_page_token or None

    def _page(self, underlying: str, token: str | None, **filters: Any) -> Page:
        request = self._vendor.requests.OptionChainRequest(underlying_symbol=underlying, feed=self._feed, **filters)
        path = f"/options/snapshots/{underlying}"
        return self._rest.fetch(lambda: self._rest.ask_options(request, path, limit=PAGE_LIMIT, page_token=token), Page)

    def _told(self, symbol: str, one: Snapshot) -> Told:
        quote, greeks = one.latestQuote or LatestQuote(_EPOCH), one.greeks or Greeks()
        day = one.dailyBar
        return Told(
            symbol,
            bid=_known(quote.bp),
            ask=_known(quote.ap),
            bid_size=_known(quote.bs),
            ask_size=_known(quote.ask_size),
            last=_known(one.latestTrade.p) if one.latestTrade is not None else _NAN,
            volume=_known(day.v) if day is not None and self._is_of_today(ns_of(day.t)) else _NAN,
            vendor_iv=_known(one.impliedVolatility),
            vendor_delta=_known(greeks.delta),
            vendor_gamma=_known(greeks.gamma),
            ts_ns=ns_of(quote.t),
        )


def _known(value: float | None) -> float:
    return _NAN if value is None else value
