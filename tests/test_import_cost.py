"""`import workbench` costs next to nothing: heavy packages come with the first use of what needs them.

Measured in fresh processes with compiled bytecode. Processor time is judged against importing numpy and msgspec in the same
run, never against the clock alone: machines differ, ratios do not.
"""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys

import pytest

HEAVY = {
    *("numba", "pandas", "pyarrow", "duckdb", "polars", "scipy", "exchange_calendars"),
    *("panel", "bokeh", "holoviews", "polygon", "massive"),
}
PEER = "import numpy, msgspec"


@pytest.fixture(scope="module", autouse=True)
def _bytecode(root):
    compileall.compile_dir(root / "workbench", quiet=1)


def run(root, code):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def loaded(root, code):
    return set(run(root, f"{code}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))").split())


def cpu_s(root, code):
    return float(run(root, f"import time; t = time.process_time()\n{code}\nprint(time.process_time() - t)"))


def test_import_workbench_loads_nothing_heavy(root):
    assert loaded(root, "import workbench") & HEAVY == set()


def test_the_nouns_load_nothing_heavy(root):
    assert loaded(root, "from workbench import Bar, Trade, Quote, Timeframe, WallClock, WorkbenchError") & HEAVY == set()


@pytest.mark.parametrize("name", ["sessions", "conditions", "config", "sources.base", "hub.series"])
def test_modules_of_the_lower_floors_load_nothing_heavy(root, name):
    assert loaded(root, f"import workbench.{name}") & HEAVY == set()


@pytest.mark.bench
def test_import_costs_no_more_than_numpy_and_msgspec(root):
    """A regression here is felt at every start of a notebook, a test and a command."""
    ours, peer, everything = [], [], []
    for _ in range(7):
        peer.append(cpu_s(root, PEER))
        ours.append(cpu_s(root, "import workbench"))
        everything.append(cpu_s(root, "from workbench import Bar, Trade, Quote, WallClock, WorkbenchError, SymbolTable"))
    mine, theirs, nouns = map(statistics.median, (ours, peer, everything))
    print(f"import workbench {mine:.3f} s, with the nouns {nouns:.3f} s, numpy + msgspec {theirs:.3f} s of processor time")
    assert mine <= 0.5 * theirs
    assert nouns <= 1.5 * theirs
