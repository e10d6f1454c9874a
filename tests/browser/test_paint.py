"""What a tick paints: the open bars on a layer of their own, the figure as a whole only when its scale moves."""

import pytest

pytestmark = pytest.mark.browser

# Pixels are asked for in one turn of the page, right after a paint, so that nothing moves in between.
LOOK = """() => {
  const chart = window.__workbench.chart(), v = chart.main, d = chart.forming.data, f = chart.frame
  chart.paintTick()
  const layer = v.canvas_view.overlays, ratio = layer.pixel_ratio
  const readable = (canvas) => {  // a copy, so that Chromium has nothing to say about reading the real one
    const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height})
    const ctx = copy.getContext("2d", {willReadFrequently: true})
    ctx.drawImage(canvas, 0, 0)
    return ctx
  }
  const at = (ctx, x, y) => [...ctx.getImageData(Math.round(x * ratio), Math.round(y * ratio), 1, 1).data]
  const i = d.x.length - 1, x = Math.round(chart.sx(d.x[i])), y = Math.round(chart.sy((d.h[i] + d.l[i]) / 2))
  const live = readable(layer.canvas), picture = readable(chart.picture())
  const box = chart.root.getBoundingClientRect(), figure = v.el.getBoundingClientRect()
  const column = live.getImageData(0, 0, 1, Math.round(f.height * ratio)).data
  return {
    live: at(live, x, y), exported: at(picture, x + figure.left - box.left, y + figure.top - box.top),
    beside: at(live, Math.round(chart.sx(d.x[0] - 5)), f.top + 2), smeared: column.filter((value, k) => k % 4 === 3 && value).length,
    isOpen: d.x.length > 1, up: chart.c.up, down: chart.c.down,
  }
}"""


@pytest.fixture
def ticking(served, page):
    page.open(served.url + "/?symbol=SPY&tf=1m")
    page.wait(lambda shot: len(shot["live"]["x"]) > 1)
    return page


def rgb(colour):
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def test_a_tick_repaints_the_open_bars_and_seldom_the_figure(ticking):
    count = "[window.__workbench.chart().painted, window.__workbench.chart().main._render_count]"
    painted, whole = ticking.evaluate(count)
    ticking.page.wait_for_function(f"window.__workbench.chart().painted >= {painted + 60}", timeout=60_000)
    painted_then, whole_then = ticking.evaluate(count)
    assert whole_then - whole < 0.7 * (painted_then - painted)


def test_the_open_bar_is_on_the_live_layer_and_in_the_exported_picture(ticking):
    seen = ticking.evaluate(LOOK)
    assert seen["isOpen"]
    assert seen["live"][:3] in (rgb(seen["up"]), rgb(seen["down"]))
    assert seen["live"][3] == 255
    assert seen["exported"][:3] == seen["live"][:3]


def test_nothing_of_earlier_ticks_stays_on_the_live_layer(ticking):
    ticking.page.wait_for_timeout(1500)
    seen = ticking.evaluate(LOOK)
    assert seen["beside"][3] == 0
    assert seen["smeared"] == 0
