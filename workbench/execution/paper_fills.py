"""Whether an order of a paper account fills at a quote or at a print, how much of it, and at which price. The rules: `paper_rules.md`.

Floor 5. Nothing here books anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from workbench.execution.paper_market import PaperMarket, Print, Touch
from workbench.execution.paper_order import PaperOrder
from workbench.execution.paper_rules import PaperRules


@dataclass(frozen=True, slots=True)
class Deal:
    """`units` of an order are done, at one price for each leg [USD a share]."""

    units: Decimal
    prices: tuple[Decimal, ...]


def at_quote(order: PaperOrder, market: PaperMarket, rules: PaperRules, now_ns: int) -> Deal | None:
    """Return what the newest quotes do of an order; a limit order that is not marketable takes its place in the queue."""
    legs = order.intent.legs
    touches: list[Touch] = []
    for leg in legs:
        touch = market.live(leg.symbol, now_ns)
        if touch is None:
            return None
        touches.append(touch)
    prices = tuple(touch.natural(leg.side) for touch, leg in zip(touches, legs, strict=True))
    limit = order.net_limit
    if limit is not None and order.net(prices) > limit:
        _rest(order, touches[0], rules)
        return None
    units = min(_whole(market.shown(leg.symbol, leg.side) / leg.ratio, order.open_qty) for leg in legs)
    if order.is_single and order.is_resting and order.intent.limit_price is not None:
        prices = (order.intent.limit_price,)  # it stood there first: who comes to it trades at its price
    return Deal(units, prices) if units > 0 else None


def at_print(order: PaperOrder, print_: Print, left: Decimal, rules: PaperRules) -> Deal | None:
    """Return what a print does of a limit order with one leg. `left`: what own orders have not taken of the print yet."""
    limit = order.intent.limit_price
    if limit is None or not order.is_single:
        return None
    beyond = order.first.sign * (limit - print_.price)  # above 0: somebody sold lower than we bid, or bought higher than we asked
    if beyond > 0:
        units = _whole(left, order.open_qty)
    elif beyond == 0 and order.ahead is not None:
        units = _touched(order, print_.size, rules)
    else:
        return None
    return Deal(units, (limit,)) if units > 0 else None


def is_stop_reached(order: PaperOrder, price: Decimal) -> bool:
    """Return whether a price reaches an order's stop: at or above it for a buy, at or below it for a sell."""
    stop = order.intent.stop_price
    return stop is not None and order.first.sign * (price - stop) >= 0


def _rest(order: PaperOrder, touch: Touch, rules: PaperRules) -> None:
    """Take the place in the queue: behind what is displayed at our price, first where nobody is, unknown where others are better."""
    order.is_resting = True
    limit = order.intent.limit_price
    if not order.is_single or limit is None or order.ahead is not None:
        return
    best, size = touch.near(order.first.side)
    if limit == best:
        order.ahead = size * rules.queue_share
    elif order.first.sign * (limit - best) > 0:
        order.ahead = Decimal(0)


def _touched(order: PaperOrder, size: Decimal, rules: PaperRules) -> Decimal:
    """Return what a print at the order's price does: first those ahead, then our share, unless chance passes us by."""
    ahead = order.ahead or Decimal(0)
    order.ahead = max(ahead - size, Decimal(0))
    rest = size - min(ahead, size)
    if rest <= 0 or order.chance.random() < rules.no_fill_chance:
        return Decimal(0)
    order.earned += rest * rules.volume_share
    units = _whole(order.earned, order.open_qty)
    order.earned -= units
    return units


def _whole(available: Decimal, wanted: Decimal) -> Decimal:
    """Return how much of what is wanted is done: all of it, or the whole units that are available."""
    return wanted if wanted <= available else max(available // 1, Decimal(0))
