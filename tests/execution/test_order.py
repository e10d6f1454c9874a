"""An order's state: our own steps in their order, the broker's word in any."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import OrderError
from workbench.execution.order import (
    AT_BROKER,
    OVER,
    Acknowledged,
    CancelAsked,
    CancelRefused,
    Checked,
    Ended,
    Filled,
    Lost,
    NotSent,
    Order,
    OrderState,
    Sent,
    Stored,
    replay,
)
from workbench.orders import Fill, Leg, OrderIntent

CALL, HIGHER = "O:AAPL261218C00200000", "O:AAPL261218C00210000"
LONG = (Leg(CALL, "buy"),)
OWN = (Checked(1, is_allowed=True), Stored(2), Sent(3))
ACK = Acknowledged(4, "b-1")


def intent(qty=3, legs=LONG):
    return OrderIntent("paper", "k", legs, Decimal(qty), "limit", 1, Decimal("2.00"))


def fill(name, qty, price="2.00", symbol=CALL, side="buy"):
    return Filled(9, Fill(name, "", symbol, side, Decimal(qty), Decimal(price), 9))


def sent(*facts, qty=3, legs=LONG):
    return replay(intent(qty, legs), (*OWN, *facts))


# -- our own steps ---------------------------------------------------------------------------------------------------------------


def test_the_road_from_a_wish_to_a_fill():
    order, seen = Order(intent()), []
    for fact in (*OWN, ACK, fill("a", 1, "1.90"), fill("b", 2, "2.00")):
        seen.append(str(order.state))
        order = order.after(fact)
    assert seen == ["intended", "checked", "stored", "sent", "acknowledged", "partial"]
    assert order.state == "filled"
    assert order.cash_usd == Decimal("-590.00")
    assert order.average_price(CALL) == Decimal("5.90") / 3
    assert order.anomalies == ()


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        ((Stored(1),), "received stored while intended"),
        ((Checked(1, is_allowed=False), Stored(2)), "received stored while denied"),
        ((Checked(1, is_allowed=True), Sent(2)), "received sent while checked; allowed: once it is stored"),
        ((Checked(1, is_allowed=True), Checked(2, is_allowed=True)), "received checked while checked"),
        ((Checked(1, is_allowed=True), Stored(2), NotSent(3, "late"), Sent(4)), "received sent while unsent"),
        ((Checked(1, is_allowed=True), Stored(2), Lost(3, "x")), "received lost while stored"),
        ((Checked(1, is_allowed=False), NotSent(2, "x")), "received given up while denied"),
        ((Checked(1, is_allowed=True), Stored(2), CancelAsked(3)), "received asked to be cancelled while stored"),
    ],
)
def test_a_step_of_ours_out_of_order_is_a_fault(facts, step):
    with pytest.raises(OrderError, match=step):
        replay(intent(), facts)


def test_nothing_is_sent_that_the_gate_denied():
    order = replay(intent(), [Checked(1, is_allowed=False, decision="d-7")])
    assert order.state == "denied"
    assert order.is_over
    with pytest.raises(OrderError):
        order.after(Sent(2))


# -- what the broker says --------------------------------------------------------------------------------------------------------


def test_an_answer_that_never_came_is_unknown_until_the_broker_speaks():
    order = sent(Lost(4, "no answer in 5 s"))
    assert order.state == "unknown"
    assert order.state in AT_BROKER
    assert order.open_qty(CALL) == 3  # it may still fill
    assert order.after(ACK).state == "acknowledged"
    assert order.after(fill("a", 3)).state == "filled"
    assert order.after(NotSent(40, "404 for 30 s")).state == "unsent"
    assert order.after(NotSent(40, "404 for 30 s")).open_qty(CALL) == 0


def test_an_order_given_up_that_the_broker_has_after_all_is_alive_and_said():
    for late in (ACK, fill("a", 1)):
        order = sent(Lost(4, "x"), NotSent(40, "404 for 30 s"), late)
        assert order.state in AT_BROKER
    assert "given up as never arrived (404 for 30 s), and the broker has it" in sent(NotSent(40, "404 for 30 s"), ACK).anomalies


def test_a_fill_before_the_acknowledgement_is_not_taken_back_by_it():
    assert sent(fill("a", 3), ACK).state == "filled"
    assert sent(fill("a", 1), ACK).state == "partial"


def test_what_was_filled_before_a_cancellation_stays():
    order = sent(ACK, fill("a", 1), CancelAsked(6), Ended(7, "cancelled"))
    assert (order.state, order.filled_qty(CALL), order.open_qty(CALL)) == ("cancelled", 1, 0)


def test_a_cancellation_that_lost_the_race_is_a_fill():
    assert sent(ACK, CancelAsked(5), fill("a", 3), Ended(7, "cancelled")).state == "filled"
    assert sent(ACK, CancelAsked(5), Ended(6, "cancelled"), fill("a", 3)).state == "filled"


def test_a_cancellation_is_a_wish_until_the_broker_confirms_it():
    order = sent(ACK, CancelAsked(5))
    assert order.cancel_asked
    assert not order.is_over
    assert not order.after(CancelRefused(6)).cancel_asked


def test_the_same_fill_twice_is_one_fill():
    assert sent(ACK, fill("a", 1), fill("a", 1)).filled_qty(CALL) == 1
    twice = sent(ACK, fill("a", 1), fill("a", 2))
    assert twice.filled_qty(CALL) == 1
    assert twice.anomalies == ("fill a came twice, with different contents; the first is booked",)


def test_a_structure_is_filled_when_every_leg_is():
    legs = (Leg(CALL, "buy"), Leg(HIGHER, "sell", 2))
    part = sent(ACK, fill("a", 3), fill("b", 5, "1.00", HIGHER, "sell"), legs=legs)
    assert (part.state, part.open_qty(HIGHER)) == ("partial", 1)
    assert part.after(fill("c", 1, "1.00", HIGHER, "sell")).state == "filled"


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (fill("a", 4), "4 filled of 3 ordered"),
        (fill("a", 1, symbol=HIGHER), "no leg of this order"),
        (fill("a", 1, side="sell"), "is a sell, the order a buy"),
        (Acknowledged(5, "b-2"), "acknowledged as b-2, and before as b-1"),
    ],
)
def test_what_can_not_be_is_kept_as_a_sentence_and_never_raised(fact, said):
    assert any(said in sentence for sentence in sent(ACK, fact).anomalies)


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            [ACK, Ended(8, "cancelled"), Ended(8, "expired"), Ended(8, "rejected", "no"), Ended(8, "replaced", by="wb-2"), Lost(5, "x")]
        ),
        st.builds(lambda name, qty: fill(f"{name}{qty}", qty), st.sampled_from("abc"), st.integers(1, 3)),
    ),
    max_size=7,
)


@settings(max_examples=300, deadline=None)
@given(words=WORDS, data=st.data())
def test_the_state_does_not_depend_on_the_order_in_which_the_broker_speaks(words, data):
    shuffled = data.draw(st.permutations(words))
    repeated = shuffled + data.draw(st.lists(st.sampled_from(words), max_size=3) if words else st.just([]))
    one, other = sent(*words), sent(*repeated)
    assert (one.state, one.filled_qty(CALL), one.cash_usd, one.broker_order_id) == (
        other.state,
        other.filled_qty(CALL),
        other.cash_usd,
        other.broker_order_id,
    )


@settings(max_examples=300, deadline=None)
@given(words=WORDS)
def test_quantities_only_grow_and_what_is_over_stays_over(words):
    before = sent()
    for word in words:
        after = before.after(word)
        assert after.filled_qty(CALL) >= before.filled_qty(CALL)
        assert after.is_over or not before.is_over
        assert after.open_qty(CALL) <= before.open_qty(CALL)
        before = after


def test_every_state_is_reached_and_is_either_over_or_not():
    facts = [
        Lost(5, "x"),
        ACK,
        fill("a", 1),
        fill("b", 2),
        NotSent(6, "x"),
        *(Ended(7, how) for how in ("cancelled", "replaced", "rejected", "expired")),
    ]
    reached = {sent(*some).state for n in range(3) for some in itertools.combinations(facts, n)}
    reached |= {replay(intent(), OWN[:n]).state for n in range(3)} | {replay(intent(), [Checked(1, is_allowed=False)]).state}
    assert reached == set(OrderState)
    assert not OVER & AT_BROKER
