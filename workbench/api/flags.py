"""Switches that can be thrown while the hub runs, kept over restarts as one JSON file in the data folder.

Kept is what was thrown, not what a command or a setting asks for: that holds for one run, unless it is thrown meanwhile.
Known switches only. A file that can't be read is put aside under another name, and all switches are off. Floor 8.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from workbench.errors import ConfigError, StoreError, choices

log = logging.getLogger(__name__)

KNOWN = {"record": "whether every event is recorded, accepted and quarantined ones alike"}  # name -> what it does


class Flags:
    """The switches of one hub. Safe across threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Callable[[bool], None]]] = {name: [] for name in KNOWN}
        self._kept = dict.fromkeys(KNOWN, False) | self._read()
        self._on = dict(self._kept)

    def get(self, name: str) -> bool:
        """Return how a switch stands; ConfigError for one that does not exist."""
        return self._on[_known(name)]

    def all(self) -> dict[str, bool]:
        """Return how all stand."""
        return dict(self._on)

    def listen(self, name: str, listener: Callable[[bool], None]) -> None:
        """Call `listener` whenever a switch is thrown, on the thread that throws it. What it raises, the thrower gets."""
        self._listeners[_known(name)].append(listener)

    def assume(self, name: str, *, is_on: bool) -> None:
        """Let a switch stand as it does by other means in this run, without keeping that; nobody who listens is called."""
        with self._lock:
            self._on[_known(name)] = is_on

    def set(self, name: str, *, is_on: bool) -> None:
        """Throw a switch and keep it. StoreError when it can't be kept; then it stands as before."""
        _known(name)
        with self._lock:
            kept, was = self._kept, self._on[name]  # thrown again as it stands: what listens may not stand so
            self._keep(kept | {name: is_on})
            self._on[name] = is_on
            try:
                for listener in self._listeners[name]:
                    listener(is_on)
            except BaseException:
                self._on[name] = was
                self._keep(kept)
                raise

    def _read(self) -> dict[str, bool]:
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            told = error
        if isinstance(told, dict) and all(isinstance(is_on, bool) for is_on in told.values()):
            return {name: is_on for name, is_on in told.items() if name in KNOWN}
        aside = self._path.with_suffix(".broken.json")
        log.warning("flags: %s can't be read (%s); put aside as %s, all switches are off", self._path, told, aside.name)
        try:
            self._path.replace(aside)
        except OSError as error:
            log.warning("flags: %s can't be put aside: %s", self._path, error)
        return {}

    def _keep(self, states: dict[str, bool]) -> None:
        self._write(states)
        self._kept = states

    def _write(self, states: dict[str, bool]) -> None:
        """Put a whole new file in the old one's place."""
        fresh = self._path.with_suffix(".new.json")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(states, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise StoreError(f"flags: {self._path} can't be written ({error.strerror or error}); the switch stands as before") from error


def _known(name: str) -> str:
    if name not in KNOWN:
        raise ConfigError(f"flag: received {choices(name, KNOWN)}")
    return name
