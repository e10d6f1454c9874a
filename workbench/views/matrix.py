"""The matrix page: quote board and price ladder side by side, with the health strip. One symbol is chosen for both.

One `Matrix` per browser session; all its parts are read in one periodic callback, and an exception in it is counted and shown.
Floor 8.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import Child, JSComponent

from workbench.clock import NS_PER_MS, monotonic_ns
from workbench.errors import StoreError, SymbolError, WorkbenchError
from workbench.types import check_symbol
from workbench.views import theme
from workbench.views.board import QuoteBoard
from workbench.views.contracts import ShownContracts
from workbench.views.docked import BOARD_KEPT_AS, kept_board
from workbench.views.health_strip import HealthStrip
from workbench.views.labels import label_of
from workbench.views.ladder import Ladder
from workbench.views.marks import LadderModel
from workbench.views.models import LookModel, WatchlistModel, normal_symbol
from workbench.views.shelf import Shelf
from workbench.views.turns import every

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
TURN_MS = 12  # a quote waits half of it on average; a turn without news costs next to nothing
IDLE_TURNS = 3  # so often a turn without news is one all the same: what is not quotes moves too
HEALTH_EVERY_NS = 250 * NS_PER_MS


class MatrixShell(JSComponent):
    """The page: where the parts stand, symbol box, keyboard, messages."""

    board = Child(doc="Left.")
    ladder = Child(doc="Right.")
    strip = Child(doc="Right end of the top bar.")
    symbol = param.String("", doc="Symbol chosen.")
    label = param.String("", doc="The same, as people say it.")
    theme = param.String("dark")
    colours = param.Dict(default={}, doc="Theme tokens.")
    greeting = param.String("", doc="One sentence for whoever opens the page.")

    _esm = STATIC / "matrix.js"
    _render_policy = "manual"
    _stylesheets = [STATIC / "matrix.css"]

    def __init__(self, **params: Any) -> None:
        self.on_message: Callable[[dict[str, Any]], None] | None = None
        super().__init__(sizing_mode="stretch_both", **params)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if self.on_message is not None:
            self.on_message(message)

    def say(self, text: str) -> None:
        """Show one sentence for a few seconds."""
        self._send_msg({"say": text})


class Matrix:
    """Board and ladder of one browser session over one hub."""

    def __init__(self, hub: Any, shelf: Shelf | None = None, query: Mapping[str, str] | None = None) -> None:
        """`query` is what the address asks for: symbol, theme."""
        self.hub, self.shelf, query = hub, shelf or Shelf(None), query or {}
        self.errors = self._idle = self._health_ns = 0
        self._seen: tuple[int, int] | None = None  # prints and quotes that the hub had at the last turn
        self._last_error = ""
        self._callback: Any = None
        self.listed = WatchlistModel(symbols=kept_board(hub, self.shelf))
        self.contracts = ShownContracts(hub, self._is_kept)
        symbol, greeting = self._first_symbol(query.get("symbol"))
        self.model = LadderModel(symbol=symbol)
        self.contracts.show([symbol])
        self.model.param.watch(lambda *_: self.contracts.show([self.model.symbol]), ["symbol"])  # before the ladder asks for it
        self.look = _look({**self.shelf.read("prefs", {}), **query})
        self.board = QuoteBoard(hub, self.listed, self._select)
        self.ladder = Ladder(hub, self.model)
        self.strip = HealthStrip(hub)
        self.shell = MatrixShell(board=self.board, ladder=self.ladder, strip=self.strip, greeting=greeting)
        self.shell.on_message = self._on_message
        self.listed.param.watch(lambda *_: self._store(), ["symbols"])
        self.model.param.watch(lambda *_: self._sync(), ["symbol"])
        self.look.param.watch(lambda *_: self._sync(), ["theme", "palette"])
        self._sync()

    # -- running -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick in the present session, until it ends."""
        self._callback = every(TURN_MS, self.turn)
        pn.state.on_session_destroyed(lambda _: self.stop())

    def stop(self) -> None:
        """Stop ticking and reading; harmless when stopped."""
        callback, self._callback = self._callback, None
        if callback is not None and callback.running:
            callback.stop()
        self.ladder.stop()
        self.board.stop()
        self.contracts.show(())

    def turn(self) -> None:
        """Tick when something was quoted or traded since the last tick, and now and then without."""
        tape = getattr(self.hub, "tape", None)  # a hub elsewhere has none
        seen = None if tape is None else (tape.n_trades, tape.n_quotes)
        self._idle += 1
        if seen is None or seen != self._seen or self._idle >= IDLE_TURNS:
            self._seen, self._idle = seen, 0
            self.tick()

    def tick(self) -> None:
        """Bring every part up to date."""
        with pn.io.unlocked():
            self._guarded(self.ladder.tick)
            self._guarded(self.board.tick)
            if monotonic_ns() - self._health_ns >= HEALTH_EVERY_NS:
                self._health_ns = monotonic_ns()
                self._guarded(self.strip.tick)

    def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except Exception as error:
            self.errors += 1
            if str(error) != self._last_error:  # once: at forty turns a second the same line would fill the disk
                log.exception("matrix: a part failed")
                self._last_error = str(error)
                self.shell.say(f"A part failed ({type(error).__name__}: {error}); it is tried again. Failures so far: {self.errors}")

    # -- what the page says ------------------------------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        kind, value = message.get("do"), message.get("value")
        try:
            if kind == "symbol":
                self._show(str(value))
            elif kind == "step":
                neighbour = self.listed.neighbour(self.model.symbol, int(value or 0))
                if neighbour is not None:
                    self.model.show(neighbour)
            elif kind == "theme":
                self.look.theme = "light" if self.look.theme == "dark" else "dark"
                self._keep_look()
        except WorkbenchError as error:
            self.shell.say(str(error))

    def _show(self, text: str) -> None:
        """Show what was typed; a symbol that there is not changes nothing."""
        symbol = check_symbol(normal_symbol(text))
        self.contracts.show([self.model.symbol, symbol])
        try:
            if symbol not in self.hub.watched():
                self.hub.watch(symbol)
            self.model.show(symbol)
        finally:
            self.contracts.show([self.model.symbol])

    def _select(self, symbol: str) -> None:
        self.model.show(symbol)

    def _sync(self) -> None:
        symbol = self.model.symbol
        self.board.selected = symbol
        colours = theme.tokens(self.look.theme, self.look.palette)
        self.shell.param.update(symbol=symbol, label=label_of(symbol), theme=self.look.theme, colours=colours)

    def _is_kept(self, symbol: str) -> bool:
        return symbol in self.listed.symbols or symbol in self.shelf.read("watchlist", [])

    # -- what is remembered ------------------------------------------------------------------------------------------------

    def _first_symbol(self, asked: str | None) -> tuple[str, str]:
        """Return the symbol to begin with, and a sentence where it is not the one asked for."""
        first = next(iter([*self.listed.symbols, *self.hub.watched()]), "SPY")
        if asked is None:
            return first, ""
        try:
            symbol = check_symbol(normal_symbol(asked))
            self.contracts.show([symbol])
            if symbol not in self.hub.watched():
                self.hub.watch(symbol)
        except SymbolError:
            return first, f"There is no symbol {asked!r} in source {self.hub.source_info.name!r}; {first} is shown instead"
        except WorkbenchError:  # the ladder asks again and says what is wrong
            return symbol, ""
        return symbol, ""

    def _store(self) -> None:
        self._write(BOARD_KEPT_AS, self.listed.symbols)

    def _keep_look(self) -> None:
        self._write("prefs", {**self.shelf.read("prefs", {}), "theme": self.look.theme})

    def _write(self, name: str, value: Any) -> None:
        try:
            self.shelf.write(name, value)
        except StoreError as error:
            self.shell.say(str(error))


def _look(wanted: Mapping[str, Any]) -> LookModel:
    """Return a look of those of `wanted` that are allowed."""
    allowed = {"theme": theme.THEMES, "palette": theme.PALETTES}
    return LookModel(**{name: wanted[name] for name, values in allowed.items() if wanted.get(name) in values})
