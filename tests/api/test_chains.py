"""Option chains over HTTP: documented field by field, told again only when changed, let go when nobody asks any more."""

from __future__ import annotations

import time
from datetime import date

import httpx
import pytest

from tests.hub.remote.conftest import Simulated
from workbench.api import chains, schemas
from workbench.clock import monotonic_ns, sleep_s

DAY = date(2026, 11, 18)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    running = Simulated(tmp_path_factory.mktemp("chains"), symbols=("SPY",), watched=("SPY",))
    yield running
    running.stop()


@pytest.fixture
def client(market):
    with httpx.Client(base_url=f"http://127.0.0.1:{market.port}", trust_env=False, timeout=20) as one:
        yield one


def until(condition, timeout_s: float = 5.0) -> bool:
    deadline = monotonic_ns() + int(timeout_s * 1e9)
    while not condition() and monotonic_ns() < deadline:
        sleep_s(0.01)
    return bool(condition())


def test_expiries_are_listed_from_the_day_on(client):
    told = client.get("/api/expiries", params={"underlying": "SPY"})
    assert told.status_code == 200
    page = schemas.Expiries.model_validate_json(told.content)
    assert page.expiries[0] == DAY and page.expiries == sorted(page.expiries)


def test_a_chain_is_told_field_by_field_as_the_source_has_it(client, market):
    told = client.get("/api/chain", params={"underlying": "SPY", "expiry": str(DAY)})
    page = schemas.ChainPage.model_validate_json(told.content)
    source = market.source.chain("SPY", DAY)
    assert page.is_loaded and page.is_changed and page.reason == ""
    assert [row.symbol for row in page.rows] == source.rows["symbol"].tolist()
    for row, true in zip(page.rows, source.rows, strict=True):
        assert (row.strike, row.right, row.expiry, row.expiry_ns) == (true["strike"], true["right"], DAY, true["expiry_ns"])
        assert (row.bid, row.ask, row.open_interest, row.is_standard) == (true["bid"], true["ask"], true["open_interest"], True)
        assert row.vendor_iv is None


def test_what_has_not_changed_is_not_told_again(client):
    def ask(**more):
        return client.get("/api/chain", params={"underlying": "SPY", "expiry": str(DAY), **more}).json()

    version = ""

    def is_unchanged() -> bool:
        nonlocal version
        told = ask(since=version) if version else ask()
        is_same, version = not told["is_changed"] and told["rows"] == [], told["version"]
        assert told["is_changed"] == bool(told["rows"])
        return is_same

    assert not is_unchanged()
    assert until(is_unchanged)  # the market stands still: only the window around the money still comes


def settled(port: int) -> str:
    """Return the version of a chain that is told to its end: the market stands still."""
    version = ""

    def is_same() -> bool:
        nonlocal version
        before, version = (
            version,
            httpx.get(f"http://127.0.0.1:{port}/api/chain?underlying=SPY&expiry={DAY}", trust_env=False).json()["version"],
        )
        return version == before

    sleep_s(0.5)  # the window around the money is subscribed
    assert until(is_same)
    return version


def test_a_hub_that_was_started_again_tells_its_chain_anew(client, market, tmp_path):
    version = settled(market.port)
    again = Simulated(tmp_path, symbols=("SPY",), watched=("SPY",))
    try:
        settled(again.port)
        with httpx.Client(base_url=f"http://127.0.0.1:{again.port}", trust_env=False, timeout=20) as there:
            told = there.get("/api/chain", params={"underlying": "SPY", "expiry": str(DAY), "since": version}).json()
    finally:
        again.stop()
    assert told["is_changed"] and told["rows"]


@pytest.mark.parametrize(
    ("path", "asked", "status", "said"),
    [
        ("/api/chain", {"underlying": "SPY", "expiry": "2026-11-21"}, 404, "expiry: received '2026-11-21'"),
        ("/api/chain", {"underlying": "SPY", "expiry": "20261118"}, 422, "expiry: received '20261118'; allowed: a date"),
        ("/api/chain", {"underlying": "SPY", "expiry": "2026-13-18"}, 422, "expiry: received '2026-13-18'"),
        ("/api/chain", {"underlying": "SPY"}, 422, "expiry: received nothing"),
        ("/api/chain", {"underlying": "NOSUCH", "expiry": "2026-11-18"}, 404, "symbol: received 'NOSUCH'"),
        ("/api/chain", {"underlying": "SPY", "expiry": "2026-11-18", "since": "A b"}, 422, "since: received 'A b'"),
        ("/api/expiries", {"underlying": "S Y"}, 422, "symbol: received 'S Y'"),
        ("/api/expiries", {}, 422, "underlying: received nothing"),
    ],
)
def test_wrong_questions_are_refused_in_one_sentence(client, path: str, asked: dict, status: int, said: str):
    told = client.get(path, params=asked)
    assert (told.status_code, set(told.json())) == (status, {"error"})
    assert said in told.json()["error"]


def test_a_source_without_chains_is_409(service):
    told = service.get("/api/chain", underlying="SPY", expiry="2026-11-18")
    assert told.status_code == 409 and "tells no option chains" in told.json()["error"]


def test_a_chain_that_nobody_asks_for_is_let_go(market, monkeypatch):
    monkeypatch.setattr(chains, "LEASE_S", 0.2)
    leases = chains.Leases(market.hub)
    _, reader = leases.get("SPY", DAY)
    assert reader.wait(10)
    for _ in range(10):
        time.sleep(0.05)
        assert leases.get("SPY", DAY)[1] is reader
    assert until(lambda: not leases._held)
    number, again = leases.get("SPY", DAY)
    assert again is not reader and number == 2
    leases.close()


def test_no_more_chains_are_kept_than_is_said(market, monkeypatch):
    monkeypatch.setattr(chains, "MAX_LEASES", 2)
    leases = chains.Leases(market.hub)
    days = market.hub.expiries("SPY")[1:4]
    readers = [leases.get("SPY", day)[1] for day in days]
    assert set(leases._held) == {("SPY", days[1]), ("SPY", days[2])}
    assert [reader.is_over for reader in readers] == [True, False, False]
    leases.close()
    assert leases._held == {}
