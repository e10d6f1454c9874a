"""Chance for security: the one place that draws numbers nobody can repeat.

Everything else in the package takes seeded generators, so that a run can be told again; a token that can be told again is none.

Floor 1.
"""

from __future__ import annotations

import secrets

SECRET_BYTES = 32  # 256 bit


def secret_text() -> str:
    """Return 256 random bits as 43 letters that are safe in headers, addresses and files."""
    return secrets.token_urlsafe(SECRET_BYTES)


def salt(length: int) -> bytes:
    """Return `length` random bytes."""
    return secrets.token_bytes(length)
