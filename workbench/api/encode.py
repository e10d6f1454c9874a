"""Market state as JSON: rows of arrays in, bytes out, the shapes that `schemas.py` describes.

msgspec writes a double with the shortest text that reads back to it, and NaN as null. Events of a stream are framed here once, for
all who read them. Floor 8.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

import msgspec
import numpy as np

from workbench.options.chain import CHAIN_DTYPE
from workbench.types import BAR_DTYPE

_FIELDS = tuple(name for name in BAR_DTYPE.names or () if name != "spare")
_encoder = msgspec.json.Encoder()


class BarRow(msgspec.Struct, gc=False):
    """One bar, positionally as `BAR_DTYPE` has it, without its spare byte."""

    ts_open: int
    ts_close: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    vw_std: float
    n_trades: float
    seq: int
    revision: int
    source: int
    is_partial: int
    is_complete: int


class ContractRow(msgspec.Struct, gc=False):
    """One contract, positionally as `CHAIN_DTYPE` has it."""

    symbol: str
    root: str
    expiry: date
    expiry_ns: int
    strike: float
    right: str
    bid: float
    ask: float
    last: float
    bid_size: float
    ask_size: float
    volume: float
    open_interest: float
    vendor_iv: float
    vendor_delta: float
    vendor_gamma: float
    ts_ns: int
    is_standard: bool


class Part(msgspec.Struct, gc=False):
    """Bars of one series, see `schemas.SeriesPart`."""

    symbol: str
    timeframe: str
    seq: int
    bars: list[BarRow]
    forming: list[BarRow] | None


class Position(NamedTuple):
    """How far a reader has been told: every change numbered up to `seq` of this life of the hub."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


def bar_rows(rows: np.ndarray | None) -> list[BarRow]:
    """Return BAR_DTYPE rows as records; none for None."""
    return [] if rows is None else [BarRow(*values[:-1]) for values in rows.tolist()]


def contract_records(rows: np.ndarray) -> list[ContractRow]:
    """Return CHAIN_DTYPE rows as records."""
    return [ContractRow(*values) for values in rows.tolist()]


def to_json(value: Any) -> bytes:
    """Return any record, dataclass, dict or list as JSON."""
    return _encoder.encode(value)


def event(name: str, value: Any, position: Position | None = None) -> bytes:
    """Return one server-sent event; with `position`, a reader that is cut off later resumes from there."""
    line = b"" if position is None else f"id: {position}\n".encode()
    return b"%sevent: %s\ndata: %s\n\n" % (line, name.encode(), _encoder.encode(value))


def events(parts: Iterable[tuple[str, Any]], position: Position | None) -> bytes:
    """Return several events as one block, of which only the last has the id: whoever gets half of it starts again before it."""
    listed = list(parts)
    last = len(listed) - 1
    return b"".join(event(name, value, position if i == last else None) for i, (name, value) in enumerate(listed))


assert BarRow.__struct_fields__ == _FIELDS, "a field was added to BAR_DTYPE"
assert ContractRow.__struct_fields__ == CHAIN_DTYPE.names, "a field was added to CHAIN_DTYPE"
