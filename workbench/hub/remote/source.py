"""The source of a hub elsewhere: what it is, its clock, and, where the hub's market can be steered, play, pause, speed, seek, step.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workbench.errors import ConfigError, SourceError, choices
from workbench.hub.remote import wire
from workbench.hub.remote.service import Questions
from workbench.hub.remote.state import MirroredClock, MirrorState
from workbench.sources.base import History, Sink, SourceInfo


class RemoteSource:
    """What a reader may know of, and do to, the hub's own source. It delivers nothing: the hub elsewhere has its events.

    Playing, pausing, seeking is felt by every reader of that hub.
    """

    def __init__(self, state: MirrorState, ask: Questions) -> None:
        self._state, self._ask = state, ask

    @property
    def clock(self) -> MirroredClock:
        """The hub's market clock."""
        return self._state.clock

    @property
    def info(self) -> SourceInfo:
        """What the hub's source is and can do."""
        return self._state.info

    def start(self, sink: Sink) -> None:
        """Nothing: the hub elsewhere is running or not."""

    def stop(self) -> None:
        """Nothing: the hub elsewhere goes on."""

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Nothing: whoever reads a symbol there has it followed."""

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Nothing: others may read it."""

    def history(self, symbol: str, start_ns: int, end_ns: int) -> History:  # noqa: ARG002
        """Refuse: older bars are asked of the hub."""
        raise SourceError(f"history of {symbol}: asked of a hub's own source; use older(…) of the hub")

    # -- PlaybackControl ---------------------------------------------------------------------------------------------------

    @property
    def speed(self) -> float:
        """Market seconds per real second."""
        return self._replay().speed

    @property
    def is_paused(self) -> bool:
        """True while standing still."""
        return self._replay().is_paused

    @property
    def span(self) -> tuple[int, int]:
        """First and last moment that can be sought [ns UTC]. AttributeError for a live market: to screens it has no controls then."""
        replay = self._replay()
        return replay.start_ns, replay.end_ns

    def play(self) -> None:
        """Go on."""
        self._steer("start")

    def pause(self) -> None:
        """Stand still."""
        self._steer("pause")

    def set_speed(self, speed: float) -> None:
        """Change the speed; ConfigError outside 0.1 to 1000."""
        self._steer("speed", speed=speed)

    def seek(self, ts_ns: int) -> None:
        """Go to a moment, forwards or back."""
        self._steer("seek", ts_ns=ts_ns)

    def step(self, what: str = "bar") -> None:
        """Advance by one 'event' or to the end of the current 'bar' (minute), then stand still."""
        if what not in ("bar", "event"):
            raise ConfigError(f"step: received {choices(what, ('bar', 'event'))}")
        self._steer("step", what=what)

    def _replay(self) -> wire.Replay:
        replay = self._state.replay
        if replay is None:
            raise AttributeError("the hub's market can't be steered")
        return replay

    def _steer(self, verb: str, **values: Any) -> None:
        """Have the hub do it; returns when it is done there."""
        self._state.take_replay(self._ask.post(f"/api/replay/{verb}", wire.Replay, values))
