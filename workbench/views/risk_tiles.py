"""The tile heat map of one expiry for the risk graph's page: strike x width, one number a tile, and the ranked butterflies.

In: a priced chain, what is asked. Out: a dict for the page. The selector's score (version 2) comes with the old one beside it: that is
for comparison, and it is None where VIX or gamma levels are not known. Floor 8, no screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from workbench.errors import RecordError, choices
from workbench.options import selector_legacy as legacy
from workbench.options import templates
from workbench.options.exposure import Exposure
from workbench.options.exposure_chain import chain_exposure
from workbench.options.priced import PricedChain, PricedExpiry
from workbench.options.selector import Candidate, select
from workbench.options.smile import Smile
from workbench.options.structures import Structure
from workbench.options.tiles import STRATEGIES, Tile, TileSide, TileStatus, build_tiles, outcome, parse_key
from workbench.sessions import to_ny
from workbench.types import NS_PER_S

KEYS = ("natural", "mid", "theo", "cost_pct", "reward", "edge", "legacy")
STEPS = (1, 2, 3, 4, 5, 7, 10, 12, 15, 20, 25, 30, 40, 50)  # widths in strike steps
MOST_STRIKES = 45
FEE_USD = 0.65  # of one contract


@dataclass(frozen=True, slots=True)
class TileAsk:
    """What the heat map shows. `vix`: typed by a person, for the old score alone."""

    strategy: str = "butterfly"
    right: str = "C"
    key: str = "edge"
    vix: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("strategy", STRATEGIES), ("right", ("C", "P")), ("key", KEYS)):
            if getattr(self, name) not in allowed:
                raise RecordError(f"tiles: {name}: received {choices(getattr(self, name), allowed)}")


def tile_map(priced: PricedChain, smile: Smile | None, ask: TileAsk) -> dict[str, Any]:
    """Return strikes, widths, values (by width, then strike; None is missing), statuses and the ranking of one chain's first root."""
    e = priced.expiries[0]
    part = priced.rows[e.first : e.end]
    part = part[part["is_standard"]]
    age_s = (priced.chain.asof_ns - part["ts_ns"]) / NS_PER_S
    theo = np.full(len(part), np.nan) if smile is None else smile.price(part["strike"], part["right"])
    widths = _widths(part["strike"], e)
    tiles = build_tiles(
        ask.strategy, e.dte, widths, part["strike"], part["right"], part["bid"], part["ask"], age_s=age_s, theo_usd=theo
    )  # fmt: skip
    chosen = select(tiles, smile, dte=e.dte, fee_usd=FEE_USD, top=len(tiles) * 2 or 1) if ask.strategy == "butterfly" else None
    rated = {(c.key, c.right): c for c in chosen.candidates} if chosen else {}
    old = _Legacy(priced, tiles, ask, e) if ask.strategy == "butterfly" else None
    strikes = _shown(sorted({parse_key(key).strike for key in tiles}), e.forward.forward_usd)
    rows = [0.0] if ask.strategy == "single" else widths
    values, statuses = _grid(tiles, e.dte, strikes, rows, ask, rated, old)
    return {
        "strikes": strikes, "widths": rows, "values": values, "statuses": statuses, "dte": e.dte,
        "root": e.root, "expiry": e.date.isoformat(),
        "strategy": ask.strategy, "right": ask.right, "key": ask.key, "vix": ask.vix,
        "forward": e.forward.forward_usd if math.isfinite(e.forward.forward_usd) else None,
        "ranking": [_line(c, old) for c in chosen.candidates[:12]] if chosen else [],
        "notes": _notes(ask, smile, chosen.notes if chosen else (), old),
        "looked_at": f"{chosen.n_tiles:,} looked at, {sum(chosen.left_out.values()):,} left out" if chosen else "",
        "left_out": dict(chosen.left_out) if chosen else {},
    }  # fmt: skip


def structure_of_tile(tile: Mapping[str, Any]) -> Structure:
    """Return the structure that a tile of the page names, bought once."""
    root, day, right = str(tile["root"]), date.fromisoformat(str(tile["expiry"])), "P" if tile["right"] == "P" else "C"
    strike, width, out = float(tile["strike"]), float(tile["width"]), 1 if right == "C" else -1
    if tile["strategy"] == "single":
        return templates.single(root, day, right, f"{strike:g}")  # type: ignore[arg-type]  # one of the two
    if tile["strategy"] == "vertical":
        return templates.vertical(root, day, right, f"{strike:g}", f"{strike + out * width:g}")  # type: ignore[arg-type]
    return templates.butterfly(root, day, right, f"{strike:g}", f"{width:g}")  # type: ignore[arg-type]


def _widths(strike: np.ndarray, e: PricedExpiry) -> list[float]:
    """Return widths that fit the ladder near the money, in steps of it, up to three expected moves."""
    near = np.unique(strike)
    if math.isfinite(e.forward.forward_usd):
        near = near[np.abs(near / e.forward.forward_usd - 1) < 0.05]
    steps = np.diff(near)
    if not len(steps):
        return []
    step = float(np.round(np.min(steps), 3))
    most = max(3 * e.expected_move_usd, 12 * step) if math.isfinite(e.expected_move_usd) else math.inf
    return [step * k for k in STEPS if step * k <= most]


def _shown(strikes: list[float], middle: float) -> list[float]:
    if not math.isfinite(middle) or len(strikes) <= MOST_STRIKES:
        return strikes[:MOST_STRIKES] if not math.isfinite(middle) else strikes
    at = int(np.argmin(np.abs(np.array(strikes) - middle)))
    first = max(0, min(at - MOST_STRIKES // 2, len(strikes) - MOST_STRIKES))
    return strikes[first : first + MOST_STRIKES]


def _grid(
    tiles: Mapping[str, Tile], dte: int, strikes: list[float], widths: list[float], ask: TileAsk, rated: Mapping[Any, Candidate], old: Any
) -> tuple[list[list[float | None]], list[list[str]]]:
    by_place = {(of.width, of.strike): (key, tile) for key, tile in tiles.items() if (of := parse_key(key)).dte == dte}
    values: list[list[float | None]] = []
    statuses: list[list[str]] = []
    for width in widths:
        line, said = [], []
        for strike in strikes:
            key, tile = by_place.get((width, strike), ("", None))
            side = None if tile is None else tile.call if ask.right == "C" else tile.put
            line.append(None if side is None else _value(side, key, width, strike, ask, rated, old))
            said.append("not listed" if side is None else "" if side.status is TileStatus.OK else side.status.value)
        values.append(line)
        statuses.append(said)
    return values, statuses


def _value(side: TileSide, key: str, width: float, strike: float, ask: TileAsk, rated: Mapping[Any, Candidate], old: Any) -> float | None:
    """Return one tile's number; a bad quote has none but its model's."""
    if ask.key == "theo":
        return _n(side.theo_usd)
    if side.status is TileStatus.BAD_QUOTE:
        return None
    if ask.key in ("natural", "mid"):
        return _n(side.natural_usd if ask.key == "natural" else side.mid_usd)
    if ask.key == "legacy":
        return None if old is None else _n(old.score(key, ask.right).composite) if old.score(key, ask.right) else None
    if ask.key == "edge" and ask.strategy == "butterfly":
        found = rated.get((key, ask.right))
        return None if found is None else _n(100 * found.edge_usd)
    debit = side.natural_usd
    if debit is None:
        return None
    if ask.key == "edge":
        legs = 1 if ask.strategy == "single" else 2
        return None if side.theo_usd is None else _n(100 * (side.theo_usd - debit) - legs * FEE_USD)
    if ask.key == "cost_pct":
        return _n(100 * debit / width) if width else _n(100 * debit / strike)
    best = outcome(ask.strategy, ask.right, width, strike, debit).max_profit_usd
    return _n(best / debit) if debit > 0 and math.isfinite(best) else None


class _Legacy:
    """The old score of every butterfly, as far as its inputs are known."""

    def __init__(self, priced: PricedChain, tiles: Mapping[str, Tile], ask: TileAsk, e: PricedExpiry) -> None:
        self._tiles, self._vix, self._dte = tiles, ask.vix, e.dte
        at = to_ny(priced.chain.asof_ns)
        self._hour = at.hour + at.minute / 60
        self._exposure = _exposure(priced)
        self._held: dict[tuple[str, str], legacy.LegacyScore | None] = {}
        net = [] if self._exposure is None else self._exposure.strikes
        self._net = {float(row["strike"]): float(row["net_gex"]) for row in net if math.isfinite(row["net_gex"])}

    @property
    def trouble(self) -> str:
        """Why the gamma levels that it needs are not known; '' where they are."""
        return "no spot" if self._exposure is None else self._exposure.profile.reason

    def score(self, key: str, right: str) -> legacy.LegacyScore | None:
        if (key, right) not in self._held:
            self._held[key, right] = self._score(key, right)
        return self._held[key, right]

    def _score(self, key: str, right: str) -> legacy.LegacyScore | None:
        of, debit = parse_key(key), self._mid(key, right)
        if debit is None or debit <= 0:
            return None
        start = key.rsplit(":", 1)[0]
        beside = [self._mid(f"{start}:{of.strike + d:g}", right) for d in legacy.NEIGHBOUR_POINTS]
        levels = self._exposure.levels if self._exposure else None
        aligned = legacy.gamma_alignment_score(
            of.strike, of.width, right, magnet=levels.magnet if levels else None,
            zero_gamma=self._exposure.flip if self._exposure else None, net_gex=self._net or None,
        )  # fmt: skip
        return legacy.LegacyScore(
            convexity=legacy.convexity_score(of.width, debit, [x for x in beside if x is not None]),
            r2r=legacy.r2r_score(of.width, debit, self._dte),
            width_fit=None if self._vix is None else legacy.width_fit_score(of.width, self._dte, self._vix, self._hour),
            gamma_alignment=aligned,
        )

    def _mid(self, key: str, right: str) -> float | None:
        tile = self._tiles.get(key)
        side = None if tile is None else tile.call if right == "C" else tile.put
        return side.mid_usd if side is not None and side.status is TileStatus.OK else None


def _exposure(priced: PricedChain) -> Exposure | None:
    try:
        return chain_exposure(priced).total
    except RecordError:  # no spot: the levels are not known
        return None


def _line(c: Candidate, old: _Legacy | None) -> dict[str, Any]:
    score = old.score(c.key, c.right) if old else None
    parts = [] if score is None else [_n(score.convexity), _n(score.r2r), _n(score.width_fit), _n(score.gamma_alignment)]
    return {
        "strike": c.strike, "width": c.width, "right": c.right, "natural": c.natural_usd, "mid": c.mid_usd, "fair": _n(c.fair_usd),
        "error": _n(c.fair_error_usd), "edge": _n(100 * c.edge_usd), "in_errors": _n(c.edge_in_errors), "p": _n(c.p_profit),
        "legacy": None if score is None else _n(score.composite), "parts": parts,
    }  # fmt: skip


def _notes(ask: TileAsk, smile: Smile | None, said: tuple[str, ...], old: _Legacy | None) -> list[str]:
    out = list(said)
    if smile is None and ask.key in ("theo", "edge"):
        out.append("no smile: too few strikes are quoted well enough, or the fit allows arbitrage; nothing theoretical can be told")
    if ask.key == "legacy" and ask.vix is None:
        out.append("the old score needs VIX: type it; without it there is none")
    if ask.key == "legacy" and old is not None and old.trouble:
        out.append(f"no old score without a zero-gamma level: {old.trouble}")
    if ask.strategy != "butterfly" and ask.key == "legacy":
        out.append("the old score is of butterflies alone")
    return list(dict.fromkeys(out))


def _n(x: float | None) -> float | None:
    return None if x is None or not math.isfinite(x) else round(float(x), 4)
