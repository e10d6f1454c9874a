"""The command line answers at once, explains itself, and fails with one sentence and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {"numba", "pandas", "pyarrow", "duckdb", "exchange_calendars", "panel", "bokeh", "polars", "polygon", "massive"}


def workbench(*arguments, **environment):
    """Run the command line in a fresh process."""
    command = [sys.executable, "-m", "workbench.cli.main", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_help_names_every_command_with_what_it_is_for():
    said = workbench("--help")
    assert said.returncode == 0
    for command in ("serve", "doctor", "version", "bars", "data"):
        assert f"\n  {command} " in said.stdout


@pytest.mark.parametrize(
    "command", ["serve", "doctor", "version", "bars", "bars build", "bars roll", "data", "data audit", "data import", "gex"]
)
def test_every_command_explains_itself(command):
    said = workbench(*command.split(), "--help")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(f"Usage: workbench {command}")
    assert "\n  " in said.stdout


def test_help_loads_nothing_heavy():
    code = "import sys, workbench.cli.main; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()


def test_version_prints_the_version():
    import workbench as package

    assert workbench("version").stdout.strip() == package.__version__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--source", "polgon"], ["'polgon'", "did you mean 'polygon'"]),
        (["serve", "--source", "replay"], ["replay_path", ".parquet"]),
        (["serve", "--port", "70000"], ["port", "70000", "65535"]),
        (["serve", "--symbols", "S!P"], ["symbols", "'S!P'"]),
        (["serve", "--speed", "0"], ["speed", "0.1"]),
        (["serve", "--speed", "nan"], ["speed: received 'nan'; allowed: a number from 0.1 to 1000"]),
        (["serve", "--speed", "fast"], ["speed: received 'fast'; allowed: a number from 0.1 to 1000"]),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_code_two(arguments, words):
    said = workbench(*arguments)
    assert said.returncode == 2
    assert said.stderr.startswith("workbench: ")
    assert len(said.stderr.strip().splitlines()) == 1
    assert all(word in said.stderr for word in words), said.stderr


def test_a_misspelt_variable_stops_the_start():
    said = workbench("serve", WORKBENCH_SYMBOL="SPY")
    assert said.returncode == 2
    assert "did you mean 'WORKBENCH_SYMBOLS'" in said.stderr


def test_a_misspelt_option_names_the_near_ones():
    said = workbench("serve", "--prot", "1")
    assert said.returncode == 2
    assert "--port" in said.stderr


def test_doctor_prints_json_that_holds_no_key(canary):
    said = workbench("doctor", "--json")
    report = json.loads(said.stdout)
    assert said.returncode == (1 if report["state"] == "fail" else 0)
    assert {"name", "state", "found", "next_step"} == set(report["checks"][0])
    assert not any(form in said.stdout + said.stderr for form in canary)


def test_doctor_in_lines_gives_the_next_step_under_each_finding():
    said = workbench("doctor", WORKBENCH_PROT="1")
    assert said.returncode == 1
    assert "did you mean 'WORKBENCH_PORT'" in said.stdout
    assert "next: mend the setting" in said.stdout
    assert said.stdout.strip().endswith("in all: fail")
