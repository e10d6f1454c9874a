"""The log-in page of the desk, and how one leaves again.

In: name and password by a form. Out: a signed session cookie that scripts can't read and other sites can't send. Floor 8.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import logging
from pathlib import Path

from tornado.web import RequestHandler

from workbench.door.guests import COOKIE, SESSION_S, Refused
from workbench.door.roles import Caller, Role
from workbench.errors import ConfigError
from workbench.views import theme
from workbench.views.guard import LOGIN, LOGOUT, ask_of, gate_of

log = logging.getLogger(__name__)

CSS = (Path(__file__).parent / "static" / "login.css").read_text(encoding="utf-8")
_MARK = (
    '<svg viewBox="0 0 28 28" aria-hidden="true"><path class="wick" d="M6 5v18M14 3v20M22 7v16"/>'
    '<path class="up" d="M4 10h4v9H4zM20 9h4v8h-4z"/><path class="down" d="M12 7h4v10h-4z"/></svg>'
)


def style() -> str:
    """Return the page's one style sheet: dark, or light where the browser asks for it."""
    dark, light = (theme.css_variables(theme.tokens(name)) for name in theme.THEMES)
    return f":root{{{dark}color-scheme:dark}}@media (prefers-color-scheme:light){{:root{{{light}color-scheme:light}}}}{CSS}"


def page(body: str) -> tuple[str, str]:
    """Return a whole page around `body`, and the Content-Security-Policy that lets in its style sheet and nothing else."""
    sheet = style()
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    csp = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
    text = f'<!doctype html><html lang="en"><head>{head}<title>Log in · workbench</title><style>{sheet}</style></head>'
    return f"{text}<body><main><header>{_MARK}<h1>workbench</h1></header>{body}</main></body></html>", csp


def safe_next(wanted: str) -> str:
    """Return a path of this server to go to after log-in, '/' for anything that could lead elsewhere."""
    is_plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and all(32 < ord(letter) < 127 for letter in wanted)
    return wanted if is_plain and "\\" not in wanted and not wanted.startswith((LOGIN, LOGOUT)) else "/"


def waiting(wait_s: int) -> str:
    """Return how long to wait, as people say it."""
    minutes = -(-wait_s // 60)
    return f"{minutes} minute{'s' * (minutes != 1)}" if minutes < 120 else f"{-(-minutes // 60)} hours"


class _Page(RequestHandler):
    """What both pages share: who asks, and how a page is sent."""

    @property
    def caller(self) -> Caller | None:
        """Who is logged in, or None."""
        verdict = getattr(self.request, "caller", None) or gate_of(self.application).judge(ask_of(self.request))
        return verdict if isinstance(verdict, Caller) and verdict.role > Role.NOBODY else None

    def show_form(self, action: str, inner: str, button: str, status: int = 200) -> None:
        """Send a page with a form that carries the token against XSRF."""
        token = _hidden("_xsrf", self.xsrf_token.decode())
        text, csp = page(f'<form method="post" action="{action}">{inner}{token}<button>{button}</button></form>')
        self.set_status(status)
        self.set_header("Content-Security-Policy", csp)
        self.finish(text)


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{html.escape(value, quote=True)}">'


class LoginHandler(_Page):
    """Asks for name and password."""

    def get(self) -> None:
        """Show the form, or pass on somebody who is logged in."""
        if self.caller is not None and not self.get_cookie(COOKIE):
            self.redirect("/")  # nobody has to log in here
            return
        self._form(safe_next(self.get_argument("next", "/")))

    async def post(self) -> None:
        """Take name and password; answer with a session, or with why not."""
        gate = gate_of(self.application)
        name, password = self.get_body_argument("name", ""), self.get_body_argument("password", "", strip=False)
        goal = safe_next(self.get_body_argument("next", "/"))
        where = gate.address_of(ask_of(self.request))
        try:
            found = await asyncio.to_thread(gate.book.log_in, name, password, where)
        except ConfigError as error:
            log.warning("log-in from %s: %s", where, error)
            self._form(goal, "Nobody can log in: the password file can't be read. The workbench's log says why.", name, 503)
            return
        if isinstance(found, Refused):
            self._refuse(found, goal, name)
            return
        self.set_cookie(COOKIE, found, path="/", max_age=SESSION_S, httponly=True, samesite="Strict", secure=gate.is_secure)
        self.redirect(goal, status=303)

    def _refuse(self, refused: Refused, goal: str, name: str) -> None:
        if refused.wait_s:
            self.set_header("Retry-After", str(refused.wait_s))
            self._form(goal, f"Too many failed tries. Wait {waiting(refused.wait_s)}, then try again.", name, 429)
        else:
            self._form(goal, "Name or password is wrong.", name, 401)

    def _form(self, goal: str, trouble: str = "", name: str = "", status: int = 200) -> None:
        said = f'<p class="trouble" role="alert">{html.escape(trouble)}</p>' if trouble else ""
        typed = html.escape(name[:64], quote=True)
        fields = (
            f'<label for="name">Name</label><input id="name" name="name" value="{typed}" maxlength="64" required autofocus '
            'autocomplete="username" autocapitalize="none" spellcheck="false">'
            '<label for="password">Password</label>'
            '<input id="password" name="password" type="password" maxlength="1024" required autocomplete="current-password">'
        )
        self.show_form(LOGIN, said + fields + _hidden("next", goal), "Log in", status)


class LogoutHandler(_Page):
    """Ends the session in this browser."""

    def get(self) -> None:
        """Ask first, so that no link can log a trader out."""
        who = self.caller
        said = f"<p>Logged in as <b>{html.escape(who.name)}</b> ({who.role.word}).</p>" if who else "<p>Nobody is logged in.</p>"
        self.show_form(LOGOUT, said, "Log out")

    def post(self) -> None:
        """Take the cookie back."""
        self.clear_cookie(COOKIE, path="/")
        self.redirect(LOGIN, status=303)
