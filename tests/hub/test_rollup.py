"""Longer bars from minutes: anchors, half days, clock changes, exactness, and that live and batch are the same."""

from __future__ import annotations

import itertools
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import bars_pandas
from workbench.errors import RecordError, TimeframeError
from workbench.hub import rollup as rollup_module
from workbench.hub import rollup_columns as columns_module
from workbench.hub.rollup import ROLLED, Roller, rollup, rollup_all
from workbench.hub.rollup_columns import rollup_columns
from workbench.sessions import ALL_SEGMENTS, ANCHORS, Segment, SessionCalendar, ny_ns
from workbench.types import BAR_DTYPE, BarSource, bar_from_row

MIN = 60_000_000_000
# 2024-11-25 to 12-06: Thanksgiving (closed) and the half day after it; 2024-03-04 to 03-15: the clocks change on Sunday the 10th.
SPANS = [(date(2024, 11, 25), date(2024, 12, 6)), (date(2024, 3, 4), date(2024, 3, 15))]
NUMBERS = ["open", "high", "low", "close", "volume", "n_trades"]


@pytest.fixture(scope="module")
def calendar():
    return SessionCalendar.xnys()


@pytest.fixture(scope="module")
def twin_sessions():
    return bars_pandas.schedule("2024-02-26", "2024-12-13")


def minutes(calendar, start, end, *, seed=0, keep=1.0, segments=ALL_SEGMENTS):
    """1-minute bars of every minute of the span, each kept with the given chance."""
    rng = np.random.default_rng(seed)
    opens, closes = calendar.bar_times("1m", ny_ns(start, 0), ny_ns(end, 23), segments=segments)
    out = np.zeros(len(opens), BAR_DTYPE)
    path = np.round(100 + np.cumsum(rng.normal(0, 0.05, (len(opens), 4)).ravel()), 2).reshape(-1, 4)
    out["ts_open"], out["ts_close"] = opens, closes
    out["open"], out["close"], out["high"], out["low"] = path[:, 0], path[:, 3], path.max(1), path.min(1)
    out["volume"], out["n_trades"] = rng.integers(1, 10_000, len(out)), rng.integers(1, 90, len(out))
    out["vwap"], out["vw_std"] = path.mean(1), path.std(1)
    out["source"], out["is_complete"] = BarSource.TRADES, 1
    return out[rng.random(len(out)) < keep]


def assert_like_twin(rows, twin):
    assert rows["ts_open"].tolist() == twin["ts_open"].tolist()
    assert rows["ts_close"].tolist() == twin["ts_close"].tolist()
    for name in NUMBERS:
        np.testing.assert_array_equal(rows[name], twin[name].to_numpy(float), err_msg=name)
    np.testing.assert_allclose(rows["vwap"], twin["vwap"].to_numpy(float), rtol=1e-12)
    np.testing.assert_allclose(rows["vw_std"], twin["vw_std"].to_numpy(float), rtol=1e-9)


# -- buckets ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("timeframe", ROLLED)
def test_every_timeframe_has_the_bars_that_the_calendar_expects(calendar, timeframe, anchor):
    for start, end in SPANS:
        rows = rollup(minutes(calendar, start, end), timeframe, calendar, anchor=anchor)
        opens, closes = calendar.bar_times(timeframe, ny_ns(start, 0), ny_ns(end, 23), segments=ALL_SEGMENTS, anchor=anchor)
        assert rows["ts_open"].tolist() == opens.tolist()
        assert rows["ts_close"].tolist() == closes.tolist()


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("keep", [1.0, 0.3, 0.004])
def test_roll_ups_equal_the_pandas_twin(calendar, twin_sessions, anchor, keep):
    start, end = SPANS[0] if keep < 1 else (date(2024, 11, 27), date(2024, 12, 2))
    rows = minutes(calendar, start, end, seed=5, keep=keep)
    frame = pd.DataFrame({name: rows[name] for name in ("ts_open", *NUMBERS, "vwap", "vw_std")})
    made = rollup_all(rows, calendar, anchor=anchor)
    for timeframe in ROLLED if anchor == "session_rth" else ("4h",):
        assert_like_twin(made[timeframe], bars_pandas.roll(frame, twin_sessions, timeframe, anchor))


def test_a_bar_never_straddles_two_segments(calendar):
    rows = minutes(calendar, date(2024, 11, 29), date(2024, 11, 29))
    hours = rollup(rows, "1h", calendar)
    opens = [pd.Timestamp(t, tz="UTC").tz_convert("America/New_York").strftime("%H:%M") for t in hours["ts_open"]]
    assert opens == [
        "04:00",
        "05:00",
        "06:00",
        "07:00",
        "08:00",
        "09:00",
        "09:30",
        "10:30",
        "11:30",
        "12:30",
        "13:00",
        "14:00",
        "15:00",
        "16:00",
    ]
    assert (hours["ts_close"] - hours["ts_open"])[[5, 9]].tolist() == [30 * MIN, 30 * MIN]


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        ("session_rth", ["04:00", "08:00", "09:30", "13:30", "16:00"]),
        ("session_eth", ["04:00", "08:00", "12:00", "16:00"]),
        ("natural", ["04:00", "08:00", "09:30", "12:00", "16:00"]),
    ],
)
def test_four_hour_bars_begin_where_their_anchor_says(calendar, anchor, expected):
    rows = rollup(minutes(calendar, date(2024, 12, 3), date(2024, 12, 3)), "4h", calendar, anchor=anchor)
    assert [pd.Timestamp(t, tz="UTC").tz_convert("America/New_York").strftime("%H:%M") for t in rows["ts_open"]] == expected


def test_days_and_weeks_are_made_of_regular_minutes_only(calendar):
    rows = minutes(calendar, date(2024, 11, 25), date(2024, 11, 29))
    regular = minutes(calendar, date(2024, 11, 25), date(2024, 11, 29), segments=(Segment.RTH,))
    days, [week] = rollup(rows, "1d", calendar), rollup(rows, "1w", calendar)
    assert len(days) == 4
    assert days["ts_close"][-1] - days["ts_open"][-1] == 210 * MIN
    inside = np.isin(rows["ts_open"], regular["ts_open"])
    assert week["volume"] == rows["volume"][inside].sum() == days["volume"].sum()
    assert (week["ts_open"], week["ts_close"]) == (ny_ns(date(2024, 11, 25), 9, 30), ny_ns(date(2024, 11, 29), 13))
    assert (week["open"], week["close"]) == (rows["open"][inside][0], rows["close"][inside][-1])


# -- numbers ---------------------------------------------------------------------------------------------------------------------


def test_rolling_in_steps_equals_rolling_at_once(calendar):
    rows = minutes(calendar, *SPANS[0], keep=0.6)
    for timeframe in ("1h", "4h", "1d", "1w"):
        at_once, stepped = rollup(rows, timeframe, calendar), rollup(rollup(rows, "5m", calendar), timeframe, calendar)
        for name in ("ts_open", "ts_close", *NUMBERS):
            np.testing.assert_array_equal(at_once[name], stepped[name], err_msg=name)
        np.testing.assert_allclose(at_once["vwap"], stepped["vwap"], rtol=1e-13)
        np.testing.assert_allclose(at_once["vw_std"], stepped["vw_std"], rtol=1e-9)


def test_volume_and_trades_are_conserved(calendar):
    rows = minutes(calendar, *SPANS[1], keep=0.5)
    for timeframe, made in rollup_all(rows, calendar, timeframes=ROLLED[:9]).items():
        assert made["volume"].sum() == rows["volume"].sum(), timeframe
        assert made["n_trades"].sum() == rows["n_trades"].sum(), timeframe


def test_what_a_part_does_not_know_the_whole_does_not_know(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3), segments=(Segment.RTH,))[:15]
    rows["vwap"][1] = np.nan
    rows["vw_std"][6] = np.nan
    rows["n_trades"][11] = np.nan
    made = rollup(rows, "5m", calendar)
    assert np.isnan(made["vwap"]).tolist() == [True, False, False]
    assert np.isnan(made["vw_std"]).tolist() == [True, True, False]
    assert np.isnan(made["n_trades"]).tolist() == [False, False, True]


def test_a_minute_without_volume_takes_no_part_in_the_average(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3), segments=(Segment.RTH,))[:10]
    rows["volume"][[0, 5, 6, 7, 8, 9]] = 0
    rows["vwap"][[0, 5, 6, 7, 8, 9]] = np.nan
    made = rollup(rows, "5m", calendar)
    weights, prices = rows["volume"][1:5], rows["vwap"][1:5]
    assert made["vwap"][0] == pytest.approx((weights * prices).sum() / weights.sum(), rel=1e-14)
    assert np.isnan(made["vwap"][1])
    assert made["volume"][1] == 0


def test_source_completeness_and_partiality_come_from_the_parts(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3), segments=(Segment.RTH,))[:20]
    rows["source"][:5] = BarSource.PROVIDER
    rows["source"][7] = BarSource.REST
    rows["is_complete"][12] = 0
    rows["is_partial"][19] = 1
    made = rollup(rows, "5m", calendar)
    assert made["source"].tolist() == [BarSource.PROVIDER, BarSource.REST, BarSource.TRADES, BarSource.TRADES]
    assert made["is_complete"].tolist() == [1, 1, 0, 1]
    assert made["is_partial"].tolist() == [0, 0, 0, 1]


def test_bars_that_are_not_over_are_partial(calendar):
    day = date(2024, 12, 3)
    rows = minutes(calendar, day, day, segments=(Segment.RTH,))[:7]
    made = rollup_all(rows, calendar, timeframes=("5m", "1h", "1d"), until_ns=ny_ns(day, 9, 37))
    assert made["5m"]["is_partial"].tolist() == [0, 1]
    assert made["1h"]["is_partial"].tolist() == made["1d"]["is_partial"].tolist() == [1]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), keep=st.floats(0.01, 1), timeframe=st.sampled_from(ROLLED), cut=st.floats(0, 1))
def test_cutting_off_the_future_never_changes_a_finished_bar(seed, keep, timeframe, cut):
    calendar = SessionCalendar.xnys()
    rows = minutes(calendar, date(2024, 11, 27), date(2024, 12, 2), seed=seed, keep=keep)
    until = int(cut * len(rows))
    head, whole = rollup(rows[:until], timeframe, calendar), rollup(rows, timeframe, calendar)
    finished = head[head["ts_close"] <= (rows["ts_open"][until] if until < len(rows) else np.iinfo(np.int64).max)]
    assert finished.tobytes() == whole[: len(finished)].tobytes()
    for row in whole:
        bar_from_row(row, "SPY", timeframe)  # refuses to exist when high or low contradict open or close


# -- columns ---------------------------------------------------------------------------------------------------------------------

COLUMNS = ("ts_open", *NUMBERS, "vwap")


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32), keep=st.floats(0.005, 1), anchor=st.sampled_from(ANCHORS), silent=st.floats(0, 1), left=st.integers(5, 8)
)
def test_columns_roll_up_as_rows_do(seed, keep, anchor, silent, left):
    calendar, rng = SessionCalendar.xnys(), np.random.default_rng(seed)
    rows = minutes(calendar, date(2024, 11, 27), date(2024, 12, 3), seed=seed, keep=keep)
    rows["volume"][rng.random(len(rows)) < silent] = 0
    rows["ts_open"][rng.random(len(rows)) < 0.01] += 30 * 1_000_000_000
    made = rollup_columns({name: rows[name] for name in COLUMNS[: left + 1]}, calendar, timeframes=("1m", *ROLLED), anchor=anchor)
    expected = rollup_all(rows, calendar, timeframes=ROLLED, anchor=anchor)
    for timeframe in ROLLED:
        assert set(made[timeframe]) == {*COLUMNS[: left + 1], "ts_close"}
        for name, column in made[timeframe].items():
            assert column.tobytes() == expected[timeframe][name].tobytes(), (timeframe, name)
    assert made["1m"]["close"].tobytes() == rows["close"].tobytes()


def test_a_long_history_spread_over_cores_is_the_same_history(calendar, monkeypatch):
    rows = minutes(calendar, *SPANS[1], keep=0.7)
    columns = {name: rows[name] for name in COLUMNS}
    whole, in_columns = rollup_all(rows, calendar), rollup_columns(columns, calendar)
    for module in (rollup_module, columns_module):
        monkeypatch.setattr(module, "PART", 100)
        monkeypatch.setattr(module, "cores", lambda: 3)
    for timeframe, spread in rollup_all(rows, calendar).items():
        assert spread.tobytes() == whole[timeframe].tobytes(), timeframe
    for timeframe, spread in rollup_columns(columns, calendar).items():
        assert all(column.tobytes() == in_columns[timeframe][name].tobytes() for name, column in spread.items()), timeframe
    with pytest.raises(RecordError, match="ascending"):
        rollup_all(rows[::-1], calendar)


def test_wrong_columns_are_named(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3))
    columns = {name: rows[name] for name in COLUMNS}
    with pytest.raises(RecordError, match="missing: volume"):
        rollup_columns({name: column for name, column in columns.items() if name != "volume"}, calendar)
    with pytest.raises(RecordError, match="high: received shape"):
        rollup_columns(columns | {"high": rows["high"][1:]}, calendar)
    with pytest.raises(RecordError, match="ascending"):
        rollup_columns({name: np.repeat(column[:3], 2) for name, column in columns.items()}, calendar)
    assert not len(rollup_columns({name: column[:0] for name, column in columns.items()}, calendar)["5m"]["close"])


# -- live ------------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32), keep=st.floats(0.005, 1), pieces=st.integers(0, 30), anchor=st.sampled_from(ANCHORS), ticking=st.booleans()
)
def test_bar_by_bar_gives_the_bars_of_the_batch(seed, keep, pieces, anchor, ticking):
    calendar, rng = SessionCalendar.xnys(), np.random.default_rng(seed)
    rows = minutes(calendar, date(2024, 11, 27), date(2024, 12, 3), seed=seed, keep=keep)
    roller = Roller(calendar, anchor=anchor)
    told = {t: [] for t in roller.timeframes}

    def hear(frames, bars):
        for i, bar in zip(frames, bars, strict=True):
            told[roller.timeframes[i]].append(bar.copy())

    edges = [0, *sorted(rng.integers(0, len(rows) + 1, pieces)), len(rows)]
    for a, b in itertools.pairwise(edges):
        hear(*roller.add(rows[a:b]))
        if ticking and b > a:
            hear(*roller.advance(int(rows["ts_close"][b - 1])))
    hear(*roller.advance(ny_ns(date(2029, 1, 2), 12)))
    batch = rollup_all(rows, calendar, anchor=anchor)
    for timeframe in roller.timeframes:
        assert np.array(told[timeframe], BAR_DTYPE).tobytes() == batch[timeframe].tobytes(), timeframe


def test_a_bar_is_finished_by_its_last_minute_at_once(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3), segments=(Segment.RTH,))
    roller = Roller(calendar)
    for i in range(4):
        frames, _ = roller.add(rows[i : i + 1])
        assert "5m" not in [roller.timeframes[f] for f in frames]
    frames, made = roller.add(rows[4:5])
    assert [roller.timeframes[f] for f in frames] == ["5m"]
    assert made["ts_close"].tolist() == rows["ts_close"][4:5].tolist()


def test_forming_bars_are_what_the_batch_makes_of_all_minutes(calendar):
    rows = minutes(calendar, date(2024, 12, 2), date(2024, 12, 3), keep=0.8)
    roller = Roller(calendar)
    for i in range(0, len(rows), 37):
        if i:
            roller.add(rows[i - 37 : i])
        forming = roller.partials(rows[i : i + 1])
        batch = rollup_all(rows[: i + 1], calendar)
        for timeframe, bars in forming.items():
            if not len(bars):
                assert timeframe in ("1d", "1w")
                continue
            last = batch[timeframe][-1].copy()
            last["is_partial"] = 1
            assert bars[-1].tobytes() == last.tobytes(), timeframe


def test_two_open_minutes_can_lie_in_two_forming_bars(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3), segments=(Segment.RTH,))
    roller = Roller(calendar)
    roller.add(rows[:4])
    forming = roller.partials(rows[4:6])
    assert forming["5m"]["ts_open"].tolist() == rows["ts_open"][[0, 5]].tolist()
    assert forming["15m"]["volume"].tolist() == [rows["volume"][:6].sum()]
    assert roller.partials()["5m"]["volume"].tolist() == [rows["volume"][:4].sum()]


def test_a_changed_minute_changes_the_bars_that_hold_it(calendar):
    rows = minutes(calendar, date(2024, 12, 2), date(2024, 12, 3))
    roller = Roller(calendar)
    roller.add(rows)
    with pytest.raises(RecordError, match="revise"):
        roller.add(rows[-1:])
    rows["high"][700] += 50
    frames, made = roller.revise(rows, rows["ts_open"][700:701])
    names = [roller.timeframes[f] for f in frames]
    assert sorted(names, key=ROLLED.index) == list(ROLLED[:10])  # the week is not over
    assert (made["high"] == rows["high"][700]).all()
    before = roller.partials()["1w"].tobytes()
    roller.load(rows)
    assert roller.partials()["1w"].tobytes() == before


def test_a_bar_whose_beginning_is_not_held_is_not_made_again(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3), segments=(Segment.RTH,))
    roller = Roller(calendar)
    frames, _ = roller.revise(rows[7:100], rows["ts_open"][8:9])
    assert [roller.timeframes[f] for f in frames] == ["2m"]


# -- bad input -------------------------------------------------------------------------------------------------------------------


def test_wrong_rows_timeframes_and_anchors_are_named(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3))
    with pytest.raises(RecordError, match="ascending"):
        rollup(rows[::-1], "5m", calendar)
    with pytest.raises(RecordError, match="ascending"):
        rollup(np.repeat(rows[:3], 2), "5m", calendar)
    with pytest.raises(RecordError, match="BAR_DTYPE"):
        rollup(np.zeros(3), "5m", calendar)
    with pytest.raises(TimeframeError, match="did you mean '5m'"):
        rollup(rows, "5min", calendar)
    with pytest.raises(TimeframeError, match="session_rth"):
        rollup(rows, "4h", calendar, anchor="rth")


def test_rows_outside_trading_hours_are_left_out(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3))
    night = rows[:2].copy()
    night["ts_open"] = [ny_ns(date(2024, 12, 3), 1), ny_ns(date(2024, 12, 3), 23)]
    mixed = np.concatenate([night[:1], rows, night[1:]])
    assert rollup(mixed, "5m", calendar).tobytes() == rollup(rows, "5m", calendar).tobytes()
    assert not len(rollup(night, "1h", calendar))
    assert not len(rollup(rows[:0], "1h", calendar))


def test_a_minute_bar_rolled_to_one_minute_is_itself(calendar):
    rows = minutes(calendar, date(2024, 12, 3), date(2024, 12, 3))
    assert rollup(rows, "1m", calendar).tobytes() == rows.tobytes()


# -- real bars -------------------------------------------------------------------------------------------------------------------


def test_real_minutes_roll_up_as_the_twin_says(realdata, calendar):
    raw = pd.read_csv(realdata / "bars_spy_1min_polygon_2024" / "SPY_1min_2024-02-20_2024-04-30.csv.gz").head(8000)
    ts = pd.to_datetime(raw["datetime_ny"], utc=True).astype("datetime64[ns, UTC]").astype("int64")
    rows = np.zeros(len(raw), BAR_DTYPE)
    rows["ts_open"], rows["ts_close"] = ts, ts + MIN
    for name in ("open", "high", "low", "close", "volume", "vwap"):
        rows[name] = raw[name]
    rows["n_trades"], rows["vw_std"], rows["is_complete"] = raw["transactions"], 0.01, 1
    frame = pd.DataFrame({name: rows[name] for name in ("ts_open", *NUMBERS, "vwap", "vw_std")})
    sessions = bars_pandas.schedule("2024-02-01", "2024-05-10")
    for timeframe in ("5m", "30m", "4h", "1d", "1w"):
        assert_like_twin(rollup(rows, timeframe, calendar), bars_pandas.roll(frame, sessions, timeframe))
