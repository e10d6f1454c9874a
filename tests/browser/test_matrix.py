"""Ladder and board live on the simulated market: they tick, they hold still under the pointer, they move when asked to."""

import pytest

pytestmark = pytest.mark.browser

READY = "() => window.__matrix?.ladder?.top != null && window.__matrix.ladder.m.bid != null && window.__matrix.board?.values.size >= 4"
OUT_OF_VIEW = "() => window.__matrix.ladder.up.classList.contains('market') || window.__matrix.ladder.down.classList.contains('market')"


@pytest.fixture
def matrix(served, page):
    page.open(served.url + "/matrix?symbol=SPY", charts=0)
    page.page.wait_for_function(READY, timeout=30_000)
    return page


def wait_painted(page, n=5):
    """Let the ladder paint some more quotes."""
    now = page.evaluate("window.__matrix.ladder.painted")
    page.page.wait_for_function(f"() => window.__matrix.ladder.painted >= {now + n}", timeout=20_000)


def prices(page):
    return page.evaluate("window.__matrix.ladder.snapshot().rows.map((r) => r.price)")


def test_the_ladder_shows_sizes_at_the_best_bid_and_ask_only_and_ticks(matrix):
    wait_painted(matrix)
    # one look in one turn of the page, so that what was painted and what is held belong together
    seen = matrix.evaluate("(() => { const l = window.__matrix.ladder; l.centre(); l.paint(); return l.snapshot() })()")
    bids = [(row["price"], row["bid"]) for row in seen["rows"] if row["bid"]]
    asks = [(row["price"], row["ask"]) for row in seen["rows"] if row["ask"]]
    assert bids == [(seen["market"]["bid"], f"{seen['market']['bid_size']:,.0f}")]
    assert asks == [(seen["market"]["ask"], f"{seen['market']['ask_size']:,.0f}")]
    steps = [round(10_000 * (a["price"] - b["price"])) for a, b in zip(seen["rows"], seen["rows"][1:], strict=False)]
    assert set(steps) == {100}
    assert "top of book only" in seen["notes"]
    traded = "() => [...window.__matrix.ladder.volumes.values()].flat().reduce((a, b) => a + b, 0)"
    before = matrix.evaluate(traded)
    matrix.page.wait_for_function(f"() => ({traded})() > {before}", timeout=20_000)


def test_it_never_moves_by_itself_and_is_centred_when_asked(matrix):
    before = prices(matrix)
    wait_painted(matrix)
    assert prices(matrix) == before
    body = matrix.evaluate("(() => { const r = window.__matrix.ladder.body.getBoundingClientRect(); return {x: r.x, y: r.y} })()")
    matrix.page.mouse.move(body["x"] + 100, body["y"] + 100)
    matrix.evaluate("window.__matrix.ladder.scroll(400)")
    matrix.page.wait_for_function(OUT_OF_VIEW)
    away = prices(matrix)
    matrix.evaluate("window.__matrix.ladder.follow = true")
    wait_painted(matrix)
    assert prices(matrix) == away  # following waits while the pointer is on the rows
    matrix.evaluate("window.__matrix.ladder.follow = false")
    matrix.page.keyboard.press("c")
    matrix.page.wait_for_function("() => !(" + OUT_OF_VIEW + ")()")
    assert prices(matrix) != away
    matrix.evaluate("window.__matrix.ladder.scroll(-400); window.__matrix.ladder.follow = true")
    matrix.page.mouse.move(20, 300)
    matrix.page.wait_for_function("() => !(" + OUT_OF_VIEW + ")()")


def test_own_marks_stand_at_their_price_and_off_screen_ones_at_the_edge(matrix):
    at = matrix.evaluate("window.__matrix.ladder.rows[3].parts / 10000")
    marks = [
        {"kind": "order", "price": at, "qty": 2, "side": "buy", "id": "1", "note": ""},
        {"kind": "stop", "price": 1.5, "qty": 3, "side": "", "id": "", "note": ""},
    ]
    matrix.evaluate("(marks) => { window.__matrix.ladder.model.marks = marks }", marks)
    matrix.page.wait_for_function("() => window.__matrix.ladder.snapshot().rows[3].own === 'B 2'")
    assert "SL 3 1.50" in matrix.evaluate("window.__matrix.ladder.snapshot().down")


def test_every_line_of_the_board_ticks_and_a_click_moves_the_ladder(matrix):
    lines = matrix.evaluate("window.__matrix.board.snapshot().lines")
    assert [line["symbol"] for line in lines] == ["SPY", "QQQ", "NVDA", "AAPL"]
    matrix.page.wait_for_function(
        "(was) => { const now = window.__matrix.board.snapshot().lines; return now.every((l, i) => l.bid !== was[i].bid || l.ask !== was[i].ask || l.bid_size !== was[i].bid_size) }",
        arg=lines, timeout=20_000,
    )  # fmt: skip
    assert all(line["position"] == "–" and line["target"] == "–" for line in lines)
    matrix.evaluate("window.__matrix.board.rows.get('QQQ').row.click()")
    matrix.page.wait_for_function("() => window.__matrix.ladder.of === 'QQQ' && location.search.includes('symbol=QQQ')")
