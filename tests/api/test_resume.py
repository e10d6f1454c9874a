"""Cut the stream anywhere, resume by its last id: no bar twice, none missing, or one explicit reset.

A real server over a hub whose market a test moves: minutes of three symbols, late prints that revise, history that lands, resets,
bursts longer than the change log, and restarts of hub and server on the same port. The reader (`sse.py`) reads a random number of
bytes, is cut there, mid-event as likely as not, and comes back with the id it has. At every pause it must hold exactly the hub's bars.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.api.sse import Mirror, Parser, plain
from tests.scorecard import IS_FULL, count
from tests.stubs import MIN, SEC, TEN, ManualClock, ScriptedSource, bars, go, prints
from workbench.api.server import ApiServer
from workbench.config import Settings
from workbench.engine import Engine
from workbench.hub.hub import Hub
from workbench.sessions import SessionCalendar

SYMBOLS, TIMEFRAMES = ("SPY", "QQQ", "IWM"), ("1m", "5m")
PATIENCE_S = 10.0
CASES_A_RUN = 250  # points of one market's life; then another seed begins


class World:
    """A market that a test moves, a hub on it, and the hub's service on a fixed port."""

    def __init__(self, seed: int, folder) -> None:
        self.rng = np.random.default_rng([7, seed])
        self.folder = folder
        self.minute = TEN
        self.port = 0
        self.n_starts = 0
        self.tapes: dict[str, list[np.ndarray]] = {symbol: [] for symbol in SYMBOLS}
        self.start()

    def start(self) -> None:
        """A new hub, as a restarted process has it: nothing in memory, history at hand, a later epoch."""
        self.clock = ManualClock(self.minute)
        self.source = ScriptedSource(clock=self.clock)
        for k, symbol in enumerate(SYMBOLS):
            self.source.history_rows[symbol] = bars(range(TEN - 60 * MIN, self.minute, MIN), seed=k)
        self.hub = Hub(self.source, calendar=SessionCalendar.xnys(), verify_every_s=0.0, retry_s=0.0, capacity=5000)
        self.source.start(self.hub)
        for symbol in SYMBOLS:
            for timeframe in TIMEFRAMES:
                self.hub.series(symbol, timeframe)
        go(self.hub, self.clock, self.minute)
        self.n_starts += 1
        self.server = ApiServer(Engine(self.source, self.hub), Settings(data_dir=self.folder), port=self.port)
        self.server.start()
        self.port = self.server.port

    def restart(self) -> None:
        self.server.stop()
        self.start()

    def stop(self) -> None:
        self.server.stop()

    def move(self) -> None:
        """Let something happen."""
        kind = self.rng.choice(["minute", "minute", "minute", "prints", "late", "history", "burst", "reset"], p=[.2, .2, .2, .15, .1, .1, .03, .02])  # fmt: skip
        if kind == "minute":
            self.trade(self.minute)
            self.minute += MIN
            go(self.hub, self.clock, self.minute + 3 * SEC)
        elif kind == "prints":
            self.trade(self.minute)
            go(self.hub, self.clock, max(self.clock.ns, self.minute + 30 * SEC))
        elif kind == "late":
            self.trade(self.minute - 2 * MIN)
            go(self.hub, self.clock, self.clock.ns + SEC)
        elif kind == "reset":
            self.hub.on_reset("moved backwards")
            go(self.hub, self.clock, self.clock.ns)
        else:
            n = 40 if kind == "burst" else 1
            for _ in range(n):
                start = TEN - int(self.rng.integers(1, 50)) * MIN
                rows = bars(range(start - int(self.rng.integers(0, 9)) * MIN, start, MIN), seed=int(self.rng.integers(1 << 30)))
                rows["volume"] *= 1 + self.rng.integers(1, 100)
                self.hub.on_bars(SYMBOLS[int(self.rng.integers(3))], rows)
            go(self.hub, self.clock, self.clock.ns)

    def trade(self, minute: int) -> None:
        """Some prints of every symbol somewhere in a minute."""
        for k, symbol in enumerate(SYMBOLS):
            n = int(self.rng.integers(0, 4))
            stamps = minute + np.sort(self.rng.integers(0, 29, n)) * SEC
            rows = prints([(int(ts), 100 + k + int(self.rng.integers(-9, 10)) / 100, 100) for ts in stamps])
            rows["symbol_id"] = self.hub.symbols.get(symbol)
            rows["sequence"] = self.rng.integers(1, 1 << 40, n)
            self.hub.on_trades(rows)


@dataclass
class Client:
    """A reader that is cut off and comes back."""

    port: int
    mirror: Mirror = field(default_factory=Mirror)
    parser: Parser = field(default_factory=Parser)
    connection: http.client.HTTPConnection | None = None

    def connect(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        headers = {} if self.mirror.last_id is None else {"Last-Event-ID": self.mirror.last_id}
        self.connection.request(
            "GET", f"/stream/market?symbols={','.join(SYMBOLS)}&timeframe={','.join(TIMEFRAMES)}&n=5000", headers=headers
        )
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()

    def cut(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self.parser.cut()

    def read(self, limit: int) -> None:
        """Take up to `limit` bytes, of those that are there or come next."""
        for event in self.parser.feed(self.answer.read1(limit)):
            self.mirror.take(event)

    def read_until(self, position: tuple[int, int]) -> None:
        """Read on until everything numbered up to a position is told."""
        deadline = time.monotonic() + PATIENCE_S
        while self.position() < position:
            assert time.monotonic() < deadline, f"stands at {self.mirror.last_id}, the hub at {position}"
            self.read(1 << 16)

    def position(self) -> tuple[int, int]:
        epoch, _, seq = (self.mirror.last_id or "0:0").partition(":")
        return int(epoch), int(seq)


def live_through(seed: int, points: int, folder, *, is_restarting: bool) -> Client:
    """Cut and resume at `points` random points of one market's life; AssertionError tells which."""
    random_ = random.Random(seed)
    world = World(seed, folder)
    client = Client(world.port)
    try:
        for point in range(points):
            client.connect()
            for _ in range(random_.choice([0, 0, 1, 1, 2, 6])):
                world.move()
            try:
                for _ in range(random_.choice([0, 1, 1, 2])):
                    client.read(random_.choice([1, 50, 500, 5_000, 100_000]))
                if random_.random() < 0.25:
                    client.read_until((world.hub.epoch, world.hub.seq))
                    check(world, client, f"seed {seed}, point {point}")
            finally:
                client.cut()
            for _ in range(random_.choice([0, 0, 1, 3])):
                world.move()
            if is_restarting and random_.random() < 0.03:
                world.restart()
        client.connect()
        client.read_until((world.hub.epoch, world.hub.seq))
        check(world, client, f"seed {seed}, end")
        return client
    finally:
        client.cut()
        world.stop()


def check(world: World, client: Client, where: str) -> None:
    assert not client.mirror.twice, f"{where}: {client.mirror.twice}"
    for symbol in SYMBOLS:
        for timeframe in TIMEFRAMES:
            held = plain(world.hub.series(symbol, timeframe).rows())
            assert client.mirror.rows(symbol, timeframe)[-len(held) :] == held, f"{where}: {symbol} {timeframe}"


@pytest.mark.slow
@pytest.mark.soak("resume")
def test_no_bar_twice_and_none_missing_wherever_the_stream_is_cut(tmp_path, cases):
    points = count("resume")
    for seed in range(-(-points // CASES_A_RUN)):
        n = min(CASES_A_RUN, points - seed * CASES_A_RUN)
        cases.n += n
        try:
            live_through(seed, n, tmp_path, is_restarting=True)
        except AssertionError as error:
            cases.failed.append(f"{seed}: {error}")
    assert not cases.failed, "\n".join(cases.failed[:5])


def test_without_restart_or_reset_a_reader_is_never_told_to_forget(tmp_path, monkeypatch):
    monkeypatch.setattr(World, "move", _only_minutes)
    client = live_through(3, 30 if IS_FULL else 12, tmp_path, is_restarting=False)
    assert client.mirror.n_resets == 0


def _only_minutes(world: World) -> None:
    world.trade(world.minute)
    world.minute += MIN
    go(world.hub, world.clock, world.minute + 3 * SEC)


def test_a_reader_that_is_only_cut_off_leaves_no_thread_behind(tmp_path):
    before = threading.active_count()
    live_through(5, 5, tmp_path, is_restarting=False)
    deadline = time.monotonic() + PATIENCE_S
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before
