"""The recorder: one a folder, loud when the disk refuses, in nobody's way, and honest about what is missing."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.sources.contract import wait_for
from tests.stubs import MIN, OPEN, SEC, TEN, go, live, prints, replayed, tape
from workbench.errors import ConfigError, StoreError
from workbench.history.audit import audit
from workbench.history.ledger import read_missing
from workbench.history.recorded import days_in, market_files, read_recorded
from workbench.recorder import recorder as module
from workbench.recorder.journal import segments
from workbench.recorder.recorder import Recorder
from workbench.sources.base import FeedGap, SourceInfo
from workbench.sources.tape import read_tape


def recorded(folder) -> np.ndarray:
    parts = [one.rows for path in market_files(folder) if "trades" in str(path) and (one := read_recorded(path)) is not None]
    return np.concatenate(parts) if parts else np.zeros(0)


@pytest.fixture
def running(tmp_path):
    """Return a function that makes a live hub with a running recorder; all are stopped in the end."""
    made = []

    def make(folder=tmp_path, **options):
        hub, source, clock = live(TEN)
        hub.watch("SPY")
        recorder = Recorder(hub, folder, **{"sync_s": 0.01, **options})
        recorder.start()
        made.append(recorder)
        return hub, clock, recorder, source

    yield make
    for recorder in made:
        recorder.stop()


def trade(hub, clock, k: int) -> None:
    """Let one print happen `k` seconds after ten; its sequence is k + 1."""
    go(hub, clock, TEN + k * SEC)
    hub.on_trades(prints([(TEN + k * SEC, 100.0, 1)], first_sequence=k + 1))
    hub.pump()


# -- the switch ------------------------------------------------------------------------------------------------------------


def test_it_is_switched_on_and_off_while_the_hub_runs_and_what_came_between_is_not_there(running, tmp_path):
    hub, clock, recorder, _ = running()
    trade(hub, clock, 0)
    recorder.stop()
    trade(hub, clock, 1)
    recorder.start()
    recorder.start()
    trade(hub, clock, 2)
    recorder.stop()
    recorder.stop()
    assert recorded(tmp_path)["sequence"].tolist() == [1, 3]
    assert (recorder.status().recorded["trades"], recorder.status().reason) == (2, "not recording")
    assert hub.health().errors == 0


def test_a_second_recorder_in_the_folder_is_refused_and_told_who_has_it(running, tmp_path):
    running()
    script = (
        "import sys; from pathlib import Path; from tests.stubs import replayed; from workbench.recorder.recorder import Recorder\n"
        "from workbench.errors import StoreError\n"
        "try: Recorder(replayed()[0], Path(sys.argv[1])).start()\n"
        "except StoreError as error: print(error)"
    )
    said = f"is being recorded already, by process {os.getpid()}; allowed: one recorder a folder"
    assert said in subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True).stdout
    with pytest.raises(StoreError, match=said):
        Recorder(replayed()[0], tmp_path).start()


def test_a_recording_is_not_recorded_again(tmp_path):
    hub, source = replayed()
    source.info = SourceInfo("replay", "a file", is_replay=True)
    with pytest.raises(ConfigError, match="received a replay"):
        Recorder(hub, tmp_path).start()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_made_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"record: can't write in .*file/below"):
        Recorder(replayed()[0], tmp_path / "file" / "below").start()


@pytest.mark.parametrize("why", ["another recorder", "a file in its place", "a full disk"])
def test_a_recorder_that_can_not_begin_says_so_and_begins_when_it_can(tmp_path, monkeypatch, caplog, why):
    monkeypatch.setattr(module, "RETRY_S", 0.02)
    folder = tmp_path / "recorded"
    hub, _, clock = live(TEN)
    hub.watch("SPY")
    recorder = Recorder(hub, folder, sync_s=0.01)
    other = Recorder(replayed()[0], folder)
    with monkeypatch.context() as patch:
        if why == "another recorder":
            other.start()
        elif why == "a file in its place":
            folder.write_text("")
        else:
            patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(StoreError):
            recorder.start()
        assert not recorder.is_on
        recorder.start(insists=True)
        trade(hub, clock, 1)
        status = recorder.status()
        assert (recorder.is_on, status.recorded["trades"], status.lost["trades"]) == (True, 0, 1)
        said = {"another recorder": "recorded already", "a file in its place": "File exists", "a full disk": "No space left"}[why]
        assert status.trouble.startswith("nothing is recorded: record: ") and said in status.trouble
        assert status.trouble.endswith("; it is tried again by itself")
        assert wait_for(lambda: caplog.text.count("nothing is recorded") >= 2)
        other.stop()
        folder.unlink() if folder.is_file() else None
    assert wait_for(lambda: not recorder.status().trouble)
    trade(hub, clock, 240)
    recorder.stop()
    assert recorded(folder)["sequence"].tolist() == [241]
    missing = {minute: reason for minute, _, reason in read_missing(days_in(folder)[0])}
    assert missing[TEN] == "the recorder was not running"
    assert hub.health().errors == 0


def test_a_recorder_that_never_could_begin_can_be_stopped_and_leaves_the_others_folder_alone(tmp_path):
    other_hub, _, clock = live(TEN)
    other_hub.watch("SPY")
    other = Recorder(other_hub, tmp_path)
    other.start()
    trade(other_hub, clock, 0)
    recorder = Recorder(live(TEN)[0], tmp_path, sync_s=0.01)
    recorder.start(insists=True)
    recorder.stop()
    assert (recorder.is_on, "tried again" in recorder.status().trouble) == (False, False)
    assert len(segments(tmp_path / "wal")) == 1
    trade(other_hub, clock, 1)
    other.stop()
    assert recorded(tmp_path)["sequence"].tolist() == [1, 2]


# -- bounded ---------------------------------------------------------------------------------------------------------------


def test_segments_are_put_away_while_recording_goes_on(running, tmp_path):
    hub, clock, recorder, _ = running(segment_bytes=5_000)
    rows = tape(3, minutes=12, per_minute=40)
    for k in range(0, len(rows), 20):
        go(hub, clock, int(rows["ts_recv"][min(k + 19, len(rows) - 1)]))
        hub.on_trades(rows[k : k + 20].copy())
        hub.pump()
    assert wait_for(lambda: len(recorded(tmp_path)) > 400)
    assert wait_for(lambda: recorder.status().n_waiting == 0)
    assert len(segments(tmp_path / "wal")) == 1
    recorder.stop()
    assert recorded(tmp_path).tobytes() == rows.tobytes()
    assert recorder.status().n_bytes > rows.nbytes


def test_segments_met_again_after_a_crash_are_not_added_twice(running, tmp_path):
    hub, clock, recorder, _ = running()
    for k in range(5):
        trade(hub, clock, k)
    (path,) = segments(tmp_path / "wal")
    shutil.copy(path, tmp_path / "kept")
    recorder.stop()
    shutil.copy(tmp_path / "kept", path)  # as when the process had been killed before it deleted the segment
    for _ in range(2):
        again = Recorder(replayed(TEN)[0], tmp_path)
        again.start()
        again.stop()
    assert recorded(tmp_path)["sequence"].tolist() == [1, 2, 3, 4, 5]
    assert segments(tmp_path / "wal") == []


def test_a_day_file_that_can_not_be_read_is_set_aside_and_recording_goes_on(running, tmp_path, caplog):
    hub, clock, recorder, _ = running()
    trade(hub, clock, 0)
    recorder.stop()
    (path,) = [one for one in market_files(tmp_path) if "trades" in str(one)]
    path.write_bytes(b"PAR1 no more")
    recorder.start()
    trade(hub, clock, 1)
    recorder.stop()
    assert recorded(tmp_path)["sequence"].tolist() == [2]
    assert path.with_name(path.name + ".broken1").read_bytes() == b"PAR1 no more"
    assert "set aside as symbol=SPY.parquet.broken1" in caplog.text


def test_a_day_file_with_a_spoiled_footer_is_set_aside_and_the_segments_do_not_wait_for_ever(running, tmp_path, caplog):
    hub, clock, recorder, _ = running()
    trade(hub, clock, 0)
    recorder.stop()
    (path,) = [one for one in market_files(tmp_path) if "trades" in str(one)]
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[footer + 3 : footer + 40] = bytes(37)
    path.write_bytes(content)
    recorder.start()
    trade(hub, clock, 1)
    recorder.stop()
    assert (recorder.status().trouble, recorder.status().n_waiting) == ("", 0)
    assert recorded(tmp_path)["sequence"].tolist() == [2]
    assert "set aside as symbol=SPY.parquet.broken1" in caplog.text


# -- the disk refuses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "No space left"), (errno.EIO, "Input/output error"), (errno.EROFS, "Read-only")]
)
def test_a_disk_that_refuses_stops_the_recorder_loudly_and_nothing_else(running, tmp_path, monkeypatch, caplog, number, words):
    monkeypatch.setattr(module, "RETRY_S", 0.02)
    hub, clock, recorder, _ = running()
    trade(hub, clock, 0)
    real, is_full = os.write, [True]

    def write(handle: int, content: bytes) -> int:
        if is_full[0]:
            raise OSError(number, os.strerror(number))
        return real(handle, content)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        for k in range(1, 60):
            trade(hub, clock, 2 * k)
        status = recorder.status()
        assert words in status.trouble
        assert "resumes by itself" in status.reason
        assert (status.recorded["trades"], status.lost["trades"]) == (1, 59)
        assert caplog.text.count("recording stopped") >= 1
        assert hub.health().errors == 0
        assert hub.last_trade("SPY").sequence == 119
        is_full[0] = False
        assert wait_for(lambda: not recorder.status().trouble)
    trade(hub, clock, 240)
    recorder.stop()
    assert recorded(tmp_path)["sequence"].tolist() == [1, 241]
    missing = {minute: why for minute, _, why in read_missing(days_in(tmp_path)[0])}
    assert words in missing[TEN]
    assert words in missing[TEN + MIN]
    assert len(segments(tmp_path / "wal")) == 0


def test_no_segment_is_begun_after_the_recorder_was_stopped_while_the_disk_refused(tmp_path, monkeypatch):
    class Due(threading.Event):
        """Lets the syncing thread pass at the moment when the recorder is being stopped."""

        def __init__(self) -> None:
            super().__init__()
            self.now, self.has_passed = threading.Event(), threading.Event()

        def wait(self, _timeout: float | None = None) -> bool:
            if self.has_passed.is_set():
                return super().wait(0.01)
            self.now.wait(5)
            self.has_passed.set()
            return False

    hub, _, clock = live(TEN)
    hub.watch("SPY")
    recorder = Recorder(hub, tmp_path)
    recorder._stopping = due = Due()
    recorder.start()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        trade(hub, clock, 0)
    assert recorder.status().trouble
    recorder._retry_ns = 0
    ended = recorder._end_journal

    def end() -> None:
        ended()
        if threading.current_thread() is threading.main_thread():
            due.now.set()
            assert due.has_passed.wait(5)

    monkeypatch.setattr(recorder, "_end_journal", end)
    recorder.stop()
    assert recorder._journal is None
    assert segments(tmp_path / "wal") == []
    assert "resumes" not in recorder.status().reason


def test_a_gap_that_is_told_while_the_disk_refuses_is_in_the_ledger_all_the_same(running, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0.02)
    hub, clock, recorder, source = running()
    go(hub, clock, TEN + 10 * MIN)
    assert wait_for(lambda: recorder._alive_ns == hub.applied_ns)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        trade(hub, clock, 601)
        source.sink.on_gap(FeedGap(TEN + 4 * MIN, TEN + 6 * MIN, "the line broke"))
        hub.pump()
        assert recorder.status().trouble
    assert wait_for(lambda: not recorder.status().trouble)
    go(hub, clock, TEN + 12 * MIN)
    recorder.stop()
    missing = {(minute - TEN) // MIN: why for minute, symbol, why in read_missing(days_in(tmp_path)[0]) if symbol == "SPY"}
    assert [k for k, why in missing.items() if why == "the line broke"] == [4, 5]


def test_day_files_that_can_not_be_written_wait_in_the_write_ahead_file(running, tmp_path, monkeypatch):
    hub, clock, recorder, _ = running()
    trade(hub, clock, 0)
    real = module.Compactor.run
    monkeypatch.setattr(module.Compactor, "run", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    recorder.stop()
    assert "No space left on device; what was recorded is safe" in recorder.status().trouble
    monkeypatch.setattr(module.Compactor, "run", real)
    recorder.start()
    recorder.stop()
    assert recorder.status().trouble == ""
    assert recorded(tmp_path)["sequence"].tolist() == [1]


# -- what is missing -------------------------------------------------------------------------------------------------------


def test_the_ledger_names_every_minute_of_the_watched_session_that_is_not_whole(running, tmp_path):
    hub, clock, recorder, source = running()
    for minute in range(20):  # no print in most of them: a quiet symbol is no gap
        go(hub, clock, TEN + minute * MIN)
        if minute == 5:
            source.sink.on_gap(FeedGap(TEN + 4 * MIN + 30 * SEC, TEN + 5 * MIN - SEC, "the line broke"))
            hub.pump()
        if minute == 10:
            recorder.stop()
        if minute == 12:
            recorder.start()
        if recorder.is_on:
            assert wait_for(lambda: recorder._alive_ns == hub.applied_ns)
    go(hub, clock, TEN + 20 * MIN)
    recorder.stop()
    missing = {((minute - TEN) // MIN): why for minute, symbol, why in read_missing(days_in(tmp_path)[0]) if symbol == "SPY"}
    assert {k: why for k, why in missing.items() if k >= 0} == {
        4: "the line broke", 10: "the recorder was not running", 11: "the recorder was not running",
    }  # fmt: skip
    before = [k for k in missing if k < 0]
    assert (min(before), len(before), {missing[k] for k in before}) == ((OPEN - TEN) // MIN - 330, 360, {"the recorder was not running"})


def test_days_left_unfinished_and_days_without_a_recorder_are_judged_at_the_next_start(running, tmp_path):
    hub, clock, recorder, _ = running()
    go(hub, clock, TEN + MIN)
    recorder.stop()
    hub, _, _ = live(TEN + 2 * 24 * 60 * MIN)  # Friday; Thursday nobody was there
    later = Recorder(hub, tmp_path)
    later.start()
    later.stop()
    counts = {day.name: len(read_missing(day)) for day in days_in(tmp_path)}
    assert counts == {"date=2026-11-18": 959, "date=2026-11-19": 960}


def test_a_line_that_broke_one_day_and_is_back_on_another_is_missing_on_both(running, tmp_path):
    hub, clock, recorder, source = running()
    for day in (0, 1):
        for minute in (0, 10):
            go(hub, clock, TEN + (day * 24 * 60 + minute) * MIN)
            assert wait_for(lambda: recorder._alive_ns == hub.applied_ns)
        if not day:
            recorder.stop()
            recorder.start()  # what is told on the next day stands in another segment
    source.sink.on_gap(FeedGap(TEN + 5 * MIN, TEN + (24 * 60 + 3) * MIN, "the line broke"))
    hub.pump()
    recorder.stop()
    broken = [[m for m, symbol, why in read_missing(day) if symbol == "SPY" and why == "the line broke"] for day in days_in(tmp_path)]
    end_of_day = TEN + 10 * 60 * MIN
    assert broken[0] == list(range(TEN + 5 * MIN, end_of_day, MIN))
    assert broken[1][-1] == TEN + (24 * 60 + 2) * MIN


def test_a_process_without_a_handle_left_goes_on_recording_and_syncing(running, tmp_path, monkeypatch):
    hub, clock, recorder, _ = running()
    with monkeypatch.context() as patch:
        tried = []
        patch.setattr(os, "dup", lambda handle: tried.append(handle) or (_ for _ in ()).throw(OSError(errno.EMFILE, "Too many open files")))
        trade(hub, clock, 0)
        assert wait_for(lambda: len(tried) > 1)
    trade(hub, clock, 1)
    assert all(thread.is_alive() for thread in recorder._threads)
    recorder.stop()
    assert recorded(tmp_path)["sequence"].tolist() == [1, 2]


def test_a_symbol_watched_later_is_missing_before(running, tmp_path):
    hub, clock, recorder, _ = running()
    go(hub, clock, TEN + 3 * MIN)
    hub.watch("QQQ")
    go(hub, clock, TEN + 6 * MIN)
    recorder.stop()
    missing = {
        (minute - TEN) // MIN: why for minute, symbol, why in read_missing(days_in(tmp_path)[0]) if symbol == "QQQ" and minute >= TEN
    }
    assert missing == {0: "the symbol was not watched", 1: "the symbol was not watched", 2: "the symbol was not watched",
                       3: "the symbol was not watched before"}  # fmt: skip


def test_a_batch_that_is_lost_because_the_names_before_it_were_refused_is_counted_as_lost(running, monkeypatch):
    hub, clock, recorder, _ = running(sync_s=60.0)
    trade(hub, clock, 0)
    hub.watch("QQQ")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        trade(hub, clock, 1)
    status = recorder.status()
    assert (status.recorded["trades"], status.lost["trades"], bool(status.trouble)) == (1, 1, True)


def test_a_batch_whose_segment_was_the_last_that_the_disk_took_is_recorded_not_lost(running, tmp_path, monkeypatch):
    hub, clock, recorder, _ = running(segment_bytes=1, sync_s=60.0)
    with monkeypatch.context() as patch:
        patch.setattr(module.Journal, "begin", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        trade(hub, clock, 0)
        trade(hub, clock, 1)
    status = recorder.status()
    assert (status.recorded["trades"], status.lost["trades"], bool(status.trouble)) == (1, 1, True)
    recorder.stop()
    assert recorded(tmp_path)["sequence"].tolist() == [1]


def test_the_part_of_a_batch_that_the_disk_took_is_recorded_and_only_the_rest_is_lost(running, tmp_path, monkeypatch):
    hub, clock, recorder, _ = running(sync_s=60.0)
    monkeypatch.setattr(module, "ROWS_A_FRAME", 2)
    trade(hub, clock, 0)
    real, left = os.write, [1]

    def write(handle: int, content: bytes) -> int:
        if b"WBj1\x02" in bytes(content[:5]):
            left[0] -= 1
        return real(handle, content) if left[0] >= 0 else (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        hub.on_trades(prints([(TEN + k * SEC, 100.0, 1) for k in range(1, 6)], first_sequence=2))
        go(hub, clock, TEN + 5 * SEC)
    status = recorder.status()
    assert (status.recorded["trades"], status.lost["trades"]) == (3, 3)
    recorder.stop()
    assert recorded(tmp_path)["sequence"].tolist() == [1, 2, 3]


def test_a_recorded_file_is_audited_and_order_of_arrival_is_no_fault_of_it(running, tmp_path):
    hub, clock, recorder, _ = running()
    trade(hub, clock, 0)
    hub.on_trades(prints([(TEN + 9 * SEC, 100.0, 1), (TEN + 3 * SEC, 100.0, 1)], first_sequence=8))
    go(hub, clock, TEN + 10 * SEC)
    assert "newer events wait in" in " ".join(read_tape_notes(recorder, tmp_path))
    (path,) = [one for one in market_files(tmp_path) if "trades" in str(one)]
    report = audit(path)
    assert (report["rows"], report["out_of_order"], report["missing"]) == (3, 1, 389)
    assert report["score"] == pytest.approx(100 / 390, abs=0.06)


def read_tape_notes(recorder: Recorder, folder) -> list[str]:
    """Return what a replay says of a folder whose recorder has just begun again."""
    recorder.stop()
    recorder.start()
    notes = read_tape(folder).notes
    recorder.stop()
    return notes
