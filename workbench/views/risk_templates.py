"""A structure from a template's name and what a chain lists: strikes around the money, about one expected move apart.

Floor 8, no screen.
"""

from __future__ import annotations

import math
from datetime import date

import numpy as np

from workbench.errors import RecordError, choices
from workbench.options import templates
from workbench.options.priced import PricedChain, PricedExpiry
from workbench.options.structures import Structure

WING_FRAC = 0.5  # of the expected move, between a short strike and its wing


def pick(name: str, priced: PricedChain, *, right: str = "C", side: str = "buy", far: date | None = None) -> Structure:
    """Return the template of that name on the strikes of a chain of one expiry, its first root.

    Parameters
    ----------
    right : 'C' or 'P'                      Of single, vertical, butterfly, calendar.
    side : 'buy' or 'sell'                  Not asked by the covered call.
    far : date                              The later expiry of a calendar.

    Raises
    ------
    RecordError                             If the name is none, or the chain lists too few strikes.
    """
    if name not in templates.TEMPLATES:
        raise RecordError(f"template: received {choices(name, list(templates.TEMPLATES))}")
    if not priced.expiries:
        raise RecordError("template: received a chain without contracts; next: choose another expiry, or wait until it is loaded")
    e = priced.expiries[0]
    at = _Strikes(priced, e)
    root, day, call = e.root, e.date, right != "P"
    out = 1 if call else -1  # towards out of the money
    if name == "single":
        return templates.single(root, day, "C" if call else "P", at.near(0), side=_side(side))
    if name == "vertical":
        bought, sold = at.near(0), at.beyond(at.near(0), out, at.move)
        return templates.vertical(root, day, "C" if call else "P", *((bought, sold) if side == "buy" else (sold, bought)))
    if name == "butterfly":
        width = at.even_width(at.near(0), at.move)
        return templates.butterfly(root, day, "C" if call else "P", str(at.near(0)), str(width), side=_side(side))
    if name == "iron condor":
        put, up = at.near(-at.move), at.near(at.move)
        wings = at.beyond(put, -1, WING_FRAC * at.move), at.beyond(up, 1, WING_FRAC * at.move)
        return templates.iron_condor(root, day, *(str(k) for k in (wings[0], put, up, wings[1])), side=_side(side))
    if name == "straddle":
        return templates.straddle(root, day, str(at.near(0)), side=_side(side))
    if name == "strangle":
        return templates.strangle(root, day, str(at.near(-at.move)), str(at.near(at.move)), side=_side(side))
    if name == "calendar":
        if far is None:
            raise RecordError("calendar: received one expiry; allowed: one that has a later one")
        return templates.calendar(root, day, far, "C" if call else "P", str(at.near(0)), side=_side(side))
    return templates.covered_call(root, day, str(at.beyond(at.near(0), 1, 0.5 * at.move)))


def _side(text: str) -> templates.Side:
    return "sell" if text == "sell" else "buy"


class _Strikes:
    """The listed strikes of one expiry, around its forward."""

    def __init__(self, priced: PricedChain, e: PricedExpiry) -> None:
        rows = priced.rows[e.first : e.end]
        rows = rows[rows["is_standard"]]
        calls, puts = (np.unique(rows["strike"][rows["right"] == right]) for right in ("C", "P"))
        self.strikes = np.intersect1d(calls, puts)
        if len(self.strikes) < 3:
            raise RecordError(f"template: received {len(self.strikes)} strikes with call and put; allowed: 3 or more")
        self.middle = e.forward.forward_usd if math.isfinite(e.forward.forward_usd) else float(priced.chain.spot)
        if not math.isfinite(self.middle):
            self.middle = float(np.median(self.strikes))
        self.move = e.expected_move_usd if math.isfinite(e.expected_move_usd) else 0.02 * self.middle

    def near(self, away: float) -> float:
        """Return the strike nearest to so many USD from the forward."""
        return float(self.strikes[np.argmin(np.abs(self.strikes - (self.middle + away)))])

    def beyond(self, strike: float, direction: int, about: float) -> float:
        """Return the strike about so far beyond another, at least the next one."""
        there = self.strikes[(self.strikes - strike) * direction > 0]
        if not len(there):
            raise RecordError(f"template: received no strike {'above' if direction > 0 else 'below'} {strike:g}; next: another expiry")
        return float(there[np.argmin(np.abs(np.abs(there - strike) - about))])

    def even_width(self, strike: float, about: float) -> float:
        """Return the width nearest to `about` at which wings are listed on both sides."""
        widths = np.intersect1d(np.round(strike - self.strikes, 3), np.round(self.strikes - strike, 3))
        widths = widths[widths > 0]
        if not len(widths):
            raise RecordError(f"butterfly: received no wings at one distance from {strike:g}; next: another expiry")
        return float(widths[np.argmin(np.abs(widths - about))])
