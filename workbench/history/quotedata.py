"""A chain as Cboe's page of delayed quotes writes it to a file (quotedata): title lines, then call and put of a strike side by side.

In: the file as it was downloaded. Out: rows of CHAIN_DTYPE, the spot, and the moment they are of. A bid or ask of 0 is nobody; an IV of
0 was not computed, and neither were the delta and gamma beside it; a last sale of 0 never was.

The time in the title line is New York's, of the page, not of the prices: those are 15 minutes older, and of the close after it. For an
option of the day that is 3 % of volatility at noon, so `ts_ns` is the prices' time.

Floor 1: numpy; the text by `tables.py`.

Source: https://www.cboe.com/delayed_quotes/ ("Download CSV"). The delay was measured on a file titled 11:55: the index in it stood there
at 11:38 by minute bars of its fund and never within ten minutes of 11:55, and its volatilities of the day agree with the time 15
minutes before (`tests/history/test_chain_files.py`).
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from workbench.errors import FileError, SchemaError, SymbolError
from workbench.history.tables import extension, read_text
from workbench.options.chain import contract_rows
from workbench.options.expiry import LATE_NS, Delivery, style
from workbench.sessions import NY_TZ, SessionCalendar, to_ns, to_ny
from workbench.types import NS_PER_S, OptionContract

SIDE = ("Last Sale", "Net", "Bid", "Ask", "Volume", "IV", "Delta", "Gamma", "Open Interest")
HEADER = ("Expiration Date", "Calls", *SIDE, "Strike", "Puts", *SIDE)
_FIELDS = ("last", "", "bid", "ask", "volume", "vendor_iv", "vendor_delta", "vendor_gamma", "open_interest")
MINUTE_NS = 60 * NS_PER_S
DELAY_NS = 15 * MINUTE_NS
_TITLE_LINES = 10  # at most, before the header
_DATE = re.compile(r"Date: (\w+ \d{1,2}, \d{4}),?(?: at)? (\d{1,2}:\d\d [AP]M)")


@dataclass(frozen=True, slots=True)
class QuoteData:
    """`ts_ns`: the moment of the prices [ns UTC]; `spot`: the title's last [USD]. `notes`: what was assumed and put aside."""

    rows: np.ndarray
    spot: float
    ts_ns: int
    notes: tuple[str, ...]


def is_quotedata(path: Path) -> bool:
    """Return whether a file is laid out this way, from its first lines; FileError when it can't be read at all."""
    return extension(path) != ".parquet" and _header_line(read_text(path).splitlines()[:_TITLE_LINES]) is not None


def _header_line(lines: list[str]) -> int | None:
    return next((k for k, line in enumerate(lines) if line.startswith("Expiration Date,Calls,")), None)


def read_quotedata(path: Path, calendar: SessionCalendar) -> QuoteData:
    """Return the file's contracts. SchemaError names line and column where title or header are not as they should be."""
    lines = read_text(path).splitlines()
    start = _header_line(lines[:_TITLE_LINES])
    if start is None:
        raise SchemaError(f"{path.name}: received no line that begins 'Expiration Date,Calls,'; allowed: quote data of Cboe as downloaded")
    header = next(csv.reader([lines[start]]))
    if tuple(name.strip() for name in header if name.strip()) != HEADER:
        raise SchemaError(f"{path.name}: line {start + 1}: columns: received {', '.join(header)}; allowed: {', '.join(HEADER)}")
    title = "\n".join(lines[:start])
    contracts, values, unread = _sides(lines[start + 1 :], start + 2)
    if not contracts and unread:
        raise FileError(f"{path.name}: {next(iter(unread.values()))[1]}: no line can be read; fetch the file again")
    rows = contract_rows(contracts, calendar)
    table = np.array(values, np.float64).reshape(-1, len(_FIELDS))
    for k, name in enumerate(_FIELDS):
        if name:
            rows[name] = table[:, k]
    rows["last"][rows["last"] == 0] = np.nan
    not_computed = rows["vendor_iv"] == 0
    for name in ("vendor_iv", "vendor_delta", "vendor_gamma"):
        rows[name][not_computed] = np.nan
    page_ns = _moment(path, title)
    rows["ts_ns"] = ts_ns = _prices_ns(page_ns, rows, calendar)
    notes = [f"the page of {_hour(page_ns)} is delayed by {DELAY_NS // MINUTE_NS} minutes: prices taken as of {_hour(ts_ns)} New York"]
    if not_computed.any():
        notes.append(f"IV: 0 for {int(not_computed.sum()):,} contracts: taken as not computed, delta and gamma with it")
    notes += [f"quarantined: {n:,} rows: {reason} (first: {first})" for reason, (n, first) in unread.items()]
    return QuoteData(rows, _last(path, title), ts_ns, tuple(notes))


def _sides(lines: list[str], first_line: int) -> tuple[list[OptionContract], list[list[float]], dict[str, tuple[int, str]]]:
    """Return contracts and their numbers, two for each line, and reason -> (lines put aside, the first of them)."""
    contracts: list[OptionContract] = []
    values: list[list[float]] = []
    unread: dict[str, tuple[int, str]] = {}

    def put_aside(reason: str, line: int, cell: str) -> None:
        n, first = unread.get(reason, (0, f"line {line}, {cell!r}"))
        unread[reason] = (n + 1, first)

    for line, cells in enumerate(csv.reader(lines), first_line):
        if not any(cells):
            continue
        if len(cells) < len(HEADER):
            put_aside("line with the wrong number of fields", line, ",".join(cells)[:40])
            continue
        for name, side in ((cells[1], cells[2:11]), (cells[12], cells[13:22])):
            try:
                contract = OptionContract.parse(name)
                numbers = [float(cell.replace(",", "")) if cell.strip() else math.nan for cell in side]
            except SymbolError:
                put_aside("no option symbol", line, name)
                continue
            except ValueError:
                put_aside("a field that is no number", line, ",".join(side))
                continue
            contracts.append(contract)
            values.append(numbers)
    return contracts, values, unread


def _moment(path: Path, title: str) -> int:
    found = _DATE.search(title)
    if found is None:
        raise SchemaError(f"{path.name}: title: received no date; allowed: a line like 'Date: July 12, 2022, 11:55 AM EDT'")
    moment = datetime.strptime(f"{found[1]} {found[2]}", "%B %d, %Y %I:%M %p")
    return to_ns(moment.replace(tzinfo=NY_TZ))


def _prices_ns(page_ns: int, rows: np.ndarray, calendar: SessionCalendar) -> int:
    """Return when the prices on a page were quoted: 15 minutes before it, or when the contracts last traded."""
    ts_ns = page_ns - DELAY_NS
    row = calendar.latest(ts_ns)
    if ts_ns < calendar.sessions["open"][row]:
        row -= 1
    styles = [style(str(root)) for root in np.unique(rows["root"])]
    is_late = any(how.ends_late or how.delivery is Delivery.CASH for how in styles)
    return min(ts_ns, int(calendar.sessions["close"][row]) + (LATE_NS if is_late else 0))


def _hour(ts_ns: int) -> str:
    return f"{to_ny(ts_ns):%Y-%m-%d %H:%M}"


def _last(path: Path, title: str) -> float:
    found = re.search(r"Last: *([\d,]*\.?\d+)", title)
    if found is None:
        raise SchemaError(f"{path.name}: title: received no price; allowed: a line like 'SPDR S&P 500 ETF Trust,Last: 450.81'")
    return float(found[1].replace(",", ""))
