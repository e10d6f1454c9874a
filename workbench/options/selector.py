"""Which butterflies are cheap: what the smile of their neighbours says they are worth, less what they cost to buy. Version 2.

Each butterfly is priced by a smile that was fitted without its own three strikes, so it can't vouch for itself. Its edge is that
price less the natural debit (buy at the ask, sell at the bid) and less fees, told in USD, in standard errors of the fit and in
natural spreads. Ranked by edge after costs. Most butterflies have none: the spread is wider than the smile is wrong, and the list
says so by being negative.

Chance and expectation are the smile's own (risk-neutral): what the market says, not what will happen. The old score is in
`selector_legacy.py`, for comparison: "cheaper than its neighbours" is mostly the curvature of the smile.

In: tiles of one expiry and its Smile. Out: Selection. European options; of American ones early exercise is left out.

Floor 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.options.black import Floats
from workbench.options.smile import Smile, forward_price
from workbench.options.structures import SHARES_PER_CONTRACT
from workbench.options.tiles import Tile, TileKey, TileStatus, outcome, parse_key

VERSION = 2
TOP = 10
CONTRACTS = 4  # of one butterfly: 1, 2, 1
HAIR_USD = 1e-9


@dataclass(frozen=True, slots=True)
class Candidate:
    """One butterfly, USD per share."""

    key: str
    right: str
    strike: float
    width: float
    mid_usd: float
    natural_usd: float
    spread_usd: float  # natural to buy less natural to sell
    fair_usd: float  # by the smile without its three strikes
    fair_error_usd: float  # standard error of that
    edge_usd: float  # fair less natural less fees
    edge_in_errors: float
    edge_in_spreads: float
    p_profit: float  # chance that it pays more than it cost, fees included
    ev_usd: float  # expected payoff at expiry less cost
    max_profit_usd: float
    break_evens_usd: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The best `TOP` first; how many were looked at, and why the others could not be: reason -> count."""

    candidates: tuple[Candidate, ...]
    n_tiles: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...] = ()
    version: int = VERSION


def select(
    tiles: Mapping[str, Tile], smile: Smile | None, *, dte: int, fee_usd: float, max_debit_frac: float = 1.0, top: int = TOP
) -> Selection:
    """Return the butterflies of one expiry ranked by edge after costs.

    Parameters
    ----------
    tiles : mapping                         As `tiles.build_tiles` gives them; other strategies and DTEs are not looked at.
    smile : Smile or None                   Of the same expiry; None: nothing can be told.
    fee_usd : float                         Commission and fees for each contract bought or sold [USD].
    max_debit_frac : float                  Debits above so much of the width are left out; the old rule was 0.10.
    top : int                               How many are returned.
    """
    left_out: Counter[str] = Counter()
    rows: list[tuple[str, TileKey, str, float, float]] = []
    for key, tile in tiles.items():
        of = parse_key(key)
        if of.strategy != "butterfly" or of.dte != dte:
            continue
        for right, side in (("C", tile.call), ("P", tile.put)):
            if side is None or side.mid_usd is None or side.natural_usd is None or side.status != TileStatus.OK:
                left_out["not listed" if side is None else side.status.value] += 1
            elif side.natural_usd > max_debit_frac * of.width:
                left_out[f"debit above {max_debit_frac:.0%} of the width"] += 1
            else:
                rows.append((key, of, right, side.mid_usd, side.natural_usd))
    n_tiles = len(rows) + sum(left_out.values())
    if smile is None or not smile.is_arbitrage_free:
        reason = "no smile: too few strikes quoted" if smile is None else "the fitted smile allows arbitrage: nothing can be told by it"
        return Selection((), n_tiles, {**left_out, reason: len(rows)}, (reason,))
    found = _rated(rows, smile, fee_usd * CONTRACTS / SHARES_PER_CONTRACT)
    outside = len(rows) - len(found)
    if outside:
        left_out["beyond the strikes that the smile tells"] += outside
    ranked = sorted(found, key=lambda c: (-c.edge_usd, c.width, c.strike, c.right))
    return Selection(tuple(ranked[:top]), n_tiles, dict(left_out), _notes(smile, ranked))


def _rated(rows: list[tuple[str, TileKey, str, float, float]], smile: Smile, fees_usd: float) -> list[Candidate]:
    """Return every row that the smile reaches as a candidate."""
    if not rows:
        return []
    centre, width = (np.array([getattr(row[1], name) for row in rows]) for name in ("strike", "width"))
    mid, natural = np.array([row[3] for row in rows]), np.array([row[4] for row in rows])
    legs = centre[:, None] + width[:, None] * np.array([-1.0, 0.0, 1.0])
    left_out = np.isclose(smile.strike[None, :, None], legs[:, None, :], rtol=0, atol=HAIR_USD).any(axis=2)
    coefficients, covariance = smile.without(left_out)
    fair, error = _fair(smile, legs, coefficients, covariance)
    reach = np.maximum(width - natural - fees_usd, 0.0)
    p = _between(smile, centre - reach, centre + reach, coefficients)
    edge, spread = fair - natural - fees_usd, 2 * (natural - mid)
    ev = fair / smile.discount - natural - fees_usd
    with np.errstate(divide="ignore", invalid="ignore"):
        in_errors, in_spreads = edge / error, edge / spread
    found = []
    for i, (key, of, right, _, debit) in enumerate(rows):
        if np.isfinite(fair[i]) and np.isfinite(p[i]):
            brings = outcome("butterfly", right, of.width, of.strike, debit)
            found.append(
                Candidate(
                    key=key,
                    right=right,
                    strike=of.strike,
                    width=of.width,
                    mid_usd=float(mid[i]),
                    natural_usd=debit,
                    spread_usd=float(spread[i]),
                    fair_usd=float(fair[i]),
                    fair_error_usd=float(error[i]),
                    edge_usd=float(edge[i]),
                    edge_in_errors=float(in_errors[i]),
                    edge_in_spreads=float(in_spreads[i]),
                    p_profit=float(p[i]),
                    ev_usd=float(ev[i]),
                    max_profit_usd=brings.max_profit_usd,
                    break_evens_usd=brings.break_evens_usd,
                )
            )
    return found


def _fair(smile: Smile, legs: Floats, coefficients: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Return value and standard error of butterflies on `legs` (m, 3), each by its own coefficients."""
    quantity = np.array([1.0, -2.0, 1.0])
    powers = smile.basis(legs)  # (m, 3, 5)
    variance = np.einsum("mlj,mj->ml", powers, coefficients)
    calls = forward_price(smile.forward, legs, variance, "C")
    s = np.sqrt(np.where(variance > 0, variance, np.nan))
    d1 = np.log(smile.forward / legs) / s + 0.5 * s
    by_variance = smile.forward * np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi) / (2 * s)
    gradient = smile.discount * np.einsum("l,ml,mlj->mj", quantity, by_variance, powers)
    error = np.sqrt(np.einsum("mi,mij,mj->m", gradient, covariance, gradient))
    return smile.discount * (calls @ quantity), error


def _between(smile: Smile, low: Floats, high: Floats, coefficients: Floats) -> Floats:
    """Return the chance to end between two spots."""
    p: NDArray[np.float64] = smile.p_above_with(low, coefficients) - smile.p_above_with(high, coefficients)
    return np.clip(p, 0.0, 1.0)


def _notes(smile: Smile, ranked: list[Candidate]) -> tuple[str, ...]:
    notes = []
    if smile.chi2_per_freedom > 1:
        notes.append(f"the smile misses quotes by {smile.chi2_per_freedom**0.5:.1f} of their half-spreads: errors are scaled up by it")
    if ranked and ranked[0].edge_usd <= 0:
        notes.append("no butterfly is worth more than it costs to buy")
    return tuple(notes)
