"""The connection as uvicorn keeps it, with an end to patience: a client that sends rubbish, too much, or nothing is cut off.

Nobody else notices. The connection itself is made known to the application (`scope["extensions"]["workbench.transport"]`), so that a stream
can see what a reader has not taken yet, and drop one that takes nothing. Floor 8: uvicorn and httptools only.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_S = 10.0  # a whole request, head and body, has to be here by then
MAX_URL_BYTES = 8 * 1024
MAX_HEAD_BYTES = 32 * 1024
MAX_BODY_BYTES = 64 * 1024
MAX_CONNECTIONS = 1000
SEND_BUFFER_BYTES = 128 * 1024  # what the system holds for a slow reader; more would only make what it reads older


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with limits on size and time."""

    _timer: asyncio.TimerHandle | None = None
    _head_bytes = _body_bytes = 0
    _is_in_head = True

    def connection_made(self, transport: Any) -> None:
        """Take a connection; one too many is told so."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._arm()
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, f"connections: {MAX_CONNECTIONS} are open, which is all that are served at once; try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        if self.transport.is_closing():
            return
        if self._is_in_head:
            seen, self._head_bytes = self._head_bytes, self._head_bytes + len(data)
            if seen > MAX_HEAD_BYTES:  # and still no end of it
                self._refuse(431, f"head: received more than {MAX_HEAD_BYTES} bytes; allowed: up to that")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_in_head, self._body_bytes = True, 0
        self._arm()
        known: dict[Any, Any] = {"workbench.transport": self.transport}
        self.scope["extensions"] = known

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._refuse(414, f"address: received more than {MAX_URL_BYTES} bytes; allowed: up to that")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse(431, f"head: received more than {MAX_HEAD_BYTES} bytes; allowed: up to that")

    def on_headers_complete(self) -> None:
        """Hand the request to the application, unless it was refused."""
        self._is_in_head, self._head_bytes = False, 0
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body_bytes += len(body)
        if self.transport.is_closing():
            return
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse(413, f"body: received more than {MAX_BODY_BYTES} bytes; allowed: up to that")
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request: it came in time."""
        self._disarm()
        self._is_in_head = True
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request."""
        self._refuse(400, f"request: {msg[:1].lower()}{msg[1:]}")

    def _refuse(self, status: int, sentence: str) -> None:
        """Say why, in the shape of every error, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            body = b'{"error":"%s"}' % sentence.replace('"', "'").encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()

    def _arm(self) -> None:
        self._disarm()
        self._timer = self.loop.call_later(HEAD_S, self._out_of_time)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        self._refuse(408, f"request: not complete after {HEAD_S:g} s")
