"""Structures valued before expiry. Oracles: Black's formula with scipy, QuantLib at high precision, integrals of the density, differences."""

from __future__ import annotations

import math
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy import integrate, optimize
from scipy.stats import norm

from workbench.errors import RecordError
from workbench.options import american, templates
from workbench.options.american import Precision
from workbench.options.clocks import TimeClock, years_to_expiry
from workbench.options.payoff import payoff
from workbench.options.risk_graph import (
    Plan,
    Scene,
    graph_spots,
    greeks,
    make_scene,
    outlook,
    overlay,
    p_between,
    profit,
    typical_vol,
    value,
)
from workbench.options.structures import Leg, Structure
from workbench.sessions import SessionCalendar

CALENDAR = SessionCalendar.xnys()
NEAR, FAR = date(2026, 1, 16), date(2026, 2, 20)
NOW = int(datetime(2026, 1, 2, 12, 0, tzinfo=ZoneInfo("America/New_York")).timestamp()) * 10**9
SPOTS = np.linspace(5600, 6400, 33)


def scene_of(structure, vols, spot=6000.0, rate=0.04, dividend_yield=0.01, **more):
    return make_scene(structure, spot_usd=spot, vols=vols, now_ns=NOW, clock=TimeClock.CAL365, calendar=CALENDAR, rate=rate,
                      dividend_yield=dividend_yield, **more)  # fmt: skip


def black(spot, strike, years, rate, q, vol, right):
    """The formula with scipy's normal distribution."""
    s = vol * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate - q) * years) / s + s / 2
    cp = 1 if right == "C" else -1
    return cp * (spot * np.exp(-q * years) * norm.cdf(cp * d1) - strike * np.exp(-rate * years) * norm.cdf(cp * (d1 - s)))


def test_times_are_each_legs_own():
    calendar = templates.calendar("SPXW", NEAR, FAR, "C", 6000)
    scene = scene_of(calendar, [0.15, 0.16])
    assert scene.years * 365 == pytest.approx([14 + 4 / 24, 49 + 4 / 24])
    assert scene.first_years == scene.years[0]
    morning = scene_of(templates.single("SPX", NEAR, "C", 6000), [0.15])
    assert morning.years[0] * 365 == pytest.approx(14 - 2.5 / 24)


@pytest.mark.parametrize("days", [0, 5, 14])
@pytest.mark.parametrize("shift", [0.0, 0.03, -0.05])
def test_a_calendar_is_the_difference_of_two_options_with_their_own_time_and_volatility(days, shift):
    structure = templates.calendar("SPXW", NEAR, FAR, "P", 6000, qty=2)
    scene = scene_of(structure, [0.15, 0.17])
    passed = days / 365
    near, far = (black(SPOTS, 6000, y - passed, 0.04, 0.01, v + shift, "P") for y, v in zip(scene.years, (0.15, 0.17), strict=True))
    got = value(structure, scene, SPOTS, years_passed=passed, vol_shift=shift)
    np.testing.assert_allclose(got, 200 * (far - near), atol=1e-6)


def test_a_grid_has_the_shape_that_its_axes_give():
    structure = templates.iron_condor("SPXW", NEAR, 5800, 5900, 6100, 6200)
    scene = scene_of(structure, [0.18, 0.16, 0.14, 0.13])
    got = value(structure, scene, SPOTS[:, None, None], years_passed=np.array([0, 0.01])[:, None], vol_shift=[0.0, 0.01, 0.02])
    assert got.shape == (33, 2, 3)
    assert got[5, 1, 2] == pytest.approx(float(value(structure, scene, SPOTS[5], years_passed=0.01, vol_shift=0.02)))


@pytest.mark.parametrize(
    ("structure", "vols"),
    [
        (templates.butterfly("SPXW", NEAR, "C", 6000, 50), [0.15, 0.15, 0.15]),
        (templates.covered_call("SPY", NEAR, 600), [None, 0.2]),
        (templates.strangle("SPY", NEAR, 580, 620, side="sell"), [0.2, 0.18]),
    ],
)
def test_at_expiry_the_value_is_the_payoff(structure, vols):
    scene = scene_of(structure, vols, spot=6000.0 if structure.underlying == "SPX" else 600.0)
    spots = np.linspace(0.8, 1.2, 41) * scene.spot_usd
    for passed in (scene.first_years, 1.0):
        np.testing.assert_allclose(value(structure, scene, spots, years_passed=passed), payoff(structure, 0.0).at(spots), atol=1e-6)


def test_early_exercise_is_in_the_value_of_american_puts_and_not_of_european_ones():
    put = templates.single("SPY", FAR, "P", 640, qty=1)
    scene = scene_of(put, [0.15], spot=600.0, rate=0.05, dividend_yield=0.0)
    spots = np.array([560.0, 600.0, 630.0, 660.0])
    finest = american.price(spots, 640, scene.years[0], 0.05, 0.15, "P", precision=Precision.REFERENCE).price_usd
    got = value(put, scene, spots)
    np.testing.assert_allclose(got, 100 * finest, atol=0.1)
    assert got[1] > 100 * black(600.0, 640, scene.years[0], 0.05, 0.0, 0.15, "P") + 50
    index = templates.single("SPXW", FAR, "P", 640)
    np.testing.assert_allclose(
        value(index, scene_of(index, [0.15], spot=600.0, rate=0.05, dividend_yield=0.0), spots),
        100 * black(spots, 640, scene.years[0], 0.05, 0.0, 0.15, "P"), atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("structure", "vols", "spot", "q"),
    [
        (templates.butterfly("SPXW", NEAR, "C", 6000, 50, qty=3), [0.16, 0.15, 0.14], 6010.0, 0.01),
        (templates.calendar("SPXW", NEAR, FAR, "C", 6000), [0.15, 0.16], 5990.0, 0.01),
        (templates.covered_call("SPY", NEAR, 605), [None, 0.2], 600.0, 0.012),
        (templates.vertical("SPY", FAR, "P", 620, 590), [0.18, 0.2], 600.0, 0.0),
    ],
)
def test_greeks_are_the_slopes_of_the_value_in_dollars(structure, vols, spot, q):
    scene = scene_of(structure, vols, spot=spot, dividend_yield=q)
    got = greeks(structure, scene)

    def at(**changed):
        return float(value(structure, scene, **({"spot_usd": spot} | changed)))

    h = 0.004 * spot
    assert float(got.value_usd) == pytest.approx(at())
    tolerance = {"rel": 2e-3, "abs": 2e-2}
    assert float(got.delta_shares) == pytest.approx((at(spot_usd=spot + h) - at(spot_usd=spot - h)) / (2 * h), rel=5e-3, abs=0.1)
    assert float(got.vega_usd_per_point) == pytest.approx((at(vol_shift=0.001) - at(vol_shift=-0.001)) / 0.2, **tolerance)
    day = 0.05 / 365
    assert float(got.theta_usd_per_day) == pytest.approx((at(years_passed=day) - at()) / 0.05, rel=2e-2, abs=0.2)
    up, down = (greeks(structure, scene, spot + s * 0.001 * spot).delta_shares for s in (1, -1))
    assert float(got.gamma_shares_per_usd) == pytest.approx(float(up - down) / (0.002 * spot), rel=2e-2, abs=2e-3)
    rates = [Scene(spot, scene.years, scene.vol, scene.rate + s * 1e-3, scene.dividend_yield) for s in (1, -1)]
    slope = (float(value(structure, rates[0], spot)) - float(value(structure, rates[1], spot))) / 0.2
    assert float(got.rho_usd_per_pct) == pytest.approx(slope, rel=1e-2, abs=0.05)
    assert float(got.delta_usd_per_pct(spot)) == pytest.approx(float(got.delta_shares) * spot / 100)


def test_shares_have_delta_and_nothing_else():
    shares = Structure("SPY", (Leg(None, "sell", 250),))
    got = greeks(shares, scene_of(shares, [None], spot=600.0))
    assert [float(getattr(got, name)) for name in got.__slots__] == [-150_000.0, -250.0, 0, 0, 0, 0]


def test_a_missing_volatility_leaves_the_value_missing():
    structure = templates.vertical("SPXW", NEAR, "C", 6000, 6050)
    scene = scene_of(structure, [0.15, None])
    assert np.isnan(value(structure, scene, SPOTS)).all()
    assert np.isnan(greeks(structure, scene).delta_shares)
    got = outlook(Plan(structure, scene, 2000.0))
    assert got.break_evens_usd == (6020.0,), "the line at expiry needs no model"
    assert math.isnan(got.p_profit)
    calendar = templates.calendar("SPXW", NEAR, FAR, "C", 6000)
    got = outlook(Plan(calendar, scene_of(calendar, [0.15, None]), 2000.0))
    assert (got.break_evens_usd, got.is_exact) == ((), False)
    assert math.isnan(got.best_usd)


def test_after_the_first_of_several_expiries_nothing_is_told():
    calendar = templates.calendar("SPXW", NEAR, FAR, "C", 6000)
    scene = scene_of(calendar, [0.15, 0.16])
    with pytest.raises(RecordError, match="the first of several expiries"):
        value(calendar, scene, 6000.0, years_passed=scene.first_years + 1 / 365)


# -- outcomes -----------------------------------------------------------------------------------------------------------------------


def test_a_calendars_break_evens_are_where_its_value_is_its_cost():
    structure = templates.calendar("SPXW", NEAR, FAR, "C", 6000)
    scene = scene_of(structure, [0.15, 0.155])
    cost = float(value(structure, scene, 6000.0))
    got = outlook(Plan(structure, scene, cost))
    left = scene.years[1] - scene.years[0]

    def by_hand(spot):
        return 100 * (black(spot, 6000, left, 0.04, 0.01, 0.155, "C") - max(spot - 6000, 0)) - cost

    expected = [optimize.brentq(by_hand, low, high) for low, high in ((5000, 6000), (6000, 7000))]
    assert got.break_evens_usd == pytest.approx(expected, abs=1e-5)
    peak = optimize.minimize_scalar(lambda s: -by_hand(s), bounds=(5900, 6100), method="bounded", options={"xatol": 1e-6})
    assert got.best_usd == pytest.approx(-peak.fun, rel=1e-3)
    assert got.worst_usd == pytest.approx(-cost, rel=0.05)
    assert not got.is_exact
    chance = norm.cdf(d2(expected[0], scene)) - norm.cdf(d2(expected[1], scene))
    assert got.p_profit == pytest.approx(chance, abs=1e-9)


def d2(level, scene):
    s = typical_vol(templates.calendar("SPXW", NEAR, FAR, "C", 6000), scene) * math.sqrt(scene.first_years)
    return (math.log(scene.spot_usd / level) + 0.03 * scene.first_years) / s - s / 2


def test_a_short_calendar_can_lose_no_more_than_the_model_says_but_a_naked_call_can():
    calendar = templates.calendar("SPXW", NEAR, FAR, "C", 6000, side="sell", qty=1)
    assert math.isfinite(outlook(Plan(calendar, scene_of(calendar, [0.15, 0.155]), -5000.0)).worst_usd)
    ratio = calendar.with_leg(templates.single("SPXW", NEAR, "C", 6200, side="sell").legs[0])
    assert outlook(Plan(ratio, scene_of(ratio, [0.15, 0.155, 0.14]), -6000.0)).worst_usd == -math.inf


def test_the_covered_calls_worked_example():
    """S 600, K 603, bid .42, 360 minutes, 23.58 %: P(assigned) .2086, chance of profit .5439."""
    years = 360 / 525_600
    assert p_between(603, math.inf, spot=600, years=years, rate=0.0, vol=0.235847) == pytest.approx(0.2086, abs=1e-4)
    structure = templates.covered_call("SPY", NEAR, 603)
    scene = Scene(600.0, np.array([np.nan, years]), np.array([np.nan, 0.235847]), np.zeros(2), np.zeros(2))
    got = outlook(Plan(structure, scene, 59_958.0))
    assert got.p_profit == pytest.approx(0.5439, abs=1e-4)
    assert got.p_vol == pytest.approx(0.235847)
    assert (got.break_evens_usd, got.best_usd, got.worst_usd) == ((599.58,), 342.0, -59_958.0)
    assert got.is_exact


@pytest.mark.parametrize(
    ("structure", "vols", "cost"),
    [
        (templates.iron_condor("SPXW", NEAR, 5800, 5900, 6100, 6200), [0.18, 0.16, 0.14, 0.13], -4000.0),
        (templates.straddle("SPXW", NEAR, 6000), [0.15, 0.15], 17_000.0),
        (templates.single("SPXW", NEAR, "P", 5900, side="sell"), [0.16], -3000.0),
    ],
)
def test_the_chance_of_profit_is_the_density_where_there_is_profit(structure, vols, cost):
    scene = scene_of(structure, vols)
    got = outlook(Plan(structure, scene, cost))
    years, s = scene.first_years, got.p_vol * math.sqrt(scene.first_years)
    middle = math.log(6000) + 0.03 * years - s * s / 2

    def wins(z):
        return norm.pdf(z) * (float(payoff(structure, cost).at(math.exp(middle + s * z))) > 0)

    kinks = [(math.log(b) - middle) / s for b in got.break_evens_usd]
    expected = integrate.quad(wins, -8, 8, points=[k for k in kinks if abs(k) < 8], limit=200)[0]
    assert got.p_profit == pytest.approx(expected, abs=1e-6)


def test_one_legs_typical_volatility_is_its_own_and_of_more_lies_between():
    single = templates.single("SPXW", NEAR, "C", 6100)
    assert typical_vol(single, scene_of(single, [0.137])) == pytest.approx(0.137)
    condor = templates.iron_condor("SPXW", NEAR, 5800, 5900, 6100, 6200)
    assert 0.13 < typical_vol(condor, scene_of(condor, [0.18, 0.16, 0.14, 0.13])) < 0.18
    shares = Structure("SPY", (Leg(None, "buy", 100),))
    assert math.isnan(typical_vol(shares, scene_of(shares, [None])))


def test_at_the_last_second_chances_are_certain():
    assert p_between(0, 599, spot=600, years=0.0, rate=0.0, vol=0.2) == 0
    assert p_between(599, math.inf, spot=600, years=0.0, rate=0.0, vol=0.2) == 1
    assert math.isnan(p_between(0, 599, spot=600, years=0.1, rate=0.0, vol=math.nan))


# -- graphs -------------------------------------------------------------------------------------------------------------------------


def test_several_structures_share_one_grid():
    fly = templates.butterfly("SPXW", NEAR, "C", 6000, 50)
    calendar = templates.calendar("SPXW", NEAR, FAR, "C", 6000)
    plans = [Plan(fly, scene_of(fly, [0.15] * 3), 900.0), Plan(calendar, scene_of(calendar, [0.15, 0.16]), 5000.0)]
    spots = graph_spots(plans)
    got = overlay(plans, spots, years_passed=5 / 365, vol_shift=0.01)
    assert got.shape == (2, len(spots))
    for row, plan in zip(got, plans, strict=True):
        np.testing.assert_allclose(row, profit(plan, spots, years_passed=5 / 365, vol_shift=0.01))
    late = overlay(plans, spots, years_passed=20 / 365)
    np.testing.assert_allclose(late[0], payoff(fly, 900.0).at(spots), atol=1e-6)
    assert np.isnan(late[1]).all(), "its near leg is gone: it depends on where the spot was"


def test_a_graph_shows_all_strikes_and_four_deviations():
    strangle = templates.strangle("SPXW", NEAR, 5000, 6100)
    scene = scene_of(strangle, [0.3, 0.15])
    spots = graph_spots([Plan(strangle, scene, 1.0)])
    assert {5000.0, 6100.0} <= set(spots)
    assert spots[0] < 5000
    assert spots[-1] >= 6000 * math.exp(4 * 0.3 * math.sqrt(scene.years[0]))
    assert (np.diff(spots) > 0).all()


def test_one_volatility_a_leg_is_asked_for():
    with pytest.raises(RecordError, match="vols: received 1; allowed: 2"):
        scene_of(templates.straddle("SPXW", NEAR, 6000), [0.2])


def test_time_that_passes_is_told_by_the_same_clock():
    """Two moments by the trading clock: what passes between them is what the second has less."""
    single = templates.single("SPXW", FAR, "C", 6000)
    later = NOW + 3 * 86_400 * 10**9
    make = {"spot_usd": 6000.0, "vols": [0.15], "clock": TimeClock.TRD252, "calendar": CALENDAR}
    now, then = (make_scene(single, now_ns=t, **make) for t in (NOW, later))
    passed = float(years_to_expiry(NOW, later, TimeClock.TRD252, calendar=CALENDAR))
    np.testing.assert_allclose(value(single, now, SPOTS, years_passed=passed), value(single, then, SPOTS), rtol=1e-9)


def test_a_put_has_a_rho_where_the_rate_is_nothing_and_the_yield_less():
    put = templates.single("SPY", NEAR, "P", 600)
    scene = scene_of(put, [0.2], spot=600.0, rate=0.0, dividend_yield=-0.001)
    up = scene_of(put, [0.2], spot=600.0, rate=1e-4, dividend_yield=-0.001)
    slope = float(value(put, up, 600.0) - value(put, scene, 600.0)) / 1e-4 * 0.01
    assert float(greeks(put, scene).rho_usd_per_pct) == pytest.approx(slope, rel=0.02)
