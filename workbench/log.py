"""The log of a running workbench: one line an event on standard error, in UTC, as text or JSON, from which keys are cut out.

Vendors' libraries put keys into addresses and addresses into their messages; what leaves here has none, whether plain, in a URL, in
base64, or only its beginning, and no matter whether it stood in a message, its arguments or a traceback. What came from outside
can't forge a line: control characters are escaped, and a traceback's lines are indented.

Floor 1.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from urllib.parse import quote, quote_plus

from workbench.config import Settings

SHORTEST_SECRET = 6  # shorter texts would blot out ordinary words
SHORTEST_BEGINNING = 8  # as much of a secret as is cut out when only its beginning is said
MASK = "*****"
# what opens the door, whoever it belongs to: tokens of `workbench door token`, headers, signed session cookies
_PASSES = re.compile(r"\bwb_[\w-]{16,}|(?<=Bearer )\S+|(?<=Basic )\S+|\b2\|1:\d+\|[\d:|]+workbench_session\|\S+")


class Mask:
    """Cuts secrets out of text, in every form in which they are met: a whole one, and any beginning of eight letters or more."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms: dict[str, list[str]] = {}  # first letters -> the forms that begin with them
        for secret in secrets:
            for form in _forms(secret) if len(secret) >= SHORTEST_SECRET else ():
                self._forms.setdefault(form[:SHORTEST_BEGINNING], []).append(form)

    def __call__(self, text: str) -> str:
        """Return the text without them."""
        for beginning, forms in self._forms.items():
            at = text.find(beginning)
            while at >= 0:
                end = at + max(_agreeing(form, text[at : at + len(form)]) for form in forms)
                text = text[:at] + MASK + text[end:]
                at = text.find(beginning, at + len(MASK))
        return _PASSES.sub(MASK, text)


def _agreeing(form: str, text: str) -> int:
    """Return how many letters two texts begin with in common."""
    return next((i for i, (a, b) in enumerate(zip(form, text, strict=False)) if a != b), min(len(form), len(text)))


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret plain, in a URL, and as base64 shows it at each of the three places where it can begin."""
    yield from {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    raw = secret.encode()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        inner = text[(0, 2, 3)[shift] : len(text) - (1 if (shift + len(raw)) % 3 else 0)]  # its edges mix with its neighbours
        if len(inner) >= SHORTEST_BEGINNING:
            yield from {inner, inner.replace("+", "-").replace("/", "_")}


def printable(text: str) -> str:
    """Return text on one line: whatever could end a line, move a cursor or hide something is escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class MaskingFormatter(logging.Formatter):
    """Formats a record, traceback included, then masks every secret in it."""

    converter = staticmethod(time.gmtime)

    def __init__(self, secrets: Iterable[str], *, is_json: bool = False) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S")
        self._mask, self._is_json = Mask(secrets), is_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, masked."""
        message, trouble = self._mask(record.getMessage()), self._mask(self._exception(record))
        if self._is_json:
            return json.dumps(self._fields(record, message, trouble))
        line = f"{self.formatTime(record, self.datefmt)}Z {record.levelname:<7} {record.name}: {printable(message)}"
        return self._mask("\n    ".join([line, *map(printable, trouble.splitlines())]))

    def _exception(self, record: logging.LogRecord) -> str:
        """Return the traceback and stack of a record, '' when it has none."""
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        return "\n".join(part for part in (trace, record.stack_info or "") if part)

    def _fields(self, record: logging.LogRecord, message: str, trouble: str) -> dict[str, str]:
        ts = f"{self.formatTime(record, self.datefmt)}.{int(record.msecs):03d}Z"
        fields = {"ts": ts, "level": record.levelname, "logger": self._mask(record.name), "message": message}
        return fields | ({"exception": trouble} if trouble else {})


class CalmHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """A handler whose own failures stop nothing and show nothing: the usual report would print a record unmasked."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Say that a line is missing, if even that can be said."""
        try:
            self.stream.write(f"a line of {printable(record.name)} could not be logged\n")
        except (OSError, ValueError):  # no disk, no terminal: nobody can be told
            return


def start_log(settings: Settings, *, is_verbose: bool = False) -> None:
    """Send this package's messages (INFO, or DEBUG), everybody's warnings, and what nobody caught, to standard error."""
    handler = CalmHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(settings.secrets(), is_json=settings.log_json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.getLogger("workbench").setLevel(logging.DEBUG if is_verbose else logging.INFO)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def mask_handlers(settings: Settings) -> None:
    """Cut keys out of what the root's present handlers write: for a process whose log somebody else has set up (stock Panel)."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(MaskingFormatter(settings.secrets(), is_json=settings.log_json))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("workbench").critical("stopped by an error that nobody expected", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        name = args.thread.name if args.thread is not None else "unknown"
        info = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger("workbench").critical("thread %s stopped by an error that nobody expected", name, exc_info=info)
