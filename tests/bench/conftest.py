"""Floors of the benches: what each ratio has to reach, and how much of it another program's noise may take away.

The figures printed at the end of a run are the measured ones, whatever the run allowed. Machines that run every change are
small and shared, so there a ratio fails only below `NOISE` of its floor: that catches a real regression and not a busy
neighbour. `STRICT_FLOORS=1 pytest -m bench` asks for the floors themselves; it is the run whose figures may be quoted.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

NOISE = 0.6
IS_STRICT = os.environ.get("STRICT_FLOORS", "") not in ("", "0")
_SCORES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the figures of this run."""
    config.stash[_SCORES] = []


@pytest.fixture
def floor(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return `floor(what, measured, least=…)` or `floor(what, measured, most=…)`: note a figure, fail when it is too far off."""
    scores = request.config.stash[_SCORES]

    def check(what: str, measured: float, *, least: float | None = None, most: float | None = None) -> None:
        if (least is None) == (most is None):
            raise ValueError("floor: received both or neither of least and most; allowed: one of them")
        holds = measured >= least if least is not None else measured <= most  # type: ignore[operator]
        bound = f">= {least:g}" if least is not None else f"<= {most:g}"
        scores.append(f"{'holds ' if holds else 'MISSED'}  {measured:10.4g}  {bound:>10}  {what}")
        if IS_STRICT:
            assert holds, f"{what}: measured {measured:.4g}, floor {bound}"
        elif least is not None:
            assert measured >= NOISE * least, f"{what}: measured {measured:.4g}, below {NOISE:g} of the floor {bound}"
        else:
            assert most is not None
            assert measured <= most / NOISE, f"{what}: measured {measured:.4g}, above the ceiling {bound} by more than noise explains"

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print every figure against its floor, missed ones included."""
    scores = config.stash.get(_SCORES, [])
    if scores:
        terminalreporter.section("floors" + ("" if IS_STRICT else f" (a run with noise: fails below {NOISE:g} of a floor)"))
        for line in scores:
            terminalreporter.write_line(line)
