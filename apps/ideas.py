"""Ideas: ranked contracts with their checklist, covered calls of the day. Run beside the desk by `workbench serve`, or by stock Panel."""

import panel as pn

from workbench.config import Settings
from workbench.views.serve import ideas_page, shared_engine

pn.extension()

ideas_page(shared_engine(), Settings()).servable(title="Ideas")
