"""What the kernels of the hub share: how loops are compiled, the arithmetic of sums, sessions.

Plain arrays in, plain arrays out; the classes that own the arrays live in `bars.py` and `rollup.py`. Everything is at module level
and cached on disk (numba's key ignores compile flags, so no function has two variants).

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
from numba.core.cpu import CPUTargetOptions
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

NS_PER_MIN = 60_000_000_000
FLAT = 1e-26  # var / mean² below this is rounding: the prices were all the same
TRADES = 1  # BarSource.TRADES

# Reasons why a print was not taken; `bars.Reject` names them.
OK, BAD_PRICE, BAD_SIZE, NO_SESSION, UNKNOWN_CONDITION, TOO_LATE, BAD_SYMBOL = 0, 1, 2, 3, 4, 5, 6

# What a print may NOT do: the complement of the rule bits of `conditions.py`, so that several conditions combine by OR.
NO_HL, NO_OC, NO_VOLUME, UNKNOWN = 1, 2, 4, 128
FORBIDDEN = NO_HL | NO_OC | NO_VOLUME


@intrinsic
def fma(_context: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Return a·b + c rounded once."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return float64(float64, float64, float64), generate


def _ask(is_write: int) -> Any:
    @intrinsic
    def ask(_context: Any, array: Any, _index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = make_array(signature.args[0])(context, builder, args[0]).data
            byte = builder.bitcast(builder.gep(data, [args[1]]), cgutils.voidptr_t)
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
            call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            for line in range(0, min(signature.args[0].dtype.size, 128), 64):
                place = builder.gep(byte, [ir.Constant(ir.IntType(64), line)])
                builder.call(call, [place, number(is_write), number(3), number(1)])
            return ir.Constant(ir.IntType(64), 0)

        return int64(array, int64), generate

    return ask


# Ask for the memory of an array's element, (array, index), up to two cache lines, soon to be read or written; return 0.
ask_to_read, ask_to_write = _ask(0), _ask(1)


@intrinsic
def at(_context: Any, array: Any, _index: Any) -> Any:
    """Return an element of a contiguous array, 1-D, by an index >= 0.

    `array[index]` spends instructions on negative ones in every loop, and keeps LLVM from reading neighbours as one vector.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        data = make_array(kind)(context, builder, args[0]).data
        return context.unpack_value(builder, kind.dtype, builder.gep(data, [args[1]]))

    return array.dtype(array, int64), generate


@intrinsic
def put(_context: Any, array: Any, _index: Any, _value: Any) -> Any:
    """Set an element of a contiguous array, 1-D, by an index >= 0; return 0. The other half of `at`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        data = make_array(kind)(context, builder, args[0]).data
        context.pack_value(builder, kind.dtype, args[2], builder.gep(data, [args[1]]))
        return ir.Constant(ir.IntType(64), 0)

    return int64(array, int64, array.dtype), generate


def view_of(dtype: np.dtype[Any]) -> Any:
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
# The option is a private one; a numba that has dropped it compiles slower kernels with the same answers.
UNCOUNTED = {"_nrt": False} if hasattr(CPUTargetOptions, "_nrt") else {}
kernel = njit(cache=True, nogil=True, error_model="numpy", **UNCOUNTED)
inlined = njit(cache=True, nogil=True, error_model="numpy", inline="always", **UNCOUNTED)
merged = njit(cache=True, nogil=True, error_model="numpy", forceinline=True, **UNCOUNTED)  # into its caller by LLVM, not by numba
with_lock = njit(cache=True, error_model="numpy", **UNCOUNTED)  # for calls so short that giving up the interpreter's lock costs more


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
