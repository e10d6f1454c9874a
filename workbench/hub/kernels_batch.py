"""Compiled loops behind `bars.build`: one symbol's sorted columns of trades into minutes.

Floor 2: numpy and numba. Import it lazily: numba costs 0.4 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.hub.kernels_base import (
    BAD_PRICE,
    BAD_SIZE,
    FORBIDDEN,
    NO_HL,
    NO_OC,
    NO_SESSION,
    NO_VOLUME,
    NS_PER_MIN,
    OK,
    TRADES,
    UNKNOWN,
    UNKNOWN_CONDITION,
    at,
    find_session,
    fma,
    kernel,
    moments,
    plus,
)
from workbench.hub.lanes import IDS, N_SUMS, WIDTH, look_up, sum_lanes, sum_whole

CHUNK = 1024
# A print's rule is one int64 in which a bit counts in whatever byte it stands: each of its conditions may have a byte of its own.
_BYTES = 0x0101010101010101
ANY_NO_HL, ANY_NO_OC, ANY_NO_VOLUME, ANY_UNKNOWN = _BYTES * NO_HL, _BYTES * NO_OC, _BYTES * NO_VOLUME, _BYTES * UNKNOWN - (1 << 64)
SUMS_SHAPE = (N_SUMS, WIDTH)
N_ROWS, N_BAD, UNSORTED, TALLY = 0, 1, 2, 4


@kernel
def is_ordered(ts: Any, sequence: Any, i: int, j: int) -> bool:
    """Return whether prints i..j are in order of (ts, sequence). Only signs matter, so that LLVM can do it in vectors."""
    signs = 0
    if len(sequence) == 0:
        for k in range(i, j):
            signs |= at(ts, k + 1) - at(ts, k)
    else:
        for k in range(i, j):
            step = at(ts, k + 1) - at(ts, k)
            signs |= step | ((step - 1) & (at(sequence, k + 1) - at(sequence, k)))
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
            rules[k - i] = ~at(mask, k) & 7
    elif width == 0:
        for k in range(i, j):
            rules[k - i] = 0
    else:
        done = i
        if width == IDS:
            whole = (j - i) // WIDTH
            if look_up(conditions, table, rules, i, whole) == 0:
                done = i + whole * WIDTH
        for k in range(done, j):
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
        elif rules[k - i] & ANY_UNKNOWN:
            code = UNKNOWN_CONDITION
        if code != OK:
            rules[k - i] = FORBIDDEN
            rejected[tally[N_BAD]] = k << 8 | code
            tally[N_BAD] += 1


@kernel
def add_single(price: float, size: float, rule: int, sums: Any) -> None:
    """Add one print to the first lane; the arithmetic of `lanes.sum_lanes`."""
    if not rule & ANY_NO_HL:
        sums[0, 0] = max(sums[0, 0], price)
        sums[1, 0] = max(sums[1, 0], -price)
    if rule & ANY_NO_VOLUME:
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
    if sum_whole(price, size, rules, sums, i, whole) and sum_lanes(price, size, rules, sums, i, whole):
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
            k = find_first(rules, b - a, ANY_NO_OC)
            first_oc = a + k if k >= 0 else -1
        k = find_last(rules, b - a, ANY_NO_OC)
        last_oc = a + k if k >= 0 else last_oc
        if first_oc < 0:
            k = find_first(rules, b - a, ANY_NO_HL)
            first_hl = a + k if k >= 0 and first_hl < 0 else first_hl
            k = find_last(rules, b - a, ANY_NO_HL)
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
