"""Buying power of a paper account: what is bought is paid in cash, what is sold short is covered or secured in cash.

- A short put is secured by its strike, a short call by 100 shares of its underlying; nothing is lent, shares are never sold short.
- A long option of the same root, right and at least the same expiry covers a short one: then the width between the strikes is secured,
  and nothing where the long one is the better. Of an iron condor both widths are secured, which is more than most brokers ask.
- An order that works keeps its cost, and its need of security; what it would bring counts only once it is filled.

In: positions and the orders that work. Out: a sentence with the numbers, or None. Floor 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from workbench.execution.paper_order import PaperOrder
from workbench.orders import OrderIntent, multiplier
from workbench.types import OptionContract

Positions = Mapping[str, Decimal]  # symbol -> signed quantity
UnderlyingOf = Callable[[OptionContract], str]


@dataclass(frozen=True, slots=True)
class Need:
    """What positions have to be secured with: cash, and what is short without cover (symbol -> contracts or shares)."""

    usd: Decimal = Decimal(0)
    bare: dict[str, Decimal] = field(default_factory=dict)


def need_of(positions: Positions, underlying_of: UnderlyingOf) -> Need:
    """Return what positions need."""
    shares = {symbol: qty for symbol, qty in positions.items() if not symbol.startswith("O:")}
    options = {symbol: OptionContract.parse(symbol) for symbol, qty in positions.items() if symbol.startswith("O:") and qty}
    longs = {symbol: positions[symbol] for symbol in options if positions[symbol] > 0}  # what still may cover
    bare = {symbol: -qty for symbol, qty in shares.items() if qty < 0}
    usd = Decimal(0)
    for symbol in sorted(symbol for symbol in options if positions[symbol] < 0):
        short, left = options[symbol], -positions[symbol]
        for other, gap in _covers(short, {name: options[name] for name in longs}):
            used = min(left, longs[other])
            longs[other] -= used
            left -= used
            usd += used * gap * multiplier(symbol)
        if short.right == "C":
            underlying = underlying_of(short)
            used = min(left, max(shares.get(underlying, Decimal(0)), Decimal(0)) // multiplier(symbol))
            shares[underlying] = shares.get(underlying, Decimal(0)) - used * multiplier(symbol)
            left -= used
            if left:
                bare[symbol] = left
        else:
            usd += left * short.strike * multiplier(symbol)
    return Need(usd, bare)


def refusal(
    intent: OrderIntent, cost_usd: Decimal, held: Positions, cash_usd: Decimal, working: Iterable[PaperOrder], of: UnderlyingOf
) -> str | None:
    """Return why an order may not be taken, or None. `cost_usd`: what it costs at most; `of`: a contract's underlying."""
    orders = list(working)
    too_much = _closes_too_much(intent, held, orders)
    if too_much is not None:
        return too_much
    sold, reserved_usd = _if_they_sell(held, orders, of)
    before = need_of(sold, of)
    after = need_of(_moved(sold, _changes(intent, intent.qty)), of)
    alone = need_of(_moved({}, _changes(intent, intent.qty)), of)
    is_whole = not alone.bare  # it brings all its cover along
    for symbol, qty in () if is_whole else after.bare.items():
        if qty > before.bare.get(symbol, Decimal(0)):
            return _bare(symbol, qty, held, of)
    more = min(alone.usd, after.usd - before.usd) if is_whole else after.usd - before.usd
    if more <= 0 and all(leg.effect == "close" for leg in intent.legs):
        return None  # nobody is kept from getting out, whatever the cash says
    secured = before.usd + reserved_usd
    kept = sum((order.cost_usd * order.open_qty / order.intent.qty for order in orders), Decimal(0))
    free = cash_usd - secured - kept
    if cost_usd + more <= max(free, Decimal(0)):
        return None
    return (
        f"buying power: {_usd(cost_usd + more)} needed ({_usd(cost_usd)} to pay, {_usd(more)} to secure), {_usd(free)} free "
        f"(cash {_usd(cash_usd)}, {_usd(secured)} secures positions and orders, {_usd(kept)} kept for working orders)"
    )


def _covers(short: OptionContract, longs: Mapping[str, OptionContract]) -> list[tuple[str, Decimal]]:
    """Return (symbol, width that stays to be secured) of the long options that cover a short one, the narrowest first."""
    sign = 1 if short.right == "C" else -1
    fit = [
        (symbol, max(sign * (contract.strike - short.strike), Decimal(0)))
        for symbol, contract in longs.items()
        if (contract.root, contract.right) == (short.root, short.right) and contract.expiry >= short.expiry
    ]
    return sorted(fit, key=lambda pair: (pair[1], pair[0]))


def _if_they_sell(held: Positions, orders: Iterable[PaperOrder], of: UnderlyingOf) -> tuple[dict[str, Decimal], Decimal]:
    """Return positions if all that works were to sell and nothing to buy, and the security that whole structures among it need.

    Legs fill together, so a structure that brings its own cover takes none from others, and gives none before it is filled.
    """
    sold, reserved_usd = dict(held), Decimal(0)
    for order in orders:
        changes = _changes(order.intent, order.open_qty)
        alone = need_of(_moved({}, changes), of)
        if order.is_single or alone.bare:
            sold = _moved(sold, {symbol: change for symbol, change in changes.items() if change < 0})
        else:
            reserved_usd += alone.usd
    return sold, reserved_usd


def _changes(intent: OrderIntent, units: Decimal) -> dict[str, Decimal]:
    """Return symbol -> signed change of position. A single buy counts only where it closes: what it opens covers nothing yet."""
    legs = [leg for leg in intent.legs if len(intent.legs) > 1 or leg.side == "sell" or leg.effect == "close"]
    return {leg.symbol: leg.sign * leg.ratio * units for leg in legs}


def _moved(positions: Positions, changes: Positions) -> dict[str, Decimal]:
    return dict(positions) | {symbol: positions.get(symbol, Decimal(0)) + change for symbol, change in changes.items()}


def _closes_too_much(intent: OrderIntent, held: Positions, orders: Iterable[PaperOrder]) -> str | None:
    """Return why what an order says it closes is not there to be closed, or None."""
    for leg in (leg for leg in intent.legs if leg.effect == "close"):
        has = max(-leg.sign * held.get(leg.symbol, Decimal(0)), Decimal(0))  # of what this leg would close
        same = [(one, order) for order in orders for one in order.intent.legs if (one.symbol, one.side) == (leg.symbol, leg.side)]
        busy = sum((one.ratio * order.open_qty for one, order in same), Decimal(0))
        wanted = leg.ratio * intent.qty
        if wanted > has - busy:
            how = "long" if leg.side == "sell" else "short"
            return f"{leg.symbol}: {wanted} to close, {has} held {how}, {busy} of them in working orders"
    return None


def _bare(symbol: str, qty: Decimal, held: Positions, of: UnderlyingOf) -> str:
    has = held.get(symbol, Decimal(0))
    if not symbol.startswith("O:"):
        return f"{symbol}: shares are not sold short on a paper account: with this order {qty} more would be sold than the {has} held"
    underlying = of(OptionContract.parse(symbol))
    shares = held.get(underlying, Decimal(0))
    return (
        f"{symbol}: a short call needs {multiplier(symbol)} shares of {underlying} or a long call that covers it: "
        f"{qty} would have neither, {shares} shares held"
    )


def _usd(amount: Decimal) -> str:
    return f"{amount:,.2f} USD"
