"""The covered-call screener for options of the day: which calls to sell against shares held, and what each of them does to the holder.

In: a PricedChain, CoveredCallRules, a forecast of volatility if there is one. Out: CoveredCallScreen: a row for every call of the
day, in or out and why, and a funnel that says which filter took how many. All amounts are USD per share of the position "one
share bought at the spot now, one call on it sold"; what is not known fails with a reason, and nothing is put in its place.

Floor 1: numpy and the files beside this one.

Assumptions: the premium is what buyers bid now. Chances take the volatility of the strike for all levels of the stock, and the
carry by which the chain was priced. The expected value is what is received less what the call is worth at the forecast; without a
forecast the market's own volatility is taken, and then it is minus what the bid gives away: no edge comes from the price alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import RecordError, choices
from workbench.options import black
from workbench.options.black import Floats
from workbench.options.chain_status import ChainStatus
from workbench.options.clocks import NS_PER_MIN
from workbench.options.expiry import Delivery, Exercise, style
from workbench.options.filters import Funnel, FunnelStep, check_knobs, check_order, knob
from workbench.options.priced import MAX_SPOT_AGE_S, PricedChain
from workbench.sessions import to_ny
from workbench.types import NS_PER_S

PIN_FRAC, PIN_MINUTES = 0.001, 30  # a strike so near the spot, so late, may end on either side
ROUNDING = 1e-12  # bounds are inclusive: 0.03 that became 0.030000000000000002 is inside
FARTHEST_NEXT_DAYS = 4  # from an expiry to the next session, over a long weekend
SELL_AT = ("bid", "mid")
RANK_BY = ("premium_yield", "ev", "pop", "strike")


@dataclass(frozen=True, slots=True)
class CoveredCallRules:
    """What a call has to be. All bounds are inclusive. Each field's `metadata` has its unit, help and the range allowed."""

    min_otm_frac: float = knob(0.0, "of spot", "strike above spot by at least", -1, 10)
    max_otm_frac: float = knob(0.03, "of spot", "strike above spot by at most", -1, 10)
    min_delta: float = knob(0.15, "USD/USD", "delta of the call at least", 0, 1)
    max_delta: float = knob(0.35, "USD/USD", "delta of the call at most", 0, 1)
    min_bid_usd: float = knob(0.05, "USD", "bid at least", 0)
    min_open_interest: float = knob(1, "contracts", "open interest, last night's, at least", 0)
    max_spread_frac: float = knob(0.75, "of mid", "ask less bid at most", 0)
    max_dte: int = knob(0, "days", "calendar days to expiry at most; 0: expires today, and has not yet", 0, 10_000)
    sell_at: str = knob("bid", "", "the price received: bid, or mid for those who wait")
    rank_by: str = knob("premium_yield", "", "what the rows in are ordered by, the largest first; strike: the lowest first")

    def __post_init__(self) -> None:
        check_knobs(self)
        check_order(self, "otm_frac", "delta")
        for name, allowed in (("sell_at", SELL_AT), ("rank_by", RANK_BY)):
            if getattr(self, name) not in allowed:
                raise RecordError(f"{name}: received {choices(getattr(self, name), allowed)}")


@dataclass(frozen=True, slots=True)
class Forecast:
    """A volatility that somebody stands behind, by the clock of the chain. `error`: one standard error, None where not told."""

    vol: float
    source: str  # e.g. 'HAR-RV, 5-minute bars, 60 days'
    error: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.vol < black.MAX_VOL:
            raise RecordError(f"forecast vol: received {self.vol!r}; allowed: above 0, 0.2 = 20 %")
        if self.error is not None and not 0 <= self.error < math.inf:
            raise RecordError(f"forecast error: received {self.error!r}; allowed: 0 or more, in the units of the volatility")


@dataclass(frozen=True, slots=True)
class CoveredCall:
    """One call of the day, sold against a share: USD per share, fractions and chances 0-1. NaN: not known."""

    symbol: str
    root: str
    spot: float  # at which the share is taken to be bought
    strike: float
    bid: float
    ask: float
    mid: float
    credit: float  # what is received: bid or mid, by the rules
    open_interest: float
    volume: float
    iv: float  # of the strike, by the clock of the chain
    delta: float
    minutes_left: float  # of the calendar
    otm_frac: float  # strike above spot, of spot
    spread_frac: float  # of mid
    premium_yield: float  # credit / spot
    breakeven: float  # spot - credit: of the whole position
    max_profit: float  # strike - spot + credit
    max_loss: float  # spot - credit: the stock goes to nothing
    p_assigned: float  # the stock ends above the strike
    p_keep: float  # it does not: stock and premium stay. Not the chance of a profit
    pop: float  # the stock ends above the breakeven: the whole position makes money
    ev: float  # expected: credit less the call at the forecast, or at the market's own volatility
    ev_low: float  # at the forecast plus its error
    ev_high: float  # at the forecast less its error
    ev_market: float  # at the market's own volatility: minus what selling at the bid gives away
    legacy_score: float  # 0-100 of the older screener; rewards yield and chance, which trade off; no probability
    is_pin_risk: bool
    status: str  # 'pass' or 'fail'
    reasons: tuple[str, ...]  # why it failed, every filter
    confidence: None = None  # measured share of profits of this rule: none before 200 recorded outcomes


@dataclass(frozen=True)
class CoveredCallScreen:
    """What came out. `rows`: those that passed by `rules.rank_by`, then the others by strike."""

    underlying: str
    spot: float
    asof_ns: int
    clock: str
    rules: CoveredCallRules
    forecast: Forecast | None
    rows: tuple[CoveredCall, ...]
    funnel: tuple[FunnelStep, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> tuple[CoveredCall, ...]:
        """The rows that passed every filter."""
        return tuple(row for row in self.rows if row.status == "pass")


# -- the formulas -------------------------------------------------------------------------------------------------------------------


def p_above(level: ArrayLike, forward: ArrayLike, total_vol: ArrayLike) -> Floats:
    """Return the risk-neutral chance that the stock ends above each level: N(d2).

    `forward` [USD], `total_vol` v·√T. Without volatility all or nothing, one half at the level itself; a level of 0 or less is
    always exceeded; NaN gives NaN.
    """
    at, f, s = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (level, forward, total_vol)))
    with np.errstate(all="ignore"):
        distance = np.log(f / np.where(at > 0, at, 1.0))
        d2 = np.where(s > black.STILL, distance / s - 0.5 * s, black.certain(distance))
    known = ~(np.isnan(at) | np.isnan(f) | np.isnan(s))
    return np.where(known, np.where(at > 0, black.normal_cdf(d2), 1.0), np.nan)


def realised_usd(strike: ArrayLike, spot: ArrayLike, credit: ArrayLike, spot_at_expiry: ArrayLike) -> Floats:
    """Return what a covered call has made at expiry per share [USD]: min(S_T, K) - S + c. The loss of the stock is part of it."""
    k, s, c, end = (np.asarray(x, np.float64) for x in (strike, spot, credit, spot_at_expiry))
    return np.minimum(end, k) - s + c


def legacy_score(premium_yield: ArrayLike, pop: ArrayLike, volume: ArrayLike, open_interest: ArrayLike, spread_frac: ArrayLike) -> Floats:
    """Return the older screener's 0-100 'confidence', for comparison: yield, chance of profit, then liquidity. NaN where one is."""
    y, p, v, oi, w = (np.asarray(x, np.float64) for x in (premium_yield, pop, volume, open_interest, spread_frac))
    with np.errstate(invalid="ignore"):
        liquid = 10 * np.minimum(1, np.log10(v + 1) / 3) + 5 * np.minimum(1, np.log10(oi + 1) / 4) + np.maximum(0, 5 - 10 * w)
    return np.minimum(40, 20_000 * y) + 40 * p + liquid


# -- the screen ---------------------------------------------------------------------------------------------------------------------


def screen_covered_calls(
    priced: PricedChain,
    rules: CoveredCallRules | None = None,
    *,
    forecast: Forecast | None = None,
    ex_dividends: Sequence[date] | None = None,
    max_spot_age_s: float = MAX_SPOT_AGE_S,
) -> CoveredCallScreen:
    """Return every standard call that expires within `rules.max_dte`, measured, judged and ranked; and the funnel.

    Parameters
    ----------
    priced : PricedChain                    Of one underlying; its clock is the one that volatilities and the forecast belong to.
    rules : CoveredCallRules
    forecast : Forecast                     None: the expected value is at the market's own volatility.
    max_spot_age_s : float                  An older spot is no price to buy shares at: what the quotes imply stands in, and a note says so.
    ex_dividends : dates                    Of the underlying, those known; None: nobody looked, and a note says so.
    """
    asked, chain = rules or CoveredCallRules(), priced.chain
    funnel = Funnel(len(priced))
    picked = np.flatnonzero(_of_the_day(priced, asked, funnel))
    spots, told = known_spots(priced, picked, max_spot_age_s)
    columns = _measured(priced, picked, spots, asked, forecast)
    rows = _rows(columns, _judged(columns, priced, picked, asked, funnel))
    return CoveredCallScreen(
        underlying=chain.underlying,
        spot=next((float(spot) for spot in spots if math.isfinite(spot)), chain.spot),
        asof_ns=chain.asof_ns,
        clock=priced.clock.value,
        rules=asked,
        forecast=forecast,
        rows=tuple(sorted(rows, key=lambda row: _rank(row, asked))),
        funnel=tuple(funnel.steps),
        notes=(*priced.notes, *told, *_notes(priced, picked, forecast), *_dividend_notes(priced, picked, ex_dividends)),
    )


def known_spots(priced: PricedChain, picked: np.ndarray, max_spot_age_s: float) -> tuple[Floats, list[str]]:
    """Return for each row of `picked` the price of the underlying: the chain's own, else what its quotes imply and a note of that."""
    chain = priced.chain
    is_told = chain.spot > 0 and chain.spot_ts_ns > 0 and (chain.asof_ns - chain.spot_ts_ns) / NS_PER_S <= max_spot_age_s
    if is_told:
        return np.full(len(picked), chain.spot), []
    implied = priced.spot_usd[picked]
    known = implied[np.isfinite(implied)]
    return implied, [f"spot {known[0]:,.2f} is what the quotes imply: the chain's own is missing or too old"] if len(known) else []


def _rows(columns: dict[str, np.ndarray], reasons: list[list[str]]) -> list[CoveredCall]:
    names = [f.name for f in fields(CoveredCall) if f.name not in ("status", "reasons", "confidence")]
    return [
        CoveredCall(**{name: columns[name][i].item() for name in names}, status="fail" if why else "pass", reasons=tuple(why))
        for i, why in enumerate(reasons)
    ]


def _of_the_day(priced: PricedChain, rules: CoveredCallRules, funnel: Funnel) -> np.ndarray:
    """Return which rows of the chain are screened at all."""
    rows = priced.rows
    is_live = rows["expiry_ns"] > priced.chain.asof_ns
    funnel.keep("call", "right is C", rows["right"] == "C")
    is_near = (priced.dte >= 0) & (priced.dte <= rules.max_dte) & is_live
    funnel.keep("expiry", "today, not yet expired" if rules.max_dte == 0 else f"0 to {rules.max_dte} days, not yet expired", is_near)
    return funnel.keep("standard", "delivers 100 shares", rows["is_standard"])


def _measured(
    priced: PricedChain, picked: np.ndarray, spot: Floats, rules: CoveredCallRules, forecast: Forecast | None
) -> dict[str, np.ndarray]:
    """Return the fields of `CoveredCall` as columns."""
    rows = priced.rows[picked]
    years, vol, rate, carried, spots = (x[picked] for x in (priced.years, priced.vol, priced.rate, priced.dividend_yield, priced.spot_usd))
    strike, bid, mid = rows["strike"], rows["bid"], priced.mid_usd[picked]
    credit = np.where(bid > 0, bid if rules.sell_at == "bid" else mid, np.nan)
    forward, total_vol = spots * np.exp((rate - carried) * years), vol * np.sqrt(years)

    def ev(v: ArrayLike) -> Floats:
        return credit - black.price(spots, strike, years, rate, np.where(np.isnan(total_vol), np.nan, v), "C", dividend_yield=carried)

    stated = vol if forecast is None else forecast.vol
    error = np.nan if forecast is None or forecast.error is None else forecast.error
    p_assigned, pop = p_above(strike, forward, total_vol), p_above(spot - credit, forward, total_vol)
    minutes = (rows["expiry_ns"] - priced.chain.asof_ns) / NS_PER_MIN
    spread = (rows["ask"] - bid) / mid
    return {
        "symbol": rows["symbol"], "root": rows["root"], "spot": spot, "strike": strike, "bid": bid, "ask": rows["ask"], "mid": mid,
        "credit": credit, "open_interest": rows["open_interest"], "volume": rows["volume"], "iv": vol,
        "delta": priced.greeks.delta[picked], "minutes_left": minutes, "otm_frac": (strike - spot) / spot, "spread_frac": spread,
        "premium_yield": credit / spot, "breakeven": spot - credit, "max_profit": strike - spot + credit, "max_loss": spot - credit,
        "p_assigned": p_assigned, "p_keep": 1 - p_assigned, "pop": pop, "ev": ev(stated), "ev_low": ev(stated + error),
        "ev_high": ev(np.maximum(stated - error, 0)), "ev_market": ev(vol),
        "legacy_score": legacy_score(credit / spot, pop, rows["volume"], rows["open_interest"], spread),
        "is_pin_risk": (np.abs(spot - strike) / spot < PIN_FRAC) & (minutes <= PIN_MINUTES),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Bound:
    """One filter of rows: the column that it asks for, its bounds, and how to say a value."""

    name: str
    column: str
    low: float
    high: float
    show: Callable[[float], str]

    @property
    def rule(self) -> str:
        parts = [self.show(self.low)] if self.low > -math.inf else []
        parts += [self.show(self.high)] if self.high < math.inf else []
        return " to ".join(parts) if len(parts) == 2 else f"at {'least' if self.low > -math.inf else 'most'} {parts[0]}"

    def holds(self, values: Floats) -> np.ndarray:
        return (values >= self.low - ROUNDING) & (values <= self.high + ROUNDING)


def _bounds(rules: CoveredCallRules) -> Iterator[_Bound]:
    def percent(x: float) -> str:
        return f"{100 * x:.4g} %"

    yield _Bound("out of the money", "otm_frac", rules.min_otm_frac, rules.max_otm_frac, percent)
    yield _Bound("delta", "delta", rules.min_delta, rules.max_delta, "{:.4g}".format)
    yield _Bound("bid", "bid", rules.min_bid_usd, math.inf, "{:.2f} USD".format)
    yield _Bound("open interest", "open_interest", rules.min_open_interest, math.inf, "{:,.0f}".format)
    yield _Bound("spread", "spread_frac", -math.inf, rules.max_spread_frac, percent)


def _judged(
    columns: dict[str, np.ndarray], priced: PricedChain, picked: np.ndarray, rules: CoveredCallRules, funnel: Funnel
) -> list[list[str]]:
    """Return for each row why it fails, every reason; the funnel counts the filters in order."""
    reasons: list[list[str]] = [[] for _ in picked]
    status = priced.status[picked]
    for i in np.flatnonzero(status != ChainStatus.OK):
        reasons[i].append(f"implied volatility: {ChainStatus(int(status[i])).text}")
    known = priced.status == ChainStatus.OK
    funnel.keep("implied volatility", "known, from a fair quote", known, ~known)
    for bound in _bounds(rules):
        values = np.full(len(priced), np.nan)
        values[picked] = columns[bound.column]
        is_in, is_missing = bound.holds(values), np.isnan(values)
        funnel.keep(bound.name, bound.rule, is_in, is_missing)
        for i in np.flatnonzero(~is_in[picked]):
            value = float(columns[bound.column][i])
            reasons[i].append(f"{bound.name}: " + ("not known" if math.isnan(value) else f"{bound.show(value)}, allowed {bound.rule}"))
    return reasons


def _rank(row: CoveredCall, rules: CoveredCallRules) -> tuple[bool, float, float, str]:
    value = 0.0 if row.status == "fail" or rules.rank_by == "strike" else -getattr(row, rules.rank_by)
    return row.status == "fail", value, row.strike, row.symbol


def _notes(priced: PricedChain, picked: np.ndarray, forecast: Forecast | None) -> Iterator[str]:
    """Yield what has to be known before one of the rows is sold."""
    if not len(picked):
        yield "no standard call of this chain expires in time: nothing to screen"
        return
    if forecast is None:
        yield "ev is at the market's own volatility, so it is minus what selling below the mid gives away; an edge needs a stated forecast"
    else:
        error = "its error was not told" if forecast.error is None else f"error {100 * forecast.error:.2f} points"
        yield f"ev is at a forecast of {100 * forecast.vol:.2f} % by {forecast.source}, {error}"
    yield "open interest is last night's: today's trading is not in it"
    for root in np.unique(priced.rows["root"][picked]).tolist():
        how = style(root)
        if how.delivery is Delivery.CASH:
            yield f"{root} settles in cash: there are no shares to be called away, the figures hold for a position of that size"
        elif how.exercise is Exercise.AMERICAN:
            yield (
                f"{root} is American: it may be assigned before expiry, above all before an ex-dividend date, and until an hour and a half"
                " after the close whatever the closing price was"
            )


def _dividend_notes(priced: PricedChain, picked: np.ndarray, ex_dividends: Sequence[date] | None) -> Iterator[str]:
    """Yield whether a dividend may make holders exercise before it: those that are due until the day after the last expiry."""
    if not any(style(root).exercise is Exercise.AMERICAN for root in np.unique(priced.rows["root"][picked]).tolist()):
        return
    if ex_dividends is None:
        yield "ex-dividend dates: nobody looked"
        return
    today = to_ny(priced.chain.asof_ns).date()
    last = to_ny(int(priced.rows["expiry_ns"][picked].max())).date() + timedelta(days=FARTHEST_NEXT_DAYS)
    for day in sorted(day for day in ex_dividends if today < day <= last):
        yield f"ex-dividend on {day:%Y-%m-%d}: a call in the money tends to be exercised the evening before, for the dividend"
