"""A quiet world in which an ordinary order passes every rule: each test changes the one thing that it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from workbench.orders import Leg, OrderIntent
from workbench.risk.book import book_of
from workbench.risk.gate import check
from workbench.risk.instrument import Instrument
from workbench.risk.kill import KillState
from workbench.risk.limits import LIMITS, LimitSet
from workbench.risk.view import Account, Persona, Regime, Session, Strategy, View
from workbench.sessions import ny_ns

D = Decimal
NOW = ny_ns(date(2026, 11, 20), 11)  # a Friday
S, MIN = 1_000_000_000, 60_000_000_000
CALL, HIGHER, PUT, LOWER, LATER = (
    f"O:AAPL{rest}" for rest in ("261218C00200000", "261218C00210000", "261218P00200000", "261218P00190000", "270115C00200000")
)
LONG_CALL = (Leg(CALL, "buy"),)
OPEN_NS, CLOSE_NS = ny_ns(date(2026, 11, 20), 9, 30), ny_ns(date(2026, 11, 20), 16)


def option(bid="1.90", ask="2.10", **changes):
    known = Instrument(
        bid=D(bid), ask=D(ask), ts_ns=NOW - S, delta=D("0.5"), gamma_per_usd=D("0.02"), vega_usd_per_point=D("0.3"),
        theta_usd_per_day=D("-0.05"), volume=D(400), open_interest=D(1000), underlying_usd=D(200),
    )  # fmt: skip
    return replace(known, **changes)


def share(bid="199.90", ask="200.10", **changes):
    return replace(Instrument(bid=D(bid), ask=D(ask), ts_ns=NOW - S, volume=D(1_000_000)), **changes)


INSTRUMENTS = {
    CALL: option(), HIGHER: option("0.90", "1.10"), PUT: option(delta=D("-0.5")), LOWER: option("0.90", "1.10", delta=D("-0.3")),
    LATER: option("2.90", "3.10"), "AAPL": share(), "MSFT": share("399.90", "400.10"),
}  # fmt: skip
SECTORS = {"AAPL": "technology", "MSFT": "technology", "XOM": "energy"}

# every limit so wide that an ordinary order stays far below
WIDE = {
    name: D(0) if not limit.is_ceiling else D(1_000_000) for name, limit in LIMITS.items()
} | {"duplicate_window_s": D(5), "quote_age_s": D(5), "account_age_s": D(30)}  # fmt: skip


def limits(**changes):
    return LimitSet(
        name="desk", effective_ns=1, **{**WIDE, **{name: None if value is None else D(value) for name, value in changes.items()}}
    )


def none_but(**changes):
    return LimitSet(name="desk", effective_ns=1, **{name: D(value) for name, value in changes.items()})


def account(**changes):
    known = Account(
        name="paper", ts_ns=NOW - S, equity_usd=D(100_000), buying_power_usd=D(50_000), day_pnl_usd=D(0), week_drawdown_pct=D(0),
        month_drawdown_pct=D(0), is_reconciled=True, is_stream_live=True,
    )  # fmt: skip
    return replace(known, **changes)


def view(positions=(), working=(), *, instruments=None, account=account(), **changes):  # noqa: B008 - frozen
    known = INSTRUMENTS | (instruments or {})
    plain = View(
        account=account, book=book_of(positions, working, known), instruments=known, session=Session(OPEN_NS, CLOSE_NS), recent=(),
        no_trade=(), regime=Regime(D(18), D(12)), strategy=Strategy("orb", is_enabled=True, is_proven=True),
        persona=Persona("ann", may_open=True, may_sell_to_open=True), kill=KillState(), sectors=SECTORS, stop_usd=D("1.50"),
    )  # fmt: skip
    return replace(plain, **changes)


def order(legs=LONG_CALL, qty=1, limit="2.00", *, kind=None, stop=None, **changes):
    kind = kind or ("limit" if limit else "market")
    prices = {"limit_price": limit and D(limit), "stop_price": stop and D(stop)}
    return OrderIntent(
        **{"account": "paper", "key": "k", "legs": tuple(legs), "qty": D(qty), "order_type": kind, "ts_ns": NOW, **prices, **changes}
    )


def market(legs=LONG_CALL, qty=1, **changes):
    return order(legs, qty, None, **changes)


def decide(intent=None, seen=None, limits_=None, now_ns=NOW):
    return check(intent or order(), seen or view(), limits_ or limits(), now_ns)


def codes(intent=None, seen=None, limits_=None, now_ns=NOW):
    return decide(intent, seen, limits_, now_ns).codes


def verdict(decision, code, name=None):
    (found,) = [one for one in decision.verdicts if one.code == code and (name is None or one.limit_name == name)]
    return found
