"""Trades into 1-minute bars under the sale-condition rules: all at once (`build_bars`) or as they come (`MinuteBuilder`).

Both give the same bars, bit for bit, for any chunking and any order of arrival inside the span that is kept open:

- a print belongs to the minute of its `ts_event`; prints outside 04:00-20:00 New York or on days without a session are rejected;
- its conditions decide, with AND, whether it may set open/close, high/low and volume (`conditions.py`);
- open and close are the first and last open/close print in the order (ts_event, sequence, arrival); when a minute has none, the
  first and last high/low print; when it has neither there is no bar, and its volume is told by `volume_without_bar`;
- `n_trades`, `vwap` and `vw_std` are those of the prints that count for volume.

Nothing is lost unseen: sum of the bars' volume + `volume_without_bar` + rejected sizes = sum of the sizes that count for volume.

Floor 2. numba is imported with the first builder or the first batch; `warm.py` does it in the background.
"""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from workbench.conditions import EXTENDED_TABLE, REGULAR_TABLE, UNKNOWN
from workbench.errors import RecordError
from workbench.hub.cores import cores, share
from workbench.sessions import SESSION_DTYPE, SessionCalendar
from workbench.types import BAR_DTYPE, TRADE_DTYPE

NS_PER_MIN = 60_000_000_000
MICRO_NS = 50_000_000
PART = 500_000  # prints that are worth a core
FRAME = 512  # prints up to which the interpreter's lock is kept: giving it up and taking it back costs more
LINE = 64


class Reject(IntEnum):
    """Why a print was not taken. The codes are those of `kernels.py`."""

    BAD_PRICE = 1
    BAD_SIZE = 2
    NO_SESSION = 3
    UNKNOWN_CONDITION = 4
    TOO_LATE = 5
    BAD_SYMBOL = 6

    @property
    def reason(self) -> str:
        """The reason in words, as counted in quarantine."""
        return _REASONS[self]


_REASONS = {
    Reject.BAD_PRICE: "price is not a finite number > 0",
    Reject.BAD_SIZE: "size is not a finite number >= 0",
    Reject.NO_SESSION: "outside trading hours",
    Reject.UNKNOWN_CONDITION: "unknown sale condition",
    Reject.TOO_LATE: "too late for its minute",
    Reject.BAD_SYMBOL: "symbol id below zero",
}


@dataclass(frozen=True, slots=True)
class Changes:
    """What a batch of prints did besides filling open minutes.

    `rows`: BAR_DTYPE, closed minutes that changed, each once and complete, with the next revision (and, when a symbol's time ran
    ahead of the clock, minutes that ended that way). `symbol_ids`: int64, the symbol of each row. `rejected`: int64 indices into the
    batch, with `reasons` (`Reject` codes, uint8).
    """

    symbol_ids: np.ndarray
    rows: np.ndarray
    rejected: np.ndarray
    reasons: np.ndarray


@dataclass(frozen=True, slots=True)
class Built:
    """Bars of one batch, and what did not become a bar. `rejected`: int64 indices of prints, `reasons`: `Reject` codes, uint8."""

    rows: np.ndarray
    volume_without_bar: float
    rejected: np.ndarray
    reasons: np.ndarray


_NO_IDS = np.zeros(0, np.int64)
_NO_CODES = np.zeros(0, np.uint8)
_NO_ROWS = np.zeros(0, BAR_DTYPE)
_NOTHING = Changes(_NO_IDS, _NO_ROWS, _NO_IDS, _NO_CODES)


def _kernels() -> Any:
    from workbench.hub import kernels

    return kernels


@functools.cache
def rule_tables() -> np.ndarray:
    """Return the sale-condition rules as the kernels read them, uint8 shape (2, 65536): regular hours, extended hours.

    A set bit forbids (1 high/low, 2 open/close, 4 volume; 128 = id unknown), so that several conditions combine by OR and every
    16-bit id is a valid index.
    """
    tables = np.full((2, 1 << 16), 128, np.uint8)
    for k, table in enumerate((REGULAR_TABLE, EXTENDED_TABLE)):
        tables[k, : len(table)] = np.where(table == UNKNOWN, 128, ~table & 7)
    tables.setflags(write=False)
    return tables


@functools.cache
def rule_codes() -> np.ndarray:
    """Return both tables in one, uint16 shape (65536,): regular + 256 · extended."""
    regular, extended = rule_tables().astype(np.uint16)
    codes: np.ndarray = regular | extended << 8
    codes.setflags(write=False)
    return codes


@functools.cache
def rule_code(conditions: tuple[int, ...]) -> int:
    """Return what a print with these sale conditions may not do, as `MinuteBuilder.add_one` takes it."""
    return int(np.bitwise_or.reduce(rule_codes()[[c & 0xFFFF for c in conditions]])) if conditions else 0


def writable(array: np.ndarray) -> np.ndarray:
    """Return the array, copied when it is read-only: numba would compile every kernel again for such arrays, for seconds."""
    return array if array.flags.writeable else array.copy()


_checked: weakref.WeakKeyDictionary[SessionCalendar, np.ndarray] = weakref.WeakKeyDictionary()  # the check reads 7,500 rows: once each


def in_lines(n: int, dtype: np.dtype) -> np.ndarray:
    """Return zeros that begin at a cache line: a record of 64 bytes then lies in one line, not in two."""
    whole = np.zeros(n * dtype.itemsize + LINE, np.uint8)
    skip = -whole.ctypes.data % LINE
    return whole[skip : skip + n * dtype.itemsize].view(dtype)


def session_rows(sessions: SessionCalendar | np.ndarray) -> np.ndarray:
    """Return SESSION_DTYPE rows of a calendar (or the rows themselves), checked to begin and end on whole minutes."""
    if not isinstance(sessions, SessionCalendar):
        return _check_sessions(np.asarray(sessions))
    found = _checked.get(sessions)
    if found is None:
        found = _checked[sessions] = _check_sessions(sessions.sessions)
    return found


def _check_sessions(rows: np.ndarray) -> np.ndarray:
    if rows.dtype != SESSION_DTYPE or not len(rows):
        raise RecordError(f"sessions: received {rows.dtype} shape {rows.shape}; allowed: a SessionCalendar or SESSION_DTYPE rows")
    if any((rows[name] % NS_PER_MIN).any() for name in ("pre_open", "open", "close", "post_close")):
        raise RecordError("sessions: received a session that begins or ends inside a minute; allowed: whole minutes")
    return writable(np.ascontiguousarray(rows))


# -- batch -----------------------------------------------------------------------------------------------------------------------


def build_bars(
    ts_event: np.ndarray,
    price: np.ndarray,
    size: np.ndarray,
    *,
    sequence: np.ndarray | None = None,
    conditions: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    sessions: SessionCalendar | np.ndarray,
) -> np.ndarray:
    """Return the 1-minute bars of one symbol's prints, BAR_DTYPE; see `build` for the parameters and for what did not become a bar."""
    return build(ts_event, price, size, sequence=sequence, conditions=conditions, mask=mask, sessions=sessions).rows


def build(
    ts_event: np.ndarray,
    price: np.ndarray,
    size: np.ndarray,
    *,
    sequence: np.ndarray | None = None,
    conditions: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    sessions: SessionCalendar | np.ndarray,
) -> Built:
    """Return the 1-minute bars of one symbol's prints, and the prints that were rejected.

    Parameters
    ----------
    ts_event : int64 array, shape (n,)        [ns UTC], in any order; in order is fastest.
    price, size : float64 arrays, shape (n,)  [USD], shares or contracts.
    sequence : int64 array, shape (n,)        Order of prints that share a stamp; without it their order in the arrays.
    conditions : int16 array, shape (n, k)    Sale-condition ids, rows padded with 0 (regular sale).
    mask : uint8 array, shape (n,)            Instead of conditions: bits of `conditions.py` that each print may update.
    sessions : SessionCalendar or SESSION_DTYPE rows.

    Raises
    ------
    RecordError    If lengths or shapes differ, or both conditions and mask are given.
    """
    ts, prices, sizes = (np.ascontiguousarray(a, t) for a, t in ((ts_event, np.int64), (price, np.float64), (size, np.float64)))
    order = _NO_IDS if sequence is None else np.ascontiguousarray(sequence, np.int64)
    ids = np.zeros((0, 0), np.int16) if conditions is None else np.ascontiguousarray(conditions, np.int16)
    rules = _NO_CODES if mask is None else np.ascontiguousarray(mask, np.uint8)
    _check_columns(ts, {"price": prices, "size": sizes, "sequence": sequence, "conditions": conditions, "mask": mask})
    ts, prices, sizes, order, ids, rules = (writable(column) for column in (ts, prices, sizes, order, ids, rules))
    rows = session_rows(sessions)
    if not len(ts):
        return Built(_NO_ROWS.copy(), 0.0, _NO_IDS, _NO_CODES)
    found = _build_sorted(ts, prices, sizes, order, ids, rules, rows)
    if found is not None:
        return found
    by_time = np.lexsort((order, ts)) if len(order) else np.argsort(ts, kind="stable")
    columns = [c[by_time] if len(c) else c for c in (ts, prices, sizes, order, ids, rules)]
    built = _build_sorted(*columns, rows)  # type: ignore[call-arg]
    assert built is not None
    rejected = by_time[built.rejected]
    back = np.argsort(rejected)
    return Built(built.rows, built.volume_without_bar, rejected[back], built.reasons[back])


def _check_columns(ts: np.ndarray, columns: dict[str, np.ndarray | None]) -> None:
    if columns["conditions"] is not None and columns["mask"] is not None:
        raise RecordError("mask: received together with conditions; allowed: one of the two")
    for name, column in columns.items():
        if column is not None and (len(column) != len(ts) or np.ndim(column) != (2 if name == "conditions" else 1)):
            shape = f"({len(ts)}, k)" if name == "conditions" else f"({len(ts)},)"
            raise RecordError(f"{name}: received shape {np.shape(column)}; allowed: {shape}, as ts_event")


def _build_sorted(
    ts: np.ndarray, price: np.ndarray, size: np.ndarray, sequence: np.ndarray, ids: np.ndarray, mask: np.ndarray, sessions: np.ndarray
) -> Built | None:
    """Return the bars of prints in order of (ts, sequence), or None when they are not in order. Large batches on all cores."""
    columns = (ts, price, size, sequence, ids, mask)
    edges = _minute_edges(ts, min(cores(), len(ts) // PART))
    if len(edges) == 2:
        return _build_part(columns, sessions, 0, len(ts))
    parts: dict[int, Built | None] = {}

    def build_part(a: int, b: int) -> None:
        parts[a] = _build_part(columns, sessions, a, b)

    share(build_part, itertools.pairwise(edges))
    found = [part for a in edges[:-1] if (part := parts[a]) is not None]
    if len(found) < len(parts) or any(ts[k - 1] > ts[k] for k in edges[1:-1]):
        return None
    joined = [np.concatenate([getattr(part, name) for part in found]) for name in ("rows", "rejected", "reasons")]
    return Built(joined[0], sum(part.volume_without_bar for part in found), joined[1], joined[2])


def _minute_edges(ts: np.ndarray, parts: int) -> list[int]:
    """Return where to cut a batch into about `parts` pieces, between minutes."""
    edges = [0]
    for k in range(1, parts):
        at = len(ts) * k // parts
        edges.append(at + int(np.searchsorted(ts[at:], ts[at] // NS_PER_MIN * NS_PER_MIN + NS_PER_MIN)))
    return [*sorted({*edges} - {len(ts)}), len(ts)]


def _build_part(columns: tuple[np.ndarray, ...], sessions: np.ndarray, a: int, b: int) -> Built | None:
    """Return the bars of prints a..b-1, or None when they are not in order."""
    columns = tuple(column[a:b] if len(column) else column for column in columns)
    ts = columns[0]
    room = min(b - a, _minutes_between(sessions, int(ts[0]), int(ts[-1])) + 1)
    out = np.empty(room, BAR_DTYPE)
    rejected = np.empty(b - a, np.int64)  # pages that are not written cost nothing
    held, tally = np.zeros(1), np.zeros(4, np.int64)
    from workbench.hub import kernels_batch as k

    rules, sums = np.empty(k.CHUNK, np.int64), np.empty(k.SUMS_SHAPE)
    k.build(*columns, rule_tables(), sessions, out, held, rejected, tally, rules, sums)
    if tally[k.UNSORTED]:
        return None
    bad = rejected[: tally[k.N_BAD]]
    n = int(tally[k.N_ROWS])
    return Built(out[:n] if 2 * n >= room else out[:n].copy(), float(held[0]), (bad >> 8) + a, (bad & 255).astype(np.uint8))


def _minutes_between(sessions: np.ndarray, first: int, last: int) -> int:
    """Return an upper bound of the trading minutes in [first, last]."""
    a = max(int(np.searchsorted(sessions["pre_open"], first, side="right")) - 1, 0)
    b = int(np.searchsorted(sessions["pre_open"], last, side="right"))
    touched = sessions[a:b]
    return int((touched["post_close"] - touched["pre_open"]).sum()) // NS_PER_MIN


# -- streaming -------------------------------------------------------------------------------------------------------------------


class MinuteBuilder:
    """Minutes of many symbols, built print by print, closed by the clock, revised by late prints.

    The hub's thread alone may call it. Symbols are the ids of a `SymbolTable`; room is made as ids appear. A minute stays open for
    changes until its symbol has a print `late_minutes` newer; older prints are rejected as `TOO_LATE`.

    `add` takes an array of prints. `add_one(symbol_id, ts_event, price, size, sequence, rule)` takes one from plain numbers (all six,
    `rule` = `rule_code` of its conditions) and is the quickest way for prints that come singly. It returns 0 when the print was taken,
    its `Reject` code when not, -2 when it was taken and `changes` has news, -1 when `make_room(symbol_id)` has to be called first.
    """

    def __init__(self, sessions: SessionCalendar | np.ndarray, *, grace_ns: int, late_minutes: int = 16, symbols: int = 64) -> None:
        """`grace_ns`: how long after its end a minute waits for late prints [ns], >= 0. `symbols`: room to begin with."""
        if grace_ns < 0:
            raise RecordError(f"grace_ns: received {grace_ns}; allowed: 0 or more")
        if not 1 <= late_minutes <= 1024:
            raise RecordError(f"late_minutes: received {late_minutes}; allowed: 1 to 1024")
        self.grace_ns = int(grace_ns)
        self.late_minutes = int(late_minutes)
        self._k = _kernels()
        self._where = np.zeros(self._k.WHERE, np.int64)
        self._sessions = session_rows(sessions)
        self._codes = rule_codes()
        self._ring = 1 << (late_minutes - 1).bit_length()
        self._late_ns = late_minutes * NS_PER_MIN
        self._held = np.zeros(1)
        self._rejected = np.empty(1024, np.int64)
        self._spill = np.zeros(64, BAR_DTYPE)
        self._heads, self._cells = np.zeros(0, self._k.HEAD_DTYPE), np.zeros(0, self._k.CELL_DTYPE)
        self._book = np.zeros(self._k.BOOK_HEAD, np.int64)
        self._book[self._k.OLDEST] = self._k.NEVER
        self._make_room(max(symbols, 1))

    # `compile` gives the C function itself, without numba's choice by argument types. Each is compiled when first used: a desk
    # that opens on a new machine waits for no kernel that it does not need.

    @functools.cached_property
    def add_one(self) -> Callable[..., int]:
        """The function that takes one print (see the class)."""
        return functools.partial(self._k.add_one.compile(self._k.ADD_ONE), self._where.ctypes.data)

    @functools.cached_property
    def _add_frame(self) -> Callable[..., int]:
        return functools.partial(self._k.add_frame.compile(self._k.ADD_ROWS), self._where.ctypes.data)

    @functools.cached_property
    def _add_many(self) -> Callable[..., int]:
        return functools.partial(self._k.add_many.compile(self._k.ADD_ROWS), self._where.ctypes.data)

    # -- prints in ---------------------------------------------------------------------------------------------------------------

    def add(self, trade_rows: np.ndarray) -> Changes:
        """Take prints in order of arrival, TRADE_DTYPE shape (n,), and tell which closed minutes they changed."""
        if trade_rows.dtype != TRADE_DTYPE:
            raise RecordError(f"trade_rows: received {trade_rows.dtype}; allowed: TRADE_DTYPE")
        if not trade_rows.flags.c_contiguous:
            trade_rows = np.ascontiguousarray(trade_rows)
        n = len(trade_rows)
        if n > len(self._rejected):
            self._rejected = np.empty(2 * n, np.int64)
            self._note_addresses()
        take = self._add_frame if n <= FRAME else self._add_many
        done = take(trade_rows, 0)
        while done < 0:
            done = -1 - done
            self.make_room(int(trade_rows["symbol_id"][done]))
            done = take(trade_rows, done)
        return _NOTHING if done == n else self._collect()

    def changes(self) -> Changes:
        """Return the closed minutes that prints taken by `add_one` have changed, each once."""
        return self._collect()

    def make_room(self, symbol_id: int) -> None:
        """Make room for a print of this symbol that was refused for want of it."""
        if symbol_id >= len(self._heads):
            self._make_room(max(2 * len(self._heads), symbol_id + 1))
        else:
            self._spill = np.concatenate([self._spill, np.zeros_like(self._spill)])
            self._note_addresses()

    def _make_room(self, symbols: int) -> None:
        """Give every symbol id below `symbols` its cells, keeping what there is."""
        heads, cells = in_lines(symbols, self._k.HEAD_DTYPE), in_lines(symbols * self._ring, self._k.CELL_DTYPE)
        book = np.empty(self._k.BOOK_HEAD + 2 * len(cells), np.int64)
        head, had, n = self._k.BOOK_HEAD, len(self._cells), max(len(self._heads), 1)
        heads[: len(self._heads)] = self._heads
        if had:
            cells.reshape(self._ring, symbols)[:, :n] = self._cells.reshape(self._ring, n)
        book[:head] = self._book[:head]
        for start, old in ((head, self._book[head : head + had]), (head + len(cells), self._book[head + had :])):
            book[start : start + had] = old // n * symbols + old % n  # the same cells, at their new places
        self._heads, self._cells, self._book = heads, cells, book
        self._note_addresses()

    def _note_addresses(self) -> None:
        """Tell `add_one`'s kernel where the arrays are; to be called whenever one of them is replaced."""
        arrays = (self._heads, self._cells, self._book, self._held, self._sessions, self._codes, self._spill, self._rejected)
        lengths = [len(arrays[k]) for k in (0, 1, 2, 4, 6, 7)]
        self._where[:] = [*lengths, self._late_ns, self._ring, *(a.ctypes.data for a in arrays)]

    def _collect(self) -> Changes:
        """Return what the last prints did to closed minutes, and the rejected ones."""
        k, book = self._k, self._book
        bad = self._rejected[: book[k.N_REJECTED]].copy()
        out = np.zeros(int(book[k.N_SPILLED] + book[k.N_DIRTY]), BAR_DTYPE)
        n = int(book[k.N_SPILLED])
        out[:n] = self._spill[:n]
        n += k.emit_dirty(self._cells, len(self._heads), book, out[n:])
        book[k.N_REJECTED] = book[k.N_SPILLED] = 0
        ids, rows = _by_time(out[:n])
        return Changes(ids, rows, bad >> 8, (bad & 255).astype(np.uint8))

    # -- the clock ---------------------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Close the minutes with ts_close + grace <= `now_ns`; return (symbol_ids, BAR_DTYPE rows), oldest first, each exactly once."""
        due = int(now_ns) - self.grace_ns
        if self._book[self._k.OLDEST] > due - NS_PER_MIN:
            return _NO_IDS, _NO_ROWS
        out = np.empty(int(self._book[self._k.N_OPEN]), BAR_DTYPE)
        n = self._k.close_due(self._cells, len(self._heads), self._ring, self._book, self._held, due, out)
        return _by_time(out[:n], is_sorted=bool(self._book[self._k.IN_ORDER]))

    # -- reading -----------------------------------------------------------------------------------------------------------------

    @property
    def volume_without_bar(self) -> float:
        """Volume of closed minutes that have no bar because no print set a price."""
        return float(self._held[0])

    def open_bars(self, symbol_id: int) -> np.ndarray:
        """Return the minutes still open, BAR_DTYPE, oldest first (two while an ended minute waits out its grace); is_partial = 1."""
        out = np.zeros(self._ring, BAR_DTYPE)
        if not 0 <= symbol_id < len(self._heads):
            return out[:0]
        n = self._k.open_rows(self._cells, len(self._heads), symbol_id, out)
        out["seq"] = 0
        return out[:n]

    def micro(self, symbol_id: int) -> np.ndarray:
        """Return the newest 50 ms bar with a price, BAR_DTYPE shape (1,), or shape (0,): it moves the forming bar, nothing else."""
        out = np.zeros(1, BAR_DTYPE)
        head = self._heads[symbol_id] if 0 <= symbol_id < len(self._heads) else None
        if head is None or not head["n"]:
            return out[:0]
        for name in ("open", "high", "low", "close", "volume"):
            out[name] = head[name]
        out["ts_open"], out["ts_close"] = head["bucket"], head["bucket"] + MICRO_NS
        out["vwap"] = out["vw_std"] = out["n_trades"] = np.nan
        out["source"], out["is_partial"], out["is_complete"] = self._k.TRADES, 1, 1
        return out

    def forget(self, symbol_id: int) -> None:
        """Drop all state of one symbol."""
        if 0 <= symbol_id < len(self._heads):
            self._k.forget(self._heads, self._cells, self._book, symbol_id)

    def reset(self) -> None:
        """Drop all state."""
        self._heads[:] = np.zeros((), self._heads.dtype)
        self._cells[:] = np.zeros((), self._cells.dtype)
        self._book[: self._k.BOOK_HEAD] = 0
        self._book[self._k.OLDEST] = self._k.NEVER
        self._held[0] = 0.0


def _by_time(rows: np.ndarray, *, is_sorted: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return (symbol ids, rows) by (ts_open, symbol id), taking the ids out of `seq` where the kernels put them."""
    if len(rows) > 1 and not is_sorted:
        rows = rows[np.lexsort((rows["seq"], rows["ts_open"]))]
    ids = rows["seq"].copy()
    rows["seq"] = 0
    return ids, rows
