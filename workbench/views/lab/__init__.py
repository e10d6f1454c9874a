"""The same objects in notebook cells: a chart that ticks, still pictures, records as tables.

`widget.py` the live chart · `notebook.py` what a notebook must load · `pictures.py` HoloViews pictures · `tables.py` records as
DataFrames. Floor 8; nothing here is imported by `import workbench`.
"""

from workbench.views.lab.notebook import prepare
from workbench.views.lab.widget import LabChart, chart

__all__ = ["LabChart", "chart", "prepare"]
