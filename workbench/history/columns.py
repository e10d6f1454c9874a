"""What vendors call their columns and codes, and what we call them. Tables only, and the look-up of a name.

Single letters are Polygon's; 'wap', 'average', 'barCount' Interactive Brokers'; OFR, OFRSIZ, COND, CORR are TAQ's. A name is read
without regard to case, spaces and camel case; what a time column's name says about zone, unit and stamp is read from its words.

Floor 1: standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

Names = Mapping[str, tuple[str, ...]]

_TIME = (
    "ts",
    "timestamp",
    "ts_event",
    "datetime",
    "date_time",
    "sip_timestamp",
    "participant_timestamp",
    "window_start",
    "t",
    "time",
    "date",
)
_SYMBOL = ("symbol", "ticker", "sym", "underlying_symbol", "contract", "code")
_OF_EACH: dict[str, tuple[str, ...]] = {"ts": _TIME, "symbol": _SYMBOL}
_OF_OPTIONS: dict[str, tuple[str, ...]] = {
    "right": ("right", "option_type", "call_put", "cp"),
    "strike": ("strike",),
    "expiry": ("expiry", "expiration"),
}

# kind -> (our column -> names it goes by, the best first)
ALIASES: Mapping[str, Names] = MappingProxyType(
    {
        "trades": {
            **_OF_EACH,
            **_OF_OPTIONS,
            "price": ("price", "trade_price", "last_price", "px", "p"),
            "size": ("size", "trade_size", "quantity", "qty", "shares", "volume", "vol", "s"),
            "conditions": ("conditions", "condition", "cond", "sale_condition", "sale_conditions", "sale_condition_hex", "c"),
            "exchange": ("exchange", "exch", "ex", "venue", "x"),
            "tape": ("tape", "z"),
            "sequence": ("sequence", "sequence_number", "seq", "q"),
            "id": ("id", "trade_id", "i"),
            "correction": ("correction", "corr", "tr_corr", "e"),
            "suspicious": ("suspicious",),
        },
        "quotes": {
            **_OF_EACH,
            **_OF_OPTIONS,
            "bid": ("bid", "bid_price", "bp"),
            "ask": ("ask", "ask_price", "offer", "ofr", "ap"),
            "bid_size": ("bid_size", "bidsiz", "bidsize", "bid_qty", "bs"),
            "ask_size": ("ask_size", "asksiz", "asksize", "ask_qty", "ofrsiz", "offer_size", "as"),
            "exchange": ("exchange", "exch", "ex", "venue"),
            "sequence": ("sequence", "sequence_number", "seq", "q"),
            "suspicious": ("suspicious",),
        },
        "quote_bars": {
            **_OF_EACH,
            **_OF_OPTIONS,
            **{f"{side}_{part}": (f"{side}_{part}",) for side in ("bid", "ask") for part in ("open", "high", "low", "close", "size")},
        },
        "bars": {
            **_OF_EACH,
            **_OF_OPTIONS,
            "open": ("open", "o", "first"),
            "high": ("high", "h", "max"),
            "low": ("low", "l", "min"),
            "close": ("close", "c", "last", "adj_close"),
            "volume": ("volume", "vol", "v"),
            "vwap": ("vwap", "vw", "average", "avg", "wap"),
            "trades": ("trades", "n_trades", "transactions", "bar_count", "num_trades", "number_of_trades", "trade_count", "count", "n"),
        },
    }
)
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "trades": ("ts", "price", "size"),
        "quotes": ("ts", "bid", "ask"),
        "quote_bars": ("ts", "bid_close", "ask_close"),
        "bars": ("ts", "open", "high", "low", "close", "volume"),
    }
)
TEXT_COLUMNS = ("ts", "symbol", "conditions", "exchange", "tape", "id", "right", "expiry", "correction")
KINDS = ("trades", "quotes", "bars")

_ZONES = {
    "ny": "America/New_York",
    "et": "America/New_York",
    "est": "America/New_York",
    "edt": "America/New_York",
    "eastern": "America/New_York",
}
_ZONES |= {"utc": "UTC", "gmt": "UTC"}
_UNITS = {"ns": "ns", "nanos": "ns", "us": "us", "micros": "us", "ms": "ms", "millis": "ms", "s": "s", "sec": "s", "seconds": "s"}
_STAMPS = {"end": "end", "close": "end", "start": "start", "open": "start", "begin": "start"}
_TIME_WORDS = {"ts", "time", "timestamp", "datetime", "date", "bar", "stamp", "event", "window", "epoch", "unix"}


@dataclass(frozen=True, slots=True)
class TimeName:
    """What the name of a time column says; None where it says nothing."""

    zone: str | None = None
    unit: str | None = None
    stamp: str | None = None


def plain_name(name: str) -> str:
    """Return a column name in lower case with words joined by _: 'barCount' and 'Bar Count' are both 'bar_count'."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip().strip("\ufeff\"'<> "))
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def time_name(name: str) -> TimeName | None:
    """Return what a time column's name says about its stamps, or None when it is no name of a time column."""
    words = plain_name(name).split("_")
    hints = [w for w in words if w not in _TIME_WORDS]
    if not set(words) & _TIME_WORDS or not set(hints) <= {*_ZONES, *_UNITS, *_STAMPS}:
        return None
    found = [next((table[w] for w in hints if w in table), None) for table in (_ZONES, _UNITS, _STAMPS)]
    return TimeName(*found)


def match_columns(received: Iterable[str], kind: str) -> dict[str, str]:
    """Return our column -> the file's column for one kind, as far as names are recognised."""
    plain = {plain_name(name): name for name in reversed(list(received))}
    found: dict[str, str] = {}
    for ours, names in ALIASES[kind].items():
        hit = next((plain[n] for n in names if n in plain), None)
        if hit is not None and hit not in found.values():
            found[ours] = hit
    if "ts" not in found:
        hit = next((original for original in received if time_name(original) or original == "__index_level_0__"), None)
        if hit is not None:
            found["ts"] = hit
    return found


# SIP letter -> Polygon/Massive condition id, from `sip_mapping` of /v3/reference/conditions and the CTA/UTP columns beside it
# (providers' table). Where the two tapes give a letter two meanings the CTA one stands, because '7', 'V', 'M' and 'Q' of both agree.
SIP_CONDITIONS: Mapping[str, int] = MappingProxyType(
    {"@": 0, "A": 1, "B": 2, "W": 2, "E": 3, "G": 5, "C": 7, "6": 8, "X": 9, "4": 10, "D": 11, "T": 12, "U": 13, "F": 14, "M": 15, "Q": 16}
    | {"N": 20, "H": 21, "P": 22, "K": 23, "O": 25, "1": 27, "5": 28, "R": 29, "L": 30, "Z": 32, "S": 34, "Y": 36, "I": 37, "9": 38}
    | {"V": 52, "7": 53}
)

# Participant letter -> exchange id (/v3/reference/exchanges); Q is Nasdaq on its own tape.
EXCHANGES: Mapping[str, int] = MappingProxyType(
    {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "I": 6, "J": 7, "K": 8, "M": 9, "N": 10, "P": 11, "T": 12, "Q": 12, "S": 13, "L": 14}
    | {"V": 15, "W": 16, "X": 17, "Y": 18, "Z": 19, "H": 20, "U": 21}
)
