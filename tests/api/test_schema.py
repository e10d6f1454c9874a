"""Generated requests to every route of the API, right and wrong ones: no server error, answers as documented, none over 2 s.

schemathesis reads `/openapi.json`, makes requests from it and holds every answer against it. The event stream, which never ends,
is asked by hand with the same generated parameters.
"""

from __future__ import annotations

import contextlib
import time

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance, use_after_free

from tests.api.hub_process import HubProcess
from tests.scorecard import IS_FULL, count

STREAM = "/stream/market"
SEEK = "/api/replay/seek"  # which moments a recording has can't be said in a schema
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


def examine(operation, mode: GenerationMode, n: int) -> tuple[int, list[str], float]:
    """Send `n` generated requests; return how many were sent, what was wrong with answers, and the slowest answer [s]."""
    sent, wrong, slowest = 0, [], 0.0

    @settings(
        max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], derandomize=True
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case) -> None:
        nonlocal sent, slowest
        sent += 1
        began = time.monotonic()
        try:
            if operation.path == STREAM:
                ask_stream(case)
            else:
                excluded = [use_after_free, *([positive_data_acceptance] if operation.path == SEEK else [])]
                case.validate_response(case.call(timeout=30), excluded_checks=excluded)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  schemathesis raises groups of its own kinds
            wrong.append(f"{mode.value} {operation.method} {operation.path}: {error}"[:600])
        slowest = max(slowest, time.monotonic() - began)

    with contextlib.suppress(Unsatisfiable):  # a route without parameters can't be asked wrongly
        ask()
    return sent, wrong, slowest


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
    each = -(-count("schema") // (len(operations) * len(MODES)))
    wrong, slowest = [], {}
    for operation in operations:
        for mode in MODES:
            n, found, longest = examine(operation, mode, each)
            cases.n += n
            wrong += found
            slowest[f"{operation.method} {operation.path}"] = longest
    worst = max(slowest, key=slowest.get)
    print(f"\n{cases.n} requests to {len(operations)} operations; slowest {slowest[worst]:.2f} s: {worst}")
    cases.failed += wrong
    assert not wrong, "\n\n".join(wrong[:10])
    floor("slowest answer to a generated request [s]", slowest[worst], most=SLOWEST_S, is_absolute=True)
    assert hub.get("/livez")[0] == 200
    assert IS_FULL or cases.n >= len(operations)
