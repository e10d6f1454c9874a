"""The smile of one expiry: total variance as a smooth function of the strike, with the error of every value that is read from it.

w(x) = c0 + c1·x + … + c4·x⁴ by weighted least squares, x = ln(K/F) / (v√T at the money), each strike told by its option out of the
money and weighted by 1/error², its error half of what bid and ask leave open in w. Linear in c, so the fit without some strikes
follows exactly from the fit with them, and so does the standard error of anything priced by it. Where residuals are larger than the
quotes' own errors, errors are scaled up by as much; never down.

The fit counts as free of arbitrage when Durrleman's condition holds all along the strikes used: the density is nowhere negative.
Nothing is told beyond the strikes used.

In: quotes of one expiry, forward, time, discount. Out: Smile, or None where too few strikes are quoted. European options.

Floor 1.

Source: J. Gatheral, The Volatility Surface (2006); V. Durrleman, From implied to spot volatilities (2003). Degree four: on 14 expiries
of SPX quotes (2022-07-12, up to 17 days, 2 deviations either side) the mean squared residual was 0.04 to 1.3 in squared half-spreads,
of degree three 0.2 to 6.9, of raw SVI 0.14 to 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.options import black
from workbench.options.black import Floats, normal_cdf
from workbench.options.implied import implied_vol

DEGREE = 4
FARTHEST_SD = 3.0  # strikes beyond so many deviations are told by quotes of a few cents
MAX_SPREAD_FRAC = 1.0  # of the mid
SPARE_STRIKES = 5  # more than coefficients, or the error is anyone's guess
CHECK_POINTS = 201


@dataclass(frozen=True)
class Smile:
    """A fitted smile. Strikes outside `low`-`high` have no value (NaN)."""

    forward: float
    years: float
    discount: float
    scale: float  # v√T at the money, the unit of x
    strike: Floats  # used in the fit, ascending
    variance: Floats  # total variance told by the quotes
    error: Floats
    coefficients: Floats  # (5,)
    chi2_per_freedom: float  # mean squared residual in errors; 1 or less: within the quotes
    is_arbitrage_free: bool

    @property
    def low(self) -> float:
        """Lowest strike it tells [USD]."""
        return float(self.strike[0])

    @property
    def high(self) -> float:
        """Highest strike it tells [USD]."""
        return float(self.strike[-1])

    def basis(self, strike: ArrayLike) -> Floats:
        """Return the powers of x, shape (…, 5); NaN outside the strikes used."""
        k = np.asarray(strike, np.float64)
        x = np.log(np.where((k >= self.low) & (k <= self.high), k, np.nan) / self.forward) / self.scale
        return x[..., None] ** np.arange(DEGREE + 1)

    def total_variance(self, strike: ArrayLike) -> Floats:
        """Return v²·T at each strike."""
        return self.basis(strike) @ self.coefficients

    def vol(self, strike: ArrayLike) -> Floats:
        """Return the volatility at each strike, by the clock that measured `years`."""
        return np.sqrt(self.total_variance(strike) / self.years)

    def price(self, strike: ArrayLike, right: ArrayLike) -> Floats:
        """Return the discounted price [USD] at each strike."""
        return self.discount * forward_price(self.forward, strike, self.total_variance(strike), right)

    def p_above(self, strike: ArrayLike) -> Floats:
        """Return the risk-neutral chance to end above each strike; the slope of the smile is in it."""
        return self.p_above_with(strike, self.coefficients)

    def p_above_with(self, strike: ArrayLike, coefficients: Floats) -> Floats:
        """Return the same for other coefficients (…, 5), of `without`."""
        powers = self.basis(strike)
        variance = np.sum(powers * coefficients, axis=-1)
        slope = np.sum(powers[..., :-1] * coefficients[..., 1:] * np.arange(1, DEGREE + 1), axis=-1) / self.scale  # dw / d ln K
        s = np.sqrt(variance)
        d2 = np.log(self.forward / np.asarray(strike, np.float64)) / s - 0.5 * s
        return normal_cdf(d2) - np.exp(-0.5 * d2 * d2) / math.sqrt(2 * math.pi) * slope / (2 * s)

    def without(self, left_out: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return coefficients (m, 5) and their covariance (m, 5, 5) of m fits, each without the strikes marked in a row of (m, n).

        NaN where too few strikes remain.
        """
        a, weight = self.basis(self.strike), self.error**-2
        residual = self.variance - a @ self.coefficients
        gone = left_out * weight
        normal = np.einsum("ni,n,nj->ij", a, weight, a) - np.einsum("ni,mn,nj->mij", a, gone, a)
        pull = -np.einsum("ni,mn,n->mi", a, gone, residual)
        inverse = np.linalg.inv(normal)
        step = np.einsum("mij,mj->mi", inverse, pull)
        n_kept = (~left_out).sum(axis=1)
        chi2 = ((weight - gone) * residual**2).sum(axis=1) - np.einsum("mi,mi->m", step, pull)
        freedom = np.where(n_kept >= DEGREE + 1 + SPARE_STRIKES, n_kept - DEGREE - 1, np.nan)
        grown = np.maximum(chi2 / freedom, 1.0)
        return self.coefficients + step + 0.0 * freedom[:, None], inverse * grown[:, None, None]


def forward_price(forward: float, strike: ArrayLike, variance: ArrayLike, right: ArrayLike) -> Floats:
    """Return the undiscounted Black price for total variance."""
    is_known = np.asarray(variance, np.float64) > 0
    vol = np.sqrt(np.where(is_known, variance, np.nan))
    return black.price(forward, strike, 1.0, 0.0, vol, right)


def fit_smile(
    strike: ArrayLike,
    right: ArrayLike,
    bid_usd: ArrayLike,
    ask_usd: ArrayLike,
    *,
    forward: float,
    years: float,
    discount: float,
    age_s: ArrayLike = 0.0,
    max_age_s: float = 60.0,
) -> Smile | None:
    """Return the smile of one expiry, None where fewer than ten strikes are quoted well enough.

    Parameters
    ----------
    strike, right, bid_usd, ask_usd, age_s : shape (n,)
                                            Contracts of one root and expiry; NaN is missing.
    forward, discount : float               As `forward.py` tells them, or spot e^((r - q)T) and e^(-rT).
    years : float                           To expiry by one clock of `clocks.py`.
    """
    if not (years > 0 and forward > 0 and discount > 0):
        return None
    k, bid, ask, age = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (strike, bid_usd, ask_usd, age_s)))
    is_call = np.asarray(right) == "C"
    is_out = np.where(is_call, k >= forward, k < forward)
    with np.errstate(invalid="ignore"):
        is_good = is_out & (bid > 0) & (ask > bid) & (ask - bid <= MAX_SPREAD_FRAC * 0.5 * (ask + bid)) & (age <= max_age_s)
    order = np.flatnonzero(is_good)[np.argsort(k[is_good], kind="stable")]
    k, bid, ask, text = k[order], bid[order], ask[order], np.where(is_call, "C", "P")[order]
    vols = [implied_vol(price / discount, forward, k, years, 0.0, text).vol for price in (bid, 0.5 * (bid + ask), ask)]
    known = np.isfinite(vols).all(axis=0)
    k, (low, middle, high) = k[known], (v[known] ** 2 * years for v in vols)
    if len(k) < 2:
        return None
    scale = math.sqrt(float(np.interp(forward, k, middle)))
    near = np.abs(np.log(k / forward)) <= FARTHEST_SD * scale
    return _fitted(k[near], middle[near], 0.5 * (high - low)[near], forward, years, discount, scale)


def _fitted(k: Floats, variance: Floats, error: Floats, forward: float, years: float, discount: float, scale: float) -> Smile | None:
    if len(k) < DEGREE + 1 + SPARE_STRIKES:
        return None
    powers = (np.log(k / forward) / scale)[:, None] ** np.arange(DEGREE + 1)
    coefficients = np.linalg.lstsq(powers / error[:, None], variance / error, rcond=None)[0].astype(np.float64)
    chi2 = float((((variance - powers @ coefficients) / error) ** 2).sum()) / (len(k) - DEGREE - 1)
    x = np.linspace(math.log(k[0] / forward), math.log(k[-1] / forward), CHECK_POINTS) / scale
    return Smile(
        forward, years, discount, scale, k, variance, error, coefficients, chi2, bool((durrleman(x, coefficients, scale) >= 0).all())
    )


def durrleman(x: Floats, coefficients: Floats, scale: float) -> Floats:
    """Return g, the sign of the density at each x; -1 where the variance is not above 0.

    g = (1 - k w'/(2w))² - w'²/4·(1/w + 1/4) + w''/2, k = ln(K/F), derivatives in k.
    """
    p = np.polynomial.Polynomial(coefficients)
    w, first, second = p(x), p.deriv()(x) / scale, p.deriv(2)(x) / scale**2
    safe = np.where(w > 0, w, 1.0)
    g = (1 - x * scale * first / (2 * safe)) ** 2 - 0.25 * first**2 * (1 / safe + 0.25) + 0.5 * second
    return np.where(w > 0, g, -1.0)
