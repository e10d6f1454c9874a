"""What a person can turn on the desk, as plain parameters: no Panel, no Bokeh, testable without a screen. Floor 8."""

from __future__ import annotations

import param

from workbench.errors import SymbolError, TimeframeError, choices
from workbench.options.structures import underlying_of
from workbench.types import TIMEFRAMES, OptionContract, check_symbol
from workbench.views.theme import PALETTES, THEMES

MAX_WATCHED = 200


class ChartModel(param.Parameterized):
    """What a chart shows. Whoever changes it, every view of it follows."""

    symbol = param.String("SPY", doc="Symbol shown; equity, index or option alike.")
    timeframe = param.Selector(default="5m", objects=list(TIMEFRAMES), doc="Bar length.")
    is_regular_only = param.Boolean(False, doc="Whether bars outside 09:30-16:00 (or the half day's close) are left out.")
    studies = param.List(default=["vwap"], item_type=str, doc="Indicators shown, e.g. 'vwap', 'ema:20', 'rsi:14'.")

    def show(self, symbol: str | None = None, timeframe: str | None = None) -> None:
        """Change symbol and timeframe in one step; SymbolError or TimeframeError when one makes no sense."""
        wanted_symbol = check_symbol(normal_symbol(symbol)) if symbol is not None else self.symbol
        wanted_timeframe = timeframe if timeframe is not None else self.timeframe
        if wanted_timeframe not in TIMEFRAMES:
            raise TimeframeError(f"timeframe: received {choices(wanted_timeframe, TIMEFRAMES)}")
        self.param.update(symbol=wanted_symbol, timeframe=wanted_timeframe)


class WatchlistModel(param.Parameterized):
    """Symbols in the trader's own order."""

    symbols = param.List(default=[], item_type=str, doc="Symbols in the order the trader gave them.")

    def add(self, symbol: str) -> str:
        """Append a symbol and return it as kept; SymbolError when it is no symbol, is listed already, or the list is full."""
        wanted = check_symbol(normal_symbol(symbol))
        if wanted in self.symbols:
            raise SymbolError(f"symbol: received {wanted!r}, which is on the list already")
        if len(self.symbols) >= MAX_WATCHED:
            raise SymbolError(f"symbol: received {wanted!r}; allowed: at most {MAX_WATCHED} on one list; remove one first")
        self.symbols = [*self.symbols, wanted]
        return wanted

    def remove(self, symbol: str) -> None:
        """Take a symbol off the list; harmless when it is not there."""
        self.symbols = [held for held in self.symbols if held != symbol]

    def move(self, symbol: str, position: int) -> None:
        """Put a listed symbol at another position, counted from 0."""
        if symbol not in self.symbols:
            raise SymbolError(f"symbol: received {choices(symbol, self.symbols)}")
        others = [held for held in self.symbols if held != symbol]
        others.insert(max(0, min(position, len(others))), symbol)
        self.symbols = others

    def neighbour(self, symbol: str, step: int) -> str | None:
        """Return the symbol `step` rows below (above when negative), stopping at the ends; None on an empty list."""
        if not self.symbols:
            return None
        at = self.symbols.index(symbol) if symbol in self.symbols else (-1 if step > 0 else len(self.symbols))
        return self.symbols[max(0, min(at + step, len(self.symbols) - 1))]


class Selection(param.Parameterized):
    """What every view of a desk speaks of: an underlying, and the contract and legs chosen from its chain."""

    underlying = param.String("SPY", doc="Symbol whose chain is shown.")
    contract = param.String("", doc="Option selected, 'O:SPY241220P00720000'; '' when the underlying itself is.")
    legs = param.List(default=[], doc="Legs picked: (symbol, contracts; below 0 sold).")

    @property
    def symbol(self) -> str:
        """What a chart shows."""
        return self.contract or self.underlying

    def select(self, symbol: str) -> None:
        """Select a symbol of any kind; SymbolError when it is none. Legs belong to one underlying."""
        wanted = check_symbol(normal_symbol(symbol))
        is_option = wanted.startswith("O:")
        underlying = underlying_of(OptionContract.parse(wanted).root.rstrip("0123456789")) if is_option else wanted
        legs = self.legs if underlying == self.underlying else []
        self.param.update(underlying=underlying, contract=wanted if is_option else "", legs=legs)


class LookModel(param.Parameterized):
    """How the desk looks."""

    theme = param.Selector(default="dark", objects=list(THEMES), doc="Dark or light.")
    palette = param.Selector(default="teal", objects=list(PALETTES), doc="Colours of up and down; 'blue' for colour-blind eyes.")


def normal_symbol(text: str) -> str:
    """Return what was typed as a symbol: spaces off, capitals, except in mixed-case symbols such as 'KIMpL'."""
    symbol = str(text).strip()
    return symbol.upper() if symbol == symbol.lower() else symbol
