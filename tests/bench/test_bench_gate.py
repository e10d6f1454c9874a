"""The risk gate on one order. A regression here is time between a signal and its order.

A single call, a four-legged structure, and an order in a book of 1,000 positions and 50 working orders: each against writing the same
decision to JSON and reading it back. Processor time of the thread, since another program's turn is no cost of the gate.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from datetime import date, timedelta

import msgspec
import pytest

from tests.risk.world import CALL, HIGHER, LOWER, NOW, PUT, D, limits, option, order, view
from workbench.orders import Leg
from workbench.risk.book import Position, Working
from workbench.risk.gate import check
from workbench.types import OptionContract

ROUNDS = 2_000
GOAL_US = 200
pytestmark = pytest.mark.bench


def large():
    days = [date(2026, 12, 18) + timedelta(days=7 * k) for k in range(50)]
    symbols = [
        OptionContract("S" + chr(65 + k // 20 % 26) + chr(65 + k // 520), days[k % 50], "CP"[k % 2], D(100 + k % 7)).symbol
        for k in range(1_000)
    ]
    positions = [Position(symbol, D(1)) for symbol in symbols]
    orders = [Working(f"w{k}", ((symbol, D(1)),)) for k, symbol in enumerate(symbols[::20])]
    held = [Position(CALL, D(2)), Position(HIGHER, D(-2)), Position(PUT, D(1))]
    return view([*positions, *held], orders, instruments={symbol: option() for symbol in symbols}, stop_usd=D("0.50"))


CONDOR = (Leg(CALL, "sell"), Leg(HIGHER, "buy"), Leg(PUT, "sell"), Leg(LOWER, "buy"))
CASES = {"one leg": (order(), view()), "four legs": (order(CONDOR, 2, "-1.50"), view(stop_usd=D(-3))), "large book": (order(), large())}


def costs_us(run):
    run()
    gc.collect()
    gc.disable()
    try:
        found = []
        for _ in range(ROUNDS):
            begin = time.thread_time_ns()
            run()
            found.append((time.thread_time_ns() - begin) / 1e3)
    finally:
        gc.enable()
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_gate_beside_a_round_trip_of_its_decision(name, floor):
    intent, seen = CASES[name]
    limit = limits()
    decision = check(intent, seen, limit, NOW)
    assert decision.is_allowed

    def there_and_back():
        return json.loads(json.dumps(msgspec.to_builtins(decision)))

    assert len(there_and_back()["verdicts"]) == len(decision.verdicts)
    gate, peer = costs_us(lambda: check(intent, seen, limit, NOW)), costs_us(there_and_back)
    (median, p99), (peers, peers_p99) = ((statistics.median(each), statistics.quantiles(each, n=100)[98]) for each in (gate, peer))
    print(f"gate, {name}: median {median:.0f} µs, p99 {p99:.0f} µs; round trip {peers:.0f} µs, p99 {peers_p99:.0f} µs")
    floor(f"gate, {name}, in JSON round trips of its decision", median / peers, most=4)
    floor(f"gate, {name}, p99 [µs]", p99, most=GOAL_US, is_absolute=True)
