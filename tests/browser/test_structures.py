"""The risk graph in a real browser: a tile into the graph, a template beside it, sliders, saved and loaded again."""

import pytest

pytestmark = pytest.mark.browser

PAGE = "window.__workbenchRisk"


@pytest.fixture(scope="module")
def still(serving, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("risk"), symbols=("SPY",), speed=1) as running:
        yield running


def test_a_tile_goes_into_the_graph_and_what_is_saved_comes_back(still, page):
    tab = page.open(still.url + "/structures?symbol=SPY", charts=0).page

    def until(script):
        tab.wait_for_function(script, timeout=20_000)

    until(f"{PAGE}?.answer?.tiles")
    tab.locator(".tile:not(.none)").first.click()
    until(f"{PAGE}.structures().length === 1 && {PAGE}.drawn && {PAGE}.structures()[0].cost !== null")
    one = page.evaluate(f"{PAGE}.structures()[0]")
    assert (one["name"], len(one["legs"])) == ("butterfly", 3)
    assert len(page.evaluate(f"{PAGE}.answer.spots")) == len(one["line"]["expiry"])

    tab.get_by_label("Template").select_option("straddle")
    tab.get_by_text("Add", exact=True).click()
    until(f"{PAGE}.structures().length === 2 && {PAGE}.structures()[1].cost !== null")
    before = page.evaluate(f"{PAGE}.structures()[1].profit")
    tab.get_by_label("IV", exact=True).evaluate("(el) => { el.value = 5; el.dispatchEvent(new Event('input')) }")
    until(f"{PAGE}.model.controls.scenario.vol_points === 5 && {PAGE}.structures()[1].profit > {before} + 10")

    tab.get_by_label("Name to save under").fill("mine")
    tab.get_by_label("Name to save under").press("Enter")
    tab.get_by_text("mine", exact=True).wait_for()
    tab.locator(".list .item.on .icon").last.click()
    until(f"{PAGE}.structures().length === 1")
    tab.get_by_text("mine", exact=True).click()
    until(f"{PAGE}.structures().length === 2 && {PAGE}.structures()[1].name === 'straddle'")
