"""The ladder without a browser: what its page is told."""

from types import SimpleNamespace

import pytest

from tests.stubs import SEC, TEN, go, live, prints, quotes
from workbench.errors import RecordError
from workbench.hub.remote.hub import RemoteHub
from workbench.types import Quote, Trade
from workbench.views.ladder import Ladder
from workbench.views.live import MOST_UNPAINTED
from workbench.views.marks import LadderModel, Mark
from workbench.views.prints import PrintReader

CALL = "O:SPY261120C00500000"


class Seen(Ladder):
    """A ladder whose page is a list."""

    def __init__(self, *args, **params):
        self.sent = []
        super().__init__(*args, **params)

    def _send_msg(self, message):
        self.sent.append(message)

    def shown(self):
        """Return what a page that paints at once would show: (market, volumes by parts)."""
        market: dict = {}
        volumes: dict = {}
        for message in self.sent:
            if message["new"]:
                market, volumes = {}, {}
            market.update(message["market"])
            volumes.update({parts: split for parts, *split in message["volumes"]})
        return market, volumes

    def turn(self):
        self.tick()
        self._handle_msg({"do": "painted", "n": self._pace.n_sent})


@pytest.fixture
def market():
    hub, _, clock = live()
    hub.watch("SPY")
    return hub, clock


@pytest.fixture
def ladder(market):
    seen = Seen(market[0], LadderModel(symbol="SPY"))
    seen._handle_msg({"do": "ready"})
    return seen


def tell(market, trades=(), quoted=(), *, at=None, symbol="SPY"):
    """Let prints and quotes of a symbol arrive."""
    hub, clock = market
    symbol_id = hub.symbols.intern(symbol)
    if quoted:
        hub.on_quotes(quotes(quoted, symbol_id=symbol_id))
    if trades:
        hub.on_trades(prints(trades, symbol_id=symbol_id, first_sequence=tell.sequence))
        tell.sequence += len(trades)
    go(hub, clock, at or clock.ns)


tell.sequence = 1


def test_it_tells_bid_ask_spread_last_and_the_split_of_what_was_traded_since(market, ladder):
    ladder.turn()
    tell(market, [(TEN + SEC, 100.02, 100), (TEN + 2 * SEC, 100.00, 40, 37)], [(TEN, 100.00, 100.02)], at=TEN + 3 * SEC)
    ladder.turn()
    shown, volumes = ladder.shown()
    assert (shown["bid"], shown["ask"], shown["mid"], shown["spread"]) == (100.00, 100.02, 100.01, 0.02)
    assert (shown["last"], shown["last_size"], shown["last_side"]) == (100.00, 40, 2)
    assert volumes == {1_000_200: [100, 0, 0], 1_000_000: [0, 40, 0]}
    assert shown["totals"] == [100, 40, 0]
    assert shown["since"] == "10:00:00"


def test_prints_of_others_are_not_counted(market, ladder):
    market[0].watch("QQQ")
    ladder.turn()
    tell(market, [(TEN + SEC, 50.0, 100)], symbol="QQQ", at=TEN + 2 * SEC)
    ladder.turn()
    assert ladder.shown()[1] == {}


def test_a_turn_without_news_sends_nothing_and_only_what_changed_travels(market, ladder):
    tell(market, quoted=[(TEN, 100.00, 100.02)])
    ladder.turn()
    n = len(ladder.sent)
    ladder.turn()
    assert len(ladder.sent) == n
    tell(market, quoted=[(TEN + 1_000_000, 100.00, 100.03)])
    ladder.turn()
    assert set(ladder.sent[-1]["market"]) == {"ask", "mid", "spread", "quoted"}
    assert ladder.sent[-1]["volumes"] == []


def test_nothing_is_known_is_none_and_never_zero(ladder):
    ladder.turn()
    shown, volumes = ladder.shown()
    assert [shown[name] for name in ("bid", "ask", "bid_size", "last", "mid", "spread", "high", "low", "vwap", "change")] == [None] * 10
    assert volumes == {}


def test_a_side_that_nobody_quotes_has_no_size(market, ladder):
    tell(market, quoted=[(TEN, 0.0, 100.02)])
    ladder.turn()
    shown, _ = ladder.shown()
    assert (shown["bid"], shown["bid_size"], shown["ask"], shown["spread"]) == (None, None, 100.02, None)


def test_hidden_it_reads_nothing_and_holds_no_tape(market, ladder):
    ladder.turn()
    assert market[0].tape.is_open
    ladder._handle_msg({"do": "shown", "is_shown": False})
    tell(market, [(TEN + SEC, 100.0, 100)], at=TEN + 2 * SEC)
    n = len(ladder.sent)
    ladder.tick()
    assert len(ladder.sent) == n
    assert not ladder._prints.is_open
    tell(market, [(TEN + 3 * SEC, 100.0, 100)], at=TEN + 4 * SEC)  # the tape gives its memory back with the next event
    assert not market[0].tape.is_open
    ladder._handle_msg({"do": "shown", "is_shown": True})
    ladder.turn()
    assert ladder.sent[-1]["new"]
    assert ladder.shown()[0]["since"] == "10:00:04"


def test_a_page_that_does_not_paint_is_told_at_once_when_it_does(market, ladder):
    ladder.turn()
    ladder.sent.clear()
    for i in range(10):
        tell(market, [(TEN + i * SEC, 100 + i / 100, 10 + i)], at=TEN + i * SEC)
        ladder.tick()
    assert len(ladder.sent) == MOST_UNPAINTED
    ladder._handle_msg({"do": "painted", "n": ladder._pace.n_sent})
    ladder.tick()
    assert len(ladder.sent) == MOST_UNPAINTED + 1
    assert sum(sum(split) for split in ladder.shown()[1].values()) == sum(10 + i for i in range(10))


def test_another_symbol_begins_anew(market, ladder):
    tell(market, [(TEN + SEC, 100.0, 100)], at=TEN + 2 * SEC)
    ladder.turn()
    market[0].watch("QQQ")
    ladder.model.marks = [Mark("average", 100.0, 3)]
    ladder.model.show("qqq")
    ladder.turn()
    assert ladder.sent[-1]["new"]
    assert (ladder.symbol, ladder.shown()[1], ladder.marks) == ("QQQ", {}, [])


def test_a_market_that_is_told_anew_begins_anew(market, ladder):
    ladder.turn()
    tell(market, [(TEN + SEC, 100.0, 100)], at=TEN + 2 * SEC)
    ladder.turn()
    market[0].on_reset("sought back")
    market[0].pump()
    ladder.turn()
    assert ladder.shown()[0]["totals"] == [0, 0, 0]
    assert ladder.shown()[1] == {}


def test_a_symbol_that_there_is_not_says_why(hub):
    seen = Seen(hub, LadderModel(symbol="ZZZZ"))
    seen._handle_msg({"do": "ready"})
    seen.turn()
    seen._asking._asked["ZZZZ"].exception(10)
    seen.turn()
    assert "'ZZZZ'" in seen.shown()[0]["trouble"]


# -- an option ---------------------------------------------------------------------------------------------------------------


def test_the_break_even_of_a_call_is_strike_and_what_is_paid(market):
    market[0].watch(CALL)
    tell(market, quoted=[(TEN, 4.10, 4.20)], symbol=CALL)
    tell(market, quoted=[(TEN, 499.99, 500.01)])
    seen = Seen(market[0], LadderModel(symbol=CALL))
    seen._handle_msg({"do": "ready"})
    seen.turn()
    told = seen.shown()[0]["break_even"]
    assert (told["price"], told["paid"], told["underlying"], told["spot"]) == (504.20, 4.20, "SPY", 500.0)
    assert told["away_pct"] == pytest.approx(0.84)
    seen.model.marks = [Mark("average", 3.00, 2)]
    assert seen._break_even()["price"] == 503.00


def test_of_a_put_it_lies_below_and_without_an_ask_there_is_none(market):
    put = "O:SPY261120P00500000"
    seen = Seen(market[0], LadderModel(symbol=put))
    assert seen._break_even() is None
    market[0].watch(put)
    tell(market, quoted=[(TEN, 4.10, 4.20)], symbol=put)
    told = seen._break_even()
    assert told["price"] == 495.80
    assert told["spot"] is None
    assert told["away_pct"] is None


# -- own marks ---------------------------------------------------------------------------------------------------------------


def test_marks_are_drawn_as_given(ladder):
    assert ladder.marks == []
    ladder.model.marks = [Mark("order", 99.5, 2, "buy", "7"), Mark("stop", 98.0, 3)]
    assert [(mark["kind"], mark["price"], mark["qty"], mark["side"]) for mark in ladder.marks] == [
        ("order", 99.5, 2, "buy"),
        ("stop", 98.0, 3, ""),
    ]


@pytest.mark.parametrize("wrong", [{"kind": "odrer"}, {"price": 0.0}, {"price": float("nan")}, {"qty": -1}, {"side": "long"}])
def test_a_mark_that_makes_no_sense_refuses_to_exist(wrong):
    with pytest.raises(RecordError, match=f"Mark.{next(iter(wrong))}: received"):
        Mark(**{"kind": "order", "price": 10.0, "qty": 1.0, "side": "buy", **wrong})


# -- a hub elsewhere -----------------------------------------------------------------------------------------------------------


def test_of_a_hub_elsewhere_the_newest_prints_are_counted_and_it_says_that_they_are_not_all():
    print_ = Trade("SPY", TEN, 100.0, 100.0)
    elsewhere = SimpleNamespace(
        epoch=1, clock=SimpleNamespace(now_ns=lambda: TEN), calendar=live()[0].calendar,
        last_trade=lambda symbol: print_, quote=lambda symbol: Quote("SPY", TEN, 100.00, 100.02, 1, 1),
    )  # fmt: skip
    assert not hasattr(RemoteHub, "tape")  # nor has this stand-in
    reader = PrintReader(elsewhere, "SPY")
    assert reader.is_partial
    reader.open()
    reader.read()
    assert reader.volume.at == {}  # printed before it was opened
    print_ = Trade("SPY", TEN + SEC, 100.02, 30.0)
    reader.read()
    reader.read()
    assert reader.volume.at == {1_000_200: [30, 0, 0]}
