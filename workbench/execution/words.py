"""Facts about orders as the journal keeps them: a kind, a subject, and a body of plain values; and back, exactly.

Floor 5: msgspec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from workbench.errors import OrderError, choices
from workbench.execution import order as facts
from workbench.execution.order import Fact, Order
from workbench.orders import OrderIntent

INTENDED = "order.intended"
KINDS: dict[str, type[Fact]] = {  # kind of event -> what it says
    "order.checked": facts.Checked,
    "order.stored": facts.Stored,
    "order.sent": facts.Sent,
    "order.lost": facts.Lost,
    "order.not_sent": facts.NotSent,
    "order.acknowledged": facts.Acknowledged,
    "order.filled": facts.Filled,
    "order.ended": facts.Ended,
    "order.cancel_asked": facts.CancelAsked,
    "order.cancel_refused": facts.CancelRefused,
}
_KIND_OF = {said: kind for kind, said in KINDS.items()}


def subject_of(client_order_id: str) -> str:
    """Return what the events of one order are about."""
    return f"order:{client_order_id}"


def kind_of(said: OrderIntent | Fact) -> str:
    """Return the kind of event that an intent or a fact is."""
    return INTENDED if isinstance(said, OrderIntent) else _KIND_OF[type(said)]


def body_of(said: OrderIntent | Fact) -> dict[str, Any]:
    """Return an intent or a fact as plain values; money and quantities as text."""
    body: dict[str, Any] = msgspec.to_builtins(said)
    return body


def said_in(kind: str, body: Mapping[str, Any]) -> OrderIntent | Fact:
    """Return what an event says. OrderError for a kind that is none of an order's, or a body that does not fit."""
    if kind != INTENDED and kind not in KINDS:
        raise OrderError(f"kind: received {choices(kind, (INTENDED, *KINDS))}")
    form: type[OrderIntent | Fact] = OrderIntent if kind == INTENDED else KINDS[kind]
    try:
        return msgspec.convert(body, form)
    except msgspec.ValidationError as error:
        raise OrderError(f"{kind}: received a body that does not fit: {error}") from None


def orders_of(events: Iterable[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Order]:
    """Return client_order_id -> order, from (kind, subject, body) of the journal's events in their order. Other kinds are passed over."""
    orders: dict[str, Order] = {}
    for kind, subject, body in events:
        if not kind.startswith("order."):
            continue
        said, name = said_in(kind, body), subject.removeprefix("order:")
        if isinstance(said, OrderIntent):
            orders[name] = Order(said)
        else:
            orders[name] = orders[name].after(said)
    return orders
