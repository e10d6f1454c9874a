"""The tile heat map: every strike and width of a strategy at one DTE with what it costs, as a state and as differences of states.

In: columns of quotes of one root and expiry. Out: Tile by key, TileState, TileDiff; `grid` lays a state out as strike x width.

A key is `{strategy}:{dte}:{width}:{strike}`, width 0 for single contracts, numbers with the fewest decimals that are exact. It names
a tile of one root: SPX and SPXW of one date are two maps. DTE counts from New York's date, so at midnight keys change (`rekeyed`).

A tile has a side of calls and one of puts. A butterfly stands in the middle of its wings; a vertical buys the strike and sells the
one a width further out of the money. `mid`, `natural` (buy at the ask, sell at the bid) and `theo` (a model's) are debits per share
[USD], kept apart; None is missing. A mid below 0 or above the width is a bad quote, not an opportunity.

Floor 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import RecordError, choices
from workbench.options.black import Floats
from workbench.options.implied import IvStatus
from workbench.options.quotes import QuoteLimits, quote_status
from workbench.sessions import to_ny

STRATEGIES = ("single", "vertical", "butterfly")
PRICES = ("mid", "natural", "theo")
MILLS = 1000  # strikes are exact to a thousandth of a dollar
ANY_SPREAD = 1e300

# strategy -> legs as (steps of width towards out of the money, quantity); a butterfly's are the same from either side
_LEGS: dict[str, tuple[tuple[int, int], ...]] = {
    "single": ((0, 1),),
    "vertical": ((0, 1), (1, -1)),
    "butterfly": ((-1, 1), (0, -2), (1, 1)),
}


class TileStatus(StrEnum):
    """Whether a tile's mid can be relied on, and why not."""

    OK = "ok"
    MISSING = "missing quote"
    NO_BID = "no bid"
    BAD_QUOTE = "bad quote"


class TileKey(NamedTuple):
    """What a key names."""

    strategy: str
    dte: int
    width: float
    strike: float


@dataclass(frozen=True, slots=True)
class TileSide:
    """One side of a tile, debits per share [USD]; None is missing. `mid_usd` is shown with BAD_QUOTE too, but never ranked."""

    mid_usd: float | None
    natural_usd: float | None
    theo_usd: float | None
    status: TileStatus


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile; a side is None where one of its contracts is not listed."""

    call: TileSide | None
    put: TileSide | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tile bought for a debit brings at expiry, per share [USD]."""

    max_profit_usd: float  # inf: no limit
    max_loss_usd: float
    break_evens_usd: tuple[float, ...]


@dataclass(frozen=True)
class TileState:
    """All tiles of one root at one moment. `version` grows by one with every state."""

    symbol: str
    ts_ns: int
    version: int
    tiles: Mapping[str, Tile]
    dtes_available: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form, for JSON; a TileDiff has the same, with `changed` and `removed` for `tiles`."""
        return {**_head(self), "tiles": {key: _plain(tile) for key, tile in self.tiles.items()}}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TileState:
        """Return the state of a plain form; RecordError when it is none."""
        symbol, ts_ns, version, dtes = _read_head(plain)
        return cls(symbol, ts_ns, version, _read_tiles(plain, "tiles"), dtes)


@dataclass(frozen=True)
class TileDiff:
    """What changed from the state whose version is one less."""

    symbol: str
    ts_ns: int
    version: int
    changed: Mapping[str, Tile]
    removed: tuple[str, ...]
    dtes_available: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the message that goes to readers, for JSON."""
        return {**_head(self), "changed": {key: _plain(tile) for key, tile in self.changed.items()}, "removed": list(self.removed)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TileDiff:
        """Return the difference that a message tells; RecordError when it tells none."""
        symbol, ts_ns, version, dtes = _read_head(plain)
        removed = plain.get("removed")
        if not isinstance(removed, list) or not all(isinstance(key, str) for key in removed):
            raise RecordError(f"removed: received {removed!r}; allowed: a list of keys")
        return cls(symbol, ts_ns, version, _read_tiles(plain, "changed"), tuple(removed), dtes)


# -- keys -----------------------------------------------------------------------------------------------------------------------------


def tile_key(strategy: str, dte: int, width: float | Decimal, strike: float | Decimal) -> str:
    """Return the key of a tile: 'butterfly:0:2.5:607.5'."""
    if strategy not in STRATEGIES:
        raise RecordError(f"strategy: received {choices(strategy, STRATEGIES)}")
    if (width == 0) != (strategy == "single") or width < 0:
        raise RecordError(f"width: received {width!r} for a {strategy}; allowed: 0 for single, above 0 otherwise")
    return f"{strategy}:{dte}:{_shortest(width)}:{_shortest(strike)}"


def parse_key(key: str) -> TileKey:
    """Return what a key names; RecordError when it is none."""
    parts = key.split(":")
    try:
        strategy, dte, width, strike = parts[0], int(parts[1]), float(parts[2]), float(parts[3])
        if len(parts) == 4 and tile_key(strategy, dte, width, strike) == key:
            return TileKey(strategy, dte, width, strike)
    except (ValueError, IndexError):
        pass
    raise RecordError(f"tile key: received {key!r}; allowed: strategy:dte:width:strike, as butterfly:0:20:6000")


def _shortest(x: float | Decimal) -> str:
    return f"{Decimal(str(x)).normalize():f}"


# -- tiles ----------------------------------------------------------------------------------------------------------------------------


def outcome(strategy: str, right: str, width: float, strike: float, debit_usd: float) -> Outcome:
    """Return best, worst and break-evens at expiry of a tile bought for `debit_usd` a share.

    Example: outcome("butterfly", "C", 20, 6000, 1.6) -> 18.4, 1.6, (5981.6, 6018.4)
    """
    cp = 1.0 if right == "C" else -1.0
    if strategy == "single":
        best = math.inf if right == "C" else strike - debit_usd
        return Outcome(best, debit_usd, (strike + cp * debit_usd,))
    if strategy == "vertical":
        return Outcome(width - debit_usd, debit_usd, (strike + cp * debit_usd,))
    reach = width - debit_usd
    return Outcome(reach, debit_usd, (strike - reach, strike + reach) if reach > 0 else ())


def build_tiles(
    strategy: str,
    dte: int,
    widths: Iterable[float],
    strike: ArrayLike,
    right: ArrayLike,
    bid_usd: ArrayLike,
    ask_usd: ArrayLike,
    *,
    age_s: ArrayLike = 0.0,
    theo_usd: ArrayLike = np.nan,
    limits: QuoteLimits | None = None,
) -> dict[str, Tile]:
    """Return key -> tile of one strategy for every strike and width that the contracts allow.

    Parameters
    ----------
    widths : floats                         [USD], > 0; not asked for single.
    strike, right, bid_usd, ask_usd, age_s, theo_usd : shape (n,)
                                            Contracts of one root and expiry, each once, in any order; NaN is missing.
    limits : QuoteLimits                    Too old or too wide for a mid.
    """
    board = _Board.of(strike, right, bid_usd, ask_usd, age_s, theo_usd, limits or QuoteLimits())
    tiles: dict[str, Tile] = {}
    for width in [0.0] if strategy == "single" else sorted(set(widths)):
        calls, puts = (board.sides(strategy, width, right) for right in ("C", "P"))
        for k, call, put in zip(board.strikes, calls, puts, strict=True):
            if call is not None or put is not None:
                tiles[tile_key(strategy, dte, width, k)] = Tile(call, put)
    return tiles


@dataclass(frozen=True)
class _Board:
    """Quotes by side (call 0, put 1) and strike; NaN and a status where a contract is not listed."""

    strikes: list[float]
    mills: NDArray[np.int64]  # the same in thousandths, in order
    mid: Floats  # (2, n); so are those below
    buy: Floats
    sell: Floats
    theo: Floats
    is_listed: NDArray[np.bool_]
    status: NDArray[np.int8]  # IvStatus of the quote

    @classmethod
    def of(
        cls, strike: ArrayLike, right: ArrayLike, bid: ArrayLike, ask: ArrayLike, age_s: ArrayLike, theo: ArrayLike, limits: QuoteLimits
    ) -> _Board:
        k, b, a, age, model = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (strike, bid, ask, age_s, theo)))
        mills, column = np.unique(np.rint(k * MILLS).astype(np.int64), return_inverse=True)
        at = (np.where(np.asarray(right) == "C", 0, 1), column)
        status = quote_status(b, a, age, limits)
        told = quote_status(b, a, age, QuoteLimits(limits.max_age_s, ANY_SPREAD))  # wide, but somebody stands there
        is_told = (told == IvStatus.OK) | (told == IvStatus.NO_BID)

        def placed(values: Any, empty: Any) -> NDArray[Any]:
            out = np.full((2, len(mills)), empty)
            out[at] = values
            return out

        return cls(
            strikes=(mills / MILLS).tolist(),
            mills=mills,
            mid=placed(np.where(status == IvStatus.OK, 0.5 * (b + a), np.nan), np.nan),
            buy=placed(np.where(is_told, a, np.nan), np.nan),
            sell=placed(np.where(is_told & (b > 0), b, np.nan), np.nan),
            theo=placed(model, np.nan),
            is_listed=placed(True, False),
            status=placed(status, np.int8(IvStatus.MISSING)),
        )

    def sides(self, strategy: str, width: float, right: str) -> list[TileSide | None]:
        """Return the side of every strike, None where a leg is not listed."""
        row, outward = (0, 1) if right == "C" else (1, -1)
        n = len(self.mills)
        mid, natural, theo = np.zeros(n), np.zeros(n), np.zeros(n)
        is_listed, statuses = np.ones(n, np.bool_), []
        for steps, qty in _LEGS[strategy]:
            goal = self.mills + outward * steps * round(width * MILLS)
            leg = np.minimum(np.searchsorted(self.mills, goal), n - 1)
            is_listed &= (self.mills[leg] == goal) & self.is_listed[row, leg]
            mid += qty * self.mid[row, leg]
            natural += qty * (self.buy if qty > 0 else self.sell)[row, leg]
            theo += qty * self.theo[row, leg]
            statuses.append(self.status[row, leg])
        most = width if strategy != "single" else np.inf
        code = _worst(statuses, (mid < -1e-9) | (mid > most + 1e-9) | (natural < -1e-9))
        columns = (x.tolist() for x in (np.round(mid, 6), np.round(natural, 6), theo, code, is_listed))
        return [
            TileSide(_or_none(m), _or_none(a), _or_none(t), _STATUSES[c]) if listed else None
            for m, a, t, c, listed in zip(*columns, strict=True)
        ]


_STATUSES = (TileStatus.OK, TileStatus.NO_BID, TileStatus.MISSING, TileStatus.BAD_QUOTE)


def _worst(statuses: list[NDArray[np.int8]], is_impossible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each tile the index into _STATUSES of the worst of its legs."""
    ranks = np.full(len(IvStatus), 3)
    ranks[IvStatus.OK], ranks[IvStatus.NO_BID], ranks[IvStatus.MISSING] = 0, 1, 2
    return np.where(is_impossible, 3, np.max([ranks[status] for status in statuses], axis=0))


def _or_none(x: float) -> float | None:
    return None if math.isnan(x) else x


# -- states and their differences -----------------------------------------------------------------------------------------------------


def diff(before: TileState, after: TileState) -> TileDiff:
    """Return what changed between two states, one version apart; nothing changed is a difference too."""
    if before.symbol != after.symbol or after.version != before.version + 1:
        raise RecordError(
            f"diff: received {before.symbol} version {before.version} and {after.symbol} version {after.version}; "
            "allowed: one symbol, versions one apart; next: send the whole state"
        )
    changed = {key: tile for key, tile in after.tiles.items() if before.tiles.get(key) != tile}
    removed = tuple(key for key in before.tiles if key not in after.tiles)
    return TileDiff(after.symbol, after.ts_ns, after.version, changed, removed, after.dtes_available)


def apply(change: TileDiff, state: TileState) -> TileState:
    """Return the state after a difference: apply(diff(a, b), a) == b. RecordError on a gap in versions: load the whole state then."""
    if change.symbol != state.symbol or change.version != state.version + 1:
        raise RecordError(
            f"apply: received {change.symbol} version {change.version} on {state.symbol} version {state.version}; "
            f"allowed: {state.symbol} version {state.version + 1}; next: load the whole state"
        )
    gone = set(change.removed)
    tiles = {**{key: tile for key, tile in state.tiles.items() if key not in gone}, **change.changed}
    return TileState(change.symbol, change.ts_ns, change.version, tiles, change.dtes_available)


def rekeyed(state: TileState, ts_ns: int) -> TileState:
    """Return the state for a moment on a later New York date: every DTE less by the days between; what has expired is gone."""
    days = (to_ny(ts_ns).date() - to_ny(state.ts_ns).date()).days
    if days < 0:
        raise RecordError(f"ts_ns: received {to_ny(ts_ns):%Y-%m-%d}; allowed: {to_ny(state.ts_ns):%Y-%m-%d} of the state, or later")
    keys = {key: parse_key(key) for key in state.tiles}
    tiles = {tile_key(of.strategy, of.dte - days, of.width, of.strike): state.tiles[key] for key, of in keys.items() if of.dte >= days}
    dtes = tuple(dte - days for dte in state.dtes_available if dte >= days)
    return TileState(state.symbol, ts_ns, state.version + 1, tiles, dtes)


def grid(state: TileState, strategy: str, dte: int, right: str, price: str) -> tuple[Floats, Floats, Floats]:
    """Return (strikes (n,), widths (m,), debits (n, m)) of one strategy, side and kind of price; NaN where missing or a bad quote."""
    if price not in PRICES:
        raise RecordError(f"price: received {choices(price, PRICES)}")
    cells = [(of, state.tiles[key]) for key in state.tiles if (of := parse_key(key)).strategy == strategy and of.dte == dte]
    strikes, widths = np.unique([of.strike for of, _ in cells]), np.unique([of.width for of, _ in cells])
    out = np.full((len(strikes), len(widths)), np.nan)
    for of, tile in cells:
        side = tile.call if right == "C" else tile.put
        debit = getattr(side, f"{price}_usd") if side and (price == "theo" or side.status != TileStatus.BAD_QUOTE) else None
        out[np.searchsorted(strikes, of.strike), np.searchsorted(widths, of.width)] = np.nan if debit is None else debit
    return strikes, widths, out


# -- the plain form -------------------------------------------------------------------------------------------------------------------


def _head(of: TileState | TileDiff) -> dict[str, Any]:
    return {"symbol": of.symbol, "ts": of.ts_ns, "version": of.version, "dtes_available": list(of.dtes_available)}


def _plain(tile: Tile) -> dict[str, Any]:
    return {name: _plain_side(side) for name, side in (("call", tile.call), ("put", tile.put))}


def _plain_side(side: TileSide | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {"mid": side.mid_usd, "natural": side.natural_usd, "theo": side.theo_usd, "status": side.status.value}


def _read_head(plain: Mapping[str, Any]) -> tuple[str, int, int, tuple[int, ...]]:
    symbol, ts_ns, version, dtes = (plain.get(name) for name in ("symbol", "ts", "version", "dtes_available"))
    if isinstance(symbol, str) and isinstance(ts_ns, int) and isinstance(version, int) and isinstance(dtes, list):
        return symbol, ts_ns, version, tuple(dtes)
    raise RecordError(
        f"tiles: received symbol {symbol!r}, ts {ts_ns!r}, version {version!r}; allowed: text and whole numbers, a list of DTEs"
    )


def _read_tiles(plain: Mapping[str, Any], name: str) -> dict[str, Tile]:
    try:
        return {key: Tile(*(_read_side(tile[side]) for side in ("call", "put"))) for key, tile in plain[name].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{name}: received what is no tile ({error!r}); allowed: key -> call and put") from None


def _read_side(plain: Mapping[str, Any] | None) -> TileSide | None:
    return None if plain is None else TileSide(plain["mid"], plain["natural"], plain["theo"], TileStatus(plain["status"]))
