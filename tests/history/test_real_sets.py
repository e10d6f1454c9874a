"""The defects that the real recordings are known to have are found, set by set.

Oracle: FACTS.csv and README.md beside the recordings, made with pandas by somebody else. Nothing here is tuned to one file.
"""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest

from workbench.history.audit import audit
from workbench.history.recording import load
from workbench.history.schema import ReadOptions, read_table

COUNTS = {  # FACTS.csv -> audit
    "rows": "rows",
    "days_with_data": "sessions",
    "rth_bars_expected_on_days_present": "expected",
    "rth_bars_missing": "missing",
    "sessions_complete": "complete_sessions",
    "bars_outside_rth": "outside_regular",
    "duplicate_timestamps": "duplicates",
    "ohlc_violations": "ohlc_violations",
    "nan_price_rows": "nan_price_rows",
    "nan_volume_rows": "nan_volume_rows",
    "zero_volume_rows": "zero_volume_rows",
}


def test_audit_of_every_bar_file_agrees_with_an_independent_count(real, bar_fact):
    report = audit(real / bar_fact["set"] / bar_fact["file"])
    assert {ours: report[ours] for ours in COUNTS.values()} == {ours: int(bar_fact[theirs]) for theirs, ours in COUNTS.items()}
    assert report["present"] == report["expected"] - report["missing"]
    assert sum(r["bars"] for r in report["missing_ranges"]) == report["missing"]
    assert sum(p["expected"] - p["present"] for p in report["partial_sessions"]) == report["missing"]
    assert (report["out_of_order"] == 0) == (bar_fact["monotonic"] == "True")
    assert len(report["absent_sessions"]) == int(bar_fact["nyse_sessions_in_span"]) - int(bar_fact["days_with_data"])
    assert 0 <= report["score"] <= 100
    json.dumps(report, allow_nan=False)


def test_every_bar_file_loads_in_time_order_with_closes_inside_the_session(real, bar_fact):
    recording = load(real / bar_fact["set"] / bar_fact["file"])
    rows = recording.rows
    assert (rows["ts_open"][1:] > rows["ts_open"][:-1]).all()
    assert (rows["ts_close"] > rows["ts_open"]).all()
    assert len(rows) + sum(recording.quarantined.values()) == int(bar_fact["rows"])


# -- one defect after the other --------------------------------------------------------------------------------------------------


def test_qqq_closing_price_rows_and_empty_rows_are_not_bars(real):
    path = real / "bars_qqq_5min_2020_2025/QQQ_5min_2020-10-09_2023-12-29.csv.gz"
    report = audit(path)
    assert report["at_close_rows"] == 669
    assert report["nan_price_days"] | {} == {
        "2020-11-04": 61, "2020-10-27": 41, "2022-11-25": report["nan_price_days"]["2022-11-25"],
        "2021-08-12": report["nan_price_days"]["2021-08-12"], "2023-07-03": report["nan_price_days"]["2023-07-03"],
        "2023-11-24": report["nan_price_days"]["2023-11-24"],
    }  # fmt: skip
    assert sum(report["nan_price_days"].values()) == 110
    rows = load(path).rows
    frame = pd.DataFrame({"ts": pd.to_datetime(rows["ts_open"], utc=True).tz_convert("America/New_York"), "close": rows["close"]})
    assert not frame["close"].isna().any()
    clock = frame["ts"].dt.strftime("%H:%M")
    assert (clock == "16:00").sum() <= 1  # one of them carries a volume: a real after-hours bar


def test_volume_switch_between_two_feeds_is_found_on_the_days_it_happens(real):
    for symbol in ("SPY", "QQQ", "NVDA", "SPXL", "COIN"):
        report = audit(real / f"bars_1min_2025_2026/{symbol}_1min.csv.gz")
        assert report["feed_switches"] == ["2026-01-22", "2026-03-09", "2026-03-12"], symbol
        assert any("two feeds" in sentence for sentence in report["findings"])
    assert audit(real / "bars_1min_2025_2026/XLF_1min.csv.gz")["feed_switches"] == ["2026-01-22", "2026-03-09"]


@pytest.mark.parametrize("name", ["bars_1min_2025_2026/LCID_1min", "bars_1min_2025_2026/META_1min", "bars_1min_ib_2025_11/MU_1min"])
def test_files_of_one_feed_show_no_switch(real, name):
    assert audit(real / f"{name}.csv.gz")["feed_switches"] == []


def test_the_sets_that_are_end_stamped_are_shifted_and_say_so(real):
    for name in ("bars_spy_1min_2011/SPY_1min_2011-01", "bars_1min_2019_02/SPY_1min"):
        report = audit(real / f"{name}.csv.gz")
        assert (report["stamp"], report["missing"]) == ("end", 0)
        assert any("end of the bar" in sentence for sentence in report["assumptions"])
    first = load(real / "bars_spy_1min_2011/SPY_1min_2011-01.csv.gz").rows["ts_open"][0]
    assert pd.Timestamp(first, tz="UTC").tz_convert("America/New_York") == pd.Timestamp("2011-01-03 04:00", tz="America/New_York")


def test_end_stamps_are_told_from_the_data_when_the_column_is_just_called_time(real, tmp_path):
    for name in ("bars_spy_1min_2011/SPY_1min_2011-01", "bars_1min_2019_02/SPY_1min"):
        text = gzip.decompress((real / f"{name}.csv.gz").read_bytes()).decode()
        path = tmp_path / "SPY_plain.csv"
        path.write_text("time" + text[text.index(",") :])
        assert read_table(path).timing.stamp == "end", name
    text = gzip.decompress((real / "bars_spy_1min_polygon_2024/SPY_1min_2024-02-20_2024-04-30.csv.gz").read_bytes()).decode()
    path.write_text("time" + text[text.index(",") :])
    assert read_table(path).timing.stamp == "start"


def test_newest_first_files_are_turned_round(real):
    for symbol in ("SPY", "AAPL", "TSLA"):
        report = audit(real / f"bars_1min_2019_02/{symbol}_1min.csv.gz")
        assert report["newest_first"]
        assert report["out_of_order"] == report["rows"] - 1
        assert "rows are written newest first" in report["findings"]


def test_backfill_chunks_and_truncated_days_are_named(real):
    report = audit(real / "bars_qqq_ib_2024_2025/QQQ_1min_2025-08-07_2025-08-28.csv.gz")
    assert [p["date"] for p in report["partial_sessions"]] == ["2025-08-12", "2025-08-18", "2025-08-20", "2025-08-26", "2025-08-28"]
    assert all(p["how"] == ["ends early"] and p["last"].endswith("10:16:00-04:00") for p in report["partial_sessions"])
    last = audit(real / "bars_1min_ib_2025_11/SPY_1min.csv.gz")["partial_sessions"]
    assert [(p["date"], p["how"]) for p in last] == [("2025-12-18", ["ends early"])]


def test_windows_are_seen_as_absent_sessions_not_as_missing_bars(real):
    report = audit(real / "bars_1min_windows_2022_2024/SPY_1min_2022_2023.csv.gz")
    assert len(report["absent_sessions"]) == 336
    assert report["missing"] == 491
    assert audit(real / "bars_1min_2025_2026/META_1min.csv.gz")["absent_sessions"] == ["2026-03-09", "2026-03-10", "2026-03-11"]


def test_rows_stamped_at_the_end_of_the_trading_day_are_outside_it(real):
    assert audit(real / "bars_spy_1min_polygon_2024/SPY_1min_2024-02-20_2024-04-30.csv.gz")["outside_trading_day"] == 2


def test_two_feeds_of_the_same_minutes_differ_as_measured_elsewhere(real):
    report = audit(real / "bars_1min_2025_2026/SPY_1min.csv.gz", real / "bars_1min_ib_2025_11/SPY_1min.csv.gz")
    other = report["against"]
    close = other["columns"]["close"]
    assert other["common"] == 11_136
    assert close["largest"] == pytest.approx(0.50, abs=1e-6)
    assert close["mean"] == pytest.approx(0.03, abs=0.005)
    assert close["share"] == pytest.approx(0.85, abs=0.01)  # README: equal in 15 %


def test_minutes_and_five_minutes_of_two_vendors_agree_after_rolling_up(real):
    """README: 6,002 common bars, median difference 0.00001 USD, largest 4.15 USD on a low."""
    five = real / "bars_qqq_5min_2020_2025/QQQ_5min_2020-10-09_2023-12-29.csv.gz"
    other = audit(five, real / "bars_1min_windows_2022_2024/QQQ_1min_2022_2023.csv.gz")["against"]
    assert other["timeframe"] == "5m"
    assert other["common"] == 3_998  # of the windows that are here
    assert other["columns"]["close"]["median"] < 0.0001
    assert other["columns"]["low"]["largest"] <= 4.16


# -- prints and quotes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rows", "regular", "volume"),
    [
        ("SPY_trades_20131007", 250_601, 241_504, 97_062_721),
        ("SPY_trades_20131008", 451_545, 440_353, 178_346_557),
        ("IBM_trades_20131007", 24_293, 24_106, 3_960_352),
    ],
)
def test_lean_prints_are_all_there_in_order(real, name, rows, regular, volume):
    report = audit(real / f"ticks_2013_lean/{name}.csv.gz")
    assert (report["rows"], report["rows"] - report["outside_regular"], report["volume"]) == (rows, regular, volume)
    assert (report["out_of_order"], report["duplicates"], report["suspicious"], report["missing"]) == (0, 0, 0, 0)
    assert any("every print taken as a regular sale" in sentence for sentence in report["assumptions"])


def test_lean_quotes_of_one_side_per_row_become_the_best_of_all_venues(real):
    path = real / "ticks_2013_lean/IBM_quotes_20131007.csv.gz"
    report = audit(path)
    assert (report["no_bid"], report["no_ask"], report["crossed"], report["venues"]) == (54_534, 54_533, 0, 11)
    quotes = load(path).rows
    both = quotes[~(pd.isna(quotes["bid"]) | pd.isna(quotes["ask"]))]
    assert len(both) > 0.9 * report["rows"]
    assert (both["bid"] <= both["ask"]).all()
    minutes = load(real / "ticks_2013_lean/IBM_minute_quote_bars_20131007.csv.gz").rows  # the same venues by another program
    at = quotes["ts_event"].searchsorted(minutes["ts_event"]) - 1
    middle = (quotes["bid"][at] + quotes["ask"][at]) / 2
    theirs = (minutes["bid"] + minutes["ask"]) / 2
    regular = slice(160, 540)
    assert pd.Series(abs(middle - theirs)[regular]).median() < 0.02


def test_taq_letters_become_condition_ids(real):
    report = audit(real / "taq_2018_highfrequency/XXX_trades_2018-01-02.csv.gz")
    assert report["unknown_conditions"] == report["cancelled"] == 0
    with gzip.open(real / "taq_2018_highfrequency/XXX_trades_2018-01-02.csv.gz", "rt") as handle:
        letters = pd.read_csv(handle)["COND"].fillna("")
    for letter, name in (
        ("I", "37 Odd lot"),
        ("F", "14 Intermarket sweep"),
        ("T", "12 Form T, extended hours"),
        ("4", "10 Derivatively priced"),
    ):
        assert report["conditions"][name] == letters.str.contains(letter, regex=False).sum()


def test_taq_quotes_count_round_lots(real):
    path = real / "taq_2018_highfrequency/XXX_quotes_2018-01-02.csv.gz"
    report = audit(path)
    assert report["rows"] == 66_695
    assert report["crossed"] == 0
    assert report["one_sided"] + report["no_side"] == 51
    assert any("round lots" in sentence for sentence in report["assumptions"])


def test_option_quotes_by_minute_become_contracts(real):
    recording = load(real / "options_minute_lean/GOOG_option_quote_20151224.csv.gz")
    assert len(recording.symbols) == 2192
    assert "O:GOOG151224C00590000" in recording.symbols
    report = audit(real / "options_minute_lean/GOOG_option_quote_20151224.csv.gz")
    assert (report["no_bid"], report["no_ask"], report["crossed"]) == (67_766, 45_541, 0)


def test_early_close_of_the_option_day_is_not_taken_for_missing_bars(real):
    report = audit(real / "options_minute_lean/GOOG_underlying_minute_trade_20151224.csv.gz")
    assert (report["expected"], report["missing"], report["early_closes"]) == (210, 0, ["2015-12-24"])


def test_index_bars_without_volume_and_date_load_when_the_person_says_so(real):
    options = ReadOptions(tz="America/New_York", columns={"volume": "-"}, symbol="I:SPX")
    assert [audit(real / f"gex_spx_0dte_2026/spx-1m/2026-08-{day}.csv", options=options)["rows"] for day in (12, 13, 14, 18)] == [
        390,
        385,
        384,
        391,
    ]
    report = audit(real / "gex_spx_0dte_2026/spx-1m/2026-08-18.csv", options=options)
    assert (report["at_close_rows"], report["missing"]) == (1, 0)


def test_order_messages_and_book_states_are_prints_and_quotes(real):
    name = "lobster_aapl_2012/AAPL_2012-06-21_34200000_57600000_{}_10.csv.gz"
    messages = pd.read_csv(real / name.format("message"), header=None)
    report = audit(real / name.format("message"))
    assert (report["kind"], report["symbols"], report["rows"]) == ("trades", ["AAPL"], int(messages[1].isin([4, 5]).sum()))
    assert report["first"].startswith("2012-06-21T09:30:00")
    quotes = load(real / name.format("orderbook")).rows
    assert len(quotes) == len(messages)
    assert (quotes["ask"][0], quotes["ask_size"][0], quotes["bid"][0], quotes["bid_size"][0]) == (585.94, 200, 585.33, 18)
