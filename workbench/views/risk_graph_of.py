"""Structures against priced chains, as plain dicts for the risk graph's page: legs, prices, outlook, greeks, lines of profit.

In: structures held, chains priced, what the sliders say (`Scenario`). Out: dicts that JSON can carry; what is not known is None. Floor 8,
no screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from workbench.options import risk_graph
from workbench.options.assignment import remarks
from workbench.options.chain_status import ChainStatus
from workbench.options.payoff import LegQuote, Prices, payoff, prices
from workbench.options.priced import PricedChain
from workbench.options.risk_graph import Plan, Scene
from workbench.options.smile import Smile, fit_smile
from workbench.options.structures import Leg, Structure
from workbench.sessions import SessionCalendar
from workbench.types import NS_PER_S

BASES = ("mid", "natural", "theo", "entry")
N_SPOTS = 121  # a leg with early exercise that the kernel does not reach costs 1 ms at each


@dataclass(frozen=True, slots=True)
class Held:
    """A structure on the page. `entry_usd`: what it was entered for, by whoever fixed it; None: the market's price is taken."""

    structure: Structure
    is_shown: bool = True
    entry_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the sliders say. `when_frac`: 0 now, 1 the first expiry; `spot_frac` 0.01 is one percent up; `vol_points` added to each IV."""

    when_frac: float = 0.0
    spot_frac: float = 0.0
    vol_points: float = 0.0
    basis: str = "mid"


@dataclass(frozen=True)
class Market:
    """Chains of one underlying by expiry date, priced, and the smile of each (root, date) that has one."""

    chains: Mapping[date, PricedChain]
    smiles: Mapping[tuple[str, date], Smile | None]
    calendar: SessionCalendar
    spot_usd: float
    now_ns: int

    @classmethod
    def of(cls, chains: Mapping[date, PricedChain], calendar: SessionCalendar, now_ns: int) -> Market:
        """Return the market that these chains tell; its spot is that of the newest."""
        newest = max((p.chain for p in chains.values()), key=lambda chain: chain.spot_ts_ns, default=None)
        smiles = {(e.root, e.date): smile_of(p, i) for p in chains.values() for i, e in enumerate(p.expiries)}
        return cls(chains, smiles, calendar, math.nan if newest is None else float(newest.spot), now_ns)

    def row(self, leg: Leg) -> tuple[PricedChain, int] | None:
        """Return the chain and row of a leg's contract; None when it is not there."""
        assert leg.contract is not None
        priced = self.chains.get(leg.contract.expiry)
        found = () if priced is None else np.flatnonzero(priced.rows["symbol"] == leg.contract.occ)
        return (priced, int(found[0])) if priced is not None and len(found) else None


def smile_of(priced: PricedChain, index: int) -> Smile | None:
    """Return the smile fitted through the quotes of one expiry of one root; None where they don't tell one."""
    e, rows = priced.expiries[index], priced.rows
    part = rows[e.first : e.end]
    part = part[part["is_standard"]]
    if not (math.isfinite(e.forward.forward_usd) and e.years > 0):
        return None
    age_s = (priced.chain.asof_ns - part["ts_ns"]) / NS_PER_S
    discount = math.exp(-e.carry.rate * e.years)
    smile = fit_smile(
        part["strike"], part["right"], part["bid"], part["ask"],
        forward=e.forward.forward_usd, years=e.years, discount=discount, age_s=age_s,
    )  # fmt: skip
    return smile if smile is not None and smile.is_arbitrage_free else None


def quotes_of(structure: Structure, market: Market) -> list[LegQuote]:
    """Return bid, ask and the fitted smile's price of each leg; shares at the spot, which is what is known of them here."""
    out = []
    for leg in structure.legs:
        if leg.contract is None:
            out.append(LegQuote(market.spot_usd, market.spot_usd, market.spot_usd))
            continue
        found = market.row(leg)
        if found is None:
            out.append(LegQuote())
            continue
        priced, i = found
        row, smile = priced.rows[i], market.smiles.get((leg.contract.root, leg.contract.expiry))
        theo = math.nan if smile is None else float(smile.price(float(row["strike"]), str(row["right"])))
        out.append(LegQuote(float(row["bid"]), float(row["ask"]), theo))
    return out


def scene_of(structure: Structure, market: Market) -> Scene:
    """Return the scene of a structure by what its chains were priced with; NaN where a leg has no volatility.

    One spot for all legs: each leg's yield is moved so that its expiry keeps its own forward.
    """
    columns = np.full((4, len(structure.legs)), np.nan)
    columns[2:] = 0.0
    for k, leg in enumerate(structure.legs):
        found = market.row(leg) if leg.contract is not None else None
        if found is None:
            if leg.contract is not None:
                columns[0, k] = 0.0
            continue
        priced, i = found
        years, rate, yld = (float(x[i]) for x in (priced.years, priced.rate, priced.dividend_yield))
        moved = yld - math.log(float(priced.spot_usd[i]) / market.spot_usd) / years if years > 0 and market.spot_usd > 0 else yld
        columns[:, k] = years, float(priced.vol[i]), rate, moved if math.isfinite(moved) else yld
    return Scene(market.spot_usd, *columns)


def cost_of(held: Held, quoted: Prices, basis: str) -> float:
    """Return what entering costs [USD] on a basis; NaN where that price is missing."""
    if basis == "entry":
        return math.nan if held.entry_usd is None else held.entry_usd
    return float({"mid": quoted.mid_usd, "natural": quoted.natural_usd, "theo": quoted.theo_usd}[basis])


@dataclass(frozen=True, slots=True)
class Drawn:
    """A held structure with everything that is drawn from."""

    held: Held
    quotes: list[LegQuote]
    quoted: Prices
    plan: Plan


def drawn(held: Held, market: Market, basis: str) -> Drawn:
    """Return a structure with quotes, prices and its plan. `basis`: one of BASES."""
    quotes = quotes_of(held.structure, market)
    quoted = prices(held.structure, quotes)
    cost = cost_of(held, quoted, basis)
    return Drawn(held, quotes, quoted, Plan(held.structure, scene_of(held.structure, market), cost))


def lines(shown: Sequence[Drawn], scenario: Scenario, horizon_years: float) -> dict[str, Any]:
    """Return spots and, of each structure, profit at its first expiry and at the scenario's moment and volatility."""
    plans = [one.plan for one in shown]
    known = [plan for plan in plans if np.isfinite(plan.scene.spot_usd) and plan.scene.spot_usd > 0]
    if not known:
        return {"spots": [], "lines": []}
    spots = np.maximum(_window(known), 1e-6)
    out = []
    for plan in plans:
        at_end = _at_expiry(plan, spots)
        then = _then(plan, spots, scenario, horizon_years)
        out.append({"expiry": _list(at_end), "then": _list(then)})
    return {"spots": np.round(spots, 4).tolist(), "lines": out}


def _window(plans: Sequence[Plan]) -> Any:
    """Return spots two and a half deviations to the first expiry wide, every strike inside with room beside it."""
    spot = plans[0].scene.spot_usd
    strikes = [float(leg.contract.strike) for p in plans for leg in p.structure.legs if leg.contract]
    moves = max((risk_graph.typical_vol(p.structure, p.scene) * math.sqrt(p.scene.first_years) for p in plans if _is_dated(p)), default=0.0)
    low, high = spot * math.exp(-2.5 * max(moves, 0.004)), spot * math.exp(2.5 * max(moves, 0.004))
    reach = max([high - spot, spot - low, *(1.35 * abs(k - spot) for k in strikes)])
    return np.unique(np.concatenate([np.linspace(max(spot - reach, 0.0), spot + reach, N_SPOTS), strikes]))


def _is_dated(plan: Plan) -> bool:
    return math.isfinite(plan.scene.first_years) and math.isfinite(risk_graph.typical_vol(plan.structure, plan.scene))


def _at_expiry(plan: Plan, spots: Any) -> Any:
    if plan.structure.has_one_expiry:
        return payoff(plan.structure, plan.cost_usd).at(spots)
    return risk_graph.profit(plan, spots, years_passed=plan.scene.first_years)


def _then(plan: Plan, spots: Any, scenario: Scenario, horizon_years: float) -> Any:
    passed = scenario.when_frac * horizon_years
    return risk_graph.overlay([plan], spots, years_passed=passed, vol_shift=scenario.vol_points / 100)[0]


def horizon(shown: Sequence[Drawn]) -> float:
    """Return the years to the latest first expiry of what is shown: where the date slider ends; 0 without options."""
    ends = [one.plan.scene.first_years for one in shown]
    return max((x for x in ends if math.isfinite(x)), default=0.0)


def figures(one: Drawn, scenario: Scenario, market: Market, horizon_years: float) -> dict[str, Any]:
    """Return everything told of one structure beside its lines."""
    plan, structure = one.plan, one.plan.structure
    spot = plan.scene.spot_usd * (1 + scenario.spot_frac)
    passed = min(scenario.when_frac * horizon_years, plan.scene.first_years)
    at = {"years_passed": passed, "vol_shift": scenario.vol_points / 100}
    is_known = math.isfinite(spot) and spot > 0
    greeks = risk_graph.greeks(structure, plan.scene, spot, **at) if is_known else None
    seen = risk_graph.outlook(plan) if is_known else None
    lots = structure.lots
    return {
        "legs": [_leg(leg, quote, market, k, plan) for k, (leg, quote) in enumerate(zip(structure.legs, one.quotes, strict=True))],
        "prices": {
            "mid": _n(one.quoted.mid_usd), "natural": _n(one.quoted.natural_usd), "theo": _n(one.quoted.theo_usd),
            "exit": _n(one.quoted.exit_usd), "entry": one.held.entry_usd,
        },
        "per_share": 100 * lots if structure.options else lots,
        "cost": _n(plan.cost_usd), "is_bad": one.quoted.is_bad,
        "best": _outcome(seen.best_usd) if seen else None, "worst": _outcome(seen.worst_usd) if seen else None,
        "break_evens": [_n(x) for x in seen.break_evens_usd] if seen else [],
        "p_profit": _n(seen.p_profit) if seen else None, "p_vol": _n(seen.p_vol) if seen else None,
        "is_exact": bool(seen and seen.is_exact),
        "greeks": None if greeks is None else {
            "delta_shares": _n(float(greeks.delta_shares)), "delta_usd": _n(float(greeks.delta_usd_per_pct(spot))),
            "gamma": _n(float(greeks.gamma_shares_per_usd)),
            "gamma_usd": _n(float(greeks.gamma_shares_per_usd) * (0.01 * spot) * spot * 0.01),
            "vega": _n(float(greeks.vega_usd_per_point)), "theta": _n(float(greeks.theta_usd_per_day)),
            "rho": _n(float(greeks.rho_usd_per_pct)),
        },
        "profit": _n(float(greeks.value_usd) - plan.cost_usd) if greeks is not None else None,
        "first_years": _n(plan.scene.first_years),
        "notes": [*one.quoted.notes, *_notes(one, market)],
    }  # fmt: skip


def _notes(one: Drawn, market: Market) -> list[str]:
    out = []
    for leg in one.plan.structure.legs:
        found = None if leg.contract is None else market.row(leg)
        if leg.contract is not None and found is None:
            is_loaded = leg.contract.expiry in market.chains
            out.append(f"{leg.contract.label}: {'not listed in the chain' if is_loaded else 'its chain is not loaded yet'}")
        elif found is not None and found[0].status[found[1]] != ChainStatus.OK:
            out.append(f"{leg.contract.label if leg.contract else ''}: {ChainStatus(int(found[0].status[found[1]])).text}")
    said = remarks(
        one.plan.structure, spot_usd=market.spot_usd, now_ns=market.now_ns, calendar=market.calendar, quotes=one.quotes
    )  # fmt: skip
    return list(dict.fromkeys([*out, *(remark.text for remark in said)]))


def _leg(leg: Leg, quote: LegQuote, market: Market, k: int, plan: Plan) -> dict[str, Any]:
    contract = leg.contract
    base = {"side": leg.side, "qty": leg.qty, "bid": _n(quote.bid_usd), "ask": _n(quote.ask_usd), "theo": _n(quote.theo_usd)}
    base["mid"] = None if quote.problem else _n(0.5 * (quote.bid_usd + quote.ask_usd))
    base["iv"] = _n(float(plan.scene.vol[k]))
    if contract is None:
        return {**base, "symbol": plan.structure.underlying, "label": "shares", "right": "", "strike": None, "expiry": ""}
    found = market.row(leg)
    status = "not listed" if found is None else ChainStatus(int(found[0].status[found[1]])).text
    return {
        **base, "symbol": contract.symbol, "label": contract.label, "right": contract.right, "strike": float(contract.strike),
        "expiry": contract.expiry.isoformat(), "root": contract.root, "status": status,
        "delta": None if found is None else _n(float(found[0].greeks.delta[found[1]])),
    }  # fmt: skip


def _n(x: float | None) -> float | None:
    """Return a number as JSON can carry it; unknown is None."""
    return None if x is None or not math.isfinite(x) else round(float(x), 6)


def _outcome(x: float) -> float | str | None:
    return None if math.isnan(x) else "unlimited" if math.isinf(x) else round(x, 4)


def _list(values: Any) -> list[float | None]:
    return [None if not math.isfinite(v) else round(v, 3) for v in np.asarray(values, np.float64).tolist()]
