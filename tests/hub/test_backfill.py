"""History reads: one at a time per symbol, never twice, tried again, never put off for ever."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests.stubs import MIN, TEN
from workbench.clock import sleep_s
from workbench.errors import AuthError, HistoryError, SymbolError
from workbench.hub.backfill import Backfiller
from workbench.sources.base import History


class Desk:
    """A backfiller with a scripted fetch and a market clock."""

    def __init__(self, **over) -> None:
        self.now, self.asked, self.told, self.errors = TEN, [], [], []
        self.is_complete = True
        self.backfiller = Backfiller(self.fetch, self.told.append, lambda: self.now, retry_s=0.0, **over)

    def fetch(self, symbol, start, end):
        self.asked.append((symbol, start, end))
        if self.errors:
            raise self.errors.pop(0)
        return History.empty(is_complete=self.is_complete)

    def want(self, start, end, symbol="SPY", **over):
        self.backfiller.want(symbol, start, end, **{"epoch": 0, **over})


def test_spans_that_overlap_are_read_once():
    desk = Desk()
    desk.want(0, 10)
    desk.want(5, 20)
    desk.want(7, 8)
    assert desk.backfiller.run_due() == 1
    assert desk.asked == [("SPY", 0, 20)]


def test_spans_apart_are_read_apart_newest_first():
    desk = Desk()
    for start in (0, 100, 50):
        desk.want(start, start + 10)
    desk.backfiller.run_due()
    assert [start for _, start, _ in desk.asked] == [100, 50, 0]


def test_an_empty_span_is_not_read():
    desk = Desk()
    desk.want(10, 10)
    assert desk.backfiller.run_due() == 0


def test_a_span_whose_minute_is_open_waits_for_its_end():
    desk = Desk()
    desk.want(0, 10, after_ns=TEN + MIN)
    assert (desk.backfiller.run_due(), desk.backfiller.pending(), desk.backfiller.due()) == (0, 1, 0)
    desk.now = TEN + MIN
    assert (desk.backfiller.due(), desk.backfiller.run_due()) == (1, 1)


def test_a_flapping_feed_does_not_put_its_repair_off_for_ever():
    desk, read = Desk(), 0
    for k in range(10):  # the line is lost again and again before the last gap's minute is over
        desk.now = TEN + k * MIN
        desk.want(desk.now - 15 * MIN, desk.now + MIN, after_ns=desk.now + MIN + 1)
        read += desk.backfiller.run_due()
    assert read >= 4


def test_old_history_does_not_wait_for_a_minute_that_is_still_open():
    desk = Desk()
    desk.want(TEN - 100 * MIN, TEN)
    desk.want(TEN - 15 * MIN, TEN + MIN, after_ns=TEN + MIN)
    assert desk.backfiller.run_due() == 1


def test_a_failed_read_is_tried_again_and_succeeds():
    desk = Desk()
    desk.errors = [HistoryError("down"), OSError("no network")]
    desk.want(0, 10)
    assert desk.backfiller.run_due() == 3
    assert [(o.history is None, o.is_final) for o in desk.told] == [(True, False), (True, False), (False, True)]


def test_a_read_that_cannot_prove_itself_complete_is_tried_again_up_to_the_limit():
    desk = Desk(max_attempts=3)
    desk.is_complete = False
    desk.want(0, 10)
    assert desk.backfiller.run_due() == 3
    assert [o.is_final for o in desk.told] == [False, False, True]


@pytest.mark.parametrize("error", [AuthError("plan"), SymbolError("who?")])
def test_a_read_that_cannot_succeed_is_given_up_at_once(error):
    desk = Desk()
    desk.errors = [error]
    desk.want(0, 10)
    assert desk.backfiller.run_due() == 1
    assert (desk.told[0].is_final, desk.told[0].is_hopeless, desk.told[0].error) == (True, True, error)


def test_why_a_read_failed_is_told_until_it_succeeds():
    desk = Desk()
    desk.backfiller._retry_s = 3600.0
    desk.errors = [HistoryError("down")]
    desk.want(0, 10)
    assert desk.backfiller.failure() == ""
    desk.backfiller.run_due()
    assert [desk.backfiller.failure(symbol) for symbol in ("SPY", "QQQ", None)] == ["down", "", "down"]
    desk.want(100, 110)
    desk.backfiller.run_due()
    assert desk.backfiller.failure("SPY") == "down", "another span of the symbol says nothing of this one"
    desk.backfiller._waiting[0] = replace(desk.backfiller._waiting[0], due_ns=0)
    desk.backfiller.run_due()
    assert desk.backfiller.failure() == ""


def test_pauses_between_tries_grow():
    desk = Desk()
    desk.backfiller._retry_s = 0.02
    desk.errors = [HistoryError("down")] * 3
    desk.want(0, 10)
    dues = []
    while desk.backfiller.pending():
        if desk.backfiller.run_due() and desk.backfiller._waiting:
            dues.append(desk.backfiller._waiting[0].due_ns)
        sleep_s(0.001)
    assert len(desk.asked) == 4
    assert dues == sorted(dues)


def test_one_symbol_is_read_by_one_worker_at_a_time_and_two_symbols_by_two():
    running, most, lock, both = {"SPY": 0, "QQQ": 0}, {"SPY": 0, "QQQ": 0}, threading.Lock(), threading.Barrier(2, timeout=10)

    def fetch(symbol, start, end):
        with lock:
            running[symbol] += 1
            most[symbol] = max(most[symbol], running[symbol])
        if start == 0:
            both.wait()  # passes only when both symbols are being read at once
        with lock:
            running[symbol] -= 1
        return History.empty()

    told: list = []
    backfiller = Backfiller(fetch, told.append, lambda: TEN)
    for start in (0, 100, 200):
        for symbol in ("SPY", "QQQ"):
            backfiller.want(symbol, start, start + 10, epoch=0)
    backfiller.start()
    while len(told) < 6:
        sleep_s(0.002)
    backfiller.stop()
    assert most == {"SPY": 1, "QQQ": 1}


def test_a_span_under_way_is_not_asked_for_again():
    desk = Desk()

    def fetch(symbol, start, end):
        desk.asked.append(start)
        if len(desk.asked) == 1:
            desk.want(2, 8)
            desk.want(2, 8, epoch=1)  # another epoch is another market
        return History.empty()

    desk.backfiller._fetch = fetch
    desk.want(0, 10)
    desk.backfiller.run_due()
    assert desk.asked == [0, 2]


def test_idle_means_delivered():
    seen: list[int] = []
    backfiller = Backfiller(lambda *_: History.empty(), lambda _: seen.append(backfiller.due()), lambda: TEN)
    backfiller.want("SPY", 0, 10, epoch=0)
    backfiller.run_due()
    assert seen == [1]
    assert backfiller.due() == 0


def test_what_waits_at_a_stop_is_read_after_the_next_start():
    desk = Desk()
    desk.backfiller.start()
    desk.backfiller.stop()
    desk.want(0, 10)
    assert desk.asked == []
    desk.backfiller.start()
    while not desk.told:
        sleep_s(0.002)
    desk.backfiller.stop()
    assert desk.asked == [("SPY", 0, 10)]
