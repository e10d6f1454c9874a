"""WebSockets that don't wait for fuller packets, on a real server."""

import asyncio
import socket

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from workbench.views.sockets import send_at_once


class Page(RequestHandler):
    """Anything else that is served."""


class Said(WebSocketHandler):
    """Tells each message back, with what the kernel was told of its own socket."""

    def open(self):
        self.is_opened = True

    def on_message(self, message):
        option = self.ws_connection.stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        self.write_message(f"{message} {bool(option)} {self.is_opened}")


async def answer(application):
    listening, port = bind_unused_port()
    server = HTTPServer(application)
    server.add_socket(listening)
    try:
        client = await websocket_connect(f"ws://127.0.0.1:{port}/ws")
        await client.write_message("hello")
        said = await client.read_message()
        client.close()
        return said
    finally:
        server.stop()
        await server.close_all_connections()


def test_a_socket_sends_at_once_and_does_what_it_did():
    application = Application([("/ws", Said), ("/", Page)])
    assert asyncio.run(answer(application)) == "hello False True"
    send_at_once(application)
    assert asyncio.run(answer(application)) == "hello True True"


def test_done_twice_it_is_done_once():
    application = Application([("/ws", Said), ("/", Page)])
    send_at_once(application)
    handlers = [rule.target for rule in application.wildcard_router.rules]
    send_at_once(application)
    assert [rule.target for rule in application.wildcard_router.rules] == handlers
    assert handlers[1] is Page
