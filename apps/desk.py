"""The desk: chart, watchlist, health. Run by `workbench serve`, or by stock Panel: `panel serve apps/desk.py`."""

import panel as pn

from workbench.config import Settings
from workbench.views.serve import desk_page, shared_engine

pn.extension()

settings = Settings()
desk_page(shared_engine(), settings.data_dir).servable(title="Desk")
