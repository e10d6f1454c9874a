"""A recorded market, ready for use: cleaned, in time order, in the dtypes of `types.py`; what was dropped is counted by reason.

In: one file in any layout that `schema.py` reads. Out: `Recording`. Nothing is mended: a row that contradicts itself is
quarantined, a stamp told twice keeps its last row (vendors send a correction as a repetition), missing bars stay missing.

Floor 1: numpy; pyarrow inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.conditions import REGULAR_TABLE, TABLE_SIZE, UNKNOWN
from workbench.history.aggregate import best_of_venues
from workbench.history.columns import EXCHANGES, SIP_CONDITIONS
from workbench.history.marks import Marks, next_edges
from workbench.history.schema import ReadOptions, Table, read_table
from workbench.history.stamps import NO_TIME
from workbench.history.timing import DAY
from workbench.types import BAR_DTYPE, MAX_CONDITIONS, MAX_ID_BYTES, QUOTE_DTYPE, TRADE_DTYPE, BarSource, SymbolTable

_ROUND_LOT = 100
_NOT_CANCELLED = (0, 1, 2)  # TAQ correction codes of prints that stand; the others were cancelled or replaced


@dataclass
class Recording:
    """One file's market data. `rows`: TRADE_DTYPE, QUOTE_DTYPE or BAR_DTYPE by `kind`, in time order per the whole file.

    `symbol_ids` index `symbols` (bars carry no symbol of their own). `length_ns`: bar length, 0 for trades and quotes.
    `quarantined`: reason -> rows. `is_as_told`: recorded by our own hub; `ts_recv` says when each row was known, and prints and
    quotes stand in that order.
    """

    path: Path
    kind: str
    rows: np.ndarray
    symbol_ids: np.ndarray
    symbols: SymbolTable
    length_ns: int
    assumptions: list[str] = field(default_factory=list)
    quarantined: dict[str, int] = field(default_factory=dict)
    is_as_told: bool = False

    def of(self, symbol: str) -> np.ndarray:
        """Return one symbol's rows in time order (empty when the file has none)."""
        symbol_id = self.symbols.get(symbol)
        return self.rows[:0] if symbol_id is None else self.rows[self.symbol_ids == symbol_id]

    @property
    def span(self) -> tuple[int, int]:
        """First and last moment told [ns UTC]: of bars, the first open and the last close."""
        if not len(self.rows):
            return 0, 0
        if self.kind == "bars":
            return int(self.rows["ts_open"][0]), int(self.rows["ts_close"].max())
        return int(self.rows["ts_event"][0]), int(self.rows["ts_event"][-1])

    def summary(self) -> list[str]:
        """Return what a person should know: assumptions, then what was quarantined."""
        return [*self.assumptions, *(f"quarantined: {n:,} rows: {reason}" for reason, n in self.quarantined.items())]


def load(path: str | Path, options: ReadOptions | None = None) -> Recording:
    """Return the file cleaned for use. Raises as `schema.read_table` does."""
    return clean_table(read_table(path, options))


def clean_table(table: Table) -> Recording:
    """Return the usable rows of a table in our dtypes, in time order, with the rest counted by reason."""
    recording = Recording(
        table.path, table.kind, np.zeros(0, BAR_DTYPE), table.symbol_ids, table.symbols, table.length_ns, list(table.assumptions)
    )
    recording.quarantined = dict(table.rejected)
    makers = {("trades", "trades"): _trades, ("quotes", "quotes"): _quotes, ("quotes", "quote_bars"): _closing_quotes}
    makers |= {("bars", "bars"): _bars, ("bars", "quote_bars"): _midpoint_bars}
    makers[table.kind, table.form](table, recording)
    return recording


# -- what makes a row unusable ------------------------------------------------------------------------------------------------


class _Sieve:
    """Rows still good, and reason -> rows dropped so far; a row counts under its first reason only."""

    def __init__(self, table: Table, quarantined: dict[str, int]) -> None:
        self.good = table.ts != NO_TIME  # counted when the stamps were parsed
        self._quarantined = quarantined
        self.drop("no symbol, or one that can't be read", table.symbol_ids < 0)

    def drop(self, reason: str, bad: np.ndarray) -> None:
        """Drop the rows marked in `bad`."""
        n = int((bad & self.good).sum())
        if n:
            self._quarantined[reason] = self._quarantined.get(reason, 0) + n
            self.good &= ~bad


def _keep(recording: Recording, rows: np.ndarray, ids: np.ndarray, good: np.ndarray, order: Iterable[np.ndarray]) -> None:
    """Keep the good rows, sorted by the given keys (first key first; rows that tie stay in file order)."""
    keys = [key[good] for key in order]
    at = np.lexsort(keys[::-1]) if any(np.any(key[1:] < key[:-1]) for key in keys) else slice(None)
    recording.rows, recording.symbol_ids = rows[good][at], ids[good][at]


def _bad_price(values: np.ndarray) -> np.ndarray:
    return ~(np.isfinite(values) & (values > 0))


# -- trades -------------------------------------------------------------------------------------------------------------------


def _trades(table: Table, recording: Recording) -> None:
    n = len(table)
    rows = np.zeros(n, TRADE_DTYPE)
    rows["ts_event"] = rows["ts_recv"] = table.ts
    rows["symbol_id"] = table.symbol_ids
    for name in ("price", "size"):
        rows[name] = table.numbers[name]
    if "sequence" in table.numbers:
        rows["sequence"] = np.nan_to_num(table.numbers["sequence"]).astype(np.int64)
    _codes(table, rows, recording.assumptions)
    sieve = _Sieve(table, recording.quarantined)
    sieve.drop("price not above 0", _bad_price(rows["price"]))
    sieve.drop("size below 0 or missing", ~(np.isfinite(rows["size"]) & (rows["size"] >= 0)))
    sieve.drop("cancelled or corrected later, by the file's correction code", _cancelled(table))
    sieve.drop("flagged suspicious by the vendor", _flagged(table))
    sieve.drop("unknown sale condition", unknown_conditions(rows))
    sieve.drop("print told twice", repeated_prints(rows))
    _keep(recording, rows, table.symbol_ids, sieve.good, (rows["ts_event"], rows["sequence"]))


def _codes(table: Table, rows: np.ndarray, said: list[str]) -> None:
    """Fill conditions, exchange, tape and id from text, value by distinct value."""
    if "conditions" in table.text:
        _conditions(table, rows, said)
    for name in ("exchange", "tape"):
        if name in table.text:
            rows[name] = _by_value(table.text[name], lambda text: EXCHANGES.get(text.upper(), _whole(text)))
    if "id" in table.text:
        ids = table.text["id"].to_pandas().fillna("").astype(str).to_numpy()
        rows["id"] = np.array([i.encode()[-MAX_ID_BYTES:] for i in ids], rows["id"].dtype)


def _conditions(table: Table, rows: np.ndarray, said: list[str]) -> None:
    """Fill condition ids: integers as they are, SIP letters by table; hexadecimal vendor flags have no public meaning and are left out."""
    name = table.columns["conditions"]
    if "hex" in name.lower():
        said.append(f"conditions: column {name!r} holds vendor flags without a published meaning; every print taken as a regular sale")
        return
    distinct, codes = _distinct(table.text["conditions"])
    counts_of = np.bincount(codes, minlength=len(distinct))
    told = [sum(int(n) for text, n in zip(distinct, counts_of, strict=True) if re.search(form, text)) for form in (r"[A-Za-z@]", r"\d\d")]
    letters = told[0] > told[1]  # ids have two digits mostly; one damaged cell must not turn the whole column into letters
    if letters:
        said.append(f"conditions: column {name!r} read as SIP letters and translated to Polygon ids (F=14, T=12, I=37, …)")
    parsed = [_letters(text) if letters else _integers(text) for text in distinct]
    ids = np.zeros((max(len(distinct), 1), MAX_CONDITIONS), np.int16)
    counts = np.zeros(max(len(distinct), 1), np.int8)
    for k, conditions in enumerate(parsed):
        counts[k] = len(conditions[:MAX_CONDITIONS])
        ids[k, : counts[k]] = conditions[:MAX_CONDITIONS]
    if any(len(conditions) > MAX_CONDITIONS for conditions in parsed):
        said.append(f"conditions: only the first {MAX_CONDITIONS} of a print are kept")
    rows["conditions"], rows["n_conditions"] = ids[codes], counts[codes]


def _distinct(column: Any) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts of a column (empty for null) and each row's index into them."""
    import pyarrow as pa

    encoded = column.cast(pa.string()).fill_null("").combine_chunks().dictionary_encode()
    return [str(v) for v in encoded.dictionary.to_pylist()], encoded.indices.to_numpy().astype(np.int64)


def _letters(text: str) -> list[int]:
    """Return the ids of SIP condition letters ('@F I'); one that is not in the table is an id that no rule knows."""
    return [SIP_CONDITIONS.get(letter, -1) for letter in text.upper() if not letter.isspace()]


def _integers(text: str) -> list[int]:
    return [_whole(part, -1) for part in re.split(r"[\s,;\[\]]+", text) if part]


def _whole(text: str, otherwise: int = 0) -> int:
    try:
        value = float(text)
    except ValueError:
        return otherwise
    return int(value) if value == int(value) and abs(value) < 32_000 else otherwise


def _by_value(column: Any, convert: Any) -> np.ndarray:
    distinct, codes = _distinct(column)
    return np.array([convert(text.strip()) for text in distinct] or [0], np.int64)[codes]


def _cancelled(table: Table) -> np.ndarray:
    if "correction" not in table.text:
        return np.zeros(len(table), bool)
    return ~np.isin(_by_value(table.text["correction"], _whole), _NOT_CANCELLED)


def _flagged(table: Table) -> np.ndarray:
    flags = table.numbers.get("suspicious")
    return np.zeros(len(table), bool) if flags is None else np.nan_to_num(flags) != 0


def unknown_conditions(rows: np.ndarray) -> np.ndarray:
    """Return which prints carry a condition id that the rule table does not know; bool shape (n,)."""
    used = np.arange(MAX_CONDITIONS) < rows["n_conditions"][:, None]
    ids = rows["conditions"]
    inside = (ids >= 0) & (ids < TABLE_SIZE)
    known = inside & (REGULAR_TABLE[np.clip(ids, 0, TABLE_SIZE - 1)] != UNKNOWN)
    return np.asarray((used & ~known).any(axis=1))


def repeated_prints(rows: np.ndarray) -> np.ndarray:
    """Return which prints repeat an earlier one: same symbol, time, exchange and id, or the same sequence where there are no ids.

    A file with neither has no repeated prints: equal rows are common and real (many fills of one order share a stamp).
    """
    has_id = rows["id"] != b""
    if has_id.any():
        keys, told = ("symbol_id", "ts_event", "exchange", "tape", "id"), has_id
    elif (rows["sequence"] != 0).any():
        keys, told = ("symbol_id", "ts_event", "sequence", "price", "size"), rows["sequence"] != 0
    else:
        return np.zeros(len(rows), bool)
    return told & _again([rows[key] for key in keys])


def _again(keys: list[np.ndarray]) -> np.ndarray:
    """Return which rows equal an earlier row in all keys."""
    order = np.lexsort(keys[::-1])
    same = np.ones(max(len(order) - 1, 0), bool)
    for key in keys:
        sorted_key = key[order]
        same &= sorted_key[1:] == sorted_key[:-1]
    again = np.zeros(len(order), bool)
    again[order[1:][same]] = True
    return again


# -- quotes -------------------------------------------------------------------------------------------------------------------


def _quotes(table: Table, recording: Recording) -> None:
    rows = _quote_rows(table, "bid", "ask", table.ts)
    rows["sequence"] = np.nan_to_num(table.numbers["sequence"]).astype(np.int64) if "sequence" in table.numbers else 0
    if "exchange" in table.text:
        rows["exchange"] = _by_value(table.text["exchange"], lambda text: EXCHANGES.get(text.upper(), _whole(text)))
    for name in ("bid_size", "ask_size"):
        if name in table.columns and re.fullmatch(r"(bid|ofr)siz", table.columns[name].lower()):
            rows[name] *= _ROUND_LOT
            recording.assumptions.append(f"sizes: column {table.columns[name]!r} counts round lots of 100 shares (TAQ)")
    sieve = _Sieve(table, recording.quarantined)
    sieve.drop("flagged suspicious by the vendor", _flagged(table))
    sieve.drop("price below 0 or not finite", _wrong_side(table, "bid") | _wrong_side(table, "ask"))
    sieve.drop("crossed quote (bid above ask)", rows["bid"] > rows["ask"])
    one_venue = len(np.unique(rows["exchange"])) < 2
    if one_venue:
        sieve.drop("quote without any price", np.isnan(rows["bid"]) & np.isnan(rows["ask"]))
    _keep(recording, rows, table.symbol_ids, sieve.good, (rows["ts_event"], rows["sequence"]))
    if not one_venue:
        _consolidate(recording)


def _quote_rows(table: Table, bid: str, ask: str, ts: np.ndarray) -> np.ndarray:
    """Return QUOTE_DTYPE rows; a side of 0 or without a number is NaN with size 0 (no quote)."""
    rows = np.zeros(len(table), QUOTE_DTYPE)
    rows["ts_event"] = rows["ts_recv"] = ts
    rows["symbol_id"] = table.symbol_ids
    for ours, theirs in (("bid", bid), ("ask", ask)):
        price = table.numbers[theirs]
        rows[ours] = np.where(price > 0, price, np.nan)
        size = np.nan_to_num(table.numbers.get(f"{ours}_size", np.zeros(len(table))))
        rows[f"{ours}_size"] = np.where(price > 0, np.maximum(size, 0), 0)
    return rows


def _wrong_side(table: Table, name: str) -> np.ndarray:
    price = table.numbers[name]
    return (price < 0) | np.isinf(price)


def _consolidate(recording: Recording) -> None:
    """Turn quotes of single venues into the best of all venues."""
    rows, ids = recording.rows, recording.symbol_ids
    n_venues = len(np.unique(rows["exchange"]))
    recording.assumptions.append(f"quotes: each row is one venue's ({n_venues} venues); the best bid and ask over all venues were taken")
    for symbol_id in np.unique(ids):
        mine = ids == symbol_id
        rows[mine] = best_of_venues(rows[mine])
    crossed = rows["bid"] > rows["ask"]
    if crossed.any():
        recording.quarantined["venues crossed (best bid above best ask)"] = int(crossed.sum())
        recording.rows, recording.symbol_ids = rows[~crossed], ids[~crossed]


def _closing_quotes(table: Table, recording: Recording) -> None:
    """Quotes recorded as bars: the quote that stood at each bar's end, stamped there."""
    rows = _quote_rows(table, "bid_close", "ask_close", table.ts + table.length_ns)
    recording.assumptions.append("quotes: recorded as bars; the closing bid and ask of each bar are taken, at the bar's end")
    recording.length_ns = 0
    sieve = _Sieve(table, recording.quarantined)
    sieve.drop("price below 0 or not finite", _wrong_side(table, "bid_close") | _wrong_side(table, "ask_close"))
    sieve.drop("quote without any price", np.isnan(rows["bid"]) & np.isnan(rows["ask"]))
    sieve.drop("crossed quote (bid above ask)", rows["bid"] > rows["ask"])
    _keep(recording, rows, table.symbol_ids, sieve.good, (rows["ts_event"],))


# -- bars ---------------------------------------------------------------------------------------------------------------------


def _midpoint_bars(table: Table, recording: Recording) -> None:
    """Quotes recorded as bars, read as bars: the midpoint of bid and ask at open, high, low and close; volume 0."""
    for part in ("open", "high", "low", "close"):
        table.numbers[part] = (table.numbers[f"bid_{part}"] + table.numbers[f"ask_{part}"]) / 2
    table.numbers["volume"] = np.zeros(len(table))
    recording.assumptions.append("bars: midpoint of bid and ask, volume 0 (high and low are the midpoints of both sides' extremes)")
    _bars(table, recording)


def _bars(table: Table, recording: Recording) -> None:
    rows = bar_rows(table)
    sieve = _Sieve(table, recording.quarantined)
    marks = Marks(rows["ts_open"])
    prices = [rows[name] for name in ("open", "high", "low", "close")]
    sieve.drop("closing price at the close stamp, not a bar", closing_rows(table, rows, marks))
    sieve.drop("price missing", np.asarray(np.isnan(prices).any(axis=0)))
    sieve.drop("price not above 0", np.asarray(np.array([_bad_price(p) for p in prices]).any(axis=0)))
    sieve.drop("high or low inside the bar's own open and close", ohlc_violations(rows))
    sieve.drop("volume below 0", rows["volume"] < 0)
    if table.length_ns < DAY:
        sieve.drop("outside 04:00-20:00 of a trading day", marks.segment == 0)
    sieve.drop("stamp told again later", _superseded(table.symbol_ids, rows["ts_open"], newest_first(table.ts)))
    missing = np.isnan(rows["volume"]) & sieve.good
    if missing.any():
        rows["volume"][missing] = 0
        recording.assumptions.append(f"volume: missing in {int(missing.sum()):,} bars, taken as 0")
    _keep(recording, rows, table.symbol_ids, sieve.good, (rows["ts_open"], table.symbol_ids))


def bar_rows(table: Table) -> np.ndarray:
    """Return every row of a bar table as BAR_DTYPE, unchecked; bars end with their segment or session."""
    rows = np.zeros(len(table), BAR_DTYPE)
    rows["ts_open"] = table.ts
    rows["ts_close"] = _closes(table.ts, table.length_ns)
    for name in ("open", "high", "low", "close", "volume"):
        rows[name] = table.numbers[name]
    rows["vwap"] = table.numbers.get("vwap", np.full(len(table), np.nan))
    rows["n_trades"] = table.numbers.get("trades", np.full(len(table), np.nan))
    rows["vw_std"] = np.nan
    rows["source"], rows["is_complete"] = BarSource.FILE, 1
    return rows


def _closes(ts: np.ndarray, length_ns: int) -> np.ndarray:
    marks = Marks(ts)
    if length_ns < DAY:
        return np.minimum(ts + length_ns, next_edges(marks))
    sessions = marks.calendar.sessions
    last = np.searchsorted(sessions["open"], ts + (length_ns - DAY // 2), side="right") - 1
    return np.maximum(sessions["close"][np.maximum(last, 0)], ts + 1)


def closing_rows(table: Table, rows: np.ndarray, marks: Marks) -> np.ndarray:
    """Return which rows are a session's closing price stamped at the close, told without volume. Intraday files only."""
    at_close = (marks.session >= 0) & (table.ts == marks.calendar.sessions["close"][np.maximum(marks.session, 0)])
    return at_close & ~(rows["volume"] > 0) if table.length_ns < DAY else np.zeros(len(rows), bool)


def ohlc_violations(rows: np.ndarray) -> np.ndarray:
    """Return which bars have a high below, or a low above, their own open or close."""
    top, bottom = np.maximum(rows["open"], rows["close"]), np.minimum(rows["open"], rows["close"])
    return np.asarray((rows["high"] < top) | (rows["low"] > bottom) | (rows["high"] < rows["low"]))


def newest_first(ts: np.ndarray) -> bool:
    """Return True when a file is written backwards: more than nine of ten steps go back in time."""
    steps = np.diff(ts[ts != NO_TIME])
    return len(steps) > 0 and float(np.mean(steps < 0)) > 0.9


def _superseded(ids: np.ndarray, ts: np.ndarray, backwards: bool) -> np.ndarray:
    """Return which rows are told again by a newer row of the same symbol and stamp (newest-first files tell the newest first)."""
    if backwards:
        return _again([ids, ts])
    return _again([ids[::-1], ts[::-1]])[::-1]
