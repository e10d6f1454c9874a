"""Compiled: the net gamma of a whole chain at other spots, one exponential a contract and spot.

With s = v·√T the gamma of one option at spot x is e^(-qT) n(d1) / (x s), d1 = (ln x - base) / s, base = ln K - (r - q) T - s² / 2.
All but ln x stays the same from spot to spot, so it is prepared once (`gamma_profile.py`).

Floor 1: numba. Import it lazily.
"""

from __future__ import annotations

import math

from numba import njit

FAR = 1480.0  # exp(-FAR / 2) is the last number above 0: beyond it the contract adds nothing


@njit(cache=True, nogil=True, error_model="numpy")
def net_gammas(log_spots, base, per_s, weight, out):
    """Write Σ weight·e^(-d1²/2) at each spot; the caller divides by the spot."""
    for j in range(log_spots.size):
        total, x = 0.0, log_spots[j]
        for i in range(base.size):
            d1 = (x - base[i]) * per_s[i]
            square = d1 * d1
            if square < FAR:
                total += weight[i] * math.exp(-0.5 * square)
        out[j] = total
