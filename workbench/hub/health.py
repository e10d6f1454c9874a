"""How trustworthy the data on screen is, as a record that travels with it.

The hub notes what happens (events, latency, gaps, states); `HealthBook.read` turns the notes into one mode and one sentence.
Floor 2.
"""

from __future__ import annotations

import html
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from workbench.clock import NS_PER_S
from workbench.sessions import Segment
from workbench.sources.base import FeedState, FeedStatus, SourceInfo

LATENCY_KEPT = 4096


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


class LatencyBook:
    """The newest event latencies (`ts_recv - ts_event`), one a frame."""

    def __init__(self) -> None:
        self._ms: deque[float] = deque(maxlen=LATENCY_KEPT)

    def note(self, ts_event: int, ts_recv: int) -> None:
        """Take one frame's newest event; frames without a receipt stamp say nothing."""
        if ts_recv > 0:
            self._ms.append((ts_recv - ts_event) / 1e6)

    def percentile(self, q: float) -> float | None:
        """Return a percentile [ms] of what is kept, or None."""
        return float(np.percentile(list(self._ms), q)) if self._ms else None


@dataclass(slots=True)
class FeedNotes:
    """What `decide` needs to know."""

    status: FeedStatus
    info: SourceInfo
    segment: Segment
    now_ns: int
    last_event_ns: int | None
    stale_after_s: float
    backfilling: int
    gaps: int
    errors: int


def decide(notes: FeedNotes) -> tuple[Mode, str]:
    """Return the mode and the sentence that explains it; the worst true state wins.

    Order: refused, lost, stale, replay, closed, gaps, backfilling, live.
    """
    state, reason = notes.status.state, notes.status.reason
    if state is FeedState.REFUSED:
        return Mode.REFUSED, reason
    if notes.info.is_replay:
        return Mode.REPLAY, reason
    if state in (FeedState.IDLE, FeedState.CONNECTING):
        return Mode.STARTING, reason
    if state is FeedState.RECONNECTING:
        return Mode.DEGRADED, reason
    if state is FeedState.STALE:
        return Mode.STALE, reason
    if notes.segment is Segment.CLOSED:
        return Mode.CLOSED, "the market is closed"
    age_s = None if notes.last_event_ns is None else (notes.now_ns - notes.last_event_ns) / NS_PER_S
    if notes.segment is Segment.RTH and state is FeedState.LIVE and age_s is not None and age_s > notes.stale_after_s:
        return Mode.STALE, f"no event for {age_s:.0f} s while the market is open"
    if notes.errors:
        return Mode.DEGRADED, f"{notes.errors} internal errors; see the log"
    if notes.backfilling:
        return Mode.BACKFILLING, f"reading history ({notes.backfilling} under way)"
    if notes.gaps:
        return Mode.DEGRADED, f"{notes.gaps} spans not yet proved complete"
    return Mode.LIVE, reason
