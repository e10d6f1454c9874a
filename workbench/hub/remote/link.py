"""The one connection to a hub elsewhere: it is made again by itself for as long as anybody wants to read.

One thread with a loop of its own. What is wanted and not here yet is read as a snapshot on a short stream of its own, while the
live stream goes on; then the live stream is opened again for all that is wanted, from the lowest number that every series is
complete up to. What the two tell twice is taken once, by its number; so there is no hole and no double at any seam. Beside it the
hub is asked every second how it is: bytes that stop coming are noticed within three, whatever the reason.

Floor 2. Only this thread writes the state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import httpx
import numpy as np

from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import AuthError, SourceError, SymbolError
from workbench.hub.remote import wire
from workbench.hub.remote.mirror import MirroredSeries
from workbench.hub.remote.service import ANSWER_S, Address, answer_of, check, why_unreachable
from workbench.hub.remote.sse import Event, EventReader
from workbench.hub.remote.state import MirrorState

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
SILENT_S = 3.0  # no byte for this long: the hub does not answer
MUTE_S = 25.0  # a stream says something every ten seconds
FIRST_PAUSE_S, LONGEST_PAUSE_S, REFUSED_PAUSE_S = 0.1, 2.0, 10.0
MORE_S = 0.005  # who wants one series often wants another at once
MOST_BARS = 5000  # closed bars of a series in one snapshot
MOST_SYMBOLS, MOST_LETTERS = 50, 3000  # of one stream, and of their names in its address
SNAPSHOT_BARS = 100_000  # of all series that one short stream is asked for


class LinkState(Enum):
    """Where the connection stands."""

    STOPPED = "stopped"
    CONNECTING = "connecting"  # for the first time
    UP = "up"
    LOST = "lost"
    REFUSED = "refused"  # by the hub's door: needs a person


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """The connection's state, one sentence for the trader, and for how long nothing has been heard [s] (None: never heard)."""

    state: LinkState
    reason: str
    silent_s: float | None


class Link:
    """Keeps a `MirrorState` up. `start` and `stop` from any thread; `wake` when more (or less) is wanted."""

    def __init__(self, address: Address, state: MirrorState, *, on_attached: Callable[[], None], seed: int = 0) -> None:
        """`on_attached` is called on the link's thread whenever the hub's facts were told. `seed`: of the pauses' jitter."""
        self.settled = threading.Event()  # attached, or failed once: whoever starts need wait no longer
        self._address, self._state, self._on_attached = address, state, on_attached
        self._rng = np.random.default_rng(seed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None  # of the loop that runs
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._now, self._why = LinkState.STOPPED, "not started"
        self._heard_ns: int | None = None
        self._feed: tuple[str, str] | None = None  # source and mode when the hub's facts were last asked for
        self.n_opened = self.n_caught_up = 0  # live streams opened; number of the newest that has told all there was when it was opened
        self._failures = 0

    # -- any thread ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; harmless when running."""
        if self._thread is None:
            self.settled.clear()
            self._now, self._why = LinkState.CONNECTING, ""
            self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="hub-link", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the connection and the thread; harmless when stopped."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._call(lambda: self._task.cancel() if self._task is not None else None)
            thread.join(timeout_s)
            self._now, self._why = LinkState.STOPPED, "stopped"

    def wake(self) -> None:
        """Look again at what is wanted, and open the stream anew."""
        self._call(lambda: None if self._changed is None else self._changed.set())

    @property
    def is_up(self) -> bool:
        """True while the hub answers."""
        return self.status().state is LinkState.UP

    def status(self) -> LinkStatus:
        """Return how the connection stands at this moment."""
        silent_s = None if self._heard_ns is None else (monotonic_ns() - self._heard_ns) / NS_PER_S
        if self._now is LinkState.UP and silent_s is not None and silent_s > SILENT_S:
            return LinkStatus(LinkState.LOST, f"the hub at {self._address.name} has said nothing for {silent_s:.0f} s", silent_s)
        return LinkStatus(self._now, self._sentence(), silent_s)

    def _sentence(self) -> str:
        where = f"the hub at {self._address.name}"
        if self._now is LinkState.CONNECTING:
            return f"connecting to {where}" + (f": {self._why}; trying again" if self._why else "")
        if self._now is LinkState.LOST:
            return f"{where} does not answer ({self._why}); trying again"
        return self._why if self._now in (LinkState.REFUSED, LinkState.STOPPED) else f"attached to {where}"

    def _call(self, work: Callable[[], Any]) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(work)

    # -- the link's thread -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        changed = self._changed = asyncio.Event()
        try:
            async with self._address.async_client() as client:
                while self._thread is threading.current_thread():
                    await self._attach(client, changed)
                    await asyncio.sleep(self._pause_s())
        except asyncio.CancelledError:
            pass  # stopped
        finally:
            self._loop = None

    async def _attach(self, client: httpx.AsyncClient, changed: asyncio.Event) -> None:
        """Follow the hub until the connection ends, and note why."""
        asking, self._feed = None, None
        try:
            await self._ask(client, is_first=True)
            self._now, self._why = LinkState.UP, ""
            self._on_attached()
            self.settled.set()
            asking = asyncio.create_task(self._keep_asking(client))
            await self._follow(client, changed)
        except AuthError as error:
            self._note_end(LinkState.REFUSED, str(error))
        except (httpx.HTTPError, httpx.StreamError, SourceError, OSError) as error:
            was_attached = self._heard_ns is not None
            self._note_end(LinkState.LOST if was_attached else LinkState.CONNECTING, why_unreachable(error))
        except Exception as error:
            log.exception("hub link: a fault of ours; the connection is made anew")
            self._note_end(LinkState.LOST, f"{type(error).__name__}: {error}")
        finally:
            self.settled.set()
            if asking is not None:
                await _end(asking)

    def _note_end(self, state: LinkState, why: str) -> None:
        if self._now is not state or self._why != why:
            log.warning("hub link: %s", why if state is LinkState.REFUSED else f"{self._address.name}: {why}; trying again")
        self._now, self._why = state, why
        self._failures += 1

    def _pause_s(self) -> float:
        """Return how long to wait before the next attempt: longer after each failure, and not the same in every process."""
        if self._now is LinkState.REFUSED:
            return REFUSED_PAUSE_S
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(10, self._failures - 1))
        return float(pause_s * self._rng.uniform(0.5, 1.0))

    def _hear(self) -> None:
        self._heard_ns = monotonic_ns()

    # -- questions -------------------------------------------------------------------------------------------------------------

    async def _keep_asking(self, client: httpx.AsyncClient) -> None:
        """Ask every second; an answer that fails to come is seen by the silence."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            with contextlib.suppress(httpx.HTTPError, SourceError):
                await self._ask(client)

    async def _ask(self, client: httpx.AsyncClient, *, is_first: bool = False) -> None:
        """Ask how the data is, and where a market that can be steered stands."""
        quality = answer_of(await client.get("/api/quality"), wire.Quality)
        self._hear()
        feed = self._state.take_quality(quality, is_first=is_first)
        if (feed.source, feed.mode) != self._feed:  # a second provider may have taken over
            self._feed = feed.source, feed.mode
            await self._introduce(client)
        if is_first or self._state.replay is not None:
            epoch, replay = self._state.epoch, await client.get("/api/replay")
            if epoch != self._state.epoch:
                return  # the market was moved meanwhile: it stands there no more
            is_live = replay.status_code == httpx.codes.CONFLICT
            self._state.take_replay(None if is_live else answer_of(replay, wire.Replay))

    async def _introduce(self, client: httpx.AsyncClient) -> None:
        """Ask what the hub's source is and which symbols it follows."""
        status = answer_of(await client.get("/api/market/status"), wire.Status)
        self._state.take_facts(status, answer_of(await client.get("/api/symbols"), wire.Symbols))

    # -- streams ---------------------------------------------------------------------------------------------------------------

    async def _follow(self, client: httpx.AsyncClient, changed: asyncio.Event) -> None:
        """Keep up what is wanted until a stream fails; SourceError when the hub ends it."""
        live: asyncio.Task[None] | None = None
        try:
            while True:
                changed.clear()
                new = [series for series in self._state.wanted() if not self._state.is_current(series)]
                for part in in_parts(new):
                    await self._load(client, part)
                if new:
                    continue  # more may be wanted by now
                await _end(live)
                live = asyncio.create_task(self._streams(client, self._state.wanted(), changed))
                await _first_of(live, asyncio.create_task(changed.wait()))
                if live.done():
                    live.result()
                    raise SourceError("it ended the stream")
                await asyncio.sleep(MORE_S)
        finally:
            await _end(live)

    async def _load(self, client: httpx.AsyncClient, part: Sequence[MirroredSeries]) -> None:
        """Read snapshots. What the hub will not have is refused symbol by symbol: the others are read."""
        try:
            async with contextlib.aclosing(self._events(client, part, n=MOST_BARS)) as events:
                async for event in events:
                    if self._state.take_snapshot(event):
                        return
        except SymbolError as error:
            symbols = dict.fromkeys(series.symbol for series in part)
            if len(symbols) == 1:
                self._state.drop(part[0].symbol)
                for series in part:
                    series.refuse(error)
                return
            for symbol in symbols:
                await self._load(client, [series for series in part if series.symbol == symbol])
            return
        raise SourceError("it ended the stream before its first bars")

    async def _streams(self, client: httpx.AsyncClient, wanted: Sequence[MirroredSeries], changed: asyncio.Event) -> None:
        """Take what changes in these series, on one stream (on several when the symbols are many); returns when one of them ends."""
        self.n_opened += 1
        parts = by_symbols(wanted)
        opened = [asyncio.Event() for _ in parts]
        tasks = [asyncio.create_task(self._stream(client, part, changed, told)) for part, told in zip(parts, opened, strict=True)]
        tasks.append(asyncio.create_task(self._note_caught_up(self.n_opened, opened)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                await _end(task)

    async def _note_caught_up(self, number: int, opened: Sequence[asyncio.Event]) -> None:
        for one in opened:
            await one.wait()
        self.n_caught_up = number
        await asyncio.Event().wait()  # with the streams

    async def _stream(
        self, client: httpx.AsyncClient, wanted: Sequence[MirroredSeries], changed: asyncio.Event, told: asyncio.Event
    ) -> None:
        """Take one stream's events; sets `told` when all there was has been told, `changed` when a series has to be read anew."""
        since = min(series.upto for series in wanted if series.upto is not None)
        async with contextlib.aclosing(self._events(client, wanted, n=0, since=f"{self._state.epoch}:{since}")) as events:
            async for event in events:
                self._failures = 0
                self._state.take(event, wanted)
                if event.name == "bar":
                    told.set()
                if event.name in ("epoch", "reset") and not all(map(self._state.is_current, wanted)):
                    changed.set()

    async def _events(
        self, client: httpx.AsyncClient, series: Sequence[MirroredSeries], *, n: int, since: str = ""
    ) -> AsyncGenerator[Event]:
        """Yield the events of one connection."""
        address = f"/stream/market?symbols={','.join(map(_name, series))}&n={n}"  # by hand: encoded, it would be half as long again
        headers = {"Last-Event-ID": since} if since else {}
        timeout = httpx.Timeout(ANSWER_S, read=MUTE_S)
        reader = EventReader()
        async with client.stream("GET", address, headers=headers, timeout=timeout) as response:
            if not response.is_success:
                await response.aread()
                check(response)
            async for chunk in response.aiter_raw():
                self._hear()
                for event in reader.feed(chunk):
                    yield event


def in_parts(series: Sequence[MirroredSeries]) -> list[list[MirroredSeries]]:
    """Return series in parts small enough for one snapshot stream each."""
    most = SNAPSHOT_BARS // MOST_BARS
    return [list(series[i : i + most]) for i in range(0, len(series), most)]


def by_symbols(series: Sequence[MirroredSeries]) -> list[list[MirroredSeries]]:
    """Return series in parts that one stream each may follow."""
    parts: list[list[MirroredSeries]] = []
    symbols: set[str] = set()
    length = 0
    for one in sorted(series, key=lambda one: one.symbol):
        symbols.add(one.symbol)
        length += len(_name(one)) + 1
        if not parts or len(symbols) > MOST_SYMBOLS or length > MOST_LETTERS:
            parts.append([])
            symbols, length = {one.symbol}, len(_name(one))
        parts[-1].append(one)
    return parts


def _name(series: MirroredSeries) -> str:
    return f"{series.symbol}@{series.timeframe.label}"


async def _first_of(kept: asyncio.Task[Any], other: asyncio.Task[Any]) -> None:
    """Wait until one of two tasks is done, and end the other one of them that need not be kept."""
    try:
        await asyncio.wait({kept, other}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(other)


async def _end(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task and wait until it has ended, however it does."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # was looked at, or is of no interest any more
