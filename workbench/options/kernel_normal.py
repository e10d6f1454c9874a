"""Compiled functions of the normal distribution: density, both tails, Mills' ratio, a quick inverse.

Mills' ratio R(z) = N(-z) / n(z) is the piece that option formulas share. It neither underflows in the far wing nor loses digits
there, so differences of two of them stay good where differences of N are noise.

Floor 1: numba. Import it lazily.

Source: W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969): the coefficients of erf and
erfcx; M. J. Wichura, Algorithm AS 241, Appl. Stat. 37 (1988): PPND7.
"""

from __future__ import annotations

import math

from numba import njit

ROOT_HALF = math.sqrt(0.5)
ROOT_2PI = math.sqrt(2 * math.pi)
ROOT_HALF_PI = math.sqrt(math.pi / 2)
LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
INV_ROOT_PI = 1 / math.sqrt(math.pi)
INV_ROOT_2PI = 1 / ROOT_2PI


@njit(cache=True, nogil=True, error_model="numpy")
def erfcx(x):
    """Return e^(x²) erfc(x) for x >= 0."""
    if x <= 0.46875:
        y = x * x
        top = (
            ((0.185777706184603153 * y + 3.16112374387056560) * y + 113.864154151050156) * y + 377.485237685302021
        ) * y + 3209.37758913846947
        low = (((y + 23.6012909523441209) * y + 244.024637934444173) * y + 1282.61652607737228) * y + 2844.23683343917062
        return math.exp(y) * (1.0 - x * top / low)
    if x <= 4.0:
        top = 2.15311535474403846e-8 * x + 0.564188496988670089
        top = (top * x + 8.88314979438837594) * x + 66.1191906371416295
        top = (top * x + 298.635138197400131) * x + 881.952221241769090
        top = (top * x + 1712.04761263407058) * x + 2051.07837782607147
        top = top * x + 1230.33935479799725
        low = (x + 15.7449261107098347) * x + 117.693950891312499
        low = (low * x + 537.181101862009858) * x + 1621.38957456669019
        low = (low * x + 3290.79923573345963) * x + 4362.61909014324716
        low = (low * x + 3439.36767414372164) * x + 1230.33935480374942
        return top / low
    y = 1.0 / (x * x)
    top = (((0.0163153871373020978 * y + 0.305326634961232344) * y + 0.360344899949804439) * y + 0.125781726111229246) * y
    top = (top + 0.0160837851487422766) * y + 6.58749161529837803e-4
    low = (((y + 2.56852019228982242) * y + 1.87295284992346047) * y + 0.527905102951428412) * y
    low = (low + 0.0605183413124413191) * y + 2.33520497626869185e-3
    return (INV_ROOT_PI - y * top / low) / x


@njit(cache=True, nogil=True, error_model="numpy")
def mills(z):
    """Return N(-z) / n(z); grows as √(2π) e^(z²/2) below 0."""
    if z >= 0.0:
        return ROOT_HALF_PI * erfcx(z * ROOT_HALF)
    return ROOT_2PI * math.exp(0.5 * z * z) - ROOT_HALF_PI * erfcx(-z * ROOT_HALF)


@njit(cache=True, nogil=True, error_model="numpy")
def density(z):
    """Return n(z)."""
    return INV_ROOT_2PI * math.exp(-0.5 * z * z)


@njit(cache=True, nogil=True, error_model="numpy")
def cdf(z, dense):
    """Return N(z), given dense = n(z)."""
    tail = dense * ROOT_HALF_PI * erfcx(abs(z) * ROOT_HALF)
    return 1.0 - tail if z > 0.0 else tail


@njit(cache=True, nogil=True, error_model="numpy")
def tail_of_log(log_p):
    """Return z with ln N(z) = log_p, p < 0.075."""
    r = math.sqrt(-log_p)
    if r <= 5.0:
        r -= 1.6
        z = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) / ((0.12021132975 * r + 0.73700164250) * r + 1.0)
    else:
        r -= 5.0
        z = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) / (
            (0.012258202635 * r + 0.24197894225) * r + 1.0
        )
    return -z


@njit(cache=True, nogil=True, error_model="numpy")
def inverse(p):
    """Return z with N(z) = p, 0 < p < 1, to about 1e-7: enough for a first guess."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = ((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
        return q * top / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
    z = tail_of_log(math.log(p if q < 0.0 else 1.0 - p))
    return z if q < 0.0 else -z


@njit(cache=True, nogil=True, error_model="numpy")
def inverse_of_log(log_p):
    """Return z with ln N(z) = log_p, for p below one half: so far out that p itself could not be written."""
    return tail_of_log(log_p) if log_p < -2.6 else inverse(math.exp(log_p))
