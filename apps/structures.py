"""The risk graph: structures, their outcomes, the tile heat map. Run beside the desk by `workbench serve`, or by stock Panel."""

import panel as pn

from workbench.config import Settings
from workbench.views.serve import shared_engine, structures_page

pn.extension()

structures_page(shared_engine(), Settings()).servable(title="Structures")
