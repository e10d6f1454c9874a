"""The desk: chart, watchlist, health. Run by `workbench serve`, or by stock Panel: `panel serve apps/desk.py`."""

import panel as pn

from workbench.config import Settings
from workbench.views.serve import desk_page, shared_engine

pn.extension()

desk_page(shared_engine(), Settings()).servable(title="Desk")
