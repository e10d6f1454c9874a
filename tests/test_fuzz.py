"""Spoiled input to every parser: bytes flipped, cut, doubled and spliced, numbers and types exchanged. Nothing is uncaught.

Files may be refused with the house's own errors; frames from a provider never raise at all: what can't be read is put aside.
Whatever passes has prices that are numbers, and the hub's gate lets no other through. A failing case is told by its seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.scorecard import count
from tests.stubs import tape
from workbench.errors import WorkbenchError
from workbench.history.recording import load
from workbench.history.schema import ReadOptions
from workbench.hub.clean import Quarantine, TradeCleaner, clean_quotes
from workbench.sources.alpaca.wire import FrameReader as PackedReader
from workbench.sources.live.rows import Columns
from workbench.sources.polygon.rest import Page
from workbench.sources.polygon.scan import FrameReader
from workbench.types import OptionContract, SymbolTable, Timeframe, check_symbol

NOW = 1_763_650_000_000_000_000
FRAME = [
    {"ev": "T", "sym": "SPY", "x": 4, "i": "12345", "z": 3, "p": 114.125, "s": 100, "c": [0, 12], "t": 1763649999000, "q": 3681328},
    {"ev": "Q", "sym": "SPY", "bx": 4, "bp": 114.125, "bs": 100, "ax": 7, "ap": 114.128, "as": 160, "c": 0, "t": 1763649999001, "q": 7},
    {
        "ev": "AM",
        "sym": "SPY",
        "v": 4110,
        "vw": 0.4488,
        "o": 0.4488,
        "c": 0.4486,
        "h": 0.4489,
        "l": 0.4486,
        "s": 1763649900000,
        "e": 1763649960000,
    },
    {"ev": "status", "status": "success", "message": "subscribed to: T.SPY"},
]
STAMP = msgpack.Timestamp(1_763_649_999, 5)
PACKED = [
    {"T": "t", "S": "SPY", "i": 96921, "x": "D", "p": 114.125, "s": 100, "c": ["@", "I"], "t": STAMP, "z": "B"},
    {"T": "q", "S": "SPY", "bx": "U", "bp": 114.125, "bs": 1, "ax": "Q", "ap": 114.128, "as": 4, "c": ["R"], "t": STAMP, "z": "B"},
    {"T": "b", "S": "SPY", "o": 0.4488, "h": 0.4489, "l": 0.4486, "c": 0.4486, "v": 4110, "n": 9, "vw": 0.4488, "t": STAMP},
    {"T": "x", "S": "SPY", "i": 96921, "x": "D", "p": 114.125, "s": 100, "a": "C", "t": STAMP, "z": "B"},
    {"T": "subscription", "trades": ["SPY"], "quotes": ["SPY"], "bars": []},
]
PAGE = {
    "ticker": "SPY",
    "resultsCount": 1,
    "status": "OK",
    "results": [{"t": 1763649900000, "o": 1.0, "h": 1.1, "l": 0.9, "c": 1.0, "v": 10, "n": 3}],
}
ODD = (None, True, -1, 0, 1e308, -1e-300, float("inf"), float("nan"), 2**63, "", "x", "1.5", [], {}, [[[]]], "\ud800", "\x00", "SPY" * 50)
TEXTS = {
    "trades": "ts,symbol,price,size,conditions\n2026-11-20T10:00:00-05:00,SPY,100.01,100,0 41\n2026-11-20T10:00:01-05:00,SPY,100.02,5,37\n",
    "quotes": "ts,symbol,bid,bid_size,ask,ask_size\n1763650000000000000,SPY,100.01,100,100.02,200\n",
    "bars": "ts,symbol,open,high,low,close,volume\n2026-11-20T10:00:00-05:00,SPY,1,2,0.5,1.5,100\n2026-11-20T10:01:00-05:00,SPY,1,2,0.5,1.5,9\n",
}


def spoil_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with one to four wounds."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(5)
        if kind == 0 and out:
            out[min(at, len(out) - 1)] = rng.randrange(256)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            out[at:at] = bytes(rng.choices(b'{}[]",:0123456789.eE+-nulltrue\\\x00\xff\xc3', k=rng.randint(1, 6)))
        elif kind == 3:
            del out[at : at + rng.randint(1, 9)]
        else:
            out[at:at] = out[at // 2 : at]
    return bytes(out)


def spoil_values(value: object, rng: random.Random) -> object:
    """Return nested JSON with some values exchanged for odd ones, keys dropped or repeated."""
    if isinstance(value, dict):
        return {key: spoil_values(inner, rng) for key, inner in value.items() if rng.random() > 0.03}
    if isinstance(value, list) and value and rng.random() > 0.05:
        return [spoil_values(inner, rng) for inner in value for _ in range(1 + (rng.random() < 0.05))]
    return rng.choice(ODD) if rng.random() < 0.08 else value


def spoiled_json(content: object, rng: random.Random) -> bytes:
    """Return a document that is wrong in its values, its bytes, or both."""
    text = json.dumps(spoil_values(content, rng) if rng.random() < 0.7 else content).encode("utf-8", "surrogatepass")
    return spoil_bytes(text, rng) if rng.random() < 0.6 else text


def check_numbers(rows: np.ndarray, *names: str) -> None:
    """Refuse a price that is no positive number."""
    for name in names:
        assert np.isfinite(rows[name]).all(), name
        assert (rows[name] > 0).all(), name


def check_columns(columns: Columns) -> None:
    """Refuse what the hub's gate would let through of a frame and no chart may show."""
    table = SymbolTable(["SPY"])
    good = TradeCleaner(table, Quarantine()).clean(columns.trades[columns.trades["symbol_id"] == 0], NOW)
    check_numbers(good, "price")
    assert (good["size"] >= 0).all()  # official prices come with size 0
    quotes = clean_quotes(columns.quotes[columns.quotes["symbol_id"] == 0], table, Quarantine())
    for name in ("bid", "ask"):
        assert not np.isinf(quotes[name]).any()
        assert not (quotes[name] <= 0).any()


# -- the parsers ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fast() -> FrameReader:
    reader = FrameReader(SymbolTable(["SPY"]))
    reader.warm()
    return reader


@pytest.fixture
def parsers(fast, tmp_path) -> dict[str, tuple[int, Callable[[random.Random], None]]]:
    """Return, by name, how many of 1,000 cases a parser gets, and what runs one case."""
    slow = FrameReader(SymbolTable(["SPY"]))
    packed = PackedReader(SymbolTable(["SPY"]), is_options=False)

    def frame(rng: random.Random) -> None:
        data = spoiled_json(FRAME, rng)
        reader = fast if rng.random() < 0.7 else slow
        check_columns(reader.read(data if rng.random() < 0.8 else data.decode("utf-8", "replace"), NOW))

    def packed_frame(rng: random.Random) -> None:
        content = spoil_values(PACKED, rng) if rng.random() < 0.7 else PACKED
        data = msgpack.packb(content, unicode_errors="surrogatepass")
        check_columns(packed.read(spoil_bytes(data, rng) if rng.random() < 0.6 else data, NOW))

    def page(rng: random.Random) -> None:
        import msgspec

        try:
            msgspec.json.decode(spoiled_json(PAGE, rng), type=Page)
        except (msgspec.DecodeError, UnicodeDecodeError):  # what rest.py takes for a broken page and asks for again
            return

    def text_file(rng: random.Random) -> None:
        kind = rng.choice(list(TEXTS))
        path = tmp_path / f"{kind}.csv"
        path.write_bytes(spoil_bytes(TEXTS[kind].encode(), rng))
        read(path)

    rows = tape(1, minutes=1)
    table = pa.table({"ts": rows["ts_event"], "symbol": ["SPY"] * len(rows), "price": rows["price"], "size": rows["size"]})
    pq.write_table(table, tmp_path / "good.parquet")
    good = (tmp_path / "good.parquet").read_bytes()

    def parquet_file(rng: random.Random) -> None:
        path = tmp_path / "trades.parquet"
        path.write_bytes(spoil_bytes(good, rng))
        read(path)

    def names(rng: random.Random) -> None:
        text = spoil_bytes(rng.choice([b"O:SPY261218C00700000", b"BRK.B", b"SPX   261218P05000000"]), rng).decode("utf-8", "replace")
        for parse in (check_symbol, OptionContract.parse, Timeframe.parse):
            try:
                parse(text)
            except WorkbenchError as error:
                assert "allowed" in str(error), error

    frames = {"frame": (680, frame), "packed frame": (200, packed_frame)}
    return frames | {"page": (60, page), "names": (50, names), "text file": (7, text_file), "parquet file": (3, parquet_file)}


def read(path) -> None:
    """Load a file; refusal in the house's own words is fine, anything else is not."""
    try:
        recording = load(path, ReadOptions())
    except WorkbenchError:
        return
    prices = {"trades": ("price",), "bars": ("open", "high", "low", "close"), "quotes": ()}[recording.kind]
    check_numbers(recording.rows, *prices)


@pytest.mark.soak("fuzz")
@pytest.mark.filterwarnings("ignore")  # numpy and pyarrow may grumble about what they are fed
def test_no_spoiled_input_is_uncaught(parsers, cases):
    for name, (share, run) in parsers.items():
        for seed in range(count("fuzz") * share // 1000):
            cases.n += 1
            try:
                run(random.Random(f"{name} {seed}"))
            except Exception as error:  # noqa: BLE001  every kind is a finding
                cases.failed.append(f"{name} {seed}: {type(error).__name__}: {str(error)[:200]}")
    assert not cases.failed, "\n".join(cases.failed[:20])
