"""Two recordings of the same bars side by side: how far apart, how often, and what only one of them has. Floor 1: numpy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.errors import SchemaError
from workbench.history.aggregate import regroup
from workbench.history.marks import iso_ny
from workbench.history.recording import Recording
from workbench.history.timing import DAY, label_of

SAME = 1e-9  # relative difference below which two numbers are one number written twice
_COLUMNS = ("open", "high", "low", "close", "volume", "vwap", "n_trades")

BarBuilder = Callable[[Recording], Recording]


def compare(here: Recording, there: Recording, build: BarBuilder | None = None) -> dict[str, Any]:
    """Return the differences of two recordings on the bars that both have: common, only_here, only_there, columns.

    Per column: `largest` absolute difference (signed value in `largest_signed` is here minus there), where, `share` of the common bars
    that differ, mean, median and 99th percentile of the absolute differences. Shorter bars are rolled up to the longer ones' length;
    trades become bars by `build`. SchemaError when the two can't be compared.
    """
    here, there = (_as_bars(r, build) for r in (here, there))
    length = max(here.length_ns, there.length_ns)
    symbols = _shared(here, there)
    pairs = [(_rolled(here.of(a), here.length_ns, length), _rolled(there.of(b), there.length_ns, length)) for a, b in symbols]
    ours, theirs, only_here, only_there = _matched(pairs)
    out: dict[str, Any] = {"file": str(there.path), "timeframe": label_of(length), "symbols": [a for a, _ in symbols]}
    out |= {"common": len(ours), "only_here": only_here, "only_there": only_there, "columns": {}}
    for name in _COLUMNS:
        both = ~(np.isnan(ours[name]) | np.isnan(theirs[name]))
        if both.any():
            out["columns"][name] = _difference(ours[name][both], theirs[name][both], ours["ts_open"][both])
    return out


def _as_bars(recording: Recording, build: BarBuilder | None) -> Recording:
    if recording.kind == "bars":
        return recording
    if recording.kind == "trades" and build is not None:
        return build(recording)
    raise SchemaError(
        f"against: received {recording.kind} in {recording.path.name}; allowed: two files that are bars, or trades to build bars from"
    )


def _shared(here: Recording, there: Recording) -> list[tuple[str, str]]:
    """Return the symbols that both have; two files of one symbol each are compared whatever their names say."""
    both = [(s, s) for s in here.symbols if s in there.symbols]
    if not both and len(here.symbols) == len(there.symbols) == 1:
        both = [(next(iter(here.symbols)), next(iter(there.symbols)))]
    if not both:
        raise SchemaError(f"against: received symbols {sorted(there.symbols)[:8]}; allowed: some of {sorted(here.symbols)[:8]}")
    return both


def _rolled(rows: np.ndarray, have_ns: int, want_ns: int) -> np.ndarray:
    if have_ns == want_ns:
        return rows
    if want_ns >= DAY:
        raise SchemaError(
            f"against: received bars of {label_of(have_ns)} and of {label_of(want_ns)}; allowed: two intraday lengths, or equal ones"
        )
    return regroup(rows, want_ns)


def _matched(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, int, int]:
    ours, theirs, only_here, only_there = [], [], 0, 0
    for a, b in pairs:
        _, at_a, at_b = np.intersect1d(a["ts_open"], b["ts_open"], assume_unique=True, return_indices=True)
        ours.append(a[at_a])
        theirs.append(b[at_b])
        only_here += len(a) - len(at_a)
        only_there += len(b) - len(at_b)
    return np.concatenate(ours), np.concatenate(theirs), only_here, only_there


def _difference(ours: np.ndarray, theirs: np.ndarray, ts: np.ndarray) -> dict[str, Any]:
    signed = ours - theirs
    away = np.abs(signed)
    at = int(np.argmax(away))
    differs = away > SAME * np.maximum(np.abs(ours), np.abs(theirs))
    return {
        "largest": float(away[at]),
        "largest_signed": float(signed[at]),
        "largest_at": iso_ny(int(ts[at])),
        "share": float(differs.mean()),
        "mean": float(away.mean()),
        "median": float(np.median(away)),
        "p99": float(np.quantile(away, 0.99)),
    }
