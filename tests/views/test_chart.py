"""The chart without a browser: what its sources hold always equals what the hub has."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from bokeh.models import ColumnDataSource
from fake_hub import random_bars

from workbench.types import TIMEFRAMES
from workbench.views.chart import FIRST_BARS, MAX_UNSEEN, CandleChart
from workbench.views.labels import decimals_of, label_of, short_label
from workbench.views.models import ChartModel, LookModel


@pytest.fixture
def chart(hub):
    return opened(CandleChart(hub, ChartModel(symbol="SPY", timeframe="5m")))


def opened(chart):
    """Return the chart once the load under way is done."""
    while chart._load is not None:
        chart._load.exception(10)
        chart.tick()
    return chart


def held(chart):
    """Return what a browser would hold of closed bars."""
    data = chart._history.data
    return {name: np.asarray(data[name]) for name in ("ts", "o", "h", "l", "c", "v")}


def assert_equals_hub(chart, hub, symbol, timeframe):
    rows = hub.series(symbol, timeframe).rows()
    data = held(chart)
    n = len(data["ts"])
    assert n >= min(len(rows), FIRST_BARS)
    assert np.array_equal(data["ts"], rows["ts_open"][-n:] / 1e9)
    for short, name in zip("ohlcv", ("open", "high", "low", "close", "volume"), strict=True):
        assert np.array_equal(data[short], rows[name][-n:])
    assert chart._live.data["count"][-1] == len(rows)
    forming = hub.series(symbol, timeframe).forming
    assert chart._live.data["c"][-1] == (rows if forming is None else forming)["close"][-1]


def test_a_browser_gets_the_visible_window_not_all_history(chart):
    assert len(chart.window) == 1500
    assert len(held(chart)["ts"]) == FIRST_BARS


def test_it_follows_the_hub_through_many_ticks_and_closing_bars(chart, hub):
    for i in range(700):
        hub.tick(2.0)
        chart.tick()
        chart._seen = chart._frame
        if i % 50 == 0:
            assert_equals_hub(chart, hub, "SPY", "5m")
    assert_equals_hub(chart, hub, "SPY", "5m")


def test_a_hundred_switches_under_live_updates_end_on_the_right_bars(chart, hub):
    rng = np.random.default_rng(3)
    for _ in range(100):
        symbol, timeframe = str(rng.choice(["SPY", "QQQ"])), str(rng.choice(list(TIMEFRAMES)))
        hub.tick(1.0)
        chart._model.show(symbol, timeframe)
        opened(chart)
        hub.tick(1.0)
        chart._seen = chart._frame
        chart.tick()
        assert (chart.meta["symbol"], chart.meta["timeframe"], chart.meta["state"]) == (symbol, timeframe, "ready")
        assert_equals_hub(chart, hub, symbol, timeframe)


def test_a_tick_changes_only_what_moved(chart, hub, monkeypatch):
    hub.tick()
    chart.tick()
    patched = []
    monkeypatch.setattr(ColumnDataSource, "patch", lambda _, cells: patched.append(cells))
    hub.tick(0.1)
    chart.tick()
    (patch,) = patched
    assert set(patch) <= {"h", "l", "c", "v", "now", "n"} | {line.column for study in chart._studies for line in study.lines}
    assert all(len(cells) <= 2 for cells in patch.values())


def test_a_browser_that_does_not_paint_gets_no_more_frames_and_then_the_newest(chart, hub):
    frames = []
    for _ in range(3 * MAX_UNSEEN):
        hub.tick(0.1)
        frames.append(chart.tick())
    assert sum(frames) <= MAX_UNSEEN + 1
    chart._handle_msg({"type": "ack", "n": chart._frame})
    assert chart.tick()
    assert_equals_hub(chart, hub, "SPY", "5m")


def test_a_correction_reaches_the_chart(chart, hub):
    row = hub.series("SPY", "5m").rows(5)[:1]
    row["close"] = row["low"]
    hub.series("SPY", "5m").upsert(row)
    chart.tick()
    assert_equals_hub(chart, hub, "SPY", "5m")


def test_a_backfilled_bar_in_the_middle_reaches_the_chart(hub):
    series = hub.series("SPY", "1m")
    rows = series.rows()
    series.reset()
    series.upsert(np.delete(rows, 1400))
    chart = opened(CandleChart(hub, ChartModel(symbol="SPY", timeframe="1m")))
    series.upsert(rows[1400:1401])
    chart.tick()
    assert_equals_hub(chart, hub, "SPY", "1m")


def test_after_a_reset_nothing_older_than_the_replay_remains(chart, hub):
    series = hub.series("SPY", "5m")
    rows = series.rows()
    generation = chart.generation
    series.reset()
    series.upsert(rows[:900])
    chart.tick()
    assert chart.generation > generation
    assert_equals_hub(chart, hub, "SPY", "5m")


def test_a_symbol_without_bars_becomes_a_chart_when_the_first_arrive(hub):
    series = hub.series("AAPL", "5m")
    rows = series.rows()
    series.reset()
    hub.watch("AAPL")
    chart = opened(CandleChart(hub, ChartModel(symbol="AAPL", timeframe="5m")))
    assert chart.meta["state"] == "empty"
    series.upsert(rows)
    chart.tick()
    assert chart.meta["state"] == "ready"
    assert_equals_hub(chart, hub, "AAPL", "5m")


def test_an_unknown_symbol_says_so_in_one_sentence_and_the_next_one_works(chart, hub):
    chart._model.show("ZZZZ")
    opened(chart)
    assert chart.meta["state"] == "error"
    assert "'ZZZZ'" in chart.meta["message"]
    assert len(held(chart)["ts"]) == 0
    chart._model.show("QQQ")
    opened(chart)
    assert_equals_hub(chart, hub, "QQQ", "5m")


def test_history_that_comes_late_for_an_earlier_symbol_is_dropped(hub):
    gate = threading.Event()
    slow = hub.watch

    def watch(symbol):
        if symbol == "AAPL":
            gate.wait(5)
        slow(symbol)

    hub.watch = watch
    chart = CandleChart(hub, ChartModel(symbol="AAPL", timeframe="5m"))
    assert chart.meta["state"] == "loading"
    late = chart._load
    chart._model.show("QQQ")
    gate.set()
    late.result(5)
    opened(chart)
    for _ in range(5):
        chart.tick()
    assert chart.meta["symbol"] == "QQQ"
    assert_equals_hub(chart, hub, "QQQ", "5m")


def test_panning_back_brings_older_bars_in_front_of_those_held(chart, hub):
    first = int(chart.window.rows["ts_open"][0])
    chart._handle_msg({"type": "window", "generation": chart.generation, "start": -50, "end": 300, "k": 1})
    assert held(chart)["ts"][0] == first / 1e9
    chart._older.result(5)
    chart.tick()
    assert chart.window.base < 0
    assert chart.extent == [chart.window.base, 1]
    assert (np.diff(held(chart)["ts"]) > 0).all()
    assert np.array_equal(chart._history.data["x"], np.arange(chart._history.data["x"][0], chart._history.data["x"][-1] + 1))


def test_a_request_of_an_earlier_generation_is_ignored(chart):
    before = held(chart)["ts"]
    chart._handle_msg({"type": "window", "generation": chart.generation - 1, "start": 0, "end": 10, "k": 1})
    assert np.array_equal(held(chart)["ts"], before)


def test_zoomed_out_bars_are_fewer_and_keep_their_extremes(chart):
    chart._handle_msg({"type": "window", "generation": chart.generation, "start": 0, "end": 1500, "k": 4})
    data = chart._history.data
    assert len(data["x"]) == 375
    assert data["h"].max() == chart.window.rows["high"].max()
    assert data["l"].min() == chart.window.rows["low"].min()


def test_older_bars_that_cannot_be_read_leave_what_is_shown(chart, hub):
    def older(*_):
        raise OSError("provider is down")

    hub.older = older
    before = held(chart)["ts"]
    chart._handle_msg({"type": "window", "generation": chart.generation, "start": 0, "end": 600, "k": 1})
    while chart._older is not None:
        chart._older.exception(10)
        chart.tick()
    assert chart.notes == ["Older bars can't be read: provider is down; move the chart back again to retry"]
    assert len(held(chart)["ts"]) >= len(before)
    del hub.older
    chart._handle_msg({"type": "window", "generation": chart.generation, "start": -50, "end": 600, "k": 1})
    chart._older.result(10)
    chart.tick()
    chart._look_at_history()
    assert (chart.window.base < 0, chart.notes) == (True, [])


def test_a_chart_without_bars_says_why_and_stops_saying_so_when_the_read_succeeds(hub):
    series = hub.series("AAPL", "5m")
    rows = series.rows()
    series.reset()
    hub.watch("AAPL")
    hub.health_record.history_trouble = "history of AAPL: the provider fails with 503; it is tried again by itself"
    chart = opened(CandleChart(hub, ChartModel(symbol="AAPL", timeframe="5m")))
    assert chart.meta["state"] == "empty"
    (note,) = chart.notes
    assert note.startswith(
        "History of AAPL can't be read: the provider fails with 503; it is tried again by itself, and this note goes when it succeeds"
    )
    series.upsert(rows)
    hub.health_record.history_trouble = ""
    chart.tick()
    assert (chart.meta["state"], chart.notes) == ("ready", [])


def test_a_recording_of_longer_bars_says_so_on_a_shorter_timeframe(chart, hub):
    hub.source_info = replace(hub.source_info, bar_lengths_ns={"SPY": 3600 * 10**9})
    chart._model.show("SPY", "15m")
    opened(chart)
    assert chart.notes == ["SPY was recorded in 1h bars: at 15m only the last minute of each is shown; choose 1h or longer"]
    chart._model.show("SPY", "1h")
    opened(chart)
    assert chart.notes == []


def test_studies_come_and_go_and_every_drawn_line_has_its_column(chart, hub):
    for names in (["ema:20", "rsi", "macd"], ["vwap"], [], ["bollinger", "atr"]):
        chart._model.studies = names
        hub.tick()
        chart.tick()
        columns = set(chart._history.data)
        assert columns == set(chart._live.data) - {"now", "count", "n"}
        for figure in (chart._figure, *(pane.object for pane in chart.panes)):
            for renderer in figure.renderers:
                assert getattr(renderer.glyph, "y", getattr(renderer.glyph, "top", None)) in columns
    assert [pane.object.yaxis[0].ticker.desired_num_ticks for pane in chart.panes] == [3]


def test_levels_drawn_by_hand_are_told_to_whoever_keeps_them(chart):
    told = []
    chart.on_levels = told.append
    chart._handle_msg({"type": "levels", "levels": [{"id": "a", "price": 512.5, "label": "", "colour": "accent", "is_own": True}]})
    assert told[0][0]["price"] == 512.5
    assert chart.levels == told[0]


def test_a_theme_dresses_the_figures_too(hub):
    look = LookModel()
    chart = CandleChart(hub, ChartModel(studies=["rsi", "ema:20"]), look)
    look.theme = "light"
    assert chart._figure.background_fill_color == "#ffffff"
    assert chart.panes[0].object.background_fill_color == "#ffffff"
    assert chart.colours["scheme"] == "light"


def test_marks_are_given_in_ns_and_drawn_in_seconds(chart):
    chart.set_markers([{"ts_ns": 1_500_000_000, "price": 1.0, "side": "buy"}])
    chart.set_times([{"ts_ns": 2_000_000_000, "label": "open"}])
    assert chart.markers[0]["ts"] == 1.5
    assert chart.times[0]["ts"] == 2.0


def test_it_renders(hub, document, comm):
    chart = CandleChart(hub, ChartModel(studies=["vwap", "rsi"]))
    root = chart.get_root(document, comm)
    assert [child.__class__.__name__ for child in [root.data.price, *root.data.panes]] == ["figure", "figure"]


@pytest.mark.parametrize(
    ("symbol", "label", "short"), [("SPY", "SPY", "SPY"), ("O:SPY241220P00720000", "SPY 20 Dec 24 720 P", "SPY 720P 12/20")]
)
def test_an_option_is_named_as_people_say_it(symbol, label, short):
    assert (label_of(symbol), short_label(symbol)) == (label, short)


@pytest.mark.parametrize(("price", "decimals"), [(512.3, 2), (61234.5, 2), (0.42, 4), (float("nan"), 2)])
def test_prices_are_shown_with_the_decimals_they_trade_in(price, decimals):
    assert decimals_of(price) == decimals


def test_random_bars_stand_in_sessions():
    rows = random_bars("1m", 1795188600000000000, 10, 100.0)
    assert (np.diff(rows["ts_open"]) == 60_000_000_000).all()


def test_regular_hours_only_leaves_out_the_rest_and_keeps_following(hub):
    chart = opened(CandleChart(hub, ChartModel(symbol="SPY", timeframe="5m", is_regular_only=True)))
    chart._handle_msg({"type": "window", "generation": chart.generation, "start": -2000, "end": 2000, "k": 1})
    assert set(chart._history.data["seg"]) == {2.0}
    assert np.array_equal(chart._history.data["x"], np.arange(len(chart.window)))
    for _ in range(400):
        hub.tick(2.0)
        chart.tick()
        chart._seen = chart._frame
    assert chart.window.rows["ts_open"][-1] == hub.series("SPY", "5m").rows(1)["ts_open"][0]
    chart._model.is_regular_only = False
    opened(chart)
    assert {1.0, 2.0, 3.0} == set(chart._history.data["seg"])
    assert_equals_hub(chart, hub, "SPY", "5m")


def test_a_page_that_lost_what_was_sent_while_it_connected_gets_all_of_it_again(chart):
    """It stood at «Loading SPY …» for good, while the watchlist beside it moved."""
    before = chart.generation
    lost = {"type": "here", "generation": before - 1, "state": "loading", "n": 0}
    chart._handle_msg(lost)
    assert chart.generation == before  # may be a word that was under way when the chart changed
    chart._handle_msg(here(chart))
    chart._handle_msg(lost)
    assert chart.generation == before
    chart._handle_msg(lost)
    assert (chart.generation, chart.meta["generation"], chart.meta["state"]) == (before + 1, before + 1, "ready")


def here(chart, **other):
    """What a page says that holds all it was sent."""
    return {"type": "here", "generation": chart.meta["generation"], "state": chart.meta["state"], "n": chart._frame, **other}


def test_a_page_that_lost_frames_gets_them_again_though_it_shows_the_right_chart(chart, hub):
    """It paints nothing, so it acknowledges nothing, so it is sent nothing: it would stand still for good."""
    held, before = chart._frame, chart.generation
    while not chart.is_behind:
        hub.tick(2.0)
        chart.tick()
    for _ in range(3):  # the first two words differ in what had been sent by then
        assert chart.generation == before
        chart._handle_msg(here(chart, n=held))
    assert chart.generation == before + 1
    assert chart._live.data["n"][0] == chart._frame


def test_a_page_whose_parts_tell_different_things_of_one_bar_gets_all_again(chart):
    """A change of the last closed bar that is overtaken on the way would stay wrong on the chart until the next one."""
    before = chart.generation
    chart._handle_msg(here(chart, agrees=False))
    assert chart.generation == before  # one part may have been under way
    chart._handle_msg(here(chart, agrees=True))
    chart._handle_msg(here(chart, agrees=False))
    assert chart.generation == before
    chart._handle_msg(here(chart, agrees=False))
    assert (chart.generation, chart.meta["generation"]) == (before + 1, before + 1)


def test_a_page_that_is_merely_slow_is_not_sent_the_same_time_and_again(chart):
    """Each answer makes a slow page slower: the next is given after twice as many words."""
    late, answers, seen = {"type": "here", "generation": -1, "state": "loading", "n": 0}, [], chart.generation
    for word in range(1, 31):
        chart._handle_msg(late)
        if chart.generation != seen:
            answers.append(word)
            seen = chart.generation
    assert answers == [2, 6, 14, 30]
    chart._handle_msg(here(chart))
    chart._handle_msg(here(chart))
    chart._handle_msg(late)
    chart._handle_msg(late)
    assert chart.generation == seen + 1


def test_a_chart_that_stood_empty_for_long_shows_the_bars_that_come_at_last(chart, hub):
    """A hub that was started again has no bars for some seconds: what a page can't paint it can't acknowledge either."""
    series = hub.series("SPY", "5m")
    rows = series.rows()
    for _ in range(3 * MAX_UNSEEN):
        hub.tick(2.0)
        chart.tick()
        chart._handle_msg({"type": "ack", "n": chart._frame})
    series.reset()
    chart.tick()
    chart._handle_msg({"type": "ack", "n": 0})  # of a page that holds no bars
    for _ in range(3 * MAX_UNSEEN):
        series.set_forming(None)
        chart.tick()
    assert (chart.meta["state"], chart.is_behind) == ("empty", False)
    series.upsert(rows)
    chart.tick()
    assert chart.meta["state"] == "ready"
    assert_equals_hub(chart, hub, "SPY", "5m")
