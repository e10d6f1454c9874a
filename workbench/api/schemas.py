"""What the API says, field by field: the models behind its OpenAPI page, and the ones that its tests hold every answer against.

Times are integer ns UTC (`ts_ns`: the market's clock, a replay's own). What is unknown is null, never 0. A number has the shortest
text that reads back to the same double.

Floor 8: pydantic only.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Price = Annotated[float | None, Field(description="[USD]; null when unknown")]


class Told(BaseModel):
    """Base of everything that the API says."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Told):
    """Every refusal and failure has this one shape."""

    error: str = Field(
        description="one sentence: the parameter, what came, what is allowed",
        examples=["limit: received '0'; allowed: 1 to 5000"],
    )


# -- bars ---------------------------------------------------------------------------------------------------------------------


class Bar(Told):
    """OHLCV of [ts_open, ts_close). The fields of `BAR_DTYPE` under its names; symbol and timeframe stand beside the list."""

    ts_open: int = Field(description="[ns UTC]")
    ts_close: int = Field(description="[ns UTC]")
    open: Price
    high: Price
    low: Price
    close: Price
    volume: float | None = Field(description="shares or contracts")
    vwap: Price
    vw_std: float | None = Field(description="volume-weighted standard deviation of the prices inside the bar [USD]")
    n_trades: float | None
    seq: int = Field(description="number of the bar's newest change; 0 for bars older than the hub holds, and for bars still open")
    revision: int = Field(description="corrections of this bar, from 0")
    source: int = Field(ge=0, le=5, description="0 unknown, 1 trades, 2 provider's stream, 3 provider's history, 4 file, 5 simulated")
    is_partial: int = Field(ge=0, le=1, description="1: still open")
    is_complete: int = Field(ge=0, le=1, description="0: the feed was away for part of the bar")


class SeriesPart(Told):
    """Bars of one symbol and timeframe."""

    symbol: str
    timeframe: str
    seq: int = Field(description="number of the newest change of this series that is told")
    bars: list[Bar] = Field(description="closed bars; by time in a bootstrap, by number of change in a `bar` event")
    forming: list[Bar] | None = Field(
        description="the bars still open, oldest first, normally none or one; null: as last told. "
        "One that opens at or before the newest closed bar is over."
    )


class HistoryPage(SeriesPart):
    """A page of closed bars, and where to go on."""

    epoch: int = Field(description="life of the hub that the numbers belong to [ms UTC of its start]")
    hub_seq: int = Field(description="go on with since_seq=epoch:hub_seq, here or on the stream")
    capacity: int = Field(description="closed bars that the hub holds of a series at most")
    is_gap: bool = Field(description="since_seq is out of reach: forget what you hold, `bars` are the newest ones")
    has_more: bool = Field(description="more changes wait (go on from hub_seq), or older bars may exist (go on from next_before)")
    next_before: int | None = Field(description="`before` of the next older page; null: there is none, or since_seq was given")


# -- the market now -----------------------------------------------------------------------------------------------------------


class Trade(Told):
    """A print."""

    symbol: str
    ts_event: int
    price: float
    size: float
    ts_recv: int
    conditions: list[int]
    exchange: int
    tape: int
    sequence: int
    id: str


class Quote(Told):
    """Top of book; a side without a quote is null."""

    symbol: str
    ts_event: int
    bid: Price
    ask: Price
    bid_size: float
    ask_size: float
    ts_recv: int
    sequence: int
    condition: int
    exchange: int


class Board(Told):
    """A watchlist line."""

    symbol: str
    last: Price
    change: Price
    change_pct: float | None
    gap_pct: float | None
    volume: float | None
    relative_volume: float | None
    day_open: Price
    day_high: Price
    day_low: Price
    prev_close: Price
    ts_ns: int | None


class VwapPoint(Told):
    """Average price of the present regular session at one of its minutes, with bands of 1 and 2 standard deviations."""

    ts_open: int
    vwap: Price
    upper1: Price
    lower1: Price
    upper2: Price
    lower2: Price


class SymbolQuotes(Told):
    """All that is newest of one symbol."""

    symbol: str
    quote: Quote | None
    trade: Trade | None
    board: Board
    vwap: list[VwapPoint]
    microbar: Bar | None = Field(description="the newest 50 ms bar")


class Quotes(Told):
    """The newest of every symbol asked for."""

    epoch: int
    ts_ns: int
    quotes: list[SymbolQuotes]


class Health(Told):
    """How far the feed (symbol null), or one symbol of it, can be trusted."""

    mode: str = Field(description="STARTING, LIVE, BACKFILLING, DEGRADED, STALE, CLOSED, REPLAY or REFUSED")
    reason: str
    source: str
    symbol: str | None
    ts_ns: int
    segment: str = Field(description="PRE, RTH, AH or CLOSED")
    age_s: float | None = Field(description="since the last event; null before the first")
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    n_events: Count
    gaps: Count
    gaps_repaired: Count
    backfilling: Count
    dropped: Count
    errors: Count
    queued: Count
    quarantined: dict[str, int] = Field(description="reason -> events")
    history_trouble: str = Field(description="why history can't be read at present; empty when it can")
    agreement_frac: float | None = Field(description="share of closed minutes that agree with a second provider's; null when not measured")
    agreement: str = Field(description="that in a sentence; empty without a second provider")


class MarketStatus(Told):
    """Where the data comes from and how the market stands."""

    source: str = Field(description="polygon, massive, alpaca, simulated, replay, rest or fallback")
    detail: str
    session: str = Field(description="PRE, RTH, AH or CLOSED")
    mode: str
    reason: str
    ts_ns: int
    is_replay: bool
    has_trades: bool
    has_quotes: bool
    has_chains: bool = Field(description="whether /api/chain has something to tell")
    delay_ns: int = Field(description="how late the feed is by contract")
    bar_lengths_ns: dict[str, int] = Field(description="symbol -> length of its bars, where nothing shorter is known of it")
    epoch: int
    seq: int


class Expiries(Told):
    """Which expiry dates an underlying's options have."""

    underlying: str
    expiries: list[date] = Field(description="listed and not over, ascending")


Amount = Annotated[float | None, Field(description="contracts; null when unknown")]


class Contract(Told):
    """One option contract, a row of `CHAIN_DTYPE` under its names."""

    symbol: str = Field(description="OCC, without O: and padding")
    root: str
    expiry: date
    expiry_ns: int = Field(description="the instant that decides [ns UTC]; 0: outside the calendar")
    strike: float
    right: Literal["C", "P"]
    bid: Price = Field(description="[USD]; 0: nobody bids; null: unknown")
    ask: Price = Field(description="[USD]; 0: nobody offers; null: unknown")
    last: Price
    bid_size: Amount
    ask_size: Amount
    volume: Amount
    open_interest: Amount
    vendor_iv: float | None = Field(description="as the provider told it")
    vendor_delta: float | None = Field(description="as the provider told it")
    vendor_gamma: float | None = Field(description="as the provider told it")
    ts_ns: int = Field(description="of the quote [ns UTC]; 0: unknown")
    is_standard: bool = Field(description="false: a corporate action changed what is delivered")


class ChainPage(Told):
    """All contracts of one expiry date, as they stand."""

    underlying: str
    expiry: date
    version: str = Field(description="of this answer; send it as `since` with the next question")
    is_changed: bool = Field(description="false: nothing has changed since `since`, and no rows are told")
    is_loaded: bool
    reason: str = Field(description="what is wrong with the chain, in one sentence; empty when nothing is")
    n_live: int = Field(ge=0, description="contracts around the money that are subscribed; the others are as of the last snapshot")
    source: str
    spot: Price
    spot_ts_ns: int
    asof_ns: int = Field(description="[ns UTC]")
    notes: list[str]
    rows: list[Contract]


class SymbolList(Told):
    """What can be asked for."""

    watched: list[str] = Field(description="followed now, in the order they were added")
    known: list[str] | None = Field(description="all that the source has; null: it can't list them")
    timeframes: list[str]


class Gap(Told):
    """[start_ns, end_ns) of one symbol that is not yet proved complete."""

    symbol: str
    start_ns: int
    end_ns: int
    reason: str
    is_hopeless: bool = Field(description="the provider said that asking again is of no use")


class Recording(Told):
    """How recording goes."""

    is_on: bool
    reason: str = Field(description="one sentence, with the next step when there is trouble")
    trouble: str = Field(description="what keeps events from being recorded, empty when nothing does")
    recorded: dict[str, int] = Field(description="kind -> events recorded")
    lost: dict[str, int] = Field(description="kind -> events that the disk refused")


class Quality(Told):
    """How good the data is."""

    epoch: int
    seq: int
    is_idle: bool = Field(description="everything that the source has told is applied")
    feed: Health
    symbols: list[Health]
    gaps: list[Gap]
    quarantined: dict[str, int] = Field(description="reason -> events put aside since the start")
    recording: Recording | None = Field(description="null where a hub elsewhere records")


# -- switches -----------------------------------------------------------------------------------------------------------------


class Flag(Told):
    """A switch that can be thrown while the hub runs; kept over restarts."""

    name: str
    is_on: bool
    description: str


class Flags(Told):
    """All switches."""

    flags: list[Flag]


class Replay(Told):
    """Where a replay (or an accelerated simulation) stands."""

    ts_ns: int
    speed: float
    is_paused: bool
    start_ns: int = Field(description="first moment that can be sought [ns UTC]")
    end_ns: int = Field(description="last moment that can be sought [ns UTC]")


# -- the service itself -------------------------------------------------------------------------------------------------------


class Probe(Told):
    """Answer of a probe: 200 with is_ok true, or 503 with the reason."""

    is_ok: bool
    reason: str
    mode: str


class Versions(Told):
    """What runs."""

    workbench: str
    python: str
    numpy: str
    fastapi: str
    uvicorn: str


class Diag(Told):
    """For whoever looks after the hub."""

    epoch: int
    seq: int
    source: str
    uptime_s: float
    memory_bytes: int | None = Field(description="resident; null where the system does not tell")
    threads: list[str]
    watched: Count
    streams: Count = Field(description="SSE readers attached")
    subscriptions: Count = Field(description="distinct sets of symbols and timeframes among them")
    slowest_lag: Count = Field(description="bar changes that the slowest reader has not been sent yet")
    versions: Versions


# -- events of the stream -----------------------------------------------------------------------------------------------------


class EpochEvent(Told):
    """`epoch`: first on every connection, and again when the hub was reset. No id."""

    epoch: int
    seq: int
    ts_ns: int
    version: str
    heartbeat_s: float


class BootstrapEvent(Told):
    """`bootstrap`: all of one symbol at one moment. The last of them (`is_last`) has the id; the others none."""

    epoch: int
    seq: int
    symbol: str
    series: list[SeriesPart]
    health: Health
    trade: Trade | None
    quote: Quote | None
    is_last: bool


class BarEvent(Told):
    """`bar`: what changed since the last one, all series in one event. Has an id when it tells of closed bars.

    Every change of a closed bar with a number up to `seq` has been told then.
    """

    epoch: int
    seq: int
    ts_ns: int
    series: list[SeriesPart]


class SymbolMicrobar(Told):
    """The newest 50 ms bar of one symbol."""

    symbol: str
    bar: Bar


class MicrobarEvent(Told):
    """`microbar`: the newest 50 ms bars that are new. No id."""

    microbars: list[SymbolMicrobar]


class SymbolTick(Told):
    """Newest print and quote of one symbol."""

    symbol: str
    trade: Trade | None
    quote: Quote | None


class TickEvent(Told):
    """`tick`: symbols of which a print or quote came since the last one; only the newest of each is told. No id."""

    ts_ns: int
    ticks: list[SymbolTick]


class HealthEvent(Told):
    """`health`: of the feed (symbol null) and of symbols, those that changed. Ages and counts of events do not count as change. No id."""

    health: list[Health]


class HeartbeatEvent(Told):
    """`heartbeat`: every 10 s, with how this reader keeps up. No id."""

    epoch: int
    seq: int
    ts_ns: int
    queued_bytes: Count = Field(description="written but not yet taken by the socket")
    skipped_ticks: Count = Field(description="ticks conflated so far, because this reader was slow")
    lag: Count = Field(description="bar changes not yet sent to this reader")


class SeriesName(Told):
    """Which series."""

    symbol: str
    timeframe: str


class ResetEvent(Told):
    """`reset`: forget these series; a `bootstrap` of them follows, and carries the id."""

    epoch: int
    seq: int
    reason: str
    series: list[SeriesName]
