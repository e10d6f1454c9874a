"""Bars by plain pandas, slow and readable: what `hub/bars.py` and `hub/rollup.py` are compared with.

Written from the rules themselves (providers.md A4, domain.md 9), with its own small rule table and its own reading of the
exchange calendar; nothing is shared with the package.
"""

from __future__ import annotations

import itertools
import math

import exchange_calendars
import numpy as np
import pandas as pd

MINUTE = pd.Timedelta(minutes=1)

# id -> (high/low, open/close, volume) for the ids that restrict anything; typed in from the consolidated column of the vendor's table.
RESTRICTED = {
    **dict.fromkeys((2, 7, 12, 13, 20, 21, 29, 37, 52, 53), (False, False, True)),
    **dict.fromkeys((5, 10, 22, 32, 33), (True, False, True)),
    15: (False, False, False),
    16: (False, False, False),
    38: (True, True, False),
}
FREE_OUTSIDE_HOURS = {12, 13}


def schedule(start: str, end: str) -> pd.DataFrame:
    """Return one row a session: pre, open, close, post as UTC timestamps."""
    table = exchange_calendars.get_calendar("XNYS", start=start, end=end).schedule[["open", "close"]].copy()
    days = table.index
    table["pre"] = [pd.Timestamp(d.year, d.month, d.day, 4, tz="America/New_York").tz_convert("UTC") for d in days]
    is_early = [c.tz_convert("America/New_York").hour < 16 for c in table["close"]]
    table["post"] = [
        pd.Timestamp(d.year, d.month, d.day, 17 if early else 20, tz="America/New_York").tz_convert("UTC")
        for d, early in zip(days, is_early)
    ]
    return table


def rule(conditions: tuple[int, ...], regular: bool) -> tuple[bool, bool, bool]:
    """Return what a print may update: all of its conditions have to allow it."""
    may = [True, True, True]
    for condition in conditions:
        if not regular and condition in FREE_OUTSIDE_HOURS:
            continue
        may = [a and b for a, b in zip(may, RESTRICTED.get(condition, (True, True, True)))]
    return tuple(may)


def minute_bars(trades: pd.DataFrame, sessions: pd.DataFrame) -> tuple[pd.DataFrame, float, int]:
    """Return (bars, volume without bar, prints outside hours) of trades with columns ts (UTC), price, size, sequence, conditions.

    Rows are in order of arrival.
    """
    trades = trades.reset_index(drop=True)
    trades["arrival"] = trades.index
    at = sessions["pre"].searchsorted(trades["ts"], side="right") - 1
    row = sessions.iloc[np.maximum(at, 0)].reset_index(drop=True)
    inside = (at >= 0) & (trades["ts"] < row["post"]).to_numpy()
    regular = ((trades["ts"] >= row["open"]) & (trades["ts"] < row["close"])).to_numpy()
    rules = [rule(c, r) for c, r in zip(trades["conditions"], regular)]
    trades[["hl", "oc", "vol"]] = pd.DataFrame(rules, index=trades.index, columns=["hl", "oc", "vol"])
    outside = int((~inside).sum())
    trades = trades[inside].sort_values(["ts", "sequence", "arrival"])
    bars, homeless = [], 0.0
    for minute, group in trades.groupby(trades["ts"].dt.floor("min")):
        bar = _bar(minute, group)
        if bar is None:
            homeless += group["size"][group["vol"]].sum()
        else:
            bars.append(bar)
    return pd.DataFrame(bars), float(homeless), outside


def _bar(minute: pd.Timestamp, group: pd.DataFrame) -> dict | None:
    marking = group[group["oc"]] if group["oc"].any() else group[group["hl"]]
    if marking.empty:
        return None
    opens, closes = marking["price"].iloc[0], marking["price"].iloc[-1]
    extremes = [opens, closes, *group["price"][group["hl"]]]
    counted = group[group["vol"]]
    volume = counted["size"].sum()
    vwap, std = math.nan, math.nan
    if volume > 0:
        vwap = (counted["price"] * counted["size"]).sum() / volume
        std = math.sqrt((counted["size"] * (counted["price"] - vwap) ** 2).sum() / volume)
    return {
        "ts_open": minute.value, "open": opens, "high": max(extremes), "low": min(extremes), "close": closes,
        "volume": volume, "vwap": vwap, "vw_std": std, "n_trades": len(counted),
    }  # fmt: skip


def bucket(ts: pd.Timestamp, sessions: pd.DataFrame, timeframe: str, anchor: str = "session_rth") -> tuple[int, int] | None:
    """Return (open, close) [ns] of the bar that the minute at `ts` belongs to, or None."""
    at = sessions["pre"].searchsorted(ts, side="right") - 1
    if at < 0 or ts >= sessions["post"].iloc[at]:
        return None
    day = sessions.iloc[at]
    if timeframe in ("1d", "1w"):
        if not day["open"] <= ts < day["close"]:
            return None
        if timeframe == "1d":
            return day["open"].value, day["close"].value
        monday = sessions.index[at] - pd.Timedelta(days=sessions.index[at].weekday())
        week = sessions[(sessions.index >= monday) & (sessions.index < monday + pd.Timedelta(days=7))]
        return week["open"].iloc[0].value, week["close"].iloc[-1].value
    length = pd.Timedelta(timeframe.replace("m", "min"))
    edges = [day["pre"], day["open"], day["close"], day["post"]]
    start, end = next((a, b) for a, b in itertools.pairwise(edges) if a <= ts < b)
    if timeframe == "4h" and anchor == "session_eth":
        start, end = edges[0], edges[-1]
    if timeframe == "4h" and anchor == "natural":
        clock = day["pre"] + (ts - day["pre"]) // length * length
        return max(clock, start).value, min(clock + length, end).value
    opens = start + (ts - start) // length * length
    return opens.value, min(opens + length, end).value


def roll(minutes: pd.DataFrame, sessions: pd.DataFrame, timeframe: str, anchor: str = "session_rth") -> pd.DataFrame:
    """Return minute bars (columns as `minute_bars` gives) put together; vwap and vw_std from all minutes of the bar at once."""
    spans = [bucket(pd.Timestamp(ts, tz="UTC"), sessions, timeframe, anchor) for ts in minutes["ts_open"]]
    keep = np.array([s is not None for s in spans])
    minutes = minutes[keep].assign(span=[s for s in spans if s is not None])
    return pd.DataFrame([_rolled(span, part) for span, part in minutes.groupby("span", sort=True)])


def _rolled(span: tuple[int, int], part: pd.DataFrame) -> dict:
    weight = part["volume"].to_numpy()
    known = part[part["volume"] > 0]
    volume = weight.sum()
    vwap, std = math.nan, math.nan
    if volume > 0:
        vwap = (known["vwap"] * known["volume"]).sum(skipna=False) / volume
        std = math.sqrt((known["volume"] * (known["vw_std"] ** 2 + (known["vwap"] - vwap) ** 2)).sum(skipna=False) / volume)
    return {
        "ts_open": span[0], "ts_close": span[1], "open": part["open"].iloc[0], "high": part["high"].max(), "low": part["low"].min(),
        "close": part["close"].iloc[-1], "volume": volume, "vwap": vwap, "vw_std": std, "n_trades": part["n_trades"].sum(skipna=False),
    }  # fmt: skip
