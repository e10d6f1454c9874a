"""Market state as JSON: rows of arrays in, bytes out, the shapes that `schemas.py` describes.

msgspec writes a double with the shortest text that reads back to it, and NaN as null. Events of a stream are framed here once, for
all who read them. A bar and a contract are written by the same records that a reader elsewhere reads them by. Floor 8.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from workbench.hub.remote.wire import Bar, Contract
from workbench.options.chain import CHAIN_DTYPE
from workbench.types import BAR_DTYPE

_FIELDS = tuple(name for name in BAR_DTYPE.names or () if name != "spare")
_encoder = msgspec.json.Encoder()


class Part(msgspec.Struct, gc=False):
    """Bars of one series, see `schemas.SeriesPart`."""

    symbol: str
    timeframe: str
    seq: int
    bars: list[Bar]
    forming: list[Bar] | None


class Position(NamedTuple):
    """How far a reader has been told: every change numbered up to `seq` of this life of the hub."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


def bar_rows(rows: np.ndarray | None) -> list[Bar]:
    """Return BAR_DTYPE rows as records; none for None."""
    return [] if rows is None else [Bar(*values[:-1]) for values in rows.tolist()]


def contract_records(rows: np.ndarray) -> list[Contract]:
    """Return CHAIN_DTYPE rows as records."""
    return [Contract(*values) for values in rows.tolist()]


def to_json(value: Any) -> bytes:
    """Return any record, dataclass, dict or list as JSON."""
    return _encoder.encode(value)


def encoded(text: bytes) -> Any:
    """Return JSON that was written before, to be taken as it is into a record, dict or list."""
    return msgspec.Raw(text)


def event(name: str, value: Any, position: Position | None = None) -> bytes:
    """Return one server-sent event; with `position`, a reader that is cut off later resumes from there."""
    line = b"" if position is None else f"id: {position}\n".encode()
    return b"%sevent: %s\ndata: %s\n\n" % (line, name.encode(), _encoder.encode(value))


def events(parts: Iterable[tuple[str, Any]], position: Position | None) -> bytes:
    """Return several events as one block, of which only the last has the id: whoever gets half of it starts again before it."""
    listed = list(parts)
    last = len(listed) - 1
    return b"".join(event(name, value, position if i == last else None) for i, (name, value) in enumerate(listed))


assert Bar.__struct_fields__ == _FIELDS, "a field was added to BAR_DTYPE"
assert Contract.__struct_fields__ == CHAIN_DTYPE.names, "a field was added to CHAIN_DTYPE"
