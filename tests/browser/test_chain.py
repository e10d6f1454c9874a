"""The option chain in a real browser, on the simulated market."""

import time

import pytest

pytestmark = pytest.mark.browser

CELLS = """() => {
  const dig = (root, css) => [...root.querySelectorAll(css), ...[...root.querySelectorAll("*")].flatMap((el) => el.shadowRoot ? dig(el.shadowRoot, css) : [])]
  return dig(document, ".sheet .line").map((el) => [...el.querySelectorAll(".k, .bid, .ask")].map((c) => c.textContent))
}"""


def chain_feeds(hub):
    return [feed for feed in hub._chains._feeds.values() if not feed.is_over]


def until(condition, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_the_chain_ticks_and_a_click_shows_the_contracts_chart(served, page):
    hub = served.engine.hub
    page.open(served.url)
    page.page.keyboard.press("c")
    page.page.locator(".money .tag").filter(has_text=".").wait_for()
    page.page.locator(".calls .delta").filter(has_text="0.").first.wait_for()
    assert len(page.evaluate(CELLS)) > 20
    page.page.wait_for_function(f"(first) => JSON.stringify(({CELLS})()) !== first", arg=page.evaluate(f"JSON.stringify(({CELLS})())"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 1366
    strike = f"{5 * round(hub.board('SPY').last / 5)}"
    line = page.page.locator(".sheet .line").filter(has=page.page.locator(f".k:text-is('{strike}')"))
    line.locator(".calls .bid").click()
    page.wait(lambda shot: shot["symbol"].startswith("O:SPY") and shot["symbol"].endswith(f"C{int(strike):05d}000"))
    line.locator(".calls.on").wait_for(state="attached")
    page.page.locator(".under").click()
    page.wait(lambda shot: shot["symbol"] == "SPY")
    assert chain_feeds(hub)
    page.page.keyboard.press("c")
    until(lambda: not chain_feeds(hub))


def test_the_chain_has_a_page_of_its_own(served, page):
    page.open(f"{served.url}/chain?symbol=QQQ", charts=0)
    page.page.locator(".puts .bid").filter(has_text=".").first.wait_for()
    assert page.page.title() == "QQQ chain"


RECORD = """
window.__drawn = []
const draw = CanvasRenderingContext2D.prototype.fillText
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  if (this.canvas.className === "figures") window.__drawn.push([text, x, y, this.fillStyle])
  return draw.apply(this, arguments)
}
"""
# Cells in view whose text was drawn nowhere at their right edge; open interest stands still all day.
NOT_DRAWN = """() => {
  const dig = (root, css) => [...root.querySelectorAll(css), ...[...root.querySelectorAll("*")].flatMap((el) => el.shadowRoot ? dig(el.shadowRoot, css) : [])]
  const canvas = dig(document, ".figures")[0].getBoundingClientRect(), near = (a, b) => Math.abs(a - b) < 1
  const cells = dig(document, ".sheet .open_interest").filter((el) => el.textContent)
  return [cells.length, cells.filter((el) => {
    const at = el.getBoundingClientRect()
    return !window.__drawn.some(([text, x, y]) => text === el.textContent && near(canvas.left + x, at.right - 4) && canvas.top + y > at.top && canvas.top + y < at.bottom)
  }).length]
}"""
INK = """() => {
  const dig = (root, css) => [...root.querySelectorAll(css), ...[...root.querySelectorAll("*")].flatMap((el) => el.shadowRoot ? dig(el.shadowRoot, css) : [])]
  return getComputedStyle(dig(document, ".sheet .bid")[0]).webkitTextFillColor
}"""


def test_numbers_are_drawn_where_their_cells_stand_also_after_scrolling(served, page):
    page.page.add_init_script(RECORD)
    page.open(f"{served.url}/chain?symbol=SPY", charts=0)
    page.page.locator(".calls .delta").filter(has_text="0.").first.wait_for()
    page.page.wait_for_function(f"() => {{ const [n, missing] = ({NOT_DRAWN})(); return n > 20 && missing === 0 }}")
    page.page.mouse.move(600, 400)
    page.page.mouse.wheel(0, 900)
    page.page.wait_for_function(f"() => {{ const [n, missing] = ({NOT_DRAWN})(); return n > 20 && missing === 0 }}")
    assert page.evaluate(INK) == "rgba(0, 0, 0, 0)", "the cells' own texts are not seen a second time"
    page.evaluate("document.documentElement.style.setProperty('--wb-muted', '#123456')")
    page.page.wait_for_function("() => window.__drawn.some((one) => one[3] === '#123456')")
