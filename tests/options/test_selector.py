"""The selector: edges that were put there are found with their size, fair butterflies have none; the legacy score by its worked example."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from tests.options.test_smile import BENT, DISCOUNT, FORWARD, STRIKES, YEARS, fitted, quotes, true_variance
from workbench.history.chains import read_chain
from workbench.options import black, selector_legacy
from workbench.options.clocks import TimeClock
from workbench.options.priced import price_chain
from workbench.options.quotes import QuoteLimits
from workbench.options.rates import RateCurve
from workbench.options.selector import select
from workbench.options.smile import fit_smile
from workbench.options.tiles import Tile, TileSide, TileStatus, build_tiles
from workbench.sessions import SessionCalendar

WIDTHS = (10.0, 20.0, 40.0)


def selected(shift=None, *, fee_usd=0.0, top=10_000, **more):
    columns = quotes(shift=shift)
    return select(build_tiles("butterfly", 2, WIDTHS, *columns), fitted(*columns), dte=2, fee_usd=fee_usd, top=top, **more)


def true_fair(strike, width):
    legs = np.array([strike - width, strike, strike + width])
    return DISCOUNT * float(black.price(FORWARD, legs, YEARS, 0.0, np.sqrt(true_variance(legs) / YEARS), "C") @ [1, -2, 1])


def test_fair_butterflies_cost_their_spread_and_fees():
    got = selected(fee_usd=0.65)
    assert got.candidates
    for c in got.candidates:
        assert c.fair_usd == pytest.approx(true_fair(c.strike, c.width), abs=0.005)
        assert c.edge_usd == pytest.approx(c.fair_usd - c.natural_usd - 4 * 0.65 / 100)
        assert c.edge_usd < 0
        assert c.spread_usd == pytest.approx(2 * (c.natural_usd - c.mid_usd))
        assert c.edge_in_spreads == pytest.approx(c.edge_usd / c.spread_usd)
        assert c.edge_in_errors == pytest.approx(c.edge_usd / c.fair_error_usd)
        assert c.ev_usd == pytest.approx(c.fair_usd / DISCOUNT - c.natural_usd - 0.026)
    assert "no butterfly is worth more than it costs to buy" in got.notes
    assert [c.edge_usd for c in got.candidates] == sorted((c.edge_usd for c in got.candidates), reverse=True)


def test_a_strike_that_is_quoted_too_high_makes_its_butterfly_cheap_and_is_not_its_own_witness():
    got = selected({6000.0: 0.5})
    best = got.candidates[0]
    assert best.strike == 6000
    assert best.fair_usd == pytest.approx(true_fair(6000, best.width), abs=0.02)
    honest = true_fair(6000, best.width) - best.natural_usd
    assert best.edge_usd == pytest.approx(honest, abs=0.02)
    assert best.edge_usd == pytest.approx(2 * 0.5 - (best.natural_usd - best.mid_usd), abs=0.02)
    assert {c.strike for c in got.candidates if c.edge_usd > 0.2} == {6000.0}


def test_the_old_scores_winner_has_no_edge():
    """A butterfly far out looks cheap beside its neighbours; on a fair chain it is worth its mid all the same."""
    got = selected()
    twenty = {c.strike: c for c in got.candidates if c.width == 20 and c.right == "C"}
    scores = {}
    for k, c in twenty.items():
        beside = [twenty[k + d].mid_usd for d in selector_legacy.NEIGHBOUR_POINTS if k + d in twenty]
        if len(beside) == 8:
            scores[k] = selector_legacy.convexity_score(20, c.mid_usd, beside)
    best = max(scores, key=scores.get)
    assert abs(best - FORWARD) > 100
    assert twenty[best].fair_usd == pytest.approx(twenty[best].mid_usd, abs=0.01)
    assert twenty[best].edge_usd < 0


def test_chance_of_profit_is_the_density_between_the_break_evens():
    c = next(c for c in selected().candidates if (c.strike, c.width, c.right) == (6000, 40, "C"))

    def density(k, h=0.5):
        calls = [
            float(black.price(FORWARD, k + step, YEARS, 0.0, float(np.sqrt(true_variance(k + step) / YEARS)), "C")) for step in (-h, 0, h)
        ]
        return (calls[0] - 2 * calls[1] + calls[2]) / h**2

    expected = integrate.quad(density, *c.break_evens_usd, epsabs=1e-8)[0]
    assert c.p_profit == pytest.approx(expected, abs=2e-4)
    assert c.break_evens_usd == pytest.approx((6000 - 40 + c.natural_usd, 6000 + 40 - c.natural_usd))
    assert c.max_profit_usd == pytest.approx(40 - c.natural_usd)


def test_what_can_not_be_rated_is_counted_with_its_reason():
    side = TileSide(2.0, 2.2, None, TileStatus.OK)
    tiles = {
        "butterfly:2:20:6000": Tile(side, TileSide(-0.1, 0.4, None, TileStatus.BAD_QUOTE)),
        "butterfly:2:20:6050": Tile(TileSide(None, None, None, TileStatus.MISSING), None),
        "butterfly:2:20:5000": Tile(side, TileSide(None, 0.05, None, TileStatus.NO_BID)),
        "butterfly:2:10:6000": Tile(side, side),
        "butterfly:3:20:6000": Tile(side, side),
        "vertical:2:20:6000": Tile(side, side),
    }
    got = select(tiles, fitted(*quotes()), dte=2, fee_usd=0.0, max_debit_frac=0.2)
    assert [c.key for c in got.candidates] == ["butterfly:2:20:6000"]
    assert got.n_tiles == 8
    assert got.left_out == {
        "bad quote": 1, "missing quote": 1, "not listed": 1, "no bid": 1, "debit above 20% of the width": 2,
        "beyond the strikes that the smile tells": 1,
    }  # fmt: skip


def test_without_a_smile_nothing_is_ranked_and_it_says_why():
    columns = quotes()
    tiles = build_tiles("butterfly", 2, WIDTHS, *columns)
    got = select(tiles, None, dte=2, fee_usd=0.0)
    assert got.candidates == ()
    assert got.notes == ("no smile: too few strikes quoted",)
    assert sum(got.left_out.values()) == got.n_tiles
    bent = select(tiles, fitted(*quotes(shape=BENT)), dte=2, fee_usd=0.0)
    assert bent.candidates == ()
    assert bent.notes == ("the fitted smile allows arbitrage: nothing can be told by it",)


def test_a_rough_smile_is_noted():
    got = selected({k: 0.3 * (-1) ** i for i, k in enumerate(STRIKES)})
    assert any("half-spreads" in note for note in got.notes)


def test_no_tiles_no_candidates():
    got = select({}, fitted(*quotes()), dte=2, fee_usd=0.0)
    assert (got.candidates, got.n_tiles, got.left_out) == ((), 0, {})


# -- a real page ---------------------------------------------------------------------------------------------------------------------


def test_on_a_real_chain_no_butterfly_beats_its_spread(realdata):
    """SPX, 12 July 2022, 11:55: the smile stays within the quotes for the first week, and nothing is worth more than it costs."""
    calendar = SessionCalendar.xnys()
    chain = read_chain(realdata / "options_cboe_quotedata" / "SPX_2022-07-12_1155ET.csv.gz", calendar=calendar)
    anytime = QuoteLimits(max_age_s=math.inf)
    priced = price_chain(chain, clock=TimeClock.CAL365, rates=RateCurve.constant(0.02), calendar=calendar, limits=anytime)
    for expiry in priced.expiries[:6]:
        rows = chain.rows[expiry.first : expiry.end]
        columns = (rows["strike"], rows["right"], rows["bid"], rows["ask"])
        discount = math.exp(-expiry.carry.rate * expiry.years)
        smile = fit_smile(*columns, forward=expiry.forward.forward_usd, years=expiry.years, discount=discount)
        assert smile.is_arbitrage_free
        assert smile.chi2_per_freedom < 1
        told = rows["strike"][(rows["strike"] >= smile.low) & (rows["strike"] <= smile.high)]
        np.testing.assert_allclose(smile.p_above([told.min(), told.max()]), [1, 0], atol=0.02)
        got = select(build_tiles("butterfly", expiry.dte, [10, 20, 50], *columns), smile, dte=expiry.dte, fee_usd=0.65, top=10_000)
        assert len(got.candidates) > 50
        assert max(c.edge_usd for c in got.candidates) < 0
        inside = np.array([abs(c.fair_usd - c.mid_usd) <= 0.5 * c.spread_usd for c in got.candidates])
        assert inside.mean() > 0.95, "between what one can buy and sell it for"


# -- legacy -------------------------------------------------------------------------------------------------------------------------


def test_the_worked_example_of_the_old_score():
    """20 wide for 1.60: debit 8 % of the width, ratio 11.5, r2r score 72.5 at 0 DTE."""
    assert selector_legacy.passes(20, 1.60)
    assert not selector_legacy.passes(20, 2.01)
    assert selector_legacy.r2r_score(20, 1.60, 0) == pytest.approx(72.5)


@pytest.mark.parametrize(
    ("ratio", "dte", "score"),
    [(9, 0, 60), (12, 0, 75), (15, 0, 85), (18, 0, 95), (30, 0, 95), (7.2, 0, 45), (3.6, 0, 22.5), (12, 1, 67.5), (30, 5, 85), (25, 5, 67.5),
     (55, 10, 90), (25, 30, 45 * 25 / 28)],
)  # fmt: skip
def test_ratios_are_scored_by_the_dte_tables(ratio, dte, score):
    width = 1.0 * (ratio + 1)  # for a debit of 1
    assert selector_legacy.r2r_score(width, 1.0, dte) == pytest.approx(score)


def test_the_old_convexity_by_hand():
    """Debit 0.9 beside eight of 1.0: 10 % cheaper -> 85, + 10 below all -> 95; no deviation -> z 0 -> 55; 30·log2(20/0.9)·1.10 -> 95."""
    assert selector_legacy.convexity_score(20, 0.9, [1.0] * 8) == pytest.approx(0.5 * 95 + 0.3 * 55 + 0.2 * 95)
    beside = [1.0, 1.2, 1.4, 1.6]  # mean 1.3, deviation 0.2236; 1.3: 0 % -> 50, z 0 -> 55; 1.6: -23 % -> 20, z -1.34 -> 29.87
    assert selector_legacy.convexity_score(20, 1.3, beside) == pytest.approx(0.5 * 50 + 0.3 * 55 + 0.2 * 95)
    assert selector_legacy.convexity_score(20, 1.6, beside) == pytest.approx(0.5 * 20 + 0.3 * (50 - 15 * 0.3 / 0.05**0.5) + 0.2 * 95)
    assert selector_legacy.convexity_score(20, 1.0, []) is None


@pytest.mark.parametrize(("debit", "score"), [(0.6, 95.0), (4.0, 30 * np.log2(5)), (10.0, 30.0)])
def test_the_old_efficiency_by_hand(debit, score):
    assert selector_legacy.efficiency_score(20, debit) == pytest.approx(score)


def test_the_composite_is_weighted_and_missing_when_a_part_is():
    full = selector_legacy.LegacyScore(80.0, 72.5, 90.0, 60.0)
    assert full.composite == pytest.approx(0.40 * 80 + 0.25 * 72.5 + 0.20 * 90 + 0.15 * 60)
    assert selector_legacy.LegacyScore(80.0, 72.5, 90.0, None).composite is None
    assert sum(selector_legacy.WEIGHTS.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("width", "dte", "vix", "hour", "parts"),
    [
        (25, 0, 14.0, 10.0, (95, 95, 95, 55)),
        (25, 2, 14.0, 10.0, (95, 70, 70, 55)),
        (50, 5, 14.0, 10.0, (85, 50, 70, 95)),
        (35, 1, 20.0, 13.0, (95, 95, 85, 70)),
        (35, 0, 25.0, 15.0, (75, 95, 40, 70)),
        (30, 0, 35.0, 8.0, (30, 40, 80, 70)),
        (20, 4, 25.0, 10.0, (30, 60, 70, 55)),
    ],
)
def test_the_old_width_fit_by_hand(width, dte, vix, hour, parts):
    assert selector_legacy.width_fit_score(width, dte, vix, hour) == pytest.approx(np.dot(parts, [0.40, 0.25, 0.20, 0.15]))


def test_the_old_gamma_alignment_by_hand():
    score = selector_legacy.gamma_alignment_score
    levels = {"magnet": 6005.0, "zero_gamma": 5990.0, "net_gex": {5980.0: 5.0, 6020.0: -1.0}}
    assert score(6000, 20, "C", **levels) == pytest.approx(0.4 * 95 + 0.3 * 80 + 0.3 * 65)
    assert score(6000, 20, "P", **levels) == pytest.approx(0.4 * 95 + 0.3 * 30 + 0.3 * 65)
    assert score(6000, 20, "C", **(levels | {"magnet": None})) is None
