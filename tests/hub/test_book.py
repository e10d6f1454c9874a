"""One symbol's series: every timeframe is a roll-up of the minutes, whatever order they come in."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stubs import MIN, OPEN, SEC, TEN, bar, bars, minutes_of, values
from workbench.hub.book import MIN_MINUTES, SymbolBook
from workbench.hub.rollup import ROLLED, rollup
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import BarSource, Timeframe

CALENDAR = SessionCalendar.xnys()
GRACE = 2 * SEC
NOTHING = bars([])


def book(*labels: str, now: int = TEN, capacity: int = 5000) -> SymbolBook:
    made = SymbolBook("SPY", CALENDAR, capacity=capacity, grace_ns=GRACE, anchor="session_rth")
    for label in labels:
        made.series(Timeframe.parse(label), now)
    return made


def told(series):
    update = series.snapshot()
    return update.rows if update.forming is None else np.concatenate([update.rows, update.forming])


def assert_rolled(tested: SymbolBook, minutes: np.ndarray, labels=ROLLED) -> None:
    for label in labels:
        wanted = rollup(minutes, label, CALENDAR)
        got = told(tested.series(Timeframe.parse(label), 0))
        for name in (
            "ts_open",
            "ts_close",
            "open",
            "high",
            "low",
            "close",
            "volume",
            "vwap",
            "vw_std",
            "n_trades",
            "source",
            "is_complete",
        ):
            np.testing.assert_array_equal(got[name], wanted[name], err_msg=f"{label} {name}")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 999), st.lists(st.integers(0, 12), min_size=1, max_size=30), st.data())
def test_every_timeframe_is_a_roll_up_whatever_order_minutes_come_in(seed, sizes, data):
    """Blocks of minutes of three sessions, some missing, come in any order, some twice with more volume."""
    index = CALENDAR.at(TEN)
    opens = np.concatenate([np.array(minutes_of(row)) for row in CALENDAR.sessions[index - 2 : index]] + [np.arange(OPEN, TEN, MIN)])
    rng = np.random.default_rng(seed)
    rows = bars(np.sort(rng.choice(opens, 400, replace=False)), seed=seed)
    edges = np.unique(np.r_[0, np.cumsum(sizes) * 400 // max(1, sum(sizes)), 400])
    blocks = data.draw(st.permutations([rows[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]))
    tested = book(*ROLLED)
    for k, block in enumerate(blocks):
        tested.add_minutes(block, TEN)
        if k % 3 == 0:
            fuller = block[:2].copy()
            fuller["volume"] += 1
            tested.add_minutes(fuller, TEN)
        tested.publish(NOTHING, TEN)
    assert_rolled(tested, tested.minutes.rows())
    assert tested.minutes.rows()["ts_open"].tolist() == rows["ts_open"].tolist()


@pytest.mark.parametrize("label", ROLLED)
def test_minute_by_minute_with_its_forming_bar_equals_the_batch(label):
    index = CALENDAR.at(TEN)
    rows = bars(np.r_[np.array(minutes_of(CALENDAR.sessions[index - 1])), np.arange(OPEN, OPEN + 100 * MIN, MIN)], seed=2)
    tested = book(label, now=int(rows["ts_open"][0]))
    for k in range(len(rows) - 1):
        now = int(rows["ts_close"][k]) + GRACE
        tested.add_minutes(rows[k : k + 1], now)
        open_minute = rows[k + 1 : k + 2].copy()
        open_minute["is_partial"] = 1
        tested.publish(open_minute if open_minute["ts_open"][0] <= now else NOTHING, now)
        if k % 97 == 0:
            shown = rows[: k + 2] if open_minute["ts_open"][0] <= now else rows[: k + 1]
            assert (
                values(told(tested.series(Timeframe.parse(label), now)))["close"].tolist()
                == rollup(shown, label, CALENDAR)["close"].tolist()
            )
    tested.add_minutes(rows[-1:], int(rows["ts_close"][-1]) + GRACE)
    tested.publish(NOTHING, int(rows["ts_close"][-1]) + GRACE)
    assert_rolled(tested, rows, (label,))


def test_a_rolled_bar_is_final_when_its_end_and_grace_have_passed_though_its_last_minutes_had_no_print():
    tested = book("5m")
    tested.add_minutes(bar(TEN), TEN + MIN + GRACE)
    five = tested.series(Timeframe.parse("5m"), TEN)
    tested.publish(NOTHING, TEN + 5 * MIN + GRACE - 1)
    assert (len(five), len(five.forming)) == (0, 1)
    tested.publish(NOTHING, TEN + 5 * MIN + GRACE)
    assert (len(five), five.forming, five.rows()["is_partial"].tolist()) == (1, None, [0])


def test_the_providers_own_bar_closes_a_minute_that_prints_still_fill():
    tested = book("5m")
    tested.publish(bar(TEN, 99.0, is_partial=1), TEN + 30 * SEC)
    tested.add_minutes(bar(TEN, 100.0, source=BarSource.PROVIDER), TEN + MIN + SEC)
    tested.publish(np.concatenate([bar(TEN, 99.0, is_partial=1), bar(TEN + MIN, 101.0, is_partial=1)]), TEN + MIN + SEC)
    assert tested.minutes.forming["ts_open"].tolist() == [TEN + MIN]
    forming = tested.series(Timeframe.parse("5m"), TEN).forming
    assert (forming["open"].tolist(), forming["close"].tolist(), forming["volume"].tolist()) == ([100.0], [101.0], [200.0])


def test_minutes_that_have_fallen_out_leave_their_longer_bars_standing():
    tested = book("1h", "1d", "1w")
    index = CALENDAR.at(TEN)
    opens = np.concatenate([np.array(minutes_of(row)) for row in CALENDAR.sessions[index - 20 : index]])
    rows = bars(opens)
    tested.add_minutes(rows, TEN)
    tested.publish(NOTHING, TEN)
    assert len(tested.minutes) == MIN_MINUTES
    assert_rolled(tested, rows, ("1h", "1d", "1w"))
    fuller = rows[-3000:-2999].copy()
    fuller["volume"] += 900
    tested.add_minutes(fuller, TEN)
    tested.publish(NOTHING, TEN)
    rows[-3000] = fuller[0]
    assert_rolled(tested, rows, ("1h", "1d", "1w"))


def test_a_timeframe_opened_late_has_no_bar_cut_by_the_oldest_minute_held():
    tested = book()
    index = CALENDAR.at(TEN)
    rows = bars(np.concatenate([np.array(minutes_of(row)) for row in CALENDAR.sessions[index - 8 : index]]))
    tested.add_minutes(rows, TEN)
    tested.publish(NOTHING, TEN)
    for label in ROLLED:
        held = tested.series(Timeframe.parse(label), TEN).rows()
        wanted = rollup(rows, label, CALENDAR)
        assert values(held).tobytes() == values(wanted[len(wanted) - len(held) :]).tobytes(), label


def test_a_gap_marks_longer_bars_too():
    tested = book("5m", "1d")
    rows = bars(range(TEN, TEN + 10 * MIN, MIN), source=BarSource.TRADES)
    tested.add_minutes(rows, TEN + 11 * MIN)
    assert tested.distrust(TEN + 6 * MIN, TEN + 8 * MIN, TEN + 11 * MIN) == 2
    tested.publish(NOTHING, TEN + 11 * MIN)
    assert tested.series(Timeframe.parse("5m"), TEN).rows()["is_complete"].tolist() == [1, 0]
    assert tested.series(Timeframe.parse("1d"), TEN).forming["is_complete"].tolist() == [0]


def test_a_gap_does_not_distrust_what_history_or_the_provider_told():
    tested = book()
    tested.add_minutes(np.concatenate([bar(TEN, source=BarSource.REST), bar(TEN + MIN, source=BarSource.PROVIDER)]), TEN + 5 * MIN)
    assert tested.distrust(TEN, TEN + 5 * MIN, TEN + 5 * MIN) == 0


def test_a_reset_empties_every_series_and_the_next_minute_starts_anew():
    tested = book("5m", "1d")
    tested.add_minutes(bars(range(TEN, TEN + 10 * MIN, MIN)), TEN + 11 * MIN)
    tested.publish(NOTHING, TEN + 11 * MIN)
    tested.reset()
    assert [len(tested.series(Timeframe.parse(label), TEN)) for label in ("1m", "5m", "1d")] == [0, 0, 0]
    tested.add_minutes(bar(OPEN, 55.0), OPEN + MIN + GRACE)
    tested.publish(NOTHING, OPEN + MIN + GRACE)
    assert tested.series(Timeframe.parse("5m"), TEN).forming["close"].tolist() == [55.0]


@pytest.mark.parametrize("day", [date(2026, 3, 9), date(2025, 11, 3), date(2025, 11, 28), date(2025, 12, 24)])  # clocks changed, half days
def test_days_with_another_length_or_offset_roll_up_like_any_other(day):
    session = CALENDAR.session(day)
    rows = bars(minutes_of(session))
    tested = book(*ROLLED, now=int(session["pre_open"]))
    for k in range(0, len(rows), 50):
        part = rows[k : k + 50]
        tested.add_minutes(part, int(part["ts_close"][-1]))
        tested.publish(NOTHING, int(part["ts_close"][-1]))
    tested.publish(NOTHING, int(session["post_close"]) + GRACE)
    assert_rolled(tested, rows)
    daily = tested.series(Timeframe.parse("1d"), 0).rows()
    assert daily["ts_open"].tolist() == [ny_ns(day, 9, 30)]
    assert daily["ts_close"][0] == session["close"]
