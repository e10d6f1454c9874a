"""Closed bars on disk: Parquet partitioned by symbol and day, read through DuckDB.

    <folder>/bars/1m/symbol=SPY/day=2026-01-22/bars.parquet
    <folder>/bars/1m/symbol=SPY/complete.json      the spans proved to hold every bar there is

A write merges by `ts_open` into the day's file, in a new file that replaces the old one only when it is whole on the disk; when the
disk is full or the folder closed, `StoreError` says so and what was stored stays as it was. A day's file that can't be read any
more is set aside (never deleted), its span is no longer called complete, and the rest of the store goes on.

Floor 1. Safe across threads, and across processes where the system has advisory file locks.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from workbench.errors import StoreError
from workbench.history.files import replace_file
from workbench.history.intervals import Span, cut_out, minus, union
from workbench.sessions import ny_ns, to_ny
from workbench.types import BAR_DTYPE, Timeframe, check_symbol

log = logging.getLogger(__name__)

STORED = tuple(name for name in BAR_DTYPE.names or () if name not in ("seq", "is_partial", "spare"))
_FILE, _COVERAGE = "bars.parquet", "complete.json"


def folder_name(symbol: str) -> str:
    """Return a folder name that no file system confuses with another symbol's: capitals, digits and . - _ stay, the rest is %XX.

    Small letters are written %XX too: 'BCpC' and 'BCPC' are different shares, but one folder where case does not count.
    """
    return "symbol=" + "".join(c if c.isdigit() or "A" <= c <= "Z" or c in ".-_" else f"%{ord(c):02X}" for c in check_symbol(symbol))


class BarStore:
    """The closed bars of all symbols in one timeframe below one folder."""

    def __init__(self, folder: str | Path, timeframe: str = "1m") -> None:
        """`folder` is made at the first write; nothing is read before the first question."""
        self.timeframe = Timeframe.parse(timeframe)
        self.root = Path(folder).expanduser() / "bars" / self.timeframe.label
        self._lock = threading.RLock()

    # -- questions ---------------------------------------------------------------------------------------------------------

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols that have bars, sorted."""
        with _os_errors("read", self.root):
            found = [p.name for p in self.root.iterdir() if p.name.startswith("symbol=")] if self.root.is_dir() else []
        return tuple(sorted(unquote(name.removeprefix("symbol=")) for name in found))

    def days(self, symbol: str) -> tuple[date, ...]:
        """Return the New York dates that have bars, oldest first."""
        folder = self.root / folder_name(symbol)
        with _os_errors("read", folder):
            names = [p.name.removeprefix("day=") for p in folder.iterdir() if (p / _FILE).is_file()] if folder.is_dir() else []
        return tuple(sorted(date.fromisoformat(name) for name in names))

    def span(self, symbol: str) -> Span | None:
        """Return first ts_open and last ts_close stored, or None when there is nothing."""
        days = self.days(symbol)
        ends = [self.read(symbol, ny_ns(day, 0), ny_ns(day + timedelta(1), 0)) for day in (days[:1] + days[-1:])]
        return (int(ends[0]["ts_open"][0]), int(ends[-1]["ts_close"].max())) if ends and len(ends[0]) and len(ends[-1]) else None

    def read(self, symbol: str, start_ns: int, end_ns: int) -> np.ndarray:
        """Return the bars with start_ns <= ts_open < end_ns, BAR_DTYPE, oldest first; seq is 0."""
        with self._lock:
            return self._query(self._files(symbol, start_ns, end_ns), start_ns, end_ns)

    def last(self, symbol: str, before_ns: int, limit: int) -> np.ndarray:
        """Return the newest `limit` bars with ts_open < before_ns, BAR_DTYPE, oldest first."""
        with self._lock:
            parts: list[np.ndarray] = []
            n = 0
            for day in reversed(self.days(symbol)):
                if n >= limit:
                    break
                start = ny_ns(day, 0)
                if start < before_ns:
                    parts.append(self.read(symbol, start, min(before_ns, ny_ns(day + timedelta(1), 0))))
                    n += len(parts[-1])
        rows = np.concatenate(parts[::-1]) if parts else np.zeros(0, BAR_DTYPE)
        return rows[max(0, len(rows) - limit) :]

    def missing(self, symbol: str, start_ns: int, end_ns: int) -> list[Span]:
        """Return the parts of [start_ns, end_ns) that were never proved complete, oldest first."""
        with self._lock:
            return minus((start_ns, end_ns), self._coverage(symbol))

    def query(self, sql: str) -> Any:
        """Return the answer to an SQL question as a DataFrame; the table `bars` has all symbols and days (columns symbol, day, …)."""
        connection = _duckdb().cursor()
        source = str(self.root / "*" / "*" / _FILE).replace("'", "''")
        try:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW bars AS SELECT * FROM read_parquet('{source}', hive_partitioning = true)")  # noqa: S608
            return connection.execute(sql).df()
        except _duckdb_error() as error:
            raise StoreError(f"store: can't answer {sql!r}: {_first_line(error)}") from None
        finally:
            connection.close()

    # -- changes -----------------------------------------------------------------------------------------------------------

    def write(self, symbol: str, rows: np.ndarray, *, complete: Span | None = None) -> None:
        """Merge closed bars (BAR_DTYPE, any order): a bar already stored with the same ts_open is replaced.

        `complete` names a span that is proved to hold every bar there is. StoreError when the disk refuses; nothing stored is lost.
        """
        folder = self.root / folder_name(symbol)
        with self._lock, _os_errors("write", folder):
            if len(rows) or complete:
                folder.mkdir(parents=True, exist_ok=True)
            with _file_lock(folder / ".lock") if folder.is_dir() else contextlib.nullcontext():
                for day, part in _by_day(rows):
                    self._merge(symbol, folder / f"day={day}" / _FILE, part)
                if complete:
                    self._cover(symbol, union([*self._coverage(symbol), complete]))

    def forget(self, symbol: str, start_ns: int, end_ns: int) -> None:
        """Take out the bars of a span that turned out wrong; it counts as complete no more."""
        folder = self.root / folder_name(symbol)
        with self._lock, _os_errors("write", folder):
            if not folder.is_dir():
                return
            with _file_lock(folder / ".lock"):
                for path in self._files(symbol, start_ns, end_ns):
                    rows = self._read_file(symbol, path)
                    kept = rows[(rows["ts_open"] < start_ns) | (rows["ts_open"] >= end_ns)]
                    if len(kept) < len(rows):
                        replace_file(path, lambda partial, kept=kept: _write_parquet(partial, kept))  # type: ignore[misc]
                self._cover(symbol, cut_out(self._coverage(symbol), (start_ns, end_ns)))

    def retire(self, symbol: str) -> Path | None:
        """Put all bars of a symbol aside (renamed, never deleted) because they no longer fit the provider's; return where they are."""
        folder = self.root / folder_name(symbol)
        with self._lock, _os_errors("set aside", folder):
            if not folder.is_dir():
                return None
            n = next(k for k in range(1, 10_000) if not folder.with_name(f"retired{k}-{folder.name}").exists())
            aside = folder.rename(folder.with_name(f"retired{n}-{folder.name}"))
        log.warning("store: the bars of %s were set aside as %s; they will be fetched again", symbol, aside.name)
        return aside

    def _merge(self, symbol: str, path: Path, rows: np.ndarray) -> None:
        if path.is_file():
            rows = np.concatenate([self._read_file(symbol, path), rows])
        order = np.argsort(rows["ts_open"], kind="stable")
        rows = rows[order]
        newest = np.r_[rows["ts_open"][1:] != rows["ts_open"][:-1], True] if len(rows) else np.zeros(0, bool)
        path.parent.mkdir(exist_ok=True)
        replace_file(path, lambda partial: _write_parquet(partial, rows[newest]))

    def _read_file(self, symbol: str, path: Path) -> np.ndarray:
        return self._query([path], np.iinfo(np.int64).min, np.iinfo(np.int64).max, symbol)

    def _files(self, symbol: str, start_ns: int, end_ns: int) -> list[Path]:
        folder = self.root / folder_name(symbol)
        if end_ns <= start_ns:
            return []
        first, last = to_ny(_bounded(start_ns)).date(), to_ny(_bounded(end_ns - 1)).date()
        return [folder / f"day={day}" / _FILE for day in self.days(symbol) if first <= day <= last]

    def _query(self, files: list[Path], start_ns: int, end_ns: int, symbol: str | None = None) -> np.ndarray:
        """Return rows of several files in time order; a file that can't be read is set aside and the rest is read."""
        if not files:
            return np.zeros(0, BAR_DTYPE)
        cursor = _duckdb().cursor()
        try:
            found = cursor.execute(
                f"SELECT {', '.join(STORED)} FROM read_parquet(?, hive_partitioning = false) "  # noqa: S608
                "WHERE ts_open >= ? AND ts_open < ? ORDER BY ts_open",
                [[str(f) for f in files], start_ns, end_ns],
            ).fetchnumpy()
        except _duckdb_error() as error:
            broken = [f for f in files if not _is_readable(f)]
            if not broken:
                raise StoreError(f"store: can't read {files[0].parent.parent}: {_first_line(error)}") from None
            for path in broken:
                self._set_aside(symbol or unquote(path.parent.parent.name.removeprefix("symbol=")), path)
            return self._query([f for f in files if f not in broken], start_ns, end_ns, symbol)
        finally:
            cursor.close()
        rows = np.zeros(len(found["ts_open"]), BAR_DTYPE)
        for name in STORED:
            rows[name] = found[name]
        return rows

    def _set_aside(self, symbol: str, path: Path) -> None:
        """Rename a file that can't be read and forget that its day was complete, so that it is fetched again."""
        n = next(k for k in range(1, 10_000) if not path.with_name(f"{_FILE}.broken{k}").exists())
        aside = path.with_name(f"{_FILE}.broken{n}")
        with _os_errors("set aside", path):
            path.rename(aside)
            day = date.fromisoformat(path.parent.name.removeprefix("day="))
            self._cover(symbol, cut_out(self._coverage(symbol), (ny_ns(day, 0), ny_ns(day + timedelta(1), 0))))
        log.warning("store: %s can't be read and was set aside as %s; its bars will be fetched again", path, aside.name)

    # -- what is complete --------------------------------------------------------------------------------------------------

    def _coverage(self, symbol: str) -> list[Span]:
        path = self.root / folder_name(symbol) / _COVERAGE
        try:
            return union((int(start), int(end)) for start, end in json.loads(path.read_text()))
        except FileNotFoundError:
            return []
        except (ValueError, TypeError):
            log.warning("store: %s can't be read; nothing of %s counts as complete until it is fetched again", path, symbol)
            return []
        except OSError as error:
            raise StoreError(f"store: can't read {path}: {error.strerror or error}") from None

    def _cover(self, symbol: str, spans: list[Span]) -> None:
        folder = self.root / folder_name(symbol)
        replace_file(folder / _COVERAGE, lambda partial: partial.write_text(json.dumps(spans)))


def _by_day(rows: np.ndarray) -> Iterator[tuple[date, np.ndarray]]:
    """Yield (New York date, its rows)."""
    rows = rows[np.argsort(rows["ts_open"], kind="stable")]
    while len(rows):
        day = to_ny(int(rows["ts_open"][0])).date()
        n = int(np.searchsorted(rows["ts_open"], ny_ns(day + timedelta(1), 0)))
        yield day, rows[:n]
        rows = rows[n:]


def _bounded(ts_ns: int) -> int:
    """Return an instant inside the years that datetime can say."""
    return max(0, min(ts_ns, 4_102_444_800_000_000_000))


def _write_parquet(path: Path, rows: np.ndarray) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({name: np.ascontiguousarray(rows[name]) for name in STORED}), path, compression="zstd")


@contextlib.contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Keep other processes from merging into the same symbol at the same moment; without advisory locks, do nothing."""
    try:
        import fcntl
    except ImportError:  # Windows: one process writes
        yield
        return
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _os_errors(doing: str, path: Path) -> Iterator[None]:
    """Say in one sentence what the operating system refused, and that nothing stored was lost."""
    try:
        yield
    except OSError as error:
        kept = "; what was stored before stays as it was" if doing == "write" else ""
        raise StoreError(f"store: can't {doing} {path}: {error.strerror or error}{kept}") from error


@functools.cache
def _duckdb() -> Any:
    """Return the process's in-memory DuckDB; each question takes a cursor of its own."""
    import duckdb

    return duckdb.connect(config={"threads": 2})


def _duckdb_error() -> type[Exception]:
    import duckdb

    return duckdb.Error


def _is_readable(path: Path) -> bool:
    """Return True when a file is whole Parquet with our columns."""
    cursor = _duckdb().cursor()
    try:
        cursor.execute(f"SELECT {', '.join(STORED)} FROM read_parquet(?, hive_partitioning = false)", [[str(path)]]).fetchnumpy()  # noqa: S608
    except _duckdb_error():
        return False
    finally:
        cursor.close()
    return True


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
