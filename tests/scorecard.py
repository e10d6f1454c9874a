"""What has to be proved by number, how often in every run and how often in a full one, and the table that says how it went.

A test that proves a row is marked `@pytest.mark.soak("row")` and asks `count("row")` how many cases to run. A test that is
itself one case counts as one; a test that runs many says so with the fixture `cases`. The table at the end of a run names
every row: one that failed shows its seeds, one that did not run is red. The full counts:

    SOAK=1 .venv/bin/python .ci/test.py -m soak -s
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

IS_FULL = os.environ.get("SOAK", "") not in ("", "0")


@dataclass(frozen=True)
class Row:
    """One thing to prove: `small` cases in every run, `full` before a release."""

    name: str
    what: str
    small: int
    full: int


ROWS = (
    Row("feed-polygon", "seeded feed schedules, polygon's real client, stocks and options: final bars equal the truth", 60, 500),
    Row("feed-massive", "the same through its successor's client", 10, 100),
    Row("feed-alpaca", "the same through Alpaca's real client", 20, 400),
    Row("bar-algebra", "random tapes: roll-up, merge order, replay in parts, high and low", 200, 10_000),
    Row("resume", "random cut and resume points of the stream, hub restarts and overruns: no bar twice, none missing, or one reset", 150, 10_000),
    Row("stalled-readers", "seconds that 50 stalled readers hang on the stream: memory + 20 MB at most, others as quick", 5, 600),
    Row("kill", "SIGKILLs of hub and recorder: ready in 10 s, recorded = accepted", 6, 200),
    Row("torn", "recorder's files cut at a random byte: what is whole is kept, nothing doubled", 50, 200),
    Row("session-60x", "market minutes at 60x, 20 symbols, 4 Panel processes and a recorder: nothing grows", 10, 390),
    Row("desk-session", "market minutes in a real browser: nothing grows", 390, 390),
    Row("desk-tabs", "tabs opened and closed: nothing stays behind", 10, 200),
    Row("desk-switches", "chart switches in a real browser, compared with the hub", 40, 200),
    Row("pricing", "generated contracts against each law of option prices, readable and fast", 300, 10_000),
    Row("pricing-mpmath", "random contracts against mpmath: price, greeks, implied volatility", 1_000, 1_000_000),
    Row("exposure", "generated chains against each law of gamma exposure", 50, 10_000),
    Row("volume-profile", "generated bars against each law of volume profiles", 100, 10_000),
    Row("throttle", "random bursts of orders: never more than N in any window, wherever it begins", 300, 10_000),
    Row("risk-mutants", "places of the risk module spoiled one at a time: its tests notice each", 15, 700),
    Row("paper-books", "random days of paper accounts: cash, positions and fees after every event, orders, restart", 60, 10_000),
    Row("calendar", "years in which every minute agrees with the exchange calendar", 18, 18),
    Row("schema", "generated requests to every route: no server error, answers as documented, none over 2 s", 150, 5_000),
    Row("hostile", "hostile requests refused", 60, 60),
    Row("fuzz", "spoiled inputs to every parser: none uncaught, no price that is no number", 20_000, 1_000_000),
)  # fmt: skip
_BY_NAME = {row.name: row for row in ROWS}


def count(name: str) -> int:
    """Return how many cases of a row this run asks for."""
    row = _BY_NAME[name]
    return row.full if IS_FULL else row.small


@dataclass
class Tally:
    """How one row went. `seeds` of what failed, test names where a test is a case."""

    n: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


def table(tallies: dict[str, Tally], *, is_full: bool = IS_FULL) -> Iterable[tuple[str, bool]]:
    """Yield the lines of the table and whether each is red; unless `is_full`, rows that nobody asked for are left out."""
    yield f"{'':8}{'cases':>9} of {'wanted':<9}{'failed':>7} {'seconds':>8}  row", False
    for row in ROWS:
        if row.name not in tallies and not is_full:
            continue
        tally, wanted = tallies.get(row.name, Tally()), row.full if is_full else row.small
        state = "NOT RUN" if not tally.n else "FAILED" if tally.failed else "SHORT" if tally.n < wanted else "passed"
        seeds = f"; failed: {', '.join(tally.failed[:20])}" if tally.failed else ""
        line = f"{state:8}{tally.n:>9} of {wanted:<9}{len(tally.failed):>7} {tally.seconds:>8.1f}  {row.name}: {row.what}{seeds}"
        yield line, state != "passed"


def add(tallies: dict[str, Tally], names: Iterable[str], *, n: int, failed: Iterable[str], seconds: float) -> None:
    """Add one test's outcome to its rows; KeyError for a row that is not in the table."""
    for name in names:
        tally = tallies.setdefault(_BY_NAME[name].name, Tally())
        tally.n += n
        tally.failed += failed
        tally.seconds += seconds
