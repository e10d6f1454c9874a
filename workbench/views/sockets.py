"""WebSockets of the pages that send at once what is written to them.

Bokeh writes each message as three small frames. Left alone, the kernel keeps the second back until the browser's machine has acknowledged
the first, and that puts its word off for up to 40 ms, in the hope of something to send it with: every quote would come that much later.

Floor 8.
"""

from __future__ import annotations

import inspect
from typing import Any

from tornado.web import Application
from tornado.websocket import WebSocketHandler


class Undelayed(WebSocketHandler):
    """Stands before a WebSocket handler of Bokeh's."""

    def open(self, *args: str, **kwargs: str) -> Any:
        """Have each write leave as it is made, then do what the handler does."""
        self.set_nodelay(True)
        return super().open(*args, **kwargs)


def send_at_once(application: Application) -> None:
    """Put `Undelayed` before every WebSocket handler of a tornado application; harmless when done already."""
    for rule in application.wildcard_router.rules:
        handler = rule.target
        if inspect.isclass(handler) and issubclass(handler, WebSocketHandler) and not issubclass(handler, Undelayed):
            rule.target = type(handler.__name__, (Undelayed, handler), {})
