"""Nouns: OCC symbols, record rules, and rows that come back as they went in."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RecordError, SymbolError, TimeframeError
from workbench.types import (
    BAR_DTYPE,
    QUOTE_DTYPE,
    TIMEFRAMES,
    TRADE_DTYPE,
    Bar,
    BarSource,
    OptionContract,
    Quote,
    SymbolTable,
    Timeframe,
    Trade,
    bar_from_row,
    bar_to_row,
    check_symbol,
    quote_from_row,
    quote_to_row,
    trade_from_row,
    trade_to_row,
)

PRICES = st.floats(0.0001, 1e6)
STAMPS = st.integers(0, 2**62)


@given(
    st.builds(
        Trade,
        symbol=st.sampled_from(["SPY", "KIMpL", "O:SPXW251121C06500000"]),
        ts_event=STAMPS,
        ts_recv=STAMPS,
        price=PRICES,
        size=st.floats(0, 1e9),
        conditions=st.lists(st.integers(0, 500), max_size=6).map(tuple),
        exchange=st.integers(0, 1000),
        tape=st.integers(0, 3),
        sequence=STAMPS,
        id=st.text("0123456789abcdef", max_size=20),
    )
)
def test_a_trade_comes_back_from_its_row_unchanged(trade):
    symbols = SymbolTable(["AAPL"])
    row = trade_to_row(trade, symbols)
    assert row.shape == (1,)
    assert trade_from_row(row[0], symbols) == trade


@given(bid=PRICES, width=st.floats(0, 100), sizes=st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), ts=STAMPS)
def test_a_quote_comes_back_from_its_row_unchanged(bid, width, sizes, ts):
    symbols = SymbolTable()
    quote = Quote("SPY", ts, bid, bid + width, *sizes, ts_recv=ts + 1, sequence=9, condition=12, exchange=3)
    assert quote_from_row(quote_to_row(quote, symbols)[0], symbols) == quote


@pytest.mark.parametrize("absent", [True, False])
def test_a_bar_comes_back_from_its_row_unchanged(absent):
    known = {} if absent else {"vwap": 10.5, "vw_std": 0.25, "n_trades": 7}
    bar = Bar("SPY", "5m", 0, 300, 10.0, 11.0, 9.5, 10.5, 700.0, source=BarSource.TRADES, revision=2, is_complete=False, seq=4, **known)
    back = bar_from_row(bar_to_row(bar)[0], "SPY", "5m")
    assert back == bar
    assert (back.vwap is None) is absent


def test_row_layouts_have_the_documented_sizes():
    assert (TRADE_DTYPE.itemsize, QUOTE_DTYPE.itemsize, BAR_DTYPE.itemsize) == (80, 64, 96)


@pytest.mark.parametrize(
    ("text", "root", "expiry", "right", "strike"),
    [
        ("O:SPY241220P00720000", "SPY", date(2024, 12, 20), "P", "720"),
        ("SPXW  251121C06512500", "SPXW", date(2025, 11, 21), "C", "6512.5"),
        ("AAPL1270115C00002500", "AAPL1", date(2027, 1, 15), "C", "2.5"),
        ("BRKB261218P00450000", "BRKB", date(2026, 12, 18), "P", "450"),
        ("F260116C00012820", "F", date(2026, 1, 16), "C", "12.82"),
    ],
)
def test_occ_symbols_are_read_and_printed_with_their_root(text, root, expiry, right, strike):
    contract = OptionContract.parse(text)
    assert contract == OptionContract(root, expiry, right, Decimal(strike))
    assert contract.occ == text.removeprefix("O:").replace(" ", "")
    assert OptionContract.parse(contract.symbol) == contract


def test_spx_and_spxw_of_one_day_are_different_contracts():
    morning, afternoon = OptionContract.parse("O:SPX261218C07000000"), OptionContract.parse("O:SPXW261218C07000000")
    assert morning != afternoon
    assert len({morning, afternoon}) == 2


@pytest.mark.parametrize(
    "text", ["SPY", "O:SPY241320P00720000", "O:SPY241220X00720000", "O:SPY241220P720", "", "O:TOOLONGROOT241220P00720000"]
)
def test_text_that_is_no_option_symbol_is_refused_by_name(text):
    with pytest.raises(SymbolError, match="received"):
        OptionContract.parse(text)


@given(
    root=st.from_regex(r"[A-Z]{1,5}", fullmatch=True),
    expiry=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    right=st.sampled_from("CP"),
    mills=st.integers(1, 99_999_999),
)
def test_every_contract_survives_its_symbol(root, expiry, right, mills):
    contract = OptionContract(root, expiry, right, Decimal(mills) / 1000)
    assert OptionContract.parse(contract.symbol) == contract


@pytest.mark.parametrize(
    "make",
    [
        lambda: Trade("SPY", 0, -1.0, 100),
        lambda: Trade("SPY", 0, math.nan, 100),
        lambda: Trade("SPY", 0, 1.0, -5),
        lambda: Quote("SPY", 0, 10.01, 10.00),
        lambda: Bar("SPY", "1m", 0, 60, 10, 9, 8, 9, 1),
        lambda: Bar("SPY", "1m", 0, 60, 10, 11, 10.5, 10.2, 1),
        lambda: Bar("SPY", "1m", 60, 60, 10, 10, 10, 10, 1),
        lambda: OptionContract("SPY", date(2024, 12, 20), "X", Decimal(1)),
        lambda: OptionContract("SPY", date(2024, 12, 20), "C", Decimal("1.0001")),
    ],
)
def test_records_that_contradict_themselves_refuse_to_exist(make):
    with pytest.raises(RecordError, match=r"received .* allowed"):
        make()


def test_a_quote_may_lack_a_side_but_not_cross():
    assert math.isnan(Quote("SPY", 0, math.nan, 10.0).mid)
    assert Quote("SPY", 0, 10.0, 10.0).mid == 10.0


def test_timeframes_are_known_by_label_and_near_misses_are_named():
    assert [str(Timeframe.parse(label)) for label in TIMEFRAMES] == list(TIMEFRAMES)
    assert Timeframe.parse("4h").length_ns == 4 * 3600 * 10**9
    with pytest.raises(TimeframeError, match=r"'5min'.*5m.*allowed: 1m, 2m"):
        Timeframe.parse("5min")


@pytest.mark.parametrize("bad", ["", " SPY", "SPY;DROP", "A" * 40, "../etc", None, 7])
def test_text_that_is_no_symbol_is_refused(bad):
    with pytest.raises(SymbolError):
        check_symbol(bad)


def test_symbol_table_numbers_symbols_in_order_and_finds_them_again():
    table = SymbolTable(["SPY", "QQQ"])
    assert (table.intern("QQQ"), table.intern("IWM"), table.get("XXX")) == (1, 2, None)
    assert [table.name(i) for i in range(3)] == list(table) == ["SPY", "QQQ", "IWM"]
    with pytest.raises(IndexError):
        table.name(-1)


def test_dtype_fields_of_floats_keep_nan_as_the_sign_of_absence():
    row = bar_to_row(Bar("SPY", "1m", 0, 60, 1, 1, 1, 1, 0))
    assert np.isnan(row["vwap"][0]) and np.isnan(row["n_trades"][0])
