"""The door before the desk: every request to a Bokeh server is judged before Bokeh sees it.

In: Bokeh's tornado application and a `Gate`. Out: the same application, with a routing rule before all others that takes what the
gate refuses, and security headers on every answer. Static files, unknown paths and WebSockets pass it too. Who asks is kept with the
request; `caller()` gives it to a page.

Floor 8.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

import panel as pn
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import Application, OutputTransform, RequestHandler

from workbench.config import Settings
from workbench.door.address import is_loopback
from workbench.door.gate import LIVENESS, Ask, Gate, Refusal
from workbench.door.guests import GuestBook
from workbench.door.headers import DESK_CSP, security_headers
from workbench.door.roles import LOCAL, Caller
from workbench.errors import DoorError
from workbench.views.sockets import send_at_once

log = logging.getLogger(__name__)

LOGIN, LOGOUT = "/login", "/logout"
PUBLIC = (LOGIN, LIVENESS)
HEAD_BYTES, BODY_BYTES, MESSAGE_BYTES = 16 * 1024, 64 * 1024, 2 << 20


def desk_gate(settings: Settings, port: int, host: str | None = None) -> Gate:
    """Return the gate of a desk; ConfigError when the address may not be served on."""
    return Gate(settings, port, GuestBook(settings, host=host), host=host, is_page_server=True, public=PUBLIC)


def stand_before(application: Application, gate: Gate) -> None:
    """Put the gate before a tornado application, once."""
    if application.settings.get("gate") is gate:
        return
    application.settings["gate"] = gate
    application.settings["xsrf_cookie_kwargs"] = {"httponly": True, "samesite": "Strict", "secure": gate.is_secure}
    application.default_router.rules.insert(0, Rule(_Refused(gate), _RefusalHandler))
    application.add_transform(_dresser(gate))


def gate_of(application: Application) -> Gate:
    """Return the gate before an application; stock Panel, which knows none, gets one by the settings with its first page."""
    gate = application.settings.get("gate")
    if gate is None:
        settings = Settings()
        gate = desk_gate(settings, settings.port)
        stand_before(application, gate)
        send_at_once(application)
    return gate


def ask_of(request: HTTPServerRequest) -> Ask:
    """Return what the gate judges of a tornado request."""
    path, _, query = (request.uri or "").partition("?")
    headers = tuple((name.lower(), value) for name, value in request.headers.get_all())
    return Ask(request.method or "", path, query, headers, _peer(request))


def _peer(request: Any) -> str:
    """Return the address at the other end; not `remote_ip`, which a server started with --use-xheaders takes from a header."""
    context = getattr(getattr(request, "connection", None), "context", None)
    address = getattr(context, "address", None)
    return str(address[0]) if isinstance(address, tuple) and address else str(getattr(request, "remote_ip", ""))


# -- refusing ---------------------------------------------------------------------------------------------------------------


class _Refused(Matcher):
    """Matches what the gate refuses; what passes is marked with its caller and goes on to the next rule."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return the refusal as the handler's argument, or None."""
        verdict = self._gate.judge(ask_of(request))
        if isinstance(verdict, Refusal):
            return {"target_kwargs": {"refusal": verdict}}
        request.caller = verdict
        return None


class _RefusalHandler(RequestHandler):
    """Answers with a refusal; a person who opens a page without log-in is sent to the log-in."""

    def initialize(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed here, and the refusal is worth more than this complaint."""

    def prepare(self) -> None:
        """Answer, whatever the method."""
        if self._refusal.status == 401 and ask_of(self.request).is_navigation:
            self.redirect(f"{LOGIN}?next={quote(self.request.uri or '/', safe='')}", status=303)
            return
        self.set_status(self._refusal.status)
        for name, value in self._refusal.headers:
            self.set_header(name, value)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Connection", "close")
        self.finish(self._refusal.reason + "\n")


class LivenessHandler(RequestHandler):
    """Says that the process answers, and nothing else."""

    def get(self) -> None:
        """Answer 200."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("alive\n")


def _dresser(gate: Gate) -> type[OutputTransform]:
    headers = security_headers(DESK_CSP, is_secure=gate.is_secure)

    class Dresser(OutputTransform):
        """Adds the security headers; those that an answer has set itself stay."""

        def transform_first_chunk(self, status_code: int, own: HTTPHeaders, chunk: bytes, finishing: bool) -> Any:
            for name, value in headers:
                own.setdefault(name, value)
            if own.get("Content-Type", "").startswith("text/html"):
                own["Cache-Control"] = "no-store"
            own.pop("Server", None)
            return super().transform_first_chunk(status_code, own, chunk, finishing)

    return Dresser


# -- pages ------------------------------------------------------------------------------------------------------------------


def caller() -> Caller:
    """Return who uses the present session; DoorError when it came past the door from another machine.

    Stock `panel serve` without our log-in serves this machine only, and only while no password file is set.
    """
    context = getattr(pn.state.curdoc, "session_context", None)
    request = getattr(context, "request", None)
    if request is None:
        return LOCAL  # an app that is run to warm up, or in a notebook: nobody is connected
    known = getattr(request, "caller", None)
    if isinstance(known, Caller):
        return known
    peer = _peer(request)
    if Settings().password_file is None and is_loopback(peer):
        return LOCAL
    log.error("a session from %s came without log-in and is refused", peer or "an unknown address")
    raise DoorError("log-in: this server asks nobody; start it with --auth-module workbench/views/auth.py, or use `workbench serve`")
