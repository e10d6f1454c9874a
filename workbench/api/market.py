"""Routes about the market: history, status, symbols, quality, newest prices, and the stream of all of them.

Floor 8.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from workbench.api import schemas
from workbench.api.context import Context
from workbench.api.encode import Position, bar_rows
from workbench.api.errors import Refused, responses
from workbench.api.feed import Wanted, changes_of
from workbench.api.params import MAX_STREAM_BARS, HistoryQuery, Nothing, QuotesQuery, Since, StreamQuery, series_of, split
from workbench.api.stream import MarketStream
from workbench.hub.board import VWAP_DTYPE
from workbench.hub.series import Series
from workbench.types import TIMEFRAMES

STREAM_DOC = """Server-sent events: first `epoch`, then `bootstrap` for each symbol (or, resuming, one `bar` with all that was missed), then
`bar`, `microbar`, `tick`, `health` as they come and `heartbeat` every 10 s. Only `bootstrap` and `bar` move the id (`epoch:seq`); a
connection that sends it back as `Last-Event-ID`, or as `since_seq`, is told every later change of a closed bar once. What can't be
told any more begins with one `reset` (forget these series) and a `bootstrap`. Open bars, prints and quotes are told at most 20 times a
second, only the newest of each. A reader that takes nothing for 20 s is cut off."""

EVENTS = (
    schemas.EpochEvent,
    schemas.BootstrapEvent,
    schemas.BarEvent,
    schemas.MicrobarEvent,
    schemas.TickEvent,
    schemas.HealthEvent,
    schemas.HeartbeatEvent,
    schemas.ResetEvent,
)


def market_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["market"])
    hub = context.hub

    @router.get("/api/history", response_model=schemas.HistoryPage, responses=responses(404, 422, 500, 503))
    async def history(asked: Annotated[HistoryQuery, Query()]) -> Response:
        """Closed bars of a symbol, the newest ones or those before a moment (oldest first), or what changed since a number.

        Older pages: `before=next_before` while `has_more`. Later changes: `since_seq=epoch:hub_seq`, here or on the stream.
        """
        if asked.before is not None and asked.since_seq is not None:
            raise Refused(422, "since_seq: received together with before; allowed: one of them")
        await context.watch.ensure([asked.symbol])
        page = await context.read(lambda: _page(context, asked))
        return context.answer(page, headers=context.market_headers())

    @router.get("/api/market/status", response_model=schemas.MarketStatus, responses=responses(422, 500))
    async def status(_: Annotated[Nothing, Query()]) -> Response:
        """Where the data comes from, which part of the trading day it is, and how far the feed can be trusted.

        Also as headers `X-Market-Source` and `X-Market-Reason`.
        """
        return context.answer(await context.read(lambda: _status(context)), headers=context.market_headers())

    @router.get("/api/symbols", response_model=schemas.SymbolList, responses=responses(422, 500))
    async def symbols(_: Annotated[Nothing, Query()]) -> Response:
        """What is followed now, and what can be asked for."""
        known = list(hub.source_info.symbols) or None
        return context.answer({"watched": hub.watched(), "known": known, "timeframes": list(TIMEFRAMES)})

    @router.get("/api/quality", response_model=schemas.Quality, responses=responses(422, 500))
    async def quality(_: Annotated[Nothing, Query()]) -> Response:
        """How good the data is: health of the feed and of each symbol, spans not yet proved complete, events put aside."""
        return context.answer(await context.read(lambda: _quality(context)), headers=context.market_headers())

    @router.get("/api/quotes", response_model=schemas.Quotes, responses=responses(404, 422, 500, 503))
    async def quotes(asked: Annotated[QuotesQuery, Query()]) -> Response:
        """The newest quote, print, watchlist line and average price of symbols."""
        names = hub.watched() if asked.symbols is None else split(asked.symbols)
        if asked.symbols is not None:
            await context.watch.ensure(names)
        told = await context.read(
            lambda: {"epoch": hub.epoch, "ts_ns": hub.clock.now_ns(), "quotes": [_newest(context, name, asked.vwap) for name in names]}
        )
        return context.answer(told, headers=context.market_headers())

    @router.get(
        "/stream/market",
        description=STREAM_DOC,
        response_class=Response,
        responses={200: _events_doc(), **responses(404, 422, 500, 503)},
    )
    async def stream(
        asked: Annotated[StreamQuery, Query()],
        last_event_id: Annotated[str | None, Header(description="id of the last event received; wins over since_seq")] = None,
    ) -> Response:
        wanted = Wanted(series_of(asked.symbols, asked.timeframe), asked.n)
        n_bars = len(wanted.series) * asked.n
        if n_bars > MAX_STREAM_BARS:
            raise Refused(422, f"n: received {asked.n}, in all {n_bars:,} bars; allowed: series × n up to {MAX_STREAM_BARS:,}")
        since = Since.parse(last_event_id, "Last-Event-ID") if last_event_id else Since.parse(asked.since_seq) if asked.since_seq else None
        await context.watch.ensure(wanted.symbols, at_once=False)
        return MarketStream(context.streams, wanted, since, context.market_headers())

    return router


def _events_doc() -> dict[str, Any]:
    """Return what OpenAPI says about the stream: its events by name, each with the schema of its data."""
    named = {
        model.__name__.removesuffix("Event").lower(): model.model_json_schema(ref_template="#/components/schemas/{model}")
        for model in EVENTS
    }
    shapes = {name: {key: value for key, value in schema.items() if key != "$defs"} for name, schema in named.items()}
    return {"description": "events without end", "content": {"text/event-stream": {"schema": {"type": "string"}, "x-events": shapes}}}


def _page(context: Context, asked: HistoryQuery) -> dict[str, Any]:
    hub = context.hub
    epoch, upto = hub.epoch, hub.seq
    series = hub.series(asked.symbol, asked.timeframe)
    if asked.since_seq is not None:
        return _changes(series, Since.parse(asked.since_seq), Position(epoch, upto), asked.limit)
    forming = None
    if asked.before is None:
        update = series.snapshot(asked.limit)
        rows, forming = update.rows[update.rows["seq"] <= upto], update.forming
        first_ns = int(rows["ts_open"][0]) if len(rows) else hub.clock.now_ns()
        if len(rows) < asked.limit:
            rows = np.concatenate([hub.older(asked.symbol, asked.timeframe, first_ns, asked.limit - len(rows)), rows])
    else:
        rows = hub.older(asked.symbol, asked.timeframe, asked.before, asked.limit)
    has_more = len(rows) == asked.limit
    return {
        **_part(series, rows, min(series.seq, upto)),
        "forming": None if asked.before is not None else bar_rows(forming),
        "epoch": epoch,
        "hub_seq": upto,
        "capacity": series.capacity,
        "is_gap": False,
        "has_more": has_more,
        "next_before": int(rows["ts_open"][0]) if has_more else None,
    }


def _changes(series: Series, since: Since, upto: Position, limit: int) -> dict[str, Any]:
    """Return a page of changes in order; the newest bars when they can't be told any more."""
    place = Position(upto.epoch if since.epoch is None else since.epoch, since.seq)
    rows = changes_of(series, place, upto.seq) if place.epoch == upto.epoch and place.seq <= upto.seq else None
    is_gap = rows is None
    if rows is None:
        rows = series.rows(limit)
        rows = rows[rows["seq"] <= upto.seq]
    has_more = not is_gap and len(rows) > limit
    rows = rows[:limit]
    return {
        **_part(series, rows, min(series.seq, upto.seq)),
        "forming": bar_rows(series.forming),
        "epoch": upto.epoch,
        "hub_seq": int(rows["seq"][-1]) if has_more else upto.seq,
        "capacity": series.capacity,
        "is_gap": is_gap,
        "has_more": has_more,
        "next_before": None,
    }


def _part(series: Series, rows: Any, seq: int) -> dict[str, Any]:
    return {"symbol": series.symbol, "timeframe": series.timeframe.label, "seq": seq, "bars": bar_rows(rows)}


def _status(context: Context) -> dict[str, Any]:
    hub, info = context.hub, context.hub.source_info
    health = hub.health()
    return {
        "source": info.name,
        "detail": info.detail,
        "session": health.segment.name,
        "mode": health.mode,
        "reason": health.reason,
        "ts_ns": health.ts_ns,
        "is_replay": info.is_replay,
        "has_trades": info.has_trades,
        "has_quotes": info.has_quotes,
        "has_chains": info.has_chains,
        "delay_ns": info.delay_ns,
        "bar_lengths_ns": info.bar_lengths_ns,
        "epoch": hub.epoch,
        "seq": hub.seq,
    }


def _quality(context: Context) -> dict[str, Any]:
    hub = context.hub
    return {
        "epoch": hub.epoch,
        "seq": hub.seq,
        "is_idle": hub.is_idle,
        "feed": hub.health().to_dict(),
        "symbols": [hub.health(symbol).to_dict() for symbol in hub.watched()],
        "gaps": [{name: getattr(gap, name) for name in schemas.Gap.model_fields} for gap in hub.gaps],
        "quarantined": hub.quarantine.counts(),
        "recording": _recording(context),
    }


def _recording(context: Context) -> dict[str, Any] | None:
    recorder = context.engine.recorder
    if recorder is None:
        return None
    status = recorder.status()
    return {name: getattr(status, name) for name in schemas.Recording.model_fields}


def _newest(context: Context, symbol: str, n_vwap: int) -> dict[str, Any]:
    hub = context.hub
    micro = hub.microbar(symbol)
    names = VWAP_DTYPE.names or ()
    points = hub.vwap(symbol, n_vwap).tolist() if n_vwap else []
    return {
        "symbol": symbol,
        "quote": hub.quote(symbol),
        "trade": hub.last_trade(symbol),
        "board": hub.board(symbol),
        "vwap": [dict(zip(names, values, strict=True)) for values in points],
        "microbar": None if micro is None else bar_rows(micro)[0],
    }
