"""A chain of a hub elsewhere reads like the one that is here, and says so when the hub does not answer."""

from __future__ import annotations

import numpy as np
import pytest

from tests.hub.remote.conftest import eventually
from tests.stubs import DAY, MIN, ManualClock
from workbench.errors import SymbolError
from workbench.hub.remote.chains import RemoteFeed
from workbench.options.clocks import TimeClock
from workbench.options.priced import price_chain
from workbench.options.rates import RateCurve


def test_the_same_chain_is_read_here_and_there(simulated, attach):
    market = simulated(symbols=("SPY",), watched=("SPY",))
    remote = attach(market.port)
    assert remote.source_info.has_chains
    assert remote.expiries("SPY") == market.hub.expiries("SPY")
    with remote.chain("SPY", DAY) as far, market.hub.chain("SPY", DAY) as near:
        assert far.wait(20) and near.wait(20)
        eventually(lambda: far.status.n_live == near.status.n_live == 82)
        eventually(lambda: far.snapshot().rows.tobytes() == near.snapshot().rows.tobytes())
        here, there = far.snapshot(), near.snapshot()
        assert (here.underlying, here.spot, here.spot_ts_ns, here.source) == (there.underlying, there.spot, there.spot_ts_ns, there.source)
        assert here.notes == there.notes


def test_a_chain_follows_the_market_there(simulated, attach):
    market = simulated(symbols=("SPY",), watched=("SPY",))
    remote = attach(market.port)
    with remote.chain("SPY", DAY) as far:
        assert far.wait(20)
        eventually(lambda: far.status.n_live == 82)
        count, shown = far.changes, far.snapshot()
        market.source.play()
        eventually(lambda: far.changes > count + 2)
        assert far.snapshot() is not shown
        market.source.pause()


def test_a_hub_that_is_gone_leaves_the_chain_with_a_note(simulated, attach, relay):
    market = simulated(symbols=("SPY",), watched=("SPY",), relay=relay)
    remote = attach(relay.port)
    with remote.chain("SPY", DAY) as far:
        assert far.wait(20)
        eventually(lambda: len(far.snapshot()) > 200)
        market.api.stop()
        eventually(lambda: any("could not be read" in note and "does not answer" in note for note in far.snapshot().notes), 30)
        assert len(far.snapshot()) > 200 and far.status.reason


def test_quotes_of_a_chain_grow_old_while_the_hub_is_away(simulated, attach):
    market = simulated(symbols=("SPY",), watched=("SPY",))
    clock = ManualClock(market.hub.clock.now_ns())
    feed = RemoteFeed(attach(market.port)._ask, clock, "SPY", DAY)
    eventually(lambda: feed._turn() or feed.status.n_live == 82)
    told = feed.snapshot()
    market.api.stop()
    for minutes in (1, 20):
        clock.ns = told.asof_ns + minutes * MIN
        feed._turn()
        chain, before = feed.snapshot(), feed.changes
        assert (chain.asof_ns, chain.rows.tobytes()) == (clock.ns, told.rows.tobytes())
        assert "shown is what it told at" in chain.notes[-1]
        assert feed.snapshot() is chain and feed.changes == before
    options = {"clock": TimeClock.parse("cal365"), "rates": RateCurve.constant(0.04), "calendar": market.hub.calendar}
    n_priced = [int(np.isfinite(price_chain(one, **options).vols.vol).sum()) for one in (told, chain)]
    assert n_priced[0] > 50 and n_priced[1] == 0


def test_an_unknown_underlying_is_refused_as_there(simulated, attach):
    remote = attach(simulated(symbols=("SPY",), watched=("SPY",)).port)
    with pytest.raises(SymbolError, match="NOSUCH"):
        remote.expiries("NOSUCH")


def test_an_option_is_watched_like_any_symbol(simulated, attach):
    market = simulated(symbols=("SPY",), watched=("SPY",))
    remote = attach(market.port)
    symbol = f"O:{market.source.chain('SPY', DAY).near(1).rows['symbol'][0]}"
    remote.watch(symbol)
    series = remote.series(symbol, "1m")
    eventually(lambda: len(series) > 20)
