"""The exposure view: dealer gamma by strike, its flip, walls and history, and the session's volume profile at the same prices.

One `ExposureView` per screen. `tick` only hands work to a worker thread and sends what has come back; while the page is not shown
nothing is read and no chain is held open. What is drawn, in static/exposure.js, stands on one price axis. Floor 8.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import StoreError, WorkbenchError
from workbench.options.exposure import DealerSign, GexUnit, SizeBasis
from workbench.options.gamma_profile import Stickiness
from workbench.options.profile_rows import Hours
from workbench.views import theme
from workbench.views.exposure_board import levels_of
from workbench.views.exposure_model import CHOICES, ExposureModel, underlying_of
from workbench.views.exposure_reading import Ask, ExposureReading, Histories
from workbench.views.models import Selection
from workbench.views.shelf import Shelf

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
TICK_MS = 250
EVERY_S = 2.5  # between two computations of one screen
PAUSE_COSTS = 3  # and at least so many times what the last one took
WAIT_S = 0.5  # for chains that are being loaded
_READS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="exposure")
KEPT = tuple(name for name in CHOICES if name != "expiry")  # on the shelf, from day to day
OFFERED = {
    "unit": {GexUnit.PCT: "per 1 %", GexUnit.POINT: "per point", GexUnit.SHARES: "shares"},
    "sign": {DealerSign.CALLS_LONG: "long calls, short puts", DealerSign.ALL_LONG: "long all", DealerSign.ALL_SHORT: "short all"},
    "basis": {SizeBasis.OI: "open interest", SizeBasis.VOLUME: "volume", SizeBasis.OI_VOLUME: "OI + volume"},
    "stickiness": {Stickiness.STRIKE: "strike", Stickiness.MONEYNESS: "moneyness"},
    "hours": {Hours.RTH: "regular", Hours.ETH: "extended"},
}


def shared_histories() -> Histories:
    """Return what this process remembers of exposure through the session."""
    return pn.state.as_cached("workbench-exposure-histories", Histories)


class ExposureView(JSComponent):
    """Exposure of one underlying. `model` may be changed by anybody; the view follows."""

    chosen = param.Dict(default={}, doc="The model's choices, for the page's controls.")
    offered = param.Dict(default={}, doc="Choice -> [[value, label], …].")
    colours = param.Dict(default={}, doc="Theme tokens to be set on the page; empty where the desk sets them.")

    _esm = STATIC / "exposure.js"
    _stylesheets = [STATIC / "exposure.css"]

    def __init__(self, hub: Any, model: ExposureModel, histories: Histories | None = None, **params: Any) -> None:
        self._model = model
        self._reading = ExposureReading(hub, histories or Histories())
        self._job: tuple[Ask, int, Future[dict[str, Any] | None]] | None = None
        self._is_shown, self._is_whole = False, True  # whether the page has to be told everything
        self._is_closed = False
        self.levels: list[dict[str, Any]] = []  # walls, magnet, flip and the profile's, for charts of the underlying; [] until known
        self.on_levels: Callable[[], None] | None = None  # told when `levels` are others
        self._due_ns = 0
        self.board: dict[str, Any] = {}  # the newest that was told
        offered = {name: [[kind.value, label] for kind, label in kinds.items()] for name, kinds in OFFERED.items()}
        super().__init__(sizing_mode="stretch_both", offered=offered, chosen=_chosen(model), **params)
        model.param.watch(lambda *_: self._changed(), ["symbol", *CHOICES])

    def tick(self) -> None:
        """Send what a worker has finished, and hand out the next piece of work when it is due."""
        if self._job is not None:
            if not self._job[2].done():
                return
            self._take(*self._job)
        if self._is_shown and monotonic_ns() >= self._due_ns:
            ask, whole = Ask.of(self._model), self._is_whole
            self._is_whole = False
            self._job = ask, monotonic_ns(), _READS.submit(self._reading.read, ask, whole=whole)

    def open(self) -> None:
        """Read as soon as the page shows it."""
        self._is_closed = False

    def close(self) -> None:
        """Read no more; harmless when closed."""
        self._is_closed = True
        self._show(False)
        self._job, self.board = None, {}
        self._carry()

    def _carry(self) -> None:
        """Give the newest levels to the charts, where they are others."""
        levels = levels_of(self.board.get("totals", {}), self.board.get("profile"))
        if levels == self.levels:
            return
        self.levels = levels
        if self.on_levels is not None:
            self.on_levels()

    def _take(self, ask: Ask, began_ns: int, job: Future[dict[str, Any] | None]) -> None:
        self._job = None
        now = monotonic_ns()
        self._due_ns = max(self._due_ns, now + max(int(EVERY_S * NS_PER_S), PAUSE_COSTS * (now - began_ns)))
        answer = job.result()
        if ask != Ask.of(self._model):  # chosen anew meanwhile: what was computed belongs to another choice
            self._due_ns, self._is_whole = 0, True
        elif answer is not None:
            if answer.get("is_waiting"):
                self._due_ns = now + int(WAIT_S * NS_PER_S)
            if answer.get("totals"):  # what could not be computed once leaves the lines where they are
                self.board = answer
                self._carry()
            self._send_msg({"board": answer})

    def _changed(self) -> None:
        self.chosen = _chosen(self._model)
        self.board = {}
        self._carry()
        self._due_ns, self._is_whole = 0, True

    def _show(self, is_shown: bool) -> None:
        was_shown, self._is_shown = self._is_shown, is_shown
        self._reading.is_wanted = is_shown
        self._due_ns, self._is_whole = 0, True
        if was_shown and not is_shown:
            _READS.submit(self._reading.release)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        """Do what the page says; what makes no sense is answered with one sentence."""
        kind, value = message.get("do"), message.get("value")
        if self._is_closed:  # a page's word that comes after it was closed would open it again
            return
        try:
            if kind == "ready":
                self._show(True)
            elif kind == "shown":
                self._show(bool(value))
            elif kind == "symbol":
                self._model.show(str(value))
            elif kind == "choose":
                self._model.choose(str(message.get("name")), value)
            elif kind == "theme" and self.colours:
                self.colours = theme.tokens("light" if self.colours.get("scheme") == "dark" else "dark")
        except (WorkbenchError, ValueError) as error:
            self._send_msg({"say": str(error)})


class ExposureTab(ExposureView):
    """Exposure of the selected underlying, a tab of the desk's right column."""

    def __init__(self, hub: Any, selection: Selection, shelf: Shelf, **params: Any) -> None:
        self._selection, self._shelf = selection, shelf
        model = ExposureModel()
        for name, value in shelf.read("exposure", {}).items():
            with contextlib.suppress(ValueError, TypeError):  # an old file may hold what is no longer offered
                model.choose(name, value)
        self._follow_to(model)
        super().__init__(hub, model, shared_histories(), **params)
        selection.param.watch(lambda *_: self._follow_to(self._model), ["underlying"])
        model.param.watch(lambda *_: self._keep(), list(KEPT))

    def _follow_to(self, model: ExposureModel) -> None:
        with contextlib.suppress(WorkbenchError):  # what is no symbol is said by the chart
            if underlying_of(self._selection.underlying) != model.symbol:
                model.show(self._selection.underlying)

    def _keep(self) -> None:
        try:
            self._shelf.write("exposure", {name: getattr(self._model, name) for name in KEPT})
        except StoreError as error:
            self._send_msg({"say": str(error)})


def _chosen(model: ExposureModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in ("symbol", *CHOICES)}


class ExposurePage:
    """The exposure view as a page of its own: what it shows stands in its address."""

    def __init__(self, hub: Any, query: Mapping[str, str], histories: Histories | None = None) -> None:
        self.model = ExposureModel()
        self.greeting = ""
        look = query.get("theme", "dark")
        self.theme = look if look in theme.THEMES else "dark"
        self._read_query(hub, query)
        self.view = ExposureView(hub, self.model, histories, colours=theme.tokens(self.theme))
        self._callback: Any = None

    def _read_query(self, hub: Any, query: Mapping[str, str]) -> None:
        watched = hub.watched()
        try:
            self.model.show(query.get("symbol") or (watched[0] if watched else self.model.symbol))
        except WorkbenchError:
            log.info("exposure: an address without a symbol that makes sense")
        for name in CHOICES:
            try:
                if name in query:
                    self.model.choose(name, query[name])
            except ValueError:
                continue  # an old address may hold what is no longer offered

    def start(self) -> None:
        """Begin to tick in the present session, until it ends."""
        self._callback = pn.state.add_periodic_callback(self._tick, period=TICK_MS)
        pn.state.on_session_destroyed(lambda _: self.stop())

    def _tick(self) -> None:
        with pn.io.unlocked():
            self.view.tick()

    def stop(self) -> None:
        """Stop ticking; harmless when stopped."""
        callback, self._callback = self._callback, None
        if callback is not None and callback.running:
            callback.stop()
        self.view.close()
