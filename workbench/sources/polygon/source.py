"""Polygon.io / Massive as a source: live trades, quotes and minute bars of stocks and options, and their history.

One connection per market (the provider counts them per account), decoded here, history through REST. Floor 2.
"""

from __future__ import annotations

import threading
from typing import Any

from workbench.clock import NS_PER_S, Clock, WallClock
from workbench.errors import ConfigError, choices
from workbench.sessions import SessionCalendar
from workbench.sources.base import SourceInfo
from workbench.sources.live.api_key import ApiKey
from workbench.sources.live.history import RestTimes
from workbench.sources.live.link import Listener, StreamTimes
from workbench.sources.live.source import LiveSource, checked_address, checked_channels, trading_test
from workbench.sources.polygon.chains import PolygonChains
from workbench.sources.polygon.rest import PolygonHistory
from workbench.sources.polygon.scan import FrameReader
from workbench.sources.polygon.stream import CHANNEL_NAMES, MOST_OPTION_QUOTES, PolygonStream
from workbench.sources.polygon.vendor import PACKAGES, load
from workbench.sources.polygon.wire import StatusEvent
from workbench.types import SymbolTable

DELAY_NS = 15 * 60 * NS_PER_S  # of the delayed feed, measured to be exactly this


class DelayedClock(WallClock):
    """A clock that runs a fixed time behind another: with the delayed feed the whole workbench lives that much earlier.

    Otherwise every minute would be closed, empty, a quarter of an hour before its first print.
    """

    def __init__(self, clock: Clock, delay_ns: int) -> None:
        self._clock = clock
        self._delay_ns = delay_ns

    def now_ns(self) -> int:
        """Return the present moment of the delayed market [ns UTC]."""
        return self._clock.now_ns() - self._delay_ns


class PolygonSource(LiveSource):
    """A live provider of stocks and options, through the client of `package`.

    Parameters
    ----------
    api_key                 Text or a pydantic SecretStr; never shown again.
    package                 'polygon' (polygon-api-client) or 'massive'.
    feed                    'delayed' (15 minutes) or 'realtime', as the plan allows.
    websocket_base          Another live address: 'wss://host[:port]'.
    rest_base               Another history address: 'https://host[:port]'.
    channels                Of 'T' (trades), 'Q' (quotes), 'AM' (the provider's minute bars).
    poll_s                  How often minutes are read by REST while the plan refuses the live feed [s].
    """

    def __init__(
        self,
        api_key: Any,
        *,
        package: str = "polygon",
        feed: str = "delayed",
        websocket_base: str | None = None,
        rest_base: str | None = None,
        channels: tuple[str, ...] = ("T", "Q", "AM"),
        clock: Clock | None = None,
        calendar: SessionCalendar | None = None,
        stream_times: StreamTimes | None = None,
        rest_times: RestTimes | None = None,
        requests_per_minute: int | None = None,
        poll_s: float = 60.0,
        seed: int = 0,
    ) -> None:
        self._key = ApiKey(api_key)
        self._vendor = load(package)
        self._host, self._is_secure = _live_address(package, feed, websocket_base)
        self._channels = checked_channels(channels, CHANNEL_NAMES)
        inner, calendar = clock or WallClock(), calendar or SessionCalendar.xnys()
        delay_ns = DELAY_NS if feed == "delayed" else 0
        delayed: Clock = DelayedClock(inner, delay_ns) if delay_ns else inner
        self._stream_times = stream_times or StreamTimes()
        history = PolygonHistory(
            self._vendor,
            self._key,
            rest_base or PACKAGES[package].rest,
            clock=delayed,
            times=rest_times,
            is_trading=trading_test(calendar),
            requests_per_minute=requests_per_minute,
        )
        info = SourceInfo(
            name=package,
            detail=f"{self._host}{', 15 minutes late' if delay_ns else ''}",
            has_trades="T" in channels,
            has_quotes="Q" in channels,
            delay_ns=delay_ns,
            has_chains=True,
        )
        chains = PolygonChains(history, source=package, clock=delayed, calendar=calendar)
        most = MOST_OPTION_QUOTES
        super().__init__(info, history, chains, most_contracts=most, clock=delayed, calendar=calendar, poll_s=poll_s, seed=seed)

    def _make_stream(self, market: str, listener: Listener) -> PolygonStream:
        return PolygonStream(
            self._vendor,
            self._key,
            market,
            self._channels,
            listener,
            host=self._host,
            is_secure=self._is_secure,
            clock=self.clock,
            calendar=self._calendar,
            times=self._stream_times,
            rng=self._rng.spawn(1)[0],
        )

    def _make_reader(self, market: str, symbols: SymbolTable) -> FrameReader:
        reader = FrameReader(symbols)
        threading.Thread(target=reader.warm, name=f"polygon-{market}-warm", daemon=True).start()
        return reader

    def _hide(self, text: str) -> str:
        return self._key.hide_in(text)

    def _take_other(self, market: str, event: Any, ts_recv: int) -> Any:  # noqa: ARG002
        return event if isinstance(event, StatusEvent) else None


def _live_address(package: str, feed: str, base: str | None) -> tuple[str, bool]:
    """Return (host, whether encrypted) of the live feed."""
    if feed not in ("delayed", "realtime"):
        raise ConfigError(f"feed: received {choices(feed, ('delayed', 'realtime'))}")
    if base is None:
        return (PACKAGES[package].delayed if feed == "delayed" else PACKAGES[package].realtime), True
    parts = checked_address("websocket_base", base)
    return parts.netloc, parts.scheme == "wss"
