"""One connection to one market of a live provider, kept up by a supervisor around the vendor's own client.

Vendors' clients reconnect too often or never, swallow what the server says and do not notice silence. So each runs here without
reconnects of its own, one client per connection; this file decides when to connect again, how long to wait, when silence is a
fault, and what may have been missed. What a provider's messages mean stands in its own subclass.

Floor 2. A thread of its own with an event loop; calls its `Listener` from there.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np

from workbench.clock import NS_PER_S, Clock, monotonic_ns
from workbench.errors import AuthError, ConnectionLimitError, SourceError
from workbench.sessions import Segment, SessionCalendar
from workbench.sources.base import FeedState
from workbench.sources.live.link import End, Link, Listener, StreamTimes

log = logging.getLogger(__name__)

MARGIN_NS = 2 * NS_PER_S  # events this much older than the newest may have been under way when a connection was lost
MAX_FRAME_BYTES = 16 * 1024 * 1024

# At DEBUG the websockets library logs every frame it sends, the one with the key included.
quiet_log = logging.getLogger(__name__ + ".socket")
quiet_log.setLevel(logging.WARNING)


class Stream(ABC):
    """Keeps one market's symbols flowing. A provider says how to open, change and close its client, and what its messages mean.

    Parameters
    ----------
    provider              Its name, for logs and threads.
    market                'stocks' or 'options'.
    channels              What is subscribed for each symbol, in the provider's own words.
    place                 Where it connects to, as told to people.
    calendar              When silence is to be expected.
    """

    tick_channels: frozenset[str] = frozenset()  # channels that speak at every print or quote
    plan_advice = "upgrade the plan"

    def __init__(
        self,
        provider: str,
        market: str,
        channels: tuple[str, ...],
        listener: Listener,
        *,
        place: str,
        clock: Clock,
        calendar: SessionCalendar,
        times: StreamTimes,
        rng: np.random.Generator,
    ) -> None:
        self.market = market
        self.problem: SourceError | None = None  # why the feed is refused, while it is
        self._provider, self._place = provider, place
        self._channels = channels
        self._listener = listener
        self._clock, self._calendar, self._times, self._rng = clock, calendar, times, rng
        self._symbols: dict[str, int] = {}  # symbol -> market time it was asked for
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._said: tuple[FeedState, str] | None = None
        self._newest_event_ns = 0
        self._live_since_ns = 0  # market time since when this connection is live
        self._away_since_ns: int | None = None
        self._away_reason = ""
        self._trouble = ""  # how the connection before ended
        self._n_failures = 0
        self._mute_factor = 1.0
        self._mean_gap_s = 0.0  # between frames, forgetting slowly
        self._link = Link(0)

    # -- what a provider says --------------------------------------------------------------------------------------------------

    @abstractmethod
    def _open(self, symbols: tuple[str, ...]) -> asyncio.Future[Any]:
        """Make a client and let it connect and subscribe; return the task that ends with the connection."""

    @abstractmethod
    async def _close(self) -> None:
        """Close the client's socket, whatever state it is in; may raise and may hang."""

    @abstractmethod
    def _abort(self) -> None:
        """Cut the socket off without asking it, if there is one."""

    @abstractmethod
    def _change(self, wanted: tuple[str, ...]) -> None:
        """Tell the running client what is wanted now; `self._link.symbols` is what it was told before."""

    @abstractmethod
    def _on_status(self, status: Any) -> None:
        """Take what the server said about the connection itself."""

    @abstractmethod
    def _weigh_errors(self) -> tuple[End, str] | None:
        """Something was refused (`self._link.errors`): a verdict when the feed can't be used at all."""

    def _explain(self, error: BaseException) -> tuple[End, str] | None:  # noqa: ARG002
        """Return what a client's own exception means; None: the connection was lost."""
        return None

    def _missing(self) -> str:
        """Return what the plan does not deliver, as the rest of a sentence ('; …'), or ''."""
        return ""

    def _has_ticks(self) -> bool:
        """Return whether anything that speaks at every print or quote is subscribed."""
        return bool(self.tick_channels.intersection(self._channels))

    def _hide(self, text: str) -> str:
        """Return text without keys."""
        return text

    # -- from any thread ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; it connects as soon as a symbol is wanted."""
        if self._thread is None:
            self._is_stopping = False
            self._thread = threading.Thread(target=self._run, name=f"{self._provider}-{self.market}", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Close the connection and end the thread."""
        self._is_stopping = True
        self._nudge()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
            self._thread = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is subscribed."""
        with self._lock:
            return tuple(self._symbols)

    @property
    def undelivered(self) -> tuple[str, ...]:
        """What is subscribed and, as the server itself says, does not come."""
        return ()

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Want these too."""
        now_ns = self._clock.now_ns()
        with self._lock:
            for symbol in symbols:
                self._symbols.setdefault(symbol, now_ns)
        self._nudge()

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Want these no longer."""
        with self._lock:
            for symbol in symbols:
                self._symbols.pop(symbol, None)
        self._nudge()

    def _nudge(self) -> None:
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            with suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(wake.set)

    # -- the supervisor ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._supervise())
        except Exception:
            log.exception("%s %s: the connection's supervisor ended; restart the workbench", self._provider, self.market)
            self._say(FeedState.RECONNECTING, f"{self.market}: internal error in the connection; restart the workbench")

    async def _supervise(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        while not self._is_stopping:
            if not self.symbols:
                await self._sleep(None)
                continue
            try:
                end, why = await self._connect_once()
            except Exception as error:
                log.exception("%s %s: a connection could not be handled", self._provider, self.market)
                end, why = End.LOST, f"{self.market}: internal error in the connection ({type(error).__name__}); see the log"
            if end in (End.STOPPED, End.IDLE):
                continue
            if end is End.REFUSED:
                return
            self._note_lost(why)
            await self._pause_after(end, why)

    async def _pause_after(self, end: End, why: str) -> None:
        """Say what happened and wait before the next attempt."""
        link = self._link
        was_stable = link.first_data_at and (link.last_data_at - link.first_data_at) >= self._times.stable_s * NS_PER_S
        self._n_failures = 1 if was_stable else self._n_failures + 1
        if end is End.LIMIT:
            self._refuse(ConnectionLimitError(why))
            await self._sleep(self._times.limit_pause_s)
            return
        if end is End.MUTE:
            self._say(FeedState.STALE, why)
            if self._n_failures == 1:
                return
        growing = self._times.first_pause_s * 2.0 ** (min(self._n_failures, 16) - 1)
        pause = min(self._times.longest_pause_s, growing) * float(self._rng.uniform(0.5, 1.0))
        if self.problem is None and end is End.LOST:
            self._say(FeedState.RECONNECTING, f"{why}; trying again", note=f"in {pause:.1f} s, attempt {self._n_failures}")
        await self._sleep(pause)

    def _note_lost(self, why: str) -> None:
        """Remember since when events may be missing: one gap from the last good event to the first one after."""
        if self._away_since_ns is None:
            with self._lock:
                asked = min((asked_ns for asked_ns in self._symbols.values() if asked_ns), default=self._clock.now_ns())
            good_ns = max(self._newest_event_ns - MARGIN_NS, self._live_since_ns)
            self._away_since_ns = good_ns if good_ns > 0 else asked
            self._away_reason = why
        self._trouble = why
        self._live_since_ns = 0

    async def _sleep(self, seconds: float | None) -> None:
        """Wait, or until something is wanted while nothing was; a stop always ends it."""
        deadline = None if seconds is None else monotonic_ns() + int(seconds * NS_PER_S)
        while not self._is_stopping:
            left = None if deadline is None else (deadline - monotonic_ns()) / NS_PER_S
            if left is not None and left <= 0:
                return
            assert self._wake is not None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left)
                self._wake.clear()
                if deadline is None:
                    return

    # -- one connection --------------------------------------------------------------------------------------------------------

    async def _connect_once(self) -> tuple[End, str]:
        """Connect, stay until it ends, tidy up; return how it ended and a sentence about it."""
        link = self._link = Link(monotonic_ns())
        link.symbols = self.symbols
        self._live_since_ns = 0
        if self.problem is None:
            state = FeedState.CONNECTING if self._said is None else FeedState.RECONNECTING
            self._say(state, f"{self._trouble}; connecting again" if self._trouble else f"{self.market}: connecting to {self._place}")
        task = self._open(link.symbols)
        try:
            return await self._stay(task)
        finally:
            await self._tidy_up(task)

    async def _stay(self, task: asyncio.Future[Any]) -> tuple[End, str]:
        assert self._wake is not None
        while True:
            waker = asyncio.ensure_future(self._wake.wait())
            await asyncio.wait({task, waker}, timeout=self._times.look_s, return_when=asyncio.FIRST_COMPLETED)
            waker.cancel()
            self._wake.clear()
            ended = self._look(task)
            if ended is not None:
                return ended

    def _look(self, task: asyncio.Future[Any]) -> tuple[End, str] | None:
        """Decide whether this connection is over; otherwise bring its subscriptions up to date."""
        link, now = self._link, monotonic_ns()
        if self._is_stopping:
            return End.STOPPED, "stopped"
        if link.verdict is not None:
            return link.verdict
        if task.done():
            return self._how_it_ended(task)
        if not link.answered_at:
            if now - link.began_at > self._times.connect_s * NS_PER_S:
                return End.LOST, f"{self.market}: no answer from {self._place} for {self._times.connect_s:g} s (is the network up?)"
            return None
        verdict = self._settle(now)
        if verdict is not None:
            return verdict
        limit_s = self._mute_limit_s()
        silent_s = (now - max(link.last_data_at, link.answered_at)) / NS_PER_S
        if silent_s > limit_s:
            self._mute_factor = min(self._mute_factor * (1 if link.first_data_at else 2), self._times.longest_mute_s)
            return End.MUTE, f"{self.market}: connected, but silent for {silent_s:.0f} s while the market is open; connecting anew"
        return self._update_subscriptions()

    def _how_it_ended(self, task: asyncio.Future[Any]) -> tuple[End, str]:
        if self._link.verdict is not None:
            return self._link.verdict
        error = None if task.cancelled() else task.exception()
        if error is None:  # some clients return as if all were well on codes 1000 and 1001
            return End.LOST, f"{self.market}: the server closed the connection"
        meant = self._explain(error)
        return meant or (End.LOST, self._hide(f"{self.market}: connection lost ({type(error).__name__}: {error})"))

    async def _tidy_up(self, task: asyncio.Future[Any]) -> None:
        """End the client and its socket; a client may leave the socket open when it raises, and closing may hang."""
        task.cancel()
        await asyncio.wait({task}, timeout=self._times.close_s)
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that the loop does not complain
        try:
            await asyncio.wait_for(self._close(), self._times.close_s)
        except Exception:  # noqa: BLE001  whatever happens to a dying socket
            self._abort()

    def _update_subscriptions(self) -> tuple[End, str] | None:
        """Bring the running client up to date with what is wanted."""
        wanted, link = self.symbols, self._link
        if wanted == link.symbols:
            return None
        if not wanted:
            return End.IDLE, "nothing is subscribed"
        self._change(wanted)
        link.symbols = wanted
        return None

    # -- what comes in -----------------------------------------------------------------------------------------------------------

    def _hear(self, frame: str | bytes) -> None:
        """Take one frame of the running connection."""
        n_events, newest_ns, statuses = self._listener.on_frame(frame)
        for status in statuses:
            self._on_status(status)
        if n_events:
            self._note_data(newest_ns)

    def _note_data(self, newest_ns: int) -> None:
        """Market data came: the connection is alive."""
        link = self._link
        now = monotonic_ns()
        if link.last_data_at:
            self._mean_gap_s += 0.05 * ((now - link.last_data_at) / NS_PER_S - self._mean_gap_s)
        if not link.first_data_at:
            link.first_data_at = now
            self._mute_factor = 1.0
            self._back(newest_ns)
            self._become_live()
        link.last_data_at = now
        self._newest_event_ns = max(self._newest_event_ns, newest_ns)
        if self.problem is not None and now - link.first_data_at >= self._times.settle_s * NS_PER_S:
            self.problem = None
            self._become_live()

    def _welcome(self, symbols: Iterable[str]) -> None:
        """These are live now: tell the span from asking for them to having them."""
        now_ns = self._clock.now_ns()
        with self._lock:
            asked = {symbol: self._symbols[symbol] for symbol in symbols if self._symbols.get(symbol)}
            self._symbols.update(dict.fromkeys(asked, 0))
        late = {symbol: asked_ns for symbol, asked_ns in asked.items() if now_ns - asked_ns > NS_PER_S}
        if late and self._away_since_ns is None:
            self._listener.on_away(self.market, min(late.values()), now_ns, "before the subscription took effect", tuple(late))

    def _settle(self, now: int) -> tuple[End, str] | None:
        """After a while without refusal a connection is live; with refusals, find out what they mean."""
        link, wait_ns = self._link, self._times.settle_s * NS_PER_S
        if link.welcomed:
            welcomed, link.welcomed = link.welcomed, set()
            self._welcome(welcomed)
        if link.errors:
            return self._weigh_errors() if now - link.error_at >= wait_ns else None
        if isinstance(self.problem, ConnectionLimitError) and now - link.answered_at >= self._times.limit_pause_s * NS_PER_S:
            self.problem = None  # nobody threw this connection out for as long as the pause was
            link.is_settled = False
        if not link.is_settled and now - link.answered_at >= wait_ns and self.problem is None:
            link.is_settled = True
            self._back(0)
            self._welcome(self.symbols)
            self._become_live()
        return None

    # -- what is told ------------------------------------------------------------------------------------------------------------

    def _back(self, event_ns: int) -> None:
        """The feed is back: tell the span during which it was away, once."""
        if self._away_since_ns is None:
            return
        start, self._away_since_ns = self._away_since_ns, None
        end = max(event_ns, self._clock.now_ns(), start + 1)
        self._listener.on_away(self.market, start, end, self._away_reason, ())
        with self._lock:
            self._symbols = dict.fromkeys(self._symbols, 0)

    def _become_live(self) -> None:
        if self.problem is not None:
            return
        self._live_since_ns = self._live_since_ns or self._clock.now_ns()
        self._say(FeedState.LIVE, f"{self.market}: live{self._missing()}")

    def _refused_key(self, message: str) -> tuple[End, str]:
        why = f"{self.market}: the API key was refused ({self._hide(message)}); check it in your account's dashboard, then restart"
        self._refuse(AuthError(why))
        return End.REFUSED, why

    def _refused_plan(self, message: str) -> tuple[End, str]:
        said = self._hide(message)
        why = f"{self.market}: your plan does not include this live feed ({said}); {self.plan_advice}, then restart"
        self._refuse(AuthError(why))
        return End.REFUSED, why

    def _limit_sentence(self, message: str) -> str:
        said = f" ({message})" if message else ""
        return (
            f"{self.market}: another program uses the one connection your account may have{said}; close it there, "
            f"this one tries again every {self._times.limit_pause_s:g} s"
        )

    def _refuse(self, problem: SourceError) -> None:
        """Say once why the feed is refused; a refusal that goes on is not said again until data has flowed."""
        if type(self.problem) is type(problem):
            return
        self.problem = problem
        self._say(FeedState.REFUSED, str(problem))

    def _say(self, state: FeedState, reason: str, note: str = "") -> None:
        if self._said == (state, reason):
            return
        self._said = (state, reason)
        level = {FeedState.REFUSED: logging.ERROR, FeedState.STALE: logging.WARNING, FeedState.RECONNECTING: logging.WARNING}
        log.log(level.get(state, logging.INFO), "%s %s%s", self._provider, reason, f" {note}" if note else "")
        self._listener.on_state(self.market, state, reason, self.problem)

    # -- silence -----------------------------------------------------------------------------------------------------------------

    def _mute_limit_s(self) -> float:
        """Return how long silence may last now: by hours, by what is subscribed, by how densely data came so far."""
        times, segment = self._times, self._calendar.segment(self._clock.now_ns())
        if segment is Segment.CLOSED:
            return float("inf")
        if self.market == "options":
            limit = times.mute_options_s
        elif not self._has_ticks():
            limit = times.mute_minutes_s
        else:
            limit = times.mute_regular_s if segment is Segment.RTH else times.mute_extended_s
        expected = 30 * self._mean_gap_s
        return min(times.longest_mute_s, max(limit, expected) * self._mute_factor)
