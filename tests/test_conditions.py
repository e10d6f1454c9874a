"""Sale-condition rules against the provider's own table, and the combinations traders are hurt by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.conditions import ALL, HIGH_LOW, OPEN_CLOSE, TRADE_CONDITIONS, VOLUME, rule_mask

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
