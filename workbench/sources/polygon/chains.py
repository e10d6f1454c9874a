"""Polygon's option chains: snapshots of one expiry in pages of 250, expiry dates from the list of contracts.

Greeks, volatility, quote and trade are left out by the provider where it has none or the plan does not include them; each part has
its own stamp. Facts: massive.com REST documentation (option chain snapshot, all contracts). Floor 2.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from workbench.history.chain_messages import Snapshot, decode_polygon
from workbench.sources.live.chains import ChainRest
from workbench.sources.live.history import Doubt
from workbench.sources.polygon.rest import PolygonHistory, path_of

SNAPSHOT_LIMIT, CONTRACT_LIMIT = 250, 1000  # the largest that are allowed


class SnapshotPage(msgspec.Struct):
    """One answer. No `results` at all means no contracts."""

    status: str = ""
    results: list[Any] | None = None
    next_url: str | None = None


class Listed(msgspec.Struct):
    """One contract of the list."""

    expiration_date: date


class ListedPage(msgspec.Struct):
    """One answer of the list of contracts."""

    status: str = ""
    results: list[Listed] | None = None
    next_url: str | None = None


_SNAPSHOTS, _LISTED = msgspec.json.Decoder(SnapshotPage), msgspec.json.Decoder(ListedPage)


class PolygonChains(ChainRest):
    """Polygon's chains, through the client of its history."""

    def __init__(self, history: PolygonHistory, **more: Any) -> None:
        super().__init__(history, **more)
        self._rest = history

    def _expiry_page(self, underlying: str, token: str | None) -> tuple[list[date], str | None]:
        asked = {"contract_type": "call", "expired": False, "limit": CONTRACT_LIMIT, "sort": "expiration_date"}
        page = self._rest.fetch(
            lambda client: (
                client.list_options_contracts(underlying.removeprefix("I:"), **asked, raw=True)
                if token is None
                else client._get(path=token, raw=True)
            ),
            _LISTED,
        )
        return [one.expiration_date for one in _believed(page)], _next(page)

    def _chain_page(self, underlying: str, expiry: date, token: str | None) -> tuple[list[Any], str | None]:
        asked = {"expiration_date": expiry.isoformat(), "limit": SNAPSHOT_LIMIT, "sort": "ticker"}
        page = self._rest.fetch(
            lambda client: (
                client.list_snapshot_options_chain(underlying, params=dict(asked), raw=True)
                if token is None
                else client._get(path=token, raw=True)
            ),
            _SNAPSHOTS,
        )
        return _believed(page), _next(page)

    def _decode(self, elements: list[Any], asof_ns: int) -> Snapshot:
        return decode_polygon(elements, self._calendar, asof_ns)


def _believed(page: SnapshotPage | ListedPage) -> list[Any]:
    if page.status not in ("OK", "DELAYED"):
        raise Doubt(f"status {page.status!r}")
    return list(page.results or ())


def _next(page: SnapshotPage | ListedPage) -> str | None:
    return path_of(page.next_url) if page.next_url else None
