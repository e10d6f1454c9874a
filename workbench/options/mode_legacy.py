"""The first market mode, with its bias and flow imbalance, kept to compare with: `legacy_v1`.

It is known to be wrong, and how: its constants are index points and shares (50 points, 10,000, a hundred-thousandth of spot²); its flip
is where the sign of net gamma changes between strikes, not where re-priced gamma is zero; nearness to a flip always counts as
bearish, even from above; distance is left out of support and hostility; and its words are turned round: "compression" is dealers short
of gamma, when moves are amplified. `gamma_regime` says it plainly. A score without its history is a toy: this one has none.

In: net gamma by strike in shares, spot. Out: LegacyMode; None in each field that has no data, where the original put 0 or 50.

Floor 1.

Source: rules of the public project MarketSwarm as of March 2026, its constants and weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.options.black import Floats

VERSION = "legacy_v1"
CENTRE_POINTS, STRONG_SHARES = 50.0, 10_000.0
NEAR, WIDER = 0.01, 0.02  # of spot
LABELS = ((67.0, "expansion", "long"), (34.0, "transition", "near_flip"), (0.0, "compression", "short"))
AT_FLIP_PCT, FAR_FLIP_PCT, JUST_BELOW_FRAC = 0.5, 1.5, 0.003


@dataclass(frozen=True, slots=True)
class LegacyMode:
    """Scores: bias -100 to 100, the others 0 to 100. `flip_usd`: the nearest, between strikes; None without a change of sign."""

    base_bias: float | None
    base_lfi: float | None
    flip_usd: float | None
    proximity: float | None
    bias: float | None
    lfi: float | None  # above 50 absorbs, below accelerates
    mode: float | None
    label: str | None
    gamma_regime: str | None  # short, near_flip, long


def legacy_mode(strike: ArrayLike, net_shares: ArrayLike, spot: float) -> LegacyMode:
    """Return bias, flow imbalance and mode.

    Parameters
    ----------
    strike : float64, shape (n,)            Each once, in any order [USD].
    net_shares : float64, shape (n,)        Net gamma exposure of calls less puts [shares per point]; NaN counts for nothing.
    spot : float                            [USD].
    """
    k, net = np.asarray(strike, np.float64), np.nan_to_num(np.asarray(net_shares, np.float64))
    order = np.argsort(k)
    k, net = k[order], net[order]
    size = float(np.abs(net).sum())
    if size == 0 or not spot > 0:
        return LegacyMode(None, None, None, None, None, None, None, None, None)
    below, above = _flips(k, net, spot)
    flips = [f for f in (below, above) if f is not None]
    flip = min(flips, key=lambda f: abs(f - spot), default=None)  # a tie goes to the one below
    base_bias, base_lfi = _bias(k, net, spot, size), _lfi(k, net, spot, size)
    proximity = 0.0 if flip is None else float(np.interp(100 * abs(spot - flip) / spot, [AT_FLIP_PCT, FAR_FLIP_PCT], [1.0, 0.0]))
    # the original adds 0.3 where spot is below the flip below it, which never is
    precarious = 0.2 if below is not None and (spot - below) / spot < JUST_BELOW_FRAC else 0.0
    bias = _clamp(base_bias + max(-50.0, -50 * (proximity + precarious)), -100.0)
    lfi = _clamp(base_lfi + max(-30.0, -30 * (proximity + 0.5 * precarious)))
    mode = _mode(k, net, spot, size, flip, lfi)
    label, regime = next(words for least, *words in LABELS if mode >= least)
    return LegacyMode(base_bias, base_lfi, flip, proximity, bias, lfi, mode, label, regime)


def _bias(k: Floats, net: Floats, spot: float, size: float) -> float:
    sides = [float(net[k > spot].sum()), float(net[k < spot].sum())]
    support, hostility = sum(max(0.0, s) for s in sides), sum(max(0.0, -s) for s in sides)
    balance = (support - hostility) / (support + hostility) if support + hostility > 0 else 0.0
    centre = float((np.abs(net) * (k - spot)).sum()) / size / CENTRE_POINTS
    return 100 * (0.6 * balance + 0.4 * _clamp(centre, -1.0, 1.0)) if support + hostility > 0 else 0.0


def _lfi(k: Floats, net: Floats, spot: float, size: float) -> float:
    share_near, share_wider = (float(np.abs(net[np.abs(k - spot) <= band * spot]).sum()) / size for band in (NEAR, WIDER))
    return _clamp(0.5 * 50 * (1 + _lean(k, net, spot)) + 0.3 * (30 + 40 * share_wider) + 0.2 * (40 + 40 * share_near))


def _lean(k: Floats, net: Floats, spot: float) -> float:
    """Return net over gross within 1 % of spot, 0 without any."""
    near = net[np.abs(k - spot) <= NEAR * spot]
    gross = float(np.abs(near).sum())
    return float(near.sum()) / gross if gross > 0 else 0.0


def _flips(k: Floats, net: Floats, spot: float) -> tuple[float | None, float | None]:
    """Return the middle between strikes of unlike sign nearest to spot, below and above."""
    k, net = k[net != 0], net[net != 0]
    at = np.flatnonzero(np.sign(net[1:]) != np.sign(net[:-1]))
    middles = 0.5 * (k[at] + k[at + 1])
    below, above = middles[middles < spot], middles[middles > spot]
    return (float(below.max()) if len(below) else None, float(above.min()) if len(above) else None)


def _mode(k: Floats, net: Floats, spot: float, size: float, flip: float | None, lfi: float) -> float:
    total = float(net.sum())
    if flip is None:
        by_flip = 50.0 + math.copysign(35.0 if abs(total) > STRONG_SHARES else 20.0, total) if total else 50.0
    else:
        by_flip = _sigmoid(3 * (spot - flip) / spot / 0.02)
    share_near = float(np.abs(net[np.abs(k - spot) <= NEAR * spot]).sum()) / size
    by_concentration = 50 + 50 * _lean(k, net, spot) * min(1.0, share_near / 0.3)
    return _clamp(0.40 * by_flip + 0.25 * _sigmoid(0.03 * total / (spot * spot * 1e-5)) + 0.25 * lfi + 0.10 * by_concentration)


def _sigmoid(x: float) -> float:
    return 50 * (1 + math.tanh(0.5 * x))  # 100 / (1 + e^-x), which can't overflow


def _clamp(x: float, low: float = 0.0, high: float = 100.0) -> float:
    return min(max(x, low), high)
