"""The matrix: quote board and price ladder. Run by `workbench serve` at /matrix, or by stock Panel: `panel serve apps/matrix.py`."""

import panel as pn

from workbench.config import Settings
from workbench.views.serve import matrix_page, shared_engine

pn.extension()

matrix_page(shared_engine(), Settings()).servable(title="Matrix")
