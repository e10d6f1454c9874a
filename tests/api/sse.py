"""A reader of the hub's stream as anybody would write one from the README: text in, bars by symbol and timeframe out.

Written from the format of server-sent events and the API's own description, without any code of the package. It can be fed any
piece of a stream and be cut off anywhere; only whole events count, as in a browser.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Event:
    """One event: its name, its data and the id that it moved the reader to, if any."""

    name: str
    data: Any
    id: str | None


@dataclass
class Parser:
    """Bytes in, whole events out; what is cut off inside an event is dropped with the connection (`cut`)."""

    _rest: bytes = b""

    def feed(self, piece: bytes) -> list[Event]:
        blocks = (self._rest + piece).split(b"\n\n")
        self._rest = blocks.pop()
        return [event for block in blocks if (event := self._read(block.decode()))]

    def cut(self) -> None:
        """The connection ended: an event without its end never happened."""
        self._rest = b""

    @staticmethod
    def _read(block: str) -> Event | None:
        name, number, data = "message", None, []
        for line in block.split("\n"):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "id":
                number = value
            elif key == "data":
                data.append(value)
        return Event(name, json.loads("\n".join(data)), number) if data else None


@dataclass
class Mirror:
    """What a reader holds: closed bars by (symbol, timeframe) and stamp; the id to resume from; what went wrong."""

    bars: dict[tuple[str, str], dict[int, dict]] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)  # of the newest change told of each series
    last_id: str | None = None
    epoch: int = 0
    n_resets: int = 0
    twice: list[str] = field(default_factory=list)  # changes told a second time without a reset between

    def take(self, event: Event) -> None:
        """Apply one event."""
        if event.name == "epoch":
            self.epoch = event.data["epoch"]
        elif event.name == "reset":
            self.n_resets += 1
            for one in event.data["series"]:
                self.bars.pop((one["symbol"], one["timeframe"]), None)
                self.numbers.pop((one["symbol"], one["timeframe"]), None)
        elif event.name == "bootstrap":
            for part in event.data["series"]:
                key = (part["symbol"], part["timeframe"])
                self.bars[key] = {bar["ts_open"]: bar for bar in part["bars"]}
                self.numbers[key] = part["seq"]
        elif event.name == "bar":
            self._change(event.data)
        if event.id is not None:
            self.last_id = event.id

    def _change(self, data: dict) -> None:
        for part in data["series"]:
            key = (part["symbol"], part["timeframe"])
            for bar in part["bars"]:
                if bar["seq"] <= self.numbers.get(key, -1):
                    self.twice.append(f"{key} {bar['seq']} after {self.numbers[key]} (event {data['seq']})")
                self.numbers[key] = max(self.numbers.get(key, -1), bar["seq"])
                self.bars.setdefault(key, {})[bar["ts_open"]] = bar

    def rows(self, symbol: str, timeframe: str) -> list[tuple]:
        """Return the closed bars held, by time, as plain tuples that compare with `plain`."""
        return [_tuple(bar) for _, bar in sorted(self.bars.get((symbol, timeframe), {}).items())]


FIELDS = ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "vwap", "vw_std", "n_trades", "seq", "revision", "source", "is_partial", "is_complete")  # fmt: skip


def _tuple(bar: dict) -> tuple:
    return tuple(bar[name] for name in FIELDS)


def plain(rows: Any) -> list[tuple]:
    """Return a hub's BAR_DTYPE rows in the form in which the reader holds them: what is unknown is None."""
    return [tuple(_value(row[name]) for name in FIELDS) for row in rows]


def _value(value: Any) -> Any:
    number = value.item()
    return None if isinstance(number, float) and math.isnan(number) else number
