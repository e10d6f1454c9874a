"""Websocket frames straight to rows: one compiled pass over the bytes, no Python object per event.

In: a frame's bytes. Out: TRADE_DTYPE, QUOTE_DTYPE and BAR_DTYPE rows with symbols already numbered. The scanner takes only
what it can read exactly as `wire.py` would: plain strings without escapes, unsigned numbers without exponents that a float
holds exactly, known symbols, known keys in known kinds. Anything else is left as a span of bytes for `wire.py`, element by
element; a frame whose structure breaks is handed over from the break on. A fuzz test holds the two paths equal.

Floor 2. numba is imported only when `FrameReader` is told to `warm()`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.sources.live.rows import Columns
from workbench.sources.polygon.wire import EventWriter, decode, salvage
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, SymbolTable

SCRATCH_ROWS = 2048
PADDING = bytes(16)
WORD_BYTES = 8
MAX_SYMBOL_BYTES = 32
MASK_64 = 2**64 - 1
NO_TRADES = np.zeros(0, TRADE_DTYPE)
NO_QUOTES = np.zeros(0, QUOTE_DTYPE)

SLOT_DTYPE = np.dtype([("words", "u8", (MAX_SYMBOL_BYTES // WORD_BYTES,)), ("id", "i8")])


class SymbolSlots:
    """Symbol bytes → id as an open-addressing table that the kernel can read. A cache of the hub's `SymbolTable`."""

    def __init__(self) -> None:
        self._entries: list[tuple[tuple[int, ...], int]] = []
        self.slots = _empty_slots(1024)

    def add(self, symbol: str, symbol_id: int) -> None:
        """Remember one symbol; those longer than a slot are left to the slow path."""
        name = symbol.encode()
        if not 0 < len(name) <= MAX_SYMBOL_BYTES:
            return
        self._entries.append((symbol_words(name), symbol_id))
        if 4 * len(self._entries) > len(self.slots):
            self.slots = _empty_slots(4 * len(self.slots))
            for words, known_id in self._entries:
                self._put(words, known_id)
        else:
            self._put(*self._entries[-1])

    def _put(self, words: tuple[int, ...], symbol_id: int) -> None:
        mask = len(self.slots) - 1
        at = (symbol_hash(words) >> 40) & mask
        while self.slots["id"][at] >= 0:
            at = (at + 1) & mask
        self.slots["words"][at, : len(words)] = words
        self.slots["id"][at] = symbol_id


def symbol_words(name: bytes) -> tuple[int, ...]:
    """Return a symbol as the 64-bit words that the kernel reads it in, the last one filled up with zeros."""
    return tuple(int.from_bytes(name[k : k + WORD_BYTES], "little") for k in range(0, len(name), WORD_BYTES))


def symbol_hash(words: tuple[int, ...]) -> int:
    """Return the hash that the kernel computes while it reads a symbol (multiplicative, after Knuth)."""
    value = 0
    for word in words:
        value = ((value ^ (value >> 32) ^ word) * 0x9E3779B97F4A7C15) & MASK_64
    return value


def _empty_slots(n: int) -> np.ndarray:
    slots = np.zeros(n, SLOT_DTYPE)
    slots["id"] = -1
    return slots


class FrameReader:
    """Turns frames into `Columns`; one per connection, used by one thread.

    Until `warm()` has finished, frames are read by msgspec; then by the kernel, whatever their length (called with addresses it
    costs less than msgspec and packing even for a single event). The rows are the same either way.
    """

    def __init__(self, symbols: SymbolTable) -> None:
        self._symbols = symbols
        self._slots = SymbolSlots()
        self._known = 0  # symbols of the table that the slots hold
        self._kernel: Any = None
        self._trades = np.zeros(SCRATCH_ROWS, TRADE_DTYPE)
        self._quotes = np.zeros(SCRATCH_ROWS, QUOTE_DTYPE)
        self._bars = np.zeros(SCRATCH_ROWS, BAR_DTYPE)
        self._bar_symbols = np.zeros(SCRATCH_ROWS, np.int32)
        self._odd = np.zeros((SCRATCH_ROWS, 2), np.int64)
        self._counts = np.zeros(6, np.int64)
        scratch = (self._trades, self._quotes, self._bars, self._bar_symbols, self._odd)
        self._addresses = (*(array.ctypes.data for array in scratch), SCRATCH_ROWS, self._counts.ctypes.data)
        self._make_room(64 * 1024)
        self._find_slots()

    def warm(self) -> None:
        """Load (or compile) the kernel; until then frames are read by msgspec. May run in another thread."""
        from workbench.sources.polygon.kernel import scan_frame

        probe = np.frombuffer(b"[]" + PADDING, np.uint8)
        counts = np.zeros(6, np.int64)
        kernel: Any = scan_frame
        kernel(probe.ctypes.data, 0, 2, 0, *self._slots_at, *self._addresses[:-1], counts.ctypes.data)
        self._kernel = kernel

    def read(self, frame: str | bytes, ts_recv: int) -> Columns:
        """Return one frame as rows, stamped `ts_recv`, plus what is no row and what could not be read."""
        if self._kernel is None:
            return read_slowly(frame, ts_recv, self._symbols)
        data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
        body = data.rstrip(b" \t\r\n")
        if not body.endswith(b"]"):
            return read_slowly(data, ts_recv, self._symbols)
        return self._scan(body, ts_recv)

    def _scan(self, body: bytes, ts_recv: int) -> Columns:
        if len(self._symbols) > self._known:
            self._learn()
        n = len(body)
        if n + len(PADDING) > len(self._room):
            self._make_room(2 * n)
        self._room[:n] = body
        self._room[n : n + len(PADDING)] = PADDING
        parts: list[Columns] = []
        at = 0
        while True:
            self._kernel(self._room_at, at, n, ts_recv, *self._slots_at, *self._addresses)
            n_trades, n_quotes, n_bars, n_odd, at, state = self._counts.tolist()
            trades = _copy(self._trades, n_trades) if n_trades else NO_TRADES
            quotes = _copy(self._quotes, n_quotes) if n_quotes else NO_QUOTES
            parts.append(Columns(trades, quotes, self._group(n_bars) if n_bars else []))
            if n_odd or state == BROKEN:
                parts.append(self._read_odd(body, n_odd, at if state == BROKEN else -1, ts_recv))
            if state != FULL:
                return parts[0] if len(parts) == 1 else join(parts)

    def _read_odd(self, body: bytes, n_odd: int, broken_from: int, ts_recv: int) -> Columns:
        """Read what the kernel left: single elements, and everything after a break in the structure."""
        writer = EventWriter(self._symbols, ts_recv)
        pieces = [(body[start:end], 0) for start, end in self._odd[:n_odd].tolist()]
        if broken_from >= 0:
            pieces.append((body, broken_from))
        for raw, start in pieces:
            events, broken = salvage(raw, start)
            writer.broken.extend(broken)
            for event in events:
                writer.add(event)
        return writer.columns()

    def _group(self, n: int) -> list[tuple[str, np.ndarray]]:
        """Return the first `n` bars by symbol."""
        rows, ids = _copy(self._bars, n), self._bar_symbols[:n].tolist()
        if len(set(ids)) < n:
            order = np.argsort(ids, kind="stable")
            rows, ids = rows[order], [ids[i] for i in order]
        edges = [i for i in range(n) if i == 0 or ids[i] != ids[i - 1]]
        return [(self._symbols.name(ids[start]), rows[start:end]) for start, end in zip(edges, [*edges[1:], n], strict=True)]

    def _learn(self) -> None:
        for symbol_id in range(self._known, len(self._symbols)):
            self._slots.add(self._symbols.name(symbol_id), symbol_id)
            self._known = symbol_id + 1
        self._find_slots()

    def _find_slots(self) -> None:
        self._slots_at = (self._slots.slots.ctypes.data, len(self._slots.slots))

    def _make_room(self, n: int) -> None:
        """Take a buffer of `n` bytes and padding that stays where it is, so that the kernel needs no new address per frame."""
        room = bytearray(n + len(PADDING))
        self._room = memoryview(room)
        self._room_at = np.frombuffer(room, np.uint8).ctypes.data


FULL, BROKEN = 1, 2  # as in `kernel.py`, which is not imported here


def _copy(rows: np.ndarray, n: int) -> np.ndarray:
    """Return a copy of the first `n` rows, as bytes: numpy copies structured rows field by field, ten times slower."""
    size = rows.dtype.itemsize
    return rows.view(np.uint8)[: n * size].copy().view(rows.dtype)


def read_slowly(frame: str | bytes, ts_recv: int, symbols: SymbolTable) -> Columns:
    """Return one frame as rows by way of msgspec objects."""
    events, broken = decode(frame)
    writer = EventWriter(symbols, ts_recv)
    writer.broken.extend(broken)
    for event in events:
        writer.add(event)
    return writer.columns()


def join(parts: list[Columns]) -> Columns:
    """Return several pieces of one frame as one."""
    bars: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for symbol, rows in part.bars:
            bars.setdefault(symbol, []).append(rows)
    return Columns(
        np.concatenate([part.trades for part in parts]),
        np.concatenate([part.quotes for part in parts]),
        [(symbol, np.concatenate(rows)) for symbol, rows in bars.items()],
        [event for part in parts for event in part.others],
        [broken for part in parts for broken in part.broken],
    )
