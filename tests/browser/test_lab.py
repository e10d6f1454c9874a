"""A real JupyterLab with a real kernel: the live chart in a cell ticks, follows, stops when its cell is cleared, and needs no web."""

from __future__ import annotations

import pytest

from tests.browser.lab_server import lab_server, run_all, value, wait_for

pytestmark = pytest.mark.browser

START = """
from workbench import assemble, chart

engine = assemble(symbols=("SPY", "QQQ"), seed=7, speed=20).start()
hub = engine.hub
hub.wait_idle(60, history=True)
"""
CELLS = (START, "shown = chart(hub, 'SPY', '1m')\nshown", "hub.bars('SPY', '5m').tz_localize(None).hvplot.ohlc()")


@pytest.fixture(scope="module")
def lab(root, tmp_path_factory):
    """A JupyterLab server: url(path)."""
    with lab_server(root, tmp_path_factory.mktemp("lab"), CELLS) as url:
        yield url


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
    run_all(opened, lab("live.ipynb"))
    yield opened
    context.close()


def snapshot(page):
    return page.evaluate("window.__workbench.chart(0).snapshot()")


def tick(page):
    """Return what changes with every print: start and values of the newest bar."""
    live = snapshot(page)["live"]
    return [live["ts"][-1], live["c"][-1], live["v"][-1]]


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
