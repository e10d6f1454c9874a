"""What is let through and what is put aside, with a reason.

Nothing is mended and nothing vanishes: an event that can't be right is quarantined, counted by reason, and kept (the newest
few hundred) for people to look at. A price far from the market is held until three prints in a row agree with it; then the
level was real and the held prints are released, so a true jump costs nothing.

Floor 2. The loops are numba kernels over the frame; state is one record per symbol, owned by the hub's thread.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.conditions import EXTENDED_TABLE, HIGH_LOW, OPEN_CLOSE, TABLE_SIZE, UNKNOWN
from workbench.types import MAX_CONDITIONS, NS_PER_S, TRADE_DTYPE, SymbolTable

# Reason codes of the kernels; index into REASONS.
OK, BAD_PRICE, BAD_SIZE, BAD_TIME, DUPLICATE, OFF_MARKET = range(6)
UNKNOWN_CONDITION, CROSSED, EMPTY_QUOTE, CONFIRMED, OFF_FIRST, BAD_SYMBOL = range(6, 12)
REASONS = (
    "accepted",
    "price not a number above 0",
    "negative or missing size",
    "stamp in the future or before 1990",
    "duplicate print",
    "price far from the market",
    "unknown sale condition",
    "crossed quote",
    "quote without a side",
    "accepted",
    "price far from the market",  # the first of a run of suspects
    "unknown symbol id",
)

FUTURE_NS = 60 * NS_PER_S  # a provider's clock may be ahead of ours by this much
FIRST_NS = 631_152_000 * NS_PER_S  # 1990-01-01
RECENT_NS = 120 * NS_PER_S  # a last price older than this says nothing about a bad tick
OFF_FRAC, OFF_USD = 0.03, 0.50  # a price-setting print further from the last one than both is suspect
OPTION_OFF_FRAC, OPTION_OFF_USD = 0.60, 2.00  # option prices jump by whole ticks of a small number
AGREE_FRAC = 0.015  # suspects this close to each other agree
AGREE_COUNT = 3
MAX_NAMES = 20_000  # symbols, or reasons, counted apart

_STATE_DTYPE = np.dtype([("price", "f8"), ("ts", "i8"), ("suspect", "f8"), ("n_suspect", "i4"), ("is_option", "u1"), ("spare", "u1", (3,))])
_SEEN_SIZE = 1 << 19  # keys in one generation of the duplicate filter; two generations are held
_ID_OFFSET = TRADE_DTYPE.fields["id"][1]  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One event that was put aside. `raw` is the record's repr or the provider's bytes, cut to 200 characters."""

    reason: str
    symbol: str
    ts_recv: int
    raw: str


class Quarantine:
    """Events put aside: counts by reason (and by symbol), and the newest few to look at. Safe across threads."""

    def __init__(self, on_put: Callable[[Quarantined], None] | None = None, keep: int = 500) -> None:
        """`on_put` is told of each event, on the thread that puts it aside."""
        self._on_put = on_put
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()  # reason -> events
        self._by_symbol: dict[str, Counter[str]] = {}  # symbol -> reason -> events
        self._recent: deque[Quarantined] = deque(maxlen=keep)

    def put(self, reason: str, symbol: str, ts_recv: int, raw: str) -> None:
        """Count one event and keep it among the newest."""
        if self._on_put is not None:
            self._on_put(Quarantined(reason, symbol, ts_recv, raw[:200]))
        with self._lock:
            reason, symbol = _known(reason, self._counts), _known(symbol, self._by_symbol)
            self._counts[reason] += 1
            self._by_symbol.setdefault(symbol, Counter())[reason] += 1
            self._recent.append(Quarantined(reason, symbol, ts_recv, raw[:200]))

    def take_back(self, reason: str, symbol: str, count: int) -> None:
        """Uncount events that were held and then proved right."""
        with self._lock:
            reason, symbol = _known(reason, self._counts), _known(symbol, self._by_symbol)
            self._counts[reason] -= count
            self._by_symbol[symbol][reason] -= count

    def counts(self, symbol: str | None = None) -> dict[str, int]:
        """Return events by reason, of one symbol or of all."""
        with self._lock:
            found = self._counts if symbol is None else self._by_symbol.get(symbol, Counter())
            return {reason: n for reason, n in found.items() if n}

    def recent(self) -> tuple[Quarantined, ...]:
        """Return the newest events put aside, oldest first."""
        with self._lock:
            return tuple(self._recent)

    def __iter__(self) -> Iterator[Quarantined]:
        return iter(self.recent())

    def __len__(self) -> int:
        return sum(self.counts().values())


def _known(name: str, counted: dict[str, Any]) -> str:
    """Return the name to count under: a feed of garbage can't make the books grow without end."""
    return name if name in counted or len(counted) < MAX_NAMES else "(others)"


class TradeCleaner:
    """Splits frames of prints into accepted and quarantined. One per hub; its state is per symbol."""

    def __init__(self, symbols: SymbolTable, quarantine: Quarantine) -> None:
        self._symbols = symbols
        self._quarantine = quarantine
        self._state = np.zeros(0, _STATE_DTYPE)
        self._held: dict[int, list[np.ndarray]] = {}  # symbol id -> prints far from the market, waiting to be confirmed
        self._seen = np.zeros((2, _SEEN_SIZE), np.uint64)
        self._n_seen = np.zeros(2, np.int64)  # keys in the present generation, index of that generation

    def clean(self, rows: np.ndarray, now_ns: int) -> np.ndarray:
        """Return the prints that may build bars, TRADE_DTYPE shape (m,), in order; the others are quarantined.

        `rows`: TRADE_DTYPE shape (n,). `now_ns` bounds stamps from the future where a row has no `ts_recv`.
        """
        self._grow()
        rows = np.ascontiguousarray(rows)
        codes = np.empty(len(rows), np.uint8)
        raw = rows.view(np.uint8).reshape(len(rows), rows.itemsize)
        known = len(self._symbols)
        n_bad = _clean_trades(rows, raw, self._state, known, self._seen, self._n_seen, EXTENDED_TABLE, np.int64(now_ns), codes)
        return rows if not n_bad else self._split(rows, codes)

    def reset(self) -> None:
        """Forget prices and prints seen (a replay begins anew)."""
        self._state[:] = np.zeros((), _STATE_DTYPE)
        names = list(self._symbols)[: len(self._state)]
        self._state["is_option"][: len(names)] = [name.startswith("O:") for name in names]
        self._held.clear()
        self._seen[:] = 0
        self._n_seen[:] = 0

    def _split(self, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
        kept = [rows[(codes == OK) | (codes == CONFIRMED)]]
        for i in np.flatnonzero(codes != OK):
            row, code = rows[i : i + 1], int(codes[i])
            sid = int(row["symbol_id"][0])
            symbol = symbol_name(self._symbols, sid)
            if code == CONFIRMED:
                released = self._held.pop(sid, [])
                self._quarantine.take_back(REASONS[OFF_MARKET], symbol, len(released))
                kept = released + kept  # they carry earlier stamps; bars order prints by stamp
                continue
            self._quarantine.put(REASONS[code], symbol, int(row["ts_recv"][0]), repr(row[0]))
            if code == OFF_FIRST:
                self._held[sid] = [row.copy()]  # an earlier run was never confirmed and stays put aside
            elif code == OFF_MARKET:
                self._held[sid].append(row.copy())
        return np.concatenate(kept)

    def _grow(self) -> None:
        n, held = len(self._symbols), len(self._state)
        if n <= held:
            return
        grown = np.zeros(max(n, 2 * held, 64), _STATE_DTYPE)
        grown[:held] = self._state
        grown["is_option"][:n] = [name.startswith("O:") for name in self._symbols][:n]
        self._state = grown


def clean_quotes(rows: np.ndarray, symbols: SymbolTable, quarantine: Quarantine) -> np.ndarray:
    """Return the quotes that may be shown, QUOTE_DTYPE; a side of price 0 becomes NaN (no quote), the rest is quarantined."""
    rows = np.ascontiguousarray(rows)
    codes = np.empty(len(rows), np.uint8)
    if not _clean_quotes(rows, len(symbols), codes):
        return rows
    for i in np.flatnonzero(codes != OK):
        row = rows[i]
        quarantine.put(REASONS[int(codes[i])], symbol_name(symbols, int(row["symbol_id"])), int(row["ts_recv"]), repr(row))
    return rows[codes == OK]


def symbol_name(symbols: SymbolTable, symbol_id: int) -> str:
    """Return the symbol with this id, or '?' when there is none."""
    return symbols.name(symbol_id) if 0 <= symbol_id < len(symbols) else "?"


def clean_bars(rows: np.ndarray, symbol: str, sessions: np.ndarray, now_ns: int, quarantine: Quarantine) -> np.ndarray:
    """Return a provider's closed minutes that may be stored, BAR_DTYPE, by time and each once (the later one stands).

    `sessions`: SESSION_DTYPE rows. Minutes that contradict themselves, are still open or lie outside trading hours are quarantined.
    """
    opens, body = rows["ts_open"], (rows["open"], rows["close"])
    in_session = sessions[np.maximum(np.searchsorted(sessions["pre_open"], opens, side="right") - 1, 0)]
    checks = (
        ("bar with a price that is no number above 0", ~((rows["low"] > 0) & np.isfinite(rows["high"]))),
        ("bar whose range does not hold its open and close", ~((rows["low"] <= np.minimum(*body)) & (np.maximum(*body) <= rows["high"]))),
        ("bar with a volume that is no number from 0", ~((rows["volume"] >= 0) & np.isfinite(rows["volume"]))),
        ("bar that is no whole minute", (opens % NS_PER_MIN != 0) | (rows["ts_close"] != opens + NS_PER_MIN)),
        ("bar that is not closed yet", (rows["is_partial"] != 0) | (rows["ts_close"] > now_ns + FUTURE_NS)),
        ("bar outside trading hours", (opens < in_session["pre_open"]) | (opens >= in_session["post_close"])),
    )
    is_good = np.ones(len(rows), bool)
    for reason, is_bad in checks:
        for i in np.flatnonzero(is_good & is_bad):
            quarantine.put(reason, symbol, 0, repr(rows[i]))
        is_good &= ~is_bad
    good = rows[is_good]
    if len(good) > 1 and not (np.diff(good["ts_open"]) > 0).all():
        good = good[np.argsort(good["ts_open"], kind="stable")]
        good = good[np.r_[good["ts_open"][1:] != good["ts_open"][:-1], True]]
    return good


@nb.njit(cache=True, nogil=True)
def _mix(h, x):  # type: ignore[no-untyped-def]
    """One round of splitmix64 over a running hash."""
    h = (h ^ np.uint64(x)) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def _print_key(row, raw):  # type: ignore[no-untyped-def]
    """Return what makes a print unique, never 0; 0 when it carries neither a sequence nor an id."""
    h = _mix(np.uint64(1), row.symbol_id + 1)
    if row.sequence != 0:
        return _mix(_mix(h, row.sequence), row.ts_event) | np.uint64(1)
    if raw[_ID_OFFSET] == 0:
        return np.uint64(0)
    h = _mix(h, row.exchange)
    for k in range(_ID_OFFSET, _ID_OFFSET + 20):
        if raw[k] == 0:
            break
        h = _mix(h, raw[k])
    return h | np.uint64(1)


@nb.njit(cache=True, nogil=True)
def _seen_before(key, seen, n_seen):  # type: ignore[no-untyped-def]
    """Look `key` up in both generations and note it in the present one; a half-full generation retires the older."""
    size = seen.shape[1]
    for g in range(2):
        at = np.int64(key % np.uint64(size))
        while seen[g, at] != 0:
            if seen[g, at] == key:
                return True
            at = (at + 1) % size
    g = n_seen[1]
    if n_seen[0] > size // 2:
        g = 1 - g
        seen[g, :] = 0
        n_seen[0], n_seen[1] = 0, g
    at = np.int64(key % np.uint64(size))
    while seen[g, at] != 0:
        at = (at + 1) % size
    seen[g, at] = key
    n_seen[0] += 1
    return False


@nb.njit(cache=True, nogil=True)
def _judge_price(state, price, ts):  # type: ignore[no-untyped-def]
    """Return OK, OFF_FIRST or OFF_MARKET, or CONFIRMED when suspects in a row agree; moves the state."""
    frac, usd = (OPTION_OFF_FRAC, OPTION_OFF_USD) if state.is_option else (OFF_FRAC, OFF_USD)
    is_near = abs(price - state.price) <= max(frac * state.price, usd)
    if state.price == 0 or is_near or ts - state.ts > RECENT_NS:
        if ts >= state.ts:
            state.price, state.ts = price, ts
        state.n_suspect = 0
        return OK
    if state.n_suspect > 0 and abs(price - state.suspect) <= max(AGREE_FRAC * state.suspect, usd / 2):
        state.n_suspect += 1
    else:
        state.n_suspect = 1
    state.suspect = price
    if state.n_suspect == 1:
        return OFF_FIRST
    if state.n_suspect < AGREE_COUNT:
        return OFF_MARKET
    state.price, state.ts, state.n_suspect = price, ts, 0
    return CONFIRMED


@nb.njit(cache=True, nogil=True)
def _clean_trades(rows, raw, states, n_symbols, seen, n_seen, table, now_ns, codes):  # type: ignore[no-untyped-def]
    n_bad = 0
    for i in range(len(rows)):
        row = rows[i]
        code = OK
        known_by = row.ts_recv if row.ts_recv > 0 else now_ns
        if row.symbol_id < 0 or row.symbol_id >= n_symbols:
            code = BAD_SYMBOL
        elif not (row.price > 0 and row.price < 1e9):
            code = BAD_PRICE
        elif row.n_conditions < 0 or row.n_conditions > MAX_CONDITIONS:
            code = UNKNOWN_CONDITION
        elif not (row.size >= 0 and row.size < 1e12):
            code = BAD_SIZE
        elif row.ts_event < FIRST_NS or row.ts_event > known_by + FUTURE_NS:
            code = BAD_TIME
        else:
            mask = 7
            for k in range(row.n_conditions):
                c = row.conditions[k]
                if c < 0 or c >= TABLE_SIZE or table[c] == UNKNOWN:
                    code = UNKNOWN_CONDITION
                    break
                mask &= table[c]
            if code == OK:
                key = _print_key(row, raw[i])
                if key != 0 and _seen_before(key, seen, n_seen):
                    code = DUPLICATE
                elif mask & (HIGH_LOW | OPEN_CLOSE):
                    code = _judge_price(states[row.symbol_id], row.price, row.ts_event)
        codes[i] = code
        n_bad += code != OK
    return n_bad


@nb.njit(cache=True, nogil=True)
def _clean_quotes(rows, n_symbols, codes):  # type: ignore[no-untyped-def]
    n_bad = 0
    for i in range(len(rows)):
        row = rows[i]
        code = OK
        if row.bid == 0:
            row.bid = np.nan
        if row.ask == 0:
            row.ask = np.nan
        has_bid, has_ask = row.bid == row.bid, row.ask == row.ask
        if row.symbol_id < 0 or row.symbol_id >= n_symbols:
            code = BAD_SYMBOL
        elif (has_bid and (row.bid < 0 or row.bid > 1e9)) or (has_ask and (row.ask < 0 or row.ask > 1e9)):
            code = BAD_PRICE
        elif not has_bid and not has_ask:
            code = EMPTY_QUOTE
        elif row.bid > row.ask:
            code = CROSSED
        elif row.ts_event < FIRST_NS or (row.ts_recv > 0 and row.ts_event > row.ts_recv + FUTURE_NS):
            code = BAD_TIME
        codes[i] = code
        n_bad += code != OK
    return n_bad
