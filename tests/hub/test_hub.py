"""The hub as a whole: whatever comes, in whatever pieces, readers hold what a slow calculation over all prints says."""

from __future__ import annotations

import functools
import itertools
import threading
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stubs import MIN, OPEN, SEC, TEN, bar, bars, go, live, minutes_of, play, prints, quotes, replayed, tape, values
from workbench.clock import ReplayClock
from workbench.errors import HistoryError, SymbolError
from workbench.hub.health import Mode
from workbench.hub.hub import Hub
from workbench.hub.rollup import ROLLED, rollup
from workbench.sessions import SessionCalendar, ny_ns
from workbench.sources.base import FeedGap
from workbench.sources.simulated import SimulatedSource
from workbench.types import BarSource

PRICE_SETTING = (0, 14, 41)
CALENDAR = SessionCalendar.xnys()
FRAMES = ("2m", "5m", "15m", "1h", "4h", "1d", "1w")


def pandas_minutes(trades: np.ndarray) -> pd.DataFrame:
    """A slow twin: pandas resampling, odd lots counting for volume only."""
    frame = pd.DataFrame({name: trades[name] for name in ("ts_event", "price", "size", "sequence")})
    frame["sets"] = np.isin(trades["conditions"][:, 0], PRICE_SETTING)
    frame = frame.sort_values(["ts_event", "sequence"])
    frame["minute"] = frame["ts_event"] // MIN * MIN
    out = frame[frame["sets"]].groupby("minute")["price"].agg(open="first", high="max", low="min", close="last")
    out["volume"] = frame.groupby("minute")["size"].sum()
    return out


def assert_is_roll_up(hub: Hub, symbol: str = "SPY") -> None:
    """Every timeframe, closed and forming together, equals a roll-up of the minutes, closed and forming together."""
    book = hub._writer.books[symbol]
    with hub._lock:
        update = book.minutes.snapshot()
        rows = update.rows if update.forming is None else np.concatenate([update.rows, update.forming])
        for label in book.timeframes[1:]:
            series = hub.series(symbol, label)
            wanted = rollup(rows, label, CALENDAR)
            told = series.snapshot()
            got = told.rows if told.forming is None else np.concatenate([told.rows, told.forming])
            for name in ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "is_complete", "n_trades"):
                np.testing.assert_array_equal(got[name], wanted[name], err_msg=f"{label} {name}")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), st.lists(st.integers(1, 95), max_size=12), st.booleans())
def test_bars_are_those_of_pandas_for_any_chunking_and_all_timeframes_agree_at_every_moment(seed, cuts, has_late_prints):
    rows = tape(seed, late=0.15 if has_late_prints else 0.0)
    hub, _ = replayed()
    hub.watch("SPY")
    for label in FRAMES:
        hub.series("SPY", label)
    edges = [0, *sorted(set(cuts)), len(rows)]
    for a, b in itertools.pairwise(edges):
        play(hub, rows[a:b])
        assert_is_roll_up(hub)
    play(hub, rows[:0], until=TEN + 14 * MIN)
    assert_is_roll_up(hub)
    got, wanted = hub.series("SPY", "1m").rows(), pandas_minutes(rows)
    assert got["ts_open"].tolist() == wanted.index.tolist()
    for name in ("open", "high", "low", "close", "volume"):
        assert got[name].tolist() == wanted[name].tolist(), name
    assert hub.health().errors == 0


def test_replaying_twice_gives_the_same_bytes():
    def once() -> bytes:
        hub, _ = replayed()
        hub.watch("SPY")
        hub.series("SPY", "5m")
        play(hub, tape(3, late=0.1), until=TEN + 20 * MIN, chunks=range(0, 96, 7))
        return hub.series("SPY", "1m").rows().tobytes() + hub.series("SPY", "5m").rows().tobytes()

    assert once() == once()


def test_cutting_off_the_future_never_changes_the_past():
    rows = tape(8)
    whole, part = replayed()[0], replayed()[0]
    for hub, tape_ in ((whole, rows), (part, rows[rows["ts_recv"] < TEN + 6 * MIN])):
        hub.series("SPY", "2m")
        play(hub, tape_, until=int(tape_["ts_recv"][-1]))
    for label in ("1m", "2m"):
        short, long = part.series("SPY", label).rows(), whole.series("SPY", label).rows()
        assert len(short)
        short["seq"] = long["seq"] = 0  # numbers are the hub's: where one timeframe's changes fall among another's may differ
        assert short.tobytes() == long[: len(short)].tobytes()


def test_nothing_is_lost_unseen():
    hub, _ = replayed()
    hub.watch("SPY")
    good = tape(4)
    bad = prints(
        [(TEN + SEC, -1.0, 100), (TEN + SEC, np.nan, 100), (TEN + SEC, 100.0, -5), (TEN + SEC, 100.0, 100, 499)], first_sequence=900
    )
    again = good[:5].copy()
    play(hub, np.concatenate([good[:50], bad, good[50:], again]), until=TEN + 14 * MIN)
    assert hub.health().n_events == len(good) + len(bad) + len(again)
    assert sum(hub.quarantine.counts("SPY").values()) == len(bad) + len(again)
    held = hub.series("SPY", "1m").rows()["volume"].sum() + hub._writer._builder.volume_without_bar
    assert held == good["size"].sum()


def test_seeking_back_and_forth_gives_the_same_state_again():
    source = SimulatedSource(["SPY"], seed=3, start_ns=OPEN + 30 * MIN, speed=60)
    hub = Hub(source, calendar=CALENDAR)
    for label in ("1m", "5m", "1d"):
        hub.series("SPY", label)
    source.pause()
    source.start(hub)
    hub.pump()

    def state() -> list[bytes]:
        hub.pump()
        return [values(hub.series("SPY", label).rows()).tobytes() for label in ("1m", "5m", "1d")]

    try:
        source.seek(OPEN + 60 * MIN)
        first = state()
        daily = hub.cursor("SPY", "1d")
        epoch = hub.epoch
        source.seek(OPEN + 20 * MIN)
        assert state() != first
        assert (hub.series("SPY", "1m").rows()["ts_close"] <= OPEN + 20 * MIN).all()
        source.seek(OPEN + 60 * MIN)
        assert state() == first
        assert hub.epoch == epoch + 2
        assert len(daily.read().rows) > 300  # as deep as before the seek: who holds a cursor does not ask again
    finally:
        source.stop()


def test_nothing_is_newer_than_the_clock():
    hub, source = replayed()
    source.history_rows["SPY"] = bars(range(OPEN, TEN + 60 * MIN, MIN))
    hub.series("SPY", "5m")
    play(hub, tape(2, minutes=3), until=TEN + 3 * MIN + SEC)
    for label in ("1m", "5m"):
        update = hub.series("SPY", label).snapshot()
        assert (update.rows["ts_close"] <= hub.clock.now_ns()).all()
        assert update.forming is None or (update.forming["ts_open"] <= hub.clock.now_ns()).all()


def test_history_never_touches_the_forming_bar():
    hub, source = replayed()
    source.history_rows["SPY"] = bars(range(OPEN, TEN + 5 * MIN, MIN), price=50.0)
    hub.watch("SPY")
    play(hub, prints([(TEN + SEC, 100.0, 100), (TEN + 30 * SEC, 101.0, 100)]))
    hub._writer.plan.want("SPY", OPEN, TEN + 5 * MIN)
    hub.pump()
    assert hub.series("SPY", "1m").forming["close"].tolist() == [101.0]
    assert hub.series("SPY", "5m").forming["high"].tolist() == [101.0]


def test_a_late_print_revises_the_minute_and_every_timeframe_and_every_cursor_hears():
    hub, _ = replayed()
    labels = ("1m", "2m", "5m", "1h")
    cursors = {label: hub.cursor("SPY", label) for label in labels}
    play(hub, prints([(TEN + k * MIN + SEC, 100.0, 100) for k in range(12)]))
    for cursor in cursors.values():
        cursor.read()
    play(hub, prints([(TEN + 30 * SEC, 101.0, 50, 0)], first_sequence=500, latency_ns=11 * MIN))
    for label in ("1m", "2m", "5m"):
        rows = cursors[label].read().rows
        rows = rows[rows["ts_open"] == TEN]
        assert rows["high"].tolist() == [101.0], label
        assert rows["revision"].tolist() == [1], label
    assert cursors["1h"].read().forming["high"].tolist() == [101.0]
    assert_is_roll_up(hub)


def test_a_longer_bar_gets_a_minute_that_was_told_after_the_bar_was_final():
    hub, _, clock = live()
    hub.series("SPY", "5m")
    go(hub, clock, TEN)
    for k in range(4):
        hub.on_bars("SPY", bar(TEN + k * MIN, 100.0 + k, source=BarSource.PROVIDER))
        go(hub, clock, TEN + (k + 1) * MIN + SEC)
    go(hub, clock, TEN + 5 * MIN + 3 * SEC)  # the grace is over, the last minute has not come
    assert hub.series("SPY", "5m").rows()["close"].tolist() == [103.0]
    hub.on_bars("SPY", bar(TEN + 4 * MIN, 104.0, source=BarSource.PROVIDER))
    go(hub, clock, TEN + 5 * MIN + 4 * SEC)
    rows = hub.series("SPY", "5m").rows()
    assert (rows["close"].tolist(), rows["volume"].tolist(), rows["revision"].tolist()) == ([104.0], [500.0], [1])
    assert_is_roll_up(hub)


def test_a_timeframe_opened_right_after_a_minute_closed_has_every_minute_once():
    hub, _ = replayed()
    hub.watch("SPY")
    play(hub, prints([(TEN + SEC, 100.0, 100)]))
    hub.source.clock.advance_to(TEN + MIN + 3 * SEC)
    hub.on_time(TEN + MIN + 3 * SEC)
    hub._drain()  # closed, not published yet
    assert hub.series("SPY", "5m").forming["volume"].tolist() == [100.0]


def test_minutes_of_a_gap_are_marked_and_history_repairs_exactly_them():
    hub, source, clock = live()
    hub.series("SPY", "5m")
    go(hub, clock, TEN)
    sequence = 1
    for k in range(10):
        if k not in (4, 5):
            hub.on_trades(prints([(TEN + k * MIN + SEC, 100.0 + k, 100)], first_sequence=sequence))
            sequence += 1
        go(hub, clock, TEN + k * MIN + 2 * SEC)
    hub.on_gap(FeedGap(TEN + 3 * MIN + 30 * SEC, TEN + 6 * MIN + 10 * SEC, "lost the line"))
    go(hub, clock, TEN + 9 * MIN + 30 * SEC)
    rows = hub.series("SPY", "1m").rows()
    assert (rows["ts_open"][rows["is_complete"] == 0] - TEN).tolist() == [0, 3 * MIN, 6 * MIN]  # 0: watching began in it
    assert hub.series("SPY", "5m").rows()["is_complete"].tolist() == [0]
    source.history_rows["SPY"] = bars([TEN + k * MIN for k in range(9)], price=90.0)
    hub._writer.plan.want("SPY", TEN, TEN + 9 * MIN)
    hub.pump()
    rows = hub.series("SPY", "1m").rows()
    assert rows["is_complete"].all()
    is_history = rows["source"] == BarSource.REST
    wanted = {TEN + k * MIN for k in (0, 3, 4, 5, 6)}
    fuller = {int(r["ts_open"]) for r in source.history_rows["SPY"] if r["volume"] > 100}  # history that saw more prints also stands
    assert set(rows["ts_open"][is_history].tolist()) == wanted | fuller
    assert hub.gaps == ()
    assert_is_roll_up(hub)


def test_a_late_print_does_not_bring_a_half_seen_minute_back_after_its_repair():
    hub, source, clock = live(TEN - 5 * MIN)
    hub.watch("SPY")
    go(hub, clock, TEN)
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)]))
    go(hub, clock, TEN + 20 * SEC)
    hub.on_gap(FeedGap(TEN + 30 * SEC, TEN + 50 * SEC, "lost the line"))
    source.history_rows["SPY"] = bar(TEN, 100.5, volume=900.0, source=BarSource.REST, high=103.0)
    go(hub, clock, TEN + 2 * MIN)
    go(hub, clock, TEN + 2 * MIN + SEC)
    assert hub.series("SPY", "1m").rows()["volume"].tolist() == [900.0]
    hub.on_trades(prints([(TEN + 55 * SEC, 100.1, 100)], first_sequence=77, latency_ns=2 * MIN))
    go(hub, clock, TEN + 3 * MIN)
    rows = hub.series("SPY", "1m").rows()
    assert rows["volume"].tolist() == [900.0]
    assert rows["is_complete"].tolist() == [1]


def test_a_full_queue_on_a_live_feed_is_counted_and_its_minutes_are_read_again():
    hub, source, clock = live(TEN - 5 * MIN, max_queued_rows=10)
    hub.watch("SPY")
    go(hub, clock, TEN)
    clock.ns = TEN + 5 * SEC
    hub.on_trades(prints([(TEN + SEC + k, 100.0, 100) for k in range(8)]))
    hub.on_trades(prints([(TEN + 2 * SEC + k, 200.0, 100) for k in range(8)], first_sequence=50))
    hub.on_quotes(quotes([(TEN + 2 * SEC, 1.0, 2.0)] * 9))
    assert hub.health().dropped == 17
    source.history_rows["SPY"] = bar(TEN, 100.5, volume=1600.0, source=BarSource.REST)
    hub.pump()
    go(hub, clock, TEN + 2 * MIN)
    go(hub, clock, TEN + 2 * MIN + SEC)
    rows = hub.series("SPY", "1m").rows()
    assert (rows["volume"].tolist(), rows["is_complete"].tolist()) == ([1600.0], [1])


def test_a_replay_waits_for_room_and_loses_nothing():
    hub, source = replayed(max_queued_rows=20)
    hub.watch("SPY")
    rows = tape(6)
    hub.start()
    try:
        for k in range(0, len(rows), 10):
            source.clock.advance_to(int(rows["ts_recv"][k : k + 10][-1]))
            hub.on_trades(rows[k : k + 10].copy())
        assert hub.wait_idle(10)
        assert (hub.health().dropped, hub.health().n_events) == (0, len(rows))
    finally:
        hub.stop()


def test_stopping_does_not_wait_for_a_source_that_goes_on_delivering():
    hub, _ = replayed(max_queued_rows=20)
    hub.watch("SPY")
    hub.start()
    thread, done = hub._thread, threading.Event()

    def deliver() -> None:
        while not done.is_set():
            hub.on_trades(tape(6)[:15])

    feeder = threading.Thread(target=deliver)
    feeder.start()
    try:
        hub.stop()
        assert not thread.is_alive()
    finally:
        done.set()
        feeder.join()


def test_what_was_handed_in_before_stop_is_readable_after_it():
    hub, _ = replayed()
    hub.watch("SPY")
    hub.start()
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)]))
    hub.stop()
    assert hub.series("SPY", "1m").forming["close"].tolist() == [100.0]


def test_one_batch_that_fails_does_not_end_the_feed(caplog):
    hub, _ = replayed()
    hub.watch("SPY")
    hub.on_trades(np.zeros(3, np.float32))
    hub.on_bars("SPY", np.zeros(2, np.float32))
    play(hub, prints([(TEN + SEC, 100.0, 100)]))
    assert hub.health().errors == 2
    assert hub.series("SPY", "1m").forming["close"].tolist() == [100.0]


def test_one_symbol_that_cannot_be_published_does_not_silence_the_others(monkeypatch):
    hub, _ = replayed()
    for symbol in ("SPY", "QQQ"):
        hub.watch(symbol)
    monkeypatch.setattr(hub._writer.books["SPY"], "publish", lambda *_: 1 / 0)
    play(hub, np.concatenate([prints([(TEN + SEC, 100.0, 100)]), prints([(TEN + SEC, 50.0, 100)], symbol_id=1)]))
    assert hub.series("QQQ", "1m").forming["close"].tolist() == [50.0]
    assert hub.health().errors >= 1


def test_what_records_is_told_before_anybody_can_read_it_and_of_accepted_rows_only():
    hub, _, clock = live(TEN - 5 * MIN)
    told: list[tuple[str, object, int]] = []
    hub.on_accepted = lambda kind, rows: told.append((kind, rows, hub.changes))
    series = hub.series("SPY", "1m")
    go(hub, clock, TEN)
    before = hub.changes
    clock.ns = TEN + MIN
    good, bad = prints([(TEN + SEC, 100.0, 100)]), prints([(TEN + 2 * SEC, -1.0, 100)], first_sequence=7)
    hub.on_trades(np.concatenate([good, bad]))
    hub.on_quotes(quotes([(TEN, 1.0, 2.0), (TEN, 3.0, 2.0)]))
    late = bar(TEN - MIN, 99.0, source=BarSource.PROVIDER)
    hub.on_bars("SPY", np.concatenate([late, bar(TEN, -5.0, source=BarSource.PROVIDER)]))
    hub.on_reject("no JSON", "?", b"\xff{", TEN)
    hub.pump()
    kinds = [kind for kind, _, _ in told]
    assert sorted(kinds) == ["bars", "gap", "quarantined", "quarantined", "quarantined", "quarantined", "quotes", "trades"]
    assert next(rows for kind, rows, _ in told if kind == "gap")[::3] == ("SPY", "the symbol was not watched before")
    rows = {kind: rows for kind, rows, _ in told}
    assert rows["trades"].tobytes() == good.tobytes()
    assert rows["quotes"]["bid"].tolist() == [1.0]
    assert (rows["bars"][0], rows["bars"][1]["close"].tolist()) == ("SPY", [99.0])
    assert {kind: changes for kind, _, changes in told}["bars"] == before  # nothing was published when the minutes were handed over
    assert next(rows[0] for kind, rows, _ in told if kind == "quarantined") == "no JSON"
    assert series.rows()["close"].tolist() == [99.0]


def test_a_print_too_late_for_its_minute_is_recorded_as_put_aside_only():
    hub, _ = replayed()
    hub.watch("SPY")
    play(hub, prints([(TEN + SEC, 100.0, 100)]), until=TEN + 200 * MIN)
    told = []
    hub.on_accepted = lambda kind, rows: told.append((kind, rows["sequence"].tolist() if kind == "trades" else rows))
    play(hub, prints([(TEN + 200 * MIN, 100.0, 100), (TEN + 2 * SEC, 100.0, 100)], first_sequence=5))
    assert told[0] == ("trades", [5])
    assert (told[1][0], told[1][1][0]) == ("quarantined", "too late for its minute")
    assert told[2:] == [("gap", ("SPY", TEN, TEN + MIN, "a print came too late for its minute"))]


def test_what_history_tells_and_what_was_taken_back_is_recorded_too():
    hub, source, clock = live(TEN)
    source.history_rows["SPY"] = bars(range(TEN - 3 * MIN, TEN + MIN, MIN))
    told = []
    hub.on_accepted = lambda kind, rows: told.append((kind, rows))
    hub.watch("SPY")
    go(hub, clock, TEN + 10 * MIN)
    history = [rows[1] for kind, rows in told if kind == "history" and rows[0] == "SPY"]
    assert max(rows["ts_open"].max() for rows in history) == TEN
    hub.on_correction("SPY", TEN + SEC, "cancelled")
    hub.pump()
    assert ("correction", ("SPY", TEN + SEC, "cancelled")) in told


def test_a_recorder_that_fails_is_counted_and_takes_nothing_else_along(caplog):
    hub, _ = replayed()
    hub.watch("SPY")
    hub.on_accepted = lambda *_: 1 / 0
    play(hub, prints([(TEN + SEC, 100.0, 100), (TEN + 2 * SEC, -1.0, 100)]))
    assert hub.series("SPY", "1m").forming["close"].tolist() == [100.0]
    assert hub.quarantine.counts() == {"price not a number above 0": 1}
    assert hub.health().errors == 2
    assert "recording failed" in caplog.text


def test_a_hub_started_later_has_a_larger_epoch_and_every_series_the_same():
    first, second = replayed()[0], None
    while second is None or second.epoch == first.epoch:  # within a millisecond
        second, _ = replayed()
    assert second.epoch > first.epoch
    assert {first.series(symbol, label).epoch for symbol in ("SPY", "QQQ") for label in ("1m", "5m")} == {first.epoch}
    first.on_reset("moved back")
    first.pump()
    assert first.series("SPY", "5m").epoch == first.epoch


def test_the_hubs_number_taken_before_reading_misses_nothing():
    hub, _ = replayed()
    both = [hub.series(symbol, "2m") for symbol in ("SPY", "QQQ")]
    rows = np.concatenate([tape(1), tape(2, symbol_id=1)])
    rows = rows[np.argsort(rows["ts_recv"], kind="stable")]
    at, held = 0, [{}, {}]
    for k in range(0, len(rows), 9):
        play(hub, rows[k : k + 9])
        newest = hub.seq
        for mine, series in zip(held, both, strict=True):
            update = series.since(hub.epoch, at)
            assert not update.is_gap
            mine |= {int(row["ts_open"]): row.tobytes() for row in update.rows}
        at = newest
    for mine, series in zip(held, both, strict=True):
        assert mine == {int(row["ts_open"]): row.tobytes() for row in series.rows()}


# -- prints taken back ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source_of_bar", [BarSource.TRADES, BarSource.PROVIDER, BarSource.REST])
def test_a_cancelled_print_leaves_the_chart_once_history_says_so(source_of_bar):
    hub, source, clock = live(TEN - 5 * MIN)
    series = hub.series("SPY", "1m")
    five = hub.series("SPY", "5m")
    go(hub, clock, TEN)
    clock.ns = TEN + 10 * SEC
    if source_of_bar is BarSource.TRADES:
        hub.on_trades(prints([(TEN + SEC, 100.0, 100), (TEN + 2 * SEC, 102.0, 100_000)]))
    else:
        hub.on_bars("SPY", bar(TEN, 102.0, volume=100_100.0, source=source_of_bar))
    go(hub, clock, TEN + 6 * MIN)
    assert (series.rows()["high"].tolist(), series.rows()["is_complete"].tolist()) == ([102.0], [1])
    source.history_rows["SPY"] = truth = bar(TEN, 100.0, volume=100.0, source=BarSource.REST)
    source.fail = [HistoryError("not yet")]
    hub.on_correction("SPY", TEN + 2 * SEC, "a print was cancelled")
    hub._drain()
    hub._tick()
    assert series.rows()["is_complete"].tolist() == [0]
    assert [(gap.start_ns, gap.reason) for gap in hub.gaps] == [(TEN, "a print was cancelled")]
    hub.pump()
    assert values(series.rows()).tobytes() == values(truth).tobytes()
    assert five.rows()["high"].tolist() == [100.0]
    assert hub.gaps == ()


def test_a_print_cancelled_in_the_open_minute_is_mended_when_the_minute_can_be_read():
    hub, source, clock = live(TEN - 5 * MIN)
    series = hub.series("SPY", "1m")
    go(hub, clock, TEN)
    clock.ns = TEN + 10 * SEC
    hub.on_trades(prints([(TEN + SEC, 100.0, 100), (TEN + 2 * SEC, 102.0, 100_000)]))
    hub.on_correction("SPY", TEN + 2 * SEC, "a print was cancelled")
    hub.pump()
    source.history_rows["SPY"] = bar(TEN, 100.0, volume=100.0, source=BarSource.REST)
    asked = len(source.asked)
    go(hub, clock, TEN + 59 * SEC)
    assert len(source.asked) == asked
    go(hub, clock, TEN + 2 * MIN)
    go(hub, clock, TEN + 2 * MIN + SEC)
    assert series.rows()["high"].tolist() == [100.0]
    assert series.rows()["is_complete"].tolist() == [1]


def closed_minutes(hub, clock, *, until: int) -> None:
    """Bring a live market to a moment with three minutes of one print each."""
    for k in range(3):
        clock.ns = TEN + k * MIN + 10 * SEC
        hub.on_trades(prints([(TEN + k * MIN + SEC, 100.0 + k, 100)], first_sequence=k + 1))
    go(hub, clock, until)


def test_a_minute_whose_only_print_is_cancelled_leaves_every_timeframe_and_readers_are_told():
    hub, source, clock = live(TEN - 5 * MIN)
    series, two, day = (hub.series("SPY", label) for label in ("1m", "2m", "1h"))
    go(hub, clock, TEN)
    closed_minutes(hub, clock, until=TEN + 90 * MIN)
    truth = np.concatenate([bar(TEN, 100.0, volume=100.0), bar(TEN + 2 * MIN, 102.0, volume=100.0)])
    truth["source"] = BarSource.REST
    source.history_rows["SPY"] = truth
    cursors = [one.cursor() for one in (series, two, day)]
    for cursor in cursors:
        cursor.read()
    assert series.rows()["high"].tolist() == [100.0, 101.0, 102.0]
    hub.on_correction("SPY", TEN + MIN + SEC, "cancelled")
    hub.pump()
    assert series.rows()["ts_open"].tolist() == [TEN, TEN + 2 * MIN]
    assert two.rows()["volume"].tolist() == [100.0, 100.0]
    assert day.rows()["volume"].tolist() == [200.0]
    assert cursors[0].read().is_gap
    assert cursors[0].read().rows.tolist() == []
    assert hub.gaps == ()
    assert_is_roll_up(hub)


def test_a_two_minute_bar_of_cancelled_prints_alone_goes_too():
    hub, source, clock = live(TEN - 5 * MIN)
    two = hub.series("SPY", "2m")
    go(hub, clock, TEN)
    clock.ns = TEN + 10 * SEC
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)]))
    clock.ns = TEN + 4 * MIN
    hub.on_trades(prints([(TEN + 4 * MIN - SEC, 101.0, 100)], first_sequence=9))
    go(hub, clock, TEN + 30 * MIN)
    assert two.rows()["ts_open"].tolist() == [TEN, TEN + 2 * MIN]
    source.history_rows["SPY"] = bar(TEN + 3 * MIN, 101.0, volume=100.0, source=BarSource.REST)
    hub.on_correction("SPY", TEN + SEC, "cancelled")
    hub.pump()
    assert two.rows()["ts_open"].tolist() == [TEN + 2 * MIN]


def test_a_read_that_was_under_way_when_a_print_was_cancelled_proves_nothing():
    hub, source, clock = live(TEN - 5 * MIN)
    series = hub.series("SPY", "1m")
    go(hub, clock, TEN)
    closed_minutes(hub, clock, until=TEN + 10 * MIN)
    stale = np.concatenate([bar(TEN + k * MIN, 100.0 + k, volume=100.0, source=BarSource.REST) for k in range(3)])
    source.history_rows["SPY"] = stale
    hub._writer.plan.want("SPY", TEN - 5 * MIN, TEN + 5 * MIN)
    job = hub._writer.backfiller._take()
    hub._writer.backfiller._run(job)  # its answer waits before the hub
    source.history_rows["SPY"] = stale[[0, 2]]
    clock.ns += SEC
    hub.on_correction("SPY", TEN + MIN + SEC, "cancelled")
    hub._drain()
    while hub._take_history():
        pass
    assert [gap.start_ns for gap in hub.gaps] == [TEN + MIN]
    hub.pump()
    assert series.rows()["ts_open"].tolist() == [TEN, TEN + 2 * MIN]
    assert hub.gaps == ()


def test_a_cancelled_print_of_a_minute_that_only_daily_bars_still_hold_reads_its_week_again():
    hub, source, clock = live(TEN)
    index = CALENDAR.at(TEN)
    opens = np.concatenate([np.array(minutes_of(row)) for row in CALENDAR.sessions[index - 30 : index + 1]])
    truth = bars(opens[opens + MIN <= TEN], seed=4)
    source.history_rows["SPY"] = truth
    day = hub.series("SPY", "1d")
    go(hub, clock, TEN + SEC)
    at = int(np.flatnonzero(truth["ts_open"] == CALENDAR.sessions["open"][index - 20])[0]) + 5
    assert int(truth["ts_open"][at]) < hub.series("SPY", "1m").first_ns
    corrected = truth.copy()
    corrected["volume"][at] -= 50.0
    source.history_rows["SPY"] = corrected
    before = day.rows()
    hub.on_correction("SPY", int(truth["ts_open"][at]) + SEC, "cancelled")
    hub.pump()
    after = day.rows()
    changed = np.flatnonzero(after["volume"] != before["volume"])
    assert changed.tolist() == [len(after) - 20]
    assert (before["volume"] - after["volume"])[changed].tolist() == [50.0]


def test_a_correction_of_a_symbol_that_nobody_watches_is_no_gap():
    hub, _ = replayed()
    hub.on_correction("QQQ", TEN, "a print was cancelled")
    hub.pump()
    assert hub.gaps == ()
    assert hub.health().errors == 0


def test_a_print_of_a_symbol_id_that_nobody_knows_is_put_aside_and_the_rest_of_the_batch_lives():
    hub, _ = replayed()
    hub.watch("SPY")
    rows = prints([(TEN + SEC, 100.0, 100), (TEN + 2 * SEC, 100.0, 100), (TEN + 3 * SEC, 101.0, 100)])
    rows["symbol_id"] = [10_000, -1, 0]
    play(hub, rows)
    hub.on_quotes(np.concatenate([quotes([(TEN, 1.0, 2.0)], symbol_id=99), quotes([(TEN, 3.0, 4.0)])]))
    hub.pump()
    assert hub.series("SPY", "1m").forming["close"].tolist() == [101.0]
    assert hub.quote("SPY").bid == 3.0
    assert hub.quarantine.counts() == {"unknown symbol id": 3}
    assert hub.health().errors == 0


def test_a_minute_closes_when_prints_handed_in_before_its_end_are_applied_however_busy_the_feed():
    hub, _, clock = live(TEN - 5 * MIN)
    hub.watch("SPY")
    go(hub, clock, TEN)
    clock.ns = TEN + 59 * SEC
    hub.on_trades(prints([(TEN + 59 * SEC, 100.0, 100)]))
    clock.ns = TEN + MIN + 1 * SEC
    hub.on_trades(prints([(TEN + 59 * SEC + 1, 99.0, 100)], first_sequence=5))
    clock.ns = TEN + MIN + 5 * SEC
    hub._drain(limit=1)
    hub._tick()
    assert len(hub.series("SPY", "1m")) == 0  # a print of that minute still waits
    hub.on_trades(prints([(TEN + MIN + 5 * SEC, 101.0, 100)], first_sequence=9))
    hub._drain(limit=1)
    hub._tick()
    assert hub.series("SPY", "1m").rows()["close"].tolist() == [99.0]  # though the queue is not empty


def test_two_readers_never_disagree_and_a_slow_one_catches_up():
    hub, _ = replayed()
    fast, slow = hub.cursor("SPY", "1m"), hub.cursor("SPY", "1m")
    held: dict[int, bytes] = {}
    rows = tape(9, late=0.2)
    for k in range(0, len(rows), 5):
        play(hub, rows[k : k + 5])
        for row in fast.read().rows:
            held[int(row["ts_open"])] = row.tobytes()
    late = {int(row["ts_open"]): row.tobytes() for row in slow.read().rows}
    assert late == held


def test_twenty_symbols_of_which_one_is_cold():
    hub, source = replayed()
    names = [f"S{k:02}" for k in range(20)]
    for k, name in enumerate(names):
        if k != 7:
            source.history_rows[name] = bars(range(OPEN, TEN, MIN), seed=k)
        for label in ("1m", "5m", "1d"):
            hub.series(name, label)
    play(hub, np.concatenate([tape(k, minutes=2, symbol_id=k) for k in range(20) if k != 7]), until=TEN + 5 * MIN)
    assert len(hub.series("S07", "1m")) == 0
    assert hub.board("S07").last is None
    assert hub.bars("S07", "5m").empty
    assert all(len(hub.series(name, "1m")) >= 30 for name in names if name != "S07")
    assert hub.health().errors == 0


def test_three_prints_a_day_make_three_minutes_and_their_longer_bars():
    hub, _ = replayed(OPEN)
    for label in ("1m", "5m", "1h", "1d"):
        hub.series("SPY", label)
    when = [OPEN + 90 * MIN + SEC, OPEN + 200 * MIN + SEC, OPEN + 389 * MIN + SEC]
    play(hub, prints([(ts, 10.0 + k, 100) for k, ts in enumerate(when)]), until=OPEN + 400 * MIN, chunks=(1, 2))
    assert hub.series("SPY", "1m").rows()["close"].tolist() == [10.0, 11.0, 12.0]
    assert hub.series("SPY", "5m").rows()["ts_open"].tolist() == [OPEN + 90 * MIN, OPEN + 200 * MIN, OPEN + 385 * MIN]
    day = hub.series("SPY", "1d").rows()
    assert (day["open"][0], day["close"][0], day["volume"][0]) == (10.0, 12.0, 300.0)
    assert_is_roll_up(hub)


@pytest.mark.parametrize("label", ROLLED)
def test_paging_back_gives_contiguous_bars_equal_to_a_batch_roll_up(label):
    hub, source = replayed(
        ny_ns(date(2025, 12, 3), 12)
    )  # Thanksgiving's half day and a holiday lie behind; so does November's clock change
    now = hub.clock.now_ns()
    index = CALENDAR.at(now)
    opens = np.concatenate([np.array(minutes_of(row, extended=False)) for row in CALENDAR.sessions[index - 40 : index + 1]])
    truth = bars(opens[opens + MIN <= now], seed=4)
    source.history_rows["SPY"] = truth
    hub.series("SPY", label)
    play(hub, tape(1)[:0], until=now + SEC)
    wanted = rollup(truth, label, CALENDAR)
    pages = [hub.series("SPY", label).rows(7)]
    assert len(pages[0])
    while len(page := hub.older("SPY", label, int(pages[0]["ts_open"][0]), 60)):
        pages.insert(0, page)
    got = np.concatenate(pages)
    wanted = wanted[wanted["ts_open"] <= got["ts_open"][-1]]
    assert values(got).tobytes() == values(wanted).tobytes()


def test_paging_from_any_moment_gives_whole_bars_only():
    hub, source = replayed(OPEN + 200 * MIN)
    source.history_rows["SPY"] = truth = bars(range(OPEN, OPEN + 200 * MIN, MIN))
    hub.series("SPY", "1h")
    hub.pump()
    page = hub.older("SPY", "1h", OPEN + 100 * MIN, 10)
    assert values(page).tobytes() == values(rollup(truth[:120], "1h", CALENDAR)).tobytes()


def test_paging_looks_further_back_for_a_symbol_that_seldom_trades():
    hub, source = replayed()
    days = CALENDAR.sessions[CALENDAR.at(TEN) - 60 : CALENDAR.at(TEN)]
    source.history_rows["SPY"] = bars(days["open"] + 30 * MIN)
    hub.series("SPY", "5m")
    hub.pump()
    assert len(hub.older("SPY", "5m", TEN, 50)) == 50


def test_a_short_timeframe_opened_after_the_daily_chart_is_as_deep_as_if_it_came_first():
    def depth(first: str) -> bytes:
        hub, source = replayed()
        index = CALENDAR.at(TEN)
        opens = np.concatenate([np.array(minutes_of(row)) for row in CALENDAR.sessions[index - 50 : index]])
        source.history_rows["SPY"] = bars(opens)
        hub.series("SPY", first)
        hub.pump()
        hub.series("SPY", "1h")
        hub.pump()
        return values(hub.series("SPY", "1h").rows(400)).tobytes()

    assert depth("1d") == depth("1h")


def test_watching_again_reads_what_happened_meanwhile():
    hub, source, clock = live(TEN - 10 * MIN)
    hub.watch("SPY")
    go(hub, clock, TEN)
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)]))
    go(hub, clock, TEN + 30 * SEC)
    hub.unwatch("SPY")
    source.history_rows["SPY"] = bars(range(TEN, TEN + 60 * MIN, MIN))
    go(hub, clock, TEN + 30 * MIN)
    assert hub.series("SPY", "1m").rows()["ts_open"].tolist()[-1:] != [TEN + 29 * MIN]
    hub.watch("SPY")
    go(hub, clock, TEN + 30 * MIN + 20 * SEC)
    go(hub, clock, TEN + 33 * MIN)
    rows = hub.series("SPY", "1m").rows()
    rows = rows[rows["ts_open"] >= TEN]
    assert values(rows[:30]).tobytes() == values(source.history_rows["SPY"][:30]).tobytes()


def test_watching_an_unknown_symbol_says_what_is_allowed():
    hub = Hub(SimulatedSource(["SPY"], start_ns=TEN), calendar=CALENDAR)
    with pytest.raises(SymbolError, match="received 'NOPE'"):
        hub.watch("NOPE")
    with pytest.raises(SymbolError):
        hub.watch("no symbol")


def test_history_that_fails_is_tried_again_and_told_when_given_up():
    hub, source, clock = live()
    source.fail = [HistoryError("down")] * 3
    source.history_rows["SPY"] = bars(range(OPEN, TEN, MIN))
    hub.watch("SPY")
    go(hub, clock, TEN)
    assert len(hub.series("SPY", "1m")) == 30
    source.fail = [HistoryError("down")] * 8
    hub._writer.plan.want("SPY", OPEN, TEN)
    go(hub, clock, TEN + SEC)
    go(hub, clock, TEN + 5 * MIN)
    assert any(gap.reason == "down" for gap in hub.gaps)
    assert hub.health("SPY").gaps
    assert hub.health().mode in (Mode.DEGRADED, Mode.STALE)


def test_given_up_history_is_asked_for_again_once_the_provider_may_be_back():
    hub, source, clock = live(verify_every_s=60.0)
    source.fail = [HistoryError("down")] * 8
    source.history_rows["SPY"] = bars(range(OPEN, TEN, MIN))
    hub.watch("SPY")
    go(hub, clock, TEN)
    assert len(hub.series("SPY", "1m")) == 0
    for k in range(1, 8):
        go(hub, clock, TEN + k * MIN)
    assert len(hub.series("SPY", "1m")) == 30
    assert hub.gaps == ()


def test_the_hub_can_be_stopped_and_started_and_reads_what_it_missed():
    hub, source, clock = live(TEN - 10 * MIN)
    hub.start()
    hub.watch("SPY")
    hub.wait_idle(history=True)
    hub.stop()
    clock.ns = TEN + 10 * MIN
    source.history_rows["SPY"] = bars(range(TEN - 20 * MIN, TEN + 10 * MIN, MIN))
    hub.start()
    try:
        clock.ns = TEN + 12 * MIN
        assert hub.wait_idle(10, history=True)
        assert len(hub.series("SPY", "1m").rows_from(TEN)) == 10
    finally:
        hub.stop()


def test_microbars_move_the_forming_bar_only():
    hub, _ = replayed()
    hub.watch("SPY")
    play(hub, prints([(TEN + SEC, 100.0, 100), (TEN + SEC + 20_000_000, 101.0, 100)]))
    micro = hub.microbar("SPY")
    assert (micro["open"][0], micro["close"][0], int(micro["ts_close"][0] - micro["ts_open"][0])) == (100.0, 101.0, 50_000_000)
    assert len(hub.series("SPY", "1m")) == 0
    assert hub.series("SPY", "1m").forming["close"].tolist() == [101.0]
    assert hub.microbar("QQQ") is None


def test_vwap_is_the_session_average_from_the_opening_bell_on():
    hub, source = replayed(TEN)
    source.history_rows["SPY"] = truth = bars([*range(OPEN - 30 * MIN, OPEN, MIN), *range(OPEN, TEN, MIN)])
    hub.watch("SPY")
    hub.pump()
    regular = truth[30:]
    running = np.cumsum(regular["vwap"] * regular["volume"]) / np.cumsum(regular["volume"])
    got = hub.vwap("SPY")
    assert got["ts_open"].tolist() == regular["ts_open"].tolist()
    np.testing.assert_allclose(got["vwap"], running, rtol=1e-12)
    square = np.cumsum((regular["vwap"] ** 2 + regular["vw_std"] ** 2) * regular["volume"]) / np.cumsum(regular["volume"])
    np.testing.assert_allclose(got["upper2"] - got["vwap"], 2 * np.sqrt(square - running**2), rtol=1e-5)
    assert hub.vwap("SPY", 5)["vwap"].tolist() == got["vwap"][-5:].tolist()
    assert len(hub.vwap("QQQ", 5)) == 0


def test_a_hub_shows_itself_in_a_notebook():
    hub, source = replayed()
    source.history_rows["SPY"] = bars(range(OPEN, TEN, MIN))
    hub.watch("SPY")
    hub.pump()
    html = hub._repr_html_()
    assert "scripted" in html
    assert "<td>SPY</td>" in html


@pytest.mark.parametrize(
    "moment", [ny_ns(date(2026, 11, 18), 18), ny_ns(date(2026, 11, 18), 22), ny_ns(date(2026, 11, 21), 12), ny_ns(date(2026, 11, 26), 11)]
)
def test_a_first_watch_after_hours_at_night_at_the_weekend_or_on_a_holiday_shows_the_last_session(moment):
    hub, source = replayed(moment)
    session = CALENDAR.sessions[CALENDAR.latest(moment)]
    opens = np.array(minutes_of(session))
    source.history_rows["SPY"] = bars(opens)
    for label in ("1m", "5m", "1d", "1w"):
        hub.series("SPY", label)
    hub.pump()
    assert len(hub.series("SPY", "1m")) == sum(opens + MIN <= moment)
    assert len(hub.series("SPY", "1d")) == 1  # the regular session is over
    assert hub.board("SPY").day_open is not None
    assert hub.health().errors == 0


def test_weeks_follow_sessions_through_a_holiday_a_half_day_and_a_clock_change():
    hub, source = replayed(ny_ns(date(2025, 12, 1), 12))
    index = CALENDAR.at(hub.clock.now_ns())
    sessions = CALENDAR.sessions[index - 25 : index]
    source.history_rows["SPY"] = truth = bars(np.concatenate([np.array(minutes_of(row, extended=False)) for row in sessions]))
    hub.series("SPY", "1w")
    hub.pump()
    weeks = hub.series("SPY", "1w").rows()
    frame = pd.DataFrame({"volume": truth["volume"]}, index=pd.to_datetime(truth["ts_open"], utc=True).tz_convert("America/New_York"))
    wanted = frame.resample("W-SUN")["volume"].sum()
    assert weeks["volume"].tolist() == wanted.tolist()
    friday = pd.Timestamp(int(weeks["ts_close"][-1]), tz="UTC").tz_convert("America/New_York")
    assert (friday.date(), friday.hour) == (date(2025, 11, 28), 13)  # the day after Thanksgiving


def test_a_replay_clock_is_not_driven_by_the_hub():
    hub, source = replayed()
    hub.watch("SPY")
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)]))
    assert isinstance(source.clock, ReplayClock)
    source.clock.advance_to(TEN + 10 * MIN)  # the clock is ahead; the source has not said that all prints until then were told
    hub.pump()
    assert len(hub.series("SPY", "1m")) == 0
    hub.on_time(TEN + 10 * MIN)
    hub.pump()
    assert len(hub.series("SPY", "1m")) == 1


def test_a_hub_that_was_stopped_is_reading_nothing():
    """Charts wait while the hub reads history: at the end of the program they waited for ever."""
    hub, _, _ = live()
    want = functools.partial(hub._writer.backfiller.want, "SPY", TEN - 5 * MIN, TEN, epoch=hub.epoch)
    want()
    assert hub.health("SPY").backfilling == 1
    hub.start()
    hub.stop()
    want()
    assert hub._writer.backfiller.due("SPY") == 1  # kept for the next start
    assert hub.health("SPY").backfilling == 0
