"""REST over a real connection: pages that join up, refusals of one shape, probes that tell the truth."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.api.conftest import wait_for
from tests.stubs import MIN, SEC, TEN, ManualClock, ScriptedSource, bar, bars, prints, quotes
from workbench.api import schemas
from workbench.errors import AuthError, StoreError
from workbench.sources.base import FeedState, FeedStatus, SourceInfo
from workbench.types import BAR_DTYPE


def filled(service, n=20):
    """Hand over `n` closed minutes up to ten o'clock."""
    rows = bars(range(TEN - n * MIN, TEN, MIN), source=2)
    service.hub.on_bars("SPY", rows)
    service.settle()
    return rows


def as_rows(listed):
    """Return told bars as BAR_DTYPE, null as NaN."""
    out = np.zeros(len(listed), BAR_DTYPE)
    for i, told in enumerate(listed):
        for name, value in told.items():
            out[i][name] = math.nan if value is None else value
    return out


def test_history_pages_join_up_to_exactly_what_the_hub_holds(service):
    filled(service, 23)
    page = service.get("/api/history", symbol="SPY", limit=5).json()
    told, pages = page["bars"], 1
    while page["has_more"] and pages < 10:
        page = service.get("/api/history", symbol="SPY", limit=5, before=page["next_before"]).json()
        told, pages = page["bars"] + told, pages + 1
        schemas.HistoryPage.model_validate(page)
    held = service.hub.series("SPY", "1m").rows()
    assert as_rows(told).tobytes() == held.tobytes()
    assert pages == 5


def test_changes_since_a_number_come_in_pages_in_order_each_once(service):
    filled(service, 8)
    page = service.get("/api/history", symbol="SPY", limit=3).json()
    begin = page["hub_seq"]
    for k in range(7):
        service.hub.on_bars("SPY", bar(TEN - (k + 1) * MIN, 55.0 + k, source=2))
    service.settle()
    told, since = [], f"{page['epoch']}:{begin}"
    for _ in range(10):
        page = service.get("/api/history", symbol="SPY", limit=3, since_seq=since).json()
        assert not page["is_gap"]
        told += [row["seq"] for row in page["bars"]]
        since = f"{page['epoch']}:{page['hub_seq']}"
        if not page["has_more"]:
            break
    assert len(told) >= 7
    assert told == list(range(begin + 1, service.hub.seq + 1))


def test_history_and_stream_meet_without_overlap_or_hole(service):
    filled(service, 4)
    page = service.get("/api/history", symbol="SPY").json()
    service.hub.on_bars("SPY", bar(TEN - MIN, 77.0, source=2))
    service.settle()
    with service.stream(symbols="SPY", since_seq=f"{page['epoch']}:{page['hub_seq']}") as events:
        event = next(e for e in events if e.name == "bar")
    assert [row["close"] for part in event.data["series"] for row in part["bars"]] == [77.0]


def test_since_another_epoch_says_so_and_gives_the_newest(service):
    filled(service, 6)
    page = service.get("/api/history", symbol="SPY", since_seq=f"{service.hub.epoch - 1}:3", limit=2).json()
    assert page["is_gap"]
    assert [row["ts_open"] for row in page["bars"]] == [TEN - 2 * MIN, TEN - MIN]


def test_status_names_source_session_and_reason_in_body_and_headers(standing):
    answer = standing.get("/api/market/status")
    told = answer.json()
    schemas.MarketStatus.model_validate(told)
    assert (told["source"], told["session"]) == ("scripted", "RTH")
    assert answer.headers["X-Market-Source"] == "scripted"
    assert answer.headers["X-Market-Reason"] == f"{told['mode']}: {told['reason']}"


def test_quotes_tell_everything_that_is_newest(service):
    filled(service, 5)
    service.hub.on_trades(prints([(TEN - SEC, 101.25, 300, 0)]))
    service.hub.on_quotes(quotes([(TEN - SEC, 101.2, 101.3)]))
    service.settle()
    told = service.get("/api/quotes", symbols="SPY", vwap=3).json()
    schemas.Quotes.model_validate(told)
    one = told["quotes"][0]
    assert (one["trade"]["price"], one["trade"]["conditions"]) == (101.25, [0])
    assert (one["quote"]["bid"], one["quote"]["ask"]) == (101.2, 101.3)
    assert one["board"]["symbol"] == "SPY"
    assert len(one["vwap"]) == 3


def test_quality_counts_gaps_and_what_was_put_aside(service):
    service.hub.on_reject("a test's reason", "SPY", b"?", 0)
    told = service.get("/api/quality").json()
    schemas.Quality.model_validate(told)
    assert told["quarantined"] == {"a test's reason": 1}
    assert told["gaps"][0]["symbol"] == "SPY"
    assert {health["symbol"] for health in told["symbols"]} == {"SPY"}


def test_health_has_every_field_that_the_hub_knows(standing):
    assert set(schemas.Health.model_fields) == set(standing.hub.health().to_dict())


@pytest.mark.parametrize("path", ["/api/symbols", "/api/diag", "/api/flags"])
def test_answers_have_their_documented_shape(standing, path):
    model = {"/api/symbols": schemas.SymbolList, "/api/diag": schemas.Diag, "/api/flags": schemas.Flags}[path]
    model.model_validate(standing.get(path).json())


REFUSED = [
    ("/api/history", {}, 422, "symbol: received nothing; allowed: one symbol"),
    ("/api/history", {"symbol": "SPY", "limit": "0"}, 422, "limit: received '0'; allowed: 1 to 10000"),
    ("/api/history", {"symbol": "SPY", "limit": "many"}, 422, "limit: received 'many'; allowed: 1 to 10000"),
    ("/api/history", {"symbol": "SPY", "limit": str(10**30)}, 422, "allowed: 1 to 10000"),
    ("/api/history", {"symbol": "S P Y"}, 422, "symbol: received 'S P Y'; allowed: 1-31 letters"),
    ("/api/history", {"symbol": "SPY", "timeframe": "5min"}, 422, "did you mean '5m'?"),
    ("/api/history", {"symbol": "SPY", "since_seq": "x:1"}, 422, "since_seq: received 'x:1'; allowed: epoch:seq"),
    ("/api/history", {"symbol": "SPY", "before": "-1"}, 422, "before: received '-1'; allowed: a moment, ns UTC: 0 to"),
    ("/api/history", {"symbol": "SPY", "before": "1", "since_seq": "1"}, 422, "allowed: one of them"),
    ("/api/history", {"symbol": "SPY", "limti": "1"}, 422, "received 'limti' (did you mean 'limit'?)"),
    ("/api/symbols", {"x": "1"}, 422, "parameter: received 'x'"),
    ("/api/quotes", {"symbols": ","}, 422, "symbols: received 0; allowed: 1 to 50 symbols"),
    ("/api/quotes", {"symbols": ",".join(f"S{i}" for i in range(51))}, 422, "symbols: received 51; allowed: 1 to 50"),
    ("/stream/market", {}, 422, "symbols: received nothing; allowed: 1 to 50"),
    ("/stream/market", {"symbols": "SPY", "n": "5001"}, 422, "n: received '5001'; allowed: 0 to 5000"),
    ("/stream/market", {"symbols": ",".join(f"S{i}" for i in range(50)), "n": "5000"}, 422, "up to 100,000"),
    ("/stream/market", {"symbols": "SPY", "timeframe": "1m,"[:2] + ",7q"}, 422, "timeframe: received '7q'"),
    ("/api/histroy", {}, 404, "did you mean '/api/history'?"),
]


@pytest.mark.parametrize(("path", "query", "status", "sentence"), REFUSED)
def test_bad_input_is_refused_in_one_shape_with_the_allowed_range(standing, path, query, status, sentence):
    answer = standing.get(path, **query)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert sentence in answer.json()["error"]


def test_a_rubbish_resume_id_is_refused(standing):
    answer = standing.client.get("/stream/market", params={"symbols": "SPY"}, headers={"Last-Event-ID": "abc"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("Last-Event-ID: received 'abc'; allowed:")


def test_another_method_is_told_which_one_is_meant(standing):
    answer = standing.client.post("/api/history")
    assert (answer.status_code, answer.json()) == (405, {"error": "method: received POST; allowed: GET"})


def test_a_fault_of_ours_is_one_sentence_without_a_traceback(service, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("inner detail")

    monkeypatch.setattr(service.hub, "quote", broken)
    answer = service.get("/api/quotes", symbols="SPY")
    assert answer.status_code == 500
    assert answer.json() == {"error": "a fault of the hub's own; its log says more"}
    assert service.get("/livez").status_code == 200
    assert "inner detail" in caplog.text


def test_an_unknown_symbol_is_refused_after_a_bounded_wait_and_unsubscribed(service):
    service.api.app.context.watch._wait_s = 0.3
    answer = service.get("/api/history", symbol="NOSUCH")
    assert answer.status_code == 404
    assert "told nothing of it within 0.3 s" in answer.json()["error"]
    assert service.source.unsubscribed == ["NOSUCH"]
    assert service.get("/api/symbols").json()["watched"] == ["SPY"]


def test_a_symbol_that_a_desk_begins_to_watch_meanwhile_stays_watched(service):
    service.api.app.context.watch._wait_s = 0.4
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(service.get, "/api/history", symbol="NEWIPO")
        wait_for(lambda: "NEWIPO" in service.hub.watched())
        service.hub.series("NEWIPO", "1m")
        answer = asking.result()
    assert (answer.status_code, answer.json()["bars"]) == (200, [])
    assert service.source.unsubscribed == []
    assert service.hub.watched() == ("SPY", "NEWIPO")


def test_one_who_wants_an_answer_of_a_silent_source_is_told_to_ask_again_before_the_symbol_is_given_up(service):
    watch = service.api.app.context.watch
    watch._wait_s, watch._answer_s = 0.6, 0.1
    answer = service.get("/api/history", symbol="NOSUCH")
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("symbol: received 'NOSUCH'; the source 'scripted' told nothing of it so far; ask again")
    watch._answer_s = 5.0
    assert service.get("/api/history", symbol="NOSUCH").status_code == 404
    assert service.source.subscribed == ["SPY", "NOSUCH"]
    assert service.source.unsubscribed == ["NOSUCH"]


def test_a_symbol_that_the_provider_refuses_is_known_at_once(service):
    service.api.app.context.watch._wait_s = 60.0
    service.source.fail = [AuthError("the plan does not include NOPLAN")] * 50
    answer = service.get("/api/history", symbol="NOPLAN")
    assert (answer.status_code, "the plan does not include NOPLAN, so it is not followed" in answer.json()["error"]) == (404, True)
    assert service.source.unsubscribed == ["NOPLAN"]


def test_a_source_that_lists_its_symbols_answers_at_once(make_service):
    clock = ManualClock(TEN)
    service = make_service(source=ScriptedSource(clock=clock, info=SourceInfo("scripted", "a test", symbols=("SPY", "QQQ"))))
    answer = service.get("/api/quotes", symbols="QQQQ")
    assert answer.status_code == 404
    assert "did you mean 'QQQ'?" in answer.json()["error"]
    assert service.get("/api/symbols").json()["known"] == ["SPY", "QQQ"]


@pytest.mark.parametrize(("state", "mode"), [(FeedState.REFUSED, "REFUSED"), (FeedState.STALE, "STALE")])
def test_readyz_is_503_with_the_reason_when_the_feed_is_dead(service, state, mode):
    assert service.get("/readyz").status_code == 200
    service.hub.on_status(FeedStatus(state, "because of a test", TEN))
    service.settle()
    answer = service.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"is_ok": False, "reason": "because of a test", "mode": mode})
    assert service.get("/healthz").status_code == 200
    assert service.get("/livez").status_code == 200


def test_readyz_and_healthz_are_503_when_the_hub_has_stopped(service):
    service.hub.stop()
    for path in ("/readyz", "/healthz"):
        answer = service.get(path)
        assert answer.status_code == 503
        assert "thread has ended" in answer.json()["reason"]
    assert service.get("/livez").status_code == 200


def test_the_record_switch_starts_the_recorder_and_is_kept_over_a_restart(service, make_service, settings):
    answer = service.client.put("/api/flags", json={"record": True})
    assert answer.json()["flags"][0] | {"description": ""} == {"name": "record", "is_on": True, "description": ""}
    assert service.engine.recorder.is_on
    assert json.loads((settings.data_dir / "flags.json").read_text()) == {"record": True}
    service.engine.recorder.stop()  # one process records into a folder at a time
    again = make_service()
    assert again.get("/api/flags").json()["flags"][0]["is_on"] is True
    assert again.engine.recorder.is_on
    assert again.client.put("/api/flags", json={"record": False}).json()["flags"][0]["is_on"] is False
    assert not again.engine.recorder.is_on


def test_a_run_told_to_record_shows_it_and_the_next_run_that_is_not_told_does_not_record(make_service, settings):
    told = make_service(is_recording=True)
    assert told.engine.recorder.is_on
    assert told.get("/api/flags").json()["flags"][0]["is_on"] is True
    told.engine.recorder.stop()
    again = make_service()
    assert not again.engine.recorder.is_on
    assert again.get("/api/flags").json()["flags"][0]["is_on"] is False


def test_a_switch_thrown_in_a_run_told_to_record_is_kept(make_service, settings):
    told = make_service(is_recording=True)
    assert told.client.put("/api/flags", json={"record": True}).status_code == 200
    told.engine.recorder.stop()
    assert make_service().engine.recorder.is_on


def test_a_switch_that_cannot_be_thrown_stands_as_before(service, settings, monkeypatch):
    def refuses():
        raise StoreError("another process records into the folder")

    monkeypatch.setattr(service.engine.recorder, "start", refuses)
    answer = service.client.put("/api/flags", json={"record": True})
    assert (answer.status_code, answer.json()) == (503, {"error": "another process records into the folder"})
    assert service.get("/api/flags").json()["flags"][0]["is_on"] is False
    assert json.loads((settings.data_dir / "flags.json").read_text()) == {"record": False}


def test_only_known_switches_are_taken(standing):
    refused = standing.client.put("/api/flags", json={"recrod": False})
    assert (refused.status_code, "did you mean 'record'?" in refused.json()["error"]) == (422, True)
    assert standing.client.put("/api/flags", json={"record": "maybe"}).json()["error"].endswith("allowed: true or false")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"record": "yes"}', "\x00"])
def test_a_broken_file_of_switches_is_put_aside_and_all_are_off(make_service, settings, content):
    (settings.data_dir / "flags.json").write_text(content)
    service = make_service()
    assert service.get("/api/flags").json()["flags"][0]["is_on"] is False
    assert (settings.data_dir / "flags.broken.json").read_text() == content


@pytest.mark.parametrize("content", [b"", b"[", b"[1]", b'"x"', b"{", b"\xff"])
def test_a_body_that_is_no_object_is_refused(standing, content):
    answer = standing.client.put("/api/flags", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert list(answer.json()) == ["error"]
    assert "JSON object" in answer.json()["error"] or "body" in answer.json()["error"]


@pytest.mark.parametrize("command", ["start", "stop", "pause", "seek", "speed"])
def test_a_source_that_cannot_be_steered_says_so(standing, command):
    body = {"seek": {"ts_ns": TEN}, "speed": {"speed": 2}}.get(command)
    answer = standing.client.post(f"/api/replay/{command}", json=body)
    assert answer.status_code == 409
    assert "runs by the market's own clock" in answer.json()["error"]


def test_openapi_documents_every_route_parameter_and_error(standing):
    told = standing.get("/openapi.json").json()
    assert {"/api/history", "/api/quality", "/stream/market", "/metrics", "/readyz", "/api/replay/seek"} <= set(told["paths"])
    for path, methods in told["paths"].items():
        for method in methods.values():
            assert method["summary"], path
            assert method.get("description"), path
            for parameter in method.get("parameters", []):
                assert parameter.get("description") or parameter["schema"].get("description"), (path, parameter["name"])
    errors = told["paths"]["/api/history"]["get"]["responses"]["422"]
    assert errors["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorBody"}


def test_slow_history_ends_in_a_sentence_not_in_a_hang(service, monkeypatch):
    import threading

    filled(service, 3)
    held = threading.Event()
    monkeypatch.setattr("workbench.api.context.READ_S", 0.2)
    monkeypatch.setattr(service.hub, "older", lambda *_: held.wait(20) and None)
    answer = service.get("/api/history", symbol="SPY", before=TEN)
    held.set()
    assert answer.status_code == 503
    assert "not read within 0.2 s" in answer.json()["error"]
    wait_for(lambda: service.get("/livez").status_code == 200)


def test_what_a_reader_asked_for_by_name_is_noted_so_that_no_screen_lets_go_of_it(service):
    filled(service, 3)
    assert service.get("/api/quotes").status_code == 200
    assert service.hub.asked_for == set()
    service.get("/api/history", symbol="SPY", limit=1)
    assert service.hub.asked_for == {"SPY"}
