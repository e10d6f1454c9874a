"""The doctor: every finding has a state and, when it is bad, a next step; no key is ever shown."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from workbench import doctor
from workbench.clock import NS_PER_S, ReplayClock
from workbench.config import Settings
from workbench.doctor import State

NOON = 1_763_744_400  # 2025-11-21 17:00:00 UTC, noon in New York


@pytest.fixture
def provider():
    """Start a provider on loopback; it answers with what the test chooses and remembers what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        status, date_s, location = 200, NOON, None

        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            self.send_response_only(type(self).status)
            self.send_header("Date", formatdate(type(self).date_s, usegmt=True))
            if type(self).location:
                self.send_header("Location", type(self).location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    Handler.asked = asked
    Handler.base = f"http://127.0.0.1:{server.server_port}"
    yield Handler
    server.shutdown()
    server.server_close()
    thread.join()


def feed_checks(provider, *, ours_s=NOON, **values):
    settings = Settings(source="polygon", rest_base=provider.base, **values)
    feed, skew = doctor.check_feed(settings, ReplayClock(ours_s * NS_PER_S))
    return feed, skew


def by_name(checks):
    return {check.name: check for check in checks}


def test_a_sound_machine_with_the_simulated_market_has_no_failure(tmp_path):
    checks = doctor.examine(Settings(data_dir=tmp_path, port=0))
    assert [check for check in checks if check.state is State.FAIL] == []
    assert {"python", "numpy", "feed", "clock skew", "data folder", "calendar", "sqlite", "chromium"} <= set(by_name(checks))


def test_every_bad_finding_says_what_to_do_next(tmp_path):
    checks = doctor.examine(Settings(data_dir=tmp_path))
    assert [check.name for check in checks if check.state in (State.WARN, State.FAIL) and not check.next_step] == []


def test_keys_are_present_or_not_and_never_shown(canary):
    checks = doctor.examine(Settings(port=0))
    found = by_name(checks)
    assert found["polygon_api_key"].found == "present"
    assert found["alpaca_api_key"].found.startswith("not present")
    said = json.dumps(doctor.as_json(checks))
    assert not any(form in said for form in canary)


def test_refused_settings_are_a_finding_and_the_rest_is_examined_all_the_same(monkeypatch):
    monkeypatch.setenv("WORKBENCH_PROT", "1")
    found = by_name(doctor.examine())
    assert found["settings"].state is State.FAIL
    assert "did you mean 'WORKBENCH_PORT'" in found["settings"].found
    assert "sqlite" in found


def test_json_holds_every_check_and_the_worst_state():
    checks = [doctor.Check("a", State.OK, "x"), doctor.Check("b", State.WARN, "y", "z")]
    wanted = [{"name": "a", "state": "ok", "found": "x", "next_step": ""}, {"name": "b", "state": "warn", "found": "y", "next_step": "z"}]
    assert json.loads(json.dumps(doctor.as_json(checks))) == {"state": "warn", "checks": wanted}


def test_a_package_older_than_the_bound_fails_with_the_command_that_mends_it(monkeypatch):
    needs = ["numpy>=999", "nothing-like-this>=1", 'dask>=1; extra == "scale"']
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: needs)
    monkeypatch.setattr(doctor.importlib.metadata, "version", fake_version)
    found = by_name(doctor.check_versions())
    assert found["numpy"].state is State.FAIL
    assert 'pip install "numpy>=999"' in found["numpy"].next_step
    assert found["nothing-like-this"].found == "not installed"
    assert "dask" not in found


def fake_version(name):
    if name == "nothing-like-this":
        raise doctor.importlib.metadata.PackageNotFoundError(name)
    return "2.4.6"


def test_a_feed_that_answers_and_knows_the_key_is_ok(provider, canary):
    feed, skew = feed_checks(provider)
    assert (feed.state, skew.state) == (State.OK, State.OK)
    ((path, headers),) = provider.asked
    assert headers["Authorization"] == f"Bearer {canary[0]}"
    assert not any(form in path for form in canary)


def test_alpaca_is_asked_with_key_and_secret_in_headers_and_its_own_feed(provider):
    settings = Settings(source="alpaca", alpaca_api_key="k" * 8, alpaca_secret_key="s" * 8, alpaca_rest_base=provider.base)
    feed, _ = doctor.check_feed(settings, ReplayClock(NOON * NS_PER_S))
    assert feed.state is State.OK
    ((path, headers),) = provider.asked
    assert path == "/v2/stocks/bars/latest?symbols=SPY&feed=iex"
    sent = {name.lower(): value for name, value in headers.items()}
    assert (sent["apca-api-key-id"], sent["apca-api-secret-key"]) == ("k" * 8, "s" * 8)


def test_the_client_of_every_configured_provider_is_looked_for(monkeypatch):
    settings = Settings(source="polygon", fallback="alpaca", alpaca_api_key="k" * 8, alpaca_secret_key="s" * 8, port=0)
    found = by_name(doctor.check_clients(settings))
    assert {name: check.state for name, check in found.items()} == {"client of source": State.OK, "client of fallback": State.OK}
    assert "alpaca-py 0.44" in found["client of fallback"].found
    monkeypatch.setattr(doctor.importlib.metadata, "version", no_version)
    missing = by_name(doctor.check_clients(settings))["client of fallback"]
    assert (missing.state, missing.next_step) == (State.FAIL, 'pip install "workbench[alpaca]"')
    assert list(doctor.check_clients(Settings())) == []


def no_version(name):
    raise doctor.importlib.metadata.PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("status", "state", "word"), [(401, State.FAIL, "key"), (403, State.FAIL, "key"), (429, State.WARN, "429"), (503, State.WARN, "503")]
)
def test_a_refusing_feed_is_told_by_its_status(provider, status, state, word):
    provider.status = status
    feed, _ = feed_checks(provider)
    assert feed.state is state
    assert word in feed.found
    assert feed.next_step


def test_a_redirect_is_not_followed_because_it_would_carry_the_key_away(provider):
    provider.status, provider.location = 302, f"{provider.base}/elsewhere"
    feed, _ = feed_checks(provider)
    assert feed.state is State.WARN
    assert len(provider.asked) == 1


@pytest.mark.parametrize(("ahead_s", "state"), [(0, State.OK), (-1, State.OK), (10, State.WARN), (-10, State.WARN), (3600, State.FAIL)])
def test_clock_skew_is_measured_against_the_feeds_date(provider, ahead_s, state):
    _, skew = feed_checks(provider, ours_s=NOON + ahead_s)
    assert skew.state is state
    if state is not State.OK:
        assert ("ahead" if ahead_s > 0 else "behind") in skew.found


def test_without_a_network_the_feed_fails_and_the_skew_is_unknown():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings(source="polygon", rest_base=f"http://127.0.0.1:{port}")
    feed, skew = doctor.check_feed(settings, ReplayClock(NOON * NS_PER_S))
    assert (feed.state, skew.state) == (State.FAIL, State.UNKNOWN)


def test_a_data_folder_that_can_not_be_made_fails(tmp_path):
    (tmp_path / "file").write_text("")
    check = doctor.check_data_dir(tmp_path / "file" / "data")
    assert check.state is State.FAIL
    assert "WORKBENCH_DATA_DIR" in check.next_step


def test_looking_at_the_data_folder_leaves_nothing_behind(tmp_path):
    assert doctor.check_data_dir(tmp_path / "not" / "yet").state in (State.OK, State.WARN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "state"), [(100 << 20, State.FAIL), (1 << 30, State.WARN), (100 << 30, State.OK)])
def test_a_filling_disk_is_told_in_time(tmp_path, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(free * 2, free, free))
    assert doctor.check_data_dir(tmp_path).state is state


def test_a_taken_port_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        check = doctor.check_port("127.0.0.1", taken.getsockname()[1])
    assert check.state is State.WARN
    assert "--port" in check.next_step


@pytest.mark.parametrize(("version", "state"), [("3.40.1", State.WARN), ("3.51.2", State.WARN), ("3.51.3", State.OK), ("3.53.0", State.OK)])
def test_sqlite_with_the_write_ahead_fault_is_told(version, state):
    assert doctor.check_sqlite(tuple(map(int, version.split(".")))).state is state


def test_a_calendar_near_its_end_is_told():
    from workbench.sessions import SessionCalendar

    end = SessionCalendar.xnys().span[1]
    assert doctor.check_calendar(ReplayClock(end - 30 * 86_400 * NS_PER_S)).state is State.WARN
    assert doctor.check_calendar(ReplayClock(end + 86_400 * NS_PER_S)).state is State.FAIL
    assert doctor.check_calendar(ReplayClock(NOON * NS_PER_S)).found.endswith("latest session 2025-11-21, now RTH")


# -- the hub that is attached to, and the door ----------------------------------------------------------------------------------


def hub_check(provider, **values):
    hub, skew = doctor.check_feed(Settings(source=provider.base.replace("http", "hub"), **values), ReplayClock(NOON * NS_PER_S))
    assert skew.state is State.UNKNOWN
    return hub


@pytest.mark.parametrize(
    ("status", "state", "word"),
    [
        (200, State.OK, ""),
        (401, State.FAIL, "hub_token"),
        (421, State.FAIL, "origins"),
        (503, State.WARN, "doctor there"),
        (500, State.WARN, "log"),
    ],
)
def test_the_hub_that_is_attached_to_is_asked(provider, status, state, word):
    provider.status = status
    check = hub_check(provider)
    assert (check.name, check.state) == ("hub", state)
    assert word in check.next_step
    ((path, headers),) = provider.asked
    assert path == "/readyz"
    assert "Authorization" not in headers


def test_the_token_goes_to_the_hub_in_a_header(provider):
    assert hub_check(provider, hub_token="wb_secret").state is State.OK
    ((path, headers),) = provider.asked
    assert headers["Authorization"] == "Bearer wb_secret"
    assert "secret" not in path


def test_a_hub_that_does_not_run_fails_with_the_command_that_starts_it():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    check = doctor.check_hub(Settings(source=f"hub://127.0.0.1:{port}"))
    assert check.state is State.FAIL
    assert "workbench hub" in check.next_step


def test_the_door_says_who_can_reach_what_is_served(tmp_path):
    from tests.door.conftest import PASSWORD, SECRET
    from workbench.door import users
    from workbench.door.roles import Role

    assert doctor.check_door(Settings()).found == "this machine only; nobody is asked to log in"
    check = doctor.check_door(Settings(host="0.0.0.0"))
    assert check.state is State.FAIL
    assert "cookie_secret" in check.found
    with users.changing(tmp_path / "users.json"):
        pass
    proxied = Settings(behind_proxy=True, password_file=tmp_path / "users.json", cookie_secret=SECRET)
    assert doctor.check_door(proxied).state is State.WARN
    with users.changing(tmp_path / "users.json") as held:
        held[0] = held[0].with_user("ann", Role.TRADER, PASSWORD)
    check = doctor.check_door(proxied)
    assert (check.state, check.found) == (State.OK, "other machines can reach it; people who may come in: 1, programs: 0")
    (tmp_path / "users.json").write_text("broken")
    assert doctor.check_door(proxied).state is State.FAIL


def test_a_certificate_that_is_none_is_told(tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
        (tmp_path / name).chmod(0o600)
    check = doctor.check_door(Settings(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem"))
    assert check.state is State.FAIL
    assert "PEM" in check.next_step


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_files_that_others_can_read_or_write_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "config.toml").chmod(0o644)
    check = doctor.check_modes(Settings(data_dir=tmp_path / "data"))
    assert check.state is State.WARN
    assert check.next_step == f"chmod 600 {tmp_path / 'config.toml'}"
    (tmp_path / "config.toml").chmod(0o600)
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    assert "chmod go-w" in doctor.check_modes(Settings(data_dir=tmp_path / "data")).next_step
    (tmp_path / "data").chmod(0o700)
    assert doctor.check_modes(Settings(data_dir=tmp_path / "data")).state is State.OK
