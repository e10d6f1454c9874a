"""Frames from Alpaca become rows: letters by tape, moments to the ns, broken elements alone, prints that are taken back by their time."""

from __future__ import annotations

import math
import random

import msgpack
import numpy as np
import pytest

from tests.servers.alpaca import at
from workbench.conditions import TRADE_CONDITIONS, VOLUME, rule_mask
from workbench.sources.alpaca.letters import exchange_id, option_conditions, trade_conditions
from workbench.sources.alpaca.wire import Correction, FrameReader, RecentPrints, SubscriptionEvent
from workbench.sources.live.rows import BAD_SYMBOL, BAD_TIME, TOO_MANY_CONDITIONS, UnknownEvent
from workbench.types import BarSource, SymbolTable

NOW = 1_795_102_200_123_456_789
TRADE = {"T": "t", "S": "AAPL", "i": 96921, "x": "D", "p": 126.55, "s": 1, "t": at(NOW), "c": ["@", "I"], "z": "C"}
QUOTE = {"T": "q", "S": "AMD", "bx": "U", "bp": 87.66, "bs": 1, "ax": "Q", "ap": 87.68, "as": 4, "c": ["R"], "t": at(NOW), "z": "C"}
MINUTE = {"T": "b", "S": "SPY", "o": 388.985, "h": 389.13, "l": 388.975, "c": 389.12, "v": 49378, "n": 461, "vw": 389.06, "t": at(NOW)}
RECV = NOW + 1_000_000


def read(events, *, is_options: bool = False, reader: FrameReader | None = None):
    frame = events if isinstance(events, bytes) else msgpack.packb(events)
    return (reader or FrameReader(SymbolTable(), is_options=is_options)).read(frame, RECV)


# -- what is in a frame --------------------------------------------------------------------------------------------------


def test_a_print_keeps_its_moment_to_the_nanosecond_and_every_field():
    [row] = read([TRADE]).trades
    assert (row["ts_event"], row["ts_recv"], row["price"], row["size"]) == (NOW, RECV, 126.55, 1.0)
    assert (row["exchange"], row["tape"], row["id"], row["n_conditions"], row["conditions"][0]) == (4, 3, b"96921", 1, 37)


@pytest.mark.parametrize("ns", [1_000_000_000, 1_795_102_200_000_000_000, NOW, (2**34 + 5) * 1_000_000_000 // 2, 9_222_999_999_999_999_999])
def test_every_form_of_stamp_that_msgpack_has_is_read_exactly(ns):
    assert read([TRADE | {"t": at(ns)}]).trades["ts_event"].tolist() == [ns]


def test_a_quote_with_one_side_missing_says_so():
    rows = read([QUOTE, QUOTE | {"bp": 0, "bs": 0}]).quotes
    assert (rows["bid"][0], rows["ask"][0], rows["bid_size"][0], rows["exchange"][0]) == (87.66, 87.68, 1.0, 21)
    assert math.isnan(rows["bid"][1])


def test_a_minute_and_the_same_minute_again_are_one_bars_two_states_in_order():
    [(symbol, rows)] = read([MINUTE, MINUTE | {"T": "u", "c": 389.0, "v": 49500}]).bars
    assert (symbol, rows["close"].tolist(), rows["volume"].tolist()) == ("SPY", [389.12, 389.0], [49378.0, 49500.0])
    assert rows["source"].tolist() == [BarSource.PROVIDER] * 2
    assert rows["n_trades"][0] == 461


def test_options_are_named_as_everywhere_else_and_their_prints_are_known_by_content():
    option = {"T": "t", "S": "AAPL240223C00095000", "x": "C", "p": 3.2, "s": 5, "t": at(NOW), "c": "I"}
    symbols = SymbolTable()
    reader = FrameReader(symbols, is_options=True)
    rows = read([option, option, option | {"s": 6}], reader=reader).trades
    assert list(symbols) == ["O:AAPL240223C00095000"]
    assert rows["id"][0] == rows["id"][1] != rows["id"][2]
    assert (rows["conditions"][0][0], rows["exchange"][0], rows["sequence"][0]) == (209, 302, 0)


def test_controls_are_handed_on_and_daily_bars_ignored():
    answer = {"T": "subscription", "trades": ["SPY"], "quotes": [], "bars": ["SPY"], "updatedBars": ["SPY"], "lulds": [], "statuses": None}
    columns = read([{"T": "success", "msg": "connected"}, answer, {"T": "error", "code": 406, "msg": "x"}, MINUTE | {"T": "d"}])
    kinds = [type(event).__name__ for event in columns.others]
    assert kinds == ["SuccessEvent", "SubscriptionEvent", "ErrorEvent"]
    assert isinstance(columns.others[1], SubscriptionEvent)
    assert columns.others[1].topics() == {"trades.SPY", "bars.SPY", "updatedBars.SPY"}
    assert not columns.bars


# -- letters ---------------------------------------------------------------------------------------------------------------

# what docs.alpaca.markets calls each letter on each table, and the name of the same thing in the consolidated table
CTA = {
    "B": "Average price", "C": "Cash sale", "E": "Automatic execution", "F": "Intermarket sweep", "H": "Price variation", "I": "Odd lot",
    "K": "Rule 155", "L": "Sold last", "M": "Market center official close", "N": "Next day", "O": "Opening prints",
    "P": "Prior reference price", "Q": "Market center official open", "R": "Seller", "T": "Form T, extended hours",
    "U": "Extended hours, sold out of sequence", "V": "Contingent", "X": "Cross", "Z": "Sold out of sequence", "4": "Derivatively priced",
    "5": "Re-opening prints", "6": "Closing prints", "7": "Qualified contingent", "9": "Corrected consolidated close",
}  # fmt: skip
UTP = CTA | {
    "A": "Acquisition", "B": "Bunched", "D": "Distribution", "G": "Bunched sold", "S": "Split trade", "W": "Average price", "Y": "Yellow flag",
    "1": "Stopped stock", "2": "Sold last and stopped stock", "3": "Sold out of sequence and stopped stock",
    "8": "Short-sale or financial-status flag, no rule",
}  # fmt: skip


@pytest.mark.parametrize(("tape", "names"), [("A", CTA), ("B", CTA), ("C", UTP)])
def test_every_letter_means_what_its_tape_says(tape, names):
    for letter, name in names.items():
        [condition] = trade_conditions(tape, (letter,))
        assert TRADE_CONDITIONS[condition][0] == name, letter
    for letter in set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") - set(names):
        with pytest.raises(KeyError):
            trade_conditions(tape, (letter,))


def test_the_same_letter_counts_differently_on_two_tapes():
    assert rule_mask(trade_conditions("A", ("B",)), in_regular_session=True) == VOLUME  # average price
    assert rule_mask(trade_conditions("C", ("B",)), in_regular_session=True) != VOLUME  # bunched
    assert trade_conditions("A", ("@", " ", "F", "I")) == (14, 37)


@pytest.mark.parametrize(("letter", "i"), [("I", 209), ("S", 219), ("a", 227), ("g", 233), ("", None), (" ", None)])
def test_option_letters_are_numbered_as_the_other_provider_numbers_them(letter, i):
    assert option_conditions(letter) == (() if i is None else (i,))


@pytest.mark.parametrize(
    ("letter", "i"), [("A", 1), ("D", 4), ("N", 10), ("P", 11), ("Q", 12), ("T", 12), ("V", 15), ("Z", 19), ("U", 21), ("?", 0)]
)
def test_exchanges_have_the_ids_of_the_reference_list(letter, i):
    assert exchange_id(letter) == i


# -- what is broken ----------------------------------------------------------------------------------------------------------

BROKEN = {
    "no price": ({name: value for name, value in TRADE.items() if name != "p"}, "field missing"),
    "text for a price": (TRADE | {"p": "x"}, "field missing or of the wrong type"),
    "no stamp": (TRADE | {"t": 5}, "field missing"),
    "a stamp of another kind": (TRADE | {"t": msgpack.ExtType(3, b"1234")}, BAD_TIME),
    "a stamp before 1970": (TRADE | {"t": msgpack.Timestamp(-5, 0)}, BAD_TIME),
    "an odd length of stamp": (TRADE | {"t": msgpack.ExtType(5, b"12345")}, BAD_TIME),
    "no symbol": (TRADE | {"S": "not a symbol"}, BAD_SYMBOL),
    "a letter nobody knows": (TRADE | {"c": ["@", "?"]}, "unknown tape or sale condition '?'"),
    "a tape nobody knows": (TRADE | {"z": "X"}, "unknown tape"),
    "seven conditions": (TRADE | {"c": list("FIZ4567")}, TOO_MANY_CONDITIONS),
    "a negative id": (TRADE | {"i": -4}, "number out of range"),
    "a number instead of a map": (7, "no event"),
    "nothing": (None, "no event"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_element_costs_itself_only(what):
    element, reason = BROKEN[what]
    columns = read([TRADE, element, QUOTE, TRADE | {"i": 2}])
    assert (len(columns.trades), len(columns.quotes)) == (2, 1)
    [broken] = columns.broken
    assert reason in broken.reason


def test_an_unknown_kind_is_named():
    columns = read([{"T": "new", "S": "SPY"}, TRADE])
    assert columns.others[0].kind == "new"
    assert isinstance(columns.others[0], UnknownEvent)
    assert len(columns.trades) == 1


def test_a_frame_that_is_cut_keeps_what_stands_before_the_cut():
    frame = msgpack.packb([TRADE, QUOTE, TRADE | {"i": 2}])
    columns = read(frame[:-10])
    assert (len(columns.trades), len(columns.quotes), len(columns.broken)) == (1, 1, 1)
    for nonsense in (b"", b"not msgpack at all", b"\xc1", bytes(40)):
        assert len(read(nonsense).trades) == 0
        assert len(read(nonsense).broken) == 1


def test_spoiled_bytes_never_raise_and_never_make_rows_of_neighbours_vanish():
    rng = random.Random(5)
    good = msgpack.packb([TRADE, QUOTE, MINUTE, TRADE | {"i": 7, "S": "SPY"}])
    reader = FrameReader(SymbolTable(), is_options=False)
    for _ in range(3_000):
        frame = bytearray(good)
        for _spoil in range(rng.randint(1, 4)):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        columns = reader.read(bytes(frame[: rng.choice([len(frame), rng.randrange(len(frame))])]), RECV)
        assert columns.trades.dtype.names
        assert np.isfinite(columns.trades["ts_event"]).all()


# -- prints that are taken back ------------------------------------------------------------------------------------------------


def test_a_cancelled_print_is_told_by_its_own_time_even_minutes_later():
    reader = FrameReader(SymbolTable(), is_options=False)
    read([TRADE, TRADE | {"S": "SPY", "t": at(NOW + 7)}], reader=reader)
    much_later = at(NOW + 600 * 10**9)
    cancel = {"T": "x", "S": "AAPL", "i": 96921, "x": "D", "p": 126.55, "s": 1, "a": "C", "t": much_later, "z": "C"}
    correction = {
        "T": "c",
        "S": "SPY",
        "x": "D",
        "oi": 96921,
        "op": 1.0,
        "os": 1,
        "oc": [],
        "ci": 9,
        "cp": 2.0,
        "cs": 1,
        "cc": [],
        "t": much_later,
    }
    found = read([cancel, correction], reader=reader).others
    assert found == [Correction("AAPL", NOW, "a print was cancelled"), Correction("SPY", NOW + 7, "a print was corrected")]


def test_a_print_nobody_remembers_is_taken_back_by_the_messages_own_stamp():
    cancel = {"T": "x", "S": "AAPL", "i": 5, "x": "D", "p": 126.55, "s": 1, "a": "C", "t": at(NOW), "z": "C"}
    assert read([cancel]).others == [Correction("AAPL", NOW, "a print was cancelled")]
    columns = read([cancel | {"t": at(0)}])
    assert not columns.others
    assert [broken.reason for broken in columns.broken] == [BAD_TIME]


@pytest.mark.parametrize("letter", "ACEG")
def test_an_option_cancel_that_looks_like_a_print_is_none(letter):
    option = {"T": "t", "S": "AAPL240223C00095000", "x": "C", "p": 3.2, "s": 5, "t": at(NOW), "c": letter}
    columns = read([option], is_options=True)
    assert len(columns.trades) == 0
    assert columns.others == [Correction("O:AAPL240223C00095000", NOW, "a print was cancelled")]


def test_the_memory_of_prints_is_bounded_and_forgets_the_oldest():
    recent = RecentPrints(8)
    for start in range(0, 40, 5):
        rows = np.zeros(5, read([TRADE]).trades.dtype)
        rows["sequence"] = rows["ts_event"] = np.arange(start + 1, start + 6)
        recent.add(rows)
    assert [i for i in range(1, 41) if recent.find(0, i) == i] == list(range(33, 41))
    assert recent.find(0, 0) is None
    assert recent.find(1, 40) is None
