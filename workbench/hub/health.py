"""How trustworthy the data on screen is, as a record that travels with it.

The hub notes what happens (events, latency, gaps, states); `HealthBook.read` turns the notes into one mode and one sentence.
Floor 2.
"""

from __future__ import annotations

import bisect
import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_MS, NS_PER_S, monotonic_ns
from workbench.hub.gaps import OpenGap
from workbench.sessions import Segment, SessionCalendar
from workbench.sources.base import FeedState, FeedStatus, SourceInfo

LATENCY_KEPT = 4096
COUNT_AGAIN_NS = 250 * NS_PER_MS


class Mode(StrEnum):
    """What a screen shows in its health strip; README says what to do in each."""

    STARTING = "STARTING"
    LIVE = "LIVE"
    BACKFILLING = "BACKFILLING"
    DEGRADED = "DEGRADED"
    STALE = "STALE"
    CLOSED = "CLOSED"
    REPLAY = "REPLAY"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Health:
    """State of the feed, or of one symbol, at `ts_ns` of the market's clock."""

    mode: Mode
    reason: str
    source: str
    symbol: str | None
    ts_ns: int
    segment: Segment
    age_s: float | None  # since the last event; None before the first
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    n_events: int
    gaps: int  # spans that history should have proved complete by now
    gaps_repaired: int
    backfilling: int  # history reads under way
    dropped: int  # events that found the queue full
    errors: int  # exceptions inside the hub
    queued: int
    quarantined: dict[str, int] = field(default_factory=dict)  # reason -> events
    history_trouble: str = ""  # why history can't be read at present, and what becomes of it; '' when it can
    agreement_frac: float | None = None  # share of closed minutes that agree with a second provider's; None when not measured
    agreement: str = ""  # that in a sentence, the worst difference included; '' without a second provider

    @property
    def n_quarantined(self) -> int:
        """Events put aside, all reasons."""
        return sum(self.quarantined.values())

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON, tables and displays."""
        names = self.__dataclass_fields__
        return {name: value.name if isinstance(value := getattr(self, name), Segment) else value for name in names}

    def _repr_html_(self) -> str:
        cells = ((html.escape(k), html.escape(str(v))) for k, v in self.to_dict().items())
        rows = "".join(f"<tr><th style='text-align:left'>{k}</th><td>{v}</td></tr>" for k, v in cells)
        return f"<table><caption>Health</caption>{rows}</table>"


class Spread:
    """How many durations were at most each of `BOUNDS_S` [s], counted from the start. Written by one thread, read by any."""

    BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 900.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS_S) + 1)  # by bound, the last for what is longer; not cumulative
        self.sum_s = 0.0

    def note(self, duration_ns: int) -> None:
        """Count one; a duration below zero (two machines' clocks) counts as none."""
        seconds = max(0, duration_ns) / NS_PER_S
        self.counts[bisect.bisect_left(self.BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


class LatencyBook:
    """How late things are: the newest event latencies (`ts_recv - ts_event`), one a frame, and three counts since the start.

    `feed`: from an event to its receipt. `decode`: from there until the hub has applied it. `bars`: from the end of a minute's grace
    until its bar can be read.
    """

    def __init__(self) -> None:
        self.feed, self.decode, self.bars = Spread(), Spread(), Spread()
        self._ms = np.zeros(LATENCY_KEPT)
        self._n = 0  # noted so far; the newest LATENCY_KEPT are held
        self._told: tuple[int, int, tuple[float, float]] | None = None  # (noted, stopwatch, what was told then)

    def note(self, ts_event: int, ts_recv: int, now_ns: int = 0) -> None:
        """Take one frame's newest event, applied at `now_ns`; frames without a receipt stamp say nothing."""
        if ts_recv > 0:
            self._ms[self._n % LATENCY_KEPT] = (ts_recv - ts_event) / 1e6
            self._n += 1
            self.feed.note(ts_recv - ts_event)
            self.decode.note(now_ns - ts_recv)

    def note_bars(self, ts_close: np.ndarray, due_since_ns: int) -> None:
        """Take bars just closed by time; `due_since_ns`: the present moment less the grace."""
        for end_ns in ts_close.tolist():
            self.bars.note(due_since_ns - end_ns)

    def percentiles(self) -> tuple[float, float] | tuple[None, None]:
        """Return p50 and p95 [ms] of what is kept, counted anew at most a few times a second however many ask."""
        n, now, told = self._n, monotonic_ns(), self._told
        if not n:
            return None, None
        if told is None or (told[0] != n and now - told[1] > COUNT_AGAIN_NS):
            p50, p95 = np.percentile(self._ms[: min(n, LATENCY_KEPT)], (50, 95)).tolist()
            told = self._told = (n, now, (p50, p95))
        return told[2]


class Rhythm:
    """How often the symbols watched print, together, in regular hours: what tells a dead feed from a quiet symbol.

    Known from their minutes of the present session and the one before; counted anew once a minute.
    """

    def __init__(self, calendar: SessionCalendar) -> None:
        self._calendar = calendar
        self._minute = -1  # in which it was last counted
        self._pause_s: float | None = None

    def pause_s(self, now_ns: int, read: Callable[[int], Iterable[np.ndarray]] | None) -> float | None:
        """Return the usual time between two prints [s], inf when none are usual; None while it is not known.

        `read(start_ns)` returns each symbol's minutes from a moment on (BAR_DTYPE). None while history is read: then what was known stays.
        """
        minute = now_ns // NS_PER_MIN
        if read is not None and minute != self._minute:
            self._minute, self._pause_s = minute, self._count(now_ns, read)
        return self._pause_s

    def _count(self, now_ns: int, read: Callable[[int], Iterable[np.ndarray]]) -> float | None:
        latest = self._calendar.latest(now_ns)
        days = self._calendar.sessions[max(0, latest - 1) : latest + 1]
        open_s = sum(max(0, min(int(day["close"]), now_ns) - int(day["open"])) for day in days) / NS_PER_S
        n_prints = sum(_regular_prints(rows, days) for rows in read(int(days["open"][0])))
        return None if not open_s else open_s / n_prints if n_prints else float("inf")


def _regular_prints(rows: np.ndarray, days: np.ndarray) -> float:
    """Return how many prints the minutes of regular hours hold; a minute of unknown count has one at least."""
    day = days[np.clip(np.searchsorted(days["open"], rows["ts_open"], side="right") - 1, 0, len(days) - 1)]
    inside = (rows["ts_open"] >= day["open"]) & (rows["ts_open"] < day["close"])
    return float(np.fmax(rows["n_trades"][inside], 1.0).sum())


@dataclass(slots=True)
class FeedNotes:
    """What `decide` needs to know."""

    status: FeedStatus
    info: SourceInfo
    segment: Segment
    now_ns: int
    quiet_since_ns: int | None  # the last event, the opening bell or the connection, whichever came last; None: nothing is watched
    stale_after_s: float
    backfilling: int
    gaps: int
    errors: int
    usual_pause_s: float | None = None  # see `Rhythm`


def suspicious_s(stale_after_s: float, usual_pause_s: float | None) -> float:
    """Return how long silence in regular hours may last before the feed counts as dead [s].

    Prints come in bursts. On recorded days of 2013 and 2018 the longest pause of a session was 53 usual ones where 1 s is usual, 9
    where 10 s are, 4 where 100 s are. So 60 usual pauses are allowed, or a minute and 10 of them, whichever is less, and never less
    than `stale_after_s`, which is also what stands while the usual pause is not known.
    """
    if usual_pause_s is None:
        return stale_after_s
    return max(stale_after_s, min(60 * usual_pause_s, 60 + 10 * usual_pause_s))


def history_trouble(failure: str, given_up: OpenGap | None) -> str:
    """Return what keeps history from being read, as one sentence with what comes next; '' when nothing does.

    `failure`: of a read that will be tried again. `given_up`: a span whose read was given up.
    """
    if given_up is not None and given_up.is_hopeless:
        return given_up.failure
    if failure:
        return f"{failure}; it is tried again by itself"
    if given_up is not None:
        return f"{given_up.failure}; it is tried again every few minutes"
    return ""


def decide(notes: FeedNotes) -> tuple[Mode, str]:
    """Return the mode and the sentence that explains it; the worst true state wins.

    Order: refused; replayed (a market that stands still or is told again can't be late); starting, lost, stale, closed, errors,
    backfilling, gaps, live.
    """
    state, reason = notes.status.state, notes.status.reason
    if state is FeedState.REFUSED:
        return Mode.REFUSED, reason
    if notes.info.is_replay or state is FeedState.PAUSED:
        return Mode.REPLAY, reason
    if state in (FeedState.IDLE, FeedState.CONNECTING):
        return Mode.STARTING, reason
    if state is FeedState.RECONNECTING:
        return Mode.DEGRADED, reason
    if state in (FeedState.STALE, FeedState.ENDED):
        return Mode.STALE, reason
    if notes.segment is Segment.CLOSED:
        return Mode.CLOSED, "the market is closed"
    quiet_s = 0.0 if notes.quiet_since_ns is None else (notes.now_ns - notes.quiet_since_ns) / NS_PER_S
    is_quiet = notes.segment is Segment.RTH and state in (FeedState.LIVE, FeedState.FALLBACK) and quiet_s > notes.stale_after_s
    if is_quiet and quiet_s > suspicious_s(notes.stale_after_s, notes.usual_pause_s):
        return Mode.STALE, f"no event for {quiet_s:.0f} s while the market is open"
    if state is FeedState.FALLBACK:
        return Mode.DEGRADED, reason
    if notes.errors:
        return Mode.DEGRADED, f"{notes.errors} internal errors; see the log"
    if notes.backfilling:
        return Mode.BACKFILLING, f"reading history ({notes.backfilling} under way)"
    if notes.gaps:
        return Mode.DEGRADED, f"{notes.gaps} spans not yet proved complete"
    return Mode.LIVE, f"no event for {quiet_s:.0f} s, as is usual for what is watched" if is_quiet else reason
