"""How many desks are open at once: each costs the process time twenty times a second, so one too many would slow all of them.

A desk keeps its place while its page is connected. A page that was just sent has some seconds to connect, and a closed tab gives its
place back after as many. Who finds none gets a page that says so and opens the desk when one becomes free; it reads no hub.

Floor 8.
"""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from workbench.views import theme

STATIC = Path(__file__).parent / "static"
OPENING_MS = 5_000
LOOK_MS = 1_000


class Places:
    """The browser sessions of this process that have a desk."""

    def __init__(self) -> None:
        self._held: weakref.WeakSet[Any] = weakref.WeakSet()  # session contexts
        self._lock = threading.Lock()

    def take(self, context: Any, cap: int) -> bool:
        """Give a session a place, unless `cap` are taken; one that has no context (an app run to warm up) needs none."""
        if context is None:
            return True
        with self._lock:
            if not self.has_room(cap):
                return False
            self._held.add(context)
            return True

    def has_room(self, cap: int) -> bool:
        """Return whether fewer than `cap` are taken."""
        return sum(map(_is_in_use, tuple(self._held))) < cap


def shared_places() -> Places:
    """Return the places of this process."""
    return pn.state.as_cached("workbench-places", Places)


def _is_in_use(context: Any) -> bool:
    if context.destroyed:
        return False
    session = context.session
    return session is None or session.connection_count > 0 or session.milliseconds_since_last_unsubscribe < OPENING_MS


class FullPage(JSComponent):
    """What tab N+1 gets."""

    cap = param.Integer(0, doc="Desks that may be open at once.")
    colours = param.Dict(default={}, doc="Theme tokens.")

    _esm = STATIC / "full.js"

    def __init__(self, cap: int, **params: Any) -> None:
        super().__init__(cap=cap, colours=theme.tokens(), sizing_mode="stretch_both", **params)

    def start(self) -> None:
        """Begin to look for a free place, until the session ends."""
        callback = pn.state.add_periodic_callback(self._look, period=LOOK_MS)
        pn.state.on_session_destroyed(lambda _: callback.stop())

    def _look(self) -> None:
        if shared_places().has_room(self.cap):
            self._send_msg({"do": "open"})
