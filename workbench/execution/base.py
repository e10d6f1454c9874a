"""What a broker is to the workbench. A new one is one file that speaks these words; `tests/execution/contract.py` lists its promises.

Floor 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from workbench.execution.order import End
from workbench.orders import Fill, OrderIntent


class Unanswered(Exception):
    """It is not known whether the request arrived: time-out, connection lost, 5xx, or an answer that can't be read."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker has the order."""

    broker_order_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker said no, definitely: nothing of this request is in force. `reason`: for the trader, in one sentence.

    `is_known_id`: no, because an order of this id is there already: it is looked up like one without an answer.
    """

    reason: str
    is_known_id: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What the broker tells of one order when asked. `end` None: it works still."""

    client_order_id: str
    broker_order_id: str
    fills: tuple[Fill, ...] = ()
    end: End | None = None
    reason: str = ""
    replaced_by: str = ""  # client_order_id


class Broker(Protocol):
    """One account at one broker. No call is repeated by itself; each ends within its own time-out."""

    account: str

    def submit(self, intent: OrderIntent) -> Accepted | Refused:
        """Send one order, once. Unanswered when its fate is not known."""

    def cancel(self, client_order_id: str) -> Refused | None:
        """Ask for a cancellation; None: asked, the outcome comes as a report. Unanswered when it is not known whether it was."""

    def find(self, client_order_id: str) -> Report | None:
        """Return what the broker has of one order; None when it says that it has none. Unanswered when it can't be asked."""

    def working(self) -> tuple[Report, ...]:
        """Return every order that works. Unanswered when it can't be asked."""

    def positions(self) -> Mapping[str, Decimal]:
        """Return symbol -> signed quantity held, without zeros. Unanswered when it can't be asked."""
