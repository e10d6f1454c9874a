"""How simulated time runs against real time: speed, stalls, and the hurry from one session to the next. Floor 2."""

from __future__ import annotations

from datetime import date, timedelta

from workbench.clock import NS_PER_MIN, NS_PER_S, monotonic_ns
from workbench.errors import CalendarError, ConfigError
from workbench.sessions import SessionCalendar, ny_ns, to_ny

FRAME_S = 0.04  # real seconds between deliveries
SLOWEST, FASTEST = 0.1, 1000.0
MAX_BEHIND_S = 0.5  # after a longer stall (a laptop that slept) the market goes on from where it stood
AFTER_CLOSE_NS = 10 * NS_PER_MIN
BEFORE_OPEN_NS = 15 * NS_PER_MIN
HURRY_NS = 10 * NS_PER_MIN  # market time per frame while hurrying to the next session


class Pace:
    """Says how far the market has come. `hurries`: ten minutes after a close (and at night) it rushes to fifteen before the next open."""

    def __init__(self, calendar: SessionCalendar, speed: float, *, hurries: bool) -> None:
        self.speed = checked_speed(speed)
        self._calendar = calendar
        self._hurries = hurries
        self._hurry_to_ns: int | None = None
        self._anchor = (0, 0)  # (monotonic ns, market ns) from which the pace is counted

    def restart(self, market_ns: int) -> None:
        """Count from this market moment and the present real one; a hurry under way is given up."""
        self._hurry_to_ns = None
        self._anchor = (monotonic_ns(), market_ns)

    def resume(self, market_ns: int, speed: float | None = None) -> None:
        """Count from now on, at another speed if given (ConfigError outside 0.1 to 1000); a hurry under way goes on."""
        self.speed = self.speed if speed is None else checked_speed(speed)
        self._anchor = (monotonic_ns(), market_ns)

    def target(self, now_ns: int) -> int:
        """Return how far a market standing at `now_ns` should go in this frame."""
        real, market = self._anchor
        paced = int(market + (monotonic_ns() - real) * self.speed)
        if paced - now_ns > MAX_BEHIND_S * self.speed * NS_PER_S:
            paced = now_ns + int(FRAME_S * self.speed * NS_PER_S)
            self._anchor = (monotonic_ns(), paced)
        if self._hurries and self._hurry_to_ns is None and self._calendar.at(now_ns) < 0:
            self._hurry_to(self._calendar.latest(now_ns) + 1)  # somebody went to a night or a weekend
        if self._hurry_to_ns is None:
            return max(paced, now_ns)
        target = min(max(paced, awake_ns(self._calendar, now_ns + HURRY_NS)), self._hurry_to_ns)
        if target == self._hurry_to_ns:
            self._hurry_to_ns = None
        self._anchor = (monotonic_ns(), target)
        return target

    def passed(self, before_ns: int, now_ns: int) -> None:
        """Note a frame; decide to hurry when it passed ten minutes after a close."""
        sessions = self._calendar.sessions
        index = self._calendar.latest(before_ns)
        due = int(sessions["close"][index]) + AFTER_CLOSE_NS
        if self._hurries and before_ns < due <= now_ns:
            self._hurry_to(index + 1)

    def _hurry_to(self, index: int) -> None:
        sessions = self._calendar.sessions
        if index < len(sessions):
            self._hurry_to_ns = int(sessions["open"][index]) - BEFORE_OPEN_NS


def awake_ns(calendar: SessionCalendar, ts_ns: int) -> int:
    """Return `ts_ns`, or the next pre-market open when the market sleeps then."""
    if calendar.at(ts_ns) >= 0:
        return ts_ns
    sessions = calendar.sessions
    index = int(sessions["pre_open"].searchsorted(ts_ns, side="right"))
    return int(sessions["pre_open"][index]) if index < len(sessions) else ts_ns


def default_start_ns(calendar: SessionCalendar, now_ns: int) -> int:
    """Return 10:15 New York of the last session day whose 10:15 has come at `now_ns` (busy, and every chart has a morning)."""
    for index in range(calendar.latest(now_ns), -1, -1):
        day = date(1970, 1, 1) + timedelta(days=int(calendar.sessions["date"][index]))
        start = ny_ns(day, 10, 15)
        if start <= now_ns:
            return start
    raise CalendarError(f"now: received {to_ny(now_ns).isoformat()}; allowed: after the calendar's first morning")


def checked_speed(speed: float) -> float:
    """Return `speed`; ConfigError outside 0.1 to 1000."""
    if not SLOWEST <= speed <= FASTEST:
        raise ConfigError(f"speed: received {speed!r}; allowed: {SLOWEST} to {FASTEST:g}")
    return float(speed)
