"""Trades into minutes, sale-condition rules included. A regression here is a hub that falls behind at the open: prices on screen grow
old while the queue fills.

polars answers the same question from the same columns (both rule tables, vwap and its spread). nautilus_trader has neither rules nor
vwap and gets prints without conditions; it clashes with our numpy, so it runs in an environment of its own, `.bench-env/nautilus`
(ignored by git), which this file makes when it is missing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from workbench.clock import monotonic_ns
from workbench.conditions import EXTENDED_TABLE, REGULAR_TABLE
from workbench.hub.bars import MinuteBuilder, build_bars, rule_code
from workbench.sessions import SessionCalendar, ny_ns
from workbench.types import TRADE_DTYPE

ROOT = Path(__file__).resolve().parents[2]
MIN = 60_000_000_000
FAR = ny_ns(date(2029, 1, 2), 12)
N_BATCH, N_WIDE, WIDE_SYMBOLS, N_LIVE = 6_000_000, 1_000_000, 9_000, 200_000
N_NAUTILUS = 200_000


@pytest.fixture(scope="module")
def calendar():
    return SessionCalendar.xnys()


@pytest.fixture(scope="module")
def nautilus():
    """Return a run of nautilus_trader on (n, 4) ts, price, size, symbol: {ns per trade, bars}; None when it can't be installed."""
    folder = ROOT / ".bench-env" / "nautilus"
    python = folder / "bin" / "python"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, env=clean)
        if subprocess.run([python, "-c", "import nautilus_trader"], check=False, env=clean, capture_output=True).returncode:
            subprocess.run([python, "-m", "pip", "install", "-q", "nautilus_trader"], check=True, env=clean)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"\nnautilus_trader can't be installed here: {error}")
        return None

    def run(kind, trades, folder):
        np.save(folder / "trades.npy", trades)
        script = Path(__file__).with_name("nautilus_bars.py")
        done = subprocess.run([python, script, kind, folder / "trades.npy"], check=True, env=clean, capture_output=True, text=True)
        return json.loads(done.stdout)

    return run


def need(nautilus):
    """Skip what is left of a bench when there is no nautilus_trader to compare with."""
    if nautilus is None:
        pytest.skip("nautilus_trader is not installed in .bench-env/nautilus, and pip can't reach it")


def prints(rng, n, start, end, symbols=1):
    """Prints with cents, 30 % odd lots, sweeps and a few of every other kind; more at the head of the symbol list (Zipf)."""
    out = np.zeros(n, TRADE_DTYPE)
    out["ts_event"] = np.sort(rng.integers(start, end, n))
    out["sequence"] = np.arange(n)
    out["price"] = np.round(100 + np.cumsum(rng.normal(0, 0.01, n)) % 50, 2)
    out["size"] = rng.integers(1, 500, n)
    weight = 1 / np.arange(1, symbols + 1)
    out["symbol_id"] = rng.choice(symbols, n, p=weight / weight.sum())
    chance = rng.random((n, 3))
    out["conditions"][:, 0] = np.where(chance[:, 0] < 0.35, 14, 0)
    out["conditions"][:, 1] = np.where(chance[:, 1] < 0.3, 37, 0)
    out["conditions"][:, 2] = np.where(chance[:, 2] < 0.02, rng.choice([2, 10, 41, 53], n), 0)
    out["n_conditions"] = 3
    return out


def columns_of(trades):
    names = ("ts_event", "price", "size", "symbol_id")
    conditions = np.ascontiguousarray(trades["conditions"][:, :4])
    return {name: np.ascontiguousarray(trades[name]) for name in names} | {"conditions": conditions}


def polars_frame(columns):
    frame = {name: columns[name] for name in ("ts_event", "price", "size", "symbol_id")}
    return pl.DataFrame(frame | {f"c{k}": np.ascontiguousarray(columns["conditions"][:, k]) for k in range(4)})


RULES = pl.Series(REGULAR_TABLE), pl.Series(EXTENDED_TABLE)


def polars_bars(frame, *, regular):
    """The minutes of every symbol by polars, lazily and on all cores; `regular`: all prints lie in regular hours."""
    table = RULES[0] if regular else RULES[1]
    rule = None
    for k in range(4):
        allowed = pl.lit(table).gather(pl.col(f"c{k}"))
        rule = allowed if rule is None else rule & allowed
    price, size = pl.col("price"), pl.col("size")
    marking, ranging, counted = (pl.col("rule") & bit > 0 for bit in (2, 1, 4))
    vp, vpp, v = (price * size).filter(counted).sum(), (price * price * size).filter(counted).sum(), size.filter(counted).sum()
    return (
        frame.lazy()
        .with_columns((pl.col("ts_event") // MIN * MIN).alias("minute"), rule.alias("rule"))
        .group_by("symbol_id", "minute")
        .agg(
            pl.coalesce(price.filter(marking).first(), price.filter(ranging).first()).alias("open"),
            price.filter(ranging).max().alias("high"),
            price.filter(ranging).min().alias("low"),
            pl.coalesce(price.filter(marking).last(), price.filter(ranging).last()).alias("close"),
            v.alias("volume"),
            counted.sum().alias("n_trades"),
            (vp / v).alias("vwap"),
            (vpp / v - (vp / v) ** 2).clip(0).sqrt().alias("vw_std"),
        )
        .filter(pl.col("open").is_not_null())
        .collect()
        .sort("symbol_id", "minute")
    )


def timed(run):
    start = monotonic_ns()
    answer = run()
    return monotonic_ns() - start, answer


def medians(contenders, n, peer, rounds=3, turns=3):
    """Return the median ns per trade of each contender, and of `peer` (which measures itself) as nautilus; all take turns."""
    return {name: statistics.median(t) for name, t in measured(contenders, n, peer, rounds, turns).items()}


def measured(contenders, n, peer, rounds=3, turns=3):
    """Return all ns per trade that `medians` takes the middle of."""
    taken = {name: [] for name in contenders} | ({"nautilus": []} if peer else {})
    for _ in range(rounds):
        for name, run in contenders.items():
            taken[name] += [timed(run)[0] / n for _ in range(turns)]
        if peer:
            taken["nautilus"].append(peer()["ns"])
    return taken


def say(title, per_trade):
    ours = per_trade["workbench"]
    print(f"\n{title}: " + ", ".join(f"{k} {ns:.1f} ns/trade = {1e3 / ns:.1f} M/s ({ns / ours:.1f}×)" for k, ns in per_trade.items()))


def for_nautilus(trades):
    return np.column_stack([trades[name].astype(float) for name in ("ts_event", "price", "size", "symbol_id")])


@pytest.mark.bench
def test_one_symbol_in_a_batch(calendar, nautilus, tmp_path, floor):
    days = calendar.between(ny_ns(date(2024, 4, 1), 0), ny_ns(date(2024, 4, 12), 23))
    rng = np.random.default_rng(1)
    trades = np.concatenate([prints(rng, N_BATCH // len(days), d["open"], d["close"]) for d in days])
    columns = columns_of(trades)
    frame = polars_frame(columns)
    few = trades[:N_NAUTILUS]

    def ours(c=columns):
        return build_bars(c["ts_event"], c["price"], c["size"], conditions=c["conditions"], sessions=calendar)

    def read():
        return sum(float(columns[name].view("i8").sum()) for name in ("ts_event", "price", "size", "conditions"))

    rows, theirs = ours(), polars_bars(frame, regular=True)
    for name in ("open", "high", "low", "close", "volume", "n_trades"):
        np.testing.assert_array_equal(rows[name], theirs[name].to_numpy(), err_msg=name)
    np.testing.assert_allclose(rows["vwap"], theirs["vwap"].to_numpy(), rtol=1e-9)
    plain = build_bars(few["ts_event"], few["price"], few["size"], sessions=calendar)
    peer = nautilus and (lambda: nautilus("one", for_nautilus(few), tmp_path))
    if peer:
        bars = np.array([b[2:] for b in peer()["bars"]])
        for k, name in enumerate(("open", "high", "low", "close", "volume")):
            np.testing.assert_allclose(plain[name][: len(bars) - 1], bars[:-1, k], err_msg=name)
    contenders = {"workbench": ours, "polars": lambda: polars_bars(frame, regular=True), "read the columns": read}
    per_trade = medians(contenders, len(trades), peer)
    say("one symbol, batch, conditions included", per_trade)
    floor("one symbol, batch, times polars", per_trade["polars"] / per_trade["workbench"], least=4)
    need(nautilus)
    floor("one symbol, batch, times nautilus", per_trade["nautilus"] / per_trade["workbench"], least=60)


@pytest.mark.bench
def test_nine_thousand_symbols_fed_a_thousand_prints_at_a_time(calendar, nautilus, tmp_path, floor):
    start = ny_ns(date(2024, 4, 3), 10)
    trades = prints(np.random.default_rng(2), N_WIDE, start, start + 30 * MIN, WIDE_SYMBOLS)
    frame = polars_frame(columns_of(trades))
    pieces = [trades[i : i + 1000] for i in range(0, len(trades), 1000)]
    moments = [int(piece["ts_event"][-1]) for piece in pieces]

    def ours():
        builder = MinuteBuilder(calendar, grace_ns=2_000_000_000, symbols=WIDE_SYMBOLS)
        told = []
        for piece, now in zip(pieces, moments, strict=True):
            builder.add(piece)
            told.append(builder.advance(now))
        told.append(builder.advance(FAR))
        return told

    told = ours()
    ids, rows = (np.concatenate([t[k] for t in told]) for k in (0, 1))
    order = np.lexsort((rows["ts_open"], ids))
    theirs = polars_bars(frame, regular=True)
    np.testing.assert_array_equal(ids[order], theirs["symbol_id"].to_numpy())
    for name in ("open", "close", "volume", "n_trades"):
        np.testing.assert_array_equal(rows[name][order], theirs[name].to_numpy(), err_msg=name)
    contenders = {"workbench": ours, "polars": lambda: polars_bars(frame, regular=True)}
    peer = nautilus and (lambda: nautilus("many", for_nautilus(trades[:N_NAUTILUS]), tmp_path))
    per_trade = medians(contenders, len(trades), peer, turns=2)
    say("9,000 symbols, 1,000 prints at a time", per_trade)
    floor("9,000 symbols, 1,000 prints a call, times polars", per_trade["polars"] / per_trade["workbench"], least=4)
    need(nautilus)
    floor("9,000 symbols, 1,000 prints a call, times nautilus", per_trade["nautilus"] / per_trade["workbench"], least=300)


@pytest.mark.bench
def test_live_prints(calendar, nautilus, tmp_path, floor):
    start = ny_ns(date(2024, 4, 3), 10)
    trades = prints(np.random.default_rng(3), N_LIVE, start, start + 15 * MIN)
    frames = [trades[i : i + 64] for i in range(0, len(trades), 64)]
    codes = [rule_code(tuple(ids[:n])) for ids, n in zip(trades["conditions"].tolist(), trades["n_conditions"].tolist(), strict=True)]
    names = ("symbol_id", "ts_event", "price", "size", "sequence")
    singles = list(zip(*(trades[name].tolist() for name in names), codes, strict=True))
    builders = {}

    def in_frames():
        builder = builders["frames"] = MinuteBuilder(calendar, grace_ns=0)
        for frame in frames:
            builder.add(frame)

    def one_by_one():
        builder = builders["singles"] = MinuteBuilder(calendar, grace_ns=0)
        take = builder.add_one
        for single in singles:
            take(*single)

    one_by_one()
    in_frames()
    a, b = (builder.advance(FAR)[1] for builder in builders.values())
    expected = build_bars(trades["ts_event"], trades["price"], trades["size"], conditions=trades["conditions"], sessions=calendar)
    assert a.tobytes() == b.tobytes() == expected.tobytes()
    contenders = {"workbench": in_frames, "one at a time": one_by_one}
    taken = measured(contenders, len(trades), nautilus and (lambda: nautilus("one", for_nautilus(trades), tmp_path)))
    per_trade = {name: statistics.median(t) for name, t in taken.items()}
    say("live, 64 prints a call", per_trade)
    # the best run, because a busy machine is not the code's fault
    floor("live, 64 prints a call, ns a print", min(taken["workbench"]), most=50, is_absolute=True)
    need(nautilus)
    # nautilus takes 195 ns where the 50 were set, and the ratio travels
    floor("live, 64 prints a call, share of nautilus", per_trade["workbench"] / per_trade["nautilus"], most=50 / 195)
    floor("live, one print a call, times nautilus's time", per_trade["one at a time"] / per_trade["nautilus"], most=2)
