"""Polygon's websocket frames as typed events, and typed events as the rows of `types.py`.

In: one text frame, a JSON array that may mix events and statuses. Out: typed events, and every element that could not be read,
with the reason. Decoding is all or nothing only per element: a broken element, even one that breaks the JSON of its frame,
costs itself and never its neighbours. This is the readable path; `scan.py` is its fast twin for long frames and comes back
here for anything unusual.

Floor 2: msgspec and numpy. Field names on the wire: massive.com/docs and the client's `.massive/websocket.json`.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from workbench.clock import NS_PER_MIN
from workbench.sources.live.rows import (
    BAD_NUMBER,
    BAD_TIME,
    BAR_ROW,
    INT16_MAX,
    INT64_MAX,
    LATEST_NS,
    NO_CONDITIONS,
    QUOTE_ROW,
    TOO_MANY_CONDITIONS,
    TRADE_ROW,
    Broken,
    RowWriter,
    Unfit,
    UnknownEvent,
    check,
    trade_id,
)
from workbench.types import MAX_CONDITIONS, BarSource

INT8_MAX = 127


# Fields stand in the order in which the wire sends them, and small ones nobody uses are kept: msgspec then finds each field at
# the first look (14 % faster, measured).


class TradeEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="ev", tag="T"):
    """A print. `t` in ms; option prints have no `i` and no `z`; `ds` is the exact size as text where it is fractional."""

    sym: str
    x: int = 0
    i: str | int = ""
    z: int = 0
    p: float
    s: float
    c: tuple[int, ...] = ()
    t: int
    q: int = 0
    ds: str = ""


class QuoteEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="ev", tag="Q", rename={"as_": "as"}):
    """Top of book, `t` in ms. Sizes are shares since 2025-11-03 (round lots before) or contracts. A side may be absent."""

    sym: str
    bx: int = 0
    bp: float = math.nan
    bs: float = 0.0
    ax: int = 0
    ap: float = math.nan
    as_: float = 0.0
    c: int | tuple[int, ...] = 0
    t: int
    q: int = 0
    z: int = 0


class MinuteEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="ev", tag="AM"):
    """The provider's own minute bar, `s` = start in ms. Sent again with the same start when late prints change it."""

    sym: str
    v: float = 0.0
    vw: float = math.nan
    o: float
    c: float
    h: float
    l: float  # noqa: E741  the wire's own name
    s: int
    dv: str = ""


class SecondEvent(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="A"):
    """A second bar; read so that it is recognised, never used: minutes are not sums of these (provider's own remark)."""

    sym: str
    s: int


class StatusEvent(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="status"):
    """What the server says about the connection itself."""

    status: str = ""
    message: str = ""


class LimitEvent(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="LULD", rename={"sym": "T"}):
    """Limit up / limit down bands. The unit of `t` differs between documents: see `to_ns`."""

    sym: str
    t: int
    h: float = math.nan
    l: float = math.nan  # noqa: E741  the wire's own name
    i: tuple[int, ...] = ()
    q: int = 0


class FairValueEvent(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="FMV"):
    """The provider's fair market value; `t` in ms or ns."""

    sym: str
    fmv: float
    t: int


class IndexEvent(msgspec.Struct, frozen=True, gc=False, tag_field="ev", tag="V", rename={"sym": "T"}):
    """An index value."""

    sym: str
    val: float
    t: int


KnownEvent = TradeEvent | QuoteEvent | MinuteEvent | SecondEvent | StatusEvent | LimitEvent | FairValueEvent | IndexEvent
Event = KnownEvent | UnknownEvent

_FRAME = msgspec.json.Decoder(list[KnownEvent])
_ELEMENT = msgspec.json.Decoder(KnownEvent)
_ANY = msgspec.json.Decoder()

NOT_JSON = "not JSON"
BAD_FIELD = "field missing or of the wrong type"
NOT_AN_EVENT = "no event"


def decode(frame: bytes | str) -> tuple[list[Any], list[Broken]]:
    """Return the events of one frame in order, and what could not be read."""
    try:
        return _FRAME.decode(frame), []
    except (msgspec.DecodeError, UnicodeDecodeError):
        return salvage(frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame)


# -- frames with something odd in them -------------------------------------------------------------------------------------

_EVENT_START = re.compile(rb'\{\s*"ev"')
_BETWEEN = b" \t\r\n,[]"
_QUOTED_OR_BRACE = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)
_SYMBOL_FIELD = re.compile(rb'"(?:sym|T)"\s*:\s*"([^"\\]{1,40})"')


def salvage(data: bytes, start: int = 0) -> tuple[list[Any], list[Broken]]:
    """Return what can be read of `data` from `start` on, element by element, and what can't."""
    events: list[Any] = []
    broken: list[Broken] = []
    at = start
    while True:
        while at < len(data) and data[at] in _BETWEEN:
            at += 1
        if at >= len(data):
            return events, broken
        end = element_end(data, at)
        read = _read_element(data[at:end]) if end > 0 else None
        if end < 0 or (isinstance(read, Broken) and _EVENT_START.search(data, at + 1, end)):
            # Quotes or braces do not match, so where this element ends is unknown: the next event's opening ends it.
            following = _EVENT_START.search(data, at + 1)
            end = following.start() if following else len(data)
            read = _read_element(data[at:end].rstrip(b" \t\r\n,"))
        (broken if isinstance(read, Broken) else events).append(read)  # type: ignore[arg-type]
        at = end


def element_end(data: bytes, at: int) -> int:
    """Return the position after the object that opens at `at`; -1 when none opens there or it never closes."""
    if data[at : at + 1] != b"{":
        return -1
    depth = 0
    for match in _QUOTED_OR_BRACE.finditer(data, at):
        token = match[0]
        if token == b"{":
            depth += 1
        elif token == b"}":
            depth -= 1
            if depth == 0:
                return match.end()
    return -1


def _read_element(raw: bytes) -> Any:
    """Return the event that `raw` holds, or a `Broken`."""
    try:
        return _ELEMENT.decode(raw)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        return _known_problem(raw, error)
    except msgspec.DecodeError:
        return Broken(NOT_JSON, _symbol_in(raw), raw)


def _known_problem(raw: bytes, error: Exception) -> UnknownEvent | Broken:
    try:
        content = _ANY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Broken(NOT_JSON, _symbol_in(raw), raw)
    kind = content.get("ev") if isinstance(content, dict) else None
    if not isinstance(kind, str):
        return Broken(NOT_AN_EVENT, _symbol_in(raw), raw)
    if kind not in _KNOWN_KINDS:
        return UnknownEvent(kind, raw)
    return Broken(f"{BAD_FIELD}: {error}", _symbol_in(raw), raw)


_KNOWN_KINDS = {"T", "Q", "AM", "A", "status", "LULD", "FMV", "V"}


def _symbol_in(raw: bytes) -> str:
    match = _SYMBOL_FIELD.search(raw)
    return match[1].decode("utf-8", "replace") if match else ""


# -- units -----------------------------------------------------------------------------------------------------------------


_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (2**63, 1))  # stamps below this are in units of so many ns


def to_ns(stamp: int) -> int:
    """Return a Unix time in s, ms, µs or ns as ns; the unit is told by its magnitude. 0 when it is no time at all.

    Documents and live messages disagree about LULD, FMV and imbalance stamps, so the unit is never taken from a document.
    Exact between 1973 and 5138.
    """
    for limit, factor in _UNITS:
        if 0 < stamp < limit:
            ns = stamp * factor
            return ns if ns < LATEST_NS else 0
    return 0


# -- events → rows ---------------------------------------------------------------------------------------------------------


class EventWriter(RowWriter):
    """Packs Polygon's events of one frame."""

    def _pack(self, event: Any) -> None:
        kind = type(event)
        if kind is TradeEvent:
            self.trades += self._trade(event)
        elif kind is QuoteEvent:
            self.quotes += self._quote(event)
        elif kind is MinuteEvent:
            self._add_bar(event.sym, self._bar(event))
        elif kind is not SecondEvent:
            self.others.append(event)

    def _refused(self, event: Any, reason: str) -> Broken:
        return Broken(reason, event.sym, msgspec.json.encode(event))

    def _trade(self, event: TradeEvent) -> bytes:
        n = len(event.c)
        if n > MAX_CONDITIONS:
            raise Unfit(TOO_MANY_CONDITIONS)
        for condition in event.c:
            check(condition, INT16_MAX)
        return TRADE_ROW.pack(
            _time(event.t),
            self._ts_recv,
            event.p,
            _decimal(event.ds, event.s),
            check(event.q, INT64_MAX),
            self._symbols.intern(event.sym),
            check(event.x, INT16_MAX),
            check(event.z, INT8_MAX),
            n,
            *(event.c + NO_CONDITIONS[n:]),
            trade_id(event.i),
        )

    def _quote(self, event: QuoteEvent) -> bytes:
        condition = event.c if isinstance(event.c, int) else (event.c[0] if event.c else 0)
        return QUOTE_ROW.pack(
            _time(event.t),
            self._ts_recv,
            math.nan if event.bp == 0 and event.bs == 0 else event.bp,
            math.nan if event.ap == 0 and event.as_ == 0 else event.ap,
            event.bs,
            event.as_,
            check(event.q, INT64_MAX),
            self._symbols.intern(event.sym),
            check(condition, INT16_MAX),
            check(event.bx, INT16_MAX),
        )

    def _bar(self, event: MinuteEvent) -> bytes:
        start = _time(event.s)
        self._symbols.intern(event.sym)
        prices = (event.o, event.h, event.l, event.c)
        unknown = math.nan
        volume = _decimal(event.dv, event.v)
        return BAR_ROW.pack(start, start + NS_PER_MIN, *prices, volume, event.vw, unknown, unknown, 0, 0, BarSource.PROVIDER, 0, 1, 0)


def _time(stamp: int) -> int:
    ns = to_ns(stamp)
    if ns == 0:
        raise Unfit(BAD_TIME)
    return ns


def _decimal(text: str, otherwise: float) -> float:
    if not text:
        return otherwise
    try:
        return float(text)
    except ValueError:
        raise Unfit(BAD_NUMBER) from None
