"""A chain while somebody looks at it: snapshots, live quotes around the money, what is subscribed, what is said in trouble."""

from __future__ import annotations

import gc
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from tests.stubs import MIN, SEC, TEN, ManualClock, ScriptedSource, prints, quotes
from workbench.clock import monotonic_ns, sleep_s
from workbench.errors import HistoryError, SourceError
from workbench.hub import chains
from workbench.hub.hub import Hub
from workbench.options.chain import Chain, contract_rows, make_chain
from workbench.sessions import SessionCalendar
from workbench.sources.base import FeedState, FeedStatus, SourceInfo
from workbench.sources.simulated import SimulatedSource
from workbench.types import OptionContract

EXPIRY = date(2026, 11, 20)
CALENDAR = SessionCalendar.xnys()


class ChainedSource(ScriptedSource):
    """A scripted source that tells a chain of strikes 1 to `n_strikes`, all quoted 1.00 by 1.10, and what the test says of spot."""

    def __init__(self, *, most_contracts: int = 1000, n_strikes: int = 200) -> None:
        super().__init__(clock=ManualClock(), info=SourceInfo("scripted", "a test", has_chains=True))
        self.most_contracts, self.n_strikes = most_contracts, n_strikes
        self.spot, self.told_ns, self.n_asked = 100.0, TEN, 0
        self.chain_failures: list[Exception] = []
        self.held: set[str] = set()

    def subscribe(self, symbols):
        names = list(symbols)
        self.held |= set(names)
        super().subscribe(names)

    def unsubscribe(self, symbols):
        names = list(symbols)
        self.held -= set(names)
        super().unsubscribe(names)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        return (EXPIRY,)

    def chain(self, underlying: str, expiry: date) -> Chain:
        self.n_asked += 1
        asof_ns = self.clock.now_ns()  # first: a test moves the clock last, so a chain as of a new moment tells what is new then
        if self.chain_failures:
            raise self.chain_failures.pop(0)
        rows = contract_rows(
            [OptionContract(underlying, expiry, r, Decimal(k)) for k in range(1, self.n_strikes + 1) for r in "CP"], CALENDAR
        )
        rows["bid"], rows["ask"], rows["ts_ns"], rows["open_interest"] = 1.0, 1.1, self.told_ns, 50.0
        return make_chain(underlying, rows, spot=self.spot, spot_ts_ns=self.told_ns, asof_ns=asof_ns, source="scripted")

    @property
    def contracts(self) -> set[str]:
        return {symbol for symbol in self.held if symbol.startswith("O:")}


def contract(strike: float, right: str = "C") -> str:
    return OptionContract("SPY", EXPIRY, right, Decimal(str(strike))).symbol


def until(condition, timeout_s: float = 20.0) -> bool:
    deadline = monotonic_ns() + int(timeout_s * SEC)
    while not (is_so := condition()) and monotonic_ns() < deadline:
        sleep_s(0.005)
    return bool(is_so)  # as found: a moment later it may be otherwise, as when a chain is blank for a turn after a seek


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(chains, "LOOK_S", 0.01)


@pytest.fixture
def make():
    made: list[Hub] = []

    def build(every_s: float = 30.0, **options) -> tuple[Hub, ChainedSource]:
        source = ChainedSource(**options)
        hub = Hub(source, calendar=CALENDAR, verify_every_s=0.0, retry_s=0.0)
        hub._chain_every_s = every_s
        source.start(hub)
        made.append(hub)
        return hub, source

    yield build
    for hub in made:
        hub.stop()


def opened(hub: Hub):
    reader = hub.chain("SPY", EXPIRY)
    assert reader.wait(5.0)
    return reader


def say(hub: Hub, symbol: str, *rows: tuple[int, float, float]) -> None:
    hub.on_quotes(quotes(rows, symbol_id=hub.symbols.intern(symbol)))
    hub.pump()


def row(chain: Chain, strike: float, right: str = "C") -> np.void:
    return chain.rows[(chain.rows["strike"] == strike) & (chain.rows["right"] == right)][0]


def test_a_snapshot_holds_every_contract_with_what_no_stream_tells(make):
    hub, _ = make()
    with opened(hub) as reader:
        chain = reader.snapshot()
        assert len(chain) == 400 and (chain.rows["open_interest"] == 50).all()
        assert chain.spot == 100.0 and chain.notes == ()
        assert reader.status.is_loaded


def test_newer_quotes_and_prints_of_the_stream_stand_over_the_snapshot(make):
    hub, source = make()
    with opened(hub) as reader:
        assert until(lambda: contract(100) in source.contracts)
        say(hub, contract(100), (TEN + SEC, 2.5, 2.6))
        hub.on_trades(prints([(TEN + 2 * SEC, 2.55, 3)], symbol_id=hub.symbols.intern(contract(100))))
        hub.pump()
        assert until(lambda: row(reader.snapshot(), 100)["bid"] == 2.5)
        told = row(reader.snapshot(), 100)
        assert (told["ask"], told["last"], told["ts_ns"]) == (2.6, 2.55, TEN + SEC)
        assert row(reader.snapshot(), 100, "P")["bid"] == 1.0


def test_an_older_quote_of_the_stream_does_not(make):
    hub, source = make()
    with opened(hub) as reader:
        assert until(lambda: contract(100) in source.contracts)
        say(hub, contract(100), (TEN - SEC, 2.5, 2.6))
        say(hub, contract(101), (TEN + SEC, 2.5, 2.6))
        assert until(lambda: row(reader.snapshot(), 101)["bid"] == 2.5)
        assert row(reader.snapshot(), 100)["bid"] == 1.0


def test_a_side_that_nobody_quotes_is_zero_as_in_a_snapshot(make):
    hub, source = make()
    with opened(hub) as reader:
        assert until(lambda: contract(100) in source.contracts)
        say(hub, contract(100), (TEN + SEC, 0.0, 0.05))
        assert until(lambda: row(reader.snapshot(), 100)["ask"] == 0.05)
        assert row(reader.snapshot(), 100)["bid"] == 0.0


def test_spot_follows_the_underlyings_quote(make):
    hub, source = make()
    with opened(hub) as reader:
        assert until(lambda: "SPY" in source.held)
        say(hub, "SPY", (TEN + SEC, 101.0, 101.5))
        chain = reader.snapshot()
        assert (chain.spot, chain.spot_ts_ns) == (101.25, TEN + SEC)


def test_unchanged_means_the_same_object_and_the_same_count(make):
    hub, source = make()
    with opened(hub) as reader:
        assert until(lambda: contract(100) in source.contracts)
        first, count = reader.snapshot(), reader.changes
        say(hub, "QQQ", (TEN + SEC, 5.0, 5.1))
        assert reader.snapshot() is first and reader.changes == count
        say(hub, contract(100), (TEN + SEC, 2.5, 2.6))
        assert reader.changes == count + 1 and reader.snapshot() is not first


def test_the_window_moves_only_when_spot_leaves_its_middle_half(make):
    hub, source = make()
    reader = opened(hub)
    assert until(lambda: len(source.contracts) == 82)  # 20 strikes on either side and the middle one, two rights
    before = source.contracts
    assert contract(80) in before and contract(120, "P") in before and contract(79) not in before
    say(hub, "SPY", (TEN + SEC, 109.9, 110.1))  # ten strikes away
    sleep_s(0.1)
    assert source.contracts == before
    say(hub, "SPY", (TEN + 2 * SEC, 111.9, 112.1))
    assert until(lambda: contract(132) in source.contracts and contract(91) not in source.contracts)
    assert len(source.contracts) == 82
    reader.close()


def test_the_feeds_limit_of_contracts_is_respected_and_said(make):
    hub, source = make(most_contracts=30)
    hub.watch("O:QQQ261120C00500000")
    reader = opened(hub)
    assert until(lambda: len(source.contracts) > 20)
    sleep_s(0.05)
    assert len(source.contracts) <= 30
    assert any("the feed delivers 30 contracts at once" in note for note in reader.snapshot().notes)
    assert reader.status.reason
    reader.close()


def test_when_the_last_reader_leaves_everything_is_unsubscribed(make):
    hub, source = make()
    one, two = opened(hub), opened(hub)
    assert until(lambda: len(source.contracts) == 82)
    assert source.n_asked == 1  # both read one feed
    one.close()
    assert len(source.contracts) == 82
    two.close()
    assert source.held == set()
    with opened(hub) as again:
        assert len(again.snapshot()) == 400


def test_a_reader_that_was_dropped_is_a_reader_that_left(make):
    hub, source = make()
    reader = opened(hub)
    assert until(lambda: len(source.contracts) == 82)
    del reader
    gc.collect()
    assert until(lambda: source.held == set())


def test_what_is_watched_stays_subscribed_when_the_chain_is_closed(make):
    hub, source = make()
    hub.watch("SPY")
    hub.watch(contract(100))
    reader = opened(hub)
    assert until(lambda: len(source.contracts) == 82)
    reader.close()
    assert source.held == {"SPY", contract(100)}


def test_unwatching_a_contract_leaves_it_to_the_chain(make):
    hub, source = make()
    hub.watch(contract(100))
    reader = opened(hub)
    assert until(lambda: len(source.contracts) == 82)
    hub.unwatch(contract(100))
    assert contract(100) in source.held
    reader.close()
    assert source.held == set()


def test_contracts_of_the_window_have_a_quote_but_no_bars_until_they_are_watched(make):
    hub, source = make()
    reader = opened(hub)
    assert until(lambda: contract(100) in source.contracts)
    assert hub.watched() == ()
    ids = hub.symbols.intern(contract(100))
    hub.on_trades(prints([(TEN + SEC, 2.5, 1)], symbol_id=ids))
    source.clock.ns = TEN + 2 * MIN
    hub.pump()
    assert hub.last_trade(contract(100)).price == 2.5
    assert contract(100) not in hub._writer.books
    hub.watch(contract(100))
    hub.on_trades(prints([(TEN + 2 * MIN + SEC, 2.6, 1)], symbol_id=ids, first_sequence=9))
    source.clock.ns = TEN + 4 * MIN
    hub.pump()
    assert hub.series(contract(100), "1m").rows()["close"].tolist() == [2.6]
    reader.close()


@pytest.mark.parametrize("failure", [HistoryError("the provider is away"), ValueError("surprise")])
def test_a_failing_source_leaves_the_last_chain_with_a_note(make, failure: Exception):
    hub, source = make(every_s=0.02)
    with opened(hub) as reader:
        assert len(reader.snapshot()) == 400
        source.chain_failures = [failure] * 4
        assert until(lambda: any("could not be read" in note and "10:00:00" in note for note in reader.snapshot().notes))
        assert len(reader.snapshot()) == 400
        assert until(lambda: not source.chain_failures and reader.snapshot().notes == ())


def test_a_chain_that_never_loaded_says_why(make):
    hub, source = make()
    source.chain_failures = [HistoryError("your plan does not include options")]
    with opened(hub) as reader:
        chain = reader.snapshot()
        assert len(chain) == 0 and "your plan does not include options" in chain.notes[0]
        assert not reader.status.is_loaded and reader.status.reason


def test_a_subscription_that_is_refused_is_a_note(make, monkeypatch):
    hub, source = make()

    def refuse(_symbols):
        raise SourceError("no more channels")

    monkeypatch.setattr(source, "subscribe", refuse)
    with opened(hub) as reader:
        assert until(lambda: any("no more channels" in note for note in reader.snapshot().notes))
        assert len(reader.snapshot()) == 400


def test_a_window_that_was_refused_half_way_is_asked_for_again(make, monkeypatch):
    hub, source = make()
    reader = opened(hub)
    assert until(lambda: len(source.contracts) == 82)

    def refuse(_symbols):
        raise SourceError("no more channels")

    with monkeypatch.context() as refused:
        refused.setattr(source, "subscribe", refuse)
        say(hub, "SPY", (TEN + SEC, 111.9, 112.1))
        assert until(lambda: any("no more channels" in note for note in reader.snapshot().notes))
    assert until(lambda: contract(132) in source.contracts)
    assert len(source.contracts) == 82
    assert until(lambda: reader.snapshot().notes == ())
    reader.close()


def test_after_a_reset_the_chain_is_read_anew(make):
    hub, source = make()
    with opened(hub) as reader:
        n_asked = source.n_asked
        source.told_ns = TEN - MIN
        hub.on_reset("moved back")
        hub.pump()
        assert until(lambda: source.n_asked > n_asked and len(reader.snapshot()) == 400)
        assert (reader.snapshot().rows["ts_ns"] == TEN - MIN).all()


def test_after_a_reset_a_chain_that_cannot_be_read_is_no_chain_of_the_time_before(make):
    hub, source = make()
    with opened(hub) as reader:
        source.chain_failures = [HistoryError("no file of that day")]
        hub.on_reset("moved back")
        hub.pump()
        assert until(lambda: not source.chain_failures and any("no file of that day" in note for note in reader.snapshot().notes))
        assert len(reader.snapshot()) == 0 and not reader.status.is_loaded


@pytest.mark.parametrize("is_told", [True, False])
def test_the_moment_of_a_chain_goes_on_when_nothing_else_does(make, is_told: bool):
    hub, source = make(every_s=0.02 if is_told else 30.0)
    with opened(hub) as reader:
        first = reader.snapshot()
        source.clock.ns = TEN + MIN
        assert until(lambda: reader.snapshot().asof_ns == TEN + MIN)
        assert reader.snapshot().rows.tobytes() == first.rows.tobytes() and reader.snapshot() is reader.snapshot()


def test_a_source_without_chains_is_told_politely():
    source = ScriptedSource(clock=ManualClock())
    hub = Hub(source, calendar=CALENDAR)
    with pytest.raises(SourceError, match="source 'scripted' tells no option chains"):
        hub.chain("SPY", EXPIRY)
    with pytest.raises(SourceError, match="tells no option chains"):
        hub.expiries("SPY")


def test_expiries_are_asked_for_once_a_minute(make, monkeypatch):
    hub, source = make()
    asked = []
    monkeypatch.setattr(source, "expiries", lambda underlying: asked.append(underlying) or (EXPIRY,))
    assert hub.expiries("SPY") == hub.expiries("SPY") == (EXPIRY,)
    assert asked == ["SPY"]


def test_no_more_chains_are_kept_up_than_is_said(make, monkeypatch):
    hub, _ = make()
    monkeypatch.setattr(chains, "MAX_FEEDS", 1)
    with opened(hub), pytest.raises(SourceError, match="1 expiries at once"):
        hub.chain("QQQ", EXPIRY)


def test_stopping_the_hub_ends_the_feeds_and_their_chains_stay_readable(make):
    hub, source = make()
    reader = opened(hub)
    assert until(lambda: len(source.contracts) == 82)
    hub.stop()
    assert source.held == set()
    assert len(reader.snapshot()) == 400 and "the hub was stopped" in reader.snapshot().notes


def test_the_simulated_chain_lives_and_agrees_with_its_source():
    source = SimulatedSource(["SPY"], start_ns=TEN, speed=1.0)
    hub = Hub(source, calendar=CALENDAR)
    hub.start()
    source.start(hub)
    try:
        expiry = hub.expiries("SPY")[0]
        with hub.chain("SPY", expiry) as reader:
            assert reader.wait(20.0)
            assert until(lambda: reader.status.n_live == 82)
            count = reader.changes
            assert until(lambda: reader.changes > count + 2)
            source.pause()
            assert hub.wait_idle()
            shown, told = reader.snapshot().near(5).rows, source.chain("SPY", expiry).near(5).rows
            assert len(shown) == 22 or len(shown) == 20
            both = np.intersect1d(shown["symbol"], told["symbol"])
            for symbol in both:
                one, other = (rows[rows["symbol"] == symbol][0] for rows in (shown, told))
                assert (one["bid"], one["ask"]) == pytest.approx((other["bid"], other["ask"]), abs=0.6)
            assert reader.snapshot().spot == pytest.approx(source.chain("SPY", expiry).spot, abs=0.05)
    finally:
        source.stop()
        hub.stop()


def test_status_of_the_feed_is_not_the_chains(make):
    hub, source = make()
    with opened(hub) as reader:
        hub.on_status(FeedStatus(FeedState.RECONNECTING, "lost", source.clock.now_ns()))
        hub.pump()
        assert len(reader.snapshot()) == 400
