"""Polygon's option chains: snapshots of one expiry in pages of 250, expiry dates from the list of contracts.

Greeks, volatility, quote and trade are left out by the provider where it has none or the plan does not include them; each part has
its own stamp. Facts: massive.com REST documentation (option chain snapshot, all contracts). Floor 2.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import msgspec

from workbench.sources.live.chains import ChainRest, Told
from workbench.sources.live.history import Doubt
from workbench.sources.polygon.rest import PolygonHistory, path_of

SNAPSHOT_LIMIT, CONTRACT_LIMIT = 250, 1000  # the largest that are allowed
_NAN = math.nan


class Details(msgspec.Struct):
    """What the contract is."""

    ticker: str
    shares_per_contract: float = 100


class LastQuote(msgspec.Struct):
    """Top of book."""

    bid: float | None = None
    ask: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    last_updated: int = 0


class LastTrade(msgspec.Struct):
    """Newest print."""

    price: float | None = None


class Day(msgspec.Struct):
    """The day's figures, or an older day's where nothing was traded since."""

    volume: float | None = None
    last_updated: int = 0


class Greeks(msgspec.Struct):
    """As the provider calculates them; `{}` where it does not."""

    delta: float | None = None
    gamma: float | None = None


class Underlying(msgspec.Struct):
    """`price` of a stock, `value` of an index."""

    price: float | None = None
    value: float | None = None
    last_updated: int = 0


class Snapshot(msgspec.Struct):
    """One contract of a chain."""

    details: Details
    day: Day | None = None
    greeks: Greeks | None = None
    last_quote: LastQuote | None = None
    last_trade: LastTrade | None = None
    underlying_asset: Underlying | None = None
    implied_volatility: float | None = None
    open_interest: float | None = None


class SnapshotPage(msgspec.Struct):
    """One answer. No `results` at all means no contracts."""

    status: str = ""
    results: list[Snapshot] | None = None
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

    def _chain_page(self, underlying: str, expiry: date, token: str | None) -> tuple[list[Told], str | None]:
        asked = {"expiration_date": expiry.isoformat(), "limit": SNAPSHOT_LIMIT, "sort": "ticker"}
        page = self._rest.fetch(
            lambda client: (
                client.list_snapshot_options_chain(underlying, params=dict(asked), raw=True)
                if token is None
                else client._get(path=token, raw=True)
            ),
            _SNAPSHOTS,
        )
        return [self._told(one) for one in _believed(page)], _next(page)

    def _told(self, one: Snapshot) -> Told:
        quote, trade, day = one.last_quote or LastQuote(), one.last_trade or LastTrade(), one.day or Day()
        greeks, under = one.greeks or Greeks(), one.underlying_asset or Underlying()
        return Told(
            one.details.ticker,
            one.details.shares_per_contract,
            bid=_known(quote.bid),
            ask=_known(quote.ask),
            bid_size=_known(quote.bid_size),
            ask_size=_known(quote.ask_size),
            last=_known(trade.price),
            volume=_known(day.volume) if self._is_of_today(day.last_updated) else _NAN,
            open_interest=_known(one.open_interest),
            vendor_iv=_known(one.implied_volatility),
            vendor_delta=_known(greeks.delta),
            vendor_gamma=_known(greeks.gamma),
            ts_ns=quote.last_updated,
            spot=_known(under.price if under.price is not None else under.value),
            spot_ts_ns=under.last_updated,
        )


def _known(value: float | None) -> float:
    return _NAN if value is None else value


def _believed(page: SnapshotPage | ListedPage) -> list[Any]:
    if page.status not in ("OK", "DELAYED"):
        raise Doubt(f"status {page.status!r}")
    return list(page.results or ())


def _next(page: SnapshotPage | ListedPage) -> str | None:
    return path_of(page.next_url) if page.next_url else None
