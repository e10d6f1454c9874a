"""The worst of so many random contracts against mpmath, each computed in 40 digits: prices, all greeks, implied volatility.

The full count, a million contracts, by one command; it prints the worst of each number and the contract it belongs to:

    SOAK=1 .venv/bin/python .ci/test.py tests/options/test_worst.py -m soak -s

What is printed is an error in units of what the number can tell: absolute for chances (delta, p_itm), against the spot or the
strike for prices, against the terms that a greek is added up from for the rest. A double has 2.2e-16 of it. Where a density is a
factor (gamma, vega, …) the error is divided by 1 + d1²: a last digit of d1 moves a density by so many of its own. Every contract
is checked in mpmath, none is left out as easy.
"""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

from tests.scorecard import count
from workbench.options import black
from workbench.options.implied import IvStatus, fast_greeks, implied_vol

SPOT = 6000.0
NAMES = ("price_usd", "delta", "gamma_per_usd", "vega_usd_per_vol", "theta_usd_per_year", "rho_usd_per_rate", "dividend_rho_usd_per_rate",
         "vanna_per_vol", "vomma_usd_per_vol2", "charm_per_year", "p_itm")  # fmt: skip


class Contracts:
    """n random contracts on one underlying: the last minute to three years, strikes six deviations either way."""

    def __init__(self, seed, n):
        rng = np.random.default_rng(seed)
        self.years = 10 ** rng.uniform(math.log10(1 / 525_600), math.log10(3), n)
        self.vol = rng.uniform(0.05, 1.5, n)
        self.strike = SPOT * np.exp(rng.uniform(-6, 6, n) * self.vol * np.sqrt(self.years))
        self.rate, self.q, self.cp = rng.uniform(-0.01, 0.1, n), rng.uniform(0, 0.08, n), rng.choice([1, -1], n)
        self.right = np.where(self.cp > 0, "C", "P")

    def by(self, greeks):
        """Return the fields as rows of an array (len(NAMES), n)."""
        got = greeks(SPOT, self.strike, self.years, self.rate, self.vol, self.right, dividend_yield=self.q)
        return np.stack([getattr(got, name) for name in NAMES])

    def named(self, i):
        return (
            f"K {self.strike[i]:.6g}, T {self.years[i]:.3g}, v {self.vol[i]:.4g}, r {self.rate[i]:.3g}, q {self.q[i]:.3g}, {self.right[i]}"
        )


def exact(strike, years, rate, q, vol, cp):
    """Price and greeks of 1.1 of the domain file in 40 digits, in the order of NAMES; then d1."""
    s, k, t, r, y, v = (mp.mpf(float(x)) for x in (SPOT, strike, years, rate, q, vol))
    root = mp.sqrt(t)
    total = v * root
    d1 = (mp.log(s / k) + (r - y) * t) / total + total / 2
    d2 = d1 - total
    half = mp.sqrt(mp.mpf(2))
    grown, dense = mp.exp(-y * t), mp.exp(-d1 * d1 / 2) / mp.sqrt(2 * mp.pi)
    held, owed = s * grown, k * mp.exp(-r * t)
    p1, p2 = mp.erfc(-cp * d1 / half) / 2, mp.erfc(-cp * d2 / half) / 2
    vega, delta = held * dense * root, cp * grown * p1
    theta = -held * dense * v / (2 * root) - cp * r * owed * p2 + cp * y * held * p1
    charm = y * delta - grown * dense * (2 * (r - y) * t - d2 * total) / (2 * t * total)
    return (cp * (held * p1 - owed * p2), delta, grown * dense / (s * total), vega, theta, cp * owed * t * p2, -cp * held * t * p1,
            -grown * dense * d2 / v, vega * d1 * d2 / v, charm, p2, d1)  # fmt: skip


def doubled(c, rows):
    """Return the exact values of some contracts as sums of two doubles, (2, len(NAMES) + 1, n)."""
    out = np.empty((2, len(NAMES) + 1, len(rows)))
    with mp.workdps(40):
        for j, i in enumerate(rows):
            for field, value in enumerate(exact(c.strike[i], c.years[i], c.rate[i], c.q[i], c.vol[i], int(c.cp[i]))):
                head = float(value)
                out[0, field, j], out[1, field, j] = head, float(value - head)
    return out


def units(c, truth):
    """Return what an error of each field is measured in, (len(NAMES), n)."""
    price, delta, gamma, vega, theta, _, _, _, _, _, _, d1 = truth
    total = c.vol * np.sqrt(c.years)
    slack, d2 = 1 + d1 * d1, d1 - total
    least = 1e-290  # below it doubles lose digits by themselves
    moved = np.abs(2 * (c.rate - c.q) * c.years) + (1 + np.abs(d2)) * total
    return np.stack([
        SPOT + price, np.ones_like(price), gamma * slack + least, vega * slack + least, (np.abs(theta) + 0.1 * SPOT) * slack,
        c.years * np.maximum(SPOT, c.strike), c.years * np.maximum(SPOT, c.strike), vega / (SPOT * total) * (1 + np.abs(d2)) * slack + least,
        vega / c.vol * (1 + np.abs(d1 * d2) + np.abs(d1) + np.abs(d2)) * slack + least,
        c.q * np.abs(delta) + vega / (SPOT * np.sqrt(c.years)) * moved * slack / (2 * c.years * total) + least, np.ones_like(price),
    ])  # fmt: skip


LIMIT = 2e-15  # a few roundings; a wrong formula or a cancellation shows as 1e-13 and more


@pytest.mark.soak("pricing-mpmath")
def test_the_worst_of_random_contracts_against_mpmath(cases):
    cases.n = n = count("pricing-mpmath")
    c = Contracts(20_250_715, n)
    truth, rest = doubled(c, range(n))
    scale = units(c, truth)
    worst = {}
    for who, greeks in (("fast", fast_greeks), ("readable", black.greeks)):
        off = np.abs((c.by(greeks) - truth[:-1]) - rest[:-1]) / scale
        for name, row in zip(NAMES, off, strict=True):
            worst[name, who] = float(np.max(row)), int(np.argmax(row)), LIMIT
    worst["price, out of the money", "fast"] = worst_digits(c, truth, rest)
    worst |= worst_vols(c, truth[0], truth[3])
    for (name, who), (error, i, _) in worst.items():
        print(f"worst of {n:,}: {name:<28}{who:<9} {error:8.2g}  at {c.named(i)}")
    assert {key: error for key, (error, _, limit) in worst.items() if not error < limit} == {}


def worst_digits(c, truth, rest):
    """Return the worst relative error of the fast price where all of it is time value, divided by 1 + d1² as a density's."""
    off = np.abs((c.by(fast_greeks)[0] - truth[0]) - rest[0]) / (np.abs(truth[0]) * (1 + truth[-1] ** 2))
    forward = SPOT * np.exp((c.rate - c.q) * c.years)
    off[c.cp * (c.strike - forward) < 0] = 0.0
    return float(off.max()), int(off.argmax()), 1e-14


def worst_vols(c, price, vega):
    """Return the worst volatilities implied from exact prices rounded to doubles.

    `attainable`: out of the money and a price of 1e-12 K or more; the error is absolute, 1e-12 is a ten-billionth of a point.
    `told`: all contracts in which a last digit of price, spot or strike moves the volatility by less than 1e-10.
    """
    back = implied_vol(price, SPOT, c.strike, c.years, c.rate, c.right, dividend_yield=c.q)
    off = np.abs(back.vol - c.vol)
    forward = SPOT * np.exp((c.rate - c.q) * c.years)
    is_attainable = (c.cp * (c.strike - forward) >= 0) & (price >= 1e-12 * c.strike)
    told = (np.spacing(price) + np.spacing(np.maximum(c.strike, SPOT))) / np.maximum(vega, 1e-300)
    is_told = told < 1e-10
    found = {}
    for who, chosen, limit in (("attainable", is_attainable, 1e-12), ("told", is_told, 1e-9)):
        assert chosen.sum() > len(price) / 4
        assert (back.status[chosen] == IvStatus.OK).all()
        error = np.where(chosen, off, 0.0)
        found["implied vol", who] = float(error.max()), int(error.argmax()), limit
    return found
