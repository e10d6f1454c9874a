"""The trade selector's first score, kept to compare with: 0.40 convexity + 0.25 r2r + 0.20 width fit + 0.15 gamma alignment, each 0-100.

It rewards butterflies that are cheaper than those beside them, which is mostly the curvature of the smile: butterflies far from
the spot are cheaper because they seldom pay. Its constants are in index points and nobody ever measured them. Nothing here is
advice; `selector.py` is. Differences from the original: a part whose inputs are missing is None and so is the composite, where the
original put 50 or 60 in its place.

In: one butterfly with the debits around it, VIX, hour, gamma levels. Out: LegacyScore.

Floor 1.

Source: rules of the public project MarketSwarm as of March 2026, its thresholds and weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

VERSION = "legacy_v1"
MAX_DEBIT_FRAC = 0.10
WEIGHTS = {"convexity": 0.40, "r2r": 0.25, "width_fit": 0.20, "gamma_alignment": 0.15}
NEIGHBOUR_POINTS = (-20, -15, -10, -5, 5, 10, 15, 20)
MOST = 95.0

# DTE -> typical low and high, best low and high of (width - debit) / debit
R2R = {0: (9, 12, 15, 18), 1: (10, 14, 16, 20), 2: (12, 16, 18, 24), 5: (20, 30, 30, 40), 10: (35, 50, 50, 60)}
# VIX at least -> name, lowest and highest width in points, lowest and highest DTE
REGIMES = (
    (32.0, "chaos", 50, 100, 1, 3),
    (23.0, "goldilocks_2", 40, 50, 0, 2),
    (17.0, "goldilocks_1", 30, 40, 0, 1),
    (-math.inf, "zombieland", 20, 30, 0, 1),
)


@dataclass(frozen=True, slots=True)
class LegacyScore:
    """Parts and composite, 0-100; None where inputs are missing."""

    convexity: float | None
    r2r: float
    width_fit: float | None
    gamma_alignment: float | None

    @property
    def composite(self) -> float | None:
        """The weighted sum; None when a part is."""
        parts = {"convexity": self.convexity, "r2r": self.r2r, "width_fit": self.width_fit, "gamma_alignment": self.gamma_alignment}
        known = {name: part for name, part in parts.items() if part is not None}
        return sum(WEIGHTS[name] * part for name, part in known.items()) if len(known) == len(parts) else None


def passes(width: float, debit_usd: float) -> bool:
    """Return whether the hard filter lets it through: a debit of at most 10 % of the width."""
    return 0 < debit_usd <= MAX_DEBIT_FRAC * width


def r2r_score(width: float, debit_usd: float, dte: int) -> float:
    """Return the score of (width - debit) / debit relative to what is usual at this DTE.

    Example: 20 wide for 1.60, 0 DTE -> ratio 11.5, score 72.5
    """
    ratio = (width - debit_usd) / debit_usd if debit_usd > 0.10 else 0.0  # for a dime nothing fills
    if ratio <= 0:
        return 0.0
    low, high, best_low, best_high = R2R[min(R2R, key=lambda known: abs(known - dte))]
    steps = ((0.8 * low, 45.0), (low, 60.0), (high, 75.0), (best_low, 85.0), (best_high, MOST))
    score = max(20.0, 45.0 * ratio / (0.8 * low)) if ratio < 0.8 * low else MOST if ratio >= best_high else _along(steps, ratio)
    return min(score * min(debit_usd / 0.50, 1.0), MOST)


def convexity_score(width: float, debit_usd: float, neighbours_usd: Sequence[float]) -> float | None:
    """Return how much cheaper it is than butterflies of its width at strikes 5 to 20 points away; None without any."""
    if not neighbours_usd or debit_usd <= 0:
        return None
    mean = math.fsum(neighbours_usd) / len(neighbours_usd)
    cheaper_pct = 100 * (mean - debit_usd) / mean if mean > 0 else 0.0
    local = _along(((0, 50.0), (5, 70.0), (10, 85.0), (15, 90.0)), cheaper_pct) if 0 <= cheaper_pct < 15 else MOST
    if cheaper_pct < 0:
        local = max(20.0, 50.0 + 2 * cheaper_pct)
    if debit_usd < min(neighbours_usd):
        local = min(98.0, local + 10)
    return 0.5 * local + 0.3 * _neighbourhood(debit_usd, neighbours_usd, mean) + 0.2 * efficiency_score(width, debit_usd)


def efficiency_score(width: float, debit_usd: float) -> float:
    """Return min(95, 30·log2(ratio + 1)), times up to 1.15 for small debits."""
    frac = debit_usd / width
    factor = 1.15 if frac <= 0.03 else 1.10 if frac <= 0.05 else 1.05 if frac <= 0.07 else 1.0
    return min(MOST, min(MOST, 30 * math.log2(width / debit_usd)) * factor)


def width_fit_score(width: float, dte: int, vix: float, hour: float) -> float:
    """Return how well width and DTE suit the VIX by the playbook; `hour`: of New York, 13.5 is half past one."""
    _, name, low, high, first_dte, last_dte = next(row for row in REGIMES if vix >= row[0])
    by_width = _width_part(width, low, high)
    if first_dte <= dte <= last_dte:
        by_dte = MOST
    elif dte == last_dte + 1:
        by_dte = 70.0
    else:
        by_dte = 40.0 if name == "chaos" and dte == 0 else 50.0 if name == "zombieland" else 60.0
    wider = next((score for least, score in ((50, MOST), (40, 85.0), (30, 70.0), (20, 55.0)) if width >= least), 40.0)
    return 0.40 * by_width + 0.25 * by_dte + 0.20 * _session_part(dte, hour) + 0.15 * wider


def gamma_alignment_score(
    strike: float, width: float, right: str, *, magnet: float | None, zero_gamma: float | None, net_gex: Mapping[float, float] | None
) -> float | None:
    """Return how near the middle is to the magnet, on which side of zero gamma it stands, and which wings have positive GEX."""
    if magnet is None or zero_gamma is None or net_gex is None:
        return None
    near = next((score for most, score in ((10, MOST), (25, 80.0), (50, 60.0)) if abs(strike - magnet) <= most), 40.0)
    is_right_side = strike > zero_gamma if right == "C" else strike < zero_gamma
    wings = 50.0 + 15 * sum(net_gex.get(wing, 0.0) > 0 for wing in (strike - width, strike + width))
    return 0.40 * near + 0.30 * (80.0 if is_right_side else 30.0) + 0.30 * min(MOST, wings)


def _along(steps: Sequence[tuple[float, float]], x: float) -> float:
    """Return the line through the steps (x, score) at x; steps that stand on one x are a jump."""
    for (x0, y0), (x1, y1) in pairwise(steps):
        if x0 <= x < x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return steps[-1][1]


def _neighbourhood(debit_usd: float, neighbours_usd: Sequence[float], mean: float) -> float:
    if len(neighbours_usd) < 3:
        return 50.0
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in neighbours_usd) / len(neighbours_usd))
    z = (mean - debit_usd) / deviation if deviation > 0.01 else 0.0
    if z < 0:
        return max(25.0, 50.0 + 15 * z)
    return next(score for least, score in ((2.0, MOST), (1.5, 85.0), (1.0, 75.0), (0.5, 65.0), (0.0, 55.0)) if z >= least)


def _width_part(width: float, low: float, high: float) -> float:
    if width > high:
        return max(70.0, MOST - 0.5 * (width - high))
    return MOST if width >= low else 75.0 if width >= low - 5 else 55.0 if width >= low - 10 else 30.0


def _session_part(dte: int, hour: float) -> float:
    if dte > 1:
        return 70.0
    spans = ((7.0, 9.5, 80.0, 60.0), (9.5, 12.5, MOST, 85.0), (12.5, 14.5, 50.0, 85.0), (14.5, 16.0, 40.0, 75.0))
    for start, end, today, tomorrow in spans:
        if start <= hour < end:
            return tomorrow if dte else today
    return 60.0 if dte else 30.0
