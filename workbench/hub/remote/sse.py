"""The text of server-sent events, bytes in, events out; no connection here.

A stream is lines: `id:`, `event:` and `data:` fields, a blank line ends an event, a line that begins with a colon is a comment.
Lines may end in LF, CR or CRLF and may be cut anywhere between two chunks. Floor 2. Source: WHATWG HTML standard, section 9.2.6
"Interpreting an event stream".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from workbench.errors import SourceError

MAX_PENDING_BYTES = 64 << 20  # an event larger than this is no event of a hub
_LINE_END = re.compile(rb"\r\n|\r(?!$)|\n")  # a CR at the end of a chunk may be half of a CRLF: it waits


class Event(NamedTuple):
    """One event: its name, its data, and the id that a later connection resumes from ('' while none was sent)."""

    name: str
    data: bytes
    last_id: str


class EventReader:
    """Cuts chunks of bytes into events."""

    def __init__(self) -> None:
        self._pending = bytearray()  # the line that is not ended yet
        self._name = ""
        self._data: list[bytes] = []
        self._last_id = ""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that a chunk completes. SourceError when an event grows beyond all measure."""
        self._pending += chunk
        if len(self._pending) + sum(map(len, self._data)) > MAX_PENDING_BYTES:
            raise SourceError(f"event stream: received an event of more than {MAX_PENDING_BYTES >> 20} MB; allowed: a hub's own events")
        if b"\n" not in chunk and b"\r" not in self._pending:
            return
        *lines, rest = _LINE_END.split(bytes(self._pending))
        self._pending = bytearray(rest)
        for line in lines:
            event = self._take(line)
            if event is not None:
                yield event

    def _take(self, line: bytes) -> Event | None:
        """Take one line; return the event that it ends."""
        if line:
            name, _, value = line.partition(b":")
            self._note(name, value[1:] if value[:1] == b" " else value)
            return None
        event = Event(self._name or "message", b"\n".join(self._data), self._last_id) if self._data else None
        self._name, self._data = "", []
        return event

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._last_id = value.decode("utf-8", "replace")
