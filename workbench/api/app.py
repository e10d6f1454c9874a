"""The service of one engine as an ASGI application: routes, refusals, the stream, and the door before all of them.

Floor 8.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from workbench import __version__
from workbench.api import errors
from workbench.api.chains import Leases, chain_routes
from workbench.api.context import Context
from workbench.api.errors import Refused
from workbench.api.flags import Flags
from workbench.api.market import market_routes
from workbench.api.metrics import metrics_routes
from workbench.api.service import replay_routes, service_routes
from workbench.api.stream import STRAIGHT, Streams
from workbench.api.watching import Watch
from workbench.clock import monotonic_ns
from workbench.config import Settings
from workbench.engine import Engine
from workbench.errors import WorkbenchError

log = logging.getLogger(__name__)

Door = Callable[[ASGIApp], ASGIApp]  # who may come in: wraps an application in one that refuses
THREADS = 12
AT_THE_DOOR = (400, 401, 403, 414, 421, 429, 431, 503)  # what any route may answer before it is reached
RECORDER_STOP_S = 8.0  # the rest is safe in its write-ahead file
ABOUT = """The hub of a trading workbench: bars, quotes, prints, and how far to trust them.

Every refusal is `{"error": "one sentence"}`. Times are integer ns UTC. Unknown parameters are refused. What is unknown is null."""


class Api:
    """The application, with what has to be ended when it stops."""

    def __init__(self, context: Context, leases: Leases, app: ASGIApp, door: Door | None) -> None:
        self.context, self._leases = context, leases
        behind = _straight(app)
        self._app = behind if door is None else door(behind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what failed inside was answered and logged already (`errors.py`)."""
        with contextlib.suppress(Exception):
            await self._app(scope, receive, send)

    def take_up_switches(self) -> None:
        """Bring the started engine to what the switches say: as last thrown, or on where a setting asks for it in this run."""
        recorder, flags = self.context.engine.recorder, self.context.flags
        if recorder is None:
            return
        try:
            if recorder.is_on:
                flags.assume("record", is_on=True)
            elif flags.get("record"):
                recorder.start(insists=True)
        except WorkbenchError as error:
            log.error("%s", error)  # noqa: TRY400  the sentence is enough

    async def close(self) -> None:
        """End the streams; other requests are still answered."""
        await self.context.streams.close()

    def end(self) -> None:
        """End the threads, when the last request was answered."""
        self._leases.close()
        for threads in (self.context.threads, self.context.streams.threads):
            threads.shutdown(wait=False, cancel_futures=True)


def _straight(app: ASGIApp) -> ASGIApp:
    """Return an application that tells its routes how to send past the layers of the framework: a stream sends very often."""

    async def straight(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {**scope.get("extensions", {}), STRAIGHT: send}}, receive, send)

    return straight


def _record(engine: Engine, is_on: bool) -> None:
    """Start or stop the recorder, as the switch says."""
    if engine.recorder is None:
        raise Refused(409, "record: this process reads a hub elsewhere; allowed: the switch of that hub")
    if is_on:
        engine.recorder.start()
    else:
        engine.recorder.stop(RECORDER_STOP_S)


def make_app(engine: Engine, settings: Settings, door: Door | None = None) -> Api:
    """Return the service of an engine that is started and stopped by the caller."""
    threads = ThreadPoolExecutor(THREADS, "api")
    flags = Flags(settings.data_dir / "flags.json")
    flags.listen("record", partial(_record, engine))
    streams = Streams(engine.hub, ThreadPoolExecutor(2, "api-stream"))
    context = Context(engine, streams, Watch(engine.hub, threads), flags, threads, monotonic_ns())
    app = FastAPI(
        title="workbench hub",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=errors.responses(*AT_THE_DOOR),
    )
    errors.install(app)
    leases = Leases(engine.hub)
    for routes in (
        market_routes(context),
        chain_routes(context, leases),
        service_routes(context),
        replay_routes(context),
        metrics_routes(context),
    ):
        app.include_router(routes)
    return Api(context, leases, app, door)
