"""Volume profiles of bars and of prints: of one session, as it developed, and over half hours (TPO).

Prints tell exactly where volume was traded; a bar tells only between which prices, so where its volume goes is a choice
(`VolumeMethod`). Whatever the choice, the rows add up to the bars. Nothing newer than the moment asked for is ever read.

In: BAR_DTYPE or TRADE_DTYPE rows of one symbol. Out: VolumeProfile. Floor 1: numpy, the nouns, sessions and sale conditions of floor 0.

Assumption: an eligible print is one whose conditions let it move open, close, high, low and volume. That leaves out average-price,
derivatively priced and out-of-sequence prints, and official prices, which repeat an auction print; odd lots on request only.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from workbench.conditions import ALL, EXTENDED_TABLE, REGULAR_TABLE, TABLE_SIZE
from workbench.errors import RecordError, choices
from workbench.options.black import Floats
from workbench.options.profile import VALUE_FRAC, VolumeMethod, VolumeProfile
from workbench.types import NS_PER_S

TICK_USD = 0.01
ODD_LOT = 37
AUCTION_IDS = (8, 17, 18, 19, 25, 28, 55)  # opening, reopening and closing prints
TPO_NS = 30 * 60 * NS_PER_S
BALANCE_NS = 60 * 60 * NS_PER_S
GRID_SLACK = 1e-9  # of a row: 100.05 / 0.05 is 2000.9999999999998

# As of the close of each bar.
DEVELOPING_DTYPE = np.dtype([("ts_ns", "i8"), ("poc", "f8"), ("vah", "f8"), ("val", "f8"), ("volume", "f8")])


class Hours(Enum):
    """Which part of the day a session profile holds."""

    RTH = "rth"  # 09:30 to the close
    ETH = "eth"  # 04:00 to 20:00


def within(ts_ns: NDArray[np.int64], session: np.void, hours: Hours) -> NDArray[np.bool_]:
    """Return which instants fall into a session of SESSION_DTYPE."""
    first, last = ("open", "close") if hours is Hours.RTH else ("pre_open", "post_close")
    inside: NDArray[np.bool_] = (ts_ns >= session[first]) & (ts_ns < session[last])
    return inside


def profile_of_bars(bars: np.ndarray, *, step: float, tick: float = TICK_USD, method: VolumeMethod = VolumeMethod.UNIFORM) -> VolumeProfile:
    """Return volume by row of a session's bars.

    Parameters
    ----------
    bars : BAR_DTYPE, shape (n,)            Of one session and symbol; those without a volume are counted in `n_left_out`.
    step, tick : float                      [USD]; a row is never lower than a tick.
    method : VolumeMethod                   UNIFORM, CLOSE_ONLY or TRI.

    Raises
    ------
    RecordError                             For a step that is not above 0, and a method that needs prints.
    """
    height = _checked_step(step, tick)
    allowed = (VolumeMethod.UNIFORM, VolumeMethod.CLOSE_ONLY, VolumeMethod.TRI)
    if method not in allowed:
        raise RecordError(f"method: received {choices(method.value, [m.value for m in allowed])}")
    whole = np.isfinite(bars["volume"]) & (bars["volume"] >= 0) & np.isfinite(bars["high"]) & (bars["low"] > 0)
    kept = bars[whole]
    low, high = _rows(kept["low"], height), _rows(kept["high"], height)
    if method is VolumeMethod.CLOSE_ONLY:
        low = high = _rows(kept["close"], height)
    n = high - low + 1
    bar = np.repeat(np.arange(len(kept)), n)
    row = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + low[bar]
    weight = np.ones(len(row))
    if method is VolumeMethod.TRI:
        peak = _rows((kept["high"] + kept["low"] + kept["close"]) / 3, height)[bar]
        span = np.where(row <= peak, peak - low[bar], high[bar] - peak) + 1
        weight = 1 - np.abs(row - peak) / span
    share = weight / np.bincount(bar, weight, minlength=len(kept))[bar]
    volume = share * kept["volume"][bar]
    return _gathered(row, volume, np.full(len(row), np.nan), height, method, int((~whole).sum()))


def profile_of_trades(
    trades: np.ndarray, *, step: float, tick: float = TICK_USD, is_regular: NDArray[np.bool_] | bool = True, has_odd_lots: bool = False
) -> VolumeProfile:
    """Return volume by row of a session's prints, auction prints included and told apart.

    Parameters
    ----------
    trades : TRADE_DTYPE, shape (n,)        Of one session and symbol; those that are not eligible are counted in `n_left_out`.
    step, tick : float                      [USD]; a row is never lower than a tick.
    is_regular : bool, shape (n,)           Which prints fall into regular hours: outside, Form T keeps no print out.
    has_odd_lots : bool                     Whether odd lots count.
    """
    height = _checked_step(step, tick)
    fits, is_auction = eligible(trades, is_regular=is_regular, has_odd_lots=has_odd_lots)
    fits &= (trades["price"] > 0) & np.isfinite(trades["price"]) & np.isfinite(trades["size"])
    kept = trades[fits]
    size = kept["size"].astype(np.float64)
    auction = np.where(is_auction[fits], size, 0.0)
    return _gathered(_rows(kept["price"], height), size, auction, height, VolumeMethod.TRADES, int((~fits).sum()))


def eligible(
    trades: np.ndarray, *, is_regular: NDArray[np.bool_] | bool = True, has_odd_lots: bool = False
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which prints are regular-way and last-sale eligible, and which are prints of an auction."""
    ids = trades["conditions"].astype(np.int64)
    live: NDArray[np.bool_] = np.arange(ids.shape[1]) < trades["n_conditions"][:, None]
    known = (ids >= 0) & (ids < TABLE_SIZE)
    at = np.where(known, ids, 0)
    tables = np.stack([EXTENDED_TABLE, REGULAR_TABLE])
    rules = tables[np.broadcast_to(np.asarray(is_regular, np.int64), len(trades))[:, None], at]
    is_free = ~live | (known & (rules == ALL)) | (has_odd_lots & (ids == ODD_LOT))
    is_auction = live & np.isin(ids, AUCTION_IDS)
    return np.all(is_free, axis=1), np.any(is_auction, axis=1)


def developing(
    bars: np.ndarray,
    *,
    step: float,
    tick: float = TICK_USD,
    method: VolumeMethod = VolumeMethod.UNIFORM,
    frac: float = VALUE_FRAC,
) -> np.ndarray:
    """Return point of control and value area as they stood at the close of each bar, DEVELOPING_DTYPE; NaN before any volume."""
    out = np.zeros(len(bars), DEVELOPING_DTYPE)
    out["ts_ns"] = bars["ts_close"]
    singles = [profile_of_bars(bars[i : i + 1], step=step, tick=tick, method=method) for i in range(len(bars))]
    told = [p for p in singles if len(p.volumes)]
    low = min((p.first_row for p in told), default=0)
    volumes = np.zeros(max((p.first_row + len(p.volumes) for p in told), default=0) - low)
    height = _checked_step(step, tick)
    for i, single in enumerate(singles):
        volumes[single.first_row - low :][: len(single.volumes)] += single.volumes
        row = np.flatnonzero(volumes)
        now = volumes[row[0] : row[-1] + 1] if len(row) else volumes[:0]
        profile = VolumeProfile(height, low + int(row[0]) if len(row) else 0, now, np.full(len(now), np.nan), method)
        area = profile.value_area(frac)
        edges = (math.nan,) * 3 if area is None else (profile.poc, area.high, area.low)
        out["poc"][i], out["vah"][i], out["val"][i] = edges
        out["volume"][i] = profile.total
    return out


@dataclass(frozen=True, slots=True)
class Tpo:
    """Time at price: which half hours touched each row. `letters` row by row of `counts`: A is the first half hour."""

    counts: VolumeProfile
    letters: tuple[str, ...]
    balance_low: float  # initial balance, the first hour [USD]; NaN when it has no bar
    balance_high: float


def time_at_price(bars: np.ndarray, *, open_ns: int, step: float, tick: float = TICK_USD) -> Tpo:
    """Return in which half hours after `open_ns` each row was touched, and the range of the first hour; bars up to half an hour long."""
    height = _checked_step(step, tick)
    kept = bars[np.isfinite(bars["high"]) & (bars["low"] > 0) & (bars["ts_open"] >= open_ns)]
    period = (kept["ts_open"] - open_ns) // TPO_NS
    touched = set()
    for p, low, high in zip(period, _rows(kept["low"], height), _rows(kept["high"], height), strict=True):
        touched |= {(int(row), int(p)) for row in range(int(low), int(high) + 1)}
    rows = np.array([row for row, _ in touched], np.int64)
    counts = _gathered(rows, np.ones(len(rows)), np.full(len(rows), np.nan), height, VolumeMethod.TPO, len(bars) - len(kept))
    names = string.ascii_uppercase + string.ascii_lowercase
    letters = tuple("".join(names[p] for r, p in sorted(touched) if r == counts.first_row + i) for i in range(len(counts.volumes)))
    first = kept[kept["ts_open"] < open_ns + BALANCE_NS]
    low, high = (float(first["low"].min()), float(first["high"].max())) if len(first) else (math.nan, math.nan)
    return Tpo(counts, letters, low, high)


def _checked_step(step: float, tick: float) -> float:
    height = max(step, tick)
    if not 0 < height < math.inf or math.isnan(step):
        raise RecordError(f"step: received {step!r} with tick {tick!r}; allowed: USD above 0")
    return float(height)


def _rows(price: Floats, step: float) -> NDArray[np.int64]:
    """Return the row on the common grid that each price falls into; a price on an edge belongs to the row above it."""
    return np.floor(price / step + GRID_SLACK).astype(np.int64)


def _gathered(row: NDArray[np.int64], volume: Floats, auction: Floats, step: float, method: VolumeMethod, n_left_out: int) -> VolumeProfile:
    """Return the sums by row, from the first to the last row that has any."""
    traded = volume > 0
    row, volume, auction = row[traded], volume[traded], auction[traded]
    first = int(row.min()) if len(row) else 0
    n = int(row.max()) - first + 1 if len(row) else 0
    volumes, auctions = np.zeros(n), np.zeros(n)
    np.add.at(volumes, row - first, volume)
    np.add.at(auctions, row - first, auction)
    return VolumeProfile(step, first, volumes, auctions, method, n_left_out=n_left_out)
