"""A chain as told: its order, what of it can be asked for, and what it says of itself before anybody relies on it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from tests.options.chains import ASOF, CALENDAR, DAY, chain_of, rows_of
from workbench.errors import RecordError
from workbench.options.chain import CHAIN_DTYPE, Chain, blank_rows, contract_rows
from workbench.sessions import ny_ns
from workbench.types import NS_PER_S, OptionContract


def test_rows_stand_by_expiry_root_strike_and_right_whatever_order_they_come_in():
    parts = [rows_of("SPXW", strikes=(5000, 5005)), rows_of("SPX", strikes=(5000, 5005)), rows_of("SPXW", date(2026, 3, 19), (5000,))]
    rows = np.concatenate(parts)
    shuffled = rows[np.random.default_rng(5).permutation(len(rows))]
    chain = chain_of(shuffled, underlying="SPX", spot=5002.0)
    assert chain.rows["symbol"].tolist() == [
        "SPXW260319C05000000", "SPXW260319P05000000",
        "SPX260320C05000000", "SPX260320P05000000", "SPX260320C05005000", "SPX260320P05005000",
        "SPXW260320C05000000", "SPXW260320P05000000", "SPXW260320C05005000", "SPXW260320P05005000",
    ]  # fmt: skip


def test_morning_and_afternoon_roots_of_one_date_are_two_expiries():
    chain = chain_of(rows_of("SPXW", strikes=(5000,)), rows_of("SPX", strikes=(5000,)), underlying="SPX")
    told = [(e.root, e.date, e.expiry_ns, e.dte) for e in chain.expiries()]
    assert told == [("SPX", DAY, ny_ns(DAY, 9, 30), 1), ("SPXW", DAY, ny_ns(DAY, 16), 1)]
    assert len(chain.of(DAY)) == 4
    assert chain.of(DAY, "SPX").rows["root"].tolist() == ["SPX", "SPX"]


def test_days_to_expiry_count_from_new_yorks_date_not_from_utc():
    late = ny_ns(date(2026, 3, 19), 21)  # already the 20th in UTC
    assert chain_of(rows_of(), asof_ns=late).expiries()[0].dte == 1


def test_fractional_strikes_keep_their_fraction():
    chain = chain_of(rows_of(strikes=(602.5, 607.125)))
    assert chain.rows["strike"].tolist() == [602.5, 602.5, 607.125, 607.125]
    assert chain.rows["symbol"][2] == "SPY260320C00607125"


@pytest.mark.parametrize("spot", [599.0, 600.0])
def test_near_keeps_the_strikes_around_spot(spot):
    assert sorted(set(chain_of(rows_of(), spot=spot).near(2).rows["strike"])) == [590.0, 595.0, 600.0, 605.0]


def test_near_without_a_spot_keeps_everything():
    chain = chain_of(rows_of(), spot=np.nan)
    assert len(chain.near(1)) == len(chain)


def test_an_expiry_or_root_that_is_not_there_is_answered_with_those_that_are():
    chain = chain_of(rows_of())
    with pytest.raises(RecordError, match="expiry: received .*allowed: 2026-03-20"):
        chain.of("2026-03-21")
    with pytest.raises(RecordError, match="root: received 'SPYX'.*allowed: SPY"):
        chain.of(DAY, "SPYX")


def test_an_empty_chain_is_a_chain_and_says_so():
    chain = chain_of()
    assert (len(chain), chain.expiries(), len(chain.near(3))) == (0, [], 0)
    assert chain.notes == ("the chain is empty: no contract was told",)


def test_a_half_loaded_chain_says_what_is_missing():
    calls_only = rows_of("SPY", date(2026, 3, 27), rights="C", strikes=(600, 605, 610))
    holey = np.delete(rows_of(), [1, 4])
    notes = chain_of(calls_only, holey).notes
    assert notes == ("half loaded: SPY 2026-03-27 (calls only)", "half loaded: 2 of 7 strikes have a call or a put only")


def test_a_strike_missing_from_an_even_ladder_is_told_and_a_wider_ladder_is_not():
    ladder = [590.0, 591.0, 592.0, 594.0, 595.0, 596.0]
    said = "half loaded, it seems: no strike after SPY 2026-03-20 592, though those around are evenly spaced"
    assert chain_of(rows_of(strikes=ladder)).notes == (said,)
    assert chain_of(rows_of(strikes=[590, 591, 592, 593, 595, 600, 605, 610])).notes == ()


def test_a_contract_told_twice_keeps_its_newest_row():
    old, new = rows_of(strikes=(600,)), rows_of(strikes=(600,))
    old["bid"], old["ts_ns"] = 1.0, ASOF - NS_PER_S
    new["bid"] = 2.0
    chain = chain_of(new, old)
    assert chain.rows["bid"].tolist() == [2.0, 2.0]
    assert chain.notes == ("2 contracts told twice: the newest row is shown",)


def test_adjusted_contracts_are_marked_by_root_or_by_multiplier():
    rows = np.concatenate(
        [rows_of("AAPL1", strikes=(200,)), rows_of("AAPL", strikes=(200,), multiplier=150), rows_of("AAPL", strikes=(210,))]
    )
    assert rows["is_standard"].tolist() == [False, False, False, False, True, True]
    assert "4 adjusted contracts: what is delivered was changed; shown, not priced" in chain_of(rows, underlying="AAPL").notes


def test_a_contract_beyond_the_calendar_has_no_instant_and_the_chain_says_so():
    rows = contract_rows([OptionContract.parse("SPY351221C00600000")], CALENDAR)
    assert rows["expiry_ns"].tolist() == [0]
    assert chain_of(rows).notes[-1] == "1 contract that the calendar does not reach: not priced"


def test_a_spot_older_than_the_quotes_and_quotes_newer_than_the_moment_are_told():
    notes = chain_of(rows_of(ts_ns=ASOF + 30 * NS_PER_S), spot_ts_ns=ASOF - 90 * NS_PER_S).notes
    assert notes == (
        "quotes up to 30 s newer than the chain's moment 2026-03-19 11:00:00 New York",
        "spot is of 2026-03-19 10:58:30 New York, older than the newest quote, 2026-03-19 11:00:30 New York",
    )


def test_blank_rows_know_nothing():
    row = blank_rows(1)[0]
    assert all(np.isnan(row[name]) for name in CHAIN_DTYPE.names if CHAIN_DTYPE[name] == np.float64)
    assert (row["ts_ns"], row["expiry_ns"], row["is_standard"]) == (0, 0, True)


def test_rows_of_another_layout_are_refused():
    with pytest.raises(RecordError, match=r"Chain.rows: received .* allowed: CHAIN_DTYPE"):
        Chain("SPY", 600.0, 0, 0, np.zeros(3), "test")
