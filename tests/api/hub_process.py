"""A hub in a process of its own, started by the command that people type: `workbench hub`."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0


class HubProcess:
    """`workbench hub …` with its output kept; a context manager. `port` is known when it answers."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        self.folder = folder
        environment = {**os.environ, "WORKBENCH_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "workbench.cli.main", "hub", "--port", str(port), *arguments]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)
        self.lines: list[str] = []
        self._has_port = threading.Event()
        self.port = port
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_ready()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            found = re.search(r"https?://[\w.\[\]:]+?:(\d+)", line)
            if found and not self._has_port.is_set():
                self.port = int(found[1])
                self._has_port.set()
        self._has_port.set()

    def wait_ready(self, within_s: float = START_S) -> float:
        """Return how many seconds passed until the hub answered that it is alive."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            if self._has_port.wait(0.05):
                try:
                    if self.get("/livez")[0] == 200:
                        return time.monotonic() - began
                except OSError:
                    pass
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError("the hub did not start:\n" + "\n".join(self.lines[-20:]))

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Return status and body (decoded when it is JSON) of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            is_json = "json" in (answer.getheader("content-type") or "")
            return answer.status, json.loads(body) if is_json else body.decode()
        finally:
            connection.close()

    def kill(self) -> None:
        """End it as a power switch does, as far as a process can tell."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self._close()

    def _close(self) -> None:
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self) -> int:
        """End it politely; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        finally:
            if self.process.poll() is None:
                self.kill()
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()
