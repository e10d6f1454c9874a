"""From the write-ahead file to Parquet: finished segments become rows of the day files, then they are deleted.

The order makes it safe to be killed anywhere: rows go into new day files that say which segments they hold, the ledgers after them,
and a segment is deleted only when all of it stands there. A segment met again after a crash is added again, which adds nothing.

Floor 2: numpy. Called on the recorder's own thread.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from workbench.history.files import sync_folder
from workbench.history.ledger import Facts, read_facts, write_facts
from workbench.history.recorded import DTYPES, add_rows, day_folder, days_in, file_of
from workbench.history.recorded_chains import RECORD_DTYPE
from workbench.recorder.journal import Code, Frame, frames, segments
from workbench.sessions import SessionCalendar, ny_ns, to_ny
from workbench.types import check_symbol

log = logging.getLogger(__name__)

BYTES_AT_ONCE = 16 << 20  # of segments, held in memory at a time
UNNAMED = "UNNAMED"  # where rubbish is kept that names no symbol
_MARKET = {Code.TRADES: "trades", Code.QUOTES: "quotes"}
_MINUTES = {Code.BARS: "bars", Code.HISTORY: "history"}

Target = tuple[str, date, str]  # kind, New York day, symbol


class Compactor:
    """Puts the segments of `folder`/wal into the day files of `folder`."""

    def __init__(self, folder: Path, calendar: SessionCalendar) -> None:
        self.folder, self.wal = folder, folder / "wal"
        self._calendar = calendar

    def run(self, finished: list[Path]) -> bool:
        """Put away the first of the finished segments, a bounded number of bytes; True when more of them wait.

        OSError when the disk refuses; the segments stay, and nothing is lost or doubled.
        """
        chosen: list[Path] = []
        size = 0
        for path in finished:
            size += path.stat().st_size
            if chosen and size > BYTES_AT_ONCE:
                break
            chosen.append(path)
        if not chosen:
            return False
        self._put_away(chosen, [path.name for path in segments(self.wal)])
        for path in chosen:
            path.unlink()
        sync_folder(self.wal)
        return len(chosen) < len(finished)

    def _put_away(self, chosen: list[Path], known: list[str]) -> None:
        targets: dict[Target, list[tuple[str, Any]]] = defaultdict(list)
        noted: list[tuple[str, Facts]] = []
        for path in chosen:
            told = Segment(path.read_bytes())
            for target, rows in told.rows():
                targets[target].append((path.name, rows))
            noted.append((path.name, told.facts))
        for (kind, day, symbol), parts in sorted(targets.items()):
            add_rows(file_of(self.folder, day, kind, symbol), kind, symbol, parts, known)
        self._note(noted, set(known))

    def _note(self, noted: list[tuple[str, Facts]], known: set[str]) -> None:
        """Add what the segments noted to the ledgers of the days that they touch."""
        for day in sorted({day for _, facts in noted for day in (*_days_of(facts), *self._days_told_late(facts))}):
            span = day_span(day)
            folder = day_folder(self.folder, day)
            facts = read_facts(folder)
            for segment, fresh in noted:
                if segment not in facts.segments:
                    facts.add(fresh.cut(span))
            facts.segments = sorted({segment for segment in facts.segments if segment in known} | {segment for segment, _ in noted})
            write_facts(folder, day, facts, self._calendar)

    def _days_told_late(self, facts: Facts) -> set[date]:
        """Return the recorded days of which facts tell a gap or a correction: a line that broke on Friday may be back on Monday."""
        if not facts.gaps and not facts.corrections:
            return set()
        days = [date.fromisoformat(folder.name.removeprefix("date=")) for folder in days_in(self.folder)]
        return {day for day in days if (part := facts.cut(day_span(day))).gaps or part.corrections}

    def judge_days(self, now_ns: int) -> None:
        """Finish the ledgers of days that were left before their end: what came after is missing, whole days without a recorder too."""
        folders = days_in(self.folder)[-5:]
        today = to_ny(now_ns).date()
        for k, folder in enumerate(folders):
            day = date.fromisoformat(folder.name.removeprefix("date="))
            facts = read_facts(folder)
            until = min(now_ns, day_span(day)[1])
            if facts.watched and facts.until_ns < until and self._calendar.is_session(day):
                facts.until_ns = until
                write_facts(folder, day, facts, self._calendar)
            following = date.fromisoformat(folders[k + 1].name.removeprefix("date=")) if k + 1 < len(folders) else today
            if facts.watched and (following - day).days <= 31:
                self._add_days(day, following, facts)

    def _add_days(self, after: date, before: date, facts: Facts) -> None:
        """Write the ledgers of session days in between, on which nothing ran."""
        day = after + timedelta(1)
        while day < before:
            if self._calendar.is_session(day):
                absent = Facts(watched={symbol: [day_span(day)] for symbol in facts.watched}, until_ns=day_span(day)[1])
                write_facts(day_folder(self.folder, day), day, absent, self._calendar)
            day += timedelta(1)


class Segment:
    """What one segment tells."""

    def __init__(self, content: bytes) -> None:
        self._names: dict[int, str] = {}
        self._rows: dict[Code, list[bytes]] = defaultdict(list)
        self._minutes: dict[tuple[Code, str], list[bytes]] = defaultdict(list)
        self._chains: dict[str, list[bytes]] = defaultdict(list)  # underlying -> rows of its snapshots
        self._aside: list[tuple[str, int, str, str]] = []  # symbol, ts, reason, raw
        self.facts = Facts()
        self._watched: tuple[str, ...] = ()
        self._told_ns = 0
        for frame in frames(content):
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        code, payload = frame.code, frame.payload
        if code in _MARKET:
            self._rows[code].append(payload)
        elif code in _MINUTES:
            symbol, _, rows = payload.partition(b"\n")
            self._minutes[code, json.loads(symbol)].append(rows)
        elif code is Code.CHAIN:
            head, _, rows = payload.partition(b"\n")
            underlying, row_bytes = json.loads(head)
            if row_bytes == RECORD_DTYPE.itemsize:
                self._chains[underlying].append(rows)
            else:
                log.error("recorder: a chain of %s was written ahead by another version and can't be read", underlying)
        elif code is Code.NAMES:
            first, names = json.loads(payload)
            self._names |= {first + k: name for k, name in enumerate(names)}
        elif code is Code.QUARANTINED:
            reason, symbol, _, raw = json.loads(payload)
            self._aside.append((symbol, frame.ts_ns, reason, raw))
        elif code is Code.GAP:
            self.facts.gaps.append(tuple(json.loads(payload)))
        elif code is Code.CORRECTION:
            self.facts.corrections.append(tuple(json.loads(payload)))
        self._live_on(frame)

    def _live_on(self, frame: Frame) -> None:
        """Note that the recorder ran up to a frame, following what it followed."""
        since_ns, watched = self._told_ns or frame.ts_ns, self._watched
        if frame.code is Code.ALIVE and frame.payload:
            told = json.loads(frame.payload)
            since_ns, watched = int(told["since"]), tuple(told["watched"])
            self.facts.fresh += [since_ns] if told.get("is_fresh") else []
        facts = self.facts
        if since_ns < frame.ts_ns:
            facts.alive = _prolonged(facts.alive, since_ns, frame.ts_ns)
            for symbol in self._watched or watched:
                facts.watched[symbol] = _prolonged(facts.watched.get(symbol, []), since_ns, frame.ts_ns)
        self._watched, self._told_ns = watched, max(self._told_ns, frame.ts_ns)
        facts.until_ns = self._told_ns

    def rows(self) -> Iterator[tuple[Target, Any]]:
        """Yield the rows by kind, New York day and symbol, each in order of arrival."""
        for code, payloads in self._rows.items():
            kind = _MARKET[code]
            rows = np.frombuffer(b"".join(payloads), DTYPES[kind])
            for symbol_id in np.unique(rows["symbol_id"]):
                symbol = self._names.get(int(symbol_id))
                if symbol is None:
                    log.error("recorder: the name of symbol %d is lost; its rows are kept as %s", symbol_id, UNNAMED)
                yield from _by_day(kind, symbol or UNNAMED, rows[rows["symbol_id"] == symbol_id], "ts_event")
        for (code, symbol), payloads in self._minutes.items():
            yield from _by_day(_MINUTES[code], symbol, np.frombuffer(b"".join(payloads), DTYPES["bars"]), "ts_open")
        for underlying, payloads in self._chains.items():
            yield from _by_day("chains", underlying, np.frombuffer(b"".join(payloads), RECORD_DTYPE), "asof_ns")
        aside: dict[tuple[date, str], list[tuple[int, str, str]]] = defaultdict(list)
        for symbol, ts_ns, reason, raw in self._aside:
            aside[to_ny(ts_ns).date(), _usable(symbol)].append((ts_ns, reason, raw))
        for (day, symbol), lines in aside.items():
            yield ("quarantined", day, symbol), lines


def day_span(day: date) -> tuple[int, int]:
    """Return the begin and end of a New York day [ns UTC]."""
    return ny_ns(day, 0), ny_ns(day + timedelta(1), 0)


def _by_day(kind: str, symbol: str, rows: np.ndarray, stamp: str) -> Iterator[tuple[Target, np.ndarray]]:
    """Yield rows by New York day, in the order given."""
    ts = rows[stamp]
    left = np.ones(len(rows), bool)
    while left.any():
        day = to_ny(int(ts[left].min())).date()
        inside = left & (ts < day_span(day)[1])
        yield (kind, day, symbol), rows if inside.all() else rows[inside]
        left &= ~inside


def _prolonged(spans: list[tuple[int, int]], start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Return spans in order with one more, joined with the last when it touches it."""
    if spans and start_ns <= spans[-1][1]:
        spans[-1] = (min(spans[-1][0], start_ns), max(spans[-1][1], end_ns))
        return spans
    return [*spans, (start_ns, end_ns)]


def _days_of(facts: Facts) -> set[date]:
    """Return the New York days on which the recorder ran."""
    spans = facts.alive
    out: set[date] = set()
    for start, end in spans:
        day = to_ny(start).date()
        while day_span(day)[0] < end:
            out.add(day)
            day += timedelta(1)
    return out


def _usable(symbol: str) -> str:
    """Return a symbol that a file can be named after."""
    try:
        return check_symbol(symbol)
    except ValueError:
        return UNNAMED
