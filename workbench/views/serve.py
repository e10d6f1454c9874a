"""Serve the desk and every other app from one process, over one engine, on this machine only.

The engine is built once a process and cached; every browser session reads the same hub. Floor 8.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import panel as pn
from tornado.websocket import WebSocketClosedError

from workbench.assemble import assemble
from workbench.config import Settings
from workbench.engine import Engine
from workbench.errors import ConfigError, PortInUseError
from workbench.views import theme
from workbench.views.desk import Desk
from workbench.views.shelf import shared_shelf

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "localhost", "::1")
UNUSED_SESSION_MS = 15_000  # a closed tab's session is destroyed after this long
CHECK_UNUSED_MS = 5_000
PAGE_CSS = "html,body{margin:0;height:100%;overflow:hidden;background:BACKGROUND}"


def shared_engine(settings: Settings | None = None) -> Engine:
    """Return this process's running engine, built from `settings` (default: the environment) when first asked for."""
    return pn.state.as_cached("workbench-engine", _started, settings=None) if settings is None else _put(settings)


def _started(settings: Settings | None) -> Engine:
    return assemble(settings or Settings()).start()


def _put(settings: Settings) -> Engine:
    engine = _started(settings)
    pn.state.cache["workbench-engine"] = (engine, None)
    return engine


def desk_page(engine: Engine, data_dir: Path | None = None) -> Any:
    """Return the desk of the present browser session, ready to be made servable."""
    query = {name: values[0].decode(errors="replace") for name, values in pn.state.session_args.items() if values}
    desk = Desk(engine.hub, None if data_dir is None else shared_shelf(data_dir / "desk"), query)
    pn.config.raw_css = [*pn.config.raw_css, PAGE_CSS.replace("BACKGROUND", theme.tokens(desk.look.theme)["background"])]
    desk.start()
    _stay_calm_about_closed_tabs()
    return desk.shell


def serve(settings: Settings, port: int | None = None, address: str | None = None, *, show: bool = False) -> None:
    """Serve all apps until Ctrl-C.

    PortInUseError when the port is taken (asked before anything is started), ConfigError for an address that other machines
    can reach: the desk has no log-in, so it stays on this one.
    """
    port, address = settings.port if port is None else port, settings.host if address is None else address
    check_address(address, port)
    engine = shared_engine(settings)
    try:
        running = server(engine, settings, port, address, show=show)
        running.start()
        running.io_loop.start()
    except KeyboardInterrupt:
        log.info("stopping")
    finally:
        engine.stop()


def server(engine: Engine, settings: Settings, port: int, address: str = "127.0.0.1", *, show: bool = False) -> Any:
    """Return a Bokeh server of all apps that is bound to its port; `start` it, then its `io_loop`."""
    pn.extension()
    apps = {"desk": lambda: desk_page(engine, settings.data_dir)}
    return pn.serve(
        {"/": apps["desk"], **apps},
        port=port,
        address=address,
        show=show,
        start=False,
        title={name: name.capitalize() for name in apps} | {"/": "Desk"},
        websocket_origin=[f"{host}:{port}" for host in ("127.0.0.1", "localhost")] if port else None,
        unused_session_lifetime_milliseconds=UNUSED_SESSION_MS,
        check_unused_sessions_milliseconds=CHECK_UNUSED_MS,
    )


def _stay_calm_about_closed_tabs() -> None:
    try:
        asyncio.get_running_loop().set_exception_handler(_report)
    except RuntimeError:  # no loop: the app is being run to warm up, nobody is connected
        return


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong on the loop; a tab that closed while a frame was on its way to it is nothing wrong."""
    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def check_address(address: str, port: int) -> None:
    """Refuse an address that other machines can reach, and a port that is taken."""
    if address not in LOOPBACK:
        why = "the desk has no log-in; use an SSH tunnel to reach it from elsewhere"
        raise ConfigError(f"host: received {address!r}; allowed: {', '.join(LOOPBACK)} ({why})")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise PortInUseError(
                f"port: received {port}, which another program on {address} is using; "
                f"allowed: a free one (--port {port + 1}), or 0 to take any free one"
            ) from error
