"""Dealer exposure of a chain: gamma, vanna and charm by strike and by expiry, walls, magnet, and the zero-gamma flip.

What is computed from quotes and open interest is the size of gamma at each strike. Whose it is nobody publishes: the sign is an
assumption (`DealerSign`), open interest is last night's, and both are said in `Convention.text`, to be printed beside every number.

In: columns of contracts, one row each, and a Convention. Out: Exposure. A contract that can't be computed has a status and is
counted, and no number stands in for it. Greeks are those of European options (`black.py`).

Floor 1: numpy; compiled kernels are loaded when something is asked.

Source: the formulas of public GEX programs (S·gamma·OI·100·S·0.01 and its two other scales); walls, magnet and flips as defined
below, since they disagree there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import RecordError, choices
from workbench.options.black import DAYS_PER_YEAR, TRADING_DAYS_PER_YEAR, Floats, sign
from workbench.options.gamma_profile import GammaProfile, Stickiness, Weighted, gamma_profile
from workbench.options.implied import fast_greeks

SHARES_PER_CONTRACT = 100.0


class GexUnit(Enum):
    """What gamma exposure is counted in; PCT = SHARES × S² × 0.01 = POINT × S × 0.01."""

    PCT = "pct"  # USD of delta for a move of 1 %
    POINT = "point"  # USD of delta for a move of one point
    SHARES = "shares"  # shares for a move of one point


class DealerSign(Enum):
    """Who holds the contracts: an assumption, never data."""

    CALLS_LONG = "calls-long"  # dealers long calls, short puts: calls +1, puts -1
    ALL_LONG = "all-long"  # dealers long both; also the plain size of gamma, without a sign
    ALL_SHORT = "all-short"  # customers bought everything


class SizeBasis(Enum):
    """How many contracts count as open."""

    OI = "oi"
    VOLUME = "volume"
    OI_VOLUME = "oi+volume"


class ExposureStatus(IntEnum):
    """Whether a contract is in the sums, and why not."""

    OK = 0
    NO_VOL = 1  # its quote implies no volatility
    NO_SIZE = 2  # open interest or volume is not told
    EXPIRED = 3
    ADJUSTED = 4  # delivers something else than 100 shares
    BAD_INPUT = 5  # a strike that is not above 0, a negative size

    @property
    def text(self) -> str:
        """For people."""
        return _STATUS_TEXT[self]


_STATUS_TEXT = {
    ExposureStatus.OK: "",
    ExposureStatus.NO_VOL: "no implied volatility",
    ExposureStatus.NO_SIZE: "no open interest or volume",
    ExposureStatus.EXPIRED: "expired, or no time left by this clock",
    ExposureStatus.ADJUSTED: "adjusted contract, not priced",
    ExposureStatus.BAD_INPUT: "impossible input",
}
_UNIT_TEXT = {
    GexUnit.PCT: "USD of delta per 1 % move",
    GexUnit.POINT: "USD of delta per 1 point",
    GexUnit.SHARES: "shares per 1 point",
}
_SIGN_TEXT = {
    DealerSign.CALLS_LONG: "calls +1, puts -1: dealers are taken to be long calls and short puts, which is an assumption, not data",
    DealerSign.ALL_LONG: "all +1: dealers are taken to be long everything, which is an assumption, not data",
    DealerSign.ALL_SHORT: "all -1: dealers are taken to be short everything, which is an assumption, not data",
}
_BASIS_TEXT = {
    SizeBasis.OI: "open interest, last night's: what was opened today is not in it",
    SizeBasis.VOLUME: "today's volume, opening and closing trades alike",
    SizeBasis.OI_VOLUME: "open interest of last night plus today's volume, as if every trade opened a contract",
}
_STICKY_TEXT = {
    Stickiness.STRIKE: "each strike keeps its volatility when the spot moves",
    Stickiness.MONEYNESS: "the smile moves along with the spot",
}
_SCALES = {GexUnit.PCT: (2, 0.01), GexUnit.POINT: (1, 1.0), GexUnit.SHARES: (0, 1.0)}  # power of the spot, factor


@dataclass(frozen=True, slots=True)
class Convention:
    """Everything two people have to agree on before they compare numbers."""

    unit: GexUnit = GexUnit.PCT
    sign: DealerSign = DealerSign.CALLS_LONG
    basis: SizeBasis = SizeBasis.OI
    stickiness: Stickiness = Stickiness.STRIKE
    charm_days: int = DAYS_PER_YEAR  # 365: charm per calendar day; 252: per trading day

    def __post_init__(self) -> None:
        if self.charm_days not in (DAYS_PER_YEAR, TRADING_DAYS_PER_YEAR):
            raise RecordError(f"charm_days: received {self.charm_days!r}; allowed: {DAYS_PER_YEAR}, {TRADING_DAYS_PER_YEAR}")

    @classmethod
    def parse(
        cls, *, unit: str = "pct", sign: str = "calls-long", basis: str = "oi", stickiness: str = "strike", charm_days: int = DAYS_PER_YEAR
    ) -> Convention:
        """Return the convention of those names; RecordError lists the allowed ones."""
        kinds = {"unit": (GexUnit, unit), "sign": (DealerSign, sign), "basis": (SizeBasis, basis), "stickiness": (Stickiness, stickiness)}
        for name, (kind, text) in kinds.items():
            if text not in [member.value for member in kind]:
                raise RecordError(f"{name}: received {choices(text, [str(member.value) for member in kind])}")
        return cls(GexUnit(unit), DealerSign(sign), SizeBasis(basis), Stickiness(stickiness), charm_days)

    @property
    def unit_text(self) -> str:
        """Unit of gamma exposure."""
        return _UNIT_TEXT[self.unit]

    @property
    def text(self) -> tuple[str, ...]:
        """The assumptions, one sentence each: to be shown with every number."""
        day = "calendar" if self.charm_days == DAYS_PER_YEAR else "trading"
        return (
            f"unit: {self.unit_text}; vanna in USD of delta per volatility point, charm in USD of delta per {day} day",
            f"sign: {_SIGN_TEXT[self.sign]}",
            f"size: {_BASIS_TEXT[self.basis]}",
            f"flip: every contract priced again at each spot, {_STICKY_TEXT[self.stickiness]}",
        )


# One strike, all expiries that were asked for. Gamma in the convention's unit, vanna [USD per volatility point], charm [USD per
# day]; sizes in contracts. 0 where nothing is listed, NaN where nothing that is listed could be computed.
STRIKE_DTYPE = np.dtype(
    [(name, "f8") for name in ("strike", "call_gex", "put_gex", "net_gex", "vex", "cex", "call_size", "put_size")] + [("n_missing", "i8")]
)
# One series: root and expiry as one number.
SERIES_DTYPE = np.dtype(
    [("series", "i8")]
    + [(name, "f8") for name in ("call_gex", "put_gex", "net_gex", "vex", "cex", "call_size", "put_size")]
    + [("n", "i8"), ("n_missing", "i8")]
)


@dataclass(frozen=True, slots=True)
class Contracts:
    """What every contract adds, one row each; NaN where `status` is not OK."""

    strike: Floats
    is_call: NDArray[np.bool_]
    series: NDArray[np.int64]
    size: Floats  # contracts
    gex: Floats
    vex: Floats
    cex: Floats
    status: NDArray[np.int8]  # ExposureStatus


@dataclass(frozen=True, slots=True)
class Levels:
    """Strikes that stand out [USD]; None where there is none. Of equals the one nearest to the spot.

    `strike_flip` and `cum_flip` are no zero-gamma levels: the first lies midway between neighbours whose net exposure differs in
    sign, the second is where exposure added up from the lowest strike crosses 0. The flip by pricing again is `Exposure.flip`.
    """

    call_wall: float | None  # most call exposure at or above the spot
    put_wall: float | None  # most put exposure at or below the spot
    absolute_wall: float | None  # largest net exposure, whatever its sign
    magnet: float | None  # largest net exposure above 0
    strike_flip: float | None
    cum_flip: float | None


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposure of a chain at one moment under one convention."""

    spot: float
    convention: Convention
    contracts: Contracts
    strikes: np.ndarray  # STRIKE_DTYPE, ascending
    by_series: np.ndarray  # SERIES_DTYPE, ascending
    levels: Levels
    profile: GammaProfile
    notes: tuple[str, ...] = field(default=())  # what is missing from the sums, for people

    @property
    def net_gex(self) -> float:
        """In the convention's unit; NaN when nothing could be computed."""
        return self._total("net_gex")

    @property
    def call_gex(self) -> float:
        """Part of `net_gex` that calls add."""
        return self._total("call_gex")

    @property
    def put_gex(self) -> float:
        """Part of `net_gex` that puts add."""
        return self._total("put_gex")

    @property
    def vex(self) -> float:
        """Vanna exposure [USD of delta per volatility point]."""
        return self._total("vex")

    @property
    def cex(self) -> float:
        """Charm exposure [USD of delta per day]."""
        return self._total("cex")

    @property
    def flip(self) -> float | None:
        """The zero-gamma spot nearest to the present one, by pricing again; None when there is none (`profile.reason` says why)."""
        return self.profile.flip

    @property
    def n_by_status(self) -> dict[ExposureStatus, int]:
        """How many contracts have each status, those with none left out."""
        codes, counts = np.unique(self.contracts.status, return_counts=True)
        return {ExposureStatus(int(code)): int(n) for code, n in zip(codes, counts, strict=True)}

    @property
    def covered_frac(self) -> float:
        """Share of the known size that is in the sums, 0-1; NaN when no size is known."""
        size = np.where(self.contracts.size > 0, self.contracts.size, 0.0)
        return float(size[self.contracts.status == ExposureStatus.OK].sum() / size.sum()) if size.sum() > 0 else float("nan")

    def _total(self, name: str) -> float:
        is_any = np.any(self.contracts.status == ExposureStatus.OK)
        return float(np.nansum(self.strikes[name])) if is_any else float("nan")


def exposure(
    spot: float,
    strike: ArrayLike,
    right: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    open_interest: ArrayLike,
    *,
    volume: ArrayLike = np.nan,
    rate: ArrayLike = 0.0,
    dividend_yield: ArrayLike = 0.0,
    series: ArrayLike = 0,
    is_standard: ArrayLike = True,
    convention: Convention | None = None,
) -> Exposure:
    """Return gamma, vanna and charm exposure of a chain, its levels, and net gamma over other spots.

    Per contract: sign × greek × size × 100, gamma times S² × 0.01 (PCT), S (POINT) or 1 (SHARES), vanna × 0.01 × S, charm per day × S.

    Parameters
    ----------
    spot : float                            [USD], > 0.
    strike, right                           Shape (n,); 'C' or 'P'.
    years, vol                              By one clock (`clocks.py`); a vol of NaN or 0 is none. One for all or shape (n,).
    open_interest, volume : float64         Contracts; NaN is unknown, 0 is none.
    rate, dividend_yield : float64          Continuous, per year.
    series : int                            Root and expiry as one number: SPX and SPXW of one date are two.
    is_standard : bool                      False: an adjusted contract, counted and not priced.
    convention : Convention

    Raises
    ------
    RecordError                             If the spot is not above 0 or a right is neither. Never for market data.
    """
    convention = convention or Convention()
    if not 0 < spot < np.inf:
        raise RecordError(f"spot: received {spot!r}; allowed: USD above 0")
    columns = (strike, years, vol, open_interest, volume, rate, dividend_yield, sign(right))
    k, t, v, oi, traded, r, q, cp = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in columns))
    group = np.broadcast_to(np.asarray(series, np.int64), k.shape)
    size = {SizeBasis.OI: oi, SizeBasis.VOLUME: traded, SizeBasis.OI_VOLUME: oi + traded}[convention.basis]
    status = _status(k, t, v, size, r, q, np.broadcast_to(np.asarray(is_standard, bool), k.shape))
    ok = status == ExposureStatus.OK
    held = np.where(ok, _sides(cp, convention.sign) * size * SHARES_PER_CONTRACT, np.nan)
    priced = Weighted(k[ok], t[ok], v[ok], r[ok], q[ok], held[ok], group[ok])
    contracts = Contracts(k, cp > 0, group, size, *_greeks(spot, priced, cp[ok], ok, held, convention), status)
    strikes = _by_strike(contracts)
    power, scale = _SCALES[convention.unit]
    profile = gamma_profile(spot, priced, power=power, scale=scale, stickiness=convention.stickiness)
    return Exposure(spot, convention, contracts, strikes, _by_series(contracts), levels(spot, strikes), profile, _notes(contracts))


def levels(spot: float, strikes: np.ndarray) -> Levels:
    """Return the strikes that stand out of a STRIKE_DTYPE table."""
    k, net, call, put = (np.nan_to_num(strikes[name]) for name in ("strike", "net_gex", "call_gex", "put_gex"))
    return Levels(
        call_wall=_largest(spot, k, np.where(k >= spot, np.abs(call), 0.0)),
        put_wall=_largest(spot, k, np.where(k <= spot, np.abs(put), 0.0)),
        absolute_wall=_largest(spot, k, np.abs(net)),
        magnet=_largest(spot, k, net),
        strike_flip=_strike_flip(spot, k, net),
        cum_flip=_cum_flip(spot, k, net),
    )


def _status(k: Floats, t: Floats, v: Floats, size: Floats, r: Floats, q: Floats, is_standard: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Return the ExposureStatus of each contract; the first that applies, in the order in which a person would ask."""
    is_bad = ~((k > 0) & np.isfinite(k)) | (size < 0) | np.isinf(size) | ~np.isfinite(r) | ~np.isfinite(q) | np.isinf(t)
    picks = [~is_standard, is_bad, t <= 0, np.isnan(size), ~((v > 0) & np.isfinite(v) & (t > 0))]
    names = [ExposureStatus.ADJUSTED, ExposureStatus.BAD_INPUT, ExposureStatus.EXPIRED, ExposureStatus.NO_SIZE, ExposureStatus.NO_VOL]
    return np.select(picks, [np.int8(name) for name in names], np.int8(ExposureStatus.OK)).astype(np.int8)


def _sides(cp: Floats, dealers: DealerSign) -> Floats:
    return {DealerSign.CALLS_LONG: cp, DealerSign.ALL_LONG: np.ones_like(cp), DealerSign.ALL_SHORT: -np.ones_like(cp)}[dealers]


def _greeks(
    spot: float, c: Weighted, cp: Floats, ok: NDArray[np.bool_], held: Floats, convention: Convention
) -> tuple[Floats, Floats, Floats]:
    """Return gamma, vanna and charm exposure of every contract, NaN where it has no status OK."""
    spots = np.full(len(c.strike), spot)  # not one number: numpy warns of a single row that was spread out when it is compiled for
    greeks = fast_greeks(spots, c.strike, c.years, c.rate, c.vol, np.where(cp > 0, "C", "P"), dividend_yield=c.dividend_yield)
    power, scale = _SCALES[convention.unit]
    factors = (
        (greeks.gamma_per_usd, scale * spot**power),
        (greeks.vanna_per_point, spot),
        (greeks.charm_per_year, spot / convention.charm_days),
    )
    columns = []
    for greek, factor in factors:
        column = np.full(len(ok), np.nan)
        column[ok] = held[ok] * greek * factor
        columns.append(column)
    return columns[0], columns[1], columns[2]


def _sums(c: Contracts, group: NDArray[np.int64], table: np.ndarray) -> np.ndarray:
    """Fill a table's columns with the sums over each group: 0 where nothing is listed, NaN where nothing that is listed is known."""
    ok, n = c.status == ExposureStatus.OK, len(table)
    is_told = ~np.isnan(c.size)
    for name, rows, is_known, values in (
        ("call_gex", c.is_call, ok, c.gex), ("put_gex", ~c.is_call, ok, c.gex), ("net_gex", None, ok, c.gex),
        ("vex", None, ok, c.vex), ("cex", None, ok, c.cex),
        ("call_size", c.is_call, is_told, c.size), ("put_size", ~c.is_call, is_told, c.size),
    ):  # fmt: skip
        listed = np.ones(len(ok), bool) if rows is None else rows
        known = listed & is_known
        is_dark = (np.bincount(group[listed], minlength=n) > 0) & (np.bincount(group[known], minlength=n) == 0)
        table[name] = np.where(is_dark, np.nan, np.bincount(group[known], values[known], minlength=n))
    table["n_missing"] = np.bincount(group[~ok], minlength=n)
    return table


def _by_strike(c: Contracts) -> np.ndarray:
    usable = np.isfinite(c.strike) & (c.strike > 0)
    kept = c if usable.all() else Contracts(*(getattr(c, name)[usable] for name in c.__dataclass_fields__))
    found, group = np.unique(kept.strike, return_inverse=True)
    table = np.zeros(len(found), STRIKE_DTYPE)
    table["strike"] = found
    return _sums(kept, group, table)


def _by_series(c: Contracts) -> np.ndarray:
    found, group = np.unique(c.series, return_inverse=True)
    table = np.zeros(len(found), SERIES_DTYPE)
    table["series"] = found
    table["n"] = np.bincount(group, minlength=len(found))
    return _sums(c, group, table)


def _largest(spot: float, k: Floats, values: Floats) -> float | None:
    """Return the strike with the largest value above 0; of equals the nearest to the spot, then the lower."""
    if not len(values) or not values.max() > 0:
        return None
    best = k[values == values.max()]
    return float(best[np.argmin(np.abs(best - spot))])


def _nearest(spot: float, found: Floats) -> float | None:
    return float(found[np.argmin(np.abs(found - spot))]) if len(found) else None


def _strike_flip(spot: float, k: Floats, net: Floats) -> float | None:
    """Return the middle between the neighbours of opposite sign that lie nearest; strikes without exposure are passed over."""
    k, net = k[net != 0], net[net != 0]
    turns = np.flatnonzero(net[:-1] * net[1:] < 0)
    return _nearest(spot, 0.5 * (k[turns] + k[turns + 1]))


def _cum_flip(spot: float, k: Floats, net: Floats) -> float | None:
    """Return where exposure added up from the lowest strike crosses 0, linear between strikes; the crossing nearest to the spot."""
    total = np.cumsum(net)
    turns = np.flatnonzero(total[:-1] * total[1:] < 0)
    share = total[turns] / (total[turns] - total[turns + 1])
    return _nearest(spot, k[turns] + share * (k[turns + 1] - k[turns]))


def _notes(c: Contracts) -> tuple[str, ...]:
    """Return what is missing from the sums, one sentence a reason."""
    said = []
    for status in ExposureStatus:
        rows = c.status == status
        if status is not ExposureStatus.OK and rows.any():
            open_size = c.size[rows & (c.size > 0)].sum()
            said.append(f"{int(rows.sum()):,} contracts ({open_size:,.0f} open) are not in the sums: {status.text}")
    if not len(c.status):
        said.append("the chain is empty")
    return tuple(said)
