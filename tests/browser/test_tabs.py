"""The tabs of the desk's right column in a real browser: each fits its column, follows what is selected, and draws its levels."""

import pytest

pytestmark = pytest.mark.browser

FITS = """() => {
  const dig = (root, css) => [...root.querySelectorAll(css), ...[...root.querySelectorAll("*")].flatMap((el) => el.shadowRoot ? dig(el.shadowRoot, css) : [])]
  const slot = dig(document, ".dock .slot")[0], box = slot.getBoundingClientRect(), parts = dig(slot, "div, button, select, span, b, td")
  const scrolls = (el) => { for (let at = el; at && at !== slot; at = at.parentNode ?? at.host) if (at instanceof Element && ["auto", "scroll", "hidden"].includes(getComputedStyle(at).overflowX)) return true; return false }
  return parts.filter((el) => el.getClientRects().length && el.getBoundingClientRect().right > box.right + 1 && !scrolls(el)).map((el) => el.className || el.textContent)
}"""
LABELS = """() => {
  const c = window.__workbench.chart(), placed = c.placedLevels(c.frame), last = c.lastAt(c.frame)
  return placed.map(({level, at}) => [level.label, at, last])
}"""


def read(hub):
    """Return the chains that somebody reads."""
    return [key for key, feed in hub._chains._feeds.items() if not feed.is_over]


@pytest.fixture(scope="module")
def still(serving, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("tabs"), symbols=("SPY", "QQQ"), speed=1) as running:
        yield running


def test_each_tab_opens_by_its_key_and_fits_its_column(still, page):
    page.open(still.url + "/desk?symbol=SPY&tf=1h")
    for key, ready in (
        ("l", "window.__matrix?.ladder?.top != null"),
        ("q", "window.__matrix?.board?.values.size >= 2"),
        ("x", "window.__workbench.exposure?.board?.totals"),
        ("n", "window.__workbench.ideas?.answer?.rows.length"),
        ("g", "window.__workbenchRisk?.answer?.tiles"),
    ):
        page.page.keyboard.press(key)
        page.page.wait_for_function(ready, timeout=20_000)
        assert page.evaluate(FITS) == []
    assert "dock=structures" in page.page.url
    page.page.keyboard.press("g")
    page.page.wait_for_function("!location.search.includes('dock=')")
    for _ in range(400):
        if not read(still.engine.hub):
            break
        page.page.wait_for_timeout(25)
    assert read(still.engine.hub) == []


def test_levels_of_exposure_are_named_on_the_chart_apart_from_each_other_and_from_the_last_price(still, page):
    page.open(still.url + "/desk?symbol=SPY&tf=1h&dock=exposure")
    page.page.wait_for_function("window.__workbench.chart().model.levels.length >= 5", timeout=20_000)
    page.page.wait_for_function(f"({LABELS})().length >= 3", timeout=20_000)
    placed = page.evaluate(LABELS)
    heights = sorted(at for _, at, _ in placed)
    assert {"Call wall", "Put wall", "POC", "VAH", "VAL"} & {label for label, _, _ in placed}
    assert all(b - a >= 17.9 for a, b in zip(heights, heights[1:], strict=False))
    assert all(at <= last - 17.9 or at >= last + 17.9 for _, at, last in placed)
    page.page.keyboard.press("x")
    page.page.wait_for_function("window.__workbench.chart().model.levels.length === 0")


def test_the_ladder_follows_the_symbol_and_the_board_is_clicked(still, page):
    page.open(still.url + "/desk?symbol=SPY&dock=ladder")
    page.page.wait_for_function("window.__matrix?.ladder?.of === 'SPY'", timeout=20_000)
    page.page.keyboard.press("ArrowDown")
    page.page.wait_for_function("window.__matrix.ladder.of === 'QQQ'", timeout=20_000)
    page.page.keyboard.press("q")
    page.page.wait_for_function("window.__matrix.board?.values.size >= 2", timeout=20_000)
    page.evaluate("window.__matrix.board.rows.get('SPY').row.click()")
    page.wait(lambda shot: shot["symbol"] == "SPY")


def test_an_idea_is_asked_for_and_clicked(still, page):
    page.open(still.url + "/desk?symbol=SPY&dock=ideas")
    page.page.wait_for_function("window.__workbench.ideas?.answer?.rows.length", timeout=20_000)
    assert page.page.locator(".check").count() == 9
    page.page.get_by_text("▼ Down").click()
    page.page.wait_for_function("window.__workbench.ideas.answer.rows.every((r) => r.right === 'P')", timeout=20_000)
    page.page.get_by_label("Budget $").fill("nothing")
    page.page.get_by_label("Budget $").press("Enter")
    page.page.get_by_text("budget_usd: received 'nothing'").wait_for()
    page.page.locator(".list tbody tr").first.click()
    page.wait(lambda shot: shot["symbol"].startswith("O:SPY") and "P00" in shot["symbol"])
    page.page.locator(".list tr.on").wait_for()
    first = page.snapshot()["symbol"]
    page.page.locator(".list tbody tr:not(.on)").first.click()
    page.wait(lambda shot: shot["symbol"].startswith("O:SPY") and shot["symbol"] != first)
    for _ in range(400):
        if first not in still.engine.hub.watched():
            break
        page.page.wait_for_timeout(25)
    assert first not in still.engine.hub.watched()
    assert page.snapshot()["symbol"] in still.engine.hub.watched()
    page.page.get_by_text("Covered calls 0-DTE").click()
    page.page.wait_for_function("window.__workbench.ideas.answer?.mode === 'covered'", timeout=20_000)
    assert page.page.locator(".step").count() == 9
