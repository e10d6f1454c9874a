"""Closed minutes of the shown source compared with a second provider's history, as a figure of quality that is always there.

About once a minute the last half hour of every watched symbol is asked of the second provider and held against what is shown:
close, high and low within one cent or one basis point, volume within two percent. Where one of the two sees only part of the tape
(IEX), volumes differ by design: then only prices are compared, its range has to lie within the other's, and the sentence says so.
Minutes that only one of them has are counted apart; they are no disagreement (no print, no bar).

In: a hub to read, a source whose history is asked (it is never connected live). Out: `Agreement`, by symbol and in all. It decides
nothing and mends nothing. Floor 2. A thread of its own.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_S, Clock
from workbench.errors import SourceError, SymbolError
from workbench.sessions import to_ny
from workbench.sources.base import History, SourceInfo

log = logging.getLogger(__name__)

CENT, BASIS_POINT, VOLUME_FRAC = 0.01, 1e-4, 0.02
EDGE = 1e-9  # of float sums
MOST_A_ROUND = 20  # symbols asked for in one round; more take turns
OLD_NS = 10 * NS_PER_MIN  # a figure older than this says nothing of now
PRICES = ("close", "high", "low")


class Shown(Protocol):
    """What is read of a hub."""

    clock: Clock

    @property
    def source_info(self) -> SourceInfo:
        """What the shown source is."""

    def watched(self) -> tuple[str, ...]:
        """Return the symbols followed."""

    def series(self, symbol: str, timeframe: str) -> Any:
        """Return a series with `rows()`."""


class Other(Protocol):
    """What is asked of the second provider, which is never connected."""

    @property
    def clock(self) -> Clock:
        """The market's clock."""

    @property
    def info(self) -> SourceInfo:
        """What it is."""

    def open_history(self) -> None:
        """Let history be read again after `stop`."""

    def history(self, symbol: str, start_ns: int, end_ns: int) -> History:
        """Return closed minutes, as a `Source` does."""

    def stop(self) -> None:
        """Let nobody wait for history any longer."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How `n` minutes shown compare with a second provider's; `frac` is None when none was compared."""

    n: int = 0
    n_agreeing: int = 0
    n_only_here: int = 0
    n_only_there: int = 0
    worst_bp: float = 0.0  # largest difference of a price
    worst: str = ""  # where that was: 'SPY 10:31 high'
    ts_ns: int = 0  # when it was compared

    @property
    def frac(self) -> float | None:
        """Share of minutes that agree, 0 to 1."""
        return self.n_agreeing / self.n if self.n else None


def compare(symbol: str, shown: np.ndarray, told: np.ndarray, *, part: str = "", now_ns: int = 0) -> Agreement:
    """Return how minutes agree. BAR_DTYPE, by time without repeats. `part`: which of the two, 'shown' or 'told', is part of the tape."""
    _, a, b = np.intersect1d(shown["ts_open"], told["ts_open"], assume_unique=True, return_indices=True)
    here, there = shown[a], told[b]
    allowed = np.maximum(CENT, BASIS_POINT * there["close"]) + EDGE
    away = np.stack([np.abs(here[name] - there[name]) for name in PRICES]) if len(a) else np.zeros((3, 0))
    if part:
        inner, outer = (here, there) if part == "shown" else (there, here)
        is_good = (away[0] <= allowed) & (inner["high"] <= outer["high"] + allowed) & (inner["low"] >= outer["low"] - allowed)
        away[1:] = np.maximum([inner["high"] - outer["high"], outer["low"] - inner["low"]], 0.0)
    else:
        is_good = (away <= allowed).all(axis=0) & (np.abs(here["volume"] - there["volume"]) <= VOLUME_FRAC * there["volume"] + EDGE)
    bp = away / np.where(there["close"] > 0, there["close"], np.nan) / BASIS_POINT
    worst_bp, worst = 0.0, ""
    if bp.size and np.nanmax(bp) > 0:
        field, at = np.unravel_index(int(np.nanargmax(bp)), bp.shape)
        worst_bp, worst = float(bp[field, at]), f"{symbol} {to_ny(int(here['ts_open'][at])):%H:%M} {PRICES[int(field)]}"
    n = len(a)
    return Agreement(n, int(is_good.sum()), len(shown) - n, len(told) - n, worst_bp, worst, now_ns)


def total(parts: list[Agreement]) -> Agreement:
    """Return several agreements as one."""
    worst = max(parts, key=lambda one: one.worst_bp, default=Agreement())
    return Agreement(
        n=sum(one.n for one in parts),
        n_agreeing=sum(one.n_agreeing for one in parts),
        n_only_here=sum(one.n_only_here for one in parts),
        n_only_there=sum(one.n_only_there for one in parts),
        worst_bp=worst.worst_bp,
        worst=worst.worst,
        ts_ns=max((one.ts_ns for one in parts), default=0),
    )


class CrossCheck:
    """Compares now and then, on a thread of its own.

    Parameters
    ----------
    hub             What is shown.
    other           Whose history is asked.
    every_s         Pause between rounds [s].
    span_minutes    How far back minutes are compared.
    settle_s        How old a minute has to be: providers still change younger ones [s].
    """

    def __init__(self, hub: Shown, other: Other, *, every_s: float = 60.0, span_minutes: int = 30, settle_s: float = 120.0) -> None:
        self._hub, self._other = hub, other
        self._every_s, self._span_ns, self._settle_ns = every_s, span_minutes * NS_PER_MIN, int(settle_s * NS_PER_S)
        self._results: dict[str, Agreement] = {}  # symbol -> how it was last compared; put anew, never changed
        self._trouble = "not compared yet"
        self._turn = 0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start comparing; harmless when running."""
        if self._thread is None:
            self._stopped.clear()
            self._other.open_history()
            self._thread = threading.Thread(target=self._run, name="cross-check", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop; a question under way is given up."""
        self._stopped.set()
        self._other.stop()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None

    def agreement(self, symbol: str | None = None) -> Agreement:
        """Return how a symbol, or everything watched, compares; one that was not compared lately counts for nothing."""
        oldest = self._hub.clock.now_ns() - OLD_NS
        results = self._results
        found = [one for name, one in results.items() if symbol in (None, name) and one.ts_ns >= oldest]
        return total(found)

    def told(self, symbol: str | None = None) -> tuple[float | None, str]:
        """Return (share of minutes that agree, None when not measured; a sentence about it), for `Health`."""
        found, name = self.agreement(symbol), self._other.info.name
        if found.frac is None:
            return None, f"{name}: {self._trouble}"
        how = "prices only, one of the two is part of the tape" if self._part(symbol or "") else "prices and volume"
        worst = f"; worst {found.worst} {found.worst_bp:.1f} bp" if found.worst else ""
        return found.frac, f"{name}: {found.n_agreeing} of {found.n} minutes agree ({how}){worst}"

    def check(self) -> None:
        """Compare one round now; blocks on the provider."""
        info = self._hub.source_info
        if info.name == "fallback":  # what is shown may be the second provider's own
            self._results, self._trouble = {}, "not compared while on fallback"
            return
        watched = self._hub.watched()
        self._results = {symbol: one for symbol, one in self._results.items() if symbol in watched}
        first = self._turn % max(1, len(watched))
        chosen = (*watched[first:], *watched[:first])[:MOST_A_ROUND]
        self._turn = first + len(chosen)
        for symbol in chosen:
            if self._stopped.is_set():
                return
            try:
                self._results = {**self._results, symbol: self._check_one(symbol)}
            except (SourceError, SymbolError) as error:
                self._results = {name: one for name, one in self._results.items() if name != symbol}
                self._trouble = str(error)
                log.debug("cross-check of %s: %s", symbol, error)

    def _check_one(self, symbol: str) -> Agreement:
        now_ns = self._hub.clock.now_ns()
        end = (min(now_ns, self._other.clock.now_ns()) - self._settle_ns) // NS_PER_MIN * NS_PER_MIN
        start = end - self._span_ns
        told = self._other.history(symbol, start, end).rows
        rows = self._hub.series(symbol, "1m").rows()
        shown = rows[(rows["ts_open"] >= start) & (rows["ts_open"] < end) & (rows["is_complete"] == 1)]
        self._trouble = "no minute to compare in the last half hour"
        return compare(symbol, shown, told, part=self._part(symbol), now_ns=now_ns)

    def _part(self, symbol: str) -> str:
        """Return which of the two sees only part of a symbol's tape: 'shown', 'told' or neither."""
        if symbol.startswith("O:"):
            return ""
        here, there = self._hub.source_info.is_partial_tape, self._other.info.is_partial_tape
        return "" if here == there else "shown" if here else "told"

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self.check()
            except Exception:
                log.exception("cross-check: a round failed")
