"""Every print of one symbol as a ladder needs it: volume at price by aggressor, the last print, and how complete that is.

A hub in this process has an event tape: every accepted print and quote. A hub elsewhere tells the newest of each, at most twenty times a
second: then volumes are a part of what was traded, and `notes` says so. Begins empty with `open`; nothing is read while closed. Floor 8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.hub.aggressor import SplitVolume
from workbench.tick_size import Bands, fitted, tick_bands
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE, SymbolTable, quote_to_row, trade_to_row

NO_TRADES, NO_QUOTES = np.zeros(0, TRADE_DTYPE), np.zeros(0, QUOTE_DTYPE)


class PrintReader:
    """The prints of `symbol` from `since_ns` of the market's clock on."""

    def __init__(self, hub: Any, symbol: str) -> None:
        self.symbol = symbol
        self.bands: Bands = tick_bands(symbol)
        self.volume = SplitVolume()
        self.n_lost = 0  # prints and quotes that came faster than they were read here; of any symbol
        self.since_ns = 0
        self._hub = hub
        self._cursor: Any = None
        self._epoch = -1
        self._sampled: tuple[Any, Any] = (None, None)  # newest print and quote that a hub elsewhere told

    @property
    def is_open(self) -> bool:
        """True while prints are read."""
        return self._epoch >= 0

    @property
    def is_partial(self) -> bool:
        """True where not every print is told here."""
        return not hasattr(self._hub, "tape")

    def open(self) -> None:
        """Begin anew with the present moment."""
        self.close()
        self.volume, self.n_lost = SplitVolume(), 0
        self._epoch, self.since_ns = self._hub.epoch, self._hub.clock.now_ns()
        if self.is_partial:
            self._sampled = self._hub.last_trade(self.symbol), None
        else:
            self._cursor = self._hub.tape.cursor()
            quote = self._hub.quote(self.symbol)
            if quote is not None:
                self.volume.add(NO_TRADES, quote_to_row(quote, SymbolTable()), self.bands)

    def close(self) -> None:
        """Read no more; harmless when closed. What was counted stays readable."""
        if self._cursor is not None:
            self._cursor.close()
        self._cursor, self._epoch = None, -1

    def read(self) -> None:
        """Take what came since the last read; begins anew when the market is told anew."""
        if not self.is_open:
            return
        if self._hub.epoch != self._epoch:
            self.open()
        trades, quotes = self._sample() if self._cursor is None else self._pull()
        for price in np.unique(np.concatenate([quotes["bid"], quotes["ask"]])).tolist():
            if price > 0:  # not NaN
                self.bands = fitted(self.bands, price, is_option=self.symbol.startswith("O:"))
        self.volume.add(trades, quotes, self.bands, is_regular=self._is_regular(trades["ts_event"]))

    def _pull(self) -> tuple[np.ndarray, np.ndarray]:
        if not self._cursor.has_news:
            return NO_TRADES, NO_QUOTES
        events = self._cursor.read()
        self.n_lost += events.lost_trades + events.lost_quotes
        symbol_id = self._hub.symbols.get(self.symbol)
        return events.trades[events.trades["symbol_id"] == symbol_id], events.quotes[events.quotes["symbol_id"] == symbol_id]

    def _sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the newest print and quote, those that are new since the last look."""
        newest, table = (self._hub.last_trade(self.symbol), self._hub.quote(self.symbol)), SymbolTable()
        (trade, quote), (trade_before, quote_before), self._sampled = newest, self._sampled, newest
        return (
            NO_TRADES if trade is None or trade == trade_before else trade_to_row(trade, table),
            NO_QUOTES if quote is None or quote == quote_before else quote_to_row(quote, table),
        )

    def _is_regular(self, ts_ns: np.ndarray) -> np.ndarray:
        session = self._hub.calendar.sessions[self._hub.calendar.latest(self._hub.clock.now_ns())]
        inside: np.ndarray = (ts_ns >= session["open"]) & (ts_ns < session["close"])
        return inside
