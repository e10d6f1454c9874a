"""Limit sets: what they refuse to be, what loosens, and from when a change holds."""

from dataclasses import FrozenInstanceError, replace
from datetime import date
from decimal import Decimal

import pytest

from tests.risk.world import D, limits
from workbench.errors import ConfigError
from workbench.risk.limits import LIMITS, Change, LimitSet, changes, in_force, next_trading_day_ns, revised
from workbench.sessions import SessionCalendar, ny_ns

FRIDAY = ny_ns(date(2026, 11, 20), 11)
MONDAY_4AM = ny_ns(date(2026, 11, 23), 4)
NEXT_WEEK = ny_ns(date(2026, 11, 30), 4)
BASE = LimitSet(name="desk", effective_ns=1, max_contracts=D(10), vix_min=D(12), quote_age_s=D(5))


@pytest.fixture(scope="module")
def calendar():
    return SessionCalendar.xnys()


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("bad", [Decimal("NaN"), Decimal("Infinity"), Decimal("-0.01"), Decimal(1000000000000001), 5, 5.0, "5"])
def test_a_limit_that_is_no_limit_refuses_to_exist(name, bad):
    with pytest.raises(ConfigError, match=f"LimitSet.{name}: received .*; allowed: None, or a Decimal from 0 to 1000000000000000"):
        replace(BASE, **{name: bad})


def test_the_ends_of_what_is_allowed():
    for value in ("0", "1000000000000000"):
        assert replace(BASE, max_loss_usd=D(value)).max_loss_usd == D(value)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"name": " "}, "LimitSet.name: received ' '"),
        ({"name": None}, "LimitSet.name: received None"),
        ({"effective_ns": 0}, "LimitSet.effective_ns: received 0"),
        ({"effective_ns": 1.0}, "LimitSet.effective_ns: received 1.0"),
        ({"expires_ns": 1}, "LimitSet.expires_ns: received 1;"),
        ({"expires_ns": 5.0}, "LimitSet.expires_ns: received 5.0"),
    ],
)
def test_a_set_that_can_not_be(bad, said):
    with pytest.raises(ConfigError, match=said):
        replace(BASE, **bad)
    assert replace(BASE, expires_ns=2).expires_ns == 2


def test_a_set_is_frozen_and_its_version_is_its_contents():
    with pytest.raises(FrozenInstanceError):
        BASE.max_contracts = D(11)
    assert BASE.version == replace(BASE).version == replace(BASE, max_contracts=D("10.00")).version
    assert len(BASE.version) == 16
    others = [
        replace(BASE, **change)
        for change in (
            {"max_contracts": D(11)},
            {"name": "x"},
            {"effective_ns": 2},
            {"expires_ns": 9},
            {"vix_min": None},
            {"vix_max": D(12)},
        )
    ]
    assert len({one.version for one in (BASE, *others)}) == 7


def test_a_version_known_by_heart():
    """Two machines and two releases give the same answer, or journals can't be read."""
    assert LimitSet(name="desk", effective_ns=1, max_contracts=D(100)).version == "c75a024f910e48e7"


@pytest.mark.parametrize(
    ("name", "old", "new", "is_looser"),
    [
        ("max_contracts", 10, 11, True),
        ("max_contracts", 10, 9, False),
        ("max_contracts", 10, None, False),  # not set denies
        ("max_contracts", None, 10, True),
        ("symbol_pct", 10, None, True),  # not set is off
        ("symbol_pct", None, 10, False),
        ("vix_min", 12, 11, True),
        ("vix_min", 12, 13, False),
        ("vix_min", 12, None, True),
        ("duplicate_window_s", 5, 4, True),
        ("duplicate_window_s", 5, 6, False),
    ],
)
def test_what_loosens(name, old, new, is_looser):
    before, after = limits(**{name: old}), limits(**{name: new})
    old, new = (None if value is None else D(value) for value in (old, new))
    assert changes(before, after) == (Change(name, old, new, is_looser),)
    assert changes(before, before) == ()


@pytest.mark.parametrize("name", LIMITS)
def test_which_limits_allow_more_when_they_are_raised(name):
    floors = {"duplicate_window_s", "stop_distance_min_pct", "no_trade_first_min", "no_trade_last_min", "vix_min", "realised_vol_min_pct"}
    for low, high in ((0, 1), (7, 8)):
        (up,), (down,) = changes(limits(**{name: low}), limits(**{name: high})), changes(limits(**{name: high}), limits(**{name: low}))
        assert (up.is_looser, down.is_looser) == (name not in floors, name in floors)


def test_a_tightening_holds_at_once(calendar):
    after = revised(BASE, {"max_contracts": D(5)}, now_ns=FRIDAY, calendar=calendar, expires_ns=None)
    assert after == replace(BASE, max_contracts=D(5), effective_ns=FRIDAY)
    assert revised(BASE, {"max_contracts": D(5)}, now_ns=FRIDAY, calendar=calendar, expires_ns=NEXT_WEEK).expires_ns == NEXT_WEEK


def test_a_loosening_holds_from_the_next_trading_day_and_ends(calendar):
    after = revised(BASE, {"max_contracts": D(20), "vix_min": D(15)}, now_ns=FRIDAY, calendar=calendar, expires_ns=NEXT_WEEK)
    assert after == replace(BASE, max_contracts=D(20), vix_min=D(15), effective_ns=MONDAY_4AM, expires_ns=NEXT_WEEK)
    sets = [BASE, after]
    assert [in_force(sets, ts) for ts in (FRIDAY, MONDAY_4AM - 1, MONDAY_4AM, NEXT_WEEK - 1, NEXT_WEEK)] == [BASE, BASE, after, after, BASE]


def test_a_loosening_without_end_and_a_limit_that_is_none(calendar):
    with pytest.raises(ConfigError, match="expires_ns: received None, while max_contracts, vix_min is loosened"):
        revised(BASE, {"max_contracts": D(20), "vix_min": D(1), "quote_age_s": D(1)}, now_ns=FRIDAY, calendar=calendar, expires_ns=None)
    with pytest.raises(ConfigError, match="max_contract.*did you mean 'max_contracts'"):
        revised(BASE, {"max_contract": D(20)}, now_ns=FRIDAY, calendar=calendar, expires_ns=None)
    with pytest.raises(ConfigError, match="expires_ns"):
        revised(BASE, {"max_contracts": D(20)}, now_ns=FRIDAY, calendar=calendar, expires_ns=MONDAY_4AM)


def test_a_set_that_expires_is_revised_for_good(calendar):
    short = replace(BASE, expires_ns=NEXT_WEEK)
    assert revised(short, {"max_contracts": D(5)}, now_ns=FRIDAY, calendar=calendar, expires_ns=None).expires_ns is None
    late = revised(short, {"max_contracts": D(5)}, now_ns=NEXT_WEEK + 1, calendar=calendar, expires_ns=None)
    assert late.effective_ns == NEXT_WEEK + 1


@pytest.mark.parametrize(
    ("now", "begin"),
    [
        ((2026, 11, 20, 0), (2026, 11, 23)),
        ((2026, 11, 20, 23), (2026, 11, 23)),
        ((2026, 11, 21, 12), (2026, 11, 23)),
        ((2026, 11, 25, 12), (2026, 11, 27)),  # Thanksgiving
        ((2026, 11, 23, 3), (2026, 11, 24)),
    ],
)
def test_the_next_trading_day(calendar, now, begin):
    assert next_trading_day_ns(calendar, ny_ns(date(*now[:3]), now[3])) == ny_ns(date(*begin), 4)


def test_after_the_calendar_there_is_no_next_day(calendar):
    last = ny_ns(date(2029, 12, 31), 12)
    with pytest.raises(ConfigError, match=f"now_ns: received {last}; allowed: before the calendar's last trading day"):
        next_trading_day_ns(calendar, last)
    assert next_trading_day_ns(calendar, ny_ns(date(2029, 12, 28), 12)) == ny_ns(date(2029, 12, 31), 4)


def test_no_set_is_in_force():
    assert in_force([], 5) is None
    assert in_force([replace(BASE, effective_ns=6)], 5) is None
    assert in_force([replace(BASE, expires_ns=5)], 5) is None
    newest = replace(BASE, effective_ns=2)
    assert in_force([BASE, newest, replace(BASE, effective_ns=6)], 5) == newest
