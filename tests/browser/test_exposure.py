"""The exposure view in a real browser, on the simulated market."""

import pytest

pytestmark = pytest.mark.browser


def wait_for(page, script, timeout_s=60):
    page.page.wait_for_function(f"(() => {{ const e = window.__workbench?.exposure; return e && ({script}) }})()", timeout=1000 * timeout_s)


def tones(page):
    """Return how many tones each column of the picture holds: an empty one has its ground, the grid and lines of levels."""
    return page.evaluate(
        """() => {
          const e = window.__workbench.exposure, ratio = window.devicePixelRatio, {width, height} = e.base
          const {data} = e.base.getContext("2d").getImageData(0, 0, width, height), found = {}
          for (const [name, [x0, x1]] of Object.entries(e.columns())) {
            const seen = new Set()
            for (let y = Math.round(30 * ratio); y < height - 30 * ratio; y++)
              for (let x = Math.round((x0 + 2) * ratio); x < (x1 - 2) * ratio; x++) {
                const i = 4 * (y * width + x)
                seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2])
              }
            found[name] = seen.size
          }
          return found
        }"""
    )


def test_bars_appear_and_another_convention_changes_the_printed_assumption(served, page):
    page.open(served.url + "/exposure?symbol=SPY&n_expiries=2", charts=0)
    wait_for(page, "e.n_boards > 0 && e.drawn > 0 && !e.board.status")
    assert min(tones(page).values()) >= 8
    assert "calls +1, puts -1" in page.page.locator(".words").inner_text()
    before = page.evaluate("window.__workbench.exposure.board.totals")
    page.page.locator("select[name='sign']").select_option("all-short")
    wait_for(page, "e.board.assumptions[1].includes('all -1') && !e.root.classList.contains('old')")
    assert "dealers are taken to be short everything" in page.page.locator(".words").inner_text()
    assert "sign=all-short" in page.page.url
    after = page.evaluate("window.__workbench.exposure.board.totals")
    assert before["calls"] > 0 > after["calls"]
    assert page.page.locator(".words").inner_text().count("contracts") >= 1


def test_one_expiry_is_chosen_in_the_table_and_the_hub_agrees(served, page):
    page.open(served.url + "/exposure?symbol=QQQ&n_expiries=2", charts=0)
    wait_for(page, "e.n_boards > 0 && e.board.series.length === 2")
    row = page.page.locator(".foot tbody tr").nth(2)
    name = row.get_attribute("data-name")
    row.click()
    wait_for(page, f"e.board.shown === {name!r}")
    told = page.evaluate("window.__workbench.exposure.board")
    assert told["totals"]["net"] == told["series"][1]["net"]
    assert name == f"QQQ {served.engine.hub.expiries('QQQ')[1].isoformat()}"


def test_an_unknown_symbol_is_answered_with_a_sentence(served, page):
    page.open(served.url + "/exposure?symbol=ZZZZ", charts=0)
    page.page.locator(".status.on:not(.wait)").wait_for(timeout=30_000)
    assert "ZZZZ" in page.page.locator(".status").inner_text()


def test_a_hidden_page_lets_its_chains_go(served, page):
    page.open(served.url + "/exposure?symbol=NVDA&n_expiries=1", charts=0)
    wait_for(page, "e.n_boards > 0")
    feeds = served.engine.hub._chains._feeds
    key = ("NVDA", served.engine.hub.expiries("NVDA")[0])
    assert not feeds[key].is_over
    page.evaluate(
        """() => {
          Object.defineProperty(document, "visibilityState", {value: "hidden", configurable: true})
          document.dispatchEvent(new Event("visibilitychange"))
        }"""
    )
    for _ in range(400):
        if feeds[key].is_over:
            break
        page.page.wait_for_timeout(25)
    assert feeds[key].is_over
