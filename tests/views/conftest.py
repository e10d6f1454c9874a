import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_hub import FakeHub


@pytest.fixture
def hub():
    hub = FakeHub()
    hub.watch("SPY")
    hub.watch("QQQ")
    return hub


@pytest.fixture
def document():
    from bokeh.document import Document

    return Document()


@pytest.fixture
def comm():
    from pyviz_comms import Comm

    return Comm()
