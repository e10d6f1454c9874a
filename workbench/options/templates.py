"""The structures that have a name, from their strikes: what to buy and what to sell.

In: root, expiry and strikes. Out: Structure, without prices yet. `side` 'buy' pays a debit for everything but the iron condor, whose
bought form costs a debit too: the one that most people mean is 'sell'.

Floor 1.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from workbench.errors import RecordError
from workbench.options.structures import SHARES_PER_CONTRACT, Leg, Side, Structure, opposite, underlying_of
from workbench.types import OptionContract, Right

Strike = Decimal | int | str  # exact; a float that is one, as 607.5, is taken too


def single(root: str, expiry: date, right: Right, strike: Strike, *, side: Side = "buy", qty: int = 1) -> Structure:
    """Return one contract bought or sold."""
    return _built("single", root, _option(root, expiry, right, strike, side, qty))


def vertical(
    root: str, expiry: date, right: Right, long_strike: Strike, short_strike: Strike, *, qty: int = 1, name: str = "vertical"
) -> Structure:
    """Return one strike bought, another sold, of one right: a debit when the one bought is nearer the money."""
    _require(_exact(long_strike) != _exact(short_strike), "vertical: two different strikes", long_strike, short_strike)
    bought = _option(root, expiry, right, long_strike, "buy", qty)
    return _built(name, root, bought, _option(root, expiry, right, short_strike, "sell", qty))


def butterfly(
    root: str,
    expiry: date,
    right: Right,
    strike: Strike,
    width: Strike,
    *,
    upper_width: Strike | None = None,
    side: Side = "buy",
    qty: int = 1,
) -> Structure:
    """Return wings bought `width` below and above the strike, the strike sold twice; `upper_width` breaks the upper wing."""
    centre, low, high = _exact(strike), _exact(width), _exact(width if upper_width is None else upper_width)
    _require(0 < low < centre and high > 0, "butterfly: widths above 0, the lower one below the strike", width, upper_width)
    wings = [_option(root, expiry, right, k, side, qty) for k in (centre - low, centre + high)]
    return _built("butterfly", root, wings[0], _option(root, expiry, right, centre, opposite(side), 2 * qty), wings[1])


def iron_condor(
    root: str,
    expiry: date,
    put_wing: Strike,
    put_strike: Strike,
    call_strike: Strike,
    call_wing: Strike,
    *,
    side: Side = "sell",
    qty: int = 1,
) -> Structure:
    """Return a put spread below and a call spread above; sold: the inner strikes sold, the wings bought, a credit."""
    strikes = [_exact(k) for k in (put_wing, put_strike, call_strike, call_wing)]
    is_ordered = strikes[0] < strikes[1] <= strikes[2] < strikes[3]
    _require(is_ordered, "iron condor: put wing < put <= call < call wing", *strikes)
    outer = opposite(side)
    sides: tuple[Side, ...] = (outer, side, side, outer)
    rights: tuple[Right, ...] = ("P", "P", "C", "C")
    return _built("iron condor", root, *(_option(root, expiry, r, k, s, qty) for r, k, s in zip(rights, strikes, sides, strict=True)))


def straddle(root: str, expiry: date, strike: Strike, *, side: Side = "buy", qty: int = 1) -> Structure:
    """Return put and call of one strike."""
    return _built("straddle", root, *(_option(root, expiry, right, strike, side, qty) for right in ("P", "C")))


def strangle(root: str, expiry: date, put_strike: Strike, call_strike: Strike, *, side: Side = "buy", qty: int = 1) -> Structure:
    """Return a put below and a call above."""
    _require(_exact(put_strike) < _exact(call_strike), "strangle: the put's strike below the call's", put_strike, call_strike)
    put = _option(root, expiry, "P", put_strike, side, qty)
    return _built("strangle", root, put, _option(root, expiry, "C", call_strike, side, qty))


def calendar(
    root: str,
    near: date,
    far: date,
    right: Right,
    strike: Strike,
    *,
    far_strike: Strike | None = None,
    side: Side = "buy",
    qty: int = 1,
) -> Structure:
    """Return the later expiry bought and the nearer one sold; with another `far_strike`, a diagonal."""
    _require(near < far, "calendar: the near expiry before the far one", near, far)
    sold = _option(root, near, right, strike, opposite(side), qty)
    return _built("calendar", root, sold, _option(root, far, right, strike if far_strike is None else far_strike, side, qty))


def covered_call(root: str, expiry: date, strike: Strike, *, qty: int = 1) -> Structure:
    """Return 100 shares bought for each call sold."""
    return _built("covered call", root, Leg(None, "buy", SHARES_PER_CONTRACT * qty), _option(root, expiry, "C", strike, "sell", qty))


# name -> function
TEMPLATES: dict[str, Callable[..., Structure]] = {
    "single": single,
    "vertical": vertical,
    "butterfly": butterfly,
    "iron condor": iron_condor,
    "straddle": straddle,
    "strangle": strangle,
    "calendar": calendar,
    "covered call": covered_call,
}


def _built(name: str, root: str, *legs: Leg) -> Structure:
    return Structure(underlying_of(root), legs, name)


def _option(root: str, expiry: date, right: str, strike: Strike, side: Side, qty: int) -> Leg:
    return Leg(OptionContract(root, expiry, right, _exact(strike)), side, qty)  # type: ignore[arg-type]  # the contract checks it


def _exact(strike: Strike | float) -> Decimal:
    try:
        return strike if isinstance(strike, Decimal) else Decimal(str(strike))
    except ArithmeticError:
        raise RecordError(f"strike: received {strike!r}; allowed: a number of dollars") from None


def _require(is_good: bool, allowed: str, *received: object) -> None:
    if not is_good:
        raise RecordError(f"template: received {', '.join(str(x) for x in received)}; allowed: {allowed}")
