"""The desk without a browser."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fake_hub import FakeHub

from workbench.types import TIMEFRAMES
from workbench.views.desk import Desk
from workbench.views.health_strip import HealthStrip, health_of, playback_of
from workbench.views.shelf import Shelf
from workbench.views.watchlist import Watchlist


@pytest.fixture
def desk(hub, tmp_path):
    return Desk(hub, Shelf(tmp_path))


def say(desk):
    """Return the list that collects what the desk says."""
    said = []
    desk.shell.say = said.append
    return said


def do(desk, kind, value=None):
    desk.shell._handle_msg({"do": kind, "value": value})


def test_it_opens_on_what_the_hub_watches(desk):
    assert desk.watched.symbols == ["SPY", "QQQ"]
    assert desk.models[0].symbol == "SPY"


def test_the_address_says_what_is_shown(hub, tmp_path):
    desk = Desk(hub, Shelf(tmp_path), {"symbol": "QQQ", "tf": "15m", "theme": "light"})
    assert (desk.models[0].symbol, desk.models[0].timeframe, desk.look.theme) == ("QQQ", "15m", "light")


@pytest.mark.parametrize("query", [{"tf": "9m"}, {"symbol": "<b>"}, {"theme": "pink"}])
def test_an_address_that_makes_no_sense_still_opens_the_desk(hub, tmp_path, query):
    assert Desk(hub, Shelf(tmp_path), query).models[0].timeframe == "5m"


def test_it_is_the_same_desk_tomorrow(hub, tmp_path):
    desk = Desk(hub, Shelf(tmp_path))
    do(desk, "layout", 2)
    do(desk, "timeframe", "15m")
    do(desk, "study", {"name": "ema:20", "is_on": True})
    do(desk, "look", {"theme": "light"})
    desk.list_view._handle_msg({"do": "add", "symbol": "nvda"})
    desk.list_view._handle_msg({"do": "move", "symbol": "NVDA", "position": 0})
    again = Desk(hub, Shelf(tmp_path))
    assert [model.timeframe for model in again.models] == ["15m", "1m"]
    assert again.models[0].studies == ["vwap", "ema:20"]
    assert again.look.theme == "light"
    assert again.watched.symbols == ["NVDA", "SPY", "QQQ"]


def test_an_emptied_watchlist_stays_empty(hub, tmp_path):
    desk = Desk(hub, Shelf(tmp_path))
    for symbol in ("SPY", "QQQ"):
        desk.list_view._handle_msg({"do": "remove", "symbol": symbol})
    assert Desk(hub, Shelf(tmp_path)).watched.symbols == []


def test_a_desk_opened_before_its_hub_could_be_reached_shows_what_the_hub_follows(hub, tmp_path):
    heard, hub.watched = hub.watched, tuple
    desk = Desk(hub, Shelf(tmp_path))
    desk._follow_others()
    assert desk.watched.symbols == []
    hub.watched = heard
    desk._follow_others()
    assert desk.watched.symbols == ["SPY", "QQQ"]


def test_levels_belong_to_their_symbol(desk):
    desk.charts[0]._handle_msg({"type": "levels", "levels": [{"id": "a", "price": 512.5, "label": "", "is_own": True}]})
    do(desk, "symbol", "QQQ")
    assert desk.charts[0].levels == []
    do(desk, "symbol", "SPY")
    assert desk.charts[0].levels[0]["price"] == 512.5


def test_a_level_drawn_on_one_chart_shows_on_every_chart_of_the_symbol(desk):
    do(desk, "layout", 4)
    desk.charts[0]._handle_msg({"type": "levels", "levels": [{"id": "a", "price": 512.5, "label": "", "is_own": True}]})
    assert [chart.levels[0]["price"] for chart in desk.charts] == [512.5] * 4


def test_two_windows_keep_each_others_levels_and_symbols(hub, tmp_path):
    shelf = Shelf(tmp_path)
    left, right = Desk(hub, shelf), Desk(hub, shelf)
    drawn = {"id": "a", "price": 512.5, "label": "", "is_own": True}
    left.charts[0]._handle_msg({"type": "levels", "levels": [drawn]})
    left.list_view._handle_msg({"do": "add", "symbol": "NVDA"})
    for _ in range(5):
        right.tick()
    assert right.charts[0].levels[0]["price"] == 512.5
    right.charts[0]._handle_msg({"type": "levels", "levels": [*right.charts[0].levels, {**drawn, "id": "b", "price": 513.0}]})
    right.list_view._handle_msg({"do": "add", "symbol": "AAPL"})
    for _ in range(5):
        left.tick()
    assert [level["price"] for level in left.charts[0].levels] == [512.5, 513.0]
    assert left.watched.symbols == ["SPY", "QQQ", "NVDA", "AAPL"]
    assert [level["price"] for level in Shelf(tmp_path).levels("SPY")] == [512.5, 513.0]


def test_damaged_preferences_still_open_the_desk(hub, tmp_path):
    charts = [{"symbol": 5, "timeframe": "7m", "studies": ["foo", "ema:nan", "rsi:14"]}, 5, None]
    Shelf(tmp_path).write("prefs", {"widths": [1, 2], "charts": charts, "theme": 7, "drawer": "x"})
    desk = Desk(hub, Shelf(tmp_path))
    assert [model.timeframe for model in desk.models] == ["5m", "5m"]
    assert desk.models[0].studies == ["rsi:14"]
    assert desk.shell.widths == {}


@pytest.mark.parametrize(
    ("kept", "query", "said"),
    [
        ({"symbol": "ZZZZ"}, {}, "There is no symbol 'ZZZZ' in source 'fake'; SPY is shown instead"),
        ({"symbol": "<b>"}, {}, "There is no symbol '<b>' in source 'fake'; SPY is shown instead"),
        ({"symbol": "QQQ"}, {"symbol": "zzzz"}, "There is no symbol 'ZZZZ' in source 'fake'; SPY is shown instead"),
        ({"symbol": "SPY"}, {"tf": "9m"}, "timeframe: received '9m'"),
    ],
)
def test_what_was_kept_or_asked_for_and_is_not_there_is_replaced_with_one_sentence(hub, tmp_path, kept, query, said):
    Shelf(tmp_path).write("prefs", {"charts": [kept]})
    desk = Desk(hub, Shelf(tmp_path), query)
    assert desk.models[0].symbol == "SPY"
    assert desk.charts[0].meta["state"] == "ready"
    assert said in desk.shell.greeting


def test_an_address_with_a_symbol_nobody_watches_yet_is_followed_without_a_word(hub, tmp_path):
    desk = Desk(hub, Shelf(tmp_path), {"symbol": "nvda"})
    assert (desk.models[0].symbol, desk.shell.greeting) == ("NVDA", "")


def test_two_quick_clicks_on_indicators_both_count(desk):
    for name, is_on in (("ema:9", True), ("rsi:14", True), ("vwap", False), ("ema:9", True)):
        do(desk, "study", {"name": name, "is_on": is_on})
    assert desk.models[0].studies == ["rsi:14", "ema:9"]


def test_the_watchlist_of_yesterday_is_followed_again_and_an_unknown_line_says_why(hub, tmp_path):
    Shelf(tmp_path).write("watchlist", ["SPY", "NVDA", "ZZZZ"])
    desk = Desk(hub, Shelf(tmp_path))
    sent = {}
    desk.list_view._send_msg = lambda message: [sent.setdefault(symbol, {}).update(line) for symbol, line in message["lines"].items()]
    for _ in range(3):
        desk.list_view.tick()
        for asked in desk.list_view._asking._asked.values():
            asked.exception(10)
    assert "NVDA" in hub.watched()
    assert sent["NVDA"]["last"] is not None
    assert "'ZZZZ'" in sent["ZZZZ"]["trouble"]
    assert sent["NVDA"]["trouble"] == ""


# -- recordings of longer bars ---------------------------------------------------------------------------------------------


def recorded(hub, timeframe):
    hub.source_info = replace(hub.source_info, bar_lengths_ns={"SPY": TIMEFRAMES[timeframe].length_ns})
    return hub


def test_timeframes_shorter_than_what_was_recorded_are_not_offered_and_say_why(hub, tmp_path):
    desk = Desk(recorded(hub, "5m"), Shelf(tmp_path))
    assert set(desk.shell.unfit) == {"1m", "2m", "3m"}
    said = say(desk)
    do(desk, "timeframe", "1m")
    assert desk.models[0].timeframe == "5m"
    assert said == ["SPY was recorded in 5m bars: at 1m only the last minute of each is shown; choose 5m or longer"]
    do(desk, "symbol", "QQQ")
    assert desk.shell.unfit == {}


def test_a_desk_opens_on_a_timeframe_that_was_recorded(hub, tmp_path):
    Shelf(tmp_path).write("prefs", {"charts": [{"timeframe": "5m"}, {"timeframe": "1w"}]})
    desk = Desk(recorded(hub, "1d"), Shelf(tmp_path))
    assert [model.timeframe for model in desk.models] == ["1d", "1w"]
    do(desk, "layout", 4)
    assert [model.timeframe for model in desk.models] == ["1d", "1w", "1d", "1d"]


def test_charts_follow_one_symbol_and_keep_their_own_timeframe(desk):
    do(desk, "layout", 4)
    do(desk, "active", 2)
    do(desk, "symbol", "QQQ")
    do(desk, "timeframe", "1h")
    assert [model.symbol for model in desk.models] == ["QQQ"] * 4
    assert [model.timeframe for model in desk.models] == ["5m", "1m", "1h", "1d"]


def test_arrows_walk_through_the_watchlist(desk):
    do(desk, "step", 1)
    assert desk.models[0].symbol == "QQQ"
    assert desk.list_view.selected == "QQQ"


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("symbol", "!!", "symbol: received '!!'"),
        ("timeframe", "7m", "timeframe: received '7m'"),
        ("study", {"name": "foo", "is_on": True}, "indicator: received 'foo'"),
        ("study", {"name": "ema:nan", "is_on": True}, "indicator: received 'ema:nan'"),
        ("step", "x", "That failed"),
    ],
)
def test_what_makes_no_sense_is_answered_with_one_sentence(desk, kind, value, sentence):
    said = say(desk)
    do(desk, kind, value)
    assert said[0].startswith(sentence)
    assert desk.models[0].symbol == "SPY"


def test_a_view_that_fails_is_counted_and_shown_and_the_others_go_on(desk, hub, caplog):
    said = say(desk)
    desk.list_view.tick = lambda: 1 / 0
    for _ in range(20):
        hub.tick(0.1)
        desk.tick()
    assert desk.errors == 4
    assert len(said) == 1
    assert "ZeroDivisionError" in said[0]
    assert desk.shell.health["desk_errors"] > 0
    assert desk.charts[0]._live.data["c"][-1] == hub.series("SPY", "5m").forming["close"][-1]


def test_a_disk_that_refuses_is_said_and_the_desk_goes_on(hub, tmp_path):
    (tmp_path / "desk").write_text("in the way")
    desk = Desk(hub, Shelf(tmp_path / "desk"))
    said = say(desk)
    do(desk, "timeframe", "1m")
    assert "can't be written" in said[0]
    assert desk.models[0].timeframe == "1m"
    desk.charts[0]._handle_msg({"type": "levels", "levels": [{"id": "a", "price": 512.5, "label": "", "is_own": True}]})
    do(desk, "symbol", "QQQ")
    do(desk, "symbol", "SPY")
    assert desk.charts[0].levels[0]["price"] == 512.5, "what was drawn is kept until the desk is closed"


def test_the_watchlist_refuses_an_unknown_symbol_and_forgets_it(hub):
    desk = Desk(hub)
    answers = []
    desk.list_view._send_msg = answers.append
    desk.list_view._handle_msg({"do": "add", "symbol": "ZZZZ"})
    assert "'ZZZZ'" in answers[0]["error"]
    assert "ZZZZ" not in desk.watched.symbols


def test_the_watchlist_sends_only_what_changed(hub):
    desk = Desk(hub)
    sent = []
    desk.list_view._send_msg = sent.append
    desk.list_view.tick()
    assert sent[0]["lines"]["SPY"]["gap_pct"] == 0.42
    desk.list_view.tick()
    assert len(sent) == 1


def test_an_empty_watchlist_costs_nothing(hub):
    desk = Desk(hub)
    desk.watched.symbols = []
    desk.list_view.tick()
    assert desk.list_view.lines == []


def test_a_simulated_market_never_calls_itself_live(hub):
    hub.source_info = replace(hub.source_info, name="simulated")
    assert health_of(hub)["mode"] == "SIMULATED"
    hub.health_record.mode = "STALE"
    assert health_of(hub)["mode"] == "STALE"


def test_the_strip_says_what_was_quarantined_most_first(hub):
    hub.health_record.quarantined = {"crossed quote": 2, "unknown sale condition": 9}
    assert list(health_of(hub)["quarantined"]) == ["unknown sale condition", "crossed quote"]


class Steered:
    span = (1_000_000_000, 9_000_000_000)
    speed = 60.0
    is_paused = False

    def __init__(self):
        self.did = []

    def __getattr__(self, name):
        if name not in {"play", "pause", "seek", "step", "set_speed"}:
            raise AttributeError(name)
        return lambda *values: self.did.append((name, *values))


def test_a_replay_is_steered_from_the_strip(hub):
    hub.source = Steered()
    strip = HealthStrip(hub)
    for message in (
        {"do": "toggle"},
        {"do": "step", "what": "event"},
        {"do": "seek", "ts": 3},
        {"do": "speed", "speed": 10},
        {"do": "start"},
    ):
        strip._handle_msg(message)
    assert hub.source.did == [("pause",), ("step", "event"), ("seek", 3_000_000_000), ("set_speed", 10.0), ("seek", 1_000_000_000)]
    assert playback_of(hub)["speed"] == 60


def test_a_live_feed_has_no_replay_controls(hub):
    hub.source = SimpleNamespace()
    assert playback_of(hub) == {}


def test_every_view_renders(hub, document, comm):
    desk = Desk(hub)
    assert desk.shell.get_root(document, comm).data.charts
    assert Watchlist(FakeHub(), desk.watched, print).get_root(document, comm)
    assert HealthStrip(hub).get_root(document, comm)
