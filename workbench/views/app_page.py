"""A page of its own for one view of the desk's right column: health strip above, the view below, in the desk's colours.

Floor 8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import Child, JSComponent

from workbench.errors import WorkbenchError
from workbench.views import theme
from workbench.views.dock import DockView
from workbench.views.health_strip import HealthStrip
from workbench.views.models import Selection
from workbench.views.turns import every

STATIC = Path(__file__).parent / "static"
TURN_MS = 100
HEALTH_EVERY = 3  # turns


class AppPage(JSComponent):
    """One view with the health of its data. `start()` it in the session that shows it."""

    view = Child(doc="What the page is about.")
    strip = Child(doc="Health of the data.")
    selection = param.ClassSelector(class_=Selection, doc="What the view speaks of.")
    symbol = param.String("", doc="Underlying, for the title and the field.")
    theme = param.String("dark")
    colours = param.Dict(default={}, doc="Theme tokens.")

    _esm = STATIC / "app.js"
    _stylesheets = [STATIC / "app.css"]
    _rename = {"selection": None}

    def __init__(self, hub: Any, view: DockView, selection: Selection, query: Mapping[str, str], **params: Any) -> None:
        """`query`: what the address asks for: symbol, theme."""
        self._turn = 0
        self._is_met = False  # whether the page stands: what is sent to one that is being built can be lost
        look = query["theme"] if query.get("theme") in theme.THEMES else "dark"
        with contextlib.suppress(WorkbenchError):  # a symbol that is none: the first one is shown
            selection.select(query.get("symbol") or next(iter(hub.watched()), selection.underlying))
        super().__init__(
            view=view, strip=HealthStrip(hub), selection=selection, symbol=selection.underlying, theme=look,
            colours=theme.tokens(look), sizing_mode="stretch_both", **params,
        )  # fmt: skip
        selection.param.watch(lambda *_: self.param.update(symbol=selection.underlying), ["underlying"])

    def start(self) -> None:
        """Open the view and tick until the session ends."""
        self.view.open()
        callback = every(TURN_MS, self.tick)
        pn.state.on_session_destroyed(lambda _: (callback.stop(), self.view.close()))

    def tick(self) -> None:
        """Bring view and strip up to date."""
        self._turn += 1
        with pn.io.unlocked():
            if self._is_met:
                self.view.tick()
            if self._turn % HEALTH_EVERY == 0:
                self.strip.tick()

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if message.get("do") == "ready":
            self._is_met = True
            return
        try:
            self.selection.select(str(message.get("symbol", "")))
        except WorkbenchError as error:
            self._send_msg({"error": str(error)})
