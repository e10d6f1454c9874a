"""The command `workbench`: what a person can type.

Every command imports what it needs when it runs, so that `--help` answers at once. An error that the workbench raises on
purpose is printed as one sentence on standard error, without a traceback. Exit codes: 0 done, 1 it failed, 2 the command
or a setting is wrong.

Floor 9.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.data import bars_app, data_app
from workbench.cli.door import door_app
from workbench.cli.hub import hub
from workbench.cli.options import gex
from workbench.cli.record import record
from workbench.cli.screen import screen_app
from workbench.errors import ConfigError, SymbolError, TimeframeError, WorkbenchError

app = typer.Typer(
    name="workbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A trading workbench: a live desk in the browser, tools for bars and data, and one command that says what is wrong.",
    epilog="Every option of `serve` is also a setting: WORKBENCH_<NAME> in the environment, or a line in config.toml.",
)
app.add_typer(bars_app, name="bars")
app.add_typer(data_app, name="data")
app.add_typer(door_app, name="door")
app.add_typer(screen_app, name="screen")
app.command()(hub)
app.command()(gex)
app.command()(record)

WRONG_COMMAND = (ConfigError, SymbolError, TimeframeError)


@app.command()
def serve(
    source: Annotated[str | None, typer.Option(help="simulated, replay, polygon, massive, alpaca, or a hub: hub://host:port.")] = None,
    symbols: Annotated[str | None, typer.Option(help="Symbols to watch, separated by commas.")] = None,
    replay: Annotated[Path | None, typer.Option(help="File or folder to replay; sets the source.")] = None,
    speed: Annotated[str | None, typer.Option(metavar="NUMBER", help="Market seconds per real second, 0.1 to 1000.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="NUMBER", help="Of the simulated market.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where bars, drawings and watchlists are kept.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to serve on; any but this machine's needs TLS or a proxy and a log-in.")] = None,
    port: Annotated[str | None, typer.Option(metavar="NUMBER", help="Port to serve on, 5006 by default; 0 takes a free one.")] = None,
    api_port: Annotated[str | None, typer.Option(metavar="NUMBER", help="Port of the API, 5007 by default; 0: a free one.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Open the desk in the browser.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write the log as JSON, one object a line.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Run the desk: one process, one feed, every app, until Ctrl-C.

    Without options it runs the simulated market: no key, no network, any hour.
    """
    if replay is not None:
        source = source or "replay"
    chosen = {
        "source": source, "symbols": symbols, "replay_path": replay, "speed": speed,
        "seed": seed, "data_dir": data_dir, "host": host, "port": port, "api_port": api_port, "log_json": log_json or None,
    }  # fmt: skip
    settings = _settings(chosen)

    from workbench.hub.warm import warm
    from workbench.log import start_log

    if not settings.is_attached:
        warm()  # while the rest is imported
    from workbench.views.serve import serve as run

    start_log(settings, is_verbose=verbose)
    run(settings, show=show)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False) -> None:
    """Look at versions, settings, keys, feed, clock, disk, calendar and database; say what to do about each finding.

    Keys are reported as present or not, never shown. Exit code 1 when anything fails.
    """
    from workbench import doctor as ward

    checks = ward.examine()
    if as_json:
        typer.echo(json.dumps(ward.as_json(checks), indent=2))
    else:
        for check in checks:
            typer.echo(f"{check.state.value:<8}{check.name:<18} {check.found}")
            if check.next_step:
                typer.echo(f"{'':<27}next: {check.next_step}")
        typer.echo(f"in all: {ward.worst(checks).value}")
    raise typer.Exit(1 if ward.worst(checks) is ward.State.FAIL else 0)


@app.command()
def version() -> None:
    """Print the version."""
    from workbench import __version__

    typer.echo(__version__)


def _settings(chosen: dict[str, Any]) -> Any:
    """Return the settings with what was given on the command line; ConfigError for what is not allowed."""
    from workbench.config import Settings

    return Settings(**{name: value for name, value in chosen.items() if value is not None})


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        app(arguments, prog_name="workbench")
    except WorkbenchError as error:
        _leave(str(error), 2 if isinstance(error, WRONG_COMMAND) else 1)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        _leave(f"{named}{error.strerror or error}", 1)


def _leave(sentence: str, code: int) -> None:
    typer.echo(f"workbench: {sentence}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
