"""Steps of price as exchanges publish them: Regulation NMS rule 612 for stocks, Cboe rule 5.4 for options."""

import numpy as np
import pytest

from workbench.tick_size import fitted, row_parts, tick_bands


@pytest.mark.parametrize(
    ("symbol", "price", "tick"),
    [
        ("SPY", 512.34, 0.01),
        ("AAPL", 0.95, 0.0001),
        ("O:AAPL261218C00200000", 2.99, 0.01),
        ("O:AAPL261218C00200000", 3.00, 0.05),
        ("O:SPY261218C00600000", 12.34, 0.01),
        ("O:SPXW261218C06000000", 2.95, 0.05),
        ("O:SPXW261218C06000000", 3.10, 0.10),
    ],
)
def test_the_step_of_a_symbol_at_a_price(symbol, price, tick):
    bands = tick_bands(symbol)
    held = [band for band in bands if band.from_parts <= round(price * 10_000)]
    assert held[-1].tick_parts == round(tick * 10_000)


def test_a_quote_between_two_steps_proves_a_finer_one():
    bands = tick_bands("O:AAPL261218C00200000")
    assert fitted(bands, 4.05, is_option=True) is bands
    finer = fitted(bands, 4.07, is_option=True)
    assert [(band.from_parts, band.tick_parts) for band in finer] == [(0, 100), (30_000, 100)]


def test_half_a_cent_is_a_step_of_stocks_and_never_of_options():
    assert fitted(tick_bands("SPY"), 512.345, is_option=False)[-1].tick_parts == 50
    bands = tick_bands("O:SPY261218C00600000")
    assert fitted(bands, 4.125, is_option=True) is bands


def test_no_quote_makes_the_steps_of_stocks_finer_than_half_a_cent():
    bands = tick_bands("SPY")
    assert fitted(bands, 512.3412, is_option=False) is bands


def test_a_price_stands_on_the_step_at_or_below_it():
    bands = tick_bands("O:AAPL261218C00200000")
    prices = np.array([2.99, 2.995, 3.00, 3.04, 3.05, 10.149999999])
    assert row_parts(bands, prices).tolist() == [29_900, 29_900, 30_000, 30_000, 30_500, 101_500]


def test_decimal_cents_are_not_lost_to_binary_fractions():
    cents = np.arange(1, 100_000)
    assert (row_parts(tick_bands("SPY"), cents[100:] / 100) == cents[100:] * 100).all()
