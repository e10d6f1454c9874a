"""What the history tests share: the folder of real recordings, and a day of bars that a person can check."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

REAL = Path(__file__).parents[2] / "../shared/realdata"


@pytest.fixture
def real(realdata: Path) -> Path:
    """The folder of real recordings; skips where it is absent."""
    return realdata


def facts() -> list[dict[str, str]]:
    """Return the rows of FACTS.csv, written by another program; empty when the recordings are not here."""
    if not (REAL / "FACTS.csv").is_file():
        return []
    with (REAL / "FACTS.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `bar_fact` one row of FACTS.csv for every bar file; one skipped case when the recordings are not here."""
    if "bar_fact" in metafunc.fixturenames:
        rows = [row for row in facts() if row["rth_bars_expected_on_days_present"]]
        skipped = [pytest.param(None, marks=pytest.mark.skip(reason="no real recordings beside the repository (../shared/realdata)"))]
        metafunc.parametrize("bar_fact", rows or skipped, ids=[f"{r['set']}/{r['file']}" for r in rows] or ["none"])


@pytest.fixture
def day() -> tuple[np.ndarray, list[list[float]]]:
    """Return the minutes of 2024-03-11 (a Monday, the first after the clocks changed): ts int64 ns UTC (390,), [o, h, l, c, v]."""
    start = np.datetime64("2024-03-11T13:30", "ns").astype(np.int64)
    ts = start + np.arange(390, dtype=np.int64) * 60_000_000_000
    values = [[100 + k / 100, 100.05 + k / 100, 99.95 + k / 100, 100.02 + k / 100, 1000 + k] for k in range(390)]
    return ts, values


@pytest.fixture
def write_csv(tmp_path):
    """Return a function that writes lines of values below a header and gives the path."""

    def write(name: str, header: str, rows: list) -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *(",".join(str(v) for v in row) for row in rows)]) + "\n")
        return path

    return write


@pytest.fixture
def benchmark_seconds():
    """Return a function that gives the best of three processor times of a call [s]."""
    import time

    def best(call) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        return min(times)

    return best
