"""What a hub's service says, as the nouns that its readers know: JSON in, rows and records out.

Fields that are not needed here, or not known yet, are passed over: an older reader goes on with a newer hub. Text that is no
such JSON is a SourceError. Floor 2; the other side is described in `api/schemas.py`.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Any, TypeVar

import msgspec
import numpy as np

from workbench.errors import SourceError
from workbench.hub.gaps import OpenGap
from workbench.hub.health import Health, Mode
from workbench.options.chain import CHAIN_DTYPE
from workbench.sessions import Segment
from workbench.types import BAR_DTYPE, Quote, Trade

T = TypeVar("T", bound=msgspec.Struct)
_HEALTH_FIELDS = frozenset(Health.__dataclass_fields__)


class Bar(msgspec.Struct, gc=False):
    """One BAR_DTYPE row; null is NaN."""

    ts_open: int
    ts_close: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    vwap: float | None
    vw_std: float | None
    n_trades: float | None
    seq: int
    revision: int
    source: int
    is_partial: int
    is_complete: int


class Part(msgspec.Struct):
    """Bars of one series; `forming` None: as last told."""

    symbol: str
    timeframe: str
    seq: int
    bars: list[Bar]
    forming: list[Bar] | None = None


class Print(msgspec.Struct):
    """The fields of `Trade`."""

    symbol: str
    ts_event: int
    price: float
    size: float
    ts_recv: int
    conditions: tuple[int, ...]
    exchange: int
    tape: int
    sequence: int
    id: str


class TopOfBook(msgspec.Struct):
    """The fields of `Quote`; a side without a quote is null."""

    symbol: str
    ts_event: int
    bid: float | None
    ask: float | None
    bid_size: float
    ask_size: float
    ts_recv: int
    sequence: int
    condition: int
    exchange: int


class Epoch(msgspec.Struct):
    """`epoch`: first on every connection."""

    epoch: int
    seq: int
    ts_ns: int
    heartbeat_s: float


class Bootstrap(msgspec.Struct):
    """`bootstrap`: all of one symbol at one moment."""

    epoch: int
    seq: int
    symbol: str
    series: list[Part]
    health: dict[str, Any]
    is_last: bool
    trade: Print | None = None
    quote: TopOfBook | None = None


class Bars(msgspec.Struct):
    """`bar`: what changed in all series since the last one."""

    epoch: int
    seq: int
    ts_ns: int
    series: list[Part]


class Tick(msgspec.Struct):
    """Newest print and quote of one symbol."""

    symbol: str
    trade: Print | None = None
    quote: TopOfBook | None = None


class Ticks(msgspec.Struct):
    """`tick`."""

    ts_ns: int
    ticks: list[Tick]


class SymbolMicrobar(msgspec.Struct):
    """The newest 50 ms bar of a symbol."""

    symbol: str
    bar: Bar


class Microbars(msgspec.Struct):
    """`microbar`."""

    microbars: list[SymbolMicrobar]


class HealthNews(msgspec.Struct):
    """`health`."""

    health: list[dict[str, Any]]


class Heartbeat(msgspec.Struct):
    """`heartbeat`."""

    ts_ns: int


class SeriesName(msgspec.Struct, frozen=True):
    """Which series."""

    symbol: str
    timeframe: str


class Reset(msgspec.Struct):
    """`reset`: forget these; a bootstrap follows."""

    reason: str
    series: list[SeriesName]


class Page(msgspec.Struct):
    """A page of `/api/history`."""

    bars: list[Bar]


class Status(msgspec.Struct):
    """`/api/market/status`."""

    source: str
    detail: str
    ts_ns: int
    is_replay: bool
    has_trades: bool
    has_quotes: bool
    delay_ns: int
    bar_lengths_ns: dict[str, int]
    has_chains: bool = False


class Symbols(msgspec.Struct):
    """`/api/symbols`."""

    watched: list[str]
    known: list[str] | None = None


class Quality(msgspec.Struct):
    """`/api/quality`."""

    epoch: int
    is_idle: bool
    feed: dict[str, Any]
    symbols: list[dict[str, Any]]
    gaps: list[dict[str, Any]]


class Expiries(msgspec.Struct):
    """`/api/expiries`."""

    expiries: list[date]


class Contract(msgspec.Struct, gc=False):
    """One CHAIN_DTYPE row; null is NaN."""

    symbol: str
    root: str
    expiry: date
    expiry_ns: int
    strike: float
    right: str
    bid: float | None
    ask: float | None
    last: float | None
    bid_size: float | None
    ask_size: float | None
    volume: float | None
    open_interest: float | None
    vendor_iv: float | None
    vendor_delta: float | None
    vendor_gamma: float | None
    ts_ns: int
    is_standard: bool


class ChainPage(msgspec.Struct):
    """`/api/chain`; without `is_changed` nothing is told but how the chain is doing."""

    version: str
    is_changed: bool
    is_loaded: bool
    reason: str
    n_live: int
    source: str
    spot: float | None
    spot_ts_ns: int
    asof_ns: int
    notes: list[str]
    rows: list[Contract]


class Replay(msgspec.Struct):
    """`/api/replay`: where a market whose time can be steered stands."""

    ts_ns: int
    speed: float
    is_paused: bool
    start_ns: int
    end_ns: int


class Refusal(msgspec.Struct):
    """Body of every refusal."""

    error: str


def decode(data: bytes, kind: type[T]) -> T:
    """Return a message of the service; SourceError when it is none."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"hub: received what is no {kind.__name__} ({error}); allowed: the answers of a workbench hub") from None


def rows_of(bars: list[Bar]) -> np.ndarray:
    """Return bars as BAR_DTYPE, shape (n,)."""
    rows = np.zeros(len(bars), BAR_DTYPE)
    if bars:
        table = zip(*(msgspec.structs.astuple(bar) for bar in bars), strict=True)
        for name, values in zip(Bar.__struct_fields__, table, strict=True):
            rows[name] = np.array(values, BAR_DTYPE[name])  # of None numpy makes NaN
    return rows


def contracts_of(told: list[Contract]) -> np.ndarray:
    """Return contracts as CHAIN_DTYPE, shape (n,)."""
    rows = np.zeros(len(told), CHAIN_DTYPE)
    if told:
        table = zip(*(msgspec.structs.astuple(one) for one in told), strict=True)
        for name, values in zip(Contract.__struct_fields__, table, strict=True):
            rows[name] = np.array(values, CHAIN_DTYPE[name])  # of None numpy makes NaN
    return rows


def trade_of(told: Print) -> Trade:
    """Return a print."""
    return Trade(**msgspec.structs.asdict(told))


def quote_of(told: TopOfBook) -> Quote:
    """Return a quote."""
    absent: dict[str, Any] = {name: math.nan for name in ("bid", "ask") if getattr(told, name) is None}
    return Quote(**{**msgspec.structs.asdict(told), **absent})


def health_of(told: dict[str, Any]) -> Health:
    """Return a health record."""
    try:
        values = {name: value for name, value in told.items() if name in _HEALTH_FIELDS}
        return Health(**{**values, "mode": Mode(told["mode"]), "segment": Segment[told["segment"]]})
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"hub: received what is no health record ({error!r}); allowed: the answers of a workbench hub") from None


def gap_of(told: dict[str, Any]) -> OpenGap:
    """Return a span not yet proved complete."""
    names = OpenGap.__dataclass_fields__
    return OpenGap(**{name: value for name, value in told.items() if name in names})
