"""Seeded defects are counted exactly: what was broken on purpose is what the audit finds."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from workbench.errors import SchemaError
from workbench.history.audit import audit
from workbench.history.regimes import volume_regimes
from workbench.history.spikes import bar_spikes, print_spikes

MINUTE = 60_000_000_000
BARS = "ts,symbol,open,high,low,close,volume"


@pytest.fixture
def week():
    """Return five sessions of minutes, 2024-07-01..08 (the 3rd is a half day, the 4th a holiday), as a list of rows."""
    chance = np.random.default_rng(11)
    rows = []
    for date, minutes in (("2024-07-01", 390), ("2024-07-02", 390), ("2024-07-03", 210), ("2024-07-05", 390), ("2024-07-08", 390)):
        start = pd.Timestamp(f"{date} 09:30", tz="America/New_York").value
        close = 100 * np.exp(np.cumsum(chance.normal(0, 0.0004, minutes)))
        for k in range(minutes):
            o, c = (close[k - 1] if k else close[0]), close[k]
            rows.append([start + k * MINUTE, "SPY", o, max(o, c) + 0.02, min(o, c) - 0.02, c, 1000 + int(chance.integers(500))])
    return rows


KEYS = (
    "kind",
    "rows",
    "sessions",
    "expected",
    "present",
    "missing",
    "missing_ranges",
    "duplicates",
    "out_of_order",
    "ohlc_violations",
    "outliers",
    "score",
)


def test_whole_week_is_faultless(week, write_csv):
    report = audit(write_csv("bars.csv", BARS, week))
    assert set(KEYS) <= set(report)
    assert {k: report[k] for k in KEYS} == {
        "kind": "bars", "rows": 1770, "sessions": 5, "expected": 1770, "present": 1770, "missing": 0, "missing_ranges": [],
        "duplicates": 0, "out_of_order": 0, "ohlc_violations": 0, "outliers": 0, "score": 100.0,
    }  # fmt: skip
    assert (report["findings"], report["absent_sessions"], report["early_closes"]) == ([], [], ["2024-07-03"])


def test_holes_are_found_where_they_are(week, write_csv):
    gone = {10, 11, 12, 200, 389}  # three minutes, one minute, the last minute of the first day
    rows = [row for k, row in enumerate(week) if k not in gone and not 780 <= k < 990]  # and the whole half day
    report = audit(write_csv("bars.csv", BARS, rows))
    assert (report["sessions"], report["expected"], report["missing"]) == (4, 1560, 5)
    assert report["missing_ranges"] == [
        {"start": "2024-07-01T09:40:00-04:00", "end": "2024-07-01T09:43:00-04:00", "bars": 3},
        {"start": "2024-07-01T12:50:00-04:00", "end": "2024-07-01T12:51:00-04:00", "bars": 1},
        {"start": "2024-07-01T15:59:00-04:00", "end": "2024-07-01T16:00:00-04:00", "bars": 1},
    ]
    assert report["absent_sessions"] == ["2024-07-03"]
    assert [(p["date"], p["how"], p["missing_inside"]) for p in report["partial_sessions"]] == [
        ("2024-07-01", ["ends early", "holes inside"], 4)
    ]
    assert report["score"] == 99.7


def test_every_defect_is_counted_once(week, write_csv):
    rows = [list(row) for row in week]
    rows[100][3] = rows[100][2] - 5  # high below open
    rows[101][4] = -1  # negative low
    rows[102][5] = ""  # no close
    rows[103][6] = 0
    rows[104][3] = rows[104][5] + 4  # a wick of 4 %
    rows[500][2] = rows[500][3] = rows[500][4] = rows[500][5] = rows[500][5] * 1.05  # a print that nobody made
    rows[600], rows[601] = rows[601], rows[600]
    rows.insert(700, list(rows[699]))
    rows.append([rows[-1][0] + MINUTE, "SPY", 1, 1, 1, 1, ""])  # 16:00, one price, no volume
    rows.append([rows[-1][0] + 300 * MINUTE, "SPY", 1, 1, 1, 1, 5])  # 21:00
    report = audit(write_csv("bars.csv", BARS, rows))
    want = {
        "duplicates": 1, "out_of_order": 1, "ohlc_violations": 2, "outliers": 2, "nan_price_rows": 1, "zero_volume_rows": 1,
        "nan_volume_rows": 1, "closing_price_rows": 1, "at_close_rows": 1, "outside_trading_day": 1, "missing": 0, "off_grid": 0,
    }  # fmt: skip
    assert {k: report[k] for k in want} == want
    assert report["score"] < 97
    assert len(report["findings"]) >= 8


def test_bars_off_their_grid_are_counted(week, write_csv):
    rows = week[::5]
    rows[7] = [rows[7][0] + 2 * MINUTE, *rows[7][1:]]
    report = audit(write_csv("bars.csv", BARS, rows))
    assert (report["timeframe"], report["off_grid"], report["missing"]) == ("5m", 1, 1)


def test_file_without_any_symbol_is_audited_all_the_same(week, write_csv):
    report = audit(write_csv("copy.csv", BARS.replace("symbol,", ""), [[r[0], *r[2:]] for r in week]))
    assert (report["symbols"], report["missing"]) == (["UNNAMED"], 0)
    assert any("called UNNAMED" in sentence for sentence in report["assumptions"])


def test_several_symbols_are_counted_each_for_itself(week, write_csv):
    other = [[row[0], "QQQ", *row[2:]] for row in week[:390] if row[0] % (7 * MINUTE)]
    report = audit(write_csv("bars.csv", BARS, week + other))
    assert (report["symbols"], report["expected"]) == (["QQQ", "SPY"], 1770 + 390)
    assert report["missing"] == 390 - len(other)
    assert {r["symbol"] for r in report["missing_ranges"]} == {"QQQ"}
    assert report["out_of_order"] == 0


def test_trades_and_quotes_are_judged_by_minutes(write_csv):
    start = pd.Timestamp("2024-07-03 09:30", tz="America/New_York").value  # half day: 210 minutes
    rows = [[start + k * MINUTE // 2, "SPY", 100 + 0.01 * (k % 3), 100, "", k, f"i{k}"] for k in range(420)]
    rows[100][2] = 60.0
    rows += [rows[10], [start + 7, "SPY", -1, 1, "", 999, "x"], [start + 8, "SPY", 100, 1, "777", 1000, "y"]]
    report = audit(write_csv("t.csv", "ts,symbol,price,size,conditions,sequence,id", rows))
    want = {
        "kind": "trades",
        "expected": 210,
        "missing": 0,
        "duplicates": 1,
        "bad_prices": 1,
        "unknown_conditions": 1,
        "outliers": 1,
        "out_of_order": 2,
    }
    assert {k: report[k] for k in want} == want
    quotes = [[start + k * MINUTE, "SPY", 100, 1, 100.02, 1] for k in range(210) if k != 50]
    quotes += [
        [start + 209 * MINUTE + 1, "SPY", 101, 1, 100, 1],
        [start + 209 * MINUTE + 2, "SPY", 100, 1, 0, 0],
        [start + 209 * MINUTE + 3, "SPY", 100, 1, 100, 1],
    ]
    report = audit(write_csv("q.csv", "ts,symbol,bid,bid_size,ask,ask_size", quotes))
    want = {"kind": "quotes", "expected": 210, "missing": 1, "crossed": 1, "locked": 1, "one_sided": 1, "ohlc_violations": 1}
    assert {k: report[k] for k in want} == want
    json.dumps(report, allow_nan=False)


def test_differences_from_a_second_file_by_hand(week, write_csv):
    other = [list(row) for row in week[10:]]
    other[0][5], other[0][3] = other[0][5] + 0.25, other[0][3] + 0.25  # close and high
    other[1][5], other[1][4] = other[1][5] - 0.5, other[1][4] - 0.5  # close and low
    report = audit(write_csv("a.csv", BARS, week), write_csv("b.csv", BARS, [r for r in other if r[0] != week[20][0]]))
    against = report["against"]
    close = against["columns"]["close"]
    assert (against["common"], against["only_here"], against["only_there"]) == (1759, 11, 0)
    assert close["largest"] == pytest.approx(0.5)
    assert close["largest_signed"] == pytest.approx(0.5)
    assert close["largest_at"] == "2024-07-01T09:41:00-04:00"
    assert close["share"] == pytest.approx(2 / 1759)
    assert against["columns"]["open"]["share"] == 0


def test_files_that_can_not_be_compared_are_named(week, write_csv):
    bars = write_csv("a.csv", BARS, week)
    with pytest.raises(SchemaError, match="symbols"):
        audit(
            write_csv("m.csv", BARS, week + [[r[0], "QQQ", *r[2:]] for r in week]),
            write_csv("b.csv", BARS, [[r[0], "IWM", *r[2:]] for r in week]),
        )
    quotes = write_csv("q.csv", "ts,symbol,bid,bid_size,ask,ask_size", [[r[0], "SPY", 1, 1, 2, 1] for r in week])
    with pytest.raises(SchemaError, match="received quotes"):
        audit(bars, quotes)


# -- the rules behind it ---------------------------------------------------------------------------------------------------------


def test_two_feeds_are_told_from_one_busy_day():
    dates = np.arange(20_000, 20_060)
    chance = np.random.default_rng(5)
    one = 1e6 * np.exp(chance.normal(0, 0.35, 60))
    busy = one.copy()
    busy[30:32] *= 12  # earnings: two days
    two = one.copy()
    two[40:50] *= 0.03
    assert len(volume_regimes(dates, one)) == 1
    assert len(volume_regimes(dates, busy)) == 1
    assert [r["days"] for r in volume_regimes(dates, two)] == [40, 10, 10]
    assert volume_regimes(dates[:0], one[:0]) == []


def test_a_level_that_moves_and_stays_is_no_spike():
    from workbench.types import BAR_DTYPE

    rows = np.zeros(100, BAR_DTYPE)
    price = np.r_[np.full(50, 100.0), np.full(50, 120.0)] + 0.01 * (np.arange(100) % 3)
    rows["open"] = rows["close"] = price
    rows["high"], rows["low"] = price + 0.02, price - 0.02
    days = np.zeros(100, np.int64)
    assert not bar_spikes(rows, days).any()
    rows["low"][20] = 70
    assert np.flatnonzero(bar_spikes(rows, days)).tolist() == [20]
    assert not print_spikes(price).any()
    price[70] = 99
    assert np.flatnonzero(print_spikes(price)).tolist() == [70]
