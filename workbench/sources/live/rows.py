"""Events of a live frame packed into the rows of `types.py`, one struct call each; what fits no row is told apart.

In: values as a provider sent them. Out: `Columns`, one frame as arrays. Floor 2: numpy and the standard library.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import SymbolError
from workbench.types import BAR_DTYPE, MAX_CONDITIONS, MAX_ID_BYTES, QUOTE_DTYPE, TRADE_DTYPE, SymbolTable

INT16_MAX = 32_767
INT64_MAX = 2**63 - 1
LATEST_NS = 9_223_000_000_000_000_000  # 2262; leaves room for the end of a bar

BAD_TIME = "time stamp out of range"
BAD_NUMBER = "number out of range"
BAD_SYMBOL = "not a symbol"
TOO_MANY_CONDITIONS = f"more than {MAX_CONDITIONS} sale conditions"

TRADE_ROW = struct.Struct(f"<qqddqihbb{MAX_CONDITIONS}h{MAX_ID_BYTES}s")
QUOTE_ROW = struct.Struct("<qqddddqihh")
BAR_ROW = struct.Struct("<qq8dqi4B")
NO_CONDITIONS = (0,) * MAX_CONDITIONS
assert (TRADE_ROW.size, QUOTE_ROW.size, BAR_ROW.size) == (TRADE_DTYPE.itemsize, QUOTE_DTYPE.itemsize, BAR_DTYPE.itemsize)


class Broken(NamedTuple):
    """An element that could not be read: why, the symbol as far as it can be told, and its bytes."""

    reason: str
    symbol: str
    raw: bytes


class UnknownEvent(NamedTuple):
    """An element that is whole but of a kind that nobody here knows."""

    kind: str
    raw: bytes


class Unfit(ValueError):
    """A value that no row can hold; its text is the reason."""


@dataclass(slots=True)
class Columns:
    """One frame as arrays. `others` are the events that have no row: statuses, halts, corrections, unknown kinds."""

    trades: np.ndarray
    quotes: np.ndarray
    bars: list[tuple[str, np.ndarray]] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)


class RowWriter:
    """Collects the rows of one frame. A provider's own writer says in `_pack` which event becomes which row."""

    def __init__(self, symbols: SymbolTable, ts_recv: int) -> None:
        self._symbols = symbols
        self._ts_recv = ts_recv
        self._bars: dict[str, bytearray] = {}  # symbol -> packed rows
        self.trades = bytearray()
        self.quotes = bytearray()
        self.others: list[Any] = []
        self.broken: list[Broken] = []

    def add(self, event: Any) -> None:
        """Put one event where it belongs; one that no row can hold becomes a `Broken`."""
        try:
            self._pack(event)
        except SymbolError:
            self.broken.append(self._refused(event, BAD_SYMBOL))
        except (Unfit, struct.error) as unfit:
            self.broken.append(self._refused(event, str(unfit)))

    def columns(self) -> Columns:
        """Return everything added so far."""
        return Columns(
            np.frombuffer(self.trades, TRADE_DTYPE),
            np.frombuffer(self.quotes, QUOTE_DTYPE),
            [(symbol, np.frombuffer(packed, BAR_DTYPE)) for symbol, packed in self._bars.items()],
            self.others,
            self.broken,
        )

    def _add_bar(self, symbol: str, packed: bytes) -> None:
        self._bars.setdefault(symbol, bytearray()).extend(packed)

    def _pack(self, event: Any) -> None:
        raise NotImplementedError

    def _refused(self, event: Any, reason: str) -> Broken:
        raise NotImplementedError


def check(value: int, largest: int) -> int:
    """Return a whole number that is 0 to `largest`; Unfit otherwise."""
    if not 0 <= value <= largest:
        raise Unfit(BAD_NUMBER)
    return value


def trade_id(text: str | int) -> bytes:
    """Return a trade id in at most 20 bytes; a longer one is hashed, since cutting it could make two trades one."""
    raw = str(text).encode("utf-8", "replace")
    return raw if len(raw) <= MAX_ID_BYTES else hashlib.blake2b(raw, digest_size=MAX_ID_BYTES // 2).hexdigest().encode()


def newest_of_each(rows: np.ndarray) -> np.ndarray:
    """Return bars by time, the last sent of each minute: providers send a minute again when late prints changed it."""
    if len(rows) == 1:
        return rows
    _, last = np.unique(rows["ts_open"][::-1], return_index=True)
    return rows[len(rows) - 1 - last]
