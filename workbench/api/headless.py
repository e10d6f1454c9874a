"""`workbench hub`: one engine and its API, without a screen, until a signal ends it.

Floor 8.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType

from workbench.api.server import ApiServer
from workbench.assemble import assemble
from workbench.config import Settings

log = logging.getLogger(__name__)


def run(settings: Settings, *, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then streams end, what is queued is applied and stored. PortInUseError before anything starts."""
    engine = assemble(settings)
    api = ApiServer(engine, settings)
    ended = _ended_by_signal()
    try:
        engine.start()
        api.start()
        info = engine.hub.source_info
        say(f"hub of {info.name} ({info.detail}) at {api.address}, events at {api.address}/stream/market; Ctrl-C ends it")
        ended.wait()
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
