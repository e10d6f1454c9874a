"""Contract suggestion: exact costs, a checklist that never takes the unknown for good, and one order for equal inputs."""

from __future__ import annotations

import math
from dataclasses import replace
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
from workbench.options.priced import price_chain
from workbench.options.rates import RateCurve
from workbench.options.suggest import Event, Known, Thresholds, Verdict, Wish, cost_usd, suggest
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import OptionContract

CALENDAR = SessionCalendar.xnys()
TODAY, FRIDAY, NEXT = date(2025, 7, 15), date(2025, 7, 18), date(2025, 8, 15)
AT_TEN = ny_ns(TODAY, 10)
PASS, WARN, FAIL, UNKNOWN = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN
KNOWN = Known(realised_vol=0.2, atr_usd=8.0, events=(), earnings=(), ex_dividends=())
WISH = Wish("up", Decimal(2000), 0, 45, 0.2, 0.7)


def rows_of(days=(FRIDAY,), *, strikes=range(580, 621, 5), vol=0.2, half=0.02, interest=1000.0, volume=500.0, root="SPY"):
    """Calls and puts at one volatility, bid and ask in cents around the model's price."""
    contracts = [OptionContract(root, day, right, Decimal(str(k))) for day in days for k in strikes for right in "CP"]
    rows = contract_rows(contracts, CALENDAR)
    years = (rows["expiry_ns"] - AT_TEN) / (365 * 86_400e9)
    mid = np.round(black.price(600, rows["strike"], years, 0.0, vol, rows["right"]), 2)
    rows["bid"], rows["ask"] = np.round(mid - half, 2), np.round(mid + half, 2)
    rows["open_interest"], rows["volume"], rows["ts_ns"] = interest, volume, AT_TEN
    return rows


def priced_of(rows, *, clock=TimeClock.CAL365, spot=600.0):
    chain = make_chain("SPY", rows, spot=spot, spot_ts_ns=AT_TEN, asof_ns=AT_TEN, source="test")
    return price_chain(chain, clock=clock, rates=RateCurve.constant(0.0), calendar=CALENDAR)


def suggested(rows=None, wish=WISH, known=KNOWN, thresholds=None, **how):
    return suggest(priced_of(rows_of() if rows is None else rows), wish, known, thresholds, **how)


def line(row, check):
    (found,) = [each for each in row.checklist if each.check == check]
    return found


# -- money --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "fee", "expected"),
    [(2.00, None, "200.00"), (2.00, Decimal("0.66"), "200.66"), (0.07, None, "7.00"), (0.1 + 0.2, None, "30.00"), (1.005, None, "100.50"),
     (0.29, Decimal("0.655"), "29.66"), (1234.56, None, "123456.00")],
)  # fmt: skip
def test_a_contract_costs_its_ask_times_100_and_the_fee_to_the_cent(ask, fee, expected):
    assert cost_usd(ask, fee) == Decimal(expected)
    assert str(cost_usd(ask, fee)) == expected


def test_the_budget_pays_for_whole_contracts_and_one_cent_short_is_short():
    rows = rows_of(strikes=[600])
    row = suggested(rows).rows[0]
    assert row.cost_usd == cost_usd(row.ask_usd)
    exactly = replace(WISH, budget_usd=row.cost_usd)
    assert suggested(rows, exactly).rows[0].contracts == 1
    short = suggested(rows, replace(WISH, budget_usd=row.cost_usd - Decimal("0.01")))
    assert short.rows == ()
    assert (short.funnel[-1].filter, short.funnel[-1].failed) == ("budget", 1)
    assert any("no contract fits" in note for note in short.notes)
    assert suggested(rows, replace(WISH, budget_usd=3 * row.cost_usd)).rows[0].contracts == 3


def test_the_fee_moves_cost_and_break_even_and_its_absence_is_said():
    rows = rows_of(strikes=[600])
    free, paid = suggested(rows), suggested(rows, replace(WISH, fee_usd=Decimal("1.00")))
    assert paid.rows[0].cost_usd - free.rows[0].cost_usd == 1
    assert paid.rows[0].break_even_usd - free.rows[0].break_even_usd == pytest.approx(0.01)
    assert any("without fees" in note for note in free.notes)
    assert not any("without fees" in note for note in paid.notes)


def test_up_buys_calls_and_down_buys_puts_and_break_even_is_on_that_side():
    up, down = suggested(), suggested(wish=replace(WISH, direction="down"))
    assert {row.right for row in up.rows} == {"C"}
    assert {row.right for row in down.rows} == {"P"}
    assert all(row.break_even_usd == pytest.approx(row.strike + row.ask_usd) for row in up.rows)
    assert all(row.break_even_usd == pytest.approx(row.strike - row.ask_usd) for row in down.rows)
    assert all(row.delta < 0 and 0.2 <= -row.delta <= 0.7 for row in down.rows)


# -- the checklist ------------------------------------------------------------------------------------------------------------------

CHECKS = ["spread", "open interest", "volume", "IV versus realised", "theta per hour", "break-even distance", "event risk", "earnings",
          "ex-dividend"]  # fmt: skip


def test_every_contract_has_every_line_with_number_threshold_and_sentence():
    for row in suggested().rows:
        assert [each.check for each in row.checklist] == CHECKS
        for each in row.checklist:
            assert each.threshold
            assert each.sentence
            assert each.unit
            assert (each.value is None) == (each.verdict is UNKNOWN)


def test_what_nobody_knows_is_unknown_never_passed():
    rows = rows_of(interest=math.nan, volume=math.nan)
    for row in suggested(rows, known=None).rows:
        told = {each.check: each.verdict for each in row.checklist}
        for check in set(CHECKS) - {"spread", "theta per hour"}:
            assert told[check] is UNKNOWN, check
        assert row.count(UNKNOWN) == 7
    for broken in (Known(realised_vol=math.nan, atr_usd=math.nan), Known(realised_vol=0.0, atr_usd=-1.0)):
        row = suggested(known=broken).rows[0]
        assert line(row, "IV versus realised").verdict is UNKNOWN
        assert line(row, "break-even distance").verdict is UNKNOWN


@pytest.mark.parametrize(("half", "verdict"), [(0.05, PASS), (0.25, WARN), (1.2, FAIL)])
def test_spread_is_judged_against_the_mid(half, verdict):
    (row,) = suggested(rows_of(strikes=[600], half=half)).rows
    got = line(row, "spread")
    assert got.verdict is verdict
    assert got.value == pytest.approx(100 * (row.ask_usd - row.bid_usd) / (0.5 * (row.ask_usd + row.bid_usd)))


@pytest.mark.parametrize(("n", "verdict"), [(500, PASS), (499, WARN), (50, WARN), (49, FAIL), (0, FAIL)])
def test_open_interest_is_judged_inclusively(n, verdict):
    (row,) = suggested(rows_of(strikes=[600], interest=n)).rows
    got = line(row, "open interest")
    assert (got.verdict, got.value) == (verdict, n)


@pytest.mark.parametrize(("n", "verdict"), [(100, PASS), (99, WARN), (9, FAIL)])
def test_volume_is_judged_inclusively(n, verdict):
    (row,) = suggested(rows_of(strikes=[600], volume=n)).rows
    assert line(row, "volume").verdict is verdict


@pytest.mark.parametrize(("realised", "verdict"), [(0.2, PASS), (0.15, WARN), (0.1, FAIL)])
def test_dear_volatility_is_told_against_what_was_realised(realised, verdict):
    (row,) = suggested(rows_of(strikes=[600]), known=replace(KNOWN, realised_vol=realised)).rows
    got = line(row, "IV versus realised")
    assert got.verdict is verdict
    assert got.value == pytest.approx(row.iv / realised)


def test_theta_per_hour_is_what_an_hour_takes_from_the_model_price():
    """By revaluing an hour later, without our greeks."""
    (row,) = suggested(rows_of([NEXT], strikes=[600])).rows
    years = (ny_ns(NEXT, 16) - AT_TEN) / (365 * 86_400e9)
    hour = 1 / (365 * 24)
    lost = float(black.price(600, 600, years, 0, row.iv, "C") - black.price(600, 600, years - hour, 0, row.iv, "C")) * 100
    got = line(row, "theta per hour")
    assert -row.theta_usd_per_hour == pytest.approx(lost, rel=0.01)
    assert got.value == pytest.approx(lost / row.ask_usd, rel=0.01)
    assert got.verdict is PASS


def test_an_hour_is_an_hour_of_the_clock_that_measured_the_volatility():
    calendar = suggest(priced_of(rows_of([TODAY], strikes=[600])), WISH, KNOWN).rows[0]
    trading = suggest(priced_of(rows_of([TODAY], strikes=[600]), clock=TimeClock.TRD252), WISH, KNOWN).rows[0]
    # of the day both clocks have the same six hours left, so an hour takes the same whatever the volatility is called
    assert calendar.iv > 2 * trading.iv
    assert calendar.theta_usd_per_hour == pytest.approx(trading.theta_usd_per_hour, rel=1e-6)


def test_the_last_hours_decay_fails():
    (row,) = suggested(rows_of([TODAY], strikes=[600])).rows
    assert line(row, "theta per hour").verdict is FAIL


@pytest.mark.parametrize(("atr", "verdict"), [(8.0, PASS), (2.5, WARN), (1.5, FAIL)])
def test_the_way_to_break_even_is_measured_in_days_of_range(atr, verdict):
    (row,) = suggested(rows_of(strikes=[600]), known=replace(KNOWN, atr_usd=atr)).rows
    got = line(row, "break-even distance")
    assert got.value == pytest.approx((row.break_even_usd - 600) / atr)
    allowed = math.sqrt(3 * 252 / 365)
    expected = PASS if got.value <= allowed else WARN if got.value <= 2 * allowed else FAIL
    assert got.verdict is expected is verdict


def test_events_and_dates_before_expiry_warn_by_name_and_later_ones_do_not():
    fomc = Event("FOMC", ny_ns(date(2025, 7, 17), 14))
    known = replace(KNOWN, events=(fomc, Event("CPI", ny_ns(NEXT, 8, 30))), earnings=(FRIDAY,), ex_dividends=(date(2025, 7, 21),))
    (near,) = suggested(rows_of([FRIDAY], strikes=[600]), known=known).rows
    assert (line(near, "event risk").verdict, line(near, "event risk").value) == (WARN, 1)
    assert "FOMC 17 Jul 14:00" in line(near, "event risk").sentence
    assert "CPI" not in line(near, "event risk").sentence
    assert line(near, "earnings").verdict is WARN
    assert line(near, "ex-dividend").verdict is PASS
    (far,) = suggested(rows_of([NEXT], strikes=[600]), known=known).rows
    assert line(far, "event risk").value == 2
    assert line(far, "ex-dividend").verdict is WARN
    past = replace(KNOWN, events=(Event("CPI", AT_TEN - 1),), earnings=(date(2025, 7, 14),))
    (row,) = suggested(rows_of([FRIDAY], strikes=[600]), known=past).rows
    assert line(row, "event risk").verdict is line(row, "earnings").verdict is PASS


# -- filters and order --------------------------------------------------------------------------------------------------------------


def test_expired_adjusted_unquoted_and_far_contracts_are_counted_not_ranked():
    rows = np.concatenate(
        [rows_of([FRIDAY]), rows_of([date(2025, 7, 14)], strikes=[600], half=0.0), rows_of([FRIDAY], strikes=[600], root="SPY1")]
    )
    rows["bid"][0] = math.nan
    got = suggested(rows)
    steps = {step.filter: step for step in got.funnel}
    assert steps["days to expiry"].failed == 1
    assert steps["standard"].failed == 1
    assert steps["implied volatility"].missing == 1
    for before, after in zip(got.funnel, got.funnel[1:]):
        assert after.tested == before.passed
    assert len(got.rows) == got.funnel[-1].passed
    assert all("SPY1" not in row.symbol for row in got.rows)


def test_fails_come_last_and_the_unknown_counts_as_a_warning():
    good, thin, silent = rows_of(strikes=[595]), rows_of(strikes=[600], interest=0), rows_of(strikes=[605], interest=math.nan)
    got = suggested(np.concatenate([thin, silent, good]))
    assert [row.strike for row in got.rows] == [595, 605, 600]
    assert [row.rank for row in got.rows] == [1, 2, 3]


def test_ties_are_broken_by_the_rule_that_is_stated():
    days = [date(2025, 7, 17), FRIDAY]
    got = suggested(rows_of(days))
    wanted = 0.45

    def key(row):
        fails, others = row.count(FAIL), row.count(WARN, UNKNOWN)
        return fails, others, abs(abs(row.delta) - wanted), (row.ask_usd - row.bid_usd) / row.mid_usd, row.expiry, row.strike, row.symbol

    assert [row.symbol for row in got.rows] == [row.symbol for row in sorted(got.rows, key=key)]
    assert "lowest strike" in got.ranked_by


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(36)))
def test_law_equal_chains_give_equal_suggestions_in_whatever_order_they_came(order):
    rows = rows_of([date(2025, 7, 17), FRIDAY])
    assert len(rows) == 36
    assert suggested(rows[list(order)]) == suggested(rows)


def test_the_list_ends_where_it_was_asked_to_and_says_so():
    whole = suggested()
    short = suggested(most=2)
    assert short.rows == whole.rows[:2]
    assert any("the first 2 of" in note for note in short.notes)


def test_a_spot_older_than_the_chain_gives_way_to_what_the_quotes_imply():
    chain = make_chain("SPY", rows_of(), spot=590.0, spot_ts_ns=AT_TEN - 3600 * 10**9, asof_ns=AT_TEN, source="test")
    got = suggest(price_chain(chain, clock=TimeClock.CAL365, rates=RateCurve.constant(0.0), calendar=CALENDAR), WISH, KNOWN)
    row = got.rows[0]
    assert line(row, "break-even distance").value == pytest.approx((row.break_even_usd - 600) / 8, abs=0.01)
    assert any("is what the quotes imply" in note for note in got.notes)


def test_an_empty_chain_suggests_nothing():
    assert suggested(rows_of()[:0]).rows == ()


def test_thresholds_are_the_callers():
    strict = Thresholds(pass_open_interest=5000, warn_open_interest=2000)
    assert line(suggested(thresholds=strict).rows[0], "open interest").verdict is FAIL


@pytest.mark.parametrize(
    ("bad", "name"),
    [({"direction": "long"}, "direction"), ({"budget_usd": 500.0}, "budget_usd"), ({"budget_usd": Decimal(-1)}, "budget_usd"),
     ({"fee_usd": Decimal("NaN")}, "fee_usd"), ({"min_dte": 50}, "min_dte"), ({"min_delta": -0.3}, "min_delta"), ({"max_delta": math.nan}, "max_delta")],
)  # fmt: skip
def test_a_wish_out_of_range_is_named(bad, name):
    with pytest.raises(RecordError, match=f"^{name}: received .*allowed"):
        replace(WISH, **bad)
