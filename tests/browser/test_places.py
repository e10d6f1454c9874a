"""More tabs than places, in a real browser."""

import pytest

pytestmark = pytest.mark.browser

CAP, MORE = 3, 5
TAKEN = f"All {CAP} places at this desk are taken"


@pytest.fixture(scope="module")
def small(serving, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("places"), session_cap=CAP, symbols=("SPY", "QQQ")) as running:
        yield running


def test_tab_n_plus_one_is_told_so_and_opens_when_another_closes(small, open_page):
    desks = [open_page(small.url + "/desk") for _ in range(CAP)]
    waiting = [open_page(small.url + "/desk", charts=0) for _ in range(MORE)]
    for tab in waiting:
        tab.page.get_by_text(TAKEN).wait_for(timeout=20_000)
    before = [desk.snapshot()["painted"] for desk in desks], small.engine.hub.health().n_events
    waiting[0].page.wait_for_timeout(3000)
    assert sum(tab.page.get_by_text(TAKEN).count() for tab in waiting) == MORE
    for desk, painted in zip(desks, before[0], strict=True):
        desk.page.bring_to_front()
        desk.wait(lambda shot, painted=painted: shot["painted"] > painted + 5)
    assert small.engine.hub.health().n_events > before[1]
    desks[0].close()
    for tab in waiting[1:]:
        tab.close()
    waiting[0].page.wait_for_function("window.__workbench?.charts.length && window.__workbench.charts[0].ready", timeout=40_000)
