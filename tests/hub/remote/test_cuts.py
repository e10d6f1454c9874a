"""Cut the line anywhere, restart the hub, miss more than its log holds: the mirror ends up equal to the hub, to the byte.

A real server over a hub whose market a test moves (`World` of tests/api), a line that is cut after a random number of bytes, and a
`RemoteHub` that comes back by itself. A cursor that reads now and then is told every change, or that there was a gap.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.api.test_resume import SYMBOLS, TIMEFRAMES, World
from tests.hub.remote.conftest import eventually
from tests.hub.remote.relay import Relay
from workbench.hub.remote.hub import RemoteHub

KEYS = [(symbol, timeframe) for symbol in SYMBOLS for timeframe in TIMEFRAMES]


class Reader:
    """Reads one series by cursor and holds what it was told."""

    def __init__(self, remote, key):
        self.cursor, self.held = remote.cursor(*key), {}

    def read(self):
        told = self.cursor.read()
        if told.is_gap:
            self.held = {}
        self.held.update({int(row["ts_open"]): row.tobytes() for row in told.rows})

    def newest(self, n):
        return [self.held[ts] for ts in sorted(self.held)[len(self.held) - n :]]


def is_level(remote, world):
    """Everything that the hub has told is here."""
    numbers = [(remote.series(*key).epoch, remote.series(*key).upto, remote.series(*key).seq) for key in KEYS]
    there = [world.hub.series(*key).seq for key in KEYS]
    return all(
        epoch == world.hub.epoch and upto is not None and seq >= told for (epoch, upto, seq), told in zip(numbers, there, strict=True)
    )


def compare(remote, world, readers, where):
    eventually(lambda: is_level(remote, world), 15, lambda: f"{where}: {remote.health().reason}")
    for key, reader in readers.items():
        reader.read()
        mine, told = remote.series(*key).rows(), world.hub.series(*key).rows()
        assert mine.tobytes() == told.tobytes(), f"{where}: {key}"
        assert reader.newest(len(told)) == [row.tobytes() for row in told], f"{where}: {key}: what a cursor was told"


def live_through(seed, points, folder):
    rng = np.random.default_rng([11, seed])
    world = World(seed, folder)
    relay = Relay(world.port)
    remote = RemoteHub(f"hub://127.0.0.1:{relay.port}", symbols=SYMBOLS, seed=seed)
    try:
        remote.start()
        readers = {key: Reader(remote, key) for key in KEYS}
        for point in range(points):
            relay.cut_after(int(rng.choice([1, 300, 3_000, 30_000, 300_000])))
            for _ in range(rng.integers(1, 5)):
                world.move()
                readers[KEYS[rng.integers(len(KEYS))]].read()
            if rng.random() < 0.1:
                world.restart()
            if rng.random() < 0.3:
                relay.cut()
                compare(remote, world, readers, f"seed {seed}, point {point}")
        relay.cut()
        compare(remote, world, readers, f"seed {seed}, end")
    finally:
        remote.stop()
        relay.stop()
        world.stop()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mirror_equals_the_hub_wherever_the_line_is_cut(seed, tmp_path):
    live_through(seed, 12, tmp_path)


def test_a_reader_that_was_away_longer_than_the_hubs_log_reaches_is_level_again(tmp_path):
    world = World(5, tmp_path)
    relay = Relay(world.port)
    remote = RemoteHub(f"hub://127.0.0.1:{relay.port}", symbols=SYMBOLS)
    try:
        remote.start()
        readers = {key: Reader(remote, key) for key in KEYS}
        compare(remote, world, readers, "before")
        relay.be_away()
        seq = world.hub.seq
        while world.hub.seq < seq + 6_000:  # the service tells at most 5,000 missed changes one by one
            for _ in range(30):
                world.move()
        relay.be_away(is_away=False)
        compare(remote, world, readers, "after")
    finally:
        remote.stop()
        relay.stop()
        world.stop()
