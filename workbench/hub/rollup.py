"""1-minute bars into longer ones: 2m 3m 5m 10m 15m 30m 1h 2h 4h 1d 1w, a whole history at once or bar by bar.

Buckets are anchored at the start of their segment (pre-market, regular, after-hours) and never straddle two; the last one of a
segment may be shorter. A bucket's `ts_close` is its nominal end, whether or not its last minute traded. 1d and 1w are made of
regular-session minutes and carry the first session's open and the last session's close.

Each timeframe is made from one fixed shorter one (`plan`), so the batch and the live path do the same arithmetic and give the
same bars bit for bit. vwap and vw_std combine exactly in the mathematical sense (sums about a near reference), and are NaN when a
part with volume does not know its own. `source` is that of the parts, the least trusted one when they differ.

Floor 2. numba is imported at first use.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from workbench.errors import RecordError, TimeframeError, choices
from workbench.hub.bars import session_rows, writable
from workbench.hub.cores import cores, share
from workbench.sessions import ANCHORS, Anchor, SessionCalendar
from workbench.types import BAR_DTYPE, TIMEFRAMES, Timeframe

ROLLED = tuple(label for label in TIMEFRAMES if label != "1m")

# timeframe -> the one it is made from, which divides it in every segment. A 4h bar anchored at the clock may cut an hour bar in
# two (12:00 lies inside 11:30-12:30), hence half hours.
_PARENTS = {
    **dict.fromkeys(("2m", "3m", "5m"), "1m"),
    **dict.fromkeys(("10m", "15m"), "5m"),
    "30m": "15m",
    "1h": "30m",
    **dict.fromkeys(("2h", "4h", "1d"), "1h"),
    "1w": "1d",
}
_CLOCK_PARENTS = _PARENTS | {"4h": "30m"}

PART = 50_000  # minutes that are worth a core
_DAY_NS = 16 * TIMEFRAMES["1h"].length_ns
_ODD_BARS = 3  # a session has up to three bars more than its length holds: each segment's last may be shorter

_NO_ROWS = np.zeros(0, BAR_DTYPE)
_NO_FRAMES = np.zeros(0, np.int64)


def _kernels() -> Any:
    from workbench.hub import kernels_roll

    return kernels_roll


@functools.cache
def plan(timeframes: tuple[str, ...], anchor: Anchor) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the timeframes to be made, parents first and those needed on the way included, and the kernels' table of them.

    The table is int64, shape (n, 3): how it is cut, length [ns], index of the parent (-1 = the 1-minute bars).
    """
    if anchor not in ANCHORS:
        raise TimeframeError(f"anchor: received {choices(anchor, ANCHORS)}")
    parents = _PARENTS if anchor == "session_rth" else _CLOCK_PARENTS
    needed: set[str] = set()
    for label in timeframes:
        step = Timeframe.parse(label).label
        while step != "1m":
            needed.add(step)
            step = parents[step]
    labels = tuple(label for label in ROLLED if label in needed)
    place = {"1m": -1} | {label: i for i, label in enumerate(labels)}
    table = [(_kind(label, anchor), TIMEFRAMES[label].length_ns, place[parents[label]]) for label in labels]
    return labels, np.array(table, np.int64).reshape(-1, 3)


def _kind(label: str, anchor: Anchor) -> int:
    k = _kernels()
    if label in ("1d", "1w"):
        return int(k.DAILY if label == "1d" else k.WEEKLY)
    if label != "4h":
        return int(k.BY_SEGMENT)
    return int({"session_rth": k.BY_SEGMENT, "session_eth": k.BY_DAY, "natural": k.BY_CLOCK}[anchor])


# -- batch -----------------------------------------------------------------------------------------------------------------------


def rollup(
    rows_1m: np.ndarray,
    timeframe: str | Timeframe,
    sessions: SessionCalendar | np.ndarray,
    *,
    anchor: Anchor = "session_rth",
    until_ns: int | None = None,
) -> np.ndarray:
    """Return 1-minute bars rolled up to `timeframe`; see `rollup_all`."""
    label = Timeframe.parse(timeframe).label
    return rollup_all(rows_1m, sessions, timeframes=(label,), anchor=anchor, until_ns=until_ns)[label]


def rollup_all(
    rows_1m: np.ndarray,
    sessions: SessionCalendar | np.ndarray,
    *,
    timeframes: Iterable[str | Timeframe] = ROLLED,
    anchor: Anchor = "session_rth",
    until_ns: int | None = None,
    spread: bool = True,
) -> dict[str, np.ndarray]:
    """Return 1-minute bars rolled up to every one of `timeframes`, label -> BAR_DTYPE rows in time order.

    Parameters
    ----------
    rows_1m : BAR_DTYPE rows, by ts_open, each once. Rows outside trading hours are left out.
    anchor : where 4-hour bars begin: 'session_rth' at each segment's start, 'session_eth' 04-08-12-16-20 New York across segments,
        'natural' at the same clock hours but inside segments.
    until_ns : the present moment; bars that end later are marked `is_partial`. None: all are finished.
    spread : use all cores for a long history; False where many symbols are rolled up in threads already.

    Raises
    ------
    RecordError       If rows are not BAR_DTYPE or not in order.
    TimeframeError    If a timeframe or the anchor is not one the workbench builds.
    """
    wanted = tuple(Timeframe.parse(t).label for t in timeframes)
    if rows_1m.dtype != BAR_DTYPE:
        raise RecordError(f"rows_1m: received {rows_1m.dtype}; allowed: BAR_DTYPE")
    labels, table = plan(wanted, anchor)
    made = _roll(writable(np.ascontiguousarray(rows_1m)), session_rows(sessions), labels, table, spread=spread)
    if "1m" in wanted:
        made["1m"] = rows_1m.copy()
    out = {label: made[label] for label in wanted}
    if until_ns is not None:
        for rows in out.values():
            rows["is_partial"] |= rows["ts_close"] > until_ns
    return out


def _roll(rows: np.ndarray, sessions: np.ndarray, labels: tuple[str, ...], table: np.ndarray, *, spread: bool) -> dict[str, np.ndarray]:
    """Return every timeframe of the plan, long histories on all cores."""
    if not len(rows):
        return {label: _NO_ROWS.copy() for label in labels}
    room = _room(rows["ts_open"], sessions, table)
    made: dict[str, np.ndarray] = {}

    def roll(family: np.ndarray) -> None:
        bars = _roll_family(rows, sessions, _sub_table(table, family), room[family])
        made.update(zip((labels[i] for i in family), bars, strict=True))

    _each_family(roll, table, spread=spread and len(rows) >= PART)
    return made


def _room(ts: np.ndarray, sessions: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return an upper bound of the bars that minutes can make in each timeframe of the plan, int64."""
    if not len(ts):
        return np.zeros(len(table), np.int64)
    first, last = np.searchsorted(sessions["pre_open"], (ts[0], ts[-1]), side="right").tolist()
    return np.minimum(len(ts), max(last - first + 1, 0) * (_DAY_NS // table[:, 1] + _ODD_BARS))


def _each_family(roll: Callable[[np.ndarray], None], table: np.ndarray, *, spread: bool) -> None:
    """Call `roll` with the timeframes of the plan: all at once, or in families on all cores."""
    families = _families(table) if spread and cores() > 1 else []
    if len(families) < 2:
        roll(np.arange(len(table)))
        return
    share(roll, [(family,) for family in families])


def _families(table: np.ndarray) -> list[np.ndarray]:
    """Return the indices of the plan by the timeframe made of 1-minute bars that they come from, the dearest family first."""
    root = np.arange(len(table))
    for i, parent in enumerate(table[:, 2]):
        if parent >= 0:
            root[i] = root[parent]
    return [np.flatnonzero(root == r) for r in np.unique(root)]


def _sub_table(table: np.ndarray, family: np.ndarray) -> np.ndarray:
    """Return the plan of some timeframes whose parents are among them."""
    own = table[family]
    own[:, 2] = np.where(own[:, 2] < 0, -1, np.searchsorted(family, own[:, 2]))
    return own


def _roll_family(rows: np.ndarray, sessions: np.ndarray, table: np.ndarray, room: np.ndarray) -> list[np.ndarray]:
    """Return the bars of each timeframe of the plan; all share one block of memory with `room` for each."""
    k = _kernels()
    places = np.zeros((len(table), 3), np.int64)
    places[1:, 0] = np.cumsum(room)[:-1]
    places[:, 1] = places[:, 0]
    out = np.empty(int(room.sum()), BAR_DTYPE)
    wrong = k.roll_all(rows.view(k.PART_DTYPE), sessions, table, places, out.view(k.PART_DTYPE))
    if wrong >= 0:
        raise disorder(rows["ts_open"], wrong)
    return [out[first:end] for first, end, _ in places.tolist()]


def disorder(ts: np.ndarray, wrong: int) -> RecordError:
    """Return the error of minutes that are not in order."""
    return RecordError(f"rows_1m: received ts_open {ts[wrong]} after {ts[wrong - 1]}; allowed: ascending, each minute once")


# -- live ------------------------------------------------------------------------------------------------------------------------


class Roller:
    """The longer bars of one symbol, fed with closed 1-minute bars one by one.

    `timeframes` are those it makes, shortest first; results name them by index. Not thread-safe: the hub's thread alone calls it.
    """

    def __init__(
        self, sessions: SessionCalendar | np.ndarray, *, anchor: Anchor = "session_rth", timeframes: Iterable[str | Timeframe] = ROLLED
    ) -> None:
        self._k = k = _kernels()
        self._sessions = session_rows(sessions)
        self.anchor: Anchor = anchor
        self.timeframes, self._plan = plan(tuple(Timeframe.parse(t).label for t in timeframes), anchor)
        n = len(self.timeframes)
        self._totals = np.zeros(n, k.SUM_DTYPE)
        self._scratch = np.zeros(1, k.SUM_DTYPE)
        self._state = np.zeros(k.STATE_WIDTH, np.int64)
        self._closed, self._n_closed = np.zeros((n, k.MAX_PARTS), BAR_DTYPE), np.zeros(n, np.int64)
        self._partials, self._n_partials = np.zeros((n, 2), BAR_DTYPE), np.zeros(n, np.int64)
        self._out = np.zeros(4 * n * k.MAX_PARTS, BAR_DTYPE)
        self._frames = np.zeros(len(self._out), np.int64)

    @property
    def last_ts(self) -> int:
        """ts_open of the newest minute fed, 0 at first."""
        return int(self._state[self._k.LAST_TS])

    def add(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Feed closed 1-minute bars, BAR_DTYPE shape (n,), each newer than all before; return the longer bars that they finish.

        Returns (frames, rows): int64 indices into `timeframes`, and BAR_DTYPE rows, in the order of finishing; good until the next call.

        RecordError if a row is not newer than the last one: a changed minute needs `revise`.
        """
        rows = writable(np.ascontiguousarray(rows))
        done, n = 0, len(rows)
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        while True:
            done = self._k.roll_live(
                rows, done, self._totals, self._plan, self._sessions, self._state, self._closed, self._n_closed, self._out, self._frames
            )
            made = self._state[self._k.N_OUT]
            if done == n and not parts:
                return self._take() if made else (_NO_FRAMES, _NO_ROWS)
            if not made and done < n:
                ts = rows["ts_open"][done]
                raise RecordError(f"rows: received ts_open {ts} after {self.last_ts}; allowed: newer minutes (older ones: revise)")
            frames, made_rows = self._take()
            parts.append((frames.copy(), made_rows.copy()))
            if done == n:
                return np.concatenate([f for f, _ in parts]), np.concatenate([r for _, r in parts])

    def advance(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Finish the bars whose nominal end is at or before `now_ns`, though their last minute did not trade; as `add` returns."""
        self._k.roll_until(
            now_ns, self._totals, self._plan, self._sessions, self._state, self._closed, self._n_closed, self._out, self._frames
        )
        return self._take() if self._state[self._k.N_OUT] else (_NO_FRAMES, _NO_ROWS)

    def _take(self) -> tuple[np.ndarray, np.ndarray]:
        n = self._state[self._k.N_OUT]
        self._state[self._k.N_OUT] = 0
        return self._frames[:n], self._out[:n]

    def partials(self, open_rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return the forming bars, label -> BAR_DTYPE shape (0..2,), oldest first, is_partial = 1: what was fed plus `open_rows`.

        `open_rows`: the 1-minute bars that are still open, oldest first; two of them may lie in two buckets.
        """
        self._k.roll_partials(
            _NO_ROWS if open_rows is None else open_rows,
            self._totals, self._plan, self._sessions, self._scratch, self._partials, self._n_partials,
        )  # fmt: skip
        rows = self._partials.copy()
        return {label: rows[i, :k] for i, (label, k) in enumerate(zip(self.timeframes, self._n_partials.tolist(), strict=True))}

    def load(self, rows_1m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Forget everything, then feed `rows_1m`; return what they finish, as `add` does. The present week's rows are enough for state."""
        self.reset()
        return self.add(rows_1m)

    def reset(self) -> None:
        """Forget everything."""
        self._totals[:] = np.zeros((), self._totals.dtype)
        self._state[:] = 0

    def revise(self, rows_1m: np.ndarray, changed_ns: np.ndarray, now_ns: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rebuild from `rows_1m` after the minutes `changed_ns` changed; return the finished bars that hold one of them.

        `rows_1m`: all closed 1-minute bars held, changes included. A bar that began before the first of them can't be made again and
        is left out. `now_ns`: finish bars that ended by then (as `advance`).
        """
        frames, rows = self.load(rows_1m)
        if now_ns is not None:
            late_frames, late = self.advance(now_ns)
            frames, rows = np.concatenate([frames, late_frames]), np.concatenate([rows, late])
        if not len(rows):
            return frames, rows
        changed = np.sort(np.asarray(changed_ns, np.int64))
        touched = np.searchsorted(changed, rows["ts_open"]) < np.searchsorted(changed, rows["ts_close"])
        keep = touched & (rows["ts_open"] >= rows_1m["ts_open"][0])
        return frames[keep], rows[keep]
