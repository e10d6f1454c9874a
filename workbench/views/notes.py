"""What a chart has to say beside its bars: sentences for people, each with the next step. Floor 8, no screen."""

from __future__ import annotations

from workbench.sources.base import SourceInfo
from workbench.types import TIMEFRAMES
from workbench.views.labels import label_of


def history_note(symbol: str, trouble: str) -> str:
    """Return why a symbol's history is missing; '' when nothing keeps it from being read. `trouble` as of `Health.history_trouble`."""
    if not trouble:
        return ""
    why = trouble.removeprefix(f"history of {symbol}: ")
    rest = ", and this note goes when it succeeds; if it stays, run workbench doctor" if "it is tried again" in why else ""
    return f"History of {label_of(symbol)} can't be read: {why}{rest}"


def unfit_timeframes(info: SourceInfo, symbol: str) -> dict[str, str]:
    """Return the timeframes that the recorded bars of a symbol can't be made into, each with the reason."""
    length_ns = info.bar_lengths_ns.get(symbol, 0)
    if not length_ns:
        return {}
    fits = [label for label, frame in TIMEFRAMES.items() if _is_whole(frame.length_ns, length_ns)]
    unfit = [label for label in TIMEFRAMES if label not in fits]
    recorded = next((label for label, frame in TIMEFRAMES.items() if frame.length_ns == length_ns), f"{length_ns / 60e9:g}m")
    choose = f"choose {' or '.join([fits[0], 'longer'][: len(fits)])}" if fits else "record shorter bars"
    return {label: _reason(label, TIMEFRAMES[label].length_ns < length_ns, label_of(symbol), recorded, choose) for label in unfit}


def _is_whole(frame_ns: int, length_ns: int) -> bool:
    """Return whether bars of one length make up whole bars of a timeframe; a session is made up of all that lies in it."""
    day_ns = TIMEFRAMES["1d"].length_ns
    return frame_ns >= length_ns and (frame_ns % length_ns == 0 or (frame_ns >= day_ns > length_ns))


def _reason(label: str, is_shorter: bool, name: str, recorded: str, choose: str) -> str:
    if is_shorter:
        return f"{name} was recorded in {recorded} bars: at {label} only the last minute of each is shown; {choose}"
    return f"{name} was recorded in {recorded} bars, which don't make up {label} ones; {choose}"
