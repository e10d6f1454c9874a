"""The door before an ASGI app, spoken to as a server speaks to it: bodies, crowds, headers, and who is told to the app."""

from __future__ import annotations

import asyncio

import pytest

from workbench.config import Settings
from workbench.door.asgi import Door
from workbench.door.gate import Gate
from workbench.door.guests import GuestBook
from workbench.door.limits import Limits
from workbench.door.roles import LOCAL

SMALL = Limits(rate_per_s=1_000, burst=1_000, open_at_once=2, body_bytes=1_000)


def door(app, limits=SMALL):
    return Door(app, Gate(Settings(), 5007, GuestBook(Settings()), limits=limits))


def scope(method="GET", headers=(), kind="http", peer="127.0.0.1"):
    pairs = [(b"host", b"127.0.0.1:5007"), *headers]
    return {"type": kind, "method": method, "path": "/x", "raw_path": b"/x", "query_string": b"", "headers": pairs, "client": (peer, 1)}


async def call(app, asked, chunks=(b"",)):
    """Return (status, headers, body) of what a client would receive."""
    left, sent = list(chunks), []

    async def receive():
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    await app(asked, receive, send)
    return sent[0].get("status"), dict(sent[0].get("headers", ())), b"".join(each.get("body", b"") for each in sent[1:])


async def echo(asked, receive, send):
    """Answer with the body that came, and remember the caller."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        body += message["body"]
        if not message["more_body"]:
            break
    echo.caller = asked["caller"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-security-policy", b"own"), (b"x", b"y")]})
    await send({"type": "http.response.body", "body": body})


async def careless(asked, receive, send):
    """An app that answers whatever it made of half a body."""
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


CHUNKED = ((b"transfer-encoding", b"chunked"),)


def test_a_body_within_the_limit_passes_and_the_app_knows_who_asks():
    status, headers, body = asyncio.run(call(door(echo), scope("POST", CHUNKED), [b"a" * 500, b"b" * 500]))
    assert (status, len(body)) == (200, 1_000)
    assert echo.caller == LOCAL
    assert headers[b"content-security-policy"] == b"own"
    assert headers[b"x-frame-options"] == b"DENY"
    assert headers[b"cache-control"] == b"no-store"


@pytest.mark.parametrize("app", [echo, careless])
def test_a_body_that_grows_past_the_limit_is_cut_off_whatever_the_app_says(app):
    status, _, body = asyncio.run(call(door(app), scope("POST", CHUNKED), [b"a" * 600] * 5))
    assert status == 413
    assert b"too large" in body


@pytest.mark.parametrize("length", [b"1001", b"-1", b"1e3", b"\xb2", b"99999999999999999999"])
def test_a_body_that_says_itself_that_it_is_too_large_is_not_read(length):
    status, _, _ = asyncio.run(call(door(echo), scope("POST", [(b"content-length", length)]), []))
    assert status == 413


def test_a_fault_of_the_app_stays_its_own():
    async def broken(asked, receive, send):
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        asyncio.run(call(door(broken), scope("POST", CHUNKED)))


def test_too_many_connections_of_one_address_wait_and_another_one_does_not():
    async def both():
        going = asyncio.Event()

        async def stream(asked, receive, send):
            await going.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        app = door(stream)
        first = [asyncio.create_task(call(app, scope(peer="192.0.2.7"))) for _ in range(2)]
        await asyncio.sleep(0)
        refused = await call(app, scope(peer="192.0.2.7"))
        other = asyncio.create_task(call(app, scope(peer="192.0.2.8")))
        await asyncio.sleep(0)
        going.set()
        return refused, [(await each)[0] for each in (*first, other)], (await call(app, scope(peer="192.0.2.7")))[0]

    refused, others, afterwards = asyncio.run(both())
    assert refused[0] == 429
    assert refused[1][b"retry-after"]
    assert others == [200, 200, 200]
    assert afterwards == 200


def test_websockets_are_closed_and_the_life_of_the_app_passes():
    async def run():
        sent = []

        async def send(message):
            sent.append(message)

        await door(echo)(scope(kind="websocket"), None, send)
        seen = []

        async def app(asked, receive, send):
            seen.append(asked["type"])

        await door(app)({"type": "lifespan"}, None, None)
        return sent, seen

    sent, seen = asyncio.run(run())
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert seen == ["lifespan"]
