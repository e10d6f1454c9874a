"""Passwords to salted hashes and back to yes or no.

scrypt at one of OWASP's equal settings (N=2^15, r=8, p=3: 32 MiB, about 0.2 s), its parameters stored beside each hash so that they
can grow: `scrypt$15$8$3$salt$hash`, both in base64.

Floor 1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from workbench.door.chance import salt
from workbench.errors import ConfigError

LOG2_N, R, P = 15, 8, 3
MAX_LOG2_N = 20  # a file that asks for more would eat the machine
SALT_BYTES, HASH_BYTES = 16, 32
SHORTEST, LONGEST = 12, 1024


def check_password(password: str) -> None:
    """Refuse a password that guessing would find, or that is no text a person types; ConfigError never quotes it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigError(f"password: received {len(password)} characters; allowed: {SHORTEST} to {LONGEST}")
    if len(set(password)) < 5:
        raise ConfigError("password: received fewer than 5 different characters; allowed: several words, or a generated one")


def hash_password(password: str, *, log2_n: int = LOG2_N) -> str:
    """Return the password's salted hash with its parameters."""
    grain = salt(SALT_BYTES)
    return "$".join(["scrypt", str(log2_n), str(R), str(P), _text(grain), _text(_scrypt(password, grain, log2_n, R, P))])


def is_password(password: str, stored: str) -> bool:
    """Return whether a password gives the stored hash, compared in constant time; False for a hash that can't be read."""
    parts = _parts(stored)
    if parts is None:
        return False
    cost, grain, wanted = parts
    try:
        return hmac.compare_digest(_scrypt(password, grain, *cost), wanted)
    except ValueError:
        return False


def is_hash(stored: str) -> bool:
    """Return whether a stored text can be compared with a password at all."""
    return _parts(stored) is not None


def _parts(stored: str) -> tuple[tuple[int, int, int], bytes, bytes] | None:
    """Return (log2 n, r, p), salt and hash of a stored text; None for one that can't be read."""
    try:
        kind, log2_n, r, p, grain, wanted = stored.split("$")
        cost = int(log2_n), int(r), int(p)
        found = cost, base64.b64decode(grain, validate=True), base64.b64decode(wanted, validate=True)
    except ValueError:
        return None
    is_bounded = 1 <= cost[0] <= MAX_LOG2_N and 1 <= cost[1] <= 32 and 1 <= cost[2] <= 16
    return found if kind == "scrypt" and is_bounded and len(found[2]) == HASH_BYTES else None


def _scrypt(password: str, grain: bytes, log2_n: int, r: int, p: int) -> bytes:
    n = 1 << log2_n
    return hashlib.scrypt(password.encode(), salt=grain, n=n, r=r, p=p, maxmem=256 * n * r + 1024 * r * p, dklen=HASH_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
