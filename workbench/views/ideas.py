"""Ideas: ranked contracts to buy with the checklist that was applied, or covered calls of the day with the funnel that led to them.

One `IdeasView` per screen. `tick` only hands work to a worker thread and sends what has come back; nothing is read while it is closed
or hidden. A click selects the contract. Nothing here decides: `options/suggest.py` and `options/screen.py` rank by rules that are shown.

Floor 8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import WorkbenchError
from workbench.views.ideas_model import CHOICES, IdeasModel
from workbench.views.ideas_reading import Ask, IdeasReading
from workbench.views.models import Selection
from workbench.views.shelf import Shelf

STATIC = Path(__file__).parent / "static"
EVERY_S = 2.0  # between two rankings of one screen
PAUSE_COSTS = 3  # and at least so many times what the last one took
WAIT_S = 0.5  # for chains that are being loaded
_READS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ideas")


class IdeasView(JSComponent):
    """Ideas on `selection.underlying`. `open()` it, call `tick()` about ten times a second, `close()` it."""

    chosen = param.Dict(default={}, doc="The question, for the page's controls.")
    symbol = param.String("", doc="Underlying.")
    selected = param.String("", doc="Contract selected; '' for none.")
    is_page = param.Boolean(False, constant=True, doc="Whether it is a page of its own: then the question stands in its address.")

    _esm = STATIC / "ideas.js"
    _stylesheets = [STATIC / "ideas.css"]

    def __init__(
        self, hub: Any, selection: Selection, shelf: Shelf, query: Mapping[str, str] | None = None, *, is_page: bool = False, **params: Any
    ) -> None:
        """`query`: parts of the question as an address has them."""
        self.on_levels: Callable[[], None] | None = None  # told when `levels` are others
        self.levels: list[dict[str, Any]] = []  # break-even of the contract selected
        self._selection, self._shelf = selection, shelf
        self._model = IdeasModel()
        self._reading = IdeasReading(hub)
        self._job: tuple[Ask, int, Future[dict[str, Any] | None]] | None = None
        self._is_open, self._is_shown, self._is_whole, self._due_ns = False, False, True, 0
        self._rows: list[dict[str, Any]] = []  # of the newest answer
        self._model.restore({**shelf.read("ideas", {}), **(query or {})})
        super().__init__(sizing_mode="stretch_both", is_page=is_page, **params)
        selection.param.watch(lambda *_: self._follow(), ["underlying", "contract"])
        self._follow()

    # -- opening and closing -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read as soon as the page shows it."""
        self._is_open = True

    def close(self) -> None:
        """Read nothing any more; harmless when closed."""
        self._show(False)
        self._is_open, self._job, self._rows = False, None, []
        self._carry()

    def _show(self, is_shown: bool) -> None:
        was_shown, self._is_shown = self._is_shown, is_shown
        self._reading.is_wanted = is_shown
        self._due_ns, self._is_whole = 0, True
        if was_shown and not is_shown:
            _READS.submit(self._reading.release)

    def _follow(self) -> None:
        """Show the selection, and ask anew where it is another underlying."""
        is_other = self._selection.underlying != self.symbol
        chosen = {name: getattr(self._model, name) for name in CHOICES}
        self.param.update(symbol=self._selection.underlying, selected=self._selection.contract, chosen=chosen)
        if is_other:
            self._ask_anew()
        self._carry()

    def _ask_anew(self) -> None:
        self._rows, self._due_ns, self._is_whole = [], 0, True

    # -- every turn --------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Send what a worker has finished, and hand out the next piece of work when it is due."""
        if self._job is not None:
            if not self._job[2].done():
                return
            self._take(*self._job)
        if self._is_shown and monotonic_ns() >= self._due_ns:
            ask, whole = Ask(self.symbol, self._model.wanted), self._is_whole
            self._is_whole = False
            self._job = ask, monotonic_ns(), _READS.submit(self._reading.read, ask, whole=whole)

    def _take(self, ask: Ask, began_ns: int, job: Future[dict[str, Any] | None]) -> None:
        self._job = None
        now = monotonic_ns()
        self._due_ns = max(self._due_ns, now + max(int(EVERY_S * NS_PER_S), PAUSE_COSTS * (now - began_ns)))
        answer = job.result()
        if ask != Ask(self.symbol, self._model.wanted):  # asked anew meanwhile
            self._due_ns, self._is_whole = 0, True
        elif answer is not None:
            if answer.get("is_waiting"):
                self._due_ns = now + int(WAIT_S * NS_PER_S)
            self._rows = answer.get("rows", self._rows)
            self._carry()
            self._send_msg({"answer": answer})

    def _carry(self) -> None:
        """Give the break-even of the contract selected to the charts of its underlying."""
        found = next((row for row in self._rows if row["symbol"] == self._selection.contract), {})
        price = found.get("break_even_usd", found.get("breakeven"))
        levels = [{"id": "idea", "price": round(price, 2), "label": "Break-even", "colour": "study3"}] if price is not None else []
        if levels == self.levels:
            return
        self.levels = levels
        if self.on_levels is not None:
            self.on_levels()

    # -- what the page says ------------------------------------------------------------------------------------------------

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if not self._is_open:  # a page's word that comes after it was closed would open it again
            return
        kind, value = message.get("do"), message.get("value")
        try:
            if kind == "ready":
                self._show(True)
            elif kind == "shown":
                self._show(bool(value))
            elif kind == "select":
                self._selection.select(str(value))
            elif kind == "choose":
                self._choose(str(message.get("name")), value)
        except WorkbenchError as error:
            self._send_msg({"say": str(error)})

    def _choose(self, name: str, value: Any) -> None:
        try:
            self._model.choose(name, value)
            self._ask_anew()
            self._shelf.write("ideas", {name: getattr(self._model, name) for name in CHOICES})
        finally:
            self.chosen = {}  # told again even where nothing changed: the page shows what was typed
            self._follow()
