"""A desk over the simulated market, served from this process so that a test can compare page and hub, and a browser."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from types import SimpleNamespace

import pytest

SYMBOLS = ("SPY", "QQQ", "NVDA", "AAPL")


@pytest.fixture(scope="session")
def browser(playwright_driver, chromium, chromium_flags):
    opened = playwright_driver.chromium.launch(executable_path=chromium, args=[*chromium_flags, "--enable-precise-memory-info"])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A running desk: .url, .engine, .server."""
    with _serving(tmp_path_factory.mktemp("desk")) as running:
        yield running


@pytest.fixture(scope="session")
def serving():
    """Run a desk with other settings: with serving(folder, session_cap=3) as running."""
    return _serving


@contextlib.contextmanager
def _serving(folder, **chosen):
    """Run a desk on the simulated market in this process."""
    import panel as pn

    from workbench.assembly import assemble
    from workbench.config import Settings
    from workbench.views.serve import server

    for name in ("panel", "bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.WARNING)  # or each frame of each session is a captured line
    settings = Settings(**{"source": "simulated", "symbols": SYMBOLS, "speed": 20, "data_dir": folder, "session_cap": 100, **chosen})
    engine = assemble(settings).start()
    engine.hub.wait_idle(60, history=True)
    ready, running = threading.Event(), SimpleNamespace(engine=engine)

    def run():
        asyncio.set_event_loop(asyncio.new_event_loop())
        running.server = server(engine, settings, 0)
        running.server.start()
        running.url = f"http://127.0.0.1:{running.server.port}"
        ready.set()
        running.server.io_loop.start()
        running.server.io_loop.close(all_fds=False)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    yield running
    running.server.io_loop.add_callback(lambda: (running.server.stop(), running.server.io_loop.stop()))
    thread.join(10)
    engine.stop()
    pn.state.cache.pop(("workbench-places",), None)  # places are counted by process, and this one serves again


class Page:
    """A page that remembers what must not happen: errors on the console and requests that leave the machine."""

    def __init__(self, browser, size=(1366, 768)):
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self.page = self.context.new_page()
        self.complaints, self.foreign = [], []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on("request", lambda r: None if _is_local(r.url) else self.foreign.append(r.url))

    def open(self, url, charts=1):
        self.page.goto(url)
        if not charts:
            return self
        self.page.wait_for_function(
            f"window.__workbench?.charts.length >= {charts} && window.__workbench.charts.every((c) => c.ready)", timeout=60_000
        )
        return self

    def evaluate(self, script, *args):
        return self.page.evaluate(script, *args)

    def snapshot(self, i=0):
        """Return what chart `i` of the page holds."""
        return self.page.evaluate(f"window.__workbench.chart({i}).snapshot()")

    def wait(self, condition, timeout_s=30.0):
        """Wait until a condition on the snapshot of the first chart holds."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            shot = self.snapshot()
            if condition(shot):
                return shot
            time.sleep(0.02)
        raise AssertionError(f"not within {timeout_s} s; the page holds {str(shot)[:400]}")

    def close(self):
        self.context.close()


def _is_local(url):
    return url.startswith(("http://127.0.0.1", "http://localhost", "ws://127.0.0.1", "ws://localhost", "data:", "blob:"))


@pytest.fixture
def page(browser):
    opened = Page(browser)
    yield opened
    opened.close()
    assert opened.foreign == []
    assert opened.complaints == []


@pytest.fixture
def open_page(browser):
    """Open more pages: open_page(url) -> Page."""
    opened = []

    def another(url, charts=1, **options):
        opened.append(Page(browser, **options).open(url, charts))
        return opened[-1]

    yield another
    for one in opened:
        one.close()
