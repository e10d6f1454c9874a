"""The tabs of the desk's right column, without a browser."""

import re

import pytest

from tests.hub.test_chains import CALENDAR, ChainedSource
from workbench.hub import chains
from workbench.hub.hub import Hub
from workbench.views import desk as desk_module
from workbench.views.desk import Desk
from workbench.views.dock import TABS
from workbench.views.docked import BoardTab, LadderTab
from workbench.views.exposure import ExposureTab
from workbench.views.ideas import IdeasView
from workbench.views.models import Selection
from workbench.views.risk_tab import RiskTab
from workbench.views.shelf import Shelf

CALL = "O:SPY261120C00590000"


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(chains, "LOOK_S", 0.01)
    source = ChainedSource()
    hub = Hub(source, calendar=CALENDAR, verify_every_s=0.0)
    source.start(hub)
    hub.watch("SPY")
    yield hub
    hub.stop()


def test_every_tab_has_a_key_that_nothing_else_on_the_desk_has():
    keys = [tab.key for tab in TABS]
    others = re.findall(r'case "(.)"', (desk_module.STATIC / "desk.js").read_text())
    assert len(set(keys)) == len(keys)
    assert not {*keys} & {*others, "b", "s", "k"}  # the last three are kept for orders


@pytest.mark.parametrize("name", [tab.name for tab in TABS])
def test_a_tab_opens_by_the_address_and_lets_go_when_it_is_closed(hub, tmp_path, name):
    desk = Desk(hub, Shelf(tmp_path), {"dock": name})
    assert (desk.shell.dock, len(desk.shell.docked)) == (name, 1)
    for _ in range(5):
        desk.dock.tick()
    desk.shell._handle_msg({"do": "dock", "value": ""})
    assert desk.dock.levels == []
    assert desk.shell.docked == []
    desk.dock.stop()


def test_a_tab_moves_only_when_the_page_stands(hub, tmp_path):
    desk = Desk(hub, Shelf(tmp_path), {"dock": "board"})
    turns = []
    desk.dock.tick = lambda: turns.append(1)
    for _ in range(4):
        desk.tick()
    assert turns == []
    desk.shell._handle_msg({"do": "ready", "value": True})
    for _ in range(4):
        desk.tick()
    assert len(turns) == 2


@pytest.mark.parametrize("make", [LadderTab, BoardTab, ExposureTab, RiskTab, IdeasView])
def test_a_page_that_says_it_is_ready_after_its_tab_was_closed_opens_nothing(hub, tmp_path, make):
    asked = []
    tab = make(hub, Selection(), Shelf(tmp_path))
    tab.open()
    tab.close()
    tab._send_msg = asked.append
    hub.chain = hub.expiries = hub.quote = asked.append
    tab._handle_msg({"do": "ready"})
    if make is not RiskTab:  # the dock calls no tick of a closed tab; these would not read in one either
        tab.tick()
    assert asked == []


def test_the_ladder_shows_what_is_selected_while_it_is_open(hub, tmp_path):
    selection = Selection()
    tab = LadderTab(hub, selection, Shelf(tmp_path))
    selection.select(CALL)
    assert tab.symbol == "SPY"
    tab.open()
    assert tab.symbol == CALL
    selection.select("SPY")
    assert tab.symbol == "SPY"


def test_a_line_of_the_board_is_selected_everywhere_and_its_list_is_the_matrix_pages(hub, tmp_path):
    selection, shelf = Selection(), Shelf(tmp_path)
    tab = BoardTab(hub, selection, shelf)
    tab.open()
    tab._handle_msg({"do": "select", "symbol": CALL})
    assert (selection.contract, tab.selected) == (CALL, CALL)
    tab.model.add("QQQ")
    assert BoardTab(hub, selection, shelf).model.symbols == ["SPY", "QQQ"]
    shelf.write("board", ["QQQ"])
    tab.close()
    tab.open()
    assert tab.model.symbols == ["QQQ"]


def test_exposure_follows_the_underlying_and_remembers_its_assumptions(hub, tmp_path):
    selection, shelf = Selection(), Shelf(tmp_path)
    tab = ExposureTab(hub, selection, shelf)
    tab.open()
    tab._handle_msg({"do": "choose", "name": "basis", "value": "volume"})
    selection.select("O:NVDA261120C00190000")
    assert tab.chosen["symbol"] == "NVDA"
    again = ExposureTab(hub, selection, shelf)
    assert (again.chosen["symbol"], again.chosen["basis"]) == ("NVDA", "volume")


def test_structures_follow_symbol_and_expiry_and_a_saved_one_of_another_symbol_is_followed(hub, tmp_path):
    selection = Selection()
    tab = RiskTab(hub, selection, Shelf(tmp_path))
    tab.open()
    selection.select(CALL)
    assert (tab._page.symbol, tab._page.expiry) == ("SPY", "2026-11-20")
    tab._handle_msg({"do": "symbol", "value": "qqq"})
    assert selection.underlying == "QQQ"
    tab._handle_msg({"do": "select", "value": CALL})
    assert selection.contract == CALL
    assert tab.colours == {}
    tab.close()


def test_what_is_picked_in_the_chain_becomes_a_structure(hub, tmp_path):
    selection = Selection()
    tab = RiskTab(hub, selection, Shelf(tmp_path))
    tab.open()
    assert tab.picked == ""
    selection.select(CALL)
    assert tab.picked == "590C 11/20"
    selection.legs = [(CALL, 1), ("O:SPY261120C00600000", -1)]
    assert tab.picked == "2 legs"
    tab._handle_msg({"do": "picked"})
    legs = tab._page.held[-1].structure.legs
    assert [(leg.contract.symbol, leg.side, leg.qty) for leg in legs] == [(CALL, "buy", 1), ("O:SPY261120C00600000", "sell", 1)]
    tab.close()


def test_break_evens_of_the_chosen_structure_are_levels_while_it_is_open(hub, tmp_path):
    told = []
    tab = RiskTab(hub, Selection(), Shelf(tmp_path))
    tab.open()
    tab.on_levels = lambda: told.append([level["price"] for level in tab.levels])
    tab._send_msg = lambda message: None
    one, other = {"break_evens": [589.654]}, {"break_evens": [580.0, 600.0]}
    tab.tell(answer={"structures": [one, other], "places": [0, 1]})
    tab._page.active = 1
    tab.tell(answer={"structures": [one, other], "places": [0, 1]})
    tab.tell(answer={"status": "The chain is loading."})
    tab.close()
    assert told == [[589.65], [580.0, 600.0], []]
