"""Our log-in for Bokeh and Panel, as their `--auth-module` wants it: `panel serve apps/*.py --auth-module workbench/views/auth.py`.

`workbench serve` uses the same module. Settings decide: without `password_file` this machine needs no log-in and no other gets one.
Floor 8.
"""

from __future__ import annotations

from tornado.web import HTTPError, RequestHandler

from workbench.door.gate import Refusal
from workbench.door.roles import Caller, Role
from workbench.views.guard import LOGIN, LOGOUT, ask_of, gate_of
from workbench.views.login import LoginHandler, LogoutHandler

__all__ = ["LoginHandler", "LogoutHandler", "get_user", "login_url", "logout_url"]

login_url, logout_url = LOGIN, LOGOUT


def get_user(handler: RequestHandler) -> str | None:
    """Return who sends this request, None when it has to log in; HTTPError when it is refused for another reason."""
    gate = gate_of(handler.application)
    verdict = getattr(handler.request, "caller", None)
    if not isinstance(verdict, Caller):
        verdict = gate.judge(ask_of(handler.request))
        handler.request.caller = verdict
    if isinstance(verdict, Refusal):
        if verdict.status == 401:
            return None
        raise HTTPError(verdict.status, reason=verdict.reason)
    return verdict.name if verdict.role > Role.NOBODY else None
