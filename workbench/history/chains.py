"""A file of options as a Chain at one moment.

By extension `.parquet`, `.csv`, `.csv.gz`, one row a contract:

symbol (OCC) | root, expiry, strike, right; bid, ask
[, bid_size, ask_size, last, volume, open_interest, iv, delta, gamma, ts, spot, multiplier]

A file with several moments gives the chain as it was known at the one asked for. Chains as Cboe's page of delayed quotes writes them
(`quotedata.py`), quotes by minute (`minute_chains.py`) and snapshots as providers answer them (`.json`, `chain_messages.py`) load as
they are. Vendors' names are recognised, each assumption is a note of
the chain; a row that can't be read is put aside, counted, and named with its line. Crossed and missing quotes stay: they are the
market's, and get a status where they are priced.

Floor 1: numpy, `options/chain.py`; pyarrow and pandas inside.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from workbench.errors import CalendarError, FileError, ReadingError, SchemaError, choices
from workbench.history.chain_cells import Cells
from workbench.history.chain_messages import decode_snapshot
from workbench.history.columns import plain_name
from workbench.history.minute_chains import MinuteChain, is_minute_file, read_minutes
from workbench.history.quotedata import is_quotedata, read_quotedata
from workbench.options.chain import Chain, contract_rows, make_chain
from workbench.options.expiry import monthly_expiry, session_of
from workbench.options.structures import underlying_of
from workbench.sessions import SessionCalendar
from workbench.types import OptionContract

# our column -> names it goes by, the best first
ALIASES: dict[str, tuple[str, ...]] = {
    "symbol": ("symbol", "option_symbol", "contract_symbol", "occ", "contract", "ticker", "option"),
    "root": ("root", "option_root", "underlying", "underlying_symbol"),
    "expiry": ("expiry", "expiration", "expiration_date", "expiry_date", "exp_date"),
    "strike": ("strike", "strike_price"),
    "right": ("right", "option_type", "contract_type", "call_put", "put_call", "cp", "type"),
    "bid": ("bid", "bid_price", "best_bid"),
    "ask": ("ask", "ask_price", "best_ask", "best_offer", "offer"),
    "bid_size": ("bid_size", "bid_qty"),
    "ask_size": ("ask_size", "ask_qty"),
    "last": ("last", "last_price", "last_sale", "close"),
    "volume": ("volume", "vol"),
    "open_interest": ("open_interest", "oi"),
    "iv": ("iv", "implied_volatility", "implied_vol"),
    "delta": ("delta",),
    "gamma": ("gamma",),
    "ts": ("ts", "timestamp", "quote_time", "quote_ts", "datetime", "time"),
    "spot": ("spot", "underlying_price", "underlying_last", "active_underlying_price"),
    "multiplier": ("multiplier", "shares_per_contract", "contract_size"),
}
UNDERLYING_NAMES = ("underlying", "underlying_symbol")  # taken for a root for want of one
THIRD_FRIDAY_ROOTS = ("SPX", "NDX", "RUT", "DJX")
REQUIRED = ("bid", "ask")
NAMING = ("root", "expiry", "strike", "right")
_COUNTS = ("bid_size", "ask_size", "volume", "open_interest")
_OPTIONAL = [name for name in ALIASES if name not in ("symbol", *NAMING, *REQUIRED)]
SCHEMA = f"symbol (OCC) or {', '.join(NAMING)}; {', '.join(REQUIRED)} [, {', '.join(_OPTIONAL)}]"


def read_chain(
    path: str | Path,
    *,
    calendar: SessionCalendar,
    underlying: str | None = None,
    spot: float | None = None,
    asof_ns: int | None = None,
    tz: str | None = None,
) -> Chain:
    """Return the file's contracts as they were known at one moment.

    Parameters
    ----------
    underlying : str                        Which one, where the file has several.
    spot : float                            [USD], of that moment; otherwise the file's own, else not known.
    asof_ns : int                           [ns UTC]; otherwise the file's newest. What the file knows only later is left out.
    tz : str                                Zone of stamps that carry none.

    Raises
    ------
    FileError                               Damaged, truncated, not there.
    SchemaError                             Columns missing, or mostly unreadable; names line, column, what came, what is allowed.
    ReadingError                            The same, where another argument mends it (spot, underlying, asof).
    TimestampError                          Stamps without zone, and no `tz`.
    """
    path = Path(path)
    if spot is not None and not (math.isfinite(spot) and spot > 0):
        raise ReadingError(f"spot: received {spot!r}; allowed: a price above 0 [USD]")
    if path.name.lower().endswith(".json"):
        return _message_chain(path, calendar, underlying, spot, asof_ns)
    if is_quotedata(path):
        told = read_quotedata(path, calendar)
        moment = told.ts_ns if asof_ns is None else asof_ns
        _not_before(path, moment, told.ts_ns)
        given = _Spot(told.spot, told.ts_ns) if spot is None else _Spot(spot, moment)
        return _chain(path, told.rows, _only(path, told.rows, underlying), given, moment, "Cboe quote data", told.notes)
    if is_minute_file(path):
        minutes: MinuteChain = read_minutes(path, calendar, asof_ns)
        given = _Spot(minutes.spot, minutes.spot_ts_ns) if spot is None else _Spot(spot, minutes.asof_ns)
        return _chain(path, minutes.rows, _only(path, minutes.rows, underlying), given, minutes.asof_ns, "minute quotes", minutes.notes)
    return _schema_chain(path, calendar, underlying, spot, asof_ns, tz)


@dataclass(frozen=True, slots=True)
class _Spot:
    usd: float
    ts_ns: int


def _chain(path: Path, rows: np.ndarray, underlying: str, spot: _Spot, asof_ns: int, kind: str, notes: tuple[str, ...]) -> Chain:
    ours = _underlyings(rows) == underlying
    source = f"{path.name} ({kind})"
    return make_chain(underlying, rows[ours], spot=spot.usd, spot_ts_ns=spot.ts_ns, asof_ns=asof_ns, source=source, notes=notes)


def _underlyings(rows: np.ndarray) -> np.ndarray:
    """Return what each row is written on, text shape (n,): SPX for SPXW, AAPL for the adjusted AAPL1."""
    roots, index = np.unique(rows["root"], return_inverse=True)
    names = np.array([underlying_of(str(root).rstrip("0123456789")) for root in roots], "U6")
    return names[index.reshape(-1)] if len(roots) else np.zeros(0, "U6")


def _only(path: Path, rows: np.ndarray, wanted: str | None) -> str:
    """Return the underlying asked for, or the only one there is."""
    there = [str(name) for name in np.unique(_underlyings(rows))]
    if wanted is None:
        if len(there) > 1:
            raise ReadingError(f"{path.name}: received options on {', '.join(there[:10])}; next: say which one (underlying)")
        return there[0] if there else "?"
    if there and wanted.upper() not in there:
        raise ReadingError(f"{path.name}: underlying: received {choices(wanted, there)}")
    return wanted.upper()


def _message_chain(path: Path, calendar: SessionCalendar, underlying: str | None, spot: float | None, asof_ns: int | None) -> Chain:
    """Return a provider's snapshot that was kept as it came."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError(f"{path.name}: can't be read: {error.strerror or error}") from None
    except ValueError as error:
        raise FileError(f"{path.name}: corrupt: no JSON ({error})") from None
    told = decode_snapshot(document, calendar, asof_ns)
    moment = told.newest_ns if asof_ns is None else asof_ns
    if not moment:
        raise ReadingError(f"{path.name}: received no time at all; next: give the moment (asof)")
    given = _Spot(told.spot, told.spot_ts_ns) if spot is None else _Spot(spot, moment)
    wanted = _only(path, told.rows, underlying)
    return _chain(path, told.rows, told.underlying or "?" if wanted == "?" else wanted, given, moment, "snapshot", tuple(told.notes))


def _not_before(path: Path, asof_ns: int, first_ns: int) -> None:
    if asof_ns < first_ns:
        raise ReadingError(f"{path.name}: asof: received a moment before anything in the file was known; allowed: from its first moment on")


# -- the schema ---------------------------------------------------------------------------------------------------------------


def _schema_chain(
    path: Path, calendar: SessionCalendar, underlying: str | None, spot: float | None, asof_ns: int | None, tz: str | None
) -> Chain:
    cells = Cells(path, lambda header: _columns(path, header))
    cells.notes += [f"column {theirs!r} is {ours}" for ours, theirs in cells.columns.items() if plain_name(theirs) != ours]
    if not len(cells) and asof_ns is None:
        raise SchemaError(f"{path.name}: received a header and no rows; allowed: at least one row, or the moment (asof) of an empty chain")
    contracts, index = cells.contracts()
    numbers = _numbers(cells)
    ts, moment = _times(cells, asof_ns, tz)
    rows = _rows(contracts, index, calendar)
    for name, values in numbers.items():
        rows[name] = values
    rows["ts_ns"] = ts
    spots = cells.numbers("spot") if "spot" in cells else None
    keep = np.flatnonzero(cells.good & (ts <= moment))
    n_later = int((cells.good & (ts > moment)).sum())
    if n_later:
        cells.notes.append(f"{n_later:,} rows are of later than the moment asked for and were left out")
    cells.notes += _doubtful_roots(cells, contracts, calendar)
    newest = _newest_of_each(index[keep], ts[keep])
    wanted = _only(path, rows[keep[newest]], underlying)
    given = _Spot(spot, moment) if spot is not None else _told_spot(spots, ts, keep[_underlyings(rows[keep]) == wanted])
    return _chain(path, rows[keep[newest]], wanted, given, moment, "option file", tuple(cells.said()))


def _columns(path: Path, header: list[str]) -> dict[str, str]:
    """Return our column -> the file's; SchemaError says what is missing."""
    plain = {plain_name(name): name for name in reversed(header)}
    found: dict[str, str] = {}
    for ours, names in ALIASES.items():
        hit = next((plain[name] for name in names if name in plain and plain[name] not in found.values()), None)
        if hit is not None:
            found[ours] = hit
    missing = [name for name in REQUIRED if name not in found]
    missing += [] if "symbol" in found else [name for name in NAMING if name not in found]
    if missing:
        raise SchemaError(f"{path.name}: line 1: columns: received {', '.join(header[:40])}; lacks {', '.join(missing)}; allowed: {SCHEMA}")
    return found


def _numbers(cells: Cells) -> dict[str, np.ndarray]:
    """Return the columns of CHAIN_DTYPE that are numbers. Prices may be anything that a market might say; counts may not be below 0."""
    out = {name: cells.numbers(name) for name in ("bid", "ask", "last")}
    out |= {name: cells.numbers(name, least=0) for name in _COUNTS}
    iv = cells.numbers("iv", least=0)
    if (iv == 0).any():
        cells.notes.append(f"iv: 0 in {int((iv == 0).sum()):,} rows: taken as not computed")
    known = ~(iv == 0)
    out |= {f"vendor_{name}": np.where(known, cells.numbers(name), np.nan) for name in ("delta", "gamma")}
    return out | {"vendor_iv": np.where(known, iv, np.nan)}


def _times(cells: Cells, asof_ns: int | None, tz: str | None) -> tuple[np.ndarray, int]:
    """Return when each row was quoted, and the chain's moment [ns UTC]."""
    if "ts" in cells:
        ts = cells.stamps(tz)
        if asof_ns is None and not ts.max(initial=0):
            raise ReadingError(f"{cells.path.name}: column {cells.columns['ts']!r}: received no time at all; next: give the moment (asof)")
        moment = int(ts.max(initial=0)) if asof_ns is None else asof_ns
        if cells.good.any():
            _not_before(cells.path, moment, int(ts[cells.good].min()))
        return ts, moment
    if asof_ns is None:
        raise ReadingError(f"{cells.path.name}: ts: received no column of times; next: give the moment of the file (asof)")
    cells.notes.append("no column ts: every quote taken as of the chain's moment")
    return np.full(len(cells), asof_ns, np.int64), asof_ns


def _rows(contracts: list[OptionContract], index: np.ndarray, calendar: SessionCalendar) -> np.ndarray:
    """Return a CHAIN_DTYPE row for each row of the file; those that name no contract are put aside already."""
    if not contracts:
        return np.resize(contract_rows([], calendar), len(index))
    return contract_rows(contracts, calendar)[np.maximum(index, 0)]


def _doubtful_roots(cells: Cells, contracts: list[OptionContract], calendar: SessionCalendar) -> list[str]:
    """Say which options of an index a column of underlyings has made AM-settled ones, though those end on third Fridays alone."""
    if "symbol" in cells or plain_name(cells.columns["root"]) not in UNDERLYING_NAMES:
        return []
    of_index = {(c.root, c.expiry) for c in contracts if c.root in THIRD_FRIDAY_ROOTS}
    odd = sorted((root, day) for root, day in of_index if not _is_monthly(day, calendar))
    if not odd:
        return []
    root, day = odd[0]
    more = f" and {len(odd) - 1} more dates are" if len(odd) > 1 else " is"
    said = f"column {cells.columns['root']!r} names {root}, whose own options end on third Fridays at the open, but {day}{more} none"
    return [f"{said}: time to expiry is wrong there; next: a column symbol, or root (SPXW)"]


def _is_monthly(day: date, calendar: SessionCalendar) -> bool:
    try:
        return session_of(day, calendar) == monthly_expiry(day.year, day.month, calendar)
    except CalendarError:
        return True  # the calendar does not reach so far: not priced


def _newest_of_each(index: np.ndarray, ts: np.ndarray) -> np.ndarray:
    """Return the place of the newest row of each contract; of several at its newest time all, for `make_chain` to tell."""
    latest = np.full(int(index.max(initial=-1)) + 1, np.iinfo(np.int64).min)
    np.maximum.at(latest, index, ts)
    return np.flatnonzero(ts == latest[index])


def _told_spot(spots: np.ndarray | None, ts: np.ndarray, keep: np.ndarray) -> _Spot:
    """Return the spot of the newest row of `keep` that has one; a file of several underlyings has several spots."""
    if spots is None:
        return _Spot(math.nan, 0)
    known = keep[spots[keep] > 0]
    if not len(known):
        return _Spot(math.nan, 0)
    newest = known[np.argmax(ts[known])]
    return _Spot(float(spots[newest]), int(ts[newest]))
