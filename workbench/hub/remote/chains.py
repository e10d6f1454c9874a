"""A chain of a hub elsewhere: asked for again and again while somebody reads it, told only when it has changed.

The hub keeps a chain up for as long as it is asked for; when the last reader here leaves, nobody asks. While it does not answer, the
last chain stands with a note. Floor 2.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from workbench.clock import Clock
from workbench.errors import SourceError, SymbolError
from workbench.hub.chains import ChainStatus, Feed
from workbench.hub.remote import wire
from workbench.hub.remote.service import Questions
from workbench.options.chain import CHAIN_DTYPE, Chain
from workbench.sessions import to_ny

CHAIN_S = 10.0  # the hub may have to ask its provider first


class RemoteFeed(Feed):
    """One expiry's chain, as the hub tells it."""

    def __init__(self, ask: Questions, clock: Clock, underlying: str, expiry: date) -> None:
        super().__init__(underlying, expiry)
        self._ask = ask
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
        """Return the chain as last told."""
        if self.is_over and self._trouble and self._trouble not in self._shown.notes:
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
        notes = (*self._told.notes, self._trouble) if self._trouble else self._told.notes
        self._shown = replace(self._told, notes=notes)
        self._changes += 1

    def _let_go(self) -> None:
        """Nothing: the hub lets go of what nobody asks for."""
