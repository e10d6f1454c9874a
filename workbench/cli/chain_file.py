"""What the commands on chains share: a file of options and the options of the command into a priced chain, one sentence when it can't be.

What another option mends is a ConfigError, because the command has to be given otherwise: exit code 2. What is wrong with the file
itself is a FileError: exit code 1.

Floor 9.
"""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import CalendarError, ConfigError, FileError, ReadingError, RecordError, SymbolError

if TYPE_CHECKING:
    from workbench.options.chain import Chain
    from workbench.options.priced import PricedChain

MAX_AGE_S = 900.0  # a chain in a file is one moment; delayed feeds are a quarter of an hour behind
TIMES = "ISO-8601 (2026-03-20T15:30:00-04:00; without an offset New York's time) or integer ns UTC"

ChainFile = Annotated[
    Path, typer.Argument(metavar="CHAIN", help="A chain: .csv, .csv.gz or .parquet; Cboe's quote files load as they are.")
]
Spot = Annotated[str | None, typer.Option("--spot", metavar="USD", help="Price of the underlying (default: the file's).")]
AsOf = Annotated[str | None, typer.Option("--asof", metavar="TIME", help=f"Moment of the chain (default: the file's): {TIMES}.")]
Underlying = Annotated[str | None, typer.Option("--underlying", help="Which one, where the file holds several.")]
Expiry = Annotated[str | None, typer.Option("--expiry", metavar="DATE", help="One expiry date only, e.g. 2026-03-20.")]
Root = Annotated[str | None, typer.Option("--root", help="One root of that date only, e.g. SPXW.")]
Clock = Annotated[str, typer.Option("--clock", help="What counts as time: cal365, trd252 or hybrid.")]
Rate = Annotated[str, typer.Option("--rate", metavar="NUMBER", help="Continuous interest rate per year, 0.05 is 5 %.")]
Yield = Annotated[
    str, typer.Option("--dividend-yield", metavar="NUMBER", help="Continuous, per year; quotes that tell the forward overrule it.")
]
MaxAge = Annotated[str, typer.Option("--max-age", metavar="SECONDS", help="Quotes and spots older than that are stale.")]


def open_chain(
    path: Path,
    *,
    spot: str | None,
    asof: str | None,
    underlying: str | None = None,
    expiry: str | None = None,
    root: str | None = None,
    clock: str = "cal365",
    rate: str = "0",
    dividend_yield: str = "0",
    max_age: str = str(MAX_AGE_S),
) -> PricedChain:
    """Return the chain of a file, priced by the command's options; ConfigError names an option that is wrong, FileError a file."""
    from workbench.options.clocks import TimeClock
    from workbench.options.priced import price_chain
    from workbench.options.quotes import QuoteLimits
    from workbench.options.rates import RateCurve
    from workbench.sessions import SessionCalendar

    age_s = number("max-age", max_age, above=0.0)
    curve, shares = RateCurve.constant(number("rate", rate, within=1.0)), number("dividend-yield", dividend_yield, within=1.0)
    moment, usd = None if asof is None else asof_ns(asof), None if spot is None else number("spot", spot, above=0.0)
    try:
        chain = _read(path, underlying, usd, moment, expiry, root)
        return price_chain(
            chain,
            clock=TimeClock.parse(clock),
            rates=curve,
            calendar=SessionCalendar.xnys(),
            dividend_yield=shares,
            limits=QuoteLimits(max_age_s=age_s),
            max_spot_age_s=age_s,
        )
    except (ReadingError, RecordError, CalendarError, SymbolError) as error:
        raise ConfigError(str(error)) from error


def _read(path: Path, underlying: str | None, spot: float | None, moment: int | None, expiry: str | None, root: str | None) -> Chain:
    from workbench.history.chains import read_chain
    from workbench.sessions import SessionCalendar

    if not path.exists():
        raise FileError(f"{path}: no such file")
    if root is not None and expiry is None:
        raise ConfigError(f"root: received {root!r} without an expiry; next: add --expiry DATE")
    chain = read_chain(path, calendar=SessionCalendar.xnys(), underlying=underlying, spot=spot, asof_ns=moment)
    return chain if expiry is None else chain.of(_day(expiry), root)


def asof_ns(text: str) -> int:
    """Return a moment as ns UTC: an integer, or ISO-8601; without an offset it is New York's wall clock."""
    from workbench.sessions import NY_TZ, to_ns

    digits = text.strip()
    if digits.isdecimal() and len(digits) >= 18:
        return int(digits)
    try:
        moment = datetime.fromisoformat(digits)
    except ValueError:
        raise ConfigError(f"asof: received {text!r}; allowed: {TIMES}") from None
    if ":" not in digits:
        raise ConfigError(f"asof: received {text!r} without a time; allowed: {TIMES}")
    return to_ns(moment if moment.tzinfo is not None else moment.replace(tzinfo=NY_TZ))


def number(name: str, text: str, *, above: float = -math.inf, within: float = math.inf) -> float:
    """Return an option's number, more than `above` and at most `within` from 0; ConfigError names the option."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and value > above and abs(value) <= within:
        return value
    kind = f"a number from {-within:g} to {within:g}" if within < math.inf else "a number"
    raise ConfigError(f"{name}: received {text!r}; allowed: {kind}{f' above {above:g}' if above > -math.inf else ''}")


def _day(text: str) -> str:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat()
    except ValueError:
        raise ConfigError(f"expiry: received {text!r}; allowed: a date, as 2026-03-20") from None
