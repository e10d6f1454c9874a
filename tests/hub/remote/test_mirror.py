"""A mirrored series is the series: same rows to the byte, same numbers, and cursors that are told what they missed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stubs import MIN, TEN, bar, bars
from workbench.hub.remote.mirror import MirroredSeries
from workbench.hub.series import Numbering, Series
from workbench.types import BAR_DTYPE, Timeframe

MINUTE = Timeframe.parse("1m")
NONE = np.zeros(0, BAR_DTYPE)


def load(mirror, series, upto):
    """Have the mirror take a snapshot, as the service tells it."""
    told = series.snapshot()
    rows = told.rows[told.rows["seq"] <= upto]
    mirror.load(rows, NONE if told.forming is None else told.forming, epoch=series.epoch, seq=min(series.seq, upto), upto=upto)


def follow(mirror, series, numbering):
    """Have the mirror told what is new, from where it stands; again what it knows already, as a resumed stream may."""
    upto = numbering.seq
    told = series.since(numbering.epoch, max(0, mirror.upto - 3))
    if told.is_gap or series.epoch != mirror.epoch:
        load(mirror, series, upto)
    else:
        mirror.take(told.rows)
        mirror.set_forming(told.forming)
        mirror.told_up_to(series.epoch, upto)


def assert_same(mirror, series):
    mine, told = mirror.snapshot(), series.snapshot()
    assert mine.rows.tobytes() == told.rows.tobytes()
    assert (mine.forming is None) == (told.forming is None)
    assert mine.forming is None or mine.forming.tobytes() == told.forming.tobytes()
    assert (mine.seq, mine.epoch) == (told.seq, told.epoch) or not len(told.rows)


def change(series, other, numbering, kind, at):
    """Do one thing to the hub's series; `other` draws numbers in between, as the rest of a hub does."""
    start = TEN + at * MIN
    if kind == "append":
        last = series.last_ns
        series.append(bar(TEN if last is None else last + MIN, 100.0 + at)[0])
    elif kind == "history":
        series.upsert(bars(range(start, start + 5 * MIN, MIN), seed=at))
    elif kind == "revise":
        series.upsert(bar(start, 50.0 + at))
    elif kind == "forming":
        series.set_forming(bar((series.last_ns or TEN) + MIN, is_partial=1))
    elif kind == "other":
        other.append(bar(start, 1.0)[0])
    elif kind == "remove":
        series.remove(series.rows()["ts_open"][at % 5 :: 5])
    elif kind == "reset":
        series.reset()
    else:
        numbering.epoch += 1
        series.reset()


CHANGES = st.tuples(
    st.sampled_from(["append", "append", "history", "revise", "forming", "other", "remove", "reset", "epoch"]),
    st.integers(0, 40),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CHANGES, max_size=40))
def test_a_mirror_is_the_series_to_the_byte_after_any_changes(changes):
    numbering = Numbering(100)
    series, other = Series("SPY", MINUTE, 20, numbering), Series("QQQ", MINUTE, 20, numbering)
    mirror = MirroredSeries("SPY", MINUTE, 20)
    load(mirror, series, numbering.seq)
    cursor, held = mirror.cursor(), {}
    for kind, at, is_told in changes:
        change(series, other, numbering, kind, at)
        if is_told:
            follow(mirror, series, numbering)
            assert_same(mirror, series)
            read = cursor.read()
            held = {} if read.is_gap else held
            held.update({int(row["ts_open"]): row.tobytes() for row in read.rows})
            newest = sorted(held)[-20:]
            assert [held[ts] for ts in newest] == [row.tobytes() for row in series.rows()]


def test_a_change_that_comes_twice_is_taken_once():
    mirror = MirroredSeries("SPY", MINUTE, 20)
    rows = bars([TEN, TEN + MIN])
    rows["seq"] = [4, 9]
    mirror.load(rows[:1], NONE, epoch=1, seq=4, upto=5)
    assert mirror.take(rows) == 1
    assert mirror.take(rows) == 0
    assert mirror.rows().tobytes() == rows.tobytes()


def test_what_is_held_stays_readable_until_the_new_snapshot_is_here():
    mirror = MirroredSeries("SPY", MINUTE, 20)
    cursor = mirror.cursor()
    mirror.load(bar(seq=4), NONE, epoch=1, seq=4, upto=5)
    assert cursor.read().is_gap
    mirror.forget()
    assert (len(mirror), cursor.has_news) == (1, False)
    mirror.load(bar(seq=2), NONE, epoch=2, seq=2, upto=2)
    told = cursor.read()
    assert (told.is_gap, told.epoch, len(told.rows)) == (True, 2, 1)


def test_a_snapshot_that_says_nothing_new_is_no_gap_to_a_reader():
    mirror = MirroredSeries("SPY", MINUTE, 20)
    cursor = mirror.cursor()
    for _ in range(2):
        mirror.load(bar(seq=4), NONE, epoch=1, seq=4, upto=9)
        told = cursor.read()
    assert (told.is_gap, len(told.rows)) == (False, 0)


@pytest.mark.parametrize("epoch", [1, 2])
def test_numbers_of_another_life_of_the_hub_do_not_count(epoch):
    mirror = MirroredSeries("SPY", MINUTE, 20)
    mirror.told_up_to(1, 50)
    assert mirror.upto is None
    mirror.load(bar(seq=4), NONE, epoch=1, seq=4, upto=5)
    mirror.told_up_to(epoch, 8)
    assert mirror.upto == (8 if epoch == 1 else 5)
