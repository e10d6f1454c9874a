"""The log of a running desk: one line an event on standard error, in UTC, from which keys are cut out.

Vendors' libraries put keys into addresses and addresses into their messages; what leaves here has none.

Floor 9.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from urllib.parse import quote

from workbench.config import Settings

LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
SHORTEST_SECRET = 6  # shorter texts would blot out ordinary words


class MaskingFormatter(logging.Formatter):
    """Formats a record, traceback included, then masks every secret in it."""

    converter = staticmethod(time.gmtime)

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(LINE, datefmt="%Y-%m-%dT%H:%M:%SZ")
        plain = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        self._secrets = sorted(plain | {quote(secret, safe="") for secret in plain}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, masked."""
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "*****")
        return line


def start_log(settings: Settings, *, is_verbose: bool = False) -> None:
    """Send this package's messages (INFO, or DEBUG) and everybody's warnings to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(settings.secrets()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("workbench").setLevel(logging.DEBUG if is_verbose else logging.INFO)
