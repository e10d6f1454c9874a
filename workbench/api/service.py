"""Routes about the service itself: probes, diagnosis, switches, and the controls of a replay.

Floor 8.
"""

from __future__ import annotations

import platform
import resource
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import fastapi
import numpy as np
import uvicorn
from fastapi import APIRouter, Query
from starlette.responses import Response

from workbench import __version__
from workbench.api import schemas
from workbench.api.context import Context
from workbench.api.errors import Refused, responses
from workbench.api.flags import KNOWN
from workbench.api.params import Nothing, Seek, Speed, Step, Switch
from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import ConfigError, WorkbenchError
from workbench.hub.health import Mode
from workbench.sessions import to_ny

DEAD = (Mode.STALE, Mode.REFUSED)
CONTROLS = ("play", "pause", "seek", "step", "set_speed", "span", "is_paused", "speed")


def service_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["service"])

    @router.get("/livez", response_model=schemas.Probe, responses=responses(422))
    async def livez(_: Annotated[Nothing, Query()]) -> Response:
        """Whether the service answers at all; restart it when it does not."""
        return context.answer({"is_ok": True, "reason": "the service answers", "mode": "LIVE"})

    @router.get("/readyz", response_model=schemas.Probe, responses={**responses(422), 503: _NOT_READY})
    async def readyz(_: Annotated[Nothing, Query()]) -> Response:
        """Whether what it tells can be relied on: 503 with the reason when the feed or the hub is dead."""
        told = _probe(context, DEAD)
        return context.answer(told, 200 if told["is_ok"] else 503)

    @router.get("/healthz", response_model=schemas.Probe, responses={**responses(422), 503: _NOT_READY})
    async def healthz(_: Annotated[Nothing, Query()]) -> Response:
        """Whether the hub works, whatever the feed does: 503 when its thread is dead."""
        told = _probe(context, ())
        return context.answer(told, 200 if told["is_ok"] else 503)

    @router.get("/api/diag", response_model=schemas.Diag, responses=responses(422, 500))
    async def diag(_: Annotated[Nothing, Query()]) -> Response:
        """Epoch, source, memory, threads, readers and versions, for whoever looks after the hub."""
        return context.answer(_diag(context))

    @router.get("/api/flags", response_model=schemas.Flags, responses=responses(422, 500))
    async def flags(_: Annotated[Nothing, Query()]) -> Response:
        """Switches that can be thrown while the hub runs."""
        return context.answer(_flags(context))

    @router.put("/api/flags", response_model=schemas.Flags, responses=responses(400, 413, 422, 500, 503))
    async def throw(states: Switch, _: Annotated[Nothing, Query()]) -> Response:
        """Throw switches; those left out stay. Kept over restarts."""
        for name, is_on in states.model_dump(exclude_none=True).items():
            await context.read(partial(context.flags.set, name, is_on=is_on))
        return context.answer(_flags(context))

    return router


def replay_routes(context: Context) -> APIRouter:
    """Return the routes that steer a replay, or a simulated market."""
    router = APIRouter(prefix="/api/replay", tags=["replay"])
    refusals = responses(400, 409, 413, 422, 500, 503)

    @router.get("", response_model=schemas.Replay, responses=refusals)
    async def state(_: Annotated[Nothing, Query()]) -> Response:
        """Where it stands."""
        return await _steer(context, lambda _: None)

    @router.post("/start", response_model=schemas.Replay, responses=refusals)
    async def start(_: Annotated[Nothing, Query()]) -> Response:
        """Go on from where it stands."""
        return await _steer(context, lambda source: source.play())

    @router.post("/pause", response_model=schemas.Replay, responses=refusals)
    async def pause(_: Annotated[Nothing, Query()]) -> Response:
        """Stand still."""
        return await _steer(context, lambda source: source.pause())

    @router.post("/stop", response_model=schemas.Replay, responses=refusals)
    async def stop(_: Annotated[Nothing, Query()]) -> Response:
        """Stand still at the beginning."""
        return await _steer(context, _rewind)

    @router.post("/seek", response_model=schemas.Replay, responses=refusals)
    async def seek(asked: Seek, _: Annotated[Nothing, Query()]) -> Response:
        """Go to a moment, forwards or back; what is shown then equals having played to it."""
        return await _steer(context, lambda source: _seek(source, asked.ts_ns))

    @router.post("/speed", response_model=schemas.Replay, responses=refusals)
    async def speed(asked: Speed, _: Annotated[Nothing, Query()]) -> Response:
        """Change the speed."""
        return await _steer(context, lambda source: source.set_speed(asked.speed))

    @router.post("/step", response_model=schemas.Replay, responses=refusals)
    async def step(asked: Step, _: Annotated[Nothing, Query()]) -> Response:
        """Go to the end of the present minute, or on by one event, and stand still."""
        return await _steer(context, lambda source: source.step(asked.what))

    return router


_NOT_READY: dict[str, Any] = {"model": schemas.Probe, "description": "not now; the reason says why"}


def _probe(context: Context, dead: tuple[Mode, ...]) -> dict[str, Any]:
    health = context.hub.health()
    if not context.engine.is_running or not context.hub.is_alive:
        return {"is_ok": False, "reason": "the hub's thread has ended; restart the service", "mode": health.mode}
    return {"is_ok": health.mode not in dead, "reason": health.reason, "mode": health.mode}


def _diag(context: Context) -> dict[str, Any]:
    hub, streams = context.hub, context.streams
    return {
        "epoch": hub.epoch,
        "seq": hub.seq,
        "source": f"{hub.source_info.name} ({hub.source_info.detail})",
        "uptime_s": (monotonic_ns() - context.started_ns) / NS_PER_S,
        "memory_bytes": resident_bytes(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "watched": len(hub.watched()),
        "streams": len(streams.readers()),
        "subscriptions": streams.n_subscriptions,
        "slowest_lag": max(streams.lags(), default=0),
        "versions": {
            "workbench": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "fastapi": fastapi.__version__,
            "uvicorn": uvicorn.__version__,
        },
    }


def resident_bytes() -> int | None:
    """Return the memory that this process holds; None where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if sys.platform == "darwin" else None


def _flags(context: Context) -> dict[str, Any]:
    states = context.flags.all()
    return {"flags": [{"name": name, "is_on": states[name], "description": what} for name, what in KNOWN.items()]}


async def _steer(context: Context, work: Any) -> Response:
    source: Any = context.hub.source
    name = context.hub.source_info.name
    if not all(hasattr(source, control) for control in CONTROLS):
        raise Refused(409, f"replay: source {name!r} runs by the market's own clock; allowed: a replay, or the simulated market")
    try:
        await context.read(lambda: work(source))
    except ConfigError as error:
        raise Refused(422, str(error)) from None
    except WorkbenchError as error:
        raise Refused(409, str(error)) from None
    start_ns, end_ns = source.span
    told = {
        "ts_ns": context.hub.clock.now_ns(),
        "speed": source.speed,
        "is_paused": source.is_paused,
        "start_ns": start_ns,
        "end_ns": end_ns,
    }
    return context.answer(told)


def _rewind(source: Any) -> None:
    source.pause()
    source.seek(source.span[0])


def _seek(source: Any, ts_ns: int) -> None:
    first, last = source.span
    if not first <= ts_ns <= last:
        raise Refused(422, f"ts_ns: received {ts_ns} ({_when(ts_ns)}); allowed: {first} to {last} ({_when(first)} to {_when(last)})")
    source.seek(ts_ns)


def _when(ts_ns: int) -> str:
    try:
        return f"{to_ny(ts_ns):%Y-%m-%d %H:%M} New York"
    except (OverflowError, ValueError):
        return "beyond any calendar"
