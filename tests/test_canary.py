"""No key leaves the program: a whole run with keys in the environment, then every byte it wrote is searched for them.

The run: a provider on loopback that fails in several ways, the hub as people start it (recording, verbose), the desk attached to it
behind a log-in, the pages and routes that a person and a program fetch, a notebook, the doctor, commands that fail. Searched are logs
and tracebacks, answers, pages, the documents that pages receive, the notebook, and every file in the data folder, Parquet decoded.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pytest

from tests.api.hub_process import HubProcess
from tests.conftest import CANARY
from tests.door.servers import log_in, talk
from tests.servers.polygon import PolygonServer
from workbench.door import users
from workbench.door.guests import COOKIE
from workbench.door.roles import Role

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "passWord-Canary+5/fhQ tree"
SECRETS = {
    "POLYGON_API_KEY": CANARY,
    "MASSIVE_API_KEY": "massive9+Canary/qL0=Zt",
    "ALPACA_API_KEY": "PKalpaca7Canary/Vx3",
    "ALPACA_SECRET_KEY": "alpSecr8+Canary/wB6=nJ",
    "WORKBENCH_COOKIE_SECRET": "cOOkie4-Canary_kD2yRmTqXv7uEw9sAzLbNf5hJgPiCo",
}
NOTEBOOK = """
import workbench.doctor as doctor; from workbench import Settings, assemble, chart
settings = Settings()
settings
print(settings, repr(settings), settings.model_dump(), settings.model_dump_json())
doctor.check_hub(settings), list(doctor.check_keys(settings)), doctor.check_door(settings)
engine = assemble(settings); engine.start()
chart(engine.hub, "SPY", "1m")
engine.hub.health(), vars(engine.hub.source), engine
engine.stop()
Settings(source="alpaca", cookie_secret=3)
assemble(source="polygon", rest_base="http://127.0.0.1:1").hub.source.history("SPY", 0, 10**18)
"""


def forms(secret):
    """Every form in which a secret could be met: plain, its first eight letters, in a URL, in base64 wherever it begins, in hex."""
    raw, found = secret.encode(), {secret, secret[:8], quote(secret, safe=""), quote(secret), quote_plus(secret), secret.encode().hex()}
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + raw).decode()
        inner = text[(0, 2, 3)[shift] : len(text) - 4]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form.encode() for form in found}


def leaks(written, secrets):
    """Return 'where: which secret' for every form of a secret in what was written."""
    return sorted(
        {
            f"{place}: {name}"
            for place, content in written.items()
            for name, secret in secrets.items()
            for form in forms(secret)
            if form in content
        }
    )


def files_of(folder):
    """Return every file's bytes; Parquet also as the text of its values and metadata."""
    import pyarrow.parquet as pq

    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
            if path.suffix == ".parquet":
                table = pq.ParquetFile(path)
                found[f"{path.name} decoded"] = f"{table.schema_arrow.metadata}{table.read().to_pydict()}".encode()
    return found


class Desk:
    """`workbench serve` attached to a hub, its output kept."""

    def __init__(self, folder, environ):
        self.log_path = folder / "desk.log"
        self._log = self.log_path.open("w")
        command = [sys.executable, "-m", "workbench.cli.main", "serve", "--port", "0", "--verbose"]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, env=environ, cwd=folder)
        deadline = time.monotonic() + 60
        while not (found := re.search(r"Launching server at http://127\.0\.0\.1:(\d+)", self.log_path.read_text())):
            assert time.monotonic() < deadline and self.process.poll() is None, self.log_path.read_text()
            time.sleep(0.1)
        self.port = int(found.group(1))
        while True:
            try:
                if talk(self.port, path="/livez").status == 200:
                    return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


def talk_to_desk(port, written):
    """Fetch what a person sees; log in, wrongly and rightly, and receive the document that the page receives."""
    for path in ("/", "/login", "/desk", f"/?token={CANARY}", "/livez", "/nothing"):
        written[f"desk {path[:8]}"] = str(talk(port, path=path, headers=(("Sec-Fetch-Mode", "navigate"),))).replace(CANARY, "").encode()
    written["log-in refused"] = str(log_in(port, "ann", "wrong " + PASSWORD)).encode()
    session = log_in(port, "ann", PASSWORD).cookies[COOKIE]
    page = talk(port, path="/desk", headers=(("Cookie", f"{COOKIE}={session}"),))
    assert page.status == 200
    token = re.search(r'"token":"([^"]+)"', page.body).group(1)
    written["desk page"] = page.body.encode() + base64.urlsafe_b64decode(token.split(".")[0] + "==")
    written["desk document"] = document(port, session, token)
    return session


def document(port, session, token):
    """Return the document that the page receives over its WebSocket, as it comes."""
    from bokeh.protocol import Protocol
    from websockets.sync.client import connect

    headers = {"Cookie": f"{COOKIE}={session}"}
    with connect(
        f"ws://127.0.0.1:{port}/desk/ws",
        subprotocols=["bokeh", token],
        origin=f"http://127.0.0.1:{port}",
        additional_headers=headers,
        max_size=None,
    ) as page:
        frames = [page.recv(timeout=30) for _ in range(3)]  # the greeting
        ask = Protocol().create("PULL-DOC-REQ")
        for part in (ask.header_json, ask.metadata_json, ask.content_json):
            page.send(part)
        while not any('"roots"' in frame for frame in frames if isinstance(frame, str)):
            frames.append(page.recv(timeout=30))
    return b"".join(frame.encode() if isinstance(frame, str) else frame for frame in frames)


def talk_to_hub(hub, token, written):
    """Fetch every route, the stream's beginning, and answers to what is wrong."""
    with httpx.Client(base_url=f"http://127.0.0.1:{hub.port}", headers={"Authorization": f"Bearer {token}"}, timeout=20) as client:
        for path in client.get("/openapi.json").raise_for_status().json()["paths"]:
            if path != "/stream/market":
                answer = client.get(path, params={"symbol": "SPY", "timeframe": "1m"} if path == "/api/history" else {})
                written[f"api {path}"] = f"{answer.headers}{answer.text}".encode()
        written["api nothing"] = client.get("/api/history", params={"symbol": "no such"}).content
        with client.stream("GET", "/stream/market", params={"symbols": "SPY", "timeframe": "1m"}) as stream:
            written["api stream"] = next(stream.iter_bytes())


def run_notebook(folder, environ):
    """Execute a notebook, errors included, and return it as it is kept."""
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line) for line in NOTEBOOK.strip().splitlines()])
    path = folder / "book.ipynb"
    nbformat.write(book, path)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--allow-errors", "--inplace", str(path)]
    done = subprocess.run(command, env=environ, capture_output=True, cwd=folder, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    kept = json.loads(path.read_text())
    assert sum(bool(cell["outputs"]) for cell in kept["cells"]) >= 6
    return {"notebook": path.read_bytes(), "nbconvert": done.stdout + done.stderr}


def run_commands(folder, environ):
    """Commands that fail or say much."""
    wrong = [["doctor", "--json"], ["serve", "--host", "0.0.0.0"], ["hub", "--source", CANARY], ["data", "audit", "/nothing"]]
    started = [
        (
            words,
            subprocess.Popen(
                [sys.executable, "-m", "workbench.cli.main", *words],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
            ),
        )
        for words in wrong
    ]
    found = {}
    for words, process in started:
        said, _ = process.communicate(timeout=300)
        found[f"workbench {words[0]} {words[1:2]}"] = (
            said.replace(CANARY.encode(), b"") if CANARY in words else said
        )  # what was typed is shown
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Everything that the run wrote: place -> bytes; and every secret, those made on the way included."""
    folder = tmp_path_factory.mktemp("canary")
    data, secrets, found = folder / "data", dict(SECRETS), {}
    with users.changing(folder / "users.json") as held:
        book = held[0].with_user("ann", Role.TRADER, PASSWORD)
        held[0], secrets["WORKBENCH_HUB_TOKEN"] = book.with_token("desk", Role.ADMIN, None)
    with PolygonServer() as provider, pytest.MonkeyPatch.context() as patch:
        provider.plan.keys = {CANARY}
        provider.rest_faults.extend(["500", "garbage", "429:0.05", "truncated"])
        for name, value in {
            **secrets, "PYTHONPATH": str(ROOT), "WORKBENCH_WEBSOCKET_BASE": provider.websocket_base, "WORKBENCH_REST_BASE": provider.rest_base,
            "WORKBENCH_PASSWORD_FILE": str(folder / "users.json"), "WORKBENCH_SYMBOLS": "SPY",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        environ = {**os.environ, "WORKBENCH_DATA_DIR": str(data)}
        data.mkdir()
        with HubProcess(data, "--source", "polygon", "--record", "--verbose", "--log-json") as hub:
            trade_a_little(provider)
            attached = {**environ, "WORKBENCH_SOURCE": f"hub://127.0.0.1:{hub.port}"}
            with Desk(folder, {**attached, "WORKBENCH_DATA_DIR": str(folder / "desk")}) as desk:
                session = talk_to_desk(desk.port, found)
                found |= run_notebook(folder, attached)
                talk_to_hub(hub, secrets["WORKBENCH_HUB_TOKEN"], found)
                provider.say("error", f"bad key {CANARY}")
                provider.plan.keys = {"another"}
                provider.drop()
                found |= run_commands(folder, {**environ, "WORKBENCH_SOURCE": "polygon"})
        hub.process.wait(1)
        found |= {"hub's log": "\n".join(hub.lines).encode(), "desk's log": desk.log_path.read_bytes()}
        asked = provider.requests
    found |= files_of(data) | files_of(folder / "desk") | {"users.json": (folder / "users.json").read_bytes()}
    return found, {**secrets, "password": PASSWORD, "session": session.rsplit("|", 1)[1]}, asked


def trade_a_little(provider, n=40):
    deadline = time.monotonic() + 20
    while not provider.topics() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert provider.topics()
    for i in range(n):
        now_ms = time.time_ns() // 1_000_000
        provider.send([{"ev": "T", "sym": "SPY", "x": 4, "i": str(i), "z": 1, "p": 600.0, "s": 100, "t": now_ms, "q": i + 1}])


@pytest.mark.slow
def test_no_byte_that_a_run_writes_shows_a_key(written):
    found, secrets, _ = written
    assert leaks(found, secrets) == []


@pytest.mark.slow
def test_the_run_said_and_kept_enough_to_be_searched(written):
    found, _, asked = written
    assert {"notebook", "desk page", "desk document", "hub's log", "desk's log", "api /metrics", "api /api/diag", "api stream"} <= set(
        found
    )
    assert len(found["desk document"]) > 10_000
    assert b'"logger": "workbench' in found["hub's log"]
    assert any(place.endswith(".parquet") or "recorded" in place for place in found), sorted(found)
    assert any("Traceback" in cell for cell in (found["notebook"].decode(), found["hub's log"].decode()))
    assert asked, "the provider was asked"


@pytest.mark.parametrize("form", sorted(forms(CANARY)))
def test_the_search_finds_what_it_looks_for(form):
    assert leaks({"somewhere": b"..." + form + b"..."}, {"key": CANARY}) == ["somewhere: key"]
