"""Alpaca's websocket frames as typed events, and typed events as the rows of `types.py`.

In: one binary frame, a msgpack array of maps that may mix events and statuses; times are msgpack timestamps [ns]. Out: rows, the
events that are no row, and every element that could not be read, with the reason: a broken element costs itself and never its
neighbours.

Two things differ from other providers. Prints have no sequence number: a stock print's id takes its place (unique per stamp), an
option print, which has no id, is known by its content. And prints can be taken back: `Correction` names the minute of the print
that was cancelled or corrected, which is looked up among the newest ones, since the message's own stamp may be that of the news.

Floor 2: msgspec and numpy. Field names: docs.alpaca.markets, real-time stock and option data.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.sources.alpaca.letters import (
    OPTION_CANCELS,
    TAPES,
    exchange_id,
    option_conditions,
    option_exchange_id,
    trade_conditions,
)
from workbench.sources.live.rows import (
    BAD_TIME,
    BAR_ROW,
    INT64_MAX,
    LATEST_NS,
    NO_CONDITIONS,
    QUOTE_ROW,
    TOO_MANY_CONDITIONS,
    TRADE_ROW,
    Broken,
    Columns,
    RowWriter,
    Unfit,
    UnknownEvent,
    check,
    trade_id,
)
from workbench.types import MAX_CONDITIONS, BarSource, SymbolTable

NOT_MSGPACK = "not msgpack"
BAD_FIELD = "field missing or of the wrong type"
NOT_AN_EVENT = "no event"
REMEMBERED_PRINTS = 1 << 17  # prints looked through for the one that is taken back

Stamp = msgspec.msgpack.Ext


class TradeEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="T", tag="t"):
    """A print. Of an option `c` is one letter, and there is no id and no tape."""

    S: str
    i: int = 0
    x: str = ""
    p: float
    s: float
    c: tuple[str, ...] | str | None = ()
    t: Stamp
    z: str = ""


class QuoteEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="T", tag="q", rename={"as_": "as"}):
    """Top of book; sizes as the provider counts them."""

    S: str
    bx: str = ""
    bp: float = math.nan
    bs: float = 0.0
    ax: str = ""
    ap: float = math.nan
    as_: float = 0.0
    t: Stamp


class MinuteEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="T", tag="b"):
    """The provider's minute bar, by its start, sent about a second after its end."""

    S: str
    o: float
    h: float
    l: float  # noqa: E741  the wire's own name
    c: float
    v: float = 0.0
    t: Stamp
    n: float = math.nan
    vw: float = math.nan


class UpdatedMinuteEvent(MinuteEvent, frozen=True, gc=False, kw_only=True, tag_field="T", tag="u"):
    """The same minute again, half a minute later, because late prints changed it."""


class CorrectionEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="T", tag="c"):
    """A print that was corrected; `oi` is the id of the original."""

    S: str
    oi: int = 0
    t: Stamp


class CancelEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="T", tag="x"):
    """A print that was cancelled or reported in error; `i` is its id."""

    S: str
    i: int = 0
    t: Stamp


class HaltEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="T", tag="s"):
    """A trading status: `sc`/`sm` what, `rc`/`rm` why."""

    S: str
    sc: str = ""
    sm: str = ""
    rc: str = ""
    rm: str = ""


class DailyEvent(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="d"):
    """A running daily bar; recognised, never used."""


class LimitEvent(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="l"):
    """Limit up / limit down bands; recognised, never used."""


class SuccessEvent(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="success"):
    """The server greets, or took the key."""

    msg: str = ""


class ErrorEvent(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="error"):
    """The server refuses something."""

    code: int = 0
    msg: str = ""


class SubscriptionEvent(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="subscription", rename={"updated_bars": "updatedBars"}):
    """Everything that this connection is subscribed to now."""

    trades: tuple[str, ...] | None = None
    quotes: tuple[str, ...] | None = None
    bars: tuple[str, ...] | None = None
    updated_bars: tuple[str, ...] | None = None
    statuses: tuple[str, ...] | None = None

    def topics(self) -> set[str]:
        """Return 'channel.symbol' of everything subscribed."""
        return {f"{name}.{symbol}" for name in CHANNELS for symbol in getattr(self, CHANNELS[name]) or ()}


CHANNELS = {"trades": "trades", "quotes": "quotes", "bars": "bars", "updatedBars": "updated_bars", "statuses": "statuses"}
StatusEvent = SuccessEvent | ErrorEvent | SubscriptionEvent
KnownEvent = (
    TradeEvent | QuoteEvent | MinuteEvent | UpdatedMinuteEvent | CorrectionEvent | CancelEvent | HaltEvent | DailyEvent | LimitEvent
    | SuccessEvent | ErrorEvent | SubscriptionEvent
)  # fmt: skip
_KNOWN_KINDS = frozenset(("t", "q", "b", "u", "c", "x", "s", "d", "l", "success", "error", "subscription"))


class Correction(NamedTuple):
    """A print of this moment was taken back."""

    symbol: str
    ts_event: int
    reason: str


_FRAME = msgspec.msgpack.Decoder(list[KnownEvent])
_ELEMENTS = msgspec.msgpack.Decoder(list[msgspec.Raw])
_ELEMENT = msgspec.msgpack.Decoder(KnownEvent)
_ANY = msgspec.msgpack.Decoder()
_EVENT_START = re.compile(rb"[\x80-\x8f]\xa1T")  # a short map whose first key is T


def decode(frame: bytes | str) -> tuple[list[Any], list[Broken]]:
    """Return the events of one frame in order, and what could not be read."""
    data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
    try:
        return _FRAME.decode(data), []
    except (msgspec.DecodeError, UnicodeDecodeError):
        return salvage(data)


def salvage(data: bytes) -> tuple[list[Any], list[Broken]]:
    """Return what can be read of `data` element by element, and what can't."""
    try:
        pieces = [bytes(raw) for raw in _ELEMENTS.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError):  # the structure breaks: where the next event opens, reading can go on
        edges = [*(match.start() for match in _EVENT_START.finditer(data)), len(data)]
        pieces = [data[a:b] for a, b in pairwise(edges)] or [data]
    events: list[Any] = []
    broken: list[Broken] = []
    for piece in pieces:
        read = _read_element(piece)
        (broken if isinstance(read, Broken) else events).append(read)
    return events, broken


def _read_element(raw: bytes) -> Any:
    try:
        return _ELEMENT.decode(raw)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        return _known_problem(raw, error)
    except msgspec.DecodeError:
        return Broken(NOT_MSGPACK, "", raw)


def _known_problem(raw: bytes, error: Exception) -> UnknownEvent | Broken:
    try:
        content = _ANY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Broken(NOT_MSGPACK, "", raw)
    kind = content.get("T") if isinstance(content, dict) else None
    if not isinstance(kind, str):
        return Broken(NOT_AN_EVENT, "", raw)
    if kind not in _KNOWN_KINDS:
        return UnknownEvent(kind, raw)
    symbol = content.get("S")
    return Broken(f"{BAD_FIELD}: {error}", symbol if isinstance(symbol, str) else "", raw)


# -- times -----------------------------------------------------------------------------------------------------------------

_SECONDS, _BOTH, _LONG = struct.Struct(">I"), struct.Struct(">Q"), struct.Struct(">Iq")


def stamp_ns(stamp: Stamp) -> int:
    """Return a msgpack timestamp as ns UTC; Unfit when it is none, or lies outside 1970-2262."""
    if stamp.code != -1:
        raise Unfit(BAD_TIME)
    data = bytes(stamp.data)
    if len(data) == 8:
        packed = _BOTH.unpack(data)[0]
        seconds, ns = packed & 0x3_FFFF_FFFF, packed >> 34
    elif len(data) == 4:
        seconds, ns = _SECONDS.unpack(data)[0], 0
    elif len(data) == 12:
        ns, seconds = _LONG.unpack(data)
    else:
        raise Unfit(BAD_TIME)
    total = int(seconds * 1_000_000_000 + ns)
    if not 0 < total < LATEST_NS:
        raise Unfit(BAD_TIME)
    return total


# -- events → rows ---------------------------------------------------------------------------------------------------------


class RecentPrints:
    """When the newest prints happened, by symbol and id."""

    def __init__(self, n: int = REMEMBERED_PRINTS) -> None:
        self._ids = np.zeros(n, np.int64)
        self._symbols = np.full(n, -1, np.int32)
        self._times = np.zeros(n, np.int64)
        self._next = 0

    def add(self, trades: np.ndarray) -> None:
        """Remember prints, TRADE_DTYPE, instead of the oldest ones."""
        trades = trades[-len(self._ids) :]
        room = len(self._ids) - self._next
        for part in (trades[:room], trades[room:]):  # the second part, past the end, goes to the beginning
            if len(part):
                at = slice(self._next, self._next + len(part))
                self._ids[at], self._symbols[at], self._times[at] = part["sequence"], part["symbol_id"], part["ts_event"]
                self._next = (self._next + len(part)) % len(self._ids)

    def find(self, symbol_id: int, print_id: int) -> int | None:
        """Return when a print happened [ns], None when it is not among those remembered."""
        found = np.flatnonzero((self._ids == print_id) & (self._symbols == symbol_id)) if print_id else ()
        return int(self._times[found].max()) if len(found) else None


class EventWriter(RowWriter):
    """Packs Alpaca's events of one frame and market."""

    def __init__(self, symbols: SymbolTable, ts_recv: int, *, is_options: bool) -> None:
        super().__init__(symbols, ts_recv)
        self._is_options = is_options

    def _pack(self, event: Any) -> None:
        kind = type(event)
        if kind is TradeEvent:
            if self._is_options and event.c and OPTION_CANCELS.intersection(event.c):
                self.others.append(CancelEvent(S=event.S, t=event.t))
            else:
                self.trades += self._option_trade(event) if self._is_options else self._trade(event)
        elif kind is QuoteEvent:
            self.quotes += self._quote(event)
        elif kind is MinuteEvent or kind is UpdatedMinuteEvent:
            self._add_bar(self._name(event.S), self._bar(event))
        elif kind is not DailyEvent and kind is not LimitEvent:
            self.others.append(event)

    def _refused(self, event: Any, reason: str) -> Broken:
        return Broken(reason, event.S, msgspec.msgpack.encode(event))

    def _name(self, symbol: str) -> str:
        return f"O:{symbol}" if self._is_options else symbol

    def _trade(self, event: TradeEvent) -> bytes:
        letters = (event.c,) if isinstance(event.c, str) else event.c or ()
        try:
            conditions = trade_conditions(event.z, letters)
        except KeyError as unknown:
            raise Unfit(f"unknown tape or sale condition {unknown} (tape {event.z!r})") from None
        tape, place = TAPES[event.z], exchange_id(event.x)
        return self._trade_row(event, check(event.i, INT64_MAX), conditions, place, tape, trade_id(event.i) if event.i else b"")

    def _option_trade(self, event: TradeEvent) -> bytes:
        letter = event.c if isinstance(event.c, str) else "".join(event.c or ())
        try:
            conditions = option_conditions(letter)
        except KeyError:
            raise Unfit(f"unknown option condition {letter!r}") from None
        content = f"{event.S} {event.t.data!r} {event.p!r} {event.s!r} {event.x} {letter}".encode()
        identity = hashlib.blake2b(content, digest_size=10).hexdigest().encode()
        return self._trade_row(event, 0, conditions, option_exchange_id(event.x), 0, identity)

    def _trade_row(self, event: TradeEvent, sequence: int, conditions: tuple[int, ...], exchange: int, tape: int, identity: bytes) -> bytes:
        n = len(conditions)
        if n > MAX_CONDITIONS:
            raise Unfit(TOO_MANY_CONDITIONS)
        return TRADE_ROW.pack(
            stamp_ns(event.t),
            self._ts_recv,
            event.p,
            event.s,
            sequence,
            self._symbols.intern(self._name(event.S)),
            exchange,
            tape,
            n,
            *(conditions + NO_CONDITIONS[n:]),
            identity,
        )

    def _quote(self, event: QuoteEvent) -> bytes:
        place = option_exchange_id(event.bx) if self._is_options else exchange_id(event.bx)
        return QUOTE_ROW.pack(
            stamp_ns(event.t),
            self._ts_recv,
            math.nan if event.bp == 0 and event.bs == 0 else event.bp,
            math.nan if event.ap == 0 and event.as_ == 0 else event.ap,
            event.bs,
            event.as_,
            0,
            self._symbols.intern(self._name(event.S)),
            0,
            place,
        )

    def _bar(self, event: MinuteEvent) -> bytes:
        start = stamp_ns(event.t)
        self._symbols.intern(self._name(event.S))
        prices = (event.o, event.h, event.l, event.c)
        return BAR_ROW.pack(start, start + NS_PER_MIN, *prices, event.v, event.vw, math.nan, event.n, 0, 0, BarSource.PROVIDER, 0, 1, 0)


class FrameReader:
    """Turns the frames of one connection into `Columns`; corrections come out as `Correction`, by the original print's time."""

    def __init__(self, symbols: SymbolTable, *, is_options: bool) -> None:
        self._symbols = symbols
        self._is_options = is_options
        self._recent = RecentPrints()

    def read(self, frame: str | bytes, ts_recv: int) -> Columns:
        """Return one frame as rows, stamped `ts_recv`, plus what is no row and what could not be read."""
        events, broken = decode(frame)
        writer = EventWriter(self._symbols, ts_recv, is_options=self._is_options)
        for event in events:
            writer.add(event)
        columns = writer.columns()
        columns.broken[:0] = broken
        if len(columns.trades) and not self._is_options:
            self._recent.add(columns.trades)
        columns.others = [one for event in columns.others if (one := self._resolved(event, columns)) is not None]
        return columns

    def _resolved(self, event: Any, columns: Columns) -> Any:
        if not isinstance(event, CorrectionEvent | CancelEvent):
            return event
        name = f"O:{event.S}" if self._is_options else event.S
        symbol_id = self._symbols.get(name)
        is_cancel = isinstance(event, CancelEvent)
        original = event.i if isinstance(event, CancelEvent) else event.oi
        found = self._recent.find(symbol_id, original) if symbol_id is not None else None
        try:
            moment = stamp_ns(event.t) if found is None else found
        except Unfit as unfit:
            columns.broken.append(Broken(str(unfit), name, msgspec.msgpack.encode(event)))
            return None
        return Correction(name, moment, f"a print was {'cancelled' if is_cancel else 'corrected'}")
