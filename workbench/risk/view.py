"""What the gate may see: frozen records that the caller fills. None is "not known", and what is not known is denied.

Money and quantities are exact (Decimal); instants int64 ns UTC; greeks of one share's worth of the contract. Floor 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from workbench.orders import OrderIntent
from workbench.risk.book import Book
from workbench.risk.instrument import Instrument
from workbench.risk.kill import KillState
from workbench.sessions import SessionCalendar


@dataclass(frozen=True, slots=True)
class Account:
    """The account as its broker told it at `ts_ns`. Losses are negative P&L, drawdowns 0 or more [% of the peak]."""

    name: str = ""
    ts_ns: int | None = None
    equity_usd: Decimal | None = None
    buying_power_usd: Decimal | None = None
    day_pnl_usd: Decimal | None = None  # realised and open, since the last trading day's close
    week_drawdown_pct: Decimal | None = None
    month_drawdown_pct: Decimal | None = None
    is_reconciled: bool | None = None  # what we hold equals what the broker holds
    is_stream_live: bool | None = None  # the broker tells fills as they happen


@dataclass(frozen=True, slots=True)
class Session:
    """Regular hours of one day [ns UTC]; both 0 on a day without trading."""

    open_ns: int
    close_ns: int

    @classmethod
    def at(cls, calendar: SessionCalendar, ts_ns: int) -> Session:
        """Return the session that an instant falls into, pre-market and after-hours counted."""
        row = calendar.at(ts_ns)
        if row < 0:
            return cls(0, 0)
        found: np.void = calendar.sessions[row]
        return cls(int(found["open"]), int(found["close"]))


@dataclass(frozen=True, slots=True)
class NoTrade:
    """A stretch without opening orders: FOMC, earnings, a person's own. `underlying` "": all of them."""

    start_ns: int
    end_ns: int
    reason: str
    underlying: str = ""


@dataclass(frozen=True, slots=True)
class Recent:
    """An order that was decided lately, sent or about to be."""

    client_order_id: str
    ts_ns: int
    legs: frozenset[tuple[str, str]]  # symbol and side
    qty: Decimal

    @classmethod
    def of(cls, intent: OrderIntent) -> Recent:
        """Return what is remembered of an intent."""
        return cls(intent.client_order_id, intent.ts_ns, frozenset((leg.symbol, leg.side) for leg in intent.legs), intent.qty)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy as the validation left it."""

    name: str
    is_enabled: bool | None = None
    is_proven: bool | None = None


@dataclass(frozen=True, slots=True)
class Persona:
    """What the person, or the program, that acts may do. `underlyings` None: all."""

    name: str
    may_open: bool | None = None
    may_sell_to_open: bool | None = None
    underlyings: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Regime:
    """The weather: VIX [points] and realised volatility of the market [% a year]."""

    vix: Decimal | None = None
    realised_vol_pct: Decimal | None = None


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a decision rests on.

    Two decisions never share one: an order that passed is in the next view's book and in its `recent`, sent or not.
    """

    account: Account = field(default_factory=Account)
    book: Book | None = None
    instruments: Mapping[str, Instrument] = field(default_factory=dict)  # symbol -> what is known of it
    session: Session | None = None
    recent: tuple[Recent, ...] | None = None  # of the last minutes at least; () when there were none
    no_trade: tuple[NoTrade, ...] | None = None  # () when none is known to come
    regime: Regime = field(default_factory=Regime)
    strategy: Strategy | None = None  # of the intent's origin; not needed for tickets
    persona: Persona | None = None
    kill: KillState | None = None
    sectors: Mapping[str, str] = field(default_factory=dict)  # underlying -> sector
    stop_usd: Decimal | None = None  # price a share (net of the structure) at which the trade is to be given up, once it is filled
    alternatives: frozenset[str] = frozenset()  # client_order_ids of orders that are cancelled when this one fills
