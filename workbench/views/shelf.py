"""What the desk remembers between days: preferences, the watchlist, levels drawn by hand, as small JSON files in one folder.

Written whole and swapped in, so a crash leaves the old file. A file that can't be read is put aside (`.broken`), never lost.
All windows of a process share one shelf (`shared_shelf`) and see by its `version` that another one changed something.
Floor 8.
"""

from __future__ import annotations

import functools
import json
import math
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.errors import StoreError


class Shelf:
    """JSON values by name in one folder. Without a folder it remembers only as long as it lives."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, Any] = {}  # name -> value, when there is no folder or the disk refused it
        self.version = 0  # of all that is kept here; grows with every change

    def read(self, name: str, default: Any) -> Any:
        """Return the value kept under `name`, `default` when there is none or it is not of the same kind."""
        is_held = self._folder is None or name in self._memory
        value = self._memory.get(name) if is_held else self._read_file(self._path(name))
        return value if isinstance(value, type(default)) else default

    def knows(self, name: str) -> bool:
        """Return whether anything was ever kept under `name`."""
        return name in self._memory or (self._folder is not None and self._path(name).is_file())

    def write(self, name: str, value: Any) -> None:
        """Keep a value; StoreError when the disk refuses (full, no permission): then it is remembered as long as the shelf lives."""
        self.version += 1
        self._memory[name] = value
        if self._folder is None:
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
        del self._memory[name]

    def levels(self, symbol: str) -> list[dict[str, Any]]:
        """Return the levels drawn by hand on a symbol, each with `id`, `price` and `label`."""
        kept = [item for item in self.read(_levels_of(symbol), []) if isinstance(item, dict) and _is_price(item.get("price"))]
        return [
            {"id": str(item.get("id", f"h{i}")), "price": item["price"], "label": str(item.get("label", ""))} for i, item in enumerate(kept)
        ]

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


@functools.cache
def shared_shelf(folder: Path) -> Shelf:
    """Return this process's shelf in a folder, so that two windows never write over each other's levels."""
    return Shelf(folder)


def _is_price(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _put_aside(path: Path) -> None:
    try:
        path.replace(path.with_name(path.name + ".broken"))
    except OSError:
        return  # a folder that can't be written will say so at the next change


def _levels_of(symbol: str) -> str:
    """Return a file name that any symbol makes without leaving the folder."""
    return f"levels/{quote(symbol, safe='')}"
