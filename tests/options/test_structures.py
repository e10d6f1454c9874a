"""Structures: legs that belong together, templates, the way to JSON and back, and refusals that say what is wrong."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import RecordError, SymbolError
from workbench.options import templates
from workbench.options.structures import Leg, Structure, from_position
from workbench.types import OptionContract

NEAR, FAR = date(2026, 1, 16), date(2026, 2, 20)


def legs_of(structure):
    """(right or 'S', strike, signed quantity, month) of each leg, as a person would write them down."""
    return [
        (leg.contract.right, float(leg.contract.strike), leg.qty if leg.side == "buy" else -leg.qty, leg.contract.expiry.month)
        if leg.contract
        else ("S", 0.0, leg.qty if leg.side == "buy" else -leg.qty, 0)
        for leg in structure.legs
    ]


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (templates.single("SPY", NEAR, "C", 600, side="sell", qty=3), [("C", 600, -3, 1)]),
        (templates.vertical("SPY", NEAR, "P", 600, 590), [("P", 600, 1, 1), ("P", 590, -1, 1)]),
        (templates.butterfly("SPXW", NEAR, "C", 6000, 20, qty=2), [("C", 5980, 2, 1), ("C", 6000, -4, 1), ("C", 6020, 2, 1)]),
        (templates.butterfly("SPY", NEAR, "P", "607.5", "2.5", upper_width=5), [("P", 605, 1, 1), ("P", 607.5, -2, 1), ("P", 612.5, 1, 1)]),
        (
            templates.iron_condor("SPY", NEAR, 570, 580, 620, 630),
            [("P", 570, 1, 1), ("P", 580, -1, 1), ("C", 620, -1, 1), ("C", 630, 1, 1)],
        ),
        (templates.straddle("SPY", NEAR, 600, side="sell"), [("P", 600, -1, 1), ("C", 600, -1, 1)]),
        (templates.strangle("SPY", NEAR, 590, 610), [("P", 590, 1, 1), ("C", 610, 1, 1)]),
        (templates.calendar("SPY", NEAR, FAR, "C", 600), [("C", 600, -1, 1), ("C", 600, 1, 2)]),
        (templates.calendar("SPY", NEAR, FAR, "C", 600, far_strike=605), [("C", 600, -1, 1), ("C", 605, 1, 2)]),
        (templates.covered_call("SPY", NEAR, 610, qty=2), [("S", 0, 200, 0), ("C", 610, -2, 1)]),
    ],
    ids=lambda x: x.name if isinstance(x, Structure) else "",
)
def test_a_template_buys_and_sells_what_its_name_says(structure, expected):
    assert legs_of(structure) == expected


def test_weekly_index_options_stand_on_the_index():
    assert templates.single("SPXW", NEAR, "C", 6000).underlying == "SPX"
    mixed = templates.single("SPX", NEAR, "C", 6000).with_leg(templates.single("SPXW", NEAR, "C", 6000, side="sell").legs[0])
    assert not mixed.has_one_expiry, "one date, but the morning and the afternoon"


def test_lots_and_the_price_of_one():
    flies = templates.butterfly("SPXW", NEAR, "C", 6000, 20, qty=3)
    assert flies.lots == 3
    assert flies.per_share(480.0) == pytest.approx(1.60)
    assert templates.covered_call("SPY", NEAR, 610, qty=2).lots == 2
    assert Structure("SPY", (Leg(None, "buy", 250),)).per_share(2500.0) == 10.0


def test_legs_are_added_removed_and_turned_round():
    straddle = templates.straddle("SPY", NEAR, 600)
    assert legs_of(straddle.without_leg(0)) == [("C", 600, 1, 1)]
    assert legs_of(straddle.reversed()) == [("P", 600, -1, 1), ("C", 600, -1, 1)]
    assert straddle.cost_usd is None
    assert straddle.priced([3.10, 2.15]).cost_usd == pytest.approx(525.0)
    assert straddle.priced([3.10, None]).cost_usd is None
    with pytest.raises(RecordError, match="received 2; allowed: 0 to 1"):
        straddle.without_leg(2)


def test_a_position_becomes_a_structure():
    held = {"SPY": (100, 598.2), "O:SPY260116C00610000": (-1, 1.25), "O:SPY260116P00580000": (0, 2.0), "O:SPY260116P00590000": (2, None)}
    structure = from_position("SPY", held)
    assert legs_of(structure) == [("S", 0, 100, 0), ("C", 610, -1, 1), ("P", 590, 2, 1)]
    assert [leg.price_usd for leg in structure.legs] == [598.2, 1.25, None]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Leg(None, "long", 1), r"Leg.side: received 'long'; allowed: buy, sell"),
        (lambda: Leg(None, "buy", 0), r"Leg.qty: received 0; allowed: whole numbers above 0; next: say 'sell'"),
        (lambda: Leg(None, "buy", -1), r"Leg.qty: received -1"),
        (lambda: Leg(None, "buy", 1.5), r"Leg.qty: received 1.5"),
        (lambda: Leg(None, "buy", 1, float("nan")), r"price_usd: received nan"),
        (lambda: Leg(None, "buy", 1, -2.0), r"price_usd: received -2.0; allowed: USD of 0 or more"),
        (lambda: Leg(OptionContract("TSLA1", NEAR, "C", Decimal(100), 15), "buy", 1), r"TSLA1.*adjusted by a corporate action"),
        (lambda: Structure("SPY", ()), r"Structure.legs: received 0; allowed: 1 to 16"),
        (lambda: Structure("SPX", (Leg(None, "buy", 100),)), r"shares of SPX, an index"),
        (lambda: Structure("QQQ", templates.single("SPY", NEAR, "C", 600).legs), r"SPY260116C00600000 in a structure on QQQ"),
        (lambda: Structure("SPY", templates.single("SPY", NEAR, "C", 600).legs * 2), r"received SPY260116C00600000 twice"),
        (lambda: templates.vertical("SPY", NEAR, "C", 600, 600), r"two different strikes"),
        (lambda: templates.butterfly("SPY", NEAR, "C", 600, 0), r"received 0, None; allowed: butterfly: widths above 0"),
        (lambda: templates.iron_condor("SPY", NEAR, 580, 570, 620, 630), r"put wing < put"),
        (lambda: templates.strangle("SPY", NEAR, 610, 590), r"put's strike below the call's"),
        (lambda: templates.calendar("SPY", FAR, NEAR, "C", 600), r"near expiry before the far one"),
        (lambda: templates.single("SPY", NEAR, "C", "six hundred"), r"strike: received 'six hundred'; allowed: a number of dollars"),
        (lambda: templates.single("SPY", NEAR, "X", 600), r"OptionContract.right"),
    ],
)
def test_what_does_not_belong_together_is_refused_in_words(build, message):
    with pytest.raises(RecordError, match=message):
        build()


def test_a_position_in_something_else_is_refused():
    with pytest.raises(SymbolError, match="QQQ"):
        from_position("SPY", {"QQQ": (100, 500.0)})


strikes = st.integers(1, 99_999_999).map(lambda n: Decimal(n) / 1000)
contracts = st.builds(OptionContract, st.sampled_from(["SPX", "SPXW"]), st.dates(date(2024, 1, 1), date(2030, 1, 1)),
                      st.sampled_from("CP"), strikes)  # fmt: skip
some_legs = st.builds(Leg, contracts, st.sampled_from(["buy", "sell"]), st.integers(1, 5000), st.none() | st.floats(0, 1e5))
structures = st.builds(
    Structure, st.just("SPX"), st.lists(some_legs, min_size=1, max_size=8, unique_by=lambda leg: leg.contract.occ).map(tuple), st.text()
)


@settings(deadline=None, max_examples=200)
@given(structure=structures)
def test_json_brings_back_what_was_saved(structure):
    assert Structure.from_dict(json.loads(json.dumps(structure.to_dict()))) == structure


def test_shares_come_back_from_json_too():
    held = templates.covered_call("SPY", NEAR, 610).priced([598.21, 1.25])
    assert Structure.from_dict(json.loads(json.dumps(held.to_dict()))) == held


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, r"structure.version: received 2; allowed: 1"),
        ({"legs": "none"}, r"allowed: underlying and name as text, legs as a list"),
        ({"colour": "red"}, r"structure: received 'colour'"),
        ({"legs": [{"symbol": "O:SPX", "side": "buy", "qty": 1}]}, r"structure.legs: option symbol: received 'O:SPX'"),
        ({"legs": [{"symbol": "O:SPXW260116C06000000", "side": "hold", "qty": 1}]}, r"Leg.side: received 'hold'"),
        ({"legs": [{"symbol": "O:SPXW260116C06000000", "side": "buy", "qty": True}]}, r"Leg.qty: received True"),
        ({"legs": [{"symbol": "O:SPXW260116C06000000", "side": "buy", "qty": 1, "price_usd": "2"}]}, r"price_usd: received '2'"),
        ({"legs": [7]}, r"structure.legs: received 7"),
    ],
)
def test_a_saved_structure_that_cant_be_read_says_why(change, message):
    plain = templates.single("SPXW", NEAR, "C", 6000).to_dict() | change
    with pytest.raises(RecordError, match=message):
        Structure.from_dict(plain)


def test_what_is_no_object_at_all_is_refused():
    with pytest.raises(RecordError, match="structure.version: received"):
        Structure.from_dict([1, 2])
