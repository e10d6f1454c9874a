"""A seeded market that never was: any symbol, any session of the calendar, always the same again.

`Market.history` gives minute bars, `Market.prints` the prints they are built from; `core.py` makes them a stream.

Floor 2. Cost on one ordinary core: 2 to 6 ms for a session never asked for before (by how busy the symbol is), 0.1 ms for one that is
kept. Two years of every symbol are kept, so that no second look at them is slow: 18 MB for each symbol whose two years were looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.errors import ConfigError, SymbolError, choices
from workbench.sessions import SessionCalendar
from workbench.sources.simulation.day import DayPrints, draw_prints, minute_bars, pack, unpack
from workbench.sources.simulation.factors import GAPS, HALTS, Kept, Nodes, Shape, Skeleton, generator, nodes, shape_of, skeleton
from workbench.sources.simulation.universe import DEFAULT_SYMBOLS, TABLE, SymbolFacts, facts_for
from workbench.types import BAR_DTYPE, check_symbol

MARKET_VOL = 0.0085  # daily sd of the market factor, log
SECTOR_VOL = 0.0050
HISTORY_SESSIONS = 504  # two years: about two seconds of drawing for a busy symbol, when all of it is asked for
SEEK_AHEAD = 20  # sessions that lie ahead of the start
EARNINGS_CHANCE = 0.015  # of a session, that a symbol's own gap is four times as wide


@dataclass(frozen=True, slots=True)
class Faults:
    """How often things go wrong. Rates are means per session (of one symbol where it says so)."""

    bad_prints: float = 1.5  # per symbol: far off, zero or NaN prices
    crossed_quotes: float = 1.0  # per symbol
    late_frac: float = 0.004  # of prints that arrive 0.3 to 3 s late
    gaps: float = 0.15  # the feed is away for 5 to 90 s
    halts: float = 0.01  # per symbol: trading stops for 5 to 10 minutes

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            top = 1.0 if name == "late_frac" else 1000.0
            if not 0 <= value <= top:
                raise ConfigError(f"Faults.{name}: received {value!r}; allowed: 0 to {top:g}")


NO_FAULTS = Faults(bad_prints=0, crossed_quotes=0, late_frac=0, gaps=0, halts=0)


class Market:
    """The simulated market of one seed. Safe across threads; everything it returns is read-only or a copy."""

    def __init__(
        self,
        symbols: Iterable[str] = DEFAULT_SYMBOLS,
        *,
        seed: int = 7,
        calendar: SessionCalendar | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.seed = int(seed)
        if self.seed < 0:
            raise ConfigError(f"seed: received {seed!r}; allowed: 0 or more")
        self.calendar = calendar if calendar is not None else SessionCalendar.xnys()
        self.faults = faults if faults is not None else Faults()
        given = tuple(dict.fromkeys(check_symbol(symbol) for symbol in symbols))
        self.symbols = (*given, *(symbol for symbol in TABLE if symbol not in given))
        self._facts = {symbol: facts_for(symbol) for symbol in self.symbols}  # symbol -> its constants
        self._skeletons = Kept(4 * len(self.symbols))
        self._shapes = Kept(8)
        self._nodes = Kept(256)
        self._prints = Kept(8)  # about 3 MB each; a stream holds its own
        self._bars = Kept((HISTORY_SESSIONS + SEEK_AHEAD + 1) * len(self.symbols))  # about 35 kB each

    def facts(self, symbol: str) -> SymbolFacts:
        """Return a symbol's constants; SymbolError when this market does not know it."""
        if symbol not in self._facts:
            raise SymbolError(f"symbol: received {choices(symbol, self.symbols)}")
        return self._facts[symbol]

    def history(self, symbol: str, start_ns: int, end_ns: int) -> np.ndarray:
        """Return minute bars with start_ns <= ts_open < end_ns, oldest first, BAR_DTYPE; a fresh array."""
        self.facts(symbol)
        sessions = self.calendar.sessions
        first = int(np.searchsorted(sessions["post_close"], start_ns, side="right"))
        last = int(np.searchsorted(sessions["pre_open"], end_ns, side="left"))
        days = [self.session_bars(symbol, index) for index in range(first, last)]
        if not days:
            return np.zeros(0, BAR_DTYPE)
        rows = np.concatenate(days)
        begin, end = np.searchsorted(rows["ts_open"], (start_ns, end_ns))
        return rows[begin:end]

    def session_bars(self, symbol: str, index: int) -> np.ndarray:
        """Return the minute bars of the calendar's session `index`, BAR_DTYPE; a fresh array."""
        pre_open = int(self.calendar.sessions["pre_open"][index])

        def make() -> np.ndarray:
            return pack(minute_bars(self._draw(symbol, index), pre_open, self.shape(index).minutes), pre_open)

        return unpack(self._bars.get((symbol, index), make), pre_open)

    def prints(self, symbol: str, index: int) -> DayPrints:
        """Return the true prints of the calendar's session `index` (no bad ticks among them)."""
        self.facts(symbol)
        found: DayPrints = self._prints.get((symbol, index), lambda: self._draw(symbol, index))
        return found

    def gaps(self, index: int) -> tuple[tuple[int, int], ...]:
        """Return the spans [start, end) ns during which the feed delivers nothing in session `index`."""
        session = self.calendar.sessions[index]
        rng = generator(self.seed, "", GAPS, int(session["date"]))
        count = int(rng.poisson(self.faults.gaps))
        starts = np.sort(rng.integers(int(session["open"]), int(session["close"]) - 2 * NS_PER_MIN, count))
        ends = starts + rng.integers(5, 90, count) * (NS_PER_MIN // 60)
        spans: list[tuple[int, int]] = []
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if not spans or start > spans[-1][1]:
                spans.append((start, end))
        return tuple(spans)

    def halt(self, symbol: str, index: int) -> tuple[int, int] | None:
        """Return (first, last + 1) halted minute of session `index`, counted from the pre-market open, or None."""
        shape = self.shape(index)
        rng = generator(self.seed, symbol, HALTS, int(self.calendar.sessions["date"][index]))
        if rng.random() >= self.faults.halts:
            return None
        first = int(rng.integers(shape.open_at + 2, shape.close_at - 20))
        return first, first + int(rng.integers(5, 11))

    def shape(self, index: int) -> Shape:
        """Return what the minutes of session `index` are like."""
        session = self.calendar.sessions[index]
        pre_open = int(session["pre_open"])
        key = tuple(int(session[name]) - pre_open for name in ("open", "close", "post_close"))
        found: Shape = self._shapes.get(key, lambda: shape_of(session))
        return found

    def close_price(self, symbol: str, index: int) -> float:
        """Return where the symbol stands at the regular close of session `index` [USD], give or take its last minute's noise."""
        bones = [(weight, self._skeleton(name, vol, chance)) for weight, name, vol, chance in self._mix(symbol)]
        return self.facts(symbol).price * float(np.exp(sum(weight * one.close[index] for weight, one in bones)))

    def day_vols(self, symbol: str, index: int) -> tuple[float, float]:
        """Return the sd of the symbol's log move inside session `index`, and of a whole average day."""
        mix = self._mix(symbol)
        inside = sum((weight * self._skeleton(name, vol, chance).vol[index]) ** 2 for weight, name, vol, chance in mix)
        return float(np.sqrt(inside)), float(np.sqrt(sum((weight * vol) ** 2 for weight, _, vol, _ in mix)))

    def _mix(self, symbol: str) -> tuple[tuple[float, str, float, float], ...]:
        """Return (weight, name, daily sd, chance of a wide gap) of the factors that a symbol is mixed from."""
        facts = self.facts(symbol)
        return (
            (facts.beta, "market", MARKET_VOL, 0.0),
            (facts.beta_sector, f"sector {facts.sector}", SECTOR_VOL, 0.0),
            (1.0, f"own {symbol}", facts.own_vol, EARNINGS_CHANCE),
        )

    def _draw(self, symbol: str, index: int) -> DayPrints:
        facts, shape = self.facts(symbol), self.shape(index)
        parts = [(weight, *self._factor(name, vol, index, chance)) for weight, name, vol, chance in self._mix(symbol)]
        level = np.log(facts.price) + sum(weight * path.level for weight, path, _ in parts)
        variance = sum((weight * vol * path.excitement) ** 2 for weight, path, vol in parts)
        minute_vol = np.sqrt(variance * shape.variance)
        path = Nodes(level, parts[0][1].excitement * np.sqrt(parts[2][1].excitement))
        return draw_prints(self.seed, facts, self.calendar.sessions[index], shape, path, minute_vol, self.halt(symbol, index))

    def _skeleton(self, name: str, daily_vol: float, gap_chance: float) -> Skeleton:
        dates = self.calendar.sessions["date"]
        bones: Skeleton = self._skeletons.get(name, lambda: skeleton(self.seed, name, dates, daily_vol, gap_chance=gap_chance))
        return bones

    def _factor(self, name: str, daily_vol: float, index: int, gap_chance: float) -> tuple[Nodes, float]:
        """Return one factor's nodes in session `index` and the sd of its intraday move."""
        bones = self._skeleton(name, daily_vol, gap_chance)
        vol = float(bones.vol[index])
        date = int(self.calendar.sessions["date"][index])
        ends = (float(bones.start[index]), float(bones.close[index]), vol)
        path: Nodes = self._nodes.get((name, index), lambda: nodes(self.seed, name, date, self.shape(index), ends))
        return path, vol
