"""Colours and type, in one place for every screen and report.

A theme is a dict of named tokens (`tokens`). Screens get them as CSS variables (`--wb-up`, …), Bokeh figures by `style_figure`,
HoloViews and reports by `bokeh_theme`. Colour means something (up, down, own, warning, stale) and nothing else; direction is
always doubled by sign, arrow or shape. Floor 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigError, choices

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure
    from bokeh.themes import Theme

THEMES = ("dark", "light")
PALETTES = ("teal", "blue")  # teal-green and coral-red; blue and orange for colour-blind eyes
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Ubuntu, 'Liberation Sans', Arial, sans-serif"

_DARK = {
    "background": "#0e1116",
    "panel": "#141922",
    "raised": "#1b2130",
    "line": "#252c3a",
    "grid": "#1c2230",
    "text": "#d6dbe5",
    "muted": "#8791a5",
    "faint": "#5b6478",
    "up": "#26a69a",
    "down": "#ef5350",
    "accent": "#4c8dff",
    "own": "#b388ff",
    "warning": "#ffb74d",
    "stale": "#5b6478",
    "shade": "rgba(120,140,180,0.055)",
    "break": "#2f3849",
    "tag_text": "#ffffff",
    "on_warning": "#1a1200",
    "cross": "#6b7690",
    "cross_tag": "#394257",
    "vwap": "#e0a84e",
    "band": "#6f7fa3",
    "study1": "#4c8dff",
    "study2": "#e07bd1",
    "study3": "#8bc34a",
    "study4": "#4dd0e1",
}
_LIGHT = {
    "background": "#ffffff",
    "panel": "#f7f8fa",
    "raised": "#ffffff",
    "line": "#dfe3ea",
    "grid": "#eef0f4",
    "text": "#1a1f2b",
    "muted": "#5c667a",
    "faint": "#98a1b3",
    "up": "#0e7b70",
    "down": "#cf3633",
    "accent": "#1a66dd",
    "own": "#7a4fd6",
    "warning": "#a05f00",
    "stale": "#98a1b3",
    "shade": "rgba(40,60,110,0.045)",
    "break": "#cfd5df",
    "tag_text": "#ffffff",
    "on_warning": "#ffffff",
    "cross": "#8b95a8",
    "cross_tag": "#4a5468",
    "vwap": "#a05f00",
    "band": "#8a96b0",
    "study1": "#1a66dd",
    "study2": "#b03aa0",
    "study3": "#4f8a10",
    "study4": "#00838f",
}
_DIRECTION = {
    ("dark", "blue"): {"up": "#4a9df8", "down": "#f0883e"},
    ("light", "blue"): {"up": "#0b6bcb", "down": "#bc4c00"},
}


def tokens(theme: str = "dark", palette: str = "teal") -> dict[str, str]:
    """Return the named colours of a theme; ConfigError names the allowed ones."""
    if theme not in THEMES:
        raise ConfigError(f"theme: received {choices(theme, THEMES)}")
    if palette not in PALETTES:
        raise ConfigError(f"palette: received {choices(palette, PALETTES)}")
    base = _DARK if theme == "dark" else _LIGHT
    return {**base, **_DIRECTION.get((theme, palette), {}), "scheme": theme}


def css_variables(colours: dict[str, str]) -> str:
    """Return the tokens as CSS declarations, `--wb-up: #26a69a; …`."""
    return "".join(f"--wb-{name.replace('_', '-')}:{value};" for name, value in colours.items())


def style_figure(plot: Figure, colours: dict[str, str]) -> None:
    """Dress a Bokeh figure: background, border, grid, axes."""
    plot.background_fill_color = plot.border_fill_color = colours["background"]
    plot.outline_line_color = None
    plot.grid.grid_line_color = colours["grid"]
    for axis in plot.axis:
        axis.update(**axis_style(colours))


def axis_style(colours: dict[str, str]) -> dict[str, Any]:
    """Return the properties of one axis: quiet, 11 px, no tick marks."""
    return {
        "axis_line_color": colours["line"],
        "major_tick_line_color": None,
        "minor_tick_line_color": None,
        "major_label_text_color": colours["muted"],
        "major_label_text_font": "system-ui, sans-serif",
        "major_label_text_font_size": "11px",
        "major_label_standoff": 6,
    }


def bokeh_theme(theme: str = "dark", palette: str = "teal") -> Theme:
    """Return a Bokeh theme of the same tokens, for HoloViews, hvPlot, notebooks and reports."""
    from bokeh.themes import Theme

    colours = tokens(theme, palette)
    plot = {"background_fill_color": colours["background"], "border_fill_color": colours["background"], "outline_line_color": None}
    title = {"text_color": colours["text"], "text_font": "system-ui, sans-serif", "text_font_size": "13px"}
    legend = {"background_fill_color": colours["panel"], "label_text_color": colours["text"], "border_line_color": colours["line"]}
    axis = {**axis_style(colours), "axis_label_text_color": colours["muted"]}
    grid = {"grid_line_color": colours["grid"]}
    return Theme(json={"attrs": {"Plot": plot, "Grid": grid, "Axis": axis, "Title": title, "Legend": legend}})
