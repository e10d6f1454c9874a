"""What a chain is worth by its own quotes: volatility, greeks and what traders read from them, one status for every contract.

Each expiry of each root gets a forward from its own calls and puts where they allow (`forward.py`), else from spot, rate and
dividend yield. A volatility belongs to the clock named here; the provider's own (`vendor_iv`) is never mixed with it. No market
data raises, and where a number can't be told there is NaN and a status that says why.

In: a Chain, a clock, a RateCurve. Out: PricedChain.

Floor 1: numpy and the files beside this one.

Assumption: American contracts are implied by Black-Scholes-Merton from the side out of the money, by a forward from which early
exercise was taken out. Where early exercise may be
worth more than 1 % of the price, `model` says so, and `is_exact_american` inverts QuantLib's engine for those instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from workbench.options import american
from workbench.options.black import Floats, Greeks
from workbench.options.chain import Chain
from workbench.options.chain_status import ChainStatus, PricingModel, chain_status
from workbench.options.clocks import MINUTES_PER_CALENDAR_YEAR, NS_PER_MIN, TimeClock, years_to_expiry
from workbench.options.early_exercise import exercise_premium
from workbench.options.expiry import Exercise, style
from workbench.options.forward import Carry, Forward, ForwardStatus, agreeing_carry, carried_forward, parity_forward
from workbench.options.implied import IvStatus, fast_greeks, implied_vol
from workbench.options.liquidity import LiquidityLimits, liquidity_warnings
from workbench.options.quotes import ChainVols, IvSource, QuoteLimits, imply_quotes, quote_status, twins
from workbench.options.rates import RateCurve
from workbench.sessions import SessionCalendar
from workbench.types import NS_PER_S

MAX_SPOT_AGE_S = 60.0
BASIS_THAT_COUNTS_FRAC = 0.002  # between spot and what the nearest expiry implies: said in a note
N_ROUNDS = 3  # the third moves a forward by less than 0.001 %
SMALL_PREMIUM_FRAC = american.PREMIUM_THAT_COUNTS_FRAC
_NS_PER_CALENDAR_YEAR = MINUTES_PER_CALENDAR_YEAR * NS_PER_MIN


@dataclass(frozen=True, slots=True)
class PricedExpiry:
    """One expiry of one root: rows `first` to `end` of the chain.

    `years` of the clock, `calendar_years` of the calendar. `carry`: spot, rate and dividend yield that prices here use, so that
    they agree with the forward. `atm_vol`: at the forward, between the strikes beside it. `expected_move_usd`: spot · atm_vol ·
    √years, one standard deviation to expiry. `straddle_usd`: call and put at the strike nearest to the forward, mids. NaN where
    it can't be told.
    """

    date: date
    root: str
    expiry_ns: int
    dte: int
    first: int
    end: int
    years: float
    calendar_years: float
    forward: Forward
    carry: Carry
    atm_vol: float = math.nan
    expected_move_usd: float = math.nan
    straddle_usd: float = math.nan
    n_priced: int = 0


@dataclass(frozen=True)
class PricedChain:
    """Columns of shape (n,), row by row those of `chain.rows`; NaN where `status` tells why not.

    `status`: ChainStatus. `vols`: as `quotes.imply_quotes`; `model`: PricingModel. `spot_usd`, `dividend_yield`, `rate`, `years`: by
    which each row was priced. `mid_usd`, `spread_usd`, `spread_pct` (of the mid) need a bid and an ask that do not cross.
    `break_even_usd`: of the underlying at expiry, bought at the mid. `p_itm`: 0-1, risk-neutral. `distance_pct`: strike from spot.
    `liquidity`: LiquidityWarning. `series`: index into `expiries`.
    """

    chain: Chain
    clock: TimeClock
    expiries: tuple[PricedExpiry, ...]
    series: NDArray[np.int64]
    status: NDArray[np.int8]
    vols: ChainVols
    model: NDArray[np.int8]
    years: Floats
    rate: Floats
    dividend_yield: Floats
    spot_usd: Floats
    dte: NDArray[np.int64]
    mid_usd: Floats
    spread_usd: Floats
    spread_pct: Floats
    break_even_usd: Floats
    distance_pct: Floats
    is_itm: NDArray[np.bool_]
    liquidity: NDArray[np.uint8]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.chain)

    @property
    def rows(self) -> np.ndarray:
        """The chain's rows, CHAIN_DTYPE."""
        return self.chain.rows

    @property
    def vol(self) -> Floats:
        """Implied volatility per √year of `clock`."""
        return self.vols.vol

    @property
    def greeks(self) -> Greeks:
        """Greeks of one unit; NaN where not priced."""
        return self.vols.greeks

    @property
    def p_itm(self) -> Floats:
        """Risk-neutral chance to end in the money, 0-1."""
        return self.vols.greeks.p_itm

    def texts(self) -> list[str]:
        """Return for each contract its status for people; empty where it is priced."""
        return [ChainStatus(int(s)).text for s in self.status]

    def counts(self) -> dict[str, int]:
        """Return how many contracts have each status, by name, the frequent ones first."""
        names, n = np.unique(self.status, return_counts=True)
        return {ChainStatus(int(names[i])).name: int(n[i]) for i in np.argsort(-n, kind="stable")}


def price_chain(
    chain: Chain,
    *,
    clock: TimeClock,
    rates: RateCurve,
    calendar: SessionCalendar,
    dividend_yield: float = 0.0,
    limits: QuoteLimits | None = None,
    max_spot_age_s: float = MAX_SPOT_AGE_S,
    liquidity: LiquidityLimits | None = None,
    is_exact_american: bool = False,
) -> PricedChain:
    """Return the chain with volatility, greeks and status of every contract.

    Parameters
    ----------
    clock : TimeClock                       What counts as time; the volatilities are its own.
    rates : RateCurve                       By calendar years.
    dividend_yield : float                  Continuous, per year; where the quotes tell the forward it only divides the carry.
    limits : QuoteLimits                    Which quotes are taken at their word.
    max_spot_age_s : float                  An older spot prices nothing; a forward from the quotes does without.
    is_exact_american : bool                Invert the American engine where early exercise may count: 7,000 contracts in a second.

    Raises
    ------
    CalendarError                           If the chain's moment lies outside the calendar and the clock needs it.
    ConfigError                             If `is_exact_american` and QuantLib is not installed.
    """
    bounds = limits or QuoteLimits()
    rows = chain.rows
    age_s = np.where(rows["ts_ns"] > 0, (chain.asof_ns - rows["ts_ns"]) / NS_PER_S, np.nan)
    is_priceable = rows["is_standard"] & (rows["expiry_ns"] > 0)
    bid, ask = (np.where(is_priceable, rows[name], np.nan) for name in ("bid", "ask"))
    is_fair = quote_status(bid, ask, age_s, bounds) == IvStatus.OK
    is_stale = not (chain.spot_ts_ns > 0 and (chain.asof_ns - chain.spot_ts_ns) / NS_PER_S <= max_spot_age_s)
    expiries = _opened(chain, clock, calendar, rates, dividend_yield, is_fair, is_stale=is_stale)
    terms = _terms(expiries, rows)
    inputs = (terms.spot, rows["strike"], terms.years, terms.rate, rows["right"])
    vols = imply_quotes(bid, ask, *inputs, series=terms.pair, age_s=age_s, dividend_yield=terms.dividend_yield, limits=bounds)
    has_spot = math.isfinite(chain.spot) and chain.spot > 0
    status = chain_status(rows, vols.status, age_s, terms.spot, asof_ns=chain.asof_ns, max_age_s=bounds.max_age_s, is_spot_known=has_spot)
    model = _models(rows, vols, terms)
    if is_exact_american:
        vols, model = _with_exercise(rows, vols, model, terms)
    reference = np.full(len(rows), chain.spot) if has_spot and not is_stale else terms.spot
    return _priced(chain, clock, expiries, terms, vols, model, status, reference, liquidity_warnings(rows, liquidity))


@dataclass(frozen=True, slots=True)
class _Terms:
    """What each row was priced by. `pair`: one number for root, expiry and deliverable."""

    series: NDArray[np.int64]
    pair: NDArray[np.int64]
    spot: Floats
    years: Floats
    rate: Floats
    dividend_yield: Floats


def _terms(expiries: list[PricedExpiry], rows: np.ndarray) -> _Terms:
    series = np.repeat(np.arange(len(expiries)), [e.end - e.first for e in expiries]).astype(np.int64)
    spot, years, rate, yields = (
        column[series] for column in _columns([(e.carry.spot_usd, e.years, e.carry.rate, e.carry.dividend_yield) for e in expiries])
    )
    return _Terms(series, 2 * series + ~rows["is_standard"], spot, years, rate, yields)


def _priced(
    chain: Chain,
    clock: TimeClock,
    expiries: list[PricedExpiry],
    terms: _Terms,
    vols: ChainVols,
    model: NDArray[np.int8],
    status: NDArray[np.int8],
    reference: Floats,
    liquidity: NDArray[np.uint8],
) -> PricedChain:
    """Return everything in one place, with the columns that need no more than mid, strike and the spot of `reference` [USD]."""
    rows = chain.rows
    mid, spread = mid_and_spread(rows)
    closed = tuple(_closed(expiry, rows, status, vols.vol, mid) for expiry in expiries)
    cp = np.where(rows["right"] == "C", 1.0, -1.0)
    with np.errstate(all="ignore"):  # a strike or spot that is not there gives NaN
        return PricedChain(
            chain=chain,
            clock=clock,
            expiries=closed,
            series=terms.series,
            status=status,
            vols=vols,
            model=model,
            years=terms.years,
            rate=terms.rate,
            dividend_yield=terms.dividend_yield,
            spot_usd=terms.spot,
            dte=np.array([e.dte for e in expiries], np.int64)[terms.series],
            mid_usd=mid,
            spread_usd=spread,
            spread_pct=100 * spread / mid,
            break_even_usd=rows["strike"] + cp * mid,
            distance_pct=100 * (rows["strike"] / reference - 1),
            is_itm=cp * (reference - rows["strike"]) > 0,
            liquidity=liquidity,
            notes=(*chain.notes, *_notes(chain, closed, model)),
        )


def _opened(
    chain: Chain,
    clock: TimeClock,
    calendar: SessionCalendar,
    rates: RateCurve,
    dividend_yield: float,
    is_fair: NDArray[np.bool_],
    *,
    is_stale: bool,
) -> list[PricedExpiry]:
    """Return every expiry with its time, forward and carry; what needs volatilities comes later."""
    out = []
    for expiry, (first, end) in zip(chain.expiries(), chain.series_bounds(), strict=True):
        until_ns = expiry.expiry_ns or chain.asof_ns
        years = float(years_to_expiry(chain.asof_ns, until_ns, clock, calendar=calendar))
        calendar_years = max(until_ns - chain.asof_ns, 0) / _NS_PER_CALENDAR_YEAR
        told = Carry(chain.spot, float(rates.rate(calendar_years)), dividend_yield)
        if years <= 0:
            forward = Forward(math.nan, ForwardStatus.EXPIRED)
        else:
            rows, fair = chain.rows[first:end], is_fair[first:end]
            forward = _forward_of_pairs(rows[fair], told.rate, years)
            if forward.status is not ForwardStatus.PARITY:
                forward = carried_forward(told, years, is_stale=is_stale)
        carry = agreeing_carry(forward, told, years, calendar_years, is_stale=is_stale)
        out.append(PricedExpiry(*expiry, first, end, years, calendar_years, forward, carry))
    return _without_exercise(out, Carry(chain.spot, 0.0, dividend_yield), is_stale=is_stale)


def _without_exercise(expiries: list[PricedExpiry], told: Carry, *, is_stale: bool) -> list[PricedExpiry]:
    """Return the expiries with early exercise taken out of the forwards that American pairs told.

    The pair at the money tells a volatility, that what early exercise adds to call and to put, and that another forward: three rounds.
    """
    asked = [k for k, e in enumerate(expiries) if e.forward.status is ForwardStatus.PARITY and _is_american(e.root)]
    american_ones = [expiries[k] for k in asked]
    ours = list(american_ones)
    strike, call, put, years = _columns(
        [(e.forward.pair_strike_usd, e.forward.pair_call_usd, e.forward.pair_put_usd, e.years) for e in american_ones]
    )
    call_premium, put_premium = np.zeros(len(ours)), np.zeros(len(ours))
    for _ in range(N_ROUNDS if ours else 0):
        forward, spot, rate, yields = _columns(
            [(e.forward.forward_usd, e.carry.spot_usd, e.carry.rate, e.carry.dividend_yield) for e in ours]
        )
        is_call = strike >= forward
        price, right = np.where(is_call, call - call_premium, put - put_premium), np.where(is_call, "C", "P")
        vol = implied_vol(price, spot, strike, years, rate, right, dividend_yield=yields).vol
        call_premium, put_premium = (
            np.nan_to_num(exercise_premium(spot, strike, years, rate, vol, right, dividend_yield=yields)) for right in ("C", "P")
        )
        shift = np.exp(rate * years) * (put_premium - call_premium)
        ours = [_moved(e, float(by), told, is_stale=is_stale) for e, by in zip(american_ones, shift, strict=True)]
    moved = dict(zip(asked, ours, strict=True))
    return [moved.get(k, expiry) for k, expiry in enumerate(expiries)]


def _moved(expiry: PricedExpiry, by_usd: float, told: Carry, *, is_stale: bool) -> PricedExpiry:
    """Return the expiry with its forward moved, and the carry that agrees with it."""
    forward = replace(expiry.forward, forward_usd=expiry.forward.forward_usd + by_usd)
    with_rate = replace(told, rate=expiry.carry.rate)
    carry = agreeing_carry(forward, with_rate, expiry.years, expiry.calendar_years, is_stale=is_stale)
    return replace(expiry, forward=forward, carry=carry)


def _columns(rows: list[tuple[float, ...]]) -> list[Floats]:
    """Return the columns of four numbers each."""
    return list(np.array(rows, np.float64).reshape(-1, 4).T)


def _is_american(root: str) -> bool:
    return style(root).exercise is Exercise.AMERICAN


def _forward_of_pairs(fair: np.ndarray, rate: float, years: float) -> Forward:
    """Return the forward from the well quoted rows of one root and expiry."""
    calls, puts = (fair[fair["right"] == right] for right in ("C", "P"))
    strikes, c, p = np.intersect1d(calls["strike"], puts["strike"], return_indices=True)
    sides = (calls["bid"][c], calls["ask"][c], puts["bid"][p], puts["ask"][p])
    return parity_forward(strikes, *sides, math.exp(rate * years), years)


def mid_and_spread(rows: np.ndarray) -> tuple[Floats, Floats]:
    """Return mid and spread where somebody bids, somebody offers and the two do not cross; a stale quote has its own still."""
    bid, ask = rows["bid"], rows["ask"]
    is_two_sided = (bid > 0) & (ask >= bid) & np.isfinite(ask)
    bid, ask = (np.where(is_two_sided, side, np.nan) for side in (bid, ask))
    return 0.5 * (bid + ask), ask - bid


def _closed(expiry: PricedExpiry, rows: np.ndarray, status: NDArray[np.int8], vol: Floats, mid: Floats) -> PricedExpiry:
    """Return the expiry with what its volatilities and mids tell: at-the-money volatility, expected move, straddle."""
    part = slice(expiry.first, expiry.end)
    is_ok = status[part] == ChainStatus.OK
    n_priced = int(is_ok.sum())
    if not math.isfinite(expiry.forward.forward_usd):
        return replace(expiry, n_priced=n_priced)
    strike, is_call = rows["strike"][part], rows["right"][part] == "C"
    is_outside = np.where(is_call, 1, -1) * (strike - expiry.forward.forward_usd) >= 0  # the side that told the volatility
    atm_vol = _at(expiry.forward.forward_usd, strike[is_ok & is_outside], vol[part][is_ok & is_outside])
    mids = mid[part]
    shared, c, p = np.intersect1d(strike[is_call & is_ok], strike[~is_call & is_ok], return_indices=True)
    straddle = math.nan
    if len(shared):
        nearest = int(np.argmin(np.abs(shared - expiry.forward.forward_usd)))
        straddle = float(mids[is_call & is_ok][c[nearest]] + mids[~is_call & is_ok][p[nearest]])
    move = expiry.carry.spot_usd * atm_vol * math.sqrt(expiry.years)
    return replace(expiry, atm_vol=atm_vol, expected_move_usd=move, straddle_usd=straddle, n_priced=n_priced)


def _at(forward: float, strike: Floats, vol: Floats) -> float:
    """Return the volatility at the forward, linear between the strikes on either side; NaN without one on either."""
    order = np.argsort(strike, kind="stable")
    if not len(strike) or not strike[order[0]] <= forward <= strike[order[-1]]:
        return math.nan
    return float(np.interp(forward, strike[order], vol[order]))


def _models(rows: np.ndarray, vols: ChainVols, terms: _Terms) -> NDArray[np.int8]:
    """Return the PricingModel behind each volatility.

    Early exercise is worth at most the interest on the strike (put) or the yield on the shares (call) until expiry, in those cases in
    which the contract ends in the money.
    """
    roots, of_root = np.unique(rows["root"], return_inverse=True)
    is_american = np.array([_is_american(str(root)) for root in roots] or [False])[of_root.reshape(-1)]
    is_call = rows["right"] == "C"
    lost = 1 - np.exp(-np.where(is_call, terms.dividend_yield, terms.rate) * terms.years)
    gain = np.where(is_call, terms.spot, rows["strike"]) * np.maximum(lost, 0)
    with np.errstate(all="ignore"):
        premium_frac = gain * vols.greeks.p_itm / vols.greeks.price_usd
    picks = [vols.status != IvStatus.OK, ~is_american | (gain == 0), premium_frac <= SMALL_PREMIUM_FRAC]
    kinds = [PricingModel.NONE, PricingModel.EXACT, PricingModel.SMALL_PREMIUM]
    return np.select(picks, [np.int8(k) for k in kinds], np.int8(PricingModel.PREMIUM_LEFT_OUT)).astype(np.int8)


def _with_exercise(rows: np.ndarray, vols: ChainVols, model: NDArray[np.int8], terms: _Terms) -> tuple[ChainVols, NDArray[np.int8]]:
    """Return volatilities with early exercise in them where it may count, greeks at those volatilities, and the models.

    A contract in the money keeps its twin's volatility, the twin's new one where it has one.
    """
    vol, model = vols.vol.copy(), model.copy()
    asked = (model == PricingModel.PREMIUM_LEFT_OUT) & (vols.source == IvSource.OWN)
    for i in np.flatnonzero(asked):
        spot, strike, years, rate, yields = (
            float(column[i]) for column in (terms.spot, rows["strike"], terms.years, terms.rate, terms.dividend_yield)
        )
        price, right = float(vols.mid_usd[i]), str(rows["right"][i])
        found = american.implied(price, spot, strike, years, rate, right, dividend_yield=yields, precision=american.Precision.FAST)
        if found.status == IvStatus.OK:
            vol[i], model[i] = float(found.vol), PricingModel.AMERICAN
    twin = twins(terms.pair, rows["strike"], rows["right"])
    takes = (vols.source > IvSource.OWN) & (model[twin] == PricingModel.AMERICAN)
    vol[takes], model[takes] = vol[twin[takes]], PricingModel.AMERICAN
    spots, strikes = (np.where(np.isnan(vol), np.nan, x) for x in (terms.spot, rows["strike"]))  # without a volatility ask for nothing
    greeks = fast_greeks(spots, strikes, terms.years, terms.rate, vol, rows["right"], dividend_yield=terms.dividend_yield)
    return replace(vols, vol=vol, greeks=greeks), model


def _notes(chain: Chain, expiries: tuple[PricedExpiry, ...], model: NDArray[np.int8]) -> list[str]:
    """Say what a person should know of how the chain was priced."""
    notes = []
    for status in (ForwardStatus.CARRY, ForwardStatus.STALE_SPOT, ForwardStatus.MISSING, ForwardStatus.EXPIRED):
        told = [f"{e.root} {e.date}" for e in expiries if e.forward.status is status]
        if told:
            more = f" and {len(told) - 3} more" if len(told) > 3 else ""
            notes.append(f"forward {status.text} ({', '.join(told[:3])}{more})")
    told_forwards = [e for e in expiries if e.forward.status is ForwardStatus.PARITY]
    if told_forwards and chain.spot > 0:
        nearest = told_forwards[0]
        implied = nearest.forward.forward_usd * math.exp((nearest.carry.dividend_yield - nearest.carry.rate) * nearest.years)
        basis_frac = implied / chain.spot - 1
        if abs(basis_frac) > BASIS_THAT_COUNTS_FRAC + nearest.forward.half_width_usd / chain.spot:
            notes.append(
                f"spot {chain.spot:,.2f}, but options of {nearest.root} {nearest.date} imply {implied:,.2f} ({100 * basis_frac:+.2f} %): "
                "an old spot, old quotes, or a dividend before expiry"
            )
    n_left_out = int((model == PricingModel.PREMIUM_LEFT_OUT).sum())
    return [*notes, f"{n_left_out:,} American contracts: {PricingModel.PREMIUM_LEFT_OUT.text}"] if n_left_out else notes
