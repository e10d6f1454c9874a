"""The judge lets in who may come in, and tells everybody else why not."""

from __future__ import annotations

import pytest

from tests.door.conftest import PASSWORD, SECRET
from workbench.config import Settings
from workbench.door.gate import Ask, Gate, Refusal
from workbench.door.guests import COOKIE, GuestBook
from workbench.door.limits import Limits
from workbench.door.roles import LOCAL, NOBODY, Caller, Role


def ask(path="/api/symbols", *, method="GET", query="", host="127.0.0.1:5007", peer="127.0.0.1", headers=(), **more):
    pairs = [(name.replace("_", "-"), value) for name, value in more.items()] + list(headers)
    return Ask(method, path, query, (("host", host), *pairs) if host is not None else tuple(pairs), peer)


@pytest.fixture
def here():
    """A gate on this machine without password file."""
    return Gate(Settings(), 5007, GuestBook(Settings()))


@pytest.fixture
def book(settings):
    return GuestBook(settings)


@pytest.fixture
def gate(settings, book):
    return Gate(settings, 5007, book, needs={"/api/flags": Role.ADMIN})


def status(verdict):
    assert isinstance(verdict, Refusal), verdict
    return verdict.status


def test_on_this_machine_without_a_password_file_everybody_is_at_home(here):
    assert here.judge(ask()) == LOCAL
    assert here.judge(ask(method="POST")) == LOCAL
    assert here.judge(ask(host="localhost:5007", origin="http://localhost:5007")) == LOCAL


def test_even_there_a_wrong_token_is_told(here):
    verdict = here.judge(ask(authorization="Bearer wb_something"))
    assert status(verdict) == 401
    assert "no tokens" in verdict.reason


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:5007.evil.example",
        "https://127.0.0.1:5007",
        "http://127.0.0.1",
        "http://127.0.0.1:5006",
        "file://",
        "",
    ],
)
def test_another_pages_origin_is_refused_also_for_reading(here, origin):
    assert status(here.judge(ask(origin=origin))) == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:80",
        "localhost:5007.evil.example",
        "a@127.0.0.1:5007",
        "127.0.0.1:5007, evil.example",
        "",
        None,
    ],
)
def test_a_foreign_host_is_refused(here, host):
    assert status(here.judge(ask(host=host))) == 421


def test_two_hosts_or_origins_are_refused(here):
    assert status(here.judge(ask(headers=[("host", "127.0.0.1:5007")]))) == 421
    assert status(here.judge(ask(headers=[("origin", "http://127.0.0.1:5007")] * 2))) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "other"])
def test_another_page_is_refused_even_when_it_sends_no_origin(here, site):
    assert status(here.judge(ask(sec_fetch_site=site, sec_fetch_mode="no-cors", sec_fetch_dest="script"))) == 403
    assert status(here.judge(ask(sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document"))) == 403


def test_a_link_from_elsewhere_may_open_the_desk_but_not_frame_it():
    desk = Gate(Settings(), 5006, GuestBook(Settings()), is_page_server=True)
    link = {"host": "127.0.0.1:5006", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert desk.judge(ask("/", **link, sec_fetch_dest="document")) == LOCAL
    assert status(desk.judge(ask("/", **link, sec_fetch_dest="iframe"))) == 403
    assert status(desk.judge(ask("/", method="POST", **link, sec_fetch_dest="document"))) == 403
    assert status(desk.judge(ask("/ws", host="127.0.0.1:5006", upgrade="websocket"))) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/api/../flags",
        "/a/%2e%2e/b",
        "/a/%252e%252e/b",
        "/a\\b",
        "/a%00",
        "//evil.example",
        "/a/./b",
        "x",
        "/%5c..%5c",
        "/a%0d%0ab",
    ],
)
def test_a_path_that_climbs_or_hides_something_is_refused(here, path):
    assert status(here.judge(ask(path))) == 400


def test_what_is_too_long_is_refused(here):
    assert status(here.judge(ask("/" + "a" * 5000))) == 414
    assert status(here.judge(ask(query="a" * 5000))) == 414
    assert status(here.judge(ask(cookie="a" * 20_000))) == 431
    assert status(here.judge(ask(headers=[("x", "y")] * 200))) == 431
    assert status(here.judge(ask(method="TRACE"))) == 405


@pytest.mark.parametrize(
    "query",
    [
        "token=wb_abc",
        "access_token=x",
        "apikey=x",
        "api_key=x",
        "API-KEY=x",
        "symbol=SPY&authorization=x",
        "x=wb_abc",
        "%74oken=x",
        "password=x",
    ],
)
def test_a_token_in_the_address_is_refused_and_named_as_leaked(gate, here, query):
    for each in (gate, here):
        verdict = each.judge(ask(query=query))
        assert status(verdict) == 400
        assert "replace it" in verdict.reason


def test_a_plain_query_passes(here):
    assert here.judge(ask(query="symbol=SPY&timeframe=5m&since_seq=1:2&limit=10")) == LOCAL


def test_only_public_paths_answer_nobody(gate):
    assert gate.judge(ask("/livez")) == NOBODY
    for path in ("/", "/api/symbols", "/readyz", "/metrics", "/docs", "/openapi.json", "/livez/", "/livez/x", "/LIVEZ"):
        assert status(gate.judge(ask(path))) == 401


def test_a_token_and_its_role(gate, tokens):
    def verdict(role, path="/api/symbols", method="GET"):
        return gate.judge(ask(path, method=method, authorization=f"Bearer {tokens[role]}"))

    assert verdict("viewer") == Caller("bot-viewer", Role.VIEWER, "token")
    assert status(verdict("viewer", "/api/replay/start", "POST")) == 403
    assert verdict("trader", "/api/replay/start", "POST").role is Role.TRADER
    assert status(verdict("risk", "/api/flags", "POST")) == 403
    assert status(verdict("risk", "/api/flags/x", "PUT")) == 403
    assert verdict("risk", "/api/flagsx", "PUT").role is Role.RISK
    assert verdict("admin", "/api/flags", "POST").role is Role.ADMIN
    for disguised in ("/api/%66lags", "/api/fl%61gs", "/%61pi/flags/x"):  # the routes behind see all of them as /api/flags
        assert status(verdict("trader", disguised, "PUT")) == 403
    assert status(verdict("expired")) == 401


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Bearer x", "Basic dG9tOmNvcnJlY3Q=", "wb_x", "Bearer \x00"])
def test_a_wrong_proof_is_refused(gate, value):
    assert status(gate.judge(ask(authorization=value))) == 401


def test_a_wrong_token_is_refused_even_beside_a_right_cookie(gate, book):
    cookie = f"{COOKIE}={book.log_in('ada', PASSWORD, '127.0.0.1')}"
    assert status(gate.judge(ask(cookie=cookie, authorization="Bearer x"))) == 401


def test_a_session_reads_and_needs_its_xsrf_token_to_change(gate, book):
    session = book.log_in("tom", PASSWORD, "127.0.0.1")
    cookie = f"theme=dark; {COOKIE}={session}"
    assert gate.judge(ask(cookie=cookie)) == Caller("tom", Role.TRADER, "session")
    assert status(gate.judge(ask(method="POST", cookie=cookie))) == 403
    assert status(gate.judge(ask(method="POST", cookie=cookie, x_xsrftoken="0" * 64))) == 403
    assert gate.judge(ask(method="POST", cookie=cookie, x_xsrftoken=book.xsrf(session))).name == "tom"
    other = book.log_in("rita", PASSWORD, "127.0.0.1")
    assert status(gate.judge(ask(method="POST", cookie=cookie, x_xsrftoken=book.xsrf(other)))) == 403


@pytest.mark.parametrize("cookie", ["{name}=x", "{name}={good}; {name}={good}", "{name}=", "{name}={good}x", '{name}="\\', "x" * 4000])
def test_a_strange_cookie_is_nobodys(gate, book, cookie):
    good = book.log_in("tom", PASSWORD, "127.0.0.1")
    assert status(gate.judge(ask(cookie=cookie.format(name=COOKIE, good=good)))) == 401


def test_an_unreadable_password_file_lets_nobody_in(gate, tokens, password_file):
    password_file.write_text("broken")
    assert status(gate.judge(ask(authorization=f"Bearer {tokens['admin']}"))) == 503
    password_file.unlink()
    assert status(gate.judge(ask(authorization=f"Bearer {tokens['admin']}"))) == 503


def test_too_many_requests_wait_and_others_do_not(settings, book, tokens):
    watch = [0]
    gate = Gate(settings, 5007, book, limits=Limits(rate_per_s=1, burst=3, open_at_once=9), stopwatch=lambda: watch[0])
    verdicts = [gate.judge(ask("/livez", peer="192.0.2.7")) for _ in range(4)]
    assert verdicts[:3] == [NOBODY] * 3
    assert status(verdicts[3]) == 429
    assert ("retry-after", "1") in verdicts[3].headers
    assert gate.judge(ask("/livez", peer="192.0.2.8")) == NOBODY
    watch[0] = 2_000_000_000
    assert gate.judge(ask("/livez", peer="192.0.2.7")) == NOBODY


def test_one_token_from_many_addresses_shares_its_rate(settings, book, tokens):
    gate = Gate(settings, 5007, book, limits=Limits(rate_per_s=1, burst=3, open_at_once=9), stopwatch=lambda: 0)
    verdicts = [gate.judge(ask(peer=f"192.0.2.{i}", authorization=f"Bearer {tokens['viewer']}")) for i in range(4)]
    assert status(verdicts[3]) == 429


def test_behind_a_proxy_the_address_is_what_the_proxy_appended(password_file):
    settings = Settings(password_file=password_file, cookie_secret=SECRET, behind_proxy=True, origins="desk.example.org")
    gate = Gate(settings, 5007, GuestBook(settings))
    forged = ask(
        host="desk.example.org", peer="10.0.0.2", headers=[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "8.8.8.8, 203.0.113.9")]
    )
    assert gate.address_of(forged) == "203.0.113.9"
    assert status(gate.judge(forged)) == 401
    assert gate.is_secure


def test_without_a_proxy_a_forwarded_address_is_not_believed(gate):
    assert gate.address_of(ask(peer="192.0.2.7", x_forwarded_for="127.0.0.1")) == "192.0.2.7"
