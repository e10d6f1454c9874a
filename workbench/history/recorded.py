"""What the recorder keeps of a market: one folder a New York day, one Parquet file a kind and symbol, and the ledger of what is missing.

    <folder>/date=2026-11-20/trades/symbol=SPY.parquet        accepted prints, in order of arrival
                             quotes/ bars/ history/           quotes, the provider's streamed minutes, minutes read from its history
                             quarantined/                     events put aside, with the reason
                             chains/                          option chains, a snapshot a minute (`recorded_chains.py`)
                             missing.parquet, ledger.json     see `ledger.py`

The columns are those of `schema.py` and more (`ts_recv`, when we knew), so every tool that reads files reads these; read here, every
field comes back as it was accepted. Rows are added to a file by writing it anew beside the old one, which it then replaces. The file
says of which segments of the recorder's write-ahead file it holds the rows, so adding a segment twice adds it once.

Floor 1: numpy; pyarrow inside.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.errors import FileError
from workbench.history.files import replace_file
from workbench.history.recording import Recording
from workbench.history.store import folder_name
from workbench.history.writing import conditions_text
from workbench.types import BAR_DTYPE, MAX_CONDITIONS, QUOTE_DTYPE, TRADE_DTYPE, SymbolTable

log = logging.getLogger(__name__)

MARKET_KINDS = ("trades", "quotes", "bars", "history")  # what can be played
KINDS = (*MARKET_KINDS, "quarantined", "chains")
DTYPES = {"trades": TRADE_DTYPE, "quotes": QUOTE_DTYPE, "bars": BAR_DTYPE, "history": BAR_DTYPE}
ROWS_AT_ONCE = 1 << 16  # rows of one row group; what is held in memory while a file is written anew
_KIND, _SEGMENTS = b"workbench.recorded", b"workbench.segments"

# our field -> its column; trades' conditions and ids are text
_COLUMNS = {
    "trades": {"ts_event": "ts", "ts_recv": "ts_recv", "price": "price", "size": "size", "exchange": "exchange", "tape": "tape"}
    | {"sequence": "sequence"},
    "quotes": {"ts_event": "ts", "ts_recv": "ts_recv", "bid": "bid", "bid_size": "bid_size", "ask": "ask", "ask_size": "ask_size"}
    | {"sequence": "sequence", "condition": "condition_id", "exchange": "exchange_id"},
    "bars": {"ts_open": "ts", "open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume", "vwap": "vwap"}
    | {"n_trades": "trades", "vw_std": "vw_std", "source": "bar_source", "is_complete": "is_complete"},
}
_COLUMNS["history"] = _COLUMNS["bars"]


# -- where things are ------------------------------------------------------------------------------------------------------------


def day_folder(folder: Path, day: date) -> Path:
    """Return the folder of one New York day."""
    return folder / f"date={day}"


def file_of(folder: Path, day: date, kind: str, symbol: str) -> Path:
    """Return the file of one kind, symbol and New York day."""
    return day_folder(folder, day) / kind / f"{folder_name(symbol)}.parquet"


def days_in(folder: Path) -> list[Path]:
    """Return the day folders that a recorder's folder holds (or the folder itself when it is one), oldest first."""
    if folder.name.startswith("date="):
        return [folder]
    return sorted(p for p in folder.glob("date=*") if p.is_dir())


def market_files(folder: Path) -> list[Path]:
    """Return the files of prints, quotes and bars of all days in a recorder's folder, oldest day first; [] for any other folder."""
    return [path for day in days_in(folder) for kind in MARKET_KINDS for path in sorted((day / kind).glob("symbol=*.parquet"))]


# -- writing ---------------------------------------------------------------------------------------------------------------------


def add_rows(path: Path, kind: str, symbol: str, parts: Sequence[tuple[str, Any]], known: Iterable[str]) -> int:
    """Add rows to a file, in the order given; return how many were new.

    `parts`: (segment, rows) with rows in the kind's dtype, or for 'quarantined' a list of (ts ns, reason, raw text). A segment whose
    rows the file holds is left out. `known`: the segments that may be given again some day; of others the file need not say that
    it holds them. OSError when the disk refuses; the file is then as it was. A file that can't be read is set aside, not deleted.
    """
    import pyarrow.parquet as pq

    held = _held(path)
    fresh = [(segment, rows) for segment, rows in parts if segment not in held]
    if not fresh:
        return 0
    told = {*(segment for segment in held if segment in set(known)), *(segment for segment, _ in parts)}
    table = _table(kind, symbol, [rows for _, rows in fresh])
    schema = table.schema.with_metadata({_KIND: kind.encode(), _SEGMENTS: json.dumps(sorted(told)).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(partial: Path) -> None:
        with pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True) as writer:
            for part in _in_groups(itertools.chain(_groups_of(path), table.to_batches(ROWS_AT_ONCE)), schema):
                writer.write_table(part)

    try:
        replace_file(path, write)
    except OSError as error:
        if error.errno is not None or not path.is_file():
            raise
        _set_aside(path, error)  # no word of the disk's: the old file's own bytes are spoiled
        replace_file(path, write)
    return len(table)


def _held(path: Path) -> set[str]:
    """Return the segments whose rows a file holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return set()
    try:
        return set(json.loads((pq.read_schema(path).metadata or {}).get(_SEGMENTS, b"[]")))
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the file's
        _set_aside(path, error)
        return set()


def _set_aside(path: Path, error: Exception) -> None:
    n = next(k for k in range(1, 10_000) if not path.with_name(f"{path.name}.broken{k}").exists())
    aside = path.rename(path.with_name(f"{path.name}.broken{n}"))
    log.error("recorder: %s can't be read (%s) and was set aside as %s", path, str(error).split("\n", 1)[0], aside.name)


def _groups_of(path: Path) -> Iterable[Any]:
    """Yield a file's rows, a bounded number at a time."""
    import pyarrow.parquet as pq

    if path.is_file():
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for k in range(file.num_row_groups):
                yield from file.read_row_group(k).to_batches(ROWS_AT_ONCE)


def _in_groups(batches: Iterable[Any], schema: Any) -> Iterable[Any]:
    """Yield the same rows as tables of `ROWS_AT_ONCE` and a rest, so that many small additions leave no small row groups."""
    import pyarrow as pa

    waiting: list[Any] = []
    n = 0
    for batch in batches:
        waiting.append(batch)
        n += len(batch)
        while n >= ROWS_AT_ONCE:
            table = pa.Table.from_batches(waiting).combine_chunks()
            yield table.slice(0, ROWS_AT_ONCE).cast(schema)
            waiting, n = table.slice(ROWS_AT_ONCE).to_batches(), n - ROWS_AT_ONCE
    if n:
        yield pa.Table.from_batches(waiting).combine_chunks().cast(schema)


def _table(kind: str, symbol: str, parts: list[Any]) -> Any:
    """Return rows as columns."""
    import pyarrow as pa

    if kind == "quarantined":
        lines = [line for part in parts for line in part]
        names = pa.array([symbol] * len(lines), pa.string())
        stamps = pa.array([line[0] for line in lines], pa.int64())
        return pa.table({"ts": stamps, "symbol": names} | {k: pa.array([line[i] for line in lines], pa.string()) for i, k in _TEXTS})
    rows = np.concatenate(parts)
    if kind == "chains":
        return pa.table({name: pa.array(np.ascontiguousarray(rows[name])) for name in rows.dtype.names or ()})
    columns = {theirs: np.ascontiguousarray(rows[ours]) for ours, theirs in _COLUMNS[kind].items()}
    columns["symbol"] = pa.DictionaryArray.from_arrays(np.zeros(len(rows), np.int32), pa.array([symbol])).cast(pa.string())
    if kind == "trades":
        columns["conditions"] = pa.array(conditions_text(rows), pa.string())
        columns["id"] = _texts(rows["id"])
    return pa.table(columns)


def _texts(values: np.ndarray) -> Any:
    """Return bytes as text; what is no UTF-8 is shown as such."""
    import pyarrow as pa

    try:
        return pa.array(np.ascontiguousarray(values)).cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([one.decode("utf-8", "replace") for one in values.tolist()], pa.string())


_TEXTS = ((1, "reason"), (2, "raw"))


# -- reading ---------------------------------------------------------------------------------------------------------------------


def recorded_kind(path: Path) -> str:
    """Return what one of the recorder's files holds ('trades', 'quotes', …), '' for any other file. FileError when it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.name.endswith(".parquet") or not path.is_file():
        return ""
    try:
        return (pq.read_schema(path).metadata or {}).get(_KIND, b"").decode()
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"{path.name}: corrupt or truncated: no readable Parquet file ({str(error).split(chr(10), 1)[0]})") from None


def read_recorded(path: Path) -> Recording | None:
    """Return the rows of one of the recorder's files, every field as it was accepted; None for any other file.

    Prints and quotes stand in order of arrival, and `ts_recv` never goes back nor is earlier than `ts_event`: the moment at which a
    replay tells them. Of a minute that one origin told again the last telling is kept. FileError when the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = recorded_kind(path)
    if kind not in MARKET_KINDS:
        return None
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"{path.name}: corrupt or truncated: no readable Parquet file ({str(error).split(chr(10), 1)[0]})") from None
    symbols = SymbolTable([table["symbol"][0].as_py()] if len(table) else [])
    rows = np.zeros(len(table), DTYPES[kind])
    for ours, theirs in _COLUMNS[kind].items():
        rows[ours] = table[theirs].to_numpy()
    ids = np.zeros(len(rows), np.int32)
    if kind in ("bars", "history"):
        rows["ts_close"] = rows["ts_open"] + NS_PER_MIN
        rows = _last_tellings(rows)
        return Recording(path, "bars", rows, ids[: len(rows)], symbols, NS_PER_MIN, is_as_told=True)
    if kind == "trades":
        _fill_texts(rows, table)
    rows["ts_recv"] = np.maximum.accumulate(np.maximum(rows["ts_recv"], rows["ts_event"])) if len(rows) else 0
    return Recording(path, kind, rows, ids, symbols, 0, is_as_told=True)


def _last_tellings(rows: np.ndarray) -> np.ndarray:
    """Return the last row of each minute and origin, by time."""
    order = np.lexsort((rows["source"], rows["ts_open"]))
    rows = rows[order]
    is_last = (rows["ts_open"][1:] != rows["ts_open"][:-1]) | (rows["source"][1:] != rows["source"][:-1])
    return rows[np.r_[is_last, True]] if len(rows) else rows


def _fill_texts(rows: np.ndarray, table: Any) -> None:
    """Fill conditions and ids of prints from their texts."""
    encoded = table["conditions"].combine_chunks().dictionary_encode()
    words = [[int(word) for word in text.split()] for text in encoded.dictionary.to_pylist()]
    ids, counts = np.zeros((len(words) + 1, MAX_CONDITIONS), np.int16), np.zeros(len(words) + 1, np.int8)
    for k, conditions in enumerate(words):
        ids[k, : len(conditions)], counts[k] = conditions, len(conditions)
    at = encoded.indices.to_numpy()
    rows["conditions"], rows["n_conditions"] = ids[at], counts[at]
    rows["id"] = np.array([text.encode() for text in table["id"].to_pylist()], rows["id"].dtype)


def read_quarantined(path: Path) -> list[tuple[int, str, str, str]]:
    """Return the events put aside that a file holds: (ts ns UTC, symbol, reason, raw text)."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read()
    return list(zip(*(table[name].to_pylist() for name in ("ts", "symbol", "reason", "raw")), strict=True))
