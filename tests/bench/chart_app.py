"""Serves the desk's chart and TradingView Lightweight Charts side by side, fed by the same ticks, for `test_bench_chart.py`.

Run as `python tests/bench/chart_app.py PORT FOLDER_OF_THE_PEER`. Routes: /ours, /peer, /four (four of ours). Every session has
5,000 closed 1-minute bars and gets 20 updates a second; each update carries the moment [ms] at which the server made it. Updates
come at uneven moments: every 50 ms exactly is every third frame, and whoever happens to be just before a frame would win.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import panel as pn
import param
from panel.custom import JSComponent

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "views")]

from fake_hub import FakeHub  # noqa: E402

from workbench.views.chart import CandleChart  # noqa: E402
from workbench.views.models import ChartModel  # noqa: E402

BARS, UPDATE_MS = 5000, 50
UNEVEN_S = 0.033  # an update comes up to two frames late


class StampedHub(FakeHub):
    """Moves the forming minute of one symbol; the clock says when."""

    def step(self) -> np.ndarray:
        """Move the forming bar by one print and return it."""
        series = self.series("SPY", "1m")
        row = series.forming
        if row is None:
            last = series.rows(1)
            row = last.copy()
            row["ts_open"], row["ts_close"] = last["ts_close"], last["ts_close"] + 60_000_000_000
            row["open"] = row["high"] = row["low"] = last["close"]
            row["is_partial"] = 1
        price = round(float(row["close"][0]) * float(np.exp(self._rng.normal(0, 0.0002))), 2)
        row["close"] = price
        row["high"], row["low"] = np.maximum(row["high"], price), np.minimum(row["low"], price)
        row["volume"] += 100
        self.clock.seek(time.time_ns())
        series.set_forming(row)
        return row


class Lightweight(JSComponent):
    """The peer, as a Panel user would embed it."""

    bars = param.List()
    tick = param.Dict(default={})

    _importmap: ClassVar = {"imports": {"lightweight-charts": "/peer_files/lightweight-charts.standalone.production.mjs"}}
    _esm = """
    import {createChart, CandlestickSeries} from "lightweight-charts"
    export function render({model}) {
      const box = document.createElement("div")
      box.style.cssText = "position:absolute;inset:0"
      const chart = createChart(box, {autoSize: true, timeScale: {timeVisible: true}})
      const series = chart.addSeries(CandlestickSeries)
      series.setData(model.bars)
      window.__peer = {n: model.bars.length, stamp: 0}
      model.on("tick", () => {
        const {stamp, ...bar} = model.tick
        series.update(bar)
        window.__peer.stamp = stamp
      })
      return box
    }
    """


def bar_of(row: Any) -> dict[str, float]:
    """Return a bar as the peer takes it."""
    return {"time": int(row["ts_open"]) // 10**9, **{name: float(row[name]) for name in ("open", "high", "low", "close")}}


def tell_unevenly(step: Callable[[], None]) -> None:
    """Call `step` 20 times a second in the present session, at moments that no frame rate follows."""
    rng = np.random.default_rng(3)

    async def turn() -> None:
        await asyncio.sleep(rng.uniform(0, UNEVEN_S))
        step()

    pn.state.add_periodic_callback(turn, period=UPDATE_MS)


def ours(count: int = 1) -> pn.viewable.Viewable:
    """Return `count` charts of the desk, ticking."""
    hub = StampedHub(n=BARS)
    hub.watch("SPY")
    charts = [CandleChart(hub, ChartModel(symbol="SPY", timeframe="1m")) for _ in range(count)]

    def step() -> None:
        hub.step()
        for chart in charts:
            chart.tick()

    tell_unevenly(step)
    side = {1: (1200, 700), 4: (640, 380)}[count]
    boxes = [pn.Column(chart, width=side[0], height=side[1], sizing_mode="fixed") for chart in charts]
    return pn.GridBox(*boxes, ncols=2) if count > 1 else boxes[0]


def peer() -> pn.viewable.Viewable:
    """Return the peer's chart, ticking."""
    hub = StampedHub(n=BARS)
    chart = Lightweight(bars=[bar_of(row) for row in hub.series("SPY", "1m").rows()], width=1200, height=700, sizing_mode="fixed")

    def step() -> None:
        row = hub.step()
        chart.tick = {**bar_of(row[0]), "stamp": hub.clock.now_ns() / 1e6}

    tell_unevenly(step)
    return chart


def main() -> None:
    """Serve until killed."""
    port, folder = int(sys.argv[1]), sys.argv[2]
    pages = {"ours": ours, "peer": peer, "four": lambda: ours(4)}
    pn.serve(pages, port=port, address="127.0.0.1", show=False, static_dirs={"peer_files": folder})


if __name__ == "__main__":
    main()
