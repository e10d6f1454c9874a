"""Two live sources as one: the second takes over while the first is in trouble, says so everywhere, and hands back.

Both are connected all the time; only one is listened to. The first is in trouble while it is not live, or while it is live in
regular hours and has told nothing since its last trouble. When that lasts `patience_s` and the second is well, the second is
passed on; when the first has been well for `back_after_s` without a break, it is again. A feed that flaps therefore changes hands
at most once in the sum of both.

Nothing is counted twice: after a change prints that are not newer than the newest one passed on are left out, and the time around
the change (on the way back: all the time the second told) is told as a gap, so that the hub marks its minutes as not wholly seen
and reads them from history. History is the first's; where it fails, the second's is shown but never called complete.

Floor 2. A thread of its own looks at both; all times are the market's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_S, Clock, WallClock
from workbench.errors import ConfigError, SourceError, SymbolError
from workbench.sessions import Segment, SessionCalendar, to_ny
from workbench.sources.base import ChainSource, FeedGap, FeedState, FeedStatus, History, Sink, Source, SourceInfo
from workbench.types import SymbolTable

if TYPE_CHECKING:
    from workbench.options.chain import Chain

log = logging.getLogger(__name__)
T = TypeVar("T")

MARGIN_NS = 2 * NS_PER_S  # prints that much older than the last ones heard may not have come any more
AHEAD_NS = 60 * NS_PER_S  # stamps further ahead are wrong, the hub puts them aside; how far a source has told can't be read off them
_WORDS = {FeedState.STALE: "stale", FeedState.REFUSED: "refused", FeedState.RECONNECTING: "away", FeedState.CONNECTING: "not connected"}


@dataclass(frozen=True, slots=True)
class FallbackTimes:
    """How long the first may be in trouble, and then has to be well, before the other is listened to [s]; how often that is judged."""

    patience_s: float = 10.0
    back_after_s: float = 60.0
    look_s: float = 1.0


class FallbackSource:
    """A source made of two.

    Parameters
    ----------
    first, second           Live sources of the same time: a delayed one can't stand in for one that is not.
    """

    def __init__(
        self, first: Source, second: Source, *, times: FallbackTimes | None = None, calendar: SessionCalendar | None = None
    ) -> None:
        one, two = first.info, second.info
        if one.delay_ns != two.delay_ns:
            raise ConfigError(
                f"fallback: received {two.name!r}, {_minutes(two)} late, for {one.name!r}, {_minutes(one)} late; "
                "allowed: two feeds of the same delay (feed='realtime'), or no fallback"
            )
        if not isinstance(first.clock, WallClock):
            raise ConfigError(f"fallback: received it beside {one.name!r}, whose time is not the market's; allowed: beside a live source")
        self.first, self.second = first, second
        self.clock: Clock = first.clock
        self._times = times or FallbackTimes()
        self._calendar = calendar or SessionCalendar.xnys()
        self.lock = threading.RLock()  # held while an event is passed on, so that none passes after a change
        self._sides = (_Side(self, first), _Side(self, second))
        self._active = self._sides[0]
        self._since_ns = self._lost_ns = 0  # while on the second: since when, and from when the first's events are missing
        self._why = ""  # the first's trouble at the change
        self._sink: Sink | None = None
        self._said: tuple[FeedState, str] | None = None
        self._stopped = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def is_on_second(self) -> bool:
        """Whether the second source is the one that is passed on."""
        return self._active is self._sides[1]

    @property
    def info(self) -> SourceInfo:
        """What is listened to now; its name is 'fallback' while that is the second."""
        first, second = self.first.info, self.second.info
        if self.is_on_second:
            return replace(second, name="fallback", detail=f"{second.name} for {first.name}: {second.detail}", symbols=first.symbols)
        return replace(first, detail=f"{first.detail}; fallback {second.name}")

    def start(self, sink: Sink) -> None:
        """Start both; each delivers from its own threads."""
        with self.lock:
            if self._sink is not None:
                return
            self._sink = sink
            now_ns = self.clock.now_ns()
            for side in self._sides:
                side.begin(sink.symbols, now_ns)
            self._active = self._sides[0]
            self._stopped.clear()
        for side in self._sides:
            side.source.start(side)
        self._watcher = threading.Thread(target=self._watch, name="fallback-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Stop both."""
        self._stopped.set()
        with self.lock:
            self._sink, self._said = None, None
        for side in self._sides:
            side.source.stop()
        if self._watcher is not None:
            self._watcher.join(5.0)
            self._watcher = None

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Deliver these too. SymbolError as the first source says; what only the second does not know, it does not stand in for."""
        wanted = list(symbols)
        self.first.subscribe(wanted)
        for symbol in wanted:
            try:
                self.second.subscribe([symbol])
            except SymbolError as error:
                log.warning("fallback %s: %s", self.second.info.name, error)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop delivering these."""
        gone = list(symbols)
        self.first.unsubscribe(gone)
        self.second.unsubscribe(gone)

    def history(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return the first's closed minutes; where it fails, the second's, which are never called complete. Raises the first's error."""
        try:
            return self.first.history(symbol, start_ns, end_ns)
        except SymbolError:
            raise
        except SourceError as error:
            try:
                told = self.second.history(symbol, start_ns, end_ns)
            except (SourceError, SymbolError):
                raise error from None
            rows = told.rows.copy()
            rows["is_complete"] = 0  # so that they take the place of none that the first told whole
            return History(rows, is_complete=False, note=f"told by {self.second.info.name}; {self.first.info.name}: {error}")

    @property
    def most_contracts(self) -> int:
        """How many option contracts both can deliver at once; none where one of them knows no options."""
        return min((side.most_contracts for side in (self.first, self.second) if isinstance(side, ChainSource)), default=0)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the first's expiry dates; where it fails, the second's."""
        return self._of_either(lambda source: source.expiries(underlying))[0]

    def chain(self, underlying: str, expiry: date) -> Chain:
        """Return the first's chain; where it fails, the second's with a note. Raises the first's error."""
        chain, error = self._of_either(lambda source: source.chain(underlying, expiry))
        why = () if error is None else (f"told by {self.second.info.name}; {self.first.info.name}: {error}",)
        return replace(chain, notes=(*chain.notes, *why))

    def _of_either(self, ask: Callable[[ChainSource], T]) -> tuple[T, SourceError | None]:
        """Return an answer, and the first's error where it is the second's."""
        first, second = self.first, self.second
        try:
            if not isinstance(first, ChainSource):
                raise SourceError(f"chain: source {first.info.name!r} tells no option chains; allowed: a source that does")
            return ask(first), None
        except SourceError as error:
            if not isinstance(second, ChainSource):
                raise
            try:
                return ask(second), error
            except (SourceError, SymbolError):
                raise error from None

    def look(self) -> None:
        """Judge both sources at this moment and change hands if it is time (the watching thread does so by itself)."""
        with self.lock:
            if self._sink is None:
                return
            now_ns = self.clock.now_ns()
            needs_data = self._calendar.segment(now_ns) is Segment.RTH
            first, second = self._sides
            first.judge(now_ns, needs_data=needs_data)
            second.judge(now_ns, needs_data=needs_data)
            patience_ns, back_ns = (int(s * NS_PER_S) for s in (self._times.patience_s, self._times.back_after_s))
            if not self.is_on_second:
                if first.bad_for(now_ns) >= patience_ns and second.is_good:
                    self._take_over(now_ns)
            elif first.good_for(now_ns) >= back_ns or (first.is_good and second.bad_for(now_ns) >= patience_ns):
                self._hand_back(now_ns)
            self._tell(now_ns)

    def __repr__(self) -> str:
        return f"<FallbackSource {self.first!r}, else {self.second!r}: {'the second' if self.is_on_second else 'the first'} is listened to>"

    # -- changing hands ----------------------------------------------------------------------------------------------------------

    def _take_over(self, now_ns: int) -> None:
        first, second = self._sides
        heard_ns = min(first.bad_since_ns or now_ns, first.last_data_ns or now_ns, first.newest_ns or now_ns)  # a feed may lag behind
        self._since_ns, self._lost_ns = now_ns, heard_ns - MARGIN_NS
        self._why = f"{self.first.info.name} is {_WORDS.get(first.status.state, 'silent')}"
        self._change(second, first.newest_ns, now_ns, f"{self.second.info.name} took over: {self._why}")

    def _hand_back(self, now_ns: int) -> None:
        first, second = self._sides
        self._change(first, second.newest_ns, now_ns, f"{self.first.info.name} is back; {self.second.info.name} stood in meanwhile")

    def _change(self, to: _Side, newest_ns: int, now_ns: int, reason: str) -> None:
        """Listen to `to` from now on; what happened since the first was last whole is read from history."""
        to.newest_ns = to.from_ns = max(newest_ns, to.from_ns)
        self._active = to
        log.warning("fallback: %s", reason)
        assert self._sink is not None
        self._sink.on_gap(FeedGap(self._lost_ns, max(now_ns, to.from_ns) + 1, reason))  # what is left out lies in it, whoever's clock errs

    def _watch(self) -> None:
        while not self._stopped.wait(self._times.look_s):
            try:
                self.look()
            except Exception:
                log.exception("fallback: the two sources could not be compared")

    def _tell(self, now_ns: int) -> None:
        first, second = self._sides
        state, reason = self._active.status.state, self._active.status.reason
        if self.is_on_second:
            since = f"{to_ny(self._since_ns):%H:%M}"
            reason = f"on fallback {self.second.info.name} since {since}: {self._why} ({first.status.reason}); {reason}"
            state = FeedState.FALLBACK if state is FeedState.LIVE else state
        elif second.status.state is FeedState.REFUSED:
            reason = f"{reason}; no fallback: {second.status.reason}"
        if self._sink is not None and self._said != (state, reason):
            self._said = (state, reason)
            self._sink.on_status(FeedStatus(state, reason, now_ns))

    # -- what the two sides hear ---------------------------------------------------------------------------------------------------

    def sink_for(self, side: _Side) -> Sink | None:
        """Return where a side's events go: nowhere while the other is listened to."""
        return self._sink if side is self._active else None

    @property
    def bars_from_ns(self) -> int:
        """Where the minutes begin that the first did not wholly tell, while the second is listened to [ns]."""
        return self._lost_ns

    def correct(self, symbol: str, ts_event_ns: int, reason: str) -> None:
        """Pass on that a print was taken back, whoever says it: the minute is read again, nothing is counted."""
        with self.lock:
            if self._sink is not None:
                self._sink.on_correction(symbol, ts_event_ns, reason)

    def reset(self, reason: str) -> None:
        """Pass on that a source begins anew."""
        with self.lock:
            if self._sink is not None:
                self._sink.on_reset(reason)


def _minutes(info: SourceInfo) -> str:
    return f"{info.delay_ns // NS_PER_MIN} minutes"


class _Side:
    """One of the two, as a sink: what it says is passed on while it is listened to, and how it is doing is remembered."""

    def __init__(self, owner: FallbackSource, source: Source) -> None:
        self._owner = owner
        self.source = source
        self.symbols = SymbolTable()
        self.begin(self.symbols, 0)

    def begin(self, symbols: SymbolTable, now_ns: int) -> None:
        """Forget what was."""
        self.symbols = symbols
        self.status = FeedStatus(FeedState.IDLE, "not started", now_ns)
        self.troubled_ns = now_ns  # last moment at which it was not live
        self.last_data_ns = 0  # market time at which it last delivered
        self.newest_ns = 0  # newest stamp that was passed on
        self.from_ns = 0  # prints up to here were told by the other
        self.bad_since_ns: int | None = now_ns
        self.good_since_ns: int | None = None

    def judge(self, now_ns: int, *, needs_data: bool) -> None:
        """Note whether it is well now."""
        is_live = self.status.state is FeedState.LIVE
        if is_live and (not needs_data or self.last_data_ns > self.troubled_ns):
            self.good_since_ns, self.bad_since_ns = self.good_since_ns or now_ns, None
        else:
            self.good_since_ns, self.bad_since_ns = None, self.bad_since_ns or now_ns
        if not is_live:
            self.troubled_ns = now_ns

    @property
    def is_good(self) -> bool:
        """Whether it was well when last judged."""
        return self.good_since_ns is not None

    def good_for(self, now_ns: int) -> int:
        """Return for how long it has been well [ns]; -1 when it is not."""
        return -1 if self.good_since_ns is None else now_ns - self.good_since_ns

    def bad_for(self, now_ns: int) -> int:
        """Return for how long it has been in trouble [ns]; -1 when it is not."""
        return -1 if self.bad_since_ns is None else now_ns - self.bad_since_ns

    # -- Sink ------------------------------------------------------------------------------------------------------------------

    def on_trades(self, rows: np.ndarray) -> None:
        """Pass prints on, those that the other told already left out."""
        with self._owner.lock:
            self._note_data()
            sink = self._owner.sink_for(self)
            if sink is not None and len(rows):
                if int(rows["ts_event"].min()) <= self.from_ns:
                    rows = rows[rows["ts_event"] > self.from_ns]
                if len(rows):
                    stamps = rows["ts_event"]
                    self.newest_ns = max(self.newest_ns, int(stamps[stamps <= self.last_data_ns + AHEAD_NS].max(initial=0)))
                    sink.on_trades(rows)

    def on_quotes(self, rows: np.ndarray) -> None:
        """Pass quotes on."""
        with self._owner.lock:
            self._note_data()
            if (sink := self._owner.sink_for(self)) is not None:
                sink.on_quotes(rows)

    def on_bars(self, symbol: str, rows: np.ndarray) -> None:
        """Pass the provider's minutes on; the second's only from the minute on that the first did not wholly tell."""
        with self._owner.lock:
            self._note_data()
            sink = self._owner.sink_for(self)
            if sink is not None:
                told = rows[rows["ts_close"] > self._owner.bars_from_ns] if self._owner.is_on_second else rows
                if len(told):
                    sink.on_bars(symbol, told)

    def on_reject(self, reason: str, symbol: str, raw: bytes, ts_recv: int) -> None:
        """Pass what can't be read on."""
        with self._owner.lock:
            if (sink := self._owner.sink_for(self)) is not None:
                sink.on_reject(reason, symbol, raw, ts_recv)

    def on_status(self, status: FeedStatus) -> None:
        """Remember how it is doing; the two are judged together."""
        with self._owner.lock:
            self.status = status
            if status.state is not FeedState.LIVE:
                self.troubled_ns = max(self.troubled_ns, self._owner.clock.now_ns())
        self._owner.look()

    def on_gap(self, gap: FeedGap) -> None:
        """Pass a span on in which it was away while it was listened to."""
        with self._owner.lock:
            if (sink := self._owner.sink_for(self)) is not None:
                sink.on_gap(gap)

    def on_time(self, now_ns: int) -> None:
        """Live sources don't tell the time."""

    def on_correction(self, symbol: str, ts_event_ns: int, reason: str) -> None:
        """Pass on that a print was taken back."""
        self._owner.correct(symbol, ts_event_ns, reason)

    def on_reset(self, reason: str) -> None:
        """Pass on that it begins anew."""
        self._owner.reset(reason)

    def _note_data(self) -> None:
        self.last_data_ns = self._owner.clock.now_ns()
