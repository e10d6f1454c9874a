"""A bad day at the feed: a made-up market told by a loopback provider over its real client, with everything that goes wrong in life.

Connections break, refuse, go mute; frames come twice, late, in the wrong order or never; REST answers 429, 5xx, half a page, too
short a page. When all is over, the hub's minutes must equal those of a slow, readable twin that saw every print. What differs
between providers (server, source, how an event looks) stands in a subclass beside each provider's tests.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import pytest

from tests.sources.contract import wait_for
from workbench.clock import NS_PER_MIN, NS_PER_S, WallClock
from workbench.hub.hub import Hub
from workbench.sessions import ny_ns
from workbench.sources.base import FeedState
from workbench.sources.live.history import RestTimes
from workbench.sources.live.link import StreamTimes
from workbench.sources.live.source import LiveSource

STOCK, OPTION = "SPY", "O:SPY261218C00700000"
DAY = date(2026, 11, 19)  # a Thursday
OPENS = ny_ns(DAY, 10)  # the market of each schedule begins here
MS = 1_000_000

STREAM_TIMES = StreamTimes(
    connect_s=0.3, settle_s=0.04, stable_s=0.2, first_pause_s=0.01, longest_pause_s=0.03, limit_pause_s=0.05, close_s=0.2, look_s=0.01,
    mute_regular_s=0.15, mute_extended_s=0.15, mute_minutes_s=0.15, mute_options_s=0.15, longest_mute_s=0.3,
)  # fmt: skip
REST_TIMES = RestTimes(timeout_s=0.08, first_pause_s=0.002, longest_pause_s=0.02, minute_pause_s=0.005, tries=6)


class HandClock(WallClock):
    """A wall clock that a test moves."""

    def __init__(self, now_ns: int) -> None:
        self.ns = now_ns

    def now_ns(self) -> int:
        return self.ns


# -- the truth --------------------------------------------------------------------------------------------------------------


class Print(NamedTuple):
    """One true trade: when it happened, when the provider knew of it (late prints: much later), what it was."""

    symbol: str
    ts_ms: int
    known_ms: int
    sequence: int
    price: float
    size: int
    conditions: tuple[int, ...]


NO_PRICE = {37}  # odd lot: counts for volume only
NO_OPEN_CLOSE = {10, 32}  # derivatively priced, sold out of sequence: may set high and low
NOTHING = {16}  # official open: counts for nothing


def true_bars(prints: list[Print], symbol: str, known_by_ms: int) -> dict[int, dict]:
    """Return minute -> bar from the prints the provider knows by then, print by print, as its documents say."""
    by_minute: dict[int, list[Print]] = defaultdict(list)
    for one in sorted(prints, key=lambda one: (one.ts_ms, one.sequence)):
        if one.symbol == symbol and one.known_ms <= known_by_ms:
            by_minute[one.ts_ms // 60_000 * 60_000].append(one)
    bars = {}
    for minute, told in by_minute.items():
        volume = [one for one in told if not NOTHING & set(one.conditions)]
        ranged = [one for one in volume if not NO_PRICE & set(one.conditions)]
        ends = [one for one in ranged if not NO_OPEN_CLOSE & set(one.conditions)]
        if not ends:  # an odd-lot-only minute has no bar; nor has one of which too little is known yet
            continue
        total = sum(one.size for one in volume)
        bars[minute] = {
            "t": minute,
            "o": ends[0].price,
            "h": max(one.price for one in ranged),
            "l": min(one.price for one in ranged),
            "c": ends[-1].price,
            "v": total,
            "vw": sum(one.price * one.size for one in volume) / total,
            "n": len(volume),
        }
    return bars


def make_prints(rng: random.Random, minutes: int, late_share: float) -> list[Print]:
    """Return a market of a stock and an option; a share of the prints becomes known minutes late."""
    prints = []
    for symbol, first_price, per_minute in ((STOCK, 600.0, 40), (OPTION, 3.2, 3)):
        price = first_price
        sequence = rng.randint(1, 10**6)
        for minute in range(minutes):
            n = per_minute + rng.randint(-5, 5) if symbol == STOCK else rng.choice([0, 0, 1, per_minute, 2 * per_minute])
            for ts_ms in sorted(OPENS // MS + minute * 60_000 + rng.randrange(60_000) for _ in range(n)):
                sequence += rng.randint(1, 40)
                price = round(max(price + rng.choice([-2, -1, 0, 0, 1, 2]) * 0.01, 0.01), 2)
                conditions = rng.choices([(), (14,), (14, 41), (37,), (14, 37, 41), (10,), (32, 41), (16,)], [40, 20, 10, 12, 6, 3, 3, 1])[
                    0
                ]
                known_ms = ts_ms + (20 if rng.random() >= late_share else rng.randint(3_000, 200_000))
                prints.append(
                    Print(symbol, ts_ms, known_ms, sequence, price, rng.choice([1, 5, 40, 100, 250]), conditions if symbol == STOCK else ())
                )
    return prints


# -- one bad day ------------------------------------------------------------------------------------------------------------


@dataclass
class Outbox:
    """What the provider still has to send: (when, market, events)."""

    items: list[tuple[int, str, list[dict]]] = field(default_factory=list)

    def put(self, at_ms: int, market: str, events: list[dict]) -> None:
        self.items.append((at_ms, market, events))

    def due(self, now_ms: int) -> list[tuple[str, list[dict]]]:
        ready = sorted((item for item in self.items if item[0] <= now_ms), key=lambda item: item[0])
        self.items = [item for item in self.items if item[0] > now_ms]
        return [(market, events) for _, market, events in ready]


class BadDay:
    """One schedule of faults against one hub."""

    patience_s = 3.0
    channel_choices: tuple[tuple[str, ...], ...] = ()
    rest_faults: tuple[str, ...] = ()
    garbage: tuple[Any, ...] = ()  # frames that are none

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.minutes = self.rng.randint(5, 9)
        # Half of the days have losses without a sign: those are only found when the hub compares with history now and then.
        # On the other days it does not, so every gap has to be noticed, told and read again by itself.
        self.has_silent_losses = self.rng.random() < 0.5
        self.prints = make_prints(self.rng, self.minutes, 0.004 if self.has_silent_losses else 0.0)
        self.begin_ns = OPENS + self.rng.randint(20, 100) * NS_PER_S  # the hub joins in the middle of a minute
        self.end_ns = OPENS + self.minutes * NS_PER_MIN
        self.clock = HandClock(self.begin_ns)
        self.channels = self.rng.choice(self.channel_choices)
        self.outbox = self._plan_messages()
        self.log: list[str] = [f"seed {seed}, channels {self.channels}, silent losses {self.has_silent_losses}"]
        self.expected_events = 0

    # -- what differs between providers ---------------------------------------------------------------------------------------

    def make_server(self, page_size: int) -> Any:
        """Return the loopback provider, not started."""
        raise NotImplementedError

    def make_source(self, server: Any) -> Any:
        """Return the source that listens to it."""
        raise NotImplementedError

    def print_event(self, one: Print) -> dict:
        """Return a print as the wire carries it."""
        raise NotImplementedError

    def minute_event(self, symbol: str, bar: dict, *, is_again: bool) -> dict | None:
        """Return the provider's own minute as the wire carries it; None when it sends none."""
        raise NotImplementedError

    def n_topics(self, market: str) -> int:
        """Return how many topics a fully subscribed connection has."""
        raise NotImplementedError

    # -- the day ----------------------------------------------------------------------------------------------------------------

    def _plan_messages(self) -> Outbox:
        """Lay out what will be sent when: frames of prints, reordered and repeated, and the provider's own minutes."""
        outbox, rng = Outbox(), self.rng
        untold_share = rng.choice([0.0, 0.005, 0.02]) if self.has_silent_losses else 0.0
        untold = {one for one in self.prints if rng.random() < untold_share}
        for one in self.prints:
            if one in untold:
                continue
            market = "options" if one.symbol == OPTION else "stocks"
            at_ms = one.known_ms + rng.choices([0, rng.randint(0, 1_500), rng.randint(0, 20_000)], [60, 30, 2])[0]
            outbox.put(at_ms, market, [self.print_event(one)])
            if rng.random() < 0.04:
                outbox.put(at_ms + rng.randint(0, 90_000), market, [self.print_event(one)])  # told twice
        for symbol, market in ((STOCK, "stocks"), (OPTION, "options")):
            self._plan_minutes(outbox, symbol, market)
        return outbox

    def _plan_minutes(self, outbox: Outbox, symbol: str, market: str) -> None:
        """The provider sends a minute about two seconds after its end, and again when a late print has changed it."""
        for k in range(self.minutes):
            start = OPENS // MS + k * 60_000
            closes = start + 60_000
            moments = {closes + 2_000} | {
                one.known_ms + 500 for one in self.prints if one.symbol == symbol and start <= one.ts_ms < closes <= one.known_ms
            }
            for n, at_ms in enumerate(sorted(moments)):
                bar = true_bars(self.prints, symbol, at_ms).get(start)
                event = self.minute_event(symbol, bar, is_again=n > 0) if bar is not None else None
                if event is not None:
                    outbox.put(at_ms, market, [event])

    def bars_of(self, symbol: str, start_ms: int, end_ms: int) -> list[dict]:
        """What REST shows at this moment of the market: closed minutes, of the prints known by now."""
        now_ms = self.clock.ns // MS
        found = true_bars(self.prints, symbol, now_ms)
        return [bar for minute, bar in sorted(found.items()) if start_ms <= minute <= end_ms and minute + 60_000 <= now_ms]

    # -- running it ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        with self.make_server(self.rng.choice([3, 5, 50_000])) as server:
            self.server = server
            source = self.source = self.make_source(server)
            self.hub = Hub(
                source, grace_s=self.rng.choice([0.5, 2.0, 5.0]), retry_s=0.02, verify_every_s=300.0 if self.has_silent_losses else 0.0
            )
            self.hub.start()
            source.start(self.hub)
            try:
                self._live_through()
                self._let_it_settle()
                self._compare()
            finally:
                source.stop()
                self.hub.stop()

    def _live_through(self) -> None:
        for symbol in (STOCK, OPTION):
            self.hub.watch(symbol)
        assert wait_for(self._is_connected), f"never connected: {self.hub.health()}"
        while self.clock.ns < self.end_ns:
            self._step(self.rng.randint(1_000, 4_000))
            if self.rng.random() < 0.05:
                self._fault()
            if self.rng.random() < 0.1:
                self.server.rest_faults.append(self.rng.choice(self.rest_faults))

    def _is_connected(self) -> bool:
        return all(len(self.server.topics(market)) == self.n_topics(market) for market in ("stocks", "options"))

    def _step(self, ms: int, *, is_waiting: bool = True) -> None:
        """Let the market go on: send what is due and wait until the hub has it."""
        self.clock.ns += ms * MS
        frames: dict[str, list[dict]] = defaultdict(list)
        for market, events in self.outbox.due(self.clock.ns // MS):
            frames[market] += events
        for market, events in frames.items():
            if self.rng.random() < 0.3:
                self.rng.shuffle(events)
            self.expected_events += self.server.send(events, market)
        if is_waiting and not wait_for(lambda: self.hub.health().n_events >= self.expected_events, 0.3):
            self.expected_events = self.hub.health().n_events  # some were lost with a connection that was given up

    def _fault(self) -> None:
        kind = self.rng.choice(["drop", "drop in the middle", "close", "outage", "mute", "garbage"])
        self.log.append(f"{(self.clock.ns - OPENS) / NS_PER_S:.0f} s: {kind}")
        market = self.rng.choice([None, "stocks", "options"])
        if kind == "garbage":
            self.server.send(self.rng.choice(self.garbage))
            return
        if kind == "drop in the middle":
            self._step(2_000, is_waiting=False)
        if kind == "outage":
            self.server.refuse(503)
        if kind == "mute":
            self.server.mute(market)
        else:
            self.server.drop(market, code=self.rng.choice([1000, 1001, 1011]) if kind == "close" else None)
        for _ in range(self.rng.choice([0, 1, 5, 30] if kind in ("outage", "mute") else [0, 0, 1, 3])):
            self._step(self.rng.randint(1_000, 4_000), is_waiting=False)
        self.server.refuse(0)
        assert wait_for(lambda: self._is_connected() and not any(one.is_mute for one in self.server.connections), 8.0), "did not come back"
        self.expected_events = 0  # what was under way may or may not have arrived: count anew
        wait_for(lambda: self.hub.wait_idle(0.05), 0.5)
        self.expected_events = self.hub.health().n_events

    def _let_it_settle(self) -> None:
        """Late prints arrive, gaps are read again, the hub compares with history; then the market closes and silence is no fault."""
        self.server.rest_faults.clear()
        while self.outbox.items:
            self._step(5_000)
        for _ in range(3 if self.has_silent_losses else 1):
            self._pass_time(301 * NS_PER_S)
            assert wait_for(lambda: not self.has_silent_losses or self.hub._writer.plan._last_verify_ns == self.clock.ns), (
                "no comparison with history"
            )
            self.hub.wait_idle(5.0, history=True)
        self._pass_time(ny_ns(DAY, 21) - self.clock.ns)
        assert wait_for(lambda: set(self.source.states.values()) == {FeedState.LIVE}), self.source.states
        self._pass_time(2 * NS_PER_MIN)

    def _pass_time(self, ns: int) -> None:
        self.clock.ns += ns
        assert wait_for(lambda: not self.hub.health().queued, 2.0)
        self.hub.wait_idle(5.0, history=True)

    def _compare(self) -> None:
        for symbol in (STOCK, OPTION):
            truth = true_bars(self.prints, symbol, self.clock.ns // MS)
            wait_for(lambda symbol=symbol, truth=truth: not self._differences(symbol, truth), self.patience_s)
            differences = self._differences(symbol, truth)
            assert not differences, "\n".join([*self.log, f"health {self.hub.health()}", *differences])

    def _differences(self, symbol: str, truth: dict[int, dict]) -> list[str]:
        rows = {int(row["ts_open"]) // MS: row for row in self.hub.series(symbol, "1m").rows()}
        found = [f"{symbol} {minute}: no bar" for minute in truth.keys() - rows.keys()]
        found += [f"{symbol} {minute}: a bar that never was" for minute in rows.keys() - truth.keys()]
        for minute in sorted(truth.keys() & rows.keys()):
            row, bar = rows[minute], truth[minute]
            have = tuple(float(row[name]) for name in ("open", "high", "low", "close", "volume"))
            true = tuple(float(bar[letter]) for letter in "ohlcv")
            is_vwap_right = abs(row["vwap"] - bar["vw"]) < 1e-9 * bar["vw"]
            is_count_right = row["n_trades"] != row["n_trades"] or row["n_trades"] == bar["n"]
            if have != true or not is_vwap_right or not is_count_right:
                found.append(
                    f"{symbol} {(minute - OPENS // MS) // 60_000}: {have} {row['vwap']} {row['n_trades']} is not {true} {bar['vw']} {bar['n']}; {row}"
                )
        return found


def assert_it_notices_a_source_that_tells_no_gaps(monkeypatch: pytest.MonkeyPatch, day: type[BadDay]) -> None:
    """Fail unless one of 40 days ends with wrong bars when gaps are kept silent: a schedule that can't fail proves nothing."""
    monkeypatch.setattr(LiveSource, "on_away", lambda *_told: None)
    monkeypatch.setattr(day, "patience_s", 0.1)
    for seed in range(40):
        try:
            day(seed).run()
        except AssertionError:
            return
    pytest.fail("of 40 days none noticed")
