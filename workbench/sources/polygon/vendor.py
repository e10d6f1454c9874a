"""The vendor's Python clients, found by name.

`polygon-api-client` (imports as `polygon`) and its successor `massive` have the same classes; either is used as it is. Floor 2.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import Any

from workbench.errors import ConfigError, choices


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where one package's service lives."""

    distribution: str
    realtime: str
    delayed: str
    rest: str


PACKAGES = {
    "polygon": Addresses("polygon-api-client", "socket.polygon.io", "delayed.polygon.io", "https://api.polygon.io"),
    "massive": Addresses("massive", "socket.massive.com", "delayed.massive.com", "https://api.massive.com"),
}


@dataclass(frozen=True, slots=True)
class Vendor:
    """The classes that are used, of whichever package is installed."""

    package: str
    WebSocketClient: Any
    RESTClient: Any
    AuthError: type[Exception]
    BadResponse: type[Exception]


def load(package: str) -> Vendor:
    """Return the classes of 'polygon' or 'massive'; ConfigError when the name is unknown or nothing is installed."""
    if package not in PACKAGES:
        raise ConfigError(f"package: received {choices(package, PACKAGES)}")
    try:
        module = importlib.import_module(package)
        exceptions = importlib.import_module(f"{package}.exceptions")
    except ImportError as error:
        name = PACKAGES[package].distribution
        raise ConfigError(f"source {package!r}: its client can't be imported ({error}); install it: pip install {name}") from None
    for name in ("WebSocketClient", "RESTClient"):
        # They print to standard output and say again, or less clearly, what is told here as a status.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return Vendor(package, module.WebSocketClient, module.RESTClient, exceptions.AuthError, exceptions.BadResponse)
