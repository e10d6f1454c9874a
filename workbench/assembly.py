"""Settings → Engine: the only file that knows every class.

Floor 7. Each source's module is imported only when it is chosen.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.config import Settings
from workbench.engine import Engine
from workbench.errors import ConfigError
from workbench.hub.bars import build_bars
from workbench.hub.crosscheck import CrossCheck
from workbench.hub.hub import Hub
from workbench.hub.warm import warm
from workbench.recorder.recorder import Recorder
from workbench.sessions import SessionCalendar
from workbench.sources.base import Source

if TYPE_CHECKING:
    from workbench.sources.live.source import LiveSource


def assemble(settings: Settings | None = None, **overrides: Any) -> Engine:
    """Return an engine that is not started yet.

    `settings`: default those of the environment. `overrides`: settings by name, e.g. assemble(source="simulated", speed=60).
    """
    chosen = settings or Settings(**overrides)
    if settings is not None and overrides:
        chosen = Settings(**{**settings.model_dump(exclude_unset=True), **overrides})
    if chosen.is_attached:
        return _attached(chosen)
    warm()
    source = _source(chosen)
    hub = Hub(
        source,
        store=_store(chosen),
        capacity=chosen.capacity,
        grace_s=chosen.grace_s,
        anchor=chosen.anchor_4h,
    )
    if chosen.cross_check is not None:
        hub.cross_check = CrossCheck(hub, _provider(chosen.cross_check, chosen))
    recorder = Recorder(hub, chosen.data_dir / "recorded" / _market(chosen))
    return Engine(source, hub, _symbols(chosen, source), recorder, is_recording=chosen.record)


def _attached(settings: Settings) -> Engine:
    """Return an engine that reads a hub elsewhere; without symbols of one's own, those that the hub follows."""
    from workbench.hub.remote.hub import RemoteHub

    if settings.record:
        raise ConfigError(
            f"record: received True beside source={settings.source!r}; allowed: False, since the hub there records: "
            "start it with --record, or switch its flag 'record'"
        )
    token = None if settings.hub_token is None else settings.hub_token.get_secret_value()
    symbols = settings.symbols if "symbols" in settings.model_fields_set else ()
    hub: Any = RemoteHub(settings.source, symbols=symbols, token=token, capacity=settings.capacity, seed=os.getpid())  # read like a Hub
    return Engine(hub.source, hub, symbols)


def _symbols(settings: Settings, source: Source) -> tuple[str, ...]:
    """Return the symbols to watch at the start: those asked for; a recording's own when none of them is in it."""
    known = source.info.symbols
    wanted = tuple(symbol for symbol in settings.symbols if not known or symbol in known)
    return wanted or known[:8]


def _source(settings: Settings) -> Source:
    if settings.source == "simulated":
        from workbench.sources.simulated import SimulatedSource

        return SimulatedSource(settings.symbols, seed=settings.seed, speed=settings.speed)
    if settings.source == "replay":
        return _replay(settings)
    first = _provider(settings.source, settings)
    if settings.fallback is None:
        return first
    from workbench.sources.fallback import FallbackSource

    return FallbackSource(first, _provider(settings.fallback, settings))


def _provider(name: str, settings: Settings) -> LiveSource:
    """Return a live provider; its module, and through it the vendor's client, is imported only now."""
    return _alpaca(settings) if name == "alpaca" else _polygon(name, settings)


def _replay(settings: Settings) -> Source:
    from workbench.sources.replay import ReplaySource

    if settings.replay_path is None:
        raise ConfigError("replay_path: received nothing; allowed: a file or folder of recorded trades, quotes or bars")
    return ReplaySource(settings.replay_path, speed=settings.speed, minutes=_minutes_of)


def _minutes_of(trades: np.ndarray) -> np.ndarray:
    """Return the 1-minute bars of one symbol's recorded prints (TRADE_DTYPE), as history of a replay."""
    columns = (trades[name] for name in ("ts_event", "price", "size"))
    return build_bars(*columns, sequence=trades["sequence"], conditions=trades["conditions"], sessions=SessionCalendar.xnys())


def _polygon(package: str, settings: Settings) -> LiveSource:
    from workbench.sources.polygon.source import PolygonSource

    return PolygonSource(
        settings.key_for(package),
        package=package,
        feed=settings.feed,
        websocket_base=settings.websocket_base,
        rest_base=settings.rest_base,
        seed=settings.seed,
    )


def _alpaca(settings: Settings) -> LiveSource:
    from workbench.sources.alpaca.source import AlpacaSource

    return AlpacaSource(
        *settings.alpaca_keys(),
        stock_feed=settings.alpaca_stock_feed,
        option_feed=settings.alpaca_option_feed,
        stream_base=settings.alpaca_stream_base,
        rest_base=settings.alpaca_rest_base,
        seed=settings.seed,
    )


def _store(settings: Settings) -> Any:
    """Return where closed minutes are kept: a live provider's only; a simulated or replayed market can be told again."""
    if settings.source in ("simulated", "replay"):
        return None
    from workbench.history.store import BarStore

    return BarStore(settings.data_dir / "bars" / _market(settings))


def _market(settings: Settings) -> str:
    """Return the folder name of a market's data, so that no two are mixed: Alpaca's IEX minutes hold a few percent of the volume."""
    if settings.source == "alpaca":
        return f"alpaca-{settings.alpaca_stock_feed}"
    if settings.source == "simulated":  # another seed is another market, at another speed its stamps are others
        return f"simulated-seed{settings.seed}-speed{settings.speed:g}"
    return "polygon" if settings.source == "massive" else settings.source  # Massive is polygon's new name
