"""Minutes kept between runs: what was proved is not asked for again, what was half seen is not kept."""

from __future__ import annotations

import numpy as np
import pytest

from tests.stubs import MIN, OPEN, SEC, TEN, ManualClock, ScriptedSource, bar, bars, go, live, prints, values
from workbench.errors import HistoryError, StoreError
from workbench.history.store import BarStore
from workbench.hub.minutes import LATE_NS, MinuteArchive
from workbench.types import BarSource


@pytest.fixture
def desk(tmp_path):
    """Return (archive, source, store) at ten o'clock with half an hour of history."""
    source, store = ScriptedSource(clock=ManualClock(TEN)), BarStore(tmp_path)
    source.history_rows["SPY"] = bars(range(OPEN, TEN + 60 * MIN, MIN))
    return MinuteArchive(source, store), source, store


def test_without_a_store_every_read_goes_to_the_source():
    source = ScriptedSource(clock=ManualClock(TEN))
    source.history_rows["SPY"] = bars(range(OPEN, TEN + 60 * MIN, MIN))
    archive = MinuteArchive(source, None)
    assert len(archive.read("SPY", OPEN, TEN + 60 * MIN).rows) == 30  # nothing newer than the clock
    assert not archive.has_store


def test_settled_minutes_are_read_once_and_recent_ones_every_time(desk):
    archive, source, _ = desk
    first = archive.read("SPY", OPEN, TEN)
    again = archive.read("SPY", OPEN, TEN)
    assert values(first.rows).tobytes() == values(again.rows).tobytes()
    settled = TEN - LATE_NS
    assert source.asked == [("SPY", OPEN, settled), ("SPY", settled, TEN), ("SPY", settled, TEN)]


def test_minutes_that_may_still_change_are_never_called_complete(desk):
    archive, source, store = desk
    archive.read("SPY", OPEN, TEN + 60 * MIN)
    assert store.missing("SPY", OPEN, TEN + 60 * MIN) == [(TEN - LATE_NS, TEN + 60 * MIN)]
    source.clock.ns = TEN + 60 * MIN
    assert len(archive.read("SPY", OPEN, TEN + 60 * MIN).rows) == 90


def test_a_span_not_proved_complete_is_asked_for_again(desk):
    archive, source, store = desk
    source.is_complete = False
    assert not archive.read("SPY", OPEN, OPEN + 5 * MIN).is_complete
    assert store.missing("SPY", OPEN, OPEN + 5 * MIN) == [(OPEN, OPEN + 5 * MIN)]
    source.is_complete = True
    assert archive.read("SPY", OPEN, OPEN + 5 * MIN).is_complete
    assert store.missing("SPY", OPEN, OPEN + 5 * MIN) == []


def test_a_failing_source_loses_nothing_that_is_stored(desk):
    archive, source, _ = desk
    archive.read("SPY", OPEN, OPEN + 5 * MIN)
    source.fail = [HistoryError("down")]
    with pytest.raises(HistoryError):
        archive.read("SPY", OPEN, OPEN + 8 * MIN)
    assert len(archive.read("SPY", OPEN, OPEN + 5 * MIN).rows) == 5


def test_bars_out_of_order_are_refused(desk):
    archive, source, _ = desk
    source.history_rows["SPY"] = bars([OPEN + MIN, OPEN])
    with pytest.raises(HistoryError, match="out of order"):
        archive.read("SPY", OPEN, OPEN + 5 * MIN)


def test_a_half_seen_minute_is_never_written_over_a_whole_one(desk):
    archive, _, store = desk
    archive.read("SPY", OPEN, OPEN + 5 * MIN)
    archive.keep("SPY", np.concatenate([bar(OPEN, 1.0, is_complete=0), bar(OPEN + 5 * MIN, 2.0)]))
    rows = store.read("SPY", OPEN, OPEN + 6 * MIN)
    assert (len(rows), rows["close"][0] == 1.0, rows["close"][-1]) == (6, False, 2.0)


def test_minutes_that_the_hub_built_are_there_after_a_restart(tmp_path):
    hub, _, clock = live(TEN - 5 * MIN, store=BarStore(tmp_path))
    hub.watch("SPY")
    go(hub, clock, TEN)
    hub.on_trades(prints([(TEN + SEC, 100.0, 100), (TEN + MIN + SEC, 101.0, 100)]))
    go(hub, clock, TEN + 3 * MIN)
    hub.stop()
    rows = BarStore(tmp_path).read("SPY", TEN, TEN + 5 * MIN)
    assert (rows["close"].tolist(), rows["source"].tolist()) == ([100.0, 101.0], [BarSource.TRADES] * 2)


def test_a_full_disk_is_counted_and_the_minutes_are_stored_later(tmp_path, monkeypatch):
    store = BarStore(tmp_path)
    hub, _, clock = live(TEN - 5 * MIN, store=store)
    hub.watch("SPY")
    go(hub, clock, TEN)
    hub.on_trades(prints([(TEN + SEC, 100.0, 100)]))
    go(hub, clock, TEN + 3 * MIN)

    def refuse(*_: object, **__: object) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", refuse)
        hub.save()
    assert hub.health().errors == 1
    hub.save()
    assert len(store.read("SPY", TEN, TEN + 5 * MIN)) == 1


def split(rows: np.ndarray, by: float) -> np.ndarray:
    """Return bars as a provider tells them after a split: prices times `by`, volume divided."""
    rows = rows.copy()
    for name in ("open", "high", "low", "close", "vwap"):
        rows[name] *= by
    rows["volume"] /= by
    return rows


DAY = 24 * 60 * MIN


def test_after_a_split_yesterday_is_not_shown_at_ten_times_the_price(desk):
    _, source, store = desk
    told: list[tuple[str, float]] = []
    archive = MinuteArchive(source, store, lambda *change: told.append(change))
    archive.read("SPY", OPEN, TEN)
    source.clock.ns = TEN + 3 * DAY  # over the weekend the provider re-bases all past prices
    source.history_rows["SPY"] = split(source.history_rows["SPY"], 0.1)
    rows = archive.read("SPY", OPEN, TEN).rows
    assert told == [("SPY", pytest.approx(0.1))]
    assert np.allclose(rows["close"], split(bars(range(OPEN, TEN, MIN)), 0.1)["close"])
    assert [p.name for p in store.root.iterdir() if p.name.startswith("retired")] == ["retired1-symbol=SPY"]  # nothing is deleted
    archive.read("SPY", OPEN, TEN)
    assert len(told) == 1  # compared once a day


def test_a_few_corrected_bars_are_no_split(desk):
    archive, source, store = desk
    archive.read("SPY", OPEN, TEN)
    source.clock.ns = TEN + 3 * DAY
    source.history_rows["SPY"]["close"][:5] *= 0.9
    archive.read("SPY", OPEN, TEN)
    assert not [p for p in store.root.iterdir() if p.name.startswith("retired")]


def test_every_reader_begins_anew_after_a_split(tmp_path):
    store = BarStore(tmp_path)
    hub, source, clock = live(TEN, store=store)
    source.history_rows["SPY"] = bars(range(OPEN, TEN, MIN))
    cursor = hub.cursor("SPY", "5m")
    go(hub, clock, TEN + 30 * MIN)
    raw = cursor.read().rows["close"]
    source.history_rows["SPY"] = split(source.history_rows["SPY"], 0.1)
    clock.ns = TEN + 3 * DAY
    hub.older("SPY", "1m", OPEN + MIN, 10)  # any read of that day compares first
    hub.series("SPY", "1w")  # asks for more history
    go(hub, clock, TEN + 3 * DAY + 5 * MIN)
    update = cursor.read()
    assert len(raw) == 6
    assert update.is_gap
    assert update.rows["close"] == pytest.approx(raw * 0.1)


def test_a_minute_in_doubt_is_read_from_the_source_again_and_stored_anew(desk):
    archive, source, store = desk
    archive.read("SPY", OPEN, OPEN + 10 * MIN)
    truth = source.history_rows["SPY"].copy()
    truth["high"][3] += 1.0
    source.history_rows["SPY"] = np.delete(truth, 4)
    assert len(archive.read("SPY", OPEN, OPEN + 10 * MIN).rows) == 10  # the store was believed
    archive.doubt("SPY", OPEN + 3 * MIN, OPEN + 5 * MIN)
    source.asked.clear()
    rows = archive.read("SPY", OPEN, OPEN + 10 * MIN).rows
    assert source.asked == [("SPY", OPEN + 3 * MIN, OPEN + 5 * MIN)]
    assert rows["ts_open"].tolist() == [OPEN + k * MIN for k in range(10) if k != 4]
    assert rows["high"][3] == truth["high"][3]
    assert values(store.read("SPY", OPEN, OPEN + 10 * MIN)).tobytes() == values(rows).tobytes()
    assert store.missing("SPY", OPEN, OPEN + 10 * MIN) == []


def test_doubt_of_what_was_never_stored_costs_nothing(desk):
    archive, _, store = desk
    archive.doubt("QQQ", OPEN, OPEN + MIN)
    assert len(archive.read("QQQ", OPEN, OPEN + MIN).rows) == 0
    assert list(store.days("QQQ")) == []
