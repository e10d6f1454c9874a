"""Ideas without a browser: a chain made by hand, the figures checked against its quotes."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from tests.options.chains import ASOF, CALENDAR, DAY, chain_of
from tests.stubs import ManualClock
from tests.views.test_exposure import quoted
from workbench.clock import NS_PER_S, monotonic_ns, sleep_s
from workbench.errors import RecordError, SourceError
from workbench.options.filters import FunnelStep
from workbench.types import BAR_DTYPE
from workbench.views.ideas import IdeasView
from workbench.views.ideas_model import IdeasModel
from workbench.views.ideas_reading import Ask, IdeasReading, realised_vol, why_none
from workbench.views.models import Selection
from workbench.views.shelf import Shelf


class Hub:
    """Today's expiry of SPY, and a month of daily bars."""

    def __init__(self, **cells):
        self.calendar, self.clock, self.source_info = CALENDAR, ManualClock(ASOF), SimpleNamespace(name="hand-made")
        self.snapshot, self.n_open, self.listed = chain_of(quoted(open_interest=1000.0, volume=500.0, **cells)), 0, (DAY,)
        self.days = np.zeros(40, BAR_DTYPE)
        self.days["close"] = 600 * np.exp(0.01 * (np.arange(40) % 2))  # up and down by one per cent
        self.days["high"], self.days["low"] = self.days["close"] + 2, self.days["close"] - 2

    def watched(self):
        return ("SPY",)

    def expiries(self, symbol):
        return self.listed

    def series(self, symbol, timeframe):
        return SimpleNamespace(rows=lambda n: self.days[-n:])

    def chain(self, symbol, day):
        self.n_open += 1

        def close():
            self.n_open -= 1

        return SimpleNamespace(snapshot=lambda: self.snapshot, is_over=False, close=close)


@pytest.fixture
def hub():
    return Hub()


def ask(**chosen):
    model = IdeasModel()
    for name, value in chosen.items():
        model.choose(name, value)
    return Ask("SPY", model.wanted)


def test_contracts_fit_the_wish_and_their_numbers_are_the_quotes(hub):
    got = IdeasReading(hub).read(ask(budget_usd="400", min_delta="0.2", max_delta="0.6"))
    json.dumps(got, allow_nan=False)
    assert got["rows"]
    quotes = {f"O:{row['symbol']}": row for row in hub.snapshot.rows}
    for row in got["rows"]:
        quote = quotes[row["symbol"]]
        assert (row["right"], row["ask_usd"]) == ("C", quote["ask"])
        assert row["cost_usd"] == pytest.approx(100 * quote["ask"], abs=0.02)
        assert row["cost_usd"] <= 400
        assert row["break_even_usd"] == pytest.approx(row["strike"] + quote["ask"], abs=2e-4)
        assert 0.2 <= row["delta"] <= 0.6
        assert len(row["checklist"]) == 9
    assert got["funnel"][-1][3] >= len(got["rows"])


def test_daily_bars_answer_the_lines_that_ask_for_them_and_nothing_is_made_up(hub):
    lines = {line[0]: line for line in IdeasReading(hub).read(ask(max_delta="0.6"))["rows"][0]["checklist"]}
    expected = np.std([0.01, -0.01] * 10, ddof=1) * math.sqrt(252)
    assert realised_vol(hub.days["close"]) == pytest.approx(expected)
    assert lines["IV versus realised"][1] != "unknown"
    assert lines["break-even distance"][1] != "unknown"
    assert [lines[name][1] for name in ("event risk", "earnings", "ex-dividend")] == ["unknown"] * 3
    hub.days = hub.days[:5]
    lines = {line[0]: line for line in IdeasReading(hub).read(ask(max_delta="0.6"))["rows"][0]["checklist"]}
    assert (lines["IV versus realised"][1:3], lines["break-even distance"][1:3]) == (["unknown", None], ["unknown", None])


def test_covered_calls_of_the_day_with_their_funnel(hub):
    got = IdeasReading(hub).read(ask(mode="covered", call_dte=1))
    json.dumps(got, allow_nan=False)
    passed = [row for row in got["rows"] if row["status"] == "pass"]
    assert len(passed) == got["n_passed"] == got["funnel"][-1][3] > 0
    for row in passed:
        assert row["breakeven"] == pytest.approx(row["spot"] - row["bid"])
        assert row["max_profit"] == pytest.approx(row["strike"] - row["spot"] + row["bid"])
    assert all(row["reasons"] for row in got["rows"] if row["status"] == "fail")


def test_a_quote_that_stands_is_used_and_its_age_told(hub):
    hub.snapshot.rows["ts_ns"][hub.snapshot.rows["strike"] == 600] -= 120 * NS_PER_S
    rows = {row["strike"]: row["age_s"] for row in IdeasReading(hub).read(ask(min_delta="0", max_delta="1", budget_usd="5000"))["rows"]}
    assert (rows[600.0], rows[605.0]) == (120, 0)
    hub.snapshot.rows["ts_ns"][hub.snapshot.rows["strike"] == 600] -= 1000 * NS_PER_S
    again = IdeasReading(hub).read(ask(min_delta="0", max_delta="1", budget_usd="5000"))["rows"]
    assert 600.0 not in {row["strike"] for row in again}


def test_nothing_that_fits_is_one_sentence_with_the_filter_that_took_the_last(hub):
    got = IdeasReading(hub).read(ask(budget_usd="0", max_delta="0.6"))
    assert got["rows"] == []
    assert got["status"].startswith("Nothing fits: “budget” (one contract for 0.00 USD or less) took the last ")
    steps = [FunnelStep("delta", "0.3 to 0.5", 12, 0, 10, 2)]
    assert "took the last 12 contracts, 2 for want of a number" in why_none(steps)


def test_no_expiry_in_reach_and_trouble_are_sentences(hub):
    hub.listed = (DAY + timedelta(days=3),)
    reading = IdeasReading(hub)
    assert (
        reading.read(ask(mode="covered"))["status"] == "No option of SPY expires today; the nearest expiry is 4 days away: allow that many."
    )
    hub.listed = ()
    assert reading.read(ask())["status"] == "No option of SPY is listed at hand-made."
    assert hub.n_open == 0

    def broken(symbol):
        raise SourceError("chain: the source is away")

    hub.expiries = broken
    assert reading.read(ask())["status"] == "chain: the source is away"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("budget_usd", "much", "budget_usd: received 'much'; allowed: a number from 0"),
        ("min_dte", "1.5", "min_dte: received '1.5'; allowed: a whole number"),
        ("min_delta", "0.9", "min_delta: received 0.9, above max_delta 0.5"),
        ("direction", "sideways", "direction: received 'sideways'; allowed: up, down"),
        ("nothing", 1, "choice: received 'nothing'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_changes(name, value, said):
    model = IdeasModel()
    before = model.wanted
    with pytest.raises(RecordError, match=said.split(";")[0].replace("(", r"\(")):
        model.choose(name, value)
    assert model.wanted == before


def test_a_question_comes_back_from_shelf_and_address(hub, tmp_path):
    shelf = Shelf(tmp_path)
    view = IdeasView(hub, Selection(), shelf)
    view.open()
    for name, value in (("max_dte", "30"), ("min_dte", "20"), ("direction", "down")):
        view._handle_msg({"do": "choose", "name": name, "value": value})
    again = IdeasView(hub, Selection(), shelf, {"min_delta": "0.4", "budget_usd": "what"})
    assert {name: again.chosen[name] for name in ("min_dte", "max_dte", "direction", "min_delta", "budget_usd")} == {
        "min_dte": 20, "max_dte": 30, "direction": "down", "min_delta": 0.4, "budget_usd": 500.0,
    }  # fmt: skip
    assert IdeasView(hub, Selection(), Shelf(None), {"min_delta": "0.9"}).chosen["min_delta"] == 0.30, "contradicts itself"


def turned(view, condition, timeout_s=5.0):
    deadline = monotonic_ns() + int(timeout_s * 1e9)
    while not condition() and monotonic_ns() < deadline:
        view.tick()
        sleep_s(0.005)
    assert condition()


def test_it_reads_while_it_is_shown_only_and_a_click_selects_the_contract_everywhere(hub, tmp_path):
    selection, told = Selection(), []
    view = IdeasView(hub, selection, Shelf(tmp_path))
    view._send_msg = told.append
    view.open()
    view._handle_msg({"do": "choose", "name": "max_delta", "value": "0.6"})
    view._handle_msg({"do": "choose", "name": "call_dte", "value": "1"})
    view.tick()
    assert view._job is None
    view._handle_msg({"do": "ready"})
    turned(view, lambda: told)
    first = told[-1]["answer"]["rows"][0]
    view._handle_msg({"do": "select", "value": first["symbol"]})
    assert (selection.contract, view.selected) == (first["symbol"], first["symbol"])
    assert [level["price"] for level in view.levels] == [round(first["break_even_usd"], 2)]
    view._handle_msg({"do": "choose", "name": "mode", "value": "covered"})
    turned(view, lambda: told[-1].get("answer", {}).get("mode") == "covered")
    view._handle_msg({"do": "choose", "name": "call_dte", "value": "x"})
    assert told[-1]["say"].startswith("call_dte: received 'x'")
    view.close()
    turned(SimpleNamespace(tick=lambda: None), lambda: hub.n_open == 0)
    assert view.levels == []
    view._handle_msg({"do": "ready"})
    view.tick()
    assert view._job is None
