"""The ledger of spans that the feed did not wholly see: opened by a gap, closed by history that proves itself complete.

Floor 2. Written under the hub's lock; read without one, since every write puts a new mapping in the old one's place: a screen
that asks how the feed is never waits for a large batch of history to be applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

MAX_AWAY = 256  # spans a symbol; builders only tell of minutes far newer than the oldest of so many


@dataclass(frozen=True, slots=True)
class OpenGap:
    """[start_ns, end_ns) of one symbol, in whole minutes, and why it is distrusted.

    `failure`: why history could not tell it, when its read was given up. `is_hopeless` when the source said that asking again is
    of no use (key, plan, symbol).
    """

    symbol: str
    start_ns: int
    end_ns: int
    reason: str
    failure: str = ""
    is_hopeless: bool = False


class GapBook:
    """Open gaps by symbol."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[OpenGap, ...]] = {}  # symbol -> spans to be proved; never changed in place
        self._away: dict[str, list[tuple[int, int]]] = {}  # symbol -> spans in which prints may have been missed, for good
        self.n_repaired = 0

    def away(self, symbol: str, start_ns: int, end_ns: int, reason: str) -> None:
        """Note a span whose prints were not all seen: bars built from prints stay distrusted there even when history mends them."""
        self.miss(symbol, start_ns, end_ns)
        self.open(symbol, start_ns, end_ns, reason)

    def miss(self, symbol: str, start_ns: int, end_ns: int) -> None:
        """Note that prints of a span may have been missed, without asking for its history. Spans that touch are joined."""
        spans = self._away.setdefault(symbol, [])
        for span in [s for s in spans if s[0] <= end_ns and start_ns <= s[1]]:
            spans.remove(span)
            start_ns, end_ns = min(start_ns, span[0]), max(end_ns, span[1])
        spans.append((start_ns, end_ns))
        del spans[:-MAX_AWAY]

    def open(self, symbol: str, start_ns: int, end_ns: int, reason: str, *, failure: str = "", is_hopeless: bool = False) -> None:
        """Note a span to be proved; one that touches another of the symbol is joined with it."""
        apart: list[OpenGap] = []
        for gap in self._open.get(symbol, ()):
            if gap.start_ns > end_ns or start_ns > gap.end_ns:
                apart.append(gap)
                continue
            start_ns, end_ns = min(start_ns, gap.start_ns), max(end_ns, gap.end_ns)
            failure, is_hopeless = failure or gap.failure, is_hopeless & gap.is_hopeless
        self._open = {**self._open, symbol: (*apart, OpenGap(symbol, start_ns, end_ns, reason, failure, is_hopeless))}

    def repair(self, symbol: str, start_ns: int, end_ns: int) -> None:
        """Close what lies inside a span whose history was proved complete; a longer gap keeps its uncovered parts."""
        kept: list[OpenGap] = []
        for gap in self._open.get(symbol, ()):
            if gap.end_ns <= start_ns or end_ns <= gap.start_ns:
                kept.append(gap)
                continue
            rests = [(gap.start_ns, min(gap.end_ns, start_ns)), (max(gap.start_ns, end_ns), gap.end_ns)]
            rests = [(a, b) for a, b in rests if a < b]
            kept += [replace(gap, start_ns=a, end_ns=b) for a, b in rests]
            self.n_repaired += not rests
        self._open = {**self._open, symbol: tuple(kept)}

    def mark(self, symbol: str, rows: np.ndarray) -> None:
        """Clear `is_complete` of minutes built from prints (BAR_DTYPE) of which prints may have been missed."""
        for start_ns, end_ns in self._away.get(symbol, ()):
            rows["is_complete"][(rows["ts_open"] < end_ns) & (rows["ts_close"] > start_ns)] = 0

    def count(self, symbol: str | None = None) -> int:
        """Return how many gaps are open, of one symbol or of all."""
        return len(self._open.get(symbol, ())) if symbol is not None else sum(map(len, self._open.values()))

    def failed(self, symbol: str | None = None) -> OpenGap | None:
        """Return the newest span whose history was given up, None when there is none."""
        found = [gap for gap in self.all() if gap.failure and symbol in (None, gap.symbol)]
        return found[-1] if found else None

    def overdue(self, before_ns: int, symbol: str | None = None) -> int:
        """Return how many gaps that ended before a moment are still open: those that history should have closed by now."""
        return sum(gap.end_ns < before_ns and symbol in (None, gap.symbol) for gap in self.all())

    def all(self) -> tuple[OpenGap, ...]:
        """Return the open gaps, oldest first."""
        return tuple(sorted((g for gaps in self._open.values() for g in gaps), key=lambda g: (g.start_ns, g.symbol)))

    def clear(self) -> None:
        """Forget all gaps."""
        self._open = {}
        self._away.clear()
