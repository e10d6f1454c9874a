"""What a paper account sees of the market: the newest quote and print of each symbol in exact dollars, and the regular hours.

In: quotes and prints as they come. Out: live touches, what is left of their displayed sizes, prints that count.

A touch is live when it is two-sided, not crossed and not stale. Prints count in regular hours only, and when their sale conditions let
them move the day's high and low: a late or an average-price print proves nothing about what could be traded now. Floor 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from workbench.conditions import HIGH_LOW, rule_mask
from workbench.errors import CalendarError
from workbench.orders import Side
from workbench.sessions import SessionCalendar
from workbench.tick_size import PARTS
from workbench.types import Quote, Trade


@dataclass(frozen=True, slots=True)
class Touch:
    """Top of book with both sides, in dollars a share; sizes in shares or contracts."""

    ts_ns: int
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal

    def natural(self, side: Side) -> Decimal:
        """Return the price at which a market order fills: the ask for a buy, the bid for a sell."""
        return self.ask if side == "buy" else self.bid

    def near(self, side: Side) -> tuple[Decimal, Decimal]:
        """Return price and size of the side that an order of its own would join: the bid for a buy, the ask for a sell."""
        return (self.bid, self.bid_size) if side == "buy" else (self.ask, self.ask_size)


@dataclass(frozen=True, slots=True)
class Print:
    """A trade on the tape that counts."""

    ts_ns: int
    price: Decimal
    size: Decimal


class PaperMarket:
    """The newest of each symbol. One thread."""

    def __init__(self, calendar: SessionCalendar, *, stale_after_ns: int, display_share: Decimal) -> None:
        self._calendar, self._stale_after_ns, self._display_share = calendar, stale_after_ns, display_share
        self._quotes: dict[str, Quote] = {}  # symbol -> newest
        self._touches: dict[str, Touch | None] = {}  # symbol -> the newest quote in dollars, once somebody asked
        self._taken: dict[tuple[str, Side], Decimal] = {}  # of the newest quote's displayed size, by our own fills
        self._session = (0, 0)  # opens, closes of the running or next regular session [ns UTC]
        self._trades: dict[str, Trade] = {}  # symbol -> newest print that counts

    def on_quote(self, quote: Quote) -> bool:
        """Take a quote; False when it is older than the newest of its symbol."""
        symbol, newest = quote.symbol, self._quotes.get(quote.symbol)
        if newest is not None and (quote.ts_event, quote.sequence) < (newest.ts_event, newest.sequence):
            return False
        self._quotes[symbol] = quote
        self._touches.pop(symbol, None)
        self._taken.pop((symbol, "buy"), None)
        self._taken.pop((symbol, "sell"), None)
        return True

    def on_trade(self, trade: Trade) -> bool:
        """Take a print; False when it does not count."""
        if trade.size <= 0 or not self.is_open(trade.ts_event) or not _counts(trade.conditions):
            return False
        last = self._trades.get(trade.symbol)
        if last is None or last.ts_event <= trade.ts_event:
            self._trades[trade.symbol] = trade
        return True

    def last(self, symbol: str) -> Print | None:
        """Return the newest print of a symbol that counts."""
        trade = self._trades.get(symbol)
        return None if trade is None else print_of(trade)

    def live(self, symbol: str, now_ns: int) -> Touch | None:
        """Return the touch that may fill an order now, or None."""
        touch = self._touch(symbol)
        return touch if touch is not None and now_ns - touch.ts_ns <= self._stale_after_ns else None

    def shown(self, symbol: str, side: Side) -> Decimal:
        """Return how much of the newest quote an order of this side may still take."""
        touch = self._touch(symbol)
        if touch is None:
            return Decimal(0)
        size = touch.ask_size if side == "buy" else touch.bid_size
        return size * self._display_share - self._taken.get((symbol, side), Decimal(0))

    def take(self, symbol: str, side: Side, qty: Decimal) -> None:
        """Note that an own fill took so much of the newest quote."""
        self._taken[symbol, side] = self._taken.get((symbol, side), Decimal(0)) + qty

    def _touch(self, symbol: str) -> Touch | None:
        """Return the newest quote of a symbol in dollars; None when it has not both sides, or is crossed."""
        if symbol not in self._touches:
            quote = self._quotes.get(symbol)
            is_two_sided = quote is not None and quote.bid <= quote.ask  # not so where a side is missing: NaN
            self._touches[symbol] = _in_dollars(quote) if quote is not None and is_two_sided else None
        return self._touches[symbol]

    def session(self, ts_ns: int) -> tuple[int, int]:
        """Return open and close of the regular session that runs or comes next [ns UTC]; CalendarError after the calendar's end."""
        if not self._session[0] <= ts_ns < self._session[1]:
            rows = self._calendar.sessions
            i = int(np.searchsorted(rows["close"], ts_ns, side="right"))
            if i == len(rows):
                raise CalendarError(f"time: received {ts_ns}; allowed: before the end of the last session known, {int(rows['close'][-1])}")
            self._session = (int(rows["open"][i]), int(rows["close"][i]))
        return self._session

    def is_open(self, ts_ns: int) -> bool:
        """Return whether regular hours run."""
        opens, closes = self.session(ts_ns)
        return opens <= ts_ns < closes


def print_of(trade: Trade) -> Print:
    """Return a print in exact dollars."""
    return Print(trade.ts_event, dollars(trade.price), Decimal(str(trade.size)))


def _counts(conditions: tuple[int, ...]) -> bool:
    try:
        return bool(rule_mask(conditions, in_regular_session=True) & HIGH_LOW) if conditions else True
    except KeyError:  # a sale condition that nobody knows proves nothing
        return False


def _in_dollars(quote: Quote) -> Touch:
    return Touch(quote.ts_event, dollars(quote.bid), dollars(quote.ask), _size(quote.bid_size), _size(quote.ask_size))


def _size(shown: float) -> Decimal:
    return Decimal(str(shown)) if 0 < shown < math.inf else Decimal(0)  # NaN, as what nobody told, is nothing to fill against


def dollars(price: float) -> Decimal:
    """Return a price of the feed as exact dollars, to a hundredth of a cent."""
    return Decimal(round(price * PARTS)) / PARTS
