"""Recordings to files in our own schemas (`schema.py`), `.parquet`, `.csv` or `.csv.gz` by the name.

A file appears whole or not at all: it is written beside its place and renamed. `ts` is int64 ns UTC.

Floor 1: pyarrow inside.
"""

from __future__ import annotations

import contextlib
import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import StoreError
from workbench.history.recording import Recording
from workbench.history.tables import extension
from workbench.types import MAX_CONDITIONS


def write_recording(path: str | Path, recording: Recording) -> None:
    """Write a recording's rows; FileError for another extension, StoreError when the disk refuses (an older file stays as it was)."""
    path = Path(path)
    kind = extension(path)
    table = {"trades": _trades, "quotes": _quotes, "bars": _bars}[recording.kind](recording)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _write(table, partial, kind)
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"can't write {path}: {error.strerror or error}; nothing was changed") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _write(table: Any, path: Path, kind: str) -> None:
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    if kind == ".parquet":
        pq.write_table(table, path, compression="zstd", write_page_checksum=True)
        return
    options = pa_csv.WriteOptions(quoting_style="needed", quoting_header="none")
    buffer = pa.BufferOutputStream()
    pa_csv.write_csv(table, buffer, options)
    content = buffer.getvalue().to_pybytes()
    path.write_bytes(gzip.compress(content, compresslevel=6, mtime=0) if kind == ".csv.gz" else content)


def _common(recording: Recording, ts: str) -> dict[str, Any]:
    import pyarrow as pa

    names = pa.array(list(recording.symbols), pa.string())
    symbols = pa.DictionaryArray.from_arrays(pa.array(recording.symbol_ids.astype(np.int32)), names)
    return {"ts": np.ascontiguousarray(recording.rows[ts]), "symbol": symbols.cast(pa.string())}


def _known(values: np.ndarray) -> Any:
    """Return a column with nulls for NaN."""
    import pyarrow as pa

    return pa.array(np.ascontiguousarray(values), from_pandas=True)


def _bars(recording: Recording) -> Any:
    import pyarrow as pa

    rows = recording.rows
    columns = _common(recording, "ts_open") | {name: _known(rows[name]) for name in ("open", "high", "low", "close", "volume", "vwap")}
    return pa.table(columns | {"trades": _known(rows["n_trades"])})


def _quotes(recording: Recording) -> Any:
    import pyarrow as pa

    return pa.table(
        _common(recording, "ts_event") | {name: _known(recording.rows[name]) for name in ("bid", "bid_size", "ask", "ask_size")}
    )


def _trades(recording: Recording) -> Any:
    import pyarrow as pa

    rows = recording.rows
    columns = _common(recording, "ts_event") | {name: _known(rows[name]) for name in ("price", "size")}
    columns["conditions"] = pa.array(conditions_text(rows), pa.string())
    columns |= {name: np.ascontiguousarray(rows[name]) for name in ("exchange", "tape", "sequence")}
    columns["id"] = pa.array([i.decode() for i in rows["id"].tolist()], pa.string())
    return pa.table(columns)


def conditions_text(rows: np.ndarray) -> np.ndarray:
    """Return the condition ids of each print, separated by spaces; distinct combinations are put in words once."""
    used = np.arange(MAX_CONDITIONS) < rows["n_conditions"][:, None]
    padded = np.where(used, rows["conditions"], np.int16(-1))
    _, first, back = np.unique(padded.view(f"S{2 * MAX_CONDITIONS}").ravel(), return_index=True, return_inverse=True)
    words = np.array([" ".join(str(i) for i in row if i >= 0) for row in padded[first].tolist()] or [""], object)
    return words[back] if len(rows) else words[:0]
