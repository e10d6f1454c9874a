"""What the health strip says in each state of the feed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from tests.stubs import MIN, OPEN, SEC, TEN, go, live, play, prints, quotes, replayed
from workbench.hub.health import LATENCY_KEPT, FeedNotes, LatencyBook, Mode, decide
from workbench.sessions import Segment, ny_ns
from workbench.sources.base import FeedState, FeedStatus, SourceInfo

GOOD = FeedNotes(FeedStatus(FeedState.LIVE, "fine", TEN), SourceInfo("x", "y"), Segment.RTH, TEN, TEN, 15.0, 0, 0, 0)


def status(state: FeedState) -> FeedStatus:
    return FeedStatus(state, state.value, TEN)


@pytest.mark.parametrize(
    ("over", "mode"),
    [
        ({}, Mode.LIVE),
        ({"backfilling": 2}, Mode.BACKFILLING),
        ({"gaps": 1}, Mode.DEGRADED),
        ({"errors": 1}, Mode.DEGRADED),
        ({"quiet_since_ns": TEN - 16 * SEC}, Mode.STALE),
        ({"quiet_since_ns": TEN - 16 * SEC, "segment": Segment.AH}, Mode.LIVE),
        ({"quiet_since_ns": None}, Mode.LIVE),
        ({"segment": Segment.CLOSED, "quiet_since_ns": 1}, Mode.CLOSED),
        ({"status": status(FeedState.IDLE)}, Mode.STARTING),
        ({"status": status(FeedState.CONNECTING)}, Mode.STARTING),
        ({"status": status(FeedState.RECONNECTING)}, Mode.DEGRADED),
        ({"status": status(FeedState.STALE)}, Mode.STALE),
        ({"status": status(FeedState.ENDED)}, Mode.STALE),
        ({"status": status(FeedState.PAUSED)}, Mode.REPLAY),
        ({"status": status(FeedState.REFUSED), "segment": Segment.CLOSED}, Mode.REFUSED),
        ({"info": SourceInfo("x", "y", is_replay=True), "segment": Segment.CLOSED}, Mode.REPLAY),
        ({"info": SourceInfo("x", "y", is_replay=True), "status": status(FeedState.REFUSED)}, Mode.REFUSED),
        ({"status": status(FeedState.RECONNECTING), "segment": Segment.CLOSED}, Mode.DEGRADED),
        ({"status": status(FeedState.STALE), "gaps": 3, "backfilling": 1}, Mode.STALE),
    ],
)
def test_the_worst_true_state_wins(over, mode):
    told, reason = decide(replace(GOOD, **over))
    assert told is mode
    assert isinstance(reason, str)
    assert mode is Mode.LIVE or reason


def test_age_and_latency_are_measured():
    hub, _, clock = live()
    hub.watch("SPY")
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)], latency_ns=250_000_000))
    go(hub, clock, TEN + 2 * SEC)
    clock.ns = TEN + 5 * SEC
    health = hub.health()
    assert (health.age_s, health.latency_p50_ms, health.n_events) == (3.0, 250.0, 1)
    assert hub.health("SPY").age_s == 4.0  # of its own last print


def test_percentiles_are_those_of_the_newest_frames():
    book = LatencyBook()
    assert book.percentiles() == (None, None)
    for k in range(LATENCY_KEPT + 1000):
        book.note(TEN, TEN + k * 1_000_000)
    book.note(TEN, 0)  # no receipt stamp: says nothing
    newest = np.arange(1000, LATENCY_KEPT + 1000)
    assert book.percentiles() == pytest.approx(np.percentile(newest, (50, 95)))


def test_percentiles_are_counted_a_few_times_a_second_however_many_ask(monkeypatch):
    counted = []
    monkeypatch.setattr(np, "percentile", lambda data, q: counted.append(1) or np.zeros(2))
    book = LatencyBook()
    for k in range(500):
        book.note(TEN, TEN + k)
        book.percentiles()
    assert len(counted) < 5


def test_silence_from_the_start_of_the_connection_is_noticed():
    hub, _, clock = live()
    hub.watch("SPY")
    go(hub, clock, TEN + 14 * SEC)
    assert hub.health().mode is not Mode.STALE
    go(hub, clock, TEN + 16 * SEC)
    assert hub.health().mode is Mode.STALE


def test_a_quiet_minute_before_the_bell_does_not_make_the_first_second_stale():
    hub, _, clock = live(OPEN - 5 * MIN)
    hub.watch("SPY")
    hub.on_trades(prints([(OPEN - 4 * MIN, 100.0, 100)]))
    go(hub, clock, OPEN - 4 * MIN)
    clock.ns = OPEN + SEC
    assert hub.health().mode is not Mode.STALE
    clock.ns = OPEN + 16 * SEC
    assert hub.health().mode is Mode.STALE


def test_nothing_watched_is_not_stale():
    hub, _, clock = live()
    go(hub, clock, TEN + 10 * MIN)
    assert hub.health().mode is Mode.LIVE


def test_quotes_alone_keep_a_feed_alive():
    hub, _, clock = live()
    hub.watch("SPY")
    go(hub, clock, TEN + 60 * SEC)
    hub.on_quotes(quotes([(TEN + 60 * SEC, 1.0, 2.0)]))
    go(hub, clock, TEN + 61 * SEC)
    assert hub.health().mode is not Mode.STALE


def test_closed_at_night_and_on_a_holiday():
    for moment in (ny_ns(date(2026, 11, 18), 22), ny_ns(date(2026, 11, 26), 11)):
        hub, _, _ = live(moment)
        hub.watch("SPY")
        hub.pump()
        assert hub.health().mode is Mode.CLOSED


def test_a_replay_says_so_even_at_night():
    hub, _ = replayed(ny_ns(date(2026, 11, 18), 22))
    assert hub.health().mode is Mode.REPLAY


def test_a_refused_key_is_told_in_words():
    hub, source, _ = live()
    source.sink.on_status(FeedStatus(FeedState.REFUSED, "the key was refused: enter another", TEN))
    hub.pump()
    assert (hub.health().mode, hub.health().reason) == (Mode.REFUSED, "the key was refused: enter another")


def test_health_is_plain_values_and_escaped_html():
    hub, _ = replayed()
    hub.on_reject("<script>", "SPY", b"\xff{", TEN)
    play(hub, prints([]))
    health = hub.health()
    assert health.to_dict()["mode"] == "REPLAY"
    assert health.to_dict()["segment"] == "RTH"
    assert health.n_quarantined == 1
    assert "&lt;script&gt;" in health._repr_html_()
    assert "<script>" not in health._repr_html_()
