"""Alpaca as a source: live trades, quotes and minute bars of stocks, trades and quotes of options, and their history.

Which feed it is, is never left open: IEX is one exchange with a few percent of the volume and is called so; a plan without SIP is
refused and never served IEX in its place. The free option feed tells its trades a quarter of an hour late and modified quotes.
Floor 2.
"""

from __future__ import annotations

from typing import Any

from workbench.clock import Clock, WallClock
from workbench.errors import ConfigError, choices
from workbench.sessions import SessionCalendar
from workbench.sources.alpaca.chains import AlpacaChains
from workbench.sources.alpaca.rest import AlpacaHistory
from workbench.sources.alpaca.stream import CHANNEL_NAMES, AlpacaStream
from workbench.sources.alpaca.vendor import OPTION_FEEDS, REST_BASE, STOCK_FEEDS, STREAM_BASE, load
from workbench.sources.alpaca.wire import Correction, FrameReader, HaltEvent
from workbench.sources.base import SourceInfo
from workbench.sources.live.api_key import ApiKey
from workbench.sources.live.history import RestTimes
from workbench.sources.live.link import Listener, StreamTimes
from workbench.sources.live.source import LiveSource, checked_address, checked_channels, trading_test
from workbench.types import SymbolTable

# Option contracts of one connection; the free plan's limit of 30 symbols is taken to hold for options too.
MOST_CONTRACTS = {"indicative": 30, "opra": 1000}
FEED_WARNINGS = {
    "iex": "IEX only (one exchange, a few percent of the volume)",
    "indicative": "indicative only (modified quotes, trades 15 minutes late)",
}


class AlpacaSource(LiveSource):
    """A live provider of stocks and options, through alpaca-py.

    Parameters
    ----------
    api_key, secret_key     Text or pydantic SecretStr; never shown again.
    stock_feed              'iex' or 'sip', as the plan allows.
    option_feed             'indicative' or 'opra', as the plan allows.
    stream_base             Another live address: 'wss://host[:port]'.
    rest_base               Another history address: 'https://host[:port]'.
    channels                Of 'trades', 'quotes', 'bars' (the provider's minute bars, with their corrections).
    poll_s                  How often minutes are read by REST of what is not delivered live [s].
    """

    def __init__(
        self,
        api_key: Any,
        secret_key: Any,
        *,
        stock_feed: str = "iex",
        option_feed: str = "indicative",
        stream_base: str | None = None,
        rest_base: str | None = None,
        channels: tuple[str, ...] = ("trades", "quotes", "bars"),
        clock: Clock | None = None,
        calendar: SessionCalendar | None = None,
        stream_times: StreamTimes | None = None,
        rest_times: RestTimes | None = None,
        requests_per_minute: int | None = None,
        poll_s: float = 60.0,
        seed: int = 0,
    ) -> None:
        self._keys = (ApiKey(api_key), ApiKey(secret_key))
        self._vendor = load()
        for name, feed, allowed in (("stock_feed", stock_feed, STOCK_FEEDS), ("option_feed", option_feed, OPTION_FEEDS)):
            if feed not in allowed:
                raise ConfigError(f"{name}: received {choices(feed, allowed)}")
        self._channels, self._stream_times = checked_channels(channels, CHANNEL_NAMES), stream_times or StreamTimes()
        address = checked_address("stream_base", stream_base or STREAM_BASE)
        base = f"{address.scheme}://{address.netloc}"
        self._warnings = {"stocks": FEED_WARNINGS.get(stock_feed, ""), "options": FEED_WARNINGS.get(option_feed, "")}
        self._urls = {"stocks": f"{base}/v2/{stock_feed}", "options": f"{base}/v1beta1/{option_feed}"}
        wall, calendar = clock or WallClock(), calendar or SessionCalendar.xnys()
        history = AlpacaHistory(
            self._vendor,
            self._keys,
            rest_base or REST_BASE,
            feed=stock_feed,
            clock=wall,
            times=rest_times,
            is_trading=trading_test(calendar),
            requests_per_minute=requests_per_minute,
        )
        info = SourceInfo(
            name="alpaca",
            detail=f"{address.netloc}, stocks {_said(stock_feed)}, options {_said(option_feed)}",
            has_trades="trades" in channels,
            has_quotes="quotes" in channels,
            is_partial_tape=stock_feed == "iex",
            has_chains=True,
        )
        chains = AlpacaChains(history, self._vendor, feed=option_feed, source="alpaca", clock=wall, calendar=calendar)
        most = MOST_CONTRACTS[option_feed]
        super().__init__(info, history, chains, most_contracts=most, clock=wall, calendar=calendar, poll_s=poll_s, seed=seed)

    def _make_stream(self, market: str, listener: Listener) -> AlpacaStream:
        return AlpacaStream(
            self._vendor,
            self._keys,
            market,
            self._channels,
            listener,
            url=self._urls[market],
            feed=self._warnings[market],
            clock=self.clock,
            calendar=self._calendar,
            times=self._stream_times,
            rng=self._rng.spawn(1)[0],
        )

    def _make_reader(self, market: str, symbols: SymbolTable) -> FrameReader:
        return FrameReader(symbols, is_options=market == "options")

    def _hide(self, text: str) -> str:
        for key in self._keys:
            text = key.hide_in(text)
        return text

    def _take_other(self, market: str, event: Any, ts_recv: int) -> Any:  # noqa: ARG002
        sink, leg = self._sink, self._legs.get(market)
        if isinstance(event, Correction):
            if sink is not None:
                sink.on_correction(event.symbol, event.ts_event, event.reason)
            return None
        if isinstance(event, HaltEvent):
            if leg is not None and isinstance(leg.stream, AlpacaStream):
                leg.stream.note_halt(event)
            return None
        return event


def _said(feed: str) -> str:
    return FEED_WARNINGS.get(feed, feed.upper())
