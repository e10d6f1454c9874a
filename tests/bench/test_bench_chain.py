"""A chain while a screen refreshes it: the simulated snapshot of one expiry, and the live chain laid over it. A regression here is felt
by everybody who looks at a chain, ten times a second."""

from __future__ import annotations

from datetime import date

import pytest

from tests.hub.test_chains import CALENDAR, ChainedSource, contract, opened, say, until
from tests.stubs import SEC, TEN
from workbench.clock import monotonic_ns
from workbench.hub.hub import Hub
from workbench.sessions import ny_ns
from workbench.sources.simulation.market import Market
from workbench.sources.simulation.options import SLOT_NS, OptionMarket

DAY = date(2026, 11, 20)


def best_ms(work, n: int = 30) -> float:
    """Return the best time of one call [ms]."""
    taken = []
    for k in range(n):
        start = monotonic_ns()
        work(k)
        taken.append(monotonic_ns() - start)
    return min(taken) / 1e6


@pytest.mark.bench
def test_a_snapshot_of_the_simulated_chain(floor):
    options, now = OptionMarket(Market()), ny_ns(DAY, 14)
    assert 200 <= len(options.chain("SPY", DAY, now)) <= 400
    ms = best_ms(lambda k: options.chain("SPY", DAY, now + k * SLOT_NS))
    print(f"\nsnapshot of the day's SPY chain: {ms:.2f} ms")
    floor("simulated chain of one expiry [ms]", ms, most=10, is_absolute=True)


@pytest.mark.bench
def test_a_live_chain_of_four_hundred_contracts_after_a_quote(floor):
    source = ChainedSource()
    hub = Hub(source, calendar=CALENDAR, verify_every_s=0.0)
    source.start(hub)
    with opened(hub) as reader:
        assert until(lambda: contract(100) in source.contracts)
        told = reader.changes

        def refresh(k: int) -> None:
            say(hub, contract(100), (TEN + (k + 1) * SEC, 2.0 + k / 100, 2.5 + k / 100))
            reader.snapshot()

        ms = best_ms(refresh)
        assert reader.changes == told + 30
        print(f"\nquote applied and laid over a chain of {len(reader.snapshot())}: {ms:.2f} ms")
    hub.stop()
    floor("live chain of 400 contracts after a quote [ms]", ms, most=5, is_absolute=True)
