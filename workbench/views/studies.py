"""Indicators as a chart draws them: which lines, in which pane, and their values for closed and forming bars.

A study is named by text such as 'vwap', 'ema:20' or 'macd:12:26:9'. Values of closed bars come from the batch form in
`indicators/`; the bars that are still open are peeked at with the streaming twin, so a tick costs the same whatever the
history. Floor 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench import indicators
from workbench.errors import ConfigError, choices
from workbench.sessions import SessionCalendar

SESSION_START = 2  # of `indicators.anchor_starts`
FED_BARS = 4000  # closed bars that a streaming twin is fed when a chart opens; older ones no longer move any average


@dataclass(frozen=True, slots=True)
class Line:
    """One drawn line: its column, its name in the legend ('' for none), colour token, width [px], and whether it is a histogram."""

    column: str
    label: str
    colour: str
    width: float = 1.5
    alpha: float = 1.0
    is_histogram: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """How one indicator is computed and drawn. `lines` are (legend suffix, colour token, width, alpha, is_histogram)."""

    label: str
    defaults: tuple[float, ...]
    takes: tuple[str, ...]  # fields of a bar that batch and streaming form are given
    batch: Callable[..., Any]
    stream: Callable[..., Any]
    lines: tuple[tuple[str, str, float, float, bool], ...]
    is_overlay: bool = True
    guides: tuple[float, ...] = ()


_MAIN = ("", "study1", 1.5, 1.0, False)
KINDS: dict[str, Kind] = {
    "ema": Kind("EMA", (20,), ("close",), indicators.ema, indicators.Ema, (_MAIN,)),
    "sma": Kind("SMA", (50,), ("close",), indicators.sma, indicators.Sma, (_MAIN,)),
    "bollinger": Kind(
        "BB", (20, 2), ("close",), indicators.bollinger, indicators.Bollinger,
        (("mid", "band", 1.0, 0.9, False), ("up", "band", 1.0, 0.7, False), ("low", "band", 1.0, 0.7, False)),
    ),
    "rsi": Kind("RSI", (14,), ("close",), indicators.rsi, indicators.Rsi, (_MAIN,), False, (30.0, 70.0)),
    "macd": Kind(
        "MACD", (12, 26, 9), ("close",), indicators.macd, indicators.Macd,
        (("", "study1", 1.5, 1.0, False), ("signal", "vwap", 1.2, 1.0, False), ("hist", "muted", 1.0, 1.0, True)), False, (0.0,),
    ),
    "atr": Kind("ATR", (14,), ("high", "low", "close"), indicators.atr, indicators.Atr, (_MAIN,), False),
}  # fmt: skip
NAMES = ("vwap", *KINDS)
_AVERAGES = ("study1", "study2", "study3", "study4")  # colours that averages take in turn


class Study:
    """One indicator on one chart. `columns` maps each of its columns to values of closed bars after `load`."""

    name: str
    label: str
    is_overlay: bool
    lines: tuple[Line, ...]
    guides: tuple[float, ...]

    def load(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns for all closed bars, and remember where the next bar goes on."""
        raise NotImplementedError

    def peek(self, forming: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns for the bars still open, without remembering them."""
        raise NotImplementedError


class BarStudy(Study):
    """An indicator of `KINDS` with its numbers."""

    def __init__(self, name: str, kind: Kind, numbers: tuple[float, ...], colour: str) -> None:
        self.name, self.kind, self.numbers = name, kind, numbers
        self.label = f"{kind.label} {', '.join(f'{n:g}' for n in numbers)}"
        self.is_overlay, self.guides = kind.is_overlay, kind.guides
        self.lines = tuple(self._line(i, line, colour) for i, line in enumerate(kind.lines))
        self._stream = kind.stream(*numbers)

    def _line(self, i: int, line: tuple[str, str, float, float, bool], colour: str) -> Line:
        suffix, own, width, alpha, is_histogram = line
        label = self.label if i == 0 else suffix
        return Line(f"{self.name}#{i}", label, colour if own == "study1" and self.is_overlay else own, width, alpha, is_histogram)

    def load(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns for all closed bars, and feed the streaming twin."""
        found = self.kind.batch(*(rows[name] for name in self.kind.takes), *self.numbers)
        self._stream = self.kind.stream(*self.numbers)
        recent = rows[-FED_BARS:]
        for values in zip(*(recent[name].tolist() for name in self.kind.takes), strict=True):
            self._stream.update(*values)
        return self._named(found if isinstance(found, tuple) else (found,))

    def peek(self, forming: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns for the bars still open."""
        stream, answers = self._stream, []
        for i in range(len(forming)):
            values = [float(forming[name][i]) for name in self.kind.takes]
            answer = stream.peek(*values)
            answers.append(answer if isinstance(answer, tuple) else (answer,))
            if i + 1 < len(forming):
                stream = stream.clone()
                stream.update(*values)
        return self._named(np.array(answers, np.float64).reshape(len(answers), -1).T if answers else [np.zeros(0)] * len(self.lines))

    def _named(self, arrays: Any) -> dict[str, np.ndarray]:
        return {line.column: values for line, values in zip(self.lines, arrays, strict=False)}


class VwapStudy(Study):
    """Session VWAP with bands, anchored at the regular open; nothing on daily bars."""

    name = "vwap"
    label = "VWAP"
    is_overlay = True
    guides: tuple[float, ...] = ()
    lines = (
        Line("vwap", "VWAP", "vwap", 1.5),
        Line("vwap_u1", "", "band", 1.0, 0.75),
        Line("vwap_l1", "", "band", 1.0, 0.75),
        Line("vwap_u2", "", "band", 1.0, 0.45),
        Line("vwap_l2", "", "band", 1.0, 0.45),
    )

    def __init__(self, calendar: SessionCalendar, *, is_intraday: bool) -> None:
        self._calendar, self._is_intraday = calendar, is_intraday
        self._stream = indicators.Vwap()
        self._last = np.zeros(0, np.int64)  # start of the newest closed bar, to see whether the next one begins a session

    def load(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return vwap and bands of closed bars, and feed the streaming twin with the newest session."""
        place = self._places(rows["ts_open"])
        self._last = rows["ts_open"][-1:].copy()
        self._stream = indicators.Vwap()
        starts = np.flatnonzero(place == SESSION_START)
        first = int(starts[-1]) if len(starts) else len(rows)
        for i in range(first, len(rows)):
            self._stream.update(rows[i], int(place[i]))
        return self._named(indicators.vwap(rows, place))

    def peek(self, forming: np.ndarray) -> dict[str, np.ndarray]:
        """Return vwap and bands of the bars still open."""
        place = self._places(np.r_[self._last, forming["ts_open"]])[len(self._last) :]
        stream, answers = self._stream.clone(), []
        for row, where in zip(forming, place, strict=True):
            answers.append(tuple(stream.update(row, int(where)))[:5])
        return self._named(np.array(answers, np.float64).reshape(-1, 5).T)

    def _places(self, ts_open: np.ndarray) -> np.ndarray:
        if not self._is_intraday:
            return np.zeros(len(ts_open), np.uint8)
        return indicators.anchor_starts(ts_open, self._calendar)

    def _named(self, arrays: Any) -> dict[str, np.ndarray]:
        return {line.column: values for line, values in zip(self.lines, arrays, strict=False)}


def parse_study(name: str) -> tuple[Kind | None, tuple[float, ...]]:
    """Return the kind (None for 'vwap') and numbers that a study's name asks for; ConfigError says what is allowed."""
    first, *rest = str(name).split(":")
    if first not in NAMES:
        raise ConfigError(f"indicator: received {choices(first, NAMES)}; numbers follow after a colon (ema:20, macd:12:26:9)")
    if first == "vwap":
        return None, ()
    kind = KINDS[first]
    try:
        given = tuple(float(text) for text in rest)
        if not all(math.isfinite(n) for n in given):
            raise ValueError
    except ValueError:
        example = ":".join([first, *(f"{n:g}" for n in kind.defaults)])
        raise ConfigError(f"indicator: received {name!r}; allowed: numbers after {first}, e.g. {example}") from None
    if len(given) > len(kind.defaults):
        raise ConfigError(f"indicator: received {name!r} with {len(given)} numbers; allowed: at most {len(kind.defaults)} for {first}")
    numbers = (*given, *kind.defaults[len(given) :])
    whole = tuple(int(n) if n == int(n) else n for n in numbers)
    kind.stream(*whole)  # its own checks speak here, before anything is drawn
    return kind, whole


def make_studies(names: list[str], calendar: SessionCalendar, *, is_intraday: bool) -> list[Study]:
    """Return the studies of a chart, averages in different colours; ConfigError for a name that makes no sense."""
    studies: list[Study] = []
    n_averages = 0
    for name in dict.fromkeys(names):
        kind, numbers = parse_study(name)
        if kind is None:
            studies.append(VwapStudy(calendar, is_intraday=is_intraday))
            continue
        colour = _AVERAGES[n_averages % len(_AVERAGES)]
        n_averages += kind.is_overlay and len(kind.lines) == 1
        studies.append(BarStudy(name, kind, numbers, colour))
    return studies
