"""What recording costs: the hub's intake with the recorder on and off, the write-ahead file beside a plain write, memory at full speed."""

from __future__ import annotations

import os
import resource
import shutil
import statistics

import numpy as np
import pytest

from tests.stubs import OPEN, ScriptedSource
from workbench.clock import ReplayClock, monotonic_ns
from workbench.history.recorded import market_files, read_recorded
from workbench.hub.hub import Hub
from workbench.recorder.journal import Code, Journal
from workbench.recorder.recorder import Recorder
from workbench.sessions import SessionCalendar
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE

BATCH, BATCHES, SYMBOLS = 200, 300, 20
NS = 1_000_000


def batches(n: int = BATCHES, first: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return prints and as many quotes of twenty symbols, a thousand a second each."""
    out = []
    for k in range(first, first + n):
        at = np.arange(k * BATCH, (k + 1) * BATCH)
        trades, quotes = np.zeros(BATCH, TRADE_DTYPE), np.zeros(BATCH, QUOTE_DTYPE)
        trades["ts_event"] = trades["ts_recv"] = quotes["ts_event"] = quotes["ts_recv"] = OPEN + at * NS
        trades["sequence"], trades["price"], trades["size"] = at + 1, 100 + (at % 37) / 100, 100.0
        trades["n_conditions"], trades["conditions"][:, 0] = 1, np.array([0, 14, 41])[at % 3]
        trades["symbol_id"] = quotes["symbol_id"] = at % SYMBOLS
        quotes["bid"], quotes["ask"] = 100.0, 100.4
        out.append((trades, quotes))
    return out


def fresh_hub() -> Hub:
    hub = Hub(ScriptedSource(clock=ReplayClock(OPEN)), calendar=SessionCalendar.xnys(), verify_every_s=0.0)
    for k in range(SYMBOLS):
        hub.watch(f"S{k}")
    hub.pump()
    return hub


def take_in(hub: Hub, told: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return prints and quotes a second [1/s]."""
    begin = monotonic_ns()
    for trades, quotes in told:
        hub.clock.advance_to(int(trades["ts_event"][-1]))
        hub.on_trades(trades)
        hub.on_quotes(quotes)
        hub.on_time(hub.clock.now_ns())
        hub.pump()
    return 2 * BATCH * len(told) / ((monotonic_ns() - begin) / 1e9)


@pytest.mark.bench
def test_the_hubs_intake_with_and_without_recording(tmp_path, floor):
    told = batches()
    take_in(fresh_hub(), told[:20])
    rates: dict[str, list[float]] = {"plain": [], "recorded": []}
    for k in range(5):
        rates["plain"].append(take_in(fresh_hub(), told))
        hub, folder = fresh_hub(), tmp_path / str(k)
        recorder = Recorder(hub, folder)
        recorder.start()
        rates["recorded"].append(take_in(hub, told))
        recorder.stop()
        n = sum(len(one.rows) for path in market_files(folder) if (one := read_recorded(path)) is not None)
        assert n == 2 * BATCH * BATCHES
        shutil.rmtree(folder)
    found = {name: statistics.median(rate) for name, rate in rates.items()}
    print(f"\nhub intake: {found['plain']:,.0f} events/s, recorded {found['recorded']:,.0f} events/s")
    floor("hub intake while recording, share of the intake without", found["recorded"] / found["plain"], least=0.5)


@pytest.mark.bench
def test_appending_beside_a_plain_write_of_the_same_bytes(tmp_path, floor):
    parts = [trades.tobytes() for trades, _ in batches()]
    rates: dict[str, list[float]] = {"plain": [], "journal": []}
    for k in range(5):
        handle = os.open(tmp_path / f"plain{k}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        begin = monotonic_ns()
        for part in parts:
            os.write(handle, part)
        rates["plain"].append((monotonic_ns() - begin) / 1e9)
        os.close(handle)
        journal = Journal(tmp_path / f"wal{k}", k, list)
        begin = monotonic_ns()
        for part in parts:
            journal.append(Code.TRADES, begin, part)
        rates["journal"].append((monotonic_ns() - begin) / 1e9)
        journal.close()
    n_bytes = sum(map(len, parts))
    found = {name: n_bytes / statistics.median(taken) / 1e6 for name, taken in rates.items()}
    print(f"\nappend of {BATCH} prints at a time: plain {found['plain']:,.0f} MB/s, journal {found['journal']:,.0f} MB/s")
    floor("write-ahead append, share of a plain write's speed", found["journal"] / found["plain"], least=0.25)


@pytest.mark.bench
def test_memory_does_not_grow_with_what_is_recorded(tmp_path, floor):
    hub = fresh_hub()
    for first, n in ((0, 6), (6, 18)):  # the first, put away in full, is what the second is measured by
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        recorder = Recorder(hub, tmp_path / str(n))
        recorder.start()
        for k in range(first, first + n):
            take_in(hub, batches(200, 200 * k))
        recorder.stop()
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"\npeak memory of {2 * BATCH * 200 * 18:,} events recorded, over that of a third as many: +{grown_mb:.1f} MB")
    floor("memory that recording three times as many events takes [MB]", grown_mb, most=100)
