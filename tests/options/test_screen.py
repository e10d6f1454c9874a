"""The covered-call screener: the worked example by number, each filter with its reason, nothing invented where data lacks."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import RecordError
from workbench.options import black
from workbench.options.chain import contract_rows, make_chain
from workbench.options.clocks import TimeClock
from workbench.options.implied import implied_vol
from workbench.options.priced import price_chain
from workbench.options.rates import RateCurve
from workbench.options.screen import CoveredCallRules, Forecast, legacy_score, p_above, realised_usd, screen_covered_calls
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import OptionContract

CALENDAR = SessionCalendar.xnys()
DAY = date(2025, 7, 15)
AT_TEN = ny_ns(DAY, 10)
NAN = math.nan


def chain_of(quotes, *, spot=600.0, day=DAY, root="SPY", asof_ns=AT_TEN, right="C"):
    """Rows of (strike, bid, ask, open interest, volume), quoted this moment."""
    rows = contract_rows([OptionContract(root, day, right, Decimal(str(q[0]))) for q in quotes], CALENDAR)
    for row, (_, bid, ask, interest, volume) in zip(rows, quotes):
        row["bid"], row["ask"], row["open_interest"], row["volume"], row["ts_ns"] = bid, ask, interest, volume, asof_ns
    return rows, {"spot": spot, "spot_ts_ns": asof_ns, "asof_ns": asof_ns}


def priced_of(quotes, *, more=(), rate=0.0, **how):
    rows, moment = chain_of(quotes, **how)
    chain = make_chain(how.get("root", "SPY"), np.concatenate([rows, *more]), **moment, source="test")
    return price_chain(chain, clock=TimeClock.CAL365, rates=RateCurve.constant(rate), calendar=CALENDAR)


def screened(quotes, rules=None, *, forecast=None, **how):
    return screen_covered_calls(priced_of(quotes, **how), rules, forecast=forecast)


EXAMPLE = (603, 0.42, 0.46, 1200, 5000)


def test_the_worked_example_of_six_hours_before_the_close():
    (row,) = screened([EXAMPLE]).rows
    assert row.status == "pass"
    assert row.otm_frac == pytest.approx(0.005)
    assert row.spread_frac == pytest.approx(0.0909, abs=5e-5)
    assert row.iv == pytest.approx(0.2358, abs=5e-5)
    assert row.delta == pytest.approx(0.2104, abs=5e-5)
    assert row.premium_yield == pytest.approx(0.000700, abs=5e-7)
    assert row.breakeven == pytest.approx(599.58, abs=1e-9)
    assert row.max_profit == pytest.approx(3.42, abs=1e-9)
    assert row.max_loss == pytest.approx(599.58, abs=1e-9)
    assert row.p_assigned == pytest.approx(0.2086, abs=5e-5)
    assert row.p_keep == pytest.approx(1 - 0.2086, abs=5e-5)
    assert row.pop == pytest.approx(0.5439, abs=5e-5)
    assert row.ev == pytest.approx(-0.02, abs=1e-9)
    assert row.minutes_left == 360


def test_a_forecast_below_the_market_makes_the_value_expected_and_its_error_is_shown():
    vol = screened([EXAMPLE]).rows[0].iv
    (row,) = screened([EXAMPLE], forecast=Forecast(0.9 * vol, "a test", error=0.1 * vol)).rows
    assert row.ev == pytest.approx(0.0831, abs=5e-5)
    assert row.ev_low == pytest.approx(-0.02, abs=1e-9)
    assert row.ev_high > row.ev
    assert row.ev_market == pytest.approx(-0.02, abs=1e-9)
    assert math.isnan(screened([EXAMPLE], forecast=Forecast(vol, "a test")).rows[0].ev_low)


def test_the_break_even_of_a_covered_call_lies_below_the_spot_and_that_of_a_naked_one_above_the_strike():
    """A trap: K + c is the naked call's; its chance of profit is another one, and a whole day of time makes both wrong."""
    (row,) = screened([EXAMPLE]).rows
    assert row.breakeven < 600 < row.strike + row.credit
    total = row.iv * math.sqrt(360 / 525_600)
    assert 1 - float(p_above(603.42, 600, total)) == pytest.approx(0.8222, abs=5e-5)
    a_day = row.iv * math.sqrt(1 / 365)
    assert float(p_above(599.58, 600, a_day)) == pytest.approx(0.5202, abs=5e-5)
    assert float(p_above(603, 600, a_day)) == pytest.approx(0.3408, abs=5e-5)


def test_what_was_made_counts_the_stocks_loss_though_nobody_assigned():
    end = np.array([0.0, 590, 599.58, 600, 603, 700])
    assert realised_usd(603, 600, 0.42, end) == pytest.approx([-599.58, -9.58, 0, 0.42, 3.42, 3.42])


def test_profit_loss_and_break_even_are_those_of_every_ending():
    (row,) = screened([EXAMPLE]).rows
    made = realised_usd(row.strike, 600, row.credit, np.linspace(0, 1000, 100_001))
    assert made.max() == pytest.approx(row.max_profit)
    assert made.min() == pytest.approx(-row.max_loss)
    assert float(realised_usd(row.strike, 600, row.credit, row.breakeven)) == pytest.approx(0, abs=1e-12)


def test_chances_and_the_value_expected_are_those_of_a_million_simulated_endings():
    (row,) = screened([EXAMPLE]).rows
    total = 0.9 * row.iv * math.sqrt(360 / 525_600)
    end = 600 * np.exp(total * np.random.default_rng(3).standard_normal(1_000_000) - 0.5 * total**2)
    made = realised_usd(603, 600, 0.42, end)
    assert float(p_above(603, 600, total)) == pytest.approx((end > 603).mean(), abs=2e-3)
    assert float(p_above(599.58, 600, total)) == pytest.approx((made > 0).mean(), abs=2e-3)
    (told,) = screened([EXAMPLE], forecast=Forecast(0.9 * row.iv, "a test")).rows
    assert told.ev == pytest.approx(made.mean(), abs=0.01)


def test_the_mid_may_be_asked_for_and_gives_nothing_away():
    (row,) = screened([EXAMPLE], CoveredCallRules(sell_at="mid")).rows
    assert (row.credit, row.breakeven) == (pytest.approx(0.44), pytest.approx(599.56))
    assert row.ev == pytest.approx(0, abs=1e-9)


# -- filters ------------------------------------------------------------------------------------------------------------------------

WIDE = CoveredCallRules(min_otm_frac=-1, max_otm_frac=10, min_delta=0, max_delta=1, min_bid_usd=0, min_open_interest=0, max_spread_frac=2)


@pytest.mark.parametrize(
    ("quote", "reason"),
    [
        ((599, 1.90, 1.96, 100, 9), "out of the money: -0.1667 %, allowed 0 % to 3 %"),
        ((619, 0.30, 0.34, 100, 9), "out of the money: 3.167 %, allowed 0 % to 3 %"),
        ((601, 1.30, 1.36, 100, 9), "delta: 0.4"),
        ((610, 0.05, 0.06, 100, 9), "delta: 0.0"),
        ((603, 0.04, 0.06, 100, 9), "bid: 0.04 USD, allowed at least 0.05 USD"),
        ((603, 0.42, 0.46, 0, 9), "open interest: 0, allowed at least 1"),
        ((603, 0.42, 0.46, NAN, 9), "open interest: not known"),
        ((603, 0.30, 0.70, 100, 9), "spread: 80 %, allowed at most 75 %"),
        ((603, NAN, 0.46, 100, 9), "bid: not known"),
        ((603, NAN, 0.46, 100, 9), "delta: not known"),
        ((603, 0.50, 0.46, 100, 9), "implied volatility: crossed"),
        ((603, 0.0, 0.46, 100, 9), "implied volatility: no bid"),
    ],
)
def test_a_call_that_fails_says_by_which_number(quote, reason):
    (row,) = screened([quote]).rows
    assert row.status == "fail"
    assert any(said.startswith(reason) for said in row.reasons), row.reasons


@pytest.mark.parametrize(
    ("quote", "spot"), [((618, 0.42, 0.46, 1, 0), 600.0), ((600, 0.42, 0.46, 1, 0), 600.0), ((603, 0.05, 0.11, 1, 0), 600.0)]
)
def test_every_bound_is_inclusive(quote, spot):
    (row,) = screened([quote], CoveredCallRules(min_delta=0, max_delta=1), spot=spot).rows
    assert row.status == "pass", row.reasons


def test_the_funnel_counts_every_contract_once_at_each_filter():
    quotes = [EXAMPLE, (604, 0.30, 0.34, NAN, 1), (599, 2.0, 2.1, 10, 1), (605, NAN, 0.3, 10, 1), (606, 0.02, 0.03, 10, 1)]
    puts, _ = chain_of([(590, 0.3, 0.34, 10, 1)], right="P")
    later, _ = chain_of([(603, 1.3, 1.34, 10, 1)], day=date(2025, 7, 16))
    adjusted, _ = chain_of([(603, 0.4, 0.44, 10, 1)], root="SPY1")
    got = screened(quotes, more=[puts, later, adjusted])
    steps = {step.filter: step for step in got.funnel}
    assert [(s.tested, s.passed) for s in got.funnel[:3]] == [(8, 7), (7, 6), (6, 5)]
    assert (steps["implied volatility"].passed, steps["implied volatility"].missing) == (4, 1)
    assert (steps["out of the money"].passed, steps["out of the money"].failed) == (3, 1)
    assert steps["open interest"].missing == 1
    for before, after in zip(got.funnel, got.funnel[1:]):
        assert after.tested == before.passed
    for step in got.funnel:
        assert step.passed + step.failed + step.missing == step.tested
    assert got.funnel[-1].passed == len(got.passed) == 1
    assert len(got.rows) == 5


def test_contracts_that_expired_a_minute_ago_and_those_of_tomorrow_are_not_of_the_day():
    assert screened([EXAMPLE], asof_ns=ny_ns(DAY, 16, 1)).rows == ()
    assert screened([EXAMPLE], day=date(2025, 7, 16)).rows == ()
    assert len(screened([EXAMPLE], CoveredCallRules(max_dte=1), day=date(2025, 7, 16)).rows) == 1
    assert any("nothing to screen" in note for note in screened([EXAMPLE], day=date(2025, 7, 16)).notes)
    assert screened([]).rows == ()


def test_without_a_spot_every_call_fails_and_no_number_is_invented():
    (row,) = screened([EXAMPLE], spot=NAN).rows
    assert row.status == "fail"
    assert all(
        math.isnan(getattr(row, name)) for name in ("premium_yield", "breakeven", "max_profit", "max_loss", "pop", "ev", "p_assigned")
    )


def test_a_spot_older_than_the_chain_gives_way_to_what_the_quotes_imply():
    rows, moment = chain_of([EXAMPLE, (600, 1.75, 1.79, 10, 1)])
    puts, _ = chain_of([(600, 1.25, 1.29, 10, 1), (603, 2.92, 2.96, 10, 1)], right="P")
    stale = {**moment, "spot": 599.0, "spot_ts_ns": AT_TEN - 3600 * 10**9}
    chain = make_chain("SPY", np.concatenate([rows, puts]), **stale, source="test")
    got = screen_covered_calls(price_chain(chain, clock=TimeClock.CAL365, rates=RateCurve.constant(0.0), calendar=CALENDAR))
    row = next(row for row in got.rows if row.strike == 603)
    assert row.spot == got.spot == pytest.approx(600.5, abs=0.02)  # 600 + 1.77 - 1.27
    assert row.breakeven == pytest.approx(row.spot - 0.42)
    assert any("is what the quotes imply" in note for note in got.notes)
    alone = make_chain("SPY", rows, **stale, source="test")
    lost = screen_covered_calls(price_chain(alone, clock=TimeClock.CAL365, rates=RateCurve.constant(0.0), calendar=CALENDAR))
    assert all(row.status == "fail" and math.isnan(row.breakeven) for row in lost.rows)
    assert "older than the chain" in lost.rows[0].reasons[0]


def test_late_and_near_the_strike_the_pin_is_marked():
    late = ny_ns(DAY, 15, 30)
    assert screened([(600.5, 0.3, 0.34, 10, 1)], asof_ns=late).rows[0].is_pin_risk
    assert not screened([(602, 0.3, 0.34, 10, 1)], asof_ns=late).rows[0].is_pin_risk
    assert not screened([(600.5, 0.3, 0.34, 10, 1)], asof_ns=ny_ns(DAY, 15, 29)).rows[0].is_pin_risk


def test_rows_come_in_a_stated_order_whatever_the_order_of_the_file():
    quotes = [(s, b, b + 0.02, 10, 1) for s, b in ((602, 0.60), (603, 0.42), (604, 0.42), (605, 0.25), (599, 2.0))]
    got = screened(quotes)
    again = screened(quotes[::-1])
    assert [row.strike for row in got.rows] == [row.strike for row in again.rows]
    inside = [(row.premium_yield, row.strike) for row in got.passed]
    assert inside == sorted(inside, key=lambda pair: (-pair[0], pair[1]))
    by_strike = screened(quotes, CoveredCallRules(rank_by="strike"))
    assert [row.strike for row in by_strike.passed] == sorted(row.strike for row in by_strike.passed)
    assert [row.status for row in got.rows] == sorted((row.status for row in got.rows), reverse=True)


def test_the_older_score_is_kept_for_comparison_and_no_confidence_is_made_up():
    (row,) = screened([EXAMPLE]).rows
    by_hand = 20_000 * 0.0007 + 40 * 0.5439 + 10 * 1 + 5 * math.log10(1201) / 4 + (5 - 10 * 0.0909)
    assert row.legacy_score == pytest.approx(by_hand, abs=0.01)
    assert row.confidence is None
    assert float(legacy_score(1, 1, 1e9, 1e9, 0)) == 100
    assert np.isnan(legacy_score(0.001, 0.5, NAN, 10, 0.1))


def test_who_delivers_what_is_said():
    assert any("SPY is American" in note for note in screened([EXAMPLE]).notes)
    assert any("settles in cash" in note for note in screened([(6030, 4.2, 4.6, 10, 1)], spot=6000.0, root="SPXW").notes)


def test_a_dividend_after_the_close_is_said_and_not_having_looked_too():
    def notes(dates, **how):
        return screen_covered_calls(priced_of([EXAMPLE], **how), ex_dividends=dates).notes

    assert any("nobody looked" in note for note in notes(None))
    assert any("ex-dividend on 2025-07-16" in note for note in notes([date(2025, 7, 16), date(2025, 10, 16)]))
    assert not any("ex-dividend on" in note for note in notes([DAY, date(2025, 10, 16)]))
    assert not any("ex-dividend dates" in note for note in notes(None, root="SPXW"))


@pytest.mark.parametrize(
    ("bad", "name"),
    [({"min_delta": 1.5}, "min_delta"), ({"max_spread_frac": NAN}, "max_spread_frac"), ({"sell_at": "last"}, "sell_at"),
     ({"rank_by": "yield"}, "rank_by"), ({"min_delta": 0.4}, "min_delta"), ({"max_dte": -1}, "max_dte")],
)  # fmt: skip
def test_a_rule_out_of_range_is_named(bad, name):
    with pytest.raises(RecordError, match=f"^{name}: received .*allowed"):
        CoveredCallRules(**bad)


def test_a_forecast_has_to_be_a_volatility():
    for vol, error in ((0.0, None), (-0.1, None), (NAN, None), (0.2, -0.1)):
        with pytest.raises(RecordError, match="allowed"):
            Forecast(vol, "a test", error)


def test_every_rule_explains_itself():
    for knob in fields(CoveredCallRules):
        assert knob.metadata["help"]
        assert isinstance(knob.metadata["unit"], str)


# -- laws ---------------------------------------------------------------------------------------------------------------------------

calls = st.tuples(st.floats(0.001, 0.05), st.floats(0.08, 1.5), st.integers(20, 385), st.floats(0.0, 0.08), st.floats(0.005, 0.1))


@settings(max_examples=80, deadline=None)
@given(call=calls, factor=st.floats(0.5, 1.5))
def test_law_at_the_markets_own_volatility_selling_at_the_bid_costs_half_the_spread(call, factor):
    far, vol, minutes, rate, half = call
    strike = round(600 * (1 + far), 1)
    asof = ny_ns(DAY, 16) - minutes * 60 * 10**9
    mid = float(black.price(600, strike, minutes / 525_600, rate, vol, "C"))
    if mid < 1.1 * half:
        return
    quotes = [(strike, mid - half, mid + half, 10, 1)]
    how = {"asof_ns": asof, "rate": rate}
    (row,) = screened(quotes, WIDE, **how).rows
    if row.status == "fail":  # too wide for a volatility
        return
    assert row.ev_market == pytest.approx(-half, abs=1e-9)
    (told,) = screened(quotes, WIDE, forecast=Forecast(factor * row.iv, "a test"), **how).rows
    assert (told.ev > row.ev_market - 1e-9) == (factor <= 1) or abs(factor - 1) < 1e-6
    assert 0 <= row.p_assigned <= row.pop <= 1
    assert row.p_assigned + row.p_keep == pytest.approx(1)
    assert row.max_profit == pytest.approx(row.strike - row.breakeven)
    assert float(implied_vol(row.mid, 600, strike, minutes / 525_600, rate, "C").vol) == pytest.approx(row.iv, rel=1e-6)


@settings(max_examples=200, deadline=None)
@given(forward=st.floats(1, 1e4), total=st.floats(0, 2), low=st.floats(-10, 2e4), step=st.floats(0, 1e4))
def test_law_a_higher_level_is_never_likelier(forward, total, low, step):
    at, above = p_above([low, low + step], forward, total)
    assert 1 >= at >= above >= 0
