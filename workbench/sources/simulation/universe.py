"""What each simulated symbol is like: price level, volatility, links to market and sector, activity, spread.

The constants are plausible, not measured: a price level to draw around, daily volatilities and a thinned tape (tens of prints
a minute instead of thousands). A symbol outside the table gets facts derived from its name, so every symbol has a market.

Floor 2.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

DEFAULT_SYMBOLS = ("SPY", "QQQ", "AAPL", "NVDA", "TSLA", "MSFT", "AMD", "META", "AMZN", "IWM")


@dataclass(frozen=True, slots=True)
class SymbolFacts:
    """Constants of one symbol. Log returns: symbol = beta * market + beta_sector * sector + own."""

    symbol: str
    price: float  # level around which the years move [USD]
    beta: float  # to the market factor
    sector: str
    beta_sector: float
    own_vol: float  # daily sd of the symbol's own part, log
    prints_per_min: float  # mean over the regular session
    mean_lots: float  # mean round lots of a print that is not an odd lot
    spread_bps: float  # in the regular session; never below one cent


def _facts(
    symbol: str, price: float, beta: float, link: tuple[str, float], own_vol: float, tape: tuple[float, float, float]
) -> SymbolFacts:
    return SymbolFacts(symbol, price, beta, link[0], link[1], own_vol, *tape)


_TABLE = (
    # symbol, level, beta, (sector, beta), own daily vol, (prints a minute, mean lots, spread bps)
    _facts("SPY", 680.0, 1.00, ("broad", 0.05), 0.0008, (135, 4.0, 0.15)),
    _facts("QQQ", 620.0, 1.15, ("tech", 0.45), 0.0012, (110, 3.5, 0.2)),
    _facts("IWM", 245.0, 1.10, ("small", 0.8), 0.003, (70, 3.5, 0.5)),
    _facts("DIA", 470.0, 0.90, ("broad", 0.3), 0.002, (30, 2.0, 0.6)),
    _facts("AAPL", 270.0, 1.05, ("tech", 0.6), 0.009, (100, 2.5, 0.5)),
    _facts("MSFT", 510.0, 1.00, ("tech", 0.7), 0.008, (70, 2.0, 0.7)),
    _facts("NVDA", 190.0, 1.60, ("chips", 0.9), 0.014, (135, 5.0, 0.6)),
    _facts("AMD", 240.0, 1.60, ("chips", 1.0), 0.018, (90, 3.0, 0.9)),
    _facts("AVGO", 350.0, 1.40, ("chips", 0.9), 0.015, (50, 2.0, 1.5)),
    _facts("SMH", 360.0, 1.40, ("chips", 0.9), 0.004, (30, 2.0, 1.2)),
    _facts("TSLA", 430.0, 1.70, ("cars", 0.8), 0.022, (130, 3.0, 0.8)),
    _facts("META", 640.0, 1.20, ("web", 0.7), 0.012, (60, 1.8, 1.0)),
    _facts("AMZN", 230.0, 1.20, ("web", 0.7), 0.011, (80, 2.5, 0.6)),
    _facts("GOOGL", 280.0, 1.10, ("web", 0.7), 0.011, (70, 2.5, 0.7)),
    _facts("NFLX", 110.0, 1.10, ("web", 0.5), 0.014, (45, 2.0, 1.2)),
    _facts("PLTR", 175.0, 1.60, ("tech", 0.8), 0.024, (80, 4.0, 1.0)),
    _facts("COIN", 310.0, 1.90, ("coins", 1.0), 0.024, (45, 2.0, 2.5)),
    _facts("MSTR", 260.0, 1.80, ("coins", 1.3), 0.026, (45, 2.0, 2.5)),
    _facts("JPM", 310.0, 0.90, ("banks", 0.8), 0.007, (40, 2.0, 1.0)),
    _facts("XLF", 53.0, 0.90, ("banks", 0.7), 0.002, (40, 8.0, 2.0)),
    _facts("XOM", 115.0, 0.60, ("oil", 0.9), 0.007, (40, 2.5, 1.0)),
    _facts("GLD", 370.0, 0.10, ("metal", 0.9), 0.003, (40, 2.0, 0.6)),
    _facts("TLT", 89.0, -0.20, ("bonds", 0.8), 0.002, (45, 5.0, 1.2)),
)
TABLE: dict[str, SymbolFacts] = {facts.symbol: facts for facts in _TABLE}


def symbol_key(symbol: str) -> int:
    """Return a number that depends on the letters only (Python's own hash changes from run to run)."""
    return zlib.crc32(symbol.encode())


def facts_for(symbol: str) -> SymbolFacts:
    """Return the table's facts, or ones derived from the name for a symbol that is not in the table."""
    if symbol in TABLE:
        return TABLE[symbol]
    rng = np.random.default_rng([symbol_key(symbol), 2])
    price = round(float(np.exp(rng.uniform(np.log(8), np.log(600)))), 2)
    sector = str(rng.choice(sorted({facts.sector for facts in _TABLE})))
    beta, beta_sector, own = rng.uniform(0.6, 1.6), rng.uniform(0.3, 1.0), rng.uniform(0.008, 0.025)
    prints, spread = rng.uniform(8, 40), rng.uniform(0.8, 4)
    return SymbolFacts(symbol, price, float(beta), sector, float(beta_sector), float(own), float(prints), 2.5, float(spread))
