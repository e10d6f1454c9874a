"""Snapshots of a chain as providers answer them (JSON) into rows of CHAIN_DTYPE: Polygon/Massive and Alpaca.

In: one decoded document, as their REST answers and as files keep them. Out: Snapshot. What an element does not tell is NaN, and a price
of 0 stays 0: nobody. An element that can't be read costs itself, never its document: it is counted with its reason. The providers'
volatility and greeks are kept beside, as theirs.

Floor 1: numpy.

Source: Polygon/Massive GET /v3/snapshot/options/{underlying} and /v3/snapshot; Alpaca GET /v1beta1/options/snapshots[/{underlying}].
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import RecordError, SchemaError, SymbolError
from workbench.options.chain import contract_rows
from workbench.sessions import SessionCalendar
from workbench.types import OptionContract

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?)\d*Z")
_LAST_NS = 4_102_444_800_000_000_000  # 2100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`underlying` and `spot` [USD] where the document tells them, else '' and NaN. `quarantined`: reason -> elements put aside."""

    rows: np.ndarray  # CHAIN_DTYPE
    underlying: str
    spot: float
    spot_ts_ns: int
    quarantined: dict[str, int]

    @property
    def newest_ns(self) -> int:
        """Newest time told [ns UTC], 0 where none is."""
        return max(int(self.rows["ts_ns"].max(initial=0)), self.spot_ts_ns)


def decode_snapshot(document: Any, calendar: SessionCalendar) -> Snapshot:
    """Return a document of either provider; SchemaError when it is neither."""
    if isinstance(document, Mapping) and isinstance(document.get("results"), list):
        return decode_polygon(document["results"], calendar)
    if isinstance(document, Mapping) and isinstance(document.get("snapshots"), Mapping):
        return decode_alpaca(document["snapshots"], calendar)
    keys = ", ".join(map(str, document)) if isinstance(document, Mapping) else type(document).__name__
    raise SchemaError(
        f"snapshot: received {keys[:120]}; allowed: an object with a list 'results' (Polygon) or an object 'snapshots' (Alpaca)"
    )


def decode_polygon(results: list[Any], calendar: SessionCalendar) -> Snapshot:
    """Return Polygon's or Massive's elements; stocks among them, as the unified snapshot mixes them in, are no options."""
    told: list[tuple[OptionContract, dict[str, float], int]] = []
    quarantined: dict[str, int] = {}
    underlying, spot, spot_ts_ns = "", math.nan, 0
    for element in results:
        details, quote, trade, day, greeks, of = (
            _part(element, *names)
            for names in (("details",), ("last_quote",), ("last_trade",), ("day", "session"), ("greeks",), ("underlying_asset",))
        )
        multiplier = _number(details, "shares_per_contract")
        symbol = details.get("ticker") or _part(element).get("ticker")
        contract = _contract(symbol, 100 if math.isnan(multiplier) else multiplier)
        if contract is None:
            quarantined["no option symbol"] = quarantined.get("no option symbol", 0) + 1
            continue
        numbers = {name: _number(quote, name) for name in ("bid", "ask", "bid_size", "ask_size")}
        numbers |= {"last": _number(trade, "price"), "volume": _number(day, "volume")}
        numbers |= {"open_interest": _number(_part(element), "open_interest")}
        numbers |= _theirs(_number(_part(element), "implied_volatility"), greeks)
        told.append((contract, numbers, _ns(quote.get("last_updated"))))
        price, ts_ns = _number(of, "price", "value"), _ns(of.get("last_updated"))
        if price > 0 and (ts_ns > spot_ts_ns or math.isnan(spot)):
            underlying, spot, spot_ts_ns = str(of.get("ticker") or underlying), price, ts_ns
    return Snapshot(_rows(told, calendar), underlying.removeprefix("I:"), spot, spot_ts_ns, quarantined)


def decode_alpaca(snapshots: Mapping[str, Any], calendar: SessionCalendar) -> Snapshot:
    """Return Alpaca's elements, by symbol; they tell no open interest and no spot."""
    told: list[tuple[OptionContract, dict[str, float], int]] = []
    quarantined: dict[str, int] = {}
    for symbol, element in snapshots.items():
        contract = _contract(symbol, 100)
        if contract is None:
            quarantined["no option symbol"] = quarantined.get("no option symbol", 0) + 1
            continue
        quote, trade, day, greeks = (_part(element, name) for name in ("latestQuote", "latestTrade", "dailyBar", "greeks"))
        numbers = {
            "bid": _number(quote, "bp"),
            "ask": _number(quote, "ap"),
            "bid_size": _number(quote, "bs"),
            "ask_size": _number(quote, "as"),
        }
        numbers |= {"last": _number(trade, "p"), "volume": _number(day, "v")}
        numbers |= _theirs(_number(_part(element), "impliedVolatility"), greeks)
        told.append((contract, numbers, _stamp(quote.get("t"))))
    return Snapshot(_rows(told, calendar), "", math.nan, 0, quarantined)


def _rows(told: list[tuple[OptionContract, dict[str, float], int]], calendar: SessionCalendar) -> np.ndarray:
    rows = contract_rows([contract for contract, _, _ in told], calendar)
    for name in told[0][1] if told else ():
        rows[name] = [numbers.get(name, math.nan) for _, numbers, _ in told]
    rows["ts_ns"] = [ts_ns for _, _, ts_ns in told]
    return rows


def _part(element: Any, *names: str) -> Mapping[str, Any]:
    """Return the first of an element's parts that is an object, the element itself without names; empty where there is none."""
    for part in [element.get(name) for name in names] if names and isinstance(element, Mapping) else [element]:
        if isinstance(part, Mapping):
            return part
    return {}


def _number(part: Mapping[str, Any], *names: str) -> float:
    """Return the first of these that is a number; NaN where none is."""
    values = (part.get(name) for name in names)
    return next((float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)), math.nan)


def _theirs(iv: float, greeks: Mapping[str, Any]) -> dict[str, float]:
    """Return the provider's own volatility and greeks; a volatility of 0 was not computed."""
    if iv == 0:
        return {"vendor_iv": math.nan, "vendor_delta": math.nan, "vendor_gamma": math.nan}
    return {"vendor_iv": iv, "vendor_delta": _number(greeks, "delta"), "vendor_gamma": _number(greeks, "gamma")}


def _contract(symbol: Any, multiplier: float) -> OptionContract | None:
    try:
        return OptionContract.parse(symbol, int(multiplier))
    except (SymbolError, RecordError):
        return None


def _ns(value: Any) -> int:
    """Return ns UTC, 0 for what is no time."""
    return value if isinstance(value, int) and 0 < value < _LAST_NS else 0


def _stamp(text: Any) -> int:
    """Return an RFC-3339 stamp in UTC as ns, 0 for what is no time."""
    match = _STAMP.fullmatch(text) if isinstance(text, str) else None
    try:
        return int(np.datetime64(match[1], "ns").astype(np.int64)) if match else 0
    except ValueError:
        return 0
