"""What the health strip says in each state of the feed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from tests.stubs import MIN, OPEN, SEC, TEN, bar, go, live, play, prints, quotes, replayed
from workbench.errors import AuthError, HistoryError
from workbench.hub.gaps import OpenGap
from workbench.hub.health import LATENCY_KEPT, FeedNotes, LatencyBook, Mode, Rhythm, decide, history_trouble, suspicious_s
from workbench.sessions import Segment, SessionCalendar, ny_ns
from workbench.sources.base import FeedState, FeedStatus, SourceInfo

YESTERDAY = ny_ns(date(2026, 11, 17), 9, 30)
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
        ({"quiet_since_ns": TEN - 16 * SEC, "usual_pause_s": 0.1}, Mode.STALE),
        ({"quiet_since_ns": TEN - 16 * SEC, "usual_pause_s": 20.0}, Mode.LIVE),
        ({"quiet_since_ns": TEN - 300 * SEC, "usual_pause_s": 20.0}, Mode.STALE),
        ({"quiet_since_ns": TEN - 3600 * SEC, "usual_pause_s": float("inf")}, Mode.LIVE),
        ({"quiet_since_ns": TEN - 16 * SEC, "usual_pause_s": 20.0, "status": status(FeedState.STALE)}, Mode.STALE),
        ({"quiet_since_ns": TEN - 16 * SEC, "usual_pause_s": 20.0, "gaps": 1}, Mode.DEGRADED),
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


@pytest.mark.parametrize(("usual_s", "longest_s"), [(0.97, 51.2), (0.60, 22.0), (9.7, 90.2), (6.0, 46.8), (97.0, 339.5), (60.0, 174.0)])
def test_the_longest_pauses_of_recorded_days_are_not_taken_for_a_dead_feed(usual_s, longest_s):
    """IBM on 2013-10-07 and a symbol on 2018-01-02, every print, every tenth, every hundredth."""
    assert longest_s < suspicious_s(15.0, usual_s) < 60 * usual_s + 1


def test_what_trades_often_is_missed_after_the_shortest_silence():
    assert suspicious_s(15.0, 0.02) == suspicious_s(15.0, None) == 15.0


def minutes(day, prints_a_minute, every=1):
    return np.concatenate([bar(day + k * MIN, n_trades=prints_a_minute) for k in range(0, 390, every)])


def test_the_usual_pause_is_that_of_all_symbols_together():
    calendar = SessionCalendar.xnys()
    held = [minutes(YESTERDAY, 2.0), minutes(YESTERDAY, np.nan, every=3)]  # unknown counts are one print a minute at least
    pause_s = Rhythm(calendar).pause_s(OPEN, lambda start: held)
    assert pause_s == pytest.approx(390 * 60 / (390 * 2 + 130))


def test_the_usual_pause_leaves_out_extended_hours_and_what_has_not_been_yet():
    rows = np.concatenate([bar(OPEN - 60 * MIN, n_trades=5000.0), bar(OPEN, n_trades=60.0), bar(OPEN + 400 * MIN, n_trades=5000.0)])
    assert Rhythm(SessionCalendar.xnys()).pause_s(OPEN + MIN, lambda start: [rows]) == pytest.approx((390 * 60 + 60) / 60)


def test_while_history_is_read_the_usual_pause_known_before_stays():
    rhythm = Rhythm(SessionCalendar.xnys())
    assert rhythm.pause_s(TEN, None) is None
    assert rhythm.pause_s(TEN, lambda start: []) == float("inf")
    assert rhythm.pause_s(TEN + MIN, None) == float("inf")


@pytest.mark.parametrize(
    ("failure", "given_up", "said"),
    [
        ("", None, ""),
        ("down", None, "down; it is tried again by itself"),
        ("", OpenGap("SPY", 0, 1, "down", "down"), "down; it is tried again every few minutes"),
        ("down", OpenGap("SPY", 0, 1, "plan", "your plan lacks it", is_hopeless=True), "your plan lacks it"),
    ],
)
def test_a_failed_history_read_is_told_with_what_becomes_of_it(failure, given_up, said):
    assert history_trouble(failure, given_up) == said


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


def watching(now_ns=TEN, *, prints_a_minute=300.0, every=1):
    """Return hub, source and clock of a live market with one symbol that usually prints so often."""
    hub, source, clock = live(now_ns)
    source.history_rows["SPY"] = minutes(YESTERDAY, prints_a_minute, every)
    hub.watch("SPY")
    hub.pump()
    return hub, source, clock


def test_silence_from_the_start_of_the_connection_is_noticed():
    hub, _, clock = watching()
    go(hub, clock, TEN + 14 * SEC)
    assert hub.health().mode is not Mode.STALE
    go(hub, clock, TEN + 16 * SEC)
    assert hub.health().mode is Mode.STALE


def test_silence_of_what_is_not_known_yet_counts_as_a_dead_feed():
    hub, source, clock = live()
    source.fail = [HistoryError("down")] * 100
    hub.watch("SPY")
    go(hub, clock, TEN + 16 * SEC)
    assert hub.health().mode is Mode.STALE


def test_a_quiet_minute_before_the_bell_does_not_make_the_first_second_stale():
    hub, _, clock = watching(OPEN - 5 * MIN)
    hub.on_trades(prints([(OPEN - 4 * MIN, 100.0, 100)]))
    go(hub, clock, OPEN - 4 * MIN)
    clock.ns = OPEN + SEC
    assert hub.health().mode is not Mode.STALE
    clock.ns = OPEN + 16 * SEC
    assert hub.health().mode is Mode.STALE


def test_a_symbol_that_seldom_trades_is_quiet_and_not_stale():
    hub, _, clock = watching(prints_a_minute=1.0, every=5)
    go(hub, clock, TEN + 4 * MIN)
    health = hub.health()
    assert health.mode is not Mode.STALE
    assert "as is usual" in health.reason
    assert health.age_s is None or health.age_s > 200
    go(hub, clock, TEN + 70 * MIN)
    assert hub.health().mode is Mode.STALE


def test_one_busy_symbol_among_quiet_ones_tells_of_a_dead_feed_at_once():
    hub, source, clock = watching(prints_a_minute=1.0, every=5)
    source.history_rows["QQQ"] = minutes(YESTERDAY, 300.0)
    hub.watch("QQQ")
    go(hub, clock, TEN + MIN)
    assert hub.health().mode is Mode.STALE
    hub.on_trades(prints([(TEN + MIN, 100.0, 100)], symbol_id=hub.symbols.intern("QQQ")))
    go(hub, clock, TEN + MIN + SEC)
    assert hub.health("SPY").mode is not Mode.STALE, "QQQ trades: the feed is alive, SPY is only quiet"


def test_a_read_that_fails_is_told_until_it_succeeds():
    hub, source, clock = live()
    source.fail = [HistoryError("history of SPY: down")] * 3
    hub.watch("SPY")
    hub._writer.backfiller._run(hub._writer.backfiller._take())
    assert hub.health("SPY").history_trouble == "history of SPY: down; it is tried again by itself"
    assert hub.health("QQQ").history_trouble == ""
    go(hub, clock, TEN + SEC)
    assert hub.health("SPY").history_trouble == ""


def test_a_read_that_was_given_up_says_so_until_another_proves_the_span():
    hub, source, clock = live(verify_every_s=300.0)
    source.fail = [AuthError("your plan does not include it; upgrade the plan")]
    hub.watch("SPY")
    go(hub, clock, TEN + SEC)
    assert "upgrade the plan" in hub.health("SPY").history_trouble
    for k in range(1, 8):
        go(hub, clock, TEN + k * MIN)
    assert hub.health("SPY").history_trouble == ""


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
