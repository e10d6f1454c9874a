"""One engine a process, whoever asks first."""

import panel as pn
import pytest

from workbench.config import Settings
from workbench.views.serve import shared_engine


@pytest.fixture
def _own_cache(monkeypatch):
    monkeypatch.setattr(pn.state, "cache", {})


@pytest.mark.usefixtures("_own_cache")
def test_a_page_that_asks_gets_the_engine_that_the_command_started(tmp_path):
    started = shared_engine(Settings(source="simulated", data_dir=tmp_path))
    try:
        assert shared_engine() is started
        assert shared_engine() is started
    finally:
        started.stop()
