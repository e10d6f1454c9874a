"""Snapshots of a chain as providers answer them (JSON) into rows of CHAIN_DTYPE: Polygon/Massive and Alpaca.

In: decoded elements, as their REST answers and as files keep them; live sources and files are read by the same rules. Out: Snapshot.
What an element does not tell, or tells as less than nothing, is NaN, and a price of 0 stays 0: nobody. A volume counts for the session
of the moment only. An element that can't be read costs itself, never its document: it is counted and named. The providers' volatility
and greeks are kept beside, as theirs; a volatility of 0 was not computed.

Floor 1: numpy.

Source: Polygon/Massive GET /v3/snapshot/options/{underlying} and /v3/snapshot; Alpaca GET /v1beta1/options/snapshots[/{underlying}].
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import CalendarError, RecordError, SchemaError, SymbolError
from workbench.options.chain import contract_rows
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import OptionContract

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?)\d*Z")
_LAST_NS = 4_102_444_800_000_000_000  # 2100
_LARGEST = 1e300  # of what is taken for a number
_NOT_BELOW_0 = ("bid", "ask", "bid_size", "ask_size", "last", "volume", "open_interest")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`underlying` and `spot` [USD] where the elements tell them, else '' and NaN. `unread`: what stood where a symbol should be."""

    rows: np.ndarray  # CHAIN_DTYPE
    unread: tuple[str, ...] = ()
    underlying: str = ""
    spot: float = math.nan
    spot_ts_ns: int = 0

    @property
    def newest_ns(self) -> int:
        """Newest time told [ns UTC], 0 where none is."""
        return max(int(self.rows["ts_ns"].max(initial=0)), self.spot_ts_ns)

    @property
    def notes(self) -> list[str]:
        """What a person should know."""
        n = len(self.unread)
        return [f"quarantined: {n:,} elements: no option symbol (first: {self.unread[0]!r})"] if n else []


class _Told(NamedTuple):
    """One contract. `day_ns`: when its volume was told, 0 not known, None of the present session by its name."""

    contract: OptionContract
    numbers: dict[str, float]
    ts_ns: int
    day_ns: int | None


def decode_snapshot(document: Any, calendar: SessionCalendar, asof_ns: int | None = None) -> Snapshot:
    """Return a document of either provider as of a moment [ns UTC], its newest without one; SchemaError when it is neither."""
    if isinstance(document, dict) and isinstance(document.get("results"), list):
        return decode_polygon(document["results"], calendar, asof_ns)
    if isinstance(document, dict) and isinstance(document.get("snapshots"), dict):
        return decode_alpaca(document["snapshots"].items(), calendar, asof_ns)
    keys = ", ".join(map(str, document)) if isinstance(document, dict) else type(document).__name__
    raise SchemaError(
        f"snapshot: received {keys[:120]}; allowed: an object with a list 'results' (Polygon) or an object 'snapshots' (Alpaca)"
    )


def decode_polygon(results: Iterable[Any], calendar: SessionCalendar, asof_ns: int | None = None) -> Snapshot:
    """Return Polygon's or Massive's elements; stocks among them, as the unified snapshot mixes them in, are no options."""
    told: list[_Told] = []
    unread: list[str] = []
    underlying, spot, spot_ts_ns = "", math.nan, 0
    for element in results:
        whole, details, of = _part(element), _part(element, "details"), _part(element, "underlying_asset")
        quote, trade, greeks = _part(element, "last_quote"), _part(element, "last_trade"), _part(element, "greeks")
        symbol = details.get("ticker") or whole.get("ticker")
        contract = _contract(symbol, _number(details, "shares_per_contract"))
        if contract is None:
            unread.append(str(symbol)[:30])
            continue
        day = _part(element, "day")
        numbers = {name: _number(quote, name) for name in ("bid", "ask", "bid_size", "ask_size")}
        numbers |= {"last": _number(trade, "price"), "volume": _number(day or _part(element, "session"), "volume")}
        numbers |= {"open_interest": _number(whole, "open_interest")} | _theirs(_number(whole, "implied_volatility"), greeks)
        told.append(_Told(contract, numbers, _ns(quote.get("last_updated")), _ns(day.get("last_updated")) if day else None))
        price, ts_ns = _number(of, "price", "value"), _ns(of.get("last_updated"))
        if price > 0 and (ts_ns > spot_ts_ns or math.isnan(spot)):
            underlying, spot, spot_ts_ns = str(of.get("ticker") or underlying), price, ts_ns
    return _snapshot(told, unread, calendar, asof_ns, (underlying.removeprefix("I:"), spot, spot_ts_ns))


def decode_alpaca(snapshots: Iterable[tuple[str, Any]], calendar: SessionCalendar, asof_ns: int | None = None) -> Snapshot:
    """Return Alpaca's elements, by symbol; they tell no open interest and no spot."""
    told: list[_Told] = []
    unread: list[str] = []
    for symbol, element in snapshots:
        contract = _contract(symbol, math.nan)
        if contract is None:
            unread.append(str(symbol)[:30])
            continue
        quote, trade, day, greeks = (_part(element, name) for name in ("latestQuote", "latestTrade", "dailyBar", "greeks"))
        names = {"bid": "bp", "ask": "ap", "bid_size": "bs", "ask_size": "as"}
        numbers = {ours: _number(quote, theirs) for ours, theirs in names.items()}
        numbers |= {"last": _number(trade, "p"), "volume": _number(day, "v")}
        numbers |= _theirs(_number(_part(element), "impliedVolatility"), greeks)
        told.append(_Told(contract, numbers, _stamp(quote.get("t")), _stamp(day.get("t"))))
    return _snapshot(told, unread, calendar, asof_ns)


def _snapshot(
    told: list[_Told], unread: list[str], calendar: SessionCalendar, asof_ns: int | None, spot: tuple[str, float, int] = ("", math.nan, 0)
) -> Snapshot:
    """Return what was told as rows; the volume of a contract that did not trade is an older day's, and left out."""
    rows = contract_rows([one.contract for one in told], calendar)
    for name in told[0].numbers if told else ():
        rows[name] = [one.numbers[name] for one in told]
    for name in _NOT_BELOW_0:
        rows[name][rows[name] < 0] = np.nan
    rows["ts_ns"] = [one.ts_ns for one in told]
    found = Snapshot(rows, tuple(unread), *spot)
    start_ns, end_ns = _session_ns(calendar, found.newest_ns if asof_ns is None else asof_ns)
    is_older = [one.day_ns is not None and not start_ns <= one.day_ns < end_ns for one in told]
    rows["volume"][np.array(is_older, np.bool_)] = np.nan
    return found


def _session_ns(calendar: SessionCalendar, ts_ns: int) -> tuple[int, int]:
    """Return the New York day of the newest session begun by then, from midnight to midnight; nothing before the calendar's span."""
    try:
        day = calendar.sessions["date"][calendar.latest(ts_ns)].astype("M8[D]").item()
    except CalendarError:
        return 0, 0
    return ny_ns(day, 0), ny_ns(day + timedelta(days=1), 0)


def _part(element: Any, name: str | None = None) -> dict[str, Any]:
    """Return a part of an element, without a name the element itself; empty where that is no object."""
    part = element.get(name) if name is not None and isinstance(element, dict) else element
    return part if isinstance(part, dict) else {}


def _number(part: dict[str, Any], *names: str) -> float:
    """Return the first of these that is a number; NaN where none is."""
    for name in names:
        value = part.get(name)
        if isinstance(value, float | int) and not isinstance(value, bool) and abs(value) <= _LARGEST:
            return float(value)
    return math.nan


def _theirs(iv: float, greeks: dict[str, Any]) -> dict[str, float]:
    """Return the provider's own volatility and greeks; a volatility of 0 was not computed."""
    if iv == 0:
        return {"vendor_iv": math.nan, "vendor_delta": math.nan, "vendor_gamma": math.nan}
    return {"vendor_iv": iv, "vendor_delta": _number(greeks, "delta"), "vendor_gamma": _number(greeks, "gamma")}


def _contract(symbol: Any, multiplier: float) -> OptionContract | None:
    """Return the contract, of 100 shares where nothing is told; a multiplier with a fraction, which no standard one has, as 0."""
    shares = 100 if math.isnan(multiplier) else int(multiplier) if multiplier.is_integer() else 0
    try:
        return OptionContract.parse(symbol, shares)
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
