"""What is said about early exercise, dividends and settlement, against the exchanges' rules written out by hand."""

from __future__ import annotations

import math
from datetime import date

import pytest

from workbench.options import templates
from workbench.options.assignment import ExDividend, RemarkKind, remarks
from workbench.options.payoff import LegQuote
from workbench.sessions import SessionCalendar, ny_ns

CALENDAR = SessionCalendar.xnys()
FRIDAY = date(2026, 1, 16)
MONDAY_BEFORE = ny_ns(date(2026, 1, 12), 12, 0)


def said(structure, *, spot=600.0, now_ns=MONDAY_BEFORE, **more):
    return remarks(structure, spot_usd=spot, now_ns=now_ns, calendar=CALENDAR, **more)


def kinds(found):
    return [remark.kind for remark in found]


def test_a_short_call_before_a_dividend_worth_more_than_its_time_value():
    """Dividend 1.80; call 590 with spot 600 bid 10.50: 0.50 of time value is given up for 1.80."""
    call = templates.covered_call("SPY", FRIDAY, 590)
    quotes = [LegQuote(600, 600.01), LegQuote(10.50, 10.60)]
    paid = ExDividend(date(2026, 1, 13), 1.80)
    (remark,) = said(call, quotes=quotes, dividends=[paid])
    assert (remark.kind, remark.leg, remark.is_urgent) == (RemarkKind.DIVIDEND, 1, True)
    assert remark.text == "ex-dividend 13 Jan, 1.8, is more than the 0.50 of time value left: expect assignment of 1 the night before"
    (calm,) = said(call, quotes=[quotes[0], LegQuote(12.00, 12.10)], dividends=[paid])
    assert "does not pay yet" in calm.text
    assert not calm.is_urgent
    (unknown,) = said(call, dividends=[paid])
    assert "can't be told without a bid" in unknown.text
    assert unknown.is_urgent


@pytest.mark.parametrize(
    ("day", "is_urgent"),
    [(date(2026, 1, 13), True), (date(2026, 1, 14), False)],
)
def test_a_dividend_is_urgent_on_the_session_before_its_ex_date(day, is_urgent):
    call = templates.single("SPY", FRIDAY, "C", 590, side="sell")
    found = [r for r in said(call, quotes=[LegQuote(10.5, 10.6)], dividends=[ExDividend(day, 1.8)]) if r.kind is RemarkKind.DIVIDEND]
    assert [r.is_urgent for r in found] == [is_urgent]


def test_over_a_weekend_friday_is_the_night_before():
    call = templates.single("SPY", date(2026, 1, 23), "C", 590, side="sell")
    friday = ny_ns(date(2026, 1, 16), 12, 0)  # Monday the 19th is a holiday
    found = said(call, now_ns=friday, quotes=[LegQuote(10.5, 10.6)], dividends=[ExDividend(date(2026, 1, 20), 1.8)])
    assert [r.is_urgent for r in found if r.kind is RemarkKind.DIVIDEND] == [True]


@pytest.mark.parametrize(
    ("structure", "day"),
    [
        (templates.single("SPY", FRIDAY, "C", 590), date(2026, 1, 13)),  # bought: we decide ourselves
        (templates.single("SPY", FRIDAY, "C", 610, side="sell"), date(2026, 1, 13)),  # out of the money
        (templates.single("SPY", FRIDAY, "P", 610, side="sell"), date(2026, 1, 13)),  # a put gains by waiting for it
        (templates.single("SPY", FRIDAY, "C", 590, side="sell"), date(2026, 1, 20)),  # after expiry
        (templates.single("SPY", FRIDAY, "C", 590, side="sell"), date(2026, 1, 12)),  # already without
        (templates.single("SPXW", FRIDAY, "C", 590, side="sell"), date(2026, 1, 13)),  # European
    ],
)
def test_no_dividend_is_spoken_of_where_it_does_not_matter(structure, day):
    assert RemarkKind.DIVIDEND not in kinds(said(structure, quotes=[LegQuote(10.5, 10.6)], dividends=[ExDividend(day, 1.8)]))


def test_a_short_put_without_time_value_may_be_assigned_any_night():
    put = templates.single("SPY", FRIDAY, "P", 650, side="sell")
    (remark,) = said(put, quotes=[LegQuote(50.0, 50.4)])
    assert (remark.kind, remark.is_urgent) == (RemarkKind.EARLY, True)
    assert remark.text == "bid 50 leaves no time value above 50: assignment may come any night"
    assert said(put, quotes=[LegQuote(50.3, 50.8)]) == []
    assert said(put) == [], "without a bid nobody can say"
    assert said(templates.single("SPXW", FRIDAY, "P", 650, side="sell"), quotes=[LegQuote(49.0, 50.4)]) == []


def test_on_its_last_day_it_says_what_is_delivered_and_until_when():
    put = templates.single("SPY", FRIDAY, "P", 590, side="sell", qty=3)
    (remark,) = said(put, now_ns=ny_ns(FRIDAY, 11, 0))
    assert remark.text == "expires today into 300 shares; holders decide until 17:30 New York, after the close"
    (mine,) = said(templates.single("AAPL", FRIDAY, "C", 590), now_ns=ny_ns(FRIDAY, 11, 0))
    assert "you decide until 17:30" in mine.text
    assert said(templates.single("SPXW", FRIDAY, "C", 590), now_ns=ny_ns(FRIDAY, 11, 0)) == []


@pytest.mark.parametrize(
    ("hour", "minute", "spot", "is_pinned"),
    [
        (15, 29, 600.2, False),
        (15, 30, 600.2, True),
        (15, 50, 600.59, True),
        (15, 50, 600.7, False),
        (16, 30, 600.2, True),
        (17, 31, 600.2, None),
    ],
)
def test_pin_risk_is_the_last_half_hour_within_a_thousandth_of_the_strike(hour, minute, spot, is_pinned):
    found = kinds(said(templates.single("SPY", FRIDAY, "P", 600, side="sell"), spot=spot, now_ns=ny_ns(FRIDAY, hour, minute)))
    assert found == ([] if is_pinned is None else [RemarkKind.DELIVERY, *([RemarkKind.PIN] if is_pinned else [])])


def test_a_morning_settled_option_has_a_night_without_a_way_out():
    (remark,) = said(templates.single("SPX", FRIDAY, "C", 6000), spot=6000.0)
    assert remark.kind is RemarkKind.GAP
    assert remark.text == "last trades Thu 15 Jan 16:15 New York, settles on the opening prices of Fri 16 Jan: overnight nobody gets out"


def test_morning_against_afternoon_is_no_hedge_for_the_day():
    both = templates.single("SPX", FRIDAY, "C", 6000).with_leg(templates.single("SPXW", FRIDAY, "C", 6000, side="sell").legs[0])
    found = said(both, spot=6000.0)
    assert kinds(found) == [RemarkKind.SEVERAL_EXPIRIES, RemarkKind.GAP]
    assert "in the morning" in found[0].text
    calendar = said(templates.calendar("SPXW", FRIDAY, date(2026, 2, 20), "C", 6000), spot=6000.0)
    assert kinds(calendar) == [RemarkKind.SEVERAL_EXPIRIES]
    assert "by a model" in calendar[0].text


@pytest.mark.parametrize(
    ("structure", "has_limit"),
    [
        (templates.single("SPXW", FRIDAY, "C", 6000, side="sell"), False),
        (templates.straddle("SPXW", FRIDAY, 6000, side="sell"), False),
        (templates.single("SPXW", FRIDAY, "P", 6000, side="sell"), True),
        (templates.covered_call("SPY", FRIDAY, 610), True),
        (templates.iron_condor("SPXW", FRIDAY, 5800, 5900, 6100, 6200), True),
    ],
)
def test_a_loss_without_limit_is_said(structure, has_limit):
    assert (RemarkKind.UNLIMITED in kinds(said(structure))) != has_limit


def test_an_expired_leg_and_an_unknown_spot_say_nothing():
    call = templates.single("SPY", FRIDAY, "C", 590, side="sell")
    assert said(call, now_ns=ny_ns(date(2026, 1, 20), 12, 0), quotes=[LegQuote(10, 10.1)]) == []
    assert kinds(said(call, spot=math.nan, quotes=[LegQuote(10, 10.1)])) == [RemarkKind.UNLIMITED]
