"""A recorded market as one tape: prints, quotes and closed bars of any number of files, each in time order, ready to be told.

A file or a folder of files in any layout that `history/schema.py` reads, or a folder written by `history/store.py`. A bar is
told when it closes. Bars shorter than a minute are made into minutes, longer ones are carried by their last minute; where a symbol
comes in bars of several lengths the shortest are taken. A symbol of
which only quotes are recorded gets bars of the quotes' midpoint, volume 0, so that it can be drawn.

The recorder's own day folders (`history/recorded.py`) are told as the hub was told them: each event when it arrived and in that order,
bars of several origins side by side, and what the ledger says is missing, so that the same bars come out.

Floor 2. No thread, no clock: `replay.py` plays it. All times int64 ns UTC.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.errors import FileError, SchemaError, TimestampError
from workbench.history.aggregate import regroup_many
from workbench.history.ledger import NOT_RUNNING, Facts, read_facts, read_missing
from workbench.history.marks import Marks
from workbench.history.recorded import market_files, read_recorded
from workbench.history.recording import Recording, load
from workbench.history.schema import ReadOptions
from workbench.history.store import BarStore
from workbench.history.tables import EXTENSIONS
from workbench.history.timing import label_of
from workbench.sessions import SessionCalendar
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, BarSource, SymbolTable

_NO_IDS = np.zeros(0, np.int32)

# A span of one symbol that the recording does not wholly hold, or (is_correction) a print that was taken back, at `start`.
GAP_DTYPE = np.dtype([("told", "i8"), ("start", "i8"), ("end", "i8"), ("symbol_id", "i4"), ("is_correction", "?"), ("why", "O")])


@dataclass
class Tape:
    """Recorded events. `trades` and `quotes` by the moment they are told, `bars` by ts_close with `bar_ids` beside them, `gaps` by `told`.

    Ids index `symbols`. A print or quote is told at `ts_recv`, or at `ts_event` where that is later or nothing else is known.
    """

    symbols: SymbolTable
    trades: np.ndarray = field(default_factory=lambda: np.zeros(0, TRADE_DTYPE))
    quotes: np.ndarray = field(default_factory=lambda: np.zeros(0, QUOTE_DTYPE))
    bars: np.ndarray = field(default_factory=lambda: np.zeros(0, BAR_DTYPE))
    bar_ids: np.ndarray = field(default_factory=lambda: _NO_IDS)
    gaps: np.ndarray = field(default_factory=lambda: np.zeros(0, GAP_DTYPE))
    until_ns: int = 0  # recorded up to here, though nothing more came
    notes: list[str] = field(default_factory=list)
    bar_lengths_ns: dict[str, int] = field(default_factory=dict)  # symbol -> length of its bars, where that is more than a minute

    @functools.cached_property
    def times(self) -> dict[str, np.ndarray]:
        """When each event is told, int64 arrays in one piece, by kind. The tape is not changed once this was asked for."""
        stamps = {"trades": _told(self.trades), "quotes": _told(self.quotes), "bars": self.bars["ts_close"], "gaps": self.gaps["told"]}
        return {kind: np.ascontiguousarray(ts) for kind, ts in stamps.items()}

    @property
    def span(self) -> tuple[int, int]:
        """First moment of the tape (the first bar's open, the first event) and the last one told, or up to which nothing more came."""
        firsts = [_told(rows[:1])[0] for rows in (self.trades, self.quotes) if len(rows)]
        lasts = [_told(rows[-1:])[0] for rows in (self.trades, self.quotes) if len(rows)] + list(self.bars["ts_close"][-1:])
        firsts += [self.bars["ts_open"].min()] if len(self.bars) else []
        return int(min(firsts)), int(max([*lasts, self.until_ns]))

    def bars_of(self, symbol: str) -> np.ndarray:
        """Return one symbol's bars by ts_open, each minute once (of several origins the fuller one), BAR_DTYPE."""
        rows = self.bars[self.bar_ids == self.symbols.get(symbol)]
        rows = rows[np.lexsort((rows["source"] == BarSource.PROVIDER, rows["volume"], rows["is_complete"], rows["ts_open"]))]
        return rows[np.r_[rows["ts_open"][1:] != rows["ts_open"][:-1], True]] if len(rows) else rows

    def trades_of(self, symbol: str) -> np.ndarray:
        """Return one symbol's prints in the order in which they are told, TRADE_DTYPE."""
        return self.trades[self.trades["symbol_id"] == self.symbols.get(symbol)]

    def only(self, names: Iterable[str], ids: SymbolTable) -> Tape:
        """Return the events of some symbols, with the symbol ids of another table."""
        wanted = np.full(len(self.symbols) + 1, -1, np.int32)
        for name in (names := list(names)):
            known = self.symbols.get(name)
            if known is not None:
                wanted[known] = ids.intern(name)
        lengths = {name: self.bar_lengths_ns[name] for name in names if name in self.bar_lengths_ns}
        out = Tape(ids, bar_lengths_ns=lengths, until_ns=self.until_ns)
        out.trades, out.quotes = (_renumbered(rows, wanted) for rows in (self.trades, self.quotes))
        keep = wanted[self.bar_ids] >= 0
        out.bars, out.bar_ids = self.bars[keep], wanted[self.bar_ids[keep]]
        out.gaps = _renumbered(self.gaps, wanted)
        return out


def _told(rows: np.ndarray) -> np.ndarray:
    return np.maximum(rows["ts_event"], rows["ts_recv"])


def _renumbered(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    ids = wanted[rows["symbol_id"]]
    out = rows[ids >= 0]
    out["symbol_id"] = ids[ids >= 0]
    return out


def read_tape(paths: str | Path | Iterable[str | Path], options: ReadOptions | None = None, symbols: Iterable[str] | None = None) -> Tape:
    """Return the tape of a file, a folder or several of either; `symbols` keeps only these.

    In a folder, files that hold something else are left out and named in `notes`. Raises as `history.schema.read_table` does, and
    FileError when there is nothing to play.
    """
    recordings, notes = _recordings(paths, options)
    own = [r for r in recordings if r.is_as_told]
    table = SymbolTable()
    wanted = None if symbols is None else set(symbols)
    for recording in recordings:
        _adopt(recording, table)
    tape = Tape(table, notes=notes + [f"{r.path.name}: {s}" for r in recordings for s in r.summary()])
    tape.trades = _events([r for r in recordings if r.kind == "trades"], TRADE_DTYPE, sequenced=True)
    tape.quotes = _events([r for r in recordings if r.kind == "quotes"], QUOTE_DTYPE, sequenced=False)
    _add_bars(tape, [r for r in recordings if r.kind == "bars"])
    _draw_quotes(tape, but={table.get(symbol) for r in own for symbol in r.symbols})
    _add_gaps(tape, {folder for r in own if (folder := r.path.parent.parent).name.startswith("date=")})
    if wanted is not None:
        tape = replace(tape.only([s for s in table if s in wanted], SymbolTable()), notes=tape.notes)
    if not (len(tape.trades) or len(tape.quotes) or len(tape.bars)):
        what = f" of {', '.join(sorted(wanted))}" if wanted else ""
        raise FileError(f"replay: received {_said(paths)}, which holds no usable event{what}; allowed: recorded trades, quotes or bars")
    return tape


def _said(paths: str | Path | Iterable[str | Path]) -> str:
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    return ", ".join(str(p) for p in listed) or "no file"


# -- reading -------------------------------------------------------------------------------------------------------------------


def _recordings(paths: str | Path | Iterable[str | Path], options: ReadOptions | None) -> tuple[list[Recording], list[str]]:
    found: list[Recording] = []
    notes: list[str] = []
    for path in [Path(paths)] if isinstance(paths, str | Path) else map(Path, paths):
        if not path.exists():
            raise FileError(f"replay: received {str(path)!r}, which does not exist; allowed: a recorded file, or a folder of them")
        if not path.is_dir():
            found.append(read_recorded(path) or load(path, options))
            continue
        own = [one for file in market_files(path) if (one := read_recorded(file)) is not None]
        if own:
            found += own
            wal = (path.parent if path.name.startswith("date=") else path) / "wal"
            notes += (
                [f"{path.name}: newer events wait in {wal}; they follow when recording ends or begins again"]
                if any(wal.glob("*.wal"))
                else []
            )
            continue
        store = _store_in(path)
        if store is not None:
            found += _stored(store)
            continue
        for file in sorted(p for p in path.iterdir() if p.name.lower().endswith(EXTENSIONS) and p.is_file()):
            try:
                found.append(load(file, options))
            except (SchemaError, TimestampError) as error:
                notes.append(f"left out: {error}")
    return found, notes


def _store_in(folder: Path) -> BarStore | None:
    """Return the store of minutes that a folder is, or is part of; None for any other folder."""
    roots = [folder, *folder.parents[:2]]
    root = next((r for r in roots if (r / "bars" / "1m").is_dir() and folder in (r, r / "bars", r / "bars" / "1m")), None)
    return None if root is None else BarStore(root)


def _stored(store: BarStore) -> list[Recording]:
    out = []
    for symbol in store.symbols():
        rows = store.read(symbol, 0, np.iinfo(np.int64).max)
        out.append(Recording(store.root, "bars", rows, np.zeros(len(rows), np.int32), SymbolTable([symbol]), NS_PER_MIN))
    return out


def _adopt(recording: Recording, table: SymbolTable) -> None:
    """Give a recording's rows the symbol ids of the tape."""
    ids = np.array([table.intern(symbol) for symbol in recording.symbols] or [0], np.int32)
    recording.symbol_ids = ids[recording.symbol_ids]
    if recording.kind != "bars":
        recording.rows["symbol_id"] = recording.symbol_ids


def _events(recordings: list[Recording], dtype: np.dtype, *, sequenced: bool) -> np.ndarray:
    """Return all rows by the moment they are told; prints of one moment by sequence, then file by file as they stand."""
    rows = np.concatenate([r.rows for r in recordings] or [np.zeros(0, dtype)])
    if len(recordings) < 2:
        return rows
    has_order = np.repeat([r.is_as_told or not sequenced for r in recordings], [len(r.rows) for r in recordings])
    return rows[np.lexsort((np.where(has_order, 0, rows["sequence"]), _told(rows)))]


# -- bars ----------------------------------------------------------------------------------------------------------------------


def _add_bars(tape: Tape, recordings: list[Recording]) -> None:
    """Add each symbol's bars: minutes before all, else the shortest length there is; a bar told by two files counts once."""
    parts = [_carried(r) for r in recordings]
    if not parts:
        return
    rows, ids = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    lengths = np.repeat([max(r.length_ns, NS_PER_MIN) for r in recordings], [len(part[0]) for part in parts])
    ranks = np.repeat([abs(r.length_ns - NS_PER_MIN) for r in recordings], [len(part[0]) for part in parts])  # minutes before made ones
    shortest = np.full(len(tape.symbols), np.iinfo(np.int64).max)
    np.minimum.at(shortest, ids, lengths)
    keep = lengths == shortest[ids]
    for length in np.unique(shortest[np.unique(ids)]):
        if length > NS_PER_MIN:
            long = np.flatnonzero(shortest == length)
            names = _names(tape, long)
            tape.bar_lengths_ns |= {tape.symbols.name(int(symbol_id)): int(length) for symbol_id in long}
            tape.notes.append(f"{names}: recorded in {label_of(int(length))} bars; shorter timeframes show only the last minute of each")
    if not keep.all():
        tape.notes.append(f"{_names(tape, np.unique(ids[~keep]))}: recorded in bars of several lengths; the shortest are played")
    origins = np.where(np.repeat([r.is_as_told for r in recordings], [len(part[0]) for part in parts]), rows["source"], 0)
    rows, ids, ranks, origins = rows[keep], ids[keep], ranks[keep], origins[keep]
    order = np.lexsort((ranks, origins, rows["ts_open"], ids))
    rows, ids = rows[order], ids[order]
    keys = np.stack([rows["ts_open"], ids, origins[order]])
    first = np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)] if len(rows) else np.zeros(0, bool)
    _put_in(tape, rows[first], ids[first])


def _carried(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Return a recording's bars as minutes: shorter bars are put together, a longer bar is carried by its last minute.

    So a longer bar is known when it has closed, and every timeframe from its length up is exact.
    """
    order = np.lexsort((recording.rows["ts_open"], recording.symbol_ids))
    rows, ids = recording.rows[order], recording.symbol_ids[order]
    if recording.length_ns < NS_PER_MIN:
        return regroup_many(rows, ids, NS_PER_MIN)
    rows["ts_open"] = np.maximum(rows["ts_open"], rows["ts_close"] - NS_PER_MIN)
    return rows, ids


def _put_in(tape: Tape, rows: np.ndarray, ids: np.ndarray) -> None:
    """Add bars to the tape, in the order in which they are told."""
    rows, ids = np.concatenate([tape.bars, rows]), np.concatenate([tape.bar_ids, ids.astype(np.int32)])
    order = np.lexsort((ids, rows["ts_close"]))
    tape.bars, tape.bar_ids = rows[order], ids[order]


def _names(tape: Tape, ids: np.ndarray) -> str:
    names = [tape.symbols.name(int(symbol_id)) for symbol_id in ids]
    return ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")


def _add_gaps(tape: Tape, folders: Iterable[Path]) -> None:
    """Add what the ledgers of days say: up to when they go, and what is missing, told at the end of each span inside the tape's time."""
    told: list[tuple[int, int, str, bool, str]] = []
    calendar = SessionCalendar.xnys()
    for folder in sorted(folders):
        minutes = read_missing(folder)
        n_symbols = len({symbol for _, symbol, _ in minutes})
        if minutes:
            tape.notes.append(f"{folder.name}: {len(minutes):,} minutes of {n_symbols} symbols were not wholly recorded")
        facts = read_facts(folder)
        told += [(start, end, symbol, False, why) for start, end, symbol, why in _spans(minutes) if not _is_before(start, end, why, facts)]
        told += [(ts, ts + 1, symbol, True, why) for symbol, ts, why in facts.corrections]
        day = date.fromisoformat(folder.name.removeprefix("date="))
        if facts.alive and calendar.is_session(day):
            tape.until_ns = max(tape.until_ns, min(facts.alive[-1][1], int(calendar.session(day)["post_close"])))
    if not (len(tape.trades) or len(tape.quotes) or len(tape.bars)):
        return
    first, last = tape.span
    over = -(-last // NS_PER_MIN) * NS_PER_MIN
    told = [(start, min(end, over), symbol, c, why) for start, end, symbol, c, why in told if start < over and symbol in tape.symbols]
    gaps = np.array([(min(max(end, first), last), start, end, tape.symbols.get(s), c, why) for start, end, s, c, why in told], GAP_DTYPE)
    tape.gaps = gaps[np.argsort(gaps["told"], kind="stable")]


def _is_before(start: int, end: int, why: str, facts: Facts) -> bool:
    """Return whether missing minutes are those before a day's first recording, of which its hub had not seen anything either."""
    begun = facts.alive[0][0] // NS_PER_MIN * NS_PER_MIN if facts.alive and facts.alive[0][0] in facts.fresh else 0
    return why == NOT_RUNNING and start < begun + NS_PER_MIN and begun <= end <= begun + NS_PER_MIN


def _spans(minutes: Iterable[tuple[int, str, str]]) -> list[tuple[int, int, str, str]]:
    """Return missing minutes, by symbol and time, as (start, end, symbol, why) of runs with one reason."""
    out: list[tuple[int, int, str, str]] = []
    for start, symbol, why in minutes:
        if out and out[-1][1:] == (start, symbol, why):
            out[-1] = (out[-1][0], start + NS_PER_MIN, symbol, why)
        else:
            out.append((start, start + NS_PER_MIN, symbol, why))
    return out


def _draw_quotes(tape: Tape, but: set[int | None]) -> None:
    """Give symbols of which only quotes are recorded bars of the midpoint; all but those whose hub showed none."""
    quoted = np.setdiff1d(np.unique(tape.quotes["symbol_id"]), np.union1d(tape.trades["symbol_id"], tape.bar_ids))
    quoted = np.array([one for one in quoted if int(one) not in but], np.int32)
    if len(quoted):
        _put_in(tape, *midpoint_minutes(tape.quotes[np.isin(tape.quotes["symbol_id"], quoted)]))
        tape.notes.append(f"{_names(tape, quoted)}: only quotes are recorded; bars are of the midpoint of bid and ask, without volume")


def midpoint_minutes(quotes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the minutes of the midpoint (both sides present), BAR_DTYPE, and their symbol ids; volume 0, no quote no minute.

    A quote stamped exactly at a minute's end belongs to the next minute, except in recordings by the minute, whose closing quotes
    are all stamped there: they belong to the minute that they close.
    """
    quotes = quotes[~np.isnan(quotes["bid"] + quotes["ask"])]
    quotes = quotes[np.argsort(quotes["symbol_id"], kind="stable")]
    ticks = np.zeros(len(quotes), BAR_DTYPE)
    ticks["ts_open"] = quotes["ts_event"] - (0 if np.any(quotes["ts_event"] % NS_PER_MIN) else 1)
    for name in ("open", "high", "low", "close"):
        ticks[name] = (quotes["bid"] + quotes["ask"]) / 2
    ticks["vwap"] = ticks["n_trades"] = np.nan
    ticks["source"], ticks["is_complete"] = BarSource.FILE, 1
    rows, ids = regroup_many(ticks, quotes["symbol_id"], NS_PER_MIN)
    in_hours = Marks(rows["ts_open"]).segment > 0
    return rows[in_hours], ids[in_hours]
