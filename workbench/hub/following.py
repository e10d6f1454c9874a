"""What the source is asked to deliver, and for whom: symbols that are followed, and symbols passed through for a chain's sake.

A followed symbol has bars, history, a health. One passed through has a newest quote and print only, because nobody vouches for
minutes of which nothing is read back. A symbol is unsubscribed when it is neither. Floor 2. From any thread but the hub's.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection
from typing import Any

from workbench.errors import SymbolError, choices
from workbench.hub.writer import Writer
from workbench.sources.base import Source
from workbench.types import check_symbol


class Following:
    """Subscribes and unsubscribes. `lock`: the hub's."""

    def __init__(self, source: Source, writer: Writer, lock: Any) -> None:
        self._source, self._writer, self._lock = source, writer, lock
        self._tried: set[str] = set()  # watched, but nobody said so far that it is wanted whatever comes
        self._passed: Counter[str] = Counter()  # symbol -> how many chains have it delivered
        self._order = threading.Lock()  # orders subscribing; never taken by the hub's thread

    def watch(self, symbol: str) -> None:
        """Subscribe to a symbol and have its recent sessions read; harmless when watched. SymbolError when there is no such symbol."""
        info = self._source.info
        is_contract = info.has_chains and check_symbol(symbol).startswith("O:")
        if info.symbols and symbol not in info.symbols and not is_contract:
            raise SymbolError(f"symbol: received {choices(symbol, info.symbols)} (all that source {info.name!r} has)")
        if symbol in self._writer.watched and symbol not in self._tried:
            return
        with self._order:
            self._tried.discard(symbol)
            if symbol not in self._writer.watched:
                self._begin(symbol)

    def try_out(self, symbol: str) -> None:
        """Watch a symbol of which it is not known whether there is one; `watch` by anybody keeps it, `end_trial` does not."""
        with self._order:
            if symbol in self._writer.watched:
                return
            self._tried.add(symbol)  # first: whoever finds it watched has to find it tried
            try:
                self._begin(symbol)
            except BaseException:
                self._tried.discard(symbol)
                raise

    def is_tried(self, symbol: str) -> bool:
        """Return whether a symbol is only tried out."""
        return symbol in self._tried

    def end_trial(self, symbol: str) -> bool:
        """Stop following a symbol that was only tried out; True when it is not followed any more."""
        with self._order:
            if symbol in self._tried:
                self._end(symbol)
            return symbol not in self._writer.watched

    def _begin(self, symbol: str) -> None:
        self._source.subscribe([symbol])  # without the hub's lock: a source may hold its own while it waits for room in the queue
        with self._lock:
            self._writer.passing.discard(symbol)
            self._writer.follow(symbol)

    def unwatch(self, symbol: str) -> None:
        """Stop following a symbol; its bars stay readable. Harmless when not watched."""
        with self._order:
            if symbol in self._writer.watched:
                self._end(symbol)

    def _end(self, symbol: str) -> None:
        self._tried.discard(symbol)
        with self._lock:
            self._writer.leave(symbol)
            if symbol in self._passed:
                self._writer.passing.add(symbol)
        if symbol not in self._passed:
            self._source.unsubscribe([symbol])

    def pass_through(self, symbols: Collection[str]) -> None:
        """Have symbols delivered without following them; each call is taken back by one `end_pass`. What the source raises undoes it."""
        with self._order:
            fresh = [symbol for symbol in symbols if symbol not in self._passed and symbol not in self._writer.watched]
            if fresh:
                self._source.subscribe(fresh)
            with self._lock:
                self._writer.passing.update(fresh)
                self._passed.update(symbols)

    def end_pass(self, symbols: Collection[str]) -> None:
        """Take one `pass_through` of each back."""
        with self._order:
            self._passed.subtract(symbols)
            gone = [symbol for symbol in symbols if self._passed[symbol] <= 0]
            with self._lock:
                for symbol in gone:
                    del self._passed[symbol]
                self._writer.passing.difference_update(gone)
            unheard = [symbol for symbol in gone if symbol not in self._writer.watched]
            if unheard:
                self._source.unsubscribe(unheard)

    @property
    def n_contracts(self) -> int:
        """How many option contracts are subscribed."""
        with self._order:
            return sum(symbol.startswith("O:") for symbol in {*self._passed, *self._writer.watched})
