"""What is known here of a hub elsewhere: its series, newest prints and quotes, health, clock; kept up by the events of its stream.

No connection here: `link.py` hands in events and answers. Floor 2. Written by the link's thread alone (`want` and `drop`: by
readers); read from any thread, since every write puts a new value in an old one's place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.clock import NS_PER_S, WallClock, monotonic_ns
from workbench.hub.gaps import OpenGap
from workbench.hub.health import Health, Mode
from workbench.hub.remote import wire
from workbench.hub.remote.mirror import MirroredSeries
from workbench.hub.remote.sse import Event
from workbench.sessions import Segment
from workbench.sources.base import SourceInfo
from workbench.types import Quote, Timeframe, Trade


class MirroredClock:
    """The hub's market clock: the machine's own, or, where the hub's market has a time of its own, the moment that it told last.

    It never runs ahead of what was told: nothing on any screen may be newer than a replayed moment.
    """

    def __init__(self) -> None:
        self._wall = WallClock()
        self._told_ns = 0
        self.is_steered = False

    def now_ns(self) -> int:
        """Return the market's present moment [ns UTC]."""
        return self._told_ns if self.is_steered and self._told_ns else self._wall.now_ns()

    def tell(self, now_ns: int) -> None:
        """Take the hub's present moment; what was told late does not move it back."""
        self._told_ns = max(self._told_ns, now_ns)

    def restart(self, now_ns: int) -> None:
        """Take the moment at which the hub's market was started or moved to."""
        self._told_ns = now_ns


class MirrorState:
    """The mirror's content. `epoch`, `seq`, `changes`: as of the hub, see `hub.py`."""

    def __init__(self, capacity: int, minutes: int) -> None:
        """`capacity`: closed bars held of a series; `minutes`: of a one-minute series."""
        self.clock = MirroredClock()
        self.info = SourceInfo("hub", "not attached yet")
        self.watched_there: tuple[str, ...] = ()
        self.epoch = self.seq = self.changes = 0
        self.trades: dict[str, Trade] = {}  # symbol -> newest print
        self.quotes: dict[str, Quote] = {}  # symbol -> newest quote
        self.microbars: dict[str, np.ndarray] = {}  # symbol -> newest 50 ms bar, BAR_DTYPE shape (1,)
        self.gaps: tuple[OpenGap, ...] = ()
        self.replay: wire.Replay | None = None  # where a market stands that can be steered
        self._capacity, self._minutes = capacity, minutes
        self._health: dict[str | None, tuple[Health, int]] = {}  # symbol, None: the feed -> (as told, stopwatch then)
        self._series: dict[tuple[str, str], MirroredSeries] = {}  # (symbol, timeframe) -> every series ever asked for
        self._wanted: dict[tuple[str, str], MirroredSeries] = {}  # those to be kept up
        self._lock = threading.Lock()  # of the two above
        self._takers: dict[str, Callable[[bytes], None]] = {  # `bar` needs to know whose stream it came on
            "epoch": self._take_epoch,
            "tick": self._take_ticks,
            "microbar": self._take_microbars,
            "health": self._take_health,
            "heartbeat": self._take_heartbeat,
            "reset": self._take_reset,
        }

    # -- what is wanted (any thread) -----------------------------------------------------------------------------------------

    def want(self, symbol: str, frame: Timeframe) -> MirroredSeries:
        """Return a series, to be kept up from now on."""
        key = symbol, frame.label
        with self._lock:
            series = self._series.get(key)
            if series is None:
                capacity = self._minutes if frame.label == "1m" else self._capacity
                series = self._series[key] = MirroredSeries(symbol, frame, capacity)
            if key not in self._wanted:
                series.renew()
                self._wanted = {**self._wanted, key: series}
        return series

    def drop(self, symbol: str) -> None:
        """Keep a symbol's series up no longer; what they hold stays readable, and is read anew when they are wanted again."""
        with self._lock:
            for series in self._wanted.values():
                if series.symbol == symbol:
                    series.forget()
            self._wanted = {key: series for key, series in self._wanted.items() if series.symbol != symbol}

    def wanted(self) -> tuple[MirroredSeries, ...]:
        """Return the series to be kept up, in the order they were asked for."""
        return tuple(self._wanted.values())

    def get(self, symbol: str, label: str) -> MirroredSeries | None:
        """Return a series that is kept up, or None."""
        return self._wanted.get((symbol, label))

    def is_current(self, series: MirroredSeries) -> bool:
        """Return whether a series has all of the hub's present life up to some number."""
        return series.upto is not None and series.epoch == self.epoch

    def health(self, symbol: str | None, now_ns: int, segment: Segment) -> tuple[Health, float]:
        """Return a health record as last told, grown old since, and how long ago that was [s]; the feed's, where the symbol has none."""
        told, at_ns = self._health.get(symbol) or self._health.get(None) or (_unheard(), monotonic_ns())
        if told.symbol != symbol:
            told = replace(told, symbol=symbol, age_s=None, quarantined={})
        since_s = (monotonic_ns() - at_ns) / NS_PER_S
        return replace(told, ts_ns=now_ns, segment=segment, age_s=None if told.age_s is None else told.age_s + since_s), since_s

    # -- what the hub tells (the link's thread) --------------------------------------------------------------------------------

    def take(self, event: Event, subscribed: Iterable[MirroredSeries]) -> None:
        """Take one event of a stream of these series; one of another name is passed over. SourceError when it can't be read."""
        if event.name == "bar":
            self._take_bars(event.data, subscribed)
        elif event.name in self._takers:
            self._takers[event.name](event.data)

    def take_snapshot(self, event: Event) -> bool:
        """Take one event of a stream that is read for its snapshots; True when that was the last of them."""
        if event.name == "epoch":
            self._take_epoch(event.data)
        return event.name == "bootstrap" and self._take_bootstrap(event.data)

    def take_health(self, told: dict[str, Any]) -> None:
        """Take one health record."""
        health = wire.health_of(told)
        self._health[health.symbol] = (health, monotonic_ns())
        self.clock.tell(health.ts_ns)

    def take_quality(self, quality: wire.Quality, *, is_first: bool) -> Health:
        """Take the answer to a question of quality and return the feed's health.

        `is_first` on a connection; a later one may have been overtaken by the stream.
        """
        feed = wire.health_of(quality.feed)
        if is_first or quality.epoch > self.epoch:
            self._begin(quality.epoch, feed.ts_ns)
        if quality.epoch != self.epoch:
            return feed  # of a life that is over: its moment may be hours ahead of the market's
        for told in (quality.feed, *quality.symbols):
            self.take_health(told)
        self.gaps = tuple(wire.gap_of(told) for told in quality.gaps)
        return feed

    def take_replay(self, replay: wire.Replay | None) -> None:
        """Take where the hub's market stands, None when it can't be steered."""
        self.replay, self.clock.is_steered = replay, replay is not None
        if replay is not None:
            self.clock.tell(replay.ts_ns)

    def take_facts(self, status: wire.Status, symbols: wire.Symbols) -> None:
        """Take what the hub's source is, and whom it follows."""
        self.watched_there = tuple(symbols.watched)
        self.info = SourceInfo(
            status.source,
            status.detail,
            has_trades=status.has_trades,
            has_quotes=status.has_quotes,
            is_replay=status.is_replay,
            delay_ns=status.delay_ns,
            symbols=tuple(symbols.known or ()),
            bar_lengths_ns=status.bar_lengths_ns,
            has_chains=status.has_chains,
        )

    def _begin(self, epoch: int, now_ns: int) -> None:
        """Enter another life of the hub. Bars stay readable until the new ones are here; what was newest is not so any more."""
        if epoch != self.epoch:
            self.epoch, self.seq = epoch, 0
            self.changes += 1
            self.clock.restart(now_ns)
            self.trades, self.quotes, self.microbars = {}, {}, {}

    def _take_epoch(self, data: bytes) -> None:
        told = wire.decode(data, wire.Epoch)
        self._begin(told.epoch, told.ts_ns)
        self.clock.tell(told.ts_ns)

    def _take_bootstrap(self, data: bytes) -> bool:
        told = wire.decode(data, wire.Bootstrap)
        self._begin(told.epoch, wire.health_of(told.health).ts_ns)
        for part in told.series:
            series = self.get(part.symbol, part.timeframe)
            if series is not None:
                series.load(wire.rows_of(part.bars), wire.rows_of(part.forming or []), epoch=told.epoch, seq=part.seq, upto=told.seq)
        self.take_health(told.health)
        self._note_tick(told.symbol, told.trade, told.quote)
        self._advance(told.seq)
        return told.is_last

    def _take_bars(self, data: bytes, subscribed: Iterable[MirroredSeries]) -> None:
        told = wire.decode(data, wire.Bars)
        if told.epoch != self.epoch:
            return  # of a life that is over
        self.clock.tell(told.ts_ns)
        for part in told.series:
            series = self.get(part.symbol, part.timeframe)
            if series is None or series.upto is None or series.epoch != told.epoch:
                continue
            series.take(wire.rows_of(part.bars))
            if part.forming is not None:
                series.set_forming(wire.rows_of(part.forming))
        for series in subscribed:
            series.told_up_to(told.epoch, told.seq)
        self._advance(told.seq)

    def _advance(self, seq: int) -> None:
        self.seq = max(self.seq, seq)
        self.changes += 1

    def _take_ticks(self, data: bytes) -> None:
        told = wire.decode(data, wire.Ticks)
        self.clock.tell(told.ts_ns)
        for tick in told.ticks:
            self._note_tick(tick.symbol, tick.trade, tick.quote)

    def _note_tick(self, symbol: str, trade: wire.Print | None, quote: wire.TopOfBook | None) -> None:
        if trade is not None:
            self.trades[symbol] = wire.trade_of(trade)
        if quote is not None:
            self.quotes[symbol] = wire.quote_of(quote)

    def _take_microbars(self, data: bytes) -> None:
        for told in wire.decode(data, wire.Microbars).microbars:
            self.microbars[told.symbol] = wire.rows_of([told.bar])

    def _take_health(self, data: bytes) -> None:
        for told in wire.decode(data, wire.HealthNews).health:
            self.take_health(told)

    def _take_heartbeat(self, data: bytes) -> None:
        self.clock.tell(wire.decode(data, wire.Heartbeat).ts_ns)

    def _take_reset(self, data: bytes) -> None:
        for name in wire.decode(data, wire.Reset).series:
            series = self.get(name.symbol, name.timeframe)
            if series is not None:
                series.forget()
        self.changes += 1


def _unheard() -> Health:
    return Health(Mode.STARTING, "", "hub", None, 0, Segment.CLOSED, None, None, None, 0, 0, 0, 0, 0, 0, 0)
