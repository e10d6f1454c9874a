"""One websocket connection to one market, kept up by a supervisor around the vendor's own client.

The client ends on a clean close, storms back after an unclean one, waits without end on a dead host, swallows most statuses and
does not notice silence. So it runs here with `raw=True` and no reconnects of its own, one client per connection, with the whole
subscription list at construction; this file decides when to connect again, what a status means, and when silence is a fault.

Floor 2. A thread of its own with an event loop; calls its `Listener` from there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np

from workbench.clock import NS_PER_S, Clock, monotonic_ns
from workbench.errors import AuthError, ConnectionLimitError, SourceError
from workbench.sessions import Segment, SessionCalendar
from workbench.sources.base import FeedState
from workbench.sources.polygon.vendor import ApiKey, Vendor
from workbench.sources.polygon.wire import StatusEvent

log = logging.getLogger(__name__)

# At DEBUG the websockets library logs every frame it sends, the one with the key included.
_quiet = logging.getLogger(__name__ + ".socket")
_quiet.setLevel(logging.WARNING)

CHANNEL_NAMES = {"T": "trades", "Q": "quotes", "AM": "minute bars"}
MOST_OPTION_QUOTES = 1_000  # contracts per connection (provider's limit)
MARGIN_NS = 2 * NS_PER_S  # events this much older than the newest may have been under way when a connection was lost
MAX_FRAME_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """How long to wait for what, in real seconds.

    `settle_s`: a connection counts as live when data came, or when this long after authentication nothing was refused.
    `stable_s`: data has to flow this long before the pauses between attempts start small again.
    `limit_pause_s`: pause after "too many connections"; `mute_*_s`: silence that is a fault, by what can be expected.
    """

    connect_s: float = 15.0
    settle_s: float = 3.0
    stable_s: float = 30.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    limit_pause_s: float = 60.0
    close_s: float = 2.0
    look_s: float = 0.2
    mute_regular_s: float = 30.0
    mute_extended_s: float = 180.0
    mute_minutes_s: float = 180.0
    mute_options_s: float = 300.0
    longest_mute_s: float = 3600.0


class Listener(Protocol):
    """Who is told. Called from the stream's thread; must not raise."""

    def on_frame(self, frame: str | bytes) -> tuple[int, int, list[StatusEvent]]:
        """Take one frame; return (number of market events, newest event time [ns] or 0, statuses in it)."""

    def on_state(self, market: str, state: FeedState, reason: str, problem: SourceError | None) -> None:
        """Take a change of this connection's state."""

    def on_away(self, market: str, start_ns: int, end_ns: int, reason: str, symbols: tuple[str, ...]) -> None:
        """Take a span in which events may have been missed."""


class End(Enum):
    """Why a connection ended."""

    LOST = "lost"
    MUTE = "mute"
    REFUSED = "refused"
    LIMIT = "limit"
    STOPPED = "stopped"
    IDLE = "idle"  # nothing is subscribed any more


class _Ears:
    """Stands in for the client's json module: with `raw=True` the answer to the key is read through it and nowhere else."""

    def __init__(self, hear: Any) -> None:
        self._hear = hear

    dumps = staticmethod(json.dumps)

    def loads(self, text: str | bytes) -> Any:
        self._hear(text)
        return json.loads(text)


class Stream:
    """Keeps one market's symbols flowing.

    Parameters
    ----------
    market                'stocks' or 'options'.
    channels              Of 'T', 'Q', 'AM'.
    host, is_secure       Where to connect: 'socket.polygon.io', or any 'host:port'.
    calendar              When silence is to be expected.
    """

    def __init__(
        self,
        vendor: Vendor,
        key: ApiKey,
        market: str,
        channels: tuple[str, ...],
        listener: Listener,
        *,
        host: str,
        is_secure: bool,
        clock: Clock,
        calendar: SessionCalendar,
        times: StreamTimes,
        rng: np.random.Generator,
    ) -> None:
        self.market = market
        self.problem: SourceError | None = None  # why the feed is refused, while it is
        self._vendor, self._key = vendor, key
        self._channels = channels
        self._refused_channels: tuple[str, ...] = ()
        self._listener = listener
        self._host, self._is_secure = host, is_secure
        self._clock, self._calendar, self._times, self._rng = clock, calendar, times, rng
        self._symbols: dict[str, int] = {}  # symbol -> market time it was asked for
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._client: Any = None
        self._said: tuple[FeedState, str] | None = None
        self._newest_event_ns = 0
        self._live_since_ns = 0  # market time since when this connection is live
        self._away_since_ns: int | None = None
        self._away_reason = ""
        self._trouble = ""  # how the connection before ended
        self._n_failures = 0
        self._mute_factor = 1.0
        self._mean_gap_s = 0.0  # between frames, forgetting slowly
        self._link = _Link(0)

    # -- from any thread ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; it connects as soon as a symbol is wanted."""
        if self._thread is None:
            self._is_stopping = False
            self._thread = threading.Thread(target=self._run, name=f"polygon-{self.market}", daemon=True)
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
            log.exception("polygon %s: the connection's supervisor ended; restart the workbench", self.market)
            self._say(FeedState.RECONNECTING, f"{self.market}: internal error in the connection; restart the workbench")

    async def _supervise(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        while not self._is_stopping:
            if not self.symbols:
                await self._sleep(None)
                continue
            end, why = await self._connect_once()
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
        link = self._link = _Link(monotonic_ns())
        link.symbols = self.symbols
        self._live_since_ns = 0
        if self.problem is None:
            state = FeedState.CONNECTING if self._said is None else FeedState.RECONNECTING
            self._say(state, f"{self._trouble}; connecting again" if self._trouble else f"{self.market}: connecting to {self._host}")
        client = self._client = self._vendor.WebSocketClient(
            api_key=self._key.reveal(),
            feed=self._host,
            market=self.market,
            raw=True,
            subscriptions=self._topics(link.symbols),
            max_reconnects=0,
            secure=self._is_secure,
            custom_json=_Ears(self._hear_answer),
        )
        options = {"logger": _quiet, "max_size": MAX_FRAME_BYTES, "open_timeout": self._times.connect_s}
        task = asyncio.ensure_future(client.connect(self._on_frame, close_timeout=1, **options))
        try:
            return await self._stay(task)
        finally:
            self._client = None
            await self._tidy_up(task, client)

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
                return End.LOST, f"{self.market}: no answer from {self._host} for {self._times.connect_s:g} s (is the network up?)"
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
        if isinstance(error, self._vendor.AuthError):
            return self._refused_key(str(error))
        code = getattr(getattr(error, "rcvd", None), "code", None)
        if code == 1008:
            return End.LIMIT, self._limit_sentence("")
        if error is None:  # the client returns as if all were well on codes 1000 and 1001
            return End.LOST, f"{self.market}: the server closed the connection"
        return End.LOST, self._key.hide_in(f"{self.market}: connection lost ({type(error).__name__}: {error})")

    async def _tidy_up(self, task: asyncio.Future[Any], client: Any) -> None:
        """End the client and its socket; the client leaves the socket open when it raises, and closing may hang."""
        task.cancel()
        await asyncio.wait({task}, timeout=self._times.close_s)
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that the loop does not complain
        socket = client.websocket
        if socket is not None:
            try:
                await asyncio.wait_for(socket.close(), self._times.close_s)
            except Exception:  # noqa: BLE001  whatever happens to a dying socket
                socket.transport.abort()

    def _topics(self, symbols: Iterable[str]) -> list[str]:
        """Return the subscriptions of these symbols: always single symbols, never X.* (the client mistakes A.* for AM.*)."""
        symbols = tuple(symbols)
        topics = []
        for channel in self._channels:
            if channel in self._refused_channels:
                continue
            wanted = symbols
            if self.market == "options" and channel == "Q" and len(symbols) > MOST_OPTION_QUOTES:
                wanted = symbols[:MOST_OPTION_QUOTES]
                log.warning("polygon options: quotes of %d contracts wanted, %d allowed", len(symbols), MOST_OPTION_QUOTES)
            topics += [f"{channel}.{symbol}" for symbol in wanted]
        return topics

    def _update_subscriptions(self) -> tuple[End, str] | None:
        """Tell the running client what is wanted now; the client acts on it within a second."""
        wanted, link = self.symbols, self._link
        if wanted == link.symbols:
            return None
        if not wanted:
            return End.IDLE, "nothing is subscribed"
        held, now_wanted = set(self._topics(link.symbols)), set(self._topics(wanted))
        if now_wanted - held:
            self._client.subscribe(*sorted(now_wanted - held))
        if held - now_wanted:
            self._client.unsubscribe(*sorted(held - now_wanted))
        link.symbols = wanted
        return None

    # -- what comes in -----------------------------------------------------------------------------------------------------------

    def _hear_answer(self, text: str | bytes) -> None:
        """Read statuses that only the client sees: the greeting (massive) and the answer to the key."""
        _, _, statuses = self._listener.on_frame(text)
        for status in statuses:
            self._on_status(status)
        if any(status.status not in ("connected", "auth_failed") for status in statuses):
            self._link.answered_at = self._link.answered_at or monotonic_ns()

    async def _on_frame(self, frame: str | bytes) -> None:
        n_events, newest_ns, statuses = self._listener.on_frame(frame)
        link = self._link
        for status in statuses:
            self._on_status(status)
        if not n_events:
            return
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

    def _on_status(self, status: StatusEvent) -> None:
        link, message = self._link, self._key.hide_in(status.message)
        if status.status in ("connected", "auth_success"):
            return
        if status.status == "success":
            topics = [topic.strip() for topic in message.rpartition(":")[2].split(",")]
            if message.startswith("subscribed"):
                link.accepted.update(topics)
                link.welcomed.update(topic.partition(".")[2] for topic in topics)
        elif status.status == "auth_failed":
            link.verdict = self._refused_key(message)
        elif status.status == "max_connections":
            link.verdict = End.LIMIT, self._limit_sentence(message)
        elif status.status == "error":
            link.errors.append(message)
            link.error_at = monotonic_ns()
        else:
            log.warning("polygon %s: the server says %s: %s", self.market, status.status, message)
            if status.status in ("auth_timeout", "force_disconnect"):
                link.verdict = End.LOST, f"{self.market}: the server ends the connection ({status.status}: {message})"

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

    def _weigh_errors(self) -> tuple[End, str] | None:
        """Subscriptions were refused: go on with the channels that were not; a verdict when none is left."""
        link = self._link
        said, link.errors = "; ".join(dict.fromkeys(link.errors)), []
        accepted = {topic.partition(".")[0] for topic in link.accepted}
        is_plan = any(word in said.lower() for word in ("access", "entitle", "upgrade", "agreement"))
        if not link.first_data_at and (is_plan or not accepted):
            return self._refused_plan(said)
        if not accepted:  # data flows, so something was accepted without saying so
            log.warning("polygon %s: the server says: %s", self.market, said)
            return None
        self._refused_channels += tuple(channel for channel in self._channels if channel not in {*accepted, *self._refused_channels})
        log.warning("polygon %s: the server refused part: %s", self.market, said)
        if link.is_settled or link.first_data_at:
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
        missing = f"; the plan does not include {_listed(self._refused_channels)}" if self._refused_channels else ""
        self._say(FeedState.LIVE, f"{self.market}: live{missing}")

    def _refused_key(self, message: str) -> tuple[End, str]:
        message = self._key.hide_in(message)
        if "plan" in message.lower() or "access" in message.lower():
            return self._refused_plan(message)
        why = f"{self.market}: the API key was refused ({message}); check it in your account's dashboard, then restart"
        self._refuse(AuthError(why))
        return End.REFUSED, why

    def _refused_plan(self, message: str) -> tuple[End, str]:
        why = f"{self.market}: your plan does not include this live feed ({message}); try feed='delayed' or upgrade the plan, then restart"
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
        log.log(level.get(state, logging.INFO), "polygon %s%s", reason, f" {note}" if note else "")
        self._listener.on_state(self.market, state, reason, self.problem)

    # -- silence -----------------------------------------------------------------------------------------------------------------

    def _mute_limit_s(self) -> float:
        """Return how long silence may last now: by hours, by what is subscribed, by how densely data came so far."""
        times, segment = self._times, self._calendar.segment(self._clock.now_ns())
        if segment is Segment.CLOSED:
            return float("inf")
        has_ticks = any(channel in ("T", "Q") and channel not in self._refused_channels for channel in self._channels)
        if self.market == "options":
            limit = times.mute_options_s
        elif not has_ticks:
            limit = times.mute_minutes_s
        else:
            limit = times.mute_regular_s if segment is Segment.RTH else times.mute_extended_s
        expected = 30 * self._mean_gap_s
        return min(times.longest_mute_s, max(limit, expected) * self._mute_factor)


class _Link:
    """What is known of one connection. Times are stopwatch readings [ns], 0 = not yet."""

    def __init__(self, began_at: int) -> None:
        self.began_at = began_at
        self.answered_at = 0  # the key was accepted
        self.first_data_at = 0
        self.last_data_at = 0
        self.is_settled = False
        self.symbols: tuple[str, ...] = ()
        self.accepted: set[str] = set()
        self.welcomed: set[str] = set()  # symbols accepted since the last look
        self.errors: list[str] = []
        self.error_at = 0
        self.verdict: tuple[End, str] | None = None


def _listed(channels: Iterable[str]) -> str:
    return ", ".join(CHANNEL_NAMES.get(channel, channel) for channel in channels)
