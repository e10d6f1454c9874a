"""A hub that runs around the sessions: the edges typed in from the exchange's published hours, never from our calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.stubs import ManualClock
from workbench.api import headless
from workbench.api.hours import Window, check_hours, wait_until, window
from workbench.clock import NS_PER_S
from workbench.config import Settings
from workbench.errors import CalendarError, ConfigError
from workbench.sessions import SessionCalendar

NY = ZoneInfo("America/New_York")


def ns(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=NY).timestamp()) * NS_PER_S


def span(hours, now):
    found = window(hours, ns(now), SessionCalendar.xnys())
    return tuple(
        datetime.fromtimestamp(edge / 1e9, UTC).astimezone(NY).strftime("%Y-%m-%d %H:%M") for edge in (found.start_ns, found.end_ns)
    )


@pytest.mark.parametrize(
    ("now", "extended", "regular"),
    [
        ("2026-11-18T12:00", ("2026-11-18 03:50", "2026-11-18 20:20"), ("2026-11-18 09:20", "2026-11-18 16:20")),  # a Wednesday
        ("2026-11-18T02:00", ("2026-11-18 03:50", "2026-11-18 20:20"), ("2026-11-18 09:20", "2026-11-18 16:20")),
        ("2026-11-18T16:19", ("2026-11-18 03:50", "2026-11-18 20:20"), ("2026-11-18 09:20", "2026-11-18 16:20")),
        ("2026-11-18T16:20", ("2026-11-18 03:50", "2026-11-18 20:20"), ("2026-11-19 09:20", "2026-11-19 16:20")),
        (
            "2026-11-26T12:00",
            ("2026-11-27 03:50", "2026-11-27 17:20"),
            ("2026-11-27 09:20", "2026-11-27 13:20"),
        ),  # Thanksgiving, then a half day
        (
            "2026-12-24T13:30",
            ("2026-12-24 03:50", "2026-12-24 17:20"),
            ("2026-12-28 09:20", "2026-12-28 16:20"),
        ),  # half day before Christmas
        ("2026-12-25T00:00", ("2026-12-28 03:50", "2026-12-28 20:20"), ("2026-12-28 09:20", "2026-12-28 16:20")),
        ("2027-01-15T21:00", ("2027-01-19 03:50", "2027-01-19 20:20"), ("2027-01-19 09:20", "2027-01-19 16:20")),  # a long weekend
        ("2026-03-06T20:30", ("2026-03-09 03:50", "2026-03-09 20:20"), ("2026-03-09 09:20", "2026-03-09 16:20")),  # clocks change between
        ("2025-01-09T12:00", ("2025-01-10 03:50", "2025-01-10 20:20"), ("2025-01-10 09:20", "2025-01-10 16:20")),  # closed for a funeral
    ],
)
def test_the_window_is_the_session_with_time_before_and_after(now, extended, regular):
    assert span("extended", now) == extended
    assert span("regular", now) == regular


def test_always_has_no_window_and_a_wrong_word_is_told():
    assert window("always", ns("2026-11-18T12:00"), SessionCalendar.xnys()) is None
    with pytest.raises(ConfigError, match="did you mean 'regular'"):
        check_hours("regula")


def test_past_the_calendars_end_it_says_what_to_do():
    with pytest.raises(CalendarError, match="upgrade exchange-calendars"):
        window("regular", ns("2060-01-05T12:00"), SessionCalendar.xnys())


class Night:
    """Time that passes only while somebody waits; `jumps`: what a sleeping machine misses."""

    def __init__(self, start, jumps=()):
        self.clock, self.jumps, self.pauses = ManualClock(start), list(jumps), []

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.clock.ns += int(seconds * NS_PER_S) + (self.jumps.pop(0) if self.jumps else 0)
        return False


def test_it_waits_through_the_night_in_short_looks():
    night = Night(ns("2026-11-18T20:30"))
    assert wait_until(ns("2026-11-19T03:50"), night.clock, night.pause)
    assert night.clock.ns == ns("2026-11-19T03:50")
    assert max(night.pauses) <= 20


def test_a_machine_that_slept_is_not_late_by_what_it_slept():
    night = Night(ns("2026-11-18T20:30"), jumps=[7 * 3600 * NS_PER_S])
    assert wait_until(ns("2026-11-19T03:50"), night.clock, night.pause)
    assert night.clock.ns <= ns("2026-11-19T03:51")


def test_a_signal_ends_the_waiting():
    assert not wait_until(ns("2026-11-19T03:50"), ManualClock(ns("2026-11-18T20:30")), lambda _: True)
    assert not wait_until(None, ManualClock(0), lambda _: True)


@pytest.mark.parametrize(
    ("start", "edges"),
    [("2026-11-26T12:00", ("2026-11-27T03:50", "2026-11-27T17:20")), ("2026-11-27T10:00", ("2026-11-27T10:00", "2026-11-27T17:20"))],
)
def test_the_hub_starts_before_the_session_and_stops_after_it(tmp_path, monkeypatch, start, edges):
    night, seen = Night(ns(start)), []

    class Ended:
        wait = staticmethod(night.pause)

    class Part:
        host, address, hub = "127.0.0.1", "x", type("Hub", (), {"source_info": type("Info", (), {"name": "n", "detail": "d"})})

        def start(self):
            seen.append(night.clock.ns)

        def stop(self):
            seen.append(night.clock.ns)

    monkeypatch.setattr(headless, "_ended_by_signal", Ended)
    monkeypatch.setattr(headless, "assemble", lambda _: Part())
    monkeypatch.setattr(headless, "ApiServer", lambda *_: Part())
    headless.run(Settings(data_dir=tmp_path), say=lambda _: None, hours="extended", clock=night.clock)
    assert seen == [ns(edges[0])] * 2 + [ns(edges[1])] * 2


def test_a_window_is_a_stretch_of_time():
    for day in SessionCalendar.xnys().sessions[::25]:
        found = window("extended", int(day["open"]), SessionCalendar.xnys())
        assert isinstance(found, Window)
        assert found.start_ns < day["pre_open"] < day["post_close"] < found.end_ns
        assert (
            date(1970, 1, 1).toordinal() + int(day["date"])
            == datetime.fromtimestamp(found.start_ns / 1e9, UTC).astimezone(NY).date().toordinal()
        )
