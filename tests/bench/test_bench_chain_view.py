"""The chain on screen: 400 strikes, 16 columns of calls and of puts, every quote another ten times a second. A regression here is felt
as a chart that stutters while a chain is open beside it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import panel as pn
import pytest
from bokeh.core.serialization import Serializer

from tests.views.fake_hub import FakeHub
from workbench.clock import ReplayClock
from workbench.hub.chains import ChainStatus
from workbench.options.chain import contract_rows, make_chain
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import NS_PER_S, OptionContract
from workbench.views import chain as view_module
from workbench.views.app_page import AppPage
from workbench.views.chain import ChainView
from workbench.views.chain_grid import NAMES
from workbench.views.models import Selection
from workbench.views.shelf import Shelf

EXPIRY, NOW = date(2026, 12, 18), ny_ns(date(2026, 11, 20), 14)
STRIKES, TURNS_PER_S, SECONDS = 400, 10, 3
CALENDAR = SessionCalendar.xnys()
TURN_NS = NS_PER_S // TURNS_PER_S


def quoted_chain() -> Any:
    """Return a chain around 675 whose quotes are smooth, convex prices: nearly all can be priced."""
    strikes = np.arange(475, 475 + STRIKES)
    rows = contract_rows([OptionContract("SPX", EXPIRY, r, Decimal(int(k))) for k in strikes for r in "CP"], CALENDAR)
    away = np.where(rows["right"] == "C", 675.0 - rows["strike"], rows["strike"] - 675.0)
    rows["bid"] = np.round(0.5 * (away + np.sqrt(away**2 + 40.0**2)), 2) + 0.05
    rows["ask"], rows["ts_ns"] = rows["bid"] + 0.10, NOW
    for name in ("bid_size", "ask_size", "volume", "open_interest"):
        rows[name] = 500.0
    rows["last"] = rows["bid"]
    return make_chain("SPX", rows, spot=675.0, spot_ts_ns=NOW, asof_ns=NOW, source="a bench")


def moved(chain: Any, by: int) -> Any:
    rows = chain.rows.copy()
    for name in ("bid", "ask", "last"):
        rows[name] += 0.01 * by
    for name in ("bid_size", "ask_size", "volume"):
        rows[name] += by
    return replace(chain, rows=rows, spot=chain.spot + 0.01 * by)


class Moving(FakeHub):
    """A reader whose every quote is another at each look, and a hub around it."""

    def __init__(self) -> None:
        super().__init__(())
        self.clock, self._n = ReplayClock(NOW), 0
        self.status = ChainStatus(is_loaded=True, reason="", n_live=0)
        self._chains = [moved(quoted_chain(), k) for k in range(7)]

    @property
    def changes(self) -> int:
        self._n += 1
        return self._n

    def snapshot(self) -> Any:
        return self._chains[self._n % len(self._chains)]

    def expiries(self, _: str) -> tuple[date, ...]:
        return (EXPIRY,)

    def chain(self, *_: Any) -> Moving:
        return self

    def close(self) -> None:
        pass


def view_of(hub: Moving) -> ChainView:
    return ChainView(hub, Selection(underlying="SPX"), Shelf(None), first_columns=NAMES)


@pytest.mark.bench
def test_the_servers_share_of_a_core_for_one_viewer(floor, monkeypatch):
    hub, now, sent = Moving(), [NS_PER_S], []

    def inline(work: Any, *args: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*args, **options))
        return done

    monkeypatch.setattr(view_module, "_PRICES", SimpleNamespace(submit=inline))
    monkeypatch.setattr(view_module, "_ASKS", SimpleNamespace(submit=inline))
    monkeypatch.setattr(view_module, "monotonic_ns", lambda: now[0])
    view = view_of(hub)

    def send(message: dict[str, Any]) -> None:
        sent.append(len(json.dumps(Serializer().encode(message))))  # as Panel encodes it
        view._handle_msg({"do": "drawn", "value": json.loads(message["chain"])["n"]})

    monkeypatch.setattr(view, "_send_msg", send)
    view.open()

    def second() -> float:
        before = time.process_time()
        for _ in range(TURNS_PER_S):
            now[0] += TURN_NS
            view.tick()
        return time.process_time() - before

    second()
    shares = sorted(100 * second() for _ in range(10))
    assert len(sent) == 11 * TURNS_PER_S
    assert view._priced is not None
    assert np.isfinite(view._priced.vol).mean() > 0.9
    print(
        f"\nchain view, server: {shares[0]:.1f} % of a core at best, {shares[5]:.1f} % in the middle, {max(sent[20:]) / 1e3:.0f} kB a turn"
    )
    floor("chain view of 400 strikes, 10 updates a second: server's share of a core [%]", shares[0], most=25, is_absolute=True)


@pytest.fixture
def served() -> Any:
    """A server of the page: .url, .views."""
    for name in ("panel", "bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.WARNING)
    pn.extension()
    hub, ready, running = Moving(), threading.Event(), SimpleNamespace(views=[])

    def app() -> Any:
        selection = Selection(underlying="SPX")
        view = ChainView(hub, selection, Shelf(None), first_columns=NAMES)
        running.views.append(view)
        page = AppPage(hub, view, selection, {"symbol": "SPX"})
        page.start()
        return page

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        running.server = pn.serve(app, port=0, show=False, start=False)
        running.server.start()
        ready.set()
        running.server.io_loop.start()
        running.server.io_loop.close(all_fds=False)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    yield SimpleNamespace(url=f"http://127.0.0.1:{running.server.port}", views=running.views)
    running.server.io_loop.add_callback(lambda: (running.server.stop(), running.server.io_loop.stop()))
    thread.join(10)


COUNT = """(seconds) => new Promise((done) => {
  let frames = 0
  const since = performance.now()
  const frame = () => { frames += 1; if (performance.now() - since < 1000 * seconds) requestAnimationFrame(frame); else done(1000 * frames / (performance.now() - since)) }
  requestAnimationFrame(frame)
})"""
DRAWN = """() => {
  const dig = (root, css) => [...root.querySelectorAll(css), ...[...root.querySelectorAll("*")].flatMap((el) => el.shadowRoot ? dig(el.shadowRoot, css) : [])]
  return dig(document, ".sheet .bid").map((el) => el.textContent)
}"""


@pytest.mark.bench
@pytest.mark.browser
def test_frames_a_second_while_every_quote_moves(playwright_driver, chromium, chromium_flags, served, floor):
    browser = playwright_driver.chromium.launch(executable_path=chromium, args=chromium_flags)
    page = browser.new_page(viewport={"width": 2560, "height": 1440})
    page.goto(served.url)
    page.locator(".calls .delta").filter(has_text="0.").first.wait_for(timeout=60_000)
    before = page.evaluate(DRAWN)
    drawn = served.views[-1]._seen
    frames = page.evaluate(COUNT, SECONDS)
    drawn = served.views[-1]._seen - drawn
    after = page.evaluate(DRAWN)
    browser.close()
    assert len(before) > 100
    assert before != after
    assert drawn > 0.5 * TURNS_PER_S * SECONDS, "the page draws what it is told"
    print(
        f"\nchain view, page of {len(before) // 2} lines by {2 * len(NAMES)} cells: {frames:.0f} frames and {drawn / SECONDS:.1f} updates a second"
    )
    floor("chain view, 10 updates a second: frames a second in the page", frames, least=30, is_absolute=True)
