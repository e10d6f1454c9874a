"""Spoil the risk module in one place, and its tests notice. All of it: `python -m tests.risk.mutants`, or this row with SOAK=1."""

from __future__ import annotations

import pytest

from tests.risk.mutants import EQUIVALENT, MODULES, RISK, mutants, survivors
from tests.scorecard import IS_FULL, count

pytestmark = pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="each mutant runs in a forked process")


@pytest.mark.soak("risk-mutants")
def test_no_mutant_of_the_risk_module_survives(cases):
    every = mutants()
    chosen = every if IS_FULL else every[:: max(len(every) // count("risk-mutants"), 1)][: count("risk-mutants")]
    cases.n = len(chosen)
    cases.failed = [str(one) for one in survivors(chosen)]
    assert cases.failed == []


def test_every_module_is_spoiled():
    assert {path.stem for path in RISK.glob("*.py")} == {*MODULES, "__init__"}
    assert {one.module for one in mutants()} == set(MODULES)


def test_what_stands_as_equivalent_is_still_there():
    lines = {(module, line.strip()) for module in MODULES for line in (RISK / f"{module}.py").read_text().splitlines()}
    assert [key for key in EQUIVALENT if key[:2] not in lines] == []
