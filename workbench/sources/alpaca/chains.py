"""Alpaca's option chains: snapshots of one expiry in pages of 1,000. No open interest, no spot and no multiplier is told with them.

Expiry dates are those of all calls: the market-data service has no list of contracts. On the indicative feed quotes are modified and
trades a quarter of an hour late, as the source's own detail says. Facts: docs.alpaca.markets (option chain). Floor 2.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from workbench.errors import SymbolError
from workbench.history.chain_messages import Snapshot, decode_alpaca
from workbench.sources.alpaca.rest import AlpacaHistory
from workbench.sources.alpaca.vendor import Vendor
from workbench.sources.live.chains import ChainRest
from workbench.types import OptionContract

PAGE_LIMIT = 1_000  # the largest that is allowed


class Page(msgspec.Struct):
    """One answer: snapshots by contract, and the token of the next page."""

    snapshots: dict[str, Any] | None
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

    def _chain_page(self, underlying: str, expiry: date, token: str | None) -> tuple[list[Any], str | None]:
        page = self._page(underlying, token, expiration_date=expiry)
        return list((page.snapshots or {}).items()), page.next_page_token or None

    def _page(self, underlying: str, token: str | None, **filters: Any) -> Page:
        request = self._vendor.requests.OptionChainRequest(underlying_symbol=underlying, feed=self._feed, **filters)
        path = f"/options/snapshots/{underlying}"
        return self._rest.fetch(lambda: self._rest.ask_options(request, path, limit=PAGE_LIMIT, page_token=token), Page)

    def _decode(self, elements: list[Any], asof_ns: int) -> Snapshot:
        return decode_alpaca(elements, self._calendar, asof_ns)
