"""What a chain view shows, as numbers: a line for each strike of one root, calls and puts, and which cells changed since they were sent.

In: a Chain as it stands, and the PricedChain of a moment before, whose numbers stand beside newer quotes until the next pricing. Out:
one column of shape (2·n,) for each field; cell 2·i is the call of strike i, 2·i + 1 its put. NaN is what nobody told.

A quote's stamp is its last change, and a quote stands until it changes: in the wings for minutes. So a chain is as old as its newest
quote. While that is at most `OLD_S` old, quotes are priced up to `STANDING_S`, and those older than `OLD_S` are marked. When even the
newest is older, the whole chain is priced as of that newest quote, and the screen says so.

Floor 8, numpy: no screen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.options.chain import Chain
from workbench.options.chain_status import ChainStatus
from workbench.options.liquidity import LiquidityWarning, liquidity_warnings
from workbench.options.priced import PricedChain, mid_and_spread
from workbench.types import NS_PER_S

Floats = NDArray[np.float64]

OLD_S = 60.0  # as the default of QuoteLimits: from here on a quote is marked
STANDING_S = 900.0  # a quote that did not change for longer prices nothing
NAMED = LiquidityWarning.NO_BID | LiquidityWarning.NO_ASK | LiquidityWarning.WIDE_SPREAD | LiquidityWarning.LOW_OPEN_INTEREST


class Column(NamedTuple):
    """A column that a person may choose. `decimals`: as shown; what differs less is not sent."""

    name: str
    title: str
    about: str
    decimals: int


# in the order from the strike outwards
COLUMNS = (
    Column("bid_size", "BSz", "contracts bid for", 0),
    Column("bid", "Bid", "best bid", 2),
    Column("ask", "Ask", "best ask", 2),
    Column("ask_size", "ASz", "contracts offered", 0),
    Column("mid", "Mid", "middle of bid and ask", 3),
    Column("last", "Last", "price of the last print", 2),
    Column("delta", "Delta", "USD per USD of the underlying", 2),
    Column("iv", "IV %", "implied volatility, % a year", 1),
    Column("volume", "Vol", "contracts traded today", 0),
    Column("open_interest", "OI", "contracts open since last night", 0),
    Column("gamma", "Gamma", "change of delta per USD of the underlying", 4),
    Column("theta", "Theta", "USD per calendar day", 3),
    Column("vega", "Vega", "USD per volatility point", 3),
    Column("spread_pct", "Spr %", "ask minus bid, % of the mid", 1),
    Column("break_even", "B/E", "price of the underlying at expiry from which on it pays, bought at the mid", 2),
    Column("p_itm", "ITM %", "risk-neutral chance to end in the money, %", 1),
)
NAMES = tuple(column.name for column in COLUMNS)
DECIMALS = {column.name: column.decimals for column in COLUMNS}
OF_QUOTES = ("mid", "spread_pct", "break_even")
AS_TOLD = ("bid", "ask", "last", "bid_size", "ask_size", "volume", "open_interest")
ALWAYS = ("flags", "state", "warnings", "quoted")  # fields that every screen gets


class Flag(IntFlag):
    """What a cell pair of a contract looks like."""

    LISTED = 1
    IN_THE_MONEY = 2
    OLD = 4
    UNPRICED = 8
    ILLIQUID = 16
    ADJUSTED = 32


@dataclass(frozen=True)
class Layout:
    """Where the contracts of one root stand: `strikes` (n,), `rows` (n, 2) into the chain's rows, -1 where one is not listed."""

    root: str
    strikes: Floats
    rows: NDArray[np.int64]
    symbols: NDArray[np.str_]  # of the whole chain, by which a change of contracts is seen

    def fits(self, chain: Chain) -> bool:
        """Return whether a chain has the same contracts in the same order."""
        return len(chain) == len(self.symbols) and bool((chain.rows["symbol"] == self.symbols).all())

    def symbol(self, line: int, right: str) -> str:
        """Return the contract of a line; '' where there is none."""
        side = 0 if right == "C" else 1
        row = int(self.rows[line, side]) if 0 <= line < len(self.rows) else -1
        return "" if row < 0 else f"O:{self.symbols[row]}"


def layout_of(chain: Chain, root: str) -> Layout:
    """Return where the contracts of one root of a chain of one expiry stand."""
    of_root = np.flatnonzero(chain.rows["root"] == root)
    strikes, line = np.unique(chain.rows["strike"][of_root], return_inverse=True)
    rows = np.full((len(strikes), 2), -1, np.int64)
    rows[line.reshape(-1), (chain.rows["right"][of_root] == "P").astype(np.int64)] = of_root
    return Layout(root, strikes, rows, chain.rows["symbol"].copy())


def newest_ns(chain: Chain) -> int:
    """Return the stamp of the newest quote, 0 when none is known."""
    return int(chain.rows["ts_ns"].max(initial=0))


def as_of_its_quotes(chain: Chain, now_ns: int) -> Chain:
    """Return the chain as of the moment that its quotes are of: now while the newest is fresh, else that newest quote's.

    What expired since stays expired: then the chain is of now, and its quotes are too old.
    """
    newest = newest_ns(chain)
    asof_ns = max(now_ns, chain.asof_ns)
    is_silent = 0 < newest < asof_ns - OLD_S * NS_PER_S
    ends = chain.rows["expiry_ns"]
    has_ended = bool(((ends > newest) & (ends <= asof_ns)).any())
    return replace(chain, asof_ns=newest if is_silent and not has_ended else asof_ns)


def fields(layout: Layout, chain: Chain, priced: PricedChain | None, names: Sequence[str], now_ns: int) -> dict[str, Floats]:
    """Return the columns `names` and those of ALWAYS, each shape (2·n,), rounded as they are shown.

    `priced`: of the same contracts; None before the first pricing: what it would tell is NaN.
    """
    rows = chain.rows
    told = {name: rows[name] for name in AS_TOLD if name in names}
    quoted = {name: column for name, column in _of_quotes(rows).items() if name in names}
    derived = _derived(priced, [name for name in names if name not in (*AS_TOLD, *OF_QUOTES)], len(rows))
    warnings = liquidity_warnings(rows)
    status = np.zeros(len(rows)) if priced is None else priced.status + 32.0 * priced.model
    own = {"flags": _flags(chain, priced, warnings, now_ns), "state": status, "warnings": warnings, "quoted": _quoted_s(rows["ts_ns"])}
    at = layout.rows.reshape(-1)
    out = {}
    for name, column in {**told, **quoted, **derived, **own}.items():
        values = np.where(at >= 0, column[at].astype(np.float64), np.nan) if len(rows) else np.zeros(0)
        out[name] = np.round(values, DECIMALS.get(name, 0))
    for name in ("bid", "ask"):  # nobody bids: that is known, and no price
        if name in out:
            out[name] = np.where(out[name] > 0, out[name], np.nan)
    return out


def _of_quotes(rows: np.ndarray) -> dict[str, Floats]:
    """Return what needs no volatility, so that it never stands beside a quote that it is not of."""
    mid, spread = mid_and_spread(rows)
    return {"mid": mid, "spread_pct": 100 * spread / mid, "break_even": rows["strike"] + np.where(rows["right"] == "C", 1.0, -1.0) * mid}


def _derived(priced: PricedChain | None, names: Sequence[str], n: int) -> dict[str, Floats]:
    if priced is None:
        return {name: np.full(n, np.nan) for name in names}
    return {name: np.asarray(_OF_PRICED[name](priced), np.float64) for name in names}


_OF_PRICED = {
    "iv": lambda p: 100 * p.vol,
    "delta": lambda p: p.greeks.delta,
    "gamma": lambda p: p.greeks.gamma_per_usd,
    "theta": lambda p: p.greeks.theta_usd_per_day,
    "vega": lambda p: p.greeks.vega_usd_per_point,
    "p_itm": lambda p: 100 * p.p_itm,
}


def _quoted_s(ts_ns: NDArray[np.int64]) -> Floats:
    """Return the second [s UTC] of each quote, NaN where unknown."""
    return np.where(ts_ns > 0, ts_ns // NS_PER_S, np.nan)


def _flags(chain: Chain, priced: PricedChain | None, warnings: NDArray[np.uint8], now_ns: int) -> Floats:
    rows = chain.rows
    cp = np.where(rows["right"] == "C", 1.0, -1.0)
    is_old = ~(max(now_ns, chain.asof_ns) - rows["ts_ns"] <= OLD_S * NS_PER_S)
    is_unpriced = np.zeros(len(rows), np.bool_) if priced is None else priced.status != ChainStatus.OK
    out = np.full(len(rows), int(Flag.LISTED))
    for flag, is_so in (
        (Flag.IN_THE_MONEY, cp * (chain.spot - rows["strike"]) > 0),
        (Flag.OLD, is_old),
        (Flag.UNPRICED, is_unpriced),
        (Flag.ILLIQUID, (warnings & np.uint8(NAMED)) > 0),
        (Flag.ADJUSTED, ~rows["is_standard"]),
    ):
        out |= np.where(is_so, int(flag), 0)
    return out.astype(np.float64)


class Sent:
    """What a page holds, field by field; `changes` says what it lacks."""

    def __init__(self) -> None:
        self._held: dict[str, Floats] = {}

    def changes(self, wanted: dict[str, Floats]) -> dict[str, list[list[Any]]]:
        """Return for each field the places that differ from what was sent and their values (None for NaN), and take them as sent."""
        out = {}
        for name, values in wanted.items():
            held = self._held.get(name)
            if held is None or len(held) != len(values):
                differs = ~np.isnan(values)
            else:
                differs = (held != values) & ~(np.isnan(held) & np.isnan(values))
            places = np.flatnonzero(differs)
            if len(places):
                out[name] = [places.tolist(), [None if v != v else v for v in values[places].tolist()]]
            self._held[name] = values
        return out

    def forget(self) -> None:
        """The page begins anew."""
        self._held = {}


def as_text(message: dict[str, Any]) -> str:
    """Return a message as JSON text: one string passes Panel's own encoder as it is, ten thousand numbers would each be looked at."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)
