"""Whatever a bad line does to the tape (lost, doubled, disordered, late, away), the bars end as the exchange's truth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.stubs import MIN, SEC, TEN, bars, go, live, tape
from workbench.hub.bars import build_bars
from workbench.hub.rollup import rollup
from workbench.sessions import SessionCalendar
from workbench.sources.base import FeedGap
from workbench.types import BarSource

CALENDAR = SessionCalendar.xnys()
MINUTES = 12


def truth_of(trades: np.ndarray) -> np.ndarray:
    """Return what the provider's history says of the tape, as its own bars."""
    rows = build_bars(
        trades["ts_event"], trades["price"], trades["size"], sequence=trades["sequence"], conditions=trades["conditions"], sessions=CALENDAR
    )
    rows["source"] = BarSource.REST
    return rows


def spoil(trades: np.ndarray, rng: np.random.Generator) -> tuple[list[tuple[int, np.ndarray]], list[FeedGap]]:
    """Return batches by time of arrival, with prints doubled, disordered and late, and none inside the gaps that are told."""
    gaps = []
    lost = np.zeros(len(trades), bool)
    for _ in range(rng.integers(0, 3)):
        start = TEN + int(rng.integers(0, MINUTES * 60)) * SEC
        end = start + int(rng.integers(1, 150)) * SEC
        gaps.append(FeedGap(start, end, "away"))
        lost |= (trades["ts_event"] >= start) & (trades["ts_event"] < end)
    seen = trades[~lost]
    late = rng.random(len(seen)) < 0.1
    arrival = seen["ts_event"] + np.where(late, rng.integers(1, 14 * 60, len(seen)) * SEC, 50_000_000)
    again = rng.random(len(seen)) < 0.05
    rows, arrival = np.concatenate([seen, seen[again]]), np.concatenate([arrival, arrival[again] + SEC])
    order = np.argsort(arrival + rng.integers(0, 2 * SEC, len(arrival)), kind="stable")
    rows, arrival = rows[order], arrival[order]
    rows["ts_recv"] = np.maximum.accumulate(arrival)
    cuts = np.sort(rng.choice(len(rows), min(20, len(rows)), replace=False))
    return [(int(part["ts_recv"][-1]), part) for part in np.split(rows, cuts) if len(part)], gaps


@pytest.mark.parametrize("seed", range(60))
def test_the_bars_end_as_the_truth_after_any_schedule_of_faults(seed):
    rng = np.random.default_rng(seed)
    trades = tape(seed, minutes=MINUTES)
    source_rows = truth_of(trades)
    batches, gaps = spoil(trades, rng)
    hub, source, clock = live(TEN - 3 * MIN, verify_every_s=60.0)
    source.history_rows["SPY"] = np.concatenate([bars(range(TEN - 5 * MIN, TEN, MIN), seed=seed), source_rows])
    cursor = hub.cursor("SPY", "1m")
    labels = ("2m", "5m", "1h")
    for label in labels:
        hub.series("SPY", label)
    events = sorted([(at, 0, part) for at, part in batches] + [(gap.end_ns, 1, gap) for gap in gaps], key=lambda event: event[:2])
    held: dict[int, np.void] = {}
    n_in = 0
    for at, kind, what in events:
        clock.ns = max(clock.ns, at)
        if kind:
            hub.on_gap(what)
        else:
            n_in += len(what)
            hub.on_trades(what)
        hub.pump()
        health = hub.health()
        assert health.n_events == n_in  # in = accepted + put aside + dropped: the last is 0, the middle is counted by reason
        assert (health.dropped, health.errors) == (0, 0)
        for row in cursor.read().rows:
            held[int(row["ts_open"])] = row.copy()
    for k in range(40):
        go(hub, clock, max(clock.ns, TEN + MINUTES * MIN) + MIN)
        assert k < 40
    for row in cursor.read().rows:
        held[int(row["ts_open"])] = row.copy()
    rows = hub.series("SPY", "1m").rows()
    assert [held[ts].tobytes() for ts in sorted(held)] == [row.tobytes() for row in rows]
    mine = rows[rows["ts_open"] >= TEN]
    for name in ("ts_open", "open", "high", "low", "close", "volume", "n_trades"):
        assert mine[name].tolist() == source_rows[name].tolist(), name
    assert mine["is_complete"].all()
    assert hub.gaps == ()
    for label in labels:
        wanted = rollup(rows, label, CALENDAR)
        got = hub.series("SPY", label).rows()
        assert got["close"].tolist() == wanted["close"].tolist()[: len(got)]
        assert len(got) >= len(wanted) - 1
