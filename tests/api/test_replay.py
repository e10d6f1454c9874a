"""A replay steered over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import wait_for
from tests.stubs import MIN
from workbench import assemble
from workbench.api.server import ApiServer


@pytest.fixture
def desk(settings):
    engine = assemble(settings, symbols=("SPY",), speed=60).start()
    api = ApiServer(engine, settings, port=0)
    api.start()
    with httpx.Client(base_url=api.address, timeout=10) as client:
        yield client, engine
    api.stop()
    engine.stop()


def test_pause_seek_speed_start_and_stop_do_what_they_say(desk):
    client, engine = desk
    state = client.post("/api/replay/pause").json()
    assert state["is_paused"]
    target = state["start_ns"] + (state["end_ns"] - state["start_ns"]) // 2
    assert client.post("/api/replay/seek", json={"ts_ns": target}).status_code == 200
    wait_for(lambda: abs(engine.clock.now_ns() - target) < 60 * 10**9)
    assert client.post("/api/replay/speed", json={"speed": 100}).json()["speed"] == 100
    before = engine.clock.now_ns()
    assert not client.post("/api/replay/start").json()["is_paused"]
    wait_for(lambda: engine.clock.now_ns() > before + 10**9)
    stopped = client.post("/api/replay/stop").json()
    assert stopped["is_paused"]
    assert stopped["ts_ns"] - stopped["start_ns"] < 60 * 10**9


def test_a_moment_or_speed_out_of_range_names_the_range(desk):
    client, _ = desk
    assert "allowed: 0.1 to 1000" in client.post("/api/replay/speed", json={"speed": 0}).json()["error"]
    answer = client.post("/api/replay/seek", json={"ts_ns": 5})
    assert answer.status_code == 422
    assert "ts_ns: received 5" in answer.json()["error"]
    assert "New York" in answer.json()["error"]
    assert client.post("/api/replay/seek").status_code == 422


def test_a_step_goes_to_the_end_of_the_minute_and_stands_still(desk):
    client, _ = desk
    before = client.post("/api/replay/pause").json()["ts_ns"]
    told = client.post("/api/replay/step", json={}).json()
    assert (told["is_paused"], told["ts_ns"]) == (True, (before // MIN + 1) * MIN)
    assert client.post("/api/replay/step", json={"what": "event"}).json()["ts_ns"] > told["ts_ns"]
    assert "allowed: bar or event" in client.post("/api/replay/step", json={"what": "year"}).json()["error"]
