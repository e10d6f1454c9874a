"""Still pictures and tables of a notebook: what they show is what the records say."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.clock import NS_PER_MIN
from workbench.conditions import HIGH_LOW, OPEN_CLOSE, VOLUME, rule_mask
from workbench.history.audit import audit
from workbench.hub.clean import Quarantine
from workbench.hub.frames import to_frame
from workbench.sessions import ny_ns
from workbench.types import BAR_DTYPE, SymbolTable, Trade, trade_to_row
from workbench.views import theme
from workbench.views.lab import pictures, tables

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
START_NS = ny_ns(date(2026, 11, 18), 10, 30)


def bars(n=3):
    rows = np.zeros(n, BAR_DTYPE)
    rows["ts_open"] = START_NS + NS_PER_MIN * np.arange(n)
    rows["ts_close"] = rows["ts_open"] + NS_PER_MIN
    rows["open"], rows["close"] = 10.0, [11.0, 9.0, 10.5][:n]
    rows["high"], rows["low"], rows["volume"], rows["is_complete"] = 12.0, 8.0, 100.0, 1
    rows["is_partial"][-1] = 1
    return to_frame(rows, symbol="SPY", timeframe="1m")


def prints(*conditions):
    symbols = SymbolTable(["SPY"])
    trades = [
        Trade("SPY", START_NS + i, 10.0, 5.0, ts_recv=START_NS + i + 2_500_000, conditions=ids, sequence=i)
        for i, ids in enumerate(conditions)
    ]
    return np.concatenate([trade_to_row(trade, symbols) for trade in trades]), symbols


def test_candles_stand_side_by_side_in_the_colours_of_their_direction_and_partial_ones_are_hollow():
    pytest.importorskip("holoviews")
    _, boxes = pictures.candles(bars())
    frame = boxes.dframe()
    colours = theme.tokens("light")
    assert frame["tone"].tolist() == [colours["up"], colours["down"], colours["up"]]
    assert frame["alpha"].tolist() == [1.0, 1.0, 0.15]
    assert np.diff(frame["place"]) == pytest.approx([1.0, 1.0])
    assert frame["price"].tolist() == [10.0, 9.0, 10.0]


def test_a_frame_of_bars_is_ready_for_hvplot():
    pytest.importorskip("hvplot")
    import holoviews as hv
    import hvplot.pandas

    assert hvplot.pandas
    picture = hv.render(bars().tz_localize(None).hvplot.ohlc(), backend="bokeh")
    assert len(picture.renderers) >= 2


def test_prints_are_told_with_new_york_time_latency_and_conditions_in_words():
    table = tables.prints(*prints((), (14, 37)))
    assert str(table.index.tz) == "America/New_York"
    assert table["latency_ms"].tolist() == [2.5, 2.5]
    assert table["conditions"].tolist() == ["regular", "Intermarket sweep, Odd lot"]


def test_rules_say_what_each_set_of_conditions_may_set():
    table = tables.rules(prints((), (), (37,), (2,))[0])
    assert table.loc["regular", "prints"] == 2
    for ids, name in (((), "regular"), ((37,), "Odd lot"), ((2,), "Average price")):
        mask = rule_mask(ids, in_regular_session=True)
        told = table.loc[name, ["open_close", "high_low", "volume"]].tolist()
        assert told == [bool(mask & bit) for bit in (OPEN_CLOSE, HIGH_LOW, VOLUME)]


def test_quarantined_events_are_listed_by_the_moment_they_came():
    quarantine = Quarantine()
    quarantine.put("duplicate print", "SPY", START_NS, "<b>raw</b>")
    table = tables.quarantined(quarantine)
    assert table["reason"].tolist() == ["duplicate print"]
    assert f"{table.index[0]:%H:%M}" == "10:30"
    assert "<b>" not in table._repr_html_()


def test_an_audits_tables_add_up_to_its_numbers():
    report = audit(SAMPLES / "SPY_1m_vendor_one.csv.gz", SAMPLES / "SPY_1m_vendor_two.csv.gz")
    days = [("2025-11-26", 390), ("2025-11-28", 210), ("2025-12-01", 390)]
    complete, gaps, parts = tables.by_session(report, days), tables.missing(report), tables.score_parts(report)
    assert complete["present"].sum() == report["present"]
    assert gaps["bars"].sum() == report["missing"]
    assert 100 * parts.prod() == pytest.approx(report["score"], abs=0.2)
    planted = tables.planted(report, json.loads((SAMPLES / "planted.json").read_text())["vendor_one"])
    assert (planted["planted"] == planted["found"]).all()
    assert tables.differences(report).loc["close", "largest"] == pytest.approx(0.01)
    assert tables.audit_summary({"one": report}).loc["score", "one"] == report["score"]


def test_the_picture_of_presence_has_one_line_per_session_and_one_mark_per_hole():
    pytest.importorskip("holoviews")
    report = audit(SAMPLES / "SPY_1m_vendor_one.csv.gz")
    complete = tables.by_session(report, [("2025-11-26", 390), ("2025-11-28", 210), ("2025-12-01", 390)])
    there, gone = pictures.presence(complete, tables.missing(report))
    assert (len(there), len(gone)) == (3, len(report["missing_ranges"]))
    assert there.dframe()["hour_"].tolist() == [16.0, 13.0, 16.0]


def test_exposure_is_drawn_in_millions_with_the_levels_that_there_are():
    strikes = pd.DataFrame({"strike": [99.0, 100.0, 101.0], "call_gex": [1e6, 2e6, np.nan], "put_gex": [-3e6, -1e6, -5e5]})
    picture = pictures.exposure_bars(strikes, {"spot": 100.2, "flip": None})
    calls, puts = (layer for layer in picture if type(layer).__name__ == "Rectangles")
    assert calls.dimension_values("m").tolist()[:2] == [1.0, 2.0]
    assert puts.dimension_values("gex").tolist() == [-3.0, -1.0, -0.5]
    assert [layer.data for layer in picture if type(layer).__name__ == "VLine"] == [100.2]


def test_a_tile_without_a_value_is_left_empty():
    picture = pictures.tile_map(np.array([99.0, 100.0]), np.array([1.0, 5.0]), np.array([[1.0, np.nan], [2.0, 3.0]]), unit="%")
    assert picture.dimension_values("value").tolist() == [1.0, 2.0, 3.0]
    assert picture.dimension_values("wide").tolist() == [1.0, 1.0, 5.0]
