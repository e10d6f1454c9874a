"""The command `workbench hub`.

Floor 9.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def hub(
    source: Annotated[str | None, typer.Option(help="simulated, replay, polygon, massive or alpaca.")] = None,
    symbols: Annotated[str | None, typer.Option(help="Symbols to watch, separated by commas.")] = None,
    replay: Annotated[Path | None, typer.Option(help="File or folder to replay; sets the source.")] = None,
    speed: Annotated[str | None, typer.Option(metavar="NUMBER", help="Market seconds per real second, 0.1 to 1000.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="NUMBER", help="Of the simulated market.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where bars and switches are kept.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to serve on; any but this machine's needs TLS or a proxy and a log-in.")] = None,
    port: Annotated[str | None, typer.Option(metavar="NUMBER", help="Port of the API, 5007 by default; 0 takes a free one.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Record every event.")] = False,
    hours: Annotated[str, typer.Option(help="always; or extended, regular: wait for that session, end after it.")] = "always",
    log_json: Annotated[bool, typer.Option("--log-json", help="Write the log as JSON, one object a line.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Run the hub alone: one feed, an API and an event stream for any number of readers, until Ctrl-C.

    Notebooks and desks in other processes attach to it with the source hub://host:port.
    """
    from workbench.api.headless import run
    from workbench.api.hours import check_hours
    from workbench.config import Settings
    from workbench.log import start_log

    chosen = {
        "source": source or (None if replay is None else "replay"), "symbols": symbols, "replay_path": replay, "speed": speed,
        "seed": seed, "data_dir": data_dir, "host": host, "api_port": port, "record": record or None,
        "log_json": log_json or None,
    }  # fmt: skip
    settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    start_log(settings, is_verbose=verbose)
    run(settings, say=typer.echo, hours=check_hours(hours))
