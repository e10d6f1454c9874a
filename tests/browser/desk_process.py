"""A desk in a process of its own, and what a test may ask that process besides the page: the hub's truth and its own upkeep.

Run as `python tests/browser/desk_process.py SETTINGS_AS_JSON`: it serves the desk by the parts that `workbench serve` uses, over a
simulated market, and answers a second port from a thread of its own, so that a busy desk can't delay or hide an answer. Tests use
`DeskProcess`.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

ROOT = Path(__file__).resolve().parents[2]
PORTS = "listening on"
FIELDS = ("open", "high", "low", "close", "volume")


# -- the test's side --------------------------------------------------------------------------------------------------------


class DeskProcess:
    """A served desk: `.url`, and questions by name. `log` is what it printed."""

    def __init__(self, folder: Path, *, session_open: bool = False, remember: bool = False, **settings: Any) -> None:
        """Start and wait until it answers.

        `session_open`: begin at 09:30 of the market's first day. `remember`: keep all that is published, for `told`. `settings`:
        as `Settings` takes them.
        """
        self._drain: threading.Thread | None = None
        self.log_path = folder / "desk.log"
        self._log = self.log_path.open("w")
        asked = {"session_open": session_open, "remember": remember, "settings": {"data_dir": str(folder / "data"), **settings}}
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, __file__, json.dumps(asked)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, env=environ, text=True)
        assert self._process.stdout is not None
        self.port, self._side_port = self._read_ports()
        self.url = f"http://127.0.0.1:{self.port}/"

    def _read_ports(self) -> tuple[int, int]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(PORTS):
                port, side_port = json.loads(line.removeprefix(PORTS))
                self._drain = threading.Thread(target=self._process.stdout.read, daemon=True)
                self._drain.start()  # Panel logs there: a pipe that nobody reads would stop it, a closed one is an error
                return port, side_port
        self.stop()
        raise AssertionError(f"the desk did not start:\n{self.log_path.read_text()}")

    def ask(self, what: str, **values: Any) -> Any:
        """Return the process's answer to one of the questions of `Side`."""
        query = urlencode({name: value for name, value in values.items() if value is not None})
        with urllib.request.urlopen(f"http://127.0.0.1:{self._side_port}/{what}?{query}", timeout=60) as answer:
            return json.loads(answer.read())

    @property
    def log(self) -> str:
        """What was written to its standard error so far."""
        return self.log_path.read_text()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(20)
        if self._drain is not None:
            self._drain.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


# -- the process's side -----------------------------------------------------------------------------------------------------


class Side:
    """What a test may ask. Every method takes and returns what JSON carries."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.server: Any = None
        self.longest_turn_s = 0.0
        self.n_messages = 0
        self.published: dict[tuple[str, str], list[Any]] = defaultdict(list)  # (symbol, timeframe) -> parts of rows, in order

    def listen(self) -> None:
        """Remember every closed bar that any series publishes from now on."""
        from workbench.hub.series import Series

        append, publish = Series.append, Series._publish

        def noted_append(series: Any, row: Any) -> None:
            append(series, row)
            self.published[series.symbol, series.timeframe.label].append(row.reshape(-1).copy())

        def noted_publish(series: Any, rows: Any) -> None:
            publish(series, rows)
            self.published[series.symbol, series.timeframe.label].append(rows.copy())

        Series.append, Series._publish = noted_append, noted_publish

    def bars(self, symbol: str, timeframe: str, count: str = "0") -> dict[str, Any]:
        """The hub's bars of one moment: closed (at least `count`, older ones from history), forming, and the count of changes."""
        held = self.engine.hub.series(symbol, timeframe).snapshot()
        rows = held.rows
        older = int(count) - len(rows)
        closed = _plain(rows)
        if older > 0 and len(rows):
            closed = [*_plain(self.engine.hub.older(symbol, timeframe, int(rows["ts_open"][0]), older)), *closed]
        return {"closed": closed, "held": len(rows), "forming": _plain(held.forming), "epoch": held.epoch, "seq": held.seq}

    def told(self, symbol: str, timeframe: str, ts: str) -> list[list[float]]:
        """Every version of the closed bar that starts at `ts` [s UTC] which the hub ever published, in order."""
        parts = list(self.published[symbol, timeframe])
        start_ns = round(float(ts) * 1e9)
        return [row for part in parts for row in _plain(part[part["ts_open"] == start_ns])]

    def pause(self) -> bool:
        """Stand still; True once everything told is applied and published."""
        self.engine.source.pause()
        idle = self.engine.hub.wait_idle(20)
        time.sleep(0.05)  # two turns of the hub, which publishes forming bars at most every 10 ms
        return bool(idle)

    def play(self) -> None:
        """Go on."""
        self.engine.source.play()

    def speed(self, value: str) -> None:
        """Change the speed."""
        self.engine.source.set_speed(float(value))

    def gap(self, minutes: str) -> None:
        """Say that the feed was away for the last `minutes`: bars become doubtful and are read again."""
        from workbench.sources.base import FeedGap

        now_ns = self.engine.clock.now_ns()
        self.engine.hub.on_gap(FeedGap(now_ns - int(float(minutes) * 60e9), now_ns, "said by a test"))

    def clock(self) -> dict[str, Any]:
        """Where the market stands [s UTC], how many history reads are under way, what failed."""
        health = self.engine.hub.health()
        return {
            "now": self.engine.hub._writer.applied_ns / 1e9, "backfilling": health.backfilling, "errors": health.errors,
            "queued": health.queued, "segment": health.segment.name,
        }  # fmt: skip

    def upkeep(self) -> dict[str, Any]:
        """What the process keeps: memory [kB], sessions, callbacks, documents, charts, threads, open files; frames that no page has
        acknowledged, messages sent to pages so far, the longest turn of its loop [s] since the last question.
        """
        import bokeh.document
        import panel as pn

        from workbench.views.chart import CandleChart
        from workbench.views.desk import Desk

        gc.collect()
        kinds = {"documents": bokeh.document.Document, "desks": Desk, "charts": CandleChart}
        found = {name: [thing for thing in gc.get_objects() if isinstance(thing, kind)] for name, kind in kinds.items()}
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        sessions = [session for context in self.server._tornado.applications.values() for session in context.sessions]
        longest, self.longest_turn_s = self.longest_turn_s, 0.0
        return {
            **{name: len(things) for name, things in found.items()},
            "unseen": max((chart._frame - chart._seen for chart in found["charts"]), default=0),
            "messages": self.n_messages,
            "desk_errors": sum(desk.errors for desk in found["desks"]),
            "rss_kb": int(status["VmRSS"].split()[0]),
            "sessions": len(sessions),
            "callbacks": sum(len(held) for held in pn.state._periodic.values()) + sum(len(s.document.session_callbacks) for s in sessions),
            "threads": threading.active_count(),
            "files": len(os.listdir("/proc/self/fd")),
            "longest_turn_s": longest,
        }

    def count_messages(self) -> None:
        """Count what is written to pages from now on."""
        from tornado.websocket import WebSocketHandler

        write = WebSocketHandler.write_message

        def counted(socket: Any, *message: Any, **options: Any) -> Any:
            self.n_messages += 1
            return write(socket, *message, **options)

        WebSocketHandler.write_message = counted

    def watch_loop(self) -> None:
        """Note how long the server's loop was busy with one thing (call on the loop's thread)."""
        last = [time.monotonic()]

        def turn() -> None:
            now = time.monotonic()
            self.longest_turn_s = max(self.longest_turn_s, now - last[0] - 0.01)
            last[0] = now
            self.server.io_loop.call_later(0.01, turn)

        self.server.io_loop.call_later(0.01, turn)


def _plain(rows: Any) -> list[list[float]]:
    """Return bars as [start [s UTC], open, high, low, close, volume]; JSON keeps floats exactly."""
    if rows is None or not len(rows):
        return []
    import numpy as np

    table: list[list[float]] = np.column_stack([rows["ts_open"] / 1e9, *(rows[name] for name in FIELDS)]).tolist()
    return table


def _side_server(side: Side) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer = getattr(side, parts.path.strip("/"))(**dict(parse_qsl(parts.query)))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Serve until terminated."""
    asked = json.loads(sys.argv[1])
    import logging

    from workbench.assembly import assemble
    from workbench.config import Settings
    from workbench.views.serve import server as desk_server

    logging.basicConfig(level=logging.WARNING)
    settings = Settings(**{"session_cap": 200, **asked["settings"]})  # tabs are opened faster than closed ones give their place back
    engine = assemble(settings)
    side = Side(engine)
    if asked["remember"]:
        side.listen()
    if asked["session_open"]:
        session = engine.hub.calendar.sessions[engine.hub.calendar.at(engine.clock.now_ns())]
        engine.source.seek(int(session["open"]))
    engine.start()
    server = desk_server(engine, settings, 0)
    server.start()
    side.server = server
    other = _side_server(side)
    print(PORTS, json.dumps([server.port, other.server_port]), flush=True)
    side.watch_loop()
    side.count_messages()
    server.io_loop.start()


if __name__ == "__main__":
    main()
