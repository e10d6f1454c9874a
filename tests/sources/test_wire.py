"""Frames from Polygon become typed events and rows; a broken element costs itself and nothing else; both readers agree."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from workbench.sources.live.rows import BAD_NUMBER, BAD_SYMBOL, BAD_TIME, TOO_MANY_CONDITIONS
from workbench.sources.polygon import wire
from workbench.sources.polygon.scan import SCRATCH_ROWS, FrameReader, SymbolSlots, read_slowly, symbol_hash, symbol_words
from workbench.types import BarSource, SymbolTable, quote_from_row, trade_from_row

NOW = 1_700_000_000_000_000_000
TRADE = {"ev": "T", "sym": "MSFT", "x": 4, "i": "12345", "z": 3, "p": 114.125, "s": 100, "c": [0, 12], "t": 1536036818784, "q": 3681328}
QUOTE = {"ev": "Q", "sym": "MSFT", "bx": 4, "bp": 114.125, "bs": 100, "ax": 7, "ap": 114.128, "as": 160, "c": 0, "i": [604]}
QUOTE |= {"t": 1536036818784, "q": 50385480, "z": 3}
MINUTE = {"ev": "AM", "sym": "GTE", "v": 4110, "av": 9470157, "op": 0.4372, "vw": 0.4488, "o": 0.4488, "c": 0.4486, "h": 0.4489}
MINUTE |= {"l": 0.4486, "a": 0.4352, "z": 685, "s": 1610144640000, "e": 1610144700000}
OPTION_TRADE = {"ev": "T", "sym": "O:AMC210827C00037000", "x": 65, "p": 1.54, "s": 1, "c": [233], "t": 1629820676333, "q": 651921857}


def compact(events: list) -> str:
    return json.dumps(events, separators=(",", ":"))


@pytest.fixture(scope="module")
def warmed() -> FrameReader:
    reader = FrameReader(SymbolTable())
    reader.warm()
    return reader


def fast_reader(warmed: FrameReader, symbols: SymbolTable) -> FrameReader:
    reader = FrameReader(symbols)
    reader._kernel = warmed._kernel
    return reader


@pytest.fixture(params=["msgspec", "kernel"])
def read(request, warmed):
    """Read one frame, by either of the two ways."""
    symbols = SymbolTable(["MSFT", "GTE", "O:AMC210827C00037000"])
    reader = fast_reader(warmed, symbols) if request.param == "kernel" else FrameReader(symbols)
    reader_of = lambda frame: reader.read(frame, NOW)
    reader_of.symbols = symbols
    return reader_of


# -- what the wire means ----------------------------------------------------------------------------------------------------


def test_a_stock_trade_is_read_with_milliseconds_as_nanoseconds(read):
    row = read(compact([TRADE])).trades
    trade = trade_from_row(row[0], read.symbols)
    assert (trade.symbol, trade.price, trade.size, trade.ts_event, trade.ts_recv) == ("MSFT", 114.125, 100.0, 1536036818784_000000, NOW)
    assert (trade.conditions, trade.exchange, trade.tape, trade.sequence, trade.id) == ((0, 12), 4, 3, 3681328, "12345")


def test_an_option_trade_has_no_id_and_no_tape(read):
    trade = trade_from_row(read(compact([OPTION_TRADE])).trades[0], read.symbols)
    assert (trade.symbol, trade.id, trade.tape, trade.conditions) == ("O:AMC210827C00037000", "", 0, (233,))


def test_a_quote_keeps_sizes_condition_and_sequence(read):
    quote = quote_from_row(read(compact([QUOTE])).quotes[0], read.symbols)
    assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size, quote.condition, quote.sequence) == (
        114.125,
        114.128,
        100,
        160,
        0,
        50385480,
    )


def test_a_side_without_price_and_size_is_no_quote_rather_than_a_price_of_zero(read):
    rows = read(compact([QUOTE | {"bp": 0, "bs": 0}, {key: value for key, value in QUOTE.items() if key not in ("ap", "as")}])).quotes
    assert math.isnan(rows["bid"][0])
    assert rows["ask"][0] == 114.128
    assert math.isnan(rows["ask"][1])
    assert rows["ask_size"][1] == 0


def test_a_minute_bar_is_labelled_by_its_start_and_says_who_made_it(read):
    [(symbol, rows)] = read(compact([MINUTE])).bars
    bar = rows[0]
    assert symbol == "GTE"
    assert (bar["ts_open"], bar["ts_close"]) == (1610144640000_000000, 1610144700000_000000)
    assert (bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"], bar["vwap"]) == (
        0.4488,
        0.4489,
        0.4486,
        0.4486,
        4110,
        0.4488,
    )
    assert (bar["source"], bar["is_complete"], bar["is_partial"]) == (BarSource.PROVIDER, 1, 0)
    assert math.isnan(bar["n_trades"])


def test_fractional_sizes_sent_as_text_are_taken_exactly(read):
    columns = read(compact([TRADE | {"ds": "0.25"}, MINUTE | {"dv": "4110.5"}]))
    assert columns.trades["size"][0] == 0.25
    assert columns.bars[0][1]["volume"][0] == 4110.5


def test_statuses_bands_and_strangers_pass_as_events(read):
    status = {"ev": "status", "status": "max_connections", "message": "Maximum number of websocket connections exceeded."}
    band = {"ev": "LULD", "T": "MSFT", "h": 218.96, "l": 198.11, "i": [21], "z": 3, "t": 1601316752683746, "q": 290317}
    columns = read(compact([status, TRADE, band, {"ev": "XYZ", "a": {"b": [1]}}]))
    assert len(columns.trades) == 1
    seen_status, seen_band, stranger = columns.others
    assert seen_status.status == "max_connections"
    assert wire.to_ns(seen_band.t) == 1601316752683746_000
    assert stranger.kind == "XYZ"
    assert columns.broken == []


def test_second_bars_are_recognised_and_left_alone(read):
    columns = read(compact([MINUTE | {"ev": "A"}, TRADE]))
    assert (len(columns.trades), columns.bars, columns.others, columns.broken) == (1, [], [], [])


def test_a_long_trade_id_is_shortened_without_making_two_trades_one(read):
    ids = read(compact([TRADE | {"i": "9" * 30 + "1"}, TRADE | {"i": "9" * 30 + "2"}])).trades["id"]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [
        (1_601_316_752, 1_601_316_752_000_000_000),
        (1_601_316_752_683, 1_601_316_752_683_000_000),
        (1_601_316_752_683_746, 1_601_316_752_683_746_000),
        (1_601_316_752_683_746_123, 1_601_316_752_683_746_123),
        (0, 0),
        (-5, 0),
        (10**30, 0),
    ],
)
def test_the_unit_of_a_stamp_is_told_by_its_magnitude(stamp, ns):
    assert wire.to_ns(stamp) == ns


def test_published_examples_of_every_channel_are_read(realdata, read):
    lines = (realdata / "polygon_messages" / "websocket_examples.jsonl").read_text().splitlines()
    examples = [json.loads(line) for line in lines]
    columns = read(json.dumps([example["message"] for example in examples]))
    kinds = [example["message"]["ev"] for example in examples]
    assert columns.broken == []
    assert (len(columns.trades), len(columns.quotes)) == (kinds.count("T"), kinds.count("Q"))
    assert sum(len(rows) for _, rows in columns.bars) == kinds.count("AM")
    assert len(columns.others) == len(kinds) - sum(kinds.count(kind) for kind in ("T", "Q", "AM", "A"))


# -- broken things ----------------------------------------------------------------------------------------------------------

BROKEN_ELEMENTS = {
    "wrong type": ('{"ev":"T","sym":"MSFT","p":"x","s":1,"t":1536036818784}', wire.BAD_FIELD),
    "missing price": ('{"ev":"T","sym":"MSFT","s":1,"t":1536036818784}', wire.BAD_FIELD),
    "null size": ('{"ev":"T","sym":"MSFT","p":1.0,"s":null,"t":1536036818784}', wire.BAD_FIELD),
    "NaN": ('{"ev":"T","sym":"MSFT","p":NaN,"s":1,"t":1536036818784}', wire.NOT_JSON),
    "leading zero": ('{"ev":"T","sym":"MSFT","p":01.5,"s":1,"t":1536036818784}', wire.NOT_JSON),
    "trailing comma": ('{"ev":"T","sym":"MSFT","p":1.5,"s":1,"t":1536036818784,}', wire.NOT_JSON),
    "lost quotation mark": ('{"ev":"T","sym":"MSFT,"p":1.5,"s":1,"t":1536036818784}', wire.NOT_JSON),
    "lost brace": ('{"ev":"T","sym":"MSFT","p":1.5,"s":1,"t":1536036818784', wire.NOT_JSON),
    "time zero": ('{"ev":"T","sym":"MSFT","p":1.5,"s":1,"t":0}', BAD_TIME),
    "huge time": ('{"ev":"T","sym":"MSFT","p":1.5,"s":1,"t":99999999999999999999}', BAD_TIME),
    "no symbol": ('{"ev":"T","sym":"not a symbol","p":1.5,"s":1,"t":1536036818784}', BAD_SYMBOL),
    "exchange out of range": ('{"ev":"T","sym":"MSFT","x":70000,"p":1.5,"s":1,"t":1536036818784}', BAD_NUMBER),
    "seven conditions": ('{"ev":"T","sym":"MSFT","p":1.5,"s":1,"c":[1,2,3,4,5,6,7],"t":1536036818784}', TOO_MANY_CONDITIONS),
    "a bare number": ("17", wire.NOT_AN_EVENT),
    "no kind": ('{"sym":"MSFT","p":1.5}', wire.NOT_AN_EVENT),
    "garbage": ("}}{{", wire.NOT_JSON),
}


@pytest.mark.parametrize("name", BROKEN_ELEMENTS)
def test_one_broken_element_costs_itself_and_never_its_batch(name, read):
    text, reason = BROKEN_ELEMENTS[name]
    good = compact([TRADE])[1:-1]
    columns = read(f"[{good},{text},{good},{good}]")
    assert len(columns.trades) == 3
    assert [broken.reason.split(":")[0] for broken in columns.broken] == [reason]
    assert columns.broken[0].raw


@pytest.mark.parametrize("cut", range(1, 330, 7))
def test_a_frame_cut_short_loses_only_the_element_it_was_cut_in(cut, read):
    frame = compact([TRADE] * 3)
    columns = read(frame[:cut])
    whole = sum(frame.find("}", k * (len(compact([TRADE])) - 1)) < cut for k in range(3))
    assert len(columns.trades) == whole
    assert len(columns.broken) <= 1


def test_a_frame_of_nothing_is_nothing(read):
    for frame in ("", "[]", "  ", "[ ]", b"[]"):
        columns = read(frame)
        assert (len(columns.trades), len(columns.quotes), columns.bars, columns.others) == (0, 0, [], [])


# -- two readers, one answer -------------------------------------------------------------------------------------------------


def random_event(rng: random.Random) -> dict:
    symbol = rng.choice(["A", "AAPL", "BRK.B", "KIMpL", "GOOGLMMM", "O:SPY241220P00720000", "O:SPXW261121C05000500", "I:SPX", "ZZ9"])
    price = rng.choice([round(rng.uniform(0.0001, 999), rng.randint(0, 6)), rng.randint(1, 10**6), 303067.6562332156, 1e-7, 0, -1.5, 1e22])
    stamp = rng.choice([1_700_000_000_000 + rng.randint(0, 10**7), 1_700_000_000, 1_700_000_000_123_456, 1_700_000_000_123_456_789, 0])
    kind = rng.random()
    if kind < 0.4:
        event = {"ev": "T", "sym": symbol, "x": rng.randint(0, 300)}
        event |= {"i": rng.choice([str(rng.randint(0, 10**9)), "é", 'a"b', "", "x" * 25]), "z": rng.randint(0, 3), "p": price}
        event |= {"s": rng.choice([1, 100, 2.5, 10**17]), "c": rng.sample(range(60), rng.randint(0, 7))}
        event |= {"t": stamp, "q": rng.randint(0, 10**12), "trfi": 202, "trft": stamp, "pt": stamp}
    elif kind < 0.8:
        event = {"ev": "Q", "sym": symbol, "bx": 4, "bp": price, "bs": rng.randint(0, 9), "ax": 7, "ap": price, "as": rng.randint(0, 9)}
        event |= {"c": rng.choice([0, 1, [2, 3], 40000]), "i": [604, 1], "t": stamp, "q": rng.randint(0, 10**9), "z": 3, "note": "a,b{}"}
    elif kind < 0.95:
        event = dict(MINUTE, sym=symbol, o=price, vw=rng.choice([price, 12.0]), s=stamp, otc=rng.choice([True, "x", 1]))
    else:
        event = {"ev": rng.choice(["status", "LULD", "V", "??"]), "T": symbol, "sym": symbol, "t": stamp, "val": 1.0, "status": "success"}
    keys = [key for key in event if rng.random() > 0.04]
    if rng.random() < 0.1:
        rng.shuffle(keys)
    return {key: event[key] for key in keys}


def spoil(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
        at, size = rng.randrange(len(data)), rng.randint(1, 4)
        what = rng.random()
        if what < 0.35:
            data = data[:at] + data[at + size :]
        elif what < 0.7:
            data = data[:at] + bytes(rng.choice(b'"{}[],:\\ .eE-0\n\xff\x00a') for _ in range(size)) + data[at:]
        elif what < 0.85:
            data = data[:at]
        else:
            data = data[:at] + data[at : at + 60] + data[at:]
        data = data or b"["
    return data


def told(columns, symbols):
    """Everything a frame said, in a form that does not depend on symbol numbers or on the order of odd elements."""
    rows = []
    for kind, array in (("T", columns.trades), ("Q", columns.quotes)):
        anonymous = array.copy()
        anonymous["symbol_id"] = 0
        rows += [(kind, symbols.name(int(one["symbol_id"])), other.tobytes()) for one, other in zip(array, anonymous, strict=True)]
    bars = [(symbol, row.tobytes()) for symbol, rows_of in columns.bars for row in rows_of]
    return sorted(rows), sorted(bars), sorted(map(repr, columns.others)), sorted(map(repr, columns.broken))


@pytest.mark.parametrize("seed", range(12))
def test_the_compiled_reader_and_msgspec_agree_on_spoiled_frames(seed, warmed):
    rng = random.Random(seed)
    for _ in range(150):
        separators = rng.choice([(",", ":"), (", ", ": ")])
        frame = spoil(rng, json.dumps([random_event(rng) for _ in range(rng.randint(1, 8))], separators=separators).encode())
        slow_symbols, fast_symbols = SymbolTable(["AAPL", "A"]), SymbolTable(["AAPL", "A"])
        slow = told(read_slowly(frame, NOW, slow_symbols), slow_symbols)
        reader = fast_reader(warmed, fast_symbols)
        for _again in range(2):  # the second time its symbols are known
            fast = told(reader.read(frame, NOW), fast_symbols)
            assert fast == slow, (seed, frame)


@pytest.mark.parametrize("seed", range(4))
def test_plain_decimals_are_rounded_as_python_rounds_them(seed, warmed):
    rng = random.Random(seed)
    reader = fast_reader(warmed, SymbolTable(["MSFT"]))
    fraction = lambda: f"{rng.randint(0, 10 ** rng.randint(1, 9) - 1):0{rng.randint(1, 9)}d}"
    texts = [f"{rng.randint(0, 10 ** rng.randint(1, 7))}.{fraction()}" for _ in range(500)]
    texts += [str(rng.randint(0, 10 ** rng.randint(1, 17))) for _ in range(500)]
    frame = "[" + ",".join(f'{{"ev":"T","sym":"MSFT","p":{text},"s":1,"t":1700000000000}}' for text in texts) + "]"
    trades = reader.read(frame, NOW).trades
    assert sorted(trades["price"].tolist()) == sorted(map(float, texts))


def test_frames_longer_than_the_scratch_space_are_read_whole(warmed):
    reader = fast_reader(warmed, SymbolTable(["MSFT", "GTE"]))
    n = 2 * SCRATCH_ROWS + 100
    columns = reader.read(compact([TRADE, QUOTE, MINUTE] * n), NOW)
    assert (len(columns.trades), len(columns.quotes), len(columns.bars[0][1])) == (n, n, n)
    assert np.all(columns.trades["price"] == 114.125)


def test_ten_thousand_symbols_are_told_apart(warmed):
    names = [f"{prefix}{k}" for k in range(2500) for prefix in ("A", "ZZZZZZZ", "O:SPY241220P", "O:SPXW241220C0000")]
    symbols = SymbolTable()
    reader = fast_reader(warmed, symbols)
    for _round in range(2):
        columns = reader.read(compact([TRADE | {"sym": name, "q": k} for k, name in enumerate(names)]), NOW)
        assert columns.broken == []
        for row in columns.trades:
            assert symbols.name(int(row["symbol_id"])) == names[int(row["sequence"])]


def test_symbols_whose_hashes_meet_in_one_slot_are_both_found():
    slots = SymbolSlots()
    by_place: dict[int, str] = {}
    for k in range(5000):
        name = f"S{k}"
        place = (symbol_hash(symbol_words(name.encode())) >> 40) % len(slots.slots)
        if place in by_place:
            slots.add(by_place[place], 1)
            slots.add(name, 2)
            break
        by_place[place] = name
    assert sorted(slots.slots["id"][slots.slots["id"] >= 0].tolist()) == [1, 2]
