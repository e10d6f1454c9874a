"""What a chain is worth: prices of another library come back as its volatility, and every bad state has a status and a sentence.

Oracle: QuantLib's Black formula, hand arithmetic, and domain facts (expiry instants, put-call parity).
"""

from __future__ import annotations

import dataclasses
import math
from datetime import date, timedelta

import numpy as np
import pytest
import QuantLib

from tests.options.chains import ASOF, CALENDAR, DAY, chain_of, rows_of
from workbench.options.black import Greeks
from workbench.options.chain_status import ChainStatus, PricingModel
from workbench.options.clocks import TimeClock
from workbench.options.forward import ForwardStatus
from workbench.options.priced import price_chain
from workbench.options.quotes import IvSource, QuoteLimits
from workbench.options.rates import RateCurve
from workbench.sessions import ny_ns
from workbench.types import NS_PER_S

MINUTE = 60 * NS_PER_S
RATE = RateCurve.constant(0.04)
YEARS = (ny_ns(DAY, 16) - ASOF) / (525_600 * MINUTE)  # 29 hours


def ql_price(strike, right, *, forward, vol=0.2, years=YEARS, rate=0.04):
    kind = QuantLib.Option.Call if right == "C" else QuantLib.Option.Put
    return QuantLib.blackFormula(kind, strike, forward, vol * math.sqrt(years), math.exp(-rate * years))


def priced(*parts, clock=TimeClock.CAL365, limits=None, is_exact_american=False, max_spot_age_s=60.0, dividend_yield=0.0, **kwargs):
    return price_chain(
        chain_of(*parts, **kwargs),
        clock=clock,
        rates=RATE,
        calendar=CALENDAR,
        limits=limits,
        is_exact_american=is_exact_american,
        max_spot_age_s=max_spot_age_s,
        dividend_yield=dividend_yield,
    )


def quoted(forward=600.0, root="SPXW", **kwargs):
    """One expiry quoted tightly around QuantLib's prices at 20 %."""
    return rows_of(root, mid=lambda k, r: ql_price(k, r, forward=forward), half_spread=1e-4, **kwargs)


def statuses(got):
    return [ChainStatus(int(s)).name for s in got.status]


# -- numbers ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forward", [600.0, 600.9, 598.4])
def test_volatility_comes_back_whatever_the_forward_is_and_spot_is_not_asked(forward):
    got = priced(quoted(forward), spot=600.0)
    assert set(statuses(got)) == {"OK"}
    np.testing.assert_allclose(got.vol, 0.2, atol=2e-9)
    assert got.expiries[0].forward.forward_usd == pytest.approx(forward, abs=1e-9)
    assert got.expiries[0].forward.status is ForwardStatus.PARITY
    calls = got.rows["right"] == "C"
    np.testing.assert_allclose(got.greeks.delta[calls] - got.greeks.delta[~calls], 1.0, atol=1e-12)


def test_columns_a_trader_reads_agree_with_hand_arithmetic():
    got = priced(quoted())
    call, put = (int(np.flatnonzero(got.rows["symbol"] == f"SPXW260320{right}00605000")[0]) for right in "CP")
    mid = ql_price(605, "C", forward=600.0)
    assert got.mid_usd[call] == pytest.approx(mid)
    assert got.spread_usd[call] == pytest.approx(2e-4)
    assert got.spread_pct[call] == pytest.approx(0.02 / mid)
    assert got.break_even_usd[call] == pytest.approx(605 + mid)
    assert got.break_even_usd[put] == pytest.approx(605 - ql_price(605, "P", forward=600.0))
    d2 = math.log(600 / 605) / (0.2 * math.sqrt(YEARS)) - 0.1 * math.sqrt(YEARS)
    assert got.p_itm[call] == pytest.approx(0.5 * math.erfc(-d2 / math.sqrt(2)), abs=1e-8)
    assert got.p_itm[call] + got.p_itm[put] == pytest.approx(1)
    assert got.distance_pct[call] == pytest.approx(100 * 5 / 600)
    assert (bool(got.is_itm[call]), bool(got.is_itm[put]), int(got.dte[call])) == (False, True, 1)


def test_expected_move_is_spot_times_volatility_times_root_of_time():
    """The document's formula: S · vol · √T; the straddle at the forward is worth √(2/π) of it."""
    expiry = priced(quoted()).expiries[0]
    assert expiry.atm_vol == pytest.approx(0.2, abs=1e-8)
    assert expiry.expected_move_usd == pytest.approx(600 * math.exp(-0.04 * YEARS) * 0.2 * math.sqrt(YEARS), rel=1e-7)
    assert expiry.straddle_usd == pytest.approx(math.sqrt(2 / math.pi) * expiry.expected_move_usd, rel=1e-3)


def test_clocks_give_other_volatilities_and_the_same_delta():
    """Price, delta and gamma depend on v·√T alone."""
    calendar_time, trading_time = priced(quoted()), priced(quoted(), clock=TimeClock.TRD252)
    left = 300 + 390  # minutes of regular hours: 11:00 to 16:00 and a day
    np.testing.assert_allclose(trading_time.years, left / 98_280)
    np.testing.assert_allclose(trading_time.vol * np.sqrt(trading_time.years), calendar_time.vol * np.sqrt(calendar_time.years), rtol=2e-4)
    np.testing.assert_allclose(trading_time.greeks.delta, calendar_time.greeks.delta, atol=2e-4)


def test_morning_and_afternoon_of_one_date_have_their_own_time_and_volatility():
    """Trap 10: SPX ends at 09:30, SPXW at 16:00; the same quotes of both are other volatilities."""
    morning, afternoon = (rows_of(root, mid=lambda k, r: ql_price(k, r, forward=600), half_spread=1e-4) for root in ("SPX", "SPXW"))
    got = priced(morning, afternoon, underlying="SPX")
    hours = {e.root: e.years * 365 * 24 for e in got.expiries}
    assert hours == {"SPX": pytest.approx(22.5), "SPXW": pytest.approx(29.0)}
    ratio = got.vol[got.rows["root"] == "SPX"] / got.vol[got.rows["root"] == "SPXW"]
    np.testing.assert_allclose(ratio, math.sqrt(29 / 22.5), rtol=1e-3)


def test_time_of_day_counts_by_new_yorks_clock_on_both_sides_of_the_change():
    """Trap 2: an hour before 16:00 New York is an hour in summer and in winter."""
    for day in (date(2026, 3, 6), date(2026, 3, 9)):
        got = priced(quoted(expiry=day, ts_ns=ny_ns(day, 15)), asof_ns=ny_ns(day, 15), spot_ts_ns=ny_ns(day, 15))
        assert got.years[0] * 365 * 24 == pytest.approx(1.0)


def test_the_providers_volatility_is_shown_and_never_used():
    """Trap 1."""
    rows = quoted()
    rows["vendor_iv"], rows["vendor_delta"] = 0.9, 0.99
    got = priced(rows)
    np.testing.assert_allclose(got.vol, 0.2, atol=2e-9)
    assert (got.rows["vendor_iv"] == 0.9).all()


def test_the_side_out_of_the_money_tells_both():
    got = priced(quoted())
    told = {(float(r["strike"]), str(r["right"])): IvSource(int(s)).name for r, s in zip(got.rows, got.vols.source, strict=True)}
    assert told[580.0, "C"] == "PUT_PARITY"
    assert told[580.0, "P"] == "OWN"
    assert told[620.0, "P"] == "CALL_PARITY"


# -- American ---------------------------------------------------------------------------------------------------------------


def american_price(strike, right, *, years, vol=0.25, rate=0.04):
    from workbench.options import american

    return float(american.price(600.0, strike, years, rate, vol, right, precision=american.Precision.REFERENCE).price_usd)


def test_american_contracts_say_when_early_exercise_is_left_out_and_the_engine_takes_it_in():
    day = date(2027, 3, 19)
    years = (ny_ns(day, 16) - ASOF) / (525_600 * MINUTE)
    rows = rows_of("SPY", day, (480.0, 540.0, 600.0), mid=lambda k, r: american_price(k, r, years=years), half_spread=0.01)
    plain, exact = priced(rows), priced(rows, is_exact_american=True)
    puts = rows["right"] == "P"
    assert (plain.model[puts] == PricingModel.PREMIUM_LEFT_OUT).all()
    assert any("early exercise" in note for note in plain.notes)
    assert (exact.model[puts] == PricingModel.AMERICAN).all()
    np.testing.assert_allclose(exact.vol, 0.25, atol=0.001)
    assert np.abs(plain.vol - 0.25).max() < 0.015
    assert np.array_equal(np.isfinite(exact.vol), exact.status == ChainStatus.OK)


@pytest.mark.parametrize(("days", "tolerance_frac"), [(8, 2e-5), (29, 1e-4), (183, 3e-4), (365, 6e-4)])
def test_early_exercise_does_not_move_the_forward_that_american_pairs_tell(days, tolerance_frac):
    """Prices of American contracts by QuantLib at its highest precision, no dividends: the forward is S·e^(rT)."""
    day = date(2026, 3, 19) + timedelta(days=days)
    ends = int(rows_of("SPY", day, (600.0,))["expiry_ns"][0])
    years = (ends - ASOF) / (525_600 * MINUTE)
    rows = rows_of("SPY", day, (590.0, 600.0, 610.0), mid=lambda k, r: american_price(k, r, years=years), half_spread=0.01)
    told = priced(rows).expiries[0].forward.forward_usd
    assert told == pytest.approx(600 * math.exp(0.04 * years), rel=tolerance_frac)


def test_index_options_are_european():
    assert (priced(quoted()).model == PricingModel.EXACT).all()


# -- bad states, one by one: a status, a sentence, no number ------------------------------------------------------------------


def spoil(**told):
    """Quoted rows of which the call at 605 and the put at 595 are spoiled."""
    rows = quoted()
    hit = ((rows["strike"] == 605) & (rows["right"] == "C")) | ((rows["strike"] == 595) & (rows["right"] == "P"))
    for name, value in told.items():
        rows[name][hit] = value
    return rows, hit


@pytest.mark.parametrize(
    ("told", "status", "sentence"),
    [
        ({"bid": 9.0, "ask": 8.0}, "CROSSED", "crossed: bid above ask"),
        ({"bid": 0.0}, "NO_BID", "no bid: nobody buys"),
        ({"ask": 0.0}, "NO_ASK", "no ask: nobody sells"),
        ({"bid": 0.0, "ask": 0.0}, "MISSING", "no quote"),
        ({"bid": np.nan}, "MISSING", "no quote"),
        ({"bid": np.nan, "ask": np.nan}, "MISSING", "no quote"),
        ({"ts_ns": ASOF - 61 * NS_PER_S}, "STALE", "stale: the quote is too old"),
        ({"ts_ns": 0}, "AGE_UNKNOWN", "nobody told when"),
        ({"bid": 0.01, "ask": 5.0}, "WIDE", "spread too wide"),
        ({"bid": -1.0}, "BAD_QUOTE", "below 0 or not finite"),
        ({"ask": np.inf}, "BAD_QUOTE", "below 0 or not finite"),
        ({"bid": 590.0, "ask": 610.0}, "ABOVE_MAX", "above the highest possible"),
        ({"is_standard": False}, "ADJUSTED", "adjusted contract"),
        ({"expiry_ns": 0}, "NO_EXPIRY", "outside the calendar"),
    ],
)
def test_a_bad_contract_has_a_status_and_a_sentence_and_no_volatility_and_spoils_no_other(told, status, sentence):
    rows, hit = spoil(**told)
    got = priced(rows)
    order = {symbol: k for k, symbol in enumerate(got.rows["symbol"].tolist())}
    at = np.zeros(len(rows), np.bool_)
    at[[order[symbol] for symbol in rows["symbol"][hit]]] = True
    assert {ChainStatus(int(s)).name for s in got.status[at]} == {status}
    assert all(sentence in text for text in np.array(got.texts(), object)[at])
    assert np.isnan(got.vol[at]).all()
    assert np.isnan(got.greeks.delta[at]).all()
    rest = ~at & np.isin(got.status, [ChainStatus.OK])
    assert rest.sum() >= len(rows) - 4
    np.testing.assert_allclose(got.vol[rest], 0.2, atol=1e-4)
    assert got.counts()[status] == 2


def test_nobody_bidding_leaves_the_asks_volatility_apart_and_no_mid():
    rows, hit = spoil(bid=0.0)
    got = priced(rows)
    at = got.status == ChainStatus.NO_BID
    assert np.isnan(got.mid_usd[at]).all()
    assert np.isfinite(got.vols.ask_vol[at]).all()
    assert hit.sum() == at.sum() == 2


def test_a_contract_that_expired_a_minute_ago_is_expired_and_those_of_tomorrow_are_not():
    now = ny_ns(DAY, 16, 1)
    today = quoted(ts_ns=now)
    later = rows_of("SPXW", date(2026, 3, 23), mid=lambda k, r: ql_price(k, r, forward=600, years=3), ts_ns=now)
    got = priced(today, later, asof_ns=now, spot_ts_ns=now)
    assert {ChainStatus(int(s)).name for s in got.status[: len(today)]} == {"EXPIRED"}
    assert np.isnan(got.vol[: len(today)]).all()
    assert (got.status[len(today) :] == ChainStatus.OK).all()
    assert any("expired (SPXW 2026-03-20)" in note for note in got.notes)


def test_a_minute_before_the_end_is_priced():
    now = ny_ns(DAY, 15, 59)
    years = 1 / 525_600
    rows = rows_of(
        "SPXW", mid=lambda k, r: ql_price(k, r, forward=600, years=years), half_spread=0.0, strikes=(599.5, 600, 600.5), ts_ns=now
    )
    got = priced(rows, asof_ns=now, spot_ts_ns=now)
    np.testing.assert_allclose(got.vol[got.status == ChainStatus.OK], 0.2, rtol=1e-6)
    assert (got.status == ChainStatus.OK).sum() >= 2


def test_a_clock_that_counts_no_time_until_the_morning_says_so_instead_of_expired():
    now = ny_ns(date(2026, 3, 19), 18)
    got = priced(quoted(root="SPX", ts_ns=now), asof_ns=now, spot_ts_ns=now, clock=TimeClock.TRD252, underlying="SPX")
    assert set(statuses(got)) == {"NO_TIME_COUNTED"}
    assert "next: cal365 or hybrid" in got.texts()[0]
    assert set(statuses(priced(quoted(root="SPX", ts_ns=now), asof_ns=now, spot_ts_ns=now, underlying="SPX"))) == {"OK"}


@pytest.mark.parametrize("spot", [{"spot": np.nan}, {"spot_ts_ns": ASOF - 10 * MINUTE}, {"spot_ts_ns": 0}])
def test_without_a_usable_spot_the_quotes_own_forward_prices(spot):
    got = priced(quoted(600.7), **{"spot": 500.0} | spot)
    np.testing.assert_allclose(got.vol, 0.2, atol=2e-9)
    np.testing.assert_allclose(got.spot_usd, 600.7 * math.exp(-0.04 * YEARS))


@pytest.mark.parametrize(
    ("spot", "status", "forward"),
    [
        ({"spot": np.nan}, "NO_SPOT", ForwardStatus.MISSING),
        ({"spot_ts_ns": ASOF - 10 * MINUTE}, "STALE_SPOT", ForwardStatus.STALE_SPOT),
        ({"spot_ts_ns": 0}, "STALE_SPOT", ForwardStatus.STALE_SPOT),
    ],
)
def test_without_spot_and_without_pairs_nothing_is_priced(spot, status, forward):
    got = priced(quoted(rights="C"), **spot)
    assert set(statuses(got)) == {status}
    assert np.isnan(got.vol).all()
    assert got.expiries[0].forward.status is forward
    assert any("forward none" in note for note in got.notes)


def test_calls_alone_are_priced_from_spot_and_say_so():
    got = priced(quoted(rights="C", forward=600 * math.exp(0.04 * YEARS)))
    np.testing.assert_allclose(got.vol, 0.2, atol=2e-9)
    assert got.expiries[0].forward.status is ForwardStatus.CARRY
    assert got.notes[0] == "half loaded: SPXW 2026-03-20 (calls only)"


def test_a_spot_that_the_options_contradict_is_told():
    got = priced(quoted(600.0), spot=594.0)
    assert any(note.startswith("spot 594.00, but options of SPXW 2026-03-20 imply 599.92 (+1.00 %)") for note in got.notes)


def test_an_empty_chain_is_priced_to_nothing():
    got = priced()
    assert (len(got), got.expiries, got.counts(), got.texts()) == (0, (), {}, [])


def test_limits_are_the_callers():
    rows, _ = spoil(ts_ns=ASOF - 61 * NS_PER_S)
    assert "STALE" not in statuses(priced(rows, limits=QuoteLimits(max_age_s=120)))


def test_every_status_and_model_has_a_sentence():
    assert all(status.text for status in ChainStatus if status is not ChainStatus.OK)
    assert ChainStatus.OK.text == ""
    assert PricingModel.PREMIUM_LEFT_OUT.text


def test_no_market_data_whatsoever_raises_and_a_volatility_stands_exactly_where_the_status_is_ok():
    """Rows of chance out of everything a feed might say, 40 chains of 30 contracts."""
    rng = np.random.default_rng(11)
    prices = [np.nan, 0.0, -1.0, 0.01, 0.5, 3.0, 20.0, 599.0, 1e9, np.inf, -np.inf]
    for _ in range(40):
        rows = np.concatenate([quoted(), rows_of("SPX"), rows_of("SPY1", strikes=(600, 602.5))])
        hit = rng.random(len(rows)) < 0.7
        rows["bid"][hit], rows["ask"][hit] = rng.choice(prices, hit.sum()), rng.choice(prices, hit.sum())
        rows["strike"][rng.random(len(rows)) < 0.1] = rng.choice([np.nan, 0.0, -5.0, 1e12])
        rows["ts_ns"][rng.random(len(rows)) < 0.2] = rng.choice([0, ASOF - 100 * MINUTE, ASOF + MINUTE])
        got = priced(rows, spot=float(rng.choice([600.0, np.nan, 0.0, -1.0, np.inf])), spot_ts_ns=int(rng.choice([0, ASOF])))
        assert np.array_equal(np.isfinite(got.vol), got.status == ChainStatus.OK)
        for field in dataclasses.fields(Greeks):
            values = getattr(got.greeks, field.name)
            assert values.dtype == bool or not np.isinf(values).any(), field.name
            assert values.dtype == bool or field.name == "elasticity" or np.isfinite(values[got.status == ChainStatus.OK]).all(), field.name
        assert not np.isinf(got.mid_usd).any()
