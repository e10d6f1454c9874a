"""A trading day at 60×: one hub with 20 symbols that records, four `panel serve` processes on it, a tab in each. Nothing grows.

Small runs look at a few minutes of the market, too short for a slope: there only threads, files and liveness are judged.
"""

from __future__ import annotations

import time

import numpy as np
import psutil
import pytest

from tests.api.hub_process import HubProcess
from tests.browser.panel_server import panel_serve
from tests.scorecard import IS_FULL, count

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ALL = "SPY,QQQ,IWM,DIA,AAPL,MSFT,NVDA,AMD,AVGO,SMH,TSLA,META,AMZN,GOOGL,NFLX,PLTR,COIN,MSTR,JPM,XOM"
SYMBOLS = ALL if IS_FULL else "SPY,QQQ,AAPL,NVDA"  # a small machine serves few at this speed
SPEED = 60
DESKS = 4 if IS_FULL else 2
WARM_MIN, SAMPLE_MIN = 60, 5 if IS_FULL else 1  # of the market
MB = 1 << 20
MOST_MB_PER_HOUR = 1.0  # of the market's time


def look(processes: list[psutil.Process]) -> list[tuple[float, int, int]]:
    """Return memory [MB], threads and open files of every process."""
    return [(one.memory_info().rss / MB, one.num_threads(), one.num_fds()) for one in processes]


@pytest.mark.soak("session-60x")
def test_a_day_at_sixty_times_the_speed_leaves_memory_threads_and_files_flat(root, tmp_path, open_page, cases):
    minutes = count("session-60x")
    with (
        HubProcess(tmp_path, "--speed", str(SPEED), "--symbols", SYMBOLS, "--record") as hub,
        panel_serve(root, tmp_path, hub.port, DESKS) as (url, panel),
    ):
        pages = [open_page(url) for _ in range(2 * DESKS if IS_FULL else DESKS)]  # which process serves a page is the system's choice
        watched = [psutil.Process(hub.process.pid), *psutil.Process(panel.pid).children()]
        assert len(watched) >= DESKS
        samples = []
        began = time.monotonic()
        while (passed := (time.monotonic() - began) * SPEED / 60) < minutes:
            for page in pages:
                page.page.wait_for_timeout(1000 * SAMPLE_MIN * 60 / SPEED / len(pages))
            samples.append((passed / 60, look(watched)))
            assert hub.get("/readyz")[0] == 200
        health = hub.get("/api/quality")[1]["feed"]
        assert [page.snapshot()["symbol"] for page in pages] == ["SPY"] * len(pages)
    cases.n = minutes
    assert (health["dropped"], health["errors"]) == (0, 0)
    judge(samples)


def judge(samples: list) -> None:
    hours = np.array([hour for hour, _ in samples])
    for k, name in enumerate(["hub", *(f"desk {n}" for n in range(1, len(samples[0][1])))]):
        memory, threads, files = (np.array([look[k][column] for _, look in samples]) for column in range(3))
        warm = hours >= WARM_MIN / 60
        slope = np.polyfit(hours[warm], memory[warm], 1)[0] if warm.sum() > 3 else np.nan
        print(
            f"{name}: {memory[0]:.0f} to {memory[-1]:.0f} MB, {slope:+.2f} MB a market hour; threads {threads.min()}-{threads.max()}, files {files.min()}-{files.max()}"
        )
        late = warm if warm.sum() > 3 else slice(len(hours) // 2, None)
        assert np.ptp(threads[late]) <= 2, f"{name}: threads {threads}"
        assert np.ptp(files[late]) <= 4, f"{name}: files {files}"
        assert not IS_FULL or slope <= MOST_MB_PER_HOUR, f"{name} grows by {slope:.2f} MB a market hour"
