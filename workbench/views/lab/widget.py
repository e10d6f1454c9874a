"""A live chart for a notebook cell, in one line: `workbench.chart(hub, "SPY", "5m")`.

Every display of a `LabChart` is a view of its own: re-running a cell, or showing the same chart in two cells, never moves a model
from one document to another. A view ticks from the moment its page says hello until its cell is cleared; a tick takes about a millisecond
of the kernel. Where the kernel serves pages on the thread that runs cells, the chart stands still while a cell computes, then
catches up; where it has a thread for pages (subshells), the chart goes on.

Floor 8.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import panel as pn
import param
from panel.custom import Child, JSComponent

from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import ConfigError, WorkbenchError, choices
from workbench.types import TIMEFRAMES
from workbench.views import theme as tokens
from workbench.views.chart import CandleChart
from workbench.views.health_strip import health_of
from workbench.views.lab.notebook import free_output, prepare
from workbench.views.models import ChartModel, LookModel

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
FRAME_MS = 100  # ten patches a second: smooth to the eye, and the kernel stays free
MOST_SHARE = 0.25  # of the kernel's time that one chart may take, however slow the machine
FIRST_TURN = 2  # a moment after the hello: the page has just been built
HEALTH_EVERY = 5  # frames
MIN_HEIGHT = 160
TONES = {"LIVE": "good", "SIMULATED": "good", "REPLAY": "warn", "DEGRADED": "warn", "BACKFILLING": "warn", "STALE": "bad", "REFUSED": "bad"}

Theme = Literal["auto", "dark", "light"]


class LabFrame(JSComponent):
    """One view: a line with symbol, bar lengths and health, and the chart below it."""

    chart = Child(doc="The candles.")
    symbol = param.String("", doc="Symbol shown.")
    timeframe = param.String("5m", doc="Bar length shown.")
    timeframes = param.List(default=list(TIMEFRAMES), doc="Buttons.")
    health = param.Dict(default={}, doc="text, tone, reason.")
    message = param.String("", doc="One sentence when something went wrong.")
    colours = param.Dict(default={}, doc="Theme tokens.")
    is_heard = param.Boolean(False, doc="True once the page's hello was heard.")

    _esm = HERE / "frame.js"
    _stylesheets: ClassVar[list[Path]] = [HERE / "frame.css"]

    def __init__(self, on_message: Callable[[dict[str, Any]], None], on_gone: Callable[[], None], **params: Any) -> None:
        """`on_message` hears the browser; `on_gone` is called when the last page that showed this is gone."""
        self._on_message, self._on_gone = on_message, on_gone
        super().__init__(**params)

    def _cleanup(self, root: Any = None) -> None:
        super()._cleanup(root)
        if not self._models:
            self._on_gone()

    def _handle_msg(self, message: dict[str, Any]) -> None:
        self._on_message(message)


class _View:
    """One display of a chart: its own candles, and the loop that keeps it ticking.

    Until the browser has said hello nothing is changed or sent: what reaches a page that is not there yet would be lost in part.
    From then on one thread alone touches the view: the one that the hello came on (a kernel may serve its pages on a thread beside
    the one that runs cells, so that the chart ticks while a cell computes). Others only leave word: `is_told`, `stop`.
    """

    def __init__(self, owner: LabChart) -> None:
        self._owner = owner
        self._turn = 0
        self._callback: Any = None  # in a server session
        self._page_theme: str = owner.theme
        self._drawn_last: dict[str, list[dict[str, Any]]] = {}  # levels, times, markers -> what is drawn on this view
        self.is_ticking = False
        self.is_told = True  # something changed that this view has to show
        self.model = ChartModel()
        self.look = LookModel(theme="dark" if owner.theme == "auto" else owner.theme, palette=owner.palette)
        self._copy_model()
        self.candles = CandleChart(owner.hub, self.model, self.look)
        self._draw()
        self.frame = LabFrame(
            self._on_message, self.stop, chart=self.candles, height=owner.height, sizing_mode="stretch_width",
            timeframes=list(owner.timeframes),
        )  # fmt: skip
        self._sync()
        self._tick_health()

    def start(self) -> None:
        """Begin to tick; harmless when ticking."""
        if self.is_ticking:
            return
        self._turn, self.is_ticking = 0, True
        if pn.state.curdoc is not None and pn.state.curdoc.session_context is not None:
            self._callback = pn.state.add_periodic_callback(self.tick, period=FRAME_MS)
        else:
            self._callback = asyncio.get_running_loop().create_task(self._run(), name="lab-chart")

    async def _run(self) -> None:
        """Tick, and always give the loop back: Panel's own periodic callback never does when a turn outlasts its period."""
        while self.is_ticking:
            before_ns = monotonic_ns()
            self.tick()
            spent_s = (monotonic_ns() - before_ns) / NS_PER_S
            await asyncio.sleep(max(FRAME_MS / 1000 - spent_s, spent_s * (1 / MOST_SHARE - 1)))

    def stop(self) -> None:
        """Stop for good; from any thread."""
        self.is_ticking = False
        callback, self._callback = self._callback, None
        if callback is not None and not isinstance(callback, asyncio.Task) and callback.running:
            callback.stop()
        self._owner._forget(self)

    def tick(self) -> None:
        """Bring the view up to date; an exception is counted and shown, and the next turn goes on."""
        self._turn += 1
        if self._turn < FIRST_TURN:
            return
        try:
            self.frame.is_heard = True
            if self.is_told:
                self._follow()
            self.candles.tick()
            if self._turn % HEALTH_EVERY == 0 or self._turn == FIRST_TURN:
                self._tick_health()
        except Exception as error:
            self._owner.errors += 1
            log.exception("chart: a turn failed")
            self.frame.message = f"{type(error).__name__}: {error} (turns that failed: {self._owner.errors})"
        pn.io.push_notebook(self.frame)  # patches of Bokeh sources wait for this in a notebook; a server sends them itself

    def _follow(self) -> None:
        """Show what the owner says now."""
        self.is_told = False
        self.look.theme = self._page_theme if self._page_theme in tokens.THEMES else self.look.theme
        self._copy_model()
        self._draw()
        self._sync()

    def _copy_model(self) -> None:
        shown = self._owner.model
        self.model.param.update(symbol=shown.symbol, timeframe=shown.timeframe, studies=list(shown.studies))

    def _draw(self) -> None:
        for kind, items in self._owner._drawn.items():
            if items is not self._drawn_last.get(kind):
                self._drawn_last[kind] = items
                getattr(self.candles, f"set_{kind}")(items)

    def _tick_health(self) -> None:
        state = health_of(self._owner.hub)
        self.candles.tell(state)
        text = f"{state['mode']} · {state['clock']} NY"
        shown = {"text": text, "tone": TONES.get(state["mode"], ""), "reason": f"{state['detail']} · {state['reason']}"}
        if shown != self.frame.health:
            self.frame.health = shown

    def _sync(self) -> None:
        colours = tokens.tokens(self.look.theme, self.look.palette)
        self.frame.param.update(symbol=self.model.symbol, timeframe=self.model.timeframe, colours=colours, message="")

    def _on_message(self, message: dict[str, Any]) -> None:
        kind, value = message.get("do"), str(message.get("value", ""))
        if kind == "hello":
            self._page_theme = value if self._owner.theme == "auto" else self._owner.theme
            self.start()
            return
        if kind == "bye":
            self.stop()
            free_output(self.frame)
            return
        try:
            if kind == "symbol":
                self._owner.show(symbol=value)
            elif kind == "timeframe":
                self._owner.show(timeframe=value)
        except WorkbenchError as error:
            self.frame.message = str(error)


class LabChart(pn.viewable.Viewer):
    """A live candlestick chart that displays itself in a notebook cell (and in any Panel layout).

    Parameters
    ----------
    hub : Hub                      Where bars come from; started by whoever owns it (`assemble(…).start()`).
    symbol, timeframe : str        What is shown first, e.g. "SPY", "5m". Change both with `show`.
    studies : sequence of str      Indicators, e.g. "vwap", "ema:20", "bollinger:20:2", "rsi:14".
    height : int                   Of the whole view [px], at least 160.
    theme : str                    "auto" (as the notebook's), "dark" or "light".
    """

    def __init__(
        self,
        hub: Any,
        symbol: str = "SPY",
        timeframe: str = "5m",
        *,
        studies: Sequence[str] = ("vwap",),
        height: int = 420,
        theme: Theme = "auto",
        palette: str = "teal",
        timeframes: Sequence[str] = ("1m", "3m", "5m", "15m", "1h", "4h", "1d"),
    ) -> None:
        if height < MIN_HEIGHT:
            raise ConfigError(f"height: received {height!r}; allowed: {MIN_HEIGHT} or more [px]")
        if theme not in ("auto", *tokens.THEMES):
            raise ConfigError(f"theme: received {choices(theme, ('auto', *tokens.THEMES))}")
        super().__init__()
        self.hub, self.height, self.theme, self.palette = hub, int(height), theme, palette
        self.timeframes = tuple(timeframes)
        self.errors = 0  # turns of any view that failed
        self._views: list[_View] = []
        self.model = ChartModel(studies=list(studies))
        self.model.param.watch(lambda *_: self._tell(), ["symbol", "timeframe", "studies"])
        self._drawn: dict[str, list[dict[str, Any]]] = {}  # levels, times, markers -> what is drawn on every view
        self.show(symbol, timeframe)

    # -- what it shows -----------------------------------------------------------------------------------------------------

    def show(self, symbol: str | None = None, timeframe: str | None = None) -> None:
        """Change symbol and timeframe of every view; SymbolError or TimeframeError when there is no such thing."""
        if symbol is not None:
            wanted = ChartModel()
            wanted.show(symbol)
            self.hub.watch(wanted.symbol)
        self.model.show(symbol, timeframe)

    def set_levels(self, levels: Sequence[dict[str, Any]]) -> None:
        """Draw horizontal levels: dicts with `price`, and optionally `label`, `colour` (a token)."""
        self._draw("levels", levels)

    def set_times(self, times: Sequence[dict[str, Any]]) -> None:
        """Draw vertical markers: dicts with `ts_ns`, and optionally `label`, `colour`."""
        self._draw("times", times)

    def set_markers(self, markers: Sequence[dict[str, Any]]) -> None:
        """Draw entries and exits: dicts with `ts_ns`, `price`, `side`, and optionally `qty` and `text`."""
        self._draw("markers", markers)

    def _draw(self, kind: str, items: Sequence[dict[str, Any]]) -> None:
        self._drawn[kind] = list(items)
        self._tell()

    def _tell(self) -> None:
        for view in self._views:
            view.is_told = True

    # -- displaying --------------------------------------------------------------------------------------------------------

    @property
    def is_ticking(self) -> bool:
        """True while at least one view is on screen."""
        return any(view.is_ticking for view in self._views)

    def stop(self) -> None:
        """Stop every view; what is on screen stays as it is. Harmless when none ticks."""
        for view in list(self._views):
            view.stop()

    def _forget(self, view: _View) -> None:
        self._views = [held for held in self._views if held is not view]

    def __panel__(self) -> LabFrame:
        view = _View(self)
        self._views.append(view)
        return view.frame

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        prepare()
        return self.__panel__()._repr_mimebundle_(include, exclude)

    def __repr__(self) -> str:
        return f"<LabChart {self.model.symbol} {self.model.timeframe}, {len(self._views)} on screen>"


def chart(hub: Any, symbol: str = "SPY", timeframe: str = "5m", **options: Any) -> LabChart:
    """Return a live chart of `symbol` at `timeframe` that displays itself in a notebook cell; options as of `LabChart`."""
    return LabChart(hub, symbol, timeframe, **options)
