"""Runs the API beside an engine: uvicorn on a thread of its own, started and stopped by whoever runs the process.

Floor 8.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import uvicorn

from workbench.api.app import make_app
from workbench.api.protocol import BoundedProtocol
from workbench.config import Settings
from workbench.door.asgi import Door
from workbench.door.gate import Gate
from workbench.door.guests import GuestBook
from workbench.door.roles import Role
from workbench.engine import Engine
from workbench.errors import PortInUseError

log = logging.getLogger(__name__)

START_S = 10.0
STOP_S = 4.0
KEEP_ALIVE_S = 15
BACKLOG = 512
NEEDS = {"/api/flags": Role.ADMIN, "/api/replay": Role.TRADER}  # who may change what; reading needs a viewer


class ApiServer:
    """The API of one engine at one address, behind the door. Use as `start`, `stop`; `port` is known after `start`."""

    def __init__(
        self, engine: Engine, settings: Settings, *, book: GuestBook | None = None, host: str | None = None, port: int | None = None
    ) -> None:
        """`port` 0 takes a free one. `book`: of a desk in the same process, whose sessions it then knows.

        PortInUseError when another program has the port, ConfigError for an address that the door does not allow.
        """
        self.host = settings.host if host is None else host
        book = book or GuestBook(settings, host=self.host)
        self._socket = _bound(self.host, settings.api_port if port is None else port)
        self.port: int = self._socket.getsockname()[1]
        gate = Gate(settings, self.port, book, host=self.host, needs=NEEDS)
        self.app = make_app(engine, settings, lambda app: Door(app, gate))
        config = uvicorn.Config(
            self.app,
            http=BoundedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the door reads them, and only where a proxy is declared
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=2,
            backlog=BACKLOG,
            ssl_certfile=None if settings.tls_cert is None else str(settings.tls_cert),
            ssl_keyfile=None if settings.tls_key is None else str(settings.tls_key),
        )
        self._is_tls = settings.tls_cert is not None
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def address(self) -> str:
        """Where the API is, as a person types it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._is_tls else 'http'}://{host}:{self.port}"

    def start(self) -> None:
        """Start serving a started engine; returns when requests are answered."""
        self.app.take_up_switches()
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(START_S / 0.01)):
            if self._server.started or self._failure is not None:
                break
            waited.wait(0.01)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End streams, finish requests under way, and stop; harmless when stopped."""
        thread, self._thread = self._thread, None
        if thread is None:
            self._socket.close()
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(STOP_S)
        if thread.is_alive():
            self._server.force_exit = True
            thread.join(1.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            log.critical("api: stopped", exc_info=error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        serving.add_done_callback(lambda _: self._stopping.set())
        await self._stopping.wait()
        await self.app.close()
        self._server.should_exit = True
        try:
            await serving
        finally:
            self.app.end()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortInUseError(
            f"api_port: received {port}, which another program on {host} is using; allowed: a free one, or 0 to take any free one"
        ) from error
    return bound
