"""The simulated market as a source: always open for business, no keys, no network, the same for everyone with the same seed.

It has its own time. By default the market's present moment starts at 10:15 New York of the last session day before now, with
all earlier minutes in `history`, and runs at `speed` market seconds per real second. Ten minutes after the close it hurries
(about two real seconds) to a quarter of an hour before the next open. Floor 2; `simulation/` draws, this file only paces.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Literal

from workbench.clock import NS_PER_MIN, Clock, ReplayClock, WallClock
from workbench.errors import CalendarError, ConfigError, choices
from workbench.sessions import SessionCalendar, to_ny
from workbench.sources.base import FeedGap, FeedState, FeedStatus, History, Sink, SourceInfo
from workbench.sources.simulation.core import Batch, SimulatedCore
from workbench.sources.simulation.market import HISTORY_SESSIONS, SEEK_AHEAD, Faults, Market
from workbench.sources.simulation.options import OptionMarket
from workbench.sources.simulation.pace import FRAME_S, Pace, awake_ns, default_start_ns
from workbench.sources.simulation.universe import DEFAULT_SYMBOLS

if TYPE_CHECKING:
    from workbench.options.chain import Chain

log = logging.getLogger(__name__)

MOST_CONTRACTS = 1000
SEEK_BACK = 60  # sessions before the start that can be sought


class SimulatedSource:
    """Implements `Source`, `ChainSource` and `PlaybackControl`.

    Parameters
    ----------
    symbols : the market's first symbols; those of `simulation.universe.TABLE` are known as well.
    seed : decides every price. speed : market seconds per real second, 0.1 to 1000.
    clock : the clock that this source moves (default: one of its own). calendar : default the NYSE's.
    start_ns : the market's first moment [ns UTC]. today : read once, to choose the default start.
    faults : how often ticks are bad, the feed is away, trading halts. after_close : 'next' hurries to the next session, 'stay' waits.
    """

    def __init__(
        self,
        symbols: Iterable[str] = DEFAULT_SYMBOLS,
        *,
        seed: int = 7,
        speed: float = 1.0,
        clock: ReplayClock | None = None,
        calendar: SessionCalendar | None = None,
        start_ns: int | None = None,
        today: Clock | None = None,
        faults: Faults | None = None,
        after_close: Literal["next", "stay"] = "next",
    ) -> None:
        if after_close not in ("next", "stay"):
            raise ConfigError(f"after_close: received {choices(after_close, ('next', 'stay'))}")
        self.market = Market(symbols, seed=seed, calendar=calendar, faults=faults)
        self._options = OptionMarket(self.market)
        self._calendar = self.market.calendar
        self._pace = Pace(self._calendar, speed, hurries=after_close == "next")
        start = default_start_ns(self._calendar, (today or WallClock()).now_ns()) if start_ns is None else int(start_ns)
        self._home = self._calendar.latest(start)
        self.clock = clock if clock is not None else ReplayClock()
        self.clock.seek(start)
        self._info = SourceInfo(
            "simulated",
            f"SIMULATED market, seed {seed}, {speed:g}×",
            is_replay=self._pace.speed != 1.0,
            symbols=self.market.symbols,
            has_chains=True,
        )
        self._paused = False
        self._wanted: dict[str, None] = {}  # symbols subscribed, in order
        self._sink: Sink | None = None
        self._core: SimulatedCore | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.RLock()

    # -- Source ------------------------------------------------------------------------------------------------------------

    @property
    def info(self) -> SourceInfo:
        """What this source can do. `is_replay` when it was made with a speed other than 1: screens then show playback controls."""
        return self._info

    def start(self, sink: Sink) -> None:
        """Begin to deliver; returns at once. Starting twice is an error of the caller."""
        with self._lock:
            if self._thread is not None:
                raise RuntimeError("SimulatedSource.start: received a second start; allowed: one, then stop")
            self._sink = sink
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="simulated-source", daemon=True)
            self._say_state()
            self._open_core()
            self._thread.start()

    def stop(self) -> None:
        """End the thread; harmless when not started."""
        thread = self._thread
        self._stopping.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._lock:
            self._thread = self._core = None

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Deliver these too, from the start of the present minute; SymbolError (and none added) when one is unknown."""
        names = list(symbols)
        for symbol in names:
            if symbol.startswith("O:"):
                self._options.contract(symbol)
            else:
                self.market.facts(symbol)
        with self._lock:
            self._wanted |= dict.fromkeys(names)
            if self._core is not None:
                self._core.subscribe(names)
                self._deliver(self._core.now_ns)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop delivering these."""
        with self._lock:
            for symbol in list(symbols):
                self._wanted.pop(symbol, None)
                if self._core is not None:
                    self._core.unsubscribe((symbol,))

    def history(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return the closed minute bars of the range, drawn when first asked for; two years back from the start are available."""
        now_ns = self.clock.now_ns()
        sessions = self._calendar.sessions
        first_ns = int(sessions["pre_open"][max(0, self._home - HISTORY_SESSIONS)])
        of = self._options if symbol.startswith("O:") else self.market
        rows = of.history(symbol, max(start_ns, first_ns), min(end_ns, now_ns))
        rows = rows[rows["ts_close"] <= now_ns]
        note = f"simulated from {to_ny(first_ns):%Y-%m-%d} on; drawn from the seed, so nothing can be missing"
        return History(rows, is_complete=True, note=note)

    # -- ChainSource -------------------------------------------------------------------------------------------------------

    @property
    def most_contracts(self) -> int:
        """How many option contracts are delivered at once: a bound for the sake of this machine."""
        return MOST_CONTRACTS

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates listed and not over, ascending; SymbolError for a symbol that is not in the market."""
        return self._options.expiries(underlying, self.clock.now_ns())

    def chain(self, underlying: str, expiry: date) -> Chain:
        """Return every contract of one expiry as of now; without rows when the date is not listed."""
        return self._options.chain(underlying, expiry, self.clock.now_ns())

    # -- PlaybackControl ---------------------------------------------------------------------------------------------------

    @property
    def speed(self) -> float:
        """Market seconds per real second."""
        return self._pace.speed

    @property
    def is_paused(self) -> bool:
        """True while the market stands still."""
        return self._paused

    @property
    def span(self) -> tuple[int, int]:
        """First and last moment that can be sought [ns UTC]: sixty sessions back from the start, twenty ahead."""
        sessions = self._calendar.sessions
        first, last = max(0, self._home - SEEK_BACK), min(len(sessions) - 1, self._home + SEEK_AHEAD)
        return int(sessions["pre_open"][first]), max(int(sessions["post_close"][last]), self.clock.now_ns())

    def play(self) -> None:
        """Go on."""
        with self._lock:
            self._paused = False
            self._pace.resume(self.clock.now_ns())
            self._say_state()

    def pause(self) -> None:
        """Stand still."""
        with self._lock:
            self._paused = True
            self._say_state()

    def set_speed(self, speed: float) -> None:
        """Change the speed; ConfigError outside 0.1 to 1000."""
        with self._lock:
            self._pace.resume(self.clock.now_ns(), speed)

    def seek(self, ts_ns: int) -> None:
        """Go to a moment, forwards or back. The sink is told to forget; the stream goes on from the start of that minute."""
        first, last = self.span
        if not first <= ts_ns <= last:
            allowed = f"{to_ny(first).isoformat()} to {to_ny(last).isoformat()}"
            raise CalendarError(f"seek: received {to_ny(ts_ns).isoformat()}; allowed: {allowed}")
        with self._lock:
            self.clock.seek(ts_ns)
            if self._sink is None or self._core is None:
                return
            self._sink.on_reset(f"moved to {to_ny(ts_ns):%Y-%m-%d %H:%M:%S} New York")
            self._say_state()
            self._open_core()

    def step(self, what: str = "bar") -> None:
        """Advance to the end of the present minute ('bar') or by one arrival ('event'), then stand still."""
        if what not in ("bar", "event"):
            raise ConfigError(f"step: received {choices(what, ('bar', 'event'))}")
        with self._lock:
            if self._core is None:
                return
            now_ns = awake_ns(self._calendar, self._core.now_ns)
            bar_end = (now_ns // NS_PER_MIN + 1) * NS_PER_MIN
            target = bar_end if what == "bar" else self._core.next_event_ns(bar_end)
            self._deliver(target)
            if not self._paused:
                self.pause()

    # -- pace --------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(FRAME_S):
            try:
                with self._lock:
                    if not self._paused and not self._advance():
                        return
            except Exception as error:
                log.exception("the simulated market stopped")
                self._tell(FeedStatus(FeedState.ENDED, f"the simulated market stopped: {error!r}", self.clock.now_ns()))
                return

    def _advance(self) -> bool:
        """Deliver one frame; False at the end of the calendar."""
        if self._core is None:
            return False
        now_ns = self._core.now_ns
        if now_ns >= self._calendar.span[1]:
            self._tell(FeedStatus(FeedState.ENDED, "the trading calendar ends here; seek back to go on", now_ns))
            return False
        self._deliver(self._pace.target(now_ns))
        self._pace.passed(now_ns, self._core.now_ns)
        return True

    def _deliver(self, ts_ns: int) -> None:
        """Give the sink everything that arrives up to `ts_ns`, moving the clock along."""
        if self._core is None:
            return
        for batch in self._core.until(ts_ns):
            self.clock.advance_to(batch.ts_ns)
            self._hand_over(batch)

    def _hand_over(self, batch: Batch) -> None:
        sink = self._sink
        if sink is None:
            return
        if len(batch.trades):
            sink.on_trades(batch.trades)
        if len(batch.quotes):
            sink.on_quotes(batch.quotes)
        for notice in batch.notices:
            if isinstance(notice, FeedGap):
                sink.on_gap(notice)
            else:
                sink.on_status(notice)
        sink.on_time(batch.ts_ns)

    def _open_core(self) -> None:
        if self._sink is None:
            return
        self._core = SimulatedCore(self.market, self._sink.symbols, self.clock.now_ns(), self._options)
        self._core.subscribe(self._wanted)
        self._deliver(self._core.now_ns)
        self._pace.restart(self.clock.now_ns())

    def _say_state(self) -> None:
        state = FeedState.PAUSED if self._paused else FeedState.LIVE
        self._tell(FeedStatus(state, self._info.detail, self.clock.now_ns()))

    def _tell(self, status: FeedStatus) -> None:
        if self._sink is not None:
            self._sink.on_status(status)
