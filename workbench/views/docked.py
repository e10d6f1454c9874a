"""Ladder and board as tabs of the desk's right column: they show what is selected, and what is clicked in them is selected.

Floor 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.errors import StoreError
from workbench.views.board import QuoteBoard
from workbench.views.ladder import Ladder
from workbench.views.marks import LadderModel
from workbench.views.models import Selection, WatchlistModel
from workbench.views.shelf import Shelf

BOARD_KEPT_AS = "board"


def kept_board(hub: Any, shelf: Shelf) -> list[str]:
    """Return the symbols of the quote board as they were left; what the hub follows while nobody has chosen any."""
    if shelf.knows(BOARD_KEPT_AS):
        return [symbol for symbol in shelf.read(BOARD_KEPT_AS, []) if isinstance(symbol, str)]
    watched = hub.watched()
    return [symbol for symbol in watched if not symbol.startswith("O:")] or list(watched)  # contracts are clicked by hundreds


class LadderTab(Ladder):
    """The price ladder of the selected symbol. `open()` it, call `tick()` about ten times a second, `close()` it."""

    def __init__(self, hub: Any, selection: Selection, _shelf: Shelf, **params: Any) -> None:
        self.levels: list[dict[str, Any]] = []
        self.on_levels: Callable[[], None] | None = None
        self._selection, self._is_open = selection, False
        super().__init__(hub, LadderModel(symbol=selection.symbol), centre_key="m", **params)
        selection.param.watch(lambda *_: self._follow(), ["underlying", "contract"])

    def open(self) -> None:
        """Read the selected symbol as soon as the page shows it."""
        self._is_open = True
        self._follow()

    def close(self) -> None:
        """Read nothing any more; harmless when closed."""
        self._is_open = False
        self.stop()

    def _follow(self) -> None:
        if self._is_open:
            self.model.show(self._selection.symbol)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if self._is_open:  # a page's word that comes after it was closed would open it again
            super()._handle_msg(message)


class BoardTab(QuoteBoard):
    """The quote board; its list is that of the page of the matrix. `open()` it, call `tick()`, `close()` it."""

    def __init__(self, hub: Any, selection: Selection, shelf: Shelf, **params: Any) -> None:
        self.levels: list[dict[str, Any]] = []
        self.on_levels: Callable[[], None] | None = None
        self._selection, self._shelf, self._is_open = selection, shelf, False
        super().__init__(hub, WatchlistModel(symbols=kept_board(hub, shelf)), selection.select, selected=selection.symbol, **params)
        selection.param.watch(lambda *_: self.param.update(selected=selection.symbol), ["underlying", "contract"])
        self.model.param.watch(lambda *_: self._keep(), ["symbols"])

    def open(self) -> None:
        """Take over what another page changed of the list, and read it as soon as the page shows it."""
        self._is_open = True
        kept = kept_board(self._hub, self._shelf)
        if kept != self.model.symbols and self._shelf.knows(BOARD_KEPT_AS):
            self.model.symbols = kept

    def close(self) -> None:
        """Read nothing any more; harmless when closed."""
        self._is_open = False
        self.stop()

    def _keep(self) -> None:
        if self._shelf.read(BOARD_KEPT_AS, []) == self.model.symbols:
            return
        try:
            self._shelf.write(BOARD_KEPT_AS, self.model.symbols)
        except StoreError as error:
            self._send_msg({"error": str(error)})

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if self._is_open:
            super()._handle_msg(message)
