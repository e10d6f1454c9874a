"""The command `workbench record`: a hub and its recorder, without a desk.

Floor 9.
"""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from workbench.engine import Engine


def record(
    source: Annotated[str | None, typer.Option(help="simulated, polygon, massive or alpaca.")] = None,
    symbols: Annotated[str | None, typer.Option(help="Symbols to record, separated by commas.")] = None,
    speed: Annotated[float | None, typer.Option(help="Market seconds per real second (simulated).")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the simulated market.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the recording is kept, below recorded/.")] = None,
    say_every_s: Annotated[float, typer.Option(min=0.01, help="How often to print what was recorded so far [s].")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON objects instead of sentences.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Record every event, accepted and put aside, to Parquet by day, kind and symbol, until Ctrl-C.

    A hub that runs already records when it is told so: its flag 'record' (PUT /api/flags), or its option --record.
    What was recorded is played by: workbench serve --replay DATA_DIR/recorded/SOURCE/date=YYYY-MM-DD
    (of the simulated market SOURCE is simulated-seed7-speed1: each seed and speed has its own folder).
    """
    from workbench.assembly import assemble
    from workbench.config import Settings
    from workbench.log import start_log

    chosen = {"source": source, "symbols": symbols, "speed": speed, "seed": seed, "data_dir": data_dir}
    settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    start_log(settings, is_verbose=verbose)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    engine = assemble(settings, record=False)
    if engine.recorder is None:
        raise typer.BadParameter(f"{settings.source}: a hub elsewhere records for itself: its flag 'record' (PUT /api/flags)")
    engine.recorder.start()  # first: refused at once where another one records
    try:
        engine.start()
        typer.echo(_said(engine, as_json=as_json))
        while not ended.wait(say_every_s):
            typer.echo(_said(engine, as_json=as_json))
    finally:
        engine.stop()
    typer.echo(_said(engine, as_json=as_json))


def _said(engine: Engine, *, as_json: bool) -> str:
    """Return what was published so far, and what is recorded of it: read in this order, recorded is never the smaller."""
    published = {"trades": engine.hub.tape.n_trades, "quotes": engine.hub.tape.n_quotes}
    status = engine.recorder.status() if engine.recorder is not None else None
    if status is None:
        return ""
    if as_json:
        recorded = {"recorded": status.recorded, "lost": status.lost, "is_on": status.is_on, "trouble": status.trouble}
        return json.dumps({"published": published} | recorded | {"folder": status.folder})
    counted = ", ".join(f"{n:,} {kind}" for kind, n in status.recorded.items() if n) or "nothing yet"
    return f"{status.reason}: {counted}"
