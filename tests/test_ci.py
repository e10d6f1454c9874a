"""The test command installs a browser and PostgreSQL where it can, says so where it can't, and hands pytest's exit code on."""

from __future__ import annotations

import importlib.util
import subprocess

import pytest


@pytest.fixture
def command(root):
    spec = importlib.util.spec_from_file_location("ci_test", root / ".ci" / "test.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machine(command, monkeypatch):
    """A machine with apt-get and no browser; `ran` lists what was started on it."""

    class Machine:
        programs, ran, code, user = {"apt-get", "initdb"}, [], 0, 0

    def run(arguments, **options):
        Machine.ran.append(arguments)
        Machine.options = options
        return subprocess.CompletedProcess(arguments, Machine.code)

    Machine.ran = []
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(command.shutil, "which", lambda name: f"/usr/bin/{name}" if name in Machine.programs else None)
    monkeypatch.setattr(command.subprocess, "run", run)
    monkeypatch.setattr(command.os, "geteuid", lambda: Machine.user)
    monkeypatch.setattr(command.compileall, "compile_dir", lambda *_, **__: True)
    return Machine


def test_a_missing_browser_is_installed_before_the_tests(command, machine):
    command.main([])
    update, install, tests = machine.ran
    assert update[:2] == ["apt-get", "update"]
    assert install[:2] == ["apt-get", "install"]
    assert install[-1] == "chromium"
    assert tests[1:] == ["-m", "pytest"]


def test_who_is_not_root_asks_sudo_without_waiting_for_a_password(command, machine):
    machine.user = 1000
    command.install("chromium", "no browser tests")
    assert [arguments[:3] for arguments in machine.ran] == [["sudo", "-n", "apt-get"]] * 2


def test_a_browser_that_is_there_is_left_alone(command, machine):
    machine.programs = {"chromium", "initdb"}
    command.main(["-k", "chart"])
    assert [arguments[1:] for arguments in machine.ran] == [["-m", "pytest", "-k", "chart"]]


def test_without_apt_the_next_step_is_said(command, machine, capsys):
    machine.programs = {"initdb"}
    command.main([])
    assert "install Chromium" in capsys.readouterr().err
    assert [arguments[1:] for arguments in machine.ran] == [["-m", "pytest"]]


def test_a_missing_postgresql_is_installed_before_the_tests(command, machine, monkeypatch):
    machine.programs = {"apt-get", "chromium"}
    monkeypatch.setattr(command.Path, "glob", lambda *_: iter(()))  # this machine's own
    command.main([])
    assert [arguments[-1] for arguments in machine.ran[:2]] == ["-q", "postgresql"]


def test_a_failing_installation_is_told_and_the_tests_run_all_the_same(command, machine, capsys):
    machine.code = 100
    assert command.main([]) == 100
    assert "apt-get update" in capsys.readouterr().err
    assert machine.ran[-1][1:] == ["-m", "pytest"]


def test_pytest_gets_compiled_bytecode_whatever_the_environment_says(command, machine, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    command.main([])
    assert "PYTHONDONTWRITEBYTECODE" not in machine.options["env"]
