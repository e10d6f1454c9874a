"""What a watched connection goes by: its waiting times, whom it tells, how it may end, what is known of it so far. Floor 2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from workbench.errors import SourceError
from workbench.sources.base import FeedState


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

    def on_frame(self, frame: str | bytes) -> tuple[int, int, list[Any]]:
        """Take one frame; return (number of market events, newest event time [ns] or 0, statuses in it: whatever its stream takes)."""

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


class Link:
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
