"""The tape of accepted events: every reader gets each event once, in order, or is told how many it missed."""

from __future__ import annotations

import gc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stubs import TEN, quotes, replayed, tape
from workbench.hub.event_tape import EventTape
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE


def prints(first: int, n: int) -> np.ndarray:
    rows = np.zeros(n, TRADE_DTYPE)
    rows["sequence"] = np.arange(first, first + n)
    return rows


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "read"]), st.integers(0, 12)), max_size=60), st.integers(1, 20))
def test_what_a_reader_got_and_what_it_lost_are_all_there_was(script, capacity):
    tested = EventTape(capacity)
    cursor, given_so_far, got, lost = tested.cursor(), 0, [], 0
    for kind, n in [*script, ("read", 0)]:
        if kind == "add":
            tested.add_trades(prints(given_so_far, n))
            given_so_far += n
            continue
        events = cursor.read()
        lost += events.lost_trades
        assert events.trades["sequence"].tolist() == list(range(given_so_far - len(events.trades), given_so_far))
        got += events.trades["sequence"].tolist()
        assert cursor.has_news is False
    assert len(got) == len(set(got))
    assert len(got) + lost == given_so_far


def test_nothing_is_kept_while_nobody_reads_and_memory_goes_back_with_the_last_reader():
    tested = EventTape(100)
    tested.add_trades(prints(0, 50))
    assert not tested.is_open
    first, second = tested.cursor(), tested.cursor()
    tested.add_trades(prints(50, 5))
    assert first.read().trades["sequence"].tolist() == list(range(50, 55))
    first.close()
    assert tested.is_open
    del second
    gc.collect()
    tested.add_trades(prints(55, 5))
    assert not tested.is_open
    events = first.read()
    assert (len(events.trades), events.lost_trades) == (0, 5)
    assert tested.n_trades == 60


def test_a_reader_that_comes_later_starts_at_the_present():
    tested = EventTape(100)
    early = tested.cursor()
    tested.add_quotes(np.zeros(7, QUOTE_DTYPE))
    late = tested.cursor()
    tested.add_quotes(np.zeros(3, QUOTE_DTYPE))
    assert [len(cursor.read().quotes) for cursor in (early, late)] == [10, 3]


def test_events_of_a_market_that_is_told_anew_are_not_shown_again():
    tested = EventTape(100)
    cursor = tested.cursor()
    tested.add_trades(prints(0, 9))
    tested.reset()
    tested.add_trades(prints(100, 2))
    events = cursor.read()
    assert (events.trades["sequence"].tolist(), events.lost_trades) == ([100, 101], 9)


def test_the_hub_puts_on_its_tape_what_it_accepted_and_nothing_else():
    hub, _ = replayed(TEN)
    hub.watch("SPY")
    cursor = hub.tape.cursor()
    rows = tape(1)
    hub.source.clock.advance_to(int(rows["ts_recv"][-1]))
    sent = rows.copy()
    sent["price"][::5] = -1.0
    hub.on_trades(sent)
    hub.on_quotes(quotes([(TEN, 1.0, 2.0), (TEN + 1, 3.0, 2.0), (TEN + 2, 1.0, 2.0)]))
    hub.pump()
    events = cursor.read()
    assert events.trades["sequence"].tolist() == rows["sequence"][np.arange(len(rows)) % 5 != 0].tolist()
    assert events.quotes["ts_event"].tolist() == [TEN, TEN + 2]  # the crossed one is in quarantine
    hub.on_reset("moved back")
    hub.pump()
    assert len(cursor.read().trades) == 0
