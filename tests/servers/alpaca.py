"""A loopback Alpaca: market-data websocket and REST with the real one's manners, for the real client.

Written from the published protocol (docs.alpaca.markets: websocket stream, real-time stock and option data, historical bars; the
client's source for what it sends), not from the code under test. Speaks JSON or msgpack as the client asks, like the real one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgpack
from websockets.asyncio.server import ServerConnection

from tests.servers.loopback import Connection, Loopback, Request

KEY, SECRET = "a-key-for-tests", "a-secret-for-tests"

PATHS = {"/v2/iex": "stocks", "/v2/sip": "stocks", "/v1beta1/indicative": "options", "/v1beta1/opra": "options"}
CHANNEL_OF = {"t": "trades", "q": "quotes", "b": "bars", "u": "updatedBars", "s": "statuses", "c": "trades", "x": "trades"}
CHANNELS = ("trades", "quotes", "bars", "updatedBars", "statuses")
ERRORS = {
    400: "invalid syntax", 401: "not authenticated", 402: "auth failed", 403: "already authenticated", 404: "auth timeout",
    405: "symbol limit exceeded", 406: "connection limit exceeded", 407: "slow client", 409: "insufficient subscription",
    410: "invalid subscribe action for this feed", 500: "internal error",
}  # fmt: skip


def at(ns: int) -> msgpack.Timestamp:
    """Return a moment as the wire carries it."""
    return msgpack.Timestamp(ns // 1_000_000_000, ns % 1_000_000_000)


def error(code: int) -> dict:
    return {"T": "error", "code": code, "msg": ERRORS[code]}


@dataclass
class Plan:
    """What the account may do."""

    keys: set[tuple[str, str]] = field(default_factory=lambda: {(KEY, SECRET)})
    feeds: set[str] = field(default_factory=lambda: {"iex", "sip", "indicative", "opra"})
    most_symbols: int = 10_000  # trades and quotes of more: 405
    most_connections: int = 99  # per address; one more: 406
    refuses_at: str = "auth"  # when the connection limit is said: 'greeting' or 'auth'
    unlisted: set[str] = field(default_factory=set)  # topics that are silently left out of the list
    auth_answer: list[dict] | None = None  # said instead of the usual answer to the key
    has_recent: bool = True  # REST: the last 15 minutes


class AlpacaServer(Loopback):
    """Serve until closed; a context manager.

    `bars_of(symbol, from_ns, to_ns)` returns the minute bars that REST shows, `t` in ns. `rest_faults` is a queue: each request
    takes one entry ('' = behave; '429', '429:0.05' with Retry-After, '429@<unix s>' with X-RateLimit-Reset, '500', '504',
    'truncated', 'garbage', 'early_end', 'hang:0.2').
    """

    def __init__(self, bars_of: Callable[[str, int, int], list[dict]] = lambda _symbol, _start, _end: [], page_size: int = 10_000) -> None:
        super().__init__()
        self.plan = Plan()
        self.bars_of = bars_of
        self.page_size = page_size
        self.snapshots: dict[str, dict[str, dict]] = {}  # underlying -> contract -> its snapshot
        self.most_contracts = 1_000  # in one page
        self.now_ns: Callable[[], int] = lambda: 0  # the market's clock, for the rule of the last 15 minutes

    @property
    def stream_base(self) -> str:
        return self.socket_base

    # -- what a test does ---------------------------------------------------------------------------------------------------

    def send(self, events: list[dict] | bytes, market: str = "stocks") -> int:
        """Send events to whom they are subscribed (bytes: as they are, to everyone); return how many were sent in all."""
        return self._do(self._send(events, market))

    def say(self, *events: dict, market: str = "stocks") -> None:
        """Send control messages to everyone."""
        self._do(self._say_to_all(events, market))

    async def _send(self, events: list[dict] | bytes, market: str) -> int:
        n = 0
        for connection in [one for one in self.connections if one.market == market]:
            wanted: Any = events
            if not isinstance(events, bytes):
                wanted = [event for event in events if f"{CHANNEL_OF.get(event['T'], '')}.{event.get('S')}" in connection.topics]
            if wanted:
                content = wanted if isinstance(wanted, bytes) else self._packed(connection, wanted)
                n += await self._deliver(connection, content, 1 if isinstance(wanted, bytes) else len(wanted))
        return n

    async def _say_to_all(self, events: tuple[dict, ...], market: str) -> None:
        for connection in [one for one in self.connections if one.market == market]:
            await self._say(connection, *events)

    # -- websocket ----------------------------------------------------------------------------------------------------------

    def _handshake(self, socket: ServerConnection, request: Any):
        return super()._handshake(socket, request) or (None if request.path in PATHS else socket.respond(404, "no such feed\n"))

    def _connection(self, socket: ServerConnection) -> Connection:
        assert socket.request is not None
        path = socket.request.path
        return Connection(socket, path, PATHS[path], is_msgpack=socket.request.headers.get("Content-Type", "") == "application/msgpack")

    async def _greet(self, connection: Connection) -> bool:
        if self.plan.refuses_at == "greeting" and self._rivals(connection) >= self.plan.most_connections:
            await self._end(connection, 406)
            return False
        await self._say(connection, {"T": "success", "msg": "connected"})
        return True

    def _rivals(self, connection: Connection) -> int:
        return sum(one.path == connection.path and one.is_authenticated for one in self.connections)

    async def _hear(self, connection: Connection, message: bytes | str) -> None:
        message = msgpack.unpackb(message) if isinstance(message, bytes) else json.loads(message)
        self.actions.append((connection.path, message))
        action = message.get("action")
        if action == "auth":
            await self._authenticate(connection, message)
        elif not connection.is_authenticated:
            await self._say(connection, error(401))
        elif action in ("subscribe", "unsubscribe"):
            await self._subscribe(connection, message, is_adding=action == "subscribe")
        else:
            await self._say(connection, error(400))

    async def _authenticate(self, connection: Connection, message: dict) -> None:
        if self.plan.auth_answer is not None:
            await self._say(connection, *self.plan.auth_answer)
        elif connection.is_authenticated:
            await self._say(connection, error(403))
        elif (message.get("key"), message.get("secret")) not in self.plan.keys:
            await self._end(connection, 402)
        elif connection.path.rpartition("/")[2] not in self.plan.feeds:
            await self._end(connection, 409)
        elif self._rivals(connection) >= self.plan.most_connections:
            await self._end(connection, 406)
        else:
            connection.is_authenticated = True
            await self._say(connection, {"T": "success", "msg": "authenticated"})

    async def _subscribe(self, connection: Connection, message: dict, *, is_adding: bool) -> None:
        named = {f"{channel}.{symbol}" for channel in CHANNELS for symbol in message.get(channel, [])}
        if connection.market == "options" and any(topic.partition(".")[0] not in ("trades", "quotes") for topic in named):
            await self._say(connection, error(410))
            return
        wanted = connection.topics | (named - self.plan.unlisted) if is_adding else connection.topics - named
        limited = {topic.partition(".")[2] for topic in wanted if topic.startswith(("trades", "quotes"))}
        if is_adding and len(limited) > self.plan.most_symbols:
            await self._say(connection, error(405))
            return
        connection.topics = wanted
        answer: dict[str, Any] = {"T": "subscription"}
        for channel in CHANNELS:
            answer[channel] = sorted(topic.partition(".")[2] for topic in wanted if topic.startswith(f"{channel}."))
        await self._say(connection, answer)

    async def _end(self, connection: Connection, code: int) -> None:
        await self._say(connection, error(code))
        await connection.socket.close(1000)

    def _packed(self, connection: Connection, events: list[dict] | tuple[dict, ...]) -> bytes | str:
        if connection.is_msgpack:
            return msgpack.packb(list(events))
        return json.dumps([{name: _plain(value) for name, value in event.items()} for event in events])

    async def _say(self, connection: Connection, *events: dict) -> None:
        await connection.socket.send(self._packed(connection, events))

    # -- REST ---------------------------------------------------------------------------------------------------------------

    def _respond(self, request: Request, fault: str) -> tuple[int, dict[str, str], bytes]:
        if fault.startswith("429"):
            pause, reset = fault.partition(":")[2], fault.partition("@")[2]
            extra = ({"Retry-After": pause} if pause else {}) | ({"X-RateLimit-Reset": reset} if reset else {})
            return 429, extra, b'{"message":"too many requests."}'
        if fault.isdigit():
            return int(fault), {}, b"<html>gateway</html>"
        if fault == "garbage":
            return 200, {}, b"<html>Bad gateway</html>"
        keys = (request.headers.get("apca-api-key-id"), request.headers.get("apca-api-secret-key"))
        if keys not in self.plan.keys:
            return 403, {}, b'{"message":"forbidden."}'
        if request.path.startswith("/v1beta1/options/snapshots/"):
            return 200, {}, json.dumps(self._snapshots(request)).encode()
        return self._bars(request, fault)

    def _snapshots(self, request: Request) -> dict:
        """Answer /v1beta1/options/snapshots/{underlying}; `limit` defaults to 100, as the real one's."""
        query = request.query
        day = query.get("expiration_date", "")[2:].replace("-", "")
        right = query.get("type", "")[:1].upper()
        found = sorted(self.snapshots.get(request.path.rpartition("/")[2], {}).items())
        found = [(symbol, one) for symbol, one in found if symbol[-15:-9] == day or not day]
        found = [(symbol, one) for symbol, one in found if symbol[-9] == right or not right]
        start, limit = int(query.get("page_token", 0)), min(int(query.get("limit", 100)), self.most_contracts)
        rest = len(found) > start + limit
        return {"snapshots": dict(found[start : start + limit]), "next_page_token": str(start + limit) if rest else None}

    def _bars(self, request: Request, fault: str) -> tuple[int, dict[str, str], bytes]:
        """Answer /v2/stocks/bars and /v1beta1/options/bars; start and end are both counted in."""
        symbol = request.query["symbols"]
        if not all(part.isalnum() for part in symbol.split(".")):
            return 400, {}, json.dumps({"message": f"invalid symbol: {symbol}"}).encode()
        start, end = (_ns_of(request.query[name]) for name in ("start", "end"))
        is_recent = end > self.now_ns() - 15 * 60 * 1_000_000_000
        if not self.plan.has_recent and is_recent and request.query.get("feed") != "iex":
            return 403, {}, b'{"message":"subscription does not permit querying recent SIP data"}'
        if "page_token" in request.query:
            start = int(base64.urlsafe_b64decode(request.query["page_token"]).decode())
        limit = min(self.page_size, int(request.query.get("limit", "1000")))
        bars = [bar for bar in self.bars_of(symbol, start, end) if start <= bar["t"] <= end]
        page, rest = bars[:limit], bars[limit:]
        if fault == "early_end":
            page, rest = page[: max(1, len(page) // 2)], []
        token = base64.urlsafe_b64encode(str(rest[0]["t"]).encode()).decode() if rest else None
        shown = [bar | {"t": _plain(at(bar["t"]))} for bar in page]
        return 200, {}, json.dumps({"bars": {symbol: shown} if shown else {}, "next_page_token": token}).encode()


def _plain(value: Any) -> Any:
    """Return a value as JSON carries it: moments as RFC 3339 with ns."""
    if not isinstance(value, msgpack.Timestamp):
        return value
    seconds = datetime.fromtimestamp(value.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{seconds}Z" if not value.nanoseconds else f"{seconds}.{value.nanoseconds:09d}Z"


def _ns_of(text: str) -> int:
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000
