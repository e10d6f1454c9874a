"""What is let through and what is put aside: every print is one or the other, and a true jump costs nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stubs import MIN, OPEN, SEC, TEN, bar, bars, prints, quotes, tape
from workbench.hub.clean import MAX_NAMES, Quarantine, TradeCleaner, clean_bars, clean_quotes
from workbench.sessions import SessionCalendar
from workbench.types import TRADE_DTYPE, SymbolTable

SESSIONS = SessionCalendar.xnys().sessions


def cleaner(*symbols: str) -> tuple[TradeCleaner, Quarantine]:
    quarantine = Quarantine()
    return TradeCleaner(SymbolTable(symbols or ("SPY",)), quarantine), quarantine


def run(rows, *symbols):
    one, quarantine = cleaner(*symbols)
    return one.clean(rows, TEN + MIN), quarantine.counts()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((TEN, 0.0, 100), "price not a number above 0"),
        ((TEN, -3.0, 100), "price not a number above 0"),
        ((TEN, np.nan, 100), "price not a number above 0"),
        ((TEN, np.inf, 100), "price not a number above 0"),
        ((TEN, 100.0, -1), "negative or missing size"),
        ((TEN, 100.0, np.nan), "negative or missing size"),
        ((1_000, 100.0, 100), "stamp in the future or before 1990"),  # a stamp in µs or ms
        ((TEN, 100.0, 100, 499), "unknown sale condition"),
        ((TEN, 100.0, 100, -7), "unknown sale condition"),
    ],
)
def test_an_impossible_print_is_put_aside_with_its_reason(row, reason):
    kept, counts = run(prints([row]))
    assert (len(kept), counts) == (0, {reason: 1})


def test_a_stamp_far_after_its_receipt_is_put_aside():
    kept, counts = run(prints([(TEN, 100.0, 100)], latency_ns=-61 * SEC))
    assert (len(kept), counts) == (0, {"stamp in the future or before 1990": 1})


def test_the_same_print_twice_counts_once_by_sequence_or_by_id():
    rows = prints([(TEN, 100.0, 100), (TEN + 1, 100.0, 100)])
    named = rows.copy()
    named["sequence"], named["id"] = 0, [b"a", b"b"]
    for some in (rows, named):
        kept, counts = run(np.concatenate([some, some, some[:1]]))
        assert kept["ts_event"].tolist() == [TEN, TEN + 1]
        assert counts == {"duplicate print": 3}


def test_prints_without_sequence_or_id_are_never_called_duplicates():
    rows = prints([(TEN, 100.0, 100)] * 4)
    rows["sequence"] = 0
    assert len(run(rows)[0]) == 4


def test_one_bad_tick_is_put_aside():
    kept, counts = run(prints([(TEN + k, 100.0, 100) for k in range(3)] + [(TEN + 5, 150.0, 100), (TEN + 6, 100.1, 100)]))
    assert kept["price"].tolist() == [100.0, 100.0, 100.0, 100.1]
    assert counts == {"price far from the market": 1}


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_a_true_jump_is_let_through_whole_once_three_prints_agree(chunk):
    rows = prints([(TEN + k, 100.0, 100) for k in range(3)] + [(TEN + 10 + k, 150.0 + k / 10, 100) for k in range(5)])
    one, quarantine = cleaner()
    kept = np.concatenate([one.clean(rows[k : k + chunk], TEN) for k in range(0, len(rows), chunk)])
    assert sorted(kept["sequence"].tolist()) == rows["sequence"].tolist()
    assert quarantine.counts() == {}


def test_after_two_quiet_minutes_any_level_is_believed():
    assert len(run(prints([(TEN, 100.0, 100), (TEN + 121 * SEC, 150.0, 100)]))[0]) == 2


def test_an_option_may_jump_by_what_options_jump():
    kept, counts = run(prints([(TEN, 1.00, 1), (TEN + 1, 1.55, 1), (TEN + 2, 2.40, 1)]), "O:SPY261218P00600000")
    assert (len(kept), counts) == (3, {})


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=80, max_size=80 * 12))
def test_any_bytes_are_split_into_accepted_and_counted(raw):
    rows = np.frombuffer(raw[: len(raw) // 80 * 80], TRADE_DTYPE).copy()
    one, quarantine = cleaner("SPY", "QQQ")
    kept = one.clean(rows, TEN)
    assert len(kept) + len(quarantine) == len(rows)
    assert ((kept["price"] > 0) & np.isfinite(kept["price"]) & (kept["size"] >= 0)).all()
    assert np.isin(kept["symbol_id"], (0, 1)).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 95), max_size=10), st.floats(0.0, 0.3))
def test_in_equals_out_plus_put_aside_for_any_chunking(seed, cuts, share):
    rows = tape(seed)
    rng = np.random.default_rng(seed)
    rows["price"] *= np.where(rng.random(len(rows)) < share, rng.choice([0.5, 1.0, 2.0], len(rows)), 1.0)
    answers = []
    for edges in ([0, len(rows)], [0, *sorted(set(cuts)), len(rows)]):
        one, quarantine = cleaner()
        kept = np.concatenate([one.clean(rows[a:b].copy(), TEN) for a, b in itertools.pairwise(edges)])
        assert len(kept) + len(quarantine) == len(rows)
        answers.append((sorted(kept["sequence"].tolist()), quarantine.counts()))
    assert answers[0] == answers[1]


def test_a_reset_forgets_prices_and_prints_seen():
    one, quarantine = cleaner()
    rows = prints([(TEN, 100.0, 100)])
    one.clean(rows, TEN)
    one.reset()
    assert len(one.clean(rows, TEN)) == 1
    assert len(one.clean(prints([(TEN, 100.0, 100)], first_sequence=7), TEN)) == 1
    assert quarantine.counts() == {}


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        (100.1, 100.0, "crossed quote"),
        (0.0, 0.0, "quote without a side"),
        (-1.0, 100.0, "price not a number above 0"),
        (np.inf, 100.0, "price not a number above 0"),
    ],
)
def test_a_quote_that_cannot_be_is_put_aside(bid, ask, reason):
    quarantine = Quarantine()
    assert len(clean_quotes(quotes([(TEN, bid, ask)]), SymbolTable(["SPY"]), quarantine)) == 0
    assert quarantine.counts("SPY") == {reason: 1}


def test_a_quote_with_one_side_keeps_it():
    kept = clean_quotes(quotes([(TEN, 0.0, 100.0)]), SymbolTable(["SPY"]), Quarantine())
    assert np.isnan(kept["bid"][0])
    assert kept["ask"][0] == 100.0


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"low": np.nan}, "bar with a price that is no number above 0"),
        ({"low": 0.0}, "bar with a price that is no number above 0"),
        ({"high": 99.0}, "bar whose range does not hold its open and close"),
        ({"low": 101.0}, "bar whose range does not hold its open and close"),
        ({"volume": -1.0}, "bar with a volume that is no number from 0"),
        ({"volume": np.nan}, "bar with a volume that is no number from 0"),
        ({"ts_open": TEN + 1}, "bar that is no whole minute"),
        ({"is_partial": 1}, "bar that is not closed yet"),
        ({"ts_open": TEN + 90 * MIN, "ts_close": TEN + 91 * MIN}, "bar that is not closed yet"),
        ({"ts_open": OPEN - 400 * MIN, "ts_close": OPEN - 399 * MIN}, "bar outside trading hours"),
    ],
)
def test_a_providers_bar_that_cannot_be_is_put_aside(over, reason):
    quarantine = Quarantine()
    assert len(clean_bars(bar(**over), "SPY", SESSIONS, TEN + MIN, quarantine)) == 0
    assert quarantine.counts("SPY") == {reason: 1}


def test_a_providers_bars_come_out_in_order_and_the_later_of_two_stands():
    rows = np.concatenate([bar(TEN + MIN), bar(TEN, 99.0), bar(TEN, 98.0)])
    kept = clean_bars(rows, "SPY", SESSIONS, TEN + 5 * MIN, Quarantine())
    assert (kept["ts_open"].tolist(), kept["close"].tolist()) == ([TEN, TEN + MIN], [98.0, 100.0])


def test_good_bars_pass_untouched():
    rows = bars(range(OPEN, TEN, MIN))
    assert clean_bars(rows, "SPY", SESSIONS, TEN, Quarantine()) is not None
    assert clean_bars(rows, "SPY", SESSIONS, TEN, Quarantine()).tobytes() == rows.tobytes()


def test_quarantine_keeps_the_newest_and_counts_all():
    quarantine = Quarantine(keep=3)
    for k in range(5):
        quarantine.put("broken", "SPY", k, "x" * 500)
    assert [q.ts_recv for q in quarantine] == [2, 3, 4]
    assert len(quarantine.recent()[0].raw) == 200
    assert (len(quarantine), quarantine.counts("SPY"), quarantine.counts("QQQ")) == (5, {"broken": 5}, {})


def test_garbage_with_ever_new_names_does_not_grow_the_books_without_end():
    quarantine = Quarantine()
    for k in range(MAX_NAMES + 50):
        quarantine.put("broken", f"S{k}", k, "")
    assert len(quarantine._by_symbol) == MAX_NAMES + 1
    assert quarantine.counts() == {"broken": MAX_NAMES + 50}
