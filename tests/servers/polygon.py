"""A Polygon on loopback: the websocket and REST protocol of the real one, its manners and its faults.

Written from the provider's documents, not from our client. Everything runs in one asyncio thread; the methods may be called from
the test's thread and return when the thing has happened.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

KEY = "a-key-for-tests"
QUIET = logging.getLogger("tests.polygon_server")  # what the server logs is not what the workbench logs
QUIET.setLevel(logging.WARNING)
LIMIT_TEXT = "Maximum number of websocket connections exceeded. You have reached the connection limit for your account."
TOO_MANY_TEXT = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."


def status(kind: str, message: str) -> dict:
    return {"ev": "status", "status": kind, "message": message}


@dataclass(eq=False)
class Connection:
    """One client as the server sees it."""

    socket: ServerConnection
    market: str
    topics: set[str] = field(default_factory=set)
    is_authenticated: bool = False
    is_mute: bool = False  # stays open, and nothing comes any more
    n_sent: int = 0


@dataclass
class Plan:
    """What the account may do."""

    keys: set[str] = field(default_factory=lambda: {KEY})
    channels: set[str] = field(default_factory=lambda: {"T", "Q", "AM"})
    has_websocket: bool = True
    has_realtime: bool = True  # False: authentication succeeds, then an error comes
    has_history: bool = True
    most_connections: int = 99  # per market; more: somebody is thrown out, after everything looked fine
    throws_out: str = "new"  # or "old"
    auth_answer: list[dict] | None = None  # said instead of the usual answer to the key


@dataclass
class Request:
    """One REST request as it came in."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


class PolygonServer:
    """Serve until closed; a context manager.

    `bars_of(symbol, from_ms, to_ms)` returns the minute bars that REST shows. `rest_faults` is a queue: each request takes one
    entry ('' = behave; '429', '429:0.05' with Retry-After, '500', '503', 'truncated', 'garbage', 'short', 'early_end', 'hang:0.2').
    """

    def __init__(self, bars_of: Callable[[str, int, int], list[dict]] = lambda _symbol, _start, _end: [], page_size: int = 50_000) -> None:
        self.plan = Plan()
        self.bars_of = bars_of
        self.page_size = page_size
        self.symbols: set[str] | None = None  # None: REST knows every symbol
        self.rest_faults: deque[str] = deque()
        self.requests: list[Request] = []
        self.actions: list[tuple[str, dict]] = []  # (market, what a client sent)
        self.connections: list[Connection] = []
        self.n_connected = 0
        self.refuses_with = 0  # handshakes get this status
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="polygon-server", daemon=True)

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
        self.websocket_base = f"ws://127.0.0.1:{self._sockets.sockets[0].getsockname()[1]}"
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

    def send(self, events: list[dict] | str, market: str = "stocks") -> int:
        """Send events to whom they are subscribed (text: as it is, to everyone); return how many were sent in all."""
        return self._do(self._send(events, market))

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

    def say(self, kind: str, message: str, market: str = "stocks") -> None:
        """Send a status to everyone."""
        self.send(json.dumps([status(kind, message)]), market)

    def live(self, market: str = "stocks") -> list[Connection]:
        """Return the connections that have authenticated and subscribed."""
        return [connection for connection in list(self.connections) if connection.market == market and connection.topics]

    def topics(self, market: str = "stocks") -> set[str]:
        """Return everything subscribed by somebody."""
        return {topic for connection in self.live(market) for topic in connection.topics}

    async def _send(self, events: list[dict] | str, market: str) -> int:
        n = 0
        for connection in [one for one in self.connections if one.market == market]:
            wanted = events
            if not isinstance(events, str):
                wanted = [event for event in events if f"{event['ev']}.{event.get('sym')}" in connection.topics]
            if not wanted or connection.is_mute:
                continue
            try:
                await connection.socket.send(wanted if isinstance(wanted, str) else json.dumps(wanted, separators=(",", ":")))
            except ConnectionClosed:
                continue
            sent = 1 if isinstance(wanted, str) else len(wanted)
            connection.n_sent += sent
            n += sent
        return n

    async def _drop(self, market: str | None, code: int | None) -> int:
        chosen = [one for one in self.connections if market in (None, one.market)]
        for connection in chosen:
            if code is None:
                connection.socket.transport.abort()
            else:
                await connection.socket.close(code)
        return len(chosen)

    # -- websocket ----------------------------------------------------------------------------------------------------------

    def _handshake(self, socket: ServerConnection, _request: object):
        return socket.respond(self.refuses_with, "no\n") if self.refuses_with else None

    async def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        connection = Connection(socket, socket.request.path.strip("/"))
        self.connections.append(connection)
        self.n_connected += 1
        try:
            await self._say(socket, status("connected", "Connected Successfully"))
            async for text in socket:
                await self._hear(connection, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self.connections.remove(connection)

    async def _hear(self, connection: Connection, message: dict) -> None:
        self.actions.append((connection.market, message))
        action, params = message.get("action"), message.get("params", "")
        if action == "auth":
            await self._authenticate(connection, params)
        elif action == "subscribe" and connection.is_authenticated:
            await self._subscribe(connection, params.split(","))
        elif action == "unsubscribe":
            connection.topics -= set(params.split(","))
            await self._say(connection.socket, *(status("success", f"unsubscribed to: {topic}") for topic in params.split(",")))

    async def _authenticate(self, connection: Connection, key: str) -> None:
        if self.plan.auth_answer is not None:
            await self._say(connection.socket, *self.plan.auth_answer)
        elif key not in self.plan.keys:
            await self._say(connection.socket, status("auth_failed", "authentication failed"))
            await connection.socket.close(1000)
        elif not self.plan.has_websocket:
            await self._say(connection.socket, status("auth_failed", "Your plan doesn't include websocket access. Visit the pricing page."))
            await connection.socket.close(1000)
        else:
            connection.is_authenticated = True
            await self._say(connection.socket, status("auth_success", "authenticated"))
            if not self.plan.has_realtime:
                await self._say(connection.socket, status("error", "You don't have access real-time data. Try the delayed feed."))

    async def _subscribe(self, connection: Connection, topics: list[str]) -> None:
        answers = []
        for topic in topics:
            if not self.plan.has_realtime:
                continue
            if topic.partition(".")[0] in self.plan.channels:
                connection.topics.add(topic)
                answers.append(status("success", f"subscribed to: {topic}"))
            else:
                answers.append(status("error", "not authorized"))
        if answers:
            await self._say(connection.socket, *answers)
        rivals = [one for one in self.connections if one.market == connection.market and one.is_authenticated]
        if len(rivals) > self.plan.most_connections:
            victim = connection if self.plan.throws_out == "new" else rivals[0]
            await self._say(victim.socket, status("max_connections", LIMIT_TEXT))
            await victim.socket.close(1008)

    async def _say(self, socket: ServerConnection, *events: dict) -> None:
        await socket.send(json.dumps(list(events)))

    # -- REST ---------------------------------------------------------------------------------------------------------------

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
            self._write(writer, code, extra, body, is_cut=fault == "truncated")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @staticmethod
    def _write(writer: asyncio.StreamWriter, code: int, extra: dict[str, str], body: bytes, *, is_cut: bool) -> None:
        if is_cut:  # some proxies cut the body and mend the length: valid HTTP around half a document
            body = body[: len(body) * 2 // 3]
        lines = [f"HTTP/1.1 {code} X", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in extra.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)

    def _respond(self, request: Request, fault: str) -> tuple[int, dict[str, str], bytes]:
        refusal = self._refusal(request, fault)
        if refusal is not None:
            code, extra, content = refusal
            return code, extra, json.dumps({"request_id": "1"} | content).encode()
        if fault == "garbage":
            return 200, {}, b"<html>Bad gateway</html>"
        return 200, {}, json.dumps(self._aggregates(request, fault)).encode()

    def _refusal(self, request: Request, fault: str) -> tuple[int, dict[str, str], dict] | None:
        if fault.startswith("429"):
            pause = fault.partition(":")[2]
            return 429, {"Retry-After": pause} if pause else {}, {"status": "ERROR", "error": TOO_MANY_TEXT}
        if fault.isdigit():
            return int(fault), {}, {"status": "ERROR", "error": "something went wrong"}
        if request.headers.get("authorization", "") not in {f"Bearer {key}" for key in self.plan.keys}:
            return 401, {}, {"status": "ERROR", "error": "Unknown API Key"}
        if not self.plan.has_history:
            return 403, {}, {"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data. Please upgrade your plan."}
        if self.symbols is not None and request.path.split("/")[4] not in self.symbols:
            return 404, {}, {"status": "NOT_FOUND", "message": "Ticker not found."}
        return None

    def _aggregates(self, request: Request, fault: str) -> dict:
        """Answer /v2/aggs/ticker/{symbol}/range/1/minute/{from}/{to}: from is snapped down, to up to whole minutes."""
        parts = request.path.split("/")
        symbol, start, end = parts[4], int(parts[8]) // 60_000 * 60_000, -(-int(parts[9]) // 60_000) * 60_000
        if "cursor" in request.query:
            start = int(base64.urlsafe_b64decode(request.query["cursor"]).decode())
        bars = [bar for bar in self.bars_of(symbol, start, end) if start <= bar["t"] <= end]
        page, rest = bars[: self.page_size], bars[self.page_size :]
        answer = {"ticker": symbol, "queryCount": len(page), "resultsCount": len(page), "adjusted": True, "status": "OK", "request_id": "1"}
        if page:
            answer["results"] = page[:-1] if fault == "short" else page
        if fault == "early_end":
            page = page[: max(1, len(page) // 2)]
            return answer | {"results": page, "resultsCount": len(page), "queryCount": len(page)} if page else answer
        if rest:
            cursor = base64.urlsafe_b64encode(str(rest[0]["t"]).encode()).decode()
            answer["next_url"] = f"https://api.polygon.io{request.path}?cursor={cursor}&apiKey=somebody"
        return answer
