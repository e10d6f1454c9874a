"""Laws that bars obey whatever the tape: one day's prints told in parts, in any order, at any depth, give the same bars.

The full count (10,000 random tapes) runs with SOAK=1; a failing tape is told by its seed.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.scorecard import count
from tests.stubs import MIN, OPEN, TEN, play, replayed, tape, values
from workbench.hub.bars import build_bars
from workbench.hub.book import SymbolBook
from workbench.hub.rollup import rollup
from workbench.sessions import SessionCalendar
from workbench.types import Timeframe

CALENDAR = SessionCalendar.xnys()
LONGER = {"5m": 5, "15m": 15, "1h": 60}  # minutes; all of them anchored at the regular open
ODD_LOT = 37
FAR = TEN + 10 * 60 * MIN


def batch(trades: np.ndarray) -> np.ndarray:
    """Return the minutes of a tape, built at once."""
    columns = (trades[name] for name in ("ts_event", "price", "size"))
    return build_bars(*columns, sequence=trades["sequence"], conditions=trades["conditions"], sessions=CALENDAR)


def by_hand(minutes: np.ndarray, n: int) -> list[tuple]:
    """Return bars of n minutes by plain arithmetic on minutes of one regular session."""
    out: dict[int, list] = {}
    for row in minutes:
        start = OPEN + (int(row["ts_open"]) - OPEN) // (n * MIN) * n * MIN
        high, low, volume = float(row["high"]), float(row["low"]), float(row["volume"])
        bar = out.setdefault(start, [start, float(row["open"]), high, low, 0.0, 0.0])
        bar[2], bar[3], bar[4], bar[5] = max(bar[2], high), min(bar[3], low), float(row["close"]), bar[5] + volume
    return [tuple(bar) for bar in out.values()]


def plain(rows: np.ndarray) -> list[tuple]:
    return [tuple(row[name].item() for name in ("ts_open", "open", "high", "low", "close", "volume")) for row in rows]


def check_range(rows: np.ndarray) -> None:
    assert (rows["high"] >= np.maximum(rows["open"], rows["close"])).all()
    assert (rows["low"] <= np.minimum(rows["open"], rows["close"])).all()


def check_roll_ups(minutes: np.ndarray) -> None:
    """From minutes, and from bars that are themselves rolled up, a longer bar is the same."""
    five = None
    for label, n in LONGER.items():
        rows = rollup(minutes, label, CALENDAR)
        assert plain(rows) == by_hand(minutes, n), label
        if five is not None:
            assert plain(rows) == by_hand(five, n), f"{label} of 5m"
        five = rows if label == "5m" else five
        check_range(rows)


def check_parts(trades: np.ndarray, minutes: np.ndarray, rng: np.random.Generator) -> None:
    """A replay told in pieces ends where the batch ends."""
    hub, _ = replayed(OPEN)
    series = hub.series("SPY", "1m")
    play(hub, trades, until=FAR, chunks=rng.integers(1, len(trades), rng.integers(0, 9)).tolist())
    assert series.rows()["ts_open"].tolist() == minutes["ts_open"].tolist()
    assert plain(values(series.rows())) == plain(values(minutes))


def check_merging(minutes: np.ndarray, rng: np.random.Generator) -> None:
    """Overlapping pieces of history, in any order, end as the whole."""
    book = SymbolBook("SPY", CALENDAR, capacity=5000, grace_ns=0, anchor="session_rth")
    series = book.series(Timeframe.parse("5m"), FAR)
    n = len(minutes)
    pieces = [tuple(sorted(rng.integers(0, n + 1, 2))) for _ in range(4)] + [(0, n // 2), (n // 2, n)]
    for k in rng.permutation(len(pieces)):
        a, b = pieces[k]
        book.add_minutes(minutes[a:b].copy(), FAR)
    book.publish(minutes[:0], FAR)
    assert plain(book.minutes.rows()) == plain(minutes)
    assert plain(series.rows()) == by_hand(minutes, 5)


@pytest.mark.soak("bar-algebra")
def test_bars_obey_their_laws_on_any_tape(cases):
    for seed in range(count("bar-algebra")):
        rng = np.random.default_rng([1, seed])
        trades = tape(seed, minutes=int(rng.integers(2, 90)), per_minute=int(rng.integers(1, 9)), late=0.0)
        minutes = batch(trades)
        cases.n += 1
        try:
            if not len(minutes):  # a tape of odd lots alone sets no price
                assert (trades["conditions"][:, 0] == ODD_LOT).all()
                continue
            check_range(minutes)
            check_roll_ups(minutes)
            check_parts(trades, minutes, rng)
            check_merging(minutes, rng)
        except AssertionError as error:
            cases.failed.append(f"{seed}: {str(error)[:200]}")
    assert not cases.failed, "\n".join(cases.failed[:10])
