"""A chain at one moment of a day of option quotes by minute, with the files of trades, open interest and the underlying beside it.

In: `ROOT_option_quote_DAY.csv.gz` (ts_utc_ms, right, strike, expiry, bid_open … bid_close, bid_size, ask_open … ask_close, ask_size) and,
where they lie in the same folder, `ROOT_option_trade_DAY`, `ROOT_option_openinterest_DAY`, `ROOT_underlying_minute_quote_DAY`. Out:
rows of CHAIN_DTYPE as they were known at the moment. A minute is known at its end. An empty bid or ask is nobody. A quote stands until
the next one: a contract without a row in the last minutes did not change, and looks as old as its last change.

Floor 1: numpy; the cells by `chain_cells.py`.

Source: QuantConnect LEAN, Data/option/usa/minute (folder and columns as exported with a header).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import SchemaError
from workbench.history.chain_cells import Cells
from workbench.history.columns import plain_name
from workbench.history.tables import extension, read_text
from workbench.options.chain import contract_rows
from workbench.sessions import SessionCalendar, to_ny
from workbench.types import NS_PER_S

MINUTE_NS = 60 * NS_PER_S
_QUOTE = {name: name for name in ("right", "strike", "expiry", "bid_close", "bid_size", "ask_close", "ask_size")}
_NAME = re.compile(r"(?P<root>[A-Z][A-Z0-9.]{0,5})_option_quote_(?P<rest>.+)")


@dataclass(frozen=True, slots=True)
class MinuteChain:
    """`asof_ns`: the moment asked for, or the last of the file. `spot`: [USD], NaN where the folder tells none."""

    rows: np.ndarray
    spot: float
    spot_ts_ns: int
    asof_ns: int
    notes: tuple[str, ...]


def is_minute_file(path: Path) -> bool:
    """Return whether a file holds option quotes by minute, from its name and its first line."""
    if extension(path) == ".parquet" or not _NAME.fullmatch(path.name):
        return False
    header = {plain_name(name) for name in read_text(path).split("\n", 1)[0].split(",")}
    return set(_QUOTE) <= header


def read_minutes(path: Path, calendar: SessionCalendar, asof_ns: int | None) -> MinuteChain:
    """Return every contract's newest quote known at `asof_ns`; SchemaError when that is before the first."""
    match = _NAME.fullmatch(path.name)
    root = match["root"] if match else ""
    cells = _cells(path, _QUOTE)
    contracts, index = cells.contracts(root)
    sides = {name: cells.numbers(name, least=0) for name in ("bid_close", "ask_close", "bid_size", "ask_size")}
    known_ns = cells.stamps(None) + MINUTE_NS
    moment = int(known_ns.max(initial=0)) if asof_ns is None else asof_ns
    usable = np.flatnonzero(cells.good & (known_ns <= moment))
    if not len(usable):
        first = to_ny(int(known_ns.min(initial=0))).isoformat()
        raise SchemaError(f"{path.name}: asof: received a moment before the first quote was known; allowed: from {first} on")
    newest = _newest(index[usable], known_ns[usable])
    at = usable[newest]
    rows = contract_rows(contracts, calendar)[index[at]]
    for name in ("bid", "ask"):
        rows[name] = np.nan_to_num(sides[f"{name}_close"][at])
        rows[f"{name}_size"] = sides[f"{name}_size"][at]
    rows["ts_ns"] = known_ns[at]
    notes = ["quotes by minute: the last of each minute, known at its end; a quote stands until the next", *cells.said()]
    notes += _add_trades(rows, path, root, moment) + _add_open_interest(rows, path, root)
    spot, spot_ts_ns, said = _spot(path, moment)
    return MinuteChain(rows, spot, spot_ts_ns, moment, (*notes, *said))


def _cells(path: Path, wanted: dict[str, str]) -> Cells:
    """Return the file's cells; its first column is the time."""

    def names(header: list[str]) -> dict[str, str]:
        plain = {plain_name(name): name for name in header}
        missing = [theirs for theirs in wanted.values() if theirs not in plain]
        if missing:
            received, allowed = ", ".join(header), ", ".join(wanted.values())
            raise SchemaError(f"{path.name}: line 1: columns: received {received}; lacks {', '.join(missing)}; allowed: ts, {allowed}")
        return {"ts": header[0]} | {ours: plain[theirs] for ours, theirs in wanted.items()}

    return Cells(path, names)


def _newest(index: np.ndarray, ts: np.ndarray) -> np.ndarray:
    """Return the place of each contract's newest row, in the order of `index`."""
    order = np.lexsort((ts, index))
    is_last = np.append(index[order][1:] != index[order][:-1], np.ones(min(len(order), 1), np.bool_))
    return order[is_last]


def _beside(path: Path, what: str) -> Path | None:
    """Return another file of the same day, or None."""
    other = path.with_name(path.name.replace("option_quote", what, 1))
    return other if other.is_file() else None


def _placed(cells: Cells, root: str, rows: np.ndarray) -> np.ndarray:
    """Return for each cell row the place of its contract in `rows`, -1 where it is not there."""
    contracts, index = cells.contracts(root)
    places = {symbol: k for k, symbol in enumerate(rows["symbol"].tolist())}
    of_contract = np.array([places.get(contract.occ, -1) for contract in contracts] or [-1], np.int64)
    return np.where((index < 0) | ~cells.good, -1, of_contract[index])


def _add_trades(rows: np.ndarray, path: Path, root: str, asof_ns: int) -> list[str]:
    """Fill last and volume of the day until then; a contract that the file of trades does not name has not traded."""
    beside = _beside(path, "option_trade")
    if beside is None:
        return ["no file of trades beside it: last and volume are not known"]
    cells = _cells(beside, {name: name for name in ("right", "strike", "expiry", "close", "volume")})
    close, volume = cells.numbers("close"), cells.numbers("volume", least=0)
    ts = cells.stamps(None) + MINUTE_NS
    place = np.where(ts <= asof_ns, _placed(cells, root, rows), -1)
    told = np.flatnonzero(place >= 0)
    rows["volume"] = np.bincount(place[told], volume[told], minlength=len(rows))
    newest = told[_newest(place[told], ts[told])]
    rows["last"][place[newest]] = close[newest]
    return cells.said()


def _add_open_interest(rows: np.ndarray, path: Path, root: str) -> list[str]:
    beside = _beside(path, "option_openinterest")
    if beside is None:
        return ["no file of open interest beside it: not known"]
    cells = _cells(beside, {name: name for name in ("right", "strike", "expiry", "open_interest")})
    interest = cells.numbers("open_interest", least=0)
    place = _placed(cells, root, rows)
    told = place >= 0
    rows["open_interest"][place[told]] = interest[told]
    return cells.said()


def _spot(path: Path, asof_ns: int) -> tuple[float, int, list[str]]:
    """Return the underlying's mid at the end of its newest minute known then, when that was, and what to say."""
    beside = _beside(path, "underlying_minute_quote")
    if beside is None:
        return math.nan, 0, ["no file of the underlying beside it: spot is not known"]
    cells = _cells(beside, {"bid": "bid_close", "ask": "ask_close"})
    bid, ask = cells.numbers("bid"), cells.numbers("ask")
    ts = cells.stamps(None) + MINUTE_NS
    usable = np.flatnonzero((bid > 0) & (ask >= bid) & (ts <= asof_ns) & cells.good)
    if not len(usable):
        return math.nan, 0, ["the underlying was not quoted yet: spot is not known"]
    newest = usable[np.argmax(ts[usable])]
    return float(0.5 * (bid + ask)[newest]), int(ts[newest]), ["spot: mid of the underlying at the end of its newest minute"]
