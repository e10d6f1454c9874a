"""The desk in a real browser, as a person uses it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest

pytestmark = pytest.mark.browser


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
    page.page.wait_for_url(lambda url: "symbol=AAPL&tf=1m" in url)


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
