"""An option chain that is read while a day is recorded is in the record, open interest included, and a replay tells it again."""

from __future__ import annotations

import numpy as np
import pytest

from tests.hub.test_chains import CALENDAR, EXPIRY, ChainedSource, until
from tests.stubs import MIN, SEC, TEN, prints
from workbench.errors import SourceError
from workbench.history.recorded_chains import RecordedChains, read_records
from workbench.hub import chains
from workbench.hub.hub import Hub
from workbench.recorder.recorder import Recorder
from workbench.sources.replay import ReplaySource


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A folder with a recorded morning of SPY, whose chain was read for three minutes, and what the chain said then."""
    monkeypatch.setattr(chains, "LOOK_S", 0.005)
    source = ChainedSource(n_strikes=30)
    hub = Hub(source, calendar=CALENDAR, verify_every_s=0.0, retry_s=0.0)
    hub._chain_every_s = 0.005
    recorder = Recorder(hub, tmp_path)
    source.start(hub)
    recorder.start()
    spy = hub.symbols.intern("SPY")
    with hub.chain("SPY", EXPIRY) as reader:
        assert reader.wait(20)
        for minute in range(1, 4):
            source.spot, source.told_ns = 100.0 + minute, TEN + minute * MIN
            hub.on_trades(prints([(TEN + minute * MIN, 100.0 + minute, 100)], symbol_id=spy, first_sequence=minute))
            source.clock.ns = TEN + minute * MIN + SEC
            hub.pump()
            n_asked = source.n_asked
            assert until(lambda n=n_asked: source.n_asked > n + 1)
    recorder.stop()
    hub.stop()
    source.stop()
    return tmp_path, source


def test_a_snapshot_a_minute_is_in_the_day_file_with_its_open_interest(recorded):
    folder, _ = recorded
    rows = read_records(folder / "date=2026-11-18" / "chains" / "symbol=SPY.parquet")
    asof = np.unique(rows["asof_ns"])
    assert asof.tolist() == [TEN, *(TEN + k * MIN + SEC for k in (1, 2, 3))]
    assert len(rows) == 4 * 60
    assert (rows["open_interest"] == 50).all() and (rows["bid"] == 1.0).all()
    assert np.isnan(rows["vendor_iv"]).all()
    assert np.unique(rows["spot"]).tolist() == [100.0, 101.0, 102.0, 103.0]


def test_a_recorded_chain_is_told_again_as_it_was_at_any_moment(recorded):
    folder, source = recorded
    told = RecordedChains([folder], CALENDAR)
    assert told.expiries("SPY", TEN + 5 * MIN) == (EXPIRY,)
    assert told.expiries("SPY", TEN - 1) == ()
    chain = told.chain("SPY", EXPIRY, TEN + 2 * MIN + 30 * SEC)
    source.spot, source.told_ns = 102.0, TEN + 2 * MIN
    assert chain.rows.tobytes() == source.chain("SPY", EXPIRY).rows.tobytes()
    assert (chain.spot, chain.spot_ts_ns, chain.asof_ns) == (102.0, TEN + 2 * MIN, TEN + 2 * MIN + SEC)
    assert len(told.chain("SPY", EXPIRY, TEN - 1)) == 0
    assert len(told.chain("QQQ", EXPIRY, TEN + MIN)) == 0


def test_a_replay_of_the_day_has_the_chain_and_seeking_moves_it(recorded):
    folder, _ = recorded
    source = ReplaySource(folder, calendar=CALENDAR, start_ns=TEN + 3 * MIN + 30 * SEC)
    hub = Hub(source, calendar=CALENDAR)
    hub.start()
    source.start(hub)
    source.pause()
    try:
        assert source.info.has_chains
        assert hub.expiries("SPY") == (EXPIRY,)
        with hub.chain("SPY", EXPIRY) as reader:
            assert reader.wait(20)
            assert (reader.snapshot().rows["ts_ns"] == TEN + 3 * MIN).all() and len(reader.snapshot()) == 60
            assert until(lambda: any("snapshots of the chain only" in note for note in reader.snapshot().notes))
            source.seek(TEN + MIN + 30 * SEC)
            assert until(lambda: len(reader.snapshot()) == 60 and (reader.snapshot().rows["ts_ns"] == TEN + MIN).all())
    finally:
        source.stop()
        hub.stop()


def test_a_recording_without_chains_says_so(recorded):
    folder, _ = recorded
    for path in folder.rglob("chains/*.parquet"):
        path.unlink()
    source = ReplaySource(folder, calendar=CALENDAR)
    assert not source.info.has_chains
    with pytest.raises(SourceError, match="source 'replay' tells no option chains"):
        Hub(source, calendar=CALENDAR).chain("SPY", EXPIRY)
