"""`workbench hub`: one engine and its API, without a screen, until a signal ends it.

Floor 8.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType

from workbench.api.hours import Hours, wait_until, window
from workbench.api.server import ApiServer
from workbench.assembly import assemble
from workbench.clock import Clock, WallClock
from workbench.config import Settings
from workbench.errors import ConfigError
from workbench.sessions import SessionCalendar, to_ny

log = logging.getLogger(__name__)


def run(settings: Settings, *, say: Callable[[str], None], hours: Hours = "always", clock: Clock | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until the hours end; then streams end, what is queued is applied and stored.

    With `hours` other than always it waits for the next session first. Before anything starts: PortInUseError; ConfigError for a
    source that is a hub elsewhere.
    """
    if settings.is_attached:
        raise ConfigError(f"source: received {settings.source!r}; allowed: a source of its own (readers attach to that hub themselves)")
    clock, ended = clock or WallClock(), _ended_by_signal()
    span = window(hours, clock.now_ns(), SessionCalendar.xnys())
    if span is not None and clock.now_ns() < span.start_ns:
        say(f"the hub starts at {to_ny(span.start_ns):%Y-%m-%d %H:%M} New York, for the {hours} hours")
        if not wait_until(span.start_ns, clock, ended.wait):
            return
    engine = assemble(settings)
    api = ApiServer(engine, settings)
    try:
        engine.start()
        api.start()
        info = engine.hub.source_info
        say(f"hub of {info.name} ({info.detail}) at {api.address}, events at {api.address}/stream/market; Ctrl-C ends it")
        wait_until(None if span is None else span.end_ns, clock, ended.wait)
        log.info("stopping")
    finally:
        api.stop()
        engine.stop()


def _ended_by_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return ended
