"""The tile heat map: keys, debits by hand, what is no price, differences of states. Oracle: the formulas of butterflies and verticals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import RecordError
from workbench.options import tiles
from workbench.options.quotes import QuoteLimits
from workbench.options.tiles import Tile, TileDiff, TileSide, TileState, TileStatus, build_tiles, outcome, parse_key, tile_key

OK, BAD, MISSING, NO_BID = TileStatus.OK, TileStatus.BAD_QUOTE, TileStatus.MISSING, TileStatus.NO_BID


def ns(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).timestamp()) * 10**9


# strike, call bid, call ask, put bid, put ask
LADDER = np.array([
    [5980, 30.0, 30.4, 9.0, 9.2],
    [6000, 17.0, 17.2, 16.0, 16.2],
    [6020, 8.0, 8.2, 27.0, 27.4],
    [6040, 3.0, 3.2, 42.0, 42.6],
])  # fmt: skip


def built(strategy, widths, ladder=LADDER, **more):
    strike, right = np.tile(ladder[:, 0], 2), np.repeat(["C", "P"], len(ladder))
    bid, ask = np.concatenate([ladder[:, 1], ladder[:, 3]]), np.concatenate([ladder[:, 2], ladder[:, 4]])
    return build_tiles(strategy, 0, widths, strike, right, bid, ask, **more)


# -- keys ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("butterfly", 0, 20, 6000), "butterfly:0:20:6000"),
        (("butterfly", 0, 20.0, 6000.0), "butterfly:0:20:6000"),
        (("vertical", 3, 2.5, 607.5), "vertical:3:2.5:607.5"),
        (("single", 12, 0, 0.125), "single:12:0:0.125"),
        (("single", 0, 0, 100), "single:0:0:100"),
    ],
)
def test_a_key_has_the_fewest_decimals_that_are_exact(parts, key):
    assert tile_key(*parts) == key
    assert parse_key(key) == parts


@given(
    strike=st.integers(1, 99_999_999).map(lambda n: n / 1000),
    width=st.integers(1, 500_000).map(lambda n: n / 1000),
    dte=st.integers(0, 900),
)
def test_every_key_comes_back(strike, width, dte):
    assert parse_key(tile_key("butterfly", dte, width, strike)) == ("butterfly", dte, width, strike)


@pytest.mark.parametrize("key", ["", "butterfly:0:20", "fly:0:20:6000", "butterfly:0:20:6000.0", "single:0:5:6000", "vertical:0:0:1", "a:b:c:d",
                                 "butterfly:0:20:6000:1"])  # fmt: skip
def test_what_is_no_key_is_refused(key):
    with pytest.raises(RecordError, match=r"tile key: received|strategy: received|width: received"):
        parse_key(key)


# -- debits -------------------------------------------------------------------------------------------------------------------------


def test_a_butterfly_from_calls_and_from_puts():
    got = built("butterfly", [20, 40])
    assert set(got) == {"butterfly:0:20:6000", "butterfly:0:20:6020"}
    tile = got["butterfly:0:20:6000"]
    assert tile.call.mid_usd == pytest.approx(30.2 - 2 * 17.1 + 8.1)
    assert tile.call.natural_usd == pytest.approx(30.4 - 2 * 17.0 + 8.2)
    assert tile.put.mid_usd == pytest.approx(27.2 - 2 * 16.1 + 9.1)
    assert tile.put.natural_usd == pytest.approx(27.4 - 2 * 16.0 + 9.2)
    assert tile.call.theo_usd is None, "no model was asked"
    assert (tile.call.status, tile.put.status) == (OK, OK)


def test_a_vertical_buys_its_strike_and_sells_further_out():
    tile = built("vertical", [20])["vertical:0:20:6000"]
    assert tile.call.mid_usd == pytest.approx(17.1 - 8.1)
    assert tile.call.natural_usd == pytest.approx(17.2 - 8.0)
    assert tile.put.mid_usd == pytest.approx(16.1 - 9.1)
    assert tile.put.natural_usd == pytest.approx(16.2 - 9.0)


def test_at_the_edge_of_the_ladder_one_side_stands_alone():
    got = built("vertical", [20])
    assert got["vertical:0:20:6040"].call is None
    assert got["vertical:0:20:6040"].put is not None
    assert got["vertical:0:20:5980"].put is None


def test_singles_have_width_zero():
    got = built("single", [])
    assert set(got) == {f"single:0:0:{k:g}" for k in LADDER[:, 0]}
    assert got["single:0:0:6000"].put == TileSide(16.1, 16.2, None, OK)


def test_the_model_never_stands_in_for_the_market():
    ladder = LADDER.copy()
    ladder[1, 1:3] = np.nan
    theo = np.concatenate([[30.1, 17.15, 8.05, 3.05], np.full(4, np.nan)])
    side = built("butterfly", [20], ladder, theo_usd=theo)["butterfly:0:20:6000"].call
    assert side == TileSide(None, None, pytest.approx(30.1 - 2 * 17.15 + 8.05), MISSING)


def test_a_contract_without_bid_has_no_mid_but_can_be_bought():
    ladder = LADDER.copy()
    ladder[2, 1:3] = 0.0, 0.05
    assert built("single", [], ladder)["single:0:0:6020"].call == TileSide(None, 0.05, None, NO_BID)
    sold = built("vertical", [20], ladder)["vertical:0:20:6000"].call
    assert sold == TileSide(None, None, None, NO_BID), "nobody bids for the strike to sell"


@pytest.mark.parametrize(("column", "value"), [(1, 17.6), (2, np.inf), (1, -1.0)])
def test_crossed_and_impossible_quotes_are_bad(column, value):
    ladder = LADDER.copy()
    ladder[1, column] = value
    side = built("butterfly", [20], ladder)["butterfly:0:20:6000"].call
    assert side == TileSide(None, None, None, BAD)


def test_an_old_quote_is_bad_and_a_wide_one_has_a_natural_price_only():
    age = np.zeros(8)
    age[1] = 61
    assert built("butterfly", [20], age_s=age)["butterfly:0:20:6000"].call == TileSide(None, None, None, BAD)
    ladder = LADDER.copy()
    ladder[2, 1:3] = 2.0, 14.0
    side = built("butterfly", [20], ladder)["butterfly:0:20:6000"].call
    assert (side.mid_usd, side.natural_usd, side.status) == (None, pytest.approx(30.4 - 34.0 + 14.0), BAD)
    assert built("butterfly", [20], ladder, limits=QuoteLimits(max_spread_frac=2))["butterfly:0:20:6000"].call.mid_usd is not None


@pytest.mark.parametrize("middle", [20.0, 8.0])
def test_a_butterfly_for_less_than_nothing_or_more_than_its_width_is_a_bad_quote(middle):
    ladder = LADDER.copy()
    ladder[1, 1:3] = middle, middle + 0.2
    side = built("butterfly", [20], ladder)["butterfly:0:20:6000"].call
    assert side.status == BAD
    assert side.mid_usd == pytest.approx(30.2 - 2 * (middle + 0.1) + 8.1), "shown with what is wrong about it"


def test_strikes_with_fractions_are_matched_exactly():
    ladder = LADDER.copy()
    ladder[:, 0] = [600, 602.5, 605, 607.5]
    got = built("butterfly", [2.5], ladder, limits=QuoteLimits())
    assert set(got) == {"butterfly:0:2.5:602.5", "butterfly:0:2.5:605"}


def test_an_empty_chain_has_no_tiles():
    assert build_tiles("butterfly", 0, [20], [], np.array([], "U1"), [], []) == {}


@pytest.mark.parametrize(
    ("what", "best", "worst", "break_evens"),
    [
        (("butterfly", "C", 20, 6000, 1.60), 18.4, 1.6, (5981.6, 6018.4)),
        (("butterfly", "P", 20, 6000, 1.60), 18.4, 1.6, (5981.6, 6018.4)),
        (("butterfly", "C", 20, 6000, 20.5), -0.5, 20.5, ()),
        (("vertical", "C", 20, 6000, 9.0), 11.0, 9.0, (6009.0,)),
        (("vertical", "P", 20, 6000, 7.0), 13.0, 7.0, (5993.0,)),
        (("single", "C", 0, 6000, 17.0), math.inf, 17.0, (6017.0,)),
        (("single", "P", 0, 6000, 16.0), 5984.0, 16.0, (5984.0,)),
    ],
)
def test_what_a_tile_brings(what, best, worst, break_evens):
    got = outcome(*what)
    assert (got.max_profit_usd, got.max_loss_usd) == (pytest.approx(best), worst)
    assert got.break_evens_usd == pytest.approx(break_evens)


# -- states -------------------------------------------------------------------------------------------------------------------------

prices_ = st.none() | st.floats(-5, 50)
sides = st.none() | st.builds(TileSide, prices_, prices_, prices_, st.sampled_from(TileStatus))
keys = st.builds(tile_key, st.sampled_from(["butterfly", "vertical"]), st.integers(0, 3), st.sampled_from([5, 10, 2.5]), st.integers(1, 30))
maps = st.dictionaries(keys, st.builds(Tile, sides, sides), max_size=30)
dtes_ = st.lists(st.integers(0, 30), unique=True, max_size=5).map(tuple)
states = st.builds(TileState, st.just("SPXW"), st.integers(0, 2**62), st.integers(1, 10**9), maps, dtes_)


@settings(deadline=None, max_examples=300)
@given(a=states, new=maps, keeps=st.booleans(), ts_ns=st.integers(0, 2**62), dtes=dtes_)
def test_a_difference_applied_gives_the_state_it_was_taken_of(a, new, keeps, ts_ns, dtes):
    b = TileState("SPXW", ts_ns, a.version + 1, {**a.tiles, **new} if keeps else new, dtes)
    change = tiles.diff(a, b)
    assert tiles.apply(change, a) == b
    sent = TileDiff.from_dict(json.loads(json.dumps(change.to_dict(), allow_nan=False)))
    assert tiles.apply(sent, TileState.from_dict(json.loads(json.dumps(a.to_dict(), allow_nan=False)))) == b
    assert set(change.to_dict()) == {"symbol", "ts", "version", "changed", "removed", "dtes_available"}
    assert all(a.tiles.get(key) != tile for key, tile in change.changed.items()), "only what changed is sent"


@given(a=states)
def test_nothing_changed_is_a_difference_too(a):
    b = replace(a, version=a.version + 1)
    change = tiles.diff(a, b)
    assert (change.changed, change.removed) == ({}, ())
    assert tiles.apply(change, a) == b


def test_a_gap_in_versions_asks_for_the_whole_state():
    a = TileState("SPXW", 1, 7, {}, (0,))
    b, c = replace(a, version=8), replace(a, version=9)
    with pytest.raises(RecordError, match="version 9 on SPXW version 7; allowed: SPXW version 8; next: load the whole state"):
        tiles.apply(tiles.diff(b, c), a)
    for other in (c, a, replace(b, symbol="SPX")):
        with pytest.raises(RecordError, match="versions one apart"):
            tiles.diff(a, other)


def test_the_same_difference_twice_is_refused():
    a = TileState("SPXW", 1, 7, {}, (0,))
    change = tiles.diff(a, replace(a, version=8))
    with pytest.raises(RecordError, match="next: load the whole state"):
        tiles.apply(change, tiles.apply(change, a))


def test_at_new_yorks_midnight_keys_count_one_day_less():
    tile = Tile(TileSide(1.0, 1.1, None, OK), None)
    evening = TileState("SPXW", ns("2026-03-06 23:59"), 3, {tile_key("butterfly", d, 5, 6000): tile for d in (0, 3, 4)}, (0, 3, 4))
    assert tiles.rekeyed(evening, ns("2026-03-06 23:59:30")).tiles == evening.tiles
    monday = tiles.rekeyed(evening, ns("2026-03-09 00:01"))  # over the change to summer time
    assert list(monday.tiles) == ["butterfly:0:5:6000", "butterfly:1:5:6000"]
    assert monday.dtes_available == (0, 1)
    assert monday.version == 4
    with pytest.raises(RecordError, match="received 2026-03-05; allowed: 2026-03-06"):
        tiles.rekeyed(evening, ns("2026-03-05 12:00"))


def test_the_map_is_strike_by_width_without_bad_quotes():
    ladder = LADDER.copy()
    ladder[3, 1:3] = 20.0, 20.2  # the highest strike for more than the one below
    state = TileState("SPXW", 0, 1, built("vertical", [20, 40], ladder), (0,))
    strikes, widths, debits = tiles.grid(state, "vertical", 0, "C", "mid")
    np.testing.assert_array_equal(strikes, LADDER[:, 0])
    np.testing.assert_array_equal(widths, [20, 40])
    np.testing.assert_allclose(debits, [[13.1, 22.1], [9.0, np.nan], [np.nan, np.nan], [np.nan, np.nan]])
    with pytest.raises(RecordError, match="price: received 'last'"):
        tiles.grid(state, "vertical", 0, "C", "last")


@pytest.mark.parametrize(
    ("read", "plain"),
    [
        (TileState.from_dict, {"symbol": "SPX"}),
        (TileState.from_dict, {"symbol": "SPX", "ts": 1, "version": 1, "dtes_available": [], "tiles": {"k": 5}}),
        (TileState.from_dict, {"symbol": "SPX", "ts": 1, "version": 1, "dtes_available": [], "tiles": {"k": {"call": None}}}),
        (TileDiff.from_dict, {"symbol": "SPX", "ts": 1, "version": 1, "dtes_available": [], "changed": {}}),
        (TileDiff.from_dict, {"symbol": "SPX", "ts": 1, "version": 1, "dtes_available": [], "changed": [], "removed": []}),
    ],
)
def test_a_message_that_is_none_is_refused(read, plain):
    with pytest.raises(RecordError, match="received"):
        read(plain)
