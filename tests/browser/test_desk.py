"""The desk in a real browser, as a person uses it."""

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest

from tests.scorecard import IS_FULL

pytestmark = pytest.mark.browser

SWITCHES = 100 if IS_FULL else 20
TABS = 100 if IS_FULL else 8
FRAME_MS = 400
CAPACITY = 5000
TIMEFRAMES = ("1m", "2m", "3m", "5m", "15m", "30m", "1h", "4h", "1d", "1w")
FIELDS = (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume"))


def assert_holds_the_hubs_bars(shot, before, after, n_older):
    """Compare a page with the hub's closed bars shortly before and just after it was read (a frame is under way for some ms).

    Both begin with `n_older` bars from before the series, which a chart holds when it was asked to show them.
    """
    n = len(shot["history"]["ts"])
    ts = (np.asarray(shot["history"]["ts"]) * 1e9).round().astype(np.int64)
    assert n >= min(len(before) - n_older, 150)
    assert shot["count"] >= len(before) - n_older
    assert shot["count"] <= len(after) or len(after) - n_older == CAPACITY, "a chart may remember what fell out of a full series"
    known = {int(row["ts_open"]): [row] for row in before}
    for row in after:
        known.setdefault(int(row["ts_open"]), []).append(row)
    assert (np.diff(ts) > 0).all(), "bars are double or out of order"
    expected = before["ts_open"][(before["ts_open"] >= ts[0]) & (before["ts_open"] <= ts[-1])]
    assert np.isin(expected, ts).all(), "bars are missing"
    assert ts[-1] in (before["ts_open"][-1], after["ts_open"][-1])
    for i, stamp in enumerate(ts.tolist()):
        shown = [shot["history"][short][i] for short, _ in FIELDS]
        assert shown in [[float(row[name]) for _, name in FIELDS] for row in known[stamp]], (i, stamp)


def assert_soon_holds_the_hubs_bars(page, hub, symbol, timeframe, patience_s=10.0):
    """Compare until they agree: while history pours in on a busy machine a page may be some frames behind, never wrong for good."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return assert_holds_the_hubs_bars(*read(page, hub, symbol, timeframe))
        except AssertionError:
            if time.monotonic() > deadline:
                raise


def read(page, hub, symbol, timeframe):
    series = hub.series(symbol, timeframe)
    page.wait(lambda _: len(series))  # the first week of a symbol is still being read
    before = series.rows()
    page.page.wait_for_timeout(FRAME_MS)
    shot = page.snapshot()
    after = series.rows()
    missing = shot["count"] - len(before)
    first_ns = int(min(before["ts_open"][0], after["ts_open"][0]))
    older = hub.older(symbol, timeframe, first_ns, missing + 5) if missing > 5 else before[:0]
    return shot, np.concatenate([older, before]), np.concatenate([older, after]), len(older)


def test_the_desk_ticks(served, page):
    page.open(served.url)
    first = page.snapshot()
    later = page.wait(lambda shot: shot["live"]["c"][-1] != first["live"]["c"][-1] and shot["painted"] > first["painted"] + 10)
    assert later["symbol"] == first["symbol"]
    assert page.page.title().startswith("SPY")


def test_candles_are_whole_pixels(served, page):
    page.open(served.url)
    left = page.evaluate(
        "(() => { const c = window.__workbench.chart(); return [c.sx(c.last), c.sx(c.last - 1), c.pitch, c.body(1) % 2] })()"
    )
    assert left[0] == pytest.approx(round(left[0]), abs=1e-6)
    assert left[0] - left[1] == pytest.approx(left[2])
    assert left[3] == 1


@pytest.mark.soak("desk-switches")
def test_switching_symbol_and_timeframe_under_live_updates_always_ends_on_the_hubs_bars(served, page, cases):
    cases.n = SWITCHES
    page.open(served.url)
    page.evaluate(WATCH_TIME)
    rng = np.random.default_rng(11)
    symbol, timeframe = page.snapshot()["symbol"], page.snapshot()["timeframe"]
    symbols = served.engine.symbols
    for _ in range(SWITCHES):
        if rng.random() < 0.5:
            symbol = str(rng.choice([s for s in symbols if s != symbol]))
            page.page.locator(".wl .row", has=page.page.get_by_text(symbol, exact=True)).click()
        else:
            timeframe = str(rng.choice([t for t in TIMEFRAMES if t != timeframe]))
            page.page.locator(f".frames button[data-tf='{timeframe}']").click()
        page.wait(lambda shot: (shot["symbol"], shot["timeframe"], shot["state"]) == (symbol, timeframe, "ready"))  # noqa: B023
        assert_soon_holds_the_hubs_bars(page, served.engine.hub, symbol, timeframe)
    seen = page.evaluate("window.__seen")
    for (generation, last), (next_generation, next_last) in zip(seen, seen[1:], strict=False):
        assert next_generation >= generation, "an earlier chart came back"
        assert next_generation > generation or next_last >= last, "a chart went back in time"
    took = page.evaluate("window.__took")
    p95 = float(np.percentile(took, 95))
    print(f"\n{len(took)} switches: click to painted p50 {statistics.median(took):.0f} ms, p95 {p95:.0f} ms")
    if SWITCHES >= 100:
        assert p95 <= 300


WATCH_TIME = """() => {
  const chart = window.__workbench.chart(), paint = chart.afterPaint.bind(chart)
  window.__seen = []; window.__took = []; let clicked = null
  window.addEventListener("click", () => { clicked = [performance.now(), chart.model.meta.generation] }, true)
  chart.afterPaint = () => {
    paint()
    const d = chart.forming.data
    if (chart.ready) window.__seen.push([chart.model.meta.generation, d.ts[d.ts.length - 1]])
    if (clicked && chart.ready && chart.model.meta.generation > clicked[1]) { window.__took.push(performance.now() - clicked[0]); clicked = null }
  }
}"""


def test_panning_back_loads_history_and_end_returns_to_live(served, page):
    page.open(served.url + "/?symbol=SPY&tf=5m")
    first = page.snapshot()
    page.page.mouse.move(800, 300)
    for _ in range(12):
        page.page.keyboard.press("Shift+ArrowLeft")
        page.page.wait_for_timeout(150)
    shot = page.wait(lambda shot: shot["view"][1] < first["view"][1] - 500 and shot["history"]["x"][0] <= shot["view"][0])
    assert (np.diff(shot["history"]["ts"]) > 0).all()
    assert page.page.locator(".wb-live.on").count() == 1
    page.page.keyboard.press("End")
    page.wait(lambda shot: shot["view"][1] > shot["live"]["x"][-1] and shot["history"]["x"][-1] >= shot["live"]["x"][0] - 1)


def test_zooming_out_thins_honestly_and_keeps_the_right_edge(served, page):
    page.open(served.url + "/?symbol=SPY&tf=1m")
    page.page.mouse.move(800, 300)
    before = page.snapshot()
    page.page.mouse.wheel(0, 1200)
    shot = page.wait(lambda shot: max(shot["history"]["k"]) > 1)
    assert (
        abs((shot["view"][1] - shot["live"]["x"][-1]) * shot["view"][2] - (before["view"][1] - before["live"]["x"][-1]) * before["view"][2])
        < 30
    )
    rows = served.engine.hub.older("SPY", "1m", int(shot["history"]["ts"][-1] * 1e9), 4000)
    inside = rows[rows["ts_open"] >= shot["history"]["ts"][1] * 1e9]
    assert max(shot["history"]["h"][1:-1]) == inside["high"].max()
    assert min(shot["history"]["l"][1:-1]) == inside["low"].min()


def test_zooming_out_beyond_the_oldest_bar_leaves_the_newest_where_it_is(served, page):
    page.open(served.url + "/?symbol=SPY&tf=1d")
    page.page.mouse.move(800, 300)
    before = page.snapshot()
    for _ in range(40):
        page.page.mouse.wheel(0, 300)
        page.page.wait_for_timeout(10)
    page.page.wait_for_timeout(500)
    shot = page.snapshot()
    air = [(s["view"][1] - s["live"]["x"][-1]) * s["view"][2] for s in (before, shot)]
    assert shot["view"][2] < before["view"][2]
    assert abs(air[1] - air[0]) < 40


def test_two_windows_show_each_others_levels_and_lose_none(served, page, open_page):
    other = open_page(served.url + "/?symbol=NVDA")
    page.open(served.url + "/?symbol=NVDA")
    for i, (one, y) in enumerate([(page, 250), (other, 350), (page, 450)]):
        one.page.bring_to_front()
        one.page.keyboard.press("h")
        one.page.mouse.click(800, y)
        for each in (page, other):
            each.page.bring_to_front()  # a window in the background paints nothing, so it is told nothing
            each.page.wait_for_function(f"window.__workbench.chart().model.levels.length === {i + 1}")
    prices = [one.evaluate("window.__workbench.chart().model.levels.map((l) => l.price)") for one in (page, other)]
    assert prices[0] == prices[1]
    assert len(set(prices[0])) == 3


def test_a_page_that_shrinks_keeps_its_chart(served, page):
    page.page.set_viewport_size({"width": 2560, "height": 1440})
    page.open(served.url)
    page.page.set_viewport_size({"width": 1024, "height": 768})
    page.page.wait_for_function("window.__workbench.chart().root.clientWidth >= 700", timeout=5000)


def test_a_level_drawn_by_hand_is_there_on_the_next_visit(served, page, open_page):
    page.open(served.url + "/?symbol=QQQ")
    page.page.keyboard.press("h")
    page.page.mouse.click(800, 250)
    page.page.wait_for_function("window.__workbench.chart().model.levels.length === 1")
    price = page.evaluate("window.__workbench.chart().model.levels[0].price")
    again = open_page(served.url + "/?symbol=QQQ")
    assert again.evaluate("window.__workbench.chart().model.levels.map((l) => l.price)") == [price]


def test_the_address_follows_what_is_shown(served, page):
    page.open(served.url)
    page.page.keyboard.press("1")
    page.wait(lambda shot: shot["timeframe"] == "1m")
    page.page.keyboard.press("/")
    page.page.keyboard.type("aapl\n")
    page.wait(lambda shot: shot["symbol"] == "AAPL")
    assert "symbol=AAPL&tf=1m" in page.page.url


def test_an_unknown_symbol_is_answered_with_one_sentence(served, page):
    page.open(served.url)
    page.page.get_by_label("Add symbol").fill("zzzz")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("() => true")
    assert "ZZZZ" in page.page.locator(".wl .note.on").inner_text()


def test_quick_clicks_on_indicators_all_count(served, page):
    page.open(served.url + "/?symbol=NVDA")
    page.page.keyboard.press("i")
    for name in ("ema:9", "rsi:14"):
        page.page.locator(f".menu input[value='{name}']").evaluate("(box) => box.click()")
    labels = "window.__workbench.chart().model.legend.map((line) => line.label)"
    page.page.wait_for_function(f"['EMA 9', 'RSI 14'].every((label) => {labels}.includes(label))")
    page.page.locator(".menu input[value='ema:20']").click()
    page.page.keyboard.press("4")
    page.wait(lambda shot: shot["timeframe"] == "5m")
    page.page.keyboard.press("1")  # the box that was clicked does not keep the keyboard
    page.wait(lambda shot: shot["timeframe"] == "1m")
    for name in ("ema:9", "rsi:14"):
        assert page.page.locator(f".menu input[value='{name}']").is_checked()
        page.page.locator(f".menu input[value='{name}']").evaluate("(box) => box.click()")
    page.page.wait_for_function("window.__workbench.chart().model.panes.length === 0")


def test_a_chart_says_why_history_is_missing_until_a_read_succeeds(served, page, monkeypatch):
    hub, ask = served.engine.hub, served.engine.hub.health
    monkeypatch.setattr(
        hub, "health", lambda symbol=None: replace(ask(symbol), history_trouble="history of QQQ: down; it is tried again by itself")
    )
    page.open(served.url + "/?symbol=QQQ")
    note = page.page.get_by_text("History of QQQ can't be read: down; it is tried again by itself")
    note.wait_for(timeout=30_000)
    legend = page.page.locator(".wb-head .wb-legend").bounding_box()
    assert note.bounding_box()["y"] >= legend["y"] + legend["height"], "the note covers the prices"
    monkeypatch.undo()
    note.wait_for(state="detached", timeout=30_000)


def test_a_recording_of_longer_bars_greys_the_shorter_timeframes(served, page, monkeypatch):
    source = served.engine.source
    monkeypatch.setattr(source, "_info", replace(source.info, bar_lengths_ns={"SPY": 300 * 10**9}))
    page.open(served.url + "/?symbol=SPY&tf=1m")
    assert page.snapshot()["timeframe"] == "5m"
    grey = page.page.locator(".frames button.unfit")
    assert grey.all_inner_texts() == ["1m", "2m", "3m"]
    assert grey.first.get_attribute("title").startswith("SPY was recorded in 5m bars")
    grey.first.click()
    page.page.locator(".toast", has_text="at 1m only the last minute of each is shown").wait_for(timeout=30_000)
    assert page.snapshot()["timeframe"] == "5m"


def test_a_symbol_that_there_is_not_is_replaced_with_one_sentence(served, page):
    page.open(served.url + "/?symbol=zzzz")
    page.page.locator(".toast", has_text="There is no symbol 'ZZZZ'").wait_for(timeout=30_000)
    assert page.snapshot()["symbol"] == "SPY"


def test_four_charts_tick_at_once(served, page):
    page.open(served.url)
    page.page.locator("button[title='Four charts']").click()
    page.page.wait_for_function("window.__workbench.charts.length === 4 && window.__workbench.charts.every((c) => c.ready)")
    before = page.evaluate("window.__workbench.charts.map((c) => c.painted)")
    page.page.wait_for_timeout(1500)
    after = page.evaluate("window.__workbench.charts.map((c) => c.painted)")
    assert all(b > a + 5 for a, b in zip(before, after, strict=True))
    page.page.locator("button[title='One chart']").click()
    page.page.wait_for_function("window.__workbench.charts.length === 1")


def test_a_chart_leaves_as_a_picture(served, page):
    page.open(served.url)
    with page.page.expect_download() as download:
        page.page.keyboard.press("p")
    assert download.value.suggested_filename.endswith(".png")
    with open(download.value.path(), "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"


@pytest.mark.soak("desk-tabs")
def test_closed_tabs_leave_no_session_and_no_callback(served, open_page, cases):
    import panel as pn

    cases.n = TABS
    before = set(pn.state._periodic)  # documents that other tests of this process left
    for _ in range(TABS):
        open_page(served.url).close()
    tornado = served.server._tornado
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and any(context.sessions for context in tornado.applications.values()):
        time.sleep(0.5)
    sessions = [session for context in tornado.applications.values() for session in context.sessions]
    assert sessions == []
    assert [callbacks for document, callbacks in pn.state._periodic.items() if document not in before] == []


SERVE = ("-m", "workbench.cli.main", "serve", "--port", "{port}")
STOCK = ("-m", "panel", "serve", "apps/desk.py", "--port", "{port}")


@pytest.mark.parametrize("command", [SERVE, STOCK], ids=["workbench", "panel"])
def test_it_is_served_by_one_command_and_by_stock_panel(command, root, page, tmp_path):
    process, url = _start(root, tmp_path, command)
    try:
        page.open(url)
        first = page.snapshot()
        page.wait(lambda shot: shot["live"]["c"][-1] != first["live"]["c"][-1])
        page.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said, said


def _start(root, folder, command=SERVE, port=None):
    """Start a desk as people do; return its process and address once it answers."""
    if port is None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    environ = {**os.environ, "WORKBENCH_DATA_DIR": str(folder), "PYTHONPATH": str(root)}
    with (folder / "log").open("w") as log:
        arguments = [sys.executable, *(part.format(port=port) for part in command)]
        process = subprocess.Popen(arguments, cwd=root, env=environ, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/desk"
    _wait_for(url)
    return process, url


def test_a_page_whose_server_is_gone_says_so_and_comes_back_with_it(root, open_page, tmp_path):
    process, url = _start(root, tmp_path)
    page = open_page(url)
    process.kill()
    process.wait(20)
    page.page.get_by_text("The desk's server does not answer").wait_for(state="visible", timeout=20_000)
    process, _ = _start(root, tmp_path, port=int(url.split(":")[2].split("/")[0]))
    try:
        page.page.get_by_text("The desk's server does not answer").wait_for(state="hidden", timeout=30_000)
        page.page.wait_for_function("window.__workbench?.charts.length && window.__workbench.charts[0].ready", timeout=60_000)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(url):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=30).close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"{url} does not answer")
