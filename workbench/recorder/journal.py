"""The write-ahead file: what was accepted is in the operating system's hands before anybody hears of it.

    <folder>/wal/00000012-1795262400000000000.wal      a segment: its number, and when it was begun [ns UTC]

A segment is a row of frames, each appended by one write: magic, code, length, checksum, time, payload. Once `append` has returned,
the frame survives the end of the process, however it ends (SIGKILL too): the system's page cache holds it. Only a power cut or a crash
of the whole machine can lose frames, those that `sync` (called about every second, and at the end) has not forced to the disk yet.

A segment stands by itself: it begins with the frames that `preamble` gives, symbol names among them. A frame that was cut or spoiled
is known by its checksum and left out; what is whole before and after it is read.

Floor 2: standard library only. One thread at a time (the recorder locks).
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

MAGIC = b"WBj1"
HEADER = struct.Struct("<4sBIIq")  # magic, code, bytes of payload, crc32 of header (with 0 here) and payload, time [ns UTC]
_OPEN = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Code(IntEnum):
    """What a frame holds."""

    NAMES = 1  # JSON [first id, [symbol, …]]
    TRADES = 2  # TRADE_DTYPE rows
    QUOTES = 3  # QUOTE_DTYPE rows
    BARS = 4  # JSON symbol, newline, BAR_DTYPE rows: the provider's streamed minutes
    HISTORY = 5  # the same: minutes read from the provider's history
    QUARANTINED = 6  # JSON [reason, symbol, ts_recv, raw]
    ALIVE = 7  # JSON {"since": ns, "watched": [symbol, …][, "is_fresh"]}: the recorder runs, what is watched from now on; empty: as before
    GAP = 8  # JSON [symbol, start ns, end ns, reason]
    CORRECTION = 9  # JSON [symbol, ts of the print, reason]
    CHAIN = 10  # JSON [underlying, bytes of a row], newline, rows of `history/recorded_chains.py`: a chain's snapshot


_CODES = frozenset(int(code) for code in Code)


class Frame(NamedTuple):
    """One frame as it was appended; `ts_ns` is the market's moment."""

    code: Code
    ts_ns: int
    payload: bytes


class Journal:
    """The segment being written. Raises OSError as the disk does; what was appended before stays whole."""

    def __init__(self, folder: Path, started_ns: int, preamble: Callable[[], list[Frame]]) -> None:
        """Begin a segment in `folder`; its first frames are those that `preamble` returns, as are those of every later segment."""
        self._folder, self._preamble = folder, preamble
        self._handle, self.path, self.size = -1, folder, 0
        self.begin(started_ns)

    def begin(self, started_ns: int) -> int:
        """Begin the next segment; return the handle of the one before (-1: none), which the caller syncs and closes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        number = max((number_of(path) for path in segments(self._folder)), default=0) + 1
        path = self._folder / f"{number:08d}-{started_ns}.wal"
        before = (self._handle, self.path, self.size)
        self._handle, self.path, self.size = os.open(path, _OPEN, 0o600), path, 0
        try:
            for frame in self._preamble():
                self.append(*frame)
        except OSError:
            self.close()
            with contextlib.suppress(OSError):
                path.unlink()
            self._handle, self.path, self.size = before
            raise
        return before[0]

    @property
    def handle(self) -> int:
        """The open file, for `os.dup` and `os.fsync`."""
        return self._handle

    def append(self, code: Code, ts_ns: int, payload: bytes) -> None:
        """Append one frame; when the disk takes only a part of it, that part is cut off again."""
        frame = framed(code, ts_ns, payload)
        view = memoryview(frame)
        try:
            while view:
                view = view[os.write(self._handle, view) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, self.size)
            raise
        self.size += len(frame)

    def close(self) -> None:
        """Close the segment; harmless when closed."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with contextlib.suppress(OSError):
                os.close(handle)


def framed(code: Code, ts_ns: int, payload: bytes) -> bytes:
    """Return a frame as it stands in the file."""
    crc = zlib.crc32(payload, zlib.crc32(HEADER.pack(MAGIC, code, len(payload), 0, ts_ns)))
    return b"".join((HEADER.pack(MAGIC, code, len(payload), crc, ts_ns), payload))


def segments(folder: Path) -> list[Path]:
    """Return the segments in a folder, in the order in which they were written."""
    return sorted(folder.glob("*.wal"), key=lambda path: (number_of(path), path.name))


def number_of(path: Path) -> int:
    """Return the number of a segment; 0 for another file."""
    number = path.name.partition("-")[0]
    return int(number) if number.isdigit() else 0


def frames(content: bytes) -> Iterator[Frame]:
    """Yield the whole frames of a segment in order; what is cut or spoiled is passed over."""
    at = content.find(MAGIC)
    while at >= 0:
        frame = _frame_at(content, at)
        if frame is not None:
            yield frame
        at = content.find(MAGIC, at + (1 if frame is None else HEADER.size + len(frame.payload)))


def _frame_at(content: bytes, at: int) -> Frame | None:
    """Return the frame that begins at an offset, None when it is not whole."""
    if at + HEADER.size > len(content):
        return None
    magic, code, length, crc, ts_ns = HEADER.unpack_from(content, at)
    payload = content[at + HEADER.size : at + HEADER.size + length]
    head = zlib.crc32(HEADER.pack(magic, code, length, 0, ts_ns))
    is_whole = len(payload) == length and zlib.crc32(payload, head) == crc and code in _CODES
    return Frame(Code(code), ts_ns, payload) if is_whole else None
