"""The health strip: can what is on screen be trusted, what time is it on the market, and the controls of a replay.

Floor 8. `tick` reads the hub's health a few times a second and sends it when it changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from workbench.clock import NS_PER_S
from workbench.errors import WorkbenchError
from workbench.sessions import Segment, to_ny

STATIC = Path(__file__).parent / "static"
SPEEDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 1000)


class HealthStrip(JSComponent):
    """Mode, source, age, latency, gaps, quarantine, session and New York clock; a second row with controls when time can be steered."""

    state = param.Dict(default={}, doc="What `health_of` says.")
    playback = param.Dict(default={}, doc="What `playback_of` says; empty when time can't be steered.")

    _esm = STATIC / "health_strip.js"
    _stylesheets = [STATIC / "health_strip.css"]

    def __init__(self, hub: Any, **params: Any) -> None:
        self._hub = hub
        super().__init__(sizing_mode="stretch_width", **params)
        self.tick()

    def tick(self) -> None:
        """Read the hub's health and clock."""
        self.state = health_of(self._hub)
        self.playback = playback_of(self._hub)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        source = self._hub.source
        if not can_play(source):
            return
        try:
            _steer(source, message)
        except WorkbenchError as error:
            self._send_msg({"error": str(error)})
        self.tick()


def _steer(source: Any, message: dict[str, Any]) -> None:
    kind = message.get("do")
    if kind == "toggle":
        source.play() if source.is_paused else source.pause()
    elif kind == "start":
        source.seek(source.span[0])
    elif kind == "end":
        source.seek(source.span[1])
    elif kind == "step":
        source.step(str(message.get("what", "bar")))
    elif kind == "speed":
        source.set_speed(float(message["speed"]))
    elif kind == "seek":
        source.seek(int(float(message["ts"]) * NS_PER_S))


def can_play(source: Any) -> bool:
    """Return whether the source's time can be steered (`PlaybackControl`)."""
    return all(hasattr(source, name) for name in ("play", "pause", "seek", "step", "set_speed", "span"))


def health_of(hub: Any) -> dict[str, Any]:
    """Return the hub's health as plain values for the browser."""
    health = hub.health()
    now_ny = to_ny(health.ts_ns)
    segment = getattr(health, "segment", None)
    name = segment.name if isinstance(segment, Segment) else str(getattr(health, "session_segment", "CLOSED"))
    return {
        "mode": shown_mode(str(getattr(health.mode, "value", health.mode)), hub.source_info),
        "source": health.source,
        "detail": hub.source_info.detail,
        "reason": health.reason,
        "age_s": None if health.age_s is None else round(health.age_s, 1),
        "p50": _rounded(health.latency_p50_ms),
        "p95": _rounded(health.latency_p95_ms),
        "gaps": health.gaps,
        "backfilling": health.backfilling,
        "dropped": health.dropped,
        "errors": getattr(health, "errors", 0),
        "agreement": getattr(health, "agreement", ""),
        "n_events": health.n_events,
        "quarantined": dict(sorted(health.quarantined.items(), key=lambda item: -item[1])),
        "segment": name,
        "clock": f"{now_ny:%H:%M:%S}",
        "date": f"{now_ny:%a} {now_ny.day} {now_ny:%b %Y}",
        "delay_min": round(hub.source_info.delay_ns / (60 * NS_PER_S)),
    }


def shown_mode(mode: str, info: Any) -> str:
    """Return the word on the strip: a simulated market never calls itself live, nor a replay of anything."""
    return "SIMULATED" if mode in ("LIVE", "REPLAY") and info.name == "simulated" else mode


def playback_of(hub: Any) -> dict[str, Any]:
    """Return how the source's time stands, as plain values; {} when it can't be steered."""
    source = hub.source
    if not can_play(source):
        return {}
    first, last = source.span
    return {
        "name": "REPLAY" if hub.source_info.name == "replay" else hub.source_info.name.upper(),
        "is_shown": hub.source_info.name == "replay" or bool(source.is_paused) or source.speed != 1,
        "is_paused": bool(source.is_paused),
        "speed": float(source.speed),
        "now": hub.clock.now_ns() // NS_PER_S,
        "offset": int(to_ny(hub.clock.now_ns()).utcoffset().total_seconds()),  # type: ignore[union-attr]
        "first": first // NS_PER_S,
        "last": last // NS_PER_S,
        "speeds": list(SPEEDS),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 1)
