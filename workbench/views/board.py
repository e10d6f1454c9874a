"""The quote board: one line a stock or contract with bid, price, ask, spread, sizes, change, own position and target.

Every `tick` reads the newest quote and price of each symbol and sends the cells that changed, all lines in one message. The page flashes
them and sorts. Floor 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from workbench.errors import WorkbenchError
from workbench.hub.series import Series
from workbench.views.asking import Asking
from workbench.views.labels import decimals_of, label_of, short_label
from workbench.views.live import Pace, news, plain
from workbench.views.models import WatchlistModel

STATIC = Path(__file__).parent / "static"
LINES_PER_TICK = 2  # whole lines computed in one tick; the others follow in the next
NO_QUOTE = dict.fromkeys(("bid", "ask", "bid_size", "ask_size", "spread", "spread_pct"))


class QuoteBoard(JSComponent):
    """Quotes of many symbols. A click on a line chooses it; symbols are typed as into the watchlist. `tick`, `start`, `stop`."""

    lines = param.List(default=[], doc="Symbols in order, each with its label.")
    selected = param.String("", doc="Symbol chosen.")
    own = param.Dict(default={}, doc="Symbol -> {'position': signed quantity, 'target': price}; empty until there are orders.")

    _esm = STATIC / "board.js"
    _stylesheets = [STATIC / "board.css"]

    def __init__(self, hub: Any, model: WatchlistModel | None = None, on_select: Callable[[str], Any] = str, **params: Any) -> None:
        """`on_select` is told which symbol a person chose."""
        self._hub, self.model, self._on_select = hub, model or WatchlistModel(), on_select
        self._pace, self._asking = Pace(), Asking(hub)
        self._next = 0
        self._held: dict[str, dict[str, Any]] = {}  # symbol -> what the page shows
        self._series: dict[str, Series] = {}  # symbol -> its one-minute series
        super().__init__(sizing_mode="stretch_both", **params)
        self.model.param.watch(lambda *_: self._relist(), ["symbols"])
        self._relist()

    # -- running -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send, as the page does by itself when it is shown."""
        self._pace.hear({"do": "ready"})
        self._held = {}

    def stop(self) -> None:
        """Send nothing more, as when the page is hidden; harmless when stopped."""
        self._pace.hear({"do": "shown", "is_shown": False})

    def tick(self) -> None:
        """Send the cells that changed since the last tick; does nothing while nobody looks."""
        symbols = self.model.symbols
        if not symbols or not self._pace.may_send:
            return
        watched = set(self._hub.watched())
        whole = {symbols[(self._next + i) % len(symbols)] for i in range(min(LINES_PER_TICK, len(symbols)))}
        self._next = (self._next + LINES_PER_TICK) % len(symbols)
        changed = {}
        for symbol in symbols:
            held = self._held.setdefault(symbol, {})
            fresh = news(held, self._line(symbol, held, symbol in watched, is_whole=symbol in whole or not held))
            if fresh:
                changed[symbol] = fresh
        if changed:
            self._send_msg({"n": self._pace.number(), "lines": changed})

    # -- what is told ------------------------------------------------------------------------------------------------------

    def _line(self, symbol: str, held: dict[str, Any], is_watched: bool, *, is_whole: bool) -> dict[str, Any]:
        if not is_watched:
            return {"trouble": self._asking.ask(symbol)}
        line = {**self._quoted(symbol), **self._last(symbol, held), **self._own(symbol)}
        if is_whole:
            row = self._hub.board(symbol)
            line |= {"prev_close": plain(row.prev_close), "volume": plain(row.volume), "trouble": ""}
            line["decimals"] = decimals_of(math.nan if row.last is None else row.last)
            if line.get("last") is None:
                line |= {"last": plain(row.last), "change": plain(row.change), "change_pct": plain(row.change_pct)}
        return line

    def _quoted(self, symbol: str) -> dict[str, Any]:
        quote = self._hub.quote(symbol)
        if quote is None:
            return NO_QUOTE
        has_bid, has_ask = quote.bid == quote.bid, quote.ask == quote.ask
        spread = plain(quote.ask - quote.bid)
        return {
            "bid": plain(quote.bid), "ask": plain(quote.ask),
            "bid_size": plain(quote.bid_size) if has_bid else None, "ask_size": plain(quote.ask_size) if has_ask else None,
            "spread": spread, "spread_pct": None if spread is None else plain(100 * spread / quote.mid),
        }  # fmt: skip

    def _last(self, symbol: str, held: dict[str, Any]) -> dict[str, Any]:
        """Return price and change by the forming minute; nothing where none forms, so that what is known stays."""
        series = self._series.get(symbol)
        if series is None:
            series = self._series[symbol] = self._hub.series(symbol, "1m")
        forming, before = series.forming, held.get("prev_close")
        if forming is None or not len(forming):
            return {}
        last = float(forming["close"][-1])
        if before is None:
            return {"last": plain(last)}
        return {"last": plain(last), "change": plain(last - before), "change_pct": plain(100 * (last / before - 1))}

    def _own(self, symbol: str) -> dict[str, Any]:
        own = self.own.get(symbol, {})
        return {"position": plain(own.get("position")), "target": plain(own.get("target"))}

    # -- what a person does --------------------------------------------------------------------------------------------------

    def _relist(self) -> None:
        symbols = self.model.symbols
        self.lines = [{"symbol": symbol, "label": short_label(symbol), "title": label_of(symbol)} for symbol in symbols]
        self._held = {symbol: held for symbol, held in self._held.items() if symbol in symbols}
        self._series = {symbol: held for symbol, held in self._series.items() if symbol in symbols}
        self._asking.keep(symbols)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        """Do what a person did on the board; what makes no sense is answered with one sentence."""
        if self._pace.hear(message) == "begin":
            self._held = {}
        kind, symbol = message.get("do"), str(message.get("symbol", ""))
        try:
            if kind == "select":
                self._on_select(symbol)
            elif kind == "remove":
                self.model.remove(symbol)
            elif kind == "move":
                self.model.move(symbol, int(message["position"]))
            elif kind == "add":
                self._add(symbol)
        except WorkbenchError as error:
            self._send_msg({"error": str(error)})

    def _add(self, symbol: str) -> None:
        wanted = self.model.add(symbol)
        try:
            self._hub.watch(wanted)
        except Exception:
            self.model.remove(wanted)
            raise
