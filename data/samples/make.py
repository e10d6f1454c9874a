"""Make the sample recordings of this folder from the seeded simulated market, with faults planted on purpose.

    .venv/bin/python data/samples/make.py [FOLDER]     (default: this folder)

Nothing here was ever traded. Two "vendors" record the same minutes of SPY over three sessions (one of them a half day, with a
holiday before it) and go wrong in different ways; one vendor records some minutes of prints. What was planted is written beside
them, so that the audit can be audited. The same seed gives the same files, byte by byte.
"""

from __future__ import annotations

import gzip
import json
import sys
from datetime import date
from pathlib import Path

import numpy as np

from workbench.sessions import SessionCalendar, ny_ns
from workbench.sources.simulation.market import Faults, Market
from workbench.sources.simulation.tape import is_bad, true_trades
from workbench.types import TRADE_DTYPE

SEED = 20251128
SYMBOL = "SPY"
DAYS = (date(2025, 11, 26), date(2025, 11, 28), date(2025, 12, 1))  # between the first two: Thanksgiving; the second ends 13:00
PRINTS_FROM, PRINTS_TO = (DAYS[2], 9, 58), (DAYS[2], 10, 13)


def main(folder: Path) -> None:
    """Write the three recordings and `planted.json`."""
    market = Market([SYMBOL], seed=SEED, faults=Faults(bad_prints=0, crossed_quotes=0, gaps=0, halts=0))
    minutes = regular_minutes(market)
    planted = {}
    rows, planted["vendor_one"] = vendor_one(minutes.copy(), np.random.default_rng(SEED))
    write(folder / "SPY_1m_vendor_one.csv.gz", "ts,symbol,open,high,low,close,volume,vwap,trades", map(bar_line, rows))
    rows, planted["vendor_two"] = vendor_two(minutes.copy(), np.random.default_rng(SEED + 1))
    write(folder / "SPY_1m_vendor_two.csv.gz", "ts,symbol,open,high,low,close,volume,vwap,trades", map(bar_line, rows))
    prints, planted["trades"] = some_prints(market, np.random.default_rng(SEED + 2))
    write(folder / "SPY_trades.csv.gz", "ts,symbol,price,size,conditions,exchange,tape,sequence,id", map(print_line, prints))
    (folder / "planted.json").write_text(json.dumps(planted, indent=2) + "\n", encoding="utf-8")


def regular_minutes(market: Market) -> np.ndarray:
    """Return the true regular-session minutes of the three days, BAR_DTYPE."""
    calendar = SessionCalendar.xnys()
    sessions = [calendar.session(day) for day in DAYS]
    return np.concatenate([market.history(SYMBOL, int(row["open"]), int(row["close"])) for row in sessions])


def vendor_one(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
    """Return a full tape with holes, repetitions, rows out of order, spikes and contradictions."""
    holes = [(ny_ns(DAYS[0], 10, 5), 7), (ny_ns(DAYS[0], 14, 31), 1), (ny_ns(DAYS[2], 15, 40), 20)]
    keep = np.ones(len(rows), bool)
    for start, n in holes:
        keep &= ~((rows["ts_open"] >= start) & (rows["ts_open"] < start + n * 60_000_000_000))
    rows = rows[keep]
    spikes = rng.choice(np.arange(50, len(rows) - 50), 3, replace=False)
    rows["high"][spikes[:2]] = np.round(rows["high"][spikes[:2]] * 1.06, 2)
    rows["low"][spikes[2]] = np.round(rows["low"][spikes[2]] * 0.93, 2)
    wrong = rng.choice(np.setdiff1d(np.arange(len(rows)), spikes), 2, replace=False)
    rows["high"][wrong] = rows["low"][wrong] - 0.05
    again = rng.choice(len(rows), 4, replace=False)
    rows = np.concatenate([rows, rows[again]])
    rows = rows[np.argsort(rows["ts_open"], kind="stable")]
    swapped = 400
    rows[[swapped, swapped + 1]] = rows[[swapped + 1, swapped]]
    planted = {"missing": int((~keep).sum()), "duplicates": 4, "out_of_order": 1, "outliers": 3, "ohlc_violations": 2}
    return rows, planted


def vendor_two(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
    """Return a tape that lost late prints: closes a cent off now and then, volumes too small, three minutes gone."""
    gone = rng.choice(np.arange(1, len(rows) - 1), 3, replace=False)
    rows = np.delete(rows, gone)
    off = rng.choice(len(rows), len(rows) // 50, replace=False)
    rows["close"][off] = np.clip(rows["close"][off] - 0.01, rows["low"][off], rows["high"][off])
    less = rng.choice(len(rows), len(rows) // 10, replace=False)
    rows["volume"][less] = np.floor(rows["volume"][less] * rng.uniform(0.90, 0.995, len(less)))
    return rows, {"missing": 3, "duplicates": 0, "out_of_order": 0, "outliers": 0, "ohlc_violations": 0}


def some_prints(market: Market, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, int]]:
    """Return a quarter of an hour of prints with bad ticks, repetitions and an unknown sale condition among them."""
    rows = true_trades(market, SYMBOL, 0, ny_ns(*PRINTS_FROM), ny_ns(*PRINTS_TO))
    rows = rows[~is_bad(rows)]
    last = int(rows["sequence"].max())
    bad = rows[rng.choice(len(rows), 5, replace=False)].copy()
    bad["sequence"] = last + 1 + np.arange(5)
    bad["id"] = bad["sequence"].astype(TRADE_DTYPE["id"])
    bad["price"][:3] = np.round(bad["price"][:3] * np.array([1.12, 0.85, 1.30]), 2)
    bad["price"][3:] = 0.0
    bad["conditions"], bad["n_conditions"] = 0, 0
    again = rows[rng.choice(len(rows), 6, replace=False)]
    strange = rng.integers(len(rows))
    rows["conditions"][strange, 0], rows["n_conditions"][strange] = 190, 1
    rows = np.concatenate([rows, bad, again])
    rows = rows[np.argsort(rows["ts_event"], kind="stable")]
    return rows, {"outliers": 3, "bad_prices": 2, "duplicates": 6, "unknown_conditions": 1}


def bar_line(row: np.void) -> str:
    """Return one bar as a line."""
    prices = ",".join(f"{row[name]:.2f}" for name in ("open", "high", "low", "close"))
    return f"{row['ts_open']},{SYMBOL},{prices},{row['volume']:.0f},{row['vwap']:.6f},{row['n_trades']:.0f}"


def print_line(row: np.void) -> str:
    """Return one print as a line."""
    conditions = " ".join(str(c) for c in row["conditions"][: row["n_conditions"]])
    tail = f"{row['exchange']},{row['tape']},{row['sequence']},{row['id'].decode()}"
    return f"{row['ts_event']},{SYMBOL},{row['price']:.2f},{row['size']:.0f},{conditions},{tail}"


def write(path: Path, header: str, lines: object) -> None:
    """Write lines as gzip without a time stamp inside, so that equal content is an equal file."""
    text = "\n".join([header, *lines, ""])  # type: ignore[misc]
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
