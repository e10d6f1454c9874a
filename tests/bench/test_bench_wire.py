"""Bytes from the provider to something usable. A regression here is a reader that falls behind on a busy open: the provider
buffers, delays every channel of the connection, then cuts it."""

from __future__ import annotations

import json
import logging
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from polygon.websocket.models import Market, parse

from workbench.clock import monotonic_ns
from workbench.sources.polygon.scan import FrameReader
from workbench.sources.polygon.wire import MinuteEvent, QuoteEvent, TradeEvent, decode
from workbench.types import SymbolTable

N_MESSAGES = 20_000
ROUNDS = 15
QUIET = logging.getLogger("bench.wire")
NAMES = [f"{a}{b}{c}" for a in "ABCDEFGHIJ" for b in "KLMNOPQRST" for c in "UVWXY"]


def message(rng: np.random.Generator) -> dict:
    """One event of a busy minute: four quotes to a trade, a minute bar now and then (shapes of the published examples)."""
    kind, symbol = rng.random(), NAMES[min(int(rng.pareto(1.0) * 3), len(NAMES) - 1)]
    price, stamp, sequence = round(float(rng.uniform(10, 500)), 2), 1_700_000_000_000 + int(rng.integers(60_000)), int(rng.integers(10**8))
    if kind < 0.2:
        trade = {"ev": "T", "sym": symbol, "x": int(rng.integers(1, 20)), "i": str(rng.integers(1, 10**6)), "z": int(rng.integers(1, 4))}
        return trade | {"p": price, "s": int(rng.integers(1, 900)), "c": [14, 37, 41][: int(rng.integers(4))], "t": stamp, "q": sequence}
    if kind < 0.99:
        quote = {"ev": "Q", "sym": symbol, "bx": 4, "bp": price, "bs": 100, "ax": 7, "ap": round(price + 0.01, 2), "as": 160, "c": 0}
        return quote | {"i": [604], "t": stamp, "q": sequence, "z": 3}
    bar = {
        "ev": "AM",
        "sym": symbol,
        "v": 4110,
        "av": 9470157,
        "op": 0.4372,
        "vw": 0.4488,
        "o": 0.4488,
        "c": 0.4486,
        "h": 0.4489,
        "l": 0.4486,
    }
    return bar | {"a": 0.4352, "z": 685, "s": stamp // 60_000 * 60_000, "e": stamp // 60_000 * 60_000 + 60_000}


def frames_of(size: int) -> list[str]:
    rng = np.random.default_rng(20261121)
    return [json.dumps([message(rng) for _ in range(size)], separators=(",", ":")) for _ in range(N_MESSAGES // size)]


def theirs(frame: str) -> list:
    return parse(json.loads(frame), QUIET, Market.Stocks)


def run_through(read: Callable[[str], object], frames: list[str]) -> Callable[[], None]:
    """Return a run over all frames that keeps nothing, as a live reader does."""

    def run() -> None:
        for frame in frames:
            read(frame)

    return run


def measure(contenders: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return messages per second of each contender, round by round; in each round all take turns."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            start = monotonic_ns()
            run()
            rates[name].append(N_MESSAGES * 1e9 / (monotonic_ns() - start))
    return rates


def ratio(rates: dict[str, list[float]], name: str, base: str) -> float:
    """Return how many times faster `name` is: the median over rounds of neighbours in time, which share the machine's mood."""
    return statistics.median(mine / theirs for mine, theirs in zip(rates[name], rates[base], strict=True))


def say(title: str, rates: dict[str, list[float]], base: str) -> None:
    told = (f"{name} {statistics.median(found) / 1e6:.3f} M/s ({ratio(rates, name, base):.1f}×)" for name, found in rates.items())
    print(f"\n{title}: " + ", ".join(told))


def same_event(ours, other) -> bool:
    if isinstance(ours, TradeEvent):
        mine = (ours.sym, ours.x, ours.i, ours.z, ours.p, ours.s, list(ours.c), ours.t, ours.q)
        rest = (other.price, other.size, other.conditions, other.timestamp, other.sequence_number)
        return mine == (other.symbol, other.exchange, other.id, other.tape, *rest)
    if isinstance(ours, QuoteEvent):
        mine = (ours.sym, ours.bx, ours.bp, ours.bs, ours.ap, ours.as_, ours.c, ours.t, ours.q)
        rest = (other.ask_price, other.ask_size, other.condition, other.timestamp, other.sequence_number)
        return mine == (other.symbol, other.bid_exchange_id, other.bid_price, other.bid_size, *rest)
    assert isinstance(ours, MinuteEvent)
    mine = (ours.sym, ours.s, ours.o, ours.h, ours.l, ours.c, ours.v, ours.vw)
    return mine == (other.symbol, other.start_timestamp, other.open, other.high, other.low, other.close, other.volume, other.vwap)


@pytest.mark.bench
@pytest.mark.parametrize("size", [2, 50, 500])
def test_typed_events_come_eight_times_faster_than_from_the_vendors_parser(size, floor):
    frames = frames_of(size)
    for frame in frames[:20]:
        ours, broken = decode(frame)
        expected = theirs(frame)
        assert broken == []
        assert len(ours) == len(expected) == size
        assert all(same_event(mine, other) for mine, other in zip(ours, expected, strict=True))
    found = measure({"polygon": run_through(theirs, frames), "workbench": run_through(decode, frames)})
    say(f"frames of {size} -> typed events", found, "polygon")
    floor(f"frames of {size} to typed events, times polygon-api-client", ratio(found, "workbench", "polygon"), least=8)


def columns_from_models(frame: str, symbols: SymbolTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a user of the vendor's client would write: its objects, then arrays."""
    events = theirs(frame)
    trades = [event for event in events if event.event_type == "T"]
    quotes = [event for event in events if event.event_type == "Q"]
    times = np.array([event.timestamp for event in trades], np.int64)
    prices = np.array([(event.price, event.size) for event in trades])
    sides = np.array([(symbols.intern(event.symbol), event.bid_price, event.ask_price) for event in quotes])
    return times, prices, sides


@pytest.mark.bench
def test_firehose_frames_become_columns_twelve_times_faster_than_through_the_vendors_parser(floor):
    frames = frames_of(500)
    symbols = SymbolTable(NAMES)
    reader = FrameReader(symbols)
    reader.warm()
    for frame in frames[:5]:
        expected = theirs(frame)
        columns = reader.read(frame, 1)
        trades = [event for event in expected if event.event_type == "T"]
        quotes = [event for event in expected if event.event_type == "Q"]
        assert columns.trades["price"].tolist() == [event.price for event in trades]
        assert columns.trades["ts_event"].tolist() == [event.timestamp * 1_000_000 for event in trades]
        assert [row["conditions"][: row["n_conditions"]].tolist() for row in columns.trades] == [event.conditions for event in trades]
        assert [symbols.name(k) for k in columns.quotes["symbol_id"].tolist()] == [event.symbol for event in quotes]
        assert columns.quotes["ask"].tolist() == [event.ask_price for event in quotes]
        assert sum(len(rows) for _, rows in columns.bars) == len(expected) - len(trades) - len(quotes)
    contenders: dict[str, Callable[[], object]] = {
        "polygon + arrays": run_through(lambda frame: columns_from_models(frame, symbols), frames),
        "workbench": run_through(lambda frame: reader.read(frame, 1), frames),
    }
    simdjson = _simdjson_parser()
    if simdjson is not None:
        contenders["simdjson parse only"] = run_through(lambda frame: _drop(simdjson.parse(frame.encode())), frames)
    found = measure(contenders)
    say("frames of 500 -> columns", found, "polygon + arrays")
    if simdjson is None:
        print("simdjson: not installed (pip install pysimdjson), no limit to compare with")
    else:
        print(f"share of a simdjson parse: {ratio(found, 'workbench', 'simdjson parse only'):.0%}")
    floor("frames of 500 to columns, times polygon-api-client", ratio(found, "workbench", "polygon + arrays"), least=12)


def _drop(document: object) -> None:
    """Let go of a document: the parser refuses to read the next one while it is held."""


def _simdjson_parser():
    try:
        import simdjson
    except ImportError:
        return None
    return simdjson.Parser()
