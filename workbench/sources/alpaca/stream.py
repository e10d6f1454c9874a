"""Alpaca's live connection: what its client has to be told and what its messages mean; `live/stream.py` keeps it up.

alpaca-py connects, greets, authenticates and asks for symbols; its own loop, which reconnects by itself, retries a refused key for
ever, swallows every error and can go mute while connected, is not run. Every frame is heard where its socket receives it.

What is subscribed is never assumed: the server answers each request with the list of everything it delivers, or with an error.
Requests are answered in order, so each answer belongs to the oldest open request. A list that is refused as a whole (the plan's
symbol limit) is asked for again symbol by symbol; what is not in the server's list is named in the status.

Floor 2.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from workbench.clock import NS_PER_S, monotonic_ns
from workbench.sources.alpaca.vendor import Vendor
from workbench.sources.alpaca.wire import ErrorEvent, HaltEvent, StatusEvent, SubscriptionEvent, SuccessEvent
from workbench.sources.live.api_key import ApiKey
from workbench.sources.live.link import End
from workbench.sources.live.stream import MAX_FRAME_BYTES, Stream, quiet_log

log = logging.getLogger(__name__)

CHANNEL_NAMES = {"trades": "trades", "quotes": "quotes", "bars": "minute bars"}
MOST_NAMED = 8
_HALTED, _RESUMED = ("2", "H", "P"), ("3", "T")

# what an error's code means: docs.alpaca.markets, websocket stream errors
_SYMBOL_LIMIT, _CONNECTION_LIMIT, _PLAN, _KEY = 405, 406, 409, 402
_ENDS_CONNECTION = {401, 404, 407, 500}


class AlpacaStream(Stream):
    """One market's connection.

    Parameters
    ----------
    keys                  Key and secret.
    url                   Full address, the feed at its end.
    feed                  What people have to know of the feed as long as it is shown, or ''.
    channels              Of 'trades', 'quotes', 'bars'; options have no bars.
    more                  What `Stream` takes.
    """

    tick_channels = frozenset({"trades", "quotes"})
    plan_advice = "choose another feed (alpaca_stock_feed='iex', alpaca_option_feed='indicative') or upgrade the plan"

    def __init__(
        self,
        vendor: Vendor,
        keys: tuple[ApiKey, ApiKey],
        market: str,
        channels: tuple[str, ...],
        *more: Any,
        url: str,
        feed: str,
        **named: Any,
    ) -> None:
        if market == "options":
            channels = tuple(channel for channel in channels if channel != "bars")
        super().__init__("alpaca", market, channels, *more, place=url.partition("://")[2], **named)
        self._url, self._feed = url, feed
        self._keys = keys
        self._client_class = vendor.OptionDataStream if market == "options" else vendor.StockDataStream
        self._socket_class = vendor.Socket
        self._client: Any = None
        self._socket: Any = None
        self._requests: deque[tuple[str, ...]] = deque()  # symbols of each request that is not answered yet
        self._asked_at = 0  # stopwatch time of the newest request
        self._refusals: dict[str, str] = {}  # symbol -> why it is not delivered
        self._halted: dict[str, str] = {}  # symbol -> why it is halted
        self._turn = asyncio.Lock()  # one request is sent at a time
        self._sending: set[asyncio.Future[None]] = set()

    @property
    def undelivered(self) -> tuple[str, ...]:
        """Symbols that are wanted and that the server does not deliver."""
        is_waiting = bool(self._requests) and monotonic_ns() - self._asked_at < self._times.settle_s * NS_PER_S
        if is_waiting or not self._link.answered_at:
            return tuple(symbol for symbol in self._link.symbols if symbol in self._refusals)
        accepted = self._link.accepted
        return tuple(
            symbol for symbol in self._link.symbols if any(f"{channel}.{_wire(symbol)}" not in accepted for channel in self._channels)
        )

    def note_halt(self, event: HaltEvent) -> None:
        """Take a trading status; called on the stream's thread."""
        if event.sc in _HALTED:
            self._halted[event.S] = event.rc
        elif event.sc in _RESUMED:
            self._halted.pop(event.S, None)
        log.info("alpaca %s: %s: %s (%s %s)", self.market, event.S, event.sm or event.sc, event.rc, event.rm)
        self._say_again()

    # -- what `Stream` asks ------------------------------------------------------------------------------------------------------

    def _open(self, symbols: tuple[str, ...]) -> asyncio.Future[Any]:
        self._requests.clear()
        self._refusals.clear()
        self._socket = None
        options = {
            "ping_interval": 10, "ping_timeout": 20, "max_queue": 1024, "max_size": MAX_FRAME_BYTES,
            "open_timeout": self._times.connect_s, "close_timeout": 1, "logger": quiet_log, "create_protocol": self._make_socket,
        }  # fmt: skip
        key, secret = (one.reveal() for one in self._keys)
        self._client = self._client_class(key, secret, raw_data=True, url_override=self._url, websocket_params=options)
        return asyncio.ensure_future(self._talk(symbols))

    def _make_socket(self, **options: Any) -> Any:
        hear = self._hear

        class Socket(self._socket_class):  # type: ignore[misc,name-defined]
            """The client's socket, every frame of which is heard here first."""

            async def recv(self) -> Any:
                frame = await super().recv()
                hear(frame)
                return frame

        self._socket = Socket(**options)
        return self._socket

    async def _talk(self, symbols: tuple[str, ...]) -> None:
        await self._client._start_ws()  # the client's own way to connect and authenticate
        await self._subscribe(symbols)
        while True:
            await self._socket.recv()

    async def _close(self) -> None:
        for task in self._sending:
            task.cancel()
        if self._client._ws is None:
            self._abort()
        else:
            await self._client.close()

    def _abort(self) -> None:
        transport = getattr(self._socket, "transport", None)
        if transport is not None:
            transport.abort()

    def _change(self, wanted: tuple[str, ...]) -> None:
        held = self._link.symbols
        gone, fresh = [s for s in held if s not in wanted], tuple(s for s in wanted if s not in held)
        for symbol in gone:
            self._refusals.pop(symbol, None)
        self._send(self._unsubscribe(gone))
        if fresh:
            self._send(self._subscribe(fresh))

    def _explain(self, error: BaseException) -> tuple[End, str] | None:
        status = getattr(error, "status_code", None)  # of a handshake that was answered with something else
        if status == 429:
            return End.LIMIT, self._limit_sentence("")
        if status in (401, 403):
            return self._refused_key(f"status {status}")
        if getattr(getattr(error, "rcvd", None), "code", None) in (1000, 1001):
            return End.LOST, f"{self.market}: the server closed the connection"
        return None

    def _missing(self) -> str:
        parts, undelivered = f"; {self._feed}" if self._feed else "", self.undelivered
        if undelivered:
            why = next((self._refusals[symbol] for symbol in undelivered if symbol in self._refusals), "not in the server's list")
            parts += f"; not delivered live ({why}): {_named(undelivered)}"
        return parts + (f"; halted: {_named(self._halted)}" if self._halted else "")

    def _hide(self, text: str) -> str:
        for key in self._keys:
            text = key.hide_in(text)
        return text

    # -- what is sent ------------------------------------------------------------------------------------------------------------

    def _send(self, request: Any) -> None:
        task = asyncio.ensure_future(request)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _subscribe(self, symbols: tuple[str, ...]) -> None:
        """Ask for these symbols too, in one request."""
        async with self._turn:
            handlers = self._client._handlers  # what the client's next request names
            names = [_wire(symbol) for symbol in symbols]
            for channel in handlers:
                handlers[channel] = dict.fromkeys(names, None) if channel in self._asked_channels() else {}
            self._note_request(symbols)
            with suppress(OSError):  # a connection that is lost is noticed where it is read
                await self._client._send_subscribe_msg()

    async def _unsubscribe(self, symbols: list[str]) -> None:
        names = [_wire(symbol) for symbol in symbols]
        for channel in self._asked_channels() if names else ():
            async with self._turn:
                self._note_request(())
                with suppress(OSError):
                    await self._client._send_unsubscribe_msg(channel, names)

    def _note_request(self, symbols: tuple[str, ...]) -> None:
        self._requests.append(symbols)
        self._asked_at = monotonic_ns()

    def _asked_channels(self) -> tuple[str, ...]:
        """Return the channels asked for: minute bars alone would be wrong ones, their corrections come apart."""
        extra = ("updatedBars",) if "bars" in self._channels else ()
        return (*self._channels, *extra, *(("statuses",) if self.market == "stocks" else ()))

    # -- what the server says ----------------------------------------------------------------------------------------------------

    def _on_status(self, status: StatusEvent) -> None:
        if isinstance(status, SubscriptionEvent):
            self._take_list(status)
        elif isinstance(status, ErrorEvent):
            self._take_error(status)
        elif isinstance(status, SuccessEvent) and status.msg == "authenticated":
            self._link.answered_at = monotonic_ns()

    def _take_list(self, status: SubscriptionEvent) -> None:
        link, prefix = self._link, "O:" if self.market == "options" else ""
        link.accepted = status.topics()
        link.welcomed.update(prefix + topic.partition(".")[2] for topic in link.accepted)
        if self._requests:
            self._requests.popleft()
        self._say_again()

    def _take_error(self, error: ErrorEvent) -> None:
        link, said = self._link, self._hide(f"{error.msg}, code {error.code}")
        if error.code == _KEY:
            link.verdict = self._refused_key(said)
        elif error.code == _CONNECTION_LIMIT:
            link.verdict = End.LIMIT, self._limit_sentence(said)
        elif error.code == _PLAN and not link.answered_at:
            link.verdict = self._refused_plan(said)
        elif error.code in _ENDS_CONNECTION:
            link.verdict = End.LOST, f"{self.market}: the server ends the connection ({said})"
        elif error.code == 403:
            log.warning("alpaca %s: the server says: %s", self.market, said)
        else:
            self._take_refusal(self._requests.popleft() if self._requests else (), error.code, said)

    def _take_refusal(self, symbols: tuple[str, ...], code: int, said: str) -> None:
        """A request was refused as a whole: ask symbol by symbol where some may still be had, else remember why."""
        log.warning("alpaca %s: the server refuses %s: %s", self.market, _named(symbols) or "a request", said)
        if len(symbols) > 1 and code == _SYMBOL_LIMIT:
            for symbol in symbols:
                self._send(self._subscribe((symbol,)))
            return
        self._refusals.update(dict.fromkeys(symbols, said))
        self._link.errors.append(said)
        self._link.error_at = monotonic_ns()
        self._say_again()

    def _weigh_errors(self) -> tuple[End, str] | None:
        """Requests were refused: a verdict when nothing at all is delivered, otherwise the status names what is missing."""
        link = self._link
        said, link.errors = "; ".join(dict.fromkeys(link.errors)), []
        if not link.accepted and not link.first_data_at:
            return self._refused_plan(said)
        self._say_again()
        return None

    def _say_again(self) -> None:
        """Bring the sentence up to date, where the connection counts as live."""
        if self._link.is_settled or self._link.first_data_at:
            self._become_live()


def _wire(symbol: str) -> str:
    return symbol.removeprefix("O:")


def _named(symbols: Iterable[str]) -> str:
    """Return a list of symbols for a sentence, the first few by name."""
    names = list(symbols)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
