"""The life of one order, without any I/O: facts in, state out.

    intended → checked → stored → sent → acknowledged → partial → filled
                  └ denied      └ unsent   │ unknown      └ cancelled, replaced, rejected, expired

Two kinds of facts are told apart. What we do (check, store, send, ask to cancel) happens in order, and a step out of order is a fault of
the program: OrderError. What the broker says is true whenever and in whatever order it comes, twice or late: an order's state is a
function of the set of facts, so no arrival can take it back, and the quantity filled decides before any word of an end.

Each fact is one event of the journal; `replay` gives the order that its events left. Floor 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from typing import Literal

from workbench.errors import OrderError
from workbench.orders import Fill, OrderIntent

End = Literal["cancelled", "replaced", "rejected", "expired"]


class OrderState(StrEnum):
    """Where an order stands. The values are the words of the journal and of the screen."""

    INTENDED = "intended"
    CHECKED = "checked"  # the gate let it pass
    DENIED = "denied"  # the gate did not; nothing was sent
    STORED = "stored"  # the journal has it: it may be sent
    UNSENT = "unsent"  # given up before it was sent, or proved never to have arrived
    SENT = "sent"
    UNKNOWN = "unknown"  # sent, and no answer says whether it arrived: its symbols are locked
    ACKNOWLEDGED = "acknowledged"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    REJECTED = "rejected"
    EXPIRED = "expired"


ENDS = ("replaced", "cancelled", "expired", "rejected")  # where several are told, the one that says most comes first
OVER = frozenset(
    (
        OrderState.DENIED,
        OrderState.UNSENT,
        OrderState.FILLED,
        OrderState.CANCELLED,
        OrderState.REPLACED,
        OrderState.REJECTED,
        OrderState.EXPIRED,
    )
)
AT_BROKER = frozenset((OrderState.SENT, OrderState.UNKNOWN, OrderState.ACKNOWLEDGED, OrderState.PARTIAL))  # may still fill


# -- facts -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """The gate's answer. `decision` names the recorded decision; a denial carries its rule's code."""

    ts_ns: int
    is_allowed: bool
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """The intent is durable in the journal."""

    ts_ns: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The request is about to leave. Told before the first byte, so that a crash leaves an order that may have been sent."""

    ts_ns: int


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer, or none that can be read: whether the order arrived is not known."""

    ts_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing arrived at the broker and nothing will: never sent, or looked up until the rules allow to say so."""

    ts_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has the order."""

    ts_ns: int
    broker_order_id: str


@dataclass(frozen=True, slots=True)
class Filled:
    """One execution."""

    ts_ns: int
    fill: Fill


@dataclass(frozen=True, slots=True)
class Ended:
    """The broker says that the order works no more. `by`: client_order_id of the order that replaced it."""

    ts_ns: int
    how: End
    reason: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """A cancellation was asked for; it is a wish until the broker says `cancelled`."""

    ts_ns: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The broker refused the cancellation or the replacement that was asked for."""

    ts_ns: int
    reason: str = ""


Fact = Checked | Stored | Sent | Lost | NotSent | Acknowledged | Filled | Ended | CancelAsked | CancelRefused


# -- the order -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """An intent and what has become of it. Immutable: `after` gives the next."""

    intent: OrderIntent
    checked: Checked | None = None
    is_stored: bool = False
    is_sent: bool = False
    not_sent: str | None = None  # why, when it is known that nothing arrived
    lost: str | None = None  # why it is not known whether it arrived
    broker_order_id: str = ""
    ends: tuple[Ended, ...] = ()  # one of each kind that came, best first
    fills: dict[str, Fill] = field(default_factory=dict)  # fill_id -> execution; never changed, replaced as a whole
    cancel_asked: bool = False
    anomalies: tuple[str, ...] = ()  # what the broker said that can't be: sentences for people, each a reason to look

    @property
    def client_order_id(self) -> str:
        """The id under which the broker knows it."""
        return self.intent.client_order_id

    @property
    def state(self) -> OrderState:
        """Where the order stands, from the facts alone."""
        if self.is_filled:
            return OrderState.FILLED
        if self.ends:
            return OrderState(self.ends[0].how)
        if self.fills:
            return OrderState.PARTIAL
        if self.broker_order_id:
            return OrderState.ACKNOWLEDGED
        if self.not_sent is not None:
            return OrderState.UNSENT
        if self.lost is not None:
            return OrderState.UNKNOWN
        return self._own_state()

    def _own_state(self) -> OrderState:
        if self.is_sent:
            return OrderState.SENT
        if self.is_stored:
            return OrderState.STORED
        if self.checked is None:
            return OrderState.INTENDED
        return OrderState.CHECKED if self.checked.is_allowed else OrderState.DENIED

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be expected. A fill that comes nevertheless is booked."""
        return self.state in OVER

    @property
    def is_filled(self) -> bool:
        """Whether every leg is filled."""
        return bool(self.fills) and all(self.filled_qty(leg.symbol) >= self.intent.leg_qty(leg.symbol) for leg in self.intent.legs)

    def filled_qty(self, symbol: str) -> Decimal:
        """Return how much of one leg has been filled."""
        return sum((fill.qty for fill in self.fills.values() if fill.symbol == symbol), Decimal(0))

    def open_qty(self, symbol: str) -> Decimal:
        """Return how much of one leg may still be filled: 0 once the order is over."""
        return Decimal(0) if self.is_over else max(self.intent.leg_qty(symbol) - self.filled_qty(symbol), Decimal(0))

    @property
    def cash_usd(self) -> Decimal:
        """What all fills so far brought (cost, when negative), fees taken off."""
        return sum((fill.cash_usd for fill in self.fills.values()), Decimal(0))

    def average_price(self, symbol: str) -> Decimal | None:
        """Return the exact mean price of one leg's fills; None before the first."""
        qty = self.filled_qty(symbol)
        paid = sum((fill.qty * fill.price for fill in self.fills.values() if fill.symbol == symbol), Decimal(0))
        return paid / qty if qty else None

    def after(self, fact: Fact) -> Order:
        """Return the order after one more fact. OrderError for a step of our own that its state does not allow; never for the broker's."""
        match fact:
            case Checked():
                self._need(self.checked is None, "checked", "once")
                return replace(self, checked=fact)
            case Stored():
                self._need(self.checked is not None and self.checked.is_allowed, "stored", "after the gate let it pass")
                return replace(self, is_stored=True)
            case Sent():
                self._need(self.is_stored and self.not_sent is None, "sent", "once it is stored, and not after it was given up")
                return replace(self, is_sent=True)
            case Lost():
                self._need(self.is_sent, "lost", "after it was sent")
                return replace(self, lost=fact.reason)
            case NotSent():
                self._need(self.checked is not None and self.checked.is_allowed, "given up", "after the gate let it pass")
                return self._given_up(fact)
            case CancelAsked():
                self._need(self.is_sent, "asked to be cancelled", "after it was sent")
                return replace(self, cancel_asked=True)
            case CancelRefused():
                return replace(self, cancel_asked=False)
            case Acknowledged():
                return self._acknowledged(fact)
            case Filled():
                return self._filled(fact.fill)
            case Ended():
                return self._ended(fact)

    def _need(self, ok: bool, step: str, allowed: str) -> None:
        if not ok:
            raise OrderError(f"order {self.client_order_id}: received {step} while {self.state}; allowed: {allowed}")

    def _odd(self, sentence: str) -> Order:
        return self if sentence in self.anomalies else replace(self, anomalies=(*self.anomalies, sentence))

    def _given_up(self, fact: NotSent) -> Order:
        order = replace(self, not_sent=fact.reason)
        if self.broker_order_id or self.fills or self.ends:
            return order._odd(f"given up as never arrived ({fact.reason}), and the broker has it")
        return order

    def _acknowledged(self, fact: Acknowledged) -> Order:
        if self.broker_order_id and self.broker_order_id != fact.broker_order_id:
            return self._odd(f"acknowledged as {fact.broker_order_id}, and before as {self.broker_order_id}")
        order = replace(self, broker_order_id=fact.broker_order_id)
        if self.not_sent is not None:
            return order._odd(f"given up as never arrived ({self.not_sent}), and the broker has it")
        return order if self.is_sent else order._odd("acknowledged though it was not sent")

    def _filled(self, fill: Fill) -> Order:
        leg = next((leg for leg in self.intent.legs if leg.symbol == fill.symbol), None)
        if leg is None:
            return self._odd(f"fill {fill.fill_id} is of {fill.symbol}, which is no leg of this order")
        known = self.fills.get(fill.fill_id)
        if known is not None:
            is_same = (known.symbol, known.side, known.qty, known.price) == (fill.symbol, fill.side, fill.qty, fill.price)
            return self if is_same else self._odd(f"fill {fill.fill_id} came twice, with different contents; the first is booked")
        order = replace(self, fills={**self.fills, fill.fill_id: fill})
        if leg.side != fill.side:
            order = order._odd(f"fill {fill.fill_id} is a {fill.side}, the order a {leg.side}")
        total, wanted = order.filled_qty(fill.symbol), self.intent.leg_qty(fill.symbol)
        return order if total <= wanted else order._odd(f"{fill.symbol}: {total} filled of {wanted} ordered")

    def _ended(self, fact: Ended) -> Order:
        if any(end.how == fact.how for end in self.ends):
            return self
        ends = tuple(sorted((*self.ends, fact), key=lambda end: ENDS.index(end.how)))
        order = replace(self, ends=ends, cancel_asked=False)
        return order if len(ends) == 1 else order._odd(f"the broker named several ends: {', '.join(end.how for end in ends)}")


def replay(intent: OrderIntent, facts: Iterable[Fact]) -> Order:
    """Return the order that these facts, in the order in which they were written down, leave."""
    return reduce(Order.after, facts, Order(intent))
