"""Two contracts as one trade, by hand arithmetic."""

import math

import pytest

from workbench.errors import RecordError
from workbench.views.legs import PickedLeg, legs_of, price_of

C675, C680, P670 = "O:SPY261120C00675000", "O:SPY261120C00680000", "O:SPY261120P00670000"
QUOTES = {C675: (2.00, 2.10), C680: (0.50, 0.56), P670: (0.80, 0.84), "O:SPY261120P00675000": (1.50, 1.60)}


def test_a_straddle_is_one_click():
    legs = legs_of("straddle", [C675])
    assert legs == (PickedLeg(C675, 1), PickedLeg("O:SPY261120P00675000", 1))
    price = price_of(legs, QUOTES)
    assert (price.mid_usd, price.natural_usd) == pytest.approx((2.05 + 1.55, 2.10 + 1.60))


def test_a_vertical_buys_the_first_and_sells_the_second():
    debit, credit = (price_of(legs_of("vertical", pair), QUOTES) for pair in ([C675, C680], [C680, C675]))
    assert (debit.mid_usd, debit.natural_usd) == pytest.approx((2.05 - 0.53, 2.10 - 0.50))
    assert (credit.mid_usd, credit.natural_usd) == pytest.approx((0.53 - 2.05, 0.56 - 2.00))


def test_a_strangle_buys_both():
    price = price_of(legs_of("strangle", [P670, C680]), QUOTES)
    assert (price.mid_usd, price.natural_usd) == pytest.approx((0.82 + 0.53, 0.84 + 0.56))


def test_a_side_that_nobody_takes_has_no_price():
    price = price_of(legs_of("vertical", [C675, C680]), {**QUOTES, C680: (0.0, 0.01)})
    assert math.isnan(price.mid_usd)
    assert math.isnan(price.natural_usd)
    bought = price_of((PickedLeg(C680, 1),), {C680: (0.0, 0.01)})
    assert math.isnan(bought.mid_usd)
    assert bought.natural_usd == 0.01
    assert math.isnan(price_of((), QUOTES).mid_usd), "no legs cost nothing that could be told"


@pytest.mark.parametrize(
    ("kind", "symbols", "said"),
    [
        ("vertical", [C675, P670], "two calls, or two puts"),
        ("strangle", [C675, C680], "a call and a put"),
        ("vertical", [C675, C675], "two strikes"),
        ("vertical", [C675, "O:SPY261127C00680000"], "one expiry"),
        ("butterfly", [C675], "straddle"),
    ],
)
def test_what_makes_no_trade_is_said(kind, symbols, said):
    with pytest.raises(RecordError, match=said):
        legs_of(kind, symbols)
