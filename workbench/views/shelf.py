"""What the desk remembers between days: preferences, the watchlist, levels drawn by hand, as small JSON files in one folder.

Written whole and swapped in, so a crash leaves the old file. A file that can't be read is put aside (`.broken`), never lost.
Floor 8.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.errors import StoreError


class Shelf:
    """JSON values by name in one folder. Without a folder it remembers only as long as it lives."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, Any] = {}  # name -> value, when there is no folder

    def read(self, name: str, default: Any) -> Any:
        """Return the value kept under `name`, `default` when there is none or it is not of the same kind."""
        value = self._memory.get(name) if self._folder is None else self._read_file(self._path(name))
        return value if isinstance(value, type(default)) else default

    def knows(self, name: str) -> bool:
        """Return whether anything was ever kept under `name`."""
        return name in self._memory if self._folder is None else self._path(name).is_file()

    def write(self, name: str, value: Any) -> None:
        """Keep a value; StoreError when the disk refuses (full, no permission)."""
        if self._folder is None:
            self._memory[name] = value
            return
        path = self._path(name)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(value, indent=1), encoding="utf-8")
            fresh.replace(path)
        except OSError as error:
            said = error.strerror or error
            raise StoreError(f"{path}: can't be written ({said}); what you changed is kept until the desk is closed") from error

    def levels(self, symbol: str) -> list[dict[str, Any]]:
        """Return the levels drawn by hand on a symbol, each with `id`, `price` and `label`."""
        kept = self.read(_levels_of(symbol), [])
        return [dict(item) for item in kept if isinstance(item, dict) and isinstance(item.get("price"), (int, float))]

    def keep_levels(self, symbol: str, levels: list[dict[str, Any]]) -> None:
        """Keep the levels drawn by hand on a symbol; StoreError when the disk refuses."""
        self.write(_levels_of(symbol), levels)

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{name}.json"

    @staticmethod
    def _read_file(path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            _put_aside(path)
            return None


def _put_aside(path: Path) -> None:
    try:
        path.replace(path.with_name(path.name + ".broken"))
    except OSError:
        return  # a folder that can't be written will say so at the next change


def _levels_of(symbol: str) -> str:
    """Return a file name that any symbol makes without leaving the folder."""
    return f"levels/{quote(symbol, safe='')}"
