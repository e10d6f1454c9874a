"""What may be asked: every parameter of every route, with its range in words. A name that does not exist is refused.

Floor 8: pydantic only.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from workbench.errors import WorkbenchError
from workbench.types import TIMEFRAMES, Timeframe, check_symbol

MAX_SYMBOLS = 50
MAX_SERIES = 400  # of one stream
MAX_BARS = 10_000  # in one answer of the history
MAX_STREAM_BARS = 100_000  # series × n of one stream
MAX_NS = 2**63 - 1
SYMBOL_PATTERN = r"^([OI]:)?[A-Za-z0-9][A-Za-z0-9.\-/_^]{0,30}$"
SYMBOLS_PATTERN = rf"^{SYMBOL_PATTERN[1:-1]}(,{SYMBOL_PATTERN[1:-1]}){{0,{MAX_SYMBOLS - 1}}}$"
VERSION_PATTERN = r"^[0-9a-z.]{1,40}$"
SEQ_PATTERN = r"^([0-9]{1,18}:)?[0-9]{1,18}$"

# parameter -> its range in words
ALLOWED = {
    "symbol": "one symbol, e.g. SPY, BRK.B, O:SPY241220P00720000",
    "symbols": f"1 to {MAX_SYMBOLS} symbols separated by commas, e.g. SPY,QQQ",
    "series": f"1 to {MAX_SYMBOLS} symbols separated by commas, each at `timeframe` or at its own as SPY@5m; up to {MAX_SERIES} in all",
    "timeframe": f"{', '.join(TIMEFRAMES)}",
    "underlying": "one symbol, e.g. SPY",
    "expiry": "a date of /api/expiries, as 2026-12-18",
    "since": "version as told by the answer before, up to 40 letters, digits and dots",
    "limit": f"1 to {MAX_BARS}",
    "before": "a moment, ns UTC: 0 to 9223372036854775807",
    "since_seq": "epoch:seq as told by an answer or an event's id, or a bare seq of the present epoch",
    "n": "0 to 5000",
    "vwap": "0 to 1000 minutes",
    "ts_ns": "a moment inside the recording, ns UTC",
    "speed": "0.1 to 1000 market seconds per real second",
    "what": "bar or event",
    "record": "true or false",
    "Last-Event-ID": "the id of the last event received, epoch:seq",
}


class ParameterError(WorkbenchError, ValueError):
    """A parameter out of its range."""


def _said(name: str, received: object) -> ParameterError:
    return ParameterError(f"{name}: received {str(received)[:80]!r}; allowed: {ALLOWED[name]}")


def _symbols(text: str) -> str:
    names = split(text)
    if not 1 <= len(names) <= MAX_SYMBOLS:
        raise ParameterError(f"symbols: received {len(names)}; allowed: {ALLOWED['symbols']}")
    for name in names:
        check_symbol(name)
    return text


def _series(text: str) -> str:
    names = [name.partition("@") for name in split(text)]
    symbols = dict.fromkeys(symbol for symbol, _, _ in names)
    if not 1 <= len(symbols) <= MAX_SYMBOLS or len(names) > MAX_SERIES:
        raise ParameterError(f"symbols: received {len(symbols)}, {len(names)} series; allowed: {ALLOWED['series']}")
    for symbol, at, timeframe in names:
        check_symbol(symbol)
        if at:
            Timeframe.parse(timeframe)
    return text


def _timeframe(text: str) -> str:
    return Timeframe.parse(text).label


def _timeframes(text: str) -> str:
    names = split(text)
    if not names:
        raise _said("timeframe", text)
    for name in names:
        Timeframe.parse(name)
    return text


def split(text: str) -> tuple[str, ...]:
    """Return the parts of a list separated by commas, each once, in order."""
    return tuple(dict.fromkeys(part for part in text.split(",") if part))


def series_of(symbols: str, timeframes: str) -> tuple[tuple[str, str], ...]:
    """Return (symbol, timeframe) of every series asked for: SPY at all of `timeframes`, SPY@5m at its own."""
    labels = tuple(Timeframe.parse(name).label for name in split(timeframes))
    named = (name.partition("@") for name in split(symbols))
    pairs = ((symbol, label) for symbol, at, own in named for label in ((Timeframe.parse(own).label,) if at else labels))
    return tuple(dict.fromkeys(pairs))


class Since(NamedTuple):
    """Where to go on from; `epoch` None means the present one."""

    epoch: int | None
    seq: int

    @classmethod
    def parse(cls, text: str, name: str = "since_seq") -> Since:
        """Return what 'epoch:seq' or 'seq' says; ParameterError for anything else."""
        if not re.fullmatch(SEQ_PATTERN, text, re.ASCII):
            raise _said(name, text)
        epoch, _, seq = text.rpartition(":")
        return cls(int(epoch) if epoch else None, int(seq))


def _since(text: str | None) -> str | None:
    if text is not None:
        Since.parse(text)
    return text


Symbol = Annotated[str, AfterValidator(check_symbol), Field(description=ALLOWED["symbol"], json_schema_extra={"pattern": SYMBOL_PATTERN})]
SymbolsText = Annotated[str, AfterValidator(_symbols), Field(json_schema_extra={"pattern": SYMBOLS_PATTERN})]
SeriesText = Annotated[str, AfterValidator(_series)]
SinceText = Annotated[
    str | None, AfterValidator(_since), Field(description=ALLOWED["since_seq"], json_schema_extra={"pattern": SEQ_PATTERN})
]


def _day(text: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise _said("expiry", text)
    try:
        date.fromisoformat(text)
    except ValueError:
        raise _said("expiry", text) from None
    return text


Day = Annotated[str, AfterValidator(_day), Field(description=ALLOWED["expiry"], json_schema_extra={"format": "date"})]
LABELS: Any = {"enum": list(TIMEFRAMES)}


class Asked(BaseModel):
    """Base of everything that can be asked."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Asked):
    """A route without parameters."""


class HistoryQuery(Asked):
    """Of /api/history."""

    symbol: Symbol
    timeframe: Annotated[str, AfterValidator(_timeframe)] = Field("1m", description=ALLOWED["timeframe"], json_schema_extra=LABELS)
    limit: int = Field(500, ge=1, le=MAX_BARS, description=f"bars in one answer, {ALLOWED['limit']}")
    before: int | None = Field(None, ge=0, le=MAX_NS, description="bars that open before this moment [ns UTC]")
    since_seq: SinceText = None


class QuotesQuery(Asked):
    """Of /api/quotes."""

    symbols: SymbolsText | None = Field(None, description=f"{ALLOWED['symbols']}; default: all watched")
    vwap: int = Field(1, ge=0, le=1000, description="newest minutes of the session's average price, 0 to 1000")


class StreamQuery(Asked):
    """Of /stream/market."""

    symbols: SeriesText = Field(description=ALLOWED["series"])
    timeframe: Annotated[str, AfterValidator(_timeframes)] = Field(
        "1m", description=f"one or several separated by commas: {ALLOWED['timeframe']}"
    )
    since_seq: SinceText = None
    n: int = Field(300, ge=0, le=5000, description=f"closed bars in a bootstrap, 0 to 5000; series × n at most {MAX_STREAM_BARS:,}")


class ExpiriesQuery(Asked):
    """Of /api/expiries."""

    underlying: Symbol


class ChainQuery(Asked):
    """Of /api/chain."""

    underlying: Symbol
    expiry: Day
    since: str | None = Field(None, pattern=VERSION_PATTERN, description=ALLOWED["since"])


class Switch(Asked):
    """New states of flags; those left out stay."""

    record: bool | None = Field(None, strict=True, description="whether every event is recorded")


class Seek(Asked):
    """Where to go."""

    ts_ns: int = Field(ge=0, le=MAX_NS, description=ALLOWED["ts_ns"])


class Speed(Asked):
    """How fast."""

    speed: float = Field(strict=True, ge=0.1, le=1000, description=ALLOWED["speed"])


class Step(Asked):
    """How far."""

    what: Literal["bar", "event"] = Field("bar", description=f"{ALLOWED['what']}: to the end of the present minute, or by one event")
