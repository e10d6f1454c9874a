"""One line per symbol for the watchlist, computed from its minutes when asked for.

Nothing here is kept up to date by events: a line is a view of the same bars that the chart draws, so the two can't disagree.
Floor 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.hub.series import Series
from workbench.indicators.vwap import anchor_starts, vwap
from workbench.sessions import SessionCalendar

RELATIVE_SESSIONS = 10
VWAP_DTYPE = np.dtype([("ts_open", "i8"), *((name, "f8") for name in ("vwap", "upper1", "lower1", "upper2", "lower2"))])


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A watchlist line; None is unknown. Prices [USD], volume [shares or contracts], `_pct` in percent.

    `change` is against the last regular close; `gap_pct` is the regular open (before it: the last price) against that close;
    `relative_volume` is the session's volume so far over the mean of past sessions up to the same minute.
    """

    symbol: str
    last: float | None = None
    change: float | None = None
    change_pct: float | None = None
    gap_pct: float | None = None
    volume: float | None = None
    relative_volume: float | None = None
    day_open: float | None = None
    day_high: float | None = None
    day_low: float | None = None
    prev_close: float | None = None
    ts_ns: int | None = None

    def cells(self) -> tuple[str, ...]:
        """Return symbol, last, change in percent and volume as text; '–' for what is unknown."""
        values = ((self.last, ",.2f"), (self.change_pct, "+.2f"), (self.volume, ",.0f"))
        return (self.symbol, *("–" if value is None else format(value, form) for value, form in values))


class Boards:
    """Watchlist lines, each computed anew only when its minutes have changed or a minute has passed."""

    def __init__(self, calendar: SessionCalendar) -> None:
        self._calendar = calendar
        self._lines: dict[str, tuple[tuple[int, ...], BoardRow]] = {}  # symbol -> (state it was made of, line)

    def line(self, minutes: Series, held_from: int | None, now_ns: int) -> BoardRow:
        """Return the line of a one-minute series; `held_from` as of `board_row`."""
        state = (minutes.epoch, minutes.seq, minutes.forming_version, now_ns // NS_PER_MIN)
        known = self._lines.get(minutes.symbol)
        if known is None or known[0] != state:
            known = self._lines[minutes.symbol] = (state, board_row(minutes, held_from, self._calendar, now_ns))
        return known[1]


def board_row(minutes: Series, held_from: int | None, calendar: SessionCalendar, now_ns: int) -> BoardRow:
    """Return the watchlist line of a one-minute series as of `now_ns`.

    `held_from`: from this moment on every minute can be held (None: of every session that has any); sessions begun before it say
    nothing about the usual volume.
    """
    forming = minutes.forming
    index = calendar.latest(now_ns)
    session = calendar.sessions[index]
    first = calendar.sessions[max(0, index - RELATIVE_SESSIONS)]
    past = calendar.sessions[max(0, index - RELATIVE_SESSIONS) : index]
    rows = minutes.rows_from(int(first["pre_open"]))
    if forming is not None:
        rows = np.concatenate([rows, forming])
    if not len(rows):
        return BoardRow(minutes.symbol)
    today = rows[rows["ts_open"] >= session["pre_open"]]
    regular = today[(today["ts_open"] >= session["open"]) & (today["ts_open"] < session["close"])]
    last = float(rows["close"][-1])
    prev_close = _prev_close(rows, calendar.sessions[index - 1]) if index else None
    gap_from = float(regular["open"][0]) if len(regular) else last
    return BoardRow(
        symbol=minutes.symbol,
        last=last,
        change=None if prev_close is None else last - prev_close,
        change_pct=None if prev_close is None else 100 * (last / prev_close - 1),
        gap_pct=None if prev_close is None else 100 * (gap_from / prev_close - 1),
        volume=float(today["volume"].sum()) if len(today) else 0.0,
        relative_volume=_relative_volume(rows, past[past["pre_open"] >= (held_from or 0)], session, now_ns),
        day_open=float(regular["open"][0]) if len(regular) else None,
        day_high=float(regular["high"].max()) if len(regular) else None,
        day_low=float(regular["low"].min()) if len(regular) else None,
        prev_close=prev_close,
        ts_ns=int(rows["ts_open"][-1]),
    )


def _prev_close(rows: np.ndarray, session: np.void) -> float | None:
    regular = rows[(rows["ts_open"] >= session["open"]) & (rows["ts_open"] < session["close"])]
    return float(regular["close"][-1]) if len(regular) else None


def _relative_volume(rows: np.ndarray, past: np.ndarray, session: np.void, now_ns: int) -> float | None:
    """Volume of this session over the mean of `past` sessions (held from their beginning), each up to the same time of day."""
    opens = rows["ts_open"]
    so_far = now_ns - int(session["pre_open"])
    volume = np.r_[0.0, np.cumsum(rows["volume"])]
    begin = np.searchsorted(opens, past["pre_open"])
    end = np.searchsorted(opens, np.minimum(past["pre_open"] + so_far, past["post_close"]))
    past_volume = (volume[end] - volume[begin])[np.searchsorted(opens, past["post_close"]) > begin]  # a session that traded at all
    if not len(past_volume):
        return None
    usual = float(past_volume.mean())
    today = float(volume[-1] - volume[np.searchsorted(opens, session["pre_open"])])
    return today / usual if usual > 0 else None


def session_vwap(rows: np.ndarray, calendar: SessionCalendar, n: int | None = None) -> np.ndarray:
    """Return the regular session's average price and bands at its newest `n` minutes, VWAP_DTYPE.

    `rows`: 1-minute BAR_DTYPE in time order; the session is that of the newest regular minute among them.
    """
    sessions = calendar.sessions
    day = np.maximum(np.searchsorted(sessions["pre_open"], rows["ts_open"], side="right") - 1, 0)
    regular = np.flatnonzero((rows["ts_open"] >= sessions["open"][day]) & (rows["ts_open"] < sessions["close"][day]))
    rows = rows[regular[day[regular] == day[regular[-1]]]] if len(regular) else rows[:0]
    bands = vwap(rows, anchor_starts(rows["ts_open"], calendar, "rth"))
    out = np.zeros(len(rows), VWAP_DTYPE)
    out["ts_open"] = rows["ts_open"]
    for name in (VWAP_DTYPE.names or ())[1:]:
        out[name] = getattr(bands, name)
    return out if n is None else out[max(0, len(out) - n) :]
