"""The rules' page says what the program does: its numbers are the defaults, its examples are run."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from tests.execution.paper_world import CALL, DAY, HIGHER, LOWER, PLAIN, PUT, TEN, D, World
from workbench.clock import NS_PER_MS
from workbench.errors import ConfigError
from workbench.execution.base import Accepted, Refused
from workbench.execution.paper_rules import FEES, Fee, PaperRules
from workbench.orders import Leg
from workbench.sessions import ny_ns

INDEX = "O:SPXW261218C06500000"


@pytest.fixture(scope="module")
def page(root):
    return (root / "workbench/execution/paper_rules.md").read_text()


def rows(page, section):
    """Cells of a section's table, without its head."""
    lines = [line for line in page.split(f"## {section}\n")[1].split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def example(page, section):
    """A section's example as one line."""
    return " ".join(page.split(f"## {section}\n")[1].split("\n## ")[0].split("*Example.*")[1].split("\n\n")[0].split())


# -- the page against the defaults -----------------------------------------------------------------------------------------------


def test_the_page_tells_every_rule_with_its_default(page):
    told = {name.strip("`"): Decimal(value) for name, value, _ in rows(page, "The numbers")}
    rules = PaperRules()
    assert told == {field.name: getattr(rules, field.name) for field in dataclasses.fields(rules) if field.name != "fees"}


def test_the_page_tells_every_fee_with_rate_date_and_source(page):
    def as_told(fee):
        sides = "sells" if fee.sells_only else "buys and sells"
        sides += ", not of index options" if fee.without_index_options else ""
        sides += f", at most {fee.cap_usd}" if fee.cap_usd else ""
        per = "USD of the sale" if fee.per == "usd" else fee.per
        return [fee.name, f"{fee.rate:f}", per, sides, fee.since.isoformat() if fee.since else "", fee.source]

    assert rows(page, "Fees") == [as_told(fee) for fee in FEES]


def test_the_page_says_that_paper_is_flatter_than_life(page):
    assert "**Paper fills are flatter than life.**" in page


def test_every_rule_of_the_page_has_an_example(page):
    without = [part.split("\n")[0] for part in page.split("\n## ")[1:] if "*Example.*" not in part]
    assert without == ["The numbers", "Several accounts", "What is not here"]


def test_numbers_in_the_text_are_the_defaults(page):
    rules = PaperRules()
    assert f"between {rules.latency_min_ms} and {rules.latency_max_ms} ms" in page
    assert f"not older than {rules.stale_after_ms // 1000} seconds" in page
    assert f"when it joins ({rules.queue_share:.0%} of it)".replace("%", " %") in page
    text = " ".join(page.split())
    assert f"passes you by in {rules.no_fill_chance:.0%} of cases; otherwise {rules.volume_share:.0%} of".replace("%", " %") in text


# -- fees ------------------------------------------------------------------------------------------------------------------------


def test_the_page_s_fees_are_what_a_fill_pays(page):
    lines = dict(PaperRules().fee_lines(CALL, "sell", D(10), D("2.10")))
    assert list(lines.values()) == [D("6.50"), D("0.15"), D("0.25"), D("0.003"), D("0.0329"), D("0.04326")]
    assert PaperRules().fees_usd(CALL, "sell", D(10), D("2.10")) == D("6.98")
    assert PaperRules().fees_usd(CALL, "buy", D(10), D("2.10")) == D("6.91")
    assert "together 6.97916, charged 6.98. The account receives 2,093.02. Buying them at 2.10 costs 6.91." in example(page, "Fees")


def test_fees_of_shares_and_of_index_options():
    rules = PaperRules()
    # 1,000 × 0.000003 + 1,000 × 0.000195 + 650,000 × 0.0000206 = 0.003 + 0.195 + 13.39
    assert rules.fees_usd("SPY", "sell", D(1000), D(650)) == D("13.59")
    assert rules.fees_usd("SPY", "buy", D(1000), D(650)) == D("0.01")
    assert [name for name, _ in rules.fee_lines(INDEX, "sell", D(1), D(10))] == [
        "commission, options",
        "options regulatory fee (ORF)",
        "OCC clearing",
        "consolidated audit trail (CAT), options",
    ]


def test_a_capped_fee_stops_growing():
    taf = next(fee for fee in FEES if fee.cap_usd)
    assert taf.usd("SPY", "sell", D(50_000), D(1)) == D("9.75")
    assert taf.usd("SPY", "sell", D(60_000), D(1)) == D("9.79")


def test_fills_pay_the_fees_and_the_books_add_them_up():
    world = World(dataclasses.replace(PLAIN, fees=FEES))
    world.quote(CALL, "2.00", "2.10", 10, 10)
    name = world.order(CALL, qty=10)
    (fill,) = world.broker.find(name).fills
    assert fill.fees_usd == world.books.fees_usd == D("6.91")
    assert world.books.cash_usd == 100_000 - 2_100 - D("6.91")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency_min_ms": 201}, "received 201 to 200"),
        ({"latency_min_ms": -1}, "received -1 to 200"),
        ({"stale_after_ms": 0}, "stale_after_ms: received 0"),
        ({"volume_share": D("1.1")}, r"volume_share: received Decimal\('1.1'\)"),
        ({"no_fill_chance": 0.5}, "no_fill_chance: received 0.5"),
        ({"queue_share": D("NaN")}, "queue_share: received"),
        ({"display_share": D(0)}, "display_share: received 0"),
    ],
)
def test_rules_that_can_not_be_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        PaperRules(**change)


def test_a_fee_below_zero_is_refused():
    with pytest.raises(ConfigError, match="Fee.rate of rebate: received -1"):
        Fee("rebate", D(-1), "contract", "nobody")


# -- the page's examples, run ----------------------------------------------------------------------------------------------------


def test_the_example_of_latency(page):
    world = World(dataclasses.replace(PLAIN, latency_min_ms=120, latency_max_ms=120))
    world.quote(CALL, "1.90", "2.00")
    world.send(CALL)
    world.at(TEN + 100 * NS_PER_MS)
    world.quote(CALL, "1.95", "2.05")
    world.at(TEN + 120 * NS_PER_MS)
    assert world.fills() == [(1, D("2.05"))]
    assert "its latency is 120 ms" in example(page, "Latency")


def test_the_example_of_limit_orders(page):
    world = World(dataclasses.replace(PaperRules(), no_fill_chance=D(0), fees=()))
    world.quote(CALL, "1.90", "2.00", bid_size=7)
    world.order(CALL, qty=3, limit="1.90")
    world.go()
    world.trade(CALL, "1.90", 5)
    world.trade(CALL, "1.90", 10)
    world.trade(CALL, "1.89", 4)
    assert world.fills() == [(2, D("1.90")), (1, D("1.90"))]
    assert "A print of 10 at 1.90: 2 for them, 8 are left, 25 % of it is 2: you buy 2" in example(page, "Limit orders")


def test_the_example_of_the_bell():
    world = World(start_ns=ny_ns(DAY, 16) - 50 * NS_PER_MS)
    world.quote(CALL, "1.90", "2.00")
    world.send(CALL)
    world.go()
    assert world.end()[0] in ("rejected", "expired")
    assert world.fills() == []


def test_the_example_of_buying_power(page):
    world = World(capital="500")
    for symbol, bid, ask in ((PUT, "4.00", "4.10"), (LOWER, "2.00", "2.10")):
        world.quote(symbol, bid, ask)
    assert isinstance(world.send(legs=(Leg(PUT, "sell"), Leg(LOWER, "buy")), limit="-1.90"), Accepted)
    refused = World(capital="500").send(PUT, "sell", limit="4.00")
    assert isinstance(refused, Refused)
    assert "65,000.00 USD to secure" in refused.reason
    assert "needs 65,000 USD" in example(page, "Buying power")


def test_the_example_of_several_legs(page):
    world = World()
    world.quote(CALL, "5.00", "5.10", ask_size=9)
    world.quote(HIGHER, "3.00", "3.10", bid_size=2)
    world.order(legs=(Leg(CALL, "buy"), Leg(HIGHER, "sell")), qty=5, limit="2.09")
    assert world.fills() == []
    world.quote(HIGHER, "3.01", "3.10", bid_size=2)
    assert world.fills() == [(2, D("5.10")), (2, D("3.01"))]
    assert "With 9 displayed of the one leg and 2 of the other, 2 spreads fill" in example(page, "Several legs")


def test_the_examples_that_other_tests_run_are_those_of_the_page(page):
    assert example(page, "Market orders").startswith("Ask 2.00 × 4, you buy 10: 4 at 2.00. The next quote is 2.05 × 3")
    assert example(page, "Replacing").endswith("The new order is rejected, 2 go on at 1.90.")
    assert "200 shares come in for 130,000 USD" in example(page, "Expiry")
