"""A hub behind a real server on loopback, driven by a script, and a reader of its event stream."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.stubs import TEN, ManualClock, ScriptedSource
from workbench.api.server import ApiServer
from workbench.clock import monotonic_ns, sleep_s
from workbench.config import Settings
from workbench.engine import Engine
from workbench.hub.hub import Hub
from workbench.recorder.recorder import Recorder
from workbench.sessions import SessionCalendar


@dataclass
class Service:
    """What runs, and a client of it."""

    engine: Engine
    source: ScriptedSource
    clock: ManualClock
    api: ApiServer
    client: httpx.Client

    @property
    def hub(self):
        return self.engine.hub

    def get(self, path, **query):
        return self.client.get(path, params=query)

    @contextlib.contextmanager
    def stream(self, last_id=None, **query):
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with self.client.stream("GET", "/stream/market", params={"timeframe": "1m"} | query, headers=headers) as response:
            assert response.status_code == 200, response.read()
            yield events_of(response)

    def settle(self):
        assert self.hub.wait_idle()
        sleep_s(0.05)


@dataclass
class Event:
    name: str
    data: dict
    id: str | None


def events_of(response) -> Iterator[Event]:
    """Yield events as a browser would read them (WHATWG HTML 9.2.6), the id only where the event itself has one."""
    name, data, last = "message", [], None
    for line in response.iter_lines():
        if not line:
            if data:
                yield Event(name, json.loads("\n".join(data)), last)
            name, data, last = "message", [], None
        else:
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "id":
                last = value


def until(events, wanted, *, within_s=8.0):
    """Return the events up to the first that `wanted` says yes to, that one included."""
    deadline, seen = monotonic_ns() + int(within_s * 1e9), []
    for event in events:
        seen.append(event)
        if wanted(event):
            return seen
        assert monotonic_ns() < deadline, [e.name for e in seen[-20:]]
    raise AssertionError(f"the stream ended after {[e.name for e in seen]}")


def wait_for(condition, within_s=8.0):
    """Wait until a condition holds."""
    deadline = monotonic_ns() + int(within_s * 1e9)
    while not condition():
        assert monotonic_ns() < deadline, "never became true"
        sleep_s(0.01)


def serve(settings, *, symbols=("SPY",), source=None, now_ns=TEN, port=0, is_recording=False, **over) -> Service:
    """Start a hub and its API."""
    clock = source.clock if source else ManualClock(now_ns)
    source = source or ScriptedSource(clock=clock)
    hub = Hub(source, calendar=SessionCalendar.xnys(), **{"verify_every_s": 0.0, "retry_s": 0.0, **over})
    engine = Engine(source, hub, symbols, Recorder(hub, settings.data_dir / "recorded"), is_recording=is_recording).start()
    api = ApiServer(engine, settings, port=port)
    api.start()
    service = Service(engine, source, clock, api, httpx.Client(base_url=api.address, timeout=10))
    service.settle()
    return service


def close(service):
    service.client.close()
    service.api.stop()
    service.engine.stop()


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path, api_port=0)


@pytest.fixture
def make_service(settings):
    """Return a function that serves a hub; everything is stopped at the end."""
    running: list[Service] = []

    def make(**over) -> Service:
        running.append(serve(settings, **over))
        return running[-1]

    yield make
    for service in running:
        close(service)


@pytest.fixture
def service(make_service):
    return make_service()


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A service for tests that only ask."""
    service = serve(Settings(data_dir=tmp_path_factory.mktemp("standing"), api_port=0))
    yield service
    close(service)
