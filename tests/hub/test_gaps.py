"""The ledger of what the feed did not wholly see."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.stubs import MIN, TEN, bar
from workbench.hub.gaps import MAX_AWAY, GapBook

spans = st.tuples(st.integers(0, 40), st.integers(1, 15)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(st.tuples(st.booleans(), spans), max_size=30))
def test_open_spans_are_what_was_opened_less_what_was_proved(script):
    book, truth = GapBook(), set()
    for opens, (a, b) in script:
        if opens:
            book.open("SPY", a, b, "why")
            truth |= set(range(a, b))
        else:
            book.repair("SPY", a, b)
            truth -= set(range(a, b))
        told = [k for gap in book.all() for k in range(gap.start_ns, gap.end_ns)]
        assert sorted(told) == sorted(truth)  # nothing twice
    assert book.count() == book.count("SPY") == len(book.all())


@given(st.lists(spans, max_size=20), st.integers(0, 60))
def test_a_minute_is_marked_when_any_missed_span_touches_it(missed, minute):
    book = GapBook()
    for a, b in missed:
        book.miss("SPY", TEN + a * MIN, TEN + b * MIN)
    row = bar(TEN + minute * MIN)
    book.mark("SPY", row)
    assert row["is_complete"][0] == (not any(a <= minute < b for a, b in missed))


def test_a_repair_does_not_make_prints_seen_that_were_not():
    book = GapBook()
    book.away("SPY", TEN, TEN + MIN, "lost")
    book.repair("SPY", TEN, TEN + MIN)
    row = bar(TEN)
    book.mark("SPY", row)
    assert book.all() == ()
    assert row["is_complete"][0] == 0
    assert book.n_repaired == 1


def test_other_symbols_are_not_touched():
    book = GapBook()
    book.away("SPY", TEN, TEN + MIN, "lost")
    row = bar(TEN)
    book.mark("QQQ", row)
    assert row["is_complete"][0] == 1
    assert (book.count("QQQ"), book.overdue(TEN + 9 * MIN, "QQQ"), book.overdue(TEN + 9 * MIN)) == (0, 0, 1)


def test_a_feed_that_flaps_for_days_does_not_grow_the_ledger_without_end():
    book = GapBook()
    for k in range(5 * MAX_AWAY):
        book.miss("SPY", TEN + 2 * k * MIN, TEN + (2 * k + 1) * MIN)
    newest = bar(TEN + 2 * (5 * MAX_AWAY - 1) * MIN)
    book.mark("SPY", newest)
    assert newest["is_complete"][0] == 0
    assert len(book._away["SPY"]) == MAX_AWAY


def test_a_reset_forgets():
    book = GapBook()
    book.away("SPY", TEN, TEN + MIN, "lost")
    book.clear()
    rows = np.concatenate([bar(TEN)])
    book.mark("SPY", rows)
    assert (book.all(), rows["is_complete"].tolist()) == ((), [1])


def test_why_history_was_given_up_stays_known_when_another_gap_joins_and_goes_with_the_repair():
    book = GapBook()
    book.open("SPY", TEN, TEN + 5 * MIN, "plan", failure="plan", is_hopeless=True)
    book.away("SPY", TEN + 5 * MIN, TEN + 6 * MIN, "lost")
    assert [gap.failure for gap in (book.failed(), book.failed("SPY"))] == ["plan", "plan"]
    assert book.failed("QQQ") is None
    book.repair("SPY", TEN, TEN + 6 * MIN)
    assert book.failed() is None
