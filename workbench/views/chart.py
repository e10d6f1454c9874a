"""A live candlestick chart: one Bokeh figure per pane, drawn from two sources of its own.

`history` holds the closed bars of the visible window and a margin; `live` holds the last closed bar and the one or two that
are forming, and is patched at most once a frame. x is the bar's place, so nights and weekends leave no holes. What the
browser does at once (zoom, pan, scale, crosshair, pixel-exact candles) is in `static/chart.js`; what needs data comes back as a
message. A generation number guards every load: what belongs to an earlier symbol or timeframe is dropped.

Floor 8. All methods run on the session's own thread; slow history runs in other threads and is collected by the next `tick`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn
import param
from bokeh.core.property.validation import without_property_validation
from bokeh.models import ColumnDataSource, GlyphRenderer, Range1d
from bokeh.plotting import figure
from panel.custom import Child, Children, JSComponent

from workbench.errors import WorkbenchError
from workbench.hub.series import Cursor, Update
from workbench.types import NS_PER_S, Timeframe
from workbench.views import theme
from workbench.views.figures import TIME_AXIS_PX, draw_line, pane_figure, price_figure
from workbench.views.labels import decimals_of, label_of
from workbench.views.models import ChartModel, LookModel
from workbench.views.notes import history_note, unfit_timeframes
from workbench.views.studies import Study, make_studies
from workbench.views.window import EMPTY, BarWindow, Change, columns, is_regular, thin

STATIC = Path(__file__).parent / "static"
FIRST_BARS = 600  # sent when a chart opens: what fits the screen and a margin
MAX_SENT = 1600  # closed bars a browser may hold before the window is cut again
OLDER_BARS = 1500  # asked for at once when panning back
MAX_UNSEEN = 20  # frames under way to a browser that has not painted yet; then frames are skipped until it has
MAX_STRANGE = 2  # words running, a second apart: one may have been under way; twice as many after each answer that did not help
MOST_PATIENCE = 64
PATIENCE_S = 0.03  # how long opening waits for a hub that has the bars, so that a switch is one step
LIVE_COLUMNS = ("now", "count", "n")
READING_S = 0.1  # how often older bars look whether the hub still reads the same symbol
_OPENS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="chart-open")
_OLDER = ThreadPoolExecutor(max_workers=4, thread_name_prefix="chart-older")  # apart: a switch never waits behind a long read


class CandleChart(JSComponent):
    """Candles of `model.symbol` at `model.timeframe`, ticking with the hub. Call `tick()` from one periodic callback."""

    price = Child(doc="The figure with the candles.")
    panes = Children(doc="Figures of oscillators, below it.")
    meta = param.Dict(default={}, doc="What is shown: generation, symbol, label, timeframe, decimals, state, message.")
    extent = param.List(default=[0, 1], doc="Place of the oldest bar held by the server; 1 while older ones may exist.")
    status = param.Dict(default={}, doc="Health of the data: mode, age_s, reason, speed, is_reading.")
    notes = param.List(default=[], doc="Sentences shown on the chart as long as they hold.")
    legend = param.List(default=[], doc="Lines of the studies: column, label, colour, pane.")
    levels = param.List(default=[], doc="Horizontal levels: id, price, label, colour, is_own.")
    times = param.List(default=[], doc="Vertical markers: ts [s UTC], label, colour.")
    markers = param.List(default=[], doc="Entries and exits: ts [s UTC], price, side, text.")
    colours = param.Dict(default={}, doc="Theme tokens.")

    _esm = STATIC / "chart.js"
    _render_policy = "manual"  # panes come and go without building the page part anew
    _stylesheets = [STATIC / "chart.css"]

    def __init__(self, hub: Any, model: ChartModel, look: LookModel | None = None, **params: Any) -> None:
        self._hub, self._model, self._look = hub, model, look or LookModel()
        self.window = BarWindow()
        self.generation = 0
        self.errors = 0  # exceptions that were caught by the owner's loop; shown in the health tab
        self.on_levels: Callable[[list[dict[str, Any]]], None] | None = None  # told when a person drew or moved levels
        self._cursor: Cursor | None = None
        self._load: Future[Any] | None = None
        self._older: Future[Any] | None = None
        self._older_trouble = ""  # why older bars could not be read when they were last asked for
        self._sent = (0, 0, 1)  # first place, place after the last, k
        self._frame = self._seen = 0
        self._n_strange, self._patience = 0, MAX_STRANGE  # times running that the page said it holds something else, and how many are borne
        self._word = (0, 0)  # frame that the page held, and frame sent, at its last word
        self._study_values: dict[str, np.ndarray] = {}
        self._history = ColumnDataSource(data={})
        self._live = ColumnDataSource(data={})
        self._range = Range1d(0, 100)
        self._sources = (self._history, self._live)
        self._drawn: dict[str, list[GlyphRenderer]] = {}  # column of an overlay -> its renderers on the price figure
        self._panes: dict[str, pn.pane.Bokeh] = {}  # study -> its pane, kept when taken off
        self._studies: list[Study] = self._make_studies()
        self._clear_sources()
        self._figure = price_figure(self._history, self._live, self._range, self._tokens)
        pane = pn.pane.Bokeh(self._figure, sizing_mode="stretch_both", theme=None)
        super().__init__(price=pane, colours=self._tokens, sizing_mode="stretch_both", **params)
        self._draw_studies()
        model.param.watch(lambda *_: self.open(), ["symbol", "timeframe", "is_regular_only"])
        model.param.watch(lambda *_: self._restudy(), ["studies"])
        self._look.param.watch(lambda *_: self._restyle(), ["theme", "palette"])
        self.open()

    # -- opening a symbol or timeframe -------------------------------------------------------------------------------------

    def open(self) -> None:
        """Show what the model says; at once when the hub holds it, else as soon as its history is here."""
        self.generation += 1
        if self._older is not None:
            self._older.cancel()
        self._cursor = self._older = None
        self._older_trouble = ""
        load = self._load = _OPENS.submit(_watch, self._hub, self._model.symbol, self._model.timeframe)
        wait([load], timeout=PATIENCE_S)
        if load.done():
            self._collect_load(load)
        else:
            self.meta = self._describe("loading", f"Loading {label_of(self._model.symbol)} …")

    def _opened(self, cursor: Cursor) -> None:
        self._cursor = cursor
        update = cursor.read()
        self.window.reset(self._shown(update.rows), self._shown(update.forming))
        self._begin()

    def _shown(self, rows: np.ndarray | None) -> np.ndarray | None:
        """Return the bars that this chart shows: all, or those of regular hours."""
        if rows is None or not self._model.is_regular_only or not Timeframe.parse(self._model.timeframe).is_intraday:
            return rows
        return rows[is_regular(rows, self._hub.calendar)]

    def _begin(self) -> None:
        """Show the window from its newest bar on, as a chart of its own: new generation, new places, newest bar at the right."""
        self._studies = self._make_studies()
        self._recalculate()
        with pn.io.unlocked():
            self.extent = [self.window.base, 1]
            self._send_window(self.window.end - FIRST_BARS, self.window.end, 1)
            self._send_live()
            self._look_at_history()
            self.meta = self._describe("ready" if self._has_bars else "empty", "")

    @property
    def _has_bars(self) -> bool:
        return bool(len(self.window) or len(self.window.forming))

    def _describe(self, state: str, message: str) -> dict[str, Any]:
        frame = Timeframe.parse(self._model.timeframe)
        return {
            "generation": self.generation,
            "symbol": self._model.symbol,
            "label": label_of(self._model.symbol),
            "timeframe": frame.label,
            "is_intraday": frame.is_intraday,
            "decimals": decimals_of(self.window.rows["close"][-1] if len(self.window) else math.nan),
            "source": self._hub.source_info.name,
            "state": state,
            "message": message,
        }

    # -- how far to trust it -----------------------------------------------------------------------------------------------

    def tell(self, state: dict[str, Any], speed: float = 1.0) -> None:
        """Show how the feed is: `state` as of `health_of`; `speed` is the market's, in market seconds a second."""
        age_s = state["age_s"] and round(state["age_s"])
        self.status = {**self.status, "mode": state["mode"], "age_s": age_s, "reason": state["reason"], "speed": speed}
        self._look_at_history()

    def _look_at_history(self) -> None:
        """Show whether history is being read, and what is to be said of it."""
        symbol, timeframe = self._model.symbol, self._model.timeframe
        health = self._hub.health(symbol)
        self.status = {**self.status, "is_reading": bool(health.backfilling)}
        unfit = unfit_timeframes(self._hub.source_info, symbol).get(timeframe, "")
        self.notes = [note for note in (unfit, history_note(symbol, health.history_trouble), self._older_trouble) if note]

    # -- every frame -------------------------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """True while the browser has not painted what was sent: a tab that is hidden, frozen or busy. It gets the newest when it has."""
        return self._frame - self._seen > MAX_UNSEEN

    def tick(self) -> bool:
        """Read what is new and send at most one patch; False when there was nothing to do or the browser is behind."""
        if self._load is not None and self._load.done():
            self._collect_load(self._load)
        if self._older is not None and self._older.done():
            self._collect_older(self._older)
        cursor = self._cursor
        if cursor is None or not cursor.has_news or self.is_behind:
            return False
        self._apply(cursor.read())
        return True

    def _apply(self, update: Update) -> None:
        if update.is_gap:
            self.generation += 1
            self.window.reset(self._shown(update.rows), self._shown(update.forming))
            self._begin()
            return
        end = self.window.end
        change = self.window.merge(self._shown(update.rows))
        self.window.set_forming(self._shown(update.forming))
        if self.meta["state"] == "empty":
            if self._has_bars:  # a frame without bars would never be painted, thus never acknowledged
                self._begin()
            return
        with pn.io.unlocked():
            if change is not Change.NOTHING:
                self._recalculate()
                self._send_changed(change, end)
            self._send_live()

    def _send_changed(self, change: Change, old_end: int) -> None:
        first, stop, k = self._sent
        follows = stop >= old_end
        if change is Change.APPENDED and not follows:
            return
        is_small = self.window.end - first <= MAX_SENT
        if change is Change.APPENDED and k == 1 and is_small and len(self._history.data["x"]):
            self._history.stream(self._columns(old_end, self.window.end, 1))
            self._sent = (first, self.window.end, k)
            return
        if change is Change.REBUILT:
            self.extent = [self.window.base, self.extent[1]]
        last = self.window.end if follows else stop
        self._send_window(first if is_small else last - FIRST_BARS * k, last, k)

    def _collect_load(self, load: Future[Any]) -> None:
        self._load = None
        try:
            self._opened(load.result())
        except WorkbenchError as error:
            self._clear_sources()
            self.meta = self._describe("error", str(error))
        except Exception as error:  # noqa: BLE001 - whatever a provider's client raises, the desk stays up and says so
            self.errors += 1
            self._clear_sources()
            self.meta = self._describe("error", f"{self._model.symbol} can't be loaded: {type(error).__name__}: {error}")

    # -- older history -----------------------------------------------------------------------------------------------------

    def _ask_older(self) -> None:
        if self._older is not None or not self.extent[1] or not len(self.window):
            return
        before_ns, generation = int(self.window.rows["ts_open"][0]), self.generation
        self._older = _OLDER.submit(
            _read_older, self._hub, self._model.symbol, self._model.timeframe, before_ns, generation, lambda: generation == self.generation
        )

    def _collect_older(self, load: Future[Any]) -> None:
        self._older = None
        try:
            generation, rows = load.result()
        except Exception as error:  # noqa: BLE001 - older bars are a convenience; what is on screen stays
            self.errors += 1
            self._older_trouble = f"Older bars can't be read: {error}; move the chart back again to retry"
            self._look_at_history()
            return
        self._older_trouble = ""
        if generation != self.generation:
            return
        taken = self.window.prepend(self._shown(rows))
        self._recalculate()
        first, stop, k = self._sent
        with pn.io.unlocked():
            self.extent = [self.window.base, 1 if taken else 0]
            if taken and first - FIRST_BARS * k < self.window.base + taken:
                self._send_window(min(first, stop - FIRST_BARS * k), stop, k)

    # -- sending -----------------------------------------------------------------------------------------------------------

    def _columns(self, start: int, stop: int, k: int) -> dict[str, np.ndarray]:
        """Return the browser's columns for places [start, stop), thinned by k."""
        a, b = max(0, start - self.window.base), max(0, stop - self.window.base)
        rows = self.window.rows[a:b]
        data = columns(rows, self.window.base + a, self._hub.calendar)
        data.update({name: values[a:b] for name, values in self._study_values.items()})
        return thin(data, k)

    def _send_window(self, start: float, stop: float, k: int) -> None:
        first = max(self.window.base, int(math.floor(start)))
        if k > 1:  # whole groups only, so that a group never shows half of its bars
            first = max(self.window.base, first // k * k)
        last = min(self.window.end, max(first, int(math.ceil(stop))))
        self._history.data = self._columns(first, last, k)
        self._sent = (first, last, k)

    @without_property_validation  # a third of a tick's time, and the columns are ours
    def _send_live(self) -> None:
        """Patch what changed of the forming bars; replace them when there are others now."""
        data = self._live_columns()
        old = self._live.data
        self._frame += bool(len(data["x"]))
        data["n"] = np.zeros(len(data["x"]))
        data["n"][:1] = self._frame
        if set(old) != set(data) or len(old["x"]) != len(data["x"]) or not np.array_equal(old["ts"], data["ts"]):
            self._live.data = data
            return
        self._live.patch(_changes(old, data))

    def _live_columns(self) -> dict[str, np.ndarray]:
        window = self.window
        last = window.rows[-1:]
        rows = np.concatenate([last, window.forming])
        data = columns(rows, window.end - len(last), self._hub.calendar)
        for name, values in self._study_values.items():
            data[name] = np.full(len(rows), np.nan)
            data[name][: len(last)] = values[-1:]
        for study in self._studies:
            for name, values in study.peek(window.forming).items():
                data[name][len(last) :] = values
        data["now"] = np.zeros(len(rows))
        data["now"][-1:] = self._hub.clock.now_ns() / NS_PER_S
        data["count"] = np.full(len(rows), float(len(window)))
        return data

    def _clear_sources(self) -> None:
        self.window.reset(self.window.rows[:0])
        self._recalculate()
        self._history.data = self._columns(0, 0, 1)
        self._live.data = {**self._live_columns(), "n": np.zeros(0)}
        self._sent = (0, 0, 1)

    # -- studies and look --------------------------------------------------------------------------------------------------

    def _make_studies(self) -> list[Study]:
        return make_studies(self._model.studies, self._hub.calendar, is_intraday=Timeframe.parse(self._model.timeframe).is_intraday)

    def _recalculate(self) -> None:
        """Compute the study columns; those of studies taken off stay as NaN, so that no drawn line ever lacks its column."""
        values = {name: np.full(len(self.window), np.nan) for name in self._study_values}
        for study in self._studies:
            values.update(study.load(self.window.rows))
        self._study_values = values

    def _restudy(self) -> None:
        """Draw other studies over the same bars."""
        self._studies = self._make_studies()
        self._recalculate()
        with pn.io.unlocked():
            self._send_window(*self._sent)
            self._live.data = {**self._live_columns(), "n": self._live.data["n"]}
            self._draw_studies()

    def _draw_studies(self) -> None:
        """Show the lines of the present studies, hide those of others, put oscillators into panes of their own."""
        shown = {line.column for study in self._studies if study.is_overlay for line in study.lines}
        for column, renderers in self._drawn.items():
            for renderer in renderers:
                renderer.visible = column in shown
        for study in self._studies:
            for line in study.lines if study.is_overlay else ():
                if line.column not in self._drawn:
                    self._drawn[line.column] = draw_line(self._figure, line, self._sources, self._tokens)
        own = [study for study in self._studies if not study.is_overlay]
        for study in own:
            if study.name not in self._panes:
                plot = pane_figure(study, self._sources, self._range, self._tokens)
                self._panes[study.name] = pn.pane.Bokeh(plot, sizing_mode="stretch_both", theme=None)
        panes = [self._panes[study.name] for study in own]
        self._show_time_axis([self._figure, *(pane.object for pane in panes)])
        if panes != self.panes:
            self.panes = panes
        self.legend = [
            {
                "column": line.column, "label": line.label, "colour": line.colour, "is_histogram": line.is_histogram,
                "pane": own.index(study) if study in own else -1, "guides": list(study.guides),
            }
            for study in self._studies
            for line in study.lines
        ]  # fmt: skip

    @staticmethod
    def _show_time_axis(figures: list[figure]) -> None:
        """Show the times below the lowest pane only."""
        for plot in figures:
            is_lowest = plot is figures[-1]
            plot.xaxis.visible = is_lowest
            plot.min_border_bottom = TIME_AXIS_PX if is_lowest else 0

    @property
    def _tokens(self) -> dict[str, str]:
        return theme.tokens(self._look.theme, self._look.palette)

    def _restyle(self) -> None:
        colours = self._tokens
        with pn.io.unlocked():
            for plot in (self._figure, *(pane.object for pane in self._panes.values())):
                theme.style_figure(plot, colours)
            lines = {line.column: line for study in self._studies for line in study.lines}
            for plot in (self._figure, *(pane.object for pane in self._panes.values())):
                for renderer in plot.renderers:
                    if renderer.name in lines and not lines[renderer.name].is_histogram:
                        renderer.glyph.line_color = colours[lines[renderer.name].colour]
            self.colours = colours

    # -- levels and markers ------------------------------------------------------------------------------------------------

    def set_levels(self, levels: Sequence[dict[str, Any]]) -> None:
        """Draw horizontal levels: dicts with `price`, and optionally `id`, `label`, `colour` (a token), `is_own` (drawn by hand)."""
        self.levels = [{"id": f"l{i}", "label": "", "colour": "accent", "is_own": False, **level} for i, level in enumerate(levels)]

    def set_times(self, times: Sequence[dict[str, Any]]) -> None:
        """Draw vertical markers: dicts with `ts_ns`, and optionally `label`, `colour`."""
        self.times = [{"label": "", "colour": "accent", **_in_seconds(item)} for item in times]

    def set_markers(self, markers: Sequence[dict[str, Any]]) -> None:
        """Draw entries and exits: dicts with `ts_ns`, `price`, `side` ('buy' or 'sell'), and optionally `qty`, `text` (tooltip)."""
        self.markers = [{"text": "", **_in_seconds(item)} for item in markers]

    # -- what the browser says ---------------------------------------------------------------------------------------------

    def _handle_msg(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "ack":
            self._seen = max(self._seen, int(message["n"]))
        elif kind == "here":
            shown = message.get("generation"), message.get("state")
            self._compare(shown, int(message.get("n") or 0), agrees=message.get("agrees") is not False)
        elif kind == "window" and message.get("generation") == self.generation:
            self._on_window(float(message["start"]), float(message["end"]), int(message["k"]))
        elif kind == "levels":
            self.levels = list(message["levels"])
            if self.on_levels is not None:
                self.on_levels(self.levels)

    def _compare(self, shown: tuple[Any, Any], held: int, *, agrees: bool) -> None:
        """Send everything again when the page says time and again that it holds something else: what is sent while it connects can be lost.

        It holds something else when it speaks of another generation, when its parts tell different things of the same bar (`agrees`), or
        when frames that it was sent never came: then it would never acknowledge them either, and nothing more would be sent. A slow page
        needs longer to take an answer in than to ask again.
        """
        sent = int(self._live.data["n"][0]) if len(self._live.data["n"]) else 0
        word, self._word = self._word, (held, sent)
        is_short = held < sent and word == self._word
        if shown == (self.meta["generation"], self.meta["state"]) and agrees and not is_short:
            if not self._n_strange:
                self._patience = MAX_STRANGE
            self._n_strange = 0
            return
        self._n_strange += 1
        if self._n_strange < self._patience:
            return
        self._n_strange, self._patience = 0, min(2 * self._patience, MOST_PATIENCE)
        self.generation += 1
        if self._cursor is None:
            self.meta = self._describe(self.meta["state"], self.meta["message"])
        else:
            self._begin()

    def _on_window(self, start: float, end: float, k: int) -> None:
        k = max(1, min(k, 1024))
        with pn.io.unlocked():
            self._send_window(start, end, k)
        if start <= self.window.base + FIRST_BARS * k / 4:
            self._ask_older()


def _watch(hub: Any, symbol: str, timeframe: str) -> Cursor:
    hub.watch(symbol)
    return hub.cursor(symbol, timeframe, n=None)


def _read_older(
    hub: Any, symbol: str, timeframe: str, before_ns: int, generation: int, is_wanted: Callable[[], bool]
) -> tuple[int, np.ndarray]:
    """Return older bars once the hub has read what it reads itself: those come by the series, and would be read twice."""
    while is_wanted() and hub.health(symbol).backfilling:
        threading.Event().wait(READING_S)
    return generation, hub.older(symbol, timeframe, before_ns, OLDER_BARS) if is_wanted() else EMPTY


def _changes(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> dict[str, list[tuple[int, float]]]:
    """Return the cells (row, value) in which columns of one length differ, by column; NaN equals NaN."""
    names = list(new)
    before, after = np.array([old[name] for name in names]), np.array([new[name] for name in names])
    differs = (before != after) & ~(np.isnan(before) & np.isnan(after))
    cells: dict[str, list[tuple[int, float]]] = {}
    for column, row in np.argwhere(differs).tolist():
        cells.setdefault(names[column], []).append((row, float(after[column, row])))
    return cells


def _in_seconds(item: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in item.items() if name != "ts_ns"}
    return {**rest, "ts": item["ts_ns"] / NS_PER_S}
