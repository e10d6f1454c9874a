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
