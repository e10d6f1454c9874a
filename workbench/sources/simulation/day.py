"""All prints of one symbol's session, as columns, and the minute bars that they build.

History and stream are two views of these columns: `minute_bars` aggregates them, `tape.py` sends them. A whole session is
drawn at once (some ten thousand prints in a few milliseconds), so any past day can be made again alone.

Floor 2: numpy and the sale-condition rules of floor 0 (the bars here are deliberately not built by the hub's kernels: each is
the other's witness).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_MS, NS_PER_S
from workbench.conditions import HIGH_LOW, OPEN_CLOSE, VOLUME, rule_mask
from workbench.sources.simulation.factors import PRINTS, Nodes, Shape, generator
from workbench.sources.simulation.universe import SymbolFacts
from workbench.types import BAR_DTYPE, BarSource

# Kinds of print; outside regular hours each one also carries Form T (12), which is kind + EXTENDED.
REGULAR, ODD, SWEEP, ODD_SWEEP, EXEMPT, AVERAGE, DERIVED, OPENING, CLOSING, OFFICIAL_CLOSE, REOPENING, CONTINGENT = range(12)
EXTENDED = 16
KIND_CONDITIONS: dict[int, tuple[int, ...]] = {
    REGULAR: (),
    ODD: (37,),
    SWEEP: (14, 41),
    ODD_SWEEP: (14, 37, 41),
    EXEMPT: (41,),
    AVERAGE: (2,),
    DERIVED: (10, 41),
    OPENING: (25,),
    CLOSING: (8,),
    OFFICIAL_CLOSE: (15,),
    REOPENING: (28,),
    CONTINGENT: (52, 41),
}
KIND_CONDITIONS |= {kind + EXTENDED: (12, *ids) for kind, ids in KIND_CONDITIONS.items()}

# How many of a thousand prints are of which kind; the rest is regular. Looked up with one uniform number.
_PER_MILLE = {ODD: 280, SWEEP: 160, ODD_SWEEP: 100, EXEMPT: 50, AVERAGE: 4, DERIVED: 3, CONTINGENT: 1}
_KIND_DRAWN = np.repeat(np.array([*_PER_MILLE, REGULAR], np.uint8), [*_PER_MILLE.values(), 1000 - sum(_PER_MILLE.values())])


def _mask_table() -> np.ndarray:
    table = np.zeros(2 * EXTENDED, np.uint8)
    for kind, ids in KIND_CONDITIONS.items():
        table[kind] = rule_mask(ids, in_regular_session=kind < EXTENDED)
    return table


KIND_MASK = _mask_table()  # kind -> HIGH_LOW | OPEN_CLOSE | VOLUME bits


@dataclass(frozen=True, slots=True)
class DayPrints:
    """Prints of one symbol and session in the order of `ts`, each column of shape (n,). Print i has sequence 10 * (i + 1)."""

    ts: np.ndarray  # int64 ns UTC, ascending
    cents: np.ndarray  # int64
    size: np.ndarray  # int64 shares
    kind: np.ndarray  # uint8, index into KIND_CONDITIONS
    mid: np.ndarray  # float64 cents, the middle of the market at that moment
    half_spread: np.ndarray  # float64 cents
    minute: np.ndarray  # int64, minutes since the pre-market open

    def __len__(self) -> int:
        return len(self.ts)


def draw_prints(
    seed: int, facts: SymbolFacts, session: np.void, shape: Shape, path: Nodes, minute_vol: np.ndarray, halt: tuple[int, int] | None
) -> DayPrints:
    """Return the session's prints.

    `path` is the symbol's log price at minute marks, `minute_vol` the sd of one minute's log return, shape (minutes,); between
    the marks the price is a Brownian bridge. `halt` = (first, last + 1) minute without prints.
    """
    rng = generator(seed, facts.symbol, PRINTS, int(session["date"]))
    counts = _counts(rng, facts, shape, path.excitement, halt)
    minute = np.repeat(np.arange(shape.minutes), counts)
    within = _times_within(rng, minute, counts, shape)
    mid = 100 * np.exp(_bridge(rng, within / NS_PER_MIN, minute, counts, path.level, minute_vol))
    half_spread = np.maximum(0.5, 0.5e-4 * facts.spread_bps * mid * (shape.spread * np.sqrt(path.excitement))[minute])
    uniform = rng.random((3, len(minute)))
    kind = _kinds(uniform[0], minute, counts, shape, halt)
    side = np.where(uniform[1] < 0.15, 0.0, np.where(uniform[1] < 0.575, -1.0, 1.0))
    side[(kind == OPENING) | (kind == CLOSING)] = 0.0
    cents = np.rint(mid + side * half_spread).astype(np.int64)
    aside = (kind == AVERAGE) | (kind == AVERAGE + EXTENDED)
    cents[aside] = np.rint(mid[aside] * (1 + 0.004 * (uniform[1][aside] - 0.5)))  # an average of earlier prices
    size = _sizes(uniform[2], rng.standard_exponential(len(minute)), kind, facts, float(mid[0]) / 100)
    return DayPrints(int(session["pre_open"]) + minute * NS_PER_MIN + within, cents, size, kind, mid, half_spread, minute)


def _counts(rng: np.random.Generator, facts: SymbolFacts, shape: Shape, excitement: np.ndarray, halt: tuple[int, int] | None) -> np.ndarray:
    day = np.exp(0.25 * rng.standard_normal() - 0.03)
    counts: np.ndarray = rng.poisson(facts.prints_per_min * day * shape.activity * excitement)
    counts[[shape.open_at, shape.close_at - 1, shape.close_at]] += 1  # opening, closing and official closing print
    if halt is not None:
        counts[halt[0] : halt[1]] = 0
        counts[halt[1]] += 1
    return counts


def _times_within(rng: np.random.Generator, minute: np.ndarray, counts: np.ndarray, shape: Shape) -> np.ndarray:
    """Return ns since the start of each print's minute, ascending inside the minute; auctions at the very start and end."""
    ts = minute * NS_PER_MIN + rng.integers(0, NS_PER_MIN, len(minute))
    ts.sort()  # minutes stay together, so only the order inside them changes
    within: np.ndarray = ts - minute * NS_PER_MIN
    last = np.cumsum(counts) - 1
    first = last - counts + 1
    jitter = rng.integers(5 * NS_PER_MS, 400 * NS_PER_MS, 2)
    if counts[shape.open_at]:
        within[first[shape.open_at]] = min(within[first[shape.open_at]], jitter[0])
    if counts[shape.close_at - 1]:
        within[last[shape.close_at - 1]] = max(within[last[shape.close_at - 1]], NS_PER_MIN - jitter[1])
    return within


def _bridge(
    rng: np.random.Generator, at: np.ndarray, minute: np.ndarray, counts: np.ndarray, level: np.ndarray, minute_vol: np.ndarray
) -> np.ndarray:
    """Return the log price at fraction `at` of each print's minute: straight between the marks plus a Brownian bridge."""
    last = np.cumsum(counts) - 1
    first = last - counts + 1
    before = np.concatenate([[0.0], at[:-1]])
    held = counts > 0
    before[first[held]] = 0.0
    walk = np.cumsum(rng.standard_normal(len(at)) * np.sqrt(np.maximum(at - before, 0.0)))
    padded = np.concatenate([[0.0], walk])
    base = padded[first]
    at_end = np.zeros(len(counts))
    at_end[held] = at[last[held]]
    end = padded[last + 1] - base + rng.standard_normal(len(counts)) * np.sqrt(1 - at_end)
    around = walk - base[minute] - at * end[minute]
    log_price: np.ndarray = level[minute] + at * np.diff(level)[minute] + minute_vol[minute] * around
    return log_price


def _kinds(uniform: np.ndarray, minute: np.ndarray, counts: np.ndarray, shape: Shape, halt: tuple[int, int] | None) -> np.ndarray:
    kind = _KIND_DRAWN[(1000 * uniform).astype(np.intp)]
    last = np.cumsum(counts) - 1
    first = last - counts + 1
    outside = ~shape.is_regular[minute]
    kind[outside] += EXTENDED
    is_halted = halt is not None and halt[0] <= shape.open_at < halt[1]
    if not is_halted:
        kind[first[shape.open_at]] = OPENING
    if halt is None or not halt[0] <= shape.close_at - 1 < halt[1]:
        kind[last[shape.close_at - 1]] = CLOSING
    kind[first[shape.close_at]] = OFFICIAL_CLOSE
    if halt is not None:
        kind[first[halt[1]]] = REOPENING
    return kind


def round_lot(price: float) -> int:
    """Return shares in a round lot (US rule since 2025-11-03: 100 to $250, 40 to $1,000, 10 to $10,000, then 1)."""
    if price <= 250:
        return 100
    return 40 if price <= 1000 else 10 if price <= 10_000 else 1


def _sizes(uniform: np.ndarray, exponential: np.ndarray, kind: np.ndarray, facts: SymbolFacts, price: float) -> np.ndarray:
    """Return shares: odd lots below a round lot, others whole lots with a long tail, auctions large."""
    lot = round_lot(price)
    tail = np.exp(0.6 * exponential) - 1  # Pareto: rare prints of hundreds of lots
    lots = 1 + np.floor((facts.mean_lots - 0.5) * (100 / lot) ** 0.5 * 0.42 * tail)
    size: np.ndarray = (lot * np.minimum(lots, 400)).astype(np.int64)
    plain = kind & (EXTENDED - 1)
    odd = (plain == ODD) | (plain == ODD_SWEEP)
    size[odd] = (1 + (lot - 1) * uniform[odd] ** 2).astype(np.int64)
    auction = (plain == OPENING) | (plain == CLOSING) | (plain == OFFICIAL_CLOSE) | (plain == REOPENING)
    size[auction] = lot * (facts.prints_per_min * (2 + 10 * uniform[auction])).astype(np.int64)
    return size


def minute_bars(prints: DayPrints, pre_open: int, minutes: int) -> np.ndarray:
    """Return the session's minute bars, BAR_DTYPE; a minute without a print that may set a price has none.

    Volume, vwap, vw_std and n_trades are of the prints that count for volume. A minute whose prints may set high and low only
    takes open and close from the first and last of them.
    """
    mask = KIND_MASK[prints.kind]
    counted = (mask & VOLUME) != 0
    volume, n_trades, vwap, vw_std = _volume_columns(prints, counted, minutes)
    high_low = np.flatnonzero(mask & HIGH_LOW)
    exists, first, last = _groups(prints.minute[high_low], minutes)
    bars = np.zeros(int(exists.sum()), BAR_DTYPE)
    bars["ts_open"] = pre_open + np.flatnonzero(exists) * NS_PER_MIN
    bars["ts_close"] = bars["ts_open"] + NS_PER_MIN
    if len(bars):
        cents = prints.cents[high_low]
        bars["high"], bars["low"] = np.maximum.reduceat(cents, first) / 100, np.minimum.reduceat(cents, first) / 100
        bars["open"], bars["close"] = cents[first] / 100, cents[last] / 100
        settled = np.flatnonzero(mask & OPEN_CLOSE)  # every such print may set high and low too
        has, first, last = _groups(prints.minute[settled], minutes)
        there = has[exists]
        bars["open"][there], bars["close"][there] = prints.cents[settled[first]] / 100, prints.cents[settled[last]] / 100
    for name, column in (("volume", volume), ("n_trades", n_trades), ("vwap", vwap), ("vw_std", vw_std)):
        bars[name] = column[exists]
    bars["source"] = BarSource.SIMULATED
    bars["is_complete"] = 1
    return bars


# A simulated minute without what follows from it: less than half of a bar.
PACKED_DTYPE = np.dtype(
    [("minute", "i2"), *((name, "i4") for name in ("open", "high", "low", "close", "volume", "n_trades")), ("vwap", "f8"), ("vw_std", "f8")]
)


def pack(bars: np.ndarray, pre_open: int) -> np.ndarray:
    """Return a session's bars (of `minute_bars`) as PACKED_DTYPE: prices in cents, minutes since the pre-market open."""
    packed = np.zeros(len(bars), PACKED_DTYPE)
    packed["minute"] = (bars["ts_open"] - pre_open) // NS_PER_MIN
    for name in ("open", "high", "low", "close"):
        packed[name] = np.rint(100 * bars[name])
    for name in ("volume", "n_trades", "vwap", "vw_std"):
        packed[name] = bars[name]
    return packed


def unpack(packed: np.ndarray, pre_open: int) -> np.ndarray:
    """Return the bars that `pack` was given, bit for bit."""
    bars = np.zeros(len(packed), BAR_DTYPE)
    bars["ts_open"] = pre_open + packed["minute"].astype(np.int64) * NS_PER_MIN
    bars["ts_close"] = bars["ts_open"] + NS_PER_MIN
    for name in ("open", "high", "low", "close"):
        bars[name] = packed[name] / 100
    for name in ("volume", "n_trades", "vwap", "vw_std"):
        bars[name] = packed[name]
    bars["source"] = BarSource.SIMULATED
    bars["is_complete"] = 1
    return bars


def _groups(minute: np.ndarray, minutes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which minutes occur, and index of the first and last row of each that does."""
    counts = np.bincount(minute, minlength=minutes)
    exists = counts > 0
    last = np.cumsum(counts)[exists] - 1
    return exists, last - counts[exists] + 1, last


def _volume_columns(prints: DayPrints, counted: np.ndarray, minutes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    weight = np.where(counted, prints.size, 0).astype(np.float64)
    volume = np.bincount(prints.minute, weight, minlength=minutes)
    n_trades = np.bincount(prints.minute, counted, minlength=minutes)
    whole = np.where(volume > 0, volume, 1.0)
    vwap_cents = np.bincount(prints.minute, weight * prints.cents, minlength=minutes) / whole  # integers below 2**53: exact sums
    away = prints.cents - vwap_cents[prints.minute]
    vw_std = np.sqrt(np.bincount(prints.minute, weight * away * away, minlength=minutes) / whole)
    return volume, n_trades, vwap_cents / 100, vw_std / 100


LATEST_S = 3  # no print arrives later than this after it happened
LATEST_NS = LATEST_S * NS_PER_S
