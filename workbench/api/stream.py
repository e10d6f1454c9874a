"""GET /stream/market: the market as server-sent events, encoded once for all who asked for the same.

The hub calls when bars have closed, and they go out at once; open bars, prints, quotes and health go out once in each beat of
`STATE_EVERY_S`. Between beats nobody looks, for a wake-up of the process costs as much as a frame to ten readers; only in a quiet
market, whose next print shall not wait for a beat, every `LOOK_NS`. A frame of bytes is shared by all readers of a subscription; a
reader holds a position and no queue. One that is behind is brought to the present in one write: every closed bar it missed, the
newest state of all else. A reader that takes nothing for `STALL_S` is cut off; it costs its socket's buffer until then, and nobody
waits for it.

Runs on the event loop; whatever may wait for the hub runs on threads. Floor 8.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from workbench.api.encode import Position, event
from workbench.api.feed import HEARTBEAT_S, Feed, Wanted
from workbench.api.params import Since
from workbench.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from workbench.hub.hub import Hub

log = logging.getLogger(__name__)

LOOK_NS = 10 * NS_PER_MS  # the hub is looked at at most this often
STATE_EVERY_S = 0.05
STATE_EVERY_NS = int(STATE_EVERY_S * NS_PER_S)
PULSE_S = 0.5  # readers are woken this often at least, to see whether a heartbeat is due
STALL_S = 20.0
CHECK_S = 0.1  # stalled readers are looked for this often
PIECE_BYTES = 64 * 1024  # written at once; a reader's buffer never holds much more
BOOTSTRAP_SHARED_S = 1.0  # readers that come within this time get the same bootstrap, and what changed since
STRAIGHT = "workbench.send"  # scope extension: the way to the server without the layers that other answers go through
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects answers would hold bars back
]


@dataclass(frozen=True, slots=True)
class Frame:
    """What one turn told: number of the turn, bytes, and where those stand who were sent them."""

    number: int
    body: bytes
    position: Position


@dataclass(eq=False, slots=True)
class Reader:
    """One connection."""

    number: int = 0  # newest frame that it was sent
    position: Position = Position(0, 0)  # noqa: RUF009  an immutable default
    skipped: int = 0  # frames that were conflated
    writing_since_ns: int | None = None
    beat_ns: int = 0  # when the next heartbeat is due
    transport: Any = None  # the connection, where the server tells it
    task: asyncio.Task[Any] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)  # there is something to look at
    is_waiting: bool = False  # its task waits for news: nothing of it is half written

    def take(self, frame: Frame, chunk: bytes, now_ns: int) -> bool:
        """Write a frame straight to the connection; False when its task has to: it is behind, slow, or due a heartbeat.

        What is written has been framed once for all readers, as a chunk of the answer.
        """
        line = self.transport
        if line is None or not self.is_waiting or self.number != frame.number - 1 or now_ns >= self.beat_ns:
            return False
        if line.get_write_buffer_size() or line.is_closing():
            return False
        if chunk:
            line.write(chunk)
        self.number, self.position = frame.number, frame.position
        return True

    def queued_bytes(self) -> int:
        """Return what was written and not yet taken by the socket."""
        return 0 if self.transport is None else int(self.transport.get_write_buffer_size())

    def cut_off(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()


@dataclass(slots=True)
class Counts:
    """What the streams did since the start."""

    opened: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    skipped: int = 0
    cut_off: int = 0
    resumed: int = 0


class Subscription:
    """One feed and those who listen to it."""

    def __init__(self, feed: Feed, threads: ThreadPoolExecutor, counts: Counts) -> None:
        self.feed = feed
        self._counts = counts
        self.readers: set[Reader] = set()
        self.frame = Frame(0, b"", feed.position)
        self.is_busy = False
        self._threads = threads
        self._state_ns = self._frame_ns = monotonic_ns()
        self._seen = (0, 0, 0)  # the hub's counts at the last turn with state
        self._bootstrap: tuple[int, bytes, Position] | None = None  # stopwatch, bytes, where it ends
        self._catching: dict[tuple[Position, int], asyncio.Future[bytes]] = {}  # (from, to frame) -> bytes, of the present frame only
        self._one_at_a_time = asyncio.Lock()

    def is_due(self, hub: Hub, seen: tuple[int, int, int], now_ns: int) -> bool:
        """Return whether a turn would tell something."""
        if self.is_busy:
            return False
        position = self.feed.position
        if (hub.epoch, hub.seq) != position or now_ns - self._frame_ns >= PULSE_S * NS_PER_S:
            return True
        return now_ns - self._state_ns >= STATE_EVERY_NS and seen != self._seen

    def due_ns(self, hub: Hub) -> int:
        """Return the stopwatch's time before which there is nothing to tell, unless the hub calls; 0 for now."""
        return 0 if (hub.epoch, hub.seq) != self.feed.position else self._state_ns + STATE_EVERY_NS

    async def turn(self, seen: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Read what is new and hand it to all who listen."""
        self.is_busy = True
        try:
            async with self._one_at_a_time:
                now = monotonic_ns()
                with_state = now - self._state_ns >= STATE_EVERY_NS
                if with_state:
                    self._seen = seen
                    self._state_ns = now - (now - self._state_ns) % STATE_EVERY_NS  # on the beat, however late this is
                body = await self._run(lambda: self.feed.collect(with_state=with_state))
                if body or now - self._frame_ns >= PULSE_S * NS_PER_S:
                    self._publish(body, now)
                elif self.feed.position != self.frame.position:
                    self.frame = Frame(self.frame.number, self.frame.body, self.feed.position)
        except Exception:
            log.exception("api: reading %s for a stream failed; tried again", ", ".join(self.feed.wanted.symbols))
            await asyncio.sleep(PULSE_S)
        finally:
            self.is_busy = False

    def _publish(self, body: bytes, now_ns: int) -> None:
        frame = self.frame = Frame(self.frame.number + 1, body, self.feed.position)
        self._frame_ns = now_ns
        self._catching.clear()
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        is_small = len(body) <= PIECE_BYTES
        n_taken = 0
        for reader in self.readers:
            if is_small and reader.take(frame, chunk, now_ns):
                n_taken += 1
            else:
                reader.news.set()
        self._counts.frames_sent += n_taken
        self._counts.bytes_sent += n_taken * len(body)

    def wake(self) -> None:
        """Let every reader look."""
        for reader in self.readers:
            reader.news.set()

    async def opening(self) -> tuple[bytes, Position, bool]:
        """Return a bootstrap, where it ends, and whether it is of this moment; made once for all who come at about the same time."""
        async with self._one_at_a_time:
            now, known, upto = monotonic_ns(), self._bootstrap, self.feed.position
            is_fresh = known is None or now - known[0] > BOOTSTRAP_SHARED_S * NS_PER_S or known[2].epoch != upto.epoch
            if known is None or is_fresh:
                known = self._bootstrap = (now, await self._run(lambda: self.feed.bootstrap(upto)), upto)
        return known[1], known[2], is_fresh

    async def catch_up(self, since: Position, frame: Frame) -> bytes:
        """Return what brings a reader from a position to a frame; worked out once for all who stand there."""
        key = (since, frame.number)
        found = self._catching.get(key)
        if found is None:
            found = asyncio.ensure_future(self._run(lambda: self.feed.catch_up(since, frame.position)))
            self._catching[key] = found
        return await asyncio.shield(found)

    async def _run(self, work: Callable[[], bytes]) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


@dataclass
class Streams:
    """All subscriptions of one hub, and the timer that serves them."""

    hub: Hub
    threads: ThreadPoolExecutor
    counts: Counts = field(default_factory=Counts)
    stall_s: float = STALL_S
    is_closing: bool = False
    _subscriptions: dict[Wanted, Subscription] = field(default_factory=dict)
    _opening: dict[Wanted, asyncio.Future[Feed]] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop | None = None
    _timer: asyncio.TimerHandle | None = None
    _looked_ns: int = 0
    _is_called: bool = False  # by the hub, since it was last looked at
    _checked_ns: int = 0  # when stalled readers were last looked for
    _turns: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def n_subscriptions(self) -> int:
        """Distinct subscriptions."""
        return len(self._subscriptions)

    def readers(self) -> list[Reader]:
        """Return everybody who listens."""
        return [reader for subscription in tuple(self._subscriptions.values()) for reader in tuple(subscription.readers)]

    def lags(self) -> list[int]:
        """Return, for each reader, how many numbers the hub has given that it was not sent yet."""
        seq = self.hub.seq
        return [max(0, seq - reader.position.seq) for reader in self.readers()]

    def queued_bytes(self) -> int:
        """Return what was written and not yet taken, all readers."""
        return sum(reader.queued_bytes() for reader in self.readers())

    async def join(self, wanted: Wanted, reader: Reader) -> Subscription:
        """Return the subscription, which this reader listens to from now on."""
        if wanted not in self._subscriptions:
            opening = self._opening.get(wanted)
            if opening is None:
                work = asyncio.get_running_loop().run_in_executor(self.threads, Feed, self.hub, wanted)
                opening = self._opening[wanted] = asyncio.ensure_future(work)
                opening.add_done_callback(lambda _: self._opening.pop(wanted, None))
            feed = await asyncio.shield(opening)
            self._subscriptions.setdefault(wanted, Subscription(feed, self.threads, self.counts))
        subscription = self._subscriptions[wanted]
        subscription.readers.add(reader)
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self.hub.listeners.add(self._call)
            self._serve()
        return subscription

    def leave(self, wanted: Wanted, reader: Reader) -> None:
        """Let a reader go; the last one closes its subscription."""
        subscription = self._subscriptions.get(wanted)
        if subscription is not None:
            subscription.readers.discard(reader)
            if not subscription.readers:
                del self._subscriptions[wanted]
                self._arm()

    def _call(self) -> None:
        """Take the hub's call; on its thread."""
        if not self._is_called and self._loop is not None:
            self._is_called = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._arm)

    def _arm(self, at_least_ns: int = LOOK_NS) -> None:
        """Set the timer for the next look; none when nobody listens."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._subscriptions and self._loop is not None:
            due_ns = min(subscription.due_ns(self.hub) for subscription in self._subscriptions.values())
            pause_ns = max(self._looked_ns + at_least_ns, due_ns) - monotonic_ns()
            self._timer = self._loop.call_later(max(0, pause_ns) / NS_PER_S, self._serve)
        else:
            self.hub.listeners.discard(self._call)

    def _serve(self) -> None:
        """Look at the hub, and see when to look again."""
        self._looked_ns, self._is_called = monotonic_ns(), False  # who calls from here on is heard after this look
        try:
            self._look()
        except Exception:  # one turn may fail; readers must not stand still unnoticed
            log.exception("api: a turn of the streams failed; tried again")
            self._arm(int(PULSE_S * NS_PER_S))
        else:
            self._arm()

    def _look(self) -> None:
        """Begin a turn of every subscription that has something to tell."""
        hub, now = self.hub, self._looked_ns
        seen = (hub.changes, hub.tape.n_trades, hub.tape.n_quotes)
        for subscription in tuple(self._subscriptions.values()):
            if subscription.is_due(hub, seen, now):
                turn = asyncio.create_task(subscription.turn(seen))
                self._turns.add(turn)
                turn.add_done_callback(self._ended)
        if now - self._checked_ns >= CHECK_S * NS_PER_S:
            self._checked_ns = now
            self._cut_off_stalled(now)

    def _ended(self, turn: asyncio.Task[None]) -> None:
        self._turns.discard(turn)
        self._arm()

    def _cut_off_stalled(self, now_ns: int) -> None:
        for reader in self.readers():
            since = reader.writing_since_ns
            if since is not None and now_ns - since > self.stall_s * NS_PER_S:
                self.counts.cut_off += 1
                reader.writing_since_ns = None
                reader.cut_off()

    async def close(self, within_s: float = 1.0) -> None:
        """End every stream: readers are told by the end of their answer, stalled ones are cut off."""
        self.is_closing = True
        for subscription in tuple(self._subscriptions.values()):
            subscription.wake()
        deadline = monotonic_ns() + int(within_s * NS_PER_S)
        while self.readers() and monotonic_ns() < deadline:  # noqa: ASYNC110  they end one by one
            await asyncio.sleep(LOOK_NS / NS_PER_S)
        for reader in self.readers():
            reader.cut_off()
        if self._timer is not None:
            self._timer.cancel()


class MarketStream(Response):
    """The answer to one reader, written straight to the server."""

    def __init__(self, streams: Streams, wanted: Wanted, since: Since | None, headers: dict[str, str]) -> None:
        self._streams = streams
        self._wanted = wanted
        self._since = since
        self._head = HEADERS + [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        self.background = None
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader leaves, is cut off, or the service ends."""
        reader = Reader(transport=scope.get("extensions", {}).get("workbench.transport"), task=asyncio.current_task())
        send = scope.get("extensions", {}).get(STRAIGHT, send)
        await send({"type": "http.response.start", "status": 200, "headers": self._head})
        gone = asyncio.create_task(_gone(receive))
        try:
            subscription = await self._streams.join(self._wanted, reader)
            gone.add_done_callback(lambda _: reader.news.set())
            self._streams.counts.opened += 1
            await self._tell(_Line(reader, subscription, self._streams, send, gone))
        finally:
            self._streams.leave(self._wanted, reader)
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone
        if not gone.done() or gone.cancelled():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, line: _Line) -> None:
        await line.write(line.subscription.feed.hello())
        await line.open(self._since)
        while not self._streams.is_closing and not line.is_gone:
            if line.is_behind:
                await line.go_on()
            else:
                await line.wait()


@dataclass(slots=True)
class _Line:
    """One reader's side of a stream: brings it from frame to frame."""

    reader: Reader
    subscription: Subscription
    streams: Streams
    send: Send
    gone: asyncio.Task[None]

    @property
    def is_gone(self) -> bool:
        transport = self.reader.transport  # knows a moment before the application is told
        return self.gone.done() or (transport is not None and transport.is_closing())

    @property
    def is_behind(self) -> bool:
        return self.reader.number != self.subscription.frame.number

    async def open(self, since: Since | None) -> None:
        """Bring a new reader to the present frame: by what it missed, or by a bootstrap."""
        subscription, reader, body, is_all = self.subscription, self.reader, b"", False
        if since is None:
            body, position, is_all = await subscription.opening()
        else:
            position = Position(self.streams.hub.epoch if since.epoch is None else since.epoch, since.seq)
            self.streams.counts.resumed += 1
            if position > subscription.feed.position:
                await subscription.turn()  # told by another feed, which had looked a moment later
        frame = subscription.frame
        if not is_all:
            body += await subscription.catch_up(position, frame)
        reader.number, reader.position = frame.number, frame.position
        reader.beat_ns = monotonic_ns() + int(HEARTBEAT_S * NS_PER_S)
        await self.write(body)

    async def wait(self) -> None:
        """Return when there is something to look at; frames are written meanwhile (`Reader.take`)."""
        reader = self.reader
        reader.is_waiting = True
        try:
            await reader.news.wait()
        finally:
            reader.is_waiting = False
        reader.news.clear()

    async def go_on(self) -> None:
        """Send the newest frame, or all that was missed."""
        reader, frame = self.reader, self.subscription.frame
        n_missed = frame.number - reader.number - 1
        body = frame.body
        if n_missed:
            body = await self.subscription.catch_up(reader.position, frame)
            reader.skipped += n_missed
            self.streams.counts.skipped += n_missed
        reader.number, reader.position = frame.number, frame.position
        if monotonic_ns() >= reader.beat_ns:
            body += self._heartbeat()
        if body:
            await self.write(body)

    def _heartbeat(self) -> bytes:
        reader, hub = self.reader, self.streams.hub
        reader.beat_ns += int(HEARTBEAT_S * NS_PER_S)
        told = {"epoch": reader.position.epoch, "seq": reader.position.seq, "ts_ns": hub.clock.now_ns()}
        told |= {"queued_bytes": reader.queued_bytes(), "skipped_ticks": reader.skipped, "lag": max(0, hub.seq - reader.position.seq)}
        return event("heartbeat", told)

    async def write(self, body: bytes) -> None:
        """Write in pieces; returns when the connection has room again."""
        self.reader.writing_since_ns = monotonic_ns()
        for start in range(0, len(body), PIECE_BYTES):
            piece = body if len(body) <= PIECE_BYTES else body[start : start + PIECE_BYTES]
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            if self.is_gone:
                return
            self.reader.writing_since_ns = monotonic_ns()
        self.reader.writing_since_ns = None
        self.streams.counts.frames_sent += 1
        self.streams.counts.bytes_sent += len(body)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
