"""The inner loop of the batch path, written in LLVM vectors: eight prints at a time into eight lanes of sums.

LLVM may not reorder floating-point sums by itself, and the pair arithmetic of `kernels.py` would not survive the flag that lets
it. So the lanes are spelt out. LLVM splits the vectors where the machine's registers are narrower; results do not depend on it.

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
SUMS = ("high", "low", "v", "v_err", "vp", "vp_err", "vpp", "vpp_err", "n")  # rows of the sums array; `low` is kept negated
N_SUMS = len(SUMS)

_F8 = ir.DoubleType()
_VECTOR = ir.VectorType(_F8, WIDTH)
_BYTES = ir.VectorType(ir.IntType(8), WIDTH)


def _floats(value: float) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * WIDTH)


class _Emit:
    """Vector arithmetic on one LLVM builder."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{WIDTH}f64")

    def vector(self, data: Any, at: Any, kind: ir.VectorType = _VECTOR) -> Any:
        """Return where eight elements of an array's data begin, as a pointer to a vector."""
        return self.b.bitcast(self.b.gep(data, [at]), kind.as_pointer())

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.b.call(self._fma, [a, b, c])

    def product(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Return (a·b, its rounding error)."""
        x = self.b.fmul(a, b)
        return x, self.fma(a, b, self.b.fneg(x))

    def add_pair(self, sums: dict[str, Any], name: str, x: Any, x_error: Any | None) -> None:
        """Add (x, x_error) to the pair kept under `name`; the arithmetic of `kernels.plus`."""
        b = self.b
        total, error = b.load(sums[name]), b.load(sums[f"{name}_err"])
        t = b.fadd(total, x)
        part = b.fsub(t, total)
        lost = b.fadd(b.fsub(total, b.fsub(t, part)), b.fsub(x, part))
        b.store(t, sums[name])
        b.store(b.fadd(error, lost if x_error is None else b.fadd(lost, x_error)), sums[f"{name}_err"])

    def raise_to(self, place: Any, x: Any) -> None:
        """Keep the larger of what is at `place` and x."""
        held = self.b.load(place)
        self.b.store(self.b.select(self.b.fcmp_ordered(">", x, held), x, held), place)


@intrinsic
def sum_lanes(_context: Any, price: Any, size: Any, rules: Any, sums: Any, start: Any, count: Any) -> Any:
    """Add prints start .. start + 8·count - 1 to `sums`, float64 shape (9, 8), rows as SUMS; return 0.

    `rules` (uint8, what a print may not do) begins with the rule of the print at `start`. When a price or size is not sound or a
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
        rule = b.load(emit.vector(rules, offset, _BYTES), align=1)
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

    def free(bit: int) -> Any:
        return b.icmp_unsigned("==", b.and_(rule, ir.Constant(_BYTES, [bit] * WIDTH)), ir.Constant(_BYTES, [0] * WIDTH))

    zero, top = _floats(0.0), _floats(np.inf)
    ok = b.and_(b.load(sound), free(128))
    for relation, x, bound in ((">", p, zero), ("<", p, top), (">=", v, zero), ("<", v, top)):
        ok = b.and_(ok, b.fcmp_ordered(relation, x, bound))
    b.store(ok, sound)
    sets_range, counts = free(1), free(4)
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
