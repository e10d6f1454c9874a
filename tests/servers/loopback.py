"""What every loopback provider does: websocket and REST on a thread of its own, connections that a test drops, mutes and refuses.

A provider's own server says what its messages are. Every method may be called from the test's thread and returns when the thing
has happened.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

QUIET = logging.getLogger("tests.loopback")  # what a server logs is not what the workbench logs
QUIET.setLevel(logging.WARNING)


@dataclass(eq=False)
class Connection:
    """One client as the server sees it."""

    socket: ServerConnection
    path: str
    market: str
    is_msgpack: bool = False
    topics: set[str] = field(default_factory=set)
    is_authenticated: bool = False
    is_mute: bool = False  # stays open, and nothing comes any more
    n_sent: int = 0


@dataclass
class Request:
    """One REST request as it came in."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Loopback:
    """Serve until closed; a context manager.

    `rest_faults` is a queue: each request takes one entry ('' = behave; 'hang:0.2', 'truncated', others as the provider says).
    """

    def __init__(self) -> None:
        self.rest_faults: deque[str] = deque()
        self.requests: list[Request] = []
        self.actions: list[tuple[str, dict]] = []  # (market or address, what a client sent)
        self.connections: list[Connection] = []
        self.n_connected = 0
        self.refuses_with = 0  # handshakes get this status
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _open(self) -> None:
        self._sockets = await serve(self._talk, "127.0.0.1", 0, process_request=self._handshake, compression=None, logger=QUIET)
        self._web = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.socket_base = f"ws://127.0.0.1:{self._sockets.sockets[0].getsockname()[1]}"
        self.rest_base = f"http://127.0.0.1:{self._web.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        for connection in list(self.connections):
            connection.socket.transport.abort()
        self._sockets.close()
        self._web.close()
        await self._sockets.wait_closed()
        await asyncio.sleep(0)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _do(self, work, timeout: float = 10.0):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    # -- what a test does ---------------------------------------------------------------------------------------------------

    def drop(self, market: str | None = None, code: int | None = None) -> int:
        """Break connections: without a code as a lost network does, with one as a server that closes."""
        return self._do(self._drop(market, code))

    def refuse(self, status: int) -> None:
        """Answer handshakes with this status from now on; 0: let them in."""
        self.refuses_with = status

    def mute(self, market: str | None = None) -> None:
        """Send nothing more on the present connections, and leave them open."""
        for connection in list(self.connections):
            connection.is_mute |= market in (None, connection.market)

    def live(self, market: str = "stocks") -> list[Connection]:
        """Return the connections that have authenticated and subscribed."""
        return [connection for connection in list(self.connections) if connection.market == market and connection.topics]

    def topics(self, market: str = "stocks") -> set[str]:
        """Return everything subscribed by somebody."""
        return {topic for connection in self.live(market) for topic in connection.topics}

    async def _drop(self, market: str | None, code: int | None) -> int:
        chosen = [one for one in self.connections if market in (None, one.market)]
        for connection in chosen:
            if code is None:
                connection.socket.transport.abort()
            else:
                await connection.socket.close(code)
        return len(chosen)

    async def _deliver(self, connection: Connection, content: bytes | str, n: int) -> int:
        """Send one frame unless the connection is mute or gone; return how many events that were."""
        if connection.is_mute:
            return 0
        try:
            await connection.socket.send(content)
        except ConnectionClosed:
            return 0
        connection.n_sent += n
        return n

    # -- what a provider says -------------------------------------------------------------------------------------------------

    def _connection(self, socket: ServerConnection) -> Connection:
        raise NotImplementedError

    async def _greet(self, connection: Connection) -> bool:
        """Say what is said first; False ends the connection."""
        raise NotImplementedError

    async def _hear(self, connection: Connection, message: Any) -> None:
        raise NotImplementedError

    def _respond(self, request: Request, fault: str) -> tuple[int, dict[str, str], bytes]:
        raise NotImplementedError

    # -- websocket and REST ---------------------------------------------------------------------------------------------------

    def _handshake(self, socket: ServerConnection, _request: Any):
        return socket.respond(self.refuses_with, "no\n") if self.refuses_with else None

    async def _talk(self, socket: ServerConnection) -> None:
        connection = self._connection(socket)
        self.connections.append(connection)
        self.n_connected += 1
        try:
            if await self._greet(connection):
                async for message in socket:
                    await self._hear(connection, message)
        except ConnectionClosed:
            pass
        finally:
            self.connections.remove(connection)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            target = urlsplit(head[0].split(" ")[1])
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            request = Request(target.path, {name: values[0] for name, values in parse_qs(target.query).items()}, headers)
            self.requests.append(request)
            fault = self.rest_faults.popleft() if self.rest_faults else ""
            if fault.startswith("hang"):
                await asyncio.sleep(float(fault.partition(":")[2]))
            code, extra, body = self._respond(request, fault)
            if fault == "truncated":  # some proxies cut the body and mend the length: valid HTTP around half a document
                body = body[: len(body) * 2 // 3]
            lines = [f"HTTP/1.1 {code} X", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in extra.items()]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
