"""The door before an ASGI app: nothing reaches it that the gate has not judged.

In: any ASGI app and a `Gate`. Out: the same app; `scope["caller"]` says who asks. Answers carry the security headers. WebSockets
are refused: the API has none.

Floor 1: no framework.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from workbench.door.gate import XSRF_HEADER, Ask, Gate, Refusal, session_cookie
from workbench.door.headers import API_CSP, security_headers
from workbench.door.limits import Limits
from workbench.door.roles import Caller

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Door:
    """An ASGI app before another."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app, self.gate = app, gate
        headers = security_headers(API_CSP, is_secure=gate.is_secure)
        self._headers = [(name.encode(), value.encode()) for name, value in headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        ask = ask_of(scope)
        where = self.gate.address_of(ask)
        limits = self.gate.limits_of(where)
        with self.gate.crowd.entering(where, limits) as has_room:
            verdict = self.gate.judge(ask) if has_room else Refusal(429, "too many connections at once", (("retry-after", "10"),))
            if not isinstance(verdict, Refusal):
                verdict = check_length(ask, limits) or verdict
            dressed = self._dress(send, ask, verdict)
            if isinstance(verdict, Refusal):
                await refuse(dressed, verdict)
            elif not ask.one("content-length") and not ask.one("transfer-encoding"):
                await self._app({**scope, "caller": verdict}, receive, dressed)  # no body: a stream pays for nothing
            else:
                await _Body(receive, dressed, limits).run(self._app, {**scope, "caller": verdict})

    def _dress(self, send: Send, ask: Ask, verdict: Caller | Refusal) -> Send:
        """Return `send` that adds the security headers, except those that the app has set itself.

        A session is told what it has to send back to change something; another site's page can't read it.
        """
        extra = list(self._headers)
        if isinstance(verdict, Caller) and verdict.how == "session":
            extra.append((XSRF_HEADER.encode(), self.gate.book.xsrf(session_cookie(ask)).encode()))

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message.get("headers", ())}
                added = [pair for pair in extra if pair[0] not in own]
                if b"cache-control" not in own:
                    added.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        return dressed


class _Body:
    """Counts a request's body as it comes in; past the limit the client is cut off, whatever the app makes of it."""

    def __init__(self, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive, self._send, self._left = receive, send, limits.body_bytes
        self._has_begun = self._is_too_large = False

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._take, self._give)
        except Exception:
            if not self._is_too_large:
                raise
        if self._is_too_large and not self._has_begun:
            await refuse(self._send, Refusal(413, "body: too large"))

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self._is_too_large = True
                return {"type": "http.disconnect"}
        return message

    async def _give(self, message: Message) -> None:
        if self._is_too_large and not self._has_begun:
            return  # what the app says about half a body is of no interest
        self._has_begun = True
        await self._send(message)


def ask_of(scope: Scope) -> Ask:
    """Return what the gate judges of an ASGI request."""
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    raw = scope.get("raw_path") or scope["path"].encode()
    peer = scope["client"][0] if scope.get("client") else ""
    return Ask(scope["method"], raw.decode("latin-1"), scope["query_string"].decode("latin-1"), headers, peer)


def check_length(ask: Ask, limits: Limits) -> Refusal | None:
    """Refuse a body that says itself that it is too large."""
    length = ask.one("content-length")
    if length and (not length.isascii() or not length.isdigit() or int(length) > limits.body_bytes):
        return Refusal(413, f"body: larger than {limits.body_bytes} bytes")
    return None


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answer with a refusal, as JSON."""
    body = json.dumps({"error": refusal.reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    headers += [(name.encode(), value.encode()) for name, value in refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
