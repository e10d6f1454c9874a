"""A real JupyterLab with a real kernel: the live chart in a cell ticks, follows, stops when its cell is cleared, and needs no web."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.browser

START = """
from workbench import assemble, chart

engine = assemble(symbols=("SPY", "QQQ"), seed=7, speed=20).start()
hub = engine.hub
hub.wait_idle(60, history=True)
"""
CELLS = (START, "shown = chart(hub, 'SPY', '1m')\nshown", "hub.bars('SPY', '5m').tz_localize(None).hvplot.ohlc()")
# Answers come as the value of an expression: printed text may travel with another message's replies.
RUN_IN_KERNEL = """async ([code, expression]) => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel
  const reply = await kernel.requestExecute({code, store_history: false, user_expressions: {answer: expression}}).done
  if (reply.content.status !== "ok") throw new Error(`${reply.content.ename}: ${reply.content.evalue}`)
  const answer = reply.content.user_expressions.answer
  if (answer.status !== "ok") throw new Error(`${answer.ename}: ${answer.evalue}`)
  return answer.data["text/plain"]
}"""


@pytest.fixture(scope="module")
def lab(root, tmp_path_factory):
    """A JupyterLab server of its own, on a free loopback port, with a token: .url(path)."""
    place = tmp_path_factory.mktemp("lab")
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for i, source in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (place / "work").mkdir()
    (place / "work" / "live.ipynb").write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    folders = {f"JUPYTER_{name}_DIR": str(place / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    folders |= {f"JUPYTERLAB_{name}_DIR": str(place / f"lab_{name.lower()}") for name in ("SETTINGS", "WORKSPACES")}
    environment = os.environ | folders | {"PYTHONPATH": str(root), "IPYTHONDIR": str(place / "ipython")}
    options = ["--no-browser", "--allow-root", "--expose-app-in-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
    options += ["--IdentityProvider.token=secret", f"--ServerApp.root_dir={place / 'work'}"]
    with (place / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        base = wait_for("a running server", lambda: running_url(place / "runtime"), 60, lambda: (place / "log").read_text()[-2000:])
        yield SimpleNamespace(url=lambda path: f"{base}lab/tree/{path}?token=secret&reset")
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


@pytest.fixture
def page(lab, browser):
    """The notebook, opened and run to its end; remembers errors and requests that leave the machine."""
    context = browser.new_context(viewport={"width": 1366, "height": 1600})
    opened = context.new_page()
    opened.foreign, opened.complaints = [], []
    opened.on("request", lambda r: None if r.url.startswith(("http://127.0.0.1", "data:", "blob:")) else opened.foreign.append(r.url))
    opened.on("websocket", lambda w: None if w.url.startswith("ws://127.0.0.1") else opened.foreign.append(w.url))
    opened.on("console", lambda m: opened.complaints.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda e: opened.complaints.append(str(e)))
    opened.goto(lab.url("live.ipynb"))
    opened.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'", timeout=60_000
    )
    opened.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    opened.wait_for_function("() => window.__workbench?.charts.length && window.__workbench.charts[0].ready", timeout=60_000)
    yield opened
    context.close()


def snapshot(page):
    return page.evaluate("window.__workbench.chart(0).snapshot()")


def tick(page):
    """Return what changes with every print: start and values of the newest bar."""
    live = snapshot(page)["live"]
    return [live["ts"][-1], live["c"][-1], live["v"][-1]]


def value(page, expression, code=""):
    """Return the value of a Python expression in the kernel (what `json` can carry), after running `code`."""
    said = page.evaluate(RUN_IN_KERNEL, [f"import json\n{code}", f"json.dumps({expression})"])
    return json.loads(ast.literal_eval(said))


def test_the_chart_in_a_cell_ticks_shows_the_hubs_bars_follows_and_stops_with_its_cell(page, tmp_path):
    def state():
        return page.complaints[:3], value(
            page, "[(v._turn, v.is_ticking, v.candles._frame, v.candles._seen, v.frame.message) for v in shown._views]"
        )

    seen = [tick(page)]
    for _ in range(3):
        wait_for("a tick", lambda: tick(page) != seen[-1], explain=state)
        seen.append(tick(page))
    assert value(page, "6 * 7") == 42  # the kernel answers while the chart ticks

    held = value(
        page,
        "[(rows['ts_open'] / 1e9).tolist(), rows['close'].tolist()]",
        "hub.source.pause(); hub.wait_idle(); rows = hub.series('SPY', '1m').rows(50)",
    )
    last = wait_for("the last bar", lambda: snapshot(page) if snapshot(page)["history"]["ts"][-1:] == held[0][-1:] else None, explain=state)
    assert [last["history"]["ts"][-50:], last["history"]["c"][-50:]] == held

    page.get_by_label("Symbol").first.fill("qqq")
    page.keyboard.press("Enter")
    wait_for("the other symbol", lambda: snapshot(page)["symbol"] == "QQQ" and snapshot(page)["state"] == "ready", explain=state)
    page.screenshot(path=tmp_path / "lab.png")
    assert value(page, "[shown.model.symbol, shown.is_ticking, shown.errors]") == ["QQQ", True, 0]

    page.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    wait_for("the end of ticking", lambda: not value(page, "shown.is_ticking"), explain=state)
    assert page.foreign == []
    assert page.complaints == []
