"""Which contract to buy for a view on the underlying: what fits direction, budget, days and delta, ranked, each with its checklist.

In: a PricedChain, a Wish, what is Known beyond the chain, Thresholds. Out: Suggestions: the contracts in order, each with the
same lines in the same order, every line with its number, its threshold and a sentence; and the funnel that led to them. Nothing is
drawn by lot and nothing is left to opinion: equal inputs give equal lists, and the rule that breaks ties is `RANKED_BY`.

What is not known is `unknown`, and an `unknown` counts as a warning in the ranking: it is never taken for good.

Floor 1: numpy and the files beside this one.

Assumptions: one contract is bought at the ask. Money is exact (Decimal); an ask is read to a hundredth of a cent and a cost is never
rounded down. Where the fee is not told, costs are without it, and say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_UP, Decimal
from enum import Enum
from typing import NamedTuple

import numpy as np

from workbench.errors import RecordError, choices
from workbench.options.chain_status import ChainStatus
from workbench.options.clocks import minutes_per_year
from workbench.options.filters import Funnel, FunnelStep, check_knobs, check_order, knob
from workbench.options.priced import MAX_SPOT_AGE_S, PricedChain
from workbench.options.screen import known_spots
from workbench.sessions import to_ny
from workbench.types import NS_PER_S, OptionContract

MULTIPLIER = 100  # of standard contracts; others are not suggested
RTH_MINUTES = 390
TRADING_SHARE = 252 / 365
RANKED_BY = (
    "fewest fails; then fewest warnings and unknowns together; then delta nearest to the middle of the wish; then the narrowest spread;"
    " then the earliest expiry, the lowest strike, the symbol"
)
DIRECTIONS = ("up", "down")
_FINEST, _CENT = Decimal("0.0001"), Decimal("0.01")


class Verdict(Enum):
    """What one line of a checklist says."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for: a bought call (`up`) or put (`down`)."""

    direction: str
    budget_usd: Decimal
    min_dte: int = knob(0, "days", "calendar days to expiry at least", 0, 10_000)
    max_dte: int = knob(7, "days", "calendar days to expiry at most", 0, 10_000)
    min_delta: float = knob(0.30, "USD/USD", "delta, without its sign, at least", 0, 1)
    max_delta: float = knob(0.50, "USD/USD", "delta, without its sign, at most", 0, 1)
    fee_usd: Decimal | None = None  # per contract bought, all of it; None: not told

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise RecordError(f"direction: received {choices(self.direction, DIRECTIONS)}")
        for name in ("budget_usd", "fee_usd"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Decimal) and value.is_finite() and value >= 0):
                raise RecordError(f"{name}: received {value!r}; allowed: a Decimal of 0 USD or more, as Decimal('500')")
        check_knobs(self)
        check_order(self, "dte", "delta")

    @property
    def right(self) -> str:
        """'C' for up, 'P' for down."""
        return "C" if self.direction == "up" else "P"


@dataclass(frozen=True, slots=True)
class Event:
    """Something with a known time that moves markets: a rate decision, a jobs report."""

    name: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beyond the chain. None: nobody looked. An empty tuple: somebody looked, and there is none."""

    realised_vol: float | None = None  # of the underlying, per √year of the chain's clock
    atr_usd: float | None = None  # average true range of a day
    events: tuple[Event, ...] | None = None
    earnings: tuple[date, ...] | None = None
    ex_dividends: tuple[date, ...] | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Up to where a line passes, and up to where it warns; beyond, it fails. Inclusive. Defaults are ours."""

    pass_spread_frac: float = knob(0.05, "of mid", "spread that passes", 0)
    warn_spread_frac: float = knob(0.15, "of mid", "spread that warns", 0)
    pass_open_interest: float = knob(500, "contracts", "open interest that passes", 0)
    warn_open_interest: float = knob(50, "contracts", "open interest that warns", 0)
    pass_volume: float = knob(100, "contracts", "volume today that passes", 0)
    warn_volume: float = knob(10, "contracts", "volume today that warns", 0)
    pass_iv_ratio: float = knob(1.2, "IV / realised", "price of volatility that passes", 0)
    warn_iv_ratio: float = knob(1.5, "IV / realised", "price of volatility that warns", 0)
    pass_decay_frac: float = knob(0.01, "of the ask per hour", "decay that passes", 0)
    warn_decay_frac: float = knob(0.05, "of the ask per hour", "decay that warns", 0)
    pass_move_atr: float = knob(1.0, "ATR x √days", "way to the break-even that passes", 0)
    warn_move_atr: float = knob(2.0, "ATR x √days", "way to the break-even that warns", 0)

    def __post_init__(self) -> None:
        check_knobs(self)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a checklist. `value` in `unit`; None where it is not known."""

    check: str
    verdict: Verdict
    value: float | None
    unit: str
    threshold: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One contract with what it costs and its checklist. Prices per share; `cost_usd` of one contract, at the ask, with the fee."""

    rank: int
    symbol: str
    label: str
    right: str
    strike: float
    expiry: date
    dte: int
    bid_usd: float
    ask_usd: float
    mid_usd: float
    iv: float
    delta: float
    break_even_usd: float  # of the underlying at expiry, after the ask and the fee
    theta_usd_per_hour: float  # of one contract, by the chain's clock
    cost_usd: Decimal
    contracts: int  # that the budget pays for
    checklist: tuple[Line, ...]

    def count(self, *verdicts: Verdict) -> int:
        """Return how many lines of the checklist say so."""
        return sum(line.verdict in verdicts for line in self.checklist)


@dataclass(frozen=True)
class Suggestions:
    """Contracts in order of `ranked_by`, and how many fell to which filter."""

    wish: Wish
    rows: tuple[Suggestion, ...]
    funnel: tuple[FunnelStep, ...]
    notes: tuple[str, ...]
    ranked_by: str = RANKED_BY


def suggest(
    priced: PricedChain,
    wish: Wish,
    known: Known | None = None,
    thresholds: Thresholds | None = None,
    *,
    most: int = 10,
    max_spot_age_s: float = MAX_SPOT_AGE_S,
) -> Suggestions:
    """Return up to `most` contracts that fit the wish, in order of `RANKED_BY`, each with its checklist.

    Parameters
    ----------
    priced : PricedChain                    Of one underlying.
    wish : Wish                             Filters; what does not fit is counted in the funnel, not ranked.
    known : Known                           None: nothing is, and every line that asks for it says `unknown`.
    thresholds : Thresholds
    max_spot_age_s : float                  An older spot gives way to what the quotes imply, and a note says so.
    """
    funnel = Funnel(len(priced))
    costs = _fitting(priced, wish, funnel)
    facts, bounds = known or Known(), thresholds or Thresholds()
    picked = np.flatnonzero(funnel.is_left)
    spots, told = known_spots(priced, picked, max_spot_age_s)
    found = [_suggestion(priced, i, costs[i], spot, wish, facts, bounds) for i, spot in zip(picked.tolist(), spots.tolist(), strict=True)]
    found.sort(key=lambda row: _order(row, wish))
    ranked = tuple(replace(row, rank=at) for at, row in enumerate(found[: max(most, 0)], 1))
    return Suggestions(wish, ranked, tuple(funnel.steps), (*priced.notes, *told, *_notes(wish, len(found), most)))


def cost_usd(ask_usd: float, fee_usd: Decimal | None = None) -> Decimal:
    """Return what one contract costs [USD], exact, a part of a cent rounded up: an ask of 2.00 is 200.00, and the fee on top."""
    price = Decimal(repr(float(ask_usd))).quantize(_FINEST)
    return (price * MULTIPLIER + (fee_usd or 0)).quantize(_CENT, ROUND_UP)


def _fitting(priced: PricedChain, wish: Wish, funnel: Funnel) -> dict[int, Decimal]:
    """Run the filters; return row -> cost of what is left."""
    rows = priced.rows
    funnel.keep("right", "calls" if wish.right == "C" else "puts", rows["right"] == wish.right)
    is_live = rows["expiry_ns"] > priced.chain.asof_ns
    is_near = (priced.dte >= wish.min_dte) & (priced.dte <= wish.max_dte) & is_live
    funnel.keep("days to expiry", f"{wish.min_dte} to {wish.max_dte}, not yet expired", is_near)
    funnel.keep("standard", f"delivers {MULTIPLIER} shares", rows["is_standard"])
    is_known = priced.status == ChainStatus.OK
    funnel.keep("implied volatility", "known, from a fair quote", is_known, ~is_known)
    size = np.abs(priced.greeks.delta)
    is_wanted = (size >= wish.min_delta - 1e-12) & (size <= wish.max_delta + 1e-12)
    left = funnel.keep("delta", f"{wish.min_delta:g} to {wish.max_delta:g}", is_wanted, np.isnan(size))
    costs = {i: cost_usd(rows["ask"][i], wish.fee_usd) for i in np.flatnonzero(left).tolist()}
    is_paid = np.zeros(len(rows), np.bool_)
    is_paid[[i for i, cost in costs.items() if cost <= wish.budget_usd]] = True
    funnel.keep("budget", f"one contract for {wish.budget_usd:,.2f} USD or less", is_paid)
    return costs


def _suggestion(priced: PricedChain, i: int, cost: Decimal, spot: float, wish: Wish, known: Known, bounds: Thresholds) -> Suggestion:
    row = priced.rows[i]
    contract = OptionContract.parse(str(row["symbol"]))
    cp = 1 if wish.right == "C" else -1
    per_share = float(cost) / MULTIPLIER
    hourly = float(priced.greeks.theta_usd_per_minute(minutes_per_year(priced.clock))[i]) * 60
    break_even = float(row["strike"]) + cp * per_share
    return Suggestion(
        rank=0,
        symbol=contract.occ,
        label=contract.label,
        right=contract.right,
        strike=float(row["strike"]),
        expiry=contract.expiry,
        dte=int(priced.dte[i]),
        bid_usd=float(row["bid"]),
        ask_usd=float(row["ask"]),
        mid_usd=float(priced.mid_usd[i]),
        iv=float(priced.vol[i]),
        delta=float(priced.greeks.delta[i]),
        break_even_usd=break_even,
        theta_usd_per_hour=hourly * MULTIPLIER,
        cost_usd=cost,
        contracts=int(wish.budget_usd // cost) if cost > 0 else 0,
        checklist=tuple(_checklist(_Facts(priced, i, hourly, cp * (break_even - spot)), known, bounds)),
    )


class _Facts(NamedTuple):
    """What the lines ask for: the contract, its decay [USD per share and hour], the way to its break-even [USD]."""

    priced: PricedChain
    i: int
    hourly_usd: float
    move_usd: float

    def cell(self, name: str) -> float:
        return float(self.priced.rows[name][self.i])

    @property
    def expiry_ns(self) -> int:
        return int(self.priced.rows["expiry_ns"][self.i])

    @property
    def days(self) -> float:
        """Trading days to expiry: the hours left today as a part of one, else DTE times 252 / 365, one at least."""
        left = (self.expiry_ns - self.priced.chain.asof_ns) / (60 * NS_PER_S * RTH_MINUTES)
        return max(min(left, 1.0), float(self.priced.dte[self.i]) * TRADING_SHARE)


# -- the checklist ------------------------------------------------------------------------------------------------------------------


def _checklist(facts: _Facts, known: Known, bounds: Thresholds) -> Iterator[Line]:
    """Yield the lines, always all and in this order."""
    yield _spread(facts, bounds)
    yield _at_least("open interest", facts.cell("open_interest"), bounds.pass_open_interest, bounds.warn_open_interest, "last night's")
    yield _at_least("volume", facts.cell("volume"), bounds.pass_volume, bounds.warn_volume, "today's")
    yield _iv_ratio(facts, known, bounds)
    yield _decay(facts, bounds)
    yield _move(facts, known, bounds)
    yield _events(facts, known)
    yield _dates(facts, "earnings", known.earnings, "volatility tends to fall after the figures, whichever way the stock goes")
    yield _dates(facts, "ex-dividend", known.ex_dividends, "the stock opens lower by the dividend that day, and the option with it")


def _at_most(value: float, passes: float, warns: float) -> Verdict:
    return Verdict.PASS if value <= passes + 1e-12 else Verdict.WARN if value <= warns + 1e-12 else Verdict.FAIL


def _unknown(check: str, unit: str, threshold: str, sentence: str) -> Line:
    return Line(check, Verdict.UNKNOWN, None, unit, threshold, sentence)


def _spread(facts: _Facts, bounds: Thresholds) -> Line:
    threshold = f"at most {100 * bounds.pass_spread_frac:g} % of mid; {100 * bounds.warn_spread_frac:g} % warns"
    bid, ask = facts.cell("bid"), facts.cell("ask")
    value = (ask - bid) / float(facts.priced.mid_usd[facts.i])
    if math.isnan(value):
        return _unknown("spread", "% of mid", threshold, "a side of the quote is missing")
    said = f"in and out at once costs {ask - bid:.2f} a share, {100 * value:.1f} % of mid"
    return Line("spread", _at_most(value, bounds.pass_spread_frac, bounds.warn_spread_frac), 100 * value, "% of mid", threshold, said)


def _at_least(check: str, value: float, passes: float, warns: float, whose: str) -> Line:
    threshold = f"at least {passes:,.0f}; {warns:,.0f} warns"
    if math.isnan(value):
        return _unknown(check, "contracts", threshold, f"{check} was not told")
    return Line(check, _at_most(-value, -passes, -warns), value, "contracts", threshold, f"{whose}: {value:,.0f} contracts")


def _iv_ratio(facts: _Facts, known: Known, bounds: Thresholds) -> Line:
    check, unit = "IV versus realised", "IV / realised"
    threshold = f"at most {bounds.pass_iv_ratio:g}; {bounds.warn_iv_ratio:g} warns"
    iv, realised = float(facts.priced.vol[facts.i]), known.realised_vol
    if realised is None or not realised > 0 or not math.isfinite(realised):
        return _unknown(check, unit, threshold, f"IV is {100 * iv:.1f} %; realised volatility is not known")
    value = iv / realised
    said = f"IV {100 * iv:.1f} % against {100 * realised:.1f} % realised"
    return Line(check, _at_most(value, bounds.pass_iv_ratio, bounds.warn_iv_ratio), value, unit, threshold, said)


def _decay(facts: _Facts, bounds: Thresholds) -> Line:
    check, unit = "theta per hour", "% of the ask"
    threshold = f"at most {100 * bounds.pass_decay_frac:g} % of the ask; {100 * bounds.warn_decay_frac:g} % warns"
    value = -facts.hourly_usd / facts.cell("ask")
    if math.isnan(value):
        return _unknown(check, unit, threshold, "theta is not known")
    said = (
        f"an hour by {facts.priced.clock.value} takes {-facts.hourly_usd * MULTIPLIER:,.2f} USD a contract, {100 * value:.1f} % of the ask"
    )
    return Line(check, _at_most(value, bounds.pass_decay_frac, bounds.warn_decay_frac), 100 * value, unit, threshold, said)


def _move(facts: _Facts, known: Known, bounds: Thresholds) -> Line:
    check, unit = "break-even distance", "ATR"
    root = math.sqrt(facts.days)
    passes, warns = bounds.pass_move_atr * root, bounds.warn_move_atr * root
    threshold = f"at most {passes:.2f} ATR ({bounds.pass_move_atr:g} x √{facts.days:.2f} days); {warns:.2f} warns"
    if known.atr_usd is None or not known.atr_usd > 0 or not math.isfinite(facts.move_usd):
        lacks = "spot" if not math.isfinite(facts.move_usd) else "ATR"
        return _unknown(check, unit, threshold, f"the underlying's {lacks} is not known")
    value = facts.move_usd / known.atr_usd
    said = f"the underlying has to go {facts.move_usd:,.2f} USD, {value:.2f} of a usual day's range, to break even at expiry"
    return Line(check, _at_most(value, passes, warns), value, unit, threshold, said)


def _events(facts: _Facts, known: Known) -> Line:
    threshold = "none before expiry; any warns"
    if known.events is None:
        return _unknown("event risk", "events", threshold, "nobody looked for events before expiry")
    now = facts.priced.chain.asof_ns
    due = sorted((e for e in known.events if now <= e.ts_ns <= facts.expiry_ns), key=lambda e: (e.ts_ns, e.name))
    if not due:
        return Line("event risk", Verdict.PASS, 0.0, "events", threshold, "none known before expiry")
    named = ", ".join(f"{e.name} {to_ny(e.ts_ns):%d %b %H:%M}" for e in due)
    return Line("event risk", Verdict.WARN, float(len(due)), "events", threshold, f"{named} (New York) before expiry")


def _dates(facts: _Facts, check: str, days: tuple[date, ...] | None, why: str) -> Line:
    threshold = "none until the expiry date; any warns"
    if days is None:
        return _unknown(check, "dates", threshold, f"nobody looked for {check} dates")
    today, last = to_ny(facts.priced.chain.asof_ns).date(), to_ny(facts.expiry_ns).date()
    due = sorted(day for day in days if today <= day <= last)
    if not due:
        return Line(check, Verdict.PASS, 0.0, "dates", threshold, "none known until expiry")
    named = ", ".join(f"{day:%d %b}" for day in due)
    return Line(check, Verdict.WARN, float(len(due)), "dates", threshold, f"{named}: {why}")


# -- order --------------------------------------------------------------------------------------------------------------------------


def _order(row: Suggestion, wish: Wish) -> tuple[int, int, float, float, date, float, str]:
    """Return what `RANKED_BY` says, as a key."""
    off = abs(abs(row.delta) - 0.5 * (wish.min_delta + wish.max_delta))
    spread = (row.ask_usd - row.bid_usd) / row.mid_usd
    return row.count(Verdict.FAIL), row.count(Verdict.WARN, Verdict.UNKNOWN), off, spread, row.expiry, row.strike, row.symbol


def _notes(wish: Wish, n_found: int, most: int) -> Iterator[str]:
    if wish.fee_usd is None:
        yield "costs are without fees: none were told"
    if n_found > most:
        yield f"the first {most:,} of {n_found:,} that fit are shown"
    if not n_found:
        yield "no contract fits: the funnel says which filter took the last ones"
