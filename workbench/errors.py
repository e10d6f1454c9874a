"""The errors this package raises on purpose; every message says what came and what is allowed.

WorkbenchError
├── ConfigError            a setting is unknown, missing or out of range
├── SymbolError            text that is no symbol, or a symbol the source does not know
├── TimeframeError         a timeframe that the workbench does not build
├── RecordError            a record that refuses to exist (bar with high < low, negative size, …)
├── FileError              a file that can't be read as what it was said to be
│   ├── SchemaError        columns missing, unknown or of the wrong type
│   │   └── ReadingError   it can be read when something else is said about it (also a ConfigError)
│   └── TimestampError     stamps that are naive, out of range or ambiguous
├── SourceError            a provider refused or failed
│   ├── AuthError          the key was refused, or the plan does not include the data
│   ├── ConnectionLimitError   another client uses the one connection that the plan allows
│   └── HistoryError       history could not be read, or could not be proved complete
├── CalendarError          a time outside the calendar's span
├── StoreError             bars could not be written or read (disk full, permission)
├── OrderError             an order that may not exist, or a step that its state does not allow
├── JournalError           the journal could not be written, read, or is not what was written
├── DoorError              who asks may not, or has not said who it is
└── PortInUseError         the address to serve on is taken

Bad market data never raises: it is quarantined with a reason and counted (see `hub/clean.py`).

Floor 0: imports nothing but the standard library.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkbenchError(Exception):
    """Base of every error that the workbench raises on purpose."""


class ConfigError(WorkbenchError):
    """A setting is unknown, missing or out of range."""


class SymbolError(WorkbenchError, ValueError):
    """Text that is no symbol, or a symbol that the source does not know."""


class TimeframeError(WorkbenchError, ValueError):
    """A timeframe that the workbench does not build."""


class RecordError(WorkbenchError, ValueError):
    """A record whose values contradict each other."""


class FileError(WorkbenchError):
    """A file that can't be read as what it was said to be."""


class SchemaError(FileError, ValueError):
    """Columns are missing, unknown or of the wrong type."""


class ReadingError(SchemaError, ConfigError):
    """What was said about a file, or left out, doesn't fit it: the file is good, the question is to be put otherwise."""


class TimestampError(FileError, ValueError):
    """Time stamps are naive, ambiguous or outside any trading history."""


class SourceError(WorkbenchError):
    """A provider refused or failed."""


class AuthError(SourceError):
    """The key was refused, or the plan does not include the data asked for."""


class ConnectionLimitError(SourceError):
    """Another client uses the one connection that the plan allows."""


class HistoryError(SourceError):
    """History could not be read, or could not be proved complete."""


class CalendarError(WorkbenchError, ValueError):
    """A time lies outside the calendar's span, or is no trading time."""


class StoreError(WorkbenchError):
    """Bars could not be written or read back."""


class OrderError(WorkbenchError, ValueError):
    """An order that may not exist as it is, or a step that its state does not allow."""


class JournalError(WorkbenchError):
    """The journal could not be written or read, or is not what was written."""


class DoorError(WorkbenchError):
    """Who asks may not do this, or has not said who it is."""


class PortInUseError(WorkbenchError, OSError):
    """The address to serve on is taken by another process."""


def choices(received: object, allowed: Iterable[str]) -> str:
    """Return «'5min' (did you mean '5m'?); allowed: 1m, 2m, …» for an error message."""
    names = list(allowed)
    near = difflib.get_close_matches(str(received), names, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"{received!r}{hint}; allowed: {', '.join(names)}"
