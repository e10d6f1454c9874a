"""Who took the price: a tape of seven prints whose split is added up by hand."""

import numpy as np
import pytest

from tests.stubs import SEC, TEN, prints, quotes
from workbench.hub.aggressor import Side, SplitVolume, sides_of
from workbench.tick_size import tick_bands

CENTS = tick_bands("SPY")
ODD_LOT, AVERAGE_PRICE = 37, 2
QUOTES = [(TEN, 100.00, 100.02), (TEN + 4 * SEC, 100.02, 100.04)]
PRINTS = [
    (TEN + 1 * SEC, 100.02, 100),  # at the ask: buyer
    (TEN + 2 * SEC, 100.00, 200),  # at the bid: seller
    (TEN + 3 * SEC, 100.01, 50, ODD_LOT),  # between: unknown, and odd lots count
    (TEN + 4 * SEC, 100.02, 300),  # of the same instant as the second quote: the first one stood, at its ask: buyer
    (TEN + 5 * SEC, 100.02, 400),  # at the second quote's bid: seller
    (TEN + 6 * SEC, 100.05, 10),  # above the ask: buyer
    (TEN + 7 * SEC, 100.03, 1000, AVERAGE_PRICE),  # not made at the market's price: left out
]
BY_HAND = {1_000_000: [0, 200, 0], 1_000_100: [0, 0, 50], 1_000_200: [400, 400, 0], 1_000_500: [10, 0, 0]}


def test_the_split_of_a_tape_is_as_added_up_by_hand():
    volume = SplitVolume()
    volume.add(prints(PRINTS), quotes(QUOTES), CENTS)
    assert volume.at == BY_HAND
    assert volume.totals == [410, 600, 50]
    assert volume.n_left_out == 1
    assert (volume.last.price, volume.last.size, volume.last.side) == (100.05, 10, Side.BUYER)


@pytest.mark.parametrize("cut", range(1, 7))
def test_it_makes_no_difference_where_the_tape_is_cut(cut):
    volume = SplitVolume()
    border = PRINTS[cut - 1][0]
    for part, quoted in ((PRINTS[:cut], [q for q in QUOTES if q[0] <= border]), (PRINTS[cut:], [q for q in QUOTES if q[0] > border])):
        volume.add(prints(part), quotes(quoted), CENTS)
    assert volume.at == BY_HAND


def test_a_print_that_comes_late_meets_the_quote_of_its_own_moment():
    volume = SplitVolume()
    volume.add(prints([]), quotes(QUOTES), CENTS)
    volume.add(prints([(TEN + 1 * SEC, 100.02, 7)]), quotes([]), CENTS)
    assert volume.at == {1_000_200: [7, 0, 0]}


def test_before_the_first_quote_nobody_can_say():
    volume = SplitVolume()
    volume.add(prints([(TEN - SEC, 100.02, 7), (TEN, 100.02, 8)]), quotes(QUOTES), CENTS)
    assert volume.at == {1_000_200: [0, 0, 15]}


@pytest.mark.parametrize(
    ("bid", "ask", "side"),
    [
        (np.nan, 100.0, Side.UNKNOWN),
        (100.0, np.nan, Side.UNKNOWN),
        (100.0, 100.0, Side.UNKNOWN),
        (99.0, 100.0, Side.BUYER),
        (100.0, 101.0, Side.SELLER),
        (99.99, 100.01, Side.UNKNOWN),
    ],
)
def test_one_side_or_a_locked_quote_says_nothing(bid, ask, side):
    assert sides_of(np.array([100.0]), np.array([bid]), np.array([ask]))[0] == side


def test_only_what_changed_is_told_and_all_when_asked():
    volume = SplitVolume()
    volume.add(prints(PRINTS[:3]), quotes(QUOTES[:1]), CENTS)
    assert volume.changed() == [[1_000_000, 0, 200, 0], [1_000_100, 0, 0, 50], [1_000_200, 100, 0, 0]]
    assert volume.changed() == []
    volume.add(prints(PRINTS[5:6]), quotes([]), CENTS)
    assert volume.changed() == [[1_000_500, 10, 0, 0]]
    assert len(volume.all()) == 4
    assert volume.changed() == []


def test_a_print_in_the_middle_of_two_steps_stands_on_the_lower_row():
    volume = SplitVolume()
    volume.add(prints([(TEN + SEC, 100.015, 9)]), quotes(QUOTES), CENTS)
    assert volume.at == {1_000_100: [0, 0, 9]}
