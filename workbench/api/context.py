"""What the routes of one service share. Floor 8."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response

from workbench.api.encode import to_json
from workbench.api.errors import Refused
from workbench.api.flags import Flags
from workbench.api.stream import Streams
from workbench.api.watching import Watch
from workbench.engine import Engine
from workbench.hub.hub import Hub

T = TypeVar("T")
READ_S = 10.0  # how long an answer waits for a provider's history


@dataclass(frozen=True, slots=True)
class Context:
    """One engine, and the parts of the service that read it."""

    engine: Engine
    streams: Streams
    watch: Watch
    flags: Flags
    threads: ThreadPoolExecutor  # for what may wait for the hub or the source
    started_ns: int  # stopwatch

    @property
    def hub(self) -> Hub:
        """The hub that is served."""
        return self.engine.hub

    async def read(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, run on a thread; Refused (503) when that takes too long."""
        running = asyncio.get_running_loop().run_in_executor(self.threads, work)
        try:
            return await asyncio.wait_for(asyncio.shield(running), READ_S)
        except TimeoutError:
            raise Refused(503, f"not read within {READ_S:g} s: the source is slow or away; ask again, or for less") from None

    def answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """Return a value as JSON."""
        return Response(to_json(value), status, headers, "application/json")

    def market_headers(self) -> dict[str, str]:
        """Return where the data comes from and how it is, as headers."""
        health = self.hub.health()
        return {"X-Market-Source": header_text(health.source), "X-Market-Reason": header_text(f"{health.mode.value}: {health.reason}")}


def header_text(text: str) -> str:
    """Return text as a header may hold it: printable ASCII, at most 200 characters."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:200]
