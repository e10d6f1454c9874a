"""Option chains of a live provider by REST: page after page, decoded into rows by the rules that files of them are read by.

The pages are separate requests, so a chain is not of one instant: each row has the stamp of its own quote. How one page is asked for
and read stands in the providers' own subclasses; pauses, tries and the meaning of refusals are those of their history. Floor 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import date
from typing import Any

from workbench.clock import Clock
from workbench.errors import HistoryError
from workbench.history.chain_messages import Snapshot
from workbench.options.chain import Chain, make_chain
from workbench.sessions import SessionCalendar, to_ny
from workbench.sources.live.history import MinuteHistory
from workbench.types import check_symbol

MAX_PAGES = 200


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
    def _chain_page(self, underlying: str, expiry: date, token: Any) -> tuple[list[Any], Any]:
        """Ask once for a page of an expiry's contracts as the provider tells them, as `_expiry_page`."""

    @abstractmethod
    def _decode(self, elements: list[Any], asof_ns: int) -> Snapshot:
        """Return the elements of all pages as rows."""

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Return the expiry dates that are not over, ascending. HistoryError, AuthError, SymbolError as of `MinuteHistory.read`."""
        days = self._pages(underlying, lambda token: self._expiry_page(underlying, token))
        now_ns = self._clock.now_ns()
        today = to_ny(now_ns).date()
        is_over = self._calendar.is_session(today) and now_ns >= int(self._calendar.session(today)["close"])
        return tuple(sorted({day for day in days if day > today or (day == today and not is_over)}))

    def chain(self, underlying: str, expiry: date) -> Chain:
        """Return every contract of an expiry date; errors as of `expiries`. What can't be read is left out, and a note says so."""
        elements = self._pages(underlying, lambda token: self._chain_page(underlying, expiry, token))
        now_ns = self._clock.now_ns()
        told = self._decode(elements, now_ns)
        spot, spot_ts_ns = told.spot, told.spot_ts_ns
        return make_chain(underlying, told.rows, spot=spot, spot_ts_ns=spot_ts_ns, asof_ns=now_ns, source=self._source, notes=told.notes)

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
