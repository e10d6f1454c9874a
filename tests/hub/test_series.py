"""Sequenced bars and their cursors: any reader, at any pace, holds what the series holds."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stubs import MIN, TEN, bar, bars
from workbench.hub.series import Numbering, Series
from workbench.types import BAR_DTYPE, Timeframe

MINUTE = Timeframe.parse("1m")


def series(capacity: int = 50) -> Series:
    return Series("SPY", MINUTE, capacity)


class Reader:
    """What a chart does: a dict of bars by stamp, replaced on a gap, else patched."""

    def __init__(self, of: Series, n: int | None = None) -> None:
        self.cursor, self.held, self.capacity = of.cursor(n), {}, of.capacity
        self.gaps, self.forming, self.seen = 0, None, []

    def read(self) -> None:
        update = self.cursor.read()
        if update.is_gap:
            self.held, self.gaps = {}, self.gaps + 1
        for row in update.rows:
            self.held[int(row["ts_open"])] = row.copy()
        self.seen += [] if update.is_gap else update.rows["seq"].tolist()
        self.forming = update.forming

    def rows(self) -> np.ndarray:
        newest = sorted(self.held)[-self.capacity :]
        return np.array([self.held[ts] for ts in newest], BAR_DTYPE)


# what the hub may do: (kind, minute, count)
steps = st.lists(
    st.tuples(st.sampled_from(["append", "upsert", "forming", "reset", "read"]), st.integers(0, 60), st.integers(1, 12)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(steps, st.integers(3, 40))
def test_a_cursor_of_any_pace_rebuilds_the_series_exactly(script, capacity):
    tested = series(capacity)
    readers = [Reader(tested), Reader(tested)]
    truth: dict[int, tuple] = {}  # a plain dict of what was said, cut to the capacity
    for k, (kind, minute, count) in enumerate(script):
        if kind == "append":
            ts = (max(truth) if truth else TEN) + MIN
            tested.append(bar(ts, 100 + k))
            truth[ts] = 100.0 + k
        elif kind == "upsert":
            rows = np.concatenate([bar(TEN + (minute + i) * MIN, 200 + k) for i in range(count)])
            oldest = min(truth) if len(truth) == capacity else 0
            rows = rows[rows["ts_open"] >= oldest]
            tested.upsert(rows)
            truth |= {int(row["ts_open"]): 200.0 + k for row in rows}
        elif kind == "forming":
            tested.set_forming(bar(TEN + 1000 * MIN, 1.0, is_partial=1))
        elif kind == "reset":
            tested.reset()
            truth = {}
        else:
            readers[1].read()
        truth = {ts: truth[ts] for ts in sorted(truth)[-capacity:]}
        readers[0].read()
        assert {int(r["ts_open"]): float(r["close"]) for r in readers[0].rows()} == truth
    readers[1].read()
    assert readers[1].rows().tobytes() == readers[0].rows().tobytes() == tested.rows().tobytes()


def test_a_reader_that_slept_too_long_is_told_and_given_a_snapshot():
    tested, reader = series(10), Reader(series(10))
    reader = Reader(tested)
    reader.read()
    for k in range(25):
        tested.append(bar(TEN + k * MIN, 100 + k))
    assert reader.cursor.lag == 25
    reader.read()
    assert reader.gaps == 2  # the first read and the overrun
    assert reader.rows()["close"].tolist() == [115.0 + k for k in range(10)]


def test_a_reset_reaches_every_cursor_as_a_gap_that_took_a_number():
    tested = series()
    tested.append(bar(TEN))
    cursor = tested.cursor()
    assert cursor.read().seq == 1
    tested.reset()
    assert cursor.has_news
    assert cursor.lag == 1
    update = cursor.read()
    assert (update.seq, update.is_gap, len(update.rows), update.forming) == (2, True, 0, None)
    assert not cursor.has_news
    tested.append(bar(TEN))
    assert cursor.read().is_gap is False


def test_a_reader_between_a_new_epoch_and_the_clearing_of_its_series_is_told_again():
    """A hub's reset raises the epoch first and clears series by series: bars read in between are of the old market."""
    numbering = Numbering(epoch=1000)
    tested = Series("SPY", MINUTE, 50, numbering)
    tested.append(bar(TEN))
    cursor = tested.cursor()
    assert cursor.read().epoch == 1000
    numbering.epoch += 1
    between = cursor.read()
    assert (between.epoch, between.is_gap, len(between.rows)) == (1001, True, 1)
    tested.reset()
    after = cursor.read()
    assert (after.epoch, after.is_gap, len(after.rows)) == (1001, True, 0)


# -- one numbering for all series of a hub ------------------------------------------------------------------------------------------


def several(capacity: int = 50) -> tuple[Numbering, list[Series]]:
    numbering = Numbering(epoch=5)
    return numbering, [Series(symbol, MINUTE, capacity, numbering) for symbol in ("SPY", "QQQ", "IWM")]


def test_one_number_resumes_a_reader_of_any_set_of_symbols():
    numbering, (spy, qqq, iwm) = several()
    for k in range(6):
        (spy, qqq)[k % 2].append(bar(TEN + k * MIN, 100 + k))
    at = numbering.seq
    assert (at, spy.seq, qqq.seq, iwm.seq) == (6, 5, 6, 0)
    iwm.append(bar(TEN, 50.0))
    spy.upsert(bars(range(TEN, TEN + 2 * MIN, MIN), price=70.0))
    told = {one.symbol: one.since(5, at) for one in (spy, qqq, iwm)}
    assert [told[name].rows["seq"].tolist() for name in ("SPY", "QQQ", "IWM")] == [[8, 9], [], [7]]
    assert not any(update.is_gap for update in told.values())


def test_a_bar_taken_back_is_a_gap_to_its_readers_and_gone_from_their_snapshot():
    numbering, (spy, qqq, _) = several()
    spy.upsert(bars(range(TEN, TEN + 3 * MIN, MIN)))
    qqq.append(bar(TEN))
    cursor, at = spy.cursor(), numbering.seq
    cursor.read()
    assert spy.remove(np.array([TEN + MIN, TEN + 9 * MIN])) == 1
    update = cursor.read()
    assert (update.is_gap, update.rows["ts_open"].tolist()) == (True, [TEN, TEN + 2 * MIN])
    assert not qqq.since(5, at).is_gap
    assert spy.remove(np.array([TEN + MIN])) == 0
    assert not cursor.has_news


def test_the_reset_of_one_series_is_a_gap_to_its_readers_alone():
    numbering, (spy, qqq, _) = several()
    spy.append(bar(TEN)), qqq.append(bar(TEN))
    at = numbering.seq
    spy.reset()
    spy.append(bar(TEN, 10.0))
    assert (spy.epoch, numbering.seq) == (5, 4)
    assert spy.since(5, at).is_gap
    assert not qqq.since(5, at).is_gap
    assert not spy.since(5, 3).is_gap


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["upsert", "upsert", "upsert", "reset", "read"]), st.integers(0, 9)), max_size=80
    ),
    st.integers(2, 12),
)
def test_a_reader_of_all_series_by_the_hubs_number_rebuilds_each_exactly(script, capacity):
    numbering, all_series = several(capacity)
    held: list[dict[int, float]] = [{}, {}, {}]
    at, numbers, n_gaps = 0, [], 0

    def read() -> None:
        nonlocal at, n_gaps
        newest = numbering.seq
        for k, one in enumerate(all_series):
            update = one.since(5, at)
            held[k] = {} if update.is_gap else held[k]
            held[k] |= dict(zip(update.rows["ts_open"].tolist(), update.rows["close"].tolist(), strict=True))
            held[k] = dict(sorted(held[k].items())[-capacity:])
            numbers.extend([] if update.is_gap else update.rows["seq"].tolist())
            n_gaps += update.is_gap
        at = newest

    for j, (k, kind, minute) in enumerate(script):
        if kind == "read":
            read()
        elif kind == "reset":
            all_series[k].reset()
        else:
            oldest = all_series[k].first_ns if len(all_series[k]) == capacity else 0
            rows = bars(range(TEN + minute * MIN, TEN + (minute + 3) * MIN, MIN), price=50.0 + j)
            all_series[k].upsert(rows[rows["ts_open"] >= oldest])
    read()
    for k, one in enumerate(all_series):
        rows = one.rows()
        assert held[k] == dict(zip(rows["ts_open"].tolist(), rows["close"].tolist(), strict=True))
    assert len(numbers) == len(set(numbers))


def test_a_hubs_count_of_changes_grows_with_forming_bars_too():
    numbering, (spy, _, _) = several()
    seen = [numbering.changes]
    for act in (lambda: spy.append(bar(TEN)), lambda: spy.set_forming(bar(TEN + MIN, is_partial=1)), spy.reset):
        act()
        seen.append(numbering.changes)
    assert seen == sorted(set(seen))
    assert numbering.seq == 2


def test_a_resume_reads_only_what_it_tells_however_long_the_log_is():
    """The place in the log is found by halving: a resume of 3 changes out of 2,000 looks at no more than a dozen numbers."""
    tested = Series("SPY", MINUTE, 5000)
    tested.upsert(bars(range(TEN, TEN + 2000 * MIN, MIN)))
    looked = []

    class Counted(np.ndarray):
        def __getitem__(self, at):
            looked.append(at)
            return super().__getitem__(at)

    view = tested._log.view

    class Log:
        capacity = tested._log.capacity
        view = staticmethod(lambda: view().view(Counted))

    tested._log = Log()
    assert tested.since(0, 1997).rows["seq"].tolist() == [1998, 1999, 2000]
    assert len(looked) < 25


def test_a_resume_from_another_epoch_or_from_the_future_is_a_snapshot_not_silence():
    tested = series()
    tested.upsert(bars(range(TEN, TEN + 5 * MIN, MIN)))
    assert tested.since(7, 5).is_gap
    assert tested.since(0, 99).is_gap
    assert not tested.since(0, 3).is_gap


def test_a_revision_has_a_new_sequence_number_that_every_cursor_sees():
    tested = series()
    tested.upsert(bars(range(TEN, TEN + 5 * MIN, MIN)))
    early, late = tested.cursor(), tested.cursor(2)
    early.read(), late.read()
    tested.upsert(bar(TEN, 123.0))
    for cursor in (early, late):
        rows = cursor.read().rows
        assert (rows["close"].tolist(), rows["revision"].tolist(), rows["seq"].tolist()) == ([123.0], [1], [6])


def test_saying_the_same_again_is_no_news():
    tested, rows = series(), bars(range(TEN, TEN + 5 * MIN, MIN))
    rows["vwap"][2] = np.nan
    tested.upsert(rows)
    cursor = tested.cursor()
    cursor.read()
    assert tested.upsert(rows) == 0
    assert not cursor.has_news


def test_sequence_numbers_have_no_hole_and_no_repeat():
    tested = series(500)
    reader = Reader(tested)
    reader.read()
    rng = np.random.default_rng(3)
    for k in range(60):
        tested.upsert(bar(TEN + int(rng.integers(0, 40)) * MIN, 100 + k))
        if k % 7 == 0:
            reader.read()
    reader.read()
    assert reader.seen == list(range(1, tested.seq + 1))


def test_rows_handed_out_are_the_readers_own():
    tested = series()
    tested.upsert(bars(range(TEN, TEN + 5 * MIN, MIN)))
    before = tested.rows().tobytes()
    update = tested.snapshot()
    update.rows["close"] = -1
    tested.rows_from(TEN)["close"] = -1
    assert tested.rows().tobytes() == before


def test_a_bar_just_closed_is_not_told_a_second_time_as_forming():
    tested = series()
    tested.set_forming(np.concatenate([bar(TEN, is_partial=1), bar(TEN + MIN, is_partial=1)]))
    tested.append(bar(TEN))
    update = tested.snapshot()
    assert update.rows["ts_open"].tolist() == [TEN]
    assert update.forming["ts_open"].tolist() == [TEN + MIN]
    tested.append(bar(TEN + MIN))
    assert tested.forming is None


def test_readers_in_other_threads_never_see_a_torn_or_older_state():
    tested = series(200)
    stop, wrong = threading.Event(), []

    def look() -> None:
        cursor, last = tested.cursor(), 0
        while not stop.is_set():
            update = cursor.read()
            opens = tested.rows()["ts_open"]
            if update.seq < last or (np.diff(opens) <= 0).any() or (update.rows["close"] != update.rows["open"]).any():
                wrong.append(update)
            last = update.seq

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for k in range(1500):
        tested.upsert(bar(TEN + (k - k % 5 * 3) * MIN + 60 * MIN, float(k + 1)))
        tested.set_forming(bar(TEN + 9999 * MIN, float(k + 1), is_partial=1))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_async_for_yields_each_change_and_waits_between():
    tested = series()
    tested.append(bar(TEN))

    async def collect() -> list[list[float]]:
        seen = []
        async for update in tested.cursor().stream(interval_s=0.001):
            seen.append(update.rows["close"].tolist())
            if len(seen) == 3:
                return seen
            tested.append(bar(TEN + len(seen) * MIN, 100.0 + len(seen)))
        return seen

    assert asyncio.run(collect()) == [[100.0], [101.0], [102.0]]


def test_a_cursor_opens_as_a_streamz_stream():
    pytest.importorskip("streamz")
    tested = series()
    tested.append(bar(TEN))

    async def collect() -> list[float]:
        seen: list[float] = []
        stream = tested.cursor().to_streamz(interval_s=0.001)
        stream.map(lambda update: update.rows["close"].tolist()).sink(seen.extend)
        assert seen == []
        stream.start()
        for k in (1, 2):
            while len(seen) < k:
                await asyncio.sleep(0.001)
            tested.append(bar(TEN + k * MIN, 100.0 + k))
        while len(seen) < 3:
            await asyncio.sleep(0.001)
        stream.stop()
        return seen

    assert asyncio.run(asyncio.wait_for(collect(), 10)) == [100.0, 101.0, 102.0]


def test_a_series_shows_itself_in_a_notebook_without_trusting_the_symbol():
    tested = Series("<b>", MINUTE, 5)
    tested.append(bar(TEN, 100.0, volume=1234.0))
    tested.set_forming(bar(TEN + MIN, 101.0, is_partial=1))
    html = tested._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "2026-11-18 10:00" in html
    assert "1,234" in html
    assert "forming" in html


def test_a_number_is_seen_only_when_the_series_that_has_it_says_so():
    """A reader that looked in between took the change for told, and it was lost to him for good."""
    seen = []

    class Watched(Numbering):
        def __setattr__(self, name, value):
            if name == "seq" and value:
                seen.append((value, series.seq, len(series._log)))
            super().__setattr__(name, value)

    series = Series("SPY", Timeframe.parse("1m"), 100, Watched(1))
    series.append(bar(TEN))
    series.upsert(np.concatenate([bar(TEN + MIN), bar(TEN + 2 * MIN)]))
    series.upsert(bar(TEN, close=101.0))
    series.upsert(bar(TEN - MIN))
    series.reset()
    assert seen == [(1, 1, 1), (3, 3, 3), (4, 4, 4), (5, 5, 5), (6, 6, 0)]
