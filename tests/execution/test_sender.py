"""An order is sent once, whatever happens on the way, and its fate is known within a minute.

The broker here is a machine of faults that keeps the truth in a book of its own: what arrived, and how often.
"""

from __future__ import annotations

import contextlib
import random
from decimal import Decimal

import pytest

from tests.stubs import ManualClock
from workbench.clock import NS_PER_S
from workbench.errors import JournalError, OrderError
from workbench.execution.base import Accepted, Refused, Report, Unanswered
from workbench.execution.order import OVER, Checked, OrderState
from workbench.execution.sender import Sender
from workbench.execution.words import body_of, kind_of, orders_of, subject_of
from workbench.orders import Fill, Leg, OrderIntent

CALL = "O:SPY261218C00700000"
ALLOWED = Checked(1, is_allowed=True)


class Crash(BaseException):
    """The program is gone at this point."""


class Book:
    """A journal in memory: what was written stays, as text would."""

    def __init__(self):
        self.events, self.is_full = [], False

    def write(self, name, said):
        if self.is_full:
            raise JournalError("journal: can't write: disk full")
        self.events += [(kind_of(one), subject_of(name), body_of(one)) for one in said]

    def orders(self):
        return orders_of(self.events)


class FaultyBroker:
    """Accepts what arrives; `fault` says what happens to the next request."""

    account = "paper"

    def __init__(self, clock, rng=None):
        self.clock, self.rng = clock, rng or random.Random(1)
        self.fault, self.deaf_until_ns = "", 0
        self.arrived: dict[str, int] = {}  # client_order_id -> requests that arrived
        self.visible_ns: dict[str, int] = {}  # client_order_id -> when a look finds it
        self.filled: set[str] = set()
        self.ended: dict[str, str] = {}

    def submit(self, intent):
        name, fault = intent.client_order_id, self.fault
        self.fault = ""
        if fault == "crash before it leaves":
            raise Crash
        if fault in ("never arrives", "503 at the door"):
            raise Unanswered(fault)
        if name in self.arrived:
            self.arrived[name] += 1
            return Refused("client_order_id must be unique", is_known_id=True)
        if fault == "refused":
            return Refused("insufficient buying power")
        self.arrived[name] = 1
        self.visible_ns[name] = self.clock.now_ns() + (3 * NS_PER_S if fault == "arrives late" else 0)
        if fault == "filled before the answer":
            self.filled.add(name)
        if fault == "crash after it arrived":
            raise Crash
        if fault in ("accepted, then time-out", "accepted, then 504", "accepted, then reset", "accepted, then garbage", "arrives late"):
            raise Unanswered(fault)
        if fault == "said to be known":
            return Refused("client_order_id must be unique", is_known_id=True)
        return Accepted("b-" + name)

    def find(self, name):
        if self.clock.now_ns() < self.deaf_until_ns:
            raise Unanswered("deaf")
        if name not in self.arrived or self.clock.now_ns() < self.visible_ns[name]:
            return None
        return self.report(name)

    def cancel(self, name):
        if self.fault == "cancel unanswered":
            self.fault = ""
            self.ended[name] = "cancelled"
            raise Unanswered("time-out")
        if name in self.filled:
            return Refused("order is not cancelable")
        self.ended[name] = "cancelled"
        return None

    def report(self, name):
        fills = (Fill("f-" + name, name, CALL, "buy", Decimal(1), Decimal("2.00"), 1),) if name in self.filled else ()
        return Report(name, "b-" + name, fills, "cancelled" if name in self.ended else None)


FAULTS = (
    "",
    "never arrives",
    "503 at the door",
    "refused",
    "accepted, then time-out",
    "accepted, then 504",
    "accepted, then reset",
    "accepted, then garbage",
    "arrives late",
    "said to be known",
    "filled before the answer",
    "crash before it leaves",
    "crash after it arrived",
)


class Account:
    """A sender on its book and broker, that can be lost and started again."""

    def __init__(self, seed=1):
        self.clock, self.book = ManualClock(1_700_000_000 * NS_PER_S), Book()
        self.broker = FaultyBroker(self.clock, random.Random(seed))
        self.start()

    def start(self):
        self.sender = Sender(self.broker, self.book.write, self.clock, self.book.orders().values())

    def submit(self, key, fault=""):
        self.broker.fault = fault
        intent = OrderIntent("paper", key, (Leg(CALL, "buy"),), Decimal(1), "limit", self.clock.now_ns(), Decimal("2.00"))
        try:
            self.sender.submit(intent, ALLOWED)
        except Crash:
            self.start()
        return intent.client_order_id

    def go(self, seconds):
        for _ in range(int(seconds * 4)):
            self.clock.ns += NS_PER_S // 4
            self.sender.look()

    def state(self, name):
        return self.sender.orders[name].state


@pytest.fixture
def account():
    return Account()


@pytest.mark.parametrize("fault", FAULTS)
def test_at_every_point_of_failure_one_order_at_most_and_its_fate_known_in_a_minute(account, fault):
    name = account.submit("k", fault)
    account.go(60)
    arrived = account.broker.arrived.get(name, 0)
    assert arrived <= 1
    state = account.state(name)
    if fault == "refused":
        assert state == "rejected"
    elif fault == "filled before the answer":
        account.sender.on_report(account.broker.report(name))
        assert account.state(name) == "filled"
    else:
        assert state == ("acknowledged" if arrived else "unsent")
    assert account.sender.locked_symbols() == set()
    assert account.book.orders() == account.sender.orders  # the journal tells the same


def test_random_days_of_faults_and_crashes_never_send_twice():
    for seed in range(40):
        rng, account = random.Random(seed), Account(seed)
        for n in range(30):
            for key in (f"k{n}", f"k{rng.randrange(n + 1)}"):  # a new wish, and now and then an old one uttered again
                with contextlib.suppress(OrderError):  # its symbol is locked
                    account.submit(key, rng.choice(FAULTS))
            account.go(rng.choice([0.25, 1, 40]))
            if rng.random() < 0.1:
                account.start()
        account.go(60)
        assert max(account.broker.arrived.values()) == 1, f"seed {seed}"
        unresolved = [name for name, order in account.sender.orders.items() if order.state in (OrderState.SENT, OrderState.UNKNOWN)]
        assert unresolved == [], f"seed {seed}"
        known = {name for name, order in account.sender.orders.items() if order.state not in OVER}
        assert known == set(account.broker.arrived), f"seed {seed}"  # what works there is what is known here
        assert account.book.orders() == account.sender.orders, f"seed {seed}"


def test_the_same_intent_again_sends_nothing(account):
    name = account.submit("k")
    assert account.submit("k") == name
    assert account.broker.arrived == {name: 1}


def test_nothing_leaves_when_the_journal_can_not_be_written(account):
    account.book.is_full = True
    with pytest.raises(JournalError):
        account.submit("k")
    assert account.broker.arrived == {}
    assert account.sender.orders == {}


def test_an_answer_that_could_not_be_written_is_looked_for_until_it_is(account):
    ask = account.broker.submit

    def full_now(intent):
        account.book.is_full = True
        return ask(intent)

    account.broker.submit = full_now
    with pytest.raises(JournalError):
        account.submit("k")
    (name,) = account.broker.arrived
    assert account.state(name) == "sent"
    assert account.sender.locked_symbols() == {CALL}
    account.book.is_full = False
    account.go(2)
    assert account.state(name) == "acknowledged"


def test_a_denied_order_is_written_down_and_not_sent(account):
    intent = OrderIntent("paper", "k", (Leg(CALL, "buy"),), Decimal(1), "limit", 1, Decimal("2.00"))
    assert account.sender.submit(intent, Checked(1, is_allowed=False, decision="d")).state == "denied"
    assert account.broker.arrived == {}
    assert [kind for kind, *_ in account.book.events] == ["order.intended", "order.checked"]


def test_while_an_order_has_no_answer_nothing_else_is_sent_for_its_symbol(account):
    account.submit("k1", "accepted, then time-out")
    with pytest.raises(OrderError, match="for which an order has no answer yet"):
        account.submit("k2")
    account.go(1)
    assert account.submit("k2") in account.broker.arrived


def test_a_broker_that_does_not_answer_looks_is_not_taken_for_one_that_knows_nothing(account):
    account.broker.deaf_until_ns = account.clock.now_ns() + 300 * NS_PER_S
    name = account.submit("k", "accepted, then time-out")
    account.go(200)
    assert account.state(name) == "unknown"
    account.go(110)
    assert account.state(name) == "acknowledged"


def test_another_account_is_refused(account):
    intent = OrderIntent("live", "k", (Leg(CALL, "buy"),), Decimal(1), "limit", 1, Decimal("2.00"))
    with pytest.raises(OrderError, match="OrderIntent.account: received 'live'; allowed: 'paper'"):
        account.sender.submit(intent, ALLOWED)


def test_a_cancellation_is_over_when_the_broker_says_so(account):
    name = account.submit("k")
    assert account.sender.cancel(name).state == "acknowledged"
    account.sender.on_report(account.broker.report(name))
    assert account.state(name) == "cancelled"
    assert account.sender.cancel(name).state == "cancelled"


def test_a_cancellation_without_an_answer_is_looked_up(account):
    name = account.submit("k")
    account.broker.fault = "cancel unanswered"
    account.sender.cancel(name)
    account.go(1)
    assert account.state(name) == "cancelled"


def test_a_cancellation_that_lost_the_race_finds_the_fill(account):
    name = account.submit("k")
    account.broker.filled.add(name)  # and the frame that told of it was lost
    account.sender.cancel(name)
    account.go(1)
    assert account.state(name) == "filled"


def test_reports_of_orders_that_are_not_ours_are_not_taken(account):
    assert account.sender.on_report(Report("wb-other", "b")) is None
