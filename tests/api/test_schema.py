"""Generated requests to every route of the API, right and wrong ones: no server error, answers as documented, none over 2 s.

schemathesis reads `/openapi.json`, makes requests from it and holds every answer against it. The event stream, which never ends,
is asked by hand with the same generated parameters.
"""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance, use_after_free

from tests.api.hub_process import HubProcess
from tests.scorecard import count

STREAM = "/stream/market"
BEYOND_SCHEMA = {"/api/replay/seek", "/api/history"}  # which moments a recording has; before or since_seq, not both
TOO_LONG = (414, 431)  # refused before any route is known
SLOWEST_S = 2.0
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("schema"), "--speed", "10", "--symbols", "SPY,QQQ") as process:
        yield process


@pytest.fixture(scope="module")
def operations(hub):
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{hub.port}/openapi.json")
    return [result.ok() for result in schema.get_all_operations()]


def examine(operation, mode: GenerationMode, n: int, number: int) -> tuple[int, list[str], float]:
    """Send up to `n` generated requests, other ones for each `number`; return how many were sent, what was wrong with answers, and the slowest answer [s]."""
    sent, wrong, slowest = 0, [], 0.0

    @seed(number)
    @settings(max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case) -> None:
        nonlocal sent, slowest
        sent += 1
        began = time.monotonic()
        try:
            if operation.path == STREAM:
                ask_stream(case)
            else:
                check_answer(case, case.call(timeout=30))
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  schemathesis raises groups of its own kinds
            wrong.append(f"{mode.value} {operation.method} {operation.path}: {error}"[:600])
        slowest = max(slowest, time.monotonic() - began)

    with contextlib.suppress(Unsatisfiable):  # a route without parameters can't be asked wrongly
        ask()
    return sent, wrong, slowest


def check_answer(case, answer) -> None:
    """Hold an answer against the documentation; one to a request too long to be read only has to say so."""
    if answer.status_code in TOO_LONG:
        assert set(answer.json()) == {"error"}
        return
    excluded = [use_after_free, *([positive_data_acceptance] if case.operation.path in BEYOND_SCHEMA else [])]
    case.validate_response(answer, excluded_checks=excluded)


def ask_stream(case) -> None:
    """Open the stream, look at the beginning, and leave."""
    with requests.request(**case.as_transport_kwargs(), stream=True, timeout=30) as answer:
        assert answer.status_code < 500, answer.text
        if answer.status_code == 200:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert next(answer.iter_content(6)) == b"event:"
        else:
            assert set(answer.json()) == {"error"}


@pytest.mark.slow
@pytest.mark.soak("schema")
@pytest.mark.filterwarnings("ignore")  # of schemathesis and hypothesis about what they generate
def test_no_generated_request_gets_an_answer_that_is_not_documented(hub, operations, cases, floor):
    wanted = count("schema")
    wrong, slowest = [], dict.fromkeys((f"{one.method} {one.path}" for one in operations), 0.0)
    for number in range(wanted):  # routes with few distinct requests end early: the others get further rounds
        for operation, mode in itertools.product(operations, MODES):
            n, found, longest = examine(operation, mode, max(3, wanted // 100), number)
            cases.n += n
            wrong += found
            name = f"{operation.method} {operation.path}"
            slowest[name] = max(slowest[name], longest)
        if cases.n >= wanted or wrong:
            break
    worst = max(slowest, key=slowest.get)
    print(f"\n{cases.n} requests to {len(operations)} operations; slowest {slowest[worst]:.2f} s: {worst}")
    cases.failed += wrong
    assert not wrong, "\n\n".join(wrong[:10])
    floor("slowest answer to a generated request [s]", slowest[worst], most=SLOWEST_S, is_absolute=True)
    assert hub.get("/livez")[0] == 200
    assert cases.n >= wanted
