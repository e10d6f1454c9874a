"""Run by `test_bench_bars.py` in an environment that has nautilus_trader: one line of JSON with ns per trade.

    python nautilus_bars.py one TRADES.npy     ready ticks through one TimeBarAggregator, its clock moved minute by minute
    python nautilus_bars.py many TRADES.npy    9,000 aggregators, created inside the timed part, ready ticks

TRADES.npy: float64, shape (n, 4): ts [ns], price, size, symbol id.
"""

from __future__ import annotations

import itertools
import json
import sys
import time

import numpy as np
from nautilus_trader.common.component import TestClock
from nautilus_trader.data.aggregation import TimeBarAggregator
from nautilus_trader.model.data import BarSpecification, BarType, TradeTick
from nautilus_trader.model.enums import AggressorSide, BarAggregation, PriceType
from nautilus_trader.model.identifiers import TradeId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider

MINUTE = 60_000_000_000
SPEC = BarSpecification(1, BarAggregation.MINUTE, PriceType.LAST)


def aggregator(instrument, heard, clock):
    made = TimeBarAggregator(instrument, BarType(instrument.id, SPEC), heard, clock, build_with_no_updates=False)
    start = getattr(made, "start_timer", None)  # newer versions start it apart from the constructor
    if start is not None:
        start()
    return made


def ticks_of(trades, instruments):
    prices, sizes = {}, {}
    out = []
    for i, (ts, price, size, symbol) in enumerate(trades.tolist()):
        p = prices.setdefault(price, Price(price, 2))
        q = sizes.setdefault(size, Quantity(size, 0))
        out.append(TradeTick(instruments[int(symbol)].id, p, q, AggressorSide.BUYER, TradeId(str(i)), int(ts), int(ts)))
    return out


def instruments_of(n):
    return [TestInstrumentProvider.equity(f"S{i}", "XNAS") for i in range(n)]


def run(trades, n_symbols):
    """Return (ns per trade, bars heard)."""
    instruments = instruments_of(n_symbols)
    ticks = ticks_of(trades, instruments)
    minutes = (trades[:, 0] // MINUTE).astype(np.int64)
    starts = [0, *(np.flatnonzero(np.diff(minutes)) + 1).tolist(), len(ticks)]
    clock, bars = TestClock(), []
    clock.set_time(int(minutes[0]) * MINUTE)
    began = time.perf_counter_ns()
    handlers = [aggregator(i, bars.append, clock).handle_trade_tick for i in instruments]
    by_symbol = trades[:, 3].astype(int).tolist()
    for a, b in itertools.pairwise(starts):
        for event in clock.advance_time(int(minutes[a]) * MINUTE):
            event.handle()
        if n_symbols == 1:
            handle = handlers[0]
            for tick in ticks[a:b]:
                handle(tick)
        else:
            for k in range(a, b):
                handlers[by_symbol[k]](ticks[k])
    for event in clock.advance_time(int(minutes[-1] + 1) * MINUTE):
        event.handle()
    took = time.perf_counter_ns() - began
    return took / len(ticks), bars


def main():
    trades = np.load(sys.argv[2])
    ns, bars = run(trades, 1 if sys.argv[1] == "one" else int(trades[:, 3].max()) + 1)
    ohlcv = [
        [str(b.bar_type.instrument_id), b.ts_event, *(float(x) for x in (b.open, b.high, b.low, b.close, b.volume))] for b in bars[:2000]
    ]
    print(json.dumps({"ns": ns, "n": len(bars), "bars": ohlcv}))


main()
