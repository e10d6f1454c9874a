"""The price ladder of one stock or option contract: bid size | price | ask size on every step of price, and what was traded there.

Only what the feed knows is on it: sizes at the best bid and ask, volume at price since it was opened. The page makes the rows (centre,
scrolling and pointer are its business); it is told bid, ask, last and volumes, each only when it changed. Floor 8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import param
from panel.custom import JSComponent

from workbench.clock import NS_PER_MS
from workbench.errors import WorkbenchError
from workbench.hub.aggressor import RULE
from workbench.options.structures import underlying_of
from workbench.sessions import to_ny
from workbench.types import OptionContract
from workbench.views.asking import Asking
from workbench.views.health_strip import shown_mode
from workbench.views.labels import decimals_of, label_of
from workbench.views.live import Pace, news, plain
from workbench.views.marks import LadderModel
from workbench.views.prints import PrintReader

STATIC = Path(__file__).parent / "static"
FACTS_EVERY_NS = 500 * NS_PER_MS  # of the market's clock, or of turns where it stands still
FACTS_TURNS = 40


class Ladder(JSComponent):
    """Rows by price with bid, ask, last, volume by aggressor and own marks. `tick` as often as it should move; `start`, `stop`."""

    symbol = param.String("", doc="Symbol shown.")
    label = param.String("", doc="The same, as people say it.")
    marks = param.List(default=[], doc="Own orders and prices, as plain values.")
    centre_key = param.String("c", constant=True, doc="Key that puts the market in the middle.")
    rule = param.String(RULE, constant=True, doc="How volume is told apart.")

    _esm = STATIC / "ladder.js"
    _stylesheets = [STATIC / "ladder.css"]

    def __init__(self, hub: Any, model: LadderModel | None = None, **params: Any) -> None:
        self._hub, self.model = hub, model or LadderModel()
        self._pace, self._asking = Pace(), Asking(hub)
        self._prints = PrintReader(hub, self.model.symbol)
        self._counted = self._prints.volume
        self._held: dict[str, Any] = {}  # what the page shows
        self._is_new = True  # the page has to forget what it shows
        self._turns = 0
        self._facts_ns = 0
        super().__init__(sizing_mode="stretch_both", **params)
        self.model.param.watch(lambda *_: self._open(), ["symbol"])
        self.model.param.watch(lambda *_: self._mark(), ["marks"])
        self._open()
        self._mark()

    # -- running -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read, as the page does by itself when it is shown."""
        self._pace.hear({"do": "ready"})
        self._open()

    def stop(self) -> None:
        """Read nothing more, as when the page is hidden; harmless when stopped."""
        self._pace.hear({"do": "shown", "is_shown": False})
        self._prints.close()

    def tick(self) -> None:
        """Send what changed since the last tick; does nothing while nobody looks."""
        if not self._pace.is_shown:
            return
        symbol, trouble = self.model.symbol, ""
        if symbol not in self._hub.watched():
            trouble = self._asking.ask(symbol)
        elif not self._prints.is_open:
            self._prints.open()
        self._prints.read()
        if self._prints.volume is not self._counted:  # begun anew: by another symbol, a page that was hidden, a market told again
            self._counted = self._prints.volume
            self._forget()
        if not self._pace.may_send:
            return
        fresh = {**self._market(), "trouble": trouble}
        if self._is_due():
            fresh |= self._facts()
        changed = news(self._held, fresh)
        volumes = self._prints.volume.all() if self._is_new else self._prints.volume.changed()
        if changed or volumes or self._is_new:
            self._send_msg({"n": self._pace.number(), "new": self._is_new, "market": changed, "volumes": volumes})
        self._is_new = False

    # -- what is told ------------------------------------------------------------------------------------------------------

    def _market(self) -> dict[str, Any]:
        """Return what moves with every tick."""
        quote, last = self._hub.quote(self.model.symbol), self._prints.volume.last
        sides = {"bid": None, "ask": None, "bid_size": None, "ask_size": None, "mid": None, "spread": None, "quoted": None}
        if quote is not None:
            sides = {
                "bid": plain(quote.bid), "ask": plain(quote.ask),
                "bid_size": plain(quote.bid_size) if quote.bid == quote.bid else None,
                "ask_size": plain(quote.ask_size) if quote.ask == quote.ask else None,
                "mid": plain(quote.mid), "spread": plain(quote.ask - quote.bid), "quoted": quote.ts_event // NS_PER_MS,
            }  # fmt: skip
        told = {"last": None, "last_size": None, "last_side": 0} if last is None else {
            "last": plain(last.price), "last_size": plain(last.size), "last_side": int(last.side),
        }  # fmt: skip
        bands = [[band.from_parts, band.tick_parts] for band in self._prints.bands]
        return {**sides, **told, "bands": bands, "totals": list(self._prints.volume.totals), "since": self._since()}

    def _since(self) -> str:
        return f"{to_ny(self._prints.since_ns):%H:%M:%S}" if self._prints.since_ns else ""

    def _facts(self) -> dict[str, Any]:
        """Return what is worth a look twice a second."""
        symbol, hub = self.model.symbol, self._hub
        health, is_watched = hub.health(symbol), symbol in hub.watched()
        line = hub.board(symbol)
        known = self._prints.volume.last.price if self._prints.volume.last else line.last
        return {
            "high": plain(line.day_high), "low": plain(line.day_low), "volume": plain(line.volume), "close": plain(line.last),
            "change": plain(line.change), "change_pct": plain(line.change_pct), "vwap": self._vwap() if is_watched else None,
            "decimals": decimals_of(float("nan") if known is None else known),
            "mode": shown_mode(str(getattr(health.mode, "value", health.mode)), hub.source_info), "reason": health.reason,
            "now": hub.clock.now_ns() // NS_PER_MS, "notes": self._notes(), "left_out": self._prints.volume.n_left_out,
            "break_even": self._break_even(),
        }  # fmt: skip

    def _vwap(self) -> float | None:
        newest = self._hub.vwap(self.model.symbol, 1)
        return plain(newest["vwap"][-1]) if len(newest) else None

    def _break_even(self) -> dict[str, Any] | None:
        """Return where the underlying has to be at expiry for what is paid (average price, else the ask), None for a stock."""
        if not self.model.symbol.startswith("O:"):
            return None
        try:
            option = OptionContract.parse(self.model.symbol)
        except WorkbenchError:
            return None
        own = next((mark.price for mark in self.model.marks if mark.kind == "average"), None)
        quote = self._hub.quote(self.model.symbol)
        paid = own if own is not None else None if quote is None else plain(quote.ask)
        if paid is None:
            return None
        at = float(option.strike) + (paid if option.right == "C" else -paid)
        underlying = underlying_of(option.root)
        spot = _spot(self._hub, underlying)
        away_pct = None if spot is None else plain(100 * (at / spot - 1))
        told = {"price": round(at, 4), "paid": paid, "is_own": own is not None}
        return {**told, "underlying": underlying, "spot": spot, "away_pct": away_pct}

    def _notes(self) -> list[str]:
        """Return what the numbers leave out."""
        info, said = self._hub.source_info, ["top of book only"]
        if not info.has_quotes:
            said = ["this source tells no quotes: no bid, no ask, every print is of unknown side"]
        if not info.has_trades:
            said.append("this source tells no prints: no volume at price")
        elif self._prints.is_partial:
            said.append("volume is partial: a hub elsewhere tells the newest print 20 times a second, not every one")
        if info.is_partial_tape and not self.model.symbol.startswith("O:"):
            said.append("one exchange's prints, not the whole tape")
        if self._prints.n_lost:
            said.append(f"{self._prints.n_lost:,} events came too fast and are missing")
        return said

    def _is_due(self) -> bool:
        now_ns = self._hub.clock.now_ns()
        self._turns += 1
        if not self._is_new and self._turns % FACTS_TURNS and 0 <= now_ns - self._facts_ns < FACTS_EVERY_NS:
            return False
        self._facts_ns = now_ns
        return True

    # -- what a person does --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Show the model's symbol from now on."""
        symbol = self.model.symbol
        self._prints.close()
        self._prints = PrintReader(self._hub, symbol)
        self._asking.keep([symbol])
        self.param.update(symbol=symbol, label=label_of(symbol))
        self._forget()
        if self._pace.is_shown and symbol in self._hub.watched():
            self._prints.open()

    def _forget(self) -> None:
        self._held, self._is_new = {}, True

    def _mark(self) -> None:
        self.marks = [mark.to_dict() for mark in self.model.marks]

    def _handle_msg(self, message: dict[str, Any]) -> None:
        word = self._pace.hear(message)
        if word == "begin":
            self._forget()
        elif word == "end":
            self._prints.close()


def _spot(hub: Any, underlying: str) -> float | None:
    """Return the middle of the underlying's quote, its last price where there is none; None where the hub does not follow it."""
    quote = hub.quote(underlying)
    if quote is not None and np.isfinite(quote.mid):
        return float(round(quote.mid, 6))
    return plain(hub.board(underlying).last) if underlying in hub.watched() else None
