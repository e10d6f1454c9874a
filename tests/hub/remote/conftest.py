"""A hub's service on loopback, a network to it that a test can break, and readers attached over it."""

from __future__ import annotations

import time

import pytest

from tests.hub.remote.relay import Relay
from tests.stubs import DAY
from workbench.api.server import ApiServer
from workbench.config import Settings
from workbench.engine import Engine
from workbench.hub.hub import Hub
from workbench.hub.remote.hub import RemoteHub
from workbench.sessions import ny_ns
from workbench.sources.simulated import SimulatedSource


def eventually(ask, within_s=10.0, explain=lambda: ""):
    """Return the first true answer."""
    deadline = time.monotonic() + within_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s {explain()}"
        time.sleep(0.005)
    return answer


def assert_same(remote, hub, keys):
    """When both are idle, the mirrored series equal the hub's own to the byte: closed bars, open bars, numbers."""
    for symbol, timeframe in keys:
        remote.series(symbol, timeframe)
    assert hub.wait_idle(20, history=True)
    assert remote.wait_idle(20, history=True)
    for symbol, timeframe in keys:
        mine, told = remote.series(symbol, timeframe).snapshot(), hub.series(symbol, timeframe).snapshot()
        where = f"{symbol} {timeframe}: {len(mine.rows)} bars up to {mine.seq} of {mine.epoch}, the hub's {len(told.rows)} up to {told.seq} of {told.epoch}"
        assert mine.rows.tobytes() == told.rows.tobytes(), where
        assert (b"" if mine.forming is None else mine.forming.tobytes()) == (b"" if told.forming is None else told.forming.tobytes()), where
        assert (mine.seq, mine.epoch) == (told.seq, told.epoch) or not len(told.rows), where


@pytest.fixture
def attach():
    """attach(port, …) -> a started RemoteHub; stopped at the end."""
    opened: list[RemoteHub] = []

    def another(port, **options):
        remote = RemoteHub(f"hub://127.0.0.1:{port}", **options)
        opened.append(remote)
        remote.start()
        return remote

    yield another
    for remote in opened:
        remote.stop()


@pytest.fixture
def relay():
    """A network to a hub that a test can break."""
    opened = Relay(9)  # nobody is there until a hub is
    yield opened
    opened.stop()


class Simulated:
    """A simulated market that stands still at 10:15, its hub, and the hub's service: `.hub`, `.source`, `.port`."""

    def __init__(self, folder, relay=None, password_file=None, symbols=("SPY", "QQQ", "NVDA"), watched=("SPY", "QQQ")):
        self.source = SimulatedSource(symbols, seed=7, start_ns=ny_ns(DAY, 10, 15))
        self.source.pause()
        self.hub = Hub(self.source)
        self.engine = Engine(self.source, self.hub, watched).start()
        assert self.hub.wait_idle(60, history=True)
        self.api = ApiServer(self.engine, Settings(data_dir=folder, password_file=password_file), port=0)
        self.api.start()
        self.port = self.api.port
        if relay is not None:
            relay.target = self.port

    def stop(self):
        self.api.stop()
        self.engine.stop()


@pytest.fixture
def simulated(tmp_path):
    """simulated(relay=…) -> a served simulated market, behind a relay if given; stopped at the end."""
    running: list[Simulated] = []

    def another(**options):
        running.append(Simulated(tmp_path, **options))
        return running[-1]

    yield another
    for market in running:
        market.stop()
