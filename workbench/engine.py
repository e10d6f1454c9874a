"""The road of the market's data, on one screen.

    Source ── prints, quotes, bars ──▶ Hub: clean → minutes → closed bars → series ──▶ cursors: charts, notebooks, strategies

Live, replay and simulation differ only in the `Source` (and the clock that it carries). Who reads never slows who writes, and
who is told of a bar can read it. Decisions (strategy → risk → order → fill → journal) will join the same road behind the series.

This file says the order; it builds nothing and reads no settings (`assembly.py` does). Floor 7.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from workbench.clock import Clock
from workbench.hub.hub import Hub
from workbench.recorder.recorder import Recorder
from workbench.sources.base import Source


class Engine:
    """One source and its hub, started and stopped together. Use as a context manager or call `start` and `stop`.

    `recorder` (None: this hub can't be recorded) may be started and stopped at any time; with `is_recording` it is from the start.
    """

    def __init__(
        self, source: Source, hub: Hub, symbols: Iterable[str] = (), recorder: Recorder | None = None, *, is_recording: bool = False
    ) -> None:
        """`symbols` are watched from the start."""
        self.source = source
        self.hub = hub
        self.symbols = tuple(symbols)
        self.recorder = recorder
        self._is_recording = is_recording
        self._is_running = False

    @property
    def clock(self) -> Clock:
        """The market's clock: the wall's when live, the replayed moment otherwise."""
        return self.source.clock

    @property
    def is_running(self) -> bool:
        """True between `start` and `stop`."""
        return self._is_running

    def start(self) -> Self:
        """Start the hub, watch the symbols, then let the source deliver; harmless when running."""
        if not self._is_running:
            self._is_running = True
            self.hub.start()
            for symbol in self.symbols:
                self.hub.watch(symbol)
            if self._is_recording and self.recorder is not None:
                self.recorder.start(insists=True)  # what keeps it from recording ends nothing else
            self.source.start(self.hub)
        return self

    def stop(self) -> None:
        """Stop the source first, then the hub, which applies and stores what it was given, then the recorder; harmless when stopped."""
        if self._is_running:
            self._is_running = False
            self.source.stop()
            self.hub.stop()
            if self.recorder is not None:
                self.recorder.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Engine {'running' if self._is_running else 'stopped'}: {self.hub!r}>"

    def _repr_html_(self) -> str:
        return f"<div>Engine {'running' if self._is_running else 'stopped'}</div>{self.hub._repr_html_()}"
