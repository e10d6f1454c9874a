"""The decision: every rule is asked, each with what it saw, and nothing outside changes the answer."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_UP, Context, Inexact, localcontext

import pytest

from tests.risk.world import CALL, CLOSE_NS, NOW, OPEN_NS, D, account, decide, limits, none_but, option, order, verdict, view
from workbench.orders import Leg
from workbench.risk.book import Position
from workbench.risk.gate import check, what_if
from workbench.risk.kill import KillState, Tripped
from workbench.risk.rules import RULES
from workbench.risk.view import Session
from workbench.sessions import SessionCalendar, ny_ns


def test_an_order_that_passes():
    decision = decide()
    assert decision.is_allowed
    assert (decision.codes, decision.denials, decision.is_closing) == ("", (), False)
    assert (decision.client_order_id, decision.now_ns, decision.limits_version) == (order().client_order_id, NOW, limits().version)


def test_every_rule_is_asked_after_one_has_denied():
    many = decide(seen=view(kill=KillState(Tripped(1, "ann", "x")), session=None), limits_=limits(max_contracts=0, vix_max=17, vix_min=19))
    assert not many.is_allowed
    assert many.codes == "KILLED MARKET_HOURS NO_TRADE_WINDOW REGIME MAX_CONTRACTS"
    assert [(one.code, one.limit_name) for one in many.verdicts] == [(rule.code, rule.limit) for rule in RULES]
    assert len(many.denials) == 7


def test_what_if_is_the_gate_itself():
    assert what_if is check
    assert decide() == decide()


def test_without_limits_nothing_is_opened():
    decision = check(order(), view(), None, NOW)
    deny = "LIMITS STALE_DATA ORDERS_PER_MINUTE DUPLICATE_INTENT PRICE_COLLAR MAX_CONTRACTS MAX_NOTIONAL MAX_LOSS_PER_TRADE POSITION_SIZE_PCT DAILY_LOSS"
    assert decision.codes == deny
    assert decision.limits_version == ""
    assert verdict(decision, "LIMITS").sentence == "denied: no limit set is in force"
    assert decide(limits_=none_but()).codes == deny.removeprefix("LIMITS ")


def test_the_callers_decimal_context_changes_nothing():
    plain = decide(order(qty=3), view([Position("MSFT", D(7))], account=account(equity_usd=D("33333.33"))))
    with localcontext(Context(prec=3, rounding=ROUND_UP, traps=[Inexact])):
        intent, seen = order(qty=3), None
    seen = view([Position("MSFT", D(7))], account=account(equity_usd=D("33333.33")))
    with localcontext(Context(prec=3, rounding=ROUND_UP, traps=[Inexact])):
        assert check(intent, seen, limits(), NOW) == plain


def test_numbers_are_recorded_with_more_digits_than_any_limit():
    seen = verdict(decide(seen=view(account=account(equity_usd=D(30_000)))), "POSITION_SIZE_PCT").seen
    assert str(seen) == "0." + "6" * 59 + "7"


@pytest.mark.parametrize(
    ("name", "limit", "intent", "sentence"),
    [
        ("max_loss_usd", "1234.5", order(qty=7), "what it can lose: $1,400.00; allowed: at most $1,234.50"),
        ("max_contracts", "1000", order(qty=1500), "contracts that it opens: 1,500; allowed: at most 1,000"),
        ("quote_age_s", "0.5", order(), "age of the oldest quote of a leg: 1 s; allowed: at most 0.5 s"),
        ("no_trade_first_min", "120", order(), "minutes since the open: 90 min; allowed: at least 120 min"),
        ("vix_max", "17.25", order(), "VIX: 18 points; allowed: at most 17.25 points"),
        ("price_collar_pct", "1.75", order(limit="2.10"), "worse than the middle of the quote: 5%; allowed: at most 1.75%"),
        ("price_collar_pct", "0", order(limit="1.99"), "worse than the middle of the quote: -0.5%; allowed: at most 0%"),
        ("daily_loss_usd", "0", order(), "loss of the day: -$12.50; allowed: below $0.00"),
        ("delta_shares", "100.5", order(qty=2), "delta of the book: 100; allowed: at most 100.5"),
    ],
)
def test_sentences_for_the_trader(name, limit, intent, sentence):
    seen = view(account=account(day_pnl_usd=D("12.5"), buying_power_usd=D(10**6)))
    assert sentence in [one.sentence for one in decide(intent, seen, limits(**{name: limit})).verdicts]


def test_the_session_of_an_instant():
    calendar = SessionCalendar.xnys()
    assert Session.at(calendar, NOW) == Session(OPEN_NS, CLOSE_NS)
    assert Session.at(calendar, ny_ns(date(2026, 11, 20), 5)) == Session(OPEN_NS, CLOSE_NS)
    assert Session.at(calendar, ny_ns(date(2026, 11, 20), 3)) == Session(0, 0)
    assert Session.at(calendar, ny_ns(date(2026, 11, 21), 12)) == Session(0, 0)
    assert Session.at(calendar, calendar.span[0]).open_ns > 0
    half = Session.at(calendar, ny_ns(date(2026, 11, 27), 12))
    assert half.close_ns == ny_ns(date(2026, 11, 27), 13)


def test_a_market_order_outside_hours_is_denied_even_when_it_closes():
    held = view([Position(CALL, D(1))], session=Session(0, 0))
    assert decide(order((Leg(CALL, "sell", effect="close"),), limit=None), held).codes == "MARKET_HOURS"


def test_the_multiplier_counts_wherever_there_is_money():
    """O22: a position of 100 contracts at 2.00 is 20,000 dollars, not 200."""
    decision = decide(order(qty=100))
    for code in ("MAX_NOTIONAL", "MAX_LOSS_PER_TRADE"):
        assert verdict(decision, code).seen == 20_000
    for code in ("POSITION_SIZE_PCT", "SYMBOL_CONCENTRATION", "SECTOR_CONCENTRATION"):
        assert verdict(decision, code).seen == 20
    assert verdict(decision, "DIRECTION_CONCENTRATION").seen == 1_000
    assert verdict(decision, "DELTA_BUDGET").seen == 5_000


def test_an_adjusted_contract_is_denied_wherever_its_terms_are_needed():
    odd = "O:AAPL1261218C00200000"
    seen = view(instruments={odd: option()})
    decision = decide(replace(order(), legs=(Leg(odd, "buy"),)), seen)
    assert verdict(decision, "MAX_LOSS_PER_TRADE").sentence == f"denied: what {odd} delivers is not known"
    assert "BUYING_POWER" in decision.codes
