"""Filters over the contracts of a chain: settings that explain themselves, and the funnel that counts what each filter took.

Floor 1: numpy and the errors of floor 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from workbench.errors import RecordError


def knob(default: Any, unit: str, help_: str, low: float = -math.inf, high: float = math.inf) -> Any:
    """Return a dataclass field whose `metadata` has its unit, its help and the range allowed, ends included."""
    return field(default=default, metadata={"unit": unit, "help": help_, "low": low, "high": high})


def check_knobs(settings: Any) -> None:
    """Raise RecordError that names the first number of `settings` that is outside the range its knob allows."""
    for each in fields(settings):
        value, told = getattr(settings, each.name), each.metadata
        if told and not isinstance(value, str) and value is not None and not told["low"] <= value <= told["high"]:
            allowed = f"{told['low']:g} to {told['high']:g} {told['unit']}".rstrip()
            raise RecordError(f"{each.name}: received {value!r}; allowed: {allowed}")


def check_order(settings: Any, *names: str) -> None:
    """Raise RecordError where `min_<name>` is above `max_<name>`."""
    for name in names:
        low, high = getattr(settings, f"min_{name}"), getattr(settings, f"max_{name}")
        if low > high:
            raise RecordError(f"min_{name}: received {low!r}, above max_{name} {high!r}; allowed: at most that")


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One filter: how many contracts came to it, and went on, were refused, or lacked the number that it asks for."""

    filter: str
    rule: str
    tested: int
    passed: int
    failed: int
    missing: int


class Funnel:
    """Contracts that are still in, filter by filter. `is_left`: bool, shape (n,); `steps`: what happened."""

    def __init__(self, n: int) -> None:
        self.is_left = np.ones(n, np.bool_)
        self.steps: list[FunnelStep] = []

    def keep(self, name: str, rule: str, is_in: np.ndarray, is_missing: np.ndarray | None = None) -> np.ndarray:
        """Keep the contracts that are `is_in`; return what is left. What `is_missing` is never in."""
        lacks = np.zeros_like(is_in) if is_missing is None else is_missing
        came, stays = self.is_left, self.is_left & is_in & ~lacks
        n_missing = int((came & lacks).sum())
        n_came, n_stays = int(came.sum()), int(stays.sum())
        self.steps.append(FunnelStep(name, rule, n_came, n_stays, n_came - n_stays - n_missing, n_missing))
        self.is_left = stays
        return stays


def funnel_text(steps: Iterable[FunnelStep]) -> list[str]:
    """Return the funnel as lines for a person."""
    lines = []
    for step in steps:
        missing = f", {step.missing:,} not known" if step.missing else ""
        lines.append(f"{step.filter:<20} {step.tested:>7,} -> {step.passed:>7,}   ({step.failed:,} failed{missing}; {step.rule})")
    return lines
