"""The rules, each a small pure function under a stable code. `RULES` is the whole table; `rules.md` is written from it.

A measuring rule gives one number that is held against one limit. A stating rule gives "" or what is wrong, in words for the trader.
Either raises `Missing` for what is not known, which denies. Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Literal, NamedTuple

from workbench.orders import Leg
from workbench.risk.book import DOLLAR_DELTA
from workbench.risk.case import Case
from workbench.risk.known import ZERO, Missing, flag, instant, number
from workbench.risk.limits import LIMITS
from workbench.sessions import to_ny

Test = Literal["at most", "below", "at least"]
NS_PER_S = 1_000_000_000
MINUTE_NS = 60 * NS_PER_S
AHEAD_NS = NS_PER_S  # how far another clock may run before ours
TICKET = "ticket"  # origin of an order that a person decided


class Measure(NamedTuple):
    """A number against a limit: allowed while it is `test` the limit."""

    code: str
    applies: Literal["all", "opening"]
    what: str
    limit: str  # field of LimitSet
    test: Test
    seen: Callable[[Case], Decimal]


class State(NamedTuple):
    """A state that has to hold: `wrong` gives "" when it does. `limit`: the field of LimitSet that it reads, "" for none."""

    code: str
    applies: Literal["all", "opening"]
    what: str
    limit: str
    wrong: Callable[[Case], str]


Rule = Measure | State


# -- size and loss -----------------------------------------------------------------------------------------------------------------


def loss_pct(case: Case) -> Decimal:
    """What the order can lose, of equity."""
    return case.loss_usd / case.equity_usd * 100


def contracts(case: Case) -> Decimal:
    """Option contracts that it opens."""
    return sum((abs(case.signed(leg)) for leg in case.opening_legs if leg.is_option), ZERO)


def gross_usd(case: Case) -> Decimal:
    """Value that it opens."""
    return case.gross_usd


def loss_usd(case: Case) -> Decimal:
    """What the order can lose."""
    return case.loss_usd


def day_loss_usd(case: Case) -> Decimal:
    """Loss of the day."""
    return -number("the day's profit and loss", case.view.account.day_pnl_usd)


def week_drawdown_pct(case: Case) -> Decimal:
    """Fall from the week's peak."""
    return number("the week's drawdown", case.view.account.week_drawdown_pct, least=ZERO)


def month_drawdown_pct(case: Case) -> Decimal:
    """Fall from the month's peak."""
    return number("the month's drawdown", case.view.account.month_drawdown_pct, least=ZERO)


def open_positions(case: Case) -> Decimal:
    """Positions once it is filled."""
    book = case.book
    is_new = any(leg.symbol not in book.held and leg.symbol not in book.opening_symbols for leg in case.opening_legs)
    return Decimal(len(book.names) + is_new)


def buying_power(case: Case) -> str:
    """Whether the order can be paid, and what it can lose."""
    free = number("the buying power", case.view.account.buying_power_usd)
    free -= case.book.uncounted_usd
    needed = max(case.cost_usd, case.loss_usd)
    return "" if needed <= free else f"it takes ${needed:,.2f} of buying power; there is ${free:,.2f}"


# -- how it is sent ----------------------------------------------------------------------------------------------------------------


def orders_in_a_minute(case: Case) -> Decimal:
    """Orders of the last 60 s, this one counted."""
    if case.view.recent is None:
        raise Missing("the orders of the last minute are not known")
    begin = case.now_ns - MINUTE_NS
    return Decimal(sum(order.ts_ns > begin for order in case.view.recent) + 1)


def duplicate(case: Case) -> str:
    """Whether the same was asked for just now."""
    if case.view.recent is None:
        raise Missing("the orders of the last minute are not known")
    limits, intent = case.limits, case.intent
    assert limits is not None
    assert limits.duplicate_window_s is not None  # the gate judges by a limit that is set
    begin = case.now_ns - int(limits.duplicate_window_s * NS_PER_S)
    legs = frozenset((leg.symbol, leg.side) for leg in intent.legs)
    for order in case.view.recent:
        if order.client_order_id == intent.client_order_id:
            return "this very order was decided before"
        is_twin = order.legs == legs and order.qty == intent.qty and order.client_order_id != intent.replaces
        if is_twin and order.ts_ns > begin and not case.is_closing:  # closing twice is bounded by what is held
            return f"the same legs and quantity were ordered {Decimal(case.now_ns - order.ts_ns) / NS_PER_S:.1f} s ago"
    return ""


def collar_pct(case: Case) -> Decimal:
    """How much worse than the middle of the quote it may be filled; a stop-limit order, than its own stop."""
    intent, price = case.intent, case.natural_net if case.intent.limit_price is None else case.entry
    if intent.limit_price is not None and intent.stop_price is not None:
        reference = case.paid(intent.stop_price)
    else:
        reference = case.mid_net
    if not reference:
        raise Missing("the middle of the quote is 0, of which nothing is a share")
    return (price - reference) / abs(reference) * 100


def spread_pct(case: Case) -> Decimal:
    """Widest quote of a leg, of its middle."""
    return max(abs(case.natural(leg) - case.mid(leg)) * 2 / case.mid(leg) * 100 for leg in case.opening_legs)


def liquidity_pct(case: Case) -> Decimal:
    """Largest share that a leg has of its volume or open interest."""
    return max(abs(case.signed(leg)) / _liquidity(case, leg) * 100 for leg in case.opening_legs)


def _liquidity(case: Case, leg: Leg) -> Decimal:
    known = case.view.instruments.get(leg.symbol)
    if known is None:
        raise Missing(f"the volume of {leg.symbol} is not known")
    found = number(f"the volume of {leg.symbol}", known.volume, least=ZERO)
    if leg.is_option:
        found = max(found, number(f"the open interest of {leg.symbol}", known.open_interest, least=ZERO))
    if not found:
        raise Missing(f"nobody has traded {leg.symbol} today or holds it")
    return found


def stop_pct(case: Case) -> Decimal:
    """Distance of the stop from the entry, on the losing side."""
    stop = case.paid(number("the stop", case.view.stop_usd))
    if not case.entry:
        raise Missing("the entry is 0, of which nothing is a share")
    if stop >= case.entry:
        raise Missing(f"the stop at {case.view.stop_usd} does not lie on the losing side of the entry")
    return (case.entry - stop) / abs(case.entry) * 100


# -- the book ------------------------------------------------------------------------------------------------------------------------


def book_size(name: str, case: Case) -> Decimal:
    """Size of one greek of the book once it is filled, at worst."""
    return case.book_with(name)


def symbol_pct(case: Case) -> Decimal:
    """At risk on one underlying, of equity."""
    return max(case.at_risk_usd(name) for name in case.underlyings) / case.equity_usd * 100


def sector_pct(case: Case) -> Decimal:
    """At risk in one sector, of equity; what has no known sector counts for each."""
    return max(_sector_usd(case, name) for name in case.underlyings) / case.equity_usd * 100


def _sector_usd(case: Case, underlying: str) -> Decimal:
    sectors = case.view.sectors
    if underlying not in sectors:
        raise Missing(f"the sector of {underlying} is not known")
    sector = sectors[underlying]
    own = sum((case.at_risk_usd(name) for name in case.underlyings if sectors.get(name, sector) == sector), ZERO)
    others = [name for name in case.book.at_risk if name not in case.underlyings and sectors.get(name, sector) == sector]
    return own + sum((case.book.risk_of(name) for name in others), ZERO)


def direction_pct(case: Case) -> Decimal:
    """Dollar delta of the book once it is filled, at worst, of equity."""
    return case.book_with(DOLLAR_DELTA) / case.equity_usd * 100


# -- time and data -----------------------------------------------------------------------------------------------------------------


def market_hours(case: Case) -> str:
    """Whether regular hours run."""
    session = case.session
    if session.open_ns <= case.now_ns < session.close_ns:
        return ""
    if session.open_ns == session.close_ns:
        return "there is no trading now"
    hours = f"{to_ny(session.open_ns):%H:%M} to {to_ny(session.close_ns):%H:%M}"
    return f"it is {to_ny(case.now_ns):%H:%M:%S} in New York, regular hours are {hours}"


def minutes_open(case: Case) -> Decimal:
    """Minutes since the open."""
    return Decimal(case.now_ns - case.session.open_ns) / MINUTE_NS


def minutes_left(case: Case) -> Decimal:
    """Minutes to the close."""
    return Decimal(case.session.close_ns - case.now_ns) / MINUTE_NS


def no_trade_window(case: Case) -> str:
    """Whether a stated stretch without trading runs."""
    if case.view.no_trade is None:
        raise Missing("the windows without trading are not known")
    for window in case.view.no_trade:
        is_ours = not window.underlying or window.underlying in case.underlyings
        if is_ours and window.start_ns <= case.now_ns < window.end_ns:
            return f"no opening orders until {to_ny(window.end_ns):%H:%M}: {window.reason}"
    return ""


def age_s(case: Case, name: str, ts_ns: int | None) -> Decimal:
    """Return how old something is; Missing when its stamp lies ahead of our clock."""
    age_ns = case.now_ns - instant(f"the time of {name}", ts_ns)
    if age_ns < -AHEAD_NS:
        raise Missing(f"the time of {name} lies {Decimal(-age_ns) / NS_PER_S} s ahead of the clock")
    return Decimal(age_ns) / NS_PER_S


def quote_age_s(case: Case) -> Decimal:
    """Age of the oldest quote of a leg."""
    known = ((leg.symbol, case.view.instruments.get(leg.symbol)) for leg in case.intent.legs)
    return max(age_s(case, f"the quote of {symbol}", None if one is None else one.ts_ns) for symbol, one in known)


def account_age_s(case: Case) -> Decimal:
    """Age of the broker's word on the account."""
    return age_s(case, "the account", case.view.account.ts_ns)


def vix(case: Case) -> Decimal:
    """The VIX."""
    return number("the VIX", case.view.regime.vix, least=ZERO)


def realised_vol_pct(case: Case) -> Decimal:
    """Realised volatility of the market."""
    return number("the realised volatility", case.view.regime.realised_vol_pct, least=ZERO)


# -- who, and in what state --------------------------------------------------------------------------------------------------------


def in_force(case: Case) -> str:
    """Whether the limits hold now."""
    if case.limits is None:
        raise Missing("no limit set is in force")
    return "" if case.limits.is_in_force(case.now_ns) else f"the limit set {case.limits.name!r} is not in force now"


def same_account(case: Case) -> str:
    """Whether what is seen belongs to the order's account."""
    name = case.view.account.name
    return "" if name == case.intent.account else f"the order is for {case.intent.account!r}, what is known is of {name!r}"


def killed(case: Case) -> str:
    """Whether the kill switch is tripped."""
    if case.view.kill is None:
        raise Missing("the state of the kill switch is not known")
    trip = case.view.kill.trip
    return "" if trip is None else f"{trip.by} stopped all opening orders: {trip.reason}"


def reconciled(case: Case) -> str:
    """Whether our books equal the broker's, and, to open, its stream tells fills as they happen."""
    account = case.view.account
    if not flag("whether our books equal the broker's", account.is_reconciled):
        return "our books differ from the broker's"
    if case.is_closing or flag("whether the broker's stream is live", account.is_stream_live):
        return ""
    return "the broker's stream of fills is down"


def unknown_order(case: Case) -> str:
    """Whether an order for one of its symbols has no answer."""
    locked = case.book.unknown_symbols & {leg.symbol for leg in case.intent.legs}
    return f"an order for {', '.join(sorted(locked))} has no answer yet" if locked else ""


def strategy_enabled(case: Case) -> str:
    """Whether the strategy that decided is switched on."""
    if case.intent.origin == TICKET or flag(f"whether {case.intent.origin} is switched on", _strategy(case, "is_enabled")):
        return ""
    return f"{case.intent.origin} is switched off"


def strategy_proven(case: Case) -> str:
    """Whether the strategy that decided passed its validation."""
    if case.intent.origin == TICKET or flag(f"whether {case.intent.origin} is proven", _strategy(case, "is_proven")):
        return ""
    return f"{case.intent.origin} is not proven"


def _strategy(case: Case, name: str) -> object:
    strategy = case.view.strategy
    return None if strategy is None or strategy.name != case.intent.origin else getattr(strategy, name)


def persona(case: Case) -> str:
    """Whether who acts may do this."""
    who = case.view.persona
    if who is None:
        raise Missing("who acts is not known")
    if not flag(f"whether {who.name} may open", who.may_open):
        return f"{who.name} may not open positions"
    if any(leg.side == "sell" for leg in case.opening_legs) and not flag(f"whether {who.name} may sell to open", who.may_sell_to_open):
        return f"{who.name} may not sell to open"
    if who.underlyings is not None and not case.underlyings <= who.underlyings:
        return f"{who.name} may not trade {', '.join(sorted(case.underlyings - who.underlyings))}"
    return ""


RULES: tuple[Rule, ...] = (
    State("KILLED", "opening", "the kill switch is not tripped", "", killed),
    State("LIMITS", "opening", "a limit set is in force", "", in_force),
    State("ACCOUNT", "all", "what is known is of the order's account", "", same_account),
    State("UNRECONCILED", "all", "our books equal the broker's; to open, its stream of fills is live", "", reconciled),
    State("UNKNOWN_ORDER", "all", "no order for these symbols is without an answer", "", unknown_order),
    State("PERSONA", "opening", "who acts may do this", "", persona),
    State("STRATEGY_DISABLED", "opening", "the strategy is switched on", "", strategy_enabled),
    State("STRATEGY_UNPROVEN", "opening", "the strategy is proven", "", strategy_proven),
    State("MARKET_HOURS", "all", "regular hours run", "", market_hours),
    State("NO_TRADE_WINDOW", "opening", "no stretch without trading runs", "", no_trade_window),
    Measure("NO_TRADE_WINDOW", "opening", "minutes since the open", "no_trade_first_min", "at least", minutes_open),
    Measure("NO_TRADE_WINDOW", "opening", "minutes to the close", "no_trade_last_min", "at least", minutes_left),
    Measure("STALE_DATA", "opening", "age of the oldest quote of a leg", "quote_age_s", "at most", quote_age_s),
    Measure("STALE_DATA", "opening", "age of the broker's word on the account", "account_age_s", "at most", account_age_s),
    Measure("REGIME", "opening", "VIX", "vix_min", "at least", vix),
    Measure("REGIME", "opening", "VIX", "vix_max", "at most", vix),
    Measure("REGIME", "opening", "realised volatility", "realised_vol_min_pct", "at least", realised_vol_pct),
    Measure("REGIME", "opening", "realised volatility", "realised_vol_max_pct", "at most", realised_vol_pct),
    Measure("ORDERS_PER_MINUTE", "all", "orders in 60 s, this one counted", "orders_per_minute", "at most", orders_in_a_minute),
    State("DUPLICATE_INTENT", "all", "the same was not ordered just now (to close: not this very order)", "duplicate_window_s", duplicate),
    Measure("PRICE_COLLAR", "all", "worse than the middle of the quote", "price_collar_pct", "at most", collar_pct),
    Measure("SPREAD_PCT", "opening", "widest quote of a leg", "spread_pct", "at most", spread_pct),
    Measure("LIQUIDITY_SHARE", "opening", "share of a leg's volume or open interest", "liquidity_share_pct", "at most", liquidity_pct),
    Measure("STOP_DISTANCE_MIN", "opening", "distance of the stop", "stop_distance_min_pct", "at least", stop_pct),
    Measure("STOP_DISTANCE_MAX", "opening", "distance of the stop", "stop_distance_max_pct", "at most", stop_pct),
    Measure("MAX_CONTRACTS", "opening", "contracts that it opens", "max_contracts", "at most", contracts),
    Measure("MAX_NOTIONAL", "opening", "value that it opens", "max_notional_usd", "at most", gross_usd),
    Measure("MAX_LOSS_PER_TRADE", "opening", "what it can lose", "max_loss_usd", "at most", loss_usd),
    Measure("POSITION_SIZE_PCT", "opening", "what it can lose, of equity", "position_size_pct", "at most", loss_pct),
    State("BUYING_POWER", "opening", "buying power covers its cost and its loss", "", buying_power),
    Measure("DAILY_LOSS", "opening", "loss of the day", "daily_loss_usd", "below", day_loss_usd),
    Measure("WEEKLY_DRAWDOWN", "opening", "fall from the week's peak", "weekly_drawdown_pct", "below", week_drawdown_pct),
    Measure("MONTHLY_DRAWDOWN", "opening", "fall from the month's peak", "monthly_drawdown_pct", "below", month_drawdown_pct),
    Measure("OPEN_POSITIONS", "opening", "positions once it is filled", "open_positions", "at most", open_positions),
    Measure("DELTA_BUDGET", "opening", "delta of the book", "delta_shares", "at most", partial(book_size, "delta")),
    Measure("GAMMA_BUDGET", "opening", "gamma of the book", "gamma_shares_per_usd", "at most", partial(book_size, "gamma_per_usd")),
    Measure("VEGA_BUDGET", "opening", "vega of the book", "vega_usd_per_point", "at most", partial(book_size, "vega_usd_per_point")),
    Measure("THETA_BUDGET", "opening", "theta of the book", "theta_usd_per_day", "at most", partial(book_size, "theta_usd_per_day")),
    Measure("SYMBOL_CONCENTRATION", "opening", "at risk on one underlying, of equity", "symbol_pct", "at most", symbol_pct),
    Measure("SECTOR_CONCENTRATION", "opening", "at risk in one sector, of equity", "sector_pct", "at most", sector_pct),
    Measure("DIRECTION_CONCENTRATION", "opening", "dollar delta of the book, of equity", "direction_pct", "at most", direction_pct),
)


def table() -> str:
    """Return the rules as the rows of a Markdown table: what `rules.md` shows."""
    head = ["| code | allowed while | limit | when it is not set | orders that only close |", "|---|---|---|---|---|"]
    return "\n".join(head + [_row(rule) for rule in RULES])


def _row(rule: Rule) -> str:
    limit = LIMITS.get(rule.limit)
    unit = f" [{limit.unit}]" if limit and limit.unit else ""
    said = f"{rule.what} is {rule.test} the limit" if isinstance(rule, Measure) else rule.what
    unset = "" if limit is None else "denied" if limit.unset == "deny" else "rule off"
    closing = "judged too" if rule.applies == "all" else "pass"
    return f"| {rule.code} | {said} | {f'`{rule.limit}`{unit}' if limit else ''} | {unset} | {closing} |"
