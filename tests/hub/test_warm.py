"""Kernels are compiled ahead: by other processes where nothing is cached, at first use where those fail."""

import os
import sys

import pytest

from workbench.hub import warm as warming
from workbench.hub.warm import MARKET, PARTS, is_cold, warm


def test_after_warming_a_running_market_waits_for_no_compiler():
    thread = warm()
    thread.join(120)
    assert not thread.is_alive()
    assert warm() is thread
    assert not any(is_cold(part) for part in MARKET)  # also: the names by which a part is known are those that numba writes


@pytest.mark.parametrize("part", MARKET)
def test_a_part_is_cold_until_it_is_cached_and_again_when_its_source_is_newer(tmp_path, monkeypatch, part):
    file, kernel = PARTS[part].last
    source = tmp_path / file
    source.parent.mkdir()
    source.write_text("")
    monkeypatch.setattr(warming, "PACKAGE", tmp_path)
    assert is_cold(part)

    cache = source.parent / "__pycache__"
    cache.mkdir()
    (cache / f"{source.stem}.another_kernel-1.py311.nbi").write_text("")
    assert is_cold(part)

    (cache / f"{source.stem}.{kernel}-7.py311.nbi").write_text("")
    assert not is_cold(part)

    later = source.stat().st_mtime + 10
    os.utime(source, (later, later))
    assert is_cold(part)


def test_a_process_of_its_own_compiles_a_part():
    process = warming._compiler("rollup")
    assert process.wait(120) == 0
    assert not is_cold("rollup")


def test_where_no_process_can_be_started_kernels_are_compiled_at_first_use(monkeypatch, tmp_path, caplog):
    caplog.set_level("DEBUG", warming.__name__)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    warming._wait("rollup", warming._compiler("rollup"))
    assert "no process to compile rollup kernels" in caplog.text
    PARTS["rollup"].load()


def test_a_process_that_fails_is_told_in_the_log_and_nowhere_else(caplog):
    caplog.set_level("DEBUG", warming.__name__)
    warming._wait("nonsense", warming._compiler("nonsense"))
    assert "compiling nonsense kernels ahead ended with code 1: they are compiled at first use" in caplog.text
