"""The scorecard: what ran is counted, what failed shows its seeds, what did not run is red."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.scorecard import ROWS, add, table


def find(tallies, name, **how):
    (found,) = [(text, is_red) for text, is_red in table(tallies, **how) if f" {name}:" in text]
    return found


def test_in_a_full_run_every_row_stands_there_and_one_that_did_not_run_is_red():
    shown = list(table({}, is_full=True))[1:]
    assert len(shown) == len(ROWS)
    assert all(text.startswith("NOT RUN") and is_red for text, is_red in shown)


def test_in_any_other_run_only_what_ran_is_shown():
    tallies = {}
    add(tallies, ["hostile"], n=60, failed=[], seconds=1.0)
    assert len(list(table(tallies, is_full=False))) == 2
    assert find(tallies, "hostile", is_full=False)[1] is False


def test_outcomes_of_several_tests_add_up_and_failing_seeds_are_named():
    tallies = {}
    add(tallies, ["kill"], n=100, failed=[], seconds=1.0)
    assert find(tallies, "kill", is_full=True)[0].startswith("SHORT")
    add(tallies, ["kill"], n=100, failed=["17"], seconds=2.5)
    text, is_red = find(tallies, "kill", is_full=True)
    assert (text.startswith("FAILED"), is_red, tallies["kill"].seconds) == (True, True, 3.5)
    assert text.endswith("failed: 17")


def test_a_row_that_is_not_in_the_table_can_not_be_proved():
    with pytest.raises(KeyError, match="kils"):
        add({}, ["kils"], n=1, failed=[], seconds=0.0)


def test_a_failing_test_of_a_row_is_counted_with_its_name(pytester_run):
    out = pytester_run(
        """
        import pytest

        @pytest.mark.soak("torn")
        @pytest.mark.parametrize("seed", range(3))
        def test_one_case_each(seed):
            assert seed != 1

        @pytest.mark.soak("fuzz")
        def test_many_cases(cases):
            cases.n = 20_000

        @pytest.mark.soak("resume")
        def test_many_cases_of_which_some_fail(cases):
            cases.n, cases.failed = 150, ["seed 9"]
            raise AssertionError("one of them failed")
        """
    )
    assert "failed: test_one_case_each[1]" in out
    assert "20000 of 20000" in out
    assert "failed: seed 9" in out


@pytest.fixture
def pytester_run(root, tmp_path):
    """Return a function that runs a test module under this house's conftest and returns what pytest printed."""

    def run(module):
        path = root / "tests" / f"test_tmp_scorecard_{tmp_path.name}.py"
        path.write_text(textwrap.dedent(module))
        try:
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
            return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120).stdout
        finally:
            path.unlink()

    return run
