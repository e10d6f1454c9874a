"""The one road of an order to a broker: written down, sent once, and looked for until its fate is known.

1. Intent, the gate's decision, and that it is about to be sent are durable before the first byte leaves.
2. One request, which its broker never repeats. A definite answer ends it.
3. Anything else is unknown: the order is looked up under its own id, at growing distances. While it is, its symbols are locked.
4. Found: it goes on as what the broker says. Not found at the last look: given up as never arrived. A new order is a new decision.

After a restart the orders of the journal that may be at the broker are looked up in the same way: there is no other start. One thread at
a time. Floor 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from workbench.clock import NS_PER_S, Clock
from workbench.errors import OrderError
from workbench.execution.base import Broker, Refused, Report, Unanswered
from workbench.execution.order import (
    AT_BROKER,
    Acknowledged,
    CancelAsked,
    CancelRefused,
    Checked,
    Ended,
    Fact,
    Filled,
    Lost,
    NotSent,
    Order,
    OrderState,
    Sent,
    Stored,
)
from workbench.orders import OrderIntent

LOOK_AFTER_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # after it was lost
AGAIN_S = 0.5  # at least between two looks
GIVE_UP = "the broker knew nothing of it at every look, the last {:.0f} s after it was sent"

Write = Callable[[str, Sequence[OrderIntent | Fact]], None]  # (client_order_id, what to write down): durable when it returns


@dataclass(frozen=True, slots=True)
class _Search:
    """A look for one order: since when, how often so far, and when the next is due."""

    since_ns: int
    due_ns: int
    looks: int = 0

    @classmethod
    def begun(cls, now_ns: int) -> _Search:
        return cls(now_ns, now_ns + int(LOOK_AFTER_S[0] * NS_PER_S))

    @property
    def is_last(self) -> bool:
        return self.looks >= len(LOOK_AFTER_S)

    def after_a_look(self, now_ns: int) -> _Search:
        looks = self.looks + 1
        due_s = LOOK_AFTER_S[min(looks, len(LOOK_AFTER_S) - 1)]
        return _Search(self.since_ns, max(self.since_ns + int(due_s * NS_PER_S), now_ns + int(AGAIN_S * NS_PER_S)), looks)


class Sender:
    """All orders of one account, and the only caller of its broker's `submit` and `cancel`."""

    def __init__(self, broker: Broker, write: Write, clock: Clock, orders: Iterable[Order] = ()) -> None:
        """`write` makes facts durable; what it raises keeps an order from being sent. `orders`: those of the journal, at a restart."""
        self._broker, self._write, self._clock = broker, write, clock
        self.orders: dict[str, Order] = {order.client_order_id: order for order in orders}  # client_order_id -> order
        now = clock.now_ns()
        self._searches: dict[str, _Search] = {  # client_order_id -> how it is being looked for
            name: _Search.begun(now) for name, order in self.orders.items() if order.state in (OrderState.SENT, OrderState.UNKNOWN)
        }
        for name, order in list(self.orders.items()):
            if order.state in (OrderState.CHECKED, OrderState.STORED):
                self._note(name, NotSent(now, "the program ended before it was sent"))

    def locked_symbols(self) -> set[str]:
        """Return the symbols of orders whose fate is not known: nothing else is sent for them."""
        unknown = (order for order in self.orders.values() if order.state in (OrderState.SENT, OrderState.UNKNOWN))
        return {leg.symbol for order in unknown for leg in order.intent.legs}

    def submit(self, intent: OrderIntent, decision: Checked) -> Order:
        """Send an order that the gate has judged, once, and return what is known of it then.

        The same intent again returns the order as it is, and sends nothing. A denial is written down and sends nothing. OrderError for
        another account, and for symbols that are locked.
        """
        name = intent.client_order_id
        if intent.account != self._broker.account:
            raise OrderError(f"OrderIntent.account: received {intent.account!r}; allowed: {self._broker.account!r}")
        if name in self.orders:
            return self.orders[name]
        locked = self.locked_symbols() & {leg.symbol for leg in intent.legs}
        if decision.is_allowed and locked:
            raise OrderError(
                f"symbol: received {', '.join(sorted(locked))}, for which an order has no answer yet; allowed: once that is known"
            )
        now = self._clock.now_ns()
        facts: list[Fact] = [decision, Stored(now), Sent(now)] if decision.is_allowed else [decision]
        self._write(name, [intent, *facts])
        order = Order(intent)
        for fact in facts:
            order = order.after(fact)
        self.orders[name] = order
        if decision.is_allowed:
            self._searches[name] = _Search.begun(now)  # until an answer is written down
            self._send(name, intent)
        return self.orders[name]

    def cancel(self, client_order_id: str, reason: str = "") -> Order:
        """Ask for a cancellation; the order is over when the broker says so. An order that is over is returned as it is."""
        order = self.orders.get(client_order_id)
        if order is None:
            raise OrderError(f"client_order_id: received {client_order_id!r}; allowed: an order of this account")
        if order.is_over:
            return order
        if order.state not in AT_BROKER:
            return self._note(client_order_id, NotSent(self._clock.now_ns(), reason or "cancelled before it was sent"))
        self._note(client_order_id, CancelAsked(self._clock.now_ns(), reason))
        try:
            refused = self._broker.cancel(client_order_id)
        except Unanswered:
            self._searches.setdefault(client_order_id, _Search.begun(self._clock.now_ns()))
            return self.orders[client_order_id]
        if refused is not None:
            self._note(client_order_id, CancelRefused(self._clock.now_ns(), refused.reason))
            self._searches.setdefault(client_order_id, _Search.begun(self._clock.now_ns()))  # most often: it is over already
        return self.orders[client_order_id]

    def on_report(self, report: Report) -> Order | None:
        """Take what the broker tells of an order, asked or not; None for an order that is not ours."""
        name = report.client_order_id
        if name not in self.orders:
            return None
        now = self._clock.now_ns()
        facts: list[Fact] = [Acknowledged(now, report.broker_order_id)] if report.broker_order_id else []
        facts += [Filled(now, fill) for fill in report.fills]
        if report.end is not None:
            facts.append(Ended(now, report.end, report.reason, report.replaced_by))
        order = self._note(name, *facts)
        if order.is_over or not order.cancel_asked:
            self._searches.pop(name, None)
        return order

    def look(self) -> None:
        """Look up what is due; call it often."""
        now = self._clock.now_ns()
        for name, search in list(self._searches.items()):
            if now >= search.due_ns:
                self._look_for(name, search)

    def _send(self, name: str, intent: OrderIntent) -> None:
        try:
            answer = self._broker.submit(intent)
        except Unanswered as error:
            self._note(name, Lost(self._clock.now_ns(), str(error)))
            return
        now = self._clock.now_ns()
        if isinstance(answer, Refused) and answer.is_known_id:
            self._note(name, Lost(now, answer.reason))
            return
        self._note(
            name, Ended(now, "rejected", answer.reason) if isinstance(answer, Refused) else Acknowledged(now, answer.broker_order_id)
        )
        self._searches.pop(name, None)

    def _look_for(self, name: str, search: _Search) -> None:
        self._searches[name] = search = search.after_a_look(self._clock.now_ns())
        try:
            report = self._broker.find(name)
        except Unanswered:
            return  # no answer is not "not there": asked again, however late
        if report is not None:
            self.on_report(report)
        elif search.is_last:
            now = self._clock.now_ns()
            self._note(name, NotSent(now, GIVE_UP.format((now - search.since_ns) / NS_PER_S)))
            self._searches.pop(name)

    def _note(self, name: str, *facts: Fact) -> Order:
        """Write down the facts that change an order, and change it."""
        order, news = self.orders[name], []
        for fact in facts:
            after = order.after(fact)
            if after != order:
                news.append(fact)
            order = after
        if news:
            self._write(name, news)
            self.orders[name] = order
        return order
