"""What a person can choose of the exposure view, as plain parameters: no Panel, testable without a screen. Floor 8."""

from __future__ import annotations

from typing import Any

import param

from workbench.errors import WorkbenchError
from workbench.options.black import DAYS_PER_YEAR, TRADING_DAYS_PER_YEAR
from workbench.options.exposure import Convention, DealerSign, GexUnit, SizeBasis
from workbench.options.gamma_profile import Stickiness
from workbench.options.profile_rows import Hours
from workbench.types import OptionContract, check_symbol
from workbench.views.models import normal_symbol

MAX_EXPIRIES = 12
ALL = ""  # of `expiry`: the sum of those read
ROLLED = {"SPXW": "I:SPX", "SPX": "I:SPX", "NDXP": "I:NDX", "NDX": "I:NDX", "RUTW": "I:RUT", "RUT": "I:RUT", "VIX": "I:VIX", "XSP": "I:XSP"}


def _values(kind: Any) -> list[str]:
    return [member.value for member in kind]


class ExposureModel(param.Parameterized):
    """Which chain is shown, and the convention that its numbers stand under."""

    symbol = param.String("SPY", doc="Underlying.")
    n_expiries = param.Integer(3, bounds=(1, MAX_EXPIRIES), doc="The nearest expiry dates that are read.")
    expiry = param.String(ALL, doc="One of them, as 'SPXW 2026-11-20'; empty: their sum.")
    unit = param.Selector(default=GexUnit.PCT.value, objects=_values(GexUnit))
    sign = param.Selector(default=DealerSign.CALLS_LONG.value, objects=_values(DealerSign))
    basis = param.Selector(default=SizeBasis.OI.value, objects=_values(SizeBasis))
    stickiness = param.Selector(default=Stickiness.STRIKE.value, objects=_values(Stickiness))
    charm_days = param.Selector(default=DAYS_PER_YEAR, objects=[DAYS_PER_YEAR, TRADING_DAYS_PER_YEAR])
    hours = param.Selector(default=Hours.RTH.value, objects=_values(Hours), doc="Hours of the volume profile.")

    @property
    def convention(self) -> Convention:
        """What is chosen, as a Convention."""
        return Convention.parse(unit=self.unit, sign=self.sign, basis=self.basis, stickiness=self.stickiness, charm_days=self.charm_days)

    def show(self, text: str) -> None:
        """Show another underlying; of an option contract its own. SymbolError when it is no symbol."""
        self.param.update(symbol=underlying_of(text), expiry=ALL)

    def choose(self, name: str, value: Any) -> None:
        """Change one choice as a page names it; ValueError when it is none of those offered."""
        number = {"n_expiries", "charm_days"}
        if name not in CHOICES:
            raise ValueError(f"choice: received {name!r}; allowed: {', '.join(CHOICES)}")
        self.param.update(**{name: int(value) if name in number else str(value)})


CHOICES = ("n_expiries", "expiry", "unit", "sign", "basis", "stickiness", "charm_days", "hours")


def underlying_of(text: str) -> str:
    """Return what an exposure is asked of: a symbol as typed, or the underlying of an option contract."""
    symbol = check_symbol(normal_symbol(text))
    if not symbol.startswith("O:"):
        return symbol
    try:
        root = OptionContract.parse(symbol).root
    except WorkbenchError:
        return symbol
    return ROLLED.get(root, root)
