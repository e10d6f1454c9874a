"""Reads chains of a hub and computes their exposure, on a worker's thread; keeps what each moment said for the heat map.

`ExposureReading` belongs to one screen: it holds readers of the nearest expiries while that is shown and none otherwise. `Histories` are
shared by all screens of the process, so that a page that is opened again goes on where it was.

In: a hub, what is asked. Out: a dict for the page. What is wrong is a sentence in it, never an exception. Floor 8, no screen.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from workbench.clock import NS_PER_S
from workbench.errors import RecordError, WorkbenchError
from workbench.options.chain import Chain
from workbench.options.clocks import TimeClock
from workbench.options.exposure import Convention, Exposure
from workbench.options.exposure_chain import ChainExposure, chain_exposure
from workbench.options.exposure_history import ExposureHistory, HeatMap
from workbench.options.priced import price_chain
from workbench.options.profile_rows import Hours
from workbench.options.rates import RateCurve
from workbench.sessions import to_ny
from workbench.views.exposure_board import HEAT_REACH_FRAC, board, heat_of, name_of
from workbench.views.exposure_model import ALL, ExposureModel
from workbench.views.exposure_profile import session_profile
from workbench.views.health_strip import shown_mode

log = logging.getLogger(__name__)

CLOCK = TimeClock.CAL365
RATE = 0.0  # of the discount alone: each expiry's forward comes from its own quotes
ASSUMED = (f"time: clock {CLOCK.value}, interest {RATE:.0%} in the discount; each expiry's forward is what its own quotes tell",)
MOMENT_NS = 15 * NS_PER_S  # of a heat map's column
MOST_HISTORIES = 12  # a whole day of 500 strikes is 12 MB
EACH_KEPT = 3  # so many expiries keep a history each; of more only the one that is shown
DRIFT_FRAC = 0.02  # how far the spot may leave the middle of a heat map before its strikes are chosen anew


@dataclass(frozen=True)
class Ask:
    """What a screen wants to see: the choices of an ExposureModel at one moment."""

    symbol: str
    n_expiries: int
    expiry: str
    convention: Convention
    hours: Hours

    @classmethod
    def of(cls, model: ExposureModel) -> Ask:
        """Return what the model says now."""
        return cls(model.symbol, model.n_expiries, model.expiry, model.convention, Hours(model.hours))


class Histories:
    """Exposure through the session by what it is of: (symbol, expiry or number of them, convention); the newest `MOST_HISTORIES`.

    Key -> (epoch of the market, session date, history). From any thread.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[Any, ...], tuple[int, date, ExposureHistory]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, key: tuple[Any, ...], epoch: int, ts_ns: int, exposure: Exposure) -> None:
        """Keep a moment. A new day, a market that began anew or time that went back start a history anew."""
        day = to_ny(ts_ns).date()
        slot_ns = ts_ns // MOMENT_NS * MOMENT_NS
        with self._lock:
            held = self._held.pop(key, None)
            history = held[2] if held is not None and held[:2] == (epoch, day) else ExposureHistory()
            try:
                history.add(slot_ns, exposure)
            except RecordError:
                history.clear()
                history.add(slot_ns, exposure)
            self._held[key] = epoch, day, history
            while len(self._held) > MOST_HISTORIES:
                self._held.popitem(last=False)

    def heat_map(self, key: tuple[Any, ...], low: float, high: float) -> HeatMap:
        """Return what was kept of the strikes between two prices; empty when nothing was."""
        with self._lock:
            held = self._held.get(key)
            return (held[2] if held is not None else ExposureHistory()).heat_map(low, high)


class ExposureReading:
    """Chains of the nearest expiries of one underlying, and what they say. `read` and `release` from any thread.

    `is_wanted` is set by the screen: a read that comes to its turn after the screen was hidden opens nothing.
    """

    def __init__(self, hub: Any, histories: Histories) -> None:
        self.is_wanted = True
        self._hub, self._histories = hub, histories
        self._chains: list[Chain] = []  # of the last answer; held, since their ids are what `_seen` goes by
        self._readers: dict[tuple[str, date], Any] = {}
        self._lock = threading.Lock()
        self._seen: tuple[Any, ...] = ()
        self._heat: tuple[Any, ...] = ()  # what the page's heat map holds: key, low, high, strikes, second of its newest column

    def read(self, ask: Ask, *, whole: bool = False) -> dict[str, Any] | None:
        """Return what there is to show; None when nothing has changed. `whole`: everything, for a page that knows nothing yet."""
        with self._lock:
            if not self.is_wanted:
                return None
            if whole:
                self._seen, self._heat = (), ()
            try:
                return self._read(ask)
            except WorkbenchError as error:
                return self._refused(str(error))
            except Exception as error:
                log.exception("exposure of %s", ask.symbol)
                return self._refused(f"It could not be computed ({type(error).__name__}: {error}); it is tried again.")

    def release(self) -> None:
        """Close all readers, unless somebody looks again."""
        with self._lock:
            if not self.is_wanted:
                self._keep(())

    def _refused(self, sentence: str) -> dict[str, Any]:
        self._seen = ()
        return {"status": sentence}

    def _read(self, ask: Ask) -> dict[str, Any] | None:
        dates = self._hub.expiries(ask.symbol)[: ask.n_expiries]
        if not dates:
            self._keep(())
            return {"status": f"No option of {ask.symbol} is listed at {self._hub.source_info.name}."}
        self._keep([(ask.symbol, day) for day in dates])
        chains = [reader.snapshot() for reader in self._readers.values()]
        health = self._health()
        seen = (ask, *map(id, chains), health["mode"])
        if seen == self._seen:
            return None
        told = [chain for chain in chains if len(chain)]
        if not told:
            reasons = dict.fromkeys(note for chain in chains for note in chain.notes)
            return {"status": f"{ask.symbol}: {'; '.join(reasons)}", "health": health, "is_waiting": True}
        got = self._computed(joined(told, n_missing=len(chains) - len(told)), ask.convention)
        of = [got.of(i) for i in range(len(got.expiries))]
        names = [name_of(expiry) for expiry in got.expiries]
        shown = of[names.index(ask.expiry)] if ask.expiry in names else got.total
        key = self._remember(ask, got, of, names)
        answer = board(got, shown, of, assumed=ASSUMED)
        answer |= {"shown": ask.expiry if ask.expiry in names else ALL, "health": health, "heat": self._heat_news(key, shown.spot)}
        answer["profile"] = session_profile(self._hub, ask.symbol, ask.hours)
        self._seen, self._chains = seen, chains
        return answer

    def _computed(self, chain: Chain, convention: Convention) -> ChainExposure:
        priced = price_chain(chain, clock=CLOCK, rates=RateCurve.constant(RATE), calendar=self._hub.calendar)
        return chain_exposure(priced, convention)

    def _health(self) -> dict[str, Any]:
        told = self._hub.health()
        return {"mode": shown_mode(str(told.mode), self._hub.source_info), "reason": told.reason}

    # -- readers -------------------------------------------------------------------------------------------------------------------

    def _keep(self, wanted: Sequence[tuple[str, date]]) -> None:
        """Hold readers of exactly these, in this order; one whose hub was stopped is opened again."""
        held = self._readers
        self._readers = {}
        try:
            for key in wanted:
                reader = held.pop(key, None)
                if reader is not None and reader.is_over:
                    reader.close()
                    reader = None
                self._readers[key] = self._hub.chain(*key) if reader is None else reader
        finally:
            for reader in held.values():
                reader.close()

    # -- heat map -------------------------------------------------------------------------------------------------------------------

    def _remember(self, ask: Ask, got: ChainExposure, of: list[Exposure], names: list[str]) -> tuple[Any, ...]:
        """Keep this moment of the sum and of each expiry; return the key of what is shown."""
        epoch, ts_ns = self._hub.epoch, got.priced.chain.asof_ns
        sum_key = (ask.symbol, f"nearest {len(names)}", ask.convention)
        self._histories.add(sum_key, epoch, ts_ns, got.total)
        for name, exposure in zip(names, of, strict=True):
            if name == ask.expiry or len(names) <= EACH_KEPT:
                self._histories.add((ask.symbol, name, ask.convention), epoch, ts_ns, exposure)
        return (ask.symbol, ask.expiry, ask.convention) if ask.expiry in names else sum_key

    def _heat_news(self, key: tuple[Any, ...], spot: float) -> dict[str, Any]:
        """Return the newest columns that the page does not hold; all of them, marked so, when it holds another map."""
        held = self._heat
        is_held = bool(held) and held[0] == key and abs(spot - 0.5 * (held[1] + held[2])) <= DRIFT_FRAC * spot
        low, high = held[1:3] if is_held else (spot * (1 - HEAT_REACH_FRAC), spot * (1 + HEAT_REACH_FRAC))
        heat = self._histories.heat_map(key, low, high)
        newest = int(heat.ts_ns[-1]) if len(heat.ts_ns) else 0
        since = held[4] if is_held and np.array_equal(held[3], heat.strikes) and newest >= held[4] else 0
        self._heat = key, low, high, heat.strikes, newest
        return {**heat_of(heat, since), "is_whole": not since}


def joined(chains: Sequence[Chain], *, n_missing: int = 0) -> Chain:
    """Return chains of ascending expiry dates as one: its moment and spot are the newest told, its notes all of theirs."""
    newest = max(chains, key=lambda chain: chain.spot_ts_ns)
    notes = [note for chain in chains for note in chain.notes]
    if n_missing:
        notes.insert(0, f"{n_missing} of {n_missing + len(chains)} expiries are not loaded yet: they are in no sum")
    return Chain(
        newest.underlying,
        newest.spot,
        newest.spot_ts_ns,
        max(chain.asof_ns for chain in chains),
        np.concatenate([chain.rows for chain in chains]),
        newest.source,
        tuple(dict.fromkeys(notes)),
    )
