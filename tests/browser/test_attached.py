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


@contextlib.contextmanager
def standing_still(port):
    """Stop the market of a hub, and give the hub; what was on its way still arrives."""
    hub = RemoteHub(f"hub://127.0.0.1:{port}")
    hub.start()
    try:
        hub.source.pause()
        assert hub.wait_idle(30, history=True)
        yield hub
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

        def same(what, hub):
            """Wait until nothing moves any more and everybody shows the bar that the hub has."""

            def all_show():
                bar = newest_bar(hub)
                time.sleep(0.5)
                return all(shown == bar for shown in [newest_bar(hub), *shows()])

            wait_for(f"the same bar everywhere {what}", all_show, 30, lambda: f"{newest_bar(hub)} and {shows()}")

        before = shows()
        wait_for("ticking", lambda: all(shown != old for shown, old in zip(shows(), before, strict=True)), 30)
        with standing_still(hub.port) as truth:
            same("while the market stands still", truth)

        hub.kill()
        wait_for("word of the loss", lambda: value(pages[0].page, "hub.health().reason").startswith("the hub at"), 30)
        again = stack.enter_context(HubProcess(folders["hub"], *MARKET, port=hub.port))
        wait_for("the notebook to attach again", lambda: value(pages[0].page, "hub.health().mode") not in ("DEGRADED", "STALE"), 30)
        with standing_still(again.port) as truth:
            same("after the hub was started again", truth)
        assert value(pages[0].page, "[hub.epoch, hub.watched()]") == [again.get("/api/diag")[1]["epoch"], ["SPY", "QQQ"]]
        assert value(pages[0].page, "shown.errors") == 0
        assert pages[0].foreign == []  # stock Panel takes its style sheets from the web
