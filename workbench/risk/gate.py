"""The gate: an intent, what may be seen, the limits and the moment in; a decision with every rule's reason out.

Every rule is asked, also after one has denied, so that a trader sees all that stands in the way. What is not known denies. An order that
only closes what is held, and leaves the rest no worse, passes the rules that are for opening orders.

Pure: no I/O, no clock, and its own decimal context. Floor 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Literal, NamedTuple

from workbench.orders import OrderIntent
from workbench.risk.case import Case
from workbench.risk.known import Missing
from workbench.risk.limits import LIMITS, LimitSet, Unit
from workbench.risk.rules import RULES, Measure, Rule, Test
from workbench.risk.view import View

Outcome = Literal["passed", "denied", "off", "exempt"]
_EXACT = Context(prec=60)  # digits: sums and products of amounts are exact, shares far finer than any limit


class Verdict(NamedTuple):
    """One rule's answer, with what it saw and its limit. None: no number, or not known. A tuple, since forty are made for a decision."""

    code: str
    outcome: Outcome
    what: str  # was judged, or stood in the way
    seen: Decimal | None = None
    limit: Decimal | None = None
    limit_name: str = ""  # field of LimitSet
    test: Test | None = None  # what `seen` has to be to `limit`

    @property
    def sentence(self) -> str:
        """For the trader."""
        if self.seen is None or self.limit is None:
            return f"denied: {self.what}" if self.outcome == "denied" else self.what
        unit = LIMITS[self.limit_name].unit
        return f"{self.what}: {_shown(self.seen, unit)}; allowed: {self.test} {_shown(self.limit, unit)}"


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer to one intent."""

    client_order_id: str
    now_ns: int
    limits_version: str  # "": no limit set was in force
    is_closing: bool
    verdicts: tuple[Verdict, ...]

    @property
    def is_allowed(self) -> bool:
        """Whether no rule denies."""
        return not self.denials

    @property
    def denials(self) -> tuple[Verdict, ...]:
        """The verdicts that deny."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome == "denied")

    @property
    def codes(self) -> str:
        """The codes that deny, each once, as 'MAX_CONTRACTS BUYING_POWER'; "" for an order that passed."""
        return " ".join(dict.fromkeys(verdict.code for verdict in self.denials))


def check(intent: OrderIntent, view: View, limits: LimitSet | None, now_ns: int) -> Decision:
    """Return the decision on an intent: asked before an order is sent, and as `what_if` before anybody means to send it."""
    with localcontext(_EXACT):
        case = Case(intent, view, limits, now_ns)
        is_closing = case.is_closing
        verdicts = tuple(_verdict(rule, case, is_closing=is_closing) for rule in RULES)
    return Decision(intent.client_order_id, now_ns, "" if limits is None else limits.version, is_closing, verdicts)


what_if = check


def _verdict(rule: Rule, case: Case, *, is_closing: bool) -> Verdict:
    if is_closing and rule.applies == "opening":
        return Verdict(rule.code, "exempt", "it only closes what is held", limit_name=rule.limit)
    limit: Decimal | None = getattr(case.limits, rule.limit) if rule.limit and case.limits is not None else None
    if rule.limit and limit is None:
        return _not_set(rule)
    try:
        return _measured(rule, limit, case) if isinstance(rule, Measure) else _stated(rule, limit, case)
    except Missing as what:
        return Verdict(rule.code, "denied", str(what), None, limit, rule.limit)


def _not_set(rule: Rule) -> Verdict:
    if LIMITS[rule.limit].unset == "off":
        return Verdict(rule.code, "off", f"{rule.limit} is not set: the rule is off", limit_name=rule.limit)
    return Verdict(rule.code, "denied", f"{rule.limit} is not set, and nothing is opened without it", limit_name=rule.limit)


def _measured(rule: Measure, limit: Decimal | None, case: Case) -> Verdict:
    assert limit is not None
    seen = rule.seen(case)
    is_allowed = seen < limit if rule.test == "below" else seen >= limit if rule.test == "at least" else seen <= limit
    return Verdict(rule.code, "passed" if is_allowed else "denied", rule.what, seen, limit, rule.limit, rule.test)


def _stated(rule: Rule, limit: Decimal | None, case: Case) -> Verdict:
    assert not isinstance(rule, Measure)
    wrong = rule.wrong(case)
    return Verdict(rule.code, "denied" if wrong else "passed", wrong or rule.what, None, limit, rule.limit)


def _shown(value: Decimal, unit: Unit) -> str:
    if unit == "usd":
        return f"${value:,.2f}" if value >= 0 else f"-${-value:,.2f}"
    text = f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{text} {unit}" if unit not in ("", "%", "units") else text + ("%" if unit == "%" else "")
