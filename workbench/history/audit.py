"""How good a recording is: what is missing, repeated, out of order, impossible or unlikely, in numbers and in words.

Everything is counted on the file as it stands, before cleaning; only the stamps are read as starts. The score:

    score = 100 x completeness x soundness x consistency
    completeness = bars present with a price / bars expected in the regular sessions of the days present
    soundness    = 1 - min(1, 10 x faulty rows / rows);  faulty = repeated, out of order (unless the file is newest first, or was
                   recorded here in order of arrival), impossible (high below low, price not above 0, bid above ask), outliers, unreadable
    consistency  = 0.8 where the volume switches between two feeds, else 1

For trades and quotes a "bar" is a regular minute with at least one row. 100 is a file without a known defect, not a true one.

Floor 1: numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.conditions import condition_name
from workbench.history.compare import BarBuilder, compare
from workbench.history.coverage import Coverage, absent_sessions, cover
from workbench.history.marks import Marks, bucket_starts, iso_day, iso_ny
from workbench.history.recorded import recorded_kind
from workbench.history.recording import Recording, bar_rows, clean_table, newest_first, ohlc_violations
from workbench.history.regimes import volume_regimes
from workbench.history.schema import ReadOptions, Table, read_table
from workbench.history.spikes import bar_spikes, print_spikes
from workbench.history.stamps import NO_TIME
from workbench.history.timing import DAY, MINUTE, label_of

FAULT_WEIGHT = 10.0
TWO_FEEDS = 0.8

Report = dict[str, Any]


@dataclass
class _Case:
    """One file under audit: the table, its readable part, and the report being written."""

    table: Table
    ts: np.ndarray
    ids: np.ndarray
    known: np.ndarray
    marks: Marks
    report: Report = field(default_factory=dict)
    faulty: int = 0

    def column(self, name: str) -> np.ndarray:
        """Return one numeric column of the readable rows."""
        return self.table.numbers[name][self.known]


def audit(
    path: str | Path,
    against: str | Path | None = None,
    *,
    options: ReadOptions | None = None,
    against_options: ReadOptions | None = None,
    build: BarBuilder | None = None,
) -> Report:
    """Return the report on one file, compared with a second one if given. Everything in it can be written as JSON.

    `build` turns trades into bars where a file of trades is compared with bars. Raises as `schema.read_table` does.
    """
    table = read_table(path, options, needs_symbol=False)
    known = (table.ts != NO_TIME) & (table.symbol_ids >= 0)
    ts = table.ts[known]
    case = _Case(table, ts, table.symbol_ids[known], known, Marks(ts))
    _order(case)
    recording = clean_table(table)
    {"bars": _bars, "trades": _trades, "quotes": _quotes}[table.kind](case, recording)
    report = _head(case) | case.report
    report["quarantined"] = recording.quarantined
    report["assumptions"] = recording.assumptions
    report["score"] = _score(report, case.faulty)
    report["findings"] = findings(report)
    if against is not None:
        report["against"] = compare(recording, clean_table(read_table(against, against_options, needs_symbol=False)), build)
    return report


def _head(case: _Case) -> Report:
    table, ts = case.table, case.ts
    return {
        "file": str(table.path),
        "kind": table.kind,
        "rows": len(table),
        "symbols": sorted(table.symbols) if len(table.symbols) <= 50 else len(table.symbols),
        "timeframe": label_of(table.length_ns) if table.length_ns else None,
        "stamp": table.timing.stamp if table.timing else None,
        "first": iso_ny(int(ts.min())) if len(ts) else None,
        "last": iso_ny(int(ts.max())) if len(ts) else None,
        "unreadable": dict(table.rejected),
    }


def _order(case: _Case) -> None:
    """Count rows that stand before their predecessor in time, and how finely the stamps are told."""
    steps = np.diff(case.ts)
    backwards = newest_first(case.ts)
    n = int((steps < 0).sum())
    case.report |= {"out_of_order": n, "newest_first": backwards, "stamp_resolution": _resolution(case.ts)}
    if len(case.table.symbols) > 1 and n:  # a file may hold one symbol after the other: order counts within each
        order = np.argsort(case.ids, kind="stable")
        inside = np.diff(case.ids[order]) == 0
        case.report["out_of_order"] = n = int((np.diff(case.ts[order])[inside] < 0).sum())
    case.faulty += 0 if backwards or recorded_kind(case.table.path) else n
    case.faulty += sum(case.table.rejected.values())


def _resolution(ts: np.ndarray) -> str:
    for unit, step in (("minute", MINUTE), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000)):
        if not np.any(ts % step):
            return unit
    return "ns"


def _covered(case: _Case, opens: np.ndarray, length_ns: int) -> Coverage:
    found = cover(opens, case.ids, list(case.table.symbols), length_ns, case.marks)
    absent = absent_sessions(found.sessions, case.marks)
    case.report |= {
        "sessions": len(found.sessions),
        "expected": found.expected,
        "present": found.present,
        "missing": found.missing,
        "missing_ranges": found.missing_ranges,
        "complete_sessions": found.complete,
        "partial_sessions": found.partial,
        "absent_sessions": absent,
        "early_closes": _early_closes(found.sessions, case.marks),
        "outside_regular": int((case.marks.segment != 2).sum()),
        "outside_trading_day": int((case.marks.segment == 0).sum()),
    }
    return found


def _early_closes(sessions: np.ndarray, marks: Marks) -> list[str]:
    rows = marks.calendar.sessions[sessions]
    return [iso_day(int(d)) for d in rows["date"][rows["close"] - rows["open"] < 390 * MINUTE]]


# -- bars ---------------------------------------------------------------------------------------------------------------------


def _bars(case: _Case, recording: Recording) -> None:
    table, marks = case.table, case.marks
    rows = bar_rows(table)[case.known]
    if table.length_ns >= DAY:
        marks.segment[marks.session >= 0] = 2
    _covered(case, rows["ts_open"], table.length_ns)
    prices = np.array([rows[name] for name in ("open", "high", "low", "close")])
    no_price, bad_price = np.isnan(prices).any(axis=0), (prices <= 0).any(axis=0) | np.isinf(prices).any(axis=0)
    regular = marks.segment == 2
    violations = ohlc_violations(rows)
    duplicates = _repeated(case.ids, rows["ts_open"])
    at_close = (marks.session >= 0) & (case.ts == marks.calendar.sessions["close"][np.maximum(marks.session, 0)])
    clean_marks = Marks(recording.rows["ts_open"])
    spikes = _spikes_by_symbol(recording, clean_marks)
    case.report |= {
        "duplicates": duplicates,
        "ohlc_violations": int((violations | bad_price).sum()),
        "outliers": int(spikes.sum()),
        "outliers_at": [iso_ny(int(t)) for t in recording.rows["ts_open"][spikes][:100]],
        "nan_price_rows": int(no_price.sum()),
        "nan_price_in_session": int((no_price & regular).sum()),
        "nan_price_days": _worst_days(marks, no_price),
        "nan_volume_rows": int(np.isnan(rows["volume"]).sum()),
        "zero_volume_rows": int((rows["volume"] == 0).sum()),
        "negative_volume_rows": int((rows["volume"] < 0).sum()),
        "at_close_rows": int(at_close.sum()),
        "closing_price_rows": recording.quarantined.get("closing price at the close stamp, not a bar", 0),
        "off_grid": _off_grid(rows["ts_open"], marks, table.length_ns),
        "largest_gap_bars": max((r["bars"] for r in case.report["missing_ranges"]), default=0),
        "volume_regimes": _regimes(recording, clean_marks),
        "units": _units(recording),
    }
    case.report["feed_switches"] = [r["from"] for r in case.report["volume_regimes"][1:]]
    case.faulty += duplicates + int((violations | bad_price | no_price).sum()) + int(spikes.sum())


def _repeated(ids: np.ndarray, ts: np.ndarray) -> int:
    """Return how many rows repeat another row's symbol and stamp."""
    order = np.lexsort((ts, ids))
    return int(((np.diff(ids[order]) == 0) & (np.diff(ts[order]) == 0)).sum())


def _spikes_by_symbol(recording: Recording, marks: Marks) -> np.ndarray:
    out = np.zeros(len(recording.rows), bool)
    if len(recording.symbols) > 50:  # option chains: prints so sparse that neighbours say nothing
        return out
    for symbol_id in range(len(recording.symbols)):
        mine = recording.symbol_ids == symbol_id
        out[mine] = bar_spikes(recording.rows[mine], marks.session[mine])
    return out


def _worst_days(marks: Marks, bad: np.ndarray) -> dict[str, int]:
    """Return date -> rows, the worst first."""
    days, counts = np.unique(marks.session[bad & (marks.session >= 0)], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:20]
    return {iso_day(int(marks.calendar.sessions["date"][days[k]])): int(counts[k]) for k in order}


def _off_grid(ts: np.ndarray, marks: Marks, length_ns: int) -> int:
    """Return how many bars don't start where a bar of this length starts, counted from their segment's start."""
    if length_ns >= DAY:
        return 0
    inside = marks.segment > 0
    return int((ts[inside] != bucket_starts(ts, length_ns, marks)[inside]).sum())


def _regimes(recording: Recording, marks: Marks) -> list[Report]:
    """Return the runs of days on one feed; for files of one symbol, where volumes can be compared."""
    regular = marks.segment == 2
    if len(recording.symbols) != 1 or recording.length_ns >= DAY or not regular.any():
        return []
    rows = recording.rows[regular]
    days, first, counts = np.unique(marks.session[regular], return_index=True, return_counts=True)
    last = first + counts - 1
    covered = (rows["ts_open"][last] - rows["ts_open"][first]) // recording.length_ns + 1
    volume = np.add.reduceat(rows["volume"], first)
    return volume_regimes(marks.calendar.sessions["date"][days], volume / covered)


def _units(recording: Recording) -> list[str]:
    """Return suspicions about units, in words."""
    rows = recording.rows
    said: list[str] = []
    if not len(rows):
        return said
    volume = rows["volume"][rows["volume"] > 0]
    if len(volume) > 50 and not np.any(volume % 100):
        said.append("every volume is a multiple of 100: odd lots are missing, or the unit is not shares")
    if len(volume) > 50 and np.mean(volume % 1 != 0) > 0.5:
        said.append("most volumes are no whole numbers: adjusted for splits, or not shares")
    if np.median(rows["close"]) > 50_000 and not np.any(rows["close"] % 1):
        said.append("prices are large whole numbers: perhaps in 1/10000 of a dollar")
    return said


# -- trades -------------------------------------------------------------------------------------------------------------------


def _minutes(case: _Case) -> None:
    _covered(case, case.ts // MINUTE * MINUTE, MINUTE)


def _trades(case: _Case, recording: Recording) -> None:
    _minutes(case)
    price, size = case.column("price"), case.column("size")
    good = recording.rows
    spikes = np.zeros(len(good), bool)
    for symbol_id in range(len(recording.symbols)):
        mine = recording.symbol_ids == symbol_id
        spikes[mine] = print_spikes(good["price"][mine])
    bad_price = ~(np.isfinite(price) & (price > 0))
    flagged = recording.quarantined
    duplicates = flagged.get("print told twice", 0)
    unknown = flagged.get("unknown sale condition", 0)
    case.report |= {
        "duplicates": duplicates,
        "ohlc_violations": 0,
        "outliers": int(spikes.sum()),
        "outliers_at": [iso_ny(int(t)) for t in good["ts_event"][spikes][:100]],
        "bad_prices": int(bad_price.sum()),
        "bad_sizes": int((~(size >= 0)).sum()),
        "zero_sizes": int((size == 0).sum()),
        "unknown_conditions": unknown,
        "suspicious": flagged.get("flagged suspicious by the vendor", 0),
        "cancelled": flagged.get("cancelled or corrected later, by the file's correction code", 0),
        "conditions": _condition_counts(good),
        "exchanges": len(np.unique(good["exchange"])),
        "shared_stamps": round(float(np.mean(np.diff(np.sort(case.ts)) == 0)), 4) if len(case.ts) > 1 else 0.0,
        "volume": float(np.nansum(size)),
    }
    case.faulty += duplicates + unknown + int(bad_price.sum()) + int((~(size >= 0)).sum()) + int(spikes.sum())


def _condition_counts(rows: np.ndarray) -> dict[str, int]:
    """Return 'id name' -> prints that carry it, the most frequent first."""
    ids = [rows["conditions"][rows["n_conditions"] > k, k] for k in range(int(rows["n_conditions"].max(initial=0)))]
    values, counts = np.unique(np.concatenate(ids) if ids else np.zeros(0, np.int16), return_counts=True)
    names = {int(v): condition_name(int(v)) or "unnamed" for v in values}
    return {f"{values[k]} {names[int(values[k])]}": int(counts[k]) for k in np.argsort(-counts, kind="stable")}


# -- quotes -------------------------------------------------------------------------------------------------------------------


def _quotes(case: _Case, recording: Recording) -> None:
    _minutes(case)
    bid_name, ask_name = ("bid", "ask") if case.table.form == "quotes" else ("bid_close", "ask_close")
    bid, ask = case.column(bid_name), case.column(ask_name)
    has_bid, has_ask = bid > 0, ask > 0
    both = has_bid & has_ask
    negative = (bid < 0) | (ask < 0) | np.isinf(bid) | np.isinf(ask)
    crossed = int((both & (bid > ask)).sum())
    good = recording.rows
    spread = (good["ask"] - good["bid"])[~np.isnan(good["ask"] - good["bid"])]
    middle = ((good["ask"] + good["bid"]) / 2)[~np.isnan(good["ask"] - good["bid"])]
    wide = spread > 0.1 * middle
    duplicates = _repeated_quotes(case, bid, ask)
    case.report |= {
        "duplicates": duplicates,
        "ohlc_violations": crossed + int(negative.sum()),
        "crossed": crossed,
        "locked": int((both & (bid == ask)).sum()),
        "one_sided": int((has_bid ^ has_ask).sum()),
        "no_bid": int((~has_bid).sum()),
        "no_ask": int((~has_ask).sum()),
        "no_side": int((~has_bid & ~has_ask).sum()),
        "negative": int(negative.sum()),
        "outliers": int(wide.sum()) if len(recording.symbols) == 1 else 0,
        "wide_spreads": int(wide.sum()),
        "median_spread_usd": round(float(np.median(spread)), 6) if len(spread) else None,
        "median_spread_bps": round(float(np.median(spread / middle)) * 1e4, 3) if len(spread) else None,
        "venues": len(np.unique(case.table.text["exchange"].to_pandas().dropna())) if "exchange" in case.table.text else 1,
        "venues_crossed": recording.quarantined.get("venues crossed (best bid above best ask)", 0),
    }
    case.faulty += duplicates + crossed + int(negative.sum())


def _repeated_quotes(case: _Case, bid: np.ndarray, ask: np.ndarray) -> int:
    """Return how many quotes repeat an earlier one with the same sequence number; without numbers equal rows are not counted."""
    sequence = case.table.numbers.get("sequence")
    if sequence is None:
        return 0
    keys = np.array([case.ids, case.ts, sequence[case.known], bid, ask], np.float64).T
    return len(keys) - len(np.unique(keys, axis=0))


# -- in one number, and in words ----------------------------------------------------------------------------------------------


def _score(report: Report, faulty: int) -> float:
    """Return 0-100 by the formula at the head of this file, to one digit; 100.0 only when nothing at all was found."""
    usable = report["present"] - report.get("nan_price_in_session", 0)
    completeness = max(usable, 0) / report["expected"] if report["expected"] else 1.0
    soundness = 1 - min(1.0, FAULT_WEIGHT * faulty / max(report["rows"], 1))
    score = 100 * completeness * soundness * (TWO_FEEDS if report.get("feed_switches") else 1.0)
    return min(99.9, round(score, 1)) if score < 100 else 100.0


def findings(report: Report) -> list[str]:
    """Return what a person should know about the file, one sentence each, the gravest kinds first."""
    said: list[str] = []
    if report["missing"]:
        days = len({p["date"] for p in report["partial_sessions"]})
        unit = "bars" if report["kind"] == "bars" else "minutes"
        said.append(
            f"{report['missing']:,} of {report['expected']:,} regular-session {unit} are missing, "
            f"on {days:,} of {report['sessions']:,} days"
        )
    ends = [
        p["date"]
        for p in report["partial_sessions"]
        if p["present"] and p["how"] == ["ends early"] and p["present"] * 10 < p["expected"] * 9
    ]
    if ends:
        said.append(f"days that end early: {_listed(sorted(set(ends)))}")
    empty = sorted({p["date"] for p in report["partial_sessions"] if not p["present"]})
    if empty:
        said.append(f"days without one bar of the regular session: {_listed(empty)}")
    if report["absent_sessions"]:
        said.append(f"trading days without a row inside the span: {_listed(report['absent_sessions'])}")
    runs = report.get("volume_regimes", [])
    if len(runs) > 1:
        levels = [run["median_volume_per_bar"] for run in runs]
        share = 100 * min(levels) / max(levels)
        said.append(f"volume switches between two feeds on {_listed(report['feed_switches'])}; the lower has {share:.1f} % of the higher's")
    if report["newest_first"]:
        said.append("rows are written newest first")
    elif report["out_of_order"]:
        said.append(f"{report['out_of_order']:,} rows stand before their predecessor in time")
    said += [f"{report[key]:,} {words}" for key, words in _COUNTED if report.get(key)]
    said += report.get("units", [])
    said += [f"{n:,} rows unreadable: {reason}" for reason, n in report["unreadable"].items()]
    return said


def _listed(items: list[str], limit: int = 8) -> str:
    return ", ".join(items[:limit]) + (f" and {len(items) - limit:,} more" if len(items) > limit else "")


_COUNTED = (
    ("duplicates", "rows are repeated"),
    ("ohlc_violations", "rows contradict themselves (high below low, price not above 0, bid above ask)"),
    ("outliers", "rows are outliers"),
    ("nan_price_rows", "rows have no price"),
    ("nan_volume_rows", "rows have no volume"),
    ("zero_volume_rows", "bars have volume 0"),
    ("closing_price_rows", "rows at the close stamp are closing prices, not bars"),
    ("off_grid", "bars start off the grid of their length"),
    ("outside_trading_day", "rows are outside 04:00-20:00 of a trading day"),
    ("unknown_conditions", "prints have an unknown sale condition"),
    ("suspicious", "rows are flagged suspicious by the vendor"),
    ("cancelled", "prints were cancelled or corrected"),
    ("crossed", "quotes are crossed"),
    ("one_sided", "quotes have one side only"),
    ("no_side", "quotes have no side at all"),
)

__all__ = ["Report", "audit", "findings"]
