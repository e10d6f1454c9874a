"""A provider's key, in a form that no text shows. Floor 2."""

from __future__ import annotations

from typing import Any

from workbench.errors import ConfigError


class ApiKey:
    """A key that no text form shows: '***' in repr, str and format."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        """Take the key as text or as anything with `get_secret_value()` (pydantic's SecretStr)."""
        if isinstance(value, ApiKey):
            value = value.reveal()
        secret = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if not isinstance(secret, str) or not secret.strip():
            raise ConfigError("api_key: received nothing or something that is no text; allowed: the key of your account, as text")
        self._value = secret.strip()

    def reveal(self) -> str:
        """Return the key itself, for the vendor's client only."""
        return self._value

    def hide_in(self, text: str) -> str:
        """Return `text` with the key replaced, in case a server or a library repeats it."""
        return text.replace(self._value, "***")

    def __repr__(self) -> str:
        return "ApiKey('***')"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> Any:
        raise TypeError("an ApiKey is not pickled: it would put the key into a file")
