"""One recorder a folder: the second is refused and told which process holds it.

The lock belongs to the process and goes with it, however it ends; the file stays and says who held it last.

Floor 2: standard library only.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from workbench.errors import StoreError

NAME = ".recorder.lock"
_LOCKED_AT = 1 << 20  # Windows locks bytes, and nobody can read those: lock one far behind the text


class FolderLock:
    """An exclusive hold of a folder, from `__init__` to `release`. StoreError when somebody has it, or the folder can't be written."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"record: can't write in {folder}: {error.strerror or error}; allowed: a folder that can be written") from None
        if not _locked(self._handle):
            holder = os.read(self._handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._handle)
            raise StoreError(
                f"record: {folder} is being recorded already, by process {holder}; allowed: one recorder a folder "
                "(another data_dir, or stop that one; a running hub is told to record by its flag 'record')"
            )
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(self._handle, 0)
            os.write(self._handle, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the folder go; harmless when done."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _locked(handle: int) -> bool:
    """Take the lock if nobody has it; return whether it is ours."""
    try:
        import fcntl
    except ImportError:
        return _locked_on_windows(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _locked_on_windows(handle: int) -> bool:
    import msvcrt

    os.lseek(handle, _LOCKED_AT, os.SEEK_SET)
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except OSError:
        return False
    finally:
        os.lseek(handle, 0, os.SEEK_SET)
    return True
