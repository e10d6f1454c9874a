"""The cells of a file of option contracts: text to contracts and numbers, and every row that can't be read put aside with its line.

In: one CSV or Parquet file, read as text. Out: columns of one length, and a Sieve that counts what was dropped and why. A column
that is mostly unreadable is refused, naming its first line.

Floor 1: numpy; pyarrow and pandas inside.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import RecordError, SchemaError, SymbolError
from workbench.history.stamps import NO_TIME, parse_stamps
from workbench.history.tables import extension, read_raw, read_text
from workbench.types import OptionContract, Right

NOTHING = ("", "nan", "null", "none", "n/a", "na", "-", "--")  # what files write where they know nothing
RIGHTS: dict[str, Right] = {"c": "C", "call": "C", "calls": "C", "p": "P", "put": "P", "puts": "P"}
_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[ T].*|\.0)?")


class Cells:
    """The rows of one file under our names. Rows that are dropped stay in every column; `good` says which are left."""

    def __init__(self, path: Path, names: Callable[[list[str]], dict[str, str]]) -> None:
        """`names`: from the file's column names, our name -> the file's."""
        raw = read_raw(path, lambda header: header)
        self.path = path
        self.columns = names(list(raw.data.column_names))
        self.data = raw.data
        self.good = np.ones(raw.data.num_rows, np.bool_)
        self.notes: list[str] = []
        self.quarantined: dict[str, int] = dict(raw.rejected)
        self._examples: dict[str, str] = {}
        self._lines: list[int] | None = None

    def __len__(self) -> int:
        return len(self.good)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def line(self, row: int) -> str:
        """Return where a row stands in the file: 'line 7' of text, 'row 7' of Parquet, from 1."""
        if extension(self.path) == ".parquet":
            return f"row {row + 1}"
        if self._lines is None:
            self._lines = _data_lines(self.path, len(self.data.column_names))
        return f"line {self._lines[row]}" if row < len(self._lines) else f"row {row + 1}"

    def drop(self, reason: str, bad: np.ndarray, column: str | None = None, allowed: str = "") -> None:
        """Drop the rows marked in `bad`; with `allowed`, refuse the file when they are most of it."""
        bad = bad & self.good
        n = int(bad.sum())
        if not n:
            return
        first = int(np.argmax(bad))
        cell = f", {str(self.data.column(column)[first].as_py())!r}" if column else ""
        if allowed and 2 * n > len(self):
            of = f"column {column!r}: " if column else ""
            raise SchemaError(f"{self.path.name}: {self.line(first)}: {of}{reason}: received{cell[1:]}; allowed: {allowed}")
        self._examples.setdefault(reason, f" (first: {self.line(first)}{cell})")
        self.quarantined[reason] = self.quarantined.get(reason, 0) + n
        self.good &= ~bad

    def said(self) -> list[str]:
        """Return what a person should know: what was assumed, then what was put aside."""
        return [*self.notes, *(f"quarantined: {n:,} rows: {why}{self._examples.get(why, '')}" for why, n in self.quarantined.items())]

    def numbers(self, name: str, *, least: float | None = None) -> np.ndarray:
        """Return a column as float64, NaN where the file tells nothing; other text, and what is below `least`, is put aside."""
        if name not in self:
            return np.full(len(self), np.nan)
        theirs = self.columns[name]
        values, is_text = _numbers(self.data.column(theirs))
        self.drop(f"{name} is no number", is_text, theirs, "a number, or nothing where it is not known")
        self.drop(f"{name} is infinite", np.isinf(values), theirs)
        if least is not None:
            self.drop(f"{name} below {least:g}", values < least, theirs, f"{least:g} or more")
        return values

    def stamps(self, tz: str | None) -> np.ndarray:
        """Return the column `ts` as int64 ns UTC, 0 where it is missing or unreadable: a quote of unknown age."""
        theirs = self.columns["ts"]
        found = parse_stamps(self.data.column(theirs), name=theirs, where=self.path.name, tz=tz)
        self.notes += [said for said in found.assumptions if "magnitude" not in said]
        n = sum(found.rejected.values())
        if n:
            self.notes.append(f"{theirs}: {n:,} times missing or unreadable: those quotes have an unknown age")
        return np.where(found.ts == NO_TIME, 0, found.ts)

    def contracts(self, root: str | None = None) -> tuple[list[OptionContract], np.ndarray]:
        """Return the different contracts of the file, and each row's index into them, -1 where its text names none.

        From `symbol` where there is one, else from `root` (or the one given), `expiry`, `strike` and `right`.
        """
        multipliers = self.numbers("multiplier", least=1) if "multiplier" in self else np.full(len(self), 100.0)
        whole = np.where(np.isfinite(multipliers), multipliers, 100).astype(np.int64)
        if "symbol" in self:
            texts = [self.text("symbol")]
            wrong, where = "no option symbol", self.columns["symbol"]
            allowed = "OCC form, root yymmdd C|P strike×1000 in 8 digits (SPY241220P00720000)"
        else:
            texts = [self.text(name) for name in ("root", "expiry", "strike", "right") if name in self]
            texts = texts if "root" in self else [np.full(len(self), root, object), *texts]
            wrong, where = "root, expiry, strike and right name no contract", self.columns["strike"]
            allowed = "root SPXW, expiry 2026-09-18, strike 5000.5, right C, call, P or put"
        found, index = _distinct([*texts, whole], _contract)
        bad = index < 0
        self.drop(wrong, bad, where, allowed)
        return found, index

    def text(self, name: str) -> np.ndarray:
        """Return a column as text without spaces around it, object shape (n,); '' where the file has nothing."""
        import pyarrow as pa

        column = self.data.column(self.columns[name]).cast(pa.string()).fill_null("").to_pandas()
        return np.asarray(column.str.strip().to_numpy(), object)


def _numbers(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return float64 values, NaN for nothing, and which cells hold other text."""
    import pandas as pd
    import pyarrow as pa

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        try:
            return np.array(column.cast(pa.float64(), safe=False).to_pandas().to_numpy(), np.float64), np.zeros(len(column), np.bool_)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            column = column.cast(pa.string())
    text = column.fill_null("").to_pandas().str.strip()
    values = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    is_text = np.isnan(values) & ~text.str.lower().isin(NOTHING).to_numpy()
    return np.array(values), np.asarray(is_text)


def _distinct(columns: list[np.ndarray], make: Callable[..., OptionContract | None]) -> tuple[list[OptionContract], np.ndarray]:
    """Return what the different rows make, and each row's index into it; -1 where they make nothing."""
    import pandas as pd

    codes, unique = pd.factorize(pd.MultiIndex.from_arrays(columns))
    made = [make(*parts) for parts in unique]
    places = np.cumsum([one is not None for one in made]) - 1
    index = np.where([one is not None for one in made], places, -1) if made else np.full(1, -1)
    return [one for one in made if one is not None], index[codes].astype(np.int64)


def _contract(*parts: Any) -> OptionContract | None:
    """Return the contract that a symbol, or root, expiry, strike and right name, with its multiplier last; None for anything else."""
    *told, multiplier = parts
    try:
        if len(told) == 1:
            return OptionContract.parse(told[0], int(multiplier))
        root, expiry, strike, right = told
        match = _DATE.fullmatch(expiry)
        if match is None or right.lower() not in RIGHTS:
            return None
        day = date(int(match[1]), int(match[2]), int(match[3]))
        return OptionContract(root.upper(), day, RIGHTS[right.lower()], Decimal(strike.replace(",", "")), int(multiplier))
    except (SymbolError, RecordError, ValueError, ArithmeticError):
        return None


def _data_lines(path: Path, n_columns: int) -> list[int]:
    """Return the line at which each data row that was read begins; lines with another number of fields were not."""
    text = read_text(path)
    header = text.split("\n", 1)[0]
    delimiter = max((",", ";", "\t", "|"), key=header.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    lines = [reader.line_num for row in reader if len(row) == n_columns]
    return lines[1:]
