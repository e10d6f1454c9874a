"""Exposure of a chain against a worked example, against other formulas, and against laws that hold for any chain."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from tests.scorecard import count
from workbench.errors import RecordError
from workbench.options.black import greeks
from workbench.options.exposure import Convention, DealerSign, ExposureStatus, GexUnit, SizeBasis, exposure
from workbench.options.gamma_profile import Stickiness, Weighted, net_of, roots

SPOT, YEARS = 6000.0, 1 / 252
CALLS = [(5950, 2000, 0.135), (6000, 6000, 0.120), (6050, 12000, 0.110), (6100, 8000, 0.108)]
PUTS = [(5850, 9000, 0.165), (5900, 14000, 0.150), (5950, 10000, 0.135), (6000, 5000, 0.120)]
STRIKE, OPEN, VOL = (np.array(column, float) for column in zip(*CALLS, *PUTS, strict=True))
RIGHT = np.array(["C"] * 4 + ["P"] * 4)
MILLION = 1e6


def worked(**convention):
    return exposure(SPOT, STRIKE, RIGHT, YEARS, VOL, OPEN, convention=Convention(**convention))


# -- the worked example: eight contracts of one expiry, S 6000, r = q = 0 ----------------------------------------------------------


def test_gamma_exposure_of_each_contract():
    expected = [345.4433, 1899.8901, 2031.8468, 148.3290, -105.3540, -723.0037, -1727.2165, -1583.2418]
    np.testing.assert_allclose(worked().contracts.gex / MILLION, expected, atol=5e-5)


@pytest.mark.parametrize(
    ("unit", "net", "digits"), [(GexUnit.PCT, 286.6933e6, 50), (GexUnit.POINT, 4.778221e6, 0.5), (GexUnit.SHARES, 796.37017, 5e-6)]
)
def test_net_exposure_in_each_unit(unit, net, digits):
    assert worked(unit=unit).net_gex == pytest.approx(net, abs=digits)


def test_net_exposure_by_strike():
    table = worked().strikes
    assert table["strike"].tolist() == [5850, 5900, 5950, 6000, 6050, 6100]
    np.testing.assert_allclose(table["net_gex"] / MILLION, [-105.354, -723.004, -1381.773, 316.648, 2031.847, 148.329], atol=5e-4)
    np.testing.assert_allclose(table["call_gex"] + table["put_gex"], table["net_gex"])


def test_the_flip_by_pricing_again():
    got = worked()
    assert got.flip == pytest.approx(5997.6218, abs=5e-5)
    assert len(got.profile.flips) == 1
    assert got.profile.regime == 1


def test_the_other_quantities_that_go_by_the_name_of_flip_have_their_own():
    levels = worked().levels
    assert levels.strike_flip == 5975.0
    assert levels.cum_flip == pytest.approx(6046.6, abs=0.05)


def test_walls_and_magnet():
    levels = worked().levels
    assert (levels.call_wall, levels.put_wall, levels.magnet, levels.absolute_wall) == (6050, 5950, 6050, 6050)


def test_vanna_and_charm_exposure_per_trading_day():
    got = worked(charm_days=252)
    assert got.vex / MILLION == pytest.approx(358.75, abs=0.005)
    assert got.cex / MILLION == pytest.approx(-2283.45, abs=0.005)
    assert worked().cex == pytest.approx(got.cex * 252 / 365)


def weighted(**changed):
    sides = np.where(RIGHT == "C", 1.0, -1.0)
    rows = {"strike": STRIKE, "years": np.full(8, YEARS), "vol": VOL, "rate": np.zeros(8), "dividend_yield": np.zeros(8)}
    return Weighted(**{**rows, "weight": sides * OPEN * 100, "series": np.zeros(8, np.int64), **changed})


def test_a_coarse_grid_over_a_wide_range_would_show_a_second_flip_in_the_tail():
    """60 levels from 0.8 to 1.2 of the spot, straight lines in between, every change of sign taken: the usual script.

    The second root is where two tails of nothing cross; it is not reported, because beyond it the curve stays below 1 % of the peak.
    """
    levels = np.linspace(0.8 * SPOT, 1.2 * SPOT, 60)
    values = net_of(SPOT, weighted(), power=2, scale=0.01)(levels)
    turns = np.flatnonzero(np.diff(np.sign(values)))
    crossed = levels[turns] - values[turns] * np.diff(levels)[turns] / np.diff(values)[turns]
    np.testing.assert_allclose(crossed, [5997.2897, 6630.50], atol=5e-3)
    assert len(roots(levels, values, lambda x: float(net_of(SPOT, weighted(), power=2, scale=0.01)(np.array([x]))[0]))) == 1


# -- other programs, other formulas ------------------------------------------------------------------------------------------------


def test_gamma_of_the_example_equals_the_readable_formula():
    gamma = greeks(SPOT, [6000, 6050, 5950, 5900], YEARS, 0, [0.12, 0.11, 0.135, 0.15], "C").gamma_per_usd
    np.testing.assert_allclose(gamma, [0.008795788, 0.004703349, 0.004797824, 0.001434531], atol=5e-10)


def test_net_gamma_at_any_spot_is_the_readable_formula_summed():
    rng = np.random.default_rng(3)
    n = 400
    c = weighted(
        strike=rng.uniform(4000, 8000, n), years=rng.uniform(1e-4, 1, n), vol=rng.uniform(0.05, 0.8, n), rate=rng.uniform(0, 0.06, n),
        dividend_yield=rng.uniform(0, 0.03, n), weight=rng.normal(0, 1e5, n), series=np.zeros(n, np.int64),
    )  # fmt: skip
    spots = np.linspace(5000, 7000, 9)
    got = net_of(SPOT, c, power=2, scale=0.01)(spots)
    for spot, net in zip(spots, got, strict=True):
        gamma = greeks(spot, c.strike, c.years, c.rate, c.vol, "C", dividend_yield=c.dividend_yield).gamma_per_usd
        assert net == pytest.approx(float((c.weight * gamma).sum() * spot**2 * 0.01), rel=1e-10)


def test_roots_agree_with_brents_method_and_leave_out_what_touches_zero():
    def curve(x):
        return math.sin(x) * math.exp(-0.05 * x)

    grid = np.linspace(0.5, 20, 97)
    got = roots(grid, np.array([curve(x) for x in grid]), curve, noise_frac=0.0)
    expected = [brentq(curve, k * math.pi - 1, k * math.pi + 1, xtol=1e-13) for k in range(1, 7)]
    np.testing.assert_allclose(got, expected, rtol=1e-11)
    flat = np.array([1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0, -1.0])
    assert roots(np.arange(8.0), flat, lambda x: float(np.interp(x, np.arange(8.0), flat))) == (3.0,)


def test_a_flip_that_is_crossed_slowly_is_a_flip():
    """Net gamma from -1 to +1 over a fine grid: both neighbours of the root are below 1 % of the peak, and both sides are real."""

    def curve(x):
        return (x - 0.0003) ** 3

    grid = np.linspace(-1, 1, 2001)
    values = np.array([curve(x) for x in grid])
    assert np.sort(np.abs(values))[1] < 1e-6
    np.testing.assert_allclose(roots(grid, values, curve), [0.0003], atol=1e-9)


def test_a_dip_into_noise_between_two_sides_of_one_sign_is_no_flip_and_noise_between_two_signs_is_one():
    def found(*values):
        grid = np.arange(float(len(values)))
        return roots(grid, np.array(values), lambda x: float(np.interp(x, grid, values)))

    assert found(5.0, 1.0, -0.001, 1.0, 5.0) == ()
    assert found(5.0, 1.0, -0.001, -0.002) == ()
    assert len(found(5.0, 0.001, -0.001, 0.001, -0.001, -5.0)) == 3


def test_a_smile_that_moves_along_is_priced_with_the_volatility_of_the_same_distance():
    """At a spot 1 % higher a strike 1 % higher has the volatility that this strike has now; the smile is linear between strikes."""
    strike = SPOT * np.exp(np.linspace(-0.05, 0.05, 11))
    smile = 0.15 - 0.8 * np.log(strike / SPOT)
    c = weighted(
        strike=strike,
        vol=smile,
        years=np.full(11, 0.02),
        rate=np.zeros(11),
        dividend_yield=np.zeros(11),
        weight=np.ones(11),
        series=np.zeros(11, np.int64),
    )
    level = SPOT * math.exp(0.01)
    vol = np.append(smile[0], smile[:-1])  # flat beyond the lowest strike
    expected = greeks(level, strike, 0.02, 0, vol, "C").gamma_per_usd.sum()
    assert net_of(SPOT, c, power=0, scale=1.0, stickiness=Stickiness.MONEYNESS)(np.array([level]))[0] == pytest.approx(expected, rel=1e-9)
    assert net_of(SPOT, c, power=0, scale=1.0, stickiness=Stickiness.MONEYNESS)(np.array([SPOT]))[0] == pytest.approx(
        net_of(SPOT, c, power=0, scale=1.0)(np.array([SPOT]))[0], rel=1e-12
    )


# -- what is assumed is said -------------------------------------------------------------------------------------------------------


def test_every_convention_says_what_it_assumes():
    for dealers in DealerSign:
        assert any("an assumption, not data" in sentence for sentence in Convention(sign=dealers).text)
    assert any("what was opened today is not in it" in sentence for sentence in Convention().text)
    assert any("per 1 % move" in sentence for sentence in Convention().text)
    assert any("smile moves along" in sentence for sentence in Convention(stickiness=Stickiness.MONEYNESS).text)
    assert any("trading day" in sentence for sentence in Convention(charm_days=252).text)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"unit": "pcnt"}, "unit: received 'pcnt' (did you mean 'pct'?); allowed: pct, point, shares"),
        ({"sign": "x"}, "allowed: calls-long, all-long, all-short"), ({"basis": "volumes"}, "did you mean 'volume'"),
        ({"stickiness": "delta"}, "allowed: strike, moneyness"), ({"charm_days": 260}, "allowed: 365, 252"),
    ],
)  # fmt: skip
def test_a_wrong_convention_names_the_right_ones(names, words):
    with pytest.raises(RecordError) as error:
        Convention.parse(**names)
    assert words in str(error.value)


def test_the_size_may_be_volume_or_both():
    volume = np.arange(8.0)
    oi, traded, both = (
        exposure(SPOT, STRIKE, RIGHT, YEARS, VOL, OPEN, volume=volume, convention=Convention(basis=basis)).contracts.gex
        for basis in SizeBasis
    )
    np.testing.assert_allclose(oi + traded, both)
    np.testing.assert_allclose(traded / oi, volume / OPEN)


def test_dealers_long_or_short_everything_have_no_flip_and_it_says_why():
    long, short = worked(sign=DealerSign.ALL_LONG), worked(sign=DealerSign.ALL_SHORT)
    assert long.net_gex == pytest.approx(np.abs(worked().contracts.gex).sum())
    assert short.net_gex == -long.net_gex
    assert long.flip is None
    assert (long.profile.regime, short.profile.regime) == (1, -1)
    assert long.profile.reason == "net gamma is long everywhere between 5,400.00 and 6,600.00"
    assert short.levels.magnet is None
    assert short.levels.call_wall == long.levels.call_wall == 6050


# -- what can't be computed --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_computed_has_a_status_and_is_left_out_of_the_sums():
    strike = [6000.0, 6000, 6000, 6050, 6050, -1, 6100, 6100]
    right = list("CPCPCCPC")
    years = [YEARS, YEARS, 0.0, YEARS, YEARS, YEARS, YEARS, YEARS]
    vol = [0.12, np.nan, 0.12, 0.12, 0.12, 0.12, 0.0, 0.12]
    size = [10.0, 20, 30, np.nan, 40, 50, 60, -1]
    got = exposure(SPOT, strike, right, years, vol, size, is_standard=[True] * 4 + [False] + [True] * 3)
    names = ["OK", "NO_VOL", "EXPIRED", "NO_SIZE", "ADJUSTED", "BAD_INPUT", "NO_VOL", "BAD_INPUT"]
    assert [ExposureStatus(s).name for s in got.contracts.status] == names
    alone = exposure(SPOT, [6000.0], ["C"], YEARS, 0.12, 10)
    assert got.net_gex == pytest.approx(alone.net_gex)
    assert got.covered_frac == pytest.approx(10 / 210)
    assert any("contracts (80 open) are not in the sums: no implied volatility" in note for note in got.notes)
    table = {row["strike"]: row for row in got.strikes}
    assert np.isnan(table[6050.0]["net_gex"])  # nothing known: no number, not 0
    assert np.isnan(table[6000.0]["put_gex"])
    assert table[6000.0]["net_gex"] == pytest.approx(alone.net_gex)
    assert sum(got.n_by_status.values()) == 8


def test_an_empty_chain_and_one_without_open_interest_have_no_level_at_all():
    empty = exposure(SPOT, [], np.array([], "U1"), [], [], [])
    assert np.isnan(empty.net_gex)
    assert empty.notes == ("the chain is empty",)
    assert np.isnan(empty.profile.net).all()
    zero = exposure(SPOT, STRIKE, RIGHT, YEARS, VOL, 0.0)
    assert zero.net_gex == 0 and (zero.profile.net == 0).all()
    moving = exposure(SPOT, STRIKE, RIGHT, YEARS, np.nan, OPEN, convention=Convention(stickiness=Stickiness.MONEYNESS))
    for got in (empty, zero, moving):
        assert got.flip is None
        assert got.profile.reason == "no gamma: no contract that can be priced is open"
        assert all(
            getattr(got.levels, name) is None for name in ("call_wall", "put_wall", "absolute_wall", "magnet", "strike_flip", "cum_flip")
        )


@pytest.mark.parametrize("spot", [0.0, -1.0, float("nan"), float("inf")])
def test_a_spot_that_is_none_is_refused(spot):
    with pytest.raises(RecordError, match="spot: received"):
        exposure(spot, STRIKE, RIGHT, YEARS, VOL, OPEN)


def test_a_single_contract_first_of_all_warns_of_nothing():
    """The first call of a process asks numba for a type, and numpy warned there of an array that was spread out to one row."""
    code = "from workbench.options.exposure import exposure; print(exposure(6000.0, [6000.0], ['C'], 0.01, 0.2, 10.0).net_gex > 0)"
    done = subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("True", "")


def test_strikes_with_fractions_are_strikes_of_their_own():
    got = exposure(100.0, [100.0, 100.5, 100.5], ["C", "C", "P"], 0.01, 0.2, [1, 1, 1])
    assert got.strikes["strike"].tolist() == [100.0, 100.5]


def test_morning_and_afternoon_contracts_of_one_date_are_told_apart():
    """SPX and SPXW of a third Friday: the time left differs by half a day, and so does gamma."""
    years = np.array([0.5 / 365, 1 / 365])
    got = exposure(SPOT, [6000.0, 6000], ["C", "C"], years, 0.12, [100, 100], series=[1, 2])
    assert got.by_series["series"].tolist() == [1, 2]
    assert got.by_series["net_gex"][0] == pytest.approx(got.by_series["net_gex"][1] * math.sqrt(2), rel=1e-3)
    assert got.strikes["net_gex"].tolist() == [pytest.approx(got.by_series["net_gex"].sum())]


# -- laws --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _counted(cases):
    cases.n = count("exposure")


@st.composite
def chains(draw):
    n = draw(st.integers(1, 25))
    pick = lambda low, high: np.array(draw(st.lists(st.floats(low, high), min_size=n, max_size=n)))
    return {
        "strike": np.round(SPOT * (1 + pick(-0.08, 0.08)) * 2) / 2,
        "right": np.array(draw(st.lists(st.sampled_from("CP"), min_size=n, max_size=n))),
        "years": pick(1e-4, 0.5), "vol": pick(0.05, 0.9), "rate": pick(0, 0.06),
        "open_interest": np.round(pick(0, 20_000)), "series": np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))),
    }  # fmt: skip


def of(chain, rows=slice(None), **convention):
    return exposure(SPOT, convention=Convention(**convention), **{name: column[rows] for name, column in chain.items()})


def law(test):
    return pytest.mark.soak("exposure")(settings(max_examples=count("exposure"), deadline=None, derandomize=True)(test))


@law
@given(chain=chains(), seed=st.integers(0, 1000))
def test_law_the_order_of_the_rows_is_nothing(chain, seed):
    order = np.random.default_rng(seed).permutation(len(chain["strike"]))
    one, other = of(chain), of(chain, order)
    gross = np.abs(one.contracts.gex).sum()
    for name in one.strikes.dtype.names:
        np.testing.assert_allclose(one.strikes[name], other.strikes[name], rtol=1e-12, atol=1e-12 * gross, err_msg=name)
    np.testing.assert_allclose(one.profile.net, other.profile.net, rtol=1e-9, atol=1e-12 * gross)


@law
@given(chain=chains())
def test_law_expiries_add_up_to_the_whole(chain):
    whole = of(chain)
    parts = [of(chain, chain["series"] == code) for code in np.unique(chain["series"])]
    gross = np.abs(whole.contracts.gex).sum()
    for name in ("net_gex", "call_gex", "put_gex", "vex", "cex"):
        scale = max(np.abs(getattr(whole.contracts, name.removeprefix("net_").removeprefix("call_").removeprefix("put_"))).sum(), 1e-9)
        assert sum(getattr(part, name) for part in parts) == pytest.approx(getattr(whole, name), abs=1e-9 * scale)
        np.testing.assert_allclose(whole.by_series[name], [getattr(part, name) for part in parts], atol=1e-9 * scale)
    np.testing.assert_allclose(sum(part.profile.net for part in parts), whole.profile.net, atol=1e-9 * gross)


@law
@given(chain=chains())
def test_law_the_units_differ_by_the_spot_alone(chain):
    pct, point, shares = (of(chain, unit=unit).strikes["net_gex"] for unit in GexUnit)
    gross = np.abs(of(chain).contracts.gex).sum()  # calls and puts of a strike cancel: what is left keeps the rounding of what was there
    np.testing.assert_allclose(pct, shares * SPOT**2 * 0.01, rtol=1e-12, atol=1e-14 * gross)
    np.testing.assert_allclose(pct, point * SPOT * 0.01, rtol=1e-12, atol=1e-14 * gross)


@law
@given(chain=chains())
def test_law_calls_add_puts_take_away_and_the_other_side_of_the_market_has_the_opposite(chain):
    got = of(chain).strikes
    assert (got["call_gex"] >= 0).all()
    assert (got["put_gex"] <= 0).all()
    unsigned = of(chain, sign=DealerSign.ALL_LONG).strikes
    np.testing.assert_allclose(unsigned["net_gex"], got["call_gex"] - got["put_gex"])
    swapped = {**chain, "right": np.where(chain["right"] == "C", "P", "C")}
    np.testing.assert_allclose(of(swapped).strikes["net_gex"], -got["net_gex"], atol=1e-9 * np.abs(got["call_gex"]).sum())


@law
@given(chain=chains())
def test_law_the_profile_passes_through_the_net_at_the_spot_and_through_zero_at_every_flip(chain):
    got = of(chain)
    gross = np.abs(got.contracts.gex).sum()
    assert got.profile.net[len(got.profile.net) // 2] == pytest.approx(got.net_gex, abs=1e-9 * gross)
    assert got.profile.spots[len(got.profile.spots) // 2] == SPOT
    peak = np.abs(got.profile.net).max()
    for flip in got.profile.flips:
        assert 0.9 * SPOT <= flip <= 1.1 * SPOT
        assert abs(got.profile.curve(flip)) <= 1e-6 * peak


@law
@given(chain=chains())
def test_law_contracts_nobody_holds_change_nothing(chain):
    ghosts = {name: np.concatenate([column, column]) for name, column in chain.items()}
    ghosts["open_interest"][len(chain["strike"]) :] = 0.0
    one, other = of(chain), of(ghosts)
    assert one.levels == other.levels
    np.testing.assert_allclose(one.profile.net, other.profile.net, rtol=1e-9)
