"""1-minute bars into longer ones, a whole history at once, from columns and into columns: a third of the memory that rows need.

The bars are those of `rollup.py`, bit for bit. All columns made by one call share one block of memory, of just the size needed: the
next call then finds it in the process, where a larger one would be given back to the system and asked for again, page by page.

Floor 2. numba is imported at first use.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from workbench.errors import RecordError
from workbench.hub.bars import LINE, session_rows
from workbench.hub.cores import cores, share
from workbench.hub.rollup import PART, ROLLED, disorder, plan
from workbench.sessions import Anchor, SessionCalendar
from workbench.types import TIMEFRAMES, Timeframe

_NEEDED = ("ts_open", "open", "high", "low", "close", "volume")
_COLUMNS = (*_NEEDED, "n_trades", "vwap", "ts_close")  # in the kernels' order; of the minutes, the last is not read
_LINE = LINE // 8  # numbers
_PIECES = 4  # for each core: one that is held up leaves the rest to the others


def _kernels() -> Any:
    from workbench.hub import kernels_columns

    return kernels_columns


def rollup_columns(
    columns: Mapping[str, np.ndarray],
    sessions: SessionCalendar | np.ndarray,
    *,
    timeframes: Iterable[str | Timeframe] = ROLLED,
    anchor: Anchor = "session_rth",
    spread: bool = True,
) -> dict[str, dict[str, np.ndarray]]:
    """Return what `rollup_all` does from separate columns, label -> column name -> array.

    Parameters
    ----------
    columns : by name, shape (n,): ts_open (int64 [ns UTC], ascending), open, high, low, close, volume (float64), and where
        known n_trades and vwap. The answer has the same and ts_close; sources, flags and vw_std need rows.
    anchor, spread : see `rollup_all`.

    Raises
    ------
    RecordError       If a column is missing, lengths differ, or minutes are not in order.
    TimeframeError    If a timeframe or the anchor is not one the workbench builds.
    """
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise RecordError(f"columns: received {', '.join(columns)}; missing: {', '.join(missing)}")
    names = [name for name in _COLUMNS[:-1] if name in columns]
    given = {name: np.ascontiguousarray(columns[name], np.int64 if name == "ts_open" else np.float64) for name in names}
    ts = given["ts_open"]
    for name, column in given.items():
        if column.shape != (len(ts),):
            raise RecordError(f"{name}: received shape {column.shape}; allowed: ({len(ts)},), as ts_open")
    wanted = tuple(Timeframe.parse(t).label for t in timeframes)
    labels, table = plan(wanted, anchor)
    made = dict(zip(labels, _roll(given, session_rows(sessions), table, spread=spread and len(ts) >= PART), strict=True))
    if "1m" in wanted:
        made["1m"] = {name: column.copy() for name, column in given.items()} | {"ts_close": ts + TIMEFRAMES["1m"].length_ns}
    return {label: made[label] for label in wanted}


def _roll(given: dict[str, np.ndarray], sessions: np.ndarray, table: np.ndarray, *, spread: bool) -> list[dict[str, np.ndarray]]:
    """Return the bars of every timeframe of the plan."""
    k = _kernels()
    ts = given["ts_open"]
    spans = np.empty((3 * len(sessions), k.SPAN_WIDTH), np.int64)  # pages that are not written cost nothing
    places = np.empty((len(spans) + 1, len(table)), np.int64)
    n_spans = k.find_spans(ts, sessions, table, spans, places)
    if n_spans < 0:
        raise disorder(ts, -1 - n_spans)
    sizes = places[n_spans].copy()
    across = np.flatnonzero(np.isin(table[:, k.KIND], k.ACROSS))
    sizes[across] = sizes[table[across, k.PARENT]]  # at most
    made, targets = _blank(sizes, [*given, "ts_close"])
    source = np.array([given[name].ctypes.data if name in given else 0 for name in _COLUMNS], np.int64)

    def roll(a: int, b: int) -> None:
        k.roll_spans(source, len(ts), table, spans, places, a, b, targets, sizes)

    if spread:
        share(roll, itertools.pairwise(np.linspace(0, n_spans, _PIECES * cores() + 1).astype(int).tolist()))
    else:
        roll(0, n_spans)
    for t in across:
        parent = table[t, k.PARENT]
        n = k.roll_across(targets[parent], sizes[parent], sessions, table[t], targets[t], sizes[t])
        made[t] = {name: column[:n] for name, column in made[t].items()}
    return made


def _blank(sizes: np.ndarray, names: list[str]) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Return columns to be filled, for each timeframe, and their addresses, shape (timeframes, 9), 0 for those that are not there.

    Each begins at a cache line.
    """
    room = (-(-sizes // _LINE) * _LINE).tolist()
    block = np.empty(sum(room) * len(names) + _LINE)
    start = block.ctypes.data
    place = -start % LINE // block.itemsize
    made: list[dict[str, np.ndarray]] = []
    addresses = np.zeros((len(sizes), len(_COLUMNS)), np.int64)
    for t, n in enumerate(sizes.tolist()):
        made.append({})
        for name in names:
            column = block[place : place + n]
            made[t][name] = column.view(np.int64) if name.startswith("ts") else column
            addresses[t, _COLUMNS.index(name)] = start + place * block.itemsize
            place += room[t]
    return made, addresses
