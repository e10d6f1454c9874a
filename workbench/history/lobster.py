"""LOBSTER files (order messages and book states of one Nasdaq share and day), which have no header line and are known by their name.

`AAPL_2012-06-21_34200000_57600000_message_10.csv[.gz]`: seconds after midnight New York, type, order id, size, price x 10000,
direction. Types 4 and 5 (executions of visible and hidden orders) are prints. `…_orderbook_10`: ask price, ask size, bid price, bid size
per level, one line per line of the message file beside it, which has the times; the first level is the quote.

Floor 1: pyarrow inside. Source: lobsterdata.com, data structure page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import FileError
from workbench.history.tables import read_headerless
from workbench.sessions import ny_ns

_NAME = re.compile(r"(?P<symbol>[A-Z.]+)_(?P<day>\d{4}-\d\d-\d\d)_\d+_\d+_(?P<kind>message|orderbook)_\d+\.csv(\.gz)?")
_EXECUTIONS = (4, 5)
_PRICE_UNIT = 10_000
_NO_PRICE = 9_999_999_999  # LOBSTER's mark for an empty level


@dataclass(frozen=True, slots=True)
class LobsterDay:
    """One file: 'trades' or 'quotes', its symbol, times int64 ns UTC and our columns."""

    kind: str
    symbol: str
    ts: np.ndarray
    numbers: dict[str, np.ndarray]
    assumptions: list[str]


def is_lobster(path: Path) -> bool:
    """Return True when a file's name is one that LOBSTER gives."""
    return _NAME.fullmatch(path.name) is not None


def read_lobster(path: Path) -> LobsterDay:
    """Return a message file's executions as trades, or an order book file's first level as quotes. FileError when it is damaged."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise FileError(f"{path.name}: received a name that LOBSTER does not give; allowed: SYMBOL_YYYY-MM-DD_start_end_message_levels.csv")
    day = date.fromisoformat(match["day"])
    said = [f"symbol: {match['symbol']}, and date {day}, from the file's name (LOBSTER, seconds after midnight New York)"]
    if match["kind"] == "message":
        columns = _columns(path, 6)
        hit = np.isin(columns[1], _EXECUTIONS)
        numbers = {"price": columns[4][hit] / _PRICE_UNIT, "size": columns[3][hit], "sequence": np.flatnonzero(hit).astype(np.float64)}
        said.append(f"trades: the {int(hit.sum()):,} executions (types 4 and 5) of {len(hit):,} order messages")
        return LobsterDay("trades", match["symbol"], _times(columns[0], day)[hit], numbers, said)
    messages = path.with_name(path.name.replace("_orderbook_", "_message_"))
    columns, times = _columns(path, 4), _columns(messages, 6)[0]
    if len(times) != len(columns[0]):
        raise FileError(f"{path.name}: received {len(columns[0]):,} book states and {len(times):,} messages beside them; allowed: one each")
    numbers = {
        name: columns[k] / (_PRICE_UNIT if name in ("ask", "bid") else 1) for k, name in enumerate(("ask", "ask_size", "bid", "bid_size"))
    }
    for name in ("ask", "bid"):
        numbers[name][np.abs(numbers[name] * _PRICE_UNIT) >= _NO_PRICE] = np.nan
    said.append(f"quotes: the first level of each book state; times from {messages.name}")
    return LobsterDay("quotes", match["symbol"], _times(times, day), numbers, said)


def _columns(path: Path, at_least: int) -> list[np.ndarray]:
    table: Any = read_headerless(path)
    if table.num_columns < at_least:
        raise FileError(f"{path.name}: received {table.num_columns} columns; allowed: {at_least} or more in a LOBSTER file of this kind")
    return [np.array(table.column(k).to_numpy(), np.float64) for k in range(at_least)]


def _times(seconds: np.ndarray, day: date) -> np.ndarray:
    return ny_ns(day, 0) + np.round(seconds * 1e9).astype(np.int64)
