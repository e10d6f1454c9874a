"""Makes sure that a symbol somebody asks for is followed, and that one which does not exist is not followed for ever.

A source that lists its symbols answers at once. Any other is given a bounded time to say anything of the symbol: a bar of its
history, a print or a quote; after that the symbol is unsubscribed again, unless somebody else watches it by then, and the asker is
told. Who wants an answer at once is told before that to ask again. Floor 8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import Executor

from workbench.api.errors import Refused
from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import SourceError, SymbolError
from workbench.hub.hub import Hub

ANSWER_S = 1.8  # how long one who wants an answer waits
WAIT_S = 4.0  # a provider's answer to a first question of history normally takes one
LOOK_EVERY_S = 0.05
MAX_WATCHED = 500


class Watch:
    """Follows symbols for askers."""

    def __init__(self, hub: Hub, threads: Executor, wait_s: float = WAIT_S, answer_s: float = ANSWER_S) -> None:
        self._hub = hub
        self._threads = threads  # for calls that may wait for the source
        self._wait_s, self._answer_s = wait_s, answer_s
        self._asking: dict[str, asyncio.Task[None]] = {}  # symbol -> the one question under way

    async def ensure(self, symbols: Collection[str], *, at_once: bool = True) -> None:
        """Return when all are followed and known; Refused names one that is not (404), or with `at_once` not yet (503)."""
        missing = [symbol for symbol in symbols if symbol not in self._hub.watched() or symbol in self._asking]
        if missing:
            try:
                await asyncio.wait_for(
                    asyncio.gather(*(self._ensure_one(symbol) for symbol in missing)), self._answer_s if at_once else None
                )
            except TimeoutError:
                unknown = next((symbol for symbol in missing if symbol in self._asking), missing[0])
                why = f"the source {self._hub.source_info.name!r} told nothing of it so far"
                raise Refused(503, f"symbol: received {unknown!r}; {why}; ask again in a few seconds") from None
        self._hub.asked_for.update(symbols)

    async def _ensure_one(self, symbol: str) -> None:
        task = self._asking.get(symbol)
        if task is None:
            task = self._asking[symbol] = asyncio.create_task(self._follow(symbol))
            task.add_done_callback(lambda done: self._answered(symbol, done))
        await asyncio.shield(task)  # one asker who leaves does not take the answer from the others

    def _answered(self, symbol: str, task: asyncio.Task[None]) -> None:
        self._asking.pop(symbol, None)
        if not task.cancelled():
            task.exception()  # looked at: the askers may all have left

    async def _follow(self, symbol: str) -> None:
        if len(self._hub.watched()) >= MAX_WATCHED:
            raise Refused(
                503, f"symbol: received {symbol!r} beyond the {MAX_WATCHED} symbols that one hub follows; ask for those of /api/symbols"
            )
        loop, hub = asyncio.get_running_loop(), self._hub
        begin = hub.watch if hub.source_info.symbols else hub.try_out
        try:
            await loop.run_in_executor(self._threads, begin, symbol)
        except SymbolError as error:
            raise Refused(404, str(error)) from None
        except SourceError as error:
            raise Refused(503, str(error)) from None
        if hub.source_info.symbols:
            return
        is_known = await self._is_heard_of(symbol)
        if is_known:
            await loop.run_in_executor(self._threads, hub.watch, symbol)
        elif await loop.run_in_executor(self._threads, hub.end_trial, symbol):
            why = hub.refused(symbol) or f"the source {hub.source_info.name!r} told nothing of it within {self._wait_s:g} s"
            raise Refused(404, f"symbol: received {symbol!r}; {why}, so it is not followed; allowed: symbols that trade")

    async def _is_heard_of(self, symbol: str) -> bool:
        hub = self._hub
        deadline = monotonic_ns() + int(self._wait_s * NS_PER_S)
        while monotonic_ns() < deadline:
            if hub.is_heard_of(symbol):
                return True
            if hub.refused(symbol):
                return False
            await asyncio.sleep(LOOK_EVERY_S)
        return False
