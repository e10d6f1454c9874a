"""The kill switch's latch: tripped by somebody, for a reason, and tripped until somebody releases it by name, for a reason.

A state is what the journal's events leave (`state_after`): there is no other memory, so that a restart finds it as it was. Floor 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workbench.errors import OrderError


@dataclass(frozen=True, slots=True)
class Tripped:
    """Somebody or something stopped all opening orders."""

    ts_ns: int
    by: str  # a person's name, 'throttle', 'file' …
    reason: str


@dataclass(frozen=True, slots=True)
class Released:
    """A person lets orders through again."""

    ts_ns: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class KillState:
    """Tripped, with the first trip since the last release; or not, with None."""

    trip: Tripped | None = None

    @property
    def is_tripped(self) -> bool:
        """Whether nothing may be opened."""
        return self.trip is not None

    def after(self, event: Tripped | Released) -> KillState:
        """Return the state after one more event. OrderError for a release without a name and a reason, or of what is not tripped."""
        if isinstance(event, Tripped):
            return self if self.is_tripped else KillState(event)
        for name, text in (("by", event.by), ("reason", event.reason)):
            if not text.strip():
                raise OrderError(f"Released.{name}: received {text!r}; allowed: who releases the kill switch, and why")
        if not self.is_tripped:
            raise OrderError("Released: received a release while the kill switch is not tripped; allowed: after it was tripped")
        return KillState()


def state_after(events: Iterable[Tripped | Released]) -> KillState:
    """Return what the journal's events, in their order, leave."""
    state = KillState()
    for event in events:
        state = state.after(event)
    return state
