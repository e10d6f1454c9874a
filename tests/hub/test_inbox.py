"""The queue before the hub: nothing overtakes, nothing is lost unseen, and only who may wait does."""

from __future__ import annotations

import threading

import numpy as np

from tests.stubs import MIN, TEN, bar, prints
from workbench.hub.inbox import MAX_HISTORY, Inbox


def inbox(max_rows: int = 10, *, can_wait: bool = False) -> Inbox:
    return Inbox(lambda: TEN, max_rows=max_rows, can_wait=can_wait)


def trades(n: int, ts: int = TEN) -> np.ndarray:
    return prints([(ts + k, 100.0, 1) for k in range(n)])


def test_items_come_out_in_the_order_they_were_handed_in():
    tested = inbox()
    for k in range(5):
        tested.put("time", k)
    assert [tested.take().payload for _ in range(5)] == [0, 1, 2, 3, 4]
    assert tested.take() is None


def test_a_live_market_drops_what_finds_no_room_counts_it_and_knows_since_when():
    tested = inbox()
    tested.put("trades", trades(8), 8)
    tested.put("trades", trades(8, TEN + MIN), 8)
    tested.put("bars", ("SPY", bar(TEN + 30 * MIN)), 3)
    tested.put("trades", trades(3, TEN - MIN), 3)
    tested.put("quotes", None, 9)
    tested.put("status", "said all the same")
    assert (tested.n_dropped, len(tested), tested.n_rows) == (23, 2, 8)
    assert tested.dropped_since() is None  # no room yet
    tested.take()
    assert tested.dropped_since() == TEN - MIN
    assert tested.dropped_since() is None  # told once


def test_a_single_batch_larger_than_the_queue_is_taken_when_nothing_waits():
    tested = inbox()
    tested.put("trades", trades(50), 50)
    assert (tested.n_rows, tested.n_dropped) == (50, 0)


def test_a_replay_waits_until_there_is_room_and_no_longer_than_somebody_takes():
    tested = inbox(can_wait=True)
    tested.open()
    tested.put("trades", trades(8), 8)
    feeder = threading.Thread(target=tested.put, args=("trades", trades(5), 5))
    feeder.start()
    feeder.join(0.1)
    assert feeder.is_alive()
    tested.take()
    feeder.join(5)
    assert (tested.n_rows, tested.n_dropped) == (5, 0)
    second = threading.Thread(target=tested.put, args=("trades", trades(9), 9))
    second.start()
    tested.close()
    second.join(5)
    assert not second.is_alive()
    assert tested.n_dropped == 9


def test_it_is_idle_only_when_what_was_taken_is_applied_too():
    tested = inbox()
    assert tested.is_idle
    tested.put("time", 1)
    assert not tested.is_idle
    tested.take()
    assert not tested.is_idle
    tested.rest()
    assert tested.is_idle


def test_what_happens_now_is_never_behind_history():
    tested = inbox()
    tested.put_history("past", "last year")
    tested.put_history("past", "the year before")
    tested.put("trades", trades(3), 3)
    assert tested.take().kind == "trades"
    assert tested.take() is None
    assert [tested.take(history=True).payload for _ in range(2)] == ["last year", "the year before"]
    assert tested.take(history=True) is None


def test_who_reads_history_waits_while_the_line_is_long_and_not_when_nobody_takes():
    tested = inbox()
    for k in range(2 * MAX_HISTORY):
        tested.put_history("past", k)  # nobody takes: a hub that is pumped by hand
    assert len(tested) == 2 * MAX_HISTORY
    tested.open()
    reader = threading.Thread(target=tested.put_history, args=("past", "one more"))
    reader.start()
    for k in range(MAX_HISTORY + 1):
        reader.join(0.01)
        assert reader.is_alive()
        assert tested.take(history=True).payload == k
        tested.rest()
    reader.join(5)
    assert not reader.is_alive()
