"""Reads the chains that a risk graph needs and computes what its page shows, on a worker's thread.

In: a hub, an `Ask`. Out: a dict for the page. What is wrong is a sentence in it, never an exception. Floor 8, no screen.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from workbench.errors import RecordError, WorkbenchError
from workbench.options.clocks import MINUTES_PER_CALENDAR_YEAR, NS_PER_MIN, TimeClock
from workbench.options.priced import PricedChain, price_chain
from workbench.options.rates import RateCurve
from workbench.options.structures import Structure
from workbench.sessions import to_ny
from workbench.views.risk_graph_of import Held, Market, Scenario, drawn, figures, horizon, lines
from workbench.views.risk_templates import pick
from workbench.views.risk_tiles import TileAsk, tile_map

log = logging.getLogger(__name__)

CLOCK = TimeClock.CAL365
RATE = 0.0  # of the discount alone: each expiry's forward comes from its own quotes
MOST_EXPIRIES = 8  # read at once
ASSUMED = (
    f"time by clock {CLOCK.value}; each expiry keeps its own forward, each leg its own volatility",
    "chance of profit: risk-neutral, one volatility for all spots; without fees",
    "theoretical: the smile fitted through the quotes of the expiry",
)


@dataclass(frozen=True)
class Ask:
    """What a page wants to see. `expiry`: ISO date, '' for the nearest; `template`: a structure wanted of it, (name, right, side)."""

    symbol: str
    expiry: str = ""
    held: tuple[Held, ...] = ()
    scenario: Scenario = field(default_factory=Scenario)
    tiles: TileAsk | None = field(default_factory=TileAsk)
    template: tuple[str, str, str] | None = None


class RiskReading:
    """The chains behind one page. `read` and `release` from any thread, one at a time."""

    def __init__(self, hub: Any) -> None:
        self.is_wanted = True
        self._hub = hub
        self._readers: dict[tuple[str, date], Any] = {}
        self._priced: dict[tuple[str, date], PricedChain] = {}
        self._seen: tuple[Any, ...] = ()
        self._tiled: tuple[TileAsk, PricedChain, dict[str, Any]] | None = None  # what the last tiles were of, and they
        self._lock = threading.Lock()

    def read(self, ask: Ask) -> dict[str, Any] | None:
        """Return what there is to show; None when nothing has changed since the last answer."""
        with self._lock:
            if not self.is_wanted:
                return None
            try:
                return self._read(ask)
            except WorkbenchError as error:
                return self._refused(str(error))
            except Exception as error:
                log.exception("risk graph of %s", ask.symbol)
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
        dates = self._hub.expiries(ask.symbol)
        if not dates:
            self._keep(())
            return self._refused(f"No option of {ask.symbol} is listed at {self._hub.source_info.name}.")
        chosen = date.fromisoformat(ask.expiry) if ask.expiry else dates[0]
        chosen = chosen if chosen in dates else dates[0]
        later = [day for day in dates if day > chosen]
        far = next((day for day in later if (day - chosen).days >= 7), later[-1] if later else None)
        own = [held for held in ask.held if held.structure.underlying == ask.symbol]
        wanted = [chosen, *([far] if ask.template and ask.template[0] == "calendar" and far else []), *_days(own)]
        wanted = list(dict.fromkeys(wanted))[:MOST_EXPIRIES]
        self._keep([(ask.symbol, day) for day in wanted])
        changed = self._price()
        seen = (ask, tuple(id(self._priced.get((ask.symbol, day))) for day in wanted))
        if not changed and seen == self._seen:
            return None
        self._seen = seen
        return self._answer(ask, own, dates, chosen, far)

    def _answer(self, ask: Ask, own: list[Held], dates: tuple[date, ...], chosen: date, far: date | None) -> dict[str, Any]:
        now_ns = self._hub.clock.now_ns()
        chains = {day: priced for (symbol, day), priced in self._priced.items() if symbol == ask.symbol and len(priced)}
        market = Market.of(chains, self._hub.calendar, now_ns)
        here = chains.get(chosen)
        all_drawn = [drawn(held, market, _basis(held, ask.scenario)) for held in own]
        shown = [one for one in all_drawn if one.held.is_shown]
        ahead = horizon(shown)
        picture = lines(shown, ask.scenario, ahead)
        drawn_lines = iter(picture.pop("lines"))
        structures = [
            {**figures(one, ask.scenario, market, ahead), "name": one.held.structure.name, "is_shown": one.held.is_shown,
             "line": next(drawn_lines, None) if one.held.is_shown else None, "basis": _basis(one.held, ask.scenario)}
            for one in all_drawn
        ]  # fmt: skip
        return {
            "status": "" if here else self._waiting(ask.symbol, chosen),
            "places": [i for i, held in enumerate(ask.held) if held.structure.underlying == ask.symbol],
            "symbol": ask.symbol, "expiry": chosen.isoformat(), "expiries": [[day.isoformat(), _dte(day, now_ns)] for day in dates],
            "spot": market.spot_usd if market.spot_usd == market.spot_usd else None,
            "asof": f"{to_ny(here.chain.asof_ns):%H:%M:%S}" if here else "",
            "horizon": _moment(now_ns, ahead), "then": _moment(now_ns, ahead * ask.scenario.when_frac), "horizon_hours": ahead * 8760,
            **picture, "structures": structures,
            "strikes": _strikes(here), "tiles": self._tiles(ask, here, market),
            "notes": [*(here.chain.notes if here else ())], "assumed": list(ASSUMED),
            "atm_iv": _finite(here.expiries[0].atm_vol) if here else None,
            "move": _finite(here.expiries[0].expected_move_usd) if here else None,
            **({"picked": _picked(ask, here, far)} if ask.template else {}),
        }  # fmt: skip

    def _tiles(self, ask: Ask, here: PricedChain | None, market: Market) -> dict[str, Any] | None:
        if ask.tiles is None or here is None or not here.expiries:
            return None
        if self._tiled is None or self._tiled[0] != ask.tiles or self._tiled[1] is not here:
            e = here.expiries[0]
            self._tiled = ask.tiles, here, tile_map(here, market.smiles.get((e.root, e.date)), ask.tiles)
        return self._tiled[2]

    def _waiting(self, symbol: str, day: date) -> str:
        reader = self._readers.get((symbol, day))
        said = reader.status.reason if reader is not None else ""
        return said or f"The chain of {symbol} {day} is loading."

    def _keep(self, wanted: Any) -> None:
        """Open what is wanted and close the rest."""
        for key in [key for key in self._readers if key not in wanted]:
            self._readers.pop(key).close()
            self._priced.pop(key, None)
        for symbol, day in wanted:
            if (symbol, day) in self._readers and self._readers[symbol, day].is_over:
                self._readers.pop((symbol, day)).close()
            if (symbol, day) not in self._readers:
                self._readers[symbol, day] = self._hub.chain(symbol, day)

    def _price(self) -> bool:
        """Price every chain that is new; return whether one was."""
        changed = False
        for key, reader in self._readers.items():
            chain, held = reader.snapshot(), self._priced.get(key)
            if held is None or held.chain is not chain:
                self._priced[key] = price_chain(chain, clock=CLOCK, rates=RateCurve.constant(RATE), calendar=self._hub.calendar)
                changed = True
        return changed


def _picked(ask: Ask, here: PricedChain | None, far: date | None) -> dict[str, Any]:
    assert ask.template is not None
    if here is None:
        return {"wait": True}
    name, right, side = ask.template
    try:
        return {"structure": pick(name, here, right=right, side=side, far=far).to_dict()}
    except RecordError as error:
        return {"error": str(error)}


def _days(held: list[Held]) -> list[date]:
    return sorted({leg.contract.expiry for one in held for leg in one.structure.legs if leg.contract})


def _basis(held: Held, scenario: Scenario) -> str:
    """Return what the structure's cost goes by: its own entry where it was fixed, else the page's choice."""
    return "entry" if held.entry_usd is not None else scenario.basis


def _moment(now_ns: int, years: float) -> str:
    then = to_ny(now_ns + int(years * MINUTES_PER_CALENDAR_YEAR * NS_PER_MIN))
    return f"{then:%a %d %b %H:%M}"


def _dte(day: date, now_ns: int) -> int:
    return (day - to_ny(now_ns).date()).days


def _strikes(priced: PricedChain | None) -> list[float]:
    if priced is None or not priced.expiries:
        return []
    e = priced.expiries[0]
    return sorted({float(k) for k in priced.rows["strike"][e.first : e.end]})


def _finite(x: float) -> float | None:
    return float(x) if x == x and abs(x) != float("inf") else None


def plain(held: Held) -> dict[str, Any]:
    """Return a held structure for the shelf."""
    return {"structure": held.structure.to_dict(), "is_shown": held.is_shown, "entry_usd": held.entry_usd}


def from_plain(kept: Any) -> Held | None:
    """Return what a shelf kept; None for what is none."""
    try:
        entry = kept.get("entry_usd")
        return Held(
            Structure.from_dict(kept["structure"]),
            bool(kept.get("is_shown", True)),
            float(entry) if isinstance(entry, int | float) else None,
        )
    except (WorkbenchError, AttributeError, KeyError, TypeError):
        return None
