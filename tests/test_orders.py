"""The nouns of trading refuse to exist when they are wrong, and say what would be right."""

from decimal import Decimal

import pytest

from workbench.errors import OrderError
from workbench.orders import Fill, Leg, OrderIntent, multiplier, on_tick

CALL = "O:AAPL261218C00200000"  # a cent below 3 dollars, a nickel from there
SPY_CALL = "O:SPY261218C00700000"  # cents throughout


def intent(**changed):
    values = {
        "account": "paper",
        "key": "ticket-1",
        "legs": (Leg(CALL, "buy"),),
        "qty": Decimal(1),
        "order_type": "limit",
        "ts_ns": 1_700_000_000_000_000_000,
        "limit_price": Decimal("2.00"),
    }
    return OrderIntent(**(values | changed))


SPREAD = (Leg(CALL, "buy"), Leg("O:AAPL261218C00210000", "sell"))


def test_the_brokers_id_comes_from_account_and_key_alone():
    one = intent()
    assert one.client_order_id == intent(qty=Decimal(7), limit_price=Decimal("2.05"), ts_ns=5).client_order_id
    assert one.client_order_id != intent(key="ticket-2").client_order_id
    assert one.client_order_id != intent(account="other").client_order_id
    assert intent(account="a", key="b c").client_order_id != intent(account="a b", key="c").client_order_id
    assert one.client_order_id == "wb-d25c0f7875ac4412d1f8737ffb989112"  # sha256sum of "paper\\nticket-1": ids of old journals stay valid


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"qty": Decimal(0)}, "OrderIntent.qty: received 0; allowed: whole contracts"),
        ({"qty": Decimal("0.5")}, "received 0.5; allowed: whole contracts"),
        ({"qty": Decimal(-1)}, "received -1"),
        ({"qty": Decimal("NaN")}, "a finite Decimal"),
        ({"qty": 1}, r"received 1 \(int\); allowed: a finite Decimal"),
        ({"limit_price": 2.1}, r"received 2.1 \(float\); allowed: a finite Decimal, as Decimal"),
        (
            {"limit_price": Decimal("2.005")},
            r"received 2.005; allowed for O:AAPL261218C00200000: .* steps of 0.01 \(next to it: 2.00 and 2.01\)",
        ),
        ({"limit_price": Decimal("3.02")}, r"steps of 0.05 \(next to it: 3.00 and 3.05\)"),
        ({"limit_price": Decimal(0)}, "a price above 0"),
        ({"limit_price": Decimal("-1.00")}, "a price above 0"),
        ({"limit_price": None}, "received None for a limit order; allowed: a price"),
        ({"order_type": "market"}, "for a market order; allowed: None"),
        ({"order_type": "stop"}, "OrderIntent.limit_price: .* for a stop order; allowed: None"),
        ({"order_type": "limt"}, "did you mean 'limit'"),
        ({"time_in_force": "weekly"}, "allowed: day, gtc, ioc, fok"),
        ({"legs": ()}, "OrderIntent.legs: received 0; allowed: 1 to 4"),
        ({"legs": (Leg(CALL, "buy"), Leg(CALL, "sell"))}, "allowed: each symbol once"),
        ({"legs": (Leg(CALL, "buy", 2),)}, "received ratio 2 for the only leg"),
        ({"legs": (Leg("AAPL", "buy"), Leg("MSFT", "sell"))}, "only with an option among them"),
        ({"legs": SPREAD, "limit_price": Decimal("0.005")}, "a net price in steps of 0.01"),
        ({"legs": SPREAD, "order_type": "stop", "limit_price": None, "stop_price": Decimal(1)}, "received stop with 2 legs"),
        ({"key": ""}, "OrderIntent.key: received ''"),
        ({"account": " paper"}, "without blanks around them"),
        ({"ts_ns": 0}, "allowed: int64 ns UTC"),
    ],
)
def test_an_intent_that_is_wrong_does_not_exist(changed, said):
    with pytest.raises(OrderError, match=said):
        intent(**changed)


def test_what_is_legal_exists():
    assert intent(legs=SPREAD, limit_price=Decimal("-0.35")).leg_qty(CALL) == 1  # a credit
    assert (
        intent(legs=(Leg(CALL, "buy"), Leg("O:AAPL261218C00210000", "sell", 2)), qty=Decimal(3), limit_price=Decimal("0.10")).leg_qty(
            SPREAD[1].symbol
        )
        == 6
    )
    assert intent(legs=(Leg("AAPL", "buy"),), qty=Decimal("0.123456789"), limit_price=Decimal("201.13")).qty == Decimal("0.123456789")
    assert intent(legs=(Leg("AAPL", "buy"),), order_type="market", limit_price=None).limit_price is None
    assert intent(legs=(Leg(SPY_CALL, "buy"),), limit_price=Decimal("3.02")).limit_price == Decimal("3.02")
    assert not intent(legs=(Leg(CALL, "sell", effect="close"),)).is_opening


@pytest.mark.parametrize(
    ("price", "symbol", "below", "above"),
    [
        ("2.013", CALL, "2.01", "2.02"),
        ("2.01", CALL, "2.01", "2.01"),
        ("3.03", CALL, "3.00", "3.05"),
        ("3.03", SPY_CALL, "3.03", "3.03"),
        ("0.004", CALL, "0.01", "0.01"),
        ("0.12345", "AAPL", "0.1234", "0.1235"),
        ("201.139", "AAPL", "201.13", "201.14"),
    ],
)
def test_prices_are_put_on_the_increment(price, symbol, below, above):
    assert (on_tick(Decimal(price), symbol, "down"), on_tick(Decimal(price), symbol, "up")) == (Decimal(below), Decimal(above))


def test_a_fill_counts_the_multiplier_and_its_fees_to_the_cent():
    bought = Fill("f1", "wb-1", CALL, "buy", Decimal(3), Decimal("2.10"), 1, fees_usd=Decimal("1.95"))
    assert bought.cash_usd == Decimal("-631.95")  # 3 × 100 × 2.10 and 1.95
    assert Fill("f2", "wb-1", "AAPL", "sell", Decimal(10), Decimal("201.13"), 1).cash_usd == Decimal("2011.30")


def test_an_adjusted_contract_has_no_known_multiplier():
    with pytest.raises(OrderError, match="adjusted contract"):
        multiplier("O:AAPL1261218C00200000")


@pytest.mark.parametrize(
    "changed",
    [
        {"qty": Decimal(0)},
        {"price": Decimal("-0.01")},
        {"fill_id": ""},
        {"side": "bought"},
        {"fees_usd": 1.0},
        {"price": Decimal("Infinity")},
    ],
)
def test_a_fill_that_is_wrong_does_not_exist(changed):
    values = {"fill_id": "f", "client_order_id": "", "symbol": CALL, "side": "buy", "qty": Decimal(1), "price": Decimal(1), "ts_event": 1}
    with pytest.raises(OrderError, match="Fill|received"):
        Fill(**(values | changed))
