"""Minutes of two providers side by side: what counts as agreement, what is only noted, and that the figure reaches the health."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from tests.servers.polygon import KEY, PolygonServer
from tests.sources.contract import wait_for
from tests.stubs import MIN, SEC, TEN, ManualClock, ScriptedSource, bars, go, live
from workbench.errors import AuthError, HistoryError
from workbench.hub.crosscheck import Agreement, CrossCheck, compare, total
from workbench.sessions import ny_ns
from workbench.sources.base import SourceInfo
from workbench.sources.polygon.source import PolygonSource
from workbench.types import BarSource

OPENS = range(TEN, TEN + 30 * MIN, MIN)
NIGHT = ny_ns(date(2026, 11, 18), 22)


def minutes(price: float = 100.0, **over: float) -> np.ndarray:
    """Return half an hour of minutes; fields by name are added to."""
    rows = bars(OPENS, price=price)
    for name, change in over.items():
        rows[name] += change
    return rows


@pytest.mark.parametrize("name", ["close", "high", "low"])
def test_a_price_may_be_a_cent_or_a_basis_point_off_whichever_is_more(name):
    assert compare("SPY", minutes(50.0), minutes(50.0, **{name: 0.01})).frac == 1.0
    assert compare("SPY", minutes(50.0), minutes(50.0, **{name: 0.011})).frac == 0.0
    assert compare("SPY", minutes(700.0), minutes(700.0, **{name: 0.06})).frac == 1.0
    assert compare("SPY", minutes(700.0), minutes(700.0, **{name: 0.08})).frac == 0.0


def test_the_worst_difference_is_named():
    there = minutes(100.0)
    there["high"][7] += 0.5
    there["low"][3] -= 0.2
    found = compare("SPY", minutes(100.0), there)
    assert (found.n, found.n_agreeing) == (30, 28)
    assert found.worst == "SPY 10:07 high"
    assert found.worst_bp == pytest.approx(50, rel=0.02)


def test_volume_counts_too_where_both_see_the_whole_tape():
    there = minutes()
    there["volume"] *= 1.01
    assert compare("SPY", minutes(), there).frac == 1.0
    there["volume"][4] *= 2
    assert compare("SPY", minutes(), there).n_agreeing == 29


@pytest.mark.parametrize("part", ["shown", "told"])
def test_part_of_the_tape_has_to_lie_within_the_whole_and_its_volume_says_nothing(part):
    whole = minutes()
    whole["high"] = np.maximum(whole["open"], whole["close"]) + 0.10
    whole["low"] = np.minimum(whole["open"], whole["close"]) - 0.10
    fraction = minutes(volume=-50.0)
    fraction["high"], fraction["low"] = np.maximum(fraction["open"], fraction["close"]), np.minimum(fraction["open"], fraction["close"])
    here, there = (fraction, whole) if part == "shown" else (whole, fraction)
    assert compare("SPY", here, there, part=part).frac == 1.0
    assert compare("SPY", here, there).frac == 0.0
    fraction["high"][2] = whole["high"][2] + 0.05  # a price that the whole tape never saw
    found = compare("SPY", here, there, part=part)
    assert (found.n_agreeing, found.worst) == (29, "SPY 10:02 high")


def test_minutes_that_only_one_has_are_counted_apart():
    found = compare("SPY", minutes()[5:], minutes()[:20])
    assert (found.n, found.n_agreeing, found.n_only_here, found.n_only_there) == (15, 15, 10, 5)
    nothing = compare("SPY", minutes()[:0], minutes())
    assert (nothing.frac, nothing.n_only_there, nothing.worst) == (None, 30, "")


def test_several_symbols_make_one_figure():
    found = total([Agreement(10, 9, 0, 1, 3.0, "SPY 10:00 low", 5), Agreement(30, 30, 2, 0, 1.0, "QQQ 10:00 low", 9)])
    assert found == Agreement(40, 39, 2, 1, 3.0, "SPY 10:00 low", 9)
    assert total([]).frac is None


# -- beside a hub ------------------------------------------------------------------------------------------------------------


def bars_a_minute(_symbol: str, start_ms: int, end_ms: int) -> list[dict]:
    """A provider with a bar in every minute."""
    first = -(-start_ms // 60_000) * 60_000
    return [{"t": t, "o": 100.0, "h": 101.0, "l": 99.0, "c": 100.0, "v": 100, "vw": 100.0, "n": 7} for t in range(first, end_ms, 60_000)]


@pytest.fixture
def desk():
    """A hub that shows half an hour of SPY, and a second provider."""
    hub, source, clock = live(TEN + 32 * MIN)
    source.history_rows["SPY"] = minutes()
    hub.watch("SPY")
    go(hub, clock, TEN + 33 * MIN)
    other = ScriptedSource(clock=clock, info=SourceInfo("two", "another provider"))
    other.history_rows["SPY"] = minutes()
    return hub, other, clock


def test_the_figure_and_its_sentence_reach_the_health_of_the_feed_and_of_the_symbol(desk):
    hub, other, _clock = desk
    assert (hub.health().agreement_frac, hub.health().agreement) == (None, "")
    hub.cross_check = CrossCheck(hub, other, settle_s=0.0)
    assert hub.health().agreement_frac is None
    assert "not compared yet" in hub.health().agreement
    other.history_rows["SPY"]["close"][10] += 0.05
    other.history_rows["SPY"]["high"][10] += 0.05
    hub.cross_check.check()
    for health in (hub.health(), hub.health("SPY")):
        n = round(1 / (1 - health.agreement_frac))
        assert 25 <= n <= 30
        assert health.agreement.startswith(f"two: {n - 1} of {n} minutes agree (prices and volume); worst SPY 10:10 ")
    assert hub.health("QQQ").agreement_frac is None
    assert hub.health().to_dict()["agreement_frac"] == hub.health().agreement_frac


def test_iex_beside_the_whole_tape_is_said_to_be_compared_by_prices_only(desk):
    hub, other, _clock = desk
    other.info = SourceInfo("two", "IEX", is_partial_tape=True)
    other.history_rows["SPY"]["volume"] /= 50
    other.history_rows["SPY"]["high"] = np.maximum(minutes()["open"], minutes()["close"])
    hub.cross_check = CrossCheck(hub, other, settle_s=0.0)
    hub.cross_check.check()
    assert hub.health().agreement_frac == 1.0
    assert "prices only" in hub.health().agreement


def test_minutes_that_were_not_wholly_seen_are_not_compared(desk):
    hub, other, _clock = desk
    hub.cross_check = CrossCheck(hub, other, settle_s=0.0)
    hub.cross_check.check()
    before = hub.cross_check.agreement().n
    hub.source.fail = [HistoryError("away")] * 99  # so that the minute can't be read again
    hub.on_correction("SPY", TEN + 10 * MIN + SEC, "a print was cancelled")
    hub.pump()
    hub.cross_check.check()
    assert hub.cross_check.agreement().n == before - 1


def test_a_provider_that_fails_makes_the_figure_unknown_and_says_why(desk):
    hub, other, _clock = desk
    hub.cross_check = CrossCheck(hub, other, settle_s=0.0)
    hub.cross_check.check()
    assert hub.health().agreement_frac == 1.0
    other.fail = [AuthError("your plan does not include this")]
    hub.cross_check.check()
    assert hub.health().agreement_frac is None
    assert hub.health().agreement == "two: your plan does not include this"


def test_an_old_figure_is_not_shown_as_todays(desk):
    hub, other, clock = desk
    hub.cross_check = CrossCheck(hub, other, settle_s=0.0)
    hub.cross_check.check()
    clock.ns = NIGHT
    assert hub.health().agreement_frac is None


def test_while_on_fallback_nothing_is_compared(desk):
    hub, other, _clock = desk
    hub.cross_check = CrossCheck(hub, other, settle_s=0.0)
    hub.cross_check.check()
    hub.source.info = SourceInfo("fallback", "two for one")
    hub.cross_check.check()
    assert hub.health().agreement_frac is None
    assert "not compared while on fallback" in hub.health().agreement


def test_many_symbols_take_turns(desk):
    hub, other, _clock = desk
    for k in range(30):
        hub.watch(f"A{k}")
    check = CrossCheck(hub, other, settle_s=0.0)
    for _ in range(2):
        check.check()
    assert {symbol for symbol, _, _ in other.asked} == {"SPY", *(f"A{k}" for k in range(30))}
    assert max(sum(symbol == name for symbol, _, _ in other.asked) for name in hub.watched()) <= 2


def test_it_runs_by_itself_while_the_hub_does(desk):
    hub, other, _clock = desk
    hub.cross_check = CrossCheck(hub, other, every_s=0.01, settle_s=0.0)
    hub.start()
    assert wait_for(lambda: hub.health().agreement_frac == 1.0)
    hub.stop()
    n = len(other.asked)
    assert not wait_for(lambda: len(other.asked) > n, 0.1)


def test_a_hub_that_was_stopped_and_started_again_is_compared_again(desk):
    hub, _, clock = desk
    with PolygonServer(bars_a_minute) as server:
        address = {"websocket_base": server.websocket_base, "rest_base": server.rest_base}
        other = PolygonSource(KEY, package="polygon", feed="realtime", clock=clock, poll_s=0.0, **address)
        check = hub.cross_check = CrossCheck(hub, other, every_s=0.01, settle_s=0.0)
        for _ in range(2):
            hub.start()
            n = len(server.requests)
            assert wait_for(lambda n=n: len(server.requests) > n + 1 and check.agreement("SPY").n > 20), check.told()
            hub.stop()
            check._results = {}
        assert not server.connections


def test_a_delayed_second_provider_is_compared_as_far_as_it_is(desk):
    hub, other, _clock = desk
    other.clock = ManualClock(TEN + 18 * MIN)
    other.history_rows["SPY"]["source"] = BarSource.REST
    check = CrossCheck(hub, other, settle_s=60.0)
    check.check()
    assert check.agreement().n == 17
