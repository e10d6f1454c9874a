"""One contender of the fan-out bench, alone in a process on one core: `python sse_server.py KIND`; prints its port and how far its market's
clock is from the wall's [ns], then serves until its input ends.

ours     the service, over a hub that is handed one print of each symbol at every tick: cleaned, built into bars, published
batched  Starlette: encodes a tick once, sends it to each reader as one frame
single   the same loop, but each update is sent by itself, when it comes
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path

import msgspec
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.stubs import ScriptedSource
from workbench.api.server import ApiServer
from workbench.clock import NS_PER_S, WallClock, monotonic_ns, sleep_s
from workbench.config import Settings
from workbench.engine import Engine
from workbench.hub.hub import Hub
from workbench.hub.warm import warm
from workbench.sources.base import SourceInfo
from workbench.types import TRADE_DTYPE

SYMBOLS = tuple(f"SYM{i:02d}" for i in range(20))
TICK_S = 0.05
GRACE_S = 0.2


class MovedClock(WallClock):
    """The wall clock, moved so that the bench begins at a market moment of its own choice, whatever day it is run."""

    def __init__(self, start_ns: int) -> None:
        self.shift_ns = start_ns - super().now_ns()

    def now_ns(self) -> int:
        return super().now_ns() + self.shift_ns


def ours(start_ns: int) -> None:
    warm()
    clock = MovedClock(start_ns)
    source = ScriptedSource(clock=clock, info=SourceInfo("scripted", "a bench", symbols=SYMBOLS, is_replay=True))
    engine = Engine(source, Hub(source, verify_every_s=0, grace_s=GRACE_S), SYMBOLS).start()
    with tempfile.TemporaryDirectory() as folder:
        api = ApiServer(engine, Settings(data_dir=Path(folder)), port=0)
        api.start()
        print(api.port, clock.shift_ns, flush=True)
        threading.Thread(target=feed, args=(engine.hub, clock), daemon=True).start()
        sys.stdin.read()
        api.stop()
    engine.stop()


def feed(hub: Hub, clock: WallClock) -> None:
    """Hand over one print of each symbol every 50 ms."""
    ids = [hub.symbols.intern(symbol) for symbol in SYMBOLS]
    tick, due = 0, monotonic_ns()
    while True:
        rows = np.zeros(len(ids), TRADE_DTYPE)
        rows["symbol_id"], rows["price"], rows["size"] = ids, 100 + (tick % 50) / 100, 100
        rows["ts_event"] = rows["ts_recv"] = clock.now_ns()
        rows["sequence"] = tick + 1
        hub.on_trades(rows)
        tick += 1
        due += int(TICK_S * NS_PER_S)
        sleep_s(max(0.0, (due - monotonic_ns()) / NS_PER_S))


class Bare:
    """The plainest Starlette broadcast that encodes once: a reader waits for the next frame, and yields it."""

    def __init__(self, is_batched: bool) -> None:
        self.is_batched = is_batched
        self.frame = b""
        self.news = asyncio.Event()

    async def run(self) -> None:
        tick = 0
        while True:
            updates = [b"data: " + msgspec.json.encode(update_of(symbol, tick)) + b"\n\n" for symbol in SYMBOLS]
            for frame in [b"".join(updates)] if self.is_batched else updates:
                self.frame = frame
                woken, self.news = self.news, asyncio.Event()
                woken.set()
                await asyncio.sleep(TICK_S if self.is_batched else TICK_S / len(SYMBOLS))
            tick += 1

    async def stream(self):
        while True:
            await self.news.wait()
            yield self.frame

    async def answer(self, request) -> StreamingResponse:
        return StreamingResponse(self.stream(), media_type="text/event-stream")


def update_of(symbol: str, tick: int) -> dict:
    """Return one update of about 130 bytes."""
    head = {"ev": "bar", "symbol": symbol, "t": 1732200000000 + tick}
    return head | {"o": 100.5, "h": 101.25, "l": 99.75, "c": 100 + tick / 100, "v": 123456 + tick, "n": 12, "vw": 100.48}


async def bare(is_batched: bool) -> None:
    peer = Bare(is_batched)
    listening = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/stream/market", peer.answer)])
    server = uvicorn.Server(
        uvicorn.Config(app, http="httptools", ws="none", loop="asyncio", lifespan="off", log_config=None, access_log=False)
    )
    running = asyncio.create_task(peer.run())
    print(listening.getsockname()[1], 0, flush=True)
    asyncio.get_running_loop().run_in_executor(None, lambda: (sys.stdin.read(), os._exit(0)))
    await server.serve(sockets=[listening])
    running.cancel()


if __name__ == "__main__":
    kind = sys.argv[1]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if kind == "ours":
        ours(int(sys.argv[2]))
    else:
        asyncio.run(bare(kind == "batched"))
