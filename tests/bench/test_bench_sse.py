"""One feed to many readers over HTTP. A regression here is a desk that stutters when a colleague opens a second one, or a bar that
everybody sees late."""

from __future__ import annotations

import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.stubs import SEC, TEN
from workbench.clock import WallClock, monotonic_ns, sleep_s

SERVER = Path(__file__).with_name("sse_server.py")
N_READERS, N_SYMBOLS = 200, 20
WARM_S, SECONDS = 1.0, 3.0
ROUNDS = 3 if os.environ.get("STRICT_FLOORS", "") not in ("", "0") else 1
SYMBOLS = ",".join(f"SYM{i:02d}" for i in range(N_SYMBOLS))
GRACE_MS = 200.0  # as the server has it
MARK = {"ours": b'"conditions"', "batched": b'"ev"', "single": b'"ev"'}  # once in each update


class Contender:
    """A server process on one core, and readers of it."""

    def __init__(self, kind: str, start_ns: int = TEN) -> None:
        self.kind = kind
        self.process = subprocess.Popen([sys.executable, str(SERVER), kind, str(start_ns)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port, self.shift_ns = map(int, self.process.stdout.readline().split())

    def connect(self, query: str = f"symbols={SYMBOLS}&n=0") -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self.port))
        one.sendall(f"GET /stream/market?{query} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        one.setblocking(False)
        return one

    def cpu_s(self) -> float:
        used = psutil.Process(self.process.pid).cpu_times()
        return used.user + used.system

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def contender():
    running = []

    def start(kind: str, start_ns: int = TEN) -> Contender:
        running.append(Contender(kind, start_ns))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.close()


def read_for(readers: list[socket.socket], seconds: float, mark: bytes) -> tuple[int, list[int]]:
    """Read what comes for a while; return how many updates came in all, and to each reader."""
    picker = selectors.DefaultSelector()
    counts, tails = dict.fromkeys(readers, 0), dict.fromkeys(readers, b"")
    for reader in readers:
        picker.register(reader, selectors.EVENT_READ)
    end = monotonic_ns() + int(seconds * 1e9)
    while monotonic_ns() < end:
        for key, _ in picker.select(0.05):
            chunk = tails[key.fileobj] + key.fileobj.recv(1 << 18)
            counts[key.fileobj] += chunk.count(mark)
            tails[key.fileobj] = chunk[-(len(mark) - 1) :]
    picker.close()
    return sum(counts.values()), list(counts.values())


def updates_per_cpu_s(server: Contender) -> tuple[float, float]:
    """Return updates delivered per processor-second of the server, and the share of the updates due that came."""
    readers = [server.connect() for _ in range(N_READERS)]
    read_for(readers, WARM_S, MARK[server.kind])
    before, began = server.cpu_s(), monotonic_ns()
    total, _ = read_for(readers, SECONDS, MARK[server.kind])
    spent, took = server.cpu_s() - before, (monotonic_ns() - began) / 1e9
    for reader in readers:
        reader.close()
    return total / spent, total / (N_READERS * N_SYMBOLS * 20 * took)


@pytest.mark.bench
@pytest.mark.slow
def test_one_feed_to_two_hundred_readers_costs_no_more_than_twice_a_bare_loop(contender, floor):
    found = {kind: [] for kind in MARK}
    for _ in range(ROUNDS):
        for kind in MARK:
            server = contender(kind)
            found[kind].append(updates_per_cpu_s(server))
            server.close()
    rate = {kind: statistics.median(per for per, _ in runs) for kind, runs in found.items()}
    told = ", ".join(f"{kind} {per / 1e6:.3f} M ({statistics.median(s for _, s in found[kind]):.0%} came)" for kind, per in rate.items())
    print(f"\nupdates per processor-second, {N_READERS} readers x {N_SYMBOLS} symbols x 20/s: {told}")
    assert min(share for _, share in found["ours"]) > 0.5, "most updates were conflated away"
    floor("fan-out, times Starlette with one batched frame a tick", rate["ours"] / rate["batched"], least=0.5)
    floor("fan-out, times Starlette with a frame for each update", rate["ours"] / rate["single"], least=8)


@pytest.mark.bench
def test_a_new_reader_hears_at_once(contender, floor):
    server = contender("ours")
    times = []
    for _ in range(20):
        began, got = monotonic_ns(), b""
        reader = server.connect(f"symbols={SYMBOLS}&n=300")
        reader.setblocking(True)
        while b"event: bootstrap" not in got:
            got += reader.recv(1 << 16)
        times.append((monotonic_ns() - began) / 1e6)
        reader.close()
        sleep_s(0.05)
    print(f"\nrequest to bootstrap: median {statistics.median(times):.1f} ms, slowest {max(times):.1f} ms")
    floor("SSE request to bootstrap, ms", statistics.median(times), most=100, is_absolute=True)


def bar_delays_ms(server: Contender, n_readers: int, within_s: float) -> list[float]:
    """Return, for each bar that each reader is told as closed, how long after the end of its grace it came.

    Arrivals are only stamped while reading, and read for what they say afterwards: fifty readers share one Python here.
    """
    readers = [server.connect() for _ in range(n_readers)]
    picker, held, came = selectors.DefaultSelector(), dict.fromkeys(readers, b""), []
    for reader in readers:
        picker.register(reader, selectors.EVENT_READ)
    end, n_closed = monotonic_ns() + int(within_s * 1e9), 0
    while monotonic_ns() < end and n_closed < n_readers * N_SYMBOLS:
        for key, _ in picker.select(0.05):
            *events, held[key.fileobj] = (held[key.fileobj] + key.fileobj.recv(1 << 18)).split(b"\n\n")
            now_ns = WallClock().now_ns() + server.shift_ns
            closed = [event for event in events if b'"bars":[{' in event]
            came += [(now_ns, event) for event in closed]
            n_closed += sum(event.count(b'"is_partial":0') for event in closed)
    picker.close()
    for reader in readers:
        reader.close()
    told = [(now_ns, json.loads(event[event.index(b"data: ") + 6 :])) for now_ns, event in came]
    bars = [(now_ns, bar) for now_ns, data in told for part in data["series"] for bar in part["bars"]]
    return [(now_ns - bar["ts_close"]) / 1e6 - GRACE_MS for now_ns, bar in bars]


@pytest.mark.bench
@pytest.mark.slow
def test_a_closed_bar_reaches_every_reader_soon_after_its_grace(contender, floor):
    late: list[float] = []
    for _ in range(ROUNDS):
        server = contender("ours", TEN + 52 * SEC)  # the minute ends in eight seconds
        found = bar_delays_ms(server, 50, 30.0)
        assert len(found) == 50 * N_SYMBOLS
        late += found
        server.close()
    late.sort()
    p99 = late[int(0.99 * len(late))]
    print(f"\nend of grace to reader, 50 readers x 20 symbols: p50 {late[len(late) // 2]:.1f} ms, p99 {p99:.1f} ms")
    floor("closed bar to reader after its grace, p99 ms", p99, most=50, is_absolute=True)
