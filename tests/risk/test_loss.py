"""What an order costs and can lose, what closes, and what only says so."""

import pytest

from tests.risk.world import (
    CALL,
    HIGHER,
    LATER,
    LONG_CALL,
    LOWER,
    PUT,
    D,
    account,
    codes,
    decide,
    limits,
    market,
    option,
    order,
    verdict,
    view,
)
from workbench.orders import Leg
from workbench.risk.book import Position, Working
from workbench.risk.case import Case
from workbench.risk.kill import KillState, Tripped

FREE = limits(stop_distance_min_pct=None, stop_distance_max_pct=None)
TRIPPED = KillState(Tripped(1, "ann", "runaway"))
BUY, SELL = (Leg(CALL, "buy"),), (Leg(CALL, "sell"),)
CLOSE, COVER = (Leg(CALL, "sell", effect="close"),), (Leg(CALL, "buy", effect="close"),)
MSFT_CALL = "O:MSFT261218C00400000"
ROLL = (Leg(CALL, "sell", effect="close"), Leg(LATER, "buy"))


def seen(name, intent, positions=(), working=(), **changes):
    return verdict(decide(intent, view(positions, working, **changes), FREE), name)


@pytest.mark.parametrize(
    ("intent", "notional", "loss"),
    [
        (order(BUY, 3), 600, 600),
        (market(BUY, 3), 630, 630),
        (order(BUY, kind="stop", limit=None, stop="2.50"), 250, 250),
        (order(BUY, kind="stop", limit=None, stop="1.50"), 210, 210),
        (order(BUY, kind="stop_limit", limit="2.60", stop="2.50"), 260, 260),
        (order((Leg(PUT, "sell"),), 2), 400, 39_600),
        (market((Leg(PUT, "sell"),), 2), 380, 39_620),
        (order((Leg("AAPL", "buy"),), 10, "200.00"), 2_000, 2_000),
        (order((Leg(CALL, "buy"), Leg(HIGHER, "sell")), 2, "1.00"), 2 * (210 + 90), 200),
        (market((Leg(CALL, "buy"), Leg(HIGHER, "sell")), 2), 600, 240),
        (order((Leg(PUT, "sell"), Leg(LOWER, "buy")), 2, "-0.80"), 2 * (190 + 110), 1_840),
        (order((Leg(CALL, "sell"), Leg(HIGHER, "buy"), Leg(PUT, "sell"), Leg(LOWER, "buy")), 1, "-1.90"), 600, 810),
        (order((Leg("AAPL", "buy", 100), Leg(CALL, "sell")), 1, "198.00"), 20_010 + 190, 19_800),
        (order((Leg(LOWER, "sell"), Leg(PUT, "buy")), 1, "-0.50"), 90 + 210, 0),  # paid to hold what can't lose
    ],
)
def test_value_and_loss_by_hand(intent, notional, loss):
    assert seen("MAX_NOTIONAL", intent).seen == notional
    assert seen("MAX_LOSS_PER_TRADE", intent).seen == loss


def test_contracts_are_counted_over_all_legs_and_shares_are_none():
    assert seen("MAX_CONTRACTS", order((Leg(CALL, "buy", 2), Leg(HIGHER, "sell", 3)), 4, "1.00")).seen == 20
    assert seen("MAX_CONTRACTS", order((Leg("AAPL", "buy", 100), Leg(CALL, "sell")), 1, "198.00")).seen == 1


def test_a_loss_without_bottom_denies():
    one = seen("MAX_LOSS_PER_TRADE", order(SELL, 2))
    assert (one.outcome, one.sentence, one.seen) == ("denied", "denied: the loss has no bottom: nothing covers 200 shares of AAPL", None)
    assert codes(order(SELL), view(), FREE) == "MAX_LOSS_PER_TRADE POSITION_SIZE_PCT BUYING_POWER SYMBOL_CONCENTRATION SECTOR_CONCENTRATION"
    assert seen("SYMBOL_CONCENTRATION", order(SELL)).sentence == "denied: the loss on AAPL has no bottom"
    assert seen("MAX_LOSS_PER_TRADE", order((Leg("AAPL", "sell"),), 5, "200.00")).outcome == "denied"


def test_a_call_against_shares_loses_nothing_more():
    shares = [Position("AAPL", D(100))]
    assert codes(order(SELL), view(shares), FREE) == ""
    assert seen("MAX_LOSS_PER_TRADE", order(SELL), shares).seen == 0
    assert seen("MAX_LOSS_PER_TRADE", order(SELL, 2), shares).outcome == "denied"
    other = Working("w", ((CALL, D(-1)),))
    assert seen("MAX_LOSS_PER_TRADE", order(SELL), shares, [other]).outcome == "denied"  # the shares are spoken for
    bounded = Working("w", ((CALL, D(-1)), (HIGHER, D(1))))
    assert seen("MAX_LOSS_PER_TRADE", order(SELL), shares, [bounded]).seen == 0
    assert seen("MAX_LOSS_PER_TRADE", order(SELL), [*shares, Position(PUT, D(-1))]).seen == 0
    put = Working("w", ((PUT, D(1)),))
    assert seen("MAX_LOSS_PER_TRADE", order(SELL), shares, [put]).seen == 0


def test_a_call_against_a_later_call_loses_what_lies_between_them():
    assert seen("MAX_LOSS_PER_TRADE", order(SELL), [Position(LATER, D(1))]).seen == 0
    wide = order((Leg("O:AAPL261218C00190000", "sell"),), 1, "9.00")
    known = {"O:AAPL261218C00190000": option("8.90", "9.10")}
    assert seen("MAX_LOSS_PER_TRADE", wide, [Position(LATER, D(1))], instruments=known).seen == 1_000 - 900


def test_buying_power_is_what_is_free_after_orders_on_their_way():
    def said(cash, *uncounted, intent=None):
        orders = [Working(str(i), ((HIGHER, D(1)),), uncounted_usd=D(usd)) for i, usd in enumerate(uncounted)]
        return seen("BUYING_POWER", intent or order(), [], orders, account=account(buying_power_usd=D(cash)))

    assert said(200).outcome == "passed"
    assert said("199.99").outcome == "denied"
    assert said(350, 100, 50).outcome == "passed"
    assert said("1349.99", 1100, 50).sentence == "denied: it takes $200.00 of buying power; there is $199.99"
    spread = order((Leg(PUT, "sell"), Leg(LOWER, "buy")), 2, "-0.80")
    assert said(1_840, intent=spread).outcome == "passed"
    assert said("1839.99", intent=spread).outcome == "denied"
    certain = order((Leg(CALL, "buy"), Leg(HIGHER, "sell"), Leg(PUT, "buy"), Leg(LOWER, "sell")), 1, "2.00")
    assert said(200, intent=certain).outcome == "passed"
    assert said("199.99", intent=certain).outcome == "denied"
    owed = order((Leg(PUT, "sell"), Leg("O:AAPL261218P00210000", "buy")), 1, "12.00")  # costs 1,200
    quotes = {"O:AAPL261218P00210000": option("11.90", "12.10")}
    assert (
        verdict(decide(owed, view(instruments=quotes, account=account(buying_power_usd=D("1199.99"))), FREE), "BUYING_POWER").outcome
        == "denied"
    )


def test_two_signals_do_not_both_find_the_same_room():
    first = order(key="1")
    on_its_way = Working(first.client_order_id, ((CALL, D(1)),), uncounted_usd=D(200))
    second = order((Leg(PUT, "buy"),), key="2")
    room = account(buying_power_usd=D(399))
    tight = limits(delta_shares=90, symbol_pct="0.3", open_positions=1)
    assert codes(second, view(account=room), tight) == ""
    assert codes(second, view([], [on_its_way], account=room), tight) == "BUYING_POWER OPEN_POSITIONS SYMBOL_CONCENTRATION"
    same_way = order((Leg(HIGHER, "buy"),), key="3", limit="1.00")
    assert codes(same_way, view([], [on_its_way], stop_usd=D("0.50")), limits(delta_shares=90)) == "DELTA_BUDGET"


# -- closing ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intent", "positions", "working", "is_closing"),
    [
        (order(CLOSE, 2), [(CALL, 2)], [], True),
        (order(CLOSE, 3), [(CALL, 2)], [], False),  # more than is held
        (order(CLOSE, 1), [], [], False),
        (order(CLOSE, 1), [(CALL, -2)], [], False),  # the wrong way
        (order(COVER, 2), [(CALL, -2)], [], True),
        (order(COVER, 1), [(CALL, 2)], [], False),
        (order(SELL, 1), [(CALL, 2)], [], False),  # says that it opens
        (order(CLOSE, 1), [(CALL, 2)], [("w", CALL, -1)], True),
        (order(CLOSE, 1), [(CALL, 2)], [("w", CALL, -2)], False),  # another order closes them already
        (order(CLOSE, 1), [(CALL, 2)], [("w", CALL, -1), ("x", CALL, -1)], False),
        (order(CLOSE, 1, replaces="w"), [(CALL, 2)], [("w", CALL, -2)], True),
        (order(CLOSE, 1), [(CALL, 2)], [("w", CALL, 2)], True),  # a purchase that works takes no room
        (order(CLOSE, 1), [(CALL, 2)], [("w", PUT, -2)], True),
        (order(CLOSE, 1), [(CALL, 1), (HIGHER, -1)], [], False),  # the wing that covers
        (order((Leg(HIGHER, "buy", effect="close"),), 1, "1.00"), [(CALL, 1), (HIGHER, -1)], [], True),
        (order((Leg(CALL, "sell", effect="close"), Leg(HIGHER, "buy", effect="close")), 1, "-1.00"), [(CALL, 2), (HIGHER, -2)], [], True),
        (order((Leg(CALL, "sell", effect="close"), Leg(HIGHER, "buy", effect="close")), 3, "-1.00"), [(CALL, 2), (HIGHER, -3)], [], False),
        (order((Leg("AAPL", "sell", effect="close"),), 50, "200.00"), [("AAPL", 100)], [], True),
        (order((Leg("AAPL", "sell", effect="close"),), 50, "200.00"), [("AAPL", 100), (CALL, -1)], [], False),
        (order((Leg(PUT, "sell", effect="close"),), 1), [(PUT, 1), (LOWER, -1)], [], False),
        (order((Leg(LOWER, "buy", effect="close"),), 1, "1.00"), [(PUT, 1), (LOWER, -1)], [], True),
        (order(ROLL, 1, "1.00"), [(CALL, 1)], [], False),
        (order((Leg("AAPL", "buy", effect="close"),), "0.4", "200.00"), [("AAPL", "0.5")], [], False),
        (
            order((Leg(CALL, "sell", effect="close"), Leg(MSFT_CALL, "sell", effect="close")), 1, "-6.00"),
            [(CALL, 1), (HIGHER, -1), (MSFT_CALL, 1)],
            [],
            False,
        ),
        (
            order((Leg(CALL, "sell", effect="close"), Leg(MSFT_CALL, "sell", effect="close")), 1, "-6.00"),
            [(CALL, 1), (MSFT_CALL, 1)],
            [],
            True,
        ),
    ],
)
def test_what_closes_and_what_only_says_so(intent, positions, working, is_closing):
    held = [Position(symbol, D(qty)) for symbol, qty in positions]
    orders = [Working(name, ((symbol, D(qty)),), is_opening=False) for name, symbol, qty in working]
    decision = decide(intent, view(held, orders, kill=TRIPPED), FREE)
    assert decision.is_closing is is_closing
    assert ("KILLED" in decision.codes) != is_closing


def test_a_leg_that_opens_closes_nothing():
    assert Case(order(SELL), view([Position(CALL, D(2))]), FREE, 1).is_within(SELL[0]) is False


def test_of_two_orders_of_which_one_can_fill_the_other_takes_no_room():
    target = Working("target", ((CALL, D(-1)),), is_opening=False)
    held = [Position(CALL, D(1))]
    assert not decide(order(CLOSE), view(held, [target])).is_closing
    assert decide(order(CLOSE), view(held, [target], alternatives=frozenset({"target"}))).is_closing


def test_whether_it_closes_is_not_known_without_a_book_or_terms():
    assert decide(order(CLOSE), view(book=None)).is_closing is False
    odd = "O:AAPL1261218C00200000"
    adjusted = order((Leg(odd, "sell", effect="close"),), 1, limit=None)
    assert not decide(adjusted, view([Position(odd, D(1))])).is_closing


def test_an_order_that_closes_passes_the_rules_for_opening_orders():
    held = [Position(CALL, D(2))]
    intent = order(CLOSE, origin="orb")
    blind = view(held, kill=TRIPPED, persona=None, strategy=None, no_trade=None, sectors={}, stop_usd=None,
                 account=account(equity_usd=None, ts_ns=None, day_pnl_usd=D(-10_000), is_stream_live=None, buying_power_usd=D(0)))  # fmt: skip
    decision = decide(intent, blind, limits(max_contracts=0, vix_max=0))
    assert decision.is_allowed
    assert {one.code for one in decision.verdicts if one.outcome == "passed"} == {
        "ACCOUNT", "UNRECONCILED", "UNKNOWN_ORDER", "MARKET_HOURS", "ORDERS_PER_MINUTE", "DUPLICATE_INTENT", "PRICE_COLLAR",
    }  # fmt: skip
    exempt = verdict(decision, "MAX_CONTRACTS")
    assert (exempt.outcome, exempt.sentence, exempt.seen, exempt.limit_name) == (
        "exempt",
        "it only closes what is held",
        None,
        "max_contracts",
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"account": account(is_reconciled=False)}, "UNRECONCILED"),
        ({"session": None}, "MARKET_HOURS"),
        ({"recent": None}, "ORDERS_PER_MINUTE DUPLICATE_INTENT"),
        ({"account": account(name="x")}, "ACCOUNT"),
        ({"instruments": {CALL: option(bid="3")}}, "PRICE_COLLAR"),
    ],
)
def test_an_order_that_closes_is_denied_by_the_rules_for_all(changes, expected):
    assert codes(order(CLOSE), view([Position(CALL, D(2))], **changes)) == expected


def test_an_order_whose_fate_is_unknown_stops_the_next_one_on_its_symbols():
    lost = Working("w", ((CALL, D(1)),), is_unknown=True)
    held = [Position(CALL, D(2)), Position(PUT, D(1))]
    assert codes(order(CLOSE), view(held, [lost])) == "UNKNOWN_ORDER"
    assert codes(order((Leg(PUT, "sell", effect="close"),)), view(held, [lost])) == ""


def test_a_roll_is_judged_by_what_it_opens():
    held = [Position(CALL, D(2))]
    roll = order(ROLL, 2, "1.00")
    assert seen("MAX_CONTRACTS", roll, held).seen == 2
    assert seen("MAX_NOTIONAL", roll, held).seen == 620
    assert seen("MAX_LOSS_PER_TRADE", roll, held).seen == 620
    assert seen("MAX_CONTRACTS", roll).seen == 4  # nothing is held: both legs open
    sold = order((Leg(CALL, "buy", effect="close"), Leg(HIGHER, "sell")), 1, "1.00")
    assert seen("MAX_LOSS_PER_TRADE", sold, [Position(CALL, D(-1)), Position("AAPL", D(100))]).seen == 0


def test_closing_what_covers_is_judged_by_what_it_uncovers():
    held = [Position(CALL, D(1)), Position(HIGHER, D(-1))]
    one = seen("MAX_LOSS_PER_TRADE", order(CLOSE), held)
    assert one.sentence == "denied: the loss has no bottom: nothing covers 100 shares of AAPL"
    assert seen("MAX_CONTRACTS", order(CLOSE), held).seen == 1
    wing = order((Leg(PUT, "sell", effect="close"),))
    assert seen("MAX_LOSS_PER_TRADE", wing, [Position(PUT, D(1)), Position(LOWER, D(-1))]).seen == 19_800


# -- counts and concentration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intent", "positions", "working", "count"),
    [
        (order(), [], [], 1),
        (order(), [Position(CALL, D(1))], [], 1),
        (order(), [Position(CALL, D(1), "spread"), Position(HIGHER, D(-1), "spread")], [], 1),
        (order(), [Position(PUT, D(1))], [], 2),
        (order(), [], [Working("w", ((CALL, D(1)),))], 1),
        (order(), [], [Working("w", ((CALL, D(-1)),), is_opening=False)], 1),
        (order((Leg(CALL, "buy"), Leg(HIGHER, "sell")), limit="1.00"), [Position(CALL, D(1))], [], 2),
        (order((Leg(CALL, "buy"), Leg(HIGHER, "sell")), limit="1.00"), [Position(CALL, D(1))], [Working("w", ((HIGHER, D(1)),))], 2),
    ],
)
def test_positions_once_it_is_filled(intent, positions, working, count):
    assert seen("OPEN_POSITIONS", intent, positions, working).seen == count


def test_a_sector_counts_what_has_no_sector_and_not_the_others():
    held = [Position("XOM", D(10)), Position("MSFT", D(10)), Position("ODD", D(10))]
    quotes = {"XOM": option("99.90", "100.10"), "ODD": option("49.90", "50.10")}
    one = seen("SECTOR_CONCENTRATION", order(), held, instruments=quotes)
    assert one.seen == D("4.7")  # 200 + 4,000 + 500 of 100,000
    assert seen("SYMBOL_CONCENTRATION", order(), held, instruments=quotes).seen == D("0.2")


def test_a_sector_of_which_something_is_not_known_denies():
    assert seen("SECTOR_CONCENTRATION", order(), [Position("ODD", D(10))]).sentence == "denied: the quote of ODD is not known"
    assert seen("SECTOR_CONCENTRATION", order(), [Position("MSFT", D(-10))]).sentence == "denied: the loss on MSFT has no bottom"
    assert seen("SECTOR_CONCENTRATION", order((Leg("XOM", "buy"),)), sectors={}).sentence == "denied: the sector of XOM is not known"
    assert seen("SECTOR_CONCENTRATION", order(), [Position("ODD", D(10))], sectors={"AAPL": "a", "ODD": "b"}).seen == D("0.2")


def test_what_an_order_puts_at_risk_counts_from_the_middle_of_its_quotes():
    spread = order((Leg(PUT, "sell"), Leg(LOWER, "buy")), 2, "-0.80")  # worth -200 now, -2,000 at worst
    assert seen("SYMBOL_CONCENTRATION", spread).seen == D("1.8")
    assert seen("SYMBOL_CONCENTRATION", spread, [Position(CALL, D(1))]).seen == D("2")


def test_an_order_on_two_underlyings_counts_for_each():
    pair = order((Leg(CALL, "buy"), Leg("O:MSFT261218C00400000", "buy")), 1, "6.00")
    quotes = {"O:MSFT261218C00400000": option("3.90", "4.10", underlying_usd=D(400))}
    held = [Position("AAPL", D(10))]
    assert seen("SYMBOL_CONCENTRATION", pair, held, instruments=quotes).seen == D("2.2")
    assert seen("SECTOR_CONCENTRATION", pair, held, instruments=quotes).seen == D("2.6")
    assert seen("SECTOR_CONCENTRATION", pair, held, instruments=quotes, sectors={"AAPL": "a", "MSFT": "b"}).seen == D("2.2")
    assert seen("MAX_LOSS_PER_TRADE", pair, instruments=quotes).seen == 600


def test_the_plain_world_lets_an_ordinary_order_through():
    assert codes(order(LONG_CALL)) == ""
