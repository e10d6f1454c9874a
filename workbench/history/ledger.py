"""The ledger of one recorded day: when the recorder ran, what was watched, and every minute of it that is missing, with the reason.

    ledger.json        the facts as they were noted, and up to when the day has been judged
    missing.parquet    ts (start of the minute, ns UTC), symbol, reason: one row a minute that was not wholly recorded

A minute counts as recorded when the recorder ran and the symbol was followed during all of it, and no gap was told in it. That
nothing traded in a minute (a halt, a quiet symbol) is no gap: the record of nothing is whole. The watched sessions of a day are
04:00-20:00 New York (17:00 after an early close) of every symbol that was watched at any time of the day.

Floor 1: numpy; pyarrow inside. All times int64 ns UTC.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from workbench.clock import NS_PER_MIN
from workbench.history.files import replace_file
from workbench.history.intervals import Span, minus, union
from workbench.sessions import SessionCalendar

log = logging.getLogger(__name__)

FACTS, MISSING = "ledger.json", "missing.parquet"
NOT_RUNNING = "the recorder was not running"
NOT_WATCHED = "the symbol was not watched"
FOREVER: Span = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)


@dataclass
class Facts:
    """What was noted of one day. `gaps`: (symbol, start, end, reason); `corrections`: (symbol, ts of the print, reason).

    `fresh`: when the recorder began before its hub had taken any event, so that no event of that hub is missing from the record.
    """

    alive: list[Span] = field(default_factory=list)
    watched: dict[str, list[Span]] = field(default_factory=dict)  # symbol -> when it was followed, as far as the recorder ran
    gaps: list[tuple[str, int, int, str]] = field(default_factory=list)
    corrections: list[tuple[str, int, str]] = field(default_factory=list)
    fresh: list[int] = field(default_factory=list)
    until_ns: int = 0  # the day is judged up to here
    segments: list[str] = field(default_factory=list)  # of the write-ahead file, whose facts are in

    def add(self, other: Facts) -> None:
        """Add what another part of the day noted."""
        self.alive = union([*self.alive, *other.alive])
        for symbol, spans in other.watched.items():
            self.watched[symbol] = union([*self.watched.get(symbol, []), *spans])
        self.gaps = sorted({*self.gaps, *other.gaps})
        self.corrections = sorted({*self.corrections, *other.corrections})
        self.fresh = sorted({*self.fresh, *other.fresh})
        self.until_ns = max(self.until_ns, other.until_ns)

    def cut(self, span: Span) -> Facts:
        """Return the part of the facts that lies in a span."""
        inside = [(s, max(a, span[0]), min(b, span[1]), why) for s, a, b, why in self.gaps if a < span[1] and b > span[0]]
        told = [one for one in self.corrections if span[0] <= one[1] < span[1]]
        watched = {symbol: _within(spans, span) for symbol, spans in self.watched.items()}
        until = min(self.until_ns, span[1]) if self.until_ns > span[0] else 0
        fresh = [ts for ts in self.fresh if span[0] <= ts < span[1]]
        return Facts(_within(self.alive, span), {s: spans for s, spans in watched.items() if spans}, inside, told, fresh, until)

    def missing(self, session: Span) -> list[tuple[int, str, str]]:
        """Return (start of the minute, symbol, reason) of every minute of the session, as far as it is judged, that is not whole."""
        out: list[tuple[int, str, str]] = []
        end_ns = min(session[1], self.until_ns // NS_PER_MIN * NS_PER_MIN)
        for symbol in sorted(self.watched):
            reasons: dict[int, str] = {}  # minute -> why; what is noted first stands
            for start, end, why in self._holes(symbol, (session[0], end_ns)):
                for minute in range(start // NS_PER_MIN * NS_PER_MIN, end, NS_PER_MIN):
                    reasons.setdefault(minute, why)
            out += [(minute, symbol, why) for minute, why in sorted(reasons.items()) if session[0] <= minute < end_ns]
        return out

    def _holes(self, symbol: str, session: Span) -> list[tuple[int, int, str]]:
        if session[0] >= session[1]:
            return []
        told = [(a, b, why) for s, a, b, why in self.gaps if s == symbol]
        off = [(a, b, NOT_RUNNING) for a, b in minus(session, self.alive)]
        return told + off + [(a, b, NOT_WATCHED) for a, b in minus(session, self.watched[symbol])]


def _within(spans: list[Span], span: Span) -> list[Span]:
    return union((max(a, span[0]), min(b, span[1])) for a, b in spans)


def read_facts(folder: Path) -> Facts:
    """Return what is noted of a day's folder; nothing when there is no ledger, or none that can be read (said in the log)."""
    try:
        noted: dict[str, Any] = json.loads((folder / FACTS).read_text())
        return Facts(
            [(int(a), int(b)) for a, b in noted["alive"]],
            {symbol: [(int(a), int(b)) for a, b in spans] for symbol, spans in noted["watched"].items()},
            [(s, int(a), int(b), why) for s, a, b, why in noted["gaps"]],
            [(s, int(ts), why) for s, ts, why in noted["corrections"]],
            [int(ts) for ts in noted["fresh"]],
            int(noted["until_ns"]),
            list(noted["segments"]),
        )
    except FileNotFoundError:
        return Facts()
    except (ValueError, KeyError, TypeError) as error:
        log.error("recorder: %s can't be read (%s); what it noted is lost, the events are not", folder / FACTS, error)  # noqa: TRY400
        return Facts()


def write_facts(folder: Path, day: date, facts: Facts, calendar: SessionCalendar) -> None:
    """Write a day's ledger and its missing minutes. OSError when the disk refuses."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    missing: list[tuple[int, str, str]] = []
    if calendar.is_session(day):
        row = calendar.session(day)
        missing = facts.missing((int(row["pre_open"]), int(row["post_close"])))
    columns = [pa.array(column, kind) for column, kind in zip(zip(*missing, strict=True), _types(), strict=True)] if missing else [
        pa.array([], kind) for kind in _types()
    ]  # fmt: skip
    table = pa.table(dict(zip(("ts", "symbol", "reason"), columns, strict=True)))
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / MISSING, lambda partial: pq.write_table(table, partial, write_page_checksum=True))
    noted = {name: getattr(facts, name) for name in ("alive", "watched", "gaps", "corrections", "fresh", "until_ns", "segments")}
    replace_file(folder / FACTS, lambda partial: partial.write_text(json.dumps(noted)))  # last: it says which segments are in


def _types() -> tuple[Any, ...]:
    import pyarrow as pa

    return pa.int64(), pa.string(), pa.string()


def read_missing(folder: Path) -> list[tuple[int, str, str]]:
    """Return (start of the minute, symbol, reason) of every minute that a day's folder says is missing, by symbol and time."""
    import pyarrow.parquet as pq

    if not (folder / MISSING).is_file():
        return []
    with pq.ParquetFile(folder / MISSING, page_checksum_verification=True) as file:
        table = file.read()
    return list(zip(*(table[name].to_pylist() for name in ("ts", "symbol", "reason")), strict=True))
