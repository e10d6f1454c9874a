"""One hub in a process of its own; a notebook in JupyterLab and two processes of `panel serve` attached to it.

All show the same newest bar, and do again, by themselves, after the hub was killed and started anew.
"""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.api.hub_process import HubProcess
from tests.browser.conftest import Page
from tests.browser.lab_server import lab_server, run_all, value, wait_for
from tests.browser.panel_server import panel_serve
from workbench.hub.remote.hub import RemoteHub

pytestmark = [pytest.mark.browser, pytest.mark.slow]

START = """
from workbench import Settings, assemble, chart

engine = assemble(Settings(source="hub://127.0.0.1:{port}")).start()
hub = engine.hub
"""
CHART = "shown = chart(hub, 'SPY', '1m')\nshown"
MARKET = ("--symbols", "SPY,QQQ", "--seed", "7", "--speed", "20")
NEWEST = """() => {
  const chart = window.__workbench?.charts[0]
  if (!chart?.ready) return chart ? [chart.attached, chart.model.meta.state, chart.model.meta.message, chart.model.status.reason] : null
  const {live} = window.__workbench.chart(0).snapshot()
  const last = live.ts.length - 1
  return last < 0 ? null : ["ts", "o", "h", "l", "c", "v"].map((name) => live[name][last])
}"""


def newest_bar(hub):
    update = hub.series("SPY", "1m").snapshot()
    row = (update.rows if update.forming is None else update.forming)[-1]
    return [row["ts_open"] / 1e9, *(float(row[name]) for name in ("open", "high", "low", "close", "volume"))]


def stand_still(port):
    """Stop the market, wait until the hub is done, and return its newest bar as pages show it: start [s], OHLC, volume."""
    hub = RemoteHub(f"hub://127.0.0.1:{port}")
    hub.start()
    try:
        hub.source.pause()
        assert hub.wait_idle(30, history=True)
        seen = [newest_bar(hub)]
        while seen[-3:] != [seen[-1]] * 3:  # the hub publishes open bars a moment after it has taken the prints
            time.sleep(0.5)
            assert hub.wait_idle(30)
            seen.append(newest_bar(hub))
        return seen[-1]
    finally:
        hub.stop()


def test_a_notebook_and_two_panel_processes_show_the_same_bar_through_a_restart_of_the_hub(root, browser, tmp_path):
    folders = {name: tmp_path / name for name in ("hub", "panel", "lab")}
    for folder in folders.values():
        folder.mkdir()
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(HubProcess(folders["hub"], *MARKET))
        url, _ = stack.enter_context(panel_serve(root, folders["panel"], hub.port, 2))
        lab = stack.enter_context(lab_server(root, folders["lab"], [START.format(port=hub.port), CHART], WORKBENCH_DATA_DIR=str(tmp_path)))
        pages = [stack.enter_context(contextlib.closing(Page(browser)))]
        run_all(pages[0].page, lab("live.ipynb"))
        while hub.get("/api/diag")[1]["streams"] < 3:  # the notebook and both processes: who serves a page is the system's choice
            assert len(pages) < 16, "only one of two processes serves pages"
            pages.append(stack.enter_context(contextlib.closing(Page(browser))).open(f"{url}?symbol=SPY&tf=1m"))

        def shows():
            return [page.page.evaluate(NEWEST) for page in pages]

        def same(what, bar):
            wait_for(f"the same bar everywhere {what}", lambda: all(shown == bar for shown in shows()), 30, lambda: f"{bar} and {shows()}")

        before = shows()
        wait_for("ticking", lambda: all(shown != old for shown, old in zip(shows(), before, strict=True)), 30)
        same("while the market stands still", stand_still(hub.port))

        hub.kill()
        wait_for("word of the loss", lambda: value(pages[0].page, "hub.health().reason").startswith("the hub at"), 30)
        again = stack.enter_context(HubProcess(folders["hub"], *MARKET, port=hub.port))
        wait_for("the notebook to attach again", lambda: value(pages[0].page, "hub.health().mode") not in ("DEGRADED", "STALE"), 30)
        bar = stand_still(again.port)
        same("after the hub was started again", bar)
        assert value(pages[0].page, "[hub.epoch, hub.watched()]") == [again.get("/api/diag")[1]["epoch"], ["SPY", "QQQ"]]
        assert value(pages[0].page, "shown.errors") == 0
        assert pages[0].foreign == []  # stock Panel takes its style sheets from the web
