"""The service of one engine as an ASGI application: routes, refusals, the stream, and the door before all of them.

Floor 8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from workbench import __version__
from workbench.api import errors
from workbench.api.context import Context
from workbench.api.flags import Flags
from workbench.api.market import market_routes
from workbench.api.metrics import metrics_routes
from workbench.api.service import replay_routes, service_routes
from workbench.api.stream import STRAIGHT, Streams
from workbench.api.watching import Watch
from workbench.clock import monotonic_ns
from workbench.config import Settings
from workbench.engine import Engine

Door = Callable[[ASGIApp], ASGIApp]  # who may come in: wraps an application in one that refuses
THREADS = 12
ABOUT = """The hub of a trading workbench: bars, quotes, prints, and how far to trust them.

Every refusal is `{"error": "one sentence"}`. Times are integer ns UTC. Unknown parameters are refused. What is unknown is null."""


class Api:
    """The application, with what has to be ended when it stops."""

    def __init__(self, context: Context, app: ASGIApp, door: Door | None) -> None:
        self.context = context
        behind = _straight(app)
        self._app = behind if door is None else door(behind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what failed inside was answered and logged already (`errors.py`)."""
        with contextlib.suppress(Exception):
            await self._app(scope, receive, send)

    async def close(self) -> None:
        """End the streams and the threads."""
        await self.context.streams.close()
        self.context.threads.shutdown(wait=False, cancel_futures=True)


def _straight(app: ASGIApp) -> ASGIApp:
    """Return an application that tells its routes how to send past the layers of the framework: a stream sends very often."""

    async def straight(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {**scope.get("extensions", {}), STRAIGHT: send}}, receive, send)

    return straight


def make_app(engine: Engine, settings: Settings, door: Door | None = None) -> Api:
    """Return the service of an engine that is started and stopped by the caller."""
    threads = ThreadPoolExecutor(THREADS, "api")
    flags = Flags(settings.data_dir / "flags.json", {"record": settings.record})
    streams = Streams(engine.hub, ThreadPoolExecutor(2, "api-stream"))
    context = Context(engine, streams, Watch(engine.hub, threads), flags, threads, monotonic_ns())
    app = FastAPI(title="workbench hub", version=__version__, description=ABOUT, docs_url=None, redoc_url=None, redirect_slashes=False)
    errors.install(app)
    for routes in (market_routes(context), service_routes(context), replay_routes(context), metrics_routes(context)):
        app.include_router(routes)
    return Api(context, app, door)
