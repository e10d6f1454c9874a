"""Serve the desk and every other app from one process, over one engine, behind the door.

The engine is built once a process and cached; every browser session reads the same hub. Floor 8.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import panel as pn
from bokeh.server.auth_provider import AuthModule, NullAuth
from tornado.websocket import WebSocketClosedError

from workbench.assembly import assemble
from workbench.config import Settings
from workbench.door.gate import LIVENESS, Gate
from workbench.door.guests import COOKIE
from workbench.engine import Engine
from workbench.errors import PortInUseError
from workbench.log import mask_handlers
from workbench.views import auth, guard, theme
from workbench.views.app_page import AppPage
from workbench.views.chain import ChainView
from workbench.views.chain_grid import NAMES
from workbench.views.desk import Desk
from workbench.views.exposure import ExposurePage, shared_histories
from workbench.views.ideas import IdeasView
from workbench.views.matrix import Matrix
from workbench.views.models import Selection
from workbench.views.places import FullPage, shared_places
from workbench.views.risk import RiskPage
from workbench.views.shelf import Shelf, shared_shelf
from workbench.views.sockets import send_at_once

log = logging.getLogger(__name__)

UNUSED_SESSION_MS = 15_000  # a closed tab's session is destroyed after this long
CHECK_UNUSED_MS = 5_000
ENGINE_KEY = ("workbench-engine",)  # as Panel writes the name of what it caches
PAGE_CSS = "html,body{margin:0;height:100%;overflow:hidden;background:BACKGROUND}"


def shared_engine(settings: Settings | None = None) -> Engine:
    """Return this process's running engine, built from `settings` (default: the environment) when first asked for.

    Asked by a page, it answers whom the door lets in; DoorError for anybody else.
    """
    guard.caller()
    return pn.state.as_cached(ENGINE_KEY[0], _started) if settings is None else _put(settings)


def _started(settings: Settings | None = None) -> Engine:
    if settings is None:  # stock Panel has set up the log; ours is set up by the command
        settings = Settings()
        mask_handlers(settings)
    return assemble(settings).start()


def _put(settings: Settings) -> Engine:
    engine = _started(settings)
    pn.state.cache[ENGINE_KEY] = (engine, None)
    return engine


def desk_page(engine: Engine, settings: Settings) -> Any:
    """Return the desk of the present browser session, ready to be made servable; a page that says so when every place is taken."""

    def build(query: dict[str, str]) -> Page:
        desk = Desk(engine.hub, _shelf(settings), query)
        return Page(desk.shell, desk.look.theme, desk.start)

    return _shown(settings, build)


def chain_page(engine: Engine, settings: Settings) -> Any:
    """Return the option chain of the present browser session, as `desk_page` the desk."""

    def build(query: dict[str, str]) -> Page:
        selection, columns = Selection(), [name for name in NAMES if name != "break_even"]  # as many as 1366 px hold
        view = ChainView(engine.hub, selection, _shelf(settings), kept_as="chain_page", first_columns=columns)
        page = AppPage(engine.hub, view, selection, query)
        return Page(page, page.theme, page.start)

    return _shown(settings, build)


def exposure_page(engine: Engine, settings: Settings) -> Any:
    """Return the exposure view of the present browser session, as `desk_page` the desk."""

    def build(query: dict[str, str]) -> Page:
        page = ExposurePage(engine.hub, query, shared_histories())
        return Page(page.view, page.theme, page.start)

    return _shown(settings, build)


def matrix_page(engine: Engine, settings: Settings) -> Any:
    """Return the matrix of the present browser session, as `desk_page` the desk."""

    def build(query: dict[str, str]) -> Page:
        matrix = Matrix(engine.hub, _shelf(settings), query)
        return Page(matrix.shell, matrix.look.theme, matrix.start)

    return _shown(settings, build)


def structures_page(engine: Engine, settings: Settings) -> Any:
    """Return the risk graph of the present browser session, as `desk_page` the desk."""

    def build(query: dict[str, str]) -> Page:
        page = RiskPage(engine.hub, _shelf(settings), query)
        return Page(page.view, page.theme, page.start)

    return _shown(settings, build)


def ideas_page(engine: Engine, settings: Settings) -> Any:
    """Return the ideas of the present browser session, as `desk_page` the desk."""

    def build(query: dict[str, str]) -> Page:
        selection = Selection()
        view = IdeasView(engine.hub, selection, _shelf(settings), query, is_page=True)
        page = AppPage(engine.hub, view, selection, query)
        return Page(page, page.theme, page.start)

    return _shown(settings, build)


# address -> what is there
PAGES = {
    "desk": desk_page,
    "chain": chain_page,
    "matrix": matrix_page,
    "exposure": exposure_page,
    "structures": structures_page,
    "ideas": ideas_page,
}


class Page(NamedTuple):
    """One page of a browser session: what is shown, in which theme, and how it begins to move."""

    root: Any
    theme: str
    start: Callable[[], None]


def _shown(settings: Settings, build: Callable[[dict[str, str]], Page]) -> Any:
    """Return a started page, built from what its address asks for; one that says so where every place is taken."""
    if not shared_places().take(getattr(pn.state.curdoc, "session_context", None), settings.session_cap):
        full = FullPage(settings.session_cap)
        full.start()
        return full
    page = build({name: values[0].decode(errors="replace") for name, values in pn.state.session_args.items() if values})
    pn.config.raw_css = [*pn.config.raw_css, PAGE_CSS.replace("BACKGROUND", theme.tokens(page.theme)["background"])]
    page.start()
    _stay_calm_about_closed_tabs()
    return page.root


def _app(page: Callable[[Engine, Settings], Any], engine: Engine, settings: Settings) -> Callable[[], Any]:
    """Return a page as Panel calls it: it wants a function, and would print anything else that can be called."""
    return lambda: page(engine, settings)


def _shelf(settings: Settings) -> Shelf:
    return shared_shelf(settings.data_dir / "desk")


def serve(settings: Settings, port: int | None = None, address: str | None = None, *, show: bool = False) -> None:
    """Serve all apps until Ctrl-C.

    Asked before anything is started: PortInUseError when the port is taken, ConfigError for an address that other machines can
    reach without TLS, log-in and cookie secret.
    """
    port, address = settings.port if port is None else port, settings.host if address is None else address
    gate = guard.desk_gate(settings, port, address)
    check_port(address, port)
    engine = shared_engine(settings)
    api = None
    try:
        running = server(engine, settings, port, address, show=show, gate=gate)
        api = _api(engine, settings, address, gate)
        running.start()
        log.info(
            "desk on port %d%s", running.port, "" if api is None else f", its hub at {api.address}, events at {api.address}/stream/market"
        )
        signal.signal(signal.SIGTERM, lambda *_: running.io_loop.add_callback_from_signal(running.io_loop.stop))
        running.io_loop.start()
    except KeyboardInterrupt:
        log.info("stopping")
    finally:
        if api is not None:
            api.stop()
        engine.stop()


def _api(engine: Engine, settings: Settings, address: str, gate: Gate) -> Any:
    """Start the hub's API beside the desk; None, and a sentence, where there is nothing to serve or its port is taken.

    A desk on a hub elsewhere serves none of its own: that hub does. A second desk on this machine goes on without one.
    """
    if settings.is_attached:
        return None
    from workbench.api.server import ApiServer

    try:
        api = ApiServer(engine, settings, book=gate.book, host=address)
    except PortInUseError as error:
        log.warning("the desk runs, but other programs can't read its hub: %s", error)
        return None
    api.start()
    return api


def server(
    engine: Engine, settings: Settings, port: int, address: str = "127.0.0.1", *, show: bool = False, gate: Gate | None = None
) -> Any:
    """Return a Bokeh server of all apps that is bound to its port, behind the door; `start` it, then its `io_loop`."""
    pn.extension()
    gate = gate or guard.desk_gate(settings, port, address)
    apps = {name: _app(page, engine, settings) for name, page in PAGES.items()}
    running = pn.serve(
        {"/": apps["desk"], **apps},
        port=port,
        address=address,
        show=show,
        start=False,
        title={name: name.capitalize() for name in apps} | {"/": "Desk"},
        unused_session_lifetime_milliseconds=UNUSED_SESSION_MS,
        check_unused_sessions_milliseconds=CHECK_UNUSED_MS,
        **_behind(gate, settings),
    )
    gate.serve_on(running.port)
    application = running._tornado
    application.websocket_origins.update(origin.partition("://")[2] for origin in gate.origins)  # as the gate: exact names
    guard.stand_before(application, gate)
    send_at_once(application)
    return running


def _behind(gate: Gate, settings: Settings) -> dict[str, Any]:
    """Return what Bokeh has to be told to serve behind the door."""
    has_tls = settings.tls_cert is not None
    return {
        "auth_provider": NullAuth() if gate.book.is_open else AuthModule(auth.__file__),
        "extra_patterns": [(LIVENESS, guard.LivenessHandler)],
        "xsrf_cookies": True,
        "sign_sessions": True,
        "secret_key": gate.book.signing_key(),
        "exclude_cookies": [COOKIE, "_xsrf"],  # Bokeh writes the others into the page, where scripts can read them
        "exclude_headers": ["Authorization", "Cookie"],
        "websocket_max_message_size": guard.MESSAGE_BYTES,
        "http_server_kwargs": {"max_header_size": guard.HEAD_BYTES, "max_body_size": guard.BODY_BYTES},
        **({"ssl_certfile": str(settings.tls_cert), "ssl_keyfile": str(settings.tls_key)} if has_tls else {}),
    }


def _stay_calm_about_closed_tabs() -> None:
    try:
        asyncio.get_running_loop().set_exception_handler(_report)
    except RuntimeError:  # no loop: the app is being run to warm up, nobody is connected
        return


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong on the loop; a tab that closed while a frame was on its way to it is nothing wrong."""
    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def check_port(address: str, port: int) -> None:
    """Refuse a port that is taken."""
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
