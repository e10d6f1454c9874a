"""The recorder of one hub: switched on and off while the hub runs, and never in its way.

    hub ── on_accepted (before anybody hears of it) ──▶ journal (write-ahead file) ── in the background ──▶ Parquet by day

Once the hub has published an event, it is recorded, even if the process is killed at that moment (`journal.py` says what a power cut
may cost). When the disk refuses (full, read only, broken), recording stops loudly: the log, `status().trouble`, and later the ledger
say so; the hub goes on, and recording resumes by itself when the disk takes data again. Memory does not grow with what is recorded.

Floor 2: numpy. `start`, `stop` and `status` from any thread; two threads of its own, one that syncs, one that compacts.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clock import NS_PER_MIN, NS_PER_S, WallClock, monotonic_ns
from workbench.errors import ConfigError, StoreError
from workbench.file_lock import FileLock
from workbench.history.recorded_chains import to_records
from workbench.recorder.compact import Compactor
from workbench.recorder.journal import Code, Frame, Journal, segments
from workbench.recorder.lock import lock_folder
from workbench.types import QUOTE_DTYPE, TRADE_DTYPE

if TYPE_CHECKING:
    from workbench.hub.hub import Hub

log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 << 20
SEGMENT_AGE_S = 900.0  # a segment is finished after this long, so that the day files follow on quiet days too
SYNC_S = 1.0
RETRY_S = 5.0  # how soon recording is tried again after the disk refused
LONGEST_RETRY_S = 60.0  # the same while it could not begin at all, reached by doubling
ROWS_A_FRAME = 1 << 14  # a larger batch is cut, so that a segment stays of its size
_KINDS = ("trades", "quotes", "bars", "history", "quarantined")
_NEWS = {"gap": Code.GAP, "correction": Code.CORRECTION}  # of minutes recorded before: not lost with the disk
MOST_NEWS = 10_000  # held in memory while the disk refuses


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """How recording goes. `recorded` and `lost`: kind -> events since the start; lost are those that the disk refused.

    `trouble` is one sentence with the next step, '' when there is none. `n_bytes` were written ahead; `n_waiting` segments are not in
    the day files yet.
    """

    is_on: bool
    trouble: str = ""
    folder: str = ""
    recorded: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    n_bytes: int = 0
    n_waiting: int = 0

    @property
    def reason(self) -> str:
        """Return one sentence for a screen."""
        if self.trouble:
            return self.trouble
        return f"recording to {self.folder}" if self.is_on else "not recording"


class Recorder:
    """Records everything that a hub accepts or puts aside, below one folder.

    Parameters
    ----------
    hub : Hub              Its `on_accepted` is taken while recording.
    folder : Path          Where the day folders and the write-ahead file are; one recorder at a time.
    segment_bytes : int    Size at which a segment of the write-ahead file is finished.
    sync_s : float         How often what was written is forced to the disk [s].
    """

    def __init__(self, hub: Hub, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, sync_s: float = SYNC_S) -> None:
        self.folder = folder
        self._hub, self._segment_bytes, self._sync_s = hub, segment_bytes, sync_s
        self._compactor = Compactor(folder, hub.calendar)
        self._lock = threading.Lock()  # of the journal and the counts
        self._switch = threading.Lock()  # one start or stop at a time
        self._is_on = False
        self._folder_lock: FileLock | None = None
        self._journal: Journal | None = None
        self._watched: tuple[str, ...] = ()  # as last written
        self._n_named = 0  # symbols whose names stand in the present segment
        self._is_fresh = False  # the hub has taken no event yet
        self._alive_ns = self._failed_ns = self._history_from_ns = 0
        self._trouble = self._compact_trouble = ""  # why nothing is recorded, or stays in the write-ahead file
        self._n_refused = 0  # tries to begin that failed, in a row
        self._recorded, self._lost = dict.fromkeys(_KINDS, 0), dict.fromkeys(_KINDS, 0)
        self._untold: deque[tuple[Code, bytes]] = deque(maxlen=MOST_NEWS)  # news that came while the disk refused
        self._n_bytes = 0
        self._began_ns = self._retry_ns = self._give_up_ns = 0  # by the stopwatch
        self._stopping, self._compacting = threading.Event(), threading.Event()
        self._unsynced: list[int] = []  # handles of finished segments that are to be forced to the disk and closed
        self._threads: list[threading.Thread] = []

    # -- the switch ----------------------------------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """True between `start` and `stop`, in trouble too."""
        return self._is_on

    def start(self, *, insists: bool = False) -> None:
        """Begin to record; harmless when on. What an earlier recorder left in its write-ahead file is put away in the background.

        StoreError when another process records into the folder, or it can't be written; with `insists` that is trouble instead, said in
        the log and by `status`, and it is tried again until `stop`. ConfigError for a market that is a recording.
        """
        with self._switch:
            if self._is_on:
                return
            if self._hub.source_info.name == "replay":
                raise ConfigError("record: received a replay, which is a recording already; allowed: any other source")
            self._is_fresh = not self._hub.health().n_events  # not under the lock, for which the hub may wait
            self._stopping.clear()
            with self._lock:
                self._failed_ns = self._n_refused = 0
                try:
                    self._open()
                except StoreError as error:
                    if not insists:
                        raise
                    self._refused(error)
            self._is_on = True
            self._hub.on_accepted = self._take
            runs = (("recorder-sync", self._keep_synced), ("recorder-compact", self._keep_compacted))
            self._threads = [threading.Thread(target=run, name=name, daemon=True) for name, run in runs]
            for thread in self._threads:
                thread.start()
        if not self._trouble:
            log.info("recording to %s", self.folder)

    def stop(self, timeout_s: float = 30.0) -> None:
        """Stop recording, and put what was written ahead into the day files for at most `timeout_s`; harmless when off.

        What does not get there in time is safe in the write-ahead file and gets there when recording begins the next time.
        """
        with self._switch:
            if not self._is_on:
                return
            self._hub.on_accepted = None
            with self._lock:  # so that no segment is begun after the last one has ended
                self._beat()
                self._end_journal()
                self._give_up_ns = monotonic_ns() + int(timeout_s * NS_PER_S)
                self._stopping.set()
            self._compacting.set()
            for thread in self._threads:
                thread.join()
            for handle in self._unsynced:
                with contextlib.suppress(OSError):
                    os.fsync(handle)
                os.close(handle)
            self._unsynced = []
            if self._folder_lock is not None:
                self._folder_lock.release()
            self._folder_lock, self._is_on = None, False
        log.info("recording ended: %s", ", ".join(f"{n:,} {kind}" for kind, n in self._recorded.items() if n) or "nothing came")

    def status(self) -> RecorderStatus:
        """Return how recording goes."""
        with self._lock:
            written = self._n_bytes + (self._journal.size if self._journal is not None else 0)
            trouble = self._trouble + self._next_step() if self._trouble else self._compact_trouble
            recorded, lost = dict(self._recorded), dict(self._lost)
            n_waiting = len(self._finished())
        return RecorderStatus(self._is_on, trouble, str(self.folder), recorded, lost, written, n_waiting)

    # -- what the hub tells ----------------------------------------------------------------------------------------------------

    def _take(self, kind: str, payload: Any) -> None:
        """Write one batch ahead. Never raises for the disk's sake."""
        if kind == "history":
            symbol, rows = payload
            payload = symbol, rows[rows["ts_open"] >= self._history_from_ns]
        with self._lock:
            self._is_fresh = False
            n_written = 0 if self._journal is None else self._write(kind, payload)
            if kind in self._recorded:
                self._recorded[kind] += n_written
                self._lost[kind] += _n_events(kind, payload) - n_written if self._trouble else 0
            elif kind in _NEWS and not n_written and self._trouble:
                self._untold.append((_NEWS[kind], json.dumps(payload).encode()))

    def _write(self, kind: str, payload: Any) -> int:
        """Return how many events of a batch stand in the write-ahead file; the disk may have refused the others."""
        if kind in ("trades", "quotes"):
            code, dtype = (Code.TRADES, TRADE_DTYPE) if kind == "trades" else (Code.QUOTES, QUOTE_DTYPE)
            self._name_symbols()
            parts = (payload[start : start + ROWS_A_FRAME] for start in range(0, len(payload), ROWS_A_FRAME))
            return sum(len(part) for part in parts if self._append(code, np.ascontiguousarray(part, dtype).tobytes()))
        if kind in ("bars", "history"):
            symbol, rows = payload
            code = Code.BARS if kind == "bars" else Code.HISTORY
            return len(rows) if len(rows) and self._append(code, json.dumps(symbol).encode() + b"\n" + rows.tobytes()) else 0
        if kind == "chain":
            records = to_records(payload)
            head = json.dumps([payload.underlying, records.itemsize]).encode()
            return int(len(records) > 0 and self._append(Code.CHAIN, head + b"\n" + records.tobytes()))
        if kind == "gap":
            self._beat()  # one that is told of a symbol watched from now on
        return int(self._append(Code.QUARANTINED if kind == "quarantined" else _NEWS[kind], json.dumps(payload).encode()))

    def _append(self, code: Code, payload: bytes) -> bool:
        """Write one frame; True when it stands in the file, whatever becomes of the next segment. The disk's refusal stops recording."""
        journal = self._journal
        if journal is None:
            return False
        try:
            journal.append(code, self._now_ns(), payload)
        except OSError as error:
            self._fail(error)
            return False
        if journal.size >= self._segment_bytes:
            self._next_or_fail(journal)
        return True

    def _name_symbols(self) -> None:
        """Write the names of symbols that came since."""
        n = len(self._hub.symbols)
        if n > self._n_named and self._journal is not None:
            self._beat()
            self._append(Code.NAMES, self._names(self._n_named, n))
            self._n_named = n

    def _names(self, first: int, n: int) -> bytes:
        return json.dumps([first, [self._hub.symbols.name(k) for k in range(first, n)]]).encode()

    def _now_ns(self) -> int:
        """Return the market time up to which events were applied, as the recorder's own sign of life; it never goes back."""
        self._alive_ns = max(self._alive_ns, self._hub.applied_ns)
        return self._alive_ns

    # -- the journal -----------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Take the folder, and open the first segment in it; StoreError when either can't be done."""
        lock = lock_folder(self.folder)
        try:
            self._begin()
        except OSError as error:
            lock.release()
            raise StoreError(f"record: can't write in {self.folder}: {error.strerror or error}") from None
        self._folder_lock = lock
        self._n_refused = 0

    def _begin(self) -> None:
        """Open the first segment of a run."""
        self._alive_ns = self._hub.applied_ns
        calendar = self._hub.calendar
        self._history_from_ns = int(calendar.sessions["pre_open"][calendar.latest(self._alive_ns)])
        self._trouble = ""
        self._journal = Journal(self._compactor.wal, WallClock().now_ns(), self._preamble)
        self._began_ns, self._is_fresh = monotonic_ns(), False

    def _preamble(self) -> list[Frame]:
        """Return what a segment begins with: that the recorder has run since its last sign of life, and all names."""
        self._watched, self._n_named = self._hub.watched(), len(self._hub.symbols)
        alive = {"since": self._alive_ns, "watched": list(self._watched), "is_fresh": self._is_fresh}
        now_ns = self._now_ns()
        return [Frame(Code.ALIVE, now_ns, json.dumps(alive).encode()), Frame(Code.NAMES, now_ns, self._names(0, self._n_named))]

    def _next_segment(self, journal: Journal) -> None:
        size = journal.size
        before = journal.begin(WallClock().now_ns())
        self._n_bytes += size
        self._began_ns = monotonic_ns()
        self._unsynced.append(before)
        self._compacting.set()

    def _end_journal(self) -> None:
        """Sync and close the present segment; the compactor may have it."""
        journal, self._journal = self._journal, None
        if journal is not None:
            self._n_bytes += journal.size
            with contextlib.suppress(OSError):
                os.fsync(journal.handle)
            journal.close()

    def _beat(self) -> None:
        """Write a sign of life, with the symbols watched when they have changed."""
        if self._journal is None:
            return
        since_ns, watched = self._alive_ns, self._hub.watched()
        alive = b"" if watched == self._watched else json.dumps({"since": since_ns, "watched": list(watched)}).encode()
        try:
            self._journal.append(Code.ALIVE, self._now_ns(), alive)
            self._watched = watched
        except OSError as error:
            self._fail(error)

    # -- trouble ---------------------------------------------------------------------------------------------------------------

    def _fail(self, error: OSError) -> None:
        """Stop recording because the disk refuses."""
        self._trouble = f"recording stopped: {self.folder}: {error.strerror or error}"
        log.error("%s%s", self._trouble, self._next_step())
        self._failed_ns = self._now_ns()
        self._retry_ns = monotonic_ns() + int(RETRY_S * NS_PER_S)
        self._end_journal()
        self._compacting.set()

    def _refused(self, error: StoreError) -> None:
        """Note that recording could not begin, and when it is tried again."""
        self._trouble = f"nothing is recorded: {error}"
        pause_s = min(LONGEST_RETRY_S, RETRY_S * 2**self._n_refused)
        self._n_refused += 1
        self._retry_ns = monotonic_ns() + int(pause_s * NS_PER_S)
        log.error("%s; tried again in %.0f s", self._trouble, pause_s)

    def _next_step(self) -> str:
        """Return how recording goes on after trouble, to be put behind the sentence about it; '' when it does not."""
        if not self._is_on or self._stopping.is_set():
            return ""
        return "; it is tried again by itself" if self._folder_lock is None else "; make room or mend the disk, it resumes by itself"

    def _try_again(self) -> None:
        """Try to record after trouble, and note the hole. One before the first segment is no hole: the recorder was not running."""
        failed_ns, why = self._failed_ns, self._trouble
        try:
            if self._folder_lock is None:
                self._open()
            else:
                self._begin()
        except StoreError as error:
            self._refused(error)
        except OSError as error:
            self._fail(error)
        else:
            for symbol in self._watched if failed_ns else ():
                hole = [symbol, failed_ns // NS_PER_MIN * NS_PER_MIN, self._alive_ns, why]
                self._append(Code.GAP, json.dumps(hole).encode())
            while self._untold and self._append(*self._untold[0]):
                self._untold.popleft()
        if self._journal is None:
            self._failed_ns = failed_ns
            return
        self._compacting.set()
        log.warning("recording again to %s; before that: %s", self.folder, why)

    # -- in the background -------------------------------------------------------------------------------------------------------

    def _keep_synced(self) -> None:
        while not self._stopping.wait(self._sync_s):
            with self._lock:
                if self._stopping.is_set():
                    return
                if self._journal is None and self._trouble and monotonic_ns() >= self._retry_ns:
                    self._try_again()
                self._beat()
                journal = self._journal
                if journal is None:
                    continue
                with contextlib.suppress(OSError):  # the process has no handle left: at the next turn
                    self._unsynced.append(os.dup(journal.handle))
                if monotonic_ns() - self._began_ns > SEGMENT_AGE_S * NS_PER_S:
                    self._next_or_fail(journal)
                handles, self._unsynced = self._unsynced, []
            try:
                for handle in handles:
                    os.fsync(handle)
            except OSError as error:
                with self._lock:
                    self._fail(error)
            finally:
                for handle in handles:
                    os.close(handle)

    def _next_or_fail(self, journal: Journal) -> None:
        try:
            self._next_segment(journal)
        except OSError as error:
            self._fail(error)

    def _keep_compacted(self) -> None:
        """Put finished segments away as they come, beginning with those that an earlier recorder left."""
        is_judged = False
        while True:
            is_last = self._stopping.is_set()
            try:
                has_folder = self._folder_lock is not None  # else it may be another process's
                while has_folder and not (is_last and monotonic_ns() > self._give_up_ns) and self._compact():
                    pass
                if has_folder and not is_judged:
                    self._compactor.judge_days(self._alive_ns)
                    is_judged = True
                self._compact_trouble = ""
            except Exception as error:
                what = (error.strerror or error) if isinstance(error, OSError) else repr(error)
                self._compact_trouble = f"day files in {self.folder} wait: {what}; what was recorded is safe in its folder wal"
                log.exception("recorder: %s", self._compact_trouble)
            if is_last:
                return
            self._compacting.wait(RETRY_S if self._compact_trouble else None)
            self._compacting.clear()

    def _compact(self) -> bool:
        """Put some finished segments away; True when more wait."""
        with self._lock:
            finished = self._finished()
        return self._compactor.run(finished)

    def _finished(self) -> list[Path]:
        """Return the segments that nobody writes to any more. Under the lock: none may be begun between listing and choosing."""
        present = None if self._journal is None else self._journal.path
        return [path for path in segments(self._compactor.wal) if path != present]


def _n_events(kind: str, payload: Any) -> int:
    """Return how many events a batch holds."""
    return 1 if kind == "quarantined" else len(payload[1]) if kind in ("bars", "history") else len(payload)
