"""`workbench bars …` and `workbench data …`: files in, files out, and how good they are.

The functions do the work and return sentences for the person; the commands at the end only wire them to the command line.

Floor 9.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from workbench.errors import ConfigError, FileError, SchemaError, TimeframeError, WorkbenchError, choices
from workbench.history.aggregate import regroup
from workbench.history.audit import Report, audit
from workbench.history.recording import Recording, load
from workbench.history.schema import ReadOptions
from workbench.history.store import BarStore
from workbench.history.timing import DAY, MINUTE, label_of
from workbench.history.writing import write_recording
from workbench.types import BAR_DTYPE, TIMEFRAMES, Timeframe

bars_app = typer.Typer(no_args_is_help=True, help="Make bars: from prints, or longer ones from shorter ones.")
data_app = typer.Typer(no_args_is_help=True, help="Recorded files: how good they are, and bringing them in.")


# -- the work -----------------------------------------------------------------------------------------------------------------


def bars_of_trades(recording: Recording) -> Recording:
    """Return the 1-minute bars of recorded prints under the sale-condition rules; what made no bar is counted in `quarantined`."""
    from workbench.hub.bars import Reject, build
    from workbench.sessions import SessionCalendar

    calendar = SessionCalendar.xnys()
    parts: list[np.ndarray] = []
    dropped = dict(recording.quarantined)
    said = list(recording.assumptions)
    for symbol in recording.symbols:
        rows = recording.of(symbol)
        conditions = np.ascontiguousarray(rows["conditions"]) if rows["n_conditions"].any() else None
        built = build(rows["ts_event"], rows["price"], rows["size"], sequence=rows["sequence"], conditions=conditions, sessions=calendar)
        parts.append(built.rows)
        for code, n in zip(*np.unique(built.reasons, return_counts=True), strict=True):
            reason = Reject(int(code)).reason
            dropped[reason] = dropped.get(reason, 0) + int(n)
        if built.volume_without_bar:
            said.append(f"{symbol}: {built.volume_without_bar:,.0f} shares in minutes without any price-setting print have no bar")
    return _joined(recording, parts, MINUTE, said, dropped)


def rolled(recording: Recording, timeframe: str) -> Recording:
    """Return recorded bars rolled up to a longer timeframe; TimeframeError when that can't be done exactly."""
    frame = Timeframe.parse(timeframe)
    have = recording.length_ns
    if have == frame.length_ns:
        return recording
    allowed = [
        t.label for t in TIMEFRAMES.values() if t.length_ns >= have and (t.length_ns % have == 0) and (have < DAY or t.label == "1w")
    ]
    if frame.label not in allowed:
        raise TimeframeError(f"timeframe: received {choices(frame.label, allowed)} (the file holds {label_of(have)} bars)")
    parts = [_rolled_rows(recording.of(symbol), have, frame) for symbol in recording.symbols]
    return _joined(recording, parts, frame.length_ns, recording.assumptions, recording.quarantined)


def _rolled_rows(rows: np.ndarray, have_ns: int, frame: Timeframe) -> np.ndarray:
    from workbench.hub.rollup import rollup
    from workbench.sessions import SessionCalendar

    if have_ns < MINUTE:
        rows = regroup(rows, MINUTE)
    return rows if frame.label == "1m" else rollup(rows, frame, SessionCalendar.xnys())


def _joined(recording: Recording, parts: list[np.ndarray], length_ns: int, said: list[str], dropped: dict[str, int]) -> Recording:
    """Return the symbols' bars as one recording, by time."""
    rows = np.concatenate([*parts, np.zeros(0, BAR_DTYPE)])
    ids = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p) for p in parts])
    order = np.lexsort((ids, rows["ts_open"]))
    return Recording(recording.path, "bars", rows[order], ids[order], recording.symbols, length_ns, list(said), dict(dropped))


def build_bars_file(trades: Path, out: Path, timeframe: str = "1m", *, options: ReadOptions | None = None) -> list[str]:
    """Write the bars of a file of prints; return what was assumed, quarantined and written. Raises as the readers and writers do."""
    Timeframe.parse(timeframe)
    _refuse_own_input(trades, out)
    recording = load(trades, options)
    if recording.kind != "trades":
        raise SchemaError(f"{trades.name}: received {recording.kind}; allowed: trades (to make longer bars of bars: workbench bars roll)")
    bars = rolled(bars_of_trades(recording), timeframe)
    write_recording(out, bars)
    return [*bars.summary(), f"wrote {len(bars.rows):,} {timeframe} bars of {_names(bars)} to {out}, from {len(recording.rows):,} prints"]


def roll_bars_file(bars: Path, out: Path, timeframe: str, *, options: ReadOptions | None = None) -> list[str]:
    """Write a file of bars rolled up to a longer timeframe; return what was assumed, quarantined and written."""
    Timeframe.parse(timeframe)
    _refuse_own_input(bars, out)
    recording = load(bars, options)
    if recording.kind != "bars":
        raise SchemaError(f"{bars.name}: received {recording.kind}; allowed: bars (to make bars of prints: workbench bars build)")
    longer = rolled(recording, timeframe)
    write_recording(out, longer)
    return [
        *longer.summary(),
        f"wrote {len(longer.rows):,} {timeframe} bars of {_names(longer)} to {out}, from {len(recording.rows):,} bars",
    ]


def _refuse_own_input(source: Path, out: Path) -> None:
    """Refuse to write over the recording that is being read: prints can't be made again from bars."""
    if out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"out: received {str(out)!r}, the file that is read; allowed: another name, so that nothing recorded is lost")


def audit_file(
    path: Path, against: Path | None = None, *, options: ReadOptions | None = None, against_options: ReadOptions | None = None
) -> Report:
    """Return the audit of one file, compared with a second one if given (prints are built into bars for the comparison)."""
    return audit(path, against, options=options, against_options=against_options, build=bars_of_trades)


def import_file(path: Path, store: BarStore, *, options: ReadOptions | None = None) -> list[str]:
    """Keep a file's bars in the store's timeframe; prints are built into bars first. Return what was assumed, quarantined and kept."""
    recording = load(path, options)
    if recording.kind == "quotes":
        raise SchemaError(
            f"{path.name}: received quotes; allowed: bars, or trades to build bars from (kind bars reads quote bars as midpoints)"
        )
    if recording.kind == "bars" and recording.length_ns > store.timeframe.length_ns:
        held = label_of(recording.length_ns)
        raise SchemaError(
            f"{path.name}: received {held} bars; allowed: {store.timeframe} bars or shorter, or trades"
            f" (to play {held} bars as they are: workbench serve --replay)"
        )
    bars = rolled(bars_of_trades(recording) if recording.kind == "trades" else recording, store.timeframe.label)
    for symbol in bars.symbols:
        rows = bars.of(symbol)
        if len(rows):
            store.write(symbol, rows)
    return [*bars.summary(), f"kept {len(bars.rows):,} {store.timeframe} bars of {_names(bars)} in {store.root}"]


def import_folder(data_dir: Path) -> Path:
    """Return the folder below the data directory that imported bars are kept in."""
    return data_dir / "bars" / "imported"


def _names(recording: Recording) -> str:
    names = list(recording.symbols)
    return ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")


# -- what is printed ----------------------------------------------------------------------------------------------------------


def audit_text(report: Report) -> list[str]:
    """Return an audit as lines for a person."""
    lines = [f"{report['file']}: {report['rows']:,} rows of {report['kind']}, score {report['score']:g} of 100"]
    lines += [f"  from {report['first']} to {report['last']}, {report['sessions']:,} sessions"]
    unit = "bars" if report["kind"] == "bars" else "minutes"
    lines += [f"  regular session: {report['present']:,} of {report['expected']:,} {unit}, {report['missing']:,} missing"]
    lines += [f"  assumed: {sentence}" for sentence in report["assumptions"]]
    lines += [f"  found: {sentence}" for sentence in report["findings"] or ["nothing wrong"]]
    lines += [f"  quarantined: {n:,} rows: {reason}" for reason, n in report["quarantined"].items()]
    other = report.get("against")
    if other:
        counts = (
            f"{other['common']:,} common {other['timeframe']} bars, {other['only_here']:,} only here, {other['only_there']:,} only there"
        )
        lines.append(f"  against {other['file']}: {counts}")
        for name, difference in other["columns"].items():
            share = f"{100 * difference['share']:.1f} % differ"
            lines.append(f"    {name:<9} {share}, largest {difference['largest']:g} at {difference['largest_at']}")
    return lines


# -- the commands -------------------------------------------------------------------------------------------------------------

Source = Annotated[Path, typer.Argument(help="A .parquet, .csv or .csv.gz file.")]
Out = Annotated[Path, typer.Option("--out", help="File to write: .parquet, .csv or .csv.gz.")]
Symbol = Annotated[str | None, typer.Option(help="Symbol of every row (default: the file's column, else the file's name).")]
Kind = Annotated[str | None, typer.Option(help="trades, quotes or bars (default: told by the columns).")]
Zone = Annotated[str | None, typer.Option("--tz", help="Zone of stamps without one, e.g. America/New_York.")]
Stamp = Annotated[str | None, typer.Option(help="What a bar's stamp means: start or end.")]
Unit = Annotated[str | None, typer.Option(help="Unit of numeric stamps: s, ms, us or ns.")]
Length = Annotated[str | None, typer.Option("--length", help="Length of the file's bars, e.g. 1m.")]
Column = Annotated[list[str] | None, typer.Option("--column", help="Our column=the file's column, e.g. price=Px; repeat for more.")]


def _options(
    symbol: str | None, kind: str | None, tz: str | None, stamp: str | None, unit: str | None, length: str | None, column: list[str] | None
) -> ReadOptions:
    return ReadOptions(kind=kind, symbol=symbol, tz=tz, stamp=stamp, timeframe=length, unit=unit, columns=_pairs(column or ()))


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        ours, equals, theirs = text.partition("=")
        if not (ours and equals and theirs):
            raise ConfigError(f"column: received {text!r}; allowed: our column=the file's column, e.g. price=Px")
        pairs[ours.strip()] = theirs.strip()
    return pairs


def _say(sentences: Iterable[str], *, err: bool = False) -> None:
    for sentence in sentences:
        typer.echo(sentence, err=err)


@bars_app.command("build")
def build_command(
    trades: Source,
    out: Out,
    tf: Annotated[str, typer.Option("--tf", help="Timeframe of the bars: " + ", ".join(TIMEFRAMES) + ".")] = "1m",
    symbol: Symbol = None,
    kind: Kind = None,
    tz: Zone = None,
    stamp: Stamp = None,
    unit: Unit = None,
    column: Column = None,
) -> None:
    """Build bars from prints, under the consolidated sale-condition rules."""
    _say(build_bars_file(trades, out, tf, options=_options(symbol, kind, tz, stamp, unit, None, column)))


@bars_app.command("roll")
def roll_command(
    bars: Source,
    out: Out,
    tf: Annotated[str, typer.Option("--tf", help="Timeframe to make: " + ", ".join(TIMEFRAMES) + ".")],
    symbol: Symbol = None,
    kind: Kind = None,
    tz: Zone = None,
    stamp: Stamp = None,
    unit: Unit = None,
    length: Length = None,
    column: Column = None,
) -> None:
    """Roll bars up to a longer timeframe, anchored at the session."""
    _say(roll_bars_file(bars, out, tf, options=_options(symbol, kind, tz, stamp, unit, length, column)))


@data_app.command("audit")
def audit_command(
    file: Source,
    against: Annotated[Path | None, typer.Option(help="Second file to compare with, bar by bar.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
    symbol: Symbol = None,
    kind: Kind = None,
    tz: Zone = None,
    stamp: Stamp = None,
    unit: Unit = None,
    length: Length = None,
    column: Column = None,
) -> None:
    """Say what is missing, repeated, impossible or unlikely in a file, and score it from 0 to 100."""
    report = audit_file(file, against, options=_options(symbol, kind, tz, stamp, unit, length, column))
    _say([as_text(report)] if as_json else audit_text(report))


def as_text(report: Report) -> str:
    """Return a report as JSON text."""
    return json.dumps(report, indent=2, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


@data_app.command("import")
def import_command(
    files: Annotated[list[Path], typer.Argument(help="Files with bars or trades.")],
    data_dir: Annotated[Path | None, typer.Option(help="Data directory (default: that of the settings).")] = None,
    symbol: Symbol = None,
    kind: Kind = None,
    tz: Zone = None,
    stamp: Stamp = None,
    unit: Unit = None,
    length: Length = None,
    column: Column = None,
) -> None:
    """Bring files into the store as 1-minute bars, by symbol and day; a bar that is there already is replaced."""
    options = _options(symbol, kind, tz, stamp, unit, length, column)
    store = BarStore(import_folder(data_dir or _data_dir()))
    failed: list[WorkbenchError] = []
    for path in files:
        try:
            _say([f"{path}:", *(f"  {sentence}" for sentence in import_file(path, store, options=options))])
        except WorkbenchError as error:
            if len(files) == 1:
                raise
            failed.append(error)
            _say([f"workbench: {error}"], err=True)
    if failed:
        raise FileError(f"{len(failed)} of {len(files)} files were not imported; the others were")


def _data_dir() -> Path:
    from workbench.config import Settings

    return Settings().data_dir
