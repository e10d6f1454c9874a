"""Limit sets: what is allowed, frozen and versioned.

Every limit may be None, "not set". What that means is stated for each in `LIMITS`: the rule is off, or it denies. Zero is a limit. A set
that loosens anything is valid from the next trading day only, and until a stated instant; one that tightens is valid at once.

In: exact numbers. Out: sets, what changed between two of them, and which is in force. No clock: instants are parameters. Floor 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import numpy as np

from workbench.errors import ConfigError, choices
from workbench.sessions import SessionCalendar, to_ny

Unit = Literal["usd", "%", "", "s", "min", "units", "points"]
VERSION_DIGITS = 16  # of the hash
LARGEST = Decimal(10) ** 15  # no amount or count of an account is larger


class Limit(NamedTuple):
    """What is known of one limit: the rule that reads it, and what its absence means."""

    code: str
    unit: Unit
    unset: Literal["off", "deny"]
    is_ceiling: bool  # a larger number allows more; False: a smaller one does
    what: str


LIMITS: dict[str, Limit] = {  # field of LimitSet -> what is known of it
    "position_size_pct": Limit("POSITION_SIZE_PCT", "%", "deny", True, "most that one order may lose, of equity"),
    "max_contracts": Limit("MAX_CONTRACTS", "units", "deny", True, "most contracts that one order may open, over all legs"),
    "max_notional_usd": Limit("MAX_NOTIONAL", "usd", "deny", True, "most value that one order may open, over all legs"),
    "max_loss_usd": Limit("MAX_LOSS_PER_TRADE", "usd", "deny", True, "most that one order may lose"),
    "daily_loss_usd": Limit("DAILY_LOSS", "usd", "deny", True, "loss of the day from which on nothing is opened"),
    "weekly_drawdown_pct": Limit("WEEKLY_DRAWDOWN", "%", "off", True, "fall from the week's peak from which on nothing is opened"),
    "monthly_drawdown_pct": Limit("MONTHLY_DRAWDOWN", "%", "off", True, "fall from the month's peak from which on nothing is opened"),
    "open_positions": Limit("OPEN_POSITIONS", "units", "off", True, "most positions at a time"),
    "orders_per_minute": Limit("ORDERS_PER_MINUTE", "units", "deny", True, "most orders in any 60 s"),
    "duplicate_window_s": Limit("DUPLICATE_INTENT", "s", "deny", False, "time in which the same legs and quantity are one wish"),
    "price_collar_pct": Limit("PRICE_COLLAR", "%", "deny", True, "most that a price may be worse than the middle of the quote"),
    "spread_pct": Limit("SPREAD_PCT", "%", "off", True, "widest quote of a leg, of its middle"),
    "liquidity_share_pct": Limit("LIQUIDITY_SHARE", "%", "off", True, "most of a leg's volume, or open interest where that is more"),
    "stop_distance_min_pct": Limit("STOP_DISTANCE_MIN", "%", "off", False, "nearest stop, of the entry"),
    "stop_distance_max_pct": Limit("STOP_DISTANCE_MAX", "%", "off", True, "farthest stop, of the entry"),
    "delta_shares": Limit("DELTA_BUDGET", "units", "off", True, "most delta of the book, either way, in shares"),
    "gamma_shares_per_usd": Limit("GAMMA_BUDGET", "units", "off", True, "most gamma of the book, either way, in shares a dollar"),
    "vega_usd_per_point": Limit("VEGA_BUDGET", "usd", "off", True, "most vega of the book, either way, a point of volatility"),
    "theta_usd_per_day": Limit("THETA_BUDGET", "usd", "off", True, "most theta of the book, either way, a calendar day"),
    "symbol_pct": Limit("SYMBOL_CONCENTRATION", "%", "off", True, "most at risk on one underlying, of equity"),
    "sector_pct": Limit("SECTOR_CONCENTRATION", "%", "off", True, "most at risk in one sector, of equity"),
    "direction_pct": Limit("DIRECTION_CONCENTRATION", "%", "off", True, "most dollar delta of the book, either way, of equity"),
    "no_trade_first_min": Limit("NO_TRADE_WINDOW", "min", "off", False, "minutes after the open without opening orders"),
    "no_trade_last_min": Limit("NO_TRADE_WINDOW", "min", "off", False, "minutes before the close without opening orders"),
    "quote_age_s": Limit("STALE_DATA", "s", "deny", True, "oldest quote of a leg"),
    "account_age_s": Limit("STALE_DATA", "s", "deny", True, "oldest word on the account"),
    "vix_min": Limit("REGIME", "points", "off", False, "least VIX"),
    "vix_max": Limit("REGIME", "points", "off", True, "most VIX"),
    "realised_vol_min_pct": Limit("REGIME", "%", "off", False, "least realised volatility"),
    "realised_vol_max_pct": Limit("REGIME", "%", "off", True, "most realised volatility"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSet:
    """All limits of one account. `LIMITS` says what each is; None: not set. The same contents have the same version, anywhere.

    Valid from `effective_ns` until just before `expires_ns` (None: until another takes its place), int64 ns UTC.
    """

    name: str
    effective_ns: int
    expires_ns: int | None = None
    position_size_pct: Decimal | None = None
    max_contracts: Decimal | None = None
    max_notional_usd: Decimal | None = None
    max_loss_usd: Decimal | None = None
    daily_loss_usd: Decimal | None = None
    weekly_drawdown_pct: Decimal | None = None
    monthly_drawdown_pct: Decimal | None = None
    open_positions: Decimal | None = None
    orders_per_minute: Decimal | None = None
    duplicate_window_s: Decimal | None = None
    price_collar_pct: Decimal | None = None
    spread_pct: Decimal | None = None
    liquidity_share_pct: Decimal | None = None
    stop_distance_min_pct: Decimal | None = None
    stop_distance_max_pct: Decimal | None = None
    delta_shares: Decimal | None = None
    gamma_shares_per_usd: Decimal | None = None
    vega_usd_per_point: Decimal | None = None
    theta_usd_per_day: Decimal | None = None
    symbol_pct: Decimal | None = None
    sector_pct: Decimal | None = None
    direction_pct: Decimal | None = None
    no_trade_first_min: Decimal | None = None
    no_trade_last_min: Decimal | None = None
    quote_age_s: Decimal | None = None
    account_age_s: Decimal | None = None
    vix_min: Decimal | None = None
    vix_max: Decimal | None = None
    realised_vol_min_pct: Decimal | None = None
    realised_vol_max_pct: Decimal | None = None
    version: str = field(init=False)  # the first digits of a hash over all of the above

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigError(f"LimitSet.name: received {self.name!r}; allowed: a name that people know the set by")
        if type(self.effective_ns) is not int or self.effective_ns <= 0:
            raise ConfigError(f"LimitSet.effective_ns: received {self.effective_ns!r}; allowed: int64 ns UTC above 0")
        if self.expires_ns is not None and (type(self.expires_ns) is not int or self.expires_ns <= self.effective_ns):
            raise ConfigError(f"LimitSet.expires_ns: received {self.expires_ns!r}; allowed: None, or int64 ns UTC after effective_ns")
        for name in LIMITS:
            _check_limit(name, getattr(self, name))
        said = "\n".join(f"{item.name}={_plain(getattr(self, item.name))}" for item in fields(self) if item.init)
        object.__setattr__(self, "version", hashlib.sha256(said.encode()).hexdigest()[:VERSION_DIGITS])

    def is_in_force(self, now_ns: int) -> bool:
        """Whether the set is valid at an instant."""
        return self.effective_ns <= now_ns and (self.expires_ns is None or now_ns < self.expires_ns)


class Change(NamedTuple):
    """One limit that differs between two sets."""

    name: str
    before: Decimal | None
    after: Decimal | None
    is_looser: bool


def changes(before: LimitSet, after: LimitSet) -> tuple[Change, ...]:
    """Return the limits that differ, and for each whether it allows more than before."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in LIMITS)
    return tuple(Change(name, old, new, _is_looser(LIMITS[name], old, new)) for name, old, new in pairs if old != new)


def revised(
    current: LimitSet, wanted: dict[str, Decimal | None], *, now_ns: int, calendar: SessionCalendar, expires_ns: int | None
) -> LimitSet:
    """Return a set with other limits: valid at once when nothing is loosened, from the next trading day's pre-market otherwise.

    A loosening needs `expires_ns`, after that day begins. ConfigError for a name that is no limit, and for a loosening without end.
    """
    for name in wanted:
        if name not in LIMITS:
            raise ConfigError(f"limit: received {choices(name, LIMITS)}")
    values: dict[str, Any] = dict(wanted)
    after = replace(current, effective_ns=now_ns, expires_ns=None, **values)
    looser = [change.name for change in changes(current, after) if change.is_looser]
    if not looser:
        return replace(after, expires_ns=expires_ns)
    if expires_ns is None:
        raise ConfigError(f"expires_ns: received None, while {', '.join(looser)} is loosened; allowed: the instant at which that ends")
    return replace(after, effective_ns=next_trading_day_ns(calendar, now_ns), expires_ns=expires_ns)


def next_trading_day_ns(calendar: SessionCalendar, now_ns: int) -> int:
    """Return when pre-market of the first trading day after New York's present date begins [ns UTC]."""
    starts, days = calendar.sessions["pre_open"], calendar.sessions["date"]
    today = np.datetime64(to_ny(now_ns).date(), "D").astype(np.int64)
    at = int(np.searchsorted(days, today, side="right"))
    if at == len(days):
        raise ConfigError(f"now_ns: received {now_ns}; allowed: before the calendar's last trading day")
    return int(starts[at])


def in_force(sets: Iterable[LimitSet], now_ns: int) -> LimitSet | None:
    """Return the set that holds: of those valid now the one written down last. None: no set is valid, and nothing may be opened."""
    return next((one for one in reversed(tuple(sets)) if one.is_in_force(now_ns)), None)


def _is_looser(limit: Limit, old: Decimal | None, new: Decimal | None) -> bool:
    if new is None:
        return limit.unset == "off"
    if old is None:
        return limit.unset == "deny"
    return new > old if limit.is_ceiling else new < old


def _check_limit(name: str, value: object) -> None:
    is_fit = value is None or (isinstance(value, Decimal) and value.is_finite() and 0 <= value <= LARGEST)
    if not is_fit:
        raise ConfigError(f"LimitSet.{name}: received {value!r}; allowed: None, or a Decimal from 0 to {LARGEST:f}")


def _plain(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else repr(value)
