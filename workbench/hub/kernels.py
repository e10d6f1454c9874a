"""Compiled loops behind `bars.py` and `rollup.py`: trades into minutes, minutes into longer bars.

Plain arrays in, plain arrays out; the classes that own the arrays live in the two modules named above. Everything is at module
level and cached on disk (numba's key ignores compile flags, so no function here has two variants).

Sums of a minute are kept as unevaluated pairs of floats (sum, error of the sum): Σv, Σv·p and Σv·p² are then right to about
1e-31 whatever the order of the prints, so a late print, another chunking or the vector lanes of the batch path give the same
vwap and vw_std to the last bit, and no reference price has to be chosen.

Floor 2: numpy and numba. Import it lazily: numba costs 0.4 s.

Source of the pair arithmetic: Knuth (TwoSum), Dekker / Ogita-Rump-Oishi (TwoProduct by fused multiply-add, Sum2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import float64, int64, njit, typeof, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from workbench.hub.lanes import N_SUMS, WIDTH, sum_lanes
from workbench.sessions import SESSION_DTYPE
from workbench.types import BAR_DTYPE

NS_PER_MIN = 60_000_000_000
MICRO_NS = 50_000_000
FLAT = 1e-26  # var / mean² below this is rounding: the prices were all the same

# Reasons why a print was not taken; `bars.Reject` names them.
OK, BAD_PRICE, BAD_SIZE, NO_SESSION, UNKNOWN_CONDITION, TOO_LATE, BAD_SYMBOL = 0, 1, 2, 3, 4, 5, 6

# What a print may NOT do: the complement of the rule bits of `conditions.py`, so that several conditions combine by OR.
NO_HL, NO_OC, NO_VOLUME, UNKNOWN = 1, 2, 4, 128
FORBIDDEN = NO_HL | NO_OC | NO_VOLUME
HAS_HL, HAS_OC = 1, 2

# Life of a minute's cell.
OPEN, CLOSED, DIRTY, PUBLISHED = 1, 2, 4, 8

TRADES = 1  # BarSource.TRADES

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
SESSION, N_OPEN, N_DIRTY, N_REJECTED, N_SPILLED, OLDEST, BOOK_HEAD = 0, 1, 2, 3, 4, 5, 16
NEVER = np.iinfo(np.int64).max


@intrinsic
def fma(_context: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Return a·b + c rounded once."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return float64(float64, float64, float64), generate


@intrinsic
def prefetch(_context: Any, array: Any, _index: Any) -> Any:
    """Ask for the 128 bytes of an array's element, soon to be written; return 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, args[0]).data
        byte = builder.bitcast(builder.gep(data, [args[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        for line in (0, 64):
            builder.call(ask, [builder.gep(byte, [ir.Constant(ir.IntType(64), line)]), number(1), number(3), number(1)])
        return ir.Constant(ir.IntType(64), 0)

    return int64(array, int64), generate


def _view_of(dtype: np.dtype[Any]) -> Any:
    """Return a compiled function (address, length) -> array over memory that somebody else owns and keeps alive."""
    kind = typeof(np.empty(0, dtype))

    @intrinsic
    def view(_context: Any, _address: Any, _length: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            array = make_array(kind)(context, builder)
            step = context.get_constant(types.intp, dtype.itemsize)
            data = builder.inttoptr(args[0], array.data.type)
            populate_array(array, data=data, shape=[args[1]], strides=[step], itemsize=step, meminfo=None)
            return array._getvalue()

        return kind(int64, int64), generate

    return view


# No kernel allocates: without numba's reference counting (atomic, at every use of an array in a nested call) they are 3 times faster.
kernel = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
inlined = njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")


@inlined
def plus(total: float, error: float, x: float, x_error: float) -> tuple[float, float]:
    """Return the pair (total, error) + (x, x_error)."""
    t = total + x
    b = t - total
    return t, error + (((total - (t - b)) + (x - b)) + x_error)


@kernel
def moments(v: float, v_err: float, vp: float, vp_err: float, vpp: float, vpp_err: float) -> tuple[float, float]:
    """Return (vwap, vw_std) from the pairs Σv, Σv·p, Σv·p²; NaN without volume."""
    v, v_err = plus(v, 0.0, v_err, 0.0)  # one sum has many pairs; this is the one whose first part is the sum rounded
    if not v > 0.0:
        return np.nan, np.nan
    vp, vp_err = plus(vp, 0.0, vp_err, 0.0)
    vpp, vpp_err = plus(vpp, 0.0, vpp_err, 0.0)
    mean = vp / v
    rest = (fma(-mean, v, vp) + (vp_err - mean * v_err)) / v
    square = mean * vp
    square_err = fma(mean, vp, -square) + (mean * vp_err + rest * vp)
    variance = ((vpp - square) + (vpp_err - square_err)) / v
    if variance <= FLAT * mean * mean:
        return mean + rest, 0.0
    return mean + rest, np.sqrt(variance)


# -- streaming: one trade at a time into cells -----------------------------------------------------------------------------------


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


@kernel
def find_session(sessions: Any, ts: int) -> int:
    """Return the row of the session with pre_open <= ts < post_close, or -1."""
    low, high = 0, len(sessions)
    while low < high:
        mid = (low + high) >> 1
        if sessions[mid].pre_open <= ts:
            low = mid + 1
        else:
            high = mid
    return low - 1 if low > 0 and ts < sessions[low - 1].post_close else -1


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
    s = book[SESSION]
    if ts < sessions[s].pre_open or ts >= sessions[s].post_close:
        s = find_session(sessions, ts)
        if s < 0:
            return NO_SESSION
        book[SESSION] = s
    rule = regular if ts >= sessions[s].open and ts < sessions[s].close else extended
    if rule & UNKNOWN:
        return UNKNOWN_CONDITION
    number = ts // NS_PER_MIN
    minute = number * NS_PER_MIN
    head = heads[symbol_id]
    if minute <= head.newest - late_ns:
        return TOO_LATE
    at = (number & (ring - 1)) * len(heads) + symbol_id
    cell = cells[at]
    if cell.minute != minute:
        if cell.minute > minute:
            return TOO_LATE
        begin(cell, at, symbol_id, minute, book, held, spill, len(cells))
        head.newest = max(head.newest, minute)
    if cell.state & CLOSED:
        reopen(cell, at, book, held, len(cells), rule)
    if not (rule & NO_HL and rule & NO_OC):
        put_price(cell, ts, sequence, price, rule)
    if not rule & NO_VOLUME:
        if cell.state & CLOSED and not cell.has:
            held[0] += size
        put_volume(cell, price, size)
    put_micro(head, ts, price, size, rule)
    return OK


@kernel
def drop_dirty(at: int, book: Any, n_cells: int) -> None:
    """Take a cell off the list of changed closed cells."""
    base = BOOK_HEAD + n_cells
    for d in range(book[N_DIRTY]):
        if book[base + d] == at:
            book[N_DIRTY] -= 1
            book[base + d] = book[base + book[N_DIRTY]]
            return


@kernel
def begin(cell: Any, at: int, symbol_id: int, minute: int, book: Any, held: Any, spill: Any, n_cells: int) -> None:
    """Give a slot to a new minute."""
    if cell.state:
        retire(cell, symbol_id, book, held, spill)
        if cell.state & DIRTY:
            drop_dirty(at, book, n_cells)
    if not cell.state & OPEN:  # an open cell stands in the list already, and keeps its place there
        book[BOOK_HEAD + book[N_OPEN]] = at
        book[N_OPEN] += 1
    clear_cell(cell, minute)
    book[OLDEST] = min(book[OLDEST], minute)


@kernel
def reopen(cell: Any, at: int, book: Any, held: Any, n_cells: int, rule: int) -> None:
    """Note that a closed minute is about to change, unless nothing of it can be seen."""
    if not cell.has:
        if rule & NO_HL and rule & NO_OC:
            return  # still no bar
        held[0] -= cell.v + cell.v_err  # its volume will be told by a bar after all
    if not cell.state & DIRTY:
        cell.state |= DIRTY
        book[BOOK_HEAD + n_cells + book[N_DIRTY]] = at
        book[N_DIRTY] += 1


WIDE = 1024  # symbols whose cells no longer fit the nearest cache: their memory is asked for some prints ahead
AHEAD = 8


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
        row = rows[i]
        if is_wide and i + AHEAD < len(rows):
            coming = rows[i + AHEAD]
            if 0 <= coming.symbol_id < n_symbols:
                prefetch(heads, np.int64(coming.symbol_id))
                prefetch(cells, ((coming.ts_event // NS_PER_MIN) & (ring - 1)) * n_symbols + coming.symbol_id)
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


# Where the builder's arrays are, by address: one integer crosses from Python instead of six arrays (60 ns each).
N_SYMBOLS, N_CELLS, N_BOOK, N_SESSIONS, N_SPILL, LATE_NS, RING, HEADS, CELLS, BOOK, HELD, SESSIONS, SPILL, WHERE = range(14)
MAKE_ROOM, CHANGED = -1, -2
ADD_ONE = (int64, int64, int64, float64, float64, int64, int64)
_ints, _floats, _heads = _view_of(np.dtype(np.int64)), _view_of(np.dtype(np.float64)), _view_of(HEAD_DTYPE)
_cells, _sessions, _bars = _view_of(CELL_DTYPE), _view_of(SESSION_DTYPE), _view_of(BAR_DTYPE)


@njit(cache=True, error_model="numpy", _nrt=False)  # keeps the interpreter's lock: giving it up costs more than the work
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
        at = book[base + d]
        cell = cells[at]
        if cell.state & DIRTY:
            cell.revision += 1 if cell.state & PUBLISHED else 0
            cell.state = CLOSED | PUBLISHED
            fill_row(out[n], cell, at % n_symbols, 0)
            n += 1
    book[N_DIRTY] = 0
    return n


@kernel
def close_due(cells: Any, n_symbols: int, book: Any, held: Any, due_ns: int, out: Any) -> int:
    """Close every open cell that ended at or before `due_ns`; write those with a price to `out`; return how many."""
    n = kept = 0
    oldest = NEVER
    for o in range(book[N_OPEN]):
        at = book[BOOK_HEAD + o]
        cell = cells[at]
        if cell.minute + NS_PER_MIN > due_ns:
            book[BOOK_HEAD + kept] = at
            kept += 1
            oldest = min(oldest, cell.minute)
        elif cell.has:
            cell.state = CLOSED | PUBLISHED
            fill_row(out[n], cell, at % n_symbols, 0)
            n += 1
        else:
            cell.state = CLOSED
            held[0] += cell.v + cell.v_err
    book[N_OPEN] = kept
    book[OLDEST] = oldest
    return n


@kernel
def open_rows(cells: Any, n_symbols: int, symbol_id: int, out: Any) -> int:
    """Write the open, priced minutes of a symbol as partial bars, oldest first; return how many."""
    n = 0
    for at in range(symbol_id, len(cells), n_symbols):
        cell = cells[at]
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
    for at in range(symbol_id, len(cells), n_symbols):
        clear_cell(cells[at], 0)
        cells[at].state = 0
    kept = 0
    for o in range(book[N_OPEN]):
        at = book[BOOK_HEAD + o]
        if at % n_symbols != symbol_id:
            book[BOOK_HEAD + kept] = at
            kept += 1
    book[N_OPEN] = kept
    heads[symbol_id].newest = 0
    heads[symbol_id].bucket = 0
    heads[symbol_id].n = 0
    for d in range(book[N_DIRTY] - 1, -1, -1):
        at = book[BOOK_HEAD + len(cells) + d]
        if at % n_symbols == symbol_id:
            drop_dirty(at, book, len(cells))


# -- batch: one symbol, sorted columns ------------------------------------------------------------------------------------------

CHUNK = 1024
SUMS_SHAPE = (N_SUMS, WIDTH)
N_ROWS, N_BAD, UNSORTED, TALLY = 0, 1, 2, 4


@kernel
def is_ordered(ts: Any, sequence: Any, i: int, j: int) -> bool:
    """Return whether prints i..j are in order of (ts, sequence). Only signs matter, so that LLVM can do it in vectors."""
    signs = 0
    if len(sequence) == 0:
        for k in range(i, j):
            signs |= ts[k + 1] - ts[k]
    else:
        for k in range(i, j):
            step = ts[k + 1] - ts[k]
            signs |= step | ((step - 1) & (sequence[k + 1] - sequence[k]))
    return signs >= 0


@kernel
def run_end(ts: Any, i: int, limit: int, guess: int) -> int:
    """Return the first index after `i` whose stamp reaches `limit`, looking near `i + guess` first."""
    n = len(ts)
    low, step = i, max(guess, 1)
    high = min(i + step, n)
    while high < n and ts[high] < limit:
        low = high
        step *= 2
        high = min(high + step, n)
    while low + 1 < high:
        mid = (low + high) >> 1
        if ts[mid] < limit:
            low = mid
        else:
            high = mid
    return high


@kernel
def load_rules(conditions: Any, mask: Any, table: Any, i: int, j: int, rules: Any) -> None:
    """Write what prints i..j-1 may not do to `rules`."""
    width = conditions.shape[1]
    if len(mask):
        for k in range(i, j):
            rules[k - i] = ~mask[k] & 7
    elif width == 0:
        for k in range(i, j):
            rules[k - i] = 0
    else:
        for k in range(i, j):
            rule = table[np.uint16(conditions[k, 0])]
            for c in range(1, width):
                rule |= table[np.uint16(conditions[k, c])]
            rules[k - i] = rule


@kernel
def reject_bad(price: Any, size: Any, i: int, j: int, rules: Any, rejected: Any, tally: Any) -> None:
    """Note the prints of i..j-1 that can't be taken and make their rule forbid everything."""
    for k in range(i, j):
        code = OK
        if not (price[k] > 0.0 and price[k] < np.inf):
            code = BAD_PRICE
        elif not (size[k] >= 0.0 and size[k] < np.inf):
            code = BAD_SIZE
        elif rules[k - i] & UNKNOWN:
            code = UNKNOWN_CONDITION
        if code != OK:
            rules[k - i] = FORBIDDEN
            rejected[tally[N_BAD]] = k << 8 | code
            tally[N_BAD] += 1


@kernel
def add_single(price: float, size: float, rule: int, sums: Any) -> None:
    """Add one print to the first lane; the arithmetic of `lanes.sum_lanes`."""
    if not rule & NO_HL:
        sums[0, 0] = max(sums[0, 0], price)
        sums[1, 0] = max(sums[1, 0], -price)
    if rule & NO_VOLUME:
        return
    x = size * price
    x_err = fma(size, price, -x)
    y = x * price
    y_err = fma(x, price, -y) + x_err * price
    sums[2, 0], sums[3, 0] = plus(sums[2, 0], sums[3, 0], size, 0.0)
    sums[4, 0], sums[5, 0] = plus(sums[4, 0], sums[5, 0], x, x_err)
    sums[6, 0], sums[7, 0] = plus(sums[6, 0], sums[7, 0], y, y_err)
    sums[8, 0] += 1.0


@kernel
def add_chunk(price: Any, size: Any, i: int, j: int, rules: Any, sums: Any, rejected: Any, tally: Any) -> None:
    """Add prints i..j-1 to the lanes of `sums`; those that can't be taken are noted, and their rule made to forbid everything."""
    whole = (j - i) // WIDTH
    done = whole * WIDTH
    if sum_lanes(price, size, rules, sums, i, whole):
        done = 0
    reject_bad(price, size, i + done, j, rules[done:], rejected, tally)
    for k in range(i + done, j):
        if rules[k - i] != FORBIDDEN:
            add_single(price[k], size[k], rules[k - i], sums)


@kernel
def find_first(rules: Any, n: int, forbidden: int) -> int:
    """Return the first of `n` prints that may do it, or -1."""
    for k in range(n):
        if not rules[k] & forbidden:
            return k
    return -1


@kernel
def find_last(rules: Any, n: int, forbidden: int) -> int:
    """Return the last of `n` prints that may do it, or -1."""
    for k in range(n - 1, -1, -1):
        if not rules[k] & forbidden:
            return k
    return -1


@kernel
def build_minute(
    price: Any, size: Any, conditions: Any, mask: Any, table: Any, i: int, j: int, minute: int,
    rules: Any, sums: Any, held: Any, rejected: Any, tally: Any, out: Any,
) -> None:  # fmt: skip
    """Turn the ordered prints i..j-1 of one minute into a bar, when one of them sets a price."""
    sums[:2] = -np.inf
    sums[2:] = 0.0
    first_oc = last_oc = first_hl = last_hl = -1
    for a in range(i, j, CHUNK):
        b = min(a + CHUNK, j)
        load_rules(conditions, mask, table, a, b, rules)
        add_chunk(price, size, a, b, rules, sums, rejected, tally)
        if first_oc < 0:
            k = find_first(rules, b - a, NO_OC)
            first_oc = a + k if k >= 0 else -1
        k = find_last(rules, b - a, NO_OC)
        last_oc = a + k if k >= 0 else last_oc
        if first_oc < 0:
            k = find_first(rules, b - a, NO_HL)
            first_hl = a + k if k >= 0 and first_hl < 0 else first_hl
            k = find_last(rules, b - a, NO_HL)
            last_hl = a + k if k >= 0 else last_hl
    high, low = -np.inf, -np.inf
    v, v_err, vp, vp_err, vpp, vpp_err = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    n = 0.0
    for lane in range(WIDTH):
        n += sums[8, lane]
        high, low = max(high, sums[0, lane]), max(low, sums[1, lane])
        v, v_err = plus(v, v_err, sums[2, lane], sums[3, lane])
        vp, vp_err = plus(vp, vp_err, sums[4, lane], sums[5, lane])
        vpp, vpp_err = plus(vpp, vpp_err, sums[6, lane], sums[7, lane])
    first, last = (first_oc, last_oc) if first_oc >= 0 else (first_hl, last_hl)
    if first < 0:
        held[0] += v + v_err
        return
    row = out[tally[N_ROWS]]
    tally[N_ROWS] += 1
    row.ts_open = minute
    row.ts_close = minute + NS_PER_MIN
    row.open = price[first]
    row.close = price[last]
    row.high = max(high, row.open, row.close)
    row.low = min(-low, row.open, row.close)
    row.volume = v + v_err
    row.vwap, row.vw_std = moments(v, v_err, vp, vp_err, vpp, vpp_err)
    row.n_trades = n
    row.seq = 0
    row.revision = 0
    row.source = TRADES
    row.is_partial = 0
    row.is_complete = 1
    row.spare = 0


@kernel
def build(
    ts: Any, price: Any, size: Any, sequence: Any, conditions: Any, mask: Any, tables: Any, sessions: Any,
    out: Any, held: Any, rejected: Any, tally: Any, rules: Any, sums: Any,
) -> None:  # fmt: skip
    """Turn one symbol's prints, ordered by (ts, sequence), into minutes; stop with tally[UNSORTED] at the first disorder."""
    n = len(ts)
    guess = 64
    i = 0
    while i < n:
        s = find_session(sessions, ts[i])
        if s < 0:
            if i + 1 < n and not is_ordered(ts, sequence, i, i + 1):
                tally[UNSORTED] = 1
                return
            rejected[tally[N_BAD]] = i << 8 | NO_SESSION
            tally[N_BAD] += 1
            i += 1
            continue
        while i < n and ts[i] < sessions[s].post_close:
            minute = ts[i] // NS_PER_MIN * NS_PER_MIN
            j = run_end(ts, i, minute + NS_PER_MIN, guess)
            if not is_ordered(ts, sequence, i, min(j, n - 1)):
                tally[UNSORTED] = 1
                return
            in_regular = sessions[s].open <= ts[i] < sessions[s].close
            table = tables[0 if in_regular else 1]
            build_minute(price, size, conditions, mask, table, i, j, minute, rules, sums, held, rejected, tally, out)
            guess = j - i
            i = j


# -- roll-ups: bars into longer bars --------------------------------------------------------------------------------------------

# How a timeframe is cut: from the start of each segment; from 04:00 across segments; by 04:00-anchored clock inside segments;
# a regular session; a week of regular sessions.
BY_SEGMENT, BY_DAY, BY_CLOCK, DAILY, WEEKLY = 0, 1, 2, 3, 4
KIND, LENGTH, PARENT, PLAN_WIDTH = 0, 1, 2, 3

# From the most to the least trusted origin, by BarSource: a rolled bar is named after its least trusted part.
_DISTRUST = np.array([9, 2, 1, 3, 4, 5], np.uint8)  # UNKNOWN TRADES PROVIDER REST FILE SIMULATED

# One bar being put together. `a`, `b`: Σ v·(vwap - ref) and Σ v·((vwap - ref)² + vw_std²), ref = the first part's vwap.
SUM_DTYPE = np.dtype(
    [
        ("ts_open", "i8"),
        ("ts_close", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("n_trades", "f8"),
        ("ref", "f8"),
        ("a", "f8"),
        ("b", "f8"),
        ("parts", "i8"),
        ("source", "u1"),
        ("is_partial", "u1"),
        ("is_complete", "u1"),
        ("spare", "u1"),
    ]
)


@kernel
def bucket_of(sessions: Any, s: int, ts: int, kind: int, length: int) -> tuple[int, int]:
    """Return (open, close) of the bucket of session `s` that `ts` falls into; (0, 0) when this kind has none there."""
    row = sessions[s]
    if kind >= DAILY:
        if ts < row.open or ts >= row.close:
            return 0, 0
        return (row.open, row.close) if kind == DAILY else week_of(sessions, s)
    start, end = row.pre_open, row.open
    if ts >= row.close:
        start, end = row.close, row.post_close
    elif ts >= row.open:
        start, end = row.open, row.close
    if kind == BY_SEGMENT:
        opens = start + (ts - start) // length * length
        return opens, min(opens + length, end)
    opens = row.pre_open + (ts - row.pre_open) // length * length
    if kind == BY_DAY:
        return opens, min(opens + length, row.post_close)
    return max(opens, start), min(opens + length, end)


@kernel
def segment_end(sessions: Any, s: int, ts: int) -> int:
    """Return where the segment of session `s` that holds `ts` ends."""
    row = sessions[s]
    if ts < row.open:
        return row.open
    return row.close if ts < row.close else row.post_close


@kernel
def week_of(sessions: Any, s: int) -> tuple[int, int]:
    """Return the first regular open and the last regular close of the Monday-to-Sunday week of session `s`."""
    week = (sessions[s].date + 3) // 7
    first = last = s
    while first > 0 and (sessions[first - 1].date + 3) // 7 == week:
        first -= 1
    while last + 1 < len(sessions) and (sessions[last + 1].date + 3) // 7 == week:
        last += 1
    return sessions[first].open, sessions[last].close


@kernel
def spread(volume: float, ref: float, a: float, b: float) -> tuple[float, float]:
    """Return (vwap, vw_std) of a rolled bar; NaN without volume or when a part was unknown."""
    if not volume > 0.0:
        return np.nan, np.nan
    share = 1.0 / volume
    mean = a * share
    variance = b * share - mean * mean
    return ref + mean, np.sqrt(variance) if not variance <= 0.0 else 0.0


@kernel
def begin_sum(total: Any, row: Any, opens: int, closes: int) -> None:
    """Begin a bar with its first part."""
    total.ts_open, total.ts_close = opens, closes
    total.open, total.high, total.low, total.close = row.open, row.high, row.low, row.close
    total.volume = total.ref = total.a = total.b = total.n_trades = 0.0
    total.parts = 0
    total.source = row.source
    total.is_partial, total.is_complete = 0, 1
    add_part(total, row)


@kernel
def add_part(total: Any, row: Any) -> None:
    """Add the next part, in time order, to a bar being put together."""
    total.high = max(total.high, row.high)
    total.low = min(total.low, row.low)
    total.close = row.close
    total.n_trades += row.n_trades
    v = row.volume
    if v > 0.0:
        if total.volume == 0.0:
            total.ref = row.vwap
        d = row.vwap - total.ref
        total.a += v * d
        total.b += v * (d * d + row.vw_std * row.vw_std)
        total.volume += v
    total.parts += 1
    if row.source != total.source and worse(row.source, total.source):
        total.source = row.source
    total.is_partial |= row.is_partial
    total.is_complete &= row.is_complete


@kernel
def worse(a: int, b: int) -> bool:
    """Return whether origin `a` is trusted less than `b`."""
    return (_DISTRUST[a] if a < len(_DISTRUST) else 9) > (_DISTRUST[b] if b < len(_DISTRUST) else 9)


@kernel
def sum_row(out: Any, total: Any) -> None:
    """Write a bar put together as a BAR_DTYPE row."""
    out.ts_open, out.ts_close = total.ts_open, total.ts_close
    out.open, out.high, out.low, out.close = total.open, total.high, total.low, total.close
    out.volume, out.n_trades = total.volume, total.n_trades
    out.vwap, out.vw_std = spread(total.volume, total.ref, total.a, total.b)
    out.seq = 0
    out.revision = 0
    out.source = total.source
    out.is_partial, out.is_complete, out.spare = total.is_partial, total.is_complete, 0


FIRST, END, NOW = 0, 1, 2  # columns of `places`


@kernel
def roll_all(rows: Any, sessions: Any, plan: Any, places: Any, out: Any) -> int:
    """Roll 1-minute BAR_DTYPE rows, in time order, up to every timeframe of `plan`; rows in no session are left out.

    `places`, int64 shape (n, 3): where in `out` the bars of each timeframe begin, where they end so far, and where those of the
    present session begin. All timeframes are made session by session, so that rows are read from memory once. Return the first row
    that is out of order, or -1.
    """
    n = len(rows)
    i = s = 0
    while i < n:
        s = find_near(sessions, s, rows[i].ts_open)
        j = i + 1
        if s < 0:
            s = 0
        else:
            end = sessions[s].post_close
            while j < n and rows[j].ts_open < end:
                if rows[j].ts_open <= rows[j - 1].ts_open:
                    return j
                j += 1
            for t in range(len(plan)):
                if plan[t, KIND] != WEEKLY:
                    roll_session(rows, i, j, sessions, s, plan, t, places, out)
        if j < n and rows[j].ts_open <= rows[j - 1].ts_open:
            return j
        i = j
    for t in range(len(plan)):
        if plan[t, KIND] == WEEKLY:
            roll_weeks(sessions, plan[t, PARENT], t, places, out)
    return -1


@kernel
def roll_session(rows: Any, i: int, j: int, sessions: Any, s: int, plan: Any, t: int, places: Any, out: Any) -> None:
    """Make one timeframe's bars of session `s`: from rows i..j-1, or from the bars its parent has made of them."""
    made = places[t, END]
    places[t, NOW] = made
    kind, length, parent = plan[t, KIND], plan[t, LENGTH], plan[t, PARENT]
    source = rows
    if parent >= 0:
        source, i, j = out, places[parent, NOW], places[parent, END]
    closes = end = np.int64(0)
    while i < j:
        ts = source[i].ts_open
        if kind == BY_SEGMENT and closes <= ts < min(closes + length, end):  # the next bucket of the same segment: no division
            opens, closes = closes, min(closes + length, end)
        else:
            opens, closes = bucket_of(sessions, s, ts, kind, length)
            end = segment_end(sessions, s, ts)
        if closes == 0:
            i += 1
            continue
        i = roll_bucket(source, i, j, opens, closes, out[made])
        made += 1
    places[t, END] = made


@kernel
def roll_bucket(rows: Any, i: int, j: int, opens: int, closes: int, out: Any) -> int:
    """Put the rows from `i` (before `j`) that open before `closes` into one bar; return the index after them. Arithmetic of `add_part`."""
    row = rows[i]
    high, low, close, source = row.high, row.low, row.close, row.source
    volume = ref = a = b = n_trades = 0.0
    partial, complete = row.is_partial, row.is_complete
    out.open = row.open
    while i < j and rows[i].ts_open < closes:
        row = rows[i]
        i += 1
        high = max(high, row.high)
        low = min(low, row.low)
        close = row.close
        n_trades += row.n_trades
        v = row.volume
        if v > 0.0:
            if volume == 0.0:
                ref = row.vwap
            d = row.vwap - ref
            a += v * d
            b += v * (d * d + row.vw_std * row.vw_std)
            volume += v
        if row.source != source and worse(row.source, source):
            source = row.source
        partial |= row.is_partial
        complete &= row.is_complete
    out.ts_open, out.ts_close = opens, closes
    out.high, out.low, out.close = high, low, close
    out.volume, out.n_trades = volume, n_trades
    vwap, std = spread(volume, ref, a, b)
    out.vwap, out.vw_std = vwap, std
    out.seq = 0
    out.revision = 0
    out.source = source
    out.is_partial, out.is_complete, out.spare = partial, complete, 0
    return i


@kernel
def roll_weeks(sessions: Any, parent: int, t: int, places: Any, out: Any) -> None:
    """Put daily bars into weeks."""
    i, end = places[parent, FIRST], places[parent, END]
    while i < end:
        opens, closes = week_of(sessions, find_session(sessions, out[i].ts_open))
        i = roll_bucket(out, i, end, opens, closes, out[places[t, END]])
        places[t, END] += 1


# Places in the roller's `state`.
LAST_TS, ROLL_SESSION, N_OUT, STATE_WIDTH = 0, 1, 2, 4
MAX_PARTS = 16


@kernel
def settle(total: Any, t: int, parent: Any, closed: Any, n_closed: Any, out: Any, frames: Any, state: Any) -> None:
    """Write a finished bar to `out` and to the list that feeds the timeframes made from this one."""
    sum_row(closed[t, n_closed[t]], total)
    out[state[N_OUT]] = closed[t, n_closed[t]]
    frames[state[N_OUT]] = t
    state[N_OUT] += 1
    n_closed[t] += 1
    total.parts = 0


@kernel
def roll_live(
    rows: Any, start: int, totals: Any, plan: Any, sessions: Any, state: Any, closed: Any, n_closed: Any, out: Any, frames: Any
) -> int:
    """Feed closed 1-minute bars from `start`, in time order, to every timeframe; finished bars go to `out`, their timeframe to `frames`.

    Return how far it came: short of the end when `out` is nearly full, or when a row is not newer than the last one.
    """
    for i in range(start, len(rows)):
        row = rows[i]
        ts = row.ts_open
        if ts <= state[LAST_TS] or state[N_OUT] + len(plan) * MAX_PARTS > len(out):
            return i
        state[LAST_TS] = ts
        s = state[ROLL_SESSION]
        if ts < sessions[s].pre_open or ts >= sessions[s].post_close:
            s = find_session(sessions, ts)
            if s < 0:
                continue
            state[ROLL_SESSION] = s
        for t in range(len(plan)):
            n_closed[t] = 0
            if plan[t, PARENT] < 0:
                feed(t, row, s, totals, plan, sessions, state, closed, n_closed, out, frames)
            else:
                parent = plan[t, PARENT]
                for k in range(n_closed[parent]):
                    part = closed[parent, k]
                    feed(t, part, find_near(sessions, s, part.ts_open), totals, plan, sessions, state, closed, n_closed, out, frames)
            if totals[t].parts and totals[t].ts_close <= ts:
                settle(totals[t], t, totals, closed, n_closed, out, frames, state)
    return len(rows)


@kernel
def find_near(sessions: Any, s: int, ts: int) -> int:
    """Return the session of `ts`, trying `s` first."""
    return s if sessions[s].pre_open <= ts < sessions[s].post_close else find_session(sessions, ts)


@kernel
def feed(
    t: int, row: Any, s: int, totals: Any, plan: Any, sessions: Any, state: Any, closed: Any, n_closed: Any, out: Any, frames: Any
) -> None:
    """Give one part to timeframe `t`; settle what it finishes."""
    total = totals[t]
    if total.parts and row.ts_open >= total.ts_close:
        settle(total, t, totals, closed, n_closed, out, frames, state)
    if total.parts:
        if plan[t, KIND] < DAILY or sessions[s].open <= row.ts_open < sessions[s].close:
            add_part(total, row)
    else:
        opens, closes = bucket_of(sessions, s, row.ts_open, plan[t, KIND], plan[t, LENGTH])
        if closes == 0:
            return
        begin_sum(total, row, opens, closes)
    if total.parts and row.ts_close >= total.ts_close:
        settle(total, t, totals, closed, n_closed, out, frames, state)


@kernel
def roll_until(now_ns: int, totals: Any, plan: Any, sessions: Any, state: Any, closed: Any, n_closed: Any, out: Any, frames: Any) -> None:
    """Finish every bar whose bucket ended at or before `now_ns`."""
    for t in range(len(plan)):
        n_closed[t] = 0
        parent = plan[t, PARENT]
        if parent >= 0:
            for k in range(n_closed[parent]):
                part = closed[parent, k]
                s = find_session(sessions, part.ts_open)
                feed(t, part, s, totals, plan, sessions, state, closed, n_closed, out, frames)
        if totals[t].parts and totals[t].ts_close <= now_ns:
            settle(totals[t], t, totals, closed, n_closed, out, frames, state)


@kernel
def roll_partials(rows: Any, totals: Any, plan: Any, sessions: Any, scratch: Any, partials: Any, n_partials: Any) -> None:
    """Write the forming bars of every timeframe, up to two, oldest first: what is summed up plus the open 1-minute bars `rows`."""
    for t in range(len(plan)):
        n_partials[t] = 0
        scratch[0] = totals[t]
        total = scratch[0]
        parent = plan[t, PARENT]
        n_parts = len(rows) if parent < 0 else n_partials[parent]
        for k in range(n_parts):
            row = rows[k] if parent < 0 else partials[parent, k]
            s = find_session(sessions, row.ts_open)
            if s < 0:
                continue
            opens, closes = bucket_of(sessions, s, row.ts_open, plan[t, KIND], plan[t, LENGTH])
            if closes == 0 or (total.parts and opens < total.ts_open):
                continue
            if total.parts and opens > total.ts_open:
                put_partial(total, t, partials, n_partials)
            if total.parts:
                add_part(total, row)
            else:
                begin_sum(total, row, opens, closes)
        if total.parts:
            put_partial(total, t, partials, n_partials)


@kernel
def put_partial(total: Any, t: int, partials: Any, n_partials: Any) -> None:
    """Append a forming bar to those of timeframe `t`, of which the newest two are kept."""
    if n_partials[t] == 2:
        partials[t, 0] = partials[t, 1]
        n_partials[t] = 1
    sum_row(partials[t, n_partials[t]], total)
    partials[t, n_partials[t]].is_partial = 1
    n_partials[t] += 1
    total.parts = 0
