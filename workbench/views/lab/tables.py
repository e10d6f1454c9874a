"""Records as DataFrames for the eye: prints with their conditions in words, what a condition may set, an audit's parts.

Frames for computing come from the hub (`hub.bars`). Floor 8; pandas is imported when first used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.conditions import HIGH_LOW, OPEN_CLOSE, VOLUME, condition_name, rule_mask
from workbench.history.audit import TWO_FEEDS
from workbench.hub.clean import Quarantined
from workbench.types import SymbolTable

if TYPE_CHECKING:
    import pandas as pd

NY = "America/New_York"


def prints(rows: np.ndarray, symbols: SymbolTable) -> pd.DataFrame:
    """Return TRADE_DTYPE rows as a table by event time in New York: price, size, conditions in words, latency [ms], sequence, id."""
    import pandas as pd

    index = pd.DatetimeIndex(pd.to_datetime(rows["ts_event"], utc=True)).tz_convert(NY).rename("ts_event")
    data = {
        "symbol": [symbols.name(int(sid)) for sid in rows["symbol_id"]],
        "price": rows["price"],
        "size": rows["size"].astype(np.int64),
        "conditions": [", ".join(_names(row["conditions"][: row["n_conditions"]])) or "regular" for row in rows],
        "latency_ms": latency_ms(rows),
        "sequence": rows["sequence"],
        "id": [bytes(value).decode("utf-8", "replace") for value in rows["id"]],
    }
    return pd.DataFrame(data, index=index)


def ny(ts_ns: int) -> pd.Timestamp:
    """Return a moment in New York time as pandas has it."""
    import pandas as pd

    return pd.Timestamp(ts_ns, unit="ns", tz="UTC").tz_convert(NY)


def latency_ms(rows: np.ndarray) -> np.ndarray:
    """Return `ts_recv - ts_event` of prints or quotes [ms], float64 shape (n,)."""
    return np.asarray((rows["ts_recv"] - rows["ts_event"]) / 1e6)


def _names(ids: Iterable[int]) -> list[str]:
    return [condition_name(int(i)) or f"{i}?" for i in ids]


def rules(rows: np.ndarray, *, in_regular_session: bool = True) -> pd.DataFrame:
    """Return what the combinations of conditions among prints (TRADE_DTYPE) may set, the most frequent first.

    Columns: prints, open_close, high_low, volume. KeyError when a condition is unknown.
    """
    import pandas as pd

    sets = [tuple(int(c) for c in row["conditions"][: row["n_conditions"]]) for row in rows]
    counts = pd.Series(sets, dtype=object).value_counts()
    masks = {ids: rule_mask(ids, in_regular_session=in_regular_session) for ids in counts.index}
    bits = {"open_close": OPEN_CLOSE, "high_low": HIGH_LOW, "volume": VOLUME}
    data = {"prints": counts.to_numpy()} | {name: [bool(masks[ids] & bit) for ids in counts.index] for name, bit in bits.items()}
    names = [", ".join(_names(ids)) or "regular" for ids in counts.index]
    return pd.DataFrame(data, index=pd.Index(names, name="conditions"))


def quarantined(items: Iterable[Quarantined]) -> pd.DataFrame:
    """Return what was put aside, by the moment it was received: symbol, reason, the record as it came."""
    import pandas as pd

    rows = list(items)
    index = pd.DatetimeIndex(pd.to_datetime([item.ts_recv for item in rows], utc=True)).tz_convert(NY).rename("ts_recv")
    columns = ("symbol", "reason", "raw")
    return pd.DataFrame({name: [getattr(item, name) for item in rows] for name in columns}, index=index)


def board(hub: Any) -> pd.DataFrame:
    """Return the watchlist of a hub as a table, one row per watched symbol."""
    import pandas as pd

    lines = [hub.board(symbol) for symbol in hub.watched()]
    names = ("last", "change", "change_pct", "gap_pct", "volume", "relative_volume", "day_high", "day_low", "prev_close")
    data = {name: pd.array([getattr(line, name) for line in lines], dtype="Float64") for name in names}
    return pd.DataFrame(data, index=pd.Index(hub.watched(), name="symbol"))


# -- an audit -----------------------------------------------------------------------------------------------------------------

_HEADLINES = (
    "kind", "timeframe", "stamp", "first", "last", "rows", "sessions", "expected", "present", "missing", "largest_gap_bars", "duplicates",
    "out_of_order", "ohlc_violations", "outliers", "outside_regular", "early_closes", "score",
)  # fmt: skip


def audit_summary(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the head lines of audits side by side: one column per file, under the name given to it."""
    import pandas as pd

    data = {name: [_plain(report.get(key)) for key in _HEADLINES] for name, report in reports.items()}
    return pd.DataFrame(data, index=pd.Index(_HEADLINES, name="what"), dtype=object)


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "–" if value is None else value


def by_session(report: Mapping[str, Any], dates: Iterable[tuple[str, int]]) -> pd.DataFrame:
    """Return expected and present bars of each session (`dates`: ISO date, bars expected), and what is wrong where some lack."""
    import pandas as pd

    partial = {item["date"]: item for item in report["partial_sessions"]}
    whole: dict[str, Any] = {}
    days = [(day, expected, partial.get(day, whole)) for day, expected in dates]
    rows = [(day, expected, item.get("present", expected), ", ".join(item.get("how", ()))) for day, expected, item in days]
    frame = pd.DataFrame(rows, columns=["session", "expected", "present", "how"]).set_index("session")
    frame.insert(2, "complete_pct", (100 * frame["present"] / frame["expected"]).round(1))
    return frame


def missing(report: Mapping[str, Any]) -> pd.DataFrame:
    """Return the missing ranges of an audit: start, end, bars."""
    import pandas as pd

    frame = pd.DataFrame(report["missing_ranges"], columns=["start", "end", "bars"])
    for name in ("start", "end"):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.tz_convert(NY)
    return frame


def differences(report: Mapping[str, Any]) -> pd.DataFrame:
    """Return how two recordings differ, one row per column: share of bars that differ [%], median, 99th percentile, largest, when."""
    import pandas as pd

    columns = report["against"]["columns"]
    frame = pd.DataFrame(columns).T
    frame.insert(0, "differs_pct", (100 * frame["share"].astype(float)).round(2))
    return frame[["differs_pct", "median", "p99", "largest", "largest_at"]].rename_axis("column")


def score_parts(report: Mapping[str, Any]) -> pd.Series:
    """Return what an audit's score is made of, each 0 to 1: completeness, soundness, consistency (`history/audit.py` has the formula)."""
    import pandas as pd

    usable = report["present"] - report.get("nan_price_in_session", 0)
    completeness = usable / report["expected"] if report["expected"] else 1.0
    consistency = TWO_FEEDS if report.get("feed_switches") else 1.0
    rest = 100 * completeness * consistency
    soundness = min(1.0, report["score"] / rest) if rest else 0.0
    return pd.Series({"completeness": completeness, "soundness": soundness, "consistency": consistency}, name="share").round(3)


def planted(report: Mapping[str, Any], faults: Mapping[str, int]) -> pd.DataFrame:
    """Return planted faults beside what the audit counted."""
    import pandas as pd

    return pd.DataFrame({"planted": pd.Series(faults), "found": pd.Series({name: report[name] for name in faults})}).rename_axis("fault")
