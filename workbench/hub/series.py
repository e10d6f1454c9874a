"""The sequenced bars of one symbol and timeframe: one writer, many readers that pull by cursor.

Every change of a closed bar (new bar or revision) gets the next sequence number and stands in a change log; a reader says
which number it saw last and is told what came since. A reader that was overrun, or that lived through a reset, is told so
(`is_gap`) and given a fresh snapshot. The forming bar is not logged: a reader always gets its newest state only.

All series of a hub draw their numbers from one `Numbering`, so that one number resumes a reader of any set of symbols: numbers
inside one series grow but have holes. A reset takes a number too: whoever has not read past it is given a snapshot, be it the
reset of one series (bars re-based after a split: the epoch stays) or of the whole hub (the epoch grows).

Floor 2. Written by the hub's thread alone; read from any thread; rows handed out are copies.
"""

from __future__ import annotations

import asyncio
import bisect
import html
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.hub.ring import Ring
from workbench.sessions import to_ny
from workbench.types import BAR_DTYPE, Timeframe

LOG_CAPACITY = 2048


class Numbering:
    """The sequence numbers of one hub, shared by all its series. Written under the hub's lock, read by anyone.

    `epoch`: which life of the hub the numbers belong to. `seq`: the newest number given. `changes`: grows with every number and
    with every publication of a forming bar: unchanged means that nobody has anything to read.

    A number shows here last, when its series holds what it numbers and says so: who reads `seq` first and then any series, even
    without its lock, finds all up to that number.
    """

    __slots__ = ("changes", "epoch", "seq")

    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch
        self.seq = self.changes = 0

    def show(self, seq: int) -> None:
        """Let readers know of all changes up to `seq`, which are in place."""
        self.changes += seq - self.seq
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Update:
    """What a cursor learns. BAR_DTYPE rows are copies.

    `rows`: closed bars that are new or changed since the last read, in order of change (after a gap: the newest closed bars, by
    time). `forming`: the bar still open, shape (1,), or None. `is_gap`: forget what you hold, `rows` is a fresh snapshot.
    `epoch`, `seq`: where to go on from; `seq` is the number of the series' newest change.
    """

    rows: np.ndarray
    forming: np.ndarray | None
    is_gap: bool
    epoch: int
    seq: int


class Series:
    """Closed bars of one symbol and timeframe, by time, plus the bar that is forming."""

    def __init__(self, symbol: str, timeframe: Timeframe, capacity: int = 5000, numbering: Numbering | None = None) -> None:
        """`numbering`: the hub's; a series by itself has its own."""
        self.symbol = symbol
        self.timeframe = timeframe
        self.capacity = capacity
        self.seq = 0  # number of the newest change
        self._numbering = numbering or Numbering()
        self._reset_seq = 0  # number of the newest reset
        self._n_changes = 0
        self._bars = Ring(capacity, BAR_DTYPE)
        self._log = Ring(min(LOG_CAPACITY, 2 * capacity) + 1, BAR_DTYPE)
        self._forming: np.ndarray | None = None
        self._forming_version = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._bars)

    @property
    def epoch(self) -> int:
        """The hub's epoch: which life of it the numbers belong to."""
        return self._numbering.epoch

    @property
    def reset_seq(self) -> int:
        """Number of the newest reset, or of the newest bar taken back: who has not read past it has to be given a snapshot."""
        return self._reset_seq

    # -- written by the hub ------------------------------------------------------------------------------------------------

    def append(self, row: np.ndarray) -> None:
        """Add a closed bar newer than all others; `row` is stamped with its sequence number in place."""
        with self._lock:
            self.seq = self._numbering.seq + 1
            self._n_changes += 1
            row["seq"] = self.seq
            self._bars.append(row)
            self._log.append(row)
            self._numbering.show(self.seq)

    def upsert(self, rows: np.ndarray) -> int:
        """Merge closed bars by ts_open (sorted, unique): same stamp replaces with the next revision, other stamps are put in place.

        Returns how many bars are new or changed. Rows equal to what is held change nothing.
        """
        if not len(rows):
            return 0
        with self._lock:
            held = self._bars.view()
            if not len(held) or rows["ts_open"][0] > held["ts_open"][-1]:
                changed = rows.copy()
                self._stamp(changed)
                self._bars.extend(changed)
                self._publish(changed)
                return len(changed)
            return self._merge(held, rows)

    def remove(self, ts_open: np.ndarray) -> int:
        """Take closed bars back that should never have been (sorted stamps); returns how many were held.

        Like a reset it takes a number: a log of changes can't say that a bar is gone, so every reader is given a snapshot.
        """
        with self._lock:
            held = self._bars.view()
            kept = held[~np.isin(held["ts_open"], ts_open)]
            n = len(held) - len(kept)
            if n:
                self.seq = self._reset_seq = self._numbering.seq + 1
                self._n_changes += 1
                self._bars.clear()
                self._bars.extend(kept)
                self._log.clear()
                self._numbering.show(self.seq)
            return n

    def set_forming(self, row: np.ndarray | None) -> None:
        """Publish the bars still open (oldest first, taken over by the series; normally one or two), or None when there is none."""
        with self._lock:
            self._forming = row if row is not None and len(row) else None
            self._forming_version += 1
            self._numbering.changes += 1

    def reset(self) -> None:
        """Forget everything; every cursor will be told: the reset takes a number, and who has not read it gets a snapshot."""
        with self._lock:
            self.seq = self._reset_seq = self._numbering.seq + 1
            self._n_changes += 1
            self._bars.clear()
            self._log.clear()
            self._forming = None
            self._forming_version += 1
            self._numbering.show(self.seq)

    def _merge(self, held: np.ndarray, rows: np.ndarray) -> int:
        opens = held["ts_open"]
        first = bisect.bisect_left(opens, rows["ts_open"][0])  # look only where the new rows lie: a search of all would copy all
        at = first + np.searchsorted(opens[first : bisect.bisect_right(opens, rows["ts_open"][-1])], rows["ts_open"])
        inside = at < len(held)
        match = np.zeros(len(rows), bool)
        match[inside] = held["ts_open"][at[inside]] == rows["ts_open"][inside]
        fresh = rows.copy()
        if match.any():
            old = held[at[match]]
            fresh["revision"][match] = np.maximum(old["revision"] + 1, fresh["revision"][match])
        changed = np.ones(len(rows), bool)
        changed[match] = ~same_values(fresh[match], held[at[match]])
        if not changed.any():
            return 0
        fresh = fresh[changed]
        self._stamp(fresh)
        if match[changed].all():
            held[at[changed]] = fresh  # `held` is the ring's own memory; readers were given copies
            self._publish(fresh)
            return len(fresh)
        keep = np.ones(len(held), bool)
        keep[at[match & changed]] = False
        merged = np.concatenate([held[keep], fresh])
        merged = merged[np.argsort(merged["ts_open"], kind="stable")]
        self._bars.clear()
        self._bars.extend(merged)
        self._publish(fresh)
        return len(fresh)

    def _stamp(self, rows: np.ndarray) -> None:
        self.seq = self._numbering.seq + len(rows)
        self._n_changes += len(rows)
        rows["seq"] = np.arange(self.seq + 1 - len(rows), self.seq + 1)

    def _publish(self, rows: np.ndarray) -> None:
        self._log.extend(rows)
        self._numbering.show(self.seq)

    # -- read by anyone ----------------------------------------------------------------------------------------------------

    def rows(self, n: int | None = None) -> np.ndarray:
        """Return the newest `n` (default all held) closed bars, oldest first, BAR_DTYPE shape (<= n,)."""
        with self._lock:
            return self._tail(n).copy()

    def rows_from(self, start_ns: int, end_ns: int | None = None) -> np.ndarray:
        """Return the closed bars with ts_open >= start_ns (and < end_ns), oldest first."""
        with self._lock:
            view = self._bars.view()
            opens = view["ts_open"]
            end = len(view) if end_ns is None else bisect.bisect_left(opens, end_ns)
            return view[bisect.bisect_left(opens, start_ns) : end].copy()

    @property
    def first_ns(self) -> int | None:
        """ts_open of the oldest bar held."""
        with self._lock:
            return int(self._bars.view()["ts_open"][0]) if len(self._bars) else None

    @property
    def last_ns(self) -> int | None:
        """ts_open of the newest closed bar."""
        with self._lock:
            return int(self._bars.view()["ts_open"][-1]) if len(self._bars) else None

    @property
    def forming_version(self) -> int:
        """A number that grows with every publication of the open bars."""
        return self._forming_version

    @property
    def forming(self) -> np.ndarray | None:
        """The bars still open, shape (1,) or (2,), or None."""
        with self._lock:
            return self._forming_copy()

    def snapshot(self, n: int | None = None) -> Update:
        """Return the newest `n` closed bars, the forming bar and where a cursor has to go on from, all of one moment."""
        with self._lock:
            return self._snapshot(n)

    def since(self, epoch: int, seq: int, n: int | None = None) -> Update:
        """Return what changed after sequence number `seq` of `epoch`; a snapshot of `n` bars when that is no longer known.

        `seq` may be a number of any series of the hub (or `hub.seq`): this series' changes with a greater number are told.
        """
        with self._lock:
            return self._since(epoch, seq, n)

    def cursor(self, n: int | None = None) -> Cursor:
        """Return a new cursor; its first read is a snapshot of the newest `n` bars."""
        return Cursor(self, n)

    def __repr__(self) -> str:
        return f"<Series {self.symbol} {self.timeframe.label}: {len(self)} bars, change {self.seq}>"

    def _repr_html_(self) -> str:
        update = self.snapshot(5)
        rows = update.rows if update.forming is None else np.concatenate([update.rows, update.forming])
        head = "".join(f"<th>{name}</th>" for name in ("open (New York)", "open", "high", "low", "close", "volume", ""))
        body = "".join(_html_row(row) for row in rows)
        title = html.escape(f"{self.symbol} {self.timeframe.label}: {len(self)} closed bars")
        return f"<table><caption>{title}</caption><tr>{head}</tr>{body}</table>"

    def _tail(self, n: int | None) -> np.ndarray:
        view = self._bars.view()
        return view if n is None else view[max(0, len(view) - n) :]

    def _since(self, epoch: int, seq: int, n: int | None) -> Update:
        numbers = self._log.view()["seq"]
        # the oldest row of a full log only tells how far back it reaches: numbers have holes
        reach = max(self._reset_seq, int(numbers[0]) if len(numbers) == self._log.capacity else 0)
        if epoch != self.epoch or not reach <= seq <= self._numbering.seq:
            return self._snapshot(n)
        rows = self._log.view()[bisect.bisect_right(numbers, seq) :].copy()
        return Update(rows, self._forming_copy(), False, self.epoch, self.seq)

    def _snapshot(self, n: int | None) -> Update:
        return Update(self._tail(n).copy(), self._forming_copy(), True, self.epoch, self.seq)

    def _forming_copy(self) -> np.ndarray | None:
        """Return the open bars newer than every closed one: a bar just closed is not told a second time as forming."""
        rows = self._forming
        if rows is None:
            return None
        if len(self._bars):
            rows = rows[rows["ts_open"] > self._bars.view()["ts_open"][-1]]
        return rows.copy() if len(rows) else None


class Cursor:
    """One reader's place in a series. Not shared between readers; costs nothing when not read."""

    def __init__(self, series: Series, n: int | None = None) -> None:
        self.series = series
        self._n = n
        self._epoch = -1
        self._seq = self._n_changes = 0
        self._forming_version = -1

    def read(self) -> Update:
        """Return what is new since the last read (the first read, and any after an overrun or reset, is a snapshot)."""
        series = self.series
        with series._lock:
            self._forming_version, self._n_changes = series._forming_version, series._n_changes
            update = series._since(self._epoch, self._seq, self._n)
        self._epoch, self._seq = update.epoch, update.seq
        return update

    @property
    def has_news(self) -> bool:
        """True when a read would tell something new; cheap enough to ask at every frame."""
        series = self.series
        return (series.epoch, series.seq, series._forming_version) != (self._epoch, self._seq, self._forming_version)

    @property
    def lag(self) -> int:
        """Changes of closed bars (and resets) that were not read yet."""
        return self.series._n_changes - self._n_changes

    async def stream(self, interval_s: float = 0.05) -> AsyncIterator[Update]:
        """Yield an update whenever there is news, looked for every `interval_s` [s]: `async for update in cursor.stream()`."""
        while True:
            if self.has_news:
                yield self.read()
            await asyncio.sleep(interval_s)

    def to_streamz(self, interval_s: float = 0.05) -> Any:
        """Return a `streamz.Stream` of updates; nothing flows before its `start()`. Needs streamz (the extra `lab`).

        Runs on the event loop of the caller (a notebook's, a Panel session's) when there is one, else on one of streamz's own.
        """
        return _streamz_source(self, interval_s)


_VALUES = ("ts_close", "open", "high", "low", "close", "volume", "vwap", "vw_std", "n_trades", "is_partial", "is_complete", "source")


def same_values(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return, row by row, whether two BAR_DTYPE arrays say the same (sequence and revision aside; NaN equals NaN)."""
    same = np.ones(len(a), bool)
    for name in _VALUES:
        same &= (a[name] == b[name]) | ((a[name] != a[name]) & (b[name] != b[name]))
    return same


def newest_by_time(rows: np.ndarray) -> np.ndarray:
    """Return BAR_DTYPE rows by ts_open, the last given of each stamp."""
    ordered = rows[np.argsort(rows["ts_open"], kind="stable")]
    is_last = np.r_[ordered["ts_open"][1:] != ordered["ts_open"][:-1], True]
    return ordered[is_last] if len(ordered) else ordered


def _html_row(row: np.void) -> str:
    cells = [f"{to_ny(int(row['ts_open'])):%Y-%m-%d %H:%M}"]
    cells += [f"{row[name]:,.2f}" for name in ("open", "high", "low", "close")]
    cells += [f"{row['volume']:,.0f}", "forming" if row["is_partial"] else ""]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _streamz_source(cursor: Cursor, interval_s: float) -> Any:
    import streamz

    class CursorSource(streamz.Source):
        """Emits the cursor's updates while started."""

        async def _run(self) -> None:
            if cursor.has_news:
                await asyncio.gather(*self._emit(cursor.read()))
            await asyncio.sleep(interval_s)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return CursorSource()
    return CursorSource(asynchronous=True)
