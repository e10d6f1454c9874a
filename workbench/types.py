"""The nouns: what the market said, as immutable records, and the array layouts that carry many of them.

A record class is for one thing at a time (a tooltip, a test, a journal row); the dtype beside it is for many (rings, files,
kernels). `to_row` and `from_row` go between the two without loss. Every time is int64 nanoseconds since 1970 UTC, and every
market event has two: `ts_event`, when it happened, and `ts_recv`, when we knew. Prices here are floats: they are market
data. Money of our own (orders, fills, journal) will be exact.

Floor 0: standard library and numpy only.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Any, Literal

import numpy as np

from workbench.errors import RecordError, SymbolError, TimeframeError, choices

__all__ = [
    "BAR_DTYPE",
    "QUOTE_DTYPE",
    "TIMEFRAMES",
    "TRADE_DTYPE",
    "Bar",
    "BarSource",
    "OptionContract",
    "Quote",
    "Right",
    "SymbolTable",
    "Timeframe",
    "Trade",
    "bar_from_row",
    "bar_to_row",
    "check_symbol",
    "quote_from_row",
    "quote_to_row",
    "trade_from_row",
    "trade_to_row",
]

NS_PER_S = 1_000_000_000
MAX_CONDITIONS = 6
MAX_ID_BYTES = 20

Right = Literal["C", "P"]

# 80 bytes. `conditions` holds the first `n_conditions` ids, the rest is zero.
TRADE_DTYPE = np.dtype(
    [
        ("ts_event", "i8"),
        ("ts_recv", "i8"),
        ("price", "f8"),
        ("size", "f8"),
        ("sequence", "i8"),
        ("symbol_id", "i4"),
        ("exchange", "i2"),
        ("tape", "i1"),
        ("n_conditions", "i1"),
        ("conditions", "i2", (MAX_CONDITIONS,)),
        ("id", f"S{MAX_ID_BYTES}"),
    ]
)

# 64 bytes, one cache line.
QUOTE_DTYPE = np.dtype(
    [
        ("ts_event", "i8"),
        ("ts_recv", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("bid_size", "f8"),
        ("ask_size", "f8"),
        ("sequence", "i8"),
        ("symbol_id", "i4"),
        ("condition", "i2"),
        ("exchange", "i2"),
    ]
)

# 96 bytes. vwap, vw_std (volume-weighted standard deviation of the prices inside the bar) and n_trades are NaN where the
# origin does not tell. seq numbers the changes of bars of one hub, from 1 (`hub/series.py`).
BAR_DTYPE = np.dtype(
    [
        ("ts_open", "i8"),
        ("ts_close", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("vwap", "f8"),
        ("vw_std", "f8"),
        ("n_trades", "f8"),
        ("seq", "i8"),
        ("revision", "i4"),
        ("source", "u1"),
        ("is_partial", "u1"),
        ("is_complete", "u1"),
        ("spare", "u1"),
    ]
)


class BarSource(IntEnum):
    """Where a bar's numbers come from; part of the merge rule (`hub/merge.py`)."""

    UNKNOWN = 0
    TRADES = 1  # built here from trades
    PROVIDER = 2  # the provider's own bar, streamed
    REST = 3  # the provider's history
    FILE = 4  # a recorded or imported file
    SIMULATED = 5  # the simulated market's past


_SYMBOL = re.compile(r"(?:[OI]:)?[A-Za-z0-9][A-Za-z0-9.\-/_^]{0,30}")


def check_symbol(symbol: str) -> str:
    """Return `symbol` unchanged, or raise `SymbolError`. Case is kept: 'KIMpL' is a preferred share, not a typing error."""
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        raise SymbolError(
            f"symbol: received {symbol!r}; allowed: 1-31 letters, digits and . - / _ ^, for options O: in front "
            "(examples: SPY, BRK.B, O:SPY241220P00720000)"
        )
    return symbol


@dataclass(frozen=True, slots=True)
class Trade:
    """A print on the tape (never our own deal).

    `size` in shares or contracts, > 0. `conditions` are consolidated sale-condition ids (`conditions.py`), empty when none.
    `sequence` orders prints of one symbol that share a stamp; 0 when the origin has none.
    """

    symbol: str
    ts_event: int
    price: float
    size: float
    ts_recv: int = 0
    conditions: tuple[int, ...] = ()
    exchange: int = 0
    tape: int = 0
    sequence: int = 0
    id: str = ""

    def __post_init__(self) -> None:
        _require(self.price > 0 and math.isfinite(self.price), "Trade.price", self.price, "a finite price > 0")
        _require(self.size >= 0 and math.isfinite(self.size), "Trade.size", self.size, "a finite size >= 0")
        _require(len(self.conditions) <= MAX_CONDITIONS, "Trade.conditions", self.conditions, f"at most {MAX_CONDITIONS} ids")
        _require(len(self.id.encode()) <= MAX_ID_BYTES, "Trade.id", self.id, f"at most {MAX_ID_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class Quote:
    """Top of book. Sizes in shares or contracts. A side without a quote is NaN with size 0; a crossed quote refuses to exist."""

    symbol: str
    ts_event: int
    bid: float
    ask: float
    bid_size: float = 0.0
    ask_size: float = 0.0
    ts_recv: int = 0
    sequence: int = 0
    condition: int = 0
    exchange: int = 0

    def __post_init__(self) -> None:
        for name, price in (("bid", self.bid), ("ask", self.ask)):
            _require(math.isnan(price) or (price > 0 and math.isfinite(price)), f"Quote.{name}", price, "a price > 0, or NaN for no quote")
        crossed = f"at most the ask {self.ask!r} (a crossed quote is quarantined, not mended)"
        _require(not self.bid > self.ask, "Quote.bid", self.bid, crossed)

    @property
    def mid(self) -> float:
        """Midpoint; NaN when a side is missing."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class Bar:
    """OHLCV of [ts_open, ts_close); to be used as finished only from ts_close, and only when `is_partial` is False.

    `vwap`, `vw_std` (volume-weighted standard deviation of the prices inside the bar [USD]) and `n_trades` are None where the
    origin does not tell. `revision` counts corrections of the same bar, from 0.
    `is_complete` is False when the feed is known to have been away for part of the bar.
    """

    symbol: str
    timeframe: str
    ts_open: int
    ts_close: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None = None
    vw_std: float | None = None
    n_trades: int | None = None
    source: BarSource = BarSource.UNKNOWN
    revision: int = 0
    is_partial: bool = False
    is_complete: bool = True
    seq: int = 0

    def __post_init__(self) -> None:
        _require(self.ts_close > self.ts_open, "Bar.ts_close", self.ts_close, f"later than ts_open {self.ts_open}")
        low, high = min(self.open, self.close), max(self.open, self.close)
        _require(self.low > 0 and math.isfinite(self.high), "Bar.low", self.low, "finite prices > 0")
        _require(self.low <= low and high <= self.high, "Bar", (self.open, self.high, self.low, self.close), "low <= open, close <= high")
        _require(self.volume >= 0, "Bar.volume", self.volume, ">= 0")


def _require(ok: bool, name: str, received: object, allowed: str) -> None:
    if not ok:
        raise RecordError(f"{name}: received {received!r}; allowed: {allowed}")


class SymbolTable:
    """Text ↔ small integer, both ways; arrays carry the integer. One table per hub, shared with its source; safe across threads."""

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        self._ids: dict[str, int] = {}  # symbol -> id
        self._names: list[str] = []  # id -> symbol
        self._lock = threading.Lock()
        for symbol in symbols:
            self.intern(symbol)

    def intern(self, symbol: str) -> int:
        """Return the id of `symbol`, giving it the next one when it is new."""
        found = self._ids.get(symbol)
        if found is not None:
            return found
        check_symbol(symbol)
        with self._lock:
            if symbol not in self._ids:
                self._names.append(symbol)
                self._ids[symbol] = len(self._names) - 1
            return self._ids[symbol]

    def get(self, symbol: str) -> int | None:
        """Return the id of `symbol`, or None when it was never interned."""
        return self._ids.get(symbol)

    def name(self, symbol_id: int) -> str:
        """Return the symbol with this id; IndexError when there is none."""
        if symbol_id < 0:
            raise IndexError(f"symbol_id: received {symbol_id}; allowed: 0 to {len(self._names) - 1}")
        return self._names[symbol_id]

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._names))

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._ids


@dataclass(frozen=True, slots=True, order=True)
class Timeframe:
    """A bar length: label as traders say it, nominal length [ns]. 1d and 1w follow sessions, not the clock."""

    length_ns: int
    label: str = field(compare=False)

    @classmethod
    def parse(cls, text: str | Timeframe) -> Timeframe:
        """Return the timeframe called `text`; TimeframeError names the allowed ones."""
        if isinstance(text, Timeframe):
            return text
        found = TIMEFRAMES.get(text) if isinstance(text, str) else None
        if found is None:
            raise TimeframeError(f"timeframe: received {choices(text, TIMEFRAMES)}")
        return found

    @property
    def is_intraday(self) -> bool:
        """True below one day."""
        return self.length_ns < 86_400 * NS_PER_S

    def __str__(self) -> str:
        return self.label


def _timeframes() -> dict[str, Timeframe]:
    minutes = {"1m": 1, "2m": 2, "3m": 3, "5m": 5, "10m": 10, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "1d": 1440, "1w": 10080}
    return {label: Timeframe(n * 60 * NS_PER_S, label) for label, n in minutes.items()}


TIMEFRAMES: dict[str, Timeframe] = _timeframes()

_OCC = re.compile(r"(?P<root>[A-Z0-9.]{1,6}) *(?P<yy>\d\d)(?P<mm>\d\d)(?P<dd>\d\d)(?P<right>[CP])(?P<strike>\d{8})")


@dataclass(frozen=True, slots=True, order=True)
class OptionContract:
    """A listed US option. The root is kept as printed: SPX (settles in the morning) and SPXW (afternoon) are different contracts.

    `strike` is exact (Decimal dollars). `multiplier` is shares per contract, 100 unless a corporate action changed it
    (such contracts carry a digit at the end of the root; the multiplier then has to be given).
    """

    root: str
    expiry: date
    right: Right
    strike: Decimal
    multiplier: int = 100

    def __post_init__(self) -> None:
        _require(self.right in ("C", "P"), "OptionContract.right", self.right, "'C' or 'P'")
        _require(bool(re.fullmatch(r"[A-Z0-9.]{1,6}", self.root)), "OptionContract.root", self.root, "1-6 capitals or digits")
        try:
            strike = Decimal(str(self.strike)) if not isinstance(self.strike, Decimal) else self.strike
        except InvalidOperation:
            raise RecordError(f"OptionContract.strike: received {self.strike!r}; allowed: a number of dollars") from None
        in_range = strike.is_finite() and 0 < strike < 100_000 and strike * 1000 == int(strike * 1000)
        _require(in_range, "OptionContract.strike", self.strike, "0.001 to 99999.999 in steps of 0.001")
        object.__setattr__(self, "strike", strike.normalize())

    @classmethod
    def parse(cls, text: str, multiplier: int = 100) -> OptionContract:
        """Return the contract that an OCC symbol names: 'O:SPY241220P00720000', 'SPY241220P00720000' or padded 'SPY   241220P00720000'."""
        match = _OCC.fullmatch(text.removeprefix("O:").strip()) if isinstance(text, str) else None
        if match is None:
            form = "OCC form, root yymmdd C|P strike×1000 in 8 digits (O:SPY241220P00720000)"
            raise SymbolError(f"option symbol: received {text!r}; allowed: {form}")
        try:
            expiry = date(2000 + int(match["yy"]), int(match["mm"]), int(match["dd"]))
        except ValueError as error:
            raise SymbolError(f"option symbol: received {text!r}, whose expiry is no date ({error}); allowed: yymmdd of a day") from None
        right: Right = "C" if match["right"] == "C" else "P"
        return cls(match["root"], expiry, right, Decimal(match["strike"]) / 1000, multiplier)

    @property
    def occ(self) -> str:
        """OCC symbol without padding: 'SPY241220P00720000'."""
        return f"{self.root}{self.expiry:%y%m%d}{self.right}{int(self.strike * 1000):08d}"

    @property
    def symbol(self) -> str:
        """The symbol used throughout the workbench: 'O:SPY241220P00720000'."""
        return f"O:{self.occ}"

    @property
    def label(self) -> str:
        """For people: 'SPY 20 Dec 24 720 P'."""
        return f"{self.root} {self.expiry.day} {self.expiry:%b %y} {self.strike:f} {self.right}"

    def __str__(self) -> str:
        return self.symbol


_MAY_BE_ABSENT = ("vwap", "vw_std", "n_trades")


def trade_to_row(trade: Trade, symbols: SymbolTable) -> np.ndarray:
    """Return `trade` as one TRADE_DTYPE row, shape (1,)."""
    row = np.zeros(1, TRADE_DTYPE)
    _copy_fields(trade, row, skip=("symbol", "conditions", "id"))
    row["symbol_id"] = symbols.intern(trade.symbol)
    row["n_conditions"] = len(trade.conditions)
    row["conditions"][0, : len(trade.conditions)] = trade.conditions
    row["id"] = trade.id.encode()
    return row


def trade_from_row(row: Any, symbols: SymbolTable) -> Trade:
    """Return one TRADE_DTYPE row as a `Trade`."""
    ts_event, ts_recv, price, size, sequence, symbol_id, exchange, tape, n, conditions, ident = row.tolist()
    ids = tuple(conditions[:n].tolist()) if n else ()
    return Trade(symbols.name(symbol_id), ts_event, price, size, ts_recv, ids, exchange, tape, sequence, ident.decode())


def quote_to_row(quote: Quote, symbols: SymbolTable) -> np.ndarray:
    """Return `quote` as one QUOTE_DTYPE row, shape (1,)."""
    row = np.zeros(1, QUOTE_DTYPE)
    _copy_fields(quote, row, skip=("symbol",))
    row["symbol_id"] = symbols.intern(quote.symbol)
    return row


def quote_from_row(row: Any, symbols: SymbolTable) -> Quote:
    """Return one QUOTE_DTYPE row as a `Quote`."""
    ts_event, ts_recv, bid, ask, bid_size, ask_size, sequence, symbol_id, condition, exchange = row.tolist()
    return Quote(symbols.name(symbol_id), ts_event, bid, ask, bid_size, ask_size, ts_recv, sequence, condition, exchange)


def bar_to_row(bar: Bar) -> np.ndarray:
    """Return `bar` as one BAR_DTYPE row, shape (1,); symbol and timeframe belong to the series, not to the row."""
    row = np.zeros(1, BAR_DTYPE)
    _copy_fields(bar, row, skip=("symbol", "timeframe", *_MAY_BE_ABSENT))
    for name in _MAY_BE_ABSENT:
        value = getattr(bar, name)
        row[name] = math.nan if value is None else value
    return row


def bar_from_row(row: Any, symbol: str, timeframe: str) -> Bar:
    """Return one BAR_DTYPE row as a `Bar` of this series."""
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        vwap=None if math.isnan(row["vwap"]) else float(row["vwap"]),
        vw_std=None if math.isnan(row["vw_std"]) else float(row["vw_std"]),
        n_trades=None if math.isnan(row["n_trades"]) else int(row["n_trades"]),
        source=BarSource(int(row["source"])),
        is_partial=bool(row["is_partial"]),
        is_complete=bool(row["is_complete"]),
        **{name: int(row[name]) for name in ("ts_open", "ts_close", "revision", "seq")},
        **{name: float(row[name]) for name in ("open", "high", "low", "close", "volume")},  # type: ignore[arg-type]
    )


def _copy_fields(record: Any, row: np.ndarray, skip: tuple[str, ...]) -> None:
    for item in fields(record):
        if item.name not in skip:
            row[item.name] = getattr(record, item.name)
