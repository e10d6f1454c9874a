"""Bars of a fixed number of parts each, none missing, made in LLVM vectors: eight bars at a time, each in a lane of its own.

A lane does what `kernels_columns.roll_bar` does for one bar, step by step, so the bars are the same bit for bit. LLVM finds these
vectors by itself only in loops over one column for one number of parts, and then takes nine seconds to compile them.

Floor 2: numba and llvmlite (which comes with it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 8  # the least number of bars that can be made
PARTS = (2, 3, 5)  # 2m 3m 5m of 1m, 15m of 5m, 10m 30m 1h 2h of halves

_F8, _I8 = ir.DoubleType(), ir.IntType(64)
_VECTOR = ir.VectorType(_F8, WIDTH)
_ZERO = ir.Constant(_VECTOR, [0.0] * WIDTH)
_ONE = ir.Constant(_VECTOR, [1.0] * WIDTH)
_NAN = ir.Constant(_VECTOR, [np.nan] * WIDTH)

Fold = Callable[..., list[Any]]  # (builder, the parts of each column: a list of vectors) -> a vector for each column made


def over(columns: int, fold: Fold) -> Any:
    """Return a compiled function (addresses read, addresses written, n, parts): makes n >= 8 bars of `parts` parts each; returns 0.

    Both are tuples of `columns` addresses, of float64: of the first part, of the first bar. `parts` is one of PARTS.
    """

    @intrinsic
    def make(_context: Any, _sources: Any, _targets: Any, _n: Any, _parts: Any) -> Any:
        addresses = types.UniTuple(types.int64, columns)

        def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            sources, targets = (cgutils.unpack_tuple(builder, a) for a in args[:2])
            for parts in PARTS:
                with builder.if_then(builder.icmp_signed("==", args[3], ir.Constant(_I8, parts))):
                    _emit(builder, sources, targets, args[2], parts, fold)
            return ir.Constant(_I8, 0)

        return types.int64(addresses, addresses, types.int64, types.int64), generate

    return make


def _emit(b: Any, sources: list[Any], targets: list[Any], n: Any, parts: int, fold: Fold) -> None:
    width = ir.Constant(_I8, WIDTH)
    last = b.sub(n, width)
    steps = b.udiv(b.add(n, ir.Constant(_I8, WIDTH - 1)), width)
    with cgutils.for_range(b, steps) as loop:
        coming = b.mul(loop.index, width)
        first = b.select(b.icmp_signed("<", coming, last), coming, last)  # the last eight may be made again in part
        made = fold(b, *(_parts(b, source, first, parts) for source in sources))
        for target, bars in zip(targets, made, strict=True):
            b.store(bars, _place(b, target, first, _VECTOR), align=8)


def _place(b: Any, address: Any, index: Any, kind: Any) -> Any:
    return b.bitcast(b.gep(b.inttoptr(address, _F8.as_pointer()), [index]), kind.as_pointer())


def _parts(b: Any, address: Any, bar: Any, parts: int) -> list[Any]:
    """Return the first parts of eight bars, their second ones, and so on."""
    kind = ir.VectorType(_F8, WIDTH * parts)
    rows = b.load(_place(b, address, b.mul(bar, ir.Constant(_I8, parts)), kind), align=8)
    places = ir.VectorType(ir.IntType(32), WIDTH)
    return [
        b.shuffle_vector(rows, ir.Constant(kind, ir.Undefined), ir.Constant(places, [k + parts * lane for lane in range(WIDTH)]))
        for k in range(parts)
    ]


# -- what becomes of the parts ---------------------------------------------------------------------------------------------------


def first(_b: Any, column: list[Any]) -> list[Any]:
    """Keep the first part."""
    return [column[0]]


def last(_b: Any, column: list[Any]) -> list[Any]:
    """Keep the last part."""
    return [column[-1]]


def highest(b: Any, column: list[Any]) -> list[Any]:
    """Keep the largest part."""
    return [_extreme(b, ">", column)]


def lowest(b: Any, column: list[Any]) -> list[Any]:
    """Keep the smallest part."""
    return [_extreme(b, "<", column)]


def _extreme(b: Any, relation: str, column: list[Any]) -> Any:
    held = column[0]
    for x in column[1:]:
        held = b.select(b.fcmp_ordered(relation, x, held), x, held)
    return held


def total(b: Any, column: list[Any]) -> list[Any]:
    """Add the parts up."""
    held = _ZERO
    for x in column:
        held = b.fadd(held, x)
    return [held]


def volume(b: Any, column: list[Any]) -> list[Any]:
    """Add up the parts above zero."""
    held = _ZERO
    for v in column:
        held = b.select(b.fcmp_ordered(">", v, _ZERO), b.fadd(held, v), held)
    return [held]


def volume_and_vwap(b: Any, volumes: list[Any], vwaps: list[Any]) -> list[Any]:
    """Add up the volumes above zero, and weigh their vwaps about the first of them."""
    held = ref = a = _ZERO
    for v, w in zip(volumes, vwaps, strict=True):
        counts = b.fcmp_ordered(">", v, _ZERO)
        ref = b.select(b.and_(counts, b.fcmp_ordered("==", held, _ZERO)), w, ref)
        a = b.select(counts, b.fadd(a, b.fmul(v, b.fsub(w, ref))), a)
        held = b.select(counts, b.fadd(held, v), held)
    vwap = b.fadd(ref, b.fmul(a, b.fdiv(_ONE, held)))
    return [held, b.select(b.fcmp_ordered(">", held, _ZERO), vwap, _NAN)]
