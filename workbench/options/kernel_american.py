"""Compiled: American options with a continuous yield by their exercise boundary, a chain or a grid at a time.

Everything is a put on strike 1: a call is the put with spot and strike, rate and yield exchanged. Below the boundary B(τ), τ from
expiry, the put is exercised; what that right is worth is the interest gained less the dividends lost while below it,

    ∫₀ᵀ [ r e^(-rt) N(-d₂(t, x/B(T-t))) - q x e^(-qt) N(-d₁(t, x/B(T-t))) ] dt,   d₁,₂(t, z) = [ln z + (r-q)t] / (v√t) ± v√t / 2

The boundary starts at X = min(1, r/q) and is kept as H = ln²(X/B), smooth in √τ, at Chebyshev points in √τ. It solves
B = e^(-(r-q)τ) N(τ, B) / D(τ, B), which comes in two forms: A, from the smooth fit, converges in a few steps unless volatility is small
beside r - q; B, from the value itself, always does, in more. Integrals are Gauss-Legendre in √t, so the points at which they need B
lie at fixed fractions of √T: interpolation is one matrix, worked out when this is loaded.

The boundary depends on rate, yield, volatility and time alone, so neighbours that share them, as a grid of spots does, share it.
Loops run over columns without a branch: the compiler turns them into vector instructions. For that, N has an error of 7.5e-8.

Floor 1: numba. Import it lazily.

Source: L. Andersen, M. Lake, D. Offengenden, High-performance American option pricing (2016), sections 3-5; M. Li, Analytical
approximations for the critical stock prices of American options (2010): QD+; Abramowitz and Stegun, 26.2.17.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from workbench.options.kernel_normal import cdf, density

N_TIMES, N_INNER, N_OUTER = 7, 24, 40  # boundary points; quadrature points for each of them, and for the price
MOST_GUESS_STEPS, FARTHEST_STEP, NEAR_ENOUGH = 12, 1.6, 1e-3  # in ln s
STEPS, SETTLED = 8, 1e-3  # form A ends when no point of the boundary moves by more: the price feels its square
A_MOST = 2.0  # form A where r - q is less than so many variances
LEAST_MOVES, MOST_DRIFT = 1e-5, 100.0  # v√T below, |r - q| / v² above, and negative yields: left to others
LEAST_GAIN = 1e-9  # of the strike: interest till expiry below it makes exercise worth no more
OK, EXERCISE_NOW, NOT_HERE = 0, 1, 2
NOTHING = 1e-7  # of the strike, as american.NO_VALUE_FRAC
VECTORS = {"nsz", "arcp", "contract", "afn", "reassoc"}


def _interpolation(at):
    """Return (N_TIMES, len(at)): the weight of H at each boundary point in H at each `at` in -1..1; H is 0 at expiry."""
    nodes = np.cos(np.arange(N_TIMES + 1) * np.pi / N_TIMES)
    weight = (-1.0) ** np.arange(N_TIMES + 1)
    weight[[0, -1]] *= 0.5
    shares = weight / (at[:, None] - nodes)
    return np.ascontiguousarray((shares / shares.sum(axis=1, keepdims=True))[:, :N_TIMES].T)


def _halved(n):
    """Return Gauss-Legendre points and weights on 0..1."""
    points, weights = np.polynomial.legendre.leggauss(n)
    return 0.5 * (1 + points), 0.5 * weights


ROOT = 0.5 * (1 + np.cos(np.arange(N_TIMES) * np.pi / N_TIMES))  # √(τ/T) of the boundary points, from 1 down
INNER, INNER_WEIGHT = _halved(N_INNER)  # √(t/τ)
INVERSE = 1 / INNER
OUTER, OUTER_WEIGHT = _halved(N_OUTER)  # √(t/T)
TO_INNER = _interpolation((2 * ROOT[:, None] * np.sqrt(1 - INNER**2) - 1).ravel())
TO_OUTER = _interpolation(2 * np.sqrt(1 - OUTER**2) - 1)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def quick_exp(x):
    """Return e^x for x below 40 or so: a polynomial at x/256, squared eight times."""
    y = max(x, -45.0) * (1 / 256)
    p = 1 + y * (1 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720))))))
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p * p


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def quick_density(x):
    """Return n(x)."""
    return 0.3989422804014327 * quick_exp(-0.5 * x * x)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def quick_cdf(x, dense):
    """Return N(x), given dense = n(x)."""
    t = 1 / (1 + 0.2316419 * abs(x))
    tail = dense * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    return tail if x < 0 else 1 - tail


@njit(cache=True, nogil=True, error_model="numpy")
def european(x, r, q, v, years):
    """Return the European put."""
    moves = v * math.sqrt(years)
    d1 = (math.log(x) + (r - q) * years) / moves + 0.5 * moves
    d2 = d1 - moves
    return math.exp(-r * years) * cdf(-d2, density(d2)) - x * math.exp(-q * years) * cdf(-d1, density(d1))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=VECTORS)
def guess(r, q, v, years, start, h, node):
    """Write a first boundary, QD+: where the value of early exercise, taken as a power of the spot, meets exercising smoothly.

    All points at once, in y = ln s, from the start downwards; `node` is scratch, (6, N_TIMES).
    """
    variance = v * v
    omega, top = 2 * (r - q) / variance, math.log(start)
    for i in range(N_TIMES):
        tau = years * ROOT[i] * ROOT[i]
        owed, gone = math.exp(-r * tau), -math.expm1(-r * tau)
        root = math.sqrt((omega - 1) * (omega - 1) + 8 * r / (variance * gone))
        power = -0.5 * (omega - 1 + root)
        slope = 2 * r / (variance * gone * gone * root)
        alpha = -2 * owed * r / (variance * root)
        node[0, i], node[1, i], node[2, i] = v * math.sqrt(tau), owed, math.exp(-q * tau)
        node[3, i], node[4, i], node[5, i] = alpha * (1 / gone - slope / root) - power, alpha / (r * owed), top
    for _ in range(MOST_GUESS_STEPS):
        largest = 0.0
        for i in range(N_TIMES):
            moves, owed, held, beta, decay, y = node[0, i], node[1, i], node[2, i], node[3, i], node[4, i], node[5, i]
            tau = years * ROOT[i] * ROOT[i]
            s = quick_exp(y)
            d1 = (y + (r - q) * tau) / moves + 0.5 * moves
            d2 = d1 - moves
            n1, n2 = quick_density(d1), quick_density(d2)
            p1, p2 = quick_cdf(-d1, n1), quick_cdf(-d2, n2)
            put = owed * p2 - s * held * p1
            theta = r * owed * p2 - q * s * held * p1 - 0.5 * variance * s / moves * held * n1
            charm = -held * (n1 * ((r - q) / moves - d2 / (2 * tau)) + q * p1)
            gamma = n1 * held / (s * moves)
            colour = gamma * (q + (r - q) * d1 / moves + (1 - d1 * d2) / (2 * tau))
            f = (1 - held * p1) * s - beta * (1 - s - put) + decay * theta
            f1 = ((1 + beta) * (1 - held * p1) + held * n1 / moves + decay * charm) * s
            f2 = (held * (n1 / (s * moves) - n1 * d1 / (s * moves * moves)) + beta * gamma + decay * colour) * s * s + f1
            step = f / f1
            step = step / (1 - 0.5 * step * f2 / f1)  # Halley's
            new = min(max(y - step, y - FARTHEST_STEP), top)
            largest = max(largest, abs(new - y))
            node[5, i] = new
        if largest < NEAR_ENOUGH:
            break
    for i in range(N_TIMES):
        h[i] = (top - node[5, i]) ** 2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=VECTORS)
def integrals_a(i, tau, r, q, v, g, spread, top, low):
    """Write the integrals of N and D in form A at boundary point i, where ln(X/B) is g."""
    root, base = math.sqrt(tau), i * N_INNER
    per_move = 1 / (v * root)
    upper = lower = 0.0
    for j in range(N_INNER):
        t = tau * INNER[j] * INNER[j]
        moves = v * root * INNER[j]
        d1 = (math.sqrt(max(spread[base + j], 0.0)) - g + (r - q) * t) * (per_move * INVERSE[j]) + 0.5 * moves
        n1, n2 = quick_density(d1), quick_density(d1 - moves)
        weight = 2 * INNER_WEIGHT[j]
        upper += weight * quick_exp(r * (tau - t)) * n2 * root / v
        lower += weight * quick_exp(q * (tau - t)) * (n1 * root / v + quick_cdf(d1, n1) * tau * INNER[j])
    top[i], low[i] = r * upper, q * lower


@njit(cache=True, nogil=True, error_model="numpy", fastmath=VECTORS)
def integrals_b(i, tau, r, q, v, g, spread, top, low):
    """Write the integrals of N and D in form B."""
    root, base = math.sqrt(tau), i * N_INNER
    per_move = 1 / (v * root)
    upper = lower = 0.0
    for j in range(N_INNER):
        t = tau * INNER[j] * INNER[j]
        moves = v * root * INNER[j]
        d1 = (math.sqrt(max(spread[base + j], 0.0)) - g + (r - q) * t) * (per_move * INVERSE[j]) + 0.5 * moves
        d2 = d1 - moves
        weight = 2 * INNER_WEIGHT[j] * tau * INNER[j]
        upper += weight * quick_exp(r * (tau - t)) * quick_cdf(d2, quick_density(d2))
        lower += weight * quick_exp(q * (tau - t)) * quick_cdf(d1, quick_density(d1))
    top[i], low[i] = r * upper, q * lower


@njit(cache=True, nogil=True, error_model="numpy", fastmath=VECTORS)
def refine(r, q, v, years, start, h, spread, top, low, is_form_a, is_newton):
    """Move the boundary one step towards its fixed point, all points at once from the old one; return the largest move."""
    spread[:] = 0.0
    for k in range(N_TIMES):
        for m in range(N_TIMES * N_INNER):
            spread[m] += TO_INNER[k, m] * h[k]
    for i in range(N_TIMES):
        tau, g = years * ROOT[i] * ROOT[i], math.sqrt(h[i])
        if is_form_a:
            integrals_a(i, tau, r, q, v, g, spread, top, low)
        else:
            integrals_b(i, tau, r, q, v, g, spread, top, low)
    largest = 0.0
    for i in range(N_TIMES):
        tau, g = years * ROOT[i] * ROOT[i], math.sqrt(h[i])
        old, moves = start * math.exp(-g), v * math.sqrt(tau)
        d1 = (math.log(start) - g + (r - q) * tau) / moves + 0.5 * moves
        d2 = d1 - moves
        n1, n2 = quick_density(d1), quick_density(d2)
        if is_form_a:
            upper, lower = n2 / moves + top[i], n1 / moves + quick_cdf(d1, n1) + low[i]
            upper_slope, lower_slope = -n2 * d2 / (old * moves * moves), (n1 - n1 * d1 / moves) / (old * moves)
        else:
            upper, lower = quick_cdf(d2, n2) + top[i], quick_cdf(d1, n1) + low[i]
            upper_slope, lower_slope = n2 / (old * moves), n1 / (old * moves)
        carry = math.exp(-(r - q) * tau)
        new = carry * upper / lower
        if is_newton:
            slope = carry * (upper_slope / lower - lower_slope * upper / (lower * lower))
            new = old - (old - new) / (1 - slope)
        new = min(max(new, 1e-3 * old), start)
        h[i] = math.log(start / new) ** 2
        largest = max(largest, abs(new - old) / old)
    return largest


@njit(cache=True, nogil=True, error_model="numpy", fastmath=VECTORS)
def premium(x, r, q, v, years, start, spread):
    """Return what early exercise adds; `spread`: H at the quadrature points."""
    ahead, root, total = math.log(x / start), math.sqrt(years), 0.0
    for j in range(N_OUTER):
        t = years * OUTER[j] * OUTER[j]
        moves = v * root * OUTER[j]
        d1 = (ahead + math.sqrt(max(spread[j], 0.0)) + (r - q) * t) / moves + 0.5 * moves
        d2 = d1 - moves
        gained = r * quick_exp(-r * t) * quick_cdf(-d2, quick_density(d2))
        lost = q * x * quick_exp(-q * t) * quick_cdf(-d1, quick_density(d1))
        total += 2 * OUTER_WEIGHT[j] * years * OUTER[j] * (gained - lost)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def boundary(r, q, v, years, h, node, spread, top, low, outer):
    """Write the boundary into `h` and H at the price's quadrature points into `outer`; return X."""
    start = min(1.0, r / q) if q > 0 else 1.0  # X
    guess(r, q, v, years, start, h, node)
    is_form_a = r - q < A_MOST * v * v
    for k in range(STEPS):
        moved = refine(r, q, v, years, start, h, spread, top, low, is_form_a, k == 0)
        if is_form_a and k > 1 and moved < SETTLED:  # form B moves little even where it has far to go
            break
    outer[:] = 0.0
    for k in range(N_TIMES):
        for j in range(N_OUTER):
            outer[j] += TO_OUTER[k, j] * h[k]
    return start


@njit(cache=True, nogil=True, error_model="numpy")
def prices(spot, strike, years, rate, vol, dividend_yield, cp, out, added, status):
    """Write price, what exercise adds to it, and status of every contract; NOT_HERE, with NaN, where the method does not reach.

    Inputs are finite, spot, strike, years and volatility above 0, and exercise worth something: r > 0 for puts, q > 0 for calls.
    """
    h, spread, outer = np.empty(N_TIMES), np.empty(N_TIMES * N_INNER), np.empty(N_OUTER)
    top, low, node = np.empty(N_TIMES), np.empty(N_TIMES), np.empty((6, N_TIMES))
    seen_r = seen_q = seen_v = seen_t = start = np.nan
    for i in range(spot.size):
        s, k, r, q = spot[i], strike[i], rate[i], dividend_yield[i]
        if cp[i] > 0:
            s, k, r, q = k, s, q, r
        v, t = vol[i], years[i]
        out[i], added[i], status[i] = np.nan, np.nan, NOT_HERE
        if not r > 0 or v * math.sqrt(t) < LEAST_MOVES or abs(r - q) > MOST_DRIFT * v * v or q < 0:
            continue
        x = s / k
        plain = european(x, r, q, v, t)
        value = max(plain, 1 - x)
        if r * t > LEAST_GAIN:
            if r != seen_r or q != seen_q or v != seen_v or t != seen_t:
                seen_r, seen_q, seen_v, seen_t = r, q, v, t
                start = boundary(r, q, v, t, h, node, spread, top, low, outer)
            if not h[0] >= 0:
                continue
            if x > start * math.exp(-math.sqrt(h[0])):
                value = max(plain + premium(x, r, q, v, t, start, outer), value)
        if value == value:
            out[i], added[i] = max(k * value, k - s), k * max(value - plain, 0.0)
            status[i] = EXERCISE_NOW if x < 1 and value - (1 - x) <= NOTHING else OK
