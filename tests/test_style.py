"""The rules that tools can check: ruff everywhere, mypy strict on the lower floors, notebooks without outputs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def run(root, *command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_ruff_finds_nothing(root):
    run(root, "ruff", "check", "--no-cache", "--output-format=concise", ".")


@pytest.mark.slow
def test_mypy_finds_nothing_on_the_lower_floors(root):
    run(root, "mypy")


def test_every_ignored_rule_says_why(root):
    lines = (root / "pyproject.toml").read_text().split("ignore = [", 1)[1].split("\n]", 1)[0].splitlines()
    explained, silent = False, []
    for line in (line.strip() for line in lines):
        if line.startswith("#"):
            explained = True
        elif line and "#" not in line and not explained:
            silent.append(line)
    assert silent == []


def test_notebooks_are_kept_without_outputs(root):
    dirty = []
    for path in sorted((root / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            for i, cell in enumerate(json.loads(path.read_text())["cells"]):
                if cell.get("outputs") or cell.get("execution_count"):
                    dirty.append(f"{path.relative_to(root)}: cell {i}")
    assert dirty == []
