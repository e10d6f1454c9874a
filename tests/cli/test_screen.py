"""`workbench screen covered-call`: one JSON document or a table, and one sentence with exit code 2 for what can't be used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from workbench.cli.screen import screen_app

CHAIN = """root,expiry,strike,right,bid,ask,volume,open_interest
SPY,2025-07-15,603,C,0.42,0.46,5000,1200
SPY,2025-07-15,604,C,0.25,0.29,500,120
SPY,2025-07-15,610,C,0.01,0.02,500,
SPY,2025-07-15,605,C,,0.20,500,40
SPY,2025-07-15,597,P,0.40,0.44,10,3
SPY,2025-07-16,603,C,1.42,1.46,5000,1200
"""
MOMENT = ["--spot", "600", "--asof", "2025-07-15T10:00"]


@pytest.fixture
def chain(tmp_path):
    path = tmp_path / "chain.csv"
    path.write_text(CHAIN)
    return str(path)


def run(*arguments):
    return CliRunner().invoke(screen_app, ["covered-call", *arguments])


def whole(*arguments):
    """Run the command line in a fresh process."""
    command = [sys.executable, "-m", "workbench.cli.main", "screen", "covered-call", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def never(constant):
    raise AssertionError(f"{constant} is no JSON")


def document(*arguments):
    said = run(*arguments, "--json")
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout, parse_constant=never)


def test_the_worked_example_comes_out_as_one_json_document(chain):
    told = document(chain, *MOMENT)
    row = told["rows"][0]
    assert (row["strike"], row["status"], row["reasons"]) == (603, "pass", [])
    expected = {"bid": 0.42, "mid": 0.44, "premium_yield": 0.0007, "breakeven": 599.58, "max_profit": 3.42, "max_loss": 599.58, "ev": -0.02}
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, abs=1e-9), name
    assert row["p_assigned"] == pytest.approx(0.2086, abs=5e-5)
    assert row["pop"] == pytest.approx(0.5439, abs=5e-5)
    assert (told["underlying"], told["spot"], told["clock"], told["passed"]) == ("SPY", 600, "cal365", 1)
    assert told["asof"] == "2025-07-15T10:00:00-04:00"


def test_the_funnel_goes_from_all_contracts_to_those_that_passed(chain):
    told = document(chain, *MOMENT)
    assert told["funnel"][0]["tested"] == 6
    assert told["funnel"][-1]["passed"] == told["passed"] == 1
    for before, after in zip(told["funnel"], told["funnel"][1:]):
        assert before["passed"] == after["tested"]


def test_what_is_not_known_is_null_and_the_row_says_why(chain):
    rows = {row["strike"]: row for row in document(chain, *MOMENT)["rows"]}
    assert rows[605]["bid"] is rows[605]["pop"] is rows[605]["ev"] is None
    assert rows[605]["status"] == "fail"
    assert any("bid: not known" in reason for reason in rows[605]["reasons"])
    assert rows[610]["open_interest"] is None
    assert any("open interest: not known" in reason for reason in rows[610]["reasons"])


def test_the_table_is_for_reading(chain):
    said = run(chain, *MOMENT).stdout
    assert "1 of 4 pass" in said
    line = next(line for line in said.splitlines() if line.startswith("603.00"))
    assert line.split()[1:3] == ["0.42", "0.440"]
    assert "604.00" not in said
    assert "nan" not in said.lower().split()
    every = run(chain, *MOMENT, "--all").stdout
    assert "delta: 0.1" in every
    assert "605.00     -" in every


def test_rules_and_a_forecast_are_the_callers(chain):
    told = document(chain, *MOMENT, "--rule", "min_delta=0.05", "--rule", "sell_at=mid", "--forecast-vol", "0.2", "--forecast-by", "HAR-RV",
                    "--forecast-error", "0.02")  # fmt: skip
    assert told["rules"]["min_delta"] == 0.05
    assert told["passed"] == 2
    assert told["forecast"] == {"vol": 0.2, "source": "HAR-RV", "error": 0.02}
    assert told["rows"][0]["credit"] == told["rows"][0]["mid"]
    assert told["rows"][0]["ev_low"] < told["rows"][0]["ev"] < told["rows"][0]["ev_high"]
    assert any("HAR-RV" in note for note in told["notes"])


def test_ex_dividend_dates_are_told_or_asked_for(chain):
    def notes(*arguments):
        return " ".join(document(chain, *MOMENT, *arguments)["notes"])

    assert "nobody looked" in notes()
    assert "nobody looked" not in notes("--ex-dividend", "none")
    assert "ex-dividend on 2025-07-16" in notes("--ex-dividend", "2025-07-16")


def test_times_are_new_yorks_unless_they_say_otherwise(chain):
    for text in ("2025-07-15T10:00", "2025-07-15 10:00:00", "2025-07-15T14:00Z", "2025-07-15T10:00-04:00"):
        assert document(chain, "--spot", "600", "--asof", text)["asof_ns"] == 1_752_588_000_000_000_000


def test_the_rules_are_listed_with_what_they_mean():
    said = CliRunner().invoke(screen_app, ["rules"]).stdout
    assert "max_delta=0.35" in said
    assert "open interest, last night's" in said


def test_a_chain_that_expired_a_minute_ago_screens_nothing_and_says_so(chain):
    told = document(chain, "--spot", "600", "--asof", "2025-07-15T16:01")
    assert told["rows"] == []
    assert any("nothing to screen" in note for note in told["notes"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--spot", "0"], ["spot: received '0'", "above 0"]),
        (["--spot", "nan"], ["spot: received 'nan'"]),
        (["--spot", "sixhundred"], ["spot: received 'sixhundred'"]),
        (["--asof", "yesterday"], ["asof: received 'yesterday'", "ISO-8601"]),
        (["--asof", "2025-07-15"], ["asof: received '2025-07-15'", "without a time"]),
        (["--asof", "1985-07-15T10:00", "--clock", "trd252"], ["allowed"]),
        (["--clock", "cal360"], ["clock: received 'cal360'", "cal365"]),
        (["--rate", "5"], ["rate: received '5'", "-1 to 1"]),
        (["--rule", "max_dleta=0.3"], ["rule: received 'max_dleta'", "did you mean 'max_delta'"]),
        (["--rule", "max_delta=3"], ["max_delta: received 3.0", "0 to 1"]),
        (["--rule", "max_delta=x"], ["max_delta: received 'x'"]),
        (["--forecast-vol", "-1"], ["forecast vol", "above 0"]),
        (["--forecast-error", "0.1"], ["forecast-error", "--forecast-vol"]),
        (["--ex-dividend", "tomorrow"], ["ex-dividend: received 'tomorrow'", "2026-03-20"]),
        (["--underlying", "QQQ"], ["underlying", "'QQQ'", "SPY"]),
    ],
)
def test_a_wrong_option_is_named(chain, arguments, words):
    said = run(chain, *MOMENT, *arguments)
    assert type(said.exception).__name__ == "ConfigError"
    for word in words:
        assert word in str(said.exception)
    assert "\n" not in str(said.exception)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no such file"]),
        ("a,b\n1,2\n", ["columns", "lacks"]),
        ("", ["empty"]),
    ],
)
def test_a_file_that_is_no_chain_is_one_sentence_and_exit_code_one(tmp_path, content, words):
    path = tmp_path / "chain.csv"
    if content is not None:
        path.write_text(content)
    said = whole(str(path), *MOMENT)
    assert said.returncode == 1
    assert said.stdout == ""
    assert said.stderr.count("\n") == 1
    assert said.stderr.startswith("workbench: ")
    for word in words:
        assert word in said.stderr.lower()


def test_a_chain_without_a_spot_asks_for_it(chain):
    said = run(chain, "--asof", "2025-07-15T10:00")
    assert "next: give it, as --spot" in str(said.exception)


def test_the_real_chain_of_a_summer_day_is_screened(realdata):
    told = document(str(realdata / "options_cboe_quotedata" / "SPX_2022-07-12_1155ET.csv.gz"))
    assert told["spot"] > 3000
    passed = [row for row in told["rows"] if row["status"] == "pass"]
    for row in passed:
        assert row["root"] == "SPXW"
        assert 0 < row["p_assigned"] < row["pop"] < 1
        assert row["strike"] >= told["spot"]
        assert row["breakeven"] < told["spot"]
    assert told["funnel"][0]["tested"] > 5000
