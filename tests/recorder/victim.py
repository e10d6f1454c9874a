"""A hub with its recorder that feeds itself numbered prints as fast as it can, and says what it has published. Made to be killed.

Prints carry the sequences 1, 2, 3 … of one symbol, which names the run. Processes are forked from one that has everything loaded
(`nursery`), so that many can be killed in little time.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from tests.stubs import OPEN, ScriptedSource, play, replayed, tape
from workbench.clock import ReplayClock, monotonic_ns
from workbench.hub.hub import Hub
from workbench.recorder.recorder import Recorder
from workbench.sessions import SessionCalendar
from workbench.types import TRADE_DTYPE

NS_BETWEEN = 1_000_000
CALENDAR = SessionCalendar.xnys()  # before the fork: it takes seconds


def load_kernels() -> None:
    """Let a hub take prints once, before the fork too."""
    hub, _ = replayed()
    hub.watch("R")
    play(hub, tape(1))


load_kernels()


def nursery() -> Any:
    """Return the context whose processes begin with this module loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def publish(folder: Path, run: str, segment_bytes: int, tell: Connection) -> None:
    """Record and publish without end; `tell` gets the seconds until the recorder was ready, then how many prints were published."""
    source = ScriptedSource(clock=ReplayClock(OPEN))
    hub = Hub(source, calendar=CALENDAR, verify_every_s=0.0)
    hub.watch(run)
    began = monotonic_ns()
    recorder = Recorder(hub, folder, segment_bytes=segment_bytes, sync_s=0.02)
    recorder.start()
    tell.send((monotonic_ns() - began) / 1e9)
    hub.start()
    source.start(hub)
    chance = np.random.default_rng(int(run[1:]))
    at = 0
    while True:
        n = int(chance.integers(1, 400))
        rows = np.zeros(n, TRADE_DTYPE)
        rows["sequence"] = np.arange(at + 1, at + n + 1)
        rows["ts_event"] = rows["ts_recv"] = OPEN + rows["sequence"] * NS_BETWEEN
        rows["price"], rows["size"], rows["symbol_id"] = 100.0, 1.0, hub.symbols.intern(run)
        source.clock.advance_to(int(rows["ts_event"][-1]))
        hub.on_trades(rows)
        hub.on_time(source.clock.now_ns())
        at += n
        hub.wait_idle(1.0)
        tell.send(hub.tape.n_trades)
