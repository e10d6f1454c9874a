"""The write-ahead file: frames come back as they were, and a file that was cut or spoiled gives what is whole in it."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scorecard import count
from tests.stubs import MIN, SEC, TEN, bar, go, live, prints, quotes, replayed
from workbench.history.ledger import read_facts
from workbench.history.recorded import days_in, market_files, read_quarantined, read_recorded
from workbench.recorder.journal import HEADER, Code, Frame, Journal, framed, frames, segments
from workbench.recorder.recorder import Recorder
from workbench.sessions import SessionCalendar
from workbench.types import BarSource

CALENDAR = SessionCalendar.xnys()
codes = st.sampled_from(list(Code))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(codes, st.integers(0, 2**62), st.binary(max_size=200)), max_size=8))
def test_frames_come_back_as_they_were_appended(told):
    content = b"".join(framed(*one) for one in told)
    assert list(frames(content)) == [Frame(*one) for one in told]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(codes, st.integers(0, 2**62), st.binary(max_size=60)), min_size=1, max_size=6), st.data())
def test_a_spoiled_byte_costs_the_frame_that_holds_it(told, data):
    parts = [framed(*one) for one in told]
    content = bytearray(b"".join(parts))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    ends = np.cumsum([len(part) for part in parts])
    hit = int(np.searchsorted(ends, at, side="right"))
    assert list(frames(bytes(content))) == [Frame(*one) for k, one in enumerate(told) if k != hit]


@pytest.mark.soak("torn")
def test_a_segment_cut_anywhere_keeps_what_is_whole_and_doubles_nothing(tmp_path, cases):
    """Cut at random bytes; the recorder starts on what is left, twice, and holds the prints of the frames before the cut."""
    chance = np.random.default_rng(23)
    hub, _source, clock = live(TEN)
    hub.watch("SPY")
    recorder = Recorder(hub, tmp_path / "whole")
    recorder.start()
    for k in range(40):
        go(hub, clock, TEN + k * SEC)
        hub.on_trades(prints([(TEN + k * SEC + i, 100.0, 1) for i in range(int(chance.integers(1, 9)))], first_sequence=1 + 10 * k))
        hub.on_quotes(quotes([(TEN + k * SEC, 99.0, 101.0)]))
        hub.pump()
    (path,) = segments(tmp_path / "whole" / "wal")
    content = path.read_bytes()
    recorder.stop()
    ends = np.cumsum([HEADER.size + len(frame.payload) for frame in frames(content)])
    told = list(frames(content))
    n_prints = np.cumsum([len(frame.payload) // 80 if frame.code is Code.TRADES else 0 for frame in told])
    (whole,) = [read_recorded(one).rows for one in market_files(tmp_path / "whole") if "trades" in str(one)]
    assert n_prints[-1] == len(whole)
    for k in range(count("torn")):
        cut = int(chance.integers(0, len(content) + 1))
        folder = tmp_path / f"cut{k}"
        (folder / "wal").mkdir(parents=True)
        (folder / "wal" / path.name).write_bytes(content[:cut])
        for _ in range(2):
            again = Recorder(replayed(TEN)[0], folder)
            again.start()
            again.stop()
        n_whole = int(np.searchsorted(ends, cut, side="right"))
        expected = whole[: n_prints[n_whole - 1]] if n_whole else whole[:0]
        got = [read_recorded(one).rows for one in market_files(folder) if "trades" in str(one)]
        is_right = got[0].tobytes() == expected.tobytes() if got else not len(expected)
        cases.n += 1
        if not is_right:
            cases.failed.append(f"cut at {cut}")
    assert cases.failed == []


def test_a_frame_that_the_disk_takes_only_half_of_is_cut_off_again(tmp_path, monkeypatch):
    journal = Journal(tmp_path, 1, list)
    journal.append(Code.TRADES, 1, b"first")
    real = os.write

    def half(handle: int, content: bytes) -> int:
        if len(content) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, content[:50])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.append(Code.TRADES, 2, b"x" * 110)
    monkeypatch.undo()
    journal.append(Code.TRADES, 3, b"third")
    journal.close()
    assert [frame.payload for frame in frames(journal.path.read_bytes())] == [b"first", b"third"]
    assert journal.path.stat().st_size == journal.size


def test_everything_the_hub_tells_comes_back_field_by_field(tmp_path):
    hub, _source, clock = live(TEN)
    recorder = Recorder(hub, tmp_path)
    recorder.start()
    hub.watch("SPY")
    hub.watch("BCpC")
    rows = np.concatenate(
        [prints([(TEN + SEC, 100.01, 7, 37, 14), (TEN + 2 * SEC, 100.02, 0.5)]), prints([(TEN + SEC, 9.0, 1)], symbol_id=1)]
    )
    rows["exchange"], rows["tape"], rows["id"], rows["sequence"] = 4, 3, b"a1", [2**60 + 1, 2, 3]
    told_quotes = quotes([(TEN, 99.5, 101.0), (TEN + 5, 99.5, 0.0)])
    told_quotes["condition"], told_quotes["exchange"], told_quotes["sequence"] = 1, 12, 2**55 + 3
    minute = bar(TEN - MIN, 99.0, source=BarSource.PROVIDER, vwap=98.7, vw_std=0.1, n_trades=12.0)
    clock.ns = TEN + 3 * SEC
    hub.on_trades(rows.copy())
    hub.on_quotes(told_quotes.copy())
    hub.on_bars("SPY", minute.copy())
    hub.on_trades(prints([(TEN + SEC, -1.0, 1)], first_sequence=50))
    hub.on_reject("no JSON", "not a symbol!", b"\xff{", TEN)
    hub.on_correction("SPY", TEN + SEC, "cancelled")
    hub.pump()
    recorder.stop()
    files = {path.relative_to(days_in(tmp_path)[0]).as_posix(): path for path in market_files(tmp_path)}
    trades = read_recorded(files["trades/symbol=SPY.parquet"])
    assert trades.rows.tobytes() == rows[:2].tobytes()
    assert read_recorded(files["trades/symbol=BC%70C.parquet"]).rows["price"].tolist() == [9.0]
    got = read_recorded(files["quotes/symbol=SPY.parquet"]).rows
    assert (got["bid"].tolist(), np.isnan(got["ask"]).tolist(), got["sequence"].tolist()) == ([99.5, 99.5], [False, True], [2**55 + 3] * 2)
    assert (got["condition"].tolist(), got["exchange"].tolist()) == ([1, 1], [12, 12])
    bars = read_recorded(files["bars/symbol=SPY.parquet"]).rows
    assert [bars[name][0] for name in ("close", "vwap", "vw_std", "n_trades", "source")] == [99.0, 98.7, 0.1, 12.0, BarSource.PROVIDER]
    aside = [line for path in sorted((days_in(tmp_path)[0] / "quarantined").iterdir()) for line in read_quarantined(path)]
    assert [(symbol, reason) for _, symbol, reason, _ in aside] == [("SPY", "price not a number above 0"), ("UNNAMED", "no JSON")]
    assert read_facts(days_in(tmp_path)[0]).corrections == [("SPY", TEN + SEC, "cancelled")]


def test_rows_go_to_the_new_york_day_they_happened_on(tmp_path):
    hub, _source, clock = live(TEN)
    hub.watch("SPY")
    recorder = Recorder(hub, tmp_path)
    recorder.start()
    clock.ns = TEN + 24 * 60 * MIN
    hub.on_trades(prints([(TEN + SEC, 100.0, 1), (TEN + 24 * 60 * MIN - SEC, 100.0, 2)]))
    hub.pump()
    recorder.stop()
    sizes = {path.parent.parent.name: read_recorded(path).rows["size"].tolist() for path in market_files(tmp_path)}
    assert sizes == {"date=2026-11-18": [1.0], "date=2026-11-19": [2.0]}
