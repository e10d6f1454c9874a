"""The option chain on a screen: calls, strikes, puts of one expiry, live, with greeks by the chain's own quotes.

The server reads the chain, prices it on a thread of its own at most `PRICE_EVERY_S`, and sends the cells that changed; the page draws
those that are seen. Nothing is read while the view is closed. What a person clicks goes into the `Selection`, which charts follow.
Prices are by calendar time and without interest unless the view is told otherwise; where the quotes tell a forward it stands in
for both. How old a quote may be is said in `chain_grid.py`.

Floor 8. All methods run on the session's own thread; asking for expiries and pricing run elsewhere and are collected by `tick`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import param
from panel.custom import JSComponent

from workbench.clock import monotonic_ns
from workbench.errors import RecordError, StoreError, WorkbenchError
from workbench.hub.chains import ChainReader
from workbench.options.chain import Chain
from workbench.options.chain_status import ChainStatus, PricingModel
from workbench.options.clocks import TimeClock, days_to_expiry
from workbench.options.expiry import monthly_expiry, style
from workbench.options.liquidity import LiquidityWarning
from workbench.options.priced import PricedChain, PricedExpiry, price_chain
from workbench.options.quotes import QuoteLimits
from workbench.options.rates import RateCurve
from workbench.sessions import SessionCalendar, to_ny
from workbench.types import NS_PER_S, OptionContract
from workbench.views.chain_grid import (
    COLUMNS,
    NAMES,
    OLD_S,
    STANDING_S,
    Layout,
    Sent,
    as_of_its_quotes,
    as_text,
    fields,
    layout_of,
    newest_ns,
)
from workbench.views.labels import decimals_of
from workbench.views.legs import KINDS, PickedLeg, legs_of, price_of
from workbench.views.models import Selection
from workbench.views.shelf import Shelf

STATIC = Path(__file__).parent / "static"
PRICE_EVERY_S = 0.2
LOOK_AGAIN_S = 1.0  # without a change: ages grow all the same
MAX_UNSEEN = 6  # messages that the page has not drawn; then it gets none until it has
DEFAULT_COLUMNS = ("bid", "ask", "delta", "iv")  # what 420 px hold
LEVEL_STEP_FRAC = 0.05  # of the expected move: by less its lines on the chart don't move
LIMITS = QuoteLimits(max_age_s=STANDING_S)
_ASKS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="chain-expiries")
_PRICES = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chain-price")


class ChainView(JSComponent):
    """The chain of `selection.underlying`. `open()` it, call `tick()` about ten times a second, `close()` it."""

    place = param.Dict(default={}, doc="state, message, underlying, expiries (date, label, dte, tag), expiry, roots, root.")
    columns = param.List(default=[list(column) for column in COLUMNS], doc="Offered: name, title, about, decimals.")
    chosen = param.List(default=list(DEFAULT_COLUMNS), doc="Columns shown, by name.")
    selected = param.Dict(default={}, doc="Contract selected: root, expiry, strike, right; empty for none.")
    is_move_shown = param.Boolean(True, doc="Whether the expected move is drawn on the charts of the underlying.")
    texts = param.Dict(default={}, doc="Sentences by number: status, model, warnings.")

    _esm = STATIC / "chain.js"
    _stylesheets = [STATIC / "chain.css"]

    def __init__(
        self,
        hub: Any,
        selection: Selection,
        shelf: Shelf | None = None,
        *,
        clock: TimeClock = TimeClock.CAL365,
        rates: RateCurve | None = None,
        dividend_yield: float = 0.0,
        kept_as: str = "chain",
        first_columns: Sequence[str] = DEFAULT_COLUMNS,
        **params: Any,
    ) -> None:
        """`kept_as`: name on the shelf of what a person chose; until then `first_columns` are shown."""
        self._kept_as, self._first_columns = kept_as, list(first_columns)
        self._hub, self._selection, self._shelf = hub, selection, shelf or Shelf(None)
        self._clock, self._rates, self._dividend_yield = clock, rates or RateCurve.constant(0.0), dividend_yield
        self.on_levels: Callable[[], None] | None = None  # told when `levels` are others
        self.levels: list[dict[str, Any]] = []  # expected move, for charts of the underlying
        self.is_open = False
        self._asking: Future[tuple[date, ...]] | None = None
        self._reader: ChainReader | None = None
        self._dates: tuple[date, ...] = ()
        self._expiry: date | None = None
        self._root = ""
        self._forget_chain()
        kept = self._shelf.read(kept_as, {})
        super().__init__(
            chosen=_known(kept.get("columns")) or self._first_columns, is_move_shown=kept.get("is_move_shown") is not False,
            texts=_texts(), sizing_mode="stretch_both", **params,
        )  # fmt: skip
        selection.param.watch(lambda *_: self._follow(), ["underlying", "contract"])

    # -- opening and closing -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to read the chain of the selected underlying."""
        self.is_open = True
        self._ask()

    def close(self) -> None:
        """Read nothing any more; harmless when closed."""
        self.is_open = False
        self._let_go()
        self._asking = None
        self._carry(())

    def _follow(self) -> None:
        contract = self._selection.contract
        self.selected = _parts(OptionContract.parse(contract)) if contract else {}
        if not self.is_open:
            return
        if self._selection.underlying != self.place.get("underlying"):
            self._ask()
        elif contract and self._dates:
            option = OptionContract.parse(contract)
            self._root = option.root
            if option.expiry != self._expiry and option.expiry in self._dates:
                self._show(option.expiry)

    def _ask(self) -> None:
        """Ask for the expiries of the underlying, on another thread."""
        self._let_go()
        self._carry(())
        underlying = self._selection.underlying
        self._dates, self._expiry, self._root = (), None, ""
        self._say("loading", f"Looking for option chains of {underlying} …", underlying=underlying, expiries=[], expiry="")
        self._asking = _ASKS.submit(self._hub.expiries, underlying)

    def _take_expiries(self, asked: Future[tuple[date, ...]]) -> None:
        self._asking = None
        try:
            self._dates = asked.result()
        except Exception as error:  # noqa: BLE001 - whatever a provider's client raises, the screen says so
            self._say("error", str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}")
            return
        if not self._dates:
            self._say("error", f"{self._selection.underlying} has no listed options at this source.")
            return
        contract = self._selection.contract
        wanted = OptionContract.parse(contract) if contract else None
        self._root = "" if wanted is None else wanted.root
        self._show(wanted.expiry if wanted is not None and wanted.expiry in self._dates else self._dates[0])

    def _show(self, expiry: date) -> None:
        """Read one expiry."""
        self._let_go()
        self._expiry = expiry
        self.place = {**self.place, "expiries": self._listed(), "expiry": expiry.isoformat(), "roots": [], "root": ""}
        try:
            self._reader = self._hub.chain(self._selection.underlying, expiry)
        except WorkbenchError as error:
            self._say("error", str(error))
            return
        self._say("loading", "Waiting for the chain …")

    def _let_go(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        self._forget_chain()

    def _forget_chain(self) -> None:
        self._layout: Layout | None = None
        self._priced: PricedChain | None = None
        self._pricing: Future[PricedChain] | None = None
        self._unpriced = ""  # why the last pricing failed
        self._priced_at = self._drawn_at = 0  # stopwatch [ns]
        self._changes = self._priced_changes = -1
        self._sent, self._head = Sent(), {}
        self._n = self._seen = 0  # messages sent, and drawn by the page
        self._word = -1
        self._grid_is_sent = False
        self._picks: list[str] = []

    def _say(self, state: str, message: str, **more: Any) -> None:
        self.place = {**self.place, **more, "state": state, "message": message}

    def _listed(self) -> list[list[Any]]:
        """Return the expiries as the picker shows them: date, label, days, tag."""
        now, calendar = self._hub.clock.now_ns(), self._hub.calendar
        return [[day.isoformat(), f"{day:%a} {day.day} {day:%b %y}", days_to_expiry(now, day), _tag(day, calendar)] for day in self._dates]

    # -- every turn --------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Send what changed since the last turn; nothing when the page has not drawn what it got."""
        if self._asking is not None and self._asking.done():
            self._take_expiries(self._asking)
        reader = self._reader
        if reader is None or self._n - self._seen > MAX_UNSEEN:
            return
        is_news = self._collect_pricing()
        changes, now = reader.changes, monotonic_ns()
        if changes == self._changes and not is_news and now - self._drawn_at < LOOK_AGAIN_S * NS_PER_S:
            return
        self._changes, self._drawn_at = changes, now
        whole = reader.snapshot()
        if not len(whole):
            self._wait_for(whole, reader)
            return
        chain = self._of_root(whole)
        self._draw(chain, reader)
        self._price(chain, changes, now)

    def _wait_for(self, chain: Chain, reader: ChainReader) -> None:
        status = reader.status
        text = "; ".join(dict.fromkeys(note for note in (status.reason, *chain.notes) if note))
        state = "error" if status.reason else "empty" if status.is_loaded else "loading"
        if (self.place.get("state"), self.place.get("message")) != (state, text):
            self._say(state, text)

    def _of_root(self, chain: Chain) -> Chain:
        """Return the contracts of the root that is shown."""
        roots = [str(root) for root in np.unique(chain.rows["root"])]
        if self._root not in roots:
            self._root = _first_root(chain, roots)
        shown = [[root, style(root).settlement.name] for root in roots]
        if (self.place.get("roots"), self.place.get("root"), self.place.get("state")) != (shown, self._root, "ready"):
            self._say("ready", "", roots=shown, root=self._root)
        return chain if len(roots) == 1 else Chain(**{**vars(chain), "rows": chain.rows[chain.rows["root"] == self._root]})

    def _draw(self, chain: Chain, reader: ChainReader) -> None:
        if self._layout is None or not self._layout.fits(chain):
            self._layout, self._grid_is_sent = layout_of(chain, self._root), False
            self._priced = None
        now_ns = self._hub.clock.now_ns()
        message: dict[str, Any] = {}
        if not self._grid_is_sent:
            self._sent.forget()
            self._head, self._grid_is_sent = {}, True
            message["strikes"] = self._layout.strikes.tolist()
        cells = self._sent.changes(fields(self._layout, chain, self._priced, self.chosen, now_ns))
        head = self._head_of(chain, reader, now_ns)
        if cells:
            message["cells"] = cells
        if head != self._head:
            message["head"] = self._head = head
        if message:
            self._n += 1
            self._send_msg({"chain": as_text({**message, "n": self._n})})

    # -- pricing -----------------------------------------------------------------------------------------------------------

    def _price(self, chain: Chain, changes: int, now: int) -> None:
        """Have the chain priced, when it has changed and the last time is long enough ago."""
        if self._pricing is not None or changes == self._priced_changes or now - self._priced_at < PRICE_EVERY_S * NS_PER_S:
            return
        self._priced_at, self._priced_changes = now, changes
        asked = as_of_its_quotes(chain, self._hub.clock.now_ns())
        self._pricing = _PRICES.submit(
            price_chain, asked, clock=self._clock, rates=self._rates, calendar=self._hub.calendar,
            dividend_yield=self._dividend_yield, limits=LIMITS,
        )  # fmt: skip

    def _collect_pricing(self) -> bool:
        """Take a pricing that has ended; one of contracts that are shown no longer is dropped."""
        if self._pricing is None or not self._pricing.done():
            return False
        pricing, self._pricing = self._pricing, None
        try:
            priced = pricing.result()
        except WorkbenchError as error:  # a moment that the calendar does not reach: quotes are shown all the same
            self._unpriced = f"not priced: {error}"
            return True
        self._unpriced = ""
        if self._layout is None or not self._layout.fits(priced.chain):
            return False
        self._priced = priced
        self._carry(priced.expiries[:1])
        return True

    def _carry(self, expiries: tuple[PricedExpiry, ...]) -> None:
        """Keep the expected move as levels for the charts; lines that would tremble stand still."""
        levels = [level for expiry in expiries for level in _levels(expiry)] if self.is_move_shown else []
        old = [level["price"] for level in self.levels]
        new = [level["price"] for level in levels]
        width = max(new, default=0.0) - min(new, default=0.0)
        if len(old) == len(new) and all(abs(a - b) <= LEVEL_STEP_FRAC * width / 2 for a, b in zip(old, new, strict=True)):
            return
        self.levels = levels
        if self.on_levels is not None:
            self.on_levels()

    # -- the head ----------------------------------------------------------------------------------------------------------

    def _head_of(self, chain: Chain, reader: ChainReader, now_ns: int) -> dict[str, Any]:
        newest = newest_ns(chain)
        age_s = (max(now_ns, chain.asof_ns) - newest) / NS_PER_S if newest else math.nan
        expiry = self._priced.expiries[0] if self._priced is not None and self._priced.expiries else None
        return {
            "spot": _plain(chain.spot, 4),
            "decimals": decimals_of(chain.spot),
            "settlement": style(self._root).settlement.name,
            "is_old": not age_s <= OLD_S,
            "asof": f"{to_ny(newest):%H:%M:%S}" if newest else "",
            "age_s": None if age_s <= OLD_S or math.isnan(age_s) else round(age_s),
            "notes": list(chain.notes if self._priced is None or reader.status.reason else self._priced.notes),
            "n_live": reader.status.n_live,
            "trouble": reader.status.reason or self._unpriced,
            "basis": f"{self._clock.value}, rate {100 * float(self._rates.rate(0.0)):g} %",
            "is_priced": expiry is not None,
            **(_head_of_expiry(expiry) if expiry is not None else {}),
            "legs": self._legs(chain),
        }

    def _legs(self, chain: Chain) -> list[Any]:
        """Return the legs that are picked and what they cost: [[label, qty], …], mid, natural."""
        legs = [PickedLeg(symbol, qty) for symbol, qty in self._selection.legs]
        if not legs:
            return []
        names = {f"O:{symbol}": i for i, symbol in enumerate(chain.rows["symbol"].tolist())}
        found = {leg.symbol: chain.rows[names[leg.symbol]] for leg in legs if leg.symbol in names}
        price = price_of(legs, {symbol: (float(row["bid"]), float(row["ask"])) for symbol, row in found.items()})
        told = [[*_parts(OptionContract.parse(leg.symbol)).values(), leg.qty] for leg in legs]
        return [told, _plain(price.mid_usd, 3), _plain(price.natural_usd, 3)]

    # -- what the page says ------------------------------------------------------------------------------------------------

    def _handle_msg(self, message: dict[str, Any]) -> None:
        try:
            self._do(str(message.get("do")), message)
        except (WorkbenchError, StoreError) as error:
            self._send_msg({"error": str(error)})

    def _do(self, kind: str, message: dict[str, Any]) -> None:
        value = message.get("value")
        if kind == "drawn":
            self._seen = max(self._seen, int(value or 0))
        elif kind == "here":
            self._compare(int(value or 0))
        elif kind == "ready":
            self._begin()
        elif kind == "expiry":
            self._choose_expiry(str(value))
        elif kind == "root":
            self._root, self._changes = str(value), -1
        elif kind == "columns":
            self.chosen = _known(value) or self._first_columns
            self._remember()
            self._begin()
        elif kind == "move":
            self.is_move_shown = bool(value)
            self._remember()
            self._carry(self._priced.expiries[:1] if self._priced is not None else ())
        elif kind == "underlying":
            self._selection.select(self._selection.underlying)
        elif kind == "select" and self._layout is not None:
            symbol = self._layout.symbol(int(message["line"]), str(message["right"]))
            if symbol:
                self._selection.select(symbol)
        elif kind == "pick" and self._layout is not None:
            self._pick(str(value), self._layout.symbol(int(message["line"]), str(message["right"])))
        elif kind == "unpick":
            self._picks, self._selection.legs, self._changes = [], [], -1

    def _choose_expiry(self, text: str) -> None:
        chosen = [day for day in self._dates if day.isoformat() == text]
        if not chosen:
            raise RecordError(f"expiry: received {text!r}; allowed: one of the list")
        if chosen[0] != self._expiry:
            self._root = ""
            self._show(chosen[0])

    def _pick(self, kind: str, symbol: str) -> None:
        """Take a contract into the trade; the third begins a new one."""
        if not symbol or kind not in KINDS:
            return
        self._picks = [symbol] if kind == "straddle" or len(self._picks) >= 2 else [*self._picks, symbol]
        try:
            self._selection.legs = [(leg.symbol, leg.qty) for leg in legs_of(kind, self._picks)]
        except RecordError:
            self._picks = self._picks[:1]
            raise
        finally:
            self._changes = -1

    def _begin(self) -> None:
        """Send everything anew."""
        self._n = self._seen = 0
        self._grid_is_sent, self._changes, self._word = False, -1, -1

    def _compare(self, held: int) -> None:
        """Begin anew when the page says twice that it lacks what was sent: what is sent while it connects can be lost."""
        is_stuck = held < self._n and held == self._word
        self._word = held
        if is_stuck:
            self._begin()

    def _remember(self) -> None:
        self._shelf.write(self._kept_as, {"columns": list(self.chosen), "is_move_shown": self.is_move_shown})


def _known(names: Any) -> list[str]:
    """Return those of `names` that are columns, in the order of COLUMNS."""
    return [name for name in NAMES if isinstance(names, list) and name in names]


def _first_root(chain: Chain, roots: list[str]) -> str:
    """Return the root with the most standard contracts."""
    rows = chain.rows
    return max(roots, key=lambda root: int((rows["is_standard"] & (rows["root"] == root)).sum()))


def _tag(day: date, calendar: SessionCalendar) -> str:
    """Return 'M' for the monthly expiry."""
    try:
        return "M" if day == monthly_expiry(day.year, day.month, calendar) else ""
    except WorkbenchError:
        return ""


def _parts(option: OptionContract) -> dict[str, Any]:
    return {"root": option.root, "expiry": option.expiry.isoformat(), "strike": float(option.strike), "right": option.right}


def _levels(expiry: PricedExpiry) -> list[dict[str, Any]]:
    """Return the expected move of an expiry around the spot that prices it, as levels of a chart."""
    if not math.isfinite(expiry.expected_move_usd):
        return []
    spot, move, day = expiry.carry.spot_usd, expiry.expected_move_usd, f"{expiry.date.day} {expiry.date:%b}"
    return [
        {"id": f"move{sign}", "price": round(spot + sign * move, 2), "label": f"{'+' if sign > 0 else '−'}1σ {day}", "colour": "band"}
        for sign in (1, -1)
    ]


def _head_of_expiry(expiry: PricedExpiry) -> dict[str, Any]:
    ends = to_ny(expiry.expiry_ns) if expiry.expiry_ns else None
    return {
        "forward": _plain(expiry.forward.forward_usd, 2),
        "forward_by": expiry.forward.status.text,
        "move": _plain(expiry.expected_move_usd, 2),
        "atm_vol_pct": _plain(100 * expiry.atm_vol, 1),
        "straddle": _plain(expiry.straddle_usd, 2),
        "ends": "" if ends is None else f"{ends:%a} {ends.day} {ends:%b %H:%M}",
    }


def _texts() -> dict[str, Any]:
    return {
        "status": {str(int(status)): status.text for status in ChainStatus},
        "model": {str(int(model)): model.text for model in PricingModel},
        "warnings": [[int(flag), flag.texts[0]] for flag in LiquidityWarning if flag],
    }


def _plain(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
