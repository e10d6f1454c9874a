"""What engine, hub, series and health show of themselves in a cell: the right names, and nothing that the browser would run."""

from __future__ import annotations

import dataclasses
from datetime import date

import pytest

from workbench import Engine, Hub
from workbench.sessions import ny_ns
from workbench.sources.simulated import SimulatedSource

START_NS = ny_ns(date(2026, 11, 18), 10, 30)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def hub():
    source = SimulatedSource(["SPY"], start_ns=START_NS)
    source.pause()
    made = Hub(source)
    made.watch("SPY")
    made.pump()
    return made


def test_hub_series_and_health_show_themselves_as_tables(hub):
    for thing, words in ((hub, "SPY"), (hub.series("SPY", "5m"), "SPY 5m"), (hub.health(), "simulated")):
        shown = thing._repr_html_()
        assert "<table" in shown
        assert words in shown


def test_what_a_provider_says_is_shown_as_text_and_never_run(hub):
    health = dataclasses.replace(hub.health(), reason=HOSTILE, quarantined={HOSTILE: 1})
    assert "<script" not in health._repr_html_()
    hub.source._info = dataclasses.replace(hub.source.info, detail=HOSTILE)
    assert "<script" not in hub._repr_html_()


def test_an_engine_says_whether_it_runs(hub):
    engine = Engine(hub.source, hub, ["SPY"])
    assert "stopped" in repr(engine)
    assert "Engine stopped" in engine._repr_html_()
    assert "<script" not in engine._repr_html_()
