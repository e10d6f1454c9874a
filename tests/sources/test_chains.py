"""Option chains of Polygon and Alpaca through their real clients: pages, what is missing, what is adjusted, what can't be read."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.servers import alpaca as alpaca_server
from tests.servers import polygon as polygon_server
from tests.sources.live_contract import FAST_REST
from tests.stubs import ManualClock
from workbench.errors import AuthError, HistoryError, SymbolError
from workbench.options.chain import CHAIN_NUMBERS
from workbench.sessions import SessionCalendar, ny_ns
from workbench.sources.alpaca.source import AlpacaSource
from workbench.sources.base import ChainSource
from workbench.sources.fallback import FallbackSource
from workbench.sources.polygon.source import PolygonSource

DAY, EXPIRY, LATER = date(2026, 11, 19), date(2026, 12, 18), date(2027, 1, 15)
NOW = ny_ns(DAY, 10, 30)
REAL = Path(__file__).resolve().parents[3] / "shared/realdata"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="recorded messages are not here")


def ticker(expiry: date, right: str, strike: float, root: str = "SPY") -> str:
    return f"{root}{expiry:%y%m%d}{right}{round(strike * 1000):08d}"


def listed(strike: float, right: str = "C", expiry: date = EXPIRY, **more) -> dict:
    """One contract as Polygon's snapshot has it."""
    details = {
        "contract_type": "call" if right == "C" else "put",
        "exercise_style": "american",
        "expiration_date": expiry.isoformat(),
        "shares_per_contract": 100,
        "strike_price": strike,
        "ticker": f"O:{ticker(expiry, right, strike)}",
    }
    return {
        "details": details | more.pop("details", {}),
        "day": {"volume": 12, "last_updated": NOW},
        "greeks": {"delta": 0.5, "gamma": 0.01, "theta": -0.1, "vega": 0.2},
        "implied_volatility": 0.2,
        "last_quote": {"bid": 1.0, "ask": 1.1, "bid_size": 3, "ask_size": 4, "midpoint": 1.05, "last_updated": NOW - 5},
        "last_trade": {"price": 1.07, "size": 1, "sip_timestamp": NOW - 50},
        "open_interest": 77,
        "underlying_asset": {"price": 700.5, "ticker": "SPY", "last_updated": NOW - 9},
    } | more


@pytest.fixture
def polygon():
    with polygon_server.PolygonServer() as server:
        made = PolygonSource(
            polygon_server.KEY, feed="realtime", websocket_base=server.websocket_base, rest_base=server.rest_base,
            clock=ManualClock(NOW), rest_times=FAST_REST, poll_s=0.0,
        )  # fmt: skip
        yield made, server


@pytest.fixture
def alpaca():
    with alpaca_server.AlpacaServer() as server:
        made = AlpacaSource(
            alpaca_server.KEY, alpaca_server.SECRET, stream_base=server.stream_base, rest_base=server.rest_base,
            clock=ManualClock(NOW), rest_times=FAST_REST, poll_s=0.0,
        )  # fmt: skip
        yield made, server


def only(chain) -> np.void:
    assert len(chain) == 1
    return chain.rows[0]


# -- Polygon ------------------------------------------------------------------------------------------------------------------


def test_polygon_is_a_source_of_chains_with_the_limit_of_its_option_connection(polygon):
    source, _ = polygon
    assert isinstance(source, ChainSource) and source.info.has_chains
    assert source.most_contracts == 1000


def test_polygons_contract_arrives_field_by_field(polygon):
    source, server = polygon
    server.contracts["SPY"] = [listed(700.5)]
    chain = source.chain("SPY", EXPIRY)
    row = only(chain)
    assert (chain.underlying, chain.spot, chain.spot_ts_ns, chain.asof_ns) == ("SPY", 700.5, NOW - 9, NOW)
    assert (row["symbol"], row["root"], row["strike"], row["right"]) == ("SPY261218C00700500", "SPY", 700.5, "C")
    assert (row["bid"], row["ask"], row["bid_size"], row["ask_size"], row["last"]) == (1.0, 1.1, 3, 4, 1.07)
    assert (row["volume"], row["open_interest"], row["vendor_iv"]) == (12, 77, 0.2)
    assert (row["vendor_delta"], row["vendor_gamma"], row["ts_ns"], row["is_standard"]) == (0.5, 0.01, NOW - 5, True)
    assert row["expiry_ns"] == ny_ns(EXPIRY, 16)


def test_polygons_pages_of_250_are_read_to_the_end(polygon):
    source, server = polygon
    server.contracts["SPY"] = [listed(k, right) for k in range(400, 700) for right in "CP"]
    chain = source.chain("SPY", EXPIRY)
    assert len(chain) == 600 and chain.notes == ()
    asked = [request.query for request in server.requests]
    assert len(asked) == 3 and asked[0] == {"expiration_date": "2026-12-18", "limit": "250", "sort": "ticker"}
    assert all(request.headers["authorization"] == f"Bearer {polygon_server.KEY}" for request in server.requests)


def test_what_polygon_leaves_out_is_missing_and_a_bid_of_nobody_is_zero(polygon):
    source, server = polygon
    bare = listed(900)
    for name in ("last_quote", "last_trade", "implied_volatility", "open_interest", "day", "underlying_asset"):
        del bare[name]
    dead = listed(950, last_quote={"bid": 0, "ask": 0.01, "bid_size": 0, "ask_size": 9, "last_updated": NOW})
    server.contracts["SPY"] = [bare | {"greeks": {}}, dead]
    chain = source.chain("SPY", EXPIRY)
    assert all(np.isnan(chain.rows[0][name]) for name in CHAIN_NUMBERS)
    assert chain.rows[0]["ts_ns"] == 0
    assert (chain.rows[1]["bid"], chain.rows[1]["bid_size"], chain.rows[1]["ask"]) == (0, 0, 0.01)


def test_a_volume_of_another_day_is_not_todays(polygon):
    source, server = polygon
    server.contracts["SPY"] = [listed(700, day={"volume": 500, "last_updated": ny_ns(date(2026, 11, 18), 0)})]
    assert np.isnan(only(source.chain("SPY", EXPIRY))["volume"])


@pytest.mark.parametrize("details", [{"shares_per_contract": 110}, {"ticker": "O:SPY1261218C00700000"}, {"shares_per_contract": 66.67}])
def test_an_adjusted_contract_is_shown_and_flagged(polygon, details: dict):
    source, server = polygon
    server.contracts["SPY"] = [listed(700, details=details)]
    chain = source.chain("SPY", EXPIRY)
    assert not only(chain)["is_standard"]
    assert any("adjusted" in note for note in chain.notes)


def test_a_contract_that_cannot_be_read_is_left_out_and_named(polygon):
    source, server = polygon
    server.contracts["SPY"] = [listed(700), listed(701, details={"ticker": "O:SPY26C"})]
    chain = source.chain("SPY", EXPIRY)
    assert len(chain) == 1
    assert "quarantined: 1 elements: no option symbol (first: 'O:SPY26C')" in chain.notes


def test_am_and_pm_roots_of_one_date_are_two_series(polygon):
    source, server = polygon
    server.contracts["SPX"] = [
        listed(6000, details={"ticker": f"O:{ticker(EXPIRY, 'C', 6000, root)}"}, underlying_asset={"value": 6001.5, "last_updated": NOW})
        for root in ("SPX", "SPXW")
    ]
    chain = source.chain("SPX", EXPIRY)
    assert [(one.root, one.expiry_ns) for one in chain.expiries()] == [("SPX", ny_ns(EXPIRY, 9, 30)), ("SPXW", ny_ns(EXPIRY, 16))]
    assert chain.spot == 6001.5


def test_an_expiry_that_is_not_listed_is_an_empty_chain(polygon):
    chain = polygon[0].chain("SPY", EXPIRY)
    assert len(chain) == 0 and any("empty" in note for note in chain.notes)


def test_polygons_expiries_are_those_not_over_each_once(polygon):
    source, server = polygon
    days = (date(2026, 11, 18), DAY, EXPIRY, LATER)
    server.contracts["SPY"] = [listed(k, "C", day) for day in days for k in range(400, 1000)]
    assert source.expiries("SPY") == (DAY, EXPIRY, LATER)
    source.clock.ns = ny_ns(DAY, 16)
    assert source.expiries("SPY") == (EXPIRY, LATER)
    assert {request.query.get("expired") for request in server.requests if "limit" in request.query} == {"false"}


@pytest.mark.parametrize("fault", ["500", "429:0.01", "garbage", "truncated", "hang:0.4"])
def test_polygons_passing_faults_are_outlived(polygon, fault: str):
    source, server = polygon
    server.contracts["SPY"] = [listed(k) for k in range(400, 700)]
    server.rest_faults.extend(["", fault])
    assert len(source.chain("SPY", EXPIRY)) == 300


def test_refusals_are_told_by_name_and_never_with_the_key(polygon):
    source, server = polygon
    server.plan.has_history = False
    with pytest.raises(AuthError, match="does not include the chain of SPY") as refused:
        source.chain("SPY", EXPIRY)
    assert polygon_server.KEY not in str(refused.value)
    server.plan.has_history = True
    server.rest_faults.extend(["500"] * 20)
    with pytest.raises(HistoryError, match="chain of SPY: no believable answer in 5 tries"):
        source.chain("SPY", EXPIRY)


def test_a_symbol_that_is_none_is_refused_before_anybody_is_asked(polygon):
    source, server = polygon
    with pytest.raises(SymbolError):
        source.chain("../v3", EXPIRY)
    assert server.requests == []


# -- Alpaca -------------------------------------------------------------------------------------------------------------------


def snapshot(**more) -> dict:
    return {
        "greeks": {"delta": -0.4, "gamma": 0.02, "rho": 0, "theta": 0, "vega": 0},
        "impliedVolatility": 0.31,
        "latestQuote": {"ap": 1.3, "as": 9, "ax": "C", "bp": 1.2, "bs": 8, "bx": "C", "c": " ", "t": "2026-11-19T15:29:59.123456789Z"},
        "latestTrade": {"c": "I", "p": 1.25, "s": 1, "t": "2026-11-19T15:00:00Z", "x": "C"},
        "dailyBar": {"c": 1, "h": 1, "l": 1, "n": 2, "o": 1, "t": "2026-11-19T05:00:00Z", "v": 40, "vw": 1},
    } | more


def test_alpacas_contract_arrives_field_by_field_and_open_interest_is_not_known(alpaca):
    source, server = alpaca
    server.snapshots["SPY"] = {ticker(EXPIRY, "P", 650): snapshot()}
    chain = source.chain("SPY", EXPIRY)
    row = only(chain)
    assert (row["symbol"], row["right"], row["strike"]) == ("SPY261218P00650000", "P", 650)
    assert (row["bid"], row["ask"], row["bid_size"], row["ask_size"], row["last"]) == (1.2, 1.3, 8, 9, 1.25)
    assert (row["vendor_iv"], row["vendor_delta"], row["vendor_gamma"], row["volume"]) == (0.31, -0.4, 0.02, 40)
    quoted_s = int(datetime(2026, 11, 19, 15, 29, 59, tzinfo=UTC).timestamp())
    assert abs(row["ts_ns"] - quoted_s * 10**9 - 123_456_789) < 1000  # read to the microsecond
    assert np.isnan(row["open_interest"]) and np.isnan(chain.spot)


def test_alpacas_pages_are_read_to_the_end_from_the_feed_of_the_plan(alpaca):
    source, server = alpaca
    server.most_contracts = 100
    server.snapshots["SPY"] = {ticker(EXPIRY, right, k): snapshot() for k in range(500, 620) for right in "CP"}
    assert len(source.chain("SPY", EXPIRY)) == 240
    first = server.requests[0].query
    assert (first["expiration_date"], first["feed"], first["limit"]) == ("2026-12-18", "indicative", "1000")
    assert len(server.requests) == 3


def test_alpacas_gaps_are_missing(alpaca):
    source, server = alpaca
    stale = snapshot(dailyBar=snapshot()["dailyBar"] | {"t": "2026-11-18T05:00:00Z"})
    server.snapshots["SPY"] = {ticker(EXPIRY, "C", 650): {}, ticker(EXPIRY, "C", 651): stale}
    chain = source.chain("SPY", EXPIRY)
    assert all(np.isnan(chain.rows[0][name]) for name in CHAIN_NUMBERS) and chain.rows[0]["ts_ns"] == 0
    assert np.isnan(chain.rows[1]["volume"])


def test_alpacas_expiries_are_those_of_its_calls(alpaca):
    source, server = alpaca
    days = (date(2026, 11, 18), DAY, EXPIRY, LATER)
    server.snapshots["SPY"] = {ticker(day, right, 650): snapshot() for day in days for right in "CP"}
    assert source.expiries("SPY") == (DAY, EXPIRY, LATER)
    assert server.requests[0].query["type"] == "call"


def test_the_free_option_feed_delivers_few_contracts_at_once(alpaca):
    assert alpaca[0].most_contracts == 30
    assert isinstance(alpaca[0], ChainSource)


# -- two sources as one ---------------------------------------------------------------------------------------------------------


def test_where_the_first_provider_fails_the_second_ones_chain_is_told_with_a_note(polygon, alpaca):
    first, one = polygon
    second, two = alpaca
    one.contracts["SPY"] = [listed(700)]
    two.snapshots["SPY"] = {ticker(EXPIRY, "C", 650): snapshot()}
    both = FallbackSource(first, second)
    assert isinstance(both, ChainSource) and both.most_contracts == 30
    assert both.chain("SPY", EXPIRY).source == "polygon"
    one.plan.has_history = False
    chain = both.chain("SPY", EXPIRY)
    assert (chain.source, len(chain)) == ("alpaca", 1)
    assert any("told by alpaca" in note and "does not include" in note for note in chain.notes)
    assert both.expiries("SPY") == (EXPIRY,)


# -- recorded messages ----------------------------------------------------------------------------------------------------------


@needs_real_data
def test_polygons_recorded_snapshot_is_decoded(polygon):
    source, server = polygon
    folder = REAL / "polygon_messages/rest/v3/snapshot/options"
    recorded = [row for path in sorted(folder.rglob("*.json")) for row in _rows(json.loads(path.read_text()))]
    assert recorded
    row = next(row for row in recorded if row["details"]["ticker"] == "O:AAPL230616C00150000")
    server.contracts["AAPL"] = [row]
    source.clock.ns = ny_ns(date(2022, 4, 29), 13, 44)  # when it was quoted
    chain = source.chain("AAPL", date(2023, 6, 16))
    told = only(chain)
    assert (told["bid"], told["ask"], told["bid_size"], told["ask_size"]) == (28.9, 29.25, 294, 209)
    assert (told["last"], told["volume"], told["open_interest"]) == (29.25, 8, 8133)
    assert (told["vendor_iv"], told["vendor_delta"]) == (0.3570277203465058, 0.6436614934293701)
    assert (told["ts_ns"], chain.spot, chain.spot_ts_ns) == (1651254260800059648, 159.9606, 1651254263172073152)


def _rows(answer: dict) -> list[dict]:
    results = answer.get("results", [])
    return results if isinstance(results, list) else [results]


@needs_real_data
def test_a_documented_example_with_a_broken_ticker_is_left_out_and_said(polygon):
    source, server = polygon
    lines = (REAL / "polygon_messages/rest_spec_examples.jsonl").read_text().splitlines()
    example = next(one for one in map(json.loads, lines) if one["path"] == "/v3/snapshot/options/{underlyingAsset}")
    server.contracts["AAPL"] = example["response"]["results"]
    chain = source.chain("AAPL", date(2022, 1, 21))
    assert len(chain) == 0 and any("O:AAPL211022C000150000" in note for note in chain.notes)


@needs_real_data
@pytest.mark.parametrize("name", ["get_option_chain_1", "get_snapshot_1", "get_snapshot_with_feed_1"])
def test_alpacas_recorded_snapshots_are_decoded(alpaca, name: str):
    source, server = alpaca
    recorded = json.loads((REAL / f"alpaca_messages/option_data/{name}.json").read_text())["snapshots"]
    server.snapshots["AAPL"] = recorded
    for symbol, one in recorded.items():
        expiry = date(2000 + int(symbol[-15:-13]), int(symbol[-13:-11]), int(symbol[-11:-9]))
        row = only(source.chain("AAPL", expiry))
        quote = one["latestQuote"]
        assert (row["symbol"], row["bid"], row["ask"]) == (symbol, quote["bp"], quote["ap"])
        assert (row["bid_size"], row["ask_size"], row["last"]) == (quote["bs"], quote["as"], one["latestTrade"]["p"])
        assert (row["vendor_iv"], row["vendor_delta"]) == (one["impliedVolatility"], one["greeks"]["delta"])
        assert row["expiry_ns"] == int(SessionCalendar.xnys().session(expiry)["close"])
