"""Clients that send rubbish, too much, or nothing: cut off with a sentence, and nobody else notices."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from tests.api.conftest import until, wait_for
from workbench.api import protocol
from workbench.api.server import ApiServer
from workbench.clock import monotonic_ns
from workbench.config import Settings
from workbench.errors import ConfigError, PortInUseError


def talk(service, sent: bytes, *, within_s: float = 8.0) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", service.api.port), timeout=within_s) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(sent.replace(b"HOST", b"Host: 127.0.0.1:%d" % service.api.port))
        got = b""
        with contextlib.suppress(ConnectionError):
            while chunk := line.recv(1 << 16):
                got += chunk
        return got


RUBBISH = {
    "no request": (b"\x00\x01\x02\x03\r\n\r\n", b"400"),
    "TLS to a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
    "bare words": (b"hello there\r\n\r\n", b"400"),
    "an address too long": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHOST\r\n\r\n", b"414"),
    "a head too large": (b"GET /livez HTTP/1.1\r\nHOST\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n", b"431"),
    "many headers": (b"GET /livez HTTP/1.1\r\nHOST\r\n" + b"X-A: 12345678\r\n" * 3000 + b"\r\n", b"431"),
    "a head without end": (b"GET /livez HTTP/1.1\r\nHOST\r\nX-A: " + b"a" * 200_000, b"431"),
    "a body too large": (b"PUT /api/flags HTTP/1.1\r\nHOST\r\nContent-Length: 90000\r\n\r\n" + b"a" * 90_000, b"413"),
    "a chunked body too large": (
        b"PUT /api/flags HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b"a" * 0x4000 + b"\r\n") * 6,
        b"413",
    ),
}


@pytest.mark.parametrize("what", RUBBISH)
def test_rubbish_and_too_much_are_refused_and_the_others_go_on(standing, what):
    sent, status = RUBBISH[what]
    with standing.stream(symbols="SPY") as events:
        until(events, lambda e: e.name == "bootstrap")
        got = talk(standing, sent)
        assert standing.get("/livez").status_code == 200
        assert len(standing.api.app.context.streams.readers()) == 1
    assert got.split(b" ", 2)[1] == status
    body = got.split(b"\r\n\r\n", 1)[1]
    assert body.startswith(b'{"error"')
    assert b"Traceback" not in body


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /livez HTT", b"GET /livez HTTP/1.1\r\nHost: a\r\n", b"PUT /api/flags HTTP/1.1\r\nHOST\r\nContent-Length: 10\r\n\r\n{"],
)
def test_a_client_that_goes_silent_is_cut_off(standing, monkeypatch, sent):
    monkeypatch.setattr(protocol, "HEAD_S", 0.4)
    began = monotonic_ns()
    got = talk(standing, sent)
    assert 0.3 < (monotonic_ns() - began) / 1e9 < 5
    assert got == b"" or got.split(b" ", 2)[1] in (b"408", b"400", b"503")


def test_bytes_that_drip_do_not_buy_time(standing, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_S", 0.5)
    began = monotonic_ns()
    with socket.create_connection(("127.0.0.1", standing.api.port), timeout=5) as line:
        line.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            for letter in b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * 200:
                line.sendall(bytes([letter]))
                with contextlib.suppress(TimeoutError):
                    line.recv(1000)
                    break
    assert (monotonic_ns() - began) / 1e9 < 3


def test_connections_beyond_the_cap_are_told_so(standing, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 3)
    lines = [socket.create_connection(("127.0.0.1", standing.api.port), timeout=5) for _ in range(5)]
    try:
        told = lines[-1].recv(4096)
        assert told.startswith(b"HTTP/1.1 503")
    finally:
        for line in lines:
            line.close()
    monkeypatch.undo()
    wait_for(lambda: standing.get("/livez").status_code == 200)


def test_a_taken_port_is_refused_with_the_next_step(standing, tmp_path):
    with pytest.raises(PortInUseError, match="0 to take any free one"):
        ApiServer(standing.engine, Settings(data_dir=tmp_path), port=standing.api.port)


def test_another_machines_address_is_refused_without_a_log_in(standing, tmp_path):
    with pytest.raises(ConfigError, match="host"):
        ApiServer(standing.engine, Settings(data_dir=tmp_path), host="0.0.0.0", port=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_hub_command_serves_and_ends_within_five_seconds_of_a_signal(tmp_path, number):
    command = [sys.executable, "-m", "workbench.cli.main", "hub", "--port", "0", "--symbols", "SPY", "--data-dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ), text=True)
    said = process.stdout.readline()
    address = said.split(" at ")[1].split(",")[0]
    with httpx.stream("GET", f"{address}/stream/market?symbols=SPY", timeout=10) as response:
        lines = response.iter_lines()
        while not next(lines).startswith("event: bootstrap"):
            pass
        began = monotonic_ns()
        process.send_signal(number)
        for _ in lines:  # the stream ends properly: an answer that breaks off raises
            pass
    assert process.wait(10) == 0
    assert (monotonic_ns() - began) / 1e9 < 5
    assert "Traceback" not in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readme_shows_commands_that_work(standing, root):
    section = (root / "README.md").read_text().split("## The hub's API\n")[1].split("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("curl ")]
    assert len(shown) == 3
    for line in shown:
        words = shlex.split(line.replace("127.0.0.1:5007", f"127.0.0.1:{standing.api.port}").replace("SPY,QQQ", "SPY"))
        done = subprocess.run([*words, "--max-time", "2"], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 28), done.stderr  # 28: the stream went on until the time was up
        assert done.stdout.startswith(("event: epoch\ndata: {", "{")), done.stdout[:200]
        assert "error" not in done.stdout[:20]


def test_a_second_desk_on_this_machine_goes_on_without_an_api_and_says_so(standing, tmp_path, caplog):
    from workbench.views.guard import desk_gate
    from workbench.views.serve import _api

    settings = Settings(data_dir=tmp_path, api_port=standing.api.port)
    assert _api(standing.engine, settings, "127.0.0.1", desk_gate(settings, 5006)) is None
    assert "other programs can't read its hub: api_port: received" in caplog.text


def test_a_desk_serves_its_hub_beside_it(standing, tmp_path):
    from workbench.views.guard import desk_gate
    from workbench.views.serve import _api

    settings = Settings(data_dir=tmp_path, api_port=0)
    api = _api(standing.engine, settings, "127.0.0.1", desk_gate(settings, 5006))
    assert httpx.get(f"{api.address}/api/symbols").json()["watched"] == ["SPY"]
    api.stop()


def test_a_request_that_comes_while_the_service_stops_is_answered_or_refused_but_is_no_fault(service, caplog):
    """An attached hub that asked at that moment got a 500, and the log a traceback."""
    stopping = threading.Thread(target=service.api.stop)
    answers = []
    stopping.start()
    with contextlib.suppress(httpx.HTTPError):
        while stopping.is_alive():
            answers.append(service.get("/api/quality").status_code)
    stopping.join()
    assert set(answers) <= {200, 503}
    assert "Traceback" not in caplog.text
