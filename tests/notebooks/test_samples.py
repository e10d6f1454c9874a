"""The sample recordings are what their README says: the same content from the same seed, and the audit finds all that was planted."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys

import pytest

from workbench.history.audit import audit

VENDORS = {"SPY_1m_vendor_one.csv.gz": "vendor_one", "SPY_1m_vendor_two.csv.gz": "vendor_two", "SPY_trades.csv.gz": "trades"}


@pytest.fixture
def samples(root):
    return root / "data" / "samples"


def content(path):
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_every_sample_has_its_hash_in_the_readme(samples):
    told = dict(re.findall(r"^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$", (samples / "README.md").read_text(), re.MULTILINE))
    held = {path.name for path in samples.iterdir() if path.suffix in {".gz", ".json"}}
    assert set(told) == held
    assert {name: hashlib.sha256((samples / name).read_bytes()).hexdigest() for name in held} == told


def test_the_script_makes_the_same_samples_again(samples, tmp_path):
    subprocess.run([sys.executable, samples / "make.py", tmp_path], check=True, cwd=samples.parents[1])
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted([*VENDORS, "planted.json"])
    assert [name for name in made if content(tmp_path / name) != content(samples / name)] == []


@pytest.mark.parametrize("name", VENDORS)
def test_the_audit_finds_exactly_what_was_planted(samples, name):
    planted = json.loads((samples / "planted.json").read_text())[VENDORS[name]]
    report = audit(samples / name)
    assert {fault: report[fault] for fault in planted} == planted


def test_the_audit_of_two_vendors_tells_which_minutes_only_one_has(samples):
    report = audit(samples / "SPY_1m_vendor_one.csv.gz", samples / "SPY_1m_vendor_two.csv.gz")
    assert report["sessions"] == 3
    assert report["expected"] == 390 + 210 + 390  # a full day, the day after Thanksgiving, a full day
    assert report["against"]["common"] + report["against"]["only_there"] == 987


def test_samples_are_small(samples):
    assert sum(path.stat().st_size for path in samples.iterdir()) < 500_000
