"""How history comes in: newest first, in pieces, never in the way of what happens now."""

from __future__ import annotations

import numpy as np

from tests.stubs import MIN, OPEN, SEC, TEN, bars, go, live, minutes_of, prints, values
from workbench.hub.rollup import rollup
from workbench.sessions import SessionCalendar, to_ny

CALENDAR = SessionCalendar.xnys()
WEEK_OF_MINUTES = 5 * 16 * 60


def half_a_year(now_ns: int) -> np.ndarray:
    index = CALENDAR.at(now_ns)
    opens = np.concatenate([np.array(minutes_of(row)) for row in CALENDAR.sessions[index - 130 : index + 1]])
    return bars(opens[opens + MIN <= now_ns], seed=3)


def test_the_hub_holds_its_lock_for_a_week_of_minutes_at_most():
    hub, source, clock = live(TEN)
    source.history_rows["SPY"] = truth = half_a_year(TEN)
    hub.series("SPY", "1d")
    hub.series("SPY", "1w")
    pieces: list[np.ndarray] = []
    hub.on_accepted = lambda kind, rows: pieces.append(rows[1]) if kind == "history" else None
    go(hub, clock, TEN + 10 * MIN)
    assert sum(map(len, pieces)) >= len(truth)
    assert max(map(len, pieces)) <= WEEK_OF_MINUTES
    for rows in pieces:
        weeks = {to_ny(int(ts)).isocalendar()[:2] for ts in rows["ts_open"]}
        assert len(weeks) == 1
    for label in ("1d", "1w"):
        wanted = rollup(truth, label, CALENDAR)
        closed = wanted[wanted["ts_close"] <= TEN]
        held = hub.series("SPY", label).rows()
        assert len(held) == len(closed) >= 20
        for name in ("ts_open", "open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(held[name], closed[name])


def test_a_print_that_comes_while_two_years_wait_is_applied_next():
    hub, source, clock = live(TEN - 5 * MIN)
    hub.watch("SPY")
    go(hub, clock, TEN)
    source.history_rows["SPY"] = half_a_year(TEN)
    hub.series("SPY", "1d")
    hub._writer.backfiller.run_due()
    assert len(hub._inbox) > 20
    clock.ns = TEN + 2 * SEC
    hub.on_trades(prints([(TEN + SEC, 123.0, 100)]))
    assert hub._drain()
    assert hub.last_trade("SPY").price == 123.0
    assert len(hub._inbox) > 20  # history still waits


def test_the_newest_week_of_a_read_is_on_screen_first():
    hub, source, _ = live(TEN)
    source.history_rows["SPY"] = truth = half_a_year(TEN)
    series = hub.series("SPY", "1m")
    hub._writer.backfiller.run_due()
    assert hub._take_history()
    assert values(series.rows()).tobytes() == values(truth[truth["ts_open"] >= OPEN - 330 * MIN - 2 * 24 * 60 * MIN]).tobytes()


def test_a_reset_throws_away_the_pieces_that_wait():
    hub, source, clock = live(TEN)
    source.history_rows["SPY"] = half_a_year(TEN)
    series = hub.series("SPY", "1m")
    hub._writer.backfiller.run_due()
    hub.on_reset("moved")
    hub._drain()
    source.history_rows["SPY"] = np.zeros(0, source.history_rows["SPY"].dtype)
    while hub._take_history():
        pass
    assert len(series) == 0
    go(hub, clock, TEN + SEC)
    assert len(series) == 0
