"""The desk behind the door: TLS, stock Panel, and a person in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from tests.door.conftest import NAMES, PASSWORD, SECRET
from tests.door.servers import engine, start_desk, talk
from workbench.config import Settings
from workbench.door import passwords, users
from workbench.door.guests import COOKIE, GuestBook
from workbench.door.roles import LOCAL, Caller, Role
from workbench.errors import DoorError
from workbench.views import guard
from workbench.views.login import page, safe_next, waiting


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "users.json"
    cheap = passwords.hash_password(PASSWORD, log2_n=4)
    users.write(path, users.Users({name: users.User(role, cheap) for name, role in NAMES.items()}))
    return path


@pytest.fixture
def desk(password_file, tmp_path):
    running = engine()
    served = start_desk(running, Settings(password_file=password_file, cookie_secret=SECRET, data_dir=tmp_path / "data"))
    yield served
    served.stop()
    running.stop()


# -- who uses a session -----------------------------------------------------------------------------------------------------


def session(monkeypatch, **request):
    context = SimpleNamespace(request=SimpleNamespace(**request)) if request else None
    monkeypatch.setattr(guard.pn.state, "_curdoc", None, raising=False)
    monkeypatch.setattr(type(guard.pn.state), "curdoc", SimpleNamespace(session_context=context))


def test_a_session_that_the_door_let_in_has_its_caller(monkeypatch):
    tom = Caller("tom", Role.TRADER, "session")
    session(monkeypatch, caller=tom, remote_ip="192.0.2.7")
    assert guard.caller() == tom


def test_an_app_that_is_warmed_up_or_shown_in_a_notebook_is_at_home(monkeypatch):
    session(monkeypatch)
    assert guard.caller() == LOCAL


def test_stock_panel_without_our_log_in_serves_this_machine_only(monkeypatch, password_file):
    session(monkeypatch, remote_ip="127.0.0.1")
    assert guard.caller() == LOCAL
    session(monkeypatch, remote_ip="192.0.2.7")
    with pytest.raises(DoorError, match="--auth-module"):
        guard.caller()
    monkeypatch.setenv("WORKBENCH_PASSWORD_FILE", str(password_file))
    session(monkeypatch, remote_ip="127.0.0.1")
    with pytest.raises(DoorError, match="--auth-module"):
        guard.caller()


# -- the page -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "goal"),
    [
        ("/desk?symbol=QQQ", "/desk?symbol=QQQ"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil", "/"),
        ("https://evil.example", "/"),
        ("/a b", "/"),
        ("/logout", "/"),
        ("/login?x", "/"),
    ],
)
def test_after_log_in_only_our_own_pages_are_gone_to(wanted, goal):
    assert safe_next(wanted) == goal


def test_the_page_lets_in_its_style_sheet_and_nothing_else():
    text, csp = page("<p>x</p>")
    assert "script" not in text
    assert csp.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in csp


def test_waiting_is_said_in_peoples_words():
    assert [waiting(seconds) for seconds in (1, 60, 61, 900, 7_200, 7_201)] == [
        "1 minute",
        "1 minute",
        "2 minutes",
        "15 minutes",
        "2 hours",
        "3 hours",
    ]


# -- TLS ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_with_a_certificate_the_desk_speaks_tls_and_its_cookies_say_so(password_file, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    subprocess.run([*make, "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True)
    key.chmod(0o600)
    running = engine()
    settings = Settings(password_file=password_file, cookie_secret=SECRET, tls_cert=cert, tls_key=key, data_dir=tmp_path / "data")
    served = start_desk(running, settings)
    try:
        context = ssl.create_default_context(cafile=str(cert))
        with (
            socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as peer,
        ):
            peer.sendall(f"GET /login HTTP/1.1\r\nHost: localhost:{served.port}\r\nConnection: close\r\n\r\n".encode())
            said = b""
            while part := peer.recv(65536):
                said += part
        assert said.startswith(b"HTTP/1.1 200")
        assert b"Strict-Transport-Security: max-age=31536000" in said
        assert re.search(rb"Set-Cookie: _xsrf=[^\r]*; Secure", said)
        assert talk(served.port, path="/login").status in (0, 400)  # plain speech
    finally:
        served.stop()
        running.stop()


# -- a person -----------------------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_person_logs_in_sees_the_desk_without_a_complaint_and_leaves(desk, password_file, playwright_driver, chromium, chromium_flags):
    browser = playwright_driver.chromium.launch(executable_path=chromium, args=list(chromium_flags))
    try:
        tab, complaints = browser.new_page(), []
        tab.goto(f"http://127.0.0.1:{desk.port}/desk?symbol=SPY")
        assert tab.url.endswith("/login?next=%2Fdesk%3Fsymbol%3DSPY")
        tab.fill("#name", "tom")
        tab.fill("#password", "wrong")
        tab.click("button")
        tab.get_by_role("alert").wait_for()
        assert tab.get_by_role("alert").inner_text() == "Name or password is wrong."
        kept = password_file.read_bytes()
        password_file.write_text("{")
        tab.fill("#password", PASSWORD)
        tab.click("button")
        tab.get_by_text("Nobody can log in: the password file can't be read.").wait_for()
        password_file.write_bytes(kept)
        tab.on("console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.fill("#password", PASSWORD)
        tab.click("button")
        tab.wait_for_function("window.__workbench?.charts.length >= 1", timeout=60_000)
        assert "/desk?symbol=SPY" in tab.url
        assert complaints == []
        assert COOKIE not in tab.evaluate("document.cookie")
        tab.goto(f"http://127.0.0.1:{desk.port}/logout")
        assert "tom" in tab.inner_text("form")
        tab.click("button")
        tab.goto(f"http://127.0.0.1:{desk.port}/desk")
        assert "/login" in tab.url
    finally:
        browser.close()


# -- stock Panel ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_stock_panel_with_our_log_in_lets_in_who_has_a_session_and_nobody_else(password_file, tmp_path, root):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        **os.environ,
        "WORKBENCH_PASSWORD_FILE": str(password_file),
        "WORKBENCH_COOKIE_SECRET": SECRET,
        "WORKBENCH_PORT": str(port),
        "WORKBENCH_DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "panel", "serve", "apps/desk.py", "--address", "127.0.0.1", "--port", str(port)]
    command += ["--auth-module", "workbench/views/auth.py", "--enable-xsrf-cookies", "--exclude-cookies", COOKIE]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=root, env=environ, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    assert talk(port, path="/login").status == 200
                    break
                except OSError:
                    assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "log").read_text()
                    time.sleep(0.2)
            book = GuestBook(Settings(password_file=password_file, cookie_secret=SECRET))
            cookie = ("Cookie", f"{COOKIE}={book.log_in('vera', PASSWORD, '127.0.0.1')}")
            assert talk(port, path="/desk").status in (302, 401)
            assert talk(port, path="/desk", headers=(cookie,)).status == 200
            assert talk(port, path="/desk", headers=(cookie,), host="evil.example").status == 421
            assert talk(port, path="/static/js/bokeh.min.js").status == 401
        finally:
            process.terminate()
            process.wait(30)
