"""What a price does not say about holding a structure: early exercise, dividends, delivery, the morning and the afternoon.

In: a Structure, spot, the moment, quotes and ex-dividend dates where they are known. Out: Remarks for people, each about one leg or the
whole. They warn of what can happen; how likely it is they say only where arithmetic does.

Floor 1.

Source: rules of exercise and settlement by root in `expiry.py`; early exercise of calls before an ex-date: the holder gives up the
time value and gains the dividend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from workbench.options.american import is_call_at_risk
from workbench.options.expiry import Delivery, Exercise, Settlement, Terms, terms
from workbench.options.payoff import LegQuote
from workbench.options.structures import Leg, Structure
from workbench.sessions import SessionCalendar, to_ny
from workbench.types import NS_PER_S, OptionContract

PIN_NS = 30 * 60 * NS_PER_S  # this long before the close a spot at the strike is a risk of its own
PIN_FRAC = 0.001  # of the spot
NO_TIME_VALUE_USD = 0.01  # a bid within a tick of intrinsic value


class RemarkKind(StrEnum):
    """What a remark is about."""

    DIVIDEND = "dividend"
    EARLY = "early exercise"
    PIN = "pin risk"
    DELIVERY = "delivery"
    GAP = "gap"
    SEVERAL_EXPIRIES = "several expiries"
    UNLIMITED = "unlimited loss"


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence; `leg` is an index, None for the whole structure. `is_urgent`: something may happen at the next close."""

    kind: RemarkKind
    text: str
    leg: int | None = None
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class ExDividend:
    """From `day` on the shares trade without a dividend of `amount_usd`."""

    day: date
    amount_usd: float


def remarks(
    structure: Structure,
    *,
    spot_usd: float,
    now_ns: int,
    calendar: SessionCalendar,
    quotes: Sequence[LegQuote] | None = None,
    dividends: Sequence[ExDividend] = (),
) -> list[Remark]:
    """Return what whoever holds this structure should know.

    Parameters
    ----------
    spot_usd : float                        NaN where it is not known: then nothing is said that depends on it.
    quotes : sequence of LegQuote           One a leg; without them nobody can say whether time value is left.
    dividends : sequence of ExDividend      Those that are known. An empty one is not a promise that there is none.
    """
    bids = [quote.bid_usd for quote in quotes] if quotes is not None else [math.nan] * len(structure.legs)
    held = []
    for i, leg in enumerate(structure.legs):
        if leg.contract is not None:
            ends = terms(leg.contract, calendar)
            if now_ns < (ends.exercise_until_ns or ends.expiry_ns):
                held.append(_Held(i, leg, leg.contract, ends, spot_usd, now_ns, bids[i]))
    found = _whole(held, math.fsum(leg.units for leg in structure.legs if leg.contract is None))
    for one in held:
        found += [*_gap(one), *_early(one, dividends, calendar), *_delivery(one)]
    return found


@dataclass(frozen=True, slots=True)
class _Held:
    """One option leg at one moment."""

    index: int
    leg: Leg
    contract: OptionContract
    ends: Terms
    spot: float
    now_ns: int
    bid_usd: float

    @property
    def today(self) -> date:
        return to_ny(self.now_ns).date()

    @property
    def intrinsic(self) -> float:
        above = self.spot - float(self.contract.strike)
        return above if self.contract.right == "C" else -above


def _whole(held: Sequence[_Held], shares: float) -> list[Remark]:
    found = []
    if shares + math.fsum(one.leg.units for one in held if one.contract.right == "C") < 0:
        found.append(Remark(RemarkKind.UNLIMITED, "more is sold that gains with the spot than bought: the loss has no limit"))
    if len({one.ends.expiry_ns for one in held}) > 1:
        halves = "one part settles in the morning, the other in the afternoon: for hours one stands alone"
        later = "the legs end at different times: what is left at the first expiry is valued by a model"
        is_one_day = len({one.ends.session for one in held}) == 1
        found.append(Remark(RemarkKind.SEVERAL_EXPIRIES, halves if is_one_day else later))
    return found


def _gap(held: _Held) -> list[Remark]:
    ends = held.ends
    if ends.style.settlement is not Settlement.AM:
        return []
    last = f"{to_ny(ends.last_trade_ns):%a %d %b %H:%M} New York"
    text = f"last trades {last}, settles on the opening prices of {ends.session:%a %d %b}: overnight nobody gets out"
    return [Remark(RemarkKind.GAP, text, held.index)]


def _early(held: _Held, dividends: Sequence[ExDividend], calendar: SessionCalendar) -> list[Remark]:
    """Say when the holder of what was sold gains by exercising: calls before an ex-date, anything without time value."""
    if held.ends.style.exercise is not Exercise.AMERICAN or held.leg.units > 0 or not held.intrinsic > 0:
        return []
    found = []
    if held.contract.right == "C":
        found = [_dividend(held, d, calendar) for d in dividends if held.today < d.day <= held.ends.session]
    if held.bid_usd - held.intrinsic <= NO_TIME_VALUE_USD:
        text = f"bid {held.bid_usd:g} leaves no time value above {held.intrinsic:g}: assignment may come any night"
        found.append(Remark(RemarkKind.EARLY, text, held.index, is_urgent=True))
    return found


def _dividend(held: _Held, dividend: ExDividend, calendar: SessionCalendar) -> Remark:
    when = f"ex-dividend {dividend.day:%d %b}, {dividend.amount_usd:g}"
    is_next = not any(calendar.is_session(held.today + timedelta(days=n)) for n in range(1, (dividend.day - held.today).days))
    if math.isnan(held.bid_usd):
        return Remark(RemarkKind.DIVIDEND, f"{when}: whether assignment threatens can't be told without a bid", held.index, is_next)
    if is_call_at_risk(held.bid_usd, held.spot, float(held.contract.strike), dividend.amount_usd):
        left = max(held.bid_usd - held.intrinsic, 0.0)
        text = f"{when}, is more than the {left:.2f} of time value left: expect assignment of {held.leg.qty} the night before"
        return Remark(RemarkKind.DIVIDEND, text, held.index, is_next)
    return Remark(RemarkKind.DIVIDEND, f"{when}: less than the time value left, exercise does not pay yet", held.index)


def _delivery(held: _Held) -> list[Remark]:
    ends, leg = held.ends, held.leg
    if ends.style.delivery is not Delivery.SHARES or ends.exercise_until_ns is None or held.today != ends.session:
        return []
    until = f"{to_ny(ends.exercise_until_ns):%H:%M} New York"
    who = "you decide" if leg.units > 0 else "holders decide"
    text = f"expires today into {leg.qty * held.contract.multiplier} shares; {who} until {until}, after the close"
    found = [Remark(RemarkKind.DELIVERY, text, held.index, is_urgent=True)]
    strike = float(held.contract.strike)
    if ends.expiry_ns - held.now_ns <= PIN_NS and abs(held.spot - strike) < PIN_FRAC * held.spot:
        text = f"spot {held.spot:g} stands at the strike {strike:g}: whether shares come is known only after {until}"
        found.append(Remark(RemarkKind.PIN, text, held.index, is_urgent=True))
    return found
