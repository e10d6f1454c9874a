"""Trades into minutes: the rules, the equality of batch and stream, and that nothing is lost, against a slow pandas twin."""

from __future__ import annotations

import itertools
import math
from datetime import date
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import bars_pandas
from workbench import conditions
from workbench.errors import RecordError
from workbench.hub import bars
from workbench.hub.bars import MinuteBuilder, Reject, build, build_bars, rule_code
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import BAR_DTYPE, TRADE_DTYPE, Bar, bar_from_row

MIN = 60_000_000_000
SECOND = 1_000_000_000
FAR = ny_ns(date(2029, 1, 2), 12)
DAY = date(2024, 7, 2)  # the day before a half day
HALF_DAY = date(2024, 7, 3)
OPEN = ny_ns(DAY, 9, 30)
IDS = (0, 2, 10, 12, 14, 15, 32, 37, 38, 41, 53)

VALUES = ["open", "high", "low", "close", "volume", "vwap", "vw_std", "n_trades"]


@pytest.fixture(scope="module")
def calendar():
    return SessionCalendar.xnys()


def prints(*rows, symbol_id=0):
    """TRADE_DTYPE rows from (ts, price, size[, conditions[, sequence]])."""
    out = np.zeros(len(rows), TRADE_DTYPE)
    for i, row in enumerate(rows):
        ts, price, size, ids, sequence = (*row, (), i)[:5] if len(row) < 5 else row
        if len(row) == 4:
            sequence = i
        out[i]["ts_event"], out[i]["price"], out[i]["size"], out[i]["sequence"] = ts, price, size, sequence
        out[i]["n_conditions"], out[i]["symbol_id"] = len(ids), symbol_id
        out["conditions"][i, : len(ids)] = ids
    return out


def batch(trades, sessions):
    """The same prints through `build`, as columns."""
    columns = trades["ts_event"], trades["price"], trades["size"]
    return build(*columns, sequence=trades["sequence"], conditions=trades["conditions"], sessions=sessions)


def stream(trades, sessions, cuts=(), *, late_minutes=16, clock=None):
    """The same prints through a builder in pieces; returns (newest row of each symbol and minute, builder, rejected rows)."""
    builder = MinuteBuilder(sessions, grace_ns=2 * SECOND, late_minutes=late_minutes, symbols=1)
    held, rejected = {}, []
    edges = [0, *sorted(cuts), len(trades)]
    for a, b in itertools.pairwise(edges):
        changes = builder.add(trades[a:b])
        rejected += [(a + int(i), int(r)) for i, r in zip(changes.rejected, changes.reasons, strict=True)]
        keep(held, changes.symbol_ids, changes.rows)
        if clock is not None and b > a:
            keep(held, *builder.advance(clock(trades[a:b])))
    keep(held, *builder.advance(FAR))
    return held, builder, rejected


def keep(held, ids, rows):
    for symbol_id, row in zip(ids, rows, strict=True):
        key = int(symbol_id), int(row["ts_open"])
        if key in held:
            assert row["revision"] == held[key]["revision"] + 1, "a minute told again is its next revision"
        else:
            assert row["revision"] == 0
        held[key] = row.copy()


def rows_of(held, symbol_id=0):
    return np.array([row for (s, _), row in sorted(held.items()) if s == symbol_id], BAR_DTYPE)


def assert_same_bars(a, b):
    assert a["ts_open"].tolist() == b["ts_open"].tolist()
    for name in ("ts_close", *VALUES, "source", "is_partial", "is_complete"):
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def assert_like_twin(rows, twin):
    assert rows["ts_open"].tolist() == twin["ts_open"].tolist()
    for name in ("open", "high", "low", "close", "n_trades"):
        np.testing.assert_array_equal(rows[name], twin[name].to_numpy(float), err_msg=name)
    for name, tolerance in (("volume", 1e-12), ("vwap", 1e-12), ("vw_std", 1e-6)):
        np.testing.assert_allclose(rows[name], twin[name].to_numpy(float), rtol=tolerance, atol=1e-7, err_msg=name)


def frame(trades):
    """Prints as the pandas twin wants them."""
    return pd.DataFrame(
        {
            "ts": pd.to_datetime(trades["ts_event"], utc=True),
            "price": trades["price"],
            "size": trades["size"],
            "sequence": trades["sequence"],
            "conditions": [tuple(c[:n]) for c, n in zip(trades["conditions"].tolist(), trades["n_conditions"].tolist(), strict=True)],
        }
    )


# -- one minute by hand ----------------------------------------------------------------------------------------------------------


def test_a_minute_is_what_hand_arithmetic_says(calendar):
    trades = prints((OPEN, 10.0, 100), (OPEN + 1, 12.0, 300), (OPEN + 2, 9.0, 200), (OPEN + 3, 11.0, 400))
    [row] = batch(trades, calendar).rows
    assert [row[n] for n in ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "n_trades")] == [
        OPEN, OPEN + MIN, 10.0, 12.0, 9.0, 11.0, 1000.0, 4.0,
    ]  # fmt: skip
    assert row["vwap"] == pytest.approx(10.8, abs=1e-15)  # (1000 + 3600 + 1800 + 4400) / 1000
    assert row["vw_std"] == pytest.approx(math.sqrt((100 * 0.64 + 300 * 1.44 + 200 * 3.24 + 400 * 0.04) / 1000), rel=1e-14)


def test_open_and_close_follow_time_then_sequence_then_arrival(calendar):
    late_first = prints((OPEN + 5, 3.0, 1, (), 0), (OPEN, 1.0, 1, (), 7), (OPEN, 2.0, 1, (), 6), (OPEN + 5, 4.0, 1, (), 0))
    for rows in (batch(late_first, calendar).rows, rows_of(stream(late_first, calendar)[0])):
        assert (rows["open"][0], rows["close"][0]) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("ids", "moves_range", "moves_close", "counts"),
    [
        ((), 1, 1, 1),
        ((14,), 1, 1, 1),
        ((37,), 0, 0, 1),
        ((14, 37), 0, 0, 1),
        ((10,), 1, 0, 1),
        ((15,), 0, 0, 0),
        ((38,), 1, 1, 0),
        ((10, 38), 1, 0, 0),
    ],
)
def test_sale_conditions_decide_what_a_print_updates(calendar, ids, moves_range, moves_close, counts):
    trades = prints((OPEN, 10.0, 100), (OPEN + 1, 20.0, 50, ids))
    for rows in (batch(trades, calendar).rows, rows_of(stream(trades, calendar)[0])):
        [row] = rows
        assert row["high"] == (20.0 if moves_range else 10.0)
        assert row["close"] == (20.0 if moves_close else 10.0)
        assert (row["volume"], row["n_trades"]) == ((150.0, 2) if counts else (100.0, 1))


def test_form_t_prints_make_the_premarket_chart_and_not_the_regular_one(calendar):
    early = prints((OPEN - MIN, 10.0, 100, (12,)), (OPEN, 11.0, 100, (12,)), (OPEN + 1, 12.0, 100))
    for rows in (batch(early, calendar).rows, rows_of(stream(early, calendar)[0])):
        assert rows["ts_open"].tolist() == [OPEN - MIN, OPEN]
        assert rows["close"].tolist() == [10.0, 12.0]
        assert rows["low"].tolist() == [10.0, 12.0]


def test_a_minute_of_odd_lots_has_no_bar_and_its_volume_is_not_lost(calendar):
    trades = prints((OPEN, 10.0, 7, (37,)), (OPEN + 1, 10.0, 5, (37,)))
    built = batch(trades, calendar)
    held, builder, _ = stream(trades, calendar)
    assert not len(built.rows)
    assert not held
    assert built.volume_without_bar == builder.volume_without_bar == 12.0


def test_range_prints_alone_lend_their_first_and_last_to_open_and_close(calendar):
    trades = prints((OPEN, 10.0, 1, (10,)), (OPEN + 1, 12.0, 1, (10,)), (OPEN + 2, 11.0, 1, (10,)))
    for rows in (batch(trades, calendar).rows, rows_of(stream(trades, calendar)[0])):
        assert [rows[n][0] for n in ("open", "high", "low", "close")] == [10.0, 12.0, 10.0, 11.0]


def test_range_prints_give_way_when_a_real_close_arrives(calendar):
    trades = prints((OPEN, 10.0, 1, (10,)), (OPEN + 5, 12.0, 1, (10,)), (OPEN + 2, 11.0, 1))
    for rows in (batch(trades, calendar).rows, rows_of(stream(trades, calendar)[0])):
        assert [rows[n][0] for n in ("open", "high", "low", "close")] == [11.0, 12.0, 10.0, 11.0]


def test_the_spread_of_nearly_equal_large_prices_survives(calendar):
    trades = prints(*[(OPEN + i, 700_000.0 + 0.01 * (i % 2), 100) for i in range(1000)])
    flat = prints(*[(OPEN + i, 700_000.01, 3.3) for i in range(1000)])
    assert batch(trades, calendar).rows["vw_std"][0] == pytest.approx(0.005, rel=1e-7)
    assert batch(flat, calendar).rows["vw_std"][0] == 0.0
    assert batch(flat, calendar).rows["vwap"][0] == 700_000.01


# -- where a print belongs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ts", "is_in"),
    [
        (ny_ns(DAY, 4) - 1, False),
        (ny_ns(DAY, 4), True),
        (ny_ns(DAY, 20) - 1, True),
        (ny_ns(DAY, 20), False),
        (ny_ns(HALF_DAY, 17) - 1, True),
        (ny_ns(HALF_DAY, 17), False),
        (ny_ns(date(2024, 7, 4), 12), False),  # a holiday
        (ny_ns(date(2024, 7, 6), 12), False),  # a Saturday
        (0, False),
        (ny_ns(date(2024, 3, 10), 12), False),  # the Sunday the clocks change
        (ny_ns(date(2024, 3, 11), 4), True),  # 08:00 UTC, an hour earlier than on the Friday before
        (ny_ns(date(2024, 3, 11), 4) - 1, False),
    ],
)
def test_prints_outside_trading_hours_are_rejected(calendar, ts, is_in):
    trades = prints((ts, 10.0, 100))
    built = batch(trades, calendar)
    _, _, rejected = stream(trades, calendar)
    assert len(built.rows) == is_in
    assert built.reasons.tolist() == [r for _, r in rejected] == ([] if is_in else [Reject.NO_SESSION])


def test_the_closing_auction_of_a_half_day_is_in_the_first_minute_after_it(calendar):
    close = ny_ns(HALF_DAY, 13)
    rows = batch(prints((close - 1, 10.0, 1), (close, 11.0, 1, (8,)), (close + MIN, 12.0, 1, (12,))), calendar).rows
    assert rows["ts_open"].tolist() == [close - MIN, close, close + MIN]
    assert rows["close"].tolist() == [10.0, 11.0, 12.0]


@pytest.mark.parametrize(
    ("price", "size", "ids", "reason"),
    [
        (math.nan, 1.0, (), Reject.BAD_PRICE),
        (math.inf, 1.0, (), Reject.BAD_PRICE),
        (0.0, 1.0, (), Reject.BAD_PRICE),
        (-1.0, 1.0, (), Reject.BAD_PRICE),
        (10.0, math.nan, (), Reject.BAD_SIZE),
        (10.0, math.inf, (), Reject.BAD_SIZE),
        (10.0, -1.0, (), Reject.BAD_SIZE),
        (10.0, 1.0, (99,), Reject.UNKNOWN_CONDITION),
        (10.0, 1.0, (14, -5), Reject.UNKNOWN_CONDITION),
        (10.0, 1.0, (32_000,), Reject.UNKNOWN_CONDITION),
    ],
)
def test_a_poisoned_print_is_rejected_alone(calendar, price, size, ids, reason):
    good = [(OPEN + i, 10.0 + i % 3, 5.0) for i in range(40)]
    trades = prints(*good[:17], (OPEN + 17, price, size, ids), *good[18:])
    clean = prints(*good[:17], *good[18:])
    built = batch(trades, calendar)
    held, _, rejected = stream(trades, calendar)
    assert_same_bars(built.rows, batch(clean, calendar).rows)
    assert_same_bars(rows_of(held), built.rows)
    assert (built.rejected.tolist(), built.reasons.tolist()) == ([17], [reason])
    assert rejected == [(17, reason)]
    assert all(r.reason for r in Reject)


def test_a_negative_symbol_id_is_rejected(calendar):
    changes = MinuteBuilder(calendar, grace_ns=0).add(prints((OPEN, 10.0, 1), symbol_id=-3))
    assert changes.reasons.tolist() == [Reject.BAD_SYMBOL]


# -- the clock and late prints ---------------------------------------------------------------------------------------------------


def test_a_minute_closes_once_and_only_after_its_grace(calendar):
    builder = MinuteBuilder(calendar, grace_ns=2 * SECOND)
    builder.add(prints((OPEN + 5, 10.0, 1)))
    assert not len(builder.advance(OPEN + MIN + 2 * SECOND - 1)[1])
    assert len(builder.open_bars(0)) == 1
    ids, rows = builder.advance(OPEN + MIN + 2 * SECOND)
    assert (ids.tolist(), rows["ts_open"].tolist(), rows["is_partial"].tolist()) == ([0], [OPEN], [0])
    assert not len(builder.advance(FAR)[1])
    assert not len(builder.open_bars(0))


def test_two_minutes_are_open_while_the_first_waits_for_late_prints(calendar):
    builder = MinuteBuilder(calendar, grace_ns=2 * SECOND)
    builder.add(prints((OPEN + MIN + 1, 11.0, 1), (OPEN + 5, 10.0, 1)))
    forming = builder.open_bars(0)
    assert forming["ts_open"].tolist() == [OPEN, OPEN + MIN]
    assert forming["is_partial"].tolist() == [1, 1]
    bar = bar_from_row(forming[1], "SPY", "1m")
    assert isinstance(bar, Bar)
    assert bar.is_partial


def test_minutes_of_many_symbols_close_oldest_first(calendar):
    builder = MinuteBuilder(calendar, grace_ns=0, symbols=1)
    for symbol_id, minute in ((70, 1), (2, 0), (300, 0), (70, 0)):
        builder.add(prints((OPEN + minute * MIN, 10.0, 1), symbol_id=symbol_id))
    ids, rows = builder.advance(OPEN + 2 * MIN)
    assert list(zip(ids.tolist(), ((rows["ts_open"] - OPEN) // MIN).tolist(), strict=True)) == [(2, 0), (70, 0), (300, 0), (70, 1)]
    assert not rows["seq"].any()


def test_a_late_print_revises_its_closed_minute_once_a_call(calendar):
    builder = MinuteBuilder(calendar, grace_ns=0)
    builder.add(prints((OPEN, 10.0, 100), (OPEN + 2 * MIN, 10.5, 100)))
    builder.advance(OPEN + 2 * MIN)
    changes = builder.add(prints((OPEN + 1, 12.0, 50), (OPEN + 2, 9.0, 25)))
    assert (changes.symbol_ids.tolist(), len(changes.rows)) == ([0], 1)
    row = changes.rows[0]
    assert [row[n] for n in ("ts_open", "high", "low", "close", "volume", "revision", "is_partial")] == [OPEN, 12.0, 9.0, 9.0, 175.0, 1, 0]
    again = builder.add(prints((OPEN + 3, 9.5, 1))).rows
    assert again["revision"].tolist() == [2]


def test_a_late_price_gives_a_bar_to_a_minute_that_had_none(calendar):
    builder = MinuteBuilder(calendar, grace_ns=0)
    builder.add(prints((OPEN, 10.0, 7, (37,)), (OPEN + 3 * MIN, 10.0, 1)))
    assert builder.advance(OPEN + 3 * MIN)[1]["ts_open"].tolist() == []
    assert builder.volume_without_bar == 7.0
    builder.add(prints((OPEN + 1, 10.0, 3, (37,))))
    assert builder.volume_without_bar == 10.0
    [row] = builder.add(prints((OPEN + 2, 10.5, 100))).rows
    assert (row["volume"], row["revision"], builder.volume_without_bar) == (110.0, 0, 0.0)


def test_a_print_older_than_the_minutes_kept_is_too_late(calendar):
    builder = MinuteBuilder(calendar, grace_ns=0, late_minutes=5)
    builder.add(prints((OPEN, 10.0, 1), (OPEN + 5 * MIN, 10.0, 1)))
    changes = builder.add(prints((OPEN + 1, 11.0, 1), (OPEN + MIN, 12.0, 1)))
    assert changes.rejected.tolist() == [0]
    assert changes.reasons.tolist() == [Reject.TOO_LATE]


def test_minutes_that_run_ahead_of_the_clock_are_told_and_not_lost(calendar):
    trades = prints(*[(OPEN + i * MIN, 10.0 + i, 1) for i in range(300)])
    builder = MinuteBuilder(calendar, grace_ns=0)
    told = builder.add(trades).rows
    assert len(told) == 300 - 16
    assert np.concatenate([told, builder.advance(FAR)[1]])["open"].tolist() == trades["price"].tolist()


def test_forget_and_reset_leave_nothing_behind(calendar):
    builder = MinuteBuilder(calendar, grace_ns=0)
    trades = np.concatenate([prints((OPEN, 10.0, 1), symbol_id=s) for s in (0, 1, 2)])
    builder.add(trades)
    builder.forget(1)
    builder.forget(12_345)
    assert builder.advance(FAR)[0].tolist() == [0, 2]
    builder.add(prints((OPEN, 10.0, 9, (37,))))
    builder.reset()
    assert not len(builder.advance(FAR)[0])
    assert builder.volume_without_bar == 0.0
    builder.add(trades)
    assert builder.advance(FAR)[0].tolist() == [0, 1, 2]


def test_the_newest_fifty_milliseconds_are_a_bar_of_their_own(calendar):
    builder = MinuteBuilder(calendar, grace_ns=0)
    assert not len(builder.micro(0))
    builder.add(prints((OPEN, 10.0, 1), (OPEN + 60_000_000, 11.0, 2), (OPEN + 70_000_000, 10.5, 3), (OPEN + 10, 99.0, 1)))
    [row] = builder.micro(0)
    assert [row[n] for n in ("ts_open", "ts_close", "open", "high", "low", "close", "volume")] == [
        OPEN + 50_000_000, OPEN + 100_000_000, 11.0, 11.0, 10.5, 10.5, 5.0,
    ]  # fmt: skip
    assert not len(builder.micro(10**6))


def test_single_prints_make_the_same_bars_as_arrays(calendar):
    rng = np.random.default_rng(4)
    trades = random_day(rng, 3000, symbols=3)
    builder = MinuteBuilder(calendar, grace_ns=2 * SECOND, symbols=1)
    held = {}
    for row in trades:
        numbers = int(row["symbol_id"]), int(row["ts_event"]), float(row["price"]), float(row["size"]), int(row["sequence"])
        ids = tuple(row["conditions"][: row["n_conditions"]].tolist())
        code = builder.add_one(*numbers, rule_code(ids))
        if code == -1:
            builder.make_room(numbers[0])
            code = builder.add_one(*numbers, rule_code(ids))
        if code == -2:
            changes = builder.changes()
            keep(held, changes.symbol_ids, changes.rows)
    keep(held, *builder.advance(FAR))
    for symbol_id in range(3):
        assert_same_bars(rows_of(held, symbol_id), batch(trades[trades["symbol_id"] == symbol_id], calendar).rows)


def test_single_prints_tell_why_they_are_not_taken(calendar):
    builder = MinuteBuilder(calendar, grace_ns=0)
    assert builder.add_one(0, OPEN, -1.0, 1.0, 0, 0) == Reject.BAD_PRICE
    assert builder.add_one(0, 0, 10.0, 1.0, 0, 0) == Reject.NO_SESSION
    assert builder.add_one(-1, OPEN, 10.0, 1.0, 0, 0) == Reject.BAD_SYMBOL
    assert builder.add_one(0, OPEN, 10.0, 1.0, 0, rule_code((14, 99))) == Reject.UNKNOWN_CONDITION


# -- properties ------------------------------------------------------------------------------------------------------------------


def random_day(rng, n, *, symbols=1, start=OPEN - 20 * MIN, minutes=60):
    """Prints of an hour around the open with every kind of condition, cents, and many equal stamps."""
    out = np.zeros(n, TRADE_DTYPE)
    out["ts_event"] = np.sort(start + rng.integers(0, minutes * 60 * 20, n) * (SECOND // 20))
    out["sequence"] = np.arange(n)
    out["price"] = np.round(100 + np.cumsum(rng.normal(0, 0.02, n)), 2)
    out["size"] = rng.integers(1, 1000, n)
    out["symbol_id"] = rng.integers(0, symbols, n)
    out["n_conditions"] = rng.integers(0, 4, n)
    ids = rng.choice(np.array(IDS), (n, 6), p=[0.4, 0.05, 0.05, 0.05, 0.15, 0.05, 0.05, 0.1, 0.02, 0.05, 0.03])
    out["conditions"] = np.where(np.arange(6) < out["n_conditions"][:, None], ids, 0)
    return out


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 400), minutes=st.integers(1, 60), pieces=st.integers(1, 12), delay_s=st.floats(0, 300))
def test_any_chunking_and_any_order_of_arrival_give_the_bars_of_the_batch(seed, n, minutes, pieces, delay_s):
    calendar, rng = SessionCalendar.xnys(), np.random.default_rng(seed)
    trades = random_day(rng, n, symbols=2, minutes=minutes)
    arrival = trades["ts_event"] + rng.random(n) * delay_s * SECOND
    arrived = trades[np.argsort(arrival, kind="stable")]
    cuts = rng.integers(0, n + 1, pieces)
    held, builder, rejected = stream(arrived, calendar, cuts, clock=lambda rows: int(rows["ts_event"].max()))
    assert not rejected
    homeless = 0.0
    for symbol_id in (0, 1):
        built = batch(trades[trades["symbol_id"] == symbol_id], calendar)
        homeless += built.volume_without_bar
        assert_same_bars(rows_of(held, symbol_id), built.rows)
    assert builder.volume_without_bar == homeless


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 3000), minutes=st.integers(1, 40))
def test_the_batch_equals_the_pandas_twin_and_conserves_volume_and_trades(seed, n, minutes):
    calendar, rng = SessionCalendar.xnys(), np.random.default_rng(seed)
    trades = random_day(rng, n, minutes=minutes)
    shuffled = rng.permutation(trades)
    built = batch(shuffled, calendar)
    twin, homeless, _ = bars_pandas.minute_bars(frame(trades), bars_pandas.schedule("2024-07-01", "2024-07-03"))
    if len(twin):
        assert_like_twin(built.rows, twin)
    assert built.volume_without_bar == homeless
    counts = [bool(rule_of(t) & conditions.VOLUME) for t in trades]
    assert built.rows["volume"].sum() + built.volume_without_bar == trades["size"][counts].sum()
    rows = built.rows
    assert (rows["high"] >= np.maximum(rows["open"], rows["close"])).all()
    assert (rows["low"] <= np.minimum(rows["open"], rows["close"])).all()


def rule_of(trade):
    return conditions.rule_mask(trade["conditions"][: trade["n_conditions"]].tolist(), in_regular_session=bool(trade["ts_event"] >= OPEN))


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32), n=st.integers(2, 500), cut=st.floats(0, 1))
def test_cutting_off_the_future_never_changes_a_finished_minute(seed, n, cut):
    calendar, rng = SessionCalendar.xnys(), np.random.default_rng(seed)
    trades = random_day(rng, n)
    until = int(cut * n)
    head, whole = batch(trades[:until], calendar).rows, batch(trades, calendar).rows
    finished = head[head["ts_close"] <= (trades["ts_event"][until] if until < n else FAR)]
    assert finished.tobytes() == whole[: len(finished)].tobytes()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 200))
def test_fractional_sizes_sum_to_the_same_in_any_order(seed, n):
    calendar, rng = SessionCalendar.xnys(), np.random.default_rng(seed)
    trades = random_day(rng, n, start=OPEN, minutes=1)
    trades["size"] = rng.random(n) * 10.0 ** rng.integers(-6, 6, n)
    trades["price"] = rng.random(n) * 10.0 ** rng.integers(-3, 5, n) + 1e-4
    first, second = stream(trades, calendar)[0], stream(rng.permutation(trades), calendar, (n // 2,))[0]
    assert_same_bars(rows_of(first), rows_of(second))
    assert_same_bars(rows_of(first), batch(trades, calendar).rows)


@pytest.mark.parametrize(
    ("price", "size"),
    [
        (None, None), (None, 0.5), (None, 5e6), (None, 2.0**33), (None, 0.0), (None, -0.0), (1e-6, None), (1e6, None), (1e-300, None),
        (1e300, 1.0), (None, 1e300), (np.nan, None), (-0.0, None), (None, np.inf), (None, -1.0), (np.inf, 0.0), (5e-324, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [0, 1000, 2999])
def test_one_strange_print_among_whole_shares_changes_nothing_for_the_others(calendar, price, size, at):
    rng = np.random.default_rng(at)
    trades = random_day(rng, 3000, start=OPEN, minutes=1)
    trades["price"][at] = trades["price"][at] if price is None else price
    trades["size"][at] = trades["size"][at] if size is None else size
    trades["conditions"][at], trades["n_conditions"][at] = 0, 0
    built = batch(trades, calendar)
    held, _, rejected = stream(trades, calendar)
    assert_same_bars(built.rows, rows_of(held))
    assert list(zip(built.rejected, built.reasons, strict=True)) == rejected
    taken = [t for k, t in enumerate(trades) if k not in built.rejected and rule_of(t) & conditions.VOLUME]
    v = sum(Fraction(float(t["size"])) for t in taken)
    vp = sum(Fraction(float(t["size"])) * Fraction(float(t["price"])) for t in taken)
    assert built.rows["volume"][0] == float(v)
    assert built.rows["vwap"][0] == pytest.approx(float(vp / v), rel=3e-16)


@pytest.mark.parametrize("ids", [(14, 37), (200, 255), (130,), (300,), (-1,), (511, 14), (37, 10, 41, 53)])
@pytest.mark.parametrize("width", [2, 4, 6])
def test_conditions_mean_the_same_in_columns_of_any_width(calendar, ids, width):
    trades = random_day(np.random.default_rng(1), 1500, start=OPEN, minutes=1)
    trades["conditions"][:, 2:] = 0
    for k in (0, 700, 1499):
        trades["conditions"][k] = 0
        trades["conditions"][k, : len(ids[:width])] = ids[:width]
        trades["n_conditions"][k] = len(ids[:width])
    columns = trades["ts_event"], trades["price"], trades["size"]
    narrow = build(*columns, sequence=trades["sequence"], conditions=trades["conditions"][:, :width], sessions=calendar)
    held, _, rejected = stream(trades, calendar)
    assert_same_bars(narrow.rows, rows_of(held))
    assert list(zip(narrow.rejected, narrow.reasons, strict=True)) == rejected


def test_rules_looked_up_in_vectors_equal_rules_worked_out_one_by_one(calendar):
    trades = random_day(np.random.default_rng(2), 3000, start=OPEN, minutes=2)
    columns = trades["ts_event"], trades["price"], trades["size"]
    masks = np.array([rule_of(t) for t in trades], np.uint8)
    wide = build(*columns, conditions=trades["conditions"][:, :4], sessions=calendar)
    masked = build(*columns, mask=masks, sessions=calendar)
    assert wide.rows.tobytes() == masked.rows.tobytes()


# -- bad input -------------------------------------------------------------------------------------------------------------------


def test_wrong_columns_are_named(calendar):
    one = np.ones(1)
    with pytest.raises(RecordError, match="price: received shape"):
        build_bars(np.zeros(2, np.int64), one, np.ones(2), sessions=calendar)
    with pytest.raises(RecordError, match="mask: received together"):
        build_bars(np.zeros(1, np.int64), one, one, conditions=np.zeros((1, 1), np.int16), mask=np.zeros(1, np.uint8), sessions=calendar)
    with pytest.raises(RecordError, match="TRADE_DTYPE"):
        MinuteBuilder(calendar, grace_ns=0).add(np.zeros(1, BAR_DTYPE))
    with pytest.raises(RecordError, match="grace_ns"):
        MinuteBuilder(calendar, grace_ns=-1)
    with pytest.raises(RecordError, match="late_minutes"):
        MinuteBuilder(calendar, grace_ns=0, late_minutes=0)
    with pytest.raises(RecordError, match="sessions"):
        build_bars(np.zeros(1, np.int64), one, one, sessions=np.zeros(0))


def test_no_prints_make_no_bars(calendar):
    nothing = np.zeros(0, TRADE_DTYPE)
    assert not len(batch(nothing, calendar).rows)
    assert not len(MinuteBuilder(calendar, grace_ns=0).add(nothing).rows)


def test_a_mask_says_the_same_as_conditions(calendar):
    trades = random_day(np.random.default_rng(1), 2000, start=OPEN)
    mask = np.array([rule_of(t) for t in trades], np.uint8)
    rows = build_bars(trades["ts_event"], trades["price"], trades["size"], sequence=trades["sequence"], mask=mask, sessions=calendar)
    assert_same_bars(rows, batch(trades, calendar).rows)


# -- real prints -----------------------------------------------------------------------------------------------------------------


def columns_of(trades):
    """A frame with ts, price, size, conditions as TRADE_DTYPE rows in order of arrival."""
    out = np.zeros(len(trades), TRADE_DTYPE)
    out["ts_event"] = trades["ts"].astype("datetime64[ns, UTC]").astype("int64")
    out["price"], out["size"], out["sequence"] = trades["price"], trades["size"], np.arange(len(trades))
    for i, ids in enumerate(trades["conditions"]):
        out["n_conditions"][i] = len(ids)
        out["conditions"][i, : len(ids)] = ids
    return out


@pytest.mark.parametrize("name", ["SPY_trades_20131007", "SPY_trades_20131008", "IBM_trades_20131007"])
def test_real_prints_of_2013_make_the_twins_bars(realdata, calendar, name):
    raw = pd.read_csv(realdata / "ticks_2013_lean" / f"{name}.csv.gz")
    raw["ts"] = pd.to_datetime(raw["ts_utc_ms"], unit="ms", utc=True)
    raw["conditions"] = [()] * len(raw)  # the meaning of the file's codes is not documented
    check_real(raw, calendar, bars_pandas.schedule("2013-10-01", "2013-10-31"))


# Letters of the tape -> consolidated ids, those that occur in the file (providers.md A4).
TAPE = {"F": 14, "T": 12, "I": 37, "U": 13, "X": 9, "4": 10, "6": 8, "O": 25, "Q": 16, "M": 15, "Z": 32, "H": 21, "V": 52, "7": 53, "9": 38, "P": 22, "5": 28, "B": 2, "C": 7, "N": 20, "R": 29, "1": 41, "K": 23, "L": 30, "E": 3, "S": 34, "W": 2, "Y": 36, "A": 1, "D": 11, "G": 5}  # fmt: skip


def test_real_prints_with_sale_conditions_make_the_twins_bars(realdata, calendar):
    raw = pd.read_csv(realdata / "taq_2018_highfrequency" / "XXX_trades_2018-01-02.csv.gz", dtype={"COND": str})
    letters = raw["COND"].fillna("").str.replace("[@ ]", "", regex=True)
    raw = raw.assign(
        ts=pd.to_datetime(raw["ts_utc"], utc=True, format="ISO8601"),
        price=raw["PRICE"].astype(float),
        size=raw["SIZE"].astype(float),
        conditions=[tuple(TAPE[c] for c in text) for text in letters],
    )
    used = {c for ids in raw["conditions"] for c in ids}
    assert {12, 14, 37} <= used, "the file has extended hours, sweeps and odd lots"
    check_real(raw, calendar, bars_pandas.schedule("2017-12-20", "2018-01-10"))


def check_real(raw, calendar, sessions):
    raw = raw.assign(sequence=np.arange(len(raw)))
    trades = columns_of(raw)
    built = batch(trades, calendar)
    held, builder, rejected = stream(trades, calendar, range(0, len(trades), 500), clock=lambda rows: int(rows["ts_event"][-1]))
    assert_same_bars(rows_of(held), built.rows)
    twin, homeless, outside = bars_pandas.minute_bars(raw[["ts", "price", "size", "sequence", "conditions"]], sessions)
    assert_like_twin(built.rows, twin)
    assert built.volume_without_bar == builder.volume_without_bar == homeless
    assert len(built.rejected) == len(rejected) == outside


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_spread_over_cores_is_the_same_batch(calendar, monkeypatch, shuffle):
    trades = random_day(np.random.default_rng(3), 5000)
    trades["price"][[10, 3000]] = np.nan
    whole = batch(trades, calendar)
    monkeypatch.setattr(bars, "PART", 700)
    arrived = np.random.default_rng(1).permutation(trades) if shuffle else trades
    spread = batch(arrived, calendar)
    assert spread.rows.tobytes() == whole.rows.tobytes()
    assert spread.volume_without_bar == whole.volume_without_bar
    assert np.isnan(arrived["price"][spread.rejected]).tolist() == [True, True]
