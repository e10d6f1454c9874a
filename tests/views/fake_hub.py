"""A hub made of nothing but `Series` and seeded random bars: the read interface that views use, without feed or threads.

`tick()` moves the market by one step in the test's own thread, so a test decides what happens when.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace

import numpy as np

from workbench.clock import ReplayClock
from workbench.errors import SymbolError
from workbench.hub.board import session_vwap
from workbench.hub.series import Cursor, Series
from workbench.sessions import NY_TZ, Segment, SessionCalendar, to_ns
from workbench.sources.base import SourceInfo
from workbench.types import BAR_DTYPE, NS_PER_S, SymbolTable, Timeframe

START_NS = to_ns(datetime(2026, 11, 20, 10, 30, tzinfo=NY_TZ))
KNOWN = ("SPY", "QQQ", "AAPL", "NVDA", "O:SPY241220P00720000", "BRK.A")
PRICES = {"SPY": 512.3, "QQQ": 438.1, "AAPL": 189.9, "NVDA": 131.2, "O:SPY241220P00720000": 4.15, "BRK.A": 61_234.5}


def random_bars(timeframe: str, end_ns: int, n: int, price: float, seed: int = 1) -> np.ndarray:
    """Return the `n` closed bars before `end_ns` of a random walk, in sessions as the calendar has them."""
    frame = Timeframe.parse(timeframe)
    calendar = SessionCalendar.xnys()
    days = max(10, int(n * frame.length_ns / (14 * 3600 * NS_PER_S)) + 10) * (2 if frame.is_intraday else 3)
    opens, closes = calendar.bar_times(frame, end_ns - days * 86_400 * NS_PER_S, end_ns, segments=(Segment.PRE, Segment.RTH, Segment.AH))
    keep = closes <= end_ns
    opens, closes = opens[keep][-n:], closes[keep][-n:]
    rng = np.random.default_rng(seed)
    scale = 0.0004 * np.sqrt(frame.length_ns / (60 * NS_PER_S))
    walk = np.cumsum(rng.normal(0, scale, len(opens)))
    close = price * np.exp(walk - walk[-1:])
    open_ = np.r_[close[:1], close[:-1]]
    rows = np.zeros(len(opens), BAR_DTYPE)
    rows["ts_open"], rows["ts_close"] = opens, closes
    rows["open"], rows["close"] = np.round(open_, 2), np.round(close, 2)
    rows["high"] = np.round(np.maximum(open_, close) * (1 + np.abs(rng.normal(0, scale / 2, len(opens)))), 2) + 0.01
    rows["low"] = np.round(np.minimum(open_, close) * (1 - np.abs(rng.normal(0, scale / 2, len(opens)))), 2) - 0.01
    rows["volume"] = np.round(rng.gamma(2.0, 20_000, len(opens)))
    rows["vwap"] = (rows["open"] + rows["close"] + rows["high"] + rows["low"]) / 4
    rows["vw_std"], rows["n_trades"], rows["is_complete"] = (rows["high"] - rows["low"]) / 4, 200, 1
    return rows


@dataclass
class FakeHealth:
    """The fields of the hub's health record."""

    mode: str = "LIVE"
    source: str = "fake"
    reason: str = ""
    age_s: float = 0.2
    latency_p50_ms: float = 9.0
    latency_p95_ms: float = 22.0
    gaps: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    backfilling: int = 0
    session_segment: str = "RTH"
    ts_ns: int = 0
    n_events: int = 0
    history_trouble: str = ""


class FakeHub:
    """Owns Series; everything that views read is here, nothing else."""

    def __init__(self, symbols: tuple[str, ...] = KNOWN, n: int = 1500, seed: int = 7) -> None:
        self.symbols = SymbolTable(symbols)
        self.clock = ReplayClock(START_NS)
        self.calendar = SessionCalendar.xnys()
        self.source_info = SourceInfo("fake", "seed 7", symbols=KNOWN)
        self.source = None
        self.epoch = 0
        self.health_record = FakeHealth()
        self._n = n
        self._series: dict[tuple[str, str], Series] = {}  # (symbol, timeframe) -> series
        self._watched: list[str] = []
        self.asked_for: set[str] = set()
        self._price = dict(PRICES)
        self._rng = np.random.default_rng(seed)
        self.older_calls = 0

    def watch(self, symbol: str) -> None:
        if symbol not in KNOWN:
            raise SymbolError(f"symbol: received {symbol!r}; allowed: one that the source knows ({', '.join(KNOWN)})")
        if symbol not in self._watched:
            self._watched.append(symbol)

    def unwatch(self, symbol: str) -> None:
        if symbol in self._watched:
            self._watched.remove(symbol)

    def watched(self) -> tuple[str, ...]:
        return tuple(self._watched)

    def series(self, symbol: str, timeframe: str) -> Series:
        key = (symbol, str(timeframe))
        if key not in self._series:
            series = Series(symbol, Timeframe.parse(timeframe))
            now = self.clock.now_ns()
            seed = sum(map(ord, symbol + str(timeframe)))
            series.upsert(random_bars(str(timeframe), now, self._n, self._price[symbol], seed))
            self._series[key] = series
            rows = series.rows(1)
            if len(rows):
                self._price[symbol] = float(rows["close"][0])
        return self._series[key]

    def cursor(self, symbol: str, timeframe: str, n: int = 600) -> Cursor:
        return self.series(symbol, timeframe).cursor(n)

    def older(self, symbol: str, timeframe: str, before_ns: int, limit: int = 1000) -> np.ndarray:
        self.older_calls += 1
        return random_bars(timeframe, before_ns, limit, self._price[symbol], seed=self.older_calls)

    def quote(self, symbol: str) -> None:
        return None

    def last_trade(self, symbol: str) -> None:
        return None

    def board(self, symbol: str) -> SimpleNamespace:
        price = self._price.get(symbol)
        prev = PRICES.get(symbol)
        change = None if price is None or prev is None else price - prev
        return SimpleNamespace(
            symbol=symbol, last=price, change=change, change_pct=None if change is None else 100 * change / prev, gap_pct=0.42, volume=12_345_678.0,
            relative_volume=1.3, day_open=prev, day_high=price, day_low=price, prev_close=prev, ts_ns=self.clock.now_ns(),
        )  # fmt: skip

    def vwap(self, symbol: str, n: int | None = None) -> np.ndarray:
        update = self.series(symbol, "1m").snapshot()
        rows = update.rows if update.forming is None else np.concatenate([update.rows, update.forming])
        return session_vwap(rows, self.calendar, n)

    def health(self, symbol: str | None = None) -> FakeHealth:
        self.health_record.ts_ns = self.clock.now_ns()
        self.health_record.n_events += 1
        return self.health_record

    # -- the test moves the market -----------------------------------------------------------------------------------------

    def tick(self, seconds: float = 1.0) -> None:
        """Advance the clock and every series by one print."""
        now = self.clock.now_ns() + int(seconds * NS_PER_S)
        self.clock.seek(now)
        moved = {}
        for (symbol, _), series in list(self._series.items()):
            if symbol not in moved:
                moved[symbol] = self._price[symbol] = round(self._price[symbol] * float(np.exp(self._rng.normal(0, 0.0002))), 2)
            self._move(series, moved[symbol], now)

    def _move(self, series: Series, price: float, now: int) -> None:
        forming = series.forming
        if forming is not None and forming["ts_close"][-1] <= now:
            row = forming[-1:].copy()
            row["is_partial"] = 0
            series.upsert(row)
            forming = None
        if forming is None:
            forming = self._new_bar(series, price, now)
            if forming is None:
                series.set_forming(None)
                return
        row = forming[-1:].copy()
        row["high"], row["low"], row["close"] = np.maximum(row["high"], price), np.minimum(row["low"], price), price
        row["volume"] += float(self._rng.integers(100, 900))
        series.set_forming(row)

    def _new_bar(self, series: Series, price: float, now: int) -> np.ndarray | None:
        frame = series.timeframe
        span = max(frame.length_ns * 2, 8 * 86_400 * NS_PER_S)
        opens, closes = self.calendar.bar_times(frame, now - span, now + 1, segments=(Segment.PRE, Segment.RTH, Segment.AH))
        inside = (opens <= now) & (closes > now)
        last = series.rows(1)
        if not inside.any() or (len(last) and opens[inside][0] <= last["ts_open"][0]):
            return None
        row = np.zeros(1, BAR_DTYPE)
        row["ts_open"], row["ts_close"] = opens[inside][0], closes[inside][0]
        row["open"] = row["high"] = row["low"] = row["close"] = row["vwap"] = price
        row["is_partial"] = row["is_complete"] = 1
        row["n_trades"] = np.nan
        return row
