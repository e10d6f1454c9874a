"""What every reader of a market may ask that follows from its series alone: the same words in this process and away from it.

A hub says what its series, lines and health are; DataFrames, averages and its look in a notebook are made of these here.
Floor 2; pandas is imported when first used.
"""

from __future__ import annotations

import html
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.hub.board import BoardRow, session_vwap
from workbench.hub.chains import ChainReader
from workbench.hub.frames import to_frame
from workbench.hub.health import Health
from workbench.hub.series import Cursor, Series
from workbench.sessions import SessionCalendar
from workbench.sources.base import SourceInfo
from workbench.types import Timeframe

if TYPE_CHECKING:
    import pandas as pd


class MarketReader(Protocol):
    """The read side of a hub. `series`, `watched`, `board`, `chain`, `health` and `source_info` are the hub's own, the rest follows."""

    calendar: SessionCalendar

    @property
    def source_info(self) -> SourceInfo:
        """What the source is and can do."""

    def series(self, symbol: str, timeframe: str | Timeframe) -> Series:
        """Return the live series of a symbol (watching it) and timeframe."""

    def watched(self) -> tuple[str, ...]:
        """Return the symbols followed, in the order they were added."""

    def board(self, symbol: str) -> BoardRow:
        """Return the watchlist line of a symbol."""

    def chain(self, underlying: str, expiry: date) -> ChainReader:
        """Return a reader of one expiry's chain, kept up while somebody reads it."""

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates that are listed, ascending; may block."""

    def health(self, symbol: str | None = None) -> Health:
        """Return how far the feed, or one symbol of it, can be trusted at this moment."""

    def cursor(self, symbol: str, timeframe: str | Timeframe, n: int | None = None) -> Cursor:
        """Return a new reader of a series; its first read is a snapshot of the newest `n` bars."""
        return self.series(symbol, timeframe).cursor(n)

    def bars(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        n: int | None = None,
        *,
        start: Any = None,
        end: Any = None,
        forming: bool = True,
    ) -> pd.DataFrame:
        """Return bars as a DataFrame indexed by New York time of their open, the forming bar last (`is_partial`).

        `n`: the newest n. `start`, `end`: anything pandas reads as a time; naive times are New York.
        """
        import pandas as pd

        frame = Timeframe.parse(timeframe)
        update = self.series(symbol, frame).snapshot()
        rows = update.rows
        if forming and update.forming is not None:
            rows = np.concatenate([rows, update.forming])
        for bound, is_start in ((start, True), (end, False)):
            if bound is not None:
                moment = pd.Timestamp(bound)
                moment = moment.tz_localize("America/New_York") if moment.tz is None else moment
                ts_ns = moment.as_unit("ns").value
                rows = rows[rows["ts_open"] >= ts_ns] if is_start else rows[rows["ts_open"] <= ts_ns]
        return to_frame(rows if n is None else rows[max(0, len(rows) - n) :], symbol=symbol, timeframe=frame.label)

    def vwap(self, symbol: str, n: int | None = None) -> np.ndarray:
        """Return the average price of the present regular session, from 09:30 on, with bands of 1 and 2 standard deviations.

        VWAP_DTYPE, one row for each of the newest `n` (default all) minutes of the session, the forming one last.
        """
        update = self.series(symbol, "1m").snapshot()
        rows = update.rows if update.forming is None else np.concatenate([update.rows, update.forming])
        return session_vwap(rows, self.calendar, n)

    def __repr__(self) -> str:
        watched = ", ".join(self.watched()) or "nothing watched"
        return f"<{type(self).__name__} {self.source_info.name} {self.health().mode.value}: {watched}>"

    def _repr_html_(self) -> str:
        health, info = self.health(), self.source_info
        title = html.escape(f"{type(self).__name__}: {info.name} ({info.detail}), {health.mode.value} {health.reason}")
        lines = (self.board(symbol) for symbol in self.watched())
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line.cells())}</tr>" for line in lines)
        return f"<table><caption>{title}</caption><tr><th>symbol</th><th>last</th><th>change</th><th>volume</th></tr>{body}</table>"
