"""Where the workbench may serve, and under which names it may be called.

In: settings and the port. Out: nothing, or ConfigError with the next step; the exact Host headers and Origins that are ours.

An address that other machines can reach needs three things at once: TLS or a declared proxy that does TLS, somebody who asks for
a log-in, and a cookie secret of at least 256 bit. A declared proxy makes even a loopback address reachable, and so does an origin
that is not this machine.

Floor 1.
"""

from __future__ import annotations

import ipaddress
import math
import os
import string
from pathlib import Path

from workbench.config import Settings
from workbench.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - named to be refused
SECRET_BITS = 256
_ALPHABETS = (string.digits, string.hexdigits[:16], string.ascii_letters + string.digits + "-_+/=")


def is_loopback(address: str) -> bool:
    """Return whether an address or name is this machine's own, as far as the text tells."""
    text = address.strip("[]").lower()
    try:
        number = ipaddress.ip_address(text)
    except ValueError:
        return text == "localhost"
    mapped = getattr(number, "ipv4_mapped", None)
    return bool((mapped or number).is_loopback)


def is_exposed(settings: Settings, host: str | None = None) -> bool:
    """Return whether other machines can reach what is served with these settings."""
    names = [host or settings.host, *(name_of(origin) for origin in settings.origins)]
    return settings.behind_proxy or not all(is_loopback(name) for name in names)


def check_address(settings: Settings, host: str | None = None) -> None:
    """Pass when the address may be served on, else ConfigError. `host`: instead of the setting."""
    host = host or settings.host
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "tls_key" if settings.tls_key is None else "tls_cert"
        raise ConfigError(f"{missing}: received nothing beside its partner; allowed: both tls_cert and tls_key, or neither")
    for name in ("tls_cert", "tls_key"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise ConfigError(f"{name}: received {str(path)!r}, which is no file; allowed: a PEM file")
    if settings.tls_key is not None:
        check_private("tls_key", settings.tls_key)
    for origin in settings.origins:
        _check_origin(origin)
    if not is_exposed(settings, host):
        return
    _need(settings, host)
    if host in EVERYWHERE and not settings.origins:
        why = "what stands in the browser's address bar, as host[:port]; every other name is refused"
        raise ConfigError(f"origins: received nothing beside host {host!r}; allowed: {why}")


def _need(settings: Settings, host: str) -> None:
    """Refuse an exposed address that lacks one of the three."""
    missing = []
    if settings.tls_cert is None and not settings.behind_proxy:
        missing.append("tls_cert and tls_key (or behind_proxy, when a proxy does TLS)")
    if settings.password_file is None:
        missing.append("password_file (workbench door add NAME --role viewer makes one)")
    if settings.cookie_secret is None:
        missing.append("cookie_secret (workbench door secret prints one)")
    if missing:
        what = f"host: received {host!r}" if not is_loopback(host) else "behind_proxy or origins: reachable from elsewhere"
        raise ConfigError(f"{what}; allowed: {', '.join(LOOPBACK)}, or another with {'; '.join(missing)}. An SSH tunnel needs none of it")
    assert settings.cookie_secret is not None
    check_cookie_secret(settings.cookie_secret.get_secret_value())


def check_cookie_secret(secret: str) -> None:
    """Refuse a secret that can't hold 256 bit; ConfigError never quotes it."""
    alphabet = next((letters for letters in _ALPHABETS if set(secret) <= set(letters)), string.printable)
    bits = len(secret) * math.log2(len(alphabet))
    is_pattern = any(secret == (secret[:n] * len(secret))[: len(secret)] for n in range(1, len(secret) // 2 + 1))
    if bits < SECRET_BITS or len(set(secret)) < 10 or is_pattern:
        found = "a repeated pattern" if is_pattern or len(set(secret)) < 10 else f"at most {bits:.0f} bit"
        raise ConfigError(f"cookie_secret: received {found}; allowed: {SECRET_BITS} random bit as text (workbench door secret prints one)")


def check_private(name: str, path: Path) -> None:
    """Refuse a file that other users of this machine can read or change; ConfigError says how to mend it."""
    mode = path.stat().st_mode & 0o777
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"{name}: {path} has mode {mode:04o}, so others can read it; allowed: 0600 (chmod 600 {path})")


# -- names ------------------------------------------------------------------------------------------------------------------


def name_of(origin: str) -> str:
    """Return the host of host[:port]."""
    if origin.startswith("["):
        return origin.split("]", maxsplit=1)[0] + "]"
    return origin.rsplit(":", 1)[0] if origin.count(":") == 1 else origin


def _check_origin(origin: str) -> None:
    host, port = name_of(origin), origin[len(name_of(origin)) :].removeprefix(":")
    letters = string.ascii_letters + string.digits + ("-_.:[]" if host.startswith("[") else "-_.")
    is_name = bool(host) and not set(host) - set(letters)
    if "*" in origin or "/" in origin or not is_name or (port and not (port.isdigit() and int(port) < 65536)):
        raise ConfigError(f"origins: received {origin!r}; allowed: exact addresses as host[:port], without scheme, path or *")


def scheme(settings: Settings) -> str:
    """Return what the browser speaks: https with a certificate or behind a proxy that has one."""
    return "https" if settings.tls_cert is not None or settings.behind_proxy else "http"


def hosts(settings: Settings, port: int, host: str | None = None) -> frozenset[str]:
    """Return every Host header that is ours, in lower case, with and without the scheme's own port."""
    host = host or settings.host
    named = {f"{_bracketed(name)}:{port}" for name in LOOPBACK}  # a foreign page can't take these names
    if host not in EVERYWHERE:
        named.add(f"{_bracketed(host)}:{port}")
    named |= {origin.lower() for origin in settings.origins}
    usual = {"http": 80, "https": 443}[scheme(settings)]
    without = {name.removesuffix(f":{usual}") for name in named if name.endswith(f":{usual}")}
    return frozenset(name.lower() for name in named | without)


def origins(settings: Settings, port: int, host: str | None = None) -> frozenset[str]:
    """Return every Origin header that is ours."""
    return frozenset(f"{scheme(settings)}://{name}" for name in hosts(settings, port, host))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
