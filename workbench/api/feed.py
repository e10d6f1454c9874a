"""What one subscription (a set of series) is told, read from the hub once and encoded once, however many listen.

A feed has a position: every change of a closed bar numbered up to it has been told. `collect` moves it on and returns the bytes for
those who stood at the old position; `catch_up` brings any other reader to it; `bootstrap` tells all from nothing. Each reads
`hub.seq` first and tells no change with a greater number, so that what one event told no other event tells again, and nothing is
left out between them. Open bars, prints and quotes are told as they are now: what came and went in between is skipped.

Called on threads of the service, since reading may wait for the hub's locks; `collect` by one at a time. Floor 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench import __version__
from workbench.api.encode import Part, Position, bar_rows, encoded, event, events, to_json
from workbench.clock import NS_PER_MS, monotonic_ns
from workbench.hub.health import Health, Mode
from workbench.hub.hub import Hub
from workbench.hub.series import Series

HEARTBEAT_S = 10.0
HEALTH_EVERY_NS = 500 * NS_PER_MS
MAX_CATCH_UP = 5000  # changes; whoever missed more is better served by a bootstrap, which all share
RESTARTED = "the hub was started again or its market reset: sequence numbers began anew"
OVERRUN = "what was missed can't be told change by change any more"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asked for; readers that asked for the same share one feed. `n`: closed bars in a bootstrap."""

    series: tuple[tuple[str, str], ...]  # (symbol, timeframe)
    n: int

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, each once."""
        return tuple(dict.fromkeys(symbol for symbol, _ in self.series))


def changes_of(series: Series, since: Position, upto: int) -> np.ndarray | None:
    """Return the changes of a series numbered above `since` and up to `upto`, in order; None when they can't be told any more.

    Past the change log, the bars held tell: each carries the number of its newest change, so those numbered above `since` are
    all that changed, once each, unless even the oldest of them is new and others have fallen out. Only a bar that was taken back is
    not among them: that takes a snapshot.
    """
    update = series.since(since.epoch, since.seq, 0)
    if update.epoch != since.epoch or series.reset_seq > since.seq:
        return None
    rows = update.rows
    if update.is_gap:
        held = series.rows()
        rows = held[held["seq"] > since.seq]
        if len(rows) == len(held):
            return None
        rows = rows[np.argsort(rows["seq"], kind="stable")]
    return rows[rows["seq"] <= upto]


class Feed:
    """One subscription's reading of a hub."""

    def __init__(self, hub: Hub, wanted: Wanted) -> None:
        """The symbols are watched already; may wait for the hub."""
        self.wanted = wanted
        self._hub = hub
        self._series = [hub.series(symbol, timeframe) for symbol, timeframe in wanted.series]
        self._symbols = wanted.symbols
        self.position = Position(hub.epoch, hub.seq)  # after a new series was rolled up: its bars are no news
        self._versions = {series: series.forming_version for series in self._series}  # as last told
        self._tape = (hub.tape.n_trades, hub.tape.n_quotes)
        self._ticks: dict[str, bytes] = {}  # symbol -> newest print and quote, as last told
        self._micro: dict[str, bytes] = {}  # symbol -> newest 50 ms bar, as last told
        self._health: dict[str | None, tuple[Any, ...]] = {who: _gist(hub.health(who)) for who in (None, *self._symbols)}
        self._health_ns = monotonic_ns()

    # -- for all readers at once ---------------------------------------------------------------------------------------------

    def collect(self, *, with_state: bool) -> bytes:
        """Move the position to the present and return what is new since, b'' when nothing is.

        `with_state`: open bars, prints, quotes and health too, not closed bars alone.
        """
        upto = Position(self._hub.epoch, self._hub.seq)
        since = self.position
        if since.epoch != upto.epoch:
            self._versions = {series: series.forming_version for series in self._series}
            body = self.started_over(RESTARTED, upto)
        else:
            body = self._news(since, upto, with_state=with_state)
        if with_state:
            body += self._state()
        self.position = upto  # not before all is read: whatever fails is told at the next turn
        return body

    def _news(self, since: Position, upto: Position, *, with_state: bool) -> bytes:
        parts: list[Part] = []
        lost: list[Series] = []
        for series in self._series:
            has_closed = series.seq > since.seq
            version = series.forming_version
            if not has_closed and (not with_state or version == self._versions[series]):
                continue
            self._versions[series] = version
            rows = changes_of(series, since, upto.seq) if has_closed else None
            if has_closed and rows is None:
                lost.append(series)
            else:
                parts.append(_part(series, rows, series.forming, upto))
        told: list[tuple[str, Any]] = list(self._reset(lost, OVERRUN, upto)) if lost else []
        if parts:
            told.append(("bar", {**self._epoch(upto), "series": parts}))
        has_number = bool(lost) or any(part.bars for part in parts)
        return events(told, upto if has_number else None)

    def _state(self) -> bytes:
        """Return prints, quotes, 50 ms bars and health that are new; none of them has a number."""
        body = b""
        tape = (self._hub.tape.n_trades, self._hub.tape.n_quotes)
        if tape != self._tape:
            has_prints, self._tape = tape[0] != self._tape[0], tape
            body = self._new_ticks() + (self._new_microbars() if has_prints else b"")
        now = monotonic_ns()
        if now - self._health_ns >= HEALTH_EVERY_NS:
            self._health_ns = now
            body += self._new_health()
        return body

    def _new_ticks(self) -> bytes:
        ticks = []
        for symbol in self._symbols:
            told = to_json(self._tick(symbol))
            if told != self._ticks.get(symbol):
                self._ticks[symbol] = told
                ticks.append(encoded(told))
        return event("tick", {"ts_ns": self._hub.clock.now_ns(), "ticks": ticks}) if ticks else b""

    def _new_microbars(self) -> bytes:
        new = []
        for symbol in self._symbols:
            row = self._hub.microbar(symbol)
            if row is not None and (told := row.tobytes()) != self._micro.get(symbol):
                self._micro[symbol] = told
                new.append({"symbol": symbol, "bar": bar_rows(row)[0]})
        return event("microbar", {"microbars": new}) if new else b""

    def _new_health(self) -> bytes:
        changed = []
        for who in self._health:
            health = self._hub.health(who)
            if (gist := _gist(health)) != self._health[who]:
                self._health[who] = gist
                changed.append(health.to_dict())
        return event("health", {"health": changed}) if changed else b""

    # -- for one reader (or those who stand where it stands) --------------------------------------------------------------------

    def hello(self) -> bytes:
        """Return the first event of a connection."""
        return self._hello(Position(self._hub.epoch, self._hub.seq))

    def catch_up(self, since: Position, upto: Position) -> bytes:
        """Return all changes between two positions and the present state; a reset and a bootstrap when they can't be told."""
        if since.epoch != upto.epoch:
            return self.started_over(RESTARTED, upto)
        if since.seq > upto.seq:
            return self.reset(f"number {since.seq} was never given: the hub stands at {upto.seq}", upto)
        found = [(series, changes_of(series, since, upto.seq)) for series in self._series]
        if sum(len(rows) for _, rows in found if rows is not None) > MAX_CATCH_UP:
            return self.reset(f"more than {MAX_CATCH_UP} changes were missed", upto)
        lost = [series for series, rows in found if rows is None]
        told: list[tuple[str, Any]] = list(self._reset(lost, OVERRUN, upto)) if lost else []
        parts = [_part(series, rows, series.forming, upto) for series, rows in found if rows is not None]
        if parts:
            told.append(("bar", {**self._epoch(upto), "series": parts}))
        ticks = [self._tick(symbol) for symbol in self._symbols]
        return events(told, upto) + event("tick", {"ts_ns": self._hub.clock.now_ns(), "ticks": ticks})

    def bootstrap(self, upto: Position) -> bytes:
        """Return all there is, up to a position."""
        return events(self._all(self._series, upto), upto)

    def reset(self, reason: str, upto: Position) -> bytes:
        """Return one reset of all series and their bootstrap."""
        return events(self._reset(self._series, reason, upto), upto)

    def started_over(self, reason: str, upto: Position) -> bytes:
        """Return the new epoch, one reset and the bootstrap."""
        return self._hello(upto) + self.reset(reason, upto)

    def _hello(self, upto: Position) -> bytes:
        return event("epoch", {**self._epoch(upto), "version": __version__, "heartbeat_s": HEARTBEAT_S})

    def _epoch(self, upto: Position) -> dict[str, Any]:
        return {"epoch": upto.epoch, "seq": upto.seq, "ts_ns": self._hub.clock.now_ns()}

    def _reset(self, lost: list[Series], reason: str, upto: Position) -> Iterator[tuple[str, Any]]:
        names = [{"symbol": series.symbol, "timeframe": series.timeframe.label} for series in lost]
        yield "reset", {"epoch": upto.epoch, "seq": upto.seq, "reason": reason, "series": names}
        yield from self._all(lost, upto)

    def _all(self, wanted: Iterable[Series], upto: Position) -> Iterator[tuple[str, Any]]:
        by_symbol: dict[str, list[Series]] = {}
        for series in wanted:
            by_symbol.setdefault(series.symbol, []).append(series)
        for symbol, listed in by_symbol.items():
            yield (
                "bootstrap",
                {
                    "epoch": upto.epoch,
                    "seq": upto.seq,
                    "series": [self._snapshot(series, upto) for series in listed],
                    "health": self._hub.health(symbol).to_dict(),
                    **self._tick(symbol),
                    "is_last": symbol == next(reversed(by_symbol)),
                },
            )

    def _snapshot(self, series: Series, upto: Position) -> Part:
        update = series.snapshot(self.wanted.n)
        return _part(series, update.rows[update.rows["seq"] <= upto.seq], update.forming, upto)

    def _tick(self, symbol: str) -> dict[str, Any]:
        return {"symbol": symbol, "trade": self._hub.last_trade(symbol), "quote": self._hub.quote(symbol)}


def _part(series: Series, rows: np.ndarray | None, forming: np.ndarray | None, upto: Position) -> Part:
    # of a bar that closed above the position neither is told: as closed it comes next, and as open it is no more
    told = None if series.seq > upto.seq else bar_rows(forming)
    return Part(series.symbol, series.timeframe.label, min(series.seq, upto.seq), bar_rows(rows), told)


def _gist(health: Health) -> tuple[Any, ...]:
    """Return what counts as a change of health: not ages, latencies and counts of events, which change all the time."""
    reason = "" if health.mode is Mode.STALE else health.reason  # it counts the seconds of silence
    counts = (health.gaps, health.gaps_repaired, health.backfilling, health.dropped, health.errors)
    return (health.mode, reason, health.segment, health.history_trouble, *counts, tuple(sorted(health.quarantined.items())))
