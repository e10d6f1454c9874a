"""The workbench: a trustworthy road from a market-data provider to charts, notebooks and strategies.

Public names are fetched from their modules on first use, so that `import workbench` costs next to nothing; `_HOME` says where
each lives. Everything else is reached by its module and may change.

Floor 0.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from workbench.assembly import assemble as assemble
    from workbench.clock import Clock as Clock
    from workbench.clock import ReplayClock as ReplayClock
    from workbench.clock import WallClock as WallClock
    from workbench.config import Settings as Settings
    from workbench.engine import Engine as Engine
    from workbench.errors import WorkbenchError as WorkbenchError
    from workbench.hub.health import Health as Health
    from workbench.hub.hub import Hub as Hub
    from workbench.hub.series import Cursor as Cursor
    from workbench.hub.series import Series as Series
    from workbench.sessions import Segment as Segment
    from workbench.sessions import SessionCalendar as SessionCalendar
    from workbench.types import BAR_DTYPE as BAR_DTYPE
    from workbench.types import QUOTE_DTYPE as QUOTE_DTYPE
    from workbench.types import TIMEFRAMES as TIMEFRAMES
    from workbench.types import TRADE_DTYPE as TRADE_DTYPE
    from workbench.types import Bar as Bar
    from workbench.types import OptionContract as OptionContract
    from workbench.types import Quote as Quote
    from workbench.types import SymbolTable as SymbolTable
    from workbench.types import Timeframe as Timeframe
    from workbench.types import Trade as Trade
    from workbench.views.lab.notebook import prepare as prepare
    from workbench.views.lab.widget import LabChart as LabChart
    from workbench.views.lab.widget import chart as chart

# public name -> module it lives in
_HOME = {
    "BAR_DTYPE": "workbench.types",
    "Bar": "workbench.types",
    "Clock": "workbench.clock",
    "Cursor": "workbench.hub.series",
    "Engine": "workbench.engine",
    "Health": "workbench.hub.health",
    "Hub": "workbench.hub.hub",
    "LabChart": "workbench.views.lab.widget",
    "OptionContract": "workbench.types",
    "QUOTE_DTYPE": "workbench.types",
    "Quote": "workbench.types",
    "ReplayClock": "workbench.clock",
    "Segment": "workbench.sessions",
    "Series": "workbench.hub.series",
    "SessionCalendar": "workbench.sessions",
    "Settings": "workbench.config",
    "SymbolTable": "workbench.types",
    "TIMEFRAMES": "workbench.types",
    "TRADE_DTYPE": "workbench.types",
    "Timeframe": "workbench.types",
    "Trade": "workbench.types",
    "WallClock": "workbench.clock",
    "WorkbenchError": "workbench.errors",
    "assemble": "workbench.assembly",
    "chart": "workbench.views.lab.widget",
    "prepare": "workbench.views.lab.notebook",
}

__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605 - one list of names, not two; tests/test_exported_members.py


def __getattr__(name: str) -> Any:
    """Import a public name from its module and keep it."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
