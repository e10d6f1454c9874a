"""A chain: the contracts of one underlying at one moment, as told, in one order. `priced.py` says what they are worth.

In: rows of CHAIN_DTYPE from a provider, a file or the simulated market. Out: Chain, with a note for whatever a trader should know
before relying on it: half loaded, told twice, quoted after the moment it claims to be of.

Floor 1: numpy, the nouns and the sessions of floor 0, `expiry.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

import numpy as np

from workbench.errors import CalendarError, RecordError, choices
from workbench.options.clocks import days_to_expiry
from workbench.options.expiry import is_adjusted, terms
from workbench.sessions import SessionCalendar, to_ny
from workbench.types import NS_PER_S, OptionContract

# One row a contract. Prices in USD; NaN is not known, while a bid or ask of 0 is known: nobody bids, or offers. `symbol` as
# `OptionContract.occ` prints it. `expiry_ns`: the instant that decides (`expiry.terms`), 0 where the calendar has none.
# `vendor_…`: as the provider told them, by its own clock and rate: for comparison, never for our formulas. `ts_ns`: of the quote, 0
# unknown. `is_standard` False: a corporate action changed what is delivered; such a contract is shown, never priced.
CHAIN_DTYPE = np.dtype(
    [
        ("symbol", "U21"),
        ("root", "U6"),
        ("expiry", "M8[D]"),
        ("expiry_ns", "i8"),
        ("strike", "f8"),
        ("right", "U1"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("last", "f8"),
        ("bid_size", "f8"),
        ("ask_size", "f8"),
        ("volume", "f8"),
        ("open_interest", "f8"),
        ("vendor_iv", "f8"),
        ("vendor_delta", "f8"),
        ("vendor_gamma", "f8"),
        ("ts_ns", "i8"),
        ("is_standard", "?"),
    ]
)
CHAIN_NUMBERS = tuple(name for name in CHAIN_DTYPE.names or () if CHAIN_DTYPE[name] == np.float64 and name != "strike")

_ORDER = ("expiry_ns", "expiry", "root", "strike", "right")
NEAR_FRAC = 0.05  # of spot: so near to it strikes are evenly spaced
LATEST_S = 1.0  # a quote so much newer than the chain's moment is still of it


class Expiry(NamedTuple):
    """One expiry of one root. SPX and SPXW of one date are two. `dte`: calendar days from New York's date."""

    date: date
    root: str
    expiry_ns: int
    dte: int


@dataclass(frozen=True)
class Chain:
    """What is known of the contracts of one underlying at `asof_ns`. Made by `make_chain`, which puts the rows in order.

    `spot`: [USD], NaN when not known; `spot_ts_ns` 0 when its time is not. `rows`: CHAIN_DTYPE, shape (n,), by expiry instant,
    root, strike, right, no contract twice. `notes`: sentences for people.
    """

    underlying: str
    spot: float
    spot_ts_ns: int
    asof_ns: int
    rows: np.ndarray
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rows.dtype != CHAIN_DTYPE or self.rows.ndim != 1:
            raise RecordError(f"Chain.rows: received {self.rows.dtype} {self.rows.shape}; allowed: CHAIN_DTYPE, shape (n,)")

    def __len__(self) -> int:
        return len(self.rows)

    def series_starts(self) -> np.ndarray:
        """Return the first row of each expiry of each root, int64 shape (m,)."""
        rows = self.rows
        if not len(rows):
            return np.zeros(0, np.int64)
        is_new = np.zeros(len(rows), np.bool_)
        is_new[0] = True
        for name in ("expiry_ns", "expiry", "root"):
            is_new[1:] |= rows[name][1:] != rows[name][:-1]
        return np.flatnonzero(is_new)

    def series_bounds(self) -> list[tuple[int, int]]:
        """Return the first row of each expiry of each root, and the row after its last."""
        starts: list[int] = self.series_starts().tolist()
        return list(zip(starts, [*starts[1:], len(self.rows)][: len(starts)], strict=True))

    def expiries(self) -> list[Expiry]:
        """Return every expiry of every root, in order."""
        heads = self.rows[self.series_starts()]
        days: list[date] = heads["expiry"].tolist()
        return [
            Expiry(day, str(head["root"]), int(head["expiry_ns"]), days_to_expiry(self.asof_ns, day))
            for head, day in zip(heads, days, strict=True)
        ]

    def of(self, expiry: date | str, root: str | None = None) -> Chain:
        """Return one expiry date (of one root); RecordError lists the dates or roots there are. A date as text is ISO."""
        day = date.fromisoformat(expiry) if isinstance(expiry, str) else expiry
        is_day = self.rows["expiry"] == np.datetime64(day, "D")
        if not is_day.any():
            raise RecordError(f"expiry: received {choices(day, [str(e) for e in np.unique(self.rows['expiry'])])}")
        roots = [str(r) for r in np.unique(self.rows["root"][is_day])]
        if root is not None and root not in roots:
            raise RecordError(f"root: received {choices(root, roots)}")
        return replace(self, rows=self.rows[is_day if root is None else is_day & (self.rows["root"] == root)])

    def near(self, n_strikes: int) -> Chain:
        """Return of each expiry the `n_strikes` strikes nearest to spot on either side; all where spot is not known."""
        if not np.isfinite(self.spot):
            return self
        keep = np.zeros(len(self.rows), np.bool_)
        for first, end in self.series_bounds():
            strikes = np.unique(self.rows["strike"][first:end])
            middle = int(np.searchsorted(strikes, self.spot))
            low, high = strikes[max(middle - n_strikes, 0)], strikes[min(middle + n_strikes, len(strikes)) - 1]
            keep[first:end] = (self.rows["strike"][first:end] >= low) & (self.rows["strike"][first:end] <= high)
        return replace(self, rows=self.rows[keep])


def blank_rows(n: int) -> np.ndarray:
    """Return `n` rows of which nothing is known: numbers NaN, standard."""
    rows = np.zeros(n, CHAIN_DTYPE)
    for name in CHAIN_NUMBERS:
        rows[name] = np.nan
    rows["strike"] = np.nan
    rows["is_standard"] = True
    return rows


def contract_rows(contracts: Sequence[OptionContract], calendar: SessionCalendar) -> np.ndarray:
    """Return a row for each contract with what the contract itself tells, `expiry_ns` and `is_standard` included; no quotes."""
    rows = blank_rows(len(contracts))
    kinds = {(c.root, c.expiry): c for c in contracts}
    ends = {kind: _expiry_ns(contract, calendar) for kind, contract in kinds.items()}
    rows["symbol"] = [c.occ for c in contracts]
    rows["root"] = [c.root for c in contracts]
    rows["expiry"] = [c.expiry for c in contracts]
    rows["expiry_ns"] = [ends[c.root, c.expiry] for c in contracts]
    rows["strike"] = [float(c.strike) for c in contracts]
    rows["right"] = [c.right for c in contracts]
    rows["is_standard"] = [not is_adjusted(c) for c in contracts]
    return rows


def _expiry_ns(contract: OptionContract, calendar: SessionCalendar) -> int:
    try:
        return terms(contract, calendar).expiry_ns
    except CalendarError:
        return 0  # the calendar does not reach so far: priced as NO_EXPIRY


def make_chain(
    underlying: str, rows: np.ndarray, *, spot: float, spot_ts_ns: int, asof_ns: int, source: str, notes: Iterable[str] = ()
) -> Chain:
    """Return the rows as a Chain: in order, each contract once (its newest row), with the notes that they call for.

    Parameters
    ----------
    rows : CHAIN_DTYPE, shape (n,)          In any order; no row at all is a chain too, and says so.
    spot, spot_ts_ns, asof_ns               [USD], [ns UTC]; spot NaN or a time of 0 is not known.
    """
    keys = [rows[name] for name in ("ts_ns", *reversed(_ORDER))]
    ordered = rows[np.lexsort(keys)]
    is_last = np.ones(len(ordered), np.bool_)
    if len(ordered) > 1:
        is_last[:-1] = np.logical_or.reduce([ordered[name][1:] != ordered[name][:-1] for name in ("symbol", *_ORDER)])
    chain = Chain(underlying, float(spot), int(spot_ts_ns), int(asof_ns), ordered[is_last], source)
    told = [f"{_n(int((~is_last).sum()), 'contract')} told twice: the newest row is shown"] if not is_last.all() else []
    return replace(chain, notes=(*notes, *told, *_loading_notes(chain), *_time_notes(chain)))


def _loading_notes(chain: Chain) -> list[str]:
    """Say what seems not to have been loaded: no contract, one right only, strikes of one right only."""
    if not len(chain):
        return ["the chain is empty: no contract was told"]
    one_right, one_sided, n_strikes = [], 0, 0
    for (first, end), expiry in zip(chain.series_bounds(), chain.expiries(), strict=True):
        rows = chain.rows[first:end]
        is_call = rows["right"] == "C"
        if is_call.all() or not is_call.any():
            one_right.append(f"{expiry.root} {expiry.date} ({'calls' if is_call.all() else 'puts'} only)")
            continue
        calls, puts = np.unique(rows["strike"][is_call]), np.unique(rows["strike"][~is_call])
        one_sided += len(np.setxor1d(calls, puts, assume_unique=True))
        n_strikes += len(np.union1d(calls, puts))
    notes = [f"half loaded: {_listed(one_right)}"] if one_right else []
    if one_sided:
        notes.append(f"half loaded: {one_sided:,} of {_n(n_strikes, 'strike')} have a call or a put only")
    holes = _holes(chain)
    if holes:
        notes.append(f"half loaded, it seems: no strike after {_listed(holes)}, though those around are evenly spaced")
    n_adjusted = int((~chain.rows["is_standard"]).sum())
    if n_adjusted:
        notes.append(f"{_n(n_adjusted, 'adjusted contract')}: what is delivered was changed; shown, not priced")
    n_endless = int((chain.rows["expiry_ns"] == 0).sum())
    return [*notes, f"{_n(n_endless, 'contract')} that the calendar does not reach: not priced"] if n_endless else notes


def _holes(chain: Chain) -> list[str]:
    """Return the strikes near spot after which at least one seems to be missing: a step several times as long as those on either side."""
    found = []
    for (first, end), expiry in zip(chain.series_bounds(), chain.expiries(), strict=True):
        strikes = np.unique(chain.rows["strike"][first:end])
        strikes = strikes[np.abs(strikes - chain.spot) < NEAR_FRAC * chain.spot]
        steps = np.round(np.diff(strikes), 3)
        before, step, after = steps[:-2], steps[1:-1], steps[2:]
        is_hole = (before == after) & (step > before) & (np.abs(step / before - np.round(step / before)) < 1e-6)
        found += [f"{expiry.root} {expiry.date} {strike:g}" for strike in strikes[1:-2][is_hole]] if len(steps) > 2 else []
    return found


def _time_notes(chain: Chain) -> list[str]:
    newest = int(chain.rows["ts_ns"].max(initial=0))
    ahead_s = (newest - chain.asof_ns) / NS_PER_S
    notes = [f"quotes up to {ahead_s:,.0f} s newer than the chain's moment {_clock(chain.asof_ns)}"] if ahead_s > LATEST_S else []
    if newest and chain.spot_ts_ns and (newest - chain.spot_ts_ns) / NS_PER_S > LATEST_S:
        notes.append(f"spot is of {_clock(chain.spot_ts_ns)}, older than the newest quote, {_clock(newest)}")
    return notes


def _clock(ts_ns: int) -> str:
    return f"{to_ny(ts_ns):%Y-%m-%d %H:%M:%S} New York"


def _n(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _listed(texts: list[str], most: int = 4) -> str:
    rest = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + rest
