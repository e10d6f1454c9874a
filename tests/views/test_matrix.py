"""The matrix page without a browser."""

from types import SimpleNamespace

from workbench.views.matrix import IDLE_TURNS, Matrix
from workbench.views.shelf import Shelf


def do(matrix, kind, value=None):
    matrix.shell._handle_msg({"do": kind, "value": value})


def test_it_opens_on_what_the_hub_watches_or_what_the_address_says(hub):
    assert (Matrix(hub).model.symbol, Matrix(hub).listed.symbols) == ("SPY", ["SPY", "QQQ"])
    asked = Matrix(hub, query={"symbol": "nvda", "theme": "light"})
    assert (asked.ladder.symbol, asked.board.selected, asked.look.theme) == ("NVDA", "NVDA", "light")
    assert "NVDA" in hub.watched()


def test_an_address_that_makes_no_sense_says_so_and_shows_the_first(hub):
    matrix = Matrix(hub, query={"symbol": "ZZZZ", "theme": "pink"})
    assert (matrix.model.symbol, matrix.look.theme) == ("SPY", "dark")
    assert "'ZZZZ'" in matrix.shell.greeting


def test_a_line_of_the_board_and_the_arrows_choose_for_the_ladder(hub):
    matrix = Matrix(hub)
    matrix.board._handle_msg({"do": "select", "symbol": "QQQ"})
    assert (matrix.ladder.symbol, matrix.shell.symbol) == ("QQQ", "QQQ")
    do(matrix, "step", -1)
    assert matrix.ladder.symbol == "SPY"


def test_an_unknown_symbol_is_said_and_changes_nothing(hub):
    matrix, said = Matrix(hub), []
    matrix.shell.say = said.append
    do(matrix, "symbol", "zzzz")
    assert "'ZZZZ'" in said[0]
    assert matrix.model.symbol == "SPY"


def test_board_and_theme_are_remembered(hub, tmp_path):
    matrix = Matrix(hub, Shelf(tmp_path))
    matrix.board._handle_msg({"do": "add", "symbol": "AAPL"})
    do(matrix, "theme")
    again = Matrix(hub, Shelf(tmp_path))
    assert (again.listed.symbols, again.look.theme) == (["SPY", "QQQ", "AAPL"], "light")


def test_a_part_that_fails_is_counted_said_once_and_the_others_go_on(hub):
    matrix, said, ticked = Matrix(hub), [], []
    matrix.shell.say = said.append

    def fail():
        raise ValueError("no quote today")

    matrix.ladder.tick, matrix.board.tick = fail, lambda: ticked.append(1)
    matrix.tick()
    matrix.tick()
    assert (matrix.errors, len(said), len(ticked)) == (2, 1, 2)
    assert "no quote today" in said[0]


def test_a_turn_without_news_is_left_out_but_not_for_long(hub):
    matrix, ticked = Matrix(hub), []
    matrix.tick = lambda: ticked.append(1)
    hub.tape = SimpleNamespace(n_trades=0, n_quotes=0)
    matrix.turn()
    assert len(ticked) == 1
    matrix.turn()
    assert len(ticked) == 1
    hub.tape.n_quotes += 1
    matrix.turn()
    assert len(ticked) == 2
    hub.tape.n_trades += 1
    matrix.turn()
    assert len(ticked) == 3
    for _ in range(IDLE_TURNS):
        matrix.turn()
    assert len(ticked) == 4


def test_of_a_hub_that_counts_nothing_every_turn_is_one(hub):
    matrix, ticked = Matrix(hub), []
    matrix.tick = lambda: ticked.append(1)
    assert not hasattr(hub, "tape")
    matrix.turn()
    matrix.turn()
    assert len(ticked) == 2
