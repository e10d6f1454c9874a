"""Which of two bars of a minute stands: by rule, not by arrival."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stubs import MIN, TEN, bar, bars
from workbench.hub.merge import replaces, winners
from workbench.hub.rollup import Roller, rollup
from workbench.sessions import SessionCalendar
from workbench.types import BarSource

KINDS = (BarSource.SIMULATED, BarSource.FILE, BarSource.REST, BarSource.TRADES, BarSource.PROVIDER)  # ever better witnesses


def settle(rows):
    """Merge bars of one minute in the order given."""
    held = rows[0]
    for row in rows[1:]:
        if replaces(row, held)[0]:
            held = row
    return held


@pytest.mark.parametrize(("worse", "better"), list(itertools.combinations(KINDS, 2)))
def test_at_the_same_volume_the_better_witness_stands_whoever_came_first(worse, better):
    low, high = bar(source=worse, close=99.0), bar(source=better, close=101.0)
    assert settle([low, high])["close"][0] == settle([high, low])["close"][0] == 101.0


def test_a_bar_of_the_same_kind_sent_again_replaces_the_earlier_even_with_less_volume():
    first, corrected = bar(source=BarSource.PROVIDER, volume=500.0), bar(source=BarSource.PROVIDER, volume=400.0)
    assert settle([first, corrected])["volume"][0] == 400.0


def test_history_that_saw_more_prints_is_the_later_state_of_the_minute():
    live, history = bar(volume=100.0), bar(volume=150.0, source=BarSource.REST)
    assert settle([live, history])["volume"][0] == settle([history, live])["volume"][0] == 150.0


def test_a_half_seen_minute_never_replaces_a_whole_one_and_gives_way_to_it():
    half, whole = bar(is_complete=0, volume=900.0, source=BarSource.PROVIDER), bar(volume=100.0, source=BarSource.REST)
    assert settle([half, whole])["volume"][0] == settle([whole, half])["volume"][0] == 100.0


@given(st.data())
def test_any_order_of_arrival_of_ever_fuller_bars_of_every_kind_ends_the_same(data):
    kinds = data.draw(st.lists(st.sampled_from(KINDS), unique=True, min_size=2))
    streams = []
    for kind in kinds:  # one kind's own bars come in their own order, each with at least the volume of the one before
        volumes = sorted(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
        streams.append([bar(source=kind, volume=float(v), close=float(int(kind) * 10 + v)) for v in volumes])
    ends = set()
    for _ in range(4):
        turns = data.draw(st.permutations([i for i, stream in enumerate(streams) for _ in stream]))
        places = [iter(stream) for stream in streams]
        ends.add(float(settle([next(places[i]) for i in turns])["close"][0]))
    assert len(ends) == 1


def test_float_noise_in_a_volume_does_not_make_history_the_fuller_witness():
    total = sum([0.1] * 10)  # 0.9999999999999999
    assert settle([bar(volume=total), bar(volume=1.0, source=BarSource.REST)])["source"][0] == BarSource.TRADES


def test_winners_lets_new_minutes_in_and_keeps_better_ones():
    held = np.concatenate([bar(TEN, 100.0), bar(TEN + 60_000_000_000, 101.0)])
    new = bars([TEN - 60_000_000_000, TEN, TEN + 120_000_000_000])
    new["volume"] = 1.0
    assert winners(new, held)["ts_open"].tolist() == [TEN - 60_000_000_000, TEN + 120_000_000_000]


@pytest.mark.parametrize(("worse", "better"), list(itertools.combinations((BarSource.UNKNOWN, *KINDS), 2)))
def test_a_rolled_bar_is_named_after_the_part_that_merging_trusts_less(worse, better):
    """One order for both: a five-minute bar never claims a better witness than the worst of its minutes."""
    calendar = SessionCalendar.xnys()
    for first, second in ((worse, better), (better, worse)):
        minutes = np.concatenate([bar(TEN, source=first), bar(TEN + MIN, source=second)])
        assert rollup(minutes, "5m", calendar)["source"].tolist() == [worse]
        roller = Roller(calendar)
        roller.add(minutes)
        assert roller.partials(minutes[:0])["5m"]["source"].tolist() == [worse]
