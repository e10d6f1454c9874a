"""The watchlist: one line a symbol, sortable, in the trader's own order, kept by whoever owns the model.

Every `tick` reads the newest price of each symbol (cheap) and the whole line of a few of them in turn, and sends what changed.
Floor 8.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import param
from panel.custom import JSComponent

from workbench.errors import WorkbenchError
from workbench.hub.series import Series
from workbench.views.asking import Asking
from workbench.views.labels import decimals_of, label_of, short_label
from workbench.views.models import WatchlistModel

STATIC = Path(__file__).parent / "static"
LINES_PER_TICK = 4  # whole lines computed in one tick; the others follow in the next
SPARK_BARS = 78  # five-minute bars of one regular session
FIELDS = ("last", "change", "change_pct", "gap_pct", "volume", "relative_volume")


class Watchlist(JSComponent):
    """Symbols with last, change, %, gap %, volume, relative volume and a sparkline. A click makes the chart follow."""

    lines = param.List(default=[], doc="Symbols in order, each with its label.")
    selected = param.String("", doc="Symbol that the chart shows.")

    _esm = STATIC / "watchlist.js"
    _stylesheets = [STATIC / "watchlist.css"]

    def __init__(self, hub: Any, model: WatchlistModel, on_select: Callable[[str], None], **params: Any) -> None:
        """`on_select` is told which symbol a person chose."""
        self._hub, self._watchlist, self._on_select = hub, model, on_select
        self._next = 0
        self._sent: dict[str, dict[str, Any]] = {}  # symbol -> what the browser shows
        self._series: dict[str, Series] = {}  # symbol -> its one-minute series
        self._asking = Asking(hub)  # for symbols kept from another day
        super().__init__(sizing_mode="stretch_both", **params)
        model.param.watch(lambda *_: self._relist(), ["symbols"])
        self._relist()

    def tick(self) -> None:
        """Send what changed since the last tick."""
        symbols = self._watchlist.symbols
        if not symbols:
            return
        turn = {symbols[(self._next + i) % len(symbols)] for i in range(min(LINES_PER_TICK, len(symbols)))}
        self._next = (self._next + LINES_PER_TICK) % len(symbols)
        changed = {}
        for symbol in symbols:
            line = self._line(symbol) if symbol in turn else self._newest(symbol)
            held = self._sent.setdefault(symbol, {})
            fresh = {name: value for name, value in line.items() if held.get(name) != value}
            if fresh:
                held.update(fresh)
                changed[symbol] = fresh
        if changed:
            self._send_msg({"lines": changed})

    def _line(self, symbol: str) -> dict[str, Any]:
        """Return the whole line of a symbol; one that is not watched yet is asked for."""
        if symbol not in self._hub.watched():
            return {"trouble": self._asking.ask(symbol)}
        row = self._hub.board(symbol)
        line = {name: _plain(getattr(row, name)) for name in FIELDS}
        line["prev_close"] = _plain(row.prev_close)
        line["decimals"] = decimals_of(row.last or float("nan"))
        line["spark"], line["trouble"] = self._spark(symbol), ""
        return line

    def _newest(self, symbol: str) -> dict[str, Any]:
        """Return last and change only, from the forming bar."""
        series = self._series.get(symbol)
        if series is None:
            if symbol in self._hub.watched():
                self._series[symbol] = self._hub.series(symbol, "1m")
            return {}
        forming, before = series.forming, self._sent.get(symbol, {}).get("prev_close")
        if forming is None or not len(forming):
            return {}
        last = float(forming["close"][-1])
        if before is None:
            return {"last": last}
        return {"last": last, "change": round(last - before, 6), "change_pct": round(100 * (last / before - 1), 4)}

    def _spark(self, symbol: str) -> list[float]:
        rows = self._hub.series(symbol, "5m").rows(SPARK_BARS)
        return [] if len(rows) < 2 else np.round(rows["close"], 4).tolist()

    def _relist(self) -> None:
        self.lines = [{"symbol": symbol, "label": short_label(symbol), "title": label_of(symbol)} for symbol in self._watchlist.symbols]
        self._sent = {symbol: held for symbol, held in self._sent.items() if symbol in self._watchlist.symbols}
        self._series = {symbol: held for symbol, held in self._series.items() if symbol in self._watchlist.symbols}
        self._asking.keep(self._watchlist.symbols)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        """Do what a person did in the list; what makes no sense is answered with one sentence."""
        kind, symbol = message.get("do"), str(message.get("symbol", ""))
        try:
            if kind == "ready":
                self._sent = {}
            elif kind == "select":
                self._on_select(symbol)
            elif kind == "remove":
                self._watchlist.remove(symbol)
            elif kind == "move":
                self._watchlist.move(symbol, int(message["position"]))
            elif kind == "add":
                self._add(symbol)
        except WorkbenchError as error:
            self._send_msg({"error": str(error)})

    def _add(self, symbol: str) -> None:
        wanted = self._watchlist.add(symbol)
        try:
            self._hub.watch(wanted)
        except Exception:
            self._watchlist.remove(wanted)
            raise


def _plain(value: float | None) -> float | None:
    """Return a number as JSON can carry it; unknown (None, NaN) is None."""
    return None if value is None or value != value else round(float(value), 6)
