"""The file schemas, and reading anything close to them without guessing in silence.

By extension `.parquet`, `.csv`, `.csv.gz`:

trades   ts, symbol, price, size [, conditions (integers separated by spaces), exchange, tape, sequence, id]
quotes   ts, symbol, bid, bid_size, ask, ask_size
bars     ts (bar start), symbol, open, high, low, close, volume [, vwap, trades]

`ts` is int ns UTC or ISO-8601 with offset. Vendors' names and stamps are recognised (`columns.py`, `stamps.py`), options override
every guess, and each assumption is a sentence in `Table.assumptions`. `read_table` gives a file as it is: every row, in file
order, nothing mended; `recording.py` cleans it for use and `audit.py` judges it.

Floor 1: numpy; pyarrow and pandas inside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.errors import RecordError, SchemaError, SymbolError, choices
from workbench.history.columns import ALIASES, KINDS, REQUIRED, TEXT_COLUMNS, match_columns, plain_name, time_name
from workbench.history.lobster import is_lobster, read_lobster
from workbench.history.stamps import NO_TIME, parse_stamps
from workbench.history.tables import RawTable, read_raw
from workbench.history.timing import BarTiming, label_of, time_bars
from workbench.types import OptionContract, SymbolTable, Timeframe, check_symbol

Kind = Literal["trades", "quotes", "bars"]
FORMS = ("bars", "quote_bars", "quotes", "trades")  # layouts, in the order in which they are tried
UNNAMED = "UNNAMED"  # the symbol of a file that says none, where that does not matter
ABSENT = "-"  # as a column in the options: the file has none, and that is fine


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a person may say about a file; None leaves it to recognition.

    `columns`: our column -> the file's ('-' for a bar file without volume). `kind`: 'trades', 'quotes', 'bars'. `symbol` for files
    without a symbol column. `tz`: zone of stamps that carry none. `stamp`: 'start' or 'end' of the bar. `timeframe`: length of the bars.
    `unit` of numeric stamps: 's', 'ms', 'us', 'ns'.
    """

    kind: str | None = None
    symbol: str | None = None
    tz: str | None = None
    stamp: str | None = None
    timeframe: str | None = None
    unit: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise SchemaError(f"kind: received {choices(self.kind, KINDS)}")
        if self.stamp not in (None, "start", "end"):
            raise SchemaError(f"stamp: received {choices(self.stamp, ('start', 'end'))}")
        known = sorted({ours for names in ALIASES.values() for ours in names})
        for ours in self.columns:
            if ours not in known:
                raise SchemaError(f"columns: received {choices(ours, known)}")
        if self.symbol is not None:
            check_symbol(self.symbol)
        if self.timeframe is not None:
            Timeframe.parse(self.timeframe)


@dataclass
class Table:
    """One file under our names, every row as it stands, in file order.

    `ts`: event time, or the bar's START, int64 ns UTC (NO_TIME where unreadable). `symbol_ids` index `symbols`, -1 where there is none.
    `numbers`: float64 per column, NaN where the file has no number. `text`: object arrays (conditions, exchange, id …).
    `form` is how the file is laid out ('quote_bars' are quotes as bars), `kind` what it is used as.
    """

    path: Path
    kind: str
    form: str
    symbols: SymbolTable
    symbol_ids: np.ndarray
    ts: np.ndarray
    numbers: dict[str, np.ndarray]
    text: dict[str, Any]
    columns: dict[str, str]
    assumptions: list[str]
    rejected: dict[str, int]
    timing: BarTiming | None = None

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def length_ns(self) -> int:
        """Bar length [ns]; 0 for trades and quotes."""
        return self.timing.length_ns if self.timing else 0


def read_table(path: str | Path, options: ReadOptions | None = None, *, needs_symbol: bool = True) -> Table:
    """Return the file as it is, under our names, with what was assumed.

    Without `needs_symbol` a file that names no symbol is read as `UNNAMED` (an audit can do without).
    FileError when it is corrupt or truncated, SchemaError when columns are missing or unknown, TimestampError when its stamps are naive.
    """
    path = Path(path)
    chosen = options = options or ReadOptions()
    if is_lobster(path):
        return _lobster_table(path, options)
    raw = read_raw(path, lambda header: _text_columns(header, chosen))
    received = list(raw.data.column_names)
    form = _form(path, received, options)
    columns = _columns(path, received, form, options)
    assumptions = [
        f"read as {form.replace('_', ' ')}, because of the columns {', '.join(repr(columns[c]) for c in REQUIRED[form] if c in columns)}"
    ]
    assumptions += [f"column {theirs!r} is {ours}" for ours, theirs in columns.items() if plain_name(theirs) != ours and ours != "ts"]
    if not raw.data.num_rows:
        raise SchemaError(f"{path.name}: received a header and no rows; allowed: at least one row")
    if not needs_symbol and options.symbol is None and "symbol" not in columns and _symbol_in_name(path) is None:
        options = replace(options, symbol=UNNAMED)
        assumptions.append(f"symbol: none in the columns or in the file's name; called {UNNAMED}")
    table = _build(path, raw, form, columns, options, assumptions)
    if form in ("bars", "quote_bars"):
        _time(table, options)
    return table


def _lobster_table(path: Path, options: ReadOptions) -> Table:
    """Return a LOBSTER file as a table; it is known by its name and has no header."""
    day = read_lobster(path)
    if options.kind not in (None, day.kind):
        raise SchemaError(f"kind: received {options.kind!r}; allowed: {day.kind!r} for {path.name}")
    symbols = SymbolTable([options.symbol or day.symbol])
    ids = np.zeros(len(day.ts), np.int32)
    return Table(path, day.kind, day.kind, symbols, ids, day.ts, day.numbers, {}, {"ts": "time"}, list(day.assumptions), {})


def _text_columns(header: list[str], options: ReadOptions) -> set[str]:
    """Return the header names that must not be turned into numbers: symbols, codes, ids, and every kind of time."""
    form = next((f for f in FORMS if set(REQUIRED[f]) <= set(_named(header, f, options))), FORMS[0])
    named = _named(header, form, options)
    return {named[ours] for ours in TEXT_COLUMNS if ours in named} | {
        name for name in header if time_name(name) and name not in named.values()
    }


def _form(path: Path, received: list[str], options: ReadOptions) -> str:
    """Return the layout whose required columns are all there."""
    wanted = {"bars": ("bars", "quote_bars"), "quotes": ("quotes", "quote_bars"), "trades": ("trades",)}
    forms = wanted[options.kind] if options.kind else FORMS
    missing = {form: [c for c in REQUIRED[form] if c not in _named(received, form, options)] for form in forms}
    found = next((form for form in forms if not missing[form]), None)
    if found is not None:
        return found
    nearest = min(forms, key=lambda form: len(missing[form]) / len(REQUIRED[form]))
    raise SchemaError(
        f"{path.name}: columns: received {', '.join(received[:40])}; as {nearest.replace('_', ' ')} it lacks "
        f"{', '.join(missing[nearest])}; "
        f"allowed: {_schemas()} (vendor names are recognised; others by option: columns price=Px)"
    )


def _schemas() -> str:
    return "; ".join(f"{kind}: {', '.join(('ts', 'symbol', *REQUIRED[kind][1:]))}" for kind in KINDS)


def _named(received: list[str], form: str, options: ReadOptions) -> dict[str, str]:
    taken = set(options.columns.values())
    found = {ours: theirs for ours, theirs in match_columns(received, form).items() if theirs not in taken}
    return found | {ours: theirs for ours, theirs in options.columns.items() if ours in ALIASES[form]}


def _columns(path: Path, received: list[str], form: str, options: ReadOptions) -> dict[str, str]:
    """Return our column -> the file's, options first; SchemaError for options that name what is not there."""
    for ours, theirs in options.columns.items():
        if ours not in ALIASES[form]:
            raise SchemaError(f"columns: received {choices(ours, ALIASES[form])}")
        if theirs != ABSENT and theirs not in received:
            raise SchemaError(f"{path.name}: columns: {ours}={choices(theirs, received)}")
        if theirs == ABSENT and ours != "volume":
            raise SchemaError(f"columns: received {ours}={ABSENT}; allowed: only volume may be absent")
    return _named(received, form, options)


def _build(path: Path, raw: RawTable, form: str, columns: dict[str, str], options: ReadOptions, assumptions: list[str]) -> Table:
    data = raw.data
    stamps = parse_stamps(
        _time_column(path, data, columns["ts"], options), name=columns["ts"], where=path.name, tz=options.tz, unit=options.unit
    )
    if stamps.is_date_only and form != "bars":
        raise SchemaError(f"{path.name}: column {columns['ts']!r}: received dates without a time; allowed: dates only for daily bars")
    assumptions += stamps.assumptions
    rejected = raw.rejected | stamps.rejected
    numbers, text = {}, {}
    for ours, theirs in columns.items():
        if ours in ("ts", "symbol") or theirs == ABSENT:
            continue
        if ours in TEXT_COLUMNS:
            text[ours] = data.column(theirs)
        else:
            numbers[ours] = _numbers(path, data.column(theirs), theirs)
    if columns.get("volume") == ABSENT:
        numbers["volume"] = np.zeros(data.num_rows)
        assumptions.append("volume: none in the file, taken as 0 (an index level), as given")
    symbols, ids = _symbols(path, data, columns, options, assumptions)
    kind = options.kind or ("quotes" if form == "quote_bars" else form)
    if options.tz and not any(options.tz in said for said in stamps.assumptions):
        assumptions.append(f"time: column {columns['ts']!r} says its own zone; tz {options.tz} was not needed")
    return Table(path, kind, form, symbols, ids, stamps.ts, numbers, text, columns, assumptions, rejected)


def _time_column(path: Path, data: Any, name: str, options: ReadOptions) -> Any:
    """Return the time column; a clock time (HH:MM) is put together with the date column, or with the date in the file's name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = data.column(name)
    if pa.types.is_time(column.type):
        column = column.cast(pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    if not pc.all(pc.match_substring_regex(column.drop_null(), r"^\s*\d\d?:\d\d(:\d\d(\.\d+)?)?\s*$")).as_py() or not len(
        column.drop_null()
    ):
        return column
    dates = next((data.column(c) for c in data.column_names if plain_name(c) in ("date", "day", "session") and c != name), None)
    if dates is not None:
        return pc.binary_join_element_wise(dates.cast(pa.string()), column, " ")
    day = re.search(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)(?!\d)", path.name)
    if day is None:
        raise SchemaError(
            f"{path.name}: column {name!r}: received clock times and no date; allowed: a date column, or the date in the file's name"
        )
    if options.tz is not None:
        return pc.binary_join_element_wise("-".join(day.groups()), column, " ")
    return pc.binary_join_element_wise("-".join(day.groups()), column, "T")


def _numbers(path: Path, column: Any, name: str) -> np.ndarray:
    """Return a column as float64; text that is no number is NaN, and a column that is mostly such text is refused."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        import pandas as pd

        values = pd.to_numeric(pc.replace_substring(column, ",", "").to_pandas(), errors="coerce").to_numpy(np.float64)
        filled = np.asarray(pc.not_equal(column, "").fill_null(fill_value=False))
        if filled.any() and np.isnan(values[filled]).mean() > 0.5:
            example = column.filter(pa.array(filled & np.isnan(values)))[0].as_py()
            raise SchemaError(f"{path.name}: column {name!r}: received text like {example!r}; allowed: numbers")
        return values
    if not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_decimal(column.type)
        or pa.types.is_null(column.type)
    ):
        raise SchemaError(f"{path.name}: column {name!r}: received values of type {column.type}; allowed: numbers")
    return np.array(column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(), np.float64)


def _symbols(
    path: Path, data: Any, columns: dict[str, str], options: ReadOptions, assumptions: list[str]
) -> tuple[SymbolTable, np.ndarray]:
    """Return the symbols and each row's id: from the column, as options' contracts, or one symbol for the whole file."""
    import pyarrow as pa

    n = data.num_rows
    if {"right", "strike", "expiry"} <= set(columns):
        return _contracts(path, data, columns, options, assumptions)
    if "symbol" in columns and options.symbol is None:
        encoded = data.column(columns["symbol"]).cast(pa.string()).combine_chunks().dictionary_encode()
        names = [str(v).strip() for v in encoded.dictionary.to_pylist()]
        table = SymbolTable()
        ids = np.array([_intern(table, name) for name in names] or [-1], np.int32)
        index = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
        return table, np.where(index < 0, -1, ids[index]).astype(np.int32)
    symbol = options.symbol or _needed_symbol(path)
    if options.symbol is None:
        assumptions.append(f"symbol: {symbol}, from the file's name")
    elif "symbol" in columns:
        assumptions.append(f"symbol: every row taken as {symbol}, as given, whatever column {columns['symbol']!r} says")
    return SymbolTable([symbol]), np.zeros(n, np.int32)


def _intern(table: SymbolTable, name: str) -> int:
    try:
        return table.intern(name)
    except SymbolError:
        return -1


def _symbol_in_name(path: Path) -> str | None:
    """Return the capitals that a file's name begins with, or None."""
    match = re.match(r"((?:O:)?[A-Z][A-Z0-9]{0,20}(?:\.[A-Z])?)(?=[_\-. ])", path.name)
    return match[1] if match else None


def _needed_symbol(path: Path) -> str:
    symbol = _symbol_in_name(path)
    if symbol is None:
        raise SchemaError(
            f"{path.name}: symbol: received no symbol column and no symbol in the file's name; "
            "allowed: a column 'symbol', or the option symbol"
        )
    return symbol


def _contracts(
    path: Path, data: Any, columns: dict[str, str], options: ReadOptions, assumptions: list[str]
) -> tuple[SymbolTable, np.ndarray]:
    """Return option contracts as OCC symbols (O:GOOG151224C00590000) from right, strike and expiry."""
    import pandas as pd
    import pyarrow as pa

    root = options.symbol or _needed_symbol(path)
    assumptions.append(f"symbol: option contracts of {root} made of {columns['right']!r}, {columns['strike']!r} and {columns['expiry']!r}")
    parts = pd.DataFrame({k: data.column(columns[k]).cast(pa.string()).to_pandas() for k in ("right", "expiry")})
    parts["strike"] = _numbers(path, data.column(columns["strike"]), columns["strike"])
    codes, unique = pd.factorize(pd.MultiIndex.from_frame(parts))
    table = SymbolTable()
    ids = np.array([_contract(table, root, right, expiry, strike) for right, expiry, strike in unique] or [-1], np.int32)
    return table, np.where(codes < 0, -1, ids[codes]).astype(np.int32)


def _contract(table: SymbolTable, root: str, right: str, expiry: str, strike: float) -> int:
    try:
        digits = re.sub(r"\D", "", str(expiry))[:8]
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
        side: Literal["C", "P"] = "C" if str(right).strip().upper().startswith("C") else "P"
        return table.intern(OptionContract(root, day, side, Decimal(str(round(strike, 3)))).symbol)
    except (ValueError, RecordError, ArithmeticError):
        return -1


def _time(table: Table, options: ReadOptions) -> None:
    """Find the bars' length and stamp, and turn `ts` into bar starts."""
    hint = time_name(table.columns["ts"])
    known = table.ts != NO_TIME
    volume = table.numbers.get("volume")
    timing = time_bars(
        table.ts[known],
        table.symbol_ids[known],
        None if volume is None else volume[known],
        given_length=Timeframe.parse(options.timeframe).length_ns if options.timeframe else None,
        given_stamp=options.stamp,
        name_stamp=hint.stamp if hint else None,
        column=table.columns["ts"],
    )
    table.ts[known] = timing.starts
    table.timing = timing
    table.assumptions += timing.assumptions


__all__ = ["ABSENT", "Kind", "ReadOptions", "Table", "label_of", "read_table"]
