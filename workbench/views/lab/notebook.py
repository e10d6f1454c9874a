"""What a notebook needs before the first picture: the browser code of Bokeh and Panel, from this machine, not from the web.

Done once per kernel, by the first live chart that is displayed; a notebook of still pictures calls `prepare` itself. Floor 8.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import panel as pn
from bokeh.models import UIElement
from panel.io.notebook import patch_inline_stylesheets

from workbench.views import theme as tokens

CYCLE = ("accent", "vwap", "study2", "up", "own", "study4", "study3", "down")  # colours of series, in order

_is_loaded = False


def prepare(theme: str | None = None, palette: str = "teal") -> None:
    """Load the browser code into the notebook (once), and dress HoloViews pictures in the house theme.

    `theme`: 'light' or 'dark'; None leaves what was chosen before, light at first. hvPlot is attached to DataFrames on the way
    (`frame.hvplot`), where it is installed. ConfigError for an unknown theme or palette.
    """
    global _is_loaded
    colours = tokens.tokens(theme or "light", palette)
    has_hvplot = importlib.util.find_spec("hvplot") is not None
    is_first, _is_loaded = not _is_loaded, True
    if is_first:
        if has_hvplot:
            _load_hvplot()
        pn.extension(inline=True)
        pn.viewable.Viewable._preprocessing_hooks.append(_inline_styles)
    if has_hvplot and (is_first or theme is not None):
        _dress(colours, palette)


def free_output(shown: Any) -> None:
    """Forget an output whose cell is gone. Panel does so when JupyterLab tells it, which pyviz_comms 3.0.6 never does."""
    for ref in list(shown._models):
        for action in pn.extension._delete_actions:
            action(ref)


def _load_hvplot() -> None:
    import holoviews as hv

    hv.extension.inline = True  # its default fetches from the web
    import hvplot.pandas  # noqa: F401  its import attaches `.hvplot`

    hv.renderer("bokeh").center = False  # pictures stand where tables stand
    hv.plotting.bokeh.element.ElementPlot.autohide_toolbar = True


def _dress(colours: dict[str, str], palette: str) -> None:
    import holoviews as hv

    hv.renderer("bokeh").theme = tokens.bokeh_theme(colours["scheme"], palette)
    cycle = hv.Cycle([colours[name] for name in CYCLE])
    filled = {"line_color": colours["background"], "fill_alpha": 0.75}
    hv.opts.defaults(
        *(element(color=cycle, backend="bokeh") for element in (hv.opts.Curve, hv.opts.Scatter, hv.opts.Points, hv.opts.Area)),
        *(element(color=colours["accent"], backend="bokeh", **filled) for element in (hv.opts.Histogram, hv.opts.Bars)),
    )


def _inline_styles(_: Any, root: Any, *__: Any) -> None:
    """Put Panel's style sheets into the models of HoloViews pictures: Panel does so for its own, and leaves theirs to the web."""
    for model in root.select({"type": UIElement}):
        patch_inline_stylesheets(model)
