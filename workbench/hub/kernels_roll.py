"""Compiled loops behind `rollup.py`: 1-minute bars into longer bars, a whole history at once or bar by bar.

Floor 2: numpy and numba. Import it lazily: numba costs 0.4 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.hub.kernels_base import at, find_session, kernel, merged
from workbench.hub.merge import TRUST
from workbench.types import BAR_DTYPE

# How a timeframe is cut: from the start of each segment; from 04:00 across segments; by 04:00-anchored clock inside segments;
# a regular session; a week of regular sessions.
BY_SEGMENT, BY_DAY, BY_CLOCK, DAILY, WEEKLY = 0, 1, 2, 3, 4
KIND, LENGTH, PARENT, PLAN_WIDTH = 0, 1, 2, 3

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


@merged
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
    """Return whether origin `a` is trusted less than `b`: a rolled bar is named after its least trusted part."""
    return TRUST[a] < TRUST[b]


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


# BAR_DTYPE with its last four bytes in one number: parts of the same origin and state are known by one comparison.
PART_DTYPE = np.dtype([*BAR_DTYPE.descr[:-4], ("flags", "<u4")])
SPARE_BITS = 0xFF000000

FIRST, END, NOW = 0, 1, 2  # columns of `places`


@kernel
def roll_all(rows: Any, sessions: Any, plan: Any, places: Any, out: Any) -> int:
    """Roll 1-minute bars, in time order, up to every timeframe of `plan`; rows in no session are left out. PART_DTYPE in and out.

    `places`, int64 shape (n, 3): where in `out` the bars of each timeframe begin, where they end so far, and where those of the
    present session begin. All timeframes are made session by session, so that rows are read from memory once. Return the first row
    that is out of order, or -1.
    """
    n = len(rows)
    i = s = 0
    while i < n:
        ts = at(rows, i).ts_open
        s = find_near(sessions, s, ts)
        j = i + 1
        if s < 0:
            s = 0
        else:
            end = sessions[s].post_close
            while j < n:
                coming = at(rows, j).ts_open
                if coming >= end:
                    break
                if coming <= ts:
                    return j
                ts = coming
                j += 1
            for t in range(len(plan)):
                if plan[t, KIND] != WEEKLY:
                    roll_session(rows, i, j, sessions, s, plan, t, places, out)
        if j < n and at(rows, j).ts_open <= ts:
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
        ts = at(source, i).ts_open
        if kind == BY_SEGMENT and closes <= ts < min(closes + length, end):  # the next bucket of the same segment: no division
            opens, closes = closes, min(closes + length, end)
        else:
            opens, closes = bucket_of(sessions, s, ts, kind, length)
            end = segment_end(sessions, s, ts)
        if closes == 0:
            i += 1
            continue
        i = roll_bucket(source, i, j, opens, closes, at(out, made))
        made += 1
    places[t, END] = made


@kernel
def merge_flags(flags: int, coming: int) -> int:
    """Return the origin and state of a bar of parts with two sets of them: `add_part` in one number."""
    source = coming & 255 if worse(coming & 255, flags & 255) else flags & 255
    return source | (flags | coming) & 0xFF00 | flags & coming & 0xFF0000


@merged
def roll_bucket(rows: Any, i: int, j: int, opens: int, closes: int, out: Any) -> int:
    """Put the rows from `i` (before `j`) that open before `closes` into one bar; return the index after them. Arithmetic of `add_part`."""
    row = at(rows, i)
    high, low, close = row.high, row.low, row.close
    flags = np.int64(row.flags) & ~SPARE_BITS
    volume = ref = a = b = n_trades = 0.0
    out.open = row.open
    while True:
        n_trades += row.n_trades
        v = row.volume
        if v > 0.0:
            if volume == 0.0:
                ref = row.vwap
            d = row.vwap - ref
            a += v * d
            b += v * (d * d + row.vw_std * row.vw_std)
            volume += v
        i += 1
        if i >= j:
            break
        row = at(rows, i)
        if row.ts_open >= closes:
            break
        high = max(high, row.high)
        low = min(low, row.low)
        close = row.close
        coming = np.int64(row.flags) & ~SPARE_BITS
        if coming != flags:
            flags = merge_flags(flags, coming)
    out.ts_open, out.ts_close = opens, closes
    out.high, out.low, out.close = high, low, close
    out.volume, out.n_trades = volume, n_trades
    vwap, std = spread(volume, ref, a, b)
    out.vwap, out.vw_std = vwap, std
    out.seq = 0
    out.revision = 0
    out.flags = flags
    return i


@kernel
def roll_weeks(sessions: Any, parent: int, t: int, places: Any, out: Any) -> None:
    """Put daily bars into weeks."""
    i, end = places[parent, FIRST], places[parent, END]
    while i < end:
        opens, closes = week_of(sessions, find_session(sessions, at(out, i).ts_open))
        i = roll_bucket(out, i, end, opens, closes, at(out, places[t, END]))
        places[t, END] += 1


# -- live ------------------------------------------------------------------------------------------------------------------------

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
