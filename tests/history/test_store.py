"""What is stored is never lost: whole files or none, merges by stamp, refusals said in words, damage set aside."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import StoreError, SymbolError
from workbench.history import store as store_module
from workbench.history.intervals import cut_out, minus, union
from workbench.history.store import BarStore, folder_name
from workbench.types import BAR_DTYPE, BarSource

MINUTE = 60_000_000_000
MONDAY = 1710163800 * 10**9  # 2024-03-11 09:30 New York
DAY = 1440 * MINUTE


def bars(first=MONDAY, n=390, price=100.0):
    rows = np.zeros(n, BAR_DTYPE)
    rows["ts_open"] = first + np.arange(n) * MINUTE
    rows["ts_close"] = rows["ts_open"] + MINUTE
    for name in ("open", "high", "low", "close"):
        rows[name] = price
    rows["volume"], rows["vwap"], rows["vw_std"], rows["n_trades"] = 7, np.nan, 0.5, np.nan
    rows["source"], rows["revision"], rows["is_complete"] = BarSource.PROVIDER, 3, 1
    return rows


def same(a, b):
    return all(np.array_equal(a[name], b[name], equal_nan=name in ("vwap", "vw_std", "n_trades")) for name in BAR_DTYPE.names)


def test_bars_come_back_as_they_went_in(tmp_path):
    store = BarStore(tmp_path)
    rows = np.concatenate([bars(), bars(MONDAY + DAY), bars(MONDAY + 7 * DAY)])
    store.write("SPY", rows[::-1].copy())
    assert same(BarStore(tmp_path).read("SPY", 0, 2**62), rows)
    assert [str(d) for d in store.days("SPY")] == ["2024-03-11", "2024-03-12", "2024-03-18"]
    assert store.span("SPY") == (MONDAY, MONDAY + 7 * DAY + 390 * MINUTE)
    assert store.symbols() == ("SPY",)


def test_range_is_half_open_and_empty_ranges_are_empty(tmp_path):
    store = BarStore(tmp_path)
    store.write("SPY", bars())
    got = store.read("SPY", MONDAY + 2 * MINUTE, MONDAY + 5 * MINUTE)["ts_open"]
    assert got.tolist() == [MONDAY + k * MINUTE for k in (2, 3, 4)]
    assert len(store.read("SPY", MONDAY, MONDAY)) == len(store.read("QQQ", 0, 2**62)) == 0
    assert store.span("QQQ") is None
    assert store.symbols() == ("SPY",)


def test_last_bars_before_a_moment_across_days(tmp_path):
    store = BarStore(tmp_path)
    store.write("SPY", np.concatenate([bars(), bars(MONDAY + DAY)]))
    got = store.last("SPY", MONDAY + DAY + 10 * MINUTE, 15)["ts_open"]
    assert got.tolist() == [MONDAY + (385 + k) * MINUTE for k in range(5)] + [MONDAY + DAY + k * MINUTE for k in range(10)]
    assert len(store.last("SPY", MONDAY, 10)) == 0


def test_a_bar_written_again_replaces_the_old_one_and_touches_no_other(tmp_path):
    store = BarStore(tmp_path)
    store.write("SPY", bars())
    store.write("SPY", bars(MONDAY + 100 * MINUTE, n=1, price=200))
    got = store.read("SPY", 0, 2**62)
    assert len(got) == 390
    assert got["close"].tolist() == [200 if k == 100 else 100 for k in range(390)]


def test_rows_twice_in_one_write_keep_the_last(tmp_path):
    store = BarStore(tmp_path)
    store.write("SPY", np.concatenate([bars(n=1), bars(n=1, price=5)]))
    assert store.read("SPY", 0, 2**62)["close"].tolist() == [5]


def test_spans_proved_complete_are_remembered(tmp_path):
    store = BarStore(tmp_path)
    assert store.missing("SPY", 10, 50) == [(10, 50)]
    store.write("SPY", bars(), complete=(MONDAY, MONDAY + DAY))
    store.write("SPY", bars(MONDAY + 2 * DAY), complete=(MONDAY + 2 * DAY, MONDAY + 3 * DAY))
    again = BarStore(tmp_path)
    assert again.missing("SPY", MONDAY, MONDAY + 3 * DAY) == [(MONDAY + DAY, MONDAY + 2 * DAY)]
    again.write("SPY", bars(n=0), complete=(MONDAY + DAY, MONDAY + 2 * DAY))  # a holiday: no bars, and that is all there is
    assert again.missing("SPY", MONDAY, MONDAY + 3 * DAY) == []
    assert again.missing("QQQ", 0, 1) == [(0, 1)]


def test_intervals_by_hand():
    assert union([(5, 7), (1, 3), (3, 4), (6, 9), (2, 2)]) == [(1, 4), (5, 9)]
    assert minus((0, 10), [(2, 3), (8, 20), (-5, 1)]) == [(1, 2), (3, 8)]
    assert minus((0, 10), []) == [(0, 10)]
    assert cut_out([(0, 10)], (3, 5)) == [(0, 3), (5, 10)]


@pytest.mark.parametrize("symbol", ["BRK.B", "O:SPY241220P00720000", "I:SPX", "BCpC", "CON", "A^B", "A/B"])
def test_every_symbol_has_a_folder_of_its_own_on_any_file_system(tmp_path, symbol):
    store = BarStore(tmp_path)
    store.write(symbol, bars(n=2))
    assert store.symbols() == (symbol,)
    assert len(store.read(symbol, 0, 2**62)) == 2
    name = folder_name(symbol)
    assert name == folder_name(symbol).upper().replace("SYMBOL=", "symbol=")
    assert not set(name) & set('/\\:*?"<>|')


def test_symbols_that_differ_by_case_only_never_share_a_folder():
    assert folder_name("BCpC").upper() != folder_name("BCPC").upper()
    with pytest.raises(SymbolError):
        folder_name("../../etc")


def test_sql_over_all_symbols(tmp_path):
    store = BarStore(tmp_path)
    store.write("SPY", bars())
    store.write("O:SPY241220P00720000", bars(n=3))
    got = store.query("SELECT symbol, count(*) AS n FROM bars GROUP BY symbol ORDER BY symbol")
    assert dict(zip(got["symbol"], got["n"], strict=True)) == {"SPY": 390, "O:SPY241220P00720000": 3}
    with pytest.raises(StoreError, match="nonsense"):
        store.query("SELECT nonsense FROM bars")


# -- refusals --------------------------------------------------------------------------------------------------------------------


def test_full_disk_is_said_and_loses_nothing(tmp_path, monkeypatch):
    store = BarStore(tmp_path)
    store.write("SPY", bars(), complete=(MONDAY, MONDAY + DAY))

    def full(path, _rows):
        path.write_bytes(b"half a file")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store_module, "_write_parquet", full)
    with pytest.raises(StoreError, match="No space left on device; what was stored before stays as it was"):
        store.write("SPY", bars(price=200), complete=(0, 2**62))
    monkeypatch.undo()
    assert same(store.read("SPY", 0, 2**62), bars())
    assert store.missing("SPY", MONDAY, MONDAY + DAY + 1) == [(MONDAY + DAY, MONDAY + DAY + 1)]
    assert [p.name for p in tmp_path.rglob("*.part")] == []


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    store = BarStore(tmp_path)
    store.write("SPY", bars())

    def cut(self, _target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        store.write("SPY", bars(price=200))
    monkeypatch.undo()
    assert same(store.read("SPY", 0, 2**62), bars())


def test_folder_that_can_not_be_written_is_said(tmp_path):
    (tmp_path / "bars").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="can't write"):
        BarStore(tmp_path).write("SPY", bars())


@pytest.mark.parametrize("damage", [b"", b"PAR1 nonsense PAR1", None])
def test_damaged_day_is_set_aside_and_asked_for_again_while_the_rest_goes_on(tmp_path, damage, caplog):
    store = BarStore(tmp_path)
    store.write("SPY", np.concatenate([bars(), bars(MONDAY + DAY)]), complete=(MONDAY, MONDAY + 2 * DAY))
    path = next(tmp_path.rglob("day=2024-03-11/bars.parquet"))
    content = path.read_bytes()[:-20] if damage is None else damage
    path.write_bytes(content)
    assert same(store.read("SPY", 0, 2**62), bars(MONDAY + DAY))
    assert path.with_name("bars.parquet.broken1").read_bytes() == content
    assert "set aside" in caplog.text
    midnight = MONDAY - 570 * MINUTE
    assert store.missing("SPY", MONDAY, MONDAY + 2 * DAY) == [(MONDAY, midnight + DAY)]
    store.write("SPY", bars(), complete=(MONDAY, MONDAY + DAY))
    assert len(store.read("SPY", 0, 2**62)) == 780


def test_damaged_day_does_not_stop_new_bars_of_that_day(tmp_path):
    store = BarStore(tmp_path)
    store.write("SPY", bars(n=5))
    next(tmp_path.rglob("bars.parquet")).write_bytes(b"broken")
    store.write("SPY", bars(MONDAY + 5 * MINUTE, n=5))
    assert store.read("SPY", 0, 2**62)["ts_open"][0] == MONDAY + 5 * MINUTE


def test_damaged_record_of_completeness_only_means_reading_again(tmp_path):
    store = BarStore(tmp_path)
    store.write("SPY", bars(), complete=(MONDAY, MONDAY + DAY))
    next(tmp_path.rglob("complete.json")).write_text("{")
    assert store.missing("SPY", MONDAY, MONDAY + DAY) == [(MONDAY, MONDAY + DAY)]
    assert len(store.read("SPY", 0, 2**62)) == 390


def test_threads_merging_into_one_day_lose_nothing(tmp_path):
    store = BarStore(tmp_path)
    threads = [
        threading.Thread(target=lambda k=k: [store.write("SPY", bars(MONDAY + (40 * k + j) * MINUTE, n=1)) for j in range(20)])
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read("SPY", 0, 2**62)) == 80


def _write_part(folder, k):
    store = BarStore(folder)
    for j in range(10):
        store.write("SPY", bars(MONDAY + (40 * k + j) * MINUTE, n=1))


@pytest.mark.skipif(os.name == "nt", reason="no advisory file locks")
def test_processes_merging_into_one_day_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    parts = [context.Process(target=_write_part, args=(tmp_path, k)) for k in range(2)]
    for part in parts:
        part.start()
    for part in parts:
        part.join(60)
    assert len(BarStore(tmp_path).read("SPY", 0, 2**62)) == 20
