"""The risk graph as a tab of the desk's right column: it follows what is selected, and takes what is picked in the chain.

Floor 8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import param

from workbench.types import OptionContract
from workbench.views.labels import short_label
from workbench.views.models import Selection
from workbench.views.risk import RiskPage, RiskShell
from workbench.views.shelf import Shelf


class RiskTab(RiskShell):
    """The risk graph of the selected underlying, a tab of the desk's right column. Its break-evens stand on the charts."""

    picked = param.String("", doc="What is selected in the chain, in words; '' while nothing is.")

    def __init__(self, hub: Any, selection: Selection, shelf: Shelf, **params: Any) -> None:
        self.levels: list[dict[str, Any]] = []
        self.on_levels: Callable[[], None] | None = None
        self._selection, self._is_open = selection, False
        super().__init__(is_docked=True, **params)
        self._page = RiskPage(hub, shelf, {"symbol": selection.underlying}, shell=self)
        selection.param.watch(lambda *_: self._follow(), ["underlying", "contract", "legs"])

    def open(self) -> None:
        """Read the chains that its structures stand on."""
        self._is_open = True
        self._page.resume()
        self._follow()

    def close(self) -> None:
        """Read nothing any more; harmless when closed."""
        if self._is_open:
            self._page.stop()
        self._is_open = False
        self._carry([])

    def tick(self) -> None:
        """Send what was computed and have the next computed."""
        self._page.tick()

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if message.get("do") == "select":
            self._selection.select(str(message.get("value")))
            return
        if message.get("do") == "picked":
            for i, (symbol, qty) in enumerate(self._legs()):
                side = "buy" if qty > 0 else "sell"
                self._page.do("add_leg", {"symbol": symbol, "side": side, "qty": abs(qty), "is_new": i == 0})
            return
        super()._handle_msg(message)
        if self._is_open and self._page.symbol != self._selection.underlying:  # a saved structure of another underlying
            self._selection.select(self._page.symbol)

    def _legs(self) -> list[tuple[str, int]]:
        """Return the legs picked in the chain, or the contract selected: symbol, contracts (below 0 sold)."""
        return list(self._selection.legs) or ([(self._selection.contract, 1)] if self._selection.contract else [])

    def tell(self, **what: Any) -> None:
        """Send a message to the page, and break-evens of an answer to the charts."""
        super().tell(**what)
        if "answer" in what and "structures" in what["answer"]:
            self._carry(_levels_of(what["answer"], self._page.active))

    def _carry(self, levels: list[dict[str, Any]]) -> None:
        if levels == self.levels:
            return
        self.levels = levels
        if self.on_levels is not None:
            self.on_levels()

    def _follow(self) -> None:
        """Show the selected underlying, and the expiry of the selected contract."""
        legs = self._legs()
        self.picked = "" if not legs else short_label(legs[0][0]).partition(" ")[2] if len(legs) == 1 else f"{len(legs)} legs"
        if not self._is_open:
            return
        if self._selection.underlying != self._page.symbol:
            self._carry([])
            self._page.do("symbol", self._selection.underlying)
        if self._selection.contract:
            self._page.do("expiry", OptionContract.parse(self._selection.contract).expiry.isoformat())


def _levels_of(answer: Mapping[str, Any], active: int) -> list[dict[str, Any]]:
    """Return the break-evens of the chosen structure as levels for a chart's `set_levels`."""
    if active not in answer["places"]:
        return []
    found = answer["structures"][answer["places"].index(active)]["break_evens"]
    return [{"id": f"break_even{i}", "price": round(price, 2), "label": "Break-even", "colour": "study3"} for i, price in enumerate(found)]
