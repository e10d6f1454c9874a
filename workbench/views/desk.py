"""The desk: charts, watchlist and health strip on one page, with the keyboard, and what is remembered of it.

One `Desk` per browser session. All its views are read in one periodic callback; an exception in it is counted and shown, and
the next turn goes on. Floor 8.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import Child, Children, JSComponent

from workbench.errors import StoreError, SymbolError, TimeframeError, WorkbenchError
from workbench.types import TIMEFRAMES, check_symbol
from workbench.views import theme
from workbench.views.chart import CandleChart
from workbench.views.contracts import ShownContracts
from workbench.views.dock import TABS, Dock
from workbench.views.docked import kept_board
from workbench.views.health_strip import HealthStrip
from workbench.views.labels import label_of
from workbench.views.models import ChartModel, LookModel, Selection, WatchlistModel, normal_symbol
from workbench.views.notes import unfit_timeframes
from workbench.views.shelf import Shelf
from workbench.views.studies import parse_study
from workbench.views.watchlist import Watchlist

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
FRAME_MS = 50
BOARD_EVERY, HEALTH_EVERY, DOCK_EVERY = 5, 5, 2  # frames
ASLEEP_FRAMES = 20  # without a sign of painting: the tab is hidden or frozen
CHART_PREFS = ("symbol", "timeframe", "studies", "is_regular_only")  # remembered of each chart
LAYOUTS = (1, 2, 4)  # charts on one page
LAYOUT_TIMEFRAMES = ("5m", "1m", "15m", "1d")  # of the first to fourth chart
STUDY_CHOICES = (
    ("vwap", "VWAP and bands"),
    ("ema:9", "EMA 9"),
    ("ema:20", "EMA 20"),
    ("ema:50", "EMA 50"),
    ("sma:50", "SMA 50"),
    ("sma:200", "SMA 200"),
    ("bollinger:20:2", "Bollinger 20, 2"),
    ("rsi:14", "RSI 14"),
    ("macd:12:26:9", "MACD 12, 26, 9"),
    ("atr:14", "ATR 14"),
)


class DeskShell(JSComponent):
    """The page: where the views stand, top bar, drawer, keyboard, messages. It knows nothing of markets."""

    charts = Children(doc="One, two or four charts.")
    watchlist = Child(doc="Left column.")
    strip = Child(doc="Right end of the top bar, and the replay row.")
    docked = Children(doc="Right column: the view of the tab that is open, or nothing.")
    dock = param.String("", doc="Tab of the right column that is open; '' while it is closed.")
    tabs = param.List(default=[[tab.name, tab.title, tab.key] for tab in TABS], doc="Tabs of the right column: name, title, key.")
    active = param.Integer(0, doc="Chart that the top bar speaks of.")
    symbol = param.String("", doc="Symbol of the active chart.")
    label = param.String("", doc="The same, as people say it.")
    timeframe = param.String("5m", doc="Bar length of the active chart.")
    timeframes = param.List(default=list(TIMEFRAMES), doc="Buttons.")
    studies = param.List(default=[], doc="Studies of the active chart.")
    is_regular_only = param.Boolean(False, doc="Whether the active chart leaves out pre-market and after-hours.")
    choices = param.List(default=[list(item) for item in STUDY_CHOICES], doc="Studies offered: name, label.")
    theme = param.String("dark")
    palette = param.String("teal")
    colours = param.Dict(default={}, doc="Theme tokens.")
    unfit = param.Dict(default={}, doc="Timeframe -> why the symbol can't be shown so.")
    greeting = param.String("", doc="One sentence for whoever opens the page.")
    health = param.Dict(default={}, doc="For the drawer and the frame.")
    layout = param.Integer(1, doc="How many charts are shown.")
    drawer = param.Boolean(False, doc="Whether the drawer is open.")
    widths = param.Dict(default={}, doc="Widths of the watchlist and the right column, height of the drawer [px].")

    _esm = STATIC / "desk.js"
    _render_policy = "manual"
    _stylesheets = [STATIC / "desk.css"]

    def __init__(self, **params: Any) -> None:
        self.on_message: Callable[[dict[str, Any]], None] | None = None
        super().__init__(sizing_mode="stretch_both", **params)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if self.on_message is not None:
            self.on_message(message)

    def say(self, text: str) -> None:
        """Show one sentence for a few seconds."""
        self._send_msg({"say": text})


class Desk:
    """All views of one browser session over one hub."""

    def __init__(self, hub: Any, shelf: Shelf | None = None, query: Mapping[str, str] | None = None) -> None:
        """`query` is what the address asks for: symbol, tf, theme, dock (the tab of the right column, '' for none)."""
        self.hub, self.shelf = hub, shelf or Shelf(None)
        self.errors = 0
        self._last_error = self._greeting = ""
        self._turn = self._behind = 0
        self._is_met = False  # whether the page stands: what is sent to one that is being built can be lost
        self._callback: Any = None
        self._version = self.shelf.version
        kept = self.shelf.read("prefs", {})
        self.look = LookModel(**_allowed(LookModel, {**kept, **(query or {})}))
        self.watched = WatchlistModel(symbols=self._first_symbols())
        self.contracts = ShownContracts(hub, self._is_kept)
        self.models = [ChartModel()]
        self._restore_charts(kept, query or {})
        self.selection = Selection()
        self.dock = Dock(hub, self.selection, self.shelf, on_levels=self._show_all_levels)
        self.charts = [self._new_chart(model) for model in self.models]
        self.list_view = Watchlist(hub, self.watched, self._select)
        self.strip = HealthStrip(hub)
        self.shell = DeskShell(
            charts=list(self.charts), watchlist=self.list_view, strip=self.strip, layout=len(self.charts),
            drawer=bool(kept.get("drawer", False)), widths=_sizes(kept.get("widths")), greeting=self._greeting,
        )  # fmt: skip
        self.shell.on_message = self._on_message
        self._follow()
        self._sync()
        self._open_dock((query or {}).get("dock", kept.get("dock")))

    # -- running -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick in the present session, until it ends."""
        self._callback = pn.state.add_periodic_callback(self.tick, period=FRAME_MS)
        pn.state.on_session_destroyed(lambda _: self.stop())

    def stop(self) -> None:
        """Stop ticking; harmless when stopped."""
        callback, self._callback = self._callback, None
        if callback is not None and callback.running:
            callback.stop()
        self.dock.stop()
        self.contracts.show(())

    def tick(self) -> None:
        """Bring every view up to date. A tab that sleeps gets nothing: an hour of messages would have to be worked off on waking."""
        self._turn += 1
        with pn.io.unlocked():
            for chart in self.charts:
                self._guarded(chart.tick)
            self._behind = self._behind + 1 if any(chart.is_behind for chart in self.charts) else 0
            if self._behind > ASLEEP_FRAMES:
                return
            if self._is_met and self._turn % DOCK_EVERY == 0:
                self._guarded(self.dock.tick)
            if self._turn % BOARD_EVERY == 0:
                self._guarded(self.list_view.tick)
            if self._turn % HEALTH_EVERY == 2:
                self._guarded(self._tick_health)
                self._guarded(self._follow_others)

    def _guarded(self, work: Callable[[], Any]) -> None:
        """Run one view's turn; its exception is counted and shown, and the others go on."""
        try:
            work()
        except Exception as error:
            self.errors += 1
            if str(error) != self._last_error:  # once: at twenty turns a second the same line would fill the disk
                log.exception("desk: a view failed")
                self._last_error = str(error)
                self.shell.say(f"A view failed ({type(error).__name__}: {error}); it is tried again. Failures so far: {self.errors}")

    def _tick_health(self) -> None:
        self.strip.tick()
        state = self.strip.state
        self.shell.health = {**state, "playback": self.strip.playback, "desk_errors": self.errors}
        speed = 0.0 if self.strip.playback.get("is_paused") else self.strip.playback.get("speed", 1.0)
        for chart in self.charts:
            chart.tell(state, speed)

    # -- charts ------------------------------------------------------------------------------------------------------------

    @property
    def active(self) -> ChartModel:
        """The chart that keys and buttons speak to."""
        return self.models[min(self.shell.active, len(self.models) - 1)]

    def _new_chart(self, model: ChartModel) -> CandleChart:
        model.param.watch(lambda *_: self._show_contracts(), ["symbol"])  # before the chart asks for it
        chart = CandleChart(self.hub, model, self.look)
        chart.on_levels = lambda levels, model=model: self._keep_levels(model, levels)
        self._show_levels(chart, model)
        model.param.watch(lambda *_: self._show_levels(chart, model), ["symbol"])
        model.param.watch(lambda *_: self._sync(), ["symbol", "timeframe", "studies", "is_regular_only"])
        return chart

    def _show_levels(self, chart: CandleChart, model: ChartModel) -> None:
        """Show levels drawn by hand, and on the underlying's chart those of the right column."""
        carried = self.dock.levels if model.symbol == self.selection.underlying else []
        chart.set_levels([*({**level, "is_own": True} for level in self.shelf.levels(model.symbol)), *carried])

    def _show_all_levels(self) -> None:
        for chart, model in zip(self.charts, self.models, strict=True):
            self._show_levels(chart, model)

    def _show_contracts(self) -> None:
        """Say which contracts stand on the charts: one that no screen shows any more is let go."""
        self.contracts.show(model.symbol for model in self.models)

    def _is_kept(self, symbol: str) -> bool:
        return symbol in self.watched.symbols or symbol in kept_board(self.hub, self.shelf)

    def _keep_levels(self, model: ChartModel, levels: list[dict[str, Any]]) -> None:
        own = [{name: level[name] for name in ("id", "price", "label")} for level in levels if level.get("is_own")]
        self._store(lambda: self.shelf.keep_levels(model.symbol, own))
        for chart, other in zip(self.charts, self.models, strict=True):
            if other is not model and other.symbol == model.symbol:
                self._show_levels(chart, other)

    def _set_layout(self, count: int) -> None:
        count = count if count in LAYOUTS else 1
        while len(self.models) < count:
            model = ChartModel(symbol=self.active.symbol, timeframe=LAYOUT_TIMEFRAMES[len(self.models)])
            self._fit(model)
            self.models.append(model)
            self._show_contracts()
            self.charts.append(self._new_chart(model))
        del self.models[count:], self.charts[count:]
        self._show_contracts()
        self.shell.param.update(charts=list(self.charts), layout=count, active=min(self.shell.active, count - 1))

    def _show(self, symbol: str | None = None, timeframe: str | None = None) -> None:
        """Change the active chart; the symbol is linked, every chart follows."""
        self.active.show(symbol, timeframe)
        for model in self.models:
            if model is not self.active and model.symbol != self.active.symbol:
                model.show(self.active.symbol)

    def _follow_selection(self) -> None:
        """Show what was selected in the right column on the active chart; the others stay, so that the underlying can stand beside it."""
        if self.active.symbol != self.selection.symbol:
            self.active.show(self.selection.symbol)
            self._keep_prefs()
        self._show_all_levels()

    def _open_dock(self, name: Any) -> None:
        """Open a tab of the right column; '' or one that there is not closes it."""
        view = self.dock.show(str(name or ""))
        self.shell.param.update(docked=[] if view is None else [view], dock=self.dock.shown)

    def _select(self, symbol: str) -> None:
        self._show(symbol=symbol)
        self._keep_prefs()

    # -- what the page says ------------------------------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        try:
            self._do(str(message.get("do")), message)
        except WorkbenchError as error:
            self.shell.say(str(error))
        except Exception as error:  # a click that does nothing and says nothing would look like a dead desk
            self.errors += 1
            log.exception("desk: a command of the page failed")
            self.shell.say(f"That failed ({type(error).__name__}: {error}). Failures so far: {self.errors}")

    def _do(self, kind: str, message: dict[str, Any]) -> None:
        value = message.get("value")
        if kind in ("ready", "docked"):
            self._is_met = True
            return
        if kind == "symbol":
            self._show(symbol=str(value))
        elif kind == "timeframe":
            if str(value) in self._unfit():
                raise TimeframeError(self._unfit()[str(value)])
            self._show(timeframe=str(value))
        elif kind == "study":
            self._toggle_study(**dict(value or {}))
        elif kind == "regular":
            self.active.is_regular_only = bool(value)
        elif kind == "look":
            self.look.param.update(**_allowed(LookModel, dict(value or {})))
        elif kind == "step":
            neighbour = self.watched.neighbour(self.active.symbol, int(value or 0))
            if neighbour is not None:
                self._show(symbol=neighbour)
        elif kind == "layout":
            self._set_layout(int(value or 1))
        elif kind == "active":
            self.shell.active = max(0, min(int(value or 0), len(self.models) - 1))
        elif kind == "drawer":
            self.shell.drawer = bool(value)
        elif kind == "dock":
            self._open_dock(value)
        elif kind == "widths":
            self.shell.widths = _sizes(value)
        elif kind == "play":
            self.strip._handle_msg(dict(value or {}))
        if kind != "play":
            self._sync()
            self._keep_prefs()

    def _sync(self) -> None:
        """Tell the page what its own controls have to show."""
        if not hasattr(self, "shell"):
            return
        self.list_view.selected = self.active.symbol
        with contextlib.suppress(WorkbenchError):  # what is no symbol is said by the chart
            self.selection.select(self.active.symbol)
        colours = theme.tokens(self.look.theme, self.look.palette)
        self.shell.param.update(
            symbol=self.active.symbol, label=label_of(self.active.symbol),
            timeframe=self.active.timeframe, studies=list(self.active.studies), is_regular_only=self.active.is_regular_only,
            unfit=self._unfit(), theme=self.look.theme, palette=self.look.palette, colours=colours,
        )  # fmt: skip

    def _toggle_study(self, name: str, is_on: bool) -> None:  # one at a time: of two quick clicks neither can undo the other
        parse_study(name)
        self.active.studies = [held for held in self.active.studies if held != name] + [name] * bool(is_on)

    def _unfit(self) -> dict[str, str]:
        return unfit_timeframes(self.hub.source_info, self.active.symbol)

    def _fit(self, model: ChartModel) -> None:
        """Choose the shortest timeframe that the recorded bars allow, where they do not allow the one chosen."""
        unfit = unfit_timeframes(self.hub.source_info, model.symbol)
        if model.timeframe in unfit and len(unfit) < len(TIMEFRAMES):
            model.timeframe = next(label for label in TIMEFRAMES if label not in unfit)

    # -- what is remembered ------------------------------------------------------------------------------------------------

    def _first_symbols(self) -> list[str]:
        kept = [symbol for symbol in self.shelf.read("watchlist", []) if isinstance(symbol, str)]
        if self.shelf.knows("watchlist"):
            return kept
        watched = self.hub.watched()
        return [symbol for symbol in watched if not symbol.startswith("O:")] or list(watched)  # contracts come from chains, by hundreds

    def _restore_charts(self, kept: dict[str, Any], query: Mapping[str, str]) -> None:
        charts = kept.get("charts") if isinstance(kept.get("charts"), list) else []
        for i, item in enumerate(charts[: max(n for n in LAYOUTS if n <= max(1, len(charts)))]):
            if i:
                self.models.append(ChartModel())
            self.models[i].param.update(**_allowed(ChartModel, item if isinstance(item, dict) else {}))
            self.models[i].studies = [name for name in self.models[i].studies if _is_study(name)]
        if not charts and self.watched.symbols:
            self.models[0].symbol = self.watched.symbols[0]
        if "symbol" in query:
            self.models[0].symbol = normal_symbol(query["symbol"])
        if "tf" in query:
            try:
                self.models[0].show(timeframe=query["tf"])
            except TimeframeError as error:
                self._greeting = f"{error}; {self.models[0].timeframe} is shown"
        self._show_contracts()
        for model in self.models:
            self._replace_unknown(model)
            self._fit(model)

    def _replace_unknown(self, model: ChartModel) -> None:
        """Show the first symbol watched in place of one that there is not."""
        first = next(iter(self.hub.watched()), None)
        try:
            check_symbol(model.symbol)
            if model.symbol not in self.hub.watched():
                self.hub.watch(model.symbol)
        except SymbolError:  # anything else is said by the chart itself
            if first is None:
                return
            self._greeting = f"There is no symbol {model.symbol!r} in source {self.hub.source_info.name!r}; {first} is shown instead"
            model.symbol = first

    def _follow(self) -> None:
        self.watched.param.watch(lambda *_: self._store(lambda: self.shelf.write("watchlist", self.watched.symbols)), ["symbols"])
        self.look.param.watch(lambda *_: self._sync(), ["theme", "palette"])
        self.selection.param.watch(lambda *_: self._follow_selection(), ["underlying", "contract"])

    def _follow_others(self) -> None:
        """Take over what another window changed: levels and the watchlist are the same on every screen.

        A desk that was opened before its hub could be reached has an empty list: it shows what the hub follows once that is known.
        """
        if not self.watched.symbols and not self.shelf.knows("watchlist") and self.hub.watched():
            self.watched.symbols = self._first_symbols()
        if self._version == self.shelf.version:
            return
        self._version = self.shelf.version
        for chart, model in zip(self.charts, self.models, strict=True):
            shown = [(level["id"], level["price"]) for level in chart.levels if level.get("is_own")]
            if shown != [(level["id"], level["price"]) for level in self.shelf.levels(model.symbol)]:
                self._show_levels(chart, model)
        if self.shelf.knows("watchlist"):
            self.watched.symbols = self._first_symbols()

    def _keep_prefs(self) -> None:
        prefs = {
            "theme": self.look.theme, "palette": self.look.palette, "drawer": self.shell.drawer, "widths": self.shell.widths,
            "dock": self.dock.shown,
            "charts": [{name: getattr(model, name) for name in CHART_PREFS} for model in self.models],
        }  # fmt: skip
        self._store(lambda: self.shelf.write("prefs", prefs))

    def _store(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StoreError as error:
            self.shell.say(str(error))


def _sizes(value: Any) -> dict[str, int]:
    """Return the sizes [px] among what a page or an old file says."""
    items = value.items() if isinstance(value, dict) else ()
    return {str(name): int(size) for name, size in items if isinstance(size, (int, float)) and 0 <= size < 10_000}


def _is_study(name: str) -> bool:
    try:
        parse_study(name)
    except WorkbenchError:
        return False
    return True


def _allowed(model: type[param.Parameterized], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `values` that are parameters of `model` and valid; what an old file or an address holds may be neither."""
    good: dict[str, Any] = {}
    for name, value in values.items():
        if name not in model.param or name == "name":
            continue
        try:
            model.param[name]._validate(value)
        except (ValueError, TypeError):
            continue
        good[name] = value
    return good
