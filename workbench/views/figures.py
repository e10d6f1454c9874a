"""The Bokeh figures of a chart: candles and volume, oscillator panes, the lines of studies. They hold no state and decide nothing.

Every line is drawn from two sources: closed bars, and those still open, on a canvas of their own. Floor 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import ColumnDataSource, GlyphRenderer, Range1d, Span
from bokeh.plotting import figure

from workbench.views import theme
from workbench.views.studies import Line, Study

PRICE_AXIS_PX, TIME_AXIS_PX = 70, 24
LIVE_LEVEL = "overlay"  # a canvas of its own: a tick repaints that one only


def price_figure(history: ColumnDataSource, live: ColumnDataSource, x_range: Range1d, colours: dict[str, str]) -> figure:
    """Return the figure of candles and volume. Tools are in the browser script: no toolbar, no server round trip."""
    plot = _bare_figure(x_range, colours)
    plot.yaxis.ticker.desired_num_ticks = 9
    for source, name, level in ((history, "history", "glyph"), (live, "live", LIVE_LEVEL)):
        plot.vbar(x="x", top="o", bottom="c", width=0.7, source=source, name=name, level=level, fill_color=colours["up"], line_color=None)
    return plot


def pane_figure(study: Study, sources: Sequence[ColumnDataSource], x_range: Range1d, colours: dict[str, str]) -> figure:
    """Return the figure of an oscillator."""
    plot = _bare_figure(x_range, colours)
    plot.yaxis.ticker.desired_num_ticks = 3
    for level in study.guides:
        plot.add_layout(Span(location=level, dimension="width", line_color=colours["faint"], line_dash="dotted", line_width=1))
    for line in study.lines:
        draw_line(plot, line, sources, colours)
    return plot


def _bare_figure(x_range: Range1d, colours: dict[str, str]) -> figure:
    plot = figure(
        x_range=x_range,
        y_range=Range1d(0, 1),
        y_axis_location="right",
        toolbar_location=None,
        tools="",
        sizing_mode="stretch_both",
        output_backend="canvas",
        min_border=0,
        min_border_right=PRICE_AXIS_PX,
        min_border_bottom=TIME_AXIS_PX,
        lod_threshold=None,
    )
    theme.style_figure(plot, colours)
    return plot


def draw_line(plot: figure, line: Line, sources: Sequence[ColumnDataSource], colours: dict[str, str]) -> list[GlyphRenderer]:
    """Draw one line of a study from both sources (the live one begins with the last closed bar, so the two meet)."""
    parts = tuple(zip(sources, ("glyph", LIVE_LEVEL), strict=True))
    if line.is_histogram:
        style: dict[str, Any] = {"bottom": 0, "width": 0.7, "line_color": None, "name": line.column}
        return [plot.vbar("x", top=line.column, source=source, level=level, **style) for source, level in parts]
    style = {"line_color": colours[line.colour], "line_width": line.width, "line_alpha": line.alpha, "name": line.column}
    return [plot.line("x", line.column, source=source, level=level, **style) for source, level in parts]
