"""The least that holdings can be worth: worked out by hand, and never above what any path of prices brings."""

import random
from decimal import Decimal

import pytest

from tests.risk.world import CALL, HIGHER, INSTRUMENTS, LATER, LOWER, PUT, D, share
from workbench.risk.book import AtRisk, Book, Position, Span, Underlying, Working, at_risk_usd, book_of
from workbench.risk.instrument import Terms, dollar_delta_of, greek_of, mid_of, quote_of, terms_of
from workbench.risk.known import Missing
from workbench.risk.worst import Worst, worst_of

SOON = "O:AAPL261204C00200000"
LATER_HIGHER = "O:AAPL270115C00210000"
LATER_PUT = "O:AAPL270115P00190000"


@pytest.mark.parametrize(
    ("holdings", "value", "uncovered"),
    [
        ({}, 0, 0),
        ({CALL: 3}, 0, 0),
        ({CALL: -3}, 0, 300),
        ({PUT: -2}, -40_000, 0),
        ({PUT: -2, LOWER: 2}, -2_000, 0),
        ({PUT: 2, LOWER: -2}, 0, 0),
        ({CALL: -2, HIGHER: 2}, -2_000, 0),
        ({CALL: -2, HIGHER: 1}, -2_000, 100),
        ({CALL: 1, HIGHER: -1, PUT: -1, LOWER: 1}, -1_000, 0),
        ({CALL: -1, HIGHER: 1, PUT: -1, LOWER: 1}, -1_000, 0),  # a condor: only one side can be hit
        ({CALL: 1, HIGHER: -2}, 0, 100),  # up to the highest strike it is worth 0 at least
        ({"AAPL": 100}, 0, 0),
        ({"AAPL": -100}, 0, 100),
        ({"AAPL": -100, CALL: 1}, 0, 100),  # short shares outlive every call
        ({"AAPL": 100, CALL: -1}, 0, 0),
        ({"AAPL": 250, CALL: -3}, 0, 50),
        ({"AAPL": 100, PUT: -1}, -20_000, 0),  # shares cover no put
        ({"AAPL": 200, CALL: -1, LATER_HIGHER: -1}, 0, 0),  # each expiry's call has its shares
        ({"AAPL": 100, CALL: -1, LATER_HIGHER: -1}, 0, 100),
        ({CALL: -1, LATER: 1}, 0, 0),  # a calendar: exercised, the later one covers
        ({CALL: -1, LATER_HIGHER: 1}, -1_000, 0),
        ({CALL: -1, SOON: 1}, 0, 100),  # what ends before covers nothing
        ({SOON: -1, CALL: -1, LATER: 2}, 0, 100),  # both later calls stand with the later short one: a bound, not the best
        ({SOON: -1, LATER_PUT: -1, CALL: 1}, -19_000, 0),
    ],
)
def test_by_hand(holdings, value, uncovered):
    got = worst_of((symbol, D(qty)) for symbol, qty in holdings.items())
    assert got == Worst(D(value), D(uncovered))
    assert got.has_bottom == (uncovered == 0)


def test_what_cancels_out_is_not_there():
    assert worst_of([(CALL, D(1)), (LATER, D(1)), (SOON, D(-1)), (CALL, D(-1))]) == Worst(D(0), D(0))
    assert worst_of([(SOON, D(-1)), (SOON, D(1)), (PUT, D(-1)), (PUT, D(-1))]) == Worst(D(-40_000), D(0))


def test_half_a_long_contract_ends_nothing_early():
    assert worst_of([(SOON, D(-1)), (CALL, D("0.5")), (LATER, D(1))]) == Worst(D(0), D(0))


def test_the_bound_holds_on_every_path():
    """Oracle: prices at each expiry drawn at random, short options settled then, long ones at their end or when a short one is."""
    rng = random.Random(7)
    symbols = [SOON, CALL, HIGHER, PUT, LOWER, LATER, LATER_HIGHER, LATER_PUT]
    tight = 0
    for _ in range(300):
        holdings = {symbol: rng.choice([-2, -1, 1, 2]) for symbol in rng.sample(symbols, rng.randint(1, 4))}
        bound = worst_of((symbol, D(qty)) for symbol, qty in holdings.items())
        for _ in range(20):
            value = path_value(rng, holdings)
            assert bound.value_usd - bound.uncovered_shares * 400 <= value
            tight += value == bound.value_usd
    assert tight > 50  # and is reached


def path_value(rng, holdings):
    ends = sorted({terms_of(symbol).expiry for symbol in holdings})
    price = {end: D(rng.choice([0, 150, 190, 200, 210, 250, 400])) for end in ends}
    shorts = [terms_of(symbol).expiry for symbol, qty in holdings.items() if qty < 0]
    value = D(0)
    for symbol, qty in holdings.items():
        terms = terms_of(symbol)
        # the holder of a long option may exercise it whenever a short one ends: the best of those, and of its own end
        moments = [terms.expiry] if qty < 0 else [terms.expiry, *(end for end in shorts if end <= terms.expiry)]
        worth = [max((price[m] - terms.strike) * (1 if terms.is_call else -1), D(0)) for m in moments]
        value += qty * 100 * max(worth)
    return value


def test_no_worse_is_neither_less_at_the_end_nor_more_uncovered():
    plain = Worst(D(-5), D(100))
    assert plain.is_no_worse_than(plain)
    assert Worst(D(-4), D(99)).is_no_worse_than(plain)
    assert not Worst(D(-6), D(0)).is_no_worse_than(plain)
    assert not Worst(D(0), D(101)).is_no_worse_than(plain)


# -- one symbol ---------------------------------------------------------------------------------------------------------------------


def test_the_terms_of_symbols():
    assert terms_of("AAPL") == Terms("AAPL", 1)
    assert not terms_of("AAPL").is_call
    found = terms_of(HIGHER)
    assert (found.underlying, found.multiplier, found.strike, found.is_call, str(found.expiry)) == ("AAPL", 100, 210, True, "2026-12-18")
    assert terms_of("O:SPXW261218P06000000").underlying == "SPX"
    assert not terms_of(PUT).is_call
    for adjusted in ("O:AAPL1261218C00200000", "O:nonsense"):
        with pytest.raises(Missing, match=f"what {adjusted} delivers is not known"):
            terms_of(adjusted)


def test_quotes_and_greeks_of_one_symbol():
    assert quote_of(CALL, INSTRUMENTS[CALL]) == (D("1.90"), D("2.10"))
    assert mid_of(CALL, INSTRUMENTS[CALL]) == 2
    assert greek_of("vega_usd_per_point", CALL, INSTRUMENTS[CALL]) == 30
    assert [greek_of(name, "AAPL", None) for name in ("delta", "gamma_per_usd", "vega_usd_per_point", "theta_usd_per_day")] == [1, 0, 0, 0]
    assert dollar_delta_of("AAPL", share()) == 200
    assert dollar_delta_of(PUT, INSTRUMENTS[PUT]) == -10_000


# -- the book -----------------------------------------------------------------------------------------------------------------------


def book(positions=(), working=()):
    return book_of(positions, working, INSTRUMENTS)


def working(*legs, name="w", **changes):
    return Working(name, tuple((symbol, D(qty)) for symbol, qty in legs), **changes)


def test_an_empty_book():
    assert book() == Book()
    assert book([Position(CALL, D(0))]) == Book()
    assert Span().worst_with(D(-3)) == 3


def test_positions_add_up():
    found = book([Position(CALL, D(2), "a"), Position(CALL, D(1), "b"), Position("MSFT", D(-5))])
    assert found.held == {CALL: 3, "MSFT": -5}
    assert found.names == {"a", "b", "MSFT"}
    assert found.underlyings == {"AAPL": Underlying(((CALL, D(3)),)), "MSFT": Underlying((("MSFT", D(-5)),))}
    assert found.at_risk == {"AAPL": AtRisk(D(600)), "MSFT": AtRisk(None)}
    assert found.spans["delta"] == Span(D(145), D(145))
    assert found.spans["dollar_delta"] == Span(D(28_000), D(28_000))


def test_working_orders_count_where_it_is_worse():
    found = book([Position(CALL, D(1))], [working((CALL, 2)), working((PUT, 3), name="x"), working((CALL, -1), name="y", is_opening=False)])
    assert found.spans["delta"] == Span(D(-150), D(150))
    assert found.spans["delta"].worst_with(D(10)) == 160
    assert found.spans["delta"].worst_with(D(-10)) == 160
    assert found.spans["theta_usd_per_day"] == Span(D(-30), D(0))
    assert found.names == {CALL, PUT}
    assert found.underlyings["AAPL"].orders == (((CALL, D(2)),), ((PUT, D(3)),))
    assert found.at_risk["AAPL"].usd == 200 + 400 + 600


def test_working_structures_have_a_name_and_unknown_ones_lock_their_symbols():
    found = book(
        [],
        [
            working((CALL, 1), (HIGHER, -1), name="w", is_unknown=True),
            working((PUT, 1), name="x"),
            working((LATER, 1), name="z", is_opening=False),
        ],
    )
    assert found.unknown_symbols == {CALL, HIGHER}
    assert found.names == {CALL, HIGHER, PUT}
    named = Working("w", ((CALL, D(1)), (HIGHER, D(-1))), name="spread")
    assert book([], [named]).names == {"spread"}


def test_an_order_that_is_unbounded_by_itself_is_taken_with_what_is_held():
    held = [Position("AAPL", D(100))]
    assert book(held, [working((CALL, -1))]).at_risk["AAPL"].usd == 20_000 - 200
    assert book(held, [working((CALL, -2))]).at_risk["AAPL"] == AtRisk(None)
    assert book(held, [working((CALL, -1)), working((CALL, -1), name="x")]).at_risk["AAPL"] == AtRisk(None)


def test_what_is_at_risk_counts_from_what_it_is_worth_now():
    spread = ((PUT, D(-1)), (LOWER, D(1)))  # worth -100 now, -1,000 at worst
    assert book([Position(*leg) for leg in spread]).at_risk["AAPL"].usd == 900
    assert book([], [Working("w", spread)]).at_risk["AAPL"].usd == 900
    assert book([Position(CALL, D(1))], [Working("w", spread)]).risk_of("AAPL") == 1_100
    assert book().risk_of("AAPL") == 0


def test_what_brings_more_than_it_can_lose_takes_nothing_off():
    rich = {CALL: INSTRUMENTS[CALL], HIGHER: INSTRUMENTS[HIGHER], PUT: INSTRUMENTS["MSFT"]}
    free = Underlying(orders=(((PUT, D(-1)),), ((CALL, D(1)),)))  # a put sold for more than its strike
    assert at_risk_usd(free, rich) == 200
    assert at_risk_usd(Underlying(((PUT, D(-1)),), (((CALL, D(1)),),)), rich) == 200


def test_what_is_not_known_of_a_symbol_is_not_known_of_its_sums():
    found = book([Position("XOM", D(1)), Position("O:AAPL1261218C00200000", D(1))])
    assert found.at_risk["XOM"] == AtRisk(None, "the quote of XOM is not known")
    assert found.at_risk["O:AAPL1261218C00200000"].missing == "what O:AAPL1261218C00200000 delivers is not known"
    assert found.spans["delta"].missing == "what O:AAPL1261218C00200000 delivers is not known"
    with pytest.raises(Missing, match="delivers is not known"):
        found.spans["delta"].worst_with(D(1))
    assert book([Position("XOM", D(1))]).spans["dollar_delta"].missing == "the quote of XOM is not known"
    assert book([Position("XOM", D(1))]).spans["delta"] == Span(D(1), D(1))


@pytest.mark.parametrize("bad", [Decimal("NaN"), Decimal("Infinity"), 1.0, None])
def test_quantities_that_are_none_refuse_to_exist(bad):
    with pytest.raises(ValueError, match="Position.qty"):
        Position(CALL, bad)
    with pytest.raises(ValueError, match=f"Working.legs, {CALL}"):
        Working("w", ((PUT, D(1)), (CALL, bad)))
    with pytest.raises(ValueError, match="Working.uncounted_usd"):
        Working("w", ((PUT, D(1)),), uncounted_usd=bad)


def test_an_order_gives_nothing_to_buying_power():
    with pytest.raises(ValueError, match="Working.uncounted_usd: received -0.01; allowed: 0 or more"):
        Working("w", ((PUT, D(1)),), uncounted_usd=D("-0.01"))
    assert Working("w", ((PUT, D(1)),), uncounted_usd=D("0.01")).uncounted_usd == D("0.01")
