"""The two real servers behind the door, on loopback with a password file, and requests written byte by byte."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from urllib.parse import urlencode

from tests.stubs import ManualClock, ScriptedSource
from workbench.api.server import ApiServer
from workbench.engine import Engine
from workbench.hub.hub import Hub
from workbench.sessions import SessionCalendar
from workbench.views.serve import server


@dataclass
class Answer:
    """What came back: status (0: the connection was closed without a word), headers in lower case, body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    body: str = ""


def engine():
    """Return a running engine over a market that says nothing."""
    clock = ManualClock()
    source = ScriptedSource(clock=clock)
    hub = Hub(source, calendar=SessionCalendar.xnys(), verify_every_s=0.0, retry_s=0.0)
    return Engine(source, hub, ("SPY",)).start()


def start_api(running, settings):
    api = ApiServer(running, settings, port=0)
    api.start()
    return api


def start_desk(running, settings):
    """Serve the desk from a thread; returns it with `.port` and `.stop()`."""
    for name in ("panel", "bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.WARNING)
    ready, desk = threading.Event(), SimpleNamespace()

    def run():
        asyncio.set_event_loop(asyncio.new_event_loop())
        desk.server = server(running, settings, 0)
        desk.server.start()
        desk.port = desk.server.port
        ready.set()
        desk.server.io_loop.start()
        desk.server.io_loop.close(all_fds=False)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)

    def stop():
        desk.server.io_loop.add_callback(lambda: (desk.server.stop(), desk.server.io_loop.stop()))
        thread.join(10)

    desk.stop = stop
    return desk


def talk(port, method="GET", path="/", headers=(), body=b"", *, host="127.0.0.1:{port}"):
    """Send one request as it is written here; nothing is corrected on the way."""
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host.format(port=port)}")
    lines += [f"{name}: {value.format(port=port) if '{port}' in value else value}" for name, value in headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    lines += ["Connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        raw = b""
        try:
            peer.sendall("\r\n".join(lines).encode("latin-1") + body)
            while part := peer.recv(65536):
                raw += part
                if raw.startswith(b"HTTP/1.1 101"):
                    break
        except (ConnectionError, TimeoutError):
            pass
    return parsed(raw.decode("latin-1"))


def parsed(text):
    head, _, body = text.partition("\r\n\r\n")
    found = re.match(r"HTTP/1\.1 (\d{3})", head)
    if found is None:
        return Answer(0)
    pairs = [line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line]
    set_cookies = [value.strip() for name, value in pairs if name.lower() == "set-cookie"]
    cookies = {name: value.strip('"') for name, value in (line.split(";")[0].split("=", 1) for line in set_cookies)}
    return Answer(int(found.group(1)), {name.lower(): value.strip() for name, value in pairs}, cookies, set_cookies, body)


def log_in(port, name, password, *, goal="/", **headers):
    """Log in as a browser does: fetch the form, send it back; returns the answer to that."""
    form = talk(port, path="/login")
    token = re.search(r'name="_xsrf" value="([^"]+)"', form.body).group(1)
    fields = urlencode({"name": name, "password": password, "next": goal, "_xsrf": token}).encode()
    sent = {
        "Origin": "http://127.0.0.1:{port}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"_xsrf={form.cookies['_xsrf']}",
    }
    return talk(port, "POST", "/login", tuple((sent | headers).items()), fields)
