"""What the journal keeps of an order gives the order back, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import OrderError
from workbench.execution.order import Acknowledged, CancelAsked, CancelRefused, Checked, Ended, Filled, Lost, NotSent, Sent, Stored, replay
from workbench.execution.words import INTENDED, KINDS, body_of, kind_of, orders_of, said_in, subject_of
from workbench.journal.event import Event as JournalEvent
from workbench.journal.event import canonical
from workbench.orders import Fill, Leg, OrderIntent

LEGS = (Leg("O:AAPL261218C00200000", "buy"), Leg("O:AAPL261218C00210000", "sell", 2, "close"))
INTENT = OrderIntent("paper", "k", LEGS, Decimal(3), "limit", 7, Decimal("-1.05"), origin="orb", reason="broke out")
FILL = Fill("f", INTENT.client_order_id, LEGS[0].symbol, "buy", Decimal(1), Decimal("2.105"), 5, 6, Decimal("0.65"))
SAID = [
    INTENT,
    Checked(1, is_allowed=True, decision="d"),
    Stored(2),
    Sent(3),
    Lost(4, "no answer"),
    Acknowledged(5, "b"),
    Filled(6, FILL),
    CancelAsked(7, "stop"),
    CancelRefused(8, "too late"),
    Ended(9, "replaced", "", "wb-2"),
    NotSent(10, "late"),
]


@pytest.mark.parametrize("said", SAID, ids=kind_of)
def test_what_is_written_is_what_is_read(said):
    event = JournalEvent(1, 1, kind_of(said), "order:x", 1, None, canonical(body_of(said)), b"")
    assert said_in(event.kind, event.fields) == said


def test_every_kind_of_fact_has_its_word():
    assert {kind_of(said) for said in SAID} == {INTENDED, *KINDS}


@given(price=st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**6, places=9))
def test_money_comes_back_to_the_last_digit(price):
    fill = Fill("f", "", "SPY", "sell", Decimal("0.000000001"), price, 1)
    assert said_in("order.filled", body_of(Filled(1, fill))).fill == fill


def test_orders_come_back_from_their_events():
    subject = subject_of(INTENT.client_order_id)
    events = [(kind_of(said), subject, body_of(said)) for said in SAID[:7]]
    events.insert(3, ("note.written", "note:1", {"text": "x"}))
    assert orders_of(events) == {INTENT.client_order_id: replay(INTENT, SAID[1:7])}


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("order.snet", {}, "did you mean 'order.sent'"),
        ("order.sent", {"ts_ns": "late"}, "order.sent: received a body that does not fit"),
        ("order.filled", {"ts_ns": 1, "fill": {}}, "received a body that does not fit"),
        ("order.intended", body_of(INTENT) | {"qty": "0.5"}, "received"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(kind, body, said):
    with pytest.raises(OrderError, match=said):
        said_in(kind, body)
