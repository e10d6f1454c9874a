"""The simulated market and a recording pass the suite that every source passes (Polygon and Massive: test_polygon.py)."""

from __future__ import annotations

from datetime import date

import pytest

from tests.sources.contract import Facts, SourceContract
from workbench.clock import NS_PER_MIN, sleep_s
from workbench.hub.bars import build_bars
from workbench.sessions import SessionCalendar, ny_ns
from workbench.sources.replay import ReplaySource
from workbench.sources.simulated import SimulatedSource

TEN = ny_ns(date(2026, 11, 19), 10)


def minutes_of(trades):
    columns = (trades[name] for name in ("ts_event", "price", "size"))
    return build_bars(*columns, sequence=trades["sequence"], sessions=SessionCalendar.xnys())


def wait_a_little() -> None:
    """Let a market that goes on by itself go on."""
    sleep_s(0.01)


class TestSimulated(SourceContract):
    @pytest.fixture
    def facts(self):
        source = SimulatedSource(("SPY", "QQQ"), seed=3, speed=200.0, start_ns=TEN)
        return Facts(source, "SPY", "QQQ", wait_a_little, (TEN - 30 * NS_PER_MIN, TEN))


class TestReplay(SourceContract):
    @pytest.fixture
    def facts(self, tmp_path):
        lines = ["ts,symbol,price,size,sequence"]
        for second in range(3 * 3600):
            for k, symbol in enumerate(("SPY", "QQQ")):
                lines.append(f"{TEN + second * 1_000_000_000},{symbol},{600 + k + second % 7 / 100},100,{2 * second + k + 1}")
        path = tmp_path / "trades.csv"
        path.write_text("\n".join(lines) + "\n")
        source = ReplaySource(path, speed=200.0, minutes=minutes_of)
        source.seek(TEN + 30 * NS_PER_MIN)
        return Facts(source, "SPY", "QQQ", wait_a_little, (TEN, TEN + 30 * NS_PER_MIN))
