"""How many orders may leave in a window of time, and the halt that a runaway loop ends in.

Never more than `n` in any stretch of `window_ns`, wherever it begins: an order is let through only when the n-th before it is a whole
window old. Refusals are counted: `halt_after` of them within a window latch a halt that only a person undoes.

A pure state machine: `ask` gives the answer and the next state. Time that goes backwards counts as no time passed. Floor 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from workbench.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most `n` orders in any `window_ns`; `halt_after` refusals in a window halt. `n` 0 lets nothing through."""

    n: int
    window_ns: int
    halt_after: int
    now_ns: int = 0  # the latest instant seen
    passed: tuple[int, ...] = ()  # instants of the last n let through, oldest first
    refused: tuple[int, ...] = ()  # instants of the refusals of the last window, oldest first
    is_halted: bool = False

    def __post_init__(self) -> None:
        for name, least in (("n", 0), ("window_ns", 1), ("halt_after", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigError(f"Throttle.{name}: received {value!r}; allowed: a whole number from {least}")

    def ask(self, now_ns: int) -> tuple[bool, Throttle]:
        """Return whether one more order may leave now, and the state after the answer."""
        now = max(now_ns, self.now_ns)
        if self.is_halted:
            return False, replace(self, now_ns=now)
        begin = now - self.window_ns  # the stretch (begin, now]: what left exactly a window ago is out of it
        passed = tuple(ts for ts in self.passed if ts > begin)
        if len(passed) < self.n:
            return True, replace(self, now_ns=now, passed=(*passed, now))
        refused = (*(ts for ts in self.refused if ts > begin), now)
        return False, replace(self, now_ns=now, passed=passed, refused=refused, is_halted=len(refused) >= self.halt_after)

    def released(self) -> Throttle:
        """Return the state after a person undid the halt; what has left still counts."""
        return replace(self, refused=(), is_halted=False)
