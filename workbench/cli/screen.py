"""`workbench screen covered-call`: which calls of the day to sell against shares held.

Floor 9.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.chain_file import MAX_AGE_S, AsOf, ChainFile, Clock, MaxAge, Rate, Spot, Underlying, Yield, number, open_chain
from workbench.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from workbench.options.screen import CoveredCall, CoveredCallScreen, Forecast

screen_app = typer.Typer(no_args_is_help=True, help="Screeners: contracts of a chain that fit a rule, and why the others don't.")

# heading, field, how it is shown
_COLUMNS = (
    ("strike", "strike", "{:,.2f}"), ("bid", "bid", "{:.2f}"), ("mid", "mid", "{:.3f}"), ("OI", "open_interest", "{:,.0f}"),
    ("spread", "spread_frac", "{:.1%}"), ("IV", "iv", "{:.1%}"), ("delta", "delta", "{:.3f}"), ("OTM", "otm_frac", "{:.2%}"),
    ("yield", "premium_yield", "{:.3%}"), ("breakeven", "breakeven", "{:,.2f}"), ("max profit", "max_profit", "{:,.2f}"),
    ("P(assigned)", "p_assigned", "{:.1%}"), ("POP", "pop", "{:.1%}"), ("EV", "ev", "{:+.4f}"),
)  # fmt: skip
_UNITS = {
    "prices and profits": "USD per share; one contract is 100",
    "premium_yield, otm_frac, spread_frac": "fraction: of spot, of spot, of mid",
    "p_assigned, p_keep, pop": "risk-neutral chance, 0-1",
    "iv": "per √year of the clock, 0.2 = 20 %",
    "legacy_score": "0-100, no probability",
}


@screen_app.command("covered-call")
def covered_call(
    file: ChainFile,
    spot: Spot = None,
    asof: AsOf = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Show in the table the calls that failed too, with their reasons.")] = False,
    underlying: Underlying = None,
    clock: Clock = "cal365",
    rate: Rate = "0",
    dividend_yield: Yield = "0",
    max_age: MaxAge = str(MAX_AGE_S),
    rule: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A rule, as max_delta=0.3; repeat for more.")] = None,
    forecast_vol: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Forecast volatility per √year, 0.18 is 18 %; moves EV.")
    ] = None,
    forecast_by: Annotated[str, typer.Option(help="Who or what forecasts, as 'HAR-RV'.")] = "the command line",
    forecast_error: Annotated[str | None, typer.Option(metavar="NUMBER", help="Standard error of the forecast.")] = None,
    ex_dividend: Annotated[
        list[str] | None, typer.Option(metavar="DATE", help="Ex-dividend date of the underlying, or none; repeat for more.")
    ] = None,
) -> None:
    """Screen the calls that expire today for covered calls: figures of stock and call together, and a funnel of the filters."""
    from workbench.options.screen import screen_covered_calls

    try:
        asked = _rules(rule or [])
        stated = _forecast(forecast_vol, forecast_by, forecast_error)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    priced = open_chain(
        file, spot=spot, asof=asof, underlying=underlying, clock=clock, rate=rate, dividend_yield=dividend_yield, max_age=max_age
    )
    found = screen_covered_calls(
        priced,
        asked,
        forecast=stated,
        ex_dividends=None if ex_dividend is None else _dates(ex_dividend),
        max_spot_age_s=number("max-age", max_age),
    )
    if not math.isfinite(found.spot):
        raise ConfigError(
            f"{file.name}: the price of the underlying is not in the file, nor implied by it; next: give it, as --spot 600.25"
        )
    typer.echo(json.dumps(as_document(found), indent=2, allow_nan=False) if as_json else "\n".join(as_table(found, show_all=show_all)))


@screen_app.command("rules")
def rules_command() -> None:
    """Print every rule of the covered-call screener with its default, its unit and what it means."""
    from workbench.options.screen import CoveredCallRules

    for each in dataclasses.fields(CoveredCallRules):
        typer.echo(f"{each.name + '=' + str(each.default):<30} {each.metadata['unit']:<10} {each.metadata['help']}")


def _rules(texts: Iterable[str]) -> Any:
    """Return the rules with what was given changed; RecordError or ConfigError for an unknown name or a value out of range."""
    from workbench.errors import choices
    from workbench.options.screen import CoveredCallRules

    knobs = {each.name: each for each in dataclasses.fields(CoveredCallRules)}
    chosen: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or name not in knobs:
            raise ConfigError(f"rule: received {choices(name if equals else text, knobs)} (as max_delta=0.3)")
        default = knobs[name].default
        chosen[name] = value.strip() if isinstance(default, str) else number(name, value)
    return CoveredCallRules(**chosen)


def _dates(texts: Iterable[str]) -> list[date]:
    """Return the dates given; 'none' says that somebody looked, and there is none."""
    try:
        return [date.fromisoformat(text) for text in texts if text != "none"]
    except ValueError:
        raise ConfigError(f"ex-dividend: received {', '.join(texts)!r}; allowed: dates as 2026-03-20, or none") from None


def _forecast(vol: str | None, by: str, error: str | None) -> Forecast | None:
    from workbench.options.screen import Forecast

    if vol is None:
        if error is not None:
            raise ConfigError("forecast-error: received without a forecast; next: give --forecast-vol too")
        return None
    return Forecast(number("forecast-vol", vol), by, None if error is None else number("forecast-error", error))


# -- what is printed ----------------------------------------------------------------------------------------------------------------


def as_document(found: CoveredCallScreen) -> dict[str, Any]:
    """Return a screen as what JSON can hold: what is not known is null."""
    from workbench.sessions import to_ny

    return {
        "screen": "covered-call",
        "underlying": found.underlying,
        "spot": _plain(found.spot),
        "asof": to_ny(found.asof_ns).isoformat(),
        "asof_ns": found.asof_ns,
        "clock": found.clock,
        "units": _UNITS,
        "rules": _plain(dataclasses.asdict(found.rules)),
        "forecast": None if found.forecast is None else _plain(dataclasses.asdict(found.forecast)),
        "passed": len(found.passed),
        "funnel": [dataclasses.asdict(step) for step in found.funnel],
        "rows": [_plain(dataclasses.asdict(row)) for row in found.rows],
        "notes": list(found.notes),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_table(found: CoveredCallScreen, *, show_all: bool = False) -> list[str]:
    """Return a screen as lines for a person: the calls that passed, the funnel, and what has to be known."""
    from workbench.options.filters import funnel_text
    from workbench.sessions import to_ny

    head = f"{found.underlying} {found.spot:,.2f} at {to_ny(found.asof_ns):%Y-%m-%d %H:%M:%S} New York, {found.clock}"
    shown = found.rows if show_all else found.passed
    lines = [f"covered calls of the day: {head}: {len(found.passed):,} of {len(found.rows):,} pass", ""]
    lines += [*_grid(shown), ""] if shown else []
    lines += ["USD per share; breakeven, profit and POP are those of stock and call together", ""] if shown else []
    lines += ["filter                came ->    left", *funnel_text(found.funnel), ""]
    return [*lines, *(f"note: {note}" for note in found.notes)]


def _grid(rows: Iterable[CoveredCall]) -> list[str]:
    cells = [[heading for heading, _, _ in _COLUMNS]]
    tails = [""]
    for row in rows:
        cells.append([_cell(getattr(row, name), show) for _, name, show in _COLUMNS])
        tails.append("; ".join([*(["pin risk"] if row.is_pin_risk else []), *row.reasons]))
    widths = [max(len(line[k]) for line in cells) for k in range(len(_COLUMNS))]
    padded = ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in cells]
    return [f"{line}  {tail}".rstrip() for line, tail in zip(padded, tails, strict=True)]


def _cell(value: float, show: str) -> str:
    return show.format(value) if math.isfinite(value) else "-"
