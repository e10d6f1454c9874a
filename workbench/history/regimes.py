"""Files put together from two feeds: days whose volume belongs to another tape than their neighbours'.

The daily volume per covered bar is sorted; a gap of more than `GAP` in it, with several days on both sides, splits the days into a low
and a high feed (a single exchange sees 2-7 % of the consolidated tape). A busy earnings day is one day, not a feed.

Floor 1: numpy only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.history.marks import iso_day

GAP = 2.5  # smallest ratio between the two feeds' nearest days
APART = 6.0  # smallest ratio between the two feeds' median days
MIN_DAYS = 3  # days that each feed has to have


def volume_regimes(dates: np.ndarray, per_bar: np.ndarray) -> list[dict[str, Any]]:
    """Return the runs of days on one feed, oldest first; one run when the file is of one feed.

    `dates` days since 1970 ascending, `per_bar` mean volume of the bars each day covers. Each run: from, to, days, median volume per bar.
    """
    known = np.isfinite(per_bar) & (per_bar > 0)
    dates, per_bar = dates[known], per_bar[known]
    if not len(dates):
        return []
    high = _is_high(per_bar)
    first = np.flatnonzero(np.r_[True, high[1:] != high[:-1]])
    last = np.r_[first[1:], len(dates)]
    return [
        {
            "from": iso_day(dates[a]),
            "to": iso_day(dates[b - 1]),
            "days": int(b - a),
            "median_volume_per_bar": round(float(np.median(per_bar[a:b])), 1),
        }
        for a, b in zip(first, last, strict=True)
    ]


def _is_high(per_bar: np.ndarray) -> np.ndarray:
    """Return which days belong to the high feed; all True when there is only one."""
    one = np.ones(len(per_bar), bool)
    if len(per_bar) < 2 * MIN_DAYS:
        return one
    ordered = np.sort(np.log(per_bar))
    gaps = np.diff(ordered)
    gaps[: MIN_DAYS - 1] = gaps[len(gaps) - MIN_DAYS + 1 :] = 0
    at = int(np.argmax(gaps))
    if gaps[at] < np.log(GAP):
        return one
    high = per_bar > np.exp((ordered[at] + ordered[at + 1]) / 2)
    if np.median(per_bar[high]) < APART * np.median(per_bar[~high]):
        return one
    return np.asarray(high)
