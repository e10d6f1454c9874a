"""alpaca-py, imported when it is needed, and where Alpaca's services live. Floor 2."""

from __future__ import annotations

import importlib
import logging
import warnings
from dataclasses import dataclass
from typing import Any

from workbench.errors import ConfigError

STREAM_BASE = "wss://stream.data.alpaca.markets"
REST_BASE = "https://data.alpaca.markets"
STOCK_FEEDS = ("iex", "sip")
OPTION_FEEDS = ("indicative", "opra")


@dataclass(frozen=True, slots=True)
class Vendor:
    """The classes of alpaca-py that are used. `Socket` is the websocket class that its streams connect with."""

    StockDataStream: Any
    OptionDataStream: Any
    StockHistoricalDataClient: Any
    OptionHistoricalDataClient: Any
    requests: Any  # module of the request classes
    TimeFrame: Any
    APIError: type[Exception]
    Socket: Any


def load() -> Vendor:
    """Return alpaca-py's classes; ConfigError when it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it is built on websockets.legacy, and says so at import
            live = importlib.import_module("alpaca.data.live")
            websocket = importlib.import_module("alpaca.data.live.websocket")
            historical = importlib.import_module("alpaca.data.historical")
            requests = importlib.import_module("alpaca.data.requests")
            timeframe = importlib.import_module("alpaca.data.timeframe")
            exceptions = importlib.import_module("alpaca.common.exceptions")
            socket = websocket.websockets_legacy.WebSocketClientProtocol
    except ImportError as error:
        raise ConfigError(f"source 'alpaca': its client can't be imported ({error}); install it: pip install alpaca-py") from None
    logging.getLogger("alpaca").setLevel(logging.CRITICAL)  # it says again, or less clearly, what is told here as a status
    return Vendor(
        live.StockDataStream,
        live.OptionDataStream,
        historical.StockHistoricalDataClient,
        historical.OptionHistoricalDataClient,
        requests,
        timeframe.TimeFrame,
        exceptions.APIError,
        socket,
    )
