"""Files in any vendor's layout read as one thing, every assumption is said, and what could mean two things is refused."""

from __future__ import annotations

import gzip
import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import FileError, SchemaError, SymbolError, TimeframeError, TimestampError
from workbench.history.recording import load
from workbench.history.schema import ReadOptions, read_table
from workbench.history.writing import write_recording

MINUTE = 60_000_000_000
BARS = "ts,symbol,open,high,low,close,volume"
OPEN_NS = 1710163800 * 10**9  # 2024-03-11 09:30 New York, 13:30 UTC: the first Monday of summer time


def bar_lines(day, stamp, n=390, symbol="SPY"):
    ts, values = day
    return [[stamp(int(t)), symbol, *v] for t, v in zip(ts[:n], values[:n], strict=True)]


def utc(ts):
    return pd.Timestamp(ts, unit="ns", tz="UTC")


STAMPS = {
    "ns": lambda ts: ts,
    "us": lambda ts: ts // 1000,
    "ms": lambda ts: ts // 10**6,
    "s": lambda ts: ts // 10**9,
    "utc_z": lambda ts: utc(ts).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "ny_colon": lambda ts: utc(ts).tz_convert("America/New_York").isoformat(),
    "ny_plain": lambda ts: utc(ts).tz_convert("America/New_York").strftime("%Y-%m-%dT%H:%M:%S%z"),
    "tokyo_space": lambda ts: str(utc(ts).tz_convert("Asia/Tokyo")),
}


@pytest.mark.parametrize("form", STAMPS)
def test_every_way_to_write_a_stamp_means_the_same_instant(day, write_csv, form):
    recording = load(write_csv("bars.csv", BARS, bar_lines(day, STAMPS[form])))
    assert recording.rows["ts_open"].tolist() == day[0].tolist()
    assert recording.length_ns == MINUTE
    assert list(recording.symbols) == ["SPY"]


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s"])
def test_unit_of_whole_numbers_is_said(day, write_csv, unit):
    words = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}[unit]
    assert any(words in sentence for sentence in load(write_csv("bars.csv", BARS, bar_lines(day, STAMPS[unit]))).assumptions)


def test_naive_stamps_are_refused_and_read_when_a_zone_is_given(day, write_csv):
    naive = write_csv("bars.csv", BARS, bar_lines(day, lambda ts: utc(ts).tz_convert("America/New_York").strftime("%Y-%m-%d %H:%M:%S")))
    with pytest.raises(TimestampError, match=r"without zone or offset.*America/New_York"):
        read_table(naive)
    recording = load(naive, ReadOptions(tz="America/New_York"))
    assert recording.rows["ts_open"].tolist() == day[0].tolist()
    assert any("America/New_York, as given" in sentence for sentence in recording.assumptions)


def test_a_file_that_mixes_stamps_with_and_without_a_zone_keeps_those_it_was_told_how_to_read(tmp_path):
    path = tmp_path / "SPY.csv"
    path.write_text("ts,price,size\n2026-11-20T10:00:00,1,1\n2026-11-20T10:00:01,1,1\n2026-11-20T10:00:02-05:00,1,1\n")
    with pytest.raises(TimestampError, match="without zone"):
        read_table(path)
    recording = load(path, ReadOptions(tz="America/New_York"))
    assert recording.quarantined["time unreadable"] == 1
    assert len(recording.rows) == 2


def test_naive_parquet_stamps_are_refused_too(day, tmp_path):
    frame = pd.DataFrame({"ts": pd.to_datetime(day[0]), "symbol": "SPY"}).join(
        pd.DataFrame(day[1], columns=["open", "high", "low", "close", "volume"])
    )
    frame.to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(TimestampError, match="without zone"):
        read_table(tmp_path / "bars.parquet")
    frame["ts"] = frame["ts"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    frame.set_index("ts").rename_axis(None).to_parquet(tmp_path / "index.parquet")
    assert load(tmp_path / "index.parquet").rows["ts_open"].tolist() == day[0].tolist()
    frame.to_parquet(tmp_path / "bars.parquet")
    assert load(tmp_path / "bars.parquet").rows["ts_open"].tolist() == day[0].tolist()


def test_local_time_that_a_clock_change_makes_impossible_or_ambiguous_is_counted_not_guessed(write_csv):
    rows = [
        ["2024-03-08 12:00:00", "SPY", 1, 1],
        ["2024-03-10 02:30:00", "SPY", 1, 1],
        ["2024-11-03 01:30:00", "SPY", 1, 1],
        ["2024-11-04 12:00:00", "SPY", 1, 1],
    ]
    recording = load(write_csv("trades.csv", "ts,symbol,price,size", rows), ReadOptions(tz="America/New_York"))
    assert [str(utc(t)) for t in recording.rows["ts_event"]] == ["2024-03-08 17:00:00+00:00", "2024-11-04 17:00:00+00:00"]
    assert recording.quarantined == {"local time ambiguous or impossible at a clock change": 2}


def test_zone_that_does_not_exist_is_named(day, write_csv):
    with pytest.raises(TimestampError, match="'Amerika/New_York'.*did you mean"):
        read_table(write_csv("bars.csv", BARS, bar_lines(day, STAMPS["ns"])), ReadOptions(tz="Amerika/New_York"))


def test_stamps_outside_any_trading_history_are_refused(day, write_csv):
    with pytest.raises(TimestampError, match="1990"):
        read_table(write_csv("bars.csv", BARS, bar_lines(day, lambda ts: ts // 10**9 - 14 * 10**8)))
    with pytest.raises(TimestampError, match="garbage"):
        read_table(write_csv("bars.csv", BARS, bar_lines(day, lambda _ts: "garbage")))


def test_one_unreadable_stamp_costs_its_row_only(day, write_csv):
    rows = bar_lines(day, STAMPS["ny_colon"])
    rows[5][0], rows[6][0] = "2024-03-11T25:61:00-04:00", "2024-03-11T09:36:00"
    recording = load(write_csv("bars.csv", BARS, rows))
    assert len(recording.rows) == 388
    assert recording.quarantined == {"time without zone or unreadable": 1, "time unreadable": 1}


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,ticker,Open,High,Low,Close,Volume",
        "t,T,o,h,l,c,v",
        "Date Time,Symbol,OPEN,HIGH,LOW,LAST,VOL",
        "window_start,sym,first,max,min,last,volume",
    ],
)
def test_vendor_names_of_columns_are_recognised_and_said(day, write_csv, header):
    symbol_column = header.split(",")[1]
    options = ReadOptions(columns={"symbol": symbol_column}) if symbol_column == "T" else ReadOptions()
    recording = load(write_csv("bars.csv", header, bar_lines(day, STAMPS["utc_z"])), options)
    assert recording.rows["close"][0] == 100.02
    assert recording.rows["volume"].sum() == sum(1000 + k for k in range(390))
    assert any("is close" in sentence for sentence in recording.assumptions) or "Close" in header


def test_columns_nobody_would_guess_can_be_given(day, write_csv):
    path = write_csv("data.csv", "when,what,a,b,c1,d,e", bar_lines(day, STAMPS["ns"]))
    with pytest.raises(SchemaError, match=r"received when, what.*lacks.*allowed: trades: ts, symbol, price, size"):
        read_table(path)
    names = {"ts": "when", "symbol": "what", "open": "a", "high": "b", "low": "c1", "close": "d", "volume": "e"}
    assert load(path, ReadOptions(columns=names)).rows["high"][0] == 100.05
    with pytest.raises(SchemaError, match="'vv'; allowed: when, what"):
        read_table(path, ReadOptions(columns={**names, "volume": "vv"}))
    with pytest.raises(SchemaError, match=r"'volumes'.*did you mean 'volume'"):
        ReadOptions(columns={"volumes": "e"})


@pytest.mark.parametrize("missing", ["ts", "open", "high", "low", "close", "volume"])
def test_missing_column_is_named(day, write_csv, missing):
    header = BARS.replace(f"{missing},", "nonsense,") if missing != "volume" else BARS.replace("volume", "nonsense")
    with pytest.raises(SchemaError, match=f"lacks .*{missing}"):
        read_table(write_csv("SPY_bars.csv", header, bar_lines(day, STAMPS["ns"])), ReadOptions(kind="bars"))


def test_column_of_text_where_numbers_belong_is_refused_and_a_few_such_cells_are_counted(day, write_csv):
    rows = bar_lines(day, STAMPS["ns"])
    with pytest.raises(SchemaError, match=r"column 'close': received text like 'n.c.'; allowed: numbers"):
        read_table(write_csv("bars.csv", BARS, [[*r[:5], "n.c.", r[6]] for r in rows]))
    rows[3][5] = "n.c."
    recording = load(write_csv("bars.csv", BARS, rows))
    assert (len(recording.rows), recording.quarantined) == (389, {"price missing": 1})


def test_symbol_comes_from_the_option_or_the_name_and_is_demanded_otherwise(day, write_csv):
    rows = [[r[0], *r[2:]] for r in bar_lines(day, STAMPS["ns"])]
    header = BARS.replace("symbol,", "")
    assert list(load(write_csv("BRK.B_1min.csv", header, rows)).symbols) == ["BRK.B"]
    path = write_csv("some bars.csv", header, rows)
    with pytest.raises(SchemaError, match="no symbol column and no symbol in the file's name"):
        read_table(path)
    assert list(load(path, ReadOptions(symbol="QQQ")).symbols) == ["QQQ"]
    with pytest.raises(SymbolError, match="received 'a b'"):
        ReadOptions(symbol="a b")


def test_options_that_do_not_exist_are_named():
    with pytest.raises(SchemaError, match="'trade'.*did you mean 'trades'"):
        ReadOptions(kind="trade")
    with pytest.raises(SchemaError, match="stamp: received 'middle'.*allowed: start, end"):
        ReadOptions(stamp="middle")
    with pytest.raises(TimeframeError, match="'5min'"):
        ReadOptions(timeframe="5min")


# -- bars ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["bar_end_utc", "end_time", "close_time"])
def test_end_stamped_bars_are_told_by_the_columns_name(day, write_csv, header):
    path = write_csv("bars.csv", BARS.replace("ts", header, 1), bar_lines(day, lambda ts: STAMPS["utc_z"](ts + MINUTE)))
    assert load(path).rows["ts_open"].tolist() == day[0].tolist()


def test_end_stamped_bars_are_told_by_the_rows_at_the_close(day, write_csv):
    path = write_csv("bars.csv", BARS, bar_lines(day, lambda ts: ts + MINUTE))
    recording = load(path)
    assert recording.rows["ts_open"].tolist() == day[0].tolist()
    assert any("end of the bar, because" in sentence for sentence in recording.assumptions)
    assert load(path, ReadOptions(stamp="start")).rows["ts_open"][0] == day[0][0] + MINUTE


def test_newest_first_gives_the_same_bars_as_oldest_first(day, write_csv):
    forwards = load(write_csv("a.csv", BARS, bar_lines(day, STAMPS["ns"]))).rows
    backwards = load(write_csv("b.csv", BARS, bar_lines(day, STAMPS["ns"])[::-1])).rows
    assert forwards.tobytes() == backwards.tobytes()


def test_stamp_told_twice_keeps_the_newest_telling(day, write_csv):
    rows = bar_lines(day, STAMPS["ns"])
    corrected = [rows[7][0], "SPY", 100.07, 105, 99, 101, 5]
    recording = load(write_csv("a.csv", BARS, [*rows, corrected]))
    assert (recording.rows["volume"][7], recording.quarantined) == (5, {"stamp told again later": 1})
    recording = load(write_csv("b.csv", BARS, [corrected, *rows[::-1]]))  # newest first: what stands first is newest
    assert recording.rows["volume"][7] == 5


def test_bars_that_contradict_themselves_are_quarantined_with_the_reason(day, write_csv):
    rows = bar_lines(day, STAMPS["ns"])
    rows[1][3] = 90  # high below low
    rows[2][2] = -5  # negative open
    rows[3][5] = 0
    rows[4][6] = -1
    rows[5][2] = ""
    rows[6][4] = "nan"
    rows[7][3] = "inf"
    recording = load(write_csv("bars.csv", BARS, rows))
    assert len(recording.rows) == 383
    assert recording.quarantined == {
        "price missing": 2,
        "price not above 0": 3,
        "high or low inside the bar's own open and close": 1,
        "volume below 0": 1,
    }


def test_last_bar_of_a_session_ends_with_it(write_csv):
    """Four-hour bars from 09:30: the second is two and a half hours long; on the half day 2024-07-03 the first ends at 13:00."""
    stamps = [
        "2024-07-01T09:30-04:00",
        "2024-07-01T13:30-04:00",
        "2024-07-02T09:30-04:00",
        "2024-07-02T13:30-04:00",
        "2024-07-03T09:30-04:00",
    ]
    rows = load(
        write_csv("SPY_4h.csv", "ts,open,high,low,close,volume", [[s, 1, 1, 1, 1, 1] for s in stamps]), ReadOptions(timeframe="4h")
    ).rows
    closes = [utc(t).tz_convert("America/New_York").strftime("%d %H:%M") for t in rows["ts_close"]]
    assert closes == ["01 13:30", "01 16:00", "02 13:30", "02 16:00", "03 13:00"]


def test_daily_bars_with_dates_belong_to_the_sessions_of_these_dates(write_csv):
    dates = ["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08"]
    want = [f"{d} 09:30" for d in dates]
    iso_utc = [f"{d}T00:00:00Z" for d in dates]
    midnight_ny = [f"{d}T00:00:00-04:00" for d in dates]
    for stamps in (dates, iso_utc, midnight_ny, [d.replace("-", "") for d in dates]):
        recording = load(write_csv("SPY_1d.csv", "date,open,high,low,close,volume", [[s, 1, 1, 1, 1, 1] for s in stamps]))
        assert recording.length_ns == 1440 * MINUTE
        assert [utc(t).tz_convert("America/New_York").strftime("%Y-%m-%d %H:%M") for t in recording.rows["ts_open"]] == want
        assert utc(recording.rows["ts_close"][2]).tz_convert("America/New_York").strftime("%H:%M") == "13:00"


def test_dates_without_times_are_no_stamps_of_prints(write_csv):
    with pytest.raises(SchemaError, match="dates without a time"):
        read_table(write_csv("SPY_trades.csv", "ts,price,size", [["2024-07-01", 1, 1], ["2024-07-02", 1, 1]]))


# -- prints ----------------------------------------------------------------------------------------------------------------------

TRADES = "ts,symbol,price,size,conditions,exchange,tape,sequence,id"


def test_prints_in_our_own_schema_keep_everything(write_csv):
    rows = [[OPEN_NS + 5, "SPY", 512.34, 100, "14 37", 11, 2, 77, "52983525029461"], [OPEN_NS + 5, "SPY", 512.35, 0.5, "", 4, 1, 76, "a"]]
    got = load(write_csv("t.csv", TRADES, rows)).rows
    assert got["sequence"].tolist() == [76, 77]  # the sequence orders prints of one stamp
    assert got["conditions"][1][:2].tolist() == [14, 37]
    assert got["n_conditions"].tolist() == [0, 2]
    assert got["id"].tolist() == [b"a", b"52983525029461"]
    assert (got["exchange"][1], got["tape"][1], got["size"][0]) == (11, 2, 0.5)


def test_bad_prints_are_quarantined_with_the_reason(write_csv):
    good = [OPEN_NS, "SPY", 10, 1, "", 4, 1, 1, "a"]
    rows = [good]
    rows += [[OPEN_NS + k, "SPY", price, size, conditions, 4, 1, k + 1, f"i{k}"] for k, (price, size, conditions) in enumerate(
        [(0, 1, ""), (-3, 1, ""), ("nan", 1, ""), ("", 1, ""), (10, -1, ""), (10, "nan", ""), (10, 1, "999"), (10, 1, "14 x")], start=1)]  # fmt: skip
    rows += [good, [OPEN_NS + 9, "", 10, 1, "", 4, 1, 20, "z"], [OPEN_NS + 9, "a b", 10, 1, "", 4, 1, 21, "y"]]
    recording = load(write_csv("t.csv", TRADES, rows))
    assert len(recording.rows) == 1
    assert recording.quarantined == {
        "no symbol, or one that can't be read": 2,
        "price not above 0": 4,
        "size below 0 or missing": 2,
        "unknown sale condition": 2,
        "print told twice": 1,
    }


def test_equal_prints_without_ids_are_kept_because_they_are_common_and_real(write_csv):
    rows = [[OPEN_NS, "SPY", 10, 100]] * 3
    assert len(load(write_csv("t.csv", "ts,symbol,price,size", rows)).rows) == 3


def test_sale_condition_letters_are_translated(write_csv):
    rows = [[OPEN_NS + k, "A", "XXX", cond, 1, 10.0, 0] for k, cond in enumerate(["FTI", "@", "", "F  I", "4 B", "N  I"])]
    got = load(write_csv("t.csv", "ts_ns,EX,SYMBOL,COND,SIZE,PRICE,CORR", rows)).rows
    assert [row["conditions"][: row["n_conditions"]].tolist() for row in got] == [[14, 12, 37], [0], [], [14, 37], [10, 2], [20, 37]]


def test_cancelled_prints_are_left_out(write_csv):
    rows = [[OPEN_NS + k, "XXX", 10.0, 1, corr] for k, corr in enumerate(["0", "00", "01", "08", "10", "12"])]
    recording = load(write_csv("t.csv", "ts,SYMBOL,PRICE,SIZE,CORR", rows))
    assert (len(recording.rows), recording.quarantined) == (3, {"cancelled or corrected later, by the file's correction code": 3})


def test_vendor_condition_flags_without_a_published_meaning_are_left_out_and_said(write_csv):
    recording = load(
        write_csv(
            "SPY_t.csv",
            "ts_utc_ms,price,size,exchange,sale_condition_hex,suspicious",
            [[OPEN_NS // 10**6, 10, 1, "P", 20000020, 0], [OPEN_NS // 10**6, 11, 1, "Q", 0, 1]],
        )
    )
    assert recording.rows["n_conditions"].tolist() == [0]
    assert recording.quarantined == {"flagged suspicious by the vendor": 1}
    assert any("without a published meaning" in sentence for sentence in recording.assumptions)


# -- quotes ----------------------------------------------------------------------------------------------------------------------


def test_quotes_crossed_empty_or_negative_are_quarantined(write_csv):
    rows = [
        [OPEN_NS + k, "SPY", *q]
        for k, q in enumerate(
            [(10, 1, 11, 2), (12, 1, 11, 2), (10, 1, 0, 0), (0, 0, 0, 0), (-1, 1, 11, 1), (11, 1, 11, 1), ("inf", 1, 11, 1)]
        )
    ]
    recording = load(write_csv("q.csv", "ts,symbol,bid,bid_size,ask,ask_size", rows))
    assert recording.quarantined == {"price below 0 or not finite": 2, "crossed quote (bid above ask)": 1, "quote without any price": 1}
    assert len(recording.rows) == 3
    assert np.isnan(recording.rows["ask"][1])
    assert recording.rows["ask_size"][1] == 0


def test_quotes_of_several_venues_become_the_best_of_them(write_csv):
    rows = [
        [OPEN_NS + 0, "SPY", 10.0, 1, 10.4, 1, "N"],
        [OPEN_NS + 1, "SPY", 10.1, 2, 10.5, 1, "P"],
        [OPEN_NS + 2, "SPY", 10.1, 3, 10.3, 1, "N"],
        [OPEN_NS + 3, "SPY", 10.0, 5, 10.5, 1, "P"],
    ]
    got = load(write_csv("q.csv", "ts,symbol,bid,bid_size,ask,ask_size,exchange", rows)).rows
    assert got["bid"].tolist() == [10.0, 10.1, 10.1, 10.1]
    assert got["ask"].tolist() == [10.4, 10.4, 10.3, 10.3]
    assert got["bid_size"].tolist() == [1, 2, 5, 3]


# -- damage ----------------------------------------------------------------------------------------------------------------------


def test_damaged_files_give_one_sentence(tmp_path, day, write_csv):
    good = write_csv("bars.csv", BARS, bar_lines(day, STAMPS["ns"])).read_bytes()
    whole = gzip.compress(good)
    cases = {
        "cut.csv.gz": (whole[: len(whole) // 2], "truncated"),
        "no.csv.gz": (good, "corrupt"),
        "flip.csv.gz": (whole[:40] + b"\x00\x00\x00\x00" + whole[44:], "corrupt|truncated"),
        "empty.csv": (b"", "empty"),
        "binary.csv": (bytes(range(256)) * 50, "corrupt|text"),
        "not.parquet": (good, "corrupt or truncated"),
        "header.csv": (BARS.encode() + b"\n", "no rows"),
        "name.xlsx": (good, r"\.parquet, \.csv, \.csv\.gz"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match=words) as caught:
            read_table(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match="does not exist"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(FileError, match="folder"):
        (tmp_path / "folder.csv").mkdir()
        read_table(tmp_path / "folder.csv")


def test_truncated_parquet_gives_one_sentence(tmp_path, day, write_csv):
    recording = load(write_csv("bars.csv", BARS, bar_lines(day, STAMPS["ns"])))
    write_recording(tmp_path / "bars.parquet", recording)
    whole = (tmp_path / "bars.parquet").read_bytes()
    for cut in (len(whole) - 1, len(whole) // 2, 8, 3):
        (tmp_path / "cut.parquet").write_bytes(whole[:cut])
        with pytest.raises(FileError, match="corrupt or truncated"):
            read_table(tmp_path / "cut.parquet")


def test_last_line_cut_short_costs_that_line_only(day, write_csv):
    path = write_csv("bars.csv", BARS, bar_lines(day, STAMPS["ns"]))
    path.write_text(path.read_text()[:-18])
    recording = load(path)
    assert len(recording.rows) == 389
    assert recording.quarantined == {"line with the wrong number of fields": 1}


def test_random_damage_never_ends_in_a_traceback(day, write_csv, tmp_path):
    text = write_csv("bars.csv", BARS, bar_lines(day, STAMPS["ny_colon"], n=40)).read_bytes()
    for seed in range(150):
        chance = random.Random(seed)
        damaged = bytearray(text)
        for _ in range(chance.randint(1, 12)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randint(0, 5)] = bytes(chance.randrange(256) for _ in range(chance.randint(0, 5)))
        path = tmp_path / "SPY_damaged.csv"
        path.write_bytes(damaged)
        try:
            rows = load(path).rows
        except FileError as error:
            assert "\n" not in str(error), seed
            continue
        assert np.isfinite(rows["close"]).all(), seed
        assert (rows["low"] > 0).all(), seed


# -- writing ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_what_is_written_reads_back_the_same(tmp_path, write_csv, day, ending):
    trades = [
        [OPEN_NS + 5, "SPY", 512.34, 100, "14 37", 11, 2, 77, "52983525029461"],
        [OPEN_NS + 6, "QQQ", 0.1 + 0.2, 3, "", 4, 1, 78, "b"],
    ]
    quotes = [[OPEN_NS, "SPY", 10, 1, 11, 2], [OPEN_NS + 1, "QQQ", 0, 0, 11, 2]]
    cases = [
        ("t.csv", TRADES, trades),
        ("q.csv", "ts,symbol,bid,bid_size,ask,ask_size", quotes),
        ("b.csv", BARS + ",vwap,trades", [[*r, 100.01, ""] for r in bar_lines(day, STAMPS["ns"])]),
    ]
    for name, header, rows in cases:
        before = load(write_csv(name, header, rows))
        out = tmp_path / f"out{ending}"
        write_recording(out, before)
        after = load(out)
        assert after.rows.tobytes() == before.rows.tobytes()
        assert list(after.symbols) == list(before.symbols)
        assert after.quarantined == {}


def test_large_recordings_read_in_vectors(real, benchmark_seconds):
    """No absolute time: a file of 450,000 prints takes no longer than ten plain pandas reads of it."""
    path = real / "ticks_2013_lean/SPY_trades_20131008.csv.gz"
    ours, theirs = benchmark_seconds(lambda: load(path)), benchmark_seconds(lambda: pd.read_csv(path))
    assert ours < 10 * theirs


def test_a_parquet_file_whose_text_is_damaged_is_refused_as_corrupt(tmp_path):
    path = tmp_path / "SPY.parquet"
    names = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.array([0, 3], np.int32)), pa.py_buffer(b"SP\xee")])
    pq.write_table(pa.table({"ts": [1_763_650_000_000_000_000], "symbol": names, "price": [1.0], "size": [1.0]}), path)
    with pytest.raises(FileError, match="corrupt"):
        load(path)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_one_bit_that_the_disk_turned_is_an_error_not_a_price(tmp_path, share):
    source, path = tmp_path / "bars.csv", tmp_path / "bars.parquet"
    closes = np.random.default_rng(1).normal(500, 1, 5000).round(2)
    stamps = 1_769_000_000 + 60 * np.arange(5000)
    lines = [f"{ts},{price},{price + 1},{price - 1},{price},{i}" for i, (ts, price) in enumerate(zip(stamps, closes, strict=True))]
    source.write_text("ts,open,high,low,close,volume\n" + "\n".join(lines))
    write_recording(path, load(source, ReadOptions(symbol="SPY")))
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="corrupt"):
        read_table(path)
