"""How a view with many numbers sends: only what changed, one message a turn, nothing while nobody sees it. Floor 8.

The page says when it is ready, when it is hidden or shown again, and which message it has painted last. A page that has not painted
the last few gets nothing more: what changes meanwhile is told in one message when it has.
"""

from __future__ import annotations

from typing import Any

MOST_UNPAINTED = 6  # the page tells every third


class Pace:
    """Which messages of one view its page has painted, and whether anybody looks."""

    def __init__(self) -> None:
        self.is_shown = False
        self.n_sent = 0
        self._n_painted = 0

    @property
    def may_send(self) -> bool:
        """True when a message would be seen soon."""
        return self.is_shown and self.n_sent - self._n_painted < MOST_UNPAINTED

    def number(self) -> int:
        """Return the number of the message that is sent now."""
        self.n_sent += 1
        return self.n_sent

    def hear(self, message: dict[str, Any]) -> str:
        """Take a page's word of itself and return what it means: 'begin' (tell all), 'end' (nobody looks), '' for anything else."""
        kind = message.get("do")
        if kind == "painted":
            self._n_painted = max(self._n_painted, min(int(message.get("n", 0)), self.n_sent))
        elif kind == "ready" or (kind == "shown" and message.get("is_shown") and not self.is_shown):
            self.is_shown, self._n_painted = True, self.n_sent
            return "begin"
        elif kind == "shown" and not message.get("is_shown"):
            self.is_shown = False
            return "end"
        return ""


def news(held: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """Return those of `fresh` that differ from what is held, and hold them."""
    changed = {name: value for name, value in fresh.items() if name not in held or held[name] != value}
    held.update(changed)
    return changed


def plain(value: float | None) -> float | None:
    """Return a number as JSON can carry it; unknown (None, NaN) is None."""
    return None if value is None or value != value else round(float(value), 6)
