"""Have the kernels of a running market compiled before anything waits for them.

A fresh installation has none: to compile them costs a core some ten seconds, and keeps the interpreter busy while it lasts. So
other processes do it, side by side with whatever else starts, and this one then loads what they left in numba's cache. Where they
can't be started, or leave nothing, the kernels are compiled when they are first used: later, and the same.

Floor 2. Imports numba in its thread. `python -m workbench.hub.warm PART` compiles one part.
"""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.sessions import SESSION_DTYPE
from workbench.types import BAR_DTYPE, QUOTE_DTYPE, TRADE_DTYPE, SymbolTable

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]
COMPILE_S = 60  # what the compilation of one part may take


class Part(NamedTuple):
    """Kernels that are compiled by one process."""

    load: Callable[[], None]  # loads them, or compiles what is not in the cache
    last: tuple[str, str]  # source file in the package and name of the kernel that `load` comes to last


@functools.cache
def warm() -> threading.Thread:
    """Load the kernels that a running market needs, once a process, in a background thread; return it (join to wait)."""
    thread = threading.Thread(target=_warm, name="warm-kernels", daemon=True)
    thread.start()
    return thread


def _warm() -> None:
    cold = [name for name in MARKET if is_cold(name)]
    started = {name: _compiler(name) for name in cold}
    for name, process in started.items():
        _wait(name, process)
    for name in MARKET:
        PARTS[name].load()
    if is_cold(OPTIONS):  # nothing waits for these: until the first chain is opened
        threading.Thread(target=lambda: _wait(OPTIONS, _compiler(OPTIONS)), name="compile-options", daemon=True).start()


def is_cold(part: str) -> bool:
    """Return whether a part is not known to be in numba's cache beside its source, where it could be."""
    file, kernel = PARTS[part].last
    source = PACKAGE / file
    cache = source.parent / "__pycache__"
    if not os.access(cache if cache.exists() else source.parent, os.W_OK):
        return False  # numba keeps it elsewhere
    kept = (path.stat().st_mtime for path in cache.glob(f"{source.stem}.{kernel}-*.nbi"))
    return max(kept, default=0.0) < source.stat().st_mtime


def _compiler(part: str) -> subprocess.Popen[bytes] | None:
    """Start a process that compiles one part; None where none can be started."""
    nowhere = subprocess.DEVNULL
    try:
        return subprocess.Popen([sys.executable, "-m", __name__, part], stdin=nowhere, stdout=nowhere, stderr=nowhere)
    except OSError as error:
        log.debug("no process to compile %s kernels: %s", part, error)
        return None


def _wait(part: str, process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    try:
        code = process.wait(COMPILE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if code:
        log.debug("compiling %s kernels ahead ended with code %d: they are compiled at first use", part, code)


# -- the parts -------------------------------------------------------------------------------------------------------------------


def _load_rollup() -> None:
    from workbench.hub.rollup import Roller, rollup

    sessions, minute = _session(), np.zeros(1, BAR_DTYPE)
    minute["ts_open"], minute["ts_close"] = 130 * NS_PER_MIN, 131 * NS_PER_MIN
    for name in ("open", "high", "low", "close"):
        minute[name] = 10.0
    rollup(minute, "5m", sessions)  # what a chart waits for comes first
    roller = Roller(sessions)
    roller.add(minute)
    roller.partials()
    roller.advance(0)


def _load_minutes() -> None:
    from workbench.hub.bars import FRAME, MinuteBuilder
    from workbench.hub.clean import Quarantine, TradeCleaner, clean_quotes

    trades = np.zeros(2, TRADE_DTYPE)
    trades["ts_event"], trades["price"], trades["size"] = 130 * NS_PER_MIN, 10.0, 100.0
    builder = MinuteBuilder(_session(), grace_ns=0, symbols=1)
    builder.open_bars(0)
    builder.add(trades)
    builder.add(np.repeat(trades, FRAME))
    builder.advance(132 * NS_PER_MIN)
    builder.add(trades)
    builder.forget(0)
    symbols = SymbolTable()
    TradeCleaner(symbols, Quarantine()).clean(np.zeros(0, TRADE_DTYPE), 0)
    clean_quotes(np.zeros(0, QUOTE_DTYPE), symbols, Quarantine())


def _load_options() -> None:
    from workbench.options.implied import fast_greeks, implied_greeks, implied_vol

    implied_vol(4.759422, 42.0, 40.0, 0.5, 0.10, "C")
    implied_greeks(4.759422, 42.0, 40.0, 0.5, 0.10, "C")
    fast_greeks(42.0, 40.0, 0.5, 0.10, 0.2, "C")


def _session() -> np.ndarray:
    sessions = np.array([(19_800, 60, 120, 180, 240)], SESSION_DTYPE)
    for name in ("pre_open", "open", "close", "post_close"):
        sessions[name] *= NS_PER_MIN
    return sessions


OPTIONS = "options"
MARKET = ("rollup", "minutes")
PARTS = {
    "rollup": Part(_load_rollup, ("hub/kernels_roll.py", "roll_until")),
    "minutes": Part(_load_minutes, ("hub/clean.py", "_clean_quotes")),
    OPTIONS: Part(_load_options, ("options/kernel.py", "greeks")),
}


if __name__ == "__main__":
    if sys.argv[1] == OPTIONS and hasattr(os, "nice"):
        os.nice(10)
    PARTS[sys.argv[1]].load()
