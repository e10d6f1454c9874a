"""Symbols that a view shows and the hub may not follow yet: asked for on another thread, since a provider may take its time. Floor 8."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_ASKS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asking")


class Asking:
    """What one view asked its hub to follow."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._asked: dict[str, Future[None]] = {}  # symbol -> the asking for it

    def ask(self, symbol: str) -> str:
        """Have a symbol followed, asked for once; return why that failed, '' while it has not."""
        asked = self._asked.get(symbol)
        if asked is None:
            asked = self._asked[symbol] = _ASKS.submit(self._hub.watch, symbol)
        error = asked.exception() if asked.done() else None
        return "" if error is None else str(error)

    def keep(self, symbols: list[str]) -> None:
        """Forget what was asked for other symbols: asked for again, they are tried again."""
        self._asked = {symbol: held for symbol, held in self._asked.items() if symbol in symbols}
