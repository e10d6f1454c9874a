"""The option chain on a page of its own. Run by `workbench serve` at /chain, or by stock Panel: `panel serve apps/chain.py`."""

import panel as pn

from workbench.config import Settings
from workbench.views.serve import chain_page, shared_engine

pn.extension()

chain_page(shared_engine(), Settings()).servable(title="Chain")
