"""Compiled loops behind `rollup_columns.py`: columns of 1-minute bars into columns of longer bars.

First `find_spans` cuts the minutes into spans, one for each segment of a session, and counts the bars that each span makes. Then every
bar has its place, and spans may be rolled up in any order, on any core.

Floor 2: numpy and numba. Import it lazily: numba costs 0.4 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.hub import lanes_roll as lanes
from workbench.hub.kernels_base import NS_PER_MIN, at, find_session, kernel, merged, put, view_of
from workbench.hub.kernels_roll import BY_CLOCK, BY_DAY, DAILY, KIND, LENGTH, PARENT, WEEKLY, bucket_of, find_near, week_of

# Columns of bars, given by address (0 = not there): float64 but the first and the last, int64.
TS_OPEN, OPEN, HIGH, LOW, CLOSE, VOLUME, N_TRADES, VWAP, TS_CLOSE, N_COLUMNS = range(10)
_ints, _floats = view_of(np.dtype(np.int64)), view_of(np.dtype(np.float64))

ACROSS = (BY_DAY, WEEKLY)  # kinds of timeframes whose bars may lie in several segments

# A span: its minutes; where its segment begins and ends; where its session begins; whether it is in regular hours; whether its
# minutes are at least one apart.
FROM, TO, START, END, DAY, IS_REGULAR, IS_EVEN, SPAN_WIDTH = range(8)


# -- spans -----------------------------------------------------------------------------------------------------------------------


@kernel
def find_spans(ts: Any, sessions: Any, plan: Any, spans: Any, places: Any) -> int:
    """Write the spans of minutes that should be in order, and where each span's bars begin; return how many spans.

    `spans`: int64 shape (3 a session, 7). `places`: int64 shape (one more than spans, len(plan)); its last row written tells how many
    bars there are. An answer -1 - i tells that minute i is out of order. Timeframes that cross segments are not counted.
    """
    n = len(ts)
    i = s = m = n_before = 0
    places[0] = 0
    while i < n:
        now = at(ts, i)
        if i > 0 and now <= at(ts, i - 1):
            return -1 - i
        s = find_near(sessions, s, now)
        if s < 0:
            s = 0
            i += 1
            continue
        span = spans[m]
        begin_span(span, sessions[s], i, now)
        j = reach(ts, i, span[END], n_before)
        signs = near = uneven = np.int64(0)
        for k in range(i + 1, j):  # only signs and bits, so that LLVM can do it in vectors
            step = at(ts, k) - at(ts, k - 1)
            signs |= step - 1
            near |= step - NS_PER_MIN
            uneven |= step ^ NS_PER_MIN
        if signs < 0:
            return -1 - find_disorder(ts, i, j)
        span[TO] = j
        span[IS_EVEN] = near >= 0
        for t in range(len(plan)):
            places[m + 1, t] = places[m, t] + count_bars(ts, span, plan[t], uneven == 0)
        m += 1
        n_before = j - i
        i = j
    return m


@kernel
def begin_span(span: Any, session: Any, i: int, ts: int) -> None:
    """Begin a span in the segment of `ts`."""
    span[FROM], span[DAY] = i, session.pre_open
    span[IS_REGULAR] = session.open <= ts < session.close
    span[START], span[END] = session.pre_open, session.open
    if ts >= session.close:
        span[START], span[END] = session.close, session.post_close
    elif ts >= session.open:
        span[START], span[END] = session.open, session.close


@kernel
def reach(ts: Any, i: int, limit: int, guess: int) -> int:
    """Return the first index after `i` whose stamp is not before `limit`, looking at `i + guess` first."""
    n = len(ts)
    step = max(guess, 1)
    low, high = i, min(i + step, n)
    if at(ts, high - 1) < limit:
        low = high - 1
    while high < n and at(ts, high) < limit:
        low = high
        step *= 2
        high = min(high + step, n)
    while low + 1 < high:
        mid = (low + high) >> 1
        if at(ts, mid) < limit:
            low = mid
        else:
            high = mid
    return high


@kernel
def find_disorder(ts: Any, i: int, j: int) -> int:
    """Return the first of i+1..j-1 that is not after the one before it."""
    for k in range(i + 1, j):
        if ts[k] <= ts[k - 1]:
            return k
    return -1


@kernel
def count_bars(ts: Any, span: Any, frame: Any, is_dense: bool) -> int:
    """Return how many bars of a timeframe a span makes; `is_dense`: it lacks no minute between its first and its last."""
    kind, length = frame[KIND], frame[LENGTH]
    if kind in ACROSS or (kind == DAILY and not span[IS_REGULAR]):
        return 0
    base = span[DAY] if kind == BY_CLOCK else span[START]
    i, j = span[FROM], span[TO]
    if is_dense:
        return (at(ts, j - 1) - base) // length - (at(ts, i) - base) // length + 1
    n = 0
    closes = np.int64(0)
    for k in range(i, j):
        now = at(ts, k)
        if now >= closes:
            closes = closes + length if n and now < closes + length else base + ((now - base) // length + 1) * length
            n += 1
    return n


# -- bars ------------------------------------------------------------------------------------------------------------------------


@kernel
def roll_spans(columns: Any, n: int, plan: Any, spans: Any, places: Any, a: int, b: int, targets: Any, room: Any) -> None:
    """Make the bars of spans a..b-1 in every timeframe that lies inside segments.

    `columns`, int64 shape (9,): addresses of the minutes' columns, `n` long; `targets`, (len(plan), 9): of each timeframe's, `room` long.
    """
    for m in range(a, b):
        for t in range(len(plan)):
            if plan[t, KIND] in ACROSS:
                continue
            parent = plan[t, PARENT]
            if parent < 0:
                i, j, step = spans[m, FROM], spans[m, TO], NS_PER_MIN
                roll_span(columns, n, i, j, step, spans[m], plan[t], targets[t], room[t], places[m, t], places[m + 1, t])
            else:
                i, j, step = places[m, parent], places[m + 1, parent], plan[parent, LENGTH]
                parts, n_parts = targets[parent], room[parent]
                roll_span(parts, n_parts, i, j, step, spans[m], plan[t], targets[t], room[t], places[m, t], places[m + 1, t])


@kernel
def roll_span(
    columns: Any, n: int, i: int, j: int, step: int, span: Any, frame: Any, target: Any, room: int, made: int, end: int
) -> None:  # fmt: skip
    """Make bars made..end-1 of one timeframe from the parts i..j-1 of a span, which are `step` long."""
    ts, length = _ints(columns[TS_OPEN], n), frame[LENGTH]
    base = span[DAY] if frame[KIND] == BY_CLOCK else span[START]
    parts = length // step
    is_even = span[IS_EVEN] and parts in lanes.PARTS
    whole = closes = np.int64(0)
    while made < end:
        now = at(ts, i)
        opens = closes if closes <= now < closes + length else base + (now - base) // length * length  # no division for the next one
        closes = opens + length
        if is_even and made >= whole and now == opens:
            k = count_whole(ts, i, min((span[END] - opens) // length, (j - i) // parts), parts, step)
            if k:
                roll_whole(columns, target, i, made, k, parts)
                stamp(target, room, made, k, opens, length)
                i += k * parts
                made += k
                closes = opens + k * length
                continue
            whole = made + lanes.WIDTH  # not again at once
        i = roll_bar(columns, n, i, j, max(opens, span[START]), min(closes, span[END]), target, room, made)
        made += 1


@kernel
def count_whole(ts: Any, i: int, most: int, parts: int, step: int) -> int:
    """Return how many bars from part `i` on, which begins one, are known to lack no part; 0 when fewer than fill the lanes."""
    while most >= lanes.WIDTH:
        if at(ts, i + most * parts - 1) == at(ts, i) + (most * parts - 1) * step:
            return most
        most >>= 1
    return 0


@kernel
def stamp(target: Any, room: int, made: int, k: int, opens: int, length: int) -> None:
    """Write where `k` bars open and close, one after the other."""
    ts_open, ts_close = _ints(target[TS_OPEN], room), _ints(target[TS_CLOSE], room)
    for b in range(k):
        put(ts_open, made + b, opens + b * length)
        put(ts_close, made + b, opens + (b + 1) * length)


@merged
def roll_bar(columns: Any, n: int, i: int, j: int, opens: int, closes: int, target: Any, room: int, made: int) -> int:
    """Put the parts from `i` (before `j`) that open before `closes` into one bar; return the index after them. Sums as in `add_part`."""
    ts, high, low = _ints(columns[TS_OPEN], n), _floats(columns[HIGH], n), _floats(columns[LOW], n)
    has_trades, has_vwap = columns[N_TRADES] != 0, columns[VWAP] != 0
    volume = _floats(columns[VOLUME], n)
    n_trades = _floats(columns[N_TRADES], n) if has_trades else volume
    vwap = _floats(columns[VWAP], n) if has_vwap else volume
    put(_floats(target[OPEN], room), made, at(_floats(columns[OPEN], n), i))
    top, bottom = at(high, i), at(low, i)
    total = trades = ref = a = 0.0
    while True:
        v = at(volume, i)
        trades += at(n_trades, i)
        if v > 0.0:
            w = at(vwap, i)
            if total == 0.0:
                ref = w
            a += v * (w - ref)
            total += v
        i += 1
        if i >= j or at(ts, i) >= closes:
            break
        top = max(top, at(high, i))
        bottom = min(bottom, at(low, i))
    put(_ints(target[TS_OPEN], room), made, opens)
    put(_ints(target[TS_CLOSE], room), made, closes)
    put(_floats(target[HIGH], room), made, top)
    put(_floats(target[LOW], room), made, bottom)
    put(_floats(target[CLOSE], room), made, at(_floats(columns[CLOSE], n), i - 1))
    put(_floats(target[VOLUME], room), made, total)
    if has_trades:
        put(_floats(target[N_TRADES], room), made, trades)
    if has_vwap:
        put(_floats(target[VWAP], room), made, ref + a * (1.0 / total) if total > 0.0 else np.nan)
    return i


@kernel
def roll_across(columns: Any, n: int, sessions: Any, frame: Any, target: Any, room: int) -> int:
    """Make the bars of a timeframe that crosses segments or days; return how many."""
    ts = _ints(columns[TS_OPEN], n)
    i = s = made = 0
    while i < n:
        now = at(ts, i)
        s = find_near(sessions, s, now)
        if frame[KIND] == WEEKLY:
            opens, closes = week_of(sessions, find_session(sessions, now))
        else:
            opens, closes = bucket_of(sessions, s, now, frame[KIND], frame[LENGTH])
        i = roll_bar(columns, n, i, n, opens, closes, target, room, made)
        made += 1
    return made


# -- bars that lack no part ------------------------------------------------------------------------------------------------------


_first, _last, _highest, _lowest = (lanes.over(1, fold) for fold in (lanes.first, lanes.last, lanes.highest, lanes.lowest))
_total, _volume, _volume_and_vwap = lanes.over(1, lanes.total), lanes.over(1, lanes.volume), lanes.over(2, lanes.volume_and_vwap)


@kernel
def roll_whole(columns: Any, target: Any, i: int, made: int, n: int, parts: int) -> None:
    """Make `n` bars of `parts` parts each, from part `i` on: all columns but the stamps."""
    here, there = 8 * i, 8 * made
    _first((columns[OPEN] + here,), (target[OPEN] + there,), n, parts)
    _highest((columns[HIGH] + here,), (target[HIGH] + there,), n, parts)
    _lowest((columns[LOW] + here,), (target[LOW] + there,), n, parts)
    _last((columns[CLOSE] + here,), (target[CLOSE] + there,), n, parts)
    if columns[N_TRADES]:
        _total((columns[N_TRADES] + here,), (target[N_TRADES] + there,), n, parts)
    if columns[VWAP]:
        sources, targets = (columns[VOLUME] + here, columns[VWAP] + here), (target[VOLUME] + there, target[VWAP] + there)
        _volume_and_vwap(sources, targets, n, parts)
    else:
        _volume((columns[VOLUME] + here,), (target[VOLUME] + there,), n, parts)
