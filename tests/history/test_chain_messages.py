"""Snapshots of chains as Polygon and Alpaca answer them: the recorded answers of their own libraries, and spoiled ones."""

from __future__ import annotations

import copy
import json
from datetime import date

import numpy as np
import pytest

from workbench.errors import FileError, SchemaError
from workbench.history.chain_messages import decode_snapshot
from workbench.history.chains import read_chain
from workbench.options.chain_status import ChainStatus
from workbench.options.clocks import TimeClock
from workbench.options.priced import price_chain
from workbench.options.rates import RateCurve
from workbench.sessions import SessionCalendar, ny_ns

CALENDAR = SessionCalendar.xnys()
POLYGON = "polygon_messages/rest/v3/snapshot/options/AAPL.json"
ALPACA = "alpaca_messages/option_data/get_option_chain_1.json"


def priced(chain):
    return price_chain(chain, clock=TimeClock.CAL365, rates=RateCurve.constant(0.01), calendar=CALENDAR)


def numbers(row, *names):
    return [float(row[name]) for name in names]


def test_the_recorded_polygon_snapshot_is_decoded_field_by_field(realdata):
    """Typed in from the file. Spot and quote are 2.3 s apart: one moment."""
    chain = read_chain(realdata / POLYGON, calendar=CALENDAR)
    row = chain.rows[0]
    assert (chain.underlying, chain.spot, chain.spot_ts_ns) == ("AAPL", 159.9606, 1651254263172073152)
    assert (row["symbol"], row["right"], row["expiry_ns"]) == ("AAPL230616C00150000", "C", ny_ns(date(2023, 6, 16), 16))
    assert row["ts_ns"] == 1651254260800059648
    assert numbers(row, "bid", "ask", "bid_size", "ask_size", "last", "volume", "open_interest") == [28.9, 29.25, 294, 209, 29.25, 8, 8133]
    assert numbers(row, "vendor_iv", "vendor_delta", "vendor_gamma") == [0.3570277203465058, 0.6436614934293701, 0.0061735291012820675]
    got = priced(chain)
    assert got.vol[0] == pytest.approx(0.357, abs=0.01)  # Polygon's own, by its own rate and clock
    assert got.greeks.delta[0] == pytest.approx(0.6437, abs=0.02)
    assert got.break_even_usd[0] == pytest.approx(179.075)  # Polygon's break_even_price


def test_the_recorded_alpaca_chain_is_decoded_field_by_field(realdata):
    chain = read_chain(realdata / ALPACA, calendar=CALENDAR)
    row = chain.rows[0]
    assert (chain.underlying, row["symbol"], row["strike"]) == ("AAPL", "AAPL240503P00155000", 155.0)
    assert chain.asof_ns == row["ts_ns"] == ny_ns(date(2024, 4, 25), 16) + 259_610_112
    assert numbers(row, "bid", "ask", "bid_size", "ask_size", "last") == [0.32, 0.35, 73, 119, 0.34]
    assert numbers(row, "vendor_iv", "vendor_delta", "vendor_gamma") == [0.4584478444465036, -0.06962352623019707, 0.012407748296130911]
    assert np.isnan(numbers(row, "volume", "open_interest")).all()
    assert priced(chain).status[0] == ChainStatus.NO_SPOT
    with_spot = priced(read_chain(realdata / ALPACA, calendar=CALENDAR, spot=169.89))  # AAPL closed there
    # Alpaca's 0.4584 is for the 7 days that were left on the day it was asked, ours for the 8 from the quote on: one v·√T, one delta
    assert with_spot.vol[0] * np.sqrt(8 / 7) == pytest.approx(0.4584, abs=0.003)
    assert with_spot.greeks.delta[0] == pytest.approx(-0.0696, abs=0.003)


def test_a_snapshot_of_a_contract_that_had_expired_is_expired(realdata):
    chain = read_chain(realdata / "alpaca_messages/option_data/get_snapshot_1.json", calendar=CALENDAR, spot=185.0)
    got = priced(chain)
    assert got.status.tolist() == [ChainStatus.EXPIRED]
    assert np.isnan(got.greeks.delta[0])
    assert chain.rows["vendor_delta"][0] > 0  # of a put: theirs is shown, not believed


def test_an_empty_answer_is_an_empty_chain_of_a_given_moment(realdata):
    path = realdata / "alpaca_messages/option_data/get_snapshot_single_empty_response_1.json"
    with pytest.raises(SchemaError, match=r"received no time at all; next: give the moment \(asof\)"):
        read_chain(path, calendar=CALENDAR)
    assert len(read_chain(path, calendar=CALENDAR, asof_ns=ny_ns(date(2024, 4, 25), 16))) == 0


ELEMENT = {
    "details": {"ticker": "O:SPY260320C00600000", "shares_per_contract": 100},
    "last_quote": {"bid": 1.0, "ask": 1.1, "last_updated": ny_ns(date(2026, 3, 19), 11)},
    "underlying_asset": {"ticker": "SPY", "price": 600.0, "last_updated": ny_ns(date(2026, 3, 19), 11)},
}


def test_an_element_that_cannot_be_read_costs_itself_and_what_is_absent_is_not_known():
    bare = {"details": {"ticker": "O:SPY260320P00600000"}, "last_quote": None, "greeks": [], "day": "closed", "open_interest": True}
    told = decode_snapshot({"results": [ELEMENT, None, 7, {"ticker": "SPY", "type": "stocks"}, bare]}, CALENDAR)
    assert told.rows["symbol"].tolist() == ["SPY260320C00600000", "SPY260320P00600000"]
    assert told.unread == ("None", "None", "SPY")
    assert told.notes == ["quarantined: 3 elements: no option symbol (first: 'None')"]
    assert np.isnan(numbers(told.rows[1], "bid", "ask", "volume", "open_interest", "vendor_iv", "vendor_delta")).all()
    assert (told.rows["ts_ns"][1], told.spot) == (0, 600.0)


@pytest.mark.parametrize("shares", [150, 66.67, 100.5, 0])
def test_another_deliverable_is_adjusted(shares):
    odd = copy.deepcopy(ELEMENT)
    odd["details"]["shares_per_contract"] = shares
    assert decode_snapshot({"results": [odd]}, CALENDAR).rows["is_standard"].tolist() == [False]


@pytest.mark.parametrize(
    ("told", "volume"),
    [
        ({"day": {"volume": 7, "last_updated": ny_ns(date(2026, 3, 19), 0)}}, 7.0),
        ({"day": {"volume": 7, "last_updated": ny_ns(date(2026, 3, 18), 16)}}, np.nan),
        ({"day": {"volume": 7}}, np.nan),  # of which day is not known
        ({"day": {}}, np.nan),
        ({"session": {"volume": 7}}, 7.0),  # of the present one by its name
        ({"day": {"volume": -7, "last_updated": ny_ns(date(2026, 3, 19), 0)}}, np.nan),
    ],
)
def test_a_volume_counts_for_the_session_of_the_moment_only(told, volume):
    rows = decode_snapshot({"results": [ELEMENT | told]}, CALENDAR).rows
    np.testing.assert_equal(rows["volume"][0], volume)
    later = decode_snapshot({"results": [ELEMENT | told]}, CALENDAR, ny_ns(date(2026, 3, 20), 5)).rows
    assert np.isnan(later["volume"][0]) or "session" in told


def test_less_than_nothing_is_not_known_and_a_volatility_of_0_was_not_computed():
    odd = ELEMENT | {
        "last_quote": {"bid": -1, "ask": 0, "bid_size": -3},
        "open_interest": -2,
        "implied_volatility": 0,
        "greeks": {"delta": 0.0},
    }
    row = decode_snapshot({"results": [odd]}, CALENDAR).rows[0]
    assert np.isnan(numbers(row, "bid", "bid_size", "open_interest", "vendor_iv", "vendor_delta")).all()
    assert row["ask"] == 0


@pytest.mark.parametrize("document", [[], {}, {"results": {}}, {"snapshots": []}, "x", None])
def test_a_document_of_neither_provider_is_refused(document):
    with pytest.raises(SchemaError, match="snapshot: received .*allowed: an object with a list 'results'"):
        decode_snapshot(document, CALENDAR)


def test_a_damaged_file_is_told_in_words(tmp_path):
    (tmp_path / "cut.json").write_text(json.dumps({"results": [ELEMENT]})[:-5])
    with pytest.raises(FileError, match="corrupt: no JSON"):
        read_chain(tmp_path / "cut.json", calendar=CALENDAR)
    with pytest.raises(FileError, match="can't be read"):
        read_chain(tmp_path / "none.json", calendar=CALENDAR)


def test_no_spoiled_element_raises():
    """Every value of a good element replaced by every kind of JSON value, one by one."""
    kinds = [None, True, "x", "", -1, 0, 1e308, 10**30, [], {}, [1], {"a": 1}]
    whole = [(name,) for name in ELEMENT]
    for path in [*whole, *((part, name) for part in ELEMENT for name in ELEMENT[part])]:
        for value in kinds:
            spoiled = copy.deepcopy(ELEMENT)
            part = spoiled
            for name in path[:-1]:
                part = part[name]
            part[path[-1]] = value
            told = decode_snapshot({"results": [spoiled, ELEMENT]}, CALENDAR)
            assert len(told.rows) + len(told.unread) == 2
