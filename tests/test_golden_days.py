"""Pinned days: what the session was, typed from the exchange's notices, and a fingerprint of the bars that a fixed tape makes on it.

A fingerprint that changes means that bars of the past change. If that is meant, the commit that pins the new one says why.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from tests.golden_days import CLOSED, DAYS
from workbench.hub.bars import build_bars
from workbench.hub.rollup import rollup_all
from workbench.sessions import SessionCalendar, to_ny
from workbench.types import TIMEFRAMES

CALENDAR = SessionCalendar.xnys()
FIELDS = ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "n_trades")
CONDITIONS = np.array([0, 14, 41, 37, 12, 13, 15, 16, 10, 32, 53])


def ns(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def tape(first_ns: int, last_ns: int) -> dict[str, np.ndarray]:
    """Return prints of a day in cents and whole shares, from arithmetic alone: the same on every machine and with every library."""
    k = np.arange(6000, dtype=np.int64)
    ts = np.sort(first_ns + k * 7_919_000_000_003 % (last_ns - first_ns))
    cents = 10_000 + (k * k * 31 % 97) + k // 40 % 53 - k // 300 * 3
    size = np.where(k % 7 == 0, 1 + k % 99, 100 * (1 + k % 5))
    return {"ts": ts, "price": cents / 100, "size": size.astype(float), "conditions": CONDITIONS[k * 13 % len(CONDITIONS)][:, None]}


def fingerprint(day: date) -> str:
    """Return the digest of all bars of all timeframes of a day. Whole-number sums only: no average, whose last bit is the machine's."""
    row = CALENDAR.session(day)
    trades = tape(int(row["pre_open"]), int(row["post_close"]))
    minutes = build_bars(
        trades["ts"], trades["price"], trades["size"], sequence=np.arange(6000), conditions=trades["conditions"], sessions=CALENDAR
    )
    rolled = {"1m": minutes, **rollup_all(minutes, CALENDAR)}
    digest = hashlib.sha256()
    for label in TIMEFRAMES:
        for name in FIELDS:
            digest.update(np.ascontiguousarray(rolled[label][name]).tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("golden", DAYS, ids=lambda golden: f"{golden.day} {golden.why}")
def test_the_day_is_as_the_exchange_kept_it_and_its_bars_are_as_ever(golden):
    day = date.fromisoformat(golden.day)
    row = CALENDAR.session(day)
    assert (int(row["open"]), int(row["close"])) == (ns(f"{golden.day}T{golden.open_utc}"), ns(f"{golden.day}T{golden.close_utc}"))
    is_half = golden.close_utc in ("18:00", "17:00")
    assert (to_ny(int(row["pre_open"])).hour, to_ny(int(row["post_close"])).hour) == (4, 17 if is_half else 20)
    assert (int(row["close"]) - int(row["open"])) // 60_000_000_000 == (210 if is_half else 390)
    assert fingerprint(day) == golden.bars


@pytest.mark.parametrize(("day", "why"), CLOSED, ids=str)
def test_on_these_days_there_was_no_session(day, why):
    assert why
    assert not CALENDAR.is_session(date.fromisoformat(day))


def test_a_weekend_with_a_monday_holiday_lasts_89_and_a_half_hours():
    friday, tuesday = CALENDAR.session(date(2025, 8, 29)), CALENDAR.session(date(2025, 9, 2))
    assert timedelta(microseconds=(int(tuesday["open"]) - int(friday["close"])) // 1000) == timedelta(hours=89.5)


def test_there_are_at_least_forty_days():
    assert len(DAYS) >= 40
    assert len({golden.bars for golden in DAYS}) == len(DAYS)
