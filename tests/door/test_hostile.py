"""Hostile requests against the real servers, API and desk: every one is refused, and only log-in and liveness answer a stranger.

Requests are written byte by byte, as an attacker would. The servers know people and tokens, so that a right proof with one thing
wrong about the request shows that this one thing is enough.
"""

from __future__ import annotations

import re
import shutil

import pytest

from tests.door.conftest import PASSWORD, SECRET
from tests.door.servers import engine, log_in, start_api, start_desk, talk
from workbench.config import Settings
from workbench.door.guests import COOKIE, GuestBook

hostile = pytest.mark.soak("hostile")  # a row of the scorecard: each of these tests is one hostile request
REFUSED = {0, 400, 401, 403, 405, 413, 414, 421, 429, 431}
ORIGINS = (
    "http://evil.example", "https://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1:{port}", "http://127.0.0.1:1",
    "http://127.0.0.1:{port}.evil.example", "http://127.0.0.1.evil.example:{port}", "http://evil.example:{port}", "http://localhost",
    "http://localhost.evil.example:{port}", "http://evil.example/127.0.0.1:{port}", "http://127.0.0.1:{port}@evil.example", "file://",
    "http://[::2]:{port}", "chrome-extension://abcdef", "http://2130706433:{port}", "http://0.0.0.0:{port}", "http://127.1:{port}",
    "http://127.0.0.1:{port} http://evil.example",
)  # fmt: skip
HOSTS = (
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "localhost.:{port}",
    "a@127.0.0.1:{port}",
    "127.0.0.1",
    "0.0.0.0:{port}",
    None,
)
PATHS = (
    "/../../etc/passwd",
    "/static/../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "/%252e%252e/etc/passwd",
    "/static/..%5c..%5cetc",
    "//evil.example/",
    "/desk%00.html",
    "/a%0d%0aX: y",
)
QUERIES = ("token={token}", "access_token={token}", "api_key={token}", "x={token}", "Authorization=Bearer%20{token}")


@pytest.fixture(scope="module")
def world(_made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    path = shutil.copy2(_made[0], folder / "users.json")
    settings = Settings(password_file=path, cookie_secret=SECRET, data_dir=folder / "data")
    running = engine()
    api, desk = start_api(running, settings), start_desk(running, settings)
    book = GuestBook(settings)
    sessions = {name: book.log_in(name, PASSWORD, "127.0.0.1") for name in ("vera", "tom", "ada")}
    yield {"api": api.port, "desk": desk.port, "tokens": _made[1], "sessions": sessions, "book": book, "server": desk.server}
    desk.stop()
    api.stop()
    running.stop()


def proof(world, where):
    """The headers of somebody who may do everything: a token at the API, a session at the desk."""
    return (
        (("Authorization", f"Bearer {world['tokens']['admin']}"),)
        if where == "api"
        else (("Cookie", f"{COOKIE}={world['sessions']['ada']}"),)
    )


@pytest.fixture(params=["api", "desk"])
def where(request):
    return request.param


def test_the_right_proof_alone_is_let_in(world, where):
    """Or the refusals below would show nothing."""
    path = "/api/symbols" if where == "api" else "/desk"
    assert talk(world[where], path=path, headers=proof(world, where)).status == 200
    assert talk(world[where], path=path, headers=(*proof(world, where), ("Origin", "http://127.0.0.1:{port}"))).status == 200


@hostile
@pytest.mark.parametrize("origin", ORIGINS)
def test_another_pages_origin_is_refused(world, where, origin):
    path = "/stream/market" if where == "api" else "/desk"
    assert talk(world[where], path=path, headers=(*proof(world, where), ("Origin", origin))).status == 403


@hostile
@pytest.mark.parametrize("origin", [*ORIGINS, None])
def test_another_pages_websocket_is_refused(world, where, origin):
    upgrade = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "bokeh, x"),
    ]
    origins = [] if origin is None else [("Origin", origin)]
    assert talk(world[where], path="/desk/ws", headers=(*proof(world, where), *upgrade, *origins)).status in REFUSED


@hostile
@pytest.mark.parametrize("host", HOSTS)
def test_a_name_pointed_at_this_machine_is_refused(world, where, host):
    assert talk(world[where], path="/livez", headers=proof(world, where), host=host).status in {400, 421}


@hostile
@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_climbs_is_refused(world, where, path):
    assert talk(world[where], path=path, headers=proof(world, where)).status in REFUSED


@hostile
@pytest.mark.parametrize("query", QUERIES)
def test_a_token_in_the_address_is_refused_although_it_is_right(world, where, query):
    answer = talk(world[where], path=f"/api/symbols?{query.format(token=world['tokens']['admin'])}")
    assert answer.status == 400
    assert world["tokens"]["admin"] not in answer.body


@hostile
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_of_this_machine_is_refused(world, where, site):
    headers = (*proof(world, where), ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "script"))
    assert talk(world[where], path="/livez", headers=headers).status == 403


def hostile_proofs(world):
    """Names of proofs that prove nothing -> headers."""
    token, session = world["tokens"]["admin"], world["sessions"]["ada"]
    strange = GuestBook(Settings(password_file=world["book"]._file._path, cookie_secret=SECRET[::-1]))
    bearer = {
        "nothing": (), "unknown token": "wb_" + "A" * 43, "expired token": world["tokens"]["expired"], "cut token": token[:-1], "longer token": token + "A",
        "token in capitals": token.upper(), "no token": "", "blank token": " ", "a token's hash": __import__("hashlib").sha256(token.encode()).hexdigest(),
    }  # fmt: skip
    cookies = {
        "forged cookie": session[:-1] + ("0" if session[-1] != "0" else "1"), "foreign cookie": strange.log_in("ada", PASSWORD, "127.0.0.1"),
        "another's name": session.replace("2|1:0|", "2|1:1|", 1), "unsigned cookie": "ada", "empty cookie": "", "two cookies": f"{session}; {COOKIE}={session}",
    }  # fmt: skip
    found = {name: (("Authorization", f"Bearer {value}"),) if value != () else () for name, value in bearer.items()}
    found |= {name: (("Cookie", f"{COOKIE}={value}"),) for name, value in cookies.items()}
    return found | {
        "basic": (("Authorization", "Basic YWRhOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ=="),),
        "two proofs": (("Authorization", f"Bearer {token}"),) * 2,
    }


@hostile
def test_a_proof_that_proves_nothing_is_refused(world, where):
    for name, headers in hostile_proofs(world).items():
        answer = talk(world[where], path="/api/symbols", headers=headers)
        assert answer.status == 401, (name, answer)
        assert "SPY" not in answer.body


@hostile
def test_changing_something_needs_the_role_and_with_a_cookie_the_page(world):
    def change(role=None, session=None, path="/api/replay/pause", **headers):
        sent = [] if role is None else [("Authorization", f"Bearer {world['tokens'][role]}")]
        sent += [] if session is None else [("Cookie", f"{COOKIE}={world['sessions'][session]}")]
        method = "PUT" if path == "/api/flags" else "POST"
        return talk(
            world["api"], method, path, (*sent, *((name.replace("_", "-"), value) for name, value in headers.items())), b"{}"
        ).status

    assert (
        change("viewer")
        == change("viewer", path="/api/flags")
        == change("trader", path="/api/flags")
        == change("risk", path="/api/flags")
        == 403
    )
    assert (
        change(session="tom")
        == change(session="tom", X_XSRFToken="wrong")
        == change(session="vera", X_XSRFToken=world["book"].xsrf(world["sessions"]["vera"]))
        == 403
    )
    assert change(session="tom", X_XSRFToken=world["book"].xsrf(world["sessions"]["ada"])) == 403
    assert change() == 401
    assert change("trader") not in REFUSED - {400, 405}
    assert change(session="tom", X_XSRFToken=world["book"].xsrf(world["sessions"]["tom"])) not in REFUSED - {400, 405}


@hostile
def test_a_form_without_its_token_or_from_elsewhere_logs_nobody_in(world):
    body = f"name=ada&password={PASSWORD.replace(' ', '+')}".encode()
    form, ours = ("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "http://127.0.0.1:{port}")
    for headers in [
        (form,),
        (form, ours),
        (form, ours, ("Cookie", "_xsrf=2|x|y|1")),
        (form, ("Origin", "http://evil.example")),
        (form, ("Origin", "null")),
    ]:
        answer = talk(world["desk"], "POST", "/login", headers, body)
        assert answer.status == 403, headers
        assert COOKIE not in answer.cookies


@hostile
@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/" + "a" * 9_000, ()), ("GET", "/?" + "a" * 9_000, ()), ("GET", "/", (("X-Big", "a" * 20_000),)), ("GET", "/", (("X-Many", "a"),) * 300),
        ("TRACE", "/", ()), ("CONNECT", "evil.example:443", ()), ("DEBUG", "/", ()),
    ],
)  # fmt: skip
def test_what_is_too_large_or_strange_is_refused(world, where, method, path, headers):
    assert talk(world[where], method, path, (*proof(world, where), *headers)).status in REFUSED


@hostile
def test_a_body_that_is_too_large_is_refused(world, where):
    body = b"x" * 200_000
    assert (
        talk(world[where], "POST", "/api/replay/pause", (*proof(world, where), ("Origin", "http://127.0.0.1:{port}")), body).status
        in REFUSED
    )


@hostile
def test_a_host_twice_is_refused(world, where):
    assert talk(world[where], headers=(*proof(world, where), ("Host", "evil.example"))).status in REFUSED


def test_only_liveness_answers_a_stranger_at_the_api(world):
    routes = talk_json(world)["paths"]
    open_to_all = set()
    for path, methods in routes.items():
        concrete = re.sub(r"\{\w+\}", "SPY", path)
        for method in methods:
            if talk(world["api"], method.upper(), concrete, body=b"{}" if method != "get" else b"").status != 401:
                open_to_all.add(path)
    for path in ("/openapi.json", "/docs", "/redoc", "/", "/nothing"):
        assert talk(world["api"], path=path).status == 401
    assert len(routes) > 10
    assert open_to_all == {"/livez"}


def talk_json(world):
    import httpx

    return httpx.get(f"http://127.0.0.1:{world['api']}/openapi.json", headers=dict(proof(world, "api"))).raise_for_status().json()


def test_only_log_in_and_liveness_answer_a_stranger_at_the_desk(world):
    rules = world["server"]._tornado.wildcard_router.rules
    patterns = {rule.matcher.regex.pattern for rule in rules if hasattr(rule.matcher, "regex")}
    paths = {re.sub(r"\([^)]*\)", "x", pattern).rstrip("$").replace("\\", "").replace("?", "") or "/" for pattern in patterns}
    paths |= {"/", "/desk", "/desk/ws", "/static/js/bokeh.min.js", "/favicon.ico", "/nothing", "/login/", "/livez/"}
    answered = {path for path in paths if path.startswith("/") and talk(world["desk"], path=path).status != 401}
    assert len(paths) > 8
    assert answered == {"/login", "/livez"}


def test_a_person_is_shown_the_log_in_and_led_back(world):
    headers = (("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Site", "none"))
    answer = talk(world["desk"], path="/desk?symbol=QQQ", headers=headers)
    assert (answer.status, answer.headers["location"]) == (303, "/login?next=%2Fdesk%3Fsymbol%3DQQQ")
    assert log_in(world["desk"], "tom", PASSWORD, goal="/desk?symbol=QQQ").headers["location"] == "/desk?symbol=QQQ"
    for goal in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/login", "/a\r\nSet-Cookie: x=y"):
        assert log_in(world["desk"], "tom", PASSWORD, goal=goal).headers["location"] == "/"


def test_the_sessions_cookie_is_kept_from_scripts_and_other_sites(world):
    answer = log_in(world["desk"], "tom", PASSWORD)
    (line,) = [line for line in answer.set_cookies if line.startswith(COOKIE)]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in line.split(";")}
    page = talk(world["desk"], path="/desk", headers=(("Cookie", f"{COOKIE}={answer.cookies[COOKIE]}"),))
    assert page.status == 200
    assert answer.cookies[COOKIE] not in page.body
    at_the_api = talk(world["api"], path="/api/symbols", headers=(("Cookie", f"{COOKIE}={answer.cookies[COOKIE]}"),))
    assert at_the_api.status == 200
    assert at_the_api.headers["x-xsrftoken"] == world["book"].xsrf(answer.cookies[COOKIE])


def test_every_answer_carries_the_security_headers(world, where):
    for path in ("/livez", "/", "/nothing"):
        answer = talk(world[where], path=path)
        for name in (
            "content-security-policy",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
            "cross-origin-opener-policy",
        ):
            assert name in answer.headers, (path, name)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control-") or name == "server"]


def test_what_the_door_answers_is_documented_for_every_route(world):
    for path, methods in talk_json(world)["paths"].items():
        for method, described in methods.items():
            assert {"401", "403", "421", "429"} <= set(described["responses"]), (path, method)
