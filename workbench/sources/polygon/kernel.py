"""The compiled scanner behind `scan.py`: bytes of a frame in, rows out.

The bytes end in ']' followed by sixteen zeros, so eight bytes can be loaded anywhere and no digit or text runs past
the end (a zero is neither). Keys, digits and symbols are read eight bytes at a time. The kernel raises nothing: `counts` tells
how many rows of each kind, how many odd elements, where it stopped and why. Arrays come in as addresses: numba counts references
to arrays at every call inside, which cost more than half of the time.

Floor 2. Imports numba, so it is imported only by `FrameReader.warm`. Eight digits at once: D. Lemire, "Quickly parsing eight
digits", 2018; plain decimals exactly: W. Clinger, "How to read floating point numbers accurately", PLDI 1990.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from workbench.types import BAR_DTYPE, MAX_CONDITIONS, MAX_ID_BYTES, QUOTE_DTYPE, TRADE_DTYPE, BarSource

SLOT_BYTES = 40  # four words of a symbol and its id, see `scan.SLOT_DTYPE`

EXACT = 2**53  # whole numbers up to here are exact as floats, so dividing one by 10**k, k <= 22, rounds correctly
NAN = np.nan

QUOTE_MARK, BACKSLASH, COMMA, COLON, SPACE, DOT, ZERO = 34, 92, 44, 58, 32, 46, 48
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, SMALL_E, BIG_E = 123, 125, 91, 93, 101, 69


def _letters(text: str) -> np.uint64:
    """Return a key as the number that its bytes make, little-endian."""
    return np.uint64(int.from_bytes(text.encode(), "little"))


K_EV, K_SYM = _letters("ev"), _letters("sym")
K_P, K_S, K_T, K_X, K_I, K_Z, K_C, K_Q, K_DS = (_letters(text) for text in ("p", "s", "t", "x", "i", "z", "c", "q", "ds"))
K_BP, K_AP, K_BS, K_AS, K_BX = (_letters(text) for text in ("bp", "ap", "bs", "as", "bx"))
K_O, K_H, K_L, K_V, K_VW, K_DV = (_letters(text) for text in ("o", "h", "l", "v", "vw", "dv"))
KIND_T, KIND_Q, KIND_AM = _letters("T"), _letters("Q"), _letters("AM")


def _places(dtype: np.dtype, *names: str) -> tuple[int, ...]:
    """Return where these fields stand in a row [bytes]."""
    return tuple(int(dtype.fields[name][1]) for name in names) if dtype.fields else ()


T_EVENT, T_RECV, T_PRICE, T_SIZE, T_SEQUENCE = _places(TRADE_DTYPE, "ts_event", "ts_recv", "price", "size", "sequence")
T_SYMBOL, T_EXCHANGE, T_TAPE = _places(TRADE_DTYPE, "symbol_id", "exchange", "tape")
T_COUNT, T_CONDITIONS, T_ID = _places(TRADE_DTYPE, "n_conditions", "conditions", "id")
Q_EVENT, Q_RECV, Q_BID, Q_ASK, Q_BID_SIZE, Q_ASK_SIZE = _places(QUOTE_DTYPE, "ts_event", "ts_recv", "bid", "ask", "bid_size", "ask_size")
Q_SEQUENCE, Q_SYMBOL, Q_CONDITION, Q_EXCHANGE = _places(QUOTE_DTYPE, "sequence", "symbol_id", "condition", "exchange")
B_OPENS, B_CLOSES, B_OPEN, B_HIGH, B_LOW, B_CLOSE = _places(BAR_DTYPE, "ts_open", "ts_close", "open", "high", "low", "close")
B_VOLUME, B_VWAP, B_STD, B_TRADES, B_SEQ, B_REVISION = _places(BAR_DTYPE, "volume", "vwap", "vw_std", "n_trades", "seq", "revision")
B_SOURCE, B_PARTIAL, B_COMPLETE, B_SPARE = _places(BAR_DTYPE, "source", "is_partial", "is_complete", "spare")
TRADE_BYTES, QUOTE_BYTES, BAR_BYTES = TRADE_DTYPE.itemsize, QUOTE_DTYPE.itemsize, BAR_DTYPE.itemsize

NEED_TRADE, NEED_QUOTE, NEED_BAR = 0b1111, 0b11, 0b111111
DONE, FULL, BROKEN = 0, 1, 2
PROVIDER = int(BarSource.PROVIDER)
NS_PER_MIN = 60_000_000_000
INT16_MAX, INT8_MAX = 32_767, 127

ZEROS = np.uint64(0x3030303030303030)
ABOVE_NINE = np.uint64(0x7676767676767676)
TOPS = np.uint64(0x8080808080808080)
ONES = np.uint64(0x0101010101010101)
MARKS = np.uint64(0x2222222222222222)
PAIRS = np.uint64(0x000000FF000000FF)
MUL_1 = np.uint64(0x000F424000000064)
MUL_2 = np.uint64(0x0000271000000001)
BYTE = np.uint64(0xFF)
U0, U1, U3, U8, U10, U16, U32, U40, U64 = (np.uint64(k) for k in (0, 1, 3, 8, 10, 16, 32, 40, 64))
TO_BYTES = ~np.uint64(7)
MARK_U, COLON_U = np.uint64(QUOTE_MARK), np.uint64(COLON)
HASH_MUL = np.uint64(0x9E3779B97F4A7C15)
NO_KEY = U0


def _loader(bits: int, numba_type: Any) -> Any:
    """Return an intrinsic that reads `bits` bits at an address (little-endian, aligned or not), zero-extended."""

    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = builder.load(builder.inttoptr(args[0], ir.IntType(bits).as_pointer()))
            word.align = 1
            return word if bits == 64 else builder.zext(word, ir.IntType(64))

        return numba_type(types.int64), code

    return load


def _storer(bits: int) -> Any:
    """Return an intrinsic that writes the low `bits` bits of a whole number at an address."""

    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = builder.trunc(args[1], ir.IntType(bits)) if bits < 64 else args[1]
            builder.store(word, builder.inttoptr(args[0], ir.IntType(bits).as_pointer())).align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), code

    return store


@intrinsic
def _put_f8(typing_context: Any, address: Any, value: Any) -> Any:
    """Write a float64 at an address."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], ir.DoubleType().as_pointer())).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.float64), code


_byte, _load8 = _loader(8, types.int64), _loader(64, types.uint64)
_put_i1, _put_i2, _put_i4, _put_i8 = (_storer(bits) for bits in (8, 16, 32, 64))


@intrinsic
def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    """Return the number of zero bits below the lowest set bit; 64 for zero."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), code


# The compiled part. Positions are addresses; 0 instead of a position means "odd, leave it to wire.py".


@njit(cache=True, nogil=True, forceinline=True)
def _digits(word):
    """Return how many of the eight bytes, from the first on, are digits (0-8), times eight."""
    shifted = word ^ ZEROS
    above = ((shifted + ABOVE_NINE) | shifted) & TOPS
    return _trailing_zeros(above) & TO_BYTES


@njit(cache=True, nogil=True, forceinline=True)
def _eight(word, bits):
    """Return the value of the first `bits`/8 digits of `word`, bits > 0."""
    t = (word ^ ZEROS) << (U64 - bits)
    t = t * U10 + (t >> U8)
    return np.int64((((t & PAIRS) * MUL_1) + (((t >> U16) & PAIRS) * MUL_2)) >> U32)


@njit(cache=True, nogil=True, forceinline=True)
def _power(n):
    """Return 10**n, 0 <= n <= 8."""
    value = np.int64(1)
    if n & 1:
        value *= 10
    if n & 2:
        value *= 100
    if n & 4:
        value *= 10_000
    if n & 8:
        value *= 100_000_000
    return value


@njit(cache=True, nogil=True, forceinline=True)
def _run(p):
    """Return (value of the run of at most 16 digits at `p`, position after it)."""
    word = _load8(p)
    bits = _digits(word)
    if bits == U0:
        return np.int64(0), 0
    value = _eight(word, bits)
    if bits != U64:
        return value, p + np.int64(bits >> U3)
    word = _load8(p + 8)
    bits = _digits(word)
    if bits == U0:
        return value, p + 8
    n = np.int64(bits >> U3)
    if n == 8 and ZERO <= _byte(p + 16) <= ZERO + 9:
        return np.int64(0), 0
    return value * _power(n) + _eight(word, bits), p + 8 + n


@njit(cache=True, nogil=True, forceinline=True)
def _number(p):
    """Return (value, position after it) of a plain number that a float holds exactly."""
    start = p
    mantissa, p = _run(p)
    if p == 0 or (_byte(start) == ZERO and p - start > 1):
        return 0.0, 0
    byte = _byte(p)
    if byte == DOT:
        first = p + 1
        fraction, p = _run(first)
        scale = p - first
        if p == 0 or scale > 8 or mantissa > 9_000_000:
            return 0.0, 0
        byte = _byte(p)
        if byte == SMALL_E or byte == BIG_E:
            return 0.0, 0
        power = _power(scale)
        return np.float64(mantissa * power + fraction) / np.float64(power), p
    if byte == SMALL_E or byte == BIG_E or mantissa > EXACT:
        return 0.0, 0
    return np.float64(mantissa), p


@njit(cache=True, nogil=True, forceinline=True)
def _whole(p):
    """Return (value, position after it) of a plain whole number of at most 16 digits."""
    start = p
    value, p = _run(p)
    if p == 0 or (_byte(start) == ZERO and p - start > 1):
        return np.int64(0), 0
    byte = _byte(p)
    if byte == DOT or byte == SMALL_E or byte == BIG_E:
        return np.int64(0), 0
    return value, p


@njit(cache=True, nogil=True, forceinline=True)
def _small(p, largest):
    """Return (value, position after it) of a plain whole number up to `largest`."""
    value, p = _whole(p)
    return value, (p if value <= largest else 0)


@njit(cache=True, nogil=True, forceinline=True)
def _stamp(p):
    """Return (ns, position after it) of a stamp in ms or µs, told by magnitude as in `wire.to_ns`."""
    value, p = _whole(p)
    if 100_000_000_000 <= value < 9_223_000_000_000:
        return value * 1_000_000, p
    if 100_000_000_000_000 <= value < 9_223_000_000_000_000:
        return value * 1_000, p
    return np.int64(0), 0


@njit(cache=True, nogil=True, forceinline=True)
def _text_end(p):
    """Return the position of the closing quotation mark; 0 for anything but printable ASCII without escapes."""
    while True:
        byte = _byte(p)
        if byte == QUOTE_MARK:
            return p
        if byte == BACKSLASH or byte < SPACE or byte > 126:
            return 0
        p += 1


@njit(cache=True, nogil=True, forceinline=True)
def _mark(word):
    """Return the place of the first quotation mark among eight bytes, in bits; 64 when there is none."""
    zeroed = word ^ MARKS
    return _trailing_zeros((zeroed - ONES) & ~zeroed & TOPS) & TO_BYTES


@njit(cache=True, nogil=True, forceinline=True)
def _lowest(word, bits):
    """Return the lowest `bits` bits of a word, bits < 64."""
    return word & ((U1 << bits) - U1)


@njit(cache=True, nogil=True)
def _find(slots, mask, value, first, second, third, fourth):
    """Return the id of the symbol made of these four words, -1 when it is not known."""
    at = (value >> U40) & mask
    while True:
        slot = slots + np.int64(at) * SLOT_BYTES
        symbol_id = np.int64(_load8(slot + 32))
        if symbol_id < 0:
            return symbol_id
        if _load8(slot) == first and _load8(slot + 8) == second and _load8(slot + 16) == third and _load8(slot + 24) == fourth:
            return symbol_id
        at = (at + U1) & mask


@njit(cache=True, nogil=True)
def _long_symbol(p, slots, mask):
    """Return (id, position after the closing mark) of a symbol of 8 to 32 letters."""
    first = _load8(p)
    value = first * HASH_MUL
    second, third, fourth = U0, U0, U0
    for k in range(1, 5):
        p += 8
        word = _load8(p)
        bits = _mark(word)
        if bits == U64 and _byte(p) < SPACE:
            return np.int64(-1), 0
        if bits != U64:
            word = _lowest(word, bits)
        if bits != U0:
            if k == 4:
                return np.int64(-1), 0
            value = (value ^ (value >> U32) ^ word) * HASH_MUL
            if k == 1:
                second = word
            elif k == 2:
                third = word
            else:
                fourth = word
        if bits != U64:
            p += np.int64(bits >> U3) + 1
            symbol_id = _find(slots, mask, value, first, second, third, fourth)
            return symbol_id, (p if symbol_id >= 0 else 0)
    return np.int64(-1), 0


@njit(cache=True, nogil=True, forceinline=True)
def _symbol(p, slots, mask):
    """Return (id, position after the closing mark) of a known symbol in quotation marks."""
    if _byte(p) != QUOTE_MARK:
        return np.int64(-1), 0
    p += 1
    word = _load8(p)
    bits = _mark(word)
    if bits == U64:
        return _long_symbol(p, slots, mask)
    word = _lowest(word, bits)
    symbol_id = _find(slots, mask, word * HASH_MUL, word, U0, U0, U0)
    return symbol_id, (p + np.int64(bits >> U3) + 1 if symbol_id >= 0 else 0)


@njit(cache=True, nogil=True)
def _skip(p):
    """Return the position after a value nobody asked for: plain text, a plain number or a list of such numbers."""
    byte = _byte(p)
    if byte == QUOTE_MARK:
        p = _text_end(p + 1)
        return p + 1 if p else 0
    if byte != OPEN_LIST:
        return _number(p)[1]
    p += 1
    if _byte(p) == CLOSE_LIST:
        return p + 1
    while True:
        while _byte(p) == SPACE:
            p += 1
        p = _number(p)[1]
        if p == 0:
            return 0
        byte = _byte(p)
        p += 1
        if byte == CLOSE_LIST:
            return p
        if byte != COMMA:
            return 0


@njit(cache=True, nogil=True)
def _conditions(p, row):
    """Read a list of ids into the trade at `row`; return the position after it."""
    if _byte(p) != OPEN_LIST:
        return 0
    p += 1
    _put_i8(row + T_CONDITIONS, 0)
    _put_i4(row + T_CONDITIONS + 8, 0)
    _put_i1(row + T_COUNT, 0)
    if _byte(p) == CLOSE_LIST:
        return p + 1
    for count in range(MAX_CONDITIONS):
        while _byte(p) == SPACE:
            p += 1
        value, p = _small(p, INT16_MAX)
        if p == 0:
            return 0
        _put_i2(row + T_CONDITIONS + 2 * count, value)
        byte = _byte(p)
        p += 1
        if byte == CLOSE_LIST:
            _put_i1(row + T_COUNT, count + 1)
            return p
        if byte != COMMA:
            return 0
    return 0


@njit(cache=True, nogil=True)
def _trade_id(p, row):
    """Copy the text at `p` into the trade at `row`; return the position after it."""
    if _byte(p) != QUOTE_MARK:
        return 0
    start = p + 1
    p = _text_end(start)
    if p == 0 or p - start > MAX_ID_BYTES:
        return 0
    _clear_id(row)
    for k in range(p - start):
        _put_i1(row + T_ID + k, _byte(start + k))
    return p + 1


@njit(cache=True, nogil=True, forceinline=True)
def _clear_id(row):
    _put_i8(row + T_ID, 0)
    _put_i8(row + T_ID + 8, 0)
    _put_i4(row + T_ID + 16, 0)


@njit(cache=True, nogil=True, forceinline=True)
def _key(p):
    """Return (key as a number, see `_letters`; position of its value). NO_KEY for keys of six letters or more and anything odd."""
    word = _load8(p)
    bits = _mark(word >> U8)
    if (word & BYTE) != MARK_U or bits > U40 or bits == U0 or ((word >> (bits + U16)) & BYTE) != COLON_U:
        return NO_KEY, p
    p += np.int64(bits >> U3) + 3
    while _byte(p) == SPACE:
        p += 1
    return _lowest(word >> U8, bits), p


@njit(cache=True, nogil=True)
def _skip_pair(p, key):
    """Skip the value at `p` or, for NO_KEY, the whole pair that starts there; return the position after it."""
    if key == NO_KEY:
        if _byte(p) != QUOTE_MARK:
            return 0
        p = _text_end(p + 1)
        if p == 0 or _byte(p + 1) != COLON:
            return 0
        p += 2
        while _byte(p) == SPACE:
            p += 1
    elif not _is_plain(key):
        return 0
    return _skip(p)


@njit(cache=True, nogil=True)
def _is_plain(key):
    """Return whether a key of up to five bytes is printable ASCII without escapes."""
    while key != U0:
        byte = np.int64(key & BYTE)
        if byte == BACKSLASH or byte < SPACE or byte > 126:
            return False
        key >>= U8
    return True


@njit(cache=True, nogil=True, forceinline=True)
def _next_pair(p):
    """Return (position of the next pair, False), (position after the object, True) at its end, or position 0."""
    byte = _byte(p)
    while byte == SPACE:
        p += 1
        byte = _byte(p)
    if byte != COMMA:
        return (p + 1, True) if byte == CLOSE else (0, True)
    p += 1
    while _byte(p) == SPACE:
        p += 1
    return p, False


@njit(cache=True, nogil=True)
def _read_trade(p, ts_recv, slots, mask, row):
    """Fill the trade at `row` from the object whose kind was just read; return the position after it."""
    price, size, event, sequence = 0.0, 0.0, np.int64(0), np.int64(0)
    symbol_id, exchange, tape = np.int64(0), np.int64(0), np.int64(0)
    _put_i8(row + T_CONDITIONS, 0)
    _put_i4(row + T_CONDITIONS + 8, 0)
    _put_i1(row + T_COUNT, 0)
    _clear_id(row)
    seen = 0
    while True:
        p, ended = _next_pair(p)
        if ended:
            break
        key, p = _key(p)
        if key == K_P:
            price, p = _number(p)
            seen |= 1
        elif key == K_S:
            size, p = _number(p)
            seen |= 2
        elif key == K_T:
            event, p = _stamp(p)
            seen |= 4
        elif key == K_SYM:
            symbol_id, p = _symbol(p, slots, mask)
            seen |= 8
        elif key == K_C:
            p = _conditions(p, row)
        elif key == K_Q:
            sequence, p = _whole(p)
        elif key == K_X:
            exchange, p = _small(p, INT16_MAX)
        elif key == K_Z:
            tape, p = _small(p, INT8_MAX)
        elif key == K_I:
            p = _trade_id(p, row)
        elif key == K_DS or key == K_EV:
            return 0
        else:
            p = _skip_pair(p, key)
        if p == 0:
            return 0
    _put_i8(row + T_EVENT, event)
    _put_i8(row + T_RECV, ts_recv)
    _put_f8(row + T_PRICE, price)
    _put_f8(row + T_SIZE, size)
    _put_i8(row + T_SEQUENCE, sequence)
    _put_i4(row + T_SYMBOL, symbol_id)
    _put_i2(row + T_EXCHANGE, exchange)
    _put_i1(row + T_TAPE, tape)
    return p if seen == NEED_TRADE else 0


@njit(cache=True, nogil=True)
def _read_quote(p, ts_recv, slots, mask, row):
    """Fill the quote at `row` from the object whose kind was just read; return the position after it."""
    bid, ask, bid_size, ask_size = NAN, NAN, 0.0, 0.0
    event, sequence, symbol_id, condition, exchange = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    seen = 0
    while True:
        p, ended = _next_pair(p)
        if ended:
            break
        key, p = _key(p)
        if key == K_BP:
            bid, p = _number(p)
        elif key == K_AP:
            ask, p = _number(p)
        elif key == K_BS:
            bid_size, p = _number(p)
        elif key == K_AS:
            ask_size, p = _number(p)
        elif key == K_T:
            event, p = _stamp(p)
            seen |= 1
        elif key == K_SYM:
            symbol_id, p = _symbol(p, slots, mask)
            seen |= 2
        elif key == K_Q:
            sequence, p = _whole(p)
        elif key == K_C:
            condition, p = _small(p, INT16_MAX)
        elif key == K_BX:
            exchange, p = _small(p, INT16_MAX)
        elif key == K_EV:
            return 0
        else:
            p = _skip_pair(p, key)
        if p == 0:
            return 0
    _put_i8(row + Q_EVENT, event)
    _put_i8(row + Q_RECV, ts_recv)
    _put_f8(row + Q_BID, NAN if bid == 0.0 and bid_size == 0.0 else bid)
    _put_f8(row + Q_ASK, NAN if ask == 0.0 and ask_size == 0.0 else ask)
    _put_f8(row + Q_BID_SIZE, bid_size)
    _put_f8(row + Q_ASK_SIZE, ask_size)
    _put_i8(row + Q_SEQUENCE, sequence)
    _put_i4(row + Q_SYMBOL, symbol_id)
    _put_i2(row + Q_CONDITION, condition)
    _put_i2(row + Q_EXCHANGE, exchange)
    return p if seen == NEED_QUOTE else 0


@njit(cache=True, nogil=True)
def _read_bar(p, slots, mask, row, symbol_place):
    """Fill the bar at `row` and its symbol id from the object whose kind was just read; return the position after it."""
    opens, symbol_id = np.int64(0), np.int64(0)
    first, high, low, last, volume, vwap = 0.0, 0.0, 0.0, 0.0, 0.0, NAN
    seen = 0
    while True:
        p, ended = _next_pair(p)
        if ended:
            break
        key, p = _key(p)
        if key == K_V:
            volume, p = _number(p)
        elif key == K_VW:
            vwap, p = _number(p)
        elif key == K_O:
            first, p = _number(p)
            seen |= 1
        elif key == K_H:
            high, p = _number(p)
            seen |= 2
        elif key == K_L:
            low, p = _number(p)
            seen |= 4
        elif key == K_C:
            last, p = _number(p)
            seen |= 8
        elif key == K_S:
            opens, p = _stamp(p)
            seen |= 16
        elif key == K_SYM:
            symbol_id, p = _symbol(p, slots, mask)
            seen |= 32
        elif key == K_DV or key == K_EV:
            return 0
        else:
            p = _skip_pair(p, key)
        if p == 0:
            return 0
    _put_i8(row + B_OPENS, opens)
    _put_i8(row + B_CLOSES, opens + NS_PER_MIN)
    _put_f8(row + B_OPEN, first)
    _put_f8(row + B_HIGH, high)
    _put_f8(row + B_LOW, low)
    _put_f8(row + B_CLOSE, last)
    _put_f8(row + B_VOLUME, volume)
    _put_f8(row + B_VWAP, vwap)
    _put_f8(row + B_STD, NAN)
    _put_f8(row + B_TRADES, NAN)
    _put_i8(row + B_SEQ, 0)
    _put_i4(row + B_REVISION, 0)
    _put_i1(row + B_SOURCE, PROVIDER)
    _put_i1(row + B_PARTIAL, 0)
    _put_i1(row + B_COMPLETE, 1)
    _put_i1(row + B_SPARE, 0)
    _put_i4(symbol_place, symbol_id)
    return p if seen == NEED_BAR else 0


@njit(cache=True, nogil=True)
def _object_end(p, end):
    """Return the position after the object that opens at `p`; 0 when it never closes or another brace opens inside.

    Events are flat. A second brace means a quotation mark or brace was lost and the next event is being swallowed.
    """
    p += 1
    in_text = False
    while p < end:
        byte = _byte(p)
        if byte == OPEN:
            return 0
        if in_text and byte == BACKSLASH:
            p += 1
        elif byte == QUOTE_MARK:
            in_text = not in_text
        elif byte == CLOSE and not in_text:
            return p + 1
        p += 1
    return 0


@njit(cache=True, nogil=True, forceinline=True)
def _kind(p):
    """Return (kind as a number, position after it) of the object that opens at `p`; position 0 when its first key is not "ev"."""
    key, p = _key(p + 1)
    if key != K_EV or _byte(p) != QUOTE_MARK:
        return U0, 0
    word = _load8(p + 1)
    bits = _mark(word)
    if bits > U16:
        return U0, 0
    return _lowest(word, bits), p + 2 + np.int64(bits >> U3)


@njit(cache=True, nogil=True)
def scan_frame(start, at, n, ts_recv, slots, n_slots, trades, quotes, bars, bar_symbols, odd, capacity, counts):
    """Read the `n` bytes at address `start` (ending in ']', zeros after) from offset `at` on into the rows.

    `slots`, `trades`, `quotes`, `bars` (rows), `bar_symbols` (int32), `odd` (pairs of int64) and `counts` (int64) are addresses,
    all but the first and last of arrays `capacity` long. counts = (trades, quotes, bars, odd elements, offset where it stopped,
    DONE | FULL | BROKEN). FULL: call again from there. BROKEN: the structure makes no sense from there on; somebody slower has
    to look.
    """
    end = start + n
    p = start + at
    mask = np.uint64(n_slots - 1)
    n_trades, n_quotes, n_bars, n_odd = 0, 0, 0, 0
    state = DONE
    if at == 0:
        while _byte(p) == SPACE:
            p += 1
        if _byte(p) != OPEN_LIST:
            state = BROKEN
        elif p + 2 == end:
            p = end
        else:
            p += 1
    while state == DONE and p < end:
        while _byte(p) == SPACE:
            p += 1
        if _byte(p) != OPEN:
            state = BROKEN
            break
        if n_trades == capacity or n_quotes == capacity or n_bars == capacity or n_odd == capacity:
            state = FULL
            break
        element = p
        kind, p = _kind(p)
        if p:
            if kind == KIND_Q:
                p = _read_quote(p, ts_recv, slots, mask, quotes + n_quotes * QUOTE_BYTES)
                n_quotes += p != 0
            elif kind == KIND_T:
                p = _read_trade(p, ts_recv, slots, mask, trades + n_trades * TRADE_BYTES)
                n_trades += p != 0
            elif kind == KIND_AM:
                p = _read_bar(p, slots, mask, bars + n_bars * BAR_BYTES, bar_symbols + 4 * n_bars)
                n_bars += p != 0
            else:
                p = 0
        if p == 0:
            p = _object_end(element, end)
            if p == 0:
                p = element
                state = BROKEN
                break
            _put_i8(odd + 16 * n_odd, element - start)
            _put_i8(odd + 16 * n_odd + 8, p - start)
            n_odd += 1
        while _byte(p) == SPACE:
            p += 1
        if _byte(p) == COMMA:
            p += 1
        elif p == end - 1 and _byte(p) == CLOSE_LIST:
            p = end
        else:
            state = BROKEN
    _put_i8(counts, n_trades)
    _put_i8(counts + 8, n_quotes)
    _put_i8(counts + 16, n_bars)
    _put_i8(counts + 24, n_odd)
    _put_i8(counts + 32, p - start)
    _put_i8(counts + 40, state)
