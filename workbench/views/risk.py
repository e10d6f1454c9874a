"""The risk graph: structures on one underlying, what they cost, bring and risk, under sliders of date, volatility and spot.

`RiskPage` belongs to one browser session. What a person does comes as one message each, changes the state and is computed by
`risk_reading.py` on another thread; `tick` sends the answer. Structures and saved ones are on the shelf. Floor 8.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import Child, JSComponent

from workbench.errors import RecordError, StoreError, WorkbenchError, choices
from workbench.options.structures import MAX_LEGS, SHARES_PER_CONTRACT, Leg, Structure, opposite, underlying_of
from workbench.options.templates import TEMPLATES
from workbench.types import OptionContract, check_symbol
from workbench.views import theme
from workbench.views.health_strip import HealthStrip
from workbench.views.models import normal_symbol
from workbench.views.risk_graph_of import BASES, Held, Scenario
from workbench.views.risk_reading import Ask, RiskReading, from_plain, plain
from workbench.views.risk_tiles import TileAsk, structure_of_tile
from workbench.views.shelf import Shelf

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
TICK_MS = 100
HEALTH_EVERY = 5
MOST_HELD, MOST_SAVED = 6, 200
LIMITS = {"when_frac": (0.0, 1.0), "spot_frac": (-0.9, 2.0), "vol_points": (-100.0, 200.0)}
_WORK = ThreadPoolExecutor(max_workers=1, thread_name_prefix="risk")


class RiskShell(JSComponent):
    """The page: lists, canvas, sliders, tiles. It knows nothing of markets."""

    strip = Child(doc="Right end of the top bar; none on the desk, which has its own.")
    is_docked = param.Boolean(
        False, constant=True, doc="Whether it stands in the desk's column: colours, symbol and most keys are the desk's."
    )
    theme = param.String("dark")
    palette = param.String("teal")
    colours = param.Dict(default={}, doc="Theme tokens.")
    templates = param.List(default=list(TEMPLATES), doc="Names of templates.")
    controls = param.Dict(default={}, doc="What was chosen: symbol, active, scenario, tiles.")
    saved = param.List(default=[], doc="Structures on the shelf: name, underlying, legs in words.")
    greeting = param.String("", doc="One sentence for whoever opens the page.")

    _esm = STATIC / "risk.js"
    _stylesheets = [STATIC / "risk.css"]

    def __init__(self, **params: Any) -> None:
        self.on_message: Callable[[dict[str, Any]], None] | None = None
        super().__init__(sizing_mode="stretch_both", **params)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if self.on_message is not None:
            self.on_message(message)

    def tell(self, **what: Any) -> None:
        """Send a message to the page."""
        self._send_msg(what)


class RiskPage:
    """The risk graph of one browser session over one hub."""

    def __init__(
        self, hub: Any, shelf: Shelf | None = None, query: Mapping[str, str] | None = None, shell: RiskShell | None = None
    ) -> None:
        """`query` is what the address asks for: symbol, expiry, theme. `shell`: None for one with health strip and colours of its own."""
        self.hub, self.shelf = hub, shelf or Shelf(None)
        self.reading = RiskReading(hub)
        kept, asked = self.shelf.read("risk", {}), dict(query or {})
        looks = self.shelf.read("prefs", {})
        self.theme = _among(asked.get("theme", looks.get("theme")), theme.THEMES)
        self.palette = _among(looks.get("palette"), theme.PALETTES)
        self.symbol = self._first_symbol(asked.get("symbol") or kept.get("symbol"))
        self.expiry = _iso(asked.get("expiry"))
        self.held = [held for held in map(from_plain, _listed(kept.get("held"))) if held is not None][:MOST_HELD]
        self.active = 0
        self.scenario, self.tiles, self.template = Scenario(), TileAsk(), None
        self._job: Future[Any] | None = None
        self._job_ask: Ask | None = None
        self._turn, self._callback = 0, None
        self.strip = HealthStrip(hub) if shell is None else None
        self.shell = RiskShell(strip=self.strip) if shell is None else shell
        self.shell.on_message = self._on_message
        self._sync()

    @property
    def view(self) -> RiskShell:
        """What is shown."""
        return self.shell

    # -- running -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick in the present session, until it ends."""
        self._callback = pn.state.add_periodic_callback(self.tick, period=TICK_MS)
        pn.state.on_session_destroyed(lambda _: self.stop())

    def resume(self) -> None:
        """Read again after `stop`."""
        self.reading.is_wanted = True
        self._do_ready(None)

    def stop(self) -> None:
        """Stop ticking and let go of the chains; harmless when stopped."""
        callback, self._callback = self._callback, None
        if callback is not None and callback.running:
            callback.stop()
        self.reading.is_wanted = False
        _WORK.submit(self.reading.release)

    def tick(self) -> None:
        """Send what was computed and have the next computed."""
        self._turn += 1
        if self.strip is not None and self._turn % HEALTH_EVERY == 1:
            self.strip.tick()
        if self._job is not None and self._job.done():
            answer, ask, self._job = self._job.result(), self._job_ask, None
            if answer is not None:
                self._answered(answer, ask)
        if self._job is None:
            self._job_ask = self.ask()
            self._job = _WORK.submit(self.reading.read, self._job_ask)

    def ask(self) -> Ask:
        """Return what the page wants to see now."""
        return Ask(self.symbol, self.expiry, tuple(self.held), self.scenario, self.tiles, self.template)

    def _answered(self, answer: dict[str, Any], ask: Ask | None) -> None:
        picked = answer.pop("picked", None)
        if picked is not None and ask is not None and ask.template == self.template and "wait" not in picked:
            self.template = None
            if "error" in picked:
                self.shell.tell(say=picked["error"])
            else:
                self._add(Held(Structure.from_dict(picked["structure"])))
        self.shell.tell(answer=answer)

    # -- what the page says ------------------------------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        self.do(str(message.get("do")), message.get("value"))

    def do(self, kind: str, value: Any = None) -> None:
        """Do what a person did on the page; what makes no sense is answered with one sentence."""
        try:
            self._do(kind, value)
        except WorkbenchError as error:
            self.shell.tell(say=str(error))
        except Exception as error:  # a click that does nothing and says nothing would look like a dead page
            log.exception("risk graph: a command of the page failed")
            self.shell.tell(say=f"That failed ({type(error).__name__}: {error}).")
        self._sync()

    def _do(self, kind: str, value: Any) -> None:
        doing = getattr(self, f"_do_{kind}", None)
        if doing is None:
            raise RecordError(f"do: received {choices(kind, sorted(name[4:] for name in dir(self) if name.startswith('_do_')))}")
        doing(value)

    def _do_ready(self, _value: Any) -> None:
        self.reading._seen = ()

    def _do_symbol(self, value: Any) -> None:
        self.symbol, self.expiry = check_symbol(normal_symbol(str(value))), ""
        self.active = next((i for i, held in enumerate(self.held) if held.structure.underlying == self.symbol), 0)
        self._keep()

    def _do_expiry(self, value: Any) -> None:
        self.expiry = _iso(value)

    def _do_scenario(self, value: Any) -> None:
        wanted = dict(value)
        if "basis" in wanted and wanted["basis"] not in BASES[:3]:
            raise RecordError(f"basis: received {choices(str(wanted['basis']), BASES[:3])}")
        numbers = {name: min(max(float(wanted[name]), low), high) for name, (low, high) in LIMITS.items() if name in wanted}
        self.scenario = replace(self.scenario, **numbers, **({"basis": wanted["basis"]} if "basis" in wanted else {}))

    def _do_tiles(self, value: Any) -> None:
        known = {item.name for item in fields(TileAsk)}
        self.tiles = replace(self.tiles, **{name: x for name, x in dict(value).items() if name in known})

    def _do_template(self, value: Any) -> None:
        name = str(value.get("name"))
        if name not in TEMPLATES:
            raise RecordError(f"template: received {choices(name, list(TEMPLATES))}")
        self.template = (name, "P" if value.get("right") == "P" else "C", "sell" if value.get("side") == "sell" else "buy")

    def _do_tile(self, value: Any) -> None:
        self._add(Held(structure_of_tile(value)))

    def _do_active(self, value: Any) -> None:
        self.active = max(0, min(int(value), len(self.held) - 1))

    def _do_show(self, value: Any) -> None:
        held = self._at(value)
        self._put(int(value), replace(held, is_shown=not held.is_shown))

    def _do_remove(self, value: Any) -> None:
        self._at(value)
        del self.held[int(value)]
        self.active = max(0, min(self.active, len(self.held) - 1))
        self._keep()

    def _do_reverse(self, value: Any) -> None:
        held = self._at(value)
        self._put(int(value), replace(held, structure=held.structure.reversed(), entry_usd=None))

    def _do_fix(self, value: Any) -> None:
        """Fix what a structure was entered for; without a price it floats with the market again."""
        price = value.get("entry_usd")
        self._put(int(value["index"]), replace(self._at(value["index"]), entry_usd=None if price is None else float(price)))

    def _do_leg(self, value: Any) -> None:
        """Change one leg of the active structure: side, qty, strike, expiry, right."""
        held, k = self._at(self.active), int(value["leg"])
        legs = list(held.structure.legs)
        if not 0 <= k < len(legs):
            raise RecordError(f"leg: received {k}; allowed: 0 to {len(legs) - 1}")
        legs[k] = _changed(legs[k], value)
        self._put(self.active, Held(replace(held.structure, legs=tuple(legs)), held.is_shown))

    def _do_add_leg(self, value: Any) -> None:
        """Add a contract, or shares, to the active structure; begin one where there is none on this underlying."""
        symbol = str(value["symbol"])
        leg = Leg(None if symbol == self.symbol else OptionContract.parse(symbol), "sell" if value.get("side") == "sell" else "buy",
                  int(value.get("qty") or (SHARES_PER_CONTRACT if symbol == self.symbol else 1)))  # fmt: skip
        under = self.symbol if leg.contract is None else underlying_of(leg.contract.root)
        own = self.held[self.active] if value.get("is_new") is not True and self.held else None
        if own is None or own.structure.underlying != under:
            self._add(Held(Structure(under, (leg,), "custom")))
        elif len(own.structure.legs) >= MAX_LEGS:
            raise RecordError(f"legs: received one more; allowed: {MAX_LEGS}")
        else:
            self._put(self.active, Held(replace(own.structure.with_leg(leg), name="custom"), own.is_shown))

    def _do_drop_leg(self, value: Any) -> None:
        held = self._at(self.active)
        if len(held.structure.legs) == 1:
            return self._do_remove(self.active)
        self._put(self.active, Held(replace(held.structure.without_leg(int(value)), name="custom"), held.is_shown))
        return None

    def _do_save(self, value: Any) -> None:
        held, name = self._at(value["index"]), str(value.get("name") or "").strip()[:60]
        name = name or f"{held.structure.underlying} {held.structure.name}"
        kept = [item for item in self._saved() if item.get("name") != name]
        if len(kept) >= MOST_SAVED:
            raise RecordError(f"saved structures: received one more; allowed: {MOST_SAVED}; remove one first")
        self._store("structures", [*kept, {"name": name, **plain(held)}])
        self.shell.tell(say=f"Saved as {name!r}.", is_good=True)

    def _do_load(self, value: Any) -> None:
        item = next((item for item in self._saved() if item.get("name") == value), None)
        held = from_plain(item)
        if held is None:
            raise RecordError(f"saved structure: received {value!r}, which can't be read any more; next: remove it")
        if held.structure.underlying != self.symbol:
            self._do_symbol(held.structure.underlying)
        self._add(replace(held, is_shown=True))

    def _do_forget(self, value: Any) -> None:
        self._store("structures", [item for item in self._saved() if item.get("name") != value])

    def _do_look(self, value: Any) -> None:
        self.theme, self.palette = _among(value.get("theme"), theme.THEMES), _among(value.get("palette", self.palette), theme.PALETTES)
        self._store("prefs", {**self.shelf.read("prefs", {}), "theme": self.theme, "palette": self.palette})

    # -- state -------------------------------------------------------------------------------------------------------------

    def _at(self, index: Any) -> Held:
        if not 0 <= int(index) < len(self.held):
            raise RecordError("structure: none is chosen; next: add one from a template or a tile")
        return self.held[int(index)]

    def _put(self, index: int, held: Held) -> None:
        self.held[index] = held
        self._keep()

    def _add(self, held: Held) -> None:
        if len(self.held) >= MOST_HELD:
            raise RecordError(f"structures: received one more; allowed: {MOST_HELD} at once; remove one first")
        self.held = [*self.held, held]
        self.active = len(self.held) - 1
        self._keep()
        self._sync()

    def _keep(self) -> None:
        self._store("risk", {"symbol": self.symbol, "held": [plain(held) for held in self.held]})

    def _store(self, name: str, value: Any) -> None:
        try:
            self.shelf.write(name, value)
        except StoreError as error:
            self.shell.tell(say=str(error))

    def _saved(self) -> list[dict[str, Any]]:
        return [item for item in _listed(self.shelf.read("structures", [])) if isinstance(item, dict)]

    def _sync(self) -> None:
        """Tell the page what its own controls have to show."""
        s = self.scenario
        look = {"theme": self.theme, "palette": self.palette, "colours": theme.tokens(self.theme, self.palette)}
        self.shell.param.update(
            **({} if self.shell.is_docked else look),
            saved=[_words(item) for item in self._saved()],
            controls={
                "symbol": self.symbol, "active": self.active,
                "scenario": {f.name: getattr(s, f.name) for f in fields(Scenario)},
                "tiles": {f.name: getattr(self.tiles, f.name) for f in fields(TileAsk)}, "n_held": len(self.held),
            },
        )  # fmt: skip

    def _first_symbol(self, wanted: Any) -> str:
        try:
            return check_symbol(normal_symbol(str(wanted))) if wanted else next(iter(self.hub.watched()), "SPY")
        except WorkbenchError:
            return next(iter(self.hub.watched()), "SPY")


def _changed(leg: Leg, value: Mapping[str, Any]) -> Leg:
    """Return a leg with what a person changed of it; its price is the market's again."""
    side = opposite(leg.side) if value.get("flip") else leg.side
    qty = int(value.get("qty", leg.qty))
    contract = leg.contract
    if contract is not None:
        strike = Decimal(str(value["strike"])) if "strike" in value else contract.strike
        day = date.fromisoformat(str(value["expiry"])) if "expiry" in value else contract.expiry
        right = ("P" if value["right"] == "P" else "C") if "right" in value else contract.right
        contract = OptionContract(contract.root, day, right, strike, contract.multiplier)  # type: ignore[arg-type]  # one of the two
    return Leg(contract, side, qty)


def _words(item: Mapping[str, Any]) -> dict[str, Any]:
    held = from_plain(item)
    said = "can't be read" if held is None else ", ".join(_leg_words(leg) for leg in held.structure.legs)
    return {"name": str(item.get("name", "")), "underlying": held.structure.underlying if held else "", "legs": said}


def _leg_words(leg: Leg) -> str:
    sign = "+" if leg.side == "buy" else "−"
    what = "sh" if leg.contract is None else f"{leg.contract.strike:f}{leg.contract.right} {leg.contract.expiry:%d %b}"
    return f"{sign}{leg.qty} {what}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _among(value: Any, allowed: tuple[str, ...]) -> str:
    return value if value in allowed else allowed[0]


def _iso(value: Any) -> str:
    """Return an ISO date, '' for what is none."""
    try:
        return date.fromisoformat(str(value)).isoformat() if value else ""
    except ValueError:
        return ""
