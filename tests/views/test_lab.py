"""The chart of a notebook cell: when it ticks, when it stops, and what one display may not do to another. No browser here."""

from __future__ import annotations

import asyncio
import gc
import weakref
from datetime import date

import panel as pn
import pytest
from bokeh.document import Document
from panel.config import panel_extension

from workbench import Hub, LabChart, chart
from workbench.clock import monotonic_ns
from workbench.errors import ConfigError, SymbolError, TimeframeError
from workbench.sessions import ny_ns
from workbench.sources.simulated import SimulatedSource
from workbench.views.lab import widget

START_NS = ny_ns(date(2026, 11, 18), 10, 15)


class StepHub(Hub):
    """A hub pumped by hand over a market that stands still until `move`."""

    def move(self):
        self.source.step("bar")
        self.pump()


@pytest.fixture(scope="module")
def hub():
    source = SimulatedSource(["SPY", "QQQ"], start_ns=START_NS)
    source.pause()
    made = StepHub(source)
    for name in ("SPY", "QQQ"):
        made.watch(name)
    source.start(made)
    made.pump()
    yield made
    source.stop()


@pytest.fixture(autouse=True)
def _quick_turns(monkeypatch):
    monkeypatch.setattr(widget, "FRAME_MS", 1)


def display(shown):
    """Show a chart the way a cell does; return (frame, root model)."""
    frame = shown.__panel__()
    return frame, frame.get_root(Document())


def clear(root):
    """Do what Panel does when JupyterLab says that an output is gone."""
    for action in panel_extension._delete_actions:
        action(root.ref["id"])


async def turns(view, n=8):
    """Let `n` more turns of a view pass."""
    until = view._turn + n
    while view._turn < until:
        await asyncio.sleep(0.001)


def hello(frame, theme="light"):
    frame._handle_msg({"do": "hello", "value": theme})


def test_a_chart_is_still_until_its_page_says_hello_and_again_when_the_cell_is_cleared(hub):
    async def run():
        shown = chart(hub, "SPY", "1m")
        frame, root = display(shown)
        assert not shown.is_ticking
        hello(frame)
        assert shown.is_ticking
        clear(root)
        assert not shown.is_ticking
        assert shown._views == []

    asyncio.run(run())


def test_a_page_that_says_bye_is_forgotten(hub):
    async def run():
        shown = chart(hub, "SPY", "1m")
        frame, root = display(shown)
        hello(frame)
        frame._handle_msg({"do": "bye"})
        assert (shown.is_ticking, shown._views) == (False, [])
        assert root.ref["id"] not in pn.state._views

    asyncio.run(run())


def test_a_ticking_chart_shows_each_new_bar(hub):
    async def run():
        shown = chart(hub, "SPY", "1m")
        frame, _ = display(shown)
        hello(frame)
        (view,) = shown._views
        await turns(view)
        before = view.candles.window.rows["ts_open"][-1]
        hub.move()
        hub.move()
        await turns(view)
        rows = hub.series("SPY", "1m").rows()
        assert view.candles.window.rows["ts_open"][-1] == rows["ts_open"][-1] > before
        shown.stop()

    asyncio.run(run())


def test_every_display_is_a_view_of_its_own_and_all_follow(hub):
    async def run():
        shown = chart(hub, "SPY", "5m")
        first, second = display(shown)[0], display(shown)[0]
        for frame in (first, second):
            hello(frame)
        for view in list(shown._views):
            await turns(view)
        first._handle_msg({"do": "symbol", "value": "qqq"})
        second._handle_msg({"do": "timeframe", "value": "15m"})
        for view in list(shown._views):
            await turns(view)
        assert {(view.model.symbol, view.model.timeframe) for view in shown._views} == {("QQQ", "15m")}
        assert (first.symbol, first.timeframe) == (second.symbol, second.timeframe) == ("QQQ", "15m")
        shown.stop()

    asyncio.run(run())


def test_what_changes_before_the_page_is_there_is_shown_once_it_is(hub):
    async def run():
        shown = chart(hub, "SPY", "5m")
        frame, _ = display(shown)
        (view,) = shown._views
        shown.show("QQQ", "15m")
        shown.set_levels([{"price": 500.0, "label": "target"}])
        assert (frame.symbol, view.candles.levels) == ("SPY", [])  # nothing is sent to a page that may not hear it
        hello(frame)
        await turns(view)
        assert (frame.symbol, frame.timeframe, view.candles.levels[0]["label"]) == ("QQQ", "15m", "target")
        shown.stop()

    asyncio.run(run())


def test_a_later_display_shows_levels_times_and_markers_drawn_before(hub):
    shown = chart(hub, "SPY", "5m")
    shown.set_levels([{"price": 500.0}])
    shown.set_times([{"ts_ns": START_NS}])
    shown.set_markers([{"ts_ns": START_NS, "price": 500.0, "side": "buy"}])
    display(shown)
    candles = shown._views[0].candles
    assert (len(candles.levels), len(candles.times), len(candles.markers)) == (1, 1, 1)


@pytest.mark.parametrize(("asked", "page", "shown_as"), [("auto", "light", "light"), ("auto", "dark", "dark"), ("dark", "light", "dark")])
def test_the_theme_is_the_pages_unless_one_was_asked_for(hub, asked, page, shown_as):
    async def run():
        shown = chart(hub, "SPY", "5m", theme=asked)
        frame, _ = display(shown)
        hello(frame, page)
        await turns(shown._views[0])
        assert frame.colours["scheme"] == shown_as
        shown.stop()

    asyncio.run(run())


def test_a_wrong_symbol_typed_into_the_chart_is_answered_and_nothing_else_changes(hub):
    shown = chart(hub, "SPY", "5m")
    frame, _ = display(shown)
    frame._handle_msg({"do": "symbol", "value": "SPYY"})
    assert "did you mean 'SPY'?" in frame.message
    assert shown.model.symbol == "SPY"


def test_a_turn_that_fails_is_counted_and_shown_and_the_next_one_runs(hub, monkeypatch):
    async def run():
        shown = chart(hub, "SPY", "5m")
        frame, _ = display(shown)
        (view,) = shown._views
        monkeypatch.setattr(view.candles, "tick", lambda: 1 / 0)
        hello(frame)
        await turns(view)
        assert shown.errors > 1
        assert "ZeroDivisionError" in frame.message
        shown.stop()

    asyncio.run(run())


def test_a_slow_turn_leaves_most_of_the_time_to_the_kernel(hub, monkeypatch):
    async def run():
        shown = chart(hub, "SPY", "5m")
        frame, _ = display(shown)
        (view,) = shown._views
        spent = []

        def slow_tick():
            until = monotonic_ns() + 5_000_000
            while monotonic_ns() < until:
                pass
            spent.append(5_000_000)

        monkeypatch.setattr(view.candles, "tick", slow_tick)
        start = monotonic_ns()
        hello(frame)
        await turns(view, 12)  # would never come back if a turn that outlasts its period were followed by the next at once
        assert sum(spent) < 0.5 * (monotonic_ns() - start)
        shown.stop()

    asyncio.run(run())


def test_twenty_displays_leave_nothing_behind(hub):
    async def run():
        shown = chart(hub, "SPY", "5m")
        gone = []
        for _ in range(20):
            frame, root = display(shown)
            hello(frame)
            gone.append(weakref.ref(shown._views[0]))
            clear(root)
        await asyncio.sleep(0.05)
        assert shown._views == []
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        del frame, root
        gc.collect()
        assert [view() for view in gone if view() is not None] == []

    asyncio.run(run())


def test_the_first_symbol_and_timeframe_are_checked_at_once(hub):
    with pytest.raises(SymbolError, match="did you mean 'SPY'"):
        chart(hub, "SPYY", "5m")
    with pytest.raises(TimeframeError, match="4m"):
        chart(hub, "SPY", "4m")


@pytest.mark.parametrize(("options", "said"), [({"height": 20}, "160 or more"), ({"theme": "blue"}, "auto, dark, light")])
def test_options_that_make_no_sense_are_refused_with_what_is_allowed(hub, options, said):
    with pytest.raises(ConfigError, match=said):
        LabChart(hub, "SPY", "5m", **options)
