"""The quote board without a browser: what its page is told."""

import pytest

from tests.stubs import SEC, TEN, go, live, prints, quotes
from workbench.views.board import QuoteBoard
from workbench.views.models import WatchlistModel


class Seen(QuoteBoard):
    """A board whose page is a list, and paints at once."""

    def __init__(self, *args, **params):
        self.sent = []
        super().__init__(*args, **params)

    def _send_msg(self, message):
        self.sent.append(message)

    def turn(self):
        """Let one turn pass and return what it told."""
        n = len(self.sent)
        self.tick()
        self._handle_msg({"do": "painted", "n": self._pace.n_sent})
        assert len(self.sent) <= n + 1
        return self.sent[-1]["lines"] if len(self.sent) > n else {}


@pytest.fixture
def market():
    hub, _, clock = live()
    for symbol in ("SPY", "QQQ", "IWM"):
        hub.watch(symbol)
    return hub, clock


@pytest.fixture
def board(market):
    seen = Seen(market[0], WatchlistModel(symbols=["SPY", "QQQ", "IWM"]))
    seen._handle_msg({"do": "ready"})
    return seen


def quote(market, symbol, bid, ask, at=TEN):
    hub, clock = market
    hub.on_quotes(quotes([(at, bid, ask)], symbol_id=hub.symbols.intern(symbol)))
    go(hub, clock, at)


def test_all_lines_travel_in_one_message_and_then_only_cells_that_changed(market, board):
    quote(market, "SPY", 100.00, 100.04)
    first = board.turn()
    assert set(first) == {"SPY", "QQQ", "IWM"}
    assert (first["SPY"]["bid"], first["SPY"]["ask"], first["SPY"]["spread"]) == (100.00, 100.04, 0.04)
    assert first["SPY"]["spread_pct"] == pytest.approx(100 * 0.04 / 100.02, abs=1e-6)
    for _ in range(3):
        board.turn()
    assert board.turn() == {}
    quote(market, "QQQ", 50.00, 50.01, TEN + SEC)
    quote(market, "SPY", 100.00, 100.05, TEN + SEC)
    changed = board.turn()
    assert set(changed) == {"SPY", "QQQ"}
    assert set(changed["SPY"]) == {"ask", "spread", "spread_pct"}


def test_what_is_not_known_is_none(board):
    line = board.turn()["IWM"]
    assert [line[name] for name in ("bid", "ask", "bid_size", "spread", "last", "change", "position", "target")] == [None] * 8


def test_price_and_change_follow_the_forming_minute(market, board):
    hub, clock = market
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)], symbol_id=hub.symbols.intern("SPY")))
    go(hub, clock, TEN + SEC)
    assert board.turn()["SPY"]["last"] == 100.0
    hub.on_trades(prints([(TEN + 2 * SEC, 100.5, 100)], symbol_id=hub.symbols.intern("SPY"), first_sequence=2))
    go(hub, clock, TEN + 2 * SEC)
    assert board.turn()["SPY"]["last"] == 100.5


def test_own_position_and_target_stand_where_they_are_given(board):
    board.own = {"QQQ": {"position": -2, "target": 51.5}}
    told = board.turn()
    assert (told["QQQ"]["position"], told["QQQ"]["target"]) == (-2, 51.5)
    assert told["SPY"]["position"] is None


def test_hidden_it_sends_nothing_and_shown_again_everything(market, board):
    board.turn()
    board._handle_msg({"do": "shown", "is_shown": False})
    quote(market, "SPY", 100.00, 100.05)
    assert board.turn() == {}
    board._handle_msg({"do": "shown", "is_shown": True})
    assert set(board.turn()) == {"SPY", "QQQ", "IWM"}


def test_symbols_are_typed_as_into_the_watchlist(hub):
    chosen = []
    board = Seen(hub, WatchlistModel(symbols=["SPY"]), chosen.append)
    board._handle_msg({"do": "add", "symbol": " nvda "})
    board._handle_msg({"do": "add", "symbol": "O:SPY241220P00720000"})
    assert [(line["symbol"], line["label"]) for line in board.lines] == [
        ("SPY", "SPY"), ("NVDA", "NVDA"), ("O:SPY241220P00720000", "SPY 720P 12/20"),
    ]  # fmt: skip
    board._handle_msg({"do": "add", "symbol": "spy"})
    assert "on the list already" in board.sent[-1]["error"]
    board._handle_msg({"do": "add", "symbol": "ZZZZ"})
    assert "'ZZZZ'" in board.sent[-1]["error"]
    board._handle_msg({"do": "move", "symbol": "NVDA", "position": 0})
    board._handle_msg({"do": "remove", "symbol": "SPY"})
    assert board.model.symbols == ["NVDA", "O:SPY241220P00720000"]
    board._handle_msg({"do": "select", "symbol": "NVDA"})
    assert chosen == ["NVDA"]
