"""Polygon's live connection: what its client has to be told and what its statuses mean; `live/stream.py` keeps it up.

The client ends on a clean close, storms back after an unclean one, waits without end on a dead host, swallows most statuses and
does not notice silence. So it runs here with `raw=True` and no reconnects of its own, one client per connection, with the whole
subscription list at construction.

Floor 2.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from typing import Any

from workbench.clock import monotonic_ns
from workbench.sources.live.api_key import ApiKey
from workbench.sources.live.link import End
from workbench.sources.live.stream import MAX_FRAME_BYTES, Stream, quiet_log
from workbench.sources.polygon.vendor import Vendor
from workbench.sources.polygon.wire import StatusEvent

log = logging.getLogger(__name__)

CHANNEL_NAMES = {"T": "trades", "Q": "quotes", "AM": "minute bars"}
MOST_OPTION_QUOTES = 1_000  # contracts per connection (provider's limit)


class _Ears:
    """Stands in for the client's json module: with `raw=True` the answer to the key is read through it and nowhere else."""

    def __init__(self, hear: Any) -> None:
        self._hear = hear

    dumps = staticmethod(json.dumps)

    def loads(self, text: str | bytes) -> Any:
        self._hear(text)
        return json.loads(text)


class PolygonStream(Stream):
    """One market's connection through the client of `vendor`.

    Parameters
    ----------
    channels              Of 'T', 'Q', 'AM'.
    host, is_secure       Where to connect: 'socket.polygon.io', or any 'host:port'.
    more                  What `Stream` takes.
    """

    tick_channels = frozenset({"T", "Q"})
    plan_advice = "try feed='delayed' or upgrade the plan"

    def __init__(self, vendor: Vendor, key: ApiKey, *more: Any, host: str, is_secure: bool, **named: Any) -> None:
        super().__init__("polygon", *more, place=host, **named)
        self._vendor, self._key = vendor, key
        self._host, self._is_secure = host, is_secure
        self._refused_channels: tuple[str, ...] = ()
        self._client: Any = None

    def _open(self, symbols: tuple[str, ...]) -> asyncio.Future[Any]:
        self._client = self._vendor.WebSocketClient(
            api_key=self._key.reveal(),
            feed=self._host,
            market=self.market,
            raw=True,
            subscriptions=self._topics(symbols),
            max_reconnects=0,
            secure=self._is_secure,
            custom_json=_Ears(self._hear_answer),
        )
        options = {"logger": quiet_log, "max_size": MAX_FRAME_BYTES, "open_timeout": self._times.connect_s}
        return asyncio.ensure_future(self._client.connect(self._on_frame, close_timeout=1, **options))

    async def _close(self) -> None:
        if self._client.websocket is not None:
            await self._client.websocket.close()

    def _abort(self) -> None:
        self._client.websocket.transport.abort()

    def _change(self, wanted: tuple[str, ...]) -> None:
        """Tell the running client what is wanted now; the client acts on it within a second."""
        held, now_wanted = set(self._topics(self._link.symbols)), set(self._topics(wanted))
        if now_wanted - held:
            self._client.subscribe(*sorted(now_wanted - held))
        if held - now_wanted:
            self._client.unsubscribe(*sorted(held - now_wanted))

    def _topics(self, symbols: Iterable[str]) -> list[str]:
        """Return the subscriptions of these symbols: always single symbols, never X.* (the client mistakes A.* for AM.*)."""
        symbols = tuple(symbols)
        topics = []
        for channel in self._channels:
            if channel in self._refused_channels:
                continue
            wanted = symbols
            if self.market == "options" and channel == "Q" and len(symbols) > MOST_OPTION_QUOTES:
                wanted = symbols[:MOST_OPTION_QUOTES]
                log.warning("polygon options: quotes of %d contracts wanted, %d allowed", len(symbols), MOST_OPTION_QUOTES)
            topics += [f"{channel}.{symbol}" for symbol in wanted]
        return topics

    def _explain(self, error: BaseException) -> tuple[End, str] | None:
        if isinstance(error, self._vendor.AuthError):
            return self._refused_key(str(error))
        if getattr(getattr(error, "rcvd", None), "code", None) == 1008:
            return End.LIMIT, self._limit_sentence("")
        return None

    def _missing(self) -> str:
        return f"; the plan does not include {_listed(self._refused_channels)}" if self._refused_channels else ""

    def _has_ticks(self) -> bool:
        return bool(self.tick_channels.intersection(self._channels).difference(self._refused_channels))

    def _hide(self, text: str) -> str:
        return self._key.hide_in(text)

    # -- what the server says ----------------------------------------------------------------------------------------------------

    def _hear_answer(self, text: str | bytes) -> None:
        """Read statuses that only the client sees: the greeting (massive) and the answer to the key."""
        _, _, statuses = self._listener.on_frame(text)
        for status in statuses:
            self._on_status(status)
        if any(status.status not in ("connected", "auth_failed") for status in statuses):
            self._link.answered_at = self._link.answered_at or monotonic_ns()

    async def _on_frame(self, frame: str | bytes) -> None:
        self._hear(frame)

    def _on_status(self, status: StatusEvent) -> None:
        link, message = self._link, self._key.hide_in(status.message)
        if status.status in ("connected", "auth_success"):
            return
        if status.status == "success":
            topics = [topic.strip() for topic in message.rpartition(":")[2].split(",")]
            if message.startswith("subscribed"):
                link.accepted.update(topics)
                link.welcomed.update(topic.partition(".")[2] for topic in topics)
        elif status.status == "auth_failed":
            link.verdict = self._refused_key(message)
        elif status.status == "max_connections":
            link.verdict = End.LIMIT, self._limit_sentence(message)
        elif status.status == "error":
            link.errors.append(message)
            link.error_at = monotonic_ns()
        else:
            log.warning("polygon %s: the server says %s: %s", self.market, status.status, message)
            if status.status in ("auth_timeout", "force_disconnect"):
                link.verdict = End.LOST, f"{self.market}: the server ends the connection ({status.status}: {message})"

    def _weigh_errors(self) -> tuple[End, str] | None:
        """Subscriptions were refused: go on with the channels that were not; a verdict when none is left."""
        link = self._link
        said, link.errors = "; ".join(dict.fromkeys(link.errors)), []
        accepted = {topic.partition(".")[0] for topic in link.accepted}
        is_plan = any(word in said.lower() for word in ("access", "entitle", "upgrade", "agreement"))
        if not link.first_data_at and (is_plan or not accepted):
            return self._refused_plan(said)
        if not accepted:  # data flows, so something was accepted without saying so
            log.warning("polygon %s: the server says: %s", self.market, said)
            return None
        self._refused_channels += tuple(channel for channel in self._channels if channel not in {*accepted, *self._refused_channels})
        log.warning("polygon %s: the server refused part: %s", self.market, said)
        if link.is_settled or link.first_data_at:
            self._become_live()
        return None

    def _refused_key(self, message: str) -> tuple[End, str]:
        if "plan" in message.lower() or "access" in message.lower():
            return self._refused_plan(message)
        return super()._refused_key(message)


def _listed(channels: Iterable[str]) -> str:
    return ", ".join(CHANNEL_NAMES.get(channel, channel) for channel in channels)
