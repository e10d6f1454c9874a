"""What may be judged by: a value is a number, a flag or an instant, or it is missing. Nothing in between passes.

Floor 4: standard library.
"""

from __future__ import annotations

from decimal import Decimal

from workbench.risk.limits import LARGEST

ZERO = Decimal(0)


class Missing(Exception):
    """A rule can't be judged. The text says what is missing, for the trader."""


def number(name: str, value: object, *, least: Decimal | None = None) -> Decimal:
    """Return a finite Decimal; Missing for None, NaN, infinities, floats, and what no account can hold."""
    if value is None:
        raise Missing(f"{name} is not known")
    if type(value) is not Decimal or not value.is_finite() or abs(value) > LARGEST:
        raise Missing(f"{name} is {value!r}, which is nothing to judge by")
    if least is not None and value < least:
        raise Missing(f"{name} is {value}, which can't be below {least}")
    return value


def positive(name: str, value: object) -> Decimal:
    """Return a Decimal above 0; Missing otherwise."""
    found = number(name, value)
    if found <= 0:
        raise Missing(f"{name} is {found}, and has to be above 0")
    return found


def flag(name: str, value: object) -> bool:
    """Return a bool; Missing for anything else."""
    if not isinstance(value, bool):
        raise Missing(f"{name} is not known")
    return value


def instant(name: str, value: object) -> int:
    """Return ns UTC above 0; Missing for anything else."""
    if type(value) is not int or value <= 0:
        raise Missing(f"{name} is not known")
    return value
