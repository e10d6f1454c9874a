"""What a notebook needs before the first picture: the browser code of Bokeh and Panel, from this machine, not from the web.

Done once per kernel, by the first thing that displays itself; a user may call `prepare` too. Floor 8.
"""

from __future__ import annotations

import importlib.util

import panel as pn

_is_prepared = False


def prepare() -> None:
    """Load the browser code into the notebook, and give every HoloViews picture the house theme; harmless when done, or in no notebook.

    hvPlot is attached to DataFrames on the way (`frame.hvplot`), where it is installed.
    """
    global _is_prepared
    if _is_prepared:
        return
    _is_prepared = True
    if importlib.util.find_spec("hvplot") is not None:
        import holoviews as hv

        hv.extension.inline = True  # its default fetches from the web
        import hvplot.pandas  # noqa: F401  its import attaches `.hvplot`
    pn.extension(inline=True)
