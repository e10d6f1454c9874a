"""The paper broker: one account that trades on the quotes and prints of the market as it is, under published rules (`paper_rules.md`).

In: orders (the `Broker` protocol), quotes and prints (`on_quote`, `on_trade`), the passing of time (`tick`, to be called often).
Out: reports and settlements, each told once by `drain`.

Whatever takes time (an order's way, a cancellation's way, the end of the day, the expiry of a contract) stands in one list by its
instant and happens there, before what the market says later. All chance is drawn from the seed and the order's id, so the same
orders on the same day give the same reports.

Several accounts stand side by side and are given the same quotes; none sees another. After a restart an account is made again from
the orders and settlements of the journal: an order that the journal does not call acknowledged never arrived, places in queues are
lost, and a stop that was reached has to be reached again. One thread at a time. Floor 5.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal

from workbench.clock import NS_PER_MS, NS_PER_S, Clock
from workbench.errors import OrderError
from workbench.execution import paper_admission as admission
from workbench.execution import paper_power as power
from workbench.execution.base import Accepted, Refused, Report
from workbench.execution.order import End, Order
from workbench.execution.paper_account import PaperBooks
from workbench.execution.paper_fills import Deal, at_print, at_quote, is_stop_reached
from workbench.execution.paper_market import PaperMarket, Print, print_of
from workbench.execution.paper_order import PaperOrder
from workbench.execution.paper_rules import PaperRules
from workbench.execution.settlement import EndingOf, Settlement, settle
from workbench.orders import Fill, OrderIntent, exact
from workbench.sessions import SessionCalendar
from workbench.types import OptionContract, Quote, Trade

AHEAD_NS = NS_PER_S  # clocks of exchanges and this one may differ by so much
Event = Literal["arrive", "cancel", "day", "expiry"]


class PaperBroker:
    """One paper account."""

    def __init__(
        self,
        account: str,
        capital_usd: Decimal,
        rules: PaperRules,
        seed: int,
        calendar: SessionCalendar,
        clock: Clock,
        *,
        ending_of: EndingOf,
        orders: Iterable[Order] = (),
        settlements: Iterable[Settlement] = (),
    ) -> None:
        """`ending_of`: how a contract ends. `orders`, `settlements`: those of the account's journal, at a restart."""
        self.account, self.rules = account, rules
        self.books = PaperBooks(capital_usd)
        self.waiting_for_price: dict[str, str] = {}  # contract that has expired -> underlying whose price is not known
        self._seed, self._clock, self._ending_of = seed, clock, ending_of
        self._market = PaperMarket(calendar, stale_after_ns=rules.stale_after_ms * NS_PER_MS, display_share=rules.display_share)
        self._now_ns = clock.now_ns()
        self._orders: dict[str, PaperOrder] = {}  # client_order_id -> order, in the order in which they came
        self._working: dict[str, PaperOrder] = {}  # those that are not over
        self._at_market: dict[str, dict[str, PaperOrder]] = {}  # symbol -> those of them that have arrived, in that order
        self._due: list[tuple[int, int, Event, str]] = []  # heap: instant, running number, what, of which order or contract
        self._n_due = 0
        self._dated: set[str] = set()  # contracts whose expiry stands in the list
        self._news: list[Report | Settlement] = []
        self._resume(orders, settlements)

    # -- the Broker protocol -----------------------------------------------------------------------------------------------------

    def submit(self, intent: OrderIntent) -> Accepted | Refused:
        """Take an order, or refuse it with a sentence. It takes effect a latency later."""
        self.tick()
        name, now = intent.client_order_id, self._now_ns
        if intent.account != self.account:
            return Refused(f"this is account {self.account}, the order is for {intent.account}")
        if name in self._orders:
            return Refused(f"an order {name} is here already", is_known_id=True)
        reason = admission.refusal(intent, self._market, self._ending_of, now) or admission.replacement_refusal(intent, self._orders)
        if reason is not None:
            return Refused(reason)
        cost = admission.cost_usd(intent, self._market, self.rules, now)
        if cost is None:
            symbols = ", ".join(leg.symbol for leg in intent.legs)
            return Refused(f"no live two-sided quote of {symbols} tells what a {intent.order_type} order would cost")
        others = [order for key, order in self._working.items() if key != intent.replaces]
        reason = power.refusal(intent, cost, self.books.positions, self.books.cash_usd, others, self._underlying)
        if reason is not None:
            return Refused(reason)
        arrives = now + self._latency_ns(name)
        return Accepted(self._take(intent, cost, arrives, arrives).broker_order_id)

    def cancel(self, client_order_id: str) -> Refused | None:
        """Ask for a cancellation. It takes effect a latency later, and until then the order may fill."""
        self.tick()
        order = self._orders.get(client_order_id)
        if order is None:
            return Refused(f"no order {client_order_id} is here")
        if order.is_over:
            return Refused(f"the order is {order.end or 'filled'} already")
        if order.cancel_ns is None:
            order.cancel_ns = max(self._now_ns + self._latency_ns(f"{client_order_id}:cancel"), order.arrives_ns)
            self._put(order.cancel_ns, "cancel", client_order_id)
        return None

    def find(self, client_order_id: str) -> Report | None:
        """Return what is known of one order, all its fills included; None when there is none."""
        order = self._orders.get(client_order_id)
        return None if order is None else order.report()

    def working(self) -> tuple[Report, ...]:
        """Return every order that works or is on its way."""
        return tuple(order.report() for order in self._working.values())

    def positions(self) -> Mapping[str, Decimal]:
        """Return symbol -> signed quantity, without zeros."""
        return dict(self.books.positions)

    # -- the market --------------------------------------------------------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Take a quote: orders for its symbol may fill."""
        if self._hears(quote.ts_event) and self._market.on_quote(quote):
            for order in self._of(quote.symbol):
                self._try_quote(order)

    def on_trade(self, trade: Trade) -> None:
        """Take a print: stops of shares may be reached, resting orders may fill."""
        if not self._hears(trade.ts_event):
            return
        orders = self._of(trade.symbol)
        if not self._market.on_trade(trade) or not orders or not self._market.is_open(self._now_ns):
            return
        print_ = print_of(trade)
        left = print_.size
        for order in orders:
            if print_.ts_ns >= order.arrives_ns:
                left -= self._try_print(order, print_, left)

    def tick(self) -> None:
        """Let happen what is due by now."""
        self._advance(self._clock.now_ns())

    def on_published_price(self, symbol: str, price: Decimal) -> None:
        """Settle an expired contract that waits for its underlying's price [USD a share]; OrderError for one that does not."""
        if symbol not in self.waiting_for_price:
            raise OrderError(f"symbol: received {symbol!r}; allowed: a contract that waits for its price, {[*self.waiting_for_price]}")
        self._settle(symbol, exact("price", price))

    def drain(self) -> tuple[Report | Settlement, ...]:
        """Return what happened since the last call, in its order; reports carry the new fills only."""
        news, self._news = tuple(self._news), []
        return news

    # -- time --------------------------------------------------------------------------------------------------------------------

    def _hears(self, ts_ns: int) -> bool:
        """Let happen what is due before an event; False for one whose stamp is of the future, which would hide all that follows."""
        now = self._clock.now_ns()
        if ts_ns > now + AHEAD_NS:
            return False
        self._advance(min(ts_ns, now))
        return True

    def _advance(self, to_ns: int) -> None:
        while self._due and self._due[0][0] <= to_ns:
            due_ns, _, event, subject = heapq.heappop(self._due)
            self._now_ns = max(self._now_ns, due_ns)
            if event == "expiry":
                self._expire_contract(subject)
            elif subject in self._working:
                self._happen(event, self._working[subject])
        self._now_ns = max(self._now_ns, to_ns)

    def _happen(self, event: Event, order: PaperOrder) -> None:
        if event == "arrive":
            self._arrive(order)
        elif event == "cancel":
            self._end(order, "cancelled", "as asked")
        else:
            self._end(order, "expired", "the day is over")

    def _put(self, due_ns: int, event: Event, subject: str) -> None:
        self._n_due += 1
        heapq.heappush(self._due, (due_ns, self._n_due, event, subject))

    def _date(self, symbol: str) -> None:
        """Put a contract's expiry into the list, once."""
        if symbol.startswith("O:") and symbol not in self._dated:
            self._dated.add(symbol)
            self._put(self._ending_of(OptionContract.parse(symbol)).expiry_ns, "expiry", symbol)

    def _latency_ns(self, what: str) -> int:
        fastest, slowest = (ms * NS_PER_MS for ms in (self.rules.latency_min_ms, self.rules.latency_max_ms))
        return self._chance(what).randint(fastest, slowest)

    def _chance(self, what: str) -> random.Random:
        return random.Random(f"{self._seed}:{what}")  # noqa: S311 - chance of fills, not of secrets

    # -- orders ------------------------------------------------------------------------------------------------------------------

    def _take(self, intent: OrderIntent, cost_usd: Decimal, arrives_ns: int, day_of_ns: int) -> PaperOrder:
        name = intent.client_order_id
        order = PaperOrder(intent, arrives_ns, cost_usd, self._chance(f"{name}:touch"))
        if intent.replaces in self._working:
            order.replaced_open_qty = self._working[intent.replaces].open_qty
        self._orders[name] = self._working[name] = order
        self._put(arrives_ns, "arrive", name)
        if intent.time_in_force != "gtc":
            self._put(self._market.session(day_of_ns)[1], "day", name)
        for leg in intent.legs:
            self._date(leg.symbol)
        return order

    def _arrive(self, order: PaperOrder) -> None:
        """The order is at the market: it takes the place of another, fills, rests, or is turned away."""
        intent, now = order.intent, self._now_ns
        reason = admission.shut(intent, self._market, now) or self._cannot_replace(order)
        if reason is not None:
            self._end(order, "rejected", reason)
            return
        if intent.replaces in self._working:
            self._end(self._working[intent.replaces], "replaced", replaced_by=intent.client_order_id)
        for leg in intent.legs:
            self._at_market.setdefault(leg.symbol, {})[intent.client_order_id] = order
        self._try_quote(order)
        if intent.time_in_force in ("ioc", "fok") and not order.is_over:
            what = "not all of it could be filled at once" if intent.time_in_force == "fok" else "the rest could not be filled at once"
            self._end(order, "cancelled", what)

    def _cannot_replace(self, order: PaperOrder) -> str | None:
        """Return why an order that has arrived can't take the other's place any more, or None."""
        if order.replaced_open_qty is None:  # it wants nobody's place, or has it since before a restart
            return None
        reason = admission.replacement_refusal(order.intent, self._orders)
        open_qty = self._orders[order.intent.replaces].open_qty
        if reason is None and open_qty != order.replaced_open_qty:
            return f"the order to be replaced filled on the way: {open_qty} of it are open, not {order.replaced_open_qty}; it works on"
        return reason

    def _of(self, symbol: str) -> list[PaperOrder]:
        """Return the orders at the market for a symbol, the first to arrive first."""
        return list(self._at_market.get(symbol, {}).values())

    def _try_quote(self, order: PaperOrder) -> None:
        now = self._now_ns
        if not self._market.is_open(now):
            return
        if order.waits_for_stop:
            touch = self._market.live(order.first.symbol, now) if order.first.is_option else None
            if touch is None or not is_stop_reached(order, touch.natural(order.first.side)):
                return
            order.is_triggered = True
        deal = at_quote(order, self._market, self.rules, now)
        if deal is None or (order.intent.time_in_force == "fok" and deal.units < order.open_qty):
            return
        for leg in order.intent.legs:
            self._market.take(leg.symbol, leg.side, deal.units * leg.ratio)
        self._fill(order, deal)

    def _try_print(self, order: PaperOrder, print_: Print, left: Decimal) -> Decimal:
        """Return how much of the print an order took."""
        if order.waits_for_stop:
            if not order.first.is_option and is_stop_reached(order, print_.price):
                order.is_triggered = True
                self._try_quote(order)
            return Decimal(0)
        deal = at_print(order, print_, left, self.rules)
        if deal is None:
            return Decimal(0)
        self._fill(order, deal)
        return deal.units

    def _fill(self, order: PaperOrder, deal: Deal) -> None:
        fills: list[Fill] = []
        for leg, price in zip(order.intent.legs, deal.prices, strict=True):
            qty = deal.units * leg.ratio
            fees = self.rules.fees_usd(leg.symbol, leg.side, qty, price)
            fill_id = f"{order.broker_order_id}:{len(order.fills) + 1}"
            fill = Fill(fill_id, order.client_order_id, leg.symbol, leg.side, qty, price, self._now_ns, self._now_ns, fees)
            order.fills.append(fill)
            fills.append(fill)
            self.books.fill(fill)
        self._tell(order, tuple(fills))

    def _end(self, order: PaperOrder, how: End, reason: str = "", replaced_by: str = "") -> None:
        order.end, order.reason, order.replaced_by = how, reason, replaced_by
        self._tell(order, ())

    def _tell(self, order: PaperOrder, fills: tuple[Fill, ...]) -> None:
        if order.is_over:
            self._working.pop(order.client_order_id, None)
            for leg in order.intent.legs:
                self._at_market.get(leg.symbol, {}).pop(order.client_order_id, None)
        self._news.append(order.report(fills))

    # -- expiry ------------------------------------------------------------------------------------------------------------------

    def _underlying(self, contract: OptionContract) -> str:
        return self._ending_of(contract).underlying

    def _expire_contract(self, symbol: str) -> None:
        for order in [order for order in self._working.values() if any(leg.symbol == symbol for leg in order.intent.legs)]:
            self._end(order, "expired", f"{symbol} has expired")
        if symbol not in self.books.positions:
            return
        ending = self._ending_of(OptionContract.parse(symbol))
        last = self._market.last(ending.underlying)
        if ending.is_price_published or last is None or last.ts_ns < self._market.session(ending.expiry_ns - 1)[0]:
            self.waiting_for_price[symbol] = ending.underlying  # no price of this session: nothing is guessed
        else:
            self._settle(symbol, last.price)

    def _settle(self, symbol: str, price: Decimal) -> None:
        self.waiting_for_price.pop(symbol, None)
        ending = self._ending_of(OptionContract.parse(symbol))
        settlement = settle(self.account, symbol, self.books.positions[symbol], price, ending)
        self.books.settle(settlement)
        self._news.append(settlement)

    # -- restart -----------------------------------------------------------------------------------------------------------------

    def _resume(self, orders: Iterable[Order], settlements: Iterable[Settlement]) -> None:
        """Make the account again from its journal; orders that may have arrived work on, behind what is displayed then."""
        asked: list[str] = []
        for known in orders:
            if not known.broker_order_id:
                continue
            cost = admission.cost_usd(known.intent, self._market, self.rules, self._now_ns)
            order = self._take(known.intent, cost or Decimal(0), self._now_ns, known.intent.ts_ns)
            order.fills = list(known.fills.values())
            for fill in order.fills:
                self.books.fill(fill)
            if known.ends:
                order.end, order.reason, order.replaced_by = known.ends[0].how, known.ends[0].reason, known.ends[0].by
            if order.is_over:
                self._working.pop(order.client_order_id)
            elif known.cancel_asked:
                asked.append(order.client_order_id)
        for settlement in settlements:
            self.books.settle(settlement)
        for name in asked:
            self.cancel(name)
