"""SIGKILL at any moment: what anybody was told is recorded, nothing is doubled, and the next start is as quick as any other."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal

import numpy as np
import pytest

from tests.recorder.victim import nursery, publish
from tests.scorecard import count
from tests.stubs import replayed
from workbench.clock import sleep_s
from workbench.history.recorded import market_files, read_recorded
from workbench.recorder.recorder import Recorder

READY_S = 10.0


class Victim:
    """One process that publishes and records; `told` is the last number that it said was published."""

    def __init__(self, folder, run: str, segment_bytes: int) -> None:
        context = nursery()
        self._heard, tell = context.Pipe(duplex=False)
        self.process = context.Process(target=publish, args=(folder, run, segment_bytes, tell), daemon=True)
        self.process.start()
        tell.close()
        assert self._heard.poll(60), "the process never got ready"
        self.start_s: float = self._heard.recv()
        self.told = 0

    def wait_told(self) -> None:
        """Wait until it has published something."""
        while not self.told:
            assert self._heard.poll(60)
            self.told = self._heard.recv()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(10)
        with contextlib.suppress(EOFError, pickle.UnpicklingError):
            while self._heard.poll():
                self.told = self._heard.recv()
        self._heard.close()
        self.process.close()


def put_away(folder) -> None:
    """Start a recorder in the folder and stop it: whatever the last one left is put into the day files."""
    hub, _ = replayed()
    recorder = Recorder(hub, folder)
    recorder.start()
    recorder.stop()
    assert (recorder.status().trouble, recorder.status().n_waiting) == ("", 0)


def sequences(folder, run: str) -> np.ndarray:
    parts = [one.rows["sequence"] for path in market_files(folder) if (one := read_recorded(path)) is not None and run in one.symbols]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@pytest.mark.slow
@pytest.mark.soak("kill")
def test_what_was_published_is_recorded_once_however_often_the_process_is_killed(tmp_path, cases):
    """All kills in one folder: each start finds what the one before left, in the middle of compacting too."""
    chance = np.random.default_rng(17)
    wanted: dict[str, int] = {}
    for k in range(count("kill")):
        run = f"R{k}"
        victim = Victim(tmp_path, run, int(chance.choice([2_000, 40_000, 1_000_000])))
        if chance.random() < 0.8:
            victim.wait_told()
        sleep_s(float(chance.uniform(0.0, 0.4)))
        victim.kill()
        wanted[run] = victim.told
        cases.n += 1
        if victim.start_s > READY_S:
            cases.failed.append(f"{run}: ready after {victim.start_s} s")
    put_away(tmp_path)
    for run, told in wanted.items():
        got = sequences(tmp_path, run)
        if len(got) < told or not np.array_equal(got, np.arange(1, len(got) + 1)):
            cases.failed.append(f"{run}: {told} published, {len(got)} recorded")
    assert cases.failed == []
    assert sum(wanted.values()) > 0
    assert not list((tmp_path / "wal").glob("*.wal"))


@pytest.mark.slow
def test_a_kill_while_day_files_are_written_doubles_and_loses_nothing(tmp_path):
    """The second process has much to put away, and is killed at once, at several moments of it."""
    first = Victim(tmp_path, "R0", 20_000)
    first.wait_told()
    sleep_s(0.5)
    first.kill()
    for k, pause_s in enumerate((0.0, 0.01, 0.03, 0.08), start=1):
        victim = Victim(tmp_path, f"R{k}", 5_000)
        sleep_s(pause_s)
        victim.kill()
    for _ in range(2):  # the second time there is nothing left to do
        put_away(tmp_path)
        got = sequences(tmp_path, "R0")
        assert len(got) >= first.told > 0
        assert np.array_equal(got, np.arange(1, len(got) + 1))
