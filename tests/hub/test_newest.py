"""The newest print of each symbol: by stamp, not by arrival."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stubs import TEN, prints, quotes
from workbench.hub.newest import NewestRows
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 50)), max_size=20), max_size=12))
def test_it_is_what_a_plain_dict_says(batches):
    tested, truth, count = NewestRows(TRADE_DTYPE), {}, 0
    for batch in batches:
        rows = np.concatenate([prints([(TEN + ts, 100.0, 1)], symbol_id=sid) for sid, ts in batch] or [prints([])])
        rows["sequence"] = np.arange(count, count + len(rows))
        count += len(rows)
        tested.put(rows, 41)
        for row in rows:
            held = truth.get(int(row["symbol_id"]))
            if held is None or row["ts_event"] >= held["ts_event"]:
                truth[int(row["symbol_id"])] = row.copy()
    for sid in range(60):
        row = tested.get(sid)
        assert (row is None) == (sid not in truth)
        assert row is None or row.tobytes() == truth[sid].tobytes()
    tested.clear()
    assert tested.get(0) is None
    assert tested.get(None) is None


def test_rows_of_many_symbols_are_copies_and_blank_where_nothing_was_heard():
    newest = NewestRows(QUOTE_DTYPE)
    count = newest.n_put
    newest.put(quotes([(5, 1.0, 1.1)], symbol_id=3), 4)
    assert newest.n_put == count + 1
    rows = newest.rows(np.array([3, -1, 2, 99]))
    assert rows["ts_event"].tolist() == [5, 0, 0, 0]
    rows["bid"] = 7.0
    assert newest.get(3)["bid"] == 1.0
    newest.clear()
    assert newest.n_put == count + 2 and not newest.rows(np.array([3]))["ts_event"].any()
