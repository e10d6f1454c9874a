"""What a simulated option is worth: what is left of the simulated variance until its expiry, bent into a smile.

At the money, total variance is what the market's own factors will still move: the rest of this session, then sessions whose
volatility falls back from the present one's to the average. Away from it stands the SSVI surface (power law of exponent one half),
whose parameters allow neither butterfly nor calendar arbitrage. So a volatility implied from these prices by calendar time
is higher in the morning than before a night, as it is in a real market.

Prices are European without dividends, not below what exercising gives. Floor 2: numpy, and the formulas of `options/`.

Source: Gatheral, Jacquier, Arbitrage-free SVI volatility surfaces (2014), eq. 4.1 and theorem 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.options.black import price
from workbench.options.clocks import MINUTES_PER_CALENDAR_YEAR
from workbench.sources.simulation.factors import OVERNIGHT_FRAC

RATE = 0.04  # continuous, per year
PREMIUM = 1.10  # implied variance over what is moved on average
FALL_BACK = 0.9  # of a session's distance from the average variance, what the next one keeps
NS_PER_YEAR = MINUTES_PER_CALENDAR_YEAR * NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Smile:
    """Bend of a surface: `skew` in (-1, 1), `bend` with bend * (1 + |skew|) <= 2, or it could be arbitraged."""

    skew: float
    bend: float

    def total_variance(self, at_money: np.ndarray, log_strike: np.ndarray) -> np.ndarray:
        """Return total implied variance; `log_strike` = ln(strike / forward), `at_money` > 0."""
        x = self.bend * log_strike / np.sqrt(at_money)
        out: np.ndarray = 0.5 * at_money * (1 + self.skew * x + np.sqrt((x + self.skew) ** 2 + 1 - self.skew**2))
        return out


FUND = Smile(-0.7, 1.0)
SINGLE = Smile(-0.4, 1.1)


def variance_left(inside_vol: float, day_vol: float, used_frac: np.ndarray, n_sessions: np.ndarray) -> np.ndarray:
    """Return total variance at the money until expiry.

    `inside_vol`: sd of the log move inside the present session; `day_vol`: of a whole average day, night included. `used_frac`: how
    much of the session's variance has passed. `n_sessions`: sessions from the present one to the expiry's.
    """
    whole = day_vol**2
    excess = inside_vol**2 / (1 - OVERNIGHT_FRAC) - whole
    later = whole * n_sessions + excess * FALL_BACK * (1 - FALL_BACK**n_sessions) / (1 - FALL_BACK)
    return PREMIUM * (inside_vol**2 * (1 - used_frac) + later)


def worth(
    smile: Smile, spot: np.ndarray, strike: np.ndarray, left_ns: np.ndarray, variance: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (price [USD], distance of the strike from the forward in sd of the move left), shape (n,)."""
    years = np.maximum(left_ns, 0) / NS_PER_YEAR
    at_money = np.maximum(variance, 1e-12)
    log_strike = np.log(strike / spot) - RATE * years
    with np.errstate(divide="ignore", invalid="ignore"):
        vol = np.where(years > 0, np.sqrt(smile.total_variance(at_money, log_strike) / years), 0.0)
    european = price(spot, strike, years, RATE, vol, right)
    exercised = np.where(right == "C", spot - strike, strike - spot)
    return np.maximum(european, exercised), log_strike / np.sqrt(at_money)
