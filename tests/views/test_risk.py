"""The risk graph without a browser: real chains of the simulated market; the oracle is arithmetic on the quotes and on payoffs by hand."""

from __future__ import annotations

import json
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.errors import SymbolError
from workbench.options import templates
from workbench.options.structures import Structure
from workbench.sessions import SessionCalendar, ny_ns
from workbench.sources.simulated import SimulatedSource
from workbench.views.risk import RiskPage
from workbench.views.risk_graph_of import Held, Scenario
from workbench.views.risk_reading import Ask, RiskReading, from_plain, plain
from workbench.views.risk_tiles import TileAsk, structure_of_tile
from workbench.views.shelf import Shelf

NEAR, LATER = date(2026, 11, 20), date(2026, 11, 27)


class StandingHub:
    """A hub whose market stands still at eleven, with the chains of the simulated one."""

    def __init__(self):
        self._source = SimulatedSource(["SPY"], seed=7, start_ns=ny_ns(date(2026, 11, 18), 11))
        self.calendar, self.clock, self.source_info = SessionCalendar.xnys(), self._source.clock, self._source.info
        self.source, self.n_open, self._chains = None, 0, {}

    def watched(self):
        return ("SPY",)

    def expiries(self, underlying):
        return self._source.expiries(underlying)

    def health(self, symbol=None):
        from fake_hub import FakeHealth

        return FakeHealth(ts_ns=self.clock.now_ns())

    def chain(self, underlying, day):
        chain = self._chains.setdefault(day, self._source.chain(underlying, day))
        self.n_open += 1

        def close():
            self.n_open -= 1

        return SimpleNamespace(snapshot=lambda: chain, status=SimpleNamespace(reason=""), is_over=False, close=close)

    def quote(self, contract):
        """Return bid and ask of a contract."""
        rows = self._chains[contract.expiry].rows
        row = rows[rows["symbol"] == contract.occ][0]
        return float(row["bid"]), float(row["ask"])


@pytest.fixture(scope="module")
def market():
    return StandingHub()


def answer(market, *structures, tiles=None, expiry=NEAR, **scenario):
    held = tuple(one if isinstance(one, Held) else Held(one) for one in structures)
    got = RiskReading(market).read(Ask("SPY", expiry.isoformat(), held, Scenario(**scenario), tiles))
    json.dumps(got, allow_nan=False)  # what goes to the page is plain, and knows no NaN
    return got


def condor():
    return templates.iron_condor("SPY", NEAR, 664, 668, 678, 682)


def test_mid_and_natural_are_the_sums_of_the_legs_quotes_and_stay_apart(market):
    told = answer(market, condor())["structures"][0]["prices"]
    quotes = [(market.quote(leg.contract), 1 if leg.side == "buy" else -1) for leg in condor().legs]
    assert told["mid"] == pytest.approx(100 * sum(sign * (bid + ask) / 2 for (bid, ask), sign in quotes))
    assert told["natural"] == pytest.approx(100 * sum(ask if sign > 0 else -bid for (bid, ask), sign in quotes))
    assert told["exit"] == pytest.approx(100 * sum(bid if sign > 0 else -ask for (bid, ask), sign in quotes))
    assert told["mid"] < told["natural"] < 0
    assert told["theo"] == pytest.approx(told["mid"], abs=6)


def test_the_line_at_expiry_is_the_payoff_less_the_cost_that_was_chosen(market):
    got = answer(market, condor(), basis="natural")
    one = got["structures"][0]
    spots = np.array(got["spots"])
    worth = sum(
        (1 if leg.side == "buy" else -1) * np.maximum((spots - float(leg.contract.strike)) * (1 if leg.contract.right == "C" else -1), 0)
        for leg in condor().legs
    )
    assert one["line"]["expiry"] == pytest.approx(100 * worth - one["prices"]["natural"], abs=0.02)
    assert {664, 668, 678, 682} <= set(got["spots"])
    assert one["best"] == pytest.approx(-one["prices"]["natural"])
    assert one["worst"] == pytest.approx(-400 - one["prices"]["natural"])
    credit = -one["prices"]["natural"] / 100
    assert one["break_evens"] == pytest.approx([668 - credit, 678 + credit])
    assert 0 < one["p_profit"] < 1


def test_at_the_end_of_the_date_slider_both_lines_are_one(market):
    one = answer(market, condor(), when_frac=1.0)["structures"][0]["line"]
    assert one["then"] == pytest.approx(one["expiry"], abs=0.05)
    now = answer(market, condor())["structures"][0]["line"]
    assert max(abs(np.array(now["then"]) - np.array(now["expiry"]))) > 50


def test_more_volatility_helps_who_bought_a_straddle_by_its_vega(market):
    straddle = templates.straddle("SPY", NEAR, 673)
    before, after = (answer(market, straddle, vol_points=points)["structures"][0] for points in (0.0, 0.5))
    assert after["profit"] - before["profit"] == pytest.approx(0.5 * before["greeks"]["vega"], rel=0.05)
    assert (before["best"], before["greeks"]["theta"] < 0) == ("unlimited", True)


def test_greeks_are_those_of_the_spot_on_the_slider(market):
    call = templates.single("SPY", NEAR, "C", 673)
    here, up = (answer(market, call, spot_frac=frac)["structures"][0] for frac in (0.0, 0.001))
    spot = answer(market, call)["spot"]
    assert up["profit"] - here["profit"] == pytest.approx(
        0.5 * (up["greeks"]["delta_shares"] + here["greeks"]["delta_shares"]) * 0.001 * spot, rel=0.01
    )
    assert here["greeks"]["delta_usd"] == pytest.approx(here["greeks"]["delta_shares"] * spot * 0.01)


def test_a_fixed_entry_stands_whatever_the_market_says(market):
    one = answer(market, Held(condor(), entry_usd=-123.0))["structures"][0]
    assert (one["cost"], one["basis"], one["best"]) == (-123.0, "entry", 123.0)


def test_several_structures_stand_on_one_grid_and_a_hidden_one_has_no_line(market):
    calendar = templates.calendar("SPY", NEAR, LATER, "C", 673)
    got = answer(market, condor(), Held(templates.straddle("SPY", NEAR, 673), is_shown=False), calendar)
    assert [one["line"] is None for one in got["structures"]] == [False, True, False]
    assert [len(one["line"]["then"]) for one in got["structures"] if one["line"]] == [len(got["spots"])] * 2
    assert (got["structures"][2]["is_exact"], len(got["structures"][2]["break_evens"])) == (False, 2)


def test_a_contract_that_is_not_listed_makes_the_price_missing_and_says_so(market):
    one = answer(market, templates.vertical("SPY", NEAR, "C", 673, "673.5"))["structures"][0]
    assert (one["cost"], one["profit"], one["best"]) == (None, None, None)
    assert all(v is None for v in one["line"]["expiry"])
    assert any("673.5 C: not listed in the chain" in note for note in one["notes"])


def test_a_covered_call_has_its_shares_at_the_spot(market):
    got = answer(market, templates.covered_call("SPY", NEAR, 680))
    bid, ask = market.quote(templates.covered_call("SPY", NEAR, 680).legs[1].contract)
    assert got["structures"][0]["prices"]["mid"] == pytest.approx(100 * (got["spot"] - (bid + ask) / 2), abs=1e-3)


def test_an_answer_is_given_once(market):
    reading, ask = RiskReading(market), Ask("SPY", NEAR.isoformat())
    assert reading.read(ask) is not None
    assert reading.read(ask) is None


def test_trouble_is_a_sentence(market):
    class Without(StandingHub):
        def expiries(self, underlying):
            raise SymbolError(f"symbol: received {underlying!r}")

    assert RiskReading(Without()).read(Ask("XYZ")) == {"status": "symbol: received 'XYZ'"}


def test_release_closes_every_chain():
    hub = StandingHub()
    reading = RiskReading(hub)
    reading.read(Ask("SPY", NEAR.isoformat(), (Held(templates.single("SPY", LATER, "C", 673)),)))
    assert hub.n_open == 2
    reading.release()
    assert hub.n_open == 2  # somebody looks
    reading.is_wanted = False
    reading.release()
    assert hub.n_open == 0


# -- templates and tiles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(templates.TEMPLATES))
def test_every_template_is_picked_from_the_listed_strikes(market, name):
    got = RiskReading(market).read(Ask("SPY", NEAR.isoformat(), template=(name, "C", "buy")))
    structure = Structure.from_dict(got["picked"]["structure"])
    assert structure.name == name
    assert all(leg.contract is None or float(leg.contract.strike) in got["strikes"] for leg in structure.legs)
    assert answer(market, structure)["structures"][0]["cost"] is not None


def test_a_tile_is_the_natural_debit_of_the_structure_that_its_click_makes(market):
    for strategy in ("single", "vertical", "butterfly"):
        tiles = answer(market, tiles=TileAsk(strategy, "P", "natural"))["tiles"]
        i, j = next(
            (i, j) for i, line in enumerate(tiles["values"]) for j, v in enumerate(line) if v is not None and tiles["strikes"][j] > 668
        )
        structure = structure_of_tile({**tiles, "strike": tiles["strikes"][j], "width": tiles["widths"][i]})
        cost = answer(market, structure)["structures"][0]["prices"]["natural"]
        assert cost == pytest.approx(100 * tiles["values"][i][j], abs=1e-3)


def test_the_old_score_needs_vix_and_the_new_one_does_not(market):
    dark, known = (answer(market, tiles=TileAsk(key="legacy", vix=vix))["tiles"] for vix in (None, 18.0))
    assert not any(v is not None for line in dark["values"] for v in line)
    assert any("VIX" in note for note in dark["notes"])
    assert all(v is None or 0 <= v <= 100 for line in known["values"] for v in line)
    edges = answer(market, tiles=TileAsk(key="edge"))["tiles"]
    best = edges["ranking"][0]
    if best["right"] == "C" and best["strike"] in edges["strikes"] and best["width"] in edges["widths"]:
        assert edges["values"][edges["widths"].index(best["width"])][edges["strikes"].index(best["strike"])] == best["edge"]
    assert [r["edge"] for r in edges["ranking"]] == sorted((r["edge"] for r in edges["ranking"]), reverse=True)


# -- the page --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(market, tmp_path):
    opened = RiskPage(market, Shelf(tmp_path), {"symbol": "SPY", "expiry": NEAR.isoformat()})
    opened.said = []
    opened.shell._send_msg = opened.said.append
    yield opened
    opened.stop()


def do(page, kind, value=None):
    page.shell._handle_msg({"do": kind, "value": value})


def settle(page):
    """Tick until what was asked is answered; return the last answer."""
    page.tick()
    page._job.result(20)
    page.tick()
    page._job.result(20)
    page.tick()
    return next((m["answer"] for m in reversed(page.said) if "answer" in m), None)


def test_a_template_of_the_live_chain_becomes_a_structure(page):
    do(page, "template", {"name": "straddle", "side": "buy"})
    settle(page)
    assert [held.structure.name for held in page.held] == ["straddle"]
    assert settle(page)["structures"][0]["prices"]["mid"] > 0


def test_a_structure_is_built_and_changed_leg_by_leg(page):
    do(page, "add_leg", {"symbol": "O:SPY261120C00673000", "side": "buy"})
    do(page, "add_leg", {"symbol": "O:SPY261120C00678000", "side": "sell"})
    do(page, "leg", {"leg": 1, "strike": 680, "qty": 2})
    do(page, "leg", {"leg": 0, "flip": True})
    legs = [(leg.side, leg.qty, float(leg.contract.strike)) for leg in page.held[0].structure.legs]
    assert legs == [("sell", 1, 673.0), ("sell", 2, 680.0)]
    do(page, "drop_leg", 0)
    do(page, "drop_leg", 0)
    assert page.held == []


def test_what_was_saved_is_there_tomorrow_and_loads_again(page, market, tmp_path):
    do(page, "add_leg", {"symbol": "O:SPY261120C00673000", "side": "buy"})
    do(page, "fix", {"index": 0, "entry_usd": 250.0})
    do(page, "save", {"index": 0, "name": "my call"})
    do(page, "remove", 0)
    again = RiskPage(market, Shelf(tmp_path))
    assert again.held == []
    assert [(item["name"], item["legs"]) for item in again.shell.saved] == [("my call", "+1 673C 20 Nov")]
    do(again, "load", "my call")
    assert again.held[0].entry_usd == 250.0
    assert RiskPage(market, Shelf(tmp_path)).held == again.held
    do(again, "forget", "my call")
    assert again.shell.saved == []


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("template", {"name": "box"}, "template: received 'box'"),
        ("remove", 3, "structure: none is chosen"),
        ("add_leg", {"symbol": "O:SPY"}, "symbol"),
        ("scenario", {"basis": "last"}, "basis: received 'last'"),
        ("tiles", {"key": "luck"}, "tiles: key: received 'luck'"),
        ("dance", None, "do: received 'dance'"),
    ],
)
def test_what_makes_no_sense_is_answered_with_a_sentence(page, kind, value, said):
    do(page, kind, value)
    assert said in page.said[-1]["say"]


def test_sliders_are_held_within_their_limits(page):
    do(page, "scenario", {"when_frac": 7, "spot_frac": -5, "vol_points": 1e9})
    assert page.scenario == Scenario(1.0, -0.9, 200.0)


@pytest.mark.parametrize("kept", [None, 3, {}, {"structure": {"version": 99}}, {"structure": None}])
def test_what_a_shelf_can_not_tell_is_left_out(kept):
    assert from_plain(kept) is None
    assert from_plain(plain(Held(condor(), entry_usd=1.5))) == Held(condor(), entry_usd=1.5)


def test_a_slider_does_not_have_the_tiles_computed_again(market):
    reading, asked = RiskReading(market), Ask("SPY", NEAR.isoformat(), (Held(condor()),))
    first = reading.read(asked)["tiles"]
    moved = reading.read(Ask("SPY", NEAR.isoformat(), (Held(condor()),), Scenario(vol_points=1.0)))
    assert moved["tiles"] is first
