"""Which orders a paper account takes at all, before money is looked at: hours, contracts, forms of order, replacements.

In: an intent and what is known at its moment. Out: a sentence, or None. Floor 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from workbench.errors import WorkbenchError
from workbench.execution.paper_market import PaperMarket
from workbench.execution.paper_order import PaperOrder
from workbench.execution.paper_rules import PaperRules
from workbench.execution.settlement import EndingOf
from workbench.orders import OrderIntent, multiplier
from workbench.sessions import to_ny
from workbench.types import OptionContract

SHUT = "the market is shut; regular hours begin {:%A %Y-%m-%d at %H:%M} New York"


def refusal(intent: OrderIntent, market: PaperMarket, ending_of: EndingOf, now_ns: int) -> str | None:
    """Return why an order can't be taken, or None."""
    if intent.stop_price is not None and intent.time_in_force in ("ioc", "fok"):
        return f"a {intent.order_type} order waits for its stop price: it can't be {intent.time_in_force}, but day or gtc"
    for leg in intent.legs:
        gone = _gone(leg.symbol, ending_of, now_ns)
        if gone is not None:
            return gone
    return shut(intent, market, now_ns)


def shut(intent: OrderIntent, market: PaperMarket, now_ns: int) -> str | None:
    """Return why an order can't be at the market now because regular hours do not run, or None. Limits and stops of shares may wait."""
    if market.is_open(now_ns):
        return None
    opens = SHUT.format(to_ny(market.session(now_ns)[0]))
    if any(leg.is_option for leg in intent.legs):
        return f"options trade in regular hours only: {opens}"
    if intent.order_type == "market":
        return f"a market order outside regular hours would fill at a price that nobody knows: {opens}"
    return f"an {intent.time_in_force} order can't wait: {opens}" if intent.time_in_force in ("ioc", "fok") else None


def replacement_refusal(intent: OrderIntent, orders: Mapping[str, PaperOrder]) -> str | None:
    """Return why an order can't take another's place, or None; None too when it wants nobody's."""
    if not intent.replaces:
        return None
    old = orders.get(intent.replaces)
    if old is None:
        return f"no order {intent.replaces} is here to be replaced"
    if old.is_over:
        return f"the order to be replaced is {old.end or 'filled'}"
    if [(leg.symbol, leg.side) for leg in old.intent.legs] != [(leg.symbol, leg.side) for leg in intent.legs]:
        return "an order takes the place of one with the same legs only"
    return None


def cost_usd(intent: OrderIntent, market: PaperMarket, rules: PaperRules, now_ns: int) -> Decimal | None:
    """Return what the whole order costs at most, fees included, 0 when it brings money; None when no live quote tells a price.

    Orders without a limit are taken at their stop price or the natural price, with the rules' cushion above it.
    """
    price = intent.limit_price if intent.limit_price is not None else intent.stop_price
    single = intent.legs[0] if len(intent.legs) == 1 else None
    naturals: list[Decimal] = []
    for leg in intent.legs:
        touch = market.live(leg.symbol, now_ns)
        if touch is None and price is None and (single is None or single.side == "buy"):
            return None
        naturals.append(touch.natural(leg.side) if touch is not None else abs(price or Decimal(0)))
    if single is not None:
        unit = single.sign * (naturals[0] if price is None else price) * multiplier(single.symbol)
    elif price is not None:
        unit = price * 100
    else:
        pairs = zip(intent.legs, naturals, strict=True)
        unit = sum((leg.sign * leg.ratio * natural * multiplier(leg.symbol) for leg, natural in pairs), Decimal(0))
    if unit <= 0:
        return Decimal(0)
    cushion = 1 if intent.limit_price is not None else 1 + rules.market_cushion
    legs = zip(intent.legs, naturals, strict=True)
    fees = (rules.fees_usd(leg.symbol, leg.side, leg.ratio * intent.qty, price if single and price else natural) for leg, natural in legs)
    return unit * intent.qty * cushion + sum(fees, Decimal(0))


def _gone(symbol: str, ending_of: EndingOf, now_ns: int) -> str | None:
    if not symbol.startswith("O:"):
        return None
    try:
        multiplier(symbol)  # refuses adjusted contracts
        ending = ending_of(OptionContract.parse(symbol))
    except WorkbenchError as error:
        return str(error)
    if now_ns >= min(ending.expiry_ns, ending.last_trade_ns):
        return f"{symbol} can't be traded any more: its last trade was possible until {to_ny(ending.last_trade_ns):%Y-%m-%d %H:%M} New York"
    return None
