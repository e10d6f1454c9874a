"""Time stamps of files, however written, as int64 ns UTC; stamps that could mean two instants are refused.

Whole numbers are an epoch whose unit is told by magnitude (seconds, ms, µs, ns of 1990-2100 do not overlap). Text has to carry an
offset. Stamps without one are refused unless a zone is given; local times that a clock change makes ambiguous or impossible
become `NO_TIME` and are counted.

Floor 1: numpy; pyarrow and pandas inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from workbench.errors import TimestampError, choices

NO_TIME = np.iinfo(np.int64).min
UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
FIRST_NS = 631_152_000 * UNITS["s"]  # 1990-01-01
LAST_NS = 4_102_444_800 * UNITS["s"]  # 2100-01-01

_OFFSET = r"(\d:\d\d|T\d{4}).*(Z|z|[+-]\d\d(:?\d\d)?)$"
_DATE_ONLY = r"^\d{4}-?\d\d-?\d\d$"
_EXAMPLES = "ISO-8601 with offset (2026-01-22T09:30:00-05:00), or whole seconds, ms, µs or ns since 1970 UTC"


@dataclass
class Stamps:
    """Parsed stamps: `ts` int64 ns UTC with NO_TIME where unreadable; sentences on what was assumed; reason -> rows refused."""

    ts: np.ndarray
    assumptions: list[str] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    is_date_only: bool = False


def parse_stamps(column: Any, *, name: str, where: str, tz: str | None = None, unit: str | None = None) -> Stamps:
    """Return the stamps of a pyarrow column (numbers, text, timestamps or dates).

    `tz` is the zone of stamps that carry none, `unit` the unit of numbers ('s', 'ms', 'us', 'ns'), `where` names the file in
    messages. TimestampError when most stamps are naive, unreadable or outside 1990-2100.
    """
    import pyarrow as pa

    _check_zone(tz)
    if unit is not None and unit not in UNITS:
        raise TimestampError(f"{where}: unit: received {choices(unit, UNITS)}")
    kind = column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if text:
        column, kind = _text_as_numbers(column, kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        stamps = _from_numbers(column, name, where, unit)
    elif pa.types.is_timestamp(kind):
        stamps = _from_timestamps(column, kind, name, where, tz)
    elif pa.types.is_date(kind):
        stamps = _from_dates(column)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        stamps = _from_text(column, name, where, tz)
    else:
        raise TimestampError(f"{where}: column {name!r}: received values of type {kind}; allowed: {_EXAMPLES}")
    return _in_range(stamps, name, where)


def _check_zone(tz: str | None) -> None:
    if tz is None:
        return
    try:
        ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise TimestampError(f"tz: received {choices(tz, ('America/New_York', 'UTC', 'America/Chicago'))}, … (any IANA zone)") from None


def _text_as_numbers(column: Any, kind: Any) -> tuple[Any, Any]:
    """Return the column as numbers when (nearly) all of it is digits, else unchanged. Eight digits are a date (20240102)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = column.drop_null()
    digits = pc.match_substring_regex(filled, r"^\s*\d{9,19}(\.\d+)?\s*$")
    n = pc.sum(digits).as_py() or 0
    if n <= len(filled) // 2:
        return column, kind
    clean = pc.if_else(pc.match_substring_regex(column, r"^\s*\d{9,19}(\.\d+)?\s*$"), pc.utf8_trim_whitespace(column), None)
    whole = not pc.any(pc.match_substring(clean, ".")).as_py()
    numbers = clean.cast(pa.int64() if whole else pa.float64())
    return numbers, numbers.type


def _from_numbers(column: Any, name: str, where: str, unit: str | None) -> Stamps:
    import pyarrow as pa

    is_null = np.asarray(column.is_null())
    if pa.types.is_integer(column.type):
        values = column.fill_null(0).to_numpy().astype(np.int64)
    else:
        values = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
        is_null |= ~np.isfinite(values)
    known = values[~is_null]
    if not len(known):
        return Stamps(np.full(len(values), NO_TIME))
    found = unit or _unit_of(float(np.median(known)))
    if found is None:
        raise TimestampError(f"{where}: column {name!r}: received numbers like {known[0]}; allowed: {_EXAMPLES}, from 1990 to 2100")
    ts = np.full(len(values), NO_TIME)
    ts[~is_null] = _scaled(known, UNITS[found])
    words = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
    source = "as given" if unit else "told by magnitude"
    return Stamps(ts, [f"time: column {name!r} read as {words[found]} since 1970 UTC ({source})"])


def _scaled(values: np.ndarray, factor: int) -> np.ndarray:
    """Return values times factor as int64; what would overflow is NO_TIME. Fractions are kept to the µs that a float carries."""
    limit = LAST_NS // factor
    inside = (values >= 0) & (values <= limit)
    out = np.full(len(values), NO_TIME)
    good = values[inside]
    if good.dtype.kind == "i":
        out[inside] = good * factor
    else:
        out[inside] = np.round(good * (factor / 1000)).astype(np.int64) * 1000 if factor >= 1000 else good.astype(np.int64) * factor
    return out


def _unit_of(value: float) -> str | None:
    return next((unit for unit, factor in UNITS.items() if FIRST_NS <= value * factor < LAST_NS), None)


def _from_timestamps(column: Any, kind: Any, name: str, where: str, tz: str | None) -> Stamps:
    import pyarrow as pa

    is_null = np.asarray(column.is_null())
    try:
        ts = column.cast(pa.timestamp("ns", tz=kind.tz)).cast(pa.int64()).fill_null(NO_TIME).to_numpy()
    except pa.ArrowInvalid as error:
        raise TimestampError(f"{where}: column {name!r}: received a time out of range ({error}); allowed: 1990 to 2100") from None
    ts = ts.copy()
    ts[is_null] = NO_TIME
    if kind.tz is not None:
        return Stamps(ts)
    if tz is None:
        raise _naive(name, where, str(ts[~is_null][:1].astype("datetime64[ns]")[0]) if (~is_null).any() else "")
    return _localised(ts.astype("datetime64[ns]"), is_null, tz, name)


def _naive(name: str, where: str, example: str) -> TimestampError:
    return TimestampError(
        f"{where}: column {name!r}: received {example!r}, a time without zone or offset; allowed: {_EXAMPLES} "
        "(or say whose time it is: tz America/New_York, tz UTC)"
    )


def _localised(naive: np.ndarray, is_null: np.ndarray, tz: str, name: str) -> Stamps:
    import pandas as pd

    local = pd.DatetimeIndex(np.where(is_null, np.datetime64("NaT"), naive)).tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
    bad = np.asarray(local.isna())
    ts = local.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    ts[bad] = NO_TIME
    stamps = Stamps(ts, [f"time: stamps in column {name!r} carry no zone and were read as {tz}, as given"])
    n = int((bad & ~is_null).sum())
    if n:
        stamps.rejected["local time ambiguous or impossible at a clock change"] = n
    return stamps


def _from_dates(column: Any) -> Stamps:
    import pyarrow as pa

    days = column.cast(pa.date32()).cast(pa.int32()).fill_null(0).to_numpy().astype(np.int64)
    ts = days * 86_400 * UNITS["s"]
    ts[np.asarray(column.is_null())] = NO_TIME
    return Stamps(ts, is_date_only=True)


def _from_text(column: Any, name: str, where: str, tz: str | None) -> Stamps:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.utf8_trim_whitespace(column)
    filled = column.filter(pc.not_equal(column, "").fill_null(fill_value=False))
    if not len(filled):
        raise TimestampError(f"{where}: column {name!r}: received no time at all; allowed: {_EXAMPLES}")
    has_offset = pc.match_substring_regex(column, _OFFSET).fill_null(fill_value=False)
    n_offset = pc.sum(has_offset).as_py() or 0
    if n_offset == 0 and pc.all(pc.match_substring_regex(filled, _DATE_ONLY)).as_py():
        return _from_dates(_quiet(lambda c: pc.strptime(pc.replace_substring(c, "-", ""), "%Y%m%d", "s").cast(pa.date32()), column))
    if n_offset * 2 > len(filled):
        return _with_offset(column, has_offset, n_offset == len(column))
    parsed, is_null = _text_as_naive(column)
    if is_null.mean() > 0.5:
        raise TimestampError(f"{where}: column {name!r}: received {filled[0].as_py()!r}; allowed: {_EXAMPLES}")
    if tz is None:
        raise _naive(name, where, str(filled[0].as_py()))
    stamps = _localised(parsed, is_null, tz, name)
    _count_unreadable(stamps, is_null)
    return stamps


def _quiet(convert: Callable[[Any], Any], column: Any) -> Any:
    import pyarrow as pa

    try:
        return convert(column)
    except pa.ArrowInvalid:
        return pa.chunked_array([pa.nulls(len(column), pa.date32())])


def _with_offset(column: Any, has_offset: Any, all_have: bool) -> Stamps:
    """Return stamps that carry their offset. The fast cast first; row by row only when some row defeats it."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    target = pa.timestamp("ns", tz="UTC")
    kept = column if all_have else pc.if_else(has_offset, column, None)
    try:
        ts = kept.cast(target).cast(pa.int64()).fill_null(NO_TIME).to_numpy().copy()
    except pa.ArrowInvalid:
        moments = pd.to_datetime(kept.to_pandas(), utc=True, errors="coerce", format="ISO8601")
        ts = moments.dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
        ts[np.asarray(moments.isna())] = NO_TIME
    stamps = Stamps(ts)
    naive = ~np.asarray(has_offset)
    stamps.ts[naive] = NO_TIME
    if naive.any():
        stamps.rejected["time without zone or unreadable"] = int(naive.sum())
    _count_unreadable(stamps, (stamps.ts == NO_TIME) & ~naive)
    return stamps


def _text_as_naive(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the text as local datetime64[ns], and which rows could not be read."""
    import pandas as pd
    import pyarrow as pa

    try:
        moments = (
            column.cast(pa.timestamp("ns")).to_numpy(zero_copy_only=False)
            if isinstance(column, pa.Array)
            else column.cast(pa.timestamp("ns")).to_numpy()
        )
    except pa.ArrowInvalid:
        text = column.to_pandas()
        try:
            parsed = pd.to_datetime(text, errors="coerce", format="mixed")
        except ValueError:  # some carry a zone and some do not
            parsed = text
        if str(parsed.dtype).startswith("datetime64") and parsed.dt.tz is None:
            moments = parsed.to_numpy()
        else:  # only what carries no zone can be read as local time
            moments = np.array([_naive_moment(one) for one in text], "datetime64[ns]")
    values = np.asarray(moments, "datetime64[ns]")
    return values, np.isnat(values)


def _naive_moment(text: str | None) -> np.datetime64:
    """Return one local time; NaT for what can't be read or carries a zone of its own."""
    import pandas as pd

    try:
        moment = pd.Timestamp(text) if text is not None else pd.NaT
    except (ValueError, OverflowError):
        return np.datetime64("NaT")
    return np.datetime64("NaT") if moment is pd.NaT or moment.tz is not None else moment.as_unit("ns").to_datetime64()


def _count_unreadable(stamps: Stamps, bad: np.ndarray) -> None:
    if bad.any():
        stamps.rejected["time unreadable"] = stamps.rejected.get("time unreadable", 0) + int(bad.sum())


def _in_range(stamps: Stamps, name: str, where: str) -> Stamps:
    """Refuse instants outside 1990-2100: a few are counted, many mean that the column or its unit is wrong."""
    known = stamps.ts != NO_TIME
    outside = known & ((stamps.ts < FIRST_NS) | (stamps.ts >= LAST_NS))
    n_bad = int(outside.sum() + (~known).sum())
    if len(stamps.ts) and n_bad * 2 > len(stamps.ts):
        raise TimestampError(
            f"{where}: column {name!r}: {n_bad:,} of {len(stamps.ts):,} stamps can't be read; allowed: {_EXAMPLES}, from 1990 to 2100"
        )
    if outside.any():
        stamps.ts[outside] = NO_TIME
        stamps.rejected["time outside 1990-2100"] = int(outside.sum())
    rest = int((~known).sum()) - sum(n for reason, n in stamps.rejected.items() if reason != "time outside 1990-2100")
    if rest > 0:
        stamps.rejected["time missing or unreadable"] = rest
    return stamps
