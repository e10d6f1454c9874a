"""The chain view and its place on the desk, without a browser: a hub over a scripted source, pricing on its own thread."""

import json
from datetime import date

import pytest

from tests.hub.test_chains import CALENDAR, EXPIRY, ChainedSource, contract, say, until
from tests.stubs import SEC, TEN
from workbench.errors import CalendarError, SourceError
from workbench.hub import chains
from workbench.hub.hub import Hub
from workbench.views import chain as view_module
from workbench.views.chain import ChainView
from workbench.views.desk import Desk
from workbench.views.models import Selection
from workbench.views.shelf import Shelf


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(chains, "LOOK_S", 0.01)
    monkeypatch.setattr(view_module, "PRICE_EVERY_S", 0.0)


@pytest.fixture
def source():
    return ChainedSource()


@pytest.fixture
def hub(source):
    hub = Hub(source, calendar=CALENDAR, verify_every_s=0.0)
    source.start(hub)
    hub.watch("SPY")
    yield hub
    hub.stop()


@pytest.fixture
def view(hub, tmp_path):
    view = ChainView(hub, Selection(), Shelf(tmp_path))
    yield view
    view.close()


def heard(view):
    """Return the list that collects the messages to the page, decoded; the page draws each at once."""
    got = []

    def take(message):
        got.append(json.loads(message["chain"]) if "chain" in message else message)
        view._handle_msg({"do": "drawn", "value": got[-1].get("n", 0)})

    view._send_msg = take
    return got


def ticks_until(view, condition, timeout_s=10.0):
    def turned():
        view.tick()
        return condition()

    assert until(turned, timeout_s)


def opened(view):
    """Open a view, and turn it until the chain is there and priced."""
    got = heard(view)
    view.open()
    ticks_until(view, lambda: any(message.get("head", {}).get("is_priced") for message in got))
    return got


def test_it_reads_nothing_until_it_is_opened_and_after_it_is_closed(view, source, hub):
    view.tick()
    assert source.n_asked == 0
    opened(view)
    assert until(lambda: contract(100) in source.contracts)
    view.close()
    assert until(lambda: not source.contracts), "the contracts that were subscribed for the chain are given back"
    view.tick()
    assert view.levels == []


def test_it_sends_the_chain_once_and_then_what_changed(view, hub):
    got = opened(view)
    first = next(message for message in got if "strikes" in message)
    assert len(first["strikes"]) == 200
    assert set(view.chosen) - set(first["cells"]) <= {"delta", "iv"}, "quotes come before they are priced"
    assert len(first["cells"]["bid"][0]) == 400
    n = len(got)
    say(hub, contract(100), (TEN + SEC, 2.0, 2.5))
    ticks_until(view, lambda: any("bid" in message.get("cells", {}) for message in got[n:]))
    told = next(message["cells"] for message in got[n:] if "bid" in message.get("cells", {}))
    assert (told["bid"], told["ask"]) == ([[198], [2.0]], [[198], [2.5]]), "strike 100 is line 99, its call cell 198"


def test_a_page_that_draws_nothing_gets_nothing_more(view, hub):
    opened(view)
    sent = []
    view._send_msg = sent.append
    for k in range(3 * view_module.MAX_UNSEEN):
        say(hub, contract(100), (TEN + (k + 1) * SEC, 2.0 + k / 100, 2.5 + k / 100))
        view.tick()
    assert 0 < len(sent) <= view_module.MAX_UNSEEN + 1


def test_a_page_that_lost_what_was_sent_gets_everything_again(view):
    got = opened(view)
    view._send_msg = lambda _: None
    view._n += 1  # one more was sent, and never came
    got = heard(view)
    view._handle_msg({"do": "here", "value": 1})
    view._handle_msg({"do": "here", "value": 1})
    view.tick()
    assert "strikes" in got[0]


def test_a_click_selects_the_contract_and_the_head_the_underlying(view):
    opened(view)
    view._handle_msg({"do": "select", "line": 104, "right": "P"})
    assert view._selection.contract == contract(105, "P")
    assert view.selected == {"root": "SPY", "expiry": EXPIRY.isoformat(), "strike": 105.0, "right": "P"}
    view._handle_msg({"do": "underlying"})
    assert (view._selection.contract, view._selection.symbol, view.selected) == ("", "SPY", {})


def test_columns_are_remembered(view, hub, tmp_path):
    view._handle_msg({"do": "columns", "value": ["gamma", "bid", "no such"]})
    assert view.chosen == ["bid", "gamma"], "in the view's own order"
    assert ChainView(hub, Selection(), Shelf(tmp_path)).chosen == ["bid", "gamma"]


def test_picked_legs_are_priced_with_the_chain(view):
    got = opened(view)
    view._handle_msg({"do": "pick", "value": "vertical", "line": 99, "right": "C"})
    view._handle_msg({"do": "pick", "value": "vertical", "line": 104, "right": "P"})
    assert "two calls, or two puts" in got[-1]["error"]
    view._handle_msg({"do": "pick", "value": "vertical", "line": 104, "right": "C"})
    assert view._selection.legs == [(contract(100), 1), (contract(105), -1)]
    view.tick()
    legs, mid, natural = next(message["head"] for message in reversed(got) if "head" in message)["legs"]
    assert ([leg[2:] for leg in legs], mid, natural) == ([[100.0, "C", 1], [105.0, "C", -1]], 0.0, 0.1)
    view._handle_msg({"do": "unpick"})
    assert view._selection.legs == []


def test_a_provider_that_fails_is_said_in_the_view(view, source, monkeypatch):
    def fails(_):
        raise SourceError("chain: the plan has no options")

    monkeypatch.setattr(source, "expiries", fails)
    view.open()
    ticks_until(view, lambda: view.place["state"] == "error")
    assert view.place["message"] == "chain: the plan has no options"


def test_a_symbol_without_options_says_so(view, source, monkeypatch):
    monkeypatch.setattr(source, "expiries", lambda _: ())
    view.open()
    ticks_until(view, lambda: view.place["state"] == "error")
    assert view.place["message"] == "SPY has no listed options at this source."


def test_a_chain_whose_first_snapshot_fails_says_why(view, source):
    source.chain_failures = [SourceError("the provider is down")] * 100
    view.open()
    ticks_until(view, lambda: view.place["state"] == "error")
    assert "the provider is down" in view.place["message"]


def test_a_chain_that_can_not_be_priced_shows_its_quotes_and_says_why(view, monkeypatch):
    def fails(*_, **__):
        raise CalendarError("moment: received 1980; allowed: the calendar's years")

    monkeypatch.setattr(view_module, "price_chain", fails)
    got = heard(view)
    view.open()
    ticks_until(view, lambda: any("not priced: moment" in message.get("head", {}).get("trouble", "") for message in got))
    assert len(next(message["cells"]["bid"][0] for message in got if "strikes" in message)) == 400


def test_an_expiry_that_is_not_listed_is_refused(view):
    got = opened(view)
    view._handle_msg({"do": "expiry", "value": date(2031, 1, 17).isoformat()})
    assert "2031" in got[-1]["error"]


# -- on the desk ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(hub, tmp_path):
    desk = Desk(hub, Shelf(tmp_path))
    yield desk
    desk.stop()


def dock(desk, name):
    desk.shell._handle_msg({"do": "dock", "value": name})


def test_the_column_is_closed_at_first_and_remembered_open(desk, hub, tmp_path):
    assert (desk.shell.dock, desk.shell.docked) == ("", [])
    dock(desk, "chain")
    assert (desk.shell.dock, len(desk.shell.docked)) == ("chain", 1)
    again = Desk(hub, Shelf(tmp_path))
    assert again.shell.dock == "chain"
    again.stop()
    assert again.dock.shown == ""
    dock(desk, "no such tab")
    assert (desk.shell.dock, desk.shell.docked) == ("", [])


def test_the_chart_follows_the_chain_and_the_chain_the_chart(desk):
    dock(desk, "chain")
    desk.selection.select(contract(100))
    assert (desk.models[0].symbol, desk.shell.label) == (contract(100), "SPY 20 Nov 26 100 C")
    desk.shell._handle_msg({"do": "symbol", "value": "QQQ"})
    assert (desk.selection.underlying, desk.selection.contract) == ("QQQ", "")


def test_of_several_charts_only_the_active_one_shows_the_contract(desk):
    desk.shell._handle_msg({"do": "layout", "value": 2})
    desk.selection.select(contract(100))
    assert [model.symbol for model in desk.models] == [contract(100), "SPY"]


def test_the_expected_move_stands_on_charts_of_the_underlying_beside_levels_drawn_by_hand(desk):
    desk.charts[0]._handle_msg({"type": "levels", "levels": [{"id": "h1", "price": 99.0, "label": "", "is_own": True}]})
    dock(desk, "chain")
    view = desk.shell.docked[0]
    heard(view)
    ticks_until(view, lambda: view.levels)
    low, high = sorted(level["price"] for level in view.levels)
    assert low < 100 < high
    assert high - 100 == pytest.approx(100 - low, abs=1.0)
    assert {(level["price"], level["is_own"]) for level in desk.charts[0].levels} == {(99.0, True), (low, False), (high, False)}
    assert [level["price"] for level in desk.shelf.levels("SPY")] == [99.0], "what the chain draws is not kept"
    view._handle_msg({"do": "move", "value": False})
    assert [level["price"] for level in desk.charts[0].levels] == [99.0]
    view._handle_msg({"do": "move", "value": True})
    dock(desk, "")
    assert [level["price"] for level in desk.charts[0].levels] == [99.0]


def test_contracts_that_were_clicked_are_not_in_the_next_desks_list(desk, hub, tmp_path):
    hub.watch(contract(100))
    assert Desk(hub, Shelf(tmp_path / "other")).watched.symbols == ["SPY"]
