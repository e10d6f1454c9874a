"""The judge: one request in, a `Caller` or a `Refusal` out. No I/O, no framework: desk and API ask the same.

The order is from cheap to dear, and from "this is no request for us" to "who are you": rate, shape, Host, Origin, token in the
query, identity, role, XSRF. Nothing is decided by what a page may set freely, except in the caller's disfavour.

Floor 1.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, unquote

from workbench.clock import monotonic_ns
from workbench.config import Settings
from workbench.door import address
from workbench.door.guests import COOKIE, GuestBook
from workbench.door.limits import FROM_ELSEWHERE, FROM_HERE, Crowd, Limits, Rates, network
from workbench.door.roles import LOCAL, NOBODY, Caller, Role
from workbench.door.users import TOKEN_PREFIX
from workbench.errors import ConfigError

SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = (*SAFE, "POST", "PUT", "PATCH", "DELETE")
LIVENESS = "/livez"
XSRF_HEADER = "x-xsrftoken"
_KINDS = "access|api|auth|bearer|hub|id|refresh|session"
TOKEN_NAMES = re.compile(rf"({_KINDS})?[_-]?(token|apikey|api[_-]key|key|secret|password|authorization)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: `path` and `query` as sent, header names in lower case in order of arrival, the address at the other end."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    peer: str

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]

    def one(self, name: str) -> str:
        """Return a header's first value, '' when it is absent."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def is_navigation(self) -> bool:
        """True when a person's browser asks for a page by itself (a link, the address bar), not on behalf of another page."""
        return self.method == "GET" and self.one("sec-fetch-mode") == "navigate" and self.one("sec-fetch-dest") in ("document", "")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer in place of what was asked for: status, one sentence, further headers."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


class Gate:
    """Judges every request to one port.

    `is_page_server`: people's browsers come here (the desk): links from elsewhere may open it, and the server's own form tokens stand
    against XSRF. `public`: paths that answer without log-in. `needs`: path prefix -> role for what changes something there (default:
    trader), longest prefix wins.
    """

    def __init__(
        self,
        settings: Settings,
        port: int,
        book: GuestBook,
        *,
        host: str | None = None,
        is_page_server: bool = False,
        public: tuple[str, ...] = (LIVENESS,),
        needs: Mapping[str, Role] | None = None,
        limits: Limits | None = None,
        stopwatch: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._settings, self._host, self.book = settings, host, book
        self._is_page_server, self._public, self._needs = is_page_server, public, dict(needs or {})
        self._limits = limits
        self._rates = Rates(stopwatch)
        self.crowd = Crowd()
        self.is_secure = address.scheme(settings) == "https"
        self.serve_on(port)

    def serve_on(self, port: int) -> None:
        """Take over the port that was bound, when any free one was asked for."""
        self._hosts = address.hosts(self._settings, port, self._host)
        self._origins = address.origins(self._settings, port, self._host)

    @property
    def origins(self) -> frozenset[str]:
        """Every Origin that is ours, as scheme://host[:port]."""
        return self._origins

    def address_of(self, ask: Ask) -> str:
        """Return the address of whoever asks: the peer, or what the declared proxy appended last."""
        if self._settings.behind_proxy:
            last = ",".join(ask.all("x-forwarded-for")).rsplit(",", 1)[-1].strip()
            return network(last) if last else network(ask.peer)
        return network(ask.peer)

    def limits_of(self, where: str) -> Limits:
        """Return what is too much for an address."""
        return self._limits or (FROM_HERE if address.is_loopback(where) else FROM_ELSEWHERE)

    def judge(self, ask: Ask) -> Caller | Refusal:
        """Return who may pass, or why nobody does."""
        where = self.address_of(ask)
        limits = self.limits_of(where)
        refusal = self._check_rate(f"address:{where}", limits) or check_shape(ask, limits) or self._check_names(ask) or check_query(ask)
        if refusal is not None:
            return refusal
        try:
            caller = self._identify(ask)
        except ConfigError:
            return Refusal(503, "the password file can't be read; nobody is let in until it can (see the server's log)")
        if isinstance(caller, Refusal):
            return caller
        return self._check_caller(ask, caller, limits) or caller

    def _check_rate(self, key: str, limits: Limits) -> Refusal | None:
        wait_s = self._rates.take(key, limits)
        return Refusal(429, "too many requests", (("retry-after", str(wait_s)),)) if wait_s else None

    def _check_names(self, ask: Ask) -> Refusal | None:
        """Refuse requests that were meant for another name, or that another page sends."""
        hosts = ask.all("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return Refusal(421, "Host: not an address of this server; allowed: those it was started with (setting origins adds one)")
        origins, site = ask.all("origin"), ask.one("sec-fetch-site").lower()
        is_upgrade = "websocket" in ask.one("upgrade").lower()
        if origins:
            if len(origins) != 1 or origins[0].lower() not in self._origins:
                return Refusal(403, "Origin: another page may not ask here (setting origins adds one of yours)")
        elif is_upgrade or (self._is_page_server and ask.method not in SAFE):
            return Refusal(403, "Origin: missing; a browser always sends it here")
        if site in ("", "same-origin", "none") or (self._is_page_server and ask.is_navigation):
            return None
        return Refusal(403, "Sec-Fetch-Site: another page may not ask here")

    def _identify(self, ask: Ask) -> Caller | Refusal:
        """Return who it is; a proof that is wrong refuses, even where none is needed."""
        given = ask.all("authorization")
        if given:
            kind, _, token = given[0].partition(" ")
            caller = self.book.by_token(token.strip()) if kind.lower() == "bearer" and len(given) == 1 else None
            known = "this server knows no tokens (it has no password_file)" if self.book.is_open else "unknown or expired token"
            return caller or self._who_are_you(known)
        if self.book.is_open:
            return LOCAL
        cookie = session_cookie(ask)
        caller = self.book.by_cookie(cookie) if cookie else None
        return caller or (NOBODY if ask.path in self._public else self._who_are_you("log in at the desk, or send a token"))

    def _who_are_you(self, reason: str) -> Refusal:
        return Refusal(401, f"not logged in: {reason}", (("www-authenticate", "Bearer"),))

    def _check_caller(self, ask: Ask, caller: Caller, limits: Limits) -> Refusal | None:
        if ask.path in self._public:
            return None
        if caller.how in ("session", "token"):
            refusal = self._check_rate(f"{caller.how}:{caller.name}", limits)
            if refusal is not None:
                return refusal
        needed = self._needed(ask)
        if caller.role < needed:
            return Refusal(403, f"role: {caller.name} is {caller.role.word}; allowed: {needed.word} and above")
        if caller.how == "session" and ask.method not in SAFE and not self._is_page_server:
            wanted = self.book.xsrf(session_cookie(ask))
            if not hmac.compare_digest(wanted.encode(), ask.one(XSRF_HEADER).encode()):
                return Refusal(403, "X-XSRFToken: missing or wrong; needed with a session's cookie")
        return None

    def _needed(self, ask: Ask) -> Role:
        if ask.method in SAFE:
            return Role.VIEWER
        path = unquote(ask.path)  # as it will be routed: /api/%66lags is /api/flags
        held = [prefix for prefix in self._needs if path == prefix or path.startswith(prefix.rstrip("/") + "/")]
        if held:
            return self._needs[max(held, key=len)]
        return Role.VIEWER if self._is_page_server else Role.TRADER


def check_shape(ask: Ask, limits: Limits) -> Refusal | None:
    """Refuse what no honest client sends: foreign methods, huge heads, paths that climb or hide something."""
    if ask.method not in METHODS:
        return Refusal(405, "method: not one of this server's", (("allow", ", ".join(METHODS)),))
    if len(ask.path) + len(ask.query) > limits.url_bytes:
        return Refusal(414, f"address: longer than {limits.url_bytes} bytes")
    if len(ask.headers) > limits.header_count or sum(len(name) + len(value) for name, value in ask.headers) > limits.header_bytes:
        return Refusal(431, f"headers: more than {limits.header_count}, or than {limits.header_bytes} bytes")
    path = unquote(unquote(ask.path))  # twice, as a careless layer behind might
    if not path.startswith("/") or path.startswith("//") or any(ord(letter) < 32 or letter in "\\\x7f" for letter in path):
        return Refusal(400, "path: not a plain one")
    if ".." in path.split("/") or "." in path.split("/"):
        return Refusal(400, "path: climbs")
    return None


def check_query(ask: Ask) -> Refusal | None:
    """Refuse a secret in the address: it is in logs by now."""
    for name, value in parse_qsl(ask.query, keep_blank_values=True):
        if TOKEN_NAMES.fullmatch(name) or TOKEN_PREFIX in value:
            reason = "query: a token belongs in the Authorization header; this one is in logs now, so replace it"
            return Refusal(400, f"{reason} (workbench door token)")
    return None


def session_cookie(ask: Ask) -> str:
    """Return the session's cookie, '' when there is none or several."""
    found = []
    for line in ask.all("cookie"):
        try:
            jar = SimpleCookie(line)
        except CookieError:
            return ""
        if COOKIE in jar:
            found.append(jar[COOKIE].value)
        if line.count(f"{COOKIE}=") > 1:
            return ""
    return found[0] if len(found) == 1 else ""
