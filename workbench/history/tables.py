"""Files as tables of text and numbers: CSV, CSV in gzip, Parquet. Damage becomes a `FileError` in words; broken lines are counted.

Floor 1: pyarrow inside.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import FileError, SchemaError

EXTENSIONS = (".parquet", ".csv", ".csv.gz")
_DELIMITERS = (",", ";", "\t", "|")


@dataclass
class RawTable:
    """The content of one file: a pyarrow table, and reason -> lines that could not be read."""

    data: Any
    rejected: dict[str, int] = field(default_factory=dict)


def extension(path: Path) -> str:
    """Return '.parquet', '.csv' or '.csv.gz'; FileError names the allowed ones for anything else."""
    name = path.name.lower()
    found = next((e for e in reversed(EXTENSIONS) if name.endswith(e)), None)
    if found is None:
        raise FileError(f"file: received {path.name!r}; allowed: names that end in {', '.join(EXTENSIONS)}")
    return found


def read_raw(path: Path, text_columns: Callable[[list[str]], Iterable[str]]) -> RawTable:
    """Return the file's table. `text_columns` names, from the header, the CSV columns that stay text; the rest are numbers."""
    kind = extension(path)
    if kind == ".parquet":
        return _said(path, _read_parquet)
    return _read_csv(path, _said(path, _content), text_columns)


def read_headerless(path: Path) -> Any:
    """Return a CSV file of numbers without column names as a pyarrow table of float64."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    content = _said(path, _content)
    names = [str(k) for k in range(content.split(b"\n", 1)[0].count(b",") + 1)]
    options = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()))
    try:
        return pa_csv.read_csv(pa.BufferReader(content), pa_csv.ReadOptions(column_names=names), convert_options=options)
    except pa.ArrowInvalid as error:
        first = str(error).split("\n", 1)[0]
        raise FileError(f"{path.name}: corrupt: a file of numbers without column names can't be read ({first})") from None


def read_text(path: Path) -> str:
    """Return a CSV file's text, out of gzip where it is; FileError in words for damage and for what is no text."""
    content: bytes = _said(path, _content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{path.name}: corrupt: a .csv has to be UTF-8 text, this is binary") from None


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if extension(path) == ".csv.gz" else content


def _said(path: Path, read: Callable[[Path], Any]) -> Any:
    """Return what `read` returns; what the system or the decompression refuses becomes one sentence."""
    try:
        return read(path)
    except FileNotFoundError:
        raise FileError(f"file: received {str(path)!r}, which does not exist") from None
    except IsADirectoryError:
        raise FileError(f"file: received {str(path)!r}, which is a folder; allowed: one {', '.join(EXTENSIONS)} file") from None
    except EOFError:
        raise FileError(f"{path.name}: truncated: the gzip stream ends before its end mark; fetch or record the file again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FileError(f"{path.name}: corrupt: named .gz, but not a whole gzip stream ({error})") from None
    except OSError as error:
        raise FileError(f"{path.name}: can't be read: {error.strerror or error}") from None


def _read_parquet(path: Path) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.stat()  # FileNotFoundError in the system's words, before pyarrow's
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
        table.validate(full=True)  # text that is no UTF-8 would fail only where it is looked at
    except (pa.ArrowInvalid, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, IsADirectoryError):
            raise
        first = str(error).split("\n", 1)[0]
        raise FileError(f"{path.name}: corrupt or truncated: no readable Parquet file ({first})") from None
    plain = [column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column for column in table.columns]
    return RawTable(pa.table(plain, names=table.column_names))


def _read_csv(path: Path, content: bytes, text_columns: Callable[[list[str]], Iterable[str]]) -> RawTable:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    header, delimiter = _header(path, content)
    broken: list[int] = []

    def skip(row: Any) -> str:
        broken.append(row.actual_columns)
        return "skip"

    as_text = dict.fromkeys(text_columns(header), pa.string())
    parse = pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip)
    read = pa_csv.ReadOptions(block_size=max(1 << 20, min(len(content), 1 << 24)))
    as_numbers = as_text | {name: pa.float64() for name in header if name not in as_text}
    for types in (as_numbers, as_text | dict.fromkeys(header, pa.string())):
        broken.clear()
        try:
            table = pa_csv.read_csv(pa.BufferReader(content), read, parse, pa_csv.ConvertOptions(column_types=types))
        except pa.ArrowInvalid as error:
            problem = str(error).split("\n", 1)[0]
            continue
        rejected = {"line with the wrong number of fields": len(broken)} if broken else {}
        return RawTable(table, rejected)
    raise FileError(f"{path.name}: can't be read as CSV ({problem})")


def _header(path: Path, content: bytes) -> tuple[list[str], str]:
    """Return column names and delimiter of the first line."""
    if not content.strip():
        raise FileError(f"{path.name}: received an empty file")
    try:
        line = content[: 1 << 16].decode("utf-8-sig", "strict" if len(content) < 1 << 16 else "ignore").lstrip("\r\n")
    except UnicodeDecodeError:
        raise FileError(f"{path.name}: corrupt: a .csv has to be UTF-8 text, this is binary") from None
    line = re.split(r"[\r\n]", line, maxsplit=1)[0]
    if "\x00" in line:
        raise FileError(f"{path.name}: corrupt: a .csv has to be text, this is binary")
    delimiter = max(_DELIMITERS, key=line.count)
    names = next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])
    if all(re.fullmatch(r"\s*[-+]?[\d.]+(e-?\d+)?\s*", name) for name in names):
        raise SchemaError(f"{path.name}: columns: received no line of names, the first line is {line[:60]!r}; allowed: column names first")
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise SchemaError(f"{path.name}: columns: received {twice} more than once; allowed: each name once")
    return names, delimiter
