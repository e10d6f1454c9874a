"""Option chains as the recorder keeps them, and as a replay tells them again: every minute's snapshot, open interest included.

    <folder>/date=2026-11-20/chains/symbol=SPY.parquet        the columns of CHAIN_DTYPE, and asof_ns, spot, spot_ts_ns of the snapshot

In: Chain out of a hub, or a recorder's folder. Out: rows to record, or the Chain that was newest at a moment.

Floor 1: numpy; pyarrow inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import numpy as np

from workbench.errors import FileError
from workbench.history.recorded import days_in
from workbench.history.store import folder_name
from workbench.options.chain import CHAIN_DTYPE, Chain, contract_rows, make_chain
from workbench.sessions import SessionCalendar, to_ny

_SNAPSHOT = [("asof_ns", "i8"), ("spot", "f8"), ("spot_ts_ns", "i8")]
RECORD_DTYPE = np.dtype([*_SNAPSHOT, *((name, CHAIN_DTYPE[name]) for name in CHAIN_DTYPE.names or ())])


def to_records(chain: Chain) -> np.ndarray:
    """Return a chain as rows to record, RECORD_DTYPE shape (n,)."""
    rows = np.zeros(len(chain), RECORD_DTYPE)
    for name in CHAIN_DTYPE.names or ():
        rows[name] = chain.rows[name]
    rows["asof_ns"], rows["spot"], rows["spot_ts_ns"] = chain.asof_ns, chain.spot, chain.spot_ts_ns
    return rows


def read_records(path: Path) -> np.ndarray:
    """Return the rows of one of the recorder's files of chains, RECORD_DTYPE; FileError when it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        rows = np.zeros(len(table), RECORD_DTYPE)
        for name in RECORD_DTYPE.names or ():
            rows[name] = table[name].to_numpy()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise FileError(f"{path.name}: corrupt or truncated: no readable file of chains ({str(error).split(chr(10), 1)[0]})") from None
    return rows


class RecordedChains:
    """The chains in recorders' folders (or day folders); files are read when first asked for."""

    def __init__(self, folders: Iterable[Path], calendar: SessionCalendar) -> None:
        self._calendar = calendar
        days = [day for folder in folders if folder.is_dir() for day in days_in(folder)]
        self._files = {(path.parent.parent.name, path.stem): path for day in days for path in (day / "chains").glob("symbol=*.parquet")}
        self._rows: dict[Path, np.ndarray] = {}

    def __bool__(self) -> bool:
        return bool(self._files)

    def expiries(self, underlying: str, at_ns: int) -> tuple[date, ...]:
        """Return the expiry dates whose chain was recorded on a moment's day up to then, ascending."""
        days: list[date] = np.unique(self._until(underlying, at_ns)["expiry"]).tolist()
        return tuple(days)

    def chain(self, underlying: str, expiry: date, at_ns: int) -> Chain:
        """Return the newest recorded snapshot of an expiry at a moment of its day; without rows when there is none."""
        rows = self._until(underlying, at_ns)
        rows = rows[rows["expiry"] == np.datetime64(expiry, "D")]
        if not len(rows):
            nothing = contract_rows((), self._calendar)
            return make_chain(underlying, nothing, spot=np.nan, spot_ts_ns=0, asof_ns=at_ns, source="replay")
        rows = rows[rows["asof_ns"] == rows["asof_ns"].max()]
        told = np.zeros(len(rows), CHAIN_DTYPE)
        for name in CHAIN_DTYPE.names or ():
            told[name] = rows[name]
        first = rows[0]
        spot, spot_ts_ns, asof_ns = float(first["spot"]), int(first["spot_ts_ns"]), int(first["asof_ns"])
        return make_chain(underlying, told, spot=spot, spot_ts_ns=spot_ts_ns, asof_ns=asof_ns, source="replay")

    def _until(self, underlying: str, at_ns: int) -> np.ndarray:
        path = self._files.get((f"date={to_ny(at_ns):%Y-%m-%d}", folder_name(underlying)))
        if path is None:
            return np.zeros(0, RECORD_DTYPE)
        if path not in self._rows:
            self._rows[path] = read_records(path)
        rows = self._rows[path]
        return rows[rows["asof_ns"] <= at_ns]
