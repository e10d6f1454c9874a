"""Dealer exposure and volume profile of one underlying: `panel serve apps/exposure.py`, then /exposure?symbol=SPY."""

import panel as pn

from workbench.config import Settings
from workbench.views.serve import exposure_page, shared_engine

pn.extension()

exposure_page(shared_engine(), Settings()).servable(title="Exposure")
