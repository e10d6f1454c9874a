"""Each rule below, at and above its limit, and with every kind of input that is nothing to judge by."""

from dataclasses import replace

import pytest

from tests.risk.world import (
    CALL,
    CLOSE_NS,
    HIGHER,
    LOWER,
    MIN,
    NOW,
    OPEN_NS,
    PUT,
    D,
    S,
    account,
    codes,
    decide,
    limits,
    market,
    option,
    order,
    share,
    verdict,
    view,
)
from workbench.orders import Leg
from workbench.risk.book import Position, Working
from workbench.risk.case import Case
from workbench.risk.kill import KillState, Tripped
from workbench.risk.known import Missing, flag, instant, number, positive
from workbench.risk.limits import LARGEST, LIMITS
from workbench.risk.rules import RULES, Measure, State, table
from workbench.risk.view import NoTrade, Persona, Recent, Regime, Session, Strategy

VERTICAL = (Leg(CALL, "buy"), Leg(HIGHER, "sell"))
CONDOR_SIDE = (Leg(PUT, "sell"), Leg(LOWER, "buy"))
ORB = {"origin": "orb"}


def with_instrument(symbol, **changes):
    return view(instruments={symbol: option(**changes)})


# limit -> (order, what is seen, the number that the rule sees, worked out by hand)
MEASURED = {
    "position_size_pct": (order(qty=2), view(account=account(equity_usd=D(8_000))), "5"),  # 2 × 100 × 2.00 of 8,000
    "max_contracts": (order(VERTICAL, 3, "1.00"), view(stop_usd=D("0.50")), "6"),
    "max_notional_usd": (order(qty=3), view(), "600"),
    "max_loss_usd": (order(CONDOR_SIDE, 2, "-0.80"), view(stop_usd=D(-2)), "1840"),  # 2 × (10.00 - 0.80) × 100
    "daily_loss_usd": (order(), view(account=account(day_pnl_usd=D("-499.99"))), "499.99"),
    "weekly_drawdown_pct": (order(), view(account=account(week_drawdown_pct=D(5))), "5"),
    "monthly_drawdown_pct": (order(), view(account=account(month_drawdown_pct=D(8))), "8"),
    "open_positions": (order(), view([Position("MSFT", D(10)), Position(HIGHER, D(1), "fly"), Position(PUT, D(1), "fly")]), "3"),
    "orders_per_minute": (order(), view(recent=tuple(Recent(str(k), NOW - 59 * S, frozenset(), D(1)) for k in range(4))), "5"),
    "price_collar_pct": (order(limit="2.10"), view(), "5"),
    "spread_pct": (order(VERTICAL, 1, "1.00"), view(stop_usd=D("0.50")), "20"),  # the higher call: 0.90 to 1.10
    "liquidity_share_pct": (order(qty=50), view(), "5"),  # of 1,000 open, since 400 traded is less
    "stop_distance_min_pct": (order(), view(stop_usd=D("1.80")), "10"),
    "stop_distance_max_pct": (order(), view(stop_usd=D("1.80")), "10"),
    "delta_shares": (order(qty=3), view([Position("AAPL", D(20))]), "170"),
    "gamma_shares_per_usd": (order(qty=3), view([Position(CALL, D(2))]), "10"),
    "vega_usd_per_point": (order(qty=3), view([Position(CALL, D(2))]), "150"),
    "theta_usd_per_day": (order(qty=3), view([Position(CALL, D(2))]), "25"),
    "symbol_pct": (order(qty=3), view([Position(PUT, D(2)), Position("MSFT", D(9))]), "1"),  # (3 + 2) × 200 of 100,000
    "sector_pct": (order(qty=3), view([Position("MSFT", D(10))]), "4.6"),
    "direction_pct": (order(qty=3), view([Position("MSFT", D(10))]), "34"),  # 3 × 50 × 200 + 10 × 400 of 100,000
    "no_trade_first_min": (order(), view(), "90"),
    "no_trade_last_min": (order(), view(), "300"),
    "quote_age_s": (
        order(VERTICAL, 1, "1.00"),
        view(stop_usd=D("0.50"), instruments={HIGHER: option("0.90", "1.10", ts_ns=NOW - 3 * S)}),
        "3",
    ),
    "account_age_s": (order(), view(account=account(ts_ns=NOW - 7 * S)), "7"),
    "vix_min": (order(), view(), "18"),
    "vix_max": (order(), view(), "18"),
    "realised_vol_min_pct": (order(), view(), "12"),
    "realised_vol_max_pct": (order(), view(), "12"),
}
AT_LEAST = {"stop_distance_min_pct", "no_trade_first_min", "no_trade_last_min", "vix_min", "realised_vol_min_pct"}
BELOW = {"daily_loss_usd", "weekly_drawdown_pct", "monthly_drawdown_pct"}
STEP = D("0.000001")


@pytest.mark.parametrize("name", MEASURED)
def test_each_measuring_rule_below_at_and_above_its_limit(name):
    intent, seen, number = MEASURED[name]
    code, expected = LIMITS[name].code, D(number)
    answers = []
    for limit in (expected - STEP, expected, expected + STEP):
        decision = decide(intent, seen, limits(**{name: limit}))
        one = verdict(decision, code, name)
        assert one.seen == expected
        assert one.limit == limit
        assert decision.codes == ("" if one.outcome == "passed" else code)  # no other rule is touched
        answers.append(one.outcome == "passed")
    assert answers == ([True, True, False] if name in AT_LEAST else [False, name not in BELOW, True])


def test_every_limit_has_its_case():
    assert set(MEASURED) | {"duplicate_window_s"} == set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_is_not_set_is_off_or_denies_as_its_table_says(name):
    deny = {"position_size_pct", "max_contracts", "max_notional_usd", "max_loss_usd", "daily_loss_usd", "orders_per_minute",
            "duplicate_window_s", "price_collar_pct", "quote_age_s", "account_age_s"}  # fmt: skip
    one = verdict(decide(limits_=limits(**{name: None})), LIMITS[name].code, name)
    if name in deny:
        assert (one.outcome, one.sentence) == ("denied", f"denied: {name} is not set, and nothing is opened without it")
    else:
        assert (one.outcome, one.sentence) == ("off", f"{name} is not set: the rule is off")
    assert (one.seen, one.limit) == (None, None)


ZERO_PASSES = {
    "duplicate_window_s",
    "stop_distance_min_pct",
    "no_trade_first_min",
    "no_trade_last_min",
    "vix_min",
    "realised_vol_min_pct",
    "price_collar_pct",
}


@pytest.mark.parametrize("name", [name for name in LIMITS if name != "duplicate_window_s"])
def test_zero_is_a_limit(name):
    assert codes(limits_=limits(**{name: 0})) == ("" if name in ZERO_PASSES else LIMITS[name].code)


BAD = {
    "none": None,
    "nan": D("NaN"),
    "infinity": D("Infinity"),
    "minus infinity": D("-Infinity"),
    "float": 5.0,
    "text": "5",
    "huge": D("1E+16"),
    "true": True,
}
NUMBERS = {  # what is bad -> (order, the world with it, codes that deny)
    "equity": (order(), lambda bad: view(account=account(equity_usd=bad)), "POSITION_SIZE_PCT SYMBOL_CONCENTRATION SECTOR_CONCENTRATION DIRECTION_CONCENTRATION"),
    "buying power": (order(), lambda bad: view(account=account(buying_power_usd=bad)), "BUYING_POWER"),
    "day": (order(), lambda bad: view(account=account(day_pnl_usd=bad)), "DAILY_LOSS"),
    "week": (order(), lambda bad: view(account=account(week_drawdown_pct=bad)), "WEEKLY_DRAWDOWN"),
    "month": (order(), lambda bad: view(account=account(month_drawdown_pct=bad)), "MONTHLY_DRAWDOWN"),
    "account time": (order(), lambda bad: view(account=account(ts_ns=bad)), "STALE_DATA"),
    "quote time": (order(), lambda bad: with_instrument(CALL, ts_ns=bad), "STALE_DATA"),
    "bid": (order(), lambda bad: view(instruments={CALL: replace(option(), bid=bad)}), "PRICE_COLLAR SPREAD_PCT SYMBOL_CONCENTRATION SECTOR_CONCENTRATION"),
    "ask": (market(), lambda bad: view(instruments={CALL: replace(option(), ask=bad)}), "PRICE_COLLAR SPREAD_PCT STOP_DISTANCE_MIN STOP_DISTANCE_MAX MAX_NOTIONAL MAX_LOSS_PER_TRADE POSITION_SIZE_PCT BUYING_POWER SYMBOL_CONCENTRATION SECTOR_CONCENTRATION"),
    "volume": (order(), lambda bad: with_instrument(CALL, volume=bad), "LIQUIDITY_SHARE"),
    "open interest": (order(), lambda bad: with_instrument(CALL, open_interest=bad), "LIQUIDITY_SHARE"),
    "delta": (order(), lambda bad: with_instrument(CALL, delta=bad), "DELTA_BUDGET DIRECTION_CONCENTRATION"),
    "gamma": (order(), lambda bad: with_instrument(CALL, gamma_per_usd=bad), "GAMMA_BUDGET"),
    "vega": (order(), lambda bad: with_instrument(CALL, vega_usd_per_point=bad), "VEGA_BUDGET"),
    "theta": (order(), lambda bad: with_instrument(CALL, theta_usd_per_day=bad), "THETA_BUDGET"),
    "spot": (order(), lambda bad: with_instrument(CALL, underlying_usd=bad), "DIRECTION_CONCENTRATION"),
    "vix": (order(), lambda bad: view(regime=Regime(bad, D(12))), "REGIME"),
    "realised": (order(), lambda bad: view(regime=Regime(D(18), bad)), "REGIME"),
    "stop": (order(), lambda bad: view(stop_usd=bad), "STOP_DISTANCE_MIN STOP_DISTANCE_MAX"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_denies(name, bad):
    intent, make, expected = NUMBERS[name]
    decision = decide(intent, make(bad))
    assert decision.codes == expected
    assert all(one.seen is None and one.sentence.startswith("denied: ") for one in decision.denials)


NEGATIVE = {"week", "month", "bid", "volume", "open interest", "spot", "vix", "realised", "account time", "quote time", "ask"}


@pytest.mark.parametrize("name", NUMBERS)
def test_what_can_not_be_negative_denies(name):
    intent, make, expected = NUMBERS[name]
    bad = -1 if name.endswith("time") else D("-0.01")
    if name in NEGATIVE | {"equity", "buying power"}:
        assert codes(intent, make(bad)) == expected
    else:
        assert codes(intent, make(bad)) == ""


NO_MARKET = NUMBERS["ask"][2]


def test_zero_where_it_is_an_amount_and_where_it_is_nothing():
    zero = {name: codes(intent, make(0 if name.endswith("time") else D(0))) for name, (intent, make, _) in NUMBERS.items()}
    assert {name: said for name, said in zero.items() if said} == {
        "equity": NUMBERS["equity"][2], "buying power": "BUYING_POWER", "account time": "STALE_DATA", "quote time": "STALE_DATA", "ask": NO_MARKET,
    }  # fmt: skip
    nothing = view(instruments={CALL: option(volume=D(0), open_interest=D(0))})
    assert verdict(decide(seen=nothing), "LIQUIDITY_SHARE").sentence == f"denied: nobody has traded {CALL} today or holds it"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (view(session=None), "MARKET_HOURS NO_TRADE_WINDOW"),
        (view(recent=None), "ORDERS_PER_MINUTE DUPLICATE_INTENT"),
        (view(no_trade=None), "NO_TRADE_WINDOW"),
        (view(persona=None), "PERSONA"),
        (view(kill=None), "KILLED"),
        (view(sectors={}), "SECTOR_CONCENTRATION"),
        (view(account=account(name="other")), "ACCOUNT"),
        (view(account=account(is_reconciled=None)), "UNRECONCILED"),
        (view(account=account(is_stream_live=None)), "UNRECONCILED"),
        (view(account=account(is_reconciled=1)), "UNRECONCILED"),
    ],
)
def test_what_is_not_there_denies(seen, expected):
    assert codes(seen=seen) == expected


def test_without_a_book_every_rule_that_needs_one_denies():
    needing = "UNKNOWN_ORDER BUYING_POWER OPEN_POSITIONS DELTA_BUDGET GAMMA_BUDGET VEGA_BUDGET THETA_BUDGET SYMBOL_CONCENTRATION SECTOR_CONCENTRATION DIRECTION_CONCENTRATION"
    assert codes(seen=view(book=None)) == needing
    assert verdict(decide(seen=view(book=None)), "UNKNOWN_ORDER").sentence == "denied: what is held and working is not known"


def test_an_unknown_instrument_denies_wherever_it_is_needed():
    seen = view(instruments={})
    seen = replace(seen, instruments={})
    expected = "STALE_DATA PRICE_COLLAR SPREAD_PCT LIQUIDITY_SHARE DELTA_BUDGET GAMMA_BUDGET VEGA_BUDGET THETA_BUDGET SYMBOL_CONCENTRATION SECTOR_CONCENTRATION DIRECTION_CONCENTRATION"
    assert codes(seen=seen) == expected
    said = {one.code: one.sentence for one in decide(seen=seen).denials}
    assert said["STALE_DATA"] == f"denied: the time of the quote of {CALL} is not known"
    assert said["PRICE_COLLAR"] == f"denied: the quote of {CALL} is not known"
    assert said["LIQUIDITY_SHARE"] == f"denied: the volume of {CALL} is not known"
    assert said["DELTA_BUDGET"] == f"denied: delta of {CALL} is not known"
    assert said["DIRECTION_CONCENTRATION"] == f"denied: the price under {CALL} is not known"


def test_limits_that_are_not_in_force_deny():
    late = replace(limits(), effective_ns=NOW + 1)
    assert codes(limits_=late) == "LIMITS"
    assert verdict(decide(limits_=late), "LIMITS").sentence == "denied: the limit set 'desk' is not in force now"
    assert codes(limits_=replace(limits(), effective_ns=NOW)) == ""
    assert codes(limits_=replace(limits(), expires_ns=NOW)) == "LIMITS"
    assert codes(limits_=replace(limits(), expires_ns=NOW + 1)) == ""


@pytest.mark.parametrize("now_ns", [0, -1, None, 1.5, True])
def test_a_time_that_is_none_denies(now_ns):
    expected = "LIMITS MARKET_HOURS NO_TRADE_WINDOW STALE_DATA ORDERS_PER_MINUTE DUPLICATE_INTENT"
    window = (NoTrade(1, 2, "x"),)
    assert codes(seen=view(no_trade=window), now_ns=now_ns) == expected


# -- states --------------------------------------------------------------------------------------------------------------------------

TRIPPED = KillState(Tripped(1, "ann", "runaway"))
SAID = {
    "KILLED": (order(), view(kill=TRIPPED), "ann stopped all opening orders: runaway"),
    "UNRECONCILED": (order(), view(account=account(is_reconciled=False)), "our books differ from the broker's"),
    "UNKNOWN_ORDER": (order(), view(working=[Working("w", ((CALL, D(1)),), is_unknown=True)]), f"an order for {CALL} has no answer yet"),
    "PERSONA": (order(), view(persona=Persona("bob", may_open=False)), "bob may not open positions"),
    "STRATEGY_DISABLED": (order(**ORB), view(strategy=Strategy("orb", is_enabled=False, is_proven=True)), "orb is switched off"),
    "STRATEGY_UNPROVEN": (order(**ORB), view(strategy=Strategy("orb", is_enabled=True, is_proven=False)), "orb is not proven"),
    "MARKET_HOURS": (order(), view(session=Session(NOW + 30 * MIN, CLOSE_NS)), "it is 11:00:00 in New York, regular hours are 11:30 to 16:00"),
    "NO_TRADE_WINDOW": (order(), view(no_trade=(NoTrade(NOW, NOW + MIN, "FOMC"),)), "no opening orders until 11:01: FOMC"),
    "BUYING_POWER": (order(), view(account=account(buying_power_usd=D("199.99"))), "it takes $200.00 of buying power; there is $199.99"),
    "ACCOUNT": (order(account="p2"), view(), "the order is for 'p2', what is known is of 'paper'"),
}  # fmt: skip


@pytest.mark.parametrize("code", SAID)
def test_a_state_that_does_not_hold_denies_with_its_sentence(code):
    intent, seen, sentence = SAID[code]
    wide = limits(no_trade_first_min=None)
    decision = decide(intent, seen, wide)
    assert decision.codes == code
    assert not decision.is_allowed
    (one,) = decision.denials
    assert (one.sentence, one.seen, one.limit) == (f"denied: {sentence}", None, None)


@pytest.mark.parametrize(
    ("now_ns", "expected"),
    [(OPEN_NS - 1, "MARKET_HOURS"), (OPEN_NS, ""), (CLOSE_NS - 1, ""), (CLOSE_NS, "MARKET_HOURS")],
)
def test_market_hours_to_the_nanosecond(now_ns, expected):
    fresh = view(instruments={CALL: option(ts_ns=now_ns)}, account=account(ts_ns=now_ns))
    assert codes(seen=fresh, limits_=limits(no_trade_first_min=None, no_trade_last_min=None), now_ns=now_ns) == expected


def test_a_day_without_trading():
    decision = decide(seen=view(session=Session(0, 0)), limits_=limits(no_trade_last_min=None))
    assert decision.denials[0].sentence == "denied: there is no trading now"


@pytest.mark.parametrize(
    ("window", "is_denied"),
    [
        (NoTrade(NOW, NOW + 1, "x"), True),
        (NoTrade(NOW - 1, NOW, "x"), False),
        (NoTrade(NOW + 1, NOW + 2, "x"), False),
        (NoTrade(NOW, NOW + 1, "earnings", "AAPL"), True),
        (NoTrade(NOW, NOW + 1, "earnings", "MSFT"), False),
    ],
)
def test_windows_without_trading_to_the_nanosecond(window, is_denied):
    assert codes(seen=view(no_trade=(NoTrade(1, 2, "long ago"), window))) == ("NO_TRADE_WINDOW" if is_denied else "")


@pytest.mark.parametrize(("ahead_ns", "is_denied"), [(0, False), (S, False), (S + 1, True)])
def test_a_stamp_from_the_future_is_no_fresh_one(ahead_ns, is_denied):
    assert codes(seen=with_instrument(CALL, ts_ns=NOW + ahead_ns)) == ("STALE_DATA" if is_denied else "")
    if is_denied:
        said = verdict(decide(seen=with_instrument(CALL, ts_ns=NOW + ahead_ns)), "STALE_DATA", "quote_age_s").sentence
        assert said == f"denied: the time of the quote of {CALL} lies 1.000000001 s ahead of the clock"


def test_the_stream_has_to_be_live():
    assert decide(seen=view(account=account(is_stream_live=False))).denials[0].sentence == "denied: the broker's stream of fills is down"


def test_a_ticket_needs_no_strategy_and_a_strategy_its_own():
    assert codes(seen=view(strategy=None)) == ""
    assert codes(order(**ORB)) == ""
    for strategy in (None, Strategy("other", is_enabled=True, is_proven=True), Strategy("orb")):
        assert codes(order(**ORB), view(strategy=strategy)) == "STRATEGY_DISABLED STRATEGY_UNPROVEN"


def test_what_a_persona_may():
    sell = order(CONDOR_SIDE, limit="-0.50", key="s")
    no_sales = Persona("bob", may_open=True, may_sell_to_open=False)
    assert codes(sell) == "STOP_DISTANCE_MIN STOP_DISTANCE_MAX"  # the stop of the plain world is none for it
    plain = limits(stop_distance_min_pct=None, stop_distance_max_pct=None)
    assert codes(sell, limits_=plain) == ""
    assert decide(sell, view(persona=no_sales), plain).denials[0].sentence == "denied: bob may not sell to open"
    assert codes(order(), view(persona=no_sales)) == ""
    assert codes(sell, view(persona=Persona("bob", may_open=True)), plain) == "PERSONA"
    assert codes(order(), view(persona=Persona("bob", may_open=True))) == ""
    assert codes(order(), view(persona=Persona("bob"))) == "PERSONA"
    assert codes(order(), view(persona=replace(no_sales, underlyings=frozenset({"AAPL", "SPY"})))) == ""
    assert codes(order(), view(persona=replace(no_sales, underlyings=frozenset({"AAPL"})))) == ""
    said = decide(order(), view(persona=replace(no_sales, underlyings=frozenset({"SPY"})))).denials[0].sentence
    assert said == "denied: bob may not trade AAPL"


@pytest.mark.parametrize("origin", ["ticket", "orb"])
def test_a_state_that_holds_has_nothing_to_say(origin):
    case = Case(order(origin=origin), view(), limits(), NOW)
    assert {rule.wrong(case) for rule in RULES if isinstance(rule, State)} == {""}


def test_the_edges_of_what_is_a_number():
    assert number("x", LARGEST) == LARGEST
    assert number("x", -LARGEST) == -LARGEST
    assert number("x", D("-0.5"), least=D("-0.5")) == D("-0.5")
    assert positive("x", D("0.5")) == D("0.5")
    assert instant("x", 1) == 1
    assert flag("x", False) is False
    for bad, said in ((D(0), "x is 0, and has to be above 0"), (D(-1), "x is -1, and has to be above 0"), (None, "x is not known")):
        with pytest.raises(Missing, match=said):
            positive("x", bad)
    for bad, said in ((D("NaN"), "x is Decimal.'NaN'., which is nothing to judge by"), (D(-2), "x is -2, which can't be below -1")):
        with pytest.raises(Missing, match=said):
            number("x", bad, least=D(-1))


# -- once, and not too often ---------------------------------------------------------------------------------------------------------


def recent(ts_ns=NOW - S, legs=((CALL, "buy"),), qty=1, name="other"):
    return view(recent=(Recent(name, ts_ns, frozenset(legs), D(qty)),))


@pytest.mark.parametrize(
    ("seen", "is_denied"),
    [
        (recent(), True),
        (recent(NOW), True),
        (recent(NOW + S), True),
        (recent(NOW - 5 * S + 1), True),
        (recent(NOW - 5 * S), False),
        (recent(qty=2), False),
        (recent(legs=((CALL, "sell"),)), False),
        (recent(legs=((CALL, "buy"), (PUT, "buy"))), False),
        (recent(NOW - 3600 * S, (), 7, order().client_order_id), True),
        (recent(name="wb-old"), True),
    ],
)
def test_the_same_wish_twice(seen, is_denied):
    assert codes(seen=seen) == ("DUPLICATE_INTENT" if is_denied else "")


def test_the_sentences_of_a_wish_uttered_twice():
    assert decide(seen=recent(NOW - 1_500_000_000)).denials[0].sentence == "denied: the same legs and quantity were ordered 1.5 s ago"
    assert decide(seen=recent(name=order().client_order_id)).denials[0].sentence == "denied: this very order was decided before"
    assert decide(seen=recent()).denials[0].limit == 5


def test_an_order_that_takes_the_place_of_its_twin_is_no_twin():
    assert codes(order(replaces="other"), recent()) == ""
    assert codes(order(replaces="another"), recent()) == "DUPLICATE_INTENT"


def test_two_orders_that_close_what_is_held_are_no_twins():
    """A target and a stop, or targets of two partial fills: what is held bounds them."""
    sold = Recent("other", NOW, frozenset({(CALL, "sell")}), D(1))
    assert codes(order(SELL), view(LONG, recent=(sold,))) == ""
    assert codes(order(SELL), view(LONG, recent=(replace(sold, client_order_id=order().client_order_id),))) == "DUPLICATE_INTENT"
    assert "DUPLICATE_INTENT" in codes(order(SELL), view(recent=(sold,)))


def test_a_window_of_zero_still_knows_the_very_same_order():
    assert codes(seen=recent(NOW), limits_=limits(duplicate_window_s=0)) == ""
    assert codes(seen=recent(NOW, name=order().client_order_id), limits_=limits(duplicate_window_s=0)) == "DUPLICATE_INTENT"


def test_what_is_remembered_of_an_order():
    assert Recent.of(order(VERTICAL, 2, "1.00")) == Recent(order().client_order_id, NOW, frozenset({(CALL, "buy"), (HIGHER, "sell")}), D(2))


@pytest.mark.parametrize(("age_ns", "counted"), [(60 * S, 1), (60 * S - 1, 2), (-S, 2)])
def test_an_order_counts_for_a_minute_to_the_nanosecond(age_ns, counted):
    seen = view(recent=(Recent("x", NOW - age_ns, frozenset(), D(1)),))
    assert verdict(decide(seen=seen), "ORDERS_PER_MINUTE").seen == counted


# -- prices ---------------------------------------------------------------------------------------------------------------------------

SELL = (Leg(CALL, "sell", effect="close"),)
LONG = [Position(CALL, D(5))]


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (order(limit="2.50"), "25"),
        (order(limit="1.50"), "-25"),  # cheaper than the middle is never too far
        (order(SELL, limit="1.50"), "25"),
        (order(SELL, limit="2.50"), "-25"),
        (market(), "5"),
        (market(SELL), "5"),
        (order(kind="stop", limit=None, stop="2.60"), "5"),
        (order(kind="stop_limit", limit="2.60", stop="2.50"), "4"),
        (order(SELL, kind="stop_limit", limit="1.20", stop="1.50"), "20"),
        (order(VERTICAL, limit="1.10"), "10"),
        (market(VERTICAL), "20"),  # 2.10 - 0.90 against 2.00 - 1.00
        (order(CONDOR_SIDE, limit="-0.75"), "25"),
    ],
)
def test_how_much_worse_than_the_middle(intent, expected):
    assert verdict(decide(intent, view(LONG)), "PRICE_COLLAR").seen == D(expected)


def test_the_collar_of_a_structure_that_costs_nothing_can_not_be_told():
    even = view(instruments={HIGHER: option()})
    said = verdict(decide(order(VERTICAL, limit="0.00"), even), "PRICE_COLLAR").sentence
    assert said == "denied: the middle of the quote is 0, of which nothing is a share"


@pytest.mark.parametrize(
    ("bid", "ask", "is_market"), [("2.00", "2.00", True), ("2.01", "2.00", False), ("0", "0", False), ("0", "0.05", True)]
)
def test_a_crossed_or_empty_quote_is_no_market(bid, ask, is_market):
    said = verdict(decide(seen=view(instruments={CALL: option(bid, ask)})), "SPREAD_PCT")
    assert (said.outcome == "passed") == is_market
    if not is_market:
        assert said.sentence == f"denied: the quote of {CALL} is {bid} bid, {ask} offered, which is no market"


@pytest.mark.parametrize(
    ("intent", "stop", "expected"),
    [
        (order(), "1.00", "50"),
        (order(), "2.00", None),
        (order(), "2.50", None),
        (order((Leg("AAPL", "sell"),), limit="200.00"), "210", "5"),
        (order((Leg("AAPL", "sell"),), limit="200.00"), "190", None),
        (order(CONDOR_SIDE, limit="-1.00"), "-1.50", "50"),
        (order(CONDOR_SIDE, limit="-1.00"), "-0.50", None),
        (order(VERTICAL, limit="0.00"), "-1", None),
        (market(), "1.05", "50"),
        (order(kind="stop", limit=None, stop="2.50"), "2.00", "20"),
        (order(kind="stop", limit=None, stop="1.50"), "1.05", "50"),  # the offer is worse already
    ],
)
def test_the_distance_of_a_stop(intent, stop, expected):
    decision = decide(intent, view(stop_usd=D(stop)))
    for code in ("STOP_DISTANCE_MIN", "STOP_DISTANCE_MAX"):
        assert verdict(decision, code).seen == (None if expected is None else D(expected))
        assert (verdict(decision, code).outcome == "passed") == (expected is not None)


def test_the_sentences_of_a_stop_that_is_none():
    assert verdict(decide(seen=view(stop_usd=None)), "STOP_DISTANCE_MIN").sentence == "denied: the stop is not known"
    assert (
        verdict(decide(seen=view(stop_usd=D("2.5"))), "STOP_DISTANCE_MIN").sentence
        == "denied: the stop at 2.5 does not lie on the losing side of the entry"
    )
    said = verdict(decide(order(VERTICAL, limit="0.00")), "STOP_DISTANCE_MIN").sentence
    assert said == "denied: the entry is 0, of which nothing is a share"


def test_liquidity_of_shares_is_their_volume():
    bought = order((Leg("AAPL", "buy"),), 1000, "200.00")
    assert verdict(decide(bought, view(instruments={"AAPL": share(volume=D(10_000))})), "LIQUIDITY_SHARE").seen == 10


def test_liquidity_is_that_of_the_worst_leg():
    thin = view(instruments={HIGHER: option("0.90", "1.10", volume=D(50), open_interest=D(20))})
    assert verdict(decide(order(VERTICAL, 5, "1.00"), thin), "LIQUIDITY_SHARE").seen == 10


# -- the table ------------------------------------------------------------------------------------------------------------------------

CODES = [
    "POSITION_SIZE_PCT",
    "MAX_CONTRACTS",
    "MAX_NOTIONAL",
    "MAX_LOSS_PER_TRADE",
    "DAILY_LOSS",
    "WEEKLY_DRAWDOWN",
    "MONTHLY_DRAWDOWN",
    "OPEN_POSITIONS",
    "ORDERS_PER_MINUTE",
    "DUPLICATE_INTENT",
    "PRICE_COLLAR",
    "SPREAD_PCT",
    "LIQUIDITY_SHARE",
    "STOP_DISTANCE_MIN",
    "STOP_DISTANCE_MAX",
    "DELTA_BUDGET",
    "GAMMA_BUDGET",
    "VEGA_BUDGET",
    "THETA_BUDGET",
    "SYMBOL_CONCENTRATION",
    "SECTOR_CONCENTRATION",
    "DIRECTION_CONCENTRATION",
    "BUYING_POWER",
    "MARKET_HOURS",
    "NO_TRADE_WINDOW",
    "STALE_DATA",
    "UNRECONCILED",
    "UNKNOWN_ORDER",
    "REGIME",
    "STRATEGY_DISABLED",
    "STRATEGY_UNPROVEN",
    "PERSONA",
    "KILLED",
]


def test_the_codes_that_were_asked_for_are_there():
    assert {rule.code for rule in RULES} == {*CODES, "LIMITS", "ACCOUNT"}


def test_the_page_of_the_rules_is_the_code_s_own(root):
    assert table() in (root / "workbench" / "risk" / "rules.md").read_text()


def test_what_the_table_says_of_a_limit_that_is_missing_and_of_orders_that_close():
    rows = table().splitlines()
    assert "| DELTA_BUDGET | delta of the book is at most the limit | `delta_shares` [units] | rule off | pass |" in rows
    assert (
        "| PRICE_COLLAR | worse than the middle of the quote is at most the limit | `price_collar_pct` [%] | denied | judged too |" in rows
    )
    assert "| KILLED | the kill switch is not tripped |  |  | pass |" in rows
    assert (
        "| DUPLICATE_INTENT | the same was not ordered just now (to close: not this very order) | `duplicate_window_s` [s] | denied | judged too |"
        in rows
    )


def test_every_limit_is_read_by_the_rule_of_its_code():
    assert {rule.limit: rule.code for rule in RULES if rule.limit} == {name: limit.code for name, limit in LIMITS.items()}
    assert all(isinstance(rule, Measure) or rule.limit in ("", "duplicate_window_s") for rule in RULES)
