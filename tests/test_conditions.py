"""Sale-condition rules against the provider's own table, and the combinations traders are hurt by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.stubs import TEN, prints
from workbench.conditions import ALL, HIGH_LOW, OPEN_CLOSE, OPTION_CONDITIONS, TRADE_CONDITIONS, VOLUME, rule_mask
from workbench.hub.bars import build_bars
from workbench.sessions import SessionCalendar

PUBLISHED = Path(__file__).parents[1] / "../shared/realdata/polygon_messages/rest/v3/reference/conditions&asset_class=stocks.json"


@pytest.mark.parametrize(
    ("conditions", "mask"),
    [
        ([], ALL),
        ([0], ALL),
        ([14, 41], ALL),
        ([37], VOLUME),
        ([14, 37, 41], VOLUME),
        ([2], VOLUME),
        ([10], HIGH_LOW | VOLUME),
        ([32], HIGH_LOW | VOLUME),
        ([15], 0),
        ([16], 0),
        ([38], HIGH_LOW | OPEN_CLOSE),
        ([52, 41], VOLUME),
    ],
)
def test_conditions_combine_by_and(conditions, mask):
    assert rule_mask(conditions, in_regular_session=True) == mask


def test_form_t_counts_for_prices_only_outside_regular_hours():
    assert rule_mask([12], in_regular_session=True) == VOLUME
    assert rule_mask([12], in_regular_session=False) == ALL
    assert rule_mask([12, 37], in_regular_session=False) == VOLUME


# docs.alpaca.markets, market data FAQ, "How are option bars aggregated?" (minute bars): letters by what they update
UPDATE_NOTHING, UPDATE_VOLUME, UPDATE_ALL = "ABCDEFG", "tu", "HIJSabcdefghijklmnopqrsv"


@pytest.mark.parametrize(("letters", "mask"), [(UPDATE_NOTHING, 0), (UPDATE_VOLUME, VOLUME), (UPDATE_ALL, ALL)])
def test_option_conditions_update_what_the_published_table_says(letters, mask):
    for letter in letters:
        condition = 201 + ord(letter) - ord("A") if letter.isupper() else 227 + ord(letter) - ord("a")
        for in_regular_session in (True, False):
            assert rule_mask([condition], in_regular_session=in_regular_session) == mask, letter


def test_every_option_condition_of_the_published_table_has_a_name():
    named = {i for i, (name, _) in OPTION_CONDITIONS.items() if name != "Without a rule"}
    assert len(named) == len(UPDATE_NOTHING + UPDATE_VOLUME + UPDATE_ALL)
    assert not set(OPTION_CONDITIONS) & set(TRADE_CONDITIONS)


@pytest.mark.parametrize("condition", [200, 211, 226, 249, 255])
def test_an_option_condition_without_a_rule_counts_in_full(condition):
    assert rule_mask([condition], in_regular_session=True) == ALL


def test_a_cancelled_option_print_builds_no_bar():
    rows = prints([(TEN + 1, 5.0, 10, 233), (TEN + 2, 50.0, 10, 201), (TEN + 3, 0.05, 10, 204)])
    built = build_bars(rows["ts_event"], rows["price"], rows["size"], conditions=rows["conditions"], sessions=SessionCalendar.xnys())
    assert (built["high"].tolist(), built["low"].tolist(), built["volume"].tolist()) == ([5.0], [5.0], [10.0])


@pytest.mark.parametrize("unknown", [26, 150, 511, 512, -1, 99999])
def test_an_unknown_id_is_never_guessed(unknown):
    with pytest.raises(KeyError):
        rule_mask([0, unknown], in_regular_session=True)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="../shared is not here: the provider's published table can't be compared")
def test_rules_agree_with_the_table_that_the_provider_publishes():
    rows = json.loads(PUBLISHED.read_text())["results"]
    compared = 0
    for row in rows:
        rules = row.get("update_rules", {}).get("consolidated")
        if "trade" not in row.get("data_types", []) or rules is None or row["id"] not in TRADE_CONDITIONS:
            continue
        bits = HIGH_LOW * rules["updates_high_low"] | OPEN_CLOSE * rules["updates_open_close"] | VOLUME * rules["updates_volume"]
        assert TRADE_CONDITIONS[row["id"]][1] == bits, row
        compared += 1
    assert compared > 0
