"""An exposure as a screen shows it: plain lists for the browser, levels for a chart, sentences for what is missing.

In: ChainExposure (`options/exposure_chain.py`), HeatMap. Out: dicts that JSON can hold; a number that is not known is None, never 0.
Floor 8, no screen.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workbench.options.exposure import Exposure, ExposureStatus, SizeBasis
from workbench.options.exposure_chain import ChainExposure
from workbench.options.exposure_history import HeatMap
from workbench.options.priced import PricedExpiry
from workbench.sessions import to_ny
from workbench.types import NS_PER_S

DIGITS = 5  # of an amount on its way to the browser
MOST_STRIKES = 400
MOST_MOMENTS = 480  # of a heat map that is sent whole
HOLE_GAPS = 3.0
HEAT_REACH_FRAC = 0.06  # of the spot, on either side
SHOWN_FRAC = 0.95  # of all gamma that the first view has to hold
LINES = ("spot", "flip", "call_wall", "put_wall")  # of the heat map
BARS = ("call_gex", "put_gex", "net_gex", "vex", "cex", "call_size", "put_size")
LEVELS = (  # of an exposure: attribute, label, token of its colour
    ("call_wall", "Call wall", "up"),
    ("put_wall", "Put wall", "down"),
    ("magnet", "Magnet", "study2"),
    ("flip", "Zero gamma", "warning"),
)


def name_of(expiry: PricedExpiry) -> str:
    """Return what an expiry of a root is called between page and server: 'SPXW 2026-11-20'."""
    return f"{expiry.root} {expiry.date.isoformat()}"


def board(got: ChainExposure, shown: Exposure, of: list[Exposure], *, assumed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return everything of one moment.

    Parameters
    ----------
    got : ChainExposure                     All that was read.
    shown : Exposure                        What the bars show: `got.total` or one of `of`.
    of : list[Exposure]                     Of each of `got.expiries`.
    assumed : sentences                     Assumptions beside the convention's own.
    """
    chain = got.priced.chain
    return {
        "underlying": chain.underlying,
        "source": chain.source,
        "asof": f"{to_ny(chain.asof_ns):%H:%M:%S}",
        "date": f"{to_ny(chain.asof_ns):%Y-%m-%d}",
        "spot": shown.spot,
        "totals": summary(shown),
        "sum": {**summary(got.total), "move": None, "covered_frac": known(got.total.covered_frac)},
        "strikes": strikes_of(shown),
        "curve": {"spot": _plain(shown.profile.spots), "net": _plain(shown.profile.net)},
        "series": [_series(expiry, e) for expiry, e in zip(got.expiries, of, strict=True)],
        "view": first_view(shown),
        "assumptions": [*shown.convention.text, *assumed],
        "left_out": left_out(shown),
        "status": why_nothing(shown),
        "notes": list(dict.fromkeys((*got.priced.notes, *got.total.notes[: len(got.total.notes) - len(_reasons(got.total))]))),
    }


def summary(e: Exposure) -> dict[str, Any]:
    """Return totals and levels of an exposure."""
    levels = e.levels
    return {
        "net": known(e.net_gex),
        "calls": known(e.call_gex),
        "puts": known(e.put_gex),
        "vex": known(e.vex),
        "cex": known(e.cex),
        "regime": e.profile.regime if np.any(e.contracts.status == ExposureStatus.OK) else None,
        "flip": e.flip,
        "flips": [round(flip, 4) for flip in e.profile.flips],
        "no_flip": e.profile.reason,
        "call_wall": levels.call_wall,
        "put_wall": levels.put_wall,
        "absolute_wall": levels.absolute_wall,
        "magnet": levels.magnet,
    }


def _series(expiry: PricedExpiry, e: Exposure) -> dict[str, Any]:
    head = {"name": name_of(expiry), "root": expiry.root, "date": f"{expiry.date:%a %d %b}", "dte": expiry.dte}
    move = {"move": known(expiry.expected_move_usd)}
    return {**head, **summary(e), **move, "covered_frac": known(e.covered_frac), "n": len(e.contracts.status)}


def strikes_of(e: Exposure) -> dict[str, list[float | None]]:
    """Return the columns of the strikes nearest to the spot, ascending."""
    table = e.strikes
    if len(table) > MOST_STRIKES:
        table = table[np.sort(np.argsort(np.abs(table["strike"] - e.spot), kind="stable")[:MOST_STRIKES])]
    return {"strike": table["strike"].tolist(), **{name: _plain(table[name]) for name in BARS}}


def first_view(e: Exposure) -> list[float]:
    """Return the prices that the first view spans: those that hold nearly all gamma, the spot and the flip, with air."""
    table = e.strikes
    weight = np.nan_to_num(np.abs(table["call_gex"])) + np.nan_to_num(np.abs(table["put_gex"]))
    if not weight.sum() > 0:
        return [e.spot * 0.97, e.spot * 1.03]
    share = np.cumsum(weight) / weight.sum()
    tail = (1 - SHOWN_FRAC) / 2
    ends = np.searchsorted(share, [tail, 1 - tail])
    low, high = (float(table["strike"][min(int(end), len(table) - 1)]) for end in ends)
    points = [low, high, e.spot, *([e.flip] if e.flip is not None and abs(e.flip / e.spot - 1) < HEAT_REACH_FRAC else [])]
    low, high = min(points), max(points)
    air = max(0.06 * (high - low), 0.004 * e.spot)
    return [low - air, high + air]


def left_out(e: Exposure) -> dict[str, Any]:
    """Return how many contracts are not in the sums, why, and what share of the known size is in them."""
    n = len(e.contracts.status)
    n_in = int((e.contracts.status == ExposureStatus.OK).sum())
    return {"n": n, "n_in": n_in, "covered_frac": known(e.covered_frac), "reasons": _reasons(e)}


def _reasons(e: Exposure) -> list[str]:
    """Return the notes of an exposure that say what is not in its sums: its last ones, one a status."""
    n = sum(status is not ExposureStatus.OK for status in e.n_by_status) + (not len(e.contracts.status))
    return list(e.notes[len(e.notes) - n :])


def why_nothing(e: Exposure) -> str:
    """Return one sentence with the next step when no contract could be computed; '' otherwise."""
    counts = e.n_by_status
    if ExposureStatus.OK in counts:
        return ""
    if not counts:
        return "The chain is empty: nothing is listed for these expiries."
    worst = max(counts, key=lambda status: counts[status])
    if worst is ExposureStatus.NO_SIZE:
        told = e.convention.basis is SizeBasis.OI
        step = "choose size = volume" if told else "choose size = open interest"
        return f"None of the {len(e.contracts.status):,} contracts tells its {'open interest' if told else 'volume'}; {step}."
    return f"None of the {len(e.contracts.status):,} contracts can be computed: {worst.text}."


def levels_of(totals: dict[str, Any], profile: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the levels for a chart's `set_levels`: walls, magnet and flip, then those of the volume profile."""
    found = [(name, label, colour, totals.get(name)) for name, label, colour in LEVELS]
    if profile:
        found += [(name, name.upper(), colour, profile.get(name)) for name, colour in (("poc", "vwap"), ("vah", "band"), ("val", "band"))]
    return [
        {"id": f"exposure-{name}", "price": float(price), "label": label, "colour": colour, "is_own": False}
        for name, label, colour, price in found
        if price is not None and math.isfinite(price)
    ]


def heat_of(heat: HeatMap, since_ns: int = 0) -> dict[str, Any]:
    """Return a heat map from `since_ns` on for the page, thinned to `MOST_MOMENTS`; the newest moment is always among them."""
    first = int(np.searchsorted(heat.ts_ns, since_ns))
    n = len(heat.ts_ns)
    step = max(1, -(-(n - first) // MOST_MOMENTS))
    kept = np.arange(n - 1, first - 1, -step)[::-1].tolist()
    holes = _holes(heat.ts_ns)
    columns = [_column(heat, i) | {"hole": bool(holes[i : i + step].any())} for i in kept]
    return {"strikes": heat.strikes.tolist(), "columns": columns}


def _holes(ts_ns: np.ndarray) -> np.ndarray:
    """Return after which moments nobody looked for a while: three times longer than usual."""
    gaps = np.diff(ts_ns)
    return np.append(gaps > HOLE_GAPS * np.median(gaps), False) if len(gaps) else np.zeros(len(ts_ns), np.bool_)


def _column(heat: HeatMap, i: int) -> dict[str, Any]:
    lines = {name: known(float(heat.lines[name][i])) for name in LINES}
    return {"t": int(heat.ts_ns[i]) // NS_PER_S, "clock": f"{to_ny(int(heat.ts_ns[i])):%H:%M:%S}", "net": _plain(heat.net[i]), **lines}


def known(value: float | None) -> float | None:
    """Return a number, None where it is not known."""
    return None if value is None or not math.isfinite(value) else float(value)


def _plain(values: ArrayLike) -> list[float | None]:
    """Return numbers with `DIGITS` digits, None where one is not known."""
    return [float(f"{v:.{DIGITS}g}") if math.isfinite(v) else None for v in np.asarray(values, np.float64).tolist()]
