"""The exposure view without a browser: a chain made by hand, what a page is told of it, and when it is read at all."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from tests.options.chains import ASOF, CALENDAR, DAY, STRIKES, chain_of, rows_of
from tests.stubs import ManualClock, bars
from workbench.clock import NS_PER_MIN, NS_PER_S
from workbench.errors import SourceError, SymbolError
from workbench.options.exposure_history import HeatMap
from workbench.options.profile_rows import Hours
from workbench.sessions import ny_ns
from workbench.types import BAR_DTYPE
from workbench.views.exposure import ExposurePage, ExposureView
from workbench.views.exposure_board import heat_of, levels_of
from workbench.views.exposure_model import ExposureModel, underlying_of
from workbench.views.exposure_profile import ratio_of, session_profile, step_for
from workbench.views.exposure_reading import Ask, ExposureReading, Histories

SPOT, VOL = 600.0, 0.2
NEXT = date(2026, 3, 23)
OPEN = ny_ns(date(2026, 3, 19), 9, 30)


def years_to(day):
    return (ny_ns(day, 16) - ASOF) / NS_PER_S / (365 * 86_400)


def price_at(day):
    def mid(strike, right):
        root = VOL * math.sqrt(years_to(day))
        d1 = math.log(SPOT / strike) / root + root / 2
        call = SPOT * norm.cdf(d1) - strike * norm.cdf(d1 - root)
        return max(call if right == "C" else call - SPOT + strike, 0.011)

    return mid


def gamma(strike, day):
    root = VOL * math.sqrt(years_to(day))
    return norm.pdf(math.log(SPOT / strike) / root + root / 2) / (SPOT * root)


def quoted(day=DAY, **over):
    rows = rows_of(expiry=day, mid=price_at(day), half_spread=0.005)
    for name, value in over.items():
        rows[name] = value
    return rows


class Reader:
    def __init__(self, hub, key):
        self.hub, self.key, self.is_over = hub, key, False
        hub.readers.append(self)

    def snapshot(self):
        return self.hub.chains[self.key[1]]

    def close(self):
        self.hub.readers.remove(self)


class ChainHub:
    """What the exposure view reads of a hub: two expiries, changed by the test."""

    def __init__(self):
        self.calendar, self.clock, self.epoch = CALENDAR, ManualClock(ASOF), 1
        self.source_info = SimpleNamespace(name="hand-made")
        self.chains = {DAY: chain_of(quoted()), NEXT: chain_of(quoted(NEXT))}
        self.readers, self.asked, self.minutes = [], 0, {"SPY": minutes(600.0)}
        self.held_up, self.refusal = None, None

    def expiries(self, symbol):
        self.asked += 1
        if self.held_up is not None:
            self.held_up.wait(10)
        if self.refusal is not None:
            raise self.refusal
        return tuple(self.chains)

    def chain(self, symbol, day):
        return Reader(self, (symbol, day))

    def health(self):
        return SimpleNamespace(mode="LIVE", reason="")

    def watched(self):
        return tuple(self.minutes)

    def series(self, symbol, timeframe):
        rows = self.minutes[symbol]
        return SimpleNamespace(rows_from=lambda a, b=2**62: rows[(rows["ts_open"] >= a) & (rows["ts_open"] < b)])

    def later(self, seconds, **spot):
        for day, chain in self.chains.items():
            self.chains[day] = replace(
                chain, asof_ns=chain.asof_ns + seconds * NS_PER_S, spot_ts_ns=chain.asof_ns + seconds * NS_PER_S, **spot
            )


def minutes(price):
    rows = bars(range(OPEN, ASOF, NS_PER_MIN), price=price)
    rows["volume"] = 1000
    return rows


@pytest.fixture
def hub():
    return ChainHub()


@pytest.fixture
def reading(hub):
    return ExposureReading(hub, Histories())


def ask(**chosen):
    return Ask.of(ExposureModel(**chosen))


# -- numbers ------------------------------------------------------------------------------------------------------------------------


def test_a_strike_shows_the_formula_worked_by_hand(reading):
    told = reading.read(ask())
    i = told["strikes"]["strike"].index(605.0)
    expected = sum(gamma(605.0, day) for day in (DAY, NEXT)) * 1000 * 100 * SPOT**2 * 0.01
    assert told["strikes"]["call_gex"][i] == pytest.approx(expected, rel=2e-3)
    assert told["strikes"]["put_gex"][i] == pytest.approx(-expected, rel=2e-3)
    assert [s["name"] for s in told["series"]] == ["SPY 2026-03-20", "SPY 2026-03-23"]
    assert sum(s["calls"] for s in told["series"]) == pytest.approx(told["sum"]["calls"])


def test_a_simulated_market_never_calls_itself_live(reading, hub):
    assert reading._health()["mode"] == "LIVE"
    hub.source_info.name = "simulated"
    assert reading._health()["mode"] == "SIMULATED"


def test_one_expiry_shows_its_own_numbers_under_the_same_sum(reading):
    told = reading.read(ask(expiry="SPY 2026-03-20"))
    i = told["strikes"]["strike"].index(600.0)
    assert told["strikes"]["call_gex"][i] == pytest.approx(gamma(600.0, DAY) * 1000 * 100 * SPOT**2 * 0.01, rel=2e-3)
    assert told["totals"]["calls"] == pytest.approx(told["series"][0]["calls"])
    assert told["sum"]["calls"] > told["totals"]["calls"]


def test_what_a_page_is_told_is_plain_json_without_nan(reading, hub):
    hub.chains[DAY] = chain_of(quoted(open_interest=np.nan), spot_ts_ns=ASOF)
    text = json.dumps(reading.read(ask()), allow_nan=False)
    assert "NaN" not in text


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"sign": "all-short"}, "dealers are taken to be short everything, which is an assumption, not data"),
        ({"basis": "volume"}, "today's volume"),
        ({"unit": "shares"}, "shares per 1 point"),
        ({"stickiness": "moneyness"}, "the smile moves along with the spot"),
        ({"charm_days": 252}, "per trading day"),
    ],
)
def test_every_choice_is_printed_as_an_assumption(reading, chosen, sentence):
    assert not any(sentence in text for text in reading.read(ask())["assumptions"])
    assert any(sentence in text for text in reading.read(ask(**chosen))["assumptions"])


def test_contracts_left_out_are_counted_with_their_share(reading, hub):
    rows = quoted()
    rows["ask"][:4] = np.nan
    hub.chains = {DAY: chain_of(rows)}
    left = reading.read(ask())["left_out"]
    assert (left["n"], left["n_in"]) == (2 * len(STRIKES), 2 * len(STRIKES) - 4)
    assert left["covered_frac"] == pytest.approx(left["n_in"] / left["n"])
    assert "4 contracts (4,000 open) are not in the sums: no implied volatility" in left["reasons"]


def test_a_source_that_tells_no_open_interest_is_answered_with_the_next_step(reading, hub):
    hub.chains = {DAY: chain_of(quoted(open_interest=np.nan))}
    told = reading.read(ask())
    assert told["status"] == "None of the 14 contracts tells its open interest; choose size = volume."
    assert told["totals"]["net"] is None
    assert told["totals"]["regime"] is None
    assert reading.read(ask(basis="volume"))["status"] == ""


# -- levels -------------------------------------------------------------------------------------------------------------------------


def test_levels_are_those_of_the_board_and_nobodys_own():
    totals = {"call_wall": 610.0, "put_wall": 590.0, "magnet": None, "flip": 603.25}
    told = levels_of(totals, {"poc": 600.1, "vah": 601.0, "val": None})
    assert [(level["id"], level["price"]) for level in told] == [
        ("exposure-call_wall", 610.0), ("exposure-put_wall", 590.0), ("exposure-flip", 603.25), ("exposure-poc", 600.1), ("exposure-vah", 601.0),
    ]  # fmt: skip
    assert not any(level["is_own"] for level in told)


def test_a_chart_takes_the_levels_as_they_are(reading):
    from tests.views.fake_hub import FakeHub
    from workbench.views.chart import CandleChart
    from workbench.views.models import ChartModel, LookModel

    told = reading.read(ask())
    levels = levels_of(told["totals"], told["profile"])
    chart = CandleChart(FakeHub(), ChartModel(), LookModel())
    chart.set_levels(levels)
    assert chart.levels == levels
    assert {"exposure-call_wall", "exposure-put_wall", "exposure-poc"} <= {level["id"] for level in chart.levels}


# -- through the session --------------------------------------------------------------------------------------------------------------


def test_the_heat_map_comes_whole_once_and_then_only_what_is_new(reading, hub):
    first = reading.read(ask())["heat"]
    hub.later(60)
    second = reading.read(ask())["heat"]
    hub.later(3)
    third = reading.read(ask())["heat"]
    assert (first["is_whole"], second["is_whole"], third["is_whole"]) == (True, False, False)
    assert len(first["columns"][0]["net"]) == len(first["strikes"]) == len(STRIKES)
    assert [c["t"] for c in second["columns"]] == [ASOF // NS_PER_S, ASOF // NS_PER_S + 60]
    assert [c["t"] for c in third["columns"]] == [ASOF // NS_PER_S + 60]
    assert third["columns"][0]["clock"] == "11:01:00"


def test_a_time_in_which_nobody_looked_is_a_hole(reading, hub):
    for seconds in (60, 60, 600, 60, 60):
        hub.later(seconds)
        reading.read(ask())
    columns = reading.read(ask(), whole=True)["heat"]["columns"]
    assert [c["hole"] for c in columns] == [False, True, False, False, False]


def test_a_long_session_is_thinned_and_keeps_its_newest_moment_and_its_holes(reading):
    ts = ASOF + np.r_[0:1000, 1400:1560] * 15 * NS_PER_S
    n = len(ts)
    lines = {name: np.full(n, SPOT) for name in ("spot", "flip", "call_wall", "put_wall")}
    told = heat_of(HeatMap(ts, np.array(STRIKES), np.ones((n, len(STRIKES))), lines, None))["columns"]
    assert len(told) <= 480
    assert told[-1]["t"] == ts[-1] // NS_PER_S
    assert sum(c["hole"] for c in told) == 1


def test_another_convention_has_a_history_of_its_own_and_the_first_is_kept(reading, hub):
    reading.read(ask())
    hub.later(60)
    assert len(reading.read(ask(sign="all-long"))["heat"]["columns"]) == 1
    hub.later(60)
    back = reading.read(ask())["heat"]
    assert back["is_whole"]
    assert [c["t"] - ASOF // NS_PER_S for c in back["columns"]] == [0, 120]


def test_a_page_opened_again_goes_on_where_the_last_one_was(hub):
    histories = Histories()
    ExposureReading(hub, histories).read(ask())
    hub.later(60)
    assert len(ExposureReading(hub, histories).read(ask())["heat"]["columns"]) == 2


def test_a_market_sought_back_starts_its_history_anew(reading, hub):
    reading.read(ask())
    hub.later(-600)
    assert [c["t"] - ASOF // NS_PER_S for c in reading.read(ask())["heat"]["columns"]] == [-600]


# -- reading --------------------------------------------------------------------------------------------------------------------------


def test_nothing_is_computed_while_nothing_changed(reading, hub):
    assert reading.read(ask()) is not None
    assert reading.read(ask()) is None
    assert reading.read(ask(), whole=True) is not None
    hub.later(1)
    assert reading.read(ask()) is not None


def test_a_hidden_page_holds_no_chain_open(reading, hub):
    reading.read(ask())
    assert len(hub.readers) == 2
    reading.is_wanted = False
    reading.release()
    assert hub.readers == []
    assert reading.read(ask()) is None
    assert hub.readers == []


def test_fewer_expiries_close_the_readers_of_the_others(reading, hub):
    reading.read(ask())
    reading.read(ask(n_expiries=1))
    assert [reader.key for reader in hub.readers] == [("SPY", DAY)]


def test_a_refusal_is_one_sentence_and_the_next_read_goes_on(reading, hub):
    hub.refusal = SourceError("chain: source 'replay' tells no option chains")
    assert reading.read(ask()) == {"status": "chain: source 'replay' tells no option chains"}
    hub.refusal = None
    assert reading.read(ask())["status"] == ""


def test_an_expiry_that_is_not_loaded_yet_is_said_and_the_others_are_shown(reading, hub):
    hub.chains[NEXT] = replace(chain_of(rows_of(strikes=())), notes=("waiting for the first snapshot",))
    told = reading.read(ask())
    assert told["notes"][0] == "1 of 2 expiries are not loaded yet: they are in no sum"
    assert [s["name"] for s in told["series"]] == ["SPY 2026-03-20"]


def test_a_chain_without_any_spot_is_answered_with_a_sentence(reading, hub):
    hub.chains = {DAY: chain_of(rows_of(), spot=np.nan, spot_ts_ns=0)}
    assert "spot" in reading.read(ask())["status"]


# -- volume profile ---------------------------------------------------------------------------------------------------------------------


def at_prices(*closes, volume=1000):
    """Minutes that end now, each wholly at one price."""
    rows = np.zeros(len(closes), BAR_DTYPE)
    rows["ts_open"] = ASOF - NS_PER_MIN * np.arange(len(closes), 0, -1)
    rows["ts_close"] = rows["ts_open"] + NS_PER_MIN
    for name in ("open", "high", "low", "close"):
        rows[name] = closes
    rows["volume"] = volume
    return rows


def test_the_profile_is_of_the_session_that_has_begun(hub):
    hub.minutes["SPY"] = at_prices(600.0, 600.5, 600.0, 601.0, 600.0)
    told = session_profile(hub, "SPY", Hours.RTH)
    assert (told["poc"], told["total"]) == (600.0, 5000)
    assert told["title"] == "SPY 09:30 to the close, Thu 19 Mar"
    hub.clock.ns = ny_ns(date(2026, 3, 20), 9, 0)
    assert session_profile(hub, "SPY", Hours.RTH)["title"].endswith("Thu 19 Mar")
    told = session_profile(hub, "SPY", Hours.ETH)
    assert told["title"] == "SPY 04:00-20:00, Fri 20 Mar"
    assert told["why"] == "no volume of SPY in this session yet"


def test_an_index_shows_its_funds_profile_with_the_ratio_and_its_age(hub):
    hub.minutes = {"SPY": at_prices(600.0, 600.5, 600.0, 601.0, 600.0), "I:SPX": at_prices(6012.0, 6017.0, 6012.0, 6022.0, 6012.0)}
    told = session_profile(hub, "I:SPX", Hours.RTH)
    assert told["poc"] == pytest.approx(6012.0, abs=0.1)
    assert told["ratio"] == "SPY × 10.0200, median of 5 minutes, 1 s old"
    assert session_profile(hub, "SPY", Hours.RTH)["ratio"] == "I:SPX / SPY 10.0200, median of 5 minutes, 1 s old"


def test_a_ratio_that_cannot_be_right_carries_nothing_over(hub):
    hub.minutes = {"SPY": at_prices(600.0, 600.0), "I:SPX": at_prices(6400.0, 6400.0)}
    told = session_profile(hub, "I:SPX", Hours.RTH)
    assert "poc" not in told
    assert "too far from the nominal ratio" in told["why"]
    assert ratio_of(hub, "I:SPX", "SPY").ratio is None


def test_an_index_without_its_fund_says_what_to_watch(hub):
    hub.minutes = {}
    assert session_profile(hub, "I:SPX", Hours.RTH)["why"] == "an index has no volume; watch SPY to carry its profile over"


@pytest.mark.parametrize(("span", "step"), [(0.0, 0.01), (1.0, 0.01), (3.0, 0.05), (60.0, 1.0), (5.5, 0.05), (0.9, 0.01)])
def test_rows_are_round_and_about_a_hundred(span, step):
    assert step_for(at_prices(600.0, 600.0 + span)) == step


# -- choices ----------------------------------------------------------------------------------------------------------------------------


def test_an_option_contract_leads_to_its_underlying():
    assert underlying_of("O:SPY260320C00600000") == "SPY"
    assert underlying_of("O:SPXW260320C06000000") == "I:SPX"
    assert underlying_of(" nvda ") == "NVDA"
    with pytest.raises(SymbolError):
        underlying_of("no symbol!")


def test_another_underlying_forgets_the_expiry():
    model = ExposureModel(expiry="SPY 2026-03-20")
    model.show("qqq")
    assert (model.symbol, model.expiry) == ("QQQ", "")


@pytest.mark.parametrize(("name", "value"), [("sign", "both"), ("n_expiries", "0"), ("n_expiries", "many"), ("symbol", "QQQ"), ("_x", 1)])
def test_a_choice_that_is_not_offered_is_refused(name, value):
    with pytest.raises(ValueError, match=r"."):
        ExposureModel().choose(name, value)


def test_an_address_says_what_is_shown_and_nonsense_in_it_is_passed_over(hub):
    page = ExposurePage(hub, {"symbol": "O:QQQ260320C00600000", "sign": "all-long", "unit": "pounds", "n_expiries": "5", "theme": "light"})
    assert (page.model.symbol, page.model.sign, page.model.unit, page.model.n_expiries, page.theme) == (
        "QQQ",
        "all-long",
        "pct",
        5,
        "light",
    )
    assert ExposurePage(hub, {"symbol": "!!", "theme": "pink"}).model.symbol == "SPY"


# -- the view ---------------------------------------------------------------------------------------------------------------------------


class Told(ExposureView):
    def _send_msg(self, message):
        self.__dict__.setdefault("messages", []).append(message)


def until(view, done):
    for _ in range(2000):
        view.tick()
        if done():
            return
        threading.Event().wait(0.005)
    raise AssertionError("never")


def test_a_turn_never_waits_for_the_provider(hub, document, comm):
    hub.held_up = threading.Event()
    view = Told(hub, ExposureModel())
    view._handle_msg({"do": "ready"})
    for _ in range(50):
        view.tick()
    assert view.board == {}
    assert hub.asked <= 1
    hub.held_up.set()
    until(view, lambda: view.board)
    assert view.messages[-1]["board"]["totals"]["call_wall"] in STRIKES
    assert {"exposure-call_wall", "exposure-poc"} <= {level["id"] for level in view.levels}
    view.close()
    until(view, lambda: not hub.readers)
    assert view.levels == []


def test_a_page_that_is_not_shown_asks_for_nothing(hub):
    view = Told(hub, ExposureModel())
    for _ in range(20):
        view.tick()
    assert hub.asked == 0
    assert view.levels == []


def test_an_answer_to_an_earlier_choice_is_never_shown(hub):
    hub.held_up = threading.Event()
    view = Told(hub, model := ExposureModel())
    view._handle_msg({"do": "ready"})
    view.tick()
    view._handle_msg({"do": "choose", "name": "sign", "value": "all-short"})
    hub.held_up.set()
    until(view, lambda: view.board)
    assert model.sign == "all-short"
    assert len(view.messages) == 1
    assert "short everything" in view.board["assumptions"][1]
    view.close()


def test_a_message_that_makes_no_sense_is_answered_with_one_sentence(hub):
    view = Told(hub, ExposureModel())
    view._handle_msg({"do": "choose", "name": "sign", "value": "both"})
    view._handle_msg({"do": "symbol", "value": "no symbol!"})
    assert ["say" in message for message in view.messages] == [True, True]


def test_the_first_view_holds_the_spot_and_the_strikes_that_matter(reading):
    low, high = reading.read(ask())["view"]
    assert low < 590 < SPOT < 610 < high
