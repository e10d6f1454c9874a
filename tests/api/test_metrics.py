"""/metrics, read by the official parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import until, wait_for
from tests.stubs import MIN, SEC, TEN, prints, quotes
from workbench.recorder import recorder as recorder_module


def families(service):
    answer = service.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(found, name, **labels):
    samples = [s.value for f in found.values() for s in f.samples if s.name == name and s.labels == labels]
    assert len(samples) == 1, name
    return samples[0]


def test_counts_are_those_of_the_hub(service):
    service.hub.on_trades(prints([(TEN - SEC, 100.0, 10), (TEN - SEC, -1.0, 10)], latency_ns=30_000_000))
    service.hub.on_quotes(quotes([(TEN - SEC, 99.9, 100.1)]))
    service.hub.on_reject("no JSON", "SPY", b"?", 0)
    service.settle()
    found = families(service)
    assert value(found, "workbench_feed_events_total") == 3
    assert value(found, "workbench_quarantined_total", reason="no JSON") == 1
    assert value(found, "workbench_quarantined_total", reason="price not a number above 0") == 1
    assert value(found, "workbench_feed_latency_seconds_count") == 2
    assert value(found, "workbench_feed_latency_seconds_bucket", le="0.025") == 1  # the quote took 1 ms
    assert value(found, "workbench_feed_latency_seconds_bucket", le="0.05") == 2  # the print 30 ms
    assert value(found, "workbench_mode", mode=service.hub.health().mode.value) == 1
    assert value(found, "workbench_gaps_open") == len(service.hub.gaps)


def test_a_bar_is_timed_from_the_end_of_its_grace(service):
    service.hub.on_trades(prints([(TEN + SEC, 100.0, 10)]))
    service.settle()
    service.clock.ns = TEN + MIN + 2 * SEC + 7_000_000  # the grace is 2 s
    wait_for(lambda: len(service.hub.series("SPY", "1m")) == 1)
    found = families(service)
    assert value(found, "workbench_bar_latency_seconds_count") == 1
    assert abs(value(found, "workbench_bar_latency_seconds_sum") - 0.007) < 1e-9


def test_what_is_received_is_timed_until_it_is_applied(service):
    service.clock.ns = TEN + SEC
    service.hub.on_trades(prints([(TEN, 100.0, 10)], latency_ns=SEC - 4_000_000))
    service.settle()
    found = families(service)
    assert abs(value(found, "workbench_decode_latency_seconds_sum") - 0.004) < 1e-9


def test_readers_are_counted_while_they_listen(service):
    assert value(families(service), "workbench_sse_connections") == 0
    with service.stream(symbols="SPY") as events:
        until(events, lambda e: e.name == "bootstrap")
        assert value(families(service), "workbench_sse_connections") == 1
    wait_for(lambda: value(families(service), "workbench_sse_connections") == 0)
    assert value(families(service), "workbench_sse_opened_total") == 1


def test_every_family_has_our_name_and_a_help_text(standing):
    for name, family in families(standing).items():
        assert name.startswith("workbench_")
        assert family.documentation


def test_recording_is_counted_and_its_trouble_shows(service):
    assert value(families(service), "workbench_recorder_on") == 0
    assert service.client.put("/api/flags", json={"record": True}).status_code == 200
    service.hub.on_trades(prints([(TEN, 100.0, 10), (TEN, -1.0, 10)]))
    service.settle()
    found = families(service)
    assert (value(found, "workbench_recorder_on"), value(found, "workbench_recorder_trouble")) == (1, 0)
    assert value(found, "workbench_recorded_total", kind="trades") == 1
    assert value(found, "workbench_recorded_total", kind="quarantined") == 1
    told = service.get("/api/quality").json()["recording"]
    assert (told["is_on"], told["trouble"], told["recorded"]["trades"]) == (True, "", 1)
    assert service.client.put("/api/flags", json={"record": False}).status_code == 200
    assert service.get("/api/quality").json()["recording"]["reason"] == "not recording"


def test_a_recorder_that_can_not_begin_shows_as_trouble_and_goes_on_trying(service, monkeypatch):
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.02)
    recorder = service.engine.recorder
    recorder.folder.parent.mkdir(parents=True, exist_ok=True)
    recorder.folder.write_text("")
    recorder.start(insists=True)
    found = families(service)
    assert (value(found, "workbench_recorder_on"), value(found, "workbench_recorder_trouble")) == (1, 1)
    told = service.get("/api/quality").json()["recording"]
    assert told["is_on"] and told["reason"] == told["trouble"]
    assert "nothing is recorded: record: can't write in" in told["trouble"]
    recorder.folder.unlink()
    wait_for(lambda: value(families(service), "workbench_recorder_trouble") == 0)
    recorder.stop()
