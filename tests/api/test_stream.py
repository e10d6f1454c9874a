"""The event stream over a real connection: what comes first, what resumes, what never moves the resume id."""

from __future__ import annotations

import math
import random
import socket

import httpx
import numpy as np
import pytest

from tests.api.conftest import until, wait_for
from tests.stubs import MIN, SEC, TEN, bar, bars, prints, quotes
from workbench.api import schemas
from workbench.api.stream import Streams
from workbench.types import BAR_DTYPE

MODELS = {
    model.__name__.removesuffix("Event").lower(): model
    for model in vars(schemas).values()
    if getattr(model, "__name__", "").endswith("Event")
}


def is_closed(event):
    return event.name == "bar" and any(part["bars"] for part in event.data["series"])


def closed(events):
    """Return the closed bars told by `bar` events, in order, as (symbol, timeframe, bar)."""
    return [
        (part["symbol"], part["timeframe"], row) for e in events if e.name == "bar" for part in e.data["series"] for row in part["bars"]
    ]


def say(service, k, *, symbol="SPY", close=None):
    """Let the provider send its minute number `k`, closed."""
    service.clock.ns = max(service.clock.ns, TEN + (k + 1) * MIN + 3 * SEC)
    service.hub.on_bars(symbol, bar(TEN + k * MIN, close if close is not None else 100.0 + k / 100, source=2))


def test_a_new_reader_gets_the_epoch_then_a_bootstrap_with_bars_health_and_prices(service):
    for k in range(5):
        say(service, k)
    service.hub.on_trades(prints([(service.clock.ns - SEC, 101.0, 100)]))
    service.hub.on_quotes(quotes([(service.clock.ns - SEC, 100.9, 101.1)]))
    service.settle()
    with service.stream(symbols="SPY", n=3) as events:
        first, second = next(events), next(events)
    assert (first.name, first.id) == ("epoch", None)
    assert second.name == "bootstrap"
    assert second.id == f"{service.hub.epoch}:{second.data['seq']}"
    assert [row["ts_open"] for row in second.data["series"][0]["bars"]] == [TEN + k * MIN for k in (2, 3, 4)]
    assert second.data["trade"]["price"] == 101.0
    assert second.data["quote"]["bid"] == 100.9
    assert second.data["health"]["symbol"] == "SPY"
    assert second.data["is_last"] is True


def test_every_event_has_the_documented_shape(service):
    say(service, 0)
    service.settle()
    with service.stream(symbols="SPY") as events:
        next(events)
        service.hub.on_trades(prints([(service.clock.ns, 101.0, 100)]))
        service.hub.on_quotes(quotes([(service.clock.ns, 100.9, 101.1)]))
        service.clock.ns += SEC
        seen = until(events, lambda e: e.name == "microbar")
        service.hub.on_reject("a test", "SPY", b"x", 0)
        seen += until(events, lambda e: e.name == "health")
        service.hub.on_reset("a test")
        seen += until(events, lambda e: e.name == "reset")
        seen += until(events, lambda e: e.name == "bootstrap")
    assert {"bootstrap", "bar", "tick", "microbar", "health", "epoch", "reset"} <= {e.name for e in seen}
    for event in seen:
        MODELS[event.name].model_validate(event.data)


def test_a_closed_bar_arrives_with_exact_doubles_and_null_for_unknown(service):
    with service.stream(symbols="SPY") as events:
        until(events, lambda e: e.name == "bootstrap")
        row = bar(TEN, 0.1 + 0.2, vwap=math.nan, n_trades=math.nan, volume=1e15 + 0.5, source=2)
        service.clock.ns = TEN + MIN + 3 * SEC
        service.hub.on_bars("SPY", row)
        found = closed(until(events, is_closed))
    symbol, timeframe, told = found[0]
    assert (symbol, timeframe) == ("SPY", "1m")
    held = service.hub.series("SPY", "1m").rows(1)[0]
    for name in BAR_DTYPE.names:
        if name != "spare":
            assert told[name] == (None if held[name] != held[name] else held[name].item()), name


def test_only_bootstrap_and_closed_bars_move_the_resume_id(service):
    with service.stream(symbols="SPY") as events:
        until(events, lambda e: e.name == "bootstrap")
        for k in range(3):
            service.hub.on_trades(prints([(service.clock.ns, 101.0 + k / 100, 100)], first_sequence=k + 1))
            service.hub.on_quotes(quotes([(service.clock.ns, 100.9, 101.1 + k / 100)]))
            say(service, k)
            seen = until(events, lambda e: e.name == "tick")
        seen += until(events, lambda e: e.name == "health" or is_closed(e))
    for event in seen:
        assert (event.id is not None) == (event.name == "bootstrap" or is_closed(event)), event


def test_a_reader_cut_off_anywhere_resumes_without_a_bar_missing_or_twice(service):
    rng = random.Random(20261121)
    service.hub.series("SPY", "2m")
    service.settle()
    begin = service.hub.seq
    told, position, k = [], f"{service.hub.epoch}:{begin}", 0
    for _ in range(25):
        with service.stream(symbols="SPY", timeframe="1m,2m", last_id=position) as events:
            for _ in range(rng.randrange(4)):
                for _ in range(rng.randrange(3) + 1):
                    say(service, k if rng.random() < 0.7 else rng.randrange(k + 1), close=100 + rng.randrange(1000) / 100)
                    k += 1
                for event in until(events, is_closed):
                    assert event.name != "reset"
                    told += [row["seq"] for _, _, row in closed([event])]
                    position = event.id or position
        for _ in range(rng.randrange(3)):  # while nobody listens
            say(service, k, close=100 + rng.randrange(1000) / 100)
            k += 1
        service.settle()
    with service.stream(symbols="SPY", timeframe="1m,2m", last_id=position) as events:
        if int(position.split(":")[1]) < service.hub.seq:
            told += [row["seq"] for _, _, row in closed(until(events, lambda e: e.name == "bar"))]
    wanted = np.unique(np.concatenate([service.hub.series("SPY", t).rows()["seq"] for t in ("1m", "2m")]))
    assert len(told) == len(set(told)), "a change came twice"
    assert sorted(told) == list(range(begin + 1, service.hub.seq + 1)), "a change is missing"
    assert set(wanted[wanted > begin].tolist()) <= set(told)


def test_a_reader_older_than_the_change_log_is_told_by_the_bars_held(make_service):
    service = make_service(capacity=5000)
    for k in range(10):
        say(service, k)
    service.settle()
    position = f"{service.hub.epoch}:{service.hub.seq}"
    for round_ in range(220):  # 2,200 changes of ten bars: more than a log holds
        service.hub.on_bars("SPY", np.concatenate([bar(TEN + k * MIN, 100.0 + round_ + k / 100, source=2) for k in range(1, 11)]))
    service.clock.ns = TEN + 20 * MIN
    service.settle()
    assert service.hub.series("SPY", "1m").since(service.hub.epoch, int(position.split(":")[1])).is_gap
    with service.stream(symbols="SPY", last_id=position) as events:
        seen = until(events, lambda e: e.name == "bar")
    assert "reset" not in [e.name for e in seen]
    rows = [row for _, _, row in closed(seen)]
    assert [row["ts_open"] for row in sorted(rows, key=lambda r: r["ts_open"])] == [TEN + k * MIN for k in range(1, 11)]
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)


@pytest.mark.parametrize("what", ["another epoch", "a number not given yet", "everything changed"])
def test_what_cannot_be_resumed_begins_with_one_reset_and_a_bootstrap(service, what):
    say(service, 0)
    service.settle()
    epoch, seq = service.hub.epoch, service.hub.seq
    position = {
        "another epoch": f"{epoch - 7}:{seq}",
        "a number not given yet": f"{epoch}:{seq + 5}",
        "everything changed": f"{epoch}:{seq}",
    }[what]
    if what == "everything changed":
        service.hub.series("SPY", "1m").reset()
        for k in range(3):
            say(service, k, close=50.0)
        service.settle()
    with service.stream(symbols="SPY", last_id=position) as events:
        seen = until(events, lambda e: e.name == "bootstrap")
    assert [e.name for e in seen if e.name != "epoch"] == ["reset", "bootstrap"]
    assert seen[-2].data["series"] == [{"symbol": "SPY", "timeframe": "1m"}]
    assert seen[-2].id is None
    assert seen[-1].id == f"{service.hub.epoch}:{service.hub.seq}"


def test_a_hub_started_again_at_the_same_address_resets_its_readers_once(make_service):
    service = make_service()
    say(service, 0)
    service.settle()
    with service.stream(symbols="SPY") as events:
        position = until(events, lambda e: e.name == "bootstrap")[-1].id
        service.api.stop()
        service.engine.stop()
        with pytest.raises((AssertionError, httpx.TransportError)):
            until(events, lambda e: False)
    wait_for(lambda: service.clock.ns >= 0)
    again = make_service(port=service.api.port)
    assert again.hub.epoch > int(position.split(":")[0])
    say(again, 0)
    again.settle()
    with again.stream(symbols="SPY", last_id=position) as events:
        seen = until(events, lambda e: e.name == "bootstrap")
    assert [e.name for e in seen] == ["epoch", "epoch", "reset", "bootstrap"]
    assert seen[-1].id.startswith(f"{again.hub.epoch}:")


def test_a_market_told_anew_resets_the_readers_it_has(service):
    say(service, 0)
    service.settle()
    with service.stream(symbols="SPY") as events:
        before = until(events, lambda e: e.name == "bootstrap")[-1]
        service.hub.on_reset("moved backwards")
        seen = until(events, lambda e: e.name == "bootstrap")
    names = [e.name for e in seen if e.name in ("epoch", "reset", "bootstrap")]
    assert names == ["epoch", "reset", "bootstrap"]
    assert seen[-1].data["epoch"] == before.data["epoch"] + 1


def test_since_seq_works_like_the_header_and_a_bare_number_means_the_present_epoch(service):
    say(service, 0)
    service.settle()
    seq = service.hub.seq
    say(service, 1)
    service.settle()
    for since in (f"{service.hub.epoch}:{seq}", str(seq)):
        with service.stream(symbols="SPY", since_seq=since) as events:
            rows = closed(until(events, lambda e: e.name == "bar"))
        assert [row["ts_open"] for _, _, row in rows] == [TEN + MIN]


def test_all_readers_of_one_subscription_share_its_frames(service):
    with service.stream(symbols="SPY") as one, service.stream(symbols="SPY") as two:
        for events in (one, two):
            until(events, lambda e: e.name == "bootstrap")
        assert service.get("/api/diag").json()["subscriptions"] == 1
        assert service.get("/api/diag").json()["streams"] == 2
        say(service, 0)
        told = [closed(until(events, is_closed)) for events in (one, two)]
    assert told[0] == told[1]
    wait_for(lambda: service.get("/api/diag").json()["streams"] == 0)


def test_a_reader_that_takes_nothing_is_cut_off_and_the_others_go_on(make_service):
    service = make_service(symbols=("SPY", "QQQ"))
    streams: Streams = service.api.app.context.streams
    streams.stall_s = 0.5
    service.hub.series("QQQ", "1m")
    stalled = socket.create_connection(("127.0.0.1", service.api.port))
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.sendall(b"GET /stream/market?symbols=SPY,QQQ&n=5000 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % service.api.port)
    wait_for(lambda: len(streams.readers()) == 1)
    with service.stream(symbols="SPY") as events:
        until(events, lambda e: e.name == "bootstrap")
        sent = 0
        while streams.counts.cut_off == 0 and sent < 400:
            for symbol in ("SPY", "QQQ"):
                service.hub.on_bars(symbol, np.concatenate([bar(TEN - k * MIN, 100.0 + sent / 100, source=2) for k in range(60, 0, -1)]))
            sent += 1
            told = closed(until(events, is_closed))
            assert told
        assert streams.counts.cut_off == 1
        wait_for(lambda: len(streams.readers()) == 1)
        service.clock.ns = TEN + 10 * MIN
        say(service, 3)
        assert closed(until(events, lambda e: is_closed(e) and closed([e])[-1][2]["ts_open"] == TEN + 3 * MIN))
    stalled.close()


def test_streams_end_cleanly_when_the_service_stops(service):
    with service.stream(symbols="SPY") as events:
        until(events, lambda e: e.name == "bootstrap")
        service.api.stop()
        rest = list(events)  # an answer that breaks off raises instead
    assert all(e.name != "reset" for e in rest)


def test_history_read_while_a_reader_listens_is_one_reset_not_a_flood(make_service):
    service = make_service()
    service.source.history_rows["NEW"] = bars(range(TEN - 3000 * MIN, TEN - 2 * MIN, MIN))
    with service.stream(symbols="NEW", n=10) as events:
        seen = until(events, lambda e: e.name == "bootstrap" and len(e.data["series"][0]["bars"]) == 10)
    assert sum(e.name == "reset" for e in seen) <= 1


def test_each_symbol_may_be_asked_for_at_timeframes_of_its_own(make_service):
    service = make_service(symbols=("SPY", "QQQ"))
    with service.stream(symbols="SPY@1m,SPY@5m,QQQ@15m,SPY@5m,QQQ", timeframe="1h") as events:
        told = [event for event in until(events, lambda e: e.name == "bootstrap" and e.data["is_last"]) if event.name == "bootstrap"]
    assert [(part["symbol"], part["timeframe"]) for event in told for part in event.data["series"]] == [
        ("SPY", "1m"), ("SPY", "5m"), ("QQQ", "15m"), ("QQQ", "1h"),
    ]  # fmt: skip


@pytest.mark.parametrize("symbols", ["SPY@", "SPY@7m", "@1m", ",".join(f"S{i}@1m" for i in range(51)), "SPY@1m@5m"])
def test_a_series_that_is_none_is_refused(service, symbols):
    answer = service.get("/stream/market", symbols=symbols)
    assert answer.status_code == 422
    assert "allowed" in answer.json()["error"]


def test_heartbeats_come_in_a_quiet_market_with_figures_of_back_pressure_and_no_id(service, monkeypatch):
    monkeypatch.setattr("workbench.api.stream.HEARTBEAT_S", 0.6)
    with service.stream(symbols="SPY") as events:
        beats = [until(events, lambda e: e.name == "heartbeat")[-1] for _ in range(2)]
        say(service, 0)
        until(events, is_closed)
        beats += [until(events, lambda e: e.name == "heartbeat")[-1]]
    for beat in beats:
        schemas.HeartbeatEvent.model_validate(beat.data)
        assert beat.id is None
        assert (beat.data["queued_bytes"], beat.data["skipped_ticks"]) == (0, 0)
    assert [beat.data["seq"] for beat in beats] == [service.hub.seq - 1, service.hub.seq - 1, service.hub.seq]


def test_one_failing_turn_of_the_streams_does_not_stop_them(service, monkeypatch, caplog):
    look, left = Streams._look, [2]

    def fails_at_first(streams):
        if left[0]:
            left[0] -= 1
            raise RuntimeError("a fault of ours")
        look(streams)

    monkeypatch.setattr(Streams, "_look", fails_at_first)
    with service.stream(symbols="SPY") as events:
        until(events, lambda event: event.name == "bootstrap")
        say(service, 0)
        assert closed(until(events, is_closed))[-1][2]["close"] == 100.0
    assert caplog.text.count("a turn of the streams failed") == 2


def test_a_closed_bar_does_not_wait_for_the_next_beat(service, monkeypatch):
    monkeypatch.setattr("workbench.api.stream.STATE_EVERY_NS", 3600 * SEC)  # the hub's call alone can bring it
    with service.stream(symbols="SPY") as events:
        until(events, lambda event: event.name == "bootstrap")
        for k in range(3):
            say(service, k)
            assert closed(until(events, is_closed))
    wait_for(lambda: not service.hub.listeners)
