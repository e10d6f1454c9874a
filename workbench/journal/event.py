"""One event of the journal, and the chain that binds each to all before it.

The hash of an event covers its number, time, kind, subject, version, key and body, and the hash of the one before: nobody can change,
insert or take out a row without every later hash saying so. Bodies are JSON objects in one form (sorted names, no blanks, money as
text), so that the same content has the same bytes on every machine.

Floor 6: standard library and msgspec.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from workbench.errors import JournalError

FIRST_HASH = bytes(32)  # what the first event is chained to
MAX_BODY = 1 << 20  # characters
_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_SEPARATOR = b"\x1f"  # occurs in none of the texts: JSON escapes it, and kinds, subjects and keys may not hold it
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_encode = msgspec.json.Encoder(order="sorted", decimal_format="string").encode


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written down.

    `kind`: what it is, as 'order.sent'. `subject`: what it is about, as 'order:wb-…'; events of one subject are numbered. `key`: the
    same key is the same event, however often it is written. `version`: the number that it must get within its subject, where somebody
    edits what others edit too; None takes the next.
    """

    kind: str
    subject: str
    ts_ns: int  # the market's clock, int64 ns UTC
    body: Mapping[str, Any]
    key: str | None = None
    version: int | None = None

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            raise JournalError(f"Entry.kind: received {self.kind!r}; allowed: words joined by dots, as order.sent")
        for name, text in (("subject", self.subject), ("key", self.key)):
            if text is not None and (not 0 < len(text) <= 300 or _CONTROL.search(text)):
                raise JournalError(f"Entry.{name}: received {text!r}; allowed: 1 to 300 characters, none of them a control character")
        if type(self.ts_ns) is not int or self.ts_ns <= 0:
            raise JournalError(f"Entry.ts_ns: received {self.ts_ns!r}; allowed: int64 ns UTC above 0")


@dataclass(frozen=True, slots=True)
class Event:
    """What was written down."""

    seq: int  # 1, 2, 3 … over the whole journal
    ts_ns: int
    kind: str
    subject: str
    version: int  # 1, 2, 3 … within the subject
    key: str | None
    body: str  # a JSON object
    hash: bytes  # 32 bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The body as Python values. Money is text: Decimal(text) is exact."""
        return msgspec.json.decode(self.body)


def canonical(body: Mapping[str, Any]) -> str:
    """Return a body as it is stored and hashed. JournalError for floats that are no numbers, and what JSON does not know."""
    try:
        text = _encode(_plain(dict(body))).decode()
    except (TypeError, ValueError, UnicodeError) as error:
        raise JournalError(f"Entry.body: received {type(body).__name__} that JSON does not know ({error}); allowed: an object") from None
    if len(text) > MAX_BODY:
        raise JournalError(f"Entry.body: received {len(text)} characters; allowed: at most {MAX_BODY}")
    return text


def _plain(value: Any) -> Any:
    """Return a value in JSON's own kinds; refuse a float that is none: it would come back as null."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise ValueError(f"{value!r} is no number; leave the field out, or None")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{value!r} is no number; leave the field out, or None")
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def chained(before: bytes, seq: int, ts_ns: int, kind: str, subject: str, version: int, key: str | None, body: str) -> bytes:
    """Return the hash of an event that follows one with the hash `before`."""
    parts = (str(seq), str(ts_ns), kind, subject, str(version), "" if key is None else "=" + key, body)
    return hashlib.sha256(before + _SEPARATOR.join(part.encode() for part in parts)).digest()


def follows(event: Event, before: Event | None) -> str | None:
    """Return None when `event` rightly follows `before` (None: it is the first), else what is wrong, in words."""
    seq, hash_before = (0, FIRST_HASH) if before is None else (before.seq, before.hash)
    if event.seq != seq + 1:
        return f"event {seq + 1} is missing: {event.seq} follows {seq}"
    told = (event.seq, event.ts_ns, event.kind, event.subject, event.version, event.key, event.body)
    return None if chained(hash_before, *told) == event.hash else f"event {event.seq} is not what was written, or what is before it is not"
