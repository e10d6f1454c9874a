"""A chain of a hub elsewhere: asked for again and again while somebody reads it, told only when it has changed.

The hub keeps a chain up for as long as it is asked for; when the last reader here leaves, nobody asks. While it does not answer, the
last chain stands with a note, and its moment goes on with the market's clock: quotes grow old while nobody tells newer ones. Floor 2.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from workbench.clock import NS_PER_S, Clock
from workbench.errors import SourceError, SymbolError
from workbench.hub.chains import ChainStatus, Feed
from workbench.hub.remote import wire
from workbench.hub.remote.service import Questions
from workbench.options.chain import CHAIN_DTYPE, Chain
from workbench.sessions import to_ny

STILL_NS = 3 * NS_PER_S  # a hub that answers tells a chain anew about every second
CHAIN_S = 10.0  # the hub may have to ask its provider first


class RemoteFeed(Feed):
    """One expiry's chain, as the hub tells it."""

    def __init__(self, ask: Questions, clock: Clock, underlying: str, expiry: date) -> None:
        super().__init__(underlying, expiry)
        self._ask, self._clock = ask, clock
        self._version: str | None = None
        self._status = ChainStatus(is_loaded=False, reason="", n_live=0)
        nothing = np.zeros(0, CHAIN_DTYPE)
        self._told = Chain(underlying, np.nan, 0, clock.now_ns(), nothing, "hub", ("waiting for the hub's first answer",))
        self._shown = self._told
        self._changes = 0

    @property
    def changes(self) -> int:
        """A count that grows with every change told here."""
        return self._changes

    @property
    def status(self) -> ChainStatus:
        """How the chain is doing, there and on the way."""
        return replace(self._status, reason=self._trouble) if self._trouble else self._status

    def snapshot(self) -> Chain:
        """Return the chain as last told, as of now when that was a while ago."""
        is_ending = self.is_over and self._trouble and self._trouble not in self._shown.notes
        if is_ending or self._clock.now_ns() - self._shown.asof_ns > STILL_NS:
            self._show()
        return self._shown

    def _turn(self) -> None:
        try:
            asked = {"underlying": self.underlying, "expiry": self.expiry.isoformat()}
            since = {} if self._version is None else {"since": self._version}
            self._take(self._ask.get("/api/chain", wire.ChainPage, asked | since, wait_s=CHAIN_S))
        except (SourceError, SymbolError) as error:
            since_when = f"; shown is what it told at {to_ny(self._told.asof_ns):%H:%M:%S} New York" if self._version else ""
            self._say(f"the chain could not be read: {error}{since_when}")
        self.settled.set()

    def _take(self, page: wire.ChainPage) -> None:
        self._status = ChainStatus(page.is_loaded, page.reason, page.n_live)
        if page.is_changed:
            spot = np.nan if page.spot is None else page.spot
            rows = wire.contracts_of(page.rows)
            self._told = Chain(self.underlying, spot, page.spot_ts_ns, page.asof_ns, rows, page.source, tuple(page.notes))
            self._version, self._trouble = page.version, ""
            self._show()
        else:
            self._say("")

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._show()

    def _show(self) -> None:
        with self._lock:
            told, now_ns = self._told, self._clock.now_ns()
            notes = (*told.notes, self._trouble) if self._trouble else told.notes
            asof_ns = now_ns if now_ns - told.asof_ns > STILL_NS else told.asof_ns
            self._shown = replace(told, notes=notes, asof_ns=asof_ns)
            self._changes += 1

    def _let_go(self) -> None:
        """Nothing: the hub lets go of what nobody asks for."""
