"""The ring against a list that forgets its head."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.hub.ring import Ring
from workbench.types import BAR_DTYPE

NUMBERS = np.dtype([("a", "i8"), ("b", "f8")])


def rows_from(start, n):
    out = np.zeros(n, NUMBERS)
    out["a"] = np.arange(start, start + n)
    return out


@settings(deadline=None, max_examples=300)
@given(capacity=st.integers(1, 12), steps=st.lists(st.one_of(st.just("append"), st.just("clear"), st.integers(0, 60)), max_size=40))
def test_the_ring_holds_the_newest_rows_oldest_first(capacity, steps):
    ring, oracle, count = Ring(capacity, NUMBERS), [], 0
    for step in steps:
        version = ring.version
        if step == "append":
            ring.append(rows_from(count, 1)[0])
            oracle.append(count)
            count += 1
        elif step == "clear":
            ring.clear()
            oracle.clear()
        else:
            ring.extend(rows_from(count, step))
            oracle.extend(range(count, count + step))
            count += step
        oracle = oracle[-capacity:]
        assert ring.view()["a"].tolist() == oracle
        assert len(ring) == len(oracle)
        assert ring.version > version or step == 0


def test_a_view_is_one_slice_without_a_copy():
    ring = Ring(100, BAR_DTYPE)
    for _ in range(1000):
        ring.append(np.zeros(1, BAR_DTYPE))
    view = ring.view()
    assert view.flags.c_contiguous
    assert view.base is not None
    assert len(view) == 100


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_row_may_come_as_a_record_or_as_an_array_of_one(shape):
    ring = Ring(3, NUMBERS)
    row = np.zeros(shape, NUMBERS)
    row["a"], row["b"] = 7, np.pi
    ring.append(row)
    ring.append(row[()] if shape == () else row[0])
    assert ring.view().tolist() == [(7, np.pi)] * 2


def test_a_ring_without_room_is_refused():
    with pytest.raises(ValueError, match="capacity: received 0"):
        Ring(0, NUMBERS)


def test_a_row_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="row: received"):
        Ring(3, NUMBERS).append(np.zeros(1, BAR_DTYPE))
