"""What every source is, and what it may say.

A source turns one provider (or file, or simulation) into the nouns of `types.py` and hands them to a `Sink`. It never
decides: cleaning, bars and health belong to the hub. Its network thread only enqueues. `history` is the one blocking call;
the hub makes it from its own backfill workers.

Floor 2. No vendor word passes this file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from workbench.clock import Clock
from workbench.types import BAR_DTYPE, SymbolTable

if TYPE_CHECKING:
    from workbench.options.chain import Chain


class FeedState(StrEnum):
    """Where a feed stands; the hub turns it into the mode shown on screen."""

    IDLE = "idle"  # not started
    CONNECTING = "connecting"
    LIVE = "live"  # authenticated, subscribed, data may flow
    RECONNECTING = "reconnecting"  # lost, trying again
    FALLBACK = "fallback"  # live, told by the second of two sources
    STALE = "stale"  # connected but mute though the market is open
    REFUSED = "refused"  # bad key, missing entitlement, second connection: needs a person
    PAUSED = "paused"  # a replay that stands still
    ENDED = "ended"  # a replay or file at its end


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One change of a feed's state. `reason` is one sentence for the trader, with the next step when there is one."""

    state: FeedState
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class FeedGap:
    """The feed was away during [start_ns, end_ns): whatever happened then has to be read from history.

    `symbols` empty means every subscribed symbol.
    """

    start_ns: int
    end_ns: int
    reason: str
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """Closed 1-minute bars of one symbol, oldest first, BAR_DTYPE shape (n,).

    `is_complete` only when the source proved that every bar it has for the range is here; `note` says how, or what is missing.
    """

    rows: np.ndarray
    is_complete: bool
    note: str = ""

    @classmethod
    def empty(cls, note: str = "", *, is_complete: bool = True) -> History:
        """Return a history without bars."""
        return cls(np.zeros(0, BAR_DTYPE), is_complete, note)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source can do, for screens and for the hub's decisions."""

    name: str  # 'simulated', 'replay', 'polygon'
    detail: str  # 'seed 7, 60x', 'delayed 15 min', a file name; never a key
    has_trades: bool = True
    has_quotes: bool = True
    is_replay: bool = False
    delay_ns: int = 0
    is_partial_tape: bool = False  # only some venues' prints of stocks (IEX): volumes are a fraction of the tape's
    symbols: tuple[str, ...] = field(default_factory=tuple)  # all it knows but options; empty when it can't list them
    has_chains: bool = False  # it is a `ChainSource`: option contracts can be listed, read and watched
    bar_lengths_ns: dict[str, int] = field(default_factory=dict)  # symbol -> length of its bars, where nothing shorter is known of it


class Sink(Protocol):
    """What a source may tell. Every method only enqueues, may be called from any thread, and never raises into the source.

    Arrays handed in belong to the sink from then on: never write to them again.
    """

    symbols: SymbolTable

    def on_trades(self, rows: np.ndarray) -> None:
        """Take prints, TRADE_DTYPE shape (n,), in arrival order."""

    def on_quotes(self, rows: np.ndarray) -> None:
        """Take quotes, QUOTE_DTYPE shape (n,), in arrival order."""

    def on_bars(self, symbol: str, rows: np.ndarray) -> None:
        """Take the provider's own closed 1-minute bars, BAR_DTYPE shape (n,); a bar sent again replaces the earlier one."""

    def on_reject(self, reason: str, symbol: str, raw: bytes, ts_recv: int) -> None:
        """Take an element that could not be decoded, to be quarantined and counted."""

    def on_status(self, status: FeedStatus) -> None:
        """Take a change of state."""

    def on_gap(self, gap: FeedGap) -> None:
        """Take a span during which the feed was away; the hub backfills it."""

    def on_time(self, now_ns: int) -> None:
        """Take the moment that a replayed or simulated market has reached; closes the bars that are due."""

    def on_correction(self, symbol: str, ts_event_ns: int, reason: str) -> None:
        """Take news that a print of that moment was cancelled or corrected: the minute has to be read again."""

    def on_reset(self, reason: str) -> None:
        """Forget all market state: a replay was moved backwards and will be told again from its start."""


@runtime_checkable
class Source(Protocol):
    """One provider of market data."""

    @property
    def clock(self) -> Clock:
        """The market's clock: the wall's, or the one that this source moves."""

    @property
    def info(self) -> SourceInfo:
        """What this source is and can do."""

    def start(self, sink: Sink) -> None:
        """Begin to deliver to `sink`, from a thread of the source's own; returns at once."""

    def stop(self) -> None:
        """Stop delivering and end the thread; harmless when not started."""

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Deliver these symbols too. SymbolError for one that the source is sure not to have."""

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop delivering these."""

    def history(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return the closed 1-minute bars with start_ns <= ts_open < end_ns and ts_close <= clock.now_ns(). Blocks.

        HistoryError when the provider fails, SymbolError when it does not know the symbol, AuthError when the plan does not allow.
        """


@runtime_checkable
class ChainSource(Protocol):
    """What a source that knows options can also do. Both reads block: they are made on threads of the hub's feeds."""

    @property
    def most_contracts(self) -> int:
        """How many option contracts its live feed can deliver at once."""

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates that are listed and not over, ascending; none for a symbol without options.

        SourceError when the provider fails or has no chain to tell, SymbolError when it does not know the symbol.
        """

    def chain(self, underlying: str, expiry: date) -> Chain:
        """Return every contract of one expiry date as of now; without rows when none is listed. Errors as of `expiries`.

        `spot` NaN where the provider does not tell it with the chain.
        """


class PlaybackControl(Protocol):
    """What a source whose time is not the wall clock can also do (replay; the simulated market when accelerated)."""

    @property
    def speed(self) -> float:
        """Market seconds per real second, 0.1 to 1000."""

    @property
    def is_paused(self) -> bool:
        """True while standing still."""

    @property
    def span(self) -> tuple[int, int]:
        """First and last moment that can be sought [ns UTC]."""

    def play(self) -> None:
        """Go on."""

    def pause(self) -> None:
        """Stand still."""

    def set_speed(self, speed: float) -> None:
        """Change the speed; ConfigError outside 0.1 to 1000."""

    def seek(self, ts_ns: int) -> None:
        """Go to a moment, forwards or back; state afterwards equals having played to it."""

    def step(self, what: str = "bar") -> None:
        """Advance by one 'event' or to the end of the current 'bar' (minute), then stand still."""
