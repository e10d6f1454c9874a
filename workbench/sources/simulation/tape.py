"""Prints and quotes as they travel: a few minutes of columns become rows with arrival times, venues, ids, and the odd bad tick.

Each block of `BLOCK_MINUTES` is drawn from its own generator, so a stream may begin anywhere. Floor 2.
"""

from __future__ import annotations

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_MS
from workbench.sources.simulation.day import KIND_CONDITIONS, LATEST_NS, DayPrints, round_lot
from workbench.sources.simulation.factors import BAD, STREAM, generator
from workbench.sources.simulation.market import Market
from workbench.types import MAX_CONDITIONS, QUOTE_DTYPE, TRADE_DTYPE

BLOCK_MINUTES = 5
BLOCK_NS = BLOCK_MINUTES * NS_PER_MIN
BAD_ID = b"bad"  # ids of bad prints begin with this, for tests and for people; nothing in the package looks at it
NS_PER_US = 1000
QUIET_NS = 200 * NS_PER_MS  # a pause this long between prints gets a quote of its own
_VENUES = np.array([4, 12, 19, 11, 10, 8, 15], np.int16)  # 4 is off-exchange (TRF)
_VENUE_EDGES = np.array([0.40, 0.62, 0.72, 0.84, 0.94, 0.97])


def _condition_rows() -> tuple[np.ndarray, np.ndarray]:
    table = np.zeros((max(KIND_CONDITIONS) + 1, MAX_CONDITIONS), np.int16)
    lengths = np.zeros(len(table), np.int8)
    for kind, ids in KIND_CONDITIONS.items():
        table[kind, : len(ids)] = ids
        lengths[kind] = len(ids)
    return table, lengths


_CONDITIONS, _N_CONDITIONS = _condition_rows()


def block_rows(market: Market, prints: DayPrints, of: tuple[str, int], index: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (TRADE_DTYPE, QUOTE_DTYPE) rows of one block of session `index`, each in order of arrival.

    `prints` are those of the session, `of` is the symbol and its id.
    """
    symbol, symbol_id = of
    begin, end = np.searchsorted(prints.minute, (block * BLOCK_MINUTES, (block + 1) * BLOCK_MINUTES))
    date = int(market.calendar.sessions["date"][index])
    rng = generator(market.seed, symbol, STREAM, date, block)
    trades = _trade_rows(prints, slice(begin, end), rng, market.faults.late_frac)
    quotes = _quote_rows(prints, slice(begin, end), rng)
    shape = market.shape(index)
    if len(trades) and shape.open_at <= block * BLOCK_MINUTES < shape.close_at:
        bad = generator(market.seed, symbol, BAD, date, block)
        share = BLOCK_MINUTES / (shape.close_at - shape.open_at)
        trades = np.concatenate([trades, _bad_prints(trades, bad, market.faults.bad_prints * share)])
        _cross_some(quotes, bad, market.faults.crossed_quotes * share)
    for rows in (trades, quotes):
        rows["symbol_id"] = symbol_id
    return trades[np.argsort(trades["ts_recv"], kind="stable")], quotes[np.argsort(quotes["ts_recv"], kind="stable")]


def true_trades(market: Market, symbol: str, symbol_id: int, start_ns: int, end_ns: int) -> np.ndarray:
    """Return every true print with start_ns <= ts_event < end_ns, TRADE_DTYPE by ts_event: no bad tick, no gap, nothing late left out."""
    sessions = market.calendar.sessions
    first = int(np.searchsorted(sessions["post_close"], start_ns, side="right"))
    last = int(np.searchsorted(sessions["pre_open"], end_ns, side="left"))
    parts = [np.zeros(0, TRADE_DTYPE)]
    for index in range(first, last):
        prints = market.prints(symbol, index)
        for block in range(-(-market.shape(index).minutes // BLOCK_MINUTES)):
            block_open = int(sessions["pre_open"][index]) + block * BLOCK_NS
            if start_ns - BLOCK_NS < block_open < end_ns:
                rows = block_rows(market, prints, (symbol, symbol_id), index, block)[0]
                parts.append(rows[~is_bad(rows)])
    rows = np.concatenate(parts)
    rows = rows[(rows["ts_event"] >= start_ns) & (rows["ts_event"] < end_ns)]
    return rows[np.lexsort((rows["sequence"], rows["ts_event"]))]


def is_bad(rows: np.ndarray) -> np.ndarray:
    """Return which prints are the simulation's deliberate bad ticks, bool shape (n,)."""
    return np.char.startswith(rows["id"], BAD_ID)


def _trade_rows(prints: DayPrints, part: slice, rng: np.random.Generator, late_frac: float) -> np.ndarray:
    ts, kind = prints.ts[part], prints.kind[part]
    rows = np.zeros(len(ts), TRADE_DTYPE)
    latency = 250 * NS_PER_US + (600 * NS_PER_US * rng.standard_exponential(len(ts))).astype(np.int64)
    late = rng.random(len(ts)) < late_frac
    latency[late] = rng.integers(300 * NS_PER_MS, LATEST_NS, int(late.sum()))
    rows["ts_event"], rows["ts_recv"] = ts, ts + np.minimum(latency, LATEST_NS)
    rows["price"], rows["size"] = prints.cents[part] / 100, prints.size[part]
    rows["sequence"] = 10 * (np.arange(part.start, part.stop) + 1)
    rows["exchange"] = _VENUES[np.searchsorted(_VENUE_EDGES, rng.random(len(ts)), side="right")]
    rows["tape"] = 3
    rows["conditions"], rows["n_conditions"] = _CONDITIONS[kind], _N_CONDITIONS[kind]
    rows["id"] = rows["sequence"].astype(rows.dtype["id"])
    return rows


def _bad_prints(trades: np.ndarray, rng: np.random.Generator, mean: float) -> np.ndarray:
    """Return rare prints that never happened: 8-40 % off, or without a usable price; each follows a true print."""
    bad = trades[rng.integers(0, len(trades), rng.poisson(mean))].copy()
    bad["ts_event"] += 1
    bad["ts_recv"] += 1
    bad["sequence"] += 5
    bad["n_conditions"] = 0
    bad["conditions"] = 0
    bad["id"] = np.char.add(BAD_ID, bad["sequence"].astype("S16"))
    draw = rng.random((3, len(bad)))
    away = np.where(draw[0] < 0.5, -1, 1) * (0.08 + 0.32 * draw[1])
    bad["price"] = np.where(draw[2] < 0.7, np.rint(bad["price"] * (1 + away) * 100) / 100, np.where(draw[2] < 0.85, 0.0, np.nan))
    return bad


def _quote_rows(prints: DayPrints, part: slice, rng: np.random.Generator) -> np.ndarray:
    """Return quotes around each print (just before it, just after it with the taken side thinner) and in the pauses between prints."""
    ts, mid, half, size = prints.ts[part], prints.mid[part], prints.half_spread[part], prints.size[part]
    if not len(ts):
        return np.zeros(0, QUOTE_DTYPE)
    lot = round_lot(float(mid[0]) / 100)
    shown = lot * (1 + np.floor(3 * rng.standard_exponential((2, len(ts)))))
    left = shown.copy()
    left[0][prints.cents[part] < mid] -= size[prints.cents[part] < mid]
    left[1][prints.cents[part] > mid] -= size[prints.cents[part] > mid]
    before = _quotes(ts - rng.integers(20, 400, len(ts)) * NS_PER_US, mid, half, shown)
    after = _quotes(ts + rng.integers(1000, 40_000, len(ts)) * NS_PER_US, mid, half, np.maximum(left, lot))
    quiet = np.flatnonzero(np.diff(ts) > QUIET_NS)
    share = rng.uniform(0.3, 0.8, len(quiet))
    between = _quotes(
        ts[quiet] + (share * (ts[quiet + 1] - ts[quiet])).astype(np.int64),
        mid[quiet] + share * (mid[quiet + 1] - mid[quiet]),
        half[quiet],
        lot * (1 + np.floor(4 * rng.standard_exponential((2, len(quiet))))),
    )
    rows = np.concatenate([before, after, between])
    rows["ts_recv"] = rows["ts_event"] + 150 * NS_PER_US + (100 * NS_PER_US * rng.standard_exponential(len(rows))).astype(np.int64)
    rows = rows[np.argsort(rows["ts_event"], kind="stable")]
    rows["sequence"] = 100 * part.start + np.arange(1, len(rows) + 1)
    rows["exchange"] = _VENUES[1:][np.searchsorted(_VENUE_EDGES[1:], rng.uniform(0.4, 1, len(rows)), side="right")]
    return rows


def _quotes(ts: np.ndarray, mid: np.ndarray, half: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    rows = np.zeros(len(ts), QUOTE_DTYPE)
    rows["ts_event"] = ts
    bid, ask = np.rint(mid - half), np.rint(mid + half)
    rows["bid"], rows["ask"] = bid / 100, np.maximum(ask, bid + 1) / 100
    rows["bid_size"], rows["ask_size"] = sizes
    return rows


def _cross_some(quotes: np.ndarray, rng: np.random.Generator, mean: float) -> None:
    """Turn a few quotes into crossed ones (bid above ask), in place."""
    at = rng.integers(0, len(quotes), rng.poisson(mean))
    quotes["bid"][at] = quotes["ask"][at] + 0.05
