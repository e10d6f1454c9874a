"""A recorded market as a source: told again in its own time, at any speed, from any moment, and never a moment ahead of its clock.

Prints and quotes are told in the order of their stamps, bars when they close; after each batch the sink is told the moment reached.
The tape is cut into batches on a grid of market time (one frame of `FRAME_S` at the present speed), not by how fast this
machine happens to be, so two replays make the same calls. When the sink is slow the replay waits: its calls block, or time
simply goes on later. Silence of more than half an hour (nights, weekends) is skipped.

In a recording of bars alone nothing is known of a minute before it closes, so nothing is told: no forming bar is made up.

Floor 2. One thread of its own; commands (`seek`, `step`, …) act at once on the caller's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_S, ReplayClock, monotonic_ns
from workbench.errors import CalendarError, ConfigError, SymbolError, choices
from workbench.history.recorded_chains import RecordedChains
from workbench.history.schema import ReadOptions
from workbench.history.store import BarStore
from workbench.sessions import SessionCalendar, to_ny
from workbench.sources.base import FeedGap, FeedState, FeedStatus, History, Sink, SourceInfo
from workbench.sources.tape import Tape, read_tape
from workbench.types import BAR_DTYPE, SymbolTable

if TYPE_CHECKING:
    from workbench.options.chain import Chain

log = logging.getLogger(__name__)

FRAME_S = 0.05  # real seconds between batches
SLOWEST, FASTEST = 0.1, 1000.0
YIELD_S = 0.001
MAX_BEHIND_S = 0.5  # later than this, the replay goes on from where it stands instead of catching up
SILENCE_NS = 30 * NS_PER_MIN  # a pause in the tape longer than this is skipped …
LEAD_NS = NS_PER_S  # … to this long before the next event
SETTLE_NS = 90 * NS_PER_S  # told after the last event, so that the last minute closes whatever its grace

MinutesOf = Callable[[np.ndarray], np.ndarray]


class ReplaySource:
    """Implements `Source`, `PlaybackControl` and, where the recording holds chains, `ChainSource`.

    Parameters
    ----------
    paths : a file, a folder, or several: .parquet, .csv, .csv.gz, or the folder of a `BarStore`.
    speed : market seconds per real second, 0.1 to 1000.
    start_ns : where the replay stands at first [ns UTC]; what its day had brought before is told at once. Default: the open of the
        first regular session; in a recording of bars alone the open of the last one, the earlier ones being history.
    end_ns : where it ends. symbols : play only these. options : how to read the files.
    minutes : 1-minute bars of one symbol's prints (`hub.bars` has them); with it, earlier days' prints are served as history.
    store : where bars from before the recording are looked for. clock : the clock that this source moves.
    """

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        speed: float = 1.0,
        start_ns: int | None = None,
        end_ns: int | None = None,
        symbols: Iterable[str] | None = None,
        options: ReadOptions | None = None,
        minutes: MinutesOf | None = None,
        store: BarStore | None = None,
        clock: ReplayClock | None = None,
        calendar: SessionCalendar | None = None,
    ) -> None:
        self.tape = read_tape(paths, options, symbols)
        self._calendar = calendar or SessionCalendar.xnys()
        self._chains = RecordedChains(_listed(paths), self._calendar)
        self._minutes, self._store = minutes, store
        self._built: dict[str, np.ndarray] = {}  # symbol -> bars of its prints, made when first asked for
        self._told_from: dict[str, int] = {}  # symbol -> since when its prints are told [ns]; before, they are history
        self._speed = _checked_speed(speed)
        first, last = self.tape.span
        self._span = (first, -(-last // NS_PER_MIN) * NS_PER_MIN + SETTLE_NS if end_ns is None else int(end_ns))
        self._now = self._opening() if start_ns is None else int(start_ns)
        self._check_moment("start_ns", self._now)
        self.clock = clock if clock is not None else ReplayClock()
        self.clock.seek(self._now)
        self._info = self._describe(paths)
        self._wanted: dict[str, None] = {}  # symbols subscribed, in order
        self._reel = Tape(SymbolTable())  # the events of these, in the sink's ids
        self._sink: Sink | None = None
        self._thread: threading.Thread | None = None
        self._is_paused = self._is_stopping = False
        self._at = _Place()
        self._changed = threading.Condition(threading.RLock())
        self._building = threading.Lock()  # of its own: history is asked for while the sink lets the replay wait
        self._anchor = (0, 0)  # (monotonic ns, market ns) from which the pace is counted
        for note in self.tape.notes:
            log.info("replay: %s", note)

    def _describe(self, paths: str | Path | Iterable[str | Path]) -> SourceInfo:
        listed = _listed(paths)
        names = ", ".join(p.name for p in listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
        detail = f"{names}, {to_ny(self._span[0]):%Y-%m-%d} to {to_ny(self._span[1]):%Y-%m-%d}"
        ticks, quotes = len(self.tape.trades) > 0, len(self.tape.quotes) > 0
        return SourceInfo(
            "replay", detail, has_trades=ticks, has_quotes=quotes, is_replay=True,
            symbols=tuple(self.tape.symbols), has_chains=bool(self._chains), bar_lengths_ns=self._long_bars(),
        )  # fmt: skip

    def _long_bars(self) -> dict[str, int]:
        """Return the length of the bars of each symbol of which nothing shorter was recorded, no print either."""
        printed = {self.tape.symbols.name(int(symbol_id)) for symbol_id in np.unique(self.tape.trades["symbol_id"])}
        return {symbol: length for symbol, length in self.tape.bar_lengths_ns.items() if symbol not in printed}

    def _opening(self) -> int:
        """Return where a replay stands at first: see the class."""
        first, last = self.tape.span
        has_ticks = len(self.tape.trades) or len(self.tape.quotes)
        row = self._calendar.sessions[self._calendar.latest(first if has_ticks else last - 1)]
        return max(first, int(row["open"])) if int(row["open"]) < last else first

    # -- Source ------------------------------------------------------------------------------------------------------------

    @property
    def info(self) -> SourceInfo:
        """What this source can do."""
        return self._info

    def start(self, sink: Sink) -> None:
        """Tell what the day had brought before the start at full speed, then begin to play; returns at once. Harmless when started."""
        with self._changed:
            if self._thread is not None:
                return
            self._sink = sink
            self._is_stopping = False
            self._select()
            self._say_state()
            self._tell_again(self._now)
            self._thread = threading.Thread(target=self._run, name="replay-source", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop delivering and end the thread; harmless when not started."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._is_stopping = True
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._changed:
            self._sink = None

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Deliver these too, from the start of the present minute; SymbolError (and none added) for one that was not recorded."""
        names = list(symbols)
        for symbol in names:
            self._check_symbol(symbol)
        with self._changed:
            fresh = [symbol for symbol in names if symbol not in self._wanted]
            self._wanted |= dict.fromkeys(fresh)
            if self._sink is not None and fresh:
                self._finish_stamp()
                self._reel = self.tape.only(fresh, self._sink.symbols)
                minute = self._now // NS_PER_MIN * NS_PER_MIN
                self._at = _Place.after(self._reel, minute - 1)
                self._told_from |= dict.fromkeys(fresh, minute)
                self._tell_to(self._now)
                self._select()

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop delivering these."""
        with self._changed:
            for symbol in list(symbols):
                self._wanted.pop(symbol, None)
                self._told_from.pop(symbol, None)
            if self._sink is not None:
                self._finish_stamp()
                self._select()

    def history(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return the recorded minutes of the range that have closed by now; older ones come from the store.

        Prints from before they were told (earlier days, or a symbol that was subscribed late) are served as minutes, when `minutes`
        was given; those being told are the feed's alone, so that a minute is not known here before its late prints are in.
        """
        self._check_symbol(symbol)
        now_ns = self.clock.now_ns()
        recorded, built = self.tape.bars_of(symbol), self._built_minutes(symbol)
        built = built[built["ts_open"] < self._told_from.get(symbol, now_ns)]
        rows = np.concatenate([recorded, built[~np.isin(built["ts_open"], recorded["ts_open"])]])
        rows = rows[np.argsort(rows["ts_open"], kind="stable")]
        first = self.tape.span[0]
        if self._store is not None and start_ns < first:
            rows = np.concatenate([self._store.read(symbol, start_ns, first // NS_PER_MIN * NS_PER_MIN), rows])
        rows = rows[(rows["ts_open"] >= start_ns) & (rows["ts_open"] < end_ns)]
        note = f"all that was recorded, from {to_ny(first):%Y-%m-%d %H:%M} New York on"
        return History(rows[rows["ts_close"] <= now_ns], is_complete=True, note=note)

    def _built_minutes(self, symbol: str) -> np.ndarray:
        """Return the bars of all of a symbol's prints, whatever the clock says; none without the means to build them."""
        if self._minutes is None:
            return np.zeros(0, BAR_DTYPE)
        with self._building:
            if symbol not in self._built:
                trades = self.tape.trades_of(symbol)
                self._built[symbol] = self._minutes(trades) if len(trades) else np.zeros(0, BAR_DTYPE)
            return self._built[symbol]

    # -- ChainSource -------------------------------------------------------------------------------------------------------

    @property
    def most_contracts(self) -> int:
        """None beyond those that are subscribed: a recorded chain is told as its snapshots."""
        return 0

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates of the chains recorded on the present day up to now, ascending."""
        return self._chains.expiries(underlying, self.clock.now_ns())

    def chain(self, underlying: str, expiry: date) -> Chain:
        """Return the newest recorded snapshot of an expiry, without rows when there is none; FileError for a damaged file."""
        return self._chains.chain(underlying, expiry, self.clock.now_ns())

    # -- PlaybackControl ---------------------------------------------------------------------------------------------------

    @property
    def speed(self) -> float:
        """Market seconds per real second."""
        return self._speed

    @property
    def is_paused(self) -> bool:
        """True while standing still, at the end too."""
        return self._is_paused

    @property
    def span(self) -> tuple[int, int]:
        """First and last moment that can be sought [ns UTC]."""
        return self._span

    def play(self) -> None:
        """Go on."""
        with self._changed:
            self._is_paused = self._now >= self._span[1]
            self._keep_pace_from_now()
            self._say_state()

    def pause(self) -> None:
        """Stand still."""
        with self._changed:
            self._is_paused = True
            self._say_state()

    def set_speed(self, speed: float) -> None:
        """Change the speed; ConfigError outside 0.1 to 1000."""
        checked = _checked_speed(speed)
        with self._changed:
            self._speed = checked
            self._keep_pace_from_now()
            self._say_state()

    def seek(self, ts_ns: int) -> None:
        """Go to a moment at full speed: forwards on from here, backwards by telling everything again. CalendarError outside `span`."""
        ts_ns = int(ts_ns)
        self._check_moment("seek", ts_ns)
        with self._changed:
            forwards = ts_ns >= self._now
            if self._sink is None or (not forwards):
                self._now = ts_ns
                self.clock.seek(ts_ns)
            if self._sink is not None:
                if forwards:
                    self._hurry_to(ts_ns)
                else:
                    self._sink.on_reset(f"moved to {to_ny(ts_ns):%Y-%m-%d %H:%M:%S} New York")
                    self._tell_again(ts_ns)
            self._is_paused |= ts_ns >= self._span[1]
            self._keep_pace_from_now()
            self._say_state()

    def step(self, what: str = "bar") -> None:
        """Advance by one event, or to the end of the present minute ('bar'; of the next one with an event after a silence); stand still."""
        if what not in ("bar", "event"):
            raise ConfigError(f"step: received {choices(what, ('bar', 'event'))}")
        with self._changed:
            self._is_paused = True
            if self._sink is not None:
                self._step_event() if what == "event" else self._step_bar()
            self._say_state()

    def _step_event(self) -> None:
        told = self._at.next_of(self._reel)
        if told is None:
            self._tell_to(self._span[1])
            return
        ts, kind = told
        self._now = max(self._now, ts)
        self.clock.advance_to(self._now)
        self._deliver(kind, 1)
        self._on_time()

    def _step_bar(self) -> None:
        end = (self._now // NS_PER_MIN + 1) * NS_PER_MIN
        told = self._at.next_of(self._reel)
        if told is None:
            end = self._span[1]
        elif told[0] - end > SILENCE_NS:
            end = -(-told[0] // NS_PER_MIN) * NS_PER_MIN
        self._tell_to(min(end, self._span[1]))

    # -- telling -----------------------------------------------------------------------------------------------------------

    def _select(self) -> None:
        """Take the events of the subscribed symbols, standing behind everything told so far."""
        if self._sink is not None:
            self._reel = self.tape.only(self._wanted, self._sink.symbols)
            self._at = _Place.after(self._reel, self._now)

    def _finish_stamp(self) -> None:
        """Tell what is left of the present instant after single steps, so that the place is a moment again."""
        self._tell_to(self._now)

    def _tell_again(self, ts_ns: int) -> None:
        """Tell everything from the origin of `ts_ns` to it."""
        origin = self._origin(ts_ns)
        self._told_from = dict.fromkeys(self._wanted, origin // NS_PER_MIN * NS_PER_MIN)
        self._now = origin - 1
        self._at = _Place.after(self._reel, self._now)
        self._hurry_to(ts_ns)

    def _origin(self, ts_ns: int) -> int:
        """Return where telling has to begin for a moment: its day when all before can be had as history, else the recording's start."""
        first = self._span[0]
        if self._minutes is None and (len(self.tape.trades) or len(self.tape.quotes)):
            return first
        return max(first, int(self._calendar.sessions["pre_open"][self._calendar.latest(ts_ns)]))

    def _hurry_to(self, ts_ns: int) -> None:
        """Tell everything up to `ts_ns` at once, minute by minute where there are prints or quotes."""
        after = self._now
        for end in self._at.minutes_ahead(self._reel):
            if end >= ts_ns:
                break
            if end > after:
                self._tell_to(int(end))
        self._tell_to(ts_ns)

    def _tell_to(self, ts_ns: int) -> None:
        """Tell the events up to and including `ts_ns`, then the moment."""
        self._now = ts_ns
        self.clock.advance_to(ts_ns)
        for kind, n in self._at.until(self._reel, ts_ns):
            self._deliver(kind, n)
        self._on_time()

    def _deliver(self, kind: str, n: int) -> None:
        """Hand the next `n` events of one kind to the sink."""
        sink, place = self._sink, self._at
        if sink is None:
            return
        begin = getattr(place, kind)
        setattr(place, kind, begin + n)
        rows = getattr(self._reel, kind)[begin : begin + n].copy()
        if kind == "gaps":
            self._tell_gaps(sink, rows)
        elif kind == "trades":
            sink.on_trades(rows)
        elif kind == "quotes":
            sink.on_quotes(rows)
        else:
            ids = self._reel.bar_ids[begin : begin + n]
            for symbol_id in np.unique(ids):
                mine = rows[ids == symbol_id]
                for origin in np.unique(mine["source"]):  # a hub takes each minute once from a batch
                    sink.on_bars(sink.symbols.name(int(symbol_id)), mine[mine["source"] == origin])

    @staticmethod
    def _tell_gaps(sink: Sink, rows: np.ndarray) -> None:
        """Tell what the recording does not hold, as it was told (or would have been) of the feed."""
        for row in rows:
            symbol, start_ns, why = sink.symbols.name(int(row["symbol_id"])), int(row["start"]), str(row["why"])
            if row["is_correction"]:
                sink.on_correction(symbol, start_ns, why)
            else:
                sink.on_gap(FeedGap(start_ns, int(row["end"]), why, (symbol,)))

    def _on_time(self) -> None:
        if self._sink is not None:
            self._sink.on_time(self._now)

    def _say_state(self) -> None:
        """Tell the sink where the replay stands, and wake the thread."""
        self._changed.notify_all()
        if self._sink is None:
            return
        when = f"{to_ny(self._now):%Y-%m-%d %H:%M:%S} New York"
        if self._now >= self._span[1]:
            status = FeedStatus(FeedState.ENDED, f"the recording ends here ({when}); seek back to see it again", self._now)
        elif self._is_paused:
            status = FeedStatus(FeedState.PAUSED, f"replay paused at {when}", self._now)
        else:
            status = FeedStatus(FeedState.LIVE, f"replaying {self._info.detail} at {self._speed:g}×", self._now)
        self._sink.on_status(status)

    # -- pace --------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep_pace_from_now()
            while self._play_frame():
                pass
        except Exception as error:  # the desk has to see that the replay died, not a frozen chart
            log.exception("the replay stopped")
            if self._sink is not None:
                self._sink.on_status(FeedStatus(FeedState.ENDED, f"the replay stopped: {error!r}", self._now))

    def _play_frame(self) -> bool:
        """Wait until the next frame is due and tell it; False when stopped."""
        with self._changed:
            if self._is_stopping:
                return False
            if self._is_paused:
                self._changed.wait()
                return True
            target = self._next_frame()
            real, market = self._anchor
            wait_s = (real - monotonic_ns()) / NS_PER_S + (target - market) / (self._speed * NS_PER_S)
            if wait_s > 0:
                self._changed.wait(wait_s)  # a command in between changes what is due: look again
                return True
            if wait_s < -MAX_BEHIND_S:
                self._keep_pace_from_now()
            self._tell_to(target)
            self._skip_silence()
            if self._now >= self._span[1]:
                self._is_paused = True
                self._say_state()
            if wait_s <= 0:
                self._changed.wait(YIELD_S)  # behind: let commands have the lock, which this thread would take again at once
            return True

    def _next_frame(self) -> int:
        """Return the end of the present frame on the grid of market time."""
        frame_ns = max(1, int(FRAME_S * self._speed * NS_PER_S))
        return min((self._now // frame_ns + 1) * frame_ns, self._span[1])

    def _skip_silence(self) -> None:
        """Jump to just before the next event when it is far; everything due by then is told as closed."""
        told = self._at.next_of(self._reel)
        ahead_ns = self._span[1] if told is None else told[0]
        if ahead_ns - self._now > SILENCE_NS:
            self._tell_to((ahead_ns - LEAD_NS) // NS_PER_S * NS_PER_S)
            self._keep_pace_from_now()

    def _keep_pace_from_now(self) -> None:
        self._anchor = (monotonic_ns(), self._now)

    # -- checks ------------------------------------------------------------------------------------------------------------

    def _check_symbol(self, symbol: str) -> None:
        if symbol not in self.tape.symbols:
            raise SymbolError(f"symbol: received {choices(symbol, sorted(self.tape.symbols)[:40])} (what was recorded)")

    def _check_moment(self, name: str, ts_ns: int) -> None:
        first, last = self._span
        if not first <= ts_ns <= last:
            allowed = f"{to_ny(first).isoformat()} to {to_ny(last).isoformat()}"
            raise CalendarError(f"{name}: received {to_ny(ts_ns).isoformat()}; allowed: {allowed}")


class _Place:
    """How many events of each kind were told."""

    __slots__ = ("bars", "gaps", "quotes", "trades")

    def __init__(self, trades: int = 0, quotes: int = 0, bars: int = 0, gaps: int = 0) -> None:
        self.trades, self.quotes, self.bars, self.gaps = trades, quotes, bars, gaps

    @classmethod
    def after(cls, tape: Tape, ts_ns: int) -> _Place:
        """Return the place behind everything stamped up to `ts_ns`."""
        return cls(**{kind: int(np.searchsorted(times, ts_ns, side="right")) for kind, times in tape.times.items()})

    def until(self, tape: Tape, ts_ns: int) -> list[tuple[str, int]]:
        """Return (kind, how many) of the events not told yet up to and including `ts_ns`; kinds without any are left out."""
        counts = [(kind, int(np.searchsorted(times, ts_ns, side="right")) - getattr(self, kind)) for kind, times in tape.times.items()]
        return [(kind, n) for kind, n in counts if n > 0]

    def next_of(self, tape: Tape) -> tuple[int, str] | None:
        """Return stamp and kind of the next event, None at the end; of one instant prints, then quotes, then bars, then gaps."""
        ahead = [(int(times[getattr(self, kind)]), kind) for kind, times in tape.times.items() if getattr(self, kind) < len(times)]
        return min(ahead, key=lambda event: event[0]) if ahead else None

    def minutes_ahead(self, tape: Tape) -> np.ndarray:
        """Return the ends of the minutes in which prints or quotes are still to be told."""
        ahead = [tape.times[kind][getattr(self, kind) :] for kind in ("trades", "quotes")]
        return np.unique(-(-np.concatenate(ahead) // NS_PER_MIN)) * NS_PER_MIN


def _listed(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]


def _checked_speed(speed: float) -> float:
    if not SLOWEST <= speed <= FASTEST:
        raise ConfigError(f"speed: received {speed!r}; allowed: {SLOWEST} to {FASTEST:g}")
    return float(speed)
