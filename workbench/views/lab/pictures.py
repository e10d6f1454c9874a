"""Still pictures of bars and distributions, HoloViews objects in the house theme: for cells and reports. The live chart is `widget.py`.

Floor 8; holoviews is imported when first used (`pip install "workbench[lab]"`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.views import theme as tokens

if TYPE_CHECKING:
    import pandas as pd

WIDTH, HEIGHT = 760, 280


def _holoviews() -> Any:
    """Return holoviews with its Bokeh backend, which options need, also outside a notebook."""
    import holoviews as hv
    import holoviews.plotting.bokeh

    return hv


def candles(
    frame: pd.DataFrame, *, title: str = "", theme: str = "light", palette: str = "teal", width: int = WIDTH, height: int = HEIGHT
) -> Any:
    """Return candles of a frame with open, high, low, close, as from `hub.bars`: one place per bar, no holes for nights.

    Partial bars are drawn hollow.
    """
    hv = _holoviews()

    colours = tokens.tokens(theme, palette)
    x = np.arange(len(frame))
    up = (frame["close"] >= frame["open"]).to_numpy()
    partial = frame["is_partial"].to_numpy() if "is_partial" in frame else np.zeros(len(frame), bool)
    tone = np.where(up, colours["up"], colours["down"])
    body = frame[["open", "close"]]
    when = [f"{t:%a %d %b %H:%M}" for t in frame.index]
    sides = ["place", "price", "place_", "price_"]
    wicks = hv.Segments((x, frame["low"], x, frame["high"], tone), sides, "tone")
    values = (tone, np.where(partial, 0.15, 1.0), when, *(frame[name] for name in ("open", "high", "low", "close")))
    boxes = hv.Rectangles(
        (x - 0.35, body.min(axis=1), x + 0.35, body.max(axis=1), *values), sides, ["tone", "alpha", "time", "open", "high", "low", "close"]
    )
    tips = [("time", "@time"), *((name, f"@{name}{{0.00}}") for name in ("open", "high", "low", "close"))]
    wicks = wicks.opts(color="tone", line_width=1)
    boxes = boxes.opts(color="tone", line_color="tone", fill_alpha="alpha", tools=["hover"], hover_tooltips=tips)
    axes = {"xticks": _ticks(frame), "xlabel": "", "ylabel": "", "yaxis": "right"}
    return (wicks * boxes).opts(width=width, height=height, title=title, toolbar=None, **axes)


def _ticks(frame: pd.DataFrame, wanted: int = 8) -> list[tuple[int, str]]:
    """Return places and labels on round times; the date where the day changes."""
    n = len(frame)
    if not n:
        return []
    step = max(1, -(-n // wanted))
    days = frame.index.normalize()
    out = []
    for i in range(0, n, step):
        is_new_day = i == 0 or days[i] != days[max(0, i - step)]
        is_daily = bool((frame.index.to_series().diff().median() or step).total_seconds() >= 86_400) if n > 1 else False
        stamp = frame.index[i]
        out.append((i, f"{stamp:%d %b}" if is_daily else f"{stamp:%H:%M\n%d %b}" if is_new_day else f"{stamp:%H:%M}"))
    return out


def presence(frame: pd.DataFrame, missing: pd.DataFrame, *, title: str = "", theme: str = "light", width: int = WIDTH) -> Any:
    """Return one line per session (`frame` of `tables.by_session`), with the missing ranges as gaps in the down colour."""
    hv = _holoviews()

    colours = tokens.tokens(theme)
    days = list(frame.index)
    whole = [(9.5, i - 0.3, 9.5 + n / 60, i + 0.3) for i, n in enumerate(frame["expected"])]
    start, end = missing["start"], missing["end"]
    at = [days.index(f"{t:%Y-%m-%d}") for t in start]
    holes = [
        (a.hour + a.minute / 60, i - 0.3, b.hour + b.minute / 60, i + 0.3, f"{a:%H:%M}-{b:%H:%M}", n)
        for a, b, i, n in zip(start, end, at, missing["bars"], strict=True)
    ]
    sides = ["hour", "day", "hour_", "day_"]
    there = hv.Rectangles(whole, sides).opts(color=colours["up"], line_color=None, alpha=0.35)
    gone = hv.Rectangles(holes, sides, ["range", "bars"]).opts(
        color=colours["down"], line_color=colours["down"], tools=["hover"], hover_tooltips=[("missing", "@range"), ("bars", "@bars")]
    )
    hours = [(9.5, "09:30"), *((h, f"{h}:00") for h in range(10, 17))]
    axes = {"xticks": hours, "xlim": (9.4, 16.1), "xlabel": "New York", "yticks": list(enumerate(days)), "ylabel": "", "invert_yaxis": True}
    return (there * gone).opts(width=width, height=60 + 34 * len(days), title=title, toolbar=None, **axes)


def exposure_bars(
    strikes: pd.DataFrame,
    levels: Mapping[str, float | None],
    *,
    title: str = "",
    theme: str = "light",
    width: int = WIDTH,
    height: int = 320,
) -> Any:
    """Return gamma exposure by strike (`strike`, `call_gex`, `put_gex` in USD, as `exposure.STRIKE_DTYPE` has them), calls over puts.

    `levels`: name -> price, drawn as lines; one that is None is left out.
    """
    hv = _holoviews()

    colours = tokens.tokens(theme)
    step = float(np.median(np.diff(strikes["strike"]))) if len(strikes) > 1 else 1.0
    layers = [hv.HLine(0).opts(color=colours["line"], line_width=1)]
    for name, tone in (("call_gex", "up"), ("put_gex", "down")):
        k, millions = strikes["strike"].to_numpy(), strikes[name].to_numpy() / 1e6
        sides = ["strike", "gex", "strike_", "gex_"]
        boxes = hv.Rectangles(
            (k - 0.4 * step, np.minimum(millions, 0), k + 0.4 * step, np.maximum(millions, 0), k, millions), sides, ["at", "m"]
        )
        tips = [("strike", "@at{0.##}"), ("calls" if tone == "up" else "puts", "@m{0,0.0} M USD per 1 %")]
        layers.append(boxes.opts(color=colours[tone], line_color=None, alpha=0.85, tools=["hover"], hover_tooltips=tips))
    low, high = float(np.nanmin(strikes["put_gex"], initial=0)) / 1e6, float(np.nanmax(strikes["call_gex"], initial=0)) / 1e6
    room = (high - low) or 1.0
    known = sorted((price, name) for name, price in levels.items() if price is not None)
    for i, (price, name) in enumerate(known):
        layers.append(hv.VLine(price).opts(color=colours["own"], line_width=1, line_dash="dashed"))
        label = hv.Text(price, high + room * (0.28 - 0.075 * (i % 4)), f" {name} {price:,.2f}", halign="left", fontsize=8)
        layers.append(label.opts(color=colours["text"]))
    axes = {"xlabel": "strike", "ylabel": "M USD of delta per 1 %", "yaxis": "right", "ylim": (low - 0.05 * room, high + 0.34 * room)}
    return hv.Overlay(layers).opts(width=width, height=height, title=title, toolbar=None, **axes)


def tile_map(
    strikes: np.ndarray, widths: np.ndarray, values: np.ndarray, *, unit: str, title: str = "", theme: str = "light", width: int = WIDTH
) -> Any:
    """Return strike x width as a heat map, `values` of shape (strikes, widths) as from `tiles.grid`; without a value a place is empty."""
    hv = _holoviews()

    colours = tokens.tokens(theme)
    step = float(np.min(np.diff(strikes))) if len(strikes) > 1 else 1.0
    a, b = np.nonzero(np.isfinite(values))
    sides = ["strike", "row", "strike_", "row_"]
    columns = (strikes[a] - step / 2, b - 0.5, strikes[a] + step / 2, b + 0.5, values[a, b], strikes[a], widths[b])
    tips = [("strike", "@at{0.##}"), ("width", "@wide{0.##}"), (unit, "@value{0.0}")]
    boxes = hv.Rectangles(columns, sides, ["value", "at", "wide"])
    boxes = boxes.opts(
        color="value",
        cmap=_ramp(colours["grid"], colours["accent"]),
        line_color=None,
        colorbar=True,
        tools=["hover"],
        hover_tooltips=tips,
        clabel=unit,
    )
    axes = {"xlabel": "strike", "ylabel": "width", "yticks": [(i, f"{w:g}") for i, w in enumerate(widths)], "height": 90 + 24 * len(widths)}
    return boxes.opts(width=width, title=title, toolbar=None, **axes)


def _ramp(low: str, high: str, n: int = 64) -> list[str]:
    """Return `n` colours from one '#rrggbb' to another."""
    ends = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (low, high)])
    return ["#" + "".join(f"{round(x):02x}" for x in ends[0] + (ends[1] - ends[0]) * t) for t in np.linspace(0, 1, n)]


def side_by_side(*pictures: Any) -> Any:
    """Return pictures in one row, each with axes of its own."""
    hv = _holoviews()

    return hv.Layout(list(pictures)).opts(shared_axes=False, toolbar=None).cols(len(pictures))
