"""Contracts are followed while a screen shows them: which are let go, and which never."""

import threading

import pytest

from workbench.clock import monotonic_ns, sleep_s
from workbench.views import contracts as module
from workbench.views.contracts import ShownContracts
from workbench.views.desk import Desk
from workbench.views.matrix import Matrix
from workbench.views.shelf import Shelf

ONE, OTHER = "O:SPY241220P00720000", "O:SPY241220C00720000"


@pytest.fixture
def hub(hub, monkeypatch):
    monkeypatch.setattr("fake_hub.KNOWN", ("SPY", "QQQ", ONE, OTHER))
    hub._price[OTHER] = 3.2
    return hub


def settled():
    """Wait until everything that was to be unwatched is."""
    module._ENDS.submit(bool).result(10)


def followed(hub):
    settled()
    return [symbol for symbol in hub.watched() if symbol.startswith("O:")]


def loaded(desk):
    for chart in desk.charts:
        deadline = monotonic_ns() + 10_000_000_000
        while chart._load is not None and monotonic_ns() < deadline:
            chart.tick()
            sleep_s(0.005)
        assert chart._load is None


def select(desk, symbol):
    desk.selection.select(symbol)
    loaded(desk)


def test_a_contract_is_let_go_when_another_is_selected(hub):
    desk = Desk(hub, Shelf(None))
    loaded(desk)
    select(desk, ONE)
    assert followed(hub) == [ONE]
    select(desk, OTHER)
    assert followed(hub) == [OTHER]
    select(desk, "SPY")
    assert followed(hub) == []
    assert {"SPY", "QQQ"} <= set(hub.watched())


def test_closing_the_page_lets_go_and_another_page_keeps(hub):
    one, other = Desk(hub, Shelf(None)), Desk(hub, Shelf(None))
    select(one, ONE)
    select(other, ONE)
    one.stop()
    assert followed(hub) == [ONE]
    other.stop()
    assert followed(hub) == []


def test_a_second_chart_a_ladder_and_the_traders_lists_keep_theirs(hub):
    desk = Desk(hub, Shelf(None))
    desk.shell._handle_msg({"do": "layout", "value": 2})
    desk.models[1].show(ONE)
    select(desk, OTHER)
    select(desk, "SPY")
    desk.models[0].show("QQQ")
    assert desk.models[1].symbol == ONE
    assert followed(hub) == [ONE]
    matrix = Matrix(hub, Shelf(None), {"symbol": ONE})
    desk.models[1].show("SPY")
    assert followed(hub) == [ONE]
    matrix.stop()
    assert followed(hub) == []
    desk.list_view._handle_msg({"do": "add", "symbol": ONE})
    select(desk, ONE)
    select(desk, OTHER)
    assert followed(hub) == [ONE, OTHER]


def test_what_was_followed_before_or_is_read_outside_is_never_let_go(hub):
    hub.watch(ONE)
    desk = Desk(hub, Shelf(None))
    select(desk, ONE)
    select(desk, OTHER)
    hub.asked_for.add(OTHER)
    select(desk, "SPY")
    assert followed(hub) == [ONE, OTHER]


def test_a_contract_that_is_shown_again_while_it_is_let_go_stays_followed(hub):
    begun, go_on, unwatch = threading.Event(), threading.Event(), hub.unwatch

    def slow(symbol):
        begun.set()
        go_on.wait(10)
        unwatch(symbol)

    hub.unwatch = slow
    screen = ShownContracts(hub, lambda symbol: False)
    screen.show([ONE])
    hub.watch(ONE)
    screen.show([])
    assert begun.wait(10)
    screen.show([ONE])  # finds it watched still
    go_on.set()
    assert followed(hub) == [ONE]
    hub.unwatch = unwatch
    screen.show([])
    assert followed(hub) == []


def test_shares_are_left_alone(hub):
    screen = ShownContracts(hub, lambda symbol: False)
    screen.show(["SPY", ONE])
    screen.show([])
    settled()
    assert "SPY" in hub.watched()
