"""Compiled loops behind `bars.MinuteBuilder`: trades of many symbols into minutes, one trade at a time.

Floor 2: numpy and numba. Import it lazily: numba costs 0.4 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int64, typeof

from workbench.hub.kernels_base import (
    BAD_PRICE,
    BAD_SIZE,
    BAD_SYMBOL,
    NO_HL,
    NO_OC,
    NO_SESSION,
    NO_VOLUME,
    NS_PER_MIN,
    OK,
    TOO_LATE,
    TRADES,
    UNKNOWN,
    UNKNOWN_CONDITION,
    ask_to_read,
    ask_to_write,
    at,
    find_session,
    fma,
    inlined,
    kernel,
    moments,
    plus,
    view_of,
    with_lock,
)
from workbench.sessions import SESSION_DTYPE
from workbench.types import BAR_DTYPE, TRADE_DTYPE

MICRO_NS = 50_000_000
HAS_HL, HAS_OC = 1, 2

# Life of a minute's cell.
OPEN, CLOSED, DIRTY, PUBLISHED = 1, 2, 4, 8

# One minute of one symbol, 128 bytes = two cache lines. first/last hold the open/close prints; until one came, the high/low prints.
CELL_DTYPE = np.dtype(
    [
        ("minute", "i8"),
        ("first_ts", "i8"),
        ("first_seq", "i8"),
        ("first_px", "f8"),
        ("last_ts", "i8"),
        ("last_seq", "i8"),
        ("last_px", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("v", "f8"),
        ("v_err", "f8"),
        ("vp", "f8"),
        ("vp_err", "f8"),
        ("vpp", "f8"),
        ("vpp_err", "f8"),
        ("n", "u4"),
        ("revision", "u2"),
        ("state", "u1"),
        ("has", "u1"),
    ]
)

# One symbol, 64 bytes: its newest minute, and its newest 50 ms bar.
HEAD_DTYPE = np.dtype(
    [
        ("newest", "i8"),
        ("bucket", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("n", "i8"),
    ]
)

# Places in the builder's int64 `book`; after BOOK_HEAD come the list of open cells and the list of changed closed cells.
SESSION, N_OPEN, N_DIRTY, N_REJECTED, N_SPILLED, OLDEST, IN_ORDER, BOOK_HEAD = 0, 1, 2, 3, 4, 5, 6, 16
NEVER = np.iinfo(np.int64).max


@kernel
def fill_row(row: Any, cell: Any, symbol_id: int, is_partial: int) -> None:
    """Write a priced cell as a BAR_DTYPE row; `seq` carries the symbol's id until the caller takes it."""
    first, last = cell.first_px, cell.last_px
    high, low = max(first, last), min(first, last)
    if cell.has & HAS_HL:
        high, low = max(high, cell.high), min(low, cell.low)
    row.ts_open = cell.minute
    row.ts_close = cell.minute + NS_PER_MIN
    row.open = first
    row.high = high
    row.low = low
    row.close = last
    row.volume = cell.v + cell.v_err
    vwap, std = moments(cell.v, cell.v_err, cell.vp, cell.vp_err, cell.vpp, cell.vpp_err)
    row.vwap = vwap
    row.vw_std = std
    row.n_trades = cell.n
    row.seq = symbol_id
    row.revision = cell.revision
    row.source = TRADES
    row.is_partial = is_partial
    row.is_complete = 1
    row.spare = 0


@kernel
def clear_cell(cell: Any, minute: int) -> None:
    """Begin a minute."""
    cell.minute = minute
    cell.v = cell.v_err = cell.vp = cell.vp_err = cell.vpp = cell.vpp_err = 0.0
    cell.n = 0
    cell.revision = 0
    cell.state = OPEN
    cell.has = 0


@kernel
def retire(cell: Any, symbol_id: int, book: Any, held: Any, spill: Any) -> None:
    """Hand out a cell whose slot is wanted by a newer minute, when it still has something to tell."""
    told = cell.state & CLOSED and not cell.state & DIRTY
    if told:
        return
    if cell.has:
        cell.revision += 1 if cell.state & PUBLISHED else 0
        fill_row(spill[book[N_SPILLED]], cell, symbol_id, 0)
        book[N_SPILLED] += 1
    elif cell.state & OPEN:
        held[0] += cell.v + cell.v_err


@inlined
def put_price(cell: Any, ts: int, sequence: int, price: float, rule: int) -> None:
    """Let a print set high/low and open/close as far as its rule allows."""
    has = cell.has
    if not rule & NO_HL:
        if not has & HAS_HL:
            cell.high = price
            cell.low = price
        else:
            cell.high = max(cell.high, price)
            cell.low = min(cell.low, price)
    kind = HAS_OC if not rule & NO_OC else HAS_HL
    if kind == HAS_HL and has & HAS_OC:  # open/close prints are there: others have no say
        cell.has = has | HAS_HL
        return
    if not has & kind:
        cell.first_ts = cell.last_ts = ts
        cell.first_seq = cell.last_seq = sequence
        cell.first_px = cell.last_px = price
    else:
        if ts < cell.first_ts or (ts == cell.first_ts and sequence < cell.first_seq):
            cell.first_ts, cell.first_seq, cell.first_px = ts, sequence, price
        if ts > cell.last_ts or (ts == cell.last_ts and sequence >= cell.last_seq):
            cell.last_ts, cell.last_seq, cell.last_px = ts, sequence, price
    cell.has = has | kind | (0 if rule & NO_HL else HAS_HL)


@inlined
def put_volume(cell: Any, price: float, size: float) -> None:
    """Add a print's size to the minute's sums."""
    x = size * price
    x_err = fma(size, price, -x)
    y = x * price
    y_err = fma(x, price, -y) + x_err * price
    cell.v, cell.v_err = plus(cell.v, cell.v_err, size, 0.0)
    cell.vp, cell.vp_err = plus(cell.vp, cell.vp_err, x, x_err)
    cell.vpp, cell.vpp_err = plus(cell.vpp, cell.vpp_err, y, y_err)
    cell.n += 1


@inlined
def put_micro(head: Any, ts: int, price: float, size: float, rule: int) -> None:
    """Move the newest 50 ms bar: in order of arrival; prints of an earlier 50 ms are not shown."""
    bucket = ts // MICRO_NS * MICRO_NS
    if bucket < head.bucket:
        return
    if bucket > head.bucket:
        head.bucket = bucket
        head.n = 0
        head.volume = 0.0
    if not rule & NO_OC:
        if head.n == 0:
            head.open = head.high = head.low = price
        head.close = price
        head.high = max(head.high, price)
        head.low = min(head.low, price)
        head.n += 1
    elif head.n > 0 and not rule & NO_HL:
        head.high = max(head.high, price)
        head.low = min(head.low, price)
    if not rule & NO_VOLUME:
        head.volume += size


@inlined
def take(
    symbol_id: int, ts: int, price: float, size: float, sequence: int, regular: int, extended: int,
    late_ns: int, ring: int, heads: Any, cells: Any, book: Any, held: Any, sessions: Any, spill: Any,
) -> int:  # fmt: skip
    """Put one print into its minute; return OK or why not. `spill` has room for one more.

    `ring` (a power of two) cells a symbol; those of one minute stand together for all symbols, so that few pages of memory are in use.
    """
    if not (price > 0.0 and price < np.inf):
        return BAD_PRICE
    if not (size >= 0.0 and size < np.inf):
        return BAD_SIZE
    session = at(sessions, book[SESSION])
    if ts < session.pre_open or ts >= session.post_close:
        s = find_session(sessions, ts)
        if s < 0:
            return NO_SESSION
        book[SESSION] = s
        session = at(sessions, s)
    rule = regular if ts >= session.open and ts < session.close else extended
    if rule & UNKNOWN:
        return UNKNOWN_CONDITION
    number = ts // NS_PER_MIN
    minute = number * NS_PER_MIN
    head = at(heads, symbol_id)
    if minute <= head.newest - late_ns:
        return TOO_LATE
    place = (number & (ring - 1)) * len(heads) + symbol_id
    cell = at(cells, place)
    if cell.minute != minute:
        if cell.minute > minute:
            return TOO_LATE
        begin(cell, place, symbol_id, minute, book, held, spill, len(cells))
        head.newest = max(head.newest, minute)
    if cell.state & CLOSED:
        reopen(cell, place, book, held, len(cells), rule)
    if not (rule & NO_HL and rule & NO_OC):
        put_price(cell, ts, sequence, price, rule)
    if not rule & NO_VOLUME:
        if cell.state & CLOSED and not cell.has:
            held[0] += size
        put_volume(cell, price, size)
    put_micro(head, ts, price, size, rule)
    return OK


@kernel
def drop_dirty(place: int, book: Any, n_cells: int) -> None:
    """Take a cell off the list of changed closed cells."""
    base = BOOK_HEAD + n_cells
    for d in range(book[N_DIRTY]):
        if book[base + d] == place:
            book[N_DIRTY] -= 1
            book[base + d] = book[base + book[N_DIRTY]]
            return


@kernel
def begin(cell: Any, place: int, symbol_id: int, minute: int, book: Any, held: Any, spill: Any, n_cells: int) -> None:
    """Give a slot to a new minute."""
    if cell.state:
        retire(cell, symbol_id, book, held, spill)
        if cell.state & DIRTY:
            drop_dirty(place, book, n_cells)
    if not cell.state & OPEN:  # an open cell stands in the list already, and keeps its place there
        book[BOOK_HEAD + book[N_OPEN]] = place
        book[N_OPEN] += 1
    clear_cell(cell, minute)
    book[OLDEST] = min(book[OLDEST], minute)


@kernel
def reopen(cell: Any, place: int, book: Any, held: Any, n_cells: int, rule: int) -> None:
    """Note that a closed minute is about to change, unless nothing of it can be seen."""
    if not cell.has:
        if rule & NO_HL and rule & NO_OC:
            return  # still no bar
        held[0] -= cell.v + cell.v_err  # its volume will be told by a bar after all
    if not cell.state & DIRTY:
        cell.state |= DIRTY
        book[BOOK_HEAD + n_cells + book[N_DIRTY]] = place
        book[N_DIRTY] += 1


WIDE = 1024  # symbols whose cells no longer fit the nearest cache: their memory is asked for some prints ahead
AHEAD = 16
ROWS_AHEAD = 40  # the prints themselves: a machine's own foresight ends at each page of memory, every fifty prints


@kernel
def add_trades(
    rows: Any, start: int, late_ns: int, ring: int,
    heads: Any, cells: Any, book: Any, held: Any, sessions: Any, codes: Any, spill: Any, rejected: Any,
) -> int:  # fmt: skip
    """Take TRADE_DTYPE rows from `start`; return how many there are, or one more when something is to be collected.

    A negative answer -1 - i says that print i was not taken yet: heads or spill have to grow first.
    """
    n_symbols = len(heads)
    is_wide = n_symbols > WIDE
    for i in range(start, len(rows)):
        row = at(rows, i)
        if i + ROWS_AHEAD < len(rows):
            ask_to_read(rows, i + ROWS_AHEAD)
        if is_wide and i + AHEAD < len(rows):
            coming = at(rows, i + AHEAD)
            if 0 <= coming.symbol_id < n_symbols:
                ask_to_write(heads, np.int64(coming.symbol_id))
                ask_to_write(cells, ((coming.ts_event // NS_PER_MIN) & (ring - 1)) * n_symbols + coming.symbol_id)
        symbol_id = np.int64(row.symbol_id)
        if symbol_id >= n_symbols or book[N_SPILLED] >= len(spill):
            return -1 - i
        code = BAD_SYMBOL
        if symbol_id >= 0:
            ids = row.conditions  # those beyond n_conditions are 0, which restricts nothing: no branch is the quicker way
            rule = np.int64(codes[np.uint16(ids[0])] | codes[np.uint16(ids[1])] | codes[np.uint16(ids[2])] | codes[np.uint16(ids[3])])
            if row.n_conditions > 4:
                rule |= np.int64(codes[np.uint16(ids[4])] | codes[np.uint16(ids[5])])
            code = take(
                symbol_id, row.ts_event, row.price, row.size, row.sequence, rule & 255, rule >> 8,
                late_ns, ring, heads, cells, book, held, sessions, spill,
            )  # fmt: skip
        if code != OK:
            rejected[book[N_REJECTED]] = i << 8 | code
            book[N_REJECTED] += 1
    return len(rows) + (book[N_REJECTED] + book[N_SPILLED] + book[N_DIRTY] > 0)


# Where the builder's arrays are, by address: one integer crosses from Python instead of eight arrays (60 ns each, or 1.5 µs a call
# where numba has to choose by argument types).
(
    N_SYMBOLS, N_CELLS, N_BOOK, N_SESSIONS, N_SPILL, N_REJECTS, LATE_NS, RING,
    HEADS, CELLS, BOOK, HELD, SESSIONS, CODES, SPILL, REJECTED, WHERE,
) = range(17)  # fmt: skip
MAKE_ROOM, CHANGED = -1, -2
ADD_ONE = (int64, int64, int64, float64, float64, int64, int64)
ADD_ROWS = (int64, typeof(np.empty(0, TRADE_DTYPE)), int64)
_ints, _floats, _codes = view_of(np.dtype(np.int64)), view_of(np.dtype(np.float64)), view_of(np.dtype(np.uint16))
_heads, _cells, _sessions, _bars = view_of(HEAD_DTYPE), view_of(CELL_DTYPE), view_of(SESSION_DTYPE), view_of(BAR_DTYPE)
N_CODES = 1 << 16


@inlined
def add_rows(where: int, rows: Any, start: int) -> int:
    """Take TRADE_DTYPE rows from `start`; answers as `add_trades`."""
    w = _ints(where, WHERE)
    return add_trades(
        rows, start, w[LATE_NS], w[RING],
        _heads(w[HEADS], w[N_SYMBOLS]), _cells(w[CELLS], w[N_CELLS]), _ints(w[BOOK], w[N_BOOK]), _floats(w[HELD], 1),
        _sessions(w[SESSIONS], w[N_SESSIONS]), _codes(w[CODES], N_CODES), _bars(w[SPILL], w[N_SPILL]), _ints(w[REJECTED], w[N_REJECTS]),
    )  # fmt: skip


@with_lock
def add_frame(where: int, rows: Any, start: int) -> int:
    """Take a few rows; the interpreter waits."""
    return add_rows(where, rows, start)


@kernel
def add_many(where: int, rows: Any, start: int) -> int:
    """Take many rows while other threads run Python."""
    return add_rows(where, rows, start)


@with_lock
def add_one(where: int, symbol_id: int, ts: int, price: float, size: float, sequence: int, rule: int) -> int:
    """Take one print; `rule` is what it may not do in regular hours, plus 256 times the same for extended hours.

    Return OK, why it was not taken, MAKE_ROOM when it was not taken yet, or CHANGED when it was and something is to be collected.
    """
    w = _ints(where, WHERE)
    book = _ints(w[BOOK], w[N_BOOK])
    if symbol_id < 0:
        return BAD_SYMBOL
    if symbol_id >= w[N_SYMBOLS] or book[N_SPILLED] >= w[N_SPILL]:
        return MAKE_ROOM
    heads = _heads(w[HEADS], w[N_SYMBOLS])
    cells = _cells(w[CELLS], w[N_CELLS])
    held = _floats(w[HELD], 1)
    sessions = _sessions(w[SESSIONS], w[N_SESSIONS])
    spill = _bars(w[SPILL], w[N_SPILL])
    code = take(
        symbol_id, ts, price, size, sequence, rule & 255, rule >> 8,
        w[LATE_NS], w[RING], heads, cells, book, held, sessions, spill,
    )  # fmt: skip
    if code == OK and book[N_SPILLED] + book[N_DIRTY] > 0:
        return CHANGED
    return code


@kernel
def emit_dirty(cells: Any, n_symbols: int, book: Any, out: Any) -> int:
    """Write every closed cell that changed as a bar with the next revision; return how many."""
    n = 0
    base = BOOK_HEAD + len(cells)
    for d in range(book[N_DIRTY]):
        place = book[base + d]
        cell = cells[place]
        if cell.state & DIRTY:
            cell.revision += 1 if cell.state & PUBLISHED else 0
            cell.state = CLOSED | PUBLISHED
            fill_row(out[n], cell, place % n_symbols, 0)
            n += 1
    book[N_DIRTY] = 0
    return n


@kernel
def close_cell(cell: Any, symbol_id: int, held: Any, out: Any) -> int:
    """Close a cell; write it to `out` and return 1 when it has a price."""
    if not cell.has:
        cell.state = CLOSED
        held[0] += cell.v + cell.v_err
        return 0
    cell.state = CLOSED | PUBLISHED
    fill_row(out, cell, symbol_id, 0)
    return 1


@kernel
def close_due(cells: Any, n_symbols: int, ring: int, book: Any, held: Any, due_ns: int, out: Any) -> int:
    """Close every open cell that ended at or before `due_ns`; write those with a price to `out`; return how many.

    book[IN_ORDER] tells whether they stand in order of minute and symbol: so they do when many are due, for then the cells of each
    minute are read as they lie in memory.
    """
    n = newest = kept = 0
    oldest = oldest_kept = NEVER
    for o in range(book[N_OPEN]):
        place = book[BOOK_HEAD + o]
        minute = at(cells, place).minute
        if minute + NS_PER_MIN <= due_ns:
            oldest, newest = min(oldest, minute), max(newest, minute)
        else:  # before those that are due
            oldest_kept = min(oldest_kept, minute)
            book[BOOK_HEAD + o], book[BOOK_HEAD + kept] = book[BOOK_HEAD + kept], place
            kept += 1
    n_due = book[N_OPEN] - kept
    book[OLDEST] = oldest_kept
    book[N_OPEN] = kept
    book[IN_ORDER] = n_due > n_symbols >> 4 and newest - oldest < ring * NS_PER_MIN
    if book[IN_ORDER]:
        for minute in range(oldest, newest + 1, NS_PER_MIN):
            base = ((minute // NS_PER_MIN) & (ring - 1)) * n_symbols
            for symbol_id in range(n_symbols):
                cell = at(cells, base + symbol_id)
                if cell.minute == minute and cell.state & OPEN:
                    n += close_cell(cell, symbol_id, held, at(out, n))
        return n
    for o in range(kept, kept + n_due):
        place = book[BOOK_HEAD + o]
        n += close_cell(at(cells, place), place % n_symbols, held, at(out, n))
    return n


@kernel
def open_rows(cells: Any, n_symbols: int, symbol_id: int, out: Any) -> int:
    """Write the open, priced minutes of a symbol as partial bars, oldest first; return how many."""
    n = 0
    for place in range(symbol_id, len(cells), n_symbols):
        cell = cells[place]
        if cell.state & OPEN and cell.has:
            k = n
            while k > 0 and out[k - 1].ts_open > cell.minute:
                out[k] = out[k - 1]
                k -= 1
            fill_row(out[k], cell, symbol_id, 1)
            n += 1
    return n


@kernel
def forget(heads: Any, cells: Any, book: Any, symbol_id: int) -> None:
    """Empty a symbol's cells."""
    n_symbols = len(heads)
    for place in range(symbol_id, len(cells), n_symbols):
        clear_cell(cells[place], 0)
        cells[place].state = 0
    kept = 0
    for o in range(book[N_OPEN]):
        place = book[BOOK_HEAD + o]
        if place % n_symbols != symbol_id:
            book[BOOK_HEAD + kept] = place
            kept += 1
    book[N_OPEN] = kept
    heads[symbol_id].newest = 0
    heads[symbol_id].bucket = 0
    heads[symbol_id].n = 0
    for d in range(book[N_DIRTY] - 1, -1, -1):
        place = book[BOOK_HEAD + len(cells) + d]
        if place % n_symbols == symbol_id:
            drop_dirty(place, book, len(cells))
