"""Turns of a page: work that is done so and so often while it is open.

Panel's own timer tells every turn to its indicator of a busy server, which no page here shows: at fifty turns a second that took more
than the work. `background` leaves it out. Floor 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from panel.io import PeriodicCallback


def every(period_ms: int, work: Callable[[], Any]) -> PeriodicCallback:
    """Have `work` done every `period_ms` in the present session, until the result is stopped or the session ends."""
    callback = PeriodicCallback(callback=work, period=period_ms, background=True, log=False)
    callback.start()
    return callback
