"""Spoil the risk module in one place, and its tests notice. All of it: `python -m tests.risk.mutants`, or this row with SOAK=1."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.risk.mutants import EQUIVALENT, MODULES, RISK, mutants
from tests.scorecard import IS_FULL, count


@pytest.mark.soak("risk-mutants")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each mutant runs in a forked process")
def test_no_mutant_of_the_risk_module_survives(cases, root):
    command = [sys.executable, "-m", "tests.risk.mutants", *([] if IS_FULL else [str(count("risk-mutants"))])]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    found_out, cases.n = map(int, re.search(r"(\d+) of (\d+) mutants found out", done.stdout).groups())
    cases.failed = re.findall(r"survived: (.*)", done.stdout)
    assert cases.failed == []
    assert (done.returncode, found_out) == (0, cases.n)


def test_every_module_is_spoiled():
    assert {path.stem for path in RISK.glob("*.py")} == {*MODULES, "__init__"}
    assert {one.module for one in mutants()} == set(MODULES)


def test_what_stands_as_equivalent_is_still_there():
    lines = {(module, line.strip()) for module in MODULES for line in (RISK / f"{module}.py").read_text().splitlines()}
    assert [key for key in EQUIVALENT if key[:2] not in lines] == []
