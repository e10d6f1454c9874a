"""A Polygon on loopback: the websocket and REST protocol of the real one, its manners and its faults.

Written from the provider's documents, not from our client. Everything runs in one asyncio thread; the methods may be called from
the test's thread and return when the thing has happened.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection

from tests.servers.loopback import Connection, Loopback, Request

KEY = "a-key-for-tests"
LIMIT_TEXT = "Maximum number of websocket connections exceeded. You have reached the connection limit for your account."
TOO_MANY_TEXT = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."


def status(kind: str, message: str) -> dict:
    return {"ev": "status", "status": kind, "message": message}


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


class PolygonServer(Loopback):
    """Serve until closed; a context manager.

    `bars_of(symbol, from_ms, to_ms)` returns the minute bars that REST shows. `rest_faults` is a queue: each request takes one
    entry ('' = behave; '429', '429:0.05' with Retry-After, '500', '503', 'truncated', 'garbage', 'short', 'early_end', 'hang:0.2').
    """

    def __init__(self, bars_of: Callable[[str, int, int], list[dict]] = lambda _symbol, _start, _end: [], page_size: int = 50_000) -> None:
        super().__init__()
        self.plan = Plan()
        self.bars_of = bars_of
        self.page_size = page_size
        self.symbols: set[str] | None = None  # None: REST knows every symbol
        self.contracts: dict[str, list[dict]] = {}  # underlying -> rows of its chain snapshot
        self.most_contracts = 250  # in one page

    @property
    def websocket_base(self) -> str:
        return self.socket_base

    # -- what a test does ---------------------------------------------------------------------------------------------------

    def send(self, events: list[dict] | str, market: str = "stocks") -> int:
        """Send events to whom they are subscribed (text: as it is, to everyone); return how many were sent in all."""
        return self._do(self._send(events, market))

    def say(self, kind: str, message: str, market: str = "stocks") -> None:
        """Send a status to everyone."""
        self.send(json.dumps([status(kind, message)]), market)

    async def _send(self, events: list[dict] | str, market: str) -> int:
        n = 0
        for connection in [one for one in self.connections if one.market == market]:
            wanted = events
            if not isinstance(events, str):
                wanted = [event for event in events if f"{event['ev']}.{event.get('sym')}" in connection.topics]
            if wanted:
                content = wanted if isinstance(wanted, str) else json.dumps(wanted, separators=(",", ":"))
                n += await self._deliver(connection, content, 1 if isinstance(wanted, str) else len(wanted))
        return n

    # -- websocket ----------------------------------------------------------------------------------------------------------

    def _connection(self, socket: ServerConnection) -> Connection:
        assert socket.request is not None
        return Connection(socket, socket.request.path, socket.request.path.strip("/"))

    async def _greet(self, connection: Connection) -> bool:
        await self._say(connection.socket, status("connected", "Connected Successfully"))
        return True

    async def _hear(self, connection: Connection, text: bytes | str) -> None:
        message = json.loads(text)
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

    def _respond(self, request: Request, fault: str) -> tuple[int, dict[str, str], bytes]:
        refusal = self._refusal(request, fault)
        if refusal is not None:
            code, extra, content = refusal
            return code, extra, json.dumps({"request_id": "1"} | content).encode()
        if fault == "garbage":
            return 200, {}, b"<html>Bad gateway</html>"
        if request.path.startswith("/v3/"):
            return 200, {}, json.dumps(self._contracts(request)).encode()
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

    def _contracts(self, request: Request) -> dict:
        """Answer /v3/snapshot/options/{underlying} and /v3/reference/options/contracts; `limit` defaults to 10, as the real one's."""
        query = request.query
        if "cursor" in query:  # the link of a next page carries the whole question
            query = json.loads(base64.urlsafe_b64decode(query["cursor"]))
        is_list = request.path.startswith("/v3/reference")
        rows = self.contracts.get(query["underlying_ticker"] if is_list else request.path.rpartition("/")[2], [])
        for name in ("expiration_date", "contract_type"):
            rows = [row for row in rows if name not in query or row["details"][name] == query[name]]
        rows = sorted(rows, key=lambda row: row["details"]["ticker"])
        start, limit = int(query.get("start", 0)), min(int(query.get("limit", 10)), 1000 if is_list else self.most_contracts)
        shown, rest = rows[start : start + limit], rows[start + limit :]
        answer = {"status": "OK", "request_id": "1", "results": [row["details"] for row in shown] if is_list else shown}
        if rest:
            cursor = base64.urlsafe_b64encode(json.dumps({**query, "start": start + limit}).encode()).decode()
            answer["next_url"] = f"https://api.polygon.io{request.path}?cursor={cursor}&apiKey=somebody"
        return answer

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
