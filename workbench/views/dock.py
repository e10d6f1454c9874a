"""The right column of the desk: tabs, of which one at most is open. A tab that is not open reads nothing and costs nothing.

A new tab is one line in TABS. Its view stands in the page only while it is open. Floor 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from workbench.views.chain import ChainView
from workbench.views.docked import BoardTab, LadderTab
from workbench.views.exposure import ExposureTab
from workbench.views.ideas import IdeasView
from workbench.views.models import Selection
from workbench.views.risk_tab import RiskTab
from workbench.views.shelf import Shelf


class DockView(Protocol):
    """What stands in a tab: a Panel component with these."""

    levels: list[dict[str, Any]]  # for charts of the selected underlying, as `CandleChart.set_levels` takes them; [] while closed
    on_levels: Callable[[], None] | None  # to be called when they are others

    def open(self) -> None:
        """Begin to read."""

    def close(self) -> None:
        """Let go of everything that is read; harmless when closed."""

    def tick(self) -> None:
        """Send what changed, about ten times a second while open."""


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab. `key` opens and closes it; `make` gets hub, selection and shelf when it is first opened."""

    name: str
    title: str
    key: str
    make: Callable[[Any, Selection, Shelf], DockView]


TABS = (
    Tab("chain", "Chain", "c", ChainView),
    Tab("ladder", "Ladder", "l", LadderTab),
    Tab("board", "Board", "q", BoardTab),
    Tab("exposure", "Exposure", "x", ExposureTab),
    Tab("structures", "Structures", "g", RiskTab),
    Tab("ideas", "Ideas", "n", IdeasView),
)


class Dock:
    """The tabs of one desk. `shown` is the name of the open one, '' when the column is closed."""

    def __init__(self, hub: Any, selection: Selection, shelf: Shelf, *, on_levels: Callable[[], None]) -> None:
        self._parts, self._on_levels = (hub, selection, shelf), on_levels
        self._views: dict[str, DockView] = {}  # name -> view, made when first opened
        self.shown = ""

    @property
    def levels(self) -> list[dict[str, Any]]:
        """What the open tab draws on charts of the underlying."""
        return self._views[self.shown].levels if self.shown else []

    def show(self, name: str) -> DockView | None:
        """Open a tab in place of the one that is open, and return its view; a name that is no tab's closes the column."""
        tab = next((tab for tab in TABS if tab.name == name), None)
        if tab is not None and self.shown == name:
            return self._views[name]
        if self.shown:
            self._views[self.shown].close()
        self.shown = "" if tab is None else name
        if tab is None:
            return None
        if name not in self._views:
            self._views[name] = tab.make(*self._parts)
            self._views[name].on_levels = self._on_levels
        self._views[name].open()
        return self._views[name]

    def stop(self) -> None:
        """Let go of everything for good: the page is gone, nobody is told."""
        for view in self._views.values():
            view.on_levels = None
        self.show("")

    def tick(self) -> None:
        """Bring the open tab up to date."""
        if self.shown:
            self._views[self.shown].tick()
