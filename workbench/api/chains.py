"""Routes of option chains: which expiries there are, and one expiry as it stands, told again only when it has changed.

A chain that is asked for is kept up for as long as somebody goes on asking. Floor 8.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from workbench.api import schemas
from workbench.api.context import Context
from workbench.api.encode import contract_records
from workbench.api.errors import Refused, responses
from workbench.api.params import ChainQuery, ExpiriesQuery
from workbench.clock import NS_PER_S, monotonic_ns
from workbench.errors import SourceError, SymbolError, choices
from workbench.hub.chains import ChainReader
from workbench.hub.hub import Hub

LEASE_S = 20.0  # a chain that nobody has asked for so long is let go
MAX_LEASES = 24  # kept up at once; one more takes the place of the one not asked for the longest
FIRST_S = 5.0  # how long the first question waits for the chain


@dataclass(slots=True)
class _Lease:
    number: int
    reader: ChainReader
    asked_ns: int = field(default_factory=monotonic_ns)


class Leases:
    """Readers held for those who ask over the network."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._held: dict[tuple[str, date], _Lease] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def get(self, underlying: str, expiry: date) -> tuple[int, ChainReader]:
        """Return the reader of a chain, and a number that no other reader had."""
        with self._lock:
            self._drop(monotonic_ns() - int(LEASE_S * NS_PER_S))
            lease = self._held.get((underlying, expiry))
            if lease is None or lease.reader.is_over:
                while len(self._held) >= MAX_LEASES:
                    self._drop(min(one.asked_ns for one in self._held.values()))
                lease = self._held[underlying, expiry] = _Lease(next(self._numbers), self._hub.chain(underlying, expiry))
            lease.asked_ns = monotonic_ns()
            self._look_later()
            return lease.number, lease.reader

    def close(self) -> None:
        """Let all go."""
        with self._lock:
            self._drop(monotonic_ns())
            if self._timer is not None:
                self._timer.cancel()

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(LEASE_S, self._expire)
            self._timer.daemon = True
            self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            self._timer = None
            self._drop(monotonic_ns() - int(LEASE_S * NS_PER_S))
            if self._held:
                self._look_later()

    def _drop(self, before_ns: int) -> None:
        """Let go what was not asked for since."""
        for key, lease in list(self._held.items()):
            if lease.asked_ns <= before_ns:
                lease.reader.close()
                del self._held[key]


def chain_routes(context: Context, leases: Leases) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["options"])

    @router.get("/api/expiries", response_model=schemas.Expiries, responses=responses(404, 409, 422, 500, 503))
    async def expiries(asked: Annotated[ExpiriesQuery, Query()]) -> Response:
        """The expiry dates of an underlying's options, those that are over left out."""
        days = await context.read(lambda: _expiries(context, asked.underlying))
        return context.answer({"underlying": asked.underlying, "expiries": days}, headers=context.market_headers())

    @router.get("/api/chain", response_model=schemas.ChainPage, responses=responses(404, 409, 422, 500, 503))
    async def chain(asked: Annotated[ChainQuery, Query()]) -> Response:
        """All contracts of one expiry date: the source's snapshot, with live quotes and prints around the money laid over it.

        It is kept up while it is asked for at least every 20 s. Send `since` to be told rows only when something has changed.
        """
        page = await context.read(lambda: _page(context, leases, asked))
        return context.answer(page, headers=context.market_headers())

    return router


def _expiries(context: Context, underlying: str) -> tuple[date, ...]:
    if not context.hub.source_info.has_chains:
        raise Refused(409, f"chain: source {context.hub.source_info.name!r} tells no option chains; allowed: a source that does")
    try:
        return context.hub.expiries(underlying)
    except SymbolError as error:
        raise Refused(404, str(error)) from None
    except SourceError as error:
        raise Refused(503, str(error)) from None


def _page(context: Context, leases: Leases, asked: ChainQuery) -> dict[str, Any]:
    listed, expiry = _expiries(context, asked.underlying), date.fromisoformat(asked.expiry)
    if expiry not in listed:
        raise Refused(404, f"expiry: received {choices(asked.expiry, map(str, listed))}")
    try:
        number, reader = leases.get(asked.underlying, expiry)
    except SourceError as error:
        raise Refused(503, str(error)) from None
    reader.wait(FIRST_S)
    changes, chain, status = reader.changes, reader.snapshot(), reader.status
    version = f"{context.hub.epoch}.{number}.{changes}"  # none that another life of the hub has told
    is_changed = version != asked.since
    return {
        "underlying": asked.underlying,
        "expiry": expiry,
        "version": version,
        "is_changed": is_changed,
        "is_loaded": status.is_loaded,
        "reason": status.reason,
        "n_live": status.n_live,
        "source": chain.source,
        "spot": chain.spot,
        "spot_ts_ns": chain.spot_ts_ns,
        "asof_ns": chain.asof_ns,
        "notes": chain.notes,
        "rows": contract_records(chain.rows) if is_changed else [],
    }
