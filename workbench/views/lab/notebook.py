"""What a notebook needs before the first picture: the browser code of Bokeh and Panel, from this machine, not from the web.

Done once per kernel, by the first live chart that is displayed; a notebook of still pictures calls `prepare` itself. Floor 8.
"""

from __future__ import annotations

import importlib.util

import panel as pn

from workbench.views import theme as tokens

_is_loaded = False


def prepare(theme: str | None = None, palette: str = "teal") -> None:
    """Load the browser code into the notebook (once), and dress HoloViews pictures in the house theme.

    `theme`: 'light' or 'dark'; None leaves what was chosen before, light at first. hvPlot is attached to DataFrames on the way
    (`frame.hvplot`), where it is installed. ConfigError for an unknown theme or palette.
    """
    global _is_loaded
    has_hvplot = importlib.util.find_spec("hvplot") is not None
    if not _is_loaded:
        _is_loaded = True
        if has_hvplot:
            import holoviews as hv

            hv.extension.inline = True  # its default fetches from the web
            import hvplot.pandas  # noqa: F401  its import attaches `.hvplot`
        pn.extension(inline=True)
        theme = theme or "light"
    if theme is not None and has_hvplot:
        import holoviews as hv

        hv.renderer("bokeh").theme = tokens.bokeh_theme(theme, palette)
