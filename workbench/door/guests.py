"""Who it is: names and passwords to sessions, cookies and tokens to callers.

In: what a request carries. Out: a `Caller`, or None when it shows nothing that is true. One book serves desk and API of a process;
processes that share a cookie secret and a password file know each other's sessions.

Floor 1: tornado's signed values.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tornado.web import create_signed_value, decode_signed_value

from workbench.clock import NS_PER_S, Clock, WallClock, monotonic_ns
from workbench.config import Settings
from workbench.door.address import check_address
from workbench.door.chance import secret_text
from workbench.door.limits import network
from workbench.door.lockout import Lockout
from workbench.door.passwords import LOG2_N, P, R, is_hash, is_password
from workbench.door.roles import Caller
from workbench.door.users import User, UserFile, digest, unusable

log = logging.getLogger(__name__)

COOKIE = "workbench_session"
SESSION_S = 12 * 3600  # one long trading day
HASHES_AT_ONCE = 2  # each takes 32 MiB
# what an unknown name is compared with: a hash that no password has, at the price of a real one
NOBODYS_PASSWORD = f"scrypt${LOG2_N}${R}${P}${'A' * 22}==${'A' * 43}="


@dataclass(frozen=True, slots=True)
class Refused:
    """A log-in that failed. `wait_s`: how long the next try has to wait, 0 when it need not."""

    wait_s: int


class GuestBook:
    """Everything that tells callers apart. `is_open`: nobody is asked, because only this machine can reach the address."""

    def __init__(
        self, settings: Settings, *, host: str | None = None, clock: Clock | None = None, stopwatch: Callable[[], int] = monotonic_ns
    ) -> None:
        """ConfigError when the address may not be served on, or the password file can't be used."""
        check_address(settings, host)
        self._file = None if settings.password_file is None else UserFile(settings.password_file)
        given = settings.cookie_secret
        self._secret = given.get_secret_value() if given is not None else secret_text()
        self._clock = clock or WallClock()
        self._lockout = Lockout(stopwatch)
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)

    @property
    def is_open(self) -> bool:
        """True when no password file is set."""
        return self._file is None

    def log_in(self, name: str, password: str, address: str) -> str | Refused:
        """Return a session's cookie for the right name and password. Blocks about 0.2 s: call it from a thread.

        ConfigError when the password file can't be read. That, and a password in it that can't be, is nobody's failed try.
        """
        if self._file is None:
            return Refused(0)
        user = self._file.now().users.get(name)
        if user is not None and not is_hash(user.password):
            log.error("log-in of %r from %s: %s", name[:64], address, unusable(name))
            self._is_right(password, None)
            return Refused(0)
        keys = (f"user:{name[:64]}", f"address:{network(address)}")
        wait_s = self._lockout.begin(*keys)
        if wait_s:
            log.warning("log-in of %r from %s: locked for %d s", name[:64], address, wait_s)
            return Refused(wait_s)
        is_right = False
        try:
            is_right = self._is_right(password, user)
        finally:
            if user is None or not is_right:
                self._lockout.fail(*keys)
        if user is None or not is_right:
            log.warning("log-in of %r from %s: refused", name[:64], address)
            return Refused(self._lockout.wait_s(*keys))
        self._lockout.succeed(*keys)
        log.info("log-in of %r from %s as %s", name, address, user.role.word)
        return self._signed(name, user.stamp)

    def _is_right(self, password: str, user: User | None) -> bool:
        """Return whether it is the user's password; of nobody it takes as long."""
        with self._hashing:
            return is_password(password[:1024], user.password if user else NOBODYS_PASSWORD)

    def _signed(self, name: str, stamp: str) -> str:
        signed: bytes = create_signed_value(self._secret, COOKIE, f"{name}|{stamp}", clock=self._now_s)
        return signed.decode()

    def by_cookie(self, cookie: str) -> Caller | None:
        """Return whose session a cookie is; None when it is forged, old, or its owner is gone or has a new password."""
        if self._file is None:
            return None
        value = decode_signed_value(self._secret, COOKIE, cookie, max_age_days=SESSION_S / 86_400, clock=self._now_s, min_version=2)
        if value is None:
            return None
        name, _, stamp = value.decode(errors="replace").partition("|")
        user = self._file.now().users.get(name)
        if user is None or not hmac.compare_digest(stamp.encode(), user.stamp.encode()):
            return None
        return Caller(name, user.role, "session")

    def by_token(self, token: str) -> Caller | None:
        """Return which program a token belongs to; None when it is unknown or has expired."""
        if self._file is None:
            return None
        wanted, found = digest(token), None
        for name, each in self._file.now().tokens.items():  # all are compared, so that time tells nothing
            if hmac.compare_digest(wanted, each.sha256):
                found = (name, each)
        if found is None or (found[1].expires_s is not None and self._now_s() >= found[1].expires_s):
            return None
        return Caller(found[0], found[1].role, "token")

    def xsrf(self, cookie: str) -> str:
        """Return what a page has to send back with a session's cookie when it changes something."""
        return hmac.new(self._secret.encode(), b"xsrf:" + cookie.encode(), hashlib.sha256).hexdigest()

    def signing_key(self) -> bytes:
        """Return what a page server signs its own sessions with; another key than that of the cookies."""
        return hmac.new(self._secret.encode(), b"page sessions", hashlib.sha256).hexdigest().encode()

    def _now_s(self) -> float:
        return self._clock.now_ns() / NS_PER_S
