"""A hub in another place reads like the one that is here, and says so when it does not answer."""

from __future__ import annotations

import inspect
import threading
from dataclasses import replace

import numpy as np
import pytest

from tests.hub.remote.conftest import assert_same, eventually
from tests.stubs import MIN
from workbench.api.headless import run
from workbench.assembly import assemble
from workbench.config import Settings
from workbench.door import users
from workbench.door.roles import Role
from workbench.errors import ConfigError, HistoryError, SourceError, SymbolError
from workbench.hub.health import Mode
from workbench.hub.hub import Hub
from workbench.hub.remote.hub import RemoteHub

KEYS = [("SPY", "1m"), ("SPY", "5m"), ("QQQ", "1m")]
# what a source hands in, what a recorder and a service take out, and what only the hub's own process can do
WRITE_SIDE = {name for name in dir(Hub) if name.startswith("on_")} | {
    "pump",
    "save",
    "quarantine",
    "tape",
    "listeners",
    "is_idle",
    "is_alive",
    "applied_ns",
    "latency",
    "cross_check",
    "try_out",
    "end_trial",
    "is_heard_of",
    "refused",
}


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def test_every_public_read_member_of_a_hub_is_here_with_the_same_signature(simulated):
    hub, remote = simulated().hub, RemoteHub("hub://127.0.0.1:5007")
    wanted = public(hub) - WRITE_SIDE
    assert wanted - public(remote) == set()
    for name in sorted(wanted):
        mine, theirs = inspect.getattr_static(RemoteHub, name, None), inspect.getattr_static(Hub, name, None)
        if inspect.isfunction(theirs):
            assert str(inspect.signature(mine)) == str(inspect.signature(theirs)), name
        else:
            assert not callable(theirs), name


@pytest.mark.parametrize("text", ["hub://", "hub://a:b", "http://127.0.0.1:5007", "hub://127.0.0.1:99999", "hub://127.0.0.1:5007/desk"])
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="allowed: hub://host:port"):
        RemoteHub(text)


def test_all_that_is_read_of_the_hub_is_the_same_here(simulated, attach):
    market = simulated()
    remote = attach(market.port)
    assert remote.watched() == ("SPY", "QQQ")  # the hub's own, since nobody here chose
    assert remote.wait_idle()
    for _ in range(2):
        market.source.step("bar")
        assert_same(remote, market.hub, KEYS)
    for name in ("quote", "last_trade", "board"):
        assert getattr(remote, name)("SPY") == getattr(market.hub, name)("SPY"), name
    assert remote.vwap("SPY").tobytes() == market.hub.vwap("SPY").tobytes()
    assert remote.bars("SPY", "5m", n=9).equals(market.hub.bars("SPY", "5m", n=9))
    assert remote.source_info == market.hub.source_info
    assert (remote.epoch, remote.seq) == (market.hub.epoch, market.hub.seq)
    assert remote.clock.now_ns() == market.hub.clock.now_ns()
    before = market.hub.series("SPY", "5m").first_ns
    assert remote.older("SPY", "5m", before, 50).tobytes() == market.hub.older("SPY", "5m", before, 50).tobytes()
    assert remote.older("SPY", "5m", before + 9 * MIN, 1).tobytes() == market.hub.older("SPY", "5m", before + 9 * MIN, 1).tobytes()
    assert repr(remote) == repr(market.hub).replace("Hub", "RemoteHub")
    assert "SPY" in remote._repr_html_()


def assert_idle(market, remote):
    assert market.hub.wait_idle()
    assert remote.wait_idle(10, history=True)


def test_health_is_the_hubs_word_for_word(simulated, attach):
    market = simulated()
    remote = attach(market.port)
    for symbol in (None, "SPY"):
        mine, told = eventually(lambda s=symbol: remote.health(s)).to_dict(), market.hub.health(symbol).to_dict()
        assert {name for name in told if mine[name] != told[name]} <= {"age_s"}
    assert remote.health().mode is Mode.REPLAY  # it stands still


def test_a_symbol_added_later_is_mirrored_too(simulated, attach):
    market = simulated()
    remote = attach(market.port)
    assert len(remote.series("SPY", "1m"))
    late = remote.series("NVDA", "15m")
    assert remote.watched() == ("SPY", "QQQ", "NVDA")
    assert "NVDA" in market.hub.watched()
    for _ in range(3):
        market.source.step("bar")
    assert_same(remote, market.hub, [*KEYS, ("NVDA", "15m"), ("NVDA", "1m")])
    assert remote.series("NVDA", "15m") is late


def test_a_symbol_that_the_hub_has_not_is_refused_and_the_others_go_on(simulated, attach):
    market = simulated()
    remote = attach(market.port)
    with pytest.raises(SymbolError, match="SPYY.*did you mean 'SPY'"):
        remote.watch("SPYY")
    remote._state.info = type(remote.source_info)("polygon", "a source that can't list its symbols")
    with pytest.raises(SymbolError, match="SPYY"):
        remote.series("SPYY", "5m")
    assert remote.watched() == ("SPY", "QQQ")
    market.source.step("bar")
    assert_same(remote, market.hub, KEYS)


def test_a_symbol_left_stays_readable_and_is_read_anew_when_it_is_wanted_again(simulated, attach):
    market = simulated()
    remote = attach(market.port)
    series = remote.series("QQQ", "1m")
    n = len(series)
    remote.unwatch("QQQ")
    remote.unwatch("QQQ")
    assert remote.watched() == ("SPY",)
    assert "QQQ" in market.hub.watched()  # others may read it there
    for _ in range(3):
        market.source.step("bar")
    assert_idle(market, remote)
    assert len(series) == n
    assert remote.series("QQQ", "1m") is series
    assert_same(remote, market.hub, KEYS)


def test_more_symbols_than_one_stream_may_follow_are_followed_on_several(simulated, attach, monkeypatch):
    monkeypatch.setattr("workbench.hub.remote.link.MOST_SYMBOLS", 1)
    market = simulated()
    remote = attach(market.port)
    assert_same(remote, market.hub, KEYS)
    for _ in range(3):
        market.source.step("bar")
        assert_same(remote, market.hub, KEYS)


def test_a_market_moved_backwards_is_a_gap_to_every_reader(simulated, attach):
    market = simulated()
    remote = attach(market.port)
    cursor = remote.cursor("SPY", "1m")
    for _ in range(4):
        market.source.step("bar")
    assert_idle(market, remote)
    cursor.read()
    epoch = remote.epoch
    remote.source.seek(market.hub.clock.now_ns() - 20 * MIN)
    assert_idle(market, remote)
    assert remote.epoch > epoch
    assert cursor.read().is_gap
    assert_same(remote, market.hub, KEYS)
    assert remote.clock.now_ns() == market.hub.clock.now_ns()


def test_a_market_that_can_be_steered_is_steered_from_here(simulated, attach):
    market = simulated()
    source = attach(market.port).source
    assert (source.is_paused, source.speed, source.span) == (True, 1.0, market.source.span)
    source.set_speed(60)
    source.play()
    assert (market.source.speed, market.source.is_paused, source.is_paused) == (60.0, False, False)
    source.pause()
    now_ns = market.hub.clock.now_ns()
    source.step("bar")
    assert market.hub.clock.now_ns() == (now_ns // MIN + 1) * MIN
    for wrong in (lambda: source.step("year"), lambda: source.set_speed(5000), lambda: source.seek(1)):
        with pytest.raises((ConfigError, SourceError), match="allowed"):
            wrong()


def test_the_forming_bar_and_the_clock_move_here_as_they_move_there(simulated, attach):
    market = simulated()
    remote = attach(market.port)
    series, there = remote.series("SPY", "1m"), market.hub.series("SPY", "1m")
    remote.source.play()
    for _ in range(5):
        version, now_ns = series.forming_version, remote.clock.now_ns()
        eventually(lambda v=version, t=now_ns: series.forming_version > v and remote.clock.now_ns() > t)
        assert remote.clock.now_ns() <= market.hub.clock.now_ns()
    eventually(lambda: remote.microbar("SPY") is not None)
    remote.source.pause()
    there_is = market.hub.microbar("SPY")  # none once its minute has closed
    eventually(lambda: there_is is None or remote.microbar("SPY").tobytes() == there_is.tobytes())
    assert_idle(market, remote)
    assert series.forming.tobytes() == there.forming.tobytes()


# -- a hub that is away ---------------------------------------------------------------------------------------------------------


def test_a_hub_that_is_not_there_yet_is_waited_for_and_attached_to_by_itself(simulated, attach, relay):
    market = simulated(relay=relay)
    relay.be_away()
    remote = attach(relay.port)
    assert remote.health().mode is Mode.STARTING
    assert f"connecting to the hub at 127.0.0.1:{relay.port}: " in remote.health().reason
    assert remote.health().reason.endswith("; trying again")
    remote.watch("QQQ")
    cursor = remote.cursor("SPY", "5m")
    assert not len(cursor.read().rows)
    assert remote.watched() == ()  # it is the hub's to say
    relay.be_away(is_away=False)
    eventually(lambda: cursor.has_news)
    assert_idle(market, remote)
    assert cursor.read().is_gap
    assert remote.watched() == ("SPY", "QQQ")
    assert remote.health().mode is Mode.REPLAY
    assert_same(remote, market.hub, [("SPY", "1m"), ("SPY", "5m")])


def test_a_hub_that_nobody_ever_started_refuses_the_connection_and_reading_goes_on(attach, relay):
    port = relay.port
    relay.stop()
    remote = attach(port)
    assert remote.health().reason == f"connecting to the hub at 127.0.0.1:{port}: connection refused; trying again"
    assert (remote.health("SPY").symbol, remote.watched(), remote.quote("SPY"), remote.epoch) == ("SPY", (), None, 0)
    assert not len(remote.bars("SPY", "5m"))
    with pytest.raises(HistoryError, match="does not answer"):
        remote.older("SPY", "5m", 10**18)
    assert not remote.wait_idle(0.2)


def test_data_of_a_hub_that_hangs_is_doubtful_at_once_old_soon_and_never_green(simulated, attach, relay, monkeypatch):
    monkeypatch.setattr("workbench.hub.remote.link.SILENT_S", 0.6)
    monkeypatch.setattr("workbench.hub.remote.link.ASK_EVERY_S", 0.2)
    monkeypatch.setattr("workbench.hub.remote.hub.STALE_AFTER_S", 1.2)
    market = simulated(relay=relay)
    remote = attach(relay.port)
    remote.source.play()
    eventually(lambda: len(remote.series("SPY", "1m")))
    eventually(lambda: remote.health("SPY").age_s is not None)
    relay.freeze()
    doubtful = eventually(lambda: (h := remote.health("SPY")).mode is Mode.DEGRADED and h)
    assert doubtful.reason.startswith(f"the hub at 127.0.0.1:{relay.port} has said nothing for")
    old = eventually(lambda: (h := remote.health("SPY")).mode is Mode.STALE and h)
    assert old.age_s > doubtful.age_s
    relay.thaw()
    eventually(lambda: remote.health().mode in (Mode.LIVE, Mode.REPLAY, Mode.BACKFILLING))
    remote.source.pause()
    assert_same(remote, market.hub, KEYS)


def test_a_restarted_hub_is_attached_to_by_itself_and_its_readers_are_told(simulated, attach, relay):
    simulated(relay=relay)
    remote = attach(relay.port)
    cursor = remote.cursor("SPY", "5m")
    first = cursor.read()
    relay.be_away()
    lost = eventually(lambda: (h := remote.health()).mode is Mode.DEGRADED and h)
    assert lost.reason == f"the hub at 127.0.0.1:{relay.port} does not answer ({lost.reason.split('(')[1].split(')')[0]}); trying again"
    assert len(remote.series("SPY", "5m")) == len(first.rows)  # what is held stays readable
    again = simulated(relay=relay)
    again.source.step("bar")
    relay.be_away(is_away=False)
    eventually(lambda: remote.epoch == again.hub.epoch)
    assert_idle(again, remote)
    told = cursor.read()
    assert (told.is_gap, told.epoch) == (True, again.hub.epoch)
    assert_same(remote, again.hub, KEYS)


def test_a_slow_line_gets_fewer_updates_and_the_same_bars(simulated, attach, relay):
    market = simulated(relay=relay)
    remote = attach(relay.port)
    assert_idle(market, remote)
    relay.bytes_per_s = 30_000
    market.source.set_speed(300)
    market.source.play()
    version = remote.series("SPY", "1m").forming_version
    eventually(lambda: market.hub.clock.now_ns() // MIN % 60 > 25, 20)
    market.source.pause()
    relay.bytes_per_s = None
    assert remote.series("SPY", "1m").forming_version > version
    assert_same(remote, market.hub, KEYS)


def test_the_token_travels_in_a_header_alone_and_shows_nowhere(simulated, attach, relay, caplog, tmp_path):
    path = tmp_path / "people.json"
    book, token = users.Users().with_token("notebook", Role.TRADER, None)
    users.write(path, book)
    simulated(relay=relay, password_file=path)
    stranger, remote = attach(relay.port), attach(relay.port, token=token)
    assert (stranger.health().mode, len(stranger.series("SPY", "1m"))) == (Mode.REFUSED, 0)
    assert "a token for it goes into WORKBENCH_HUB_TOKEN" in stranger.health().reason
    assert len(remote.series("SPY", "1m"))
    remote.source.set_speed(5)
    heads = [request.split(b"\r\n\r\n")[0] for request in relay.requests]
    assert heads
    told = [line for head in heads for line in head.split(b"\r\n") if token.encode() in line]
    assert set(told) == {b"Authorization: Bearer " + token.encode()}
    for text in (repr(remote), repr(vars(remote)), repr(remote.address), caplog.text, remote._repr_html_()):
        assert token not in text


def test_a_source_that_changes_its_name_is_told_here_too(simulated, attach, monkeypatch):
    monkeypatch.setattr("workbench.hub.remote.link.ASK_EVERY_S", 0.05)
    market = simulated()
    remote = attach(market.port)
    market.source._info = replace(market.source.info, name="alpaca", detail="on fallback since 10:15")
    eventually(lambda: remote.source_info == market.source.info)
    assert remote.health().source == "alpaca"


def test_a_fault_in_the_mirror_is_said_and_the_connection_made_anew(simulated, attach, monkeypatch, caplog):
    market = simulated()
    remote = attach(market.port)
    assert_idle(market, remote)
    faults = [KeyError("a fault")]
    take = remote._state.take

    def spoiled(*told):
        if faults:
            raise faults.pop()
        take(*told)

    monkeypatch.setattr(remote._state, "take", spoiled)
    market.source.step("bar")
    eventually(lambda: "a fault of ours" in caplog.text)
    assert_same(remote, market.hub, KEYS)


def test_stop_ends_the_thread_and_start_goes_on_where_it_stood(simulated, attach):
    market = simulated()
    remote = attach(market.port)
    cursor = remote.cursor("SPY", "1m")
    assert len(cursor.read().rows)
    remote.stop()
    remote.stop()
    assert "hub-link" not in {thread.name for thread in threading.enumerate()}
    assert remote.health().reason == "stopped"
    market.source.step("bar")
    remote.start()
    assert_idle(market, remote)
    told = cursor.read()
    assert not told.is_gap
    assert np.array_equal(told.rows, market.hub.series("SPY", "1m").rows(len(told.rows)))
    assert_same(remote, market.hub, KEYS)


# -- by settings ----------------------------------------------------------------------------------------------------------------


def test_the_same_cells_run_on_a_hub_elsewhere(simulated):
    market = simulated()
    with assemble(Settings(source=f"hub://127.0.0.1:{market.port}")) as engine:
        assert engine.hub.watched() == ("SPY", "QQQ")
        assert engine.hub.bars("SPY", "5m", n=3).equals(market.hub.bars("SPY", "5m", n=3))
        assert "SPY" in engine._repr_html_()
        assert engine.clock.now_ns() == market.hub.clock.now_ns()
        assert engine.source.is_paused
    assert engine.hub.health().reason == "stopped"


def test_symbols_of_ones_own_are_followed_instead_of_the_hubs(simulated):
    market = simulated()
    with assemble(Settings(source=f"hub://127.0.0.1:{market.port}", symbols="NVDA,SPY")) as engine:
        assert engine.hub.watched() == ("NVDA", "SPY")
        eventually(lambda: len(engine.hub.series("NVDA", "1m")))
        assert "NVDA" in market.hub.watched()


def test_settings_that_are_changed_on_the_way_stay_a_choice_or_none(simulated):
    market = simulated()
    settings = Settings(source=f"hub://127.0.0.1:{market.port}")
    assert assemble(settings, capacity=500).symbols == ()
    assert assemble(settings, symbols=("SPY",)).symbols == ("SPY",)


def test_a_hub_that_only_reads_another_is_not_served_again():
    with pytest.raises(ConfigError, match="source: received 'hub://127.0.0.1:5007'; allowed: "):
        run(Settings(source="hub://127.0.0.1:5007"), say=str)


def test_a_reader_asked_to_record_says_who_does_that():
    with pytest.raises(ConfigError, match="the hub there records"):
        assemble(Settings(source="hub://127.0.0.1:1", record=True))
