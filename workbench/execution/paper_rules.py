"""The rules of paper accounts as data. The same rules in plain English, with worked examples, stand in `paper_rules.md` beside it.

Every number may be changed for an account (`dataclasses.replace`); a value out of range is a ConfigError. Floor 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_UP, Decimal
from typing import Literal

from workbench.errors import ConfigError
from workbench.orders import Side, multiplier
from workbench.types import OptionContract

CENT = Decimal("0.01")
Per = Literal["contract", "share", "usd"]

# options on these settle in cash on an index: no sale of a security
INDEX_ROOTS = frozenset(("SPX", "SPXW", "XSP", "NDX", "NDXP", "RUT", "RUTW", "DJX", "VIX", "VIXW", "OEX", "XEO"))


@dataclass(frozen=True, slots=True)
class Fee:
    """One fee of a fill: `rate` USD for each contract, share, or dollar that changes hands."""

    name: str
    rate: Decimal
    per: Per
    source: str
    since: date | None = None
    sells_only: bool = False
    without_index_options: bool = False
    cap_usd: Decimal | None = None  # of one fill

    def __post_init__(self) -> None:
        if not (self.rate.is_finite() and self.rate >= 0):
            raise ConfigError(f"Fee.rate of {self.name}: received {self.rate}; allowed: 0 or more")

    def usd(self, symbol: str, side: Side, qty: Decimal, price: Decimal) -> Decimal:
        """Return what this fee takes from one fill, exactly, before it is rounded."""
        is_option = symbol.startswith("O:")
        is_due = not (self.sells_only and side == "buy")
        if self.without_index_options and is_option and OptionContract.parse(symbol).root in INDEX_ROOTS:
            is_due = False
        if not is_due or (self.per == "contract" and not is_option) or (self.per == "share" and is_option):
            return Decimal(0)
        amount = self.rate * (qty * price * multiplier(symbol) if self.per == "usd" else qty)
        return amount if self.cap_usd is None else min(amount, self.cap_usd)


_RETAIL = "usual at US retail brokers; a fund or a zero-commission broker differs"
_ALPACA = "Alpaca brokerage fee schedule of 2026-07-20"
_FINRA = "FINRA by-laws, schedule A, section 1"
FEES = (
    Fee("commission, options", Decimal("0.65"), "contract", _RETAIL),
    Fee("commission, shares", Decimal(0), "share", _RETAIL),
    Fee("options regulatory fee (ORF)", Decimal("0.015"), "contract", _ALPACA, date(2026, 7, 20)),
    Fee("OCC clearing", Decimal("0.025"), "contract", "90 FR 10544", date(2025, 2, 14)),
    Fee("consolidated audit trail (CAT), options", Decimal("0.0003"), "contract", _ALPACA, date(2026, 7, 20)),
    Fee("consolidated audit trail (CAT), shares", Decimal("0.000003"), "share", _ALPACA, date(2026, 7, 20)),
    Fee("FINRA trading activity (TAF), options", Decimal("0.00329"), "contract", _FINRA, date(2026, 1, 1), True, True),
    Fee("FINRA trading activity (TAF), shares", Decimal("0.000195"), "share", _FINRA, date(2026, 1, 1), True, cap_usd=Decimal("9.79")),
    Fee("SEC section 31", Decimal("0.0000206"), "usd", "SEC release 34-104909, 91 FR 10643", date(2026, 4, 4), True, True),
)


@dataclass(frozen=True, slots=True)
class PaperRules:
    """How a paper account fills. Shares are fractions of 1; see `paper_rules.md` for what each does."""

    latency_min_ms: int = 50
    latency_max_ms: int = 200
    stale_after_ms: int = 5_000
    display_share: Decimal = Decimal(1)
    queue_share: Decimal = Decimal(1)
    volume_share: Decimal = Decimal("0.25")
    no_fill_chance: Decimal = Decimal("0.25")
    market_cushion: Decimal = Decimal("0.05")
    fees: tuple[Fee, ...] = FEES

    def __post_init__(self) -> None:
        if not 0 <= self.latency_min_ms <= self.latency_max_ms <= 60_000:
            came = f"{self.latency_min_ms} to {self.latency_max_ms}"
            raise ConfigError(f"PaperRules.latency_min_ms, latency_max_ms: received {came}; allowed: 0 to 60000, the smaller first")
        if self.stale_after_ms <= 0:
            raise ConfigError(f"PaperRules.stale_after_ms: received {self.stale_after_ms}; allowed: above 0")
        for name in ("display_share", "queue_share", "volume_share", "no_fill_chance", "market_cushion"):
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= 1:
                raise ConfigError(f"PaperRules.{name}: received {value!r}; allowed: a Decimal from 0 to 1")
        if self.display_share == 0:
            raise ConfigError("PaperRules.display_share: received 0; allowed: above 0, or nothing would ever fill")

    def fee_lines(self, symbol: str, side: Side, qty: Decimal, price: Decimal) -> tuple[tuple[str, Decimal], ...]:
        """Return (name, USD) of each fee that a fill pays, exactly."""
        lines = ((fee.name, fee.usd(symbol, side, qty, price)) for fee in self.fees)
        return tuple((name, usd) for name, usd in lines if usd)

    def fees_usd(self, symbol: str, side: Side, qty: Decimal, price: Decimal) -> Decimal:
        """Return all fees of one fill, their sum rounded up to the cent."""
        total = sum((usd for _, usd in self.fee_lines(symbol, side, qty, price)), Decimal(0))
        return total.quantize(CENT, ROUND_UP)
