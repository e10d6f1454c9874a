"""Files of options as chains: the schema in every spelling, the moment asked for, and what is put aside or refused, by line."""

from __future__ import annotations

import gzip
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import FileError, SchemaError, TimestampError
from workbench.history.chains import read_chain
from workbench.sessions import SessionCalendar, ny_ns

CALENDAR = SessionCalendar.xnys()
ASOF = ny_ns(date(2026, 3, 19), 11)
T = "2026-03-19T11:00:00-04:00"


def read(path, **kwargs):
    return read_chain(path, calendar=CALENDAR, **kwargs)


def file(tmp_path, text, name="chain.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


PLAIN = f"""symbol,bid,ask,bid_size,ask_size,last,volume,open_interest,iv,delta,ts
SPY260320C00600000,2.50,2.55,10,12,2.52,1500,9000,0.21,0.51,{T}
SPY260320P00600000,2.40,2.45,11,13,,0,8000,0.21,-0.49,{T}
O:SPY260320C00602500,1.20,1.25,5,6,1.22,7,100,0.205,0.33,{T}
"""


def test_the_schema_gives_every_column_and_the_moment_of_the_newest_row(tmp_path):
    chain = read(file(tmp_path, PLAIN), spot=600.2)
    assert (chain.underlying, chain.asof_ns, chain.spot, chain.spot_ts_ns) == ("SPY", ASOF, 600.2, ASOF)
    row = chain.rows[0]
    assert (row["symbol"], row["root"], row["strike"], row["right"]) == ("SPY260320C00600000", "SPY", 600.0, "C")
    assert (row["expiry"], row["expiry_ns"]) == (np.datetime64("2026-03-20"), ny_ns(date(2026, 3, 20), 16))
    told = [
        float(row[name]) for name in ("bid", "ask", "bid_size", "ask_size", "last", "volume", "open_interest", "vendor_iv", "vendor_delta")
    ]
    assert told == [2.50, 2.55, 10, 12, 2.52, 1500, 9000, 0.21, 0.51]
    assert np.isnan(chain.rows["last"][1])
    assert chain.rows["strike"].tolist() == [600.0, 600.0, 602.5]
    assert chain.notes[-1] == "half loaded: 1 of 2 strikes have a call or a put only"


@pytest.mark.parametrize(
    "text",
    [
        "root,expiry,strike,right,bid,ask\nSPXW,2026-03-20,5000.5,C,1.0,1.1\nSPXW,2026-03-20,5000.5,P,1.0,1.1\n",
        "underlying;expiration;strike;option_type;bid;ask\nSPXW;20260320;5000.5;call;1.0;1.1\nSPXW;20260320;5000.5;put;1.0;1.1\n",
        'Root,Expiration Date,Strike Price,cp,bidPrice,askPrice\nspxw,2026-03-20,"5,000.50",c,1.0,1.1\nspxw,2026-03-20,"5,000.50",p,1.0,1.1\n',
    ],
)
def test_root_expiry_strike_and_right_do_as_well_in_vendors_words(tmp_path, text):
    chain = read(file(tmp_path, text), asof_ns=ASOF)
    assert chain.rows["symbol"].tolist() == ["SPXW260320C05000500", "SPXW260320P05000500"]
    assert chain.underlying == "SPX"
    assert chain.rows["ts_ns"].tolist() == [ASOF, ASOF]
    assert any("no column ts" in note for note in chain.notes)
    assert np.isnan(chain.spot)


def test_parquet_and_gzip_hold_the_same_chain(tmp_path):
    plain = file(tmp_path, PLAIN)
    zipped = tmp_path / "chain.csv.gz"
    zipped.write_bytes(gzip.compress(PLAIN.encode()))
    table = pa.table(
        {
            "root": ["SPY"] * 3,
            "expiry": pa.array([date(2026, 3, 20)] * 3),
            "strike": [600.0, 600.0, 602.5],
            "right": ["C", "P", "C"],
            "bid": [2.50, 2.40, 1.20],
            "ask": [2.55, 2.45, 1.25],
            "ts": pa.array([ASOF] * 3, pa.timestamp("ns", "UTC")),
        }
    )
    pq.write_table(table, tmp_path / "chain.parquet")
    first, second, third = read(plain), read(zipped), read(tmp_path / "chain.parquet")
    assert first.rows.tobytes() == second.rows.tobytes()
    for name in ("symbol", "bid", "ask", "ts_ns", "expiry_ns"):
        assert first.rows[name].tolist() == third.rows[name].tolist()


SEVERAL = """symbol,bid,ask,ts,spot
SPY260320C00600000,1.0,1.1,2026-03-19T10:00:00-04:00,599.0
SPY260320C00600000,2.0,2.1,2026-03-19T10:30:00-04:00,600.0
SPY260320P00600000,3.0,3.1,2026-03-19T10:10:00-04:00,599.5
SPY260320C00600000,9.0,9.1,2026-03-19T11:00:00-04:00,610.0
"""


def test_a_file_of_several_moments_tells_only_what_was_known_at_the_one_asked_for(tmp_path):
    path = file(tmp_path, SEVERAL)
    at = ny_ns(date(2026, 3, 19), 10, 45)
    chain = read(path, asof_ns=at)
    assert chain.rows["bid"].tolist() == [2.0, 3.0]
    assert (chain.spot, chain.spot_ts_ns, chain.asof_ns) == (600.0, ny_ns(date(2026, 3, 19), 10, 30), at)
    assert any("1 rows are of later" in note for note in chain.notes)
    assert read(path).rows["bid"].tolist() == [9.0, 3.0]
    with pytest.raises(SchemaError, match="asof: received a moment before anything"):
        read(path, asof_ns=ny_ns(date(2026, 3, 19), 9))


def test_crossed_zero_and_missing_quotes_are_the_markets_and_stay(tmp_path):
    text = "symbol,bid,ask\nSPY260320C00600000,3,2\nSPY260320P00600000,0,0.05\nSPY260320C00605000,,1.0\nSPY260320P00605000,-,n/a\n"
    chain = read(file(tmp_path, text), asof_ns=ASOF)
    assert chain.rows["bid"].tolist()[:2] == [3.0, 0.0]
    assert np.isnan(chain.rows["bid"][2:]).all()
    assert not [note for note in chain.notes if "quarantined" in note]


def test_rows_that_cannot_be_read_are_put_aside_counted_and_named_with_their_line(tmp_path):
    good = "".join(f"SPY260320C00{k}000,1,1.1,10,\n" for k in range(600, 612))
    text = (
        "symbol,bid,ask,open_interest,multiplier\n"
        + good
        + "\nSPYC600,1,1.1,10,\nSPY260399C00600000,1,1.1,10,\nSPY260320C00700000,abc,1.1,10,\n"
        + "SPY260320C00701000,1,inf,10,\nSPY260320C00702000,1,1.1,-4,\nSPY260320C00703000,1,1.1\n"
    )
    chain = read(file(tmp_path, text), asof_ns=ASOF)
    assert len(chain) == 12
    told = [note for note in chain.notes if note.startswith("quarantined")]
    assert told == [
        "quarantined: 1 rows: line with the wrong number of fields",
        "quarantined: 2 rows: no option symbol (first: line 15, 'SPYC600')",
        "quarantined: 1 rows: bid is no number (first: line 17, 'abc')",
        "quarantined: 1 rows: ask is infinite (first: line 18, 'inf')",
        "quarantined: 1 rows: open_interest below 0 (first: line 19, '-4')",
    ]


def test_adjusted_contracts_come_by_root_or_by_multiplier(tmp_path):
    text = (
        "symbol,bid,ask,shares_per_contract\nAAPL1260320C00200000,1,1.1,100\nAAPL260320C00200000,1,1.1,150\nAAPL260320C00210000,1,1.1,100\n"
    )
    chain = read(file(tmp_path, text), asof_ns=ASOF)
    assert dict(zip(chain.rows["symbol"].tolist(), chain.rows["is_standard"].tolist(), strict=True)) == {
        "AAPL1260320C00200000": False,
        "AAPL260320C00200000": False,
        "AAPL260320C00210000": True,
    }
    assert chain.underlying == "AAPL"


def test_a_volatility_of_zero_was_not_computed(tmp_path):
    text = "symbol,bid,ask,iv,delta\nSPY260320C00600000,1,1.1,0,1\nSPY260320P00600000,1,1.1,0.2,-0.4\n"
    chain = read(file(tmp_path, text), asof_ns=ASOF)
    assert np.isnan([chain.rows["vendor_iv"][0], chain.rows["vendor_delta"][0]]).all()
    assert chain.rows["vendor_delta"][1] == -0.4
    assert "iv: 0 in 1 rows: taken as not computed" in chain.notes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "symbol,bid\nSPY260320C00600000,1\n",
            r"line 1: columns: received symbol, bid; lacks ask; allowed: symbol \(OCC\) or root, expiry",
        ),
        ("strike,right,bid,ask\n600,C,1,1\n", r"lacks root, expiry; allowed"),
        ("symbol,bid,ask\nSPY,1,1.1\nQQQ,1,1\n", r"line 2: column 'symbol': no option symbol: received 'SPY'; allowed: OCC form"),
        ("symbol,bid,ask\nSPY260320C00600000,one,1.1\n", r"line 2: column 'bid': bid is no number: received 'one'; allowed: a number"),
        (
            "root,expiry,strike,right,bid,ask\nSPY,3/20/2026,600,C,1,2\n",
            r"line 2: column 'strike': .*allowed: root SPXW, expiry 2026-09-18",
        ),
        ("symbol,bid,ask\n", "received a header and no rows"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_line_column_and_what_is_allowed(tmp_path, text, said):
    with pytest.raises(SchemaError, match=said):
        read(file(tmp_path, text), **({} if text.endswith("ask\n") else {"asof_ns": ASOF}))


def test_a_file_without_times_asks_for_the_moment_and_naive_times_for_their_zone(tmp_path):
    with pytest.raises(SchemaError, match=r"received no column of times; next: give the moment of the file \(asof\)"):
        read(file(tmp_path, "symbol,bid,ask\nSPY260320C00600000,1,1.1\n"))
    naive = file(tmp_path, "symbol,bid,ask,ts\nSPY260320C00600000,1,1.1,2026-03-19 11:00:00\n")
    with pytest.raises(TimestampError, match="without zone"):
        read(naive)
    assert read(naive, tz="America/New_York").asof_ns == ASOF


def test_an_empty_chain_of_a_given_moment_is_a_chain(tmp_path):
    chain = read(file(tmp_path, "symbol,bid,ask\n"), asof_ns=ASOF, underlying="SPY")
    assert (len(chain), chain.underlying) == (0, "SPY")
    assert "the chain is empty: no contract was told" in chain.notes


def test_each_underlying_of_a_file_has_its_own_spot(tmp_path):
    later = "2026-03-19T11:00:01-04:00"
    rows = f"SPY260320C00600000,1,1.1,600.5,{later}\nQQQ260320C00500000,1,1.1,500.25,{T}\n"
    path = file(tmp_path, f"symbol,bid,ask,spot,ts\n{rows}")
    assert [read(path, underlying=name).spot for name in ("SPY", "QQQ")] == [600.5, 500.25]


def test_several_underlyings_are_told_apart(tmp_path):
    path = file(tmp_path, "symbol,bid,ask\nSPY260320C00600000,1,1.1\nSPXW260320C06000000,1,1.1\nSPX260320C06000000,1,1.1\n")
    with pytest.raises(SchemaError, match="options on SPX, SPY; next: say which one"):
        read(path, asof_ns=ASOF)
    assert sorted(read(path, asof_ns=ASOF, underlying="spx").rows["root"]) == ["SPX", "SPXW"]
    with pytest.raises(SchemaError, match="underlying: received 'QQQ'"):
        read(path, asof_ns=ASOF, underlying="QQQ")


def test_an_index_named_as_underlying_is_told_apart_from_its_monthly_root(tmp_path):
    head, tail = "expiry,strike,right,bid,ask\n", "6000,C,10,11\n"
    weekly = read(file(tmp_path, f"underlying,{head}SPX,2026-03-18,{tail}SPX,2026-03-20,{tail}"), asof_ns=ASOF)
    (said,) = [note for note in weekly.notes if "third Fridays" in note]
    assert "SPX" in said and "2026-03-18 is none" in said
    for text in (
        f"underlying,{head}SPX,2026-03-20,{tail}",
        f"root,{head}SPXW,2026-03-18,{tail}",
        f"underlying,{head}SPY,2026-03-18,{tail}",
    ):
        assert not any("third Fridays" in note for note in read(file(tmp_path, text), asof_ns=ASOF).notes)


def test_damage_is_told_in_words(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        read(tmp_path / "none.csv")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(PLAIN.encode())[:-20])
    with pytest.raises(FileError, match="truncated"):
        read(cut)
    with pytest.raises(SchemaError, match=r"spot: received -1; allowed: a price above 0"):
        read(file(tmp_path, PLAIN), spot=-1)


# -- Cboe's page ----------------------------------------------------------------------------------------------------------------

SIDE = "Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
HEADER = f"Expiration Date,Calls,{SIDE},Strike,Puts,{SIDE}"
LINE = "Fri Mar 20 2026,SPY260320C00600000,2.5,0,2.5,2.6,15,0.2,0.5,0.05,900,600.00,SPY260320P00600000,0,0,0,0.05,0,0,0,0,7"


def page(tmp_path, title, lines=(LINE,)):
    return file(tmp_path, "\n".join([*title, HEADER, *lines]) + "\n", "SPY_quotedata.csv")


@pytest.mark.parametrize(
    ("title", "moment"),
    [
        (["SPDR,Last: 600.25,Change: 1", '"Date: March 19, 2026, 11:15 AM EDT",Bid: 1'], (date(2026, 3, 19), 11, 0)),
        (["", "SPDR,Last: 600.25,Change: 1", '"Date: March 19, 2026 at 9:05 PM EDT",Bid: 1'], (date(2026, 3, 19), 16, 15)),
        (["SPDR,Last: 600.25", '"Date: March 21, 2026 at 10:00 AM EDT"'], (date(2026, 3, 20), 16, 15)),  # a Saturday
        (["SPDR,Last: 600.25", '"Date: November 27, 2026 at 6:00 PM EST"'], (date(2026, 11, 27), 13, 15)),  # a half day
        (["SPDR,Last: 600.25", '"Date: March 19, 2026 at 8:00 AM EDT"'], (date(2026, 3, 18), 16, 15)),
    ],
)
def test_a_page_of_cboe_is_of_the_time_its_prices_were_quoted(tmp_path, title, moment):
    """15 minutes before the page, or the end of trading before it; hand-made lines in the three spellings of the date."""
    chain = read(page(tmp_path, title))
    assert chain.asof_ns == chain.spot_ts_ns == chain.rows["ts_ns"][0] == ny_ns(*moment)
    assert (chain.spot, chain.underlying) == (600.25, "SPY")
    call, put = chain.rows
    assert (call["bid"], call["ask"], call["volume"], call["vendor_iv"], call["vendor_delta"], call["vendor_gamma"]) == (
        2.5,
        2.6,
        15,
        0.2,
        0.5,
        0.05,
    )
    assert (put["bid"], put["ask"], put["open_interest"]) == (0.0, 0.05, 7)
    assert np.isnan([put["last"], put["vendor_iv"], put["vendor_delta"], put["bid_size"]]).all()


def test_broken_lines_of_a_page_are_put_aside_with_their_line(tmp_path):
    title = ["SPDR,Last: 600.25", '"Date: March 19, 2026, 11:15 AM EDT"']
    broken = LINE.replace("SPY260320C00600000", "SPY?").replace(",7", ",x")
    chain = read(page(tmp_path, title, [LINE, broken, "Fri Mar 20 2026,SPY"]))
    assert [note for note in chain.notes if "quarantined" in note] == [
        "quarantined: 1 rows: no option symbol (first: line 5, 'SPY?')",
        "quarantined: 1 rows: a field that is no number (first: line 5, '0,0,0,0.05,0,0,0,0,x')",
        "quarantined: 1 rows: line with the wrong number of fields (first: line 6, 'Fri Mar 20 2026,SPY')",
    ]


@pytest.mark.parametrize(
    ("title", "said"),
    [(["SPDR,Last: 600.25"], "title: received no date"), (['"Date: March 19, 2026, 11:15 AM EDT"'], "title: received no price")],
)
def test_a_page_without_its_title_is_refused(tmp_path, title, said):
    with pytest.raises(SchemaError, match=said):
        read(page(tmp_path, title))


def test_a_page_with_other_columns_is_refused(tmp_path):
    path = file(tmp_path, f"X,Last: 1\nDate: March 19, 2026, 11:15 AM EDT\n{HEADER.replace('Gamma', 'Theta')}\n{LINE}\n")
    with pytest.raises(SchemaError, match="line 3: columns: received .*Theta"):
        read(path)
