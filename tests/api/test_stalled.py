"""Readers that connect and take nothing cost their own connection: the hub's memory stays, and nobody else waits."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import numpy as np
import pytest

from tests.api.hub_process import HubProcess
from tests.scorecard import count

SYMBOLS = "SPY,QQQ,IWM,AAPL,MSFT,NVDA,AMD,TSLA"
PATH = f"/stream/market?symbols={SYMBOLS}&timeframe=1m,5m&n=50"
STALLED, HEALTHY = 50, 4
BASELINE_S = 30  # at most
CUT_OFF_S = 22.0
WARM_S = 1.0  # of each reader's time, not measured
MB = 1 << 20


class Stalled(threading.Thread):
    """Keeps connections open that are never read; when the hub has cut one off, another takes its place."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port, self._done = port, threading.Event()
        self.n_opened = 0

    def run(self) -> None:
        opened = [(time.monotonic(), self._open()) for _ in range(STALLED)]
        while not self._done.wait(0.1):
            since, one = opened[0]
            if time.monotonic() - since > CUT_OFF_S:  # the hub has ended it by now, which who does not read can't see
                one.close()
                opened = [*opened[1:], (time.monotonic(), self._open())]
        for _, one in opened:
            one.close()

    def _open(self) -> socket.socket:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", self._port))
        one.sendall(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        self.n_opened += 1
        return one

    def end(self) -> None:
        self._done.set()
        self.join(10)


class Healthy(threading.Thread):
    """Reads as quickly as it can and notes when something came."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.stamps: list[float] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.request("GET", PATH)
        self._answer = self._connection.getresponse()
        self._done = False

    def run(self) -> None:
        while not self._done and self._answer.read1(1 << 16):
            self.stamps.append(time.monotonic())

    def end(self) -> None:
        self._done = True
        self.join(10)
        self._connection.close()


def pauses(hub: HubProcess, seconds: float) -> np.ndarray:
    """Return the pauses between what healthy readers received during some seconds [s]."""
    readers = [Healthy(hub.port) for _ in range(HEALTHY)]
    for reader in readers:
        reader.start()
    time.sleep(seconds)
    for reader in readers:
        reader.end()
    found = np.concatenate([np.diff(stamps[stamps > stamps[0] + WARM_S]) for stamps in (np.array(reader.stamps) for reader in readers)])
    assert len(found) >= 5 * HEALTHY * (seconds - WARM_S), "the stream hardly moves"
    return found


@pytest.mark.slow
@pytest.mark.soak("stalled-readers")
def test_stalled_readers_cost_neither_memory_nor_anybodys_time(tmp_path, cases, floor):
    seconds = count("stalled-readers")
    with HubProcess(tmp_path, "--speed", "1") as hub:
        time.sleep(3.0)  # past the start
        alone = np.percentile(pauses(hub, min(seconds, BASELINE_S)), 99)
        before = hub.get("/api/diag")[1]["memory_bytes"]
        stalled = Stalled(hub.port)
        stalled.start()
        time.sleep(1.0)
        beside = np.percentile(pauses(hub, seconds), 99)
        after = hub.get("/api/diag")[1]
        stalled.end()
        cases.n = seconds
        print(f"\np99 pause of a reader: alone {1e3 * alone:.1f} ms, beside {STALLED} stalled ones {1e3 * beside:.1f} ms; "
              f"memory + {(after['memory_bytes'] - before) / MB:.1f} MB; {stalled.n_opened} connections opened")  # fmt: skip
        assert stalled.n_opened >= STALLED
        assert after["memory_bytes"] - before <= 20 * MB
        floor("p99 pause of a reader beside 50 stalled ones, against alone", float(beside / alone), most=1.10, is_absolute=True)
