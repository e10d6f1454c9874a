"""The watchlist's line, by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from tests.stubs import MIN, OPEN, SEC, TEN, bar, bars, minutes_of, play, prints, replayed
from workbench.hub.board import BoardRow, session_vwap
from workbench.sessions import SessionCalendar, ny_ns

CALENDAR = SessionCalendar.xnys()
TODAY = CALENDAR.at(TEN)


def day(index: int, price: float, volume: float, until: int | None = None) -> np.ndarray:
    """Minutes of a whole session at one price and volume."""
    rows = bars(minutes_of(CALENDAR.sessions[index]), source=3)
    for name in ("open", "high", "low", "close", "vwap"):
        rows[name] = price
    rows["volume"] = volume
    return rows if until is None else rows[rows["ts_close"] <= until]


def board(*parts: np.ndarray, now: int = TEN, capacity: int = 5000) -> BoardRow:
    hub, source = replayed(now, capacity=capacity)
    source.history_rows["SPY"] = np.concatenate(parts)
    hub.watch("SPY")
    hub.pump()
    return hub.board("SPY")


def test_change_and_gap_are_against_the_last_regular_close_not_the_last_print():
    yesterday = day(TODAY - 1, 100.0, 10.0)
    yesterday["close"][yesterday["ts_open"] >= CALENDAR.sessions[TODAY - 1]["close"]] = 107.0  # after hours
    yesterday["high"] = yesterday["close"]
    today = day(TODAY, 103.0, 10.0, TEN)
    today["open"][today["ts_open"] == OPEN] = today["low"][today["ts_open"] == OPEN] = 102.0
    row = board(yesterday, today)
    assert (row.last, row.prev_close, row.change) == (103.0, 100.0, 3.0)
    assert (row.change_pct, row.gap_pct) == (pytest.approx(3.0), pytest.approx(2.0))
    assert (row.day_open, row.day_high, row.day_low) == (102.0, 103.0, 102.0)
    assert row.volume == 360 * 10.0  # 04:00 to 10:00


def test_before_the_open_the_gap_is_the_last_price_and_the_day_has_no_range():
    row = board(day(TODAY - 1, 100.0, 10.0), day(TODAY, 101.0, 10.0, OPEN - 30 * MIN), now=OPEN - 30 * MIN)
    assert (row.gap_pct, row.day_open, row.day_high) == (pytest.approx(1.0), None, None)


def test_relative_volume_compares_with_past_sessions_up_to_the_same_time():
    parts = [day(TODAY - k, 100.0, 10.0) for k in (3, 2, 1)]
    parts[1]["volume"] = 40.0
    row = board(*parts, day(TODAY, 100.0, 60.0, TEN))
    assert row.relative_volume == pytest.approx(60 / 20)  # usual: mean of 10, 40, 10


def test_relative_volume_leaves_out_a_session_whose_morning_is_no_longer_held():
    """5,000 minutes are held: five whole sessions, and of the sixth only the minutes from 11:40 on."""
    parts = [day(TODAY - k, 100.0, 10.0) for k in range(9, 0, -1)]
    row = board(*parts, day(TODAY, 100.0, 10.0, TEN))
    assert row.relative_volume == pytest.approx(1.0)


def test_relative_volume_knows_a_half_day_and_another_clock():
    now = ny_ns(date(2025, 12, 1), 15)
    index = CALENDAR.at(now)
    parts = [day(index - k, 100.0, 10.0) for k in (2, 1)]  # index - 1: the day after Thanksgiving, 780 minutes
    today = day(index, 100.0, 10.0, now)
    row = board(*parts, today, now=now)
    assert row.relative_volume == pytest.approx(660 / ((660 + 660) / 2))
    row = board(*parts, day(index, 100.0, 10.0, now + 240 * MIN), now=now + 240 * MIN)  # 19:00: the half day ended 17:00
    assert row.relative_volume == pytest.approx(900 / ((900 + 780) / 2))


def test_a_symbol_without_history_is_unknown_not_zero():
    hub, _ = replayed()
    hub.watch("SPY")
    hub.pump()
    assert hub.board("SPY") == BoardRow("SPY")
    assert hub.board("QQQ") == BoardRow("QQQ")
    assert hub.board("QQQ").cells() == ("QQQ", "–", "–", "–")


def test_the_line_follows_the_forming_bar_and_is_made_once_for_all_who_ask():
    hub, _ = replayed()
    hub.watch("SPY")
    play(hub, prints([(TEN + SEC, 100.0, 100)]))
    first = hub.board("SPY")
    assert hub.board("SPY") is first
    play(hub, prints([(TEN + 2 * SEC, 101.0, 100)], first_sequence=5))
    assert (first.last, hub.board("SPY").last, hub.board("SPY").volume) == (100.0, 101.0, 200.0)


def test_at_the_weekend_the_line_is_fridays():
    friday = CALENDAR.at(ny_ns(date(2026, 11, 20), 10))
    row = board(day(friday - 1, 100.0, 10.0), day(friday, 105.0, 10.0), now=ny_ns(date(2026, 11, 21), 12))
    assert (row.last, row.prev_close, row.volume) == (105.0, 100.0, 9600.0)


def test_session_vwap_begins_at_the_bell_and_takes_the_newest_session_only():
    rows = np.concatenate([day(TODAY - 1, 50.0, 10.0), day(TODAY, 100.0, 10.0, OPEN + MIN), bar(OPEN + MIN, 110.0, volume=30.0)])
    got = session_vwap(rows, CALENDAR)
    assert got["ts_open"].tolist() == [OPEN, OPEN + MIN]
    assert got["vwap"].tolist() == pytest.approx([100.0, 107.5])
    assert len(session_vwap(rows[:0], CALENDAR)) == 0
