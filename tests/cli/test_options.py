"""`workbench gex`: one JSON document or a table with what is assumed, and one sentence with exit code 2 for what can't be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date

import pytest
from typer.testing import CliRunner

from workbench.cli.chain_file import asof_ns
from workbench.cli.main import app
from workbench.cli.options import price as shown_price
from workbench.cli.options import short
from workbench.errors import ConfigError, FileError
from workbench.options.black import price
from workbench.sessions import ny_ns

# the worked example of tests/options/test_exposure.py, quoted so that it is found again: (right, strike, open interest, volatility)
CONTRACTS = [
    ("C", 5950, 2000, 0.135), ("C", 6000, 6000, 0.120), ("C", 6050, 12000, 0.110), ("C", 6100, 8000, 0.108),
    ("P", 5850, 9000, 0.165), ("P", 5900, 14000, 0.150), ("P", 5950, 10000, 0.135), ("P", 6000, 5000, 0.120),
]  # fmt: skip
EXPIRY = ny_ns(date(2026, 3, 20), 16)
MOMENT = EXPIRY - round(365 / 252 * 86_400 * 10**9)  # 1/252 of a year left
GIVEN = ["--spot", "6000", "--asof", str(MOMENT)]


def quoted(contracts=CONTRACTS, *, open_interest=True):
    lines = ["root,expiry,strike,right,bid,ask" + (",open_interest" if open_interest else "")]
    for right, strike, size, vol in contracts:
        mid = float(price(6000, strike, 1 / 252, 0, vol, right))
        lines.append(f"SPXW,2026-03-20,{strike},{right},{mid - 0.0005!r},{mid + 0.0005!r}" + (f",{size}" if open_interest else ""))
    return "\n".join(lines) + "\n"


@pytest.fixture
def chain(tmp_path):
    path = tmp_path / "chain.csv"
    path.write_text(quoted())
    return str(path)


def run(*arguments):
    return CliRunner().invoke(app, ["gex", *arguments])


def never(constant):
    raise AssertionError(f"{constant} is no JSON")


def document(*arguments):
    said = run(*arguments, "--json")
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout, parse_constant=never)


def test_the_worked_example_comes_out_as_one_json_document(chain):
    told = document(chain, *GIVEN)
    assert told["net_gex"] == pytest.approx(286.6933e6, rel=1e-4)
    assert told["flip"] == pytest.approx(5997.6218, abs=0.01)
    assert told["flips"] == [told["flip"]]
    assert (told["regime"], told["no_flip_because"]) == ("long", None)
    assert (told["call_wall"], told["put_wall"], told["magnet"], told["strike_flip"]) == (6050, 5950, 6050, 5975)
    assert told["cum_flip"] == pytest.approx(6046.6, abs=0.05)
    assert told["vex"] == pytest.approx(358.75e6, rel=1e-3)
    assert (told["underlying"], told["spot"], told["asof_ns"], told["n_priced"]) == ("SPX", 6000, MOMENT, 8)
    nets = {row["strike"]: row["net_gex"] / 1e6 for row in told["strikes"]}
    expected = {5850: -105.354, 5900: -723.004, 5950: -1381.773, 6000: 316.648, 6050: 2031.847, 6100: 148.329}
    assert nets == {strike: pytest.approx(net, abs=0.05) for strike, net in expected.items()}
    (expiry,) = told["expiries"]
    assert (expiry["expiry"], expiry["root"], expiry["flip"], expiry["net_gex"]) == ("2026-03-20", "SPXW", told["flip"], told["net_gex"])
    assert len(told["profile"]["spots"]) == len(told["profile"]["net_gex"]) == 201


def test_conventions_are_the_callers_and_are_said_with_the_numbers(chain):
    told = document(chain, *GIVEN, "--unit", "shares", "--charm-days", "252", "--sticky", "moneyness")
    assert told["net_gex"] == pytest.approx(796.37017, rel=1e-4)
    assert told["cex"] == pytest.approx(-2283.45e6, rel=1e-3)
    named = {"unit": "shares", "sign": "calls-long", "basis": "oi", "sticky": "moneyness", "charm_days": 252}
    assert {name: told["convention"][name] for name in named} == named
    assert any("an assumption, not data" in sentence for sentence in told["convention"]["assumptions"])
    assert document(chain, *GIVEN, "--unit", "point")["net_gex"] == pytest.approx(4.778221e6, rel=1e-4)
    assert document(chain, *GIVEN, "--sign", "all-short")["regime"] == "short"


def test_what_is_not_known_is_null(tmp_path):
    path = tmp_path / "chain.csv"
    path.write_text(quoted(open_interest=False))
    told = document(str(path), *GIVEN)
    assert told["net_gex"] is told["flip"] is told["call_wall"] is told["covered_frac"] is None
    assert told["strikes"][0]["net_gex"] is None
    assert told["by_status"] == {"no_size": 8}
    assert told["no_flip_because"] == "no gamma: no contract that can be priced is open"
    path.write_text(quoted())
    after = document(str(path), "--spot", "6000", "--asof", "2026-03-20T16:01")
    assert after["by_status"] == {"expired": 8}
    assert after["net_gex"] is None
    assert set(after["profile"]["net_gex"]) == {None}


def test_the_table_is_for_reading_and_says_what_is_assumed(chain):
    said = run(chain, *GIVEN).stdout
    assert "net gamma     +286.69 mm USD of delta per 1 % move (calls +4.43 bn, puts -4.14 bn)" in said
    assert "zero gamma      5,997.62 by pricing again" in said
    assert "call wall 6,050, put wall 5,950, absolute wall 6,050, magnet 6,050" in said
    assert "an assumption, not data" in said
    assert "what was opened today is not in it" in said
    lines = said.splitlines()
    at = {name: next(i for i, line in enumerate(lines) if line.lstrip().startswith(name)) for name in ("6,050", "6,000 -", "5,950")}
    assert at["6,050"] < at["6,000 -"] < at["5,950"]
    assert lines[at["6,050"]].endswith("++++ call wall magnet")
    assert lines[at["5,950"]].endswith("---- put wall")
    assert "nan" not in said.lower()
    assert len(run(chain, *GIVEN, "--strikes", "1").stdout.splitlines()) == len(lines) - 4


def test_one_expiry_of_one_root_may_be_asked_for(chain, tmp_path):
    path = tmp_path / "two.csv"
    path.write_text(quoted() + "".join(line.replace("SPXW", "SPX") + "\n" for line in quoted().splitlines()[1:]))
    both = document(str(path), *GIVEN)
    assert [e["root"] for e in both["expiries"]] == ["SPX", "SPXW"]
    assert both["n_contracts"] == 16
    alone = document(str(path), *GIVEN, "--expiry", "2026-03-20", "--root", "SPXW")
    assert alone["net_gex"] == pytest.approx(document(chain, *GIVEN)["net_gex"], rel=1e-9)


def test_a_spot_that_the_quotes_tell_need_not_be_given(chain):
    told = document(chain, "--asof", str(MOMENT))
    assert told["spot"] == pytest.approx(6000, abs=0.01)
    assert any("is what the quotes imply" in note for note in told["notes"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--unit", "pcnt"], "unit: received 'pcnt' (did you mean 'pct'?); allowed: pct, point, shares"),
        (["--sign", "short"], "allowed: calls-long, all-long, all-short"),
        (["--basis", "open"], "basis: received 'open'"),
        (["--sticky", "delta"], "sticky: received 'delta'; allowed: strike, moneyness"),
        (["--charm-days", "260"], "charm-days: received '260'; allowed: 365, 252"),
        (["--charm-days", "year"], "charm-days: received 'year'"),
        (["--spot", "-1"], "spot: received '-1'; allowed: a number above 0"),
        (["--asof", "noon"], "asof: received 'noon'; allowed: ISO-8601"),
        (["--asof", "2026-03-19"], "without a time"),
        (["--clock", "cal360"], "clock: received 'cal360'"),
        (["--rate", "5"], "rate: received '5'; allowed: a number from -1 to 1"),
        (["--max-age", "0"], "max-age: received '0'; allowed: a number above 0"),
        (["--expiry", "March"], "expiry: received 'March'; allowed: a date"),
        (["--expiry", "2026-03-27"], "expiry: received"),
        (["--expiry", "2026-03-20", "--root", "SPY"], "root: received 'SPY'"),
        (["--root", "SPXW"], "next: add --expiry DATE"),
        (["--underlying", "QQQ"], "underlying: received 'QQQ'"),
    ],
)
def test_a_wrong_option_is_one_sentence_that_names_it(chain, arguments, words):
    said = run(chain, *GIVEN, *arguments)
    assert type(said.exception).__name__ == "ConfigError"
    assert words in str(said.exception)
    assert "\n" not in str(said.exception)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"), ("a,b\n1,2\n", "lacks bid, ask"), ("", "empty file"),
        (quoted([row for row in CONTRACTS if row[0] == "C"]), "(--spot)"),
    ],
)  # fmt: skip
def test_a_file_that_tells_no_exposure_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "chain.csv"
    if content is not None:
        path.write_text(content)
    said = run(str(path), "--asof", str(MOMENT))
    assert isinstance(said.exception, ConfigError if words == "(--spot)" else FileError)
    assert words in str(said.exception)


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, 1), ("a,b\n1,2\n", 1), ("root,expiry,strike,right,bid,ask\nSPY,2026-03-20,600,C,1.0,1.1\n", 2)],
    ids=["no file", "no chain", "the moment is left out"],
)
def test_a_bad_file_leaves_with_one_a_bad_command_with_two_and_nothing_on_stdout(tmp_path, content, code):
    path = tmp_path / "none.csv"
    if content is not None:
        path.write_text(content)
    command = [sys.executable, "-m", "workbench.cli.main", "gex", str(path), "--json"]
    said = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (said.returncode, said.stdout) == (code, "")
    assert said.stderr.startswith("workbench: ")
    assert said.stderr.count("\n") == 1


def test_a_moment_is_new_yorks_unless_it_says_otherwise():
    told = {asof_ns(text) for text in ("2026-03-20T15:30", "2026-03-20 15:30", "2026-03-20T15:30-04:00", "2026-03-20T19:30Z")}
    assert told == {ny_ns(date(2026, 3, 20), 15, 30), asof_ns(str(ny_ns(date(2026, 3, 20), 15, 30)))}


@pytest.mark.parametrize(
    ("value", "text"),
    [(286.6933e6, "+286.69 mm"), (-1.5e9, "-1.50 bn"), (999_600, "+1.00 mm"), (-999, "-999"), (0.0, "0"), (float("nan"), "-")],
)
def test_amounts_are_short(value, text):
    assert short(value) == text


def test_a_strike_shows_its_fraction_and_none_is_none():
    assert [shown_price(value) for value in (6050.0, 607.5, None)] == ["6,050", "607.50", "none"]


def test_the_real_chain_of_a_summer_day(realdata):
    told = document(str(realdata / "options_cboe_quotedata" / "SPX_2022-07-12_1155ET.csv.gz"), "--rate", "0.022", "--expiry", "2022-07-12")
    assert told["spot"] == 3856.28
    assert 3780 < told["flip"] < 3900
    assert told["put_wall"] <= told["spot"] <= told["call_wall"]
