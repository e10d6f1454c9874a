"""How a hub's service is asked: addresses, the token, and what its refusals mean.

The token travels in a header only, over no proxy and to no other address: redirects are not followed. Floor 2: httpx.
"""

from __future__ import annotations

import ssl
import threading
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from workbench.door.address import is_loopback
from workbench.errors import AuthError, ConfigError, SourceError, SymbolError
from workbench.hub.remote import wire

DEFAULT_PORT = 5007
ANSWER_S = 2.5  # a hub that has not answered a question by then does not answer
HISTORY_S = 60.0  # older bars may have to come from the provider

T = TypeVar("T", bound=msgspec.Struct)


class Address:
    """Where a hub is, from `hub://host[:port]` (`hubs://`: through TLS), and how it is spoken to."""

    def __init__(self, text: str, token: str | None = None) -> None:
        parts = urlsplit(text)
        try:
            port = parts.port or DEFAULT_PORT
        except ValueError:
            port = 0
        if parts.scheme not in ("hub", "hubs") or not parts.hostname or not 0 < port < 65_536 or parts.path.strip("/"):
            raise ConfigError(f"source: received {text!r}; allowed: hub://host:port, or hubs:// through TLS")
        if token is not None and parts.scheme == "hub" and not is_loopback(parts.hostname):
            raise ConfigError(
                f"source: received {text!r} beside a token, which everybody on the way could read; allowed: hubs:// (through TLS), "
                "or an SSH tunnel and hub://127.0.0.1"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.name = f"{host}:{port}"
        self.base_url = f"{'https' if parts.scheme == 'hubs' else 'http'}://{self.name}"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._verify = ssl.create_default_context() if parts.scheme == "hubs" else False  # plain text has no certificate

    def client(self) -> httpx.Client:
        """Return a client for questions, to be shared by all threads."""
        return httpx.Client(**self._options())

    def async_client(self) -> httpx.AsyncClient:
        """Return a client for the link's own loop."""
        return httpx.AsyncClient(**self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url, "headers": self._headers, "verify": self._verify, "timeout": ANSWER_S,
            "trust_env": False, "follow_redirects": False,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<Address {self.base_url}>"


class Questions:
    """Asks the service, from any thread; the connections are opened when first needed. `close` them."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def get(self, path: str, kind: type[T], asked: dict[str, Any] | None = None, *, wait_s: float = ANSWER_S) -> T:
        """Return an answer; SourceError when the hub does not answer or refuses (AuthError, SymbolError: what they say)."""
        return self._ask("GET", path, kind, wait_s, params=asked)

    def post(self, path: str, kind: type[T], values: dict[str, Any]) -> T:
        """Have something done and return the answer; errors as of `get`. Never sent twice."""
        return self._ask("POST", path, kind, ANSWER_S, json=values)

    def close(self) -> None:
        """Close the connections; harmless when there are none."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, method: str, path: str, kind: type[T], wait_s: float, **content: Any) -> T:
        with self._lock:
            if self._client is None:
                self._client = self._address.client()
            client = self._client
        try:
            return answer_of(client.request(method, path, timeout=wait_s, **content), kind)
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: closed by another thread meanwhile
            raise SourceError(f"the hub at {self._address.name} does not answer ({why_unreachable(error)})") from None
        except (AuthError, SymbolError):
            raise
        except SourceError as error:
            raise SourceError(f"the hub at {self._address.name}: {error}") from None


def answer_of(response: httpx.Response, kind: type[T]) -> T:
    """Return what a response says; AuthError, SymbolError or SourceError when it is a refusal or no answer of a hub."""
    check(response)
    return wire.decode(response.content, kind)


def check(response: httpx.Response) -> None:
    """Raise what a response (read to its end) refuses."""
    if response.is_success:
        return
    why = _why(response)
    if response.status_code in (401, 403):
        raise AuthError(f"the hub at {response.url.netloc.decode()} refuses: {why}; a token for it goes into WORKBENCH_HUB_TOKEN")
    if response.status_code in (404, 422) and why.startswith("symbol:"):
        raise SymbolError(why)
    raise SourceError(f"status {response.status_code}: {why}")


def _why(response: httpx.Response) -> str:
    try:
        return msgspec.json.decode(response.content, type=wire.Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"status {response.status_code}, without a reason"


def why_unreachable(error: Exception) -> str:
    """Return in a few words why a connection failed."""
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "connection refused" if "refused" in str(error).lower() or "All connection attempts failed" in str(error) else str(error)
    return str(error) or type(error).__name__
