"""Reads the chains that an idea may come from and ranks their contracts, on a worker's thread.

In: a hub, an `Ask`. Out: a dict for the page. What is wrong is a sentence in it, never an exception. Floor 8, no screen.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.indicators import atr
from workbench.options.clocks import TimeClock, days_to_expiry
from workbench.options.filters import FunnelStep
from workbench.options.priced import PricedChain, price_chain
from workbench.options.quotes import QuoteLimits
from workbench.options.rates import RateCurve
from workbench.options.screen import CoveredCall, CoveredCallRules, screen_covered_calls
from workbench.options.suggest import Known, Suggestion, Wish, suggest
from workbench.sessions import to_ny
from workbench.types import NS_PER_S, OptionContract
from workbench.views.chain_grid import STANDING_S, as_of_its_quotes
from workbench.views.exposure_reading import joined

log = logging.getLogger(__name__)

CLOCK = TimeClock.CAL365
LIMITS = QuoteLimits(max_age_s=STANDING_S)  # as the chain view: a quote stands until it changes
RATE = 0.0  # of the discount alone: each expiry's forward comes from its own quotes
MOST_EXPIRIES = 8  # read at once
MOST_ROWS = 20
ATR_DAYS, REALISED_DAYS, SESSIONS_A_YEAR = 14, 20, 252


@dataclass(frozen=True)
class Ask:
    """What a page wants to know of a symbol."""

    symbol: str
    wanted: Wish | CoveredCallRules

    @property
    def dte(self) -> tuple[int, int]:
        """Calendar days to expiry, from and to."""
        return (self.wanted.min_dte, self.wanted.max_dte) if isinstance(self.wanted, Wish) else (0, self.wanted.max_dte)


class IdeasReading:
    """The chains behind one page. `read` and `release` from any thread, one at a time."""

    def __init__(self, hub: Any) -> None:
        self.is_wanted = True  # set by the screen: a read that comes to its turn after it was hidden opens nothing
        self._hub = hub
        self._readers: dict[tuple[str, date], Any] = {}
        self._seen: tuple[Any, ...] = ()
        self._chains: list[Any] = []  # of the last answer; held, since their ids are what `_seen` goes by
        self._lock = threading.Lock()

    def read(self, ask: Ask, *, whole: bool = False) -> dict[str, Any] | None:
        """Return what there is to show; None when nothing has changed. `whole`: for a page that knows nothing yet."""
        with self._lock:
            if not self.is_wanted:
                return None
            if whole:
                self._seen = ()
            try:
                return self._read(ask)
            except WorkbenchError as error:
                return self._refused(str(error))
            except Exception as error:
                log.exception("ideas of %s", ask.symbol)
                return self._refused(f"It could not be computed ({type(error).__name__}: {error}); it is tried again.")

    def release(self) -> None:
        """Close all readers, unless somebody looks again."""
        with self._lock:
            if not self.is_wanted:
                self._keep(())

    def _refused(self, sentence: str) -> dict[str, Any]:
        self._seen = ()
        return {"status": sentence}

    def _read(self, ask: Ask) -> dict[str, Any] | None:
        listed = self._hub.expiries(ask.symbol)
        now_ns, (low, high) = self._hub.clock.now_ns(), ask.dte
        fitting = [day for day in listed if low <= days_to_expiry(now_ns, day) <= high]
        self._keep([(ask.symbol, day) for day in fitting[:MOST_EXPIRIES]])
        if not fitting:
            return self._refused(_no_expiry(ask, listed, now_ns, self._hub.source_info.name))
        chains = [reader.snapshot() for reader in self._readers.values()]
        seen = (ask, *map(id, chains))
        if seen == self._seen:
            return None
        told = [chain for chain in chains if len(chain)]
        if not told:
            reasons = dict.fromkeys(note for chain in chains for note in chain.notes)
            return {"status": "; ".join(reasons) or f"The chains of {ask.symbol} are loading.", "is_waiting": True}
        chain = as_of_its_quotes(joined(told, n_missing=len(chains) - len(told)), now_ns)
        priced = price_chain(chain, clock=CLOCK, rates=RateCurve.constant(RATE), calendar=self._hub.calendar, limits=LIMITS)
        answer = self._suggested(ask, priced) if isinstance(ask.wanted, Wish) else _screened(ask.wanted, priced)
        if len(fitting) > MOST_EXPIRIES:
            answer["notes"].insert(0, f"the nearest {MOST_EXPIRIES} of {len(fitting)} expiries were looked at")
        _date(answer["rows"], priced, now_ns)
        spot = next((float(x) for x in priced.spot_usd if math.isfinite(x)), math.nan)
        self._seen, self._chains = seen, chains
        return {"symbol": ask.symbol, "spot": _known(spot), "asof": f"{to_ny(chain.asof_ns):%H:%M:%S}", **answer}

    def _suggested(self, ask: Ask, priced: PricedChain) -> dict[str, Any]:
        assert isinstance(ask.wanted, Wish)
        known, said = self._known_of(ask.symbol)
        got = suggest(priced, ask.wanted, known, most=MOST_ROWS)
        rows = [_row(row) for row in got.rows]
        told = {"funnel": _funnel(got.funnel), "ranked_by": got.ranked_by, "clock": CLOCK.value}
        return {"mode": "buy", "rows": rows, "status": "" if rows else why_none(got.funnel), "notes": [said, *got.notes], **told}

    def _known_of(self, symbol: str) -> tuple[Known, str]:
        """Return what closed daily bars say of the underlying, and a sentence of it."""
        days = self._hub.series(symbol, "1d").rows(250) if symbol in self._hub.watched() else np.empty(0)
        range_usd = float(atr(days["high"], days["low"], days["close"], ATR_DAYS)[-1]) if len(days) > ATR_DAYS else math.nan
        vol = realised_vol(days["close"]) if len(days) else math.nan
        said = (
            f"realised volatility {100 * vol:.1f} % of {REALISED_DAYS} sessions" if math.isfinite(vol) else "realised volatility not known"
        )
        also = f"average daily range {range_usd:.2f} USD of {ATR_DAYS}" if math.isfinite(range_usd) else "average daily range not known"
        return Known(_known(vol), _known(range_usd)), f"{said}, {also}; events, earnings and dividends: nobody looked"

    # -- readers -------------------------------------------------------------------------------------------------------------------

    def _keep(self, wanted: Sequence[tuple[str, date]]) -> None:
        """Hold readers of exactly these; one whose hub was stopped is opened again."""
        held, self._readers = self._readers, {}
        try:
            for key in wanted:
                reader = held.pop(key, None)
                if reader is not None and reader.is_over:
                    reader.close()
                    reader = None
                self._readers[key] = self._hub.chain(*key) if reader is None else reader
        finally:
            for reader in held.values():
                reader.close()


def realised_vol(closes: np.ndarray, n: int = REALISED_DAYS) -> float:
    """Return the volatility of the last `n` close-to-close returns per √year (252 sessions); NaN with fewer.

    Standard deviation (n - 1) of log returns times √252.
    """
    returns = np.diff(np.log(closes[-n - 1 :]))
    return float(np.std(returns, ddof=1) * math.sqrt(SESSIONS_A_YEAR)) if len(returns) == n else math.nan


def _no_expiry(ask: Ask, listed: Sequence[date], now_ns: int, source: str) -> str:
    if not listed:
        return f"No option of {ask.symbol} is listed at {source}."
    low, high = ask.dte
    days = [days_to_expiry(now_ns, day) for day in listed]
    near = min(days, key=lambda n: max(low - n, n - high))
    when = "today" if high == 0 else f"in {low} to {high} days"
    return f"No option of {ask.symbol} expires {when}; the nearest expiry is {near} days away: allow that many."


def why_none(funnel: Sequence[FunnelStep]) -> str:
    """Return which filter took the last contracts, as one sentence with the next step; '' where some are left."""
    for step in funnel:
        if not step.passed:
            lacks = f", {step.missing:,} for want of a number" if step.missing else ""
            return f"Nothing fits: “{step.filter}” ({step.rule}) took the last {step.tested:,} contracts{lacks}; next: widen it."
    return ""


def _row(row: Suggestion) -> dict[str, Any]:
    contract = OptionContract.parse(row.symbol)
    numbers = ("strike", "bid_usd", "ask_usd", "mid_usd", "iv", "delta", "break_even_usd", "theta_usd_per_hour")
    return {
        "symbol": contract.symbol, "label": row.label, "right": row.right, "day": _day(row.expiry), "dte": row.dte,
        **{name: _known(getattr(row, name)) for name in numbers}, "cost_usd": float(row.cost_usd), "contracts": row.contracts,
        "checklist": [[x.check, x.verdict.value, _known(x.value), x.unit, x.threshold, x.sentence] for x in row.checklist],
    }  # fmt: skip


def _screened(rules: CoveredCallRules, priced: PricedChain) -> dict[str, Any]:
    got = screen_covered_calls(priced, rules)
    rows = [_call(row) for row in got.rows]
    status = "" if got.passed else why_none(got.funnel)
    return {"mode": "covered", "rows": rows, "n_passed": len(got.passed), "status": status, "funnel": _funnel(got.funnel),
            "notes": list(got.notes), "ranked_by": rules.rank_by, "clock": got.clock}  # fmt: skip


def _call(row: CoveredCall) -> dict[str, Any]:
    plain = {name: _known(value) if isinstance(value, float) else value for name, value in dataclasses.asdict(row).items()}
    contract = OptionContract.parse(row.symbol)
    return {**plain, "symbol": contract.symbol, "label": contract.label, "day": _day(contract.expiry), "reasons": list(row.reasons)}


def _date(rows: list[dict[str, Any]], priced: PricedChain, now_ns: int) -> None:
    """Add to each row how old its quote is [s]; None where that is not known."""
    stamps = {f"O:{symbol}": ts_ns for symbol, ts_ns in zip(priced.rows["symbol"].tolist(), priced.rows["ts_ns"].tolist(), strict=True)}
    for row in rows:
        ts_ns = stamps[row["symbol"]]
        row["age_s"] = max(0, round((now_ns - ts_ns) / NS_PER_S)) if ts_ns else None


def _funnel(steps: Sequence[FunnelStep]) -> list[list[Any]]:
    return [[step.filter, step.rule, step.tested, step.passed, step.failed, step.missing] for step in steps]


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
