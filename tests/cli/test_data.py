"""`workbench bars …` and `workbench data …` do their work on files, and say in one sentence what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.oracles import bars_pandas
from workbench.cli.data import audit_file, bars_app, build_bars_file, data_app, import_file, roll_bars_file
from workbench.errors import ConfigError, FileError, SchemaError, TimeframeError, TimestampError
from workbench.history.recording import load
from workbench.history.store import BarStore

MINUTE = 60_000_000_000
START = pd.Timestamp("2024-07-01 09:30", tz="America/New_York").value


@pytest.fixture
def prints(tmp_path):
    """A file of 3,000 prints of two symbols over an hour; no conditions, so every print counts."""
    chance = np.random.default_rng(3)
    frame = pd.DataFrame({"ts": np.sort(START + chance.integers(0, 60 * MINUTE, 3000)), "symbol": chance.choice(["SPY", "QQQ"], 3000)})
    frame["price"] = (100 + np.cumsum(chance.normal(0, 0.01, 3000))).round(2)
    frame["size"] = chance.integers(1, 500, 3000)
    path = tmp_path / "prints.csv.gz"
    frame.to_csv(path, index=False)
    return path, frame


def twin(frame, minutes):
    """Return bars by pandas: the slow, readable way."""
    bucket = START + (frame["ts"] - START) // (minutes * MINUTE) * (minutes * MINUTE)
    return frame.groupby(["symbol", bucket])["price"].agg(["first", "max", "min", "last"]), frame.groupby(["symbol", bucket])["size"].sum()


@pytest.mark.parametrize(("tf", "minutes"), [("1m", 1), ("5m", 5), ("15m", 15), ("1h", 60)])
@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz"])
def test_bars_built_from_prints_equal_a_pandas_twin(prints, tmp_path, tf, minutes, ending):
    path, frame = prints
    out = tmp_path / f"bars.{ending}"
    said = build_bars_file(path, out, tf)
    prices, volumes = twin(frame, minutes)
    got = load(out)
    for symbol in ("SPY", "QQQ"):
        rows, want = got.of(symbol), prices.loc[symbol]
        assert rows["ts_open"].tolist() == want.index.tolist()
        for name, column in (("open", "first"), ("high", "max"), ("low", "min"), ("close", "last")):
            assert rows[name].tolist() == want[column].tolist()
        assert rows["volume"].tolist() == volumes.loc[symbol].tolist()
    assert said[-1].startswith(f"wrote {len(got.rows)} {tf} bars of ")


def test_rolling_minutes_up_equals_building_directly(prints, tmp_path):
    build_bars_file(prints[0], tmp_path / "1m.parquet", "1m")
    build_bars_file(prints[0], tmp_path / "5m.parquet", "5m")
    roll_bars_file(tmp_path / "1m.parquet", tmp_path / "rolled.parquet", "5m")
    built, rolled = load(tmp_path / "5m.parquet"), load(tmp_path / "rolled.parquet")
    for name in ("ts_open", "open", "high", "low", "close", "volume", "n_trades"):
        assert (built.rows[name] == rolled.rows[name]).all(), name
    assert np.allclose(built.rows["vwap"], rolled.rows["vwap"], rtol=1e-12)


def test_prints_against_their_bars_show_no_difference(prints, tmp_path):
    build_bars_file(prints[0], tmp_path / "5m.csv", "5m")
    columns = audit_file(prints[0], tmp_path / "5m.csv")["against"]["columns"]
    assert {name: columns[name]["share"] for name in ("open", "high", "low", "close", "volume")} == dict.fromkeys(
        ("open", "high", "low", "close", "volume"), 0.0
    )


def test_wrong_files_and_timeframes_are_named(prints, tmp_path):
    with pytest.raises(TimeframeError, match="'5min'.*did you mean '5m'"):
        build_bars_file(prints[0], tmp_path / "x.csv", "5min")
    with pytest.raises(FileError, match=r"allowed: names that end in"):
        build_bars_file(prints[0], tmp_path / "x.txt", "1m")
    build_bars_file(prints[0], tmp_path / "5m.csv", "5m")
    with pytest.raises(SchemaError, match="received bars; allowed: trades"):
        build_bars_file(tmp_path / "5m.csv", tmp_path / "x.csv")
    with pytest.raises(SchemaError, match="received trades; allowed: bars"):
        roll_bars_file(prints[0], tmp_path / "x.csv", "5m")
    with pytest.raises(TimeframeError, match="'3m'.*holds 5m bars"):
        roll_bars_file(tmp_path / "5m.csv", tmp_path / "x.csv", "3m")


def test_a_recording_is_never_overwritten_by_its_own_bars(prints, tmp_path):
    kept = prints[0].read_bytes()
    with pytest.raises(ConfigError, match="the file that is read"):
        build_bars_file(prints[0], tmp_path / "." / prints[0].name)
    build_bars_file(prints[0], tmp_path / "b.csv")
    with pytest.raises(ConfigError, match="the file that is read"):
        roll_bars_file(tmp_path / "b.csv", tmp_path / "b.csv", "5m")
    assert prints[0].read_bytes() == kept


def test_importing_longer_bars_says_what_is_kept(prints, tmp_path):
    build_bars_file(prints[0], tmp_path / "5m.csv", "5m")
    with pytest.raises(SchemaError, match="received 5m bars; allowed: 1m bars or shorter"):
        import_file(tmp_path / "5m.csv", BarStore(tmp_path / "store"))


def test_seconds_and_prints_are_imported_as_minutes(prints, tmp_path):
    store = BarStore(tmp_path / "store")
    said = import_file(prints[0], store)
    _, volumes = twin(prints[1], 1)
    assert store.read("SPY", 0, 2**62)["volume"].tolist() == volumes.loc["SPY"].tolist()
    assert said[-1].startswith("kept ")
    import_file(prints[0], store)  # again: nothing doubles
    assert len(store.read("SPY", 0, 2**62)) == len(volumes.loc["SPY"])
    seconds = tmp_path / "IWM_1s.csv"
    pd.DataFrame({"ts": START + np.arange(180) * MINUTE // 60, "open": 1, "high": 3, "low": 1, "close": 2, "volume": 10}).to_csv(
        seconds, index=False
    )
    import_file(seconds, store)
    assert store.read("IWM", 0, 2**62)["volume"].tolist() == [600, 600, 600]


def test_commands_print_what_was_assumed(prints, tmp_path):
    run = CliRunner().invoke(bars_app, ["build", str(prints[0]), "--tf", "1m", "--out", str(tmp_path / "b.parquet")])
    assert run.exit_code == 0, run.output
    assert "read as nanoseconds since 1970 UTC" in run.output
    run = CliRunner().invoke(bars_app, ["roll", str(tmp_path / "b.parquet"), "--tf", "5m", "--out", str(tmp_path / "c.parquet")])
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(data_app, ["audit", str(tmp_path / "c.parquet"), "--against", str(tmp_path / "b.parquet"), "--json"])
    assert run.exit_code == 0, run.output
    report = json.loads(run.output)
    assert report["timeframe"] == "5m"
    assert report["against"]["columns"]["close"]["largest"] == 0
    run = CliRunner().invoke(data_app, ["audit", str(tmp_path / "c.parquet")])
    assert "score" in run.output
    run = CliRunner().invoke(data_app, ["import", str(prints[0]), "--data-dir", str(tmp_path / "d")])
    assert run.exit_code == 0, run.output
    assert BarStore(tmp_path / "d/bars/imported").symbols() == ("QQQ", "SPY")


def test_one_bad_file_of_many_does_not_keep_the_others_out(prints, tmp_path):
    (tmp_path / "SPY_bad.csv").write_text("ts,price,size\n2024-07-01 09:30:00,1,1\n")
    run = CliRunner().invoke(data_app, ["import", str(tmp_path / "SPY_bad.csv"), str(prints[0]), "--data-dir", str(tmp_path / "d")])
    assert isinstance(run.exception, FileError)
    assert "without zone" in run.output
    assert BarStore(tmp_path / "d/bars/imported").symbols() == ("QQQ", "SPY")
    with pytest.raises(TimestampError):
        import_file(tmp_path / "SPY_bad.csv", BarStore(tmp_path))


def test_options_reach_the_reader(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("when,o1,h1,l1,c1,v1\n" + "".join(f"2024-07-01 09:{31 + k},1,1,1,1,5\n" for k in range(20)))
    columns = [arg for pair in ("ts=when", "open=o1", "high=h1", "low=l1", "close=c1", "volume=v1") for arg in ("--column", pair)]
    run = CliRunner().invoke(
        data_app, ["audit", str(path), "--json", "--symbol", "SPY", "--tz", "America/New_York", "--stamp", "end", *columns]
    )
    assert run.exit_code == 0, run.output
    report = json.loads(run.output)
    assert (report["first"], report["symbols"], report["missing"]) == ("2024-07-01T09:30:00-04:00", ["SPY"], 370)
    run = CliRunner().invoke(data_app, ["audit", str(path), "--column", "price"])
    assert "our column=the file's column" in str(run.exception)


def test_real_prints_with_condition_letters_become_the_bars_of_an_independent_twin(realdata, tmp_path):
    """The letters are translated here a second time, by hand, for those that occur in the file."""
    path = realdata / "taq_2018_highfrequency/XXX_trades_2018-01-02.csv.gz"
    build_bars_file(path, tmp_path / "bars.parquet")
    got = load(tmp_path / "bars.parquet").rows
    raw = pd.read_csv(path, dtype={"COND": str})
    ids = {
        "F": 14,
        "T": 12,
        "I": 37,
        "U": 13,
        "4": 10,
        "6": 8,
        "O": 25,
        "Q": 16,
        "M": 15,
        "Z": 32,
        "V": 52,
        "7": 53,
        "P": 22,
        "B": 2,
        "C": 7,
        "N": 20,
        "R": 29,
    }
    letters = raw["COND"].fillna("").str.replace(" ", "")
    trades = pd.DataFrame(
        {"ts": pd.to_datetime(raw["ts_utc"], utc=True, format="ISO8601"), "price": raw["PRICE"], "size": raw["SIZE"].astype(float)}
    )
    trades["conditions"] = [tuple(ids[letter] for letter in text) for text in letters]
    trades["sequence"] = range(len(trades))
    want, _, _ = bars_pandas.minute_bars(trades, bars_pandas.schedule("2017-12-20", "2018-01-10"))
    assert len(got) == len(want) == 427
    for name in ("open", "high", "low", "close", "volume"):
        assert got[name].tolist() == want[name].tolist(), name
