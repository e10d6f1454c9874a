"""Option chains of a live provider by REST: page after page, decoded into rows, with what the provider does not tell left open.

The pages are separate requests, so a chain is not of one instant: each row has the stamp of its own quote. How one page is asked for
and read stands in the providers' own subclasses; pauses, tries and the meaning of refusals are those of their history. Floor 2.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from workbench.clock import Clock
from workbench.errors import HistoryError, RecordError, SymbolError
from workbench.options.chain import Chain, contract_rows, make_chain
from workbench.sessions import SessionCalendar, to_ny
from workbench.sources.live.history import MinuteHistory
from workbench.types import OptionContract, check_symbol

MAX_PAGES = 200
_VALUES = ("bid", "ask", "bid_size", "ask_size", "last", "volume", "open_interest", "vendor_iv", "vendor_delta", "vendor_gamma", "ts_ns")


class Told(NamedTuple):
    """One contract as the provider tells it; NaN and 0 are not known."""

    ticker: str
    multiplier: float = 100
    bid: float = math.nan
    ask: float = math.nan
    bid_size: float = math.nan
    ask_size: float = math.nan
    last: float = math.nan
    volume: float = math.nan
    open_interest: float = math.nan
    vendor_iv: float = math.nan
    vendor_delta: float = math.nan
    vendor_gamma: float = math.nan
    ts_ns: int = 0
    spot: float = math.nan
    spot_ts_ns: int = 0


class ChainRest(ABC):
    """Reads chains. Safe to use from several threads.

    Parameters
    ----------
    history                    Of the same provider: its pauses and tries are kept, its errors raised.
    source                     The provider's name.
    """

    def __init__(self, history: MinuteHistory, *, source: str, clock: Clock, calendar: SessionCalendar) -> None:
        self._history, self._source, self._clock, self._calendar = history, source, clock, calendar

    @abstractmethod
    def _expiry_page(self, underlying: str, token: Any) -> tuple[list[date], Any]:
        """Ask once for a page of expiry dates (any often); return (dates, token of the next page or None). Raises Refusal, Doubt."""

    @abstractmethod
    def _chain_page(self, underlying: str, expiry: date, token: Any) -> tuple[list[Told], Any]:
        """Ask once for a page of an expiry's contracts, as `_expiry_page`."""

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates that are not over, ascending. HistoryError, AuthError, SymbolError as of `MinuteHistory.read`."""
        days = self._pages(underlying, lambda token: self._expiry_page(underlying, token))
        now_ns = self._clock.now_ns()
        today = to_ny(now_ns).date()
        is_over = self._calendar.is_session(today) and now_ns >= int(self._calendar.session(today)["close"])
        return tuple(sorted({day for day in days if day > today or (day == today and not is_over)}))

    def chain(self, underlying: str, expiry: date) -> Chain:
        """Return every contract of an expiry date; errors as of `expiries`. What can't be read is left out, and a note says so."""
        told = self._pages(underlying, lambda token: self._chain_page(underlying, expiry, token))
        contracts, good, unread = [], [], []
        for one in told:
            try:
                contracts.append(OptionContract.parse(one.ticker, _whole(one.multiplier)))
                good.append(one)
            except (SymbolError, RecordError):
                unread.append(one.ticker[:30])
        rows = contract_rows(contracts, self._calendar)
        for name in _VALUES:
            rows[name] = [getattr(one, name) for one in good]
        for name in ("volume", "open_interest", "bid_size", "ask_size", "bid", "ask"):
            rows[name][rows[name] < 0] = np.nan
        newest = max(good, key=lambda one: (not math.isnan(one.spot), one.spot_ts_ns), default=Told(""))
        notes = [f"{len(unread)} contracts could not be read, the first is {unread[0]!r}"] if unread else []
        spot, spot_ts_ns = newest.spot, newest.spot_ts_ns
        return make_chain(
            underlying, rows, spot=spot, spot_ts_ns=spot_ts_ns, asof_ns=self._clock.now_ns(), source=self._source, notes=notes
        )

    def _pages(self, underlying: str, page: Callable[[Any], tuple[list[Any], Any]]) -> list[Any]:
        check_symbol(underlying)
        found: list[Any] = []
        token: Any = None
        for _ in range(MAX_PAGES):
            part, token = self._history.ask("chain", underlying, lambda at=token: page(at))  # type: ignore[misc]
            found += part
            if token is None:
                return found
        raise HistoryError(f"chain of {underlying}: more than {MAX_PAGES} pages; the provider's paging runs in a circle")

    def _is_of_today(self, ts_ns: int) -> bool:
        """Return whether a day's figures are of the present session: a contract that did not trade shows an older day's."""
        now_ns = self._clock.now_ns()
        session = int(self._calendar.sessions["date"][self._calendar.latest(now_ns)])
        return (to_ny(ts_ns).date() - date(1970, 1, 1)).days == session


def _whole(multiplier: float) -> int:
    """Return shares per contract; one with a fraction, which no standard contract has, as 0."""
    return int(multiplier) if multiplier == int(multiplier) else 0
