"""The session's volume profile beside an exposure, and a fund's profile carried over to its index.

In: one-minute bars of a hub. Out: a dict for the browser, or one sentence why there is none. Floor 8, no screen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.options.index_ratio import IndexRatio, carried_over, index_ratio
from workbench.options.profile import VALUE_FRAC, VolumeProfile
from workbench.options.profile_rows import Hours, profile_of_bars, within
from workbench.sessions import to_ny
from workbench.types import NS_PER_S

ROWS_WANTED = 110
STEPS = (1.0, 2.0, 5.0)
FUND_OF = {"I:SPX": "SPY"}  # index -> the fund whose volume stands for it
INDEX_OF = {fund: index for index, fund in FUND_OF.items()}
CLOSES_AGE_S = 125.0  # closes of one-minute bars: the newest common one is up to a minute and a little old
CLOSES_WINDOW_S = 330.0  # five of them


def session_profile(hub: Any, symbol: str, hours: Hours) -> dict[str, Any]:
    """Return the profile of the newest session that has begun; `why` says why there is none."""
    fund = FUND_OF.get(symbol)
    told = fund if fund in hub.watched() else symbol
    profile, when = _profile(hub, told, hours)
    title = f"{told} {'09:30 to the close' if hours is Hours.RTH else '04:00-20:00'}, {when}"
    if profile is None or not len(profile.volumes):
        why = f"no volume of {told} in this session yet"
        if symbol.startswith("I:"):
            why = f"an index has no volume; watch {fund} to carry its profile over" if fund else "an index has no volume"
        return {"title": title, "why": why, "ratio": ""}
    if told != symbol:
        ratio = ratio_of(hub, symbol, told)
        moved = carried_over(profile, ratio)
        if moved is None:
            return {"title": title, "why": f"{told} can't be carried over: {ratio_text(ratio)}", "ratio": ratio_text(ratio)}
        return {**profile_dict(moved), "title": title, "why": "", "ratio": f"{told} × {ratio_text(ratio)}"}
    index = INDEX_OF.get(symbol)
    both = index is not None and index in hub.watched()
    told_ratio = f"{index} / {symbol} {ratio_text(ratio_of(hub, index, symbol))}" if index is not None and both else ""
    return {**profile_dict(profile), "title": title, "why": "", "ratio": told_ratio}


def _profile(hub: Any, symbol: str, hours: Hours) -> tuple[VolumeProfile | None, str]:
    """Return the profile of the newest session that has begun, and its date."""
    now, calendar = hub.clock.now_ns(), hub.calendar
    at = calendar.latest(now)
    first = "open" if hours is Hours.RTH else "pre_open"
    if calendar.sessions[first][at] > now and at > 0:
        at -= 1
    session = calendar.sessions[at]
    when = f"{to_ny(int(session['open'])):%a %d %b}"
    if symbol.startswith("I:"):
        return None, when
    rows = hub.series(symbol, "1m").rows_from(int(session["pre_open"]), int(session["post_close"]))
    rows = rows[within(rows["ts_open"], session, hours)]
    return (profile_of_bars(rows, step=step_for(rows)) if len(rows) else None), when


def step_for(bars: np.ndarray) -> float:
    """Return a round row height [USD] that cuts the bars' range into about a hundred rows, never below a cent."""
    span = float(bars["high"].max() - bars["low"].min())
    wanted = max(span / ROWS_WANTED, 0.01)
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(round(next((s * power for s in STEPS if s * power >= wanted * 0.999), 10 * power), 9))


def profile_dict(profile: VolumeProfile) -> dict[str, Any]:
    """Return a profile for the page: rows, point of control, value area, nodes."""
    area = profile.value_area(VALUE_FRAC)
    highs, lows = profile.nodes()
    height = profile.step * profile.ratio
    return {
        "step": round(height, 9),
        "prices": profile.prices.tolist(),
        "volumes": np.round(profile.volumes).tolist(),
        "poc": profile.poc,
        "val": None if area is None else area.low,
        "vah": None if area is None else area.high,
        "hvn": [node.price for node in highs],
        "lvn": [node.price for node in lows],
        "total": profile.total,
        "method": f"{profile.method.value}: each minute's volume spread evenly from its low to its high",
    }


def ratio_text(ratio: IndexRatio) -> str:
    """Return a ratio of closes for people, with its age, and why it is not used."""
    if not ratio.n_seconds:
        return "not known: no minute of the last five that both have"
    told = f"{ratio.measured:.4f}, median of {ratio.n_seconds} minutes, {ratio.age_s:.0f} s old"
    return told if ratio.ratio is not None else f"{told}; not used: {ratio.status.value}"


def ratio_of(hub: Any, index: str, fund: str) -> IndexRatio:
    """Return index points for one dollar of the fund, by the closes of the minutes that both have.

    A close is the last price of its minute, not of its last second: fine for a ratio that moves by dividends and fees.
    """
    now = hub.clock.now_ns()
    parts: list[np.ndarray] = []
    for symbol in (index, fund):
        rows = hub.series(symbol, "1m").rows_from(now - int((CLOSES_WINDOW_S + 60) * NS_PER_S))
        parts += [rows["ts_close"] - 1, rows["close"]]
    return index_ratio(*parts, now_ns=now, window_s=CLOSES_WINDOW_S, max_age_s=CLOSES_AGE_S)
