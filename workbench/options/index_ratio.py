"""How many index points one dollar of a fund is worth: carries a volume profile of SPY, which has volume, over to SPX, which has none.

Nominally ten; dividends and fees make it drift, so it is measured: the median of index over fund, taken within the same second,
over the last five minutes. It is always shown beside what was carried over, with its age, and refused when it can't be right.

In: mids of both, in time order. Out: IndexRatio. Floor 1: numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from workbench.options.profile import VolumeProfile
from workbench.types import NS_PER_S

NOMINAL = 10.0
WINDOW_S = 300.0
MAX_AGE_S = 60.0
MAX_OFF_FRAC = 0.03


class RatioStatus(Enum):
    """Whether a ratio may be used, and why not."""

    OK = ""
    NO_PAIRS = "no second in which both were quoted in the last minutes"
    STALE = "the newest common quote is too old"
    OFF = "too far from the nominal ratio: one of the two prices is wrong"


@dataclass(frozen=True, slots=True)
class IndexRatio:
    """Index points for one dollar of the fund, at one moment."""

    measured: float  # NaN without pairs; shown even when it may not be used
    n_seconds: int
    age_s: float  # of the newest common second; NaN without
    status: RatioStatus

    @property
    def ratio(self) -> float | None:
        """What to multiply with; None when it may not be used."""
        return self.measured if self.status is RatioStatus.OK else None

    @property
    def text(self) -> str:
        """For people: always beside prices that were carried over."""
        if self.status is RatioStatus.NO_PAIRS:
            return f"ratio not known: {self.status.value}"
        told = f"ratio {self.measured:.4f}, median of {self.n_seconds} s, {self.age_s:.0f} s old"
        return told if self.status is RatioStatus.OK else f"{told}; not used: {self.status.value}"


def index_ratio(
    index_ts_ns: ArrayLike,
    index_mid: ArrayLike,
    fund_ts_ns: ArrayLike,
    fund_mid: ArrayLike,
    *,
    now_ns: int,
    nominal: float = NOMINAL,
    window_s: float = WINDOW_S,
    max_age_s: float = MAX_AGE_S,
    max_off_frac: float = MAX_OFF_FRAC,
) -> IndexRatio:
    """Return the ratio as of `now_ns`; what is newer is not read.

    Parameters
    ----------
    index_ts_ns, fund_ts_ns : int64         [ns UTC], ascending.
    index_mid, fund_mid : float64           [USD]; NaN and what is not above 0 is left out.
    """
    index = _by_second(index_ts_ns, index_mid, now_ns, window_s)
    fund = _by_second(fund_ts_ns, fund_mid, now_ns, window_s)
    common = sorted(index.keys() & fund.keys())
    if not common:
        return IndexRatio(float("nan"), 0, float("nan"), RatioStatus.NO_PAIRS)
    measured = float(np.median([index[second] / fund[second] for second in common]))
    age_s = now_ns / NS_PER_S - common[-1]
    if age_s > max_age_s:
        status = RatioStatus.STALE
    else:
        status = RatioStatus.OFF if abs(measured / nominal - 1) > max_off_frac else RatioStatus.OK
    return IndexRatio(measured, len(common), age_s, status)


def carried_over(profile: VolumeProfile, ratio: IndexRatio) -> VolumeProfile | None:
    """Return a fund's profile at the index' prices; None when the ratio may not be used."""
    return None if ratio.ratio is None else profile.scaled(ratio.ratio)


def _by_second(ts_ns: ArrayLike, mid: ArrayLike, now_ns: int, window_s: float) -> dict[int, float]:
    """Return second -> the last mid in it, of the window before now."""
    ts, price = np.asarray(ts_ns, np.int64), np.asarray(mid, np.float64)
    fits = (ts <= now_ns) & (ts > now_ns - int(window_s * NS_PER_S)) & (price > 0) & np.isfinite(price)
    return dict(zip((ts[fits] // NS_PER_S).tolist(), price[fits].tolist(), strict=True))
