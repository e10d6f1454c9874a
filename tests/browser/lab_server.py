"""A JupyterLab server of its own with one notebook, and ways to ask its kernel from a page."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import sys
import time

import pytest

# Answers come as the value of an expression: printed text may travel with another message's replies.
RUN_IN_KERNEL = """async ([code, expression]) => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel
  const reply = await kernel.requestExecute({code, store_history: false, user_expressions: {answer: expression}}).done
  if (reply.content.status !== "ok") throw new Error(`${reply.content.ename}: ${reply.content.evalue}`)
  const answer = reply.content.user_expressions.answer
  if (answer.status !== "ok") throw new Error(`${answer.ename}: ${answer.evalue}`)
  return answer.data["text/plain"]
}"""


@contextlib.contextmanager
def lab_server(root, place, cells, **environment):
    """Serve a notebook of these cells on a free loopback port, with a token: gives url(path)."""
    listed = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for i, source in enumerate(cells)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (place / "work").mkdir()
    (place / "work" / "live.ipynb").write_text(json.dumps({"cells": listed, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    folders = {f"JUPYTER_{name}_DIR": str(place / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    folders |= {f"JUPYTERLAB_{name}_DIR": str(place / f"lab_{name.lower()}") for name in ("SETTINGS", "WORKSPACES")}
    environ = os.environ | folders | {"PYTHONPATH": str(root), "IPYTHONDIR": str(place / "ipython")} | environment
    options = ["--no-browser", "--allow-root", "--expose-app-in-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
    options += ["--IdentityProvider.token=secret", f"--ServerApp.root_dir={place / 'work'}"]
    with (place / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=environ, stdout=log, stderr=subprocess.STDOUT)
    try:
        base = wait_for("a running server", lambda: running_url(place / "runtime"), 60, lambda: (place / "log").read_text()[-2000:])
        yield lambda path: f"{base}lab/tree/{path}?token=secret&reset"
    finally:
        server.terminate()
        server.wait(30)


def running_url(folder):
    """Return the address that the server wrote down when it was up, or None."""
    found = list(folder.glob("jpserver-*.json"))
    return json.loads(found[0].read_text())["url"] if found else None


def wait_for(what, ask, seconds=45, explain=lambda: ""):
    """Return the first true answer; `what` is waited for."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    why = explain()
    pytest.fail(f"{what}: not within {seconds} s. {why}", pytrace=False)


def run_all(page, url):
    """Open a notebook and run it to its first live chart."""
    page.goto(url)
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'", timeout=60_000
    )
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function("() => window.__workbench?.charts.length && window.__workbench.charts[0].ready", timeout=60_000)


def value(page, expression, code=""):
    """Return the value of a Python expression in the kernel (what `json` can carry), after running `code`."""
    said = page.evaluate(RUN_IN_KERNEL, [f"import json\n{code}", f"json.dumps({expression})"])
    return json.loads(ast.literal_eval(said))
