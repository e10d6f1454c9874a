"""The newest print or quote of each symbol, by stamp. Floor 2. Written by the hub's thread alone; read without a lock."""

from __future__ import annotations

import numpy as np


class NewestRows:
    """One row for each symbol id; a late print does not move it back."""

    def __init__(self, dtype: np.dtype) -> None:
        self._table = np.zeros(16, dtype)
        self.n_put = 0  # grows with every change

    def put(self, rows: np.ndarray, n_symbols: int) -> None:
        """Take rows whose symbol ids are below `n_symbols`."""
        table = self._table
        if len(table) < n_symbols:
            table = np.zeros(max(n_symbols, 2 * len(table)), rows.dtype)
            table[: len(self._table)] = self._table
        fresh = rows[rows["ts_event"] >= table["ts_event"][rows["symbol_id"]]]
        if len(fresh) > 1:
            fresh = fresh[np.argsort(fresh["ts_event"], kind="stable")]
        table[fresh["symbol_id"]] = fresh
        self._table = table
        self.n_put += 1

    def get(self, symbol_id: int | None) -> np.void | None:
        """Return a copy of a symbol's newest row, or None before the first."""
        table = self._table
        if symbol_id is None or symbol_id >= len(table) or not table["ts_event"][symbol_id]:
            return None
        row: np.void = table[symbol_id].copy()
        return row

    def rows(self, symbol_ids: np.ndarray) -> np.ndarray:
        """Return a copy of the newest row of each id, shape (n,); a blank one (`ts_event` 0) where nothing was heard, or for -1."""
        table = self._table
        rows: np.ndarray = table[np.where((symbol_ids >= 0) & (symbol_ids < len(table)), symbol_ids, 0)]
        rows[(symbol_ids < 0) | (symbol_ids >= len(table))] = np.zeros(1, table.dtype)[0]
        return rows

    def clear(self) -> None:
        """Forget all."""
        self.n_put += 1
        self._table = np.zeros_like(self._table)
