"""`workbench gex CHAIN`: gamma, vanna and charm exposure of a chain in a file, with every assumption printed beside the numbers.

The functions turn an exposure into lines or into a JSON document; the command only wires them.

Floor 9.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.chain_file import (
    MAX_AGE_S,
    AsOf,
    ChainFile,
    Clock,
    Expiry,
    MaxAge,
    Rate,
    Root,
    Spot,
    Underlying,
    Yield,
    number,
    open_chain,
)
from workbench.errors import ConfigError, RecordError, choices

if TYPE_CHECKING:
    from workbench.options.exposure import Convention, Exposure
    from workbench.options.exposure_chain import ChainExposure

STRIKES_SHOWN = 12  # on either side of the spot
BAR_WIDTH = 24


def gex(
    chain: ChainFile,
    spot: Spot = None,
    asof: AsOf = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
    unit: Annotated[str, typer.Option("--unit", help="pct: USD per 1 % move; point: USD per point; shares: shares per point.")] = "pct",
    sign: Annotated[str, typer.Option("--sign", help="Who holds what, an assumption: calls-long, all-long or all-short.")] = "calls-long",
    basis: Annotated[str, typer.Option("--basis", help="What counts as open: oi, volume or oi+volume.")] = "oi",
    sticky: Annotated[
        str, typer.Option("--sticky", help="What volatility belongs to when the spot moves: strike or moneyness.")
    ] = "strike",
    charm_days: Annotated[str, typer.Option("--charm-days", help="365: charm per calendar day; 252: per trading day.")] = "365",
    strikes: Annotated[int, typer.Option("--strikes", min=1, help="Strikes shown on either side of the spot.")] = STRIKES_SHOWN,
    underlying: Underlying = None,
    expiry: Expiry = None,
    root: Root = None,
    clock: Clock = "cal365",
    rate: Rate = "0",
    dividend_yield: Yield = "0",
    max_age: MaxAge = f"{MAX_AGE_S:g}",
) -> None:
    """Say where dealers' hedging would dampen or amplify moves: gamma exposure by strike and expiry, walls, and the zero-gamma flip.

    Whose gamma it is nobody publishes: the sign is an assumption, printed with the numbers. Every contract is priced again at each
    spot to find the flip. What can't be computed is counted and left out.
    """
    from workbench.options.exposure_chain import chain_exposure

    convention = _convention(unit, sign, basis, sticky, charm_days)
    priced = open_chain(
        chain, spot=spot, asof=asof, underlying=underlying, expiry=expiry, root=root, clock=clock,
        rate=rate, dividend_yield=dividend_yield, max_age=max_age,
    )  # fmt: skip
    try:
        got = chain_exposure(priced, convention, max_spot_age_s=number("max-age", max_age, above=0.0))
    except RecordError as error:
        raise ConfigError(f"{error} (--spot)") from error
    if as_json:
        typer.echo(json.dumps(as_document(got), indent=2, allow_nan=False))
    else:
        for line in as_lines(got, strikes):
            typer.echo(line)


def _convention(unit: str, sign: str, basis: str, sticky: str, charm_days: str) -> Convention:
    from workbench.options.exposure import Convention

    if charm_days not in ("365", "252"):
        raise ConfigError(f"charm-days: received {choices(charm_days, ('365', '252'))}")
    try:
        return Convention.parse(unit=unit, sign=sign, basis=basis, stickiness=sticky, charm_days=int(charm_days))
    except RecordError as error:
        raise ConfigError(str(error).replace("stickiness:", "sticky:")) from error


# -- as a JSON document ---------------------------------------------------------------------------------------------------------


def as_document(got: ChainExposure) -> dict[str, Any]:
    """Return an exposure as what JSON can hold; a number that is not known is null."""
    from workbench.options.exposure import STRIKE_DTYPE
    from workbench.sessions import to_ny

    chain, total = got.priced.chain, got.total
    names = [name for name in STRIKE_DTYPE.names or () if name != "n_missing"]
    document = {
        "underlying": chain.underlying,
        "source": chain.source,
        "asof": to_ny(chain.asof_ns).isoformat(),
        "asof_ns": chain.asof_ns,
        "spot": total.spot,
        "spot_ts_ns": chain.spot_ts_ns or None,
        "clock": got.priced.clock.value,
        "convention": _convention_document(total.convention),
        **_summary(total),
        "n_contracts": len(chain),
        "n_priced": int((total.contracts.status == 0).sum()),
        "covered_frac": total.covered_frac,
        "by_status": {status.name.lower(): n for status, n in total.n_by_status.items()},
        "strikes": [
            {**{name: float(row[name]) for name in names}, "n_missing": int(row["n_missing"])} for row in total.strikes
        ],
        "expiries": [_expiry_document(got, i) for i in range(len(got.expiries))],
        "profile": {"spots": total.profile.spots.tolist(), "net_gex": total.profile.net.tolist()},
        "notes": [*got.priced.notes, *total.notes],
    }  # fmt: skip
    plain: dict[str, Any] = _known(document)
    return plain


def _convention_document(convention: Convention) -> dict[str, Any]:
    return {
        "unit": convention.unit.value,
        "sign": convention.sign.value,
        "basis": convention.basis.value,
        "sticky": convention.stickiness.value,
        "charm_days": convention.charm_days,
        "assumptions": list(convention.text),
    }


def _summary(e: Exposure) -> dict[str, Any]:
    """Return totals and levels, the same for all expiries and for one."""
    levels = e.levels
    return {
        "net_gex": e.net_gex,
        "call_gex": e.call_gex,
        "put_gex": e.put_gex,
        "vex": e.vex,
        "cex": e.cex,
        "regime": regime(e),
        "flip": e.flip,
        "flips": list(e.profile.flips),
        "no_flip_because": e.profile.reason or None,
        "call_wall": levels.call_wall,
        "put_wall": levels.put_wall,
        "absolute_wall": levels.absolute_wall,
        "magnet": levels.magnet,
        "strike_flip": levels.strike_flip,
        "cum_flip": levels.cum_flip,
    }


def _expiry_document(got: ChainExposure, index: int) -> dict[str, Any]:
    expiry, e = got.expiries[index], got.of(index)
    head = {"expiry": expiry.date.isoformat(), "root": expiry.root, "dte": expiry.dte, "years": expiry.years}
    return {**head, **_summary(e), "n_contracts": len(e.contracts.status), "n_priced": int((e.contracts.status == 0).sum())}


def regime(e: Exposure) -> str | None:
    """Return whether dealers are long or short gamma at the spot, under the convention's sign; None when it is neither or not known."""
    return {1: "long", -1: "short"}.get(e.profile.regime)


def _known(value: Any) -> Any:
    """Return the value with every number that is none as None."""
    if isinstance(value, dict):
        return {name: _known(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_known(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- as lines for a person --------------------------------------------------------------------------------------------------------


def as_lines(got: ChainExposure, n_strikes: int = STRIKES_SHOWN) -> list[str]:
    """Return an exposure as lines for a person: totals, levels, strikes around the spot, expiries, assumptions, what is missing."""
    from workbench.sessions import to_ny

    chain, total = got.priced.chain, got.total
    covered = "" if math.isnan(total.covered_frac) else f", {total.covered_frac:.1%} of what is open"
    n_priced = int((total.contracts.status == 0).sum())
    return [
        f"{chain.underlying} {total.spot:,.2f} at {to_ny(chain.asof_ns):%Y-%m-%d %H:%M:%S} New York, from {chain.source}",
        f"{len(chain):,} contracts of {len(got.expiries):,} expiries; {n_priced:,} are in the sums{covered}",
        "",
        *_totals(total),
        "",
        *_strike_table(total, n_strikes),
        "",
        *_expiry_table(got),
        "",
        *(f"assumed  {sentence}" for sentence in total.convention.text),
        f"assumed  time: clock {got.priced.clock.value}",
        *(f"note     {sentence}" for sentence in (*got.priced.notes, *total.notes)),
    ]


def _totals(e: Exposure) -> list[str]:
    unit = e.convention.unit_text
    held = {"long": "dealers long gamma, hedging dampens moves", "short": "dealers short gamma, hedging amplifies moves"}
    levels = e.levels
    others = ", ".join(price(flip) for flip in e.profile.flips if flip != e.flip)
    how = e.profile.reason or f"by pricing again{'; also ' if others else ''}{others}"
    walls = (
        ("call wall", levels.call_wall),
        ("put wall", levels.put_wall),
        ("absolute wall", levels.absolute_wall),
        ("magnet", levels.magnet),
    )
    return [
        f"net gamma     {short(e.net_gex):>10} {unit} (calls {short(e.call_gex)}, puts {short(e.put_gex)})",
        f"regime        {held.get(regime(e) or '', 'neither long nor short, or not known')}",
        f"zero gamma    {price(e.flip):>10} {how}",
        f"levels        {', '.join(f'{name} {price(level)}' for name, level in walls)}",
        f"not the flip  {price(levels.strike_flip):>10} where strikes change sign, {price(levels.cum_flip)} where they add up to 0",
        f"vanna         {short(e.vex):>10} USD of delta per volatility point",
        f"charm         {short(e.cex):>10} USD of delta per {'calendar' if e.convention.charm_days == 365 else 'trading'} day",
    ]


def _strike_table(e: Exposure, n: int) -> list[str]:
    """Return the strikes around the spot, the highest first, with a bar of the net and what stands out."""
    table = e.strikes
    middle = int((table["strike"] < e.spot).sum())
    shown = table[max(middle - n, 0) : middle + n]
    top = max((abs(float(v)) for v in shown["net_gex"] if not math.isnan(v)), default=0.0)
    names = (("call wall", e.levels.call_wall), ("put wall", e.levels.put_wall), ("magnet", e.levels.magnet))
    lines = [f"{'strike':>10} {'calls':>10} {'puts':>10} {'net':>10} {'vanna':>10} {'charm':>10}"]
    for row in shown[::-1]:
        net = float(row["net_gex"])
        size = 0 if not top or math.isnan(net) else round(abs(net) / top * BAR_WIDTH)
        bar = ("+" if net > 0 else "-") * size
        marks = " ".join(name for name, level in names if level == float(row["strike"]))
        cells = " ".join(f"{short(float(row[name])):>10}" for name in ("call_gex", "put_gex", "net_gex", "vex", "cex"))
        lines.append(f"{price(float(row['strike'])):>10} {cells}  {bar}{' ' if bar and marks else ''}{marks}".rstrip())
    below = int((shown["strike"] < e.spot).sum())
    lines.insert(len(lines) - below, f"{price(e.spot):>10} {'spot':->54}")
    return lines


def _expiry_table(got: ChainExposure) -> list[str]:
    names = " ".join(f"{name:>10}" for name in ("net", "calls", "puts", "zero gamma", "call wall", "put wall"))
    lines = [f"{'expiry':<10} {'root':<6} {'DTE':>4} {names}"]
    for i, expiry in enumerate(got.expiries):
        e = got.of(i)
        cells = " ".join(f"{short(value):>10}" for value in (e.net_gex, e.call_gex, e.put_gex))
        levels = " ".join(f"{price(value):>10}" for value in (e.flip, e.levels.call_wall, e.levels.put_wall))
        lines.append(f"{expiry.date} {expiry.root:<6} {expiry.dte:>4} {cells} {levels}")
    return lines


def short(value: float) -> str:
    """Return an amount with its sign in bn, mm or k; a dash when it is not known."""
    if math.isnan(value):
        return "-"
    for size, name in ((1e9, "bn"), (1e6, "mm"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:+,.2f} {name}"
    return f"{value:+.0f}" if value else "0"


def price(value: float | None) -> str:
    """Return a price with as many decimals as it needs, at most two; 'none' when there is none."""
    if value is None:
        return "none"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"
