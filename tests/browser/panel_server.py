"""`panel serve apps/desk.py`, several processes, attached to a hub by a setting: as a team runs its dashboards."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys

from tests.browser.lab_server import wait_for


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextlib.contextmanager
def panel_serve(root, folder, hub_port, n_processes):
    """Stock Panel with several processes; gives the page's address and the process that started the others."""
    port = free_port()
    environ = os.environ | {"WORKBENCH_SOURCE": f"hub://127.0.0.1:{hub_port}", "WORKBENCH_DATA_DIR": str(folder), "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "panel", "serve", "apps/desk.py", "--num-procs", str(n_processes), "--port", str(port)]
    with (folder / "panel.log").open("w") as log:
        server = subprocess.Popen(command, cwd=root, env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for("a served page", lambda: _answers(port), 60, (folder / "panel.log").read_text)
        yield f"http://127.0.0.1:{port}/desk", server
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # the parent alone would leave its workers running
        server.wait(20)


def _answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
