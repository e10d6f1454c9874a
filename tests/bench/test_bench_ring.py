"""The ring behind every series: append a bar, look at the last 5,000. A regression here is felt at each bar of each of 12 timeframes of
every symbol watched."""

from __future__ import annotations

import statistics
import warnings

import numpy as np
import pandas as pd
import pytest

from workbench.clock import monotonic_ns
from workbench.hub.ring import Ring
from workbench.types import BAR_DTYPE

CAPACITY = 5000
FLOATS = ["open", "high", "low", "close", "volume", "vwap", "n_trades"]


@pytest.mark.bench
def test_append_and_view_of_five_thousand_bars(floor):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from holoviews.streams import Buffer
    rows = np.zeros(CAPACITY + 20_000, BAR_DTYPE)
    rows["close"] = np.arange(len(rows))
    ring = Ring(CAPACITY, BAR_DTYPE)
    ring.extend(rows[:CAPACITY])
    pieces = [rows[i : i + 1] for i in range(CAPACITY, len(rows))]
    frame = pd.DataFrame({name: rows[name] for name in FLOATS})
    buffer = Buffer(frame.iloc[:CAPACITY], length=CAPACITY, index=False)
    frames = [frame.iloc[i : i + 1] for i in range(CAPACITY, CAPACITY + 60)]

    def ours():
        for piece in pieces:
            ring.append(piece)
            ring.view()
        return len(pieces)

    def theirs():
        for piece in frames:
            buffer.send(piece)
            assert len(buffer.data) == CAPACITY
        return len(frames)

    ours()
    theirs()
    np.testing.assert_array_equal(ring.view()["close"], rows["close"][-CAPACITY:])
    np.testing.assert_array_equal(buffer.data["close"], frame["close"][60 : CAPACITY + 60])
    taken = {"workbench": [], "holoviews Buffer": []}
    for _ in range(7):
        for name, run in (("workbench", ours), ("holoviews Buffer", theirs)):
            start = monotonic_ns()
            taken[name].append((run() / (monotonic_ns() - start)) ** -1)
    found = {name: statistics.median(t) for name, t in taken.items()}
    ratio = found["holoviews Buffer"] / found["workbench"]
    print("\nappend + view of 5,000 bars: " + ", ".join(f"{name} {ns:.0f} ns" for name, ns in found.items()) + f" ({ratio:.0f}×)")
    floor("ring append and view of 5,000 bars, times holoviews Buffer", ratio, least=300)
