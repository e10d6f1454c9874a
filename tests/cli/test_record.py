"""`workbench record` as a person runs it: a process of its own, ended by a signal or killed, and what it leaves plays and audits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench.assembly import assemble
from workbench.clock import monotonic_ns
from workbench.config import Settings
from workbench.history.recorded import days_in, market_files, read_recorded
from workbench.sources.replay import ReplaySource


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workbench.cli.main", "record", "--symbols", "SPY,KO", "--speed", "60", "--data-dir", str(folder)]
    return subprocess.Popen(
        [*command, "--json", "--say-every-s", "0.05", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def lines_until(process: subprocess.Popen[str], n_prints: int) -> dict:
    """Return the first line that tells of so many published prints."""
    assert process.stdout is not None
    for line in process.stdout:
        told = json.loads(line)
        if told["published"]["trades"] >= n_prints:
            return told
    pytest.fail(process.stderr.read() if process.stderr else "it ended")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "workbench.cli.main", *arguments], capture_output=True, text=True, check=False)


def prints_in(folder: Path) -> np.ndarray:
    parts = [one.rows for path in market_files(folder) if "trades" in str(path) and (one := read_recorded(path)) is not None]
    return np.concatenate(parts)


def test_simulated_markets_of_another_seed_or_speed_are_not_mixed_in_one_recording(tmp_path):
    chosen = ({}, {"seed": 8}, {"speed": 60.0}, {"seed": 8, "speed": 0.5})
    folders = [assemble(Settings(data_dir=tmp_path, source="simulated", **one)).recorder.folder for one in chosen]
    names = ["simulated-seed7-speed1", "simulated-seed8-speed1", "simulated-seed7-speed60", "simulated-seed8-speed0.5"]
    assert [folder.relative_to(tmp_path).as_posix() for folder in folders] == [f"recorded/{name}" for name in names]


@pytest.mark.slow
def test_a_killed_record_loses_nothing_and_the_next_one_is_ready_within_ten_seconds(tmp_path):
    folder = tmp_path / "recorded" / "simulated-seed7-speed60"
    process = start(tmp_path)
    told = lines_until(process, 60)
    assert told["recorded"]["trades"] >= told["published"]["trades"]
    refused = run("record", "--speed", "60", "--data-dir", str(tmp_path))
    assert (refused.returncode, f"by process {process.pid}" in refused.stderr) == (1, True)
    process.kill()
    rest = [json.loads(line) for line in process.communicate()[0].splitlines() if line.endswith("}")]
    published = max(one["published"]["trades"] for one in [told, *rest])
    begin = monotonic_ns()
    again = start(tmp_path)
    lines_until(again, 0)
    assert (monotonic_ns() - begin) / 1e9 < 10
    again.send_signal(signal.SIGTERM)
    last = json.loads(again.communicate()[0].splitlines()[-1])
    assert again.returncode == 0
    n = len(prints_in(folder))
    assert n >= published + last["recorded"]["trades"]
    files = [path for path in market_files(folder) if "trades" in str(path)]
    audited = run("data", "audit", str(files[0]))
    assert (audited.returncode, "rows of trades" in audited.stdout) == (0, True)
    (day,) = days_in(folder)
    assert set(ReplaySource(day).info.symbols) <= {"SPY", "KO"}
