"""Option contracts that screens show: followed while one does, let go when none does any more.

A chain has hundreds of contracts, and a click follows one; followed for ever, they would fill the feed. Every screen `show`s the
contracts on it. When the last screen has left a contract it is unwatched, unless it was followed before any screen showed it, stands
on the watchlist or the board, or was asked for by a program outside. Shares and indices are left alone.

Floor 8. From any thread; unwatching runs elsewhere, since a source may take its time.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

import panel as pn

log = logging.getLogger(__name__)

_ENDS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="unwatching")


class Contracts:
    """How many screens of this process show each contract of one hub."""

    def __init__(self) -> None:
        self._shown: Counter[str] = Counter()
        self._begun: set[str] = set()  # contracts that were not followed before a screen showed them
        self._lock = threading.Lock()

    def hold(self, hub: Any, symbols: Iterable[str]) -> None:
        """Count one screen more for each; to be called before the contract is watched."""
        watched = set(hub.watched())
        with self._lock:
            for symbol in symbols:
                if not self._shown[symbol] and symbol not in watched:
                    self._begun.add(symbol)
                self._shown[symbol] += 1

    def let_go(self, hub: Any, symbols: Iterable[str], is_kept: Callable[[str], bool]) -> None:
        """Count one screen less for each, and end the watch of those that nobody has use for. `is_kept`: on a list of the trader's."""
        with self._lock:
            for symbol in symbols:
                self._shown[symbol] -= 1
                if not self._shown[symbol]:
                    del self._shown[symbol]
        for symbol in symbols:
            if not is_kept(symbol):
                _ENDS.submit(self._end, hub, symbol)

    def _end(self, hub: Any, symbol: str) -> None:
        with self._lock:
            if self._shown[symbol] or symbol not in self._begun or symbol in hub.asked_for:
                return
        try:
            hub.unwatch(symbol)
            with self._lock:
                is_back = self._shown[symbol] > 0
                if not is_back:
                    self._begun.discard(symbol)
            if is_back:  # shown again meanwhile: whoever watched it may have found it watched still
                hub.watch(symbol)
        except Exception:
            log.exception("contract %s can't be let go", symbol)


def shared_contracts(hub: Any) -> Contracts:
    """Return the contracts that the screens of this process show of a hub."""
    by_hub: WeakKeyDictionary[Any, Contracts] = pn.state.as_cached("workbench-contracts", WeakKeyDictionary)
    return by_hub.setdefault(hub, Contracts())


class ShownContracts:
    """The contracts of one screen."""

    def __init__(self, hub: Any, is_kept: Callable[[str], bool]) -> None:
        self._hub, self._is_kept, self._all = hub, is_kept, shared_contracts(hub)
        self._symbols: set[str] = set()

    def show(self, symbols: Iterable[str]) -> None:
        """Say what the screen shows from now on; to be called before a contract is watched."""
        wanted = {symbol for symbol in symbols if symbol.startswith("O:")}
        came, left, self._symbols = wanted - self._symbols, self._symbols - wanted, wanted
        if came:
            self._all.hold(self._hub, came)
        if left:
            self._all.let_go(self._hub, left, self._is_kept)
