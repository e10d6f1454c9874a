"""The inner loops of the batch path, written in LLVM vectors: eight prints at a time into eight lanes of sums.

`sum_whole` is for what nearly all prints are, whole shares at prices of one magnitude; `sum_lanes` for any. LLVM may not reorder
floating-point sums by itself, and the pair arithmetic of `kernels_base.py` would not survive the flag that lets it. So the lanes are
spelt out. LLVM splits the vectors where the machine's registers are narrower; results do not depend on it.

Floor 2: numba and llvmlite (which comes with it).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

WIDTH = 8
AHEAD = 4096  # bytes
SUMS = ("high", "low", "v", "v_err", "vp", "vp_err", "vpp", "vpp_err", "n")  # rows of the sums array; `low` is kept negated
N_SUMS = len(SUMS)

_F8 = ir.DoubleType()
_VECTOR = ir.VectorType(_F8, WIDTH)
_I8 = ir.IntType(64)
_WORDS = ir.VectorType(_I8, WIDTH)
_ALL_BYTES = 0x0101010101010101  # a bit of a rule may stand in any byte of its word
_UNKNOWN = 128 * _ALL_BYTES


def _floats(value: float) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * WIDTH)


def _words(value: int) -> ir.Constant:
    return ir.Constant(_WORDS, [value] * WIDTH)


class _Emit:
    """Vector arithmetic on one LLVM builder."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{WIDTH}f64")

    def vector(self, data: Any, at: Any, kind: ir.VectorType = _VECTOR) -> Any:
        """Return where eight elements of an array's data begin, as a pointer to a vector."""
        return self.b.bitcast(self.b.gep(data, [at]), kind.as_pointer())

    def ask(self, place: Any) -> None:
        """Ask for memory that is read some steps later; a machine's own foresight ends at each page."""
        byte, number = cgutils.voidptr_t, ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        call = cgutils.get_or_insert_function(self.b.module, kind, "llvm.prefetch.p0")
        ahead = self.b.gep(self.b.bitcast(place, byte), [ir.Constant(ir.IntType(64), AHEAD)])
        self.b.call(call, [ahead, number(0), number(3), number(1)])

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.b.call(self._fma, [a, b, c])

    def product(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Return (a·b, its rounding error)."""
        x = self.b.fmul(a, b)
        return x, self.fma(a, b, self.b.fneg(x))

    def add_pair(self, sums: dict[str, Any], name: str, x: Any, x_error: Any | None) -> None:
        """Add (x, x_error) to the pair kept under `name`; the arithmetic of `kernels_base.plus`."""
        b = self.b
        total, error = b.load(sums[name]), b.load(sums[f"{name}_err"])
        t = b.fadd(total, x)
        part = b.fsub(t, total)
        lost = b.fadd(b.fsub(total, b.fsub(t, part)), b.fsub(x, part))
        b.store(t, sums[name])
        b.store(b.fadd(error, lost if x_error is None else b.fadd(lost, x_error)), sums[f"{name}_err"])

    def add_above(self, sums: dict[str, Any], name: str, x: Any, x_error: Any) -> None:
        """Add x >= 0 to a sum that is larger than any x; what the sum has lost and what x had lost are kept apart."""
        b = self.b
        total = b.load(sums[name])
        t = b.fadd(total, x)
        b.store(t, sums[name])
        b.store(b.fadd(b.load(sums[f"{name}_lost"]), b.fsub(x, b.fsub(t, total))), sums[f"{name}_lost"])
        b.store(b.fadd(b.load(sums[f"{name}_err"]), x_error), sums[f"{name}_err"])

    def raise_to(self, place: Any, x: Any, relation: str = ">") -> None:
        """Keep the larger (or smaller) of what is at `place` and x."""
        held = self.b.load(place)
        self.b.store(self.b.select(self.b.fcmp_ordered(relation, x, held), x, held), place)

    def raise_word(self, place: Any, x: Any) -> None:
        """Keep the larger of two unsigned integers."""
        held = self.b.load(place)
        self.b.store(self.b.select(self.b.icmp_unsigned(">", x, held), x, held), place)

    def free(self, rule: Any, bit: int) -> Any:
        """Return which lanes may do what the bit forbids."""
        return self.b.icmp_unsigned("==", self.b.and_(rule, _words(bit * _ALL_BYTES)), _words(0))

    def any_of(self, flags: Any) -> Any:
        """Return whether a flag of a vector of them is set."""
        kind = ir.IntType(WIDTH)
        return self.b.icmp_unsigned("!=", self.b.bitcast(flags, kind), ir.Constant(kind, 0))

    def splat(self, x: Any) -> Any:
        """Return a vector of one number."""
        first = self.b.insert_element(ir.Constant(ir.VectorType(x.type, WIDTH), ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
        return self.b.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


@intrinsic
def sum_lanes(_context: Any, price: Any, size: Any, rules: Any, sums: Any, start: Any, count: Any) -> Any:
    """Add prints start .. start + 8·count - 1 to `sums`, float64 shape (9, 8), rows as SUMS; return 0.

    `rules` (int64, what a print may not do) begins with the rule of the print at `start`. When a price or size is not sound or a
    rule is unknown, nothing is added and the answer is not 0.
    """
    signature = types.int64(price, size, rules, sums, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        price, size, rules, sums = (make_array(t)(context, builder, a).data for t, a in zip(signature.args, args[:4], strict=False))
        start, count = args[4:]
        return _emit_loop(_Emit(builder), price, size, rules, sums, start, count)

    return signature, generate


def _emit_loop(emit: _Emit, price: Any, size: Any, rules: Any, sums: Any, start: Any, count: Any) -> Any:
    b = emit.b
    flags = ir.VectorType(ir.IntType(1), WIDTH)
    here = {name: cgutils.alloca_once(b, _VECTOR) for name in SUMS}
    sound = cgutils.alloca_once(b, flags)
    rows = {name: emit.vector(sums, ir.Constant(start.type, k * WIDTH)) for k, name in enumerate(SUMS)}
    for name in SUMS:
        b.store(b.load(rows[name], align=8), here[name])
    b.store(ir.Constant(flags, [1] * WIDTH), sound)
    with cgutils.for_range(b, count) as loop:
        offset = b.mul(loop.index, ir.Constant(start.type, WIDTH))
        at = b.add(start, offset)
        p = b.load(emit.vector(price, at), align=8)
        v = b.load(emit.vector(size, at), align=8)
        rule = b.load(emit.vector(rules, offset, _WORDS), align=8)
        _emit_step(emit, here, sound, p, v, rule)
    all_sound = b.bitcast(b.load(sound), ir.IntType(WIDTH))
    is_bad = b.icmp_unsigned("!=", all_sound, ir.Constant(ir.IntType(WIDTH), (1 << WIDTH) - 1))
    with b.if_then(b.not_(is_bad)):
        for name in SUMS:
            b.store(b.load(here[name]), rows[name], align=8)
    return b.zext(is_bad, start.type)


def _emit_step(emit: _Emit, here: dict[str, Any], sound: Any, p: Any, v: Any, rule: Any) -> None:
    """Add eight prints; the arithmetic of `kernels.put_volume`."""
    b = emit.b

    zero, top = _floats(0.0), _floats(np.inf)
    ok = b.and_(b.load(sound), emit.free(rule, 128))
    for relation, x, bound in ((">", p, zero), ("<", p, top), (">=", v, zero), ("<", v, top)):
        ok = b.and_(ok, b.fcmp_ordered(relation, x, bound))
    b.store(ok, sound)
    sets_range, counts = emit.free(rule, 1), emit.free(rule, 4)
    bottom = _floats(-np.inf)
    emit.raise_to(here["high"], b.select(sets_range, p, bottom))
    emit.raise_to(here["low"], b.select(sets_range, b.fneg(p), bottom))
    v = b.select(counts, v, zero)
    x, x_error = emit.product(v, p)
    y, y_error = emit.product(x, p)
    emit.add_pair(here, "v", v, None)
    emit.add_pair(here, "vp", x, x_error)
    emit.add_pair(here, "vpp", y, b.fadd(y_error, b.fmul(x_error, p)))
    b.store(b.fadd(b.load(here["n"]), b.select(counts, _floats(1.0), zero)), here["n"])


# -- whole shares ----------------------------------------------------------------------------------------------------------------

_LOCAL = ("high", "low", "v", "vp", "vp_lost", "vp_err", "vpp", "vpp_lost", "vpp_err")
_SEEN = ("price", "size", "part", "rule")
_SPAN = 12  # prices of a chunk lie within this many powers of two around the first one
_ROOM = 21  # a lane's volume in a chunk is below this power of two
_TOP_SIZE = 31


@intrinsic
def sum_whole(_context: Any, price: Any, size: Any, rules: Any, sums: Any, start: Any, count: Any) -> Any:
    """Do what `sum_lanes` does, in half the time, where sizes are whole and prices of one magnitude; else add nothing, return not 0.

    Σv·p and Σv·p² begin at a power of two that no sum exceeds. Then one subtraction tells what an addition lost (Dekker), and in
    chunks of up to 1,024 prints what is lost adds up without rounding: all of it are multiples of one unit, fewer than 2^53.
    """
    signature = types.int64(price, size, rules, sums, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        price, size, rules, sums = (make_array(t)(context, builder, a).data for t, a in zip(signature.args, args[:4], strict=False))
        return _emit_whole(_Emit(builder), price, size, rules, sums, *args[4:])

    return signature, generate


def _emit_whole(emit: _Emit, price: Any, size: Any, rules: Any, sums: Any, start: Any, count: Any) -> Any:
    b = emit.b
    here = {name: cgutils.alloca_once(b, _VECTOR) for name in _LOCAL} | {name: cgutils.alloca_once(b, _WORDS) for name in _SEEN}
    n = cgutils.alloca_once(b, _I8)
    first = b.bitcast(b.load(b.gep(price, [start])), _I8)
    scale = b.bitcast(b.and_(first, ir.Constant(_I8, 0x7FF << 52)), _F8)  # the power of two at or below the first price
    above = {
        "vp": emit.splat(b.fmul(scale, ir.Constant(_F8, 2.0**_ROOM))),
        "vpp": emit.splat(b.fmul(b.fmul(scale, scale), ir.Constant(_F8, 2.0 ** (_ROOM + 1)))),
    }
    lowest = emit.splat(b.bitcast(b.fmul(scale, ir.Constant(_F8, 2.0**-_SPAN)), _I8))
    for name in _LOCAL:
        b.store(above.get(name, _floats({"high": -np.inf, "low": np.inf}.get(name, 0.0))), here[name])
    for name in _SEEN:
        b.store(_words(0), here[name])
    b.store(ir.Constant(_I8, 0), n)
    with cgutils.for_range(b, count) as loop:
        offset = b.mul(loop.index, ir.Constant(start.type, WIDTH))
        at = b.add(start, offset)
        for column in (price, size):
            emit.ask(emit.vector(column, at))
        p, v = b.load(emit.vector(price, at), align=8), b.load(emit.vector(size, at), align=8)
        rule = b.load(emit.vector(rules, offset, _WORDS), align=8)
        _emit_whole_step(emit, here, n, lowest, p, v, rule)
    is_bad = _emit_doubt(emit, here, above)
    with b.if_then(b.not_(is_bad)):
        _emit_merge(emit, here, n, above, sums)
    return b.zext(is_bad, start.type)


def _emit_whole_step(emit: _Emit, here: dict[str, Any], n: Any, lowest: Any, p: Any, v: Any, rule: Any) -> None:
    """Add eight prints, and note what would make the sums doubtful."""
    b = emit.b
    emit.raise_word(here["price"], b.sub(b.bitcast(p, _WORDS), lowest))  # bits of floats >= 0 are in the floats' order
    emit.raise_word(here["size"], b.bitcast(v, _WORDS))
    b.store(b.or_(b.load(here["rule"]), rule), here["rule"])
    sets_range, counts = emit.free(rule, 1), emit.free(rule, 4)
    emit.raise_to(here["high"], b.select(sets_range, p, _floats(-np.inf)))
    emit.raise_to(here["low"], b.select(sets_range, p, _floats(np.inf)), "<")
    lanes = b.ctpop(b.bitcast(counts, ir.IntType(WIDTH)))
    b.store(b.add(b.load(n), b.zext(lanes, _I8)), n)
    v = b.select(counts, v, _floats(0.0))
    whole = b.fsub(b.fadd(v, _floats(2.0**52)), _floats(2.0**52))
    b.store(b.or_(b.load(here["part"]), b.xor(b.bitcast(whole, _WORDS), b.bitcast(v, _WORDS))), here["part"])
    b.store(b.fadd(b.load(here["v"]), v), here["v"])
    x, x_error = emit.product(v, p)
    y, y_error = emit.product(x, p)
    emit.add_above(here, "vp", x, x_error)
    emit.add_above(here, "vpp", y, emit.fma(x_error, p, y_error))


def _emit_doubt(emit: _Emit, here: dict[str, Any], above: dict[str, Any]) -> Any:
    """Return whether a price, size or rule does not allow the sums made."""
    b = emit.b
    top_size = int(np.array(2.0**_TOP_SIZE).view(np.int64))
    doubts = [
        b.icmp_unsigned(">", b.load(here["price"]), _words(2 * _SPAN << 52)),
        b.icmp_unsigned(">", b.load(here["size"]), _words(top_size)),
        b.icmp_unsigned("!=", b.load(here["part"]), _words(0)),
        b.icmp_unsigned("!=", b.and_(b.load(here["rule"]), _words(_UNKNOWN)), _words(0)),
    ]
    doubts += [b.fcmp_unordered(">=", b.load(here[name]), b.fmul(base, _floats(2.0))) for name, base in above.items()]
    found = doubts[0]
    for doubt in doubts[1:]:
        found = b.or_(found, doubt)
    return emit.any_of(found)


def _emit_merge(emit: _Emit, here: dict[str, Any], n: Any, above: dict[str, Any], sums: Any) -> None:
    """Add the sums of a chunk to those of its minute."""
    b = emit.b
    rows = {name: emit.vector(sums, ir.Constant(_I8, k * WIDTH)) for k, name in enumerate(SUMS)}
    held = {name: cgutils.alloca_once(b, _VECTOR) for name in SUMS}
    for name in SUMS:
        b.store(b.load(rows[name], align=8), held[name])
    emit.raise_to(held["high"], b.load(here["high"]))
    emit.raise_to(held["low"], b.fneg(b.load(here["low"])))
    emit.add_pair(held, "v", b.load(here["v"]), None)
    for name, base in above.items():
        emit.add_pair(held, name, b.fsub(b.load(here[name]), base), None)
        emit.add_pair(held, name, b.load(here[f"{name}_lost"]), b.load(here[f"{name}_err"]))
    count = b.insert_element(_floats(0.0), b.sitofp(b.load(n), _F8), ir.Constant(ir.IntType(32), 0))
    b.store(b.fadd(b.load(held["n"]), count), held["n"])
    for name in SUMS:
        b.store(b.load(held[name]), rows[name], align=8)


# -- rules -----------------------------------------------------------------------------------------------------------------------

IDS = 4  # sale conditions of a print in one word


@intrinsic
def look_up(_context: Any, conditions: Any, table: Any, rules: Any, start: Any, count: Any) -> Any:
    """Write the rules of prints start .. start + 8·count - 1, with four conditions each (int16), to `rules` (int64); return 0.

    Each condition's rule stands in a byte of its own. Not 0 when a condition is not in 0..255, or when this machine has no
    look-up of 64 bytes at once: then `rules` is not to be used.
    """
    signature = types.int64(conditions, table, rules, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if "+avx512vbmi," not in context.codegen().magic_tuple()[2] + ",":
            return ir.Constant(_I8, 1)
        conditions, table, rules = (make_array(t)(context, builder, a).data for t, a in zip(signature.args, args[:3], strict=False))
        return _emit_look_up(_Emit(builder), conditions, table, rules, *args[3:])

    return signature, generate


def _emit_look_up(emit: _Emit, conditions: Any, table: Any, rules: Any, start: Any, count: Any) -> Any:
    b = emit.b
    kind = ir.VectorType(ir.IntType(8), 8 * WIDTH)
    permute = cgutils.get_or_insert_function(b.module, ir.FunctionType(kind, [kind] * 3), "llvm.x86.avx512.vpermi2var.qi.512")
    quarters = [b.load(emit.vector(table, ir.Constant(_I8, k * 64), kind), align=1) for k in range(4)]
    seen = cgutils.alloca_once(b, _WORDS)
    b.store(_words(0), seen)
    with cgutils.for_range(b, count) as loop:
        offset = b.mul(loop.index, ir.Constant(_I8, WIDTH))
        at = b.mul(b.add(start, offset), ir.Constant(_I8, IDS))
        emit.ask(emit.vector(conditions, at, _WORDS))
        ids = b.load(emit.vector(conditions, at, _WORDS), align=2)
        b.store(b.or_(b.load(seen), ids), seen)
        index = b.bitcast(ids, kind)
        low, high = (b.call(permute, [quarters[k], index, quarters[k + 1]]) for k in (0, 2))
        found = b.select(b.icmp_signed("<", index, ir.Constant(kind, [0] * 8 * WIDTH)), high, low)
        b.store(b.bitcast(found, _WORDS), emit.vector(rules, offset, _WORDS), align=8)
    strange = b.icmp_unsigned("!=", b.and_(b.load(seen), _words(0xFF00FF00FF00FF00)), _words(0))
    return b.zext(emit.any_of(strange), _I8)
