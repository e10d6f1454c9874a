"""What every broker promises, whatever stands behind it. A new one adds a class with one fixture, `stage`, and inherits all.

The stage is a market that stands still until the test moves it: `quote` shows a two-sided market, `settle` lets everything that is under
way arrive, `news` gives the reports that came since the last call.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from workbench.execution.base import Accepted, Broker, Refused, Report
from workbench.execution.order import Acknowledged, Checked, Ended, Filled, Order, OrderState, Sent, Stored, replay
from workbench.orders import Leg, OrderIntent

D = Decimal


class Stage(Protocol):
    """A broker with enough cash for a few contracts at 2.00, regular hours, no position, no order."""

    broker: Broker
    call: str  # an option contract
    higher: str  # a call of the same expiry with a higher strike
    now_ns: int

    def quote(self, symbol: str, bid: str, ask: str, size: int = 10) -> None: ...

    def settle(self) -> None: ...

    def news(self) -> list[Report]: ...


def order_of(intent: OrderIntent, reports: list[Report]) -> Order:
    """Return what our own order becomes by what the broker tells."""
    facts: list = [Checked(1, is_allowed=True), Stored(2), Sent(3)]
    for report in reports:
        if report.client_order_id == intent.client_order_id:
            facts += [Acknowledged(4, report.broker_order_id), *(Filled(5, fill) for fill in report.fills)]
            facts += [Ended(6, report.end, report.reason, report.replaced_by)] if report.end else []
    return replay(intent, facts)


class BrokerContract:
    """The promises."""

    def intent(self, stage, key, qty=1, limit="2.00", side="buy", effect="open", legs=None, **more):
        legs = legs or (Leg(stage.call, side, effect=effect),)
        kind = "limit" if limit is not None else "market"
        price = D(limit) if limit is not None else None
        return OrderIntent(stage.broker.account, key, legs, D(qty), kind, stage.now_ns, price, **more)

    def send(self, stage, *args, **kwargs):
        intent = self.intent(stage, *args, **kwargs)
        answer = stage.broker.submit(intent)
        assert isinstance(answer, Accepted), answer
        assert answer.broker_order_id
        return intent

    def test_an_accepted_order_is_found_and_works(self, stage):
        stage.quote(stage.call, "1.90", "2.10")
        intent = self.send(stage, "k")
        stage.settle()
        found = stage.broker.find(intent.client_order_id)
        assert (found.client_order_id, found.fills, found.end) == (intent.client_order_id, (), None)
        assert [report.client_order_id for report in stage.broker.working()] == [intent.client_order_id]
        assert stage.broker.positions() == {}

    def test_an_order_that_nobody_sent_is_not_found(self, stage):
        assert stage.broker.find("wb-unknown") is None
        assert stage.broker.working() == ()

    def test_the_same_id_again_is_refused_as_known_and_changes_nothing(self, stage):
        stage.quote(stage.call, "1.90", "2.10")
        intent = self.send(stage, "k")
        again = stage.broker.submit(intent)
        assert isinstance(again, Refused)
        assert again.is_known_id
        stage.settle()
        assert len(stage.broker.working()) == 1

    def test_an_id_stays_known_after_its_order_is_over(self, stage):
        stage.quote(stage.call, "1.90", "2.00")
        intent = self.send(stage, "k")
        stage.settle()
        again = stage.broker.submit(intent)
        assert isinstance(again, Refused)
        assert again.is_known_id
        assert stage.broker.positions() == {stage.call: 1}

    def test_a_fill_is_told_once_under_an_id_that_stays(self, stage):
        stage.quote(stage.call, "1.90", "2.00")
        intent = self.send(stage, "k", limit=None)
        stage.settle()
        told = [fill for report in stage.news() for fill in report.fills]
        assert [(fill.symbol, fill.side, fill.qty, fill.price) for fill in told] == [(stage.call, "buy", 1, D("2.00"))]
        assert stage.broker.find(intent.client_order_id).fills == tuple(told)
        assert stage.broker.find(intent.client_order_id).fills == tuple(told)
        stage.settle()
        assert [fill for report in stage.news() for fill in report.fills] == []
        assert stage.broker.working() == ()
        assert stage.broker.positions() == {stage.call: 1}

    def test_what_is_told_makes_our_own_order_what_it_is_there(self, stage):
        stage.quote(stage.call, "1.90", "2.00", size=1)
        intent = self.send(stage, "k", qty=3)
        stage.settle()
        told = stage.news()
        assert order_of(intent, told).state == OrderState.PARTIAL
        stage.quote(stage.call, "1.90", "2.00", size=5)
        stage.settle()
        told += stage.news()
        order = order_of(intent, told)
        assert (order.state, order.anomalies) == (OrderState.FILLED, ())
        assert order_of(intent, [stage.broker.find(intent.client_order_id)]).fills == order.fills

    def test_a_cancellation_ends_the_order_in_a_report(self, stage):
        stage.quote(stage.call, "1.90", "2.10")
        intent = self.send(stage, "k")
        stage.settle()
        assert stage.broker.cancel(intent.client_order_id) is None
        stage.settle()
        assert order_of(intent, stage.news()).state == OrderState.CANCELLED
        assert stage.broker.find(intent.client_order_id).end == "cancelled"
        assert stage.broker.working() == ()

    def test_what_is_over_or_unknown_can_not_be_cancelled(self, stage):
        stage.quote(stage.call, "1.90", "2.00")
        intent = self.send(stage, "k")
        stage.settle()
        for name in (intent.client_order_id, "wb-unknown"):
            refused = stage.broker.cancel(name)
            assert isinstance(refused, Refused)
            assert refused.reason
        assert stage.broker.positions() == {stage.call: 1}

    def test_what_the_account_can_not_pay_is_refused_in_a_sentence(self, stage):
        stage.quote(stage.call, "1.90", "2.10")
        intent = self.intent(stage, "k", qty=1_000_000)
        refused = stage.broker.submit(intent)
        assert isinstance(refused, Refused)
        assert not refused.is_known_id
        assert "buying power" in refused.reason
        stage.settle()
        found = stage.broker.find(intent.client_order_id)
        assert found is None or found.end == "rejected"
        assert stage.broker.working() == ()

    def test_a_position_closed_is_gone(self, stage):
        stage.quote(stage.call, "2.00", "2.00")
        self.send(stage, "in", limit=None)
        stage.settle()
        self.send(stage, "out", limit=None, side="sell", effect="close")
        stage.settle()
        assert stage.broker.positions() == {}

    def test_an_order_takes_the_place_of_another(self, stage):
        stage.quote(stage.call, "1.90", "2.10")
        old = self.send(stage, "k", limit="1.90")
        stage.settle()
        new = self.send(stage, "k2", limit="1.95", replaces=old.client_order_id)
        stage.settle()
        told = order_of(old, stage.news())
        assert (told.state, told.ends[0].by) == (OrderState.REPLACED, new.client_order_id)
        assert [report.client_order_id for report in stage.broker.working()] == [new.client_order_id]

    def test_several_legs_are_filled_together(self, stage):
        stage.quote(stage.call, "1.90", "2.00")
        stage.quote(stage.higher, "1.00", "1.10")
        legs = (Leg(stage.call, "buy"), Leg(stage.higher, "sell"))
        intent = self.send(stage, "k", qty=2, limit="1.00", legs=legs)
        stage.settle()
        assert order_of(intent, stage.news()).state == OrderState.FILLED
        assert stage.broker.positions() == {stage.call: 2, stage.higher: -2}
