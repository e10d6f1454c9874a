"""One line per symbol for the watchlist, computed from its minutes when asked for.

Nothing here is kept up to date by events: a line is a view of the same bars that the chart draws, so the two can't disagree.
Floor 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.hub.book import SymbolBook
from workbench.sessions import SessionCalendar

RELATIVE_SESSIONS = 10


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


def board_row(book: SymbolBook, calendar: SessionCalendar, now_ns: int) -> BoardRow:
    """Return the watchlist line of a symbol as of `now_ns`."""
    forming = book.minutes.forming
    index = calendar.latest(now_ns)
    session = calendar.sessions[index]
    first = calendar.sessions[max(0, index - RELATIVE_SESSIONS)]
    rows = book.minutes.rows_from(int(first["pre_open"]))
    if forming is not None:
        rows = np.concatenate([rows, forming])
    if not len(rows):
        return BoardRow(book.symbol)
    today = rows[rows["ts_open"] >= session["pre_open"]]
    regular = today[(today["ts_open"] >= session["open"]) & (today["ts_open"] < session["close"])]
    last = float(rows["close"][-1])
    prev_close = _prev_close(rows, calendar.sessions[index - 1]) if index else None
    gap_from = float(regular["open"][0]) if len(regular) else last
    return BoardRow(
        symbol=book.symbol,
        last=last,
        change=None if prev_close is None else last - prev_close,
        change_pct=None if prev_close is None else 100 * (last / prev_close - 1),
        gap_pct=None if prev_close is None else 100 * (gap_from / prev_close - 1),
        volume=float(today["volume"].sum()) if len(today) else 0.0,
        relative_volume=_relative_volume(rows, calendar.sessions[max(0, index - RELATIVE_SESSIONS) : index], session, now_ns),
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
    """Volume of this session over the mean of past sessions that are held from their beginning, each up to the same time of day."""
    opens = rows["ts_open"]
    so_far = now_ns - int(session["pre_open"])
    volume = np.r_[0.0, np.cumsum(rows["volume"])]
    begin = np.searchsorted(opens, past["pre_open"])
    end = np.searchsorted(opens, np.minimum(past["pre_open"] + so_far, past["post_close"]))
    is_held = (past["pre_open"] >= opens[0] - 6 * 3_600_000_000_000) & (end > begin)  # a session whose first bars are held
    if not is_held.any():
        return None
    usual = float((volume[end] - volume[begin])[is_held].mean())
    today = float(volume[-1] - volume[np.searchsorted(opens, session["pre_open"])])
    return today / usual if usual > 0 else None
