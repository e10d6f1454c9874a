"""What a person asks for on the ideas page, as plain parameters: which contract to buy, or which call of the day to sell.

No Panel; testable without a screen. Floor 8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import param

from workbench.errors import RecordError, choices
from workbench.options.screen import RANK_BY, SELL_AT, CoveredCallRules
from workbench.options.suggest import DIRECTIONS, Wish

MODES = ("buy", "covered")
WISHED = ("direction", "budget_usd", "min_dte", "max_dte", "min_delta", "max_delta")
RULED = ("max_otm_pct", "min_call_delta", "max_call_delta", "call_dte", "sell_at", "rank_by")
CHOICES = ("mode", *WISHED, *RULED)


class IdeasModel(param.Parameterized):
    """The question. `wanted` is it in the terms of `options/suggest.py` and `options/screen.py`."""

    mode = param.Selector(default="buy", objects=list(MODES), doc="A contract to buy, or covered calls of the day.")
    direction = param.Selector(default="up", objects=list(DIRECTIONS))
    budget_usd = param.Number(500.0, bounds=(0, 1e9), doc="For one contract at least.")
    min_dte = param.Integer(0, bounds=(0, 10_000))
    max_dte = param.Integer(7, bounds=(0, 10_000))
    min_delta = param.Number(0.30, bounds=(0, 1))
    max_delta = param.Number(0.50, bounds=(0, 1))
    max_otm_pct = param.Number(3.0, bounds=(0, 1000), doc="Strike above the spot by at most.")
    min_call_delta = param.Number(0.15, bounds=(0, 1))
    max_call_delta = param.Number(0.35, bounds=(0, 1))
    call_dte = param.Integer(0, bounds=(0, 60), doc="Calendar days to expiry at most; 0: of today.")
    sell_at = param.Selector(default="bid", objects=list(SELL_AT))
    rank_by = param.Selector(default="premium_yield", objects=list(RANK_BY))

    @property
    def wanted(self) -> Wish | CoveredCallRules:
        """The question; RecordError where its parts contradict each other."""
        return self._wish() if self.mode == "buy" else self._rules()

    def _wish(self) -> Wish:
        return Wish(self.direction, Decimal(str(self.budget_usd)), self.min_dte, self.max_dte, self.min_delta, self.max_delta)

    def _rules(self) -> CoveredCallRules:
        return CoveredCallRules(
            max_otm_frac=self.max_otm_pct / 100, min_delta=self.min_call_delta, max_delta=self.max_call_delta,
            max_dte=self.call_dte, sell_at=self.sell_at, rank_by=self.rank_by,
        )  # fmt: skip

    def choose(self, name: str, value: Any) -> None:
        """Change one part as a page or an address names it; RecordError when it makes no sense, and nothing is changed."""
        if name not in CHOICES:
            raise RecordError(f"choice: received {choices(name, CHOICES)}")
        before = getattr(self, name)
        try:
            setattr(self, name, _as(before, value))
        except (ValueError, InvalidOperation):
            raise RecordError(f"{name}: received {value!r}; allowed: {_allowed(self.param[name])}") from None
        try:
            self._wish(), self._rules()
        except RecordError:
            setattr(self, name, before)
            raise

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take over parts of a question from a file or an address; what is no longer allowed there, or contradicts itself, is left out."""
        before = {name: getattr(self, name) for name in CHOICES}
        for name in CHOICES:
            with contextlib.suppress(ValueError, InvalidOperation):
                if name in values:
                    setattr(self, name, _as(before[name], values[name]))
        try:
            self._wish(), self._rules()
        except RecordError:
            self.param.update(**before)


def _as(like: Any, value: Any) -> Any:
    if isinstance(like, str):
        return str(value)
    number = Decimal(str(value).replace(",", "").strip())
    if isinstance(like, int):
        if number != int(number):
            raise ValueError
        return int(number)
    return float(number)


def _allowed(parameter: Any) -> str:
    if isinstance(parameter, param.Selector):
        return ", ".join(parameter.objects)
    low, high = parameter.bounds
    return f"{'a whole number' if isinstance(parameter, param.Integer) else 'a number'} from {low:g} to {high:g}"
